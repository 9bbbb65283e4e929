/* SPDX-License-Identifier: MIT */
/*
 * What routers tell: RFC 4861 6.3 and 8.3, RFC 4862 5.5.
 *
 * Once an interface has a link-local address, routers are solicited, three times 4 s apart, until one
 * advertises itself. An advertisement may give a default route, on-link prefixes, addresses (SLAAC, by
 * EUI-64), name servers (RFC 8106), the link's MTU, the hop limit and the timers of neighbour discovery. Each has a lifetime, and
 * one timer serves the earliest. All of it is bounded: so many routes learnt, so many addresses, so many
 * routers an interface; an advertisement beyond is dropped in that part.
 *
 * A redirect counts only from the router that we use for the destination now, and gives one /128 route.
 */
#include "ip/ip.h"

enum {
    RS_MAX = 3, /* MAX_RTR_SOLICITATIONS */
    ROUTERS_MAX = 8,
    REACHABLE_MS_MAX = 3600000, /* RFC 4861 6.2.1 */
    RETRANS_MS_MIN = 100,
    RETRANS_MS_MAX = 60000
};
#define RS_INTERVAL   (4 * WEIR_SEC)
#define TWO_HOURS     (7200 * WEIR_SEC)
#define REDIRECT_LIFE (600 * WEIR_SEC)

struct wr_ndp_if *wr_ndp_if_find(struct weir_stack *stack, const struct wr_netif *netif)
{
    WR_LIST_FOREACH(node, &stack->ip->ndp_ifs)
    {
        struct wr_ndp_if *have = WR_CONTAINER(node, struct wr_ndp_if, node);
        if (have->netif == netif)
            return have;
    }
    return NULL;
}

struct wr_ndp_if *wr_ndp_if_get(struct weir_stack *stack, struct wr_netif *netif)
{
    struct wr_ndp_if *have = wr_ndp_if_find(stack, netif);
    if (have)
        return have;
    have = wr_zalloc(stack, sizeof *have);
    if (!have) {
        wr_drop(stack, WR_DROP_no_memory);
        return NULL;
    }
    have->netif = netif;
    have->rs_at = WEIR_TIME_NEVER;
    have->mld_at = WEIR_TIME_NEVER;
    wr_list_init(&have->node);
    wr_list_push_back(&stack->ip->ndp_ifs, &have->node);
    return have;
}

void wr_ndp_router_gone(struct weir_stack *stack, const struct wr_netif *netif)
{
    struct wr_ip *ip = stack->ip;
    WR_LIST_FOREACH_SAFE(node, &ip->ndp_ifs)
    {
        struct wr_ndp_if *have = WR_CONTAINER(node, struct wr_ndp_if, node);
        if (netif && have->netif != netif)
            continue;
        wr_list_remove(&have->node);
        wr_free(stack, have, sizeof *have);
    }
    for (unsigned i = 0; i < WR_SLAAC_MAX; i++) {
        if (!netif || ip->slaac[i].netif == netif)
            ip->slaac[i].netif = NULL;
    }
}

/* ---- timers ------------------------------------------------------------------------------------ */

static weir_time lifetime(uint32_t seconds, weir_time now)
{
    return seconds == 0xffffffffu ? WEIR_TIME_NEVER
                                  : weir_time_after(now, (weir_time)seconds * WEIR_SEC);
}

/* Arms the layer's timer for the earliest of all that has a time. */
void wr_ndp_rearm(struct weir_stack *stack)
{
    struct wr_ip *ip = stack->ip;
    weir_time at = WEIR_TIME_NEVER;
    WR_LIST_FOREACH(node, &ip->ndp_ifs)
    {
        const struct wr_ndp_if *ndp = WR_CONTAINER(node, struct wr_ndp_if, node);
        at = weir_time_min(at, weir_time_min(ndp->rs_at, ndp->mld_at));
    }
    WR_LIST_FOREACH(node, &ip->routes)
    {
        at = weir_time_min(at, WR_CONTAINER(node, struct wr_route, node)->expires_at);
    }
    for (unsigned i = 0; i < WR_SLAAC_MAX; i++) {
        if (ip->slaac[i].netif)
            at = weir_time_min(
                at, weir_time_min(ip->slaac[i].valid_until, ip->slaac[i].preferred_until));
    }
    wr_timer_arm(stack, &ip->ndp_timer, at);
}

