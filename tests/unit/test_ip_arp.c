/* SPDX-License-Identifier: MIT */
/* ARP: RFC 826, RFC 1122 2.3.2, RFC 5227, and the neighbour cache under it. */
#include "ip_kit.h"

static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static struct w_arp arp_of(uint16_t op, const char *spa, const uint8_t *sha, const char *tpa)
{
    struct w_arp arp = {.op = op, .spa = kit_addr(spa), .tpa = kit_addr(tpa)};
    memcpy(arp.sha, sha, 6);
    if (op == W_ARP_REPLY)
        memcpy(arp.tha, kit_mac, 6);
    return arp;
}

static void request_from(struct kit *k, const char *spa, const uint8_t *sha, const char *tpa)
{
    struct w_arp arp = arp_of(W_ARP_REQUEST, spa, sha, tpa);
    kit_send_arp(k, &arp, everyone);
}

static void reply_from(struct kit *k, const char *spa, const uint8_t *sha)
{
    struct w_arp arp = arp_of(W_ARP_REPLY, spa, sha, "10.0.0.1");
    kit_send_arp(k, &arp, kit_mac);
}

static void expect_request(struct kit *k, struct kit_view *v, const char *tpa, bool to_all)
{
    assert_true(kit_next(k, v));
    assert_true(v->is_arp);
    assert_int_equal(v->arp.op, W_ARP_REQUEST);
    kit_expect_addr(&v->arp.tpa, tpa);
    assert_memory_equal(v->eth.dst, to_all ? everyone : kit_peer_mac, 6);
    assert_memory_equal(v->arp.sha, kit_mac, 6);
}

static void expect_udp_to(struct kit *k, const uint8_t mac[6])
{
    struct kit_view v;
    assert_true(kit_next(k, &v));
    assert_false(v.is_arp);
    assert_int_equal(v.proto, W_IPPROTO_UDP);
    assert_memory_equal(v.eth.dst, mac, 6);
    assert_memory_equal(v.eth.src, kit_mac, 6);
}

static void send_one(struct kit *k, weir_sock sock, const char *to)
{
    assert_int_equal(kit_udp_send(k, sock, to, 53, "data", 4), 4);
}

/* ---- RFC 826 ----------------------------------------------------------------------------------- */

static void test_requests_for_us_are_answered_0826_2(void **state)
{
    struct kit k;
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_ETHER);
    request_from(&k, "10.0.0.2", kit_peer_mac, "10.0.0.1");
    assert_true(kit_next(&k, &v));
    assert_true(v.is_arp);
    assert_int_equal(v.arp.op, W_ARP_REPLY);
    kit_expect_addr(&v.arp.spa, "10.0.0.1");
    kit_expect_addr(&v.arp.tpa, "10.0.0.2");
    assert_memory_equal(v.arp.sha, kit_mac, 6);
    assert_memory_equal(v.arp.tha, kit_peer_mac, 6);
    assert_memory_equal(v.eth.dst, kit_peer_mac, 6);
    assert_memory_equal(v.eth.src, kit_mac, 6);

    request_from(&k, "10.0.0.2", kit_peer_mac, "10.0.0.3"); /* for another */
    request_from(&k, "10.0.0.2", kit_peer_mac, "127.0.0.1");
    kit_expect_silence(&k);
    request_from(&k, "0.0.0.0", kit_peer_mac, "10.0.0.1"); /* a probe for our address, RFC 5227 */
    assert_true(kit_next(&k, &v));
    assert_int_equal(v.arp.op, W_ARP_REPLY);
    kit_close(&k);
}

/* An entry is updated by any packet of its owner, but made only if we are the target. */
static void test_entries_are_made_and_updated_0826_1(void **state)
{
    static const uint8_t new_mac[6] = {2, 0, 0, 0, 0, 0x22};
    struct kit k;
    struct kit_view v;
    weir_sock sock;
    (void)state;
    kit_open(&k, KIT_ETHER);
    sock = kit_udp_socket(&k, WEIR_AF_INET, 1000);

    request_from(&k, "10.0.0.3", kit_peer_mac, "10.0.0.3"); /* gratuitous, of a stranger */
    send_one(&k, sock, "10.0.0.3");
    expect_request(&k, &v, "10.0.0.3", true);

    request_from(&k, "10.0.0.2", kit_peer_mac, "10.0.0.1"); /* to us: we know it now */
    assert_true(kit_next(&k, &v));
    send_one(&k, sock, "10.0.0.2");
    expect_udp_to(&k, kit_peer_mac);

    kit_run(&k, 2 * WEIR_SEC);
    k.seen = k.n_sent;
    request_from(&k, "10.0.0.2", new_mac, "10.0.0.2"); /* gratuitous, of one we know */
    send_one(&k, sock, "10.0.0.2");
    expect_udp_to(&k, new_mac);
    request_from(&k, "10.0.0.2", kit_peer_mac, "10.0.0.9"); /* within a second: it may not flap */
    send_one(&k, sock, "10.0.0.2");
    expect_udp_to(&k, new_mac);
    kit_close(&k);
}

