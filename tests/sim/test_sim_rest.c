/* SPDX-License-Identifier: MIT */
/*
 * Connections at rest (tcp_rest.c). What is expected is from first principles: rest may be seen by nobody but by who
 * counts memory, so a run with it and the same run without it have the same packets and tell the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weir/info.h>

#include "core/core.h"
#include "sim/sim_pair.h"
#include "tcp/tcp_host.h"

enum { SERVER_PORT = 80 };

static struct weir_stack *stack_of(unsigned host)
{
    return sim.host[host].stack;
}

static void rest_after(int64_t ms)
{
    for (unsigned host = 0; host < 2; host++)
        assert_int_equal(weir_sysctl_set(stack_of(host), "weir.tcp_rest_after_ms", ms), 0);
}

static unsigned awake(unsigned host)
{
    return stack_of(host)->tcp->tcbs.count;
}

static void send_bytes(unsigned host, weir_sock sock, size_t len)
{
    static uint8_t data[100000];
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7 + len);
    assert_int_equal(weir_sock_send(stack_of(host), sock, data, len, 0, NULL, sim.now), len);
}

static void read_bytes(unsigned host, weir_sock sock, size_t len)
{
    static uint8_t data[100000];
    assert_int_equal(weir_sock_recv(stack_of(host), sock, data, sizeof data, 0, NULL, sim.now),
                     len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(data[i], (uint8_t)(i * 7 + len));
}

static struct weir_tcp_info info_of(unsigned host, weir_sock sock)
{
    struct weir_tcp_info info;
    size_t len = sizeof info;
    memset(&info, 0, sizeof info);
    assert_int_equal(weir_sock_getsockopt(stack_of(host), sock, WEIR_SOL_TCP, WEIR_TCP_INFO, &info,
                                          &len, sim.now),
                     0);
    return info;
}

/* ---- nobody sees it ----------------------------------------------------------------------------- */

/* Talks with pauses of all lengths; what it has seen goes into two infos and the trace. */
static uint64_t conversation(int family, const char *algorithm, int64_t rest_ms, bool keepalive,
                             struct weir_tcp_info info[2])
{
    static const size_t sizes[] = {1, 1000, 30000, 0, 60000, 5, 1448, 100};
    weir_sock client, server;
    uint64_t trace;
    void *state = NULL;
    setup(&state);
    rest_after(rest_ms);
    for (unsigned host = 0; host < 2; host++)
        assert_int_equal(
            weir_sysctl_write(stack_of(host), "net.ipv4.tcp_congestion_control", algorithm), 0);
    sim_connected(&sim, family, SERVER_PORT, &client, &server);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (keepalive && i == 2) {
            sim_setopt(&sim, 0, client, WEIR_SOL_TCP, WEIR_TCP_KEEPIDLE, 3);
            sim_setopt(&sim, 0, client, WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, 1);
        }
        if (sizes[i] != 0) {
            send_bytes(0, client, sizes[i]);
            sim_run(&sim, WEIR_SEC);
            read_bytes(1, server, sizes[i]);
            send_bytes(1, server, sizes[i] / 2 + 1);
        }
        sim_run(&sim, (weir_time)(i + 1) * WEIR_SEC);
        if (sizes[i] != 0)
            read_bytes(0, client, sizes[i] / 2 + 1);
        sim_run(&sim, (weir_time)(8 - i) * WEIR_SEC);
        if (rest_ms != 0)
            assert_int_equal(awake(1), 0);
    }
    info[0] = info_of(0, client);
    info[1] = info_of(1, server);
    weir_sock_close(stack_of(0), client, sim.now);
    sim_run(&sim, WEIR_SEC);
    assert_int_equal(weir_sock_recv(stack_of(1), server, &trace, 1, 0, NULL, sim.now), 0);
    weir_sock_close(stack_of(1), server, sim.now);
    sim_run(&sim, WEIR_SEC);
    trace = sim.trace;
    teardown(&state);
    return trace;
}

static void the_same_packets_and_the_same_info(void **state)
{
    static const char *const algorithms[] = {"reno", "cubic", "bbr", "bbr3"};
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        for (int v6 = 0; v6 < 2; v6++)
            for (int keepalive = 0; keepalive < 2; keepalive++) {
                int family = v6 ? WEIR_AF_INET6 : WEIR_AF_INET;
                struct weir_tcp_info with[2], without[2];
                uint64_t a = conversation(family, algorithms[i], 500, keepalive, with);
                uint64_t b = conversation(family, algorithms[i], 0, keepalive, without);
                assert_true(a == b);
                assert_memory_equal(with, without, sizeof with);
            }
}

