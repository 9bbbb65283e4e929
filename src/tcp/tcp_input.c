/* SPDX-License-Identifier: MIT */
/*
 * SEGMENT ARRIVES: RFC 9293 3.10.7, in its own order. LISTEN, SYN-RECEIVED of passive opens and
 * TIME-WAIT have files of their own; this one finds out whom a segment is for, and serves the other
 * states.
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_sender.h"
#include "tcp/tcp_trace.h"
#include "wire/w_ip4.h"

#include <string.h>

/* ---- parsing and delivery --------------------------------------------------------------------------- */

WR_APART void parse_options(struct weir_stack *stack, const uint8_t *p, size_t len, bool is_syn,
                            struct w_tcpopt *opt)
{
    if (wr_w_tcpopt_parse(p, len, is_syn, opt) != W_OK)
        wr_drop(stack, WR_DROP_tcp_bad_option); /* what stood before the bad one counts */
}

WR_APART bool csum_ok(const uint8_t *p, size_t len, const struct wr_tuple *tuple)
{
    return wr_w_tcp_csum_ok(p, len, &tuple->remote, &tuple->local);
}

/* The header and options of `len` bytes of segment, which came with what stands in *pkt. False: it was dropped. */
WR_INLINE bool parse(struct weir_stack *stack, const uint8_t *p, size_t len,
                     const struct weir_frame *pkt, struct seg *seg)
{
    struct w_tcp th;
    size_t n_opts;

    switch (wr_w_tcp_parse(p, len, &th)) {
    case W_OK:
        break;
    case W_SHORT:
        wr_drop(stack, WR_DROP_tcp_short);
        return false;
    default:
        wr_drop(stack, WR_DROP_tcp_bad_offset);
        return false;
    }
    if (!pkt->csum_valid && !csum_ok(p, len, &seg->tuple)) {
        wr_drop(stack, WR_DROP_tcp_bad_checksum);
        return false;
    }
    seg->seq = th.seq;
    seg->ack = th.ack;
    seg->flags = th.flags;
    seg->wnd = th.wnd;
    seg->urg = th.urg;
    seg->data = pkt->body != NULL ? pkt->body : p + th.data_off;
    seg->len = (uint32_t)(len - th.data_off);
    seg->end_seq = seg->seq + seg->len;
    if (th.flags & (W_TCP_SYN | W_TCP_FIN))
        seg->end_seq += ((th.flags & W_TCP_SYN) ? 1u : 0u) + ((th.flags & W_TCP_FIN) ? 1u : 0u);
    seg->wire_mss = seg->len;
    seg->n_segs = 1;
    if (pkt->gso_size != 0 && pkt->gso_size < seg->len) {
        seg->wire_mss = pkt->gso_size;
        seg->n_segs = (uint16_t)((seg->len + seg->wire_mss - 1) / seg->wire_mss);
    }
    seg->tuple.lport = th.dst_port;
    seg->tuple.rport = th.src_port;

    n_opts = th.data_off - (size_t)W_TCP_HLEN;
    /* Blocks and the cookie are there as far as their numbers say. */
    memset(&seg->opt, 0, offsetof(struct w_tcpopt, sack));
    if (wr_may_be_short(stack) &&
        wr_w_tcpopt_parse_ts(p + W_TCP_HLEN, n_opts, &seg->opt.ts_val, &seg->opt.ts_ecr))
        seg->opt.has_ts = true;
    else if (n_opts > 0 && !(wr_may_be_short(stack) && (th.flags & W_TCP_SYN) != 0 &&
                             wr_w_tcpopt_parse_syn(p + W_TCP_HLEN, n_opts, &seg->opt)))
        parse_options(stack, p + W_TCP_HLEN, n_opts, (th.flags & W_TCP_SYN) != 0, &seg->opt);
    return true;
}

/* RFC 9293 3.9.2.3 MUST-57, MUST-63 */
WR_APART bool endpoints_fit(struct weir_stack *stack, const struct wr_pkt *pkt)
{
    if (!pkt->dst_unicast) {
        wr_drop(stack, WR_DROP_tcp_not_unicast);
        return false;
    }
    if (weir_addr_is_any(&pkt->src) || weir_addr_is_multicast(&pkt->src) ||
        weir_addr_is_broadcast(&pkt->src)) {
        wr_drop(stack, WR_DROP_tcp_bad_endpoint);
        return false;
    }
    return true;
}

/* RFC 9293 3.10.7.1: CLOSED */
static void no_connection(struct weir_stack *stack, struct seg *seg, weir_time now)
{
    wr_drop(stack, WR_DROP_tcp_no_socket);
    wr_segment_reset_reply(stack, seg, now);
}

