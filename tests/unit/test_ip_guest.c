/* SPDX-License-Identifier: MIT */
/*
 * The guest (ip_guest.c): who gets what comes in, and how what it sends leaves. Both ends of both
 * interfaces are played by hand. Expectations from the contract at the top of ip_guest.c; the forms of errors
 * from RFC 792, RFC 1191 4 and RFC 4443 3; fragments from RFC 791 3.1 and 3.2.
 */
#include "ip_kit.h"

struct guest {
    struct kit k;
    int ifindex;
    struct kit_packet got; /* the last packet for the guest */
};

static void open_guest(struct guest *g, unsigned flags)
{
    struct weir_netif_config config = {
        .name = "guest", .kind = WEIR_NETIF_IP, .mtu = 1500, .guest = &weir_guest};
    kit_open(&g->k, flags);
    g->ifindex = weir_netif_add(g->k.stack, &config, g->k.now);
    assert_true(g->ifindex > 0);
}

/* Takes what waits for the guest: 1, or 0 when there is nothing. */
static int guest_gets(struct guest *g)
{
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    g->got.len = weir_output(g->k.stack, g->ifindex, &out, g->k.now);
    if (g->got.len == 0)
        return 0;
    memcpy(g->got.b, head, out.head_len);
    wr_spans_copy(g->got.b + out.head_len, out.span, out.n_spans);
    return 1;
}

static void guest_says(struct guest *g, const uint8_t *p, size_t len)
{
    uint8_t *copy = exact_copy(p, len);
    struct weir_frame frame = {.data = copy, .len = len};
    assert_int_equal(weir_input(g->k.stack, g->ifindex, &frame, g->k.now), 0);
    free(copy);
    weir_advance(g->k.stack, g->k.now);
    kit_collect(&g->k);
}

static void make_udp(struct kit_packet *out, const char *src, const char *dst, size_t len)
{
    static uint8_t l4[66000], data[66000];
    struct weir_addr s = kit_addr(src), d = kit_addr(dst);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7 + i / 253);
    kit_wrap(out, &s, &d, W_IPPROTO_UDP, l4, kit_udp(l4, &s, &d, 5000, 53, data, len));
}

/* Nothing more leaves by the link, nothing more waits for the guest. */
static void expect_quiet(struct guest *g)
{
    struct kit_view v;
    assert_false(kit_next(&g->k, &v));
    assert_false(guest_gets(g));
}

/* ---- in ----------------------------------------------------------------------------------------- */

static void datagram_for_nobody(const char *src, const char *dst)
{
    static struct kit_packet packet;
    struct guest g;
    open_guest(&g, KIT_TUN);
    make_udp(&packet, src, dst, 100);
    kit_input(&g.k, packet.b, packet.len);
    assert_true(guest_gets(&g));
    assert_int_equal(g.got.len, packet.len);
    assert_memory_equal(g.got.b, packet.b, packet.len);
    expect_quiet(&g); /* that nobody listens is for the guest to say */
    assert_int_equal(kit_drops(&g.k, WR_DROP_udp_no_port), 0);
    kit_close(&g.k);
}

static void test_datagrams_without_a_socket_here_go_to_the_guest(void **state)
{
    (void)state;
    datagram_for_nobody("10.0.0.2", "10.0.0.1");
    datagram_for_nobody("fd00::2", "fd00::1");
}

static void test_a_socket_here_comes_first(void **state)
{
    struct guest g;
    struct weir_endpoint at = {.addr = kit_addr("10.0.0.1"), .port = 53};
    static struct kit_packet packet;
    uint8_t data[200];
    weir_sock sock;
    (void)state;
    open_guest(&g, KIT_TUN);
    assert_int_equal(weir_sock_open(g.k.stack, WEIR_AF_INET, WEIR_SOCK_DGRAM, 0, &sock), 0);
    assert_int_equal(weir_sock_bind(g.k.stack, sock, &at), 0);
    make_udp(&packet, "10.0.0.2", "10.0.0.1", 100);
    kit_input(&g.k, packet.b, packet.len);
    assert_int_equal(
        weir_sock_recv(g.k.stack, sock, data, sizeof data, WEIR_MSG_DONTWAIT, NULL, g.k.now), 100);
    expect_quiet(&g);
    kit_close(&g.k);
}

