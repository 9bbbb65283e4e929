/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_TEXT_H
#define WR_BASE_TEXT_H

/*
 * Text into a caller's buffer without stdio. It counts on when the buffer is full, so that the
 * caller learns the length needed, as with snprintf; the buffer always ends in a NUL when cap > 0.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/addr.h"

struct wr_text {
    char *buf;
    size_t cap;
    size_t len; /* characters so far, without the NUL; may pass cap */
};

/* Starts an empty text in buf[cap]; buf may be NULL when cap is 0. */
void wr_text_init(struct wr_text *t, char *buf, size_t cap);

void wr_text_char(struct wr_text *t, char c);
void wr_text_str(struct wr_text *t, const char *s);

/* Decimal. */
void wr_text_u64(struct wr_text *t, uint64_t v);

/* Lower-case hex with at least `width` digits, no prefix. */
void wr_text_hex(struct wr_text *t, uint64_t v, unsigned width);

/* n bytes as hex, with `sep` between them unless it is 0. */
void wr_text_bytes(struct wr_text *t, const uint8_t *p, size_t n, char sep);

void wr_text_addr(struct wr_text *t, const struct weir_addr *a);

#endif
