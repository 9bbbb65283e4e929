/* SPDX-License-Identifier: MIT */
/*
 * What a sender is to reach on paths that do something to it: random loss, reordering, jitter, a stall,
 * lost ACKs, a lost tail, a policer. Each figure comes from the path and the algorithm, and is said beside
 * its row. The command of each row is "weir lab" and its words.
 */
#include <inttypes.h>

#include "lab/lab_flow.h"
#include "sim/lab_words.h"

/* ---- goodput ---------------------------------------------------------------------------------------- */

/* Share of `rate` for data that must be reached after the warm-up. */
struct target {
    const char *words;
    double rate, share;
};

static unsigned misses(const struct target *rows, size_t n)
{
    unsigned missed = 0;
    for (size_t i = 0; i < n; i++) {
        struct lab *lab = run_words(rows[i].words);
        const struct weir_tcp_info *info = &wr_lab_flow(lab, 0)->info;
        double share = share_of(lab, rows[i].rate);
        bool bad = share < rows[i].share || share > 1.01;
        print_message("%s%.3f, target %.2f: %s (%u sent again, %u time-outs)\n",
                      bad ? "MISSED " : "", share, rows[i].share, rows[i].words,
                      info->tcpi_total_retrans, info->tcpi_total_rto);
        missed += bad;
        wr_lab_free(lab);
    }
    return missed;
}

#define EXPECT_ALL(rows) assert_int_equal(misses(rows, sizeof(rows) / sizeof *(rows)), 0)

/* Nothing is lost but what overflows the queue, which holds a bandwidth-delay product: a sender that is not
 * deceived keeps the link busy. 3 ms are 2.5, 12 and 25 packets. From 50 Mbit/s on without timestamps
 * where overflows are followed by retransmissions: each one that fills the left edge moves TS.Recent, and
 * the receiver then refuses what was sent before it and held back (RFC 7323 5.3), 5 % of 12 or 25 packets: one
 * loss brings the next. Reno falls to just the path's own window after each overflow. */
static void reordering_costs_nothing(void **state)
{
    static const struct target rows[] = {
        {"rate=10mbit rtt=50ms queue=1bdp reorder=5%,3ms cc=reno time=30s warmup=5s", 10e6, 0.95},
        {"rate=10mbit rtt=50ms queue=1bdp reorder=5%,3ms cc=cubic time=30s warmup=5s", 10e6, 0.95},
        {"rate=50mbit rtt=50ms queue=1bdp reorder=5%,3ms cc=reno net.ipv4.tcp_timestamps=0 time=30s warmup=5s",
         50e6, 0.95},
        {"rate=50mbit rtt=50ms queue=1bdp reorder=5%,3ms cc=cubic net.ipv4.tcp_timestamps=0 time=30s warmup=5s",
         50e6, 0.95},
        {"rate=100mbit rtt=50ms queue=1bdp reorder=5%,3ms cc=bbr time=30s warmup=5s", 100e6, 0.95},
        {"rate=100mbit rtt=50ms queue=1bdp reorder=5%,3ms cc=reno net.ipv4.tcp_timestamps=0 "
         "time=30s warmup=5s",
         100e6, 0.90},
        {"rate=100mbit rtt=50ms queue=1bdp reorder=5%,3ms cc=cubic net.ipv4.tcp_timestamps=0 "
         "time=30s warmup=5s",
         100e6, 0.95},
    };
    (void)state;
    EXPECT_ALL(rows);
}

/* 30 % jitter on 50 ms. In order, it bunches packets and the queue must be deep enough for the bunches; out
 * of order, it is reordering by up to 30 ms, within the round trip that RFC 8985 6.2 waits at most. */
