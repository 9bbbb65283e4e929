/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_PARSE_H
#define DRILL_DR_PARSE_H

/* The parser's parts, each of which reads from the lexer's current token on. False: script->error. */

#include "drill/dr_lex.h"

/* Takes the current token if it is this character, else fails saying what was expected. */
bool wr_dr_parse_char(struct dr_lexer *lex, char c);
/* A whole number within [low, high], decimal or hexadecimal. */
bool wr_dr_parse_int(struct dr_lexer *lex, const char *what, int64_t low, int64_t high,
                     int64_t *value);
/* 0x... into bytes. */
bool wr_dr_parse_blob(struct dr_lexer *lex, const uint8_t **bytes, size_t *len);

/* `<` or `>` and what follows of a packet. */
bool wr_dr_parse_packet(struct dr_lexer *lex, struct dr_packet **packet);

/* One argument of a socket call, or one result. */
bool wr_dr_parse_expr(struct dr_lexer *lex, bool functions, struct dr_expr **expr);

#endif