/* A broadcast is for all: the socket here and the guest. */
static void test_broadcasts_go_to_both(void **state)
{
    struct guest g;
    struct weir_endpoint at = {.addr = weir_addr_any4(), .port = 53};
    static struct kit_packet packet;
    uint8_t data[200];
    weir_sock sock;
    (void)state;
    open_guest(&g, KIT_TUN);
    assert_int_equal(weir_sock_open(g.k.stack, WEIR_AF_INET, WEIR_SOCK_DGRAM, 0, &sock), 0);
    assert_int_equal(weir_sock_bind(g.k.stack, sock, &at), 0);
    make_udp(&packet, "10.0.0.2", "10.0.0.255", 10);
    kit_input(&g.k, packet.b, packet.len);
    assert_int_equal(
        weir_sock_recv(g.k.stack, sock, data, sizeof data, WEIR_MSG_DONTWAIT, NULL, g.k.now), 10);
    assert_true(guest_gets(&g));
    expect_quiet(&g);
    kit_close(&g.k);
}

static void test_groups_that_only_the_guest_knows(void **state)
{
    struct guest g;
    static struct kit_packet packet;
    (void)state;
    open_guest(&g, KIT_TUN);
    make_udp(&packet, "10.0.0.2", "239.1.2.3", 10);
    kit_input(&g.k, packet.b, packet.len);
    assert_true(guest_gets(&g));
    assert_memory_equal(g.got.b, packet.b, packet.len);
    make_udp(&packet, "fd00::2", "ff05::1:3", 10);
    kit_input(&g.k, packet.b, packet.len);
    assert_true(guest_gets(&g));
    assert_memory_equal(g.got.b, packet.b, packet.len);
    make_udp(&packet, "10.0.0.2", "10.0.0.77", 10); /* another host's */
    kit_input(&g.k, packet.b, packet.len);
    expect_quiet(&g);
    kit_close(&g.k);
}

static void pieces(struct guest *g, const char *src, const char *dst, size_t len)
{
    static struct kit_packet whole;
    struct guest sender; /* cuts it for us */
    struct kit_view v;
    make_udp(&whole, src, dst, len);
    open_guest(&sender, KIT_TUN | KIT_BARE);
    struct weir_addr own = kit_addr(src);
    assert_int_equal(weir_addr_add(sender.k.stack, sender.k.ifindex, &own,
                                   weir_addr_is_v4(&own) ? 24 : 64, sender.k.now),
                     0);
    guest_says(&sender, whole.b, whole.len);
    unsigned n = 0;
    for (; kit_next(&sender.k, &v); n++)
        kit_input(&g->k, v.l3, v.l3_len);
    assert_true(n > 1);
    kit_close(&sender.k);
    assert_true(guest_gets(g));
    assert_int_equal(g->got.len, whole.len);
    assert_memory_equal(g->got.b + W_IP4_HLEN, whole.b + W_IP4_HLEN, whole.len - W_IP4_HLEN);
}

/* What the guest of one host sends in one piece arrives in one piece at the guest of another. */
static void test_fragments_are_put_together_for_the_guest(void **state)
{
    struct guest g;
    struct w_ip4 ip;
    (void)state;
    open_guest(&g, KIT_TUN);
    pieces(&g, "10.0.0.2", "10.0.0.1", 1473);
    pieces(&g, "10.0.0.2", "10.0.0.1", 8000);
    pieces(&g, "10.0.0.2", "10.0.0.1", 65507);
    assert_int_equal(wr_w_ip4_parse(g.got.b, g.got.len, &ip), W_OK);
    assert_false(wr_w_ip4_is_fragment(&ip));
    expect_quiet(&g);
    kit_close(&g.k);
}

