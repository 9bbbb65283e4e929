/* SPDX-License-Identifier: MIT */
/*
 * Segments that no well-meaning peer sends: no crash, the counted drop, the stated answer. Invariants
 * are checked after every call in the builds that have WEIR_CHECK.
 */
#include "unit/tcp_peer.h"

#include "base/rng.h"
#include "tcp/tcp.h"

static void start(struct peer *p)
{
    peer_init(p);
    peer_listen(p, 80, 50);
}

/* A packet of raw TCP bytes with a right checksum unless `bad`. */
static void raw_tcp(struct peer *p, uint8_t *tcp, size_t len, bool bad)
{
    static uint8_t frame[2000];
    struct weir_frame in = {.data = frame, .len = 20 + len};
    peer_ip4(p, frame, len);
    if (len >= 18) {
        put_be16(tcp + 16, 0);
        put_be16(tcp + 16,
                 (uint16_t)(wr_csum_finish(wr_csum_add(
                                wr_csum_pseudo(&p->them, &p->us, 6, (uint32_t)len), tcp, len)) ^
                            (bad ? 0x0100 : 0)));
    }
    memcpy(frame + 20, tcp, len);
    weir_input(p->stack, p->ifindex, &in, p->now);
    peer_drain(p);
}

static void malformed_headers_G23_9293_M03(void **arg)
{
    static struct peer p;
    uint8_t tcp[60] = {0};
    (void)arg;
    start(&p);
    for (size_t len = 0; len < 20; len++)
        raw_tcp(&p, tcp, len, false);
    assert_int_equal(peer_drops(&p, "tcp_short"), 20);
    struct w_tcp th = {.src_port = 5, .dst_port = 80, .flags = W_TCP_SYN, .data_off = 20};
    wr_w_tcp_emit(tcp, &th);
    for (unsigned off = 0; off < 16; off++) {
        tcp[12] = (uint8_t)(off << 4);
        if (off != 5 && off != 6)
            raw_tcp(&p, tcp, 24, false);
    }
    assert_int_equal(peer_drops(&p, "tcp_bad_offset"), 14);
    tcp[12] = 0x50;
    raw_tcp(&p, tcp, 20, true);
    assert_int_equal(peer_drops(&p, "tcp_bad_checksum"), 1); /* 9293-M03 */
    assert_int_equal(p.n, 0);
    peer_free(&p);
}

static void syn_with(struct peer *p, struct conn *c, const uint8_t *opts, size_t n)
{
    struct w_tcp th = {
        .src_port = c->theirs, .dst_port = c->ours, .flags = W_TCP_SYN, .wnd = 65535};
    th.seq = c->iss;
    p->n = 0;
    peer_raw(p, &th, opts, n, NULL, 0);
}

static void malformed_options_G24_G25_9293_M07(void **arg)
{
    static const struct {
        uint8_t bytes[40];
        size_t n;
    } set[] = {
        {{250, 0, 0, 0}, 4},
        {{250, 1, 0, 0}, 4},
        {{250, 60, 0, 0}, 4},
        {{2, 3, 5, 0}, 4},
        {{1, 1, 1, 2}, 4},
        {{2, 4, 0, 0}, 4},
        {{2, 4, 0, 1}, 4},
        {{2, 4, 0xff, 0xff}, 4},
        {{3, 3, 255, 0}, 4},
        {{2, 4, 2, 0, 2, 4, 4, 0, 3, 3, 3, 3, 3, 9, 4, 2}, 16},
        {{8, 10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0}, 12},
        {{0}, 40},
        {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 40},
    };
    static struct peer p;
    (void)arg;
    start(&p);
    for (unsigned i = 0; i < sizeof set / sizeof set[0]; i++) {
        struct conn c = peer_conn(&p, 80);
        syn_with(&p, &c, set[i].bytes, set[i].n);
        assert_int_equal(p.n, 1);
        c.snd = c.iss + 1;
        c.rcv = p.log[0].th.seq + 1;
        conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
        assert_int_equal(weir_sock_accept(p.stack, p.listener, &c.sock, NULL, p.now), 0);
        p.n = 0;
        assert_true(conn_fill(&p, &c, 3000) > 0);
        assert_true(p.n >= 2 && p.log[0].len >= 36 && p.log[0].len <= 1460);
        assert_int_equal(weir_sock_abort(p.stack, c.sock, p.now), 0);
        weir_sock_close(p.stack, c.sock, p.now);
        peer_clear(&p);
    }
    assert_true(peer_drops(&p, "tcp_bad_option") >= 4);
    peer_free(&p);
}

