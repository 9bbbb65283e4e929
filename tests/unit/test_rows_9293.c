/* SPDX-License-Identifier: MIT */
/* Rows of RFC 9293 that need more than segments and socket calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <weir/weir.h>

static bool no_memory;

static void *take(void *ctx, size_t size)
{
    (void)ctx;
    return no_memory ? NULL : malloc(size);
}

static void give(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    (void)size;
    free(ptr);
}

static struct weir_stack *stack;
static int ifindex;
static const struct weir_endpoint peer = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2}},
                                          80};

static int setup(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_default(&config);
    config.alloc = (struct weir_allocator){take, give, NULL};
    no_memory = false;
    stack = weir_stack_new(&config, 0);
    struct weir_netif_config link = {.name = "t0", .kind = WEIR_NETIF_IP, .mtu = 1500};
    ifindex = weir_netif_add(stack, &link, 0);
    struct weir_addr own = weir_addr_v4(0x0a000001);
    return ifindex > 0 && weir_addr_add(stack, ifindex, &own, 24, 0) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    no_memory = false;
    weir_stack_free(stack);
    return 0;
}

static unsigned sent(weir_time now)
{
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    unsigned n = 0;
    while (weir_output(stack, ifindex, &out, now) > 0)
        n++;
    return n;
}

static weir_sock socket_made(void)
{
    weir_sock sock;
    assert_int_equal(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &sock), 0);
    return sock;
}

/* RFC 9293 3.10.1: no room for a TCB is an error of that open; others are unaffected. */
static void test_9293_OPEN_4_no_memory_for_a_connection(void **state)
{
    (void)state;
    weir_sock first = socket_made(), second = socket_made();
    assert_int_equal(weir_sock_connect(stack, first, &peer, 0), WEIR_EINPROGRESS);
    assert_int_equal(sent(0), 1);
    bool refused = false;
    for (int i = 0; i < 100000 && !refused; i++) {
        weir_sock sock = socket_made();
        no_memory = true;
        int err = weir_sock_connect(stack, sock, &peer, 0);
        no_memory = false;
        refused = err != WEIR_EINPROGRESS;
        if (refused) {
            assert_true(err == WEIR_ENOMEM || err == WEIR_ENOBUFS);
            assert_int_equal(sent(0), 0);
            assert_int_equal(weir_sock_ready(stack, sock), WEIR_POLLOUT | WEIR_POLLHUP);
        } else {
            sent(0); /* the pool still had room */
        }
    }
    assert_true(refused);
    /* The first attempt goes on: its SYN is sent again. The second can begin. */
    weir_advance(stack, WEIR_SEC);
    assert_true(sent(WEIR_SEC) >= 1);
    assert_int_equal(weir_sock_ready(stack, first), 0);
    assert_int_equal(weir_sock_connect(stack, second, &peer, WEIR_SEC), WEIR_EINPROGRESS);
    assert_int_equal(sent(WEIR_SEC), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_9293_OPEN_4_no_memory_for_a_connection, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
