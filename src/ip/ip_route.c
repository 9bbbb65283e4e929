/* SPDX-License-Identifier: MIT */
/*
 * Routes, and the choice of path and source address.
 *
 * The table is one list, longest prefix first, then lowest metric: the first match wins (RFC 1122
 * 3.3.1.2). It holds what the user gave, one entry for each prefix that an interface has an address in,
 * and a bounded number that routers told. A connection looks once and keeps its path until the
 * table's generation moves on, so that the search costs no packet anything; and the paths found last are kept for
 * the next connections (struct wr_way).
 *
 * Own addresses are not in the table: they are looked for first and go by the loopback interface. A host
 * answers to each of its addresses on every interface (the weak model of RFC 1122 3.3.4.2, as Linux).
 *
 * A default router that does not answer is passed over while another of the same prefix length is there
 * (RFC 4861 6.3.6, RFC 1122 3.3.1.5).
 */
#include "ip/ip.h"

enum { LEARNT_MAX = 64 }; /* routes of RA and redirects */

struct weir_addr wr_addr_masked(const struct weir_addr *addr, unsigned len)
{
    struct weir_addr out = *addr;
    unsigned whole = len / 8;
    if (whole < sizeof out.b) {
        out.b[whole] &= (uint8_t)(0xff00u >> len % 8);
        memset(out.b + whole + 1, 0, sizeof out.b - whole - 1);
    }
    return out;
}

void wr_route_changed(struct weir_stack *stack)
{
    stack->ip->generation++;
}

bool wr_path_stale(const struct weir_stack *stack, const struct wr_path *path)
{
    return path->generation != stack->ip->generation;
}

/* ---- the table --------------------------------------------------------------------------------- */

static bool same_family(const struct weir_addr *a, const struct weir_addr *b)
{
    return weir_addr_is_v4(a) == weir_addr_is_v4(b);
}

static bool goes_before(const struct wr_route *a, const struct wr_route *b)
{
    if (a->prefix_len != b->prefix_len)
        return a->prefix_len > b->prefix_len;
    if (a->metric != b->metric)
        return a->metric < b->metric;
    return a->origin < b->origin;
}

static bool is_same(const struct wr_route *a, const struct wr_route *b)
{
    return a->prefix_len == b->prefix_len && weir_addr_eq(&a->prefix, &b->prefix) &&
           same_family(&a->prefix, &b->prefix) && a->netif == b->netif &&
           a->has_gateway == b->has_gateway &&
           (!a->has_gateway || weir_addr_eq(&a->gateway, &b->gateway));
}

static struct wr_route *find_same(struct wr_ip *ip, const struct wr_route *route)
{
    WR_LIST_FOREACH(node, &ip->routes)
    {
        struct wr_route *have = WR_CONTAINER(node, struct wr_route, node);
        if (is_same(have, route) && have->origin == route->origin && have->metric == route->metric)
            return have;
    }
    return NULL;
}

static bool is_learnt(const struct wr_route *route)
{
    return route->origin == WR_ROUTE_RA || route->origin == WR_ROUTE_REDIRECT;
}

static int insert(struct weir_stack *stack, const struct wr_route *route)
{
    struct wr_ip *ip = stack->ip;
    struct wr_list *at = ip->routes.next;
    struct wr_route *entry = wr_alloc(stack, sizeof *entry);
    if (!entry)
        return WEIR_ENOMEM;
    *entry = *route;
    wr_list_init(&entry->node);
    while (at != &ip->routes && !goes_before(entry, WR_CONTAINER(at, struct wr_route, node)))
        at = at->next;
    wr_list_insert_before(at, &entry->node);
    ip->n_routes++;
    if (is_learnt(entry))
        ip->n_learnt++;
    wr_route_changed(stack);
    return 0;
}

static void take_out(struct weir_stack *stack, struct wr_route *route)
{
    wr_list_remove(&route->node);
    stack->ip->n_routes--;
    if (is_learnt(route))
        stack->ip->n_learnt--;
    wr_free(stack, route, sizeof *route);
    wr_route_changed(stack);
}

