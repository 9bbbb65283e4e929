/* SPDX-License-Identifier: MIT */
/* Counters by name: why packets were dropped (drop.def), what went well (stat.def). */
#include "core/core.h"

static const char *const drop_names[WR_DROP_COUNT] = {
#define X(name) #name,
#include "core/drop.def"
#undef X
};

static const char *const stat_names[WR_STAT_COUNT] = {
#define X(name, text) text,
#include "core/stat.def"
#undef X
};

unsigned weir_drop_reasons(void)
{
    return WR_DROP_COUNT;
}

const char *weir_drop_name(unsigned reason)
{
    return reason < WR_DROP_COUNT ? drop_names[reason] : NULL;
}

uint64_t weir_drop_count(const struct weir_stack *stack, unsigned reason)
{
    return reason < WR_DROP_COUNT ? stack->drops[reason] : 0;
}

void weir_output_lost(struct weir_stack *stack, unsigned n, weir_time now)
{
    (void)wr_clock(stack, now);
    while (n-- > 0)
        wr_drop(stack, WR_DROP_link_lost);
}

unsigned weir_stat_kinds(void)
{
    return WR_STAT_COUNT;
}

const char *weir_stat_name(unsigned kind)
{
    return kind < WR_STAT_COUNT ? stat_names[kind] : NULL;
}

uint64_t weir_stat_count(const struct weir_stack *stack, unsigned kind)
{
    return kind < WR_STAT_COUNT ? stack->stats[kind] : 0;
}
