/* SPDX-License-Identifier: MIT */
/*
 * What others send to the host of fuzz_host.c: packets whose checksums are right and whose sequence numbers are near
 * those that the host used, so that they get past the first checks; and raw frames.
 */
#include <string.h>

#include "base/bytes.h"
#include "fuzz/host_world.h"
#include "wire/w_arp.h"
#include "wire/w_csum.h"
#include "wire/w_eth.h"
#include "wire/w_icmp4.h"
#include "wire/w_icmp6.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_ip6ext.h"
#include "wire/w_ndp.h"
#include "wire/w_tcp.h"
#include "wire/w_tcpopt.h"
#include "wire/w_udp.h"

/* An IP packet by the interface that the flags choose. */
static void feed_ip(struct world *w, uint8_t flags, const uint8_t *p, size_t len, uint16_t gso_size)
{
    static uint8_t frame[FRAME_MAX];
    struct w_eth eth = {.type = len > 0 && p[0] >> 4 == 6 ? W_ETHERTYPE_IP6 : W_ETHERTYPE_IP4};
    bool vouched = flags & 0x40;
    if (!(flags & 0x80)) {
        feed(w, w->tun, p, len, vouched, gso_size);
        return;
    }
    memcpy(eth.dst, us_mac, 6);
    memcpy(eth.src, peer_mac, 6);
    wr_w_eth_emit(frame, &eth);
    wr_bytes_copy(frame + W_ETH_HLEN, p, len);
    feed(w, w->ether, frame, W_ETH_HLEN + len, vouched, gso_size);
}

/* Puts an IP header of the family of dst in front of what stands at p + 60; returns the packet. */
static uint8_t *wrap(uint8_t *p, const struct weir_addr *src, const struct weir_addr *dst,
                     uint8_t proto, uint8_t hops, size_t *len)
{
    if (weir_addr_is_v4(dst)) {
        struct w_ip4 ip = {.src = *src,
                           .dst = *dst,
                           .proto = proto,
                           .ttl = hops,
                           .hdr_len = W_IP4_HLEN,
                           .total_len = (uint16_t)(W_IP4_HLEN + *len)};
        wr_w_ip4_emit(p + 60 - W_IP4_HLEN, &ip);
        *len += W_IP4_HLEN;
        return p + 60 - W_IP4_HLEN;
    }
    struct w_ip6 ip = {
        .src = *src, .dst = *dst, .next = proto, .hop_limit = hops, .payload_len = (uint16_t)*len};
    wr_w_ip6_emit(p + 60 - W_IP6_HLEN, &ip);
    *len += W_IP6_HLEN;
    return p + 60 - W_IP6_HLEN;
}

struct weir_addr choose_us(uint8_t which)
{
    static const char *const ours[] = {"10.0.0.1",   "fd00::1", "10.1.0.1",        "fd01::1",
                                       "10.0.0.255", "ff02::1", "fe80::ff:fe00:1", "224.0.0.1"};
    return addr(ours[which % 8]);
}

struct weir_addr choose_peer(uint8_t which, bool v4)
{
    static const char *const v4s[] = {"10.0.0.2", "10.1.0.2", "10.0.0.3", "192.0.2.1"};
    static const char *const v6s[] = {"fd00::2", "fd01::2", "fe80::2", "::"};
    return addr((v4 ? v4s : v6s)[which % 4]);
}

/* A number near `base`: mostly exactly there, or off by a little, or by what the input says. */
static uint32_t near_to(struct input *in, uint32_t base)
{
    uint8_t how = take8(in);
    if (how < 160)
        return base;
    if (how < 200)
        return base + how - 180;
    if (how < 230)
        return base + (uint32_t)(how - 215) * 1460;
    return base + take32(in);
}

static void seal_tcp(uint8_t *p, size_t len, const struct weir_addr *src,
                     const struct weir_addr *dst)
{
    uint64_t sum = wr_csum_pseudo(src, dst, W_IPPROTO_TCP, (uint32_t)len);
    put_be16(p + 16, 0);
    put_be16(p + 16, wr_csum_finish(wr_csum_add(sum, p, len)));
}

/* Options as a sound peer would send them: a timestamp that moves on, SACK blocks near what the host has in
 * flight. */
