/* SPDX-License-Identifier: MIT */
/* Delivery-rate samples, pacing and use of cwnd, seen through TCP_INFO and the times of segments. */
#include "core/core.h"
#include "unit/tcp_peer.h"

#include <weir/cc.h>
#include <weir/stack.h>

enum { MSS = 1000 };
#define RTT (100 * WEIR_MS)

static struct peer p;
static struct conn c;

static void start(const char *cc)
{
    peer_init(&p);
    p.rtt = RTT;
    assert_int_equal(weir_sysctl_write(p.stack, "net.ipv4.tcp_congestion_control", cc), 0);
    peer_listen(&p, 80, 5);
    c = peer_open(&p, 80);
    assert_int_equal(conn_opt(&p, &c, WEIR_SOL_SOCKET, WEIR_SO_SNDBUF, 1000000), 0);
}

static void set_tunable(const char *name, int64_t value)
{
    assert_int_equal(weir_sysctl_set(p.stack, name, value), 0);
}

static void set_rate(int bytes_per_second)
{
    assert_int_equal(conn_opt(&p, &c, WEIR_SOL_SOCKET, WEIR_SO_MAX_PACING_RATE, bytes_per_second),
                     0);
}

static void ack_to(uint32_t offset) /* from the first byte of the stream */
{
    conn_ack(&p, &c, c.irs + 1 + offset, NULL, 0);
}

/* n segments acknowledged one by one, `gap` apart, from `offset` on; time has passed after each. */
static void ack_each(uint32_t offset, unsigned n, weir_time gap)
{
    for (unsigned i = 1; i <= n; i++) {
        ack_to(offset + i * MSS);
        if (i < n)
            peer_run(&p, gap);
    }
}

/* ---- delivery rate --------------------------------------------------------------------------------- */

/* Ten segments sent at once and acknowledged 1 ms apart: the last of them saw 10,000 bytes delivered in the
 * 109 ms since it left. The first flight of a connection counts as application limited, as on Linux. */
static void the_rate_of_a_flight_BBR_14_LNX_INFO_6(void **state)
{
    (void)state;
    start("cubic");
    conn_fill(&p, &c, 10 * MSS);
    assert_int_equal(p.n, 10);
    peer_run(&p, RTT);
    ack_each(0, 10, WEIR_MS);
    struct weir_tcp_info info = conn_info(&p, &c);
    assert_int_equal(info.tcpi_delivery_rate, 10000 * 1000 / 109);
    assert_int_equal(info.tcpi_delivery_limited & 1, 1);
    assert_int_equal(info.tcpi_delivered, 11); /* with the SYN */
    assert_int_equal(info.tcpi_delivered_ce, 0);
    peer_free(&p);
}

/* ACKs come compressed: within 100 ms those of data that took 200 ms to send. The rate is that of sending. */
static void compressed_acks_BBR_14(void **state)
{
    (void)state;
    start("cubic");
    for (int i = 0; i < 9; i++) {
        conn_fill(&p, &c, MSS);
        peer_run(&p, 10 * WEIR_MS);
    }
    peer_run(&p, 110 * WEIR_MS);
    ack_to(MSS); /* of what left 200 ms ago */
    conn_fill(&p, &c, MSS);
    peer_run(&p, RTT);
    ack_to(10 * MSS);
    /* 8 and the last: 9 segments between the last one's departure and now */
    assert_int_equal(conn_info(&p, &c).tcpi_delivery_rate, 9 * MSS * 5);
    peer_free(&p);
}

/* What the application sends slowly says nothing of the path; what it sends slowly because the path is
 * slow does. */
static void application_limited_samples_BBR_14(void **state)
{
    (void)state;
    start("cubic");
    conn_fill(&p, &c, 30 * MSS);
    peer_run(&p, RTT);
    ack_each(0, 10, WEIR_MS);
    peer_run(&p, RTT - 9 * WEIR_MS);
    ack_each(10 * MSS, 20, WEIR_MS);
    struct weir_tcp_info fast = conn_info(&p, &c);
    assert_int_equal(fast.tcpi_delivery_limited & 1, 0);
    assert_true(fast.tcpi_delivery_rate > 150000);
    peer_run(&p, RTT);
    conn_fill(&p, &c, MSS);
    peer_run(&p, RTT);
    ack_to(31 * MSS); /* 10 kB/s */
    assert_int_equal(conn_info(&p, &c).tcpi_delivery_rate, fast.tcpi_delivery_rate);

    conn_fill(&p, &c, 60 * MSS); /* more than cwnd: what follows is the path's */
    for (uint32_t at = 31; at < 91; at++) {
        peer_run(&p, 50 * WEIR_MS);
        ack_to((at + 1) * MSS);
    }
    struct weir_tcp_info slow = conn_info(&p, &c);
    assert_true(slow.tcpi_delivery_rate < 25000);
    peer_free(&p);
}