static void test_echo_is_answered_here_and_replies_are_the_guests(void **state)
{
    struct guest g;
    struct kit_view v;
    (void)state;
    open_guest(&g, KIT_TUN);
    kit_send_icmp(&g.k, "10.0.0.2", "10.0.0.1", W_ICMP4_ECHO, 0, 7, "x", 1);
    kit_send_icmp(&g.k, "fd00::2", "fd00::1", W_ICMP6_ECHO, 0, 7, "x", 1);
    assert_true(kit_next(&g.k, &v));
    assert_int_equal(v.type, W_ICMP4_ECHO_REPLY);
    assert_true(kit_next(&g.k, &v));
    assert_int_equal(v.type, W_ICMP6_ECHO_REPLY);
    expect_quiet(&g);
    kit_send_icmp(&g.k, "10.0.0.2", "10.0.0.1", W_ICMP4_ECHO_REPLY, 0, 7, "x", 1);
    assert_true(guest_gets(&g));
    kit_send_icmp(&g.k, "fd00::2", "fd00::1", W_ICMP6_ECHO_REPLY, 0, 7, "x", 1);
    assert_true(guest_gets(&g));
    kit_send_icmp(&g.k, "10.0.0.2", "10.0.0.1", W_ICMP4_TIMESTAMP_REPLY, 0, 7, "0123456789ab", 12);
    assert_true(guest_gets(&g));
    kit_send_icmp(&g.k, "10.0.0.2", "10.0.0.1", W_ICMP4_REDIRECT, 1, 7, "0123456789ab", 12);
    expect_quiet(&g);
    kit_close(&g.k);
}

/* `quoted` came back in an error. */
static void error_about(struct guest *g, const struct kit_packet *quoted)
{
    if (quoted->b[0] >> 4 == 6)
        kit_send_icmp(&g->k, "fd00::9", "fd00::1", W_ICMP6_TIME_EXCEEDED, 0, 0, quoted->b, 60);
    else
        kit_send_icmp(&g->k, "10.0.0.9", "10.0.0.1", W_ICMP4_TIME_EXCEEDED, 0, 0, quoted->b, 28);
}

static void test_errors_go_to_whom_they_quote(void **state)
{
    struct guest g;
    static struct kit_packet packet;
    struct weir_addr src = kit_addr("10.0.0.1"), dst = kit_addr("10.9.9.9");
    uint8_t tcp[20] = {0, 80, 0, 81, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2};
    (void)state;
    open_guest(&g, KIT_TUN);
    make_udp(&packet, "10.0.0.1", "10.9.9.9", 20);
    error_about(&g, &packet);
    assert_true(guest_gets(&g));
    make_udp(&packet, "fd00::1", "fd99::9", 20);
    error_about(&g, &packet);
    assert_true(guest_gets(&g));
    kit_wrap(&packet, &src, &dst, 47, tcp,
             sizeof tcp); /* a protocol of which this host knows nothing */
    error_about(&g, &packet);
    assert_true(guest_gets(&g));
    kit_wrap(&packet, &src, &dst, W_IPPROTO_TCP, tcp, sizeof tcp);
    error_about(&g, &packet);
    make_udp(&packet, "10.0.0.3", "10.9.9.9", 20); /* not ours */
    error_about(&g, &packet);
    expect_quiet(&g);
    kit_close(&g.k);
}

static void test_unknown_protocols_go_to_the_guest(void **state)
{
    struct guest g;
    static struct kit_packet packet;
    struct weir_addr src = kit_addr("10.0.0.2"), dst = kit_addr("10.0.0.1");
    struct weir_addr src6 = kit_addr("fd00::2"), dst6 = kit_addr("fd00::1");
    (void)state;
    open_guest(&g, KIT_TUN);
    kit_wrap(&packet, &src, &dst, 132, "0123456789ab", 12);
    kit_input(&g.k, packet.b, packet.len);
    assert_true(guest_gets(&g));
    kit_wrap(&packet, &src6, &dst6, 132, "0123456789ab", 12);
    kit_input(&g.k, packet.b, packet.len);
    assert_true(guest_gets(&g));
    expect_quiet(&g);
    kit_close(&g.k);
}

/* ---- out ---------------------------------------------------------------------------------------- */

