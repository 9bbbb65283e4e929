/* SPDX-License-Identifier: MIT */
/*
 * What to send now. Output is pulled by the link, one segment a call; the connections that may have
 * something to send stand on their interface's list and are asked in turn:
 *
 *     SYN or SYN-ACK            when tcp_timers or an open wants one
 *     probe                     keepalive or zero window: empty, at SND.UNA - 1
 *     tail loss probe           a segment, whatever cwnd says (RFC 8985 7.3)
 *     retransmission            the oldest lost range, as cwnd allows (RFC 6675 4 NextSeg 1)
 *     new data                  as window, cwnd, Nagle and silly window avoidance allow (2)
 *     more retransmission       ranges that may be lost (3), the rescue (4)
 *     ACK alone                 when one is wanted and nothing above carried it
 *
 * A segment of data may be as large as the link cuts (gso_size); all decisions are made for
 * the whole of it. Its payload is lent from the send ring, never copied.
 *
 * Silly window avoidance (RFC 9293 3.8.6.2.1): a segment leaves when it is full (or half of the largest
 * window the peer ever offered), or when it is all there is and Nagle lets it. Nagle is Minshall's: a
 * short segment waits only while an earlier short one is unacknowledged. What is held while nothing
 * is in flight is freed by the persist timer.
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_sender.h"
#include "tcp/tcp_trace.h"

/* ---- the list ------------------------------------------------------------------------------------- */

void wr_output_unlink(struct tcb *tcb)
{
    wr_list_remove(&tcb->out);
    tcb->out_list = WR_OUT_IDLE;
}

static bool path_is_good(const struct weir_stack *stack, const struct tcb *tcb)
{
    return tcb->path.netif != NULL && !wr_path_stale(stack, &tcb->path);
}

void wr_output_kick(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    if (tcb->out_list != WR_OUT_IDLE || tcb->state == WEIR_TCP_CLOSE)
        return;
    if (!path_is_good(stack, tcb) && !wr_output_sync_path(stack, tcb)) {
        wr_timers_blocked(stack, tcb, now);
        return;
    }
    wr_list_push_back(&tcb->path.netif->tcp_ready, &tcb->out);
    tcb->out_list = WR_OUT_READY;
}

void wr_output_want_ack(struct weir_stack *stack, struct tcb *tcb, bool dup, weir_time now)
{
    /* To a peer without SACK each duplicate ACK counts (RFC 5681 3.2); to one with SACK the latest says
     * all. */
    if (dup && (tcb->want & WR_WANT_ACK) && !tcb->sack_ok && tcb->dup_owed < UINT8_MAX)
        tcb->dup_owed++;
    tcb->want |= WR_WANT_ACK;
    wr_output_kick(stack, tcb, now);
}

/* ---- path and segment size ------------------------------------------------------------------------- */

bool wr_output_sync_path(struct weir_stack *stack, struct tcb *tcb)
{
    const struct wr_tuple *tuple = &tcb->tuple;
    int error;

    if (path_is_good(stack, tcb))
        return true;
    error = wr_path_find(stack, &tuple->remote, &tuple->local, &tcb->path);
    if (error < 0) {
        tcb->path.netif = NULL;
        tcb->soft_error = -error;
        return false;
    }
    if (tcb->state != WEIR_TCP_SYN_SENT && tcb->state != WEIR_TCP_CLOSE)
        wr_output_sync_mss(stack, tcb);
    return true;
}

void wr_output_sync_mss(struct weir_stack *stack, struct tcb *tcb)
{
    uint32_t head = (wr_tcb_is_v4(tcb) ? 20u : 40u) + W_TCP_HLEN;
    uint32_t mtu, mss = tcb->peer_mss, floor = (uint32_t)stack->tunables.tcp_min_snd_mss;

    /* A stale path's interface may be gone; the next wr_output_sync_path() comes back here. */
    if (tcb->path.netif == NULL || wr_path_stale(stack, &tcb->path))
        return;
    mtu = wr_path_mtu(stack, &tcb->path, &tcb->tuple.remote);
    tcb->pmtu = (uint16_t)(mtu < UINT16_MAX ? mtu : UINT16_MAX);
    if (tcb->opts.maxseg != 0 && mss > tcb->opts.maxseg)
        mss = tcb->opts.maxseg;
    if (mtu > head && mss > mtu - head)
        mss = mtu - head;
    if (mss < floor)
        mss = floor;
    if (tcb->ts_ok)
        mss -= W_TCPOPT_TS_LEN; /* RFC 6691: options are deducted from what is sent */
    if (tcb->tx != NULL)
        mss = wr_mtup_bound(tcb, mtu, mss);
    tcb->smss = mss;
    if (tcb->tx != NULL) {
        tcb->tx->cc.smss = mss;
        if (tcb->tx->cc.cwnd < mss)
            tcb->tx->cc.cwnd = mss;
        if (tcb->tx->pace.on)
            wr_pace_update(stack, tcb);
    }
}

