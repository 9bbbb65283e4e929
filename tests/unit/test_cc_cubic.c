/* SPDX-License-Identifier: MIT */
/*
 * CUBIC stepped alone, round by round, against the formulas of RFC 9438 and RFC 9406 computed here in
 * floating point.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include <weir/cc.h>

enum { MSS = 1000 };

static struct weir_cc cc;
static weir_time now;

static void start(uint32_t cwnd, uint32_t ssthresh)
{
    memset(&cc, 0, sizeof cc);
    now = 1000 * WEIR_SEC;
    cc.cwnd = cwnd;
    cc.ssthresh = ssthresh;
    cc.smss = MSS;
    cc.srtt = cc.min_rtt = 100 * WEIR_MS;
    weir_cc_cubic.init(&cc, now);
}

/* One round trip in which the whole window is acknowledged, two segments an ACK. */
static void round_trip(weir_time rtt)
{
    uint32_t left = cc.cwnd;
    weir_time step = rtt / (weir_time)(left / (2 * MSS) + 1);
    bool first = true;
    while (left > 0) {
        uint32_t acked = left < 2 * MSS ? left : 2 * MSS;
        struct weir_cc_ack ack = {
            .acked_bytes = acked, .rtt = rtt, .cwnd_limited = true, .round_start = first};
        now += step;
        weir_cc_cubic.on_ack(&cc, &ack, now);
        left -= acked;
        first = false;
    }
}

static void round_trips(int n, weir_time rtt)
{
    for (int i = 0; i < n; i++)
        round_trip(rtt);
}

static void reduces_to_seven_tenths_9438_06(void **unused)
{
    (void)unused;
    start(100 * MSS, 50 * MSS);
    weir_cc_cubic.on_congestion(&cc, cc.cwnd, false, now);
    assert_in_range(cc.cwnd, 69 * MSS, 71 * MSS);
    assert_int_equal(cc.cwnd, cc.ssthresh);
    start(2 * MSS, MSS);
    weir_cc_cubic.on_congestion(&cc, cc.cwnd, false, now);
    assert_int_equal(cc.ssthresh, 2 * MSS);
}

/* After a loss at W the window is within 2 % of the cubic function, and beyond W in the end (W so large
 * that Reno's estimate plays no part). */
static void follows_the_cubic_9438_01(void **unused)
{
    (void)unused;
    start(10000 * MSS, 5000 * MSS);
    weir_cc_cubic.on_congestion(&cc, cc.cwnd, false, now);
    double w_max = 10000, k = cbrt(w_max * (1 - 717.0 / 1024) / 0.4);
    weir_time begin = now;
    for (int i = 0; i < 300; i++) {
        round_trip(100 * WEIR_MS);
        double t = (double)(now - begin) / 1e9;
        double expected = 0.4 * pow(t - k, 3) + w_max;
        assert_true(fabs((double)cc.cwnd / MSS - expected) < 0.02 * expected);
    }
    assert_true((double)cc.cwnd > 1.04 * w_max * MSS);
}

/* RFC 9438 4.3: on a short path it grows as Reno would from b*W: alpha = 0.53 segments a round trip. */
static void is_no_slower_than_reno_9438_04(void **unused)
{
    (void)unused;
    start(20 * MSS, 10 * MSS);
    cc.srtt = WEIR_MS;
    weir_cc_cubic.on_congestion(&cc, cc.cwnd, false, now);
    uint32_t before = cc.cwnd;
    round_trips(8, WEIR_MS);
    double grown = (double)(cc.cwnd - before) / MSS;
    assert_true(grown > 8 * 0.529 * 0.9 && grown < 8 * 0.529 * 1.1);
}

