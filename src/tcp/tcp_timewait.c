/* SPDX-License-Identifier: MIT */
/*
 * TIME-WAIT, RFC 9293 3.6.1: a record of its own takes the connection's place in the flow table for 2 MSL
 * (60 s, as on Linux). All wait equally long, so they stand in a line in the order of expiry, and one timer does
 * for all.
 *
 * A SYN may open the tuple anew when it cannot be an old duplicate: its sequence number is above all we
 * received, or its timestamp is newer (RFC 6191 2); the new ISN is put above all that we sent. Other
 * segments are answered with the last ACK; a RST at RCV.NXT ends the wait unless tcp_rfc1337 is set.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_trace.h"

weir_time wr_tw_expires_at(const struct wr_tw *tw, weir_time now)
{
    int64_t ms = now / WEIR_MS;
    return (ms + (int32_t)(tw->expires_ms - (uint32_t)ms)) * WEIR_MS;
}

/* ---- the line ------------------------------------------------------------------------------------- */

/* Waits from now on, at the end of the line. */
static void wait_from(struct weir_stack *stack, struct wr_tw *tw, uint32_t number, weir_time now)
{
    weir_time at = now + WR_TCP_TIMEWAIT;

    tw->expires_ms = (uint32_t)((at + WEIR_MS - 1) / WEIR_MS);
    wr_record_line_push(&stack->tcp->records, &stack->tcp->tws, number);
    if (!wr_timer_is_armed(&stack->tcp->tw_timer))
        wr_timer_arm(stack, &stack->tcp->tw_timer, wr_tw_expires_at(tw, now));
}

static void leave(struct weir_stack *stack, const struct wr_tw *tw)
{
    wr_record_line_remove(&stack->tcp->records, &stack->tcp->tws, &tw->record);
}

static void restart(struct weir_stack *stack, struct wr_tw *tw, weir_time now)
{
    leave(stack, tw);
    wait_from(stack, tw, wr_records_number(&stack->tcp->records, &tw->record), now);
}

void wr_tw_free(struct weir_stack *stack, struct wr_tw *tw)
{
    wr_port_release(stack, tw->flow.lport, tw->flow.reuse);
    leave(stack, tw);
    wr_records_remove(&stack->tcp->records, &tw->record);
    stack->tcp->n_tws--;
}

void wr_tcp_timewait_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now)
{
    struct wr_tcp *tcp = stack->tcp;
    struct wr_tw *tw;

    while ((tw = wr_record_line_first(&tcp->records, &tcp->tws)) != NULL &&
           wr_tw_expires_at(tw, now) <= now && wr_work(stack))
        wr_tw_free(stack, tw);
    wr_timer_arm(stack, timer, tw != NULL ? wr_tw_expires_at(tw, now) : WEIR_TIME_NEVER);
}

/* ---- segments -------------------------------------------------------------------------------------- */

/* path: the way there if it is known, or NULL. */
static void send_ack(struct weir_stack *stack, const struct wr_tw *tw, const struct wr_tuple *tuple,
                     uint64_t hash, const struct wr_path *path, uint32_t ts_offset, weir_time now)
{
    struct w_tcpopt opt = {
        .has_ts = tw->flow.ts_ok, .ts_val = wr_ts_now(ts_offset, now), .ts_ecr = tw->ts_recent};
    struct wr_bare ack = {.tuple = tuple,
                          .path = path,
                          .hash = hash,
                          .seq = tw->snd_nxt,
                          .ack = tw->rcv_nxt,
                          .flags = W_TCP_ACK,
                          .wnd = tw->flow.wnd,
                          .ds = tw->flow.ds,
                          .opt = &opt};

    wr_segment_bare(stack, &ack, now);
}

static size_t size_of(bool v4)
{
    return offsetof(struct wr_tw, addrs) + (v4 ? WR_ADDRS_V4 : WR_ADDRS_V6);
}

/* An empty record for a connection's tuple, in the table but in no line. NULL: there may be no more, or no memory. */
static struct wr_tw *make_record(struct weir_stack *stack, const struct tcb *tcb, uint32_t *number)
{
    if (stack->tcp->n_tws >= stack->tunables.tcp_max_tw_buckets)
        return NULL;
    return wr_demux_add(stack, WR_FLOW_TIMEWAIT, size_of(tcb->flow.v4), &tcb->tuple, tcb->node.hash,
                        number);
}

/* What a connection leaves. */
static void fill(struct wr_tw *tw, struct tcb *tcb)
{
    tw->flow.reuse = tcb->port_reuse & 3u;
    tw->flow.ts_ok = tcb->ts_ok;
    tw->flow.wnd = wr_reasm_window_announce(tcb);
    tw->flow.ds = tcb->opts.ds;
    tw->snd_nxt = tcb->snd_nxt;
    tw->rcv_nxt = tcb->rcv_nxt;
    tw->ts_recent = tcb->ts_recent;
}

/* With or without a record the peer's FIN is acknowledged. The record takes the port over. */
void wr_tw_enter(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    uint32_t number;
    struct wr_tw none = {0}, *made = make_record(stack, tcb, &number);
    struct wr_tw *tw = made != NULL ? made : &none;

    fill(tw, tcb);
    if (tcb->want & WR_WANT_ACK)
        send_ack(stack, tw, &tcb->tuple, tcb->node.hash,
                 tcb->path.netif != NULL ? &tcb->path : NULL, tcb->ts_offset, now);
    wr_tcb_done_but_port(stack, tcb);
    wr_trace_timewait(stack, tcb);
    if (made == NULL) {
        wr_port_release(stack, tcb->tuple.lport, tcb->port_reuse);
        wr_drop(stack, WR_DROP_tcp_timewait_full);
        wr_count(stack, WR_STAT_tcp_timewait_overflow);
        return;
    }
    stack->tcp->n_tws++;
    wait_from(stack, tw, number, now);
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
        send_ack(stack, tw, &seg->tuple, seg->hash, NULL, wr_isn_ts_offset(stack, &seg->tuple),
                 now);
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
