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
 * An identification of 0 with DF stays 0 (RFC 6864 4.1), as the stack gives it to each segment. FIN and PSH belong to the last byte, CWR to the first (RFC 3168 6.1.2); all other flags and all
 * options are repeated. A super-datagram of UDP becomes datagrams of gso_size bytes each.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "link/segment.h"
#include "wire/w_csum.h"

typedef int each_fn(void *arg, const uint8_t *frame, size_t len);

/* ---- cutting -------------------------------------------------------------------------------------- */

/* Copies the headers, which stand whole in the frame's first part, and finds them. */
static bool view_head(struct wr_cut *cut, const struct weir_out *out, enum weir_netif_kind kind)
{
    const uint8_t *from = out->head_len > 0 || out->n_spans == 0 ? out->head : out->span[0].ptr;
    size_t n = out->head_len > 0 || out->n_spans == 0 ? out->head_len : out->span[0].len;
    size_t l3 = kind == WEIR_NETIF_ETHERNET ? WR_ETH_HEAD : 0;
    uint8_t *head = cut->head;

    if (n > sizeof cut->head)
        n = sizeof cut->head;
    if (n < l3 + 40)
        return false;
    memcpy(head, from, n);
    cut->view = (struct wr_link_view){0};
    /* The view must fit what is at hand: say that the packet ends with the headers. */
    if (head[l3] >> 4 == 4)
        wr_link_put16(head + l3 + 2, (uint16_t)(n - l3));
    else
        wr_link_put16(head + l3 + 4, (uint16_t)(n - l3 - 40));
    return wr_link_view(head, n, kind, &cut->view) && !cut->view.fragment &&
           (cut->view.proto == WR_PROTO_TCP || cut->view.proto == WR_PROTO_UDP);
}

/* Notes where the data is: `skip` bytes from the frame's beginning on. False: in more than two places. */
static bool find_data(struct wr_cut *cut, const struct weir_out *out, size_t skip)
{
    unsigned n = 0;
    for (unsigned i = 0; i <= out->n_spans; i++) {
        struct weir_span part = {out->head, out->head_len};
        if (i > 0)
            part = out->span[i - 1];
        size_t cut_off = part.len < skip ? part.len : skip;
        skip -= cut_off;
        if (part.len == cut_off)
            continue;
        if (n == 2)
            return false;
        cut->data[n++] = (struct weir_span){part.ptr + cut_off, part.len - cut_off};
    }
    return true;
}

/* Sums what is the same in all pieces, with zeros where each has its own: lengths, ID, sequence number, flags. */
static void sum_head(struct wr_cut *cut)
{
    const struct wr_link_view *v = &cut->view;
    uint8_t *ip = cut->head + v->l3, *l4 = cut->head + v->l4, proto[2] = {0, v->proto};
    uint64_t sum;

    if (v->family == 4) {
        memset(ip + 2, 0, 4);
        wr_link_put16(ip + 10, 0);
        cut->ip_sum = wr_csum_fold(wr_csum_add(0, ip, v->l4 - v->l3));
        sum = wr_csum_add(0, ip + 12, 8);
    } else {
        sum = wr_csum_add(0, ip + 8, 32);
    }
    sum = wr_csum_add(sum, proto, sizeof proto);
    cut->pseudo = wr_csum_fold(sum);
    if (!cut->finish)
        return;
    if (v->proto == WR_PROTO_TCP) {
        memset(l4 + 4, 0, 4);
        l4[13] = 0;
        wr_link_put16(l4 + 16, 0);
        cut->l4_sum = wr_csum_fold(wr_csum_add(sum, l4, v->payload - v->l4));
    } else {
        cut->l4_sum = wr_csum_fold(wr_csum_add(sum, l4, 4)); /* ports */
    }
}

