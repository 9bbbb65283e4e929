/* SPDX-License-Identifier: MIT */
#ifndef LAB_FLOW_H
#define LAB_FLOW_H

/*
 * A flow: one TCP connection and the two applications on it.
 *
 *     bulk     the sender connects, sends `bytes` (or for ever) and shuts down; the receiver reads
 *     on-off   the same, but sends only in periods of exponential length
 *     rr       the receiver connects and asks with `request` bytes; the sender answers with `response`
 *              bytes, so that the mass of the data goes the forward way here too
 *
 * What is sent is a pattern that the reader compares. A flow is a node for its times: its beginning,
 * pauses and periods.
 */

#include <weir/socket.h>

#include "lab/lab.h"
#include "lab/lab_host.h"

enum { LAB_PATTERN_PERIOD = 65521 };

/* How many of the flows are over. */
struct lab_tally {
    unsigned n_flows, n_over;
    bool all_over;
};

/* One end of the connection. */
struct lab_end {
    struct lab_host *host;
    weir_sock sock; /* 0: not there yet, or closed */
    uint64_t phase; /* where in the pattern what this end sends begins */
    uint64_t goal;  /* bytes to send in all, as far as is known now */
    uint64_t sent, received;
    bool ends; /* shut down when the goal is reached */
    bool was_shut, at_eof;
};

enum lab_flow_phase { LAB_FLOW_WAITS, LAB_FLOW_RUNS, LAB_FLOW_LINGERS, LAB_FLOW_OVER };

struct lab_flow {
    struct lab_node node; /* first */
    const struct lab_scenario *scenario;
    const uint8_t *pattern; /* two periods */
    unsigned number;
    enum lab_flow_phase phase;
    struct lab_end sender, receiver;
    weir_sock listener;
    weir_time next_at;  /* absolute; WEIR_TIME_NEVER */
    weir_time asked_at; /* rr: -1 while pausing */
    bool is_on;         /* on-off */
    struct lab_flow_result result;
    struct lab_tally *tally;
};

/* Makes the flow and its listening socket. NULL when out of memory or a socket call failed (*error). */
struct lab_flow *wr_lab_flow_new(struct lab_net *net, const struct lab_scenario *scenario,
                                 unsigned number, struct lab_host *sender,
                                 struct lab_host *receiver, const uint8_t *pattern,
                                 struct lab_tally *tally, int *error);
/* An event of one of its sockets came; the user number of an event names flow and role. */
void wr_lab_flow_event(struct lab_flow *flow, const struct weir_event *event, weir_time now);
static inline unsigned wr_lab_flow_of(const struct weir_event *event)
{
    return (unsigned)(event->user >> 2);
}
/* The sender's TCP_INFO now, also once the flow is over; false before it has a socket. */
bool wr_lab_flow_info(struct lab_flow *flow, struct weir_tcp_info *info, weir_time now);
/* The run is at its end: takes the last TCP_INFO and computes the rates. */
void wr_lab_flow_end(struct lab_flow *flow, weir_time now);

/* A random time of exponential distribution; integers only. */
weir_time wr_lab_exponential(struct wr_rng *rng, weir_time mean);

#endif