static void jitter_costs_little(void **state)
{
    static const struct target rows[] = {
        {"rate=10mbit rtt=50ms queue=1bdp jitter=15ms cc=reno time=30s warmup=5s", 10e6, 0.90},
        {"rate=10mbit rtt=50ms queue=1bdp jitter=15ms cc=cubic time=30s warmup=5s", 10e6, 0.90},
        {"rate=100mbit rtt=50ms queue=1bdp jitter=15ms cc=cubic time=20s warmup=5s", 100e6, 0.90},
        {"rate=10mbit rtt=50ms queue=1bdp jitter=15ms,free cc=reno net.ipv4.tcp_timestamps=0 time=30s warmup=5s",
         10e6, 0.90},
        {"rate=100mbit rtt=50ms queue=1bdp jitter=15ms,free cc=cubic net.ipv4.tcp_timestamps=0 time=30s warmup=5s",
         100e6, 0.90},
        {"rate=100mbit rtt=50ms queue=1bdp jitter=15ms,free cc=bbr time=30s warmup=5s", 100e6,
         0.90},
    };
    (void)state;
    EXPECT_ALL(rows);
}

/* A window that is too large for ACKs to be missed: each says what all before it said. */
static void lost_acks_cost_nothing(void **state)
{
    static const struct target rows[] = {
        {"rate=10mbit rtt=50ms queue=1bdp ack-loss=20% cc=reno time=30s warmup=5s", 10e6, 0.97},
        {"rate=10mbit rtt=50ms queue=1bdp ack-loss=20% cc=cubic time=30s warmup=5s", 10e6, 0.97},
        {"rate=100mbit rtt=50ms queue=1bdp ack-loss=20% cc=cubic time=30s warmup=5s", 100e6, 0.97},
        {"rate=100mbit rtt=50ms queue=1bdp ack-loss=20% cc=bbr time=30s warmup=5s", 100e6, 0.95},
    };
    (void)state;
    EXPECT_ALL(rows);
}

/* A token bucket holds no queue: from W the window falls to beta W and grows back, on average
 * (1 + beta) / 2 of W, which is the policed rate. The bucket's depth only helps. */
static void a_policer_leaves_the_sawtooth(void **state)
{
    static const struct target rows[] = {
        {"rate=50mbit rtt=50ms policer=5mbit,30kb cc=reno time=30s warmup=5s", 5e6, 0.75},
        {"rate=50mbit rtt=50ms policer=5mbit,30kb cc=cubic time=30s warmup=5s", 5e6, 0.85},
        {"rate=100mbit rtt=50ms policer=20mbit,125kb cc=reno time=30s warmup=5s", 20e6, 0.75},
        {"rate=100mbit rtt=50ms policer=20mbit,125kb cc=cubic time=30s warmup=5s", 20e6, 0.85},
        {"rate=100mbit rtt=50ms policer=20mbit,125kb cc=bbr time=30s warmup=5s", 20e6, 0.80},
    };
    (void)state;
    EXPECT_ALL(rows);
}

/* BBR does not take loss for congestion: above 85 % of the link where Reno's and CUBIC's response functions
 * (test_lab_goodput.c) leave a fifth. */
static void random_loss_does_not_stop_bbr(void **state)
{
    static const struct target rows[] = {
        {"rate=20mbit rtt=40ms queue=1bdp loss=1% cc=bbr time=30s warmup=5s", 20e6, 0.85},
        {"rate=100mbit rtt=100ms queue=1bdp loss=1% cc=bbr time=30s warmup=5s", 100e6, 0.85},
    };
    (void)state;
    EXPECT_ALL(rows);
}

/* ---- stalls ------------------------------------------------------------------------------------------ */

/* What was received between two times, from the samples. */
static uint64_t received_between(const struct lab_flow_result *flow, weir_time from, weir_time to)
{
    uint64_t first = 0, last = 0;
    for (size_t i = 0; i < flow->n_samples; i++) {
        first = flow->samples[i].at <= from ? flow->samples[i].received : first;
        last = flow->samples[i].at <= to ? flow->samples[i].received : last;
    }
    return last - first;
}

static uint32_t largest_cwnd(const struct lab_flow_result *flow, weir_time from, weir_time to)
{
    uint32_t most = 0;
    for (size_t i = 0; i < flow->n_samples; i++) {
        const struct lab_sample *s = &flow->samples[i];
        if (s->at > from && s->at <= to && s->cwnd > most)
            most = s->cwnd;
    }
    return most;
}

/* Nothing arrives for half a second. A time-out cannot be avoided; that it was needless shows with the first
 * ACK after it (RFC 5682, RFC 3522): what was in flight is not sent again, and cwnd comes back. */
struct stall {
    const char *words;
    double rate, share;
    bool whole; /* nothing is lost: cwnd stays what it was */
};

