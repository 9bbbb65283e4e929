/* SPDX-License-Identifier: MIT */
/*
 * How large the receive buffer is: dynamic right-sizing, as on Linux (tcp_moderate_rcvbuf). The buffer holds twice
 * what the reader takes per round trip, so that the window does not limit a sender whose own window doubles per round
 * trip.
 *
 * A receiver that sends nothing has no round-trip time of its own, so one is measured on what comes in: with
 * timestamps, from the time at which we sent what a full segment echoes (RFC 7323 4). That is longer by what the sender
 * had nothing to send, and counts milliseconds. The other way is the window. What lies beyond the one that is announced
 * now is sent when a later announcement has come, so until it is here at least a round trip passes:
 *
 *      rcv_nxt       rcv_wup + rcv_wnd
 *      |#############|-----                    # may be under way already, all of it
 *                     ^ not before a round trip from now
 *
 * Without timestamps the shortest such time counts.
 *
 * Near peers (weir.tcp_near_rtt_us, 1 ms; 0: there are none). What is in flight to a peer on the same machine waits in
 * buffers and for the CPU, and not on a path. So a larger window only makes more of it wait, which looks like a longer
 * round trip, for which the window grows again, until data walks through more memory than the caches hold: that costs
 * half of the throughput. With such a peer a round trip is the shortest that was seen, in the handshake, when either side
 * may have waited for the CPU, or by a window; and the buffer grows no further than twice what is read in that time, or
 * in small numbers than NEAR_SPACE, which a few super-segments fill. Both buffers follow this; for the one to send see
 * grow_send_buffer() in tcp_ack.
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
static void rtt_by_echo(struct wr_rx *rx, const struct tcb *tcb, const struct seg *seg,
                        weir_time now)
{
    weir_time sample;

    if (seg->opt.ts_ecr == rx->echo)
        return;
    rx->echo = seg->opt.ts_ecr;
    sample = (weir_time)(wr_ts_now(tcb->ts_offset, now) - seg->opt.ts_ecr) * WEIR_MS;
    if (sample < 0 || sample > 3600 * WEIR_SEC)
        return;
    if (sample == 0)
        sample = WEIR_MS;
    rx->rtt = rx->rtt == 0 ? sample : rx->rtt + (sample - rx->rtt) / 8;
}

/* Something has come from beyond the window, or it is the first one. */
WR_APART void rtt_by_window(struct wr_rx *rx, const struct tcb *tcb, weir_time now)
{
    if (rx->window_at != 0) {
        weir_time sample = now - rx->window_at > 0 ? now - rx->window_at : WEIR_US;
        rx->latest_ns = sample < UINT32_MAX ? (uint32_t)sample : UINT32_MAX;
        if (rx->shortest_ns == 0 || rx->latest_ns < rx->shortest_ns)
            rx->shortest_ns = rx->latest_ns;
        if (!tcb->ts_ok && (rx->rtt == 0 || sample < rx->rtt))
            rx->rtt = sample;
    }
    rx->window_end = tcb->rcv_wup + tcb->rcv_wnd;
    rx->window_at = now;
}

void wr_rcvbuf_data_received(struct tcb *tcb, const struct seg *seg, weir_time now)
{
    struct wr_rx *rx = &tcb->rx;

    if (!tcb->has_rx)
        begin(tcb, now);
    if (tcb->ts_ok && seg->len < tcb->delack.rcv_mss)
        return; /* no stream; without timestamps whatever there is counts */
    if (tcb->ts_ok && seg->opt.has_ts && seg->opt.ts_ecr != 0)
        rtt_by_echo(rx, tcb, seg, now);
    if (rx->window_at == 0 || seq_lt(rx->window_end, tcb->rcv_nxt))
        rtt_by_window(rx, tcb, now);
}

/* 0: not known. */
static weir_time shortest_rtt(const struct tcb *tcb)
{
    weir_time own = tcb->rtt.min_rtt, seen = tcb->has_rx ? tcb->rx.shortest_ns : 0;

    return own == 0 || (seen != 0 && seen < own) ? seen : own;
}

bool wr_rcvbuf_is_near(const struct weir_stack *stack, const struct tcb *tcb, weir_time rtt)
{
    weir_time shortest = shortest_rtt(tcb);

    return shortest > 0 && shortest < stack->tunables.tcp_near_rtt_us * WEIR_US && rtt < FAR;
}

/* The same of a peer that sends. */
static bool sends_from_near(const struct weir_stack *stack, const struct tcb *tcb, weir_time rtt)
{
    weir_time latest = tcb->rx.latest_ns;

    return wr_rcvbuf_is_near(stack, tcb, latest != 0 && latest < rtt ? latest : rtt);
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
    rtt = rx->rtt != 0 ? rx->rtt : tcb->rtt.srtt; /* of the handshake, until there is better */
    if (rtt == 0 || now - rx->at < rtt)
        return;
    copied = at - rx->seq;
    near = now - rx->at > shortest_rtt(tcb) && sends_from_near(stack, tcb, rtt);
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
