/* SPDX-License-Identifier: MIT */
/*
 * connect, listen, accept, shutdown, abort: the calls that move a socket from state to state (see
 * sock.h), with Linux's answers in each.
 *
 * A connect that has failed is told once: by SO_ERROR, by send or recv, or by the next connect,
 * which then takes the socket back to IDLE, so that the one after that starts anew.
 */
#include <string.h>

#include "sock/sock.h"

/* net.ipv4.tcp_fastopen: the server's side, and every listener without being asked. */
enum { FASTOPEN_LISTENERS = 0x2 | 0x400 };

struct wr_tcp_opts *wr_sock_opts(struct wr_sock *sock)
{
    return wr_sock_has_tcb(sock) ? wr_tcp_opts(wr_sock_tcb(sock)) : &sock->more->opts;
}

struct weir_addr wr_sock_any(const struct wr_sock *sock)
{
    return sock->is_v6 ? weir_addr_any6() : weir_addr_any4();
}

/* ---- back to IDLE ---------------------------------------------------------------------------- */

/* A port that the user did not name is given back, so is an address (Linux's tcp_disconnect). */
static void forget_chosen(struct weir_stack *stack, struct wr_sock *sock)
{
    struct weir_addr addr = sock->more->local.addr;
    if (!sock->port_chosen)
        wr_bind_leave(stack, sock);
    if (sock->addr_chosen)
        sock->more->local.addr = addr;
}

/* Takes the options back from the tcb, which the caller will let go. */
static int save_opts(struct weir_stack *stack, struct wr_sock *sock)
{
    if (!wr_sock_need_more(stack, sock))
        return WEIR_ENOMEM;
    sock->more->opts = *wr_tcp_opts(wr_sock_tcb(sock));
    sock->more->opts.reuseaddr = sock->reuseaddr;
    sock->more->opts.reuseport = sock->reuseport;
    return 0;
}

/* Does the peer think that it has a connection, which ends with a reset? (Linux's
 * tcp_need_reset) */
static bool is_reset_by_disconnect(int state)
{
    return state == WEIR_TCP_ESTABLISHED || state == WEIR_TCP_CLOSE_WAIT ||
           state == WEIR_TCP_FIN_WAIT1 || state == WEIR_TCP_FIN_WAIT2 ||
           state == WEIR_TCP_SYN_RECV || state == WEIR_TCP_SYN_SENT;
}

/* connect(AF_UNSPEC) and its like, a call that RFC 9293 does not have. */
static int disconnect_tcb(struct weir_stack *stack, struct wr_sock *sock, weir_time now)
{
    int error = save_opts(stack, sock);
    if (error != 0)
        return error;
    struct tcb *tcb = wr_sock_tcb(sock);
    sock->more->error = wr_tcp_take_error(tcb);
    if (is_reset_by_disconnect(wr_tcp_state(tcb)))
        sock->more->error = ECONNRESET;
    sock->state = WR_SOCK_IDLE;
    sock->shut = 0;
    wr_tcp_abort(stack, tcb, false, now);
    forget_chosen(stack, sock);
    wr_ready_touch(stack, &sock->ready, WR_HAPPENED_STATE);
    return 0;
}

static void stop_listening(struct weir_stack *stack, struct wr_sock *sock, weir_time now)
{
    wr_tcp_unlisten(stack, sock->more->listener, now);
    sock->more->listener = NULL;
    sock->state = WR_SOCK_IDLE;
    forget_chosen(stack, sock);
    wr_ready_touch(stack, &sock->ready, WR_HAPPENED_STATE);
}

static int dissolve(struct weir_stack *stack, struct wr_sock *sock, weir_time now)
{
    if (sock->is_udp) {
        wr_udp_connect(stack, sock->more->udp, NULL);
        sock->state = WR_SOCK_IDLE;
        forget_chosen(stack, sock);
        if (sock->more->local.port == 0)
            wr_udp_bound(stack, sock->more->udp, &sock->more->local, sock->v6only);
        return 0;
    }
    switch ((enum wr_sock_state)sock->state) {
    case WR_SOCK_IDLE:
        return 0;
    case WR_SOCK_LISTENING:
        stop_listening(stack, sock, now);
        return 0;
    case WR_SOCK_CONNECTING:
    case WR_SOCK_CONNECTED:
        break;
    }
    return disconnect_tcb(stack, sock, now);
}

