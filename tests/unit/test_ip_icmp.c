/* SPDX-License-Identifier: MIT */
/* ICMP and ICMPv6: echo, errors in both directions, limits. */
#include "ip_kit.h"

/* ---- echo -------------------------------------------------------------------------------------- */

/* Pings with `len` bytes and checks that all of them come back from the address that was asked. */
static void ping(struct kit *k, const char *src, const char *dst, size_t len)
{
    static uint8_t data[66000], back[66000];
    struct kit_view v;
    bool v4 = strchr(dst, '.') != NULL;
    size_t got = 0;
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 3 + i / 251);
    kit_send_icmp(k, src, dst, v4 ? W_ICMP4_ECHO : W_ICMP6_ECHO, 0, wr_w_icmp_echo_rest(77, 3),
                  data, len);
    while (kit_next(k, &v)) {
        size_t off = v4 ? v.ip4.frag_off : v.frag_off;
        assert_true(v.l3_len <= 1500);
        kit_expect_addr(&v.src, dst);
        kit_expect_addr(&v.dst, src);
        memcpy(back + off, v.l4, v.l4_len);
        got += v.l4_len;
    }
    assert_int_equal(got, 8 + len);
    assert_int_equal(back[0], v4 ? W_ICMP4_ECHO_REPLY : W_ICMP6_ECHO_REPLY);
    assert_int_equal(get_be32(back + 4), wr_w_icmp_echo_rest(77, 3));
    assert_memory_equal(back + 8, data, len);
    {
        struct weir_addr s = kit_addr(dst), d = kit_addr(src);
        uint64_t sum = v4 ? 0 : wr_csum_pseudo(&s, &d, W_IPPROTO_ICMP6, (uint32_t)got);
        assert_int_equal(wr_csum_finish(wr_csum_add(sum, back, got)), 0);
    }
}

static void test_echo_returns_all_data_1122_7_4443_4(void **state)
{
    struct kit k;
    struct weir_addr second4 = kit_addr("10.0.0.11"), second6 = kit_addr("fd00::11");
    (void)state;
    kit_open(&k, KIT_TUN);
    assert_int_equal(weir_addr_add(k.stack, k.ifindex, &second4, 24, k.now), 0);
    assert_int_equal(weir_addr_add(k.stack, k.ifindex, &second6, 64, k.now), 0);
    ping(&k, "10.0.0.2", "10.0.0.1", 0);
    ping(&k, "10.0.0.2", "10.0.0.1", 1);
    ping(&k, "10.0.0.2", "10.0.0.11", 1400);
    ping(&k, "fd00::2", "fd00::1", 0);
    ping(&k, "fd00::2", "fd00::11", 1400);
    assert_int_equal(k.stack->stats[WR_STAT_icmp_echo_replies], 5);
    kit_close(&k);
}

/* `ping -s 20000`: the reply is fragmented; the request is, in test_ip_frag.c's manner, too. */
static void test_large_echo_comes_back_in_fragments(void **state)
{
    struct kit k;
    (void)state;
    kit_open(&k, KIT_TUN);
    k.netif->config.mtu = 65535; /* let the request come whole */
    ping(&k, "10.0.0.2", "10.0.0.1", 1472);
    k.netif->config.mtu = 1500;
    ping(&k, "10.0.0.2", "10.0.0.1", 20000);
    ping(&k, "10.0.0.2", "10.0.0.1", 65507 - 8);
    ping(&k, "fd00::2", "fd00::1", 20000);
    ping(&k, "fd00::2", "fd00::1", 65535 - 8);
    kit_close(&k);
}

/* Linux's icmp_echo_ignore_broadcasts and RFC 1122 3.2.2.6. */
static void test_echo_to_everybody_is_ignored(void **state)
{
    static const char *const to[] = {"10.0.0.255", "255.255.255.255", "224.0.0.1"};
    struct kit k;
    (void)state;
    kit_open(&k, KIT_TUN);
    for (unsigned i = 0; i < 3; i++)
        kit_send_icmp(&k, "10.0.0.2", to[i], W_ICMP4_ECHO, 0, 0, "hello", 5);
    assert_int_equal(kit_drops(&k, WR_DROP_icmp_ignored), 3);
    kit_expect_silence(&k);
    kit_close(&k);
}

