/* SPDX-License-Identifier: MIT */
/*
 * When to acknowledge: RFC 9293 3.8.6.3, RFC 5681 4.2, in Linux's form.
 *
 * An ACK leaves at once
 *   - for the first up to 16 segments of a flow, and after a pause longer than an RTO (quick ACKs: the
 *     sender is in slow start and waits for them);
 *   - when more than one full segment is unacknowledged and the reader keeps up;
 *   - for anything out of order, a duplicate, a filled hole, a FIN (others call wr_output_want_ack).
 * Else it waits for data to ride on, at most `ato`: 40 ms at first, then following the gaps between
 * arrivals, up to 200 ms. When the timer fires ato doubles: it was too short to catch a ride.
 * When data is sent soon after data came, the connection is interactive (pingpong), and quick ACKs are
 * not used.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_trace.h"

void wr_delack_init(struct tcb *tcb)
{
    uint32_t hint = tcb->adv_mss < tcb->smss ? tcb->adv_mss : tcb->smss;

    if (hint > tcb->rcv_wnd / 2)
        hint = tcb->rcv_wnd / 2;
    if (hint > WR_TCP_MSS_V4)
        hint = WR_TCP_MSS_V4;
    tcb->delack.rcv_mss = hint > 88 ? hint : 88;
}

void wr_delack_quick(struct tcb *tcb, unsigned most)
{
    uint32_t quick = tcb->rcv_wnd / (2 * tcb->delack.rcv_mss);

    if (quick == 0)
        quick = 2;
    if (quick > most)
        quick = most;
    if (quick > tcb->delack.quick)
        tcb->delack.quick = (uint8_t)quick;
}

void wr_delack_enter_quick(struct tcb *tcb)
{
    wr_delack_quick(tcb, WR_TCP_MAX_QUICKACKS);
    tcb->delack.pingpong = false;
    tcb->delack.ato = WR_TCP_ATO_MIN;
}

static bool in_quick_mode(const struct tcb *tcb)
{
    return tcb->delack.quick > 0 && !tcb->delack.pingpong;
}

/* The peer's segment size as seen: it decides what "every second full segment" means. */
static void measure_mss(struct tcb *tcb, const struct seg *seg)
{
    struct wr_delack *d = &tcb->delack;
    uint32_t len = seg->wire_mss;

    if (len >= d->rcv_mss) {
        d->rcv_mss = len < tcb->adv_mss ? len : tcb->adv_mss;
    } else {
        /* Two short segments of the same size without a push: that is its size now. */
        if (len >= WR_TCP_MSS_V4 && !(seg->flags & W_TCP_PSH)) {
            if (len == d->last_len)
                d->rcv_mss = len;
            d->last_len = (uint16_t)len;
        }
        if (d->pending & WR_ACK_PUSHED)
            d->pending |= WR_ACK_PUSHED2;
        d->pending |= WR_ACK_PUSHED;
    }
}

void wr_delack_data_received(struct tcb *tcb, const struct seg *seg, weir_time now)
{
    struct wr_delack *d = &tcb->delack;
    weir_time gap = now - d->last_at;

    d->pending |= WR_ACK_SCHED;
    measure_mss(tcb, seg);
    if (d->ato == 0) {
        wr_delack_quick(tcb, WR_TCP_MAX_QUICKACKS);
        d->ato = WR_TCP_ATO_MIN;
    } else if (gap <= WR_TCP_ATO_MIN / 2) {
        d->ato = d->ato / 2 + WR_TCP_ATO_MIN / 2;
    } else if (gap < d->ato) {
        d->ato = weir_time_min(d->ato / 2 + gap, tcb->rtt.rto);
    } else if (gap > tcb->rtt.rto) {
        wr_delack_quick(tcb, WR_TCP_MAX_QUICKACKS);
    }
    d->last_at = now;
}

static void delay(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_delack *d = &tcb->delack;
    weir_time wait = d->ato;

    if (wait > WR_TCP_ATO_MIN) {
        weir_time most = 500 * WEIR_MS;
        if (d->pingpong || (d->pending & WR_ACK_PUSHED))
            most = WR_TCP_DELACK_MAX;
        if (tcb->rtt.srtt != 0) {
            weir_time rtt = tcb->rtt.srtt > WR_TCP_ATO_MIN ? tcb->rtt.srtt : WR_TCP_ATO_MIN;
            most = weir_time_min(most, rtt);
        }
        wait = weir_time_min(wait, most);
    }
    wait = weir_time_min(wait, WR_TCP_DELACK_MAX);
    if (tcb->delack_at != WEIR_TIME_NEVER) {
        if (tcb->delack_at <= now + wait / 4) { /* nearly due: now is as good */
            wr_output_want_ack(stack, tcb, false, now);
            return;
        }
        wait = weir_time_min(wait, tcb->delack_at - now);
    }
    wr_timers_delay_ack(stack, tcb, now + wait);
}

void wr_delack_check(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    uint32_t owed = tcb->rcv_nxt - tcb->rcv_wup;

    if (!(tcb->delack.pending & WR_ACK_SCHED) || (tcb->want & WR_WANT_ACK))
        return;
    if (owed > tcb->delack.rcv_mss &&
        (tcb->rcv_ring.len < tcb->opts.rcvlowat || wr_reasm_window_free(tcb) >= tcb->rcv_wnd)) {
        wr_output_want_ack(stack, tcb, false, now);
        return;
    }
    if (in_quick_mode(tcb))
        wr_output_want_ack(stack, tcb, false, now);
    else
        delay(stack, tcb, now);
}

void wr_delack_defer(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    tcb->delack.pending |= WR_ACK_SCHED;
    wr_delack_enter_quick(tcb);
    wr_timers_delay_ack(stack, tcb, now + WR_TCP_DELACK_MAX);
}

void wr_delack_ack_sent(struct tcb *tcb)
{
    struct wr_delack *d = &tcb->delack;

    if (d->quick > 0 && --d->quick == 0)
        d->ato = WR_TCP_ATO_MIN;
    d->pending = 0;
    tcb->delack_at = WEIR_TIME_NEVER;
    tcb->want &= (uint8_t)~WR_WANT_ACK;
}

/* Data that takes the ACK of the SYN-ACK along was waiting for the connection: an answer will come, and
 * is not acknowledged at once (Linux: sk_write_pending). */
static bool with_handshake(const struct tcb *tcb, weir_time now)
{
    return tcb->delack.ato == 0 && !tcb->passive && (tcb->want & WR_WANT_ACK) &&
           tcb->delack.last_at == now;
}

void wr_delack_data_sent(struct tcb *tcb, weir_time now)
{
    if (with_handshake(tcb, now)) {
        tcb->delack.ato = WR_TCP_ATO_MIN;
        tcb->delack.pingpong = true;
        return;
    }
    if (tcb->delack.ato != 0 && now - tcb->delack.last_at < tcb->delack.ato)
        tcb->delack.pingpong = true;
}

void wr_delack_timeout(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_delack *d = &tcb->delack;

    if (!(d->pending & WR_ACK_SCHED))
        return;
    if (d->pingpong) { /* no answer came: not interactive after all */
        d->pingpong = false;
        d->ato = WR_TCP_ATO_MIN;
    } else {
        d->ato = weir_time_min(2 * d->ato, tcb->rtt.rto);
    }
    wr_count(stack, WR_STAT_tcp_delayed_acks);
    wr_trace(stack, tcb, WEIR_TRACE_TIMER_DELACK);
    d->pending |= WR_ACK_OVERDUE;
    wr_output_want_ack(stack, tcb, false, now);
}
