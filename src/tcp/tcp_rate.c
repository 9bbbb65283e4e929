/* SPDX-License-Identifier: MIT */
/*
 * Delivery rate: how fast does the network deliver what we send (draft-cheng-iccrg-delivery-rate-estimation, in
 * the form that Linux gave it).
 *
 * Each record carries away what was delivered when it left. When it is itself delivered, the difference
 * is what was delivered within its round trip:
 *
 *      sent:                 first_sent_at        sent_at
 *     --------------------------|--------------------|-------------------------------> t
 *      delivered:       delivered_at                                          now
 *     ----------------------|--------------------------------------------------|----> t
 *                           |<---------------- delivered in between ---------->|
 *
 *     rate = delivered / max(sent_at - first_sent_at, now - delivered_at)
 *
 * The longer of the two spans, because data cannot be delivered faster than it was sent, though ACKs
 * may come compressed, nor than it is acknowledged, though it may be sent in a burst. An interval below
 * the minimal RTT is such a compression and no sample.
 *
 * A sample of data sent while the application left cwnd unused says what the application does, and
 * not what the path can: it counts only when it shows more than was known. `app_limited` is the mark on
 * the count of delivered bytes at which the data sent under that regime has arrived.
 *
 * Of all that one ACK delivers the record sent last gives the sample: its span is the most recent.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"

/* ---- sending ------------------------------------------------------------------------------------ */

void wr_rate_sent(struct tcb *tcb, struct wr_sent *sent, uint32_t pipe, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_rate *rate = &tx->rate;

    /* Nothing else in flight: spans begin now, and not in the idle time before. */
    if (sent->start == tcb->snd_una && sent->end == tcb->snd_nxt && !(sent->flags & WR_SENT_EVER))
        rate->first_sent_at = rate->delivered_at = now;
    sent->rate = (struct wr_sent_rate){.first_sent_at = rate->first_sent_at,
                                       .delivered_at = rate->delivered_at,
                                       .delivered = tx->cc.delivered_bytes,
                                       .delivered_ce = rate->delivered_ce,
                                       .lost = rate->lost,
                                       .in_flight = pipe,
                                       .app_limited = rate->app_limited != 0};
}

void wr_rate_limit(struct tcb *tcb)
{
    wr_rate_limit_at(tcb->tx, wr_tcb_pipe(tcb));
}

void wr_rate_check_app_limited(struct tcb *tcb)
{
    const struct wr_tx *tx = tcb->tx;

    if (tx != NULL && tx->q.lost_bytes <= tx->q.rexmit_bytes)
        wr_rate_check_unless_lost(tcb, wr_tcb_pipe(tcb));
}

/* ---- delivery ------------------------------------------------------------------------------------- */

void wr_rate_ack_begin(struct wr_rate *rate)
{
    rate->pick->valid = false;
    rate->pick->prior_segments = rate->segments;
}

void wr_rate_delivered(struct wr_rate *rate, const struct wr_sent *sent, uint32_t bytes)
{
    struct wr_rate_pick *pick = rate->pick;

    rate->segments += bytes <= sent->mss ? 1 : (bytes + sent->mss - 1) / sent->mss;
    if (pick->valid && (sent->sent_at < rate->first_sent_at ||
                        (sent->sent_at == rate->first_sent_at && seq_leq(sent->end, pick->end))))
        return;
    pick->valid = true;
    pick->sent = sent->rate;
    pick->end = sent->end;
    pick->rexmitted = (sent->flags & WR_SENT_EVER) != 0;
    pick->send_interval = sent->sent_at - sent->rate.first_sent_at;
    rate->first_sent_at = sent->sent_at;
}

void wr_rate_mark_lost(struct wr_tx *tx, struct wr_sent *sent)
{
    struct weir_cc_loss loss = {.start = sent->start,
                                .bytes = sent->end - sent->start,
                                .tx_in_flight = sent->rate.in_flight,
                                .app_limited = sent->rate.app_limited};

    wr_sendq_mark_lost(&tx->q, sent);
    tx->rate.lost += loss.bytes;
    loss.lost_since_sent = tx->rate.lost - sent->rate.lost;
    if (tx->cc_ops->on_loss != NULL)
        tx->cc_ops->on_loss(&tx->cc, &loss);
}

/* Remembers it for TCP_INFO, unless the application made it low. */
static void keep(struct wr_rate *rate, uint64_t delivered, weir_time interval, bool app_limited)
{
    uint64_t us = (uint64_t)(interval / WEIR_US),
             last_us = (uint64_t)(rate->last_interval / WEIR_US);

    if (app_limited && delivered * last_us < rate->last_delivered * us)
        return;
    rate->last_delivered = delivered;
    rate->last_interval = interval;
    rate->last_app_limited = app_limited;
}

weir_time wr_rate_acked(struct tcb *tcb, uint32_t delivered, bool ece, bool reneged, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_rate *rate = &tx->rate;
    const struct wr_rate_pick *pick = rate->pick;
    weir_time interval = -1;

    tx->cc.delivered_bytes += delivered;
    if (ece) { /* Linux: all that an ACK with ECE delivers */
        rate->delivered_ce += delivered;
        rate->segments_ce += rate->segments - rate->pick->prior_segments;
    }
    if (rate->app_limited != 0 && tx->cc.delivered_bytes > rate->app_limited) {
        rate->app_limited = 0;
        tx->cc.app_limited = false;
    }
    rate->lost_told = rate->lost;
    if (pick->valid && !reneged) {
        interval = now - pick->sent.delivered_at;
        if (pick->send_interval > interval)
            interval = pick->send_interval;
        if (interval <= 0 || interval < tcb->rtt.min_rtt)
            interval = -1;
        else
            keep(rate, tx->cc.delivered_bytes - pick->sent.delivered, interval,
                 pick->sent.app_limited);
    }
    if (delivered > 0)
        rate->delivered_at = now;
    return interval;
}

void wr_rate_sample(struct tcb *tcb, uint32_t delivered, bool ece, bool reneged,
                    struct weir_cc_ack *ack, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_rate *rate = &tx->rate;
    const struct wr_rate_pick *pick = rate->pick;

    ack->lost_bytes = rate->lost - rate->lost_told;
    ack->interval = wr_rate_acked(tcb, delivered, ece, reneged, now);
    ack->has_sample = pick->valid && !reneged;
    if (!ack->has_sample) {
        ack->sample_app_limited = ack->sample_rexmitted = false;
        ack->sample_tx_in_flight = 0;
        ack->prior_delivered = ack->sample_delivered = ack->sample_delivered_ce = 0;
        ack->sample_lost = 0;
    } else {
        ack->sample_app_limited = pick->sent.app_limited;
        ack->sample_rexmitted = pick->rexmitted;
        ack->sample_tx_in_flight = pick->sent.in_flight;
        ack->prior_delivered = pick->sent.delivered;
        ack->sample_delivered = tx->cc.delivered_bytes - pick->sent.delivered;
        ack->sample_delivered_ce = rate->delivered_ce - pick->sent.delivered_ce;
        ack->sample_lost = rate->lost - pick->sent.lost;
    }
}

uint64_t wr_rate_delivery_rate(const struct wr_rate *rate)
{
    return rate->last_interval > 0
               ? rate->last_delivered * (uint64_t)WEIR_SEC / (uint64_t)rate->last_interval
               : 0;
}