/* RFC 4443 4.2: an echo to a group is answered from an address of ours. */
static void test_echo_to_all_nodes_is_answered_by_unicast(void **state)
{
    struct kit k;
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_TUN);
    kit_send_icmp(&k, "fd00::2", "ff02::1", W_ICMP6_ECHO, 0, 5, "hello", 5);
    kit_expect_icmp(&k, &v, W_ICMP6_ECHO_REPLY, 0);
    kit_expect_addr(&v.src, "fd00::1");
    kit_close(&k);
}

static void test_bad_messages_are_dropped(void **state)
{
    struct kit k;
    struct kit_packet p;
    uint8_t l4[16] = {W_ICMP4_ECHO};
    struct weir_addr s = kit_addr("10.0.0.2"), d = kit_addr("10.0.0.1");
    (void)state;
    kit_open(&k, KIT_TUN);
    for (size_t len = 0; len < W_ICMP_HLEN; len++) {
        kit_wrap(&p, &s, &d, W_IPPROTO_ICMP, l4, len);
        kit_input(&k, p.b, p.len);
    }
    assert_int_equal(kit_drops(&k, WR_DROP_icmp_malformed), W_ICMP_HLEN);
    kit_wrap(&p, &s, &d, W_IPPROTO_ICMP, l4, sizeof l4);
    kit_input(&k, p.b, p.len);
    assert_int_equal(kit_drops(&k, WR_DROP_icmp_bad_checksum), 1);
    kit_expect_silence(&k);
    kit_close(&k);
}

/* RFC 4443 2.4 (b): unknown informational messages are dropped; so is all that is not for hosts. */
static void test_informational_messages_change_nothing_4443_5(void **state)
{
    static const uint8_t types4[] = {W_ICMP4_ECHO_REPLY,
                                     W_ICMP4_REDIRECT,
                                     9,
                                     10,
                                     W_ICMP4_TIMESTAMP,
                                     W_ICMP4_TIMESTAMP_REPLY,
                                     17,
                                     18,
                                     42,
                                     255};
    struct kit k;
    size_t live;
    (void)state;
    kit_open(&k, KIT_TUN);
    live = k.probe.live_bytes;
    for (unsigned i = 0; i < sizeof types4; i++)
        kit_send_icmp(&k, "10.0.0.2", "10.0.0.1", types4[i], 0, 0, "01234567890123456789abcdefgh",
                      28);
    kit_send_icmp(&k, "fd00::2", "fd00::1", 200, 0, 0, "hello", 5);
    kit_send_icmp(&k, "fd00::2", "fd00::1", W_ICMP6_MLD_QUERY, 0, 0, "hello", 5);
    assert_int_equal(kit_drops(&k, WR_DROP_icmp_ignored), sizeof types4 + 2);
    assert_int_equal(k.probe.live_bytes, live);
    kit_expect_silence(&k);
    kit_close(&k);
}

/* ---- errors in --------------------------------------------------------------------------------- */

/* Makes what the peer's router would quote: our UDP datagram as it went out. */
static size_t quote_ours(struct kit *k, weir_sock sock, const char *to, uint16_t port,
                         uint8_t *quote)
{
    struct kit_view v;
    assert_int_equal(kit_udp_send(k, sock, to, port, "payload!", 8), 8);
    assert_true(kit_next(k, &v));
    memcpy(quote, v.l3, v.l3_len);
    return v.l3_len;
}

/* An error about a datagram of ours, of this type and code: what the socket says then. */
static int error_for(struct kit *k, weir_sock sock, bool v4, uint8_t type, uint8_t code)
{
    uint8_t quote[128];
    const char *peer = v4 ? "10.0.0.2" : "fd00::2";
    size_t len = quote_ours(k, sock, peer, 53, quote);
    kit_send_icmp(k, v4 ? "10.0.0.9" : "fd00::9", v4 ? "10.0.0.1" : "fd00::1", type, code, 0, quote,
                  len);
    return kit_sock_error(k, sock);
}