/* ---- what to send ------------------------------------------------------------------------------------- */

/* Most payload of one segment handed to this link. */
static uint32_t most_payload(const struct tcb *tcb, uint32_t mss)
{
    const struct weir_netif_config *config = &tcb->path.netif->config;
    uint32_t head = 60 + W_TCP_HLEN_MAX, most = config->gso_max_bytes;

    if (!config->tx_csum || most <= head + mss || seq_gt(tcb->snd_up, tcb->snd_una))
        return mss; /* an urgent pointer is right for one segment only */
    /* Over IPv6 a length that does not fit would take a jumbo payload option (RFC 2675). */
    if (most > UINT16_MAX && !wr_tcb_is_v4(tcb))
        most = UINT16_MAX;
    most -= head;
    if (tcb->tx != NULL && tcb->tx->pace.on && tcb->tx->pace.burst < most)
        most = tcb->tx->pace.burst > mss ? tcb->tx->pace.burst : mss;
    return most / mss * mss;
}

uint32_t wr_output_allowance(const struct tcb *tcb)
{
    uint32_t pipe = wr_tcb_pipe(tcb), mss = wr_output_mss(tcb, 0), len;
    int32_t wnd = seq_diff(tcb->snd_una + tcb->snd_wnd, tcb->snd_nxt);

    if (wnd <= 0 || tcb->tx->cc.cwnd <= pipe)
        return 0;
    len = tcb->tx->cc.cwnd - pipe;
    if (len > (uint32_t)wnd)
        len = (uint32_t)wnd;
    return len / mss * mss;
}

WR_INLINE bool nagle_holds(const struct tcb *tcb)
{
    if (tcb->fin_queued || tcb->let_go || seq_gt(tcb->snd_up, tcb->snd_una))
        return false;
    if (tcb->opts.cork || tcb->more)
        return true;
    return !tcb->opts.nodelay && wr_tcb_in_flight(tcb) && seq_gt(tcb->snd_sml, tcb->snd_una) &&
           seq_leq(tcb->snd_sml, tcb->snd_nxt);
}

/* Is there data, or a FIN, that was never sent? */
static bool has_new(const struct tcb *tcb)
{
    return wr_tcb_unsent(tcb) > 0 || (tcb->fin_queued && tcb->snd_nxt == tcb->write_seq);
}

/* How much new data may go in one segment now; 0: none. *more: and another behind it. */
static uint32_t new_data(struct weir_stack *stack, struct tcb *tcb, uint32_t mss, bool *more,
                         weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    uint32_t unsent = wr_tcb_unsent(tcb), pipe = wr_tcb_pipe(tcb), record = wr_push_record(tcb);
    uint32_t len = record;
    int32_t wnd = seq_diff(tcb->snd_una + tcb->snd_wnd, tcb->snd_nxt);
    uint32_t most, cwnd;

    *more = false;
    if (unsent == 0 || wnd <= 0)
        return 0;
    if (tcb->want & WR_WANT_FORCE) {
        len = len < mss ? len : mss;
        return len < (uint32_t)wnd ? len : (uint32_t)wnd;
    }
    if (!wr_tcb_in_flight(tcb))
        wr_cwnd_restart(stack, tcb, now);
    cwnd = tx->cc.cwnd > pipe ? tx->cc.cwnd - pipe : 0;
    if (len > (uint32_t)wnd)
        len = (uint32_t)wnd;
    if (len > cwnd) {
        len = cwnd;
        if (len < mss)
            wr_cwnd_used(stack, tcb, pipe, true, now);
    }
    if (len < record || (len == unsent && nagle_holds(tcb)))
        len = len / mss * mss;
    if (len <= mss)
        return len;
    most = most_payload(tcb, mss);
    *more = len > most;
    return *more ? most : len;
}

static bool fin_fits(const struct tcb *tcb, uint32_t next)
{
    return tcb->fin_queued && next == tcb->write_seq && seq_lt(next, tcb->snd_una + tcb->snd_wnd);
}

/* New data for one segment, maybe as a probe of the path MTU. False: there is some, and it has to wait. */
static bool choose_new(struct weir_stack *stack, struct tcb *tcb, struct wr_segment *s,
                       uint32_t mss, bool *more, weir_time now)
{
    enum wr_mtup_verdict verdict = WR_MTUP_NONE;

    if (tcb->tx->mtup_on && s->n_sack == 0 && !(tcb->want & WR_WANT_FORCE))
        verdict = wr_mtup_next(stack, tcb, &s->len, now);
    if (verdict == WR_MTUP_WAIT)
        return false;
    if (verdict == WR_MTUP_PROBE) {
        s->mss = s->len;
        s->probe = true;
        *more = true;
        return true;
    }
    s->mss = mss;
    s->len = new_data(stack, tcb, mss, more, now);
    return s->len > 0 || wr_tcb_unsent(tcb) == 0;
}

