/* SPDX-License-Identifier: MIT */
/*
 * The stack's memory: the user's allocator with a count and a bound. Everything above allocates
 * here, so that weir_mem_bytes() is the whole truth and mem_max_bytes holds for all of it.
 *
 * A connection takes a block for the first bytes of a stream and gives it back with the last, which in an
 * exchange of short messages is twice a packet; one that comes and goes takes a few small ones (its options, its
 * sending side's state, packets without data); and a transfer that its reader keeps up with takes and gives back
 * one large array for each burst, which many allocators fetch from the system and return each time, page by page. A
 * few blocks of the first size, of the small sizes, and the few large ones that came back last, are therefore kept and
 * counted as held;
 * they go when memory is short, or when no connection is awake (wr_alloc_trim). Where an address sanitizer watches
 * none is kept, so that it sees each use of what was given back.
 */
#include <string.h>

#include <sodium/crypto_shorthash.h>

#include "base/hint.h"
#include "base/ring.h"
#include "core/core.h"

enum {
    SPARES = WR_SPARES(16),
    SMALL_MIN = 64, /* bytes */
    SMALL_MAX = 1024,
    SMALL_SPARES = WR_SPARES(8), /* of each size */
    LARGE_SPARES = WR_SPARES(WR_LARGE_SPARES),
    LARGE_MIN = 64 << 10, /* bytes */
    LARGE_MAX = 1 << 20
};

static bool exceeds(const struct weir_stack *stack, size_t size)
{
    return stack->mem_max_bytes != 0 && (stack->mem_bytes > stack->mem_max_bytes ||
                                         size > stack->mem_max_bytes - stack->mem_bytes);
}

/* The kept block of just this size, which is now the caller's, or NULL. */
static void *take_large(struct weir_stack *stack, size_t size)
{
    for (int i = 0; i < LARGE_SPARES; i++) {
        struct wr_large_spare *spare = &stack->large_spares[i];
        if (spare->size == size) {
            spare->size = 0;
            return spare->block;
        }
    }
    return NULL;
}

static void give_back(struct weir_stack *stack, void *ptr, size_t size)
{
    stack->mem_bytes -= size;
    stack->user_alloc.free(stack->user_alloc.ctx, ptr, size);
}

/* Keeps a block in place of the one that was kept longest. */
static void keep_large(struct weir_stack *stack, void *ptr, size_t size)
{
    struct wr_large_spare *spare = &stack->large_spares[stack->next_large];

    stack->next_large = (stack->next_large + 1) % WR_LARGE_SPARES;
    if (spare->size > 0)
        give_back(stack, spare->block, spare->size);
    *spare = (struct wr_large_spare){.block = ptr, .size = size};
}

/* Where blocks of a small size are kept; two sizes may share it, then one of them at a time. */
static struct wr_small_spares *small_of(struct weir_stack *stack, size_t size)
{
    return &stack->small_spares[size / 8 % WR_SMALL_SPARES];
}

static void *take_small(struct wr_small_spares *small)
{
    struct wr_spare *spare = small->first;
    small->first = spare->next;
    small->n--;
    return spare;
}

static bool keep_small(struct wr_small_spares *small, void *ptr, size_t size)
{
    struct wr_spare *spare = ptr;
    if (small->n == 0)
        small->size = (uint32_t)size;
    if (small->size != size || small->n >= SMALL_SPARES)
        return false;
    spare->next = small->first;
    small->first = spare;
    small->n++;
    return true;
}

/* A block of a size of which none is kept. */
WR_APART void *take(struct weir_stack *stack, size_t size)
{
    void *ptr = size >= LARGE_MIN ? take_large(stack, size) : NULL;
    if (ptr != NULL)
        return ptr;
    if (exceeds(stack, size)) {
        wr_alloc_trim(stack);
        if (exceeds(stack, size))
            return NULL;
    }
    ptr = stack->user_alloc.alloc(stack->user_alloc.ctx, size);
    if (ptr != NULL)
        stack->mem_bytes += size;
    return ptr;
}

