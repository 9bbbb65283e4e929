/* SPDX-License-Identifier: MIT */
/* What Linux was seen to answer (kernel 6.18), segment by segment. Numbers in names are requirement IDs. */
#include "unit/tcp_peer.h"

static void start(struct peer *p)
{
    peer_init(p);
    peer_listen(p, 80, 5);
}

/* ---- RST, SYN: RFC 5961 --------------------------------------------------------------------------- */

static void one_invalid(uint16_t flags, uint32_t offset, int state, unsigned answers)
{
    static struct peer p;
    start(&p);
    struct conn c = peer_open(&p, 80);
    conn_at(&p, &c, flags, c.snd + offset, 0, NULL, 0);
    assert_int_equal(conn_state(&p, &c), state);
    assert_int_equal(p.n, answers);
    if (answers > 0) {
        assert_int_equal(p.log[0].th.flags, W_TCP_ACK);
        assert_int_equal(p.log[0].th.seq, c.rcv);
        assert_int_equal(p.log[0].th.ack, c.snd);
    }
    peer_free(&p);
}

static void rst_and_syn_5961_01_5961_02_5961_03_5961_04(void **arg)
{
    (void)arg;
    one_invalid(W_TCP_RST, 0, WEIR_TCP_CLOSE, 0);
    one_invalid(W_TCP_RST, 1, WEIR_TCP_ESTABLISHED, 1);
    one_invalid(W_TCP_RST, 0u - 1, WEIR_TCP_ESTABLISHED, 0);
    one_invalid(W_TCP_RST, 100000000, WEIR_TCP_ESTABLISHED, 0);
    one_invalid(W_TCP_SYN, 0, WEIR_TCP_ESTABLISHED, 1);
    one_invalid(W_TCP_SYN, 100, WEIR_TCP_ESTABLISHED, 1);
    one_invalid(W_TCP_SYN, 100000000, WEIR_TCP_ESTABLISHED, 1);
}

static void rst_before_rcv_nxt_after_fin_LNX_TCP_12(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    conn_data(&p, &c, W_TCP_ACK | W_TCP_FIN, NULL, 0);
    conn_at(&p, &c, W_TCP_RST, c.snd - 1, 0, NULL, 0);
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_CLOSE);
    c = peer_open(&p, 80);
    conn_at(&p, &c, W_TCP_ACK, c.snd + 1000, c.rcv, "0123456789", 10);
    conn_at(&p, &c, W_TCP_RST, c.snd + 1010, 0, NULL, 0);
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_CLOSE);
    peer_free(&p);
}

static void challenge_limit_LNX_SYSCTL_27_5961_08(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    for (int i = 0; i < 60; i++) {
        conn_at(&p, &c, W_TCP_SYN, c.snd + 5, 0, NULL, 0);
        peer_run(&p, 20 * WEIR_MS);
    }
    assert_int_equal(p.n, 3); /* at 0, 500 and 1000 ms */
    c = peer_open(&p, 80);
    for (int i = 0; i < 10; i++)
        conn_at(&p, &c, W_TCP_ACK, c.snd - 50, c.rcv, "z", 1);
    assert_int_equal(p.n, 10); /* segments with data are exempt */
    peer_clear(&p);
    c = peer_open(&p, 80);
    for (int i = 0; i < 10; i++)
        conn_at(&p, &c, W_TCP_ACK, c.snd - 50, c.rcv, NULL, 0);
    assert_int_equal(p.n, 1);
    peer_free(&p);
}

static void ack_out_of_range_5961_07_9293_Y12_9293_ACK_1_9293_ACK_6(void **arg)
{
    static struct peer p;
    char byte;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv + 5, "q", 1);
    assert_int_equal(p.n, 1);
    assert_int_equal(conn_read(&p, &c, &byte, 1), WEIR_EAGAIN);
    c = peer_open(&p, 80);
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv - 100000, "q", 1);
    assert_int_equal(p.n, 1);
    assert_int_equal(conn_read(&p, &c, &byte, 1), WEIR_EAGAIN);
    c = peer_open(&p, 80);
    conn_at(&p, &c, W_TCP_FIN, c.snd, 0, "q", 1); /* no ACK flag: 9293-ACK-1 */
    assert_int_equal(p.n, 0);
    assert_int_equal(conn_read(&p, &c, &byte, 1), WEIR_EAGAIN);
    peer_free(&p);
}

