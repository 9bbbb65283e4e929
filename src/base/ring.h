/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_RING_H
#define WR_BASE_RING_H

/*
 * A byte ring: the stream bytes of one direction of one connection. It holds no memory while empty,
 * grows by re-allocation up to its limit, and may hold bytes beyond its tail (data received out of
 * order), which become readable by wr_ring_commit.
 *
 *      head             tail = head + len           head + extent
 *       |  readable      |  holes and early bytes    |
 *       +----------------+----------....-------------+
 *
 * All offsets count from the head. The allocator is passed to each call that may allocate or free,
 * and must be the same one for the life of the ring.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "weir/alloc.h"

/* Bytes that a ring takes first. */
#ifdef WEIR_HARD
#    define WR_RING_FIRST 7u
#else
#    define WR_RING_FIRST 2048u
#endif

struct wr_ring {
    uint8_t *buf;          /* cap bytes, NULL when cap is 0 */
    uint32_t cap;          /* bytes allocated */
    uint32_t head;         /* index of the first readable byte */
    uint32_t len;          /* readable bytes */
    uint32_t extent;       /* bytes from head to the end of the last byte held, >= len */
    uint32_t limit;        /* most bytes from head that it will hold */
    uint32_t peak : 31;    /* largest extent since it was last empty: the next first capacity */
    uint32_t at_limit : 1; /* the limit of then decided cap, not the need to double */
};

/* Makes an empty ring that holds at most `limit` bytes. Allocates nothing. */
void wr_ring_init(struct wr_ring *ring, uint32_t limit);

/* Drops everything and frees the storage. */
void wr_ring_fini(struct wr_ring *ring, const struct weir_allocator *alloc);

/*
 * Changes the limit. What is held stays, even beyond a smaller limit. A limit that rises in small
 * steps while the ring is full costs no copy a step: the storage may pass it by a quarter then.
 */
static inline void wr_ring_set_limit(struct wr_ring *ring, uint32_t limit)
{
    ring->limit = limit;
}

/* Bytes that a write could take before the limit. */
static inline uint32_t wr_ring_space(const struct wr_ring *ring)
{
    return ring->len < ring->limit ? ring->limit - ring->len : 0;
}

/*
 * Appends up to `len` bytes behind the tail and returns how many it took: fewer at the limit, or
 * when out of memory as many as fit what is allocated. May not be used while bytes lie beyond the
 * tail. Bytes that stand in wr_ring_room() already are not copied.
 */
size_t wr_ring_write(struct wr_ring *ring, const struct weir_allocator *alloc, const void *data,
                     size_t len);

/*
 * Stores bytes at offset `off` >= len from the head without making them readable, and returns how
 * many it took: from the front, fewer at the limit, fewer or none when out of memory.
 */
size_t wr_ring_write_at(struct wr_ring *ring, const struct weir_allocator *alloc, size_t off,
                        const void *data, size_t len);

/*
 * Room for `need` bytes behind the tail, in one piece, for somebody to fill in before wr_ring_write() finds them there.
 * NULL: the limit, memory, or the array's end is in the way, or bytes lie beyond the tail. Valid until the next call
 * that changes the ring.
 */
uint8_t *wr_ring_room(struct wr_ring *ring, const struct weir_allocator *alloc, size_t need);
/* Is `data` the room behind the tail, for at least `len` bytes? */
bool wr_ring_is_room(const struct wr_ring *ring, const uint8_t *data, size_t len);

/*
 * Makes `len` bytes behind the tail readable; the caller knows that write_at has filled them all.
 */
void wr_ring_commit(struct wr_ring *ring, size_t len);

/*
 * Lends room behind the tail for up to `len` bytes, in two pieces of which the second may be empty; returns
 * how many: fewer at the limit, fewer or none when out of memory. Valid until the next call that changes the
 * ring. May not be used while bytes lie beyond the tail.
 */
size_t wr_ring_lend(struct wr_ring *ring, const struct weir_allocator *alloc, size_t len,
                    struct weir_piece out[2]);

/* Makes the first `len` bytes of what was lent readable, and takes the rest back. */
void wr_ring_return(struct wr_ring *ring, const struct weir_allocator *alloc, size_t len);

/* What may be lent without another allocation, and what may be returned. */
static inline size_t wr_ring_spare(const struct wr_ring *ring)
{
    return ring->cap - ring->len;
}

/* Forgets all bytes beyond the tail (out-of-order data that is given up). */
void wr_ring_forget_beyond(struct wr_ring *ring, const struct weir_allocator *alloc);

/*
 * Lends up to `len` readable bytes from offset `off` as 0, 1 or 2 spans, and returns how many
 * spans. They are valid until the next call that changes the ring.
 */
size_t wr_ring_peek(const struct wr_ring *ring, size_t off, size_t len, struct weir_span out[2]);

/*
 * Copies up to `len` readable bytes from offset `off` to dst, without taking them; returns how
 * many.
 */
size_t wr_ring_copy(const struct wr_ring *ring, size_t off, void *dst, size_t len);

/* Takes up to `len` bytes from the head into dst; returns how many. */
size_t wr_ring_read(struct wr_ring *ring, const struct weir_allocator *alloc, void *dst,
                    size_t len);

/*
 * Drops up to `len` bytes from the head; returns how many. The storage is freed when none are left.
 */
size_t wr_ring_drop(struct wr_ring *ring, const struct weir_allocator *alloc, size_t len);

#endif
