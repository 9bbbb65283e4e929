/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_PROBE_H
#define TESTS_UNIT_PROBE_H

/*
 * What the unit tests of containers and parsers share: cmocka with its includes, an allocator that
 * counts, checks sizes and fails on demand, copies of exact size, and a plain generator of test
 * data.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weir/alloc.h"

struct probe {
    struct weir_allocator alloc;
    size_t live_bytes;
    size_t live_blocks;
    size_t calls;
    size_t fail_at; /* this call (from 1) and all later ones fail; 0: none */
    size_t refuse;  /* as do those for so many bytes or more; 0: none */
};

/* The size is kept in front of the block, to be compared when it is freed. */
static inline void *probe_alloc(void *ctx, size_t size)
{
    struct probe *probe = ctx;
    size_t *block;

    assert_true(size > 0);
    probe->calls++;
    if ((probe->fail_at != 0 && probe->calls >= probe->fail_at) ||
        (probe->refuse != 0 && size >= probe->refuse))
        return NULL;
    block = malloc(size + 16);
    assert_non_null(block);
    block[0] = size;
    memset(block + 2, 0xa5, size);
    probe->live_bytes += size;
    probe->live_blocks++;
    return block + 2;
}

static inline void probe_free(void *ctx, void *ptr, size_t size)
{
    struct probe *probe = ctx;
    size_t *block = (size_t *)ptr - 2;

    assert_non_null(ptr);
    assert_int_equal(block[0], size);
    probe->live_bytes -= size;
    probe->live_blocks--;
    free(block);
}

static inline const struct weir_allocator *probe_init(struct probe *probe)
{
    memset(probe, 0, sizeof *probe);
    probe->alloc.alloc = probe_alloc;
    probe->alloc.free = probe_free;
    probe->alloc.ctx = probe;
    return &probe->alloc;
}

/* Nothing allocated is left. */
static inline void probe_done(const struct probe *probe)
{
    assert_int_equal(probe->live_blocks, 0);
    assert_int_equal(probe->live_bytes, 0);
}

/* A heap copy of exactly n bytes, so that a sanitizer sees the first byte read past the end. */
static inline uint8_t *exact_copy(const void *p, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);

    assert_non_null(copy);
    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

/* splitmix64: test data only, independent of the code under test. */
static inline uint64_t test_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number below `bound` > 0. */
static inline uint32_t test_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)(test_random(state) % bound);
}

static inline void test_fill(uint64_t *state, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)test_random(state);
}

#endif
