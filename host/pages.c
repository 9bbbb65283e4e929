/* SPDX-License-Identifier: MIT */
/*
 * Memory in huge pages for what a stack takes by the thousand: the chunks of its pools of connections and sockets, and the
 * first blocks of streams. With many busy connections each segment finds its connection in a page of 4 KB that no table of
 * the processor's remembers; a page of 2 MB holds a thousand of them.
 *
 *     base                                                     a reserved range of addresses, made with the first region
 *       | region | region | region |          ...          |   2 MB each, of one size of block:
 *           | head | block | block | ... |
 *
 * A stack is small at first, and most stay so: of each size the first SMALL bytes are malloc()'s, as is all that is smaller or
 * larger than a chunk. So a host of some hundred connections at rest has no huge page; beyond that each size has up to one
 * more than it needs. A free block is known by its address: within the range, its region's head is at the multiple of 2 MB
 * below. A region without blocks goes back to the kernel, but for one that is kept. Without huge pages (the kernel may have
 * none left, or none at all, or they come slowly: pagepace.h) it is ordinary memory.
 *
 * SIZES are told apart at a time, and a stack asks for many more: datagrams and fragments of any length are among them, a
 * few of each. So a size that is new takes the place of the one that malloc() has given the fewest bytes of, if that has no region.
 * Should more of that come again, it begins anew: what `outside` says may be less than there is, never more.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <weir/host.h>

#include "base/list.h"
#include "host/pagepace.h"

#define REGION ((size_t)2 << 20)

enum {
    REGIONS = 8192, /* of the range: 16 GB */
    SIZES = 16,     /* of blocks, as many as are told apart */
    LEAST = 2048,
    MOST = 64 << 10,
    SMALL = 1 << 20,
    HEAD = 128 /* where the first block begins */
};

struct region {
    struct wr_list link; /* struct size.open; or, alone, kept */
    struct size *size;
    void *free;    /* the first of the blocks that were given back; each leads to the next */
    uint32_t used; /* blocks given out */
    uint32_t made; /* blocks that ever were */
};
_Static_assert(sizeof(struct region) <= HEAD, "blocks follow the head");

struct size {
    size_t bytes; /* 0: of none yet */
    size_t
        outside; /* bytes of it that malloc() has given since it has this place, at most so many */
    uint32_t regions;    /* of it, with or without a free block */
    struct wr_list open; /* regions with a free block */
};

struct weir_pages {
    uint8_t *map, *base; /* NULL: not reserved yet */
    bool refused;        /* there is no range to be had */
    struct wr_page_pace pace;
    uint32_t made;          /* regions that ever were */
    struct region *kept;    /* one without blocks; NULL: none */
    uint32_t n_gone;        /* of those that went back */
    uint16_t gone[REGIONS]; /* their numbers */
    struct size size[SIZES];
};

/* ---- regions ------------------------------------------------------------------------------------ */

static bool reserve(struct weir_pages *pages)
{
    size_t span = REGIONS * REGION + REGION;
    void *map;

    if (pages->base || pages->refused)
        return pages->base != NULL;
    map = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    pages->refused = map == MAP_FAILED;
    if (pages->refused)
        return false;
    pages->map = map;
    pages->base = pages->map + (REGION - (uintptr_t)map % REGION) % REGION;
    return true;
}

static int64_t cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Memory for a region that has none. */
static void populate(struct weir_pages *pages, struct region *region)
{
    int64_t before;

    if (!wr_page_pace_huge(&pages->pace)) {
        madvise(region, REGION, MADV_NOHUGEPAGE);
        return;
    }
    before = cpu_ns();
    madvise(region, REGION, MADV_HUGEPAGE);
    *region = (struct region){0};
    wr_page_pace_took(&pages->pace, cpu_ns() - before);
}

/* NULL: out of memory. */
static struct region *new_region(struct weir_pages *pages, struct size *size)
{
    struct region *region = pages->kept;

