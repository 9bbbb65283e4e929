/* SPDX-License-Identifier: MIT */
/* Routes, paths and source addresses over several interfaces; interfaces that come and go. */
#include "ip_kit.h"

struct two {
    struct kit k; /* eth0: 10.0.0.1/24, fd00::1/64 */
    int second;   /* tun1: 10.1.0.1/16, fd01::1/64 */
};

static void two_open(struct two *t)
{
    struct weir_netif_config config = {.name = "tun1", .kind = WEIR_NETIF_IP, .mtu = 9000};
    struct weir_addr a4 = kit_addr("10.1.0.1"), a6 = kit_addr("fd01::1");
    kit_open(&t->k, KIT_TUN);
    t->second = weir_netif_add(t->k.stack, &config, t->k.now);
    assert_true(t->second > t->k.ifindex);
    assert_int_equal(weir_addr_add(t->k.stack, t->second, &a4, 16, t->k.now), 0);
    assert_int_equal(weir_addr_add(t->k.stack, t->second, &a6, 64, t->k.now), 0);
}

static int route(struct two *t, const char *prefix, unsigned len, const char *gateway, int ifindex,
                 uint32_t metric)
{
    struct weir_route r = {.prefix = kit_addr(prefix),
                           .prefix_len = len,
                           .gateway = gateway ? kit_addr(gateway) : weir_addr_any4(),
                           .ifindex = ifindex,
                           .metric = metric};
    return weir_route_add(t->k.stack, &r);
}

static int unroute(struct two *t, const char *prefix, unsigned len, const char *gateway,
                   int ifindex, uint32_t metric)
{
    struct weir_route r = {.prefix = kit_addr(prefix),
                           .prefix_len = len,
                           .gateway = gateway ? kit_addr(gateway) : weir_addr_any4(),
                           .ifindex = ifindex,
                           .metric = metric};
    return weir_route_remove(t->k.stack, &r);
}

static int find(struct two *t, const char *to, const char *from, struct wr_path *path)
{
    struct weir_addr dst = kit_addr(to);
    struct weir_addr src = weir_addr_is_v4(&dst) ? weir_addr_any4() : weir_addr_any6();
    if (from)
        src = kit_addr(from);
    return wr_path_find(t->k.stack, &dst, &src, path);
}

static void expect_path(struct two *t, const char *to, int ifindex, const char *src,
                        const char *next_hop)
{
    struct wr_path path;
    assert_int_equal(find(t, to, NULL, &path), 0);
    assert_int_equal(path.netif->ifindex, ifindex);
    kit_expect_addr(&path.src, src);
    kit_expect_addr(&path.next_hop, next_hop);
}

static void test_the_longest_prefix_wins_then_the_metric(void **state)
{
    struct two t;
    (void)state;
    two_open(&t);
    assert_int_equal(route(&t, "0.0.0.0", 0, "10.0.0.254", t.k.ifindex, 100), 0);
    assert_int_equal(route(&t, "0.0.0.0", 0, "10.1.0.254", t.second, 50), 0);
    assert_int_equal(route(&t, "192.0.2.0", 24, "10.0.0.253", t.k.ifindex, 9), 0);
    assert_int_equal(route(&t, "192.0.2.128", 25, "10.1.0.253", t.second, 99), 0);
    assert_int_equal(route(&t, "192.0.2.200", 32, NULL, t.k.ifindex, 0), 0);
    expect_path(&t, "203.0.113.1", t.second, "10.1.0.1", "10.1.0.254");
    expect_path(&t, "192.0.2.1", t.k.ifindex, "10.0.0.1", "10.0.0.253");
    expect_path(&t, "192.0.2.129", t.second, "10.1.0.1", "10.1.0.253");
    expect_path(&t, "192.0.2.200", t.k.ifindex, "10.0.0.1", "192.0.2.200");
    expect_path(&t, "10.0.0.9", t.k.ifindex, "10.0.0.1", "10.0.0.9");
    expect_path(&t, "10.1.200.9", t.second, "10.1.0.1", "10.1.200.9");
    expect_path(&t, "fd00::9", t.k.ifindex, "fd00::1", "fd00::9");
    expect_path(&t, "fd01::9", t.second, "fd01::1", "fd01::9");

    assert_int_equal(unroute(&t, "0.0.0.0", 0, "10.1.0.254", t.second, 50), 0);
    expect_path(&t, "203.0.113.1", t.k.ifindex, "10.0.0.1", "10.0.0.254");
    assert_int_equal(unroute(&t, "0.0.0.0", 0, "10.1.0.254", t.second, 50), WEIR_ENOENT);
    kit_close(&t.k);
}