/* It is this host's own: no hop is counted, nothing is changed. */
static void leaves_as_it_is(const char *src, const char *dst)
{
    struct guest g;
    static struct kit_packet packet;
    struct kit_view v;
    open_guest(&g, KIT_TUN);
    make_udp(&packet, src, dst, 1000);
    packet.b[packet.b[0] >> 4 == 6 ? 7 : 8] = 1;
    if (packet.b[0] >> 4 == 4) {
        struct w_ip4 ip;
        assert_int_equal(wr_w_ip4_parse_quoted(packet.b, packet.len, &ip), W_OK);
        ip.id = 0x1234;
        wr_w_ip4_emit(packet.b, &ip);
    }
    guest_says(&g, packet.b, packet.len);
    assert_true(kit_next(&g.k, &v));
    assert_int_equal(v.l3_len, packet.len);
    assert_memory_equal(v.l3, packet.b, packet.len);
    expect_quiet(&g);
    kit_close(&g.k);
}

static void test_packets_of_the_guest_leave_unchanged(void **state)
{
    (void)state;
    leaves_as_it_is("10.0.0.1", "10.0.0.2");
    leaves_as_it_is("fd00::1", "fd00::2");
    leaves_as_it_is("10.0.0.1", "239.1.2.3");
    leaves_as_it_is("10.0.0.1", "255.255.255.255");
}

static void test_padding_is_left_off(void **state)
{
    struct guest g;
    static struct kit_packet packet;
    struct kit_view v;
    (void)state;
    open_guest(&g, KIT_TUN);
    make_udp(&packet, "10.0.0.1", "10.0.0.2", 4);
    guest_says(&g, packet.b, packet.len + 30);
    assert_true(kit_next(&g.k, &v));
    assert_int_equal(v.l3_len, packet.len);
    kit_close(&g.k);
}

/* A next hop that is known by its MAC, and one that never answers. */
static void test_neighbours_are_asked_for_the_guest(void **state)
{
    struct guest g;
    static struct kit_packet packet;
    struct kit_view v;
    struct w_icmp4 icmp;
    struct w_arp reply = {
        .op = W_ARP_REPLY, .spa = kit_addr("10.0.0.2"), .tpa = kit_addr("10.0.0.1")};
    (void)state;
    memcpy(reply.sha, kit_peer_mac, 6);
    memcpy(reply.tha, kit_mac, 6);
    open_guest(&g, KIT_ETHER);
    make_udp(&packet, "10.0.0.1", "10.0.0.2", 4);
    guest_says(&g, packet.b, packet.len);
    assert_true(kit_next(&g.k, &v));
    assert_true(v.is_arp);
    kit_send_arp(&g.k, &reply, kit_mac);
    assert_true(kit_next(&g.k, &v));
    assert_memory_equal(v.eth.dst, kit_peer_mac, 6);
    assert_memory_equal(v.l3, packet.b, packet.len);

    make_udp(&packet, "10.0.0.1", "10.0.0.3", 4);
    guest_says(&g, packet.b, packet.len);
    kit_run(&g.k, 10 * WEIR_SEC);
    assert_true(guest_gets(&g));
    assert_int_equal(wr_w_icmp4_parse(g.got.b + 20, g.got.len - 20, &icmp), W_OK);
    assert_int_equal(icmp.type, W_ICMP4_UNREACH);
    assert_int_equal(icmp.code, W_ICMP4_UNREACH_HOST);
    assert_memory_equal(g.got.b + 28, packet.b, packet.len);
    assert_false(guest_gets(&g));
    kit_close(&g.k);
}

