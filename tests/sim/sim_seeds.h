/* SPDX-License-Identifier: MIT */
/* Tests that run a scenario for each of many seeds, and say how a failure is seen again. */
#ifndef SIM_SEEDS_H
#define SIM_SEEDS_H

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many as many as fit a test run are, in each kind of build. */
struct seeds {
    uint64_t sanitized, checked, plain;
};

static const char *program;
static char replay[256];
static uint64_t first_seed = 1, n_seeds;
static bool verbose; /* seeds were asked for */

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error(__VA_ARGS__);                                                              \
            print_error("\n%s", replay);                                                           \
            fail_msg("%s", #condition);                                                            \
        }                                                                                          \
    } while (0)

static inline void set_replay(uint64_t seed)
{
    snprintf(replay, sizeof replay, "seed %" PRIu64 " failed; replay with: %s %" PRIu64 "\n", seed,
             program, seed);
}

static inline void on_abort(int sig)
{
    (void)sig;
    ssize_t ignored = write(STDERR_FILENO, replay, strlen(replay));
    (void)ignored;
}

static inline uint64_t seeds_that_fit(const struct seeds *fit)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return fit->sanitized;
#elif defined(WEIR_CHECK)
    return fit->checked;
#else
    return fit->plain;
#endif
}

/* PROGRAM [SEED [COUNT]]; without arguments WEIR_SIM_SEEDS of them, or as many as fit. */
static inline void seeds_from(int argc, char **argv, const struct seeds *fit)
{
    const char *text = getenv("WEIR_SIM_SEEDS");
    program = argv[0];
    signal(SIGABRT, on_abort);
    verbose = argc > 1;
    if (verbose) {
        first_seed = strtoull(argv[1], NULL, 10);
        n_seeds = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    } else {
        n_seeds = text ? strtoull(text, NULL, 10) : seeds_that_fit(fit);
    }
}

#endif
