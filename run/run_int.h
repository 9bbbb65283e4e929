/* SPDX-License-Identifier: MIT */
/* What the files of run/ share. The map and the theory are in run.h. */
#ifndef WEIR_RUN_INT_H
#define WEIR_RUN_INT_H

#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <weir/host.h>

#include "run/run.h"

struct run_ahead;
struct run_heard;
struct run_joiner;
struct run_ring;
struct run_sock;

/* Something in the supervisor's epoll: what to do when it is ready. Embedded in its owner. */
struct run_source {
    void (*ready)(struct run_source *source, uint32_t events);
};

enum {
    RUN_PIDFD_SLOTS = 256, /* of the cache of run_fd.c */
    RUN_FDS_RESERVE = RUN_PIDFD_SLOTS + 64,
    RUN_SCRATCH_BYTES = 256 << 10, /* what is read from a pair at once */
    RUN_RING_MAX = 64              /* of run_ring.c; epoll tells no more events at once */
};
#define RUN_PAIR_EVENTS                                                                            \
    (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET) /* what our end of a pair is watched for */

struct run_pidfd {
    pid_t tid;
    int fd; /* -1: none */
};

struct weir_run {
    struct weir_loop *loop;
    int epoll_fd; /* the loop's; -1: not ours yet */
    struct run_source signals;
    int signal_fd;
    sigset_t saved_mask;
    struct sigaction saved_chld;
    struct rlimit saved_nofile;
    int fds_max; /* pairs are refused from here on, so that calls can still be served */
    struct weir_program *programs; /* linked by next */
    pid_t guard;                   /* run_guard.c; 0: none */
    int guard_fd;

    struct run_sock **socks; /* run_sock.c: hash by inode, chained by bucket_next */
    size_t n_buckets, n_socks;
    struct run_sock *dead_first, *dead_last; /* without a pair, oldest first */
    size_t n_dead, dead_look_at;
    struct run_sock *garbage; /* freed when the batch of events is through */

    int door_fd, door_path_fd; /* run_lone.c */

    struct run_park *parks; /* run_park.c */
    size_t n_parks, park_turn;

    struct run_heard *heard;    /* run_heard.c: calls received and not served, oldest first */
    struct run_net *nets;       /* run_net.c */
    struct run_joiner *joiners; /* run_join.c */
    unsigned n_joiners;

    struct run_pidfd pidfds[RUN_PIDFD_SLOTS];
    uint8_t *scratch;
    struct run_ring *ring;   /* run_ring.c; NULL: none is to be had */
    struct run_ahead *ahead; /* run_pump.c: RUN_RING_MAX reads; NULL: no ring */
    size_t n_ahead;
    struct run_sock *later[RUN_RING_MAX]; /* run_pump.c: have bytes for the program */
    size_t n_later;
    bool told_undumpable; /* the warning of run_fd.c was given */
    bool can_isolate;     /* namespaces are to be had */
    bool stepped_back;    /* under SCHED_BATCH */
};

struct weir_program {
    struct run_source listener;
    struct weir_run *run;
    struct weir_host *host;
    struct weir_program *next;
    struct weir_run_events events;
    pid_t pid;
    int listener_fd; /* seccomp notifications; -1: no process of it is left */
    bool isolated;
    bool first_ended;     /* the first process; wait_status is its */
    bool told;            /* on_exit was called */
    struct run_net *net;  /* run_net.c; NULL: it is not isolated */
    int join_fd;          /* run_join.c: to the process whose host it is on; -1: that is this one */
    char *hosts, *resolv; /* for run_call_open.c; NULL: the machine's */
    int wait_status;
};

/* ---- run_filter.c ----------------------------------------------------------------------------- */

/* Makes the filter's program for seccomp(2). For a program that is not `isolated`, Internet sockets
 * other than TCP fail with EACCES. `opens`: open() and openat() are notified (run_call_open.c). The
 * caller frees fprog->filter. 0 or a negative error. */
