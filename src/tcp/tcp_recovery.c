/* SPDX-License-Identifier: MIT */
/*
 * Loss recovery: when cwnd is reduced, what is sent again, and when all was a mistake. RFC 5681 3.2,
 * RFC 6582, RFC 6675, RFC 9937, RFC 5682, RFC 3168 6.1.2, in the states and the order of Linux.
 *
 *               ECE                         ACK above `recover`
 *      +------> CWR ---------------------------------------------+
 *      |         |                                               |
 *     OPEN <-> DISORDER ---> RECOVERY ---- SND.UNA at `recover` --+--> OPEN
 *      |   SACK, dup.    lost    |                               |
 *      +-------------------------+---> LOSS --- the same --------+
 *                          time-out
 *
 * What may be in flight is always cwnd, and what is in flight is always `pipe` (RFC 6675 3): bytes that were
 * SACKed or lost do not count, bytes sent again do. Without SACK a duplicate ACK stands for one segment that
 * has left the network (reno_sacked), so the inflation of cwnd of RFC 5681 3.2 becomes a smaller pipe, and
 * limited transmit (RFC 3042) needs no rule of its own.
 *
 * Each ACK goes through the same steps: is an episode over; was it a mistake; what is lost now; which state
 * follows; and last, how large cwnd is. A reduction covers the data that was in flight when it was made
 * (`recover` is SND.NXT of that moment): until that is acknowledged there is no second one, unless a
 * retransmission is lost after a time-out. In CWR and RECOVERY cwnd comes from tcp_prr; in LOSS it grows by
 * slow start from one segment. tcp_undo knows whether a reduction was a mistake.
 *
 * F-RTO (RFC 5682 3.1, and 2.1 without SACK). After a time-out only the first segment goes again, and what
 * comes back decides:
 *
 *     ACK of data never sent twice            the original had only been late: all is taken back
 *     ACK that just advances                  not known yet: two new segments instead of lost ones (WR_FRTO_NEW);
 *                                             if then data of the first transmission is acknowledged: as above
 *     duplicate, or SACK of the new segments  real loss: conventional recovery
 *
 * SACK marks survive a time-out, unless the peer acknowledged less than it had SACKed (reneging, RFC 2018 8).
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"
#include "tcp/tcp_trace.h"

/* ---- NewReno's part --------------------------------------------------------------------------------- */

/* Marks the first segment of the flight lost; by: WEIR_TRACE_LOST_*. */
static void lose_head(struct weir_stack *stack, struct tcb *tcb, enum weir_trace_point by)
{
    struct wr_sendq *q = &tcb->tx->q;
    struct wr_sent *head = wr_sendq_first(q);

    if (head == NULL || (head->flags & (WR_SENT_SACKED | WR_SENT_LOST)))
        return;
    if (head->end - head->start > tcb->smss)
        wr_sendq_split(stack, q, head, head->start + tcb->smss);
    wr_rate_mark_lost(tcb->tx, head);
    wr_trace_range(stack, tcb, by, head->start, head->end);
    if (seq_lt(tcb->tx->lost_edge, head->end))
        tcb->tx->lost_edge = head->end;
}

static void forget_duplicates(struct wr_tx *tx)
{
    tx->dupacks = 0;
    tx->reno_sacked = 0;
}

/* RFC 9937 6.2: an ACK delivers what it advances, less the segment a duplicate that each earlier duplicate
 * stood for; the first of them filled the hole. */
static uint32_t reno_advanced(struct tcb *tcb, uint32_t acked)
{
    struct wr_tx *tx = tcb->tx;
    uint32_t hole = acked < tcb->smss ? acked : tcb->smss;
    uint32_t fresh = acked > tx->reno_sacked ? acked - tx->reno_sacked : 0;
    uint32_t eaten = acked - hole;

    tx->reno_sacked = tx->reno_sacked > eaten ? tx->reno_sacked - eaten : 0;
    if (tx->ca_state != WEIR_CA_RECOVERY)
        forget_duplicates(tx);
    return fresh > hole ? fresh : hole;
}

