/* SPDX-License-Identifier: MIT */
/*
 * Chains that become more and fewer a few at a time, so that no packet pays for the whole table (linear hashing,
 * Litwin 1980). With n of them, 2^k <= n < 2^(k+1), a hash lives in the chain that its lower k + 1 bits name or, where
 * that is not there yet, its lower k bits:
 *
 *     0 ......... n - 2^k ......... 2^k ......... n          chain n is split off from chain n - 2^k
 *
 * Chains lie in levels, of which each but the first has as many as all before it; so none is ever moved. A chain is written
 * for the first time when it is split off, so a new level is not cleared at once either. Two chains are split for an
 * insert while there are few; where most nodes have left, eight are joined again, for chains that
 * are many more than nodes are in no cache when they are wanted. Nothing moves on removal: an iteration may remove what it visits.
 */
#include "base/hash.h"

#include <assert.h>
#include <sodium/crypto_shorthash.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hint.h"
#include "base/mem.h"

#ifdef WEIR_HARD
enum { FIRST_BITS = 1 };
#else
enum { FIRST_BITS = 4 };
#endif
enum { FIRST = 1 << FIRST_BITS, CHAINS_MAX = 1 << 30, SPLITS_PER_INSERT = 2, JOINS_PER_INSERT = 8 };

void wr_hash_init(struct wr_hash *h, const struct weir_allocator *alloc, const uint8_t key[16],
                  uint32_t limit)
{
    memset(h, 0, sizeof *h);
    h->alloc = alloc;
    h->limit = limit;
    memcpy(h->key, key, sizeof h->key);
}

/* The place of the highest bit of i > 0. */
static unsigned top_bit(uint32_t i)
{
    return 31u - (unsigned)__builtin_clz(i);
}

/* The level that has the i-th chain. */
static unsigned level_of(uint32_t i)
{
    return top_bit(i | (FIRST - 1)) - (FIRST_BITS - 1);
}

/* Chain n >= FIRST is the first of its level: then n of them are in it. */
static bool begins_level(uint32_t n)
{
    return (n & (n - 1)) == 0;
}

static struct wr_hash_node **chain_at(const struct wr_hash *h, uint32_t i)
{
    const struct wr_hash_level *level = &h->level[level_of(i)];

    return &level->chains[i - level->begin];
}

static size_t bytes_of(uint32_t chains)
{
    return chains * sizeof(struct wr_hash_node *);
}

/* The level that n begins (n chains), or the first (FIRST). False: no memory. */
static bool add_level(struct wr_hash *h, uint32_t n)
{
    uint32_t begin = h->n_chains == 0 ? 0 : n;
    struct wr_hash_level *level = &h->level[level_of(begin)];

    *level = (struct wr_hash_level){wr_mem_alloc(h->alloc, bytes_of(n)), begin};
    return level->chains != NULL;
}

void wr_hash_fini(struct wr_hash *h)
{
    if (h->n_chains > 0)
        wr_mem_free(h->alloc, chain_at(h, 0), bytes_of(FIRST));
    for (uint32_t n = FIRST; n < h->n_chains; n *= 2)
        wr_mem_free(h->alloc, chain_at(h, n), bytes_of(n));
    h->n_chains = h->count = 0;
}

uint64_t wr_hash_keyed(const uint8_t key[16], const void *data, size_t len)
{
    uint8_t out[crypto_shorthash_BYTES];

    crypto_shorthash(out, data, len, key);
    return get_be64(out);
}

uint64_t wr_hash_of(const struct wr_hash *h, const void *key, size_t len)
{
    return wr_hash_keyed(h->key, key, len);
}

static struct wr_hash_node **chain_of(const struct wr_hash *h, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & h->mask;

    return chain_at(h, i < h->n_chains ? i : i & h->mask >> 1);
}

static void set_chains(struct wr_hash *h, uint32_t n)
{
    h->n_chains = n;
    h->mask = (2u << top_bit(n)) - 1;
}

