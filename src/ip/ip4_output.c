/* SPDX-License-Identifier: MIT */
/*
 * IPv4 headers and fragments on the way out: RFC 791 3.2, RFC 6864.
 *
 * A packet that may not be fragmented is atomic and carries identification 0, as on Linux; nobody can
 * learn anything from it. The others count up per pair of hosts, see wr_ip_next_id().
 */
#include "base/hint.h"
#include "ip/ip.h"

static uint8_t ttl_of(const struct weir_stack *stack, uint8_t hop_limit)
{
    return hop_limit ? hop_limit : (uint8_t)stack->tunables.ip_default_ttl;
}

static void fill(struct weir_stack *stack, const struct wr_ip_tx *tx, struct w_ip4 *ip)
{
    ip->src = tx->src;
    ip->dst = tx->dst;
    ip->tos = tx->ds;
    ip->ttl = ttl_of(stack, tx->hop_limit);
    ip->proto = tx->proto;
    ip->hdr_len = W_IP4_HLEN;
    ip->total_len = ip->id = ip->frag_off = 0;
    ip->dont_frag = tx->dont_fragment;
    ip->more_frags = ip->reserved = false;
    ip->opts = NULL;
}

void wr_ip_emit_atomic(struct weir_stack *stack, const struct weir_addr *src,
                       const struct weir_addr *dst, uint8_t proto, uint8_t hop_limit, uint8_t ds,
                       size_t transport_len, uint8_t *p)
{
    wr_w_ip4_emit_atomic(p, src, dst, proto, ttl_of(stack, hop_limit), ds,
                         (uint16_t)(W_IP4_HLEN + transport_len));
    wr_count(stack, WR_STAT_ip_out);
}

void wr_ip4_write_header(struct weir_stack *stack, const struct wr_ip_tx *tx, size_t payload_len,
                         unsigned gso_segs, uint8_t *p)
{
    struct w_ip4 ip;

    if (wr_may_be_short(stack) && tx->dont_fragment && payload_len <= UINT16_MAX - W_IP4_HLEN) {
        wr_w_ip4_emit_atomic(p, &tx->src, &tx->dst, tx->proto, ttl_of(stack, tx->hop_limit), tx->ds,
                             (uint16_t)(W_IP4_HLEN + payload_len));
        return;
    }
    fill(stack, tx, &ip);
    if (payload_len <= UINT16_MAX - W_IP4_HLEN) /* else 0: weir_netif_config.gso_max_bytes */
        ip.total_len = (uint16_t)(W_IP4_HLEN + payload_len);
    if (!tx->dont_fragment)
        ip.id = (uint16_t)wr_ip_next_id(stack, tx, gso_segs > 1 ? gso_segs : 1);
    wr_w_ip4_emit(p, &ip);
}

int wr_ip4_fragment(struct weir_stack *stack, const struct wr_path *path, const struct wr_ip_tx *tx,
                    const struct weir_span *spans, unsigned n_spans, uint32_t mtu, weir_time now)
{
    size_t len = wr_spans_len(spans, n_spans);
    size_t unit = (mtu - W_IP4_HLEN) & ~(size_t)7;
    struct w_ip4 ip;

    fill(stack, tx, &ip);
    ip.id = (uint16_t)wr_ip_next_id(stack, tx, 1);
    for (size_t off = 0; off < len; off += unit) {
        size_t n = len - off < unit ? len - off : unit;
        struct wr_qpkt *pkt = wr_qpkt_new(stack, WR_LINK_HEADROOM, W_IP4_HLEN + n);
        int err;
        if (!pkt) {
            wr_drop(stack, WR_DROP_no_memory);
            return WEIR_ENOBUFS;
        }
        ip.frag_off = (uint16_t)off;
        ip.more_frags = off + n < len;
        ip.total_len = (uint16_t)(W_IP4_HLEN + n);
        wr_w_ip4_emit(pkt->data + pkt->offset, &ip);
        wr_ip_copy_range(pkt->data + pkt->offset + W_IP4_HLEN, spans, n_spans, off, n);
        wr_count(stack, WR_STAT_ip_frag_created);
        err = wr_neigh_send(stack, path->netif, &path->next_hop, &path->src, pkt, now);
        if (err)
            return err;
    }
    return 0;
}
