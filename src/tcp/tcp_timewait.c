/* SPDX-License-Identifier: MIT */
/*
 * TIME-WAIT, RFC 9293 3.6.1: a record of its own takes the connection's place in the flow table for 2 MSL
 * (60 s, as on Linux). All wait equally long, so a list in the order of expiry and one timer do.
 *
 * A SYN may open the tuple anew when it cannot be an old duplicate: its sequence number is above all we
 * received, or its timestamp is newer (RFC 6191 2); the new ISN is put above all that we sent. Other
 * segments are answered with the last ACK; a RST at RCV.NXT ends the wait unless tcp_rfc1337 is set.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"

static struct wr_tw *of_queue(struct wr_list *node)
{
    return WR_CONTAINER(node, struct wr_tw, queue);
}

static void restart(struct weir_stack *stack, struct wr_tw *tw, weir_time now)
{
    wr_list_remove(&tw->queue);
    tw->expires_at = now + WR_TCP_TIMEWAIT;
    wr_list_push_back(&stack->tcp->tw_queue, &tw->queue);
    if (!wr_timer_is_armed(&stack->tcp->tw_timer))
        wr_timer_arm(stack, &stack->tcp->tw_timer, tw->expires_at);
}

void wr_tw_free(struct weir_stack *stack, struct wr_tw *tw)
{
    wr_demux_remove(stack, &tw->flow);
    wr_port_release(stack, tw->flow.tuple.lport, tw->flow.bits);
    wr_list_remove(&tw->queue);
    wr_pool_free(&stack->tcp->tws, tw);
}

void wr_tcp_timewait_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now)
{
    struct wr_list *first;

    while ((first = wr_list_first(&stack->tcp->tw_queue)) != NULL) {
        if (of_queue(first)->expires_at > now) {
            wr_timer_arm(stack, timer, of_queue(first)->expires_at);
            return;
        }
        wr_tw_free(stack, of_queue(first));
    }
}

static void send_ack(struct weir_stack *stack, const struct wr_tw *tw, weir_time now)
{
    uint32_t ts_offset = wr_isn_ts_offset(stack, &tw->flow.tuple);
    struct w_tcpopt opt = {
        .has_ts = tw->ts_ok, .ts_val = wr_ts_now(ts_offset, now), .ts_ecr = tw->ts_recent};
    struct wr_bare ack = {.tuple = &tw->flow.tuple,
                          .hash = tw->flow.node.hash,
                          .seq = tw->snd_nxt,
                          .ack = tw->rcv_nxt,
                          .flags = W_TCP_ACK,
                          .wnd = tw->flow.wnd,
                          .ds = tw->ds,
                          .opt = &opt};

    wr_segment_bare(stack, &ack, now);
}

void wr_tw_enter(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_tcp *tcp = stack->tcp;
    struct wr_tuple tuple = tcb->flow.tuple;
    struct wr_tw *tw = NULL, left = {.flow.tuple = tuple,
                                     .flow.node.hash = tcb->flow.node.hash,
                                     .flow.bits = tcb->port_reuse,
                                     .flow.wnd = wr_reasm_window_announce(tcb),
                                     .ts_ok = tcb->ts_ok,
                                     .ds = tcb->opts.ds,
                                     .snd_nxt = tcb->snd_nxt,
                                     .rcv_nxt = tcb->rcv_nxt,
                                     .ts_recent = tcb->ts_recent};
    void *obj = NULL;

    /* With or without a record the peer's FIN is acknowledged. */
    if (tcb->want & WR_WANT_ACK)
        send_ack(stack, &left, now);
    if (tcp->tws.count < stack->tunables.tcp_max_tw_buckets &&
        wr_pool_alloc(&tcp->tws, &obj) != 0) {
        tw = obj;
        *tw = left;
        wr_list_init(&tw->queue);
    }
    wr_tcb_done(stack, tcb, 0);
    if (tw == NULL) {
        wr_drop(stack, WR_DROP_tcp_timewait_full);
        wr_count(stack, WR_STAT_tcp_timewait_overflow);
        return;
    }
    if (!wr_port_hold(stack, tuple.lport, tw->flow.bits)) {
        wr_pool_free(&tcp->tws, tw);
        return;
    }
    if (!wr_demux_insert(stack, &tw->flow, WR_FLOW_TIMEWAIT, &tuple)) {
        wr_port_release(stack, tuple.lport, tw->flow.bits);
        wr_pool_free(&tcp->tws, tw);
        return;
    }
    restart(stack, tw, now);
    wr_count(stack, WR_STAT_tcp_timewaits);
}