/* ---- what others see of one at rest --------------------------------------------------------------- */

static void rest_both(int family, weir_sock *client, weir_sock *server)
{
    rest_after(1000);
    sim_connected(&sim, family, SERVER_PORT, client, server);
    send_bytes(0, *client, 3000);
    sim_run(&sim, WEIR_SEC);
    read_bytes(1, *server, 3000);
    sim_run(&sim, 4 * WEIR_SEC);
    assert_int_equal(awake(0), 0);
    assert_int_equal(awake(1), 0);
}

struct cost {
    size_t client, server; /* bytes of an end of each of many connections, once all is quiet */
};

static struct cost cost_of(size_t sent, int64_t rest_ms)
{
    enum { N = 2000 /* nearly all ports */ };
    struct weir_endpoint at = sim_endpoint(0, 2, WEIR_AF_INET, SERVER_PORT);
    weir_sock listener = sim_listen(&sim, 1, &at, N), client, server;
    size_t before[2];
    rest_after(rest_ms);
    weir_sysctl_write(stack_of(0), "net.ipv4.ip_local_port_range", "10000 12047");
    before[0] = sim.host[0].mem.bytes;
    before[1] = sim.host[1].mem.bytes;
    for (unsigned i = 0; i < N; i++) {
        client = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
        weir_sock_connect(stack_of(0), client, &at, sim.now);
        sim_run(&sim, WEIR_MS);
        assert_int_equal(weir_sock_accept(stack_of(1), listener, &server, NULL, sim.now), 0);
        if (sent == 0)
            continue;
        send_bytes(0, client, sent);
        sim_run(&sim, WEIR_MS);
        read_bytes(1, server, sent);
        send_bytes(1, server, sent);
        sim_run(&sim, WEIR_MS);
        read_bytes(0, client, sent);
    }
    sim_run(&sim, 10 * WEIR_SEC);
    assert_int_equal(awake(0), rest_ms == 0 ? N : 0);
    return (struct cost){(sim.host[0].mem.bytes - before[0]) / N,
                         (sim.host[1].mem.bytes - before[1]) / N};
}

/* Everything counts: connection, socket, tables, ports, timers. */
static void it_costs_little(void **state)
{
    (void)state;
    for (unsigned sent = 0; sent <= 1000; sent += 1000) {
        struct cost cost[2];
        for (unsigned rests = 0; rests < 2; rests++) {
            void *of_its_own = NULL;
            setup(&of_its_own);
            cost[rests] = cost_of(sent, rests * 1000);
            teardown(&of_its_own);
        }
        print_message("bytes of a connection that has sent %u: client %zu, at rest %zu; "
                      "server %zu, at rest %zu\n",
                      sent, cost[0].client, cost[1].client, cost[0].server, cost[1].server);
        assert_true(cost[1].client <= 512 && cost[1].server <= 512);
    }
}

static void reading_about_it_does_not_wake_it(void **state)
{
    struct weir_endpoint local, peer;
    struct weir_sock_row row;
    weir_sock client, server;
    uint64_t cursor = 0;
    unsigned rows = 0;
    (void)state;
    rest_both(WEIR_AF_INET6, &client, &server);
    assert_int_equal(weir_sock_ready(stack_of(0), client), WEIR_POLLOUT);
    assert_int_equal(weir_sock_getsockname(stack_of(0), client, &local), 0);
    assert_int_equal(weir_sock_getpeername(stack_of(0), client, &peer), 0);
    assert_int_equal(peer.port, SERVER_PORT);
    assert_int_equal(weir_sock_inq(stack_of(0), client), 0);
    assert_int_equal(weir_sock_outq(stack_of(0), client), 0);
    while (weir_sock_next_row(stack_of(0), &cursor, &row)) {
        rows++;
        assert_int_equal(row.state, WEIR_TCP_ESTABLISHED);
        assert_true(row.sock == client);
        assert_true(weir_endpoint_eq(&row.local, &local));
        assert_true(weir_endpoint_eq(&row.peer, &peer));
        assert_int_equal(row.timer, WEIR_TIMER_NONE);
    }
    assert_int_equal(rows, 1);
    assert_int_equal(awake(0), 0);
    assert_int_equal(sim_setopt(&sim, 0, client, WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, 1), 0);
    sim_run(&sim, 4 * WEIR_SEC);
    assert_int_equal(awake(0), 0);
    cursor = 0;
    assert_true(weir_sock_next_row(stack_of(0), &cursor, &row));
    assert_int_equal(row.timer, WEIR_TIMER_KEEPALIVE);
    assert_true(row.timer_at > sim.now);
}

