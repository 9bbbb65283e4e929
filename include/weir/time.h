/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TIME_H
#define WEIR_TIME_H

/*
 * Time as the stack sees it: signed 64-bit nanoseconds on a monotonic clock whose origin the caller
 * chooses. The stack reads no clock; every call is told `now`.
 */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int64_t weir_time;

/* A deadline that never comes. It is compared, never added to. */
#define WEIR_TIME_NEVER INT64_MAX

#define WEIR_US  ((weir_time)1000)
#define WEIR_MS  ((weir_time)1000000)
#define WEIR_SEC ((weir_time)1000000000)

/* `t` plus `delay` nanoseconds (delay >= 0); NEVER if either is NEVER or the sum would pass it. */
static inline weir_time weir_time_after(weir_time t, weir_time delay)
{
    if (t == WEIR_TIME_NEVER || (t > 0 && delay > WEIR_TIME_NEVER - t))
        return WEIR_TIME_NEVER;
    return t + delay;
}

/* The earlier of two deadlines. */
static inline weir_time weir_time_max(weir_time a, weir_time b)
{
    return a > b ? a : b;
}
static inline weir_time weir_time_min(weir_time a, weir_time b)
{
    return a < b ? a : b;
}

#ifdef __cplusplus
}
#endif

#endif