/* ---- CLOSED, LISTEN --------------------------------------------------------------------------------- */

static void closed_port_9293_CLSD_1_9293_CLSD_2_9293_CLSD_3(void **arg)
{
    static struct peer p;
    (void)arg;
    peer_init(&p);
    struct conn c = peer_conn(&p, 5999);
    conn_at(&p, &c, W_TCP_SYN, 100, 0, "0123456789", 10);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_RST | W_TCP_ACK);
    assert_int_equal(p.log[0].th.seq, 0);
    assert_int_equal(p.log[0].th.ack, 111);
    conn_at(&p, &c, W_TCP_ACK, 7, 5000, NULL, 0);
    assert_int_equal(p.n, 2);
    assert_int_equal(p.log[1].th.flags, W_TCP_RST);
    assert_int_equal(p.log[1].th.seq, 5000);
    conn_at(&p, &c, W_TCP_RST, 7, 0, NULL, 0);
    assert_int_equal(p.n, 2);
    peer_free(&p);
}

static void listener_9293_LSTN_1_9293_LSTN_2_9293_LSTN_5_LNX_TCP_17(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_conn(&p, 80);
    conn_at(&p, &c, W_TCP_RST, 50, 0, NULL, 0);
    conn_at(&p, &c, W_TCP_SYN | W_TCP_FIN, 50, 0, NULL, 0);
    conn_at(&p, &c, W_TCP_FIN, 50, 0, NULL, 0);
    conn_at(&p, &c, 0, 50, 0, NULL, 0);
    assert_int_equal(p.n, 0);
    conn_at(&p, &c, W_TCP_ACK, 50, 777, NULL, 0);
    conn_at(&p, &c, W_TCP_SYN | W_TCP_ACK, 50, 777, NULL, 0);
    assert_int_equal(p.n, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(p.log[i].th.flags, W_TCP_RST);
        assert_int_equal(p.log[i].th.seq, 777);
    }
    peer_free(&p);
}

static void synack_retransmission_LNX_SYSCTL_03(void **arg)
{
    static const int at_s[] = {0, 1, 3, 7, 15, 31};
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_conn(&p, 80);
    weir_time t0 = p.now;
    conn_syn(&p, &c, NULL);
    peer_run(&p, 70 * WEIR_SEC);
    assert_int_equal(p.n, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(p.log[i].at - t0, at_s[i] * WEIR_SEC);
    peer_clear(&p);
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0); /* too late */
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_RST);
    peer_free(&p);
}

static void accept_queue_LNX_SYSCTL_11(void **arg)
{
    static struct peer p;
    unsigned answered = 0;
    (void)arg;
    peer_init(&p);
    peer_listen(&p, 80, 1);
    for (int i = 0; i < 4; i++) {
        struct conn c = peer_conn(&p, 80);
        conn_syn(&p, &c, NULL);
        if (p.n == 0)
            continue;
        answered++;
        conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    }
    assert_int_equal(answered, 2);
    peer_free(&p);
}

/* LNX-SYSCTL-12: the queue fills between SYN and ACK; then data of the third client opens it. */
static void accept_queue_overflow_at_ack_LNX_SYSCTL_12(void **arg)
{
    static struct peer p;
    struct conn c[3];
    char byte[8];
    (void)arg;
    peer_init(&p);
    peer_listen(&p, 80, 1);
    for (int i = 0; i < 3; i++) {
        c[i] = peer_conn(&p, 80);
        conn_syn(&p, &c[i], NULL);
        assert_int_equal(p.n, 1);
        if (i == 0) /* the SYN queue, too, holds backlog + 1 */
            conn_at(&p, &c[i], W_TCP_ACK, c[i].snd, c[i].rcv, NULL, 0);
    }
    for (int i = 1; i < 3; i++)
        conn_at(&p, &c[i], W_TCP_ACK, c[i].snd, c[i].rcv, NULL, 0);
    peer_clear(&p);
    for (int i = 0; i < 2; i++)
        assert_int_equal(weir_sock_accept(p.stack, p.listener, &c[i].sock, NULL, p.now), 0);
    assert_int_equal(weir_sock_accept(p.stack, p.listener, &c[2].sock, NULL, p.now), WEIR_EAGAIN);
    peer_run(&p, 1100 * WEIR_MS);
    assert_int_equal(p.n, 1); /* SYN-ACK again */
    conn_data(&p, &c[2], W_TCP_ACK | W_TCP_PSH, "hello", 5);
    assert_int_equal(weir_sock_accept(p.stack, p.listener, &c[2].sock, NULL, p.now), 0);
    assert_int_equal(conn_read(&p, &c[2], byte, 8), 5);
    peer_free(&p);
}

