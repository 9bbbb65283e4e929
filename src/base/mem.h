/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_MEM_H
#define WR_BASE_MEM_H

/* Short hands for the stack's allocator. Each may answer NULL; each free takes the size given. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "weir/alloc.h"

/* `size` uninitialised bytes, or NULL. */
static inline void *wr_mem_alloc(const struct weir_allocator *alloc, size_t size)
{
    return alloc->alloc(alloc->ctx, size);
}

/* `size` zero bytes, or NULL. */
static inline void *wr_mem_zalloc(const struct weir_allocator *alloc, size_t size)
{
    void *ptr = alloc->alloc(alloc->ctx, size);
    if (ptr != NULL)
        memset(ptr, 0, size);
    return ptr;
}

/* n elements of `size` bytes, uninitialised; NULL also when the product overflows. */
static inline void *wr_mem_array(const struct weir_allocator *alloc, size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / size)
        return NULL;
    return alloc->alloc(alloc->ctx, n * size);
}

/* Gives back `size` bytes; a NULL ptr is allowed. */
static inline void wr_mem_free(const struct weir_allocator *alloc, void *ptr, size_t size)
{
    if (ptr != NULL)
        alloc->free(alloc->ctx, ptr, size);
}

#endif
