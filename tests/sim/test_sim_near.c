/* SPDX-License-Identifier: MIT */
/*
 * Buffers of near peers (tcp_rcvbuf.c). From first principles: where a path holds little, larger buffers only make
 * data wait, so without them the stream is as fast and its round trip shorter; and on a path that is long by itself
 * the rule says nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <weir/info.h>

#include "core/core.h"
#include "sim/sim.h"
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"

static struct sim sim;

enum { SERVER_PORT = 80, CHUNK = 65536, RUN_MS = 400 };

struct outcome {
    uint64_t trace, bytes;
    int sndbuf, rcvbuf;
    uint32_t srtt_us;
};

struct flow {
    weir_sock client, server;
    uint64_t bytes;
};

/* The writer fills its buffer, the reader empties its own; never done. */
static bool move(struct sim *s, void *arg)
{
    static uint8_t data[CHUNK];
    struct flow *flow = arg;
    ptrdiff_t n;

    while (weir_sock_send(s->host[0].stack, flow->client, data, CHUNK, 0, NULL, s->now) > 0)
        continue;
    while ((n = weir_sock_recv(s->host[1].stack, flow->server, data, CHUNK, 0, NULL, s->now)) > 0)
        flow->bytes += (uint64_t)n;
    sim_settle(s);
    return false;
}

/* The server is taken to have seen such a round trip in the handshake, and a greeting of it gives the client a timestamp
 * that is not of before it began to wait. */
static void greet(const struct flow *flow, weir_time rtt)
{
    struct wr_tcp *tcp = sim.host[1].stack->tcp;
    uint8_t byte = 0;

    assert_int_equal(weir_sock_send(sim.host[1].stack, flow->server, &byte, 1, 0, NULL, sim.now),
                     1);
    sim_settle(&sim);
    sim_run(&sim, WEIR_MS);
    assert_int_equal(weir_sock_recv(sim.host[0].stack, flow->client, &byte, 1, 0, NULL, sim.now),
                     1);
    for (uint32_t i = 0; i < tcp->tcbs.n_slots; i++) {
        struct tcb *tcb = wr_pool_at(&tcp->tcbs, i);
        if (tcb != NULL)
            tcb->rtt.min_rtt = tcb->rtt.srtt = rtt;
    }
}

/* A stream for RUN_MS over `gbit` with a queue of 750 KB, `delay` each way; handshake 0: nothing is said of it. */
static struct outcome stream_over(unsigned gbit, weir_time delay, weir_time handshake,
                                  int64_t near_us)
{
    struct sim_wire wire = {
        .impaired = true,
        .impair = {.delay = delay, .rate_bps = gbit * 1000ull * 1000 * 1000, .queue_frames = 500}};
    struct weir_tcp_info info;
    size_t len = sizeof info;
    struct flow flow = {.bytes = 0};
    struct outcome seen;

    sim_init(&sim, 1);
    sim_host(&sim, NULL);
    sim_host(&sim, NULL);
    sim_join(&sim, 0, 1, &wire);
    for (unsigned host = 0; host < 2; host++)
        assert_int_equal(weir_sysctl_set(sim.host[host].stack, "weir.tcp_near_rtt_us", near_us), 0);
    sim_connected(&sim, WEIR_AF_INET, SERVER_PORT, &flow.client, &flow.server);
    if (handshake != 0)
        greet(&flow, handshake);
    (void)sim_run_until(&sim, move, &flow, RUN_MS * WEIR_MS);
    assert_int_equal(weir_sock_getsockopt(sim.host[0].stack, flow.client, WEIR_SOL_TCP,
                                          WEIR_TCP_INFO, &info, &len, sim.now),
                     0);
    seen = (struct outcome){
        .trace = sim.trace,
        .bytes = flow.bytes,
        .sndbuf = sim_getopt(&sim, 0, flow.client, WEIR_SOL_SOCKET, WEIR_SO_SNDBUF),
        .rcvbuf = sim_getopt(&sim, 1, flow.server, WEIR_SOL_SOCKET, WEIR_SO_RCVBUF),
        .srtt_us = info.tcpi_rtt};
    sim_free(&sim);
    return seen;
}

static struct outcome stream(weir_time delay, int64_t near_us)
{
    return stream_over(1, delay, 0, near_us);
}

static void a_near_peer_gets_what_its_path_carries(void **state)
{
    struct outcome near = stream(50 * WEIR_US, 1000), as_linux = stream(50 * WEIR_US, 0);

    (void)state;
    assert_true(near.sndbuf < as_linux.sndbuf);
    assert_true(near.srtt_us < as_linux.srtt_us);
    assert_true(near.bytes * 100 >= as_linux.bytes * 99);
}

static void a_far_peer_is_served_as_on_linux(void **state)
{
    struct outcome ruled = stream(5 * WEIR_MS, 1000), as_linux = stream(5 * WEIR_MS, 0);

    (void)state;
    assert_true(ruled.trace == as_linux.trace);
    assert_int_equal(ruled.rcvbuf, as_linux.rcvbuf);
}

/* What a receiver of a stream knows of the path is the handshake, in which both sides are slow: but its first windows
 * come as fast as all others. */
static void a_slow_handshake_makes_no_large_window(void **state)
{
    struct outcome quick = stream_over(20, 10 * WEIR_US, 30 * WEIR_US, 1000),
                   slow = stream_over(20, 10 * WEIR_US, 900 * WEIR_US, 1000);

    (void)state;
    assert_int_equal(slow.rcvbuf, quick.rcvbuf);
    assert_true(slow.bytes * 100 >= quick.bytes * 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_near_peer_gets_what_its_path_carries),
        cmocka_unit_test(a_slow_handshake_makes_no_large_window),
        cmocka_unit_test(a_far_peer_is_served_as_on_linux),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
