/* SPDX-License-Identifier: MIT */
/* Windows, buffers, ACK frequency and limits, with a scripted peer. */
#include "unit/tcp_peer.h"

#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"

enum { MSS = 1000 };

static void start(struct peer *p)
{
    peer_init(p);
    peer_listen(p, 80, 5);
}

static uint32_t window_of(const struct got *got, unsigned shift)
{
    return (uint32_t)got->th.wnd << shift;
}

static const struct w_tcpopt scaled = {
    .has_mss = true, .mss = MSS, .sack_permitted = true, .has_wscale = true, .wscale = 7};

/* Uses the quick ACKs of the flow up, as a reader that keeps up. */
static void past_quick_acks(struct peer *p, struct conn *c)
{
    uint8_t data[MSS] = {0};
    for (int i = 0; i < 20; i++) {
        conn_data(p, c, W_TCP_ACK, data, MSS);
        conn_read(p, c, data, MSS);
        peer_run(p, 60 * WEIR_MS);
    }
    p->n = 0;
}

/* LNX-TCP-06: two full segments are acknowledged at once while the reader keeps up, one is not. */
static void every_second_segment_LNX_TCP_06_9293_S19_5681_13(void **arg)
{
    static struct peer p;
    uint8_t data[MSS] = {0};
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    past_quick_acks(&p, &c);
    for (unsigned i = 1; i <= 20; i++) {
        conn_data(&p, &c, W_TCP_ACK, data, MSS);
        conn_read(&p, &c, data, MSS);
        assert_int_equal(p.n, i / 2);
    }
    peer_free(&p);
}

/* 5681-08: out of order, and the segment that fills the hole: an ACK each, at once. */
static void immediate_acks_5681_08_9293_Y13_9293_M59(void **arg)
{
    static struct peer p;
    uint8_t data[MSS] = {0};
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    past_quick_acks(&p, &c);
    for (uint32_t i = 1; i <= 5; i++) {
        conn_at(&p, &c, W_TCP_ACK, c.snd + i * MSS, c.rcv, data, MSS);
        assert_int_equal(p.n, i);
        assert_int_equal(p.log[i - 1].th.ack, c.snd);
    }
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, data, MSS);
    assert_int_equal(p.n, 6); /* one, with the final number */
    assert_int_equal(p.log[5].th.ack, c.snd + 6 * MSS);
    peer_free(&p);
}

/* The window closes when less than a sixteenth is free, never moves its right edge back, and opens in a
 * step worth an ACK. */
static void window_closes_and_opens_LNX_TCP_19_9293_S14_9293_M39(void **arg)
{
    static struct peer p;
    static uint8_t data[200000];
    (void)arg;
    start(&p);
    struct conn c = peer_open_with(&p, 80, &scaled);
    uint32_t shift = 10, edge = 0, wnd = 1;
    for (int i = 0; i < 200 && wnd > 0; i++) {
        conn_data(&p, &c, W_TCP_ACK, data, MSS);
        peer_run(&p, 250 * WEIR_MS);
        assert_true(p.n > 0);
        wnd = window_of(&p.log[p.n - 1], shift);
        uint32_t right = p.log[p.n - 1].th.ack + wnd;
        /* Where the buffer ends the unit of the field may show (RFC 7323 2.4), before it nothing. */
        bool at_end = weir_sock_inq(p.stack, c.sock) + (ptrdiff_t)wnd > 131072 - 2048;
        assert_true(edge == 0 || seq_geq(right + (at_end ? 1023 : 0), edge));
        edge = right;
        p.n = 0;
    }
    assert_int_equal(wnd, 0);
    assert_true(weir_sock_inq(p.stack, c.sock) > 50000);
    conn_read(&p, &c, data, 1);
    conn_read(&p, &c, data, 500);
    assert_int_equal(p.n, 0); /* not worth it */
    conn_read(&p, &c, data, 100000);
    assert_int_equal(p.n, 1);
    assert_true(window_of(&p.log[0], shift) >= 4096);
    peer_free(&p);
}

