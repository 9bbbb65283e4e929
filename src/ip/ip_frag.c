/* SPDX-License-Identifier: MIT */
/*
 * Reassembly for both families: RFC 791 3.2, RFC 815, RFC 8200 4.5, RFC 5722, RFC 8900 3.
 *
 * A datagram is the list of its pieces in the order of arrival, and the set of byte ranges that they
 * cover:
 *
 *     pieces    [1480..2960) [0..1480) ...          copied together once, when the set is one range
 *     ranges    [0..2960)                           from 0 to the end that the last piece told
 *
 * A piece that lies wholly in what is there is a duplicate and dropped alone; one that overlaps in part
 * kills the datagram (RFC 5722 4, and for IPv4 too, as Linux): its pieces are freed and the rest of it is
 * dropped until its time is up. So no order of arrival lets an attacker choose whose bytes win. Finding
 * that out is O(log n), and nothing is ever sorted.
 *
 * Memory has two bounds. All together get ipfrag_high_thresh (4 MiB). Senders are put into groups by a
 * keyed hash of their address; when the bound is reached, the oldest datagram of the group that holds
 * most goes, so that one sender can only displace itself. Every piece is charged with what it costs to
 * keep, so tiny ones do not come cheap. A datagram lives 30 s (IPv6 60 s) from its first piece; then the
 * sender is told (code 1) if the piece that has the header is there, within the limits for ICMP errors.
 */
#include "ip/ip.h"

#include "base/ranges.h"
#include "wire/w_icmp4.h"
#include "wire/w_icmp6.h"

enum {
    DATAGRAM_MAX = 65535,
    PIECES_MAX = 2048, /* 64 KiB in pieces of an MTU of 68 need 1365 */
    PIECE_COST = 64,   /* charged beside the bytes: list node, its share of the ranges */
    TCP_HEADER_MIN = 20
};

/* One fragment as it came; the first keeps its headers. */
struct piece {
    struct wr_list node;
    uint32_t size;     /* allocated */
    uint32_t off, len; /* of the payload, in the datagram */
    uint32_t head_len; /* bytes of header in front of the payload in data[]; first piece only */
    uint8_t data[];
};

struct datagram {
    struct wr_hash_node hash;
    struct wr_list node; /* in its source's list */
    struct weir_addr src, dst;
    uint32_t id;
    uint8_t proto; /* IPv4 only: part of the key there */
    struct wr_netif *netif;
    struct wr_frag_source *source;
    struct wr_list pieces;
    unsigned n_pieces;
    struct piece *first; /* the piece at 0 */
    struct wr_ranges have;
    uint32_t total;    /* payload bytes; 0: not known */
    uint32_t bytes;    /* charged */
    uint32_t next_off; /* IPv6: the field to patch in the first piece's header */
    uint8_t next;      /* IPv6: what to patch it with */
    uint8_t ecn_seen;  /* bit 1 << codepoint */
    bool dead;         /* overlap: swallow what else comes */
    bool dst_unicast;
    uint8_t hop_limit, ds;
    struct wr_timer timer; /* WR_TIMER_FRAG */
};

/* What both families say about a fragment. */
struct fragment {
    const struct wr_pkt *pkt; /* netif, addresses, l3; data and len are its payload */
    uint32_t id, off;
    bool more;
    uint8_t proto;     /* key for IPv4, next header for IPv6 */
    uint32_t head_len; /* of l3, in front of what is to be put together */
    uint32_t next_off;
};

/* ---- the table --------------------------------------------------------------------------------- */

void wr_frag_init(struct weir_stack *stack)
{
    struct wr_ip *ip = stack->ip;
    wr_table_init(stack, &ip->frags, "fragments", UINT32_MAX);
    for (unsigned i = 0; i < WR_FRAG_SOURCES; i++)
        wr_list_init(&ip->frag_source[i].datagrams);
}

static uint64_t key_hash(const struct wr_ip *ip, const struct fragment *frag)
{
    uint8_t key[16 + 16 + 4 + 1];
    memcpy(key, frag->pkt->src.b, 16);
    memcpy(key + 16, frag->pkt->dst.b, 16);
    put_be32(key + 32, frag->id);
    key[36] = weir_addr_is_v4(&frag->pkt->src) ? frag->proto : 0;
    return wr_hash_of(&ip->frags, key, sizeof key);
}

static void charge(struct wr_ip *ip, struct datagram *dg, uint32_t bytes)
{
    dg->bytes += bytes;
    dg->source->bytes += bytes;
    ip->frag_bytes += bytes;
}

