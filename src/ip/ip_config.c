/* SPDX-License-Identifier: MIT */
/* The user's calls for interfaces, addresses and routes (include/weir/stack.h), and what lo is. */
#include "ip/ip.h"

#include <weir/autoconf.h>

#include "tcp/tcp_entry.h"
#include "wire/w_eth.h"

enum { MTU_MIN = 68, MTU_MAX = 65535 };

/* ---- interfaces -------------------------------------------------------------------------------- */

static struct wr_netif *by_name(struct weir_stack *stack, const char *name)
{
    WR_LIST_FOREACH(node, &stack->netifs)
    {
        struct wr_netif *netif = WR_CONTAINER(node, struct wr_netif, node);
        if (strncmp(netif->config.name, name, sizeof netif->config.name) == 0)
            return netif;
    }
    return NULL;
}

static bool config_is_sound(const struct weir_netif_config *config)
{
    if (config->name[0] == 0 || !memchr(config->name, 0, sizeof config->name))
        return false;
    if (config->mtu < MTU_MIN || config->mtu > MTU_MAX)
        return false;
    if (config->kind == WEIR_NETIF_IP)
        return !config->guest || (config->gso_max_bytes == 0 && !config->tx_csum);
    if (config->guest)
        return false;
    return config->kind == WEIR_NETIF_ETHERNET && !wr_w_eth_is_group(config->mac) &&
           !wr_w_eth_is_zero(config->mac);
}

/* Links the interface in at the lowest free index. */
static void number(struct weir_stack *stack, struct wr_netif *netif)
{
    struct wr_list *at;
    netif->ifindex = 1;
    for (at = stack->netifs.next; at != &stack->netifs; at = at->next) {
        if (WR_CONTAINER(at, struct wr_netif, node)->ifindex != netif->ifindex)
            break;
        netif->ifindex++;
    }
    wr_list_insert_before(at, &netif->node);
}

int weir_netif_add(struct weir_stack *stack, const struct weir_netif_config *config, weir_time now)
{
    struct wr_netif *netif;
    wr_clock(stack, now);
    if (!config_is_sound(config))
        return WEIR_EINVAL;
    if (by_name(stack, config->name) || (config->guest && stack->ip->guest))
        return WEIR_EEXIST;
    netif = wr_zalloc(stack, sizeof *netif);
    if (!netif)
        return WEIR_ENOMEM;
    netif->config = *config;
    netif->up = true;
    wr_list_init(&netif->node);
    wr_list_init(&netif->queue);
    wr_list_init(&netif->tcp_ready);
    number(stack, netif);
    if (config->guest)
        stack->ip->guest = netif;
    wr_route_changed(stack);
    return netif->ifindex;
}

int weir_netif_remove(struct weir_stack *stack, int ifindex, weir_time now)
{
    struct wr_netif *netif = wr_netif_by_index(stack, ifindex);
    now = wr_clock(stack, now);
    if (!netif)
        return WEIR_ENODEV;
    if (netif == stack->lo)
        stack->lo = NULL;
    netif->up = false;
    if (stack->dhcp != NULL)
        stack->dhcp->netif_gone(stack, netif);
    while (netif->n_addrs > 0)
        wr_addr_remove(stack, netif, &netif->addrs[netif->n_addrs - 1]);
    wr_ip_netif_gone(stack, netif);
    wr_tcp_netif_gone(stack, netif, now);
    wr_netif_flush(stack, netif);
    wr_list_remove(&netif->node);
    stack->netif_last = NULL;
    wr_free(stack, netif, sizeof *netif);
    return 0;
}

int weir_netif_set_mtu(struct weir_stack *stack, int ifindex, uint32_t mtu, weir_time now)
{
    struct wr_netif *netif = wr_netif_by_index(stack, ifindex);
    wr_clock(stack, now);
    if (!netif)
        return WEIR_ENODEV;
    if (mtu < MTU_MIN || mtu > MTU_MAX)
        return WEIR_EINVAL;
    netif->config.mtu = mtu;
    wr_route_changed(stack);
    return 0;
}

int weir_netif_set_up(struct weir_stack *stack, int ifindex, bool up, weir_time now)
{
    struct wr_netif *netif = wr_netif_by_index(stack, ifindex);
    wr_clock(stack, now);
    if (!netif)
        return WEIR_ENODEV;
    if (netif->up == up)
        return 0;
    netif->up = up;
    wr_route_changed(
        stack); /* first: who waits for a neighbour here must see that its path is stale */
    if (!up) {
        wr_netif_flush(stack, netif);
        wr_neigh_flush(stack, netif);
        wr_frag_flush(stack, netif);
        /* Nobody asks it for output any more: what waits there must try again by its timer. */
        wr_tcp_netif_gone(stack, netif, stack->now);
    }
    return 0;
}