static void test_replies_never_asked_for_make_no_entry(void **state)
{
    struct kit k;
    struct kit_view v;
    weir_sock sock;
    (void)state;
    kit_open(&k, KIT_ETHER);
    sock = kit_udp_socket(&k, WEIR_AF_INET, 1000);
    reply_from(&k, "10.0.0.2", kit_peer_mac);
    send_one(&k, sock, "10.0.0.2");
    expect_request(&k, &v, "10.0.0.2", true);
    kit_close(&k);
}

/* RFC 1122 2.3.2.1 and 2.3.2.2: one request a second, and what waits is sent when the answer is there. */
static void test_requests_are_limited_and_packets_wait_0826_3(void **state)
{
    struct kit k;
    struct kit_view v;
    weir_sock sock;
    weir_time start;
    unsigned requests = 0, sent = 0;
    (void)state;
    kit_open(&k, KIT_ETHER);
    sock = kit_udp_socket(&k, WEIR_AF_INET, 1000);
    start = k.now;
    for (uint8_t i = 0; i < 100; i++) {
        assert_int_equal(kit_udp_send(&k, sock, "10.0.0.2", 53, &i, 1), 1);
        kit_run(&k, 25 * WEIR_MS);
    }
    while (kit_next(&k, &v)) {
        assert_true(v.is_arp);
        assert_true(v.at == start + requests * WEIR_SEC);
        kit_expect_addr(&v.arp.spa, "10.0.0.1");
        requests++;
    }
    assert_int_equal(requests, 3);
    reply_from(&k, "10.0.0.2", kit_peer_mac);
    while (kit_next(&k, &v)) {
        sent++;
        assert_memory_equal(v.eth.dst, kit_peer_mac, 6);
        if (sent == 64)
            assert_int_equal(v.l4[8], 99); /* the last one is among them */
    }
    assert_int_equal(sent, 64); /* the bound of one neighbour's queue: the oldest went */
    assert_int_equal(kit_drops(&k, WR_DROP_neigh_queue_full), 36);
    kit_close(&k);
}

/* LNX-SYSCTL-37: EHOSTUNREACH three seconds after the first unanswered request. */
static void test_nobody_answers_LNX_SYSCTL_37(void **state)
{
    struct kit k;
    struct kit_view v;
    weir_sock sock;
    weir_time start;
    struct weir_endpoint to = {kit_addr("10.0.0.2"), 53};
    (void)state;
    kit_open(&k, KIT_ETHER);
    sock = kit_udp_socket(&k, WEIR_AF_INET, 1000);
    kit_udp_connect(&k, sock, "10.0.0.2", 53);
    start = k.now;
    send_one(&k, sock, "10.0.0.2");
    kit_run_until(&k, start + 3 * WEIR_SEC - 1);
    for (unsigned i = 0; i < 3; i++) {
        expect_request(&k, &v, "10.0.0.2", true);
        assert_true(v.at == start + i * WEIR_SEC);
    }
    assert_int_equal(kit_drops(&k, WR_DROP_neigh_failed), 0);
    kit_run(&k, 2);
    assert_int_equal(kit_drops(&k, WR_DROP_neigh_failed), 1);
    /* A soft error, which Linux does not show on a UDP socket; the next send says it. */
    assert_int_equal(weir_sock_send(k.stack, sock, "data", 4, 0, &to, k.now), WEIR_EHOSTUNREACH);
    kit_expect_silence(&k); /* not asked again at once */
    kit_run(&k, WEIR_SEC);
    send_one(&k, sock, "10.0.0.2"); /* but after a second */
    expect_request(&k, &v, "10.0.0.2", true);
    kit_close(&k);
}

