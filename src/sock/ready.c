/* SPDX-License-Identifier: MIT */
/*
 * Readiness: what poll(2) would show, asked anew each time. A TCP socket without a connection is
 * writable and hung up (Linux: there is nothing to wait for); a listener shows IN when a child
 * waits; all else is the protocol's to say.
 */
#include "core/note.h"
#include "sock/sock.h"

static uint32_t shut_bits(const struct wr_sock *sock)
{
    uint32_t bits = 0;
    if (sock->shut & WR_SOCK_SHUT_RCV)
        bits |= WEIR_POLLIN | WEIR_POLLRDHUP;
    if (sock->shut == (WR_SOCK_SHUT_RCV | WR_SOCK_SHUT_SEND))
        bits |= WEIR_POLLHUP;
    return bits;
}

static uint32_t poll_bits(const struct weir_stack *stack, const struct wr_sock *sock)
{
    if (sock->is_udp)
        return wr_udp_ready(sock->more->udp) | shut_bits(sock);
    switch ((enum wr_sock_state)sock->state) {
    case WR_SOCK_IDLE:
        return (uint32_t)(WEIR_POLLOUT | WEIR_POLLHUP |
                          (sock->more->error != 0 ? WEIR_POLLERR : 0)) |
               shut_bits(sock);
    case WR_SOCK_LISTENING:
        return wr_tcp_accept_pending(sock->more->listener) ? WEIR_POLLIN : 0;
    case WR_SOCK_CONNECTING:
    case WR_SOCK_CONNECTED:
        break;
    }
    return wr_tcp_ready(stack, wr_sock_tcb(sock));
}

uint32_t wr_sock_poll(const struct weir_stack *stack, const struct wr_sock *sock)
{
    uint32_t bits = poll_bits(stack, sock);
    return wr_notes_waiting(&sock->ready) ? bits | WEIR_POLLERR : bits;
}

int wr_sock_take_error(struct wr_sock *sock)
{
    if (sock->is_udp)
        return wr_udp_take_error(sock->more->udp);
    if (wr_sock_has_tcb(sock))
        return wr_tcp_take_error(wr_sock_tcb(sock));
    int error = sock->more->error;
    sock->more->error = 0;
    return error;
}

int weir_sock_ready(struct weir_stack *stack, weir_sock handle)
{
    const struct wr_sock *sock = wr_sock_find(stack, handle);
    return sock == NULL ? WEIR_EBADF : (int)wr_sock_poll(stack, sock);
}

bool weir_next_event(struct weir_stack *stack, struct weir_event *event)
{
    struct wr_ready *ready = wr_ready_pop(stack);
    if (ready == NULL)
        return false;
    event->sock = ready->sock;
    event->user = ready->user;
    event->ready = wr_sock_poll(stack, WR_CONTAINER(ready, struct wr_sock, ready));
    event->happened = ready->happened;
    ready->happened = 0;
    return true;
}
