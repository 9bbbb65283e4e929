/* SPDX-License-Identifier: MIT */
#include "drill/dr_arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 16384 };

struct dr_chunk {
    struct dr_chunk *next;
    size_t used, size;
    alignas(max_align_t) unsigned char data[];
};

void *wr_dr_alloc(struct dr_arena *arena, size_t size)
{
    size_t need = (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    struct dr_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < need) {
        size_t room = need > CHUNK_BYTES ? need : CHUNK_BYTES;
        chunk = calloc(1, sizeof *chunk + room);
        if (!chunk) {
            fputs("drill: out of memory\n", stderr);
            exit(2);
        }
        chunk->size = room;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    void *at = chunk->data + chunk->used;
    chunk->used += need;
    return at;
}

char *wr_dr_strndup(struct dr_arena *arena, const char *text, size_t len)
{
    char *copy = wr_dr_alloc(arena, len + 1);
    if (len > 0)
        memcpy(copy, text, len);
    return copy;
}

void wr_dr_arena_free(struct dr_arena *arena)
{
    while (arena->chunks) {
        struct dr_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        free(chunk);
    }
}
