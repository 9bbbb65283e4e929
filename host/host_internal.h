/* SPDX-License-Identifier: MIT */
/*
 * What the files of host/ share.
 *
 *   loop.c       waiting: epoll, timer, watches, alarms, the lock; looppoll.c waiting for links
 *   hostio.c     hosts and the traffic between their links and stacks
 *   hostauto.c   waiting for addresses from the network
 *   hostsock.c   BSD-style calls; hosttable.c their descriptors, hostwait.c their blocking and poll,
 *                hostmsg.c recvmsg, sendmsg and select, hostepoll.c epoll, hostaddr.c their addresses
 *
 * One lock a loop, which its holder may take again, guards everything: the loop, its hosts, their stacks and links, and the
 * descriptor tables. It is never held while a thread sleeps, and threads are woken after it has been
 * released, lest they wake up only to wait for it. A thread that gives it up at the
 * outermost level first settles: it carries the traffic that its calls have caused, in
 * its own time, without waking the loop's thread, and sets the loop's timer.
 */
#ifndef WEIR_HOST_INTERNAL_H
#define WEIR_HOST_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/host.h>

#include "base/hint.h"

struct wr_attach;

enum wr_fd_kind { WR_FD_NONE, WR_FD_WATCH, WR_FD_LINK };

/* What the loop knows of a descriptor; `age` tells an event of an earlier use from one of this. */
struct wr_fd_entry {
    enum wr_fd_kind kind;
    uint32_t age;
    weir_watch_fn *fn;
    void *arg;
    struct wr_attach *attach;
};

struct wr_alarm {
    weir_time at;
    weir_alarm_fn *fn;
    void *arg;
};

enum { WR_WAKES_AT_ONCE = 32 };

struct weir_loop {
    pthread_mutex_t lock;
    atomic_uintptr_t holder; /* the thread that has it, wr_loop_lock(); 0: none */
    unsigned n_wakes; /* threads that are woken when the lock is released: their waiters' words */
    atomic_uint *wakes[WR_WAKES_AT_ONCE];
    atomic_uint wanted; /* threads that sleep until they have the lock */
    unsigned depth;     /* how often its holder holds it */
    unsigned serving;   /* callbacks may be running: leave hosts where they are */
    int epoll_fd, timer_fd, wake_fd;
    weir_time timer_at;   /* what the timer is set to; NEVER: not set */
    atomic_uint nap;      /* of its thread, looppoll.c */
    bool poll_refused;    /* poll(2) was, and would be again */
    unsigned unoffered;   /* sleeps between two before which the CPU is offered, looppoll.c */
    unsigned until_offer; /* sleeps until the next of those */
    bool again;           /* there is work that no descriptor will announce */
    weir_time now;        /* of the round, see serve() */
    weir_time busy_until; /* links of hosts with busy_ns are asked until then, without sleep */
    bool stop, running, started;
    pthread_t thread; /* of weir_loop_start */
    struct weir_host *hosts;
    weir_batch_fn *batch_fn; /* takes the events of descriptors that are not ours */
    void *batch_arg;
    struct wr_fd_entry *fds; /* by descriptor */
    size_t n_fds;
    struct wr_alarm *alarms;
    size_t n_alarms, cap_alarms;
};

/* A link in use by a host. */
struct wr_attach {
    struct wr_attach *next;
    struct weir_host *host;
    struct weir_link *link;
    int ifindex, fd;
    bool kick; /* its descriptor had an event, or recv stopped before the end */
    bool
        watched; /* the epoll set tells of its descriptor's events; neither this nor polled: kick is set */
    bool polled;   /* the loop's thread waits for it by poll(2), looppoll.c */
    unsigned vain; /* so often it had something, by poll(2), and no frame */
    bool dead;
    bool small;             /* the last frame that came was */
    unsigned rounds, usual; /* of reading; frames that come at once, 0: not known yet */
    bool has_pending;       /* `pending` was refused with EAGAIN and waits, its bytes in buf */
    struct weir_out pending;
    uint8_t *buf;
    size_t cap;
};

struct wr_hsock;

struct weir_host {
    struct weir_host *next;
    struct weir_loop *loop;
    struct weir_stack *stack;
    struct weir_pages *pages; /* its memory; NULL: not ours */
    struct wr_attach *links;
    int64_t busy_ns; /* of busy polling after a frame; 0: none */
    bool had_input;  /* since events were handed out last */
    bool doomed;     /* freed within a callback: goes at the end of the turn */
    weir_host_event_fn *event_fn;
    void *event_arg;
    weir_host_told_fn *told_fn;
    void *told_arg;
    weir_host_config_fn *config_fn;
    void *config_arg;
    uint32_t config_seen;     /* generation that config_fn was told of; 0: none */
    struct weir_event *stash; /* events for event_fn that other threads came upon */
    size_t n_stash, cap_stash;
    struct wr_hsock **table;        /* by descriptor */
    size_t n_table, low_free;       /* no free descriptor is below low_free */
    struct wr_wait_link *lingering; /* threads in close() that wait for the last ACK */
    struct wr_tap *taps;            /* captures of its traffic, hostcapture.c; NULL: none */
    struct wr_follower *followers;  /* of its decisions, hosttrace.c; NULL: none */
};

