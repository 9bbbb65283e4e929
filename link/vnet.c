/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "link/vnet.h"

/* A name of Linux 6.2 that older headers lack. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#    define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* ---- out ---------------------------------------------------------------------------------------- */

bool wr_vnet_out(const struct weir_out *out, struct virtio_net_hdr *h)
{
    memset(h, 0, sizeof *h);
    if (out->csum_partial) {
        h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h->csum_start = out->csum_start;
        h->csum_offset = out->csum_offset;
    }
    if (out->gso_size == 0)
        return true;
    if (!out->csum_partial || out->csum_start + 20u > out->head_len)
        return false;
    const uint8_t *tcp = out->head + out->csum_start;
    h->gso_type = out->gso_ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
    if (tcp[13] & WR_CWR)
        h->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    h->gso_size = out->gso_size;
    h->hdr_len = (uint16_t)(out->csum_start + (tcp[12] >> 4) * 4);
    return true;
}

/* ---- in ----------------------------------------------------------------------------------------- */

bool wr_vnet_next(struct wr_vnet_rest *rest, struct weir_frame *in)
{
    struct wr_link_view v = rest->view;
    if (!wr_vnet_has(rest))
        return false;
    size_t len = (size_t)(rest->end - rest->next);
    if (len > rest->gso)
        len = rest->gso;
    uint8_t *to = rest->next - rest->head_len;
    memmove(to, rest->head, rest->head_len);
    rest->head = to;
    v.end = v.payload + len;
    if (v.family == 4) {
        uint8_t *id = to + v.l3 + 4;
        wr_link_put16(to + v.l3 + 2, (uint16_t)(v.end - v.l3));
        wr_link_put16(id, (uint16_t)(wr_link_get16(id) + (rest->index > 0)));
    } else {
        wr_link_put16(to + v.l3 + 4, (uint16_t)(v.end - v.l3 - 40));
    }
    wr_link_put16(to + v.l4 + 4, (uint16_t)(v.end - v.l4));
    wr_link_put16(to + v.l4 + 6, 0xffff); /* "there is one": finish computes it */
    wr_link_finish(to, &v);
    *in = (struct weir_frame){.data = to, .len = v.end};
    rest->next += len;
    rest->index++;
    return true;
}

static void begin_udp(uint8_t *frame, size_t len, uint16_t gso, enum weir_netif_kind kind,
                      struct wr_vnet_rest *rest, struct weir_frame *in)
{
    struct wr_link_view *v = &rest->view;
    bool whole = wr_link_view(frame, len, kind, v);
    if (!whole || v->proto != WR_PROTO_UDP || v->fragment || gso == 0 || v->payload == v->end) {
        *in = (struct weir_frame){.data = frame, .len = len};
        return;
    }
    rest->head = frame;
    rest->head_len = v->payload;
    rest->next = frame + v->payload;
    rest->end = frame + v->end;
    rest->gso = gso;
    rest->index = 0;
    wr_vnet_next(rest, in);
}

/* Finishes the checksum of a UDP datagram: an ICMP error may quote it, and the quote must be right. */
static void finish_udp(uint8_t *frame, size_t len, const struct virtio_net_hdr *h)
{
    if (h->csum_offset != WR_VNET_CSUM_UDP || len < 8 || h->csum_start > len - 8)
        return;
    uint16_t sum = (uint16_t)~wr_link_sum(frame + h->csum_start, len - h->csum_start, 0);
    wr_link_put16(frame + h->csum_start + 6, sum == 0 ? 0xffff : sum);
}

void wr_vnet_in_any(const struct virtio_net_hdr *h, uint8_t *frame, size_t len,
                    enum weir_netif_kind kind, struct wr_vnet_rest *rest, struct weir_frame *in)
{
    unsigned gso = h->gso_type & ~(unsigned)VIRTIO_NET_HDR_GSO_ECN;
    if (gso == VIRTIO_NET_HDR_GSO_UDP_L4) {
        begin_udp(frame, len, h->gso_size, kind, rest, in);
        return;
    }
    if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
        finish_udp(frame, len, h);
    *in = (struct weir_frame){
        .data = frame,
        .len = len,
        .gso_size = gso == VIRTIO_NET_HDR_GSO_NONE ? 0 : h->gso_size,
        .csum_valid = (h->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0,
    };
}

static bool is_tcp_super(const struct virtio_net_hdr *h)
{
    unsigned gso = h->gso_type & ~(unsigned)VIRTIO_NET_HDR_GSO_ECN;
    return (gso == VIRTIO_NET_HDR_GSO_TCPV4 || gso == VIRTIO_NET_HDR_GSO_TCPV6) &&
           h->csum_offset == 16;
}

void wr_vnet_in_room(const struct virtio_net_hdr *h, uint8_t *frame, size_t len,
                     enum weir_netif_kind kind, const struct weir_room *room,
                     struct wr_vnet_rest *rest, struct weir_frame *in)
{
    bool inside = len > room->head_len, stays = inside && is_tcp_super(h);
    if (inside && !stays)
        memcpy(frame + room->head_len, room->data, len - room->head_len);
    wr_vnet_in(h, frame, len, kind, rest, in);
    if (!stays)
        return;
    in->body = room->data;
    in->body_at = room->head_len;
}
