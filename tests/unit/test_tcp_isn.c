/* SPDX-License-Identifier: MIT */
/* ISNs and timestamp offsets: RFC 6528, RFC 9293 3.4.1, RFC 7323 7.1. */
#include "unit/probe.h"

#include <weir/stack.h>

#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"

static struct weir_stack *make_stack(uint8_t seed)
{
    struct weir_config config;
    weir_config_default(&config);
    config.seed[5] = seed;
    return weir_stack_new(&config, 0);
}

static struct wr_tuple tuple_of(uint32_t remote, uint16_t rport)
{
    struct wr_tuple tuple;
    memset(&tuple, 0, sizeof tuple);
    tuple.local = weir_addr_v4(0x0a000001);
    tuple.remote = weir_addr_v4(remote);
    tuple.lport = 80;
    tuple.rport = rport;
    return tuple;
}

static uint32_t isn(const struct weir_stack *stack, const struct wr_tuple *tuple, weir_time now)
{
    return wr_isn(stack, wr_demux_hash(stack, tuple), now);
}

static unsigned bits(uint32_t x)
{
    unsigned n = 0;
    for (; x != 0; x &= x - 1)
        n++;
    return n;
}

/* A 64 ns clock (Linux; RFC 6528 has 4 us): 15625000 a second, and it wraps without a jump. */
static void clock_9293_M08_6528_3_LNX_TCP_25(void **arg)
{
    struct weir_stack *stack = make_stack(1);
    struct wr_tuple tuple = tuple_of(0x0a000002, 5000);
    (void)arg;
    for (weir_time at = 0; at < 3600 * WEIR_SEC; at += WEIR_SEC)
        assert_int_equal(isn(stack, &tuple, at + WEIR_SEC) - isn(stack, &tuple, at), 15625000);
    weir_stack_free(stack);
}

/* One bit of the tuple changed: half of the bits of the ISN, on the average, and no linear relation. */
static void unpredictable_6528_2_9293_M09(void **arg)
{
    struct weir_stack *stack = make_stack(1);
    unsigned changed = 0;
    uint32_t last_step = 0;
    unsigned same_step = 0;
    (void)arg;
    for (uint16_t port = 1000; port < 2000; port++) {
        struct wr_tuple a = tuple_of(0x0a000002, port), b = tuple_of(0x0a000002, port ^ 1);
        uint32_t x = isn(stack, &a, 0) & 0x7f, y = isn(stack, &b, 0) & 0x7f;
        changed += bits(x ^ y);
        same_step += y - x == last_step;
        last_step = y - x;
    }
    /* 7 bits, 1000 times: 3500 expected, sigma 42. */
    assert_true(changed > 3500 - 250 && changed < 3500 + 250);
    assert_true(same_step < 60);
    weir_stack_free(stack);
}

static void secrets_differ_6528_4_6528_1_9293_S01(void **arg)
{
    struct weir_stack *one = make_stack(1), *same = make_stack(1), *other = make_stack(2);
    unsigned equal = 0;
    (void)arg;
    for (uint16_t port = 1; port <= 1000; port++) {
        struct wr_tuple tuple = tuple_of(0x0a000002, port);
        assert_int_equal(isn(one, &tuple, 77), isn(same, &tuple, 77)); /* 9293-S01 */
        equal += isn(one, &tuple, 77) == isn(other, &tuple, 77);
    }
    assert_true(equal < 40); /* of 128 values in the hard build, of 2^32 else */
    weir_stack_free(one);
    weir_stack_free(same);
    weir_stack_free(other);
}

/* The same for all connections of two hosts, so that TIME-WAIT can compare; else random. */
static void timestamp_offset_7323_22(void **arg)
{
    struct weir_stack *stack = make_stack(1);
    struct wr_tuple a = tuple_of(0x0a000002, 1), b = tuple_of(0x0a000002, 2);
    struct wr_tuple c = tuple_of(0x0a000003, 1);
    (void)arg;
    assert_int_equal(wr_isn_ts_offset(stack, &a), wr_isn_ts_offset(stack, &b));
    assert_int_not_equal(wr_isn_ts_offset(stack, &a), wr_isn_ts_offset(stack, &c));
    assert_int_equal(wr_ts_now(5, 10 * WEIR_SEC) - wr_ts_now(5, 0), 10000); /* 7323-19 */
    stack->tunables.tcp_timestamps = 2;
    assert_int_equal(wr_isn_ts_offset(stack, &a), 0);
    weir_stack_free(stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_9293_M08_6528_3_LNX_TCP_25),
        cmocka_unit_test(unpredictable_6528_2_9293_M09),
        cmocka_unit_test(secrets_differ_6528_4_6528_1_9293_S01),
        cmocka_unit_test(timestamp_offset_7323_22),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
