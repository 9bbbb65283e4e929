/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "probe.h"
#include "wire/w_ip6.h"

static void random_headers_come_back_as_they_were(void **state)
{
    uint64_t rnd = 30;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        uint8_t p[60], out[W_IP6_HLEN];
        struct w_ip6 ip;
        test_fill(&rnd, p, sizeof p);
        p[0] = (uint8_t)(0x60 | (p[0] & 15));
        put_be16(p + 4, (uint16_t)test_below(&rnd, 21));
        assert_int_equal(wr_w_ip6_parse(p, sizeof p, &ip), W_OK);
        assert_int_equal(ip.payload_len, get_be16(p + 4));
        assert_int_equal(ip.tclass, (p[0] & 15) << 4 | p[1] >> 4);
        assert_int_equal(ip.flow, get_be32(p) & 0xfffff);
        assert_int_equal(ip.next, p[6]);
        assert_int_equal(ip.hop_limit, p[7]);
        assert_memory_equal(ip.src.b, p + 8, 16);
        assert_memory_equal(ip.dst.b, p + 24, 16);
        wr_w_ip6_emit(out, &ip);
        assert_memory_equal(out, p, sizeof out);
    }
}

/* Hostile input 8: payload length larger, smaller, zero. */
static void lengths_and_versions_are_checked(void **state)
{
    uint8_t p[60] = {0x60};
    struct w_ip6 ip;

    (void)state;
    p[5] = 20;
    p[8] = p[24] = 0x20;
    for (size_t n = 0; n < sizeof p; n++) {
        uint8_t *cut = exact_copy(p, n);
        assert_int_equal(wr_w_ip6_parse(cut, n, &ip), n < 40 ? W_SHORT : W_LENGTH);
        assert_int_equal(wr_w_ip6_parse_quoted(cut, n, &ip), n < 40 ? W_SHORT : W_OK);
        free(cut);
    }
    assert_int_equal(wr_w_ip6_parse(p, sizeof p, &ip), W_OK);
    p[5] = 3; /* the rest is padding */
    assert_int_equal(wr_w_ip6_parse(p, sizeof p, &ip), W_OK);
    p[5] = 0;
    assert_int_equal(wr_w_ip6_parse(p, sizeof p, &ip), W_OK);
    assert_int_equal(ip.payload_len, 0);
    for (int version = 0; version < 16; version++) {
        p[0] = (uint8_t)(version << 4);
        assert_int_equal(wr_w_ip6_parse(p, sizeof p, &ip), version == 6 ? W_OK : W_VERSION);
    }
}

/* An IPv4-mapped address on the wire would pass for IPv4 further up. */
static void mapped_addresses_are_refused(void **state)
{
    struct w_ip6 in = {.src = weir_addr_v4(1), .dst = {.b = {0x20}}}, ip;
    uint8_t p[W_IP6_HLEN];

    (void)state;
    wr_w_ip6_emit(p, &in);
    assert_int_equal(wr_w_ip6_parse(p, sizeof p, &ip), W_ADDR);
    in.dst = in.src;
    in.src = weir_addr_any6();
    wr_w_ip6_emit(p, &in);
    assert_int_equal(wr_w_ip6_parse(p, sizeof p, &ip), W_ADDR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_headers_come_back_as_they_were),
        cmocka_unit_test(lengths_and_versions_are_checked),
        cmocka_unit_test(mapped_addresses_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
