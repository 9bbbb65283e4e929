/* SPDX-License-Identifier: MIT */
/*
 * Segments of one connection that follow each other are joined to one super-segment before the stack sees them, which
 * then has the work of a packet once and not for each: what Linux calls GRO.
 *
 *     [ip][tcp S  ack A][d0]  [ip][tcp S+n ack A][d1]  [ip][tcp S+2n ack A PSH][d2]
 *  -> [ip][tcp S  ack A PSH][ d0 d1 d2 ]     gso_size n, checksum vouched for
 *
 * The stack must not be able to tell them from a super-segment that a network card made, and must do with it what it had
 * done with the single ones. So a segment is joined only when
 *   - its checksums (IPv4 header, TCP) are right: one that is to be dropped comes alone, and is dropped by who counts it;
 *   - it is the very next one: same Ethernet header, addresses, ports, DSCP and ECN bits, TTL, DF, flow label, and its
 *     sequence number is where the one before ended; the IPv4 ID counts up by one, or is the same in all with DF (RFC 6864);
 *   - it says the same: acknowledgment, window, flags, timestamps. No other option, no IP option, no fragment, no SYN, RST, URG;
 *   - it is as long as the first, or shorter and then the last. PSH and FIN end it too; CWR stands in the first at most.
 * Every segment by itself then has the same part in what the receiver decides: PAWS, ACK processing, ECN.
 *
 * The data is copied once, and summed on the way: to where the program will read it if that can be guessed
 * (weir_input_room()), else behind the headers. A link that copies it anyway is told where to (wr_join_room()).
 *
 * Limits: one flow at a time; the segment of another one ends it. Nothing waits: what has come in is joined, and no more.
 */
#ifndef WEIR_LINK_JOIN_H
#define WEIR_LINK_JOIN_H

#include "link/link_wire.h"

enum {
    WR_JOIN_HEAD = WR_ETH_HEAD + 40 + 32, /* Ethernet, IPv6, TCP with timestamps */
    WR_JOIN_PAD = 2 /* puts the IP header behind an Ethernet header at a multiple of 4 */
};

struct wr_join {
    size_t l3, l4, payload; /* of the first's headers, which are at buf + WR_JOIN_PAD */
    uint8_t *data;          /* behind them, or in the room */
    size_t len, gso, most;  /* data bytes so far, of each segment, that there may be */
    unsigned n;             /* segments */
    bool room;              /* data is in the room */
    bool full;              /* nothing can follow */
    bool ids_count;         /* IPv4, n > 1: the ID counts up, else it is the same in all */
    uint8_t family;
    uint16_t pseudo; /* folded sum of the pseudo-header without the length */
    uint8_t buf[WR_JOIN_PAD + WR_JOIN_HEAD + 65536];
};

/* Copies a frame that others may be joined to. `room`: as of weir_input_room(), or NULL. False: it is none, nothing was
 * done. */
bool wr_join_begin(struct wr_join *join, const struct weir_frame *frame, enum weir_netif_kind kind,
                   const struct weir_room *room);

/* Where the data of the next frame goes if it is joined, for a link that can have it there. */
void wr_join_room(const struct wr_join *join, struct weir_room *room);

/* Joins the next one, if it may be, be its data there or not. False: it is not joined, and nothing else can be either. */
bool wr_join_add(struct wr_join *join, const struct weir_frame *frame);

/* What has been joined, one or more, as a frame for the stack; valid until the next begin. */
void wr_join_end(struct wr_join *join, struct weir_frame *frame);

#endif
