/* SPDX-License-Identifier: MIT */
/*
 * A datagram came, or an ICMP error about one of ours: which socket is it for?
 *
 * All sockets of a port are looked at, and each says how well it fits, as on Linux: one that names
 * the local address fits better than one that does not, one with a peer (which must be the sender)
 * better still. The best takes the datagram; among equals the one bound last, unless they share the
 * port by SO_REUSEPORT: then a hash of the endpoints decides, so that one flow stays with one
 * socket. A datagram for a group or a broadcast address is copied to every socket that fits.
 */
#include "base/bytes.h"
#include "udp/udp.h"
#include "wire/w_dhcp.h"
#include "wire/w_udp.h"

/* The endpoints of a datagram, as a socket here sees them. */
struct flow {
    struct weir_endpoint local, remote;
};

enum { NO_FIT = -1 };

bool wr_udp_addr_fits(const struct wr_udp_sock *sock, const struct weir_addr *local)
{
    const struct weir_addr *own = &sock->local.addr;
    if (!weir_addr_is_any(own))
        return weir_addr_eq(own, local);
    if (weir_addr_is_v4(local))
        return weir_addr_is_v4(own) || !sock->v6only;
    return !weir_addr_is_v4(own);
}

static int fit(const struct wr_udp_sock *sock, const struct flow *flow)
{
    int score = 0;
    if (sock->local.port != flow->local.port || !wr_udp_addr_fits(sock, &flow->local.addr))
        return NO_FIT;
    if (sock->connected && !weir_endpoint_eq(&sock->remote, &flow->remote))
        return NO_FIT;
    if (!weir_addr_is_any(&sock->local.addr))
        score += 4;
    else if (weir_addr_is_v4(&sock->local.addr) == weir_addr_is_v4(&flow->local.addr))
        score += 1;
    if (sock->connected)
        score += 8;
    return score;
}

static struct wr_udp_sock *first_on(const struct wr_udp *udp, uint16_t port)
{
    struct wr_hash_node *node = wr_hash_first(&udp->ports, wr_udp_port_hash(&udp->ports, port));
    return node == NULL ? NULL : WR_CONTAINER(node, struct wr_udp_sock, node);
}

static struct wr_udp_sock *next_on(const struct wr_udp_sock *sock)
{
    struct wr_hash_node *node = wr_hash_next(&sock->node);
    return node == NULL ? NULL : WR_CONTAINER(node, struct wr_udp_sock, node);
}

static uint64_t flow_hash(const struct wr_udp *udp, const struct flow *flow)
{
    uint8_t key[36];
    memcpy(key, flow->local.addr.b, 16);
    memcpy(key + 16, flow->remote.addr.b, 16);
    put_be16(key + 32, flow->local.port);
    put_be16(key + 34, flow->remote.port);
    return wr_hash_of(&udp->ports, key, sizeof key);
}

static struct wr_udp_sock *find(const struct wr_udp *udp, const struct flow *flow)
{
    struct wr_udp_sock *best = NULL;
    int best_fit = NO_FIT;
    uint32_t equals = 0; /* sockets in the group of the best */
    for (struct wr_udp_sock *sock = first_on(udp, flow->local.port); sock; sock = next_on(sock)) {
        int score = fit(sock, flow);
        if (score > best_fit) {
            best = sock;
            best_fit = score;
            equals = 1;
        } else if (score == best_fit && score != NO_FIT && sock->opts.reuseport) {
            equals++;
        }
    }
    if (equals < 2 || !best->opts.reuseport)
        return best;
    uint32_t pick = (uint32_t)(flow_hash(udp, flow) % equals);
    for (struct wr_udp_sock *sock = first_on(udp, flow->local.port); sock; sock = next_on(sock))
        if (fit(sock, flow) == best_fit && sock->opts.reuseport && pick-- == 0)
            return sock;
    return best;
}

/* ---- datagrams ------------------------------------------------------------------------------- */

