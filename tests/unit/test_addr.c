/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>

#include "probe.h"
#include "weir/addr.h"

static struct weir_addr addr(const char *text)
{
    struct weir_addr a;

    assert_true(weir_addr_parse(text, &a));
    return a;
}

/* RFC 5952 4: what is read on the left is written as on the right. */
static void text_is_canonical_5952(void **state)
{
    static const char *const cases[][2] = {
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"::ffff:10.1.2.3", "10.1.2.3"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"2001:0DB8::0001", "2001:db8::1"},
        {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* 4.2.2: one group is not cut */
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},          /* 4.2.3: the longest run */
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},    /* 4.2.3: the first of equals */
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_addr a = addr(cases[i][0]);
        char buf[WEIR_ADDR_STRLEN];
        assert_int_equal(weir_addr_format(&a, buf, sizeof buf), strlen(cases[i][1]));
        assert_string_equal(buf, cases[i][1]);
    }
}

static void bad_text_is_refused(void **state)
{
    static const char *const cases[] = {"",
                                        ".",
                                        "1.2.3",
                                        "1.2.3.",
                                        "1.2.3.4.",
                                        "1.2.3.4.5",
                                        "256.1.1.1",
                                        "01.2.3.4",
                                        "1.2.3.a",
                                        " 1.2.3.4",
                                        "1.2.3.4 ",
                                        "1..2.3",
                                        ":",
                                        ":::",
                                        "1:",
                                        ":1",
                                        "1::2::3",
                                        "1:2:3:4:5:6:7",
                                        "1:2:3:4:5:6:7:8:9",
                                        "1:2:3:4:5:6:7:8::",
                                        "::1:2:3:4:5:6:7:8",
                                        "1:2:3:4::5:6:7:8",
                                        "12345::",
                                        "g::",
                                        "::1.2.3",
                                        "::1.2.3.4:1",
                                        "1:2:3:4:5:6:7:1.2.3.4",
                                        "::1.2.3.256",
                                        "fe80::1%eth0",
                                        "1:2:3:4:5:6:7:",
                                        "::1/64"};
    struct weir_addr a;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (weir_addr_parse(cases[i], &a))
            fail_msg("'%s' was accepted", cases[i]);
    }
}

/* The C library reads and writes the same for every address without an embedded dotted quad. */
static void agrees_with_the_c_library(void **state)
{
    uint64_t rnd = 7;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct weir_addr a, back;
        char mine[WEIR_ADDR_STRLEN], theirs[INET6_ADDRSTRLEN];
        uint8_t bytes[16];
        test_fill(&rnd, a.b, 16);
        for (uint32_t g = 0; g < 8; g++) {
            if (test_below(&rnd, 2) == 0)
                a.b[2 * g] = a.b[2 * g + 1] = 0;
        }
        a.b[0] |= 1; /* keeps out of ::a.b.c.d, which the library writes dotted */
        assert_true(weir_addr_format(&a, mine, sizeof mine) < sizeof mine);
        assert_non_null(inet_ntop(AF_INET6, a.b, theirs, sizeof theirs));
        assert_string_equal(mine, theirs);
        assert_true(weir_addr_parse(mine, &back));
        assert_true(weir_addr_eq(&a, &back));
        assert_int_equal(inet_pton(AF_INET6, mine, bytes), 1);
    }
}