int wr_netif_add_loopback(struct weir_stack *stack, weir_time now)
{
    struct weir_netif_config config = {
        .name = "lo",
        .kind = WEIR_NETIF_IP,
        .mtu = MTU_MAX,
        .gso_max_bytes = MTU_MAX,
        .tx_csum = true,
    };
    struct weir_addr loopback4 = weir_addr_v4(0x7f000001), loopback6 = weir_addr_any6();
    int ifindex = weir_netif_add(stack, &config, now);
    int err;

    if (ifindex < 0)
        return ifindex;
    loopback6.b[15] = 1;
    stack->lo = wr_netif_by_index(stack, ifindex);
    stack->lo->loopback = true;
    err = weir_addr_add(stack, ifindex, &loopback4, 8, now);
    return err ? err : weir_addr_add(stack, ifindex, &loopback6, 128, now);
}

/* ---- addresses --------------------------------------------------------------------------------- */

struct wr_netif *wr_addr_netif(struct weir_stack *stack, const struct wr_ifaddr *record)
{
    WR_LIST_FOREACH(node, &stack->netifs)
    {
        struct wr_netif *netif = WR_CONTAINER(node, struct wr_netif, node);
        if (record >= netif->addrs && record < netif->addrs + netif->n_addrs)
            return netif;
    }
    return NULL;
}

int wr_addr_add(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *addr,
                unsigned prefix_len, weir_time now)
{
    struct wr_ifaddr *record;
    int err;
    if (netif->n_addrs >= WR_ADDRS_PER_NETIF)
        return WEIR_ENOBUFS;
    record = &netif->addrs[netif->n_addrs];
    memset(record, 0, sizeof *record);
    record->addr = *addr;
    record->prefix_len = prefix_len;
    wr_timer_init(&record->timer, WR_TIMER_ADDR);
    netif->n_addrs++;
    err = wr_route_connect(stack, netif, record);
    if (err) {
        netif->n_addrs--;
        return err;
    }
    wr_ip_addr_added(stack, netif, record, now);
    return 0;
}

void wr_addr_remove(struct weir_stack *stack, struct wr_netif *netif, struct wr_ifaddr *record)
{
    struct weir_addr addr = record->addr;
    unsigned prefix_len = record->prefix_len;
    size_t at = (size_t)(record - netif->addrs);

    wr_timer_cancel(stack, &record->timer);
    netif->n_addrs--;
    /* The records behind move up, to keep the first address the first; their timers with them. */
    for (size_t i = at; i < netif->n_addrs; i++) {
        weir_time due = netif->addrs[i + 1].timer.at;
        wr_timer_cancel(stack, &netif->addrs[i + 1].timer);
        netif->addrs[i] = netif->addrs[i + 1];
        wr_timer_init(&netif->addrs[i].timer, WR_TIMER_ADDR);
        if (due != WEIR_TIME_NEVER)
            wr_timer_arm(stack, &netif->addrs[i].timer, due);
    }
    wr_route_disconnect(stack, netif, &addr, prefix_len);
}

