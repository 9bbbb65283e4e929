/* SPDX-License-Identifier: MIT */
/*
 * Loss recovery: RFC 5681 3.2, RFC 6582 (NewReno), RFC 6675 (SACK), RFC 6298 5, RFC 3042.
 *
 *             duplicate or SACK            third duplicate, or a byte is lost
 *     OPEN  -------------------> DISORDER ------------------------------------> RECOVERY
 *      ^ ^                                                                        |  |
 *      | +------------------------ SND.UNA passes `recover` ---------------------+  | RTO
 *      +------------------------------ the same ------------------------- LOSS <----+
 *
 * What may be in flight is always cwnd, and what is in flight is always `pipe` (RFC 6675 3): bytes that
 * were SACKed or lost do not count, bytes sent again do. Without SACK a duplicate ACK stands for one
 * segment that has left the network (reno_sacked), so the inflation of cwnd of RFC 5681 3.2 becomes a
 * smaller pipe, and limited transmit (RFC 3042) needs no rule of its own.
 *
 * In RECOVERY cwnd was reduced once, by congestion control. A partial ACK without SACK shows the next hole
 * (RFC 6582 3.2). After a time-out everything not SACKed is lost and sent again in order while cwnd
 * grows from one segment; SACK marks are kept, unless the peer acknowledged less than it had SACKed
 * (reneging, RFC 2018 8), as on Linux.
 */
#include "tcp/tcp.h"

/* Marks the first segment of the flight lost. */
static void lose_head(struct weir_stack *stack, struct tcb *tcb)
{
    struct wr_sendq *q = &tcb->tx->q;
    struct wr_sent *head = wr_sendq_first(q);

    if (head == NULL || (head->flags & (WR_SENT_SACKED | WR_SENT_LOST)))
        return;
    if (head->end - head->start > tcb->smss)
        wr_sendq_split(stack, q, head, head->start + tcb->smss);
    wr_rate_mark_lost(tcb->tx, head);
    if (seq_lt(tcb->tx->lost_edge, head->end))
        tcb->tx->lost_edge = head->end;
}

static void enter_recovery(struct weir_stack *stack, struct tcb *tcb, uint32_t flight,
                           weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    tx->ca_state = WEIR_CA_RECOVERY;
    tx->recover = tcb->snd_nxt;
    tx->cc_ops->on_congestion(&tx->cc, flight, false, now);
    if (tx->cc.cwnd < tcb->smss)
        tx->cc.cwnd = tcb->smss;
    if (tx->q.lost_bytes == 0)
        lose_head(stack, tcb);
    tcb->want |= WR_WANT_HEAD; /* RFC 6675 5 (4.3): the first at once */
    wr_count(stack, WR_STAT_tcp_fast_retrans);
    wr_output_kick(stack, tcb, now);
}

static void leave(struct tcb *tcb, uint8_t from)
{
    struct wr_tx *tx = tcb->tx;
    uint32_t flight = tcb->snd_nxt - tcb->snd_una;

    tx->ca_state = WEIR_CA_OPEN;
    tx->dupacks = 0;
    tx->reno_sacked = 0;
    if (from == WEIR_CA_RECOVERY && !tcb->sack_ok) { /* RFC 6582 3.2 (3): no burst */
        uint32_t most = (flight > tcb->smss ? flight : tcb->smss) + tcb->smss;
        if (tx->cc.cwnd > most)
            tx->cc.cwnd = most;
    }
}

static void count_duplicate(struct tcb *tcb, const struct wr_ack_event *ev)
{
    struct wr_tx *tx = tcb->tx;
    uint32_t flight = tcb->snd_nxt - tcb->snd_una;

    if (tcb->sack_ok) {
        if (ev->acked_bytes > 0)
            tx->dupacks = 0; /* RFC 6675 5 */
        else if (ev->sacked && tx->dupacks < UINT8_MAX)
            tx->dupacks++;
        return;
    }
    if (ev->acked_bytes > 0) {
        uint32_t beyond = ev->acked_bytes > tcb->smss ? ev->acked_bytes - tcb->smss : 0;
        if (tx->ca_state != WEIR_CA_RECOVERY) {
            tx->dupacks = 0;
            tx->reno_sacked = 0;
        } else {
            tx->reno_sacked = tx->reno_sacked > beyond ? tx->reno_sacked - beyond : 0;
        }
    } else if (ev->duplicate && tx->ca_state != WEIR_CA_LOSS) {
        if (tx->dupacks < UINT8_MAX)
            tx->dupacks++;
        tx->reno_sacked += tcb->smss;
    }
    if (tx->reno_sacked + tcb->smss > flight) /* one segment is missing */
        tx->reno_sacked = flight > tcb->smss ? flight - tcb->smss : 0;
}

static bool recovery_is_due(struct tcb *tcb)
{
    const struct wr_tx *tx = tcb->tx;
    uint32_t newly_lost = tcb->sack_ok ? wr_sack_mark_lost(tcb) : 0;

    if (newly_lost > 0)
        return true;
    if (tx->dupacks < WR_TCP_DUP_THRESH)
        return false;
    return tcb->sack_ok || seq_gt(tcb->snd_una, tx->recover); /* RFC 6582 3.2 (2) */
}

static void in_recovery(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev)
{
    if (tcb->sack_ok) {
        wr_sack_mark_lost(tcb);
    } else if (ev->acked_bytes > 0) {
        lose_head(stack, tcb);
        tcb->want |= WR_WANT_HEAD;
    }
}

