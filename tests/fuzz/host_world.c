/* SPDX-License-Identifier: MIT */
/* The host of fuzz_host.c: it is made, frames go in, and all that comes out is looked at and answered. */
#include <string.h>

#include <weir/event.h>

#include "base/bytes.h"
#include "fuzz/host_world.h"
#include "wire/w_arp.h"
#include "wire/w_eth.h"
#include "wire/w_icmp6.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_ip6ext.h"
#include "wire/w_ndp.h"
#include "wire/w_tcp.h"
#include "wire/w_tcpopt.h"

enum {
    ROUNDS_MAX = 400,  /* timers run in one time step */
    FRAMES_MAX = 20000 /* taken from the host in one go: more means that it never rests */
};

const uint8_t us_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};

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

struct weir_addr addr(const char *text)
{
    struct weir_addr a;
    must(weir_addr_parse(text, &a), "an address of this file");
    return a;
}

/* Gives the stack all that the wire has, joined. */
static void take_wire(struct world *w)
{
    const struct weir_link_ops *ops = w->wire[1]->ops;
    struct weir_frame frame;
    struct weir_room room;
    int rc = 1;
    while (rc == 1) {
        if (weir_input_room(w->stack, w->tun, &room))
            rc = ops->recv_room(w->wire[1], &room, &frame, w->now);
        else
            rc = ops->recv(w->wire[1], &frame, w->now);
        if (rc == 1)
            (void)weir_input(w->stack, w->tun, &frame, w->now);
    }
    weir_input_room_unused(w->stack);
}

static int put_piece(void *arg, const uint8_t *p, size_t len)
{
    struct weir_link *link = arg;
    struct weir_out out = {.n_spans = 1, .span = {{p, len}}};
    must(link->ops->send(link, &out, 0) == 0, "the wire takes a piece");
    return 0;
}

/* Cuts a segment into up to eight and lets them be joined again. False: it is none. */
static bool feed_pieces(struct world *w, const uint8_t *p, size_t len)
{
    struct weir_out out = {.n_spans = 1, .span = {{p, len}}};
    if (len > 65000)
        return false;
    out.gso_size = (uint16_t)(len / 8 + 1);
    if (weir_out_segment(&out, WEIR_NETIF_IP, put_piece, w->wire[0]) != 0)
        return false;
    take_wire(w);
    return true;
}

void feed(struct world *w, int ifindex, const uint8_t *p, size_t len, bool vouched,
          uint16_t gso_size)
{
    if (ifindex == w->tun && w->wire[1] && gso_size == 0 && feed_pieces(w, p, len))
        return;
    uint8_t *copy = malloc(len ? len : 1);
    struct weir_frame frame = {
        .data = copy, .len = len, .gso_size = gso_size, .csum_valid = vouched};
    if (!copy)
        abort();
    wr_bytes_copy(copy, p, len);
    (void)weir_input(w->stack, ifindex, &frame, w->now);
    free(copy);
}

/* ---- what comes out ----------------------------------------------------------------------------- */

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

/* A piece of a super-segment, as it leaves. */
static int piece_is_good(void *arg, const uint8_t *p, size_t len)
{
    const uint32_t *mtu = arg;
    struct w_ip4 ip4;
    struct w_ip6 ip6;
    must(len <= *mtu, "a piece that fits");
    if (p[0] >> 4 == 4) {
        must(wr_w_ip4_parse(p, len, &ip4) == W_OK && ip4.total_len == len, "a piece of IPv4");
        must(wr_w_tcp_csum_ok(p + ip4.hdr_len, len - ip4.hdr_len, &ip4.src, &ip4.dst),
             "the checksum of a piece");
    } else {
        must(wr_w_ip6_parse(p, len, &ip6) == W_OK, "a piece of IPv6");
        must(wr_w_tcp_csum_ok(p + W_IP6_HLEN, len - W_IP6_HLEN, &ip6.src, &ip6.dst),
             "the checksum of a piece");
    }
    return 0;
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
        uint32_t mtu = 9000;
        if (out.gso_size != 0)
            must(weir_out_segment(&out, WEIR_NETIF_IP, piece_is_good, &mtu) == 0,
                 "a super-segment that can be cut");
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
void drain(struct world *w)
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

void run_until(struct world *w, weir_time until)
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

/* ---- the host -------------------------------------------------------------------------------------- */

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

/* tun0 has super-segments in software. */
static void open_wire(struct world *w, struct weir_netif_config *tun)
{
    struct weir_pipe_config config = {.kind = WEIR_NETIF_IP, .mtu = 9000};
    must(weir_link_pipe(&config, w->wire) == 0, "a wire");
    must(weir_link_offload(w->wire[1], &w->wire[1]) == 0, "a link that joins");
    tun->gso_max_bytes = w->wire[1]->netif.gso_max_bytes;
    tun->tx_csum = w->wire[1]->netif.tx_csum;
}

void make_world(struct world *w, uint8_t how)
{
    struct weir_config config;
    struct weir_netif_config ether = {.name = "eth0", .kind = WEIR_NETIF_ETHERNET, .mtu = 1500};
    struct weir_netif_config tun = {.name = "tun0", .kind = WEIR_NETIF_IP, .mtu = 9000};
    struct weir_netif_config guest = {
        .name = "guest", .kind = WEIR_NETIF_IP, .mtu = 9000, .guest = &weir_guest};
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
    if (how & 0x20)
        open_wire(w, &tun);
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

void free_world(struct world *w)
{
    weir_stack_free(w->stack);
    weir_link_free(w->wire[0]);
    weir_link_free(w->wire[1]);
}
