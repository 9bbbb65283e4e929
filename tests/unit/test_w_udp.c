/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "probe.h"
#include "wire/w_udp.h"

static void datagrams_come_back_as_they_were(void **state)
{
    struct weir_addr src = weir_addr_v4(0x0a000001), dst = weir_addr_v4(0x0a000002);
    uint64_t rnd = 70;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        uint8_t p[100], out[W_UDP_HLEN], *copy;
        size_t n = W_UDP_HLEN + test_below(&rnd, sizeof p - W_UDP_HLEN);
        struct w_udp in = {(uint16_t)test_random(&rnd), (uint16_t)test_random(&rnd), (uint16_t)n,
                           0},
                     udp;
        test_fill(&rnd, p, sizeof p);
        wr_w_udp_emit(p, &in);
        wr_w_udp_seal(p, n, &src, &dst);
        copy = exact_copy(p, n);
        assert_int_equal(wr_w_udp_parse(copy, n, &udp), W_OK);
        assert_int_equal(udp.src_port, in.src_port);
        assert_int_equal(udp.dst_port, in.dst_port);
        assert_int_equal(udp.len, n);
        assert_true(wr_w_udp_csum_ok(copy, &udp, &src, &dst));
        wr_w_udp_emit(out, &udp);
        assert_memory_equal(out, p, W_UDP_HLEN);
        size_t at = test_below(&rnd, (uint32_t)n);
        if (at != 4 && at != 5 && at != 6 && at != 7) { /* not the length, not the checksum */
            copy[at] ^= 0x10;
            assert_false(wr_w_udp_csum_ok(copy, &udp, &src, &dst));
        }
        free(copy);
    }
}

/* Hostile input 20: length below 8, past the payload, 0. What follows the length is not UDP's. */
static void lengths_are_checked(void **state)
{
    static const uint16_t good[] = {8, 9, 19, 20}, wrong[] = {0, 1, 7, 21, 65535};
    uint8_t p[20] = {0};
    struct w_udp udp;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        put_be16(p + 4, good[i]);
        assert_int_equal(wr_w_udp_parse(p, sizeof p, &udp), W_OK);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        put_be16(p + 4, wrong[i]);
        assert_int_equal(wr_w_udp_parse(p, sizeof p, &udp), W_LENGTH);
    }
    put_be16(p + 4, 20);
    for (size_t n = 0; n < sizeof p; n++) {
        uint8_t *cut = exact_copy(p, n);
        assert_int_equal(wr_w_udp_parse(cut, n, &udp), n < 8 ? W_SHORT : W_LENGTH);
        free(cut);
    }
}

/* RFC 768, RFC 8200 8.1; requirements 0768-1 and 8200-8. */
static void no_checksum_is_for_ipv4_only_0768_1_8200_8(void **state)
{
    struct weir_addr src4 = weir_addr_v4(1), dst4 = weir_addr_v4(2);
    struct weir_addr src6 = {.b = {0x20, [15] = 1}}, dst6 = {.b = {0x20, [15] = 2}};
    uint8_t p[10] = {0, 1, 0, 2, 0, 10, 0, 0, 'h', 'i'};
    struct w_udp udp;

    (void)state;
    assert_int_equal(wr_w_udp_parse(p, sizeof p, &udp), W_OK);
    assert_true(wr_w_udp_csum_ok(p, &udp, &src4, &dst4));
    assert_false(wr_w_udp_csum_ok(p, &udp, &src6, &dst6));
    wr_w_udp_seal(p, sizeof p, &src6, &dst6);
    assert_int_equal(wr_w_udp_parse(p, sizeof p, &udp), W_OK);
    assert_true(wr_w_udp_csum_ok(p, &udp, &src6, &dst6));
}

/* RFC 768: a computed zero is sent as all ones. */
static void a_computed_zero_is_sent_as_ones_0768_1(void **state)
{
    struct weir_addr src = weir_addr_v4(0), dst = weir_addr_v4(0);
    struct w_udp udp;

    (void)state;
    for (uint32_t v = 0; v <= 0xffff; v++) { /* one of these data words makes the sum 0xffff */
        uint8_t p[10] = {0, 0, 0, 0, 0, 10, 0, 0, (uint8_t)(v >> 8), (uint8_t)v};
        wr_w_udp_seal(p, sizeof p, &src, &dst);
        assert_int_not_equal(get_be16(p + 6), 0);
        assert_int_equal(wr_w_udp_parse(p, sizeof p, &udp), W_OK);
        assert_true(wr_w_udp_csum_ok(p, &udp, &src, &dst));
        /* pseudo-header and header add up to 17 + 10 + 10 */
        if (v == 0xffff - 37)
            assert_int_equal(udp.csum, 0xffff);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_come_back_as_they_were),
        cmocka_unit_test(lengths_are_checked),
        cmocka_unit_test(no_checksum_is_for_ipv4_only_0768_1_8200_8),
        cmocka_unit_test(a_computed_zero_is_sent_as_ones_0768_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
