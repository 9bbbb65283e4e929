/* SPDX-License-Identifier: MIT */
#ifndef SIGHT_SAY_H
#define SIGHT_SAY_H

#include <stdio.h>

#include <jansson.h>

#include "sight/sight_judge.h"

/* The verdict in sentences. */
void sight_say(FILE *out, const struct sight_flow *flow, const struct sight_verdict *verdict);
/* The same as an object; NULL: out of memory. */
json_t *sight_json(const struct sight_flow *flow, const struct sight_verdict *verdict);

#endif
