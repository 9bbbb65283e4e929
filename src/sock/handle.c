/* SPDX-License-Identifier: MIT */
/*
 * Handles: a socket's slot in the pool and the slot's generation. A handle that was closed finds
 * nothing, so a stale one is WEIR_EBADF and never another socket.
 */
#include <assert.h>
#include <string.h>

#include "base/hint.h"
#include "base/mem.h"
#include "core/note.h"
#include "sock/sock.h"

int wr_socks_init(struct weir_stack *stack)
{
    struct wr_socks *socks = wr_zalloc(stack, sizeof *socks);
    if (socks == NULL)
        return WEIR_ENOMEM;
    wr_pool_init(&socks->pool, &stack->alloc, sizeof(struct wr_sock), stack->max_sockets);
    wr_table_init(stack, &socks->binds, "sock: bindings", UINT32_MAX);
    for (size_t i = 0; i < WR_TURNS; i++)
        socks->turns[i].count = wr_rng_u32(&stack->rng);
    stack->socks = socks;
    return 0;
}

static void keep_last(struct wr_socks *socks, weir_sock handle, struct wr_sock *sock)
{
    if (!WR_SHORT_WAYS)
        return;
    socks->last_handle = handle;
    socks->last = sock;
}

WR_APART struct wr_sock *find_in_pool(struct wr_socks *socks, weir_sock handle)
{
    struct wr_sock *sock = wr_pool_find(&socks->pool, handle);

    if (sock != NULL)
        keep_last(socks, handle, sock);
    return sock;
}

/* What a program does with a socket it mostly does at one go. */
struct wr_sock *wr_sock_find(const struct weir_stack *stack, weir_sock handle)
{
    struct wr_socks *socks = stack->socks;

    return WR_SHORT_WAYS && socks->last_handle == handle ? socks->last
                                                         : find_in_pool(socks, handle);
}

int wr_sock_get(struct weir_stack *stack, weir_sock handle, struct wr_sock **sock)
{
    *sock = wr_sock_find(stack, handle);
    if (*sock == NULL)
        return WEIR_EBADF;
    if (wr_sock_has_tcb(*sock) && wr_tcp_wake(stack, &(*sock)->ready) == NULL)
        return WEIR_ENOBUFS;
    return 0;
}

int wr_sock_get_connection(struct weir_stack *stack, weir_sock handle, struct tcb **tcb)
{
    struct wr_sock *sock;
    int error = wr_sock_get(stack, handle, &sock);
    if (error != 0)
        return error;
    if (sock->is_udp)
        return WEIR_ENOTSUP;
    if (!wr_sock_has_tcb(sock))
        return WEIR_ENOTCONN;
    *tcb = wr_sock_tcb(sock);
    return 0;
}

int wr_sock_new(struct weir_stack *stack, struct wr_sock **sock)
{
    struct wr_pool *pool = &stack->socks->pool;
    void *object;
    uint64_t handle = wr_pool_alloc(pool, &object);
    if (handle == 0)
        return pool->count >= stack->max_sockets ? WEIR_EMFILE : WEIR_ENOMEM;
    *sock = object;
    wr_list_init(&(*sock)->ready.node);
    (*sock)->ready.sock = handle;
    keep_last(stack->socks, handle, *sock);
    (*sock)->protocol = WEIR_SOL_TCP;
    return 0;
}

bool wr_sock_need_more(struct weir_stack *stack, struct wr_sock *sock)
{
    if (sock->more != NULL)
        return true;
    sock->more = wr_zalloc(stack, sizeof *sock->more);
    if (sock->more == NULL)
        return false;
    sock->more->sock = sock;
    sock->more->local.addr = wr_sock_any(sock);
    return true;
}

void wr_sock_need_less(struct weir_stack *stack, struct wr_sock *sock)
{
    const struct wr_sock_more *more = sock->more;
    const struct weir_addr any = wr_sock_any(sock);
    assert(more == NULL || more->error == 0);
    if (more == NULL || more->local.port != 0 || !weir_addr_eq(&more->local.addr, &any) ||
        more->fastopen_key != NULL || more->mark != 0 || more->peek_from != 0)
        return;
    wr_free(stack, sock->more, sizeof *sock->more);
    sock->more = NULL;
}

