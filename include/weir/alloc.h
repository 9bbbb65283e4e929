/* SPDX-License-Identifier: MIT */
#ifndef WEIR_ALLOC_H
#define WEIR_ALLOC_H

/*
 * Where a stack gets its memory. There is no other allocation in the core. Out of memory is a
 * normal path: a NULL from `alloc` makes the one operation fail that needed it, and nothing else.
 */

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_allocator {
    /* `size` bytes (> 0), uninitialised, aligned as malloc() aligns; NULL when out of memory. */
    void *(*alloc)(void *ctx, size_t size);
    /* Gives back what `alloc` gave; `size` is the size asked for then. `ptr` is never NULL. */
    void (*free)(void *ctx, void *ptr, size_t size);
    void *ctx; /* passed to both */
};

#ifdef __cplusplus
}
#endif

#endif
