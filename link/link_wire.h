/* SPDX-License-Identifier: MIT */
/*
 * The little that links must know of the wire: where the transport header of a frame begins. Links stand below the stack
 * and share no code with it but the Internet checksum (w_csum.h).
 */
#ifndef WEIR_LINK_WIRE_H
#define WEIR_LINK_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/link.h>

enum { WR_ETH_HEAD = 14, WR_PROTO_TCP = 6, WR_PROTO_UDP = 17 };

enum { WR_FIN = 0x01, WR_SYN = 0x02, WR_RST = 0x04, WR_PSH = 0x08, WR_ACK = 0x10, WR_CWR = 0x80 };

/* What a frame holds; offsets in bytes from its beginning. */
struct wr_link_view {
    uint8_t family; /* 4 or 6 */
    uint8_t proto;  /* the transport protocol, past IPv6 extension headers */
    bool fragment;  /* a piece of a datagram: no transport header to rely on */
    uint8_t flags;  /* TCP only */
    size_t l3, l4;  /* IP header, transport header */
    size_t payload; /* TCP and UDP: first byte of data; else l4 */
    size_t end;     /* end of the IP packet; the frame may be longer (padding) */
};

static inline uint16_t wr_link_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t wr_link_get32(const uint8_t *p)
{
    return (uint32_t)wr_link_get16(p) << 16 | wr_link_get16(p + 2);
}

static inline void wr_link_put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void wr_link_put32(uint8_t *p, uint32_t v)
{
    wr_link_put16(p, (uint16_t)(v >> 16));
    wr_link_put16(p + 2, (uint16_t)v);
}

/* Finds the headers of data[len]; false when it is no IP packet or is cut short. An ip_len that
 * does not fit its field (a super-segment of IPv6 may say 0) is not accepted. */
bool wr_link_view(const uint8_t *data, size_t len, enum weir_netif_kind kind,
                  struct wr_link_view *view);

/* The one's complement sum (RFC 1071) of p[len] added to `sum`; an odd last byte is padded with zero. Not
 * complemented. */
uint16_t wr_link_sum(const uint8_t *p, size_t len, uint16_t sum);

/* True when the transport checksum was left to a network card that never was: the field holds no more than the
 * sum of the pseudo-header. */
bool wr_link_is_unfinished(const uint8_t *frame, const struct wr_link_view *view);

/* Writes the header checksum of an IPv4 packet, and the checksum of an unfragmented TCP segment or UDP
 * datagram (RFC 9293 3.1, RFC 768, RFC 8200 8.1). A UDP checksum of zero over IPv4 (none) stays. */
void wr_link_finish(uint8_t *frame, const struct wr_link_view *view);

/* Like weir_out_segment() for a frame that came in: plain frames with their checksums finished. */
int wr_link_frame_segment(const struct weir_frame *frame, enum weir_netif_kind kind,
                          int (*each)(void *arg, const uint8_t *frame, size_t len), void *arg);

/* Copies bytes `from` to `from + len` of a frame's head and spans. They must be there. */
void wr_link_gather(const struct weir_out *out, size_t from, uint8_t *to, size_t len);

/* All of it, to where there is room. */
void wr_link_gather_all(const struct weir_out *out, uint8_t *to);

/* weir_link_offload() of a link just opened, which is freed when memory is out. */
int wr_link_offload_or_free(struct weir_link **link);

/* A random locally administered address (IEEE 802: bit 1 of the first byte set, bit 0 clear). */
int wr_link_random_mac(uint8_t mac[6]);

/* The whole length of a frame to send, in bytes. */
static inline size_t wr_link_out_len(const struct weir_out *out)
{
    size_t len = out->head_len;
    for (unsigned i = 0; i < out->n_spans; i++)
        len += out->span[i].len;
    return len;
}

#endif
