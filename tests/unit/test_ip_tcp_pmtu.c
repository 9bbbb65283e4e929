/* SPDX-License-Identifier: MIT */
/* Path MTU discovery as TCP uses it: DF, and what a too-big message does to a connection. */
#include "ip_kit.h"

#include "wire/w_tcp.h"

enum { PEER_PORT = 80 };

/* A connection of the host to a peer played by the test. */
struct conn {
    struct kit k;
    weir_sock sock;
    bool v4;
    struct weir_addr us, peer;
    uint16_t port;
    uint32_t snd_nxt, rcv_nxt; /* the peer's */
};

static void peer_sends(struct conn *c, uint8_t flags, const uint8_t *opts, uint8_t opts_len)
{
    uint8_t p[W_TCP_HLEN_MAX];
    struct kit_packet packet;
    size_t len = W_TCP_HLEN + (size_t)opts_len;
    struct w_tcp tcp = {.src_port = PEER_PORT,
                        .dst_port = c->port,
                        .seq = c->snd_nxt,
                        .ack = c->rcv_nxt,
                        .flags = flags,
                        .wnd = 65535,
                        .data_off = (uint8_t)len};
    uint64_t sum;
    wr_w_tcp_emit(p, &tcp);
    wr_bytes_copy(p + W_TCP_HLEN, opts, opts_len);
    sum = wr_csum_pseudo(&c->peer, &c->us, W_IPPROTO_TCP, (uint32_t)len);
    put_be16(p + W_TCP_OFF_CSUM, wr_csum_finish(wr_csum_add(sum, p, len)));
    kit_wrap(&packet, &c->peer, &c->us, W_IPPROTO_TCP, p, len);
    kit_input(&c->k, packet.b, packet.len);
}

/* The next segment of the host; every one has DF set (RFC 1191 3) and a right checksum. */
static bool next_segment(struct conn *c, struct kit_view *v, struct w_tcp *tcp)
{
    if (!kit_next(&c->k, v))
        return false;
    assert_int_equal(v->proto, W_IPPROTO_TCP);
    if (v->is_v4)
        assert_true(v->ip4.dont_frag);
    assert_int_equal(wr_w_tcp_parse(v->l4, v->l4_len, tcp), W_OK);
    assert_true(wr_w_tcp_csum_ok(v->l4, v->l4_len, &v->src, &v->dst));
    return true;
}

static void conn_open(struct conn *c, bool v4)
{
    static const uint8_t opts[8] = {2, 4, 0x05, 0xb4, 4, 2, 1, 1}; /* MSS 1460, SACK */
    struct weir_endpoint to;
    struct kit_view v;
    struct w_tcp syn;

    memset(c, 0, sizeof *c);
    kit_open(&c->k, KIT_TUN);
    c->v4 = v4;
    c->us = kit_addr(v4 ? "10.0.0.1" : "fd00::1");
    c->peer = kit_addr(v4 ? "10.0.0.2" : "fd00::2");
    to.addr = c->peer;
    to.port = PEER_PORT;
    assert_int_equal(weir_sock_open(c->k.stack, v4 ? WEIR_AF_INET : WEIR_AF_INET6, WEIR_SOCK_STREAM,
                                    0, &c->sock),
                     0);
    assert_int_equal(weir_sock_connect(c->k.stack, c->sock, &to, c->k.now), WEIR_EINPROGRESS);
    assert_true(next_segment(c, &v, &syn));
    assert_int_equal(syn.flags & (W_TCP_SYN | W_TCP_ACK), W_TCP_SYN);
    c->port = syn.src_port;
    c->rcv_nxt = syn.seq + 1;
    c->snd_nxt = 5000;
    peer_sends(c, W_TCP_SYN | W_TCP_ACK, opts, sizeof opts);
    c->snd_nxt++;
    assert_true(next_segment(c, &v, &syn));
    assert_int_equal(syn.flags & W_TCP_ACK, W_TCP_ACK);
    kit_expect_silence(&c->k);
}

/* What the host has in flight: its first segment is kept as a router would quote it. */
struct flight {
    uint32_t first, end;
    size_t largest;
    uint8_t quote[576];
    size_t quote_len;
};

