/* SPDX-License-Identifier: MIT */
/*
 * A whole host with live sockets under arbitrary input: frames, time and socket calls.
 *
 * The host has an Ethernet interface, one that carries bare IP packets, and lo; listeners, a connected
 * pair over lo, connections on their way out, and UDP sockets, of both families. The input is a program
 * for the rest of the world and for the application, one step an operation (enum op): raw frames; segments,
 * datagrams, ICMP messages and fragments whose checksums are right and whose sequence numbers are near
 * those that the host used, so that they get past the first checks; time steps; socket calls;
 * changes of interfaces; allocations that fail.
 *
 * After each step everything that the host wants to send is taken and must be well-formed, and the host
 * must come to rest. At the end every byte of memory must have been given back.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "weir/event.h"
#include "weir/socket.h"
#include "weir/stack.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    OPS_MAX = 300,      /* steps of one input */
    ROUNDS_MAX = 400,   /* timers run in one time step */
    FRAMES_MAX = 20000, /* taken from the host in one go: more means that it never rests */
    SOCKS = 12,
    FLOWS = 8,
    FRAME_MAX = 70000,
    MEM_MAX = 24 << 20
};

enum op {
    OP_RAW_ETHER,
    OP_RAW_IP,
    OP_TCP,
    OP_TCP_NEW,
    OP_UDP,
    OP_ICMP_ERROR,
    OP_ICMP,
    OP_NDP,
    OP_ARP,
    OP_FRAGMENT,
    OP_REFLECT,
    OP_TIME,
    OP_SOCK,
    OP_CONFIG,
    OP_FAIL,
    OP_COUNT
};

/* The program being read. Past its end everything is 0. */
struct input {
    const uint8_t *p;
    size_t n;
};

static uint8_t take8(struct input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->p++;
}

static uint16_t take16(struct input *in)
{
    uint16_t high = take8(in);
    return (uint16_t)(high << 8 | take8(in));
}

static uint32_t take32(struct input *in)
{
    uint32_t high = take16(in);
    return high << 16 | take16(in);
}

/* Up to `most` bytes, as many as the next byte says; *len tells how many. */
static const uint8_t *take_bytes(struct input *in, size_t most, size_t *len)
{
    const uint8_t *p;
    size_t n = take8(in);
    if (n > most)
        n = most;
    if (n > in->n)
        n = in->n;
    p = in->p;
    in->p += n;
    in->n -= n;
    *len = n;
    return p;
}

static void must(int truth, const char *what)
{
    if (truth)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

/* ---- the world --------------------------------------------------------------------------------- */

/* What was seen of a connection from outside: the host's last segment. */
struct flow {
    struct weir_addr us, peer;
    uint16_t us_port, peer_port;
    uint32_t next, ack; /* after the segment; what the host has acknowledged */
    bool has_ts;
    uint32_t ts_val; /* the host's latest */
};

struct world {
    struct weir_stack *stack;
    weir_time now;
    int ether, tun;
    int guest;    /* 0: none */
    bool answers; /* the peer answers ARP and neighbour solicitations */
    weir_sock socks[SOCKS];
    struct flow flows[FLOWS];
    unsigned n_flows;
    uint8_t last[2048]; /* the host's last IP packet */
    size_t last_len;
    size_t live, calls, fail_at, fail_count;
};

static const uint8_t us_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};

static void *counted_alloc(void *ctx, size_t size)
{
    struct world *w = ctx;
    size_t *block;
    w->calls++;
    if (w->fail_count > 0 && w->calls >= w->fail_at) {
        w->fail_count--;
        return NULL;
    }
    block = malloc(size + 16);
    if (!block)
        abort();
    *block = size;
    w->live += size;
    return block + 2;
}

static void counted_free(void *ctx, void *ptr, size_t size)
{
    struct world *w = ctx;
    size_t *block = (size_t *)ptr - 2;
    must(*block == size, "a block is freed with its size");
    w->live -= size;
    free(block);
}

static struct weir_addr addr(const char *text)
{
    struct weir_addr a;
    must(weir_addr_parse(text, &a), "an address of this file");
    return a;
}

/* ---- what comes out ----------------------------------------------------------------------------- */

static void feed(struct world *w, int ifindex, const uint8_t *p, size_t len, bool vouched,
                 uint16_t gso_size);

