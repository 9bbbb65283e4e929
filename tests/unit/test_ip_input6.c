/* SPDX-License-Identifier: MIT */
/* IPv6 as it comes in: headers, extension headers, sources and destinations. */
#include "ip_kit.h"

/* An echo request behind extension headers: `first` is their first type, ext their bytes. */
static void send_behind(struct kit *k, uint8_t first, const uint8_t *ext, size_t len)
{
    static struct kit_packet p;
    static uint8_t body[4096];
    struct w_ip6 ip = {.src = kit_addr("fd00::2"), .dst = kit_addr("fd00::1"), .next = first};
    size_t n;
    kit_run(k, 2 * WEIR_SEC); /* not the rate limit's doing */
    memcpy(body, ext, len);
    n = kit_icmp(body + len, &ip.src, &ip.dst, W_ICMP6_ECHO, 0, 0, "data", 4);
    kit_make6(&p, &ip, body, len + n);
    kit_input(k, p.b, p.len);
}

static void test_bad_headers_are_dropped(void **state)
{
    struct kit k;
    struct kit_packet p;
    (void)state;
    kit_open(&k, KIT_ETHER); /* the type says IPv6 there, whatever the version */
    for (unsigned version = 0; version < 16; version++) {
        uint8_t frame[256];
        struct w_eth eth = {.type = W_ETHERTYPE_IP6};
        if (version == 6)
            continue;
        kit_ping(&p, "fd00::2", "fd00::1");
        p.b[0] = (uint8_t)(version << 4);
        memcpy(eth.dst, kit_mac, 6);
        memcpy(eth.src, kit_peer_mac, 6);
        wr_w_eth_emit(frame, &eth);
        memcpy(frame + W_ETH_HLEN, p.b, p.len);
        kit_input_frame(&k, frame, W_ETH_HLEN + p.len);
    }
    assert_int_equal(kit_drops(&k, WR_DROP_ip6_bad_version), 15);
    kit_expect_silence(&k);
    kit_close(&k);

    kit_open(&k, KIT_TUN);
    for (size_t len = 1; len < W_IP6_HLEN; len++) {
        kit_ping(&p, "fd00::2", "fd00::1");
        p.len = len;
        kit_expect_drop(&k, &p, WR_DROP_ip6_short);
    }
    kit_ping(&p, "fd00::2", "fd00::1");
    put_be16(p.b + 4, get_be16(p.b + 4) + 1); /* says more than there is */
    kit_expect_drop(&k, &p, WR_DROP_ip6_bad_length);
    kit_ping(&p, "fd00::2", "fd00::1");
    put_be16(p.b + 4, 0); /* a jumbogram, or nothing: not for us */
    kit_expect_drop(&k, &p, WR_DROP_icmp_malformed);
    kit_close(&k);
}

static void test_impossible_addresses_are_dropped(void **state)
{
    static const char *const sources[] = {"ff02::1", "::1", "::", "fd00::1"};
    static const char *const others[] = {"fd00::7",        "ff02::2", "ff02::fb",   "ff05::1",
                                         "ff02::1:ff00:7", "ff01::1", "2001:db8::1"};
    struct kit k;
    struct kit_packet p;
    (void)state;
    kit_open(&k, KIT_TUN);
    for (unsigned i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        kit_ping(&p, sources[i], "fd00::1");
        kit_expect_drop(&k, &p, WR_DROP_ip6_bad_source);
    }
    kit_ping(&p, "fd00::2", "::1");
    kit_expect_drop(&k, &p, WR_DROP_ip6_bad_source);
    kit_ping(&p, "fd00::2", "fd00::1");
    memset(p.b + 8, 0, 10); /* an IPv4-mapped source, which would pass for IPv4 further up */
    memset(p.b + 18, 0xff, 2);
    kit_expect_drop(&k, &p, WR_DROP_ip6_bad_source);
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        kit_ping(&p, "fd00::2", others[i]);
        kit_expect_drop(&k, &p, WR_DROP_ip6_not_ours);
    }
    kit_close(&k);
}