static void solicit(struct weir_stack *stack, struct wr_ndp_if *ndp, weir_time now)
{
    static const uint8_t all_routers[16] = {0xff, 0x02, [15] = 2};
    struct weir_addr dst = weir_addr_from_v6_bytes(all_routers);
    struct w_ndp rs = {.type = W_ICMP6_RS, .has_slla = true};
    const struct wr_ifaddr *own = wr_source_select(ndp->netif, &dst);

    ndp->rs_left--;
    ndp->rs_at = ndp->rs_left ? weir_time_after(now, RS_INTERVAL) : WEIR_TIME_NEVER;
    if (!own)
        return;
    memcpy(rs.slla, ndp->netif->config.mac, sizeof rs.slla);
    wr_ndp_send(stack, ndp->netif, &own->addr, &dst, &rs, now);
}

void wr_ndp_router_start(struct weir_stack *stack, struct wr_netif *netif, weir_time now)
{
    struct wr_ndp_if *ndp;
    if (!stack->tunables.accept_ra)
        return;
    ndp = wr_ndp_if_get(stack, netif);
    if (!ndp)
        return;
    ndp->asks = true;
    ndp->rs_left = RS_MAX;
    ndp->rs_at = now; /* duplicate address detection has waited its random delay already */
    wr_ndp_rearm(stack);
}

static bool is_expired(const struct wr_route *route, const void *arg)
{
    return route->expires_at <= *(const weir_time *)arg;
}

static void forget_slaac(struct weir_stack *stack, struct wr_slaac *slaac)
{
    struct wr_ifaddr *own = wr_netif_own_addr(stack, slaac->netif, &slaac->addr);
    if (own)
        wr_addr_remove(stack, slaac->netif, own);
    slaac->netif = NULL;
}

/* RFC 4862 5.5.4: preferred for so many seconds, deprecated after. */
static void prefer(struct weir_stack *stack, struct wr_slaac *slaac, uint32_t seconds,
                   weir_time now)
{
    struct wr_ifaddr *own = wr_netif_own_addr(stack, slaac->netif, &slaac->addr);
    slaac->preferred_until = seconds == 0 ? WEIR_TIME_NEVER : lifetime(seconds, now);
    if (!own || own->deprecated == (seconds == 0))
        return;
    own->deprecated = seconds == 0;
    wr_route_changed(stack); /* sources are chosen anew */
}

void wr_ndp_router_timer(struct weir_stack *stack, weir_time now)
{
    struct wr_ip *ip = stack->ip;
    WR_LIST_FOREACH(node, &ip->ndp_ifs)
    {
        struct wr_ndp_if *ndp = WR_CONTAINER(node, struct wr_ndp_if, node);
        if (ndp->rs_left > 0 && ndp->rs_at <= now)
            solicit(stack, ndp, now);
        if (ndp->mld_at <= now)
            wr_mld_timer(stack, ndp, now);
    }
    wr_route_remove_if(stack, is_expired, &now);
    for (unsigned i = 0; i < WR_SLAAC_MAX; i++) {
        if (ip->slaac[i].netif && ip->slaac[i].valid_until <= now)
            forget_slaac(stack, &ip->slaac[i]);
        if (ip->slaac[i].netif && ip->slaac[i].preferred_until <= now)
            prefer(stack, &ip->slaac[i], 0, now);
    }
    wr_ndp_rearm(stack);
}

/* ---- advertisements ---------------------------------------------------------------------------- */

struct of_router {
    const struct wr_netif *netif;
    const struct weir_addr *router;
};

