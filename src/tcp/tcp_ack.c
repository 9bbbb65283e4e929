/* SPDX-License-Identifier: MIT */
/*
 * The ACK side: RFC 9293 3.10.7.4 fifth check, RFC 5961 5, RFC 7323 4.
 *
 *          snd_una - max_wnd            snd_una              snd_nxt
 *     ...  |  old: counts for nothing      |  new: acceptable   |   never sent
 *     too old: challenge                                           challenge
 *
 * In order: is it acceptable; the send window; what it acknowledges and SACKs; a round-trip sample;
 * then tcp_recovery judges losses and tells congestion control, and the rest of the stack learns that
 * there is room.
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_sender.h"
#include "tcp/tcp_trace.h"

/* RFC 9293 3.10.7.4: newer by WL1/WL2, or the same and larger; Linux also takes a zero. */
static bool window_is_newer(const struct tcb *tcb, const struct seg *seg, uint32_t wnd)
{
    return seq_gt(seg->ack, tcb->snd_una) || seq_gt(seg->seq, tcb->snd_wl1) ||
           (seg->seq == tcb->snd_wl1 && (wnd > tcb->snd_wnd || wnd == 0));
}

/* True when the window changed. */
static bool update_window(struct tcb *tcb, const struct seg *seg)
{
    uint32_t wnd = wr_ack_window(tcb, seg);
    bool changed;

    if (!window_is_newer(tcb, seg, wnd))
        return false;
    tcb->snd_wl1 = seg->seq;
    changed = wnd != tcb->snd_wnd;
    tcb->snd_wnd = wnd;
    if (wnd > tcb->max_wnd)
        tcb->max_wnd = wnd;
    return changed;
}

/* A sample from the times of transmission; for ranges sent twice only timestamps tell which copy it was
 * (RFC 6298 3, RFC 7323 4.1). */
static weir_time rtt_sample(struct tcb *tcb, const struct seg *seg, const struct wr_acked *acked,
                            const struct wr_sack_result *sack, weir_time now)
{
    if (!acked->rexmitted && acked->first_sent >= 0)
        return now - acked->first_sent;
    if (acked->bytes == 0 && sack->last_sent >= 0)
        return now - sack->last_sent;
    if (acked->bytes > 0 && tcb->ts_ok && seg->opt.has_ts && seg->opt.ts_ecr != 0) {
        uint32_t ms = wr_ts_now(tcb->ts_offset, now) - seg->opt.ts_ecr;
        if (ms < 0x7fffffffu / 1000)
            return (ms > 0 ? ms : 1) * WEIR_MS;
    }
    return -1;
}

/* What congestion control goes by: the round trip of what was sent last, never of a retransmission. */
static weir_time newest_rtt(const struct wr_acked *acked, const struct wr_sack_result *sack,
                            weir_time now)
{
    weir_time last = sack->last_sent > acked->last_sent ? sack->last_sent : acked->last_sent;

    return last >= 0 ? now - last : -1;
}

/* Linux's FLAG_ACK_MAYBE_DELAYED: a lone short segment was all there was, and is acknowledged in order. */
static bool maybe_delayed(const struct tcb *tcb, const struct wr_ack_event *ev,
                          const struct wr_acked *acked)
{
    const struct wr_rate_pick *pick = tcb->tx->rate.pick;

    return acked->bytes > 0 && acked->bytes < tcb->smss && !acked->rexmitted &&
           ev->delivered == acked->bytes && pick->valid &&
           pick->sent.delivered == tcb->tx->cc.delivered_bytes;
}

/* Sequence numbers are compared modulo 2^32: one that stays behind while 2^31 bytes pass seems to lie
 * ahead, and is met again after 2^32. So all that may stay behind is taken along. */
