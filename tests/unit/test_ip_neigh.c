/* SPDX-License-Identifier: MIT */
/* The neighbour cache at its limits, and what routers may change of it. */
#include "ip_kit.h"

static void reply(struct kit *k, struct weir_addr spa, const uint8_t *mac)
{
    struct w_arp arp = {.op = W_ARP_REPLY, .spa = spa, .tpa = kit_addr("10.0.0.1")};
    memcpy(arp.sha, mac, 6);
    memcpy(arp.tha, kit_mac, 6);
    kit_send_arp(k, &arp, kit_mac);
}

static struct weir_addr peer_no(uint32_t i)
{
    return weir_addr_v4(0x0a000010u + i);
}

static enum wr_neigh_state resolve(struct kit *k, struct weir_addr dst)
{
    struct weir_addr any = weir_addr_is_v4(&dst) ? weir_addr_any4() : weir_addr_any6();
    struct wr_path path;
    assert_int_equal(wr_path_find(k->stack, &dst, &any, &path), 0);
    return wr_neigh_resolve(k->stack, &path, k->now);
}

static int send_to(struct kit *k, struct weir_addr dst, size_t len)
{
    static const uint8_t data[65000];
    struct weir_span span = {data, len};
    struct wr_ip_tx tx = {.src = weir_addr_any4(), .dst = dst, .proto = 99};
    return wr_ip_send(k->stack, NULL, &tx, &span, 1, k->now);
}

static weir_sock connect_to(struct kit *k, struct weir_addr dst)
{
    struct weir_endpoint to = {dst, 80};
    weir_sock sock;
    assert_int_equal(weir_sock_open(k->stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &sock), 0);
    assert_int_equal(weir_sock_connect(k->stack, sock, &to, k->now), WEIR_EINPROGRESS);
    kit_collect(k);
    return sock;
}

/* Every place is taken by a neighbour that has just answered: a newcomer is refused, and let in once one
 * of them has long been silent. */
static void test_a_cache_full_of_live_neighbours(void **state)
{
    struct kit k;
    (void)state;
    kit_open(&k, KIT_ETHER);
    assert_int_equal(weir_sysctl_set(k.stack, "net.ipv4.neigh.default.gc_thresh3", 4), 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(resolve(&k, peer_no(i)), WR_NEIGH_WAIT);
        reply(&k, peer_no(i), kit_peer_mac);
        assert_int_equal(resolve(&k, peer_no(i)), WR_NEIGH_READY);
    }
    assert_int_equal(resolve(&k, peer_no(4)), WR_NEIGH_FAILED);
    assert_int_equal(send_to(&k, peer_no(4), 10), WEIR_ENOBUFS);
    assert_int_equal(kit_drops(&k, WR_DROP_arp_cache_full), 2);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(resolve(&k, peer_no(i)), WR_NEIGH_READY);
    kit_run(&k, 50 * WEIR_SEC); /* reachable for 45 s at most */
    assert_int_equal(resolve(&k, peer_no(4)), WR_NEIGH_WAIT);
    kit_close(&k);
}

/* More connections at once than places: those that lose theirs are told, nobody waits for ever. */
static void test_a_connection_that_loses_its_place_is_told(void **state)
{
    struct kit k;
    weir_sock socks[8];
    (void)state;
    kit_open(&k, KIT_ETHER);
    assert_int_equal(weir_sysctl_set(k.stack, "net.ipv4.neigh.default.gc_thresh3", 2), 0);
    for (uint32_t i = 0; i < 8; i++)
        socks[i] = connect_to(&k, peer_no(i));
    kit_run(&k, 200 * WEIR_SEC);
    for (uint32_t i = 0; i < 8; i++) {
        int error = kit_sock_error(&k, socks[i]);
        assert_true(error == EHOSTUNREACH || error == ETIMEDOUT);
    }
    kit_close(&k);
}

static void test_an_interface_that_goes_down_under_a_connect(void **state)
{
    struct kit k;
    weir_sock sock;
    (void)state;
    kit_open(&k, KIT_ETHER);
    sock = connect_to(&k, peer_no(0));
    assert_int_equal(weir_netif_set_up(k.stack, k.ifindex, false, k.now), 0);
    kit_run(&k, 10 * WEIR_MS);
    assert_int_equal(weir_netif_set_up(k.stack, k.ifindex, true, k.now), 0);
    k.seen = k.n_sent;
    kit_run(&k, 5 * WEIR_SEC); /* the SYN's timer asks again */
    assert_true(k.n_sent > k.seen);
    (void)sock;
    kit_close(&k);
}

