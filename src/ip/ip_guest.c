/* SPDX-License-Identifier: MIT */
/*
 * The guest: another IP stack, behind an interface of its own, that shares this host's addresses. It serves
 * the sockets which this host does not: under `weir run` it is the kernel in the program's network
 * namespace, with its UDP, ICMP and raw sockets.
 *
 *              +---------------- this host ----------------+
 *     links ===| reassembly - is there a socket? - yes: it |
 *              |                        no -----------------===> guest
 *              | routes, neighbours, MTU <-----------------===== guest
 *              +--------------------------------------------+
 *
 * In: a packet that came by a link for this host, whole and well, which no socket here claims, goes to
 * the guest as it is: datagrams, echo replies, errors about what the guest sent, protocols unknown
 * here. So it is the guest who knows that nobody listens, and says so. Groups and broadcasts go to
 * both. TCP, echo requests, ARP and neighbour discovery are this host's alone.
 *
 * Out: what the guest sends from an address of this host leaves by its routes and neighbours as if this
 * host had sent it. It has not been forwarded: TTL and hop limit stay, and IPv4's identification. What
 * cannot leave is told to the guest by an ICMP error from its own address, which stands for the errno
 * that a socket here would get: too big (IPv4 is fragmented unless it may not be), no route, nobody
 * answers. The path MTU is that of the link; what lies behind it the guest learns as every host does.
 *
 * Limits: one guest a stack. Its link brings whole packets with finished checksums. TCP from it is dropped:
 * the answer would come to this host's TCP. The loopback interface leads nowhere else: a socket here
 * and one of the guest do not meet by an address of the host. Groups are told to all who share a
 * link (nobody here joins them for the guest), and IPv6 from a link-local address is not carried.
 */
#include "ip/ip.h"

#include "wire/w_icmp4.h"
#include "wire/w_icmp6.h"

enum { QUOTE4_MAX = 576 - W_IP4_HLEN - W_ICMP_HLEN, HOPS = 64 };

static struct wr_netif *guest_of(const struct weir_stack *stack)
{
    return stack->ip->guest;
}

static bool hand_over(struct weir_stack *stack, const uint8_t *p, size_t len)
{
    struct wr_qpkt *copy = wr_qpkt_new(stack, 0, len);
    if (copy) {
        memcpy(copy->data, p, len);
        wr_netif_enqueue(stack, guest_of(stack), copy);
    } else {
        wr_drop(stack, WR_DROP_no_memory);
    }
    return true;
}

bool wr_guest_take(struct weir_stack *stack, const struct wr_pkt *pkt)
{
    if (!guest_of(stack) || pkt->netif->loopback)
        return false;
    return hand_over(stack, pkt->l3, pkt->l3_len);
}

bool wr_guest_take_group(struct weir_stack *stack, const struct wr_netif *netif,
                         const struct weir_addr *dst, const uint8_t *p, size_t len)
{
    if (!guest_of(stack) || netif->loopback || !weir_addr_is_multicast(dst))
        return false;
    return hand_over(stack, p, len);
}

/* ---- errors for the guest ---------------------------------------------------------------------- */

struct trouble {
    uint8_t type4, code4, type6, code6;
};

static const struct trouble no_route = {W_ICMP4_UNREACH, W_ICMP4_UNREACH_NET, W_ICMP6_UNREACH,
                                        W_ICMP6_UNREACH_ROUTE};
static const struct trouble no_neighbour = {W_ICMP4_UNREACH, W_ICMP4_UNREACH_HOST, W_ICMP6_UNREACH,
                                            W_ICMP6_UNREACH_ADDR};
static const struct trouble too_big = {W_ICMP4_UNREACH, W_ICMP4_UNREACH_FRAG, W_ICMP6_TOO_BIG, 0};

/* RFC 1122 3.2.2: not about errors, later fragments, groups. */
static bool may_tell4(const struct w_ip4 *ip, const uint8_t *p, size_t len)
{
    if (ip->frag_off != 0 || weir_addr_is_multicast(&ip->dst) || weir_addr_is_broadcast(&ip->dst))
        return false;
    return ip->proto != W_IPPROTO_ICMP || (len > ip->hdr_len && p[ip->hdr_len] == W_ICMP4_ECHO);
}

