/* SPDX-License-Identifier: MIT */
/*
 * How large the receive buffer is: dynamic right-sizing, as on Linux (tcp_moderate_rcvbuf). The buffer holds twice
 * what the reader takes per round trip, so that the window does not limit a sender whose own window doubles per round
 * trip.
 *
 * A receiver that sends nothing has no round-trip time of its own, so one is measured on what comes in: with
 * timestamps, from the time at which we sent what a full segment echoes (RFC 7323 4); else a window of data takes at
 * least one round trip, and the smallest such time counts.
 *
 * Near peers (weir.tcp_near_rtt_us, 1 ms; 0: there are none). What is in flight to a peer on the same machine waits in
 * buffers and for the CPU, and not on a path. So a larger window only makes more of it wait, which looks like a longer
 * round trip, for which the window grows again, until data walks through more memory than the caches hold: that costs
 * half of the throughput. With such a peer a round trip is the shortest that was seen, or that a window took, and the buffer grows
 * no further than twice what is read in that time, or in small numbers than NEAR_SPACE, which a few super-segments
 * fill. Both buffers follow this; for the one to send see grow_send_buffer() in tcp_ack.
 *
 * The state of it (struct wr_rx) begins with the first data.
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"

#define FAR (10 * WEIR_MS) /* a round trip that no waiting on one machine explains */

static void begin(struct tcb *tcb, weir_time now)
{
    struct wr_rx *rx = &tcb->rx;

    tcb->has_rx = true;
    rx->seq = wr_tcb_copied_seq(tcb);
    rx->space = wr_rcvbuf_first_space(tcb);
    rx->at = now;
}

uint32_t wr_rcvbuf_first_space(const struct tcb *tcb)
{
    uint32_t most = WR_TCP_IW_SEGMENTS * tcb->adv_mss;
    return tcb->rcv_wnd < most ? tcb->rcv_wnd : most;
}

/* An echo is late by what the sender waited: small changes count by an eighth. */
static void rtt_by_echo(struct wr_rx *rx, const struct tcb *tcb, uint32_t echo, weir_time now)
{
    weir_time sample;

    if (echo == rx->echo)
        return;
    rx->echo = echo;
    sample = (weir_time)(wr_ts_now(tcb->ts_offset, now) - echo) * WEIR_MS;
    if (sample < 0 || sample > 3600 * WEIR_SEC)
        return;
    if (sample == 0)
        sample = WEIR_MS;
    rx->rtt = rx->rtt == 0 ? sample : rx->rtt + (sample - rx->rtt) / 8;
}

/* What is behind a window's end was sent after our ACK that opened the next one. */
static void rtt_by_window(struct wr_rx *rx, const struct tcb *tcb, weir_time now)
{
    if (rx->window_at != 0) {
        weir_time sample = now - rx->window_at > 0 ? now - rx->window_at : WEIR_US;
        if (seq_lt(tcb->rcv_nxt, rx->window_end))
            return;
        if (rx->window_rtt == 0 || sample < rx->window_rtt)
            rx->window_rtt = sample;
    }
    rx->window_end = tcb->rcv_nxt + tcb->rcv_wnd;
    rx->window_at = now;
}

weir_time wr_rcvbuf_rtt(const struct tcb *tcb)
{
    if (!tcb->has_rx)
        return 0;
    return tcb->ts_ok ? tcb->rx.rtt : tcb->rx.window_rtt;
}

WR_APART void measure(struct tcb *tcb, const struct seg *seg, weir_time now)
{
    if (tcb->ts_ok && seg->opt.has_ts && seg->opt.ts_ecr != 0)
        rtt_by_echo(&tcb->rx, tcb, seg->opt.ts_ecr, now);
    rtt_by_window(&tcb->rx, tcb, now);
}

void wr_rcvbuf_data_received(struct tcb *tcb, const struct seg *seg, weir_time now)
{
    if (!tcb->has_rx)
        begin(tcb, now);
    if (seg->len >= tcb->delack.rcv_mss || !tcb->ts_ok)
        measure(tcb, seg, now);
}

bool wr_rcvbuf_is_near(const struct weir_stack *stack, const struct tcb *tcb, weir_time rtt)
{
    return tcb->rtt.min_rtt > 0 && tcb->rtt.min_rtt < stack->tunables.tcp_near_rtt_us * WEIR_US &&
           rtt < FAR;
}

/* The handshake, which is the only round trip that a mere receiver has measured, found everything cold: its first windows,
 * which are small, are better known. */
static weir_time shortest_rtt(const struct tcb *tcb)
{
    weir_time rtt = tcb->rtt.min_rtt, window = tcb->rx.window_rtt;
    return window != 0 && window < rtt ? window : rtt;
}

/* What a near peer's data read in `elapsed` is in its shortest round trip. */
static uint32_t near_part(const struct tcb *tcb, uint32_t copied, weir_time elapsed)
{
    uint64_t part;

    if (copied <= WR_TCP_NEAR_SPACE)
        return copied; /* `elapsed` is the longer one */
    part = (uint64_t)copied * (uint64_t)shortest_rtt(tcb) / (uint64_t)elapsed;
    return part > WR_TCP_NEAR_SPACE ? (uint32_t)part : WR_TCP_NEAR_SPACE;
}

/* `steady`: the sender does not double its rate from here on. */
WR_APART void grow(const struct weir_stack *stack, struct tcb *tcb, uint32_t copied, bool steady)
{
    uint64_t most = (uint64_t)stack->tunables.tcp_rmem_max, wnd;
    uint32_t before = tcb->rx.space;

    wnd = 2 * (uint64_t)copied + 16u * tcb->adv_mss;
    if (!steady)
        wnd += 2 * (wnd * (copied - before) / (before > 0 ? before : 1));
    if (wnd > most / 2)
        wnd = most / 2;
    if (2 * wnd <= tcb->opts.rcvbuf)
        return;
    tcb->opts.rcvbuf = (uint32_t)(2 * wnd);
    tcb->window_clamp = (uint32_t)wnd;
    if (tcb->opts.window_clamp != 0 && tcb->window_clamp > tcb->opts.window_clamp)
        tcb->window_clamp = tcb->opts.window_clamp;
    wr_ring_set_limit(&tcb->rcv_ring, tcb->opts.rcvbuf + UINT16_MAX + 1);
}

void wr_rcvbuf_read(const struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_rx *rx = &tcb->rx;
    uint32_t at = wr_tcb_copied_seq(tcb), copied;
    weir_time rtt;
    bool near;

    if (!tcb->has_rx)
        return;
    rtt = wr_rcvbuf_rtt(tcb);
    if (rtt == 0)
        rtt = tcb->rtt.srtt; /* of the handshake, until there is better */
    if (rtt == 0 || now - rx->at < rtt)
        return;
    copied = at - rx->seq;
    near = now - rx->at > shortest_rtt(tcb) && wr_rcvbuf_is_near(stack, tcb, rtt);
    if (near)
        copied = near_part(tcb, copied, now - rx->at);
    if (copied > rx->space) {
        if (stack->tunables.tcp_moderate_rcvbuf && !tcb->opts.rcvbuf_locked &&
            !wr_mem_is_pressed(stack))
            grow(stack, tcb, copied, near);
        rx->space = copied;
    }
    rx->seq = at;
    rx->at = now;
}
