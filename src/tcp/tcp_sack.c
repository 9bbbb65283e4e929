/* SPDX-License-Identifier: MIT */
/*
 * SACK as a sender: RFC 2018 5, RFC 2883 5, RFC 6675 4.
 *
 * A block is believed when it lies in [SND.UNA, SND.NXT]; the first may be a D-SACK, which reports a
 * duplicate (below the ACK, or inside the second block) and marks nothing. The others mark records of the
 * send queue, cutting them where a block ends inside (with RACK between two segments only, as on Linux: so no
 * peer makes more records than there are segments).
 *
 * A byte is lost when more than two segments' worth of bytes above it are SACKed, or three separate
 * islands are. Since both counts fall as one goes up, there is one edge: all below is lost.
 *
 *      snd_una                     lost_edge                    high_sacked
 *         |  lost  |SACKED|  lost  |  SACKED  |  not yet  | SACKED |   new   |
 *                                  |<- > 2 smss or >= 3 islands -->|
 *
 * The edge only moves up, so each record is marked once. This rule is used when net.ipv4.tcp_recovery says so;
 * else RACK is (tcp_rack).
 */
#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"
#include "tcp/tcp_trace.h"

enum {
    LOST_SEGMENTS = WR_TCP_DUP_THRESH - 1, /* RFC 6675 4 IsLost */
    EDGE_STEPS = 256                       /* records looked at for the edge */
};

/* RFC 2883 5: does the first block report a duplicate? */
static bool is_dsack(struct weir_stack *stack, const struct seg *seg)
{
    const struct w_sack *block = seg->opt.sack;

    if (seq_lt(block[0].start, seg->ack)) {
        wr_count(stack, WR_STAT_tcp_dsack_recv);
        return true;
    }
    if (seg->opt.n_sack < 2 || seq_lt(block[0].start, block[1].start) ||
        seq_gt(block[0].end, block[1].end))
        return false;
    wr_count(stack, WR_STAT_tcp_dsack_ofo_recv);
    return true;
}

/* A duplicate of something that we sent, not long ago? */
static bool dsack_makes_sense(const struct tcb *tcb, const struct w_sack *block, uint32_t ack)
{
    uint64_t most = tcb->max_wnd < tcb->bytes_acked ? tcb->max_wnd : tcb->bytes_acked;

    if (!seq_lt(block->start, block->end) || block->end - block->start > tcb->max_wnd)
        return false;
    if (!seq_lt(block->start, ack))
        return seq_leq(block->end, tcb->snd_nxt);
    return seq_leq(block->end, ack) && seq_geq(block->start, tcb->snd_una - (uint32_t)most);
}

static void take_dsack(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                       struct wr_sack_result *result)
{
    const struct w_sack *block = &seg->opt.sack[0];
    const struct wr_tlp *tlp = &tcb->tx->tlp;
    uint32_t len = block->end - block->start;
    uint32_t segs = len > tcb->smss ? (len + tcb->smss - 1) / tcb->smss : 1;
    const struct wr_sent *sent;

    if (dsack_makes_sense(tcb, block, seg->ack))
        tcb->dsack_dups += segs;
    else
        segs = 0;
    /* Whatever the peer says, it cannot have got more duplicates than were sent. */
    if (segs == 0 || tcb->dsack_dups > tcb->total_retrans) {
        wr_count(stack, WR_STAT_tcp_dsack_ignored_dubious);
        return;
    }
    wr_count_add(stack, WR_STAT_tcp_dsack_recv_segs, segs);
    result->dsack = true;
    result->dsack_start = block->start;
    result->dsack_end = block->end;
    result->dsack_segs = segs;
    result->dsack_tlp = len <= tcb->smss && tlp->active && tlp->end_seq == block->end;
    if (!result->dsack_tlp)
        wr_undo_dsack(tcb, block->start, block->end);
    if (seq_lt(block->start, tcb->snd_una))
        return;
    sent = wr_sendq_find(&tcb->tx->q, block->start);
    result->dsack_reordered = sent != NULL && (sent->flags & (WR_SENT_SACKED | WR_SENT_EVER)) ==
                                                  (WR_SENT_SACKED | WR_SENT_EVER);
}

/* Linux: what was sent as one segment has arrived as a whole or not at all. [*start, *end) of the record loses what
 * it has of segments that it does not cover; it may be empty then. */
static void to_whole_segments(const struct wr_sent *sent, uint32_t *start, uint32_t *end)
{
    uint32_t first = *start - sent->start, last = *end - sent->start;

    if (first > 0)
        *start = sent->start + (first + sent->mss - 1) / sent->mss * sent->mss;
    if (*end != sent->end)
        *end = sent->start + last / sent->mss * sent->mss;
}

static void mark_record(struct weir_stack *stack, struct tcb *tcb, struct wr_sent *sent,
                        struct wr_sack_result *result, struct wr_delivery *d)
{
    struct wr_tx *tx = tcb->tx;
    uint32_t len = sent->end - sent->start;