void wr_route_remove_if(struct weir_stack *stack,
                        bool (*match)(const struct wr_route *route, const void *arg),
                        const void *arg)
{
    WR_LIST_FOREACH_SAFE(node, &stack->ip->routes)
    {
        struct wr_route *route = WR_CONTAINER(node, struct wr_route, node);
        if (match(route, arg))
            take_out(stack, route);
    }
}

/* The table's form of a user's route. */
static int from_user(struct weir_stack *stack, const struct weir_route *user, struct wr_route *out)
{
    bool v4 = weir_addr_is_v4(&user->prefix);
    struct wr_path via;

    if (user->prefix_len > (v4 ? 32u : 128u))
        return WEIR_EINVAL;
    memset(out, 0, sizeof *out);
    out->prefix_len = v4 ? WEIR_PREFIX_V4(user->prefix_len) : user->prefix_len;
    out->prefix = wr_addr_masked(&user->prefix, out->prefix_len);
    out->has_gateway = !weir_addr_is_any(&user->gateway);
    out->gateway = user->gateway;
    out->metric = user->metric;
    out->origin = WR_ROUTE_STATIC;
    out->expires_at = WEIR_TIME_NEVER;
    if (out->has_gateway &&
        (!same_family(&user->gateway, &user->prefix) || weir_addr_is_multicast(&user->gateway)))
        return WEIR_EINVAL;
    out->netif = wr_netif_by_index(stack, user->ifindex);
    if (!out->netif && user->ifindex == 0 && out->has_gateway) {
        struct weir_addr any = v4 ? weir_addr_any4() : weir_addr_any6();
        int err = wr_path_find(stack, &user->gateway, &any, &via);
        if (err)
            return err;
        out->netif = via.netif;
    }
    if (!out->netif)
        return WEIR_ENODEV;
    return out->netif == stack->ip->guest ? WEIR_EINVAL : 0;
}

int wr_ip_route_add(struct weir_stack *stack, const struct weir_route *route)
{
    struct wr_route entry;
    int err = from_user(stack, route, &entry);
    if (err)
        return err;
    if (find_same(stack->ip, &entry))
        return WEIR_EEXIST;
    return insert(stack, &entry);
}

int wr_ip_route_remove(struct weir_stack *stack, const struct weir_route *route)
{
    struct wr_route entry, *have;
    int err = from_user(stack, route, &entry);
    if (err)
        return err;
    have = find_same(stack->ip, &entry);
    if (!have)
        return WEIR_ENOENT;
    take_out(stack, have);
    return 0;
}

int wr_route_learn(struct weir_stack *stack, const struct wr_route *route)
{
    struct wr_route *have = find_same(stack->ip, route);
    if (have) {
        have->expires_at = route->expires_at;
        return 0;
    }
    if (stack->ip->n_learnt >= LEARNT_MAX)
        return WEIR_ENOBUFS;
    return insert(stack, route);
}

int wr_route_connect(struct weir_stack *stack, struct wr_netif *netif, const struct wr_ifaddr *addr)
{
    struct wr_route route = {
        .prefix = wr_addr_masked(&addr->addr, addr->prefix_len),
        .prefix_len = addr->prefix_len,
        .netif = netif,
        .origin = WR_ROUTE_CONNECTED,
        .expires_at = WEIR_TIME_NEVER,
    };
    wr_route_changed(stack);
    if (addr->prefix_len == 128 || find_same(stack->ip, &route))
        return 0;
    return insert(stack, &route);
}

void wr_route_disconnect(struct weir_stack *stack, struct wr_netif *netif,
                         const struct weir_addr *addr, unsigned prefix_len)
{
    struct wr_route route = {
        .prefix = wr_addr_masked(addr, prefix_len),
        .prefix_len = prefix_len,
        .netif = netif,
        .origin = WR_ROUTE_CONNECTED,
    };
    struct wr_route *have = find_same(stack->ip, &route);

    wr_route_changed(stack);
    if (!have)
        return;
    for (unsigned i = 0; i < netif->n_addrs; i++) {
        if (netif->addrs[i].prefix_len == prefix_len &&
            weir_addr_prefix_match(&netif->addrs[i].addr, &route.prefix, prefix_len))
            return;
    }
    take_out(stack, have);
}