/* SACKed once, acknowledged later: delivered once. A retransmission counts when it arrives. */
static void delivered_counts_once_LNX_INFO_2(void **state)
{
    (void)state;
    start("cubic");
    conn_fill(&p, &c, 10 * MSS);
    peer_run(&p, RTT);
    uint32_t base = c.irs + 1;
    struct w_sack block = {base + 5 * MSS, base + 10 * MSS};
    conn_ack(&p, &c, base + 4 * MSS, &block, 1);
    assert_int_equal(conn_info(&p, &c).tcpi_delivered, 1 + 4 + 5);
    peer_run(&p, RTT);
    conn_ack(&p, &c, base + 10 * MSS, NULL, 0);
    assert_int_equal(conn_info(&p, &c).tcpi_delivered, 1 + 10);
    peer_free(&p);
}

/* ---- pacing ---------------------------------------------------------------------------------------- */

static void not_paced_by_default(void **state)
{
    (void)state;
    start("cubic");
    conn_fill(&p, &c, 40 * MSS);
    peer_run(&p, RTT);
    peer_clear(&p);
    ack_to(10 * MSS);
    assert_int_equal(p.n, 20);
    assert_int_equal(p.log[19].at, p.log[0].at);
    assert_int_equal(conn_info(&p, &c).tcpi_max_pacing_rate, UINT64_MAX);
    peer_free(&p);
}

/* SO_MAX_PACING_RATE of 100 kB/s: after the first ten segments one each 10 ms, by the timer alone. */
static void max_pacing_rate(void **state)
{
    (void)state;
    start("cubic");
    set_tunable("net.ipv4.tcp_min_tso_segs", 1);
    set_rate(100000);
    conn_fill(&p, &c, 40 * MSS);
    assert_int_equal(p.n, 10); /* Linux: the first ten are free */
    peer_run(&p, RTT);
    peer_clear(&p);
    ack_to(10 * MSS);
    peer_run(&p, 95 * WEIR_MS);
    assert_in_range(p.n, 9, 11);
    for (unsigned i = 2; i < p.n; i++)
        assert_int_equal(p.log[i].at - p.log[i - 1].at, 10 * WEIR_MS);
    struct weir_tcp_info info = conn_info(&p, &c);
    assert_int_equal(info.tcpi_max_pacing_rate, 100000);
    assert_int_equal(info.tcpi_pacing_rate, 100000);

    unsigned before = p.n;
    set_rate(-1); /* no limit any more: what waits goes */
    assert_true(p.n > before + 5);
    assert_int_equal(p.log[p.n - 1].at, p.now);
    peer_free(&p);
}

/* The option as on Linux: 4 bytes or 8, read as it is asked for. */
static void max_pacing_rate_option(void **state)
{
    uint64_t wide = UINT64_C(5000000000), got64 = 0;
    uint32_t got32 = 0;
    size_t len = sizeof got32;
    (void)state;
    start("cubic");
    assert_int_equal(weir_sock_getsockopt(p.stack, c.sock, WEIR_SOL_SOCKET, WEIR_SO_MAX_PACING_RATE,
                                          &got32, &len, p.now),
                     0);
    assert_true(got32 == UINT32_MAX && len == 4);
    assert_int_equal(weir_sock_setsockopt(p.stack, c.sock, WEIR_SOL_SOCKET, WEIR_SO_MAX_PACING_RATE,
                                          &wide, sizeof wide, p.now),
                     0);
    len = sizeof got64;
    assert_int_equal(weir_sock_getsockopt(p.stack, c.sock, WEIR_SOL_SOCKET, WEIR_SO_MAX_PACING_RATE,
                                          &got64, &len, p.now),
                     0);
    assert_true(got64 == wide && len == 8);
    assert_int_equal(weir_sock_setsockopt(p.stack, c.sock, WEIR_SOL_SOCKET, WEIR_SO_MAX_PACING_RATE,
                                          &wide, 2, p.now),
                     WEIR_EINVAL);
    peer_free(&p);
}

