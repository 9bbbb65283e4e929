/* SPDX-License-Identifier: MIT */
/*
 * Multicast listener discovery, the host's side: RFC 3810 (version 2), RFC 2710 (version 1) for old
 * queriers.
 *
 * A host is in the solicited-node group of each of its addresses. Switches that look at MLD send a group's
 * frames only where somebody said to be in it: without these reports nobody would find us. A report is
 * sent when a group is joined, once more within a second in case the first got lost (6.1), and when a
 * querier asks, after a random part of the time that it allows (5.1.3).
 *
 *     hop-by-hop: router alert | 143 | 0 | csum | 0 | n | record n times: mode, 0, 0 sources, group
 *
 * The group of all nodes is never reported (6).
 */
#include "ip/ip.h"

#include "wire/w_icmp6.h"

enum {
    ROUTER_ALERT_LEN = 8, /* the hop-by-hop header in front */
    RECORD_LEN = 20,
    MODE_IS_EXCLUDE = 2,
    CHANGE_TO_EXCLUDE = 4,
    ROBUSTNESS = 2,
    QUERY_V1_LEN = 24,
    QUERY_V2_LEN = 28,
    MESSAGE_MAX = ROUTER_ALERT_LEN + 8 + RECORD_LEN * WR_ADDRS_PER_NETIF
};
#define UNSOLICITED_INTERVAL (1 * WEIR_SEC)

/* The groups of an interface without repetition; returns how many. */
static unsigned groups_of(const struct wr_netif *netif, struct weir_addr *groups)
{
    unsigned n = 0;
    for (unsigned i = 0; i < netif->n_addrs; i++) {
        struct weir_addr group;
        bool known = false;
        if (weir_addr_is_v4(&netif->addrs[i].addr))
            continue;
        group = wr_w_ndp_solicited_node(&netif->addrs[i].addr);
        for (unsigned j = 0; j < n; j++)
            known = known || weir_addr_eq(&groups[j], &group);
        if (!known)
            groups[n++] = group;
    }
    return n;
}

/* Sends an ICMPv6 message that stands behind ROUTER_ALERT_LEN free bytes, with hop limit 1. */
static void transmit(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *dst,
                     uint8_t *msg, size_t len, weir_time now)
{
    static const uint8_t router_alert[ROUTER_ALERT_LEN] = {W_IPPROTO_ICMP6, 0, 5, 2, 0, 0, 1, 0};
    const struct wr_ifaddr *own = wr_source_select(netif, dst);
    struct weir_addr src = weir_addr_any6(); /* RFC 3810 5.2.13: when there is no address yet */
    struct wr_ip_tx tx = {.dst = *dst, .proto = W_IPPROTO_HOPOPTS, .hop_limit = 1};
    struct weir_span span = {msg, ROUTER_ALERT_LEN + len};
    struct wr_path path = {.netif = netif, .next_hop = *dst, .generation = stack->ip->generation};

    if (own && weir_addr_is_link_local(&own->addr))
        src = own->addr;
    tx.src = path.src = src;
    memcpy(msg, router_alert, ROUTER_ALERT_LEN);
    wr_w_icmp6_seal(msg + ROUTER_ALERT_LEN, len, &src, dst);
    if (wr_ip_send(stack, &path, &tx, &span, 1, now) == 0)
        wr_count(stack, WR_STAT_icmp_out);
}

static void report_v2(struct weir_stack *stack, const struct wr_ndp_if *ndp,
                      const struct weir_addr *groups, unsigned n, weir_time now)
{
    static const uint8_t routers_v2[16] = {0xff, 0x02, [15] = 0x16};
    struct weir_addr dst = weir_addr_from_v6_bytes(routers_v2);
    uint8_t msg[MESSAGE_MAX] = {0};
    uint8_t *p = msg + ROUTER_ALERT_LEN;

    p[0] = W_ICMP6_MLD2_REPORT;
    put_be16(p + 6, (uint16_t)n);
    p += 8;
    for (unsigned i = 0; i < n; i++, p += RECORD_LEN) {
        p[0] = ndp->mld_answer ? MODE_IS_EXCLUDE : CHANGE_TO_EXCLUDE;
        memcpy(p + 4, groups[i].b, 16);
    }
    transmit(stack, ndp->netif, &dst, msg, 8 + (size_t)RECORD_LEN * n, now);
}