static void note_tcp(struct world *w, const struct weir_addr *src, const struct weir_addr *dst,
                     const uint8_t *p, size_t len)
{
    struct flow *flow = NULL;
    struct w_tcpopt opt;
    struct w_tcp tcp;
    must(wr_w_tcp_parse(p, len, &tcp) == W_OK, "a segment that parses");
    for (unsigned i = 0; i < w->n_flows; i++) {
        struct flow *have = &w->flows[i];
        if (have->us_port == tcp.src_port && have->peer_port == tcp.dst_port &&
            weir_addr_eq(&have->peer, dst))
            flow = have;
    }
    if (!flow)
        flow = &w->flows[w->n_flows < FLOWS ? w->n_flows++ : tcp.dst_port % FLOWS];
    flow->us = *src;
    flow->peer = *dst;
    flow->us_port = tcp.src_port;
    flow->peer_port = tcp.dst_port;
    flow->next = tcp.seq + (uint32_t)(len - tcp.data_off) + ((tcp.flags & W_TCP_SYN) != 0) +
                 ((tcp.flags & W_TCP_FIN) != 0);
    flow->ack = tcp.ack;
    (void)wr_w_tcpopt_parse(p + W_TCP_HLEN, tcp.data_off - W_TCP_HLEN, (tcp.flags & W_TCP_SYN) != 0,
                            &opt);
    flow->has_ts = opt.has_ts;
    flow->ts_val = opt.ts_val;
}

/* An IP packet of the host. The checksum of a transport may be left to the link. */
static void inspect_ip(struct world *w, const uint8_t *p, size_t len, bool gso)
{
    must(len > 0, "a packet of the host has bytes");
    w->last_len = len < sizeof w->last ? len : sizeof w->last;
    memcpy(w->last, p, w->last_len);
    if (p[0] >> 4 == 4) {
        struct w_ip4 ip;
        must(wr_w_ip4_parse(p, len, &ip) == W_OK, "an IPv4 header that parses");
        must(ip.total_len == len, "an IPv4 packet of its length");
        must(gso || len <= 9000, "an IPv4 packet within the MTU");
        if (ip.proto == W_IPPROTO_TCP && !wr_w_ip4_is_fragment(&ip))
            note_tcp(w, &ip.src, &ip.dst, p + ip.hdr_len, len - ip.hdr_len);
    } else {
        struct w_ip6 ip;
        struct w_ip6ext ext;
        must(wr_w_ip6_parse(p, len, &ip) == W_OK, "an IPv6 header that parses");
        must((size_t)ip.payload_len + W_IP6_HLEN == len, "an IPv6 packet of its length");
        must(gso || len <= 9000, "an IPv6 packet within the MTU");
        wr_w_ip6ext_walk(p, len, &ext);
        must(ext.act == W_IP6EXT_ACCEPT, "extension headers that parse");
        if (ext.proto == W_IPPROTO_TCP && !ext.has_frag)
            note_tcp(w, &ip.src, &ip.dst, p + ext.off, len - ext.off);
    }
}

/* The peer says where it is. */
static void answer_arp(struct world *w, const uint8_t *p, size_t len)
{
    uint8_t frame[W_ETH_HLEN + W_ARP_LEN];
    struct w_eth eth = {.type = W_ETHERTYPE_ARP};
    struct w_arp asked, arp = {.op = W_ARP_REPLY};
    must(wr_w_arp_parse(p, len, &asked) == W_OK, "an ARP packet that parses");
    if (asked.op != W_ARP_REQUEST || !w->answers)
        return;
    memcpy(eth.dst, us_mac, 6);
    memcpy(eth.src, peer_mac, 6);
    memcpy(arp.sha, peer_mac, 6);
    memcpy(arp.tha, us_mac, 6);
    arp.spa = asked.tpa;
    arp.tpa = asked.spa;
    wr_w_eth_emit(frame, &eth);
    wr_w_arp_emit(frame + W_ETH_HLEN, &arp);
    feed(w, w->ether, frame, sizeof frame, false, 0);
}

