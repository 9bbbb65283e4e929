/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_HASH_H
#define WR_BASE_HASH_H

/*
 * An intrusive hash table for keys that a peer may choose. Keys are hashed with SipHash-2-4 under a
 * secret, so that nobody outside can aim for one chain. The table knows hashes, not keys: a lookup
 * walks the nodes of equal 64-bit hash and the caller compares.
 *
 *     for (n = wr_hash_first(h, hash); n != NULL; n = wr_hash_next(n))
 *         if (same(WR_CONTAINER(n, struct conn, node), key)) ...
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/alloc.h"

struct wr_hash_node {
    struct wr_hash_node *next; /* in its chain */
    uint64_t hash;
};

enum { WR_HASH_LEVELS = 30 };

/* Chains in one piece. */
struct wr_hash_level {
    struct wr_hash_node **chains;
    uint32_t begin; /* number of the first */
};

struct wr_hash {
    const struct weir_allocator *alloc;
    struct wr_hash_level level[WR_HASH_LEVELS];
    uint32_t n_chains; /* in all levels; 0 until the first insert */
    uint32_t mask;     /* the bits that may tell a chain: k + 1 */
    uint32_t count;    /* nodes held */
    uint32_t limit;    /* nodes at most */
    uint8_t key[16];
};

/* Walks over all nodes, see wr_hash_each. */
struct wr_hash_iter {
    uint32_t chain;
    struct wr_hash_node *next;
};

/* Makes an empty table of at most `limit` nodes under a secret key. Allocates nothing. */
void wr_hash_init(struct wr_hash *h, const struct weir_allocator *alloc, const uint8_t key[16],
                  uint32_t limit);

/* Frees the table's own memory. Nodes belong to their owners and are not touched. */
void wr_hash_fini(struct wr_hash *h);

/* The hash (SipHash-2-4) of `len` bytes under a secret key: who does not know it cannot choose bytes for their hash. */
uint64_t wr_hash_keyed(const uint8_t key[16], const void *data, size_t len);
/* The hash of `len` bytes under the table's key. Padding inside a struct key must be zero. */
uint64_t wr_hash_of(const struct wr_hash *h, const void *key, size_t len);

/*
 * Adds a node that is in no table under `hash`. Equal hashes are allowed: newest first. False when
 * the limit is reached or there is no memory for the first chains; a table that cannot grow still
 * takes nodes, in longer chains.
 */
bool wr_hash_insert(struct wr_hash *h, struct wr_hash_node *node, uint64_t hash);

/* Takes out a node that is in the table. */
void wr_hash_remove(struct wr_hash *h, struct wr_hash_node *node);

/* Puts `node`, which is in no table, in the place and under the hash of `old`, which is taken out. */
void wr_hash_replace(struct wr_hash *h, struct wr_hash_node *old, struct wr_hash_node *node);

/* The first node of this hash, or NULL. */
struct wr_hash_node *wr_hash_first(const struct wr_hash *h, uint64_t hash);

/* The next node of the same hash, or NULL. */
struct wr_hash_node *wr_hash_next(const struct wr_hash_node *node);

/*
 * Gives each node once, in no meaningful order, then NULL; start from a zeroed iterator. The node
 * given last may be removed (and freed) meanwhile; no other change of the table is allowed.
 */
struct wr_hash_node *wr_hash_each(const struct wr_hash *h, struct wr_hash_iter *it);

#endif