int wr_cut_begin(struct wr_cut *cut, const struct weir_out *out, enum weir_netif_kind kind,
                 bool finish)
{
    struct wr_link_view *v = &cut->view;

    if (out->gso_size == 0 || !view_head(cut, out, kind))
        return WEIR_EINVAL;
    cut->data[0] = cut->data[1] = (struct weir_span){NULL, 0};
    if (!find_data(cut, out, v->payload))
        return WEIR_EINVAL;
    cut->gso = out->gso_size;
    cut->finish = finish;
    cut->first = true;
    cut->atomic = false;
    cut->id = 0;
    cut->seq = 0;
    cut->flags = 0;
    cut->piece = (struct weir_out){.head = cut->head, .head_len = v->payload, .stays = out->stays};
    if (!finish) {
        cut->piece.csum_partial = true;
        cut->piece.csum_start = (uint16_t)v->l4;
        cut->piece.csum_offset = v->proto == WR_PROTO_TCP ? 16 : 6;
    }
    if (v->family == 4) {
        cut->id = wr_link_get16(cut->head + v->l3 + 4);
        cut->atomic = cut->id == 0 && (cut->head[v->l3 + 6] & 0x40) != 0;
    }
    if (v->proto == WR_PROTO_TCP) {
        cut->seq = wr_link_get32(cut->head + v->l4 + 4);
        cut->flags = cut->head[v->l4 + 13];
    }
    sum_head(cut);
    return 0;
}

/* Takes up to gso bytes off the data, into the piece's spans. */
static size_t take_data(struct wr_cut *cut)
{
    struct weir_out *piece = &cut->piece;
    size_t left = cut->gso;

    piece->n_spans = 0;
    while (left > 0 && cut->data[0].len > 0) {
        struct weir_span *from = &cut->data[0];
        size_t n = from->len < left ? from->len : left;
        piece->span[piece->n_spans++] = (struct weir_span){from->ptr, n};
        *from = (struct weir_span){from->ptr + n, from->len - n};
        left -= n;
        if (from->len == 0) {
            cut->data[0] = cut->data[1];
            cut->data[1].len = 0;
        }
    }
    return cut->gso - left;
}

static void write_ip(struct wr_cut *cut)
{
    const struct wr_link_view *v = &cut->view;
    uint8_t *ip = cut->head + v->l3;

    if (v->family == 6) {
        wr_link_put16(ip + 4, (uint16_t)(v->end - v->l3 - 40));
        return;
    }
    uint32_t len = (uint32_t)(v->end - v->l3);
    wr_link_put16(ip + 2, (uint16_t)len);
    wr_link_put16(ip + 4, cut->id);
    wr_link_put16(ip + 10, (uint16_t)~wr_csum_fold16(cut->ip_sum + len + cut->id));
    cut->id = (uint16_t)(cut->id + !cut->atomic);
}

/* Returns the sum of what it writes. */
static uint32_t write_tcp(struct wr_cut *cut, size_t len, bool last)
{
    uint8_t *tcp = cut->head + cut->view.l4, flags = cut->flags;
    uint32_t seq = cut->seq;

    if (!cut->first)
        flags &= (uint8_t)~WR_CWR;
    if (!last)
        flags &= (uint8_t) ~(WR_FIN | WR_PSH);
    wr_link_put32(tcp + 4, seq);
    tcp[13] = flags;
    cut->seq += (uint32_t)len;
    return (seq >> 16) + (seq & 0xffff) + flags;
}

static uint32_t write_udp(struct wr_cut *cut)
{
    uint32_t len = (uint32_t)(cut->view.end - cut->view.l4);
    wr_link_put16(cut->head + cut->view.l4 + 4, (uint16_t)len);
    return len;
}

/* The whole checksum, or the pseudo-header's for who finishes it. `own`: the sum of what this piece's header has for itself. */
static void write_sum(struct wr_cut *cut, uint32_t own)
{
    const struct wr_link_view *v = &cut->view;
    const struct weir_out *piece = &cut->piece;
    bool tcp = v->proto == WR_PROTO_TCP;
    uint8_t *field = cut->head + v->l4 + (tcp ? 16 : 6);
    uint32_t len = (uint32_t)(v->end - v->l4);

    if (!tcp && v->family == 4 && wr_link_get16(field) == 0)
        return; /* RFC 768: there is none */
    if (!cut->finish) {
        wr_link_put16(field, wr_csum_fold16(cut->pseudo + len));
        return;
    }
    uint32_t data = wr_csum_fold(wr_csum_spans(0, piece->span, piece->n_spans));
    uint16_t csum = (uint16_t)~wr_csum_fold16(cut->l4_sum + len + own + data);
    wr_link_put16(field, !tcp && csum == 0 ? 0xffff : csum);
}

