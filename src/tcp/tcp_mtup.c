/* SPDX-License-Identifier: MIT */
/*
 * Packetization layer path MTU discovery: RFC 4821, in Linux's form (tcp_mtu_probing). Where routers send no
 * ICMP, or something drops it, only TCP itself can find out how large a packet may be:
 *
 *        low              mid                         high
 *     ----|----------------|----------------------------|----   sizes of IP packets
 *         known to pass    next probe                   may pass, at most the path MTU as known
 *
 * A probe is a segment of new data of the size in the middle, sent when a window of ordinary ones follows it, so
 * that its loss shows (RFC 4821 7.4). It arrives: low is its size, and so is the segment size. It alone is lost:
 * high is below its size; the data goes again in small segments and no congestion is seen in it (7.6.2).
 * Something else is lost with it: it says nothing (7.6.4). The search rests when high - low is under
 * tcp_probe_threshold, and begins anew after tcp_probe_interval.
 *
 * tcp_mtu_probing 2 begins at tcp_base_mss. 1 begins when the retransmission timer has fired for so long that a
 * black hole must be feared (7.7); each further time-out then halves low, down to tcp_mtu_probe_floor.
 *
 * One difference from Linux, where a passive open begins with the full size although it is to be searched for:
 * here both kinds of open begin at tcp_base_mss.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"
#include "tcp/tcp_trace.h"

/* What a packet holds besides data and SACK blocks. */
static uint32_t head_len(const struct tcb *tcb)
{
    return (wr_tcb_is_v4(tcb) ? 20u : 40u) + W_TCP_HLEN +
           (tcb->ts_ok ? (uint32_t)W_TCPOPT_TS_LEN : 0);
}

static uint32_t mss_of(const struct tcb *tcb, uint32_t mtu)
{
    return mtu > head_len(tcb) + 8 ? mtu - head_len(tcb) : 8;
}

/* No larger packet is of any use. */
static uint32_t largest(const struct tcb *tcb)
{
    uint32_t ts = tcb->ts_ok ? (uint32_t)W_TCPOPT_TS_LEN : 0, mss = tcb->peer_mss;

    if (tcb->opts.maxseg != 0 && mss > tcb->opts.maxseg)
        mss = tcb->opts.maxseg;
    return mss + head_len(tcb) - ts;
}

void wr_mtup_init(const struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_mtup *mtup = &tcb->tx->mtup;

    tcb->tx->mtup_on = stack->tunables.tcp_mtu_probing > 1;
    mtup->low = (uint32_t)stack->tunables.tcp_base_mss + head_len(tcb);
    mtup->high = largest(tcb);
    mtup->since = now;
}

uint32_t wr_mtup_bound(struct tcb *tcb, uint32_t pmtu, uint32_t mss)
{
    struct wr_mtup *mtup = &tcb->tx->mtup;

    if (mtup->high > pmtu)
        mtup->high = pmtu;
    if (!tcb->tx->mtup_on)
        return mss;
    return mss < mss_of(tcb, mtup->low) ? mss : mss_of(tcb, mtup->low);
}

/* The search is over. Is it time for another? */
static void search_again(const struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_mtup *mtup = &tcb->tx->mtup;

    if (now - mtup->since < stack->tunables.tcp_probe_interval_s * WEIR_SEC)
        return;
    mtup->high = largest(tcb);
    if (mtup->high > tcb->pmtu)
        mtup->high = tcb->pmtu;
    mtup->low = tcb->smss + head_len(tcb);
    mtup->since = now;
}

