/* SPDX-License-Identifier: MIT */
/* Reassembly of both families: order, overlap, lengths, time-outs, bounds. */
#include "ip_kit.h"

enum { PORT = 4000, DATA_MAX = 66000 };

/* A UDP datagram of `len` bytes of payload from the peer, and a socket that waits for it. */
struct dgram {
    struct weir_addr src, dst;
    bool v4;
    uint8_t l4[DATA_MAX];
    size_t len;
};

static void make_dgram(struct dgram *d, bool v4, size_t payload)
{
    static uint8_t data[DATA_MAX];
    for (size_t i = 0; i < payload; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    d->v4 = v4;
    d->src = kit_addr(v4 ? "10.0.0.2" : "fd00::2");
    d->dst = kit_addr(v4 ? "10.0.0.1" : "fd00::1");
    d->len = kit_udp(d->l4, &d->src, &d->dst, 999, PORT, data, payload);
}

/* Sends bytes [off, off + len) of the datagram as a fragment. `proto` is as in the header. */
static void send_piece_of(struct kit *k, const struct dgram *d, uint8_t proto, size_t off,
                          size_t len, bool more, uint32_t id)
{
    static struct kit_packet p;
    static uint8_t body[DATA_MAX + 8];
    if (d->v4) {
        struct w_ip4 ip = {.src = d->src,
                           .dst = d->dst,
                           .proto = proto,
                           .id = (uint16_t)id,
                           .frag_off = (uint16_t)off,
                           .more_frags = more};
        kit_make4(&p, &ip, d->l4 + off, len);
    } else {
        struct w_ip6 ip = {.src = d->src, .dst = d->dst, .next = W_IPPROTO_FRAGMENT};
        wr_w_ip6frag_emit(body, proto, (uint16_t)off, more, id);
        wr_bytes_copy(body + 8, d->l4 + off, len);
        kit_make6(&p, &ip, body, 8 + len);
    }
    kit_input(k, p.b, p.len);
}

static void send_piece(struct kit *k, const struct dgram *d, size_t off, size_t len, uint32_t id)
{
    send_piece_of(k, d, W_IPPROTO_UDP, off, len, off + len < d->len, id);
}

static weir_sock receiver(struct kit *k, bool v4)
{
    return kit_udp_socket(k, v4 ? WEIR_AF_INET : WEIR_AF_INET6, PORT);
}

static void expect_delivered(struct kit *k, weir_sock sock, const struct dgram *d)
{
    static uint8_t buf[DATA_MAX];
    assert_int_equal(kit_udp_recv(k, sock, buf, sizeof buf), d->len - 8);
    assert_memory_equal(buf, d->l4 + 8, d->len - 8);
}

static void expect_nothing(struct kit *k, weir_sock sock)
{
    uint8_t byte;
    assert_int_equal(kit_udp_recv(k, sock, &byte, 1), WEIR_EAGAIN);
}

/* ---- order ------------------------------------------------------------------------------------- */

static void all_orders(bool v4)
{
    static struct dgram d;
    struct kit k;
    weir_sock sock;
    uint32_t id = 1;
    kit_open(&k, KIT_TUN);
    sock = receiver(&k, v4);
    make_dgram(&d, v4, 300); /* 308 bytes: pieces at 0, 80, 160, 240 */
    for (unsigned a = 0; a < 4; a++) {
        for (unsigned b = 0; b < 4; b++) {
            for (unsigned c = 0; c < 4; c++) {
                unsigned order[4] = {a, b, c, 6 - a - b - c};
                if (a == b || a == c || b == c)
                    continue;
                for (unsigned i = 0; i < 4; i++) {
                    size_t off = order[i] * 80u;
                    expect_nothing(&k, sock);
                    send_piece(&k, &d, off, off == 240 ? 68 : 80, id);
                }
                expect_delivered(&k, sock, &d);
                id++;
            }
        }
    }
    assert_int_equal(k.stack->stats[WR_STAT_ip_reasm_ok], 24);
    kit_expect_silence(&k);
    kit_close(&k);
}

static void test_every_order_gives_the_datagram_0791_1(void **state)
{
    (void)state;
    all_orders(true);
    all_orders(false);
}

/* Pieces of two datagrams that differ in one part of the key never mix. */
static void test_the_key_keeps_datagrams_apart_0791_1(void **state)
{
    static struct dgram d, other;
    struct kit k;
    weir_sock sock;
    (void)state;
    kit_open(&k, KIT_TUN);
    sock = receiver(&k, true);
    make_dgram(&d, true, 100);
    other = d;
    other.src = kit_addr("10.0.0.3");
    send_piece(&k, &d, 0, 48, 5);
    send_piece(&k, &d, 48, 60, 6);                           /* another id */
    send_piece_of(&k, &d, W_IPPROTO_ICMP, 48, 60, false, 5); /* another protocol */
    send_piece(&k, &other, 48, 60, 5);                       /* another source */
    expect_nothing(&k, sock);
    send_piece(&k, &d, 48, 60, 5);
    expect_delivered(&k, sock, &d);
    kit_close(&k);
}

/* RFC 815 3: random cuts, random order, duplicates: the same as if nothing had been cut. */
static void test_random_cuts_equal_the_original_0815_1(void **state)
{
    static struct dgram d;
    struct kit k;
    uint64_t rnd = 3;
    (void)state;
    kit_open(&k, KIT_TUN);
    for (uint32_t round = 1; round <= 300; round++) {
        struct {
            size_t off, len;
        } cut[256];
        unsigned n = 0;
        bool v4 = round & 1;
        weir_sock sock = receiver(&k, v4);
        make_dgram(&d, v4, 900 + test_below(&rnd, 9000));
        for (size_t off = 0; off < d.len; n++) {
            size_t len = 64 + 8 * (size_t)test_below(&rnd, 100);
            if (len > d.len - off)
                len = d.len - off;
            cut[n].off = off;
            cut[n].len = len;
            off += len;
        }
        for (unsigned i = n - 1; i > 0; i--) { /* shuffle */
            unsigned j = test_below(&rnd, i + 1);
            size_t off = cut[i].off, len = cut[i].len;
            cut[i] = cut[j];
            cut[j].off = off;
            cut[j].len = len;
        }
        for (unsigned i = 0; i < n; i++) {
            send_piece(&k, &d, cut[i].off, cut[i].len, round);
            if (i + 1 < n && test_below(&rnd, 3) == 0)
                send_piece(&k, &d, cut[i].off, cut[i].len, round);
        }
        expect_delivered(&k, sock, &d);
        assert_int_equal(weir_sock_close(k.stack, sock, k.now), 0);
    }
    kit_close(&k);
}

/* ---- overlap ----------------------------------------------------------------------------------- */

/* Head, tail and inside overlaps, in any order: the datagram is lost, whoever's bytes came first, and so is
 * what still comes of it. A new identification is not touched. */
static void overlap_of(bool v4)
{
    static const struct {
        size_t off, len;
    } over[] = {{0, 88}, {72, 80}, {40, 200}, {152, 88}, {72, 16}};
    static struct dgram d;
    struct kit k;
    weir_sock sock;
    kit_open(&k, KIT_TUN);
    sock = receiver(&k, v4);
    make_dgram(&d, v4, 300);
    for (unsigned i = 0; i < sizeof over / sizeof over[0]; i++) {
        uint32_t id = 100 + i;
        send_piece(&k, &d, 80, 80, id);
        send_piece(&k, &d, over[i].off, over[i].len, id);
        assert_int_equal(kit_drops(&k, WR_DROP_frag_overlap), i + 1);
        send_piece(&k, &d, 0, 80, id);
        send_piece(&k, &d, 80, 80, id);
        send_piece(&k, &d, 160, 148, id);
        expect_nothing(&k, sock);
        assert_int_equal(kit_drops(&k, WR_DROP_frag_after_drop), 3 * (i + 1));
    }
    kit_run(&k, 61 * WEIR_SEC);
    kit_expect_silence(&k); /* in silence, also at the time-out */
    send_piece(&k, &d, 0, 160, 500);
    send_piece(&k, &d, 160, 148, 500);
    expect_delivered(&k, sock, &d);
    kit_close(&k);
}

static void test_overlap_drops_the_datagram_0791_2_LNX_TCP_27(void **state)
{
    (void)state;
    overlap_of(true);
}

static void test_overlap_drops_the_datagram_8200_1_5722_1(void **state)
{
    (void)state;
    overlap_of(false);
}

static void duplicate_of(bool v4)
{
    static struct dgram d;
    struct kit k;
    weir_sock sock;
    kit_open(&k, KIT_TUN);
    sock = receiver(&k, v4);
    make_dgram(&d, v4, 300);
    send_piece(&k, &d, 0, 80, 1);
    send_piece(&k, &d, 0, 80, 1);
    send_piece(&k, &d, 160, 148, 1);
    send_piece(&k, &d, 160, 148, 1);
    send_piece(&k, &d, 80, 80, 1);
    assert_int_equal(kit_drops(&k, WR_DROP_frag_duplicate), 2);
    expect_delivered(&k, sock, &d);
    kit_close(&k);
}

static void test_an_exact_duplicate_is_dropped_alone_8200_2_LNX_TCP_27(void **state)
{
    (void)state;
    duplicate_of(true);
    duplicate_of(false);
}

/* ---- lengths ----------------------------------------------------------------------------------- */

static void test_ping_of_death_is_dropped_0791_3(void **state)
{
    static struct dgram d;
    struct kit k;
    struct kit_packet p;
    uint8_t body[108] = {0};
    struct w_ip4 ip = {.src = kit_addr("10.0.0.2"),
                       .dst = kit_addr("10.0.0.1"),
                       .proto = W_IPPROTO_UDP,
                       .id = 9,
                       .frag_off = 65528};
    (void)state;
    kit_open(&k, KIT_TUN);
    make_dgram(&d, true, 1400);
    send_piece(&k, &d, 0, 1400, 9);
    kit_make4(&p, &ip, body, 100);
    kit_input(&k, p.b, p.len);
    assert_int_equal(kit_drops(&k, WR_DROP_frag_too_big), 1);
    kit_expect_silence(&k);
    kit_close(&k);
}

static void test_middle_pieces_are_multiples_of_8_0791_4(void **state)
{
    static struct dgram d;
    struct kit k;
    weir_sock sock;
    (void)state;
    kit_open(&k, KIT_TUN);
    sock = receiver(&k, true);
    make_dgram(&d, true, 100);
    send_piece_of(&k, &d, W_IPPROTO_UDP, 0, 12, true, 3);
    send_piece_of(&k, &d, W_IPPROTO_UDP, 48, 0, true, 3); /* and never empty */
    send_piece_of(&k, &d, W_IPPROTO_UDP, 48, 0, false, 3);
    assert_int_equal(kit_drops(&k, WR_DROP_frag_bad_length), 3);
    send_piece(&k, &d, 0, 48, 3);
    send_piece(&k, &d, 48, 60, 3);
    expect_delivered(&k, sock, &d);
    kit_close(&k);
}

/* Two last pieces that end in different places, or a piece behind the last: not to be trusted. */
static void test_pieces_beyond_the_end_kill_the_datagram(void **state)
{
    static struct dgram d;
    struct kit k;
    weir_sock sock;
    (void)state;
    kit_open(&k, KIT_TUN);
    sock = receiver(&k, true);
    make_dgram(&d, true, 400);
    send_piece_of(&k, &d, W_IPPROTO_UDP, 80, 80, false, 1);
    send_piece_of(&k, &d, W_IPPROTO_UDP, 160, 80, true, 1);
    send_piece_of(&k, &d, W_IPPROTO_UDP, 160, 80, true, 2);
    send_piece_of(&k, &d, W_IPPROTO_UDP, 80, 40, false, 2);
    send_piece_of(&k, &d, W_IPPROTO_UDP, 80, 80, false, 3);
    send_piece_of(&k, &d, W_IPPROTO_UDP, 200, 80, false, 3);
    assert_int_equal(kit_drops(&k, WR_DROP_frag_bad_length), 3);
    expect_nothing(&k, sock);
    kit_close(&k);
}

static void test_the_largest_datagram_is_delivered_1122_5(void **state)
{
    static struct dgram d;
    struct kit k;
    weir_sock sock;
    (void)state;
    kit_open(&k, KIT_TUN);
    sock = receiver(&k, true);
    make_dgram(&d, true, 65507);
    for (size_t off = 0; off < d.len; off += 1480)
        send_piece(&k, &d, off, d.len - off < 1480 ? d.len - off : 1480, 77);
    expect_delivered(&k, sock, &d);
    kit_close(&k);
}

/* RFC 8200 4.5: the four answers to malformed fragments. */
static void test_bad_lengths_draw_parameter_problems_8200_4_8200_5(void **state)
{
    static struct dgram d;
    struct kit k;
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_TUN);
    make_dgram(&d, false, 300);
    send_piece_of(&k, &d, W_IPPROTO_UDP, 0, 84, true, 3);
    kit_expect_icmp(&k, &v, W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_FIELD);
    assert_int_equal(v.rest, 4); /* the payload length field */
    assert_int_equal(kit_drops(&k, WR_DROP_frag_bad_length), 1);
    d.len = 300;
    {
        struct kit_packet p;
        uint8_t body[8 + 16] = {0};
        struct w_ip6 ip = {.src = d.src, .dst = d.dst, .next = W_IPPROTO_FRAGMENT};
        wr_w_ip6frag_emit(body, W_IPPROTO_UDP, 65528, false, 3);
        kit_make6(&p, &ip, body, sizeof body);
        kit_input(&k, p.b, p.len);
    }
    kit_expect_icmp(&k, &v, W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_FIELD);
    assert_int_equal(v.rest, 40 + 2); /* the fragment offset field */
    assert_int_equal(kit_drops(&k, WR_DROP_frag_too_big), 1);
    kit_close(&k);
}