    if (!region) {
        uint32_t number = pages->n_gone > 0 ? pages->gone[pages->n_gone - 1] : pages->made;
        if (number >= REGIONS || !reserve(pages))
            return NULL;
        region = (struct region *)(void *)(pages->base + number * REGION);
        if (mprotect(region, REGION, PROT_READ | PROT_WRITE) != 0)
            return NULL;
        populate(pages, region);
        if (pages->n_gone > 0)
            pages->n_gone--;
        else
            pages->made++;
    }
    pages->kept = NULL;
    size->regions++;
    *region = (struct region){.size = size};
    wr_list_push_front(&size->open, &region->link);
    return region;
}

static void drop_region(struct weir_pages *pages, struct region *region)
{
    wr_list_remove(&region->link);
    region->size->regions--;
    if (!pages->kept) {
        pages->kept = region;
        return;
    }
    pages->gone[pages->n_gone++] = (uint16_t)((size_t)((uint8_t *)region - pages->base) / REGION);
    madvise(region, REGION, MADV_DONTNEED);
    mprotect(region, REGION, PROT_NONE);
}

/* ---- blocks ------------------------------------------------------------------------------------- */

static size_t step_of(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static uint32_t blocks_of(const struct size *size)
{
    return (uint32_t)((REGION - HEAD) / step_of(size->bytes));
}

static struct size *find_size(struct weir_pages *pages, size_t bytes)
{
    for (int i = 0; i < SIZES; i++)
        if (pages->size[i].bytes == bytes)
            return &pages->size[i];
    return NULL;
}

/* NULL: all have regions. */
static struct size *new_size(struct weir_pages *pages, size_t bytes)
{
    struct size *least = NULL;

    for (int i = 0; i < SIZES; i++) {
        struct size *size = &pages->size[i];
        if (size->regions == 0 && (!least || size->outside < least->outside))
            least = size;
    }
    if (least) {
        *least = (struct size){.bytes = bytes};
        wr_list_init(&least->open);
    }
    return least;
}

/* NULL: blocks of this size are malloc()'s. */
static struct size *size_of(struct weir_pages *pages, size_t bytes)
{
    struct size *size;

    if (bytes < LEAST || bytes > MOST)
        return NULL;
    size = find_size(pages, bytes);
    return size ? size : new_size(pages, bytes);
}

static void *take_block(struct weir_pages *pages, struct size *size)
{
    struct region *region;
    void *block;

    if (wr_list_is_empty(&size->open) && !new_region(pages, size))
        return NULL;
    region = WR_CONTAINER(size->open.next, struct region, link);
    block = region->free;
    if (block)
        region->free = *(void **)block;
    else
        block = (uint8_t *)region + HEAD + region->made++ * step_of(size->bytes);
    if (++region->used == blocks_of(size))
        wr_list_remove(&region->link);
    return block;
}

static void give_block(struct weir_pages *pages, void *block)
{
    struct region *region = (struct region *)((uintptr_t)block / REGION * REGION);

    *(void **)block = region->free;
    region->free = block;
    if (region->used-- == blocks_of(region->size))
        wr_list_push_back(&region->size->open, &region->link);
    if (region->used == 0)
        drop_region(pages, region);
}

static void *pages_alloc(void *ctx, size_t bytes)
{
    struct weir_pages *pages = ctx;
    struct size *size = size_of(pages, bytes);
    void *block = size && size->outside + bytes > SMALL ? take_block(pages, size) : NULL;

    if (block)
        return block;
    block = malloc(bytes);
    if (block && size)
        size->outside += bytes;
    return block;
}

static void pages_free(void *ctx, void *block, size_t bytes)
{
    struct weir_pages *pages = ctx;
    struct size *size;

    if (pages->base && (uintptr_t)block - (uintptr_t)pages->base < REGIONS * REGION) {
        give_block(pages, block);
        return;
    }
    size = find_size(pages, bytes);
    if (size) /* what was given before it had this place is not in there */
        size->outside -= bytes < size->outside ? bytes : size->outside;
    free(block);
}

/* ---- life --------------------------------------------------------------------------------------- */

struct weir_pages *weir_pages_new(void)
{
    return calloc(1, sizeof(struct weir_pages));
}

struct weir_allocator weir_pages_allocator(struct weir_pages *pages)
{
    return (struct weir_allocator){pages_alloc, pages_free, pages};
}

void weir_pages_free(struct weir_pages *pages)
{
    if (pages && pages->map)
        munmap(pages->map, REGIONS * REGION + REGION);
    free(pages);
}