/* Linux's icmp_err_convert; a UDP socket shows the hard ones (RFC 1122 4.1.3.3). */
static void test_errors_reach_the_socket_as_on_linux(void **state)
{
    static const struct {
        uint8_t type, code;
        int error;
    } v4[] =
        {
            {3, 2, ENOPROTOOPT},   {3, 3, ECONNREFUSED},  {3, 6, ENETUNREACH},
            {3, 7, EHOSTDOWN},     {3, 8, ENONET},        {3, 9, ENETUNREACH},
            {3, 10, EHOSTUNREACH}, {3, 13, EHOSTUNREACH}, {12, 0, EPROTO},
        },
      v6[] = {
          {1, 1, EACCES}, {1, 4, ECONNREFUSED}, {1, 5, EACCES}, {1, 6, EACCES}, {4, 0, EPROTO},
      };
    struct kit k;
    weir_sock s4, s6;
    (void)state;
    kit_open(&k, KIT_TUN);
    s4 = kit_udp_socket(&k, WEIR_AF_INET, 1000);
    s6 = kit_udp_socket(&k, WEIR_AF_INET6, 1001);
    kit_udp_connect(&k, s4, "10.0.0.2", 53);
    kit_udp_connect(&k, s6, "fd00::2", 53);
    for (unsigned i = 0; i < sizeof v4 / sizeof v4[0]; i++)
        assert_int_equal(error_for(&k, s4, true, v4[i].type, v4[i].code), v4[i].error);
    for (unsigned i = 0; i < sizeof v6 / sizeof v6[0]; i++)
        assert_int_equal(error_for(&k, s6, false, v6[i].type, v6[i].code), v6[i].error);
    assert_int_equal(error_for(&k, s4, true, 3, 200), 0); /* no such code */
    assert_int_equal(error_for(&k, s4, true, W_ICMP4_QUENCH, 0), 0);
    kit_close(&k);
}

static void test_source_quench_is_ignored_6633_1_5927_4(void **state)
{
    struct kit k;
    weir_sock sock;
    uint64_t ignored;
    (void)state;
    kit_open(&k, KIT_TUN);
    sock = kit_udp_socket(&k, WEIR_AF_INET, 1000);
    kit_udp_connect(&k, sock, "10.0.0.2", 53);
    ignored = kit_drops(&k, WR_DROP_icmp_ignored);
    assert_int_equal(error_for(&k, sock, true, W_ICMP4_QUENCH, 0), 0);
    assert_int_equal(kit_drops(&k, WR_DROP_icmp_ignored), ignored + 1);
    kit_expect_silence(&k);
    kit_close(&k);
}

/* Short quotes, quotes of what we did not send, quotes of later fragments: nobody is told. */
static void test_quotes_that_say_nothing_are_ignored(void **state)
{
    struct kit k;
    weir_sock sock;
    uint8_t quote[128];
    size_t len;
    (void)state;
    kit_open(&k, KIT_TUN);
    sock = kit_udp_socket(&k, WEIR_AF_INET, 1000);
    kit_udp_connect(&k, sock, "10.0.0.2", 53);
    len = quote_ours(&k, sock, "10.0.0.2", 53, quote);
    for (size_t cut = 0; cut < W_IP4_HLEN + 8; cut++)
        kit_send_icmp(&k, "10.0.0.2", "10.0.0.1", 3, 3, 0, quote, cut);
    assert_int_equal(kit_drops(&k, WR_DROP_icmp_quote_short), W_IP4_HLEN + 8);
    assert_int_equal(kit_sock_error(&k, sock), 0);

    quote[7] = 3; /* fragment offset 24 */
    kit_send_icmp(&k, "10.0.0.2", "10.0.0.1", 3, 3, 0, quote, len);
    assert_int_equal(kit_drops(&k, WR_DROP_icmp_quote_short), W_IP4_HLEN + 8 + 1);
    quote[7] = 0;
    quote[15] = 99; /* another source */
    kit_send_icmp(&k, "10.0.0.2", "10.0.0.1", 3, 3, 0, quote, len);
    assert_int_equal(kit_drops(&k, WR_DROP_icmp_not_for_us), 1);
    assert_int_equal(kit_sock_error(&k, sock), 0);
    quote[15] = 1;
    kit_send_icmp(&k, "10.0.0.2", "10.0.0.255", 3, 3, 0, quote, len); /* to everybody */
    assert_int_equal(kit_sock_error(&k, sock), 0);
    kit_send_icmp(&k, "10.0.0.2", "10.0.0.1", 3, 3, 0, quote, len);
    assert_int_equal(kit_sock_error(&k, sock), ECONNREFUSED);
    kit_close(&k);
}