static void answer_ns(struct world *w, const uint8_t *p, size_t len)
{
    uint8_t frame[W_ETH_HLEN + W_IP6_HLEN + W_NDP_EMIT_MAX];
    uint8_t *msg = frame + W_ETH_HLEN + W_IP6_HLEN;
    struct w_eth eth = {.type = W_ETHERTYPE_IP6};
    struct w_ip6 asked, ip;
    struct w_ndp ns,
        na = {.type = W_ICMP6_NA, .solicited = true, .override = true, .has_tlla = true};
    size_t n;
    if (!w->answers || wr_w_ip6_parse(p, len, &asked) != W_OK || asked.next != W_IPPROTO_ICMP6 ||
        len < W_IP6_HLEN + 8 || p[W_IP6_HLEN] != W_ICMP6_NS || weir_addr_is_any(&asked.src))
        return;
    must(wr_w_ndp_parse(p + W_IP6_HLEN, len - W_IP6_HLEN, &asked.src, &asked.dst, 255, &ns) == W_OK,
         "a solicitation that parses");
    na.target = ns.target;
    memcpy(na.tlla, peer_mac, 6);
    memset(&ip, 0, sizeof ip);
    ip.src = ns.target;
    ip.dst = asked.src;
    ip.next = W_IPPROTO_ICMP6;
    ip.hop_limit = 255;
    n = wr_w_ndp_emit(msg, &na);
    wr_w_icmp6_seal(msg, n, &ip.src, &ip.dst);
    ip.payload_len = (uint16_t)n;
    memcpy(eth.dst, us_mac, 6);
    memcpy(eth.src, peer_mac, 6);
    wr_w_eth_emit(frame, &eth);
    wr_w_ip6_emit(frame + W_ETH_HLEN, &ip);
    feed(w, w->ether, frame, W_ETH_HLEN + W_IP6_HLEN + n, false, 0);
}

static void inspect(struct world *w, int ifindex, const uint8_t *p, size_t len, bool gso)
{
    struct w_eth eth;
    if (ifindex == w->guest) { /* the peer's packets as they are, and errors for the guest */
        must(len > 0 && (p[0] >> 4 == 4 || p[0] >> 4 == 6), "an IP packet for the guest");
        return;
    }
    if (ifindex == w->tun) {
        inspect_ip(w, p, len, gso);
        return;
    }
    must(wr_w_eth_parse(p, len, &eth) == W_OK, "an Ethernet header that parses");
    must(memcmp(eth.src, us_mac, 6) == 0, "a frame from our MAC");
    if (eth.type == W_ETHERTYPE_ARP) {
        answer_arp(w, p + W_ETH_HLEN, len - W_ETH_HLEN);
        return;
    }
    inspect_ip(w, p + W_ETH_HLEN, len - W_ETH_HLEN, gso);
    if (eth.type == W_ETHERTYPE_IP6)
        answer_ns(w, p + W_ETH_HLEN, len - W_ETH_HLEN);
}

static void drain_one(struct world *w, int ifindex, unsigned *budget)
{
    static uint8_t frame[WEIR_HEAD_MAX + FRAME_MAX];
    for (;;) {
        uint8_t head[WEIR_HEAD_MAX];
        struct weir_out out = {.head = head};
        uint8_t *copy;
        size_t len = weir_output(w->stack, ifindex, &out, w->now);
        if (len == 0)
            return;
        must(--*budget > 0, "the host comes to rest");
        must(out.head_len <= WEIR_HEAD_MAX && len <= sizeof frame && out.n_spans <= 2,
             "a frame within its bounds");
        memcpy(frame, head, out.head_len);
        must(out.head_len + wr_spans_copy(frame + out.head_len, out.span, out.n_spans) == len,
             "a frame's length is that of its parts");
        must(!out.csum_partial || (size_t)out.csum_start + out.csum_offset + 2 <= len,
             "an unfinished checksum within the frame");
        /* What the peer answers comes back in before the next frame: it may not see our buffer. */
        copy = malloc(len);
        if (!copy)
            abort();
        memcpy(copy, frame, len);
        inspect(w, ifindex, copy, len, out.gso_size != 0);
        free(copy);
    }
}

/* Takes all frames and events; the sockets that events name are asked what they are ready for. */
static void drain(struct world *w)
{
    unsigned budget = FRAMES_MAX;
    struct weir_event event;
    weir_advance(w->stack, w->now);
    drain_one(w, w->ether, &budget);
    drain_one(w, w->tun, &budget);
    if (w->guest)
        drain_one(w, w->guest, &budget);
    for (unsigned i = 0; i < 1000 && weir_next_event(w->stack, &event); i++)
        (void)weir_sock_ready(w->stack, event.sock);
}

