/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IP_KIT_H
#define TESTS_UNIT_IP_KIT_H

/*
 * A whole stack with one interface in virtual time, and the other end of its wire: packets are made by
 * hand, put in with weir_input(), and everything that weir_output() gives is kept with its time.
 *
 * The host is 10.0.0.1/24 and fd00::1/64, the peer 10.0.0.2 and fd00::2; on Ethernet their MACs are
 * kit_mac and kit_peer_mac. Duplicate address detection, router solicitations and reports of groups are
 * off unless asked for, so that a test sees only what it caused.
 */

#include <stdio.h>

#include "probe.h"

#include "core/core.h"
#include "ip/ip_entry.h"
#include "weir/socket.h"
#include "wire/w_arp.h"
#include "wire/w_csum.h"
#include "wire/w_eth.h"
#include "wire/w_icmp4.h"
#include "wire/w_icmp6.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_ip6ext.h"
#include "wire/w_ndp.h"
#include "wire/w_udp.h"

enum {
    KIT_TUN = 0,
    KIT_ETHER = 1,
    KIT_DAD = 2,  /* duplicate address detection as by default */
    KIT_RA = 4,   /* ask for routers and listen to them, as by default */
    KIT_BARE = 8, /* no addresses */
    KIT_MLD = 16  /* report the groups joined, as by default */
};

struct kit_frame {
    weir_time at;
    size_t len;
    uint8_t *data;
};

struct kit {
    struct probe probe;
    struct weir_stack *stack;
    struct wr_netif *netif;
    int ifindex;
    bool ether;
    weir_time now;
    struct kit_frame *sent;
    size_t n_sent, cap, seen; /* seen: frames that kit_next() has given */
};

static const uint8_t kit_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t kit_peer_mac[6] = {2, 0, 0, 0, 0, 2};

static inline struct weir_addr kit_addr(const char *text)
{
    struct weir_addr a;
    assert_true(weir_addr_parse(text, &a));
    return a;
}

static inline void kit_open(struct kit *k, unsigned flags)
{
    struct weir_config config;
    struct weir_netif_config netif = {.name = "eth0", .kind = WEIR_NETIF_IP, .mtu = 1500};
    struct weir_addr our4 = kit_addr("10.0.0.1"), our6 = kit_addr("fd00::1");

    memset(k, 0, sizeof *k);
    weir_config_default(&config);
    config.alloc = *probe_init(&k->probe);
    for (unsigned i = 0; i < sizeof config.seed; i++)
        config.seed[i] = (uint8_t)(i + 1);
    k->now = 1000 * WEIR_SEC;
    k->ether = (flags & KIT_ETHER) != 0;
    k->stack = weir_stack_new(&config, k->now);
    assert_non_null(k->stack);
    if (!(flags & KIT_DAD))
        assert_int_equal(weir_sysctl_set(k->stack, "net.ipv6.conf.default.dad_transmits", 0), 0);
    if (!(flags & KIT_RA))
        assert_int_equal(weir_sysctl_set(k->stack, "net.ipv6.conf.default.accept_ra", 0), 0);
    if (!(flags & KIT_MLD))
        assert_int_equal(weir_sysctl_set(k->stack, "weir.mld_reports", 0), 0);
    if (k->ether) {
        netif.kind = WEIR_NETIF_ETHERNET;
        memcpy(netif.mac, kit_mac, 6);
    }
    k->ifindex = weir_netif_add(k->stack, &netif, k->now);
    assert_true(k->ifindex > 0);
    k->netif = wr_netif_by_index(k->stack, k->ifindex);
    if (flags & KIT_BARE)
        return;
    assert_int_equal(weir_addr_add(k->stack, k->ifindex, &our4, 24, k->now), 0);
    assert_int_equal(weir_addr_add(k->stack, k->ifindex, &our6, 64, k->now), 0);
}

static inline void kit_close(struct kit *k)
{
    weir_stack_free(k->stack);
    probe_done(&k->probe);
    for (size_t i = 0; i < k->n_sent; i++)
        free(k->sent[i].data);
    free(k->sent);
}

