/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "probe.h"

static void numbers_are_big_endian_at_any_alignment(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 8; shift++) {
        uint8_t buf[24] = {0};
        uint8_t *p = buf + shift;
        put_be16(p, 0x0102);
        assert_memory_equal(p, "\x01\x02", 2);
        assert_int_equal(get_be16(p), 0x0102);
        put_be32(p, 0xf1f2f3f4);
        assert_memory_equal(p, "\xf1\xf2\xf3\xf4", 4);
        assert_int_equal(get_be32(p), 0xf1f2f3f4);
        put_be64(p, 0x8182838485868788u);
        assert_memory_equal(p, "\x81\x82\x83\x84\x85\x86\x87\x88", 8);
        assert_true(get_be64(p) == 0x8182838485868788u);
    }
}

static void spans_are_copied_in_order_and_empty_ones_may_be_null(void **state)
{
    const struct weir_span spans[] = {
        {(const uint8_t *)"ab", 2}, {NULL, 0}, {(const uint8_t *)"cde", 3}};
    uint8_t out[5];

    (void)state;
    assert_int_equal(wr_spans_len(spans, 3), 5);
    assert_int_equal(wr_spans_copy(out, spans, 3), 5);
    assert_memory_equal(out, "abcde", 5);
    wr_bytes_copy(NULL, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_big_endian_at_any_alignment),
        cmocka_unit_test(spans_are_copied_in_order_and_empty_ones_may_be_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
