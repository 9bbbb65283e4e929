/* SPDX-License-Identifier: MIT */
/*
 * The way out of IP for both families.
 *
 * Two doors. Bulk TCP writes its header into the frame that weir_output() was given and lends its
 * payload: wr_ip_emit() puts the headers in front and nothing is queued. Everything else is copied into
 * a packet, cut if need be, and goes through the neighbour's entry to the interface's queue:
 * wr_ip_send().
 */
#include "ip/ip.h"

#include "wire/w_eth.h"

static size_t ip_head_len(const struct weir_addr *dst)
{
    return weir_addr_is_v4(dst) ? W_IP4_HLEN : W_IP6_HLEN;
}

size_t wr_ip_head_len(const struct wr_path *path, const struct weir_addr *dst)
{
    size_t link = path->netif->config.kind == WEIR_NETIF_ETHERNET ? W_ETH_HLEN : 0;
    return link + ip_head_len(dst);
}

uint32_t wr_ip_next_id(struct weir_stack *stack, const struct wr_ip_tx *tx, uint32_t n)
{
    uint8_t key[33];
    uint64_t hash;
    uint32_t *counter, id;
    memcpy(key, tx->src.b, 16);
    memcpy(key + 16, tx->dst.b, 16);
    key[32] = tx->proto;
    hash = wr_ip_hash(stack, key, sizeof key);
    counter = &stack->ip->id_counter[hash % WR_ID_BUCKETS];
    id = *counter + (uint32_t)(hash >> 32);
    *counter += n;
    return id;
}

void wr_ip_copy_range(uint8_t *dst, const struct weir_span *spans, unsigned n_spans, size_t off,
                      size_t len)
{
    for (unsigned i = 0; i < n_spans && len > 0; i++) {
        size_t n;
        if (off >= spans[i].len) {
            off -= spans[i].len;
            continue;
        }
        n = spans[i].len - off < len ? spans[i].len - off : len;
        wr_bytes_copy(dst, spans[i].ptr + off, n);
        dst += n;
        len -= n;
        off = 0;
    }
}

void wr_ip_emit(struct weir_stack *stack, const struct wr_path *path, const struct wr_ip_tx *tx,
                size_t transport_len, unsigned gso_segs, uint8_t *head, weir_time now)
{
    bool v4 = weir_addr_is_v4(&tx->dst);
    if (path->netif->config.kind == WEIR_NETIF_ETHERNET) {
        struct w_eth eth = {.type = v4 ? W_ETHERTYPE_IP4 : W_ETHERTYPE_IP6};
        bool known = wr_neigh_mac(stack, path, eth.dst, now);
        assert(known && "wr_neigh_resolve() must have said READY");
        (void)known;
        memcpy(eth.src, path->netif->config.mac, sizeof eth.src);
        wr_w_eth_emit(head, &eth);
        head += W_ETH_HLEN;
    }
    wr_count(stack, WR_STAT_ip_out);
    if (v4)
        wr_ip4_write_header(stack, tx, transport_len, gso_segs, head);
    else
        wr_ip6_write_header(stack, path, tx, transport_len, head);
}

/* One packet that fits. */
static int send_whole(struct weir_stack *stack, const struct wr_path *path,
                      const struct wr_ip_tx *tx, const struct weir_span *spans, unsigned n_spans,
                      size_t len, weir_time now)
{
    size_t head_len = ip_head_len(&tx->dst);
    struct wr_qpkt *pkt = wr_qpkt_new(stack, WR_LINK_HEADROOM, head_len + len);
    uint8_t *p;
    if (!pkt) {
        wr_drop(stack, WR_DROP_no_memory);
        return WEIR_ENOBUFS;
    }
    p = pkt->data + pkt->offset;
    if (weir_addr_is_v4(&tx->dst))
        wr_ip4_write_header(stack, tx, len, 1, p);
    else
        wr_ip6_write_header(stack, path, tx, len, p);
    wr_spans_copy(p + head_len, spans, n_spans);
    if (tx->csum_offset != 0)
        wr_ip_leave_csum(pkt, head_len, tx->csum_offset);
    return wr_neigh_send(stack, path->netif, &path->next_hop, &path->src, pkt, now);
}

/* The smallest number of bytes that a header and one unit of data take in a fragment. */
static size_t least_mtu(const struct weir_addr *dst)
{
    return weir_addr_is_v4(dst) ? W_IP4_HLEN + 8 : W_IP6_HLEN + W_IP6FRAG_LEN + 8;
}

static int send_on(struct weir_stack *stack, const struct wr_path *path, const struct wr_ip_tx *tx,
                   const struct weir_span *spans, unsigned n_spans, weir_time now)
{
    bool v4 = weir_addr_is_v4(&tx->dst);
    size_t len = wr_spans_len(spans, n_spans);
    size_t whole = ip_head_len(&tx->dst) + len;
    uint32_t mtu = wr_path_mtu(stack, path, &tx->dst);
    size_t frames;

    if (!path->netif->up)
        return WEIR_ENETDOWN;
    if (v4 ? whole > 65535 : len > 65535)
        return WEIR_EMSGSIZE;
    if (whole > mtu && (tx->dont_fragment || mtu < least_mtu(&tx->dst)))
        return WEIR_EMSGSIZE;
    frames = whole <= mtu ? 1 : len / ((mtu - least_mtu(&tx->dst)) + 1) + 1;
    if (path->netif->queue_len + frames > (uint64_t)stack->tunables.netif_queue_frames) {
        wr_drop(stack, WR_DROP_netif_queue_full);
        return WEIR_ENOBUFS;
    }
    wr_count(stack, WR_STAT_ip_out);
    if (whole <= mtu)
        return send_whole(stack, path, tx, spans, n_spans, len, now);
    if (v4)
        return wr_ip4_fragment(stack, path, tx, spans, n_spans, mtu, now);
    return wr_ip6_fragment(stack, path, tx, spans, n_spans, mtu, now);
}

int wr_ip_send(struct weir_stack *stack, const struct wr_path *path, const struct wr_ip_tx *tx,
               const struct weir_span *spans, unsigned n_spans, weir_time now)
{
    struct wr_path found;
    struct wr_ip_tx with_src = *tx;
    if (!path || wr_path_stale(stack, path)) {
        int err = wr_path_find(stack, &tx->dst, &tx->src, &found);
        if (err) {
            wr_drop(stack, WR_DROP_no_route);
            return err;
        }
        path = &found;
        with_src.src = found.src;
    }
    return send_on(stack, path, &with_src, spans, n_spans, now);
}

struct wr_qpkt *wr_ip_room(struct weir_stack *stack, size_t whole)
{
    struct wr_qpkt *pkt = wr_qpkt_new(stack, WR_LINK_HEADROOM, whole);

    if (pkt == NULL) {
        wr_count(stack, WR_STAT_ip_out);
        wr_drop(stack, WR_DROP_no_memory);
    }
    return pkt;
}
