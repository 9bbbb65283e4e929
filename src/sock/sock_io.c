/* SPDX-License-Identifier: MIT */
/* send, recv, peek and consume, and how much is queued, with Linux's errors where no connection
 * is. */
#include "core/note.h"
#include "sock/sock.h"

/* ---- UDP ------------------------------------------------------------------------------------- */

static ptrdiff_t send_udp(struct weir_stack *stack, struct wr_sock *sock, const void *data,
                          size_t len, int flags, const struct weir_endpoint *to, weir_time now)
{
    struct weir_endpoint remote;
    if (flags & WEIR_MSG_OOB)
        return WEIR_ENOTSUP;
    if (len > 0xffff)
        return WEIR_EMSGSIZE;
    if (to != NULL) {
        int error = wr_sock_family_check(sock, &to->addr, WEIR_ENETUNREACH);
        if (error == 0 && to->port == 0 && sock->protocol == WEIR_SOL_UDP)
            error = WEIR_EINVAL;
        if (error != 0)
            return error;
        remote.addr = wr_sock_destination(sock, &to->addr);
        remote.port = to->port;
    } else if (sock->state != WR_SOCK_CONNECTED) {
        return WEIR_EDESTADDRREQ;
    }
    if (sock->shut & WR_SOCK_SHUT_SEND)
        return WEIR_EPIPE;
    int error = sock->more->local.port == 0 ? wr_sock_autobind(stack, sock) : 0;
    if (error != 0)
        return error == WEIR_EADDRINUSE ? WEIR_EAGAIN : error;
    return wr_udp_send(stack, sock->more->udp, data, len, to != NULL ? &remote : NULL, now);
}

static ptrdiff_t recv_udp(struct weir_stack *stack, struct wr_sock *sock, void *data, size_t len,
                          int flags, struct weir_endpoint *from)
{
    if (flags & WEIR_MSG_OOB)
        return WEIR_ENOTSUP;
    ptrdiff_t got = wr_udp_recv(stack, sock->more->udp, data, len, flags, from);
    return got == WEIR_EAGAIN && (sock->shut & WR_SOCK_SHUT_RCV) ? 0 : got;
}

/* ---- TCP without a connection ---------------------------------------------------------------- */

static ptrdiff_t send_unconnected(struct wr_sock *sock)
{
    int error = sock->state == WR_SOCK_IDLE ? wr_sock_take_error(sock) : 0;
    return error != 0 ? -error : WEIR_EPIPE;
}

static ptrdiff_t recv_unconnected(struct wr_sock *sock, int flags)
{
    if (sock->state == WR_SOCK_LISTENING)
        return WEIR_ENOTCONN;
    if (flags & WEIR_MSG_OOB)
        return WEIR_EINVAL;
    int error = wr_sock_take_error(sock);
    if (error != 0)
        return -error;
    return sock->shut & WR_SOCK_SHUT_RCV ? 0 : WEIR_ENOTCONN;
}

/* The data was copied, so the caller's buffer is its own again. */
static void note_zerocopy(struct weir_stack *stack, struct wr_sock *sock)
{
    struct wr_notes *notes = wr_notes_of(stack, &sock->ready);
    if (notes == NULL)
        return;
    uint32_t number = notes->zerocopy_next++;
    struct weir_note note = {
        .origin = WEIR_NOTE_ZEROCOPY, .code = WEIR_ZEROCOPY_COPIED, .info = number, .data = number};
    wr_note_add(stack, &sock->ready, &note);
}

int weir_sock_next_note(struct weir_stack *stack, weir_sock handle, struct weir_note *note)
{
    struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    return wr_note_take(stack, &sock->ready, note) ? 0 : WEIR_EAGAIN;
}

static ptrdiff_t send_tcp(struct weir_stack *stack, struct wr_sock *sock, const void *data,
                          size_t len, int flags, const struct weir_endpoint *to, weir_time now)
{
    if (flags & WEIR_MSG_FASTOPEN) {
        ptrdiff_t rc = wr_sock_send_fast(stack, sock, to, data, len, now);
        if (rc != WEIR_EISCONN || sock->state != WR_SOCK_CONNECTING)
            return rc;
        sock->state = WR_SOCK_CONNECTED; /* the handshake is over: as any send, once (Linux) */
    }
    if (!wr_sock_has_tcb(sock))
        return send_unconnected(sock);
    return wr_tcp_send(stack, wr_sock_tcb(sock), data, len, flags, now);
}

/* ---- the calls ------------------------------------------------------------------------------- */

ptrdiff_t weir_sock_send(struct weir_stack *stack, weir_sock handle, const void *data, size_t len,
                         int flags, const struct weir_endpoint *to, weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_sock *sock;
    int error = wr_sock_get(stack, handle, &sock);
    if (error != 0)
        return error;
    if (sock->is_udp)
        return send_udp(stack, sock, data, len, flags, to, now);
    ptrdiff_t sent = send_tcp(stack, sock, data, len, flags, to, now);
    if (sent > 0 && (flags & WEIR_MSG_ZEROCOPY) && wr_sock_opts(sock)->zerocopy)
        note_zerocopy(stack, sock);
    return sent;
}