/* For the trace: why this goes now. */
static uint8_t why_new(const struct tcb *tcb, const struct wr_segment *s)
{
    if (s->len == 0)
        return WEIR_TRACE_SENT_FIN;
    if (tcb->want & WR_WANT_TLP)
        return WEIR_TRACE_SENT_TLP_NEW;
    if (tcb->want & WR_WANT_FORCE)
        return WEIR_TRACE_SENT_FORCED;
    return s->probe ? WEIR_TRACE_SENT_MTU_PROBE : WEIR_TRACE_SENT_NEW;
}

static uint8_t why_again(const struct tcb *tcb, const struct wr_sent *sent)
{
    if (tcb->want & WR_WANT_TLP)
        return WEIR_TRACE_SENT_TLP;
    if (!(sent->flags & WR_SENT_LOST))
        return WEIR_TRACE_SENT_DOUBTFUL;
    if (tcb->tx->ca_state != WEIR_CA_LOSS)
        return WEIR_TRACE_SENT_FAST;
    return tcb->tx->rto_since != 0 ? WEIR_TRACE_SENT_RTO : WEIR_TRACE_SENT_SMALLER;
}

/* `len` bytes of new data, or a FIN, leave now: snd_nxt, the last record and `pipe` count them. */
WR_INLINE void sent_new(struct weir_stack *stack, struct tcb *tcb, uint32_t len, uint32_t pipe,
                        weir_time now)
{
    struct wr_tx *tx = tcb->tx;

    tcb->bytes_sent += len;
    if (tx->ca_state != WEIR_CA_OPEN) /* else it begins anew */
        wr_prr_sent(&tx->prr, len);
    tx->last_sent_at = now;
    wr_rate_sent(tcb, wr_sendq_last(&tx->q), pipe, now);
    wr_cwnd_used(stack, tcb, pipe, false, now);
    if (tx->pace.on)
        wr_pace_sent(tcb, len, now);
    wr_timers_data_sent(stack, tcb, false, now);
    if (len > 0)
        wr_delack_data_sent(tcb, now);
    if (wr_tcb_notsent_lowat(stack, tcb) < UINT32_MAX)
        wr_tcb_touch(stack, tcb, WR_HAPPENED_SPACE); /* fewer bytes unsent: it may be writable */
}

static size_t send_new(struct weir_stack *stack, struct tcb *tcb, struct wr_segment *s,
                       uint32_t mss, struct weir_out *out, weir_time now)
{
    uint32_t end;
    bool fin, more, psh, eor;

    if (!has_new(tcb))
        return 0; /* an idle connection costs no struct wr_tx */
    if (wr_tcb_tx(stack, tcb, now) == NULL) {
        wr_timers_blocked(stack, tcb, now);
        return 0;
    }
    s->seq = tcb->snd_nxt;
    if (!choose_new(stack, tcb, s, mss, &more, now))
        return 0;
    mss = s->mss;
    fin = fin_fits(tcb, tcb->snd_nxt + s->len);
    if (s->len == 0 && !fin)
        return 0;
    end = s->seq + s->len + (fin ? 1 : 0);
    if (!wr_sendq_append(stack, &tcb->tx->q, s->seq, end, mss, now)) {
        wr_timers_blocked(stack, tcb, now);
        return 0;
    }
    if (s->probe)
        wr_mtup_sent(stack, tcb, s->seq, end);
    s->flags = W_TCP_ACK;
    if (fin)
        s->flags |= W_TCP_FIN;
    /* RFC 9293 3.9.1.2 MUST-61; and behind several that leave at once, as Linux does. */
    psh = wr_push_sent(tcb, s->seq + s->len, &eor);
    psh = wr_push_burst(stack, tcb, s->seq, s->seq + s->len, mss, more, now) || psh ||
          (tcb->want & (WR_WANT_FORCE | WR_WANT_TLP)) == WR_WANT_FORCE;
    wr_sendq_note_end(&tcb->tx->q, psh, eor);
    if (psh && s->len > 0)
        s->flags |= W_TCP_PSH;
    s->urgent = true;
    s->fresh = s->len > 0;
    s->why = wr_tracing(stack) ? why_new(tcb, s) : 0;
    tcb->want &= (uint8_t)~WR_WANT_FORCE;
    if (s->len < mss ? s->len > 0 : s->len % mss != 0)
        tcb->snd_sml = s->seq + s->len;
    tcb->snd_nxt = end;
    if (tcb->stamping)
        wr_stamp_sent(stack, tcb, now);
    sent_new(stack, tcb, s->len, wr_tcb_pipe(tcb), now);
    return wr_segment_build(stack, tcb, s, out, now);
}

