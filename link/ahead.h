/* SPDX-License-Identifier: MIT */
/*
 * Reading ahead on a descriptor that has one frame a call, as TUN has it.
 *
 * Frames are read one by one, each lent from the same memory, which stays in the cache. When several small ones are there
 * at a time, as one segment a frame or many connections make them, more are read by one call (batch.h), twice as many as
 * the call before brought; and when that brings few, one by one again.
 *
 *     asked for   1  1  1  1  1  1  1  1  16        16        16 (5: then it was empty)   10 (2)   1 ...
 *     lent        a  b  c  d  e  f  g  h  i j k ..
 *
 * A frame that is not small ends it, too: who sends such ones sends fewer. Memory is taken when it begins: address space for
 * so many frames of any size, of which what small ones need is touched.
 */
#ifndef WEIR_LINK_AHEAD_H
#define WEIR_LINK_AHEAD_H

#include <stdint.h>

#include "link/batch.h"

enum {
    WR_AHEAD_MAX = 16,     /* frames of one call */
    WR_AHEAD_FEW = 3,      /* so many of one call are not worth it */
    WR_AHEAD_SMALL = 2000, /* bytes */
    WR_AHEAD_AFTER = 8     /* so many small frames in a row, and it begins */
};

struct wr_ahead {
    struct wr_batch *batch;
    uint8_t *one, *slots; /* for one frame by itself; for those of a batch, NULL at first */
    size_t pad, cap;      /* bytes left free before a frame; of the longest one */
    unsigned row;         /* small frames in a row */
    unsigned ask;         /* so many the next time; 0: one */
    unsigned next, n;     /* of the last batch: the next to look at, all that were asked for */
    bool empty;           /* nothing was left behind the batch */
    ssize_t len[WR_AHEAD_MAX];
};

/* Of the descriptor of `batch`, which stays the caller's as `one` does: pad + cap bytes. */
void wr_ahead_init(struct wr_ahead *ahead, struct wr_batch *batch, uint8_t *one, size_t pad,
                   size_t cap);
void wr_ahead_end(struct wr_ahead *ahead);

/* The next frame, at *data and lent until the next call: its length; 0 when there is none, or a negative errno. */
ssize_t wr_ahead_read(struct wr_ahead *ahead, uint8_t **data);

/* Whether it has frames to lend, without a system call. */
static inline bool wr_ahead_has(const struct wr_ahead *ahead)
{
    return ahead->next < ahead->n;
}

/* Whether frames come by wr_ahead_read() as well as they could. If not, the caller may read one as it likes, and say here
 * how long it was. */
static inline bool wr_ahead_is_on(const struct wr_ahead *ahead)
{
    return ahead->ask > 0 || wr_ahead_has(ahead);
}

/* Notes that a frame of so many bytes was read by itself, or that there was none. */
static inline void wr_ahead_note(struct wr_ahead *ahead, ssize_t len)
{
    ahead->row = len > 0 && len <= WR_AHEAD_SMALL ? ahead->row + 1 : 0;
    if (ahead->row >= WR_AHEAD_AFTER && !ahead->batch->refused)
        ahead->ask = WR_AHEAD_MAX;
}

/* Something was sent meanwhile: what is read next may be the answer to that, so it was not there with what came before. */
static inline void wr_ahead_note_sent(struct wr_ahead *ahead)
{
    ahead->row = 0;
}

#endif
