/* SPDX-License-Identifier: MIT */
/*
 * ARP: RFC 826, RFC 1122 2.3.2, and RFC 5227 where it is asked for.
 *
 * As on Linux by default, a new address is used at once, without probe or announcement, and a host that
 * claims an address of ours is counted and otherwise ignored. With the tunable weir.arp_probe an address
 * is first probed and announced, and then defended:
 *
 *     0..1 s   probe   1..2 s   probe   1..2 s   probe   2 s   announce   2 s   announce
 *       |---------------|----------------|----------------|------------------|
 *     TENTATIVE (a conflict takes the address away)       PREFERRED (defended once in 10 s)
 *
 * An entry is made only for a sender that asks for us from an on-link prefix; any valid packet from a known
 * neighbour updates it (RFC 826), but not twice within a second, so that two hosts that claim one
 * address do not make it flap (Linux's locktime).
 */
#include "ip/ip.h"

#include "wire/w_eth.h"

enum {
    PROBE_NUM = 3, /* RFC 5227 1.1 */
    ANNOUNCE_NUM = 2,
    MAX_CONFLICTS = 10
};
#define PROBE_WAIT        (1 * WEIR_SEC)
#define PROBE_MIN         (1 * WEIR_SEC)
#define PROBE_MAX         (2 * WEIR_SEC)
#define ANNOUNCE_WAIT     (2 * WEIR_SEC)
#define ANNOUNCE_INTERVAL (2 * WEIR_SEC)
#define DEFEND_INTERVAL   (10 * WEIR_SEC)
#define RATE_LIMIT        (60 * WEIR_SEC) /* wait before probing after MAX_CONFLICTS */
#define LOCKTIME          (1 * WEIR_SEC)

static void transmit(struct weir_stack *stack, struct wr_netif *netif, const struct w_arp *arp,
                     const uint8_t dst[6])
{
    struct w_eth eth = {.type = W_ETHERTYPE_ARP};
    struct wr_qpkt *pkt = wr_qpkt_new(stack, 0, W_ETH_HLEN + W_ARP_LEN);
    if (!pkt) {
        wr_drop(stack, WR_DROP_no_memory);
        return;
    }
    memcpy(eth.dst, dst, sizeof eth.dst);
    memcpy(eth.src, netif->config.mac, sizeof eth.src);
    wr_w_eth_emit(pkt->data, &eth);
    wr_w_arp_emit(pkt->data + W_ETH_HLEN, arp);
    wr_netif_enqueue(stack, netif, pkt);
}

/* Sends a request; spa is the sender address that it carries. */
static void request(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *spa,
                    const struct weir_addr *tpa, const uint8_t *mac)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct w_arp arp = {.op = W_ARP_REQUEST, .spa = *spa, .tpa = *tpa};
    memcpy(arp.sha, netif->config.mac, sizeof arp.sha);
    transmit(stack, netif, &arp, mac ? mac : broadcast);
}

void wr_arp_request(struct weir_stack *stack, struct wr_netif *netif,
                    const struct weir_addr *target, const struct weir_addr *src, const uint8_t *mac)
{
    const struct wr_ifaddr *own = NULL;
    if (!weir_addr_is_any(src))
        own = wr_netif_own_addr(stack, netif, src);
    if (!own || own->state != WR_ADDR_PREFERRED)
        own = wr_source_select(netif, target);
    if (own) {
        request(stack, netif, &own->addr, target, mac);
    } else {
        /* No address on this interface: ask as the packet's sender, as Linux does. */
        request(stack, netif, src, target, mac);
    }
}

void wr_arp_ask(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *addr)
{
    struct weir_addr zero = weir_addr_any4();
    netif->arp_asks = true;
    netif->arp_asked = *addr;
    request(stack, netif, &zero, addr, NULL);
}

void wr_arp_announce(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *addr)
{
    request(stack, netif, addr, addr, NULL);
}

/* ---- RFC 5227 ---------------------------------------------------------------------------------- */

void wr_arp_probe_start(struct weir_stack *stack, struct wr_ifaddr *addr, weir_time now)
{
    weir_time wait = PROBE_WAIT / 1000 * wr_rng_below(&stack->rng, 1000);
    if (stack->ip->arp_conflicts > MAX_CONFLICTS)
        wait = RATE_LIMIT;
    addr->state = WR_ADDR_TENTATIVE;
    addr->dad_left = PROBE_NUM;
    wr_timer_arm(stack, &addr->timer, weir_time_after(now, wait));
}

void wr_arp_probe_timer(struct weir_stack *stack, struct wr_netif *netif, struct wr_ifaddr *addr,
                        weir_time now)
{
    struct weir_addr zero = weir_addr_any4();
    if (addr->state == WR_ADDR_TENTATIVE && addr->dad_left > 0) {
        weir_time wait = ANNOUNCE_WAIT;
        addr->dad_left--;
        request(stack, netif, &zero, &addr->addr, NULL);
        if (addr->dad_left > 0)
            wait = PROBE_MIN + (PROBE_MAX - PROBE_MIN) / 1000 * wr_rng_below(&stack->rng, 1000);
        wr_timer_arm(stack, &addr->timer, weir_time_after(now, wait));
        return;
    }
    if (addr->state == WR_ADDR_TENTATIVE) {
        addr->state = WR_ADDR_PREFERRED;
        addr->dad_left = ANNOUNCE_NUM;
        wr_route_changed(stack);
    }
    if (addr->dad_left == 0)
        return;
    addr->dad_left--;
    request(stack, netif, &addr->addr, &addr->addr, NULL);
    if (addr->dad_left > 0)
        wr_timer_arm(stack, &addr->timer, weir_time_after(now, ANNOUNCE_INTERVAL));
}

