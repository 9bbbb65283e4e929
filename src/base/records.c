/* SPDX-License-Identifier: MIT */
/*
 * Chunks of 4 KB hold records of one size; a number is the chunk's place in a directory and the slot in the chunk:
 *
 *     | place: 21 bits | slot: 6 |     address = places[place].chunk + head + slot * places[place].size
 *
 * What leads to a record, in its chain or in the record before it, is its number and what tells without reading it
 * that it cannot be the one, for reading one of a million is to wait for memory:
 *
 *     | more: 1 bit | tag: 4 | number: 27 |     tag: the upper bits of its hash; more: another is behind it
 *
 * So of those that are alone in their chain, one in sixteen is read in vain.
 *
 * Chains are buckets of four bytes, as many as records: one more for each record that comes, one less for each that
 * goes while there are twice as many (linear hashing, Litwin 1980). The chain that is split is the next in order,
 * so no call ever moves more than one chain, and nothing is allocated but a page of chains at a time:
 *
 *     2^k <= n < 2^(k+1)        hash mod 2^(k+1), or if that is not below n, mod 2^k
 *
 * Each doubling of many chains is sixteen pages. So the array of pages stays in the cache, and the chains of a million lie
 * in as few pages of the machine's as they can.
 *
 * A chunk that becomes empty goes back to the allocator, but for one of small records: those of handshakes come and
 * go one by one. A connection at rest has another size after each use, so what one size gives back another must be able to
 * have: chunks are all as long, also to an allocator that keeps lengths apart (host/pages.c), of which otherwise 12 % of a
 * million connections was free, each part for one length. As long as themselves are only chunks of 64 slots that
 * do not fill 4 KB, and of a single record.
 */
#include "base/records.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum { NONE = WR_RECORD_NONE };

#ifdef WEIR_HARD
enum { CHUNK_BYTES = 160, PAGE_BITS = 1, PLACES_FIRST = 1 };
#else
enum { CHUNK_BYTES = 4096, PAGE_BITS = 8, PLACES_FIRST = 16 };
#endif
enum { SLOT_BITS = 6, SLOTS_MAX = 1 << SLOT_BITS };
enum { NUMBER_BITS = 27, TAG_BITS = 4, HASH_BITS = 32 };
enum {
    PLACES_MAX = (1 << (NUMBER_BITS - SLOT_BITS)) - 1, /* one less: NONE is no link */
    CHAINS_MAX = 1 << NUMBER_BITS
};
#define MORE    (1u << (NUMBER_BITS + TAG_BITS))
#define NUMBERS ((1u << NUMBER_BITS) - 1)
enum { FIRST_PAGES_BITS = 4 }; /* so many are of the smallest size */
enum { SIZE_STEP = 4, SMALL = 128 };

struct chunk {
    uint64_t used;              /* a bit a slot */
    uint64_t full;              /* what that is when all are */
    uint32_t prev, next, place; /* places: struct wr_records.open */
    uint32_t unused;
};
static_assert(sizeof(struct chunk) % 8 == 0, "slots follow their chunk's head aligned");

struct wr_records_place {
    struct chunk *chunk; /* NULL: none */
    uint32_t size;       /* of its records */
    uint32_t next;       /* without a chunk: the next such place */
};

void wr_records_init(struct wr_records *r, const struct weir_allocator *alloc)
{
    memset(r, 0, sizeof *r);
    r->alloc = alloc;
    r->free_place = NONE;
    memset(r->open, 0xff, sizeof r->open); /* NONE */
}

/* ---- chunks ------------------------------------------------------------------------------------ */

static uint32_t slots_of(uint32_t size)
{
    uint32_t n = (CHUNK_BYTES - sizeof(struct chunk)) / size;

    if (size > WR_RECORD_SIZES * SIZE_STEP || n == 0)
        return 1;
    return n < SLOTS_MAX ? n : SLOTS_MAX;
}

static size_t chunk_bytes(uint32_t size)
{
    uint32_t n = slots_of(size);

    return 1 < n && n < SLOTS_MAX ? CHUNK_BYTES : sizeof(struct chunk) + (size_t)size * n;
}

static void *slot_in(struct chunk *chunk, uint32_t size, uint32_t slot)
{
    return (uint8_t *)(chunk + 1) + (size_t)size * slot;
}