/* Takes out of the stack all that it wants to send now. */
static inline void kit_collect(struct kit *k)
{
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    size_t len;
    while ((len = weir_output(k->stack, k->ifindex, &out, k->now)) > 0) {
        struct kit_frame *frame;
        if (k->n_sent == k->cap) {
            k->cap = k->cap ? 2 * k->cap : 64;
            k->sent = realloc(k->sent, k->cap * sizeof *k->sent);
            assert_non_null(k->sent);
        }
        frame = &k->sent[k->n_sent++];
        frame->at = k->now;
        frame->len = len;
        frame->data = malloc(len);
        assert_non_null(frame->data);
        memcpy(frame->data, head, out.head_len);
        assert_int_equal(
            out.head_len + wr_spans_copy(frame->data + out.head_len, out.span, out.n_spans), len);
        memset(&out, 0, sizeof out);
        out.head = head;
    }
}

/* Runs timers up to and including `until`, which becomes the time. */
static inline void kit_run_until(struct kit *k, weir_time until)
{
    unsigned rounds = 0;
    kit_collect(k);
    for (;;) {
        weir_time due = weir_deadline(k->stack);
        if (due > until)
            break;
        if (due > k->now)
            k->now = due;
        weir_advance(k->stack, k->now);
        kit_collect(k);
        assert_true(++rounds < 1000000); /* a timer that never comes to rest */
    }
    k->now = until;
    weir_advance(k->stack, k->now);
    kit_collect(k);
}

static inline void kit_run(struct kit *k, weir_time for_ns)
{
    kit_run_until(k, k->now + for_ns);
}

/* A frame as it comes off the wire, in a block of exactly its size. */
static inline void kit_input_frame(struct kit *k, const uint8_t *p, size_t len)
{
    uint8_t *copy = exact_copy(p, len);
    struct weir_frame frame = {.data = copy, .len = len};
    assert_int_equal(weir_input(k->stack, k->ifindex, &frame, k->now), 0);
    free(copy);
    weir_advance(k->stack, k->now);
    kit_collect(k);
}

/* An IP packet from the peer: on Ethernet with a link header to `mac`. */
static inline void kit_input_to(struct kit *k, const uint8_t mac[6], const uint8_t *p, size_t len)
{
    static uint8_t frame[70000];
    struct w_eth eth = {.type = len > 0 && p[0] >> 4 == 6 ? W_ETHERTYPE_IP6 : W_ETHERTYPE_IP4};
    if (!k->ether) {
        kit_input_frame(k, p, len);
        return;
    }
    memcpy(eth.dst, mac, 6);
    memcpy(eth.src, kit_peer_mac, 6);
    wr_w_eth_emit(frame, &eth);
    wr_bytes_copy(frame + W_ETH_HLEN, p, len);
    kit_input_frame(k, frame, W_ETH_HLEN + len);
}

static inline void kit_input(struct kit *k, const uint8_t *p, size_t len)
{
    kit_input_to(k, kit_mac, p, len);
}

static inline uint64_t kit_drops(const struct kit *k, enum wr_drop why)
{
    return k->stack->drops[why];
}

/* ---- making packets ----------------------------------------------------------------------------- */

/* One packet under construction, of either family. */
struct kit_packet {
    uint8_t b[70000];
    size_t len;
};

static inline void kit_make4(struct kit_packet *out, const struct w_ip4 *fields,
                             const void *payload, size_t len)
{
    struct w_ip4 ip = *fields;
    if (ip.hdr_len == 0)
        ip.hdr_len = W_IP4_HLEN;
    if (ip.ttl == 0)
        ip.ttl = 64;
    ip.total_len = (uint16_t)(ip.hdr_len + len);
    wr_w_ip4_emit(out->b, &ip);
    wr_bytes_copy(out->b + ip.hdr_len, payload, len);
    out->len = ip.hdr_len + len;
}

static inline void kit_make6(struct kit_packet *out, const struct w_ip6 *fields,
                             const void *payload, size_t len)
{
    struct w_ip6 ip = *fields;
    if (ip.hop_limit == 0)
        ip.hop_limit = 64;
    ip.payload_len = (uint16_t)len;
    wr_w_ip6_emit(out->b, &ip);
    wr_bytes_copy(out->b + W_IP6_HLEN, payload, len);
    out->len = W_IP6_HLEN + len;
}

