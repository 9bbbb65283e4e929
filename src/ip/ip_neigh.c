/* SPDX-License-Identifier: MIT */
/*
 * The neighbour cache, for ARP and neighbour discovery alike: RFC 4861 7.3 with Linux's values.
 *
 *     use of an unknown neighbour                      answer
 *        |                                    +------------------------> REACHABLE
 *        v                                    |   (solicited)              |  confirmation older than
 *     INCOMPLETE --ask, 3 times 1 s apart-----+                            |  0.5..1.5 of 30 s, seen at
 *        |                                    |   (unsolicited)            v  the next use
 *        | no answer                          +-------------> STALE <------+
 *        v                                                      | use
 *     FAILED <--no answer-- PROBE <------5 s, no confirmation-- DELAY
 *                           (unicast, 3 times 1 s apart)
 *
 * "Use" is sending. A confirmation is a solicited answer or progress of TCP (wr_neigh_confirm). REACHABLE
 * has no timer: its age is looked at when it is used. A failed neighbour is asked again when it is used
 * again, not sooner than one retransmission interval after it failed.
 *
 * Packets wait in their neighbour's entry, bounded in bytes for each and for all together; the oldest goes
 * first. A bound of bytes, and not of three packets, lets one fragmented datagram wait as a whole.
 *
 * The table is bounded. When it is full, an entry of the lowest class goes (see enum wr_neigh_class): a
 * flood of strangers displaces strangers, never a neighbour that is in use.
 */
#include "ip/ip.h"

#include "tcp/tcp_entry.h"
#include "wire/w_eth.h"

enum {
    NEIGH_FRAMES_MAX = 64, /* waiting for one neighbour, beside WR_NEIGH_QUEUE_BYTES */
    LIVE_LOOKS = 8         /* entries in use that one eviction looks at */
};

/* Bytes of an entry's key: address, then interface index. */
enum { KEY_LEN = 16 + 4 };

static uint64_t key_hash(const struct wr_ip *ip, const struct wr_netif *netif,
                         const struct weir_addr *addr)
{
    uint8_t key[KEY_LEN];
    memcpy(key, addr->b, 16);
    put_be32(key + 16, (uint32_t)netif->ifindex);
    return wr_hash_of(&ip->neighs, key, sizeof key);
}

void wr_neigh_init(struct weir_stack *stack)
{
    struct wr_ip *ip = stack->ip;
    /* The bound is the tunable's, which may change; this one only keeps the table's own promise. */
    wr_table_init(stack, &ip->neighs, "neighbours", UINT32_MAX);
    for (unsigned i = 0; i < WR_NEIGH_CLASSES; i++)
        wr_list_init(&ip->neigh_class[i]);
}

static struct wr_neigh *class_first(struct wr_ip *ip, unsigned class)
{
    struct wr_list *node = wr_list_first(&ip->neigh_class[class]);
    return node ? WR_CONTAINER(node, struct wr_neigh, node) : NULL;
}

/* ---- what waits -------------------------------------------------------------------------------- */

static struct wr_qpkt *queue_pop(struct weir_stack *stack, struct wr_neigh *neigh)
{
    struct wr_list *node = wr_list_pop_front(&neigh->queue);
    struct wr_qpkt *pkt;
    if (!node)
        return NULL;
    pkt = WR_CONTAINER(node, struct wr_qpkt, node);
    neigh->queue_bytes -= pkt->size;
    stack->ip->neigh_queued_bytes -= pkt->size;
    return pkt;
}

static unsigned queue_len(const struct wr_neigh *neigh)
{
    unsigned n = 0;
    WR_LIST_FOREACH(node, &neigh->queue)
    {
        n++;
    }
    return n;
}

static int queue_push(struct weir_stack *stack, struct wr_neigh *neigh, struct wr_qpkt *pkt)
{
    struct wr_ip *ip = stack->ip;
    while (!wr_list_is_empty(&neigh->queue) &&
           (neigh->queue_bytes + pkt->size > WR_NEIGH_QUEUE_BYTES ||
            queue_len(neigh) >= NEIGH_FRAMES_MAX)) {
        wr_drop(stack, WR_DROP_neigh_queue_full);
        wr_qpkt_free(stack, queue_pop(stack, neigh));
    }
    if (ip->neigh_queued_bytes + pkt->size > WR_NEIGH_QUEUE_TOTAL) {
        wr_drop(stack, WR_DROP_neigh_queue_full);
        wr_qpkt_free(stack, pkt);
        return WEIR_ENOBUFS;
    }
    wr_list_push_back(&neigh->queue, &pkt->node);
    neigh->queue_bytes += pkt->size;
    ip->neigh_queued_bytes += pkt->size;
    return 0;
}

