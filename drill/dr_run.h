/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_RUN_H
#define DRILL_DR_RUN_H

/* One run of a script: what its parts share. Times named `script` count from the script's time 0. */

#include <stdio.h>

#include "drill/dr_conn.h"
#include "drill/dr_packet.h"
#include "drill/dr_script.h"
#include "drill/dr_world.h"

enum { DR_CONNS = 64, DR_TRACE_LINES = 16, DR_LINE_MAX = 400, DR_VARIABLES = 32 };

struct dr_variable {
    char name[64];
    long double value;
};

/* A socket call as it goes on; the rest is 0 when it begins. */
struct dr_try {
    const struct dr_event *event;
    weir_time began;      /* stack's time */
    weir_time script_end; /* when a blocking call must return */
    bool started;         /* the part that is done once is done */
    bool opening;         /* data was taken for a fast open, whose answer it waits for */
    size_t done;          /* bytes moved */
    weir_time due;        /* poll: when it gives up; NEVER */
    int64_t value;        /* result */
    int error;            /* positive errno when value is -1 */
    bool wrong; /* wr_dr_fail() has been called: an argument or out value is not as it must be */
};

struct dr_run {
    const struct dr_script *script;
    FILE *out;
    struct dr_world world;
    bool failed;
    const struct dr_event *event; /* the current one */
    weir_time before;             /* script time of the event before */

    struct dr_conn conns[DR_CONNS];
    unsigned n_conns;
    struct dr_conn *current; /* of packets that name no ports; NULL: none yet */
    bool listening;          /* a SYN without ports begins another connection */
    uint16_t listen_port;
    uint16_t next_port; /* of the scripted peer */

    struct dr_variable variables[DR_VARIABLES]; /* of %{ }% */
    unsigned n_variables;
    int code_fd;       /* whose TCP_INFO assertions look at; -1: none */
    bool writes_exact; /* outbound payload is checked against the pattern */
    bool reads_exact;

    bool pending_set; /* a blocking call is under way */
    struct dr_try pending;

    char trace[DR_TRACE_LINES][DR_LINE_MAX];
    unsigned n_trace;
};

static inline weir_time wr_dr_script_time(const struct dr_run *run, weir_time t)
{
    return t - run->world.start;
}

/*
 * Reports the first failure: where, when, what, and the packets before it. Later ones are not
 * reported. Always false.
 */
bool wr_dr_fail(struct dr_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
void wr_dr_trace(struct dr_run *run, weir_time at, const struct dr_packet *packet);

/* ---- time ------------------------------------------------------------------------------------ */

/* Moves the stack to script time `at`, keeping a blocking call going. */
void wr_dr_run_until(struct dr_run *run, weir_time at);
/* Moves it until it has sent something, at the latest to script time `limit`. */
void wr_dr_run_until_sent(struct dr_run *run, weir_time limit);

/* ---- packets: dr_match.c --------------------------------------------------------------------- */

void wr_dr_packet_in(struct dr_run *run, const struct dr_packet *packet);
/* Takes what the stack sent and compares; low and high bound its script time. */
void wr_dr_packet_out(struct dr_run *run, const struct dr_packet *expected, weir_time low,
                      weir_time high);
/* The connection of these endpoints, made if there is none. NULL, and failed, if there are too many. */
struct dr_conn *wr_dr_conn_of(struct dr_run *run, const struct weir_endpoint *local,
                              const struct weir_endpoint *remote);
/* Takes the oldest packet, whatever it is; it must be well-formed all the same. */
void wr_dr_packet_skip(struct dr_run *run);
/* Describes a packet that nobody expected. */
void wr_dr_packet_unexpected(struct dr_run *run, const struct dr_sent *sent);

/* ---- socket calls: dr_call.c ----------------------------------------------------------------- */

void wr_dr_call_run(struct dr_run *run, const struct dr_event *event, weir_time script_end);
/* Goes on with a blocking call. */
void wr_dr_call_retry(struct dr_run *run);
/* The blocking call has to end now: runs until it does, fails if it does not. */
void wr_dr_call_finish(struct dr_run *run);

/* ---- the others ------------------------------------------------------------------------------ */

void wr_dr_code_run(struct dr_run *run, const char *text);
/* The value of a symbol (SOL_SOCKET, EAGAIN, TCP_ESTABLISHED). */
bool wr_dr_symbol(const char *name, int64_t *value);
/* "EAGAIN (Resource temporarily unavailable)" for messages; static. */
const char *wr_dr_errno_name(int error);

#endif
