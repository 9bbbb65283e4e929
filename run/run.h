/* SPDX-License-Identifier: MIT */
/*
 * Runs unmodified programs with their TCP sockets on Weir. What a user of this folder calls is in
 * this header; what its files share is in run_int.h.
 *
 * How it works
 *
 *   program                           | supervisor (this process, one thread)
 *   ----------------------------------+----------------------------------------------------
 *   socket(), bind(), connect(), ...  | a seccomp filter turns the call into a notification;
 *        (stopped)                    | the supervisor works it out on a Weir socket and answers
 *                                     |
 *   read, write, send, recv, poll,    |            one AF_UNIX stream pair per TCP socket
 *   epoll, select, dup, fork, exec,  =====fd===== [program's end | supervisor's end] <-> Weir socket
 *   sendfile, splice, close: native   |                               pumped by run_pump.c
 *
 *   - socket() gives the program an AF_UNIX socket, which stays the same file until its last close and
 *     becomes one end of a pair when it connects or listens (run_lone.c). Descriptors, reference counts,
 *     readiness and blocking are then the kernel's business. The supervisor never keeps the program's
 *     end, so it reads the last close as a hang-up.
 *   - A descriptor in a call is known by fetching it (pidfd_getfd) and by the inode of the file, so
 *     dup, fork, exec, threads and SCM_RIGHTS need no bookkeeping. A descriptor that is not ours is
 *     left to the kernel (SECCOMP_USER_NOTIF_FLAG_CONTINUE).
 *   - While a socket is connecting, or listens, the program's end is filled with bytes from the program's
 *     side, so that poll shows no POLLOUT; when the connection is there the supervisor takes them out,
 *     which makes the edge that epoll waits for. Bytes that the program wrote early are sent first.
 *   - At least a byte of what the program sent always stays unread in the supervisor's end. Closing that end
 *     then makes the program read what is there and after it ECONNRESET: as after a RST. It also does
 *     if the supervisor dies. An orderly end (FIN) is shutdown(SHUT_WR) of the supervisor's end.
 *   - A listening socket's pair holds one byte for each connection that waits in the accept queue.
 *   - A call that must wait (blocking connect or accept) is parked: answered later, by an event of the
 *     Weir socket, a time-out, or a signal to the caller, for which a tick looks while calls are parked.
 *
 * The files
 *
 *   run_filter  the seccomp filter              run_notify  receive, dispatch, answer
 *   run_space   namespaces of the program       run_fd      which socket is that descriptor
 *   run_spawn   fork, exec, exit, signals       run_mem     the program's memory, socket addresses
 *   run_sock    the record of a socket          run_call_*  the calls themselves
 *   run_pump    bytes between pair and Weir     run_park    calls that wait
 *   run_join    on another process's host
 *   run_net     the network it sees             run_guard   ends programs if the supervisor was killed
 *   run_dead    sockets without a pair          run_lone    sockets that are not connected
 *   run_ring    many pairs by one system call   run_heard   calls that wait while a signal is sent
 *
 * What stays the kernel's: UDP, ICMP, raw and netlink sockets. The program has a network namespace of
 * its own when that is possible (as root, or in a user namespace), whose device is a TUN of Weir's: what
 * such a socket sends leaves by the host's links, and what comes for no socket of Weir's goes to it
 * (run_net.c). It never reaches the machine's network. Where no namespace can be had, the filter
 * refuses these sockets: socket() fails with EACCES.
 *
 * Limits: a socket that is not connected says ENOTCONN to a write() and EINVAL to a read() (Linux: EPIPE,
 * ENOTCONN); a reset is read as ECONNRESET whatever its cause, only SO_ERROR knows better; SO_LINGER with a time does not make close() wait; io_uring is refused (ENOSYS); one weir_run
 * for each process, and not under another supervisor with a notifying filter.
 */
#ifndef WEIR_RUN_H
#define WEIR_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/control.h>

struct weir_run;
struct weir_program;

/* What the supervisor tells its owner, in the loop's thread. Any may be NULL. */
struct weir_run_events {
    /* The program has ended: its first process is gone (`wait_status` as of waitpid) and so are all
     * that it left behind. The program may be freed here. */
    void (*on_exit)(void *arg, struct weir_program *program, int wait_status);
    /* The program made a socket listen. */
    void (*on_listen)(void *arg, struct weir_program *program, const struct weir_endpoint *local);
    /* A connection is over, or a connect failed: one line of text without a newline. */
    void (*on_report)(void *arg, struct weir_program *program, const char *line);
    void *arg;
};