static void to_listener(struct weir_stack *stack, struct seg *seg, const uint32_t *iss,
                        weir_time now)
{
    struct wr_listener *listener = wr_demux_listener(stack, &seg->tuple, seg->hash);

    if (listener != NULL)
        wr_listen_input(stack, listener, seg, iss, now);
    else
        no_connection(stack, seg, now);
}

static void to_timewait(struct weir_stack *stack, struct wr_tw *tw, struct seg *seg, weir_time now)
{
    uint32_t iss;

    /* A SYN may reuse the tuple only if somebody listens for it. */
    if ((seg->flags & (W_TCP_SYN | W_TCP_ACK | W_TCP_RST)) == W_TCP_SYN &&
        wr_demux_listener(stack, &seg->tuple, seg->hash) == NULL) {
        no_connection(stack, seg, now);
        return;
    }
    if (wr_tw_input(stack, tw, seg, &iss, now))
        to_listener(stack, seg, &iss, now);
}

/* The connection that the segment is for, awake. NULL: it is for something else and was dealt with. */
WR_APART struct tcb *find_connection(struct weir_stack *stack, struct seg *seg, weir_time now)
{
    struct wr_syn *newest = wr_syn_newest(stack);
    struct wr_flow *flow;
    struct tcb *tcb;

    if (newest != NULL && wr_demux_has(&newest->flow, &seg->tuple)) {
        seg->hash = stack->tcp->newest_hash;
        wr_listen_syn_input(stack, newest, seg, now);
        return NULL;
    }
    seg->hash = wr_demux_hash(stack, &seg->tuple);
    flow = wr_demux_find(stack, &seg->tuple, seg->hash);
    if (flow == NULL) {
        to_listener(stack, seg, NULL, now);
    } else if (flow->kind == WR_FLOW_TCB) {
        tcb = WR_CONTAINER(flow, struct tcb, flow);
        wr_demux_found(stack, tcb);
        return tcb;
    } else if (flow->kind == WR_FLOW_REST) {
        tcb = wr_rest_wake(stack, WR_CONTAINER(flow, struct wr_rest, flow));
        if (tcb == NULL)
            wr_drop(stack, WR_DROP_no_memory);
        return tcb;
    } else if (flow->kind == WR_FLOW_SYN) {
        wr_listen_syn_input(stack, WR_CONTAINER(flow, struct wr_syn, flow), seg, now);
    } else {
        to_timewait(stack, WR_CONTAINER(flow, struct wr_tw, flow), seg, now);
    }
    return NULL;
}

/* The segment at p, where it comes from and its addresses are known. */
WR_INLINE void input(struct weir_stack *stack, const uint8_t *p, size_t len, struct seg *seg,
                     weir_time now)
{
    struct tcb *tcb;

    if (!parse(stack, p, len, seg->frame, seg)) {
        wr_count(stack, WR_STAT_tcp_in_errs);
        return;
    }
    wr_count_add(stack, WR_STAT_tcp_in_segs, seg->n_segs);
    wr_trace_subject(stack, seg);
    tcb = wr_demux_recent(stack, &seg->tuple);
    if (tcb != NULL)
        seg->hash = tcb->node.hash;
    else if ((tcb = find_connection(stack, seg, now)) == NULL)
        return;
    wr_input_tcb(stack, tcb, seg, now);
    wr_trace_received(stack, tcb, seg);
    if (!tcb->dozing || !wr_rest_again(stack, tcb, now))
        wr_tcb_settle(stack, tcb, now);
}

void wr_tcp_input(struct weir_stack *stack, const struct wr_pkt *pkt, weir_time now)
{
    struct weir_frame frame = {
        .body = pkt->body, .gso_size = pkt->gso_size, .csum_valid = pkt->csum_valid};
    struct seg seg;

    if (!endpoints_fit(stack, pkt))
        return;
    seg.tuple.local = pkt->dst;
    seg.tuple.remote = pkt->src;
    seg.netif = pkt->netif;
    seg.frame = &frame;
    seg.l3 = pkt->l3;
    seg.ds = pkt->ds;
    input(stack, pkt->data, pkt->len, &seg, now);
}

void wr_tcp_input_plain(struct weir_stack *stack, const struct wr_netif *netif,
                        const struct weir_frame *frame, const uint8_t *ip,
                        const struct weir_addr src_dst[2], weir_time now)
{
    struct seg seg;

    seg.tuple.local = src_dst[1];
    seg.tuple.remote = src_dst[0];
    seg.netif = netif;
    seg.frame = frame;
    seg.l3 = ip;
    seg.ds = ip[1];
    input(stack, ip + W_IP4_HLEN, get_be16(ip + 2) - (size_t)W_IP4_HLEN, &seg, now);
}