/* ---- closing ------------------------------------------------------------------------------------------- */

static void close_with_unread_data_LNX_TCP_09_9293_S03(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    conn_data(&p, &c, W_TCP_ACK | W_TCP_PSH, "0123456789", 10);
    peer_clear(&p);
    assert_int_equal(weir_sock_close(p.stack, c.sock, p.now), 0);
    peer_drain(&p);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_RST | W_TCP_ACK);
    peer_free(&p);
}

static void data_after_shutdown_LNX_TCP_10(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    assert_int_equal(weir_sock_shutdown(p.stack, c.sock, WEIR_SHUT_RDWR, p.now), 0);
    peer_drain(&p);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_FIN | W_TCP_ACK);
    c.rcv++;
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_FIN_WAIT2);
    peer_clear(&p);
    conn_data(&p, &c, W_TCP_ACK | W_TCP_PSH, "late", 4);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_RST);
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_CLOSE);
    peer_free(&p);
}

static void linger_zero_LNX_LING_3(void **arg)
{
    static struct peer p;
    struct weir_linger linger = {1, 0};
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    assert_int_equal(weir_sock_setsockopt(p.stack, c.sock, WEIR_SOL_SOCKET, WEIR_SO_LINGER, &linger,
                                          sizeof linger, p.now),
                     0);
    assert_int_equal(weir_sock_close(p.stack, c.sock, p.now), 0);
    peer_drain(&p);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_RST | W_TCP_ACK);
    assert_int_equal(p.log[0].th.seq, c.rcv);
    peer_free(&p);
}

static void fin_wait2_orphan_LNX_SYSCTL_07(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    assert_int_equal(weir_sock_close(p.stack, c.sock, p.now), 0);
    peer_drain(&p);
    c.rcv++;
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    assert_int_equal(peer_rows(&p, WEIR_TCP_FIN_WAIT2), 1);
    peer_run(&p, 59 * WEIR_SEC);
    assert_int_equal(peer_rows(&p, WEIR_TCP_FIN_WAIT2), 1);
    peer_run(&p, 2 * WEIR_SEC);
    assert_int_equal(peer_rows(&p, WEIR_TCP_FIN_WAIT2), 0);
    peer_free(&p);
}

/* Closes actively; the TIME-WAIT record stands. */
static struct conn into_time_wait(struct peer *p, const struct w_tcpopt *opt)
{
    struct conn c = peer_open_with(p, 80, opt);
    assert_int_equal(weir_sock_close(p->stack, c.sock, p->now), 0);
    peer_drain(p);
    c.rcv++;
    if (c.ts)
        c.ts_val += 2;
    conn_data(p, &c, W_TCP_ACK | W_TCP_FIN, NULL, 0);
    assert_int_equal(peer_rows(p, WEIR_TCP_TIME_WAIT), 1);
    peer_clear(p);
    return c;
}

static void time_wait_LNX_SYSCTL_08_9293_M13_9293_ACK_11(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = into_time_wait(&p, NULL);
    peer_run(&p, 30 * WEIR_SEC);
    conn_at(&p, &c, W_TCP_ACK | W_TCP_FIN, c.snd - 1, c.rcv, NULL, 0); /* 9293-ACK-11 */
    assert_int_equal(p.n, 1);
    peer_run(&p, 59 * WEIR_SEC);
    assert_int_equal(peer_rows(&p, WEIR_TCP_TIME_WAIT), 1);
    peer_run(&p, 2 * WEIR_SEC);
    assert_int_equal(peer_rows(&p, WEIR_TCP_TIME_WAIT), 0);
    peer_free(&p);
}