/* ---- connect --------------------------------------------------------------------------------- */

/* The unspecified address as a destination is this host (Linux; RFC 1122 3.2.1.3 allows it for the
 * source only). */
struct weir_addr wr_sock_destination(const struct wr_sock *sock, const struct weir_addr *remote)
{
    if (!weir_addr_is_any(remote))
        return *remote;
    if (sock->addr_chosen)
        return sock->more->local.addr;
    if (weir_addr_is_v4(remote))
        return weir_addr_v4(0x7f000001);
    struct weir_addr one = weir_addr_any6();
    one.b[15] = 1;
    return one;
}

/* Finds the path, and with it the local address: the bound one, or the route's. */
static int choose_path(struct weir_stack *stack, const struct wr_sock *sock,
                       const struct weir_addr *remote, struct wr_path *path)
{
    struct weir_addr wanted = sock->more->local.addr;
    bool any = weir_addr_is_any(&wanted);
    if (!any && weir_addr_is_v4(&wanted) != weir_addr_is_v4(remote))
        return WEIR_ENETUNREACH;
    if (any)
        wanted = weir_addr_is_v4(remote) ? weir_addr_any4() : weir_addr_any6();
    int error = wr_path_find(stack, remote, &wanted, path);
    /* From the address that was found it may be another only where that decides: a scoped one, or the host's own. */
    if (error != 0 || !any || (weir_addr_is_v4(remote) && !weir_addr_is_loopback(&path->src)))
        return error;
    wanted = path->src;
    return wr_path_find(stack, remote, &wanted, path);
}

/* The socket is CONNECTING now. data NULL: connect(), else MSG_FASTOPEN. As weir_sock_connect(), or
 * the bytes that went on the SYN. */
static ptrdiff_t start_connect(struct weir_stack *stack, struct wr_sock *sock,
                               const struct weir_endpoint *to, const void *data, size_t len,
                               weir_time now)
{
    int error = wr_sock_family_check(sock, &to->addr, WEIR_ENETUNREACH);
    if (error != 0)
        return error;
    struct weir_endpoint remote = {.addr = wr_sock_destination(sock, &to->addr), .port = to->port};
    if (weir_addr_is_multicast(&remote.addr) || wr_udp_is_broadcast(stack, &remote.addr))
        return WEIR_ENETUNREACH; /* RFC 9293 3.9.1.1 MUST-46 */
    struct weir_endpoint local = {.port = sock->more->local.port};
    struct wr_path path;
    error = choose_path(stack, sock, &remote.addr, &path);
    if (error != 0)
        return error;
    local.addr = path.src;
    if (local.port == 0)
        error = wr_bind_choose_port(stack, &local, &remote, now);
    if (error != 0)
        return error;

    struct tcb *tcb = NULL;
    ptrdiff_t rc = data == NULL
                       ? wr_tcp_connect(stack, &local, &remote, &path, &sock->more->opts,
                                        &sock->ready, &tcb, now)
                       : wr_tcp_connect_fast(stack, &local, &remote, &path, &sock->more->opts,
                                             &sock->ready, data, len, &tcb, now);
    if (rc < 0 && rc != WEIR_EINPROGRESS)
        return rc == WEIR_EADDRINUSE ? WEIR_EADDRNOTAVAIL : rc;
    sock->state = WR_SOCK_CONNECTING;
    sock->more->error = 0;
    sock->shut = 0;
    wr_sock_need_less(stack, sock);
    return data != NULL || wr_tcp_deferred(tcb) ? rc : WEIR_EINPROGRESS;
}

ptrdiff_t wr_sock_send_fast(struct weir_stack *stack, struct wr_sock *sock,
                            const struct weir_endpoint *to, const void *data, size_t len,
                            weir_time now)
{
    if (!wr_tcp_fastopen_on(stack))
        return WEIR_ENOTSUP;
    if (wr_sock_has_tcb(sock)) {
        int state = wr_tcp_state(wr_sock_tcb(sock));
        if (wr_tcp_deferred(wr_sock_tcb(sock)) || state == WEIR_TCP_CLOSE)
            return wr_tcp_send(stack, wr_sock_tcb(sock), data, len, 0, now);
        return state == WEIR_TCP_SYN_SENT || state == WEIR_TCP_SYN_RECV ? WEIR_EALREADY
                                                                        : WEIR_EISCONN;
    }
    if (sock->state == WR_SOCK_LISTENING)
        return WEIR_EISCONN;
    if (to == NULL)
        return WEIR_EINVAL;
    return start_connect(stack, sock, to, data != NULL ? data : "", len, now);
}

