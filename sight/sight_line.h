/* SPDX-License-Identifier: MIT */
#ifndef SIGHT_LINE_H
#define SIGHT_LINE_H

#include "sight/sight_read.h"

/* The packet as one line in the manner of tcpdump, without time, name and newline. */
void sight_line(const struct sight_packet *packet, char *line, size_t cap);

#endif