static void sound_options(struct world *w, struct input *in, const struct flow *flow, uint32_t ack,
                          struct w_tcpopt *opt)
{
    memset(opt, 0, sizeof *opt);
    opt->has_ts = flow->has_ts;
    opt->ts_val = 1000 + (uint32_t)(w->now / WEIR_MS);
    opt->ts_ecr = flow->ts_val;
    opt->n_sack = take8(in) % 4;
    for (unsigned i = 0; i < opt->n_sack; i++) {
        opt->sack[i].start = ack + take8(in) * 1448u;
        opt->sack[i].end = opt->sack[i].start + take8(in) * 1448u;
    }
}

/* The fixed header, options (those given, or bytes from the input), data of a length from the input. */
static size_t build_tcp(struct input *in, uint8_t *p, uint16_t src_port, uint16_t dst_port,
                        uint32_t seq, uint32_t ack, uint8_t flags, const struct w_tcpopt *sound)
{
    uint8_t emitted[W_TCPOPT_MAX];
    size_t opts_len, hdr_len, data_len = take8(in);
    const uint8_t *opts = emitted;
    if (data_len >= 240)
        data_len = (data_len - 239) * 4000;
    if (sound)
        opts_len = wr_w_tcpopt_emit(emitted, sound);
    else
        opts = take_bytes(in, 40, &opts_len);
    hdr_len = 20 + (opts_len + 3) / 4 * 4;
    memset(p, 0, hdr_len);
    put_be16(p, src_port);
    put_be16(p + 2, dst_port);
    put_be32(p + 4, seq);
    put_be32(p + 8, ack);
    p[12] = (uint8_t)(hdr_len / 4 << 4);
    p[13] = flags;
    put_be16(p + 14, take16(in));
    put_be16(p + 18, flags & 0x20 ? take16(in) : 0);
    wr_bytes_copy(p + 20, opts, opts_len);
    memset(p + hdr_len, (int)(seq & 0xff), data_len);
    return hdr_len + data_len;
}

void op_tcp(struct world *w, struct input *in)
{
    static uint8_t p[FRAME_MAX];
    uint8_t how = take8(in), flags = take8(in);
    const struct flow *flow;
    struct w_tcpopt opt = {0};
    uint32_t seq, ack;
    uint16_t gso = how & 0x20 ? 1400 : 0;
    size_t len;
    if (w->n_flows == 0)
        return;
    flow = &w->flows[(how & 7) % w->n_flows];
    seq = near_to(in, flow->ack);
    ack = near_to(in, flow->next);
    if (how & 0x10)
        sound_options(w, in, flow, ack, &opt);
    if (w->wire[0] && how & 8) { /* of the kind that is joined */
        flags = (uint8_t)((flags & (W_TCP_FIN | W_TCP_PSH)) | W_TCP_ACK);
        opt.n_sack = 0;
    }
    len = build_tcp(in, p + 60, flow->peer_port, flow->us_port, seq, ack, flags,
                    how & 0x10 ? &opt : NULL);
    seal_tcp(p + 60, len, &flow->peer, &flow->us);
    feed_ip(w, how, wrap(p, &flow->peer, &flow->us, W_IPPROTO_TCP, 64, &len), len, gso);
}

void op_tcp_new(struct world *w, struct input *in)
{
    static uint8_t p[FRAME_MAX];
    static const uint16_t ports[] = {80, 81, 7, 9999};
    uint8_t how = take8(in), flags = take8(in);
    struct weir_addr us = choose_us(how), peer = choose_peer(how >> 3, weir_addr_is_v4(&us));
    uint16_t port = ports[take8(in) % 4];
    uint32_t seq = take8(in) * 0x01010101u;
    size_t len =
        build_tcp(in, p + 60, (uint16_t)(1024 + how), port, seq, 0, flags ? flags : 2, NULL);
    seal_tcp(p + 60, len, &peer, &us);
    feed_ip(w, how, wrap(p, &peer, &us, W_IPPROTO_TCP, 64, &len), len, 0);
}

void op_udp(struct world *w, struct input *in)
{
    static uint8_t p[FRAME_MAX];
    uint8_t how = take8(in);
    struct weir_addr us = choose_us(how), peer = choose_peer(how >> 3, weir_addr_is_v4(&us));
    struct w_udp udp = {.src_port = 53, .dst_port = how & 1 ? 53 : take16(in)};
    size_t len;
    const uint8_t *data = take_bytes(in, 255, &len);
    udp.len = (uint16_t)(W_UDP_HLEN + len);
    wr_w_udp_emit(p + 60, &udp);
    wr_bytes_copy(p + 60 + W_UDP_HLEN, data, len);
    len += W_UDP_HLEN;
    wr_w_udp_seal(p + 60, len, &peer, &us);
    feed_ip(w, how, wrap(p, &peer, &us, W_IPPROTO_UDP, 64, &len), len, 0);
}

