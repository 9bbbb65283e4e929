/* SPDX-License-Identifier: MIT */
#ifndef LAB_WORDS_SPLIT_H
#define LAB_WORDS_SPLIT_H

/*
 * Statements as a shell splits them: blanks, 'single' and "double" quotes, backslash, # for comments, a
 * backslash at the end of a line continues it. Nothing is expanded. The files of `weir net` and of
 * `weir lab` are made of such statements.
 */
#include <stdbool.h>
#include <stddef.h>

/* Splits the statement at *text (up to the end of its line) into words; *text moves behind it, *line
 * counts the lines passed. The words are one allocation each and NULL-terminated. False when a quote is not
 * closed, or out of memory. */
bool wr_words_split(const char **text, int *line, char ***words, size_t *n_words);
void wr_words_free(char **words);

#endif