struct weir_run_options {
    const char *hostname; /* what gethostname() says; NULL: the machine's */
    const char *hosts;    /* text of /etc/hosts as the program sees it; NULL: the machine's */
    const char *resolv;   /* the same for /etc/resolv.conf */
    int stdio[3];         /* descriptors to become 0, 1, 2; -1: the caller's own */
    int join; /* a stream to a process that calls weir_run_let_in() on its end: the program is put on
                     that one's host, and hosts, resolv and hostname are that one's. -1: no */
    struct weir_run_events events;
};

/* All defaults: stdio and join -1, the rest 0. */
void weir_run_options_default(struct weir_run_options *options);

/* Makes the supervisor on a loop. It takes SIGCHLD for itself (blocked, read by a signalfd), makes the
 * process a subreaper of its descendants, raises RLIMIT_NOFILE to the hard limit, lets malloc() keep up to 32 MB
 * that was freed, and puts the calling thread under SCHED_BATCH if it is under SCHED_OTHER. WEIR_EBUSY if the
 * process has one already; WEIR_ENOTSUP if the kernel has no seccomp notification (before 5.19);
 * WEIR_EPERM if pidfd_getfd or process_vm_readv are forbidden, as in some containers. */
int weir_run_new(struct weir_loop *loop, struct weir_run **run);
/* Frees it and all programs' records. Programs that still run lose their network, and are killed two
 * seconds later if they have a network namespace of their own. */
void weir_run_free(struct weir_run *run);

/* Whose a row's socket is: the inode of the program's descriptor, and the program's first process. False:
 * of no program of this run. */
bool weir_run_user(const struct weir_run *run, const struct weir_sock_row *row,
                   struct weir_control_user *user);

/* The file, of an absolute path under 512 bytes, is removed if this process is killed. */
void weir_run_remove_if_killed(struct weir_run *run, const char *path);

/* True when no socket is open: what ended programs wrote last is with Weir, all of it. */
bool weir_run_idle(const struct weir_run *run);

/* Starts argv[0] (found in PATH) with its TCP sockets on `host`, which must live as long as the program;
 * NULL when it joins another process's, whose stream is then the program's from here on. Options are copied as far as needed. Returns 0 and *program, or a negative error with a sentence in
 * error[cap] that says what went wrong; WEIR_ENOENT and WEIR_EACCES: argv[0] cannot be run. */
int weir_run_spawn(struct weir_run *run, struct weir_host *host,
                   const struct weir_run_options *options, char *const argv[],
                   struct weir_program **program, char *error, size_t cap);

/* Puts a program of another process, the user's own, on `host`: that one calls weir_run_spawn() with the other
 * end of `fd`, a stream of AF_UNIX, as `join`. Of the options hosts, resolv and events (all but on_exit)
 * count. Takes fd unless an error is returned. The theory is in run_join.c. */
int weir_run_let_in(struct weir_run *run, struct weir_host *host,
                    const struct weir_run_options *options, int fd);
/* How many programs of other processes are on hosts of this one, or on their way. */
unsigned weir_run_joined(const struct weir_run *run);
/* Sends a signal to them, by way of their processes. */
void weir_run_signal_joined(struct weir_run *run, int sig);

/* Sends a signal to the program's first process. WEIR_ENOENT: it has ended. */
int weir_program_signal(struct weir_program *program, int sig);
/* Sends a signal to every process that the program consists of, orphans included. */
void weir_program_signal_all(struct weir_program *program, int sig);
/* True if this process is one of those. */
bool weir_program_has(const struct weir_program *program, int pid);
/* The process id of its first process. */
int weir_program_pid(const struct weir_program *program);
/* True if the program has a network namespace of its own. */
bool weir_program_isolated(const struct weir_program *program);
/* True if its sockets that are not TCP reach what the host reaches; else, they reach the host itself, and
 * without a namespace they are refused. */
bool weir_program_reaches(const struct weir_program *program);
/* Forgets the program; its sockets are closed. Only once it has ended. */
void weir_program_free(struct weir_program *program);

#endif
