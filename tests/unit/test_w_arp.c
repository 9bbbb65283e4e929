/* SPDX-License-Identifier: MIT */
#include "probe.h"
#include "wire/w_arp.h"

/* who-has 10.0.0.2 tell 10.0.0.1, from 02:00:00:00:00:01 */
static const uint8_t request[W_ARP_LEN] = {0,  1, 8, 0, 6, 4, 0, 1, 2, 0, 0,  0, 0, 1,
                                           10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2};

static void a_request_is_read_and_written_back(void **state)
{
    struct w_arp arp;
    uint8_t out[W_ARP_LEN];

    (void)state;
    assert_int_equal(wr_w_arp_parse(request, sizeof request, &arp), W_OK);
    assert_int_equal(arp.op, W_ARP_REQUEST);
    assert_int_equal(weir_addr_to_v4(&arp.spa), 0x0a000001);
    assert_int_equal(weir_addr_to_v4(&arp.tpa), 0x0a000002);
    assert_int_equal(arp.sha[0], 2);
    wr_w_arp_emit(out, &arp);
    assert_memory_equal(out, request, sizeof out);
    arp.op = W_ARP_REPLY;
    wr_w_arp_emit(out, &arp);
    assert_int_equal(wr_w_arp_parse(out, sizeof out, &arp), W_OK);
    assert_int_equal(arp.op, W_ARP_REPLY);
}

static void padding_is_ignored_and_cuts_are_refused(void **state)
{
    uint8_t padded[46] = {0};
    struct w_arp arp;

    (void)state;
    memcpy(padded, request, sizeof request);
    assert_int_equal(wr_w_arp_parse(padded, sizeof padded, &arp), W_OK);
    for (size_t n = 0; n < W_ARP_LEN; n++) {
        uint8_t *cut = exact_copy(request, n);
        assert_int_equal(wr_w_arp_parse(cut, n, &arp), W_SHORT);
        free(cut);
    }
}

/* Hostile input 2: wrong types and lengths, senders that no host can have. */
static void wrong_fields_and_senders_are_refused(void **state)
{
    static const struct {
        size_t at, n;
        uint8_t bytes[6];
        enum w_err want;
    } cases[] = {
        {0, 2, {0, 6}, W_FIELD},
        {2, 2, {0x86, 0xdd}, W_FIELD},
        {4, 1, {8}, W_FIELD},
        {4, 1, {0}, W_FIELD},
        {5, 1, {16}, W_FIELD},
        {5, 1, {0}, W_FIELD},
        {6, 2, {0, 0}, W_FIELD},
        {6, 2, {0, 3}, W_FIELD},
        {6, 2, {0xff, 0xff}, W_FIELD},
        {6, 2, {1, 1}, W_FIELD},
        {8, 6, {0}, W_ADDR},
        {8, 1, {1}, W_ADDR},
        {14, 4, {224, 0, 0, 1}, W_ADDR},
        {14, 4, {255, 255, 255, 255}, W_ADDR},
        {8, 6, {255, 255, 255, 255, 255, 255}, W_ADDR},
        {14, 4, {0, 0, 0, 0}, W_OK}, /* a probe, RFC 5227 1.1 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct w_arp arp;
        uint8_t p[W_ARP_LEN];
        memcpy(p, request, sizeof p);
        memcpy(p + cases[i].at, cases[i].bytes, cases[i].n);
        assert_int_equal(wr_w_arp_parse(p, sizeof p, &arp), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read_and_written_back),
        cmocka_unit_test(padding_is_ignored_and_cuts_are_refused),
        cmocka_unit_test(wrong_fields_and_senders_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
