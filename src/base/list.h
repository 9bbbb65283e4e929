/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_LIST_H
#define WR_BASE_LIST_H

/*
 * A circular doubly linked list whose nodes live inside the objects they link. The head is a node
 * of the same type. A node that is in no list points at itself, so remove is safe to repeat.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wr_list {
    struct wr_list *prev, *next;
};

/* The object of type `type` whose member `member` is *ptr. */
#define WR_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Visits each node from the first to the last; the list must not change meanwhile. */
#define WR_LIST_FOREACH(node, head)                                                                \
    for (struct wr_list *node = (head)->next; node != (head); node = node->next)

/* The same; the visited node itself may be removed. */
#define WR_LIST_FOREACH_SAFE(node, head)                                                           \
    for (struct wr_list *node = (head)->next, *node##_next = node->next; node != (head);           \
         node = node##_next, node##_next = node->next)

/* Makes an empty head, or a node that is in no list. */
static inline void wr_list_init(struct wr_list *node)
{
    node->prev = node;
    node->next = node;
}

static inline bool wr_list_is_empty(const struct wr_list *head)
{
    return head->next == head;
}

/* True while the node is in a list. */
static inline bool wr_list_is_linked(const struct wr_list *node)
{
    return node->next != node;
}

/* Links `node`, which must be in no list, in front of `at`. */
static inline void wr_list_insert_before(struct wr_list *at, struct wr_list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

static inline void wr_list_push_front(struct wr_list *head, struct wr_list *node)
{
    wr_list_insert_before(head->next, node);
}

static inline void wr_list_push_back(struct wr_list *head, struct wr_list *node)
{
    wr_list_insert_before(head, node);
}

/* Takes the node out of its list, if any. */
static inline void wr_list_remove(struct wr_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    wr_list_init(node);
}

/* The node or head was moved here, byte by byte, from `old`: it takes its place in the list. */
static inline void wr_list_moved(struct wr_list *node, const struct wr_list *old)
{
    if (node->next == old) {
        wr_list_init(node);
        return;
    }
    node->prev->next = node;
    node->next->prev = node;
}

/* First or last node, NULL when empty. */
static inline struct wr_list *wr_list_first(const struct wr_list *head)
{
    return head->next == head ? NULL : head->next;
}

static inline struct wr_list *wr_list_last(const struct wr_list *head)
{
    return head->prev == head ? NULL : head->prev;
}

/* Takes out the first node and returns it, NULL when empty. */
struct wr_list *wr_list_pop_front(struct wr_list *head);

/* Moves all of `from` behind the last node of `to`; `from` is empty then. */
static inline void wr_list_splice_back(struct wr_list *to, struct wr_list *from)
{
    if (wr_list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    wr_list_init(from);
}

#endif
