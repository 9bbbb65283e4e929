/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/bytes.h"
#include "link/frame_queue.h"

enum { SMALLEST = 2048 };

void wr_frame_queue_init(struct wr_frame_queue *q, uint32_t cap)
{
    *q = (struct wr_frame_queue){.cap = cap};
    q->end = &q->first;
}

static void free_all(struct wr_frame_buf *buf)
{
    while (buf != NULL) {
        struct wr_frame_buf *next = buf->next;
        free(buf);
        buf = next;
    }
}

void wr_frame_queue_fini(struct wr_frame_queue *q)
{
    free_all(q->first);
    free_all(q->spare);
    free(q->lent);
    *q = (struct wr_frame_queue){0};
}

struct wr_frame_buf *wr_frame_queue_buf(struct wr_frame_queue *q, size_t len)
{
    struct wr_frame_buf *buf = q->spare;
    size_t cap = len < SMALLEST ? SMALLEST : len;

    if (buf != NULL) {
        q->spare = buf->next;
        free(buf);
    }
    buf = malloc(sizeof *buf + cap);
    if (buf != NULL)
        buf->cap = cap;
    return buf;
}

void wr_frame_queue_lend(struct wr_frame_queue *q, struct wr_frame_buf *buf,
                         const struct weir_span *spans, unsigned n)
{
    memcpy(buf->lent, spans, n * sizeof *spans);
    buf->n_lent = n;
    if (q->n_lenders++ == 0)
        q->lender = buf;
}

size_t wr_frame_lent_len(const struct wr_frame_buf *buf)
{
    return wr_spans_len(buf->lent, buf->n_lent);
}

void wr_frame_fetch(struct wr_frame_buf *buf, uint8_t *to)
{
    wr_spans_copy(to, buf->lent, buf->n_lent);
    buf->n_lent = 0;
}

void wr_frame_queue_fetch_all(struct wr_frame_queue *q)
{
    for (struct wr_frame_buf *buf = q->lender; q->n_lenders > 0; buf = buf->next) {
        if (buf->n_lent == 0)
            continue;
        wr_frame_fetch(buf, buf->data + buf->len - wr_frame_lent_len(buf));
        q->n_lenders--;
    }
}