struct sock_fprog;
int wr_run_filter_build(bool isolated, bool opens, struct sock_fprog *fprog);
/* Puts it on the calling process. Returns the listener's descriptor (close-on-exec) or a negative
 * error; WEIR_EBUSY: there is a listener already. Sets no_new_privs if it must. Async-signal-safe. */
int wr_run_filter_load(const struct sock_fprog *fprog);

/* ---- run_message.c ---------------------------------------------------------------------------- */

enum { RUN_MESSAGE_FDS = 8 }; /* at most */

/* Sends `size` bytes with n_fds descriptors, which stay the caller's. False: it did not go. */
bool wr_run_say(int sock, const void *word, size_t size, const int *fds, size_t n_fds);
/* Receives such a message: its size, 0 at the end, -1 and errno. The caller owns fds; -1 where none came. */
ssize_t wr_run_hear(int sock, void *word, size_t size, int *fds, size_t n_fds);
/* Those that are not -1. */
void wr_run_close_all(const int *fds, size_t n_fds);

/* ---- run_space.c ------------------------------------------------------------------------------ */

/* What the program's namespaces are to be. */
struct run_space {
    const char *hosts, *resolv, *hostname; /* as of weir_run_options */
    const int *
        join; /* descriptors of namespaces to enter, RUN_SPACES of them, -1: none; NULL: make them */
    bool wanted; /* false: none, the program stays where it is */
    uid_t uid;
    gid_t gid;
};
/* Of namespaces, as files in /proc/PID/ns, in the order in which they are to be entered. */
enum { RUN_SPACES = 3 };
extern const char *const wr_run_space_names[RUN_SPACES];
/* In the child: leaves for namespaces of its own, or for those to join. 1: isolated; 0: not possible here; negative: an error
 * half way, with *what naming the step. */
int wr_run_space_enter(const struct run_space *space, const char **what);
/* True if a child can have namespaces here (asked by trying, in a child of its own). */
bool wr_run_space_possible(void);
/* ---- run_net.c -------------------------------------------------------------------------------- */

struct run_net;

/* In the child, in its network namespace: makes the device, if there can be one (*tun is -1 else), and
 * returns a netlink socket, or a negative error. */
int wr_run_net_open(int *tun);
/* The namespaces of an earlier program on this host; NULL: there was none. */
struct run_net *wr_run_net_of(const struct weir_run *run, const struct weir_host *host);
/* Its namespaces, for struct run_space; lent. */
const int *wr_run_net_spaces(const struct run_net *net);
/* Makes it of what the program's child has opened (owned from here on, errors included), and gives it the
 * host's addresses and routes. The program is in it then. 0 or a negative error. */
int wr_run_net_make(struct weir_program *program, int netlink, int tun);
/* The program comes into it, goes. While one is in it the host's addresses are followed. */
void wr_run_net_join(struct weir_program *program, struct run_net *net);
void wr_run_net_leave(struct weir_program *program);
/* False: there is no TUN, the program's own sockets end in the namespace. */
bool wr_run_net_reaches(const struct run_net *net);
/* Forgets all, when no program is left. */
void wr_run_net_forget(struct weir_run *run);

/* ---- run_guard.c ------------------------------------------------------------------------------ */

int wr_run_guard_start(struct weir_run *run);
/* The program of process `pid` is all who are in its namespace of that kind ("net", "uts"). */
void wr_run_guard_add(struct weir_run *run, pid_t pid, const char *kind);
/* needed: programs still run, and are to be ended by the guard. */
void wr_run_guard_end(struct weir_run *run, bool needed);

/* ---- run_spawn.c ------------------------------------------------------------------------------ */

/* The listener hung up: no process of the program is left. */
void wr_run_spawn_gone(struct weir_program *program);
/* Tells on_exit, once, if all is over. The program may be freed. */
void wr_run_spawn_tell(struct weir_program *program);
/* The record of a program that another process has started, whose listener is served here from now on (and
 * closed, errors included). on_exit is told when no process of it is left. 0 or a negative error. */
