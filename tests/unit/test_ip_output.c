/* SPDX-License-Identifier: MIT */
/* What goes out: headers, identification, fragments, the interface's queue, the door for TCP. */
#include "ip_kit.h"

static struct wr_ip_tx tx_to(const char *src, const char *dst, bool dont_fragment)
{
    struct wr_ip_tx tx = {
        .src = kit_addr(src), .dst = kit_addr(dst), .proto = 99, .dont_fragment = dont_fragment};
    return tx;
}

static int send_bytes(struct kit *k, const struct wr_ip_tx *tx, size_t len)
{
    static uint8_t data[70000];
    struct weir_span span[2] = {{data, len / 3}, {data + len / 3, len - len / 3}};
    int error;
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 11 + i / 256);
    error = wr_ip_send(k->stack, NULL, tx, span, 2, k->now);
    kit_collect(k);
    return error;
}

/* RFC 6864 4.1: atomic datagrams: any identification; we send 0 and accept equal ones. */
static void test_atomic_datagrams_carry_no_identification_6864_1(void **state)
{
    struct kit k;
    struct kit_view v;
    struct wr_ip_tx tx = tx_to("10.0.0.1", "10.0.0.2", true);
    (void)state;
    kit_open(&k, KIT_TUN);
    for (unsigned i = 0; i < 5; i++) {
        struct kit_packet p;
        uint8_t l4[16];
        struct w_ip4 ip = {
            .src = tx.dst, .dst = tx.src, .proto = W_IPPROTO_ICMP, .id = 7, .dont_frag = true};
        assert_int_equal(send_bytes(&k, &tx, 100), 0);
        assert_true(kit_next(&k, &v));
        assert_true(v.ip4.dont_frag);
        assert_int_equal(v.ip4.id, 0);
        kit_icmp(l4, &tx.dst, &tx.src, W_ICMP4_ECHO, 0, 0, "x", 1);
        kit_make4(&p, &ip, l4, 9);
        kit_input(&k, p.b, p.len);
        kit_expect_icmp(&k, &v, W_ICMP4_ECHO_REPLY, 0);
    }
    kit_close(&k);
}

/* RFC 6864 4.2: 65536 datagrams to one host before an identification comes again. */
static void test_identifications_do_not_repeat_6864_2(void **state)
{
    static uint8_t seen[65536];
    struct kit k;
    struct wr_ip_tx tx = tx_to("10.0.0.1", "10.0.0.2", false);
    (void)state;
    kit_open(&k, KIT_TUN);
    memset(seen, 0, sizeof seen);
    for (unsigned i = 0; i < 65536; i++) {
        struct weir_span span = {(const uint8_t *)"x", 1};
        uint8_t head[WEIR_HEAD_MAX];
        struct weir_out out = {.head = head};
        assert_int_equal(wr_ip_send(k.stack, NULL, &tx, &span, 1, k.now), 0);
        assert_int_equal(weir_output(k.stack, k.ifindex, &out, k.now), 21);
        {
            const uint8_t *p = out.head_len >= 6 ? head : out.span[0].ptr;
            uint16_t id = get_be16(p + 4);
            assert_int_equal(seen[id], 0);
            seen[id] = 1;
        }
    }
    kit_close(&k);
}

/* Hostile H.33: what one host sees of the counter says nothing about what another sees. */
static void test_identifications_of_two_hosts_are_unrelated(void **state)
{
    struct kit k;
    struct kit_view v;
    unsigned near = 0;
    (void)state;
    kit_open(&k, KIT_TUN);
    for (unsigned i = 2; i < 202; i++) {
        char dst[32];
        struct wr_ip_tx tx;
        uint16_t first;
        snprintf(dst, sizeof dst, "10.0.0.%u", i);
        tx = tx_to("10.0.0.1", dst, false);
        assert_int_equal(send_bytes(&k, &tx, 8), 0);
        assert_true(kit_next(&k, &v));
        first = v.ip4.id;
        snprintf(dst, sizeof dst, "10.0.0.%u", i + 1);
        tx = tx_to("10.0.0.1", dst, false);
        assert_int_equal(send_bytes(&k, &tx, 8), 0);
        assert_true(kit_next(&k, &v));
        near += (uint16_t)(v.ip4.id - first) < 300;
    }
    assert_true(near < 10); /* 200 * 300 / 65536 is about one */
    kit_close(&k);
}

