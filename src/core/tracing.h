/* SPDX-License-Identifier: MIT */
/* The trace of a stack, as the layers write it; include/weir/trace.h tells what it is. */
#ifndef WR_TRACING_H
#define WR_TRACING_H

#include <weir/trace.h>

#include "core/core.h"

/* The segment that is being taken in: what a drop is about. */
struct wr_trace_subject {
    struct weir_addr local, remote;
    uint16_t lport, rport, flags;
    uint32_t seq, len, ack;
};

struct tcb;
struct seg;
struct w_tcp;
struct wr_bare;
struct wr_segment;

/* Who writes the records, tcp_trace.c: called through stack->trace, where weir_trace_on() put it, so that a program
 * which traces nothing does not link it in. What each is about is told by those who call it, in tcp_trace.h. */
struct wr_tracer {
    void (*drop)(const struct weir_stack *stack, enum wr_drop reason);
    void (*decision)(const struct weir_stack *stack, const struct tcb *tcb,
                     enum weir_trace_point point, uint32_t seq, uint32_t len);
    void (*state)(const struct weir_stack *stack, const struct tcb *tcb, uint8_t state, int error);
    void (*segment_sent)(const struct weir_stack *stack, const struct tcb *tcb,
                         const struct wr_segment *s, const struct w_tcp *th, uint32_t rcv_wnd);
    void (*bare_sent)(const struct weir_stack *stack, const struct wr_bare *bare);
    void (*subject)(const struct weir_stack *stack, const struct seg *seg);
    void (*received)(const struct weir_stack *stack, const struct tcb *tcb, const struct seg *seg);
    void (*turn_ended)(const struct weir_stack *stack, const struct tcb *tcb);
};
extern const struct wr_tracer wr_tracer;

struct wr_trace {
    const struct wr_tracer *tracer;
    uint64_t written; /* records so far; the newest is ring[(written - 1) & mask] */
    uint32_t mask;
    uint32_t users;
    bool has_subject;
    struct wr_trace_subject subject;
    struct weir_trace ring[];
};

static inline bool wr_tracing(const struct weir_stack *stack)
{
    return __builtin_expect(stack->trace != NULL, 0);
}

/* The next record with its time and point, all else in it to be written; wr_trace_done() when it is. Only while
 * wr_tracing(). The second: all else is 0. */
struct weir_trace *wr_trace_new(const struct weir_stack *stack, enum weir_trace_point point);
struct weir_trace *wr_trace_new_empty(const struct weir_stack *stack, enum weir_trace_point point);
void wr_trace_done(const struct weir_stack *stack, const struct weir_trace *record);
void wr_trace_drop(const struct weir_stack *stack, enum wr_drop reason);
/* The frame that came in is dealt with. */
static inline void wr_trace_frame_done(struct weir_stack *stack)
{
    if (wr_tracing(stack))
        stack->trace->has_subject = false;
}
void wr_trace_free(struct weir_stack *stack);

#endif