/* ---- challenge and duplicate ACKs --------------------------------------------------------------------- */

/* RFC 5961 7 as on Linux: one answer to invalid segments per tcp_invalid_ratelimit and connection, so that
 * no connection can be observed through another's budget (CVE-2016-5696). */
static bool oow_limited(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    weir_time gap = stack->tunables.tcp_invalid_ratelimit_ms * WEIR_MS;

    if (tcb->oow_ack_at >= 0 && now - tcb->oow_ack_at < gap) {
        wr_drop(stack, WR_DROP_tcp_challenge_limited);
        return true;
    }
    tcb->oow_ack_at = now;
    return false;
}

/* tcp_challenge_ack_limit: so many a second for the whole host, give or take a half at random, so that nobody learns
 * of others' by counting; unlimited by default. */
static bool host_limited(struct weir_stack *stack, weir_time now)
{
    struct wr_tcp *tcp = stack->tcp;
    uint32_t limit = (uint32_t)stack->tunables.tcp_challenge_ack_limit;

    if (limit == INT32_MAX)
        return false;
    if (tcp->challenge_second != now / WEIR_SEC) {
        tcp->challenge_second = now / WEIR_SEC;
        tcp->challenges_left = (limit + 1) / 2 + (limit > 0 ? wr_rng_below(&stack->rng, limit) : 0);
    }
    if (tcp->challenges_left == 0) {
        wr_drop(stack, WR_DROP_tcp_challenge_limited);
        return true;
    }
    tcp->challenges_left--;
    return false;
}

void wr_input_challenge(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    if (oow_limited(stack, tcb, now) || host_limited(stack, now))
        return;
    wr_count(stack, WR_STAT_tcp_challenge_acks);
    wr_output_want_ack(stack, tcb, true, now);
}

/* The answer to an unacceptable segment. Segments with data are always answered: they cost their sender
 * as much, and a lost ACK must be replaced. */
static void answer_unacceptable(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                                weir_time now)
{
    if ((seg->len == 0 && !(seg->flags & W_TCP_FIN)) && oow_limited(stack, tcb, now))
        return;
    if (seg->end_seq != seg->seq && seq_lt(seg->seq, tcb->rcv_nxt)) {
        wr_reasm_dsack(stack, tcb, seg->seq, seq_min(seg->end_seq, tcb->rcv_nxt));
        wr_delack_enter_quick(tcb);
    }
    wr_output_want_ack(stack, tcb, true, now);
}

/* ---- the handshake's end --------------------------------------------------------------------------------- */

void wr_input_syn_options(struct tcb *tcb, const struct seg *seg, weir_time now)
{
    if (seg->opt.has_mss)
        tcb->peer_mss = seg->opt.mss; /* floored when used */
    if (!seg->opt.has_ts)
        tcb->ts_ok = false;
    if (!seg->opt.sack_permitted)
        tcb->sack_ok = false;
    if (!seg->opt.has_wscale)
        tcb->wscale_ok = false;
    if (tcb->ts_ok) {
        tcb->ts_recent = seg->opt.ts_val;
        tcb->ts_recent_at = now;
    }
    tcb->snd_wscale = 0;
    if (tcb->wscale_ok)
        tcb->snd_wscale =
            seg->opt.wscale < WR_TCP_MAX_WSCALE ? seg->opt.wscale : (uint8_t)WR_TCP_MAX_WSCALE;
    else {
        tcb->rcv_wscale = 0;
        if (tcb->window_clamp > UINT16_MAX)
            tcb->window_clamp = UINT16_MAX;
    }
}

/* The round trip of the SYN or SYN-ACK that the peer's timestamp echoes; -1: it echoes none. */
static weir_time echoed_rtt(struct tcb *tcb, const struct seg *seg, weir_time now)
{
    uint32_t ms = wr_ts_now(tcb->ts_offset, now) - seg->opt.ts_ecr;

    if (!tcb->ts_ok || !seg->opt.has_ts || seg->opt.ts_ecr == 0 || ms > 0x7fffffffu / 1000)
        return -1;
    if (tcb->syn_at != WEIR_TIME_NEVER && seg->opt.ts_ecr == wr_ts_now(tcb->ts_offset, tcb->syn_at))
        tcb->syn_retries =
            0; /* the first was answered: none was lost, and the window need not be small */
    return (ms > 0 ? ms : 1) * WEIR_MS;
}

/* The handshake gives the first round-trip sample. If a SYN or SYN-ACK went twice only timestamps tell which
 * was answered (Karn); without them the time-out for data is the longer one of RFC 6298 5.7. */
