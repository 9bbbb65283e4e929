/* SPDX-License-Identifier: MIT */
/* Names and texts of the errors of include/weir/error.h. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <weir/error.h>

/* The errors, and in the same order their names and their texts, each with its NUL: without pointers, which would
 * take more room than the words. */
static const int16_t errors[] = {WEIR_OK,
#define X(name, text) WEIR_##name,
                                 WEIR_ERRORS(X)
#undef X
};

static const char names[] = "OK\0"
#define X(name, text) #name "\0"
    WEIR_ERRORS(X)
#undef X
        "?";

static const char texts[] = "no error\0"
#define X(name, text) text "\0"
    WEIR_ERRORS(X)
#undef X
        "?";

/* The word at the error's place, or the one behind the last. */
static const char *find(const char *word, int error)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0] && errors[i] != error; i++)
        word += strlen(word) + 1;
    return word;
}

const char *weir_error_name(int error)
{
    return find(names, error);
}

const char *weir_error_text(int error)
{
    return find(texts, error);
}
