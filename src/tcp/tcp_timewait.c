/* SPDX-License-Identifier: MIT */
/*
 * TIME-WAIT, RFC 9293 3.6.1: a record of its own takes the connection's place in the flow table for 2 MSL
 * (60 s, as on Linux). All wait equally long, so they stand in a line, one for each family, in the order of
 * expiry, and one timer does for all. Records are many: neighbours in the line are told by their pool's slots.
 *
 * A SYN may open the tuple anew when it cannot be an old duplicate: its sequence number is above all we
 * received, or its timestamp is newer (RFC 6191 2); the new ISN is put above all that we sent. Other
 * segments are answered with the last ACK; a RST at RCV.NXT ends the wait unless tcp_rfc1337 is set.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_trace.h"

#include <string.h>

enum { NONE = UINT32_MAX };

void wr_tw_init(struct weir_stack *stack)
{
    for (unsigned v4 = 0; v4 < 2; v4++) {
        struct wr_tw_line *line = &stack->tcp->tw[v4];
        wr_pool_init(&line->pool, &stack->alloc,
                     offsetof(struct wr_tw, addrs) + (v4 ? WR_ADDRS_V4 : WR_ADDRS_V6), 1u << 24);
        line->first = line->last = NONE;
    }
}

static struct wr_tw_line *line_of(struct weir_stack *stack, const struct wr_tw *tw)
{
    return &stack->tcp->tw[tw->flow.v4];
}

weir_time wr_tw_expires_at(const struct wr_tw *tw, weir_time now)
{
    int64_t ms = now / WEIR_MS;
    return (ms + (int32_t)(tw->expires_ms - (uint32_t)ms)) * WEIR_MS;
}

/* ---- the line ------------------------------------------------------------------------------------- */

static void stand(struct wr_tw_line *line, struct wr_tw *tw)
{
    uint32_t slot = (uint32_t)wr_pool_handle(&line->pool, tw);

    tw->prev = line->last;
    tw->next = NONE;
    if (line->last != NONE)
        ((struct wr_tw *)wr_pool_at(&line->pool, line->last))->next = slot;
    else
        line->first = slot;
    line->last = slot;
}

static void leave(struct wr_tw_line *line, const struct wr_tw *tw)
{
    struct wr_tw *prev = wr_pool_at(&line->pool, tw->prev);
    struct wr_tw *next = wr_pool_at(&line->pool, tw->next);

    *(prev != NULL ? &prev->next : &line->first) = tw->next;
    *(next != NULL ? &next->prev : &line->last) = tw->prev;
}

/* Waits from now on, at the end of the line. */
static void wait_from(struct weir_stack *stack, struct wr_tw *tw, weir_time now)
{
    weir_time at = now + WR_TCP_TIMEWAIT;

    tw->expires_ms = (uint32_t)((at + WEIR_MS - 1) / WEIR_MS);
    stand(line_of(stack, tw), tw);
    if (!wr_timer_is_armed(&stack->tcp->tw_timer))
        wr_timer_arm(stack, &stack->tcp->tw_timer, wr_tw_expires_at(tw, now));
}

static void restart(struct weir_stack *stack, struct wr_tw *tw, weir_time now)
{
    leave(line_of(stack, tw), tw);
    wait_from(stack, tw, now);
}

void wr_tw_free(struct weir_stack *stack, struct wr_tw *tw)
{
    struct wr_tw_line *line = line_of(stack, tw);

    wr_demux_remove(stack, &tw->flow);
    wr_port_release(stack, tw->flow.lport, tw->flow.reuse);
    leave(line, tw);
    wr_pool_free(&line->pool, tw);
}

void wr_tcp_timewait_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now)
{
    weir_time next = WEIR_TIME_NEVER;

    for (unsigned v4 = 0; v4 < 2; v4++) {
        struct wr_tw_line *line = &stack->tcp->tw[v4];
        struct wr_tw *tw;
        while ((tw = wr_pool_at(&line->pool, line->first)) != NULL &&
               wr_tw_expires_at(tw, now) <= now && wr_work(stack))
            wr_tw_free(stack, tw);
        if (tw != NULL)
            next = weir_time_min(next, wr_tw_expires_at(tw, now));
    }
    wr_timer_arm(stack, timer, next);
}

/* ---- segments -------------------------------------------------------------------------------------- */