/* A UDP datagram with its checksum into p; returns its length. */
static inline size_t kit_udp(uint8_t *p, const struct weir_addr *src, const struct weir_addr *dst,
                             uint16_t src_port, uint16_t dst_port, const void *data, size_t len)
{
    struct w_udp udp = {.src_port = src_port, .dst_port = dst_port, .len = (uint16_t)(8 + len)};
    wr_w_udp_emit(p, &udp);
    wr_bytes_copy(p + W_UDP_HLEN, data, len);
    wr_w_udp_seal(p, W_UDP_HLEN + len, src, dst);
    return W_UDP_HLEN + len;
}

/* An ICMP or ICMPv6 message with its checksum into p; returns its length. */
static inline size_t kit_icmp(uint8_t *p, const struct weir_addr *src, const struct weir_addr *dst,
                              uint8_t type, uint8_t code, uint32_t rest, const void *data,
                              size_t len)
{
    wr_bytes_copy(p + W_ICMP_HLEN, data, len);
    if (weir_addr_is_v4(dst)) {
        struct w_icmp4 icmp = {type, code, rest};
        wr_w_icmp4_emit(p, W_ICMP_HLEN + len, &icmp);
    } else {
        struct w_icmp6 icmp = {type, code, rest};
        wr_w_icmp6_emit(p, W_ICMP_HLEN + len, src, dst, &icmp);
    }
    return W_ICMP_HLEN + len;
}

/* A whole packet around a transport message, by the family of its addresses. */
static inline void kit_wrap(struct kit_packet *out, const struct weir_addr *src,
                            const struct weir_addr *dst, uint8_t proto, const void *l4, size_t len)
{
    if (weir_addr_is_v4(dst)) {
        struct w_ip4 ip = {.src = *src, .dst = *dst, .proto = proto};
        kit_make4(out, &ip, l4, len);
    } else {
        struct w_ip6 ip = {.src = *src, .dst = *dst, .next = proto};
        kit_make6(out, &ip, l4, len);
    }
}

/* From the peer to us: texts, for short. */
static inline void kit_send_udp(struct kit *k, const char *src, const char *dst, uint16_t src_port,
                                uint16_t dst_port, const void *data, size_t len)
{
    static struct kit_packet packet;
    static uint8_t l4[66000];
    struct weir_addr s = kit_addr(src), d = kit_addr(dst);
    size_t n = kit_udp(l4, &s, &d, src_port, dst_port, data, len);
    kit_wrap(&packet, &s, &d, W_IPPROTO_UDP, l4, n);
    kit_input(k, packet.b, packet.len);
}

static inline void kit_send_icmp(struct kit *k, const char *src, const char *dst, uint8_t type,
                                 uint8_t code, uint32_t rest, const void *data, size_t len)
{
    static struct kit_packet packet;
    static uint8_t l4[66000];
    struct weir_addr s = kit_addr(src), d = kit_addr(dst);
    size_t n = kit_icmp(l4, &s, &d, type, code, rest, data, len);
    kit_wrap(&packet, &s, &d, weir_addr_is_v4(&d) ? W_IPPROTO_ICMP : W_IPPROTO_ICMP6, l4, n);
    kit_input(k, packet.b, packet.len);
}

/* Discovery messages have hop limit 255. */
static inline void kit_send_ndp(struct kit *k, const char *src, const char *dst,
                                const struct w_ndp *ndp)
{
    struct kit_packet packet;
    uint8_t msg[W_NDP_EMIT_MAX], mac[6];
    struct w_ip6 ip = {
        .src = kit_addr(src), .dst = kit_addr(dst), .next = W_IPPROTO_ICMP6, .hop_limit = 255};
    size_t len = wr_w_ndp_emit(msg, ndp);
    wr_w_icmp6_seal(msg, len, &ip.src, &ip.dst);
    kit_make6(&packet, &ip, msg, len);
    if (!wr_w_eth_map_group(&ip.dst, mac))
        memcpy(mac, kit_mac, 6);
    kit_input_to(k, mac, packet.b, packet.len);
}