/* A second loss below the old maximum: the plateau comes at 0.85 of this window, not at it. */
static void fast_convergence_9438_09(void **unused)
{
    (void)unused;
    start(1000 * MSS, 50 * MSS);
    weir_cc_cubic.on_congestion(&cc, cc.cwnd, false, now);
    uint32_t second = cc.cwnd;
    weir_cc_cubic.on_congestion(&cc, cc.cwnd, false, now);
    double plateau = 0.85 * second / MSS;
    double k = cbrt((plateau - (double)cc.cwnd / MSS) / 0.4);
    weir_time until = now + (weir_time)(k * 1e9);
    while (now < until)
        round_trip(100 * WEIR_MS);
    assert_true(fabs((double)cc.cwnd / MSS - plateau) < 0.03 * plateau);
}

static void undo_restores_the_epoch_9438_11(void **unused)
{
    (void)unused;
    start(1000 * MSS, 500 * MSS);
    weir_cc_cubic.on_congestion(&cc, cc.cwnd, false, now);
    round_trips(20, 100 * WEIR_MS);
    struct weir_cc untouched = cc;
    weir_time then = now;
    weir_cc_cubic.on_congestion(&cc, cc.cwnd, false, now);
    weir_cc_cubic.on_undo(&cc, now);
    cc.cwnd = untouched.cwnd;
    cc.ssthresh = untouched.ssthresh;
    round_trips(20, 100 * WEIR_MS);
    struct weir_cc undone = cc;
    cc = untouched;
    now = then;
    round_trips(20, 100 * WEIR_MS);
    assert_int_equal(cc.cwnd, undone.cwnd);
}

static void no_growth_when_not_cwnd_limited_9438_07(void **unused)
{
    (void)unused;
    start(10 * MSS, UINT32_MAX);
    struct weir_cc_ack ack = {.acked_bytes = 2 * MSS, .rtt = 100 * WEIR_MS};
    weir_cc_cubic.on_ack(&cc, &ack, now);
    assert_int_equal(cc.cwnd, 10 * MSS);
}

/* RFC 9438 4.8: after an RTO the curve is convex from the start: no plateau at the old window, and no
 * second HyStart (RFC 9406 4.3): a risen RTT does not end this slow start. */
static void rto_forgets_the_plateau_9438_10_9406_8(void **unused)
{
    (void)unused;
    start(100 * MSS, UINT32_MAX);
    weir_cc_cubic.on_rto(&cc, cc.cwnd, now);
    assert_int_equal(cc.ssthresh, 100 * MSS * 717 / 1024);
    cc.cwnd = MSS;
    round_trips(4, 100 * WEIR_MS);
    round_trips(2, 200 * WEIR_MS);
    assert_int_equal(cc.cwnd, 64 * MSS);
    cc.cwnd = cc.ssthresh;
    uint32_t w = cc.cwnd;
    round_trips(30,
                100 * WEIR_MS); /* C t^3 = 0.4 * 27 = 10.8 segments, Reno's estimate 0.53 * 30 */
    assert_true(cc.cwnd > w + 14 * MSS && cc.cwnd < w + 22 * MSS);
}

/* RFC 9406 4.2: a rising RTT brings the conservative phase, five rounds of it end slow start; a steady
 * RTT never does. */
static void hystart_leaves_slow_start_9406_2_9406_5(void **unused)
{
    (void)unused;
    start(16 * MSS, UINT32_MAX);
    round_trips(4, 100 * WEIR_MS);
    assert_int_equal(cc.cwnd, 256 * MSS);
    assert_int_equal(cc.ssthresh, UINT32_MAX);
    round_trip(120 * WEIR_MS); /* risen by more than an eighth */
    uint32_t at_css = cc.cwnd;
    round_trips(2, 120 * WEIR_MS);
    assert_true(cc.cwnd < at_css * 8 / 5 + MSS); /* a quarter a round */
    round_trips(4, 120 * WEIR_MS);
    assert_true(cc.ssthresh <= cc.cwnd);
}

static void hystart_resumes_after_a_false_rise_9406_4(void **unused)
{
    (void)unused;
    start(16 * MSS, UINT32_MAX);
    round_trips(3, 100 * WEIR_MS);
    round_trip(120 * WEIR_MS);
    round_trips(8, 100 * WEIR_MS);
    assert_int_equal(cc.ssthresh, UINT32_MAX);
    assert_true(cc.cwnd > 16 * MSS * 256);
}