static void test_families_do_not_mix(void **state)
{
    struct two t;
    struct wr_path path;
    (void)state;
    two_open(&t);
    assert_int_equal(route(&t, "::", 0, "fd00::99", t.k.ifindex, 0), 0);
    assert_int_equal(find(&t, "192.0.2.1", NULL, &path), WEIR_ENETUNREACH);
    expect_path(&t, "2001:db8::1", t.k.ifindex, "fd00::1", "fd00::99");
    assert_int_equal(find(&t, "2001:db8::1", "10.0.0.1", &path), WEIR_EADDRNOTAVAIL);
    assert_int_equal(route(&t, "::", 0, "10.0.0.2", t.k.ifindex, 0), WEIR_EINVAL);
    kit_close(&t.k);
}

static void test_what_a_route_may_be(void **state)
{
    struct two t;
    (void)state;
    two_open(&t);
    assert_int_equal(route(&t, "192.0.2.0", 33, NULL, t.k.ifindex, 0), WEIR_EINVAL);
    assert_int_equal(route(&t, "2001:db8::", 129, NULL, t.k.ifindex, 0), WEIR_EINVAL);
    assert_int_equal(route(&t, "192.0.2.0", 24, NULL, 99, 0), WEIR_ENODEV);
    assert_int_equal(route(&t, "192.0.2.0", 24, "224.0.0.1", t.k.ifindex, 0), WEIR_EINVAL);
    assert_int_equal(route(&t, "192.0.2.0", 24, NULL, t.k.ifindex, 0), 0);
    assert_int_equal(route(&t, "192.0.2.77", 24, NULL, t.k.ifindex, 0), WEIR_EEXIST);
    assert_int_equal(route(&t, "198.51.100.0", 24, "10.1.0.9", 0, 0), 0); /* found by its gateway */
    expect_path(&t, "198.51.100.7", t.second, "10.1.0.1", "10.1.0.9");
    kit_close(&t.k);
}

static void test_the_source_is_ours_or_an_error(void **state)
{
    struct two t;
    struct wr_path path;
    (void)state;
    two_open(&t);
    assert_int_equal(find(&t, "10.0.0.9", "10.1.0.1", &path), 0); /* the weak model */
    kit_expect_addr(&path.src, "10.1.0.1");
    assert_int_equal(path.netif->ifindex, t.k.ifindex);
    assert_int_equal(find(&t, "10.0.0.9", "10.0.0.77", &path), WEIR_EADDRNOTAVAIL);
    assert_int_equal(find(&t, "10.0.0.9", "127.0.0.1", &path), WEIR_ENETUNREACH);
    assert_int_equal(find(&t, "0.0.0.0", NULL, &path), WEIR_ENETUNREACH);
    kit_close(&t.k);
}

/* To ourselves: by lo, from the address spoken to; from 127.0.0.1 to all of 127/8, as Linux. */
static void test_paths_to_ourselves(void **state)
{
    struct two t;
    (void)state;
    two_open(&t);
    int lo = t.k.stack->lo->ifindex;
    assert_int_equal(lo, 1);
    expect_path(&t, "10.0.0.1", lo, "10.0.0.1", "10.0.0.1");
    expect_path(&t, "fd01::1", lo, "fd01::1", "fd01::1");
    expect_path(&t, "127.0.0.1", lo, "127.0.0.1", "127.0.0.1");
    expect_path(&t, "127.8.8.8", lo, "127.0.0.1", "127.8.8.8");
    expect_path(&t, "::1", lo, "::1", "::1");
    kit_close(&t.k);
}

/* RFC 6724 5: scope, then the longest common prefix. */
static void test_ipv6_source_selection(void **state)
{
    static const char *const addrs[] = {"2001:db8:1::5", "2001:db8:2::5", "fd00:5::5"};
    struct kit k;
    struct weir_addr any = weir_addr_any6(), dst, all = any;
    struct wr_path path;
    struct weir_route def = {.prefix_len = 0};
    (void)state;
    kit_open(&k, KIT_ETHER);
    for (unsigned i = 0; i < 3; i++) {
        struct weir_addr a = kit_addr(addrs[i]);
        assert_int_equal(weir_addr_add(k.stack, k.ifindex, &a, 64, k.now), 0);
    }
    def.prefix = all;
    def.gateway = kit_addr("fe80::1");
    def.ifindex = k.ifindex;
    assert_int_equal(weir_route_add(k.stack, &def), 0);
    static const struct {
        const char *dst, *src;
    } want[] = {
        {"2001:db8:1::77", "2001:db8:1::5"}, {"2001:db8:2::77", "2001:db8:2::5"},
        {"fd00:5::77", "fd00:5::5"},         {"fe80::77", "fe80::ff:fe00:1"},
        {"ff02::1", "fe80::ff:fe00:1"},      {"2001:db8:2:1::1", "2001:db8:2::5"},
    };
    for (unsigned i = 0; i < sizeof want / sizeof want[0]; i++) {
        dst = kit_addr(want[i].dst);
        assert_int_equal(wr_path_find(k.stack, &dst, &any, &path), 0);
        kit_expect_addr(&path.src, want[i].src);
    }
    kit_close(&k);
}

