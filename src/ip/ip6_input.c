/* SPDX-License-Identifier: MIT */
/*
 * An IPv6 packet comes in: RFC 8200 3 and 4, RFC 4291 2.
 *
 * In order: is the header sound, may the source be a source, is the destination this host (one of its
 * addresses, all nodes, the solicited-node group of one of them); then the extension headers, which end in
 * a protocol, a fragment or a problem to report. A reassembled packet comes back here for the rest of its
 * extension headers, and may not hold a fragment again.
 */
#include "ip/ip.h"

#include "tcp/tcp_entry.h"
#include "udp/udp_entry.h"

static enum wr_drop drop_of(enum w_err err)
{
    switch (err) {
    case W_VERSION:
        return WR_DROP_ip6_bad_version;
    case W_LENGTH:
        return WR_DROP_ip6_bad_length;
    case W_ADDR:
        return WR_DROP_ip6_bad_source;
    default:
        return WR_DROP_ip6_short;
    }
}

static bool bad_source(struct weir_stack *stack, const struct wr_netif *netif,
                       const struct w_ip6 *ip)
{
    if (weir_addr_is_multicast(&ip->src))
        return true;
    if (netif->loopback)
        return false;
    return weir_addr_is_loopback(&ip->src) || weir_addr_is_loopback(&ip->dst) ||
           wr_ip_is_own(stack, &ip->src);
}

/* RFC 4291 2.8: the groups that every host is in. Tentative addresses have joined theirs too, or duplicate
 * address detection would hear nothing. */
static bool is_our_group(const struct wr_netif *netif, const struct weir_addr *dst)
{
    static const uint8_t all_nodes_tail[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    if (dst->b[1] != 0x02 && !(netif->loopback && dst->b[1] == 0x01))
        return false;
    if (memcmp(dst->b + 2, all_nodes_tail, sizeof all_nodes_tail) == 0 && dst->b[15] == 1)
        return true;
    for (unsigned i = 0; i < netif->n_addrs; i++) {
        struct weir_addr group;
        if (weir_addr_is_v4(&netif->addrs[i].addr))
            continue;
        group = wr_w_ndp_solicited_node(&netif->addrs[i].addr);
        if (weir_addr_eq(&group, dst))
            return true;
    }
    return false;
}

static bool is_ours(struct weir_stack *stack, const struct wr_netif *netif,
                    const struct weir_addr *dst, bool *unicast)
{
    *unicast = false;
    if (weir_addr_is_multicast(dst))
        return is_our_group(netif, dst);
    *unicast = wr_ip_is_own(stack, dst);
    return *unicast;
}

static enum wr_drop drop_of_ext(const struct w_ip6ext *ext)
{
    if (ext->has_frag && ext->err == W_LENGTH)
        return ext->act == W_IP6EXT_PROBLEM && ext->pointer != 4 ? WR_DROP_frag_too_big
                                                                 : WR_DROP_frag_bad_length;
    if (ext->err == W_CHAIN && ext->n_headers == W_IP6EXT_MAX)
        return WR_DROP_ip6_too_many_ext;
    if (ext->err == W_OPTION || ext->code == W_ICMP6_PARAM_OPTION)
        return WR_DROP_ip6_unknown_option;
    return ext->proto == W_IPPROTO_ROUTING ? WR_DROP_ip6_routing_header : WR_DROP_ip6_bad_ext;
}

static void deliver(struct weir_stack *stack, struct wr_pkt *pkt, weir_time now)
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
    case W_IPPROTO_ICMP6:
        wr_count(stack, WR_STAT_ip_delivered);
        wr_icmp6_input(stack, pkt, now);
        break;
    case W_IPPROTO_NONE:
        wr_drop(stack, WR_DROP_ip6_no_next_header);
        break;
    default:
        if (wr_guest_take(stack, pkt))
            break;
        wr_drop(stack, WR_DROP_ip6_unknown_ext);
        wr_icmp_unreachable(stack, pkt, WR_UNREACH_PROTO, now);
        break;
    }
}