/* RFC 4443 2.4 (a): error types that are not known go to the upper layer all the same. */
static void test_unknown_error_types_reach_the_upper_layer_4443_5(void **state)
{
    struct kit k;
    weir_sock sock;
    uint64_t before;
    (void)state;
    kit_open(&k, KIT_TUN);
    sock = kit_udp_socket(&k, WEIR_AF_INET6, 1000);
    kit_udp_connect(&k, sock, "fd00::2", 53);
    before = kit_drops(&k, WR_DROP_icmp_ignored);
    (void)error_for(&k, sock, false, 99, 0);
    assert_int_equal(kit_drops(&k, WR_DROP_icmp_ignored), before); /* handed on, not dropped here */
    kit_close(&k);
}

/* ---- errors out -------------------------------------------------------------------------------- */

/* RFC 792, RFC 1122 4.1.3.1: a closed port; the quote holds header and data. */
static void test_closed_udp_port_is_unreachable_0792_1_0792_2_4443_6(void **state)
{
    struct kit k;
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_TUN);
    kit_send_udp(&k, "10.0.0.2", "10.0.0.1", 5, 9999, "0123456789", 10);
    kit_expect_icmp(&k, &v, W_ICMP4_UNREACH, W_ICMP4_UNREACH_PORT);
    kit_expect_addr(&v.src, "10.0.0.1");
    kit_expect_addr(&v.dst, "10.0.0.2");
    assert_int_equal(v.rest, 0);
    assert_int_equal(v.l4_len, 8 + 20 + 8 + 10);
    assert_memory_equal(v.l4 + 8 + 28, "0123456789", 10);

    kit_send_udp(&k, "10.0.0.2", "10.0.0.255", 5, 9999, "0123456789", 10); /* broadcast: none */
    kit_expect_silence(&k);
    kit_send_udp(&k, "fd00::2", "fd00::1", 5, 9999, "0123456789", 10);
    kit_expect_icmp(&k, &v, W_ICMP6_UNREACH, W_ICMP6_UNREACH_PORT);
    assert_int_equal(v.l4_len, 8 + 40 + 8 + 10);
    kit_close(&k);
}

/* RFC 1812 4.3.2.3, RFC 4443 2.4 (c): as much as fits into 576 and 1280 bytes. */
static void test_errors_quote_as_much_as_fits_4443_1_0792_1(void **state)
{
    static uint8_t data[2000];
    struct kit k;
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_TUN);
    kit_send_udp(&k, "10.0.0.2", "10.0.0.1", 5, 9999, data, sizeof data);
    kit_expect_icmp(&k, &v, W_ICMP4_UNREACH, W_ICMP4_UNREACH_PORT);
    assert_int_equal(v.l3_len, 576);
    kit_send_udp(&k, "fd00::2", "fd00::1", 5, 9999, data, sizeof data);
    kit_expect_icmp(&k, &v, W_ICMP6_UNREACH, W_ICMP6_UNREACH_PORT);
    assert_int_equal(v.l3_len, 1280);
    kit_close(&k);
}

/* An IP packet with a protocol nobody has, which would draw an error. */
static void provoke(struct kit *k, const char *src, const char *dst, uint8_t proto,
                    const void *payload, size_t len)
{
    static struct kit_packet p;
    struct weir_addr s = kit_addr(src), d = kit_addr(dst);
    kit_run(k, 2 * WEIR_SEC); /* not the rate limit's doing */
    kit_wrap(&p, &s, &d, proto, payload, len);
    kit_input(k, p.b, p.len);
}

