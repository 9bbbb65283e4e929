/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's record of a socket of the program: the pair, the Weir socket, and what state they are
 * in. Records are found by the inode of the program's end, in a hash table that grows.
 *
 * A record lives until the program's last close, which our end of the pair shows as a hang-up. When our
 * end had to be closed before that (reset; both directions ended) the record is "dead": it still answers
 * getsockname, getpeername and SO_ERROR. Its last close cannot be seen: run_dead.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weir/info.h>
#include <weir/trace.h>

#include "run/run_int.h"

enum {
    /* Twice this becomes SO_SNDBUF, as the kernel doubles it; the usual net.core.wmem_max allows it. */
    PAIR_SNDBUF = 212992,
    /* A stream socket is writable for poll() while four times what it has in flight fits SO_SNDBUF. */
    WRITABLE_DIVISOR = 4,
    FILL_MAX = 1 << 20
};

/*
 * How large the pair must be. A byte that is kept back pins the whole buffer it came in: up to 36 KiB of
 * a write, 64 KiB of a sendfile. If that were more than a quarter of SO_SNDBUF the program would never
 * again see POLLOUT. The default SO_SNDBUF (208 KiB) is too small for it, twice that is not. For the same
 * reason the last byte of the filling, which is the first to be kept, is sent by itself.
 */

/* ---- the table -------------------------------------------------------------------------------- */

static size_t bucket_of(const struct weir_run *run, ino_t ino)
{
    return (size_t)((uint64_t)ino * 0x9e3779b97f4a7c15u >> 32) & (run->n_buckets - 1);
}

static bool table_grow(struct weir_run *run)
{
    size_t n = run->n_buckets ? run->n_buckets * 2 : 64;
    struct run_sock **fresh = calloc(n, sizeof *fresh);
    struct run_sock **old = run->socks;
    size_t n_old = run->n_buckets;
    if (!fresh)
        return run->n_buckets != 0;
    run->socks = fresh;
    run->n_buckets = n;
    for (size_t i = 0; i < n_old; i++) {
        for (struct run_sock *rs = old[i], *next; rs; rs = next) {
            next = rs->bucket_next;
            size_t b = bucket_of(run, rs->ino);
            rs->bucket_next = fresh[b];
            fresh[b] = rs;
        }
    }
    free(old);
    return true;
}

bool wr_run_sock_enter(struct weir_run *run, struct run_sock *rs)
{
    struct run_sock *old = wr_run_sock_find(run, rs->ino);
    if (old) /* closed unseen, and its inode's number used again */
        wr_run_sock_drop(old, false);
    if (run->n_socks >= run->n_buckets && !table_grow(run))
        return false;
    size_t b = bucket_of(run, rs->ino);
    rs->bucket_next = run->socks[b];
    run->socks[b] = rs;
    run->n_socks++;
    return true;
}

static void table_remove(struct weir_run *run, struct run_sock *rs)
{
    for (struct run_sock **p = &run->socks[bucket_of(run, rs->ino)]; *p; p = &(*p)->bucket_next) {
        if (*p == rs) {
            *p = rs->bucket_next;
            run->n_socks--;
            return;
        }
    }
}

struct run_sock *wr_run_sock_find(const struct weir_run *run, ino_t ino)
{
    if (!run->n_buckets)
        return NULL;
    struct run_sock *rs = run->socks[bucket_of(run, ino)];
    while (rs && rs->ino != ino)
        rs = rs->bucket_next;
    return rs;
}

bool weir_run_user(const struct weir_run *run, const struct weir_sock_row *row,
                   struct weir_control_user *user)
{
    const struct run_sock *rs = wr_run_sock_find(run, (ino_t)row->user);
    char path[32], *newline;
    if (!rs || rs->sock != row->sock)
        return false;
    user->pid = rs->program->pid;
    user->inode = (uint64_t)rs->ino;
    snprintf(path, sizeof path, "/proc/%d/comm", (int)rs->program->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, user->program, sizeof user->program - 1);
    if (fd >= 0)
        close(fd);
    user->program[n > 0 ? n : 0] = '\0';
    if ((newline = strchr(user->program, '\n')))
        *newline = '\0';
    return true;
}

