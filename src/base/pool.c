/* SPDX-License-Identifier: MIT */
/*
 * Slots lie in chunks of SLOTS_PER_CHUNK; a directory of chunks, doubled when full, makes slot ->
 * address a division. Each slot begins with a header that outlives its objects:
 *
 *     | generation | slot | object ...            generation odd: in use; free: the object's first
 *                                                 bytes hold the next free slot of the chunk
 *
 * The generation counts both taking and giving back, so an object in use has an odd one and no
 * handle is 0. A handle could be mistaken for a later one only after 2^31 uses of one slot. What was
 * given back lately is taken first: it is what is in the cache. One slot is kept at hand (struct wr_pool.hand), and its
 * chunk counts it as an object: where they come and go one by one nothing else is touched.
 *
 * A chunk without objects is given back, but for one that is kept so that a single object that
 * comes and goes costs no chunk each time: that of the slot at hand if it has no object, else a spare one. A chunk that takes its place later begins with generations
 * above all that were given back.
 */
#include "base/pool.h"

#include <assert.h>
#include <string.h>

#include "base/hint.h"
#include "base/mem.h"

#ifdef WEIR_HARD
#    define SLOTS_PER_CHUNK 2u
#else
#    define SLOTS_PER_CHUNK 32u
#endif
#define LINE  64u  /* bytes of a line of the cache */
#define PAIR  128u /* of those that are fetched together */
#define NONE  UINT32_MAX
#define ALIGN 8u /* of every object, given an allocator that aligns as malloc does */

struct wr_pool_slot {
    uint32_t generation;
    uint32_t slot;
};

struct chunk {
    struct wr_list link; /* struct wr_pool.open */
    uint32_t used;       /* objects in it */
    uint32_t made;       /* slots that were ever in use: the first so many */
    uint32_t free_slot;  /* first of the list of free ones among them; NONE ends it */
    uint32_t index;      /* in the directory */
    uint32_t first; /* offset of slot 0: where a line begins, if slots are to begin with lines */
};

_Static_assert(sizeof(struct wr_pool_slot) == ALIGN, "objects follow their headers aligned");
_Static_assert(sizeof(struct chunk) % ALIGN == 0, "slots follow their chunk's header aligned");

void wr_pool_init(struct wr_pool *pool, const struct weir_allocator *alloc, uint32_t obj_size,
                  uint32_t max)
{
    assert(obj_size >= sizeof(uint32_t) && obj_size <= (1u << 24) && max < UINT32_MAX);
    memset(pool, 0, sizeof *pool);
    pool->alloc = alloc;
    pool->obj_size = obj_size;
    pool->stride = (uint32_t)sizeof(struct wr_pool_slot) + (obj_size + ALIGN - 1) / ALIGN * ALIGN;
    pool->max = max;
    pool->no_chunk = NONE;
    wr_list_init(&pool->open);
}

void wr_pool_in_lines(struct wr_pool *pool)
{
    assert(pool->n_chunks == 0);
    pool->in_lines = true;
    pool->stride =
        ((uint32_t)sizeof(struct wr_pool_slot) + pool->obj_size + LINE - 1) / LINE * LINE;
}

/* ---- chunks ------------------------------------------------------------------------------------- */

/* A place without a chunk holds an odd number, which no address of a chunk is. */
static uintptr_t empty_place(uint32_t next)
{
    return (uintptr_t)next << 1 | 1;
}

static struct chunk *chunk_at(const struct wr_pool *pool, uint32_t index)
{
    uintptr_t place = pool->chunks[index];
    return (place & 1) != 0 ? NULL : (struct chunk *)place;
}

static size_t chunk_bytes(const struct wr_pool *pool)
{
    return sizeof(struct chunk) + (size_t)pool->stride * SLOTS_PER_CHUNK +
           (pool->in_lines ? PAIR - ALIGN : 0);
}

/* Bytes from a chunk to its first slot. */
static uint32_t first_slot(const struct wr_pool *pool, const struct chunk *chunk)
{
    uintptr_t at = (uintptr_t)(chunk + 1), even = (at + PAIR - 1) / PAIR * PAIR;
    return (uint32_t)((pool->in_lines ? even : at) - (uintptr_t)chunk);
}