/* 200 % of cwnd / srtt in slow start, 120 % of it later; both tunable. */
static void ratios_LNX_SYSCTL_35(void **state)
{
    (void)state;
    start("reno");
    set_tunable("weir.tcp_pacing", 1);
    set_tunable("net.ipv4.tcp_min_tso_segs", 1);
    conn_fill(&p, &c, 60 * MSS);
    peer_run(&p, RTT);
    peer_clear(&p);
    ack_to(10 * MSS); /* cwnd 20, srtt 100 ms: 400 kB/s, a segment each 2.5 ms */
    peer_run(&p, 40 * WEIR_MS);
    assert_int_equal(conn_info(&p, &c).tcpi_pacing_rate, 400000);
    assert_in_range(p.n, 16, 18);
    for (unsigned i = 2; i < p.n; i++)
        assert_in_range(p.log[i].at - p.log[i - 1].at, 2450 * WEIR_US, 2500 * WEIR_US);
    set_tunable("net.ipv4.tcp_pacing_ss_ratio", 100);
    assert_int_equal(conn_info(&p, &c).tcpi_pacing_rate, 200000);
    peer_free(&p);

    start("reno"); /* not paced, but TCP_INFO says what it would be */
    conn_fill(&p, &c, 10 * MSS);
    peer_run(&p, RTT);
    struct w_sack block = {c.irs + 1 + 5 * MSS, c.irs + 1 + 10 * MSS};
    conn_ack(&p, &c, c.irs + 1, &block, 1);
    peer_run(&p, RTT);
    ack_to(10 * MSS);
    struct weir_tcp_info info = conn_info(&p, &c);
    assert_int_equal(info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh);
    assert_in_range(info.tcpi_pacing_rate, 1200000 / 100 * info.tcpi_snd_cwnd * 99 / 100,
                    1200000 / 100 * info.tcpi_snd_cwnd);
    peer_free(&p);
}

/* While data waits for its time: ACKs go at once, the FIN behind the data, the head after a time-out. */
static void what_pacing_does_not_hold(void **state)
{
    (void)state;
    start("cubic");
    set_rate(1000); /* a segment a second */
    conn_fill(&p, &c, 20 * MSS);
    peer_run(&p, RTT);
    ack_to(10 * MSS);
    peer_run(&p, 2 * WEIR_MS);
    unsigned data = p.n;
    peer_clear(&p);
    conn_at(&p, &c, W_TCP_ACK | W_TCP_PSH, c.snd, c.rcv, "abc", 3);
    peer_run(&p, 50 * WEIR_MS);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].len, 0);
    assert_true(data >= 10);
    /* The one that left is lost: it goes again, after the probe or the time-out, and not a second later. */
    peer_clear(&p);
    peer_run(&p, 500 * WEIR_MS);
    assert_true(p.n >= 1);
    peer_free(&p);
}

/* TCP_CONGESTION: BBR brings pacing with it; Linux's first rate is 2.89 of cwnd / srtt, less 1 %. */
static void bbr_is_paced_LNX_CC_06(void **state)
{
    (void)state;
    start("cubic");
    assert_int_equal(
        weir_sock_setsockopt(p.stack, c.sock, WEIR_SOL_TCP, WEIR_TCP_CONGESTION, "bbr", 3, p.now),
        0);
    conn_fill(&p, &c, 60 * MSS);
    assert_int_equal(p.n, 10);
    assert_int_equal(conn_info(&p, &c).tcpi_pacing_rate, 100000 * 739 / 256 * 99 / 100);
    peer_run(&p, RTT);
    peer_clear(&p);
    ack_to(10 * MSS);
    peer_run(&p, 20 * WEIR_MS);
    assert_true(p.n >= 6 && p.n < 16);
    for (unsigned i = 1; i < p.n; i += 2) /* two at a time, 1000 / 285785 s for each */
        assert_int_equal(p.log[i].at, p.log[i - 1].at);
    for (unsigned i = 4; i < p.n; i += 2)
        assert_in_range(p.log[i].at - p.log[i - 2].at, 6990 * WEIR_US, 7000 * WEIR_US);
    /* Back to an algorithm that is not paced: what waits goes at once. */
    unsigned before = p.n;
    assert_int_equal(
        weir_sock_setsockopt(p.stack, c.sock, WEIR_SOL_TCP, WEIR_TCP_CONGESTION, "reno", 4, p.now),
        0);
    peer_run(&p, 0);
    assert_true(p.n > before);
    peer_free(&p);
}

