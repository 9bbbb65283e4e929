/* SPDX-License-Identifier: MIT */
/*
 * The trace of connections: what the files of this folder call at each decision. While the trace is off (as
 * a rule) each is one branch that is not taken.
 */
#ifndef WR_TCP_TRACE_H
#define WR_TCP_TRACE_H

#include "core/tracing.h"
#include "tcp/tcp.h"

/* A decision about the connection. */
static inline void wr_trace(const struct weir_stack *stack, const struct tcb *tcb,
                            enum weir_trace_point point)
{
    if (wr_tracing(stack))
        stack->trace->tracer->decision(stack, tcb, point, 0, 0);
}
/* A decision about [start, end) of what it sends. */
static inline void wr_trace_range(const struct weir_stack *stack, const struct tcb *tcb,
                                  enum weir_trace_point point, uint32_t start, uint32_t end)
{
    if (wr_tracing(stack))
        stack->trace->tracer->decision(stack, tcb, point, start, end - start);
}
/* tcb->state is another; error: what ended it, or 0. */
static inline void wr_trace_state(const struct weir_stack *stack, const struct tcb *tcb, int error)
{
    if (wr_tracing(stack))
        stack->trace->tracer->state(stack, tcb, tcb->state, error);
}
/* It is in TIME-WAIT, without a tcb of its own. */
static inline void wr_trace_timewait(const struct weir_stack *stack, const struct tcb *tcb)
{
    if (wr_tracing(stack))
        stack->trace->tracer->state(stack, tcb, WEIR_TCP_TIME_WAIT, 0);
}
/* The peer's window is another, it was `before`. */
static inline void wr_trace_window(const struct weir_stack *stack, const struct tcb *tcb,
                                   uint32_t before)
{
    if (wr_tracing(stack) && (before == 0) != (tcb->snd_wnd == 0))
        stack->trace->tracer->decision(
            stack, tcb, before == 0 ? WEIR_TRACE_WINDOW_OPENED : WEIR_TRACE_WINDOW_CLOSED, 0, 0);
}
/* A segment of the connection was built; rcv_wnd: what was announced before. */
static inline void wr_trace_sent(const struct weir_stack *stack, const struct tcb *tcb,
                                 const struct wr_segment *s, const struct w_tcp *th,
                                 uint32_t rcv_wnd)
{
    if (wr_tracing(stack))
        stack->trace->tracer->segment_sent(stack, tcb, s, th, rcv_wnd);
}
/* And one without a connection. */
static inline void wr_trace_bare(const struct weir_stack *stack, const struct wr_bare *bare)
{
    if (wr_tracing(stack))
        stack->trace->tracer->bare_sent(stack, bare);
}
/* A segment comes in: drops are about it from now on. */
static inline void wr_trace_subject(const struct weir_stack *stack, const struct seg *seg)
{
    if (wr_tracing(stack))
        stack->trace->tracer->subject(stack, seg);
}
/* It was dealt with. */
static inline void wr_trace_received(const struct weir_stack *stack, const struct tcb *tcb,
                                     const struct seg *seg)
{
    if (wr_tracing(stack))
        stack->trace->tracer->received(stack, tcb, seg);
}
/* The connection has nothing to send now. */
static inline void wr_trace_held(const struct weir_stack *stack, const struct tcb *tcb)
{
    if (wr_tracing(stack))
        stack->trace->tracer->turn_ended(stack, tcb);
}

#endif