static void tell4(struct weir_stack *stack, const uint8_t *p, size_t len,
                  const struct trouble *what, uint32_t rest)
{
    struct w_icmp4 icmp = {what->type4, what->code4, rest};
    size_t quote = len < QUOTE4_MAX ? len : QUOTE4_MAX;
    struct wr_qpkt *pkt;
    struct w_ip4 ip;

    if (wr_w_ip4_parse_quoted(p, len, &ip) != W_OK || !may_tell4(&ip, p, len))
        return;
    pkt = wr_qpkt_new(stack, 0, W_IP4_HLEN + W_ICMP_HLEN + quote);
    if (!pkt)
        return;
    struct wr_ip_tx tx = {.src = ip.src, .dst = ip.src, .proto = W_IPPROTO_ICMP, .hop_limit = HOPS};
    wr_ip4_write_header(stack, &tx, W_ICMP_HLEN + quote, 1, pkt->data);
    memcpy(pkt->data + W_IP4_HLEN + W_ICMP_HLEN, p, quote);
    wr_w_icmp4_emit(pkt->data + W_IP4_HLEN, W_ICMP_HLEN + quote, &icmp);
    wr_netif_enqueue(stack, guest_of(stack), pkt);
}

static void tell6(struct weir_stack *stack, const uint8_t *p, size_t len,
                  const struct trouble *what, uint32_t rest)
{
    enum { HEAD = W_IP6_HLEN + W_ICMP_HLEN };
    struct w_icmp6 icmp = {what->type6, what->code6, rest};
    size_t quote = len < W_IP6_MIN_MTU - HEAD ? len : W_IP6_MIN_MTU - HEAD;
    struct wr_qpkt *pkt;
    struct w_quote inner;
    struct w_ip6 ip;

    if (wr_w_ip6_parse_quoted(p, len, &ip) != W_OK || weir_addr_is_multicast(&ip.dst))
        return;
    if (wr_w_icmp6_quote(p, len, &inner) == W_OK && inner.proto == W_IPPROTO_ICMP6 &&
        (inner.l4_len == 0 || inner.l4[0] != W_ICMP6_ECHO))
        return;
    pkt = wr_qpkt_new(stack, 0, HEAD + quote);
    if (!pkt)
        return;
    struct wr_ip_tx tx = {
        .src = ip.src, .dst = ip.src, .proto = W_IPPROTO_ICMP6, .hop_limit = HOPS};
    wr_ip6_write_header(stack, NULL, &tx, W_ICMP_HLEN + quote, pkt->data);
    memcpy(pkt->data + HEAD, p, quote);
    wr_w_icmp6_emit(pkt->data + W_IP6_HLEN, W_ICMP_HLEN + quote, &tx.src, &tx.dst, &icmp);
    wr_netif_enqueue(stack, guest_of(stack), pkt);
}

static void tell(struct weir_stack *stack, const uint8_t *p, size_t len, const struct trouble *what,
                 uint32_t rest)
{
    if (p[0] >> 4 == 6)
        tell6(stack, p, len, what, rest);
    else
        tell4(stack, p, len, what, rest);
}

static void link_failure(struct weir_stack *stack, const uint8_t *p, size_t len)
{
    if (len > 0)
        tell(stack, p, len, &no_neighbour, 0);
}

/* ---- out ---------------------------------------------------------------------------------------- */

/* A group without a route goes where the limited broadcast would. */
static int find_path(struct weir_stack *stack, const struct weir_addr *src,
                     const struct weir_addr *dst, struct wr_path *path)
{
    const struct weir_addr everyone = weir_addr_v4(0xffffffff);
    int err = wr_path_find(stack, dst, src, path);
    if (err == WEIR_ENETUNREACH && weir_addr_is_v4(dst) && weir_addr_is_multicast(dst)) {
        err = wr_path_find(stack, &everyone, src, path);
        path->next_hop = *dst;
    }
    return err;
}

/* `head` and `body` become one packet. An error if it is lost without having been counted. */
static int emit(struct weir_stack *stack, const struct wr_path *path, const uint8_t *head,
                size_t head_len, const uint8_t *body, size_t body_len, weir_time now)
{
    struct wr_qpkt *pkt = wr_qpkt_new(stack, WR_LINK_HEADROOM, head_len + body_len);
    if (!pkt) {
        wr_drop(stack, WR_DROP_no_memory);
        return WEIR_ENOBUFS;
    }
    memcpy(pkt->data + pkt->offset, head, head_len);
    wr_bytes_copy(pkt->data + pkt->offset + head_len, body, body_len);
    return wr_neigh_send(stack, path->netif, &path->next_hop, &path->src, pkt, now);
}

/* RFC 791 3.1: of the options only those with the copy bit are in later fragments. Bytes written to `to`,
 * a multiple of four. */
static size_t copied_options(const struct w_ip4 *ip, uint8_t to[W_IP4_HLEN_MAX])
{
    size_t len = (size_t)ip->hdr_len - W_IP4_HLEN, n = 0;
    for (size_t at = 0, one; at < len && ip->opts[at] != W_IP4OPT_EOL; at += one) {
        one = 1;
        if (ip->opts[at] == W_IP4OPT_NOP)
            continue;
        if (at + 1 >= len || ip->opts[at + 1] < 2 || ip->opts[at + 1] > len - at)
            break;
        one = ip->opts[at + 1];
        if (ip->opts[at] & 0x80) {
            memcpy(to + n, ip->opts + at, one);
            n += one;
        }
    }
    while (n % 4)
        to[n++] = W_IP4OPT_EOL;
    return n;
}