static void time_wait_syn_LNX_TCP_14_9293_S04_6191_1(void **arg)
{
    static struct peer p;
    struct w_tcpopt mss = {.has_mss = true, .mss = 1000};
    struct w_tcpopt ts = {.has_mss = true, .mss = 1000, .has_ts = true, .ts_val = 1000};
    (void)arg;
    start(&p);
    struct conn c = into_time_wait(&p, &mss);
    uint32_t old_nxt = c.rcv;
    c.iss = c.snd + 5000;
    conn_syn(&p, &c, &mss);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_SYN | W_TCP_ACK);
    assert_int_equal(p.log[0].th.seq - old_nxt, 65537);
    peer_free(&p);

    start(&p);
    c = into_time_wait(&p, &mss);
    c.iss = c.snd - 5000;
    conn_syn(&p, &c, &mss);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_ACK);
    peer_free(&p);

    start(&p);
    c = into_time_wait(&p, &ts);
    c.iss = c.snd - 5000;
    ts.ts_val = 2000;
    conn_syn(&p, &c, &ts);
    assert_int_equal(p.log[0].th.flags, W_TCP_SYN | W_TCP_ACK);
    peer_free(&p);

    start(&p);
    c = into_time_wait(&p, &mss);
    conn_at(&p, &c, W_TCP_RST, c.snd, 0, NULL, 0);
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_RST);
    peer_free(&p);
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

/* ---- active open ---------------------------------------------------------------------------------------------- */

static struct conn active(struct peer *p, int expect)
{
    struct conn c = {.theirs = p->next_port++, .wnd = 65535, .iss = 9, .snd = 9};
    struct weir_endpoint remote = {p->them, c.theirs}, local;

    peer_clear(p);
    assert_int_equal(weir_sock_open(p->stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &c.sock), 0);
    assert_int_equal(weir_sock_connect(p->stack, c.sock, &remote, p->now), expect);
    assert_int_equal(weir_sock_getsockname(p->stack, c.sock, &local), 0);
    c.ours = local.port;
    peer_drain(p);
    if (p->n > 0) {
        c.irs = p->log[0].th.seq;
        c.rcv = c.irs + 1;
    }
    return c;
}

static void syn_LNX_SYSCTL_21_LNX_SYSCTL_24(void **arg)
{
    static struct peer p;
    (void)arg;
    peer_init(&p);
    active(&p, WEIR_EINPROGRESS);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_SYN);
    assert_int_equal(p.log[0].th.wnd, 64240);
    assert_int_equal(p.log[0].th.ack, 0);
    assert_true(p.log[0].opt.has_mss && p.log[0].opt.mss == 1460);
    assert_true(p.log[0].opt.sack_permitted && p.log[0].opt.has_ts && p.log[0].opt.has_wscale);
    assert_int_equal(p.log[0].opt.wscale, 10); /* of tcp_rmem's 32 MiB */
    assert_int_equal(p.log[0].opt.ts_ecr, 0);
    assert_true(p.log[0].df);
    assert_int_equal(p.log[0].ttl, 64);
    peer_free(&p);
}

static void syn_retries_LNX_SYSCTL_02(void **arg)
{
    static const int at_s[] = {0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67};
    static struct peer p;
    (void)arg;
    peer_init(&p);
    struct conn c = active(&p, WEIR_EINPROGRESS);
    weir_time t0 = p.now;
    peer_run(&p, 130 * WEIR_SEC);
    assert_int_equal(p.n, 11);
    for (unsigned i = 0; i < 11; i++)
        assert_int_equal(p.log[i].at - t0, at_s[i] * WEIR_SEC);
    assert_int_equal(weir_sock_ready(p.stack, c.sock), 0);
    peer_run(&p, 2 * WEIR_SEC);
    assert_int_equal(conn_error(&p, &c), ETIMEDOUT);
    peer_free(&p);
}