bool wr_cut_next(struct wr_cut *cut)
{
    struct wr_link_view *v = &cut->view;

    if (!cut->first && cut->data[0].len == 0)
        return false;
    size_t len = take_data(cut);
    v->end = v->payload + len;
    write_ip(cut);
    write_sum(cut, v->proto == WR_PROTO_TCP ? write_tcp(cut, len, cut->data[0].len == 0)
                                            : write_udp(cut));
    cut->first = false;
    return true;
}

/* Leaves out the next n frames. */
static void skip(struct wr_cut *cut, unsigned n)
{
    for (; n > 0 && cut->data[0].len > 0; n--) {
        cut->seq += (uint32_t)take_data(cut);
        cut->id = (uint16_t)(cut->id + !cut->atomic);
        cut->first = false;
    }
}

/* ---- what has gone -------------------------------------------------------------------------------- */

static uint16_t sum_of_data(const struct weir_out *out)
{
    return wr_csum_fold(wr_csum_spans(0, out->span, out->n_spans));
}

void wr_gone_note(struct wr_gone *gone, const struct wr_cut *cut, const struct weir_out *out,
                  unsigned n)
{
    gone->n = n;
    gone->len = wr_link_out_len(out);
    gone->head_len = cut->piece.head_len;
    gone->sum = sum_of_data(out);
    wr_link_gather(out, 0, gone->head, gone->head_len);
}

static bool is_the_same(const struct wr_gone *gone, const struct wr_cut *cut,
                        const struct weir_out *out)
{
    uint8_t head[WR_CUT_HEAD_MAX];

    if (gone->n == 0 || gone->len != wr_link_out_len(out) || gone->head_len != cut->piece.head_len)
        return false;
    wr_link_gather(out, 0, head, gone->head_len);
    return memcmp(head, gone->head, gone->head_len) == 0 && gone->sum == sum_of_data(out);
}

int wr_gone_cut(struct wr_gone *gone, struct wr_cut *cut, const struct weir_out *out,
                enum weir_netif_kind kind, bool finish, unsigned *n)
{
    int rc = wr_cut_begin(cut, out, kind, finish);

    if (rc != 0)
        return rc;
    *n = is_the_same(gone, cut, out) ? gone->n : 0;
    gone->n = 0;
    skip(cut, *n);
    return 0;
}

/* ---- as whole frames ------------------------------------------------------------------------------ */

static int cut(const struct weir_out *out, enum weir_netif_kind kind, each_fn *each, void *arg)
{
    struct wr_cut cut;
    int rc = wr_cut_begin(&cut, out, kind, true);
    if (rc != 0)
        return rc;
    uint8_t *buf = malloc(cut.piece.head_len + cut.gso);
    if (!buf)
        return WEIR_ENOMEM;
    while (rc == 0 && wr_cut_next(&cut)) {
        memcpy(buf, cut.head, cut.piece.head_len);
        size_t len = wr_spans_copy(buf + cut.piece.head_len, cut.piece.span, cut.piece.n_spans);
        rc = each(arg, buf, cut.piece.head_len + len);
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

int weir_out_segment(const struct weir_out *out, enum weir_netif_kind kind, each_fn *each,
                     void *arg)
{
    if (out->gso_size != 0)
        return cut(out, kind, each, arg);
    return pass_whole(out, wr_link_out_len(out), each, arg);
}

int wr_link_frame_segment(const struct weir_frame *frame, enum weir_netif_kind kind, each_fn *each,
                          void *arg)
{
    struct weir_out out = {.n_spans = 1, .span = {{frame->data, frame->len}}};
    struct wr_link_view v;
    if (frame->gso_size) {
        out.gso_size = frame->gso_size;
        return cut(&out, kind, each, arg);
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
