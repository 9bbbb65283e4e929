/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/ranges.h"
#include "probe.h"

/* The set is exactly the n ranges {start, end} of `want`. */
static void assert_set(const struct wr_ranges *set, const struct wr_range *want, size_t n)
{
    struct wr_range r;
    bool more = wr_ranges_first(set, &r);

    assert_true(wr_ranges_check(set));
    assert_int_equal(set->count, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(more);
        assert_int_equal(r.start, want[i].start);
        assert_int_equal(r.end, want[i].end);
        more = wr_ranges_next(set, r.end, &r);
    }
    assert_false(more);
}

#define ASSERT_SET(set, ...)                                                                       \
    do {                                                                                           \
        const struct wr_range want[] = {__VA_ARGS__};                                              \
        assert_set(set, want, sizeof want / sizeof want[0]);                                       \
    } while (0)

static void inserts_merge_what_they_touch(void **state)
{
    static const uint32_t bases[] = {0, 0x7fffffc0, 0xffffffc0}; /* edges within the set */
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    struct wr_ranges s;

    (void)state;
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        uint32_t b = bases[i];
        wr_ranges_init(&s, 10);
        assert_int_equal(wr_ranges_insert(&s, alloc, b + 10, b + 20), 0);
        assert_int_equal(wr_ranges_insert(&s, alloc, b + 40, b + 50), 0);
        assert_int_equal(wr_ranges_insert(&s, alloc, b + 70, b + 80), 0);
        ASSERT_SET(&s, {b + 10, b + 20}, {b + 40, b + 50}, {b + 70, b + 80});
        assert_int_equal(wr_ranges_insert(&s, alloc, b + 20, b + 25), 0); /* touches behind */
        assert_int_equal(wr_ranges_insert(&s, alloc, b + 35, b + 40), 0); /* touches before */
        ASSERT_SET(&s, {b + 10, b + 25}, {b + 35, b + 50}, {b + 70, b + 80});
        assert_int_equal(wr_ranges_insert(&s, alloc, b + 12, b + 20), 0); /* inside */
        assert_int_equal(wr_ranges_insert(&s, alloc, b + 60, b + 90), 0); /* around */
        ASSERT_SET(&s, {b + 10, b + 25}, {b + 35, b + 50}, {b + 60, b + 90});
        assert_int_equal(s.bytes, 15 + 15 + 30);
        assert_int_equal(wr_ranges_insert(&s, alloc, b + 24, b + 60), 0); /* joins all */
        ASSERT_SET(&s, {b + 10, b + 90});
        wr_ranges_clear(&s, alloc);
        probe_done(&probe);
    }
}

static void questions_are_answered_at_the_edges(void **state)
{
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    struct wr_ranges s;
    struct wr_range r;

    (void)state;
    wr_ranges_init(&s, 10);
    assert_false(wr_ranges_first(&s, &r) || wr_ranges_last(&s, &r) || wr_ranges_find(&s, 1, &r));
    assert_false(wr_ranges_next(&s, 1, &r) || wr_ranges_prev(&s, 1, &r));
    assert_true(wr_ranges_next_hole(&s, 5, 9, &r) && r.start == 5 && r.end == 9);
    assert_int_equal(wr_ranges_insert(&s, alloc, 10, 20), 0);
    assert_int_equal(wr_ranges_insert(&s, alloc, 30, 40), 0);
    assert_false(wr_ranges_find(&s, 9, &r));
    assert_true(wr_ranges_find(&s, 10, &r) && r.end == 20);
    assert_true(wr_ranges_find(&s, 19, &r) && r.end == 20);
    assert_false(wr_ranges_find(&s, 20, &r));
    assert_true(wr_ranges_next(&s, 19, &r) && r.start == 10);
    assert_true(wr_ranges_next(&s, 20, &r) && r.start == 30);
    assert_false(wr_ranges_next(&s, 40, &r));
    assert_false(wr_ranges_prev(&s, 10, &r));
    assert_true(wr_ranges_prev(&s, 11, &r) && r.start == 10);
    assert_true(wr_ranges_prev(&s, 30, &r) && r.start == 10);
    assert_true(wr_ranges_prev(&s, 99, &r) && r.start == 30);
    assert_true(wr_ranges_contains(&s, 10, 20));
    assert_false(wr_ranges_contains(&s, 10, 21));
    assert_false(wr_ranges_contains(&s, 9, 20));
    assert_true(wr_ranges_next_hole(&s, 5, 99, &r) && r.start == 5 && r.end == 10);
    assert_true(wr_ranges_next_hole(&s, 10, 99, &r) && r.start == 20 && r.end == 30);
    assert_true(wr_ranges_next_hole(&s, 15, 25, &r) && r.start == 20 && r.end == 25);
    assert_false(wr_ranges_next_hole(&s, 10, 20, &r));
    assert_true(wr_ranges_next_hole(&s, 35, 99, &r) && r.start == 40 && r.end == 99);
    assert_true(wr_ranges_last(&s, &r) && r.start == 30 && r.end == 40);
    wr_ranges_clear(&s, alloc);
    probe_done(&probe);
}

