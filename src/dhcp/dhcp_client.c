/* SPDX-License-Identifier: MIT */
/*
 * The client's states: RFC 2131 4.4.
 *
 *   asking     DISCOVER and REQUEST are repeated after 4, 8, 16, 32, 64 s, each more or less by up to a
 *              second (4.1). A request that nobody answers for a minute gives way to a new DISCOVER. Unlike
 *              4.4.1 the first DISCOVER leaves at once: the delay of up to 10 s is for whole sites that
 *              are switched on together, and here somebody waits for a program to start.
 *   probing    The address is asked for by ARP, three times 200 ms apart, before it is used. (RFC 5227 2.1 takes
 *              4 to 7 s; neighbours on an Ethernet answer within milliseconds.) When somebody has it,
 *              DECLINE, and after 10 s a new start (4.4.1).
 *   bound      At T1 the server is asked to go on with the lease, at T2 any server; both again at half of the
 *              time that is left, but not within a minute (4.4.5). The lease counts from the first request
 *              that was answered, and at its end the address is gone.
 *   NAK        back to the start. When NAKs follow each other the start is put off, longer each time.
 *
 * What is not for this client, or not of this transaction, is counted and otherwise ignored: another xid, another
 * hardware address, another server than the one asked.
 */
#include "dhcp/dhcp.h"

enum {
    BACKOFF_FIRST_S = 4,
    BACKOFF_MOST_S = 64,
    REQUESTS_MAX = 4, /* 4 + 8 + 16 + 32 s, RFC 2131 3.1 5. */
    PROBES = 3,
    NAK_DOUBLINGS = 6
};
#define PROBE_GAP    (200 * WEIR_MS)
#define DECLINE_WAIT (10 * WEIR_SEC)
#define RETRY_LEAST  (60 * WEIR_SEC)

static void arm(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time at)
{
    wr_timer_arm(stack, &dhcp->timer, at);
}

/* RFC 2131 4.1: the delay before try number `tries` + 1. */
static weir_time backoff(struct weir_stack *stack, unsigned tries)
{
    weir_time s = BACKOFF_MOST_S;
    if (tries < 5)
        s = (weir_time)BACKOFF_FIRST_S << (tries - 1);
    return s * WEIR_SEC + (weir_time)wr_rng_below(&stack->rng, 2001) * WEIR_MS - WEIR_SEC;
}

void wr_dhcp_begin(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time at)
{
    dhcp->state = WEIR_DHCP_INIT;
    dhcp->tries = 0;
    dhcp->netif->arp_asks = false;
    arm(stack, dhcp, at);
}

static void discover(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now)
{
    if (dhcp->state == WEIR_DHCP_INIT) {
        dhcp->state = WEIR_DHCP_SELECTING;
        dhcp->xid = wr_rng_u32(&stack->rng);
        dhcp->began_at = now;
    }
    dhcp->tries++;
    wr_dhcp_send_discover(stack, dhcp, now);
    arm(stack, dhcp, weir_time_after(now, backoff(stack, dhcp->tries)));
}

static void request(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now)
{
    if (dhcp->tries == REQUESTS_MAX) {
        wr_dhcp_begin(stack, dhcp, now);
        return;
    }
    if (dhcp->tries == 0)
        dhcp->asked_at = now;
    dhcp->tries++;
    wr_dhcp_send_request(stack, dhcp, now);
    arm(stack, dhcp, weir_time_after(now, backoff(stack, dhcp->tries)));
}

/* ---- the lease --------------------------------------------------------------------------------- */

static void count_down(struct wr_dhcp *dhcp)
{
    const struct wr_dhcp_lease *lease = &dhcp->lease;
    dhcp->renew_at = dhcp->rebind_at = dhcp->expires_at = WEIR_TIME_NEVER;
    if (lease->infinite)
        return;
    dhcp->renew_at = weir_time_after(dhcp->asked_at, (weir_time)lease->t1_s * WEIR_SEC);
    dhcp->rebind_at = weir_time_after(dhcp->asked_at, (weir_time)lease->t2_s * WEIR_SEC);
    dhcp->expires_at = weir_time_after(dhcp->asked_at, (weir_time)lease->lease_s * WEIR_SEC);
}

/* The server's link address is asked for now, so that a farewell can leave at once. */
static void know_server(struct weir_stack *stack, const struct wr_dhcp *dhcp, weir_time now)
{
    struct wr_path path;
    if (wr_path_find(stack, &dhcp->lease.server, &dhcp->lease.addr, &path) == 0)
        wr_neigh_resolve(stack, &path, now);
}

