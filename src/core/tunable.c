/* SPDX-License-Identifier: MIT */
/*
 * Tunables by Linux's names. The list is tunable.def; code reads the fields of struct wr_tunables.
 *
 * Three kinds share one name space: integers, vectors that show several integers as one, and texts
 * whose value lives in the layer that uses it. That is why this file sees the entry header of TCP.
 */
#include <limits.h>
#include <string.h>

#include "core/core.h"
#include "tcp/tcp_entry.h"

enum { PARTS_MAX = 4 }; /* of a vector */

struct number {
    const char *name;
    size_t offset; /* of the field in struct wr_tunables */
    int64_t lowest, highest;
};

static const struct number numbers[] = {
#define X(field, name, initial, lowest, highest)                                                   \
    {name, offsetof(struct wr_tunables, field), lowest, highest},
#include "core/tunable.def"
#undef X
#undef VECTOR
#undef TEXT
};

static bool ascending(const int64_t *values)
{
    return values[0] <= values[1];
}

struct vector {
    const char *name;
    size_t offset; /* of the first part */
    unsigned count;
    bool (*check)(const int64_t *values);
};

static const struct vector vectors[] = {
#define VECTOR(name, field, count, check) {name, offsetof(struct wr_tunables, field), count, check},
#include "core/tunable.def"
#undef X
#undef VECTOR
#undef TEXT
};

struct words {
    const char *name;
    void (*read)(const struct weir_stack *stack, struct wr_text *text);
    int (*write)(struct weir_stack *stack, const char *text);
};

static const struct words texts[] = {
#define TEXT(name, read, write) {name, read, write},
#include "core/tunable.def"
#undef X
#undef VECTOR
#undef TEXT
};

enum {
    N_NUMBERS = sizeof numbers / sizeof numbers[0],
    N_VECTORS = sizeof vectors / sizeof vectors[0],
    N_TEXTS = sizeof texts / sizeof texts[0]
};

/* Beside the table, so that a program which names no tunable has no use for their names. */
void wr_tunables_init(struct wr_tunables *tunables)
{
    static const struct wr_tunables initial_values = {
#define X(field, name, initial, lowest, highest) .field = (initial),
#include "core/tunable.def"
#undef X
#undef VECTOR
#undef TEXT
    };
    *tunables = initial_values;
}

/* ---- finding --------------------------------------------------------------------------------- */

static const struct number *find_number(const char *name)
{
    for (size_t i = 0; i < N_NUMBERS; i++)
        if (strcmp(numbers[i].name, name) == 0)
            return &numbers[i];
    return NULL;
}

static const struct vector *find_vector(const char *name)
{
    for (size_t i = 0; i < N_VECTORS; i++)
        if (strcmp(vectors[i].name, name) == 0)
            return &vectors[i];
    return NULL;
}

static const struct words *find_text(const char *name)
{
    for (size_t i = 0; i < N_TEXTS; i++)
        if (strcmp(texts[i].name, name) == 0)
            return &texts[i];
    return NULL;
}

static const struct number *number_at(size_t offset)
{
    for (size_t i = 0; i < N_NUMBERS; i++)
        if (numbers[i].offset == offset)
            return &numbers[i];
    return NULL;
}

/* The vector that a number is a part of, or NULL. */
static const struct vector *whole_of(const struct number *number)
{
    for (size_t i = 0; i < N_VECTORS; i++)
        if (number->offset >= vectors[i].offset &&
            number->offset < vectors[i].offset + vectors[i].count * sizeof(int64_t))
            return &vectors[i];
    return NULL;
}

const char *weir_sysctl_name(unsigned n)
{
    for (size_t i = 0; i < N_NUMBERS; i++)
        if (whole_of(&numbers[i]) == NULL && n-- == 0)
            return numbers[i].name;
    if (n < N_VECTORS)
        return vectors[n].name;
    n -= N_VECTORS;
    return n < N_TEXTS ? texts[n].name : NULL;
}

/* ---- integers -------------------------------------------------------------------------------- */

static int64_t value_at(const struct weir_stack *stack, size_t offset)
{
    int64_t value;
    memcpy(&value, (const char *)&stack->tunables + offset, sizeof value);
    return value;
}

/* Sets the values of a vector, or the one of a number that is none's part (count 1), if all of them
 * are in their range and go together. */
static int commit(struct weir_stack *stack, size_t offset, const int64_t *values, unsigned count,
                  bool (*check)(const int64_t *values))
{
    for (unsigned i = 0; i < count; i++) {
        const struct number *part = number_at(offset + i * sizeof *values);
        if (part == NULL || values[i] < part->lowest || values[i] > part->highest)
            return WEIR_EINVAL;
    }
    if (check != NULL && !check(values))
        return WEIR_EINVAL;
    memcpy((char *)&stack->tunables + offset, values, count * sizeof *values);
    return 0;
}