/* H31: the budgets of two connections are their own (CVE-2016-5696). */
static void challenge_budgets_are_private_5961_09(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn a = peer_open(&p, 80), b = peer_open(&p, 80);
    for (int i = 0; i < 200; i++)
        conn_at(&p, &a, W_TCP_RST, a.snd + 7, 0, NULL, 0);
    peer_clear(&p);
    conn_at(&p, &b, W_TCP_RST, b.snd + 7, 0, NULL, 0);
    assert_int_equal(p.n, 1);
    peer_free(&p);
}

/* H32: crossing FINs, and FINs that come again with more. */
static void simultaneous_close_9293_FIN_3_9293_ACK_9_9293_FIN_5(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    weir_sock_shutdown(p.stack, c.sock, WEIR_SHUT_WR, p.now);
    peer_drain(&p);
    conn_data(&p, &c, W_TCP_ACK | W_TCP_FIN, NULL, 0); /* does not acknowledge ours */
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_CLOSING);
    conn_at(&p, &c, W_TCP_ACK | W_TCP_FIN, c.snd - 1, c.rcv, NULL, 0); /* FIN-5 */
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_CLOSING);
    c.rcv++;
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    assert_int_equal(peer_rows(&p, WEIR_TCP_TIME_WAIT), 1);
    peer_free(&p);
}

static void data_after_fin_9293_TEXT_3_9293_FIN_6(void **arg)
{
    static struct peer p;
    char data[16];
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    conn_data(&p, &c, W_TCP_ACK | W_TCP_FIN, "ab", 2);
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, "cd", 2);
    conn_at(&p, &c, W_TCP_ACK | W_TCP_FIN, c.snd - 3, c.rcv, "abcdef", 6);
    assert_int_equal(conn_read(&p, &c, data, 16), 2);
    assert_int_equal(conn_read(&p, &c, data, 16), 0);
    c = peer_open(&p, 80); /* a FIN ahead of its data, then data beyond it */
    conn_at(&p, &c, W_TCP_ACK | W_TCP_FIN, c.snd + 2, c.rcv, NULL, 0);
    conn_at(&p, &c, W_TCP_ACK, c.snd + 3, c.rcv, "xx", 2);
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_ESTABLISHED);
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, "abcd", 4);
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_CLOSE_WAIT); /* FIN-6 */
    assert_int_equal(conn_read(&p, &c, data, 16), 2);
    assert_int_equal(conn_read(&p, &c, data, 16), 0);
    peer_free(&p);
}

/* I37: ACKs in pieces of a byte, and of what was never sent, do not open cwnd. */
static void dishonest_acks_I37(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    conn_fill(&p, &c, 20000);
    uint32_t before = conn_info(&p, &c).tcpi_snd_cwnd;
    for (int i = 0; i < 1000; i++)
        conn_ack(&p, &c, c.rcv + 1, NULL, 0);
    assert_int_equal(conn_info(&p, &c).tcpi_snd_cwnd, before + 1);
    for (int i = 0; i < 100; i++)
        conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv + 100000, NULL, 0);
    assert_int_equal(conn_info(&p, &c).tcpi_snd_cwnd, before + 1);
    peer_free(&p);
}

/* I39: islands of one byte in descending and random order: bounded, and the stream is right in the end. */
static void one_byte_islands_I39(void **arg)
{
    static struct peer p;
    static uint8_t pattern[20000], got[20000];
    struct wr_rng rng;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    wr_rng_init_u64(&rng, 3);
    wr_rng_bytes(&rng, pattern, sizeof pattern);
    for (uint32_t i = sizeof pattern - 1; i >= 2; i -= 2) {
        conn_at(&p, &c, W_TCP_ACK, c.snd + i, c.rcv, pattern + i, 1);
        p.n = 0;
    }
    assert_true(peer_drops(&p, "tcp_ofo_full") > 0);
    assert_true(p.probe.live_bytes < 400000);
    for (int i = 0; i < 20000; i++) {
        uint32_t at = wr_rng_below(&rng, sizeof pattern);
        conn_at(&p, &c, W_TCP_ACK, c.snd + at, c.rcv, pattern + at, 1);
        p.n = 0;
    }
    for (uint32_t i = 0; i < sizeof pattern; i += 1000) {
        conn_at(&p, &c, W_TCP_ACK, c.snd + i, c.rcv, pattern + i, 1000);
        p.n = 0;
    }
    assert_int_equal(conn_read(&p, &c, got, sizeof got), sizeof got);
    assert_memory_equal(got, pattern, sizeof got);
    peer_free(&p);
}

