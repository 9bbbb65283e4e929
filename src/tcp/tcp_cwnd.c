/* SPDX-License-Identifier: MIT */
/*
 * What congestion control is told, and how much of cwnd is believed.
 *
 * cwnd may grow only while it is what holds the sender back: a window that was never filled has not been
 * tested (RFC 9293 3.8.2, RFC 7661 4). As on Linux that is judged once a window of data:
 *
 *     limited      cwnd was full, or held data back, at some moment of this window
 *     max_out      else the most that was in flight; in slow start cwnd may become twice that
 *
 * What was believed goes stale. A sender that for an RTO used less than cwnd, with nothing else to stop
 * it, takes cwnd half the way down to what it used (RFC 2861 3.2); one that was silent for longer than
 * an RTO halves it for each RTO, down to the initial window (RFC 5681 4.1, RFC 2861 3.1). ssthresh keeps 3/4
 * of the old cwnd, so that slow start finds the way back. tcp_slow_start_after_idle = 0 turns both off;
 * algorithms that own cwnd have their own ways.
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"

static bool is_limited(const struct wr_tx *tx)
{
    return tx->cwnd.limited ||
           (tx->cc.cwnd < tx->cc.ssthresh && tx->cc.cwnd < 2 * (uint64_t)tx->cwnd.max_out);
}

static void keep_ssthresh(struct wr_tx *tx)
{
    uint32_t three_quarters = tx->cc.cwnd / 4 * 3;

    if (tx->ca_state != WEIR_CA_CWR && tx->ca_state != WEIR_CA_RECOVERY &&
        tx->cc.ssthresh < three_quarters)
        tx->cc.ssthresh = three_quarters;
}

/* Linux's tcp_cwnd_application_limited(). */
WR_APART void shrink_unused(struct tcb *tcb, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    uint32_t least = WR_TCP_IW_SEGMENTS * tcb->smss;
    uint32_t used = tx->cwnd.used > least ? tx->cwnd.used : least;

    /* Limited by the send buffer is limited by TCP, not by the application. */
    if (tx->ca_state == WEIR_CA_OPEN && wr_tcb_writable(tcb)) {
        if (used < tx->cc.cwnd) {
            keep_ssthresh(tx);
            tx->cc.cwnd = used + (tx->cc.cwnd - used) / 2;
        }
        tx->cwnd.used = 0;
    }
    tx->cwnd.used_at = now;
}

void wr_cwnd_used(struct weir_stack *stack, struct tcb *tcb, uint32_t pipe, bool denied,
                  weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_cwnd *cwnd = &tx->cwnd;
    uint32_t out = tcb->snd_nxt - tcb->snd_una;
    bool limited = denied || pipe + tcb->smss > tx->cc.cwnd;

    cwnd->restarted = cwnd->restarted && denied;
    if (limited || seq_geq(tcb->snd_una, cwnd->usage_end) ||
        (!cwnd->limited && out > cwnd->max_out)) {
        cwnd->limited = limited;
        cwnd->max_out = out;
        cwnd->usage_end = tcb->snd_nxt;
    }
    if (is_limited(tx)) {
        cwnd->used = 0;
        cwnd->used_at = now;
        return;
    }
    if (out > cwnd->used)
        cwnd->used = out;
    if (stack->tunables.tcp_slow_start_after_idle && now - cwnd->used_at >= tcb->rtt.rto &&
        !wr_cwnd_is_owned(tx))
        shrink_unused(tcb, now);
}

void wr_cwnd_restart(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    weir_time idle = now - tx->last_sent_at, rto = tcb->rtt.rto;
    uint32_t least = WR_TCP_IW_SEGMENTS * tcb->smss, cwnd = tx->cc.cwnd;

    if (tx->last_sent_at == 0 || tx->cwnd.restarted)
        return;
    tx->cwnd.restarted = true;
    if (tx->cc_ops->on_idle != NULL)
        tx->cc_ops->on_idle(&tx->cc, idle, now);
    if (tx->pace.on)
        wr_pace_update(stack, tcb);
    if (idle <= rto || !stack->tunables.tcp_slow_start_after_idle || wr_cwnd_is_owned(tx))
        return;
    keep_ssthresh(tx);
    if (least > cwnd)
        least = cwnd;
    while ((idle -= rto) > 0 && cwnd > least)
        cwnd /= 2;
    tx->cc.cwnd = cwnd > least ? cwnd : least;
    tx->cwnd.used = 0;
    tx->cwnd.used_at = now;
}

static bool begins_round(struct tcb *tcb)
{
    struct wr_tx *tx = tcb->tx;

    if (seq_lt(tcb->snd_una, tx->cwnd.round_end))
        return false;
    tx->cwnd.round_end = tcb->snd_nxt;
    return true;
}

static bool comes_down(uint8_t ca_state)
{
    return ca_state == WEIR_CA_CWR || ca_state == WEIR_CA_RECOVERY;
}

/* While cwnd comes down it is tcp_prr's. The ACK that ends that sets it and does not raise it, unless all was a
 * mistake; nor do duplicates, RFC 3042 2. */
static bool may_grow(const struct wr_tx *tx, const struct wr_ack_event *ev, uint8_t was)
{
    return is_limited(tx) && ev->acked_bytes > 0 && !comes_down(tx->ca_state) &&
           (!comes_down(was) || (was == WEIR_CA_RECOVERY && !tx->undo.armed));
}

WR_APART void tell(struct tcb *tcb, const struct wr_ack_event *ev, uint8_t was, bool limited,
                   weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    struct weir_cc_ack ack; /* each of its fields is set, here and by the sample */

    ack.acked_bytes = ev->delivered;
    ack.prior_in_flight_bytes = ev->prior_pipe;
    ack.in_flight_bytes = wr_tcb_pipe(tcb);
    ack.rtt = ev->cc_rtt;
    ack.ca_state = tx->ca_state;
    ack.ece = ev->ece;
    ack.ack_delayed = ev->ack_delayed;
    ack.in_recovery = was >= WEIR_CA_RECOVERY || tx->ca_state >= WEIR_CA_RECOVERY;
    wr_rate_sample(tcb, ev->delivered, ev->ece, false, &ack, now);
    ack.cwnd_limited = wr_cwnd_is_owned(tx) ? tx->cwnd.limited : limited;
    ack.round_start = begins_round(tcb);
    if (ev->delivered == 0 && (ack.lost_bytes == 0 || !wr_cwnd_is_owned(tx)))
        return;
    tx->cc_ops->on_ack(&tx->cc, &ack, now);
    if (tx->cc.cwnd < tcb->smss)
        tx->cc.cwnd = tcb->smss;
    if (tx->cc.throttled)
        wr_rate_limit(tcb);
}

void wr_cwnd_acked(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                   uint8_t was, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    bool limited = may_grow(tx, ev, was);

    if (limited || !(tx->cc_ops->flags & WEIR_CC_LIMITED) || !wr_may_be_short(stack)) {
        tell(tcb, ev, was, limited, now);
    } else {
        wr_rate_acked(tcb, ev->delivered, ev->ece, false, now);
        begins_round(tcb);
    }
    if (tx->pace.on)
        wr_pace_update(stack, tcb);
}
