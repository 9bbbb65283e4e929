/* SPDX-License-Identifier: MIT */
/*
 * The host: drives stacks over links on Linux, and gives threads blocking BSD-style sockets.
 *
 *   loop   an epoll loop. It drives any number of hosts, and watches descriptors of the program's own.
 *   host   a stack, its links, and a lock. All socket calls below are safe from any thread.
 *
 * A program with threads starts the loop in a thread of its own (weir_loop_start) and uses the socket
 * calls. A program with an event loop of its own calls weir_loop_step() when weir_loop_fd() is
 * readable, or drives the stack itself with the four calls of stack.h and no host at all.
 */
#ifndef WEIR_HOST_H
#define WEIR_HOST_H

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <weir/autoconf.h>
#include <weir/event.h>
#include <weir/link.h>
#include <weir/socket.h>
#include <weir/stack.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_loop;
struct weir_host;

/* ---- loop ------------------------------------------------------------------------------------- */

/* CLOCK_MONOTONIC as weir_time. */
weir_time weir_now(void);

/* Makes a loop: it takes three descriptors of the kernel. WEIR_ENOMEM, WEIR_EMFILE. */
int weir_loop_new(struct weir_loop **loop);
/* Stops it if it was started, and frees it. WEIR_EBUSY while it still has hosts, or another thread runs
 * it. */
int weir_loop_free(struct weir_loop *loop);
/* Works until weir_loop_stop(): run in this thread, start in one of its own. One of the two at a time:
 * WEIR_EBUSY. run returns 0 or the error that ended it, start 0 or WEIR_EAGAIN (no thread to be had). */
int weir_loop_run(struct weir_loop *loop);
int weir_loop_start(struct weir_loop *loop);
/* Ends run, or joins the thread of start. Safe from any thread and from a watch's callback. */
void weir_loop_stop(struct weir_loop *loop);
/* One turn: waits at most until timeout_ns (0: do not wait, -1: no limit), serves what is due.
 * Returns 0 or a negative error. */
int weir_loop_step(struct weir_loop *loop, int64_t timeout_ns);
/* A descriptor of the kernel, the loop's, that is readable when weir_loop_step() has work: for a loop of
 * the program's own. */
int weir_loop_fd(const struct weir_loop *loop);

/* Calls fn in the loop's thread, with the loop's lock held, when `events` (EPOLLIN, EPOLLOUT, ...) occur
 * on fd. Calling again changes it; events 0 ends it. Inside fn every call of this header but
 * weir_loop_free() is allowed, blocking socket calls apart. */
typedef void weir_watch_fn(void *arg, int fd, uint32_t events);
/* 0; WEIR_ENOENT: there is none to end; WEIR_EBUSY: a link has it; WEIR_EPERM, WEIR_EBADF, WEIR_ENOMEM as
 * epoll_ctl(2). End a watch before its descriptor is closed. */
int weir_loop_watch(struct weir_loop *loop, int fd, uint32_t events, weir_watch_fn *fn, void *arg);
/* For one user with many descriptors that come and go: it adds them to weir_loop_fd() itself, by epoll_ctl(2),
 * each with a pointer as data.ptr that is neither NULL nor equal for two of them. All of a turn's events
 * on them are handed to fn in one call, in the loop's thread with the lock held. fn NULL ends it; WEIR_EBUSY
 * while there is another. */
struct epoll_event;
typedef void weir_batch_fn(void *arg, struct epoll_event *events, int n);
int weir_loop_batch(struct weir_loop *loop, weir_batch_fn *fn, void *arg);
/* Calls fn once at `at` or soon after, in the loop's thread with the lock held; at WEIR_TIME_NEVER cancels.
 * One timer per (fn, arg): asking again moves it. What is due in one turn is called in the order of its times.
 * WEIR_ENOMEM. */
typedef void weir_alarm_fn(void *arg, weir_time now);
int weir_loop_alarm(struct weir_loop *loop, weir_time at, weir_alarm_fn *fn, void *arg);

/* ---- host ------------------------------------------------------------------------------------- */