/* connect() while one is under way, or after it has ended. */
static int ask_connect(struct weir_stack *stack, struct wr_sock *sock, weir_time now)
{
    int state = wr_tcp_state(wr_sock_tcb(sock));
    if (wr_tcp_deferred(wr_sock_tcb(sock)))
        return WEIR_EISCONN;
    if (state == WEIR_TCP_SYN_SENT || state == WEIR_TCP_SYN_RECV)
        return WEIR_EALREADY;
    if (state != WEIR_TCP_CLOSE) {
        sock->state = WR_SOCK_CONNECTED;
        return 0;
    }
    int told = wr_tcp_take_error(wr_sock_tcb(sock));
    int error = disconnect_tcb(stack, sock, now);
    if (error != 0)
        return error;
    return told != 0 ? -told : WEIR_ECONNABORTED;
}

static int connect_udp(struct weir_stack *stack, struct wr_sock *sock,
                       const struct weir_endpoint *to)
{
    int error = wr_sock_family_check(sock, &to->addr, WEIR_ENETUNREACH);
    if (error != 0)
        return error;
    struct weir_endpoint remote = {.addr = wr_sock_destination(sock, &to->addr), .port = to->port};
    if (sock->more->local.port == 0) {
        error = wr_sock_autobind(stack, sock);
        if (error != 0)
            return error;
    }
    error = wr_udp_connect(stack, sock->more->udp, &remote);
    if (error == 0)
        sock->state = WR_SOCK_CONNECTED;
    return error;
}

int weir_sock_connect(struct weir_stack *stack, weir_sock handle,
                      const struct weir_endpoint *remote, weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_sock *sock;
    int error = wr_sock_get(stack, handle, &sock);
    if (error != 0)
        return error;
    if (remote == NULL)
        return dissolve(stack, sock, now);
    if (sock->is_udp)
        return connect_udp(stack, sock, remote);
    switch ((enum wr_sock_state)sock->state) {
    case WR_SOCK_IDLE:
        return (int)start_connect(stack, sock, remote, NULL, 0, now);
    case WR_SOCK_CONNECTING:
        return ask_connect(stack, sock, now);
    case WR_SOCK_LISTENING:
    case WR_SOCK_CONNECTED:
        break;
    }
    return WEIR_EISCONN;
}

/* ---- listen, accept -------------------------------------------------------------------------- */

static int clamp_backlog(const struct weir_stack *stack, int backlog)
{
    int64_t most = stack->tunables.somaxconn;
    return (uint32_t)backlog > (uint64_t)most ? (int)most : backlog;
}

static int start_listen(struct weir_stack *stack, struct wr_sock *sock, int backlog, weir_time now)
{
    int error =
        sock->more->local.port == 0 ? wr_sock_autobind(stack, sock) : wr_bind_recheck(stack, sock);
    if (error != 0)
        return error;
    sock->more->opts.v6only = sock->v6only;
    if ((stack->tunables.tcp_fastopen & FASTOPEN_LISTENERS) == FASTOPEN_LISTENERS &&
        sock->more->opts.fastopen_qlen == 0)
        sock->more->opts.fastopen_qlen = (unsigned)(backlog < 4096 ? backlog : 4096) & 0x3fff;
    error = wr_tcp_listen(stack, &sock->more->local, backlog, sock->reuseport, &sock->more->opts,
                          &sock->ready, &sock->more->listener, now);
    if (error != 0)
        return error;
    sock->state = WR_SOCK_LISTENING;
    if (sock->more->fastopen_keys == 0)
        return 0;
    return wr_tcp_listen_keys(stack, sock->more->listener, sock->more->fastopen_key,
                              sock->more->fastopen_keys * sizeof *sock->more->fastopen_key);
}

