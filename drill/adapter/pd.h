/* SPDX-License-Identifier: MIT */
#ifndef DRILL_PD_H
#define DRILL_PD_H

/*
 * The adapter: a stack of its own behind packetdrill's interface, in virtual time.
 *
 *     pd_abi.h     what packetdrill asks for
 *     pd_init.c    beginning and end; the interface's table
 *     pd_flags.c   --so_flags
 *     pd_clock.c   time, packets, and threads that wait
 *     pd_call.c    making, joining, asking and ending sockets
 *     pd_io.c      data in and out
 *     pd_wait.c    poll, epoll, pipes
 *     pd_control.c sysctl and ip from the script's shell commands
 *     pd_preload.c the C library's functions that packetdrill calls on a socket past the interface
 *
 * packetdrill runs a script with two threads: the one that called init, which moves from event to
 * event, and another for calls that the script says to block. Time is the stack's and moves only in
 * usleep, gettimeofday (by a microsecond, for packetdrill spins until an instant has come),
 * netdev_receive, and when the first thread has nothing left but to wait for the second.
 *
 * A call that blocks is an attempt that is repeated by whoever moves the time, so it takes effect at
 * the very instant when it can. Its thread sleeps meanwhile; once done, time stands still until that
 * thread has read the clock, since that is how packetdrill learns when a call returned.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drill/adapter/pd_abi.h"
#include "drill/dr_world.h"

/* One try of a call, with the lock held: its result, a negative error, or WEIR_EAGAIN. */
typedef ptrdiff_t pd_attempt_fn(void *arg);

/* A call that blocks. */
struct pd_waiter {
    struct pd_waiter *next;
    pd_attempt_fn *attempt;
    void *arg;
    weir_time due;     /* when it gives up with WEIR_EAGAIN */
    const bool *eager; /* not NULL, and true: it goes on before the stack answers */
    bool done;
    ptrdiff_t result;
    pthread_t thread;
};

enum { PD_SCENES = 8, PD_TUNABLES = 32 };

/* What --so_flags says. */
struct pd_flags {
    struct dr_scene scene;
    struct weir_addr more[PD_SCENES]; /* further local addresses */
    unsigned more_len[PD_SCENES];
    unsigned n_more;
    char commands[4096]; /* "sysctl a=b" lines */
};

struct pd {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a waiter is done, or time may move again */
    struct dr_world world;
    pthread_t first_thread;
    int first_tid;
    struct pd_waiter *waiters;
    bool clock_owed; /* thread `owed` was woken and has not read the clock */
    pthread_t owed;
    _Atomic uint64_t calls; /* of the first thread, to see whether it still does something */

    int control; /* listening socket; -1: none */
    pthread_t control_thread;
};

/* The one there is, for pd_preload.c; NULL before init and after free. */
extern struct pd *wr_pd;

/* Parses the flags; false: *error, of static storage, says what is wrong. */
bool wr_pd_flags_parse(struct pd_flags *flags, const char *text, const char **error);

/* ---- pd_clock.c ------------------------------------------------------------------------------- */

void wr_pd_lock(struct pd *pd);
void wr_pd_unlock(struct pd *pd);
/* After anything that may have changed the stack: collects packets, repeats what waits. */
void wr_pd_settle(struct pd *pd);
/* Tries, and waits as long as the answer is WEIR_EAGAIN, `due` has not come and may_block. */
ptrdiff_t wr_pd_block(struct pd *pd, bool may_block, pd_attempt_fn *attempt, void *arg,
                      weir_time due);
/* The same for a send. While *opening, data to send waits for the connection: it goes with the ACK of
 * the handshake, as when Linux knows of a writer that waits (sk_write_pending). */
ptrdiff_t wr_pd_block_send(struct pd *pd, bool may_block, pd_attempt_fn *attempt, void *arg,
                           const bool *opening);
int wr_pd_usleep(void *userdata, useconds_t us);
int wr_pd_gettimeofday(void *userdata, struct timeval *tv, struct timezone *tz);
int wr_pd_netdev_send(void *userdata, const void *packet, size_t len);
int wr_pd_netdev_receive(void *userdata, void *packet, size_t *len, long long *time_us);

