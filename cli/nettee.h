/* SPDX-License-Identifier: MIT */
/* Output of a program of `weir net` that is passed on and kept. */
#ifndef WEIR_NETTEE_H
#define WEIR_NETTEE_H

#include <weir/host.h>

struct net_tee {
    struct weir_loop *loop;
    int from, to, log; /* from: -1 when it has ended */
};

/* What is written to the end it returns, which the caller closes, goes to both descriptors; -1: it cannot be. */
int wr_nettee_open(struct net_tee *tee, struct weir_loop *loop, int to, int log);
/* Passes on what is left, without waiting. */
void wr_nettee_close(struct net_tee *tee);

#endif
