/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "probe.h"
#include "wire/w_icmp6.h"
#include "wire/w_ip6.h"
#include "wire/w_ip6ext.h"

static const struct weir_addr src = {.b = {0xfe, 0x80, [15] = 1}};
static const struct weir_addr dst = {.b = {0xfe, 0x80, [15] = 2}};
static const struct weir_addr other = {.b = {0xfe, 0x80, [15] = 3}};

/* RFC 4443 2.3: the checksum covers the addresses. */
static void messages_come_back_and_addresses_count(void **state)
{
    uint64_t rnd = 50;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        uint8_t p[100], *copy;
        size_t n = W_ICMP_HLEN + test_below(&rnd, sizeof p - W_ICMP_HLEN);
        struct w_icmp6 in = {(uint8_t)test_below(&rnd, 256), (uint8_t)test_below(&rnd, 256),
                             (uint32_t)test_random(&rnd)};
        struct w_icmp6 out;
        test_fill(&rnd, p, sizeof p);
        wr_w_icmp6_emit(p, n, &src, &dst, &in);
        copy = exact_copy(p, n);
        assert_int_equal(wr_w_icmp6_parse(copy, n, &src, &dst, &out), W_OK);
        assert_int_equal(out.type, in.type);
        assert_int_equal(out.code, in.code);
        assert_int_equal(out.rest, in.rest);
        assert_int_equal(wr_w_icmp6_parse(copy, n, &src, &other, &out), W_CSUM);
        copy[test_below(&rnd, (uint32_t)n)] ^= (uint8_t)(1u << test_below(&rnd, 8));
        assert_int_equal(wr_w_icmp6_parse(copy, n, &src, &dst, &out), W_CSUM);
        free(copy);
    }
}

static void cuts_are_refused(void **state)
{
    uint8_t p[12] = {0};
    struct w_icmp6 echo = {W_ICMP6_ECHO, 0, wr_w_icmp_echo_rest(1, 2)}, out;

    (void)state;
    wr_w_icmp6_emit(p, sizeof p, &src, &dst, &echo);
    for (size_t n = 0; n < sizeof p; n++) {
        uint8_t *cut = exact_copy(p, n);
        assert_int_equal(wr_w_icmp6_parse(cut, n, &src, &dst, &out),
                         n < W_ICMP_HLEN ? W_SHORT : W_CSUM);
        free(cut);
    }
    assert_true(wr_w_icmp6_is_error(127) && wr_w_icmp6_is_error(1) && !wr_w_icmp6_is_error(128));
}

/* A quoted packet with a chain of extensions, at every length. */
static void quotes_are_walked_to_the_upper_layer(void **state)
{
    struct w_ip6 ip = {.src = src, .dst = dst, .payload_len = 100, .next = W_IPPROTO_HOPOPTS};
    uint8_t p[160] = {0};
    struct w_quote q;

    (void)state;
    wr_w_ip6_emit(p, &ip);
    p[40] = W_IPPROTO_FRAGMENT;
    wr_w_ip6frag_emit(p + 48, W_IPPROTO_DSTOPTS, 0, true, 1);
    p[56] = W_IPPROTO_UDP;
    p[57] = 1;
    for (size_t n = 0; n <= sizeof p; n++) {
        uint8_t *cut = exact_copy(p, n);
        enum w_err err = wr_w_icmp6_quote(cut, n, &q);
        assert_int_equal(err, n < 40 ? W_SHORT : n < 72 ? W_CHAIN : W_OK);
        if (err == W_OK) {
            assert_int_equal(q.proto, W_IPPROTO_UDP);
            assert_ptr_equal(q.l4, cut + 72);
            assert_int_equal(q.l4_len, n < 140 ? n - 72 : 68);
            assert_true(weir_addr_eq(&q.src, &src) && weir_addr_eq(&q.dst, &dst));
            assert_false(q.is_fragment);
        }
        free(cut);
    }
    wr_w_ip6frag_emit(p + 48, W_IPPROTO_DSTOPTS, 8, true, 1); /* a later piece: no headers in it */
    assert_int_equal(wr_w_icmp6_quote(p, 60, &q), W_OK);
    assert_true(q.is_fragment);
    assert_int_equal(q.proto, W_IPPROTO_DSTOPTS);
    assert_int_equal(q.l4_len, 4);
    p[0] = 0x40;
    assert_int_equal(wr_w_icmp6_quote(p, 60, &q), W_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back_and_addresses_count),
        cmocka_unit_test(cuts_are_refused),
        cmocka_unit_test(quotes_are_walked_to_the_upper_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