int wr_run_spawn_adopt(struct weir_run *run, struct weir_host *host,
                       const struct weir_run_options *options, pid_t pid, int listener,
                       struct weir_program **program);
/* True if a file that the program is to see has no place to be laid over, so that opens must be notified. */
bool wr_run_spawn_opens(const char *hosts, const char *resolv);

/* ---- run_join.c ------------------------------------------------------------------------------- */

/* What a host tells a joiner. */
struct run_welcome {
    bool isolated, opens;
    int spaces[RUN_SPACES]; /* the joiner's to close */
    char *hosts,
        *resolv; /* and to free: what the host's programs see as these files; NULL: the machine's */
};
/* For the joiner, blocking. WEIR_ECONNRESET: the host is gone. */
int wr_run_join_welcome(int sock, struct run_welcome *welcome);
int wr_run_join_hand_over(int sock, pid_t pid, int listener);
/* Follows the host of a program that has joined it: its word that all is over, its end. */
int wr_run_join_watch(struct weir_program *program);
void wr_run_join_close(struct weir_program *program);
/* The host's side: all conversations end. After the programs have been freed, which tell by them. */
void wr_run_join_forget(struct weir_run *run);

/* ---- run_sock.c ------------------------------------------------------------------------------- */

enum run_state {
    RUN_FRESH,      /* lone (run_lone.c), or with the pair of what was dissolved */
    RUN_CONNECTING, /* SYN sent: the pair is filled */
    RUN_OPEN,       /* bytes flow */
    RUN_LISTEN,     /* the pair is filled, and holds tokens the other way */
    RUN_DEAD        /* the supervisor's end is closed; names and the error are still known */
};

struct run_sock {
    struct run_source source;
    struct weir_program *program;
    ino_t ino;      /* of the program's end */
    int fd;         /* the supervisor's end; -1 when dead */
    weir_sock sock; /* dead: 0, or a fresh one that stands in for it (wr_run_call_stand_in) */
    enum run_state state;
    int domain;
    uint32_t unread; /* bytes at the head of our end's queue that are not to be sent (any more): the
                           filling, or the few, but at least one, that are kept back */
    bool many;       /* the last batch of the program's bytes was a large one */
    bool large;      /* the byte kept back may be of a large one */
    bool stalled;    /* Weir had no room for all of them */
    bool wants_out;  /* our end is watched for room, too */
    uint32_t tokens; /* listener: bytes put into the pair and not taken by accept */
    struct run_sock
        *waiting;    /* listener: accepted in Weir, but the program had no descriptor free */
    int waiting_end; /* its pair's other end */
    struct run_sock *kept_by; /* the listener whose `waiting` this is */
    bool connect_news;        /* an asynchronous connect succeeded and no connect() has said so */
    bool urgent;              /* our end shows POLLPRI: run_pump.c */
    bool tuned;    /* options that the pair has itself were set: accepted ones get them */
    bool closed;   /* the program's last descriptor is closed */
    bool later;    /* it is in run->later */
    bool parked;   /* a sendto() waits for room in the pair */
    bool was_open; /* dead: it was a connection */
    bool shut_wr;  /* the program has shut its sending side */
    bool fin_sent; /* and Weir knows */
    bool shut_rd;  /* the program's receiving side is at its end: our end is shut for writing */
    int error;     /* that sending met; dead: what SO_ERROR says if it was not read yet */
    struct weir_endpoint local, peer; /* dead: as they were */
    struct weir_endpoint target;      /* of the connect under way, for reports */
    struct run_ahead *ahead;          /* it is served together with others; else NULL */
    uint8_t *hold;                    /* bytes taken from the pair that Weir had no room for */
    size_t hold_off, hold_len;
    struct run_sock *bucket_next;
    struct run_sock *dead_prev, *dead_next;
    bool lives;     /* dead: seen in the look under way */
    uint8_t missed; /* and not seen in so many before */
};

