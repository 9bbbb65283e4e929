/* SPDX-License-Identifier: MIT */
/*
 * What the benchmark programs share: clocks, the services, and one line of JSON as the result.
 *
 * Services, by port: SINK takes bytes, SOURCE gives them, ECHO answers what it got, HOLD keeps the
 * connection and does nothing, BYE answers once and closes, so that TIME-WAIT is at its end. The kernel's and
 * Weir's servers offer the same.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PORT_SINK = 7001, PORT_SOURCE, PORT_ECHO, PORT_HOLD, PORT_BYE };
enum { N_SERVICES = 5, CHUNK_BYTES = 256 * 1024 };

static inline double clock_seconds(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline double wall_seconds(void)
{
    return clock_seconds(CLOCK_MONOTONIC);
}

static inline double cpu_seconds(void)
{
    return clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
}

/* What was done between start and stop; `work` is bytes, round trips or connections. */
struct measure {
    double wall, cpu;
    uint64_t work;
};

static inline struct measure measure_start(void)
{
    return (struct measure){.wall = wall_seconds(), .cpu = cpu_seconds()};
}

/* Ends it, and prints the line that bench/run reads; `packets`: 0 where they are not counted. */
static inline void measure_stop_packets(struct measure *m, uint64_t work, uint64_t packets)
{
    m->wall = wall_seconds() - m->wall;
    m->cpu = cpu_seconds() - m->cpu;
    m->work = work;
    printf("{\"work\": %llu, \"wall_s\": %.6f, \"cpu_s\": %.6f, \"packets\": %llu}\n",
           (unsigned long long)work, m->wall, m->cpu, (unsigned long long)packets);
    (void)fflush(stdout);
}

static inline void measure_stop(struct measure *m, uint64_t work)
{
    measure_stop_packets(m, work, 0);
}

/* A message to standard error, and exit status 1. */
__attribute__((format(printf, 1, 2), noreturn)) static inline void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(1);
}

#endif
