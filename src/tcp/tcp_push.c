/* SPDX-License-Identifier: MIT */
/*
 * Where segments end because of how the user wrote: PSH (RFC 9293 3.9.1.2) and record ends (MSG_EOR), on the
 * bytes that are queued and not yet sent, in Linux's form.
 *
 *      snd_nxt                                             write_seq
 *         | piece      | piece      | rec | piece  | tail   |
 *     ----+------------+------------+-----+--------+--------+----
 *                      ^            ^ PSH ^ EOR              ^ PSH unless MSG_MORE
 *
 * What the user writes fills pieces of up to 64 KB, no larger than half of the peer's largest window, and a
 * whole number of segments. A later write goes on filling the last piece as long as none of it was
 * sent; the PSH that the earlier write asked for is then forgotten. So PSH stays
 *   - on the last byte of a write without MSG_MORE that left before the next write, or filled its piece;
 *   - at the end of a piece when more than half of the peer's largest window was written since the last
 *     PSH (else a receiver that waits for PSH would not see any for long);
 *   - within a burst at the end of each chunk that Linux would make one super-segment (about 1 ms of data, at
 *     least two segments): it tells a receiver that gathers segments not to wait for more.
 * Behind a record end nothing is joined to what stands before: neither in a piece, nor in a segment, nor when
 * sent again.
 *
 * Marks that are not at write_seq are kept in order in a small array, made when first needed. When it is full
 * a PSH is left out, which costs the peer some delay; a write that ends a record has to wait.
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"

#include <string.h>

enum {
    MARKS = 64,
    GOAL_BYTES = 65535 - 320, /* the largest super-segment, less the headers */
};

struct wr_marks {
    uint32_t at[MARKS]; /* ascending */
    bool eor[MARKS];
    unsigned n;
};

/* Room for one more mark, made by giving up a PSH if need be. */
static struct wr_marks *marks_with_room(struct weir_stack *stack, struct wr_push *push)
{
    struct wr_marks *marks = push->marks;

    if (marks == NULL) {
        marks = push->marks = wr_zalloc(stack, sizeof *marks);
        return marks;
    }
    for (unsigned i = 0; i < MARKS && marks->n == MARKS; i++) {
        if (marks->eor[i])
            continue;
        marks->n--;
        memmove(&marks->at[i], &marks->at[i + 1], (marks->n - i) * sizeof marks->at[0]);
        memmove(&marks->eor[i], &marks->eor[i + 1], (marks->n - i) * sizeof marks->eor[0]);
    }
    return marks->n < MARKS ? marks : NULL;
}

static void mark(struct weir_stack *stack, struct wr_push *push, uint32_t at, bool eor)
{
    struct wr_marks *marks = marks_with_room(stack, push);

    if (marks == NULL)
        return;
    marks->at[marks->n] = at;
    marks->eor[marks->n] = eor;
    marks->n++;
}

void wr_push_free(struct weir_stack *stack, struct wr_push *push)
{
    if (push->marks != NULL)
        wr_free(stack, push->marks, sizeof *push->marks);
    push->marks = NULL;
}

int wr_push_room(struct weir_stack *stack, struct wr_tx *tx, int flags)
{
    if (!(flags & WEIR_MSG_EOR) || marks_with_room(stack, &tx->push) != NULL)
        return 0;
    return tx->push.marks == NULL ? WEIR_ENOBUFS : WEIR_EAGAIN;
}

uint32_t wr_push_goal(const struct tcb *tcb, int flags)
{
    const struct wr_push *push = &tcb->tx->push;
    uint32_t goal = GOAL_BYTES, mss = wr_output_mss(tcb, 0);
    uint32_t most = tcb->max_wnd > WR_TCP_MSS_V4 ? tcb->max_wnd / 2 : tcb->max_wnd;

    if (flags & WEIR_MSG_OOB)
        return mss;
    if (most != 0 && goal > most)
        goal = most;
    if (goal <= mss)
        return mss;
    if (goal - push->goal < mss && push->goal_mss == mss)
        return push->goal; /* as before, without the division */
    return goal / mss * mss;
}

static bool ends_record(const struct wr_push *push, uint32_t at)
{
    const struct wr_marks *marks = push->marks;
    return marks != NULL && marks->n > 0 && marks->at[marks->n - 1] == at &&
           marks->eor[marks->n - 1];
}

/* A write begins at `start`: does it fill the last piece further, or begin one? */
static void begin_write(struct weir_stack *stack, struct tcb *tcb, uint32_t start, uint32_t goal,
                        bool urgent)
{
    struct wr_push *push = &tcb->tx->push;

    if (seq_lt(push->piece, tcb->snd_nxt))
        push->piece = tcb->snd_nxt;
    if (ends_record(push, start)) {
        push->piece = start;
    } else if (start - push->piece >= goal) {
        if (push->tail && !urgent) /* the urgent byte's own PSH is near */
            mark(stack, push, start, false);
        push->piece = start;
    }
    push->tail = false;
}

