/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "probe.h"
#include "wire/w_tcpopt.h"

/* Parses an exact copy. */
static enum w_err parse(const void *p, size_t n, bool is_syn, struct w_tcpopt *out)
{
    uint8_t *copy = exact_copy(p, n);
    enum w_err err = wr_w_tcpopt_parse(copy, n, is_syn, out);

    free(copy);
    return err;
}

#define PARSE(is_syn, out, ...)                                                                    \
    parse((const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__}, is_syn, out)

/* The options of Linux's default SYN: mss 1460, sackOK, TS, nop, wscale 7. */
static const uint8_t linux_syn[20] = {2,    4,    0x05, 0xb4, 4, 2, 8, 10, 0xde, 0xad,
                                      0xbe, 0xef, 0,    0,    0, 0, 1, 3,  3,    7};

static void the_syn_of_linux_is_read_and_written_back(void **state)
{
    struct w_tcpopt opt;
    uint8_t out[W_TCPOPT_MAX];

    (void)state;
    assert_int_equal(parse(linux_syn, sizeof linux_syn, true, &opt), W_OK);
    assert_true(opt.has_mss && opt.has_wscale && opt.sack_permitted && opt.has_ts);
    assert_int_equal(opt.mss, 1460);
    assert_int_equal(opt.wscale, 7);
    assert_int_equal(opt.ts_val, 0xdeadbeef);
    assert_int_equal(opt.ts_ecr, 0);
    assert_false(opt.has_fastopen || opt.has_uto || opt.n_sack > 0);
    assert_int_equal(wr_w_tcpopt_emit_syn(out, &opt), sizeof linux_syn);
    assert_memory_equal(out, linux_syn, sizeof linux_syn);
}