static void no_route_for(const char *src, const char *dst)
{
    struct guest g;
    static struct kit_packet packet;
    size_t at = W_IP4_HLEN;
    open_guest(&g, KIT_TUN);
    make_udp(&packet, src, dst, 4);
    guest_says(&g, packet.b, packet.len);
    assert_true(guest_gets(&g));
    if (g.got.b[0] >> 4 == 6) {
        at = W_IP6_HLEN;
        assert_int_equal(g.got.b[at], W_ICMP6_UNREACH);
        assert_int_equal(g.got.b[at + 1], W_ICMP6_UNREACH_ROUTE);
    } else {
        assert_int_equal(g.got.b[at], W_ICMP4_UNREACH);
        assert_int_equal(g.got.b[at + 1], W_ICMP4_UNREACH_NET);
    }
    assert_memory_equal(g.got.b + at + 8, packet.b, packet.len);
    assert_int_equal(kit_drops(&g.k, WR_DROP_no_route), 1);
    expect_quiet(&g);
    kit_close(&g.k);
}

static void test_the_guest_is_told_that_there_is_no_route(void **state)
{
    (void)state;
    no_route_for("10.0.0.1", "192.0.2.1");
    no_route_for("fd00::1", "2001:db8::1");
}

/* RFC 792: no errors about errors, nor about any but the first fragment. */
static void test_no_errors_about_errors(void **state)
{
    struct guest g;
    static struct kit_packet packet;
    static uint8_t l4[64];
    struct weir_addr src = kit_addr("10.0.0.1"), dst = kit_addr("192.0.2.1");
    struct w_ip4 late = {.src = src, .dst = dst, .proto = W_IPPROTO_UDP, .frag_off = 1480};
    (void)state;
    open_guest(&g, KIT_TUN);
    kit_wrap(&packet, &src, &dst, W_IPPROTO_ICMP, l4,
             kit_icmp(l4, &src, &dst, W_ICMP4_UNREACH, 3, 0, "0123456789012345678901234567", 28));
    guest_says(&g, packet.b, packet.len);
    kit_make4(&packet, &late, "01234567", 8);
    guest_says(&g, packet.b, packet.len);
    expect_quiet(&g);
    assert_int_equal(kit_drops(&g.k, WR_DROP_no_route), 2);
    kit_close(&g.k);
}

/* ---- MTU ---------------------------------------------------------------------------------------- */

static void test_too_big_with_df_is_told_with_the_mtu_1191_4(void **state)
{
    struct guest g;
    static struct kit_packet packet;
    struct w_icmp4 icmp;
    struct w_ip4 ip;
    (void)state;
    open_guest(&g, KIT_TUN);
    g.k.netif->config.mtu = 1400;
    make_udp(&packet, "10.0.0.1", "10.0.0.2", 1400);
    assert_int_equal(wr_w_ip4_parse_quoted(packet.b, packet.len, &ip), W_OK);
    ip.dont_frag = true;
    wr_w_ip4_emit(packet.b, &ip);
    guest_says(&g, packet.b, packet.len);
    assert_true(guest_gets(&g));
    assert_int_equal(wr_w_icmp4_parse(g.got.b + 20, g.got.len - 20, &icmp), W_OK);
    assert_int_equal(icmp.code, W_ICMP4_UNREACH_FRAG);
    assert_int_equal(wr_w_icmp4_mtu(icmp.rest), 1400);
    assert_true(g.got.len <= 576);
    assert_int_equal(kit_drops(&g.k, WR_DROP_guest_too_big), 1);
    expect_quiet(&g);
    kit_close(&g.k);
}

static void test_too_big_of_ipv6_is_told_8201_4(void **state)
{
    struct guest g;
    static struct kit_packet packet;
    struct w_icmp6 icmp;
    struct weir_addr own = kit_addr("fd00::1");
    (void)state;
    open_guest(&g, KIT_TUN);
    g.k.netif->config.mtu = 1400;
    make_udp(&packet, "fd00::1", "fd00::2", 1400);
    guest_says(&g, packet.b, packet.len);
    assert_true(guest_gets(&g));
    assert_int_equal(wr_w_icmp6_parse(g.got.b + 40, g.got.len - 40, &own, &own, &icmp), W_OK);
    assert_int_equal(icmp.type, W_ICMP6_TOO_BIG);
    assert_int_equal(icmp.rest, 1400);
    assert_true(g.got.len <= 1280);
    expect_quiet(&g);
    kit_close(&g.k);
}

/* A fragment with options is cut again: offsets go on, the last one's flag stays, of the options only
 * router alert (copy bit) is in the later pieces. */
