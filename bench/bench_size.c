/* SPDX-License-Identifier: MIT */
/*
 * What a program links in that uses TCP alone, over IPv4 and IPv6: bench/size builds the core with -Os, links this
 * with --gc-sections, and sums what of the result is the core's. It runs, too: a connection to oneself by the four
 * calls, over each.
 */
#include <string.h>
#include <weir/weir.h>

#include "bench.h"

static uint8_t frame_bytes[65536 + WEIR_HEAD_MAX];

static void check(ptrdiff_t result)
{
    if (result < 0)
        die("%s", weir_error_text((int)result));
}

/* What is said on the interface comes back by it. */
static void turn(struct weir_stack *stack, int ifindex, weir_time now)
{
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};

    if (weir_deadline(stack) <= now)
        weir_advance(stack, now);
    while (weir_output(stack, ifindex, &out, now) > 0) {
        struct weir_frame frame = {.data = frame_bytes, .len = out.head_len};

        memcpy(frame_bytes, head, out.head_len);
        for (unsigned i = 0; i < out.n_spans; i++) {
            memcpy(frame_bytes + frame.len, out.span[i].ptr, out.span[i].len);
            frame.len += out.span[i].len;
        }
        check(weir_input(stack, ifindex, &frame, now));
    }
}

static void talk(struct weir_stack *stack, int ifindex, int family, struct weir_addr addr)
{
    struct weir_endpoint local = {.addr = addr, .port = 7}, remote = local;
    weir_sock listener, near, far;
    struct weir_event event;
    weir_time now = WEIR_SEC;
    char byte = 1;

    check(weir_sock_open(stack, family, WEIR_SOCK_STREAM, 0, &listener));
    check(weir_sock_bind(stack, listener, &local));
    check(weir_sock_listen(stack, listener, 8, now));
    check(weir_sock_open(stack, family, WEIR_SOCK_STREAM, 0, &near));
    (void)weir_sock_connect(stack, near, &remote, now);
    turn(stack, ifindex, now);
    check(weir_sock_accept(stack, listener, &far, NULL, now));
    check(weir_sock_send(stack, near, &byte, 1, 0, NULL, now));
    turn(stack, ifindex, now);
    check(weir_sock_recv(stack, far, &byte, 1, 0, NULL, now));
    while (weir_next_event(stack, &event))
        continue;
    check(weir_sock_close(stack, near, now));
    check(weir_sock_close(stack, far, now));
    check(weir_sock_close(stack, listener, now));
}

int main(void)
{
    struct weir_netif_config netif = {.name = "own0", .kind = WEIR_NETIF_IP, .mtu = 1500};
    struct weir_addr addrs[2] = {weir_addr_v4(0x0a000001)};
    struct weir_config config;
    struct weir_stack *stack;
    int ifindex;

    weir_config_default(&config);
    memset(config.seed, 1, sizeof config.seed);
    stack = weir_stack_new(&config, 0);
    ifindex = stack ? weir_netif_add(stack, &netif, 0) : WEIR_ENOMEM;
    check(ifindex);
    if (!weir_addr_parse("fd00::1", &addrs[1]))
        die("no address");
    check(weir_addr_add(stack, ifindex, &addrs[0], 24, 0));
    check(weir_addr_add(stack, ifindex, &addrs[1], 64, 0));
    for (weir_time now = 0; now < WEIR_SEC; now += 10 * WEIR_MS) /* duplicate address detection */
        turn(stack, ifindex, now);
    talk(stack, ifindex, WEIR_AF_INET, addrs[0]);
    talk(stack, ifindex, WEIR_AF_INET6, addrs[1]);
    weir_stack_free(stack);
    return 0;
}