/* Chunks of a single record are full as long as they are there, and in no list. */
static uint32_t *open_of(struct wr_records *r, uint32_t size)
{
    return &r->open[size / SIZE_STEP <= WR_RECORD_SIZES ? size / SIZE_STEP : 0];
}

static void list_chunk(struct wr_records *r, struct chunk *chunk, uint32_t size)
{
    uint32_t *first = open_of(r, size);

    chunk->prev = NONE;
    chunk->next = *first;
    if (*first != NONE)
        r->places[*first].chunk->prev = chunk->place;
    *first = chunk->place;
}

static void unlist_chunk(struct wr_records *r, const struct chunk *chunk, uint32_t size)
{
    if (chunk->prev != NONE)
        r->places[chunk->prev].chunk->next = chunk->next;
    else
        *open_of(r, size) = chunk->next;
    if (chunk->next != NONE)
        r->places[chunk->next].chunk->prev = chunk->prev;
}

static bool grow_places(struct wr_records *r)
{
    uint32_t cap = r->places_cap > 0 ? r->places_cap + r->places_cap / 2 + 1 : PLACES_FIRST;
    struct wr_records_place *places;

    if (cap > PLACES_MAX)
        cap = PLACES_MAX;
    if (r->n_places == cap || (places = wr_mem_array(r->alloc, cap, sizeof *places)) == NULL)
        return false;
    if (r->places != NULL) {
        memcpy(places, r->places, r->n_places * sizeof *places);
        wr_mem_free(r->alloc, r->places, r->places_cap * sizeof *places);
    }
    r->places = places;
    r->places_cap = cap;
    return true;
}

/* An empty chunk for records of this size, in its list. NULL: out of memory. */
static struct chunk *new_chunk(struct wr_records *r, uint32_t size)
{
    struct wr_records_place *at;
    struct chunk *chunk;
    uint32_t place = r->free_place;

    if (place == NONE && r->n_places == r->places_cap && !grow_places(r))
        return NULL;
    chunk = wr_mem_alloc(r->alloc, chunk_bytes(size));
    if (chunk == NULL)
        return NULL;
    if (place == NONE)
        place = r->n_places++;
    else
        r->free_place = r->places[place].next;
    at = &r->places[place];
    *at = (struct wr_records_place){.chunk = chunk, .size = size};
    *chunk = (struct chunk){.place = place, .full = UINT64_MAX >> (SLOTS_MAX - slots_of(size))};
    list_chunk(r, chunk, size);
    return chunk;
}

static void free_chunk(struct wr_records *r, struct chunk *chunk)
{
    struct wr_records_place *at = &r->places[chunk->place];

    wr_mem_free(r->alloc, chunk, chunk_bytes(at->size));
    at->chunk = NULL;
    at->next = r->free_place;
    r->free_place = (uint32_t)(at - r->places);
}

static void *take_slot(struct wr_records *r, uint32_t size, uint32_t *number)
{
    uint32_t place = *open_of(r, size), slot;
    struct chunk *chunk = place != NONE ? r->places[place].chunk : new_chunk(r, size);

    if (chunk == NULL)
        return NULL;
    slot = (uint32_t)__builtin_ctzll(~chunk->used);
    chunk->used |= UINT64_C(1) << slot;
    if (chunk->used == chunk->full)
        unlist_chunk(r, chunk, size);
    *number = chunk->place << SLOT_BITS | slot;
    return slot_in(chunk, size, slot);
}

static void free_slot(struct wr_records *r, uint32_t number)
{
    uint32_t size = r->places[number >> SLOT_BITS].size;
    struct chunk *chunk = r->places[number >> SLOT_BITS].chunk;
    bool was_full = chunk->used == chunk->full;

    chunk->used &= ~(UINT64_C(1) << (number & (SLOTS_MAX - 1)));
    if (was_full)
        list_chunk(r, chunk, size);
    if (chunk->used != 0)
        return;
    if (size <= SMALL && chunk->prev == NONE && chunk->next == NONE)
        return;
    unlist_chunk(r, chunk, size);
    free_chunk(r, chunk);
}

/* ---- chains ------------------------------------------------------------------------------------ */

/* The largest power of two that is not above n > 0. */
static uint32_t power_below(uint32_t n)
{
    return UINT32_C(1) << (31 - __builtin_clz(n));
}