static inline void kit_send_arp(struct kit *k, const struct w_arp *arp, const uint8_t dst[6])
{
    uint8_t frame[W_ETH_HLEN + W_ARP_LEN];
    struct w_eth eth = {.type = W_ETHERTYPE_ARP};
    memcpy(eth.dst, dst, 6);
    memcpy(eth.src, arp->sha, 6);
    wr_w_eth_emit(frame, &eth);
    wr_w_arp_emit(frame + W_ETH_HLEN, arp);
    kit_input_frame(k, frame, sizeof frame);
}

/* ---- reading what was sent --------------------------------------------------------------------- */

struct kit_view {
    weir_time at;
    struct w_eth eth;
    bool is_arp, is_v4;
    struct w_arp arp;
    struct w_ip4 ip4;
    struct w_ip6 ip6;
    struct weir_addr src, dst;
    uint8_t proto, hop_limit;
    bool is_frag; /* IPv6: next four */
    bool more;
    uint32_t frag_id, frag_off;
    const uint8_t *l3, *l4;
    size_t l3_len, l4_len;
    uint8_t type, code; /* ICMP */
    uint32_t rest;
};

static inline void kit_parse_icmp(struct kit_view *v)
{
    if (v->is_v4 && v->proto == W_IPPROTO_ICMP && !wr_w_ip4_is_fragment(&v->ip4)) {
        struct w_icmp4 icmp;
        assert_int_equal(wr_w_icmp4_parse(v->l4, v->l4_len, &icmp), W_OK);
        v->type = icmp.type;
        v->code = icmp.code;
        v->rest = icmp.rest;
    }
    if (!v->is_v4 && v->proto == W_IPPROTO_ICMP6 && !v->is_frag) {
        struct w_icmp6 icmp;
        assert_int_equal(wr_w_icmp6_parse(v->l4, v->l4_len, &v->src, &v->dst, &icmp), W_OK);
        v->type = icmp.type;
        v->code = icmp.code;
        v->rest = icmp.rest;
    }
}

static inline void kit_parse6(struct kit_view *v)
{
    struct w_ip6ext ext;
    assert_int_equal(wr_w_ip6_parse(v->l3, v->l3_len, &v->ip6), W_OK);
    wr_w_ip6ext_walk(v->l3, v->l3_len, &ext);
    assert_int_equal(ext.act, W_IP6EXT_ACCEPT);
    v->src = v->ip6.src;
    v->dst = v->ip6.dst;
    v->hop_limit = v->ip6.hop_limit;
    v->proto = ext.proto;
    v->is_frag = ext.has_frag;
    v->more = ext.more_frags;
    v->frag_id = ext.frag_id;
    v->frag_off = ext.frag_off;
    v->l4 = v->l3 + ext.off;
    v->l4_len = v->l3_len - ext.off;
}

/* Reads a sent frame; everything that has a checksum or a length is checked. */
static inline void kit_parse(const struct kit *k, const struct kit_frame *frame, struct kit_view *v)
{
    memset(v, 0, sizeof *v);
    v->at = frame->at;
    v->l3 = frame->data;
    v->l3_len = frame->len;
    if (k->ether) {
        assert_int_equal(wr_w_eth_parse(frame->data, frame->len, &v->eth), W_OK);
        v->l3 += W_ETH_HLEN;
        v->l3_len -= W_ETH_HLEN;
        if (v->eth.type == W_ETHERTYPE_ARP) {
            v->is_arp = true;
            assert_int_equal(wr_w_arp_parse(v->l3, v->l3_len, &v->arp), W_OK);
            return;
        }
    }
    if (v->l3[0] >> 4 == 6) {
        kit_parse6(v);
    } else {
        v->is_v4 = true;
        assert_int_equal(wr_w_ip4_parse(v->l3, v->l3_len, &v->ip4), W_OK);
        assert_int_equal(v->ip4.total_len, v->l3_len);
        v->src = v->ip4.src;
        v->dst = v->ip4.dst;
        v->proto = v->ip4.proto;
        v->hop_limit = v->ip4.ttl;
        v->l4 = v->l3 + v->ip4.hdr_len;
        v->l4_len = v->l3_len - v->ip4.hdr_len;
    }
    kit_parse_icmp(v);
}