static bool is_by_router(const struct wr_route *route, const void *arg)
{
    const struct of_router *who = arg;
    return route->origin == WR_ROUTE_RA && route->netif == who->netif && route->has_gateway &&
           weir_addr_eq(&route->gateway, who->router);
}

void wr_ndp_router_lost(struct weir_stack *stack, const struct wr_netif *netif,
                        const struct weir_addr *router)
{
    struct of_router who = {netif, router};
    wr_route_remove_if(stack, is_by_router, &who);
}

static unsigned count_routers(struct weir_stack *stack, const struct wr_netif *netif)
{
    unsigned n = 0;
    WR_LIST_FOREACH(node, &stack->ip->routes)
    {
        const struct wr_route *route = WR_CONTAINER(node, struct wr_route, node);
        n += route->origin == WR_ROUTE_RA && route->has_gateway && route->netif == netif;
    }
    return n;
}

/* RFC 4861 6.3.4: the sender as default router for its lifetime. */
static void default_router(struct weir_stack *stack, struct wr_netif *netif,
                           const struct weir_addr *router, uint16_t lifetime_s, weir_time now)
{
    struct wr_route route = {
        .prefix = weir_addr_any6(),
        .gateway = *router,
        .has_gateway = true,
        .netif = netif,
        .metric = 1024, /* Linux's IP6_RT_PRIO_USER: behind what the user gave */
        .origin = WR_ROUTE_RA,
        .expires_at = lifetime(lifetime_s, now),
    };
    if (lifetime_s == 0)
        wr_ndp_router_lost(stack, netif, router);
    else if (!wr_route_is_gateway(stack, netif, router) &&
             count_routers(stack, netif) >= ROUTERS_MAX)
        wr_drop(stack, WR_DROP_ndp_cache_full);
    else if (wr_route_learn(stack, &route) != 0)
        wr_drop(stack, WR_DROP_ndp_cache_full);
}

struct of_prefix {
    const struct wr_netif *netif;
    const struct w_ndp_prefix *prefix;
};

static bool is_of_prefix(const struct wr_route *route, const void *arg)
{
    const struct of_prefix *which = arg;
    return route->origin == WR_ROUTE_RA && route->netif == which->netif && !route->has_gateway &&
           route->prefix_len == which->prefix->len &&
           weir_addr_prefix_match(&route->prefix, &which->prefix->prefix, route->prefix_len);
}

static void on_link_prefix(struct weir_stack *stack, struct wr_netif *netif,
                           const struct w_ndp_prefix *prefix, weir_time now)
{
    struct wr_route route = {
        .prefix = wr_addr_masked(&prefix->prefix, prefix->len),
        .prefix_len = prefix->len,
        .netif = netif,
        .metric = 256, /* Linux's metric of prefixes from advertisements */
        .origin = WR_ROUTE_RA,
        .expires_at = lifetime(prefix->valid_s, now),
    };
    struct of_prefix which = {netif, prefix};
    if (prefix->valid_s == 0)
        wr_route_remove_if(stack, is_of_prefix, &which);
    else if (wr_route_learn(stack, &route) != 0)
        wr_drop(stack, WR_DROP_ndp_cache_full);
}

/* RFC 4862 5.5.3 (e): nobody can shorten a lifetime below two hours by a forged advertisement. */
static void refresh(struct wr_slaac *slaac, uint32_t valid_s, weir_time now)
{
    weir_time until = lifetime(valid_s, now), two_hours = weir_time_after(now, TWO_HOURS);
    if (until > two_hours || until > slaac->valid_until)
        slaac->valid_until = until;
    else if (slaac->valid_until > two_hours)
        slaac->valid_until = two_hours;
}

