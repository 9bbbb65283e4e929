/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "probe.h"
#include "wire/w_arp.h"
#include "wire/w_csum.h"
#include "wire/w_eth.h"
#include "wire/w_icmp6.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_ip6ext.h"
#include "wire/w_ndp.h"
#include "wire/w_print.h"
#include "wire/w_tcp.h"
#include "wire/w_tcpopt.h"
#include "wire/w_udp.h"

static struct weir_addr addr(const char *text)
{
    struct weir_addr a;

    assert_true(weir_addr_parse(text, &a));
    return a;
}

/* Prints an exact copy and compares. */
static void assert_prints(enum w_print_link link, const uint8_t *p, size_t n, const char *want)
{
    char line[1024];
    uint8_t *copy = exact_copy(p, n);

    assert_true(wr_w_print(line, sizeof line, link, copy, n, false) < sizeof line);
    free(copy);
    assert_string_equal(line, want);
}

/*
 * Puts an IP header in front of `n` bytes of upper layer at p + 20 (IPv4) or p + 40; returns the
 * length.
 */
static size_t put_ip(uint8_t *p, const char *src, const char *dst, uint8_t proto, size_t n)
{
    struct weir_addr s = addr(src), d = addr(dst);

    if (weir_addr_is_v4(&s)) {
        struct w_ip4 ip = {.src = s,
                           .dst = d,
                           .total_len = (uint16_t)(20 + n),
                           .hdr_len = 20,
                           .ttl = 64,
                           .proto = proto};
        wr_w_ip4_emit(p, &ip);
        return 20 + n;
    }
    struct w_ip6 ip = {
        .src = s, .dst = d, .payload_len = (uint16_t)n, .next = proto, .hop_limit = 255};
    wr_w_ip6_emit(p, &ip);
    return 40 + n;
}

static size_t put_tcp(uint8_t *p, const char *src, const char *dst, const struct w_tcp *tcp,
                      const uint8_t *opts, size_t data)
{
    struct weir_addr s = addr(src), d = addr(dst);
    uint8_t *seg = p + (weir_addr_is_v4(&s) ? 20 : 40);
    size_t n = tcp->data_off + data;

    wr_w_tcp_emit(seg, tcp);
    wr_bytes_copy(seg + 20, opts, tcp->data_off - 20u);
    memset(seg + tcp->data_off, 'x', data);
    put_be16(seg + 16, wr_csum_finish(wr_csum_add(wr_csum_pseudo(&s, &d, 6, (uint32_t)n), seg, n)));
    return put_ip(p, src, dst, W_IPPROTO_TCP, n);
}

static void tcp_segments_are_told_as_tcpdump_does(void **state)
{
    static const uint8_t syn_opts[] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0,
                                       0, 9, 0, 0,    0, 0, 1, 3,  3, 7};
    static const uint8_t sack_opts[] = {1, 1, 5, 18, 0, 0, 0, 1, 0, 0,
                                        0, 2, 0, 0,  0, 5, 0, 0, 0, 6};
    static const uint8_t odd_opts[] = {34, 6, 0xaa, 0xbb, 0xcc, 0xdd, 200, 3, 1, 34, 2, 0};
    static const uint8_t bad_opts[] = {1, 77, 1, 0};
    struct w_tcp tcp = {41000, 80, 100, 7, W_TCP_SYN, 64240, 0, 40};
    uint8_t p[200];

    (void)state;
    assert_prints(W_PRINT_IP, p, put_tcp(p, "10.0.0.1", "10.0.0.2", &tcp, syn_opts, 0),
                  "IP 10.0.0.1.41000 > 10.0.0.2.80: Flags [S], seq 100, win 64240, options "
                  "[mss 1460,sackOK,TS val 9 ecr 0,nop,wscale 7], length 0");
    tcp.flags = W_TCP_PSH | W_TCP_ACK;
    tcp.data_off = 20;
    assert_prints(
        W_PRINT_IP, p, put_tcp(p, "fd00::1", "fd00::2", &tcp, NULL, 78),
        "IP6 fd00::1.41000 > fd00::2.80: Flags [P.], seq 100:178, ack 7, win 64240, length 78");
    tcp.flags = W_TCP_ACK;
    tcp.data_off = 40;
    assert_prints(W_PRINT_IP, p, put_tcp(p, "10.0.0.1", "10.0.0.2", &tcp, sack_opts, 0),
                  "IP 10.0.0.1.41000 > 10.0.0.2.80: Flags [.], ack 7, win 64240, options "
                  "[nop,nop,sack 2 {1:2 5:6}], length 0");
    tcp.flags = W_TCP_FIN | W_TCP_URG | W_TCP_ECE | W_TCP_CWR | W_TCP_AE;
    tcp.urg = 3;
    tcp.data_off = 32;
    assert_prints(
        W_PRINT_IP, p, put_tcp(p, "10.0.0.1", "10.0.0.2", &tcp, odd_opts, 0),
        "IP 10.0.0.1.41000 > 10.0.0.2.80: Flags [FUEWe], seq 100, win 64240, urg 3, options "
        "[tfo cookie aabbccdd,unknown-200 0x01,tfo cookiereq,eol], length 0");
    tcp.flags = 0;
    tcp.data_off = 24;
    assert_prints(
        W_PRINT_IP, p, put_tcp(p, "10.0.0.1", "10.0.0.2", &tcp, bad_opts, 0),
        "IP 10.0.0.1.41000 > 10.0.0.2.80: Flags [none], win 64240, options [nop,bad opt], "
        "length 0");
}

