/* SPDX-License-Identifier: MIT */
/* What the files that judge share. */
#ifndef SIGHT_INT_H
#define SIGHT_INT_H

#include "sight/sight_judge.h"

enum { F_FIN = 1, F_SYN = 2, F_RST = 4, F_ACK = 16 };

#define SIGHT_MS UINT64_C(1000000)

/* One direction of data: what `side` sends and the other acknowledges. */
struct sight_way {
    const struct sight_flow *flow;
    struct sight_verdict *verdict;
    int side;
    uint64_t
        rtt; /* shortest, the capture's place to the receiver and back, and to the sender and back */
    uint64_t lag; /* from an ACK here to what the sender sends because of it */
    uint32_t mss; /* largest segment seen */
};

/* The finding of a cause and side, made when it is not there. */
struct sight_finding *sight_find(struct sight_verdict *verdict, enum sight_cause cause, int side);
/* Another occurrence, which packet `number` shows (0: none in particular). */
void sight_note(struct sight_verdict *verdict, enum sight_cause cause, int side, uint32_t number,
                uint64_t ns);
/* A packet of `side` as position in its stream: from 0, the SYN not counted. */
uint64_t sight_position(const struct sight_way *way, uint32_t seq, uint64_t near);
/* Bytes of the window that a segment announces. */
uint64_t sight_window(const struct sight_flow *flow, const struct sight_segment *segment);

/* sight_open.c: how the connection began and ended. */
void sight_judge_ends(const struct sight_flow *flow, struct sight_verdict *verdict);
/* sight_loss.c: losses, reordering, what was sent in vain, black holes. False: out of memory. */
bool sight_judge_losses(struct sight_way *way);
/* sight_wait.c: what the sender waited for; zero windows. */
void sight_judge_waits(struct sight_way *way);

#endif
