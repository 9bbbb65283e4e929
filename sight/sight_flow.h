/* SPDX-License-Identifier: MIT */
/* The TCP connections of a capture: their segments as far as analysis needs them, in the order of capture. */
#ifndef SIGHT_FLOW_H
#define SIGHT_FLOW_H

#include <weir/addr.h>

#include "sight/sight_read.h"

enum { SIGHT_SACKS = 4 };

/* Why a sender sent no more: from comments, or concluded. */
enum sight_held {
    SIGHT_HELD_UNKNOWN,
    SIGHT_HELD_APP,
    SIGHT_HELD_WINDOW,
    SIGHT_HELD_CWND,
    SIGHT_HELD_PACING,
    SIGHT_HELD_NAGLE
};

/* What a comment of ours says (docs/capture.md). */
struct sight_note {
    bool is_there,
        sent;     /* sent: by the host that made the capture, whose windows and pauses it tells */
    char why[32]; /* of the packet: "fast", "tcp_paws" */
    enum sight_held held; /* since the packet before: by what */
    uint32_t cwnd, pipe;
    bool undone; /* a reduction was taken back */
    bool rto;    /* the retransmission timer had fired */
};

struct sight_segment {
    uint32_t number; /* of the packet, from 1 */
    uint64_t time;
    uint8_t side; /* who sent it: 0 the one who opened, 1 the other */
    uint8_t flags, n_sack;
    bool has_ts;
    uint32_t seq, ack, len;
    uint16_t wnd;
    uint32_t ts_val, ts_ecr;
    uint32_t sack[SIGHT_SACKS][2];
    uint32_t ip_len;
    struct sight_note note;
};

/* An ICMP error about it. */
struct sight_icmp {
    uint32_t number;
    bool too_big;
    uint32_t mtu;
    struct weir_addr from;
};

struct sight_end {
    struct weir_addr addr;
    uint16_t port;
    uint8_t wscale;
    bool has_syn, has_wscale;
    uint32_t iss; /* or the first sequence number seen */
    bool known;   /* iss is set */
    uint16_t mss; /* announced; 0: not seen */
};

struct sight_flow {
    struct sight_end end[2];
    struct sight_segment *segments;
    size_t n, cap;
    struct sight_icmp icmp[8];
    unsigned n_icmp;
    bool closed; /* a later SYN begins another connection */
};

struct sight_flows {
    struct sight_flow *flows;
    size_t n, cap;
    uint32_t *table; /* open addressing by the pair of ends; UINT32_MAX: free */
    size_t table_size;
    uint8_t key[16]; /* of the table's hash: nobody makes a capture whose connections collide */
    uint32_t packets;
};

/* Takes a packet in; what is no TCP and no ICMP error is only counted. False: out of memory. */
bool sight_flows_add(struct sight_flows *flows, const struct sight_packet *packet);
void sight_flows_free(struct sight_flows *flows);
/* "10.0.0.1:80", "[fd00::1]:80" */
void sight_end_text(const struct sight_end *end, char text[64]);

#endif