static void test_fragments_are_cut_again_791_3(void **state)
{
    static const uint8_t opts[] = {W_IP4OPT_RR, 3, 4, W_IP4OPT_NOP, W_IP4OPT_RA, 4, 0, 0};
    struct guest g;
    static struct kit_packet packet;
    static uint8_t data[1400];
    struct kit_view v;
    size_t off;
    struct w_ip4 ip = {.src = kit_addr("10.0.0.1"),
                       .dst = kit_addr("10.0.0.2"),
                       .proto = W_IPPROTO_UDP,
                       .id = 77,
                       .ttl = 9,
                       .frag_off = 0,
                       .more_frags = true,
                       .hdr_len = 28,
                       .opts = opts};
    (void)state;
    open_guest(&g, KIT_TUN);
    g.k.netif->config.mtu = 600;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i / 3);
    kit_make4(&packet, &ip, data, sizeof data);
    guest_says(&g, packet.b, packet.len);
    for (off = 0; kit_next(&g.k, &v); off += v.l4_len) {
        assert_true(v.l3_len <= 600);
        assert_true(v.ip4.more_frags); /* the last as well: it was not the datagram's last */
        assert_int_equal(v.ip4.id, 77);
        assert_int_equal(v.ip4.ttl, 9);
        assert_int_equal(v.ip4.frag_off, off);
        assert_int_equal(v.ip4.hdr_len, off == 0 ? 28 : 24);
        assert_memory_equal(v.l3 + v.ip4.hdr_len - 4, opts + 4, 4);
        assert_memory_equal(v.l4, data + off, v.l4_len);
    }
    assert_int_equal(off, sizeof data);
    kit_close(&g.k);
}

/* ---- what it may not ---------------------------------------------------------------------------- */

static void test_the_guest_sends_from_our_addresses_and_no_tcp(void **state)
{
    struct guest g;
    static struct kit_packet packet;
    struct weir_addr src = kit_addr("10.0.0.1"), dst = kit_addr("10.0.0.2");
    (void)state;
    open_guest(&g, KIT_TUN);
    make_udp(&packet, "10.0.0.3", "10.0.0.2", 4);
    guest_says(&g, packet.b, packet.len);
    make_udp(&packet, "fd00::3", "fd00::2", 4);
    guest_says(&g, packet.b, packet.len);
    make_udp(&packet, "127.0.0.1", "10.0.0.2", 4);
    guest_says(&g, packet.b, packet.len);
    assert_int_equal(kit_drops(&g.k, WR_DROP_guest_bad_source), 3);
    kit_wrap(&packet, &src, &dst, W_IPPROTO_TCP, "01234567890123456789", 20);
    guest_says(&g, packet.b, packet.len);
    assert_int_equal(kit_drops(&g.k, WR_DROP_guest_tcp), 1);
    guest_says(&g, packet.b, 19);
    guest_says(&g, (const uint8_t *)"\x60", 1);
    guest_says(&g, packet.b, packet.len - 1);
    assert_int_equal(kit_drops(&g.k, WR_DROP_guest_malformed), 3);
    expect_quiet(&g);
    kit_close(&g.k);
}

static void test_one_guest_without_addresses_routes_or_offload(void **state)
{
    struct guest g;
    struct weir_addr addr = kit_addr("10.7.0.1");
    struct weir_netif_config another = {
        .name = "other", .kind = WEIR_NETIF_IP, .mtu = 1500, .guest = &weir_guest};
    struct weir_route route = {.prefix = weir_addr_any4(), .gateway = weir_addr_any4()};
    (void)state;
    open_guest(&g, KIT_TUN);
    assert_int_equal(weir_netif_add(g.k.stack, &another, g.k.now), WEIR_EEXIST);
    assert_int_equal(weir_addr_add(g.k.stack, g.ifindex, &addr, 24, g.k.now), WEIR_EINVAL);
    route.ifindex = g.ifindex;
    assert_int_equal(weir_route_add(g.k.stack, &route), WEIR_EINVAL);
    assert_int_equal(weir_netif_remove(g.k.stack, g.ifindex, g.k.now), 0);
    another.tx_csum = true;
    assert_int_equal(weir_netif_add(g.k.stack, &another, g.k.now), WEIR_EINVAL);
    another.tx_csum = false;
    assert_true(weir_netif_add(g.k.stack, &another, g.k.now) > 0);
    kit_close(&g.k);
}

