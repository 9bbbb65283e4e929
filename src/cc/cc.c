/* SPDX-License-Identifier: MIT */
#include "cc/cc_list.h"

#include <stddef.h>
#include <string.h>

static const struct weir_cc_ops *const algorithms[] = {&weir_cc_cubic, &weir_cc_reno};

const struct weir_cc_ops *wr_cc_at(unsigned i)
{
    return i < sizeof algorithms / sizeof algorithms[0] ? algorithms[i] : NULL;
}

const struct weir_cc_ops *wr_cc_find(const char *name)
{
    if (name[0] == '\0')
        return algorithms[0];
    for (unsigned i = 0; wr_cc_at(i) != NULL; i++) {
        if (strcmp(wr_cc_at(i)->name, name) == 0)
            return wr_cc_at(i);
    }
    return NULL;
}
