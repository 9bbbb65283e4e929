/* SPDX-License-Identifier: MIT */
/*
 * UDP sockets: endpoints, the receive queue, errors to tell.
 *
 * The queue is bounded by SO_RCVBUF in bytes of memory as Linux counts them: each datagram is
 * charged its data and a fixed overhead. As there, a datagram is taken when the queue is not over
 * the bound before it, so that one always fits however small the bound is.
 */
#include <string.h>

#include "base/bytes.h"
#include "udp/udp.h"
#include "wire/w_ip4.h"

enum {
    DGRAM_OVERHEAD = 576, /* what Linux charges a packet beside its data: sk_buff, shared info */
    DGRAM_ROUND = 64
};

/* ---- beginning and end ----------------------------------------------------------------------- */

int wr_udp_init(struct weir_stack *stack)
{
    struct wr_udp *udp = wr_zalloc(stack, sizeof *udp);
    if (udp == NULL)
        return WEIR_ENOMEM;
    wr_table_init(stack, &udp->ports, "udp: ports", UINT32_MAX);
    wr_table_init(stack, &udp->pings, "udp: pings", UINT32_MAX);
    stack->udp = udp;
    return 0;
}

void wr_udp_fini(struct weir_stack *stack)
{
    wr_hash_fini(&stack->udp->ports);
    wr_hash_fini(&stack->udp->pings);
    wr_free(stack, stack->udp, sizeof *stack->udp);
    stack->udp = NULL;
}

uint64_t wr_udp_port_hash(const struct wr_hash *table, uint16_t port)
{
    uint8_t key[2];
    put_be16(key, port);
    return wr_hash_of(table, key, sizeof key);
}

static struct wr_hash *table_of(struct weir_stack *stack, const struct wr_udp_sock *sock)
{
    return sock->proto == W_IPPROTO_UDP ? &stack->udp->ports : &stack->udp->pings;
}

struct wr_udp_sock *wr_udp_open(struct weir_stack *stack, uint8_t proto, struct wr_ready *ready)
{
    struct wr_udp_sock *sock = wr_zalloc(stack, sizeof *sock);
    if (sock == NULL)
        return NULL;
    sock->proto = proto;
    sock->ready = ready;
    wr_list_init(&sock->queue);
    sock->opts.rcvbuf = (uint32_t)stack->tunables.rmem_default;
    sock->opts.sndbuf = (uint32_t)stack->tunables.wmem_default;
    sock->opts.mtu_discover = stack->tunables.ip_no_pmtu_disc ? WR_PMTUDISC_DONT : WR_PMTUDISC_WANT;
    return sock;
}

/* ---- the receive queue ----------------------------------------------------------------------- */

static size_t charge_of(size_t len)
{
    return DGRAM_OVERHEAD + (len + DGRAM_ROUND - 1) / DGRAM_ROUND * DGRAM_ROUND;
}

void wr_udp_deliver(struct weir_stack *stack, struct wr_udp_sock *sock,
                    const struct weir_endpoint *from, const uint8_t *data, size_t len)
{
    if (sock->queue_bytes > sock->opts.rcvbuf) {
        wr_drop(stack, WR_DROP_udp_buffer_full);
        return;
    }
    struct wr_dgram *dgram = wr_alloc(stack, sizeof *dgram + len);
    if (dgram == NULL) {
        wr_drop(stack, WR_DROP_no_memory);
        return;
    }
    dgram->from = *from;
    dgram->len = (uint32_t)len;
    wr_bytes_copy(dgram->data, data, len);
    wr_list_init(&dgram->node);
    wr_list_push_back(&sock->queue, &dgram->node);
    sock->queue_bytes += charge_of(len);
    if (sock->proto == W_IPPROTO_UDP)
        wr_count(stack, WR_STAT_udp_in);
    wr_ready_touch(stack, sock->ready, WR_HAPPENED_DATA);
}

static struct wr_dgram *oldest(const struct wr_udp_sock *sock)
{
    struct wr_list *node = wr_list_first(&sock->queue);
    return node == NULL ? NULL : WR_CONTAINER(node, struct wr_dgram, node);
}

