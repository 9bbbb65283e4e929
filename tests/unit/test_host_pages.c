/* SPDX-License-Identifier: MIT */
/* Memory in huge pages: blocks that do not overlap, are aligned as malloc()'s, keep their bytes, and go back;
 * and that slow pages come one at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <weir/host.h>

#include "base/rng.h"
#include "host/pagepace.h"

enum { BLOCKS = 3000, STEPS = 60000 };

struct block {
    uint8_t *at;
    size_t bytes;
};

/* As a stack asks for them: small ones, chunks, first blocks of streams, large ones. */
static const size_t sizes[] = {40, 760, 2048, 2648, 24680, 24681, 65536, 65537, 300000};

static void fill(const struct block *block, uint32_t n)
{
    memcpy(block->at, &n, sizeof n);
    memcpy(block->at + block->bytes - sizeof n, &n, sizeof n);
}

static void is_filled(const struct block *block, uint32_t n)
{
    assert_memory_equal(block->at, &n, sizeof n);
    assert_memory_equal(block->at + block->bytes - sizeof n, &n, sizeof n);
}

static void toggle(const struct weir_allocator *alloc, struct block *block, uint32_t n,
                   size_t bytes)
{
    if (block->at != NULL) {
        is_filled(block, n);
        alloc->free(alloc->ctx, block->at, block->bytes);
        block->at = NULL;
        return;
    }
    *block = (struct block){alloc->alloc(alloc->ctx, bytes), bytes};
    assert_non_null(block->at);
    assert_int_equal((uintptr_t)block->at % _Alignof(max_align_t), 0);
    fill(block, n);
}

static void free_all(const struct weir_allocator *alloc, struct block *blocks)
{
    for (uint32_t n = 0; n < BLOCKS; n++)
        if (blocks[n].at != NULL)
            toggle(alloc, &blocks[n], n, 0);
}

static void blocks_are_apart(void **state)
{
    struct weir_pages *pages = weir_pages_new();
    struct weir_allocator alloc = weir_pages_allocator(pages);
    struct block *blocks = calloc(BLOCKS, sizeof *blocks);
    struct wr_rng rng;
    uint8_t seed[32] = {1};

    (void)state;
    assert_non_null(blocks);
    wr_rng_init(&rng, seed);
    for (unsigned i = 0; i < STEPS; i++) {
        uint32_t n = wr_rng_below(&rng, BLOCKS);
        size_t bytes = sizes[wr_rng_below(&rng, (uint32_t)(sizeof sizes / sizeof *sizes))];
        if (wr_rng_below(&rng, 8) == 0) /* a datagram */
            bytes = 1000 + wr_rng_below(&rng, 65000);
        toggle(&alloc, &blocks[n], n, bytes);
    }
    free_all(&alloc, blocks);
    free(blocks);
    weir_pages_free(pages);
}

/* How many of the blocks begin in a page that is in memory, whoever owns it now: asked of each address, since a sanitizer
 * keeps memory of its own beside each page that was ever used. */
static unsigned in_memory(uint8_t *const *at)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned n = 0;

    for (uint32_t i = 0; i < BLOCKS; i++) {
        unsigned char here = 0;
        if (mincore(at[i] - (uintptr_t)at[i] % page, 1, &here) == 0)
            n += here & 1;
    }
    return n;
}

/* 70 MB of chunks go back to the kernel with the last of them, all but a region and malloc()'s, and come again. */
static void what_is_free_goes_back(void **state)
{
    struct weir_pages *pages = weir_pages_new();
    struct weir_allocator alloc = weir_pages_allocator(pages);
    struct block *blocks = calloc(BLOCKS, sizeof *blocks);
    uint8_t *at[BLOCKS];

    (void)state;
    assert_non_null(blocks);
    for (int round = 0; round < 3; round++) {
        for (uint32_t n = 0; n < BLOCKS; n++) {
            toggle(&alloc, &blocks[n], n, 24680);
            assert_non_null(blocks[n].at);
            at[n] = blocks[n].at;
            memset(blocks[n].at + 4, 1, 24672);
        }
        assert_int_equal(in_memory(at), BLOCKS);
        free_all(&alloc, blocks);
        assert_in_range(in_memory(at), 0, BLOCKS / 10);
    }
    free(blocks);
    weir_pages_free(pages);
}

