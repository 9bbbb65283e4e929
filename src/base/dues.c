/* SPDX-License-Identifier: MIT */
/*
 * A heap of four children a node, since the four lie side by side; in pages, so that it grows without being moved.
 *
 *     children of i: 4i + 1 .. 4i + 4         none is due before its parent
 *
 * Each entry has its deadline and its record's number, each record its place, so that it can leave before it is due.
 * Those of equal deadlines come in an order that follows from what was called, and no other.
 */
#include "base/dues.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#ifdef WEIR_HARD
enum { PAGE = 2 };
#else
enum { PAGE = 256 };
#endif
enum { CHILDREN = 4 };

struct wr_dues_page {
    weir_time at[PAGE];
    uint32_t number[PAGE];
};

void wr_dues_init(struct wr_dues *d, const struct wr_records *records, size_t offset)
{
    *d = (struct wr_dues){.alloc = records->alloc, .records = records, .offset = (uint32_t)offset};
}

void wr_dues_fini(struct wr_dues *d)
{
    for (uint32_t i = 0; i < d->n_pages; i++)
        wr_mem_free(d->alloc, d->pages[i], sizeof *d->pages[i]);
    wr_mem_free(d->alloc, d->pages, d->pages_cap * sizeof *d->pages);
    wr_dues_init(d, d->records, d->offset);
}

static weir_time at_of(const struct wr_dues *d, uint32_t place)
{
    return d->pages[place / PAGE]->at[place % PAGE];
}

static uint32_t number_of(const struct wr_dues *d, uint32_t place)
{
    return d->pages[place / PAGE]->number[place % PAGE];
}

static uint32_t get_place(const struct wr_dues *d, const struct wr_record *record)
{
    uint32_t place;

    memcpy(&place, (const uint8_t *)record + d->offset, sizeof place);
    return place;
}

static void set_place(const struct wr_dues *d, struct wr_record *record, uint32_t place)
{
    memcpy((uint8_t *)record + d->offset, &place, sizeof place);
}

static void put(struct wr_dues *d, uint32_t place, weir_time at, uint32_t number)
{
    d->pages[place / PAGE]->at[place % PAGE] = at;
    d->pages[place / PAGE]->number[place % PAGE] = number;
    set_place(d, wr_records_at(d->records, number), place);
}

/* From `place`, which is free, to where it may stand with those above. */
static void rise(struct wr_dues *d, uint32_t place, weir_time at, uint32_t number)
{
    while (place > 0 && at < at_of(d, (place - 1) / CHILDREN)) {
        uint32_t up = (place - 1) / CHILDREN;
        put(d, place, at_of(d, up), number_of(d, up));
        place = up;
    }
    put(d, place, at, number);
}

/* The child that is due first; `count` when there is none. */
static uint32_t first_child(const struct wr_dues *d, uint32_t place)
{
    uint64_t begin = (uint64_t)place * CHILDREN + 1;
    uint32_t first = d->count;

    for (uint64_t i = begin; i < begin + CHILDREN && i < d->count; i++)
        if (first == d->count || at_of(d, (uint32_t)i) < at_of(d, first))
            first = (uint32_t)i;
    return first;
}

static void sink(struct wr_dues *d, uint32_t place, weir_time at, uint32_t number)
{
    for (;;) {
        uint32_t child = first_child(d, place);
        if (child == d->count || at <= at_of(d, child))
            break;
        put(d, place, at_of(d, child), number_of(d, child));
        place = child;
    }
    put(d, place, at, number);
}

static bool grow(struct wr_dues *d)
{
    struct wr_dues_page **pages = d->pages;
    uint32_t cap = d->pages_cap;

    if (d->n_pages == cap) {
        cap = cap > 0 ? 2 * cap : 4;
        pages = wr_mem_array(d->alloc, cap, sizeof(struct wr_dues_page *));
        if (pages == NULL)
            return false;
        if (d->n_pages > 0)
            memcpy(pages, d->pages, d->n_pages * sizeof(struct wr_dues_page *));
        wr_mem_free(d->alloc, d->pages, d->pages_cap * sizeof(struct wr_dues_page *));
        d->pages = pages;
        d->pages_cap = cap;
    }
    pages[d->n_pages] = wr_mem_alloc(d->alloc, sizeof(struct wr_dues_page));
    if (pages[d->n_pages] == NULL)
        return false;
    d->n_pages++;
    return true;
}

bool wr_dues_add(struct wr_dues *d, uint32_t number, weir_time at)
{
    if (d->count == d->n_pages * PAGE && !grow(d))
        return false;
    rise(d, d->count++, at, number);
    return true;
}

void wr_dues_remove(struct wr_dues *d, struct wr_record *record)
{
    uint32_t place = get_place(d, record), last, number;
    weir_time at;

    if (place == WR_RECORD_NONE)
        return;
    assert(place < d->count && wr_records_at(d->records, number_of(d, place)) == record);
    set_place(d, record, WR_RECORD_NONE);
    last = --d->count;
    at = at_of(d, last);
    number = number_of(d, last);
    if (place < last && at < at_of(d, place))
        rise(d, place, at, number);
    else if (place < last)
        sink(d, place, at, number);
    if (d->count + 2 * PAGE <=
        d->n_pages * PAGE) { /* one page is kept for those that come and go */
        d->n_pages--;
        wr_mem_free(d->alloc, d->pages[d->n_pages], sizeof(struct wr_dues_page));
    }
}

weir_time wr_dues_at(const struct wr_dues *d, const struct wr_record *record)
{
    uint32_t place = get_place(d, record);

    return place == WR_RECORD_NONE ? WEIR_TIME_NEVER : at_of(d, place);
}

struct wr_record *wr_dues_first(const struct wr_dues *d)
{
    return d->count == 0 ? NULL : wr_records_at(d->records, number_of(d, 0));
}
