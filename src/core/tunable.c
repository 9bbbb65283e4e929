/* SPDX-License-Identifier: MIT */
/* Tunables by Linux's names. The list is tunable.def; code reads the fields of struct
 * wr_tunables. */
#include <string.h>

#include "core/core.h"

struct tunable {
    const char *name;
    size_t offset; /* of the field in struct wr_tunables */
    int64_t initial, lowest, highest;
};

static const struct tunable table[] = {
#define X(field, name, initial, lowest, highest)                                                   \
    {name, offsetof(struct wr_tunables, field), initial, lowest, highest},
#include "core/tunable.def"
#undef X
};

enum { N_TUNABLES = sizeof table / sizeof table[0] };

static const struct tunable *find(const char *name)
{
    for (size_t i = 0; i < N_TUNABLES; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

void wr_tunables_init(struct wr_tunables *tunables)
{
    for (size_t i = 0; i < N_TUNABLES; i++)
        memcpy((char *)tunables + table[i].offset, &table[i].initial, sizeof(int64_t));
}

int weir_sysctl_get(const struct weir_stack *stack, const char *name, int64_t *value)
{
    const struct tunable *tunable = find(name);
    if (tunable == NULL)
        return WEIR_ENOENT;
    memcpy(value, (const char *)&stack->tunables + tunable->offset, sizeof *value);
    return 0;
}

int weir_sysctl_set(struct weir_stack *stack, const char *name, int64_t value)
{
    const struct tunable *tunable = find(name);
    if (tunable == NULL)
        return WEIR_ENOENT;
    if (value < tunable->lowest || value > tunable->highest)
        return WEIR_EINVAL;
    memcpy((char *)&stack->tunables + tunable->offset, &value, sizeof value);
    return 0;
}

const char *weir_sysctl_name(unsigned n)
{
    return n < N_TUNABLES ? table[n].name : NULL;
}