/* I40, 9293-TEXT-4: of overlapping bytes the first that came win. */
static void overlap_I40_9293_TEXT_4(void **arg)
{
    static struct peer p;
    char data[16] = {0};
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    conn_at(&p, &c, W_TCP_ACK, c.snd + 4, c.rcv, "EFGH", 4);
    conn_at(&p, &c, W_TCP_ACK, c.snd + 2, c.rcv, "cdef", 4);
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, "0123456789", 10);
    assert_int_equal(conn_read(&p, &c, data, 16), 10);
    assert_memory_equal(data, "01cdEFGH89", 10);
    peer_free(&p);
}

/* I38: echoes from the future, zero and wrapped; 9293 keeps the connection, the estimate stays sane. */
static void senseless_echoes_I38(void **arg)
{
    static struct peer p;
    struct w_tcpopt ts = {.has_mss = true, .mss = 1000, .has_ts = true, .ts_val = 0xfffffff0u};
    (void)arg;
    start(&p);
    struct conn c = peer_open_with(&p, 80, &ts);
    for (uint32_t i = 0; i < 50; i++) {
        conn_fill(&p, &c, 1000);
        peer_run(&p, i % 3 == 0 ? 250 * WEIR_MS : WEIR_MS); /* some are sent twice: Karn */
        c.ts_val++;                                         /* wraps on the way */
        c.ts_ecr = i % 2 ? 0xffffffffu - i : i * 0x10000000u;
        conn_ack(&p, &c, c.rcv + 1000, NULL, 0);
        p.n = 0;
    }
    assert_true(conn_info(&p, &c).tcpi_rto <= 120000000);
    assert_true(conn_info(&p, &c).tcpi_rtt < 60000000);
    assert_int_equal(conn_info(&p, &c).tcpi_unacked, 0);
    peer_free(&p);
}

/* A window of one byte for ever: data goes, byte by byte, no spinning. */
static void one_byte_windows_I34_9293_NAG_1(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    conn_data(&p, &c, W_TCP_ACK, "x", 1);
    c.wnd = 1;
    conn_data(&p, &c, W_TCP_ACK, "y", 1); /* newer than the last, so that its window counts */
    p.n = 0;
    conn_fill(&p, &c, 100);
    for (int i = 0; i < 20; i++) {
        unsigned before = p.n;
        peer_wait(&p, before + 1, 10 * WEIR_SEC);
        assert_int_equal(p.n, before + 1); /* 9293-NAG-1: the override timer */
        assert_int_equal(p.log[before].len, 1);
        conn_ack(&p, &c, c.rcv + 1, NULL, 0);
    }
    peer_free(&p);
}

/* ---- random segments --------------------------------------------------------------------------------- */

static uint32_t near(struct wr_rng *rng, uint32_t at)
{
    static const uint32_t far[] = {0x7fffffff, 0x80000000, 0x80000001, 65535, 1000000};
    switch (wr_rng_below(rng, 8)) {
    case 0:
        return at + wr_rng_below(rng, 5) - 2;
    case 1:
        return at + wr_rng_below(rng, 4000) - 2000;
    case 2:
        return at + far[wr_rng_below(rng, 5)];
    case 3:
        return wr_rng_u32(rng);
    default:
        return at;
    }
}

