/* SPDX-License-Identifier: MIT */
#include "drill/dr_lex.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void wr_dr_lex_init(struct dr_lexer *lex, struct dr_script *script, const char *text, size_t len)
{
    memset(lex, 0, sizeof *lex);
    lex->script = script;
    lex->at = text;
    lex->end = text + len;
    lex->line = 1;
    lex->tok.line = 1;
}

bool wr_dr_lex_fail(struct dr_lexer *lex, const char *format, ...)
{
    struct dr_script *script = lex->script;
    if (script->error[0] != '\0')
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(script->error, sizeof script->error, format, args);
    va_end(args);
    script->line = lex->tok.line;
    return false;
}

bool wr_dr_lex_is_word(const struct dr_lexer *lex, const char *word)
{
    return lex->tok.kind == DR_TOK_WORD && strcmp(lex->tok.text, word) == 0;
}

static int peek(const struct dr_lexer *lex, size_t ahead)
{
    return (size_t)(lex->end - lex->at) > ahead ? (unsigned char)lex->at[ahead] : 0;
}

static void advance(struct dr_lexer *lex, size_t n)
{
    for (; n > 0 && lex->at < lex->end; n--, lex->at++)
        if (*lex->at == '\n')
            lex->line++;
}

static bool skip_block_comment(struct dr_lexer *lex)
{
    lex->tok.line = lex->line;
    advance(lex, 2);
    while (lex->at < lex->end && !(peek(lex, 0) == '*' && peek(lex, 1) == '/'))
        advance(lex, 1);
    if (lex->at == lex->end)
        return wr_dr_lex_fail(lex, "comment does not end");
    advance(lex, 2);
    return true;
}

/* White space, // to the end of the line, and block comments. */
static bool skip_space(struct dr_lexer *lex)
{
    while (lex->at < lex->end) {
        if (isspace(peek(lex, 0))) {
            advance(lex, 1);
        } else if (peek(lex, 0) == '/' && peek(lex, 1) == '/') {
            while (lex->at < lex->end && *lex->at != '\n')
                advance(lex, 1);
        } else if (peek(lex, 0) == '/' && peek(lex, 1) == '*') {
            if (!skip_block_comment(lex))
                return false;
        } else {
            break;
        }
    }
    return true;
}

static char unescape(struct dr_lexer *lex)
{
    char c = (char)peek(lex, 0);
    advance(lex, 1);
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case '0':
        return '\0';
    case 'x': {
        char digits[3] = {(char)peek(lex, 0), (char)peek(lex, 1), 0};
        advance(lex, 2);
        return (char)strtol(digits, NULL, 16);
    }
    default:
        return c;
    }
}

/* From an opening quote to the next one like it. */
static bool lex_quoted(struct dr_lexer *lex, enum dr_token_kind kind)
{
    char quote = (char)peek(lex, 0);
    advance(lex, 1);
    char *text = wr_dr_alloc(&lex->script->arena, (size_t)(lex->end - lex->at) + 1);
    size_t len = 0;
    while (lex->at < lex->end && *lex->at != quote) {
        if (*lex->at == '\\') {
            advance(lex, 1);
            text[len++] = unescape(lex);
        } else {
            text[len++] = *lex->at;
            advance(lex, 1);
        }
    }
    if (lex->at == lex->end)
        return wr_dr_lex_fail(lex, "%s does not end", quote == '`' ? "command" : "string");
    advance(lex, 1);
    lex->tok.kind = kind;
    lex->tok.text = text;
    lex->tok.len = len;
    return true;
}

static bool lex_code(struct dr_lexer *lex)
{
    advance(lex, 2);
    const char *start = lex->at;
    while (lex->at < lex->end && !(peek(lex, 0) == '}' && peek(lex, 1) == '%'))
        advance(lex, 1);
    if (lex->at == lex->end)
        return wr_dr_lex_fail(lex, "%%{ without }%%");
    lex->tok.kind = DR_TOK_CODE;
    lex->tok.text = wr_dr_strndup(&lex->script->arena, start, (size_t)(lex->at - start));
    advance(lex, 2);
    return true;
}

static void lex_option(struct dr_lexer *lex)
{
    advance(lex, 2);
    const char *start = lex->at;
    while (lex->at < lex->end && !isspace((unsigned char)*lex->at))
        advance(lex, 1);
    lex->tok.kind = DR_TOK_OPTION;
    lex->tok.text = wr_dr_strndup(&lex->script->arena, start, (size_t)(lex->at - start));
}

/* Digits from `at` on; false when they pass what a script may say. */
static bool digits_value(const char *at, size_t n, int64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < n; i++) {
        if (*value > (INT64_MAX - 9) / 10)
            return false;
        *value = *value * 10 + (at[i] - '0');
    }
    return true;
}