/* A duplicate ACK: one more segment has arrived. Not more than were in flight (RFC 9937 6.2: ACKs that a
 * peer makes up count for nothing beyond RecoverFS). */
static uint32_t reno_duplicate(struct tcb *tcb)
{
    struct wr_tx *tx = tcb->tx;
    uint32_t flight = tcb->snd_nxt - tcb->snd_una, most, before = tx->reno_sacked;

    if (tx->ca_state == WEIR_CA_RECOVERY && tx->prr.delivered >= tx->prr.recover_fs)
        return 0;
    if (tx->dupacks < UINT8_MAX)
        tx->dupacks++;
    most = flight > tcb->smss ? flight - tcb->smss : 0; /* one segment is missing */
    if (before >= most)
        return 0;
    tx->reno_sacked = most - before > tcb->smss ? before + tcb->smss : most;
    return tx->reno_sacked - before;
}

/* Duplicate ACKs and what they deliver, for a peer without SACK; with SACK the blocks say all. */
static void count_duplicates(struct tcb *tcb, struct wr_ack_event *ev)
{
    struct wr_tx *tx = tcb->tx;

    if (tcb->sack_ok) {
        if (ev->acked_bytes > 0)
            tx->dupacks = 0; /* RFC 6675 5 */
        else if (ev->sacked && tx->dupacks < UINT8_MAX)
            tx->dupacks++;
        return;
    }
    if (ev->acked_bytes > 0)
        ev->delivered = reno_advanced(tcb, ev->acked_bytes);
    else if (ev->duplicate && (tx->ca_state != WEIR_CA_LOSS || seq_gt(tcb->snd_nxt, tx->recover)))
        ev->delivered = reno_duplicate(tcb);
}

/* ---- what is lost ------------------------------------------------------------------------------------- */

/* RFC 5681 3.2 and RFC 6582 3.2: the third duplicate, and each partial ACK, show one segment. In CWR `recover`
 * is that of the reduction, not of a recovery. */
static void reno_losses(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev)
{
    const struct wr_tx *tx = tcb->tx;

    if (tx->ca_state == WEIR_CA_RECOVERY) {
        if (ev->acked_bytes > 0)
            lose_head(stack, tcb, WEIR_TRACE_LOST_PARTIAL);
        return;
    }
    if (tx->ca_state == WEIR_CA_LOSS || tx->dupacks < tx->rack.reordering)
        return;
    if (tx->ca_state == WEIR_CA_CWR || seq_gt(tcb->snd_una, tx->recover)) /* RFC 6582 3.2 (2) */
        lose_head(stack, tcb, WEIR_TRACE_LOST_DUPACKS);
}

/* Marks what this ACK shows to be lost. */
static void detect_losses(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                          weir_time now)
{
    if (!tcb->sack_ok) {
        reno_losses(stack, tcb, ev);
        return;
    }
    if (wr_rack_is_on(stack, tcb)) {
        wr_rack_mark_lost(stack, tcb, now);
        return;
    }
    wr_sack_mark_lost(stack, tcb);
    if (tcb->tx->q.lost_bytes == 0 && tcb->tx->dupacks >= WR_TCP_DUP_THRESH)
        lose_head(stack, tcb, WEIR_TRACE_LOST_DUPACKS); /* RFC 6675 5 (1) */
}

/* ---- reductions --------------------------------------------------------------------------------------- */

/* RecoverFS of RFC 9937 6.1: in flight before the ACK that delivered so much, without what was SACKed
 * earlier. */
static uint32_t recover_fs(const struct tcb *tcb, uint32_t delivered)
{
    const struct wr_tx *tx = tcb->tx;
    uint32_t flight = tcb->snd_nxt - tcb->snd_una, gone = tx->q.sacked_bytes + tx->reno_sacked;

    return (flight > gone ? flight - gone : 0) + delivered;
}