static void removals_cut_and_free(void **state)
{
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    struct wr_ranges s;

    (void)state;
    wr_ranges_init(&s, 10);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(wr_ranges_insert(&s, alloc, 10 * i, 10 * i + 5), 0);
    wr_ranges_remove_below(&s, alloc, 12);
    ASSERT_SET(&s, {12, 15}, {20, 25}, {30, 35}, {40, 45});
    wr_ranges_remove_below(&s, alloc, 25);
    ASSERT_SET(&s, {30, 35}, {40, 45});
    wr_ranges_remove_from(&s, alloc, 41);
    ASSERT_SET(&s, {30, 35}, {40, 41});
    wr_ranges_remove_from(&s, alloc, 40);
    ASSERT_SET(&s, {30, 35});
    wr_ranges_remove_below(&s, alloc, 1000);
    assert_int_equal(s.count, 0);
    probe_done(&probe); /* no memory while empty */
}

/* RFC 2018 4: the block changed last comes first. */
static void recent_ranges_come_most_recent_first_2018(void **state)
{
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    struct wr_ranges s;
    struct wr_range r[4];

    (void)state;
    wr_ranges_init(&s, 10);
    assert_int_equal(wr_ranges_recent(&s, r, 4), 0);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(wr_ranges_insert(&s, alloc, 10 * i, 10 * i + 5), 0);
    assert_int_equal(wr_ranges_insert(&s, alloc, 15, 17), 0); /* widens {10,15} */
    assert_int_equal(wr_ranges_recent(&s, r, 4), 4);
    assert_int_equal(r[0].start, 10);
    assert_int_equal(r[0].end, 17);
    assert_int_equal(r[1].start, 40);
    assert_int_equal(r[2].start, 30);
    assert_int_equal(r[3].start, 20);
    wr_ranges_remove_from(&s, alloc, 40);
    assert_int_equal(wr_ranges_insert(&s, alloc, 21, 22), 0); /* a duplicate counts as a change */
    assert_int_equal(wr_ranges_recent(&s, r, 2), 2);
    assert_int_equal(r[0].start, 20);
    assert_int_equal(r[1].start, 10);
    wr_ranges_clear(&s, alloc);
    probe_done(&probe);
}

