/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_HEAP_H
#define WR_BASE_HEAP_H

/*
 * The timer queue: a pairing heap of intrusive nodes with exact nanosecond deadlines. Arming never
 * allocates, so it cannot fail. Timers of equal deadline fire in the order in which they were
 * armed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/time.h"

/* One timer, a member of the object it belongs to (WR_CONTAINER of list.h finds that). */
struct wr_timer {
    weir_time at;           /* deadline; WEIR_TIME_NEVER while not armed. Read only to others. */
    uint64_t order;         /* tie breaker */
    struct wr_timer *child; /* first of the children, none of which is due earlier */
    struct wr_timer *next;  /* next sibling */
    struct wr_timer *prev;  /* previous sibling, or the parent of a first child */
    uint32_t kind;          /* the owner's: tells what fired */
};

struct wr_timerq {
    struct wr_timer *root;
    uint64_t order; /* number of the next arming */
    size_t count;   /* armed timers */
};

/* Makes an unarmed timer. */
static inline void wr_timer_init(struct wr_timer *timer, uint32_t kind)
{
    timer->at = WEIR_TIME_NEVER;
    timer->order = 0;
    timer->child = timer->next = timer->prev = NULL;
    timer->kind = kind;
}

static inline bool wr_timer_is_armed(const struct wr_timer *timer)
{
    return timer->at != WEIR_TIME_NEVER;
}

/* Makes an empty queue. */
static inline void wr_timerq_init(struct wr_timerq *q)
{
    q->root = NULL;
    q->order = 0;
    q->count = 0;
}

/*
 * Arms the timer for `at`, in place of an earlier arming if any. NEVER disarms; the deadline it
 * has already changes nothing. O(1) from unarmed.
 */
void wr_timerq_arm(struct wr_timerq *q, struct wr_timer *timer, weir_time at);

/* Disarms the timer; nothing when it is not armed. Amortised O(log n). */
void wr_timerq_cancel(struct wr_timerq *q, struct wr_timer *timer);

/* The earliest deadline, exact; WEIR_TIME_NEVER when none is armed. O(1). */
static inline weir_time wr_timerq_next(const struct wr_timerq *q)
{
    return q->root != NULL ? q->root->at : WEIR_TIME_NEVER;
}

/* Takes out the earliest timer with at <= now, disarmed; NULL when there is none. */
struct wr_timer *wr_timerq_pop(struct wr_timerq *q, weir_time now);

/* The same; but NULL, too, when the earliest was armed at or after arming number `order`, an earlier
 * value of q->order. */
struct wr_timer *wr_timerq_pop_older(struct wr_timerq *q, weir_time now, uint64_t order);

#endif