static void refund(struct wr_ip *ip, struct datagram *dg, uint32_t bytes)
{
    dg->bytes -= bytes;
    dg->source->bytes -= bytes;
    ip->frag_bytes -= bytes;
}

static void free_pieces(struct weir_stack *stack, struct datagram *dg)
{
    struct wr_list *node;
    while ((node = wr_list_pop_front(&dg->pieces)) != NULL) {
        struct piece *piece = WR_CONTAINER(node, struct piece, node);
        refund(stack->ip, dg, piece->size + PIECE_COST);
        wr_free(stack, piece, piece->size);
    }
    dg->first = NULL;
    dg->n_pieces = 0;
    wr_ranges_clear(&dg->have, &stack->alloc);
}

static void forget(struct weir_stack *stack, struct datagram *dg)
{
    free_pieces(stack, dg);
    refund(stack->ip, dg, (uint32_t)sizeof *dg);
    wr_timer_cancel(stack, &dg->timer);
    wr_hash_remove(&stack->ip->frags, &dg->hash);
    wr_list_remove(&dg->node);
    wr_free(stack, dg, sizeof *dg);
}

void wr_frag_flush(struct weir_stack *stack, const struct wr_netif *netif)
{
    for (unsigned i = 0; i < WR_FRAG_SOURCES; i++) {
        WR_LIST_FOREACH_SAFE(node, &stack->ip->frag_source[i].datagrams)
        {
            struct datagram *dg = WR_CONTAINER(node, struct datagram, node);
            if (!netif || dg->netif == netif)
                forget(stack, dg);
        }
    }
    if (!netif)
        wr_hash_fini(&stack->ip->frags);
}

/* The group that holds most gives up its oldest datagram. False when there is nothing to give. */
static bool evict_one(struct weir_stack *stack, const struct datagram *keep)
{
    struct wr_ip *ip = stack->ip;
    struct wr_frag_source *most = &ip->frag_source[0];
    struct wr_list *node;
    for (unsigned i = 1; i < WR_FRAG_SOURCES; i++) {
        if (ip->frag_source[i].bytes > most->bytes)
            most = &ip->frag_source[i];
    }
    node = wr_list_first(&most->datagrams);
    if (node && WR_CONTAINER(node, struct datagram, node) == keep)
        node = node->next == &most->datagrams ? NULL : node->next;
    if (!node)
        return false;
    wr_drop(stack, WR_DROP_frag_memory);
    forget(stack, WR_CONTAINER(node, struct datagram, node));
    return true;
}

static bool make_room(struct weir_stack *stack, const struct datagram *keep, size_t bytes)
{
    size_t most = (size_t)stack->tunables.ipfrag_high_thresh_bytes;
    while (stack->ip->frag_bytes + bytes > most) {
        if (!evict_one(stack, keep))
            return false;
    }
    return true;
}

static struct datagram *find(struct wr_ip *ip, const struct fragment *frag, uint64_t hash)
{
    for (struct wr_hash_node *n = wr_hash_first(&ip->frags, hash); n; n = wr_hash_next(n)) {
        struct datagram *dg = WR_CONTAINER(n, struct datagram, hash);
        if (dg->id == frag->id && weir_addr_eq(&dg->src, &frag->pkt->src) &&
            weir_addr_eq(&dg->dst, &frag->pkt->dst) &&
            (dg->proto == frag->proto || !weir_addr_is_v4(&dg->src)))
            return dg;
    }
    return NULL;
}

static struct datagram *make(struct weir_stack *stack, const struct fragment *frag, uint64_t hash,
                             weir_time now)
{
    struct wr_ip *ip = stack->ip;
    const struct wr_pkt *pkt = frag->pkt;
    bool v4 = weir_addr_is_v4(&pkt->src);
    weir_time life =
        (v4 ? stack->tunables.ipfrag_time_s : stack->tunables.ip6frag_time_s) * WEIR_SEC;
    struct datagram *dg;

    if (!make_room(stack, NULL, sizeof *dg))
        return NULL;
    dg = wr_zalloc(stack, sizeof *dg);
    if (!dg || !wr_hash_insert(&ip->frags, &dg->hash, hash)) {
        wr_free(stack, dg, sizeof *dg);
        return NULL;
    }
    dg->src = pkt->src;
    dg->dst = pkt->dst;
    dg->id = frag->id;
    dg->proto = frag->proto;
    dg->netif = pkt->netif;
    dg->dst_unicast = pkt->dst_unicast;
    dg->source =
        &ip->frag_source[wr_ip_hash(stack, pkt->src.b, sizeof pkt->src.b) % WR_FRAG_SOURCES];
    wr_list_init(&dg->pieces);
    wr_list_init(&dg->node);
    wr_ranges_init(&dg->have, PIECES_MAX);
    wr_list_push_back(&dg->source->datagrams, &dg->node);
    charge(ip, dg, (uint32_t)sizeof *dg);
    wr_timer_init(&dg->timer, WR_TIMER_FRAG);
    wr_timer_arm(stack, &dg->timer, weir_time_after(now, life));
    return dg;
}

