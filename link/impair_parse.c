/* SPDX-License-Identifier: MIT */
/*
 * The language of impairments.
 *
 *     text   = *( word (" " | ",") )
 *     word   = ("delay=" | "jitter=" | "reorder-delay=" | "stall-at=" | "stall=") time
 *            | ("loss=" | "dup=" | "corrupt=" | "reorder=" | "burst=" | "burst-end=" | "ack-loss=") part
 *            | ("rate=" | "police=") number unit
 *            | ("queue=" | "bucket=" | "seed=") number | "rules='" rules "'"
 *            | "rules=" rules                    (as the last word)
 *     part   = number "%" | number           (0..1)
 *     time   = number ("ns" | "us" | "ms" | "s")
 *     unit   = "bit" | "kbit" | "mbit" | "gbit"
 *     rules  = rule *( ";" rule )
 *     rule   = ["in" | "out"] action class range [time]
 *     range  = number | number "-" number | number "-"
 *
 * Numbers are decimal, with a fraction where that makes sense; no locale has a say.
 */
#include <stddef.h>
#include <string.h>

#include "link/impair_parse.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool ends_word(char c)
{
    return c == '\0' || c == ' ' || c == ',' || c == '\t' || c == '\n' || c == '\'' || c == ';';
}

/* A decimal number; *at moves past it. */
static bool read_number(const char **at, double *value)
{
    const char *p = *at;
    double v = 0, scale = 1;
    if (!is_digit(*p))
        return false;
    while (is_digit(*p))
        v = v * 10 + (*p++ - '0');
    if (*p == '.' && is_digit(p[1]))
        for (p++; is_digit(*p); p++)
            v += (*p - '0') * (scale /= 10);
    *at = p;
    *value = v;
    return true;
}

