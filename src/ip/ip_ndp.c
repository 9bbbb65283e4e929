/* SPDX-License-Identifier: MIT */
/*
 * Neighbour discovery between hosts: RFC 4861 7, and duplicate address detection, RFC 4862 5.4.
 *
 * Solicitations and advertisements drive the neighbour cache (ip_neigh.c). All messages have been
 * checked for hop limit 255, code, length and addresses by wr_w_ndp_parse(). What routers say is in
 * ip_ndp_router.c.
 *
 * An advertisement for a known neighbour, RFC 4861 7.2.5:
 *
 *     entry        O flag or same address?   then
 *     INCOMPLETE   -                         store; REACHABLE if solicited, else STALE
 *     other        no                        REACHABLE becomes STALE; nothing stored
 *     other        yes                       store; REACHABLE if solicited, else STALE if it changed
 *
 * A new address is TENTATIVE until dad_transmits solicitations, one retransmission interval apart after a
 * random delay of up to 1 s, have drawn neither an advertisement nor another's solicitation.
 */
#include "ip/ip.h"

#include "wire/w_eth.h"
#include "wire/w_icmp6.h"

#define DAD_DELAY_MAX (1 * WEIR_SEC) /* RFC 4861 10, MAX_RTR_SOLICITATION_DELAY */

/* ---- sending ----------------------------------------------------------------------------------- */

void wr_ndp_send(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *src,
                 const struct weir_addr *dst, const struct w_ndp *ndp, weir_time now)
{
    uint8_t msg[W_NDP_EMIT_MAX];
    size_t len = wr_w_ndp_emit(msg, ndp);
    struct weir_span span = {msg, len};
    struct wr_ip_tx tx = {.src = *src, .dst = *dst, .proto = W_IPPROTO_ICMP6, .hop_limit = 255};
    struct wr_path path = {
        .netif = netif, .src = *src, .next_hop = *dst, .generation = stack->ip->generation};

    wr_w_icmp6_seal(msg, len, src, dst);
    if (wr_ip_send(stack, &path, &tx, &span, 1, now) == 0)
        wr_count(stack, WR_STAT_icmp_out);
}

/* Sends a solicitation for target to dst. */
static void send_ns(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *src,
                    const struct weir_addr *dst, const struct weir_addr *target, weir_time now)
{
    struct w_ndp ns = {.type = W_ICMP6_NS, .target = *target};
    if (!weir_addr_is_any(src)) {
        ns.has_slla = true;
        memcpy(ns.slla, netif->config.mac, sizeof ns.slla);
    }
    wr_ndp_send(stack, netif, src, dst, &ns, now);
}

void wr_ndp_solicit(struct weir_stack *stack, struct wr_netif *netif,
                    const struct weir_addr *target, const struct weir_addr *src, const uint8_t *mac,
                    weir_time now)
{
    struct weir_addr dst = mac ? *target : wr_w_ndp_solicited_node(target);
    const struct wr_ifaddr *own = wr_netif_own_addr(stack, netif, src);
    if (!own || own->state != WR_ADDR_PREFERRED)
        own = wr_source_select(netif, target);
    if (!own)
        return; /* no usable address on this interface: the entry fails in its time */
    send_ns(stack, netif, &own->addr, &dst, target, now);
}

/* ---- duplicate address detection --------------------------------------------------------------- */

static weir_time retrans_ns(struct weir_stack *stack, const struct wr_netif *netif)
{
    const struct wr_ndp_if *ndp = wr_ndp_if_find(stack, netif);
    return ndp && ndp->retrans_ns ? ndp->retrans_ns : stack->tunables.neigh_retrans_ms * WEIR_MS;
}

static void dad_passed(struct weir_stack *stack, struct wr_netif *netif, struct wr_ifaddr *addr,
                       weir_time now)
{
    addr->state = WR_ADDR_PREFERRED;
    wr_route_changed(stack);
    if (weir_addr_is_link_local(&addr->addr)) {
        wr_mld_joined(stack, netif, now); /* again, from an address now: RFC 3590 4 */
        wr_ndp_router_start(stack, netif, now);
    }
}

