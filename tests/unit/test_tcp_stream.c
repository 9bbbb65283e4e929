/* SPDX-License-Identifier: MIT */
/* A stream between two stacks on a perfect wire: handshake, data both ways, half-close, TIME-WAIT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/info.h>

#include "sim/sim.h"

/* Sends `total` bytes of a pattern from host 0 to host 1 and checks each. */
static void transfer(struct sim *sim, unsigned from, weir_sock tx, unsigned to, weir_sock rx,
                     size_t total)
{
    static uint8_t out[65536], in[65536];
    size_t sent = 0, got = 0;
    weir_time limit = sim->now + 600 * WEIR_SEC;

    while (got < total) {
        while (sent < total) {
            size_t want = total - sent < sizeof out ? total - sent : sizeof out;
            for (size_t i = 0; i < want; i++)
                out[i] = (uint8_t)((sent + i) * 31 >> 3);
            ptrdiff_t n = weir_sock_send(sim->host[from].stack, tx, out, want, 0, NULL, sim->now);
            if (n == WEIR_EAGAIN)
                break;
            assert_true(n > 0);
            sent += (size_t)n;
        }
        sim_run(sim, WEIR_MS);
        assert_true(sim->now < limit);
        for (;;) {
            ptrdiff_t n = weir_sock_recv(sim->host[to].stack, rx, in, sizeof in, 0, NULL, sim->now);
            if (n == WEIR_EAGAIN)
                break;
            assert_true(n > 0);
            for (ptrdiff_t i = 0; i < n; i++)
                assert_int_equal(in[i], (uint8_t)((got + (size_t)i) * 31 >> 3));
            got += (size_t)n;
        }
    }
}

static void run_stream(const struct sim_wire *wire, int family, size_t total)
{
    struct sim sim;
    weir_sock client, server;

    sim_init(&sim, 7);
    sim_host(&sim, NULL);
    sim_host(&sim, NULL);
    sim_join(&sim, 0, 1, wire);
    sim_connected(&sim, family, 80, &client, &server);
    assert_int_equal(sim_state(&sim, 0, client), WEIR_TCP_ESTABLISHED);
    transfer(&sim, 0, client, 1, server, total);
    transfer(&sim, 1, server, 0, client, total / 4);
    assert_int_equal(weir_sock_shutdown(sim.host[0].stack, client, WEIR_SHUT_WR, sim.now), 0);
    sim_run(&sim, 10 * WEIR_SEC); /* a lost FIN goes again */
    assert_int_equal(sim_state(&sim, 0, client), WEIR_TCP_FIN_WAIT2);
    assert_int_equal(sim_state(&sim, 1, server), WEIR_TCP_CLOSE_WAIT);
    transfer(&sim, 1, server, 0, client, 5000); /* half-closed: the other way still works */
    assert_int_equal(weir_sock_close(sim.host[1].stack, server, sim.now), 0);
    sim_run(&sim, 10 * WEIR_SEC); /* a lost FIN goes again */
    assert_int_equal(sim_state(&sim, 0, client), WEIR_TCP_CLOSE);
    assert_int_equal(weir_sock_close(sim.host[0].stack, client, sim.now), 0);
    sim_run(&sim, 61 * WEIR_SEC);
    sim_free(&sim);
}

static void stream_v4(void **arg)
{
    (void)arg;
    run_stream(NULL, WEIR_AF_INET, 1000000);
}

static void stream_v6_super_segments(void **arg)
{
    struct sim_wire wire = {.kind = WEIR_NETIF_IP, .gso_max_bytes = 65535, .csum_offload = true};
    (void)arg;
    run_stream(&wire, WEIR_AF_INET6, 5000000);
}

static void stream_ethernet_lossy(void **arg)
{
    struct sim_wire wire = {.kind = WEIR_NETIF_ETHERNET, .impaired = true};
    wire.impair.loss = 0.02;
    wire.impair.delay = 5 * WEIR_MS;
    (void)arg;
    run_stream(&wire, WEIR_AF_INET, 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_v4),
        cmocka_unit_test(stream_v6_super_segments),
        cmocka_unit_test(stream_ethernet_lossy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