/* How many of the blocks stand where those of this size do in a region. */
static unsigned in_regions(const struct block *blocks, size_t bytes)
{
    enum { REGION = 2 << 20, HEAD = 128 };
    size_t step = (bytes + 63) / 64 * 64;
    unsigned n = 0;

    for (uint32_t i = 0; i < BLOCKS; i++) {
        size_t at = (uintptr_t)blocks[i].at % REGION;
        n += at >= HEAD && (at - HEAD) % step == 0;
    }
    return n;
}

/* Datagrams of any length come and go, or stay; what is then asked for by the thousand is in regions as it would be without. */
static void many_sizes_leave_room_for_one(void **state)
{
    enum { OTHERS = 100, CHUNK = 24680 };
    struct block *blocks = calloc(BLOCKS, sizeof *blocks);
    struct block others[OTHERS] = {0};

    (void)state;
    assert_non_null(blocks);
    for (int stay = 0; stay < 2; stay++) {
        struct weir_pages *pages = weir_pages_new();
        struct weir_allocator alloc = weir_pages_allocator(pages);
        for (int round = 0; round < 3; round++) {
            for (uint32_t n = 0; n < OTHERS; n++) {
                toggle(&alloc, &others[n], n, 5000 + 100 * n);
                if (!stay)
                    toggle(&alloc, &others[n], n, 0);
            }
            for (uint32_t n = 0; n < BLOCKS; n++)
                toggle(&alloc, &blocks[n], n, CHUNK);
            assert_in_range(in_regions(blocks, CHUNK), BLOCKS - (1 << 20) / CHUNK - 1, BLOCKS);
            free_all(&alloc, blocks);
            for (uint32_t n = 0; n < OTHERS && stay; n++)
                toggle(&alloc, &others[n], n, 0);
        }
        weir_pages_free(pages);
    }
    free(blocks);
}

/* A huge page that comes slowly is followed by ordinary ones, twice as many after the next; one that comes fast by huge ones. */
static void slow_pages_are_no_row(void **state)
{
    enum { MS = 1000000 };
    struct wr_page_pace pace = {0};

    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_true(wr_page_pace_huge(&pace));
        wr_page_pace_took(&pace, MS / 4);
    }
    for (int round = 0; round < 2; round++) {
        for (unsigned row = 8, i = 0; i < 10; i++) {
            assert_true(wr_page_pace_huge(&pace));
            wr_page_pace_took(&pace, 5 * MS);
            for (unsigned n = 0; n < row; n++)
                assert_false(wr_page_pace_huge(&pace));
            row = row < 512 ? 2 * row : 512;
        }
        assert_true(wr_page_pace_huge(&pace));
        wr_page_pace_took(&pace, MS / 4);
    }
}

static void stack_lives_in_them(void **state)
{
    struct weir_pages *pages = weir_pages_new();
    struct weir_config config;
    struct weir_stack *stack;
    weir_sock socks[20000];

    (void)state;
    weir_config_default(&config);
    config.alloc = weir_pages_allocator(pages);
    stack = weir_stack_new(&config, 0);
    assert_non_null(stack);
    for (unsigned i = 0; i < 20000; i++)
        assert_int_equal(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &socks[i]), 0);
    for (unsigned i = 0; i < 20000; i++)
        assert_int_equal(weir_sock_close(stack, socks[i], 0), 0);
    weir_stack_free(stack);
    weir_pages_free(pages);
    weir_pages_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_apart),
        cmocka_unit_test(what_is_free_goes_back),
        cmocka_unit_test(many_sizes_leave_room_for_one),
        cmocka_unit_test(slow_pages_are_no_row),
        cmocka_unit_test(stack_lives_in_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