static void test_extension_headers_in_good_order_are_passed(void **state)
{
    static const uint8_t ext[] = {
        W_IPPROTO_DSTOPTS,  0, 5,    2, 0, 0, 1, 0, /* hop-by-hop: router alert, PadN */
        W_IPPROTO_ROUTING,  0, 1,    4, 0, 0, 0, 0, /* destination options: PadN */
        W_IPPROTO_FRAGMENT, 0, 2,    0, 0, 0, 0, 0, /* routing: no segments left */
        W_IPPROTO_DSTOPTS,  0, 0,    0, 0, 0, 0, 9, /* atomic fragment */
        W_IPPROTO_ICMP6,    0, 0x1e, 2, 9, 9, 0, 0, /* an unknown option to be skipped */
    };
    struct kit k;
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_TUN);
    send_behind(&k, W_IPPROTO_HOPOPTS, ext, sizeof ext);
    kit_expect_icmp(&k, &v, W_ICMP6_ECHO_REPLY, 0);
    kit_close(&k);
}

/* RFC 8200 4.2: the two high bits of an unknown option say what happens. */
static void test_unknown_options_by_their_action_bits(void **state)
{
    struct kit k;
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_TUN);
    for (unsigned action = 0; action < 4; action++) {
        uint8_t ext[8] = {W_IPPROTO_ICMP6, 0, (uint8_t)(action << 6 | 0x1e), 4};
        send_behind(&k, W_IPPROTO_DSTOPTS, ext, sizeof ext);
        if (action == 0) {
            kit_expect_icmp(&k, &v, W_ICMP6_ECHO_REPLY, 0);
        } else if (action >= 2) {
            kit_expect_icmp(&k, &v, W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_OPTION);
            assert_int_equal(v.rest, 42);
        }
        kit_expect_silence(&k);
    }
    assert_int_equal(kit_drops(&k, WR_DROP_ip6_unknown_option), 3);
    kit_close(&k);
}

static void test_routing_headers_are_refused(void **state)
{
    struct kit k;
    struct kit_view v;
    uint8_t ext[24] = {W_IPPROTO_ICMP6, 2, 0, 1}; /* type 0, one segment left, RFC 5095 */
    (void)state;
    kit_open(&k, KIT_TUN);
    send_behind(&k, W_IPPROTO_ROUTING, ext, sizeof ext);
    kit_expect_icmp(&k, &v, W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_FIELD);
    assert_int_equal(v.rest, 42);
    ext[3] = 200; /* more segments than addresses */
    send_behind(&k, W_IPPROTO_ROUTING, ext, sizeof ext);
    kit_expect_icmp(&k, &v, W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_FIELD);
    assert_int_equal(kit_drops(&k, WR_DROP_ip6_routing_header), 2);
    kit_close(&k);
}

static void test_chains_are_bounded(void **state)
{
    static uint8_t ext[100 * 8];
    struct kit k;
    (void)state;
    kit_open(&k, KIT_TUN);
    for (unsigned i = 0; i < 100; i++) {
        uint8_t *h = ext + 8 * (size_t)i;
        h[0] = i < 99 ? W_IPPROTO_DSTOPTS : W_IPPROTO_ICMP6;
        h[2] = 1;
        h[3] = 4;
    }
    send_behind(&k, W_IPPROTO_DSTOPTS, ext, sizeof ext);
    assert_int_equal(kit_drops(&k, WR_DROP_ip6_too_many_ext), 1);
    kit_expect_silence(&k);
    kit_close(&k);
}

static void test_malformed_extension_headers_are_dropped(void **state)
{
    static const uint8_t past_end[8] = {W_IPPROTO_ICMP6, 255, 1, 4};
    static const uint8_t option_past[8] = {W_IPPROTO_ICMP6, 0, 0x1e, 255};
    static const uint8_t padn_past[8] = {W_IPPROTO_ICMP6, 0, 1, 200};
    static const uint8_t late_hop_by_hop[16] = {W_IPPROTO_HOPOPTS, 0, 1, 4, 0, 0, 0, 0,
                                                W_IPPROTO_ICMP6,   0, 1, 4};
    struct kit k;
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_TUN);
    send_behind(&k, W_IPPROTO_DSTOPTS, past_end, 8);
    assert_int_equal(kit_drops(&k, WR_DROP_ip6_bad_ext), 1);
    send_behind(&k, W_IPPROTO_DSTOPTS, option_past, 8);
    send_behind(&k, W_IPPROTO_DSTOPTS, padn_past, 8);
    assert_int_equal(kit_drops(&k, WR_DROP_ip6_unknown_option), 2);
    kit_expect_silence(&k);
    send_behind(&k, W_IPPROTO_DSTOPTS, late_hop_by_hop, 16); /* RFC 8200 4.1 */
    kit_expect_icmp(&k, &v, W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_NEXT);
    assert_int_equal(kit_drops(&k, WR_DROP_ip6_bad_ext), 2);
    kit_close(&k);
}

