/* SPDX-License-Identifier: MIT */
/* Words as a shell splits them. */
#include <stdlib.h>
#include <string.h>

#include "lab/words.h"

/* One word that grows. `open`: it has begun, though it may be empty (""). */
struct word {
    char *text;
    size_t len, cap;
    bool open, failed;
};

static void word_add(struct word *word, char c)
{
    word->open = true;
    if (word->len + 2 > word->cap) {
        size_t cap = word->cap ? word->cap * 2 : 32;
        char *text = realloc(word->text, cap);
        if (!text) {
            word->failed = true;
            return;
        }
        word->text = text;
        word->cap = cap;
    }
    word->text[word->len++] = c;
    word->text[word->len] = '\0';
}

static bool words_add(char ***words, size_t *n, struct word *word)
{
    if (!word->open)
        return true;
    char **more = realloc(*words, (*n + 2) * sizeof **words);
    char *text = word->text ? word->text : calloc(1, 1);
    if (more) {
        *words = more;
        more[*n] = NULL;
    }
    if (!more || !text || word->failed) {
        free(text);
        memset(word, 0, sizeof *word);
        return false;
    }
    (*words)[(*n)++] = text;
    (*words)[*n] = NULL;
    memset(word, 0, sizeof *word);
    return true;
}

/* From behind the opening quote to behind the closing one; NULL if there is none. */
static const char *quoted(const char *p, char quote, int *line, struct word *word)
{
    word->open = true;
    for (; *p && *p != quote; p++) {
        if (quote == '"' && *p == '\\' && p[1] && strchr("\"\\$`\n", p[1])) {
            p++;
            if (*p == '\n') {
                ++*line;
                continue;
            }
        }
        *line += *p == '\n';
        word_add(word, *p);
    }
    return *p ? p + 1 : NULL;
}

/* Behind a backslash: the next character itself, or nothing if the line goes on in the next. */
static const char *escaped(const char *p, int *line, struct word *word)
{
    if (*p == '\n') {
        ++*line;
        return p + 1;
    }
    if (!*p)
        return p;
    word_add(word, *p);
    return p + 1;
}

static const char *split(const char *p, int *line, char ***words, size_t *n, struct word *word)
{
    while (p && *p && *p != '\n') {
        if (*p == '#' && !word->open) {
            p += strcspn(p, "\n");
        } else if (*p == ' ' || *p == '\t' || *p == '\r') {
            if (!words_add(words, n, word))
                return NULL;
            p++;
        } else if (*p == '\'' || *p == '"') {
            p = quoted(p + 1, *p, line, word);
        } else if (*p == '\\') {
            p = escaped(p + 1, line, word);
        } else {
            word_add(word, *p++);
        }
    }
    return p;
}

bool wr_words_split(const char **text, int *line, char ***words, size_t *n_words)
{
    struct word word = {0};
    *words = NULL;
    *n_words = 0;
    const char *p = split(*text, line, words, n_words, &word);
    if (!p || !words_add(words, n_words, &word)) {
        free(word.text);
        wr_words_free(*words);
        *words = NULL;
        return false;
    }
    if (*p == '\n') {
        p++;
        ++*line;
    }
    *text = p;
    return true;
}

void wr_words_free(char **words)
{
    for (char **w = words; w && *w; w++)
        free(*w);
    free(words);
}
