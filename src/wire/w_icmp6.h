/* SPDX-License-Identifier: MIT */
#ifndef WR_W_ICMP6_H
#define WR_W_ICMP6_H

/*
 * ICMPv6, RFC 4443 2.1; the layout of the first 8 bytes is that of ICMP (w_icmp4.h), the checksum
 * covers a pseudo-header (2.3).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/addr.h"
#include "wire/w_err.h"
#include "wire/w_icmp4.h"

#define W_ICMP6_UNREACH       1
#define W_ICMP6_TOO_BIG       2 /* rest: MTU */
#define W_ICMP6_TIME_EXCEEDED 3
#define W_ICMP6_PARAM_PROBLEM 4   /* rest: pointer */
#define W_ICMP6_ECHO          128 /* rest: wr_w_icmp_echo_rest */
#define W_ICMP6_ECHO_REPLY    129
#define W_ICMP6_MLD_QUERY     130
#define W_ICMP6_MLD_REPORT    131
#define W_ICMP6_MLD_DONE      132
#define W_ICMP6_RS            133
#define W_ICMP6_RA            134
#define W_ICMP6_NS            135
#define W_ICMP6_NA            136
#define W_ICMP6_REDIRECT      137
#define W_ICMP6_MLD2_REPORT   143

/* Codes of W_ICMP6_UNREACH. */
#define W_ICMP6_UNREACH_ROUTE  0
#define W_ICMP6_UNREACH_PROHIB 1
#define W_ICMP6_UNREACH_SCOPE  2
#define W_ICMP6_UNREACH_ADDR   3
#define W_ICMP6_UNREACH_PORT   4
#define W_ICMP6_UNREACH_POLICY 5
#define W_ICMP6_UNREACH_REJECT 6

/* Codes of W_ICMP6_TIME_EXCEEDED. */
#define W_ICMP6_EXC_HOPS       0
#define W_ICMP6_EXC_REASSEMBLY 1

/* Codes of W_ICMP6_PARAM_PROBLEM. */
#define W_ICMP6_PARAM_FIELD  0
#define W_ICMP6_PARAM_NEXT   1
#define W_ICMP6_PARAM_OPTION 2
#define W_ICMP6_PARAM_CHAIN  3 /* RFC 7112 */

struct w_icmp6 {
    uint8_t type, code;
    uint32_t rest; /* the second word */
};

/* True for error messages: types below 128. */
static inline bool wr_w_icmp6_is_error(uint8_t type)
{
    return type < 128;
}

/*
 * Reads the header and checks the checksum over the pseudo-header and all `len` bytes. W_SHORT,
 * W_CSUM.
 */
enum w_err wr_w_icmp6_parse(const uint8_t *p, size_t len, const struct weir_addr *src,
                            const struct weir_addr *dst, struct w_icmp6 *out);

/*
 * Writes the header in front of data that already stands at p + W_ICMP_HLEN, `len` bytes with the
 * header, and the checksum.
 */
void wr_w_icmp6_emit(uint8_t *p, size_t len, const struct weir_addr *src,
                     const struct weir_addr *dst, const struct w_icmp6 *icmp);

/*
 * Writes only the checksum into a message of `len` bytes at p, such as one of wr_w_ndp_emit.
 */
void wr_w_icmp6_seal(uint8_t *p, size_t len, const struct weir_addr *src,
                     const struct weir_addr *dst);

/*
 * Reads the data of an ICMPv6 error (behind its 8 bytes), walking the quoted extension headers. The
 * errors of wr_w_ip6_parse_quoted, and W_CHAIN when the upper layer is not within the quote.
 */
enum w_err wr_w_icmp6_quote(const uint8_t *p, size_t len, struct w_quote *out);

#endif
