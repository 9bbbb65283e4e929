/* SPDX-License-Identifier: MIT */
/* Proportional rate reduction stepped alone. Expectations by hand from RFC 9937 6.2, in segments. */
#include "unit/probe.h"

#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"

enum { MSS = 1000 };

/* cwnd in segments after an ACK, and everything it allows is sent. */
static uint32_t step(struct wr_prr *prr, uint32_t *pipe, uint32_t delivered, bool safe,
                     uint32_t ssthresh)
{
    uint32_t cwnd;

    *pipe -= delivered * MSS;
    cwnd = wr_prr_cwnd(prr, delivered * MSS, safe, *pipe, ssthresh * MSS, MSS);
    if (cwnd > *pipe) {
        wr_prr_sent(prr, (cwnd - *pipe) / MSS * MSS);
        *pipe += (cwnd - *pipe) / MSS * MSS;
    }
    return cwnd / MSS;
}

/* 20 in flight, one lost, ssthresh 10: after each ACK ceil(k / 2) have left; at the end 10 are in flight. */
static void one_for_two_9937_3(void **arg)
{
    struct wr_prr prr;
    uint32_t pipe = 19 * MSS; /* the lost one is not in it */
    (void)arg;
    wr_prr_enter(&prr, 20 * MSS);
    for (uint32_t k = 1; k <= 18; k++) {
        step(&prr, &pipe, 1, false, 10);
        if (pipe > 10 * MSS)
            assert_int_equal(prr.out, (k + 1) / 2 * MSS);
    }
    assert_int_equal(pipe, 10 * MSS);
}

/* 0.7 of 20, as CUBIC: 14 leave for 20. */
static void seven_for_ten_9937_3(void **arg)
{
    struct wr_prr prr;
    uint32_t pipe = 19 * MSS;
    (void)arg;
    wr_prr_enter(&prr, 20 * MSS);
    for (uint32_t k = 1; k <= 10; k++) {
        step(&prr, &pipe, 1, false, 14);
        assert_int_equal(prr.out, (k * 14 + 19) / 20 * MSS);
    }
}

/* Less than ssthresh in flight: what was delivered, and one more when safe; never above ssthresh. */
static void bounds_9937_4(void **arg)
{
    struct wr_prr prr;
    uint32_t pipe = 2 * MSS;
    (void)arg;
    wr_prr_enter(&prr, 20 * MSS);
    step(&prr, &pipe, 1, false, 10);
    assert_int_equal(prr.out, 1 * MSS); /* 1 for 1 */
    step(&prr, &pipe, 1, true, 10);
    assert_int_equal(prr.out, 3 * MSS); /* 2 for 1 */
    step(&prr, &pipe, 2, true, 10);
    assert_int_equal(prr.out, 6 * MSS); /* 3 for 2 */
    for (int i = 0; i < 30; i++) {
        assert_true(step(&prr, &pipe, 1, true, 10) <= 10);
        assert_true(pipe <= 10 * MSS);
    }
    assert_int_equal(pipe, 10 * MSS);
}

/* What an application did not send while it could is given later, but no more than prr_delivered - prr_out. */
static void banked_9937_4(void **arg)
{
    struct wr_prr prr;
    (void)arg;
    wr_prr_enter(&prr, 20 * MSS);
    wr_prr_sent(&prr, MSS);
    for (int i = 0; i < 4; i++) /* nothing leaves */
        wr_prr_cwnd(&prr, MSS, false, 1 * MSS, 10 * MSS, MSS);
    assert_int_equal(wr_prr_cwnd(&prr, MSS, false, 1 * MSS, 10 * MSS, MSS), (1 + 5 - 1) * MSS);
}

/* One byte delivered, and all that is in flight is needed: the fast retransmit goes, and one only. */
static void the_first_segment_9937_5(void **arg)
{
    struct wr_prr prr;
    (void)arg;
    wr_prr_enter(&prr, 20 * MSS);
    assert_int_equal(wr_prr_cwnd(&prr, 1, false, 10 * MSS, 10 * MSS, MSS), 11 * MSS);
    wr_prr_sent(&prr, MSS);
    assert_int_equal(wr_prr_cwnd(&prr, 1, false, 11 * MSS, 10 * MSS, MSS), 11 * MSS);
}

/* The largest windows there are: no overflow. */
static void large_windows_9937_3(void **arg)
{
    struct wr_prr prr;
    uint32_t big = 1u << 30, cwnd;
    (void)arg;
    wr_prr_enter(&prr, big);
    cwnd = wr_prr_cwnd(&prr, big / 2, false, big / 2 + big / 4, big / 2, 65535);
    assert_true(cwnd >= big && cwnd <= big + 65535);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_for_two_9937_3),
        cmocka_unit_test(seven_for_ten_9937_3),
        cmocka_unit_test(bounds_9937_4),
        cmocka_unit_test(banked_9937_4),
        cmocka_unit_test(the_first_segment_9937_5),
        cmocka_unit_test(large_windows_9937_3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