static void send_flight(struct conn *c, size_t len, struct flight *f)
{
    static const uint8_t data[20000];
    struct kit_view v;
    struct w_tcp tcp;
    bool first = true;
    assert_int_equal(weir_sock_send(c->k.stack, c->sock, data, len, 0, NULL, c->k.now), len);
    memset(f, 0, sizeof *f);
    while (next_segment(c, &v, &tcp)) {
        if (first) {
            f->first = tcp.seq;
            f->quote_len = v.l3_len < sizeof f->quote ? v.l3_len : sizeof f->quote;
            memcpy(f->quote, v.l3, f->quote_len);
        }
        first = false;
        f->end = tcp.seq + (uint32_t)(v.l4_len - tcp.data_off);
        f->largest = v.l3_len > f->largest ? v.l3_len : f->largest;
    }
}

static void too_big(struct conn *c, const struct flight *f, uint32_t mtu)
{
    if (c->v4)
        kit_send_icmp(&c->k, "10.0.0.9", "10.0.0.1", W_ICMP4_UNREACH, W_ICMP4_UNREACH_FRAG, mtu,
                      f->quote, f->quote_len);
    else
        kit_send_icmp(&c->k, "fd00::9", "fd00::1", W_ICMP6_TOO_BIG, 0, mtu, f->quote, f->quote_len);
}

static void test_every_segment_has_df_1191_4(void **state)
{
    struct conn c;
    struct flight f;
    (void)state;
    conn_open(&c, true); /* next_segment() looks at each */
    send_flight(&c, 8000, &f);
    assert_int_equal(f.largest, 1500);
    kit_close(&c.k);
}

/* RFC 1191 6.4: only what was refused is sent again, once, in pieces that fit, and without a word of
 * congestion: the flight stays what it was. */
static void rejected_data_is_sent_again(bool v4)
{
    struct conn c;
    struct flight f;
    struct kit_view v;
    struct w_tcp tcp;
    uint32_t again = 0, highest;
    conn_open(&c, v4);
    send_flight(&c, 14600, &f); /* the initial window of ten segments */
    highest = f.end;
    for (unsigned i = 0; i < 5; i++)
        too_big(&c, &f, 1400);
    while (next_segment(&c, &v, &tcp)) {
        uint32_t len = (uint32_t)(v.l4_len - tcp.data_off);
        assert_true(v.l3_len <= 1400);
        if (tcp.seq == f.first)
            again++;
        assert_true(tcp.seq + len - f.first <= highest - f.first); /* nothing new slipped in */
    }
    assert_int_equal(again, 1);
    /* All that was sent arrives; what follows keeps to the size. */
    c.rcv_nxt = highest;
    peer_sends(&c, W_TCP_ACK, NULL, 0);
    while (next_segment(&c, &v, &tcp)) {
    }
    send_flight(&c, 14600, &f);
    assert_int_equal(f.largest, v4 ? 1400 : 1400);
    assert_true(f.end - f.first >= 13000); /* no smaller window than before */
    kit_close(&c.k);
}

static void test_only_the_refused_segment_is_sent_again_1191_3(void **state)
{
    (void)state;
    rejected_data_is_sent_again(true);
    rejected_data_is_sent_again(false);
}

/* The same of a segment that left and is acknowledged by the shortest ways there are: what they were chosen by holds no more
 * when it is refused. */
static void test_a_lone_segment_that_is_refused_1191_3(void **state)
{
    (void)state;
    for (unsigned v4 = 0; v4 < 2; v4++) {
        struct conn c;
        struct flight f;
        struct kit_view v;
        struct w_tcp tcp;
        uint32_t end;
        conn_open(&c, v4);
        send_flight(&c, 1400, &f);
        c.rcv_nxt = f.end;
        peer_sends(&c, W_TCP_ACK, NULL, 0);
        send_flight(&c, 1400, &f);
        too_big(&c, &f, 1280);
        end = f.first;
        while (next_segment(&c, &v, &tcp)) {
            assert_true(v.l3_len <= 1280);
            assert_int_equal(tcp.seq, end);
            end += (uint32_t)(v.l4_len - tcp.data_off);
        }
        assert_int_equal(end, f.end);
        c.rcv_nxt = f.end;
        peer_sends(&c, W_TCP_ACK, NULL, 0);
        send_flight(&c, 1400, &f);
        assert_int_equal(f.largest, 1280);
        kit_close(&c.k);
    }
}