/* RFC 8200 4.7 and 4: no next header ends in silence, an unknown one in a parameter problem. */
static void test_the_end_of_the_chain(void **state)
{
    static const uint8_t none[8] = {W_IPPROTO_NONE, 0, 1, 4};
    static const uint8_t esp[8] = {W_IPPROTO_ESP, 0, 1, 4};
    struct kit k;
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_TUN);
    send_behind(&k, W_IPPROTO_DSTOPTS, none, 8);
    assert_int_equal(kit_drops(&k, WR_DROP_ip6_no_next_header), 1);
    kit_expect_silence(&k);
    send_behind(&k, W_IPPROTO_DSTOPTS, esp, 8);
    kit_expect_icmp(&k, &v, W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_NEXT);
    assert_int_equal(v.rest, 40); /* the field that named it */
    assert_int_equal(kit_drops(&k, WR_DROP_ip6_unknown_ext), 1);
    kit_close(&k);
}

/* RFC 8200 8.1: UDP without a checksum, or with a wrong one, is dropped. */
static void test_udp_needs_its_checksum_8200_8(void **state)
{
    struct kit k;
    struct kit_packet p;
    uint8_t l4[16];
    struct weir_addr s = kit_addr("fd00::2"), d = kit_addr("fd00::1");
    char buf[16];
    weir_sock sock;
    (void)state;
    kit_open(&k, KIT_TUN);
    sock = kit_udp_socket(&k, WEIR_AF_INET6, 4000);
    kit_udp(l4, &s, &d, 1, 4000, "hello", 5);
    kit_wrap(&p, &s, &d, W_IPPROTO_UDP, l4, 13);
    kit_input(&k, p.b, p.len);
    assert_int_equal(kit_udp_recv(&k, sock, buf, sizeof buf), 5);
    put_be16(p.b + 46, 0);
    kit_input(&k, p.b, p.len);
    p.b[46] = 0x12;
    kit_input(&k, p.b, p.len);
    assert_int_equal(kit_drops(&k, WR_DROP_udp_bad_checksum), 2);
    assert_int_equal(kit_udp_recv(&k, sock, buf, sizeof buf), WEIR_EAGAIN);
    kit_close(&k);
}

static void test_random_packets_do_no_harm(void **state)
{
    static const uint8_t ext[] = {
        W_IPPROTO_DSTOPTS,  0, 5, 2, 0, 0, 1, 0, W_IPPROTO_ROUTING, 0, 1, 4, 0, 0, 0, 0,
        W_IPPROTO_FRAGMENT, 0, 2, 0, 0, 0, 0, 0, W_IPPROTO_ICMP6,   0, 0, 1, 0, 0, 0, 9};
    struct kit k;
    struct kit_packet p;
    uint64_t rnd = 17;
    (void)state;
    kit_open(&k, KIT_ETHER | KIT_RA);
    for (unsigned i = 0; i < 20000; i++) {
        struct w_ip6 ip = {.src = kit_addr("fd00::2"),
                           .dst = kit_addr("fd00::1"),
                           .next = W_IPPROTO_HOPOPTS,
                           .hop_limit = 255};
        uint8_t body[256];
        size_t n;
        memcpy(body, ext, sizeof ext);
        test_fill(&rnd, body + sizeof ext, 68);
        n = kit_icmp(body + sizeof ext, &ip.src, &ip.dst, (uint8_t)(128 + test_below(&rnd, 12)), 0,
                     (uint32_t)test_random(&rnd), body + sizeof ext + 8, 60);
        kit_make6(&p, &ip, body, sizeof ext + n);
        for (unsigned m = test_below(&rnd, 4); m > 0; m--)
            p.b[test_below(&rnd, (uint32_t)p.len)] = (uint8_t)test_random(&rnd);
        kit_input(&k, p.b, p.len);
        if (i % 100 == 0)
            kit_run(&k, WEIR_SEC);
    }
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_headers_are_dropped),
        cmocka_unit_test(test_impossible_addresses_are_dropped),
        cmocka_unit_test(test_extension_headers_in_good_order_are_passed),
        cmocka_unit_test(test_unknown_options_by_their_action_bits),
        cmocka_unit_test(test_routing_headers_are_refused),
        cmocka_unit_test(test_chains_are_bounded),
        cmocka_unit_test(test_malformed_extension_headers_are_dropped),
        cmocka_unit_test(test_the_end_of_the_chain),
        cmocka_unit_test(test_udp_needs_its_checksum_8200_8),
        cmocka_unit_test(test_random_packets_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
