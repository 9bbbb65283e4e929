/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_RECORDS_H
#define WR_BASE_RECORDS_H

/*
 * Small records, kept for many: a store and a hash table in one. A record has a size of its own, is found by its
 * hash, and has a number of 32 bits while it is there, by which lines of records are linked. It never moves.
 * Besides the record itself it costs four bytes, and its share of a chunk's head. A table holds some 8 GB of them.
 *
 * The table knows hashes, not keys: who looks up compares. Hashes come keyed, so that no peer can aim for a chain.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/alloc.h"

/* The head of each; the table's own. */
struct wr_record {
    uint32_t next; /* what leads to the next in its chain */
    uint32_t hash; /* may be read */
};

enum { WR_RECORD_NONE = UINT32_MAX };
enum { WR_RECORD_SIZES = 512 / 4 }; /* sizes that share chunks, in steps of four bytes */

struct wr_records_place;

struct wr_records {
    const struct weir_allocator *alloc;
    struct wr_records_place *places;    /* of chunks: a number's upper bits */
    uint32_t n_places, places_cap;      /* in use, with or without a chunk; room for */
    uint32_t free_place;                /* first without a chunk */
    uint32_t open[WR_RECORD_SIZES + 1]; /* by size: first place of a chunk with room */
    uint32_t **pages;                   /* of chains */
    uint32_t pages_cap;                 /* room for pages */
    uint32_t n_chains;
    uint32_t count;
};

/* Empty. Allocates nothing. */
void wr_records_init(struct wr_records *r, const struct weir_allocator *alloc);
/* Frees all memory, that of the records, too. */
void wr_records_fini(struct wr_records *r);

/* A new record of `size` bytes (at least its head) under `hash`; what follows the head is not set. Aligned to 8 bytes if size is
 * a multiple of that, else to 4. Equal hashes are allowed. NULL: out of memory. */
void *wr_records_add(struct wr_records *r, size_t size, uint32_t hash, uint32_t *number);
/* Takes it out of the table and frees it. It must be in no line any more. */
void wr_records_remove(struct wr_records *r, struct wr_record *record);
/* The records of a hash, then NULL. */
void *wr_records_first(const struct wr_records *r, uint32_t hash);
void *wr_records_next(const struct wr_records *r, const struct wr_record *record);

/* The record of a number; NULL when there is none. O(1). */
void *wr_records_at(const struct wr_records *r, uint32_t number);
/* The number of a record: walks its chain. */
uint32_t wr_records_number(const struct wr_records *r, const struct wr_record *record);
/* Numbers are below this: `for (i = 0; i < wr_records_end(r); i++)` visits all with wr_records_at(). */
uint32_t wr_records_end(const struct wr_records *r);

/* ---- lines ------------------------------------------------------------------------------------- */

/* A record's place in a line, a member of it. */
struct wr_record_link {
    uint32_t prev, next; /* numbers; WR_RECORD_NONE: none */
};

/* Records in a row. */
struct wr_record_line {
    uint32_t first, last;
    uint32_t offset; /* of the struct wr_record_link in each */
};

static inline void wr_record_line_init(struct wr_record_line *line, size_t offset)
{
    line->first = line->last = WR_RECORD_NONE;
    line->offset = (uint32_t)offset;
}
/* Puts a record that is not in it at the end. */
void wr_record_line_push(const struct wr_records *r, struct wr_record_line *line, uint32_t number);
void wr_record_line_remove(const struct wr_records *r, struct wr_record_line *line,
                           const struct wr_record *record);
/* NULL: it is empty. */
static inline void *wr_record_line_first(const struct wr_records *r,
                                         const struct wr_record_line *line)
{
    return line->first == WR_RECORD_NONE ? NULL : wr_records_at(r, line->first);
}

#endif