static void autoconfigure(struct weir_stack *stack, struct wr_netif *netif,
                          const struct w_ndp_prefix *prefix, weir_time now)
{
    struct weir_addr addr = wr_addr_eui64(&prefix->prefix, netif->config.mac);
    struct wr_slaac *room = NULL;

    if (prefix->len != 64 || prefix->preferred_s > prefix->valid_s)
        return;
    for (unsigned i = 0; i < WR_SLAAC_MAX; i++) {
        struct wr_slaac *slaac = &stack->ip->slaac[i];
        if (slaac->netif == netif && weir_addr_eq(&slaac->addr, &addr)) {
            refresh(slaac, prefix->valid_s, now);
            prefer(stack, slaac, prefix->preferred_s, now);
            return;
        }
        if (!slaac->netif && !room)
            room = slaac;
    }
    if (prefix->valid_s == 0 || wr_netif_own_addr(stack, netif, &addr))
        return;
    /* Half of the places stay the user's. */
    if (!room || netif->n_addrs >= WR_ADDRS_PER_NETIF / 2 ||
        wr_addr_add(stack, netif, &addr, 128, now) != 0) {
        wr_drop(stack, WR_DROP_ndp_cache_full);
        return;
    }
    room->netif = netif;
    room->addr = addr;
    room->valid_until = lifetime(prefix->valid_s, now);
    wr_netif_own_addr(stack, netif, &addr)->learnt = true;
    prefer(stack, room, prefix->preferred_s, now);
}

static void link_parameters(struct wr_ndp_if *ndp_if, const struct w_ndp *ndp)
{
    uint32_t retrans = ndp->retrans_ms;
    if (ndp->cur_hop_limit != 0)
        ndp_if->hop_limit = ndp->cur_hop_limit;
    if (ndp->reachable_ms != 0 && ndp->reachable_ms <= REACHABLE_MS_MAX)
        ndp_if->base_reachable_ns = ndp->reachable_ms * WEIR_MS;
    if (retrans != 0 && retrans <= RETRANS_MS_MAX)
        ndp_if->retrans_ns = (retrans < RETRANS_MS_MIN ? RETRANS_MS_MIN : retrans) * WEIR_MS;
    if (ndp->has_mtu && ndp->mtu >= W_IP6_MIN_MTU && ndp->mtu <= ndp_if->netif->config.mtu)
        ndp_if->mtu = ndp->mtu;
}

/* RFC 8106 5.3.1. Link-local servers are left out: a resolver could not say on which link. */
static void name_servers(struct wr_ndp_if *ndp_if, const struct w_ndp *ndp, weir_time now)
{
    for (unsigned i = 0; i < ndp->n_rdnss; i++) {
        const struct w_ndp_rdnss *told = &ndp->rdnss[i];
        struct wr_rdnss *room = NULL;
        if (weir_addr_is_link_local(&told->addr))
            continue;
        for (unsigned k = WR_RDNSS_MAX; k-- > 0;) {
            struct wr_rdnss *have = &ndp_if->rdnss[k];
            if (have->until > now && weir_addr_eq(&have->addr, &told->addr)) {
                room = have;
                break;
            }
            if (have->until <= now)
                room = have;
        }
        if (room)
            *room = (struct wr_rdnss){told->addr, lifetime(told->lifetime_s, now)};
    }
}

unsigned wr_ndp_dns(const struct weir_stack *stack, struct weir_addr *list, unsigned max)
{
    unsigned n = 0;
    WR_LIST_FOREACH(node, &stack->ip->ndp_ifs)
    {
        const struct wr_ndp_if *ndp = WR_CONTAINER(node, struct wr_ndp_if, node);
        for (unsigned i = 0; i < WR_RDNSS_MAX && n < max; i++)
            if (ndp->rdnss[i].until > stack->now)
                list[n++] = ndp->rdnss[i].addr;
    }
    return n;
}

static void learn_router(struct weir_stack *stack, const struct wr_pkt *pkt, const uint8_t *mac,
                         weir_time now)
{
    struct wr_neigh *neigh = wr_neigh_get(stack, pkt->netif, &pkt->src, now);
    if (!neigh)
        return;
    neigh->is_router = true;
    if (neigh->state == WR_NUD_INCOMPLETE || neigh->state == WR_NUD_FAILED ||
        memcmp(neigh->mac, mac, sizeof neigh->mac) != 0)
        wr_neigh_update(stack, neigh, mac, WR_NUD_STALE, now);
}