/* A stack of its own: a paced connection that waits leaves nothing to do but its timer. */
static void waiting_costs_nothing(void **state)
{
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    (void)state;
    start("cubic");
    set_tunable("net.ipv4.tcp_min_tso_segs", 1);
    set_rate(10000);
    conn_fill(&p, &c, 20 * MSS);
    peer_run(&p, RTT);
    ack_to(10 * MSS);
    peer_drain(&p);
    for (int i = 0; i < 3; i++) {
        weir_time at = weir_deadline(p.stack);
        assert_true(at > p.now + 40 * WEIR_MS && at <= p.now + 100 * WEIR_MS);
        p.now = at;
        weir_advance(p.stack, p.now);
        size_t len = weir_output(p.stack, p.ifindex, &out, p.now);
        assert_int_equal(len, 20 + 20 + MSS);
        assert_int_equal(weir_output(p.stack, p.ifindex, &out, p.now), 0);
        weir_advance(p.stack, p.now);
    }
    peer_free(&p);
}

/* ---- use of cwnd ------------------------------------------------------------------------------------ */

/* In slow start cwnd grows while half of it is used: 9 in flight make it 18 and no more. */
static void cwnd_stops_at_twice_what_is_used_LNX_CC_03_7661_1(void **state)
{
    uint32_t at = 0;
    (void)state;
    start("reno");
    for (int round = 0; round < 6; round++) {
        conn_fill(&p, &c, 9 * MSS);
        peer_run(&p, RTT);
        ack_each(at, 9, 0);
        at += 9 * MSS;
    }
    assert_in_range(conn_info(&p, &c).tcpi_snd_cwnd, 17, 19);
    peer_free(&p);
}

/* Beyond slow start only a window that was full counts. */
static void cwnd_that_is_not_full_does_not_grow_LNX_CC_03(void **state)
{
    uint32_t at = 10 * MSS;
    (void)state;
    start("reno");
    conn_fill(&p, &c, 10 * MSS);
    peer_run(&p, RTT);
    struct w_sack block = {c.irs + 1 + 5 * MSS, c.irs + 1 + 10 * MSS};
    conn_ack(&p, &c, c.irs + 1, &block, 1);
    peer_run(&p, RTT);
    ack_to(at);
    uint32_t cwnd = conn_info(&p, &c).tcpi_snd_cwnd;
    for (int round = 0; round < 8; round++) { /* one less than cwnd */
        conn_fill(&p, &c, (cwnd - 1) * MSS);
        peer_run(&p, RTT);
        ack_each(at, cwnd - 1, 0);
        at += (cwnd - 1) * MSS;
    }
    assert_int_equal(conn_info(&p, &c).tcpi_snd_cwnd, cwnd);
    for (int round = 0; round < 2; round++) { /* full */
        conn_fill(&p, &c, cwnd * MSS);
        peer_run(&p, RTT);
        ack_each(at, cwnd, 0);
        at += cwnd * MSS;
    }
    assert_true(conn_info(&p, &c).tcpi_snd_cwnd > cwnd);
    peer_free(&p);
}

/* Grows cwnd to 80 in slow start, all of it used; how many bytes. */
static uint32_t grow_to_80(void)
{
    uint32_t at = 0;
    for (uint32_t n = 10; n < 80; n *= 2) {
        conn_fill(&p, &c, n * MSS);
        peer_run(&p, RTT);
        ack_each(at, n, 0);
        at += n * MSS;
    }
    assert_int_equal(conn_info(&p, &c).tcpi_snd_cwnd, 80);
    return at;
}