static void udp_arp_and_others_are_told(void **state)
{
    struct weir_addr s = addr("10.0.0.1"), d = addr("10.0.0.2");
    struct w_udp udp = {53, 1234, 18, 0};
    struct w_eth eth = {{2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 1}, W_ETHERTYPE_IP4};
    struct w_arp arp = {W_ARP_REQUEST, {2, 0, 0, 0, 0, 1}, {0}, s, d};
    uint8_t p[100] = {0};

    (void)state;
    wr_w_udp_emit(p + 34, &udp);
    wr_w_udp_seal(p + 34, 18, &s, &d);
    put_ip(p + 14, "10.0.0.1", "10.0.0.2", W_IPPROTO_UDP, 18);
    wr_w_eth_emit(p, &eth);
    assert_prints(W_PRINT_ETH, p, 60, "IP 10.0.0.1.53 > 10.0.0.2.1234: UDP, length 10");
    put_ip(p, "10.0.0.1", "10.0.0.2", 89, 30);
    assert_prints(W_PRINT_IP, p, 50, "IP 10.0.0.1 > 10.0.0.2: proto 89, length 30");

    eth.type = W_ETHERTYPE_ARP;
    wr_w_eth_emit(p, &eth);
    wr_w_arp_emit(p + 14, &arp);
    assert_prints(W_PRINT_ETH, p, 42, "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28");
    arp.op = W_ARP_REPLY;
    wr_w_arp_emit(p + 14, &arp);
    assert_prints(W_PRINT_ETH, p, 60, "ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:01, length 46");
    eth.type = 0x88cc;
    wr_w_eth_emit(p, &eth);
    assert_prints(W_PRINT_ETH, p, 60,
                  "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 0x88cc, length 46");
}

static void icmp_is_told(void **state)
{
    struct w_icmp4 echo = {W_ICMP4_ECHO, 0, wr_w_icmp_echo_rest(7, 1)};
    struct w_icmp4 port = {W_ICMP4_UNREACH, W_ICMP4_UNREACH_PORT, 0};
    struct w_icmp4 frag = {W_ICMP4_UNREACH, W_ICMP4_UNREACH_FRAG, 1400};
    struct w_udp udp = {1000, 2000, 8, 0};
    uint8_t p[100] = {0};

    (void)state;
    wr_w_icmp4_emit(p + 20, 64, &echo);
    assert_prints(W_PRINT_IP, p, put_ip(p, "10.0.0.1", "10.0.0.2", W_IPPROTO_ICMP, 64),
                  "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 1, length 64");
    wr_w_udp_emit(p + 48, &udp);
    put_ip(p + 28, "10.0.0.2", "10.0.0.1", W_IPPROTO_UDP, 8);
    wr_w_icmp4_emit(p + 20, 36, &port);
    assert_prints(W_PRINT_IP, p, put_ip(p, "10.0.0.1", "10.0.0.2", W_IPPROTO_ICMP, 36),
                  "IP 10.0.0.1 > 10.0.0.2: ICMP unreachable - port (for IP 10.0.0.2.1000 > "
                  "10.0.0.1.2000: proto 17), length 36");
    wr_w_icmp4_emit(p + 20, 36, &frag);
    assert_prints(W_PRINT_IP, p, put_ip(p, "10.0.0.1", "10.0.0.2", W_IPPROTO_ICMP, 36),
                  "IP 10.0.0.1 > 10.0.0.2: ICMP unreachable - need to frag, mtu 1400 (for IP "
                  "10.0.0.2.1000 > 10.0.0.1.2000: proto 17), length 36");
}