/* ---- making one ------------------------------------------------------------------------------- */

/* The last byte goes by itself: see above. */
static bool send_one(int end)
{
    return send(end, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

void wr_run_sock_widen(int end)
{
    int sndbuf = PAIR_SNDBUF;
    (void)setsockopt(end, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
}

/* What the program wrote too early is behind the byte that is kept, and must stay in front of the filling. */
static bool save_early(struct run_sock *rs)
{
    char kept;
    int n = 0;
    if (ioctl(rs->fd, FIONREAD, &n) < 0 || n < 1)
        return false;
    size_t early = (size_t)n - 1;
    if (early == 0)
        return true;
    /* Bytes from before an earlier connect, which failed, are there already. */
    uint8_t *hold = realloc(rs->hold, rs->hold_len + early);
    if (!hold)
        return false;
    rs->hold = hold;
    struct iovec iov[2] = {{&kept, 1}, {hold + rs->hold_len, early}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (recvmsg(rs->fd, &msg, MSG_DONTWAIT) != n)
        return false;
    rs->unread = 0;
    rs->hold_len += early;
    return true;
}

bool wr_run_sock_fill(struct run_sock *rs, int end)
{
    static const char filling[FILL_MAX]; /* zeros */
    int sndbuf = 0;
    socklen_t len = sizeof sndbuf;
    wr_run_sock_widen(end);
    if (!save_early(rs) || getsockopt(end, SOL_SOCKET, SO_SNDBUF, &sndbuf, &len) < 0)
        return false;
    size_t want = (size_t)sndbuf / WRITABLE_DIVISOR + 1;
    ssize_t n = send(end, filling, want < FILL_MAX ? want : FILL_MAX, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        rs->unread += (uint32_t)n;
    if (n <= 0 || !send_one(end))
        return false;
    rs->unread++;
    return true;
}

static int make_pair(bool nonblock, int max, int pair[2], ino_t *ino)
{
    int type = SOCK_STREAM | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0);
    if (socketpair(AF_UNIX, type, 0, pair) < 0)
        return errno == EMFILE ? -ENFILE : -errno;
    if (pair[0] >= max || pair[1] >= max) {
        close(pair[0]);
        close(pair[1]);
        return -ENFILE;
    }
    *ino = wr_run_fd_inode(pair[1]);
    if (*ino && send_one(pair[1]))
        return 0;
    close(pair[0]);
    close(pair[1]);
    return WEIR_EIO;
}

int wr_run_sock_new(struct weir_program *program, int domain, weir_sock sock, enum run_state state,
                    bool nonblock, struct run_sock **out, int *end)
{
    struct weir_run *run = program->run;
    struct run_sock *rs = calloc(1, sizeof *rs);
    int pair[2];
    int err = WEIR_ENOMEM;
    if (!rs)
        return err;
    err = make_pair(nonblock, run->fds_max, pair, &rs->ino);
    if (err) {
        free(rs);
        return err;
    }
    if (state == RUN_OPEN)
        wr_run_sock_widen(pair[1]);
    rs->unread = 1;
    rs->source.ready = wr_run_pump_ready;
    rs->program = program;
    rs->fd = pair[0];
    rs->domain = domain;
    rs->state = state;
    struct epoll_event event = {.events = RUN_PAIR_EVENTS, .data.ptr = &rs->source};
    if (!wr_run_sock_enter(run, rs)) {
        err = WEIR_ENOMEM;
    } else if (epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, rs->fd, &event) < 0) {
        table_remove(run, rs);
        err = WEIR_ENOMEM;
    }
    if (err) {
        close(pair[0]);
        close(pair[1]);
        free(rs);
        return err;
    }
    if (sock)
        wr_run_sock_set(rs, sock);
    *out = rs;
    *end = pair[1];
    return 0;
}

void wr_run_sock_set(struct run_sock *rs, weir_sock sock)
{
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    rs->sock = sock;
    weir_sock_set_user(stack, sock, rs->ino);
    weir_host_unlock(rs->program->host);
}

/* ---- its life --------------------------------------------------------------------------------- */

/* Takes n bytes off the head of our end's queue. */
static void discard(struct run_sock *rs, size_t n)
{
    rs->ahead = NULL; /* what was read is not true any more */
    while (n > 0) {
        size_t want = n < RUN_SCRATCH_BYTES ? n : RUN_SCRATCH_BYTES;
        ssize_t got = recv(rs->fd, rs->program->run->scratch, want, MSG_DONTWAIT);
        if (got <= 0)
            return;
        n -= (size_t)got;
    }
}

void wr_run_sock_unfill(struct run_sock *rs)
{
    if (rs->unread > 1)
        discard(rs, rs->unread - 1);
    rs->unread = 1;
}

/* Empties the program's end: bytes that it did not read, or the tokens of a listener. */
static void drain(struct run_sock *rs, int end)
{
    uint8_t *scratch = rs->program->run->scratch;
    while (recv(end, scratch, RUN_SCRATCH_BYTES, MSG_DONTWAIT) > 0)
        continue;
}

void wr_run_sock_again(struct run_sock *rs, int end)
{
    int n = 0;
    rs->state = RUN_FRESH;
    rs->tokens = 0;
    rs->connect_news = false;
    rs->error = 0;
    free(rs->hold);
    rs->hold = NULL;
    rs->hold_off = rs->hold_len = 0;
    if (rs->waiting) {
        close(rs->waiting_end);
        wr_run_sock_drop(rs->waiting, true);
        rs->waiting = NULL;
    }
    if (rs->fd < 0)
        return;
    drain(rs, end);
    if (ioctl(rs->fd, FIONREAD, &n) == 0 && n > 1)
        discard(rs, (size_t)n - 1);
    rs->unread = 1;
}

int wr_run_sock_dissolve(struct run_sock *rs, int end)
{
    struct weir_run *run = rs->program->run;
    if (rs->state == RUN_DEAD)
        return 0;
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    int err = weir_sock_connect(stack, rs->sock, NULL, weir_now());
    weir_host_unlock(rs->program->host);
    if (err)
        return err;
    if (rs->state == RUN_OPEN)
        wr_run_sock_report(rs, "dissolved");
    wr_run_park_answer(run, rs->ino, rs->state == RUN_LISTEN ? -EINVAL : -ECONNABORTED);
    if (rs->shut_wr || rs->shut_rd)
        wr_run_sock_die(rs, 0);
    else if (rs->state != RUN_FRESH)
        wr_run_sock_again(rs, end);
    return 0;
}

int wr_run_sock_error(struct run_sock *rs)
{
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    int error = 0;
    size_t len = sizeof error;
    if (weir_sock_getsockopt(stack, rs->sock, WEIR_SOL_SOCKET, WEIR_SO_ERROR, &error, &len,
                             weir_now()) < 0)
        error = 0;
    weir_host_unlock(rs->program->host);
    return error;
}

static void remember_names(struct run_sock *rs, struct weir_stack *stack)
{
    struct weir_endpoint none = {rs->domain == AF_INET ? weir_addr_any4() : weir_addr_any6(), 0};
    if (weir_sock_getsockname(stack, rs->sock, &rs->local) < 0)
        rs->local = none;
    if (weir_sock_getpeername(stack, rs->sock, &rs->peer) < 0)
        rs->peer = none;
}

static const char *state_name(unsigned state)
{
    const char *name = weir_trace_state(state);
    return name != NULL ? name : "?";
}

void wr_run_sock_report(struct run_sock *rs, const char *how)
{
    struct weir_program *program = rs->program;
    struct weir_tcp_info info;
    struct weir_endpoint local, peer;
    char from[WEIR_ENDPOINT_STRLEN], to[WEIR_ENDPOINT_STRLEN], line[320];
    size_t len = sizeof info;
    if (!program->events.on_report || !rs->sock)
        return;
    struct weir_stack *stack = weir_host_lock(program->host);
    memset(&info, 0, sizeof info);
    bool known = weir_sock_getsockopt(stack, rs->sock, WEIR_SOL_TCP, WEIR_TCP_INFO, &info, &len,
                                      weir_now()) == 0;
    if (weir_sock_getsockname(stack, rs->sock, &local) < 0)
        local = rs->local;
    if (weir_sock_getpeername(stack, rs->sock, &peer) < 0)
        peer = rs->target;
    /* What the program has sent goes out, and is sent again, after it has closed. */
    ptrdiff_t waiting = weir_sock_outq(stack, rs->sock);
    weir_host_unlock(program->host);
    weir_endpoint_format(&local, from, sizeof from);
    weir_endpoint_format(&peer, to, sizeof to);
    int n = snprintf(line, sizeof line, "%s %s: %s", from, to, how);
    if (known && rs->state == RUN_OPEN)
        snprintf(line + n, sizeof line - (size_t)n,
                 " in %s; sent %llu, received %llu bytes, %u retransmissions, rtt %.1f ms, mss %u",
                 state_name(info.tcpi_state),
                 (unsigned long long)info.tcpi_bytes_acked +
                     (unsigned long long)(waiting > 0 ? waiting : 0),
                 (unsigned long long)info.tcpi_bytes_received, info.tcpi_total_retrans,
                 info.tcpi_rtt / 1000.0, info.tcpi_snd_mss);
    program->events.on_report(program->events.arg, program, line);
}

static void close_both(struct run_sock *rs, bool reset)
{
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    if (rs->sock) {
        if (reset)
            weir_sock_abort(stack, rs->sock, weir_now());
        weir_sock_close(stack, rs->sock, weir_now());
    }
    weir_host_unlock(rs->program->host);
    rs->sock = 0;
    if (rs->fd >= 0)
        close(rs->fd);
    rs->fd = -1;
    free(rs->hold);
    rs->hold = NULL;
    rs->hold_len = 0;
}

void wr_run_sock_die(struct run_sock *rs, int error)
{
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    remember_names(rs, stack);
    weir_host_unlock(rs->program->host);
    wr_run_sock_report(rs, error ? strerror(error) : "closed");
    if (!error)
        discard(rs, rs->unread); /* with nothing unread the program's end reads end of file */
    close_both(rs, false);
    rs->error = error;
    rs->was_open = rs->state == RUN_OPEN;
    rs->state = RUN_DEAD;
    wr_run_dead_link(rs);
}

static void stop_waiting(struct run_sock *listener)
{
    close(listener->waiting_end);
    listener->waiting->kept_by = NULL;
    listener->waiting = NULL;
}

void wr_run_sock_drop(struct run_sock *rs, bool reset)
{
    struct weir_run *run = rs->program->run;
    struct run_sock *waiting = rs->waiting;
    if (rs->kept_by) /* reset by its peer, and so long ago that only the record was left */
        stop_waiting(rs->kept_by);
    if (waiting)
        stop_waiting(rs);
    if (rs->state == RUN_DEAD || wr_run_lone_is(rs)) {
        wr_run_dead_unlink(rs);
        close_both(rs, false); /* of a dead one: what stood in */
        rs->state = RUN_DEAD;
    } else {
        if (rs->state == RUN_OPEN)
            wr_run_sock_report(rs, reset ? "reset" : "closed");
        close_both(rs, reset);
        rs->state = RUN_DEAD;
    }
    wr_run_park_answer(run, rs->ino, WEIR_EBADF);
    table_remove(run, rs);
    rs->bucket_next = run->garbage;
    run->garbage = rs;
    if (waiting)
        wr_run_sock_drop(waiting, true);
}

void wr_run_sock_drop_all(struct weir_program *program)
{
    struct weir_run *run = program->run;
    for (size_t i = 0; i < run->n_buckets; i++) {
        struct run_sock *rs = run->socks[i];
        while (rs) {
            if (rs->program == program) {
                wr_run_sock_drop(rs, false);
                rs = run->socks[i]; /* a listener takes another with it, which may have been next */
            } else {
                rs = rs->bucket_next;
            }
        }
    }
}

void wr_run_sock_sweep(struct weir_run *run)
{
    while (run->garbage) {
        struct run_sock *rs = run->garbage;
        run->garbage = rs->bucket_next;
        free(rs);
    }
}