/* ---- retransmission ------------------------------------------------------------------------------------- */

/* The part of `sent` that may go now, or 0; its FIN goes with the last of its data. */
static uint32_t rexmit_len(const struct tcb *tcb, const struct wr_sent *sent, uint32_t mss,
                           bool forced)
{
    const struct wr_tx *tx = tcb->tx;
    uint32_t fin = seq_gt(sent->end, tcb->write_seq) ? 1 : 0;
    uint32_t whole = sent->end - sent->start - fin, len = whole;
    uint32_t pipe = wr_tcb_pipe(tcb), most = most_payload(tcb, mss);
    int32_t wnd = seq_diff(tcb->snd_una + tcb->snd_wnd, sent->start);
    uint32_t room = tx->cc.cwnd > pipe ? tx->cc.cwnd - pipe : 0;

    if (wnd <= 0 && sent->start != tcb->snd_una)
        return 0; /* the window shrank: only the head, RFC 9293 3.8.6 */
    if (forced || wnd <= 0) {
        most = mss;
    } else if (len + fin > room) {
        if (room < mss)
            return 0;
        room = room / mss * mss;
        most = most < room ? most : room;
    }
    if (wnd > 0 && len > (uint32_t)wnd)
        len = (uint32_t)wnd;
    if (len > most)
        len = most;
    return len == whole ? len + fin : len;
}

static size_t send_again(struct weir_stack *stack, struct tcb *tcb, struct wr_sent *sent,
                         uint32_t len, struct wr_segment *s, uint32_t mss, struct weir_out *out,
                         weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    uint32_t end;

    if (len < sent->end - sent->start)
        wr_sendq_split(stack, &tx->q, sent,
                       sent->start + len); /* if not: the rest waits for the RTO */
    end = sent->start + len;
    s->why = wr_tracing(stack) ? why_again(tcb, sent) : 0;
    wr_mtup_rexmit(tcb, sent->start);
    if (tcb->want & WR_WANT_TLP) {
        wr_sendq_mark_probe(&tx->q, sent, mss, now);
    } else {
        wr_sendq_mark_rexmit(&tx->q, sent, mss, now);
        wr_undo_rexmit(tcb, len, now);
    }
    wr_rate_sent(tcb, sent, wr_tcb_pipe(tcb), now);
    wr_pace_sent(tcb, len, now);
    wr_prr_sent(&tx->prr, len);
    tcb->want &= (uint8_t)~WR_WANT_HEAD;
    s->seq = sent->start;
    s->flags = W_TCP_ACK;
    if (seq_gt(end, tcb->write_seq)) {
        s->flags |= W_TCP_FIN;
        end--;
    }
    s->len = end - s->seq;
    s->mss = mss;
    s->urgent = true;
    if (s->len > 0 && sent->psh)
        s->flags |= W_TCP_PSH;
    tcb->total_retrans += s->len > mss ? (s->len + mss - 1) / mss : 1;
    tcb->bytes_retrans += s->len;
    tcb->bytes_sent += s->len;
    wr_count_add(stack, WR_STAT_tcp_retrans_segs, s->len > mss ? (s->len + mss - 1) / mss : 1);
    tx->last_sent_at = now;
    wr_timers_data_sent(stack, tcb, true, now);
    return wr_segment_build(stack, tcb, s, out, now);
}

/* Or else to be forgotten that the first of it was to go at once. */
static bool anything_lost(const struct tcb *tcb)
{
    return (tcb->want & WR_WANT_HEAD) || (tcb->tx != NULL && wr_sendq_lost(&tcb->tx->q) != NULL);
}

static size_t send_lost(struct weir_stack *stack, struct tcb *tcb, struct wr_segment *s,
                        uint32_t mss, struct weir_out *out, weir_time now)
{
    struct wr_sent *sent = tcb->tx != NULL ? wr_sendq_lost(&tcb->tx->q) : NULL;
    uint32_t len;

    if (sent == NULL) {
        tcb->want &= (uint8_t)~WR_WANT_HEAD;
        return 0;
    }
    if (wr_fastopen_pending(tcb)) /* only the SYN-ACK goes twice while it is not acknowledged */
        return 0;
    if (stack->tunables.tcp_retrans_collapse)
        wr_sendq_collapse(stack, &tcb->tx->q, sent, mss);
    len = rexmit_len(tcb, sent, mss, (tcb->want & WR_WANT_HEAD) != 0);
    return len > 0 ? send_again(stack, tcb, sent, len, s, mss, out, now) : 0;
}

