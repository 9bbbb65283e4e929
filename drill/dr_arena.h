/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_ARENA_H
#define DRILL_DR_ARENA_H

/* Memory of one script: taken piece by piece, given back at once. Out of memory ends the program. */

#include <stddef.h>

struct dr_chunk;
struct dr_arena {
    struct dr_chunk *chunks;
};

/* Zeroed, aligned for any type, valid until wr_dr_arena_free(). */
void *wr_dr_alloc(struct dr_arena *arena, size_t size);
/* Copies len bytes and adds a NUL. */
char *wr_dr_strndup(struct dr_arena *arena, const char *text, size_t len);
void wr_dr_arena_free(struct dr_arena *arena);

#endif
