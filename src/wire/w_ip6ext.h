/* SPDX-License-Identifier: MIT */
#ifndef WR_W_IP6EXT_H
#define WR_W_IP6EXT_H

/*
 * The walk over IPv6 extension headers, RFC 8200 4: hop-by-hop options, destination options,
 * routing and fragment headers, in any order and number that 4.1 lets a receiver accept, at most
 * W_IP6EXT_MAX of them (RFC 8504 5.3 allows a limit). It ends at the first header that is none of
 * these, and says what that is; whether the protocol is known there is the caller's to judge, who
 * finds in next_off where an ICMPv6 parameter problem has to point.
 *
 * Offsets count from the first byte of the IPv6 header.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/w_err.h"

#define W_IP6EXT_MAX 8

#define W_IPPROTO_HOPOPTS  0
#define W_IPPROTO_ROUTING  43
#define W_IPPROTO_FRAGMENT 44
#define W_IPPROTO_ESP      50
#define W_IPPROTO_AH       51
#define W_IPPROTO_NONE     59
#define W_IPPROTO_DSTOPTS  60

#define W_IP6FRAG_LEN 8

/* What to do with the packet. */
enum w_ip6ext_act {
    W_IP6EXT_ACCEPT,  /* go on with `proto` at `off` */
    W_IP6EXT_DISCARD, /* drop in silence; `err` says why */
    W_IP6EXT_PROBLEM, /* drop and send ICMPv6 parameter problem: `code`, `pointer` */
};

struct w_ip6ext {
    enum w_ip6ext_act act;
    enum w_err err;        /* W_OK with ACCEPT */
    uint8_t code;          /* parameter problem: 0 field, 1 next header, 2 option */
    bool problem_to_group; /* PROBLEM is to be sent even when the destination is multicast */
    uint32_t pointer;      /* parameter problem: offset of the octet */
    uint8_t proto;         /* upper protocol, or the first header that the walk does not know */
    uint32_t off;          /* where that begins */
    uint32_t next_off;     /* offset of the next-header field that named it */
    uint8_t n_headers;     /* extension headers passed */
    bool router_alert;     /* a hop-by-hop router alert option (RFC 2711) is there */
    bool has_routing;      /* a routing header with nothing left to do was passed */
    bool has_frag;         /* a fragment header was met; see below */
    bool atomic;           /* it was of a whole packet (RFC 6946); the walk went on behind it */
    bool more_frags;       /* M flag */
    uint16_t frag_off;     /* bytes */
    uint32_t frag_id;
    uint32_t frag_hdr_off;  /* where the fragment header stands: length of the per-fragment part */
    uint32_t frag_next_off; /* the next-header field that named it; patched on reassembly */
};

/*
 * Walks the packet of `len` bytes at `p` (exactly header and payload, as wr_w_ip6_parse allowed).
 * At a fragment header that is not atomic the walk ends with ACCEPT, `proto` the fragment's next
 * header and `off` its data; those are the caller's to reassemble, and the result is walked again.
 */
void wr_w_ip6ext_walk(const uint8_t *p, size_t len, struct w_ip6ext *out);

/* Writes a fragment header of W_IP6FRAG_LEN bytes; `frag_off` in bytes, a multiple of 8. */
void wr_w_ip6frag_emit(uint8_t *p, uint8_t next, uint16_t frag_off, bool more, uint32_t id);

#endif