/* ---- descriptors and answers: pd_call.c -------------------------------------------------------- */

/* A new number: an eventfd of the kernel's, so that a close() past the interface does no harm. -1
 * and errno when there are too many. */
int wr_pd_number(void);
/* The result of a call: -1 with errno for a negative error. */
ptrdiff_t wr_pd_answer(ptrdiff_t result);
/* False when the address is not of a family there is, or too short. */
bool wr_pd_endpoint(const struct sockaddr *addr, socklen_t len, struct weir_endpoint *endpoint);
/* Writes as much of the address as *len has room for, and its whole length to *len. */
void wr_pd_sockaddr(const struct weir_endpoint *endpoint, int domain, struct sockaddr *addr,
                    socklen_t *len);

int wr_pd_socket(void *userdata, int domain, int type, int protocol);
int wr_pd_bind(void *userdata, int fd, const struct sockaddr *addr, socklen_t len);
int wr_pd_listen(void *userdata, int fd, int backlog);
int wr_pd_accept(void *userdata, int fd, struct sockaddr *addr, socklen_t *len);
int wr_pd_connect(void *userdata, int fd, const struct sockaddr *addr, socklen_t len);
int wr_pd_fcntl(void *userdata, int fd, int command, ...);
int wr_pd_ioctl(void *userdata, int fd, unsigned long request, ...);
int wr_pd_close(void *userdata, int fd);
int wr_pd_shutdown(void *userdata, int fd, int how);
int wr_pd_getsockopt(void *userdata, int fd, int level, int option, void *value, socklen_t *len);
int wr_pd_setsockopt(void *userdata, int fd, int level, int option, const void *value,
                     socklen_t len);

/* ---- pd_io.c ----------------------------------------------------------------------------------- */

ssize_t wr_pd_read(void *userdata, int fd, void *data, size_t len);
ssize_t wr_pd_readv(void *userdata, int fd, const struct iovec *iov, int n);
ssize_t wr_pd_recv(void *userdata, int fd, void *data, size_t len, int flags);
ssize_t wr_pd_recvfrom(void *userdata, int fd, void *data, size_t len, int flags,
                       struct sockaddr *from, socklen_t *from_len);
ssize_t wr_pd_recvmsg(void *userdata, int fd, struct msghdr *msg, int flags);
ssize_t wr_pd_write(void *userdata, int fd, const void *data, size_t len);
ssize_t wr_pd_writev(void *userdata, int fd, const struct iovec *iov, int n);
ssize_t wr_pd_send(void *userdata, int fd, const void *data, size_t len, int flags);
ssize_t wr_pd_sendto(void *userdata, int fd, const void *data, size_t len, int flags,
                     const struct sockaddr *to, socklen_t to_len);
ssize_t wr_pd_sendmsg(void *userdata, int fd, const struct msghdr *msg, int flags);
/* sendfile(2) to a socket of the stack. */
ssize_t wr_pd_sendfile(struct pd *pd, int out, int in, off_t *offset, size_t len);

/* ---- pd_wait.c --------------------------------------------------------------------------------- */

int wr_pd_poll(void *userdata, struct pollfd *fds, nfds_t n, int timeout_ms);
int wr_pd_epoll_create(void *userdata, int size);
int wr_pd_epoll_ctl(void *userdata, int epoll, int op, int fd, struct epoll_event *event);
int wr_pd_epoll_wait(void *userdata, int epoll, struct epoll_event *events, int max,
                     int timeout_ms);
int wr_pd_pipe(void *userdata, int fds[2]);
int wr_pd_splice(void *userdata, int in, loff_t *in_off, int out, loff_t *out_off, size_t len,
                 unsigned flags);

/* ---- pd_control.c ------------------------------------------------------------------------------ */

/* The name of the environment's variable that tells the script's commands where to find us. */
#define PD_CONTROL_ENV "WEIR_PACKETDRILL"

/* Begins to listen for commands and sets PD_CONTROL_ENV. False: errno. */
bool wr_pd_control_begin(struct pd *pd);
void wr_pd_control_end(struct pd *pd);

#endif
