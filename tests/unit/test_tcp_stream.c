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

/* The link says that it takes 256 KB at once, and cuts them. */
static void stream_v4_large_super_segments(void **arg)
{
    struct sim_wire wire = {.kind = WEIR_NETIF_IP, .gso_max_bytes = 262144, .csum_offload = true};
    (void)arg;
    run_stream(&wire, WEIR_AF_INET, 5000000);
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

static struct weir_endpoint loopback(uint16_t port)
{
    return (struct weir_endpoint){weir_addr_v4(0x7f000001), port};
}

/* A socket that connects to itself: RFC 9293 3.5's simultaneous open with one end (9293-SEQ-8). */
static void self_connect_9293_SEQ_8_9293_M10(void **arg)
{
    struct sim sim;
    struct weir_endpoint self = loopback(5555);
    char byte = 0;
    (void)arg;
    sim_init(&sim, 11);
    sim_host(&sim, NULL);
    weir_sock sock = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
    struct weir_stack *stack = sim.host[0].stack;
    assert_int_equal(weir_sock_bind(stack, sock, &self), 0);
    assert_int_equal(weir_sock_connect(stack, sock, &self, sim.now), WEIR_EINPROGRESS);
    sim_run(&sim, WEIR_SEC);
    assert_int_equal(sim_state(&sim, 0, sock), WEIR_TCP_ESTABLISHED);
    assert_int_equal(weir_sock_send(stack, sock, "x", 1, 0, NULL, sim.now), 1);
    sim_run(&sim, WEIR_SEC);
    assert_int_equal(weir_sock_recv(stack, sock, &byte, 1, 0, NULL, sim.now), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(weir_sock_close(stack, sock, sim.now), 0);
    sim_run(&sim, 130 * WEIR_SEC);
    sim_free(&sim);
}

/* An active open may take the place of a TIME-WAIT record on loopback, after a second (tcp_tw_reuse 2). */
static void time_wait_reuse_LNX_SYSCTL_15(void **arg)
{
    struct sim sim;
    struct weir_endpoint server = loopback(80), client = loopback(4444);
    weir_sock conn;
    (void)arg;
    sim_init(&sim, 12);
    sim_host(&sim, NULL);
    struct weir_stack *stack = sim.host[0].stack;
    weir_sock listener = sim_listen(&sim, 0, &server, 5);
    for (int round = 0; round < 3; round++) {
        weir_sock sock = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
        sim_setopt(&sim, 0, sock, WEIR_SOL_SOCKET, WEIR_SO_REUSEADDR, 1);
        assert_int_equal(weir_sock_bind(stack, sock, &client), 0);
        if (round == 1) /* too early */
            assert_int_equal(weir_sock_connect(stack, sock, &server, sim.now), WEIR_EADDRNOTAVAIL);
        else
            assert_int_equal(weir_sock_connect(stack, sock, &server, sim.now), WEIR_EINPROGRESS);
        sim_run(&sim, 100 * WEIR_MS);
        if (round != 1) {
            assert_int_equal(sim_state(&sim, 0, sock), WEIR_TCP_ESTABLISHED);
            assert_int_equal(weir_sock_accept(stack, listener, &conn, NULL, sim.now), 0);
        }
        assert_int_equal(weir_sock_close(stack, sock, sim.now), 0); /* the client closes first */
        sim_run(&sim, 100 * WEIR_MS);
        if (round != 1)
            assert_int_equal(weir_sock_close(stack, conn, sim.now), 0);
        sim_run(&sim, round == 0 ? 200 * WEIR_MS : WEIR_SEC);
    }
    sim_free(&sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_v4),
        cmocka_unit_test(stream_v6_super_segments),
        cmocka_unit_test(stream_v4_large_super_segments),
        cmocka_unit_test(stream_ethernet_lossy),
        cmocka_unit_test(self_connect_9293_SEQ_8_9293_M10),
        cmocka_unit_test(time_wait_reuse_LNX_SYSCTL_15),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
