/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_CONN_H
#define DRILL_DR_CONN_H

/*
 * A connection as the script sees it. Scripts count sequence numbers from the one they give the SYN
 * (0, mostly); timestamps of the stack have in a script the value that the script gave the first.
 *
 *     live = script + shift
 */

#include <weir/weir.h>

#include "drill/dr_script.h"

enum { DR_TS_SEEN = 512 };

struct dr_conn {
    struct weir_endpoint local, remote;
    bool remote_known, local_known; /* the side's SYN has been seen */
    uint32_t remote_isn;            /* script's value; live ones are equal */
    uint32_t local_isn, local_shift;
    bool ts_known;
    uint32_t ts_script, ts_live; /* of the first timestamp the stack sent */
    struct {
        uint32_t script, live;
    } ts[DR_TS_SEEN]; /* of the latest, for echoes */
    unsigned n_ts;
};

/* Forgets numbers: another connection begins on the same endpoints. */
void wr_dr_conn_restart(struct dr_conn *conn);

/* Remembers that the stack sent `live` where the script says `script`. */
void wr_dr_conn_saw_ts(struct dr_conn *conn, uint32_t script, uint32_t live);
/* The live value of an echo that the script writes as `script`. */
uint32_t wr_dr_conn_echo(const struct dr_conn *conn, uint32_t script);

/* The byte at a place of a stream: what the scripted peer sends and what `write` writes. */
static inline uint8_t wr_dr_pattern(uint64_t at)
{
    return (uint8_t)(at ^ (at >> 8) * 31 ^ (at >> 16) * 7 ^ 0x5a);
}

#endif