/* Makes the pair and the record, not yet known to the program; `state` is RUN_FRESH or RUN_OPEN. *end is
 * the program's end, which the caller closes after handing it over. 0, -ENFILE (the supervisor has no
 * descriptor left) or another negative error; on success the record owns `sock`, which may be 0 if
 * wr_run_sock_set() follows. */
int wr_run_sock_new(struct weir_program *program, int domain, weir_sock sock, enum run_state state,
                    bool nonblock, struct run_sock **rs, int *end);
void wr_run_sock_set(struct run_sock *rs, weir_sock sock);
/* Enters a record in the table by its inode. False: no memory. */
bool wr_run_sock_enter(struct weir_run *run, struct run_sock *rs);
/* The record of an inode, or NULL. */
struct run_sock *wr_run_sock_find(const struct weir_run *run, ino_t ino);
/* Makes an end of a pair, mostly the program's, as large as a connection's must be. Who waits to write there is woken, also
 * under EPOLLET: so it also tells the program that it is connected, if the pair was not filled. */
void wr_run_sock_widen(int end);
/* The same, and fills it from its own side: poll shows no POLLOUT from now on. False: no memory. */
bool wr_run_sock_fill(struct run_sock *rs, int end);
/* Takes the filling out but for one byte: the socket becomes writable for the program. */
void wr_run_sock_unfill(struct run_sock *rs);
/* The Weir socket has no connection any more and does not listen: so the record's state is that of a fresh
 * one. What is in the pair is thrown away; `end` is the program's end. */
void wr_run_sock_again(struct run_sock *rs, int end);
/* connect() to AF_UNSPEC. 0 or a negative errno. A pair of which one direction is shut cannot be used again: the
 * record is dead then. */
int wr_run_sock_dissolve(struct run_sock *rs, int end);
/* Closes our end and the Weir socket, remembers names. error 0: the program reads end of file;
 * else it reads ECONNRESET after what is there, and SO_ERROR says `error`. */
void wr_run_sock_die(struct run_sock *rs, int error);
/* The program has closed it: forgets the record. The Weir socket closes, or resets if `reset`. */
void wr_run_sock_drop(struct run_sock *rs, bool reset);
/* Drops all records of a program. */
void wr_run_sock_drop_all(struct weir_program *program);
/* Frees what was dropped while events were being served. */
void wr_run_sock_sweep(struct weir_run *run);
/* SO_ERROR of the Weir socket, read and cleared: a positive errno or 0. */
int wr_run_sock_error(struct run_sock *rs);
/* Tells on_report a line about the connection: how it went. */
void wr_run_sock_report(struct run_sock *rs, const char *how);

/* ---- run_dead.c ------------------------------------------------------------------------------- */

/* The record's state has become RUN_DEAD. Others that the program has closed may be dropped. */
void wr_run_dead_link(struct run_sock *rs);
void wr_run_dead_unlink(struct run_sock *rs);

/* Looks now, and drops those that the program has closed. Returns whether there were some. */
bool wr_run_dead_look(struct weir_run *run);

/* ---- run_lone.c ------------------------------------------------------------------------------- */

/* Opens the door. 0 or a negative errno. */
int wr_run_lone_open(struct weir_run *run);
void wr_run_lone_close(struct weir_run *run);
/* Makes a lone socket and its record, which owns `sock` then. *end is the program's, closed by the caller after
 * handing it over. 0 or a negative error. */
int wr_run_lone_new(struct weir_program *program, int domain, weir_sock sock, bool nonblock,
                    struct run_sock **rs, int *end);
bool wr_run_lone_is(const struct run_sock *rs);
/* Gives it its pair, `end` being the program's; nothing if it has one. 0 or a negative error. */
int wr_run_lone_join(struct run_sock *rs, int end);

