/* SPDX-License-Identifier: MIT */
/*
 * Pacing: data leaves spread over the round trip, and not as fast as ACKs let go of it.
 *
 *                  burst        burst        burst
 *     ----------|######|-----|######|-----|######|------> t
 *                ^ sent       ^ next_at = sent + length / rate
 *
 * As on Linux a connection is paced when its algorithm asks for it (BBR) or SO_MAX_PACING_RATE is set;
 * weir.tcp_pacing = 1 paces all. The rate is the algorithm's; else tcp_pacing_ss_ratio percent of
 * cwnd / srtt in the first half of slow start, tcp_pacing_ca_ratio percent later, so that pacing never
 * holds cwnd back from growing. Nobody waits in a loop: a connection whose time has not come leaves the
 * interface's list, and its timer puts it back. What must not wait does not: ACKs, FINs, probes, and the
 * head of the flight after a time-out.
 *
 * A burst is about 1 ms of data (Linux's TSO autosizing), at least tcp_min_tso_segs segments, and more on
 * paths of small RTT (tcp_tso_rtt_log): there it is soon absorbed. Where the link cuts super-segments a burst
 * is one of them. The first ten segments of a connection are not paced, and time by which a burst left late is given back, at most half its own.
 *
 * A connection that is not paced pays one compare a segment; its rate is computed when TCP_INFO asks.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"

enum { FREE_SEGMENTS = 10, PACING_SHIFT = 10 /* 2^-10 s */, GSO_MAX = 65536 };

void wr_pace_setup(const struct weir_stack *stack, struct tcb *tcb)
{
    struct wr_tx *tx = tcb->tx;

    if (tx == NULL)
        return;
    tx->cc.max_pacing_rate =
        tcb->opts.max_pacing_rate != 0 ? tcb->opts.max_pacing_rate : UINT64_MAX;
    wr_tcb_stirred(tcb);
    tx->pace.on = (tx->cc_ops->flags & WEIR_CC_PACED) != 0 || tcb->opts.max_pacing_rate != 0 ||
                  stack->tunables.tcp_pacing != 0;
    if (tx->pace.on)
        wr_pace_update(stack, tcb);
    else
        tcb->paced = false;
}

/* Linux's tcp_update_pacing_rate(), in bytes. */
static uint64_t own_rule(const struct weir_stack *stack, const struct tcb *tcb)
{
    const struct wr_tx *tx = tcb->tx;
    uint32_t out = tcb->snd_nxt - tcb->snd_una, window = tx->cc.cwnd > out ? tx->cc.cwnd : out;
    uint64_t us = (uint64_t)(tcb->rtt.srtt / WEIR_US);
    int64_t percent = tx->cc.cwnd < tx->cc.ssthresh / 2 ? stack->tunables.tcp_pacing_ss_ratio
                                                        : stack->tunables.tcp_pacing_ca_ratio;

    if (us == 0)
        return UINT64_MAX;
    return (uint64_t)window * (uint64_t)percent * (1000000 / 100) / us;
}

uint64_t wr_pace_rate(const struct weir_stack *stack, const struct tcb *tcb)
{
    uint64_t rate, most = tcb->opts.max_pacing_rate != 0 ? tcb->opts.max_pacing_rate : UINT64_MAX;

    if (tcb->tx == NULL)
        return UINT64_MAX;
    rate = tcb->tx->cc.pacing_rate != 0 ? tcb->tx->cc.pacing_rate : own_rule(stack, tcb);
    return rate < most ? rate : most;
}

/* Linux's tcp_tso_autosize(). */
static uint32_t autosize(const struct weir_stack *stack, const struct tcb *tcb, uint64_t rate)
{
    uint64_t bytes = rate >> PACING_SHIFT;
    uint64_t least = (uint64_t)stack->tunables.tcp_min_tso_segs * tcb->smss;
    uint64_t halvings = (uint64_t)(tcb->rtt.min_rtt / WEIR_US) >> stack->tunables.tcp_tso_rtt_log;

    if (stack->tunables.tcp_tso_rtt_log != 0 && halvings < 32)
        bytes += (uint64_t)GSO_MAX >> halvings;
    bytes = bytes < GSO_MAX ? bytes : GSO_MAX;
    return (uint32_t)(bytes > least ? bytes : least);
}

uint32_t wr_pace_chunk(const struct weir_stack *stack, const struct tcb *tcb)
{
    const struct wr_pace *pace = &tcb->tx->pace;
    return pace->on ? pace->burst : autosize(stack, tcb, wr_pace_rate(stack, tcb));
}

void wr_pace_update(const struct weir_stack *stack, struct tcb *tcb)
{
    struct wr_pace *pace = &tcb->tx->pace;
    uint64_t rate = wr_pace_rate(stack, tcb);

    pace->rate = rate != UINT64_MAX ? rate : 0;
    pace->burst =
        tcb->tx->cc.send_quantum != 0 ? tcb->tx->cc.send_quantum : autosize(stack, tcb, rate);
    if (pace->burst < tcb->smss)
        pace->burst = tcb->smss;
}

void wr_pace_sent(struct tcb *tcb, uint32_t len, weir_time now)
{
    struct wr_pace *pace = &tcb->tx->pace;
    weir_time span, cut;

    if (!pace->on || pace->rate == 0 || tcb->data_segs_out < FREE_SEGMENTS)
        return;
    if (pace->next_at <= now) {
        pace->credit = now - pace->next_at;
        pace->next_at = now;
    }
    span = (weir_time)((uint64_t)len * (uint64_t)WEIR_SEC / pace->rate);
    cut = weir_time_min(pace->credit, span / 2);
    pace->credit -= cut;
    pace->next_at += span - cut;
    pace->left = pace->left > len ? pace->left - len : 0;
    tcb->tx->cc.next_send_at = pace->next_at;
}
