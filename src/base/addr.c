/* SPDX-License-Identifier: MIT */
/* Addresses to and from text: RFC 4291 2.2 (what is read), RFC 5952 4 (what is written). */
#include "weir/addr.h"

#include "base/bytes.h"
#include "base/text.h"

/* A decimal number up to 255 without leading zeros; moves *at behind it. */
static bool read_octet(const char **at, uint8_t *out)
{
    const char *s = *at;
    unsigned v = 0, digits = 0;

    for (; *s >= '0' && *s <= '9'; s++, digits++) {
        if (digits > 0 && v == 0)
            return false;
        v = v * 10 + (unsigned)(*s - '0');
        if (v > 255)
            return false;
    }
    *at = s;
    *out = (uint8_t)v;
    return digits > 0;
}

/* Four octets with dots up to the end of the text. */
static bool read_quad(const char *s, uint8_t out[4])
{
    for (int i = 0; i < 4; i++) {
        if (i > 0 && *s++ != '.')
            return false;
        if (!read_octet(&s, &out[i]))
            return false;
    }
    return *s == '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One to four hex digits; moves *at behind them. */
static bool read_group(const char **at, uint16_t *out)
{
    const char *s = *at;
    unsigned v = 0, digits = 0;

    for (; hex_digit(*s) >= 0; s++) {
        if (++digits > 4)
            return false;
        v = v << 4 | (unsigned)hex_digit(*s);
    }
    *at = s;
    *out = (uint16_t)v;
    return digits > 0;
}

/* Puts the `n` bytes read at both sides of "::", which stood behind the first `gap`, in place. */
static bool spread(const uint8_t read[16], size_t n, size_t gap, uint8_t out[16])
{
    if (gap > n)
        return n == 16 && (memcpy(out, read, 16), true);
    if (n > 14) /* "::" stands for at least one group */
        return false;
    memset(out, 0, 16);
    memcpy(out, read, gap);
    memcpy(out + 16 - (n - gap), read + gap, n - gap);
    return true;
}

static bool read_v6(const char *s, uint8_t out[16])
{
    const size_t no_gap = 17;
    uint8_t read[16];
    size_t n = 0, gap = no_gap;

    if (s[0] == ':') {
        if (s[1] != ':')
            return false;
        gap = 0;
        s += 2;
    }
    while (*s != '\0') {
        const char *group = s;
        uint16_t v;
        if (n == 16 || !read_group(&s, &v))
            return false;
        if (*s == '.') {
            if (n > 12 || !read_quad(group, read + n))
                return false;
            n += 4;
            break;
        }
        put_be16(read + n, v);
        n += 2;
        if (*s == '\0')
            break;
        if (*s++ != ':')
            return false;
        if (*s == ':') {
            if (gap != no_gap)
                return false;
            gap = n;
            s++;
        } else if (*s == '\0') {
            return false;
        }
    }
    return spread(read, n, gap, out);
}

bool weir_addr_parse(const char *text, struct weir_addr *out)
{
    uint8_t b[16];

    if (read_quad(text, b))
        *out = weir_addr_from_v4_bytes(b);
    else if (read_v6(text, b))
        *out = weir_addr_from_v6_bytes(b);
    else
        return false;
    return true;
}

static void write_quad(struct wr_text *t, const uint8_t *p)
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            wr_text_char(t, '.');
        wr_text_u64(t, p[i]);
    }
}

/* The longest run of two or more zero groups, the first of equals (RFC 5952 4.2). */
static void longest_zeros(const struct weir_addr *a, int *first, int *end)
{
    *first = *end = -1;
    for (int i = 0; i < 8;) {
        int j = i;
        while (j < 8 && get_be16(a->b + 2 * j) == 0)
            j++;
        if (j - i >= 2 && j - i > *end - *first) {
            *first = i;
            *end = j;
        }
        i = j + 1;
    }
}

static void write_v6(struct wr_text *t, const struct weir_addr *a)
{
    int first, end;

    longest_zeros(a, &first, &end);
    for (int i = 0; i < 8; i++) {
        if (i == first) {
            wr_text_str(t, "::");
            i = end - 1;
            continue;
        }
        if (i > 0 && i != end)
            wr_text_char(t, ':');
        wr_text_hex(t, get_be16(a->b + 2 * i), 1);
    }
}

static void write_addr(struct wr_text *t, const struct weir_addr *a)
{
    if (weir_addr_is_v4(a))
        write_quad(t, a->b + 12);
    else
        write_v6(t, a);
}

size_t weir_addr_format(const struct weir_addr *a, char *buf, size_t cap)
{
    struct wr_text t;

    wr_text_init(&t, buf, cap);
    write_addr(&t, a);
    return t.len;
}

size_t weir_endpoint_format(const struct weir_endpoint *e, char *buf, size_t cap)
{
    struct wr_text t;
    bool v4 = weir_addr_is_v4(&e->addr);

    wr_text_init(&t, buf, cap);
    if (!v4)
        wr_text_char(&t, '[');
    write_addr(&t, &e->addr);
    wr_text_str(&t, v4 ? ":" : "]:");
    wr_text_u64(&t, e->port);
    return t.len;
}
