/* SPDX-License-Identifier: MIT */
/* Path MTU: what too-big messages do to the size of what we send (RFC 1191, RFC 8201). */
#include "ip_kit.h"

/* A connected UDP socket whose datagrams the "router" finds too big. */
struct flow {
    struct kit k;
    weir_sock sock;
    bool v4;
    const char *peer;
};

static void flow_open(struct flow *f, bool v4)
{
    kit_open(&f->k, KIT_TUN);
    f->v4 = v4;
    f->peer = v4 ? "10.0.0.2" : "fd00::2";
    f->sock = kit_udp_socket(&f->k, v4 ? WEIR_AF_INET : WEIR_AF_INET6, 1000);
    kit_udp_connect(&f->k, f->sock, f->peer, 53);
}

static uint32_t mtu_of(struct flow *f)
{
    struct weir_addr dst = kit_addr(f->peer), any = f->v4 ? weir_addr_any4() : weir_addr_any6();
    struct wr_path path;
    assert_int_equal(wr_path_find(f->k.stack, &dst, &any, &path), 0);
    return wr_path_mtu(f->k.stack, &path, &dst);
}

/* Sends a datagram and answers it with a too-big message; the quote's port may be falsified. */
static void too_big(struct flow *f, uint32_t mtu, size_t packet_len, bool forged)
{
    static uint8_t data[1500], quote[1500];
    size_t head = f->v4 ? 28 : 48, len;
    struct kit_view v;
    const char *router = f->v4 ? "10.0.0.9" : "fd00::9", *us = f->v4 ? "10.0.0.1" : "fd00::1";
    /* as the packet was, whatever the path's estimate makes of it by now */
    struct weir_addr s = kit_addr(us), d = kit_addr(f->peer);
    struct kit_packet p;
    len = kit_udp(quote, &s, &d, forged ? 4444 : 1000, 53, data, packet_len - head);
    kit_wrap(&p, &s, &d, W_IPPROTO_UDP, quote, len);
    if (p.len > 500)
        p.len = 500;
    kit_send_icmp(&f->k, router, us, f->v4 ? W_ICMP4_UNREACH : W_ICMP6_TOO_BIG, f->v4 ? 4 : 0, mtu,
                  p.b, p.len);
    (void)kit_sock_error(&f->k, f->sock);
    while (kit_next(&f->k, &v)) {
    }
}

static void test_fragmentation_needed_lowers_never_raises_1191_1(void **state)
{
    struct flow f;
    (void)state;
    flow_open(&f, true);
    assert_int_equal(mtu_of(&f), 1500);
    too_big(&f, 1600, 1500, false);
    assert_int_equal(mtu_of(&f), 1500);
    too_big(&f, 1400, 1500, false);
    assert_int_equal(mtu_of(&f), 1400);
    too_big(&f, 1450, 1500, false);
    assert_int_equal(mtu_of(&f), 1400);
    kit_close(&f.k);
}

/* RFC 1191 5 and 7.1: a router that names no size: the next plateau below the packet's. */
static void test_a_router_that_names_no_size_1191_5(void **state)
{
    struct flow f;
    (void)state;
    flow_open(&f, true);
    too_big(&f, 0, 1500, false);
    assert_int_equal(mtu_of(&f), 1492);
    too_big(&f, 0, 1492, false);
    assert_int_equal(mtu_of(&f), 1006);
    kit_close(&f.k);
}

/* Linux's min_pmtu: nobody can push it below 552; restored after mtu_expires. */
static void test_floor_and_expiry_LNX_SYSCTL_31_1191_2(void **state)
{
    static const uint32_t told[] = {1, 68, 300, 551};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct flow f;
        weir_time start;
        flow_open(&f, true);
        start = f.k.now;
        too_big(&f, told[i], 1500, false);
        assert_int_equal(mtu_of(&f), 552);
        kit_run_until(&f.k, start + 600 * WEIR_SEC - 1);
        assert_int_equal(mtu_of(&f), 552); /* RFC 1191 6.3: not sooner than 5 minutes */
        kit_run_until(&f.k, start + 600 * WEIR_SEC);
        assert_int_equal(mtu_of(&f), 1500);
        kit_close(&f.k);
    }
}

static void test_packet_too_big_below_1280_is_discarded_8201_1(void **state)
{
    static const uint32_t told[] = {0, 1, 68, 1000, 1279};
    struct flow f;
    (void)state;
    flow_open(&f, false);
    for (unsigned i = 0; i < 5; i++) {
        too_big(&f, told[i], 1500, false);
        assert_int_equal(mtu_of(&f), 1500);
    }
    too_big(&f, 1280, 1500, false);
    assert_int_equal(mtu_of(&f), 1280);
    kit_close(&f.k);
}

