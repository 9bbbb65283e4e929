/* SPDX-License-Identifier: MIT */
/*
 * Every parser of src/wire over arbitrary bytes. The first input byte chooses what the rest begins
 * with; everything that parses is written and parsed again, and must come out the same. A sanitizer
 * sees reads past the end; aborts tell broken promises.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "wire/w_arp.h"
#include "wire/w_csum.h"
#include "wire/w_eth.h"
#include "wire/w_icmp4.h"
#include "wire/w_icmp6.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_ip6ext.h"
#include "wire/w_ndp.h"
#include "wire/w_print.h"
#include "wire/w_tcp.h"
#include "wire/w_tcpopt.h"
#include "wire/w_udp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int truth)
{
    if (!truth)
        abort();
}

/* A span must lie within [p, p + n). */
static void must_lie_within(const uint8_t *sub, size_t sub_len, const uint8_t *p, size_t n)
{
    must(sub >= p && sub_len <= n && (size_t)(sub - p) <= n - sub_len);
}

static void run_eth(const uint8_t *p, size_t n)
{
    struct w_eth eth;
    struct w_arp arp;
    uint8_t out[W_ARP_LEN];

    if (wr_w_eth_parse(p, n, &eth) == W_OK) {
        wr_w_eth_emit(out, &eth);
        must(memcmp(out, p, W_ETH_HLEN) == 0);
    }
    if (wr_w_arp_parse(p, n, &arp) == W_OK) {
        wr_w_arp_emit(out, &arp);
        must(memcmp(out, p, W_ARP_LEN) == 0);
    }
}

static void run_ip4(const uint8_t *p, size_t n)
{
    struct w_ip4 ip;
    struct w_ip4opts opts;
    struct w_quote q;
    uint8_t out[W_IP4_HLEN_MAX];

    if (wr_w_ip4_parse_quoted(p, n, &ip) == W_OK) {
        must_lie_within(ip.opts, ip.hdr_len - (size_t)W_IP4_HLEN, p, n);
        if (wr_w_ip4opts_parse(&ip, &opts) != W_OK)
            must(opts.bad >= W_IP4_HLEN && opts.bad < ip.hdr_len);
        wr_w_ip4_emit(out, &ip);
        must(memcmp(out, p, 10) == 0 && memcmp(out + 12, p + 12, ip.hdr_len - 12u) == 0);
        must(wr_csum(out, ip.hdr_len) == 0);
    }
    if (wr_w_ip4_parse(p, n, &ip) == W_OK)
        must(ip.hdr_len <= ip.total_len && ip.total_len <= n);
    if (wr_w_icmp4_quote(p, n, &q) == W_OK)
        must_lie_within(q.l4, q.l4_len, p, n);
}

static void run_ip6(const uint8_t *p, size_t n)
{
    struct w_ip6 ip;
    struct w_ip6ext ext;
    struct w_quote q;
    uint8_t out[W_IP6_HLEN];

    if (wr_w_ip6_parse(p, n, &ip) == W_OK) {
        must(W_IP6_HLEN + (size_t)ip.payload_len <= n);
        wr_w_ip6_emit(out, &ip);
        must(memcmp(out, p, W_IP6_HLEN) == 0);
    }
    wr_w_ip6ext_walk(p, n, &ext);
    if (ext.act == W_IP6EXT_ACCEPT)
        must(ext.off <= n && ext.next_off < n && p[ext.next_off] == ext.proto);
    if (ext.act == W_IP6EXT_PROBLEM)
        must(ext.pointer < n);
    if (wr_w_icmp6_quote(p, n, &q) == W_OK)
        must_lie_within(q.l4, q.l4_len, p, n);
}

static void run_icmp(const uint8_t *p, size_t n)
{
    static const struct weir_addr src = {.b = {0xfe, 0x80, [15] = 1}};
    static const struct weir_addr dst = {.b = {0xfe, 0x80, [15] = 2}};
    struct w_icmp4 icmp4;
    struct w_icmp6 icmp6;
    struct w_ndp ndp, again;
    uint8_t out[W_NDP_EMIT_MAX];

    (void)wr_w_icmp4_parse(p, n, &icmp4);
    (void)wr_w_icmp6_parse(p, n, &src, &dst, &icmp6);
    if (wr_w_ndp_parse(p, n, &src, &dst, 255, &ndp) == W_OK) {
        size_t len = wr_w_ndp_emit(out, &ndp);
        must(len <= sizeof out);
        must(wr_w_ndp_parse(out, len, &src, &dst, 255, &again) == W_OK);
        must(memcmp(&ndp.target, &again.target, sizeof ndp.target) == 0);
        must(ndp.n_prefixes == again.n_prefixes && ndp.mtu == again.mtu);
    }
}

