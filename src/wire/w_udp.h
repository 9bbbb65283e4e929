/* SPDX-License-Identifier: MIT */
#ifndef WR_W_UDP_H
#define WR_W_UDP_H

/*
 * UDP, RFC 768; over IPv6, RFC 8200 8.1:
 *
 *     0          2          4         6       8
 *     | src port | dst port | length  | csum  | data
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/addr.h"
#include "wire/w_err.h"

#define W_UDP_HLEN 8

struct w_udp {
    uint16_t src_port, dst_port;
    uint16_t len;  /* header and data, bytes, 8..; what follows in the IP payload is not UDP's */
    uint16_t csum; /* as sent; 0: none (IPv4 only) */
};

/* Reads the header. W_SHORT, W_LENGTH (length below 8 or past `len`). */
enum w_err wr_w_udp_parse(const uint8_t *p, size_t len, struct w_udp *out);

/* True when the checksum of the datagram of udp->len bytes at p is right, or absent over IPv4. */
bool wr_w_udp_csum_ok(const uint8_t *p, const struct w_udp *udp, const struct weir_addr *src,
                      const struct weir_addr *dst);

/* Writes W_UDP_HLEN bytes. */
void wr_w_udp_emit(uint8_t *p, const struct w_udp *udp);

/* Writes the checksum of the datagram of `len` bytes at p into it; a sum of 0 is sent as 0xffff. */
void wr_w_udp_seal(uint8_t *p, size_t len, const struct weir_addr *src,
                   const struct weir_addr *dst);

#endif
