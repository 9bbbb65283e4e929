/* SPDX-License-Identifier: MIT */
#include <time.h>

#include <weir/host.h>

weir_time weir_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (weir_time)ts.tv_sec * WEIR_SEC + ts.tv_nsec;
}
