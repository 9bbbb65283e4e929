/* SPDX-License-Identifier: MIT */
/*
 * SACK as a sender: RFC 2018 5, RFC 2883 5, RFC 6675 4.
 *
 * A block is believed when it lies in [SND.UNA, SND.NXT]; the first may be a D-SACK, which reports a
 * duplicate (below the ACK, or inside the second block) and marks nothing. The others mark records of the
 * send queue, cutting them where a block ends inside.
 *
 * A byte is lost when more than two segments' worth of bytes above it are SACKed, or three separate
 * islands are. Since both counts fall as one goes up, there is one edge: all below is lost.
 *
 *      snd_una                     lost_edge                    high_sacked
 *         |  lost  |SACKED|  lost  |  SACKED  |  not yet  | SACKED |   new   |
 *                                  |<- > 2 smss or >= 3 islands -->|
 *
 * The edge only moves up, so each record is marked once.
 */
#include "tcp/tcp.h"

static bool is_dsack(const struct tcb *tcb, const struct seg *seg)
{
    const struct w_sack *block = seg->opt.sack;

    uint64_t most = tcb->max_wnd < tcb->bytes_acked ? tcb->max_wnd : tcb->bytes_acked;

    if (!seq_lt(block[0].start, block[0].end))
        return false;
    if (seq_lt(block[0].start, seg->ack)) /* of something that we did send, not long ago */
        return seq_leq(block[0].end, seg->ack) &&
               seq_geq(block[0].start, tcb->snd_una - (uint32_t)most);
    return seg->opt.n_sack > 1 && seq_geq(block[0].start, block[1].start) &&
           seq_leq(block[0].end, block[1].end);
}

/* Marks [start, end), which lies in the flight. */
static void mark_block(struct weir_stack *stack, struct tcb *tcb, uint32_t start, uint32_t end,
                       struct wr_sack_result *result)
{
    struct wr_sendq *q = &tcb->tx->q;
    struct wr_sent *sent = wr_sendq_find(q, start);

    if (sent != NULL && !(sent->flags & WR_SENT_SACKED) && seq_lt(sent->start, start))
        sent = wr_sendq_split(stack, q, sent, start);
    while (sent != NULL) {
        uint32_t at = sent->end;
        if (!(sent->flags & WR_SENT_SACKED)) {
            if (seq_gt(at, end)) {
                if (wr_sendq_split(stack, q, sent, end) == NULL)
                    return;
                at = end;
            }
            result->new_bytes += at - sent->start;
            wr_rate_delivered(&tcb->tx->rate, sent, at - sent->start);
            if (!(sent->flags & WR_SENT_EVER)) {
                if (sent->sent_at > result->last_sent)
                    result->last_sent = sent->sent_at;
                if (seq_leq(at, tcb->tx->recover))
                    result->original = true;
            }
            wr_sendq_mark_sacked(stack, q, sent); /* may join it with its neighbours */
        }
        if (seq_gt(at, tcb->tx->high_sacked))
            tcb->tx->high_sacked = seq_min(at, end);
        sent = seq_lt(at, end) ? wr_sendq_find(q, at) : NULL;
    }
}

void wr_sack_input(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                   uint32_t prior_una, struct wr_sack_result *result)
{
    unsigned first = 0;

    (void)prior_una;
    if (is_dsack(tcb, seg)) {
        tcb->dsack_dups++;
        result->dsack = true;
        wr_undo_dsack(tcb, seg->opt.sack[0].start, seg->opt.sack[0].end);
        first = 1;
    }
    if (seq_lt(tcb->tx->high_sacked, tcb->snd_una))
        tcb->tx->high_sacked = tcb->snd_una;
    for (unsigned i = first; i < seg->opt.n_sack; i++) {
        uint32_t start = seg->opt.sack[i].start, end = seg->opt.sack[i].end;
        if (!seq_lt(start, end) || seq_gt(end, tcb->snd_nxt) || seq_leq(end, tcb->snd_una))
            continue;
        if (seq_lt(start, tcb->snd_una)) {
            if (seg->ack == tcb->snd_una)
                continue;         /* no receiver writes that */
            start = tcb->snd_una; /* a late ACK: its lower part is acknowledged since */
        }
        mark_block(stack, tcb, start, end, result);
    }
}

/* The edge below which all is lost. */
static uint32_t find_edge(const struct tcb *tcb)
{
    const struct wr_tx *tx = tcb->tx;
    uint32_t bytes = 0, islands = 0;
    const struct wr_sent *sent = wr_sendq_find(&tx->q, tx->high_sacked - 1);

    for (; sent != NULL && seq_gt(sent->end, tx->lost_edge); sent = wr_sendq_prev(&tx->q, sent)) {
        if (!(sent->flags & WR_SENT_SACKED))
            continue;
        bytes += sent->end - sent->start;
        if (++islands >= WR_TCP_DUP_THRESH || bytes > (WR_TCP_DUP_THRESH - 1) * tcb->smss)
            return sent->start;
    }
    return tx->lost_edge;
}

uint32_t wr_sack_mark_lost(struct tcb *tcb)
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
        marked += sent->end - sent->start;
    }
    tx->lost_edge = edge;
    return marked;
}