/* What waits for all neighbours together is bounded, whoever they are. */
static void test_waiting_packets_are_bounded_in_all(void **state)
{
    struct kit k;
    size_t before;
    (void)state;
    kit_open(&k, KIT_ETHER);
    before = k.probe.live_bytes;
    for (uint32_t i = 0; i < 100; i++)
        (void)send_to(&k, peer_no(i), 60000);
    assert_true(k.probe.live_bytes - before < 1200 * 1024);
    assert_true(kit_drops(&k, WR_DROP_neigh_queue_full) > 0);
    kit_run(&k, 10 * WEIR_SEC);
    assert_true(k.probe.live_bytes - before < 64 * 1024); /* nobody answered: all of it is gone */
    kit_close(&k);
}

/* Memory fails at each point in turn: the packet is lost, and the next one goes as if nothing had been. */
static void test_failing_allocations_lose_only_the_packet(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 10; nth++) {
        struct kit k;
        struct kit_view v;
        kit_open(&k, KIT_ETHER);
        k.probe.fail_at = k.probe.calls + nth;
        (void)send_to(&k, peer_no(0), 3000);
        kit_collect(&k);
        k.probe.fail_at = 0;
        kit_run(&k, 5 * WEIR_SEC);
        k.seen = k.n_sent;
        assert_int_equal(send_to(&k, peer_no(0), 100), 0);
        assert_true(kit_next(&k, &v));
        assert_true(v.is_arp);
        reply(&k, peer_no(0), kit_peer_mac);
        assert_true(kit_next(&k, &v));
        assert_false(v.is_arp);
        kit_close(&k);
    }
}

/* RFC 4861 6.3.4: a router sets the timers of the link, within reason. */
static void test_a_router_sets_the_timers(void **state)
{
    static const struct {
        uint32_t told_ms;
        weir_time used;
    } want[] = {{500, 500 * WEIR_MS}, {1, 100 * WEIR_MS}, {3600000, WEIR_SEC}};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct kit k;
        struct kit_view v;
        struct w_ndp ra = {.type = W_ICMP6_RA, .retrans_ms = want[i].told_ms, .reachable_ms = 2000};
        weir_time start;
        kit_open(&k, KIT_ETHER | KIT_RA);
        kit_send_ndp(&k, "fe80::99", "ff02::1", &ra);
        k.seen = k.n_sent;
        start = k.now;
        assert_int_equal(resolve(&k, kit_addr("fd00::2")), WR_NEIGH_WAIT);
        kit_run(&k, 10 * WEIR_SEC);
        for (unsigned n = 0; n < 3; n++) {
            kit_expect_icmp(&k, &v, W_ICMP6_NS, 0);
            assert_true(v.at == start + n * want[i].used);
        }
        { /* reachable for 1 to 3 s: a use after that is followed by a probe */
            struct w_ndp na = {.type = W_ICMP6_NA,
                               .target = kit_addr("fd00::2"),
                               .solicited = true,
                               .override = true,
                               .has_tlla = true};
            memcpy(na.tlla, kit_peer_mac, 6);
            (void)resolve(&k, kit_addr("fd00::2"));
            kit_send_ndp(&k, "fd00::2", "fd00::1", &na);
            kit_run(&k, 4 * WEIR_SEC);
            k.seen = k.n_sent;
            assert_int_equal(resolve(&k, kit_addr("fd00::2")), WR_NEIGH_READY);
            kit_run(&k, 5 * WEIR_SEC);
            kit_expect_icmp(&k, &v, W_ICMP6_NS, 0);
        }
        kit_close(&k);
    }
}

/* RFC 4861 7.2.5: a neighbour that says it is no router any more loses its default route. */
static void test_a_router_that_becomes_a_host(void **state)
{
    struct kit k;
    struct weir_addr far = kit_addr("2001:db8::1"), any = weir_addr_any6();
    struct wr_path path;
    struct w_ndp ra = {.type = W_ICMP6_RA, .lifetime_s = 1800, .has_slla = true};
    struct w_ndp na = {
        .type = W_ICMP6_NA, .target = kit_addr("fe80::99"), .override = true, .has_tlla = true};
    (void)state;
    kit_open(&k, KIT_ETHER | KIT_RA);
    memcpy(ra.slla, kit_peer_mac, 6);
    memcpy(na.tlla, kit_peer_mac, 6);
    kit_send_ndp(&k, "fe80::99", "ff02::1", &ra);
    assert_int_equal(wr_path_find(k.stack, &far, &any, &path), 0);
    kit_send_ndp(&k, "fe80::99", "ff02::1", &na);
    assert_int_equal(wr_path_find(k.stack, &far, &any, &path), WEIR_ENETUNREACH);
    kit_close(&k);
}