static void icmp6_and_neighbour_discovery_are_told(void **state)
{
    struct weir_addr s = addr("fe80::1"), d = addr("ff02::1:ff00:2");
    struct w_ndp ns = {.type = W_ICMP6_NS,
                       .target = addr("fe80::2"),
                       .has_slla = true,
                       .slla = {2, 0, 0, 0, 0, 1}};
    struct w_icmp6 big = {W_ICMP6_TOO_BIG, 0, 1280};
    uint8_t p[200] = {0};
    size_t n = wr_w_ndp_emit(p + 40, &ns);

    (void)state;
    wr_w_icmp6_seal(p + 40, n, &s, &d);
    assert_prints(
        W_PRINT_IP, p, put_ip(p, "fe80::1", "ff02::1:ff00:2", W_IPPROTO_ICMP6, n),
        "IP6 fe80::1 > ff02::1:ff00:2: ICMP6, neighbor solicitation, who has fe80::2, source "
        "02:00:00:00:00:01, length 32");
    put_ip(p + 48, "fd00::1", "fd00::2", W_IPPROTO_NONE, 0);
    d = addr("fe80::2");
    wr_w_icmp6_emit(p + 40, 48, &s, &d, &big);
    assert_prints(
        W_PRINT_IP, p, put_ip(p, "fe80::1", "fe80::2", W_IPPROTO_ICMP6, 48),
        "IP6 fe80::1 > fe80::2: ICMP6, packet too big, mtu 1280 (for IP6 fd00::1 > fd00::2: "
        "proto 59), length 48");
}

static void routers_and_errors_of_icmp6_are_told(void **state)
{
    struct weir_addr s = addr("fe80::1"), d = addr("fe80::2");
    struct w_ndp ra = {.type = W_ICMP6_RA, .has_mtu = true, .mtu = 1400, .n_prefixes = 1};
    struct w_ndp to = {.type = W_ICMP6_REDIRECT,
                       .target = s,
                       .dest = addr("fd00::9"),
                       .has_tlla = true,
                       .tlla = {2, 0, 0, 0, 0, 9}};
    struct w_icmp6 none = {W_ICMP6_UNREACH, W_ICMP6_UNREACH_PORT, 0};
    struct w_icmp6 odd = {200, 0, 0};
    uint8_t p[200] = {0};
    size_t n;

    (void)state;
    ra.prefixes[0] = (struct w_ndp_prefix){addr("fd00::"), 64, true, true, 1, 1};
    n = wr_w_ndp_emit(p + 40, &ra);
    wr_w_icmp6_seal(p + 40, n, &s, &d);
    assert_prints(
        W_PRINT_IP, p, put_ip(p, "fe80::1", "fe80::2", W_IPPROTO_ICMP6, n),
        "IP6 fe80::1 > fe80::2: ICMP6, router advertisement, mtu 1400, prefix fd00::/64, length 56");
    p[40 + 1] = 9;
    wr_w_icmp6_seal(p + 40, n, &s, &d);
    assert_prints(W_PRINT_IP, p, put_ip(p, "fe80::1", "fe80::2", W_IPPROTO_ICMP6, n),
                  "IP6 fe80::1 > fe80::2: ICMP6, router advertisement [ndp: bad field], length 56");
    n = wr_w_ndp_emit(p + 40, &to);
    wr_w_icmp6_seal(p + 40, n, &s, &d);
    assert_prints(W_PRINT_IP, p, put_ip(p, "fe80::1", "fe80::2", W_IPPROTO_ICMP6, n),
                  "IP6 fe80::1 > fe80::2: ICMP6, redirect, fe80::1 to fd00::9, target "
                  "02:00:00:00:00:09, length 48");
    memset(p + 48, 0, 40);
    wr_w_icmp6_emit(p + 40, 48, &s, &d, &none);
    assert_prints(W_PRINT_IP, p, put_ip(p, "fe80::1", "fe80::2", W_IPPROTO_ICMP6, 48),
                  "IP6 fe80::1 > fe80::2: ICMP6, destination unreachable, port [quoted packet: bad "
                  "version], length 48");
    wr_w_icmp6_emit(p + 40, 48, &s, &d, &odd);
    assert_prints(W_PRINT_IP, p, put_ip(p, "fe80::1", "fe80::2", W_IPPROTO_ICMP6, 48),
                  "IP6 fe80::1 > fe80::2: ICMP6, type 200, length 48");
}