void wr_ack_take_along(struct tcb *tcb)
{
    uint32_t una = tcb->snd_una;

    if (seq_lt(tcb->snd_up, una))
        tcb->snd_up = una;
    if (seq_lt(tcb->snd_sml, una))
        tcb->snd_sml = una;
    if (tcb->tx == NULL)
        return;
    if (seq_lt(tcb->tx->push.piece, una))
        tcb->tx->push.piece = una;
    if (seq_lt(tcb->tx->recover, una - 1)) /* stays passed: RFC 6582 3.2 (2) */
        tcb->tx->recover = una - 1;
    if (seq_lt(tcb->tx->high_sacked, una))
        tcb->tx->high_sacked = una;
    if (seq_lt(tcb->tx->lost_edge, una))
        tcb->tx->lost_edge = una;
    if (seq_lt(tcb->tx->rescue, una - 1))
        tcb->tx->rescue = una - 1;
    if (seq_lt(tcb->tx->undo.marker, una - (1u << 30))) { /* no D-SACK comes that late */
        tcb->tx->undo.marker = una;
        tcb->tx->undo.armed = false;
        tcb->tx->undo.older_unproven = 0;
    }
    if (seq_lt(tcb->tx->cwnd.usage_end, una))
        tcb->tx->cwnd.usage_end = una;
    if (seq_lt(tcb->tx->cwnd.round_end, una))
        tcb->tx->cwnd.round_end = una;
    if (seq_lt(tcb->tx->rack.end_seq, una))
        tcb->tx->rack.end_seq = una;
    if (seq_lt(tcb->tx->rack.dsack_round, una))
        tcb->tx->rack.dsack_round = una;
}

enum { STRIDE_SHIFT = 26 }; /* 64 MB, far below 2^31 and behind no window */

/* What is taken along at SND.UNA's move from `was`: of what is only ever compared with numbers of the flight it is
 * enough to do it now and then while nothing is amiss. */
static void follow(struct tcb *tcb, uint32_t was)
{
    struct wr_tx *tx = tcb->tx;

    if (tx != NULL && seq_lt(tx->push.pushed, tcb->snd_una)) /* distances from it count, too */
        tx->push.pushed = tcb->snd_una;
    if ((was ^ tcb->snd_una) >> STRIDE_SHIFT != 0 || (tx != NULL && tx->ca_state != WEIR_CA_OPEN))
        wr_ack_take_along(tcb);
}

/* SND.UNA moves to seg->ack: the ring lets go of the data. */
WR_INLINE void advance(struct weir_stack *stack, struct tcb *tcb, uint32_t ack)
{
    uint32_t data_end = seq_min(ack, tcb->write_seq), head = wr_tcb_snd_head(tcb);
    uint32_t was = tcb->snd_una;

    if (seq_gt(data_end, head)) {
        tcb->bytes_acked += data_end - head;
        wr_ring_drop(&tcb->snd_ring, &stack->alloc, data_end - head);
    }
    tcb->snd_una = ack;
    follow(tcb, was);
}

/* RFC 8985 6.2 step 2: a retransmission that left less than the shortest RTT ago cannot be what arrived; nor
 * one that left after the segment whose timestamp is echoed. (Of SACKed data the echo tells nothing.) */
static weir_time rexmit_until(const struct tcb *tcb, const struct seg *seg, bool cumulative,
                              weir_time now)
{
    weir_time until = tcb->rtt.min_rtt > 0 ? now - tcb->rtt.min_rtt : -1;

    if (cumulative && tcb->ts_ok && seg->opt.has_ts && seg->opt.ts_ecr != 0) {
        uint32_t age = wr_ts_now(tcb->ts_offset, now) - seg->opt.ts_ecr;
        weir_time tick_end = (now / WEIR_MS - (weir_time)age + 1) * WEIR_MS - 1;
        return weir_time_min(until, tick_end);
    }
    return until;
}

/* RFC 5681 2: no data, the same window as before, nothing new, something outstanding. */
static bool is_duplicate(const struct tcb *tcb, const struct seg *seg, bool window_changed)
{
    return seg->ack == tcb->snd_una && seg->len == 0 && !window_changed &&
           wr_ack_window(tcb, seg) == tcb->snd_wnd && !(seg->flags & (W_TCP_SYN | W_TCP_FIN)) &&
           wr_tcb_in_flight(tcb);
}

/* The most that is worth buffering for a near peer (tcp_rcvbuf): four times what its shortest round trip carries, or
 * the few super-segments of NEAR_SPACE; whole ones, lest each filling of the buffer ends with a short one. */
