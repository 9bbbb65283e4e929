/* SPDX-License-Identifier: MIT */
#include "base/list.h"

struct wr_list *wr_list_pop_front(struct wr_list *head)
{
    struct wr_list *node = wr_list_first(head);
    if (node != NULL)
        wr_list_remove(node);
    return node;
}