/* Memory for a stack with many connections (struct weir_config.alloc): beyond the first thousand they are in huge pages, where
 * the kernel lets programs ask for them (transparent_hugepage: madvise or always), and so are their buffers beyond the first MB of
 * each size. Of each of at most 16 sizes up to 2 MB are resident that are not used yet, and 2 MB are kept of what was given back;
 * 16 GB of addresses are reserved, which is no memory. Of one stack, or of several that never take memory
 * at one time. Free it after them. NULL: out of memory; NULL may be freed. */
struct weir_pages;
struct weir_pages *weir_pages_new(void);
struct weir_allocator weir_pages_allocator(struct weir_pages *pages);
void weir_pages_free(struct weir_pages *pages);

/* Makes a host on a loop; any number may share one. config NULL: defaults, memory by weir_pages_new(), and a seed from the kernel's
 * random source; with a config of your own its seed is yours to fill. WEIR_ENOMEM. */
int weir_host_new(struct weir_loop *loop, const struct weir_config *config,
                  struct weir_host **host);
/* Closes all its sockets (abortively), frees links and stack. No thread may be in a call on it, or blocked
 * in one. NULL is allowed; in a callback the host goes when the turn ends. */
void weir_host_free(struct weir_host *host);

/* Adds an interface over a link, which the host then owns. Returns the interface's index or an error
 * (the link stays the caller's). */
int weir_host_add_link(struct weir_host *host, struct weir_link *link);
/* "10.0.0.2/24", "fd00::2/64". WEIR_EINVAL for text that is neither, and the errors of weir_addr_add(). */
int weir_host_add_addr(struct weir_host *host, int ifindex, const char *addr_prefix);
/* prefix "default" or "10.1.0.0/16"; gateway NULL: on link. WEIR_EINVAL for text that is no prefix or address,
 * and the errors of weir_route_add(). */
int weir_host_add_route(struct weir_host *host, const char *prefix, const char *gateway,
                        int ifindex);

/* An interface's addresses from its network (autoconf.h). */
enum { WEIR_AUTO_DHCP = 1, WEIR_AUTO_SLAAC = 2 };
/* Starts what the bits of `what` name. weir_host_free() gives leases back. Errors of weir_dhcp_start(),
 * weir_slaac_start(). */
int weir_host_autoconf(struct weir_host *host, int ifindex, unsigned what);
/* Waits until there is a lease, a global IPv6 address from a prefix, and, whatever `what` is, no address
 * of the interface is being checked any more. It turns the loop itself when no thread does. Returns 0,
 * or at `until` the bits that are missing; -EDEADLK inside a callback. */
int weir_host_await_autoconf(struct weir_host *host, int ifindex, unsigned what, weir_time until);

/* The stack, for calls of stack.h, socket.h and event.h: only between lock and unlock. unlock makes the
 * loop send what the calls produced. In a watch's or alarm's callback the lock is held already (it is
 * recursive). */
struct weir_stack *weir_host_lock(struct weir_host *host);
void weir_host_unlock(struct weir_host *host);

/* Between lock and unlock: sends what the calls before have produced, and takes in what is there then. So a caller
 * learns at once what a peer on the same machine, or the host itself by loopback, has answered, without being called
 * back for it; events are told later all the same, and what is to be said to what came is sent later. */
void weir_host_carry(struct weir_host *host);

/* Busy polling, as net.core.busy_poll: for so many microseconds after the last frame of one of the host's links, in or
 * out, the loop goes on asking these and its descriptors before it sleeps. 0, as it is at first: it sleeps at once.
 * It saves the way into sleep and out of it with each answer that comes within that time, so it is for latency, with
 * usec somewhat above a round trip. It costs a whole CPU meanwhile, which is offered to others between two questions,
 * and gains nothing where the one who is to answer needs that CPU. A host without a link, or whose links are all gone,
 * never has the loop poll. Between two questions the lock is released and threads that want it have it first; timers
 * and watches are served as ever. weir_loop_step() that may wait returns after each question. WEIR_EINVAL: negative. */
int weir_host_set_busy_poll(struct weir_host *host, int usec);
int weir_host_busy_poll(struct weir_host *host); /* what is set */