/* ---- the table --------------------------------------------------------------------------------- */

static enum wr_neigh_class class_of(const struct wr_neigh *neigh)
{
    switch (neigh->state) {
    case WR_NUD_INCOMPLETE:
        return WR_NEIGH_ASKED;
    case WR_NUD_FAILED:
        return WR_NEIGH_JUNK;
    case WR_NUD_STALE:
        return neigh->used ? WR_NEIGH_IDLE : WR_NEIGH_JUNK;
    default:
        return WR_NEIGH_LIVE;
    }
}

/* Puts the entry at the recent end of its class. */
static void classify(struct wr_ip *ip, struct wr_neigh *neigh)
{
    wr_list_remove(&neigh->node);
    wr_list_push_back(&ip->neigh_class[class_of(neigh)], &neigh->node);
}

static void forget(struct weir_stack *stack, struct wr_neigh *neigh)
{
    struct wr_ip *ip = stack->ip;
    struct wr_qpkt *pkt;
    while ((pkt = queue_pop(stack, neigh)) != NULL) {
        wr_drop(stack, WR_DROP_neigh_failed);
        wr_qpkt_free(stack, pkt);
    }
    if (ip->neigh_last == neigh)
        ip->neigh_last = NULL;
    wr_timer_cancel(stack, &neigh->timer);
    wr_hash_remove(&ip->neighs, &neigh->hash);
    wr_list_remove(&neigh->node);
    wr_free(stack, neigh, sizeof *neigh);
}

/* An entry of netif, any when NULL. */
static struct wr_neigh *one_of(struct wr_ip *ip, const struct wr_netif *netif)
{
    for (unsigned i = 0; i < WR_NEIGH_CLASSES; i++) {
        WR_LIST_FOREACH(node, &ip->neigh_class[i])
        {
            struct wr_neigh *neigh = WR_CONTAINER(node, struct wr_neigh, node);
            if (!netif || neigh->netif == netif)
                return neigh;
        }
    }
    return NULL;
}

void wr_neigh_flush(struct weir_stack *stack, const struct wr_netif *netif)
{
    struct wr_neigh *neigh;
    while ((neigh = one_of(stack->ip, netif)) != NULL) {
        struct weir_addr addr = neigh->addr;
        struct wr_netif *its = neigh->netif;
        bool owed = netif && neigh->tcp_waits;
        forget(stack, neigh);
        if (owed) /* the interface is down: whoever waits cannot start the search again */
            wr_tcp_neigh_settled(stack, its, &addr, true, stack->now);
    }
    if (!netif)
        wr_hash_fini(&stack->ip->neighs);
}

struct wr_neigh *wr_neigh_find(struct weir_stack *stack, const struct wr_netif *netif,
                               const struct weir_addr *addr)
{
    struct wr_ip *ip = stack->ip;
    struct wr_neigh *last = ip->neigh_last;
    if (last && last->netif == netif && weir_addr_eq(&last->addr, addr))
        return last;
    for (struct wr_hash_node *n = wr_hash_first(&ip->neighs, key_hash(ip, netif, addr)); n;
         n = wr_hash_next(n)) {
        struct wr_neigh *neigh = WR_CONTAINER(n, struct wr_neigh, hash);
        if (neigh->netif == netif && weir_addr_eq(&neigh->addr, addr))
            return ip->neigh_last = neigh;
    }
    return NULL;
}

static bool is_reachable(const struct wr_neigh *neigh, weir_time now)
{
    return neigh->state == WR_NUD_REACHABLE && now - neigh->confirmed_at < neigh->reachable_ns;
}

/* Frees one place. False when every entry is in use. */
static bool make_room(struct weir_stack *stack, weir_time now)
{
    struct wr_ip *ip = stack->ip;
    struct wr_neigh *victim = NULL;
    for (unsigned i = 0; i < WR_NEIGH_LIVE && !victim; i++)
        victim = class_first(ip, i);
    for (unsigned i = 0; i < LIVE_LOOKS && !victim; i++) {
        struct wr_neigh *oldest = class_first(ip, WR_NEIGH_LIVE);
        if (!oldest)
            return false;
        if (oldest->state == WR_NUD_REACHABLE && !is_reachable(oldest, now))
            victim = oldest;
        else
            classify(ip, oldest);
    }
    if (!victim)
        return false;
    /* Who waits for it is told, so that no connection waits for ever. */
    if (victim->tcp_waits) {
        victim->tcp_waits = false;
        wr_tcp_neigh_settled(stack, victim->netif, &victim->addr, true, now);
    }
    forget(stack, victim);
    return true;
}