static void report_v1(struct weir_stack *stack, const struct wr_ndp_if *ndp,
                      const struct weir_addr *groups, unsigned n, weir_time now)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t msg[ROUTER_ALERT_LEN + QUERY_V1_LEN] = {0};
        msg[ROUTER_ALERT_LEN] = W_ICMP6_MLD_REPORT;
        memcpy(msg + ROUTER_ALERT_LEN + 8, groups[i].b, 16);
        transmit(stack, ndp->netif, &groups[i], msg, QUERY_V1_LEN, now);
    }
}

static void report(struct weir_stack *stack, struct wr_ndp_if *ndp, weir_time now)
{
    struct weir_addr groups[WR_ADDRS_PER_NETIF];
    unsigned n = groups_of(ndp->netif, groups);
    if (n == 0 || !ndp->netif->up)
        return;
    if (ndp->mld_v1)
        report_v1(stack, ndp, groups, n, now);
    else
        report_v2(stack, ndp, groups, n, now);
}

static weir_time random_delay(struct weir_stack *stack, weir_time most)
{
    return most / 1000 * wr_rng_below(&stack->rng, 1000);
}

void wr_mld_timer(struct weir_stack *stack, struct wr_ndp_if *ndp, weir_time now)
{
    if (ndp->mld_left > 0)
        ndp->mld_left--;
    report(stack, ndp, now);
    ndp->mld_answer = false;
    ndp->mld_at = ndp->mld_left > 0
                      ? weir_time_after(now, random_delay(stack, UNSOLICITED_INTERVAL))
                      : WEIR_TIME_NEVER;
}

void wr_mld_joined(struct weir_stack *stack, struct wr_netif *netif, weir_time now)
{
    struct wr_ndp_if *ndp;
    if (!stack->tunables.mld_reports)
        return;
    ndp = wr_ndp_if_get(stack, netif);
    if (!ndp)
        return;
    ndp->mld_left = ROBUSTNESS;
    ndp->mld_answer = false;
    ndp->mld_at = now; /* joins of one moment share a report */
    wr_ndp_rearm(stack);
}

/* RFC 3810 5.1.3: milliseconds, from 32768 on in a floating form. */
static weir_time response_delay(uint16_t code)
{
    uint32_t ms = code;
    if (code >= 32768)
        ms = (uint32_t)((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3);
    return ms * WEIR_MS;
}

void wr_mld_query(struct weir_stack *stack, const struct wr_pkt *pkt, weir_time now)
{
    struct wr_ndp_if *ndp = wr_ndp_if_find(stack, pkt->netif);
    bool v1 = pkt->len == QUERY_V1_LEN;
    weir_time at;

    /* RFC 3810 5.1.14 and 6.2: from a neighbour, and only so. */
    if (!ndp || !stack->tunables.mld_reports || pkt->hop_limit != 1 ||
        !weir_addr_is_link_local(&pkt->src) || (!v1 && pkt->len < QUERY_V2_LEN)) {
        wr_drop(stack, WR_DROP_icmp_ignored);
        return;
    }
    ndp->mld_v1 = v1;
    at = weir_time_after(now, random_delay(stack, response_delay(get_be16(pkt->data + 4))));
    if (ndp->mld_left == 0)
        ndp->mld_left = 1;
    if (at >= ndp->mld_at)
        return; /* a report is due before that anyway */
    ndp->mld_answer = true;
    ndp->mld_at = at;
    wr_ndp_rearm(stack);
}