static void first_rtt(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                      weir_time now)
{
    weir_time rtt = -1;

    if (tcb->syn_retries == 0 && tcb->syn_at != WEIR_TIME_NEVER)
        rtt = now - tcb->syn_at;
    else if (tcb->syn_retries > 0)
        rtt = echoed_rtt(tcb, seg, now);
    wr_rtt_init(&tcb->rtt);
    if (rtt >= 0)
        wr_rtt_sample(&tcb->rtt, rtt, tcb->snd_una, tcb->snd_nxt, &stack->tunables, now);
    else
        tcb->rtt.rto = WR_TCP_RTO_FALLBACK;
    if (tcb->tx != NULL) /* who sent before: fast open */
        tcb->tx->cc.min_rtt = tcb->rtt.min_rtt;
}

void wr_input_begin(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    tcb->snd_sml = tcb->snd_una;
    tcb->snd_up = tcb->snd_una;
    wr_output_sync_path(stack, tcb);
    wr_output_sync_mss(stack, tcb);
    wr_delack_init(tcb);
    tcb->delack.last_at = now; /* ages count from here until data comes */
    tcb->rcv_ssthresh = tcb->rcv_wnd;
    wr_ring_set_limit(&tcb->rcv_ring, tcb->opts.rcvbuf + UINT16_MAX + 1);
    if (!tcb->opts.sndbuf_locked && tcb->opts.sndbuf < 2 * WR_TCP_IW_SEGMENTS * tcb->smss)
        tcb->opts.sndbuf = 2 * WR_TCP_IW_SEGMENTS * tcb->smss;
    wr_ring_set_limit(&tcb->snd_ring, tcb->opts.sndbuf);
}

void wr_input_opened(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg, uint32_t wnd,
                     weir_time now)
{
    tcb->state = tcb->fin_queued ? WEIR_TCP_FIN_WAIT1 : WEIR_TCP_ESTABLISHED;
    tcb->snd_wnd = wnd;
    tcb->max_wnd = wnd;
    tcb->snd_wl1 = seg->seq;
    tcb->rto_at = WEIR_TIME_NEVER;
    wr_timers_rto_recovered(tcb, tcb->stalled_at, now);
    tcb->stalled_at = 0;
    tcb->retransmits = 0;
    tcb->last_ack_at = now;
    first_rtt(stack, tcb, seg, now);
    tcb->opened_at = now; /* in the place of syn_at */
    wr_trace_state(stack, tcb, 0);
    wr_timers_keepalive(stack, tcb, now);
    wr_rest_watch(stack, now);
    wr_tcb_touch(stack, tcb, WR_HAPPENED_STATE);
    if (tcb->fin_queued)
        wr_output_kick(stack, tcb, now);
}

void wr_input_establish(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                        uint32_t wnd, weir_time now)
{
    wr_input_opened(stack, tcb, seg, wnd, now);
    wr_input_begin(stack, tcb, now);
}

/* ---- SYN-SENT ------------------------------------------------------------------------------------------------ */

/* A timestamp echo must be of a SYN that we sent (RFC 7323 3.2; Linux resets what is not). */
static bool echo_fits(const struct tcb *tcb, const struct seg *seg, weir_time now)
{
    uint32_t first = wr_ts_now(tcb->ts_offset, tcb->syn_at);

    if (!tcb->ts_ok || !seg->opt.has_ts || seg->opt.ts_ecr == 0)
        return true;
    return seg->opt.ts_ecr - first <= wr_ts_now(tcb->ts_offset, now) - first;
}

static void syn_sent_to_synchronized(struct weir_stack *stack, struct tcb *tcb, struct seg *seg,
                                     weir_time now)
{
    tcb->irs = seg->seq;
    tcb->rcv_nxt = tcb->rcv_wup = seg->seq + 1;
    wr_input_syn_options(tcb, seg, now);
    wr_ecn_syn_received(tcb, seg);
    if (seg->flags & W_TCP_ACK) {
        wr_fastopen_synack(stack, tcb, seg);
        tcb->snd_una = seg->ack;
        tcb->want &= (uint8_t)~WR_WANT_SYN;
        wr_input_establish(stack, tcb, seg, seg->wnd, now);
        wr_fastopen_send_left(stack, tcb, now);
        wr_neigh_confirm(stack, &tcb->path, now);
        if (tcb->fo ==
            NULL) /* RFC 9293 3.10.7.4 eighth: not in SYN-SENT; after a fast open as on Linux */
            seg->flags &= (uint16_t)~W_TCP_FIN;
        if (wr_reasm_input(stack, tcb, seg, now))
            wr_close_fin_received(stack, tcb, now);
        if (tcb->opts.defer_accept_s > 0 &&
            seg->len == 0) /* data will come: the ACK rides on them */
            wr_delack_defer(stack, tcb, now);
        else
            wr_output_want_ack(stack, tcb, false, now);
        return;
    }
    /* Simultaneous open, RFC 9293 3.5: the SYN goes again, with an ACK. */
    tcb->state = WEIR_TCP_SYN_RECV;
    wr_trace_state(stack, tcb, 0);
    tcb->snd_wnd = seg->wnd;
    tcb->max_wnd = seg->wnd;
    tcb->snd_wl1 = seg->seq;
    wr_delack_init(tcb);
    tcb->want |= WR_WANT_SYN;
    tcb->rto_at = now + tcb->rtt.rto;
    wr_output_kick(stack, tcb, now);
}

