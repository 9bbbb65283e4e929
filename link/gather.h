/* SPDX-License-Identifier: MIT */
/*
 * Small frames that leave together, for a descriptor that takes one frame a call.
 *
 * When a round of the host has answered twenty connections there are twenty frames to write. Each is copied here, and when
 * the round ends they go by one call (batch.h), or one by one when they are few. A process on the same CPU that
 * waits for the first of them then does not run before the last is out.
 *
 * So it is not known yet what becomes of a frame when it is taken. What the descriptor has no room for stays and is written
 * again, before what came later. What fails otherwise is lost and counted.
 */
#ifndef WEIR_LINK_GATHER_H
#define WEIR_LINK_GATHER_H

#include <stdint.h>

#include "link/batch.h"

enum {
    WR_GATHER_BYTES = 1552, /* of the largest frame that is small: a segment of 1500 bytes */
    WR_GATHER_MAX = 32,     /* frames that wait */
    WR_GATHER_FEW = 2       /* so many are not worth a batch */
};

struct wr_gather {
    struct wr_batch *batch;
    unsigned n;
    unsigned lost; /* frames, for the owner to count and to set to 0 */
    int error;     /* negative errno of the last that was lost */
    uint16_t len[WR_GATHER_MAX];
    uint8_t frame[WR_GATHER_MAX][WR_GATHER_BYTES];
};

static inline void wr_gather_init(struct wr_gather *gather, struct wr_batch *batch)
{
    gather->batch = batch;
    gather->n = gather->lost = 0;
    gather->error = 0;
}

static inline bool wr_gather_is_full(const struct wr_gather *gather)
{
    return gather->n == WR_GATHER_MAX;
}

/* Where the next frame's WR_GATHER_BYTES or less are to be put before wr_gather_add(). It is not full. */
static inline uint8_t *wr_gather_room(struct wr_gather *gather)
{
    return gather->frame[gather->n];
}

/* Has the frame wait that was put into the room. */
static inline void wr_gather_add(struct wr_gather *gather, size_t len)
{
    gather->len[gather->n++] = (uint16_t)len;
}

/* Writes all that wait, in order. True when none waits any more. */
bool wr_gather_write(struct wr_gather *gather);

#endif
