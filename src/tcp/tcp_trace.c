/* SPDX-License-Identifier: MIT */
/*
 * Records of the trace about connections: the moment's windows and times beside each decision. Most reasons are
 * handed in by who decided; why nothing more is sent is read here off the connection, by the same comparisons
 * as in tcp_output.
 */
#include "tcp/tcp_trace.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_sender.h"

static void put_tuple(struct weir_trace *record, const struct wr_tuple *tuple)
{
    record->local = tuple->local;
    record->remote = tuple->remote;
    record->lport = tuple->lport;
    record->rport = tuple->rport;
}

/* Of who has sent nothing yet, too: tx is NULL. */
static void put_sender(struct weir_trace *record, const struct wr_tx *tx)
{
    record->ca_state = tx != NULL ? tx->ca_state : WEIR_CA_OPEN;
    record->cwnd = tx != NULL ? tx->cc.cwnd : 0;
    record->ssthresh = tx != NULL ? tx->cc.ssthresh : UINT32_MAX;
    record->pacing_rate = tx != NULL && tx->pace.on ? tx->pace.rate : 0;
}

/* What only some points have. */
static void put_nothing(struct weir_trace *record)
{
    record->reason = record->flags = 0;
    record->seq = record->len = record->ack = record->wnd = 0;
}

static struct weir_trace *begin(const struct weir_stack *stack, const struct tcb *tcb,
                                enum weir_trace_point point)
{
    struct weir_trace *record = wr_trace_new(stack, point);

    put_tuple(record, &tcb->tuple);
    record->state = tcb->state;
    record->sack_ok = tcb->sack_ok;
    record->iss = tcb->iss;
    record->irs = tcb->irs;
    record->snd_una = tcb->snd_una;
    record->snd_nxt = tcb->snd_nxt;
    record->unsent = wr_tcb_unsent(tcb);
    record->pipe = wr_tcb_pipe(tcb);
    record->snd_wnd = tcb->snd_wnd;
    record->rcv_wnd = tcb->rcv_wnd;
    record->smss = tcb->smss;
    record->srtt = tcb->rtt.srtt;
    record->rttvar = tcb->rtt.var;
    record->rto = tcb->rtt.rto;
    put_sender(record, tcb->tx);
    put_nothing(record);
    return record;
}

static void decision(const struct weir_stack *stack, const struct tcb *tcb,
                     enum weir_trace_point point, uint32_t seq, uint32_t len)
{
    struct weir_trace *record = begin(stack, tcb, point);

    record->seq = seq;
    record->len = len;
    wr_trace_done(stack, record);
}

static void state_is(const struct weir_stack *stack, const struct tcb *tcb, uint8_t state,
                     int error)
{
    struct weir_trace *record = begin(stack, tcb, WEIR_TRACE_STATE);

    record->state = state;
    record->reason = (uint16_t)error;
    wr_trace_done(stack, record);
}

static void segment_sent(const struct weir_stack *stack, const struct tcb *tcb,
                         const struct wr_segment *s, const struct w_tcp *th, uint32_t rcv_wnd)
{
    struct weir_trace *record;

    if (!(th->flags & W_TCP_SYN) && (rcv_wnd == 0) != (th->wnd == 0))
        decision(stack, tcb, th->wnd == 0 ? WEIR_TRACE_WINDOW_FULL : WEIR_TRACE_WINDOW_ROOM, 0, 0);
    record = begin(stack, tcb, (enum weir_trace_point)s->why);
    record->seq = s->seq;
    record->len = s->len;
    record->flags = th->flags;
    record->ack = th->ack;
    record->wnd = (uint32_t)th->wnd << (th->flags & W_TCP_SYN ? 0 : tcb->rcv_wscale);
    wr_trace_done(stack, record);
}

static void bare_sent(const struct weir_stack *stack, const struct wr_bare *bare)
{
    enum weir_trace_point point = bare->flags & W_TCP_RST   ? WEIR_TRACE_SENT_RST
                                  : bare->flags & W_TCP_SYN ? WEIR_TRACE_SENT_SYNACK
                                                            : WEIR_TRACE_SENT_ACK;
    struct weir_trace *record = wr_trace_new_empty(stack, point);

    put_tuple(record, bare->tuple);
    record->seq = bare->seq;
    record->ack = bare->ack;
    record->flags = bare->flags;
    record->wnd = bare->wnd;
    if (bare->flags & W_TCP_SYN) {
        record->iss = bare->seq;
        record->irs = bare->ack - 1;
    }
    wr_trace_done(stack, record);
}

static void subject_is(const struct weir_stack *stack, const struct seg *seg)
{
    stack->trace->has_subject = true;
    stack->trace->subject = (struct wr_trace_subject){.local = seg->tuple.local,
                                                      .remote = seg->tuple.remote,
                                                      .lport = seg->tuple.lport,
                                                      .rport = seg->tuple.rport,
                                                      .flags = seg->flags,
                                                      .seq = seg->seq,
                                                      .len = seg->len,
                                                      .ack = seg->ack};
}

static void received(const struct weir_stack *stack, const struct tcb *tcb, const struct seg *seg)
{
    struct weir_trace *record = begin(stack, tcb, WEIR_TRACE_RECEIVED);

    record->seq = seg->seq;
    record->len = seg->len;
    record->flags = seg->flags;
    record->ack = seg->ack;
    record->wnd = wr_ack_window(tcb, seg);
    wr_trace_done(stack, record);
}

/* Called when a turn ended, so one of these it was. */
static void turn_ended(const struct weir_stack *stack, const struct tcb *tcb)
{
    const struct wr_tx *tx = tcb->tx;
    uint32_t unsent = wr_tcb_unsent(tcb), least = unsent < tcb->smss ? unsent : tcb->smss;
    bool lost = tx != NULL && wr_sendq_lost(&tx->q) != NULL;
    int32_t wnd = seq_diff(tcb->snd_una + tcb->snd_wnd, tcb->snd_nxt);
    enum weir_trace_point point = WEIR_TRACE_HELD_APP;

    if (wr_tcb_opening(tcb))
        return;
    if (tcb->paced)
        point = WEIR_TRACE_HELD_PACING;
    else if (lost)
        point = WEIR_TRACE_HELD_CWND; /* its retransmission waits */
    else if (unsent > 0 && wnd < (int32_t)least)
        point = WEIR_TRACE_HELD_WINDOW;
    else if (unsent > 0 && tx != NULL && wr_tcb_pipe(tcb) + least > tx->cc.cwnd)
        point = WEIR_TRACE_HELD_CWND;
    else if (unsent > 0)
        point = WEIR_TRACE_HELD_NAGLE;
    decision(stack, tcb, point, 0, 0);
}

const struct wr_tracer wr_tracer = {
    .drop = wr_trace_drop,
    .decision = decision,
    .state = state_is,
    .segment_sent = segment_sent,
    .bare_sent = bare_sent,
    .subject = subject_is,
    .received = received,
    .turn_ended = turn_ended,
};