struct wr_neigh *wr_neigh_get(struct weir_stack *stack, struct wr_netif *netif,
                              const struct weir_addr *addr, weir_time now)
{
    struct wr_ip *ip = stack->ip;
    struct wr_neigh *neigh = wr_neigh_find(stack, netif, addr);
    if (neigh)
        return neigh;
    if (ip->neighs.count >= (uint64_t)stack->tunables.neigh_max && !make_room(stack, now)) {
        wr_drop(stack, weir_addr_is_v4(addr) ? WR_DROP_arp_cache_full : WR_DROP_ndp_cache_full);
        return NULL;
    }
    neigh = wr_zalloc(stack, sizeof *neigh);
    if (!neigh || !wr_hash_insert(&ip->neighs, &neigh->hash, key_hash(ip, netif, addr))) {
        wr_drop(stack, WR_DROP_no_memory);
        wr_free(stack, neigh, sizeof *neigh);
        return NULL;
    }
    neigh->netif = netif;
    neigh->addr = *addr;
    neigh->src = weir_addr_is_v4(addr) ? weir_addr_any4() : weir_addr_any6();
    neigh->state = WR_NUD_FAILED; /* until the caller says better; never asked */
    neigh->changed_at = INT64_MIN / 2;
    wr_timer_init(&neigh->timer, WR_TIMER_NEIGH);
    wr_list_init(&neigh->queue);
    wr_list_init(&neigh->node);
    classify(ip, neigh);
    return neigh;
}

bool wr_neigh_is_failed(struct weir_stack *stack, const struct wr_netif *netif,
                        const struct weir_addr *addr)
{
    const struct wr_neigh *neigh;
    if (netif->config.kind != WEIR_NETIF_ETHERNET)
        return false;
    neigh = wr_neigh_find(stack, netif, addr);
    return neigh && neigh->state == WR_NUD_FAILED;
}

/* ---- the state machine ------------------------------------------------------------------------- */

static weir_time retrans_ns(struct weir_stack *stack, const struct wr_neigh *neigh)
{
    if (!weir_addr_is_v4(&neigh->addr)) {
        const struct wr_ndp_if *ndp = wr_ndp_if_find(stack, neigh->netif);
        if (ndp && ndp->retrans_ns != 0)
            return ndp->retrans_ns;
    }
    return stack->tunables.neigh_retrans_ms * WEIR_MS;
}

/* RFC 4861 6.3.2: uniform in 0.5 .. 1.5 of the base. */
static weir_time random_reachable_ns(struct weir_stack *stack, const struct wr_neigh *neigh)
{
    weir_time base = stack->tunables.neigh_reachable_ms * WEIR_MS;
    if (!weir_addr_is_v4(&neigh->addr)) {
        const struct wr_ndp_if *ndp = wr_ndp_if_find(stack, neigh->netif);
        if (ndp && ndp->base_reachable_ns != 0)
            base = ndp->base_reachable_ns;
    }
    return base / 2 + base / 1024 * (weir_time)wr_rng_below(&stack->rng, 1024);
}

static void set_state(struct weir_stack *stack, struct wr_neigh *neigh, enum wr_nud state,
                      weir_time now)
{
    neigh->state = state;
    neigh->probes = 0;
    neigh->changed_at = now;
    wr_timer_cancel(stack, &neigh->timer);
    classify(stack->ip, neigh);
}

/* Asks once more, and waits for the answer. */
static void solicit(struct weir_stack *stack, struct wr_neigh *neigh, weir_time now)
{
    const uint8_t *mac = neigh->state == WR_NUD_PROBE ? neigh->mac : NULL;
    neigh->probes++;
    wr_timer_arm(stack, &neigh->timer, weir_time_after(now, retrans_ns(stack, neigh)));
    if (weir_addr_is_v4(&neigh->addr))
        wr_arp_request(stack, neigh->netif, &neigh->addr, &neigh->src, mac);
    else
        wr_ndp_solicit(stack, neigh->netif, &neigh->addr, &neigh->src, mac, now);
}

static void start_asking(struct weir_stack *stack, struct wr_neigh *neigh,
                         const struct weir_addr *src, weir_time now)
{
    neigh->src = *src;
    set_state(stack, neigh, WR_NUD_INCOMPLETE, now);
    solicit(stack, neigh, now);
}

