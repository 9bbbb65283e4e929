/* SPDX-License-Identifier: MIT */
#ifndef LAB_JSON_H
#define LAB_JSON_H

/* Pieces of results as JSON that reports of all kinds share. Each makes a new value, which the caller
 * owns; out of memory gives NULL, which jansson's *_new() functions refuse. */

#include <jansson.h>
#include <weir/time.h>

#include "lab/lab_config.h"

struct weir_stack;

/* Microseconds; null for a negative time. */
json_t *wr_lab_json_time(weir_time t);
/* Packets that did not come through, by cause. */
json_t *wr_lab_json_drops(const uint64_t dropped[LAB_N_CAUSES]);
/* Names that stand in one text, with blanks between, as an array. */
json_t *wr_lab_json_columns(const char *names);
/* Appends a row of numbers. */
void wr_lab_json_row(json_t *rows, const uint64_t *row, size_t n);
/* What stacks counted together, by Linux's names: recoveries by what began them, time-outs, undone ones
 * and so on; and what they dropped, by reason. Zeros are left out; a stack may be NULL. */
json_t *wr_lab_json_counters(struct weir_stack *const *stacks, size_t n_stacks);
/* A queue's limits, totals. elapsed: for its utilisation */
json_t *wr_lab_json_queue(const struct lab_queue_config *config,
                          const struct lab_queue_stats *stats, weir_time elapsed);

#endif
