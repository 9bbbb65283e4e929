/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "probe.h"
#include "wire/w_csum.h"
#include "wire/w_ip4.h"

/* A header whose checksum, b861, is given in many textbooks. */
static const uint8_t known[W_IP4_HLEN] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40,
                                          0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8,
                                          0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};

/* Makes the header's checksum right. */
static void seal(uint8_t *p)
{
    put_be16(p + 10, 0);
    put_be16(p + 10, wr_csum(p, (p[0] & 15u) * 4u));
}

static void a_known_header_is_read_and_written_back(void **state)
{
    uint8_t packet[0x73] = {0}, out[W_IP4_HLEN];
    struct w_ip4 ip;

    (void)state;
    memcpy(packet, known, sizeof known);
    assert_int_equal(wr_w_ip4_parse(packet, sizeof packet, &ip), W_OK);
    assert_int_equal(ip.total_len, 0x73);
    assert_int_equal(ip.hdr_len, 20);
    assert_int_equal(ip.ttl, 64);
    assert_int_equal(ip.proto, W_IPPROTO_UDP);
    assert_true(ip.dont_frag && !ip.more_frags && !ip.reserved && !wr_w_ip4_is_fragment(&ip));
    assert_int_equal(weir_addr_to_v4(&ip.src), 0xc0a80001);
    assert_int_equal(weir_addr_to_v4(&ip.dst), 0xc0a800c7);
    wr_w_ip4_emit(out, &ip);
    assert_memory_equal(out, known, sizeof out);
}

/* Every field through emit and parse, options too: emit(parse(x)) == x. */
static void random_headers_come_back_as_they_were(void **state)
{
    uint64_t rnd = 20;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint8_t p[80], out[60];
        struct w_ip4 ip;
        size_t hdr_len = 20 + 4 * (size_t)test_below(&rnd, 11);
        test_fill(&rnd, p, sizeof p);
        p[0] = (uint8_t)(0x40 | hdr_len / 4);
        put_be16(p + 2, (uint16_t)(hdr_len + test_below(&rnd, (uint32_t)(81 - hdr_len))));
        seal(p);
        assert_int_equal(wr_w_ip4_parse(p, sizeof p, &ip), W_OK);
        assert_int_equal(ip.hdr_len, hdr_len);
        wr_w_ip4_emit(out, &ip);
        if (get_be16(p + 10) == 0xffff) /* the other zero, RFC 1624 3 */
            put_be16(p + 10, 0);
        if (get_be16(out + 10) == 0xffff)
            put_be16(out + 10, 0);
        assert_memory_equal(out, p, hdr_len);
    }
}

static void cuts_are_refused(void **state)
{
    uint8_t packet[0x73] = {0};
    struct w_ip4 ip;

    (void)state;
    memcpy(packet, known, sizeof known);
    for (size_t n = 0; n < sizeof packet; n++) {
        uint8_t *cut = exact_copy(packet, n);
        assert_int_equal(wr_w_ip4_parse(cut, n, &ip), n < 20 ? W_SHORT : W_LENGTH);
        assert_int_equal(wr_w_ip4_parse_quoted(cut, n, &ip), n < 20 ? W_SHORT : W_OK);
        free(cut);
    }
}