/* RFC 2861 3.2 as on Linux: after an RTO in which 20 of 80 were used cwnd is half way between. */
static void unused_cwnd_shrinks_LNX_SYSCTL_26(void **state)
{
    (void)state;
    start("reno");
    uint32_t at = grow_to_80();
    weir_time end = p.now + 350 * WEIR_MS; /* RTO is 300 ms */
    while (p.now < end) {
        conn_fill(&p, &c, 20 * MSS);
        peer_run(&p, RTT);
        ack_each(at, 20, 0);
        at += 20 * MSS;
    }
    struct weir_tcp_info info = conn_info(&p, &c);
    assert_int_equal(info.tcpi_snd_cwnd, 50);
    assert_int_equal(info.tcpi_snd_ssthresh, 0x7fffffff); /* the larger of what it was and 60 */
    peer_free(&p);

    start("reno");
    at = grow_to_80();
    set_tunable("net.ipv4.tcp_slow_start_after_idle", 0);
    for (int i = 0; i < 10; i++) {
        conn_fill(&p, &c, 20 * MSS);
        peer_run(&p, RTT);
        ack_each(at, 20, 0);
        at += 20 * MSS;
    }
    assert_int_equal(conn_info(&p, &c).tcpi_snd_cwnd, 80);
    peer_free(&p);
}

/* A model-based algorithm has its own way with idle time: its window stays. */
static void bbr_keeps_cwnd_over_idle_time_BBR_12(void **state)
{
    (void)state;
    start("bbr");
    conn_fill(&p, &c, 10 * MSS);
    peer_run(&p, RTT);
    ack_each(0, 10, 0);
    uint32_t cwnd = conn_info(&p, &c).tcpi_snd_cwnd;
    assert_true(cwnd >= 15);
    peer_run(&p, 3 * WEIR_SEC);
    conn_fill(&p, &c, MSS);
    assert_int_equal(conn_info(&p, &c).tcpi_snd_cwnd, cwnd);
    peer_free(&p);
}

/* Linux's tcp_sndbuf_expand() and bbr_sndbuf_expand(): two windows and a bit, three for BBR. */
static void send_buffer_follows_cwnd(void **state)
{
    static const char *const names[] = {"reno", "bbr"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        uint32_t at = 0;
        int size = 0;
        size_t len = sizeof size;
        peer_init(&p);
        p.rtt = RTT;
        assert_int_equal(weir_sysctl_write(p.stack, "net.ipv4.tcp_congestion_control", names[i]),
                         0);
        peer_listen(&p, 80, 5);
        c = peer_open(&p, 80);
        for (uint32_t n = 10; n < 40; n *= 2) {
            conn_fill(&p, &c, n * MSS);
            peer_run(&p, RTT + 60 * WEIR_MS);
            ack_each(at, n, 0);
            at += n * MSS;
        }
        assert_int_equal(weir_sock_getsockopt(p.stack, c.sock, WEIR_SOL_SOCKET, WEIR_SO_SNDBUF,
                                              &size, &len, p.now),
                         0);
        uint32_t cwnd = conn_info(&p, &c).tcpi_snd_cwnd;
        assert_in_range(size, (uint32_t)(2 + i) * cwnd * MSS,
                        (uint32_t)(2 + i) * cwnd * MSS + 6 * MSS);
        peer_free(&p);
    }
}

/* RFC 5681 3: no more in flight than cwnd, whatever happens but a probe or limited transmit. */
static void never_more_than_cwnd_5681_01(void **state)
{
    (void)state;
    start("reno");
    uint32_t at = 0;
    uint64_t x = 88172645463325252u;
    conn_fill(&p, &c, 100 * MSS);
    for (int i = 0; i < 60 && at < 100; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        peer_run(&p, (weir_time)(x % 60) * WEIR_MS);
        struct weir_tcp_info info = conn_info(&p, &c);
        assert_true(info.tcpi_unacked <= info.tcpi_snd_cwnd + 2);
        uint32_t step = 1 + (uint32_t)(x >> 32) % 3;
        if (step <= info.tcpi_unacked) {
            at += step;
            ack_to(at * MSS);
        }
        info = conn_info(&p, &c);
        assert_true(info.tcpi_unacked <= info.tcpi_snd_cwnd + 2);
    }
    peer_free(&p);
}

/* ---- what an algorithm is told ------------------------------------------------------------------------ */

static unsigned spy_rounds, spy_acks, spy_idles;
static weir_time spy_idle, spy_min_rtt;
static struct weir_cc_ack spy_last;

static void spy_init(struct weir_cc *cc, weir_time now)
{
    (void)now;
    assert_int_equal(cc->cwnd, 10 * MSS);
    assert_int_equal(cc->ssthresh, UINT32_MAX);
    assert_true(cc->selective_acks);
}

