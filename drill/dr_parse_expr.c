/* SPDX-License-Identifier: MIT */
/* Arguments and results of socket calls: numbers, symbols, strings, lists, structs. */
#include <string.h>

#include "drill/dr_parse.h"

const struct dr_expr *wr_dr_expr_field(const struct dr_expr *expr, const char *name)
{
    for (size_t i = 0; i < expr->n_items; i++)
        if (expr->items[i]->name && strcmp(expr->items[i]->name, name) == 0)
            return expr->items[i];
    return NULL;
}

static struct dr_expr *new_expr(struct dr_lexer *lex, enum dr_expr_kind kind)
{
    struct dr_expr *expr = wr_dr_alloc(&lex->script->arena, sizeof *expr);
    expr->kind = kind;
    expr->text = lex->tok.text;
    expr->len = lex->tok.len;
    expr->num = lex->tok.num;
    return expr;
}

static void append(struct dr_lexer *lex, struct dr_expr *expr, struct dr_expr *item)
{
    if ((expr->n_items & (expr->n_items - 1)) == 0) {
        size_t room = expr->n_items == 0 ? 1 : 2 * expr->n_items;
        struct dr_expr **items = wr_dr_alloc(&lex->script->arena, room * sizeof(struct dr_expr *));
        if (expr->n_items > 0)
            memcpy(items, expr->items, expr->n_items * sizeof(struct dr_expr *));
        expr->items = items;
    }
    expr->items[expr->n_items++] = item;
}

/* name = value, name(n) = value, or a value alone. */
static bool parse_field(struct dr_lexer *lex, struct dr_expr **field)
{
    if (!wr_dr_parse_expr(lex, true, field))
        return false;
    bool named = (*field)->kind == DR_EXPR_WORD || (*field)->kind == DR_EXPR_FUNC;
    if (!named || !wr_dr_lex_is(lex, '='))
        return true;
    const char *name = (*field)->text;
    if (!wr_dr_lex_next(lex) || !wr_dr_parse_expr(lex, true, field))
        return false;
    (*field)->name = name;
    return true;
}

/* Items up to `close`, whose opening is the current token. */
static bool parse_items(struct dr_lexer *lex, struct dr_expr *expr, char close)
{
    if (!wr_dr_lex_next(lex))
        return false;
    while (!wr_dr_lex_is(lex, close)) {
        struct dr_expr *item;
        if (expr->n_items > 0 && !wr_dr_parse_char(lex, ','))
            return false;
        if (!parse_field(lex, &item))
            return false;
        append(lex, expr, item);
    }
    return wr_dr_lex_next(lex);
}

/* Strings that follow each other are one. */
static bool parse_strings(struct dr_lexer *lex, struct dr_expr **out)
{
    struct dr_expr *expr = new_expr(lex, DR_EXPR_STRING);
    *out = expr;
    if (!wr_dr_lex_next(lex))
        return false;
    while (lex->tok.kind == DR_TOK_STRING) {
        char *joined = wr_dr_alloc(&lex->script->arena, expr->len + lex->tok.len + 1);
        memcpy(joined, expr->text, expr->len);
        memcpy(joined + expr->len, lex->tok.text, lex->tok.len);
        expr->text = joined;
        expr->len += lex->tok.len;
        if (!wr_dr_lex_next(lex))
            return false;
    }
    return true;
}

static bool parse_word(struct dr_lexer *lex, bool functions, struct dr_expr **out)
{
    *out = new_expr(lex, DR_EXPR_WORD);
    if (!wr_dr_lex_next(lex))
        return false;
    if (!functions || !wr_dr_lex_is(lex, '('))
        return true;
    (*out)->kind = DR_EXPR_FUNC;
    return parse_items(lex, *out, ')');
}

static bool parse_primary(struct dr_lexer *lex, bool functions, struct dr_expr **out)
{
    switch (lex->tok.kind) {
    case DR_TOK_ELLIPSIS:
        *out = new_expr(lex, DR_EXPR_ELLIPSIS);
        return wr_dr_lex_next(lex);
    case DR_TOK_INT:
    case DR_TOK_HEX:
        *out = new_expr(lex, DR_EXPR_INT);
        return wr_dr_lex_next(lex);
    case DR_TOK_STRING:
        return parse_strings(lex, out);
    case DR_TOK_WORD:
        return parse_word(lex, functions, out);
    default:
        break;
    }
    if (wr_dr_lex_is(lex, '[')) {
        *out = new_expr(lex, DR_EXPR_LIST);
        return parse_items(lex, *out, ']');
    }
    if (wr_dr_lex_is(lex, '{')) {
        *out = new_expr(lex, DR_EXPR_STRUCT);
        return parse_items(lex, *out, '}');
    }
    return wr_dr_lex_fail(lex, "expected a value");
}

bool wr_dr_parse_expr(struct dr_lexer *lex, bool functions, struct dr_expr **expr)
{
    if (!parse_primary(lex, functions, expr))
        return false;
    while (wr_dr_lex_is(lex, '|')) {
        struct dr_expr *both = new_expr(lex, DR_EXPR_OR), *right = NULL;
        if (!wr_dr_lex_next(lex) || !parse_primary(lex, functions, &right))
            return false;
        append(lex, both, *expr);
        append(lex, both, right);
        *expr = both;
    }
    return true;
}