static struct wr_pool_slot *slot_in(const struct wr_pool *pool, struct chunk *chunk, uint32_t i)
{
    return (struct wr_pool_slot *)(void *)((uint8_t *)chunk + chunk->first +
                                           (size_t)pool->stride * i);
}

static bool grow_directory(struct wr_pool *pool)
{
    uint32_t cap = pool->dir_cap > 0 ? pool->dir_cap * 2 : 4;
    uintptr_t *chunks = wr_mem_array(pool->alloc, cap, sizeof *chunks);

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

static struct chunk *new_chunk(struct wr_pool *pool)
{
    struct chunk *chunk;

    if (pool->no_chunk == NONE && pool->n_chunks == pool->dir_cap && !grow_directory(pool))
        return NULL;
    chunk = wr_mem_alloc(pool->alloc, chunk_bytes(pool));
    if (chunk == NULL)
        return NULL;
    *chunk = (struct chunk){
        .free_slot = NONE, .index = pool->no_chunk, .first = first_slot(pool, chunk)};
    if (chunk->index == NONE) {
        chunk->index = pool->n_chunks++;
        pool->n_slots = pool->n_chunks * SLOTS_PER_CHUNK;
    } else {
        pool->no_chunk = (uint32_t)(pool->chunks[chunk->index] >> 1);
    }
    pool->chunks[chunk->index] = (uintptr_t)chunk;
    wr_list_push_front(&pool->open, &chunk->link);
    return chunk;
}

static void free_chunk(struct wr_pool *pool, struct chunk *chunk)
{
    for (uint32_t i = 0; i < chunk->made; i++) {
        const struct wr_pool_slot *slot = slot_in(pool, chunk, i);
        if (slot->generation > pool->generation)
            pool->generation = slot->generation;
    }
    pool->chunks[chunk->index] = empty_place(pool->no_chunk);
    pool->no_chunk = chunk->index;
    wr_list_remove(&chunk->link);
    wr_mem_free(pool->alloc, chunk, chunk_bytes(pool));
}

void wr_pool_fini(struct wr_pool *pool)
{
    for (uint32_t i = 0; i < pool->n_chunks; i++)
        wr_mem_free(pool->alloc, chunk_at(pool, i), chunk_bytes(pool));
    wr_mem_free(pool->alloc, pool->chunks, pool->dir_cap * sizeof *pool->chunks);
    wr_pool_init(pool, pool->alloc, pool->obj_size, pool->max);
}

/* ---- objects ------------------------------------------------------------------------------------ */

static void *object_of(struct wr_pool_slot *slot)
{
    return slot + 1;
}

static struct wr_pool_slot *slot_of(const void *obj)
{
    return (struct wr_pool_slot *)(uintptr_t)obj - 1;
}

static struct wr_pool_slot *hand_of(const struct wr_pool *pool)
{
    return WR_SHORT_WAYS ? pool->hand : NULL;
}

static uint64_t handle_of(const struct wr_pool_slot *slot)
{
    return (uint64_t)slot->generation << 32 | slot->slot;
}

static struct wr_pool_slot *take_slot(struct wr_pool *pool, struct chunk *chunk)
{
    struct wr_pool_slot *slot;

    if (chunk->free_slot != NONE) {
        slot = slot_in(pool, chunk, chunk->free_slot);
        memcpy(&chunk->free_slot, object_of(slot), sizeof chunk->free_slot);
        return slot;
    }
    slot = slot_in(pool, chunk, chunk->made);
    *slot = (struct wr_pool_slot){.generation = pool->generation,
                                  .slot = chunk->index * SLOTS_PER_CHUNK + chunk->made++};
    return slot;
}

/* A free slot of the chunk used last. NULL: out of memory. */
WR_APART struct wr_pool_slot *take_any(struct wr_pool *pool)
{
    struct chunk *chunk = wr_list_is_empty(&pool->open)
                              ? new_chunk(pool)
                              : WR_CONTAINER(pool->open.next, struct chunk, link);
    struct wr_pool_slot *slot;

    if (chunk == NULL)
        return NULL;
    if (chunk->used++ == 0)
        pool->spare = false;
    slot = take_slot(pool, chunk);
    if (chunk->used == SLOTS_PER_CHUNK)
        wr_list_remove(&chunk->link);
    return slot;
}

uint64_t wr_pool_alloc(struct wr_pool *pool, void **obj)
{
    struct wr_pool_slot *slot = hand_of(pool);

    if (pool->count >= pool->max)
        return 0;
    if (slot == NULL && (slot = take_any(pool)) == NULL)
        return 0;
    pool->hand = NULL;
    pool->count++;
    slot->generation++;
    *obj = object_of(slot);
    memset(*obj, 0, pool->obj_size);
    return handle_of(slot);
}

void *wr_pool_at(const struct wr_pool *pool, uint32_t slot)
{
    struct chunk *chunk;
    struct wr_pool_slot *at;

    if (slot >= pool->n_slots)
        return NULL;
    chunk = chunk_at(pool, slot / SLOTS_PER_CHUNK);
    if (chunk == NULL || slot % SLOTS_PER_CHUNK >= chunk->made)
        return NULL;
    at = slot_in(pool, chunk, slot % SLOTS_PER_CHUNK);
    return (at->generation & 1) != 0 ? object_of(at) : NULL;
}

void *wr_pool_find(const struct wr_pool *pool, uint64_t handle)
{
    void *obj = wr_pool_at(pool, (uint32_t)handle);
    return obj != NULL && handle_of(slot_of(obj)) == handle ? obj : NULL;
}

uint64_t wr_pool_handle(const struct wr_pool *pool, const void *obj)
{
    const struct wr_pool_slot *slot = slot_of(obj);

    assert(wr_pool_at(pool, slot->slot) == obj);
    (void)pool;
    return handle_of(slot);
}

static struct chunk *chunk_of(const struct wr_pool *pool, const struct wr_pool_slot *slot)
{
    return chunk_at(pool, slot->slot / SLOTS_PER_CHUNK);
}

static void free_slot(struct chunk *chunk, struct wr_pool_slot *slot)
{
    memcpy(object_of(slot), &chunk->free_slot, sizeof chunk->free_slot);
    chunk->free_slot = slot->slot % SLOTS_PER_CHUNK;
    chunk->used--;
}

/* The slot goes back to its chunk. */
WR_APART void give_back(struct wr_pool *pool, struct wr_pool_slot *slot)
{
    struct chunk *chunk = chunk_of(pool, slot);
    struct chunk *at_hand = hand_of(pool) != NULL ? chunk_of(pool, pool->hand) : NULL;

    free_slot(chunk, slot);
    if (chunk == at_hand && chunk->used == 1 && pool->spare) { /* two were kept */
        free_slot(chunk, pool->hand);
        pool->hand = NULL;
    }
    if (pool->open.next == &chunk->link && chunk->used > 0)
        return; /* mostly it stands where it should */
    wr_list_remove(&chunk->link);
    if (chunk->used > 0) {
        wr_list_push_front(&pool->open, &chunk->link);
    } else if (!pool->spare &&
               (at_hand == NULL || at_hand->used > 1)) { /* the last to be taken from */
        pool->spare = true;
        wr_list_push_back(&pool->open, &chunk->link);
    } else {
        free_chunk(pool, chunk);
    }
}

void wr_pool_free(struct wr_pool *pool, void *obj)
{
    struct wr_pool_slot *slot = slot_of(obj);

    assert((slot->generation & 1) != 0);
    slot->generation++;
    pool->count--;
    if (WR_SHORT_WAYS && pool->hand == NULL && (!pool->spare || chunk_of(pool, slot)->used > 1))
        pool->hand = slot;
    else
        give_back(pool, slot);
}

void wr_pool_trim(struct wr_pool *pool)
{
    struct wr_pool_slot *slot;

    if (pool->count > 0)
        return;
    slot = hand_of(pool);
    pool->hand = NULL;
    if (slot != NULL)
        give_back(pool, slot);
    if (!pool->spare)
        return;
    pool->spare = false;
    free_chunk(pool, WR_CONTAINER(pool->open.next, struct chunk, link));
}
