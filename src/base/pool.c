/* SPDX-License-Identifier: MIT */
/*
 * Slots lie in chunks of SLOTS_PER_CHUNK; a directory of chunks, doubled when full, makes slot ->
 * address a division. Each slot begins with a header that outlives its objects:
 *
 *     | generation | slot | next free | (pad) | object ...            generation odd: in use
 *
 * The generation counts both taking and giving back, so an object in use has an odd one and no
 * handle is 0. A handle could be mistaken for a later one only after 2^31 uses of one slot. The
 * slot given back last is taken first: it is the one in the cache.
 */
#include "base/pool.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#ifdef WEIR_HARD
#    define SLOTS_PER_CHUNK 2u
#else
#    define SLOTS_PER_CHUNK 32u
#endif
#define NO_SLOT UINT32_MAX
#define ALIGN   16u /* of every object, given an allocator that aligns as malloc does */

struct slot {
    uint32_t generation;
    uint32_t slot;
    uint32_t next_free;
    uint32_t pad;
};

_Static_assert(sizeof(struct slot) == ALIGN, "objects follow their headers aligned");

void wr_pool_init(struct wr_pool *pool, const struct weir_allocator *alloc, uint32_t obj_size,
                  uint32_t max)
{
    assert(obj_size <= (1u << 24) && max < UINT32_MAX);
    memset(pool, 0, sizeof *pool);
    pool->alloc = alloc;
    pool->obj_size = obj_size;
    pool->stride = (uint32_t)sizeof(struct slot) + (obj_size + ALIGN - 1) / ALIGN * ALIGN;
    pool->max = max;
    pool->free_slot = NO_SLOT;
}

static size_t chunk_bytes(const struct wr_pool *pool)
{
    return (size_t)pool->stride * SLOTS_PER_CHUNK;
}

void wr_pool_fini(struct wr_pool *pool)
{
    for (uint32_t i = 0; i < pool->n_chunks; i++)
        wr_mem_free(pool->alloc, pool->chunks[i], chunk_bytes(pool));
    wr_mem_free(pool->alloc, pool->chunks, pool->dir_cap * sizeof *pool->chunks);
    wr_pool_init(pool, pool->alloc, pool->obj_size, pool->max);
}

static struct slot *slot_at(const struct wr_pool *pool, uint32_t i)
{
    uint8_t *chunk = pool->chunks[i / SLOTS_PER_CHUNK];
    return (struct slot *)(void *)(chunk + (size_t)pool->stride * (i % SLOTS_PER_CHUNK));
}

static void *object_of(struct slot *slot)
{
    return slot + 1;
}

static struct slot *slot_of(const void *obj)
{
    return (struct slot *)(uintptr_t)obj - 1;
}

static uint64_t handle_of(const struct slot *slot)
{
    return (uint64_t)slot->generation << 32 | slot->slot;
}

static bool grow_directory(struct wr_pool *pool)
{
    uint32_t cap = pool->dir_cap > 0 ? pool->dir_cap * 2 : 4;
    uint8_t **chunks = wr_mem_array(pool->alloc, cap, sizeof *chunks);

    if (chunks == NULL)
        return false;
    if (pool->chunks != NULL) {
        memcpy(chunks, pool->chunks, pool->n_chunks * sizeof *chunks);
        wr_mem_free(pool->alloc, pool->chunks, pool->dir_cap * sizeof *chunks);
    }
    pool->chunks = chunks;
    pool->dir_cap = cap;
    return true;
}

/* Makes slot number n_slots, in a new chunk when the last is used up. NULL when out of memory. */
static struct slot *new_slot(struct wr_pool *pool)
{
    if (pool->n_slots == pool->n_chunks * SLOTS_PER_CHUNK) {
        if (pool->n_chunks == pool->dir_cap && !grow_directory(pool))
            return NULL;
        uint8_t *chunk = wr_mem_alloc(pool->alloc, chunk_bytes(pool));
        if (chunk == NULL)
            return NULL;
        pool->chunks[pool->n_chunks++] = chunk;
    }
    struct slot *slot = slot_at(pool, pool->n_slots);
    slot->generation = 0;
    slot->slot = pool->n_slots++;
    return slot;
}

uint64_t wr_pool_alloc(struct wr_pool *pool, void **obj)
{
    struct slot *slot;

    if (pool->count >= pool->max)
        return 0;
    if (pool->free_slot != NO_SLOT) {
        slot = slot_at(pool, pool->free_slot);
        pool->free_slot = slot->next_free;
    } else {
        slot = new_slot(pool);
        if (slot == NULL)
            return 0;
    }
    slot->generation++;
    pool->count++;
    *obj = object_of(slot);
    memset(*obj, 0, pool->obj_size);
    return handle_of(slot);
}

void *wr_pool_at(const struct wr_pool *pool, uint32_t slot)
{
    if (slot >= pool->n_slots)
        return NULL;
    struct slot *at = slot_at(pool, slot);
    return (at->generation & 1) != 0 ? object_of(at) : NULL;
}

void *wr_pool_find(const struct wr_pool *pool, uint64_t handle)
{
    void *obj = wr_pool_at(pool, (uint32_t)handle);
    return obj != NULL && handle_of(slot_of(obj)) == handle ? obj : NULL;
}

uint64_t wr_pool_handle(const struct wr_pool *pool, const void *obj)
{
    const struct slot *slot = slot_of(obj);

    assert(slot->slot < pool->n_slots && slot_at(pool, slot->slot) == slot);
    (void)pool;
    return handle_of(slot);
}

void wr_pool_free(struct wr_pool *pool, void *obj)
{
    struct slot *slot = slot_of(obj);

    assert((slot->generation & 1) != 0);
    slot->generation++;
    slot->next_free = pool->free_slot;
    pool->free_slot = slot->slot;
    pool->count--;
}
