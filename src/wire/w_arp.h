/* SPDX-License-Identifier: MIT */
#ifndef WR_W_ARP_H
#define WR_W_ARP_H

/*
 * ARP for IPv4 over Ethernet, RFC 826:
 *
 *     0     2     4   5   6    8      14     18     24     28
 *     | hrd | pro |hln|pln| op | sha  | spa  | tha  | tpa  |
 */

#include <stddef.h>
#include <stdint.h>

#include "weir/addr.h"
#include "wire/w_err.h"

#define W_ARP_LEN     28
#define W_ARP_REQUEST 1
#define W_ARP_REPLY   2

struct w_arp {
    uint16_t op;
    uint8_t sha[6], tha[6];    /* sender's, target's MAC */
    struct weir_addr spa, tpa; /* sender's, target's IPv4 */
};

/*
 * Reads an ARP packet; bytes behind it are padding. W_SHORT; W_FIELD for another hardware,
 * protocol, address length, or an operation that is neither request nor reply; W_ADDR when the
 * sender's MAC is zero or a group address or its IPv4 address is multicast or the broadcast. (A
 * sender 0.0.0.0 is a probe, RFC 5227 1.1, and passes.)
 */
enum w_err wr_w_arp_parse(const uint8_t *p, size_t len, struct w_arp *out);

/* Writes W_ARP_LEN bytes. */
void wr_w_arp_emit(uint8_t *p, const struct w_arp *arp);

#endif
