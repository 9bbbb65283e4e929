/* SPDX-License-Identifier: MIT */
/* IPv4 as it comes in: hostile and odd headers, sources and destinations, options. */
#include "ip_kit.h"

static void reseal(struct kit_packet *packet)
{
    size_t hdr_len = (size_t)(packet->b[0] & 15) * 4;
    put_be16(packet->b + 10, 0);
    if (hdr_len <= packet->len)
        put_be16(packet->b + 10, wr_csum(packet->b, hdr_len));
}

/* RFC 791 3.1, RFC 1122 3.2.1: each corrupted field is a silent drop of its own kind. */
static void test_bad_headers_are_dropped_0791_5(void **state)
{
    struct kit k;
    struct kit_packet p;
    (void)state;
    kit_open(&k, KIT_TUN);

    for (unsigned version = 0; version < 16; version++) {
        if (version == 4 || version == 6)
            continue;
        kit_ping(&p, "10.0.0.2", "10.0.0.1");
        p.b[0] = (uint8_t)(version << 4 | 5);
        reseal(&p);
        kit_expect_drop(&k, &p, WR_DROP_ip4_bad_version);
    }
    for (uint8_t ihl = 0; ihl < 5; ihl++) {
        kit_ping(&p, "10.0.0.2", "10.0.0.1");
        p.b[0] = 0x40 | ihl;
        kit_expect_drop(&k, &p, WR_DROP_ip4_bad_header_length);
    }
    kit_ping(&p, "10.0.0.2", "10.0.0.1");
    p.len = 30; /* IHL 15 is 60 bytes */
    p.b[0] = 0x4f;
    put_be16(p.b + 2, 30);
    kit_expect_drop(&k, &p, WR_DROP_ip4_bad_header_length);

    kit_ping(&p, "10.0.0.2", "10.0.0.1");
    put_be16(p.b + 2, (uint16_t)(p.len + 1));
    reseal(&p);
    kit_expect_drop(&k, &p, WR_DROP_ip4_bad_total_length);

    kit_ping(&p, "10.0.0.2", "10.0.0.1");
    p.b[10] ^= 1;
    kit_expect_drop(&k, &p, WR_DROP_ip4_bad_checksum);

    for (size_t len = 1; len < W_IP4_HLEN; len++) {
        kit_ping(&p, "10.0.0.2", "10.0.0.1");
        p.len = len;
        kit_expect_drop(&k, &p, WR_DROP_ip4_short);
    }
    kit_close(&k);
}

/* RFC 1122 3.2.1.3: what may never be a source, from outside. */
static void test_impossible_sources_are_dropped(void **state)
{
    static const char *const bad[] = {"0.0.0.0",         "127.0.0.1",  "224.0.0.1", "239.1.2.3",
                                      "255.255.255.255", "10.0.0.255", "10.0.0.1",  "0.1.2.3"};
    struct kit k;
    struct kit_packet p;
    (void)state;
    kit_open(&k, KIT_TUN);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        kit_ping(&p, bad[i], "10.0.0.1");
        kit_expect_drop(&k, &p, WR_DROP_ip4_bad_source);
    }
    kit_ping(&p, "10.0.0.2", "127.0.0.1"); /* loopback never comes from a wire */
    kit_expect_drop(&k, &p, WR_DROP_ip4_bad_source);
    kit_close(&k);
}

static void test_what_is_not_for_us_is_not_forwarded(void **state)
{
    static const char *const others[] = {"10.0.0.3", "192.0.2.1", "224.0.0.2", "239.255.255.250"};
    struct kit k;
    struct kit_packet p;
    (void)state;
    kit_open(&k, KIT_TUN);
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        kit_ping(&p, "10.0.0.2", others[i]);
        kit_expect_drop(&k, &p, WR_DROP_ip4_not_ours);
    }
    kit_close(&k);
}

/* RFC 1122 3.2.1.7: TTL is the routers' business; 1, and even 0, is delivered. */
static void test_low_ttl_is_delivered(void **state)
{
    struct kit k;
    struct kit_packet p;
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_TUN);
    for (uint8_t ttl = 0; ttl < 3; ttl++) {
        kit_ping(&p, "10.0.0.2", "10.0.0.1");
        p.b[8] = ttl;
        reseal(&p);
        kit_input(&k, p.b, p.len);
        kit_expect_icmp(&k, &v, W_ICMP4_ECHO_REPLY, 0);
        assert_int_equal(v.hop_limit, 64);
    }
    kit_close(&k);
}