/* True when anybody wanted it. */
static bool deliver_to_all(struct weir_stack *stack, const struct flow *flow, const uint8_t *data,
                           size_t len)
{
    bool any = false;
    struct wr_udp_sock *sock = first_on(stack->udp, flow->local.port);
    for (; sock != NULL; sock = next_on(sock)) {
        if (fit(sock, flow) == NO_FIT)
            continue;
        wr_udp_deliver(stack, sock, &flow->remote, data, len);
        any = true;
    }
    return any;
}

static bool deliver(struct weir_stack *stack, const struct wr_pkt *pkt, const struct flow *flow,
                    const uint8_t *data, size_t len)
{
    if (!pkt->dst_unicast)
        return deliver_to_all(stack, flow, data, len);
    struct wr_udp_sock *sock = find(stack->udp, flow);
    if (sock == NULL)
        return false;
    wr_udp_deliver(stack, sock, &flow->remote, data, len);
    return true;
}

void wr_udp_input(struct weir_stack *stack, const struct wr_pkt *pkt, weir_time now)
{
    struct w_udp udp;
    if (wr_w_udp_parse(pkt->data, pkt->len, &udp) != W_OK) {
        wr_drop(stack, WR_DROP_udp_malformed);
        return;
    }
    if (!pkt->csum_valid && !wr_w_udp_csum_ok(pkt->data, &udp, &pkt->src, &pkt->dst)) {
        wr_drop(stack, WR_DROP_udp_bad_checksum);
        return;
    }
    if (udp.dst_port == W_DHCP_CLIENT_PORT && pkt->netif->dhcp) {
        stack->dhcp->input(stack, pkt->netif, pkt->data + W_UDP_HLEN, udp.len - W_UDP_HLEN, now);
        return;
    }
    struct flow flow = {
        .local = {.addr = pkt->dst, .port = udp.dst_port},
        .remote = {.addr = pkt->src, .port = udp.src_port},
    };
    bool taken = deliver(stack, pkt, &flow, pkt->data + W_UDP_HLEN, udp.len - W_UDP_HLEN);
    if (!taken || !pkt->dst_unicast)
        taken |= wr_guest_take(stack, pkt);
    if (taken)
        return;
    wr_drop(stack, WR_DROP_udp_no_port);
    wr_count(stack, WR_STAT_udp_no_ports);
    if (pkt->dst_unicast)
        wr_icmp_unreachable(stack, pkt, WR_UNREACH_PORT, now);
}

/* ---- ICMP errors ----------------------------------------------------------------------------- */

/* RFC 1122 4.1.3.3: pass them to the application. As on Linux, a socket with a peer is told of
 * hard errors, and of a packet too big unless it lets packets be fragmented; one without a peer
 * of none. */
void wr_udp_told(struct weir_stack *stack, struct wr_udp_sock *sock,
                 const struct wr_icmp_error *error, weir_time now)
{
    bool tell = error->hard;
    int code = error->error;
    if (error->mtu != 0) {
        wr_path_mtu_learn(stack, &error->remote, error->mtu, now);
        tell = sock->opts.mtu_discover != WR_PMTUDISC_DONT;
        code = WEIR_EMSGSIZE;
    }
    if (!tell || !sock->connected)
        return;
    sock->error = -code;
    wr_ready_touch(stack, sock->ready, WR_HAPPENED_ERROR);
}

bool wr_udp_icmp(struct weir_stack *stack, const struct wr_icmp_error *error, weir_time now)
{
    if (error->quoted_len < W_UDP_HLEN)
        return false;
    struct flow flow = {
        .local = {.addr = error->local, .port = get_be16(error->quoted)},
        .remote = {.addr = error->remote, .port = get_be16(error->quoted + 2)},
    };
    struct wr_udp_sock *sock = find(stack->udp, &flow);
    if (sock == NULL)
        return false;
    wr_udp_told(stack, sock, error, now);
    return true;
}