static void a_stall_costs_its_own_time_and_a_round_trip(void **state)
{
    static const struct stall rows[] = {
        /* The send buffer holds less than path and queue do, so that nothing is ever lost: of the five
         * seconds from the stall on, 0.5 are the stall's and one round trip is silence. */
        {"rate=10mbit rtt=50ms queue=4000 net.ipv4.tcp_wmem.max=200000 stall=5s,500ms cc=reno",
         10e6, 0.88, true},
        {"rate=10mbit rtt=50ms queue=4000 net.ipv4.tcp_wmem.max=200000 stall=5s,500ms cc=cubic",
         10e6, 0.88, true},
        {"rate=100mbit rtt=50ms queue=4000 net.ipv4.tcp_wmem.max=2000000 stall=5s,500ms cc=reno",
         100e6, 0.88, true},
        {"rate=100mbit rtt=50ms queue=4000 net.ipv4.tcp_wmem.max=2000000 stall=5s,500ms cc=cubic",
         100e6, 0.88, true},
        /* The window fills the queue. After the stall it is acknowledged at once, and the new one is a
         * burst of it all, of which the queue of one bandwidth-delay product holds half: a loss like any
         * other. What is left, (1 + beta) / 2 of the path and more, grows again. */
        {"rate=10mbit rtt=50ms queue=1bdp stall=5s,500ms cc=reno", 10e6, 0.75, false},
        {"rate=10mbit rtt=50ms queue=1bdp stall=5s,500ms cc=cubic", 10e6, 0.85, false},
        {"rate=100mbit rtt=50ms queue=1bdp stall=5s,500ms cc=cubic", 100e6, 0.85, false},
        {"rate=100mbit rtt=50ms queue=1bdp stall=5s,500ms cc=bbr", 100e6, 0.88, false},
    };
    unsigned missed = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char words[256];
        snprintf(words, sizeof words, "%s time=12s", rows[i].words);
        struct lab *lab = run_words(words);
        const struct lab_flow_result *flow = wr_lab_flow(lab, 0);
        uint64_t bytes = received_between(flow, 5 * WEIR_SEC, 10 * WEIR_SEC);
        double share = (double)bytes * 8 / 5 / (rows[i].rate * LINK_SHARE);
        uint32_t before = largest_cwnd(flow, 4 * WEIR_SEC, 5 * WEIR_SEC);
        uint32_t after = largest_cwnd(flow, 5800 * WEIR_MS, 6800 * WEIR_MS);
        uint32_t again = flow->info.tcpi_total_retrans;
        bool bad = share < rows[i].share || (rows[i].whole && (after < before || again > 3));
        print_message("%s%.3f, target %.2f; cwnd %u then %u: %s (%u sent again, %u time-outs)\n",
                      bad ? "MISSED " : "", share, rows[i].share, before, after, words, again,
                      flow->info.tcpi_total_rto);
        missed += bad;
        wr_lab_free(lab);
    }
    assert_int_equal(missed, 0);
}

/* ---- no ratchet -------------------------------------------------------------------------------------- */

/* Reordering without any loss, on a path that never fills: cwnd is limited by the send buffer alone. Each
 * false alarm that is taken back leaves it where it was; a ratchet would show as a window that
 * shrinks for good. Twice the path's own window is more than enough to call it whole. */
static void false_alarms_leave_no_ratchet(void **state)
{
    static const char *const rows[] = {
        "rate=100mbit rtt=50ms reorder=1%,20ms cc=reno time=20s",
        "rate=100mbit rtt=50ms reorder=1%,20ms cc=cubic time=20s",
        "rate=100mbit rtt=50ms reorder=5%,3ms cc=cubic net.ipv4.tcp_timestamps=0 time=20s",
        "rate=100mbit rtt=50ms jitter=15ms,free cc=cubic time=20s",
    };
    enum { WINDOW = 100000000 / 8 / 1500 / 20 }; /* packets in 50 ms */
    unsigned missed = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char words[256];
        snprintf(words, sizeof words, "%s queue=4000", rows[i]);
        struct lab *lab = run_words(words);
        const struct lab_flow_result *flow = wr_lab_flow(lab, 0);
        uint64_t bytes = received_between(flow, 5 * WEIR_SEC, 20 * WEIR_SEC);
        double share = (double)bytes * 8 / 15 / (100e6 * LINK_SHARE);
        uint32_t late = largest_cwnd(flow, 15 * WEIR_SEC, 20 * WEIR_SEC);
        bool bad = share < 0.95 || late < WINDOW;
        print_message("%s%.3f, cwnd at the end %u, path %u: %s (%u sent again)\n",
                      bad ? "MISSED " : "", share, late, WINDOW, words,
                      flow->info.tcpi_total_retrans);
        missed += bad;
        wr_lab_free(lab);
    }
    assert_int_equal(missed, 0);
}

