/* SPDX-License-Identifier: MIT */
/*
 * The bytes stand in one array, from `head` on, around its end:
 *
 *      0        head                 cap              head = 5, len = 6, cap = 8:
 *      |---------|####################|               [ 3 4 5 . . 0 1 2 ]
 *
 * Capacities need not be powers of two, so wrapping is a comparison. Growing copies all that lies
 * within `extent`, early bytes and the holes between them alike, to the start of a new array.
 *
 * Storage goes back to the allocator whenever nothing is left, and comes back at the largest size
 * that the last busy period needed: a connection that streams does not climb from the first size
 * each time, and one that fell silent holds nothing.
 */
#include "base/ring.h"

#include <assert.h>

#include "base/hint.h"
#include "base/mem.h"

/* Frames differ a little in length. What the ring comes back at does not, so that a block of that size may have been kept. */
enum { ROOM_STEP = 64 << 10 };

void wr_ring_init(struct wr_ring *ring, uint32_t limit)
{
    memset(ring, 0, sizeof *ring);
    ring->limit = limit;
}

static void release(struct wr_ring *ring, const struct weir_allocator *alloc)
{
    wr_mem_free(alloc, ring->buf, ring->cap);
    ring->buf = NULL;
    ring->cap = ring->head = ring->len = ring->extent = 0;
    ring->at_limit = 0;
}

/* Limits are below 2 GB. */
static void note_peak(struct wr_ring *ring, size_t extent)
{
    if (ring->peak < extent)
        ring->peak = extent & INT32_MAX;
}

void wr_ring_fini(struct wr_ring *ring, const struct weir_allocator *alloc)
{
    release(ring, alloc);
    ring->peak = 0;
}

/* Index in the array of offset `off` <= cap from the head. */
static size_t index_of(const struct wr_ring *ring, size_t off)
{
    size_t i = ring->head + off;
    return i < ring->cap ? i : i - ring->cap;
}

/* The two pieces of [off, off + len) in the array; the second may be empty. */
static void pieces(const struct wr_ring *ring, size_t off, size_t len, struct weir_span out[2])
{
    size_t at = index_of(ring, off), first = ring->cap - at;

    if (first > len)
        first = len;
    out[0].ptr = ring->buf + at;
    out[0].len = first;
    out[1].ptr = ring->buf;
    out[1].len = len - first;
}

/* Moves everything to an array of `cap` bytes. */
static bool reallocate(struct wr_ring *ring, const struct weir_allocator *alloc, size_t cap)
{
    uint8_t *buf = wr_mem_alloc(alloc, cap);
    struct weir_span old[2];

    if (buf == NULL)
        return false;
    if (ring->buf != NULL) {
        pieces(ring, 0, ring->extent, old);
        wr_spans_copy(buf, old, 2);
        wr_mem_free(alloc, ring->buf, ring->cap);
    }
    ring->buf = buf;
    ring->cap = (uint32_t)cap;
    ring->head = 0;
    return true;
}

/* Makes room for `need` bytes from the head, need <= limit: the array may only grow. */
static void reserve(struct wr_ring *ring, const struct weir_allocator *alloc, size_t need)
{
    size_t cap = ring->buf != NULL ? (size_t)ring->cap * 2 : ring->peak;

    if (need <= ring->cap)
        return;
    if (cap < WR_RING_FIRST)
        cap = WR_RING_FIRST;
    bool cut = cap > ring->limit;
    if (cut)
        cap = ring->limit;
    if (cut && ring->at_limit && cap < ring->cap + (size_t)ring->cap / 4)
        cap = ring->cap + (size_t)ring->cap / 4; /* the limit creeps up */
    if (cap < need)
        cap = need;
    ring->at_limit = cut ? 1u : 0u;
    if (ring->buf == NULL)
        ring->peak = 0;
    if (!reallocate(ring, alloc, cap) && cap > need)
        (void)reallocate(ring, alloc, need);
}

size_t wr_ring_write_at(struct wr_ring *ring, const struct weir_allocator *alloc, size_t off,
                        const void *data, size_t len)
{
    size_t at, first;

    assert(off >= ring->len);
    if (len == 0 || off >= ring->limit)
        return 0;
    if (len > ring->limit - off)
        len = ring->limit - off;
    if (off + len > ring->cap)
        reserve(ring, alloc, off + len);
    if (off >= ring->cap)
        return 0;
    assert(ring->buf != NULL);
    if (len > ring->cap - off)
        len = ring->cap - off;

    at = index_of(ring, off);
    first = ring->cap - at < len ? ring->cap - at : len;
    if (data != ring->buf + at)
        memcpy(ring->buf + at, data, first);
    wr_bytes_copy(ring->buf, (const uint8_t *)data + first, len - first);
    if (ring->extent < off + len)
        ring->extent = (uint32_t)(off + len);
    note_peak(ring, ring->extent);
    return len;
}