/* Without a guest, and after it has gone, all is as before. */
static void test_without_a_guest_the_host_answers_itself(void **state)
{
    struct guest g;
    struct kit_view v;
    (void)state;
    open_guest(&g, KIT_TUN);
    assert_int_equal(weir_netif_remove(g.k.stack, g.ifindex, g.k.now), 0);
    kit_send_udp(&g.k, "10.0.0.2", "10.0.0.1", 5000, 53, "x", 1);
    assert_true(kit_next(&g.k, &v));
    assert_int_equal(v.type, W_ICMP4_UNREACH);
    assert_int_equal(v.code, W_ICMP4_UNREACH_PORT);
    assert_int_equal(kit_drops(&g.k, WR_DROP_udp_no_port), 1);
    kit_close(&g.k);
}

/* ---- what there is ------------------------------------------------------------------------------ */

static void test_configuration_can_be_read(void **state)
{
    struct guest g;
    struct weir_netif_config config;
    struct weir_route route;
    struct weir_addr gateway = kit_addr("10.0.0.254");
    unsigned n = 0, defaults = 0;
    (void)state;
    open_guest(&g, KIT_TUN);
    uint32_t before = weir_config_generation(g.k.stack);
    struct weir_route to_all = {
        .prefix = weir_addr_any4(), .gateway = gateway, .ifindex = g.k.ifindex, .metric = 5};
    assert_int_equal(weir_route_add(g.k.stack, &to_all), 0);
    assert_int_not_equal(weir_config_generation(g.k.stack), before);
    assert_int_equal(weir_netif_get(g.k.stack, 1, &config), g.k.ifindex);
    assert_string_equal(config.name, "eth0");
    assert_int_equal(weir_netif_get(g.k.stack, 3, &config), WEIR_ENOENT);
    for (; weir_route_get(g.k.stack, n, &route) == 0; n++)
        if (route.prefix_len == 0) {
            assert_true(weir_addr_eq(&route.gateway, &gateway));
            assert_int_equal(route.metric, 5);
            assert_int_equal(route.ifindex, g.k.ifindex);
            defaults++;
        }
    assert_int_equal(defaults, 1);
    assert_true(n >= 3);
    kit_close(&g.k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_datagrams_without_a_socket_here_go_to_the_guest),
        cmocka_unit_test(test_a_socket_here_comes_first),
        cmocka_unit_test(test_broadcasts_go_to_both),
        cmocka_unit_test(test_groups_that_only_the_guest_knows),
        cmocka_unit_test(test_fragments_are_put_together_for_the_guest),
        cmocka_unit_test(test_echo_is_answered_here_and_replies_are_the_guests),
        cmocka_unit_test(test_errors_go_to_whom_they_quote),
        cmocka_unit_test(test_unknown_protocols_go_to_the_guest),
        cmocka_unit_test(test_packets_of_the_guest_leave_unchanged),
        cmocka_unit_test(test_padding_is_left_off),
        cmocka_unit_test(test_neighbours_are_asked_for_the_guest),
        cmocka_unit_test(test_the_guest_is_told_that_there_is_no_route),
        cmocka_unit_test(test_no_errors_about_errors),
        cmocka_unit_test(test_too_big_with_df_is_told_with_the_mtu_1191_4),
        cmocka_unit_test(test_too_big_of_ipv6_is_told_8201_4),
        cmocka_unit_test(test_fragments_are_cut_again_791_3),
        cmocka_unit_test(test_the_guest_sends_from_our_addresses_and_no_tcp),
        cmocka_unit_test(test_one_guest_without_addresses_routes_or_offload),
        cmocka_unit_test(test_without_a_guest_the_host_answers_itself),
        cmocka_unit_test(test_configuration_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