static void random_segment(struct peer *p, struct conn *c, struct wr_rng *rng)
{
    struct w_tcp th = {
        .src_port = c->theirs, .dst_port = c->ours, .urg = (uint16_t)wr_rng_u32(rng)};
    static const uint16_t usual[] = {W_TCP_ACK, W_TCP_ACK | W_TCP_PSH, W_TCP_ACK | W_TCP_FIN,
                                     W_TCP_SYN, W_TCP_SYN | W_TCP_ACK, W_TCP_ACK | W_TCP_URG};
    uint8_t data[1500] = {0}, opts[W_TCPOPT_MAX];
    struct w_tcpopt opt = {.has_ts = wr_rng_below(rng, 4) == 0, .ts_val = wr_rng_u32(rng)};
    size_t len = wr_rng_below(rng, 3) == 0 ? wr_rng_below(rng, sizeof data) : 0, n_opts;

    th.flags = usual[wr_rng_below(rng, 6)];
    if (wr_rng_below(rng, 10) == 0)
        th.flags = (uint16_t)(wr_rng_u32(rng) & 0x1ff);
    if ((th.flags & W_TCP_RST) && wr_rng_below(rng, 8) != 0)
        th.flags &= (uint16_t)~W_TCP_RST;
    th.seq = near(rng, c->snd);
    th.ack = near(rng, c->rcv);
    th.wnd = (uint16_t)(wr_rng_below(rng, 3) == 0 ? wr_rng_below(rng, 3000) : 65535);
    opt.n_sack = (uint8_t)wr_rng_below(rng, 5);
    for (unsigned i = 0; i < opt.n_sack; i++) {
        opt.sack[i].start = near(rng, c->rcv);
        opt.sack[i].end = opt.sack[i].start + wr_rng_below(rng, 3000);
    }
    n_opts = wr_w_tcpopt_emit(opts, &opt);
    peer_raw(p, &th, opts, n_opts, data, len);
}

/* Follows the stack, so that the next segments are near what it expects. */
static void follow(struct peer *p, struct conn *c)
{
    for (unsigned i = 0; i < p->n; i++) {
        const struct got *got = &p->log[i];
        if (got->th.flags & W_TCP_RST)
            continue;
        uint32_t end = got->th.seq + got->len + ((got->th.flags & (W_TCP_SYN | W_TCP_FIN)) != 0);
        if (got->th.src_port == c->ours && got->th.dst_port == c->theirs) {
            c->rcv = end;
            if (got->th.flags & W_TCP_ACK)
                c->snd = got->th.ack;
        }
    }
    p->n = 0;
}

static void random_call(struct peer *p, struct conn *c, struct wr_rng *rng)
{
    static uint8_t buf[5000];
    switch (wr_rng_below(rng, 12)) {
    case 0:
    case 1:
    case 2:
        weir_sock_send(p->stack, c->sock, buf, 1 + wr_rng_below(rng, sizeof buf),
                       wr_rng_below(rng, 9) == 0 ? WEIR_MSG_OOB : 0, NULL, p->now);
        break;
    case 3:
    case 4:
    case 5:
        weir_sock_recv(p->stack, c->sock, buf, wr_rng_below(rng, sizeof buf),
                       wr_rng_below(rng, 9) == 0 ? WEIR_MSG_OOB : 0, NULL, p->now);
        break;
    case 6:
        if (wr_rng_below(rng, 10) == 0)
            weir_sock_shutdown(p->stack, c->sock, (int)wr_rng_below(rng, 3), p->now);
        break;
    case 7:
        conn_opt(p, c, WEIR_SOL_TCP, WEIR_TCP_NODELAY, (int)wr_rng_below(rng, 2));
        break;
    case 8:
        conn_opt(p, c, WEIR_SOL_TCP, WEIR_TCP_CORK, (int)wr_rng_below(rng, 2));
        break;
    case 9:
        conn_opt(p, c, WEIR_SOL_SOCKET, WEIR_SO_RCVBUF, (int)wr_rng_below(rng, 100000));
        break;
    default:
        peer_run(p, wr_rng_below(rng, 400) * WEIR_MS);
        break;
    }
    peer_drain(p);
}