static void put_icmp(uint8_t *p, size_t len, uint8_t type, uint8_t code, uint32_t rest,
                     const struct weir_addr *src, const struct weir_addr *dst)
{
    struct w_icmp4 icmp4 = {type, code, rest};
    struct w_icmp6 icmp6 = {type, code, rest};
    if (weir_addr_is_v4(dst))
        wr_w_icmp4_emit(p, len, &icmp4);
    else
        wr_w_icmp6_emit(p, len, src, dst, &icmp6);
}

/* An error about the host's last packet, of which a byte may be changed. */
void op_icmp_error(struct world *w, struct input *in)
{
    static uint8_t p[FRAME_MAX];
    uint8_t how = take8(in), type = take8(in), code = take8(in);
    uint32_t rest = how & 0x20 ? take32(in) : take16(in);
    size_t quote = take16(in) % 1300, len;
    bool v4 = w->last_len > 0 && w->last[0] >> 4 == 4;
    struct weir_addr us, router = choose_peer(how, v4);
    if (w->last_len < W_IP6_HLEN)
        return;
    us = v4 ? weir_addr_from_v4_bytes(w->last + 12) : weir_addr_from_v6_bytes(w->last + 8);
    if (quote > w->last_len)
        quote = w->last_len;
    memcpy(p + 60 + W_ICMP_HLEN, w->last, quote);
    if (how & 0x10 && quote > 0)
        p[60 + W_ICMP_HLEN + take16(in) % quote] = take8(in);
    len = W_ICMP_HLEN + quote;
    put_icmp(p + 60, len, type, code, rest, &router, &us);
    feed_ip(w, how, wrap(p, &router, &us, v4 ? W_IPPROTO_ICMP : W_IPPROTO_ICMP6, 64, &len), len, 0);
}

void op_icmp(struct world *w, struct input *in)
{
    static uint8_t p[FRAME_MAX];
    uint8_t how = take8(in), type = take8(in), code = take8(in);
    struct weir_addr us = choose_us(how), peer = choose_peer(how >> 3, weir_addr_is_v4(&us));
    uint32_t rest = take32(in);
    size_t len = take16(in) % 30000;
    memset(p + 60 + W_ICMP_HLEN, 'i', len);
    len += W_ICMP_HLEN;
    put_icmp(p + 60, len, type, code, rest, &peer, &us);
    feed_ip(w, how,
            wrap(p, &peer, &us, weir_addr_is_v4(&us) ? W_IPPROTO_ICMP : W_IPPROTO_ICMP6, 64, &len),
            len, 0);
}

void op_ndp(struct world *w, struct input *in)
{
    static uint8_t p[FRAME_MAX];
    uint8_t how = take8(in);
    struct weir_addr us = choose_us(how | 1), peer = choose_peer(how >> 3, false);
    size_t len;
    const uint8_t *body = take_bytes(in, 255, &len);
    memset(p + 60, 0, 24);
    p[60] = (uint8_t)(W_ICMP6_RS + how % 5);
    wr_bytes_copy(p + 64, body, len);
    len += 4;
    if (weir_addr_is_v4(&us))
        us = addr("ff02::1");
    wr_w_icmp6_seal(p + 60, len, &peer, &us);
    feed_ip(w, 0x80, wrap(p, &peer, &us, W_IPPROTO_ICMP6, 255, &len), len, 0);
}

void op_arp(struct world *w, struct input *in)
{
    uint8_t frame[W_ETH_HLEN + W_ARP_LEN], how = take8(in);
    struct w_eth eth = {.type = W_ETHERTYPE_ARP};
    struct w_arp arp = {.op = how & 1 ? W_ARP_REQUEST : W_ARP_REPLY};
    arp.spa = how & 2 ? choose_us(how >> 4) : choose_peer(how >> 4, true);
    arp.tpa = how & 4 ? choose_peer(take8(in), true) : addr("10.0.0.1");
    if (how & 8)
        arp.spa = weir_addr_v4(0x0a000000u | take8(in));
    memcpy(arp.sha, peer_mac, 6);
    arp.sha[5] = take8(in);
    memset(eth.dst, 0xff, 6);
    memcpy(eth.src, peer_mac, 6);
    wr_w_eth_emit(frame, &eth);
    wr_w_arp_emit(frame + W_ETH_HLEN, &arp);
    feed(w, w->ether, frame, sizeof frame, false, 0);
}