/* LNX-TCP-11: a segment that passes the window is taken whole only while nothing waits to be read. */
static void past_the_window_LNX_TCP_11(void **arg)
{
    static struct peer p;
    static uint8_t data[60000], sink[60000];
    (void)arg;
    start(&p);
    int value = 18000;
    assert_int_equal(weir_sock_setsockopt(p.stack, p.listener, WEIR_SOL_SOCKET, WEIR_SO_RCVBUF,
                                          &value, sizeof value, p.now),
                     0);
    struct conn c = peer_open(&p, 80);
    conn_data(&p, &c, W_TCP_ACK, data, 40000); /* the window is 18000 */
    assert_int_equal(weir_sock_inq(p.stack, c.sock), 40000);
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, data, 40000); /* not now */
    assert_int_equal(weir_sock_inq(p.stack, c.sock), 40000);
    assert_int_equal(conn_read(&p, &c, sink, 60000), 40000);
    conn_data(&p, &c, W_TCP_ACK, data, 30000);
    assert_int_equal(weir_sock_inq(p.stack, c.sock), 30000);
    peer_free(&p);
}

/* The send buffer follows cwnd beyond 16 KB; LNX-POLL-12: POLLOUT is back with a third free, told once. */
static void send_buffer_LNX_SYSCTL_22_LNX_POLL_12(void **arg)
{
    static struct peer p;
    struct weir_event event;
    ptrdiff_t before, after;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    before = conn_fill(&p, &c, 100000);
    assert_true(before >= 16384 && before < 100000);
    uint32_t end = c.rcv + (uint32_t)before;
    while (seq_lt(c.rcv, end))
        conn_ack(&p, &c, seq_min(c.rcv + MSS, end), NULL, 0);
    after = conn_fill(&p, &c, 100000);
    assert_true(after > 3 * before / 2);
    assert_false(weir_sock_ready(p.stack, c.sock) & WEIR_POLLOUT);
    while (weir_next_event(p.stack, &event))
        ;
    unsigned events = 0;
    end = c.rcv + (uint32_t)after;
    int value = (int)(after / 2);
    assert_int_equal(conn_opt(&p, &c, WEIR_SOL_SOCKET, WEIR_SO_SNDBUF, value),
                     0); /* no more growth */
    while (seq_lt(c.rcv + MSS, end)) {
        conn_ack(&p, &c, c.rcv + MSS, NULL, 0);
        bool writable = (weir_sock_ready(p.stack, c.sock) & WEIR_POLLOUT) != 0;
        uint32_t queued = (uint32_t)weir_sock_outq(p.stack, c.sock);
        assert_int_equal(writable, queued <= (uint32_t)after / 2 * 2 * 2 / 3);
        while (weir_next_event(p.stack, &event))
            events += event.sock == c.sock;
    }
    assert_int_equal(events, 1);
    peer_free(&p);
}

/* The receive window doubles per round trip while the reader keeps up; SO_RCVBUF fixes it. */
static uint32_t grown_window(bool fixed)
{
    static struct peer p;
    static uint8_t data[MSS], sink[1 << 20];
    start(&p);
    p.rtt = 100 * WEIR_MS;
    if (fixed) {
        int value = 65536;
        assert_int_equal(weir_sock_setsockopt(p.stack, p.listener, WEIR_SOL_SOCKET, WEIR_SO_RCVBUF,
                                              &value, sizeof value, p.now),
                         0);
    }
    struct conn c = peer_open_with(&p, 80, &scaled);
    uint32_t wnd = 60000, shift = 0;
    struct weir_tcp_info info = conn_info(&p, &c);
    shift = info.tcpi_wscale >> 4;
    for (int round = 0; round < 8; round++) {
        for (uint32_t sent = 0; sent + MSS <= wnd && sent < 1000000; sent += MSS) {
            conn_data(&p, &c, W_TCP_ACK, data, MSS);
            if (p.n > PEER_LOG / 2)
                p.n = 0;
        }
        while (conn_read(&p, &c, sink, sizeof sink) > 0)
            ;
        p.n = 0;
        p.now += 100 * WEIR_MS;
        conn_data(&p, &c, W_TCP_ACK, data, MSS);
        peer_run(&p, 50 * WEIR_MS);
        assert_true(p.n > 0);
        wnd = window_of(&p.log[p.n - 1], shift);
        p.n = 0;
    }
    peer_free(&p);
    return wnd;
}

static void receive_buffer_LNX_SYSCTL_23_LNX_SO_15(void **arg)
{
    (void)arg;
    assert_true(grown_window(false) > 500000);
    assert_true(grown_window(true) <= 65536 + 1024);
}

