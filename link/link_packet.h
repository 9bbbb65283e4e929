/* SPDX-License-Identifier: MIT */
/* Packet sockets on an interface of the kernel's: what link_packet.c and link_xdp.c share. */
#ifndef WEIR_LINK_PACKET_H
#define WEIR_LINK_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/link.h>

/* What a packet socket is to hear. */
struct wr_packet_open {
    const char *ifname;
    const uint8_t *mac; /* the address of the host here */
    bool group_only;    /* frames to group addresses only, and none that leave by the interface */
    int ifindex;        /* out */
    uint32_t mtu;       /* out */
};

/* Opens a packet socket with PACKET_VNET_HDR (vnet.h) that hears the interface's frames for `mac` and for groups; the interface takes both
 * in as long as it is open. To be called in the interface's namespace. The descriptor or a negative
 * error. */
int wr_packet_open(struct wr_packet_open *how);
/* From now on it hears what is for `mac`, too (or no longer, if group_only). 0 or a negative error. */
int wr_packet_hear(int fd, const uint8_t mac[6], bool group_only);
/* Sends a frame, which may be a super-segment. As weir_link_ops.send. */
int wr_packet_send(int fd, const struct weir_out *out);
/* A packet socket has said ENETDOWN: has its interface gone for good? */
bool wr_packet_is_gone(int fd);

#endif
