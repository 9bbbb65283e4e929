/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DRILL_H
#define DRILL_DRILL_H

/*
 * Drill: scripts in packetdrill's notation against the stack, in virtual time.
 *
 * A script is a list of events with times: packets that a scripted peer sends (`<`) and that the
 * stack must send (`>`), socket calls with the result they must have, assertions on TCP_INFO, and
 * tunables. The runner makes one stack with one IP link, carries out the events in order, and moves
 * the stack's clock from deadline to deadline in between, so a script of hours takes milliseconds
 * and always gives the same answer. docs/drill.md describes the notation and where it goes beyond
 * packetdrill's.
 *
 *     dr_lex -> dr_parse, dr_parse_pkt -> events (dr_script.h)
 *                                           |
 *                        dr_run: one event after the other
 *                        /        |         \          \
 *              dr_packet      dr_call      dr_eval     dr_command
 *              (build and     (sockets)    (%{ }%)     (sysctl, ip)
 *               compare)         |
 *                        \       |
 *                         dr_world: the stack, its clock, what it sent
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum dr_ip_version { DR_IP_UNSET, DR_IP_V4, DR_IP_V6, DR_IP_MAPPED };

/* What the command line may set; a script's own `--option=value` lines win over it. */
struct dr_options {
    enum dr_ip_version ip_version; /* unset: IPv4 */
    int64_t tolerance_ns;          /* of the time of what the stack sends; default 4 ms */
    uint32_t mtu;                  /* 0: 1500, and 1520 for IPv6 so that the MSS is 1460 in both */
    bool verbose;                  /* print every event as it is carried out */
};

void wr_dr_options_default(struct dr_options *options);

/* "ipv4", "ipv6", "ipv4-mapped-ipv6". False when it is none of them. */
bool wr_dr_options_ip_version(struct dr_options *options, const char *text);

/*
 * Parses and runs one script. Returns true if it passed. If not, what was expected and what came is
 * written to `out` (may be NULL), beginning with "name:line: ". `text` need not end in a NUL.
 */
bool wr_dr_run_text(const char *name, const char *text, size_t len,
                    const struct dr_options *options, FILE *out);

/* The same with a file; a file that cannot be read fails. */
bool wr_dr_run_file(const char *path, const struct dr_options *options, FILE *out);

#endif