/* Events of sockets which were not opened by the calls below go to fn, in the loop's thread with the
 * lock held. */
typedef void weir_host_event_fn(void *arg, const struct weir_event *event);
void weir_host_on_event(struct weir_host *host, weir_host_event_fn *fn, void *arg); /* NULL: none */
/* For fn alone: the time when what it is told of was taken in, so that it need not read the clock for its socket calls.
 * It stands still while events are handed out; what takes long asks weir_now(). */
weir_time weir_host_now(const struct weir_host *host);

/* fn is called after fn of on_event was called for all events that there were, before anything is carried on:
 * for what is better done for many sockets at once. */
typedef void weir_host_told_fn(void *arg);
void weir_host_on_told(struct weir_host *host, weir_host_told_fn *fn, void *arg); /* NULL: none */

/* fn is called in the loop's thread, with the lock held, after interfaces, addresses or routes changed
 * (weir_config_generation()), and once soon after this call. NULL: no more. */
typedef void weir_host_config_fn(void *arg, struct weir_host *host);
void weir_host_on_config(struct weir_host *host, weir_host_config_fn *fn, void *arg);

/* ---- sockets for threads ---------------------------------------------------------------------- */

/* As the calls of the same name on Linux, with their arguments, results and errors: -1 and errno on error.
 * Beyond what their manual pages say:
 *
 *   - Descriptors are small integers of this host (not of the kernel), the lowest free first, and mean
 *     nothing to another host or to the kernel's calls. There is no dup().
 *   - Any thread may call, also two on one descriptor. A call blocks unless SOCK_NONBLOCK, O_NONBLOCK
 *     (weir_fcntl) or MSG_DONTWAIT say otherwise; SO_RCVTIMEO and SO_SNDTIMEO hold. Blocked calls are not
 *     interrupted by signals: there is no EINTR. In a callback of the loop a call that would block is
 *     EDEADLK.
 *   - A descriptor that one thread closes ends the calls of others that are blocked on it, with EBADF.
 *   - No SIGPIPE is ever raised: EPIPE is all.
 *   - Pointers are followed in the caller's address space: a bad one is not EFAULT but a crash.
 *   - Socket calls on an epoll's descriptor are ENOTSOCK.
 */
int weir_socket(struct weir_host *host, int domain, int type, int protocol);
int weir_bind(struct weir_host *host, int fd, const struct sockaddr *addr, socklen_t len);
int weir_listen(struct weir_host *host, int fd, int backlog);
int weir_connect(struct weir_host *host, int fd, const struct sockaddr *addr, socklen_t len);
int weir_accept(struct weir_host *host, int fd, struct sockaddr *addr, socklen_t *len);
int weir_accept4(struct weir_host *host, int fd, struct sockaddr *addr, socklen_t *len, int flags);
ssize_t weir_send(struct weir_host *host, int fd, const void *data, size_t len, int flags);
ssize_t weir_sendto(struct weir_host *host, int fd, const void *data, size_t len, int flags,
                    const struct sockaddr *to, socklen_t to_len);
ssize_t weir_recv(struct weir_host *host, int fd, void *data, size_t len, int flags);
ssize_t weir_recvfrom(struct weir_host *host, int fd, void *data, size_t len, int flags,
                      struct sockaddr *from, socklen_t *from_len);
ssize_t weir_read(struct weir_host *host, int fd, void *data, size_t len);
ssize_t weir_write(struct weir_host *host, int fd, const void *data, size_t len);
ssize_t weir_readv(struct weir_host *host, int fd, const struct iovec *iov, int n);
ssize_t weir_writev(struct weir_host *host, int fd, const struct iovec *iov, int n);
/* Control messages that come: TCP_CM_INQ (after TCP_INQ), and with MSG_ERRQUEUE the notes of SO_ZEROCOPY and
 * SO_TIMESTAMPING, as IP_RECVERR or IPV6_RECVERR. None is understood by sendmsg: EINVAL. */
