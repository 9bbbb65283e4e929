/* SPDX-License-Identifier: MIT */
/* Runs of the laboratory from the words of `weir lab`, for test programs. */
#ifndef LAB_WORDS_H
#define LAB_WORDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lab/lab.h"

#define LINK_SHARE (1448 / 1500.0) /* of a packet is data; timestamps take 12 bytes of 1460 */

static inline void read_words(struct lab_scenario *scenario, const char *words)
{
    char copy[1024], *rest = copy, *word;
    const char *why;
    wr_lab_scenario_default(scenario);
    snprintf(copy, sizeof copy, "%s", words);
    while ((word = strtok_r(rest, " ", &rest)) != NULL)
        if (!wr_lab_scenario_word(scenario, word, &why))
            fail_msg("\"%s\" %s", word, why);
    if (wr_lab_scenario_check(scenario) != NULL)
        fail_msg("%s: %s", words, wr_lab_scenario_check(scenario));
}

/* A finished run, without errors and with its streams whole; the caller frees it. */
static inline struct lab *run_words(const char *words)
{
    static struct lab_scenario scenario;
    struct lab *lab;
    read_words(&scenario, words);
    assert_int_equal(wr_lab_new(&scenario, &lab), 0);
    assert_int_equal(wr_lab_run(lab), 0);
    for (unsigned i = 0; i < wr_lab_n_flows(lab); i++) {
        assert_int_equal(wr_lab_flow(lab, i)->error, 0);
        assert_false(wr_lab_flow(lab, i)->corrupt);
    }
    return lab;
}

/* What the first flow's application got from warmup on, as a share of what a link of `rate` can carry. */
static inline double share_of(struct lab *lab, double rate)
{
    return (double)wr_lab_flow(lab, 0)->steady_bps / (rate * LINK_SHARE);
}

#endif
