/* SPDX-License-Identifier: MIT */
/*
 * Local endpoints: who may share them, and which port is chosen when the user names none.
 *
 * Each bound socket is in one table under (protocol, port). Two sockets conflict when their
 * addresses overlap and no rule lets them share, as on Linux:
 *
 *     both have SO_REUSEADDR, and (TCP) the one that is there does not listen
 *     both have SO_REUSEPORT
 *
 * Addresses overlap when they are equal or one is unspecified: 0.0.0.0 covers every IPv4 address,
 * :: covers every IPv6 address and, unless its socket is IPv6 only, every IPv4 address as well.
 *
 * A TCP port is also held by what no socket stands for: orphans, TIME-WAIT records, connections
 * still in an accept queue, and accepted connections, which are not in the table. wr_port_holders()
 * counts them; only when the count says that there may be a conflict are the addresses looked at,
 * one by one.
 *
 * Ports are chosen so that one cannot be guessed from another (RFC 6056). For bind(0) the search
 * starts at a random port. For connect() it is the double-hash algorithm of RFC 6056 3.3.4: the
 * start is a secret hash of addresses and remote port plus a counter of its own for each of 256
 * groups of destinations, so that ports to one destination follow each other and so come back as
 * late as can be, while other destinations tell nothing. As on Linux, connect() begins with ports
 * of the parity of the range's first and bind(0) with the others, so that the two do not take
 * each other's.
 *
 * Where the next ports in order are all taken, as after many thousand connections to one destination that
 * have not ended, most of those behind them are, too. Then ports are drawn: with half of them free two draws
 * do, with one in sixteen sixteen, whatever the number. From the port that was drawn the order goes on: what was
 * taken in order is free in order, so the next is most likely found at once. The first draws are among ports of
 * the right parity. Only when draws find none is each port looked at,
 * so that EADDRNOTAVAIL is said when there is none.
 */
#include <string.h>

#include "base/hash.h"
#include "sock/sock.h"

/* ---- the table ------------------------------------------------------------------------------- */

/* No secret: no peer has a say in what is in the table. */
static uint64_t bind_hash(uint8_t protocol, uint16_t port)
{
    return (uint64_t)protocol << 16 | port;
}

/* A local endpoint that wants to be in the table, or is. */
struct claim {
    const struct wr_sock *sock;
    struct weir_endpoint local;
};

static bool is_any6(const struct weir_addr *addr)
{
    return weir_addr_is_any(addr) && !weir_addr_is_v4(addr);
}

static bool addrs_overlap(const struct weir_addr *a, bool a_v6only, const struct weir_addr *b,
                          bool b_v6only)
{
    if (weir_addr_eq(a, b))
        return true;
    if (is_any6(a))
        return !(a_v6only && weir_addr_is_v4(b));
    if (is_any6(b))
        return !(b_v6only && weir_addr_is_v4(a));
    if (!weir_addr_is_v4(a) || !weir_addr_is_v4(b))
        return false;
    return weir_addr_is_any(a) || weir_addr_is_any(b);
}

static bool may_share(const struct wr_sock *wants, const struct wr_sock *holds)
{
    if (wants->reuseport && holds->reuseport)
        return true;
    bool listens = !holds->is_udp && holds->state == WR_SOCK_LISTENING;
    return wants->reuseaddr && holds->reuseaddr && !listens;
}

enum sharing { SHARE_BY_OPTION, SHARE_NEVER };

static bool conflicts_with_socket(const struct weir_stack *stack, const struct claim *claim,
                                  enum sharing sharing)
{
    const struct wr_sock *wants = claim->sock;
    uint64_t hash = bind_hash(wants->protocol, claim->local.port);
    struct wr_hash_node *node = wr_hash_first(&stack->socks->binds, hash);
    for (; node != NULL; node = wr_hash_next(node)) {
        const struct wr_sock *holds = WR_CONTAINER(node, struct wr_sock_more, bind_node)->sock;
        if (holds == wants || holds->protocol != wants->protocol ||
            holds->more->local.port != claim->local.port)
            continue;
        if (sharing == SHARE_BY_OPTION && may_share(wants, holds))
            continue;
        if (addrs_overlap(&claim->local.addr, wants->v6only, &holds->more->local.addr,
                          holds->v6only))
            return true;
    }
    return false;
}

/* Looks at each connection on the port. Rare: bind() to a port that old connections hold. */
static bool overlaps_connection(const struct weir_stack *stack, const struct claim *claim)
{
    uint64_t cursor = 0;
    struct weir_endpoint local;
    while (wr_tcp_next_local(stack, &cursor, &local))
        if (local.port == claim->local.port &&
            addrs_overlap(&claim->local.addr, claim->sock->v6only, &local.addr, true))
            return true;
    return false;
}