static void test_broadcast_and_groups(void **state)
{
    struct two t;
    struct wr_path path;
    (void)state;
    two_open(&t);
    expect_path(&t, "10.0.0.255", t.k.ifindex, "10.0.0.1", "10.0.0.255");
    expect_path(&t, "255.255.255.255", t.k.ifindex, "10.0.0.1", "255.255.255.255");
    assert_int_equal(find(&t, "224.0.0.5", NULL, &path), WEIR_ENETUNREACH); /* as Linux: no route */
    assert_int_equal(route(&t, "0.0.0.0", 0, "10.1.0.254", t.second, 0), 0);
    expect_path(&t, "224.0.0.5", t.second, "10.1.0.1", "224.0.0.5");
    kit_close(&t.k);
}

/* A path that was found stays good until something changes, and says so. */
static void test_paths_grow_stale(void **state)
{
    struct two t;
    struct wr_path path;
    struct weir_addr addr = kit_addr("10.0.0.50");
    (void)state;
    two_open(&t);
    assert_int_equal(find(&t, "10.1.0.9", NULL, &path), 0);
    assert_false(wr_path_stale(t.k.stack, &path));
    kit_run(&t.k, 100 * WEIR_SEC);
    assert_false(wr_path_stale(t.k.stack, &path));
#define CHANGES(call)                                                                              \
    do {                                                                                           \
        assert_int_equal(call, 0);                                                                 \
        assert_true(wr_path_stale(t.k.stack, &path));                                              \
        assert_int_equal(find(&t, "10.1.0.9", NULL, &path), 0);                                    \
    } while (0)
    CHANGES(route(&t, "192.0.2.0", 24, NULL, t.k.ifindex, 0));
    CHANGES(unroute(&t, "192.0.2.0", 24, NULL, t.k.ifindex, 0));
    CHANGES(weir_addr_add(t.k.stack, t.k.ifindex, &addr, 24, t.k.now));
    CHANGES(weir_addr_remove(t.k.stack, t.k.ifindex, &addr, t.k.now));
    CHANGES(weir_netif_set_mtu(t.k.stack, t.second, 1400, t.k.now));
    CHANGES(weir_netif_set_up(t.k.stack, t.k.ifindex, false, t.k.now));
    CHANGES(weir_netif_remove(t.k.stack, t.k.ifindex, t.k.now));
    assert_int_equal(weir_netif_remove(t.k.stack, t.second, t.k.now), 0);
    assert_true(wr_path_stale(t.k.stack, &path));
    assert_int_equal(find(&t, "10.1.0.9", NULL, &path), WEIR_ENETUNREACH);
    weir_stack_free(t.k.stack);
    probe_done(&t.k.probe);
    free(t.k.sent);
}

static void test_a_down_interface_carries_nothing(void **state)
{
    struct two t;
    struct wr_path path;
    weir_sock sock;
    struct weir_endpoint to = {kit_addr("10.0.0.9"), 5};
    (void)state;
    two_open(&t);
    sock = kit_udp_socket(&t.k, WEIR_AF_INET, 1000);
    assert_int_equal(weir_sock_send(t.k.stack, sock, "x", 1, 0, &to, t.k.now), 1);
    assert_int_equal(weir_netif_set_up(t.k.stack, t.k.ifindex, false, t.k.now), 0);
    assert_int_equal(kit_drops(&t.k, WR_DROP_netif_down), 1); /* what waited */
    kit_expect_silence(&t.k);
    assert_int_equal(find(&t, "10.0.0.9", NULL, &path), WEIR_ENETUNREACH);
    kit_send_icmp(&t.k, "10.0.0.2", "10.0.0.1", W_ICMP4_ECHO, 0, 0, "x", 1);
    assert_int_equal(kit_drops(&t.k, WR_DROP_netif_down), 2);
    assert_int_equal(weir_netif_set_up(t.k.stack, t.k.ifindex, true, t.k.now), 0);
    assert_int_equal(find(&t, "10.0.0.9", NULL, &path), 0);
    kit_close(&t.k);
}