/* ---- run_pump.c ------------------------------------------------------------------------------- */

/* Moves what can be moved, both ways, and carries ends and errors over. The record may be dropped. */
void wr_run_pump(struct run_sock *rs);
/* Weir to program; the other way only what Weir had no room for before. */
void wr_run_pump_down(struct run_sock *rs);
/* Program to Weir only: before a control call, so that what was written counts as sent before. False if
 * the connection failed and the record is dead. */
bool wr_run_pump_up(struct run_sock *rs);
/* What it takes to read and write many pairs at once, if that is to be had. */
void wr_run_pump_open(struct weir_run *run);
void wr_run_pump_close(struct weir_run *run);
/* Before so many pairs that are ready are pumped: reads of all at once what is likely small. */
void wr_run_pump_ahead(struct weir_run *run, const struct epoll_event *ready, int n);
/* After it. */
void wr_run_pump_ahead_end(struct weir_run *run);
/* All events have been told: what was put off is done (weir_host_on_told). */
void wr_run_pump_told(void *arg);
/* Puts a byte into a listener's pair for each connection that waits. */
void wr_run_pump_tokens(struct run_sock *rs);
/* An event of the Weir socket (weir_host_on_event). */
void wr_run_pump_event(void *arg, const struct weir_event *event);
/* Our end of a pair became ready (run_source). */
void wr_run_pump_ready(struct run_source *source, uint32_t events);
/* Looks now whether the program's last descriptor is closed, without waiting for the event. */
void wr_run_pump_look(struct run_sock *rs);

/* ---- run_ring.c ------------------------------------------------------------------------------- */

/* NULL: there is none here. The functions below take NULL for a ring that has no room. */
struct run_ring *wr_run_ring_open(void);
void wr_run_ring_close(struct run_ring *ring);
/* Orders a recv(2) or send(2), which does not wait. The memory, and *result, are the ring's until
 * wr_run_ring_go() has returned. False: RUN_RING_MAX are ordered, or the ring does not work. */
bool wr_run_ring_recv(struct run_ring *ring, int fd, void *to, size_t cap, int flags,
                      ssize_t *result);
bool wr_run_ring_send(struct run_ring *ring, int fd, const void *from, size_t len, ssize_t *result);
/* Does what was ordered. Each *result is what the call returned, or a negated errno; -ECANCELED: it was not
 * done. */
void wr_run_ring_go(struct run_ring *ring);

/* ---- run_notify.c ----------------------------------------------------------------------------- */

enum { RUN_EARLY_BYTES = sizeof(struct sockaddr_storage) };

/* A notified call while it is served. */
struct run_call {
    struct weir_run *run;
    struct weir_program *program;
    struct seccomp_notif *req;
    struct weir_stack *stack; /* locked */
    struct run_sock *rs;      /* what args[0] is; NULL for socket() */
    int dup;            /* the program's end, fetched; closed after the call, unless it parks */
    weir_time deadline; /* of a call that was parked before; else 0 */
    uint64_t done;      /* bytes of sendto(), or of the message, sent before it was parked */
    bool counts;        /* messages: its value is how many there were */
    uint32_t messages;  /* that are done with */
    uint64_t
        early_at; /* run_mem.c: what was read of its memory before the descriptor was fetched */
    size_t early_len;
    uint8_t early[RUN_EARLY_BYTES];
};

/* What a call's function returns: a value >= 0 or a negated errno to answer with, or one of these. */
enum {
    RUN_CONTINUE = -100000, /* let the kernel do it */
    RUN_PARKED,             /* answered later */
    RUN_SENT                /* answered already */
};
/* Answers. False if the caller is gone. */
bool wr_run_answer(int listener_fd, uint64_t id, int64_t value);
/* Gives `fd` to the caller as the call's result. 0, or a negative error (WEIR_EMFILE: the caller has no
 * free descriptor; WEIR_ENOENT: it is gone). */