static uint64_t near_send_buffer(const struct tcb *tcb)
{
    uint64_t a_us = wr_rate_delivery_rate(&tcb->tx->rate) / 1000000;
    uint64_t flight = a_us * (uint64_t)tcb->rtt.min_rtt / WEIR_US;
    uint64_t most = 4 * flight > WR_TCP_NEAR_SPACE ? 4 * flight : WR_TCP_NEAR_SPACE;
    uint32_t mss = tcb->smss, room = UINT16_MAX - 60 - W_TCP_HLEN_MAX;
    return most - most % (mss < room ? room / mss * mss : mss);
}

WR_APART void grow_send_buffer_to(const struct weir_stack *stack, struct tcb *tcb, uint64_t want)
{
    if (tcb->opts.sndbuf_locked || wr_mem_is_pressed(stack))
        return;
    if (want > WR_TCP_NEAR_SPACE && wr_rcvbuf_is_near(stack, tcb, tcb->rtt.srtt) &&
        want > near_send_buffer(tcb))
        want = near_send_buffer(tcb);
    if (want > (uint64_t)stack->tunables.tcp_wmem_max)
        want = (uint64_t)stack->tunables.tcp_wmem_max;
    if (want > tcb->opts.sndbuf) {
        tcb->opts.sndbuf = (uint32_t)want;
        wr_ring_set_limit(&tcb->snd_ring, tcb->opts.sndbuf);
    }
}

/* Linux: the send buffer follows cwnd, twice over, so that a window of data can wait behind the one in
 * flight; three times where cwnd is used in full while a hole is repaired (BBR). */
static void grow_send_buffer(const struct weir_stack *stack, struct tcb *tcb)
{
    uint64_t windows = wr_cwnd_is_owned(tcb->tx) ? 3 : 2;
    uint64_t want = windows * tcb->tx->cc.cwnd + 2 * (uint64_t)tcb->smss;

    if (want > tcb->opts.sndbuf)
        grow_send_buffer_to(stack, tcb, want);
}

/* Acceptable by RFC 9293 and RFC 5961 5.2? If not it was answered. */
static bool acceptable(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                       weir_time now)
{
    uint64_t most = tcb->max_wnd;

    if (seq_gt(seg->ack, tcb->snd_nxt)) {
        wr_drop(stack, WR_DROP_tcp_ack_unsent);
        wr_input_challenge(stack, tcb, now);
        return false;
    }
    if (most > tcb->bytes_acked) /* nothing before our ISN was ever sent */
        most = tcb->bytes_acked;
    if (seq_lt(seg->ack, tcb->snd_una - (uint32_t)most)) {
        wr_drop(stack, WR_DROP_tcp_ack_too_old);
        wr_input_challenge(stack, tcb, now);
        return false;
    }
    return true;
}

/* What tcp_recovery and tcp_undo judge by. */
static void note_evidence(const struct tcb *tcb, const struct seg *seg,
                          const struct wr_acked *acked, const struct wr_sack_result *sack,
                          struct wr_ack_event *ev)
{
    ev->sacked = sack->new_bytes > 0;
    ev->dsack = sack->dsack;
    ev->original =
        sack->original || (acked->first_sent >= 0 && seq_leq(acked->first_end, tcb->tx->recover));
    ev->has_echo = seg->opt.has_ts;
    ev->echo = seg->opt.ts_ecr;
}

/* What the ACK says of the flight, record by record. */
static void take_in(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                    struct wr_acked *acked, struct wr_sack_result *sack, struct wr_delivery *d,
                    weir_time now)
{
    if (seq_gt(seg->ack, tcb->snd_una)) {
        if (tcb->tx != NULL && tcb->tx->q.ever_segs > 0)
            d->rexmit_until = rexmit_until(tcb, seg, true, now);
        advance(stack, tcb, seg->ack);
        if (tcb->tx != NULL)
            wr_sendq_ack(stack, &tcb->tx->q, seg->ack, acked, d);
        if (tcb->stamping)
            wr_stamp_acked(stack, tcb, now);
    }
    if (tcb->tx != NULL && seg->opt.n_sack > 0 && tcb->sack_ok) {
        d->rexmit_until = rexmit_until(tcb, seg, false, now);
        wr_sack_input(stack, tcb, seg, sack, d);
    }
}

