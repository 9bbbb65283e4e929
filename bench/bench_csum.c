/* SPDX-License-Identifier: MIT */
/*
 * The Internet checksum against memory: bytes summed in a second beside bytes copied by memcpy in
 * the same run, for sizes from a header to more than the caches hold. Rounds of both alternate, and
 * the best of each counts, so that a busy machine disturbs both alike. A ratio of 1 says that
 * summing a buffer takes as long as copying it; the goal on large buffers is at most 2.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire/w_csum.h"

#define ROUNDS      15
#define ROUND_BYTES ((size_t)64 << 20) /* handled in one round, at least */

typedef uint64_t job(uint8_t *dst, const uint8_t *src, size_t n);

static uint64_t job_copy(uint8_t *dst, const uint8_t *src, size_t n)
{
    memcpy(dst, src, n);
    __asm__ volatile("" : : "r"(dst) : "memory"); /* the copy is needed */
    return dst[n - 1];
}

static uint64_t job_sum(uint8_t *dst, const uint8_t *src, size_t n)
{
    (void)dst;
    return wr_csum_add(0, src, n);
}

static uint64_t job_sum_copy(uint8_t *dst, const uint8_t *src, size_t n)
{
    return wr_csum_copy(0, dst, src, n);
}

static double seconds(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* Bytes per second of one round. */
static double run(job *what, uint8_t *dst, const uint8_t *src, size_t n)
{
    uint64_t sink = 0;
    size_t times = n >= ROUND_BYTES ? 1 : ROUND_BYTES / n;
    double start = seconds();

    for (size_t i = 0; i < times; i++)
        sink += what(dst, src, n);
    __asm__ volatile("" : : "r"(sink)); /* the sums are needed */
    return (double)n * (double)times / (seconds() - start);
}

int main(void)
{
    static const size_t sizes[] = {20, 60, 1460, 65536, (size_t)1 << 20, (size_t)128 << 20};
    static job *const jobs[3] = {job_copy, job_sum, job_sum_copy};
    size_t most = sizes[sizeof sizes / sizeof sizes[0] - 1];
    uint8_t *src = malloc(most), *dst = malloc(most);

    if (src == NULL || dst == NULL) {
        fprintf(stderr, "bench_csum: cannot get 2 x %zu bytes\n", most);
        return 1;
    }
    for (size_t i = 0; i < most; i++)
        src[i] = (uint8_t)(i * 2654435761u >> 24);
    memset(dst, 0, most);
    printf("%12s %12s %12s %12s %10s %10s\n", "bytes", "memcpy GB/s", "sum GB/s", "sum+copy",
           "copy/sum", "copy/both");
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        double best[3] = {0, 0, 0};
        for (int round = 0; round < ROUNDS; round++) {
            for (int j = 0; j < 3; j++) {
                double rate = run(jobs[j], dst, src, sizes[s]);
                if (rate > best[j])
                    best[j] = rate;
            }
        }
        printf("%12zu %12.2f %12.2f %12.2f %10.2f %10.2f\n", sizes[s], best[0] / 1e9, best[1] / 1e9,
               best[2] / 1e9, best[0] / best[1], best[0] / best[2]);
    }
    free(src);
    free(dst);
    return 0;
}