static void run_udp(const uint8_t *p, size_t n)
{
    struct weir_addr src = weir_addr_v4(1), dst = weir_addr_v4(2);
    struct w_udp udp;
    uint8_t out[W_UDP_HLEN];

    if (wr_w_udp_parse(p, n, &udp) != W_OK)
        return;
    (void)wr_w_udp_csum_ok(p, &udp, &src, &dst);
    wr_w_udp_emit(out, &udp);
    must(memcmp(out, p, W_UDP_HLEN) == 0);
}

static void run_tcp(const uint8_t *p, size_t n)
{
    struct weir_addr src = weir_addr_any6(), dst = weir_addr_any6();
    struct w_tcp tcp;
    uint8_t out[W_TCP_HLEN];

    if (wr_w_tcp_parse(p, n, &tcp) != W_OK)
        return;
    (void)wr_w_tcp_csum_ok(p, n, &src, &dst);
    wr_w_tcp_emit(out, &tcp);
    out[12] = p[12]; /* the reserved bits are not kept */
    must(memcmp(out, p, W_TCP_OFF_CSUM) == 0 && memcmp(out + 18, p + 18, 2) == 0);
}

static void run_tcpopt(const uint8_t *p, size_t n, bool is_syn)
{
    struct w_tcpopt opt, again;
    uint8_t out[W_TCPOPT_MAX];
    uint32_t val, ecr;
    size_t len;

    if (n > W_TCPOPT_MAX)
        n = W_TCPOPT_MAX;
    if (wr_w_tcpopt_parse_ts(p, n, &val, &ecr)) {
        must(wr_w_tcpopt_parse(p, n, is_syn, &opt) == W_OK);
        must(opt.has_ts && opt.ts_val == val && opt.ts_ecr == ecr);
    }
    memset(&again, 0, sizeof again);
    if (is_syn && wr_w_tcpopt_parse_syn(p, n, &again)) {
        must(wr_w_tcpopt_parse(p, n, true, &opt) == W_OK);
        must(memcmp(&opt, &again, sizeof opt) == 0);
    }
    (void)wr_w_tcpopt_parse(p, n, is_syn, &opt);
    len = is_syn ? wr_w_tcpopt_emit_syn(out, &opt) : wr_w_tcpopt_emit(out, &opt);
    must(len <= W_TCPOPT_MAX && len % 4 == 0);
    must(wr_w_tcpopt_parse(out, len, is_syn, &again) == W_OK);
    must(again.has_mss == opt.has_mss && again.mss == opt.mss && again.has_ts == opt.has_ts);
    must(again.ts_val == opt.ts_val && again.wscale == opt.wscale);
}

/* A line of any room is a prefix of the whole one. */
static void run_print(const uint8_t *p, size_t n, enum w_print_link link)
{
    char whole[8192], part[64];
    size_t len = wr_w_print(whole, sizeof whole, link, p, n, false);

    must(wr_w_print(part, sizeof part, link, p, n, false) == len);
    must(strncmp(part, whole, strlen(part)) == 0);
    must(len >= sizeof whole || strlen(whole) == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *p;
    size_t n;

    if (size < 1)
        return 0;
    n = size - 1;
    p = malloc(n > 0 ? n : 1); /* of exact size, so that its end is guarded */
    must(p != NULL);
    wr_bytes_copy(p, data + 1, n);
    switch (data[0] % 10) {
    case 0:
        run_eth(p, n);
        break;
    case 1:
        run_ip4(p, n);
        break;
    case 2:
        run_ip6(p, n);
        break;
    case 3:
        run_icmp(p, n);
        break;
    case 4:
        run_udp(p, n);
        break;
    case 5:
        run_tcp(p, n);
        break;
    case 6:
    case 7:
        run_tcpopt(p, n, data[0] % 10 == 6);
        break;
    case 8:
        run_print(p, n, W_PRINT_IP);
        break;
    default:
        run_print(p, n, W_PRINT_ETH);
        break;
    }
    free(p);
    return 0;
}