bool wr_route_on_link(struct weir_stack *stack, const struct wr_netif *netif,
                      const struct weir_addr *addr)
{
    if (!weir_addr_is_v4(addr) && weir_addr_is_link_local(addr))
        return true;
    WR_LIST_FOREACH(node, &stack->ip->routes)
    {
        const struct wr_route *route = WR_CONTAINER(node, struct wr_route, node);
        if (route->netif == netif && !route->has_gateway && same_family(addr, &route->prefix) &&
            weir_addr_prefix_match(addr, &route->prefix, route->prefix_len))
            return true;
    }
    return false;
}

bool wr_route_is_gateway(struct weir_stack *stack, const struct wr_netif *netif,
                         const struct weir_addr *addr)
{
    WR_LIST_FOREACH(node, &stack->ip->routes)
    {
        const struct wr_route *route = WR_CONTAINER(node, struct wr_route, node);
        if (route->netif == netif && route->has_gateway && weir_addr_eq(&route->gateway, addr))
            return true;
    }
    return false;
}

/* The route for dst; `only` restricts it to an interface. A gateway known to be dead is the second
 * choice within its prefix length; *passed_over: there was one. */
static const struct wr_route *lookup(struct weir_stack *stack, const struct weir_addr *dst,
                                     const struct wr_netif *only, bool *passed_over)
{
    const struct wr_route *dead = NULL;
    WR_LIST_FOREACH(node, &stack->ip->routes)
    {
        const struct wr_route *route = WR_CONTAINER(node, struct wr_route, node);
        if (dead && route->prefix_len < dead->prefix_len)
            break;
        if (!route->netif->up || (only && route->netif != only) ||
            !same_family(dst, &route->prefix) ||
            !weir_addr_prefix_match(dst, &route->prefix, route->prefix_len))
            continue;
        if (!route->has_gateway || !wr_neigh_is_failed(stack, route->netif, &route->gateway))
            return route;
        *passed_over = true;
        if (!dead)
            dead = route;
    }
    return dead;
}

/* ---- source address ---------------------------------------------------------------------------- */

/* Leading bits that two addresses share. */
static unsigned shared_bits(const struct weir_addr *a, const struct weir_addr *b)
{
    unsigned n = 0;
    while (n < 128 && ((a->b[n / 8] ^ b->b[n / 8]) & (0x80u >> n % 8)) == 0)
        n++;
    return n;
}

/* RFC 4007 5, RFC 6724 3.1: 2 link-local, 14 global. */
static unsigned scope_of(const struct weir_addr *a)
{
    if (weir_addr_is_multicast(a))
        return a->b[1] & 0xf;
    return weir_addr_is_link_local(a) || weir_addr_is_loopback(a) ? 2 : 14;
}

/* RFC 6724 5: true when the first is the better source for dst: rules 1 (same), 2 (scope), 3 (not deprecated),
 * 8 (longest prefix). */
static bool better_source6(const struct wr_ifaddr *first, const struct wr_ifaddr *second,
                           const struct weir_addr *dst)
{
    const struct weir_addr *a = &first->addr, *b = &second->addr;
    unsigned sa = scope_of(a), sb = scope_of(b), sd = scope_of(dst);
    if (weir_addr_eq(a, dst) || weir_addr_eq(b, dst))
        return weir_addr_eq(a, dst) && !weir_addr_eq(b, dst);
    if (sa < sb)
        return sa >= sd;
    if (sb < sa)
        return sb < sd;
    if (first->deprecated != second->deprecated)
        return second->deprecated;
    return shared_bits(a, dst) > shared_bits(b, dst);
}

