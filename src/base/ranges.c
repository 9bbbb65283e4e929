/* SPDX-License-Identifier: MIT */
/*
 * An AVL tree (Adelson-Velsky, Landis 1962) over nodes in one array, linked by index; index 0 is
 * nil. Since ranges are disjoint and do not touch, order by start and order by end are the same,
 * and both serve for descending:
 *
 *        [10,20)   [30,40)      [70,90)       insert [15,35):  [10,40)  [70,90)
 *
 * An insert finds the lowest range that it touches, widens that node in place (its neighbours bound
 * it on the left, and what it now reaches on the right is taken out), so each node is taken out
 * once for the one time it was put in. Recursion is as deep as the tree, below 1.45 * log2(count).
 *
 * A second, doubly linked list through the nodes keeps them by time of last change.
 */
#include "base/ranges.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/seq.h"

#ifdef WEIR_HARD
#    define FIRST_CAP 2u
#else
#    define FIRST_CAP 8u
#endif
#define NIL 0u

struct wr_range_node {
    uint32_t start, end;
    uint32_t left, right;  /* subtrees; `left` also links unused nodes */
    uint32_t newer, older; /* by time of last change */
    uint32_t height;       /* of a leaf: 1 */
};

typedef struct wr_range_node node_t;

void wr_ranges_init(struct wr_ranges *set, uint32_t max)
{
    memset(set, 0, sizeof *set);
    set->max = max;
}

void wr_ranges_clear(struct wr_ranges *set, const struct weir_allocator *alloc)
{
    wr_mem_free(alloc, set->nodes, set->cap * sizeof *set->nodes);
    wr_ranges_init(set, set->max);
}

/* --- the tree ---------------------------------------------------------------------------- */

static void update_height(node_t *nodes, uint32_t n)
{
    uint32_t l = nodes[nodes[n].left].height, r = nodes[nodes[n].right].height;
    nodes[n].height = (l > r ? l : r) + 1;
}

static uint32_t rotate_right(node_t *nodes, uint32_t n)
{
    uint32_t top = nodes[n].left;

    nodes[n].left = nodes[top].right;
    nodes[top].right = n;
    update_height(nodes, n);
    update_height(nodes, top);
    return top;
}

static uint32_t rotate_left(node_t *nodes, uint32_t n)
{
    uint32_t top = nodes[n].right;

    nodes[n].right = nodes[top].left;
    nodes[top].left = n;
    update_height(nodes, n);
    update_height(nodes, top);
    return top;
}

/* How much higher the left subtree is. */
static int lean(const node_t *nodes, uint32_t n)
{
    return (int)nodes[nodes[n].left].height - (int)nodes[nodes[n].right].height;
}

/* Restores balance at n, whose subtrees are balanced and differ by at most 2; returns the top. */
static uint32_t rebalance(node_t *nodes, uint32_t n)
{
    update_height(nodes, n);
    if (lean(nodes, n) > 1) {
        if (lean(nodes, nodes[n].left) < 0)
            nodes[n].left = rotate_left(nodes, nodes[n].left);
        return rotate_right(nodes, n);
    }
    if (lean(nodes, n) < -1) {
        if (lean(nodes, nodes[n].right) > 0)
            nodes[n].right = rotate_right(nodes, nodes[n].right);
        return rotate_left(nodes, n);
    }
    return n;
}

static uint32_t tree_insert(node_t *nodes, uint32_t top, uint32_t n)
{
    if (top == NIL)
        return n;
    if (seq_lt(nodes[n].start, nodes[top].start))
        nodes[top].left = tree_insert(nodes, nodes[top].left, n);
    else
        nodes[top].right = tree_insert(nodes, nodes[top].right, n);
    return rebalance(nodes, top);
}

/* Takes the lowest node out of a tree that is not empty. */
static uint32_t take_lowest(node_t *nodes, uint32_t top, uint32_t *lowest)
{
    if (nodes[top].left == NIL) {
        *lowest = top;
        return nodes[top].right;
    }
    nodes[top].left = take_lowest(nodes, nodes[top].left, lowest);
    return rebalance(nodes, top);
}

static uint32_t tree_remove(node_t *nodes, uint32_t top, uint32_t n)
{
    assert(top != NIL);
    if (top != n) {
        if (seq_lt(nodes[n].start, nodes[top].start))
            nodes[top].left = tree_remove(nodes, nodes[top].left, n);
        else
            nodes[top].right = tree_remove(nodes, nodes[top].right, n);
        return rebalance(nodes, top);
    }
    if (nodes[n].right == NIL)
        return nodes[n].left;

    uint32_t heir, rest = take_lowest(nodes, nodes[n].right, &heir);
    nodes[heir].left = nodes[n].left;
    nodes[heir].right = rest;
    return rebalance(nodes, heir);
}