/* Chains of the page that has the i-th, as a power of two. */
static unsigned page_bits(uint32_t i)
{
    unsigned bits = 31u - (unsigned)__builtin_clz(i | 1);

    return bits > PAGE_BITS + FIRST_PAGES_BITS ? bits - FIRST_PAGES_BITS : PAGE_BITS;
}

static uint32_t page_of(uint32_t i)
{
    unsigned bits = page_bits(i);

    return (i >> bits) + ((bits - PAGE_BITS) << FIRST_PAGES_BITS);
}

static size_t page_bytes(uint32_t i)
{
    return sizeof(uint32_t) << page_bits(i);
}

static bool begins_page(uint32_t i)
{
    return (i & ((1u << page_bits(i)) - 1)) == 0;
}

static uint32_t *chain_at(const struct wr_records *r, uint32_t i)
{
    return &r->pages[page_of(i)][i & ((1u << page_bits(i)) - 1)];
}

static uint32_t *chain_of(const struct wr_records *r, uint32_t hash)
{
    uint32_t power = power_below(r->n_chains), i = hash & (2 * power - 1);

    return chain_at(r, i < r->n_chains ? i : i & (power - 1));
}

/* The record of a number that is in use. */
static struct wr_record *record_at(const struct wr_records *r, uint32_t number)
{
    const struct wr_records_place *at = &r->places[number >> SLOT_BITS];

    return slot_in(at->chunk, at->size, number & (SLOTS_MAX - 1));
}

/* The page that the next chain begins. */
static bool grow_pages(struct wr_records *r)
{
    uint32_t n = page_of(r->n_chains), cap = r->pages_cap;
    uint32_t **pages = r->pages;

    if (n == cap) {
        cap = cap > 0 ? 2 * cap : 4;
        pages = wr_mem_array(r->alloc, cap, sizeof *pages);
        if (pages == NULL)
            return false;
        if (n > 0)
            memcpy(pages, r->pages, n * sizeof *pages);
        wr_mem_free(r->alloc, r->pages, r->pages_cap * sizeof *pages);
        r->pages = pages;
        r->pages_cap = cap;
    }
    pages[n] = wr_mem_alloc(r->alloc, page_bytes(r->n_chains));
    return pages[n] != NULL;
}

static uint32_t tag_of(uint32_t hash)
{
    return hash >> (HASH_BITS - TAG_BITS) << NUMBER_BITS;
}

static struct wr_record *record_of(const struct wr_records *r, uint32_t link)
{
    return record_at(r, link & NUMBERS);
}

/* Puts a record that is in no chain before the others of one. */
static void push(uint32_t *chain, uint32_t link, struct wr_record *record)
{
    record->next = *chain;
    *chain = (link & ~MORE) | (*chain != NONE ? MORE : 0);
}

/* One chain more, the n-th, which takes its part of the one that it was of. */
static void split_chain(const struct wr_records *r, uint32_t n)
{
    uint32_t power = power_below(n), *high = chain_at(r, n), *low = chain_at(r, n - power);
    uint32_t link = *low;

    *low = *high = NONE;
    while (link != NONE) {
        struct wr_record *record = record_of(r, link);
        uint32_t next = record->next;
        push((record->hash & power) != 0 ? high : low, link, record);
        link = next;
    }
}

/* One chain more. False only without a first. */
static bool grow(struct wr_records *r)
{
    uint32_t n = r->n_chains;

    if (n == CHAINS_MAX || (begins_page(n) && !grow_pages(r)))
        return n > 0;
    r->n_chains++;
    if (n == 0)
        *chain_at(r, n) = NONE;
    else
        split_chain(r, n);
    return true;
}

/* The last chain goes back into the one that it was split from. */
static void merge(struct wr_records *r)
{
    uint32_t n = --r->n_chains, *low = chain_at(r, n - power_below(n)), link = *chain_at(r, n);

    while (link != NONE) {
        struct wr_record *record = record_of(r, link);
        uint32_t next = record->next;
        push(low, link, record);
        link = next;
    }
    if (begins_page(n))
        wr_mem_free(r->alloc, r->pages[page_of(n)], page_bytes(n));
}

void wr_records_fini(struct wr_records *r)
{
    for (uint32_t i = 0; i < r->n_places; i++)
        wr_mem_free(r->alloc, r->places[i].chunk, chunk_bytes(r->places[i].size));
    for (uint32_t i = 0; i < r->n_chains; i += 1u << page_bits(i))
        wr_mem_free(r->alloc, r->pages[page_of(i)], page_bytes(i));
    wr_mem_free(r->alloc, r->places, r->places_cap * sizeof *r->places);
    wr_mem_free(r->alloc, r->pages, r->pages_cap * sizeof *r->pages);
    wr_records_init(r, r->alloc);
}