/* The entry serves no more: what waits is given back to whom it belongs. */
static void fail(struct weir_stack *stack, struct wr_neigh *neigh, weir_time now)
{
    struct wr_netif *netif = neigh->netif;
    struct weir_addr addr = neigh->addr;
    bool tcp_waits = neigh->tcp_waits;
    struct wr_list waiting;
    struct wr_list *node;
    struct wr_qpkt *pkt;

    wr_list_init(&waiting);
    while ((pkt = queue_pop(stack, neigh)) != NULL)
        wr_list_push_back(&waiting, &pkt->node);
    neigh->tcp_waits = false;
    set_state(stack, neigh, WR_NUD_FAILED, now);
    if (wr_route_is_gateway(stack, netif, &addr))
        wr_route_changed(stack); /* another router may be better now, RFC 4861 7.3.3 */

    /* From here on the callees may change the cache: `neigh` is not touched again. */
    while ((node = wr_list_pop_front(&waiting)) != NULL) {
        pkt = WR_CONTAINER(node, struct wr_qpkt, node);
        wr_drop(stack, WR_DROP_neigh_failed);
        wr_icmp_link_failure(stack, pkt->data + pkt->offset, pkt->len, now);
        wr_qpkt_free(stack, pkt);
    }
    if (tcp_waits)
        wr_tcp_neigh_settled(stack, netif, &addr, true, now);
}

void wr_neigh_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now)
{
    struct wr_neigh *neigh = WR_CONTAINER(timer, struct wr_neigh, timer);
    switch (neigh->state) {
    case WR_NUD_DELAY:
        set_state(stack, neigh, WR_NUD_PROBE, now);
        solicit(stack, neigh, now);
        break;
    case WR_NUD_INCOMPLETE:
    case WR_NUD_PROBE:
        if (neigh->probes < stack->tunables.neigh_probes)
            solicit(stack, neigh, now);
        else
            fail(stack, neigh, now);
        break;
    default:
        break;
    }
}

static bool has_mac(const struct wr_neigh *neigh)
{
    return neigh->state != WR_NUD_INCOMPLETE && neigh->state != WR_NUD_FAILED;
}

static void put_link_header(struct wr_netif *netif, struct wr_qpkt *pkt, const uint8_t *mac)
{
    struct w_eth eth;
    bool v6 = pkt->len > 0 && pkt->data[pkt->offset] >> 4 == 6;
    memcpy(eth.dst, mac, sizeof eth.dst);
    memcpy(eth.src, netif->config.mac, sizeof eth.src);
    eth.type = v6 ? W_ETHERTYPE_IP6 : W_ETHERTYPE_IP4;
    pkt->offset -= W_ETH_HLEN;
    pkt->len += W_ETH_HLEN;
    wr_w_eth_emit(pkt->data + pkt->offset, &eth);
}

void wr_neigh_update(struct weir_stack *stack, struct wr_neigh *neigh, const uint8_t *mac,
                     enum wr_nud state, weir_time now)
{
    bool had_mac = has_mac(neigh);
    struct wr_netif *netif = neigh->netif;
    struct weir_addr addr = neigh->addr;
    struct wr_qpkt *pkt;

    if (mac)
        memcpy(neigh->mac, mac, sizeof neigh->mac);
    set_state(stack, neigh, state, now);
    if (state == WR_NUD_REACHABLE) {
        neigh->confirmed_at = now;
        neigh->reachable_ns = random_reachable_ns(stack, neigh);
    }
    if (had_mac)
        return;
    if (wr_route_is_gateway(stack, netif, &addr))
        wr_route_changed(stack);
    while ((pkt = queue_pop(stack, neigh)) != NULL) {
        put_link_header(netif, pkt, neigh->mac);
        neigh->used = true;
        wr_netif_enqueue(stack, netif, pkt);
    }
    classify(stack->ip, neigh);
    if (neigh->tcp_waits) {
        neigh->tcp_waits = false;
        wr_tcp_neigh_settled(stack, netif, &addr, false, now);
    }
}

void wr_neigh_confirm_by(struct weir_stack *stack, const struct wr_path *path, weir_time now)
{
    struct wr_neigh *neigh;
    /* A connection keeps its path past changes of the table: the interface may be gone. */
    if (!path->netif || wr_path_stale(stack, path))
        return;
    if (path->netif->config.kind != WEIR_NETIF_ETHERNET)
        return;
    neigh = wr_neigh_find(stack, path->netif, &path->next_hop);
    if (!neigh || !has_mac(neigh))
        return;
    if (neigh->state == WR_NUD_REACHABLE)
        neigh->confirmed_at = now;
    else
        wr_neigh_update(stack, neigh, NULL, WR_NUD_REACHABLE, now);
}

