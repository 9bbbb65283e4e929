/* SPDX-License-Identifier: MIT */
#ifndef LAB_LAB_H
#define LAB_LAB_H

/*
 * The laboratory: whole Weir stacks on a network that exists only in virtual time, to see what TCP
 * does there, and to see the same again.
 *
 *     struct lab_scenario scenario;
 *     wr_lab_scenario_default(&scenario);
 *     wr_lab_scenario_word(&scenario, "rate=10mbit", &why) ...
 *     struct lab *lab;
 *     wr_lab_new(&scenario, &lab);
 *     wr_lab_run(lab);
 *     ... wr_lab_flow(lab, 0)->goodput_bps ..., wr_lab_json(lab)
 *     wr_lab_free(lab);
 *
 * What is laid out, for the data's direction and for the ACKs' (nodes that a scenario does not ask for
 * are left out):
 *
 *     sender 0 --[access]--+                                                       +-- receiver 0
 *     sender 1 --[access]--+--[policer]--[loss]--[bottleneck + queue]--[delay]--<--+-- receiver 1
 *        ...                                                                             ...
 *     all senders ---<--[delay]--[link + queue]--[loss]--[ACK loss]--[policer]---<--- all receivers
 *
 * A `path` has one sender and one receiver host that share all flows; a `dumbbell` has a pair of hosts
 * for each flow, and can give each pair a round trip of its own. Hosts are struct weir_stack, driven by
 * the four calls and by nothing else; senders speak over the public socket calls. lab_node.h tells how
 * nodes and time work.
 *
 * Everything follows from the scenario, its seed among it: two runs give the same bytes of JSON, on
 * every machine. `trace` in the results is a hash over the headers and moments of all packets that
 * hosts sent, so runs that differ anywhere differ there.
 *
 * Sizes on links are those of IP packets. Goodput is what the receiving application has read.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <weir/error.h>
#include <weir/info.h>
#include <weir/time.h>

#include "lab/lab_config.h"

/* ---- what is asked for ------------------------------------------------------------------------- */

enum lab_topology { LAB_PATH, LAB_DUMBBELL };
enum lab_traffic { LAB_BULK, LAB_RR, LAB_ONOFF };

enum {
    LAB_FLOWS_MAX = 256,
    LAB_CCS_MAX = 8,
    LAB_SYSCTLS_MAX = 16,
    LAB_WORDS_MAX = 64,
    LAB_SAMPLES_MAX = 100000,
    LAB_ROWS_MAX = 1000000, /* samples of all flows */
};

/* Of all times that a scenario names: sums of them, and moments, cannot overflow. */
#define LAB_TIME_MAX (1000000 * WEIR_SEC)

/* One direction of the shared path. */
struct lab_direction {
    struct lab_queue_config queue; /* with the link's rate; limits 0: see wr_lab_scenario_default */
    struct lab_delay_config delay;
    struct lab_loss_config loss;
    uint64_t ack_loss;                 /* chance of each pure ACK, in 2^-32 */
    struct lab_policer_config policer; /* rate_bps 0: none */
    struct lab_rules_config rules;
    uint32_t path_mtu;  /* of a place on the way that is narrower than the ends know; 0: none */
    bool path_is_black; /* it does not say so */
};

struct lab_sysctl {
    char name[64], value[64];
};

struct lab_scenario {
    uint64_t seed;
    weir_time duration; /* the run ends then, or when all flows have completed */
    weir_time warmup;   /* steady goodput counts from here; shorter than duration */
    weir_time sample;   /* between two rows of the time series; 0: none */
    enum lab_topology topology;
    unsigned n_flows;
    weir_time stagger; /* flow i begins i times this after the start */
    weir_time spread;  /* dumbbell: flow i has i times this more round trip */
    bool ip6;
    uint32_t mtu;
    struct lab_direction forward, back;
    uint64_t queue_bdp_percent; /* not 0: the forward limit is this share of rate * base RTT */

    enum lab_traffic traffic;
    uint64_t bytes;             /* bulk: of each flow; 0: as much as goes */
    uint64_t request, response; /* bytes */
    weir_time think;            /* request-response: mean of the exponential pause between two */
    uint64_t count;             /* request-response: exchanges of each flow; 0: as many as go */
    weir_time on, off;          /* on-off: means of the two exponential periods */

    unsigned n_ccs; /* flow i uses cc[i % n_ccs]; 0: the stack's default */
    char cc[LAB_CCS_MAX][16];
    unsigned n_sysctls;
    struct lab_sysctl sysctl[LAB_SYSCTLS_MAX]; /* set on all hosts */
    unsigned n_words;
    char word[LAB_WORDS_MAX][160]; /* the words it was made of, for the replay line */
};

/* 10 s of one bulk flow without a rate, delay or loss; queues of 1000 packets; seed 1; a sample each
 * 100 ms; RED 5..15 packets, 10 %; CoDel 5 ms, 100 ms. */