void wr_sock_free(struct weir_stack *stack, struct wr_sock *sock)
{
    struct wr_sock_more *more = sock->more;
    if (WR_SHORT_WAYS && stack->socks->last == sock)
        keep_last(stack->socks, 0, NULL);
    wr_ready_forget(&sock->ready);
    wr_notes_free(stack, &sock->ready);
    if (more != NULL) {
        wr_bind_leave(stack, sock);
        wr_free(stack, more->fastopen_key, 2 * sizeof *more->fastopen_key);
        wr_free(stack, more, sizeof *more);
    }
    wr_pool_free(&stack->socks->pool, sock);
}

/* ---- socket ---------------------------------------------------------------------------------- */

static int check_kind(int domain, int type, int protocol)
{
    if (domain != WEIR_AF_INET && domain != WEIR_AF_INET6)
        return WEIR_EAFNOSUPPORT;
    if (type != WEIR_SOCK_STREAM && type != WEIR_SOCK_DGRAM)
        return WEIR_ESOCKTNOSUPPORT;
    if (type == WEIR_SOCK_DGRAM &&
        protocol == (domain == WEIR_AF_INET ? WEIR_PROTO_ICMP : WEIR_PROTO_ICMPV6))
        return 0;
    if (protocol != 0 && protocol != (type == WEIR_SOCK_STREAM ? WEIR_SOL_TCP : WEIR_SOL_UDP))
        return WEIR_EPROTONOSUPPORT;
    return 0;
}

/* In zeroed memory. */
static void init_tcp_opts(const struct weir_stack *stack, struct wr_tcp_opts *opts)
{
    opts->rcvbuf = (uint32_t)stack->tunables.tcp_rmem_default;
    opts->sndbuf = (uint32_t)stack->tunables.tcp_wmem_default;
    opts->rcvlowat = 1;
    opts->mtu_discover = stack->tunables.ip_no_pmtu_disc ? 0 : 1;
}

int weir_sock_open(struct weir_stack *stack, int domain, int type, int protocol, weir_sock *handle)
{
    int error = check_kind(domain, type, protocol);
    if (error != 0)
        return error;
    struct wr_sock *sock;
    error = wr_sock_new(stack, &sock);
    if (error != 0)
        return error;
    sock->is_v6 = domain == WEIR_AF_INET6;
    sock->is_udp = type == WEIR_SOCK_DGRAM;
    if (sock->is_udp)
        sock->protocol = protocol != 0 ? (uint8_t)protocol : WEIR_SOL_UDP;
    sock->mtu_discover = stack->tunables.ip_no_pmtu_disc ? 0 : 1;
    if (!wr_sock_need_more(stack, sock)) {
        wr_sock_free(stack, sock);
        return WEIR_ENOMEM;
    }
    if (sock->is_udp)
        sock->more->udp = wr_udp_open(stack, sock->protocol, &sock->ready);
    else
        init_tcp_opts(stack, &sock->more->opts);
    if (sock->is_udp && sock->more->udp == NULL) {
        wr_sock_free(stack, sock);
        return WEIR_ENOMEM;
    }
    *handle = sock->ready.sock;
    return 0;
}

/* ---- close ----------------------------------------------------------------------------------- */

int weir_sock_close(struct weir_stack *stack, weir_sock handle, weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    if (sock->is_udp)
        wr_udp_close(stack, sock->more->udp);
    else if (sock->state == WR_SOCK_LISTENING)
        wr_tcp_unlisten(stack, sock->more->listener, now);
    else if (wr_sock_has_tcb(sock) && wr_tcp_wake(stack, &sock->ready) != NULL)
        wr_tcp_close(stack, wr_sock_tcb(sock), now);
    else if (wr_sock_has_tcb(sock))
        wr_tcp_drop_at_rest(stack, &sock->ready);
    wr_sock_free(stack, sock);
    return 0;
}

void wr_socks_fini(struct weir_stack *stack)
{
    struct wr_socks *socks = stack->socks;
    for (uint32_t slot = 0; slot < socks->pool.n_slots; slot++) {
        struct wr_sock *sock = wr_pool_at(&socks->pool, slot);
        if (sock != NULL)
            weir_sock_close(stack, sock->ready.sock, stack->now);
    }
    wr_hash_fini(&socks->binds);
    wr_pool_fini(&socks->pool);
    wr_free(stack, socks, sizeof *socks);
    stack->socks = NULL;
}

int weir_sock_set_user(struct weir_stack *stack, weir_sock handle, uint64_t user)
{
    struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    sock->ready.user = user;
    return 0;
}
