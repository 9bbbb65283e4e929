/* SPDX-License-Identifier: MIT */
/*
 * A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986): a tree in which no node is due before
 * its parent, kept as first child and next sibling.
 *
 *     root (earliest)
 *       |
 *     child - next - next ...      each with children of its own
 *
 * Two heaps are linked by making the later root the first child of the earlier one: that is arming.
 * Taking a node out leaves a row of its children, which are linked in pairs from the left, then the
 * pairs from the right; this row is what costs the amortised O(log n). A timer that is armed and
 * cancelled before anything fires, as nearly all of a TCP's timers are, is a leaf, and leaving
 * costs O(1).
 *
 * All walks are loops, so the depth of the tree needs no stack.
 */
#include "base/heap.h"

#include <assert.h>

static bool due_before(const struct wr_timer *a, const struct wr_timer *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

/* Links two roots without siblings; returns the earlier one. Either may be NULL. */
static struct wr_timer *link_roots(struct wr_timer *a, struct wr_timer *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (due_before(b, a)) {
        struct wr_timer *t = a;
        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child != NULL)
        a->child->prev = b;
    a->child = b;
    return a;
}

/* Makes one heap of a row of siblings; returns its root. */
static struct wr_timer *link_row(struct wr_timer *row)
{
    struct wr_timer *pairs = NULL, *root = NULL;

    while (row != NULL) {
        struct wr_timer *a = row, *b = row->next;
        row = b != NULL ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b != NULL)
            b->next = b->prev = NULL;
        a = link_roots(a, b);
        a->next = pairs; /* a stack: the last pair comes first */
        pairs = a;
    }
    while (pairs != NULL) {
        struct wr_timer *a = pairs;
        pairs = a->next;
        a->next = NULL;
        root = link_roots(root, a);
    }
    return root;
}

/* Takes an armed timer out of the tree. */
static void unlink_timer(struct wr_timerq *q, struct wr_timer *timer)
{
    struct wr_timer *below = link_row(timer->child);

    if (timer == q->root) {
        q->root = below;
    } else {
        if (timer->prev->child == timer)
            timer->prev->child = timer->next;
        else
            timer->prev->next = timer->next;
        if (timer->next != NULL)
            timer->next->prev = timer->prev;
        q->root = link_roots(q->root, below);
    }
    timer->child = timer->next = timer->prev = NULL;
    timer->at = WEIR_TIME_NEVER;
    q->count--;
}

void wr_timerq_arm(struct wr_timerq *q, struct wr_timer *timer, weir_time at)
{
    if (timer->at == at)
        return;
    if (wr_timer_is_armed(timer))
        unlink_timer(q, timer);
    if (at == WEIR_TIME_NEVER)
        return;
    timer->at = at;
    timer->order = q->order++;
    q->root = link_roots(q->root, timer);
    q->count++;
}

void wr_timerq_cancel(struct wr_timerq *q, struct wr_timer *timer)
{
    if (wr_timer_is_armed(timer))
        unlink_timer(q, timer);
}

struct wr_timer *wr_timerq_pop_older(struct wr_timerq *q, weir_time now, uint64_t order)
{
    struct wr_timer *timer = q->root;

    if (timer == NULL || timer->at > now || timer->order >= order)
        return NULL;
    assert(timer->prev == NULL && timer->next == NULL);
    unlink_timer(q, timer);
    return timer;
}

struct wr_timer *wr_timerq_pop(struct wr_timerq *q, weir_time now)
{
    return wr_timerq_pop_older(q, now, UINT64_MAX);
}
