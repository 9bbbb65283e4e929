/* SPDX-License-Identifier: MIT */
/*
 * The header of ten bytes that leads a frame where a kernel interface has offload (IFF_VNET_HDR of TUN,
 * PACKET_VNET_HDR of packet sockets). It says two things:
 *
 *   NEEDS_CSUM  the transport checksum holds only the sum of the pseudo-header. On the way in the
 *               kernel vouches for such a frame (weir_frame.csum_valid); on the way out the kernel
 *               finishes it (weir_out.csum_partial).
 *   gso_type    the frame is a super-segment: of up to 64 KiB, or out over IPv4 what link_tun.h says. TCP passes as
 *               it is in both directions.
 *               A super-datagram of UDP (Linux 6.2) is cut here, since a stack wants datagrams: each is
 *               given the headers in place, over the data of the one before, which has been read already.
 *
 *     [head][d0][d1][d2]   the first: [head][d0]
 *                          the second:    [head][d1]   (head over d0's end)
 */
#ifndef WEIR_LINK_VNET_H
#define WEIR_LINK_VNET_H

#include <linux/virtio_net.h>

#include "link/link_wire.h"

enum {
    WR_VNET_HEAD = sizeof(struct virtio_net_hdr),
    WR_VNET_CSUM_UDP = 6 /* where the checksum stands in the header of UDP: TCP's is elsewhere */
};

_Static_assert(sizeof(struct virtio_net_hdr) == 10,
               "the header's size that the kernel starts with");

/* What is left of a super-datagram: [next, end) is its data, its headers stand at `head`. */
struct wr_vnet_rest {
    uint8_t *head, *next, *end;
    size_t head_len;
    struct wr_link_view view;
    uint16_t gso, index;
};

/* Whether wr_vnet_next() has one. */
static inline bool wr_vnet_has(const struct wr_vnet_rest *rest)
{
    return rest->next < rest->end;
}

/* The header for a frame to send. False: the frame cannot be told in one. */
bool wr_vnet_out(const struct weir_out *out, struct virtio_net_hdr *h);

/* What is in line of wr_vnet_in() below leaves to this all but what most frames are. */
void wr_vnet_in_any(const struct virtio_net_hdr *h, uint8_t *frame, size_t len,
                    enum weir_netif_kind kind, struct wr_vnet_rest *rest, struct weir_frame *in);

/* Makes sense of a frame that came in with the header `h`; it may be changed in place. What is left of
 * it for wr_vnet_next() is noted in *rest. */
static inline void wr_vnet_in(const struct virtio_net_hdr *h, uint8_t *frame, size_t len,
                              enum weir_netif_kind kind, struct wr_vnet_rest *rest,
                              struct weir_frame *in)
{
    bool partial = (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0;
    if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE || (partial && h->csum_offset == WR_VNET_CSUM_UDP)) {
        wr_vnet_in_any(h, frame, len, kind, rest, in);
        return;
    }
    *in = (struct weir_frame){
        .data = frame,
        .len = len,
        .csum_valid = partial || (h->flags & VIRTIO_NET_HDR_F_DATA_VALID),
    };
}

/* The same for a frame that was read to `frame` only as far as room->head_len, with room behind that for all of it, and
 * from there on to the room. A super-segment of TCP stays there; what else there is may have to be changed in place, and
 * is brought together. */
void wr_vnet_in_room(const struct virtio_net_hdr *h, uint8_t *frame, size_t len,
                     enum weir_netif_kind kind, const struct weir_room *room,
                     struct wr_vnet_rest *rest, struct weir_frame *in);

/* The next datagram of a super-datagram; false when there is none left. */
bool wr_vnet_next(struct wr_vnet_rest *rest, struct weir_frame *in);

#endif