int wr_run_answer_fd(int listener_fd, uint64_t id, int fd, bool cloexec);
/* True while the call is still waiting for its answer. */
bool wr_run_call_alive(int listener_fd, uint64_t id);
/* The listener's descriptor is readable or hung up (run_source). */
void wr_run_notify_ready(struct run_source *source, uint32_t events);

/* ---- run_heard.c ------------------------------------------------------------------------------ */

/* Receives a call of the program of which epoll has just told. False: there is none any more. */
bool wr_run_heard_receive(const struct weir_program *program, struct seccomp_notif *req);
/* Of which epoll has told, at the beginning of the batch: does it wait still? To receive what does not would wait for the
 * program's next call. */
bool wr_run_heard_waits(const struct weir_program *program);
/* Receives all calls that wait, of all programs: before a signal is sent. They are served soon after. */
void wr_run_heard_all(struct weir_run *run);
/* No more is to be served. */
void wr_run_heard_end(struct weir_run *run);
/* Throws away what a program that is going had called. */
void wr_run_heard_forget(struct weir_program *program);
/* Whether this system call sends a signal. */
bool wr_run_heard_is_signal(int nr);

/* ---- run_fd.c --------------------------------------------------------------------------------- */

/* Fetches descriptor `fd` of thread `tid`. A descriptor of ours, or a negative error. *known: the id is of the
 * same process as in an earlier call and has been until now; else who called is still to be asked. */
int wr_run_fd_get(struct weir_run *run, pid_t tid, int fd, bool *known);
/* Its inode if it is a socket, else 0. */
ino_t wr_run_fd_inode(int fd);
bool wr_run_fd_nonblock(int fd);
/* SO_SNDTIMEO or SO_RCVTIMEO as a deadline from now; WEIR_TIME_NEVER when not set. */
weir_time wr_run_fd_deadline(int fd, int option);
/* Tries on itself what the supervisor does to programs. 0, or WEIR_EPERM. */
int wr_run_fd_test(struct weir_run *run);
void wr_run_fd_forget(struct weir_run *run);

/* ---- run_mem.c -------------------------------------------------------------------------------- */

/* Reads ahead what the call will ask for, RUN_EARLY_BYTES at most. It counts once something that comes after has
 * shown that the caller lives; till then nothing may be done with it. */
void wr_run_mem_early(struct run_call *call, uint64_t from, size_t len);
/* Copies from or to the caller's memory, checking that the caller is still the one that called.
 * 0, WEIR_EFAULT, or WEIR_ENOENT if it is gone. */
int wr_run_mem_read(const struct run_call *call, uint64_t from, void *to, size_t len);
int wr_run_mem_write(const struct run_call *call, uint64_t to, const void *from, size_t len);
/* The same for a value and its length, which are written together. */
int wr_run_mem_write_value(const struct run_call *call, uint64_t to, const void *from, size_t len,
                           uint64_t to_len, int told_len);
/* Reads a struct msghdr and its list of pieces, with Linux's checks: EINVAL, EMSGSIZE, EFAULT. *pieces is the caller's to
 * free, and *len what they hold together. */
int wr_run_mem_message(const struct run_call *call, uint64_t from, struct msghdr *head,
                       struct iovec **pieces, uint64_t *len);
/* Reads a socket address of any family. EINVAL for a length that none has. */
int wr_run_mem_addr_in(const struct run_call *call, uint64_t addr, uint64_t len,
                       struct sockaddr_storage *from);
/* What it says to a socket of `domain`, with Linux's checks: EINVAL for a wrong length, EAFNOSUPPORT for
 * a wrong family. An address of AF_UNSPEC is not for this function. */
int wr_run_mem_endpoint(int domain, const struct sockaddr_storage *from, uint64_t len,
                        struct weir_endpoint *endpoint);
/* Writes one: as much as *len allows, and its whole length to *len. */
int wr_run_mem_addr_out(const struct run_call *call, int domain,
                        const struct weir_endpoint *endpoint, uint64_t addr, uint64_t len_addr);

