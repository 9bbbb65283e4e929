/* SPDX-License-Identifier: MIT */
/* socket(), bind(), getsockname(), getpeername(): sockets before anything happens on them, and names. */
#include <errno.h>
#include <unistd.h>

#include "run/run_int.h"

enum { PROTOCOLS_END = 263 }; /* Linux's IPPROTO_MAX */

/* The filter lets only AF_INET and AF_INET6 with SOCK_STREAM come here. */
int64_t wr_run_call_socket(struct run_call *call)
{
    struct weir_program *program = call->program;
    int domain = (int)call->req->data.args[0];
    int type = (int)call->req->data.args[1];
    int protocol = (int)call->req->data.args[2];
    struct run_sock *rs;
    weir_sock sock;
    int end;
    if ((type & ~(0xf | SOCK_CLOEXEC | SOCK_NONBLOCK)) || protocol < 0 || protocol >= PROTOCOLS_END)
        return -EINVAL;
    if (protocol != 0 && protocol != IPPROTO_TCP)
        return -EPROTONOSUPPORT;
    int err = weir_sock_open(call->stack, domain, WEIR_SOCK_STREAM, protocol, &sock);
    if (err)
        return err;
    err = wr_run_lone_new(program, domain, sock, type & SOCK_NONBLOCK, &rs, &end);
    if (err) {
        weir_sock_close(call->stack, sock, weir_now());
        return err;
    }
    err = wr_run_answer_fd(program->listener_fd, call->req->id, end, type & SOCK_CLOEXEC);
    close(end);
    if (err)
        wr_run_sock_drop(rs, false);
    return err ? err : RUN_SENT;
}

int64_t wr_run_call_bind(struct run_call *call)
{
    struct run_sock *rs = call->rs;
    const __u64 *args = call->req->data.args;
    struct sockaddr_storage from;
    struct weir_endpoint local;
    int err = wr_run_mem_addr_in(call, args[1], args[2], &from);
    if (!err)
        err = wr_run_mem_endpoint(rs->domain, &from, args[2], &local);
    if (err)
        return err;
    if (rs->state == RUN_DEAD && !wr_run_call_stand_in(call))
        return -ENOBUFS;
    wr_run_park_reap(call->run, local.port);
    err = weir_sock_bind(call->stack, rs->sock, &local);
    if (err == WEIR_EADDRINUSE && wr_run_dead_look(call->run))
        err = weir_sock_bind(call->stack, rs->sock, &local);
    return err;
}

int64_t wr_run_call_getsockname(struct run_call *call)
{
    struct run_sock *rs = call->rs;
    struct weir_endpoint local = rs->local;
    int err = 0;
    if (rs->state != RUN_DEAD)
        err = weir_sock_getsockname(call->stack, rs->sock, &local);
    return err ? err
               : wr_run_mem_addr_out(call, rs->domain, &local, call->req->data.args[1],
                                     call->req->data.args[2]);
}

int64_t wr_run_call_getpeername(struct run_call *call)
{
    struct run_sock *rs = call->rs;
    struct weir_endpoint peer = rs->peer;
    int err = 0;
    if (rs->state != RUN_DEAD)
        err = weir_sock_getpeername(call->stack, rs->sock, &peer);
    else if (rs->error || peer.port == 0)
        err = WEIR_ENOTCONN;
    return err ? err
               : wr_run_mem_addr_out(call, rs->domain, &peer, call->req->data.args[1],
                                     call->req->data.args[2]);
}
