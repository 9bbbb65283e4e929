/* SPDX-License-Identifier: MIT */
/* Who a socket is and whom it talks to, and the table of all of them (ss). */
#include <string.h>

#include "sock/sock.h"

static void endpoints(const struct wr_sock *sock, struct weir_endpoint *local,
                      struct weir_endpoint *peer)
{
    if (wr_sock_has_tcb(sock)) {
        wr_tcp_endpoints(&sock->ready, local, peer);
        return;
    }
    *local = sock->more->local;
    memset(peer, 0, sizeof *peer);
    peer->addr = wr_sock_any(sock);
    if (sock->is_udp && sock->more->local.port != 0) {
        wr_udp_endpoints(sock->more->udp, local, peer);
        if (sock->state != WR_SOCK_CONNECTED)
            peer->addr = wr_sock_any(sock);
    }
}

int weir_sock_getsockname(struct weir_stack *stack, weir_sock handle, struct weir_endpoint *local)
{
    const struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    struct weir_endpoint peer;
    endpoints(sock, local, &peer);
    return 0;
}

int weir_sock_getpeername(struct weir_stack *stack, weir_sock handle, struct weir_endpoint *peer)
{
    const struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    bool known = sock->is_udp && sock->state == WR_SOCK_CONNECTED;
    if (wr_sock_has_tcb(sock)) {
        int state = wr_tcp_state(wr_sock_tcb(sock));
        known = state != WEIR_TCP_CLOSE && state != WEIR_TCP_SYN_SENT;
    }
    if (!known)
        return WEIR_ENOTCONN;
    struct weir_endpoint local;
    endpoints(sock, &local, peer);
    return 0;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* The cursor's highest bit: the sockets are done, the rest is tcp's cursor. */
#define ROWS_OF_TCP (UINT64_C(1) << 63)

static void fill_row(const struct wr_sock *sock, struct weir_sock_row *row)
{
    memset(row, 0, sizeof *row);
    row->sock = sock->ready.sock;
    row->user = sock->ready.user;
    row->protocol = sock->protocol;
    row->timer_at = WEIR_TIME_NEVER;
    row->domain = sock->is_v6 ? WEIR_AF_INET6 : WEIR_AF_INET;
    row->v6only = sock->v6only;
    row->type = sock->is_udp ? WEIR_SOCK_DGRAM : WEIR_SOCK_STREAM;
    endpoints(sock, &row->local, &row->peer);
    if (sock->is_udp) {
        bool connected = sock->state == WR_SOCK_CONNECTED;
        row->state = connected ? WEIR_TCP_ESTABLISHED : WEIR_TCP_CLOSE;
        row->recv_q = wr_udp_inq(sock->more->udp);
        return;
    }
    struct weir_tcp_info info;
    memset(&info, 0, sizeof info);
    wr_tcp_listener_info(sock->more->listener, &info);
    row->state = WEIR_TCP_LISTEN;
    row->recv_q = info.tcpi_unacked;
    row->send_q = info.tcpi_sacked;
}

/* Listeners, bound UDP sockets and connections at rest first, which tcp has no rows of, then every other
 * connection. */
bool weir_sock_next_row(struct weir_stack *stack, uint64_t *cursor, struct weir_sock_row *row)
{
    const struct wr_pool *pool = &stack->socks->pool;
    while (*cursor < ROWS_OF_TCP) {
        if (*cursor >= pool->n_slots) {
            *cursor = ROWS_OF_TCP;
            break;
        }
        const struct wr_sock *sock = wr_pool_at(pool, (uint32_t)(*cursor)++);
        if (sock == NULL)
            continue;
        if (wr_sock_has_tcb(sock) && wr_tcp_rest_row(stack, &sock->ready, row)) {
            row->user = sock->ready.user;
            row->domain = sock->is_v6 ? WEIR_AF_INET6 : WEIR_AF_INET;
            return true;
        }
        if (sock->more == NULL || sock->more->local.port == 0)
            continue;
        if (sock->is_udp || sock->state == WR_SOCK_LISTENING) {
            fill_row(sock, row);
            return true;
        }
    }
    uint64_t tcp_cursor = *cursor & ~ROWS_OF_TCP;
    bool found = wr_tcp_next_row(stack, &tcp_cursor, row);
    *cursor = tcp_cursor | ROWS_OF_TCP;
    const struct wr_sock *sock = found ? wr_sock_find(stack, row->sock) : NULL;
    if (sock != NULL) {
        row->user = sock->ready.user;
        row->domain = sock->is_v6 ? WEIR_AF_INET6 : WEIR_AF_INET;
    }
    return found;
}
