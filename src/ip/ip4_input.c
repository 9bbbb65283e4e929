/* SPDX-License-Identifier: MIT */
/*
 * An IPv4 packet comes in: RFC 791 3.2, RFC 1122 3.2.1 and 3.3.
 *
 * In order: is the header sound (version, lengths, checksum), may the source be a source, is the
 * destination this host, do the options allow it; then reassembly, then the protocol. Nothing is
 * forwarded: what is not for us ends here.
 */
#include "ip/ip.h"

#include "base/hint.h"
#include "tcp/tcp_entry.h"
#include "udp/udp_entry.h"

static enum wr_drop drop_of(enum w_err err)
{
    switch (err) {
    case W_VERSION:
        return WR_DROP_ip4_bad_version;
    case W_HDRLEN:
        return WR_DROP_ip4_bad_header_length;
    case W_LENGTH:
        return WR_DROP_ip4_bad_total_length;
    case W_CSUM:
        return WR_DROP_ip4_bad_checksum;
    default:
        return WR_DROP_ip4_short;
    }
}

bool wr_ip4_is_broadcast(struct weir_stack *stack, const struct wr_netif *netif,
                         const struct weir_addr *addr)
{
    if (weir_addr_is_broadcast(addr))
        return true;
    WR_LIST_FOREACH(node, &stack->netifs)
    {
        const struct wr_netif *each = WR_CONTAINER(node, struct wr_netif, node);
        if (netif && each != netif)
            continue;
        for (unsigned i = 0; i < each->n_addrs; i++) {
            const struct wr_ifaddr *own = &each->addrs[i];
            uint32_t host_mask;
            /* Prefixes of 31 and 32 bits have no broadcast (RFC 3021 2.2). */
            if (!weir_addr_is_v4(&own->addr) || own->prefix_len > WEIR_PREFIX_V4(30))
                continue;
            host_mask = 0xffffffffu >> (own->prefix_len - 96);
            if (weir_addr_prefix_match(addr, &own->addr, own->prefix_len) &&
                (weir_addr_to_v4(addr) & host_mask) == host_mask)
                return true;
        }
    }
    return false;
}

/* RFC 1122 3.2.1.3: sources that no packet from another host may have. */
static bool bad_source(struct weir_stack *stack, const struct wr_netif *netif,
                       const struct weir_addr *src, const struct weir_addr *dst)
{
    if (weir_addr_is_any(src)) /* a host that has no address yet */
        return !weir_addr_is_broadcast(dst);
    if (weir_addr_to_v4(src) >> 24 == 0 || weir_addr_is_multicast(src) ||
        wr_ip4_is_broadcast(stack, NULL, src))
        return true;
    if (netif->loopback)
        return false;
    return weir_addr_is_loopback(src) || weir_addr_is_loopback(dst) || wr_ip_is_own(stack, src);
}

/* Is it for this host; *unicast: to one of its own addresses. */
static bool is_ours(struct weir_stack *stack, const struct wr_netif *netif,
                    const struct weir_addr *dst, bool *unicast)
{
    static const uint8_t all_hosts[4] = {224, 0, 0, 1}; /* RFC 1112 4 */
    *unicast = wr_ip_is_own(stack, dst);
    return *unicast || wr_ip4_is_broadcast(stack, netif, dst) ||
           memcmp(dst->b + 12, all_hosts, sizeof all_hosts) == 0;
}

/* Options: malformed ones are answered, source routes are refused as Linux does, the rest is not for
 * hosts. True when the packet goes on. */
static bool options_allow(struct weir_stack *stack, const struct w_ip4 *ip,
                          const struct wr_pkt *pkt, weir_time now)
{
    struct w_ip4opts opts;
    if (wr_w_ip4opts_parse(ip, &opts) != W_OK) {
        wr_drop(stack, WR_DROP_ip4_bad_option);
        wr_icmp4_error(stack, pkt, W_ICMP4_PARAM_PROBLEM, 0, wr_w_icmp4_pointer_rest(opts.bad),
                       now);
        return false;
    }
    if (opts.lsrr || opts.ssrr) {
        wr_drop(stack, WR_DROP_ip4_source_route);
        return false;
    }
    return true;
}