/* RFC 9293 3.10.7.3 */
WR_APART void syn_sent_input(struct weir_stack *stack, struct tcb *tcb, struct seg *seg,
                             weir_time now)
{
    bool has_ack = (seg->flags & W_TCP_ACK) != 0;

    /* first: ACK */
    if (has_ack && (seq_leq(seg->ack, tcb->iss) || seq_gt(seg->ack, tcb->snd_nxt) ||
                    !echo_fits(tcb, seg, now))) {
        wr_drop(stack, WR_DROP_tcp_ack_unsent);
        wr_segment_reset_reply(stack, seg, now);
        return;
    }
    /* second: RST */
    if (seg->flags & W_TCP_RST) {
        if (has_ack)
            wr_close_reset_received(stack, tcb);
        else
            wr_drop(stack, WR_DROP_tcp_rst_out_of_window);
        return;
    }
    /* fourth: SYN */
    if (seg->flags & W_TCP_SYN) {
        syn_sent_to_synchronized(stack, tcb, seg, now);
        return;
    }
    /* fifth: neither SYN nor RST */
    wr_drop(stack, WR_DROP_tcp_bad_flags);
}

/* ---- synchronized states: the checks -------------------------------------------------------------------------- */

/* RFC 7323 5.3 R1, strictly older; a pure ACK that was only overtaken on its way is let through, since it
 * can do no harm and is no sign of anything. */
static bool paws_rejects(const struct tcb *tcb, const struct seg *seg, weir_time now)
{
    uint32_t age = tcb->ts_recent - seg->opt.ts_val;

    if (!tcb->ts_ok || !seg->opt.has_ts || (int32_t)age <= 0 || tcb->ts_recent == 0)
        return false;
    if (now - tcb->ts_recent_at >= WR_TCP_PAWS_IDLE) /* RFC 7323 5.5 */
        return false;
    return seg->end_seq != seg->seq || seg->seq != tcb->rcv_nxt ||
           age > (uint64_t)(tcb->rtt.rto / WEIR_MS);
}

/* RFC 7323 4.3: what comes in order of sequence renews TS.Recent. */
static void update_ts_recent(struct tcb *tcb, const struct seg *seg, weir_time now)
{
    if (!tcb->ts_ok || !seg->opt.has_ts || seq_gt(seg->seq, tcb->rcv_wup))
        return;
    if ((int32_t)(seg->opt.ts_val - tcb->ts_recent) >= 0 ||
        now - tcb->ts_recent_at >= WR_TCP_PAWS_IDLE) {
        tcb->ts_recent = seg->opt.ts_val;
        tcb->ts_recent_at = now;
    }
}

/* RFC 9293 3.10.7.4 first. The left edge is that of our last ACK, as on Linux: an ACK that crossed ours
 * is still of use (RFC 9293 A.2). The right edge itself is taken for a segment without data. */
static bool in_window(const struct tcb *tcb, const struct seg *seg)
{
    uint32_t edge = tcb->rcv_nxt + wr_reasm_wnd(tcb);

    if (seq_lt(seg->end_seq, tcb->rcv_wup))
        return false;
    return seg->end_seq == seg->seq ? seq_leq(seg->seq, edge)
                                    : seq_lt(seg->seq, edge) || seg->seq == tcb->rcv_nxt;
}

/* RFC 5961 3.2: exactly RCV.NXT. Linux also takes the byte before it after a FIN (a peer that does not count
 * its FIN), and the end of the highest SACKed range (a peer that lost what lies below). */
static bool reset_matches(const struct tcb *tcb, const struct seg *seg)
{
    struct wr_range last;

    if (seg->seq == tcb->rcv_nxt)
        return true;
    if (tcb->fin_received && seg->seq == tcb->rcv_nxt - 1)
        return true;
    return tcb->sack_ok && tcb->ofo != NULL && wr_ranges_last(tcb->ofo, &last) &&
           seg->seq == last.end;
}