void wr_recovery_acked(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                       weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    uint8_t was = tx->ca_state;

    count_duplicate(tcb, ev);
    switch (tx->ca_state) {
    case WEIR_CA_RECOVERY:
        if (seq_geq(tcb->snd_una, tx->recover))
            leave(tcb, WEIR_CA_RECOVERY);
        else
            in_recovery(stack, tcb, ev);
        break;
    case WEIR_CA_LOSS:
        if (tcb->sack_ok)
            wr_sack_mark_lost(tcb);
        if (seq_geq(tcb->snd_una, tx->recover))
            leave(tcb, WEIR_CA_LOSS);
        break;
    default:
        if (recovery_is_due(tcb))
            enter_recovery(stack, tcb, ev->prior_flight, now);
        else
            tx->ca_state =
                tx->q.sacked_bytes > 0 || tx->reno_sacked > 0 ? WEIR_CA_DISORDER : WEIR_CA_OPEN;
        break;
    }
    wr_cwnd_acked(stack, tcb, ev, was, now);
}

void wr_recovery_lost(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    if (tcb->tx->ca_state < WEIR_CA_RECOVERY)
        enter_recovery(stack, tcb, tcb->snd_nxt - tcb->snd_una, now);
    else
        wr_output_kick(stack, tcb, now);
}

void wr_recovery_repaired(struct tcb *tcb, weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    if (tx->ca_state >= WEIR_CA_CWR)
        return;
    tx->cc_ops->on_congestion(&tx->cc, tcb->snd_nxt - tcb->snd_una, false, now);
}

/* ---- time-out ------------------------------------------------------------------------------------- */

static void forget_sacks(struct wr_sendq *q)
{
    for (struct wr_sent *sent = wr_sendq_first(q); sent != NULL; sent = wr_sendq_next(q, sent))
        wr_sendq_unmark(q, sent, WR_SENT_SACKED);
}

static void lose_all(struct wr_tx *tx)
{
    struct wr_sendq *q = &tx->q;

    for (struct wr_sent *sent = wr_sendq_first(q); sent != NULL; sent = wr_sendq_next(q, sent)) {
        if (sent->flags & WR_SENT_SACKED)
            continue;
        wr_sendq_unmark(q, sent, WR_SENT_LOST | WR_SENT_REXMIT); /* the list is in order again */
        wr_rate_mark_lost(tx, sent);
    }
}

void wr_recovery_timeout(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_sent *head = wr_sendq_first(&tx->q);
    uint32_t flight = tcb->snd_nxt - tcb->snd_una;

    (void)stack;
    wr_rate_check_app_limited(tcb);
    if (head != NULL && (head->flags & WR_SENT_SACKED)) {
        forget_sacks(&tx->q); /* RFC 2018 8 */
        tx->high_sacked = tcb->snd_una;
    }
    /* RFC 5681 3.1 equation 4, once for a window of data. */
    if (tx->ca_state <= WEIR_CA_CWR || seq_geq(tcb->snd_una, tx->recover) ||
        (tx->ca_state == WEIR_CA_LOSS && tcb->retransmits <= 1))
        tx->cc_ops->on_rto(&tx->cc, flight, now);
    tx->cc.cwnd = tcb->smss;
    lose_all(tx);
    tx->ca_state = WEIR_CA_LOSS;
    tx->recover = tcb->snd_nxt;
    tx->lost_edge = tcb->snd_nxt;
    tx->dupacks = 0;
    tx->reno_sacked = 0;
    tcb->want |= WR_WANT_HEAD;
}

void wr_recovery_too_big(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_sendq *q = tcb->tx != NULL ? &tcb->tx->q : NULL;
    bool any = false;

    if (q == NULL)
        return;
    for (struct wr_sent *sent = wr_sendq_first(q); sent != NULL; sent = wr_sendq_next(q, sent)) {
        bool queued = (sent->flags & WR_SENT_LOST) && !(sent->flags & WR_SENT_REXMIT);
        if ((sent->flags & WR_SENT_SACKED) || queued || sent->mss <= tcb->smss ||
            sent->end - sent->start <= tcb->smss)
            continue;
        wr_rate_mark_lost(tcb->tx, sent);
        any = true;
    }
    if (any)
        wr_output_kick(stack, tcb, now);
}

/* ---- NextSeg (3) and (4) --------------------------------------------------------------------------------- */

struct wr_sent *wr_recovery_next(struct weir_stack *stack, struct tcb *tcb)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_sent *sent;

    if (!tcb->sack_ok)
        return NULL;
    /* (3): between lost_edge and the highest SACK, not known to be lost. Once sent again it is below the
     * edge. */
    while (seq_lt(tx->lost_edge, tx->high_sacked)) {
        sent = wr_sendq_find(&tx->q, tx->lost_edge);
        if (sent == NULL)
            break;
        tx->lost_edge = sent->end;
        if (!(sent->flags & (WR_SENT_SACKED | WR_SENT_LOST)))
            return sent;
    }
    /* (4): one rescue a recovery, with the highest byte sent, so that an ACK comes. */
    if (seq_geq(tx->rescue, tx->recover) || seq_lt(tcb->snd_una, tx->rescue))
        return NULL;
    sent = wr_sendq_find(&tx->q, tx->recover - 1);
    if (sent == NULL || (sent->flags & (WR_SENT_SACKED | WR_SENT_LOST)))
        return NULL;
    tx->rescue = tx->recover;
    if (sent->end - sent->start > tcb->smss) {
        struct wr_sent *tail = wr_sendq_split(stack, &tx->q, sent, sent->end - tcb->smss);
        if (tail != NULL)
            sent = tail;
    }
    return sent;
}