/* The first bytes, few as in most exchanges. False: by the long way. */
static bool write_first(struct wr_ring *ring, const struct weir_allocator *alloc, const void *data,
                        size_t len)
{
    uint8_t *buf;

    if (len - 1 >= WR_RING_FIRST || ring->peak > WR_RING_FIRST || ring->limit < WR_RING_FIRST)
        return false;
    buf = wr_mem_alloc(alloc, WR_RING_FIRST);
    if (buf == NULL)
        return false;
    ring->buf = buf;
    ring->cap = WR_RING_FIRST;
    ring->len = ring->extent = (uint32_t)len;
    note_peak(ring, len);
    if (len == 1) /* as in an exchange of single bytes */
        *buf = *(const uint8_t *)data;
    else
        memcpy(buf, data, len);
    return true;
}

size_t wr_ring_write(struct wr_ring *ring, const struct weir_allocator *alloc, const void *data,
                     size_t len)
{
    assert(ring->extent == ring->len);
    if (WR_SHORT_WAYS && ring->buf == NULL && write_first(ring, alloc, data, len))
        return len;
    len = wr_ring_write_at(ring, alloc, ring->len, data, len);
    ring->len += (uint32_t)len;
    return len;
}

uint8_t *wr_ring_room(struct wr_ring *ring, const struct weir_allocator *alloc, size_t need)
{
    if (ring->extent != ring->len || wr_ring_space(ring) < need)
        return NULL;
    size_t most = ring->len + need;
    if (most > ring->cap)
        reserve(ring, alloc, most);
    if (ring->buf != NULL && ring->peak < most) {
        size_t even = (most + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
        note_peak(ring, even < ring->limit ? even : most);
    }
    if (ring->cap - ring->len < need || ring->cap - index_of(ring, ring->len) < need)
        return NULL;
    return ring->buf + index_of(ring, ring->len);
}

bool wr_ring_is_room(const struct wr_ring *ring, const uint8_t *data, size_t len)
{
    return ring->buf != NULL && ring->extent == ring->len && ring->cap - ring->len >= len &&
           ring->cap - index_of(ring, ring->len) >= len &&
           data == ring->buf + index_of(ring, ring->len);
}

void wr_ring_commit(struct wr_ring *ring, size_t len)
{
    assert(len <= ring->extent - ring->len);
    ring->len += (uint32_t)len;
}

size_t wr_ring_lend(struct wr_ring *ring, const struct weir_allocator *alloc, size_t len,
                    struct weir_piece out[2])
{
    assert(ring->extent == ring->len);
    out[0] = out[1] = (struct weir_piece){NULL, 0};
    if (len > wr_ring_space(ring))
        len = wr_ring_space(ring);
    if (len > 0)
        reserve(ring, alloc, ring->len + len);
    if (len > wr_ring_spare(ring))
        len = wr_ring_spare(ring);
    if (len == 0)
        return 0;
    size_t at = index_of(ring, ring->len), first = ring->cap - at < len ? ring->cap - at : len;
    out[0] = (struct weir_piece){ring->buf + at, first};
    out[1] = (struct weir_piece){ring->buf, len - first};
    return len;
}

void wr_ring_return(struct wr_ring *ring, const struct weir_allocator *alloc, size_t len)
{
    assert(ring->extent == ring->len && len <= wr_ring_spare(ring));
    ring->len += (uint32_t)len;
    ring->extent = ring->len;
    note_peak(ring, ring->extent);
    if (ring->extent == 0)
        release(ring, alloc);
}

void wr_ring_forget_beyond(struct wr_ring *ring, const struct weir_allocator *alloc)
{
    ring->extent = ring->len;
    if (ring->extent == 0)
        release(ring, alloc);
}

size_t wr_ring_peek(const struct wr_ring *ring, size_t off, size_t len, struct weir_span out[2])
{
    if (off >= ring->len || len == 0)
        return 0;
    if (len > ring->len - off)
        len = ring->len - off;
    if (ring->head + off + len <= ring->cap) {
        out[0] = (struct weir_span){ring->buf + ring->head + off, len};
        return 1;
    }
    pieces(ring, off, len, out);
    return out[1].len > 0 ? 2 : 1;
}

size_t wr_ring_copy(const struct wr_ring *ring, size_t off, void *dst, size_t len)
{
    struct weir_span from[2];

    if (off + len <= ring->len && ring->head + off + len <= ring->cap) { /* in one piece */
        wr_bytes_copy(dst, ring->buf + ring->head + off, len);
        return len;
    }
    return wr_spans_copy(dst, from, wr_ring_peek(ring, off, len, from));
}

size_t wr_ring_drop(struct wr_ring *ring, const struct weir_allocator *alloc, size_t len)
{
    if (len > ring->len)
        len = ring->len;
    if (len == 0)
        return 0;
    if (len == ring->extent) {
        release(ring, alloc);
        return len;
    }
    ring->head = (uint32_t)index_of(ring, len);
    ring->len -= (uint32_t)len;
    ring->extent -= (uint32_t)len;
    return len;
}

size_t wr_ring_read(struct wr_ring *ring, const struct weir_allocator *alloc, void *dst, size_t len)
{
    return wr_ring_drop(ring, alloc, wr_ring_copy(ring, 0, dst, len));
}
