/* SPDX-License-Identifier: MIT */
/* A bounded FIFO of frames, with its buffers kept for use again. Used by link_pipe and link_switch. */
#ifndef WEIR_LINK_FRAME_QUEUE_H
#define WEIR_LINK_FRAME_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/link.h>

struct wr_frame_buf {
    struct wr_frame_buf *next; /* among the spare ones */
    size_t cap, len;
    uint16_t gso_size;
    bool csum_valid;
    unsigned n_lent; /* spans of its end that stand where the sender has them; 0: all is here */
    struct weir_span lent[2];
    weir_time at; /* when it was put in */
    uint8_t data[];
};

/* Spare buffers are a stack, so that a short queue lives in few, warm ones. */
struct wr_frame_queue {
    struct wr_frame_buf **slot; /* ring of `cap` */
    uint32_t cap, head, count;
    struct wr_frame_buf *spare;
    struct wr_frame_buf *lent; /* the one that recv gave out last, or NULL */
    uint32_t n_lenders;        /* frames in the queue with n_lent > 0 */
};

/* False when out of memory. */
bool wr_frame_queue_init(struct wr_frame_queue *q, uint32_t cap);
void wr_frame_queue_fini(struct wr_frame_queue *q);

/* Room for one frame of `len` bytes at the end of the queue; NULL when the queue is full
 * (*full set) or memory is out. It counts as put in. */
struct wr_frame_buf *wr_frame_queue_put(struct wr_frame_queue *q, size_t len, weir_time now,
                                        bool *full);
/* The oldest frame, lent until the next call of get; NULL when there is none. */
struct wr_frame_buf *wr_frame_queue_get(struct wr_frame_queue *q);
/* Leaves the last `n` spans of a frame that was just put in, whose other bytes are in `data`, where they are. */
void wr_frame_queue_lend(struct wr_frame_queue *q, struct wr_frame_buf *buf,
                         const struct weir_span *spans, unsigned n);
/* How many bytes of a frame are elsewhere; copies them to `to`, after which they are no more. */
size_t wr_frame_lent_len(const struct wr_frame_buf *buf);
void wr_frame_fetch(struct wr_frame_buf *buf, uint8_t *to);
/* The same for all that are in the queue, to where they belong. */
void wr_frame_queue_fetch_all(struct wr_frame_queue *q);

/* When the oldest frame was put in; WEIR_TIME_NEVER for an empty queue. */
weir_time wr_frame_queue_oldest(const struct wr_frame_queue *q);

#endif