/* RFC 1122 3.2.2. */
static void test_no_error_about_errors_or_to_many_1122_6(void **state)
{
    struct kit k;
    struct kit_view v;
    struct kit_packet p;
    uint8_t msg[64];
    struct weir_addr s = kit_addr("10.0.0.2"), d = kit_addr("10.0.0.1");
    (void)state;
    kit_open(&k, KIT_TUN);
    provoke(&k, "10.0.0.2", "10.0.0.1", 200, "abcdefgh", 8);
    kit_expect_icmp(&k, &v, W_ICMP4_UNREACH, W_ICMP4_UNREACH_PROTO); /* the provocation works */
    provoke(&k, "10.0.0.2", "10.0.0.255", 200, "abcdefgh", 8);       /* to a broadcast */
    provoke(&k, "10.0.0.2", "255.255.255.255", 200, "abcdefgh", 8);
    provoke(&k, "10.0.0.2", "224.0.0.1", 200, "abcdefgh", 8); /* to a group */
    provoke(&k, "0.0.0.0", "255.255.255.255", 200, "abcdefgh", 8);
    provoke(&k, "240.0.0.9", "10.0.0.1", 200, "abcdefgh", 8); /* from no host */
    kit_expect_silence(&k);

    { /* about an ICMP error, with a bad option */
        uint8_t opts[4] = {0x99, 0, 0, 0};
        size_t n =
            kit_icmp(msg, &s, &d, W_ICMP4_UNREACH, 1, 0, "12345678901234567890123456789", 28);
        struct w_ip4 ip = {
            .src = s, .dst = d, .proto = W_IPPROTO_ICMP, .hdr_len = 24, .opts = opts};
        kit_make4(&p, &ip, msg, n);
        kit_input(&k, p.b, p.len);
        assert_int_equal(kit_drops(&k, WR_DROP_ip4_bad_option), 1);
        kit_expect_silence(&k);
    }
    { /* about a fragment that is not the first */
        struct w_ip4 ip = {.src = s, .dst = d, .proto = 200, .frag_off = 80};
        kit_make4(&p, &ip, "abcdefgh", 8);
        kit_input(&k, p.b, p.len);
        kit_run(&k, 40 * WEIR_SEC);
        kit_expect_silence(&k);
    }
    kit_close(&k);
}

/* RFC 4443 2.4 (e), with its two exceptions for groups. */
static void test_no_error_about_errors_or_to_many_4443_2(void **state)
{
    static const uint8_t unknown_option[8] = {W_IPPROTO_UDP, 0, 0x80, 4, 0, 0, 0, 0};
    static const uint8_t unicast_option[8] = {W_IPPROTO_UDP, 0, 0xc0, 4, 0, 0, 0, 0};
    struct kit k;
    struct kit_view v;
    uint8_t msg[64];
    struct weir_addr s = kit_addr("fd00::2"), d = kit_addr("fd00::1");
    (void)state;
    kit_open(&k, KIT_TUN);
    provoke(&k, "fd00::2", "fd00::1", 200, "abcdefgh", 8);
    kit_expect_icmp(&k, &v, W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_NEXT);
    assert_int_equal(v.rest, 6);
    provoke(&k, "fd00::2", "ff02::1", 200, "abcdefgh", 8);
    provoke(&k, "::", "fd00::1", 200, "abcdefgh", 8);
    kit_expect_silence(&k);

    provoke(&k, "fd00::2", "ff02::1", W_IPPROTO_DSTOPTS, unknown_option, 8);
    kit_expect_icmp(&k, &v, W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_OPTION); /* (e.3) */
    provoke(&k, "fd00::2", "ff02::1", W_IPPROTO_DSTOPTS, unicast_option, 8);
    kit_expect_silence(&k);

    { /* an error with a truncated routing header behind it is an error still */
        size_t n = kit_icmp(msg, &s, &d, W_ICMP6_UNREACH, 0, 0, "12345678", 8);
        provoke(&k, "fd00::2", "fd00::1", W_IPPROTO_ICMP6, msg, n);
        kit_expect_silence(&k);
        n = kit_icmp(msg, &s, &d, W_ICMP6_REDIRECT, 0, 0, "12345678", 8);
        provoke(&k, "fd00::2", "fd00::1", W_IPPROTO_ICMP6, msg, n);
        kit_expect_silence(&k);
    }
    kit_close(&k);
}