/* RFC 791 3.2, of what may be a fragment already. */
static int fragment4(struct weir_stack *stack, const struct wr_path *path, const uint8_t *p,
                     struct w_ip4 ip, uint32_t mtu, weir_time now)
{
    uint8_t head[W_IP4_HLEN_MAX], opts[W_IP4_HLEN_MAX];
    const uint8_t *data = p + ip.hdr_len;
    size_t left = (size_t)ip.total_len - ip.hdr_len;
    bool more = ip.more_frags;
    while (left > 0) {
        size_t unit = (mtu - ip.hdr_len) & ~(size_t)7;
        size_t n = left <= mtu - ip.hdr_len ? left : unit;
        ip.more_frags = more || n < left;
        ip.total_len = (uint16_t)(ip.hdr_len + n);
        wr_w_ip4_emit(head, &ip);
        wr_count(stack, WR_STAT_ip_frag_created);
        int err = emit(stack, path, head, ip.hdr_len, data, n, now);
        if (err)
            return err;
        data += n;
        left -= n;
        if (ip.frag_off == 0) {
            ip.hdr_len = (uint8_t)(W_IP4_HLEN + copied_options(&ip, opts));
            ip.opts = opts;
        }
        ip.frag_off = (uint16_t)(ip.frag_off + n);
    }
    return 0;
}

/* False: too big for the link, and not to be cut. */
static bool fits(struct weir_stack *stack, const struct wr_path *path, const struct w_ip4 *ip,
                 const uint8_t *p, size_t len, uint32_t mtu)
{
    if (len <= mtu || (ip && !ip->dont_frag && mtu >= W_IP4_HLEN_MAX + 8))
        return true;
    wr_drop(stack, WR_DROP_guest_too_big);
    if (!path->netif->loopback)
        tell(stack, p, len, &too_big, mtu);
    return false;
}

/* ip4: NULL for IPv6. */
static void leave(struct weir_stack *stack, const struct weir_addr *src,
                  const struct weir_addr *dst, const struct w_ip4 *ip4, const uint8_t *p,
                  size_t len, weir_time now)
{
    struct wr_path path;
    int err = find_path(stack, src, dst, &path);
    if (err) {
        wr_drop(stack, WR_DROP_no_route);
        tell(stack, p, len, &no_route, 0);
        return;
    }
    uint32_t mtu = wr_netif_mtu(stack, path.netif, dst);
    if (!fits(stack, &path, ip4, p, len, mtu))
        return;
    wr_count(stack, WR_STAT_ip_out);
    if (len > mtu)
        err = fragment4(stack, &path, p, *ip4, mtu, now);
    else
        err = emit(stack, &path, p, len, NULL, 0, now);
    if (err == WEIR_EHOSTUNREACH)
        tell(stack, p, len, &no_neighbour, 0);
}

static bool may_leave(struct weir_stack *stack, const struct weir_addr *src, uint8_t proto)
{
    if (!wr_ip_is_own(stack, src) || weir_addr_is_loopback(src))
        wr_drop(stack, WR_DROP_guest_bad_source);
    else if (proto == W_IPPROTO_TCP)
        wr_drop(stack, WR_DROP_guest_tcp);
    else
        return true;
    return false;
}

static void guest_input(struct weir_stack *stack, const struct weir_frame *frame, weir_time now)
{
    const uint8_t *p = frame->data;
    struct w_ip4 ip4;
    struct w_ip6 ip6;
    struct w_ip6ext ext;

    if (frame->len > 0 && p[0] >> 4 == 6) {
        if (frame->gso_size == 0 && wr_w_ip6_parse(p, frame->len, &ip6) == W_OK) {
            wr_w_ip6ext_walk(p, (size_t)W_IP6_HLEN + ip6.payload_len, &ext);
            if (may_leave(stack, &ip6.src, ext.proto))
                leave(stack, &ip6.src, &ip6.dst, NULL, p, (size_t)W_IP6_HLEN + ip6.payload_len,
                      now);
            return;
        }
    } else if (frame->gso_size == 0 && wr_w_ip4_parse(p, frame->len, &ip4) == W_OK) {
        if (may_leave(stack, &ip4.src, ip4.proto))
            leave(stack, &ip4.src, &ip4.dst, &ip4, p, ip4.total_len, now);
        return;
    }
    wr_drop(stack, WR_DROP_guest_malformed);
}

const struct weir_guest weir_guest = {.input = guest_input, .link_failure = link_failure};
