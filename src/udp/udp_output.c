/* SPDX-License-Identifier: MIT */
/*
 * Sending one datagram: source address, permission to broadcast, size against the path MTU,
 * checksum. IP_MTU_DISCOVER decides about size as on Linux:
 *
 *     DONT, OMIT     DF clear, fragmented when it is larger than the path MTU
 *     WANT           DF set when it fits, fragmented when it does not (the default)
 *     DO             DF set, EMSGSIZE when it is larger than the path MTU
 *     PROBE          DF set, EMSGSIZE when it is larger than the interface's MTU
 *     INTERFACE      DF clear, EMSGSIZE when it is larger than the interface's MTU
 */
#include "base/bytes.h"
#include "udp/udp.h"
#include "wire/w_csum.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_udp.h"

enum { IP_LEN_MAX = 65535, MULTICAST_HOPS = 1 };

/* All ones below the prefix of one of our IPv4 subnets; /31 and /32 have none (RFC 3021). */
static bool is_subnet_broadcast(const struct wr_ifaddr *own, const struct weir_addr *addr)
{
    if (!weir_addr_is_v4(&own->addr) || own->prefix_len < 96 || own->prefix_len > 126)
        return false;
    uint32_t ones = UINT32_MAX >> (own->prefix_len - 96);
    return weir_addr_to_v4(addr) == (weir_addr_to_v4(&own->addr) | ones);
}

bool wr_udp_is_broadcast(const struct weir_stack *stack, const struct weir_addr *addr)
{
    if (!weir_addr_is_v4(addr))
        return false;
    if (weir_addr_is_broadcast(addr))
        return true;
    if ((addr->b[15] & 3) != 3) /* below a prefix of at most 30 bits all are ones */
        return false;
    WR_LIST_FOREACH(node, &stack->netifs)
    {
        const struct wr_netif *netif = WR_CONTAINER(node, struct wr_netif, node);
        for (unsigned i = 0; i < netif->n_addrs; i++)
            if (is_subnet_broadcast(&netif->addrs[i], addr))
                return true;
    }
    return false;
}

int wr_udp_find_path(struct weir_stack *stack, const struct wr_udp_sock *sock,
                     const struct weir_addr *remote, struct wr_path *path)
{
    bool is_v4 = weir_addr_is_v4(remote);
    struct weir_addr source = sock->local.addr;
    if (wr_udp_is_broadcast(stack, remote) && !sock->opts.broadcast)
        return WEIR_EACCES;
    /* Bound to a group or a broadcast address: that is for receiving only. */
    bool any = weir_addr_is_any(&source) || weir_addr_is_multicast(&source) ||
               wr_udp_is_broadcast(stack, &source);
    if (any)
        source = is_v4 ? weir_addr_any4() : weir_addr_any6();
    else if (weir_addr_is_v4(&source) != is_v4)
        return WEIR_ENETUNREACH;
    return wr_path_find(stack, remote, &source, path);
}

/* Sets DF, or says that it is too large. */
static int check_size(struct weir_stack *stack, const struct wr_udp_sock *sock,
                      const struct wr_path *path, struct wr_ip_tx *tx, size_t transport_len)
{
    bool is_v4 = weir_addr_is_v4(&tx->dst);
    size_t ip_len = transport_len + (is_v4 ? W_IP4_HLEN : W_IP6_HLEN);
    size_t most = IP_LEN_MAX + (is_v4 ? 0 : W_IP6_HLEN);
    if (ip_len > most)
        return WEIR_EMSGSIZE;
    bool fits_path = ip_len <= wr_path_mtu(stack, path, &tx->dst);
    bool fits_link = ip_len <= path->netif->config.mtu;
    switch (sock->opts.mtu_discover) {
    case WR_PMTUDISC_DO:
        tx->dont_fragment = true;
        return fits_path ? 0 : WEIR_EMSGSIZE;
    case WR_PMTUDISC_PROBE:
        tx->dont_fragment = true;
        return fits_link ? 0 : WEIR_EMSGSIZE;
    case WR_PMTUDISC_INTERFACE:
        return fits_link ? 0 : WEIR_EMSGSIZE;
    case WR_PMTUDISC_WANT:
        tx->dont_fragment = fits_path;
        return 0;
    default:
        return 0;
    }
}

static int send_to(struct weir_stack *stack, struct wr_udp_sock *sock, const void *data, size_t len,
                   const struct weir_endpoint *to, weir_time now)
{
    bool ping = sock->proto != W_IPPROTO_UDP;
    uint8_t head[W_UDP_HLEN]; /* as long as ICMP's */
    struct wr_path path;
    int error = wr_udp_find_path(stack, sock, &to->addr, &path);
    if (error != 0)
        return error;
    struct wr_ip_tx tx = {
        .src = path.src,
        .dst = to->addr,
        .proto = sock->proto,
        .hop_limit = weir_addr_is_multicast(&to->addr) ? MULTICAST_HOPS : sock->opts.hop_limit,
        .ds = sock->opts.ds,
    };
    size_t transport_len = (ping ? 0 : W_UDP_HLEN) + len;
    if (ping)
        error = wr_ping_head(sock, &to->addr, data, len, head);
    if (error == 0)
        error = check_size(stack, sock, &path, &tx, transport_len);
    if (error != 0)
        return error;

    struct w_udp udp = {
        .src_port = sock->local.port, .dst_port = to->port, .len = (uint16_t)transport_len};
    if (!ping)
        wr_w_udp_emit(head, &udp);
    struct weir_span spans[2] = {{head, sizeof head}, {data, len}};
    if (ping)
        spans[1] = (struct weir_span){(const uint8_t *)data + sizeof head, len - sizeof head};
    uint64_t sum = tx.proto == W_IPPROTO_ICMP
                       ? 0 /* RFC 792: no pseudo-header */
                       : wr_csum_pseudo(&tx.src, &tx.dst, tx.proto, (uint32_t)transport_len);
    uint16_t csum = wr_csum_finish(wr_csum_spans(sum, spans, 2));
    if (ping)
        put_be16(head + 2, csum);
    else
        put_be16(head + 6, csum != 0 ? csum : 0xffff); /* RFC 768: 0 would mean none */
    error = wr_ip_send(stack, &path, &tx, spans, 2, now);
    if (error == 0)
        wr_count(stack, ping ? WR_STAT_icmp_out : WR_STAT_udp_out);
    return error;
}

ptrdiff_t wr_udp_send(struct weir_stack *stack, struct wr_udp_sock *sock, const void *data,
                      size_t len, const struct weir_endpoint *to, weir_time now)
{
    if (to == NULL && !sock->connected)
        return WEIR_EDESTADDRREQ;
    int pending = wr_udp_take_error(sock);
    if (pending != 0)
        return -pending;
    int error = send_to(stack, sock, data, len, to != NULL ? to : &sock->remote, now);
    return error != 0 ? error : (ptrdiff_t)len;
}