WR_INLINE void take_rtt(struct weir_stack *stack, struct tcb *tcb, weir_time rtt, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    weir_time min_rtt = tcb->rtt.min_rtt;

    if (rtt < 0)
        return;
    wr_rtt_sample(&tcb->rtt, rtt, tcb->snd_una, tcb->snd_nxt, &stack->tunables, now);
    tx->cc.srtt = tcb->rtt.srtt;
    if (tcb->rtt.min_rtt != min_rtt)
        tx->cc.min_rtt = tcb->rtt.min_rtt;
    tx->tlp.unsampled = false;
}

/* Who was acknowledged up to a SACKed record but not over it has a peer that has thrown it away, or whose ACK
 * comes late: RFC 2018 8. */
static bool may_be_reneging(const struct tcb *tcb)
{
    const struct wr_sent *head = wr_sendq_first(&tcb->tx->q);

    return head != NULL && (head->flags & WR_SENT_SACKED);
}

/* An ACK that was overtaken moves nothing, but its SACK blocks are news all the same. */
static void old_ack(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg, weir_time now)
{
    struct wr_sack_result sack = {.last_sent = -1};
    struct wr_acked none = {.first_sent = -1, .last_sent = -1};
    struct wr_delivery delivery = {.sent_at = -1};
    uint32_t prior_fack = tcb->tx->high_sacked;
    struct wr_ack_event ev = {.prior_una = tcb->snd_una, .rtt = -1, .cc_rtt = -1};

    ev.prior_flight = tcb->snd_nxt - tcb->snd_una;
    ev.prior_pipe = wr_tcb_pipe(tcb);
    wr_rate_ack_begin(&tcb->tx->rate);
    take_in(stack, tcb, seg, &none, &sack, &delivery, now);
    if (sack.new_bytes == 0 && !sack.dsack)
        return;
    note_evidence(tcb, seg, &none, &sack, &ev);
    ev.delivered = sack.new_bytes;
    wr_rack_acked(stack, tcb, &delivery, &sack, prior_fack, now);
    wr_recovery_acked(stack, tcb, &ev, now);
    wr_timers_judged(stack, tcb, false, now);
    wr_output_kick(stack, tcb, now);
}

/* The user learns what an ACK of data has changed. */
WR_INLINE void tell_user(struct weir_stack *stack, struct tcb *tcb, bool was_writable,
                         weir_time now)
{
    bool writable;

    grow_send_buffer(stack, tcb);
    writable = wr_tcb_writable(tcb);
    if (writable)
        wr_chrono_writable(tcb, now);
    wr_chrono_acked(tcb, now);
    wr_mtup_acked(stack, tcb);
    if (!was_writable && writable)
        wr_tcb_touch(stack, tcb, WR_HAPPENED_SPACE);
    else if (tcb->snd_ring.len == 0)
        wr_tcb_touch(stack, tcb, WR_HAPPENED_NOTHING);
}

/* ---- header prediction ------------------------------------------------------------------------------- */

/* Does it acknowledge data of a flight of which nothing was SACKed, lost or sent again, and say nothing else? */
static bool is_expected(struct tcb *tcb, const struct seg *seg)
{
    return seg->ack - tcb->snd_una - 1 < tcb->snd_nxt - tcb->snd_una && seg->opt.n_sack == 0 &&
           wr_tcb_is_calm(tcb);
}

/* What the flight of such an ACK tells: as mostly of its only record, or of several. */
WR_INLINE void take_delivered(struct weir_stack *stack, struct tcb *tcb, uint32_t ack,
                              struct wr_ack_event *ev, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    const struct wr_sent *only = wr_sendq_only(&tx->q, ack);
    struct wr_acked acked = {.rate = &tx->rate};
    struct wr_delivery d = {.sent_at = -1};

    if (only == NULL) {
        wr_sendq_ack(stack, &tx->q, ack, &acked, &d);
        ev->acked_bytes = ev->delivered = acked.bytes;
        ev->rtt = now - acked.first_sent;
        ev->cc_rtt = now - acked.last_sent;
        ev->ack_delayed = maybe_delayed(tcb, ev, &acked);
        wr_rack_delivered(&tx->rack, &d, now);
        return;
    }
    ev->acked_bytes = ev->delivered = only->end - only->start;
    ev->rtt = ev->cc_rtt = now - only->sent_at;
    ev->ack_delayed = ev->delivered < tcb->smss && only->rate.delivered == tx->cc.delivered_bytes;
    wr_rate_delivered(&tx->rate, only, ev->delivered);
    wr_rack_took(&tx->rack, only->sent_at, only->order, ack, now);
    wr_sendq_drop_only(stack, &tx->q);
}

