/* SPDX-License-Identifier: MIT */
/* Why a connection is slow or broken: findings, each with its share of time and its evidence. */
#ifndef SIGHT_JUDGE_H
#define SIGHT_JUDGE_H

#include "sight/sight_flow.h"

/* X(NAME, name, is it a fault?). In the order in which they are told. */
#define SIGHT_CAUSES(X)                                                                            \
    X(SYN_UNANSWERED, syn_unanswered, true)                                                        \
    X(REFUSED, refused, true)                                                                      \
    X(UNREACHABLE, unreachable, true)                                                              \
    X(ACCEPT_QUEUE, accept_queue_full, true)                                                       \
    X(RESET, reset, true)                                                                          \
    X(UNANSWERED, unanswered, true)                                                                \
    X(BLACK_HOLE, mtu_black_hole, true)                                                            \
    X(ZERO_WINDOW, zero_window, true)                                                              \
    X(LOSS, loss, true)                                                                            \
    X(SPURIOUS, spurious_retransmission, true)                                                     \
    X(REORDERING, reordering, true)                                                                \
    X(NAGLE_DELACK, nagle_against_delayed_ack, true)                                               \
    X(WINDOW, window_limited, true)                                                                \
    X(CWND, cwnd_limited, false)                                                                   \
    X(PACING, pacing_limited, false)                                                               \
    X(APP, application_limited, false)

enum sight_cause {
#define SIGHT_ENUM(name, word, fault) SIGHT_##name,
    SIGHT_CAUSES(SIGHT_ENUM)
#undef SIGHT_ENUM
        SIGHT_CAUSE_COUNT
};

enum { SIGHT_EVIDENCE = 8, SIGHT_FINDINGS = 24 };

struct sight_finding {
    enum sight_cause cause;
    int side;                        /* of the data's sender, of who did it; -1: of none */
    uint64_t ns;                     /* of time that it took; 0: not to be told */
    uint32_t n;                      /* occurrences */
    uint32_t of;                     /* of so many segments; 0: not to be told */
    uint32_t number[SIGHT_EVIDENCE]; /* packets, the first ones */
    unsigned n_numbers;
    char detail[256]; /* what else is known, a part of a sentence; "" */
};

struct sight_verdict {
    uint64_t began, ended; /* of the connection, as far as it was captured */
    uint64_t bytes[2];     /* of data that each side has sent, once */
    uint32_t segments[2];  /* with data */
    uint64_t rtt;          /* the shortest seen; 0: not known */
    bool annotated;        /* by comments of ours */
    struct sight_finding findings[SIGHT_FINDINGS];
    unsigned n_findings;
};

/* Judges one connection. False: out of memory. */
bool sight_judge(const struct sight_flow *flow, struct sight_verdict *verdict);
/* Is there no fault among the findings? */
bool sight_is_healthy(const struct sight_verdict *verdict);
const char *sight_cause_name(enum sight_cause cause);

#endif