/* RFC 9438 4.2: however far the curve is ahead, a round trip adds no more than half. */
static void growth_is_at_most_half_a_round_9438_02(void **unused)
{
    (void)unused;
    start(1000 * MSS, 500 * MSS);
    weir_cc_cubic.on_congestion(&cc, cc.cwnd, false, now);
    cc.cwnd = 10 * MSS;
    cc.ssthresh = 5 * MSS;
    for (int i = 0; i < 8; i++) { /* RTT of 20 s: the curve leaps by thousands of segments */
        uint32_t before = cc.cwnd;
        cc.srtt = 20 * WEIR_SEC;
        round_trip(20 * WEIR_SEC);
        /* Within a round each ACK sees a larger cwnd: (1 + 0.5 / n)^n of n ACKs is under e^0.5. */
        assert_true(cc.cwnd > before && cc.cwnd < (uint32_t)(before * 1.66));
    }
}

/* RFC 9438 4.2 and 5.8: ten seconds without sending do not move along the curve. */
static void idle_time_does_not_count_9438_03(void **unused)
{
    (void)unused;
    start(1000 * MSS, 500 * MSS);
    weir_cc_cubic.on_congestion(&cc, cc.cwnd, false, now);
    round_trips(20, 100 * WEIR_MS);
    struct weir_cc before = cc;
    weir_time then = now;
    round_trips(10, 100 * WEIR_MS);
    uint32_t without = cc.cwnd;
    cc = before;
    now = then + 10 * WEIR_SEC;
    weir_cc_cubic.on_idle(&cc, 10 * WEIR_SEC, now);
    round_trips(10, 100 * WEIR_MS);
    assert_int_equal(cc.cwnd, without);
}

/* RFC 9438 4.3: from the window of the last reduction on as Reno, one segment a round trip. */
static void as_reno_beyond_the_old_window_9438_05(void **unused)
{
    (void)unused;
    start(20 * MSS, 10 * MSS);
    cc.srtt = WEIR_MS;
    weir_cc_cubic.on_congestion(&cc, cc.cwnd, false, now);
    for (int i = 0; cc.cwnd <= 21 * MSS; i++) {
        assert_true(i < 40);
        round_trip(WEIR_MS);
    }
    uint32_t before = cc.cwnd;
    round_trips(8, WEIR_MS);
    double grown = (double)(cc.cwnd - before) / MSS;
    assert_true(grown > 8 * 0.9 && grown < 8 * 1.1);
}

/* RFC 9438 4.10: slow start that ends without loss begins the curve at its own window: W_max = cwnd, K = 0. */
static void after_hystart_the_curve_is_convex_9438_12(void **unused)
{
    (void)unused;
    start(16 * MSS, UINT32_MAX);
    round_trips(3, 100 * WEIR_MS);
    for (int i = 0; cc.ssthresh == UINT32_MAX; i++) {
        assert_true(i < 10);
        round_trip(120 * WEIR_MS);
    }
    uint32_t at = cc.cwnd;
    weir_time began = now;
    uint32_t last = 0, before = at;
    for (int i = 0; i < 50; i++) {
        round_trip(100 * WEIR_MS);
        assert_true(cc.cwnd - before + MSS / 2 >= last); /* each round more than the one before */
        last = cc.cwnd - before;
        before = cc.cwnd;
    }
    double t = (double)(now - began) / 1e9 + 0.1, curve = 0.4 * t * t * t;
    double grown = (double)(cc.cwnd - at) / MSS;
    assert_true(grown > curve * 0.9 && grown < curve * 1.15 + 4);
}

/* ---- HyStart++ -------------------------------------------------------------------------------------- */

