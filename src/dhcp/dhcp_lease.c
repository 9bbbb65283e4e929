/* SPDX-License-Identifier: MIT */
/*
 * What a lease means to the host, and the public calls.
 *
 * The routes of a lease have a metric of their own (100 and the interface's index, as programs that manage
 * Linux hosts give them), so that a route of the user's to the same prefix is the better one and two
 * interfaces with a lease each do not collide. A gateway outside the leased prefix, as with the /32
 * prefixes of some providers, is reached on link.
 */
#include "dhcp/dhcp.h"

enum { METRIC = 100, MTU_LEAST = 576, LEASE_LEAST_S = 4 };

/* ---- reading ----------------------------------------------------------------------------------- */

static bool is_host_addr(const struct weir_addr *a)
{
    return !weir_addr_is_any(a) && !weir_addr_is_multicast(a) && !weir_addr_is_broadcast(a) &&
           !weir_addr_is_loopback(a) && weir_addr_to_v4(a) >> 24 != 0 &&
           weir_addr_to_v4(a) >> 28 != 15;
}

/* The prefix of an address's class, for servers that tell no mask (RFC 950 2.1). */
static unsigned class_prefix(const struct weir_addr *a)
{
    uint32_t v = weir_addr_to_v4(a);
    return v >> 31 == 0 ? 8 : v >> 30 == 2 ? 16 : 24;
}

static void read_routes(const struct w_dhcp *msg, struct wr_dhcp_lease *lease)
{
    lease->gateway = weir_addr_any4();
    if (!msg->has_routes && is_host_addr(&msg->router))
        lease->gateway = msg->router;
    for (unsigned i = 0; i < msg->n_routes; i++) {
        const struct w_dhcp_route *route = &msg->routes[i];
        if (!weir_addr_is_any(&route->gateway) && !is_host_addr(&route->gateway))
            continue;
        if (route->prefix_len == 0)
            lease->gateway = route->gateway;
        else
            lease->routes[lease->n_routes++] = *route;
    }
}

/* RFC 2131 4.4.5: T1 half of the lease, T2 seven eighths, unless the server says it, and says it in order. */
static void read_times(const struct w_dhcp *msg, struct wr_dhcp_lease *lease)
{
    lease->infinite = msg->lease_s == W_DHCP_INFINITE;
    lease->lease_s = msg->lease_s;
    lease->t1_s = msg->has_t1 ? msg->t1_s : msg->lease_s / 2;
    lease->t2_s = msg->has_t2 ? msg->t2_s : (uint32_t)((uint64_t)msg->lease_s * 7 / 8);
    if (lease->t1_s == 0 || lease->t1_s > lease->t2_s || lease->t2_s > lease->lease_s) {
        lease->t1_s = msg->lease_s / 2;
        lease->t2_s = (uint32_t)((uint64_t)msg->lease_s * 7 / 8);
    }
}

bool wr_dhcp_lease_read(const struct w_dhcp *msg, struct wr_dhcp_lease *lease)
{
    memset(lease, 0, sizeof *lease);
    if (!is_host_addr(&msg->yiaddr) || !is_host_addr(&msg->server) ||
        weir_addr_eq(&msg->yiaddr, &msg->server) || msg->lease_s < LEASE_LEAST_S)
        return false;
    lease->addr = msg->yiaddr;
    lease->server = msg->server;
    lease->prefix_len = msg->has_mask ? msg->prefix_len : class_prefix(&msg->yiaddr);
    if (lease->prefix_len == 0)
        return false;
    read_routes(msg, lease);
    read_times(msg, lease);
    for (unsigned i = 0; i < msg->n_dns; i++)
        if (is_host_addr(&msg->dns[i]))
            lease->dns[lease->n_dns++] = msg->dns[i];
    lease->mtu = msg->mtu;
    memcpy(lease->domain, msg->domain, sizeof lease->domain);
    return true;
}

/* ---- in use ------------------------------------------------------------------------------------ */

typedef int change_fn(struct weir_stack *stack, const struct weir_route *route);

static void change_route(struct weir_stack *stack, const struct wr_dhcp *dhcp, change_fn *change,
                         const struct weir_addr *prefix, unsigned prefix_len,
                         const struct weir_addr *gateway)
{
    struct weir_route route = {
        .prefix = *prefix,
        .prefix_len = prefix_len,
        .gateway = *gateway,
        .ifindex = dhcp->netif->ifindex,
        .metric = METRIC + (uint32_t)dhcp->netif->ifindex,
    };
    change(stack, &route); /* a route that is there, or gone, already is as good */
}

/* Adds or removes the lease's routes; beyond memory a host does without. */
static void change_routes(struct weir_stack *stack, const struct wr_dhcp *dhcp, change_fn *change)
{
    const struct wr_dhcp_lease *lease = &dhcp->lease;
    struct weir_addr all = weir_addr_any4(), on_link = weir_addr_any4();
    for (unsigned i = 0; i < lease->n_routes; i++)
        change_route(stack, dhcp, change, &lease->routes[i].prefix, lease->routes[i].prefix_len,
                     &lease->routes[i].gateway);
    if (weir_addr_is_any(&lease->gateway))
        return;
    if (!weir_addr_prefix_match(&lease->gateway, &lease->addr, WEIR_PREFIX_V4(lease->prefix_len)))
        change_route(stack, dhcp, change, &lease->gateway, 32, &on_link);
    change_route(stack, dhcp, change, &all, 0, &lease->gateway);
}