/* FlightSize of RFC 5681 equation 4, out of what was not acknowledged: without what limited transmit sent beyond
 * cwnd (RFC 5681 3.2), and after a time-out without what is lost for long. */
static uint32_t flight_size(const struct tcb *tcb, uint32_t flight)
{
    return flight < tcb->tx->cc.cwnd ? flight : tcb->tx->cc.cwnd;
}

/* One reduction of cwnd; how it comes down is tcp_prr's business from the next step on. */
static void begin_reduction(struct tcb *tcb, const struct wr_ack_event *ev, bool by_ecn,
                            weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    tx->recover = tcb->snd_nxt;
    tx->tlp.active = false;
    wr_prr_enter(&tx->prr, recover_fs(tcb, ev->delivered));
    tx->cc_ops->on_congestion(&tx->cc, flight_size(tcb, ev->prior_flight), by_ecn, now);
    if (!wr_cwnd_is_owned(tx))
        tx->cc.cwnd = wr_tcb_pipe(tcb) + tcb->smss;
    if (tcb->ecn & WR_ECN_OK)
        tcb->ecn |= WR_ECN_REDUCED;
}

/* RFC 9937 6.4. Undone means: cwnd is what it was. */
static void end_reduction(struct tcb *tcb)
{
    struct wr_tx *tx = tcb->tx;

    if (!wr_cwnd_is_owned(tx) && (tx->ca_state == WEIR_CA_CWR || tx->undo.armed))
        tx->cc.cwnd = tx->cc.ssthresh;
}

/* RFC 3168 6.1.2: once for a window of data, and never taken back. */
static void enter_cwr(const struct weir_stack *stack, struct tcb *tcb,
                      const struct wr_ack_event *ev, weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    tx->undo.prior_ssthresh = 0;
    if (tx->ca_state >= WEIR_CA_CWR)
        return;
    tx->undo.armed = false;
    begin_reduction(tcb, ev, true, now);
    tx->ca_state = WEIR_CA_CWR;
    wr_trace(stack, tcb, WEIR_TRACE_RECOVERY_ECN);
}

static void enter_recovery(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                           weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    bool reducing = tx->ca_state == WEIR_CA_CWR;

    wr_undo_begin(tcb, ev->ece || reducing);
    if (!reducing)
        begin_reduction(tcb, ev, ev->ece, now);
    tx->recover = tcb->snd_nxt;
    tx->ca_state = WEIR_CA_RECOVERY;
    tcb->want |= WR_WANT_HEAD; /* RFC 6675 5 (4.3): the first at once */
    wr_count(stack, tcb->sack_ok ? WR_STAT_tcp_sack_recovery : WR_STAT_tcp_reno_recovery);
    wr_count(stack, WR_STAT_tcp_fast_retrans);
    wr_trace(stack, tcb, WEIR_TRACE_RECOVERY_FAST);
    wr_output_kick(stack, tcb, now);
}

/* ---- between episodes ----------------------------------------------------------------------------------- */

static bool any_rexmit_out(const struct wr_tx *tx)
{
    const struct wr_sent *head = wr_sendq_first(&tx->q);

    return tx->q.rexmit_bytes > 0 || (head != NULL && (head->flags & WR_SENT_EVER));
}

/* OPEN, or DISORDER while anything is out of the ordinary. */
static void keep_open(struct wr_tx *tx)
{
    bool disorder =
        tx->q.sacked_bytes > 0 || tx->reno_sacked > 0 || tx->q.lost_bytes > 0 || any_rexmit_out(tx);

    tx->ca_state = disorder ? WEIR_CA_DISORDER : WEIR_CA_OPEN;
}

static void try_to_open(const struct weir_stack *stack, struct tcb *tcb,
                        const struct wr_ack_event *ev, weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    wr_undo_settle(tcb);
    if (ev->ece)
        enter_cwr(stack, tcb, ev, now);
    if (tx->ca_state != WEIR_CA_CWR)
        keep_open(tx);
}