/* ---- loop.c ------------------------------------------------------------------------------------- */

void wr_loop_lock(struct weir_loop *loop);
/* Settles if this is the outermost level and no callback is running, then unlocks. */
void wr_loop_unlock(struct weir_loop *loop);
/* Carries what there is to carry and sets the timer. The lock is held. */
void wr_loop_settle(struct weir_loop *loop);
/* Sleeps with the lock released until a waiter's state is WR_ROUSED; false at `until`. The caller holds the
 * lock once. May return early. */
bool wr_loop_sleep(struct weir_loop *loop, atomic_uint *state, weir_time until);
/* Makes it WR_ROUSED, and has a thread that sleeps woken when the lock is released. */
void wr_loop_rouse(struct weir_loop *loop, atomic_uint *state);
/* Makes a sleeping loop turn. */
void wr_loop_wake(struct weir_loop *loop);
int wr_loop_add_link(struct weir_loop *loop, struct wr_attach *attach);
/* Have it told, or no more, when the link's descriptor can be written. */
void wr_loop_want_room(struct weir_loop *loop, struct wr_attach *attach, bool wanted);
/* The link was found empty: it is told when there is something. False: it cannot be, ask it again. */
bool wr_loop_await(struct weir_loop *loop, struct wr_attach *attach);
/* It is asked without being told. */
void wr_loop_unwatch(struct weir_loop *loop, struct wr_attach *attach);
void wr_loop_remove_link(struct weir_loop *loop, struct wr_attach *attach);

/* ---- hostio.c ----------------------------------------------------------------------------------- */

/* The two ends of a round of a host; events come between them. True when something moved. */
bool wr_host_in(struct weir_host *host, weir_time now);  /* links to stack, timers */
bool wr_host_out(struct weir_host *host, weir_time now); /* stack to links */
/* Has the next round ask all links, if the host is one that polls. False when there are none to ask. */
bool wr_host_ask(struct weir_host *host);
/* Links that are to be asked anyway are no longer watched. */
void wr_host_unwatch_busy(struct weir_host *host);
/* Hands out events. In the loop's thread those of on_event too: true when there were some. In others
 * these are kept: true when some are waiting. */
bool wr_host_events(struct weir_host *host, bool in_loop);
weir_time wr_host_deadline(const struct weir_host *host);
/* Frees what weir_host_free() left for the end of the turn. */
void wr_host_free_doomed(struct weir_loop *loop);

/* ---- hostcapture.c; while host->taps is not NULL --------------------------------------------- */

void wr_host_capture_in(struct weir_host *host, int ifindex, const struct weir_frame *frame,
                        weir_time now);
void wr_host_capture_out(struct weir_host *host, int ifindex, const struct weir_out *out,
                         weir_time now);
/* At the end of a round of traffic. */
void wr_host_capture_flush(struct weir_host *host);
void wr_host_capture_end_all(struct weir_host *host);

/* ---- hosttrace.c -------------------------------------------------------------------------------- */

struct wr_follow_config {
    int fd;                          /* a stream socket for the lines; the follower closes it */
    struct weir_endpoint connection; /* either end; no address: any; port 0: all records */
    bool json;
};
/* Writes what the host's stack decides from now on, a line a record, as the socket takes it: what is overwritten
 * meanwhile is lost and counted. It ends by itself when the reader has closed, or has shut down and all is written.
 * WEIR_ENOMEM, and the descriptor is still the caller's. */
int wr_host_follow(struct weir_host *host, const struct wr_follow_config *config);
/* At the end of a round of traffic, while host->followers is not NULL. */
void wr_host_follow_flush(struct weir_host *host);
void wr_host_follow_end_all(struct weir_host *host);

/* ---- hostwait.c --------------------------------------------------------------------------------- */

enum { WR_AWAKE, WR_ASLEEP, WR_ROUSED };

struct wr_waiter {
    struct weir_loop *loop;
    atomic_uint state; /* WR_*; changed with the lock held */
};

struct wr_wait_link {
    struct wr_waiter *waiter;
    struct wr_wait_link *next, **back;
};

/* A node or the head of a ring of nodes. */
struct wr_chain {
    struct wr_chain *prev, *next;
};