/* Somebody else uses, or probes for, an address of ours. */
static void conflict(struct weir_stack *stack, struct wr_netif *netif, struct wr_ifaddr *own,
                     weir_time now)
{
    struct wr_ip *ip = stack->ip;
    wr_drop(stack, WR_DROP_arp_conflict);
    if (own->state == WR_ADDR_TENTATIVE) {
        ip->arp_conflicts++;
        wr_addr_remove(stack, netif, own);
        return;
    }
    if (!stack->tunables.arp_probe || now < weir_time_after(ip->arp_defended_at, DEFEND_INTERVAL))
        return;
    ip->arp_defended_at = now;
    request(stack, netif, &own->addr, &own->addr, NULL);
}

/* True when the packet was a conflict, and has been dealt with. */
static bool is_conflict(struct weir_stack *stack, struct wr_netif *netif, const struct w_arp *arp,
                        weir_time now)
{
    struct wr_ifaddr *own;
    if (memcmp(arp->sha, netif->config.mac, sizeof arp->sha) == 0) {
        wr_drop(stack, WR_DROP_arp_bad_sender); /* our own frame, come back */
        return true;
    }
    if (netif->arp_asks &&
        weir_addr_eq(weir_addr_is_any(&arp->spa) ? &arp->tpa : &arp->spa, &netif->arp_asked))
        netif->arp_claimed = true;
    own = wr_netif_own_addr(stack, netif, &arp->spa);
    if (!own && weir_addr_is_any(&arp->spa)) { /* a probe for what we are probing for */
        own = wr_netif_own_addr(stack, netif, &arp->tpa);
        if (own && own->state != WR_ADDR_TENTATIVE)
            own = NULL;
    }
    if (!own)
        return false;
    conflict(stack, netif, own, now);
    return true;
}

/* ---- input ------------------------------------------------------------------------------------- */

static void answer(struct weir_stack *stack, struct wr_netif *netif, const struct w_arp *asked)
{
    struct w_arp arp = {.op = W_ARP_REPLY, .spa = asked->tpa, .tpa = asked->spa};
    memcpy(arp.sha, netif->config.mac, sizeof arp.sha);
    memcpy(arp.tha, asked->sha, sizeof arp.tha);
    transmit(stack, netif, &arp, asked->sha);
}

static void learn(struct weir_stack *stack, struct wr_netif *netif, const struct w_arp *arp,
                  bool for_us, weir_time now)
{
    struct wr_neigh *neigh = wr_neigh_find(stack, netif, &arp->spa);
    bool reply_to_us = for_us && arp->op == W_ARP_REPLY;
    bool same;

    if (!neigh && for_us && arp->op == W_ARP_REQUEST && wr_route_on_link(stack, netif, &arp->spa))
        neigh = wr_neigh_get(stack, netif, &arp->spa, now);
    if (!neigh)
        return;
    same = memcmp(neigh->mac, arp->sha, sizeof neigh->mac) == 0;
    if (neigh->state == WR_NUD_INCOMPLETE || neigh->state == WR_NUD_FAILED) {
        wr_neigh_update(stack, neigh, arp->sha, reply_to_us ? WR_NUD_REACHABLE : WR_NUD_STALE, now);
    } else if (same) {
        if (reply_to_us)
            wr_neigh_update(stack, neigh, NULL, WR_NUD_REACHABLE, now);
    } else if (now >= weir_time_after(neigh->changed_at, LOCKTIME)) {
        wr_neigh_update(stack, neigh, arp->sha, WR_NUD_STALE, now);
    }
}

void wr_arp_input(struct weir_stack *stack, struct wr_netif *netif, const uint8_t *p, size_t len,
                  weir_time now)
{
    struct w_arp arp;
    enum w_err err = wr_w_arp_parse(p, len, &arp);
    bool for_us;

    if (err != W_OK) {
        wr_drop(stack, err == W_ADDR ? WR_DROP_arp_bad_sender : WR_DROP_arp_malformed);
        return;
    }
    if (weir_addr_is_loopback(&arp.spa) || weir_addr_is_loopback(&arp.tpa) ||
        weir_addr_is_multicast(&arp.tpa) || wr_ip4_is_broadcast(stack, netif, &arp.spa)) {
        wr_drop(stack, WR_DROP_arp_bad_sender);
        return;
    }
    if (is_conflict(stack, netif, &arp, now))
        return;
    for_us = wr_ip_is_own(stack, &arp.tpa);
    if (!weir_addr_is_any(&arp.spa))
        learn(stack, netif, &arp, for_us, now);
    if (for_us && arp.op == W_ARP_REQUEST)
        answer(stack, netif, &arp);
}