void wr_lab_scenario_default(struct lab_scenario *scenario);
/* Takes one word "key=value" in; wr_lab_scenario_help() lists them. False: *why says what is wrong. */
bool wr_lab_scenario_word(struct lab_scenario *scenario, const char *word, const char **why);
/* Values as words have them: "1.5s", "64kb", "1000" , "1.5mbit". False: it is none; a time is LAB_TIME_MAX at most. */
bool wr_lab_read_time(const char *text, weir_time *t);
bool wr_lab_read_size(const char *text, uint64_t *bytes);
bool wr_lab_read_count(const char *text, uint64_t *n);
bool wr_lab_read_rate(const char *text, uint64_t *bps);
/* "drop syn 1; delay data 5-7 20ms". */
bool wr_lab_read_rules(const char *text, struct lab_rules_config *rules);
/* What is contradictory in the whole; NULL: nothing. */
const char *wr_lab_scenario_check(const struct lab_scenario *scenario);
/* Fills in what follows from other values: limits of queues. */
void wr_lab_scenario_complete(struct lab_scenario *scenario);
/* A text of lines: every word and what it means. Static. */
const char *wr_lab_scenario_help(void);

/* ---- what comes out ------------------------------------------------------------------------------ */

/* One row of a flow's time series: the sender's TCP_INFO. */
struct lab_sample {
    weir_time at;                                    /* since the start */
    uint32_t cwnd, ssthresh, unacked, lost, retrans; /* segments; retrans: so far */
    uint32_t srtt_us, rttvar_us, rto_us;
    uint8_t ca_state;
    uint64_t received; /* bytes read by the receiver so far */
};

/* One row of the bottleneck's time series. */
struct lab_queue_sample {
    weir_time at;     /* since the start */
    uint32_t packets; /* waiting */
    uint64_t bytes;
    uint64_t out_bytes, dropped, marked; /* so far */
};

/* All times since the start of the run; -1: has not happened. */
struct lab_flow_result {
    char cc[16];
    int error; /* of a socket call that failed, negative; 0 */
    weir_time began_at, connected_at, completed_at;
    uint64_t received;         /* bytes read by the receiver */
    uint64_t received_warm;    /* of them before the end of warmup */
    uint64_t goodput_bps;      /* bits per second from began_at to completion or the end */
    uint64_t steady_bps;       /* the same from warmup on */
    bool corrupt;              /* the receiver read something that was not sent */
    struct weir_tcp_info info; /* the sender's, at its end */
    uint64_t n_exchanges;      /* request-response: completed */
    weir_time *exchange;       /* their times, in order; at most LAB_SAMPLES_MAX are kept */
    size_t n_kept;
    struct lab_sample *samples;
    size_t n_samples;
    uint64_t dropped[LAB_N_CAUSES];
};

struct lab;
struct lab_tape;
struct weir_stack;

/* Makes the network. 0, WEIR_ENOMEM, WEIR_EINVAL (wr_lab_scenario_check(), an unknown sysctl or
 * congestion control). */
int wr_lab_new(const struct lab_scenario *scenario, struct lab **lab);
void wr_lab_free(struct lab *lab);
/* Runs to the end. 0; WEIR_EIO when the net stormed: events without end at one moment. */
int wr_lab_run(struct lab *lab);

/* Before the run: keep a tape of it (lab_tape.h), which becomes a part of the JSON. Out of memory: WEIR_ENOMEM. */
int wr_lab_record(struct lab *lab);

/* Results, valid until wr_lab_free(). */
unsigned wr_lab_n_flows(const struct lab *lab);
const struct lab_flow_result *wr_lab_flow(const struct lab *lab, unsigned number);
const struct lab_queue_stats *wr_lab_bottleneck(const struct lab *lab); /* forward */
/* Its time series, at the same moments as the flows'. */
const struct lab_queue_sample *wr_lab_bottleneck_series(const struct lab *lab, size_t *n);
weir_time wr_lab_elapsed(const struct lab *lab);
/* The scenario with all limits filled in. */
const struct lab_scenario *wr_lab_scenario(const struct lab *lab);
/* Packets that did not come through, by cause: LAB_N_CAUSES counts. */
const uint64_t *wr_lab_dropped(const struct lab *lab);
/* What the stacks of all senders, or of all receivers, counted together: a kind of weir_stat_name(), a
 * reason of weir_drop_name(). */
const struct lab_tape *wr_lab_tape(const struct lab *lab); /* NULL: none */
/* The stacks of all senders, or of all receivers, one after another; NULL past the last. */
struct weir_stack *wr_lab_stack(const struct lab *lab, bool senders, unsigned number);
uint64_t wr_lab_stat(const struct lab *lab, bool senders, unsigned kind);
uint64_t wr_lab_host_drops(const struct lab *lab, bool senders, unsigned reason);
/* How often any node ran. */
uint64_t wr_lab_events(const struct lab *lab);
uint64_t wr_lab_trace(const struct lab *lab);
/* Share of the forward link's time that was used since the start, in 0..1; 0 without a rate. */
double wr_lab_utilisation(const struct lab *lab);
/* Jain's index of the flows' steady goodput, in 0..1. */
double wr_lab_fairness(const struct lab *lab);
/* The time below which `percent` of the flow's exchanges were; -1: there is none. */
weir_time wr_lab_exchange_percentile(const struct lab_flow_result *flow, unsigned percent);

/* The whole as JSON; the caller decrefs. NULL when out of memory. */
json_t *wr_lab_json(const struct lab *lab);
/* "weir lab --seed N words...", into a buffer; cut if it does not fit. */
void wr_lab_replay(const struct lab_scenario *scenario, char *text, size_t size);

#endif
