/* SPDX-License-Identifier: MIT */
/*
 * A treap (Seidel, Aragon 1996): a search tree by deadline which is at the same time a heap by random priorities,
 * and so has the shape that arming in random order would give it, whatever the order is.
 *
 *                root                     left < node < right   by (at, order)
 *               /    \                    prio of a node >= prio of its children
 *             ...    ...
 *             /
 *          first      the earliest: leftmost, without a left child
 *         .    \
 *
 * Everything costs O(log n) steps with a probability as good as certainty, never O(n): a million timers that are
 * armed in a row and then fire one after the other take none of their owner's calls longer than another. (A pairing
 * heap is faster on average; but after a million armings without a firing its next firing walks a million nodes.)
 *
 * Most timers of a TCP are due soon, before nearly all keepalives. So the place of a new timer is looked for from
 * `first` upwards: that takes O(log d) steps for the d timers before it. Turning the tree at a node takes two
 * steps for an arming or a cancelling on average.
 *
 * Priorities come from the number of the arming and a salt: no peer can choose them. All walks are loops.
 */
#include "base/timerq.h"

#include <assert.h>

#include "base/hint.h"

void wr_timer_init(struct wr_timer *timer, uint32_t kind)
{
    *timer = (struct wr_timer){.at = WEIR_TIME_NEVER, .kind = kind};
}

static bool due_before(const struct wr_timer *a, const struct wr_timer *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

/* Every bit depends on every bit (Steele, Lea, Flood 2014: SplitMix). */
static uint32_t priority(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(x >> 32);
}

/* The pointer that leads to a node. */
static struct wr_timer **leading_to(struct wr_timerq *q, const struct wr_timer *node)
{
    if (node->up == NULL)
        return &q->root;
    return node->up->left == node ? &node->up->left : &node->up->right;
}

/* Turns the tree so that `node` takes its parent's place; the order stays:
 *
 *         up                node                        up            node
 *        /  \              /    \                      /  \          /    \
 *     node   c    ->      a      up        and        a   node  ->  up     c
 *     /  \                      /  \                      /  \     /  \
 *    a    b                    b    c                    b    c   a    b
 */
static void turn_up(struct wr_timerq *q, struct wr_timer *node)
{
    struct wr_timer *up = node->up, *between;

    *leading_to(q, up) = node;
    node->up = up->up;
    if (up->left == node) {
        between = node->right;
        up->left = between;
        node->right = up;
    } else {
        between = node->left;
        up->right = between;
        node->left = up;
    }
    if (between != NULL)
        between->up = up;
    up->up = node;
}

/* A node below which the timer belongs. */
static struct wr_timer *start_of_search(const struct wr_timerq *q, const struct wr_timer *timer)
{
    struct wr_timer *node = q->first;

    if (!due_before(timer, q->root))
        return q->root;
    while (node->up != NULL && !due_before(timer, node->up))
        node = node->up;
    return node;
}

/* Hangs the timer into the tree as a leaf. */
static void hang(struct wr_timerq *q, struct wr_timer *timer)
{
    struct wr_timer *up = q->first, **place;

    if (up == NULL) {
        q->root = q->first = timer;
        return;
    }
    place = &up->left;
    if (due_before(timer, up)) {
        q->first = timer;
    } else {
        for (struct wr_timer *node = start_of_search(q, timer); node != NULL; node = *place) {
            up = node;
            place = due_before(timer, node) ? &node->left : &node->right;
        }
    }
    *place = timer;
    timer->up = up;
}

static struct wr_timer *after_first(const struct wr_timerq *q)
{
    struct wr_timer *node = q->first->right;

    if (node == NULL)
        return q->first->up;
    while (node->left != NULL)
        node = node->left;
    return node;
}

/* Takes an armed timer out of the tree. */
static void unlink_timer(struct wr_timerq *q, struct wr_timer *timer)
{
    struct wr_timer *below;

    if (timer == q->first)
        q->first = after_first(q);
    while (timer->left != NULL && timer->right != NULL)
        turn_up(q, timer->left->prio > timer->right->prio ? timer->left : timer->right);
    below = timer->left != NULL ? timer->left : timer->right;
    *leading_to(q, timer) = below;
    if (below != NULL)
        below->up = timer->up;
    timer->left = timer->right = timer->up = NULL;
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
    timer->prio = priority(timer->order ^ q->salt);
    hang(q, timer);
    while (timer->up != NULL && timer->prio > timer->up->prio)
        turn_up(q, timer);
    q->count++;
}

void wr_timerq_cancel(struct wr_timerq *q, struct wr_timer *timer)
{
    if (wr_timer_is_armed(timer))
        unlink_timer(q, timer);
}

/* The timer after `first` is the next but one to fire, in another object that nobody has looked at for long: its line, and
 * the one before, where many owners have the deadlines that they look at then. */
WR_INLINE void fetch_next(const struct wr_timer *first)
{
    const struct wr_timer *next = first->right != NULL ? first->right : first->up;

    if (next != NULL) {
        WR_FETCH(next);
        WR_FETCH((const void *)((uintptr_t)next - 64)); /* may be before all of the object */
    }
}

struct wr_timer *wr_timerq_pop_older(struct wr_timerq *q, weir_time now, uint64_t order)
{
    struct wr_timer *timer = q->first;

    if (timer == NULL || timer->at > now || timer->order >= order)
        return NULL;
    assert(timer->left == NULL);
    unlink_timer(q, timer);
    if (WR_SHORT_WAYS && q->first != NULL)
        fetch_next(q->first);
    return timer;
}

struct wr_timer *wr_timerq_pop(struct wr_timerq *q, weir_time now)
{
    return wr_timerq_pop_older(q, now, UINT64_MAX);
}
