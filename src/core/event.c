/* SPDX-License-Identifier: MIT */
/*
 * The queue of sockets that have something to tell. It holds sockets, not happenings: a socket
 * that is in it already is not added again, so the queue is never longer than the list of sockets
 * and needs no memory. What the bits are is asked when the event is read (sock/ready.c), so they
 * are never old. What has happened is gathered beside it, for those who must tell an edge of one
 * bit from an edge of another (epoll).
 */
#include "core/core.h"

void wr_ready_touch(struct weir_stack *stack, struct wr_ready *ready, uint32_t happened)
{
    if (ready == NULL)
        return;
    ready->happened |= happened;
    if (!wr_list_is_linked(&ready->node))
        wr_list_push_back(&stack->events, &ready->node);
}

void wr_ready_forget(struct wr_ready *ready)
{
    wr_list_remove(&ready->node);
}

struct wr_ready *wr_ready_pop(struct weir_stack *stack)
{
    struct wr_list *node = wr_list_pop_front(&stack->events);
    return node == NULL ? NULL : WR_CONTAINER(node, struct wr_ready, node);
}