static void set_mtu(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now)
{
    struct wr_netif *netif = dhcp->netif;
    if (dhcp->lease.mtu < MTU_LEAST || dhcp->lease.mtu >= netif->config.mtu)
        return;
    dhcp->mtu_before = netif->config.mtu;
    weir_netif_set_mtu(stack, netif->ifindex, dhcp->lease.mtu, now);
}

int wr_dhcp_lease_apply(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now)
{
    const struct wr_dhcp_lease *lease = &dhcp->lease;
    int err = weir_addr_add(stack, dhcp->netif->ifindex, &lease->addr, lease->prefix_len, now);
    if (err)
        return err;
    struct wr_ifaddr *own = wr_netif_own_addr(stack, dhcp->netif, &lease->addr);
    if (own)
        own->learnt = true;
    dhcp->has_addr = true;
    change_routes(stack, dhcp, weir_route_add);
    set_mtu(stack, dhcp, now);
    return 0;
}

void wr_dhcp_lease_drop(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now)
{
    if (!dhcp->has_addr)
        return;
    dhcp->has_addr = false;
    change_routes(stack, dhcp, weir_route_remove);
    if (dhcp->mtu_before)
        weir_netif_set_mtu(stack, dhcp->netif->ifindex, dhcp->mtu_before, now);
    dhcp->mtu_before = 0;
    weir_addr_remove(stack, dhcp->netif->ifindex, &dhcp->lease.addr, now);
}

/* ---- public ------------------------------------------------------------------------------------ */

static void netif_gone(struct weir_stack *stack, struct wr_netif *netif)
{
    struct wr_dhcp *dhcp = netif->dhcp;
    if (!dhcp)
        return;
    netif->dhcp = NULL;
    netif->arp_asks = false;
    wr_timer_cancel(stack, &dhcp->timer);
    wr_free(stack, dhcp, sizeof *dhcp);
}

static const struct wr_dhcp_calls calls = {wr_dhcp_input, wr_dhcp_timer, netif_gone};

int weir_dhcp_start(struct weir_stack *stack, int ifindex, const struct weir_dhcp_config *config,
                    weir_time now)
{
    struct wr_netif *netif = wr_netif_by_index(stack, ifindex);
    now = wr_clock(stack, now);
    if (!netif)
        return WEIR_ENODEV;
    if (netif->config.kind != WEIR_NETIF_ETHERNET)
        return WEIR_EINVAL;
    if (netif->dhcp)
        return WEIR_EALREADY;
    struct wr_dhcp *dhcp = wr_zalloc(stack, sizeof *dhcp);
    if (!dhcp)
        return WEIR_ENOMEM;
    dhcp->netif = netif;
    netif->dhcp = dhcp;
    stack->dhcp = &calls;
    wr_timer_init(&dhcp->timer, WR_TIMER_DHCP);
    if (config && config->hostname)
        for (size_t i = 0; i < sizeof dhcp->hostname - 1 && config->hostname[i]; i++)
            dhcp->hostname[i] = config->hostname[i];
    wr_dhcp_begin(stack, dhcp, now);
    return 0;
}

int weir_dhcp_stop(struct weir_stack *stack, int ifindex, weir_time now)
{
    struct wr_netif *netif = wr_netif_by_index(stack, ifindex);
    now = wr_clock(stack, now);
    if (!netif)
        return WEIR_ENODEV;
    if (!netif->dhcp)
        return WEIR_ENOENT;
    struct wr_dhcp *dhcp = netif->dhcp;
    if (dhcp->has_addr)
        wr_dhcp_send_release(stack, dhcp, now);
    wr_dhcp_lease_drop(stack, dhcp, now);
    netif_gone(stack, netif);
    return 0;
}

static void tell_lease(const struct wr_dhcp *dhcp, struct weir_dhcp_info *info)
{
    const struct wr_dhcp_lease *lease = &dhcp->lease;
    info->addr = lease->addr;
    info->server = lease->server;
    info->prefix_len = lease->prefix_len;
    info->gateway = lease->gateway;
    info->n_dns = lease->n_dns;
    memcpy(info->dns, lease->dns, sizeof info->dns);
    memcpy(info->domain, lease->domain, sizeof info->domain);
    info->renew_at = dhcp->renew_at;
    info->rebind_at = dhcp->rebind_at;
    info->expires_at = dhcp->expires_at;
}

int weir_dhcp_info(const struct weir_stack *stack, int ifindex, struct weir_dhcp_info *info)
{
    /* Finding does not change the stack. */
    const struct wr_netif *netif =
        wr_netif_by_index((struct weir_stack *)(uintptr_t)stack, ifindex);
    memset(info, 0, sizeof *info);
    if (!netif)
        return WEIR_ENODEV;
    const struct wr_dhcp *dhcp = netif->dhcp;
    if (!dhcp)
        return 0;
    info->state = dhcp->state;
    info->discovers = dhcp->discovers;
    info->requests = dhcp->requests;
    info->naks = dhcp->naks;
    info->declines = dhcp->declines;
    if (dhcp->has_addr)
        tell_lease(dhcp, info);
    return 0;
}

unsigned weir_learnt_dns(const struct weir_stack *stack, struct weir_addr *list, unsigned max)
{
    unsigned n = 0;
    WR_LIST_FOREACH(node, &stack->netifs)
    {
        const struct wr_dhcp *dhcp = WR_CONTAINER(node, struct wr_netif, node)->dhcp;
        for (unsigned i = 0; dhcp && dhcp->has_addr && i < dhcp->lease.n_dns && n < max; i++)
            list[n++] = dhcp->lease.dns[i];
    }
    return n + wr_ndp_dns(stack, list + n, max - n);
}
