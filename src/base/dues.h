/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_DUES_H
#define WR_BASE_DUES_H

/*
 * Deadlines of many records (records.h), the earliest first, at twelve bytes each and four in the record. For
 * what is armed rarely and stands long, where struct wr_timer would be larger than what it belongs to.
 */

#include "base/records.h"
#include "weir/time.h"

struct wr_dues_page;

struct wr_dues {
    const struct weir_allocator *alloc;
    const struct wr_records *records;
    struct wr_dues_page **pages;
    uint32_t n_pages, pages_cap; /* there are; room for */
    uint32_t count;
    uint32_t offset; /* in each record: a uint32_t, its place here or WR_RECORD_NONE */
};

/* Empty. Allocates nothing. */
void wr_dues_init(struct wr_dues *d, const struct wr_records *records, size_t offset);
void wr_dues_fini(struct wr_dues *d);

/* Enters a record that is not in it. False: out of memory. O(log n) at worst, O(1) when few are later. */
bool wr_dues_add(struct wr_dues *d, uint32_t number, weir_time at);
/* Takes the record out if it is in it. O(log n). */
void wr_dues_remove(struct wr_dues *d, struct wr_record *record);
/* Its deadline; NEVER if it is not in it. */
weir_time wr_dues_at(const struct wr_dues *d, const struct wr_record *record);
/* One that is due first; NULL when it is empty. */
struct wr_record *wr_dues_first(const struct wr_dues *d);

#endif