static void take_back(struct weir_stack *stack, struct tcb *tcb, bool found, enum wr_stat kind,
                      weir_time now)
{
    wr_count(stack, kind);
    wr_undo_reduction(tcb, found, now);
    wr_trace(stack, tcb,
             kind == WR_STAT_tcp_dsack_undo  ? WEIR_TRACE_RECOVERY_UNDONE_DSACK
             : kind == WR_STAT_tcp_loss_undo ? WEIR_TRACE_RECOVERY_UNDONE_RTO
                                             : WEIR_TRACE_RECOVERY_UNDONE_LATE);
}

/* D-SACKs may come when the episode is long over. */
static bool undo_by_dsack(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    if (!wr_undo_all_dsacked(tcb))
        return false;
    wr_rack_undone(&tcb->tx->rack);
    take_back(stack, tcb, false, WR_STAT_tcp_dsack_undo, now);
    return true;
}

/* What was sent again had only been late: that is reordering, though RACK did not wait long enough to see it. */
static void note_delayed(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev)
{
    if (!tcb->sack_ok)
        return;
    wr_count(stack, WR_STAT_tcp_ts_reorder);
    wr_rack_reordered_from(stack, tcb, ev->prior_una);
}

/* SND.UNA has passed all that was in flight when the episode began. */
static void finish_episode(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                           weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    if (!wr_undo_due(tcb, ev)) {
        wr_rack_recovered(&tx->rack);
    } else if (tx->ca_state == WEIR_CA_LOSS) {
        take_back(stack, tcb, false, WR_STAT_tcp_loss_undo, now);
    } else {
        note_delayed(stack, tcb, ev);
        take_back(stack, tcb, false, WR_STAT_tcp_full_undo, now);
    }
    if (!tcb->sack_ok)
        forget_duplicates(tx);
    if (tx->ca_state == WEIR_CA_RECOVERY)
        end_reduction(tcb);
    tx->frto = WR_FRTO_OFF;
    tx->ca_state = WEIR_CA_OPEN;
    wr_trace(stack, tcb, WEIR_TRACE_RECOVERY_LEFT);
}

/* CWR is held until something above `recover` is acknowledged, so that the CWR flag has arrived. */
static void finish_if_over(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                           weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    if (tx->ca_state == WEIR_CA_CWR && seq_gt(tcb->snd_una, tx->recover)) {
        end_reduction(tcb);
        tx->ca_state = WEIR_CA_OPEN;
        wr_trace(stack, tcb, WEIR_TRACE_RECOVERY_LEFT);
    } else if (tx->ca_state == WEIR_CA_RECOVERY && seq_geq(tcb->snd_una, tx->recover)) {
        finish_episode(stack, tcb, ev, now);
    }
}

/* ---- RECOVERY -------------------------------------------------------------------------------------------- */

/* A partial ACK, and it was the original that came: the segment was only late. True while copies are under way
 * still: new data goes, but nothing more is believed lost. */
static bool undo_partial(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                         weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    if (!tx->undo.armed || !wr_undo_delayed(tcb, ev))
        return false;
    note_delayed(stack, tcb, ev);
    if (tx->q.rexmit_bytes > 0)
        return true;
    wr_undo_settle(tcb);
    take_back(stack, tcb, true, WR_STAT_tcp_partial_undo, now);
    keep_open(tx);
    return false;
}

static void in_recovery(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                        weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    if (ev->acked_bytes > 0 && undo_partial(stack, tcb, ev, now))
        return;
    if (undo_by_dsack(stack, tcb, now))
        try_to_open(stack, tcb, ev, now);
    detect_losses(stack, tcb, ev, now);
    if (tx->ca_state == WEIR_CA_RECOVERY) {
        if (!tcb->sack_ok && ev->acked_bytes > 0)
            tcb->want |= WR_WANT_HEAD; /* RFC 6582 3.2 (3): the next hole at once */
    } else if (tx->q.lost_bytes > 0) {
        enter_recovery(stack, tcb, ev, now); /* late and lost, both */
    }
}