static unsigned count_sent(struct kit *k)
{
    struct kit_view v;
    unsigned n = 0;
    while (kit_next(k, &v))
        n++;
    return n;
}

/* Linux's xrlim_allow: six at once, then one a second, for each destination. */
static void test_errors_to_one_destination_are_limited_4443_3(void **state)
{
    struct kit k;
    (void)state;
    kit_open(&k, KIT_TUN);
    for (unsigned i = 0; i < 1000; i++) {
        kit_send_udp(&k, "10.0.0.2", "10.0.0.1", 5, 9999, "x", 1);
        kit_send_udp(&k, "fd00::2", "fd00::1", 5, 9999, "x", 1);
        kit_run(&k, WEIR_MS);
    }
    assert_in_range(count_sent(&k), 12, 16);
    assert_true(kit_drops(&k, WR_DROP_icmp_rate_limited) > 1900);
    kit_run(&k, 10 * WEIR_SEC);
    for (unsigned i = 0; i < 100; i++)
        kit_send_udp(&k, "10.0.0.2", "10.0.0.1", 5, 9999, "x", 1);
    assert_int_equal(count_sent(&k), 6);

    assert_int_equal(weir_sysctl_set(k.stack, "net.ipv4.icmp_ratelimit", 0), 0);
    for (unsigned i = 0; i < 20; i++)
        kit_send_udp(&k, "10.0.0.2", "10.0.0.1", 5, 9999, "x", 1);
    assert_int_equal(count_sent(&k), 20);
    kit_close(&k);
}

/* All together: bursts of 50, 1000 a second; not exactly countable (CVE-2020-25705). */
static void test_errors_to_all_are_limited(void **state)
{
    struct kit k;
    unsigned burst, sum = 0;
    (void)state;
    kit_open(&k, KIT_TUN);
    for (unsigned i = 0; i < 200; i++) {
        char src[32];
        snprintf(src, sizeof src, "10.1.%u.%u", i / 200, i % 200 + 1);
        kit_send_udp(&k, src, "10.0.0.1", 5, 9999, "x", 1);
    }
    sum = count_sent(&k);
    assert_int_equal(sum, 0); /* there is no route to them: a limit of its own */
    {
        struct weir_route route = {.prefix = kit_addr("10.1.0.0"),
                                   .prefix_len = 16,
                                   .gateway = weir_addr_any4(),
                                   .ifindex = k.ifindex};
        assert_int_equal(weir_route_add(k.stack, &route), 0);
    }
    for (unsigned i = 0; i < 200; i++) {
        char src[32];
        snprintf(src, sizeof src, "10.1.%u.%u", i / 200, i % 200 + 1);
        kit_send_udp(&k, src, "10.0.0.1", 5, 9999, "x", 1);
    }
    burst = count_sent(&k);
    assert_in_range(burst, 25, 49); /* each costs one or two */
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_returns_all_data_1122_7_4443_4),
        cmocka_unit_test(test_large_echo_comes_back_in_fragments),
        cmocka_unit_test(test_echo_to_everybody_is_ignored),
        cmocka_unit_test(test_echo_to_all_nodes_is_answered_by_unicast),
        cmocka_unit_test(test_bad_messages_are_dropped),
        cmocka_unit_test(test_informational_messages_change_nothing_4443_5),
        cmocka_unit_test(test_errors_reach_the_socket_as_on_linux),
        cmocka_unit_test(test_source_quench_is_ignored_6633_1_5927_4),
        cmocka_unit_test(test_quotes_that_say_nothing_are_ignored),
        cmocka_unit_test(test_unknown_error_types_reach_the_upper_layer_4443_5),
        cmocka_unit_test(test_closed_udp_port_is_unreachable_0792_1_0792_2_4443_6),
        cmocka_unit_test(test_errors_quote_as_much_as_fits_4443_1_0792_1),
        cmocka_unit_test(test_no_error_about_errors_or_to_many_1122_6),
        cmocka_unit_test(test_no_error_about_errors_or_to_many_4443_2),
        cmocka_unit_test(test_errors_to_one_destination_are_limited_4443_3),
        cmocka_unit_test(test_errors_to_all_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
