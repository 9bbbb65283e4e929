/* SPDX-License-Identifier: MIT */
/*
 * A DHCP client, RFC 2131 (IPv4), one an interface.
 *
 *     dhcp_client.c   the states, what arrives, what time brings
 *     dhcp_send.c     the messages
 *     dhcp_lease.c    what a lease means to the host: address, routes, MTU, name servers; the public calls
 *
 * It stands on UDP and below the sockets: a client must speak before the host has an address, which no
 * socket can, so it hands its datagrams to IP with the interface named; what comes back is taken by
 * udp_input before any socket is asked. While there is no address answers are asked for by broadcast
 * (flag B, RFC 2131 4.1), so that IP need not take in packets for an address that is not its own.
 *
 *     INIT -DISCOVER-> SELECTING -OFFER, REQUEST-> REQUESTING -ACK-> PROBING -silence-> BOUND
 *      ^ ^                                            | NAK            | claimed: DECLINE
 *      | '--------------------------------------------+----------------'
 *      '--NAK, or the lease ends---- REBINDING <-T2-- RENEWING <-T1-- BOUND    (an ACK: BOUND again)
 *
 * Limits: the first offer is taken; no reboot state (a lease is not remembered from run to run); no FORCERENEW,
 * no authentication (RFC 3118), no rapid commit.
 */
#ifndef WR_DHCP_H
#define WR_DHCP_H

#include <weir/autoconf.h>

#include "core/core.h"
#include "ip/ip_entry.h"
#include "wire/w_dhcp.h"

/* What a server has granted. */
struct wr_dhcp_lease {
    struct weir_addr addr, server, gateway;
    unsigned prefix_len;
    bool infinite;
    uint32_t lease_s, t1_s, t2_s;
    unsigned n_dns;
    struct weir_addr dns[W_DHCP_DNS_MAX];
    unsigned n_routes; /* without the default route */
    struct w_dhcp_route routes[W_DHCP_ROUTES_MAX];
    uint16_t mtu; /* 0: not told */
    char domain[W_DHCP_TEXT_MAX];
};

struct wr_dhcp {
    struct wr_netif *netif;
    struct wr_timer timer; /* WR_TIMER_DHCP */
    enum weir_dhcp_state state;
    uint32_t xid;
    unsigned tries;     /* messages of this state sent, or probes */
    unsigned naks_row;  /* NAKs without a lease in between */
    weir_time began_at; /* the transaction, for `secs` */
    weir_time asked_at; /* the first request with this xid: the lease counts from here */
    uint16_t secs;      /* of the last DISCOVER, which its REQUEST repeats */
    weir_time renew_at, rebind_at, expires_at;
    struct wr_dhcp_lease lease; /* offered (SELECTING on), granted (PROBING on) */
    bool has_addr;              /* the host has lease.addr from us */
    uint32_t mtu_before;        /* what the interface had; 0: it was not changed */
    char hostname[W_DHCP_TEXT_MAX];
    unsigned discovers, requests, naks, declines;
};

/* ---- dhcp_send --------------------------------------------------------------------------------- */

void wr_dhcp_send_discover(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now);
/* For the offer (REQUESTING), to the server (RENEWING), to all (REBINDING): RFC 2131 4.3.6. */
void wr_dhcp_send_request(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now);
void wr_dhcp_send_decline(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now);
void wr_dhcp_send_release(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now);

/* ---- dhcp_lease -------------------------------------------------------------------------------- */

/* Takes what a message grants. False: it is none that a host could live with. */
bool wr_dhcp_lease_read(const struct w_dhcp *msg, struct wr_dhcp_lease *lease);
/* Gives the interface what the lease says. WEIR_ENOBUFS, WEIR_ENOMEM, WEIR_EEXIST (the address is there
 * already): nothing is changed. */
int wr_dhcp_lease_apply(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now);
/* Takes it away. */
void wr_dhcp_lease_drop(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now);

/* ---- dhcp_client ------------------------------------------------------------------------------- */

/* Begins anew at `at`. */
void wr_dhcp_begin(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time at);
/* As struct wr_dhcp_calls has them. */
void wr_dhcp_input(struct weir_stack *stack, struct wr_netif *netif, const uint8_t *data,
                   size_t len, weir_time now);
void wr_dhcp_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now);

#endif