static void run_until(struct world *w, weir_time until)
{
    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        weir_time due = weir_deadline(w->stack);
        if (due > until)
            break;
        if (due > w->now)
            w->now = due;
        drain(w);
    }
    w->now = until;
    drain(w);
}

/* ---- what goes in ------------------------------------------------------------------------------- */

static void feed(struct world *w, int ifindex, const uint8_t *p, size_t len, bool vouched,
                 uint16_t gso_size)
{
    uint8_t *copy = malloc(len ? len : 1);
    struct weir_frame frame = {
        .data = copy, .len = len, .gso_size = gso_size, .csum_valid = vouched};
    if (!copy)
        abort();
    wr_bytes_copy(copy, p, len);
    (void)weir_input(w->stack, ifindex, &frame, w->now);
    free(copy);
}

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

static struct weir_addr choose_us(uint8_t which)
{
    static const char *const ours[] = {"10.0.0.1",   "fd00::1", "10.1.0.1",        "fd01::1",
                                       "10.0.0.255", "ff02::1", "fe80::ff:fe00:1", "224.0.0.1"};
    return addr(ours[which % 8]);
}

static struct weir_addr choose_peer(uint8_t which, bool v4)
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

static void op_tcp(struct world *w, struct input *in)
{
    static uint8_t p[FRAME_MAX];
    uint8_t how = take8(in), flags = take8(in);
    const struct flow *flow;
    struct w_tcpopt opt;
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
    len = build_tcp(in, p + 60, flow->peer_port, flow->us_port, seq, ack, flags,
                    how & 0x10 ? &opt : NULL);
    seal_tcp(p + 60, len, &flow->peer, &flow->us);
    feed_ip(w, how, wrap(p, &flow->peer, &flow->us, W_IPPROTO_TCP, 64, &len), len, gso);
}

static void op_tcp_new(struct world *w, struct input *in)
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

static void op_udp(struct world *w, struct input *in)
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
static void op_icmp_error(struct world *w, struct input *in)
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

static void op_icmp(struct world *w, struct input *in)
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

static void op_ndp(struct world *w, struct input *in)
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

static void op_arp(struct world *w, struct input *in)
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
static void op_fragment(struct world *w, struct input *in)
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
static void op_reflect(struct world *w, struct input *in)
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

static void op_raw(struct world *w, struct input *in, int ifindex)
{
    size_t len;
    const uint8_t *p = take_bytes(in, 255, &len);
    feed(w, ifindex, p, len, false, 0);
}

static void op_time(struct world *w, struct input *in)
{
    static const weir_time steps[] = {0,
                                      WEIR_US,
                                      WEIR_MS,
                                      40 * WEIR_MS,
                                      200 * WEIR_MS,
                                      WEIR_SEC,
                                      3 * WEIR_SEC,
                                      10 * WEIR_SEC,
                                      31 * WEIR_SEC,
                                      61 * WEIR_SEC,
                                      601 * WEIR_SEC,
                                      7201 * WEIR_SEC,
                                      30 * 86400 * WEIR_SEC};
    run_until(w, w->now + steps[take8(in) % (sizeof steps / sizeof steps[0])]);
}

/* ---- the application ----------------------------------------------------------------------------- */

static struct weir_endpoint choose_endpoint(struct input *in)
{
    static const char *const where[] = {"10.0.0.2", "fd00::2",   "127.0.0.1", "::1",
                                        "10.1.0.2", "0.0.0.0",   "::",        "10.0.0.1",
                                        "fe80::2",  "10.0.0.255"};
    static const uint16_t ports[] = {80, 53, 81, 0, 7000, 32768};
    struct weir_endpoint e = {addr(where[take8(in) % 10]), ports[take8(in) % 6]};
    return e;
}

static void sock_option(struct world *w, struct input *in, weir_sock sock)
{
    static const int levels[] = {WEIR_SOL_SOCKET, WEIR_SOL_TCP, WEIR_SOL_IP, WEIR_SOL_IPV6};
    uint8_t how = take8(in);
    int option = take8(in) % 64, value = (int)take32(in);
    uint8_t buf[512];
    size_t len = take8(in);
    if (how & 0x80)
        value &= 0xff;
    if (how & 0x40)
        (void)weir_sock_setsockopt(w->stack, sock, levels[how & 3], option, &value, sizeof value,
                                   w->now);
    else
        (void)weir_sock_getsockopt(w->stack, sock, levels[how & 3], option, buf, &len, w->now);
}