const struct wr_ifaddr *wr_source_select(struct wr_netif *netif, const struct weir_addr *dst)
{
    const struct wr_ifaddr *best = NULL;
    bool v4 = weir_addr_is_v4(dst);
    for (unsigned i = 0; i < netif->n_addrs; i++) {
        const struct wr_ifaddr *have = &netif->addrs[i];
        if (have->state != WR_ADDR_PREFERRED || weir_addr_is_v4(&have->addr) != v4)
            continue;
        if (!best) {
            best = have;
        } else if (v4) { /* as Linux: the first, unless another shares the destination's prefix */
            if (!weir_addr_prefix_match(dst, &best->addr, best->prefix_len) &&
                weir_addr_prefix_match(dst, &have->addr, have->prefix_len))
                best = have;
        } else if (better_source6(have, best, dst)) {
            best = have;
        }
    }
    return best;
}

/* An address of another interface, for one that has none of its own. */
static const struct wr_ifaddr *borrow_source(struct weir_stack *stack, const struct weir_addr *dst)
{
    WR_LIST_FOREACH(node, &stack->netifs)
    {
        struct wr_netif *netif = WR_CONTAINER(node, struct wr_netif, node);
        const struct wr_ifaddr *have = NULL;
        if (netif->up && !netif->loopback)
            have = wr_source_select(netif, dst);
        if (have && !weir_addr_is_link_local(&have->addr))
            return have;
    }
    return NULL;
}

/* ---- path -------------------------------------------------------------------------------------- */

static int path_by(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *dst,
                   const struct weir_addr *next_hop, const struct weir_addr *src,
                   struct wr_path *path)
{
    path->netif = netif;
    path->next_hop = *next_hop;
    path->generation = stack->ip->generation;
    path->src = *src;
    if (weir_addr_is_any(src)) {
        /* IPv4 looks for a source in the next hop's prefix, IPv6 for one near the destination. */
        const struct wr_ifaddr *have =
            wr_source_select(netif, weir_addr_is_v4(dst) ? next_hop : dst);
        if (!have)
            have = borrow_source(stack, dst);
        if (!have)
            return WEIR_EADDRNOTAVAIL;
        path->src = have->addr;
    }
    return 0;
}

/* To an address of this host: by lo, from the same address (Linux: from 127.0.0.1 to 127/8). */
static int path_to_self(struct weir_stack *stack, const struct weir_addr *dst,
                        const struct weir_addr *src, const struct wr_ifaddr *record,
                        struct wr_path *path)
{
    if (!stack->lo || !stack->lo->up)
        return WEIR_ENETUNREACH;
    path->netif = stack->lo;
    path->next_hop = *dst;
    path->generation = stack->ip->generation;
    path->src = weir_addr_is_any(src) ? record->addr : *src;
    return 0;
}

void wr_path_on_link(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *src,
                     const struct weir_addr *next_hop, struct wr_path *path)
{
    path->netif = netif;
    path->next_hop = *next_hop;
    path->generation = stack->ip->generation;
    path->src = *src;
}

/* An interface for destinations that name none: a group, the limited broadcast. */
static struct wr_netif *default_netif(struct weir_stack *stack, const struct weir_addr *dst,
                                      struct wr_netif *of_src)
{
    if (of_src && !of_src->loopback)
        return of_src->up ? of_src : NULL;
    WR_LIST_FOREACH(node, &stack->netifs)
    {
        struct wr_netif *netif = WR_CONTAINER(node, struct wr_netif, node);
        if (netif->up && !netif->loopback && wr_source_select(netif, dst))
            return netif;
    }
    return NULL;
}

/* What `only` is for wr_path_find(): any interface. *lasting: as long as the generation does not change it is the
 * same, but if it goes by a gateway, when that fails. */
