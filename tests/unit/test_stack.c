/* SPDX-License-Identifier: MIT */
/*
 * The stack itself: its life, its memory, time, the four calls, the loopback interface and counters.
 * Expectations are the contracts of include/weir/stack.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/ring.h"
#include "core/core.h"
#include "sim/sim.h"

static struct sim_mem mem;

static struct weir_stack *new_stack(const struct weir_config *change)
{
    struct weir_config config;
    if (change != NULL)
        config = *change;
    else
        weir_config_default(&config);
    memset(&mem, 0, sizeof mem);
    config.alloc = sim_allocator(&mem);
    return weir_stack_new(&config, 0);
}

static weir_sock udp_at(struct weir_stack *stack, uint32_t addr, uint16_t port)
{
    weir_sock sock;
    struct weir_endpoint local = {.addr = weir_addr_v4(addr), .port = port};
    assert_int_equal(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_DGRAM, 0, &sock), 0);
    assert_int_equal(weir_sock_bind(stack, sock, &local), 0);
    return sock;
}

static const uint32_t LOCALHOST = 0x7f000001;

/* ---- life and memory ------------------------------------------------------------------------- */

static void memory_is_counted_and_given_back(void **state)
{
    (void)state;
    struct weir_stack *stack = new_stack(NULL);
    assert_non_null(stack);
    assert_int_equal(weir_mem_bytes(stack), mem.bytes);
    udp_at(stack, LOCALHOST, 53);
    assert_int_equal(weir_mem_bytes(stack), mem.bytes);
    weir_stack_free(stack);
    assert_int_equal(mem.bytes, 0);
    weir_stack_free(NULL);
}

/* Hostile 45: each allocation of weir_stack_new() fails in turn. */
static void new_survives_each_failing_allocation(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct weir_config config;
        weir_config_default(&config);
        memset(&mem, 0, sizeof mem);
        mem.fail_at = n;
        config.alloc = sim_allocator(&mem);
        struct weir_stack *stack = weir_stack_new(&config, 0);
        if (mem.fails == 0) {
            assert_non_null(stack);
            weir_stack_free(stack);
            assert_true(n > 5);
            break;
        }
        weir_stack_free(stack);
        assert_int_equal(mem.bytes, 0);
    }
}

/* A few blocks that come back are kept for the next who asks: they count as held, their number is bounded, and they
 * go when memory is short. With an address sanitizer none is kept. */
static void blocks_are_kept_for_the_next_and_given_up_when_short(void **state)
{
    enum { N = 100 };
    void *block[N];
    (void)state;
    struct weir_config config;
    weir_config_default(&config);
    config.mem_max_bytes = 3000 * 1000;
    struct weir_stack *stack = new_stack(&config);
    assert_non_null(stack);
    size_t before = weir_mem_bytes(stack);
    for (unsigned i = 0; i < N; i++)
        assert_non_null(block[i] = wr_alloc(stack, WR_RING_FIRST));
    for (unsigned i = 0; i < N; i++)
        wr_free(stack, block[i], WR_RING_FIRST);
    size_t kept = weir_mem_bytes(stack) - before;
    assert_int_equal(kept, WR_SPARES(16) * (size_t)WR_RING_FIRST);
    assert_int_equal(weir_mem_bytes(stack), mem.bytes);

    uint64_t calls = mem.calls;
    void *again = wr_alloc(stack, WR_RING_FIRST);
    assert_int_equal(mem.calls, calls + (kept > 0 ? 0 : 1));
    wr_free(stack, again, WR_RING_FIRST);

    size_t rest = config.mem_max_bytes - before; /* all there is, with what is kept */
    void *large = wr_alloc(stack, rest);
    assert_non_null(large);
    assert_int_equal(weir_mem_bytes(stack), config.mem_max_bytes);
    assert_null(wr_alloc(stack, WR_RING_FIRST));
    wr_free(stack, large, rest);
    assert_int_equal(weir_mem_bytes(stack), before);
    weir_stack_free(stack);
    assert_int_equal(mem.bytes, 0);
}