static void bind(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now)
{
    dhcp->netif->arp_asks = false;
    if (wr_dhcp_lease_apply(stack, dhcp, now) != 0) {
        /* The host has the address from elsewhere, or no room for it. */
        wr_dhcp_send_decline(stack, dhcp, now);
        wr_dhcp_begin(stack, dhcp, weir_time_after(now, DECLINE_WAIT));
        return;
    }
    dhcp->naks_row = 0;
    dhcp->state = WEIR_DHCP_BOUND;
    wr_arp_announce(stack, dhcp->netif, &dhcp->lease.addr);
    know_server(stack, dhcp, now);
    arm(stack, dhcp, dhcp->renew_at);
}

static void probe(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now)
{
    if (dhcp->netif->arp_claimed) {
        wr_dhcp_send_decline(stack, dhcp, now);
        wr_dhcp_begin(stack, dhcp, weir_time_after(now, DECLINE_WAIT));
        return;
    }
    if (dhcp->tries == PROBES) {
        bind(stack, dhcp, now);
        return;
    }
    dhcp->tries++;
    wr_arp_ask(stack, dhcp->netif, &dhcp->lease.addr);
    arm(stack, dhcp, weir_time_after(now, PROBE_GAP));
}

static void granted(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now)
{
    count_down(dhcp);
    dhcp->state = WEIR_DHCP_PROBING;
    dhcp->tries = 0;
    dhcp->netif->arp_claimed = false;
    probe(stack, dhcp, now);
}

static void start_over(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time at, weir_time now)
{
    wr_dhcp_lease_drop(stack, dhcp, now);
    wr_dhcp_begin(stack, dhcp, at);
}

/* ---- renewing ---------------------------------------------------------------------------------- */

/* A request of RENEWING or REBINDING, the next at half of the time until `end` (4.4.5). */
static void ask_again(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time end, weir_time now)
{
    weir_time half = (end - now) / 2;
    weir_time next = weir_time_after(now, half < RETRY_LEAST ? RETRY_LEAST : half);
    wr_dhcp_send_request(stack, dhcp, now);
    arm(stack, dhcp, weir_time_min(next, end));
}

static void new_transaction(struct weir_stack *stack, struct wr_dhcp *dhcp,
                            enum weir_dhcp_state state, weir_time now)
{
    dhcp->state = state;
    dhcp->xid = wr_rng_u32(&stack->rng);
    dhcp->asked_at = now;
    dhcp->began_at = now;
}

static void renew(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now)
{
    if (now >= dhcp->expires_at) {
        start_over(stack, dhcp, now, now);
    } else if (now >= dhcp->rebind_at) {
        if (dhcp->state != WEIR_DHCP_REBINDING)
            new_transaction(stack, dhcp, WEIR_DHCP_REBINDING, now);
        ask_again(stack, dhcp, dhcp->expires_at, now);
    } else {
        if (dhcp->state != WEIR_DHCP_RENEWING)
            new_transaction(stack, dhcp, WEIR_DHCP_RENEWING, now);
        ask_again(stack, dhcp, dhcp->rebind_at, now);
    }
}

/* ---- time -------------------------------------------------------------------------------------- */

void wr_dhcp_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now)
{
    struct wr_dhcp *dhcp = WR_CONTAINER(timer, struct wr_dhcp, timer);
    switch (dhcp->state) {
    case WEIR_DHCP_INIT:
    case WEIR_DHCP_SELECTING:
        discover(stack, dhcp, now);
        break;
    case WEIR_DHCP_REQUESTING:
        request(stack, dhcp, now);
        break;
    case WEIR_DHCP_PROBING:
        probe(stack, dhcp, now);
        break;
    case WEIR_DHCP_BOUND:
    case WEIR_DHCP_RENEWING:
    case WEIR_DHCP_REBINDING:
        renew(stack, dhcp, now);
        break;
    case WEIR_DHCP_STOPPED:
        break;
    }
}

/* ---- what arrives ------------------------------------------------------------------------------ */

/* RFC 2131 4.4.1: the first good offer is taken. False: it is of no use. */
static bool offer(struct weir_stack *stack, struct wr_dhcp *dhcp, const struct w_dhcp *msg,
                  weir_time now)
{
    struct wr_dhcp_lease lease;
    struct w_dhcp with_time = *msg;
    if (!msg->has_lease) /* an offer need not tell it */
        with_time.lease_s = W_DHCP_INFINITE;
    if (dhcp->state != WEIR_DHCP_SELECTING || !wr_dhcp_lease_read(&with_time, &lease))
        return false;
    dhcp->lease = lease;
    dhcp->state = WEIR_DHCP_REQUESTING;
    dhcp->tries = 0;
    request(stack, dhcp, now);
    return true;
}