static void the_cap_and_a_lack_of_memory_leave_the_set_as_it_was(void **state)
{
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    struct wr_ranges s;

    (void)state;
    wr_ranges_init(&s, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(wr_ranges_insert(&s, alloc, 10 * i, 10 * i + 5), 0);
    assert_int_equal(wr_ranges_insert(&s, alloc, 40, 45), -ENOBUFS);
    assert_int_equal(wr_ranges_insert(&s, alloc, 25, 28), 0); /* needs no node */
    ASSERT_SET(&s, {0, 5}, {10, 15}, {20, 28});
    wr_ranges_clear(&s, alloc);

    wr_ranges_init(&s, 1000);
    probe.fail_at = probe.calls + 1;
    assert_int_equal(wr_ranges_insert(&s, alloc, 1, 2), -ENOMEM);
    assert_true(wr_ranges_check(&s));
    probe.fail_at = probe.calls + 2;
    int err = 0;
    uint32_t i = 0;
    for (; err == 0; i++)
        err = wr_ranges_insert(&s, alloc, 10 * i, 10 * i + 5);
    assert_int_equal(err, -ENOMEM);
    assert_true(wr_ranges_check(&s));
    assert_int_equal(s.count, i - 1);
    wr_ranges_clear(&s, alloc);
    probe_done(&probe);
}

/* Random changes against one flag per number, the base moving on. */
static void agree_with_a_bitmap(uint32_t base)
{
    enum { WINDOW = 4096 };
    static bool have[WINDOW];
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    struct wr_ranges s;
    uint64_t rnd = 4;

    memset(have, 0, sizeof have);
    wr_ranges_init(&s, WINDOW);
    for (int step = 0; step < 20000; step++) {
        uint32_t at = test_below(&rnd, WINDOW - 40),
                 n = 1 + test_below(&rnd, 1 + test_below(&rnd, 40));
        uint32_t bytes = 0;
        if (test_below(&rnd, 100) == 0) {
            memmove(have, have + at, WINDOW - at);
            memset(have + WINDOW - at, 0, at);
            base += at;
            wr_ranges_remove_below(&s, alloc, base);
        } else if (test_below(&rnd, 100) == 0) {
            memset(have + at, 0, WINDOW - at);
            wr_ranges_remove_from(&s, alloc, base + at);
        } else {
            memset(have + at, 1, n);
            assert_int_equal(wr_ranges_insert(&s, alloc, base + at, base + at + n), 0);
        }
        if (step % 16 == 0) {
            assert_true(wr_ranges_check(&s));
            for (uint32_t i = 0; i < WINDOW; i++) {
                struct wr_range r;
                assert_int_equal(wr_ranges_find(&s, base + i, &r), have[i]);
                bytes += have[i];
            }
            assert_int_equal(s.bytes, bytes);
        }
    }
    wr_ranges_clear(&s, alloc);
    probe_done(&probe);
}

static void agrees_with_a_bitmap_over_random_operations(void **state)
{
    (void)state;
    agree_with_a_bitmap(0x7fff0000); /* past 2^31 */
    agree_with_a_bitmap(0xffff0000); /* past 2^32 */
}

/* One-byte ranges with holes, in rising, falling and scattered order (hostile input 39). */
static void every_order_of_insertion_stays_balanced(void **state)
{
    enum { N = 20000 };
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);

    (void)state;
    for (int order = 0; order < 3; order++) {
        struct wr_ranges s;
        struct wr_range hole;
        wr_ranges_init(&s, N);
        for (uint32_t i = 0; i < N; i++) {
            uint32_t at = order == 0 ? i : order == 1 ? N - 1 - i : (i * 7919u) % N;
            assert_int_equal(wr_ranges_insert(&s, alloc, 2 * at, 2 * at + 1), 0);
        }
        assert_true(wr_ranges_check(&s));
        assert_int_equal(s.count, N);
        assert_int_equal(wr_ranges_insert(&s, alloc, 2 * N, 2 * N + 1), -ENOBUFS);
        assert_int_equal(wr_ranges_insert(&s, alloc, 0, 2 * N), 0); /* swallows all */
        assert_int_equal(s.count, 1);
        assert_false(wr_ranges_next_hole(&s, 0, 2 * N, &hole));
        wr_ranges_clear(&s, alloc);
    }
    probe_done(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inserts_merge_what_they_touch),
        cmocka_unit_test(questions_are_answered_at_the_edges),
        cmocka_unit_test(removals_cut_and_free),
        cmocka_unit_test(recent_ranges_come_most_recent_first_2018),
        cmocka_unit_test(the_cap_and_a_lack_of_memory_leave_the_set_as_it_was),
        cmocka_unit_test(agrees_with_a_bitmap_over_random_operations),
        cmocka_unit_test(every_order_of_insertion_stays_balanced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
