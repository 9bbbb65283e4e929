/* SPDX-License-Identifier: MIT */
/* What Linux was seen to answer (kernel 6.18), segment by segment: sizes of segments, options, timers. Numbers in names are requirement IDs. */
#include "unit/tcp_peer.h"

static void start(struct peer *p)
{
    peer_init(p);
    peer_listen(p, 80, 5);
}

/* ---- segment sizes, options -------------------------------------------------------------------------------- */

static void tiny_peer_mss_LNX_SYSCTL_32(void **arg)
{
    static struct peer p;
    struct w_tcpopt one = {.has_mss = true, .mss = 1};
    (void)arg;
    start(&p);
    struct conn c = peer_open_with(&p, 80, &one);
    assert_int_equal(conn_fill(&p, &c, 200), 200);
    assert_int_equal(p.n, 5);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(p.log[i].len, 48);
    assert_int_equal(p.log[4].len, 8);
    peer_free(&p);
}

static void no_mss_option_9293_M15(void **arg)
{
    static struct peer p;
    struct w_tcpopt none = {0};
    (void)arg;
    start(&p);
    struct conn c = peer_open_with(&p, 80, &none);
    conn_fill(&p, &c, 2000);
    assert_int_equal(p.n, 4);
    assert_int_equal(p.log[0].len, 536);
    peer_free(&p);
}

static void first_flight_LNX_CC_05_6928_1(void **arg)
{
    static struct peer p;
    struct w_tcpopt big = {.has_mss = true, .mss = 8900};
    uint32_t bytes = 0;
    (void)arg;
    start(&p);
    struct conn c = peer_open_with(&p, 80, &big);
    conn_fill(&p, &c, 40000);
    for (unsigned i = 0; i < p.n; i++)
        bytes += p.log[i].len;
    assert_int_equal(bytes, 14600);
    peer_free(&p);
}

static void missing_timestamp_is_accepted_7323_10(void **arg)
{
    static struct peer p;
    struct w_tcpopt ts = {.has_mss = true, .mss = 1000, .has_ts = true, .ts_val = 500};
    char data[8];
    (void)arg;
    start(&p);
    struct conn c = peer_open_with(&p, 80, &ts);
    c.ts = false;
    conn_data(&p, &c, W_TCP_ACK | W_TCP_PSH, "nots", 4);
    assert_int_equal(conn_read(&p, &c, data, 8), 4);
    peer_free(&p);
}

static void paws_7323_16(void **arg)
{
    static struct peer p;
    struct w_tcpopt ts = {.has_mss = true, .mss = 1000, .has_ts = true, .ts_val = 500};
    char data[8];
    (void)arg;
    start(&p);
    struct conn c = peer_open_with(&p, 80, &ts);
    c.ts_val = 400;
    conn_data(&p, &c, W_TCP_ACK | W_TCP_PSH, "old!", 4);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_ACK);
    assert_int_equal(p.log[0].opt.ts_ecr, 500);
    assert_int_equal(conn_read(&p, &c, data, 8), WEIR_EAGAIN);
    assert_int_equal(peer_drops(&p, "tcp_paws"), 1);
    peer_free(&p);
}

static void sack_blocks_2018_03_2018_04_2883_2(void **arg)
{
    static struct peer p;
    uint8_t data[100] = {0};
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    for (uint32_t i = 2; i <= 10; i += 2)
        conn_at(&p, &c, W_TCP_ACK, c.snd + 100 * i, c.rcv, data, 100);
    assert_int_equal(p.n, 5);
    for (unsigned k = 0; k < 5; k++) { /* the newest first, as many as fit */
        assert_int_equal(p.log[k].opt.n_sack, k + 1 < 4 ? k + 1 : 4);
        for (unsigned i = 0; i < p.log[k].opt.n_sack; i++)
            assert_int_equal(p.log[k].opt.sack[i].start - c.snd, 200 * (k + 1 - i));
    }
    peer_clear(&p);
    conn_at(&p, &c, W_TCP_ACK, c.snd + 400, c.rcv, data, 100);
    assert_int_equal(p.log[0].opt.n_sack, 4);
    assert_int_equal(p.log[0].opt.sack[0].start - c.snd, 400); /* D-SACK */
    assert_int_equal(p.log[0].opt.sack[1].start - c.snd, 400);
    assert_int_equal(p.log[0].opt.sack[2].start - c.snd, 1000);
    assert_int_equal(p.log[0].opt.sack[3].start - c.snd, 800);
    peer_free(&p);
}