/* The last segment of the flight, cut out of what it was sent with; NULL when the peer has it. */
static struct wr_sent *last_segment(struct weir_stack *stack, struct tcb *tcb)
{
    struct wr_sendq *q = &tcb->tx->q;
    struct wr_sent *sent = wr_sendq_find(q, tcb->snd_nxt - 1), *last;

    if (sent == NULL || (sent->flags & (WR_SENT_SACKED | WR_SENT_LOST)))
        return NULL;
    if (sent->segs < 2)
        return sent;
    last = wr_sendq_split(stack, q, sent, sent->start + (sent->segs - 1) * sent->mss);
    return last != NULL ? last : sent;
}

/* Tail loss probe, RFC 8985 7.3: new data if the window takes a segment of it, else the last one again; cwnd
 * does not count. */
static size_t send_probe(struct weir_stack *stack, struct tcb *tcb, struct wr_segment *s,
                         uint32_t mss, struct weir_out *out, weir_time now)
{
    uint32_t unsent = wr_tcb_unsent(tcb), part = unsent < mss ? unsent : mss;
    struct wr_sent *sent;
    bool fresh = part > 0 && seq_leq(tcb->snd_nxt + part, tcb->snd_una + tcb->snd_wnd);
    size_t len = 0;

    if (!wr_tcb_in_flight(tcb) || tcb->tx == NULL) {
        tcb->want &= (uint8_t)~WR_WANT_TLP;
        return 0;
    }
    if (fresh) {
        tcb->want |= WR_WANT_FORCE;
        len = send_new(stack, tcb, s, mss, out, now);
    } else if ((sent = last_segment(stack, tcb)) != NULL) {
        part = rexmit_len(tcb, sent, mss, true);
        len = part > 0 ? send_again(stack, tcb, sent, part, s, mss, out, now) : 0;
    }
    tcb->want &= (uint8_t)~WR_WANT_TLP;
    if (len > 0) {
        wr_tlp_sent(stack, tcb, !fresh);
        wr_timers_probe_sent(tcb, now);
    }
    return len;
}

static size_t send_doubtful(struct weir_stack *stack, struct tcb *tcb, struct wr_segment *s,
                            uint32_t mss, struct weir_out *out, weir_time now)
{
    struct wr_sent *sent;
    uint32_t len;

    if (tcb->tx == NULL || tcb->tx->ca_state != WEIR_CA_RECOVERY)
        return 0;
    if (wr_tcb_pipe(tcb) + mss > tcb->tx->cc.cwnd)
        return 0;
    sent = wr_recovery_next(stack, tcb);
    if (sent == NULL)
        return 0;
    len = rexmit_len(tcb, sent, mss, true);
    return len > 0 ? send_again(stack, tcb, sent, len, s, mss, out, now) : 0;
}

/* ---- control segments -------------------------------------------------------------------------------- */

static size_t send_syn(struct weir_stack *stack, struct tcb *tcb, struct wr_segment *s,
                       struct weir_out *out, weir_time now)
{
    bool answer = tcb->state == WEIR_TCP_SYN_RECV;

    tcb->want &= (uint8_t)~WR_WANT_SYN;
    s->seq = tcb->iss;
    s->flags = answer ? W_TCP_SYN | W_TCP_ACK : W_TCP_SYN;
    s->flags |= wr_ecn_syn_flags(stack, tcb);
    s->mss = tcb->smss;
    s->why = answer                  ? WEIR_TRACE_SENT_SYNACK
             : tcb->syn_retries == 0 ? WEIR_TRACE_SENT_SYN
                                     : WEIR_TRACE_SENT_SYN_AGAIN;
    if (tcb->syn_retries > 0) {
        tcb->total_retrans++;
        wr_count(stack, WR_STAT_tcp_retrans_segs);
    }
    if (answer)
        tcb->rcv_wup = tcb->rcv_nxt;
    if (answer && tcb->fin_queued && !wr_fastopen_pending(tcb))
        tcb->want |= WR_WANT_FIN;
    if (!answer && tcb->syn_retries == 0 && tcb->fo != NULL && tcb->fo->syn_data > 0) {
        s->len = tcb->fo->syn_data; /* RFC 7413 4.2.1, on the first SYN alone */
        s->mss = s->len;
        tcb->bytes_sent += s->len;
    }
    return wr_segment_build(stack, tcb, s, out, now);
}

/* The FIN of a connection closed in SYN-RECEIVED. It is sent again with the SYN-ACK, and by the
 * ordinary way once the SYN is acknowledged. */