/* Linux's layout for each set of options: what is missing leaves its place to NOPs. */
static void syn_options_are_padded_as_on_linux_9293_M68(void **state)
{
    static const struct {
        bool mss, sack, ts, ws;
        size_t n;
        uint8_t want[20];
    } cases[] = {
        {false, false, false, false, 0, {0}},
        {true, false, false, false, 4, {2, 4, 0x05, 0xb4}},
        {true, true, false, false, 8, {2, 4, 0x05, 0xb4, 1, 1, 4, 2}},
        {true, false, true, false, 16, {2, 4, 0x05, 0xb4, 1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6}},
        {true, false, false, true, 8, {2, 4, 0x05, 0xb4, 1, 3, 3, 7}},
        {true, true, false, true, 12, {2, 4, 0x05, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7}},
        {true, true, true, false, 16, {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6}},
        {false, true, true, true, 16, {4, 2, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6, 1, 3, 3, 7}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct w_tcpopt in = {.has_mss = cases[i].mss,
                              .mss = 1460,
                              .sack_permitted = cases[i].sack,
                              .has_ts = cases[i].ts,
                              .ts_val = 5,
                              .ts_ecr = 6,
                              .has_wscale = cases[i].ws,
                              .wscale = 7};
        struct w_tcpopt back;
        uint8_t out[W_TCPOPT_MAX];
        assert_int_equal(wr_w_tcpopt_emit_syn(out, &in), cases[i].n);
        assert_memory_equal(out, cases[i].want, cases[i].n);
        assert_int_equal(parse(out, cases[i].n, true, &back), W_OK);
        assert_int_equal(back.has_mss, in.has_mss);
        assert_int_equal(back.sack_permitted, in.sack_permitted);
        assert_int_equal(back.has_ts, in.has_ts);
        assert_int_equal(back.has_wscale, in.has_wscale);
    }
}

/* RFC 7413 4.1.1, requirement 7413-02. */
static void fast_open_in_both_forms_7413_02(void **state)
{
    static const uint8_t lengths[] = {0, 4, 6, 8, 10, 12, 14, 16};

    (void)state;
    for (int exp = 0; exp < 2; exp++) {
        for (size_t i = 0; i < sizeof lengths; i++) {
            struct w_tcpopt in = {.has_mss = true,
                                  .mss = 1460,
                                  .has_fastopen = true,
                                  .fastopen_exp = exp,
                                  .cookie_len = lengths[i]};
            struct w_tcpopt back;
            uint8_t out[W_TCPOPT_MAX];
            memset(in.cookie, 0xc0, lengths[i]);
            size_t n = wr_w_tcpopt_emit_syn(out, &in);
            assert_int_equal(n % 4, 0);
            assert_int_equal(parse(out, n, true, &back), W_OK);
            assert_true(back.has_fastopen);
            assert_int_equal(back.fastopen_exp, exp);
            assert_int_equal(back.cookie_len, lengths[i]);
            assert_memory_equal(back.cookie, in.cookie, lengths[i]);
            assert_int_equal(parse(out, n, false, &back), W_OK);
            assert_false(back.has_fastopen); /* not on a SYN: ignored */
        }
    }
    struct w_tcpopt opt;
    assert_int_equal(PARSE(true, &opt, 34, 5, 1, 2, 3), W_OK); /* 3 bytes */
    assert_false(opt.has_fastopen);
    assert_int_equal(PARSE(true, &opt, 34, 7, 1, 2, 3, 4, 5), W_OK); /* odd */
    assert_false(opt.has_fastopen);
    assert_int_equal(PARSE(true, &opt, 34, 4, 1, 2), W_OK); /* below 4 */
    assert_false(opt.has_fastopen);
    assert_int_equal(
        PARSE(true, &opt, 34, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18),
        W_OK);
    assert_false(opt.has_fastopen);                                /* above 16 */
    assert_int_equal(PARSE(true, &opt, 254, 4, 0x12, 0x34), W_OK); /* another experiment */
    assert_false(opt.has_fastopen);
}

static void a_cookie_that_does_not_fit_is_left_out(void **state)
{
    struct w_tcpopt opt;
    uint8_t out[W_TCPOPT_MAX];

    (void)state;
    assert_int_equal(parse(linux_syn, sizeof linux_syn, true, &opt), W_OK);
    opt.has_fastopen = true;
    opt.cookie_len = 16;
    assert_int_equal(wr_w_tcpopt_emit_syn(out, &opt), 40); /* 20 + 18 padded to 20 */
    opt.fastopen_exp = true;
    assert_int_equal(wr_w_tcpopt_emit_syn(out, &opt), 40); /* 20 + 20 */
    opt.fastopen_exp = false;
    opt.cookie_len = 8;
    assert_int_equal(wr_w_tcpopt_emit_syn(out, &opt), 32);
    assert_memory_equal(out + 30, "\1\1", 2);
}

/*
 * RFC 2018 3, RFC 7323 appendix A: "nop nop TS" and "nop nop SACK" with 3 blocks, or 4 without TS.
 */
static void segments_carry_timestamps_and_as_many_sacks_as_fit(void **state)
{
    struct w_tcpopt in = {.ts_val = 0x01020304, .ts_ecr = 0x11121314}, back;
    uint8_t out[W_TCPOPT_MAX];

    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        in.sack[i] = (struct w_sack){1000 * i, 1000 * i + 500};
    for (int ts = 0; ts < 2; ts++) {
        for (uint8_t n = 0; n <= 4; n++) {
            uint8_t fit = ts && n > 3 ? 3 : n;
            in.has_ts = ts;
            in.n_sack = n;
            size_t len = wr_w_tcpopt_emit(out, &in);
            assert_int_equal(len, (ts ? 12 : 0) + (fit > 0 ? 4 + 8 * fit : 0));
            assert_int_equal(len, wr_w_tcpopt_len(ts, n));
            assert_int_equal(parse(out, len, false, &back), W_OK);
            assert_int_equal(back.has_ts, ts);
            assert_int_equal(back.n_sack, fit);
            for (uint8_t i = 0; i < fit; i++) {
                assert_int_equal(back.sack[i].start, in.sack[i].start);
                assert_int_equal(back.sack[i].end, in.sack[i].end);
            }
        }
    }
    in.n_sack = 0;
    assert_int_equal(wr_w_tcpopt_emit(out, &in), 12);
    assert_memory_equal(out, "\1\1\10\12\1\2\3\4\21\22\23\24", 12);
}

static void the_fast_path_takes_exactly_nop_nop_ts(void **state)
{
    static const uint8_t ts[16] = {1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6};
    uint32_t val = 0, ecr = 0;

    (void)state;
    for (size_t n = 0; n <= sizeof ts; n++) {
        uint8_t *cut = exact_copy(ts, n);
        assert_int_equal(wr_w_tcpopt_parse_ts(cut, n, &val, &ecr), n == 12);
        free(cut);
    }
    assert_int_equal(val, 5);
    assert_int_equal(ecr, 6);
    uint8_t out[W_TCPOPT_MAX];
    assert_int_equal(wr_w_tcpopt_emit_ts(out, 5, 6), 12);
    assert_memory_equal(out, ts, 12);
    for (size_t at = 0; at < 4; at++) {
        uint8_t other[12];
        memcpy(other, ts, 12);
        other[at] ^= 1;
        val = 77;
        assert_false(wr_w_tcpopt_parse_ts(other, 12, &val, &ecr));
        assert_int_equal(val, 77);
    }
}

/* And that of a SYN exactly what Linux sends and we do: with any bit changed it says the same as the whole parser, or
 * nothing. */
static void the_fast_path_of_a_syn_says_what_the_parser_says(void **state)
{
    static const struct w_tcpopt says = {.has_mss = true,
                                         .mss = 1460,
                                         .sack_permitted = true,
                                         .has_ts = true,
                                         .ts_val = 5,
                                         .ts_ecr = 6,
                                         .has_wscale = true,
                                         .wscale = 7};
    uint8_t syn[W_TCPOPT_MAX] = {0}, usual[W_TCPOPT_MAX];

    (void)state;
    assert_int_equal(wr_w_tcpopt_emit_syn(syn, &says), 20);
    assert_int_equal(wr_w_tcpopt_emit_usual_syn(usual, 1460, 5, 6, 7), 20);
    assert_memory_equal(usual, syn, 20);
    for (size_t n = 0; n <= 24; n++) {
        uint8_t *cut = exact_copy(syn, n);
        struct w_tcpopt fast = {0};
        assert_int_equal(wr_w_tcpopt_parse_syn(cut, n, &fast), n == 20);
        assert_memory_equal(&fast, n == 20 ? &says : &(struct w_tcpopt){0}, sizeof fast);
        free(cut);
    }
    for (unsigned bit = 0; bit < 160; bit++) {
        struct w_tcpopt fast = {0}, whole;
        uint8_t other[20];
        bool told, value = bit / 8 == 2 || bit / 8 == 3 || (bit >= 64 && bit < 128) || bit >= 152;
        memcpy(other, syn, sizeof other);
        other[bit / 8] ^= (uint8_t)(1u << bit % 8);
        told = wr_w_tcpopt_parse_syn(other, sizeof other, &fast);
        (void)wr_w_tcpopt_parse(other, sizeof other, true, &whole);
        assert_int_equal(told, value);
        assert_memory_equal(&fast, told ? &whole : &(struct w_tcpopt){0}, sizeof fast);
    }
}

/* RFC 9293 3.2: unknown kinds by their length, NOPs and an end of list, options at odd offsets. */
static void unknown_unaligned_and_padded_9293_M04_M06_M64(void **state)
{
    struct w_tcpopt opt;

    (void)state;
    assert_int_equal(PARSE(true, &opt, 1, 1, 2, 4, 3, 132, 0, 99), W_OK); /* NOP NOP MSS=900 EOL */
    assert_int_equal(opt.mss, 900);
    assert_int_equal(PARSE(true, &opt, 200, 6, 9, 9, 9, 9, 2, 4, 2, 188), W_OK);
    assert_int_equal(opt.mss, 700);
    assert_int_equal(PARSE(true, &opt, 2, 4, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 3, 3, 5), W_OK);
    assert_true(opt.has_ts && opt.ts_val == 1 && opt.ts_ecr == 2 && opt.wscale == 5);
    assert_int_equal(PARSE(false, &opt, 253, 4, 1, 2, 1, 1), W_OK); /* 9293-M05 */
    assert_int_equal(
        PARSE(false, &opt, 19, 18, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        W_OK); /* MD5, RFC 2385: unknown here */
}

/* Hostile input 24. */
static void illegal_lengths_are_told_and_survived_9293_M07(void **state)
{
    struct w_tcpopt opt;

    (void)state;
    assert_int_equal(PARSE(true, &opt, 2, 4, 5, 0xb4, 250, 0, 1, 1), W_OPTION);
    assert_true(opt.has_mss && opt.mss == 1460); /* what stood before it counts, as on Linux */
    assert_int_equal(PARSE(true, &opt, 250, 1, 2, 4, 5, 0xb4), W_OPTION);
    assert_false(opt.has_mss);
    assert_int_equal(PARSE(true, &opt, 250, 60, 1, 1), W_OPTION);
    assert_int_equal(PARSE(true, &opt, 1, 1, 1, 2), W_OPTION); /* a kind at the last byte */
    assert_int_equal(PARSE(true, &opt, 2, 3, 5, 1), W_OK);     /* MSS of length 3: skipped */
    assert_false(opt.has_mss);
    assert_int_equal(PARSE(true, &opt, 2, 5, 5, 1, 1), W_OK);
    assert_false(opt.has_mss);
    assert_int_equal(PARSE(true, &opt, 3, 4, 5, 1, 4, 3, 0, 8, 9, 0, 0, 0, 0, 0, 0, 0), W_OK);
    assert_false(opt.has_wscale || opt.sack_permitted || opt.has_ts);
    assert_int_equal(PARSE(false, &opt, 5, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0), W_OK);
    assert_int_equal(opt.n_sack, 0);
    assert_int_equal(PARSE(false, &opt, 5, 2), W_OK);
    assert_int_equal(opt.n_sack, 0);
    assert_int_equal(PARSE(false, &opt, 28, 3, 1, 34, 2, 254, 3, 1), W_OK);
    assert_int_equal(
        parse("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1",
              40, true, &opt),
        W_OK);
}

static void options_of_a_syn_are_ignored_elsewhere_and_repeats_count_last(void **state)
{
    struct w_tcpopt opt;

    (void)state;
    assert_int_equal(parse(linux_syn, sizeof linux_syn, false, &opt), W_OK);
    assert_false(opt.has_mss || opt.has_wscale || opt.sack_permitted);
    assert_true(opt.has_ts);
    assert_int_equal(PARSE(true, &opt, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2), W_OK);
    assert_int_equal(opt.n_sack, 0);
    assert_int_equal(PARSE(true, &opt, 2, 4, 0, 1, 3, 3, 255, 2, 4, 0, 2, 3, 3, 2), W_OK);
    assert_int_equal(opt.mss, 2);
    assert_int_equal(opt.wscale, 2);
    assert_int_equal(PARSE(true, &opt, 3, 3, 255), W_OK);
    assert_int_equal(opt.wscale, 255); /* as sent; hostile input 25 is the user's to clamp */
}

/* RFC 5482 3: bit 15 is the granularity. */
static void the_user_timeout_is_read_5482_1(void **state)
{
    struct w_tcpopt opt;

    (void)state;
    assert_int_equal(PARSE(false, &opt, 28, 4, 0x80, 0x05), W_OK);
    assert_true(opt.has_uto);
    assert_int_equal(opt.uto, 0x8005);
}

/* Every cut of a valid list is a shorter list, or told as malformed. */
static void cuts_never_read_past_the_end(void **state)
{
    struct w_tcpopt opt;

    (void)state;
    for (size_t n = 0; n <= sizeof linux_syn; n++) {
        static const size_t ends[] = {0, 4, 6, 16, 17, 20};
        bool whole = false;
        for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
            whole |= n == ends[i];
        assert_int_equal(parse(linux_syn, n, true, &opt), whole ? W_OK : W_OPTION);
    }
}

static void random_lists_do_no_harm(void **state)
{
    static const uint8_t kinds[] = {0, 1, 2, 3, 4, 5, 8, 28, 34, 254};
    uint64_t rnd = 90;

    (void)state;
    for (int i = 0; i < 300000; i++) {
        uint8_t p[W_TCPOPT_MAX], out[W_TCPOPT_MAX];
        struct w_tcpopt opt, back;
        size_t n = test_below(&rnd, W_TCPOPT_MAX + 1), len;
        test_fill(&rnd, p, sizeof p);
        for (int j = 0; j < 8; j++) {
            p[test_below(&rnd, sizeof p)] = kinds[test_below(&rnd, sizeof kinds)];
            p[test_below(&rnd, sizeof p)] = (uint8_t)test_below(&rnd, 14);
        }
        bool is_syn = test_below(&rnd, 2) == 0;
        (void)parse(p, n, is_syn, &opt);
        assert_true(opt.n_sack <= W_TCPOPT_SACKS && opt.cookie_len <= W_TCPOPT_COOKIE_MAX);
        /* what was read survives being written and read again */
        len = is_syn ? wr_w_tcpopt_emit_syn(out, &opt) : wr_w_tcpopt_emit(out, &opt);
        assert_true(len <= W_TCPOPT_MAX && len % 4 == 0);
        assert_int_equal(parse(out, len, is_syn, &back), W_OK);
        assert_int_equal(back.has_mss, opt.has_mss);
        assert_int_equal(back.mss, opt.mss);
        assert_int_equal(back.wscale, opt.wscale);
        assert_int_equal(back.sack_permitted, opt.sack_permitted);
        assert_int_equal(back.ts_val, opt.ts_val);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_syn_of_linux_is_read_and_written_back),
        cmocka_unit_test(syn_options_are_padded_as_on_linux_9293_M68),
        cmocka_unit_test(fast_open_in_both_forms_7413_02),
        cmocka_unit_test(a_cookie_that_does_not_fit_is_left_out),
        cmocka_unit_test(segments_carry_timestamps_and_as_many_sacks_as_fit),
        cmocka_unit_test(the_fast_path_takes_exactly_nop_nop_ts),
        cmocka_unit_test(the_fast_path_of_a_syn_says_what_the_parser_says),
        cmocka_unit_test(unknown_unaligned_and_padded_9293_M04_M06_M64),
        cmocka_unit_test(illegal_lengths_are_told_and_survived_9293_M07),
        cmocka_unit_test(options_of_a_syn_are_ignored_elsewhere_and_repeats_count_last),
        cmocka_unit_test(the_user_timeout_is_read_5482_1),
        cmocka_unit_test(cuts_never_read_past_the_end),
        cmocka_unit_test(random_lists_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
