/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_RANGES_H
#define WR_BASE_RANGES_H

/*
 * An ordered set of disjoint ranges [start, end) of 32-bit sequence numbers: what a receiver holds
 * out of order, or what a sender knows to be received (SACK). Ranges that touch are one. All
 * numbers in a set at one time must lie within 2^31 of each other; the window moves on by
 * wr_ranges_remove_below.
 *
 * Beside the order by sequence number the set keeps the order of last change, so that a receiver
 * can report the most recently changed blocks first (RFC 2018 4).
 *
 * An AVL tree in one array of index-linked nodes: O(log n) per operation whatever a peer sends, no
 * memory while empty, and a cap on nodes beyond which an insert that needs one more fails.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/alloc.h"

struct wr_range {
    uint32_t start, end; /* [start, end) */
};

struct wr_range_node;

struct wr_ranges {
    struct wr_range_node *nodes; /* cap of them, index 0 unused (nil); NULL while empty */
    uint32_t cap;                /* nodes allocated, with the nil node */
    uint32_t max;                /* ranges at most */
    uint32_t count;              /* ranges held */
    uint32_t bytes;              /* sum of their lengths */
    uint32_t root, free;         /* tree; list of unused nodes */
    uint32_t newest, oldest;     /* ends of the list by time of last change */
};

/* Makes an empty set of at most `max` ranges. Allocates nothing. */
void wr_ranges_init(struct wr_ranges *set, uint32_t max);

/* Removes all ranges and frees the memory; the set is empty and usable. */
void wr_ranges_clear(struct wr_ranges *set, const struct weir_allocator *alloc);

/*
 * Adds [start, end), start before end, merging with all that it overlaps or touches; the result
 * becomes the most recent. 0, or -ENOBUFS when it would be one range more than `max`, or -ENOMEM;
 * the set is unchanged then. The growth of `bytes` tells how many of them are new.
 */
int wr_ranges_insert(struct wr_ranges *set, const struct weir_allocator *alloc, uint32_t start,
                     uint32_t end);

/* Removes everything before `seq`, cutting a range that contains it. */
void wr_ranges_remove_below(struct wr_ranges *set, const struct weir_allocator *alloc,
                            uint32_t seq);

/* Removes everything from `seq` on, cutting a range that contains it (a window that was shrunk). */
void wr_ranges_remove_from(struct wr_ranges *set, const struct weir_allocator *alloc, uint32_t seq);

/* Finds the range that contains `seq`. False when there is none. */
bool wr_ranges_find(const struct wr_ranges *set, uint32_t seq, struct wr_range *out);

/*
 * Finds the lowest range with end after `seq`: the one that contains it, or the next above. False
 * when there is none. To iterate, pass the end of the one before.
 */
bool wr_ranges_next(const struct wr_ranges *set, uint32_t seq, struct wr_range *out);

/* Finds the highest range with start before `seq`. False when there is none. */
bool wr_ranges_prev(const struct wr_ranges *set, uint32_t seq, struct wr_range *out);

/*
 * Finds the first hole in [seq, end): the lowest sub-range that no range covers. False when all of
 * it is covered.
 */
bool wr_ranges_next_hole(const struct wr_ranges *set, uint32_t seq, uint32_t end,
                         struct wr_range *out);

/* The lowest or the highest range. False when empty. */
bool wr_ranges_first(const struct wr_ranges *set, struct wr_range *out);
bool wr_ranges_last(const struct wr_ranges *set, struct wr_range *out);

/* True when one range contains all of [start, end). */
bool wr_ranges_contains(const struct wr_ranges *set, uint32_t start, uint32_t end);

/* Gives up to n ranges, the most recently changed first; returns how many. */
size_t wr_ranges_recent(const struct wr_ranges *set, struct wr_range *out, size_t n);

/* True when order, balance, lists and sums are consistent. O(n); for asserts and tests. */
bool wr_ranges_check(const struct wr_ranges *set);

#endif
