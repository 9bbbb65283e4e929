/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_SEQ_H
#define WR_BASE_SEQ_H

/*
 * Sequence numbers: 32 bits that wrap (RFC 9293 3.4). The order of two numbers is the sign of their
 * difference, which is right as long as they lie less than 2^31 apart; every window in the stack is
 * kept below that.
 */

#include <stdbool.h>
#include <stdint.h>

/* How far `a` is ahead of `b`; negative when behind. */
static inline int32_t seq_diff(uint32_t a, uint32_t b)
{
    uint32_t d = a - b;
    return d < 0x80000000u ? (int32_t)d : -(int32_t)(0xffffffffu - d) - 1;
}

static inline bool seq_lt(uint32_t a, uint32_t b)
{
    return seq_diff(a, b) < 0;
}

static inline bool seq_leq(uint32_t a, uint32_t b)
{
    return seq_diff(a, b) <= 0;
}

static inline bool seq_gt(uint32_t a, uint32_t b)
{
    return seq_diff(a, b) > 0;
}

static inline bool seq_geq(uint32_t a, uint32_t b)
{
    return seq_diff(a, b) >= 0;
}

static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
    return seq_gt(a, b) ? a : b;
}

static inline uint32_t seq_min(uint32_t a, uint32_t b)
{
    return seq_lt(a, b) ? a : b;
}

/* start <= s < end, for any distance of start and end (no 2^31 limit). */
static inline bool seq_within(uint32_t s, uint32_t start, uint32_t end)
{
    return s - start < end - start;
}

#endif