/* The packet from its header on; pkt holds what the header said. */
static void take(struct weir_stack *stack, struct wr_pkt *pkt, weir_time now)
{
    struct w_ip6ext ext;
    wr_w_ip6ext_walk(pkt->l3, pkt->l3_len, &ext);
    pkt->proto = ext.proto;
    if (ext.act != W_IP6EXT_ACCEPT) {
        pkt->data = pkt->l3 + pkt->l3_len;
        pkt->len = 0;
        wr_drop(stack, drop_of_ext(&ext));
        if (ext.act == W_IP6EXT_PROBLEM)
            wr_icmp6_error(stack, pkt, W_ICMP6_PARAM_PROBLEM, ext.code, ext.pointer,
                           ext.problem_to_group, now);
        return;
    }
    pkt->data = pkt->l3 + ext.off;
    pkt->len = pkt->l3_len - ext.off;
    if (ext.has_frag && !ext.atomic) {
        if (pkt->reassembled)
            wr_drop(stack, WR_DROP_ip6_bad_ext);
        else
            wr_frag_input6(stack, pkt, &ext, now);
        return;
    }
    if (weir_addr_is_any(&pkt->src) && pkt->proto != W_IPPROTO_ICMP6) {
        wr_drop(stack, WR_DROP_ip6_bad_source);
        return;
    }
    deliver(stack, pkt, now);
}

static void from_header(struct wr_pkt *pkt, const struct w_ip6 *ip, const uint8_t *p)
{
    pkt->src = ip->src;
    pkt->dst = ip->dst;
    pkt->l3 = p;
    pkt->l3_len = (size_t)W_IP6_HLEN + ip->payload_len;
    pkt->hop_limit = ip->hop_limit;
    pkt->ds = ip->tclass;
}

/* May the packet pass, by its addresses? Else it was dropped and counted, or is the guest's. */
static bool admit(struct weir_stack *stack, const struct w_ip6 *ip, const uint8_t *p,
                  struct wr_pkt *pkt)
{
    if (bad_source(stack, pkt->netif, ip)) {
        wr_drop(stack, WR_DROP_ip6_bad_source);
        return false;
    }
    if (!is_ours(stack, pkt->netif, &ip->dst, &pkt->dst_unicast)) {
        if (!wr_guest_take_group(stack, pkt->netif, &ip->dst, p,
                                 (size_t)W_IP6_HLEN + ip->payload_len))
            wr_drop(stack, WR_DROP_ip6_not_ours);
        return false;
    }
    if (pkt->dst_unicast)
        wr_ip_pair_learn(stack, pkt->netif, &ip->src, &ip->dst);
    return true;
}

void wr_ip6_input(struct weir_stack *stack, struct wr_netif *netif, const struct weir_frame *frame,
                  const uint8_t *p, size_t len, weir_time now)
{
    struct w_ip6 ip;
    struct wr_pkt pkt = {.netif = netif};
    enum w_err err = wr_w_ip6_parse(p, len, &ip);

    wr_count(stack, WR_STAT_ip_in);
    if (err != W_OK) {
        wr_drop(stack, drop_of(err));
        return;
    }
    if (wr_ip_pair_is_known(stack, netif, &ip.src, &ip.dst))
        pkt.dst_unicast = true;
    else if (!admit(stack, &ip, p, &pkt))
        return;
    from_header(&pkt, &ip, p);
    pkt.csum_valid = frame->csum_valid;
    pkt.gso_size = frame->gso_size;
    pkt.body = frame->body;
    take(stack, &pkt, now);
}

void wr_ip6_reassembled(struct weir_stack *stack, struct wr_netif *netif, const uint8_t *p,
                        size_t len, weir_time now)
{
    struct w_ip6 ip;
    struct wr_pkt pkt = {.netif = netif, .reassembled = true};
    if (wr_w_ip6_parse(p, len, &ip) != W_OK || !is_ours(stack, netif, &ip.dst, &pkt.dst_unicast)) {
        wr_drop(stack, WR_DROP_ip6_not_ours); /* the address went while the pieces came */
        return;
    }
    from_header(&pkt, &ip, p);
    take(stack, &pkt, now);
}
