/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_LEX_H
#define DRILL_DR_LEX_H

/*
 * Words of a script. A number that a letter follows is a word ("1a2b"), a dot that a digit follows
 * begins a number (".5"), three dots are an ellipsis. The parser looks one token ahead.
 */

#include <stdbool.h>
#include <stdint.h>

#include "drill/dr_script.h"

enum dr_token_kind {
    DR_TOK_END,
    DR_TOK_INT,      /* num; text is the digits */
    DR_TOK_FLOAT,    /* nano: the value in units of 1e-9 */
    DR_TOK_HEX,      /* 0x...: text is the digits behind the x, num their value if it fits */
    DR_TOK_WORD,     /* text */
    DR_TOK_STRING,   /* text with escapes resolved; may hold NULs, so see len */
    DR_TOK_COMMAND,  /* `text` */
    DR_TOK_CODE,     /* %{ text }% */
    DR_TOK_OPTION,   /* --text, up to white space */
    DR_TOK_ELLIPSIS, /* ... */
    DR_TOK_CHAR      /* num is the character */
};

struct dr_token {
    enum dr_token_kind kind;
    int64_t num, nano;
    const char *text;
    size_t len;
    unsigned line;
    bool glued; /* no white space before it */
};

struct dr_define {
    struct dr_define *next;
    const char *name, *value;
};

struct dr_lexer {
    struct dr_script *script;
    const char *at, *end;
    unsigned line;
    struct dr_define *defines; /* --define=NAME=VALUE */
    struct dr_token tok;       /* the one to be looked at */
};

void wr_dr_lex_init(struct dr_lexer *lex, struct dr_script *script, const char *text, size_t len);
/* Reads the next token into lex->tok. False, with script->error set, when there is none. */
bool wr_dr_lex_next(struct dr_lexer *lex);

static inline bool wr_dr_lex_is(const struct dr_lexer *lex, char c)
{
    return lex->tok.kind == DR_TOK_CHAR && lex->tok.num == c;
}
bool wr_dr_lex_is_word(const struct dr_lexer *lex, const char *word);

/* Records the first error at the current token's line; always false. */
bool wr_dr_lex_fail(struct dr_lexer *lex, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