void wr_ndp_router_advert(struct weir_stack *stack, const struct wr_pkt *pkt,
                          const struct w_ndp *ndp, weir_time now)
{
    struct wr_netif *netif = pkt->netif;
    struct wr_ndp_if *ndp_if = wr_ndp_if_find(stack, netif);

    /* An interface that has never asked has no IPv6 of its own, or does not want to be told. */
    if (!stack->tunables.accept_ra || !ndp_if || !ndp_if->asks) {
        wr_drop(stack, WR_DROP_ndp_ignored);
        return;
    }
    ndp_if->rs_left = 0;
    ndp_if->rs_at = WEIR_TIME_NEVER;
    link_parameters(ndp_if, ndp);
    name_servers(ndp_if, ndp, now);
    default_router(stack, netif, &pkt->src, ndp->lifetime_s, now);
    if (ndp->has_slla)
        learn_router(stack, pkt, ndp->slla, now);
    for (unsigned i = 0; i < ndp->n_prefixes; i++) {
        const struct w_ndp_prefix *prefix = &ndp->prefixes[i];
        if (prefix->len == 0 || weir_addr_is_link_local(&prefix->prefix) ||
            weir_addr_is_multicast(&prefix->prefix) || weir_addr_is_v4(&prefix->prefix))
            continue;
        if (prefix->on_link)
            on_link_prefix(stack, netif, prefix, now);
        if (prefix->autonomous)
            autoconfigure(stack, netif, prefix, now);
    }
    wr_ndp_rearm(stack);
}

/* ---- redirects --------------------------------------------------------------------------------- */

static bool is_redirect_for(const struct wr_route *route, const void *arg)
{
    return route->origin == WR_ROUTE_REDIRECT && weir_addr_eq(&route->prefix, arg);
}

void wr_ndp_redirect(struct weir_stack *stack, const struct wr_pkt *pkt, const struct w_ndp *ndp,
                     weir_time now)
{
    struct weir_addr any = weir_addr_any6();
    struct wr_route route = {
        .prefix = ndp->dest,
        .prefix_len = 128,
        .gateway = ndp->target,
        .has_gateway = !weir_addr_eq(&ndp->target, &ndp->dest),
        .netif = pkt->netif,
        .origin = WR_ROUTE_REDIRECT,
        .expires_at = weir_time_after(now, REDIRECT_LIFE),
    };
    struct wr_path path;

    /* RFC 4861 8.1: only from the first hop that is in use for this destination. */
    if (wr_ip_is_own(stack, &ndp->dest) || wr_ip_is_own(stack, &ndp->target) ||
        wr_path_find(stack, &ndp->dest, &any, &path) != 0 || path.netif != pkt->netif ||
        !weir_addr_eq(&path.next_hop, &pkt->src) || weir_addr_eq(&path.next_hop, &ndp->dest)) {
        wr_drop(stack, WR_DROP_ndp_ignored);
        return;
    }
    wr_route_remove_if(stack, is_redirect_for, &ndp->dest);
    if (wr_route_learn(stack, &route) != 0) {
        wr_drop(stack, WR_DROP_ndp_cache_full);
        return;
    }
    if (ndp->has_tlla) {
        struct wr_neigh *neigh = wr_neigh_get(stack, pkt->netif, &ndp->target, now);
        if (neigh && (neigh->state == WR_NUD_INCOMPLETE || neigh->state == WR_NUD_FAILED ||
                      memcmp(neigh->mac, ndp->tlla, sizeof neigh->mac) != 0))
            wr_neigh_update(stack, neigh, ndp->tlla, WR_NUD_STALE, now);
    }
    wr_ndp_rearm(stack);
}