/* ---- LOSS ------------------------------------------------------------------------------------------------- */

/* The time-out was a mistake: nothing is lost, no burst of copies. */
static bool undo_loss(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                      bool by_frto, weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    if (!by_frto && !wr_undo_due(tcb, ev))
        return false;
    take_back(stack, tcb, true, WR_STAT_tcp_loss_undo, now);
    if (by_frto)
        wr_count(stack, WR_STAT_tcp_spurious_rtos);
    tcb->retransmits = 0;
    tx->frto = WR_FRTO_OFF;
    forget_duplicates(tx);
    tx->ca_state = WEIR_CA_OPEN;
    return true;
}

/* RFC 5682 3.1 (2) and (3). True when this ACK is dealt with. */
static bool frto_step(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                      weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    bool advanced = ev->acked_bytes > 0;

    tx->frto = WR_FRTO_ON;
    if (ev->original && undo_loss(stack, tcb, ev, true, now)) /* (3b) */
        return true;
    if (seq_gt(tcb->snd_nxt, tx->recover)) {
        if (ev->sacked || ev->duplicate)
            tx->frto = WR_FRTO_OFF; /* (3a) */
        return false;
    }
    if (!advanced || seq_geq(tcb->snd_una, tx->recover))
        return false;
    if (wr_tcb_unsent(tcb) > 0 && seq_gt(tcb->snd_una + tcb->snd_wnd, tcb->snd_nxt))
        tx->frto = WR_FRTO_NEW; /* (2b) */
    else
        tx->frto = WR_FRTO_OFF;
    return tx->frto == WR_FRTO_NEW;
}

static void in_loss(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                    weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    if (ev->acked_bytes > 0 && undo_loss(stack, tcb, ev, false, now))
        return;
    if (tx->frto != WR_FRTO_OFF && frto_step(stack, tcb, ev, now))
        return;
    if (seq_geq(tcb->snd_una, tx->recover))
        finish_episode(stack, tcb, ev, now);
}

bool wr_recovery_new_first(const struct tcb *tcb)
{
    return tcb->tx != NULL && tcb->tx->frto == WR_FRTO_NEW;
}

bool wr_recovery_no_new(struct tcb *tcb)
{
    struct wr_tx *tx = tcb->tx;

    if (seq_gt(tcb->snd_nxt, tx->recover))
        return false;
    tx->frto = WR_FRTO_OFF;
    return true;
}

/* ---- an ACK ------------------------------------------------------------------------------------------------ */

/* OPEN, DISORDER, CWR. */
static void in_order(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                     weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    if (tx->ca_state <= WEIR_CA_DISORDER)
        undo_by_dsack(stack, tcb, now);
    detect_losses(stack, tcb, ev, now);
    if (tx->q.lost_bytes > 0 && wr_mtup_lost(stack, tcb, now))
        return;
    if (tx->q.lost_bytes > 0)
        enter_recovery(stack, tcb, ev, now);
    else
        try_to_open(stack, tcb, ev, now);
}

/* The state machine. */
static void judge(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                  weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    uint32_t rexmit;

    if (ev->ece)
        tx->undo.prior_ssthresh = 0;
    finish_if_over(stack, tcb, ev, now);
    if (tx->ca_state == WEIR_CA_RECOVERY) {
        in_recovery(stack, tcb, ev, now);
        return;
    }
    if (tx->ca_state == WEIR_CA_LOSS) {
        in_loss(stack, tcb, ev, now);
        rexmit = tx->q.rexmit_bytes;
        detect_losses(stack, tcb, ev, now);
        if (tx->ca_state == WEIR_CA_LOSS && tx->q.rexmit_bytes >= rexmit)
            return; /* else a retransmission is lost: a new reduction */
    }
    in_order(stack, tcb, ev, now);
}