static void sock_data(struct world *w, struct input *in, weir_sock sock, uint8_t what)
{
    static uint8_t buf[66000];
    struct weir_endpoint to = choose_endpoint(in);
    struct weir_span span[2];
    size_t len = take16(in);
    int flags = take8(in);
    switch (what) {
    case 0:
        (void)weir_sock_send(w->stack, sock, buf, len, flags & 0x8041, NULL, w->now);
        break;
    case 1:
        (void)weir_sock_send(w->stack, sock, buf, len, 0, &to, w->now);
        break;
    case 2:
        (void)weir_sock_recv(w->stack, sock, buf, len, flags & 0x23, &to, w->now);
        break;
    default: {
        ptrdiff_t n = weir_sock_peek(w->stack, sock, span, w->now);
        if (n > 0) {
            must(span[0].len + span[1].len == (size_t)n || span[0].len == (size_t)n,
                 "what peek lends is what it says");
            (void)weir_sock_consume(w->stack, sock, len % ((size_t)n + 1), w->now);
        }
        break;
    }
    }
}

static void sock_table(struct world *w)
{
    struct weir_sock_row row;
    uint64_t cursor = 0;
    for (unsigned i = 0; weir_sock_next_row(w->stack, &cursor, &row); i++)
        must(i < 100000, "the table of sockets has an end");
}

static void op_sock(struct world *w, struct input *in)
{
    uint8_t what = take8(in), which = take8(in);
    weir_sock *slot = &w->socks[which % SOCKS], got;
    struct weir_endpoint e;
    switch (what % 16) {
    case 0:
        if (*slot != 0)
            (void)weir_sock_close(w->stack, *slot, w->now);
        *slot = 0;
        if (weir_sock_open(w->stack, what & 0x10 ? WEIR_AF_INET6 : WEIR_AF_INET,
                           what & 0x20 ? WEIR_SOCK_DGRAM : WEIR_SOCK_STREAM, 0, &got) == 0)
            *slot = got;
        break;
    case 1:
        e = choose_endpoint(in);
        (void)weir_sock_bind(w->stack, *slot, &e);
        break;
    case 2:
        (void)weir_sock_listen(w->stack, *slot, take8(in) % 5, w->now);
        break;
    case 3:
        e = choose_endpoint(in);
        (void)weir_sock_connect(w->stack, *slot, what & 0x80 ? NULL : &e, w->now);
        break;
    case 4: {
        weir_sock *room = &w->socks[take8(in) % SOCKS];
        if (weir_sock_accept(w->stack, *slot, &got, &e, w->now) == 0) {
            if (*room != 0 && room != slot)
                (void)weir_sock_close(w->stack, *room, w->now);
            if (room == slot)
                (void)weir_sock_close(w->stack, got, w->now);
            else
                *room = got;
        }
        break;
    }
    case 5:
    case 6:
    case 7:
    case 8:
        sock_data(w, in, *slot, what % 16 - 5);
        break;
    case 9:
        (void)weir_sock_shutdown(w->stack, *slot, what >> 4, w->now);
        break;
    case 10:
        (void)weir_sock_close(w->stack, *slot, w->now); /* the handle stays: stale from now on */
        break;
    case 11:
        sock_option(w, in, *slot);
        break;
    case 12:
        (void)weir_sock_abort(w->stack, *slot, w->now);
        break;
    case 13:
        (void)weir_sock_getsockname(w->stack, *slot, &e);
        (void)weir_sock_getpeername(w->stack, *slot, &e);
        (void)weir_sock_inq(w->stack, *slot);
        (void)weir_sock_outq(w->stack, *slot);
        (void)weir_sock_atmark(w->stack, *slot);
        break;
    case 14:
        sock_table(w);
        break;
    default:
        (void)weir_sock_ready(w->stack, (weir_sock)take32(in) << 32 | take32(in));
        break;
    }
}