/* ---- one piece --------------------------------------------------------------------------------- */

/* The datagram is not to be trusted any more: what has come goes, what comes is dropped. */
static void kill_datagram(struct weir_stack *stack, struct datagram *dg, enum wr_drop why)
{
    wr_drop(stack, why);
    free_pieces(stack, dg);
    dg->dead = true;
}

/* Do the ends agree: nothing beyond the last piece, only one last piece? */
static bool ends_agree(const struct datagram *dg, uint32_t end, bool more)
{
    struct wr_range last;
    if (dg->total != 0 && (end > dg->total || (!more && end != dg->total)))
        return false;
    return more || !wr_ranges_last(&dg->have, &last) || last.end <= end;
}

static bool overlaps(const struct datagram *dg, uint32_t start, uint32_t end)
{
    struct wr_range next;
    return wr_ranges_next(&dg->have, start, &next) && next.start < end;
}

static struct piece *keep_piece(struct weir_stack *stack, struct datagram *dg,
                                const struct fragment *frag)
{
    const struct wr_pkt *pkt = frag->pkt;
    uint32_t len = (uint32_t)pkt->len;
    uint32_t head = frag->off == 0 ? frag->head_len : 0;
    /* The first piece keeps all of its packet, so that a time-out can quote it. */
    uint32_t all = frag->off == 0 ? (uint32_t)pkt->l3_len : len;
    uint32_t size = (uint32_t)sizeof(struct piece) + all;
    struct piece *piece;

    if (!make_room(stack, dg, size + PIECE_COST))
        return NULL;
    piece = wr_alloc(stack, size);
    if (!piece)
        return NULL;
    if (wr_ranges_insert(&dg->have, &stack->alloc, frag->off, frag->off + len) != 0) {
        wr_free(stack, piece, size);
        return NULL;
    }
    piece->size = size;
    piece->off = frag->off;
    piece->len = len;
    piece->head_len = head;
    memcpy(piece->data, frag->off == 0 ? pkt->l3 : pkt->data, all);
    wr_list_init(&piece->node);
    wr_list_push_back(&dg->pieces, &piece->node);
    charge(stack->ip, dg, size + PIECE_COST);
    return piece;
}

/* Where a piece's payload lies in its data[]. */
static const uint8_t *payload_of(const struct piece *piece)
{
    return piece->data + (piece->size - sizeof *piece - piece->len);
}

/* True when the piece was taken in. */
static bool add(struct weir_stack *stack, struct datagram *dg, const struct fragment *frag)
{
    uint32_t start = frag->off, end = frag->off + (uint32_t)frag->pkt->len;
    struct piece *piece;

    if (dg->dead) {
        wr_drop(stack, WR_DROP_frag_after_drop);
        return false;
    }
    if (wr_ranges_contains(&dg->have, start, end) && (frag->more || end == dg->total)) {
        wr_drop(stack, WR_DROP_frag_duplicate);
        return false;
    }
    if (!ends_agree(dg, end, frag->more)) {
        kill_datagram(stack, dg, WR_DROP_frag_bad_length);
        return false;
    }
    if (overlaps(dg, start, end)) {
        kill_datagram(stack, dg, WR_DROP_frag_overlap);
        return false;
    }
    piece = dg->n_pieces < PIECES_MAX ? keep_piece(stack, dg, frag) : NULL;
    if (!piece) {
        wr_drop(stack, WR_DROP_frag_memory);
        return false;
    }
    dg->n_pieces++;
    dg->ecn_seen |= (uint8_t)(1u << (frag->pkt->ds & 3));
    if (!frag->more)
        dg->total = end;
    if (start == 0) {
        dg->first = piece;
        dg->next_off = frag->next_off;
        dg->next = frag->proto;
        dg->hop_limit = frag->pkt->hop_limit;
        dg->ds = frag->pkt->ds;
    }
    return true;
}