struct wr_epoll;

/* A descriptor: of a socket, or of an epoll. It lives as long as it is in the table or a thread is in a
 * call on it. */
struct wr_hsock {
    weir_sock sock;           /* 0: an epoll */
    struct wr_epoll *epoll;   /* NULL: a socket */
    struct wr_chain watchers; /* the epolls that watch it: struct wr_interest of hostepoll.c */
    int fd, domain, type;
    unsigned refs;
    bool closed, nonblock, cloexec;       /* cloexec: kept, and means nothing */
    weir_time recv_timeout, send_timeout; /* NEVER: none */
    size_t recv_lowat;
    struct wr_wait_link *waiters;
    bool deferred; /* TCP_FASTOPEN_CONNECT: the first send connects */
    void (*notify)(
        void *arg); /* called at each event, lock held, maybe in another thread; or NULL */
    void *notify_arg;
};

void wr_waiter_init(struct wr_waiter *waiter, struct weir_loop *loop);
/* Puts a waiter into a list, and takes it out. */
void wr_wait_join(struct wr_wait_link **list, struct wr_wait_link *link, struct wr_waiter *waiter);
void wr_wait_leave(struct wr_wait_link *link);
/* Wakes all who wait in a list. */
void wr_wait_wake(struct wr_wait_link *list);
/* Settles, then sleeps until the waiter is woken. 0; WEIR_EAGAIN at `until`; -EDEADLK in a callback. */
int wr_wait_sleep(struct weir_host *host, struct wr_waiter *waiter, weir_time until);
/* Waits until the descriptor has an event or is closed. 0; WEIR_EAGAIN at `until`; WEIR_EBADF when it is
 * closed; -EDEADLK inside a callback. May return early. */
int wr_wait(struct weir_host *host, struct wr_hsock *hs, weir_time until);
/* Wakes the one who joined last and is not woken yet; false when there is nobody. */
bool wr_wait_wake_one(struct wr_wait_link *list);
/* What poll(2) shows of a descriptor that is open: WEIR_POLL* bits, POLLRDNORM and POLLWRNORM. */
uint32_t wr_wait_bits(struct weir_host *host, struct wr_hsock *hs);

/* ---- hostepoll.c -------------------------------------------------------------------------------- */

/* An event of a descriptor (weir_event.happened): the epolls that watch it are told. */
void wr_epoll_tell(struct wr_hsock *hs, uint32_t happened);
/* Would a wait on it return something now? */
bool wr_epoll_is_ready(struct weir_host *host, struct wr_epoll *epoll);
/* A descriptor is being closed: no epoll watches it any more, and if it is one, that watches nothing and
 * its waiting threads wake up. */
void wr_epoll_forget(struct wr_hsock *hs);
/* Frees an epoll that nobody uses any more. NULL is allowed. */
void wr_epoll_free(struct wr_epoll *epoll);

/* ---- hostaddr.c --------------------------------------------------------------------------------- */

/* 0, or WEIR_EINVAL, WEIR_EAFNOSUPPORT as the kernel says for a socket of `domain`. */
int wr_endpoint_from(int domain, const struct sockaddr *addr, socklen_t len,
                     struct weir_endpoint *endpoint);
/* Writes the endpoint as a socket of `domain` shows it, cut to *len; *len becomes its whole size. Either
 * pointer may be NULL. */
void wr_endpoint_to(int domain, const struct weir_endpoint *endpoint, struct sockaddr *addr,
                    socklen_t *len);

/* ---- rand.c ------------------------------------------------------------------------------------- */

/* 32 bytes from the kernel's random source, or a negative error. */
int wr_host_seed(uint8_t seed[32]);

/* Resets and forgets all sockets of a host that is being freed. */
void wr_hostsock_abort_all(struct weir_host *host, weir_time now);
/* The descriptor an event belongs to, or NULL. */
struct wr_hsock *wr_hostsock_of(struct weir_host *host, const struct weir_event *event);
/* Locks and takes hold of a socket's descriptor; NULL (unlocked) and errno EBADF when there is none,
 * ENOTSOCK when it is an epoll's. Let go with wr_hostsock_leave(), which settles and unlocks. */
struct wr_hsock *wr_hostsock_enter(struct weir_host *host, int fd);
/* The same for a descriptor of either kind. */
struct wr_hsock *wr_hostsock_enter_any(struct weir_host *host, int fd);
void wr_hostsock_leave(struct weir_host *host, struct wr_hsock *hs);
/* The same without locking: the lock is held. */
struct wr_hsock *wr_hostsock_hold(struct weir_host *host, int fd);
void wr_hostsock_drop(struct wr_hsock *hs);

#endif
