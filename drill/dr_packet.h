/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_PACKET_H
#define DRILL_DR_PACKET_H

/* Between a script's packets and bytes. */

#include <weir/weir.h>

#include "drill/dr_conn.h"
#include "drill/dr_script.h"
#include "drill/dr_world.h"

enum { DR_PACKET_MAX = 65536 + 64 };

/*
 * Writes the inbound packet of a script into bytes[DR_PACKET_MAX], in live numbers and with right
 * checksums unless it says otherwise. Returns its length; 0 when it does not fit or names what the
 * address family has not.
 */
size_t wr_dr_packet_build(const struct dr_packet *packet, const struct dr_conn *conn,
                          uint8_t *bytes);

/* What the stack sent, taken apart. */
struct dr_got {
    struct dr_packet packet; /* in live numbers */
    struct weir_endpoint from, to;
    const uint8_t *payload; /* inside the bytes */
    size_t payload_len;
    const uint8_t *quoted; /* ICMP errors: the packet quoted */
    size_t quoted_len;
    weir_time at;
    int ifindex;
};

/*
 * Takes a sent packet apart and checks everything that must hold for any packet: lengths, checksums
 * (RFC 9293 3.1 MUST-2), options whose lengths add up (MUST-68), zero padding behind their end
 * (MUST-69). NULL, or what is wrong.
 */
const char *wr_dr_packet_decode(const struct dr_sent *sent, struct dr_got *got);

/* Moves sequence numbers, acknowledgment and timestamp of a sent packet from live to script. */
void wr_dr_packet_to_script(struct dr_packet *packet, const struct dr_conn *conn);

/* One line in the notation of scripts, without newline and NUL-terminated, cut at cap. */
void wr_dr_packet_print(const struct dr_packet *packet, char *text, size_t cap);

/* The bytes of TCP options; 0 when they pass `cap`. conn NULL: timestamps and SACK as written. */
size_t wr_dr_options_emit(const struct dr_packet *packet, const struct dr_conn *conn,
                          uint8_t *bytes, size_t cap);

#endif