/* RFC 1122 3.3.6: a packet to one host that came by a link broadcast is not answered. */
static void test_unicast_in_a_link_broadcast_is_dropped(void **state)
{
    static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t stranger[6] = {2, 0, 0, 0, 0, 99};
    struct kit k;
    struct kit_packet p;
    (void)state;
    kit_open(&k, KIT_ETHER);
    kit_ping(&p, "10.0.0.2", "10.0.0.1");
    kit_input_to(&k, everyone, p.b, p.len);
    assert_int_equal(kit_drops(&k, WR_DROP_ip4_link_broadcast), 1);
    kit_input_to(&k, stranger, p.b, p.len);
    assert_int_equal(kit_drops(&k, WR_DROP_eth_not_ours), 1);
    kit_expect_silence(&k);
    kit_close(&k);
}

static void test_short_and_foreign_ethernet_frames_are_dropped(void **state)
{
    struct kit k;
    uint8_t frame[64] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00};
    (void)state;
    kit_open(&k, KIT_ETHER);
    for (size_t len = 0; len < W_ETH_HLEN; len++)
        kit_input_frame(&k, frame, len);
    assert_int_equal(kit_drops(&k, WR_DROP_eth_short), W_ETH_HLEN);
    kit_input_frame(&k, frame, W_ETH_HLEN);
    assert_int_equal(kit_drops(&k, WR_DROP_ip4_short), 1);
    put_be16(frame + 12, 0x88cc); /* LLDP */
    kit_input_frame(&k, frame, sizeof frame);
    put_be16(frame + 12, 46); /* 802.3 length */
    kit_input_frame(&k, frame, sizeof frame);
    assert_int_equal(kit_drops(&k, WR_DROP_eth_unknown_type), 2);
    kit_expect_silence(&k);
    kit_close(&k);
}

/* RFC 1122 3.2.2.2 and Linux: an unknown protocol draws protocol unreachable, from the address asked. */
static void test_unknown_protocol_is_unreachable(void **state)
{
    static const uint8_t protocols[] = {4, 2, 47, 50, 132, 253, 255};
    struct kit k;
    struct kit_packet p;
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_TUN);
    for (unsigned i = 0; i < sizeof protocols; i++) {
        struct w_ip4 ip = {
            .src = kit_addr("10.0.0.2"), .dst = kit_addr("10.0.0.1"), .proto = protocols[i]};
        kit_run(&k, WEIR_SEC); /* stay below the rate limit */
        kit_make4(&p, &ip, "abcdefgh", 8);
        kit_input(&k, p.b, p.len);
        kit_expect_icmp(&k, &v, W_ICMP4_UNREACH, W_ICMP4_UNREACH_PROTO);
        kit_expect_addr(&v.src, "10.0.0.1");
        assert_memory_equal(v.l4 + 8, p.b, p.len);
    }
    assert_int_equal(kit_drops(&k, WR_DROP_ip4_unknown_proto), sizeof protocols);
    kit_close(&k);
}

static void send_with_options(struct kit *k, const uint8_t *opts, uint8_t opts_len)
{
    struct kit_packet p;
    uint8_t l4[64], padded[40] = {0};
    struct weir_addr s = kit_addr("10.0.0.2"), d = kit_addr("10.0.0.1");
    size_t n = kit_icmp(l4, &s, &d, W_ICMP4_ECHO, 0, 0, "data", 4);
    struct w_ip4 ip = {.src = s, .dst = d, .proto = W_IPPROTO_ICMP, .opts = padded};
    memcpy(padded, opts, opts_len);
    ip.hdr_len = (uint8_t)(W_IP4_HLEN + (opts_len + 3) / 4 * 4);
    kit_run(k, WEIR_SEC);
    kit_make4(&p, &ip, l4, n);
    kit_input(k, p.b, p.len);
}

/* RFC 1122 3.2.1.8, 3.2.2.5: unknown options pass, malformed ones draw a parameter problem that points
 * at the octet; source routes are refused in silence, as Linux does. */