/* Hostile inputs 4 and 5, requirement 0791-5: version, IHL, total length, header checksum. */
static void contradictions_are_refused_0791_5(void **state)
{
    static const struct {
        uint8_t first;
        uint16_t total_len;
        enum w_err want;
    } cases[] = {
        {0x05, 40, W_VERSION}, {0x55, 40, W_VERSION},   {0xf5, 40, W_VERSION},
        {0x65, 40, W_VERSION}, {0x40, 40, W_HDRLEN},    {0x41, 40, W_HDRLEN},
        {0x44, 40, W_HDRLEN},  {0x4b, 40, W_HDRLEN},    {0x4f, 64, W_HDRLEN},
        {0x45, 19, W_HDRLEN},  {0x45, 0, W_HDRLEN},     {0x46, 23, W_HDRLEN},
        {0x45, 41, W_LENGTH},  {0x45, 65535, W_LENGTH}, {0x45, 20, W_OK},
        {0x4a, 40, W_OK},      {0x45, 39, W_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t p[64] = {0}, *copy;
        struct w_ip4 ip;
        memcpy(p, known, sizeof known);
        p[0] = cases[i].first;
        put_be16(p + 2, cases[i].total_len);
        seal(p);
        copy = exact_copy(p, 40);
        assert_int_equal(wr_w_ip4_parse(copy, 40, &ip), cases[i].want);
        free(copy);
    }
    for (size_t bit = 0; bit < 160; bit++) { /* no single flipped bit passes */
        uint8_t p[0x73] = {0};
        struct w_ip4 ip;
        memcpy(p, known, sizeof known);
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(wr_w_ip4_parse(p, sizeof p, &ip), W_OK);
    }
}

static void fragments_are_told(void **state)
{
    struct w_ip4 in = {.total_len = 20, .hdr_len = 20, .frag_off = 65528, .more_frags = true}, ip;
    uint8_t p[20];

    (void)state;
    wr_w_ip4_emit(p, &in);
    assert_int_equal(wr_w_ip4_parse(p, sizeof p, &ip), W_OK);
    assert_true(wr_w_ip4_is_fragment(&ip) && ip.more_frags);
    assert_int_equal(ip.frag_off, 65528);
    in.more_frags = false;
    in.frag_off = 8;
    wr_w_ip4_emit(p, &in);
    assert_int_equal(wr_w_ip4_parse(p, sizeof p, &ip), W_OK);
    assert_true(wr_w_ip4_is_fragment(&ip));
    assert_int_equal(ip.frag_off, 8);
}

/* Options of a header: the result, and the offset of the octet in error from the header's start. */
struct opt_case {
    uint8_t n;
    uint8_t bytes[40];
    enum w_err want;
    uint8_t bad;
};

static enum w_err parse_options(const struct opt_case *c, struct w_ip4opts *out)
{
    uint8_t p[60];
    struct w_ip4 in = {.hdr_len = (uint8_t)(20 + (c->n + 3) / 4 * 4), .opts = c->bytes}, ip;
    uint8_t *copy;
    enum w_err err;

    in.total_len = in.hdr_len;
    wr_w_ip4_emit(p, &in);
    copy = exact_copy(p, in.hdr_len);
    assert_int_equal(wr_w_ip4_parse(copy, in.hdr_len, &ip), W_OK);
    err = wr_w_ip4opts_parse(&ip, out);
    free(copy);
    return err;
}

/* RFC 791 3.1, hostile input 6. */
static void malformed_options_are_refused(void **state)
{
    static const struct opt_case cases[] = {
        {0, {0}, W_OK, 0},
        {4, {1, 1, 1, 0}, W_OK, 0},
        {4, {0, 131, 0, 0}, W_OK, 0},       /* nothing counts behind the end */
        {4, {1, 1, 1, 131}, W_OPTION, 23},  /* no room for a length */
        {4, {131, 0, 0, 0}, W_OPTION, 21},  /* length 0 */
        {4, {7, 1, 0, 0}, W_OPTION, 21},    /* length 1 */
        {4, {7, 5, 0, 0}, W_OPTION, 21},    /* past the header */
        {4, {99, 255, 0, 0}, W_OPTION, 21}, /* of an unknown kind too */
        {4, {99, 4, 0, 0}, W_OK, 0},        /* unknown, 9293-M50 */
        {8, {131, 7, 4, 1, 2, 3, 4, 0}, W_OK, 0},
        {8, {131, 7, 8, 1, 2, 3, 4, 0}, W_OK, 0},      /* route completed */
        {8, {131, 7, 3, 1, 2, 3, 4, 0}, W_OPTION, 22}, /* pointer before the route */
        {8, {131, 7, 0, 1, 2, 3, 4, 0}, W_OPTION, 22},
        {8, {131, 7, 5, 1, 2, 3, 4, 0}, W_OPTION, 22}, /* between addresses */
        {8, {131, 6, 4, 1, 2, 3, 0, 0}, W_OPTION, 21}, /* no whole address */
        {4, {137, 2, 0, 0}, W_OPTION, 21},
        {8, {137, 3, 4, 131, 3, 4, 0, 0}, W_OPTION, 23}, /* two source routes */
        {8, {7, 3, 4, 7, 3, 4, 0, 0}, W_OPTION, 23},     /* two records */
        {8, {7, 7, 2, 0, 0, 0, 0, 0}, W_OPTION, 22},
        {4, {68, 4, 5, 0}, W_OK, 0}, /* full */
        {4, {68, 3, 5, 0}, W_OPTION, 21},
        {8, {68, 8, 4, 0, 0, 0, 0, 0}, W_OPTION, 22},
        {8, {68, 8, 5, 2, 0, 0, 0, 0}, W_OPTION, 23}, /* flag 2 does not exist */
        {8, {68, 8, 5, 1, 0, 0, 0, 0}, W_OPTION, 22}, /* no room for address and time */
        {12, {68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0}, W_OK, 0},
        {4, {148, 4, 0, 0}, W_OK, 0},
        {4, {148, 3, 0, 0}, W_OPTION, 21},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct w_ip4opts opts;
        enum w_err err = parse_options(&cases[i], &opts);
        if (err != cases[i].want || opts.bad != cases[i].bad)
            fail_msg("case %zu: %s at %u", i, wr_w_err_text(err), opts.bad);
    }
}

static void options_are_found_where_they_stand(void **state)
{
    static const struct opt_case all = {
        26,
        {1, 131, 7, 4, 1, 2, 3, 4, 7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 68, 4, 5, 0, 1, 1, 1},
        W_OK,
        0};
    static const struct opt_case strict = {3, {137, 3, 4}, W_OK, 0};
    struct w_ip4opts opts;

    (void)state;
    assert_int_equal(parse_options(&all, &opts), W_OK);
    assert_int_equal(opts.lsrr, 21);
    assert_int_equal(opts.ssrr, 0);
    assert_int_equal(opts.rr, 28);
    assert_int_equal(opts.ra, 35);
    assert_int_equal(opts.ts, 39);
    assert_int_equal(parse_options(&strict, &opts), W_OK);
    assert_int_equal(opts.ssrr, 20);
}

static void random_options_stay_within_the_header(void **state)
{
    uint64_t rnd = 21;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        struct opt_case c = {.n = (uint8_t)test_below(&rnd, 41)};
        struct w_ip4opts opts;
        static const uint8_t kinds[] = {0, 1, 7, 68, 131, 137, 148};
        test_fill(&rnd, c.bytes, sizeof c.bytes);
        for (int j = 0; j < 6; j++) {
            c.bytes[test_below(&rnd, 40)] = kinds[test_below(&rnd, sizeof kinds)];
            c.bytes[test_below(&rnd, 40)] = (uint8_t)test_below(&rnd, 12);
        }
        if (parse_options(&c, &opts) == W_OK)
            assert_int_equal(opts.bad, 0);
        else
            assert_in_range(opts.bad, 20, 59);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_header_is_read_and_written_back),
        cmocka_unit_test(random_headers_come_back_as_they_were),
        cmocka_unit_test(cuts_are_refused),
        cmocka_unit_test(contradictions_are_refused_0791_5),
        cmocka_unit_test(fragments_are_told),
        cmocka_unit_test(malformed_options_are_refused),
        cmocka_unit_test(options_are_found_where_they_stand),
        cmocka_unit_test(random_options_stay_within_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
