/* SPDX-License-Identifier: MIT */
/*
 * Segments as bytes: header, options, checksum. What to send was decided before, in tcp_output; here
 * nothing is decided. The payload of a connection's segment is lent from its send ring as spans, so a
 * segment of 64 KB costs as much as an empty one; those without a connection (SYN-ACKs, ACKs of
 * TIME-WAIT, resets) are built whole and handed to IP.
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_trace.h"
#include "wire/w_ip4.h"

#include <string.h>

/* ---- building a segment ------------------------------------------------------------------------------ */

static uint32_t flow_label(uint64_t hash)
{
    return (uint32_t)(hash >> 40) & 0xfffff; /* RFC 6437: the same for all of a flow */
}

static void syn_options(struct tcb *tcb, struct w_tcpopt *opt, weir_time now)
{
    bool answer = tcb->state == WEIR_TCP_SYN_RECV;

    opt->has_mss = true;
    opt->mss = tcb->adv_mss;
    opt->sack_permitted = tcb->sack_ok;
    opt->has_wscale = tcb->wscale_ok;
    opt->wscale = tcb->rcv_wscale;
    opt->has_ts = tcb->ts_ok;
    opt->ts_val = wr_ts_now(tcb->ts_offset, now);
    opt->ts_ecr = answer ? tcb->ts_recent : 0;
    wr_fastopen_syn_options(tcb, opt);
}

static uint16_t urgent_field(const struct tcb *tcb, const struct wr_segment *s, uint16_t *flags)
{
    uint32_t ahead = tcb->snd_up - s->seq;

    if (!s->urgent || !seq_gt(tcb->snd_up, s->seq))
        return 0;
    *flags |= W_TCP_URG;
    return (uint16_t)(ahead < UINT16_MAX ? ahead : UINT16_MAX);
}

static size_t emit_options(struct tcb *tcb, const struct wr_segment *s, uint8_t *p, weir_time now)
{
    struct w_tcpopt opt;

    if (s->flags & W_TCP_SYN) {
        opt = (struct w_tcpopt){0};
        syn_options(tcb, &opt, now);
        return wr_w_tcpopt_emit_syn(p, &opt);
    }
    if (!tcb->ts_ok && s->n_sack == 0)
        return 0;
    if (s->n_sack == 0)
        return wr_w_tcpopt_emit_ts(p, wr_ts_now(tcb->ts_offset, now), tcb->ts_recent);
    opt.has_ts = tcb->ts_ok;
    opt.ts_val = wr_ts_now(tcb->ts_offset, now);
    opt.ts_ecr = tcb->ts_recent;
    opt.n_sack = (uint8_t)s->n_sack;
    for (unsigned i = 0; i < s->n_sack; i++)
        opt.sack[i] = s->sack[i];
    return wr_w_tcpopt_emit(p, &opt);
}

static uint16_t window_field(struct tcb *tcb, const struct wr_segment *s)
{
    if (s->flags & W_TCP_SYN) /* never scaled, RFC 7323 2.2 */
        return (uint16_t)(tcb->rcv_wnd > UINT16_MAX ? UINT16_MAX : tcb->rcv_wnd);
    return wr_reasm_window_announce(tcb);
}

static void finish_checksum(struct weir_stack *stack, const struct tcb *tcb, struct weir_out *out,
                            size_t l3_len, size_t tcp_hlen, uint32_t len)
{
    const struct wr_tuple *tuple = &tcb->tuple;
    uint8_t *th = out->head + l3_len;
    uint64_t sum = wr_csum_pseudo(&tuple->local, &tuple->remote, 6, (uint32_t)tcp_hlen + len);

    (void)stack;
    if (tcb->path.netif->config.tx_csum) {
        out->csum_partial = true;
        out->csum_start = (uint16_t)l3_len;
        out->csum_offset = W_TCP_OFF_CSUM;
        put_be16(th + W_TCP_OFF_CSUM, wr_csum_fold(sum));
        return;
    }
    sum = wr_csum_add(sum, th, tcp_hlen);
    if (out->n_spans > 0)
        sum = wr_csum_join(sum, wr_csum_spans(0, out->span, out->n_spans));
    put_be16(th + W_TCP_OFF_CSUM, wr_csum_finish(sum));
}

WR_INLINE void note_sent(struct weir_stack *stack, struct tcb *tcb, const struct wr_segment *s,
                         unsigned n_segs)
{
    wr_count_add(stack, WR_STAT_tcp_out_segs, n_segs);
    tcb->segs_out += n_segs;
    if (s->len > 0)
        tcb->data_segs_out += n_segs;
    if (s->flags & W_TCP_ACK)
        wr_delack_ack_sent(tcb);
}

