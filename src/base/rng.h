/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_RNG_H
#define WR_BASE_RNG_H

/*
 * Random numbers from a seed: ChaCha20 (RFC 8439 2.3) in counter mode. The same seed gives the same
 * numbers, so a run can be repeated; without the seed nobody can predict one number from others.
 *
 * Use the stream for what nobody needs to compute twice (jitter, IP identification, the choice
 * where to begin searching a port). For what must be a function of something (ISN of a 4-tuple, RFC
 * 6528; hash tables; port offsets, RFC 6056; cookies) draw a 16-byte SipHash key from it once, with
 * wr_rng_bytes.
 */

#include <stddef.h>
#include <stdint.h>

struct wr_rng {
    uint32_t state[16]; /* constants, key, 64-bit block counter, 64-bit stream number */
    uint8_t block[64];
    uint32_t used; /* bytes of block given out */
};

/* Starts the stream of a 32-byte seed. */
void wr_rng_init(struct wr_rng *rng, const uint8_t seed[32]);

/* Starts the stream of a number: for tests and simulations, not for secrets. */
void wr_rng_init_u64(struct wr_rng *rng, uint64_t number);

/* Starts in *child a stream of its own, seeded from this one's next 32 bytes. */
void wr_rng_fork(struct wr_rng *rng, struct wr_rng *child);

/* The next 32 or 64 random bits. */
uint32_t wr_rng_u32(struct wr_rng *rng);
uint64_t wr_rng_u64(struct wr_rng *rng);

/* A uniform number in [0, bound), without bias. bound 0 gives 0. */
uint32_t wr_rng_below(struct wr_rng *rng, uint32_t bound);

/* Fills n bytes. */
void wr_rng_bytes(struct wr_rng *rng, void *out, size_t n);

#endif
