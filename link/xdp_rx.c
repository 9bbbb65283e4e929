/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "link/xdp_rx.h"

/* Ethernet, and the longest headers of IPv4 and TCP: a piece with as many bytes has all headers. */
enum { HEADERS_MAX = WR_ETH_HEAD + 60 + 60, IP6_NEXT = 6, CALM_ROUNDS = 1000 };

static const struct xdp_desc *piece(const struct wr_xdp_rx *rx, uint32_t i)
{
    return xsk_ring_cons__rx_desc(&rx->ring, rx->next + i);
}

static uint64_t chunk_of(const struct xdp_desc *desc)
{
    return desc->addr & ~(uint64_t)(WR_XDP_CHUNK - 1);
}

static void fill(struct wr_xdp_rx *rx, uint64_t chunk)
{
    uint32_t at = 0;
    if (xsk_ring_prod__reserve(&rx->fill, 1, &at) == 1) {
        *xsk_ring_prod__fill_addr(&rx->fill, at) = chunk;
        xsk_ring_prod__submit(&rx->fill, 1);
    }
}

static void give_back(struct wr_xdp_rx *rx, uint64_t chunk)
{
    if (rx->used <= rx->want) {
        fill(rx, chunk);
        return;
    }
    rx->spare[rx->n_spare++] = chunk;
    rx->used--;
}

static void use_more(struct wr_xdp_rx *rx)
{
    for (; rx->used < rx->want && rx->n_spare > 0; rx->used++)
        fill(rx, rx->spare[--rx->n_spare]);
}

void wr_xdp_rx_fill(struct wr_xdp_rx *rx)
{
    for (uint64_t i = WR_XDP_RX_CHUNKS; i > 0; i--)
        rx->spare[rx->n_spare++] = (i - 1) * WR_XDP_CHUNK;
    rx->want = rx->least;
    use_more(rx);
}

/* So many pieces that came have not been read. */
static void adapt(struct wr_xdp_rx *rx, uint32_t came)
{
    if (came > rx->want / 4 * 3 && rx->want < WR_XDP_RX_CHUNKS) {
        rx->want *= 2;
        use_more(rx);
    }
    rx->calm = came < rx->want / 8 ? rx->calm + 1 : 0;
    if (rx->calm < CALM_ROUNDS || rx->want <= rx->least)
        return;
    rx->want /= 2;
    rx->calm = 0;
}

/* How many pieces the next frame has, and how long it is; 0 when it is not all there. */
static uint32_t next_frame(struct wr_xdp_rx *rx, size_t *len)
{
    uint32_t at = 0, more = xsk_ring_cons__peek(&rx->ring, WR_XDP_RX_CHUNKS, &at);
    if (rx->left == 0)
        rx->next = at;
    rx->left += more;
    if (more > 0)
        adapt(rx, rx->left);
    *len = 0;
    for (uint32_t i = 0; i < rx->left; i++) {
        const struct xdp_desc *desc = piece(rx, i);
        *len += desc->len;
        if (!(desc->options & XDP_PKT_CONTD))
            return i + 1;
    }
    return 0;
}

/* The pieces of a frame have been read. The chunk of the first one may still be lent. */
static void done(struct wr_xdp_rx *rx, uint32_t n, bool lend_first)
{
    rx->lends = lend_first;
    rx->lent = chunk_of(piece(rx, 0));
    for (uint32_t i = lend_first; i < n; i++)
        give_back(rx, chunk_of(piece(rx, i)));
    rx->next += n;
    rx->left -= n;
    xsk_ring_cons__release(&rx->ring, n);
}

/* Are all headers in the first piece, however long they are? Behind IPv6's there may be any number. */
static bool headers_are_here(const uint8_t *data, size_t here, size_t len)
{
    return here == len || (here >= HEADERS_MAX && (wr_link_get16(data + 12) != 0x86dd ||
                                                   data[WR_ETH_HEAD + IP6_NEXT] == WR_PROTO_TCP));
}

/* What the headers tell that XDP does not. `here` bytes of the frame are at `data`. */
static void judge(const struct wr_xdp_rx *rx, const uint8_t *data, size_t here,
                  struct weir_frame *frame)
{
    struct wr_link_view view;
    if (!rx->trusts || !headers_are_here(data, here, frame->len) ||
        !wr_link_view(data, frame->len, WEIR_NETIF_ETHERNET, &view))
        return;
    size_t head = view.payload - view.l3;
    frame->csum_valid = wr_link_is_unfinished(data, &view);
    if (view.proto == WR_PROTO_TCP && !view.fragment && view.end - view.l3 > rx->mtu &&
        rx->mtu > head)
        frame->gso_size = (uint16_t)(rx->mtu - head);
}

/* Copies what stands behind the first `skip` bytes of the first piece, and the others. */
static void gather(const struct wr_xdp_rx *rx, uint32_t n, size_t skip, uint8_t *to)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct xdp_desc *desc = piece(rx, i);
        memcpy(to, rx->area + desc->addr + skip, desc->len - skip);
        to += desc->len - skip;
        skip = 0;
    }
}

static void take_pieces(struct wr_xdp_rx *rx, uint32_t n, const struct weir_room *room,
                        struct weir_frame *frame)
{
    size_t here = piece(rx, 0)->len;
    bool fits = room != NULL && frame->csum_valid && room->head_len <= here &&
                frame->len - room->head_len <= room->len;
    if (fits) {
        gather(rx, n, room->head_len, room->data);
        frame->body = room->data;
        frame->body_at = room->head_len;
    } else {
        gather(rx, n, 0, rx->whole);
        frame->data = rx->whole;
    }
    done(rx, n, fits);
}

bool wr_xdp_rx_take(struct wr_xdp_rx *rx, const struct weir_room *room, struct weir_frame *frame)
{
    size_t len;
    if (rx->lends)
        give_back(rx, rx->lent);
    rx->lends = false;
    uint32_t n = next_frame(rx, &len);
    if (n == 0)
        return false;
    const struct xdp_desc *first = piece(rx, 0);
    *frame = (struct weir_frame){.data = rx->area + first->addr, .len = len};
    if (n > 1 && (len > WR_XDP_FRAME_MAX || rx->whole == NULL))
        frame->len = first->len;
    else
        judge(rx, frame->data, first->len, frame);
    if (n > 1 && frame->len > first->len)
        take_pieces(rx, n, room, frame);
    else
        done(rx, n, true);
    return true;
}