/* The next frame that was sent and not looked at. False when there is none. */
static inline bool kit_next(struct kit *k, struct kit_view *v)
{
    kit_collect(k);
    if (k->seen == k->n_sent)
        return false;
    kit_parse(k, &k->sent[k->seen++], v);
    return true;
}

/* Nothing (more) was sent. */
static inline void kit_expect_silence(struct kit *k)
{
    struct kit_view v;
    assert_false(kit_next(k, &v));
}

static inline void kit_expect_icmp(struct kit *k, struct kit_view *v, uint8_t type, uint8_t code)
{
    assert_true(kit_next(k, v));
    assert_false(v->is_arp);
    assert_int_equal(v->proto, v->is_v4 ? W_IPPROTO_ICMP : W_IPPROTO_ICMP6);
    assert_int_equal(v->type, type);
    assert_int_equal(v->code, code);
}

static inline void kit_expect_addr(const struct weir_addr *have, const char *want)
{
    char text[WEIR_ADDR_STRLEN];
    weir_addr_format(have, text, sizeof text);
    assert_string_equal(text, want);
}

/* ---- an echo request from the peer, of 32 bytes: tests bend it before it is sent ---------------------- */

static inline void kit_ping(struct kit_packet *packet, const char *src, const char *dst)
{
    uint8_t l4[64], data[32];
    struct weir_addr s = kit_addr(src), d = kit_addr(dst);
    bool v4 = weir_addr_is_v4(&d);
    size_t n;
    memset(data, 'x', sizeof data);
    n = kit_icmp(l4, &s, &d, v4 ? W_ICMP4_ECHO : W_ICMP6_ECHO, 0, wr_w_icmp_echo_rest(7, 1), data,
                 sizeof data);
    kit_wrap(packet, &s, &d, v4 ? W_IPPROTO_ICMP : W_IPPROTO_ICMP6, l4, n);
}

/* It is dropped for this reason, and not answered. */
static inline void kit_expect_drop(struct kit *k, const struct kit_packet *packet, enum wr_drop why)
{
    uint64_t before = kit_drops(k, why);
    kit_input(k, packet->b, packet->len);
    assert_int_equal(kit_drops(k, why), before + 1);
    kit_expect_silence(k);
}

/* ---- sockets ------------------------------------------------------------------------------------- */

/* A UDP socket bound to a port on all addresses of one family. */
static inline weir_sock kit_udp_socket(struct kit *k, int domain, uint16_t port)
{
    struct weir_endpoint local = {domain == WEIR_AF_INET ? weir_addr_any4() : weir_addr_any6(),
                                  port};
    weir_sock sock;
    assert_int_equal(weir_sock_open(k->stack, domain, WEIR_SOCK_DGRAM, 0, &sock), 0);
    assert_int_equal(weir_sock_bind(k->stack, sock, &local), 0);
    return sock;
}

static inline void kit_udp_connect(struct kit *k, weir_sock sock, const char *to, uint16_t port)
{
    struct weir_endpoint remote = {kit_addr(to), port};
    assert_int_equal(weir_sock_connect(k->stack, sock, &remote, k->now), 0);
}

static inline ptrdiff_t kit_udp_send(struct kit *k, weir_sock sock, const char *to, uint16_t port,
                                     const void *data, size_t len)
{
    struct weir_endpoint remote = {kit_addr(to), port};
    ptrdiff_t n = weir_sock_send(k->stack, sock, data, len, 0, &remote, k->now);
    weir_advance(k->stack, k->now);
    kit_collect(k);
    return n;
}

/* Receives into buf; WEIR_EAGAIN when nothing is there. */
static inline ptrdiff_t kit_udp_recv(struct kit *k, weir_sock sock, void *buf, size_t len)
{
    return weir_sock_recv(k->stack, sock, buf, len, 0, NULL, k->now);
}

/* The pending error of a socket, as a positive errno; 0 for none. */
static inline int kit_sock_error(struct kit *k, weir_sock sock)
{
    int error = -1;
    size_t len = sizeof error;
    assert_int_equal(
        weir_sock_getsockopt(k->stack, sock, WEIR_SOL_SOCKET, WEIR_SO_ERROR, &error, &len, k->now),
        0);
    return error;
}

#endif