/* Is it as most segments are: IPv4 by a link without a header of its own, with timestamps, and not urgent? */
WR_INLINE bool is_usual(const struct tcb *tcb, const struct wr_segment *s)
{
    return tcb->ts_ok && tcb->flow.v4 && tcb->path.netif->config.kind == WEIR_NETIF_IP &&
           tcb->opts.mtu_discover != WR_TCP_MTU_DONT &&
           (!s->urgent || !seq_gt(tcb->snd_up, s->seq));
}

/* And of a connection that is open, with no other option? */
static bool is_plain(const struct tcb *tcb, const struct wr_segment *s)
{
    return (s->flags & (W_TCP_SYN | W_TCP_ACK)) == W_TCP_ACK && s->len <= s->mss &&
           s->n_sack == 0 && tcb->ecn == 0 && is_usual(tcb, s);
}

/* Or a SYN with the options that nearly all have? */
static bool is_plain_syn(const struct tcb *tcb, const struct wr_segment *s)
{
    return (s->flags & (W_TCP_SYN | W_TCP_ACK)) == W_TCP_SYN && s->len == 0 && tcb->fo == NULL &&
           tcb->sack_ok && tcb->wscale_ok && is_usual(tcb, s);
}

/* A header of so many bytes, its options aside. */
WR_INLINE void put_header(uint8_t *p, const struct wr_tuple *tuple, uint32_t seq, uint32_t ack,
                          size_t hlen, uint16_t flags, uint16_t wnd, uint16_t csum)
{
    put_be32(p, (uint32_t)tuple->lport << 16 | tuple->rport);
    put_be32(p + 4, seq);
    put_be32(p + 8, ack);
    put_be32(p + 12, (uint32_t)hlen << 26 | (uint32_t)flags << 16 | wnd);
    put_be32(p + 16, (uint32_t)csum << 16);
}

/* IPv4: of its pseudo-header, len: of header and data. */
WR_INLINE uint16_t pseudo_sum4(const struct wr_tuple *tuple, size_t len)
{
    return wr_csum_fold16(wr_csum_addrs4(&tuple->local, &tuple->remote) + 6 + (uint32_t)len);
}

/* Both are written straight down, the same as the long way would write. */
WR_INLINE size_t build_usual(struct weir_stack *stack, struct tcb *tcb, const struct wr_segment *s,
                             bool syn, struct weir_out *out, weir_time now)
{
    const size_t hlen = W_TCP_HLEN + (syn ? W_TCPOPT_SYN_LEN : W_TCPOPT_TS_LEN);
    const struct wr_tuple *tuple = &tcb->tuple;
    uint32_t announced = tcb->rcv_wnd, ack = syn ? 0 : tcb->rcv_nxt, len = s->len;
    uint16_t wnd = syn ? window_field(tcb, s) : wr_reasm_window_announce(tcb), pseudo = 0;
    uint8_t *ip = out->head, *th = ip + W_IP4_HLEN;

    out->csum_partial = tcb->path.netif->config.tx_csum;
    if (out->csum_partial) {
        out->csum_start = W_IP4_HLEN;
        out->csum_offset = W_TCP_OFF_CSUM;
        /* Before the first byte is written, so that the sum of the addresses is seen to be the one that IP needs. */
        pseudo = pseudo_sum4(tuple, hlen + len);
    }
    wr_ip_emit_atomic(stack, &tuple->local, &tuple->remote, 6, tcb->opts.hop_limit,
                      (uint8_t)(tcb->opts.ds & ~3u), hlen + len, ip);
    put_header(th, tuple, s->seq, ack, hlen, s->flags, wnd, pseudo);
    if (syn)
        wr_w_tcpopt_emit_usual_syn(th + W_TCP_HLEN, tcb->adv_mss, wr_ts_now(tcb->ts_offset, now), 0,
                                   tcb->rcv_wscale);
    else
        wr_w_tcpopt_emit_ts(th + W_TCP_HLEN, wr_ts_now(tcb->ts_offset, now), tcb->ts_recent);
    out->head_len = W_IP4_HLEN + hlen;
    out->gso_size = 0;
    out->gso_ipv6 = false;
    out->n_spans = 0;
    if (len > 0)
        out->n_spans =
            (unsigned)wr_ring_peek(&tcb->snd_ring, s->seq - wr_tcb_snd_head(tcb), len, out->span);
    if (!out->csum_partial)
        finish_checksum(stack, tcb, out, W_IP4_HLEN, hlen, len);
    if (wr_tracing(stack)) {
        const struct w_tcp sent = {tuple->lport, tuple->rport, s->seq, ack,
                                   s->flags,     wnd,          0,      (uint8_t)hlen};
        wr_trace_sent(stack, tcb, s, &sent, announced);
    }
    note_sent(stack, tcb, s, 1);
    return W_IP4_HLEN + hlen + len;
}