/* Above tcp_max_tw_buckets a connection just closes. */
static void time_wait_limit_LNX_SYSCTL_16(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    p.stack->tunables.tcp_max_tw_buckets = 10;
    for (int i = 0; i < 20; i++) {
        struct conn c = peer_open(&p, 80);
        weir_sock_close(p.stack, c.sock, p.now);
        peer_drain(&p);
        c.rcv++;
        conn_data(&p, &c, W_TCP_ACK | W_TCP_FIN, NULL, 0);
    }
    assert_int_equal(peer_rows(&p, WEIR_TCP_TIME_WAIT), 10);
    assert_int_equal(peer_drops(&p, "tcp_timewait_full"), 10);
    peer_free(&p);
}

/* A closed connection whose FIN nobody acknowledges lives about eight backoffs: 102 s. */
static void orphan_LNX_SYSCTL_06(void **arg)
{
    static struct peer p;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    weir_sock_close(p.stack, c.sock, p.now);
    peer_run(&p, 100 * WEIR_SEC);
    assert_int_equal(peer_rows(&p, WEIR_TCP_FIN_WAIT1), 1);
    peer_run(&p, 120 * WEIR_SEC);
    assert_int_equal(peer_rows(&p, WEIR_TCP_FIN_WAIT1), 0);
    peer_free(&p);
}

/* TCP_DEFER_ACCEPT: the bare ACK does not open, data does; without data the ACK of a later SYN-ACK. */
static void defer_accept_LNX_SO_07(void **arg)
{
    static struct peer p;
    int value = 5;
    weir_sock sock;
    (void)arg;
    start(&p);
    assert_int_equal(weir_sock_setsockopt(p.stack, p.listener, WEIR_SOL_TCP, WEIR_TCP_DEFER_ACCEPT,
                                          &value, sizeof value, p.now),
                     0);
    struct conn c = peer_conn(&p, 80);
    conn_syn(&p, &c, NULL);
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    assert_int_equal(weir_sock_accept(p.stack, p.listener, &sock, NULL, p.now), WEIR_EAGAIN);
    conn_data(&p, &c, W_TCP_ACK | W_TCP_PSH, "hello", 5);
    assert_int_equal(weir_sock_accept(p.stack, p.listener, &sock, NULL, p.now), 0);
    c = peer_conn(&p, 80);
    conn_syn(&p, &c, NULL);
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    p.n = 0;
    peer_wait(&p, 1, 10 * WEIR_SEC); /* the SYN-ACK at the end of the period */
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_SYN | W_TCP_ACK);
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    assert_int_equal(weir_sock_accept(p.stack, p.listener, &sock, NULL, p.now), 0);
    peer_free(&p);
}

/* 1122-8: a megabyte goes in as many segments as it needs, and none is sent twice. */
static void few_segments_1122_8(void **arg)
{
    static struct peer p;
    uint32_t sent = 0, segments = 0, seen = 0;
    (void)arg;
    start(&p);
    struct conn c = peer_open(&p, 80);
    uint32_t base = c.rcv;
    while (seen < 1000000) {
        if (sent < 1000000) {
            size_t want = 1000000 - sent < 100000 ? 1000000 - sent : 100000;
            ptrdiff_t n = conn_fill(&p, &c, want);
            if (n > 0)
                sent += (uint32_t)n;
        }
        for (unsigned i = 0; i < p.n; i++) {
            segments += p.log[i].len > 0;
            if (p.log[i].len > 0)
                seen = p.log[i].th.seq + p.log[i].len - base;
        }
        p.n = 0;
        conn_ack(&p, &c, base + seen, NULL, 0);
    }
    assert_true(segments <= 1000 + 20); /* the send buffer's end cuts a few */
    assert_int_equal(conn_info(&p, &c).tcpi_total_retrans, 0);
    peer_free(&p);
}

/* 2018-12, CVE-2019-11477 (SACK Panic), hostile I35: MSS 48 and every second segment SACKed. */
static void sack_panic_2018_12(void **arg)
{
    static struct peer p;
    struct w_tcpopt opt = {.has_mss = true, .mss = 1, .sack_permitted = true};
    (void)arg;
    start(&p);
    struct conn c = peer_open_with(&p, 80, &opt);
    uint32_t una = c.rcv, acked = 0;
    while (conn_info(&p, &c).tcpi_snd_cwnd < 4000 && acked < 3000000) { /* a large flight first */
        conn_fill(&p, &c, 100000);
        p.n = 0;
        uint32_t flight = conn_info(&p, &c).tcpi_unacked * 48;
        acked += flight;
        conn_ack(&p, &c, c.rcv + (flight < 100000 ? flight : 48), NULL, 0);
        if (flight < 96)
            break;
    }
    una = c.rcv;
    conn_fill(&p, &c, 100000);
    p.n = 0;
    size_t before = p.probe.live_bytes;
    uint32_t in_flight = 0;
    for (uint32_t at = 24; at + 24 < 200000; at += 48) {
        struct w_sack block = {una + at, una + at + 24};
        if (seq_gt(block.end, una + conn_info(&p, &c).tcpi_unacked * 48))
            break;
        conn_ack(&p, &c, una, &block, 1);
        in_flight = at;
        p.n = 0;
    }
    assert_true(in_flight > 0);
    assert_true(p.probe.live_bytes < before + 2 * WR_TCP_MAX_SENT * sizeof(struct wr_sent));
    peer_free(&p);
}

