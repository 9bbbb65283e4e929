/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_BYTES_H
#define WR_BASE_BYTES_H

/*
 * Bytes on the wire: big-endian numbers at any alignment, and runs of spans. The
 * accessors check nothing; whoever calls them has compared lengths before.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "weir/span.h"

/* The stack's spans are those of its users. */
#define wr_span weir_span

/* Between network order and the machine's; by the number and not byte by byte, which compilers do not always see through
 * where other stores stand between. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#    define WR_SWAP16(v) (v)
#    define WR_SWAP32(v) (v)
#    define WR_SWAP64(v) (v)
#else
#    define WR_SWAP16(v) __builtin_bswap16(v)
#    define WR_SWAP32(v) __builtin_bswap32(v)
#    define WR_SWAP64(v) __builtin_bswap64(v)
#endif

static inline uint16_t get_be16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return WR_SWAP16(v);
}

static inline uint32_t get_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return WR_SWAP32(v);
}

static inline uint64_t get_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return WR_SWAP64(v);
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
    v = WR_SWAP16(v);
    memcpy(p, &v, sizeof v);
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
    v = WR_SWAP32(v);
    memcpy(p, &v, sizeof v);
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
    v = WR_SWAP64(v);
    memcpy(p, &v, sizeof v);
}

/* memcpy that allows any pointer, NULL too, when n is 0. */
static inline void wr_bytes_copy(void *dst, const void *src, size_t n)
{
    if (n > 0)
        memcpy(dst, src, n);
}

/* Sum of the lengths of n spans. */
static inline size_t wr_spans_len(const struct weir_span *spans, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += spans[i].len;
    return len;
}

/* Copies n spans one behind the other to dst; returns how many bytes that were. */
static inline size_t wr_spans_copy(uint8_t *dst, const struct weir_span *spans, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        wr_bytes_copy(dst + len, spans[i].ptr, spans[i].len);
        len += spans[i].len;
    }
    return len;
}

#endif
