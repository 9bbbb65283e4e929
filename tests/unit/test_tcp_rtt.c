/* SPDX-License-Identifier: MIT */
/* The round-trip estimator stepped alone: RFC 6298, and Linux's floor and damping. */
#include "unit/probe.h"

#include "tcp/tcp.h"

static struct wr_tunables tunables(int64_t rto_min_us)
{
    struct wr_tunables t = {0};
    t.tcp_rto_min_us = rto_min_us;
    t.tcp_rto_max_ms = 120000;
    return t;
}

/* Each sample in its own time, and not in the burst of the one before. */
static weir_time later(void)
{
    static weir_time now;
    return now += 100 * WEIR_MS;
}

static void before_any_sample_6298_01(void **arg)
{
    struct wr_rtt rtt;
    (void)arg;
    wr_rtt_init(&rtt);
    assert_int_equal(rtt.rto, WEIR_SEC);
}

/* R = 100 ms: SRTT 100, RTTVAR 50, RTO 300 before flooring. */
static void first_sample_6298_02(void **arg)
{
    struct wr_tunables t = tunables(1);
    struct wr_rtt rtt;
    (void)arg;
    wr_rtt_init(&rtt);
    wr_rtt_sample(&rtt, 100 * WEIR_MS, 1000, 2000, &t, later());
    assert_int_equal(rtt.srtt, 100 * WEIR_MS);
    assert_int_equal(rtt.mdev4 / 4, 50 * WEIR_MS);
    assert_int_equal(rtt.rto, 300 * WEIR_MS);
    assert_int_equal(rtt.min_rtt, 100 * WEIR_MS);
}

/* 100 then 200 ms: RTTVAR 62.5 first, then SRTT 112.5 ms. */
static void second_sample_6298_03(void **arg)
{
    struct wr_tunables t = tunables(1);
    struct wr_rtt rtt;
    (void)arg;
    wr_rtt_init(&rtt);
    wr_rtt_sample(&rtt, 100 * WEIR_MS, 1000, 2000, &t, later());
    wr_rtt_sample(&rtt, 200 * WEIR_MS, 1500, 2500, &t, later());
    assert_int_equal(rtt.mdev4 / 4, 62500 * WEIR_US);
    assert_int_equal(rtt.srtt, 112500 * WEIR_US);
}

/* The floor lies under the variance: a steady 100 ms converges to 300, not to 200 ms. */
static void floor_under_variance_LNX_TCP_01(void **arg)
{
    struct wr_tunables t = tunables(200000);
    struct wr_rtt rtt;
    uint32_t una = 0;
    (void)arg;
    wr_rtt_init(&rtt);
    for (int i = 0; i < 200; i++, una += 1000)
        wr_rtt_sample(&rtt, 100 * WEIR_MS, una, una + 900, &t, later());
    assert_int_equal(rtt.rto, 300 * WEIR_MS);
}

/* A path that becomes faster does not make the time-out longer. */
static void downward_jump_LNX_TCP_02(void **arg)
{
    struct wr_tunables t = tunables(1);
    struct wr_rtt rtt;
    uint32_t una = 0;
    (void)arg;
    wr_rtt_init(&rtt);
    for (int i = 0; i < 200; i++, una += 1000)
        wr_rtt_sample(&rtt, 200 * WEIR_MS, una, una + 900, &t, later());
    weir_time before = rtt.rto;
    for (int i = 0; i < 50; i++, una += 1000) {
        wr_rtt_sample(&rtt, 50 * WEIR_MS, una, una + 900, &t, later());
        assert_true(rtt.rto <= before + 10 * WEIR_MS);
    }
}