static size_t send_early_fin(struct weir_stack *stack, struct tcb *tcb, struct wr_segment *s,
                             struct weir_out *out, weir_time now)
{
    tcb->want &= (uint8_t)~WR_WANT_FIN;
    s->seq = tcb->iss + 1;
    s->flags = W_TCP_ACK | W_TCP_FIN;
    s->why = WEIR_TRACE_SENT_FIN;
    s->mss = tcb->smss;
    return wr_segment_build(stack, tcb, s, out, now);
}

/* For the trace: why an ACK goes alone. */
static uint8_t why_ack(const struct tcb *tcb)
{
    struct wr_range island;

    if (tcb->want & (WR_WANT_PROBE | WR_WANT_PROBE_URG))
        return wr_tcb_unsent(tcb) > 0 || tcb->held ? WEIR_TRACE_SENT_PROBE
                                                   : WEIR_TRACE_SENT_KEEPALIVE;
    if (tcb->ofo != NULL && wr_ranges_first(tcb->ofo, &island))
        return WEIR_TRACE_SENT_ACK_GAP;
    if (tcb->rcv_nxt == tcb->rcv_wup && tcb->bytes_received > 0)
        return wr_reasm_window_free(tcb) > wr_reasm_wnd(tcb) ? WEIR_TRACE_SENT_ACK_WINDOW
                                                             : WEIR_TRACE_SENT_ACK_AGAIN;
    return (tcb->delack.pending & WR_ACK_OVERDUE) ? WEIR_TRACE_SENT_ACK_DELAYED
                                                  : WEIR_TRACE_SENT_ACK;
}

static size_t send_empty(struct weir_stack *stack, struct tcb *tcb, struct wr_segment *s,
                         struct weir_out *out, weir_time now)
{
    s->len = 0; /* whatever was thought of and may not go now */
    s->flags = W_TCP_ACK;
    s->why = wr_tracing(stack) ? why_ack(tcb) : 0;
    s->mss = tcb->smss;
    if (tcb->want & WR_WANT_PROBE_URG) {
        tcb->want &= (uint8_t)~WR_WANT_PROBE_URG;
        s->seq = tcb->snd_una;
        s->urgent = true;
        return wr_segment_build(stack, tcb, s, out, now);
    }
    if (tcb->want & WR_WANT_PROBE) {
        uint8_t owed = tcb->want & WR_WANT_ACK; /* what is not acceptable acknowledges nothing */
        size_t len;
        tcb->want &= (uint8_t)~WR_WANT_PROBE;
        s->seq = tcb->snd_una - 1;
        len = wr_segment_build(stack, tcb, s, out, now);
        tcb->want |= owed;
        return len;
    }
    s->seq = tcb->snd_nxt;
    return wr_segment_build(stack, tcb, s, out, now);
}

/* ---- as mostly --------------------------------------------------------------------------------------- */

/* Does all that is queued, the FIN with it, fit into one segment that may go now, and is there nothing else to be said
 * or thought of? */
static bool is_plain(struct tcb *tcb)
{
    uint32_t fin = tcb->fin_queued ? 1 : 0;
    uint32_t len = tcb->write_seq - tcb->snd_nxt, flight = tcb->snd_nxt - tcb->snd_una;

    return len <= tcb->smss && len + fin > 0 && len <= tcb->max_wnd / 2 &&
           (tcb->want & ~WR_WANT_ACK) == 0 && wr_tcb_is_calm(tcb) &&
           flight + len + fin <= tcb->snd_wnd && flight + len <= tcb->tx->cc.cwnd &&
           !nagle_holds(tcb);
}

/* What is left of send_new() then: the same in the same order. Without memory for a record the ACK that is owed goes
 * alone. */
static size_t send_plain(struct weir_stack *stack, struct tcb *tcb, struct weir_out *out,
                         weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    uint32_t seq = tcb->snd_nxt, len = tcb->write_seq - seq, mss = wr_output_mss(tcb, 0);
    uint32_t end = tcb->write_seq + (tcb->fin_queued ? 1 : 0);
    struct wr_segment s;

    s.seq = seq;
    s.len = len;
    s.mss = mss;
    s.flags = tcb->fin_queued ? W_TCP_ACK | W_TCP_FIN : W_TCP_ACK;
    s.n_sack = 0;
    s.urgent = s.probe = s.fresh = false;
    s.why = WEIR_TRACE_SENT_FIN;
    if (len > 0 && !wr_tcb_in_flight(tcb))
        wr_cwnd_restart(stack, tcb, now);
    if (!wr_sendq_append(stack, &tx->q, seq, end, mss, now)) {
        wr_timers_blocked(stack, tcb, now);
        s = (struct wr_segment){0};
        return (tcb->want & WR_WANT_ACK) ? send_empty(stack, tcb, &s, out, now) : 0;
    }
    if (tx->q.ever_segs > 0) /* without memory it joined the one before, as if sent twice */
        wr_tcb_stirred(tcb);
    wr_sendq_note_end(&tx->q, tx->push.tail, false);
    if (len > 0) {
        s.flags |= tx->push.tail ? W_TCP_PSH : 0;
        s.fresh = true;
        s.why = WEIR_TRACE_SENT_NEW;
        if (len < mss)
            tcb->snd_sml = seq + len;
    }
    tcb->snd_nxt = end;
    sent_new(stack, tcb, len, end - tcb->snd_una, now);
    return wr_segment_build(stack, tcb, &s, out, now);
}

