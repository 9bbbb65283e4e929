/* SPDX-License-Identifier: MIT */
#include "base/seq.h"
#include "probe.h"
#include "weir/time.h"

/* RFC 9293 3.4: comparisons are modulo 2^32; edges at 2^31 and 2^32 (hostile input 36). */
static void order_holds_around_the_wrap_9293(void **state)
{
    static const uint32_t bases[] = {0,          1,          0x7fffffff, 0x80000000,
                                     0x80000001, 0xfffffffe, 0xffffffff};
    static const uint32_t steps[] = {1, 2, 1000, 0x7ffffffe, 0x7fffffff};

    (void)state;
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        uint32_t a = bases[i];
        assert_true(seq_leq(a, a) && seq_geq(a, a) && !seq_lt(a, a) && !seq_gt(a, a));
        for (size_t j = 0; j < sizeof steps / sizeof steps[0]; j++) {
            uint32_t b = a + steps[j];
            assert_true(seq_lt(a, b) && seq_leq(a, b) && seq_gt(b, a) && seq_geq(b, a));
            assert_false(seq_lt(b, a) || seq_leq(b, a) || seq_gt(a, b) || seq_geq(a, b));
            assert_int_equal(seq_diff(b, a), (int32_t)steps[j]);
            assert_int_equal(seq_diff(a, b), -(int32_t)steps[j]);
            assert_int_equal(seq_max(a, b), b);
            assert_int_equal(seq_max(b, a), b);
            assert_int_equal(seq_min(a, b), a);
            assert_int_equal(seq_min(b, a), a);
        }
    }
}

static void distance_of_two_to_the_31_is_negative(void **state)
{
    (void)state;
    assert_int_equal(seq_diff(0x80000000u, 0), INT32_MIN);
    assert_int_equal(seq_diff(0, 0x80000000u), INT32_MIN);
}

static void within_is_half_open(void **state)
{
    (void)state;
    assert_true(seq_within(5, 5, 10));
    assert_true(seq_within(9, 5, 10));
    assert_false(seq_within(10, 5, 10));
    assert_false(seq_within(4, 5, 10));
    assert_false(seq_within(5, 5, 5));
    assert_true(seq_within(2, 0xfffffff0, 3));
    assert_false(seq_within(3, 0xfffffff0, 3));
    assert_true(seq_within(0xc0000000, 0, 0xf0000000));
}

static void time_sums_stop_at_never(void **state)
{
    (void)state;
    assert_int_equal(weir_time_after(5, 7), 12);
    assert_int_equal(weir_time_after(-5, 7), 2);
    assert_true(weir_time_after(WEIR_TIME_NEVER, 0) == WEIR_TIME_NEVER);
    assert_true(weir_time_after(1, WEIR_TIME_NEVER) == WEIR_TIME_NEVER);
    assert_true(weir_time_after(WEIR_TIME_NEVER - 1, 1) == WEIR_TIME_NEVER);
    assert_true(weir_time_after(WEIR_TIME_NEVER - 1, 2) == WEIR_TIME_NEVER);
    assert_int_equal(weir_time_min(WEIR_TIME_NEVER, 3), 3);
    assert_int_equal(weir_time_min(2, 3), 2);
    assert_int_equal(WEIR_SEC, 1000 * WEIR_MS);
    assert_int_equal(WEIR_MS, 1000 * WEIR_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_holds_around_the_wrap_9293),
        cmocka_unit_test(distance_of_two_to_the_31_is_negative),
        cmocka_unit_test(within_is_half_open),
        cmocka_unit_test(time_sums_stop_at_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