static void reset_input(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                        weir_time now)
{
    uint32_t edge = tcb->rcv_nxt + wr_reasm_wnd(tcb);

    if (reset_matches(tcb, seg)) {
        wr_fastopen_reset(stack, tcb, now);
        wr_close_reset_received(stack, tcb);
    } else if (seq_geq(seg->seq, tcb->rcv_nxt) && seq_lt(seg->seq, edge)) {
        wr_drop(stack, WR_DROP_tcp_rst_challenged);
        wr_fastopen_odd_reset(stack, tcb, now);
        wr_input_challenge(stack, tcb, now);
    } else {
        wr_drop(stack, WR_DROP_tcp_rst_out_of_window);
    }
}

/* RFC 9293 3.10.7.4 fifth, in SYN-RECEIVED (of a simultaneous open). */
static bool syn_received_ack(struct weir_stack *stack, struct tcb *tcb, struct seg *seg,
                             weir_time now)
{
    uint32_t fin_end = tcb->iss + 2; /* of a FIN sent in this state */
    bool fin_acked = tcb->fin_queued && seg->ack == fin_end && tcb->fo == NULL;

    if (wr_fastopen_pending(tcb))
        return wr_fastopen_acked(stack, tcb, seg, now);
    if (!fin_acked && (seq_leq(seg->ack, tcb->snd_una) || seq_gt(seg->ack, tcb->snd_nxt))) {
        wr_drop(stack, WR_DROP_tcp_ack_unsent);
        wr_segment_reset_reply(stack, seg, now);
        return false;
    }
    wr_fastopen_synack(stack, tcb, seg);
    tcb->snd_una = fin_acked ? tcb->snd_nxt : seg->ack;
    tcb->want &= (uint8_t) ~(WR_WANT_SYN | WR_WANT_FIN);
    wr_input_establish(stack, tcb, seg, wr_ack_window(tcb, seg), now);
    wr_fastopen_send_left(stack, tcb, now);
    if (fin_acked)
        tcb->snd_una = tcb->snd_nxt = fin_end;
    return true;
}

/* After close(2) or SHUT_RDWR nobody will read: new data draws a RST (RFC 9293 3.6.1 SHLD-3). */
static bool data_after_close(struct weir_stack *stack, struct tcb *tcb, struct seg *seg,
                             weir_time now)
{
    uint32_t data_end = seg->seq + seg->len;

    if (!(tcb->shut & WR_SHUT_RCV) || seg->len == 0 || seq_leq(data_end, tcb->rcv_nxt))
        return false;
    if (tcb->state != WEIR_TCP_FIN_WAIT1 && tcb->state != WEIR_TCP_FIN_WAIT2)
        return false;
    wr_drop(stack, WR_DROP_tcp_after_close);
    wr_count(stack, WR_STAT_tcp_abort_on_data);
    wr_segment_reset_reply(stack, seg, now);
    wr_tcb_done(stack, tcb, ECONNRESET);
    return true;
}

static bool takes_data(const struct tcb *tcb)
{
    return tcb->state == WEIR_TCP_ESTABLISHED || tcb->state == WEIR_TCP_FIN_WAIT1 ||
           tcb->state == WEIR_TCP_FIN_WAIT2;
}

/* RFC 9293 3.10.7.4, steps six to eight. */
static void segment_text(struct weir_stack *stack, struct tcb *tcb, struct seg *seg, weir_time now)
{
    if (!takes_data(tcb)) {
        if (seg->len > 0 || (seg->flags & W_TCP_FIN)) { /* seen before, or after the FIN */
            wr_drop(stack, WR_DROP_tcp_after_close);
            answer_unacceptable(stack, tcb, seg, now);
        }
        return;
    }
    /* sixth: URG */
    if ((seg->flags & W_TCP_URG) || tcb->urg_state == WR_URG_NOTYET)
        wr_reasm_urgent(stack, tcb, seg);
    if (seg->len > 0)
        wr_ecn_data_received(stack, tcb, seg, now);
    /* seventh: segment text */
    if ((seg->len > 0 || (seg->flags & W_TCP_FIN)) && wr_reasm_input(stack, tcb, seg, now))
        /* eighth: FIN */
        wr_close_fin_received(stack, tcb, now);
}

/* ---- synchronized states: the order of RFC 9293 3.10.7.4 -------------------------------------------------------- */