static void op_config(struct world *w, struct input *in)
{
    uint8_t what = take8(in), how = take8(in);
    int ifindex = how & 1 ? w->ether : w->tun;
    struct weir_addr a = how & 2 ? choose_us(how >> 4) : choose_peer(how >> 4, how & 4);
    struct weir_route route = {.prefix = a,
                               .prefix_len = take8(in) % 33,
                               .gateway = choose_peer(how >> 2, weir_addr_is_v4(&a)),
                               .ifindex = ifindex,
                               .metric = how & 3};
    switch (what % 8) {
    case 0:
        (void)weir_netif_set_up(w->stack, ifindex, how & 8, w->now);
        break;
    case 1:
        (void)weir_netif_set_mtu(w->stack, ifindex, 68 + take16(in) % 8900, w->now);
        break;
    case 2:
        (void)weir_addr_add(w->stack, ifindex, &a, 24, w->now);
        break;
    case 3:
        (void)weir_addr_remove(w->stack, ifindex, &a, w->now);
        break;
    case 4:
        (void)weir_route_add(w->stack, &route);
        break;
    case 5:
        (void)weir_route_remove(w->stack, &route);
        break;
    case 6: {
        const char *name = weir_sysctl_name(how);
        int64_t value;
        if (name && weir_sysctl_get(w->stack, name, &value) == 0) {
            (void)weir_sysctl_set(w->stack, name, how & 1 ? take8(in) : take32(in));
        } else if (name) {
            char text[16] = "";
            for (unsigned i = 0; i + 1 < sizeof text && i < how % sizeof text; i++)
                text[i] = (char)take8(in);
            (void)weir_sysctl_write(w->stack, name, text);
            (void)weir_sysctl_read(w->stack, name, text, sizeof text);
        }
        break;
    }
    default:
        w->answers = how & 1;
        if (how & 8)
            (void)weir_netif_remove(w->stack, ifindex, w->now);
        break;
    }
}

/* The guest sends a datagram of any size, by any address, whole or as a fragment. */
static void op_guest(struct world *w, struct input *in)
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

/* ---- one input ----------------------------------------------------------------------------------- */

static void step(struct world *w, struct input *in)
{
    switch ((enum op)(take8(in) % OP_COUNT)) {
    case OP_RAW_ETHER:
        op_raw(w, in, w->ether);
        break;
    case OP_RAW_IP:
        if (w->guest)
            op_guest(w, in);
        op_raw(w, in, w->tun);
        break;
    case OP_TCP:
        op_tcp(w, in);
        break;
    case OP_TCP_NEW:
        op_tcp_new(w, in);
        break;
    case OP_UDP:
        op_udp(w, in);
        break;
    case OP_ICMP_ERROR:
        op_icmp_error(w, in);
        break;
    case OP_ICMP:
        op_icmp(w, in);
        break;
    case OP_NDP:
        op_ndp(w, in);
        break;
    case OP_ARP:
        op_arp(w, in);
        break;
    case OP_FRAGMENT:
        op_fragment(w, in);
        break;
    case OP_REFLECT:
        op_reflect(w, in);
        break;
    case OP_TIME:
        op_time(w, in);
        break;
    case OP_SOCK:
        op_sock(w, in);
        break;
    case OP_CONFIG:
        op_config(w, in);
        break;
    case OP_FAIL:
        w->fail_at = w->calls + take8(in);
        w->fail_count = take8(in) & 3;
        break;
    case OP_COUNT:
        break;
    }
    drain(w);
    must(weir_mem_bytes(w->stack) <= MEM_MAX, "memory within its bound");
}

static weir_sock open_at(struct world *w, int domain, int type, const char *at, uint16_t port)
{
    struct weir_endpoint e = {addr(at), port};
    weir_sock sock = 0;
    must(weir_sock_open(w->stack, domain, type, 0, &sock) == 0, "a socket");
    if (port)
        must(weir_sock_bind(w->stack, sock, &e) == 0, "a port");
    return sock;
}

static void connect_to(struct world *w, weir_sock sock, const char *to, uint16_t port)
{
    struct weir_endpoint e = {addr(to), port};
    (void)weir_sock_connect(w->stack, sock, &e, w->now);
    drain(w);
}