/* 100 equal samples in one window leave the variance where one window of data puts it. */
static void many_samples_a_window_7323_15(void **arg)
{
    struct wr_tunables t = tunables(1);
    struct wr_rtt one, many;
    (void)arg;
    wr_rtt_init(&one);
    wr_rtt_init(&many);
    wr_rtt_sample(&one, 100 * WEIR_MS, 0, 100000, &t, later());
    wr_rtt_sample(&many, 100 * WEIR_MS, 0, 100000, &t, later());
    for (uint32_t i = 1; i <= 100; i++)
        wr_rtt_sample(&many, 100 * WEIR_MS, i * 1000, 100000 + i * 1000, &t, later());
    assert_true(many.var >= one.var / 2);
    assert_int_equal(many.srtt, one.srtt);
}

/* A path of 50 ms stands still for 450 ms, then 700 ACKs come in one millisecond: one event, one sample. */
static void burst_after_a_stall_7323_15(void **arg)
{
    struct wr_tunables t = tunables(200000);
    struct wr_rtt rtt;
    weir_time now = 0;
    (void)arg;
    wr_rtt_init(&rtt);
    for (uint32_t i = 0; i < 100; i++, now += 2 * WEIR_MS)
        wr_rtt_sample(&rtt, 50 * WEIR_MS, i * 1000, 700000 + i * 1000, &t, now);
    assert_int_equal(rtt.srtt, 50 * WEIR_MS);
    now += 450 * WEIR_MS;
    for (uint32_t i = 0; i < 700; i++)
        wr_rtt_sample(&rtt, 500 * WEIR_MS, i * 1000, 700000 + i * 1000, &t, now + i * 1400);
    assert_true(rtt.srtt > 100 * WEIR_MS && rtt.srtt < 110 * WEIR_MS);
    assert_true(rtt.rto < 700 * WEIR_MS);
}

/* Short paths: every sample counts. */
static void no_bursts_below_8_ms_7323_15(void **arg)
{
    struct wr_tunables t = tunables(200000);
    struct wr_rtt rtt;
    (void)arg;
    wr_rtt_init(&rtt);
    wr_rtt_sample(&rtt, 800 * WEIR_US, 1, 2, &t, 0);
    wr_rtt_sample(&rtt, 1600 * WEIR_US, 1, 2, &t, 0);
    assert_int_equal(rtt.srtt, 900 * WEIR_US);
}

static void backoff_6298_05_6298_08(void **arg)
{
    struct wr_tunables t = tunables(200000);
    struct wr_rtt rtt;
    weir_time expect = WEIR_SEC;
    (void)arg;
    wr_rtt_init(&rtt);
    for (int i = 0; i < 300; i++) {
        wr_rtt_backoff(&rtt, &t);
        expect = expect > 60 * WEIR_SEC ? 120 * WEIR_SEC : 2 * expect;
        assert_int_equal(rtt.rto, expect);
    }
    assert_int_equal(rtt.backoff, 255);
    wr_rtt_sample(&rtt, 10 * WEIR_MS, 1, 2, &t, later());
    assert_int_equal(rtt.backoff, 0);
    assert_int_equal(rtt.rto, 210 * WEIR_MS);
}

/* A sample of no time at all is a sample. */
static void zero_sample(void **arg)
{
    struct wr_tunables t = tunables(200000);
    struct wr_rtt rtt;
    (void)arg;
    wr_rtt_init(&rtt);
    wr_rtt_sample(&rtt, 0, 1, 2, &t, later());
    assert_true(rtt.srtt > 0 && rtt.min_rtt > 0);
    for (int i = 0; i < 1000; i++)
        wr_rtt_sample(&rtt, 0, 3, 4, &t, later());
    assert_true(rtt.srtt > 0 && rtt.rto >= 200 * WEIR_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_any_sample_6298_01),
        cmocka_unit_test(first_sample_6298_02),
        cmocka_unit_test(second_sample_6298_03),
        cmocka_unit_test(floor_under_variance_LNX_TCP_01),
        cmocka_unit_test(downward_jump_LNX_TCP_02),
        cmocka_unit_test(many_samples_a_window_7323_15),
        cmocka_unit_test(burst_after_a_stall_7323_15),
        cmocka_unit_test(no_bursts_below_8_ms_7323_15),
        cmocka_unit_test(backoff_6298_05_6298_08),
        cmocka_unit_test(zero_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
