/* SPDX-License-Identifier: MIT */
/*
 * What a network card with segmentation offload does, in software: the stack sends super-segments, which are cut here at
 * the last moment (segment.h), and what comes in is joined before the stack sees it (join.h). Frames on the link inside are
 * plain, and are the same ones that TCP would have made.
 *
 *     stack  -- super-segment -->  cut   -- frames -->  inner link
 *            <-- super-segment --  join  <-- frames --
 *
 * A frame that came in is lent until the next call on the link inside. So the first of several is copied, the others
 * are copied behind it, and the one that does not fit waits (`held`), still lent, until it is asked for. A link that
 * copies each frame anyway (room_for_all) is told where it would be joined, and has copied it there; if it then does not
 * fit it is copied once more, out of the way (`kept`).
 *
 * When the inner link takes no more in the middle of a super-segment, the caller is told EAGAIN, keeps it and tries
 * again before anything else; what had gone is then left out (struct wr_gone).
 */
#include <stdlib.h>
#include <string.h>

#include "link/join.h"
#include "link/segment.h"
#include "wire/w_csum.h"

enum { PIECES = 48 }; /* at a time: what 64 KB are cut into with an MTU of 1500 */

struct offload {
    struct weir_link link;
    struct weir_link *inner;
    struct weir_frame held;
    bool holds;
    bool large;    /* the frame before was a super-segment already: such are read to the room */
    unsigned lost; /* pieces, and not told yet */
    struct wr_gone gone;
    struct wr_cut cut;
    struct weir_out
        pieces[PIECES]; /* of the super-segment that is being cut: those that go together */
    uint8_t heads[PIECES][WEIR_HEAD_MAX];
    struct wr_join join;
    uint8_t kept[WR_JOIN_HEAD + 65536];
};

/* ---- out ---------------------------------------------------------------------------------------- */

/* Finishes the checksum in a copy of the headers: the caller's may be sent again. */
static int send_finished(struct offload *o, const struct weir_out *out, weir_time now)
{
    struct weir_out whole = *out;
    uint8_t head[WEIR_HEAD_MAX], *field;
    uint64_t sum;

    if (out->head_len > sizeof head || out->csum_start > out->head_len ||
        out->head_len - out->csum_start < out->csum_offset + 2u)
        return WEIR_EINVAL;
    memcpy(head, out->head, out->head_len);
    whole.head = head;
    whole.csum_partial = false;
    field = head + out->csum_start + out->csum_offset;
    sum = wr_csum_add(0, head + out->csum_start, out->head_len - out->csum_start);
    if ((out->head_len - out->csum_start) % 2 == 0) {
        sum = wr_csum_join(sum, wr_csum_spans(0, out->span, out->n_spans));
    } else {
        sum = wr_csum_join(sum, wr_csum_shift(wr_csum_spans(0, out->span, out->n_spans)));
    }
    uint16_t csum = wr_csum_finish(sum);
    wr_link_put16(field, out->csum_offset == 6 && csum == 0 ? 0xffff : csum);
    return o->inner->ops->send(o->inner, &whole, now);
}

/* Cuts off the next few, as many as go together: one where the link takes no more. */
static unsigned next_pieces(struct offload *o)
{
    unsigned n = 0,
             most = o->inner->ops->send_many && o->cut.piece.head_len <= WEIR_HEAD_MAX ? PIECES : 1;

    while (n < most && wr_cut_next(&o->cut)) {
        o->pieces[n] = o->cut.piece;
        if (most > 1) {
            o->pieces[n].head = o->heads[n];
            memcpy(o->heads[n], o->cut.head, o->cut.piece.head_len);
        }
        n++;
    }
    return n;
}

/* Returns how many of the n pieces are done with; *rc as of send_many. */
static unsigned send_next(struct offload *o, unsigned from, unsigned n, int *rc, weir_time now)
{
    const struct weir_link_ops *ops = o->inner->ops;

    if (n > 1)
        return ops->send_many(o->inner, &o->pieces[from], n, rc, now);
    *rc = ops->send(o->inner, &o->pieces[from], now);
    if (*rc == WEIR_EAGAIN || *rc == WEIR_ENETDOWN)
        return 0;
    o->lost += *rc != 0;
    *rc = 0;
    return 1;
}

/* A piece that is lost does not keep the next back, and is told by flush. */
static int send_pieces(struct offload *o, const struct weir_out *out, weir_time now)
{
    struct wr_cut *cut = &o->cut;
    unsigned gone, n;
    int rc = wr_gone_cut(&o->gone, cut, out, o->link.netif.kind, !o->inner->netif.tx_csum, &gone);
    if (rc != 0)
        return rc;
    while ((n = next_pieces(o)) > 0)
        for (unsigned done = 0; done < n;) {
            unsigned some = send_next(o, done, n - done, &rc, now);
            done += some;
            gone += some;
            if (rc == WEIR_EAGAIN)
                wr_gone_note(&o->gone, cut, out, gone);
            if (rc != 0)
                return rc;
        }
    return 0;
}

