/* SPDX-License-Identifier: MIT */
/*
 * Addresses that a host asks its network for: by DHCP (IPv4, RFC 2131 and 2132), and from what routers
 * advertise (IPv6, RFC 4861 and 4862). Both are begun by a call, and then go on by themselves in
 * weir_input() and weir_advance(): leases are renewed, addresses and routes come and go.
 */
#ifndef WEIR_AUTOCONF_H
#define WEIR_AUTOCONF_H

#include <weir/stack.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- DHCP ------------------------------------------------------------------------------------- */

enum {
    WEIR_DHCP_DNS_MAX = 3 /* name servers kept of a lease */
};

struct weir_dhcp_config {
    const char
        *hostname; /* told to the server (option 12); NULL: none. Copied; up to 63 bytes are sent */
};

enum weir_dhcp_state {
    WEIR_DHCP_STOPPED,    /* not started, or stopped */
    WEIR_DHCP_INIT,       /* waits before it asks (again) */
    WEIR_DHCP_SELECTING,  /* has asked for offers */
    WEIR_DHCP_REQUESTING, /* has taken an offer, which is not acknowledged yet */
    WEIR_DHCP_PROBING,    /* has the lease, asks by ARP whether somebody uses the address */
    WEIR_DHCP_BOUND,      /* the address is in use: here and in the two below */
    WEIR_DHCP_RENEWING,   /* asks the server to go on with it */
    WEIR_DHCP_REBINDING   /* asks any server */
};

/* What a client has. From `addr` on it is meaningful while the address is in use. */
struct weir_dhcp_info {
    enum weir_dhcp_state state;
    struct weir_addr addr, server;
    unsigned prefix_len;      /* of IPv4's 32 bits */
    struct weir_addr gateway; /* unspecified: none */
    struct weir_addr dns[WEIR_DHCP_DNS_MAX];
    unsigned n_dns;
    char domain[64];                           /* "": none */
    weir_time renew_at, rebind_at, expires_at; /* WEIR_TIME_NEVER of a lease without end */
    unsigned discovers, requests, naks,
        declines; /* messages since the start: sent, sent, got, sent */
};

/* Starts a client on an Ethernet interface. It gives the interface the address and the default route of
 * its lease, lowers the MTU to what the server says, and takes all of that away with the lease. config NULL:
 * defaults. WEIR_ENODEV, WEIR_EINVAL (no Ethernet), WEIR_EALREADY, WEIR_ENOMEM. */
int weir_dhcp_start(struct weir_stack *stack, int ifindex, const struct weir_dhcp_config *config,
                    weir_time now);
/* Gives the lease back to the server (RFC 2131 4.4.6) and ends the client. What is to be sent is in the
 * interface's queue then. WEIR_ENODEV, WEIR_ENOENT. */
int weir_dhcp_stop(struct weir_stack *stack, int ifindex, weir_time now);
/* WEIR_ENODEV. */
int weir_dhcp_info(const struct weir_stack *stack, int ifindex, struct weir_dhcp_info *info);

/* ---- routers' advertisements ------------------------------------------------------------------- */

/* Gives an Ethernet interface its link-local address; when it is known to be unique routers are asked, and
 * advertised prefixes give addresses, default routes and name servers (RFC 8106) as long as they last. An
 * IPv6 address given by weir_addr_add() does the same. 0 also when it has been done; WEIR_ENODEV, WEIR_EINVAL (no
 * Ethernet, or an MTU below 1280). */
int weir_slaac_start(struct weir_stack *stack, int ifindex, weir_time now);

/* ---- what came of it --------------------------------------------------------------------------- */

struct weir_if_addr {
    struct weir_addr addr;
    unsigned prefix_len; /* bits of the address's own family */
    bool tentative;      /* is being checked, cannot be used yet */
    bool learnt;         /* by DHCP or an advertisement */
};
/* The addresses of an interface, up to `max`; how many there are, or WEIR_ENODEV. */
int weir_addr_list(const struct weir_stack *stack, int ifindex, struct weir_if_addr *list,
                   unsigned max);

/* Name servers that DHCP servers and routers told, of all interfaces; how many were written. */
unsigned weir_learnt_dns(const struct weir_stack *stack, struct weir_addr *list, unsigned max);

#ifdef __cplusplus
}
#endif
#endif
