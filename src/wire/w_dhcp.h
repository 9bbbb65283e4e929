/* SPDX-License-Identifier: MIT */
#ifndef WR_W_DHCP_H
#define WR_W_DHCP_H

/*
 * DHCP messages, RFC 2131 2, with the options of RFC 2132 that a client of ours speaks:
 *
 *     op 1 | htype 1 | hlen 1 | hops 1 | xid 4 | secs 2 | flags 2
 *     ciaddr 4 | yiaddr 4 | siaddr 4 | giaddr 4 | chaddr 16 | sname 64 | file 128
 *     magic cookie 4 | options: code 1, length 1, value ... end (255)
 *
 * The option "overload" (52) says that options go on in `file`, `sname`, or both.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/addr.h"
#include "wire/w_err.h"

#define W_DHCP_SERVER_PORT 67
#define W_DHCP_CLIENT_PORT 68

#define W_DHCP_DNS_MAX    3
#define W_DHCP_ROUTES_MAX 8
#define W_DHCP_TEXT_MAX   64 /* bytes of a name kept, its NUL included */
#define W_DHCP_INFINITE   0xffffffffu

/* Bytes that hold every message that wr_w_dhcp_emit writes. */
#define W_DHCP_EMIT_MAX 400

/* Message types, RFC 2132 9.6. */
enum w_dhcp_type {
    W_DHCP_NONE, /* BOOTP */
    W_DHCP_DISCOVER,
    W_DHCP_OFFER,
    W_DHCP_REQUEST,
    W_DHCP_DECLINE,
    W_DHCP_ACK,
    W_DHCP_NAK,
    W_DHCP_RELEASE,
    W_DHCP_INFORM
};

/* A route of option 121, RFC 3442. */
struct w_dhcp_route {
    struct weir_addr prefix;
    unsigned prefix_len;      /* of 32 */
    struct weir_addr gateway; /* unspecified: on link */
};

struct w_dhcp {
    bool reply; /* op: from a server */
    enum w_dhcp_type type;
    uint32_t xid;
    uint16_t secs;
    bool broadcast; /* flag B */
    struct weir_addr ciaddr, yiaddr;
    uint8_t chaddr[6];

    struct weir_addr requested, server, router; /* options 50, 54, 3; unspecified: not there */
    bool has_mask, has_lease, has_t1, has_t2;
    unsigned prefix_len;          /* of the mask, option 1 */
    uint32_t lease_s, t1_s, t2_s; /* options 51, 58, 59 */
    uint16_t mtu;                 /* option 26; 0: not there */
    unsigned n_dns;               /* option 6 */
    struct weir_addr dns[W_DHCP_DNS_MAX];
    bool has_routes; /* option 121 is there: `router` does not count, RFC 3442 */
    unsigned n_routes;
    struct w_dhcp_route routes[W_DHCP_ROUTES_MAX];
    char domain[W_DHCP_TEXT_MAX]; /* option 15, a domain name's characters only; "": none */

    /* Emitted only. */
    const char *hostname; /* option 12; NULL: none */
    uint16_t max_size;    /* option 57; 0: none */
};

/*
 * Reads a message. W_SHORT; W_FIELD: no Ethernet (htype, hlen), no magic cookie, a message type that is none, a
 * mask with holes; W_OPTION: an option runs past the end of its field or has a length that it cannot have.
 * Unknown options are skipped; of a repeated one the first counts.
 */
enum w_err wr_w_dhcp_parse(const uint8_t *p, size_t len, struct w_dhcp *out);

/* Writes a client's message with its options (those that are set; 55 and 61 always go with a question, 61
 * with each) into p[W_DHCP_EMIT_MAX] and returns its length, at least 300 bytes as BOOTP wants (RFC 1542 2.1). */
size_t wr_w_dhcp_emit(uint8_t *p, const struct w_dhcp *msg);

#endif