/* ---- a lost tail ------------------------------------------------------------------------------------- */

/* Ten segments are the initial window: sent at 1 RTT, there at 1.5, acknowledged at 2. What is lost at the
 * end shows by a probe, one probe time-out after the last ACK. RFC 8985 7.2: 2 SRTT, with Linux's 2 ms for
 * its clock; when a single segment is in flight, 200 ms more for a delayed ACK, and never later than the RTO,
 * here 200 ms above SRTT. A single segment is repaired by the probe itself; what else the probe shows to be
 * missing is sent from the ACK of the probe on, one round trip later. With nothing else in flight RFC 9937
 * lets 1 go, then 2, 4 and so on. */
struct tail {
    const char *words;
    weir_time at_most;
};

static void a_lost_tail_is_repaired_by_a_probe(void **state)
{
    const weir_time rtt = 50 * WEIR_MS, way = rtt / 2;
    const weir_time probe = 2 * rtt + 2 * WEIR_MS, rto = rtt + 200 * WEIR_MS;
    /* A second flight ends with a delayed ACK, whose 40 ms move SRTT by 5. */
    const weir_time more = 45 * WEIR_MS;
    const struct tail rows[] = {
        {"rtt=50ms bytes=14480b lose=10", 2 * rtt + rto + way},
        {"rtt=50ms bytes=14480b lose=9-10", 2 * rtt + probe + rtt + way},
        {"rtt=50ms bytes=14480b lose=6-10", 2 * rtt + probe + rtt + way + 2 * rtt}, /* 1, 2, 1 */
        /* Nothing of the first flight arrives: the probe is due 2 SRTT after it was sent. */
        {"rtt=50ms bytes=14480b lose=1-10", rtt + probe + rtt + way + 3 * rtt}, /* 1, 2, 4, 2 */
        /* The tenth's SACK shows it, a quarter of a round trip of patience (RFC 8985 6.2). */
        {"rtt=50ms bytes=14480b lose=9", 2 * rtt + rtt / 4 + way},
        {"rtt=50ms bytes=43440b lose=29-30", 3 * rtt + more + probe + rtt + way},
        {"rtt=50ms bytes=43440b lose=30", 3 * rtt + more + rto + way},
        /* The probe is lost, too: then it is the RTO, counted from the probe, and slow start from 1. */
        {"rtt=50ms bytes=14480b lose=9-11", 2 * rtt + probe + rto + way + rtt},
    };
    unsigned missed = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct lab *lab = run_words(rows[i].words);
        const struct lab_flow_result *flow = wr_lab_flow(lab, 0);
        bool bad = flow->completed_at < 0 || flow->completed_at > rows[i].at_most;
        print_message("%s%" PRId64 " ms, at most %" PRId64 ": %s (%u time-outs)\n",
                      bad ? "MISSED " : "", flow->completed_at / WEIR_MS, rows[i].at_most / WEIR_MS,
                      rows[i].words, flow->info.tcpi_total_rto);
        missed += bad;
        wr_lab_free(lab);
    }
    assert_int_equal(missed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reordering_costs_nothing),
        cmocka_unit_test(jitter_costs_little),
        cmocka_unit_test(lost_acks_cost_nothing),
        cmocka_unit_test(a_policer_leaves_the_sawtooth),
        cmocka_unit_test(random_loss_does_not_stop_bbr),
        cmocka_unit_test(a_stall_costs_its_own_time_and_a_round_trip),
        cmocka_unit_test(false_alarms_leave_no_ratchet),
        cmocka_unit_test(a_lost_tail_is_repaired_by_a_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
