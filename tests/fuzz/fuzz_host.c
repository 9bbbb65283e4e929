/* SPDX-License-Identifier: MIT */
/*
 * A whole host with live sockets under arbitrary input: frames, time and socket calls.
 *
 * The host has an Ethernet interface, one that carries bare IP packets, and lo; listeners, a connected
 * pair over lo, connections on their way out, and UDP sockets, of both families. The input is a program
 * for the rest of the world and for the application, one step an operation (enum op): raw frames; segments,
 * datagrams, ICMP messages and fragments whose checksums are right and whose sequence numbers are near
 * those that the host used, so that they get past the first checks; time steps; socket calls;
 * changes of interfaces; allocations that fail.
 *
 * After each step everything that the host wants to send is taken and must be well-formed, and the host
 * must come to rest. At the end every byte of memory must have been given back.
 */
#include "fuzz/host_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPS_MAX = 300 /* steps of one input */ };

enum op {
    OP_RAW_ETHER,
    OP_RAW_IP,
    OP_TCP,
    OP_TCP_NEW,
    OP_UDP,
    OP_ICMP_ERROR,
    OP_ICMP,
    OP_NDP,
    OP_ARP,
    OP_FRAGMENT,
    OP_REFLECT,
    OP_TIME,
    OP_SOCK,
    OP_CONFIG,
    OP_FAIL,
    OP_COUNT
};

static void op_time(struct world *w, struct input *in)
{
    static const weir_time steps[] = {0,
                                      WEIR_US,
                                      WEIR_MS,
                                      40 * WEIR_MS,
                                      200 * WEIR_MS,
                                      WEIR_SEC,
                                      3 * WEIR_SEC,
                                      10 * WEIR_SEC,
                                      31 * WEIR_SEC,
                                      61 * WEIR_SEC,
                                      601 * WEIR_SEC,
                                      7201 * WEIR_SEC,
                                      30 * 86400 * WEIR_SEC};
    run_until(w, w->now + steps[take8(in) % (sizeof steps / sizeof steps[0])]);
}

static void step(struct world *w, struct input *in)
{
    switch ((enum op)(take8(in) % OP_COUNT)) {
    case OP_RAW_ETHER:
        op_raw(w, in, w->ether);
        break;
    case OP_RAW_IP:
        if (w->guest)
            op_guest(w, in);
        op_raw(w, in, w->tun);
        break;
    case OP_TCP:
        op_tcp(w, in);
        break;
    case OP_TCP_NEW:
        op_tcp_new(w, in);
        break;
    case OP_UDP:
        op_udp(w, in);
        break;
    case OP_ICMP_ERROR:
        op_icmp_error(w, in);
        break;
    case OP_ICMP:
        op_icmp(w, in);
        break;
    case OP_NDP:
        op_ndp(w, in);
        break;
    case OP_ARP:
        op_arp(w, in);
        break;
    case OP_FRAGMENT:
        op_fragment(w, in);
        break;
    case OP_REFLECT:
        op_reflect(w, in);
        break;
    case OP_TIME:
        op_time(w, in);
        break;
    case OP_SOCK:
        op_sock(w, in);
        break;
    case OP_CONFIG:
        op_config(w, in);
        break;
    case OP_FAIL:
        w->fail_at = w->calls + take8(in);
        w->fail_count = take8(in) & 3;
        break;
    case OP_COUNT:
        break;
    }
    drain(w);
    must(weir_mem_bytes(w->stack) <= MEM_MAX, "memory within its bound");
}

/* With FUZZ_HOST_SHOW in the environment: what an input brought about. */
static void show(const struct weir_stack *stack)
{
    for (unsigned i = 0; i < weir_stat_kinds(); i++) {
        if (weir_stat_count(stack, i) > 0)
            printf("%s %llu\n", weir_stat_name(i), (unsigned long long)weir_stat_count(stack, i));
    }
    for (unsigned i = 0; i < weir_drop_reasons(); i++) {
        if (weir_drop_count(stack, i) > 0)
            printf("drop %s %llu\n", weir_drop_name(i),
                   (unsigned long long)weir_drop_count(stack, i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    static struct world w;
    make_world(&w, take8(&in));
    for (unsigned i = 0; i < OPS_MAX && in.n > 0; i++)
        step(&w, &in);
    w.fail_count = 0;
    sock_table(&w);
    if (getenv("FUZZ_HOST_SHOW"))
        show(w.stack);
    free_world(&w);
    must(w.live == 0, "all memory is given back");
    return 0;
}