/* ---- the whole --------------------------------------------------------------------------------- */

/* RFC 3168 5.3: a mark on any piece marks the whole; marked and not-ECT pieces do not go together. */
static bool join_ecn(const struct datagram *dg, uint8_t *ds)
{
    enum { NOT_ECT = 1 << 0, CE = 1 << 3 };
    *ds = dg->ds;
    if (!(dg->ecn_seen & CE))
        return true;
    *ds |= 3;
    return !(dg->ecn_seen & NOT_ECT);
}

static void gather(const struct datagram *dg, uint8_t *out)
{
    memcpy(out, dg->first->data, dg->first->head_len);
    WR_LIST_FOREACH(node, &dg->pieces)
    {
        const struct piece *piece = WR_CONTAINER(node, struct piece, node);
        memcpy(out + dg->first->head_len + piece->off, payload_of(piece), piece->len);
    }
}

static void deliver4(struct weir_stack *stack, const struct datagram *dg, uint8_t *p, size_t len,
                     uint8_t ds, weir_time now)
{
    struct wr_pkt pkt = {.netif = dg->netif, .reassembled = true};
    struct w_ip4 ip;
    /* The header becomes that of one whole datagram. */
    if (wr_w_ip4_parse_quoted(p, len, &ip) != W_OK)
        return;
    ip.total_len = (uint16_t)len;
    ip.more_frags = false;
    ip.frag_off = 0;
    ip.tos = ds;
    {
        uint8_t opts[W_IP4_HLEN_MAX];
        memcpy(opts, ip.opts, (size_t)ip.hdr_len - W_IP4_HLEN);
        ip.opts = opts;
        wr_w_ip4_emit(p, &ip);
    }
    pkt.src = dg->src;
    pkt.dst = dg->dst;
    pkt.l3 = p;
    pkt.l3_len = len;
    pkt.data = p + ip.hdr_len;
    pkt.len = len - ip.hdr_len;
    pkt.proto = dg->proto;
    pkt.hop_limit = dg->hop_limit;
    pkt.ds = ds;
    pkt.dst_unicast = dg->dst_unicast;
    wr_ip4_deliver(stack, &pkt, now);
}

static void deliver6(struct weir_stack *stack, const struct datagram *dg, uint8_t *p, size_t len,
                     uint8_t ds, weir_time now)
{
    p[0] = (uint8_t)(0x60 | ds >> 4);
    p[1] = (uint8_t)((p[1] & 0x0f) | (ds & 0xf) << 4);
    put_be16(p + 4, (uint16_t)(len - W_IP6_HLEN));
    p[dg->next_off] = dg->next;
    wr_ip6_reassembled(stack, dg->netif, p, len, now);
}

/* All bytes are there: puts them together and hands the packet up. */
static void complete(struct weir_stack *stack, struct datagram *dg, weir_time now)
{
    bool v4 = weir_addr_is_v4(&dg->src);
    size_t len = (size_t)dg->first->head_len + dg->total;
    /* The length fields: IPv4's counts the header, IPv6's the extension headers. */
    bool fits = v4 ? len <= DATAGRAM_MAX : len - W_IP6_HLEN <= DATAGRAM_MAX;
    uint8_t ds;
    uint8_t *p = NULL;
    struct datagram copy;

    if (!fits)
        wr_drop(stack, WR_DROP_frag_too_big);
    else if (!join_ecn(dg, &ds))
        wr_drop(stack, WR_DROP_frag_ecn_mixed);
    else if (!(p = wr_alloc(stack, len)))
        wr_drop(stack, WR_DROP_no_memory);
    if (!p) {
        forget(stack, dg);
        return;
    }
    gather(dg, p);
    copy = *dg; /* what delivery needs of it; its pieces are gone before anything is sent */
    forget(stack, dg);
    wr_count(stack, WR_STAT_ip_reasm_ok);
    if (v4)
        deliver4(stack, &copy, p, len, ds, now);
    else
        deliver6(stack, &copy, p, len, ds, now);
    wr_free(stack, p, len);
}

static void take(struct weir_stack *stack, const struct fragment *frag, weir_time now)
{
    uint64_t hash = key_hash(stack->ip, frag);
    struct datagram *dg = find(stack->ip, frag, hash);
    if (!dg)
        dg = make(stack, frag, hash, now);
    if (!dg) {
        wr_drop(stack, WR_DROP_frag_memory);
        return;
    }
    if (add(stack, dg, frag) && dg->total != 0 && dg->first &&
        wr_ranges_contains(&dg->have, 0, dg->total))
        complete(stack, dg, now);
}