static bool same_config(const struct wr_dhcp_lease *a, const struct wr_dhcp_lease *b)
{
    bool same = a->prefix_len == b->prefix_len && weir_addr_eq(&a->gateway, &b->gateway) &&
                a->mtu == b->mtu && a->n_routes == b->n_routes;
    for (unsigned i = 0; same && i < a->n_routes; i++)
        same = a->routes[i].prefix_len == b->routes[i].prefix_len &&
               weir_addr_eq(&a->routes[i].prefix, &b->routes[i].prefix) &&
               weir_addr_eq(&a->routes[i].gateway, &b->routes[i].gateway);
    return same;
}

/* The lease goes on. What it says beside is brought in only where it changed: connections keep their
 * address. */
static void extend(struct weir_stack *stack, struct wr_dhcp *dhcp,
                   const struct wr_dhcp_lease *lease, weir_time now)
{
    bool same = same_config(&dhcp->lease, lease);
    if (!same)
        wr_dhcp_lease_drop(stack, dhcp, now);
    dhcp->lease = *lease;
    count_down(dhcp);
    if (!same) {
        bind(stack, dhcp, now);
        return;
    }
    dhcp->state = WEIR_DHCP_BOUND;
    arm(stack, dhcp, dhcp->renew_at);
}

static bool ack(struct weir_stack *stack, struct wr_dhcp *dhcp, const struct w_dhcp *msg,
                weir_time now)
{
    struct wr_dhcp_lease lease;
    bool any_server = dhcp->state == WEIR_DHCP_REBINDING;
    if (dhcp->state != WEIR_DHCP_REQUESTING && dhcp->state != WEIR_DHCP_RENEWING && !any_server)
        return false;
    if (!msg->has_lease || !wr_dhcp_lease_read(msg, &lease) ||
        !weir_addr_eq(&lease.addr, &dhcp->lease.addr) ||
        (!any_server && !weir_addr_eq(&lease.server, &dhcp->lease.server)))
        return false;
    if (dhcp->state != WEIR_DHCP_REQUESTING) {
        extend(stack, dhcp, &lease, now);
        return true;
    }
    dhcp->lease = lease;
    granted(stack, dhcp, now);
    return true;
}

static bool nak(struct weir_stack *stack, struct wr_dhcp *dhcp, const struct w_dhcp *msg,
                weir_time now)
{
    weir_time wait = 0;
    bool any_server = dhcp->state == WEIR_DHCP_REBINDING;
    if (dhcp->state != WEIR_DHCP_REQUESTING && dhcp->state != WEIR_DHCP_RENEWING && !any_server)
        return false;
    if (weir_addr_is_any(&msg->server) ||
        (!any_server && !weir_addr_eq(&msg->server, &dhcp->lease.server)))
        return false;
    if (dhcp->naks_row > 0)
        wait =
            WEIR_SEC << (dhcp->naks_row < NAK_DOUBLINGS ? dhcp->naks_row : (unsigned)NAK_DOUBLINGS);
    dhcp->naks++;
    dhcp->naks_row++;
    start_over(stack, dhcp, weir_time_after(now, wait), now);
    return true;
}

void wr_dhcp_input(struct weir_stack *stack, struct wr_netif *netif, const uint8_t *data,
                   size_t len, weir_time now)
{
    struct wr_dhcp *dhcp = netif->dhcp;
    struct w_dhcp msg;
    bool used = false;
    if (wr_w_dhcp_parse(data, len, &msg) != W_OK) {
        wr_drop(stack, WR_DROP_dhcp_malformed);
        return;
    }
    if (msg.reply && msg.xid == dhcp->xid &&
        memcmp(msg.chaddr, netif->config.mac, sizeof msg.chaddr) == 0) {
        if (msg.type == W_DHCP_OFFER)
            used = offer(stack, dhcp, &msg, now);
        else if (msg.type == W_DHCP_ACK)
            used = ack(stack, dhcp, &msg, now);
        else if (msg.type == W_DHCP_NAK)
            used = nak(stack, dhcp, &msg, now);
    }
    if (!used)
        wr_drop(stack, WR_DROP_dhcp_ignored);
}
