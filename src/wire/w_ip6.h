/* SPDX-License-Identifier: MIT */
#ifndef WR_W_IP6_H
#define WR_W_IP6_H

/*
 * The IPv6 header, RFC 8200 3:
 *
 *     0                 4            6      7      8       24      40
 *     |V|class|  flow   | payload len| next | hops |  src  |  dst  |
 */

#include <stddef.h>
#include <stdint.h>

#include "weir/addr.h"
#include "wire/w_err.h"

#define W_IP6_HLEN    40
#define W_IP6_MIN_MTU 1280

struct w_ip6 {
    struct weir_addr src, dst;
    uint32_t flow; /* 20 bits */
    uint16_t payload_len;
    uint8_t tclass; /* DSCP << 2 | ECN */
    uint8_t next;   /* first next-header value */
    uint8_t hop_limit;
};

/*
 * Reads and checks a header; the packet has W_IP6_HLEN + payload_len bytes, what follows is
 * padding. Jumbograms are not supported: a payload length of 0 is a payload of 0 bytes. W_SHORT,
 * W_VERSION, W_LENGTH (payload past `len`), W_ADDR for an IPv4-mapped address, which would be taken
 * for IPv4 further up.
 */
enum w_err wr_w_ip6_parse(const uint8_t *p, size_t len, struct w_ip6 *out);

/* The same for a header quoted in an ICMPv6 error, whose payload may be cut. */
enum w_err wr_w_ip6_parse_quoted(const uint8_t *p, size_t len, struct w_ip6 *out);

/* Writes W_IP6_HLEN bytes. */
void wr_w_ip6_emit(uint8_t *p, const struct w_ip6 *ip);

#endif