/* path: the way there if it is known, or NULL. */
static void send_ack(struct weir_stack *stack, const struct wr_tw *tw, const struct wr_tuple *tuple,
                     const struct wr_path *path, uint32_t ts_offset, weir_time now)
{
    struct w_tcpopt opt = {
        .has_ts = tw->flow.ts_ok, .ts_val = wr_ts_now(ts_offset, now), .ts_ecr = tw->ts_recent};
    struct wr_bare ack = {.tuple = tuple,
                          .path = path,
                          .hash = tw->flow.node.hash,
                          .seq = tw->snd_nxt,
                          .ack = tw->rcv_nxt,
                          .flags = W_TCP_ACK,
                          .wnd = tw->flow.wnd,
                          .ds = tw->flow.ds,
                          .opt = &opt};

    wr_segment_bare(stack, &ack, now);
}

/* What a connection leaves, in no table. NULL: there may be no more. */
static struct wr_tw *make_record(struct weir_stack *stack, const struct wr_tw *left, bool v4)
{
    const struct wr_tw_line *tw = stack->tcp->tw;
    void *obj;

    if ((int64_t)tw[0].pool.count + tw[1].pool.count >= stack->tunables.tcp_max_tw_buckets ||
        wr_pool_alloc(&stack->tcp->tw[v4].pool, &obj) == 0)
        return NULL;
    memcpy(obj, left, offsetof(struct wr_tw, addrs));
    return obj;
}

void wr_tw_enter(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_tuple tuple = tcb->tuple;
    bool v4 = wr_tcb_is_v4(tcb);
    struct wr_tw *tw, left = {.flow.node.hash = tcb->flow.node.hash,
                              .flow.reuse = tcb->port_reuse & 3u,
                              .flow.ts_ok = tcb->ts_ok,
                              .flow.wnd = wr_reasm_window_announce(tcb),
                              .flow.ds = tcb->opts.ds,
                              .snd_nxt = tcb->snd_nxt,
                              .rcv_nxt = tcb->rcv_nxt,
                              .ts_recent = tcb->ts_recent};
    unsigned reuse = tcb->port_reuse;

    /* With or without a record the peer's FIN is acknowledged. */
    if (tcb->want & WR_WANT_ACK)
        send_ack(stack, &left, &tuple, tcb->path.netif != NULL ? &tcb->path : NULL, tcb->ts_offset,
                 now);
    tw = make_record(stack, &left, v4);
    wr_tcb_done(stack, tcb, 0);
    wr_trace_timewait(stack, tcb);
    if (tw == NULL) {
        wr_drop(stack, WR_DROP_tcp_timewait_full);
        wr_count(stack, WR_STAT_tcp_timewait_overflow);
        return;
    }
    if (!wr_port_hold(stack, tuple.lport, reuse)) {
        wr_pool_free(&stack->tcp->tw[v4].pool, tw);
        return;
    }
    if (!wr_demux_insert(stack, &tw->flow, WR_FLOW_TIMEWAIT, &tuple, left.flow.node.hash)) {
        wr_port_release(stack, tuple.lport, reuse);
        wr_pool_free(&stack->tcp->tw[v4].pool, tw);
        return;
    }
    wait_from(stack, tw, now);
    wr_count(stack, WR_STAT_tcp_timewaits);
}

static bool is_old_by_timestamp(const struct wr_tw *tw, const struct seg *seg)
{
    return tw->flow.ts_ok && seg->opt.has_ts && tw->ts_recent != 0 &&
           (int32_t)(tw->ts_recent - seg->opt.ts_val) > 0;
}

static bool opens_anew(const struct wr_tw *tw, const struct seg *seg)
{
    if ((seg->flags & (W_TCP_SYN | W_TCP_RST | W_TCP_ACK)) != W_TCP_SYN)
        return false;
    if (seq_gt(seg->seq, tw->rcv_nxt))
        return true;
    return tw->flow.ts_ok && seg->opt.has_ts && (int32_t)(tw->ts_recent - seg->opt.ts_val) < 0;
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
        if (tw->flow.ts_ok && seg->opt.has_ts)
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
        send_ack(stack, tw, &seg->tuple, NULL, wr_isn_ts_offset(stack, &seg->tuple), now);
    return false;
}

bool wr_tw_reusable(const struct weir_stack *stack, const struct wr_tw *tw, weir_time now)
{
    weir_time waited = now - (wr_tw_expires_at(tw, now) - WR_TCP_TIMEWAIT);
    struct wr_tuple tuple = wr_flow_tuple(&tw->flow);

    if (stack->tunables.tcp_tw_reuse == 0 || !tw->flow.ts_ok ||
        waited < stack->tunables.tcp_tw_reuse_delay_ms * WEIR_MS)
        return false;
    return stack->tunables.tcp_tw_reuse == 1 || weir_addr_is_loopback(&tuple.remote) ||
           weir_addr_eq(&tuple.local, &tuple.remote);
}
