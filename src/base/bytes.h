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

static inline uint16_t get_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t get_be64(const uint8_t *p)
{
    return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
    put_be32(p, (uint32_t)(v >> 32));
    put_be32(p + 4, (uint32_t)v);
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
