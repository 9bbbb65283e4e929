/* SPDX-License-Identifier: MIT */
#ifndef LAB_CONFIG_H
#define LAB_CONFIG_H

/*
 * How each kind of node is set up, and what it counts: plain data, for those who describe a network
 * and those who read its results.
 */

#include <stdbool.h>
#include <stdint.h>

#include <weir/time.h>

/* All probabilities are in units of 2^-32, so that runs repeat on every machine. */
#define LAB_ONE (UINT64_C(1) << 32)

/* Why a packet did not come through. */
#define LAB_CAUSES(X)                                                                              \
    X(QUEUE_FULL, "queue_full")                                                                    \
    X(AQM, "aqm")                                                                                  \
    X(LOSS, "loss")                                                                                \
    X(ACK_LOSS, "ack_loss")                                                                        \
    X(POLICER, "policer")                                                                          \
    X(NO_ROUTE, "no_route")                                                                        \
    X(NO_MEMORY, "no_memory")                                                                      \
    X(RULE, "rule")                                                                                \
    X(TOO_BIG, "too_big")

enum lab_cause {
#define X(name, text) LAB_##name,
    LAB_CAUSES(X)
#undef X
        LAB_N_CAUSES
};

/* The name of a cause as reports have it. */
const char *wr_lab_cause_name(enum lab_cause cause);

struct lab_delay_config {
    weir_time delay;
    weir_time jitter;     /* uniform in -jitter..+jitter */
    bool jitter_reorders; /* let jitter change the order; else a packet waits for the one before */
    uint64_t reorder;     /* chance that a packet is held back by reorder_delay more */
    weir_time reorder_delay; /* displacement */
    weir_time stall_at,
        stall_for; /* since the start: nothing comes out, then all at once; 0: none */
};

struct lab_loss_config {
    bool acks_only;   /* look at pure ACKs alone */
    uint64_t loss;    /* of each packet: random loss, or in the good state of the burst model */
    uint64_t to_bad;  /* Gilbert-Elliott: chance to enter the bad state with this packet; 0: none */
    uint64_t to_good; /* and to leave it */
    uint64_t loss_in_bad; /* of each packet in the bad state */
    uint64_t every;       /* not 0: exactly each n-th packet with data, nothing else */
    uint64_t first, last; /* not 0: exactly these packets with data, counted from 1 */
};

struct lab_policer_config {
    uint64_t rate_bps;    /* bits per second, not 0 */
    uint64_t burst_bytes; /* the bucket's depth; full at the start */
};

/* "drop syn 1", "dup data 2 30s", "delay data 5-7 20ms", "corrupt data 1": what is done, to which packets of
 * which class, counted from 1. */
enum lab_rule_action { LAB_RULE_DROP, LAB_RULE_DUP, LAB_RULE_DELAY, LAB_RULE_CORRUPT };
enum lab_rule_class {
    LAB_CLASS_DATA,   /* TCP segments with data */
    LAB_CLASS_SYN,    /* SYN without ACK */
    LAB_CLASS_SYNACK, /* SYN with ACK */
    LAB_CLASS_ACK,    /* ACK and nothing else */
    LAB_CLASS_FIN,
    LAB_CLASS_RST,
    LAB_CLASS_FRAME /* every packet */
};

struct lab_rule {
    enum lab_rule_action action;
    enum lab_rule_class of;
    uint64_t first, last;
    weir_time delay; /* of what is delayed, or of the second copy */
};

enum { LAB_RULES_MAX = 16 };

struct lab_rules_config {
    unsigned n_rules;
    struct lab_rule rule[LAB_RULES_MAX];
};

enum lab_queue_kind { LAB_DROPTAIL, LAB_RED, LAB_CODEL };

struct lab_red_config {
    uint32_t min_packets, max_packets; /* thresholds of the average; 0 < min < max */
    uint64_t max_p;                    /* chance at max_packets, in 2^-32 */
    unsigned weight_log2; /* the average moves by 2^-this of the difference; 9: 0.002 */
};

struct lab_codel_config {
    weir_time target, interval; /* RFC 8289 5.3: 5 ms, 100 ms; interval up to 4 s */
    uint32_t mtu;               /* MAXPACKET: no drop while no more than this is queued */
};

struct lab_queue_config {
    enum lab_queue_kind kind;
    uint32_t limit_packets; /* 0: none */
    uint64_t limit_bytes;   /* 0: none */
    bool ecn;
    uint64_t rate_bps; /* of the link behind: RED ages its average while idle; 0: does not */
    struct lab_red_config red;
    struct lab_codel_config codel;
};

struct lab_queue_stats {
    uint64_t in_packets, in_bytes;   /* taken in */
    uint64_t out_packets, out_bytes; /* handed to the link */
    uint64_t dropped_full, dropped_aqm, marked;
    uint32_t max_packets;
    uint64_t max_bytes;
    weir_time sojourn_sum, sojourn_max; /* of what was handed out */
    weir_time busy;                     /* time with at least one packet queued */
};

#endif
