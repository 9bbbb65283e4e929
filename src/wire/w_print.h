/* SPDX-License-Identifier: MIT */
#ifndef WR_W_PRINT_H
#define WR_W_PRINT_H

/*
 * One line of text per packet, in the manner of tcpdump:
 *
 *   IP 10.0.0.1.41000 > 10.0.0.2.80: Flags [P.], seq 1:79, ack 7, win 502, options [...], length 78
 *
 * Sequence numbers are absolute, since a line knows no other packet.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a frame begins with. */
enum w_print_link {
    W_PRINT_IP,  /* an IPv4 or IPv6 header, told apart by the version */
    W_PRINT_ETH, /* an Ethernet header */
};

/*
 * Writes the line, without newline, and a NUL into buf[cap]. Returns the length of the whole line;
 * when that is >= cap it was cut, as with snprintf. Malformed packets are named as such.
 * `csum_partial` says that the upper-layer checksum is still to be filled in by the link, so it is
 * not judged.
 */
size_t wr_w_print(char *buf, size_t cap, enum w_print_link link, const uint8_t *frame, size_t len,
                  bool csum_partial);

#endif
