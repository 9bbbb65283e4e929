/* SPDX-License-Identifier: MIT */
/* A run of bytes that somebody else owns. */
#ifndef WEIR_SPAN_H
#define WEIR_SPAN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_span {
    const uint8_t *ptr;
    size_t len;
};

/* The same, to be written. */
struct weir_piece {
    uint8_t *ptr;
    size_t len;
};

#ifdef __cplusplus
}
#endif
#endif