static void test_a_first_fragment_without_upper_header_8200_6(void **state)
{
    static struct dgram d;
    struct kit k;
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_TUN);
    make_dgram(&d, false, 300);
    send_piece_of(&k, &d, W_IPPROTO_TCP, 0, 16, true, 3); /* a TCP header has 20 bytes */
    kit_expect_icmp(&k, &v, W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_CHAIN);
    assert_int_equal(v.rest, 0);
    memset(d.l4, 0, 16);
    d.l4[0] = W_IPPROTO_UDP; /* destination options that end where the fragment ends */
    d.l4[1] = 1;
    d.l4[2] = 1;
    d.l4[3] = 12;
    send_piece_of(&k, &d, W_IPPROTO_DSTOPTS, 0, 16, true, 4);
    kit_expect_icmp(&k, &v, W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_CHAIN);
    assert_int_equal(kit_drops(&k, WR_DROP_frag_tiny), 2);
    kit_close(&k);
}

/* RFC 6946: a fragment that is the whole packet is handled alone. */
static void test_atomic_fragments_are_handled_alone_8200_7(void **state)
{
    static struct dgram d, small;
    struct kit k;
    weir_sock sock;
    (void)state;
    kit_open(&k, KIT_TUN);
    sock = receiver(&k, false);
    make_dgram(&d, false, 300);
    make_dgram(&small, false, 20);
    send_piece(&k, &d, 0, 80, 8);
    send_piece_of(&k, &small, W_IPPROTO_UDP, 0, small.len, false, 8);
    expect_delivered(&k, sock, &small);
    send_piece(&k, &d, 80, 228, 8);
    expect_delivered(&k, sock, &d);
    kit_close(&k);
}