    result->new_bytes += len;
    wr_rate_delivered(&tx->rate, sent, len);
    if (!(sent->flags & WR_SENT_EVER)) {
        if (sent->sent_at > result->last_sent)
            result->last_sent = sent->sent_at;
        if (seq_leq(sent->end, tx->recover))
            result->original = true;
    }
    wr_sendq_delivered(sent, sent->start, sent->end, d);
    if (seq_gt(sent->end, tx->high_sacked))
        tx->high_sacked = sent->end;
    wr_sendq_mark_sacked(stack, &tx->q, sent); /* may join it with its neighbours */
}

/* Cuts [start, end) out of the record; NULL without memory. */
static struct wr_sent *cut_out(struct weir_stack *stack, struct wr_sendq *q, struct wr_sent *sent,
                               uint32_t start, uint32_t end)
{
    if (sent->start != start)
        sent = wr_sendq_split(stack, q, sent, start);
    if (sent != NULL && sent->end != end && wr_sendq_split(stack, q, sent, end) == NULL)
        return NULL;
    return sent;
}

/* Marks [start, end), which lies in the flight: bytes for RFC 6675, segments for RACK. */
static void mark_block(struct weir_stack *stack, struct tcb *tcb, uint32_t start, uint32_t end,
                       struct wr_sack_result *result, struct wr_delivery *d)
{
    struct wr_sendq *q = &tcb->tx->q;
    bool whole = wr_rack_is_on(stack, tcb);
    uint32_t at = start;

    while (seq_lt(at, end)) {
        struct wr_sent *sent = wr_sendq_find(q, at);
        uint32_t from, to;
        if (sent == NULL)
            return;
        at = sent->end;
        if (sent->flags & WR_SENT_SACKED)
            continue;
        from = seq_max(start, sent->start);
        to = seq_min(end, sent->end);
        if (whole)
            to_whole_segments(sent, &from, &to);
        if (!seq_lt(from, to))
            continue;
        sent = cut_out(stack, q, sent, from, to);
        if (sent == NULL)
            return;
        mark_record(stack, tcb, sent, result, d);
    }
}

void wr_sack_input(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                   struct wr_sack_result *result, struct wr_delivery *d)
{
    unsigned first = 0;

    if (is_dsack(stack, seg)) {
        take_dsack(stack, tcb, seg, result);
        first = 1;
    }
    if (seq_lt(tcb->tx->high_sacked, tcb->snd_una))
        tcb->tx->high_sacked = tcb->snd_una;
    for (unsigned i = first; i < seg->opt.n_sack; i++) {
        uint32_t start = seg->opt.sack[i].start, end = seg->opt.sack[i].end;
        if (!seq_lt(start, end) || seq_gt(end, tcb->snd_nxt)) {
            wr_count(stack, WR_STAT_tcp_sack_discard);
            continue;
        }
        if (seq_leq(end, tcb->snd_una))
            continue;
        if (seq_lt(start, tcb->snd_una)) {
            if (seg->ack == tcb->snd_una)
                continue;         /* no receiver writes that */
            start = tcb->snd_una; /* a late ACK: its lower part is acknowledged since */
        }
        mark_block(stack, tcb, start, end, result, d);
    }
}

/* The edge below which all is lost. Most often the highest island shows it; beyond some records it is left
 * to a later ACK, which has more islands or larger ones. */
static uint32_t find_edge(const struct tcb *tcb)
{
    const struct wr_tx *tx = tcb->tx;
    uint32_t bytes = 0, islands = 0, steps = EDGE_STEPS;
    const struct wr_sent *sent = wr_sendq_find(&tx->q, tx->high_sacked - 1);

    if (tx->q.islands < WR_TCP_DUP_THRESH && tx->q.sacked_bytes <= LOST_SEGMENTS * tcb->smss)
        return tx->lost_edge;
    for (; sent != NULL && seq_gt(sent->end, tx->lost_edge) && steps > 0;
         sent = wr_sendq_prev(&tx->q, sent), steps--) {
        if (!(sent->flags & WR_SENT_SACKED))
            continue;
        bytes += sent->end - sent->start;
        if (++islands >= WR_TCP_DUP_THRESH || bytes > LOST_SEGMENTS * tcb->smss)
            return sent->start;
    }
    return tx->lost_edge;
}

uint32_t wr_sack_mark_lost(const struct weir_stack *stack, struct tcb *tcb)
{
    struct wr_tx *tx = tcb->tx;
    uint32_t edge, marked = 0;
    struct wr_sent *sent;

    if (seq_lt(tx->lost_edge, tcb->snd_una))
        tx->lost_edge = tcb->snd_una;
    if (tx->q.sacked_bytes == 0 || seq_leq(tx->high_sacked, tx->lost_edge))
        return 0;
    edge = find_edge(tcb);
    sent = seq_lt(tx->lost_edge, edge) ? wr_sendq_find(&tx->q, tx->lost_edge) : NULL;
    for (; sent != NULL && seq_lt(sent->start, edge); sent = wr_sendq_next(&tx->q, sent)) {
        if (sent->flags & (WR_SENT_SACKED | WR_SENT_LOST))
            continue;
        wr_rate_mark_lost(tx, sent);
        wr_trace_range(stack, tcb, WEIR_TRACE_LOST_SACK, sent->start, sent->end);
        marked += sent->end - sent->start;
    }
    tx->lost_edge = edge;
    return marked;
}