/* Has all been sent, and is nothing of it thought to be lost? Then a turn finds nothing to send but what is wanted. */
static bool all_sent(const struct tcb *tcb)
{
    const struct wr_tx *tx = tcb->tx;

    return !has_new(tcb) && tcb->dup_owed == 0 &&
           (tx == NULL || (tx->ca_state == WEIR_CA_OPEN && tx->q.lost_bytes == 0 && !tx->pace.on));
}

/* Is an ACK all there is to be sent, with nothing to say but how far it got? */
static bool is_ack(const struct tcb *tcb)
{
    return tcb->want == WR_WANT_ACK && all_sent(tcb) && !tcb->dsack_set &&
           (tcb->ofo == NULL || tcb->ofo->count == 0) && !wr_tcb_opening(tcb);
}

WR_APART size_t send_ack(struct weir_stack *stack, struct tcb *tcb, struct weir_out *out,
                         weir_time now)
{
    struct wr_segment s;

    s.n_sack = 0;
    s.urgent = s.fresh = s.probe = false;
    return send_empty(stack, tcb, &s, out, now);
}

/* ---- one turn of one connection ---------------------------------------------------------------------- */

WR_APART size_t send_any(struct weir_stack *stack, struct tcb *tcb, struct weir_out *out,
                         weir_time now)
{
    struct wr_segment s = {0};
    bool opening = wr_tcb_opening(tcb), dsack;
    uint32_t mss;
    size_t len = 0;

    wr_tcb_stirred(tcb);
    if (tcb->want & WR_WANT_SYN)
        return opening || wr_fastopen_pending(tcb) ? send_syn(stack, tcb, &s, out, now) : 0;
    if (tcb->state == WEIR_TCP_SYN_SENT)
        return 0;
    if (opening && (tcb->want & WR_WANT_FIN))
        return send_early_fin(stack, tcb, &s, out, now);
    dsack = tcb->dsack_set;
    s.n_sack = wr_reasm_sacks(tcb, s.sack, tcb->ts_ok ? 3 : 4);
    mss = wr_output_mss(tcb, s.n_sack);
    if (tcb->want & (WR_WANT_PROBE | WR_WANT_PROBE_URG))
        return send_empty(stack, tcb, &s, out, now);
    if (!opening) {
        bool paced = tcb->tx != NULL && wr_pace_holds(tcb, now);
        bool new_first = wr_recovery_new_first(tcb);
        if (tcb->want & WR_WANT_TLP)
            len = send_probe(stack, tcb, &s, mss, out, now);
        if (len == 0 && anything_lost(tcb) && !new_first && (!paced || (tcb->want & WR_WANT_HEAD)))
            len = send_lost(stack, tcb, &s, mss, out, now);
        if (len == 0 && (!paced || (tcb->want & WR_WANT_FORCE)))
            len = send_new(stack, tcb, &s, mss, out, now);
        if (len == 0 && new_first && !paced && wr_recovery_no_new(tcb))
            len = send_lost(stack, tcb, &s, mss, out, now);
        if (len == 0 && !paced)
            len = send_doubtful(stack, tcb, &s, mss, out, now);
    }
    if (len == 0 && ((tcb->want & WR_WANT_ACK) || tcb->dup_owed > 0)) {
        if (tcb->dup_owed > 0)
            tcb->dup_owed--;
        len = send_empty(stack, tcb, &s, out, now);
    }
    if (len == 0 && dsack)
        tcb->dsack_set = true; /* not told yet */
    return len;
}

/* Nothing to send now: off the list, and if data is left behind somebody must bring it back. */
static void rest(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    wr_output_unlink(tcb);
    wr_trace_held(stack, tcb);
    tcb->want &= (uint8_t) ~(WR_WANT_FORCE | WR_WANT_HEAD);
    if (tcb->tx != NULL)
        wr_chrono_turn_ended(tcb, now);
    if (wr_tcb_opening(tcb))
        return;
    if (tcb->paced)
        return; /* its timer brings it back */
    if (!wr_tcb_in_flight(tcb) && has_new(tcb))
        wr_timers_held(stack, tcb, now);
}