static void close_in_syn_sent_LNX_TCP_26(void **arg)
{
    static struct peer p;
    (void)arg;
    peer_init(&p);
    struct conn c = active(&p, WEIR_EINPROGRESS);
    peer_clear(&p);
    assert_int_equal(weir_sock_close(p.stack, c.sock, p.now), 0);
    peer_drain(&p);
    assert_int_equal(p.n, 0);
    conn_at(&p, &c, W_TCP_SYN | W_TCP_ACK, 9, c.rcv, NULL, 0);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_RST);
    assert_int_equal(p.log[0].th.seq, c.rcv);
    peer_free(&p);
}

static void syn_sent_9293_SYNS_1_9293_SYNS_2_9293_SYNS_3_9293_SYNS_4_9293_SYNS_6_9293_SYNS_7(
    void **arg)
{
    static struct peer p;
    (void)arg;
    peer_init(&p);
    struct conn c = active(&p, WEIR_EINPROGRESS);
    peer_clear(&p);
    conn_at(&p, &c, W_TCP_SYN | W_TCP_ACK, 9, c.rcv + 1, NULL, 0); /* SYNS-1 */
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_RST);
    assert_int_equal(p.log[0].th.seq, c.rcv + 1);
    peer_clear(&p);
    conn_at(&p, &c, W_TCP_RST | W_TCP_ACK, 9, c.rcv + 4, NULL, 0); /* SYNS-2 */
    conn_at(&p, &c, W_TCP_RST, 9, 0, NULL, 0);                     /* SYNS-4 */
    conn_at(&p, &c, W_TCP_ACK, 9, c.rcv, NULL, 0);                 /* SYNS-7 */
    assert_int_equal(p.n, 0);
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_SYN_SENT);
    conn_at(&p, &c, W_TCP_SYN, 9, 0, NULL, 0); /* SYNS-6 */
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_SYN | W_TCP_ACK);
    assert_int_equal(p.log[0].th.seq, c.irs);
    assert_int_equal(p.log[0].th.ack, 10);
    conn_at(&p, &c, W_TCP_SYN | W_TCP_ACK, 9, c.rcv, NULL, 0);
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_ESTABLISHED);
    c = active(&p, WEIR_EINPROGRESS);
    conn_at(&p, &c, W_TCP_RST | W_TCP_ACK, 0, c.rcv, NULL, 0); /* SYNS-3 */
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_CLOSE);
    assert_int_equal(weir_sock_ready(p.stack, c.sock),
                     WEIR_POLLIN | WEIR_POLLOUT | WEIR_POLLERR | WEIR_POLLHUP | WEIR_POLLRDHUP);
    assert_int_equal(conn_error(&p, &c), ECONNREFUSED);
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

/* ---- errors and poll bits ------------------------------------------------------------------------------------- */

enum { IN = WEIR_POLLIN, OUT = WEIR_POLLOUT, ERR = WEIR_POLLERR, HUP = WEIR_POLLHUP };
enum { RDHUP = WEIR_POLLRDHUP };

static int bits(struct peer *p, struct conn *c)
{
    return weir_sock_ready(p->stack, c->sock);
}

static void poll_states_LNX_POLL_06_LNX_POLL_07_LNX_ERR_12(void **arg)
{
    static struct peer p;
    char data[16];
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    assert_int_equal(bits(&p, &c), OUT);
    conn_data(&p, &c, W_TCP_ACK | W_TCP_PSH, "hello", 5);
    assert_int_equal(bits(&p, &c), IN | OUT);
    conn_data(&p, &c, W_TCP_ACK | W_TCP_FIN, NULL, 0);
    assert_int_equal(bits(&p, &c), IN | OUT | RDHUP);
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_CLOSE_WAIT);
    assert_int_equal(conn_read(&p, &c, data, 16), 5);
    assert_int_equal(conn_read(&p, &c, data, 16), 0);
    assert_int_equal(bits(&p, &c), IN | OUT | RDHUP);
    conn_at(&p, &c, W_TCP_RST, c.snd, 0, NULL, 0); /* RST in CLOSE-WAIT: LNX-ERR-12 */
    assert_int_equal(bits(&p, &c), IN | OUT | ERR | HUP | RDHUP);
    assert_int_equal(conn_read(&p, &c, data, 1), 0);
    assert_int_equal(conn_error(&p, &c), EPIPE);
    assert_int_equal(conn_write(&p, &c, "x", 1), WEIR_EPIPE);
    peer_free(&p);
}