static bool read_integer(const char **at, uint64_t *value)
{
    const char *p = *at;
    uint64_t v = 0;
    if (!is_digit(*p))
        return false;
    for (; is_digit(*p); p++) {
        if (v > (UINT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (uint64_t)(*p - '0');
    }
    *at = p;
    *value = v;
    return true;
}

struct unit {
    const char *name;
    double factor;
};

/* A number and one of the units, which must end the word. */
static bool read_unit(const char **at, const struct unit *units, double *value)
{
    if (!read_number(at, value))
        return false;
    for (; units->name; units++) {
        size_t n = strlen(units->name);
        if (strncmp(*at, units->name, n) == 0 && ends_word((*at)[n])) {
            *at += n;
            *value *= units->factor;
            return true;
        }
    }
    return false;
}

static bool read_time(const char **at, weir_time *value)
{
    static const struct unit units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {NULL, 0}};
    double v;
    if (!read_unit(at, units, &v) || v > 1e15)
        return false;
    *value = (weir_time)(v + 0.5);
    return true;
}

static bool read_rate(const char **at, uint64_t *value)
{
    static const struct unit units[] = {
        {"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {NULL, 0}};
    double v;
    if (!read_unit(at, units, &v) || v < 1 || v > 1e15)
        return false;
    *value = (uint64_t)(v + 0.5);
    return true;
}

static bool read_part(const char **at, double *value)
{
    static const struct unit units[] = {{"%", 0.01}, {"", 1}, {NULL, 0}};
    return read_unit(at, units, value) && *value <= 1;
}

/* ---- rules -------------------------------------------------------------------------------------- */

static void skip_blanks(const char **at)
{
    while (**at == ' ' || **at == '\t' || **at == '\n')
        (*at)++;
}

/* Takes the next word if it is one of the names; its index, or -1 and *at stays. */
static int read_name(const char **at, const char *const *names)
{
    skip_blanks(at);
    for (int i = 0; names[i]; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(*at, names[i], n) == 0 && ends_word((*at)[n])) {
            *at += n;
            return i;
        }
    }
    return -1;
}

static bool read_range(const char **at, uint64_t *first, uint64_t *last)
{
    skip_blanks(at);
    if (!read_integer(at, first) || *first == 0)
        return false;
    *last = *first;
    if (**at == '-') {
        (*at)++;
        *last = UINT64_MAX;
        if (is_digit(**at) && !read_integer(at, last))
            return false;
    }
    return *last >= *first && ends_word(**at);
}

int wr_impair_rule_next(const char **text, struct wr_impair_rule *rule)
{
    static const char *const directions[] = {"out", "in", NULL};
    static const char *const actions[] = {"drop", "dup", "delay", "corrupt", NULL};
    static const char *const classes[] = {"frame", "data", "syn", "synack",
                                          "ack",   "fin",  "rst", NULL};
    skip_blanks(text);
    while (**text == ';') {
        (*text)++;
        skip_blanks(text);
    }
    if (**text == '\0' || **text == '\'')
        return 0;
    *rule = (struct wr_impair_rule){.directions = WEIR_IMPAIR_BOTH};
    int direction = read_name(text, directions);
    if (direction >= 0)
        rule->directions = direction == 0 ? WEIR_IMPAIR_OUT : WEIR_IMPAIR_IN;
    int action = read_name(text, actions);
    int class = action < 0 ? -1 : read_name(text, classes);
    if (class < 0 || !read_range(text, &rule->first, &rule->last))
        return WEIR_EINVAL;
    rule->action = (enum wr_impair_action)action;
    rule->of = (enum wr_impair_class) class;
    skip_blanks(text);
    if (rule->action == WR_DELAY && !read_time(text, &rule->delay))
        return WEIR_EINVAL;
    skip_blanks(text);
    return **text == ';' || **text == '\0' || **text == '\'' ? 1 : WEIR_EINVAL;
}

/* ---- weir_impair_parse -------------------------------------------------------------------------- */

/* The value of rules='...': kept where it is, its quote being its end. A shell may have taken the
 * quotes off: then the rules go on to the end of the text. */
static bool read_rules(const char **at, const char **rules)
{
    struct wr_impair_rule rule;
    int rc;
    char end = **at == '\'' ? '\'' : '\0';
    if (end)
        (*at)++;
    *rules = *at;
    while ((rc = wr_impair_rule_next(at, &rule)) == 1)
        ;
    if (rc != 0 || **at != end)
        return false;
    *at += end != '\0';
    return true;
}

static bool read_u32(const char **at, uint32_t *value)
{
    uint64_t v;
    if (!read_integer(at, &v) || v == 0 || v > UINT32_MAX)
        return false;
    *value = (uint32_t)v;
    return true;
}

/* What a word's value is, and where in the configuration it goes. */
enum value_kind { TIME, PART, RATE, U32, U64, RULES };

struct word {
    const char *key;
    enum value_kind kind;
    size_t offset;
};

static bool read_value(const struct word *word, const char **at, struct weir_impair_config *config)
{
    void *field = (char *)config + word->offset;
    switch (word->kind) {
    case TIME:
        return read_time(at, field);
    case PART:
        return read_part(at, field);
    case RATE:
        return read_rate(at, field);
    case U32:
        return read_u32(at, field);
    case U64:
        return read_integer(at, field);
    default:
        return read_rules(at, field);
    }
}

static bool read_word(const char **at, struct weir_impair_config *config)
{
#define FIELD(name) offsetof(struct weir_impair_config, name)
    static const struct word words[] = {
        {"delay=", TIME, FIELD(delay)},
        {"jitter=", TIME, FIELD(jitter)},
        {"loss=", PART, FIELD(loss)},
        {"dup=", PART, FIELD(duplicate)},
        {"corrupt=", PART, FIELD(corrupt)},
        {"reorder=", PART, FIELD(reorder)},
        {"reorder-delay=", TIME, FIELD(reorder_delay)},
        {"rate=", RATE, FIELD(rate_bps)},
        {"queue=", U32, FIELD(queue_frames)},
        {"burst=", PART, FIELD(burst)},
        {"burst-end=", PART, FIELD(burst_end)},
        {"ack-loss=", PART, FIELD(ack_loss)},
        {"police=", RATE, FIELD(police_bps)},
        {"bucket=", U32, FIELD(police_bytes)},
        {"stall-at=", TIME, FIELD(stall_at)},
        {"stall=", TIME, FIELD(stall)},
        {"seed=", U64, FIELD(seed)},
        {"rules=", RULES, FIELD(rules)},
    };
#undef FIELD
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(*at, words[i].key, strlen(words[i].key)) == 0) {
            *at += strlen(words[i].key);
            return read_value(&words[i], at, config) && ends_word(**at) && **at != '\'' &&
                   **at != ';';
        }
    return false;
}

int weir_impair_parse(const char *text, struct weir_impair_config *config, const char **bad)
{
    const char *at = text;
    for (;;) {
        while (*at == ' ' || *at == ',' || *at == '\t' || *at == '\n')
            at++;
        if (*at == '\0')
            return 0;
        const char *word = at;
        if (!read_word(&at, config)) {
            *bad = word;
            return WEIR_EINVAL;
        }
    }
}