static void wrong_checksums_and_short_headers_are_named(void **state)
{
    struct weir_addr s = addr("10.0.0.1"), d = addr("10.0.0.2");
    struct w_udp udp = {1, 2, 9, 0};
    struct w_icmp4 problem = {W_ICMP4_PARAM_PROBLEM, 0, wr_w_icmp4_pointer_rest(21)};
    struct w_icmp4 exceeded = {W_ICMP4_TIME_EXCEEDED, W_ICMP4_EXC_TTL, 0};
    uint8_t p[100] = {0};

    (void)state;
    wr_w_udp_emit(p + 20, &udp);
    wr_w_udp_seal(p + 20, 9, &s, &d);
    p[28] ^= 1;
    assert_prints(W_PRINT_IP, p, put_ip(p, "10.0.0.1", "10.0.0.2", W_IPPROTO_UDP, 9),
                  "IP 10.0.0.1.1 > 10.0.0.2.2: UDP, length 1 [udp: bad checksum]");
    assert_prints(W_PRINT_IP, p, put_ip(p, "10.0.0.1", "10.0.0.2", W_IPPROTO_UDP, 7),
                  "IP 10.0.0.1 > 10.0.0.2: UDP [udp: truncated]");
    assert_prints(W_PRINT_IP, p, put_ip(p, "10.0.0.1", "10.0.0.2", W_IPPROTO_TCP, 19),
                  "IP 10.0.0.1 > 10.0.0.2: [tcp: truncated]");
    assert_prints(W_PRINT_IP, p, put_ip(p, "10.0.0.1", "10.0.0.2", W_IPPROTO_ICMP, 7),
                  "IP 10.0.0.1 > 10.0.0.2: ICMP, length 7 [icmp: truncated]");
    memset(p + 20, 0, 80);
    wr_w_icmp4_emit(p + 20, 8, &problem);
    assert_prints(
        W_PRINT_IP, p, put_ip(p, "10.0.0.1", "10.0.0.2", W_IPPROTO_ICMP, 8),
        "IP 10.0.0.1 > 10.0.0.2: ICMP parameter problem - octet 21 [quoted packet: truncated], "
        "length 8");
    wr_w_icmp4_emit(p + 20, 8, &exceeded);
    p[22] ^= 1;
    assert_prints(
        W_PRINT_IP, p, put_ip(p, "10.0.0.1", "10.0.0.2", W_IPPROTO_ICMP, 8),
        "IP 10.0.0.1 > 10.0.0.2: ICMP time exceeded in-transit [quoted packet: truncated], "
        "length 8 [icmp: bad checksum]");
}

static void fragments_are_told(void **state)
{
    struct w_ip4 ip = {.src = addr("10.0.0.1"),
                       .dst = addr("10.0.0.2"),
                       .total_len = 44,
                       .hdr_len = 20,
                       .proto = W_IPPROTO_UDP,
                       .id = 7,
                       .frag_off = 1480,
                       .more_frags = true};
    uint8_t p[100] = {0};

    (void)state;
    wr_w_ip4_emit(p, &ip);
    assert_prints(W_PRINT_IP, p, 44, "IP 10.0.0.1 > 10.0.0.2: proto 17 (frag 7:24@1480+)");
    wr_w_ip6frag_emit(p + 40, W_IPPROTO_UDP, 8, false, 9);
    assert_prints(W_PRINT_IP, p, put_ip(p, "fd00::1", "fd00::2", W_IPPROTO_FRAGMENT, 12),
                  "IP6 fd00::1 > fd00::2: proto 17 (frag 9:4@8)");
}

