/* SPDX-License-Identifier: MIT */
/*
 * The receiving half of an AF_XDP socket: an area of chunks that the kernel copies or the card writes frames to, and two rings
 * of their places (Linux, Documentation/networking/af_xdp.rst).
 *
 *     chunks          fill ring -> kernel -> rx ring -> lent or gathered -> fill ring
 *
 *     small frame     [ head data ]                                    lent where it lies
 *     super-segment   [ head data ] [ data . . ] [ data . . ] [ data ]   pieces, all but the last with XDP_PKT_CONTD
 *
 * Pieces are copied once: behind each other, or all but the headers to where the program will read them (weir_input_room()).
 * Then the headers are lent where they lie.
 *
 * **Few chunks** are written to again and again where that is a copy, so that they stay in the processor's cache: `want` are in use, the others
 * spare. When three quarters were full at once there are twice as many from then on, at most all; when not an eighth was for
 * a while, half as many, at least `least`. A card has all from the beginning.
 *
 * **Unfinished checksums.** XDP has no place to say that a checksum was left to a card. A frame whose field holds the sum of the
 * pseudo-header and no more is taken as vouched for where `trusts` is set: where such frames come from this machine's
 * kernel, because a sender on it has left them so (veth), or because its GRO has, which verifies each
 * segment before it joins it (generic hook). All else is verified by the stack, whatever its length. A frame damaged on a wire is
 * taken for one of these only if its field is, by chance, that one of 65,536 values: as likely as that a damaged
 * frame has a right sum. A sender who wants to be believed needs no such trick: it can compute the sum.
 *
 * **Super-segments** come without the size that they are to be cut to. One is told by its length, which no frame of this MTU
 * has; what its segments had is taken to be what the MTU allows. If the sender's were smaller, fewer are counted than there were,
 * and one of its super-segments that is not longer than the MTU passes for one segment: that is acknowledged later, not wrongly.
 * Nothing else hangs on it: TCP has from it how many segments it counts (tcpi_segs_in), and what it takes for a full one when
 * it delays an ACK (tcp_delack); a capture shows frames of that size. Only TCP may come so (xdp_program.h).
 */
#ifndef WEIR_LINK_XDP_RX_H
#define WEIR_LINK_XDP_RX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/if_xdp.h>
#include <xdp/xsk.h>

#include "link/link_wire.h"

/* Names of Linux 6.6 that older headers lack. */
#ifndef XDP_USE_SG
#    define XDP_USE_SG (1 << 4)
#endif
#ifndef XDP_PKT_CONTD
#    define XDP_PKT_CONTD (1 << 0)
#endif

enum {
    WR_XDP_CHUNK = 4096,
    WR_XDP_PIECE = 3840, /* bytes of a frame in a chunk: without the headroom of XDP (256) */
    WR_XDP_RX_CHUNKS = 2048,
    WR_XDP_RX_FEW = 256, /* somewhat more than the window of a near peer, weir.tcp_near_rtt_us */
    WR_XDP_FILL = 2 * WR_XDP_RX_CHUNKS, /* the kernel says late what it has taken from the ring */
    WR_XDP_FRAME_MAX = WR_ETH_HEAD + 65535
};

struct wr_xdp_rx {
    struct xsk_ring_prod fill;
    struct xsk_ring_cons ring;
    const uint8_t *area;
    uint32_t next, left; /* pieces at hand */
    uint32_t least;      /* chunks to be in use: WR_XDP_RX_FEW or all */
    uint32_t want, used; /* how many shall be, and are */
    uint32_t calm;       /* so often few were full */
    uint32_t n_spare;
    uint64_t spare[WR_XDP_RX_CHUNKS];
    uint32_t mtu; /* what is longer is a super-segment */
    bool trusts;  /* unfinished checksums */
    bool lends;
    uint64_t lent;  /* chunk that the stack reads */
    uint8_t *whole; /* where pieces are gathered, of WR_XDP_FRAME_MAX bytes; NULL: there are none */
};

/* Begins with the chunks from 0 to WR_XDP_RX_CHUNKS: gives the kernel some to receive into. */
void wr_xdp_rx_fill(struct wr_xdp_rx *rx);

/* Takes the next frame; valid until the next call. `room`: as of weir_input_room(), or NULL. Of one that is longer than any frame
 * of the stack's is the first piece is shown, and the stack counts why it drops it. False: there is none. */
bool wr_xdp_rx_take(struct wr_xdp_rx *rx, const struct weir_room *room, struct weir_frame *frame);

#endif