/* The same of large ones: the last few that came back, for who asks for just their size. */
static void large_blocks_are_kept_for_their_size(void **state)
{
    const size_t size = 256 << 10, other = 300 << 10;
    void *block[WR_LARGE_SPARES + 1];
    (void)state;
    struct weir_config config;
    weir_config_default(&config);
    config.mem_max_bytes = 8 << 20;
    struct weir_stack *stack = new_stack(&config);
    assert_non_null(stack);
    size_t before = weir_mem_bytes(stack);
    for (unsigned i = 0; i <= WR_LARGE_SPARES; i++)
        assert_non_null(block[i] = wr_alloc(stack, size));
    for (unsigned i = 0; i <= WR_LARGE_SPARES; i++)
        wr_free(stack, block[i], size);
    size_t kept = weir_mem_bytes(stack) - before;
    assert_int_equal(kept, (size_t)WR_SPARES(WR_LARGE_SPARES) * size);
    assert_int_equal(weir_mem_bytes(stack), mem.bytes);

    uint64_t calls = mem.calls;
    void *again = wr_alloc(stack, size), *fresh = wr_alloc(stack, other);
    assert_int_equal(mem.calls, calls + (kept > 0 ? 1 : 2));
    wr_free(stack, again, size);
    wr_free(stack, fresh, other);
    assert_true(weir_mem_bytes(stack) <= before + (size_t)WR_LARGE_SPARES * other);

    size_t rest = config.mem_max_bytes - before; /* all there is, with what is kept */
    void *all = wr_alloc(stack, rest);
    assert_non_null(all);
    wr_free(stack, all, rest);
    assert_int_equal(weir_mem_bytes(stack), before);
    weir_stack_free(stack);
    assert_int_equal(mem.bytes, 0);
}

static void memory_bound_holds(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_default(&config);
    config.mem_max_bytes = 200 * 1000;
    struct weir_stack *stack = new_stack(&config);
    assert_non_null(stack);
    weir_sock sock;
    int error = 0;
    unsigned n = 0;
    while (error == 0 && n < 100000) {
        error = weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_DGRAM, 0, &sock);
        assert_true(weir_mem_bytes(stack) <= config.mem_max_bytes);
        n++;
    }
    assert_int_equal(error, WEIR_ENOMEM);
    assert_true(n > 10);
    weir_stack_free(stack);
    assert_int_equal(mem.bytes, 0);
}

static void max_sockets_holds(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_default(&config);
    config.max_sockets = 2;
    struct weir_stack *stack = new_stack(&config);
    weir_sock sock;
    for (int i = 0; i < 2; i++)
        assert_int_equal(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &sock), 0);
    weir_sock none;
    assert_int_equal(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &none), WEIR_EMFILE);
    assert_int_equal(weir_sock_close(stack, sock, 0), 0);
    assert_int_equal(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &sock), 0);
    weir_stack_free(stack);
}

static void default_allocator_works(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_default(&config);
    config.loopback = false;
    struct weir_stack *stack = weir_stack_new(&config, 0);
    assert_non_null(stack);
    assert_null(stack->lo);
    assert_int_equal(weir_deadline(stack), WEIR_TIME_NEVER);
    weir_stack_free(stack);
}

