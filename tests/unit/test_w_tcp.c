/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "probe.h"
#include "wire/w_csum.h"
#include "wire/w_tcp.h"

static void random_headers_come_back_as_they_were(void **state)
{
    uint64_t rnd = 80;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint8_t p[80], out[W_TCP_HLEN];
        struct w_tcp tcp;
        size_t off = 20 + 4 * (size_t)test_below(&rnd, 11);
        test_fill(&rnd, p, sizeof p);
        p[12] = (uint8_t)(off / 4 << 4 | (p[12] & 1));
        p[16] = p[17] = 0;
        assert_int_equal(wr_w_tcp_parse(p, sizeof p, &tcp), W_OK);
        assert_int_equal(tcp.data_off, off);
        wr_w_tcp_emit(out, &tcp);
        assert_memory_equal(out, p, W_TCP_HLEN);
    }
}

static void fields_stand_where_rfc_9293_puts_them(void **state)
{
    static const uint8_t p[] = {0xa0, 0x28, 0x00, 0x50, 0x01, 0x02, 0x03, 0x04, 0x11, 0x12,
                                0x13, 0x14, 0x50, 0x12, 0xfa, 0xf0, 0x00, 0x00, 0x00, 0x09};
    struct w_tcp tcp;

    (void)state;
    assert_int_equal(wr_w_tcp_parse(p, sizeof p, &tcp), W_OK);
    assert_int_equal(tcp.src_port, 41000);
    assert_int_equal(tcp.dst_port, 80);
    assert_int_equal(tcp.seq, 0x01020304);
    assert_int_equal(tcp.ack, 0x11121314);
    assert_int_equal(tcp.flags, W_TCP_SYN | W_TCP_ACK);
    assert_int_equal(tcp.wnd, 64240); /* unsigned, 9293-M01 */
    assert_int_equal(tcp.urg, 9);
    assert_int_equal(tcp.data_off, 20);
}

/* Hostile input 26: every set of flags is read; reserved bits are ignored (RFC 9293 3.1). */
static void all_flags_are_read_and_reserved_bits_ignored(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x1000; bits++) {
        uint8_t p[20] = {0};
        struct w_tcp tcp;
        put_be16(p + 12, (uint16_t)(0x5000 | bits));
        assert_int_equal(wr_w_tcp_parse(p, sizeof p, &tcp), W_OK);
        assert_int_equal(tcp.flags, bits & 0x1ff);
    }
}

/* Hostile input 23: short segments and data offsets. */
static void cuts_and_data_offsets_are_checked(void **state)
{
    uint8_t p[44] = {0};
    struct w_tcp tcp;

    (void)state;
    for (unsigned off = 0; off < 16; off++) {
        p[12] = (uint8_t)(off << 4);
        for (size_t n = 0; n <= sizeof p; n++) {
            uint8_t *cut = exact_copy(p, n);
            enum w_err want = n < 20 ? W_SHORT : off < 5 || off * 4 > n ? W_HDRLEN : W_OK;
            assert_int_equal(wr_w_tcp_parse(cut, n, &tcp), want);
            free(cut);
        }
    }
}

static void a_wrong_bit_is_a_wrong_checksum_9293_M03(void **state)
{
    struct weir_addr src = weir_addr_v4(0x0a000001), dst = weir_addr_v4(0x0a000002);
    struct w_tcp tcp = {.src_port = 1, .dst_port = 2, .data_off = 20};
    uint8_t p[27];

    (void)state;
    wr_w_tcp_emit(p, &tcp);
    memcpy(p + 20, "odd len", 7);
    uint64_t sum = wr_csum_pseudo(&src, &dst, 6, sizeof p);
    put_be16(p + W_TCP_OFF_CSUM, wr_csum_finish(wr_csum_add(sum, p, sizeof p)));
    assert_true(wr_w_tcp_csum_ok(p, sizeof p, &src, &dst));
    assert_false(wr_w_tcp_csum_ok(p, sizeof p - 1, &src, &dst));
    for (size_t bit = 0; bit < 8 * sizeof p; bit++) {
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(wr_w_tcp_csum_ok(p, sizeof p, &src, &dst));
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    dst.b[15] ^= 1;
    assert_false(wr_w_tcp_csum_ok(p, sizeof p, &src, &dst));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_headers_come_back_as_they_were),
        cmocka_unit_test(fields_stand_where_rfc_9293_puts_them),
        cmocka_unit_test(all_flags_are_read_and_reserved_bits_ignored),
        cmocka_unit_test(cuts_and_data_offsets_are_checked),
        cmocka_unit_test(a_wrong_bit_is_a_wrong_checksum_9293_M03),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
