/* SPDX-License-Identifier: MIT */
/* What Linux was seen to answer (kernel 6.18), segment by segment: how connections begin, and what no connection wants. Numbers in names are requirement IDs. */
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

/* ---- active open ---------------------------------------------------------------------------------------------- */

static void syn_LNX_SYSCTL_21_LNX_SYSCTL_24(void **arg)
{
    static struct peer p;
    (void)arg;
    peer_init(&p);
    peer_connect(&p, WEIR_EINPROGRESS);
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
    struct conn c = peer_connect(&p, WEIR_EINPROGRESS);
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
    struct conn c = peer_connect(&p, WEIR_EINPROGRESS);
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
    struct conn c = peer_connect(&p, WEIR_EINPROGRESS);
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
    c = peer_connect(&p, WEIR_EINPROGRESS);
    conn_at(&p, &c, W_TCP_RST | W_TCP_ACK, 0, c.rcv, NULL, 0); /* SYNS-3 */
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_CLOSE);
    assert_int_equal(weir_sock_ready(p.stack, c.sock),
                     WEIR_POLLIN | WEIR_POLLOUT | WEIR_POLLERR | WEIR_POLLHUP | WEIR_POLLRDHUP);
    assert_int_equal(conn_error(&p, &c), ECONNREFUSED);
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
        cmocka_unit_test(syn_LNX_SYSCTL_21_LNX_SYSCTL_24),
        cmocka_unit_test(syn_retries_LNX_SYSCTL_02),
        cmocka_unit_test(close_in_syn_sent_LNX_TCP_26),
        cmocka_unit_test(
            syn_sent_9293_SYNS_1_9293_SYNS_2_9293_SYNS_3_9293_SYNS_4_9293_SYNS_6_9293_SYNS_7),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