ssize_t weir_recvmsg(struct weir_host *host, int fd, struct msghdr *msg, int flags);
ssize_t weir_sendmsg(struct weir_host *host, int fd, const struct msghdr *msg, int flags);
/* how: SHUT_RD, SHUT_WR, SHUT_RDWR. */
int weir_shutdown(struct weir_host *host, int fd, int how);
/* Of a socket or an epoll. TCP goes on in the background: FIN after what is still to be sent, or a reset when
 * something is left unread. Waits only for SO_LINGER with a time. */
int weir_close(struct weir_host *host, int fd);
int weir_getsockname(struct weir_host *host, int fd, struct sockaddr *addr, socklen_t *len);
int weir_getpeername(struct weir_host *host, int fd, struct sockaddr *addr, socklen_t *len);
int weir_setsockopt(struct weir_host *host, int fd, int level, int option, const void *value,
                    socklen_t len);
int weir_getsockopt(struct weir_host *host, int fd, int level, int option, void *value,
                    socklen_t *len);
/* F_GETFL, F_SETFL (O_NONBLOCK), F_GETFD, F_SETFD (FD_CLOEXEC is kept, and means nothing). EINVAL. */
int weir_fcntl(struct weir_host *host, int fd, int cmd, int arg);
/* FIONREAD (bytes to read), SIOCOUTQ (bytes not acknowledged yet), SIOCATMARK (at the urgent mark?), FIONBIO
 * (*value: non-blocking or not). ENOTTY. */
int weir_ioctl(struct weir_host *host, int fd, unsigned long request, int *value);
/* fds of this host only; a negative timeout in milliseconds is none. It looks at each of the descriptors:
 * for many, use epoll. */
int weir_poll(struct weir_host *host, struct pollfd *fds, nfds_t n, int timeout_ms);
/* The same for descriptors below FD_SETSIZE. *timeout becomes what is left of it; NULL: none. */
int weir_select(struct weir_host *host, int n, fd_set *reads, fd_set *writes, fd_set *excepts,
                struct timeval *timeout);

/* ---- epoll ------------------------------------------------------------------------------------ */

/* As epoll(7): level-triggered, EPOLLET, EPOLLONESHOT and EPOLLEXCLUSIVE, with Linux's errors. An epoll is
 * a descriptor of the host: weir_close() closes it, weir_poll() and another epoll may watch it. It watches
 * descriptors of its own host only. Any number of threads may use one epoll at once. A wait costs what is
 * ready, however much is watched; each watch takes 64 bytes.
 *
 * A wait that is blocked ends with EBADF when its epoll is closed by another thread (on Linux it would go
 * on). A descriptor that is closed is watched no more. EPERM does not occur: all descriptors can be
 * watched. Inside a callback of the loop a wait must not block: timeout_ms 0, else EDEADLK.
 *
 * A program that drives a stack without a host has weir_next_event() instead, whose `happened` is the
 * edge and whose `ready` the level. */
int weir_epoll_create(struct weir_host *host, int size); /* size: more than 0, else ignored */
int weir_epoll_create1(struct weir_host *host,
                       int flags); /* flags: 0 or EPOLL_CLOEXEC: no effect */
/* EEXIST, ENOENT, EBADF, EINVAL, ELOOP (epolls in a circle or more than 5 deep), ENOMEM, EFAULT. */
int weir_epoll_ctl(struct weir_host *host, int epfd, int op, int fd,
                   const struct epoll_event *event);
/* Fills in up to `max` events; returns their number, 0 when timeout_ms (-1: none) is over. EBADF, EINVAL,
 * EFAULT. */
int weir_epoll_wait(struct weir_host *host, int epfd, struct epoll_event *events, int max,
                    int timeout_ms);
/* A descriptor of the kernel that is readable while a wait might return something, so that a program's own
 * poll loop can watch it. The epoll owns it; do not read it, a wait does. EBADF, EINVAL, EMFILE. */
int weir_epoll_fd(struct weir_host *host, int epfd);

/* The core's handle of a descriptor, 0 and errno EBADF if there is none. */
weir_sock weir_host_sock(struct weir_host *host, int fd);

#ifdef __cplusplus
}
#endif
#endif