void wr_ndp_dad_start(struct weir_stack *stack, struct wr_ifaddr *addr, weir_time now)
{
    struct wr_netif *netif = wr_addr_netif(stack, addr);
    addr->dad_left = (unsigned)stack->tunables.dad_transmits;
    wr_mld_joined(stack, netif, now); /* its solicited-node group, RFC 4862 5.4.2 */
    if (addr->dad_left == 0) {
        dad_passed(stack, netif, addr, now);
        return;
    }
    addr->state = WR_ADDR_TENTATIVE;
    wr_timer_arm(stack, &addr->timer,
                 weir_time_after(now, DAD_DELAY_MAX / 1000 * wr_rng_below(&stack->rng, 1000)));
}

void wr_ndp_dad_timer(struct weir_stack *stack, struct wr_netif *netif, struct wr_ifaddr *addr,
                      weir_time now)
{
    struct weir_addr nobody = weir_addr_any6();
    struct weir_addr group = wr_w_ndp_solicited_node(&addr->addr);
    if (addr->state != WR_ADDR_TENTATIVE)
        return;
    if (addr->dad_left == 0) {
        dad_passed(stack, netif, addr, now);
        return;
    }
    addr->dad_left--;
    wr_timer_arm(stack, &addr->timer, weir_time_after(now, retrans_ns(stack, netif)));
    send_ns(stack, netif, &nobody, &group, &addr->addr, now);
}

/* ---- input ------------------------------------------------------------------------------------- */

/* A neighbour told its link address of its own accord: it is stored, and not believed to be reachable. */
static void learn(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *addr,
                  const uint8_t *mac, weir_time now)
{
    struct wr_neigh *neigh = wr_neigh_get(stack, netif, addr, now);
    bool known;
    if (!neigh)
        return;
    known = neigh->state != WR_NUD_INCOMPLETE && neigh->state != WR_NUD_FAILED;
    if (!known || memcmp(neigh->mac, mac, sizeof neigh->mac) != 0)
        wr_neigh_update(stack, neigh, mac, WR_NUD_STALE, now);
}

/* RFC 4861 7.2.4: to the asker, or to all nodes with S clear when the asker has no address yet. */
static void answer(struct weir_stack *stack, struct wr_netif *netif, const struct wr_pkt *pkt,
                   const struct weir_addr *target, weir_time now)
{
    struct w_ndp na = {.type = W_ICMP6_NA, .target = *target, .override = true, .has_tlla = true};
    struct weir_addr dst = pkt->src;
    memcpy(na.tlla, netif->config.mac, sizeof na.tlla);
    na.solicited = !weir_addr_is_any(&pkt->src);
    if (!na.solicited) {
        dst = weir_addr_any6();
        dst.b[0] = 0xff;
        dst.b[1] = 0x02;
        dst.b[15] = 1;
    }
    wr_ndp_send(stack, netif, target, &dst, &na, now);
}

/* RFC 4861 7.2.3, RFC 4862 5.4.3. */
static void solicitation(struct weir_stack *stack, const struct wr_pkt *pkt,
                         const struct w_ndp *ndp, weir_time now)
{
    struct wr_netif *netif = pkt->netif;
    struct wr_ifaddr *own = wr_netif_own_addr(stack, netif, &ndp->target);
    bool nobody = weir_addr_is_any(&pkt->src);

    if (!own) {
        wr_drop(stack, WR_DROP_ndp_ignored);
    } else if (own->state == WR_ADDR_TENTATIVE) {
        wr_drop(stack, WR_DROP_ndp_ignored);
        if (nobody) /* another host tries the same address */
            wr_addr_remove(stack, netif, own);
    } else {
        struct weir_addr target = own->addr;
        if (!nobody && ndp->has_slla && wr_route_on_link(stack, netif, &pkt->src))
            learn(stack, netif, &pkt->src, ndp->slla, now);
        answer(stack, netif, pkt, &target, now);
    }
}

/* Another host says that it has this address of ours. True when it is ours. */
static bool is_conflict(struct weir_stack *stack, struct wr_netif *netif,
                        const struct weir_addr *target)
{
    struct wr_ifaddr *own = wr_netif_own_addr(stack, netif, target);
    if (!own)
        return false;
    wr_drop(stack, WR_DROP_ndp_ignored);
    if (own->state == WR_ADDR_TENTATIVE) /* RFC 4862 5.4.4 */
        wr_addr_remove(stack, netif, own);
    return true;
}