enum wr_mtup_verdict wr_mtup_next(const struct weir_stack *stack, struct tcb *tcb, uint32_t *len,
                                  weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_mtup *mtup = &tx->mtup;
    uint32_t size = (mtup->low + mtup->high) / 2, needed, pipe;

    if (!tcb->tx->mtup_on || mtup->probe != 0 || tx->ca_state != WEIR_CA_OPEN ||
        tx->cc.cwnd < 11 * tcb->smss)
        return WR_MTUP_NONE;
    if (size > mtup->high || mtup->low > mtup->high ||
        mtup->high - mtup->low < (uint32_t)stack->tunables.tcp_probe_threshold) {
        search_again(stack, tcb, now);
        return WR_MTUP_NONE;
    }
    *len = mss_of(tcb, size);
    needed = *len + (tx->rack.reordering + 1) * tcb->smss;
    if (wr_push_record(tcb) < needed || tcb->snd_wnd < needed)
        return WR_MTUP_NONE;
    if (seq_gt(tcb->snd_nxt + needed, tcb->snd_una + tcb->snd_wnd))
        return WR_MTUP_WAIT;
    pipe = wr_tcb_pipe(tcb);
    if (pipe + *len + tcb->smss > tx->cc.cwnd)
        return pipe > 0 ? WR_MTUP_WAIT : WR_MTUP_NONE;
    return WR_MTUP_PROBE;
}

void wr_mtup_sent(struct weir_stack *stack, struct tcb *tcb, uint32_t start, uint32_t end)
{
    struct wr_mtup *mtup = &tcb->tx->mtup;

    mtup->probe = end - start + head_len(tcb);
    mtup->start = start;
    mtup->end = end;
    wr_count(stack, WR_STAT_tcp_mtup_probes);
}

void wr_mtup_acked(struct weir_stack *stack, struct tcb *tcb)
{
    struct wr_mtup *mtup = &tcb->tx->mtup;

    if (!tcb->tx->mtup_on || mtup->probe == 0 || seq_gt(mtup->end, tcb->snd_una))
        return;
    wr_count(stack, WR_STAT_tcp_mtup_success);
    mtup->low = mtup->probe;
    mtup->probe = 0;
    wr_output_sync_mss(stack, tcb);
}

/* All of the probe goes again; the records of it are few. */
static void lose_probe(struct weir_stack *stack, struct tcb *tcb)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_sent *sent = wr_sendq_find(&tx->q, tx->mtup.start);

    for (; sent != NULL && seq_lt(sent->start, tx->mtup.end); sent = wr_sendq_next(&tx->q, sent)) {
        if (sent->flags & (WR_SENT_SACKED | WR_SENT_LOST))
            continue;
        wr_rate_mark_lost(tx, sent);
        wr_trace_range(stack, tcb, WEIR_TRACE_LOST_MTU_PROBE, sent->start, sent->end);
    }
}

bool wr_mtup_lost(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_mtup *mtup = &tx->mtup;

    if (mtup->probe == 0 || tx->ca_state >= WEIR_CA_CWR)
        return false;
    if (tcb->snd_una != mtup->start || tx->q.lost_bytes > mtup->end - mtup->start) {
        mtup->probe = 0; /* RFC 4821 7.6.4: not the probe alone */
        return false;
    }
    wr_count(stack, WR_STAT_tcp_mtup_fail);
    mtup->high = mtup->probe - 1;
    mtup->probe = 0;
    lose_probe(stack, tcb);
    wr_recovery_resend(stack, tcb, now);
    return true;
}

void wr_mtup_rexmit(struct tcb *tcb, uint32_t start)
{
    struct wr_mtup *mtup = &tcb->tx->mtup;

    if (mtup->probe != 0 && seq_lt(start, mtup->end))
        mtup->probe = 0;
}

void wr_mtup_black_hole(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    const struct wr_tunables *tunables = &stack->tunables;
    struct wr_mtup *mtup = &tcb->tx->mtup;
    int64_t mss;

    if (tunables->tcp_mtu_probing == 0)
        return;
    if (!tcb->tx->mtup_on) {
        if (mtup->high == 0) /* probing was off when it began to send */
            wr_mtup_init(stack, tcb, now);
        tcb->tx->mtup_on = true;
        mtup->since = now;
    } else {
        mss = mss_of(tcb, mtup->low) / 2;
        if (mss > tunables->tcp_base_mss)
            mss = tunables->tcp_base_mss;
        if (mss < tunables->tcp_mtu_probe_floor)
            mss = tunables->tcp_mtu_probe_floor;
        if (mss < tunables->tcp_min_snd_mss)
            mss = tunables->tcp_min_snd_mss;
        mtup->low = (uint32_t)mss + head_len(tcb);
    }
    wr_output_sync_mss(stack, tcb);
}
