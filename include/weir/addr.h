/* SPDX-License-Identifier: MIT */
#ifndef WEIR_ADDR_H
#define WEIR_ADDR_H

/*
 * Addresses of both families in one type: 16 bytes in network order, an IPv4 address a.b.c.d held
 * as the IPv4-mapped ::ffff:a.b.c.d (RFC 4291 2.5.5.2). Since such an address never travels in an
 * IPv6 header (the parser refuses it), the family is read from the address itself.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_addr {
    uint8_t b[16];
};

struct weir_endpoint {
    struct weir_addr addr;
    uint16_t port; /* host order */
};

/* Bytes that always hold weir_addr_format's answer and its NUL: 8 groups, or a mapped address. */
#define WEIR_ADDR_STRLEN     46
/* The same for weir_endpoint_format: "[" address "]:65535". */
#define WEIR_ENDPOINT_STRLEN 54
/* Prefix length in the 128-bit space of an IPv4 prefix length `n`. */
#define WEIR_PREFIX_V4(n)    (96 + (n))

/* Four bytes as they stand in memory, and eight: for comparing. */
static inline uint32_t weir_addr_word(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t weir_addr_quad(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* True for an IPv4 address. */
static inline bool weir_addr_is_v4(const struct weir_addr *a)
{
    const uint8_t mapped[4] = {0, 0, 0xff, 0xff};
    return weir_addr_quad(a->b) == 0 && weir_addr_word(a->b + 8) == weir_addr_word(mapped);
}

/* The IPv4 address of four bytes in network order. */
static inline struct weir_addr weir_addr_from_v4_bytes(const uint8_t *p)
{
    struct weir_addr a = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, p[0], p[1], p[2], p[3]}};
    return a;
}

/* The IPv6 address of sixteen bytes in network order. */
static inline struct weir_addr weir_addr_from_v6_bytes(const uint8_t *p)
{
    struct weir_addr a;
    memcpy(a.b, p, 16);
    return a;
}

/* The IPv4 address of a host-order number: 0x7f000001 is 127.0.0.1. */
static inline struct weir_addr weir_addr_v4(uint32_t host_order)
{
    uint8_t p[4];
    p[0] = (uint8_t)(host_order >> 24);
    p[1] = (uint8_t)(host_order >> 16);
    p[2] = (uint8_t)(host_order >> 8);
    p[3] = (uint8_t)host_order;
    return weir_addr_from_v4_bytes(p);
}

/* The last four bytes as a host-order number: of an IPv4 address, its value. */
static inline uint32_t weir_addr_to_v4(const struct weir_addr *a)
{
    return (uint32_t)a->b[12] << 24 | (uint32_t)a->b[13] << 16 | (uint32_t)a->b[14] << 8 | a->b[15];
}

/* 0.0.0.0 */
static inline struct weir_addr weir_addr_any4(void)
{
    return weir_addr_v4(0);
}

/* :: */
static inline struct weir_addr weir_addr_any6(void)
{
    struct weir_addr a;
    memset(a.b, 0, sizeof a.b);
    return a;
}

static inline bool weir_addr_eq(const struct weir_addr *a, const struct weir_addr *b)
{
    return weir_addr_quad(a->b) == weir_addr_quad(b->b) &&
           weir_addr_quad(a->b + 8) == weir_addr_quad(b->b + 8);
}

static inline bool weir_endpoint_eq(const struct weir_endpoint *a, const struct weir_endpoint *b)
{
    return a->port == b->port && weir_addr_eq(&a->addr, &b->addr);
}

/* The unspecified address of its family: 0.0.0.0 or :: */
static inline bool weir_addr_is_any(const struct weir_addr *a)
{
    return weir_addr_word(a->b + 12) == 0 &&
           (weir_addr_is_v4(a) || (weir_addr_quad(a->b) == 0 && weir_addr_word(a->b + 8) == 0));
}

/* 224.0.0.0/4 or ff00::/8 */
static inline bool weir_addr_is_multicast(const struct weir_addr *a)
{
    return weir_addr_is_v4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

/* The limited broadcast, 255.255.255.255. Broadcasts of a subnet are known by its routes only. */
static inline bool weir_addr_is_broadcast(const struct weir_addr *a)
{
    return weir_addr_is_v4(a) && (a->b[12] & a->b[13] & a->b[14] & a->b[15]) == 0xff;
}

/* 127.0.0.0/8 or ::1 */
static inline bool weir_addr_is_loopback(const struct weir_addr *a)
{
    const uint8_t one[8] = {0, 0, 0, 0, 0, 0, 0, 1};
    if (weir_addr_is_v4(a))
        return a->b[12] == 127;
    return weir_addr_quad(a->b) == 0 && weir_addr_quad(a->b + 8) == weir_addr_quad(one);
}

/* 169.254.0.0/16 or fe80::/10 */
static inline bool weir_addr_is_link_local(const struct weir_addr *a)
{
    if (weir_addr_is_v4(a))
        return a->b[12] == 169 && a->b[13] == 254;
    return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/*
 * True when the first `len` bits (0..128) of `a` and `prefix` agree. An IPv4 prefix of n bits is
 * WEIR_PREFIX_V4(n) here, and so never matches an IPv6 address; ::/0 is {any6, 0} and would match
 * IPv4 too, which a caller that keeps families apart must test.
 */
static inline bool weir_addr_prefix_match(const struct weir_addr *a, const struct weir_addr *prefix,
                                          unsigned len)
{
    unsigned whole = len / 8, rest = len % 8;
    if (len > 128 || memcmp(a->b, prefix->b, whole) != 0)
        return false;
    return rest == 0 || ((a->b[whole] ^ prefix->b[whole]) >> (8 - rest)) == 0;
}

/*
 * Reads "a.b.c.d" (four decimal numbers without leading zeros) or any form of RFC 4291 2.2, from
 * `text` up to its NUL. An IPv6 text of a mapped address gives the IPv4 address. False, and *out
 * untouched, when it is neither.
 */
bool weir_addr_parse(const char *text, struct weir_addr *out);

/*
 * Writes the address in the form of RFC 5952 (IPv4 as dotted quad) with a NUL into buf[cap].
 * Returns the length without the NUL; when that is >= cap the text was cut, as with snprintf.
 * WEIR_ADDR_STRLEN bytes always suffice.
 */
size_t weir_addr_format(const struct weir_addr *a, char *buf, size_t cap);

/* The same for "a.b.c.d:port" or "[v6]:port" (RFC 5952 6). */
size_t weir_endpoint_format(const struct weir_endpoint *e, char *buf, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