/* A stack may be freed at any time, with timers of connections and neighbours side by side. */
static void test_a_stack_is_freed_while_it_waits_for_answers(void **state)
{
    struct kit k;
    weir_sock socks[4];
    (void)state;
    kit_open(&k, KIT_ETHER);
    for (unsigned i = 0; i < 4; i++) {
        struct weir_endpoint to = {weir_addr_v4(0x0a000010u + i), 80};
        assert_int_equal(weir_sock_open(k.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &socks[i]), 0);
        assert_int_equal(weir_sock_connect(k.stack, socks[i], &to, k.now), WEIR_EINPROGRESS);
        kit_run(&k, 100 * WEIR_MS);
    }
    assert_int_equal(k.n_sent, 4); /* four requests, no segment yet */
    kit_close(&k);
}

/* Linux: no route to host, three seconds after the first request that nobody answered. */
static void test_connect_to_nobody_LNX_SYSCTL_37_LNX_ERR_01(void **state)
{
    struct kit k;
    weir_sock sock;
    struct weir_endpoint to = {kit_addr("10.0.0.2"), 80};
    weir_time start;
    (void)state;
    kit_open(&k, KIT_ETHER);
    assert_int_equal(weir_sock_open(k.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &sock), 0);
    start = k.now;
    assert_int_equal(weir_sock_connect(k.stack, sock, &to, k.now), WEIR_EINPROGRESS);
    kit_run_until(&k, start + 3 * WEIR_SEC - 1);
    assert_int_equal(weir_sock_ready(k.stack, sock) & WEIR_POLLERR, 0);
    kit_run_until(&k, start + 3 * WEIR_SEC + WEIR_MS);
    assert_true(weir_sock_ready(k.stack, sock) & WEIR_POLLERR);
    assert_int_equal(kit_sock_error(&k, sock), EHOSTUNREACH);
    kit_close(&k);
}

/* The unicast poll of RFC 1122 2.3.2.1: a peer whose MAC changed is found again. */
static void test_a_changed_mac_is_noticed_0826_4(void **state)
{
    static const uint8_t new_mac[6] = {2, 0, 0, 0, 0, 0x22};
    struct kit k;
    struct kit_view v;
    weir_sock sock;
    weir_time changed;
    bool recovered = false;
    (void)state;
    kit_open(&k, KIT_ETHER);
    sock = kit_udp_socket(&k, WEIR_AF_INET, 1000);
    send_one(&k, sock, "10.0.0.2");
    reply_from(&k, "10.0.0.2", kit_peer_mac);
    changed = k.now;
    while (!recovered && k.now < changed + 120 * WEIR_SEC) {
        /* The old MAC is silent; the new one answers what is asked of everyone. */
        struct weir_endpoint to = {kit_addr("10.0.0.2"), 53};
        (void)weir_sock_send(k.stack, sock, "data", 4, 0, &to, k.now);
        kit_run(&k, WEIR_SEC);
        while (kit_next(&k, &v)) {
            if (v.is_arp && memcmp(v.eth.dst, everyone, 6) == 0 && k.now > changed + WEIR_SEC)
                reply_from(&k, "10.0.0.2", new_mac);
            if (!v.is_arp && memcmp(v.eth.dst, new_mac, 6) == 0)
                recovered = true;
        }
    }
    assert_true(recovered);
    /* 45 s reachable at most, 5 s delay, 3 s of polls, 1 s of failure */
    assert_true(k.now - changed < 60 * WEIR_SEC);
    kit_close(&k);
}

/* ---- hostile ----------------------------------------------------------------------------------- */

static void test_malformed_packets_are_dropped(void **state)
{
    static const struct {
        unsigned offset;
        uint8_t value;
    } bad[] = {{1, 2}, {2, 0x86}, {4, 5}, {5, 16}, {7, 0}, {7, 3}, {6, 1}};
    static const char *const senders[] = {"224.0.0.5", "255.255.255.255", "127.0.0.1",
                                          "10.0.0.255"};
    static const uint8_t zero[6], group[6] = {1, 0, 0x5e, 0, 0, 1};
    struct kit k;
    (void)state;
    kit_open(&k, KIT_ETHER);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t frame[W_ETH_HLEN + W_ARP_LEN];
        struct w_eth eth = {.type = W_ETHERTYPE_ARP};
        struct w_arp arp = arp_of(W_ARP_REQUEST, "10.0.0.2", kit_peer_mac, "10.0.0.1");
        memcpy(eth.dst, everyone, 6);
        memcpy(eth.src, kit_peer_mac, 6);
        wr_w_eth_emit(frame, &eth);
        wr_w_arp_emit(frame + W_ETH_HLEN, &arp);
        frame[W_ETH_HLEN + bad[i].offset] = bad[i].value;
        kit_input_frame(&k, frame, sizeof frame);
        kit_input_frame(&k, frame, W_ETH_HLEN + i); /* and cut off */
    }
    assert_int_equal(kit_drops(&k, WR_DROP_arp_malformed), 2 * sizeof bad / sizeof bad[0]);
    for (unsigned i = 0; i < 4; i++)
        request_from(&k, senders[i], kit_peer_mac, "10.0.0.1");
    request_from(&k, "10.0.0.2", zero, "10.0.0.1");
    request_from(&k, "10.0.0.2", group, "10.0.0.1");
    assert_int_equal(kit_drops(&k, WR_DROP_arp_bad_sender), 6);
    kit_expect_silence(&k);
    kit_close(&k);
}