static void discard(struct weir_stack *stack, struct wr_udp_sock *sock, struct wr_dgram *dgram)
{
    wr_list_remove(&dgram->node);
    sock->queue_bytes -= charge_of(dgram->len);
    wr_free(stack, dgram, sizeof *dgram + dgram->len);
}

ptrdiff_t wr_udp_recv(struct weir_stack *stack, struct wr_udp_sock *sock, void *data, size_t len,
                      int flags, struct weir_endpoint *from)
{
    int error = wr_udp_take_error(sock);
    if (error != 0)
        return -error;
    struct wr_dgram *dgram = oldest(sock);
    if (dgram == NULL)
        return WEIR_EAGAIN;
    size_t whole = dgram->len;
    size_t n = whole < len ? whole : len;
    wr_bytes_copy(data, dgram->data, n);
    if (from != NULL)
        *from = dgram->from;
    if ((flags & WEIR_MSG_PEEK) == 0)
        discard(stack, sock, dgram);
    return (ptrdiff_t)(flags & WEIR_MSG_TRUNC ? whole : n);
}

size_t wr_udp_inq(const struct wr_udp_sock *sock)
{
    const struct wr_dgram *dgram = oldest(sock);
    return dgram == NULL ? 0 : dgram->len;
}

/* ---- endpoints ------------------------------------------------------------------------------- */

static void leave_port(struct weir_stack *stack, struct wr_udp_sock *sock)
{
    if (sock->local.port != 0)
        wr_hash_remove(table_of(stack, sock), &sock->node);
    sock->local.port = 0;
}

void wr_udp_close(struct weir_stack *stack, struct wr_udp_sock *sock)
{
    struct wr_dgram *dgram;
    leave_port(stack, sock);
    while ((dgram = oldest(sock)) != NULL)
        discard(stack, sock, dgram);
    wr_free(stack, sock, sizeof *sock);
}

int wr_udp_bound(struct weir_stack *stack, struct wr_udp_sock *sock,
                 const struct weir_endpoint *local, bool v6only)
{
    struct wr_hash *table = table_of(stack, sock);
    leave_port(stack, sock);
    if (local->port != 0 &&
        !wr_hash_insert(table, &sock->node, wr_udp_port_hash(table, local->port)))
        return WEIR_ENOMEM;
    sock->local = *local;
    sock->v6only = v6only;
    sock->addr_by_route = false;
    return 0;
}

static void disconnect(struct wr_udp_sock *sock)
{
    sock->connected = false;
    memset(&sock->remote, 0, sizeof sock->remote);
    if (sock->addr_by_route)
        sock->local.addr = sock->bound_addr;
    sock->addr_by_route = false;
}

int wr_udp_connect(struct weir_stack *stack, struct wr_udp_sock *sock,
                   const struct weir_endpoint *remote)
{
    disconnect(sock);
    if (remote == NULL)
        return 0;
    struct wr_path path;
    int error = wr_udp_find_path(stack, sock, &remote->addr, &path);
    if (error != 0)
        return error;
    if (weir_addr_is_any(&sock->local.addr)) {
        sock->bound_addr = sock->local.addr;
        sock->local.addr = path.src;
        sock->addr_by_route = true;
    }
    sock->remote = *remote;
    sock->connected = true;
    return 0;
}

void wr_udp_endpoints(const struct wr_udp_sock *sock, struct weir_endpoint *local,
                      struct weir_endpoint *remote)
{
    *local = sock->local;
    *remote = sock->remote;
}

/* ---- readiness, errors, options -------------------------------------------------------------- */

uint32_t wr_udp_ready(const struct wr_udp_sock *sock)
{
    uint32_t bits = WEIR_POLLOUT;
    if (!wr_list_is_empty(&sock->queue))
        bits |= WEIR_POLLIN;
    if (sock->error != 0)
        bits |= WEIR_POLLERR;
    return bits;
}

int wr_udp_take_error(struct wr_udp_sock *sock)
{
    int error = sock->error;
    sock->error = 0;
    return error;
}

struct wr_udp_opts *wr_udp_opts(struct wr_udp_sock *sock)
{
    return &sock->opts;
}