/* The same when send_plain() has sent all there was. */
WR_INLINE void rest_after_all(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    wr_output_unlink(tcb);
    wr_trace_held(stack, tcb);
    wr_chrono_all_sent(tcb, now);
}

WR_APART void neighbour_failed(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    wr_output_unlink(tcb);
    if (wr_tcb_opening(tcb)) {
        wr_count(stack, WR_STAT_tcp_attempt_fails);
        wr_tcb_done(stack, tcb, EHOSTUNREACH);
        return;
    }
    tcb->soft_error = EHOSTUNREACH;
    wr_timers_blocked(stack, tcb, now);
}

/* Is the way out open? If not the connection is off the list, and waits for what will bring it back. */
static bool way_open(struct weir_stack *stack, struct wr_netif *netif, struct tcb *tcb,
                     weir_time now)
{
    if (tcb->path.netif != netif || wr_path_stale(stack, &tcb->path)) {
        wr_output_unlink(tcb);
        wr_output_kick(stack, tcb, now);
        if (tcb->out_list != WR_OUT_READY || tcb->path.netif != netif)
            return false;
    }
    switch (wr_neigh_resolve(stack, &tcb->path, now)) {
    case WR_NEIGH_READY:
        return true;
    case WR_NEIGH_WAIT:
        wr_list_remove(&tcb->out);
        wr_list_push_back(&stack->tcp->neigh_wait, &tcb->out);
        tcb->out_list = WR_OUT_NEIGH;
        return false;
    case WR_NEIGH_FAILED:
        break;
    }
    neighbour_failed(stack, tcb, now);
    return false;
}

size_t wr_tcp_output(struct weir_stack *stack, struct wr_netif *netif, struct weir_out *out,
                     weir_time now)
{
    struct wr_list *node;

    while ((node = wr_list_first(&netif->tcp_ready)) != NULL) {
        struct tcb *tcb = WR_CONTAINER(node, struct tcb, out);
        size_t len = 0;
        if (way_open(stack, netif, tcb, now)) {
            bool all = wr_may_be_short(stack) && is_plain(tcb);
            if (all)
                len = send_plain(stack, tcb, out, now);
            else if (wr_may_be_short(stack) && is_ack(tcb))
                len = send_ack(stack, tcb, out, now);
            else
                len = send_any(stack, tcb, out, now);
            /* Most segments are the only ones: another turn would find nothing. */
            if (all && len > 0 && !has_new(tcb)) {
                rest_after_all(stack, tcb, now);
            } else if (len == 0 || (WR_SHORT_WAYS && tcb->want == 0 && all_sent(tcb))) {
                rest(stack, tcb, now);
            } else { /* the next in turn first, then this one again */
                wr_list_remove(&tcb->out);
                wr_list_push_back(&netif->tcp_ready, &tcb->out);
            }
        }
        if (!tcb->dozing || !wr_rest_again(stack, tcb, now))
            wr_tcb_settle(stack, tcb, now);
        if (len > 0)
            return len;
    }
    return 0;
}

/* ---- what IP tells ------------------------------------------------------------------------------------ */

void wr_tcp_neigh_settled(struct weir_stack *stack, struct wr_netif *netif,
                          const struct weir_addr *next_hop, bool failed, weir_time now)
{
    struct wr_list waiting;

    wr_list_init(&waiting);
    wr_list_splice_back(&waiting, &stack->tcp->neigh_wait);
    while (!wr_list_is_empty(&waiting)) {
        struct tcb *tcb = WR_CONTAINER(wr_list_pop_front(&waiting), struct tcb, out);
        bool same = !wr_path_stale(stack, &tcb->path) && tcb->path.netif == netif &&
                    weir_addr_eq(&tcb->path.next_hop, next_hop);
        if (!same && !wr_path_stale(stack, &tcb->path)) {
            wr_list_push_back(&stack->tcp->neigh_wait, &tcb->out);
            continue;
        }
        tcb->out_list = WR_OUT_IDLE;
        if (same && failed)
            neighbour_failed(stack, tcb, now);
        else
            wr_output_kick(stack, tcb, now);
        wr_tcb_settle(stack, tcb, now);
    }
}

void wr_tcp_netif_gone(struct weir_stack *stack, struct wr_netif *netif, weir_time now)
{
    while (!wr_list_is_empty(&netif->tcp_ready)) {
        struct tcb *tcb = WR_CONTAINER(wr_list_first(&netif->tcp_ready), struct tcb, out);
        wr_output_unlink(tcb);
        tcb->path.netif = NULL;
        wr_timers_blocked(stack, tcb, now);
        wr_tcb_settle(stack, tcb, now);
    }
}