static void malformed_packets_are_named(void **state)
{
    struct w_tcp tcp = {1, 2, 0, 0, W_TCP_ACK, 0, 0, 20};
    uint8_t p[100] = {0};
    size_t n;

    (void)state;
    assert_prints(W_PRINT_IP, p, 0, "[ip: truncated]");
    assert_prints(W_PRINT_IP, p, 30, "[ip: bad version]");
    assert_prints(W_PRINT_ETH, (const uint8_t *)"\0\0\0\0\0\0\0\0\0\0\0\0\10\6xxx", 17,
                  "ARP [arp: truncated], length 3");
    assert_prints(W_PRINT_ETH, p, 13, "[ethernet: truncated]");
    n = put_tcp(p, "10.0.0.1", "10.0.0.2", &tcp, NULL, 0);
    assert_prints(W_PRINT_IP, p, n - 1, "IP [ip: bad length]");
    p[20 + 17] ^= 1;
    assert_prints(
        W_PRINT_IP, p, n,
        "IP 10.0.0.1.1 > 10.0.0.2.2: Flags [.], ack 0, win 0, length 0 [tcp: bad checksum]");
    p[20 + 12] = 0xf0;
    assert_prints(W_PRINT_IP, p, n,
                  "IP 10.0.0.1.1 > 10.0.0.2.2: Flags [.] [tcp: bad header length]");
    put_ip(p, "fd00::1", "fd00::2", W_IPPROTO_ROUTING, 8);
    p[40 + 3] = 1;
    assert_prints(W_PRINT_IP, p, 48, "IP6 fd00::1 > fd00::2: [ip6 header chain: bad field]");
}

static void an_unfinished_checksum_is_not_judged(void **state)
{
    struct w_tcp tcp = {1, 2, 0, 0, W_TCP_ACK, 0, 0, 20};
    uint8_t p[40];
    char line[200];
    size_t n = put_tcp(p, "10.0.0.1", "10.0.0.2", &tcp, NULL, 0);

    (void)state;
    p[20 + 17] ^= 1;
    assert_true(wr_w_print(line, sizeof line, W_PRINT_IP, p, n, true) < sizeof line);
    assert_null(strstr(line, "checksum"));
}

/* Random packets with plausible beginnings: any room gives a prefix of the same line. */
static void any_room_gives_a_prefix_of_the_line(void **state)
{
    uint64_t rnd = 100;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        static const uint8_t protos[] = {1, 6, 17, 58, 0, 43, 44, 60};
        uint8_t p[160], *copy;
        char whole[4096], part[4096];
        size_t n = 20 + test_below(&rnd, sizeof p - 20), cap;
        enum w_print_link link = test_below(&rnd, 2) == 0 ? W_PRINT_IP : W_PRINT_ETH;
        uint8_t *ip = link == W_PRINT_ETH ? p + 14 : p;
        test_fill(&rnd, p, sizeof p);
        put_be16(p + 12, test_below(&rnd, 4) == 0 ? W_ETHERTYPE_ARP : W_ETHERTYPE_IP4);
        ip[0] = test_below(&rnd, 2) == 0 ? 0x45 : 0x60;
        ip[2] = ip[4] = ip[6] = 0;
        ip[3] = ip[5] = 40;
        ip[ip[0] == 0x45 ? 9 : 6] = protos[test_below(&rnd, sizeof protos)];
        ip[ip[0] == 0x45 ? 32 : 52] = 0x80;
        copy = exact_copy(p, n);
        size_t len = wr_w_print(whole, sizeof whole, link, copy, n, false);
        assert_true(len > 0 && len < sizeof whole);
        assert_int_equal(strlen(whole), len);
        cap = 1 + test_below(&rnd, (uint32_t)len + 4);
        assert_int_equal(wr_w_print(part, cap, link, copy, n, false), len);
        assert_int_equal(strlen(part), cap - 1 < len ? cap - 1 : len);
        assert_memory_equal(part, whole, strlen(part));
        assert_int_equal(wr_w_print(NULL, 0, link, copy, n, false), len);
        free(copy);
    }
}

static void every_error_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (int a = W_OK; a <= W_CHAIN; a++) {
        assert_true(strlen(wr_w_err_text((enum w_err)a)) > 0);
        for (int b = W_OK; b < a; b++)
            assert_string_not_equal(wr_w_err_text((enum w_err)a), wr_w_err_text((enum w_err)b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_segments_are_told_as_tcpdump_does),
        cmocka_unit_test(udp_arp_and_others_are_told),
        cmocka_unit_test(icmp_is_told),
        cmocka_unit_test(icmp6_and_neighbour_discovery_are_told),
        cmocka_unit_test(routers_and_errors_of_icmp6_are_told),
        cmocka_unit_test(wrong_checksums_and_short_headers_are_named),
        cmocka_unit_test(fragments_are_told),
        cmocka_unit_test(malformed_packets_are_named),
        cmocka_unit_test(an_unfinished_checksum_is_not_judged),
        cmocka_unit_test(any_room_gives_a_prefix_of_the_line),
        cmocka_unit_test(every_error_has_a_text_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