static void spy_on_ack(struct weir_cc *cc, const struct weir_cc_ack *ack, weir_time now)
{
    (void)now;
    spy_min_rtt = cc->min_rtt;
    spy_acks++;
    spy_rounds += ack->round_start;
    spy_last = *ack;
}

static void spy_on_congestion(struct weir_cc *cc, uint32_t in_flight, bool by_ecn, weir_time now)
{
    (void)by_ecn;
    (void)now;
    assert_true(in_flight > 0);
    cc->ssthresh = cc->cwnd;
}

static void spy_on_rto(struct weir_cc *cc, uint32_t in_flight, weir_time now)
{
    (void)in_flight;
    (void)now;
    cc->ssthresh = cc->cwnd;
}

static void spy_on_idle(struct weir_cc *cc, weir_time idle, weir_time now)
{
    (void)cc;
    (void)now;
    spy_idles++;
    spy_idle = idle;
}

static const struct weir_cc_ops spy = {.name = "spy",
                                       .init = spy_init,
                                       .on_ack = spy_on_ack,
                                       .on_congestion = spy_on_congestion,
                                       .on_rto = spy_on_rto,
                                       .on_idle = spy_on_idle};

/* RFC 9406 4.2: a round ends with the ACK of what was SND.NXT when it began. And the sample of an ACK. */
static void rounds_end_at_window_end_9406_1(void **state)
{
    (void)state;
    peer_init(&p);
    p.rtt = RTT;
    assert_int_equal(weir_cc_register(p.stack, &spy), 0);
    assert_int_equal(weir_sysctl_write(p.stack, "net.ipv4.tcp_congestion_control", "spy"), 0);
    peer_listen(&p, 80, 5);
    c = peer_open(&p, 80);
    spy_rounds = spy_acks = spy_idles = 0;
    conn_fill(&p, &c, 10 * MSS);
    peer_run(&p, RTT);
    ack_to(
        MSS); /* the first ACK begins a round, which ends with what is sent by now: 10 segments */
    assert_int_equal(spy_rounds, 1);
    for (uint32_t i = 2; i <= 9; i++)
        ack_to(i * MSS);
    assert_int_equal(spy_rounds, 1);
    conn_fill(&p, &c, 3 * MSS);
    ack_to(10 * MSS);
    assert_int_equal(spy_rounds, 2);
    ack_to(12 * MSS);
    assert_int_equal(spy_rounds, 2);
    ack_to(13 * MSS);
    assert_int_equal(spy_rounds, 3);
    assert_int_equal(spy_last.acked_bytes, MSS);
    assert_int_equal(spy_last.in_flight_bytes, 0);
    assert_int_equal(spy_last.prior_in_flight_bytes, MSS);
    assert_true(spy_last.has_sample);
    assert_int_equal(spy_last.sample_delivered, 13 * MSS - spy_last.prior_delivered);
    assert_int_equal(spy_idles, 0);
    peer_run(&p, WEIR_SEC);
    conn_fill(&p, &c, MSS);
    assert_int_equal(spy_idles, 1);
    assert_int_equal(spy_idle, WEIR_SEC);
    peer_free(&p);
}

/* weir/cc.h: min_rtt is known after the first sample, also to whom sent before the handshake gave it. */
static void min_rtt_is_that_of_the_handshake(void **state)
{
    struct w_tcpopt opt = {.has_mss = true, .mss = MSS, .sack_permitted = true};

    (void)state;
    peer_init(&p);
    assert_int_equal(weir_cc_register(p.stack, &spy), 0);
    assert_int_equal(weir_sysctl_write(p.stack, "net.ipv4.tcp_congestion_control", "spy"), 0);
    weir_sysctl_set(p.stack, "net.ipv4.tcp_fastopen", 0x602); /* for all, without cookies */
    peer_listen(&p, 80, 5);
    c = peer_conn(&p, 80);
    conn_syn_data(&p, &c, &opt, "0123456789", 10);
    c.snd += 10;
    assert_int_equal(weir_sock_accept(p.stack, p.listener, &c.sock, NULL, p.now), 0);
    conn_fill(&p, &c, 2 * MSS);
    peer_run(&p, RTT);
    conn_ack(&p, &c, c.rcv, NULL, 0); /* of the SYN-ACK */
    peer_run(&p, 5 * WEIR_MS);
    ack_to(2 * MSS);
    assert_int_equal(spy_min_rtt, RTT);
    peer_free(&p);
}