/* RFC 1858: TCP in pieces that hide its flags. */
static void test_tiny_tcp_fragments_are_dropped(void **state)
{
    static struct dgram d;
    struct kit k;
    (void)state;
    kit_open(&k, KIT_TUN);
    make_dgram(&d, true, 300);
    send_piece_of(&k, &d, W_IPPROTO_TCP, 0, 16, true, 1);
    send_piece_of(&k, &d, W_IPPROTO_TCP, 8, 80, true, 1);
    assert_int_equal(kit_drops(&k, WR_DROP_frag_tiny), 2);
    kit_close(&k);
}

/* A fragment inside a reassembled packet is an attack (hostile C). */
static void test_a_fragment_in_a_fragment_is_dropped(void **state)
{
    static struct dgram d;
    struct kit k;
    (void)state;
    kit_open(&k, KIT_TUN);
    make_dgram(&d, false, 300);
    wr_w_ip6frag_emit(d.l4, W_IPPROTO_UDP, 8, true, 55);
    send_piece_of(&k, &d, W_IPPROTO_FRAGMENT, 0, 80, true, 1);
    send_piece_of(&k, &d, W_IPPROTO_FRAGMENT, 80, 80, false, 1);
    assert_int_equal(kit_drops(&k, WR_DROP_ip6_bad_ext), 1);
    kit_expect_silence(&k);
    kit_close(&k);
}