/* RFC 4861 7.2.5. */
static void advertisement(struct weir_stack *stack, const struct wr_pkt *pkt,
                          const struct w_ndp *ndp, weir_time now)
{
    struct wr_netif *netif = pkt->netif;
    struct wr_neigh *neigh;
    bool same;

    if (is_conflict(stack, netif, &ndp->target))
        return;
    neigh = wr_neigh_find(stack, netif, &ndp->target);
    if (!neigh || neigh->state == WR_NUD_FAILED) {
        wr_drop(stack, WR_DROP_ndp_ignored);
        return;
    }
    if (neigh->state == WR_NUD_INCOMPLETE) {
        if (!ndp->has_tlla) {
            wr_drop(stack, WR_DROP_ndp_ignored);
            return;
        }
        neigh->is_router = ndp->router;
        wr_neigh_update(stack, neigh, ndp->tlla, ndp->solicited ? WR_NUD_REACHABLE : WR_NUD_STALE,
                        now);
        return;
    }
    same = !ndp->has_tlla || memcmp(neigh->mac, ndp->tlla, sizeof neigh->mac) == 0;
    if (!ndp->override && !same) {
        wr_drop(stack, WR_DROP_ndp_ignored);
        if (neigh->state == WR_NUD_REACHABLE)
            wr_neigh_update(stack, neigh, NULL, WR_NUD_STALE, now);
        return;
    }
    if (neigh->is_router && !ndp->router) /* RFC 4861 7.2.5: it has ceased to be one */
        wr_ndp_router_lost(stack, netif, &ndp->target);
    neigh->is_router = ndp->router;
    if (ndp->solicited)
        wr_neigh_update(stack, neigh, same ? NULL : ndp->tlla, WR_NUD_REACHABLE, now);
    else if (!same)
        wr_neigh_update(stack, neigh, ndp->tlla, WR_NUD_STALE, now);
}

static enum wr_drop drop_of(enum w_err err, uint8_t hop_limit)
{
    if (hop_limit != 255)
        return WR_DROP_ndp_bad_hop_limit;
    return err == W_ADDR ? WR_DROP_ndp_bad_source : WR_DROP_ndp_malformed;
}

static bool is_unicast_mac(const uint8_t mac[6])
{
    return !wr_w_eth_is_group(mac) && !wr_w_eth_is_zero(mac);
}

void wr_ndp_input(struct weir_stack *stack, const struct wr_pkt *pkt, weir_time now)
{
    struct w_ndp ndp;
    enum w_err err =
        wr_w_ndp_parse(pkt->data, pkt->len, &pkt->src, &pkt->dst, pkt->hop_limit, &ndp);
    if (err != W_OK) {
        wr_drop(stack, drop_of(err, pkt->hop_limit));
        return;
    }
    if ((ndp.has_slla && !is_unicast_mac(ndp.slla)) ||
        (ndp.has_tlla && !is_unicast_mac(ndp.tlla))) {
        wr_drop(stack, WR_DROP_ndp_malformed);
        return;
    }
    /* RFC 6980 5: discovery messages are never fragmented. Without link addresses there is nothing
     * to discover. */
    if (pkt->reassembled || pkt->netif->config.kind != WEIR_NETIF_ETHERNET) {
        wr_drop(stack, WR_DROP_ndp_ignored);
        return;
    }
    switch (ndp.type) {
    case W_ICMP6_NS:
        solicitation(stack, pkt, &ndp, now);
        break;
    case W_ICMP6_NA:
        advertisement(stack, pkt, &ndp, now);
        break;
    case W_ICMP6_RA:
        wr_ndp_router_advert(stack, pkt, &ndp, now);
        break;
    case W_ICMP6_REDIRECT:
        wr_ndp_redirect(stack, pkt, &ndp, now);
        break;
    default: /* router solicitations are for routers */
        wr_drop(stack, WR_DROP_ndp_ignored);
        break;
    }
}