static void random_segments(void **arg)
{
    static struct peer p;
    struct wr_rng rng;
    (void)arg;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        start(&p);
        wr_rng_init_u64(&rng, seed);
        struct conn c = {0};
        if (seed % 3 == 0) {
            struct weir_endpoint remote = {p.them, 7777}, local;
            assert_int_equal(weir_sock_open(p.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &c.sock),
                             0);
            weir_sock_connect(p.stack, c.sock, &remote, p.now);
            weir_sock_getsockname(p.stack, c.sock, &local);
            c.theirs = 7777;
            c.ours = local.port;
        } else {
            c = peer_open(&p, 80);
        }
        for (int i = 0; i < 300; i++) {
            peer_drain(&p);
            follow(&p, &c);
            if (wr_rng_below(&rng, 3) == 0)
                random_call(&p, &c, &rng);
            else
                random_segment(&p, &c, &rng);
        }
        weir_sock_close(p.stack, c.sock, p.now);
        for (int i = 0; i < 30; i++) {
            follow(&p, &c);
            random_segment(&p, &c, &rng);
        }
        follow(&p, &c);
        peer_free(&p);
    }
}

/* ---- memory that fails ---------------------------------------------------------------------------------- */

/* A life with both kinds of open, data both ways and out of order, loss, and closing. Calls may fail. */
static void life(struct peer *p)
{
    static uint8_t data[3000];
    struct weir_endpoint local = {p->us, 80}, remote = {p->them, 7777};
    struct conn c = peer_conn(p, 80);
    weir_sock active = 0;

    weir_sock_open(p->stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &p->listener);
    weir_sock_bind(p->stack, p->listener, &local);
    weir_sock_listen(p->stack, p->listener, 5, p->now);
    conn_syn(p, &c, NULL);
    conn_at(p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    weir_sock_accept(p->stack, p->listener, &c.sock, NULL, p->now);
    conn_at(p, &c, W_TCP_ACK, c.snd + 2000, c.rcv, data, 500);
    conn_at(p, &c, W_TCP_ACK, c.snd + 1000, c.rcv, data, 500);
    conn_data(p, &c, W_TCP_ACK, data, 1000);
    weir_sock_send(p->stack, c.sock, data, sizeof data, 0, NULL, p->now);
    peer_drain(p);
    const struct w_sack block = {c.rcv + 1200, c.rcv + 3000};
    conn_ack(p, &c, c.rcv, &block, 1);
    peer_run(p, 2 * WEIR_SEC);
    weir_sock_recv(p->stack, c.sock, data, sizeof data, 0, NULL, p->now);
    conn_ack(p, &c, c.rcv + 3000, NULL, 0);
    weir_sock_shutdown(p->stack, c.sock, WEIR_SHUT_WR, p->now);
    peer_drain(p);
    conn_ack(p, &c, c.rcv + 1, NULL, 0);
    conn_at(p, &c, W_TCP_ACK | W_TCP_FIN, c.snd, c.rcv, NULL, 0);
    weir_sock_open(p->stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &active);
    weir_sock_connect(p->stack, active, &remote, p->now);
    peer_run(p, 2 * WEIR_SEC);
    weir_sock_close(p->stack, active, p->now);
    weir_sock_close(p->stack, c.sock, p->now);
}

static void every_allocation_fails(void **arg)
{
    static struct peer p;
    size_t total, first;
    (void)arg;
    peer_init(&p);
    first = p.probe.calls;
    life(&p);
    total = p.probe.calls - first;
    peer_free(&p);
    assert_true(total > 10);
    for (size_t n = 1; n <= total; n++) {
        peer_init(&p);
        p.probe.fail_at = p.probe.calls + n; /* this one and all later ones */
        life(&p);
        p.probe.fail_at = 0;
        peer_run(&p, 200 * WEIR_SEC);
        peer_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_headers_G23_9293_M03),
        cmocka_unit_test(malformed_options_G24_G25_9293_M07),
        cmocka_unit_test(challenge_budgets_are_private_5961_09),
        cmocka_unit_test(simultaneous_close_9293_FIN_3_9293_ACK_9_9293_FIN_5),
        cmocka_unit_test(data_after_fin_9293_TEXT_3_9293_FIN_6),
        cmocka_unit_test(dishonest_acks_I37),
        cmocka_unit_test(one_byte_islands_I39),
        cmocka_unit_test(overlap_I40_9293_TEXT_4),
        cmocka_unit_test(senseless_echoes_I38),
        cmocka_unit_test(one_byte_windows_I34_9293_NAG_1),
        cmocka_unit_test(random_segments),
        cmocka_unit_test(every_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
