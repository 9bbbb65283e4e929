/* SPDX-License-Identifier: MIT */
#include "cc/cc_list.h"

#include <string.h>

#include <weir/error.h>

static const struct weir_cc_ops *const own[] = {&weir_cc_cubic, &weir_cc_reno, &weir_cc_bbr,
                                                &weir_cc_bbr3};

static bool has_blank(const char *name)
{
    for (; *name != '\0'; name++)
        if (*name <= ' ' || *name > '~')
            return true;
    return false;
}

int wr_cc_add(struct wr_cc_list *list, const struct weir_cc_ops *ops)
{
    if (ops->name == NULL || ops->name[0] == '\0' || strlen(ops->name) >= WEIR_CC_NAME_MAX ||
        has_blank(ops->name))
        return WEIR_EINVAL;
    if (ops->init == NULL || ops->on_ack == NULL || ops->on_congestion == NULL ||
        ops->on_rto == NULL)
        return WEIR_EINVAL;
    if (wr_cc_find(list, ops->name) != NULL)
        return WEIR_EEXIST;
    if (list->n == WR_CC_MAX)
        return WEIR_ENOMEM;
    list->allowed |= UINT32_C(1) << list->n;
    list->ops[list->n++] = ops;
    return 0;
}

void wr_cc_init(struct wr_cc_list *list)
{
    enum { N_OWN = sizeof own / sizeof own[0] };
    *list =
        (struct wr_cc_list){.preferred = own[0], .n = N_OWN, .allowed = (UINT32_C(1) << N_OWN) - 1};
    memcpy(list->ops, own, sizeof own);
}

const struct weir_cc_ops *wr_cc_find(const struct wr_cc_list *list, const char *name)
{
    if (name[0] == '\0')
        return list->preferred;
    for (unsigned i = 0; i < list->n; i++)
        if (strcmp(list->ops[i]->name, name) == 0)
            return list->ops[i];
    return NULL;
}

static const char *skip_blanks(const char *p)
{
    while (*p != '\0' && *p <= ' ')
        p++;
    return p;
}

/* The place of the algorithm named at *p, which moves behind the name and blanks; list->n: unknown. */
static unsigned take_name(const struct wr_cc_list *list, const char **p)
{
    const char *name = *p;
    size_t len = 0;
    unsigned i;

    while (name[len] > ' ')
        len++;
    for (i = 0; i < list->n; i++)
        if (strncmp(list->ops[i]->name, name, len) == 0 && list->ops[i]->name[len] == '\0')
            break;
    *p = skip_blanks(name + len);
    return i;
}

int wr_cc_allow(struct wr_cc_list *list, const char *names)
{
    uint32_t allowed = 0;

    for (names = skip_blanks(names); *names != '\0';) {
        unsigned i = take_name(list, &names);
        if (i == list->n)
            return WEIR_ENOENT;
        allowed |= UINT32_C(1) << i;
    }
    list->allowed = allowed;
    return 0;
}

int wr_cc_prefer(struct wr_cc_list *list, const char *name)
{
    unsigned i;

    name = skip_blanks(name);
    i = take_name(list, &name);
    if (i == list->n || *name != '\0')
        return WEIR_ENOENT;
    list->preferred = list->ops[i];
    list->allowed |= UINT32_C(1) << i;
    return 0;
}
