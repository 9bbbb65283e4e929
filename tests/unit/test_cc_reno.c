/* SPDX-License-Identifier: MIT */
/* Reno stepped alone: RFC 5681 with byte counting. */
#include "unit/probe.h"

#include <weir/cc.h>

enum { MSS = 1000 };

static struct weir_cc made(uint32_t cwnd, uint32_t ssthresh)
{
    struct weir_cc cc = {.cwnd = cwnd, .ssthresh = ssthresh, .smss = MSS};
    weir_cc_reno.init(&cc, 0);
    return cc;
}

static void ack(struct weir_cc *cc, uint32_t bytes)
{
    struct weir_cc_ack a = {.acked_bytes = bytes, .cwnd_limited = true, .rtt = -1};
    weir_cc_reno.on_ack(cc, &a, 0);
}

static void slow_start_5681_02(void **arg)
{
    struct weir_cc cc = made(10 * MSS, UINT32_MAX);
    (void)arg;
    for (int i = 0; i < 10; i++)
        ack(&cc, MSS);
    assert_int_equal(cc.cwnd, 20 * MSS);
    for (int i = 0; i < 1000; i++) /* one byte each: splitting ACKs gains nothing */
        ack(&cc, 1);
    assert_int_equal(cc.cwnd, 21 * MSS);
}

static void congestion_avoidance_5681_03(void **arg)
{
    struct weir_cc cc = made(10 * MSS, 10 * MSS);
    (void)arg;
    for (int round = 10; round < 13; round++) {
        assert_int_equal(cc.cwnd, round * MSS);
        for (int i = 0; i < round; i++)
            ack(&cc, MSS);
    }
    assert_int_equal(cc.cwnd, 13 * MSS);
}

/* The step from slow start to congestion avoidance inside one large ACK. */
static void crossing_ssthresh(void **arg)
{
    struct weir_cc cc = made(8 * MSS, 10 * MSS);
    (void)arg;
    ack(&cc, 8 * MSS); /* 2 to ssthresh, 6 counted */
    assert_int_equal(cc.cwnd, 10 * MSS);
    ack(&cc, 4 * MSS);
    assert_int_equal(cc.cwnd, 11 * MSS);
}

static void loss_5681_05(void **arg)
{
    struct weir_cc cc = made(10 * MSS, UINT32_MAX);
    (void)arg;
    weir_cc_reno.on_congestion(&cc, 10 * MSS, false, 0);
    assert_int_equal(cc.ssthresh, 5 * MSS);
    assert_int_equal(cc.cwnd, 5 * MSS);
    weir_cc_reno.on_congestion(&cc, 1 * MSS, false, 0);
    assert_int_equal(cc.ssthresh, 2 * MSS);
    cc = made(20 * MSS, UINT32_MAX);
    weir_cc_reno.on_rto(&cc, 20 * MSS, 0);
    assert_int_equal(cc.ssthresh, 10 * MSS);
}

static void no_growth_unless_limited_LNX_CC_03(void **arg)
{
    struct weir_cc cc = made(10 * MSS, UINT32_MAX);
    struct weir_cc_ack a = {.acked_bytes = 5 * MSS, .rtt = -1};
    (void)arg;
    weir_cc_reno.on_ack(&cc, &a, 0);
    assert_int_equal(cc.cwnd, 10 * MSS);
}

/* A peer that acknowledges for ever does not make cwnd overflow. */
static void no_overflow(void **arg)
{
    struct weir_cc cc = made(10 * MSS, UINT32_MAX);
    (void)arg;
    for (int i = 0; i < 100; i++) {
        uint32_t before = cc.cwnd;
        ack(&cc, 0x40000000);
        assert_true(cc.cwnd >= before && cc.cwnd <= UINT32_MAX / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_start_5681_02),
        cmocka_unit_test(congestion_avoidance_5681_03),
        cmocka_unit_test(crossing_ssthresh),
        cmocka_unit_test(loss_5681_05),
        cmocka_unit_test(no_growth_unless_limited_LNX_CC_03),
        cmocka_unit_test(no_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