int weir_sysctl_get(const struct weir_stack *stack, const char *name, int64_t *value)
{
    const struct number *number = find_number(name);
    if (number == NULL)
        return find_vector(name) || find_text(name) ? WEIR_EINVAL : WEIR_ENOENT;
    *value = value_at(stack, number->offset);
    return 0;
}

int weir_sysctl_set(struct weir_stack *stack, const char *name, int64_t value)
{
    const struct number *number = find_number(name);
    if (number == NULL)
        return find_vector(name) || find_text(name) ? WEIR_EINVAL : WEIR_ENOENT;
    const struct vector *whole = whole_of(number);
    if (whole == NULL)
        return commit(stack, number->offset, &value, 1, NULL);
    int64_t values[PARTS_MAX];
    memcpy(values, (const char *)&stack->tunables + whole->offset, whole->count * sizeof *values);
    values[(number->offset - whole->offset) / sizeof *values] = value;
    return commit(stack, whole->offset, values, whole->count, whole->check);
}

/* ---- their text ------------------------------------------------------------------------------ */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

static const char *skip_blanks(const char *p)
{
    while (is_blank(*p))
        p++;
    return p;
}

static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a') + 10 : UINT_MAX;
}

/* One integer as the kernel reads it: 10, 0xa, 012, -1. Returns what follows it, NULL when there is none
 * or it does not fit. */
static const char *parse_number(const char *p, int64_t *value)
{
    bool negative = *p == '-';
    unsigned base = 10;
    uint64_t v = 0;

    p += negative;
    if (*p == '0') {
        bool hex = (p[1] | 0x20) == 'x' && digit_of(p[2]) < 16;
        base = hex ? 16 : 8;
        p += hex ? 2 : 0;
    }
    if (digit_of(*p) >= base)
        return NULL;
    for (; digit_of(*p) < base; p++) {
        v = v * base + digit_of(*p);
        if (v > INT64_MAX / 32)
            return NULL; /* no tunable is nearly as large */
    }
    *value = negative ? -(int64_t)v : (int64_t)v;
    return *p == '\0' || is_blank(*p) ? p : NULL;
}

static int write_numbers(struct weir_stack *stack, size_t offset, unsigned count,
                         bool (*check)(const int64_t *values), const char *text)
{
    int64_t values[PARTS_MAX];
    unsigned n = 0;

    memcpy(values, (const char *)&stack->tunables + offset, count * sizeof *values);
    for (text = skip_blanks(text); *text != '\0'; text = skip_blanks(text)) {
        if (n == count || (text = parse_number(text, &values[n++])) == NULL)
            return WEIR_EINVAL;
    }
    return n == 0 ? WEIR_EINVAL : commit(stack, offset, values, count, check);
}

int weir_sysctl_write(struct weir_stack *stack, const char *name, const char *text)
{
    const struct number *number = find_number(name);
    const struct vector *vector = find_vector(name);
    const struct words *words = find_text(name);
    int64_t value;

    if (number != NULL) {
        const char *end = parse_number(skip_blanks(text), &value);
        if (end == NULL || *skip_blanks(end) != '\0')
            return WEIR_EINVAL;
        return weir_sysctl_set(stack, name, value);
    }
    if (vector != NULL)
        return write_numbers(stack, vector->offset, vector->count, vector->check, text);
    if (words == NULL)
        return WEIR_ENOENT;
    return words->write != NULL ? words->write(stack, text) : WEIR_EACCES;
}

static void add_number(struct wr_text *out, int64_t value)
{
    if (value < 0)
        wr_text_char(out, '-');
    wr_text_u64(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

ptrdiff_t weir_sysctl_read(const struct weir_stack *stack, const char *name, char *text, size_t cap)
{
    const struct number *number = find_number(name);
    const struct vector *vector = find_vector(name);
    const struct words *words = find_text(name);
    struct wr_text out;

    wr_text_init(&out, text, cap);
    if (number != NULL) {
        add_number(&out, value_at(stack, number->offset));
    } else if (vector != NULL) {
        for (unsigned i = 0; i < vector->count; i++) {
            if (i > 0)
                wr_text_char(&out, '\t');
            add_number(&out, value_at(stack, vector->offset + i * sizeof(int64_t)));
        }
    } else if (words != NULL) {
        words->read(stack, &out);
    } else {
        return WEIR_ENOENT;
    }
    return (ptrdiff_t)out.len;
}