static void test_options(void **state)
{
    static const uint8_t unknown[] = {0x99, 4, 1, 2}, nops[] = {1, 1, 1, 1};
    static const uint8_t record_route[] = {7, 7, 4, 0, 0, 0, 0, 0};
    static const uint8_t zero_length[] = {0x99, 0, 0, 0}, length_one[] = {0x99, 1, 0, 0};
    static const uint8_t past_the_header[] = {0x99, 20, 0, 0};
    static const uint8_t loose[] = {131, 7, 4, 10, 0, 0, 9, 0};
    static const uint8_t strict[] = {137, 7, 4, 10, 0, 0, 9, 0};
    static const uint8_t bad_pointer[] = {131, 7, 3, 10, 0, 0, 9, 0};
    struct kit k;
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_TUN);

    send_with_options(&k, unknown, sizeof unknown);
    kit_expect_icmp(&k, &v, W_ICMP4_ECHO_REPLY, 0);
    send_with_options(&k, nops, sizeof nops);
    kit_expect_icmp(&k, &v, W_ICMP4_ECHO_REPLY, 0);
    send_with_options(&k, record_route, sizeof record_route);
    kit_expect_icmp(&k, &v, W_ICMP4_ECHO_REPLY, 0);

    send_with_options(&k, zero_length, sizeof zero_length);
    kit_expect_icmp(&k, &v, W_ICMP4_PARAM_PROBLEM, 0);
    assert_in_range(wr_w_icmp4_pointer(v.rest), 20, 23);
    send_with_options(&k, length_one, sizeof length_one);
    kit_expect_icmp(&k, &v, W_ICMP4_PARAM_PROBLEM, 0);
    send_with_options(&k, past_the_header, sizeof past_the_header);
    kit_expect_icmp(&k, &v, W_ICMP4_PARAM_PROBLEM, 0);
    send_with_options(&k, bad_pointer, sizeof bad_pointer);
    kit_expect_icmp(&k, &v, W_ICMP4_PARAM_PROBLEM, 0);
    assert_int_equal(kit_drops(&k, WR_DROP_ip4_bad_option), 4);

    send_with_options(&k, loose, sizeof loose);
    send_with_options(&k, strict, sizeof strict);
    assert_int_equal(kit_drops(&k, WR_DROP_ip4_source_route), 2);
    kit_expect_silence(&k);
    kit_close(&k);
}

/* Own addresses go by lo, all of 127/8 among them; nothing of it reaches the wire. */
static void test_own_addresses_go_by_loopback(void **state)
{
    static const char *const own[] = {"127.0.0.1", "127.9.9.9", "10.0.0.1"};
    struct kit k;
    weir_sock server, client;
    char buf[16];
    (void)state;
    kit_open(&k, KIT_TUN);
    server = kit_udp_socket(&k, WEIR_AF_INET, 7000);
    client = kit_udp_socket(&k, WEIR_AF_INET, 7001);
    for (unsigned i = 0; i < sizeof own / sizeof own[0]; i++) {
        assert_int_equal(kit_udp_send(&k, client, own[i], 7000, "hello", 5), 5);
        assert_int_equal(kit_udp_recv(&k, server, buf, sizeof buf), 5);
        assert_memory_equal(buf, "hello", 5);
    }
    kit_expect_silence(&k);
    kit_close(&k);
}

/* Any bytes at all: no crash, no read past the end, no answer to what has a bad checksum. */
static void test_random_packets_do_no_harm(void **state)
{
    struct kit k;
    struct kit_packet p;
    uint64_t rnd = 11;
    (void)state;
    kit_open(&k, KIT_TUN);
    for (unsigned i = 0; i < 20000; i++) {
        kit_ping(&p, "10.0.0.2", "10.0.0.1");
        for (unsigned n = test_below(&rnd, 6) + 1; n > 0; n--)
            p.b[test_below(&rnd, (uint32_t)p.len)] = (uint8_t)test_random(&rnd);
        p.len = test_below(&rnd, (uint32_t)p.len) + 1;
        if (test_below(&rnd, 2))
            reseal(&p);
        kit_input(&k, p.b, p.len);
    }
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_headers_are_dropped_0791_5),
        cmocka_unit_test(test_impossible_sources_are_dropped),
        cmocka_unit_test(test_what_is_not_for_us_is_not_forwarded),
        cmocka_unit_test(test_low_ttl_is_delivered),
        cmocka_unit_test(test_unicast_in_a_link_broadcast_is_dropped),
        cmocka_unit_test(test_short_and_foreign_ethernet_frames_are_dropped),
        cmocka_unit_test(test_unknown_protocol_is_unreachable),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_own_addresses_go_by_loopback),
        cmocka_unit_test(test_random_packets_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
