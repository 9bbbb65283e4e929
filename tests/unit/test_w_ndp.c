/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "probe.h"
#include "wire/w_ndp.h"

static struct weir_addr addr(const char *text)
{
    struct weir_addr a;

    assert_true(weir_addr_parse(text, &a));
    return a;
}

/* One valid message of each type with all its options. */
static struct w_ndp sample(uint8_t type)
{
    struct w_ndp ndp = {.type = type, .has_slla = true, .slla = {2, 0, 0, 0, 0, 1}};

    if (type == W_ICMP6_RA) {
        ndp.managed = true;
        ndp.cur_hop_limit = 64;
        ndp.lifetime_s = 1800;
        ndp.reachable_ms = 30000;
        ndp.retrans_ms = 1000;
        ndp.has_mtu = true;
        ndp.mtu = 1400;
        ndp.n_prefixes = 2;
        ndp.prefixes[0] = (struct w_ndp_prefix){addr("2001:db8::"), 64, true, true, 86400, 14400};
        ndp.prefixes[1] =
            (struct w_ndp_prefix){addr("fd00::"), 48, false, true, UINT32_MAX, UINT32_MAX};
    }
    if (type >= W_ICMP6_NS)
        ndp.target = addr("fe80::2");
    if (type == W_ICMP6_NA) {
        ndp.router = ndp.override = ndp.solicited = true;
        ndp.has_slla = false;
        memset(ndp.slla, 0, sizeof ndp.slla);
        ndp.has_tlla = true;
        ndp.tlla[5] = 9;
    }
    if (type == W_ICMP6_REDIRECT)
        ndp.dest = addr("2001:db8::9");
    return ndp;
}

/* Parses an exact copy, as received from fe80::1 to fe80::5 with hop limit 255. */
static enum w_err parse(const uint8_t *p, size_t n, struct w_ndp *out)
{
    struct weir_addr src = addr("fe80::1"), dst = addr("fe80::5");
    uint8_t *copy = exact_copy(p, n);
    enum w_err err = wr_w_ndp_parse(copy, n, &src, &dst, 255, out);

    free(copy);
    return err;
}

static void every_type_comes_back_as_it_was(void **state)
{
    (void)state;
    for (uint8_t type = W_ICMP6_RS; type <= W_ICMP6_REDIRECT; type++) {
        struct w_ndp in = sample(type), out;
        uint8_t p[W_NDP_EMIT_MAX], again[W_NDP_EMIT_MAX];
        size_t n = wr_w_ndp_emit(p, &in);
        assert_int_equal(n % 8, 0);
        assert_int_equal(parse(p, n, &out), W_OK);
        assert_memory_equal(out.target.b, in.target.b, 16);
        assert_memory_equal(out.dest.b, in.dest.b, 16);
        assert_int_equal(out.has_slla, in.has_slla);
        assert_int_equal(out.has_tlla, in.has_tlla);
        assert_int_equal(out.router + 2 * out.solicited + 4 * out.override,
                         in.router + 2 * in.solicited + 4 * in.override);
        assert_int_equal(out.managed + 2 * out.other, in.managed + 2 * in.other);
        assert_int_equal(out.lifetime_s, in.lifetime_s);
        assert_int_equal(out.reachable_ms, in.reachable_ms);
        assert_int_equal(out.retrans_ms, in.retrans_ms);
        assert_int_equal(out.mtu, in.mtu);
        assert_int_equal(out.n_prefixes, in.n_prefixes);
        for (unsigned i = 0; i < in.n_prefixes; i++) {
            assert_memory_equal(out.prefixes[i].prefix.b, in.prefixes[i].prefix.b, 16);
            assert_int_equal(out.prefixes[i].len, in.prefixes[i].len);
            assert_int_equal(out.prefixes[i].on_link, in.prefixes[i].on_link);
            assert_int_equal(out.prefixes[i].valid_s, in.prefixes[i].valid_s);
            assert_int_equal(out.prefixes[i].preferred_s, in.prefixes[i].preferred_s);
        }
        assert_int_equal(wr_w_ndp_emit(again, &out), n);
        assert_memory_equal(again, p, n);
    }
}

/*
 * Each cut ends within the fixed part, within an option, or between two: only the last is a
 * message.
 */