static void rst_after_data_LNX_ERR_14_LNX_ERR_11_LNX_POLL_10(void **arg)
{
    static struct peer p;
    char data[16];
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    conn_data(&p, &c, W_TCP_ACK | W_TCP_PSH, "abc", 3);
    conn_at(&p, &c, W_TCP_RST, c.snd, 0, NULL, 0);
    assert_int_equal(bits(&p, &c), IN | OUT | ERR | HUP | RDHUP);
    assert_int_equal(conn_read(&p, &c, data, 16), 3);
    assert_int_equal(conn_read(&p, &c, data, 16), WEIR_ECONNRESET);
    assert_int_equal(conn_read(&p, &c, data, 16), 0);
    assert_int_equal(bits(&p, &c), IN | OUT | HUP | RDHUP);
    assert_int_equal(conn_write(&p, &c, "x", 1), WEIR_EPIPE);
    c = peer_open(&p, 80);
    conn_at(&p, &c, W_TCP_RST, c.snd, 0, NULL, 0);
    assert_int_equal(conn_write(&p, &c, "x", 1), WEIR_ECONNRESET); /* LNX-ERR-11 */
    assert_int_equal(conn_write(&p, &c, "x", 1), WEIR_EPIPE);
    assert_int_equal(conn_read(&p, &c, data, 1), 0);
    peer_free(&p);
}

static void shutdown_LNX_SHUT_1_LNX_SHUT_2_LNX_SHUT_5(void **arg)
{
    static struct peer p;
    char data[16];
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    weir_sock_shutdown(p.stack, c.sock, WEIR_SHUT_RD, p.now);
    assert_int_equal(bits(&p, &c), IN | OUT | RDHUP);
    assert_int_equal(conn_read(&p, &c, data, 1), 0);
    conn_data(&p, &c, W_TCP_ACK | W_TCP_PSH, "late", 4);
    assert_int_equal(conn_read(&p, &c, data, 16), 4);
    assert_int_equal(conn_read(&p, &c, data, 16), 0);
    c = peer_open(&p, 80);
    weir_sock_shutdown(p.stack, c.sock, WEIR_SHUT_WR, p.now);
    assert_int_equal(conn_write(&p, &c, "x", 1), WEIR_EPIPE);
    c.rcv++;
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    assert_int_equal(bits(&p, &c), OUT);
    conn_data(&p, &c, W_TCP_ACK | W_TCP_FIN, NULL, 0);
    assert_int_equal(bits(&p, &c), IN | OUT | HUP | RDHUP);
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_CLOSE);
    c = active(&p, WEIR_EINPROGRESS);
    assert_int_equal(conn_write(&p, &c, "x", 1), WEIR_EAGAIN);
    assert_int_equal(conn_read(&p, &c, data, 1), WEIR_EAGAIN);
    assert_int_equal(weir_sock_shutdown(p.stack, c.sock, WEIR_SHUT_RD, p.now), 0);
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_CLOSE);
    assert_int_equal(bits(&p, &c), OUT | ERR | HUP);
    assert_int_equal(conn_error(&p, &c), ECONNRESET);
    peer_free(&p);
}