static int find_on(struct weir_stack *stack, const struct weir_addr *dst,
                   const struct weir_addr *src, struct wr_netif *only, struct wr_path *path,
                   bool *lasting)
{
    const struct wr_route *route;
    struct wr_ifaddr *own;
    struct wr_netif *of_src = NULL;
    bool scoped = !weir_addr_is_v4(dst) && weir_addr_is_link_local(dst), passed_over = false;

    *lasting = false;
    if (weir_addr_is_any(dst))
        return WEIR_ENETUNREACH;
    if (!weir_addr_is_any(src)) {
        own = wr_netif_own_addr(stack, NULL, src);
        if (!own || own->state != WR_ADDR_PREFERRED || !same_family(src, dst))
            return WEIR_EADDRNOTAVAIL;
        of_src = wr_addr_netif(stack, own);
    }
    own = wr_netif_own_addr(stack, NULL, dst);
    if (own && own->state == WR_ADDR_PREFERRED)
        return path_to_self(stack, dst, src, own, path);
    if (weir_addr_is_loopback(dst) || (!weir_addr_is_any(src) && weir_addr_is_loopback(src)))
        return WEIR_ENETUNREACH;
    if (!only && (scoped || weir_addr_is_multicast(dst)) && !weir_addr_is_any(src) &&
        weir_addr_is_link_local(src))
        only = of_src;

    route = lookup(stack, dst, only, &passed_over);
    if (route) {
        *lasting = !passed_over && !(route->has_gateway && weir_addr_eq(&route->gateway, dst));
        return path_by(stack, route->netif, dst, route->has_gateway ? &route->gateway : dst, src,
                       path);
    }
    if (only && scoped)
        return path_by(stack, only, dst, dst, src, path);
    if (weir_addr_is_broadcast(dst) || (!weir_addr_is_v4(dst) && weir_addr_is_multicast(dst))) {
        struct wr_netif *netif = only ? only : default_netif(stack, dst, of_src);
        if (netif)
            return path_by(stack, netif, dst, dst, src, path);
    }
    return WEIR_ENETUNREACH;
}

/* The place of a path among those found last. */
static struct wr_way *way_of(const struct weir_stack *stack, const struct weir_addr *dst,
                             const struct weir_addr *src)
{
    uint32_t x = (weir_addr_word(dst->b + 12) + 3 * weir_addr_word(src->b + 12)) * 0x9e3779b1u;
    return &stack->ip->ways[x / (UINT32_MAX / WR_IP_WAYS + 1)];
}

/* A new search would find the same, unless its gateway failed. */
static bool still_good(const struct weir_stack *stack, const struct wr_way *way,
                       const struct weir_addr *dst, const struct weir_addr *src)
{
    const struct wr_path *path = &way->path;
    return wr_may_remember(stack) && path->generation == stack->ip->generation &&
           weir_addr_eq(&way->dst, dst) && weir_addr_eq(&way->src, src) && path->netif->up;
}

/* The path by a gateway that has not failed; or as found in the tables, which is kept if it lasts. */
WR_APART int find_anew(struct weir_stack *stack, const struct weir_addr *dst,
                       const struct weir_addr *src, struct wr_way *way, struct wr_path *path)
{
    bool lasting;
    int err;
    if (still_good(stack, way, dst, src) &&
        !wr_neigh_is_failed(stack, way->path.netif, &way->path.next_hop)) {
        *path = way->path;
        return 0;
    }
    err = find_on(stack, dst, src, NULL, path, &lasting);
    /* A group is its own next hop, whatever router the route names. */
    if (err == 0 && (weir_addr_is_multicast(dst) || weir_addr_is_broadcast(dst)))
        path->next_hop = *dst;
    else if (err == 0 && lasting)
        *way = (struct wr_way){*dst, *src, *path, weir_addr_eq(&path->next_hop, dst)};
    return err;
}

int wr_path_find(struct weir_stack *stack, const struct weir_addr *dst, const struct weir_addr *src,
                 struct wr_path *path)
{
    struct wr_way *way = way_of(stack, dst, src);
    if (!still_good(stack, way, dst, src) || !way->direct)
        return find_anew(stack, dst, src, way, path);
    *path = way->path;
    return 0;
}

int wr_path_back(struct weir_stack *stack, const struct wr_pkt *pkt, const struct weir_addr *src,
                 struct wr_path *path)
{
    bool scoped = !weir_addr_is_v4(&pkt->src) && weir_addr_is_link_local(&pkt->src), lasting;
    if (!scoped)
        return wr_path_find(stack, &pkt->src, src, path);
    return find_on(stack, &pkt->src, src, pkt->netif, path, &lasting);
}