static void cuts_are_refused(void **state)
{
    static const size_t fixed[] = {8, 16, 24, 24, 40};

    (void)state;
    for (uint8_t type = W_ICMP6_RS; type <= W_ICMP6_REDIRECT; type++) {
        struct w_ndp in = sample(type), out;
        uint8_t p[W_NDP_EMIT_MAX];
        size_t n = wr_w_ndp_emit(p, &in), head = fixed[type - W_ICMP6_RS];
        for (size_t cut = 0; cut < n; cut++) {
            enum w_err err = parse(p, cut, &out);
            if (cut < head)
                assert_int_equal(err, W_SHORT);
            else if ((cut - head) % 8 != 0)
                assert_int_equal(err, W_OPTION);
            else
                assert_true(err == W_OK || err == W_OPTION);
        }
    }
}

/* RFC 4861 6.1, 7.1, 8.1; requirement 4861-1, hostile input 11. */
static void hop_limit_code_and_type_are_checked_4861_1(void **state)
{
    struct weir_addr src = addr("fe80::1"), dst = addr("fe80::5");

    (void)state;
    for (uint8_t type = W_ICMP6_RS; type <= W_ICMP6_REDIRECT; type++) {
        struct w_ndp in = sample(type), out;
        uint8_t p[W_NDP_EMIT_MAX];
        size_t n = wr_w_ndp_emit(p, &in);
        assert_int_equal(wr_w_ndp_parse(p, n, &src, &dst, 254, &out), W_FIELD);
        assert_int_equal(wr_w_ndp_parse(p, n, &src, &dst, 0, &out), W_FIELD);
        p[1] = 1;
        assert_int_equal(wr_w_ndp_parse(p, n, &src, &dst, 255, &out), W_FIELD);
        p[1] = 0;
        p[0] = 128;
        assert_int_equal(wr_w_ndp_parse(p, n, &src, &dst, 255, &out), W_FIELD);
    }
}

