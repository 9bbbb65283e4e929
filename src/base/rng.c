/* SPDX-License-Identifier: MIT */
/* ChaCha20, RFC 8439 2.1 to 2.4, with the original 64-bit counter: state words 12 and 13. */
#include "base/rng.h"

#include <string.h>

#include "base/bytes.h"

#define ROUNDS 20

static uint32_t rotl(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static uint32_t get_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void put_le32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

/* RFC 8439 2.1 */
static void quarter_round(uint32_t x[16], int a, int b, int c, int d)
{
    x[a] += x[b];
    x[d] = rotl(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotl(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotl(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotl(x[b] ^ x[c], 7);
}

/* RFC 8439 2.3: the next block of the key stream. */
static void next_block(struct wr_rng *rng)
{
    uint32_t x[16];

    memcpy(x, rng->state, sizeof x);
    for (int i = 0; i < ROUNDS; i += 2) {
        quarter_round(x, 0, 4, 8, 12);
        quarter_round(x, 1, 5, 9, 13);
        quarter_round(x, 2, 6, 10, 14);
        quarter_round(x, 3, 7, 11, 15);
        quarter_round(x, 0, 5, 10, 15);
        quarter_round(x, 1, 6, 11, 12);
        quarter_round(x, 2, 7, 8, 13);
        quarter_round(x, 3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++)
        put_le32(rng->block + 4 * i, x[i] + rng->state[i]);
    if (++rng->state[12] == 0)
        rng->state[13]++;
    rng->used = 0;
}

void wr_rng_init(struct wr_rng *rng, const uint8_t seed[32])
{
    static const uint32_t constants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

    memset(rng, 0, sizeof *rng);
    memcpy(rng->state, constants, sizeof constants);
    for (int i = 0; i < 8; i++)
        rng->state[4 + i] = get_le32(seed + 4 * i);
    rng->used = sizeof rng->block;
}

void wr_rng_init_u64(struct wr_rng *rng, uint64_t number)
{
    uint8_t seed[32] = {0};

    put_be64(seed, number);
    wr_rng_init(rng, seed);
}

void wr_rng_fork(struct wr_rng *rng, struct wr_rng *child)
{
    uint8_t seed[32];

    wr_rng_bytes(rng, seed, sizeof seed);
    wr_rng_init(child, seed);
}

void wr_rng_bytes(struct wr_rng *rng, void *out, size_t n)
{
    uint8_t *to = out;

    while (n > 0) {
        if (rng->used == sizeof rng->block)
            next_block(rng);
        size_t take = sizeof rng->block - rng->used;
        if (take > n)
            take = n;
        memcpy(to, rng->block + rng->used, take);
        rng->used += (uint32_t)take;
        to += take;
        n -= take;
    }
}

uint32_t wr_rng_u32(struct wr_rng *rng)
{
    uint8_t b[4];
    wr_rng_bytes(rng, b, sizeof b);
    return get_be32(b);
}

uint64_t wr_rng_u64(struct wr_rng *rng)
{
    uint8_t b[8];
    wr_rng_bytes(rng, b, sizeof b);
    return get_be64(b);
}

/* The high half of a 64-bit product, drawn again in the few cases that would favour low numbers. */
uint32_t wr_rng_below(struct wr_rng *rng, uint32_t bound)
{
    uint32_t unfair;
    uint64_t product;

    if (bound == 0)
        return 0;
    unfair = (0u - bound) % bound; /* 2^32 mod bound */
    do {
        product = (uint64_t)wr_rng_u32(rng) * bound;
    } while ((uint32_t)product < unfair);
    return (uint32_t)(product >> 32);
}
