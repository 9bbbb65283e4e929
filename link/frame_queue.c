/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/bytes.h"
#include "link/frame_queue.h"

enum { SMALLEST = 2048 };

bool wr_frame_queue_init(struct wr_frame_queue *q, uint32_t cap)
{
    *q = (struct wr_frame_queue){.cap = cap};
    q->slot = calloc(cap, sizeof(struct wr_frame_buf *));
    return q->slot != NULL;
}

/* Of the n-th frame, n <= cap. */
static uint32_t place(const struct wr_frame_queue *q, uint32_t n)
{
    uint32_t i = q->head + n;
    return i < q->cap ? i : i - q->cap;
}

static void give_back(struct wr_frame_queue *q, struct wr_frame_buf *buf)
{
    buf->next = q->spare;
    q->spare = buf;
}

void wr_frame_queue_fini(struct wr_frame_queue *q)
{
    for (; q->count > 0; q->count--, q->head = (q->head + 1) % q->cap)
        free(q->slot[q->head]);
    while (q->spare) {
        struct wr_frame_buf *next = q->spare->next;
        free(q->spare);
        q->spare = next;
    }
    free(q->lent);
    free(q->slot);
    *q = (struct wr_frame_queue){0};
}

/* The top spare buffer if it is large enough, else a new one in its place. */
static struct wr_frame_buf *take(struct wr_frame_queue *q, size_t len)
{
    struct wr_frame_buf *buf = q->spare;
    size_t cap = len < SMALLEST ? SMALLEST : len;
    if (buf) {
        q->spare = buf->next;
        if (buf->cap >= len)
            return buf;
        free(buf);
    }
    buf = malloc(sizeof *buf + cap);
    if (buf)
        buf->cap = cap;
    return buf;
}

struct wr_frame_buf *wr_frame_queue_put(struct wr_frame_queue *q, size_t len, weir_time now,
                                        bool *full)
{
    *full = q->count == q->cap;
    struct wr_frame_buf *buf = *full ? NULL : take(q, len);
    if (!buf)
        return NULL;
    buf->len = len;
    buf->gso_size = 0;
    buf->csum_valid = false;
    buf->n_lent = 0;
    buf->at = now;
    q->slot[place(q, q->count)] = buf;
    q->count++;
    return buf;
}

struct wr_frame_buf *wr_frame_queue_get(struct wr_frame_queue *q)
{
    if (q->lent)
        give_back(q, q->lent);
    q->lent = NULL;
    if (q->count == 0)
        return NULL;
    q->lent = q->slot[q->head];
    q->head = place(q, 1);
    q->count--;
    if (q->lent->n_lent > 0)
        q->n_lenders--;
    return q->lent;
}

void wr_frame_queue_lend(struct wr_frame_queue *q, struct wr_frame_buf *buf,
                         const struct weir_span *spans, unsigned n)
{
    memcpy(buf->lent, spans, n * sizeof *spans);
    buf->n_lent = n;
    q->n_lenders++;
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
    for (uint32_t i = q->count; q->n_lenders > 0; i--) { /* the newest are those that are lent */
        struct wr_frame_buf *buf = q->slot[place(q, i - 1)];
        if (buf->n_lent == 0)
            continue;
        wr_frame_fetch(buf, buf->data + buf->len - wr_frame_lent_len(buf));
        q->n_lenders--;
    }
}

weir_time wr_frame_queue_oldest(const struct wr_frame_queue *q)
{
    return q->count ? q->slot[q->head]->at : WEIR_TIME_NEVER;
}