/* Nothing out of the ordinary: the state is OPEN and stays so. */
static bool is_plain(const struct tcb *tcb, const struct wr_ack_event *ev)
{
    const struct wr_tx *tx = tcb->tx;

    return tx->ca_state == WEIR_CA_OPEN && ev->acked_bytes > 0 && !ev->sacked && !ev->dsack &&
           !ev->ece && !ev->again && (tx->reno_sacked | tx->q.ever_segs) == 0;
}

void wr_recovery_acked(struct weir_stack *stack, struct tcb *tcb, struct wr_ack_event *ev,
                       weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    uint8_t was = tx->ca_state;
    uint32_t lost = tx->rate.lost;

    count_duplicates(tcb, ev);
    if (!(wr_may_be_short(stack) && is_plain(tcb, ev)))
        judge(stack, tcb, ev, now);
    wr_cwnd_acked(stack, tcb, ev, was, now);
    if ((tx->ca_state == WEIR_CA_CWR || tx->ca_state == WEIR_CA_RECOVERY) &&
        !wr_cwnd_is_owned(tx) && ev->delivered > 0)
        tx->cc.cwnd =
            wr_prr_cwnd(&tx->prr, ev->delivered, ev->acked_bytes > 0 && tx->rate.lost == lost,
                        wr_tcb_pipe(tcb), tx->cc.ssthresh, tcb->smss);
    if (tx->cc.cwnd < tcb->smss)
        tx->cc.cwnd = tcb->smss;
}

/* ---- not by an ACK ------------------------------------------------------------------------------------------ */

void wr_recovery_lost(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_ack_event ev = {.prior_flight = tcb->snd_nxt - tcb->snd_una};

    if (tx->ca_state != WEIR_CA_RECOVERY) {
        enter_recovery(stack, tcb, &ev, now);
        if (!wr_cwnd_is_owned(tx)) /* Linux: as for one segment delivered */
            tx->cc.cwnd = wr_prr_cwnd(&tx->prr, tcb->smss, false, wr_tcb_pipe(tcb), tx->cc.ssthresh,
                                      tcb->smss);
    }
    wr_output_kick(stack, tcb, now);
}

void wr_recovery_repaired(const struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_ack_event ev = {.prior_flight = tcb->snd_nxt - tcb->snd_una};

    if (tx->ca_state >= WEIR_CA_CWR)
        return;
    begin_reduction(tcb, &ev, false, now);
    tx->undo.armed = false;
    tx->undo.older_unproven = 0;
    tx->ca_state = WEIR_CA_CWR;
    end_reduction(tcb);
    wr_trace(stack, tcb, WEIR_TRACE_RECOVERY_PROBED);
    keep_open(tx);
}

/* After a time-out: what the peer does not have, and that had its time (RFC 8985 6.3); if it has reneged
 * (RFC 2018 8) all there is. */
static void lose_all(const struct weir_stack *stack, struct tcb *tcb, bool reneged, weir_time now)
{
    struct wr_sendq *q = &tcb->tx->q;
    struct wr_sent *head = wr_sendq_first(q);

    for (struct wr_sent *sent = head; sent != NULL; sent = wr_sendq_next(q, sent)) {
        if ((sent->flags & (WR_SENT_LOST | WR_SENT_REXMIT)) == WR_SENT_LOST)
            continue;
        if (!reneged && ((sent->flags & WR_SENT_SACKED) ||
                         (sent != head && wr_rack_is_young(stack, tcb, sent, now))))
            continue;
        wr_rate_mark_lost(tcb->tx, sent);
        wr_trace_range(stack, tcb, WEIR_TRACE_LOST_RTO, sent->start, sent->end);
    }
}

/* RFC 5681 3.1 equation 4, once for a window of data: not again while the same is sent again. */
static bool reduces(const struct tcb *tcb)
{
    const struct wr_tx *tx = tcb->tx;

    return tx->ca_state <= WEIR_CA_DISORDER || seq_geq(tcb->snd_una, tx->recover) ||
           (tx->ca_state == WEIR_CA_LOSS && tcb->retransmits <= 1);
}

