/* SPDX-License-Identifier: MIT */
#ifndef WR_W_NDP_H
#define WR_W_NDP_H

/*
 * Neighbor discovery messages, RFC 4861 4, as ICMPv6 messages with options (4.6):
 *
 *     RS  4.1  133 | reserved 4                                                | options
 *     RA  4.2  134 | hops 1 | M O flags 1 | lifetime 2 | reachable 4 | retrans 4 | options
 *     NS  4.3  135 | reserved 4 | target 16                                    | options
 *     NA  4.4  136 | R S O flags, reserved 4 | target 16                       | options
 *     Redirect 4.5 137 | reserved 4 | target 16 | destination 16               | options
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/addr.h"
#include "wire/w_err.h"
#include "wire/w_icmp6.h"

#define W_NDP_PREFIXES 8 /* prefix options kept of one RA; more are skipped */
#define W_NDP_RDNSS    3 /* name servers */

/* Options, RFC 4861 4.6. */
#define W_NDPOPT_SLLA       1
#define W_NDPOPT_TLLA       2
#define W_NDPOPT_PREFIX     3
#define W_NDPOPT_REDIRECTED 4
#define W_NDPOPT_MTU        5
#define W_NDPOPT_RDNSS      25 /* RFC 8106 5.1 */

/* Bytes that hold every message that wr_w_ndp_emit writes (an RA with all prefixes). */
#define W_NDP_EMIT_MAX (40 + 8 + 8 + 8 + 32 * W_NDP_PREFIXES)

struct w_ndp_prefix {
    struct weir_addr prefix;
    uint8_t len; /* 0..128 */
    bool on_link;
    bool autonomous;
    uint32_t valid_s;     /* 0xffffffff is infinity */
    uint32_t preferred_s; /* the same */
};

struct w_ndp_rdnss {
    struct weir_addr addr;
    uint32_t lifetime_s; /* 0xffffffff is infinity; 0: no longer to be used */
};

struct w_ndp {
    uint8_t type;            /* W_ICMP6_RS .. W_ICMP6_REDIRECT */
    struct weir_addr target; /* NS, NA, redirect */
    struct weir_addr dest;   /* redirect */
    bool router;             /* NA: R */
    bool solicited;          /* NA: S */
    bool override;           /* NA: O */
    bool managed;            /* RA: M */
    bool other;              /* RA: O */
    uint8_t cur_hop_limit;   /* RA; 0 is unspecified */
    uint16_t lifetime_s;     /* RA; 0: not a default router */
    uint32_t reachable_ms;   /* RA; 0 is unspecified */
    uint32_t retrans_ms;     /* RA; 0 is unspecified */
    bool has_slla, has_tlla; /* link-layer address options */
    uint8_t slla[6], tlla[6];
    bool has_mtu;
    uint32_t mtu; /* as sent, not judged */
    unsigned n_prefixes;
    struct w_ndp_prefix prefixes[W_NDP_PREFIXES];
    unsigned n_rdnss; /* RA; read, never written */
    struct w_ndp_rdnss rdnss[W_NDP_RDNSS];
};

/*
 * Reads the ICMPv6 message of `len` bytes at `p`, whose checksum has been checked, with all
 * validity tests of RFC 4861 6.1.1, 6.1.2, 7.1.1, 7.1.2 and 8.1 that need no state (that a redirect
 * comes from the first hop does). `src`, `dst` and `hop_limit` are those of the IPv6 header.
 * Unknown options are skipped. W_SHORT; W_FIELD for hop limit, code, prefix length; W_ADDR;
 * W_OPTION.
 */
enum w_err wr_w_ndp_parse(const uint8_t *p, size_t len, const struct weir_addr *src,
                          const struct weir_addr *dst, uint8_t hop_limit, struct w_ndp *out);

/*
 * Writes the message with its options into p[W_NDP_EMIT_MAX] and returns its length. The checksum
 * is left 0 for wr_w_icmp6_seal. Hop limit 255 is the caller's.
 */
size_t wr_w_ndp_emit(uint8_t *p, const struct w_ndp *ndp);

/* The solicited-node multicast address of `a`: ff02::1:ffXX:XXXX (RFC 4291 2.7.1). */
struct weir_addr wr_w_ndp_solicited_node(const struct weir_addr *a);

#endif