/* Something is about to be sent to a neighbour whose address is known. */
static void use(struct weir_stack *stack, struct wr_neigh *neigh, weir_time now)
{
    bool first = !neigh->used;
    neigh->used = true;
    if (neigh->state == WR_NUD_STALE ||
        (neigh->state == WR_NUD_REACHABLE && !is_reachable(neigh, now))) {
        set_state(stack, neigh, WR_NUD_DELAY, now);
        wr_timer_arm(stack, &neigh->timer,
                     weir_time_after(now, stack->tunables.neigh_delay_s * WEIR_SEC));
    } else if (first) {
        classify(stack->ip, neigh);
    }
}

/* The link address that needs no asking: of a group, of the broadcast. */
static bool group_mac(struct weir_stack *stack, const struct wr_netif *netif,
                      const struct weir_addr *addr, uint8_t mac[6])
{
    if (wr_w_eth_map_group(addr, mac))
        return true;
    if (!weir_addr_is_v4(addr) || !wr_ip4_is_broadcast(stack, netif, addr))
        return false;
    memset(mac, 0xff, 6);
    return true;
}

/* Brings the entry of a next hop to where it can be used or is being asked for. */
static enum wr_neigh_state ready(struct weir_stack *stack, struct wr_netif *netif,
                                 const struct weir_addr *next_hop, const struct weir_addr *src,
                                 struct wr_neigh **out, weir_time now)
{
    struct wr_neigh *neigh = wr_neigh_get(stack, netif, next_hop, now);
    *out = neigh;
    if (!neigh)
        return WR_NEIGH_FAILED;
    if (has_mac(neigh)) {
        use(stack, neigh, now);
        return WR_NEIGH_READY;
    }
    if (neigh->state == WR_NUD_FAILED) {
        if (now < weir_time_after(neigh->changed_at, retrans_ns(stack, neigh)))
            return WR_NEIGH_FAILED;
        start_asking(stack, neigh, src, now);
    }
    return WR_NEIGH_WAIT;
}

enum wr_neigh_state wr_neigh_resolve(struct weir_stack *stack, const struct wr_path *path,
                                     weir_time now)
{
    struct wr_neigh *neigh;
    enum wr_neigh_state state;
    uint8_t mac[6];
    if (!path->netif->up)
        return WR_NEIGH_FAILED;
    if (path->netif->config.kind != WEIR_NETIF_ETHERNET)
        return WR_NEIGH_READY;
    if (!wr_neigh_find(stack, path->netif, &path->next_hop) &&
        group_mac(stack, path->netif, &path->next_hop, mac))
        return WR_NEIGH_READY;
    state = ready(stack, path->netif, &path->next_hop, &path->src, &neigh, now);
    if (state == WR_NEIGH_WAIT)
        neigh->tcp_waits = true;
    return state;
}

bool wr_neigh_mac(struct weir_stack *stack, const struct wr_path *path, uint8_t mac[6],
                  weir_time now)
{
    struct wr_neigh *neigh = wr_neigh_find(stack, path->netif, &path->next_hop);
    if (!neigh)
        return group_mac(stack, path->netif, &path->next_hop, mac);
    if (!has_mac(neigh))
        return false;
    use(stack, neigh, now);
    memcpy(mac, neigh->mac, 6);
    return true;
}

int wr_neigh_send(struct weir_stack *stack, struct wr_netif *netif,
                  const struct weir_addr *next_hop, const struct weir_addr *src,
                  struct wr_qpkt *pkt, weir_time now)
{
    struct wr_neigh *neigh;
    uint8_t mac[6];
    if (netif->config.kind != WEIR_NETIF_ETHERNET) {
        wr_netif_enqueue(stack, netif, pkt);
        return 0;
    }
    if (!wr_neigh_find(stack, netif, next_hop) && group_mac(stack, netif, next_hop, mac)) {
        put_link_header(netif, pkt, mac);
        wr_netif_enqueue(stack, netif, pkt);
        return 0;
    }
    switch (ready(stack, netif, next_hop, src, &neigh, now)) {
    case WR_NEIGH_READY:
        put_link_header(netif, pkt, neigh->mac);
        wr_netif_enqueue(stack, netif, pkt);
        return 0;
    case WR_NEIGH_WAIT:
        return queue_push(stack, neigh, pkt);
    case WR_NEIGH_FAILED:
        break;
    }
    wr_drop(stack, WR_DROP_neigh_failed);
    wr_qpkt_free(stack, pkt);
    return neigh ? WEIR_EHOSTUNREACH : WEIR_ENOBUFS;
}