/* An ACK that is owed goes at once and alone when there is no memory to send data with: no byte leaves that is not noted
 * as sent, and nothing is held back until a timer rings (RFC 9293 3.8.6.3). */
static void ack_without_memory_for_data(void **arg)
{
    static struct peer p;
    unsigned met = 0;
    (void)arg;
    for (unsigned nth = 0; nth < 16; nth++) { /* the even ones by the long way, for the FIN */
        uint16_t fin = nth % 2 == 0 ? W_TCP_FIN : 0;
        start(&p);
        struct conn c = peer_open(&p, 80);
        assert_int_equal(weir_sock_send(p.stack, c.sock, "abc", 3, 0, NULL, p.now), 3);
        p.probe.fail_at = p.probe.calls + 1 + nth / 2;
        conn_data(&p, &c, W_TCP_ACK | W_TCP_PSH | fin, "xyz", 3);
        p.probe.fail_at = 0;
        if (weir_sock_inq(p.stack, c.sock) == 3) {
            assert_int_equal(p.log[0].at, p.now);
            assert_int_equal(p.log[0].th.ack, c.snd);
            met |= p.log[0].len == 0 ? 1u << nth % 2 : 0;
            assert_int_equal(p.log[0].th.flags, W_TCP_ACK | (p.log[0].len == 3 ? W_TCP_PSH : 0));
        }
        peer_free(&p);
    }
    assert_int_equal(met, 3);
}

/* While a probe of the path MTU waits for its window, ACKs carry none of its data. */
static void ack_while_a_probe_waits_4821(void **arg)
{
    static struct peer p;
    static const struct w_tcpopt full = {.has_mss = true,
                                         .mss = 1460}; /* no D-SACK comes with ACKs */
    (void)arg;
    start(&p);
    assert_int_equal(weir_sysctl_set(p.stack, "net.ipv4.tcp_mtu_probing", 2), 0);
    struct conn c = peer_open_with(&p, 80, &full);
    uint32_t next = c.rcv, acks = 0;
    conn_data(&p, &c, W_TCP_ACK, "x", 1);
    for (unsigned round = 0; round < 400; round++) {
        conn_fill(&p, &c, 30000);
        conn_at(&p, &c, W_TCP_ACK, c.snd - 1, c.rcv, "x", 1); /* seen before: an ACK at once */
        for (unsigned i = 0; i < p.n; i++) {
            assert_int_equal(p.log[i].th.seq, next); /* each byte leaves once */
            next += p.log[i].len;
            acks += p.log[i].len == 0;
        }
        p.n = 0;
        p.now += WEIR_MS;
        uint32_t most = round % 7 * 1000, flight = next - c.rcv;
        c.rcv += flight < most ? flight : most;
        conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    }
    assert_true(acks > 0);
    peer_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_second_segment_LNX_TCP_06_9293_S19_5681_13),
        cmocka_unit_test(immediate_acks_5681_08_9293_Y13_9293_M59),
        cmocka_unit_test(window_closes_and_opens_LNX_TCP_19_9293_S14_9293_M39),
        cmocka_unit_test(past_the_window_LNX_TCP_11),
        cmocka_unit_test(send_buffer_LNX_SYSCTL_22_LNX_POLL_12),
        cmocka_unit_test(receive_buffer_LNX_SYSCTL_23_LNX_SO_15),
        cmocka_unit_test(time_wait_limit_LNX_SYSCTL_16),
        cmocka_unit_test(orphan_LNX_SYSCTL_06),
        cmocka_unit_test(defer_accept_LNX_SO_07),
        cmocka_unit_test(few_segments_1122_8),
        cmocka_unit_test(sack_panic_2018_12),
        cmocka_unit_test(ack_without_memory_for_data),
        cmocka_unit_test(ack_while_a_probe_waits_4821),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
