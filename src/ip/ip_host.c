/* SPDX-License-Identifier: MIT */
/* The IP layer's life, and the link header of what comes in. */
#include "ip/ip.h"

#include "base/hint.h"
#include "wire/w_eth.h"

int wr_ip_init(struct weir_stack *stack)
{
    struct wr_ip *ip = wr_zalloc(stack, sizeof *ip);
    if (!ip)
        return WEIR_ENOMEM;
    stack->ip = ip;
    wr_list_init(&ip->routes);
    wr_list_init(&ip->ndp_ifs);
    ip->generation = 1;
    wr_derive_key(stack, "ip", ip->key);
    wr_neigh_init(stack);
    wr_pmtu_init(stack);
    wr_frag_init(stack);
    wr_timer_init(&ip->ndp_timer, WR_TIMER_ADDR);
    for (unsigned i = 0; i < WR_ID_BUCKETS; i++)
        ip->id_counter[i] = wr_rng_u32(&stack->rng);
    for (unsigned i = 0; i < WR_ICMP_BUCKETS; i++)
        ip->icmp_bucket[i].at = INT64_MIN / 2;
    ip->icmp_global_at = INT64_MIN / 2;
    ip->arp_defended_at = INT64_MIN / 2;
    return 0;
}

static bool is_any_route(const struct wr_route *route, const void *arg)
{
    (void)route;
    (void)arg;
    return true;
}

static bool is_of_netif(const struct wr_route *route, const void *arg)
{
    return route->netif == arg;
}

void wr_ip_fini(struct weir_stack *stack)
{
    struct wr_ip *ip = stack->ip;
    if (!ip)
        return;
    wr_frag_flush(stack, NULL);
    wr_neigh_flush(stack, NULL);
    wr_pmtu_flush(stack);
    wr_ndp_router_gone(stack, NULL);
    wr_route_remove_if(stack, is_any_route, NULL);
    wr_timer_cancel(stack, &ip->ndp_timer);
    wr_free(stack, ip, sizeof *ip);
    stack->ip = NULL;
}

void wr_ip_netif_gone(struct weir_stack *stack, struct wr_netif *netif)
{
    if (stack->ip->guest == netif)
        stack->ip->guest = NULL;
    wr_frag_flush(stack, netif);
    wr_neigh_flush(stack, netif);
    wr_ndp_router_gone(stack, netif);
    wr_route_remove_if(stack, is_of_netif, netif);
    wr_route_changed(stack);
}

uint64_t wr_ip_hash(const struct weir_stack *stack, const void *key, size_t len)
{
    return wr_hash_keyed(stack->ip->key, key, len);
}

bool wr_ip_is_own(struct weir_stack *stack, const struct weir_addr *addr)
{
    const struct wr_ifaddr *own = wr_netif_own_addr(stack, NULL, addr);
    return own && own->state == WR_ADDR_PREFERRED;
}

static struct wr_ip_pair *place_of(const struct weir_stack *stack, uint32_t word)
{
    uint32_t x = word * 0x9e3779b1u;
    return &stack->ip->known[x / (UINT32_MAX / WR_IP_PAIRS + 1)];
}

static struct wr_ip_pair *pair_of(const struct weir_stack *stack, const struct weir_addr *src)
{
    return place_of(stack, get_be32(src->b + 12));
}

bool wr_ip_pair_is_known(const struct weir_stack *stack, const struct wr_netif *netif,
                         const struct weir_addr *src, const struct weir_addr *dst)
{
    const struct wr_ip_pair *pair = pair_of(stack, src);
    return wr_may_remember(stack) && pair->netif == netif &&
           pair->generation == stack->ip->generation && weir_addr_eq(&pair->src_dst[0], src) &&
           weir_addr_eq(&pair->src_dst[1], dst);
}

