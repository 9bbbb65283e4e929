/* SPDX-License-Identifier: MIT */
/*
 * How much memory the streams of all connections may hold together: tcp_mem, three numbers of pages of 4096 bytes as
 * on Linux.
 *
 *        0           min            default            max
 *     ---|-------------|---------------|----------------|---->  bytes in all rings
 *          at ease       still pressed   pressed           full
 *                        if it was
 *
 * Pressed (from `default` on, until it falls below `min`): buffers and windows grow no further, and where half of a
 * receive buffer is taken the window offered beyond what was promised shrinks to four segments. A promise is kept
 * (RFC 9293 3.8.6): the right edge never moves left.
 *
 * Full: send takes nothing (EAGAIN, or it waits) from a connection that holds tcp_wmem.min already; received data that
 * does not fit is dropped and counted, what lies out of order first (RFC 2018 8 lets a receiver do so), unless the
 * connection holds less than tcp_rmem.min or nothing that its user could read: so each makes progress. An orphan that
 * would have to go on sending is reset.
 *
 * What is counted is what rings have allocated. It is read off at the end of every entry point, where a connection is
 * settled: two additions, and no ring knows of it.
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_sender.h"

enum { PAGE = 4096, ORPHAN_MIN = 4608 };

static uint64_t limit(int64_t pages)
{
    return (uint64_t)pages * PAGE;
}

static bool is_full(const struct weir_stack *stack, uint64_t more)
{
    return stack->tcp->mem.held + more > limit(stack->tunables.tcp_mem_max);
}

/* Those whose send was refused may try again. */
static void wake(struct weir_stack *stack)
{
    struct wr_list *waiting = &stack->tcp->mem.waiting;

    while (!wr_list_is_empty(waiting)) {
        struct wr_tx *tx = WR_CONTAINER(wr_list_pop_front(waiting), struct wr_tx, mem_wait);
        wr_tcb_touch(stack, tx->mem_tcb, WR_HAPPENED_SPACE);
    }
}

WR_APART void settle_short(struct weir_stack *stack, struct wr_mem *mem)
{
    if (!mem->pressed && mem->held > limit(stack->tunables.tcp_mem_default)) {
        mem->pressed = true;
        wr_count(stack, WR_STAT_tcp_memory_pressures);
    } else if (mem->pressed && mem->held < limit(stack->tunables.tcp_mem_min)) {
        mem->pressed = false;
    }
    if (!wr_list_is_empty(&mem->waiting) && mem->held < limit(stack->tunables.tcp_mem_default))
        wake(stack);
}

void wr_mem_settle(struct weir_stack *stack, struct tcb *tcb)
{
    struct wr_mem *mem = &stack->tcp->mem;
    uint32_t holds = tcb->snd_ring.cap + tcb->rcv_ring.cap;

    if (holds == tcb->mem_held)
        return;
    mem->held += holds;
    mem->held -= tcb->mem_held;
    tcb->mem_held = holds;
    if (mem->pressed || mem->held > limit(stack->tunables.tcp_mem_default) ||
        !wr_list_is_empty(&mem->waiting))
        settle_short(stack, mem);
}

uint32_t wr_mem_send_room(struct weir_stack *stack, struct tcb *tcb)
{
    uint64_t most = limit(stack->tunables.tcp_mem_max), held = stack->tcp->mem.held, room;
    uint32_t least = (uint32_t)stack->tunables.tcp_wmem_min, len = tcb->snd_ring.len;

    room = (held < most ? most - held : 0) + (tcb->snd_ring.cap - len);
    if (len < least && room < least - len)
        room = least - len;
    if (room == 0) {
        tcb->tx->mem_tcb = tcb;
        if (!wr_list_is_linked(&tcb->tx->mem_wait))
            wr_list_push_back(&stack->tcp->mem.waiting, &tcb->tx->mem_wait);
    }
    return room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
}

/* What lies beyond a hole is given up; it will be sent again. */
static void prune_out_of_order(struct weir_stack *stack, struct tcb *tcb)
{
    if (tcb->ofo == NULL || tcb->ofo->count == 0)
        return;
    wr_count(stack, WR_STAT_tcp_ofo_pruned);
    wr_ranges_clear(tcb->ofo, &stack->alloc);
    wr_ring_forget_beyond(&tcb->rcv_ring, &stack->alloc);
    wr_mem_settle(stack, tcb);
}

bool wr_mem_may_receive_now(struct weir_stack *stack, struct tcb *tcb, uint32_t len, bool in_order)
{
    struct wr_ring *ring = &tcb->rcv_ring;

    if (wr_mem_is_pressed(stack) && ring->len > tcb->window_clamp / 2 &&
        tcb->rcv_ssthresh > 4u * tcb->adv_mss)
        tcb->rcv_ssthresh = 4u * tcb->adv_mss;
    if (ring->extent + len <= ring->cap || !is_full(stack, len) ||
        ring->extent + (uint64_t)len <= (uint64_t)stack->tunables.tcp_rmem_min)
        return true;
    wr_count(stack, WR_STAT_tcp_prune_called);
    prune_out_of_order(stack, tcb);
    if (in_order && (ring->len == 0 || !is_full(stack, len)))
        return true;
    wr_drop(stack, WR_DROP_tcp_memory);
    return false;
}

bool wr_mem_resets_orphan(const struct weir_stack *stack, const struct tcb *tcb)
{
    return tcb->orphan && tcb->snd_ring.len > ORPHAN_MIN && is_full(stack, 0);
}
