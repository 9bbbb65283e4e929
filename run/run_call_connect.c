/* SPDX-License-Identifier: MIT */
/*
 * connect().
 *
 *                          success                              failure
 *   blocking               pair emptied, 0                      errno; the socket may try again
 *   not blocking           pair emptied: POLLOUT; the next      our end closed: IN OUT ERR HUP, SO_ERROR
 *                          connect() says 0, later EISCONN      says why; a new socket is needed
 *
 * Until it is decided the pair is filled, so that poll shows no POLLOUT. Over loopback, and mostly with a peer on the
 * same machine, the handshake is through before connect() is answered, and there is nothing to fill; a caller
 * that does not block is told EINPROGRESS all the same, as by Linux.
 *
 * A blocking connect whose SO_SNDTIMEO passes fails with EINPROGRESS and goes on as one that does not
 * block, as on Linux (a second one fails with EALREADY); so does one that a signal interrupts.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/run_int.h"

/* Answers a caller that does not block with `busy`, and one that does if its time passes. */
int64_t wr_run_connect_wait(struct run_call *call, int64_t busy)
{
    if (wr_run_fd_nonblock(call->dup))
        return busy;
    return wr_run_park(call, wr_run_fd_deadline(call->dup, SO_SNDTIMEO), (int)-busy);
}

/* The failure is told by the call itself, so the next connect() is a first one again. */
static void start_anew(struct run_sock *rs)
{
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    weir_sock_connect(stack, rs->sock, NULL, weir_now());
    weir_host_unlock(rs->program->host);
    (void)wr_run_sock_error(rs);
}

void wr_run_connect_done(struct run_sock *rs, int error)
{
    struct weir_run *run = rs->program->run;
    if (error) {
        rs->state = RUN_FRESH;
        if (wr_run_park_any(run, rs->ino)) {
            wr_run_sock_report(rs, strerror(error));
            start_anew(rs);
        }
        if (wr_run_park_answer(run, rs->ino, -error) == 0)
            wr_run_sock_die(rs, error);
        return;
    }
    rs->state = RUN_OPEN;
    wr_run_sock_unfill(rs);
    rs->connect_news = wr_run_park_connected(run, rs->ino) == 0;
    wr_run_pump(rs);
}

/* What Linux says when the last connect, which did not block, has failed: its error if nobody read it,
 * after that ECONNABORTED. */
static int64_t connect_dead(struct run_call *call)
{
    int pending = 0;
    socklen_t len = sizeof pending;
    if (call->rs->was_open)
        return -EISCONN;
    if (getsockopt(call->dup, SOL_SOCKET, SO_ERROR, &pending, &len) == 0 && pending &&
        call->rs->error)
        return -call->rs->error;
    return -ECONNABORTED;
}

/* Lets the handshake be carried: over loopback, and with a peer on the same machine, it is through then. True
 * when the connect is decided: *error 0, or a positive errno. */
static bool decided_at_once(struct run_call *call, int *error)
{
    weir_host_carry(call->rs->program->host);
    int ready = weir_sock_ready(call->stack, call->rs->sock);
    *error = ready > 0 && (ready & WEIR_POLLERR) ? wr_run_sock_error(call->rs) : 0;
    return *error || (ready > 0 && (ready & WEIR_POLLOUT));
}

/* The connection is there already. */
static int64_t connect_open(struct run_call *call)
{
    struct run_sock *rs = call->rs;
    int err = wr_run_lone_join(rs, call->dup);
    if (err)
        return err;
    rs->state = RUN_OPEN;
    wr_run_sock_widen(call->dup); /* an edge for those who wait for OUT */
    wr_run_sock_unfill(rs);       /* it may be filled from an attempt before */
    rs->connect_news = wr_run_fd_nonblock(call->dup);
    return rs->connect_news ? -EINPROGRESS : 0;
}

static int64_t connect_refused(struct run_call *call, int error)
{
    call->rs->state = RUN_FRESH;
    if (wr_run_fd_nonblock(call->dup) && wr_run_lone_join(call->rs, call->dup) == 0) {
        wr_run_sock_die(call->rs, error);
        return -EINPROGRESS;
    }
    wr_run_sock_report(call->rs, strerror(error));
    start_anew(call->rs);
    return -error;
}

/* The SYN is on its way. */
int64_t wr_run_connect_follow(struct run_call *call)
{
    struct run_sock *rs = call->rs;
    int error;
    if (decided_at_once(call, &error))
        return error ? connect_refused(call, error) : connect_open(call);
    int err = wr_run_lone_join(rs, call->dup);
    if (err)
        return err;
    rs->state = RUN_CONNECTING;
    if (rs->unread <= 1 && !wr_run_sock_fill(rs, call->dup))
        return WEIR_ENOMEM;
    return wr_run_connect_wait(call, -EINPROGRESS);
}

static int64_t connect_start(struct run_call *call, const struct weir_endpoint *remote)
{
    struct run_sock *rs = call->rs;
    rs->target = *remote;
    wr_run_park_reap(call->run, remote->port);
    int err = weir_sock_connect(call->stack, rs->sock, &rs->target, weir_now());
    if (err == 0)
        err = wr_run_lone_join(rs, call->dup);
    if (err == 0) {
        rs->state = RUN_OPEN;
        wr_run_sock_widen(call->dup);
        wr_run_sock_unfill(rs);
        return 0;
    }
    return err == WEIR_EINPROGRESS ? wr_run_connect_follow(call) : err;
}

int64_t wr_run_call_connect(struct run_call *call)
{
    struct run_sock *rs = call->rs;
    const __u64 *args = call->req->data.args;
    struct sockaddr_storage from;
    struct weir_endpoint remote;
    int err = wr_run_mem_addr_in(call, args[1], args[2], &from);
    if (err)
        return err;
    if ((int)args[2] < (int)sizeof from.ss_family)
        return -EINVAL;
    if (from.ss_family == AF_UNSPEC)
        return wr_run_sock_dissolve(rs, call->dup);
    switch (rs->state) {
    case RUN_DEAD:
        return connect_dead(call);
    case RUN_CONNECTING:
        return wr_run_connect_wait(call, -EALREADY);
    case RUN_OPEN:
        if (!rs->connect_news)
            return -EISCONN;
        rs->connect_news = false;
        return 0;
    case RUN_LISTEN:
        return -EISCONN;
    case RUN_FRESH:
        break;
    }
    err = wr_run_mem_endpoint(rs->domain, &from, args[2], &remote);
    return err ? err : connect_start(call, &remote);
}
