/* SPDX-License-Identifier: MIT */
/*
 * Memory copied in a CPU-second, to compare the in-process loads with: CHUNK_BYTES at a time, as bench_pipe gives
 * them to a socket, from one buffer to another.
 *
 *     bench_copy SECONDS
 */
#include <string.h>

#include "bench.h"

static uint8_t from[CHUNK_BYTES], to[CHUNK_BYTES];

int main(int argc, char **argv)
{
    double end = wall_seconds() + (argc == 2 ? atof(argv[1]) : 0);
    struct measure m;
    uint64_t bytes = 0;

    if (argc != 2)
        die("usage: bench_copy SECONDS");
    memset(from, 1, sizeof from);
    m = measure_start();
    for (; wall_seconds() < end; bytes += sizeof from) {
        memcpy(to, from, sizeof from);
        __asm__ volatile("" : : "r"(to) : "memory"); /* the copy is needed */
    }
    measure_stop(&m, bytes);
    return 0;
}