static bool is_old_by_timestamp(const struct wr_tw *tw, const struct seg *seg)
{
    return tw->ts_ok && seg->opt.has_ts && tw->ts_recent != 0 &&
           (int32_t)(tw->ts_recent - seg->opt.ts_val) > 0;
}

static bool opens_anew(const struct wr_tw *tw, const struct seg *seg)
{
    if ((seg->flags & (W_TCP_SYN | W_TCP_RST | W_TCP_ACK)) != W_TCP_SYN)
        return false;
    if (seq_gt(seg->seq, tw->rcv_nxt))
        return true;
    return tw->ts_ok && seg->opt.has_ts && (int32_t)(tw->ts_recent - seg->opt.ts_val) < 0;
}

static bool limited(struct weir_stack *stack, struct wr_tw *tw, const struct seg *seg,
                    weir_time now)
{
    uint16_t tick = (uint16_t)(now / (16 * WEIR_MS)) | 1;

    if (seg->len > 0 && !(seg->flags & W_TCP_SYN))
        return false;
    if (tw->oow_tick != 0 &&
        (uint16_t)(tick - tw->oow_tick) * 16 < stack->tunables.tcp_invalid_ratelimit_ms)
        return true;
    tw->oow_tick = tick;
    return false;
}

bool wr_tw_input(struct weir_stack *stack, struct wr_tw *tw, struct seg *seg, uint32_t *iss,
                 weir_time now)
{
    bool old = is_old_by_timestamp(tw, seg);

    if (seg->flags & W_TCP_RST) { /* RFC 9293 3.10.7.4 second, RFC 1337 */
        if (!old && seg->seq == tw->rcv_nxt && !stack->tunables.tcp_rfc1337)
            wr_tw_free(stack, tw);
        else
            wr_drop(stack, WR_DROP_tcp_rst_out_of_window);
        return false;
    }
    if (!old && seg->seq == tw->rcv_nxt && seg->end_seq == seg->seq) { /* the expected bare ACK */
        if (tw->ts_ok && seg->opt.has_ts)
            tw->ts_recent = seg->opt.ts_val;
        restart(stack, tw, now);
        return false;
    }
    if (!old && opens_anew(tw, seg)) {
        *iss = tw->snd_nxt + UINT16_MAX + 2;
        if (*iss == 0)
            *iss = 1;
        wr_count(stack, WR_STAT_tcp_tw_recycled);
        wr_tw_free(stack, tw);
        return true;
    }
    if (old)
        wr_drop(stack, WR_DROP_tcp_paws);
    else
        wr_drop(stack, WR_DROP_tcp_after_close);
    if (old || (seg->flags & W_TCP_ACK)) /* a FIN sent again: the peer lost our ACK */
        restart(stack, tw, now);
    if (!limited(stack, tw, seg, now))
        send_ack(stack, tw, now);
    return false;
}

bool wr_tw_reusable(const struct weir_stack *stack, const struct wr_tw *tw, weir_time now)
{
    weir_time waited = now - (tw->expires_at - WR_TCP_TIMEWAIT);

    if (stack->tunables.tcp_tw_reuse == 0 || !tw->ts_ok ||
        waited < stack->tunables.tcp_tw_reuse_delay_ms * WEIR_MS)
        return false;
    return stack->tunables.tcp_tw_reuse == 1 || weir_addr_is_loopback(&tw->flow.tuple.remote) ||
           weir_addr_eq(&tw->flow.tuple.local, &tw->flow.tuple.remote);
}