int weir_sock_listen(struct weir_stack *stack, weir_sock handle, int backlog, weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    if (sock->is_udp)
        return WEIR_ENOTSUP;
    backlog = clamp_backlog(stack, backlog);
    switch ((enum wr_sock_state)sock->state) {
    case WR_SOCK_IDLE:
        return start_listen(stack, sock, backlog, now);
    case WR_SOCK_LISTENING:
        wr_tcp_listen_backlog(sock->more->listener, backlog);
        return 0;
    case WR_SOCK_CONNECTING:
    case WR_SOCK_CONNECTED:
        break;
    }
    return WEIR_EINVAL;
}

/* A socket for a connection of this listening one. As wr_sock_new(). */
static int new_child(struct weir_stack *stack, const struct wr_sock *sock, struct wr_sock **out)
{
    struct wr_sock *child;
    int error = wr_sock_new(stack, &child);
    if (error != 0)
        return error;
    child->is_v6 = sock->is_v6;
    child->v6only = sock->v6only;
    child->reuseaddr = sock->reuseaddr;
    child->reuseport = sock->reuseport;
    child->broadcast = sock->broadcast;
    child->mtu_discover = sock->mtu_discover;
    if (sock->more->mark != 0 || sock->more->peek_from != 0) {
        if (!wr_sock_need_more(stack, child)) {
            wr_sock_free(stack, child);
            return WEIR_ENOMEM;
        }
        child->more->mark = sock->more->mark;
        child->more->peek_from = sock->more->peek_from;
    }
    *out = child;
    return 0;
}

int weir_sock_accept(struct weir_stack *stack, weir_sock handle, weir_sock *conn,
                     struct weir_endpoint *peer, weir_time now)
{
    wr_clock(stack, now);
    struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    if (sock->is_udp)
        return WEIR_ENOTSUP;
    if (sock->state != WR_SOCK_LISTENING)
        return WEIR_EINVAL;
    if (!wr_tcp_accept_pending(sock->more->listener))
        return WEIR_EAGAIN;
    struct wr_sock *child;
    int error = new_child(stack, sock, &child);
    if (error != 0)
        return error;
    if (wr_tcp_accept(stack, sock->more->listener, &child->ready) == NULL) {
        wr_sock_free(stack, child);
        return WEIR_EAGAIN;
    }
    child->state = WR_SOCK_CONNECTED;
    struct weir_endpoint local, remote;
    wr_tcp_endpoints(&child->ready, &local, &remote);
    if (peer != NULL)
        *peer = remote;
    *conn = child->ready.sock;
    return 0;
}

/* ---- shutdown, abort ------------------------------------------------------------------------- */

static int shutdown_idle(struct weir_stack *stack, struct wr_sock *sock, int how)
{
    sock->shut |= (uint8_t)(how + 1); /* SHUT_RD, WR, RDWR become bits 1, 2, both */
    wr_ready_touch(stack, &sock->ready, WR_HAPPENED_STATE);
    return sock->is_udp && sock->state == WR_SOCK_CONNECTED ? 0 : WEIR_ENOTCONN;
}

static int shutdown_conn(struct weir_stack *stack, struct wr_sock *sock, int how, weir_time now)
{
    int state = wr_tcp_state(wr_sock_tcb(sock));
    if (state == WEIR_TCP_SYN_SENT)
        return disconnect_tcb(stack, sock, now);
    if (state != WEIR_TCP_SYN_RECV && state != WEIR_TCP_CLOSE)
        sock->state = WR_SOCK_CONNECTED;
    return wr_tcp_shutdown(stack, wr_sock_tcb(sock), how, now);
}

int weir_sock_shutdown(struct weir_stack *stack, weir_sock handle, int how, weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_sock *sock;
    int error = wr_sock_get(stack, handle, &sock);
    if (error != 0)
        return error;
    if (how < WEIR_SHUT_RD || how > WEIR_SHUT_RDWR)
        return WEIR_EINVAL;
    if (sock->is_udp || sock->state == WR_SOCK_IDLE)
        return shutdown_idle(stack, sock, how);
    if (sock->state != WR_SOCK_LISTENING)
        return shutdown_conn(stack, sock, how, now);
    if (how != WEIR_SHUT_WR)
        stop_listening(stack, sock, now);
    return 0;
}

int weir_sock_abort(struct weir_stack *stack, weir_sock handle, weir_time now)
{
    now = wr_clock(stack, now);
    struct tcb *tcb;
    int error = wr_sock_get_connection(stack, handle, &tcb);
    if (error == 0)
        wr_tcp_abort(stack, tcb, true, now);
    return error;
}