/* RFC 4861 6.3.4: a prefix with lifetime 0 is off link at once. */
static void test_a_prefix_is_withdrawn(void **state)
{
    struct kit k;
    struct weir_addr dst = kit_addr("2001:db8:7::1"), any = weir_addr_any6();
    struct wr_path path;
    struct w_ndp ra = {.type = W_ICMP6_RA, .n_prefixes = 1};
    (void)state;
    kit_open(&k, KIT_ETHER | KIT_RA);
    ra.prefixes[0].prefix = kit_addr("2001:db8:7::");
    ra.prefixes[0].len = 48;
    ra.prefixes[0].on_link = true;
    ra.prefixes[0].valid_s = ra.prefixes[0].preferred_s = 1000;
    kit_send_ndp(&k, "fe80::99", "ff02::1", &ra);
    assert_int_equal(wr_path_find(k.stack, &dst, &any, &path), 0);
    kit_expect_addr(&path.src, "fd00::1");
    ra.prefixes[0].valid_s = ra.prefixes[0].preferred_s = 0;
    kit_send_ndp(&k, "fe80::99", "ff02::1", &ra);
    assert_int_equal(wr_path_find(k.stack, &dst, &any, &path), WEIR_ENETUNREACH);
    kit_close(&k);
}

/* RFC 4861 8.3: the link address in a redirect is used. */
static void test_a_redirect_brings_the_link_address(void **state)
{
    struct kit k;
    struct w_ndp ra = {.type = W_ICMP6_RA, .lifetime_s = 1800};
    struct w_ndp redirect = {.type = W_ICMP6_REDIRECT,
                             .target = kit_addr("2001:db8::1"),
                             .dest = kit_addr("2001:db8::1"),
                             .has_tlla = true};
    (void)state;
    kit_open(&k, KIT_ETHER | KIT_RA);
    memcpy(redirect.tlla, kit_peer_mac, 6);
    kit_send_ndp(&k, "fe80::99", "ff02::1", &ra);
    kit_send_ndp(&k, "fe80::99", "fd00::1", &redirect); /* it is on link after all */
    k.seen = k.n_sent;
    assert_int_equal(resolve(&k, kit_addr("2001:db8::1")), WR_NEIGH_READY);
    kit_expect_silence(&k);
    kit_run(&k, 700 * WEIR_SEC); /* and forgotten again */
    assert_int_equal(resolve(&k, kit_addr("2001:db8::1")), WR_NEIGH_WAIT);
    kit_close(&k);
}

/* Advertisements are for interfaces that asked; the tunable turns them off. */
static void test_advertisements_nobody_asked_for_are_ignored(void **state)
{
    struct kit k;
    struct weir_addr far = kit_addr("2001:db8::1"), any = weir_addr_any6();
    struct wr_path path;
    struct w_ndp ra = {.type = W_ICMP6_RA, .lifetime_s = 1800};
    (void)state;
    kit_open(&k, KIT_ETHER);
    kit_send_ndp(&k, "fe80::99", "ff02::1", &ra);
    assert_int_equal(kit_drops(&k, WR_DROP_ndp_ignored), 1);
    assert_int_equal(wr_path_find(k.stack, &far, &any, &path), WEIR_ENETUNREACH);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cache_full_of_live_neighbours),
        cmocka_unit_test(test_a_connection_that_loses_its_place_is_told),
        cmocka_unit_test(test_an_interface_that_goes_down_under_a_connect),
        cmocka_unit_test(test_waiting_packets_are_bounded_in_all),
        cmocka_unit_test(test_failing_allocations_lose_only_the_packet),
        cmocka_unit_test(test_a_router_sets_the_timers),
        cmocka_unit_test(test_a_router_that_becomes_a_host),
        cmocka_unit_test(test_a_prefix_is_withdrawn),
        cmocka_unit_test(test_a_redirect_brings_the_link_address),
        cmocka_unit_test(test_advertisements_nobody_asked_for_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