/* ---- run_call_*.c ------------------------------------------------------------------------------ */

int64_t wr_run_call_socket(struct run_call *call);
int64_t wr_run_call_bind(struct run_call *call);
int64_t wr_run_call_listen(struct run_call *call);
int64_t wr_run_call_accept(struct run_call *call);
int64_t wr_run_call_connect(struct run_call *call);
int64_t wr_run_call_getsockname(struct run_call *call);
int64_t wr_run_call_getpeername(struct run_call *call);
int64_t wr_run_call_setsockopt(struct run_call *call);
int64_t wr_run_call_getsockopt(struct run_call *call);
int64_t wr_run_call_shutdown(struct run_call *call);
int64_t wr_run_call_sendto(struct run_call *call);
int64_t wr_run_call_recv(struct run_call *call);
int64_t wr_run_call_ioctl(struct run_call *call);
/* SO_ERROR, read and cleared: a positive errno or 0. */
int wr_run_call_error(struct run_call *call);
/* After the death of the socket's Weir socket: a fresh one in its place, which can say what options there are
 * and what an address is worth. False: there is no memory. */
bool wr_run_call_stand_in(struct run_call *call);
int64_t wr_run_call_open(struct run_call *call);

int64_t wr_run_call_sendmsg(struct run_call *call);
int64_t wr_run_call_sendmmsg(struct run_call *call);
/* The SYN is on its way. What to answer: the outcome if it is known, what a caller says that does not block, or it parks. */
int64_t wr_run_connect_follow(struct run_call *call);
/* A connect is under way: `busy` for a caller that does not block, and one that does if its time passes. */
int64_t wr_run_connect_wait(struct run_call *call, int64_t busy);
/* The connect under way is decided: error 0 or a positive errno. The record may die. */
void wr_run_connect_done(struct run_sock *rs, int error);

/* ---- run_park.c ------------------------------------------------------------------------------- */

/* A call that waits. */
struct run_park {
    struct run_park *next;
    struct weir_program *program;
    struct seccomp_notif req;
    int dup;            /* the program's end: as in Linux, a call keeps what it was called on */
    ino_t ino;          /* of the socket it waits for */
    uint16_t port;      /* of the listener it waits for; 0: it waits for something else */
    weir_time deadline; /* WEIR_TIME_NEVER */
    int timeout_error;  /* positive errno to answer with then */
    uint64_t done;      /* of run_call, and so the next */
    uint32_t messages;
    int64_t value; /* answered then or when a signal comes, if it is not 0 */
};
/* Parks the call until an event of its socket, and takes call->dup. If it was parked before, its first
 * deadline counts. RUN_PARKED, or WEIR_ENOMEM. */
int64_t wr_run_park(struct run_call *call, weir_time deadline, int timeout_error);
/* Serves parked calls of this socket again, oldest first, as long as they do not park again. */
void wr_run_park_retry(struct weir_run *run, ino_t ino);
/* Answers all of them with this value. Returns how many. */
unsigned wr_run_park_answer(struct weir_run *run, ino_t ino, int64_t value);
/* The connection is there: answers connect() with 0, and serves a sendto() again. Returns how many. */
unsigned wr_run_park_connected(struct weir_run *run, ino_t ino);
bool wr_run_park_any(const struct weir_run *run, ino_t ino);
/* Forgets those of a program. */
void wr_run_park_drop(struct weir_program *program);
/* Closes the listeners on this port that only calls of killed callers keep open: whoever has seen such a
 * process end may rely on that. */
void wr_run_park_reap(struct weir_run *run, uint16_t port);

/* Serves a call: fills in what the functions above need, dispatches, answers. `park` is NULL, or the call
 * as it was parked, of which it takes the descriptor. */
void wr_run_notify_serve(struct weir_program *program, struct seccomp_notif *req,
                         const struct run_park *park);

#endif
