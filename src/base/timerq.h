/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_TIMERQ_H
#define WR_BASE_TIMERQ_H

/*
 * The timer queue: a tree of intrusive nodes with exact nanosecond deadlines. Arming never
 * allocates, so it cannot fail. Timers of equal deadline fire in the order in which they were
 * armed. No call takes more than O(log n) steps.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/time.h"

/* One timer, a member of the object it belongs to (WR_CONTAINER of list.h finds that). */
struct wr_timer {
    weir_time at;           /* deadline; WEIR_TIME_NEVER while not armed. Read only to others. */
    uint64_t order;         /* tie breaker */
    struct wr_timer *left;  /* due before it */
    struct wr_timer *right; /* due after it */
    struct wr_timer *up;    /* the parent */
    uint32_t kind;          /* the owner's: tells what fired */
    uint32_t prio;          /* random; none below has a higher one */
};

struct wr_timerq {
    struct wr_timer *root;
    struct wr_timer *first; /* the earliest */
    uint64_t order;         /* number of the next arming */
    uint64_t salt;          /* of the priorities: to be set, if at all, before the first arming */
    size_t count;           /* armed timers */
};

/* Makes an unarmed timer. */
void wr_timer_init(struct wr_timer *timer, uint32_t kind);

static inline bool wr_timer_is_armed(const struct wr_timer *timer)
{
    return timer->at != WEIR_TIME_NEVER;
}

/* Makes an empty queue. */
static inline void wr_timerq_init(struct wr_timerq *q)
{
    q->root = q->first = NULL;
    q->order = q->salt = 0;
    q->count = 0;
}

/*
 * Arms the timer for `at`, in place of an earlier arming if any. NEVER disarms; the deadline it
 * has already changes nothing. O(log d), d: timers due before it.
 */
void wr_timerq_arm(struct wr_timerq *q, struct wr_timer *timer, weir_time at);

/* Disarms the timer; nothing when it is not armed. O(1) on average, O(log n) at worst. */
void wr_timerq_cancel(struct wr_timerq *q, struct wr_timer *timer);

/* The earliest deadline, exact; WEIR_TIME_NEVER when none is armed. O(1). */
static inline weir_time wr_timerq_next(const struct wr_timerq *q)
{
    return q->first != NULL ? q->first->at : WEIR_TIME_NEVER;
}

/* Takes out the earliest timer with at <= now, disarmed; NULL when there is none. */
struct wr_timer *wr_timerq_pop(struct wr_timerq *q, weir_time now);

/* The same; but NULL, too, when the earliest was armed at or after arming number `order`, an earlier
 * value of q->order. */
struct wr_timer *wr_timerq_pop_older(struct wr_timerq *q, weir_time now, uint64_t order);

#endif