/* ---- time-outs --------------------------------------------------------------------------------- */

static void timeout_of(bool v4, weir_time life)
{
    static struct dgram d;
    struct kit k;
    struct kit_view v;
    weir_time start;
    kit_open(&k, KIT_TUN);
    make_dgram(&d, v4, 300);
    start = k.now;
    send_piece(&k, &d, 0, 80, 1);
    kit_run(&k, 10 * WEIR_SEC);
    send_piece(&k, &d, 160, 148, 1); /* a later piece does not prolong its life */
    kit_run_until(&k, start + life - 1);
    kit_expect_silence(&k);
    assert_int_equal(kit_drops(&k, WR_DROP_frag_timeout), 0);
    kit_run(&k, WEIR_SEC);
    kit_expect_icmp(&k, &v, v4 ? W_ICMP4_TIME_EXCEEDED : W_ICMP6_TIME_EXCEEDED, 1);
    assert_true(v.at == start + life);
    assert_int_equal(v.l4_len, 8 + (v4 ? 20 : 48) + 80); /* the first piece as it came */
    assert_memory_equal(v.l4 + v.l4_len - 80, d.l4, 80);
    assert_int_equal(kit_drops(&k, WR_DROP_frag_timeout), 1);

    send_piece(&k, &d, 80, 80, 2); /* without the first piece nobody is told */
    kit_run(&k, life + WEIR_SEC);
    assert_int_equal(kit_drops(&k, WR_DROP_frag_timeout), 2);
    kit_expect_silence(&k);
    kit_close(&k);
}

