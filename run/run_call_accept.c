/* SPDX-License-Identifier: MIT */
/*
 * listen() and accept(). The pair of a listening socket holds a byte, a token, for each connection in the
 * accept queue: so poll, epoll with all its modes, and several processes that wait on one listener are
 * the kernel's business. Whoever accepts takes a token out of the program's end first; without one there
 * is nothing to accept. The new connection's descriptor is put in place by the answer itself. If the
 * program has no descriptor free (EMFILE), or the caller was killed meanwhile, the connection stays first in
 * line, as on Linux.
 *
 * A program may read its listener, and so steal tokens (Linux: ENOTCONN). accept() counts what is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "run/run_int.h"

int64_t wr_run_call_listen(struct run_call *call)
{
    struct run_sock *rs = call->rs;
    struct weir_endpoint local;
    bool first = rs->state == RUN_FRESH;
    if (!first && rs->state != RUN_LISTEN)
        return -EINVAL;
    int err = weir_sock_listen(call->stack, rs->sock, (int)call->req->data.args[1], weir_now());
    if (err == WEIR_EADDRINUSE && wr_run_dead_look(call->run))
        err = weir_sock_listen(call->stack, rs->sock, (int)call->req->data.args[1], weir_now());
    if (!err && first)
        err = wr_run_lone_join(rs, call->dup);
    if (err)
        return err;
    rs->state = RUN_LISTEN;
    if (first && rs->unread <= 1 && !wr_run_sock_fill(rs, call->dup))
        return WEIR_ENOMEM;
    struct weir_run_events *events = &rs->program->events;
    if (first && events->on_listen && weir_sock_getsockname(call->stack, rs->sock, &local) == 0)
        events->on_listen(events->arg, rs->program, &local);
    return 0;
}

static bool take_token(struct run_call *call)
{
    struct run_sock *rs = call->rs;
    char token;
    if (recv(call->dup, &token, 1, MSG_DONTWAIT) == 1) {
        if (rs->tokens > 0)
            rs->tokens--;
        return true;
    }
    if (rs->tokens == 0)
        return false;
    rs->tokens = 0; /* stolen: once more, not for as long as there is a thief */
    wr_run_pump_tokens(rs);
    if (rs->tokens == 0 || recv(call->dup, &token, 1, MSG_DONTWAIT) != 1)
        return false;
    rs->tokens--;
    return true;
}

/* For the next accept: the token goes back, with the connection behind it. */
static void put_back(struct run_sock *listener, struct run_sock *rs, int end)
{
    listener->waiting = rs;
    rs->kept_by = listener;
    listener->waiting_end = end;
    wr_run_pump_tokens(listener);
}

/* Gives the caller the connection, whose pair's other end is `end`. */
static int64_t hand_over(struct run_call *call, struct run_sock *rs, int end, int flags)
{
    const struct seccomp_data *data = &call->req->data;
    int err = 0;
    if (data->args[1])
        err = wr_run_mem_addr_out(call, rs->domain, &rs->peer, data->args[1], data->args[2]);
    if (!err)
        err =
            wr_run_answer_fd(call->program->listener_fd, call->req->id, end, flags & SOCK_CLOEXEC);
    if (err == WEIR_EMFILE || err == WEIR_ENOENT) {
        put_back(call->rs, rs, end);
        return err;
    }
    close(end);
    if (err) {
        wr_run_sock_drop(rs, false);
        return err;
    }
    wr_run_pump_down(rs);
    return RUN_SENT;
}

/* What a connection has of its listener's, of options that the pair has itself. */
static void inherit(int listener, int end)
{
    static const int options[] = {SO_RCVTIMEO, SO_SNDTIMEO, SO_OOBINLINE, SO_RCVLOWAT, SO_PEEK_OFF};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct timeval value;
        socklen_t len = sizeof value;
        if (getsockopt(listener, SOL_SOCKET, options[i], &value, &len) == 0)
            (void)setsockopt(end, SOL_SOCKET, options[i], &value, len);
    }
}

/* Takes the connection that is first in line: 0, WEIR_EAGAIN, or another error. */
static int next_connection(struct run_call *call, bool nonblock, struct run_sock **rs, int *end)
{
    struct run_sock *listener = call->rs;
    struct weir_endpoint peer;
    weir_sock conn;
    if (!take_token(call))
        return WEIR_EAGAIN;
    if (listener->waiting) {
        *rs = listener->waiting;
        *end = listener->waiting_end;
        listener->waiting = NULL;
        (*rs)->kept_by = NULL;
        fcntl(*end, F_SETFL, nonblock ? O_NONBLOCK : 0); /* the one who asked before may differ */
        return 0;
    }
    int err = wr_run_sock_new(listener->program, listener->domain, 0, RUN_OPEN, nonblock, rs, end);
    if (err) {
        wr_run_pump_tokens(listener); /* it stays in the queue */
        return err;
    }
    err = weir_sock_accept(call->stack, listener->sock, &conn, &peer, weir_now());
    if (err) {
        close(*end);
        wr_run_sock_drop(*rs, false);
        return err;
    }
    wr_run_sock_set(*rs, conn);
    (*rs)->peer = peer;
    if (listener->tuned)
        inherit(call->dup, *end);
    return 0;
}

int64_t wr_run_call_accept(struct run_call *call)
{
    const struct seccomp_data *data = &call->req->data;
    int flags = data->nr == SYS_accept4 ? (int)data->args[3] : 0;
    struct run_sock *rs = call->rs;
    struct run_sock *conn;
    int end;
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    if (rs->state != RUN_LISTEN)
        return -EINVAL;
    wr_run_pump_tokens(rs);
    int err = next_connection(call, flags & SOCK_NONBLOCK, &conn, &end);
    if (err == 0)
        return hand_over(call, conn, end, flags);
    if (err != WEIR_EAGAIN || wr_run_fd_nonblock(call->dup))
        return err;
    return wr_run_park(call, wr_run_fd_deadline(call->dup, SO_RCVTIMEO), EAGAIN);
}
