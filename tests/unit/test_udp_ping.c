/* SPDX-License-Identifier: MIT */
/*
 * Ping sockets, two hosts on a wire. Expectations from RFC 792 and RFC 4443 4.1, 4.2, and from reading
 * Linux (net/ipv4/ping.c) where they leave the choice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "core/core.h"
#include "sim/sim_pair.h"

#define A (sim.host[0].stack)

enum { ECHO4 = 8, REPLY4 = 0, ECHO6 = 128, REPLY6 = 129 };

static weir_sock ping(int family)
{
    weir_sock sock;
    int protocol = family == WEIR_AF_INET ? WEIR_PROTO_ICMP : WEIR_PROTO_ICMPV6;
    assert_int_equal(weir_sock_open(A, family, WEIR_SOCK_DGRAM, protocol, &sock), 0);
    return sock;
}

/* An echo request whose identifier is not the socket's. */
static size_t request(uint8_t *message, int family, uint16_t seq, const char *text)
{
    uint8_t head[8] = {family == WEIR_AF_INET ? ECHO4 : ECHO6, 0, 0xff, 0xff, 0x12, 0x34};
    put_be16(head + 6, seq);
    memcpy(message, head, sizeof head);
    memcpy(message + sizeof head, text, strlen(text));
    return sizeof head + strlen(text);
}

static ptrdiff_t send_one(weir_sock sock, int family, uint16_t seq, const struct weir_endpoint *to)
{
    uint8_t message[64];
    size_t len = request(message, family, seq, "payload");
    return weir_sock_send(A, sock, message, len, 0, to, sim.now);
}

static void expect_reply(weir_sock sock, int family, uint16_t seq, const struct weir_addr *peer)
{
    uint8_t message[64];
    struct weir_endpoint from, local;
    assert_true(weir_sock_ready(A, sock) & WEIR_POLLIN);
    assert_int_equal(weir_sock_recv(A, sock, message, sizeof message, 0, &from, sim.now), 15);
    assert_int_equal(weir_sock_getsockname(A, sock, &local), 0);
    assert_int_equal(message[0], family == WEIR_AF_INET ? REPLY4 : REPLY6);
    assert_int_equal(get_be16(message + 4), local.port);
    assert_int_equal(get_be16(message + 6), seq);
    assert_memory_equal(message + 8, "payload", 7);
    assert_true(weir_addr_eq(&from.addr, peer));
    assert_int_equal(from.port, 0);
}

static bool silent(weir_sock sock)
{
    uint8_t message[64];
    return weir_sock_recv(A, sock, message, sizeof message, 0, NULL, sim.now) == WEIR_EAGAIN;
}

static void round_trip(int family)
{
    struct weir_endpoint to = sim_endpoint(0, 2, family, 0);
    weir_sock first = ping(family), second = ping(family);
    assert_int_equal(send_one(first, family, 1, &to), 15);
    assert_int_equal(weir_sock_connect(A, second, &to, sim.now), 0);
    assert_int_equal(send_one(second, family, 2, NULL), 15);
    sim_run(&sim, 10 * WEIR_MS);
    expect_reply(first, family, 1, &to.addr);
    expect_reply(second, family, 2, &to.addr);
    assert_true(silent(first));
    assert_true(silent(second));
}

static void rfc792_rfc4443_each_socket_has_its_own_replies(void **state)
{
    (void)state;
    round_trip(WEIR_AF_INET);
    round_trip(WEIR_AF_INET6);
}

static void over_loopback(void **state)
{
    (void)state;
    struct weir_endpoint lo = {.addr = weir_addr_v4(0x7f000001)};
    weir_sock sock = ping(WEIR_AF_INET);
    assert_int_equal(send_one(sock, WEIR_AF_INET, 7, &lo), 15);
    sim_run(&sim, 10 * WEIR_MS);
    expect_reply(sock, WEIR_AF_INET, 7, &lo.addr);
}

