/* SPDX-License-Identifier: MIT */
/* The congestion control algorithms of a stack: Weir's own and those registered from outside. */
#ifndef WR_CC_LIST_H
#define WR_CC_LIST_H

#include <weir/cc.h>

enum { WR_CC_MAX = 32 };

struct wr_cc_list {
    const struct weir_cc_ops *ops[WR_CC_MAX];
    unsigned n;
    uint32_t allowed;                    /* bit i: ops[i] may be chosen by a socket */
    const struct weir_cc_ops *preferred; /* what "" stands for */
};

/* Weir's own algorithms; CUBIC is preferred, all are allowed. */
void wr_cc_init(struct wr_cc_list *list);
/* As weir_cc_register(). */
int wr_cc_add(struct wr_cc_list *list, const struct weir_cc_ops *ops);
/* The algorithm of a name, "" being the preferred one; NULL when there is none. */
const struct weir_cc_ops *wr_cc_find(const struct wr_cc_list *list, const char *name);
/* Names with blanks between: they alone are allowed from now on. WEIR_ENOENT: one is unknown, and nothing
 * changed. */
int wr_cc_allow(struct wr_cc_list *list, const char *names);
/* One name, blanks around it: it is preferred, and allowed as on Linux. WEIR_ENOENT likewise. */
int wr_cc_prefer(struct wr_cc_list *list, const char *name);

#endif
