/* SPDX-License-Identifier: MIT */
#ifndef LAB_TAPE_H
#define LAB_TAPE_H

/*
 * A tape: what went over the net and what became of it, and what the connections' ends looked like
 * after each step of their hosts. It is the raw material of pictures.
 *
 *     host sends a packet    a record: headers, moment, connection        wr_lab_tape_sent
 *     it arrives             the moment                                   wr_lab_tape_arrived
 *     it is lost             where and when                               wr_lab_tape_lost
 *     a stack decides        why a packet is sent, or not taken; what is taken for lost, recoveries,
 *                            timers, windows (weir/trace.h)               wr_lab_tape_note
 *     a host has settled     for each connection of it that changed: its state, and a sample of its
 *                            TCP_INFO                                     wr_lab_tape_look
 *
 * A connection is a 4-tuple from one SYN to the next one after its end; its side 0 is the one that was
 * heard first. Sequence numbers are told relative to each side's first.
 *
 * A tape only listens: a run with one is the same run. Bounded: what passes LAB_TAPE_PACKETS and
 * LAB_TAPE_CONNS is counted and not kept; connections past LAB_TAPE_LOOKED have no states and samples.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <weir/addr.h>
#include <weir/time.h>

#include "wire/w_tcpopt.h"

struct weir_stack;
struct lab_packet;
struct weir_trace;

enum { LAB_TAPE_PACKETS = 1000000, LAB_TAPE_CONNS = 4096, LAB_TAPE_LOOKED = 256 };

struct lab_tape_packet {
    weir_time sent_at, over_at; /* absolute; over: arrived or lost, -1: neither */
    int32_t conn;               /* -1: of none */
    uint8_t side;               /* that sent it */
    uint8_t fate;               /* 0: arrived, or on its way; else enum lab_cause + 1 */
    uint8_t why;                /* it was sent: a point of weir/trace.h + 1; 0: not known */
    uint16_t refused;           /* by the host it arrived at: a reason of weir_drop_name() + 1 */
    bool again;                 /* its data, SYN or FIN has been sent before */
    bool copy;                  /* made by the net */
    uint16_t flags;
    uint32_t seq, ack, wnd, len; /* absolute as on the wire; wnd not scaled; len of data */
    uint8_t n_sack;
    struct w_sack sack[W_TCPOPT_SACKS];
};

struct lab_tape_state {
    weir_time at;
    int32_t packet; /* that arrived last before it at this very moment; -1: none */
    uint8_t side, state;
};

/* A decision of one side that is neither a packet nor a state. */
struct lab_tape_note {
    weir_time at;
    uint8_t side, point; /* of weir/trace.h */
    uint32_t seq, len;   /* of what is lost; else 0 */
};

/* A sample of one side's TCP_INFO; packets and microseconds as there. */
struct lab_tape_sample {
    weir_time at;
    uint32_t cwnd, ssthresh, pipe, lost, sacked, srtt_us, rttvar_us, rto_us, snd_wnd, rcv_wnd;
    uint32_t ca_state, backoff; /* twelve in all, so that there is no padding */
};

struct lab_tape_side {
    struct weir_endpoint end;
    int32_t host; /* number of the host it was seen on; -1: none */
    bool has_first, fin, looked;
    uint32_t first, next; /* sequence numbers: the first, behind the highest sent */
    uint8_t state;
    uint8_t wscale; /* it announced in its SYN; applies to its wnd */
    struct lab_tape_sample *samples;
    size_t n_samples;
};

struct lab_tape_conn {
    struct lab_tape_side side[2];
    bool over; /* a SYN of the same pair begins another */
    struct lab_tape_state *states;
    size_t n_states;
    struct lab_tape_note *notes;
    size_t n_notes;
    int32_t older; /* of the same hash */
};

struct lab_tape {
    struct lab_tape_packet *packets;
    size_t n_packets, n_unkept;
    struct lab_tape_conn *conns;
    size_t n_conns;
    int32_t bucket[1024];
    int32_t arrived; /* the packet that a host is looking at; -1 */
    uint8_t why;     /* of the packet that comes next */
};

/* NULL when out of memory. */
struct lab_tape *wr_lab_tape_new(void);
void wr_lab_tape_free(struct lab_tape *tape);

/* Writes down a packet that a host (or, with `copy`, the net) sends, and numbers it. */
void wr_lab_tape_sent(struct lab_tape *tape, struct lab_packet *packet, bool copy, weir_time now);
void wr_lab_tape_arrived(struct lab_tape *tape, const struct lab_packet *packet, weir_time now);
/* cause: enum lab_cause */
void wr_lab_tape_lost(struct lab_tape *tape, const struct lab_packet *packet, unsigned cause,
                      weir_time now);
/* A record of the stack of a host, before the packet that it belongs to. */
void wr_lab_tape_note(struct lab_tape *tape, const struct weir_trace *record);
/* Looks at all connections of host number `host`; stack NULL: it has crashed. */
void wr_lab_tape_look(struct lab_tape *tape, int host, struct weir_stack *stack, weir_time now);

/* What a capture tells of connection `conn` of the tape, whose packet was written down last. */
void wr_lab_tape_state(struct lab_tape *tape, int32_t conn, unsigned side, unsigned state,
                       weir_time now);
void wr_lab_tape_sample(struct lab_tape_side *side, const struct lab_tape_sample *sample);

/* All of it; times in microseconds since `epoch`. NULL when out of memory. */
json_t *wr_lab_tape_json(const struct lab_tape *tape, weir_time epoch);

#endif