/* Keys depend on seed and purpose, and on nothing else. */
static void derived_keys(void **state)
{
    (void)state;
    uint8_t key[4][16];
    for (int i = 0; i < 2; i++) {
        struct weir_config config;
        weir_config_default(&config);
        config.seed[31] = (uint8_t)i;
        struct weir_stack *stack = new_stack(&config);
        wr_derive_key(stack, "one", key[2 * i]);
        wr_derive_key(stack, "two", key[2 * i + 1]);
        uint8_t again[16];
        wr_derive_key(stack, "one", again);
        assert_memory_equal(again, key[2 * i], 16);
        weir_stack_free(stack);
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(key[i], key[j], 16);
}

/* ---- interfaces that are not there ----------------------------------------------------------- */

static void unknown_interfaces(void **state)
{
    (void)state;
    struct weir_stack *stack = new_stack(NULL);
    uint8_t byte = 0x45, head[WEIR_HEAD_MAX];
    struct weir_frame frame = {.data = &byte, .len = 1};
    struct weir_out out = {.head = head};
    assert_int_equal(weir_input(stack, 77, &frame, 0), WEIR_ENODEV);
    assert_int_equal(weir_output(stack, 77, &out, 0), 0);
    /* lo has no outside */
    assert_int_equal(weir_input(stack, stack->lo->ifindex, &frame, 0), WEIR_ENODEV);
    udp_at(stack, LOCALHOST, 53);
    struct weir_endpoint to = {.addr = weir_addr_v4(LOCALHOST), .port = 53};
    weir_sock sock = udp_at(stack, LOCALHOST, 54);
    assert_int_equal(weir_sock_send(stack, sock, "x", 1, 0, &to, 0), 1);
    assert_int_equal(weir_output(stack, stack->lo->ifindex, &out, 0), 0);
    weir_stack_free(stack);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void time_never_goes_back(void **state)
{
    (void)state;
    struct weir_stack *stack = new_stack(NULL);
    weir_advance(stack, 100 * WEIR_SEC);
    weir_advance(stack, 1 * WEIR_SEC);
    assert_int_equal(stack->now, 100 * WEIR_SEC);
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    weir_output(stack, 1, &out, 2 * WEIR_SEC);
    assert_int_equal(stack->now, 100 * WEIR_SEC);
    weir_stack_free(stack);
}

/* ---- loopback -------------------------------------------------------------------------------- */

static void loopback_is_pumped_by_advance(void **state)
{
    (void)state;
    struct weir_stack *stack = new_stack(NULL);
    weir_sock server = udp_at(stack, LOCALHOST, 53), client = udp_at(stack, LOCALHOST, 54);
    struct weir_endpoint to = {.addr = weir_addr_v4(LOCALHOST), .port = 53};
    static uint8_t data[60000], got[60000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    weir_advance(stack, 5);
    assert_int_equal(weir_sock_send(stack, client, data, sizeof data, 0, &to, 5), sizeof data);
    assert_int_equal(weir_sock_ready(stack, server) & WEIR_POLLIN, 0); /* not before advance */
    assert_int_equal(weir_deadline(stack), 5);
    weir_advance(stack, 5);
    assert_int_equal(weir_sock_recv(stack, server, got, sizeof got, 0, NULL, 5), sizeof data);
    assert_memory_equal(got, data, sizeof data);
    assert_true(weir_deadline(stack) > 5);
    weir_stack_free(stack);
    assert_int_equal(mem.bytes, 0);
}

/* However much waits, one call does a bounded part of it, and asks for another. */
static void loopback_is_bounded_per_call(void **state)
{
    (void)state;
    struct weir_stack *stack = new_stack(NULL);
    weir_sock server = udp_at(stack, LOCALHOST, 53), client = udp_at(stack, LOCALHOST, 54);
    struct weir_endpoint to = {.addr = weir_addr_v4(LOCALHOST), .port = 53};
    int one = 1 << 20;
    weir_sock_setsockopt(stack, server, WEIR_SOL_SOCKET, WEIR_SO_RCVBUF, &one, sizeof one, 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(weir_sock_send(stack, client, "x", 1, 0, &to, 0), 1);
    unsigned got = 0, calls = 0;
    char byte;
    while (weir_deadline(stack) == 0) {
        unsigned before = got;
        weir_advance(stack, 0);
        calls++;
        while (weir_sock_recv(stack, server, &byte, 1, 0, NULL, 0) == 1)
            got++;
        assert_true(got - before <= 256);
    }
    assert_int_equal(got, 1000);
    assert_true(calls >= 4);
    weir_stack_free(stack);
}

/* Out of memory for the copy: the frame is lost and counted, the pump goes on. */
static void loopback_without_memory_drops(void **state)
{
    (void)state;
    static uint8_t data[30000];
    struct weir_stack *stack = new_stack(NULL);
    weir_sock server = udp_at(stack, LOCALHOST, 53), client = udp_at(stack, LOCALHOST, 54);
    struct weir_endpoint to = {.addr = weir_addr_v4(LOCALHOST), .port = 53};
    assert_int_equal(weir_sock_send(stack, client, data, sizeof data, 0, &to, 0), sizeof data);
    mem.fail_at = mem.calls + 1;
    weir_advance(stack, 0);
    assert_int_equal(mem.fails, 1);
    assert_int_equal(weir_drop_count(stack, WR_DROP_no_memory), 1);
    assert_int_equal(weir_sock_ready(stack, server) & WEIR_POLLIN, 0);
    assert_true(weir_deadline(stack) > 0);
    weir_stack_free(stack);
    assert_int_equal(mem.bytes, 0);
}

/* ---- output ---------------------------------------------------------------------------------- */

static struct sim sim;

static void queued_frames_are_lent_whole(void **state)
{
    (void)state;
    sim_init(&sim, 1);
    sim_host(&sim, NULL);
    sim_host(&sim, NULL);
    sim_join(&sim, 0, 1, NULL);
    struct weir_stack *stack = sim.host[0].stack;
    struct weir_endpoint to = sim_endpoint(0, 2, WEIR_AF_INET, 53);
    weir_sock sock = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_DGRAM);
    uint8_t data[1400], head[WEIR_HEAD_MAX];
    memset(data, 0x5a, sizeof data);
    size_t before = weir_mem_bytes(stack);
    static const size_t sizes[] = {1, 100, 101, 1400};
    int ifindex = sim.host[0].port[0].ifindex;
    for (unsigned i = 0; i < 4; i++) {
        assert_false(weir_has_work(stack, ifindex));
        weir_sock_send(stack, sock, data, sizes[i], 0, &to, sim.now);
        assert_true(weir_has_work(stack, ifindex));
        assert_false(weir_has_work(stack, stack->lo->ifindex));
        assert_false(weir_has_work(stack, 77));
        struct weir_out out = {.head = head};
        size_t len = weir_output(stack, ifindex, &out, sim.now);
        assert_int_equal(len, 28 + sizes[i]);
        size_t sum = out.head_len;
        for (unsigned s = 0; s < out.n_spans; s++)
            sum += out.span[s].len;
        assert_int_equal(sum, len);
        assert_true(out.head_len >= 28);
        const struct weir_span *last = &out.span[0];
        assert_int_equal(out.n_spans > 0 ? last->ptr[last->len - 1] : head[len - 1], 0x5a);
        assert_int_equal(weir_output(stack, sim.host[0].port[0].ifindex, &out, sim.now), 0);
    }
    /* all lent frames were taken back */
    assert_true(weir_mem_bytes(stack) >= before);
    weir_sock_close(stack, sock, sim.now);
    sim_free(&sim);
}

static void an_event_is_work(void **state)
{
    (void)state;
    struct weir_stack *stack = new_stack(NULL);
    weir_sock from = udp_at(stack, LOCALHOST, 53), to = udp_at(stack, LOCALHOST, 54);
    struct weir_endpoint at = {.addr = weir_addr_v4(LOCALHOST), .port = 54};
    struct weir_event event;
    while (weir_next_event(stack, &event))
        continue;
    assert_false(weir_has_work(stack, 77));
    assert_int_equal(weir_sock_send(stack, from, "x", 1, 0, &at, 0), 1);
    weir_advance(stack, 0);
    assert_true(weir_has_work(stack, 77));
    while (weir_next_event(stack, &event))
        assert_true(event.sock == to || event.sock == from);
    assert_false(weir_has_work(stack, 77));
    weir_stack_free(stack);
}

static void down_interfaces_carry_nothing(void **state)
{
    (void)state;
    sim_init(&sim, 1);
    sim_host(&sim, NULL);
    sim_host(&sim, NULL);
    sim_join(&sim, 0, 1, NULL);
    struct weir_stack *stack = sim.host[0].stack;
    int ifindex = sim.host[0].port[0].ifindex;
    assert_int_equal(weir_netif_set_up(stack, ifindex, false, sim.now), 0);
    uint8_t byte = 0x45;
    struct weir_frame frame = {.data = &byte, .len = 1};
    assert_int_equal(weir_input(stack, ifindex, &frame, sim.now), 0);
    assert_int_equal(weir_drop_count(stack, WR_DROP_netif_down), 1);
    weir_output_lost(stack, 3, sim.now);
    assert_int_equal(weir_drop_count(stack, WR_DROP_link_lost), 3);
    sim_free(&sim);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void counters_have_names(void **state)
{
    (void)state;
    struct weir_stack *stack = new_stack(NULL);
    for (unsigned i = 0; i < weir_drop_reasons(); i++) {
        assert_non_null(weir_drop_name(i));
        assert_int_equal(weir_drop_count(stack, i), 0);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(weir_drop_name(i), weir_drop_name(j));
    }
    assert_null(weir_drop_name(weir_drop_reasons()));
    assert_int_equal(weir_drop_count(stack, UINT32_MAX), 0);
    assert_string_equal(weir_drop_name(WR_DROP_tcp_bad_checksum), "tcp_bad_checksum");
    assert_string_equal(weir_stat_name(WR_STAT_tcp_retrans_segs), "TcpRetransSegs");
    assert_null(weir_stat_name(weir_stat_kinds()));
    assert_int_equal(weir_stat_count(stack, weir_stat_kinds()), 0);
    weir_stack_free(stack);
}

static void errors_have_names(void **state)
{
    (void)state;
    assert_string_equal(weir_error_name(WEIR_ECONNRESET), "ECONNRESET");
    assert_string_equal(weir_error_name(0), "OK");
    assert_string_equal(weir_error_text(WEIR_EPIPE), "sending side is closed");
    assert_string_equal(weir_error_name(-99999), "?");
    assert_string_equal(weir_error_text(1), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_counted_and_given_back),
        cmocka_unit_test(new_survives_each_failing_allocation),
        cmocka_unit_test(blocks_are_kept_for_the_next_and_given_up_when_short),
        cmocka_unit_test(large_blocks_are_kept_for_their_size),
        cmocka_unit_test(memory_bound_holds),
        cmocka_unit_test(max_sockets_holds),
        cmocka_unit_test(default_allocator_works),
        cmocka_unit_test(derived_keys),
        cmocka_unit_test(unknown_interfaces),
        cmocka_unit_test(time_never_goes_back),
        cmocka_unit_test(loopback_is_pumped_by_advance),
        cmocka_unit_test(loopback_is_bounded_per_call),
        cmocka_unit_test(loopback_without_memory_drops),
        cmocka_unit_test(queued_frames_are_lent_whole),
        cmocka_unit_test(an_event_is_work),
        cmocka_unit_test(down_interfaces_carry_nothing),
        cmocka_unit_test(counters_have_names),
        cmocka_unit_test(errors_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
