/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_WORLD_H
#define DRILL_DR_WORLD_H

/* The stack under test, its clock, and what it has sent and nobody has looked at yet. */

#include <weir/weir.h>

#include "drill/dr_table.h"

/* A packet the stack sent. */
struct dr_sent {
    struct dr_sent *next;
    weir_time at;
    int ifindex;
    uint16_t gso_size; /* of a super-segment, 0 for any other */
    size_t len;
    uint8_t data[];
};

/* The host under test: one IP link, one address, a default route. */
struct dr_scene {
    struct weir_addr local, gateway;
    unsigned prefix_len; /* bits of the local address's family */
    uint32_t mtu;
    uint32_t gso_bytes; /* of the link; 0: it cuts nothing */
    uint8_t seed;       /* of the stack */
};

struct dr_world {
    struct weir_stack *stack;
    struct dr_table table; /* the program's descriptors */
    struct weir_addr local;
    uint32_t mtu;
    int ifindex; /* of the link to the scripted peer */
    int last_ifindex;
    weir_time start; /* the stack's time at the script's time 0 */
    weir_time now;
    struct dr_sent *first, **tail;
    const char *broken; /* not NULL: the stack broke its contract, and how */
};

/* Makes a stack with one IP link, its address and a default route. False: world->broken says why. */
bool wr_dr_world_init(struct dr_world *world, const struct dr_scene *scene);
void wr_dr_world_fini(struct dr_world *world);

/* A packet comes in, now; what it makes the stack send is not collected yet. */
void wr_dr_world_input(struct dr_world *world, int ifindex, const uint8_t *packet, size_t len);
/* Collects what the stack has to send now, and counts its events. */
void wr_dr_world_collect(struct dr_world *world);
/* Moves the clock to `limit`, or to the stack's next deadline if that comes before, and collects. */
void wr_dr_world_step(struct dr_world *world, weir_time limit);

/* Carries out what stands in backquotes (dr_command.c). answer[cap] is what it prints; false: what was
 * wrong. */
bool wr_dr_command_run(struct dr_world *world, const char *text, char *answer, size_t cap);

/* Takes the oldest packet off; NULL: none. The caller frees it with free(). */
struct dr_sent *wr_dr_world_take(struct dr_world *world);

#endif