/* One chain more, keeping the order of nodes. */
static void split_one(struct wr_hash *h)
{
    uint32_t n = h->n_chains, power = h->mask / 2 + 1;
    struct wr_hash_node **low, **high, *node;

    if (begins_level(n) && !add_level(h, n))
        return;
    set_chains(h, n + 1);
    low = chain_at(h, n - power);
    high = chain_at(h, n);
    for (node = *low; node != NULL; node = node->next) {
        struct wr_hash_node ***side = (node->hash & power) != 0 ? &high : &low;
        **side = node;
        *side = &node->next;
    }
    *low = NULL;
    *high = NULL;
}

/* One chain less. */
static void join_one(struct wr_hash *h)
{
    uint32_t n = h->n_chains - 1, power;
    struct wr_hash_node *high = *chain_at(h, n), **low;

    set_chains(h, n);
    power = 1u << top_bit(n);
    low = chain_at(h, n - power);
    while (*low != NULL)
        low = &(*low)->next;
    *low = high;
    if (begins_level(n))
        wr_mem_free(h->alloc, chain_at(h, n), bytes_of(n));
}

/* Are chains as many as they should be? */
static bool fits(const struct wr_hash *h)
{
    return 2 * (uint64_t)h->count < h->n_chains && (h->n_chains - FIRST) / 8 <= h->count;
}

/* Makes the first chains, or fits their number to that of nodes. False only without a first. */
WR_APART bool make_room(struct wr_hash *h)
{
    if (h->n_chains == 0) {
        if (!add_level(h, FIRST))
            return false;
        memset(chain_at(h, 0), 0, bytes_of(FIRST));
        set_chains(h, FIRST);
    }
    for (int i = 0;
         i < SPLITS_PER_INSERT && 2 * (uint64_t)h->count >= h->n_chains && h->n_chains < CHAINS_MAX;
         i++)
        split_one(h);
    for (int i = 0; i < JOINS_PER_INSERT && (h->n_chains - FIRST) / 8 > h->count; i++)
        join_one(h);
    return true;
}

bool wr_hash_insert(struct wr_hash *h, struct wr_hash_node *node, uint64_t hash)
{
    if (h->count >= h->limit || (!fits(h) && !make_room(h)))
        return false;

    struct wr_hash_node **chain = chain_of(h, hash);
    node->hash = hash;
    node->next = *chain;
    *chain = node;
    h->count++;
    return true;
}

/* The pointer that leads to a node of the table. */
static struct wr_hash_node **leading_to(struct wr_hash *h, const struct wr_hash_node *node)
{
    struct wr_hash_node **at = chain_of(h, node->hash);

    while (*at != node) {
        assert(*at != NULL);
        at = &(*at)->next;
    }
    return at;
}

void wr_hash_remove(struct wr_hash *h, struct wr_hash_node *node)
{
    *leading_to(h, node) = node->next;
    node->next = NULL;
    h->count--;
}

void wr_hash_replace(struct wr_hash *h, struct wr_hash_node *old, struct wr_hash_node *node)
{
    *leading_to(h, old) = node;
    *node = *old;
    old->next = NULL;
}

static struct wr_hash_node *of_hash(struct wr_hash_node *node, uint64_t hash)
{
    while (node != NULL && node->hash != hash)
        node = node->next;
    return node;
}

struct wr_hash_node *wr_hash_first(const struct wr_hash *h, uint64_t hash)
{
    return h->count == 0 ? NULL : of_hash(*chain_of(h, hash), hash);
}

struct wr_hash_node *wr_hash_next(const struct wr_hash_node *node)
{
    return of_hash(node->next, node->hash);
}

struct wr_hash_node *wr_hash_each(const struct wr_hash *h, struct wr_hash_iter *it)
{
    while (it->next == NULL && it->chain < h->n_chains)
        it->next = *chain_at(h, it->chain++);

    struct wr_hash_node *node = it->next;
    if (node != NULL)
        it->next = node->next;
    return node;
}