static void its_peer_and_its_user_wake_it(void **state)
{
    struct weir_event event;
    weir_sock client, server;
    (void)state;
    rest_both(WEIR_AF_INET, &client, &server);
    weir_sock_set_user(stack_of(1), server, 42);
    while (weir_next_event(stack_of(1), &event))
        continue;
    send_bytes(0, client, 10);
    sim_run(&sim, WEIR_MS);
    assert_true(weir_next_event(stack_of(1), &event));
    assert_true(event.sock == server && event.user == 42);
    assert_int_equal(event.ready, WEIR_POLLIN | WEIR_POLLOUT);
    read_bytes(1, server, 10);
    assert_int_equal(weir_sock_send(stack_of(1), server, "", 0, 0, NULL, sim.now), 0);
}

static void closed_at_rest_it_says_fin(void **state)
{
    weir_sock client, server;
    uint8_t byte;
    (void)state;
    rest_both(WEIR_AF_INET, &client, &server);
    assert_int_equal(weir_sock_close(stack_of(0), client, sim.now), 0);
    sim_run(&sim, WEIR_MS);
    assert_int_equal(weir_sock_recv(stack_of(1), server, &byte, 1, 0, NULL, sim.now), 0);
    assert_int_equal(sim_state(&sim, 1, server), WEIR_TCP_CLOSE_WAIT);
}

static void keepalive_finds_a_dead_peer(void **state)
{
    weir_sock client, server;
    (void)state;
    rest_both(WEIR_AF_INET, &client, &server);
    sim_setopt(&sim, 0, client, WEIR_SOL_TCP, WEIR_TCP_KEEPIDLE, 20);
    sim_setopt(&sim, 0, client, WEIR_SOL_TCP, WEIR_TCP_KEEPINTVL, 20);
    sim_setopt(&sim, 0, client, WEIR_SOL_TCP, WEIR_TCP_KEEPCNT, 3);
    sim_setopt(&sim, 0, client, WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, 1);
    sim_run(&sim, 10 * WEIR_SEC);
    assert_int_equal(awake(0), 0);
    weir_netif_set_up(stack_of(1), sim.host[1].port[0].ifindex, false, sim.now);
    sim_run(&sim, 100 * WEIR_SEC);
    assert_int_equal(weir_sock_ready(stack_of(0), client) & WEIR_POLLERR, WEIR_POLLERR);
    assert_int_equal(sim_getopt(&sim, 0, client, WEIR_SOL_SOCKET, WEIR_SO_ERROR), 110);
}

/* A segment that cannot wake it is lost, as any may be; a call says ENOBUFS; close() still closes. */
static void without_memory_it_sleeps_on(void **state)
{
    weir_sock client, server;
    uint8_t byte = 0;
    (void)state;
    rest_both(WEIR_AF_INET, &client, &server);
    send_bytes(1, server, 10); /* from now on its sender's state wants memory that no pool keeps */
    sim_run(&sim, WEIR_SEC);
    read_bytes(0, client, 10);
    sim_run(&sim, 4 * WEIR_SEC);
    assert_int_equal(awake(1), 0);
    sim.host[1].mem.fail_one_in = 1;
    assert_int_equal(weir_sock_send(stack_of(1), server, &byte, 1, 0, NULL, sim.now), WEIR_ENOBUFS);
    assert_int_equal(weir_sock_recv(stack_of(1), server, &byte, 1, 0, NULL, sim.now), WEIR_EAGAIN);
    assert_int_equal(weir_sock_recv(stack_of(1), server, &byte, 1, WEIR_MSG_OOB, NULL, sim.now),
                     WEIR_EINVAL);
    send_bytes(0, client, 10);
    sim_run(&sim, WEIR_SEC);
    assert_int_equal(awake(1), 0);
    sim.host[1].mem.fail_one_in = 0;
    sim_run(&sim, 5 * WEIR_SEC); /* it is sent again */
    read_bytes(1, server, 10);
    sim_run(&sim, 5 * WEIR_SEC);
    assert_int_equal(awake(1), 0);
    sim.host[1].mem.fail_one_in = 1;
    assert_int_equal(weir_sock_close(stack_of(1), server, sim.now), 0);
    sim.host[1].mem.fail_one_in = 0;
    send_bytes(0, client, 10);
    sim_run(&sim, WEIR_SEC); /* RST */
    assert_int_equal(sim_getopt(&sim, 0, client, WEIR_SOL_SOCKET, WEIR_SO_ERROR), 104);
}