/* Linux (source): EINVAL for what is no echo request, EAFNOSUPPORT for the other family. */
static void only_echo_requests_are_sent(void **state)
{
    (void)state;
    struct weir_endpoint to = sim_endpoint(0, 2, WEIR_AF_INET, 0);
    struct weir_endpoint to6 = sim_endpoint(0, 2, WEIR_AF_INET6, 0);
    weir_sock sock = ping(WEIR_AF_INET), sock6 = ping(WEIR_AF_INET6);
    uint8_t message[8] = {REPLY4};
    assert_int_equal(weir_sock_send(A, sock, message, 8, 0, &to, sim.now), WEIR_EINVAL);
    message[0] = ECHO4;
    message[1] = 1;
    assert_int_equal(weir_sock_send(A, sock, message, 8, 0, &to, sim.now), WEIR_EINVAL);
    message[1] = 0;
    assert_int_equal(weir_sock_send(A, sock, message, 7, 0, &to, sim.now), WEIR_EINVAL);
    assert_int_equal(weir_sock_send(A, sock, message, 8, 0, &to, sim.now), 8);
    assert_int_equal(weir_sock_send(A, sock6, message, 8, 0, &to6, sim.now), WEIR_EINVAL);
    assert_true(send_one(sock6, WEIR_AF_INET6, 1, &to) < 0);
}

static void kinds_that_can_be_opened(void **state)
{
    (void)state;
    weir_sock sock;
    assert_int_equal(weir_sock_open(A, WEIR_AF_INET, WEIR_SOCK_DGRAM, WEIR_PROTO_ICMPV6, &sock),
                     WEIR_EPROTONOSUPPORT);
    assert_int_equal(weir_sock_open(A, WEIR_AF_INET6, WEIR_SOCK_DGRAM, WEIR_PROTO_ICMP, &sock),
                     WEIR_EPROTONOSUPPORT);
    assert_int_equal(weir_sock_open(A, WEIR_AF_INET, WEIR_SOCK_STREAM, WEIR_PROTO_ICMP, &sock),
                     WEIR_EPROTONOSUPPORT);
    assert_int_equal(sim_getopt(&sim, 0, ping(WEIR_AF_INET6), WEIR_SOL_SOCKET, WEIR_SO_PROTOCOL),
                     WEIR_PROTO_ICMPV6);
}

/* The identifier is the port: bound as asked for, and apart from UDP's ports. */
static void identifiers_are_ports_of_their_own(void **state)
{
    (void)state;
    struct weir_endpoint local = {.addr = weir_addr_any4(), .port = 4242};
    weir_sock udp = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_DGRAM);
    weir_sock one = ping(WEIR_AF_INET), two = ping(WEIR_AF_INET);
    assert_int_equal(weir_sock_bind(A, udp, &local), 0);
    assert_int_equal(weir_sock_bind(A, one, &local), 0);
    assert_int_equal(weir_sock_bind(A, two, &local), WEIR_EADDRINUSE);
    struct weir_endpoint to = sim_endpoint(0, 2, WEIR_AF_INET, 0);
    assert_int_equal(send_one(one, WEIR_AF_INET, 3, &to), 15);
    sim_run(&sim, 10 * WEIR_MS);
    expect_reply(one, WEIR_AF_INET, 3, &to.addr);
    assert_true(silent(udp));
}

/* A reply that nobody asked for, or from another than the peer, is dropped and counted. */
static void strays_are_dropped(void **state)
{
    (void)state;
    struct weir_endpoint to = sim_endpoint(0, 2, WEIR_AF_INET, 0);
    weir_sock sock = ping(WEIR_AF_INET);
    assert_int_equal(send_one(sock, WEIR_AF_INET, 1, &to), 15);
    assert_int_equal(weir_sock_close(A, sock, sim.now), 0);
    uint64_t before = A->drops[WR_DROP_icmp_ignored];
    sim_run(&sim, 10 * WEIR_MS);
    assert_int_equal(A->drops[WR_DROP_icmp_ignored], before + 1);
    sock = ping(WEIR_AF_INET);
    assert_int_equal(send_one(sock, WEIR_AF_INET, 1, &to), 15);
    struct weir_endpoint other = sim_endpoint(0, 3, WEIR_AF_INET, 0);
    assert_int_equal(weir_sock_connect(A, sock, &other, sim.now), 0);
    sim_run(&sim, 10 * WEIR_MS);
    assert_true(silent(sock));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rfc792_rfc4443_each_socket_has_its_own_replies, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(over_loopback, setup, teardown),
        cmocka_unit_test_setup_teardown(only_echo_requests_are_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(kinds_that_can_be_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(identifiers_are_ports_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(strays_are_dropped, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