void wr_ip4_deliver(struct weir_stack *stack, struct wr_pkt *pkt, weir_time now)
{
    switch (pkt->proto) {
    case W_IPPROTO_TCP:
        wr_count(stack, WR_STAT_ip_delivered);
        wr_tcp_input(stack, pkt, now);
        break;
    case W_IPPROTO_UDP:
        wr_count(stack, WR_STAT_ip_delivered);
        wr_udp_input(stack, pkt, now);
        break;
    case W_IPPROTO_ICMP:
        wr_count(stack, WR_STAT_ip_delivered);
        wr_icmp4_input(stack, pkt, now);
        break;
    default:
        if (wr_guest_take(stack, pkt))
            break;
        wr_drop(stack, WR_DROP_ip4_unknown_proto);
        wr_icmp_unreachable(stack, pkt, WR_UNREACH_PROTO, now);
        break;
    }
}

/* May the packet pass, by its addresses? Else it was dropped and counted, or is the guest's. */
static bool admit(struct weir_stack *stack, const struct w_ip4 *ip, struct wr_pkt *pkt,
                  bool link_group)
{
    if (bad_source(stack, pkt->netif, &ip->src, &ip->dst)) {
        wr_drop(stack, WR_DROP_ip4_bad_source);
        return false;
    }
    if (!is_ours(stack, pkt->netif, &ip->dst, &pkt->dst_unicast)) {
        if (!wr_guest_take_group(stack, pkt->netif, &ip->dst, pkt->l3, ip->total_len))
            wr_drop(stack, WR_DROP_ip4_not_ours);
        return false;
    }
    if (link_group && pkt->dst_unicast) { /* RFC 1122 3.3.6 */
        wr_drop(stack, WR_DROP_ip4_link_broadcast);
        return false;
    }
    if (pkt->dst_unicast)
        wr_ip_pair_learn(stack, pkt->netif, &ip->src, &ip->dst);
    return true;
}

/* A TCP segment with nothing unusual in its header, between addresses that were found good before, goes by a short way.
 * False: it has to go by the long one, and nothing was done. */
WR_INLINE bool input_plain(struct weir_stack *stack, struct wr_netif *netif,
                           const struct weir_frame *frame, const uint8_t *p, size_t len,
                           weir_time now)
{
    const struct wr_ip_pair *pair;

    if (!wr_w_ip4_is_plain(p, len) || p[9] != W_IPPROTO_TCP)
        return false;
    pair = wr_ip_pair_known4(stack, netif, p + 12);
    if (pair == NULL)
        return false;
    wr_count(stack, WR_STAT_ip_in);
    wr_count(stack, WR_STAT_ip_delivered);
    wr_tcp_input_plain(stack, netif, frame, p, pair->src_dst, now);
    return true;
}

WR_APART void input_any(struct weir_stack *stack, struct wr_netif *netif,
                        const struct weir_frame *frame, const uint8_t *p, size_t len,
                        bool link_group, weir_time now)
{
    struct w_ip4 ip;
    struct wr_pkt pkt = {.netif = netif};
    enum w_err err = wr_w_ip4_parse(p, len, &ip);

    wr_count(stack, WR_STAT_ip_in);
    if (err != W_OK) {
        wr_drop(stack, drop_of(err));
        return;
    }
    pkt.l3 = p;
    if (!link_group && wr_ip_pair_is_known(stack, netif, &ip.src, &ip.dst))
        pkt.dst_unicast = true;
    else if (!admit(stack, &ip, &pkt, link_group))
        return;
    pkt.src = ip.src;
    pkt.dst = ip.dst;
    pkt.l3_len = ip.total_len;
    pkt.data = p + ip.hdr_len;
    pkt.len = (size_t)ip.total_len - ip.hdr_len;
    pkt.proto = ip.proto;
    pkt.hop_limit = ip.ttl;
    pkt.ds = ip.tos;
    if (ip.hdr_len > W_IP4_HLEN && !options_allow(stack, &ip, &pkt, now))
        return;
    if (wr_w_ip4_is_fragment(&ip)) {
        wr_frag_input4(stack, &pkt, &ip, now);
        return;
    }
    pkt.csum_valid = frame->csum_valid;
    pkt.gso_size = frame->gso_size;
    pkt.body = frame->body;
    wr_ip4_deliver(stack, &pkt, now);
}

void wr_ip4_input(struct weir_stack *stack, struct wr_netif *netif, const struct weir_frame *frame,
                  const uint8_t *p, bool link_group, weir_time now)
{
    size_t len = frame->len - (size_t)(p - frame->data);

    if (wr_may_be_short(stack) && !link_group && input_plain(stack, netif, frame, p, len, now))
        return;
    input_any(stack, netif, frame, p, len, link_group, now);
}