/* The lowest node with end after `seq`; with `touch`, also with end at `seq`. */
static uint32_t lowest_ending_after(const struct wr_ranges *set, uint32_t seq, bool touch)
{
    uint32_t found = NIL;

    for (uint32_t n = set->root; n != NIL;) {
        int32_t d = seq_diff(set->nodes[n].end, seq);
        if (d > 0 || (touch && d == 0)) {
            found = n;
            n = set->nodes[n].left;
        } else {
            n = set->nodes[n].right;
        }
    }
    return found;
}

/* --- the list by time of last change -------------------------------------------------------- */

static void unlink_recent(struct wr_ranges *set, uint32_t n)
{
    node_t *node = &set->nodes[n];

    if (node->newer != NIL)
        set->nodes[node->newer].older = node->older;
    else
        set->newest = node->older;
    if (node->older != NIL)
        set->nodes[node->older].newer = node->newer;
    else
        set->oldest = node->newer;
}

static void link_newest(struct wr_ranges *set, uint32_t n)
{
    set->nodes[n].newer = NIL;
    set->nodes[n].older = set->newest;
    if (set->newest != NIL)
        set->nodes[set->newest].newer = n;
    else
        set->oldest = n;
    set->newest = n;
}

/* --- nodes ----------------------------------------------------------------------------------- */

static int grow(struct wr_ranges *set, const struct weir_allocator *alloc)
{
    uint32_t cap = set->cap > 0 ? set->cap * 2 : FIRST_CAP;
    if (cap > set->max + 1)
        cap = set->max + 1;
    node_t *nodes = wr_mem_array(alloc, cap, sizeof *nodes);

    if (nodes == NULL)
        return -ENOMEM;
    memset(nodes, 0, cap * sizeof *nodes);
    if (set->nodes != NULL) {
        memcpy(nodes, set->nodes, set->cap * sizeof *nodes);
        wr_mem_free(alloc, set->nodes, set->cap * sizeof *nodes);
    }
    for (uint32_t n = cap - 1; n >= (set->cap > 0 ? set->cap : 1); n--) {
        nodes[n].left = set->free;
        set->free = n;
    }
    set->nodes = nodes;
    set->cap = cap;
    return 0;
}

static int add_node(struct wr_ranges *set, const struct weir_allocator *alloc, uint32_t start,
                    uint32_t end)
{
    if (set->count >= set->max)
        return -ENOBUFS;
    if (set->free == NIL) {
        int err = grow(set, alloc);
        if (err != 0)
            return err;
    }
    uint32_t n = set->free;
    node_t *node = &set->nodes[n];
    set->free = node->left;
    *node = (node_t){.start = start, .end = end, .height = 1};
    set->root = tree_insert(set->nodes, set->root, n);
    link_newest(set, n);
    set->count++;
    set->bytes += end - start;
    return 0;
}

static void remove_node(struct wr_ranges *set, uint32_t n)
{
    node_t *node = &set->nodes[n];

    set->root = tree_remove(set->nodes, set->root, n);
    unlink_recent(set, n);
    set->count--;
    set->bytes -= node->end - node->start;
    node->left = set->free;
    set->free = n;
}

static void free_if_empty(struct wr_ranges *set, const struct weir_allocator *alloc)
{
    if (set->count == 0)
        wr_ranges_clear(set, alloc);
}

/* --- changes --------------------------------------------------------------------------------- */

/* Widens node n, which touches [start, end) and is the lowest that does, to hold it. */
static void widen(struct wr_ranges *set, uint32_t n, uint32_t start, uint32_t end)
{
    node_t *node = &set->nodes[n];
    uint32_t next;

    start = seq_min(start, node->start);
    end = seq_max(end, node->end);
    while ((next = lowest_ending_after(set, node->end, false)) != NIL &&
           seq_leq(set->nodes[next].start, end)) {
        end = seq_max(end, set->nodes[next].end);
        remove_node(set, next);
    }
    set->bytes += (end - start) - (node->end - node->start);
    node->start = start;
    node->end = end;
    unlink_recent(set, n);
    link_newest(set, n);
}

int wr_ranges_insert(struct wr_ranges *set, const struct weir_allocator *alloc, uint32_t start,
                     uint32_t end)
{
    assert(seq_lt(start, end));
    uint32_t n = lowest_ending_after(set, start, true);

    if (n == NIL || seq_gt(set->nodes[n].start, end))
        return add_node(set, alloc, start, end);
    widen(set, n, start, end);
    return 0;
}

static uint32_t lowest(const struct wr_ranges *set)
{
    uint32_t n = set->root;

    while (n != NIL && set->nodes[n].left != NIL)
        n = set->nodes[n].left;
    return n;
}

static uint32_t highest(const struct wr_ranges *set)
{
    uint32_t n = set->root;

    while (n != NIL && set->nodes[n].right != NIL)
        n = set->nodes[n].right;
    return n;
}