static void open_sockets(struct world *w)
{
    w->socks[0] = open_at(w, WEIR_AF_INET6, WEIR_SOCK_STREAM, "::", 80);
    must(weir_sock_listen(w->stack, w->socks[0], 3, w->now) == 0, "a listener");
    w->socks[1] = open_at(w, WEIR_AF_INET, WEIR_SOCK_DGRAM, "0.0.0.0", 53);
    w->socks[2] = open_at(w, WEIR_AF_INET6, WEIR_SOCK_DGRAM, "fd00::1", 53);
    w->socks[3] = open_at(w, WEIR_AF_INET, WEIR_SOCK_STREAM, "0.0.0.0", 0);
    connect_to(w, w->socks[3], "127.0.0.1", 80);
    (void)weir_sock_accept(w->stack, w->socks[0], &w->socks[4], NULL, w->now);
    w->socks[5] = open_at(w, WEIR_AF_INET, WEIR_SOCK_STREAM, "0.0.0.0", 0);
    connect_to(w, w->socks[5], "10.0.0.2", 7);
    w->socks[6] = open_at(w, WEIR_AF_INET6, WEIR_SOCK_STREAM, "::", 0);
    connect_to(w, w->socks[6], "fd01::2", 7);
    w->socks[7] = open_at(w, WEIR_AF_INET, WEIR_SOCK_DGRAM, "0.0.0.0", 0);
    connect_to(w, w->socks[7], "10.1.0.2", 53);
}

static void make_world(struct world *w, uint8_t how)
{
    struct weir_config config;
    struct weir_netif_config ether = {.name = "eth0", .kind = WEIR_NETIF_ETHERNET, .mtu = 1500};
    struct weir_netif_config tun = {.name = "tun0", .kind = WEIR_NETIF_IP, .mtu = 9000};
    struct weir_netif_config guest = {
        .name = "guest", .kind = WEIR_NETIF_IP, .mtu = 9000, .guest = true};
    static const char *const addrs[] = {"10.0.0.1", "fd00::1", "10.1.0.1", "fd01::1"};

    memset(w, 0, sizeof *w);
    weir_config_default(&config);
    config.alloc.alloc = counted_alloc;
    config.alloc.free = counted_free;
    config.alloc.ctx = w;
    config.seed[0] = how;
    config.mem_max_bytes = MEM_MAX;
    w->now = WEIR_SEC;
    w->answers = how & 1;
    w->stack = weir_stack_new(&config, w->now);
    must(w->stack != NULL, "a stack");
    (void)weir_sysctl_set(w->stack, "net.ipv6.conf.default.dad_transmits", how >> 1 & 1);
    (void)weir_sysctl_set(w->stack, "weir.arp_probe", how >> 2 & 1);
    memcpy(ether.mac, us_mac, 6);
    if (how & 8) {
        tun.gso_max_bytes = 65535;
        tun.tx_csum = true;
    }
    w->ether = weir_netif_add(w->stack, &ether, w->now);
    w->tun = weir_netif_add(w->stack, &tun, w->now);
    must(w->ether > 0 && w->tun > 0, "interfaces");
    w->guest = how & 0x10 ? weir_netif_add(w->stack, &guest, w->now) : 0;
    must(w->guest >= 0, "a guest");
    for (unsigned i = 0; i < 4; i++) {
        struct weir_addr a = addr(addrs[i]);
        must(weir_addr_add(w->stack, i < 2 ? w->ether : w->tun, &a, weir_addr_is_v4(&a) ? 24 : 64,
                           w->now) == 0,
             "an address");
    }
    if (how & 6)
        run_until(w, w->now + 15 * WEIR_SEC);
    open_sockets(w);
}

/* With FUZZ_HOST_SHOW in the environment: what an input brought about. */
static void show(const struct weir_stack *stack)
{
    for (unsigned i = 0; i < weir_stat_kinds(); i++) {
        if (weir_stat_count(stack, i) > 0)
            printf("%s %llu\n", weir_stat_name(i), (unsigned long long)weir_stat_count(stack, i));
    }
    for (unsigned i = 0; i < weir_drop_reasons(); i++) {
        if (weir_drop_count(stack, i) > 0)
            printf("drop %s %llu\n", weir_drop_name(i),
                   (unsigned long long)weir_drop_count(stack, i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    static struct world w;
    make_world(&w, take8(&in));
    for (unsigned i = 0; i < OPS_MAX && in.n > 0; i++)
        step(&w, &in);
    w.fail_count = 0;
    sock_table(&w);
    if (getenv("FUZZ_HOST_SHOW"))
        show(w.stack);
    weir_stack_free(w.stack);
    must(w.live == 0, "all memory is given back");
    return 0;
}
