/* SPDX-License-Identifier: MIT */
/*
 * The stack's memory: the user's allocator with a count and a bound. Everything above allocates
 * here, so that weir_mem_bytes() is the whole truth and mem_max_bytes holds for all of it.
 *
 * A connection takes a block for the first bytes of a stream and gives it back with the last, which in an
 * exchange of short messages is twice a packet. A few blocks of that size are therefore kept when they come back,
 * and counted as held; they go when memory is short, or when no connection is awake (wr_alloc_trim). Where
 * an address sanitizer watches none is kept, so that it sees each use of what was given back.
 */
#include <string.h>

#include <sodium/crypto_shorthash.h>

#include "base/ring.h"
#include "core/core.h"

enum { SPARES = WR_SPARES(16) };

static bool exceeds(const struct weir_stack *stack, size_t size)
{
    return stack->mem_max_bytes != 0 && (stack->mem_bytes > stack->mem_max_bytes ||
                                         size > stack->mem_max_bytes - stack->mem_bytes);
}

static void *take(struct weir_stack *stack, size_t size)
{
    if (exceeds(stack, size)) {
        wr_alloc_trim(stack);
        if (exceeds(stack, size))
            return NULL;
    }
    void *ptr = stack->user_alloc.alloc(stack->user_alloc.ctx, size);
    if (ptr != NULL)
        stack->mem_bytes += size;
    return ptr;
}

static void *counted_alloc(void *ctx, size_t size)
{
    struct weir_stack *stack = ctx;
    struct wr_spare *spare = stack->spares;
    if (size != WR_RING_FIRST || spare == NULL)
        return take(stack, size);
    stack->spares = spare->next;
    stack->n_spares--;
    return spare;
}

static void counted_free(void *ctx, void *ptr, size_t size)
{
    struct weir_stack *stack = ctx;
    if (size == WR_RING_FIRST && stack->n_spares < SPARES) {
        struct wr_spare *spare = ptr;
        spare->next = stack->spares;
        stack->spares = spare;
        stack->n_spares++;
        return;
    }
    stack->mem_bytes -= size;
    stack->user_alloc.free(stack->user_alloc.ctx, ptr, size);
}

void wr_alloc_trim(struct weir_stack *stack)
{
    while (stack->spares != NULL) {
        struct wr_spare *spare = stack->spares;
        stack->spares = spare->next;
        stack->mem_bytes -= WR_RING_FIRST;
        stack->user_alloc.free(stack->user_alloc.ctx, spare, WR_RING_FIRST);
    }
    stack->n_spares = 0;
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

void *wr_zalloc(struct weir_stack *stack, size_t size)
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