/* Random texts of the letters that matter: accepted exactly when the C library accepts them. */
static void accepts_what_the_c_library_accepts(void **state)
{
    uint64_t rnd = 8;
    int accepted = 0;

    (void)state;
    for (int i = 0; i < 400000; i++) {
        char text[24];
        uint8_t bytes[16];
        struct weir_addr a;
        uint32_t n = test_below(&rnd, sizeof text - 1);
        for (uint32_t j = 0; j < n; j++)
            text[j] = "0123:::...f"[test_below(&rnd, 11)];
        text[n] = '\0';
        bool v4 = inet_pton(AF_INET, text, bytes) == 1;
        if (v4) {
            memmove(bytes + 12, bytes, 4);
            memcpy(bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
        }
        bool want = v4 || inet_pton(AF_INET6, text, bytes) == 1;
        if (weir_addr_parse(text, &a) != want)
            fail_msg("'%s': %s by the C library", text, want ? "accepted" : "refused");
        if (want)
            assert_memory_equal(a.b, bytes, 16);
        accepted += want;
    }
    assert_true(accepted > 100);
}

static void properties_are_of_their_family(void **state)
{
    static const struct {
        const char *text;
        bool v4, any, multicast, broadcast, loopback, link_local;
    } cases[] = {
        {"0.0.0.0", true, true, false, false, false, false},
        {"127.255.0.1", true, false, false, false, true, false},
        {"224.0.0.1", true, false, true, false, false, false},
        {"239.255.255.255", true, false, true, false, false, false},
        {"240.0.0.1", true, false, false, false, false, false},
        {"255.255.255.255", true, false, false, true, false, false},
        {"169.254.1.1", true, false, false, false, false, true},
        {"10.0.0.1", true, false, false, false, false, false},
        {"::", false, true, false, false, false, false},
        {"::1", false, false, false, false, true, false},
        {"ff02::1", false, false, true, false, false, false},
        {"fe80::1", false, false, false, false, false, true},
        {"febf::1", false, false, false, false, false, true},
        {"fec0::1", false, false, false, false, false, false},
        {"2001:db8::1", false, false, false, false, false, false},
        {"::fffe:1.2.3.4", false, false, false, false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_addr a = addr(cases[i].text);
        assert_int_equal(weir_addr_is_v4(&a), cases[i].v4);
        assert_int_equal(weir_addr_is_any(&a), cases[i].any);
        assert_int_equal(weir_addr_is_multicast(&a), cases[i].multicast);
        assert_int_equal(weir_addr_is_broadcast(&a), cases[i].broadcast);
        assert_int_equal(weir_addr_is_loopback(&a), cases[i].loopback);
        assert_int_equal(weir_addr_is_link_local(&a), cases[i].link_local);
    }
    assert_int_equal(weir_addr_to_v4(&(struct weir_addr){.b = {[12] = 1, 2, 3, 4}}), 0x01020304);
}

static void prefixes_match_bit_by_bit(void **state)
{
    struct weir_addr net = addr("10.1.2.0"), a = addr("10.1.2.129"), six = addr("2001:db8::");

    (void)state;
    for (unsigned len = 0; len <= 32; len++)
        assert_int_equal(weir_addr_prefix_match(&a, &net, WEIR_PREFIX_V4(len)), len <= 24);
    assert_false(weir_addr_prefix_match(&a, &six, 3)); /* 2000::/3 */
    assert_true(weir_addr_prefix_match(&a, &six, 0));
    assert_true(weir_addr_prefix_match(&a, &a, 128));
    assert_false(weir_addr_prefix_match(&a, &a, 129));
}

static void endpoints_are_written_with_ports_5952(void **state)
{
    struct weir_endpoint e4 = {addr("1.2.3.4"), 80}, e6 = {addr("::1"), 65535};
    char buf[WEIR_ENDPOINT_STRLEN];

    (void)state;
    assert_int_equal(weir_endpoint_format(&e4, buf, sizeof buf), 10);
    assert_string_equal(buf, "1.2.3.4:80");
    assert_int_equal(weir_endpoint_format(&e6, buf, sizeof buf), 11);
    assert_string_equal(buf, "[::1]:65535");
    assert_int_equal(weir_endpoint_format(&e6, buf, 4), 11);
    assert_string_equal(buf, "[::");
    assert_true(weir_endpoint_eq(&e4, &e4));
    assert_false(weir_endpoint_eq(&e4, &e6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_canonical_5952),
        cmocka_unit_test(bad_text_is_refused),
        cmocka_unit_test(agrees_with_the_c_library),
        cmocka_unit_test(accepts_what_the_c_library_accepts),
        cmocka_unit_test(properties_are_of_their_family),
        cmocka_unit_test(prefixes_match_bit_by_bit),
        cmocka_unit_test(endpoints_are_written_with_ports_5952),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
