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

#include "sim/sim.h"

static struct sim sim;

enum { SERVER_PORT = 80, CHUNK = 65536 };
#define GBIT  (1000ull * 1000 * 1000)
#define PAUSE (30 * WEIR_MS)

/* What is between the two, and what the writer does. */
struct path {
    weir_time delay; /* each way */
    uint64_t rate_bps;
    const char *rules;
    size_t burst; /* written after each PAUSE; 0: as much as goes, all the time */
    weir_time run;
};

struct outcome {
    uint64_t trace, bytes;
    int sndbuf, rcvbuf;
    uint32_t srtt_us;
};

struct flow {
    weir_sock client, server;
    uint64_t bytes;
    size_t burst;
    weir_time next_at;
};

/* The writer fills its buffer, or writes its burst; the reader empties its own; never done. */
static bool move(struct sim *s, void *arg)
{
    static uint8_t data[CHUNK];
    struct flow *flow = arg;
    ptrdiff_t n;

    size_t most = s->now < flow->next_at ? 0 : flow->burst > 0 ? flow->burst : SIZE_MAX;

    if (flow->burst > 0 && most > 0)
        flow->next_at = s->now + PAUSE;
    while (most > 0 && (n = weir_sock_send(s->host[0].stack, flow->client, data,
                                           most < CHUNK ? most : CHUNK, 0, NULL, s->now)) > 0)
        most -= (size_t)n;
    while ((n = weir_sock_recv(s->host[1].stack, flow->server, data, CHUNK, 0, NULL, s->now)) > 0)
        flow->bytes += (uint64_t)n;
    sim_settle(s);
    return false;
}

/* A stream, with a queue of 750 KB. It begins long after the handshake, which is what its first segments echo. */
static struct outcome stream(const struct path *path, int64_t near_us)
{
    struct sim_wire wire = {.impaired = true,
                            .impair = {.delay = path->delay,
                                       .rate_bps = path->rate_bps,
                                       .queue_frames = 500,
                                       .rules = path->rules}};
    struct weir_tcp_info info;
    size_t len = sizeof info;
    struct flow flow = {.burst = path->burst};
    struct outcome seen;

    sim_init(&sim, 1);
    sim_host(&sim, NULL);
    sim_host(&sim, NULL);
    sim_join(&sim, 0, 1, &wire);
    for (unsigned host = 0; host < 2; host++)
        assert_int_equal(weir_sysctl_set(sim.host[host].stack, "weir.tcp_near_rtt_us", near_us), 0);
    sim_connected(&sim, WEIR_AF_INET, SERVER_PORT, &flow.client, &flow.server);
    (void)sim_run_until(&sim, move, &flow, path->run);
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

static void a_near_peer_gets_what_its_path_carries(void **state)
{
    const struct path path = {.delay = 50 * WEIR_US, .rate_bps = GBIT, .run = 400 * WEIR_MS};
    struct outcome near = stream(&path, 1000), as_linux = stream(&path, 0);

    (void)state;
    assert_true(near.sndbuf < as_linux.sndbuf);
    assert_true(near.rcvbuf < as_linux.rcvbuf);
    assert_true(near.srtt_us < as_linux.srtt_us);
    assert_true(near.bytes * 100 >= as_linux.bytes * 99);
}

/* Either side may have waited for the CPU then. */
static void a_slow_handshake_does_not_make_a_peer_far(void **state)
{
    const struct path path = {.delay = 50 * WEIR_US,
                              .rate_bps = 10 * GBIT,
                              .rules = "delay synack 1 3ms",
                              .run = 50 * WEIR_MS};
    struct outcome near = stream(&path, 1000), as_linux = stream(&path, 0);

    (void)state;
    assert_true(near.rcvbuf < as_linux.rcvbuf);
    assert_true(near.bytes * 100 >= as_linux.bytes * 99);
}

/* Nor is one that is near all the same taken for farther than it is. */
static void a_slow_handshake_makes_no_large_window(void **state)
{
    struct path path = {.delay = 10 * WEIR_US, .rate_bps = 20 * GBIT, .run = 50 * WEIR_MS};
    struct outcome quick = stream(&path, 1000), slow;

    (void)state;
    path.rules = "delay synack 1 800us";
    slow = stream(&path, 1000);
    assert_int_equal(slow.rcvbuf, quick.rcvbuf);
    assert_true(slow.bytes * 100 >= quick.bytes * 99);
}

static void a_far_peer_is_served_as_on_linux(const struct path *path)
{
    struct outcome ruled = stream(path, 1000), as_linux = stream(path, 0);

    assert_true(ruled.trace == as_linux.trace);
    assert_int_equal(ruled.rcvbuf, as_linux.rcvbuf);
}

static void a_far_peer_that_streams(void **state)
{
    const struct path path = {.delay = 5 * WEIR_MS, .rate_bps = GBIT, .run = 400 * WEIR_MS};

    (void)state;
    a_far_peer_is_served_as_on_linux(&path);
}

/* A window that is open comes at the rate of the wire, in less than a round trip. */
static void a_far_peer_that_writes_in_bursts(void **state)
{
    const struct path path = {
        .delay = 2 * WEIR_MS, .rate_bps = 10 * GBIT, .burst = 2 << 20, .run = 400 * WEIR_MS};

    (void)state;
    a_far_peer_is_served_as_on_linux(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_near_peer_gets_what_its_path_carries),
        cmocka_unit_test(a_slow_handshake_does_not_make_a_peer_far),
        cmocka_unit_test(a_slow_handshake_makes_no_large_window),
        cmocka_unit_test(a_far_peer_that_streams),
        cmocka_unit_test(a_far_peer_that_writes_in_bursts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
