/* SPDX-License-Identifier: MIT */
/*
 * connect(), and sendto() on a stream.
 *
 *                          success                              failure
 *   blocking               pair emptied, 0                      errno; the socket may try again
 *   not blocking           pair emptied: POLLOUT; the next      our end closed: IN OUT ERR HUP, SO_ERROR
 *                          connect() says 0, later EISCONN      says why; a new socket is needed
 *
 * Until it is decided the pair is filled, so that poll shows no POLLOUT. Over loopback the handshake is
 * through before connect() is answered, and there is nothing to fill; a caller that does not block is told
 * EINPROGRESS all the same, as by Linux.
 *
 * A blocking connect whose SO_SNDTIMEO passes fails with EINPROGRESS and goes on as one that does not
 * block, as on Linux (a second one fails with EALREADY); so does one that a signal interrupts.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "run/run_int.h"

/* Answers a caller that does not block with `busy`, and one that does if its time passes. */
static int64_t wait_for_it(struct run_call *call, int64_t busy)
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
    rs->connect_news = wr_run_park_answer(run, rs->ino, 0) == 0;
    wr_run_pump(rs);
}

/* What Linux says when the last connect, which did not block, has failed: its error if nobody read it,
 * after that ECONNABORTED. */
static int64_t connect_dead(struct run_call *call)
{
    int pending = 0;
    socklen_t len = sizeof pending;
    if (getsockopt(call->dup, SOL_SOCKET, SO_ERROR, &pending, &len) == 0 && pending &&
        call->rs->error)
        return -call->rs->error;
    return -ECONNABORTED;
}

/* Lets loopback carry the handshake. True when the connect is decided: *error 0, or a positive errno. */
static bool decided_at_once(struct run_call *call, int *error)
{
    weir_time now = weir_now();
    if (weir_deadline(call->stack) <= now)
        weir_advance(call->stack, now);
    int ready = weir_sock_ready(call->stack, call->rs->sock);
    *error = ready > 0 && (ready & WEIR_POLLERR) ? wr_run_sock_error(call->rs) : 0;
    return *error || (ready > 0 && (ready & WEIR_POLLOUT));
}

/* The connection is there already. */
static int64_t connect_open(struct run_call *call)
{
    struct run_sock *rs = call->rs;
    rs->state = RUN_OPEN;
    wr_run_sock_widen(call->dup);
    wr_run_sock_unfill(rs); /* it may be filled from an attempt before */
    rs->connect_news = wr_run_fd_nonblock(call->dup);
    return rs->connect_news ? -EINPROGRESS : 0;
}

static int64_t connect_refused(struct run_call *call, int error)
{
    if (wr_run_fd_nonblock(call->dup)) {
        wr_run_sock_die(call->rs, error);
        return -EINPROGRESS;
    }
    call->rs->state = RUN_FRESH;
    wr_run_sock_report(call->rs, strerror(error));
    start_anew(call->rs);
    return -error;
}

static int64_t connect_start(struct run_call *call, const struct weir_endpoint *remote)
{
    struct run_sock *rs = call->rs;
    int error;
    rs->target = *remote;
    wr_run_park_reap(call->run, remote->port);
    int err = weir_sock_connect(call->stack, rs->sock, &rs->target, weir_now());
    if (err == 0) {
        rs->state = RUN_OPEN;
        wr_run_sock_widen(call->dup);
        wr_run_sock_unfill(rs);
        return 0;
    }
    if (err != WEIR_EINPROGRESS)
        return err;
    rs->state = RUN_CONNECTING;
    if (decided_at_once(call, &error))
        return error ? connect_refused(call, error) : connect_open(call);
    if (rs->unread <= 1 && !wr_run_sock_fill(rs, call->dup))
        return WEIR_ENOMEM;
    return wait_for_it(call, -EINPROGRESS);
}

int64_t wr_run_call_connect(struct run_call *call)
{
    struct run_sock *rs = call->rs;
    struct weir_endpoint remote;
    bool unspec;
    int err = wr_run_mem_addr_in(call, rs->domain, call->req->data.args[1], call->req->data.args[2],
                                 &remote, &unspec);
    if (err)
        return err;
    switch (rs->state) {
    case RUN_DEAD:
        return connect_dead(call);
    case RUN_CONNECTING:
        return wait_for_it(call, -EALREADY);
    case RUN_OPEN:
        if (unspec)
            return -EOPNOTSUPP; /* a connection cannot be dissolved and its pair used again */
        if (!rs->connect_news)
            return -EISCONN;
        rs->connect_news = false;
        return 0;
    case RUN_LISTEN:
        return unspec ? -EOPNOTSUPP : -EISCONN;
    case RUN_FRESH:
        break;
    }
    if (unspec)
        return 0; /* there is nothing to dissolve */
    return connect_start(call, &remote);
}

/* TCP takes no notice of an address, but the pair would say EISCONN: so the supervisor writes for the
 * program, as much as there is room for. A call that must wait is served again when Weir has room. */
int64_t wr_run_call_sendto(struct run_call *call)
{
    const struct seccomp_data *data = &call->req->data;
    int flags = (int)data->args[3];
    size_t len = data->args[2] < RUN_SCRATCH_BYTES ? (size_t)data->args[2] : RUN_SCRATCH_BYTES;
    if (flags & MSG_FASTOPEN)
        return -EOPNOTSUPP; /* as with net.ipv4.tcp_fastopen without the client bit */
    if (call->rs->state != RUN_OPEN)
        return -EPIPE;
    int err = wr_run_mem_read(call, data->args[1], call->run->scratch, len);
    if (err)
        return err;
    ssize_t n = send(call->dup, call->run->scratch, len, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    if (errno == EAGAIN && !(flags & MSG_DONTWAIT) && !wr_run_fd_nonblock(call->dup))
        return wr_run_park(call, wr_run_fd_deadline(call->dup, SO_SNDTIMEO), EAGAIN);
    return -errno;
}