/* Linux sends while it takes a long write in: what the network has room for leaves with the first piece that
 * is full, and the rest of that piece is filled up again. */
static uint32_t first_piece_end(const struct tcb *tcb, uint32_t piece, uint32_t goal)
{
    uint32_t gone = tcb->snd_nxt + wr_output_allowance(tcb);

    if (piece != tcb->snd_nxt || !seq_gt(gone, piece))
        return piece + goal;
    return seq_lt(gone, piece + goal) ? gone + goal : piece + goal;
}

void wr_push_written(struct weir_stack *stack, struct tcb *tcb, uint32_t start, int flags)
{
    struct wr_push *push = &tcb->tx->push;
    uint32_t goal, end = tcb->write_seq, half = tcb->max_wnd / 2, next;
    uint32_t mss = wr_output_mss(tcb, 0);

    push->goal = goal = wr_push_goal(tcb, flags);
    push->goal_mss = (uint16_t)mss;
    if (wr_may_be_short(stack) && start == tcb->snd_nxt && end - start <= mss &&
        push->marks == NULL && flags == 0) { /* as mostly: a piece of its own, of one segment */
        push->piece = start;
        push->pushed = end;
        push->tail = true;
        return;
    }
    wr_tcb_stirred(tcb);
    begin_write(stack, tcb, start, goal, (flags & WEIR_MSG_OOB) != 0);
    next = push->piece + goal;
    if (seq_gt(end, next))
        next = first_piece_end(tcb, push->piece, goal);
    while (seq_gt(end, next)) {
        push->piece = next;
        next += goal;
        if (seq_gt(push->piece, push->pushed + half)) {
            push->pushed = push->piece;
            mark(stack, push, push->piece, false);
        }
    }
    if (!(flags & WEIR_MSG_MORE) || seq_gt(end, push->pushed + half)) {
        push->pushed = end;
        push->tail = true;
    }
    if (flags & WEIR_MSG_EOR)
        mark(stack, push, end, true);
}

size_t wr_push_takes(const struct tcb *tcb, uint32_t lowat, size_t len, int flags)
{
    const struct wr_push *push = &tcb->tx->push;
    uint32_t start = tcb->write_seq, unsent = wr_tcb_unsent(tcb), goal, end, gone, piece;

    if ((uint64_t)unsent + len < lowat)
        return len;
    piece = seq_lt(push->piece, tcb->snd_nxt) ? tcb->snd_nxt : push->piece;
    goal = wr_push_goal(tcb, flags);
    if (ends_record(push, start) || start - piece >= goal)
        piece = start;
    end = first_piece_end(tcb, piece, goal);
    gone = tcb->snd_nxt + wr_output_allowance(tcb);
    while (end - start < len && (seq_gt(gone, end) || end - seq_max(gone, tcb->snd_nxt) < lowat))
        end += goal;
    return end - start < len ? end - start : len;
}

uint32_t wr_push_record(const struct tcb *tcb)
{
    const struct wr_marks *marks = tcb->tx->push.marks;

    for (unsigned i = 0; marks != NULL && i < marks->n; i++)
        if (marks->eor[i])
            return marks->at[i] - tcb->snd_nxt;
    return wr_tcb_unsent(tcb);
}

bool wr_push_sent(struct tcb *tcb, uint32_t end, bool *eor)
{
    struct wr_push *push = &tcb->tx->push;
    struct wr_marks *marks = push->marks;
    bool psh = end == tcb->write_seq && push->tail;
    unsigned n = 0;

    *eor = false;
    while (marks != NULL && n < marks->n && seq_leq(marks->at[n], end)) {
        *eor = marks->at[n] == end && marks->eor[n];
        psh = true; /* in the midst of a super-segment: at its end */
        n++;
    }
    if (n > 0) {
        marks->n -= n;
        memmove(&marks->at[0], &marks->at[n], marks->n * sizeof marks->at[0]);
        memmove(&marks->eor[0], &marks->eor[n], marks->n * sizeof marks->eor[0]);
    }
    return psh;
}

bool wr_push_burst(const struct weir_stack *stack, struct tcb *tcb, uint32_t start, uint32_t end,
                   uint32_t mss, bool more, weir_time now)
{
    struct wr_push *push = &tcb->tx->push;
    bool psh, goes_on = push->burst && tcb->tx->last_sent_at == now; /* pacing parts bursts */

    if (end - start > mss) {
        push->burst = false;
        return true;
    }
    if (!goes_on) {
        push->burst = false;
        if (!more || push->goal <= mss)
            return false;
        push->chunk_at = start;
        push->chunk = wr_pace_chunk(stack, tcb);
        if (push->chunk <= mss)
            return false;                       /* paced so slowly that each segment leaves alone */
        if (push->chunk > tcb->tx->cc.cwnd / 2) /* so that at least two are in flight */
            push->chunk = tcb->tx->cc.cwnd / 2;
    }
    psh = end - push->chunk_at > mss && (!more || end - push->chunk_at + mss > push->chunk);
    if (psh)
        push->chunk_at = end;
    push->burst = more;
    return psh;
}
