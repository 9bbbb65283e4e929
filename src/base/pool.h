/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_POOL_H
#define WR_BASE_POOL_H

/*
 * A bounded pool of objects of one size, named from outside by handles: slot in the low 32 bits,
 * generation in the high 32 bits. A slot's generation changes each time it is given back, so a
 * stale handle finds nothing. Objects never move. No handle is 0. Memory that holds no object goes back
 * to the allocator.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "weir/alloc.h"

struct wr_pool_slot;

struct wr_pool {
    const struct weir_allocator *alloc;
    uintptr_t *chunks;         /* directory: a chunk, or where there is none the next such place */
    uint32_t n_chunks;         /* places of the directory in use, empty ones too */
    uint32_t dir_cap;          /* room in the directory */
    uint32_t no_chunk;         /* first place without a chunk; UINT32_MAX ends the list */
    uint32_t obj_size;         /* as asked for */
    uint32_t stride;           /* bytes from one object to the next */
    uint32_t n_slots;          /* slots are 0 .. n_slots-1 */
    uint32_t max;              /* objects at most */
    uint32_t count;            /* objects in use */
    uint32_t generation;       /* highest of any slot whose chunk was given back */
    bool spare;                /* one chunk without objects is kept */
    bool in_lines;             /* wr_pool_in_lines() */
    struct wr_list open;       /* chunks with a free slot, the one used last first */
    struct wr_pool_slot *hand; /* one that was given back, and is taken next; or NULL */
};

/*
 * Makes an empty pool for at most `max` (< 2^32 - 1) objects of `obj_size` bytes. Allocates
 * nothing.
 */
void wr_pool_init(struct wr_pool *pool, const struct weir_allocator *alloc, uint32_t obj_size,
                  uint32_t max);

/* Of a pool that was just made: each slot begins with a line of the cache, the object 8 bytes behind; where slots are of an
 * even number of lines with one of a pair, which many processors fetch together. */
void wr_pool_in_lines(struct wr_pool *pool);

/* Gives back what is kept for the next object while there is none. */
void wr_pool_trim(struct wr_pool *pool);

/* Frees all memory, that of objects in use too. */
void wr_pool_fini(struct wr_pool *pool);

/* Gives a zeroed object: its handle, and its address in *obj. 0 when at `max` or out of memory. */
uint64_t wr_pool_alloc(struct wr_pool *pool, void **obj);

/* The object of a handle, NULL when the handle is stale, 0 or made up. O(1). */
void *wr_pool_find(const struct wr_pool *pool, uint64_t handle);

/* The handle of an object in use. O(1). */
uint64_t wr_pool_handle(const struct wr_pool *pool, const void *obj);

/* Gives the object back; its handle is stale then. The object must be in use. O(1). */
void wr_pool_free(struct wr_pool *pool, void *obj);

/* The object in use at this slot, or NULL: `for (i = 0; i < pool->n_slots; i++)` visits all. */
void *wr_pool_at(const struct wr_pool *pool, uint32_t slot);

#endif
