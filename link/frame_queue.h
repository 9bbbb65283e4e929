/* SPDX-License-Identifier: MIT */
/* A bounded FIFO of frames, with its buffers kept for use again. Used by link_pipe and link_switch. */
#ifndef WEIR_LINK_FRAME_QUEUE_H
#define WEIR_LINK_FRAME_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/link.h>

struct wr_frame_buf {
    struct wr_frame_buf *next; /* behind it in the queue, or among the spare ones */
    size_t cap, len;
    uint16_t gso_size; /* this and the next are set by who puts it in, if they are read */
    bool csum_valid;
    unsigned n_lent; /* spans of its end that stand where the sender has them; 0: all is here */
    struct weir_span lent[2];
    weir_time at; /* when it was put in */
    uint8_t data[];
};

/* Spare buffers are a stack, so that a short queue lives in few, warm ones. */
struct wr_frame_queue {
    struct wr_frame_buf *first, **end; /* end: where the next is linked to */
    uint32_t cap, count;
    struct wr_frame_buf *spare;
    struct wr_frame_buf *lent;   /* the one that recv gave out last, or NULL */
    uint32_t n_lenders;          /* frames in the queue with n_lent > 0 */
    struct wr_frame_buf *lender; /* if there is one: in the queue, not behind the first of them */
};

/* Empty; it must not move from now on. */
void wr_frame_queue_init(struct wr_frame_queue *q, uint32_t cap);
void wr_frame_queue_fini(struct wr_frame_queue *q);
/* A new buffer in place of the spare one that is too small, if there is one. NULL: memory is out. */
__attribute__((cold)) struct wr_frame_buf *wr_frame_queue_buf(struct wr_frame_queue *q, size_t len);

/* Room for one frame of `len` bytes at the end of the queue; NULL when the queue is full
 * (*full set) or memory is out. It counts as put in. */
static inline struct wr_frame_buf *wr_frame_queue_put(struct wr_frame_queue *q, size_t len,
                                                      weir_time now, bool *full)
{
    struct wr_frame_buf *buf = q->spare;

    *full = q->count == q->cap;
    if (*full)
        return NULL;
    if (buf != NULL && buf->cap >= len) {
        q->spare = buf->next;
    } else {
        buf = wr_frame_queue_buf(q, len);
        if (buf == NULL)
            return NULL;
    }
    buf->next = NULL;
    buf->len = len;
    buf->n_lent = 0;
    buf->at = now;
    *q->end = buf;
    q->end = &buf->next;
    q->count++;
    return buf;
}

/* The oldest frame, lent until the next call of get; NULL when there is none. */
static inline struct wr_frame_buf *wr_frame_queue_get(struct wr_frame_queue *q)
{
    struct wr_frame_buf *buf = q->first;

    if (q->lent != NULL) {
        q->lent->next = q->spare;
        q->spare = q->lent;
    }
    q->lent = buf;
    if (buf == NULL)
        return NULL;
    q->first = buf->next;
    if (q->first == NULL)
        q->end = &q->first;
    q->count--;
    if (buf->n_lent > 0)
        q->n_lenders--;
    if (q->lender == buf)
        q->lender = q->first;
    return buf;
}

/* Leaves the last `n` spans of a frame that was just put in, whose other bytes are in `data`, where they are. */
void wr_frame_queue_lend(struct wr_frame_queue *q, struct wr_frame_buf *buf,
                         const struct weir_span *spans, unsigned n);
/* How many bytes of a frame are elsewhere; copies them to `to`, after which they are no more. */
size_t wr_frame_lent_len(const struct wr_frame_buf *buf);
void wr_frame_fetch(struct wr_frame_buf *buf, uint8_t *to);
/* The same for all that are in the queue, to where they belong. */
void wr_frame_queue_fetch_all(struct wr_frame_queue *q);

/* When the oldest frame was put in; WEIR_TIME_NEVER for an empty queue. */
static inline weir_time wr_frame_queue_oldest(const struct wr_frame_queue *q)
{
    return q->first != NULL ? q->first->at : WEIR_TIME_NEVER;
}

#endif