static bool conflicts_with_connection(struct weir_stack *stack, const struct claim *claim,
                                      enum sharing sharing)
{
    const struct wr_sock *wants = claim->sock;
    uint16_t port = claim->local.port;
    if (wants->is_udp || wr_port_holders(stack, port, 0) == 0)
        return false;
    if (sharing == SHARE_NEVER) /* whatever the addresses: the search would look at each for each */
        return true;
    if (wants->reuseaddr && wr_port_holders(stack, port, WR_PORT_REUSEADDR) == 0)
        return false;
    if (wants->reuseport && wr_port_holders(stack, port, WR_PORT_REUSEPORT) == 0)
        return false;
    return overlaps_connection(stack, claim);
}

static bool conflicts(struct weir_stack *stack, const struct claim *claim, enum sharing sharing)
{
    return conflicts_with_socket(stack, claim, sharing) ||
           conflicts_with_connection(stack, claim, sharing);
}

/* ---- ephemeral ports ------------------------------------------------------------------------- */

struct port_range {
    uint32_t first, count; /* count is even, unless it is 1 */
};

static struct port_range local_range(const struct weir_stack *stack)
{
    struct port_range range;
    int64_t first = stack->tunables.ip_local_port_first;
    int64_t last = stack->tunables.ip_local_port_last;
    range.first = (uint32_t)first;
    range.count = last < first ? 1 : (uint32_t)(last - first + 1);
    if (range.count > 1)
        range.count &= ~1u;
    return range;
}

/* The n-th port to try, n below range->count, when the search starts at `start`, below it, too: first all ports of
 * the parity of `start`, then the others. */
static uint16_t nth_port(const struct port_range *range, uint32_t start, uint32_t n)
{
    if (range->count == 1)
        return (uint16_t)range->first;
    uint32_t half = range->count / 2;
    uint32_t offset = start + (n < half ? 2 * n : 2 * (n - half) + 1);
    return (uint16_t)(range->first + (offset < range->count ? offset : offset - range->count));
}

/* For bind(0): a port that no connection holds, and no socket that overlaps, sharing or not. 0:
 * none. */
static uint16_t choose_bind_port(struct weir_stack *stack, struct claim *claim)
{
    struct port_range range = local_range(stack);
    uint32_t start = wr_rng_below(&stack->rng, range.count) | 1;
    for (uint32_t n = 0; n < range.count; n++) {
        claim->local.port = nth_port(&range, start, n);
        if (!wr_port_is_reserved(stack, claim->local.port) && !conflicts(stack, claim, SHARE_NEVER))
            return claim->local.port;
    }
    return 0;
}

/* Is the port bound by a socket that did not get it from connect()? Those have it for
 * themselves. */
static bool is_bound(const struct weir_stack *stack, uint16_t port)
{
    struct wr_hash_node *node = wr_hash_first(&stack->socks->binds, bind_hash(WEIR_SOL_TCP, port));
    for (; node != NULL; node = wr_hash_next(node)) {
        const struct wr_sock *holds = WR_CONTAINER(node, struct wr_sock_more, bind_node)->sock;
        if (!holds->is_udp && holds->more->local.port == port)
            return true;
    }
    return false;
}

/* May a connection to `remote` have this port? Then it is local->port. */
static bool try_port(struct weir_stack *stack, struct weir_endpoint *local,
                     const struct weir_endpoint *remote, uint16_t port, weir_time now)
{
    local->port = port;
    return !wr_port_is_reserved(stack, port) && !is_bound(stack, port) &&
           !wr_tcp_tuple_taken(stack, local, remote, now);
}

enum { IN_ORDER = 8, AT_RANDOM = 64, AT_RANDOM_EVEN = 8 };

/* Where the search towards a destination begins, an offset in the range; offset: F() of RFC 6056. */
static uint32_t start_of(const struct wr_port_turn *turn, const struct port_range *range,
                         uint32_t offset)
{
    return ((offset + turn->count) % range->count & ~1u) | turn->odd;
}

/* Draws until a port is free, and lets the order go on behind it. */
static bool draw_port(struct weir_stack *stack, struct weir_endpoint *local,
                      const struct weir_endpoint *remote, struct wr_port_turn *turn,
                      uint32_t offset, weir_time now)
{
    struct port_range range = local_range(stack);

    for (uint32_t n = 0; n < AT_RANDOM; n++) {
        uint32_t any = wr_rng_below(&stack->rng, range.count);
        if (n < AT_RANDOM_EVEN)
            any &= ~1u;
        if (!try_port(stack, local, remote, nth_port(&range, any, 0), now))
            continue;
        turn->count = any + 2 - offset;
        turn->odd = any & 1;
        return true;
    }
    return false;
}