/* SO_PEEK_OFF: peeks go on where the last one ended, and what is read moves that place back. */
static ptrdiff_t recv_tcp(struct weir_stack *stack, struct wr_sock *sock, void *data, size_t len,
                          int flags, weir_time now)
{
    struct tcb *tcb = wr_sock_tcb(sock);
    struct wr_sock_more *more = sock->more;
    ptrdiff_t got;
    if (more == NULL || more->peek_from == 0 || (flags & WEIR_MSG_OOB))
        return wr_tcp_recv(stack, tcb, data, len, flags, now);
    if (flags & WEIR_MSG_PEEK) {
        got = wr_tcp_peek_at(tcb, more->peek_from - 1, data, len, flags);
        if (got > 0)
            more->peek_from += (uint32_t)got;
        return got;
    }
    got = wr_tcp_recv(stack, tcb, data, len, flags, now);
    if (got > 0)
        more->peek_from -= more->peek_from > (size_t)got ? (uint32_t)got : more->peek_from - 1;
    return got;
}

ptrdiff_t weir_sock_recv(struct weir_stack *stack, weir_sock handle, void *data, size_t len,
                         int flags, struct weir_endpoint *from, weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    if (sock->is_udp)
        return recv_udp(stack, sock, data, len, flags, from);
    if (!wr_sock_has_tcb(sock))
        return recv_unconnected(sock, flags);
    if (wr_sock_tcb(sock) == NULL) /* at rest: nothing is there to read, and that needs no memory */
        return flags & WEIR_MSG_OOB ? WEIR_EINVAL : WEIR_EAGAIN;
    if (from != NULL) {
        struct weir_endpoint local;
        wr_tcp_endpoints(&sock->ready, &local, from);
    }
    return recv_tcp(stack, sock, data, len, flags, now);
}

ptrdiff_t weir_sock_peek(struct weir_stack *stack, weir_sock handle, struct weir_span span[2],
                         weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    if (sock->is_udp)
        return WEIR_ENOTSUP;
    if (!wr_sock_has_tcb(sock))
        return recv_unconnected(sock, 0);
    if (wr_sock_tcb(sock) == NULL) { /* as recv */
        span[0] = span[1] = (struct weir_span){NULL, 0};
        return WEIR_EAGAIN;
    }
    return wr_tcp_peek(stack, wr_sock_tcb(sock), span, now);
}

int weir_sock_consume(struct weir_stack *stack, weir_sock handle, size_t len, weir_time now)
{
    now = wr_clock(stack, now);
    struct tcb *tcb;
    int error = wr_sock_get_connection(stack, handle, &tcb);
    return error != 0 ? error : wr_tcp_consume(stack, tcb, len, now);
}

ptrdiff_t weir_sock_reserve(struct weir_stack *stack, weir_sock handle, struct weir_piece room[2],
                            size_t len, weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_sock *sock;
    int error = wr_sock_get(stack, handle, &sock);
    room[0] = room[1] = (struct weir_piece){NULL, 0};
    if (error != 0)
        return error;
    if (sock->is_udp)
        return WEIR_ENOTSUP;
    if (!wr_sock_has_tcb(sock))
        return send_unconnected(sock);
    return wr_tcp_reserve(stack, wr_sock_tcb(sock), room, len, now);
}

ptrdiff_t weir_sock_commit(struct weir_stack *stack, weir_sock handle, size_t len, weir_time now)
{
    now = wr_clock(stack, now);
    struct tcb *tcb;
    int error = wr_sock_get_connection(stack, handle, &tcb);
    return error != 0 ? error : wr_tcp_commit(stack, tcb, len, now);
}

/* ---- queues ---------------------------------------------------------------------------------- */

ptrdiff_t weir_sock_inq(struct weir_stack *stack, weir_sock handle)
{
    const struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    if (sock->is_udp)
        return (ptrdiff_t)wr_udp_inq(sock->more->udp);
    if (sock->state == WR_SOCK_LISTENING)
        return WEIR_EINVAL;
    return wr_sock_has_tcb(sock) ? (ptrdiff_t)wr_tcp_inq(wr_sock_tcb(sock)) : 0;
}

ptrdiff_t weir_sock_outq(struct weir_stack *stack, weir_sock handle)
{
    const struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    if (!sock->is_udp && sock->state == WR_SOCK_LISTENING)
        return WEIR_EINVAL;
    return wr_sock_has_tcb(sock) ? (ptrdiff_t)wr_tcp_outq(wr_sock_tcb(sock)) : 0;
}

int weir_sock_atmark(struct weir_stack *stack, weir_sock handle)
{
    const struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    if (sock->is_udp)
        return WEIR_ENOTSUP;
    return wr_sock_has_tcb(sock) && wr_tcp_atmark(wr_sock_tcb(sock)) ? 1 : 0;
}