/* A piece of a datagram to port 53 or of an echo request, anywhere in it. */
void op_fragment(struct world *w, struct input *in)
{
    static uint8_t p[FRAME_MAX];
    uint8_t how = take8(in), id = take8(in) & 3;
    uint16_t off = (uint16_t)(take8(in) * 8);
    size_t len = take8(in) * 8u;
    struct weir_addr us = choose_us(how), peer = choose_peer(how >> 3, weir_addr_is_v4(&us));
    static const uint8_t protos[] = {W_IPPROTO_UDP,   W_IPPROTO_TCP,     W_IPPROTO_ICMP,
                                     W_IPPROTO_ICMP6, W_IPPROTO_DSTOPTS, W_IPPROTO_FRAGMENT};
    uint8_t proto = protos[take8(in) % sizeof protos];
    bool more = how & 0x40;
    if (how & 0x20)
        len += take8(in) & 7;
    memset(p + 60, 0, len + 8);
    if (weir_addr_is_v4(&us)) {
        struct w_ip4 ip = {.src = peer,
                           .dst = us,
                           .proto = proto,
                           .ttl = 64,
                           .id = id,
                           .hdr_len = W_IP4_HLEN,
                           .more_frags = more,
                           .frag_off = (uint16_t)(how & 0x10 ? off + 63000 : off),
                           .total_len = (uint16_t)(W_IP4_HLEN + len)};
        wr_w_ip4_emit(p + 40, &ip);
        put_be16(p + 62, 53);
        feed_ip(w, how & 0x80, p + 40, W_IP4_HLEN + len, 0);
    } else {
        wr_w_ip6frag_emit(p + 60, proto, (uint16_t)(how & 0x10 ? off + 63000 : off), more, id);
        len += W_IP6FRAG_LEN;
        feed_ip(w, how & 0x80, wrap(p, &peer, &us, W_IPPROTO_FRAGMENT, 64, &len), len, 0);
    }
}

/* The host's last packet comes back with its ends exchanged and a byte or two changed. */
void op_reflect(struct world *w, struct input *in)
{
    uint8_t p[sizeof w->last], swap[16], how = take8(in);
    size_t len = w->last_len, size = len > 0 && w->last[0] >> 4 == 4 ? 4 : 16;
    size_t src = size == 4 ? 12 : 8;
    if (len < W_IP6_HLEN)
        return;
    memcpy(p, w->last, len);
    memcpy(swap, p + src, size);
    memcpy(p + src, p + src + size, size);
    memcpy(p + src + size, swap, size);
    for (unsigned i = 0; i < (how & 3u); i++)
        p[take16(in) % len] = take8(in);
    if (size == 4) {
        put_be16(p + 10, 0);
        put_be16(p + 10, wr_csum(p, W_IP4_HLEN));
    }
    feed_ip(w, (uint8_t)(how | 0x40), p, len, 0);
}

void op_raw(struct world *w, struct input *in, int ifindex)
{
    size_t len;
    const uint8_t *p = take_bytes(in, 255, &len);
    feed(w, ifindex, p, len, false, 0);
}

/* The guest sends a datagram of any size, by any address, whole or as a fragment. */
void op_guest(struct world *w, struct input *in)
{
    static uint8_t p[FRAME_MAX];
    uint8_t how = take8(in), more = take8(in);
    struct weir_addr us = choose_us(how), peer = choose_peer(how >> 3, weir_addr_is_v4(&us));
    struct w_udp udp = {.src_port = 53, .dst_port = 53};
    size_t len = W_UDP_HLEN + (more & 1 ? take16(in) % 20000u : more);
    struct w_ip4 ip;
    udp.len = (uint16_t)len;
    memset(p, 0, len + 60);
    wr_w_udp_emit(p + 60, &udp);
    wr_w_udp_seal(p + 60, len, &us, &peer);
    uint8_t *packet = wrap(p, &us, &peer, W_IPPROTO_UDP, more >> 4, &len);
    if (wr_w_ip4_parse(packet, len, &ip) == W_OK) {
        ip.dont_frag = more & 2;
        ip.more_frags = more & 4;
        ip.frag_off = more & 8 ? (uint16_t)(take8(in) * 8u) : 0;
        wr_w_ip4_emit(packet, &ip);
    }
    feed(w, w->guest, packet, len, false, 0);
}
