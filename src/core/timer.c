/* SPDX-License-Identifier: MIT */
/* Timers by the stack. The queue is base/timerq; whose timer fired is told by its kind (stack.c). */
#include "core/core.h"

void wr_timer_arm(struct weir_stack *stack, struct wr_timer *timer, weir_time at)
{
    wr_timerq_arm(&stack->timers, timer, at);
}

void wr_timer_cancel(struct weir_stack *stack, struct wr_timer *timer)
{
    wr_timerq_cancel(&stack->timers, timer);
}