/* 10^5 strangers ask for us: the cache stays bounded, and a neighbour in use stays in it. */
static void test_a_flood_of_senders_displaces_no_live_peer(void **state)
{
    struct kit k;
    struct kit_view v;
    weir_sock sock;
    size_t before;
    struct weir_addr wide = kit_addr("10.128.0.1");
    (void)state;
    kit_open(&k, KIT_ETHER);
    assert_int_equal(weir_addr_add(k.stack, k.ifindex, &wide, 9, k.now), 0);
    sock = kit_udp_socket(&k, WEIR_AF_INET, 1000);
    send_one(&k, sock, "10.0.0.2");
    reply_from(&k, "10.0.0.2", kit_peer_mac);
    kit_run(&k, 100 * WEIR_SEC); /* idle long enough to be stale */
    send_one(&k, sock, "10.0.0.2");
    reply_from(&k, "10.0.0.2", kit_peer_mac);
    before = k.probe.live_bytes;
    for (uint32_t i = 0; i < 100000; i++) {
        struct w_arp arp = arp_of(W_ARP_REQUEST, "10.0.0.3", kit_peer_mac, "10.0.0.1");
        arp.spa = weir_addr_v4(0x0a810000u + i);
        put_be32(arp.sha + 2, i);
        kit_send_arp(&k, &arp, everyone);
    }
    assert_true(k.probe.live_bytes - before < 1024 * 1024);
    k.seen = k.n_sent;
    send_one(&k, sock, "10.0.0.2");
    expect_udp_to(&k, kit_peer_mac); /* no request: it was there */
    (void)v;
    kit_close(&k);
}

/* Hostile A.3: somebody claims our address. As Linux by default: counted, not believed, not answered. */
static void test_a_claim_to_our_address_is_counted(void **state)
{
    struct kit k;
    (void)state;
    kit_open(&k, KIT_ETHER);
    request_from(&k, "10.0.0.1", kit_peer_mac, "10.0.0.1");
    reply_from(&k, "10.0.0.1", kit_peer_mac);
    assert_int_equal(kit_drops(&k, WR_DROP_arp_conflict), 2);
    kit_expect_silence(&k);
    assert_true(wr_netif_own_addr(k.stack, k.netif, &k.netif->addrs[0].addr) != NULL);
    kit_close(&k);
}

/* ---- RFC 5227, tunable weir.arp_probe ---------------------------------------------------------- */

static void open_probing(struct kit *k)
{
    struct weir_addr addr = kit_addr("10.0.0.1");
    kit_open(k, KIT_ETHER | KIT_BARE);
    assert_int_equal(weir_sysctl_set(k->stack, "weir.arp_probe", 1), 0);
    assert_int_equal(weir_addr_add(k->stack, k->ifindex, &addr, 24, k->now), 0);
}

static void test_probe_wait_and_announce_5227_1_5227_3(void **state)
{
    struct kit k;
    struct kit_view v;
    weir_time start, last = 0;
    struct weir_addr peer = kit_addr("10.0.0.2"), any = weir_addr_any4();
    struct wr_path path;
    (void)state;
    open_probing(&k);
    start = k.now;
    assert_int_equal(wr_path_find(k.stack, &peer, &any, &path), WEIR_EADDRNOTAVAIL);
    kit_run(&k, 20 * WEIR_SEC);
    for (unsigned i = 0; i < 3; i++) {
        expect_request(&k, &v, "10.0.0.1", true);
        kit_expect_addr(&v.arp.spa, "0.0.0.0");
        if (i == 0)
            assert_true(v.at - start <= WEIR_SEC);
        else
            assert_true(v.at - last >= WEIR_SEC && v.at - last <= 2 * WEIR_SEC);
        last = v.at;
    }
    for (unsigned i = 0; i < 2; i++) {
        expect_request(&k, &v, "10.0.0.1", true);
        kit_expect_addr(&v.arp.spa, "10.0.0.1");
        assert_true(v.at - last == 2 * WEIR_SEC);
        last = v.at;
    }
    kit_expect_silence(&k);
    assert_int_equal(wr_path_find(k.stack, &peer, &any, &path), 0);
    kit_close(&k);
}