/* ---- time-out ---------------------------------------------------------------------------------- */

void wr_frag_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now)
{
    struct datagram *dg = WR_CONTAINER(timer, struct datagram, timer);
    if (!dg->dead)
        wr_drop(stack, WR_DROP_frag_timeout);
    if (dg->first) { /* RFC 792, RFC 8200 4.5 */
        struct wr_pkt pkt = {
            .netif = dg->netif,
            .src = dg->src,
            .dst = dg->dst,
            .l3 = dg->first->data,
            .l3_len = dg->first->size - sizeof *dg->first,
            .data = payload_of(dg->first),
            .len = dg->first->len,
            .proto = weir_addr_is_v4(&dg->src) ? dg->proto : dg->next,
            .dst_unicast = dg->dst_unicast,
        };
        if (weir_addr_is_v4(&dg->src))
            wr_icmp4_error(stack, &pkt, W_ICMP4_TIME_EXCEEDED, W_ICMP4_EXC_REASSEMBLY, 0, now);
        else
            wr_icmp6_error(stack, &pkt, W_ICMP6_TIME_EXCEEDED, W_ICMP6_EXC_REASSEMBLY, 0, false,
                           now);
    }
    forget(stack, dg);
}

/* ---- from the families ------------------------------------------------------------------------- */

/* RFC 1858, RFC 3128: TCP fragments so small that a filter cannot see the flags. No sender needs them:
 * the smallest MTU leaves room for 48 bytes. */
static bool is_tiny(uint8_t proto, uint32_t off, size_t len)
{
    if (proto != W_IPPROTO_TCP)
        return false;
    return (off == 0 && len < TCP_HEADER_MIN) || (off > 0 && off < TCP_HEADER_MIN);
}

void wr_frag_input4(struct weir_stack *stack, const struct wr_pkt *pkt, const struct w_ip4 *ip,
                    weir_time now)
{
    struct fragment frag = {
        .pkt = pkt,
        .id = ip->id,
        .off = ip->frag_off,
        .more = ip->more_frags,
        .proto = ip->proto,
        .head_len = ip->hdr_len,
    };
    if (pkt->len == 0 || (ip->more_frags && pkt->len % 8 != 0))
        wr_drop(stack, WR_DROP_frag_bad_length);
    else if (frag.off + pkt->len + ip->hdr_len > DATAGRAM_MAX)
        wr_drop(stack, WR_DROP_frag_too_big);
    else if (is_tiny(ip->proto, frag.off, pkt->len))
        wr_drop(stack, WR_DROP_frag_tiny);
    else
        take(stack, &frag, now);
}

/* That lengths fit has been seen by wr_w_ip6ext_walk(). RFC 7112 5, RFC 8200 4.5: the first fragment must hold all headers up to the upper layer's. */
static bool headers_are_whole(const struct wr_pkt *pkt, uint8_t next)
{
    size_t off = 0;
    while (next == W_IPPROTO_HOPOPTS || next == W_IPPROTO_ROUTING || next == W_IPPROTO_DSTOPTS) {
        if (pkt->len < off + 8)
            return false;
        next = pkt->data[off];
        off += ((size_t)pkt->data[off + 1] + 1) * 8;
    }
    switch (next) {
    case W_IPPROTO_NONE:
        return pkt->len >= off;
    case W_IPPROTO_TCP:
        return pkt->len >= off + TCP_HEADER_MIN;
    default:
        return pkt->len >= off + 8;
    }
}

void wr_frag_input6(struct weir_stack *stack, const struct wr_pkt *pkt, const struct w_ip6ext *ext,
                    weir_time now)
{
    struct fragment frag = {
        .pkt = pkt,
        .id = ext->frag_id,
        .off = ext->frag_off,
        .more = ext->more_frags,
        .proto = ext->proto,
        .head_len = ext->frag_hdr_off,
        .next_off = ext->frag_next_off,
    };
    if (frag.off == 0 && !headers_are_whole(pkt, ext->proto)) {
        wr_drop(stack, WR_DROP_frag_tiny);
        wr_icmp6_error(stack, pkt, W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_CHAIN, 0, false, now);
    } else {
        take(stack, &frag, now);
    }
}