/* One round trip of n ACKs with one segment each. */
static void acks(unsigned n, weir_time rtt)
{
    for (unsigned i = 0; i < n; i++) {
        struct weir_cc_ack ack = {
            .acked_bytes = MSS, .rtt = rtt, .cwnd_limited = true, .round_start = i == 0};
        weir_cc_cubic.on_ack(&cc, &ack, now);
    }
}

/* How much eight ACKs add after rounds of `base` and one of `risen` with n samples. */
static uint32_t growth_after(weir_time base, weir_time risen, unsigned n)
{
    start(100 * MSS, UINT32_MAX);
    acks(10, base);
    acks(10, base);
    acks(n, risen);
    uint32_t before = cc.cwnd;
    acks(8, risen);
    return (cc.cwnd - before) / MSS;
}

/* RFC 9406 4.2: the threshold is an eighth of the last minimum between 4 and 16 ms, and 8 samples make a
 * judgement. In CSS 8 segments acknowledged are 2 of growth. */
static void thresholds_9406_2_9406_3(void **unused)
{
    (void)unused;
    assert_int_equal(growth_after(100 * WEIR_MS, 112 * WEIR_MS, 10), 8); /* 12.5 ms */
    assert_int_equal(growth_after(100 * WEIR_MS, 113 * WEIR_MS, 10), 2);
    assert_int_equal(growth_after(100 * WEIR_MS, 113 * WEIR_MS, 7), 8); /* too few */
    assert_int_equal(growth_after(8 * WEIR_MS, 11 * WEIR_MS, 10), 8);   /* at least 4 ms */
    assert_int_equal(growth_after(8 * WEIR_MS, 12 * WEIR_MS, 10), 2);
    assert_int_equal(growth_after(400 * WEIR_MS, 415 * WEIR_MS, 10), 8); /* at most 16 ms */
    assert_int_equal(growth_after(400 * WEIR_MS, 416 * WEIR_MS, 10), 2);
}

/* RFC 9406 4.2: loss or ECN ends slow start and CSS for good. */
static void congestion_ends_it_9406_6(void **unused)
{
    (void)unused;
    for (int by_ecn = 0; by_ecn < 2; by_ecn++) {
        assert_int_equal(growth_after(100 * WEIR_MS, 113 * WEIR_MS, 10), 2); /* in CSS */
        uint32_t cwnd = cc.cwnd;
        weir_cc_cubic.on_congestion(&cc, cwnd, by_ecn != 0, now);
        assert_int_equal(cc.ssthresh, (uint32_t)((uint64_t)cwnd * 717 / 1024));
        assert_int_equal(cc.cwnd, cc.ssthresh);
        cc.ssthresh = UINT32_MAX; /* were there another slow start: no HyStart in it */
        acks(10, 100 * WEIR_MS);
        acks(10, 150 * WEIR_MS);
        uint32_t before = cc.cwnd;
        acks(8, 150 * WEIR_MS);
        assert_int_equal(cc.cwnd - before, 8 * MSS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reduces_to_seven_tenths_9438_06),
        cmocka_unit_test(follows_the_cubic_9438_01),
        cmocka_unit_test(is_no_slower_than_reno_9438_04),
        cmocka_unit_test(fast_convergence_9438_09),
        cmocka_unit_test(undo_restores_the_epoch_9438_11),
        cmocka_unit_test(no_growth_when_not_cwnd_limited_9438_07),
        cmocka_unit_test(rto_forgets_the_plateau_9438_10_9406_8),
        cmocka_unit_test(hystart_leaves_slow_start_9406_2_9406_5),
        cmocka_unit_test(hystart_resumes_after_a_false_rise_9406_4),
        cmocka_unit_test(growth_is_at_most_half_a_round_9438_02),
        cmocka_unit_test(idle_time_does_not_count_9438_03),
        cmocka_unit_test(as_reno_beyond_the_old_window_9438_05),
        cmocka_unit_test(after_hystart_the_curve_is_convex_9438_12),
        cmocka_unit_test(thresholds_9406_2_9406_3),
        cmocka_unit_test(congestion_ends_it_9406_6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