/* The first four: false when the segment has been dealt with. */
WR_APART bool passes_checks(struct weir_stack *stack, struct tcb *tcb, struct seg *seg,
                            weir_time now)
{
    /* RFC 7323 5.3: PAWS comes before the sequence number; a RST skips it. */
    if (!(seg->flags & W_TCP_RST) && paws_rejects(tcb, seg, now)) {
        wr_drop(stack, WR_DROP_tcp_paws);
        answer_unacceptable(stack, tcb, seg, now);
        return false;
    }
    /* first: sequence number */
    if (!(seg->flags & W_TCP_RST) && !in_window(tcb, seg)) {
        wr_drop(stack, WR_DROP_tcp_out_of_window);
        if (seg->flags & W_TCP_SYN)
            wr_input_challenge(stack, tcb, now);
        else
            answer_unacceptable(stack, tcb, seg, now);
        return false;
    }
    /* second: RST */
    if (seg->flags & W_TCP_RST) {
        reset_input(stack, tcb, seg, now);
        return false;
    }
    /* third: security and compartment are not used (RFC 9293 A.1) */
    /* fourth: SYN. RFC 5961 4.2. The SYN-ACK of a simultaneous open is taken for its ACK. */
    if (seg->flags & W_TCP_SYN) {
        if (tcb->state != WEIR_TCP_SYN_RECV || !(seg->flags & W_TCP_ACK) || seg->seq != tcb->irs) {
            wr_drop(stack, WR_DROP_tcp_syn_in_window);
            wr_input_challenge(stack, tcb, now);
            return false;
        }
    }
    if (!(seg->flags & W_TCP_ACK)) { /* fifth, its beginning */
        wr_drop(stack, WR_DROP_tcp_no_ack);
        return false;
    }
    return tcb->state != WEIR_TCP_SYN_RECV || syn_received_ack(stack, tcb, seg, now);
}

/* Does it pass all checks at first sight, being the next segment of the stream and no older than the last? */
static bool is_next(const struct tcb *tcb, const struct seg *seg)
{
    return seg->seq == tcb->rcv_nxt && (seg->flags & ~(W_TCP_PSH | W_TCP_FIN)) == W_TCP_ACK &&
           tcb->state != WEIR_TCP_SYN_RECV &&
           (!seg->opt.has_ts || (int32_t)(tcb->ts_recent - seg->opt.ts_val) <= 0);
}

/* Is this the end of a connection that nobody will ask for again? It acknowledges our FIN, and the peer's is here: so
 * nobody learns what else the ACK tells of the path. */
static bool is_last(const struct weir_stack *stack, const struct tcb *tcb, const struct seg *seg)
{
    const struct wr_tx *tx = tcb->tx;

    return tcb->orphan && seg->ack == tcb->snd_nxt && tcb->snd_nxt == tcb->write_seq + 1 &&
           (tcb->state == WEIR_TCP_LAST_ACK ||
            (tcb->state == WEIR_TCP_FIN_WAIT1 &&
             (seg->flags & (W_TCP_FIN | W_TCP_URG)) == W_TCP_FIN && seg->len == 0 &&
             seg->seq == tcb->rcv_nxt && !tcb->fin_seen && !tcb->opts.linger2_off &&
             tcb->urg_state != WR_URG_NOTYET)) &&
           seg->opt.n_sack == 0 && tcb->ecn == 0 && tcb->rtt.srtt != 0 && !tcb->stamping &&
           tx != NULL && tx->ca_state == WEIR_CA_OPEN && !tx->tlp.active && !wr_tracing(stack);
}

/* What is left to be done then: LAST-ACK to CLOSED, or FIN-WAIT-1 by way of FIN-WAIT-2 to TIME-WAIT. */
WR_APART void take_last(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                        weir_time now)
{
    wr_neigh_confirm(stack, &tcb->path, now);
    tcb->snd_una = seg->ack;
    update_ts_recent(tcb, seg, now);
    if (tcb->state == WEIR_TCP_LAST_ACK) {
        wr_tcb_done(stack, tcb, 0);
        return;
    }
    tcb->rcv_nxt++;
    tcb->fin_seen = tcb->fin_received = true;
    tcb->want |= WR_WANT_ACK;
    wr_tw_enter(stack, tcb, now);
}

