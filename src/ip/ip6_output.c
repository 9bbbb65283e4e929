/* SPDX-License-Identifier: MIT */
/* IPv6 headers and fragments on the way out: RFC 8200 3 and 4.5. Only the source fragments. */
#include "ip/ip.h"

static void fill(struct weir_stack *stack, const struct wr_path *path, const struct wr_ip_tx *tx,
                 struct w_ip6 *ip)
{
    const struct wr_ndp_if *ndp;
    memset(ip, 0, sizeof *ip);
    ip->src = tx->src;
    ip->dst = tx->dst;
    ip->tclass = tx->ds;
    ip->flow = tx->flow_label & 0xfffff;
    ip->next = tx->proto;
    ip->hop_limit = tx->hop_limit;
    if (ip->hop_limit == 0) {
        ndp = wr_list_is_empty(&stack->ip->ndp_ifs) ? NULL : wr_ndp_if_find(stack, path->netif);
        ip->hop_limit =
            ndp && ndp->hop_limit ? ndp->hop_limit : (uint8_t)stack->tunables.ip_default_ttl;
    }
}

void wr_ip6_write_header(struct weir_stack *stack, const struct wr_path *path,
                         const struct wr_ip_tx *tx, size_t payload_len, uint8_t *p)
{
    struct w_ip6 ip;
    fill(stack, path, tx, &ip);
    ip.payload_len = (uint16_t)payload_len;
    wr_w_ip6_emit(p, &ip);
}

int wr_ip6_fragment(struct weir_stack *stack, const struct wr_path *path, const struct wr_ip_tx *tx,
                    const struct weir_span *spans, unsigned n_spans, uint32_t mtu, weir_time now)
{
    enum { HEAD = W_IP6_HLEN + W_IP6FRAG_LEN };
    size_t len = wr_spans_len(spans, n_spans);
    size_t unit = (mtu - HEAD) & ~(size_t)7;
    uint32_t id = wr_ip_next_id(stack, tx, 1);
    struct w_ip6 ip;

    fill(stack, path, tx, &ip);
    ip.next = W_IPPROTO_FRAGMENT;
    for (size_t off = 0; off < len; off += unit) {
        size_t n = len - off < unit ? len - off : unit;
        struct wr_qpkt *pkt = wr_qpkt_new(stack, WR_LINK_HEADROOM, HEAD + n);
        uint8_t *p;
        int err;
        if (!pkt) {
            wr_drop(stack, WR_DROP_no_memory);
            return WEIR_ENOBUFS;
        }
        p = pkt->data + pkt->offset;
        ip.payload_len = (uint16_t)(W_IP6FRAG_LEN + n);
        wr_w_ip6_emit(p, &ip);
        wr_w_ip6frag_emit(p + W_IP6_HLEN, tx->proto, (uint16_t)off, off + n < len, id);
        wr_ip_copy_range(p + HEAD, spans, n_spans, off, n);
        wr_count(stack, WR_STAT_ip_frag_created);
        err = wr_neigh_send(stack, path->netif, &path->next_hop, &path->src, pkt, now);
        if (err)
            return err;
    }
    return 0;
}