/* [-]digits, or [-][digits].digits */
static bool lex_number(struct dr_lexer *lex)
{
    bool negative = peek(lex, 0) == '-';
    if (negative)
        advance(lex, 1);
    size_t whole = 0;
    while (isdigit(peek(lex, whole)))
        whole++;
    int64_t value;
    if (!digits_value(lex->at, whole, &value))
        return wr_dr_lex_fail(lex, "number too large");
    lex->tok.text = wr_dr_strndup(&lex->script->arena, lex->at, whole);
    lex->tok.len = whole;
    advance(lex, whole);
    lex->tok.kind = DR_TOK_INT;
    if (value <= INT64_MAX / 2000000000)
        lex->tok.nano = value * 1000000000;
    if (peek(lex, 0) == '.' && isdigit(peek(lex, 1))) {
        advance(lex, 1);
        int64_t unit = 100000000;
        for (; isdigit(peek(lex, 0)); advance(lex, 1), unit /= 10)
            lex->tok.nano += (peek(lex, 0) - '0') * unit;
        lex->tok.kind = DR_TOK_FLOAT;
    }
    lex->tok.num = negative ? -value : value;
    if (negative)
        lex->tok.nano = -lex->tok.nano;
    return true;
}

static bool is_word_char(int c)
{
    return isalnum(c) || c == '_';
}

/* The value of a symbol that --define made stands in for it. */
static void substitute(struct dr_lexer *lex)
{
    for (const struct dr_define *d = lex->defines; d; d = d->next) {
        if (strcmp(d->name, lex->tok.text) != 0)
            continue;
        char *end;
        long long value = strtoll(d->value, &end, 0);
        size_t len = strlen(d->value);
        if (len >= 2 && (d->value[0] == '"' || d->value[0] == '`')) {
            lex->tok.kind = d->value[0] == '"' ? DR_TOK_STRING : DR_TOK_COMMAND;
            lex->tok.text = wr_dr_strndup(&lex->script->arena, d->value + 1, len - 2);
            lex->tok.len = len - 2;
        } else if (len > 0 && *end == '\0') {
            lex->tok.kind = DR_TOK_INT;
            lex->tok.num = value;
            lex->tok.nano = value * 1000000000;
        } else {
            lex->tok.text = d->value;
            lex->tok.len = len;
        }
        return;
    }
}

static bool lex_word(struct dr_lexer *lex)
{
    size_t n = 0;
    while (is_word_char(peek(lex, n)))
        n++;
    const char *start = lex->at;
    advance(lex, n);
    if (n > 2 && start[0] == '0' && start[1] == 'x') {
        lex->tok.kind = DR_TOK_HEX;
        lex->tok.text = wr_dr_strndup(&lex->script->arena, start + 2, n - 2);
        lex->tok.len = n - 2;
        for (size_t i = 2; i < n; i++)
            if (!isxdigit((unsigned char)start[i]))
                return wr_dr_lex_fail(lex, "bad digit in a hexadecimal number");
        lex->tok.num = n - 2 <= 15 ? (int64_t)strtoll(lex->tok.text, NULL, 16) : -1;
        return true;
    }
    lex->tok.kind = DR_TOK_WORD;
    lex->tok.text = wr_dr_strndup(&lex->script->arena, start, n);
    lex->tok.len = n;
    substitute(lex);
    return true;
}

/* A word that begins with a digit and is not a number: "1a2b". */
static bool digits_begin_word(const struct dr_lexer *lex)
{
    size_t n = 0;
    while (isdigit(peek(lex, n)))
        n++;
    return n > 0 && is_word_char(peek(lex, n));
}

bool wr_dr_lex_next(struct dr_lexer *lex)
{
    const char *before = lex->at;
    if (!skip_space(lex))
        return false;
    memset(&lex->tok, 0, sizeof lex->tok);
    lex->tok.line = lex->line;
    lex->tok.glued = lex->at == before;
    int c = peek(lex, 0), c1 = peek(lex, 1), c2 = peek(lex, 2);
    if (lex->at == lex->end) {
        lex->tok.kind = DR_TOK_END;
        return true;
    }
    if (c == '"')
        return lex_quoted(lex, DR_TOK_STRING);
    if (c == '`')
        return lex_quoted(lex, DR_TOK_COMMAND);
    if (c == '%' && c1 == '{')
        return lex_code(lex);
    if (c == '-' && c1 == '-' && is_word_char(c2)) {
        lex_option(lex);
        return true;
    }
    if (c == '.' && c1 == '.' && c2 == '.') {
        advance(lex, 3);
        lex->tok.kind = DR_TOK_ELLIPSIS;
        return true;
    }
    if (digits_begin_word(lex))
        return lex_word(lex);
    if (isdigit(c) || (c == '.' && isdigit(c1)) ||
        (c == '-' && (isdigit(c1) || (c1 == '.' && isdigit(c2)))))
        return lex_number(lex);
    if (is_word_char(c))
        return lex_word(lex);
    advance(lex, 1);
    lex->tok.kind = DR_TOK_CHAR;
    lex->tok.num = c;
    return true;
}