/* What is left of wr_ack_input() then: the same, in the same order, without all that could not have happened. */
static void take_expected(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                          weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    bool was_writable = wr_tcb_writable(tcb);
    struct wr_ack_event ev = {.prior_pipe = tcb->snd_nxt - tcb->snd_una};
    uint32_t snd_wnd = tcb->snd_wnd;

    tcb->last_ack_at = now;
    wr_rate_ack_begin(&tx->rate);
    wr_rate_check_unless_lost(tcb, ev.prior_pipe);
    update_window(tcb, seg);
    wr_trace_window(stack, tcb, snd_wnd);
    tcb->more = false;
    tcb->soft_error = 0;
    wr_neigh_confirm(stack, &tcb->path, now);
    advance(stack, tcb, seg->ack);
    take_delivered(stack, tcb, seg->ack, &ev, now);
    take_rtt(stack, tcb, ev.rtt, now);
    wr_timers_acked(stack, tcb, true, now);
    tx->dupacks = 0;
    wr_cwnd_acked(stack, tcb, &ev, WEIR_CA_OPEN, now);
    if (wr_tcb_in_flight(tcb))
        wr_timers_judged(stack, tcb, true, now);
    tell_user(stack, tcb, was_writable, now);
    if (wr_tcb_unsent(tcb) > 0 || tcb->want != 0 ||
        (tcb->fin_queued && tcb->snd_nxt == tcb->write_seq))
        wr_output_kick(stack, tcb, now);
}

/* Does it acknowledge nothing new because there is nothing, and is nothing left of losses before? */
static bool is_quiet(const struct tcb *tcb, const struct seg *seg)
{
    const struct wr_tx *tx = tcb->tx;

    return seg->ack == tcb->snd_una && seg->ack == tcb->snd_nxt && seg->opt.n_sack == 0 &&
           (tx == NULL || (tx->ca_state == WEIR_CA_OPEN && !tx->tlp.active && tx->rto_since == 0));
}

/* What is left of wr_ack_input() then. */
static void take_quiet(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                       weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    uint32_t snd_wnd = tcb->snd_wnd;
    bool changed;

    tcb->last_ack_at = now;
    if (tx != NULL) {
        wr_rate_ack_begin(&tx->rate);
        wr_rate_check_unless_lost(tcb, 0);
    }
    changed = update_window(tcb, seg);
    wr_trace_window(stack, tcb, snd_wnd);
    tcb->more = false;
    if (tx == NULL && changed)
        wr_output_kick(stack, tcb, now);
    wr_timers_acked(stack, tcb, false, now);
    if (tx != NULL && (wr_tcb_unsent(tcb) > 0 || tcb->want != 0 ||
                       (tcb->fin_queued && tcb->snd_nxt == tcb->write_seq)))
        wr_output_kick(stack, tcb, now);
}

/* ---- any ACK ------------------------------------------------------------------------------------------- */