void wr_ranges_remove_below(struct wr_ranges *set, const struct weir_allocator *alloc, uint32_t seq)
{
    uint32_t n;

    while ((n = lowest(set)) != NIL && seq_leq(set->nodes[n].end, seq))
        remove_node(set, n);
    if (n != NIL && seq_lt(set->nodes[n].start, seq)) {
        set->bytes -= seq - set->nodes[n].start;
        set->nodes[n].start = seq;
    }
    free_if_empty(set, alloc);
}

void wr_ranges_remove_from(struct wr_ranges *set, const struct weir_allocator *alloc, uint32_t seq)
{
    uint32_t n;

    while ((n = highest(set)) != NIL && seq_geq(set->nodes[n].start, seq))
        remove_node(set, n);
    if (n != NIL && seq_gt(set->nodes[n].end, seq)) {
        set->bytes -= set->nodes[n].end - seq;
        set->nodes[n].end = seq;
    }
    free_if_empty(set, alloc);
}

/* --- questions ------------------------------------------------------------------------------- */

/* Gives node n; false for nil. */
static bool give(const struct wr_ranges *set, uint32_t n, struct wr_range *out)
{
    if (n == NIL)
        return false;
    out->start = set->nodes[n].start;
    out->end = set->nodes[n].end;
    return true;
}

bool wr_ranges_next(const struct wr_ranges *set, uint32_t seq, struct wr_range *out)
{
    return give(set, lowest_ending_after(set, seq, false), out);
}

bool wr_ranges_find(const struct wr_ranges *set, uint32_t seq, struct wr_range *out)
{
    uint32_t n = lowest_ending_after(set, seq, false);
    return n != NIL && seq_leq(set->nodes[n].start, seq) && give(set, n, out);
}

bool wr_ranges_prev(const struct wr_ranges *set, uint32_t seq, struct wr_range *out)
{
    uint32_t found = NIL;

    for (uint32_t n = set->root; n != NIL;) {
        if (seq_lt(set->nodes[n].start, seq)) {
            found = n;
            n = set->nodes[n].right;
        } else {
            n = set->nodes[n].left;
        }
    }
    return give(set, found, out);
}

bool wr_ranges_next_hole(const struct wr_ranges *set, uint32_t seq, uint32_t end,
                         struct wr_range *out)
{
    struct wr_range range;

    if (wr_ranges_find(set, seq, &range))
        seq = range.end;
    if (seq_geq(seq, end))
        return false;
    out->start = seq;
    out->end = wr_ranges_next(set, seq, &range) ? seq_min(range.start, end) : end;
    return true;
}

bool wr_ranges_first(const struct wr_ranges *set, struct wr_range *out)
{
    return give(set, lowest(set), out);
}

bool wr_ranges_last(const struct wr_ranges *set, struct wr_range *out)
{
    return give(set, highest(set), out);
}

bool wr_ranges_contains(const struct wr_ranges *set, uint32_t start, uint32_t end)
{
    struct wr_range range;
    return wr_ranges_find(set, start, &range) && seq_leq(end, range.end);
}

size_t wr_ranges_recent(const struct wr_ranges *set, struct wr_range *out, size_t n)
{
    size_t i = 0;

    for (uint32_t at = set->newest; at != NIL && i < n; at = set->nodes[at].older)
        (void)give(set, at, &out[i++]);
    return i;
}

/* Height of a subtree whose heights and balance are right, else UINT32_MAX. */
static uint32_t checked_height(const struct wr_ranges *set, uint32_t n)
{
    if (n == NIL)
        return 0;
    uint32_t l = checked_height(set, set->nodes[n].left);
    uint32_t r = checked_height(set, set->nodes[n].right);
    uint32_t height = (l > r ? l : r) + 1;
    if (l == UINT32_MAX || r == UINT32_MAX || l > r + 1 || r > l + 1)
        return UINT32_MAX;
    return set->nodes[n].height == height ? height : UINT32_MAX;
}

bool wr_ranges_check(const struct wr_ranges *set)
{
    uint32_t count = 0, bytes = 0, recent = 0;
    struct wr_range range, before = {0, 0};

    if (set->count == 0)
        return set->nodes == NULL && set->root == NIL && set->newest == NIL && set->bytes == 0;
    if (checked_height(set, set->root) == UINT32_MAX)
        return false;
    for (bool more = wr_ranges_first(set, &range); more;
         more = wr_ranges_next(set, range.end, &range)) {
        if (seq_geq(range.start, range.end) || (count > 0 && seq_geq(before.end, range.start)))
            return false;
        before = range;
        count++;
        bytes += range.end - range.start;
    }
    for (uint32_t n = set->newest; n != NIL && recent <= count; n = set->nodes[n].older)
        recent++;
    return count == set->count && bytes == set->bytes && recent == count;
}
