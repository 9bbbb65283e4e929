/* SPDX-License-Identifier: MIT */
#include "probe.h"
#include "wire/w_csum.h"

/* RFC 1071 1, word for word: the slow sum that the fast one must equal. Host order, folded. */
static uint16_t slow_sum(const uint8_t *p, size_t n)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += (uint32_t)p[i] << (i % 2 == 0 ? 8 : 0);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

/* In one's complement 0 and 0xffff are the same number. */
static void assert_same_sum(uint16_t a, uint16_t b)
{
    assert_int_equal(a == 0xffff ? 0 : a, b == 0xffff ? 0 : b);
}

/* RFC 1071 3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2. */
static void the_example_of_rfc_1071(void **state)
{
    static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

    (void)state;
    assert_int_equal(wr_csum_fold(wr_csum_add(0, data, sizeof data)), 0xddf2);
    assert_int_equal(wr_csum(data, sizeof data), 0x220d);
}

static void every_length_and_alignment_equals_the_slow_sum(void **state)
{
    uint8_t data[320];
    uint64_t rnd = 10;

    (void)state;
    for (int round = 0; round < 4; round++) {
        if (round == 0)
            memset(data, 0xff, sizeof data);
        else
            test_fill(&rnd, data, sizeof data);
        for (size_t at = 0; at < 9; at++) {
            for (size_t n = 0; n + at <= sizeof data; n++) {
                uint8_t *copy = exact_copy(data + at, n);
                uint16_t want = slow_sum(copy, n);
                assert_same_sum(wr_csum_fold(wr_csum_add(0, copy, n)), want);
                assert_int_equal(wr_csum(copy, n),
                                 (uint16_t)~wr_csum_fold(wr_csum_add(0, copy, n)));
                free(copy);
                assert_same_sum(wr_csum_fold(wr_csum_add(0, data + at, n)), want);
            }
        }
    }
}

static void nothing_overflows_on_large_buffers(void **state)
{
    size_t n = 3000001;
    uint8_t *data = malloc(n);
    uint64_t rnd = 11, sum;

    (void)state;
    assert_non_null(data);
    memset(data, 0xff, n);
    assert_same_sum(wr_csum_fold(wr_csum_add(0, data, n)), slow_sum(data, n));
    test_fill(&rnd, data, n);
    assert_same_sum(wr_csum_fold(wr_csum_add(0, data, n)), slow_sum(data, n));
    sum = UINT64_MAX; /* a partial sum of any value carries around */
    assert_same_sum(wr_csum_fold(wr_csum_join(sum, sum)), 0);
    assert_same_sum(wr_csum_fold(wr_csum_join(sum, 5)), wr_csum_fold(5));
    free(data);
}

static void spans_of_odd_lengths_equal_the_whole(void **state)
{
    uint8_t data[500];
    uint64_t rnd = 12;

    (void)state;
    test_fill(&rnd, data, sizeof data);
    for (int i = 0; i < 20000; i++) {
        struct weir_span spans[5];
        size_t at = 0;
        for (int j = 0; j < 5; j++) {
            spans[j].ptr = data + at;
            spans[j].len = test_below(&rnd, 100);
            at += spans[j].len;
        }
        assert_same_sum(wr_csum_fold(wr_csum_spans(0, spans, 5)), slow_sum(data, at));
    }
}

static void copying_sums_and_copies(void **state)
{
    static uint8_t from[20000], to[20000];
    uint64_t rnd = 13;

    (void)state;
    test_fill(&rnd, from, sizeof from);
    for (size_t n = 0; n <= sizeof from; n += 1 + n / 3) {
        memset(to, 0, sizeof to);
        assert_same_sum(wr_csum_fold(wr_csum_copy(0, to, from, n)), slow_sum(from, n));
        assert_memory_equal(to, from, n);
        if (n < sizeof to)
            assert_int_equal(to[n], 0);
    }
}

/* The pseudo-headers as bytes: RFC 9293 3.1 for IPv4, RFC 8200 8.1 for IPv6. */
static void pseudo_headers_equal_their_bytes(void **state)
{
    static const uint8_t v4[] = {192, 168, 0, 1, 10, 255, 3, 77, 0, 6, 0xab, 0xcd};
    uint8_t v6[40];
    uint64_t rnd = 14;

    (void)state;
    struct weir_addr src = weir_addr_from_v4_bytes(v4), dst = weir_addr_from_v4_bytes(v4 + 4);
    assert_same_sum(wr_csum_fold(wr_csum_pseudo(&src, &dst, 6, 0xabcd)), slow_sum(v4, sizeof v4));
    for (int i = 0; i < 1000; i++) {
        test_fill(&rnd, v6, sizeof v6);
        v6[36] = v6[37] = v6[38] = 0;
        src = weir_addr_from_v6_bytes(v6);
        dst = weir_addr_from_v6_bytes(v6 + 16);
        assert_same_sum(wr_csum_fold(wr_csum_pseudo(&src, &dst, v6[39], get_be32(v6 + 32))),
                        slow_sum(v6, sizeof v6));
    }
}

/*
 * What a link that finishes the checksum does: sums the segment with the pseudo-header's sum in
 * place.
 */
static void a_link_can_finish_a_partial_checksum(void **state)
{
    struct weir_addr src = weir_addr_v4(0x0a000001), dst = weir_addr_v4(0x0a000002);
    uint8_t seg[41];
    uint64_t rnd = 15, pseudo = wr_csum_pseudo(&src, &dst, 6, sizeof seg);

    (void)state;
    test_fill(&rnd, seg, sizeof seg);
    put_be16(seg + 16, 0);
    uint16_t whole = wr_csum_finish(wr_csum_add(pseudo, seg, sizeof seg));
    put_be16(seg + 16, wr_csum_fold(pseudo));
    put_be16(seg + 16, (uint16_t)~slow_sum(seg, sizeof seg));
    assert_int_equal(get_be16(seg + 16), whole);
    assert_int_equal(wr_csum_finish(wr_csum_add(pseudo, seg, sizeof seg)), 0);
}

/* RFC 1624 4: header checksum dd2f, a field changes from 5555 to 3285; the answer is 0000. */
static void the_example_of_rfc_1624(void **state)
{
    (void)state;
    assert_int_equal(wr_csum_update16(0xdd2f, 0x5555, 0x3285), 0x0000);
}

static void updates_equal_recomputation(void **state)
{
    uint8_t data[40];
    uint64_t rnd = 16;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        test_fill(&rnd, data, sizeof data);
        uint16_t csum = wr_csum(data, sizeof data);
        uint32_t at = test_below(&rnd, 9) * 4, was = get_be32(data + at);
        uint32_t is = (uint32_t)test_random(&rnd);
        put_be32(data + at, is);
        assert_int_equal(wr_csum_update32(csum, was, is), wr_csum(data, sizeof data));
        put_be32(data + at, was);
        put_be16(data + at, (uint16_t)is);
        assert_int_equal(wr_csum_update16(csum, (uint16_t)(was >> 16), (uint16_t)is),
                         wr_csum(data, sizeof data));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_rfc_1071),
        cmocka_unit_test(every_length_and_alignment_equals_the_slow_sum),
        cmocka_unit_test(nothing_overflows_on_large_buffers),
        cmocka_unit_test(spans_of_odd_lengths_equal_the_whole),
        cmocka_unit_test(copying_sums_and_copies),
        cmocka_unit_test(pseudo_headers_equal_their_bytes),
        cmocka_unit_test(a_link_can_finish_a_partial_checksum),
        cmocka_unit_test(the_example_of_rfc_1624),
        cmocka_unit_test(updates_equal_recomputation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