/* ---- records ----------------------------------------------------------------------------------- */

void *wr_records_add(struct wr_records *r, size_t size, uint32_t hash, uint32_t *number)
{
    uint32_t rounded = (uint32_t)(size + SIZE_STEP - 1) / SIZE_STEP * SIZE_STEP, *chain;
    struct wr_record *record;

    assert(size >= sizeof *record && size <= UINT16_MAX);
    if (r->count >= r->n_chains && !grow(r))
        return NULL;
    record = take_slot(r, rounded, number);
    if (record == NULL)
        return NULL;
    chain = chain_of(r, hash);
    record->hash = hash;
    push(chain, *number | tag_of(hash), record);
    r->count++;
    return record;
}

/* What leads to a record of the table. *before: what leads to the one before it, or NULL. */
static uint32_t *leading_to(const struct wr_records *r, const struct wr_record *record,
                            uint32_t **before)
{
    uint32_t *at = chain_of(r, record->hash);

    *before = NULL;
    for (;;) {
        struct wr_record *found = record_of(r, *at);
        if (found == record)
            return at;
        *before = at;
        at = &found->next;
        assert(*at != NONE);
    }
}

void wr_records_remove(struct wr_records *r, struct wr_record *record)
{
    uint32_t *before, *at = leading_to(r, record, &before), number = *at & NUMBERS;

    *at = record->next;
    if (before != NULL && *at == NONE)
        *before &= ~MORE;
    free_slot(r, number);
    r->count--;
    if (r->n_chains > 1u << PAGE_BITS && r->count < r->n_chains / 2)
        merge(r);
}

/* From this link on. */
static struct wr_record *of_hash(const struct wr_records *r, uint32_t link, uint32_t hash)
{
    uint32_t tag = tag_of(hash);

    while (link != NONE) {
        bool may_be = (link & (MORE - 1) & ~NUMBERS) == tag;
        struct wr_record *record;
        if (!may_be && (link & MORE) == 0)
            return NULL;
        record = record_of(r, link);
        if (may_be && record->hash == hash)
            return record;
        link = record->next;
    }
    return NULL;
}

void *wr_records_first(const struct wr_records *r, uint32_t hash)
{
    return r->count == 0 ? NULL : of_hash(r, *chain_of(r, hash), hash);
}

void *wr_records_next(const struct wr_records *r, const struct wr_record *record)
{
    return of_hash(r, record->next, record->hash);
}

void *wr_records_at(const struct wr_records *r, uint32_t number)
{
    const struct wr_records_place *at = &r->places[number >> SLOT_BITS];

    if (number >> SLOT_BITS >= r->n_places || at->chunk == NULL ||
        (at->chunk->used >> (number & (SLOTS_MAX - 1)) & 1) == 0)
        return NULL;
    return record_at(r, number);
}

uint32_t wr_records_number(const struct wr_records *r, const struct wr_record *record)
{
    uint32_t *before;

    return *leading_to(r, record, &before) & NUMBERS;
}

uint32_t wr_records_end(const struct wr_records *r)
{
    return r->n_places << SLOT_BITS;
}

/* ---- lines ------------------------------------------------------------------------------------- */

static struct wr_record_link *link_of(const struct wr_records *r, const struct wr_record_line *line,
                                      uint32_t number)
{
    return (struct wr_record_link *)(void *)((uint8_t *)record_at(r, number) + line->offset);
}

void wr_record_line_push(const struct wr_records *r, struct wr_record_line *line, uint32_t number)
{
    *link_of(r, line, number) = (struct wr_record_link){line->last, NONE};
    if (line->last != NONE)
        link_of(r, line, line->last)->next = number;
    else
        line->first = number;
    line->last = number;
}

void wr_record_line_remove(const struct wr_records *r, struct wr_record_line *line,
                           const struct wr_record *record)
{
    const struct wr_record_link *link =
        (const struct wr_record_link *)(const void *)((const uint8_t *)record + line->offset);

    *(link->prev != NONE ? &link_of(r, line, link->prev)->next : &line->first) = link->next;
    *(link->next != NONE ? &link_of(r, line, link->next)->prev : &line->last) = link->prev;
}
