/* SPDX-License-Identifier: MIT */
#include "base/text.h"

void wr_text_init(struct wr_text *t, char *buf, size_t cap)
{
    t->buf = buf;
    t->cap = cap;
    t->len = 0;
    if (cap > 0)
        buf[0] = '\0';
}

void wr_text_char(struct wr_text *t, char c)
{
    if (t->len + 1 < t->cap) {
        t->buf[t->len] = c;
        t->buf[t->len + 1] = '\0';
    }
    t->len++;
}

void wr_text_str(struct wr_text *t, const char *s)
{
    while (*s != '\0')
        wr_text_char(t, *s++);
}

/* At least `width` digits of `v`, most significant first. */
static void number(struct wr_text *t, uint64_t v, unsigned base, unsigned width)
{
    char digits[20]; /* 2^64 - 1 in decimal */
    unsigned n = 0;

    do {
        digits[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v > 0);
    for (unsigned i = n; i < width; i++)
        wr_text_char(t, '0');
    while (n > 0)
        wr_text_char(t, digits[--n]);
}

void wr_text_u64(struct wr_text *t, uint64_t v)
{
    number(t, v, 10, 1);
}

void wr_text_hex(struct wr_text *t, uint64_t v, unsigned width)
{
    number(t, v, 16, width);
}

void wr_text_bytes(struct wr_text *t, const uint8_t *p, size_t n, char sep)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && sep != '\0')
            wr_text_char(t, sep);
        wr_text_hex(t, p[i], 2);
    }
}

void wr_text_addr(struct wr_text *t, const struct weir_addr *a)
{
    char buf[WEIR_ADDR_STRLEN];

    (void)weir_addr_format(a, buf, sizeof buf);
    wr_text_str(t, buf);
}