static void urgent_LNX_MSG_06_LNX_MSG_07_9293_M62(void **arg)
{
    static struct peer p;
    struct w_tcp th = {.flags = W_TCP_ACK | W_TCP_PSH | W_TCP_URG, .wnd = 65535, .urg = 3};
    char data[16];
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    assert_int_equal(weir_sock_recv(p.stack, c.sock, data, 1, WEIR_MSG_OOB, NULL, p.now),
                     WEIR_EINVAL);
    th.src_port = c.theirs;
    th.dst_port = c.ours;
    th.seq = c.snd;
    th.ack = c.rcv;
    peer_raw(&p, &th, NULL, 0, "abc", 3);
    assert_int_equal(bits(&p, &c), IN | WEIR_POLLPRI | OUT);
    assert_int_equal(conn_read(&p, &c, data, 9), 2);
    assert_memory_equal(data, "ab", 2);
    assert_int_equal(weir_sock_atmark(p.stack, c.sock), 1);
    assert_int_equal(weir_sock_recv(p.stack, c.sock, data, 1, WEIR_MSG_OOB, NULL, p.now), 1);
    assert_int_equal(data[0], 'c');
    assert_int_equal(conn_read(&p, &c, data, 9), WEIR_EAGAIN);
    peer_clear(&p);
    assert_int_equal(weir_sock_send(p.stack, c.sock, "xyz", 3, WEIR_MSG_OOB, NULL, p.now), 3);
    peer_drain(&p);
    assert_int_equal(p.n, 1);
    assert_true(p.log[0].th.flags & W_TCP_URG);
    assert_int_equal(p.log[0].th.urg, 3); /* 9293-M62: the octet behind */
    peer_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rst_and_syn_5961_01_5961_02_5961_03_5961_04),
        cmocka_unit_test(rst_before_rcv_nxt_after_fin_LNX_TCP_12),
        cmocka_unit_test(challenge_limit_LNX_SYSCTL_27_5961_08),
        cmocka_unit_test(ack_out_of_range_5961_07_9293_Y12_9293_ACK_1_9293_ACK_6),
        cmocka_unit_test(closed_port_9293_CLSD_1_9293_CLSD_2_9293_CLSD_3),
        cmocka_unit_test(listener_9293_LSTN_1_9293_LSTN_2_9293_LSTN_5_LNX_TCP_17),
        cmocka_unit_test(synack_retransmission_LNX_SYSCTL_03),
        cmocka_unit_test(accept_queue_LNX_SYSCTL_11),
        cmocka_unit_test(accept_queue_overflow_at_ack_LNX_SYSCTL_12),
        cmocka_unit_test(close_with_unread_data_LNX_TCP_09_9293_S03),
        cmocka_unit_test(data_after_shutdown_LNX_TCP_10),
        cmocka_unit_test(linger_zero_LNX_LING_3),
        cmocka_unit_test(fin_wait2_orphan_LNX_SYSCTL_07),
        cmocka_unit_test(time_wait_LNX_SYSCTL_08_9293_M13_9293_ACK_11),
        cmocka_unit_test(time_wait_syn_LNX_TCP_14_9293_S04_6191_1),
        cmocka_unit_test(tiny_peer_mss_LNX_SYSCTL_32),
        cmocka_unit_test(no_mss_option_9293_M15),
        cmocka_unit_test(first_flight_LNX_CC_05_6928_1),
        cmocka_unit_test(missing_timestamp_is_accepted_7323_10),
        cmocka_unit_test(paws_7323_16),
        cmocka_unit_test(sack_blocks_2018_03_2018_04_2883_2),
        cmocka_unit_test(dsack_below_ack_2883_1_2883_3),
        cmocka_unit_test(nagle_LNX_SO_04),
        cmocka_unit_test(cork_LNX_SO_02_LNX_SO_01),
        cmocka_unit_test(syn_LNX_SYSCTL_21_LNX_SYSCTL_24),
        cmocka_unit_test(syn_retries_LNX_SYSCTL_02),
        cmocka_unit_test(close_in_syn_sent_LNX_TCP_26),
        cmocka_unit_test(
            syn_sent_9293_SYNS_1_9293_SYNS_2_9293_SYNS_3_9293_SYNS_4_9293_SYNS_6_9293_SYNS_7),
        cmocka_unit_test(zero_window_probes_LNX_TCP_28),
        cmocka_unit_test(delayed_ack_LNX_TCP_03_LNX_TCP_04),
        cmocka_unit_test(keepalive_LNX_SYSCTL_09),
        cmocka_unit_test(user_timeout_LNX_SO_08),
        cmocka_unit_test(rto_and_r2_LNX_SYSCTL_01_LNX_SYSCTL_05),
        cmocka_unit_test(poll_states_LNX_POLL_06_LNX_POLL_07_LNX_ERR_12),
        cmocka_unit_test(rst_after_data_LNX_ERR_14_LNX_ERR_11_LNX_POLL_10),
        cmocka_unit_test(shutdown_LNX_SHUT_1_LNX_SHUT_2_LNX_SHUT_5),
        cmocka_unit_test(urgent_LNX_MSG_06_LNX_MSG_07_9293_M62),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
