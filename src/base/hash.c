/* SPDX-License-Identifier: MIT */
/*
 * Chains, doubled a few at a time, so that no packet pays for the whole table (linear hashing).
 *
 * While growing there are two arrays. Chain i of the n narrow ones splits into i and i + n of the
 * wide ones, and chains split in order, so that `split` alone says where a hash lives:
 *
 *     narrow   0 ......... split ................ n         i = hash mod n
 *              |  moved    |   still here         |
 *     wide     0 ......... split ... n ... n+split ... 2n   i < split: hash mod 2n
 *
 * A wide chain is written for the first time when it is split into, so a new array is not cleared
 * at once either. Two chains move per insert; n inserts lie between two doublings, so the move is
 * over in time. Nothing moves on removal: an iteration may remove what it visits.
 */
#include "base/hash.h"

#include <assert.h>
#include <sodium/crypto_shorthash.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

#ifdef WEIR_HARD
#    define FIRST_SLOTS 2u
#else
#    define FIRST_SLOTS 16u
#endif
#define MAX_SLOTS         (1u << 30)
#define SPLITS_PER_INSERT 2

void wr_hash_init(struct wr_hash *h, const struct weir_allocator *alloc, const uint8_t key[16],
                  uint32_t limit)
{
    memset(h, 0, sizeof *h);
    h->alloc = alloc;
    h->limit = limit;
    memcpy(h->key, key, sizeof h->key);
}

void wr_hash_fini(struct wr_hash *h)
{
    wr_mem_free(h->alloc, h->slots, h->n_slots * sizeof *h->slots);
    wr_mem_free(h->alloc, h->wider, (size_t)h->n_slots * 2 * sizeof *h->wider);
    h->slots = h->wider = NULL;
    h->n_slots = h->split = h->count = 0;
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
    uint32_t i = (uint32_t)hash & (h->n_slots - 1);

    if (h->wider != NULL && i < h->split)
        return &h->wider[(uint32_t)hash & (2 * h->n_slots - 1)];
    return &h->slots[i];
}

/* Moves the next narrow chain into its two wide ones, keeping the order of nodes. */
static void split_one(struct wr_hash *h)
{
    struct wr_hash_node **low = &h->wider[h->split], **high = &h->wider[h->split + h->n_slots];

    for (struct wr_hash_node *node = h->slots[h->split]; node != NULL; node = node->next) {
        struct wr_hash_node ***side = (node->hash & h->n_slots) != 0 ? &high : &low;
        **side = node;
        *side = &node->next;
    }
    *low = NULL;
    *high = NULL;
    h->split++;
}

static void finish_growth(struct wr_hash *h)
{
    wr_mem_free(h->alloc, h->slots, h->n_slots * sizeof *h->slots);
    h->slots = h->wider;
    h->wider = NULL;
    h->n_slots *= 2;
    h->split = 0;
}

/* Makes the first array, or begins or continues a doubling. False only without a first array. */
static bool make_room(struct wr_hash *h)
{
    if (h->slots == NULL) {
        h->slots = wr_mem_zalloc(h->alloc, FIRST_SLOTS * sizeof *h->slots);
        if (h->slots == NULL)
            return false;
        h->n_slots = FIRST_SLOTS;
    }
    if (h->wider == NULL && h->count >= h->n_slots && h->n_slots < MAX_SLOTS)
        h->wider = wr_mem_array(h->alloc, (size_t)h->n_slots * 2, sizeof *h->wider);
    for (int i = 0; i < SPLITS_PER_INSERT && h->wider != NULL; i++) {
        split_one(h);
        if (h->split == h->n_slots)
            finish_growth(h);
    }
    return true;
}

bool wr_hash_insert(struct wr_hash *h, struct wr_hash_node *node, uint64_t hash)
{
    if (h->count >= h->limit || !make_room(h))
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

/*
 * Chain `i` of 2 * n_slots as if the doubling were over; unmoved chains appear in the lower half.
 */
static struct wr_hash_node *wide_chain(const struct wr_hash *h, uint32_t i)
{
    uint32_t narrow = i & (h->n_slots - 1);

    if (h->wider != NULL && narrow < h->split)
        return h->wider[i];
    return i < h->n_slots ? h->slots[i] : NULL;
}

struct wr_hash_node *wr_hash_each(const struct wr_hash *h, struct wr_hash_iter *it)
{
    while (it->next == NULL && it->chain < 2 * h->n_slots)
        it->next = wide_chain(h, it->chain++);

    struct wr_hash_node *node = it->next;
    if (node != NULL)
        it->next = node->next;
    return node;
}