static void dsack_below_ack_2883_1_2883_3(void **arg)
{
    static struct peer p;
    uint8_t data[100] = {0};
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    conn_data(&p, &c, W_TCP_ACK | W_TCP_PSH, data, 100);
    peer_run(&p, 100 * WEIR_MS);
    peer_clear(&p);
    conn_at(&p, &c, W_TCP_ACK | W_TCP_PSH, c.snd - 100, c.rcv, data, 100);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].opt.n_sack, 1);
    assert_int_equal(p.log[0].opt.sack[0].start, c.snd - 100);
    assert_int_equal(p.log[0].opt.sack[0].end, c.snd);
    peer_clear(&p);
    conn_data(&p, &c, W_TCP_ACK | W_TCP_PSH, data, 100);
    peer_run(&p, 300 * WEIR_MS);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].opt.n_sack, 0); /* told once */
    peer_free(&p);
}

static void nagle_LNX_SO_04(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    conn_write(&p, &c, "n", 1);
    assert_int_equal(p.n, 1);
    conn_write(&p, &c, "m", 1);
    assert_int_equal(p.n, 1);
    conn_ack(&p, &c, c.rcv + 1, NULL, 0);
    assert_int_equal(p.n, 2);
    c = peer_open(&p, 80);
    conn_fill(&p, &c, 1000);
    conn_write(&p, &c, "s", 1); /* Minshall: no short one is unacknowledged */
    assert_int_equal(p.n, 2);
    conn_write(&p, &c, "t", 1);
    assert_int_equal(p.n, 2);
    assert_int_equal(conn_opt(&p, &c, WEIR_SOL_TCP, WEIR_TCP_NODELAY, 1), 0);
    assert_int_equal(p.n, 3); /* LNX-SO-01 */
    peer_free(&p);
}

static void cork_LNX_SO_02_LNX_SO_01(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    assert_int_equal(conn_opt(&p, &c, WEIR_SOL_TCP, WEIR_TCP_CORK, 1), 0);
    conn_fill(&p, &c, 40);
    conn_fill(&p, &c, 40);
    assert_int_equal(p.n, 0);
    assert_int_equal(conn_opt(&p, &c, WEIR_SOL_TCP, WEIR_TCP_CORK, 0), 0);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].len, 80);
    conn_ack(&p, &c, c.rcv + 80, NULL, 0);
    peer_clear(&p);
    assert_int_equal(conn_opt(&p, &c, WEIR_SOL_TCP, WEIR_TCP_CORK, 1), 0);
    weir_time t0 = p.now;
    conn_fill(&p, &c, 40);
    peer_run(&p, 250 * WEIR_MS);
    assert_int_equal(p.n, 1); /* the ceiling */
    assert_true(p.log[0].at - t0 >= 200 * WEIR_MS && p.log[0].at - t0 <= 204 * WEIR_MS);
    peer_free(&p);
}

/* ---- timers --------------------------------------------------------------------------------------------------- */

static void zero_window_probes_LNX_TCP_28(void **arg)
{
    static struct peer p;
    weir_time last;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    c.wnd = 0;
    conn_ack(&p, &c, c.rcv, NULL, 0);
    conn_fill(&p, &c, 5000);
    last = p.now;
    weir_time gap = 200 * WEIR_MS;
    for (int i = 0; i < 6; i++) {
        peer_clear(&p);
        peer_wait(&p, 1, gap + gap / 8);
        assert_int_equal(p.n, 1);
        assert_int_equal(p.log[0].len, 0);
        assert_int_equal(p.log[0].th.seq, c.rcv - 1);
        assert_true(p.log[0].at - last >= gap);
        last = p.now;
        conn_ack(&p, &c, c.rcv, NULL, 0);
        gap *= 2;
    }
    c.wnd = 65535;
    peer_clear(&p);
    conn_ack(&p, &c, c.rcv, NULL, 0);
    assert_int_equal(p.n, 5);
    peer_free(&p);
}