/* Linux: a forged message with a good sequence number cannot push segments below 552 bytes. */
static void test_a_forged_message_meets_the_floor_5927_3(void **state)
{
    struct conn c;
    struct flight f;
    struct kit_view v;
    struct w_tcp tcp;
    (void)state;
    conn_open(&c, true);
    for (unsigned i = 0; i < 20; i++) {
        send_flight(&c, 3000, &f);
        too_big(&c, &f, i < 10 ? 68 : 1);
        while (next_segment(&c, &v, &tcp)) {
        }
        kit_run(&c.k, 5 * WEIR_MS);
        c.rcv_nxt = f.end;
        peer_sends(&c, W_TCP_ACK, NULL, 0);
        while (next_segment(&c, &v, &tcp)) {
        }
    }
    send_flight(&c, 3000, &f);
    assert_int_equal(f.largest, 552);
    kit_close(&c.k);
}

/* RFC 8201 4 and RFC 5927 4.1: what quotes a number that is not outstanding changes nothing. */
static void test_a_quote_out_of_window_changes_nothing_8201_4_5927_1(void **state)
{
    (void)state;
    for (unsigned v4 = 0; v4 < 2; v4++) {
        struct conn c;
        struct flight f;
        size_t seq_at = (v4 ? 20 : 40) + W_TCP_OFF_SEQ;
        conn_open(&c, v4);
        send_flight(&c, 5000, &f);
        put_be32(f.quote + seq_at, f.first - 1000);
        too_big(&c, &f, 1300);
        put_be32(f.quote + seq_at, f.end + 1);
        too_big(&c, &f, 1300);
        assert_int_equal(kit_drops(&c.k, WR_DROP_tcp_icmp_out_of_window), 2);
        kit_expect_silence(&c.k);
        c.rcv_nxt = f.end;
        peer_sends(&c, W_TCP_ACK, NULL, 0);
        send_flight(&c, 5000, &f);
        assert_int_equal(f.largest, 1500);
        kit_close(&c.k);
    }
}

/* The interface of a connection goes, and an acknowledgement still comes, by another that has the same
 * address. */
static void test_an_ack_for_a_connection_whose_interface_went(void **state)
{
    struct weir_netif_config config = {.name = "tun1", .kind = WEIR_NETIF_IP, .mtu = 1500};
    struct conn c;
    struct flight f;
    struct kit_view v;
    struct w_tcp tcp;
    int second;
    (void)state;
    conn_open(&c, true);
    send_flight(&c, 3000, &f);
    second = weir_netif_add(c.k.stack, &config, c.k.now);
    assert_int_equal(weir_addr_add(c.k.stack, second, &c.us, 24, c.k.now), 0);
    assert_int_equal(weir_netif_remove(c.k.stack, c.k.ifindex, c.k.now), 0);
    c.k.ifindex = second;
    c.rcv_nxt = f.end;
    peer_sends(&c, W_TCP_ACK, NULL, 0);
    send_flight(&c, 3000, &f); /* and the connection goes on over there */
    assert_true(f.end > f.first);
    while (next_segment(&c, &v, &tcp)) {
    }
    kit_close(&c.k);
}

/* The same with an option that touches the segment size: the connection's path must not be followed. */
static void test_an_option_for_a_connection_whose_interface_went(void **state)
{
    struct conn c;
    struct flight f;
    int size = 1000;
    (void)state;
    conn_open(&c, true);
    send_flight(&c, 3000, &f);
    assert_int_equal(weir_netif_remove(c.k.stack, c.k.ifindex, c.k.now), 0);
    assert_int_equal(weir_sock_setsockopt(c.k.stack, c.sock, WEIR_SOL_TCP, WEIR_TCP_MAXSEG, &size,
                                          sizeof size, c.k.now),
                     0);
    weir_advance(c.k.stack, c.k.now + 10 * WEIR_SEC);
    kit_close(&c.k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_segment_has_df_1191_4),
        cmocka_unit_test(test_only_the_refused_segment_is_sent_again_1191_3),
        cmocka_unit_test(test_a_lone_segment_that_is_refused_1191_3),
        cmocka_unit_test(test_a_forged_message_meets_the_floor_5927_3),
        cmocka_unit_test(test_a_quote_out_of_window_changes_nothing_8201_4_5927_1),
        cmocka_unit_test(test_an_ack_for_a_connection_whose_interface_went),
        cmocka_unit_test(test_an_option_for_a_connection_whose_interface_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