void wr_input_tcb(struct weir_stack *stack, struct tcb *tcb, struct seg *seg, weir_time now)
{
    tcb->segs_in += seg->n_segs;
    if (seg->len > 0)
        tcb->data_segs_in += seg->n_segs;
    if (tcb->state == WEIR_TCP_SYN_SENT) {
        syn_sent_input(stack, tcb, seg, now);
        return;
    }
    if (!(wr_may_be_short(stack) && is_next(tcb, seg)) && !passes_checks(stack, tcb, seg, now))
        return;
    /* fifth: ACK */
    if (wr_may_be_short(stack) && is_last(stack, tcb, seg)) {
        take_last(stack, tcb, seg, now);
        return;
    }
    if (wr_ack_input(stack, tcb, seg, now) == WR_ACK_DROP)
        return;
    update_ts_recent(tcb, seg, now);
    if (tcb->fin_queued && tcb->snd_una == tcb->write_seq + 1)
        wr_close_fin_acked(stack, tcb, now);
    if (tcb->state == WEIR_TCP_CLOSE || data_after_close(stack, tcb, seg, now))
        return;
    segment_text(stack, tcb, seg, now);
    if (tcb->state != WEIR_TCP_CLOSE)
        wr_delack_check(stack, tcb, now);
}

/* ---- ICMP errors --------------------------------------------------------------------------------------------------- */

/* RFC 5927 4.1: the quoted segment must be one of those in flight. */
static bool quotes_our_flight(struct weir_stack *stack, const struct tcb *tcb, uint32_t seq)
{
    uint32_t first = wr_fastopen_pending(tcb) ? tcb->iss : tcb->snd_una;

    if (seq_geq(seq, first) && seq_leq(seq, tcb->snd_nxt))
        return true;
    wr_drop(stack, WR_DROP_tcp_icmp_out_of_window);
    wr_count(stack, WR_STAT_tcp_out_of_window_icmps);
    return false;
}

static void packet_too_big(struct weir_stack *stack, struct tcb *tcb, uint32_t mtu, weir_time now)
{
    uint32_t before = tcb->smss;

    if (tcb->opts.mtu_discover == WR_TCP_MTU_DONT || tcb->opts.mtu_discover >= WR_TCP_MTU_INTERFACE)
        return; /* as on Linux the user knows better */
    wr_path_mtu_learn(stack, &tcb->tuple.remote, mtu, now);
    if (wr_fastopen_too_big(stack, tcb, now) || wr_tcb_opening(tcb))
        return;
    wr_output_sync_path(stack, tcb);
    wr_output_sync_mss(stack, tcb);
    if (tcb->smss < before)
        wr_recovery_too_big(stack, tcb, now);
}

/* RFC 5927 5.2, LNX-TCP-20: an error ends an attempt; a connection only remembers it. */
static void icmp_for_tcb(struct weir_stack *stack, struct tcb *tcb,
                         const struct wr_icmp_error *error, weir_time now)
{
    wr_tcb_stirred(tcb);
    if (!quotes_our_flight(stack, tcb, get_be32(error->quoted + 4)))
        return;
    if (error->mtu != 0) {
        packet_too_big(stack, tcb, error->mtu, now);
    } else if (wr_tcb_opening(tcb) || (wr_fastopen_pending(tcb) && tcb->in_accept)) {
        wr_count(stack, WR_STAT_tcp_attempt_fails);
        wr_tcb_done(stack, tcb, -error->error);
    } else {
        tcb->soft_error = -error->error;
        if (error->error == WEIR_ENETUNREACH || error->error == WEIR_EHOSTUNREACH)
            wr_timers_unreachable(stack, tcb, get_be32(error->quoted + 4), now);
    }
}

void wr_tcp_icmp(struct weir_stack *stack, const struct wr_icmp_error *error, weir_time now)
{
    struct wr_tuple tuple = {error->local, error->remote, 0, 0};
    struct wr_flow *flow;

    if (error->quoted_len < 8)
        return;
    tuple.lport = get_be16(error->quoted);
    tuple.rport = get_be16(error->quoted + 2);
    flow = wr_demux_find(stack, &tuple, wr_demux_hash(stack, &tuple));
    if (flow == NULL || flow->kind == WR_FLOW_TIMEWAIT) {
        wr_drop(stack, WR_DROP_icmp_not_for_us);
    } else if (flow->kind == WR_FLOW_TCB) {
        struct tcb *tcb = WR_CONTAINER(flow, struct tcb, flow);
        icmp_for_tcb(stack, tcb, error, now);
        wr_tcb_settle(stack, tcb, now);
    } else if (flow->kind == WR_FLOW_REST || /* nothing is in flight */
               get_be32(error->quoted + 4) != WR_CONTAINER(flow, struct wr_syn, flow)->iss) {
        wr_drop(stack, WR_DROP_tcp_icmp_out_of_window);
        wr_count(stack, WR_STAT_tcp_out_of_window_icmps);
    } else if (error->mtu == 0) {
        wr_listen_syn_unreachable(stack, WR_CONTAINER(flow, struct wr_syn, flow));
    }
}