static void addresses_are_checked_4861_1(void **state)
{
    static const struct {
        uint8_t type;
        const char *src, *dst, *target, *dest;
        bool slla;
        enum w_err want;
    } cases[] = {
        {W_ICMP6_RS, "::", "ff02::2", NULL, NULL, false, W_OK},
        {W_ICMP6_RS, "::", "ff02::2", NULL, NULL, true, W_ADDR},
        {W_ICMP6_RS, "2001:db8::1", "ff02::2", NULL, NULL, true, W_OK},
        {W_ICMP6_RA, "2001:db8::1", "ff02::1", NULL, NULL, true, W_ADDR},
        {W_ICMP6_RA, "fe80::1", "ff02::1", NULL, NULL, true, W_OK},
        {W_ICMP6_NS, "::", "ff02::1:ff00:2", "fe80::2", NULL, false, W_OK},
        {W_ICMP6_NS, "::", "ff02::1:ff00:2", "fe80::2", NULL, true, W_ADDR},
        {W_ICMP6_NS, "::", "ff02::1", "fe80::2", NULL, false, W_ADDR},
        {W_ICMP6_NS, "::", "fe80::2", "fe80::2", NULL, false, W_ADDR},
        {W_ICMP6_NS, "fe80::1", "fe80::2", "fe80::2", NULL, true, W_OK},
        {W_ICMP6_NS, "fe80::1", "fe80::2", "ff02::2", NULL, true, W_ADDR},
        {W_ICMP6_NS, "fe80::1", "fe80::2", "10.0.0.1", NULL, true, W_ADDR},
        {W_ICMP6_NA, "fe80::1", "fe80::2", "ff02::1", NULL, false, W_ADDR},
        {W_ICMP6_NA, "fe80::1", "ff02::1", "fe80::1", NULL, false, W_ADDR}, /* S to a group */
        {W_ICMP6_NA, "fe80::1", "fe80::2", "fe80::1", NULL, false, W_OK},
        {W_ICMP6_REDIRECT, "2001:db8::1", "fe80::2", "fe80::1", "2001:db8::9", false, W_ADDR},
        {W_ICMP6_REDIRECT, "fe80::1", "fe80::2", "2001:db8::1", "2001:db8::9", false, W_ADDR},
        {W_ICMP6_REDIRECT, "fe80::1", "fe80::2", "2001:db8::9", "2001:db8::9", false, W_OK},
        {W_ICMP6_REDIRECT, "fe80::1", "fe80::2", "fe80::9", "ff02::1", false, W_ADDR},
        {W_ICMP6_REDIRECT, "fe80::1", "fe80::2", "fe80::9", "2001:db8::9", true, W_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct w_ndp in = sample(cases[i].type), out;
        struct weir_addr src = addr(cases[i].src), dst = addr(cases[i].dst);
        uint8_t p[W_NDP_EMIT_MAX];
        in.has_slla = cases[i].slla;
        if (cases[i].target != NULL)
            in.target = addr(cases[i].target);
        if (cases[i].dest != NULL)
            in.dest = addr(cases[i].dest);
        size_t n = wr_w_ndp_emit(p, &in);
        enum w_err err = wr_w_ndp_parse(p, n, &src, &dst, 255, &out);
        if (err != cases[i].want)
            fail_msg("case %zu: %s", i, wr_w_err_text(err));
    }
}

/* Hostile input 11: option lengths, prefix length, lifetimes and MTU of any value. */
static void options_are_checked_and_unknown_ones_skipped(void **state)
{
    struct w_ndp in = sample(W_ICMP6_RA), out;
    uint8_t p[W_NDP_EMIT_MAX];
    size_t n;

    (void)state;
    in.has_slla = false;
    in.n_prefixes = 1;
    in.prefixes[0].len = 128;
    in.mtu = 0;
    n = wr_w_ndp_emit(p, &in);
    assert_int_equal(parse(p, n, &out), W_OK);
    assert_true(out.has_mtu && out.mtu == 0);
    assert_int_equal(out.prefixes[0].len, 128);
    p[24 + 2] = 129;
    assert_int_equal(parse(p, n, &out), W_FIELD);
    p[24 + 2] = 64;
    p[16 + 1] = 0; /* MTU option of length 0 */
    assert_int_equal(parse(p, n, &out), W_OPTION);
    p[16 + 1] = 2; /* of a wrong length */
    assert_int_equal(parse(p, n, &out), W_OPTION);
    p[16 + 1] = 1;
    p[16] = 200; /* unknown: skipped */
    assert_int_equal(parse(p, n, &out), W_OK);
    assert_false(out.has_mtu);
    assert_int_equal(out.n_prefixes, 1);
    p[24 + 1] = 255; /* past the end */
    assert_int_equal(parse(p, n, &out), W_OPTION);
}

static void more_prefixes_than_kept_are_skipped(void **state)
{
    struct w_ndp in = sample(W_ICMP6_RA), out;
    uint8_t p[W_NDP_EMIT_MAX + 32];
    size_t n;

    (void)state;
    in.n_prefixes = W_NDP_PREFIXES;
    for (unsigned i = 0; i < W_NDP_PREFIXES; i++)
        in.prefixes[i] = in.prefixes[i % 2];
    n = wr_w_ndp_emit(p, &in);
    assert_true(n <= W_NDP_EMIT_MAX);
    memcpy(p + n, p + n - 32, 32);
    assert_int_equal(parse(p, n + 32, &out), W_OK);
    assert_int_equal(out.n_prefixes, W_NDP_PREFIXES);
}

static void random_messages_do_no_harm(void **state)
{
    uint64_t rnd = 60;
    int ok = 0;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint8_t p[120];
        struct w_ndp out;
        size_t n = test_below(&rnd, sizeof p);
        test_fill(&rnd, p, sizeof p);
        p[0] = (uint8_t)(W_ICMP6_RS + test_below(&rnd, 5));
        p[1] = 0;
        for (size_t at = 9; at < sizeof p; at += 8) {
            p[at - 1] = (uint8_t)test_below(&rnd, 7);
            p[at] = (uint8_t)test_below(&rnd, 5);
        }
        ok += parse(p, n, &out) == W_OK;
        assert_true(out.n_prefixes <= W_NDP_PREFIXES);
    }
    assert_true(ok > 100);
}

/* RFC 4291 2.7.1 */
static void the_solicited_node_group_ends_in_24_bits(void **state)
{
    struct weir_addr a = addr("4037::1:800:200e:8c6c"), want = addr("ff02::1:ff0e:8c6c");
    struct weir_addr got = wr_w_ndp_solicited_node(&a);

    (void)state;
    assert_true(weir_addr_eq(&got, &want));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back_as_it_was),
        cmocka_unit_test(cuts_are_refused),
        cmocka_unit_test(hop_limit_code_and_type_are_checked_4861_1),
        cmocka_unit_test(addresses_are_checked_4861_1),
        cmocka_unit_test(options_are_checked_and_unknown_ones_skipped),
        cmocka_unit_test(more_prefixes_than_kept_are_skipped),
        cmocka_unit_test(random_messages_do_no_harm),
        cmocka_unit_test(the_solicited_node_group_ends_in_24_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
