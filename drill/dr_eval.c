/* SPDX-License-Identifier: MIT */
/*
 * Recursive descent, one function a level of precedence, from `or` down to atoms. A statement is
 * read and computed in one pass; the first error ends everything.
 */
#include "drill/dr_eval.h"

#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LEN = 64, DEPTH_MAX = 100 };

struct eval {
    const char *at;
    const struct dr_resolver *resolver;
    char *error;
    size_t cap;
    unsigned parens, depth; /* inside parentheses a newline is white space */
    jmp_buf failed;
};

static long double or_expr(struct eval *e);

static void fail(struct eval *e, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

static void fail(struct eval *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(e->error, e->cap, format, args);
    va_end(args);
    longjmp(e->failed, 1);
}

/* ---- words ----------------------------------------------------------------------------------- */

static void skip_space(struct eval *e)
{
    for (;; e->at++) {
        if (*e->at == '#')
            while (e->at[1] != '\0' && e->at[1] != '\n')
                e->at++;
        else if (*e->at == '\\' && e->at[1] == '\n')
            e->at++;
        else if (*e->at != ' ' && *e->at != '\t' && *e->at != '\r' &&
                 !(*e->at == '\n' && e->parens > 0))
            return;
    }
}

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool take(struct eval *e, const char *op)
{
    skip_space(e);
    size_t len = strlen(op);
    if (strncmp(e->at, op, len) != 0)
        return false;
    if (is_name_char(op[0]) && is_name_char(e->at[len]))
        return false;
    e->at += len;
    return true;
}

static void expect(struct eval *e, const char *op)
{
    if (!take(e, op))
        fail(e, "expected \"%s\" at \"%.20s\"", op, e->at);
}

static void open_paren(struct eval *e)
{
    e->parens++;
    if (++e->depth > DEPTH_MAX)
        fail(e, "nested too deeply");
}

static void close_paren(struct eval *e, const char *op)
{
    expect(e, op);
    e->parens--;
    e->depth--;
}

static bool name(struct eval *e, char text[NAME_MAX_LEN])
{
    skip_space(e);
    if (!isalpha((unsigned char)*e->at) && *e->at != '_')
        return false;
    size_t len = 0;
    while (is_name_char(e->at[len]))
        len++;
    if (len >= NAME_MAX_LEN)
        fail(e, "name too long");
    memcpy(text, e->at, len);
    text[len] = '\0';
    e->at += len;
    return true;
}

/* A string in either quote; its text goes to out (cut at cap). */
static bool string(struct eval *e, char *out, size_t cap)
{
    skip_space(e);
    char quote = *e->at;
    if (quote != '"' && quote != '\'')
        return false;
    size_t len = 0;
    for (e->at++; *e->at != quote; e->at++) {
        if (*e->at == '\0')
            fail(e, "string does not end");
        if (len + 1 < cap)
            out[len++] = *e->at;
    }
    e->at++;
    if (cap > 0)
        out[len] = '\0';
    return true;
}

/* ---- values ---------------------------------------------------------------------------------- */

static long double call(struct eval *e, const char *function)
{
    char arg[256];
    open_paren(e);
    const char *start = e->at;
    bool word = string(e, arg, sizeof arg);
    if (!word) {
        skip_space(e);
        size_t len = strcspn(e->at, ")");
        if (len > 0 && len < sizeof arg) {
            memcpy(arg, e->at, len);
            arg[len] = '\0';
            word = true;
            for (const char *c = arg; *c; c++)
                word = word && (is_name_char(*c) || *c == '.');
        }
        if (word)
            e->at += len;
    }
    long double value = 0;
    if (word && e->resolver->call && e->resolver->call(e->resolver->ctx, function, arg, &value)) {
        close_paren(e, ")");
        return value;
    }
    e->at = start;
    value = or_expr(e);
    if (strcmp(function, "abs") == 0) {
        value = fabsl(value);
    } else if (strcmp(function, "min") == 0 || strcmp(function, "max") == 0) {
        bool least = strcmp(function, "min") == 0;
        while (take(e, ",")) {
            long double other = or_expr(e);
            value = least == (other < value) ? other : value;
        }
    } else if (strcmp(function, "int") == 0) {
        value = truncl(value);
    } else {
        fail(e, "unknown function %s or argument", function);
    }
    close_paren(e, ")");
    return value;
}

static long double atom(struct eval *e)
{
    char text[NAME_MAX_LEN];
    skip_space(e);
    if (isdigit((unsigned char)*e->at) || (*e->at == '.' && isdigit((unsigned char)e->at[1]))) {
        char *end;
        long double value = strtold(e->at, &end);
        e->at = end;
        return value;
    }
    if (take(e, "(")) {
        open_paren(e);
        long double value = or_expr(e);
        close_paren(e, ")");
        return value;
    }
    if (!name(e, text))
        fail(e, "expected a value at \"%.20s\"", e->at);
    if (take(e, "("))
        return call(e, text);
    long double value;
    if (!e->resolver->name || !e->resolver->name(e->resolver->ctx, text, &value))
        fail(e, "unknown name %s", text);
    return value;
}

static long double unary(struct eval *e)
{
    if (++e->depth > DEPTH_MAX)
        fail(e, "nested too deeply");
    long double value;
    if (take(e, "-"))
        value = -unary(e);
    else if (take(e, "+"))
        value = unary(e);
    else if (take(e, "~"))
        value = (long double)~(int64_t)unary(e);
    else
        value = atom(e);
    e->depth--;
    return value;
}

static long double divisor(struct eval *e)
{
    long double value = unary(e);
    if (value == 0)
        fail(e, "division by zero");
    return value;
}

static long double product(struct eval *e)
{
    long double value = unary(e);
    for (;;) {
        if (take(e, "*")) {
            value *= unary(e);
        } else if (take(e, "//")) {
            value = floorl(value / divisor(e));
        } else if (take(e, "/")) {
            value /= divisor(e);
        } else if (take(e, "%")) {
            long double by = divisor(e);
            value -= by * floorl(value / by);
        } else {
            return value;
        }
    }
}

static long double sum(struct eval *e)
{
    long double value = product(e);
    for (;;) {
        if (take(e, "+"))
            value += product(e);
        else if (take(e, "-"))
            value -= product(e);
        else
            return value;
    }
}

static long double shift(struct eval *e)
{
    long double value = sum(e);
    for (;;) {
        bool left = take(e, "<<");
        if (!left && !take(e, ">>"))
            return value;
        value = ldexpl(value, (left ? 1 : -1) * (int)sum(e));
        if (!left)
            value = floorl(value);
    }
}

static long double bits(struct eval *e)
{
    long double value = shift(e);
    for (;;) {
        if (take(e, "&"))
            value = (long double)((int64_t)value & (int64_t)shift(e));
        else if (take(e, "^"))
            value = (long double)((int64_t)value ^ (int64_t)shift(e));
        else if (take(e, "|"))
            value = (long double)((int64_t)value | (int64_t)shift(e));
        else
            return value;
    }
}

/* value in (a, b) or [a, b] */
static bool member(struct eval *e, long double value)
{
    bool square = take(e, "[");
    const char *close = square ? "]" : ")";
    if (!square)
        expect(e, "(");
    open_paren(e);
    bool found = false;
    do {
        skip_space(e);
        if (*e->at == *close)
            break;
        found = bits(e) == value || found;
    } while (take(e, ","));
    close_paren(e, close);
    return found;
}

/* a < b <= c means a < b and b <= c. */
static long double comparison(struct eval *e)
{
    long double left = bits(e), right;
    bool compared = false, holds = true;
    for (;; left = right) {
        bool is = true;
        if (take(e, "not")) {
            expect(e, "in");
            return !member(e, left);
        }
        if (take(e, "in"))
            return member(e, left);
        if (take(e, "=="))
            is = left == (right = bits(e));
        else if (take(e, "!="))
            is = left != (right = bits(e));
        else if (take(e, "<="))
            is = left <= (right = bits(e));
        else if (take(e, ">="))
            is = left >= (right = bits(e));
        else if (take(e, "<"))
            is = left < (right = bits(e));
        else if (take(e, ">"))
            is = left > (right = bits(e));
        else
            return compared ? holds : left;
        compared = true;
        holds = holds && is;
    }
}

static long double not_expr(struct eval *e)
{
    if (take(e, "not"))
        return not_expr(e) == 0;
    return comparison(e);
}

static long double and_expr(struct eval *e)
{
    long double value = not_expr(e);
    while (take(e, "and")) {
        long double right = not_expr(e);
        value = value != 0 ? right : value;
    }
    return value;
}

static long double or_expr(struct eval *e)
{
    long double value = and_expr(e);
    while (take(e, "or")) {
        long double right = and_expr(e);
        value = value != 0 ? value : right;
    }
    return value;
}

/* ---- statements ------------------------------------------------------------------------------ */

/* A message or something to print: a string with or without % values, or a number. */
static void item(struct eval *e, char *text, size_t cap)
{
    if (!string(e, text, cap)) {
        snprintf(text, cap, "%.15Lg", or_expr(e));
        return;
    }
    if (!take(e, "%"))
        return;
    bool tuple = take(e, "(");
    if (tuple)
        open_paren(e);
    do {
        size_t len = strlen(text);
        snprintf(text + len, cap - len, " [%.15Lg]", tuple ? or_expr(e) : bits(e));
    } while (tuple && take(e, ","));
    if (tuple)
        close_paren(e, ")");
}

static void assert_statement(struct eval *e)
{
    skip_space(e);
    const char *start = e->at;
    bool holds = or_expr(e) != 0;
    const char *end = e->at;
    char message[256] = "";
    if (take(e, ","))
        item(e, message, sizeof message);
    if (!holds)
        fail(e, "assertion failed: %.*s%s%s", (int)(end - start), start, message[0] ? ": " : "",
             message);
}

static void print_statement(struct eval *e)
{
    char text[256];
    bool paren = take(e, "(");
    if (paren)
        open_paren(e);
    do {
        item(e, text, sizeof text);
        if (e->resolver->print)
            fprintf(e->resolver->print, "%s ", text);
    } while (take(e, ","));
    if (paren)
        close_paren(e, ")");
    if (e->resolver->print)
        fputc('\n', e->resolver->print);
}

static void assignment(struct eval *e)
{
    char text[NAME_MAX_LEN];
    const char *start = e->at;
    if (!name(e, text) || !take(e, "=") || *e->at == '=')
        fail(e, "expected assert, print, use or an assignment at \"%.20s\"", start);
    long double value = or_expr(e);
    if (!e->resolver->set || !e->resolver->set(e->resolver->ctx, text, value))
        fail(e, "cannot assign to %s", text);
}

static void statement(struct eval *e)
{
    if (take(e, "assert")) {
        assert_statement(e);
    } else if (take(e, "print")) {
        print_statement(e);
    } else if (take(e, "use")) {
        int fd = (int)atom(e);
        if (!e->resolver->use || !e->resolver->use(e->resolver->ctx, fd))
            fail(e, "use: no descriptor %d", fd);
    } else {
        assignment(e);
    }
}

bool wr_dr_eval(const char *code, const struct dr_resolver *resolver, char *error, size_t cap)
{
    struct eval e = {.at = code, .resolver = resolver, .error = error, .cap = cap};
    if (setjmp(e.failed) != 0)
        return false;
    for (;;) {
        skip_space(&e);
        if (*e.at == '\n' || *e.at == ';') {
            e.at++;
            continue;
        }
        if (*e.at == '\0')
            return true;
        statement(&e);
        skip_space(&e);
        if (*e.at != '\n' && *e.at != ';' && *e.at != '\0')
            fail(&e, "unexpected \"%.20s\"", e.at);
    }
}