int wr_bind_choose_port(struct weir_stack *stack, struct weir_endpoint *local,
                        const struct weir_endpoint *remote, weir_time now)
{
    struct wr_socks *socks = stack->socks;
    struct port_range range = local_range(stack);
    uint64_t hash = wr_tcp_port_hash(stack, local, remote); /* F() is its high half, G() the low */
    uint32_t offset = (uint32_t)(hash >> 32);
    struct wr_port_turn *turn = &socks->turns[hash % WR_TURNS];
    uint32_t start = start_of(turn, &range, offset);
    uint32_t in_order = turn->crowded ? 1 : IN_ORDER;
    for (uint32_t n = 0; n < in_order && n < range.count; n++) {
        turn->count += 2;
        if (try_port(stack, local, remote, nth_port(&range, start, n), now)) {
            turn->crowded = false;
            return 0;
        }
    }
    turn->crowded = true;
    if (draw_port(stack, local, remote, turn, offset, now))
        return 0;
    for (uint32_t n = 0; n < range.count; n++)
        if (try_port(stack, local, remote, nth_port(&range, start, n), now))
            return 0;
    local->port = 0;
    return WEIR_EADDRNOTAVAIL;
}

/* ---- bind ------------------------------------------------------------------------------------ */

int wr_bind_enter(struct weir_stack *stack, struct wr_sock *sock, const struct weir_endpoint *local)
{
    struct claim claim = {.sock = sock, .local = *local};
    if (local->port == 0) {
        if (choose_bind_port(stack, &claim) == 0)
            return WEIR_EADDRINUSE;
    } else if (conflicts(stack, &claim, SHARE_BY_OPTION)) {
        return WEIR_EADDRINUSE;
    }
    struct wr_socks *socks = stack->socks;
    uint64_t hash = bind_hash(sock->protocol, claim.local.port);
    if (!wr_hash_insert(&socks->binds, &sock->more->bind_node, hash))
        return WEIR_ENOMEM;
    sock->more->local = claim.local;
    int error =
        sock->is_udp ? wr_udp_bound(stack, sock->more->udp, &sock->more->local, sock->v6only) : 0;
    if (error != 0)
        wr_bind_leave(stack, sock);
    return error;
}

void wr_bind_leave(struct weir_stack *stack, struct wr_sock *sock)
{
    if (sock->more->local.port == 0)
        return;
    wr_hash_remove(&stack->socks->binds, &sock->more->bind_node);
    sock->more->local.port = 0;
    sock->more->local.addr = wr_sock_any(sock);
}

int wr_bind_recheck(struct weir_stack *stack, struct wr_sock *sock)
{
    struct claim claim = {.sock = sock, .local = sock->more->local};
    return conflicts(stack, &claim, SHARE_BY_OPTION) ? WEIR_EADDRINUSE : 0;
}

int wr_sock_autobind(struct weir_stack *stack, struct wr_sock *sock)
{
    struct weir_endpoint local = {.addr = sock->more->local.addr, .port = 0};
    int error = wr_bind_enter(stack, sock, &local);
    if (error != 0)
        return error;
    sock->port_chosen = false;
    return 0;
}

int wr_sock_family_check(const struct wr_sock *sock, const struct weir_addr *addr, int v6only_error)
{
    if (!sock->is_v6)
        return weir_addr_is_v4(addr) ? 0 : WEIR_EAFNOSUPPORT;
    return sock->v6only && weir_addr_is_v4(addr) ? v6only_error : 0;
}

/* May a socket have this local address: unspecified, one of the stack's own, or for a group? */
static int check_local_addr(struct weir_stack *stack, const struct wr_sock *sock,
                            const struct weir_addr *addr)
{
    int error = wr_sock_family_check(sock, addr, WEIR_EINVAL);
    if (error != 0 || weir_addr_is_any(addr))
        return error;
    if (weir_addr_is_multicast(addr))
        return weir_addr_is_v4(addr) || sock->is_udp ? 0 : WEIR_EINVAL;
    if (weir_addr_is_v4(addr) && (weir_addr_is_loopback(addr) || weir_addr_is_broadcast(addr)))
        return 0;
    bool allowed = sock->freebind || wr_netif_own_addr(stack, NULL, addr) != NULL;
    return allowed ? 0 : WEIR_EADDRNOTAVAIL;
}

int weir_sock_bind(struct weir_stack *stack, weir_sock handle, const struct weir_endpoint *local)
{
    struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    int error = check_local_addr(stack, sock, &local->addr);
    if (error != 0)
        return error;
    if (local->port != 0 && local->port < stack->tunables.ip_unprivileged_port_start)
        return WEIR_EACCES;
    bool in_use = !sock->is_udp && sock->state != WR_SOCK_IDLE;
    if (in_use || sock->more->local.port != 0)
        return WEIR_EINVAL;
    if (local->port == 0 && sock->no_port)
        sock->more->local.addr = local->addr;
    else
        error = wr_bind_enter(stack, sock, local);
    if (error != 0)
        return error;
    sock->port_chosen = local->port != 0;
    sock->addr_chosen = !weir_addr_is_any(&local->addr);
    return 0;
}
