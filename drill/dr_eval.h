/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_EVAL_H
#define DRILL_DR_EVAL_H

/*
 * The code between %{ and }%: statements of Python's notation, separated by newlines or semicolons.
 *
 *     assert tcpi_state == TCP_ESTABLISHED, 'state is %d' % tcpi_state
 *     assert 90000 <= tcpi_rtt <= 110000 and not tcpi_retrans
 *     print(tcpi_snd_cwnd)
 *     before = tcpi_segs_out
 *     use 4                         # descriptor whose TCP_INFO the names mean (not of Python)
 *
 * Values are numbers; operators are + - * / // % & | ^ << >> ~, comparisons (chained, `in`,
 * `not in`), and, or, not; functions abs, min, max, and those of the resolver.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct dr_resolver {
    void *ctx;
    /* The value of a name. False: unknown. */
    bool (*name)(void *ctx, const char *name, long double *value);
    /* A function with one argument that is a word or a string: drop(tcp_bad_checksum). */
    bool (*call)(void *ctx, const char *function, const char *arg, long double *value);
    /* `use N`. False: no such descriptor. */
    bool (*use)(void *ctx, int fd);
    /* `name = value`: name() knows it from then on. False: no room. */
    bool (*set)(void *ctx, const char *name, long double value);
    FILE *print; /* NULL: nothing is printed */
};

/* Runs the statements. False: error[cap] says which assertion failed, or what could not be read. */
bool wr_dr_eval(const char *code, const struct dr_resolver *resolver, char *error, size_t cap);

#endif
