/* SPDX-License-Identifier: MIT */
/* Expectations: IEEE 802.1D's learning and forwarding. */
#include "unit/link_frames.h"

static const uint8_t mac[4][6] = {
    {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 3}, {2, 0, 0, 0, 0, 4}};
static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
static struct weir_switch *sw;
static struct weir_link *port[4];

static int setup(void **state)
{
    (void)state;
    assert_int_equal(weir_switch_new(&sw), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(weir_switch_port(sw, mac[i], i == 3 ? 500 : 0, &port[i]), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        weir_link_free(port[i]);
    weir_switch_free(sw);
    return 0;
}

static void send_eth(unsigned from, const uint8_t *to, const uint8_t *source, size_t len)
{
    uint8_t frame[1600] = {0};
    memcpy(frame, to, 6);
    memcpy(frame + 6, source, 6);
    struct weir_out out = out_of(frame, len);
    assert_int_equal(port[from]->ops->send(port[from], &out, 7), 0);
}

/* Takes all that came in; a bit for each port that got exactly one frame. */
static unsigned receivers(void)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < 4; i++) {
        struct weir_frame frame;
        if (port[i]->ops->recv(port[i], &frame, 7) == 1) {
            bits |= 1u << i;
            assert_int_equal(port[i]->ops->recv(port[i], &frame, 7), 0);
        }
    }
    return bits;
}

static void floods_until_it_has_learned(void **state)
{
    (void)state;
    send_eth(0, mac[1], mac[0], 60);
    assert_true(port[1]->ops->deadline(port[1]) == 7);
    assert_int_equal(receivers(), 0xe);
    send_eth(1, mac[0], mac[1], 60);
    assert_int_equal(receivers(), 0x1);
    send_eth(0, mac[1], mac[0], 60);
    assert_int_equal(receivers(), 0x2);
    send_eth(0, broadcast, mac[0], 60);
    assert_int_equal(receivers(), 0xe);
}

static void an_address_may_move(void **state)
{
    (void)state;
    send_eth(0, broadcast, mac[0], 60);
    receivers();
    send_eth(2, broadcast, mac[0], 60);
    receivers();
    send_eth(1, mac[0], mac[1], 60);
    assert_int_equal(receivers(), 0x4);
}

static void too_long_for_a_port_is_not_for_it(void **state)
{
    (void)state;
    send_eth(0, broadcast, mac[0], 14 + 501);
    assert_int_equal(receivers(), 0x6);
    send_eth(0, broadcast, mac[0], 14 + 500);
    assert_int_equal(receivers(), 0xe);
}

static void forged_sources_do_not_grow_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        uint8_t forged[6] = {2, 9, 0, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        send_eth(2, mac[3], forged, 60);
        receivers();
    }
    send_eth(1, broadcast, mac[1], 60);
    receivers();
    send_eth(0, mac[1], mac[0], 60);
    assert_int_equal(receivers(), 0x2); /* it still learns */
}

static void a_slow_port_loses_its_own_frames_only(void **state)
{
    struct weir_frame frame;
    unsigned n = 0;
    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        send_eth(0, broadcast, mac[0], 60);
        assert_int_equal(port[1]->ops->recv(port[1], &frame, 7), 1);
    }
    while (port[2]->ops->recv(port[2], &frame, 7) == 1)
        n++;
    assert_int_equal(n, 1024);
}

static void a_port_may_leave(void **state)
{
    (void)state;
    send_eth(1, broadcast, mac[1], 60);
    receivers();
    weir_link_free(port[1]);
    assert_int_equal(weir_switch_port(sw, mac[1], 0, &port[1]), 0);
    send_eth(0, mac[1], mac[0], 60);
    assert_int_equal(receivers(), 0xe); /* forgotten: flooded again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(floods_until_it_has_learned, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_may_move, setup, teardown),
        cmocka_unit_test_setup_teardown(too_long_for_a_port_is_not_for_it, setup, teardown),
        cmocka_unit_test_setup_teardown(forged_sources_do_not_grow_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_port_loses_its_own_frames_only, setup, teardown),
        cmocka_unit_test_setup_teardown(a_port_may_leave, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