static void fragments_of(bool v4, uint32_t mtu, size_t len)
{
    static uint8_t whole[70000];
    struct kit k;
    struct kit_view v;
    size_t got = 0, expect = 0;
    uint32_t id = 0;
    bool last = false;
    struct wr_ip_tx tx =
        v4 ? tx_to("10.0.0.1", "10.0.0.2", false) : tx_to("fd00::1", "fd00::2", false);
    kit_open(&k, KIT_TUN);
    assert_int_equal(weir_netif_set_mtu(k.stack, k.ifindex, mtu, k.now), 0);
    assert_int_equal(send_bytes(&k, &tx, len), 0);
    while (kit_next(&k, &v)) {
        size_t off = v4 ? v.ip4.frag_off : v.frag_off;
        uint32_t its = v4 ? v.ip4.id : v.frag_id;
        bool more = v4 ? v.ip4.more_frags : v.more;
        assert_true(v.l3_len <= mtu);
        assert_false(last);
        assert_int_equal(off, expect); /* in order, no hole, no overlap (RFC 5722 4) */
        if (more)
            assert_int_equal(v.l4_len % 8, 0);
        if (off > 0)
            assert_int_equal(its, id);
        id = its;
        memcpy(whole + off, v.l4, v.l4_len);
        expect += v.l4_len;
        got += v.l4_len;
        last = !more;
        assert_int_equal(v.hop_limit, 64);
    }
    assert_true(last);
    assert_int_equal(got, len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(whole[i], (uint8_t)(i * 11 + i / 256));
    kit_close(&k);
}

static void test_fragments_never_overlap_and_fit_5722_1(void **state)
{
    (void)state;
    fragments_of(true, 68, 1000);
    fragments_of(true, 576, 20000);
    fragments_of(true, 1500, 1481);
    fragments_of(true, 1501, 65515);
    fragments_of(true, 9000, 65515);
    fragments_of(false, 1280, 1241);
    fragments_of(false, 1283, 20000);
    fragments_of(false, 9000, 65535);
}

static void test_what_may_not_be_cut_is_an_error(void **state)
{
    struct kit k;
    struct wr_ip_tx df4 = tx_to("10.0.0.1", "10.0.0.2", true);
    struct wr_ip_tx df6 = tx_to("fd00::1", "fd00::2", true);
    struct wr_ip_tx any4 = tx_to("10.0.0.1", "10.0.0.2", false);
    struct wr_ip_tx any6 = tx_to("fd00::1", "fd00::2", false);
    (void)state;
    kit_open(&k, KIT_TUN);
    assert_int_equal(send_bytes(&k, &df4, 1480), 0);
    assert_int_equal(send_bytes(&k, &df4, 1481), WEIR_EMSGSIZE);
    assert_int_equal(send_bytes(&k, &df6, 1460), 0);
    assert_int_equal(send_bytes(&k, &df6, 1461), WEIR_EMSGSIZE);
    assert_int_equal(send_bytes(&k, &any4, 65516), WEIR_EMSGSIZE);
    assert_int_equal(send_bytes(&k, &any6, 65536), WEIR_EMSGSIZE);
    kit_close(&k);
}

/* A datagram goes whole into the queue or not at all; the bound holds, and it drains. */
static void test_the_queue_is_bounded(void **state)
{
    struct kit k;
    struct wr_ip_tx tx = tx_to("10.0.0.1", "10.0.0.2", false);
    struct weir_span span = {(const uint8_t *)"x", 1};
    static const uint8_t big[20000];
    struct weir_span large = {big, sizeof big};
    (void)state;
    kit_open(&k, KIT_TUN);
    assert_int_equal(weir_sysctl_set(k.stack, "weir.netif_queue_frames", 10), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(wr_ip_send(k.stack, NULL, &tx, &span, 1, k.now), 0);
    assert_int_equal(wr_ip_send(k.stack, NULL, &tx, &span, 1, k.now), WEIR_ENOBUFS);
    assert_int_equal(kit_drops(&k, WR_DROP_netif_queue_full), 1);
    kit_collect(&k);
    assert_int_equal(k.n_sent, 10);
    assert_int_equal(wr_ip_send(k.stack, NULL, &tx, &large, 1, k.now), WEIR_ENOBUFS);
    kit_collect(&k);
    assert_int_equal(k.n_sent, 10);
    kit_close(&k);
}

/* wr_ip_emit() writes what wr_ip_head_len() promised, for each family and link. */
static void test_the_door_for_tcp(void **state)
{
    static const char *const ends[][2] = {{"10.0.0.1", "10.0.0.2"}, {"fd00::1", "fd00::2"}};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        const char *us = ends[i & 1][0], *peer = ends[i & 1][1];
        bool ether = i & 2;
        struct kit k;
        struct wr_ip_tx tx = tx_to(us, peer, true);
        struct wr_path path;
        uint8_t head[WEIR_HEAD_MAX + 40] = {0}, untouched[WEIR_HEAD_MAX] = {0};
        size_t len;
        struct kit_frame frame;
        struct kit_view v;
        kit_open(&k, ether ? KIT_ETHER : KIT_TUN);
        tx.ds = 0x29;
        tx.hop_limit = 17;
        tx.flow_label = 0xabcde;
        assert_int_equal(wr_path_find(k.stack, &tx.dst, &tx.src, &path), 0);
        if (ether) { /* the peer asks first, so that it is known */
            assert_int_equal(wr_neigh_resolve(k.stack, &path, k.now), WR_NEIGH_WAIT);
            if (i & 1) {
                struct w_ndp na = {.type = W_ICMP6_NA,
                                   .target = tx.dst,
                                   .solicited = true,
                                   .override = true,
                                   .has_tlla = true};
                memcpy(na.tlla, kit_peer_mac, 6);
                kit_send_ndp(&k, peer, us, &na);
            } else {
                struct w_arp arp = {.op = W_ARP_REPLY, .spa = tx.dst, .tpa = tx.src};
                memcpy(arp.sha, kit_peer_mac, 6);
                memcpy(arp.tha, kit_mac, 6);
                kit_send_arp(&k, &arp, kit_mac);
            }
        }
        assert_int_equal(wr_neigh_resolve(k.stack, &path, k.now), WR_NEIGH_READY);
        len = wr_ip_head_len(&path, &tx.dst);
        assert_int_equal(len, (ether ? 14u : 0) + (i & 1 ? 40u : 20u));
        wr_ip_emit(k.stack, &path, &tx, 40, 1, head, k.now);
        assert_memory_equal(head + len, untouched, sizeof untouched - len);
        frame = (struct kit_frame){.data = head, .len = len + 40};
        kit_parse(&k, &frame, &v);
        kit_expect_addr(&v.src, us);
        kit_expect_addr(&v.dst, peer);
        assert_int_equal(v.hop_limit, 17);
        assert_int_equal(v.is_v4 ? v.ip4.tos : v.ip6.tclass, 0x29);
        if (!v.is_v4)
            assert_int_equal(v.ip6.flow, 0xabcde);
        if (ether)
            assert_memory_equal(v.eth.dst, kit_peer_mac, 6);
        kit_close(&k);
    }
}

/* A fragmented datagram to a neighbour that must be asked for arrives whole. */
static void test_a_large_first_datagram_waits_whole(void **state)
{
    struct kit k;
    struct kit_view v;
    struct wr_ip_tx tx = tx_to("10.0.0.1", "10.0.0.2", false);
    struct w_arp arp = {
        .op = W_ARP_REPLY, .spa = kit_addr("10.0.0.2"), .tpa = kit_addr("10.0.0.1")};
    size_t got = 0;
    (void)state;
    kit_open(&k, KIT_ETHER);
    memcpy(arp.sha, kit_peer_mac, 6);
    assert_int_equal(send_bytes(&k, &tx, 60000), 0);
    assert_true(kit_next(&k, &v));
    assert_true(v.is_arp);
    kit_expect_silence(&k);
    kit_send_arp(&k, &arp, kit_mac);
    while (kit_next(&k, &v))
        got += v.l4_len;
    assert_int_equal(got, 60000);
    kit_close(&k);
}

/* Groups and broadcasts need no asking (RFC 1112 6.4, RFC 2464 7). */
static void test_groups_have_their_link_addresses(void **state)
{
    static const struct {
        const char *dst;
        uint8_t mac[6];
    } want[] = {
        {"224.0.0.1", {1, 0, 0x5e, 0, 0, 1}},
        {"239.129.2.3", {1, 0, 0x5e, 1, 2, 3}},
        {"255.255.255.255", {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {"10.0.0.255", {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {"ff02::1:ff12:3456", {0x33, 0x33, 0xff, 0x12, 0x34, 0x56}},
    };
    struct kit k;
    struct weir_route all = {.prefix = weir_addr_any4(), .gateway = kit_addr("10.0.0.9")};
    (void)state;
    kit_open(&k, KIT_ETHER);
    all.ifindex = k.ifindex;
    assert_int_equal(weir_route_add(k.stack, &all), 0);
    for (unsigned i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct kit_view v;
        struct wr_ip_tx tx = {.dst = kit_addr(want[i].dst), .proto = 99};
        tx.src = weir_addr_is_v4(&tx.dst) ? weir_addr_any4() : weir_addr_any6();
        assert_int_equal(send_bytes(&k, &tx, 10), 0);
        assert_true(kit_next(&k, &v));
        assert_memory_equal(v.eth.dst, want[i].mac, 6);
    }
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_atomic_datagrams_carry_no_identification_6864_1),
        cmocka_unit_test(test_identifications_do_not_repeat_6864_2),
        cmocka_unit_test(test_identifications_of_two_hosts_are_unrelated),
        cmocka_unit_test(test_fragments_never_overlap_and_fit_5722_1),
        cmocka_unit_test(test_what_may_not_be_cut_is_an_error),
        cmocka_unit_test(test_the_queue_is_bounded),
        cmocka_unit_test(test_the_door_for_tcp),
        cmocka_unit_test(test_a_large_first_datagram_waits_whole),
        cmocka_unit_test(test_groups_have_their_link_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
