/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

/* What fuzz targets read their input with, and say what must hold. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The input, as a program that is read step by step. Past its end everything is 0. */
struct input {
    const uint8_t *p;
    size_t n;
};

static inline uint8_t take8(struct input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->p++;
}

static inline uint16_t take16(struct input *in)
{
    uint16_t high = take8(in);
    return (uint16_t)(high << 8 | take8(in));
}

static inline uint32_t take32(struct input *in)
{
    uint32_t high = take16(in);
    return high << 16 | take16(in);
}

/* Up to `most` bytes, as many as the next byte says; *len tells how many. */
static inline const uint8_t *take_bytes(struct input *in, size_t most, size_t *len)
{
    const uint8_t *p;
    size_t n = take8(in);
    if (n > most)
        n = most;
    if (n > in->n)
        n = in->n;
    p = in->p;
    in->p += n;
    in->n -= n;
    *len = n;
    return p;
}

/* Aborts, so that the fuzzer keeps the input, unless it is true. */
static inline void must(int truth, const char *what)
{
    if (truth)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

#endif
