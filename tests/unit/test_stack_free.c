/* SPDX-License-Identifier: MIT */
/* A stack that is freed in the middle of its work gives back all memory and touches none after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/weir.h>

static size_t bytes_out;

static void *count_alloc(void *ctx, size_t size)
{
    (void)ctx;
    bytes_out += size;
    return malloc(size);
}

static void count_free(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    memset(ptr, 0xdd,
           size); /* a timer that is still armed in here is found by whoever walks the heap */
    bytes_out -= size;
    free(ptr);
}

static weir_sock open_socket(struct weir_stack *stack, int domain)
{
    weir_sock sock;
    assert_int_equal(weir_sock_open(stack, domain, WEIR_SOCK_STREAM, 0, &sock), 0);
    return sock;
}

/* To a neighbour that will not answer. */
static void connect_to(struct weir_stack *stack, const char *text)
{
    struct weir_endpoint peer = {.port = 80};
    assert_true(weir_addr_parse(text, &peer.addr));
    assert_int_equal(weir_sock_connect(stack, open_socket(stack, WEIR_AF_INET), &peer, WEIR_MS),
                     WEIR_EINPROGRESS);
}

/* Timers of every kind are armed: address detection and router solicitation, neighbours, SYN, TIME-WAIT. */
static void free_with_timers_of_all_layers(void **state)
{
    (void)state;
    struct weir_netif_config netif = {
        .name = "eth0", .kind = WEIR_NETIF_ETHERNET, .mac = {2, 0, 0, 0, 0, 1}, .mtu = 1500};
    struct weir_config config;
    struct weir_addr v4, v6;
    weir_config_default(&config);
    config.alloc = (struct weir_allocator){count_alloc, count_free, NULL};
    struct weir_stack *stack = weir_stack_new(&config, 0);
    assert_non_null(stack);
    int ifindex = weir_netif_add(stack, &netif, 0);
    assert_true(ifindex > 0);
    assert_true(weir_addr_parse("10.0.0.1", &v4) && weir_addr_parse("fd00::1", &v6));
    assert_int_equal(weir_addr_add(stack, ifindex, &v4, 24, 0), 0);
    assert_int_equal(weir_addr_add(stack, ifindex, &v6, 64, 0), 0);
    struct weir_endpoint local = {.addr = weir_addr_v4(0x7f000001), .port = 7};
    weir_sock listener = open_socket(stack, WEIR_AF_INET);
    assert_int_equal(weir_sock_bind(stack, listener, &local), 0);
    assert_int_equal(weir_sock_listen(stack, listener, 4, 0), 0);
    weir_sock client = open_socket(stack, WEIR_AF_INET), server;
    assert_int_equal(weir_sock_connect(stack, client, &local, 0), WEIR_EINPROGRESS);
    for (weir_time now = 0; now < 20; now++)
        weir_advance(stack, now);
    assert_int_equal(weir_sock_accept(stack, listener, &server, NULL, 20), 0);
    assert_int_equal(weir_sock_close(stack, client, 20), 0);
    weir_advance(stack, 21);
    assert_int_equal(weir_sock_close(stack, server, 22), 0);
    for (weir_time now = 23; now < 30; now++)
        weir_advance(stack, now);
    connect_to(stack, "10.0.0.9");
    assert_int_not_equal(weir_deadline(stack), WEIR_TIME_NEVER);
    weir_stack_free(stack);
    assert_int_equal(bytes_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(free_with_timers_of_all_layers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
