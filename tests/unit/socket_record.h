/* SPDX-License-Identifier: MIT */
/* A scenario, run on the kernel's sockets and on Weir's: it writes down what each call answered, and the two records
 * must be the same. For files that define _GNU_SOURCE. */
#ifndef WEIR_TEST_SOCKET_RECORD_H
#define WEIR_TEST_SOCKET_RECORD_H

#include <stdio.h>

#include "unit/socket_api.h"

#define KEPT 400 /* lines of a record that may be compared */

struct record {
    char line[KEPT][160];
    unsigned n;
};

static struct record kernel_says, weir_says;

__attribute__((format(printf, 2, 3))) static inline void say(struct record *r, const char *format,
                                                             ...)
{
    va_list args;
    assert_in_range(r->n, 0, KEPT - 1);
    va_start(args, format);
    vsnprintf(r->line[r->n++], sizeof r->line[0], format, args);
    va_end(args);
}

static inline const char *error_of(int rc)
{
    return rc >= 0 ? "" : strerrorname_np(errno);
}

typedef void scenario_fn(struct api *api, struct record *r, uint32_t seed);

static inline void on_both(scenario_fn *scenario, uint32_t seed)
{
    struct api kernel, weir;
    kernel_says.n = weir_says.n = 0;
    api_open_kernel(&kernel);
    scenario(&kernel, &kernel_says, seed);
    api_close(&kernel);
    api_open_weir(&weir);
    scenario(&weir, &weir_says, seed);
    api_close(&weir);
    for (unsigned i = 0; i < kernel_says.n && i < weir_says.n; i++)
        if (strcmp(kernel_says.line[i], weir_says.line[i]) != 0) {
            for (unsigned k = i < 40 ? 0 : i - 40; k < i; k++)
                print_message("      %s\n", kernel_says.line[k]);
            print_message("seed %u, line %u\n  kernel: %s\n  weir:   %s\n", seed, i,
                          kernel_says.line[i], weir_says.line[i]);
            fail();
        }
    assert_int_equal(kernel_says.n, weir_says.n);
    assert_int_not_equal(kernel_says.n, 0);
}

#endif