static void *counted_alloc(void *ctx, size_t size)
{
    struct weir_stack *stack = ctx;
    struct wr_small_spares *small;
    struct wr_spare *spare = stack->spares;

    if (size == WR_RING_FIRST && spare != NULL) {
        stack->spares = spare->next;
        stack->n_spares--;
        return spare;
    }
    small = small_of(stack, size);
    return small->size == size && small->n > 0 ? take_small(small) : take(stack, size);
}

/* A block of which there is no place to be kept, unless it is a large one. */
WR_APART void give_back_or_keep(struct weir_stack *stack, void *ptr, size_t size)
{
    if (LARGE_SPARES > 0 && size >= LARGE_MIN && size <= LARGE_MAX)
        keep_large(stack, ptr, size);
    else
        give_back(stack, ptr, size);
}

static void counted_free(void *ctx, void *ptr, size_t size)
{
    struct weir_stack *stack = ctx;
    struct wr_spare *spare = ptr;

    if (size == WR_RING_FIRST && stack->n_spares < SPARES) {
        spare->next = stack->spares;
        stack->spares = spare;
        stack->n_spares++;
        return;
    }
    if (size < SMALL_MIN || size > SMALL_MAX || !keep_small(small_of(stack, size), ptr, size))
        give_back_or_keep(stack, ptr, size);
}

void wr_alloc_trim(struct weir_stack *stack)
{
    while (stack->spares != NULL) {
        struct wr_spare *spare = stack->spares;
        stack->spares = spare->next;
        give_back(stack, spare, WR_RING_FIRST);
    }
    stack->n_spares = 0;
    for (int i = 0; i < WR_SMALL_SPARES; i++) {
        struct wr_small_spares *small = &stack->small_spares[i];
        while (small->n > 0)
            give_back(stack, take_small(small), small->size);
    }
    for (int i = 0; i < LARGE_SPARES; i++) {
        struct wr_large_spare *spare = &stack->large_spares[i];
        if (spare->size > 0)
            give_back(stack, spare->block, spare->size);
        spare->size = 0;
    }
}

void wr_alloc_init(struct weir_stack *stack, const struct weir_config *config)
{
    stack->user_alloc = config->alloc;
    stack->alloc.alloc = counted_alloc;
    stack->alloc.free = counted_free;
    stack->alloc.ctx = stack;
    stack->mem_bytes = sizeof *stack;
    stack->mem_max_bytes = config->mem_max_bytes;
}

void wr_alloc_fini(struct weir_stack *stack)
{
    struct weir_allocator user = stack->user_alloc;
    wr_alloc_trim(stack);
    memset(stack, 0, sizeof *stack); /* the secret, too */
    user.free(user.ctx, stack, sizeof *stack);
}

void wr_free(struct weir_stack *stack, void *ptr, size_t size)
{
    if (ptr)
        stack->alloc.free(stack->alloc.ctx, ptr, size);
}

/* Not in line: with a size that is known some compilers clear word by word. */
__attribute__((noinline)) void *wr_zalloc(struct weir_stack *stack, size_t size)
{
    void *ptr = wr_alloc(stack, size);
    if (ptr != NULL)
        memset(ptr, 0, size);
    return ptr;
}

size_t weir_mem_bytes(const struct weir_stack *stack)
{
    return stack->mem_bytes;
}

/* Each half of the secret keys SipHash over the purpose's name: two halves of the new key. */
void wr_derive_key(const struct weir_stack *stack, const char *purpose, uint8_t key[16])
{
    size_t len = strlen(purpose);
    const uint8_t *text = (const uint8_t *)purpose;
    crypto_shorthash(key, text, len, stack->secret);
    crypto_shorthash(key + 8, text, len, stack->secret + 16);
}

_Static_assert(crypto_shorthash_BYTES == 8 && crypto_shorthash_KEYBYTES == 16, "SipHash-2-4");

void wr_table_init(struct weir_stack *stack, struct wr_hash *table, const char *purpose,
                   uint32_t limit)
{
    uint8_t key[16];
    wr_derive_key(stack, purpose, key);
    wr_hash_init(table, &stack->alloc, key, limit);
}
