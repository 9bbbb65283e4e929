/* SPDX-License-Identifier: MIT */
#include "sight/sight_line.h"

#include <stdio.h>

#include "wire/w_print.h"

enum { LINK_ETHERNET = 1 };

void sight_line(const struct sight_packet *packet, char *line, size_t cap)
{
    int at = sight_ip_at(packet);
    bool ethernet = packet->linktype == LINK_ETHERNET;

    if (packet->kept < packet->len) /* what is cut off is not judged */
        snprintf(line, cap, "%zu bytes, of which %zu were kept", packet->len, packet->kept);
    else if (ethernet)
        wr_w_print(line, cap, W_PRINT_ETH, packet->frame, packet->kept, false);
    else if (at >= 0 && (size_t)at <= packet->kept)
        wr_w_print(line, cap, W_PRINT_IP, packet->frame + at, packet->kept - (size_t)at, false);
    else
        snprintf(line, cap, "%zu bytes of a link of kind %d", packet->len, packet->linktype);
}
