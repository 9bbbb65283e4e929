/* SPDX-License-Identifier: MIT */
#include "probe.h"
#include "wire/w_eth.h"

static const uint8_t arp_frame[W_ETH_HLEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02,
                                              0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06};

static void a_header_is_read_and_written_back(void **state)
{
    struct w_eth eth;
    uint8_t out[W_ETH_HLEN];

    (void)state;
    assert_int_equal(wr_w_eth_parse(arp_frame, sizeof arp_frame, &eth), W_OK);
    assert_int_equal(eth.type, W_ETHERTYPE_ARP);
    assert_true(wr_w_eth_is_broadcast(eth.dst) && wr_w_eth_is_group(eth.dst));
    assert_false(wr_w_eth_is_broadcast(eth.src) || wr_w_eth_is_group(eth.src));
    wr_w_eth_emit(out, &eth);
    assert_memory_equal(out, arp_frame, sizeof out);
}

/* Hostile input 1. */
static void runts_and_802_3_lengths_are_refused(void **state)
{
    struct w_eth eth;
    uint8_t frame[W_ETH_HLEN];

    (void)state;
    for (size_t n = 0; n < W_ETH_HLEN; n++) {
        uint8_t *cut = exact_copy(arp_frame, n);
        assert_int_equal(wr_w_eth_parse(cut, n, &eth), W_SHORT);
        free(cut);
    }
    memcpy(frame, arp_frame, sizeof frame);
    frame[12] = 0x05;
    frame[13] = 0xff;
    assert_int_equal(wr_w_eth_parse(frame, sizeof frame, &eth), W_FIELD);
}

static void short_frames_are_padded_with_zeros(void **state)
{
    uint8_t frame[100], zero[W_ETH_MIN] = {0};

    (void)state;
    memset(frame, 0xaa, sizeof frame);
    assert_int_equal(wr_w_eth_pad(frame, 42), W_ETH_MIN);
    assert_int_equal(frame[41], 0xaa);
    assert_memory_equal(frame + 42, zero, W_ETH_MIN - 42);
    assert_int_equal(frame[W_ETH_MIN], 0xaa);
    assert_int_equal(wr_w_eth_pad(frame, W_ETH_MIN), W_ETH_MIN);
    assert_int_equal(wr_w_eth_pad(frame, 61), 61);
}

/* RFC 1112 6.4: 23 bits; RFC 2464 7: 33:33 and the last four bytes. */
static void group_addresses_map_to_group_macs(void **state)
{
    static const struct {
        const char *addr;
        uint8_t mac[6];
    } cases[] = {
        {"224.0.0.1", {0x01, 0x00, 0x5e, 0x00, 0x00, 0x01}},
        {"239.255.1.2", {0x01, 0x00, 0x5e, 0x7f, 0x01, 0x02}},
        {"255.255.255.255", {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {"ff02::1:ff12:3456", {0x33, 0x33, 0xff, 0x12, 0x34, 0x56}},
    };
    uint8_t mac[6];
    struct weir_addr a;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(weir_addr_parse(cases[i].addr, &a));
        assert_true(wr_w_eth_map_group(&a, mac));
        assert_memory_equal(mac, cases[i].mac, 6);
    }
    a = weir_addr_v4(0x0a000001);
    assert_false(wr_w_eth_map_group(&a, mac));
    a = weir_addr_any6();
    assert_false(wr_w_eth_map_group(&a, mac));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_read_and_written_back),
        cmocka_unit_test(runts_and_802_3_lengths_are_refused),
        cmocka_unit_test(short_frames_are_padded_with_zeros),
        cmocka_unit_test(group_addresses_map_to_group_macs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