WR_APART size_t build_any(struct weir_stack *stack, struct tcb *tcb, struct wr_segment *s,
                          struct weir_out *out, weir_time now)
{
    const struct wr_tuple *tuple = &tcb->tuple;
    unsigned n_segs = s->len > s->mss ? (s->len + s->mss - 1) / s->mss : 1;
    size_t l3_len = wr_ip_head_len(&tcb->path, &tuple->remote), hlen;
    uint32_t announced = tcb->rcv_wnd;
    struct w_tcp th = {.src_port = tuple->lport, .dst_port = tuple->rport, .seq = s->seq};
    struct wr_ip_tx tx = {.src = tuple->local,
                          .dst = tuple->remote,
                          .proto = 6,
                          .hop_limit = tcb->opts.hop_limit,
                          .ds = (uint8_t)(tcb->opts.ds & ~3u),
                          .dont_fragment = tcb->opts.mtu_discover != WR_TCP_MTU_DONT,
                          .flow_label = flow_label(tcb->node.hash)};

    out->n_spans = 0;
    out->gso_size = 0;
    out->gso_ipv6 = false;
    out->csum_partial = false;
    hlen = W_TCP_HLEN + emit_options(tcb, s, out->head + l3_len + W_TCP_HLEN, now);
    th.flags = s->flags;
    th.urg = urgent_field(tcb, s, &th.flags);
    if (!(s->flags & W_TCP_SYN))
        tx.ds |= wr_ecn_sent(tcb, s->fresh, &th.flags);
    th.ack = (s->flags & W_TCP_ACK) ? tcb->rcv_nxt : 0;
    th.wnd = window_field(tcb, s);
    th.data_off = (uint8_t)hlen;
    wr_w_tcp_emit(out->head + l3_len, &th);
    if (s->len > 0)
        out->n_spans = (unsigned)wr_ring_peek(
            &tcb->snd_ring, s->seq + ((s->flags & W_TCP_SYN) ? 1 : 0) - wr_tcb_snd_head(tcb),
            s->len, out->span);
    out->head_len = l3_len + hlen;
    if (n_segs > 1) {
        out->gso_size = (uint16_t)s->mss;
        out->gso_ipv6 = !wr_tcb_is_v4(tcb);
    }
    wr_ip_emit(stack, &tcb->path, &tx, hlen + s->len, n_segs, out->head, now);
    finish_checksum(stack, tcb, out, l3_len, hlen, s->len);

    wr_trace_sent(stack, tcb, s, &th, announced);
    note_sent(stack, tcb, s, n_segs);
    return out->head_len + s->len;
}

WR_APART size_t build_other(struct weir_stack *stack, struct tcb *tcb, struct wr_segment *s,
                            struct weir_out *out, weir_time now)
{
    return wr_may_be_short(stack) && is_plain_syn(tcb, s)
               ? build_usual(stack, tcb, s, true, out, now)
               : build_any(stack, tcb, s, out, now);
}

size_t wr_segment_build(struct weir_stack *stack, struct tcb *tcb, struct wr_segment *s,
                        struct weir_out *out, weir_time now)
{
    return wr_may_be_short(stack) && is_plain(tcb, s) ? build_usual(stack, tcb, s, false, out, now)
                                                      : build_other(stack, tcb, s, out, now);
}

/* ---- segments without data ------------------------------------------------------------------------------ */

/* Are they those that nearly every SYN-ACK or ACK has? Then their length, else 0. */
WR_INLINE size_t usual_options(const struct wr_bare *bare)
{
    const struct w_tcpopt *opt = bare->opt;

    if (opt == NULL || !opt->has_ts)
        return 0;
    if (bare->flags & W_TCP_SYN)
        return opt->has_mss && opt->sack_permitted && opt->has_wscale && !opt->has_fastopen
                   ? W_TCPOPT_SYN_LEN
                   : 0;
    return opt->n_sack == 0 ? W_TCPOPT_TS_LEN : 0;
}

/* Over IPv4 with these, by a known way without link headers that leaves checksums to the link: written straight down
 * where it waits for the link, the same as the long way would. False: not so. */
