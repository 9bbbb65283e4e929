/* SPDX-License-Identifier: MIT */
/* What Linux was seen to answer (kernel 6.18), segment by segment: how connections end, errors and poll bits. Numbers in names are requirement IDs. */
#include "unit/tcp_peer.h"

static void start(struct peer *p)
{
    peer_init(p);
    peer_listen(p, 80, 5);
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
    c = peer_connect(&p, WEIR_EINPROGRESS);
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
        cmocka_unit_test(close_with_unread_data_LNX_TCP_09_9293_S03),
        cmocka_unit_test(data_after_shutdown_LNX_TCP_10),
        cmocka_unit_test(linger_zero_LNX_LING_3),
        cmocka_unit_test(fin_wait2_orphan_LNX_SYSCTL_07),
        cmocka_unit_test(time_wait_LNX_SYSCTL_08_9293_M13_9293_ACK_11),
        cmocka_unit_test(time_wait_syn_LNX_TCP_14_9293_S04_6191_1),
        cmocka_unit_test(poll_states_LNX_POLL_06_LNX_POLL_07_LNX_ERR_12),
        cmocka_unit_test(rst_after_data_LNX_ERR_14_LNX_ERR_11_LNX_POLL_10),
        cmocka_unit_test(shutdown_LNX_SHUT_1_LNX_SHUT_2_LNX_SHUT_5),
        cmocka_unit_test(urgent_LNX_MSG_06_LNX_MSG_07_9293_M62),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