static void test_packet_too_big_lowers_never_raises_8201_2(void **state)
{
    struct flow f;
    (void)state;
    flow_open(&f, false);
    too_big(&f, 1300, 1500, false);
    assert_int_equal(mtu_of(&f), 1300);
    too_big(&f, 1500, 1500, false);
    assert_int_equal(mtu_of(&f), 1300);
    too_big(&f, 0xffffffff, 1500, false);
    assert_int_equal(mtu_of(&f), 1300);
    kit_close(&f.k);
}

static void test_ipv6_estimate_expires_8201_3(void **state)
{
    struct flow f;
    weir_time start;
    (void)state;
    flow_open(&f, false);
    start = f.k.now;
    too_big(&f, 1300, 1500, false);
    kit_run_until(&f.k, start + 599 * WEIR_SEC);
    assert_int_equal(mtu_of(&f), 1300);
    kit_run_until(&f.k, start + 600 * WEIR_SEC);
    assert_int_equal(mtu_of(&f), 1500);
    kit_close(&f.k);
}

/* The quoted packet must be of a flow that exists. */
static void test_a_forged_quote_changes_nothing_8201_4(void **state)
{
    struct flow f;
    (void)state;
    flow_open(&f, false);
    too_big(&f, 1300, 1500, true);
    assert_int_equal(mtu_of(&f), 1500);
    kit_close(&f.k);
    flow_open(&f, true);
    too_big(&f, 1000, 1500, true);
    assert_int_equal(mtu_of(&f), 1500);
    kit_close(&f.k);
}

/* Without DF, what exceeds the path's MTU is cut to it; IPv6 never below 1280. */
static void test_datagrams_follow_the_path_mtu_8200_9(void **state)
{
    static const uint8_t data[2000];
    struct flow f;
    struct kit_view v;
    int dont = 0; /* IP_PMTUDISC_DONT */
    (void)state;
    flow_open(&f, false);
    too_big(&f, 1280, 1500, false);
    assert_int_equal(kit_udp_send(&f.k, f.sock, f.peer, 53, data, 1280 - 48), 1280 - 48);
    assert_true(kit_next(&f.k, &v));
    assert_false(v.is_frag); /* packets of 1280 bytes are never cut */
    assert_int_equal(v.l3_len, 1280);
    assert_int_equal(kit_udp_send(&f.k, f.sock, f.peer, 53, data, 1280 - 47), 1280 - 47);
    assert_true(kit_next(&f.k, &v));
    assert_true(v.is_frag && v.more && v.l3_len <= 1280);
    assert_true(kit_next(&f.k, &v));
    assert_true(v.is_frag && !v.more);
    kit_expect_silence(&f.k);
    kit_close(&f.k);

    flow_open(&f, true);
    assert_int_equal(weir_sock_setsockopt(f.k.stack, f.sock, WEIR_SOL_IP, WEIR_IP_MTU_DISCOVER,
                                          &dont, sizeof dont, f.k.now),
                     0);
    wr_path_mtu_learn(f.k.stack, &(struct weir_addr){{0}}, 1000, f.k.now);
    {
        struct weir_addr peer = kit_addr("10.0.0.2");
        wr_path_mtu_learn(f.k.stack, &peer, 1000, f.k.now);
    }
    assert_int_equal(kit_udp_send(&f.k, f.sock, f.peer, 53, data, 1400), 1400);
    assert_true(kit_next(&f.k, &v));
    assert_true(v.ip4.more_frags && v.l3_len <= 1000);
    kit_close(&f.k);
}

/* The table is bounded, the oldest goes first. */
static void test_the_table_is_bounded(void **state)
{
    struct kit k;
    size_t before;
    struct weir_route all = {.prefix = weir_addr_any4(), .gateway = weir_addr_any4()};
    (void)state;
    kit_open(&k, KIT_TUN);
    all.ifindex = k.ifindex;
    assert_int_equal(weir_route_add(k.stack, &all), 0);
    before = k.probe.live_bytes;
    for (uint32_t i = 0; i < 10000; i++) {
        struct weir_addr dst = weir_addr_v4(0x0b000000u + i);
        wr_path_mtu_learn(k.stack, &dst, 1000, k.now);
    }
    assert_true(k.probe.live_bytes - before < 400 * 1024);
    kit_run(&k, 601 * WEIR_SEC);
    assert_true(k.probe.live_bytes - before < 64 * 1024); /* the table's slots alone */
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fragmentation_needed_lowers_never_raises_1191_1),
        cmocka_unit_test(test_a_router_that_names_no_size_1191_5),
        cmocka_unit_test(test_floor_and_expiry_LNX_SYSCTL_31_1191_2),
        cmocka_unit_test(test_packet_too_big_below_1280_is_discarded_8201_1),
        cmocka_unit_test(test_packet_too_big_lowers_never_raises_8201_2),
        cmocka_unit_test(test_ipv6_estimate_expires_8201_3),
        cmocka_unit_test(test_a_forged_quote_changes_nothing_8201_4),
        cmocka_unit_test(test_datagrams_follow_the_path_mtu_8200_9),
        cmocka_unit_test(test_the_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