WR_APART enum wr_ack_verdict take_any(struct weir_stack *stack, struct tcb *tcb, struct seg *seg,
                                      weir_time now)
{
    struct wr_sack_result sack = {.last_sent = -1};
    struct wr_acked acked = {.first_sent = -1, .last_sent = -1};
    struct wr_ack_event ev = {.prior_una = tcb->snd_una, .rtt = -1, .cc_rtt = -1};
    struct wr_delivery delivery = {.sent_at = -1};
    bool window_changed, old = seq_lt(seg->ack, tcb->snd_una), was_writable = wr_tcb_writable(tcb);
    uint32_t prior_fack = tcb->tx != NULL ? tcb->tx->high_sacked : tcb->snd_una, snd_wnd;

    wr_tcb_stirred(tcb);
    if (!acceptable(stack, tcb, seg, now))
        return WR_ACK_DROP;
    tcb->last_ack_at = now;
    if (old) {
        if (tcb->tx != NULL && seg->opt.n_sack > 0 && tcb->sack_ok)
            old_ack(stack, tcb, seg, now);
        return WR_ACK_FINE;
    }
    ev.prior_flight = tcb->snd_nxt - tcb->snd_una;
    if (tcb->tx != NULL) {
        ev.prior_pipe = wr_tcb_pipe(tcb);
        acked.rate = &tcb->tx->rate;
        wr_rate_ack_begin(acked.rate);
        wr_rate_check_app_limited(tcb);
    }
    snd_wnd = tcb->snd_wnd;
    window_changed = update_window(tcb, seg);
    wr_trace_window(stack, tcb, snd_wnd);
    tcb->more = false; /* MSG_MORE holds until the next occasion to send, as on Linux */
    ev.duplicate = is_duplicate(tcb, seg, window_changed);
    if (seq_gt(seg->ack, tcb->snd_una)) {
        tcb->soft_error = 0;
        wr_neigh_confirm(stack, &tcb->path, now);
    }
    take_in(stack, tcb, seg, &acked, &sack, &delivery, now);
    ev.acked_bytes = acked.bytes;
    ev.again = acked.rexmitted;
    if (tcb->tx == NULL) {
        if (window_changed)
            wr_output_kick(stack, tcb, now);
        wr_timers_acked(stack, tcb, false, now);
        return WR_ACK_FINE;
    }
    if (tcb->tx->ca_state != WEIR_CA_OPEN || sack.dsack || sack.new_bytes > 0)
        note_evidence(tcb, seg, &acked, &sack, &ev); /* else there is nothing to be judged */
    ev.ece = ev.prior_flight > 0 && wr_ecn_echoed(tcb, seg);
    ev.delivered = acked.fresh_bytes + sack.new_bytes;
    ev.rtt = rtt_sample(tcb, seg, &acked, &sack, now);
    ev.cc_rtt = newest_rtt(&acked, &sack, now);
    ev.ack_delayed = maybe_delayed(tcb, &ev, &acked);
    take_rtt(stack, tcb, ev.rtt, now);
    wr_timers_acked(stack, tcb, acked.bytes > 0, now);
    wr_rack_acked(stack, tcb, &delivery, &sack, prior_fack, now);
    if (wr_tlp_acked(tcb, seg->ack, &sack, ev.duplicate)) {
        wr_count(stack, WR_STAT_tcp_loss_probe_recovery);
        wr_recovery_repaired(stack, tcb, now);
    }
    if (acked.bytes > 0 || ev.duplicate || ev.sacked || ev.dsack || ev.ece)
        wr_recovery_acked(stack, tcb, &ev, now);
    wr_timers_judged(stack, tcb, acked.bytes > 0, now);
    if (acked.bytes > 0 && may_be_reneging(tcb))
        wr_timers_reneging(stack, tcb, now);
    if (tcb->tx->ca_state != WEIR_CA_LOSS)
        wr_timers_rto_recovered(tcb, tcb->tx->rto_since, now);
    if (acked.bytes > 0)
        tell_user(stack, tcb, was_writable, now);
    if (wr_tcb_unsent(tcb) > 0 || wr_sendq_lost(&tcb->tx->q) != NULL || tcb->want != 0 ||
        (tcb->fin_queued && tcb->snd_nxt == tcb->write_seq) ||
        tcb->tx->ca_state == WEIR_CA_RECOVERY)
        wr_output_kick(stack, tcb, now);
    return WR_ACK_FINE;
}

enum wr_ack_verdict wr_ack_input(struct weir_stack *stack, struct tcb *tcb, struct seg *seg,
                                 weir_time now)
{
    if (wr_may_be_short(stack) && is_expected(tcb, seg)) {
        take_expected(stack, tcb, seg, now);
        return WR_ACK_FINE;
    }
    if (wr_may_be_short(stack) && is_quiet(tcb, seg)) {
        take_quiet(stack, tcb, seg, now);
        return WR_ACK_FINE;
    }
    return take_any(stack, tcb, seg, now);
}
