/* SPDX-License-Identifier: MIT */
/*
 * Cutting a super-segment into the frames of the wire, one at a time and without copying its data: each is a header
 * made from the first one's, and spans of the super-segment's own. And going on where it stopped when a link took no more.
 */
#ifndef WEIR_LINK_SEGMENT_H
#define WEIR_LINK_SEGMENT_H

#include "link/link_wire.h"

enum {
    WR_CUT_HEAD_MAX = 512
}; /* of IPv6 with extension headers; the stack's own fit WEIR_HEAD_MAX */

/* What is being cut. Only `piece` is for others to read. */
struct wr_cut {
    struct weir_out piece;    /* the frame at hand; valid until the next step */
    struct wr_link_view view; /* of its headers; end: of the piece */
    struct weir_span data[2]; /* what has not been cut off yet */
    uint16_t ip_sum;          /* folded sums of what is the same in all: of the IPv4 header, */
    uint16_t pseudo;          /* of the pseudo-header, */
    uint16_t l4_sum;          /* of it and the transport header */
    uint32_t seq;             /* TCP: of the next piece */
    uint16_t id, gso;         /* of the next piece (IPv4); data bytes of each but the last */
    uint8_t flags;            /* TCP: of the whole */
    bool atomic;              /* IPv4: the ID is 0 in all */
    bool finish, first;       /* finish: checksums, too */
    uint8_t head[WR_CUT_HEAD_MAX];
};

/* Begins. *out and its data are borrowed until the end. With `finish` the pieces have their whole checksum, else it is
 * left to the link as out->csum_partial says. WEIR_EINVAL: it is no super-segment of TCP or UDP. */
int wr_cut_begin(struct wr_cut *cut, const struct weir_out *out, enum weir_netif_kind kind,
                 bool finish);

/* Makes cut->piece the next frame; false when all is cut. */
bool wr_cut_next(struct wr_cut *cut);

/* How far a super-segment has gone that was refused in the middle. Whoever sent it keeps it and tries again before anything
 * else, and what has gone is left out then. If it was given up, the next one is another, which its headers and the sum of its
 * data tell, and goes whole. */
struct wr_gone {
    unsigned n; /* pieces; 0: there is none such */
    uint16_t sum;
    size_t len, head_len;
    uint8_t head[WR_CUT_HEAD_MAX];
};

/* Notes that n pieces of *out, which `cut` cuts, have gone. */
void wr_gone_note(struct wr_gone *gone, const struct wr_cut *cut, const struct weir_out *out,
                  unsigned n);

/* Begins to cut *out, as wr_cut_begin(), behind what has gone of it before: *n pieces. */
int wr_gone_cut(struct wr_gone *gone, struct wr_cut *cut, const struct weir_out *out,
                enum weir_netif_kind kind, bool finish, unsigned *n);

#endif