/* A probe is not acceptable to the peer, so it acknowledges nothing (RFC 9293 3.10.7.4): who is to probe when the other's
 * probe arrives sends an answer, too. One that is lost would end the connection here. */
static void keepalives_that_cross_are_both_answered(void **state)
{
    weir_sock sock[2];
    (void)state;
    for (int64_t after = 0; after <= 1000; after += 1000) {
        rest_after(after);
        sim_connected(&sim, WEIR_AF_INET, SERVER_PORT + (uint16_t)(after / 1000), &sock[0],
                      &sock[1]);
        for (unsigned i = 0; i < 2; i++) {
            send_bytes(i, sock[i], 3000);
            sim_run(&sim, WEIR_MS);
            read_bytes(1 - i, sock[1 - i], 3000);
        }
        for (unsigned i = 0; i < 2; i++) {
            sim_setopt(&sim, i, sock[i], WEIR_SOL_TCP, WEIR_TCP_KEEPIDLE, 7);
            sim_setopt(&sim, i, sock[i], WEIR_SOL_TCP, WEIR_TCP_KEEPINTVL, 1);
            sim_setopt(&sim, i, sock[i], WEIR_SOL_TCP, WEIR_TCP_KEEPCNT, 1);
            sim_setopt(&sim, i, sock[i], WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, 1);
        }
        sim_run(&sim, 30 * WEIR_SEC);
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(sim_state(&sim, i, sock[i]), WEIR_TCP_ESTABLISHED);
    }
}

/* Allocation n of those that going to rest and waking want fails. False: there was none. */
static bool rest_failing(unsigned host, uint64_t n)
{
    weir_sock sock[2];
    struct sim_mem *mem = &sim.host[host].mem;
    rest_after(1000);
    sim_connected(&sim, WEIR_AF_INET, SERVER_PORT, &sock[0], &sock[1]);
    for (unsigned i = 0; i < 2; i++) {
        sim_setopt(&sim, i, sock[i], WEIR_SOL_TCP, WEIR_TCP_KEEPIDLE, 7);
        sim_setopt(&sim, i, sock[i], WEIR_SOL_TCP, WEIR_TCP_KEEPINTVL, 1);
        sim_setopt(&sim, i, sock[i], WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, 1);
        send_bytes(i, sock[i], 3000);
        sim_run(&sim, WEIR_MS);
        read_bytes(1 - i, sock[1 - i], 3000);
    }
    mem->fail_at = mem->calls + n;
    sim_run(&sim, 30 * WEIR_SEC); /* to rest, awake by keepalive, to rest again */
    bool failed = mem->fails != 0;
    mem->fail_at = 0;
    sim_run(&sim, 3 * WEIR_SEC);
    assert_int_equal(awake(0) + awake(1), 0);
    for (unsigned i = 0; i < 2; i++) {
        send_bytes(i, sock[i], 100);
        sim_run(&sim, WEIR_SEC);
        read_bytes(1 - i, sock[1 - i], 100);
    }
    return failed;
}

static void each_allocation_of_rest_fails_once(void **state)
{
    for (unsigned host = 0; host < 2; host++) {
        bool failed = true;
        uint64_t n = 0;
        while (failed) {
            setup(state);
            failed = rest_failing(host, ++n);
            teardown(state); /* all memory has come back */
        }
        assert_true(n > 4);
    }
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_packets_and_the_same_info),
        cmocka_unit_test(it_costs_little),
        EACH(reading_about_it_does_not_wake_it),
        EACH(its_peer_and_its_user_wake_it),
        EACH(closed_at_rest_it_says_fin),
        EACH(keepalive_finds_a_dead_peer),
        EACH(without_memory_it_sleeps_on),
        EACH(keepalives_that_cross_are_both_answered),
        cmocka_unit_test(each_allocation_of_rest_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