static void delayed_ack_LNX_TCP_03_LNX_TCP_04(void **arg)
{
    static struct peer p;
    uint8_t data[1000] = {0}, sink[4096];
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    for (int i = 0; i < 40; i++) {
        weir_time t0 = p.now;
        peer_clear(&p);
        conn_data(&p, &c, W_TCP_ACK | W_TCP_PSH, data, sizeof data);
        peer_wait(&p, 1, 60 * WEIR_MS);
        assert_int_equal(p.n, 1);
        if (i < 16)
            assert_int_equal(p.log[0].at, t0);
        else
            assert_int_equal(p.log[0].at - t0, 40 * WEIR_MS);
        conn_read(&p, &c, sink, sizeof sink);
    }
    peer_free(&p);
}

static void keepalive_LNX_SYSCTL_09(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    conn_opt(&p, &c, WEIR_SOL_TCP, WEIR_TCP_KEEPIDLE, 2);
    conn_opt(&p, &c, WEIR_SOL_TCP, WEIR_TCP_KEEPINTVL, 1);
    conn_opt(&p, &c, WEIR_SOL_TCP, WEIR_TCP_KEEPCNT, 3);
    conn_opt(&p, &c, WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, 1);
    weir_time t0 = p.now;
    peer_run(&p, 2500 * WEIR_MS);
    conn_opt(&p, &c, WEIR_SOL_TCP, WEIR_TCP_NODELAY, 1); /* no reason for a probe */
    peer_run(&p, 5500 * WEIR_MS);
    assert_int_equal(p.n, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(p.log[i].at - t0, (2 + i) * WEIR_SEC);
        assert_int_equal(p.log[i].th.flags, i < 3 ? W_TCP_ACK : W_TCP_RST | W_TCP_ACK);
        assert_int_equal(p.log[i].th.seq, i < 3 ? c.rcv - 1 : c.rcv);
    }
    assert_int_equal(conn_error(&p, &c), ETIMEDOUT);
    peer_free(&p);
}

static void user_timeout_LNX_SO_08(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    conn_opt(&p, &c, WEIR_SOL_TCP, WEIR_TCP_USER_TIMEOUT, 3000);
    conn_write(&p, &c, "x", 1);
    peer_run(&p, 2900 * WEIR_MS);
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_ESTABLISHED);
    peer_run(&p, 600 * WEIR_MS);
    assert_int_equal(conn_error(&p, &c), ETIMEDOUT);
    peer_free(&p);
}

static void rto_and_r2_LNX_SYSCTL_01_LNX_SYSCTL_05(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    p.rtt = WEIR_MS;
    assert_int_equal(weir_sysctl_set(p.stack, "net.ipv4.tcp_early_retrans", 0), 0); /* no probe */
    struct conn c = peer_open(&p, 80);
    weir_time t0 = p.now, gap = 201 * WEIR_MS, at = 0;
    conn_write(&p, &c, "x", 1);
    peer_run(&p, 1100 * WEIR_SEC);
    assert_int_equal(p.n, 17 - 1); /* the first and 15 retransmissions */
    for (unsigned i = 1; i < p.n; i++) {
        at += gap;
        assert_int_equal(p.log[i].at - t0, at);
        gap = gap > 60 * WEIR_SEC ? 120 * WEIR_SEC : 2 * gap;
    }
    assert_int_equal(conn_error(&p, &c), ETIMEDOUT);
    peer_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_peer_mss_LNX_SYSCTL_32),
        cmocka_unit_test(no_mss_option_9293_M15),
        cmocka_unit_test(first_flight_LNX_CC_05_6928_1),
        cmocka_unit_test(missing_timestamp_is_accepted_7323_10),
        cmocka_unit_test(paws_7323_16),
        cmocka_unit_test(sack_blocks_2018_03_2018_04_2883_2),
        cmocka_unit_test(dsack_below_ack_2883_1_2883_3),
        cmocka_unit_test(nagle_LNX_SO_04),
        cmocka_unit_test(cork_LNX_SO_02_LNX_SO_01),
        cmocka_unit_test(zero_window_probes_LNX_TCP_28),
        cmocka_unit_test(delayed_ack_LNX_TCP_03_LNX_TCP_04),
        cmocka_unit_test(keepalive_LNX_SYSCTL_09),
        cmocka_unit_test(user_timeout_LNX_SO_08),
        cmocka_unit_test(rto_and_r2_LNX_SYSCTL_01_LNX_SYSCTL_05),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
