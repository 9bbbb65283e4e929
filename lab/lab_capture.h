/* SPDX-License-Identifier: MIT */
#ifndef LAB_CAPTURE_H
#define LAB_CAPTURE_H

/* Packets that were captured somewhere, put on a tape (lab_tape.h) for the same page that runs have. A capture is made at
 * one place, so a packet leaves and arrives at the same moment; comments as docs/capture.md tells become states and
 * samples of the side that was captured, and why its packets were sent. */

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <weir/time.h>

struct lab_capture;

/* NULL when out of memory. */
struct lab_capture *wr_lab_capture_new(void);
void wr_lab_capture_free(struct lab_capture *capture);
/* An IP packet; what is not TCP is passed over. comment may be NULL. */
void wr_lab_capture_add(struct lab_capture *capture, const uint8_t *packet, size_t len,
                        const char *comment, weir_time at);
/* How many packets are on it. */
size_t wr_lab_capture_packets(const struct lab_capture *capture);
/* A result with nothing but a tape; the caller decrefs. NULL when out of memory. */
json_t *wr_lab_capture_json(const struct lab_capture *capture);

#endif
