/* SPDX-License-Identifier: MIT */
/* Names and texts of the errors of include/weir/error.h. */
#include <stddef.h>

#include <weir/error.h>

struct error_row {
    int error;
    const char *name, *text;
};

static const struct error_row rows[] = {{WEIR_OK, "OK", "no error"},
#define X(name, text) {WEIR_##name, #name, text},
                                        WEIR_ERRORS(X)
#undef X
};

static const struct error_row *find(int error)
{
    static const struct error_row unknown = {0, "?", "?"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].error == error)
            return &rows[i];
    return &unknown;
}

const char *weir_error_name(int error)
{
    return find(error)->name;
}

const char *weir_error_text(int error)
{
    return find(error)->text;
}
