/* SPDX-License-Identifier: MIT */
#ifndef WR_W_IP4_H
#define WR_W_IP4_H

/*
 * The IPv4 header, RFC 791 3.1, with options:
 *
 *     0     1     2          4         6              8     9       10      12     16     20
 *     |V|IHL| TOS | length   | id      |.DM| offset/8 | TTL | proto | csum  | src  | dst  | opts
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "weir/addr.h"
#include "wire/w_csum.h"
#include "wire/w_err.h"

#define W_IP4_HLEN     20 /* without options */
#define W_IP4_HLEN_MAX 60 /* with all options */

#define W_IPPROTO_ICMP  1
#define W_IPPROTO_IGMP  2
#define W_IPPROTO_TCP   6
#define W_IPPROTO_UDP   17
#define W_IPPROTO_ICMP6 58

struct w_ip4 {
    struct weir_addr src, dst;
    uint16_t total_len; /* header and payload, bytes */
    uint16_t id;
    uint16_t frag_off; /* bytes, a multiple of 8 */
    uint8_t tos;       /* DSCP << 2 | ECN */
    uint8_t ttl;
    uint8_t proto;
    uint8_t hdr_len; /* bytes, 20..60 */
    bool reserved;   /* the flag that must be zero */
    bool dont_frag;
    bool more_frags;
    const uint8_t *opts; /* hdr_len - 20 bytes, inside the packet parsed */
};

/*
 * Reads and checks a header: the length in bytes of the packet is total_len, what follows it is
 * padding. W_SHORT, W_VERSION, W_HDRLEN (IHL below 5 or past total_len), W_LENGTH (total_len past
 * `len`), W_CSUM.
 */
enum w_err wr_w_ip4_parse(const uint8_t *p, size_t len, struct w_ip4 *out);

/* Is the checksum of a header of W_IP4_HLEN bytes right? */
static inline bool wr_w_ip4_csum_ok(const uint8_t *p)
{
    uint64_t two[2], sum;
    uint32_t last;

    memcpy(two, p, sizeof two);
    memcpy(&last, p + sizeof two, sizeof last);
    sum = (two[0] & 0xffffffffu) + (two[0] >> 32) + (two[1] & 0xffffffffu) + (two[1] >> 32) + last;
    /* 2^16 is 1 modulo 0xffff, and the version is not 0: of such sums those of 0xffff alone are multiples. */
    return sum % 0xffff == 0;
}

/* Is it a sound header as nearly all packets have one, without options, of a whole datagram? Else wr_w_ip4_parse()
 * tells. */
static inline bool wr_w_ip4_is_plain(const uint8_t *p, size_t len)
{
    uint16_t total;

    if (len < W_IP4_HLEN || p[0] != 0x45 || (get_be16(p + 6) & 0x3fff) != 0)
        return false;
    total = get_be16(p + 2);
    return total >= W_IP4_HLEN && total <= len && wr_w_ip4_csum_ok(p);
}

/*
 * The same for a header quoted in an ICMP error: the payload may be cut, so total_len may pass
 * `len`, and the checksum is not checked (routers change the TTL).
 */
enum w_err wr_w_ip4_parse_quoted(const uint8_t *p, size_t len, struct w_ip4 *out);

/* Writes hdr_len bytes, the checksum among them; options are copied from `opts`. */
void wr_w_ip4_emit(uint8_t *p, const struct w_ip4 *ip);

/* The same for a datagram that is never cut, without options: DF set, identification 0 (RFC 6864 4.1). */
static inline void wr_w_ip4_emit_atomic(uint8_t *p, const struct weir_addr *src,
                                        const struct weir_addr *dst, uint8_t proto, uint8_t ttl,
                                        uint8_t tos, uint16_t total_len)
{
    uint32_t sum = 0x4500u + tos + total_len + 0x4000u + (uint32_t)(ttl << 8 | proto);

    sum = wr_csum_fold16(sum + wr_csum_addrs4(src, dst));
    put_be32(p, 0x45000000u | (uint32_t)tos << 16 | total_len);
    put_be32(p + 4, 0x4000);
    put_be32(p + 8, (uint32_t)ttl << 24 | (uint32_t)proto << 16 | (~sum & 0xffff));
    memcpy(p + 12, src->b + 12, 4);
    memcpy(p + 16, dst->b + 12, 4);
}

/* True for a piece of a larger datagram. */
static inline bool wr_w_ip4_is_fragment(const struct w_ip4 *ip)
{
    return ip->more_frags || ip->frag_off != 0;
}

/* IPv4 options, RFC 791 3.1, RFC 2113, RFC 7126. */
#define W_IP4OPT_EOL  0
#define W_IP4OPT_NOP  1
#define W_IP4OPT_RR   7
#define W_IP4OPT_TS   68
#define W_IP4OPT_LSRR 131
#define W_IP4OPT_SSRR 137
#define W_IP4OPT_RA   148

/* What a header's options hold. Offsets count from the IP header's first byte; 0 is absent. */
struct w_ip4opts {
    uint8_t lsrr, ssrr; /* loose, strict source route */
    uint8_t rr;         /* record route */
    uint8_t ts;         /* timestamp */
    uint8_t ra;         /* router alert */
    uint8_t bad;        /* after W_OPTION: offset of the octet in error (ICMP parameter problem) */
};

/*
 * Walks the options of a parsed header. W_OPTION when one has a length below 2 or past the header,
 * a second route or the like, a length or a pointer that its kind forbids. Unknown kinds are
 * skipped (RFC 1122 3.2.1.8).
 */
enum w_err wr_w_ip4opts_parse(const struct w_ip4 *ip, struct w_ip4opts *out);

#endif
