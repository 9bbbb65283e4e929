/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_WORLD_H
#define DRILL_DR_WORLD_H

/* The stack under test, its clock, and what it has sent and nobody has looked at yet. */

#include <weir/weir.h>

#include "drill/dr_script.h"

/* A packet the stack sent. */
struct dr_sent {
    struct dr_sent *next;
    weir_time at;
    int ifindex;
    uint16_t gso_size; /* of a super-segment, 0 for any other */
    size_t len;
    uint8_t data[];
};

struct dr_world {
    struct weir_stack *stack;
    int ifindex; /* of the link to the scripted peer */
    int last_ifindex;
    weir_time start; /* the stack's time at the script's time 0 */
    weir_time now;
    struct dr_sent *first, **tail;
    const char *broken; /* not NULL: the stack broke its contract, and how */
};

/* Makes a stack with one IP link, its address and a default route. False: world->broken says why. */
bool wr_dr_world_init(struct dr_world *world, const struct dr_script *script);
void wr_dr_world_fini(struct dr_world *world);

/* A packet comes in, now; what it makes the stack send is not collected yet. */
void wr_dr_world_input(struct dr_world *world, int ifindex, const uint8_t *packet, size_t len);
/* Collects what the stack has to send now. */
void wr_dr_world_collect(struct dr_world *world);
/* Moves the clock to `limit`, or to the stack's next deadline if that comes before, and collects. */
void wr_dr_world_step(struct dr_world *world, weir_time limit);

/* Takes the oldest packet off; NULL: none. The caller frees it with free(). */
struct dr_sent *wr_dr_world_take(struct dr_world *world);

#endif