static void test_a_conflict_while_probing_takes_the_address_5227_2(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        struct kit k;
        open_probing(&k);
        kit_run(&k, 1500 * WEIR_MS);
        if (how == 0)
            reply_from(&k, "10.0.0.1", kit_peer_mac); /* in use */
        else
            request_from(&k, "0.0.0.0", kit_peer_mac, "10.0.0.1"); /* probed for by another */
        assert_int_equal(k.netif->n_addrs, 0);
        kit_close(&k);
    }
}

/* RFC 5227 2.1.1: after more than ten conflicts, one attempt a minute. */
static void test_many_conflicts_slow_it_down_5227_2(void **state)
{
    struct kit k;
    struct kit_view v;
    struct weir_addr addr = kit_addr("10.0.0.1");
    weir_time start;
    (void)state;
    open_probing(&k);
    for (unsigned i = 0; i < 12; i++) {
        kit_run(&k, 1100 * WEIR_MS);
        reply_from(&k, "10.0.0.1", kit_peer_mac);
        assert_int_equal(k.netif->n_addrs, i < 11 ? 0 : 1);
        if (i < 11)
            assert_int_equal(weir_addr_add(k.stack, k.ifindex, &addr, 24, k.now), 0);
        if (i == 10)
            break;
    }
    k.seen = k.n_sent;
    start = k.now;
    kit_run(&k, 61 * WEIR_SEC);
    expect_request(&k, &v, "10.0.0.1", true);
    assert_true(v.at - start >= 60 * WEIR_SEC);
    kit_close(&k);
}

static void test_an_address_is_defended_once_in_ten_seconds_5227_4(void **state)
{
    struct kit k;
    struct kit_view v;
    (void)state;
    open_probing(&k);
    kit_run(&k, 20 * WEIR_SEC);
    k.seen = k.n_sent;
    reply_from(&k, "10.0.0.1", kit_peer_mac);
    expect_request(&k, &v, "10.0.0.1", true); /* one announcement */
    kit_expect_addr(&v.arp.spa, "10.0.0.1");
    kit_run(&k, 5 * WEIR_SEC);
    reply_from(&k, "10.0.0.1", kit_peer_mac);
    kit_expect_silence(&k);
    kit_run(&k, 6 * WEIR_SEC);
    reply_from(&k, "10.0.0.1", kit_peer_mac);
    expect_request(&k, &v, "10.0.0.1", true);
    kit_close(&k);
}

/* As Linux by default: an address is usable at once and nothing is said about it. */
static void test_without_the_tunable_nothing_is_said(void **state)
{
    struct kit k;
    (void)state;
    kit_open(&k, KIT_ETHER);
    kit_run(&k, 20 * WEIR_SEC);
    kit_expect_silence(&k);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_for_us_are_answered_0826_2),
        cmocka_unit_test(test_entries_are_made_and_updated_0826_1),
        cmocka_unit_test(test_replies_never_asked_for_make_no_entry),
        cmocka_unit_test(test_requests_are_limited_and_packets_wait_0826_3),
        cmocka_unit_test(test_nobody_answers_LNX_SYSCTL_37),
        cmocka_unit_test(test_a_stack_is_freed_while_it_waits_for_answers),
        cmocka_unit_test(test_connect_to_nobody_LNX_SYSCTL_37_LNX_ERR_01),
        cmocka_unit_test(test_a_changed_mac_is_noticed_0826_4),
        cmocka_unit_test(test_malformed_packets_are_dropped),
        cmocka_unit_test(test_a_flood_of_senders_displaces_no_live_peer),
        cmocka_unit_test(test_a_claim_to_our_address_is_counted),
        cmocka_unit_test(test_probe_wait_and_announce_5227_1_5227_3),
        cmocka_unit_test(test_a_conflict_while_probing_takes_the_address_5227_2),
        cmocka_unit_test(test_many_conflicts_slow_it_down_5227_2),
        cmocka_unit_test(test_an_address_is_defended_once_in_ten_seconds_5227_4),
        cmocka_unit_test(test_without_the_tunable_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
