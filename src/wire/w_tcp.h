/* SPDX-License-Identifier: MIT */
#ifndef WR_W_TCP_H
#define WR_W_TCP_H

/*
 * The TCP header, RFC 9293 3.1; ECN bits, RFC 3168 6.1; AE, RFC 9768:
 *
 *     0          2          4       8       12            14       16      18      20
 *     | src port | dst port | seq   | ack   |doff|r| flags| window | csum  | urg   | options...
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "weir/addr.h"
#include "wire/w_err.h"

#define W_TCP_HLEN     20 /* without options */
#define W_TCP_HLEN_MAX 60 /* with all options */

#define W_TCP_FIN 0x001
#define W_TCP_SYN 0x002
#define W_TCP_RST 0x004
#define W_TCP_PSH 0x008
#define W_TCP_ACK 0x010
#define W_TCP_URG 0x020
#define W_TCP_ECE 0x040
#define W_TCP_CWR 0x080
#define W_TCP_AE  0x100

/* Offsets of the fields that a caller patches. */
#define W_TCP_OFF_SEQ   4
#define W_TCP_OFF_FLAGS 13
#define W_TCP_OFF_CSUM  16

struct w_tcp {
    uint16_t src_port, dst_port;
    uint32_t seq, ack;
    uint16_t flags;   /* W_TCP_*; the three reserved bits are not kept (RFC 9293 3.1: ignore) */
    uint16_t wnd;     /* as sent, not scaled */
    uint16_t urg;     /* urgent pointer */
    uint8_t data_off; /* bytes, 20..60: header with options */
};

/* Reads the header. W_SHORT; W_HDRLEN when the data offset is below 20 or past `len`. */
static inline enum w_err wr_w_tcp_parse(const uint8_t *p, size_t len, struct w_tcp *out)
{
    uint32_t word, ports;

    if (len < W_TCP_HLEN)
        return W_SHORT;
    word = get_be32(p + 12);
    ports = get_be32(p);
    out->src_port = (uint16_t)(ports >> 16);
    out->dst_port = (uint16_t)ports;
    out->seq = get_be32(p + 4);
    out->ack = get_be32(p + 8);
    out->data_off = (uint8_t)(word >> 28 << 2);
    out->flags = word >> 16 & 0x1ff;
    out->wnd = (uint16_t)word;
    out->urg = get_be16(p + 18);
    return out->data_off >= W_TCP_HLEN && out->data_off <= len ? W_OK : W_HDRLEN;
}

/* True when the checksum of the segment of `len` bytes at p is right. */
bool wr_w_tcp_csum_ok(const uint8_t *p, size_t len, const struct weir_addr *src,
                      const struct weir_addr *dst);

/* Writes W_TCP_HLEN bytes with checksum 0; options up to data_off are the caller's (w_tcpopt.h). */
static inline void wr_w_tcp_emit(uint8_t *p, const struct w_tcp *tcp)
{
    put_be32(p, (uint32_t)tcp->src_port << 16 | tcp->dst_port);
    put_be32(p + 4, tcp->seq);
    put_be32(p + 8, tcp->ack);
    put_be32(p + 12,
             (uint32_t)tcp->data_off << 26 | (uint32_t)(tcp->flags & 0x1ff) << 16 | tcp->wnd);
    put_be32(p + W_TCP_OFF_CSUM, tcp->urg);
}

#endif
