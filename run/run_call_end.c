/* SPDX-License-Identifier: MIT */
/*
 * shutdown(). The sending side is shut in the pair, from the program's end, so that its next write gives
 * EPIPE; Weir sends FIN when what was written before is through. The receiving side is shut from our
 * end: the program reads what is in the pair, then end of file.
 */
#include <errno.h>
#include <sys/socket.h>

#include "run/run_int.h"

/* A connect that is under way is given up, and the socket is an unconnected one again (Linux). */
static int64_t shut_connecting(struct run_call *call, int how)
{
    struct run_sock *rs = call->rs;
    int err = weir_sock_shutdown(call->stack, rs->sock, how, weir_now());
    if (!err)
        wr_run_sock_again(rs, call->dup);
    if (!err && wr_run_park_any(call->run, rs->ino)) {
        int error = wr_run_sock_error(rs);
        wr_run_park_answer(call->run, rs->ino, error ? -error : -ECONNABORTED);
    }
    return err;
}

static int64_t shut_open(struct run_call *call, int how)
{
    struct run_sock *rs = call->rs;
    if (how != SHUT_RD && !rs->shut_wr) {
        shutdown(call->dup, SHUT_WR);
        rs->shut_wr = true;
    }
    wr_run_pump(rs);
    if (how != SHUT_WR && rs->state == RUN_OPEN && !rs->shut_rd) {
        weir_sock_shutdown(call->stack, rs->sock, SHUT_RD, weir_now());
        shutdown(rs->fd, SHUT_WR);
        rs->shut_rd = true;
        wr_run_pump(rs);
    }
    return 0;
}

int64_t wr_run_call_shutdown(struct run_call *call)
{
    int how = (int)call->req->data.args[1];
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    switch (call->rs->state) {
    case RUN_OPEN:
        return shut_open(call, how);
    case RUN_LISTEN:
        return how == SHUT_WR ? 0 : wr_run_sock_dissolve(call->rs, call->dup);
    case RUN_CONNECTING:
        return shut_connecting(call, how);
    case RUN_FRESH:
    case RUN_DEAD:
        break;
    }
    return -ENOTCONN;
}
