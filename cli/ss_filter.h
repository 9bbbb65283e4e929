/* SPDX-License-Identifier: MIT */
/*
 * Which sockets `weir ss` shows: states and an expression, in ss(8)'s words.
 *
 *   [state STATE]... [exclude STATE]... [EXPRESSION]
 *
 *   EXPRESSION   A or B, A and B, A B, not A, ( A ), in this order of strength, loosest first; also
 *                | || & && !
 *   A            sport OP PORT, dport OP PORT; PORT: 80, :80, http
 *                src [OP] ADDR[/PREFIX][:PORT], dst ...; ADDR may be *, [fd00::1]
 *   OP           = == eq, != ne neq, < lt, > gt, <= le leq, >= ge geq; "=" may be left out
 */
#ifndef WEIR_SS_FILTER_H
#define WEIR_SS_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/socket.h>

struct ss_node;

struct ss_filter {
    uint32_t states; /* bit n: Linux's state number n */
    bool states_said;
    struct ss_node *expression; /* NULL: everything */
};

/* Reads the words behind the options. False, with a sentence in error[cap]. The caller frees the filter in
 * either case. */
bool wr_ss_filter_parse(struct ss_filter *filter, char **words, int n_words, char *error,
                        size_t cap);
bool wr_ss_filter_passes(const struct ss_filter *filter, int state,
                         const struct weir_endpoint *local, const struct weir_endpoint *peer);
void wr_ss_filter_free(struct ss_filter *filter);

#endif
