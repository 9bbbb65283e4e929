/* SPDX-License-Identifier: MIT */
/* The congestion control algorithms there are. */
#ifndef WR_CC_LIST_H
#define WR_CC_LIST_H

#include <weir/cc.h>

/* The algorithm of a name, "" being the default; NULL when there is none. */
const struct weir_cc_ops *wr_cc_find(const char *name);
/* The i-th, NULL beyond the last. The first is the default. */
const struct weir_cc_ops *wr_cc_at(unsigned i);

#endif