static int offload_send(struct weir_link *link, const struct weir_out *out, weir_time now)
{
    struct offload *o = (struct offload *)link;

    if (out->gso_size != 0)
        return send_pieces(o, out, now);
    o->gone.n = 0;
    if (out->csum_partial && !o->inner->netif.tx_csum)
        return send_finished(o, out, now);
    return o->inner->ops->send(o->inner, out, now);
}

static unsigned offload_flush(struct weir_link *link, weir_time now)
{
    struct offload *o = (struct offload *)link;
    unsigned lost = o->lost;
    o->lost = 0;
    return lost + (o->inner->ops->flush ? o->inner->ops->flush(o->inner, now) : 0);
}

/* ---- in ----------------------------------------------------------------------------------------- */

static int take(struct offload *o, const struct weir_room *room, struct weir_frame *frame,
                weir_time now)
{
    const struct weir_link_ops *ops = o->inner->ops;
    int rc = 1;

    if (o->holds) {
        *frame = o->held;
        o->holds = false;
    } else if (room && ops->recv_room && (o->large || ops->room_for_all)) {
        rc = ops->recv_room(o->inner, room, frame, now);
    } else {
        rc = ops->recv(o->inner, frame, now);
    }
    o->large = rc > 0 && frame->gso_size != 0;
    return rc;
}

/* The next one, if there is one: joined, or held. */
static bool take_next(struct offload *o, weir_time now)
{
    const struct weir_link_ops *ops = o->inner->ops;
    struct weir_frame *frame = &o->held;
    struct weir_room room;

    if (ops->room_for_all) {
        wr_join_room(&o->join, &room);
        if (ops->recv_room(o->inner, &room, frame, now) != 1)
            return false;
    } else if (ops->recv(o->inner, frame, now) != 1) {
        return false;
    }
    o->holds = !wr_join_add(&o->join, frame);
    if (o->holds && frame->body != NULL) {
        memcpy(o->kept, frame->data, frame->body_at);
        memcpy(o->kept + frame->body_at, frame->body, frame->len - frame->body_at);
        frame->data = o->kept;
        frame->body = NULL;
    }
    return true;
}

static int offload_recv_room(struct weir_link *link, const struct weir_room *room,
                             struct weir_frame *frame, weir_time now)
{
    struct offload *o = (struct offload *)link;
    struct wr_join *join = &o->join;

    int rc = take(o, room, frame, now);
    if (rc <= 0 || !wr_join_begin(join, frame, link->netif.kind, room))
        return rc;
    while (!join->full && take_next(o, now))
        continue;
    wr_join_end(join, frame);
    return 1;
}

static int offload_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    return offload_recv_room(link, NULL, frame, now);
}

/* ---- life --------------------------------------------------------------------------------------- */

static weir_time offload_deadline(const struct weir_link *link)
{
    const struct offload *o = (const struct offload *)link;
    return o->holds ? 0 : o->inner->ops->deadline(o->inner);
}

static int offload_fd(const struct weir_link *link)
{
    const struct offload *o = (const struct offload *)link;
    return o->inner->ops->fd(o->inner);
}

static void offload_free(struct weir_link *link)
{
    struct offload *o = (struct offload *)link;
    weir_link_free(o->inner);
    free(o);
}

static const struct weir_link_ops offload_ops = {
    .send = offload_send,
    .recv = offload_recv,
    .recv_room = offload_recv_room,
    .deadline = offload_deadline,
    .fd = offload_fd,
    .free = offload_free,
    .flush = offload_flush,
};

int weir_link_offload(struct weir_link *inner, struct weir_link **link)
{
    if (inner->netif.gso_max_bytes != 0) {
        *link = inner;
        return 0;
    }
    struct offload *o = malloc(sizeof *o);
    if (!o)
        return WEIR_ENOMEM;
    o->link.ops = &offload_ops;
    o->link.netif = inner->netif;
    o->link.netif.gso_max_bytes = 65535;
    o->link.netif.tx_csum = true;
    o->inner = inner;
    o->holds = o->large = false;
    o->gone.n = o->lost = 0;
    *link = &o->link;
    return 0;
}

int wr_link_offload_or_free(struct weir_link **link)
{
    int rc = weir_link_offload(*link, link);
    if (rc != 0)
        weir_link_free(*link);
    return rc;
}