void wr_recovery_timeout(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_sent *head = wr_sendq_first(&tx->q);
    uint32_t flight = tcb->snd_nxt - tcb->snd_una;
    uint32_t most = (uint32_t)stack->tunables.tcp_reordering;
    bool fresh = tx->ca_state < WEIR_CA_RECOVERY;
    bool reneged = head != NULL && (head->flags & WR_SENT_SACKED);

    wr_rate_check_app_limited(tcb);
    if (reneged) {
        wr_count(stack, WR_STAT_tcp_sack_reneging);
        tx->high_sacked = tcb->snd_una;
    }
    lose_all(stack, tcb, reneged, now);
    tx->tlp.active = false;
    tx->rack.reo_at = WEIR_TIME_NEVER;
    forget_duplicates(tx);
    if (reduces(tcb)) {
        wr_undo_begin(tcb, false);
        tx->cc_ops->on_rto(&tx->cc, flight_size(tcb, flight), now);
    }
    tx->cc.cwnd = wr_tcb_pipe(tcb) + tcb->smss;
    /* So much was SACKed, and it came to a time-out: reordering was thought worse than it is. */
    if (fresh && tx->q.sacked_segs >= most && tx->rack.reordering > most)
        tx->rack.reordering = most;
    tx->ca_state = WEIR_CA_LOSS;
    tx->recover = tcb->snd_nxt;
    tx->lost_edge = tcb->snd_nxt;
    if (tcb->ecn & WR_ECN_OK)
        tcb->ecn |= WR_ECN_REDUCED;
    /* RFC 5682 2.1 (1): not when a recovery of other data was under way. */
    tx->frto =
        stack->tunables.tcp_frto != 0 && (fresh || tcb->retransmits > 1) ? WR_FRTO_ON : WR_FRTO_OFF;
    tcb->want |= WR_WANT_HEAD;
    wr_trace(stack, tcb, WEIR_TRACE_RECOVERY_RTO);
}

void wr_recovery_resend(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    if (tx->ca_state != WEIR_CA_LOSS) {
        tx->undo = (struct wr_undo){.stamped = tx->undo.stamped, .rexmit_ts = tx->undo.rexmit_ts};
        tx->recover = tcb->snd_nxt;
        tx->frto = WR_FRTO_OFF;
        tx->ca_state = WEIR_CA_LOSS;
        wr_trace(stack, tcb, WEIR_TRACE_RECOVERY_RESEND);
    }
    wr_output_kick(stack, tcb, now);
}

/* RFC 1191 6.4. The window is as it was: no less data may be in flight, only in smaller segments (Linux). */
void wr_recovery_too_big(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    bool any = false;

    if (tx == NULL)
        return;
    for (struct wr_sent *sent = wr_sendq_first(&tx->q); sent != NULL;
         sent = wr_sendq_next(&tx->q, sent)) {
        bool queued = (sent->flags & WR_SENT_LOST) && !(sent->flags & WR_SENT_REXMIT);
        if ((sent->flags & WR_SENT_SACKED) || queued || sent->mss <= tcb->smss ||
            sent->end - sent->start <= tcb->smss)
            continue;
        wr_rate_mark_lost(tx, sent);
        wr_trace_range(stack, tcb, WEIR_TRACE_LOST_TOO_BIG, sent->start, sent->end);
        any = true;
    }
    if (any)
        wr_recovery_resend(stack, tcb, now);
}

/* ---- NextSeg (3) and (4) --------------------------------------------------------------------------------- */

struct wr_sent *wr_recovery_next(struct weir_stack *stack, struct tcb *tcb)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_sent *sent;

    if (!tcb->sack_ok || wr_rack_is_on(stack, tcb)) /* RACK and TLP need no guess */
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