static void test_interfaces_and_addresses_are_checked(void **state)
{
    struct kit k;
    struct weir_netif_config config = {.name = "x", .kind = WEIR_NETIF_IP, .mtu = 1500};
    struct weir_addr a = kit_addr("10.0.0.1"), group = kit_addr("224.0.0.1"),
                     any = weir_addr_any4(), v6 = kit_addr("fd00::9");
    int small;
    (void)state;
    kit_open(&k, KIT_TUN);
    config.mtu = 67;
    assert_int_equal(weir_netif_add(k.stack, &config, k.now), WEIR_EINVAL);
    config.mtu = 65536;
    assert_int_equal(weir_netif_add(k.stack, &config, k.now), WEIR_EINVAL);
    config.mtu = 576;
    config.kind = WEIR_NETIF_ETHERNET; /* without a MAC */
    assert_int_equal(weir_netif_add(k.stack, &config, k.now), WEIR_EINVAL);
    config.kind = WEIR_NETIF_IP;
    small = weir_netif_add(k.stack, &config, k.now);
    assert_true(small > 0);
    assert_int_equal(weir_netif_add(k.stack, &config, k.now), WEIR_EEXIST);
    assert_int_equal(weir_addr_add(k.stack, small, &v6, 64, k.now), WEIR_EINVAL); /* below 1280 */
    assert_int_equal(weir_addr_add(k.stack, 77, &a, 24, k.now), WEIR_ENODEV);
    assert_int_equal(weir_addr_add(k.stack, k.ifindex, &a, 24, k.now), WEIR_EEXIST);
    assert_int_equal(weir_addr_add(k.stack, k.ifindex, &a, 33, k.now), WEIR_EINVAL);
    assert_int_equal(weir_addr_add(k.stack, k.ifindex, &group, 24, k.now), WEIR_EINVAL);
    assert_int_equal(weir_addr_add(k.stack, k.ifindex, &any, 24, k.now), WEIR_EINVAL);
    assert_int_equal(weir_netif_set_mtu(k.stack, k.ifindex, 10, k.now), WEIR_EINVAL);
    assert_int_equal(weir_netif_remove(k.stack, small, k.now), 0);
    assert_int_equal(weir_netif_remove(k.stack, small, k.now), WEIR_ENODEV);
    config.name[0] = 'y';
    assert_int_equal(weir_netif_add(k.stack, &config, k.now), small); /* numbers are used again */
    for (uint32_t i = 0; i < 100; i++) {
        struct weir_addr more = weir_addr_v4(0x0a000100u + i);
        int want = i < WR_ADDRS_PER_NETIF - 2 ? 0 : WEIR_ENOBUFS;
        assert_int_equal(weir_addr_add(k.stack, k.ifindex, &more, 24, k.now), want);
    }
    kit_close(&k);
}

/* An address goes while its detection runs: the timers of those behind it go on. */
static void test_removing_an_address_keeps_the_others_timers(void **state)
{
    struct kit k;
    struct weir_addr first = kit_addr("fd00::1"), second = kit_addr("fd00::2"),
                     any = weir_addr_any6(), peer = kit_addr("fd00::9");
    struct wr_path path;
    (void)state;
    kit_open(&k, KIT_ETHER | KIT_DAD);
    assert_int_equal(weir_addr_add(k.stack, k.ifindex, &second, 64, k.now), 0);
    kit_run(&k, 10 * WEIR_MS);
    assert_int_equal(weir_addr_remove(k.stack, k.ifindex, &first, k.now), 0);
    assert_int_equal(weir_addr_remove(k.stack, k.ifindex, &first, k.now), WEIR_EADDRNOTAVAIL);
    kit_run(&k, 3 * WEIR_SEC);
    assert_int_equal(wr_path_find(k.stack, &peer, &any, &path), 0);
    kit_expect_addr(&path.src, "fd00::2");
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_longest_prefix_wins_then_the_metric),
        cmocka_unit_test(test_families_do_not_mix),
        cmocka_unit_test(test_what_a_route_may_be),
        cmocka_unit_test(test_the_source_is_ours_or_an_error),
        cmocka_unit_test(test_paths_to_ourselves),
        cmocka_unit_test(test_ipv6_source_selection),
        cmocka_unit_test(test_broadcast_and_groups),
        cmocka_unit_test(test_paths_grow_stale),
        cmocka_unit_test(test_a_down_interface_carries_nothing),
        cmocka_unit_test(test_interfaces_and_addresses_are_checked),
        cmocka_unit_test(test_removing_an_address_keeps_the_others_timers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
