/* SPDX-License-Identifier: MIT */
/*
 * The trace: a ring of records that is overwritten, and readers that follow it.
 *
 *          oldest                        newest
 *     ------|------------|----------------|
 *        written - size   reader.next      written        all count records since the trace is on
 *
 * Records have numbers that only grow, so a reader is a number, costs the stack nothing, and finds out by itself
 * that it was overtaken. The writer waits for nobody.
 */
#include <string.h>

#include "core/tracing.h"

#ifdef WEIR_SDT
#    include <sys/sdt.h>
#endif

enum { RECORDS_MAX = 1 << 24 };

static size_t size_of(uint32_t records)
{
    return sizeof(struct wr_trace) + (size_t)records * sizeof(struct weir_trace);
}

int weir_trace_on(struct weir_stack *stack, uint32_t records)
{
    uint32_t size = 1;

    if (records == 0 || records > RECORDS_MAX)
        return WEIR_EINVAL;
    if (stack->trace != NULL) {
        stack->trace->users++;
        return 0;
    }
    while (size < records)
        size *= 2;
    stack->trace = wr_alloc(stack, size_of(size));
    if (stack->trace == NULL)
        return WEIR_ENOMEM;
    memset(stack->trace, 0, sizeof *stack->trace);
    stack->trace->tracer = &wr_tracer;
    stack->trace->mask = size - 1;
    stack->trace->users = 1;
    return 0;
}

void wr_trace_free(struct weir_stack *stack)
{
    if (stack->trace != NULL)
        wr_free(stack, stack->trace, size_of(stack->trace->mask + 1));
    stack->trace = NULL;
}

void weir_trace_off(struct weir_stack *stack)
{
    if (stack->trace != NULL && --stack->trace->users == 0)
        wr_trace_free(stack);
}

/* ---- writing ------------------------------------------------------------------------------------- */

struct weir_trace *wr_trace_new(const struct weir_stack *stack, enum weir_trace_point point)
{
    struct wr_trace *trace = stack->trace;
    struct weir_trace *record = &trace->ring[trace->written++ & trace->mask];

    record->at = stack->now;
    record->point = (uint8_t)point;
    return record;
}

struct weir_trace *wr_trace_new_empty(const struct weir_stack *stack, enum weir_trace_point point)
{
    struct weir_trace *record = wr_trace_new(stack, point);

    *record = (struct weir_trace){.at = record->at, .point = record->point};
    return record;
}

void wr_trace_done(const struct weir_stack *stack, const struct weir_trace *record)
{
    (void)stack;
#ifdef WEIR_SDT
    switch ((enum weir_trace_point)record->point) {
#    define PROBE(name, kind, why, text)                                                           \
    case WEIR_TRACE_##name:                                                                        \
        DTRACE_PROBE5(weir, kind##__##why, record, record->seq, record->len, record->cwnd,         \
                      record->pipe);                                                               \
        break;
        WEIR_TRACE_LIST(PROBE)
#    undef PROBE
    case WEIR_TRACE_POINTS:
        break;
    }
#else
    (void)record;
#endif
}

void wr_trace_drop(const struct weir_stack *stack, enum wr_drop reason)
{
    const struct wr_trace_subject *subject = &stack->trace->subject;
    struct weir_trace *record = wr_trace_new_empty(stack, WEIR_TRACE_DROPPED);

    record->reason = (uint16_t)reason;
    if (stack->trace->has_subject) {
        record->local = subject->local;
        record->remote = subject->remote;
        record->lport = subject->lport;
        record->rport = subject->rport;
        record->flags = subject->flags;
        record->seq = subject->seq;
        record->len = subject->len;
        record->ack = subject->ack;
    }
    wr_trace_done(stack, record);
}

void wr_drop(struct weir_stack *stack, enum wr_drop reason)
{
    stack->drops[reason]++;
    if (wr_tracing(stack))
        stack->trace->tracer->drop(stack, reason);
}

/* ---- reading ------------------------------------------------------------------------------------- */

void weir_trace_begin(const struct weir_stack *stack, struct weir_trace_reader *reader)
{
    reader->next = stack->trace != NULL ? stack->trace->written : 0;
    reader->lost = 0;
}

bool weir_trace_read(const struct weir_stack *stack, struct weir_trace_reader *reader,
                     struct weir_trace *record)
{
    const struct wr_trace *trace = stack->trace;

    if (trace == NULL || reader->next >= trace->written)
        return false;
    if (trace->written - reader->next > (uint64_t)trace->mask + 1) {
        uint64_t oldest = trace->written - trace->mask - 1;
        reader->lost += oldest - reader->next;
        reader->next = oldest;
    }
    *record = trace->ring[reader->next++ & trace->mask];
    return true;
}