static void test_ipv4_times_out_at_30_s_1122_4_LNX_SYSCTL_36(void **state)
{
    (void)state;
    timeout_of(true, 30 * WEIR_SEC);
}

static void test_ipv6_times_out_at_60_s_8200_3_LNX_SYSCTL_36(void **state)
{
    (void)state;
    timeout_of(false, 60 * WEIR_SEC);
}

/* ---- bounds ------------------------------------------------------------------------------------ */

/* FragmentSmack: first pieces without end, from one sender and from many. Memory stays below the bound, and a
 * sender who is not part of it gets its datagram through. */
static void flood(bool many_sources)
{
    static struct dgram d, honest;
    struct kit k;
    weir_sock sock;
    size_t idle, most = 0;
    uint64_t icmp;
    kit_open(&k, KIT_TUN);
    sock = receiver(&k, true);
    idle = k.probe.live_bytes;
    make_dgram(&d, true, 600);
    make_dgram(&honest, true, 3000);
    honest.src = kit_addr("10.0.0.77");
    honest.len = kit_udp(honest.l4, &honest.src, &honest.dst, 1, PORT, honest.l4 + 8, 3000);
    send_piece(&k, &honest, 0, 1480, 4242);
    for (uint32_t i = 0; i < 30000; i++) {
        if (many_sources)
            d.src = weir_addr_v4(0x0a010000u + i);
        send_piece(&k, &d, 0, 560, i);
        if (i % 1000 == 0 && !many_sources) /* also one at high offsets, of tiny pieces */
            send_piece(&k, &d, 560, 8, i + 1);
        if (k.probe.live_bytes - idle > most)
            most = k.probe.live_bytes - idle;
    }
    assert_true(most < 5 * 1024 * 1024); /* ipfrag_high_thresh and the table's own slots */
    assert_true(kit_drops(&k, WR_DROP_frag_memory) > 10000);
    if (!many_sources) {
        send_piece(&k, &honest, 1480, honest.len - 1480, 4242);
        expect_delivered(&k, sock, &honest);
    }
    icmp = k.stack->stats[WR_STAT_icmp_out];
    kit_run(&k, 31 * WEIR_SEC);
    assert_true(k.stack->stats[WR_STAT_icmp_out] - icmp <= 60); /* no storm when they expire */
    assert_true(k.probe.live_bytes - idle < 300 * 1024);
    kit_close(&k);
}

static void test_a_flood_of_first_fragments_is_bounded(void **state)
{
    (void)state;
    flood(false);
    flood(true);
}

/* Tiny pieces are charged with what they cost. */
static void test_tiny_pieces_are_bounded_too(void **state)
{
    static struct dgram d;
    struct kit k;
    size_t idle;
    (void)state;
    kit_open(&k, KIT_TUN);
    idle = k.probe.live_bytes;
    make_dgram(&d, true, 60000);
    for (uint32_t id = 0; id < 40; id++) {
        for (size_t off = 8; off < 60000; off += 16)
            send_piece_of(&k, &d, W_IPPROTO_UDP, off, 8, true, id);
    }
    assert_true(k.probe.live_bytes - idle < 6 * 1024 * 1024);
    kit_close(&k);
}

