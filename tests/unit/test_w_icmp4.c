/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "probe.h"
#include "wire/w_icmp4.h"

static void messages_come_back_as_they_were(void **state)
{
    uint64_t rnd = 40;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        uint8_t p[100], *copy;
        size_t n = W_ICMP_HLEN + test_below(&rnd, sizeof p - W_ICMP_HLEN);
        struct w_icmp4 in = {(uint8_t)test_below(&rnd, 256), (uint8_t)test_below(&rnd, 256),
                             (uint32_t)test_random(&rnd)};
        struct w_icmp4 out;
        test_fill(&rnd, p, sizeof p);
        wr_w_icmp4_emit(p, n, &in);
        copy = exact_copy(p, n);
        assert_int_equal(wr_w_icmp4_parse(copy, n, &out), W_OK);
        assert_int_equal(out.type, in.type);
        assert_int_equal(out.code, in.code);
        assert_int_equal(out.rest, in.rest);
        copy[test_below(&rnd, (uint32_t)n)] ^= (uint8_t)(1u << test_below(&rnd, 8));
        assert_int_equal(wr_w_icmp4_parse(copy, n, &out), W_CSUM);
        free(copy);
    }
}

static void cuts_are_refused(void **state)
{
    uint8_t p[12] = {0};
    struct w_icmp4 echo = {W_ICMP4_ECHO, 0, wr_w_icmp_echo_rest(0x1234, 0x5678)}, out;

    (void)state;
    memcpy(p + 8, "data", 4);
    wr_w_icmp4_emit(p, sizeof p, &echo);
    assert_memory_equal(p + 4, "\x12\x34\x56\x78", 4);
    for (size_t n = 0; n < sizeof p; n++) {
        uint8_t *cut = exact_copy(p, n);
        assert_int_equal(wr_w_icmp4_parse(cut, n, &out), n < W_ICMP_HLEN ? W_SHORT : W_CSUM);
        free(cut);
    }
}

static void the_second_word_is_read_by_type(void **state)
{
    (void)state;
    assert_int_equal(wr_w_icmp_echo_id(0x12345678), 0x1234);
    assert_int_equal(wr_w_icmp_echo_seq(0x12345678), 0x5678);
    assert_int_equal(wr_w_icmp4_mtu(0xffff0578), 1400);
    assert_int_equal(wr_w_icmp4_pointer(0x14000000), 20);
    assert_int_equal(wr_w_icmp4_pointer_rest(20), 0x14000000);
}

/* RFC 1122 3.2.2: no error is sent about these. */
static void errors_are_told_from_queries(void **state)
{
    static const uint8_t errors[] = {3, 4, 5, 11, 12};

    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        bool want = memchr(errors, (int)type, sizeof errors) != NULL;
        assert_int_equal(wr_w_icmp4_is_error((uint8_t)type), want);
    }
}

/*
 * A quote of every length: RFC 792 promises 8 bytes of payload, some send fewer (hostile input 16).
 */
static void quotes_of_any_length_are_read(void **state)
{
    struct w_ip4 ip = {.src = weir_addr_v4(0x0a000001),
                       .dst = weir_addr_v4(0x0a000002),
                       .total_len = 60,
                       .hdr_len = 20,
                       .proto = W_IPPROTO_TCP,
                       .ttl = 1,
                       .id = 77};
    uint8_t p[100] = {0};
    struct w_quote q;

    (void)state;
    wr_w_ip4_emit(p, &ip);
    for (size_t n = 0; n <= sizeof p; n++) {
        uint8_t *cut = exact_copy(p, n);
        enum w_err err = wr_w_icmp4_quote(cut, n, &q);
        assert_int_equal(err, n < 20 ? W_SHORT : W_OK);
        if (err == W_OK) {
            assert_int_equal(q.l4_len, n < 60 ? n - 20 : 40);
            assert_ptr_equal(q.l4, cut + 20);
            assert_int_equal(q.proto, W_IPPROTO_TCP);
            assert_true(weir_addr_eq(&q.src, &ip.src) && weir_addr_eq(&q.dst, &ip.dst));
            assert_false(q.is_fragment);
            assert_int_equal(q.ip4.id, 77);
        }
        free(cut);
    }
    ip.frag_off = 8;
    wr_w_ip4_emit(p, &ip);
    assert_int_equal(wr_w_icmp4_quote(p, 28, &q), W_OK);
    assert_true(q.is_fragment);
    p[0] = 0x4f;
    assert_int_equal(wr_w_icmp4_quote(p, 28, &q), W_HDRLEN);
    p[0] = 0x60;
    assert_int_equal(wr_w_icmp4_quote(p, 28, &q), W_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back_as_they_were),
        cmocka_unit_test(cuts_are_refused),
        cmocka_unit_test(the_second_word_is_read_by_type),
        cmocka_unit_test(errors_are_told_from_queries),
        cmocka_unit_test(quotes_of_any_length_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
