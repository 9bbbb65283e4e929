/* SPDX-License-Identifier: MIT */
/* The fixture of tests that need two hosts joined by a wire without faults: `sim`, made anew for each test. */
#ifndef SIM_PAIR_H
#define SIM_PAIR_H

#include "sim/sim.h"

static struct sim sim;

static int setup(void **state)
{
    (void)state;
    sim_init(&sim, 1);
    sim_host(&sim, NULL);
    sim_host(&sim, NULL);
    sim_join(&sim, 0, 1, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_free(&sim);
    return 0;
}

#endif