/* Out of memory at any point: the datagram is lost and nothing else. */
static void test_failing_allocations_lose_only_the_datagram(void **state)
{
    static struct dgram d;
    (void)state;
    for (size_t nth = 1; nth < 12; nth++) {
        struct kit k;
        weir_sock sock;
        uint8_t byte[8];
        kit_open(&k, KIT_TUN);
        sock = receiver(&k, true);
        make_dgram(&d, true, 300);
        k.probe.fail_at = k.probe.calls + nth;
        send_piece(&k, &d, 0, 80, 1);
        send_piece(&k, &d, 160, 148, 1);
        send_piece(&k, &d, 80, 80, 1);
        k.probe.fail_at = 0;
        (void)kit_udp_recv(&k, sock, byte, sizeof byte);
        send_piece(&k, &d, 0, 160, 2);
        send_piece(&k, &d, 160, 148, 2);
        expect_delivered(&k, sock, &d);
        kit_close(&k);
    }
}

/* RFC 3168 5.3: marks survive reassembly. */
static void test_ecn_marks_are_joined_3168_12(void **state)
{
    struct kit k;
    struct kit_packet p;
    uint8_t l4[128];
    struct weir_addr s = kit_addr("10.0.0.2"), d = kit_addr("10.0.0.1");
    struct kit_view v;
    (void)state;
    kit_open(&k, KIT_TUN);
    memset(l4, 0, sizeof l4);
    kit_icmp(l4, &s, &d, W_ICMP4_ECHO, 0, 0, l4 + 8, 88);
    for (unsigned second = 0; second < 4; second++) {
        struct w_ip4 ip = {.src = s, .dst = d, .proto = W_IPPROTO_ICMP};
        ip.id = (uint16_t)(second + 1);
        ip.tos = 3; /* congestion experienced */
        ip.more_frags = true;
        kit_make4(&p, &ip, l4, 48);
        kit_input(&k, p.b, p.len);
        ip.tos = (uint8_t)second;
        ip.more_frags = false;
        ip.frag_off = 48;
        kit_make4(&p, &ip, l4 + 48, 48);
        kit_input(&k, p.b, p.len);
        if (second == 0) { /* not ECN-capable: a marked piece cannot belong to it */
            assert_int_equal(kit_drops(&k, WR_DROP_frag_ecn_mixed), 1);
            kit_expect_silence(&k);
        } else {
            kit_expect_icmp(&k, &v, W_ICMP4_ECHO_REPLY, 0);
            assert_int_equal(v.ip4.tos & 3, 3); /* the reply carries the request's field */
        }
    }
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_order_gives_the_datagram_0791_1),
        cmocka_unit_test(test_the_key_keeps_datagrams_apart_0791_1),
        cmocka_unit_test(test_random_cuts_equal_the_original_0815_1),
        cmocka_unit_test(test_overlap_drops_the_datagram_0791_2_LNX_TCP_27),
        cmocka_unit_test(test_overlap_drops_the_datagram_8200_1_5722_1),
        cmocka_unit_test(test_an_exact_duplicate_is_dropped_alone_8200_2_LNX_TCP_27),
        cmocka_unit_test(test_ping_of_death_is_dropped_0791_3),
        cmocka_unit_test(test_middle_pieces_are_multiples_of_8_0791_4),
        cmocka_unit_test(test_pieces_beyond_the_end_kill_the_datagram),
        cmocka_unit_test(test_the_largest_datagram_is_delivered_1122_5),
        cmocka_unit_test(test_bad_lengths_draw_parameter_problems_8200_4_8200_5),
        cmocka_unit_test(test_a_first_fragment_without_upper_header_8200_6),
        cmocka_unit_test(test_atomic_fragments_are_handled_alone_8200_7),
        cmocka_unit_test(test_tiny_tcp_fragments_are_dropped),
        cmocka_unit_test(test_a_fragment_in_a_fragment_is_dropped),
        cmocka_unit_test(test_ipv4_times_out_at_30_s_1122_4_LNX_SYSCTL_36),
        cmocka_unit_test(test_ipv6_times_out_at_60_s_8200_3_LNX_SYSCTL_36),
        cmocka_unit_test(test_a_flood_of_first_fragments_is_bounded),
        cmocka_unit_test(test_tiny_pieces_are_bounded_too),
        cmocka_unit_test(test_failing_allocations_lose_only_the_datagram),
        cmocka_unit_test(test_ecn_marks_are_joined_3168_12),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