WR_INLINE bool bare_in_place(struct weir_stack *stack, const struct wr_bare *bare)
{
    const struct wr_tuple *tuple = bare->tuple;
    const struct w_tcpopt *opt = bare->opt;
    size_t n = usual_options(bare), hlen = W_TCP_HLEN + n;
    struct wr_qpkt *pkt;
    uint8_t *ip, *th;

    if (n == 0 || bare->path == NULL || !weir_addr_is_v4(&tuple->remote) ||
        !wr_ip_is_clear(stack, bare->path))
        return false;
    pkt = wr_ip_room(stack, W_IP4_HLEN + hlen);
    if (pkt == NULL)
        return true;
    ip = pkt->data + pkt->offset;
    th = ip + W_IP4_HLEN;
    wr_ip_emit_atomic(stack, &tuple->local, &tuple->remote, 6, bare->hop_limit,
                      (uint8_t)(bare->ds & ~3u), hlen, ip);
    put_header(th, tuple, bare->seq, bare->ack, hlen, bare->flags, bare->wnd,
               pseudo_sum4(tuple, hlen));
    if (bare->flags & W_TCP_SYN)
        wr_w_tcpopt_emit_usual_syn(th + W_TCP_HLEN, opt->mss, opt->ts_val, opt->ts_ecr,
                                   opt->wscale);
    else
        wr_w_tcpopt_emit_ts(th + W_TCP_HLEN, opt->ts_val, opt->ts_ecr);
    wr_ip_leave_csum(pkt, W_IP4_HLEN, W_TCP_OFF_CSUM);
    wr_ip_post(bare->path, pkt);
    return true;
}

/* Any other. */
WR_APART void bare_by_ip(struct weir_stack *stack, const struct wr_bare *bare, weir_time now)
{
    const struct wr_tuple *tuple = bare->tuple;
    uint8_t bytes[W_TCP_HLEN_MAX], *options = bytes + W_TCP_HLEN;
    struct wr_ip_tx tx = {.src = tuple->local,
                          .dst = tuple->remote,
                          .proto = 6,
                          .hop_limit = bare->hop_limit,
                          .ds = (uint8_t)(bare->ds & ~3u),
                          .dont_fragment = true,
                          .flow_label = flow_label(bare->hash)};
    struct weir_span span = {bytes, W_TCP_HLEN};
    bool partial = bare->path != NULL && wr_ip_takes_csum(stack, bare->path);
    uint64_t sum;

    if (bare->opt != NULL)
        span.len += (bare->flags & W_TCP_SYN) ? wr_w_tcpopt_emit_syn(options, bare->opt)
                                              : wr_w_tcpopt_emit(options, bare->opt);
    put_header(bytes, tuple, bare->seq, bare->ack, span.len, bare->flags, bare->wnd, 0);
    sum = wr_csum_pseudo(&tuple->local, &tuple->remote, 6, (uint32_t)span.len);
    put_be16(bytes + W_TCP_OFF_CSUM,
             partial ? wr_csum_fold(sum) : wr_csum_finish(wr_csum_add(sum, bytes, span.len)));
    if (partial)
        tx.csum_offset = W_TCP_OFF_CSUM;
    wr_ip_send(stack, bare->path, &tx, &span, 1, now);
}

void wr_segment_bare(struct weir_stack *stack, const struct wr_bare *bare, weir_time now)
{
    wr_trace_bare(stack, bare);
    wr_count(stack, WR_STAT_tcp_out_segs);
    if (bare->flags & W_TCP_RST)
        wr_count(stack, WR_STAT_tcp_out_rsts);
    if (!wr_may_be_short(stack) || !bare_in_place(stack, bare))
        bare_by_ip(stack, bare, now);
}

void wr_segment_reset(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct w_tcpopt opt = {0};
    struct wr_bare rst = {.tuple = &tcb->tuple,
                          .hash = tcb->node.hash,
                          .seq = tcb->snd_nxt,
                          .ack = tcb->rcv_nxt,
                          .flags = W_TCP_RST | W_TCP_ACK,
                          .hop_limit = tcb->opts.hop_limit,
                          .ds = tcb->opts.ds,
                          .opt = &opt};

    if (tcb->ts_ok) {
        opt.has_ts = true;
        opt.ts_val = wr_ts_now(tcb->ts_offset, now);
        opt.ts_ecr = tcb->ts_recent;
    }
    wr_segment_bare(stack, &rst, now);
}

void wr_segment_reset_reply(struct weir_stack *stack, const struct seg *seg, weir_time now)
{
    struct wr_bare rst = {.tuple = &seg->tuple, .hash = seg->hash, .flags = W_TCP_RST};

    if (seg->flags & W_TCP_RST)
        return;
    if (seg->flags & W_TCP_ACK) {
        rst.seq = seg->ack;
    } else {
        rst.ack = seg->end_seq;
        rst.flags |= W_TCP_ACK;
    }
    wr_segment_bare(stack, &rst, now);
}
