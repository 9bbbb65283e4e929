/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_SIP_H
#define WR_BASE_SIP_H

/*
 * SipHash-2-4 (Aumasson, Bernstein 2012) of a few bytes, in line: with a length that the compiler knows it is
 * nothing but rounds, at half the cost of a call of libsodium. That call is for keys of any other length
 * (wr_hash_of); a test compares the two.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

static inline uint64_t wr_sip_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline uint64_t wr_sip_rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static inline void wr_sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = wr_sip_rotate(v[1], 13) ^ v[0];
    v[0] = wr_sip_rotate(v[0], 32);
    v[2] += v[3];
    v[3] = wr_sip_rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = wr_sip_rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = wr_sip_rotate(v[1], 17) ^ v[2];
    v[2] = wr_sip_rotate(v[2], 32);
}

static inline void wr_sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    wr_sip_round(v);
    wr_sip_round(v);
    v[0] ^= word;
}

/* The eight bytes of the hash, read with the most significant first, as wr_hash_of() does. */
static inline uint64_t wr_sip24(const uint8_t key[16], const void *data, size_t len)
{
    uint64_t k0 = wr_sip_le64(key), k1 = wr_sip_le64(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    const uint8_t *p = data;
    uint8_t last[8] = {0};
    size_t at = 0;

    for (; at + 8 <= len; at += 8)
        wr_sip_word(v, wr_sip_le64(p + at));
    wr_bytes_copy(last, p + at, len - at);
    last[7] = (uint8_t)len;
    wr_sip_word(v, wr_sip_le64(last));
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        wr_sip_round(v);
    return __builtin_bswap64(v[0] ^ v[1] ^ v[2] ^ v[3]);
}

#endif
