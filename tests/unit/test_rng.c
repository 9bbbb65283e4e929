/* SPDX-License-Identifier: MIT */
#include "base/rng.h"
#include "probe.h"

/* RFC 8439 A.1, test vectors 1 and 2: key and nonce zero, blocks 0 and 1. */
static void the_stream_is_chacha20_8439(void **state)
{
    static const uint8_t want[] = {
        0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86,
        0xbd, 0x28, 0xbd, 0xd2, 0x19, 0xb8, 0xa0, 0x8d, 0xed, 0x1a, 0xa8, 0x36, 0xef, 0xcc,
        0x8b, 0x77, 0x0d, 0xc7, 0xda, 0x41, 0x59, 0x7c, 0x51, 0x57, 0x48, 0x8d, 0x77, 0x24,
        0xe0, 0x3f, 0xb8, 0xd8, 0x4a, 0x37, 0x6a, 0x43, 0xb8, 0xf4, 0x15, 0x18, 0xa1, 0x1c,
        0xc3, 0x87, 0xb6, 0x69, 0xb2, 0xee, 0x65, 0x86, 0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51,
        0x38, 0x7a, 0x98, 0xba, 0x97, 0x7c, 0x73, 0x2d, 0x08, 0x0d, 0xcb, 0x0f, 0x29, 0xa0,
        0x48, 0xe3, 0x65, 0x69, 0x12, 0xc6, 0x53, 0x3e, 0x32, 0xee, 0x7a, 0xed};
    const uint8_t seed[32] = {0};
    struct wr_rng rng;

    (void)state;
    for (size_t step = 1; step <= sizeof want; step++) { /* in pieces of every size */
        uint8_t got[sizeof want];
        wr_rng_init(&rng, seed);
        for (size_t i = 0; i < sizeof want; i += step)
            wr_rng_bytes(&rng, got + i, step < sizeof want - i ? step : sizeof want - i);
        assert_memory_equal(got, want, sizeof want);
    }
    wr_rng_init(&rng, seed);
    assert_int_equal(wr_rng_u32(&rng), 0x76b8e0ad);
    assert_true(wr_rng_u64(&rng) == 0xa0f13d90405d6ae5u);
}

static void seeds_and_forks_have_streams_of_their_own(void **state)
{
    struct wr_rng a, b, child;

    (void)state;
    wr_rng_init_u64(&a, 1);
    wr_rng_init_u64(&b, 2);
    assert_true(wr_rng_u64(&a) != wr_rng_u64(&b));
    wr_rng_init_u64(&b, 1);
    (void)wr_rng_u64(&b);
    wr_rng_fork(&a, &child);
    assert_true(wr_rng_u64(&a) != wr_rng_u64(&child));
    wr_rng_fork(&b, &child);
    assert_true(wr_rng_u64(&b) != wr_rng_u64(&child));
}

/* Each of 7 values comes 1/7 of 70000 times: 10000, standard deviation 93; 6 of those allowed. */
static void below_is_uniform_and_bounded(void **state)
{
    struct wr_rng rng;
    int seen[7] = {0};

    (void)state;
    wr_rng_init_u64(&rng, 6);
    assert_int_equal(wr_rng_below(&rng, 0), 0);
    assert_int_equal(wr_rng_below(&rng, 1), 0);
    for (int i = 0; i < 70000; i++) {
        uint32_t v = wr_rng_below(&rng, 7);
        assert_true(v < 7);
        seen[v]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 10000 - 560, 10000 + 560);
    for (int i = 0; i < 1000; i++)
        assert_true(wr_rng_below(&rng, 0xc0000000) < 0xc0000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stream_is_chacha20_8439),
        cmocka_unit_test(seeds_and_forks_have_streams_of_their_own),
        cmocka_unit_test(below_is_uniform_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
