/* SPDX-License-Identifier: MIT */
/*
 * Path MTUs that ICMP told: RFC 1191, RFC 8201.
 *
 * One bounded table by destination, oldest out first. An entry only ever lowers what the interface
 * allows; a smaller value replaces a larger one, a larger one is ignored (RFC 1191 3, RFC 8201 4). It lives
 * for mtu_expires_s (600) from its last change, after which the full size is tried again. IPv4 values below
 * min_pmtu (552) are raised to it, as Linux does, so that a forged message cannot make every segment tiny;
 * IPv6 messages below 1280 are ignored (RFC 8201 4).
 *
 * All entries live equally long, so the list in order of storing is the order of expiry, and one timer
 * serves all.
 */
#include "ip/ip.h"

enum { PMTU_MAX = 2048 };

struct wr_pmtu {
    struct wr_hash_node hash;
    struct wr_list node;
    struct weir_addr dst;
    uint32_t mtu;
    weir_time expires_at;
};

void wr_pmtu_init(struct weir_stack *stack)
{
    struct wr_ip *ip = stack->ip;
    wr_table_init(stack, &ip->pmtus, "pmtu", PMTU_MAX);
    wr_list_init(&ip->pmtu_order);
    wr_timer_init(&ip->pmtu_timer, WR_TIMER_PMTU);
}

static struct wr_pmtu *find(struct wr_ip *ip, const struct weir_addr *dst, uint64_t hash)
{
    for (struct wr_hash_node *n = wr_hash_first(&ip->pmtus, hash); n; n = wr_hash_next(n)) {
        struct wr_pmtu *have = WR_CONTAINER(n, struct wr_pmtu, hash);
        if (weir_addr_eq(&have->dst, dst))
            return have;
    }
    return NULL;
}

static void forget(struct weir_stack *stack, struct wr_pmtu *entry)
{
    wr_hash_remove(&stack->ip->pmtus, &entry->hash);
    wr_list_remove(&entry->node);
    wr_free(stack, entry, sizeof *entry);
}

static struct wr_pmtu *oldest(struct wr_ip *ip)
{
    struct wr_list *node = wr_list_first(&ip->pmtu_order);
    return node ? WR_CONTAINER(node, struct wr_pmtu, node) : NULL;
}

void wr_pmtu_flush(struct weir_stack *stack)
{
    struct wr_pmtu *entry;
    while ((entry = oldest(stack->ip)) != NULL)
        forget(stack, entry);
    wr_timer_cancel(stack, &stack->ip->pmtu_timer);
    wr_hash_fini(&stack->ip->pmtus);
}

void wr_pmtu_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now)
{
    struct wr_pmtu *entry;
    while ((entry = oldest(stack->ip)) != NULL && entry->expires_at <= now)
        forget(stack, entry);
    if (entry)
        wr_timer_arm(stack, timer, entry->expires_at);
}

uint32_t wr_pmtu_find(struct weir_stack *stack, const struct weir_addr *dst)
{
    struct wr_ip *ip = stack->ip;
    struct wr_pmtu *have;
    if (ip->pmtus.count == 0)
        return 0;
    have = find(ip, dst, wr_hash_of(&ip->pmtus, dst->b, sizeof dst->b));
    return have ? have->mtu : 0;
}

uint32_t wr_netif_mtu(struct weir_stack *stack, const struct wr_netif *netif,
                      const struct weir_addr *dst)
{
    uint32_t mtu = netif->config.mtu;
    if (!weir_addr_is_v4(dst) && !wr_list_is_empty(&stack->ip->ndp_ifs)) {
        const struct wr_ndp_if *ndp = wr_ndp_if_find(stack, netif);
        if (ndp && ndp->mtu != 0 && ndp->mtu < mtu)
            mtu = ndp->mtu;
    }
    return mtu;
}

uint32_t wr_path_mtu(struct weir_stack *stack, const struct wr_path *path,
                     const struct weir_addr *dst)
{
    uint32_t mtu = wr_netif_mtu(stack, path->netif, dst);
    uint32_t told = wr_pmtu_find(stack, dst);
    return told != 0 && told < mtu ? told : mtu;
}

/* The largest plateau of RFC 1191 7.1 below a packet that was too big for a router that said no size. */
static uint32_t plateau_below(uint32_t len)
{
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68};
    for (unsigned i = 0; i < sizeof plateaus / sizeof plateaus[0]; i++) {
        if (plateaus[i] < len)
            return plateaus[i];
    }
    return 68;
}

uint32_t wr_pmtu_judge(struct weir_stack *stack, const struct weir_addr *dst, uint32_t told,
                       uint32_t packet_len)
{
    uint32_t floor_v4 = (uint32_t)stack->tunables.min_pmtu;
    if (!weir_addr_is_v4(dst))
        return told < W_IP6_MIN_MTU ? 0 : told;
    if (stack->tunables.ip_no_pmtu_disc)
        return 0;
    if (told == 0)
        told = plateau_below(packet_len);
    return told < floor_v4 ? floor_v4 : told;
}

static struct wr_pmtu *make(struct weir_stack *stack, const struct weir_addr *dst, uint64_t hash)
{
    struct wr_ip *ip = stack->ip;
    struct wr_pmtu *entry;
    if (ip->pmtus.count >= PMTU_MAX)
        forget(stack, oldest(ip));
    entry = wr_zalloc(stack, sizeof *entry);
    if (!entry)
        return NULL;
    entry->dst = *dst;
    wr_list_init(&entry->node);
    if (!wr_hash_insert(&ip->pmtus, &entry->hash, hash)) {
        wr_free(stack, entry, sizeof *entry);
        return NULL;
    }
    return entry;
}

void wr_path_mtu_learn(struct weir_stack *stack, const struct weir_addr *dst, uint32_t mtu,
                       weir_time now)
{
    struct wr_ip *ip = stack->ip;
    uint64_t hash = wr_hash_of(&ip->pmtus, dst->b, sizeof dst->b);
    struct wr_pmtu *entry = find(ip, dst, hash);
    struct weir_addr any = weir_addr_is_v4(dst) ? weir_addr_any4() : weir_addr_any6();
    struct wr_path path;

    mtu = wr_pmtu_judge(stack, dst, mtu, mtu);
    if (mtu == 0 || (entry && mtu > entry->mtu))
        return;
    if (!entry && wr_path_find(stack, dst, &any, &path) == 0 &&
        mtu >= wr_netif_mtu(stack, path.netif, dst))
        return;
    if (!entry)
        entry = make(stack, dst, hash);
    if (!entry) {
        wr_drop(stack, WR_DROP_no_memory);
        return;
    }
    entry->mtu = mtu;
    entry->expires_at = weir_time_after(now, stack->tunables.mtu_expires_s * WEIR_SEC);
    wr_list_remove(&entry->node);
    wr_list_push_back(&ip->pmtu_order, &entry->node);
    if (!wr_timer_is_armed(&ip->pmtu_timer))
        wr_timer_arm(stack, &ip->pmtu_timer, entry->expires_at);
}
