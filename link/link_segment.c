/* SPDX-License-Identifier: MIT */
/*
 * Segmentation in software: what a network card does with a super-segment, for links that have no
 * such card, for captures and for impairments that need the frames of the wire.
 *
 * A super-segment is one set of headers followed by data for several segments of gso_size bytes:
 *
 *     [eth][ip][tcp seq=S flags][ d0 .. d1 .. d2 ]
 *  -> [eth][ip id  ][tcp S          -FIN -PSH     ][d0]
 *     [eth][ip id+1][tcp S+gso      -CWR -FIN -PSH][d1]
 *     [eth][ip id+2][tcp S+2gso     -CWR          ][d2]
 *
 * FIN and PSH belong to the last byte, CWR to the first (RFC 3168 6.1.2); all other flags and all
 * options are repeated. A super-datagram of UDP becomes datagrams of gso_size bytes each.
 */
#include <stdlib.h>
#include <string.h>

#include "link/link_wire.h"

typedef int each_fn(void *arg, const uint8_t *frame, size_t len);

/* One segment in the making: `len` data bytes from offset `from` of the super-segment's data. */
struct piece {
    size_t from, len;
    unsigned index;
    bool last;
};

static void head_tcp(uint8_t *frame, const struct wr_link_view *v, const struct piece *piece)
{
    uint8_t *tcp = frame + v->l4;
    wr_link_put32(tcp + 4, wr_link_get32(tcp + 4) + (uint32_t)piece->from);
    if (piece->index > 0)
        tcp[13] &= (uint8_t)~WR_CWR;
    if (!piece->last)
        tcp[13] &= (uint8_t) ~(WR_FIN | WR_PSH);
}

/* Makes the copied headers those of one piece. */
static void head_of_piece(uint8_t *frame, struct wr_link_view v, const struct piece *piece)
{
    uint8_t *ip = frame + v.l3;
    v.end = v.payload + piece->len;
    if (v.family == 4) {
        wr_link_put16(ip + 2, (uint16_t)(v.end - v.l3));
        wr_link_put16(ip + 4, (uint16_t)(wr_link_get16(ip + 4) + piece->index));
    } else {
        wr_link_put16(ip + 4, (uint16_t)(v.end - v.l3 - 40));
    }
    if (v.proto == WR_PROTO_TCP)
        head_tcp(frame, &v, piece);
    else
        wr_link_put16(frame + v.l4 + 4, (uint16_t)(v.end - v.l4));
    wr_link_finish(frame, &v);
}

static int cut(const struct weir_out *out, const struct wr_link_view *v, each_fn *each, void *arg)
{
    size_t total = v->end - v->payload, gso = out->gso_size;
    struct piece piece = {0};
    uint8_t *buf = malloc(v->payload + gso);
    int rc = 0;
    if (!buf)
        return WEIR_ENOMEM;
    for (; rc == 0 && !piece.last; piece.from += gso, piece.index++) {
        piece.last = total - piece.from <= gso;
        piece.len = piece.last ? total - piece.from : gso;
        wr_link_gather(out, 0, buf, v->payload);
        wr_link_gather(out, v->payload + piece.from, buf + v->payload, piece.len);
        head_of_piece(buf, *v, &piece);
        rc = each(arg, buf, v->payload + piece.len);
    }
    free(buf);
    return rc;
}

/* virtio's rule: the field holds the folded sum of the pseudo-header, and is itself summed. */
static int finish_partial(uint8_t *frame, size_t len, const struct weir_out *out)
{
    if (len < out->csum_start || len - out->csum_start < out->csum_offset + 2u)
        return WEIR_EINVAL;
    uint8_t *field = frame + out->csum_start + out->csum_offset;
    uint16_t sum = (uint16_t)~wr_link_sum(frame + out->csum_start, len - out->csum_start, 0);
    /* Zero says "no checksum" in UDP, whose field is known by its place; in TCP it is itself. */
    bool udp = out->csum_offset == 6;
    wr_link_put16(field, udp && sum == 0 ? 0xffff : sum);
    return 0;
}

static int pass_whole(const struct weir_out *out, size_t len, each_fn *each, void *arg)
{
    if (out->n_spans == 0 && !out->csum_partial)
        return each(arg, out->head, len);
    uint8_t *buf = malloc(len ? len : 1);
    if (!buf)
        return WEIR_ENOMEM;
    wr_link_gather(out, 0, buf, len);
    int rc = out->csum_partial ? finish_partial(buf, len, out) : 0;
    if (rc == 0)
        rc = each(arg, buf, len);
    free(buf);
    return rc;
}

/* Finds the headers of a frame whose beginning, headers whole, is in head[head_len]. */
static int view_super(const uint8_t *head, size_t head_len, size_t len, enum weir_netif_kind kind,
                      struct wr_link_view *v)
{
    enum { LONGEST = 512 };
    uint8_t copy[LONGEST];
    size_t l3 = kind == WEIR_NETIF_ETHERNET ? WR_ETH_HEAD : 0;
    size_t n = head_len < LONGEST ? head_len : LONGEST;
    if (n < l3 + 40 || len - l3 > 65535 + 40)
        return WEIR_EINVAL;
    /* The view must fit what is at hand: say that the packet ends with the headers. */
    memcpy(copy, head, n);
    if (copy[l3] >> 4 == 4)
        wr_link_put16(copy + l3 + 2, (uint16_t)(n - l3));
    else
        wr_link_put16(copy + l3 + 4, (uint16_t)(n - l3 - 40));
    if (!wr_link_view(copy, n, kind, v) || v->fragment)
        return WEIR_EINVAL;
    if (v->proto != WR_PROTO_TCP && v->proto != WR_PROTO_UDP)
        return WEIR_EINVAL;
    v->end = len;
    return 0;
}

int weir_out_segment(const struct weir_out *out, enum weir_netif_kind kind, each_fn *each,
                     void *arg)
{
    size_t len = wr_link_out_len(out);
    struct wr_link_view v;
    if (out->gso_size == 0)
        return pass_whole(out, len, each, arg);
    int rc = view_super(out->head, out->head_len, len, kind, &v);
    return rc ? rc : cut(out, &v, each, arg);
}

int wr_link_frame_segment(const struct weir_frame *frame, enum weir_netif_kind kind, each_fn *each,
                          void *arg)
{
    struct weir_out out = {.n_spans = 1, .span = {{frame->data, frame->len}}};
    struct wr_link_view v;
    if (frame->gso_size) {
        int rc = view_super(frame->data, frame->len, frame->len, kind, &v);
        out.gso_size = frame->gso_size;
        return rc ? rc : cut(&out, &v, each, arg);
    }
    /* A vouched checksum may never have been computed: the wire would show the right one. */
    if (!frame->csum_valid || !wr_link_view(frame->data, frame->len, kind, &v))
        return each(arg, frame->data, frame->len);
    uint8_t *buf = malloc(frame->len);
    if (!buf)
        return WEIR_ENOMEM;
    memcpy(buf, frame->data, frame->len);
    wr_link_finish(buf, &v);
    int rc = each(arg, buf, frame->len);
    free(buf);
    return rc;
}
