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

struct wr_trace {
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
/* The frame that came in is dealt with. */
static inline void wr_trace_frame_done(struct weir_stack *stack)
{
    if (wr_tracing(stack))
        stack->trace->has_subject = false;
}
void wr_trace_free(struct weir_stack *stack);

#endif