struct weir_addr wr_addr_eui64(const struct weir_addr *prefix, const uint8_t mac[6])
{
    const uint8_t id[8] = {mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
    struct weir_addr a = *prefix;
    memcpy(a.b + 8, id, sizeof id);
    return a;
}

static bool has_link_local(const struct wr_netif *netif)
{
    for (unsigned i = 0; i < netif->n_addrs; i++) {
        const struct weir_addr *addr = &netif->addrs[i].addr;
        if (!weir_addr_is_v4(addr) && weir_addr_is_link_local(addr))
            return true;
    }
    return false;
}

static int add_link_local(struct weir_stack *stack, struct wr_netif *netif, weir_time now)
{
    static const struct weir_addr link_local = {{0xfe, 0x80}}; /* RFC 4291 2.5.6 */
    struct weir_addr ll = wr_addr_eui64(&link_local, netif->config.mac);
    return has_link_local(netif) ? 0 : wr_addr_add(stack, netif, &ll, 64, now);
}

int weir_slaac_start(struct weir_stack *stack, int ifindex, weir_time now)
{
    struct wr_netif *netif = wr_netif_by_index(stack, ifindex);
    now = wr_clock(stack, now);
    if (!netif)
        return WEIR_ENODEV;
    if (netif->config.kind != WEIR_NETIF_ETHERNET || netif->config.mtu < W_IP6_MIN_MTU)
        return WEIR_EINVAL;
    return add_link_local(stack, netif, now);
}

int weir_addr_list(const struct weir_stack *stack, int ifindex, struct weir_if_addr *list,
                   unsigned max)
{
    /* Finding does not change the stack. */
    const struct wr_netif *netif =
        wr_netif_by_index((struct weir_stack *)(uintptr_t)stack, ifindex);
    if (!netif)
        return WEIR_ENODEV;
    for (unsigned i = 0; i < netif->n_addrs && i < max; i++) {
        const struct wr_ifaddr *own = &netif->addrs[i];
        list[i] = (struct weir_if_addr){
            .addr = own->addr,
            .prefix_len = own->prefix_len - (weir_addr_is_v4(&own->addr) ? 96 : 0),
            .tentative = own->state == WR_ADDR_TENTATIVE,
            .learnt = own->learnt,
        };
    }
    return (int)netif->n_addrs;
}

int weir_addr_add(struct weir_stack *stack, int ifindex, const struct weir_addr *addr,
                  unsigned prefix_len, weir_time now)
{
    struct wr_netif *netif = wr_netif_by_index(stack, ifindex);
    bool v4 = weir_addr_is_v4(addr);

    now = wr_clock(stack, now);
    if (!netif)
        return WEIR_ENODEV;
    if (netif == stack->ip->guest || prefix_len > (v4 ? 32u : 128u) || weir_addr_is_any(addr) ||
        weir_addr_is_multicast(addr) || weir_addr_is_broadcast(addr))
        return WEIR_EINVAL;
    if (!v4 && netif->config.mtu < W_IP6_MIN_MTU)
        return WEIR_EINVAL;
    if (wr_netif_own_addr(stack, netif, addr))
        return WEIR_EEXIST;
    if (!v4 && netif->config.kind == WEIR_NETIF_ETHERNET && !weir_addr_is_link_local(addr)) {
        int err = add_link_local(stack, netif, now);
        if (err)
            return err;
    }
    return wr_addr_add(stack, netif, addr, v4 ? WEIR_PREFIX_V4(prefix_len) : prefix_len, now);
}

int weir_addr_remove(struct weir_stack *stack, int ifindex, const struct weir_addr *addr,
                     weir_time now)
{
    struct wr_netif *netif = wr_netif_by_index(stack, ifindex);
    wr_clock(stack, now);
    if (!netif)
        return WEIR_ENODEV;
    for (unsigned i = 0; i < netif->n_addrs; i++) {
        if (weir_addr_eq(&netif->addrs[i].addr, addr)) {
            wr_addr_remove(stack, netif, &netif->addrs[i]);
            return 0;
        }
    }
    return WEIR_EADDRNOTAVAIL;
}

/* ---- routes ------------------------------------------------------------------------------------ */

int weir_route_add(struct weir_stack *stack, const struct weir_route *route)
{
    return wr_ip_route_add(stack, route);
}

int weir_route_remove(struct weir_stack *stack, const struct weir_route *route)
{
    return wr_ip_route_remove(stack, route);
}

/* ---- what there is ------------------------------------------------------------------------------ */

int weir_netif_get(struct weir_stack *stack, unsigned n, struct weir_netif_config *config)
{
    WR_LIST_FOREACH(node, &stack->netifs)
    {
        const struct wr_netif *netif = WR_CONTAINER(node, struct wr_netif, node);
        if (n-- == 0) {
            *config = netif->config;
            return netif->ifindex;
        }
    }
    return WEIR_ENOENT;
}

/* In the family's own space. */
static unsigned prefix_out(const struct weir_addr *addr, unsigned prefix_len)
{
    return weir_addr_is_v4(addr) ? prefix_len - WEIR_PREFIX_V4(0) : prefix_len;
}

int weir_route_get(struct weir_stack *stack, unsigned n, struct weir_route *route)
{
    WR_LIST_FOREACH(node, &stack->ip->routes)
    {
        const struct wr_route *have = WR_CONTAINER(node, struct wr_route, node);
        if (n-- > 0)
            continue;
        memset(route, 0, sizeof *route);
        route->prefix = have->prefix;
        route->prefix_len = prefix_out(&have->prefix, have->prefix_len);
        route->gateway = have->gateway;
        route->ifindex = have->netif->ifindex;
        route->metric = have->metric;
        return 0;
    }
    return WEIR_ENOENT;
}

uint32_t weir_config_generation(const struct weir_stack *stack)
{
    return stack->ip->generation;
}