static int choose(const char *name)
{
    return weir_sock_setsockopt(p.stack, c.sock, WEIR_SOL_TCP, WEIR_TCP_CONGESTION, name,
                                strlen(name), p.now);
}

/* First principles: a sender whose new algorithm needs more room moves with its flight; without memory it stays
 * as it is. */
static void algorithms_change_in_flight(void **state)
{
    char name[WEIR_CC_NAME_MAX] = "";
    size_t len = sizeof name;

    (void)state;
    peer_init(&p);
    p.rtt = RTT;
    assert_int_equal(weir_sysctl_write(p.stack, "net.ipv4.tcp_congestion_control", "reno"), 0);
    peer_listen(&p, 80, 5);
    c = peer_open(&p, 80);
    conn_fill(&p, &c, 10 * MSS);
    peer_run(&p, RTT);
    p.stack->mem_max_bytes = p.stack->mem_bytes;
    assert_int_equal(choose("bbr3"), WEIR_ENOMEM);
    assert_int_equal(
        weir_sock_getsockopt(p.stack, c.sock, WEIR_SOL_TCP, WEIR_TCP_CONGESTION, name, &len, p.now),
        0);
    assert_string_equal(name, "reno");
    p.stack->mem_max_bytes = 0;
    assert_int_equal(choose("bbr3"), 0);
    ack_to(3 * MSS);
    assert_int_equal(choose("reno"), 0); /* the room stays */
    ack_to(6 * MSS);
    assert_int_equal(choose("cubic"), 0);
    ack_to(10 * MSS);
    conn_fill(&p, &c, 3 * MSS);
    ack_to(13 * MSS);
    assert_int_equal(conn_info(&p, &c).tcpi_unacked, 0);
    assert_int_equal(conn_info(&p, &c).tcpi_retransmits, 0);
    peer_free(&p);
}

/* First principles: nor does it need another connection's place, where there may be no more of them. */
static void algorithms_change_at_the_limit(void **state)
{
    (void)state;
    peer_init_limits(&p, 0, 1);
    assert_int_equal(weir_sysctl_write(p.stack, "net.ipv4.tcp_congestion_control", "reno"), 0);
    c = peer_connect(&p, WEIR_EINPROGRESS);
    conn_at(&p, &c, W_TCP_SYN | W_TCP_ACK, c.iss, c.rcv, NULL, 0);
    c.snd = c.iss + 1;
    conn_fill(&p, &c, 536);
    assert_int_equal(choose("cubic"), 0);
    assert_int_equal(choose("bbr"), 0);
    assert_int_equal(choose("bbr3"), 0);
    ack_to(536);
    assert_int_equal(conn_info(&p, &c).tcpi_unacked, 0);
    peer_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rate_of_a_flight_BBR_14_LNX_INFO_6),
        cmocka_unit_test(compressed_acks_BBR_14),
        cmocka_unit_test(application_limited_samples_BBR_14),
        cmocka_unit_test(delivered_counts_once_LNX_INFO_2),
        cmocka_unit_test(not_paced_by_default),
        cmocka_unit_test(max_pacing_rate),
        cmocka_unit_test(max_pacing_rate_option),
        cmocka_unit_test(ratios_LNX_SYSCTL_35),
        cmocka_unit_test(what_pacing_does_not_hold),
        cmocka_unit_test(bbr_is_paced_LNX_CC_06),
        cmocka_unit_test(waiting_costs_nothing),
        cmocka_unit_test(cwnd_stops_at_twice_what_is_used_LNX_CC_03_7661_1),
        cmocka_unit_test(cwnd_that_is_not_full_does_not_grow_LNX_CC_03),
        cmocka_unit_test(unused_cwnd_shrinks_LNX_SYSCTL_26),
        cmocka_unit_test(bbr_keeps_cwnd_over_idle_time_BBR_12),
        cmocka_unit_test(send_buffer_follows_cwnd),
        cmocka_unit_test(never_more_than_cwnd_5681_01),
        cmocka_unit_test(rounds_end_at_window_end_9406_1),
        cmocka_unit_test(min_rtt_is_that_of_the_handshake),
        cmocka_unit_test(algorithms_change_in_flight),
        cmocka_unit_test(algorithms_change_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