const struct wr_ip_pair *wr_ip_pair_known4(const struct weir_stack *stack,
                                           const struct wr_netif *netif, const uint8_t *addrs)
{
    const struct wr_ip_pair *pair = place_of(stack, get_be32(addrs));

    return wr_may_remember(stack) && pair->netif == netif &&
                   pair->generation == stack->ip->generation && pair->v4 &&
                   memcmp(pair->src_dst[0].b + 12, addrs, 4) == 0 &&
                   memcmp(pair->src_dst[1].b + 12, addrs + 4, 4) == 0
               ? pair
               : NULL;
}

void wr_ip_pair_learn(struct weir_stack *stack, const struct wr_netif *netif,
                      const struct weir_addr *src, const struct weir_addr *dst)
{
    *pair_of(stack, src) =
        (struct wr_ip_pair){{*src, *dst}, netif, stack->ip->generation, weir_addr_is_v4(src)};
}

void wr_ip_addr_added(struct weir_stack *stack, struct wr_netif *netif, struct wr_ifaddr *addr,
                      weir_time now)
{
    bool v4 = weir_addr_is_v4(&addr->addr);
    addr->state = WR_ADDR_PREFERRED;
    if (netif->config.kind == WEIR_NETIF_ETHERNET) {
        if (v4 && stack->tunables.arp_probe)
            wr_arp_probe_start(stack, addr, now);
        else if (!v4)
            wr_ndp_dad_start(stack, addr, now);
    }
    wr_route_changed(stack);
}

/* One timer a claimed address; the layer's own serves what routers told. */
void wr_addr_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now)
{
    struct wr_ifaddr *addr;
    struct wr_netif *netif;
    if (timer == &stack->ip->ndp_timer) {
        wr_ndp_router_timer(stack, now);
        return;
    }
    addr = WR_CONTAINER(timer, struct wr_ifaddr, timer);
    netif = wr_addr_netif(stack, addr);
    if (!netif)
        return;
    if (weir_addr_is_v4(&addr->addr))
        wr_arp_probe_timer(stack, netif, addr, now);
    else
        wr_ndp_dad_timer(stack, netif, addr, now);
}

/* ---- input ------------------------------------------------------------------------------------- */

WR_APART void ethernet_input(struct weir_stack *stack, struct wr_netif *netif,
                             const struct weir_frame *frame, weir_time now)
{
    struct w_eth eth;
    const uint8_t *p = frame->data + W_ETH_HLEN;
    enum w_err err = wr_w_eth_parse(frame->data, frame->len, &eth);
    bool group;

    if (err != W_OK) {
        wr_drop(stack, err == W_SHORT ? WR_DROP_eth_short : WR_DROP_eth_unknown_type);
        return;
    }
    group = wr_w_eth_is_group(eth.dst);
    if (!group && memcmp(eth.dst, netif->config.mac, sizeof eth.dst) != 0) {
        wr_drop(stack, WR_DROP_eth_not_ours);
        return;
    }
    switch (eth.type) {
    case W_ETHERTYPE_IP4:
        wr_ip4_input(stack, netif, frame, p, group, now);
        break;
    case W_ETHERTYPE_IP6:
        wr_ip6_input(stack, netif, frame, p, frame->len - W_ETH_HLEN, now);
        break;
    case W_ETHERTYPE_ARP:
        wr_arp_input(stack, netif, p, frame->len - W_ETH_HLEN, now);
        break;
    default:
        wr_drop(stack, WR_DROP_eth_unknown_type);
        break;
    }
}

void wr_ip_input(struct weir_stack *stack, struct wr_netif *netif, const struct weir_frame *frame,
                 weir_time now)
{
    if (netif == stack->ip->guest) {
        netif->config.guest->input(stack, frame, now);
    } else if (netif->config.kind == WEIR_NETIF_ETHERNET) {
        ethernet_input(stack, netif, frame, now);
    } else if (frame->len == 0) {
        wr_drop(stack, WR_DROP_ip4_short);
    } else if (frame->data[0] >> 4 == 6) {
        wr_ip6_input(stack, netif, frame, frame->data, frame->len, now);
    } else {
        wr_ip4_input(stack, netif, frame, frame->data, false, now);
    }
}
