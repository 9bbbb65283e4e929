/* SPDX-License-Identifier: MIT */
/*
 * Errors and poll bits of a TCP socket in each of its states. Expectations marked "Linux
 * (observed)" are what a 6.18 kernel answered to the same calls in the same order; "Linux (source)"
 * follows from reading it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weir/info.h>

#include "sim/sim_pair.h"

enum {
    IN = WEIR_POLLIN,
    PRI = WEIR_POLLPRI,
    OUT = WEIR_POLLOUT,
    ERR = WEIR_POLLERR,
    HUP = WEIR_POLLHUP,
    RDHUP = WEIR_POLLRDHUP
};

#define A (sim.host[0].stack)
#define B (sim.host[1].stack)

static void later(void)
{
    sim_run(&sim, 50 * WEIR_MS);
}

static weir_sock tcp(unsigned host)
{
    return sim_socket(&sim, host, WEIR_AF_INET, WEIR_SOCK_STREAM);
}

static struct weir_endpoint at_b(uint16_t port)
{
    return sim_endpoint(0, 2, WEIR_AF_INET, port);
}

static int connect_to(weir_sock sock, uint16_t port)
{
    struct weir_endpoint to = at_b(port);
    return weir_sock_connect(A, sock, &to, sim.now);
}

static ptrdiff_t send_str(struct weir_stack *stack, weir_sock sock, const char *text, int flags)
{
    return weir_sock_send(stack, sock, text, strlen(text), flags, NULL, sim.now);
}

/* Reads once and compares: `expected` text, or with NULL the result alone. */
static void expect_recv(struct weir_stack *stack, weir_sock sock, const char *expected,
                        ptrdiff_t result)
{
    char data[64];
    ptrdiff_t got = weir_sock_recv(stack, sock, data, sizeof data, 0, NULL, sim.now);
    if (expected != NULL) {
        assert_int_equal(got, strlen(expected));
        assert_memory_equal(data, expected, strlen(expected));
    } else {
        assert_int_equal(got, result);
    }
}

static void expect_poll(struct weir_stack *stack, weir_sock sock, int bits)
{
    assert_int_equal(weir_sock_ready(stack, sock), bits);
}

static void reset(struct weir_stack *stack, weir_sock sock)
{
    struct weir_linger linger = {.on = 1, .seconds = 0};
    assert_int_equal(weir_sock_setsockopt(stack, sock, WEIR_SOL_SOCKET, WEIR_SO_LINGER, &linger,
                                          sizeof linger, sim.now),
                     0);
    assert_int_equal(weir_sock_close(stack, sock, sim.now), 0);
    later();
}

static int so_error(unsigned host, weir_sock sock)
{
    return sim_getopt(&sim, host, sock, WEIR_SOL_SOCKET, WEIR_SO_ERROR);
}

/* c on host 0, a on host 1. */
static weir_sock c, a;

static void connected(void)
{
    sim_connected(&sim, WEIR_AF_INET, 80, &c, &a);
}

/* ---- fresh ----------------------------------------------------------------------------------- */

/* Linux (observed) */
static void LNX_POLL_01_LNX_ERR_10_LNX_ERR_13_LNX_ERR_16_LNX_SHUT_6_fresh(void **state)
{
    (void)state;
    weir_sock sock = tcp(0);
    struct weir_endpoint peer;
    expect_poll(A, sock, OUT | HUP);
    assert_int_equal(send_str(A, sock, "x", 0), WEIR_EPIPE);
    expect_recv(A, sock, NULL, WEIR_ENOTCONN);
    assert_int_equal(weir_sock_shutdown(A, sock, WEIR_SHUT_RDWR, sim.now), WEIR_ENOTCONN);
    assert_int_equal(weir_sock_getpeername(A, sock, &peer), WEIR_ENOTCONN);
    assert_int_equal(weir_sock_accept(A, sock, &sock, NULL, sim.now), WEIR_EINVAL);
}

/* First principles: a closed handle never names another socket. */
static void stale_handles_are_ebadf(void **state)
{
    (void)state;
    weir_sock old = tcp(0), sock = old;
    char byte;
    assert_int_equal(weir_sock_close(A, old, sim.now), 0);
    sock = tcp(0);
    assert_int_not_equal(sock, old);
    struct weir_endpoint endpoint = at_b(80);
    assert_int_equal(weir_sock_close(A, old, sim.now), WEIR_EBADF);
    assert_int_equal(weir_sock_bind(A, old, &endpoint), WEIR_EBADF);
    assert_int_equal(weir_sock_connect(A, old, &endpoint, sim.now), WEIR_EBADF);
    assert_int_equal(weir_sock_listen(A, old, 1, sim.now), WEIR_EBADF);
    assert_int_equal(weir_sock_accept(A, old, &sock, NULL, sim.now), WEIR_EBADF);
    assert_int_equal(weir_sock_recv(A, old, &byte, 1, 0, NULL, sim.now), WEIR_EBADF);
    assert_int_equal(weir_sock_send(A, old, &byte, 1, 0, NULL, sim.now), WEIR_EBADF);
    assert_int_equal(weir_sock_shutdown(A, old, WEIR_SHUT_WR, sim.now), WEIR_EBADF);
    assert_int_equal(weir_sock_ready(A, old), WEIR_EBADF);
    assert_int_equal(weir_sock_ready(A, 0), WEIR_EBADF);
    assert_int_equal(weir_sock_ready(A, UINT64_MAX), WEIR_EBADF);
    assert_int_equal(weir_sock_close(A, sock, sim.now), 0);
}

/* Linux (source): socket(2). */
static void socket_kinds(void **state)
{
    (void)state;
    weir_sock sock;
    assert_int_equal(weir_sock_open(A, 1, WEIR_SOCK_STREAM, 0, &sock), WEIR_EAFNOSUPPORT);
    assert_int_equal(weir_sock_open(A, WEIR_AF_INET, 3, 0, &sock), WEIR_ESOCKTNOSUPPORT);
    assert_int_equal(weir_sock_open(A, WEIR_AF_INET, WEIR_SOCK_STREAM, 17, &sock),
                     WEIR_EPROTONOSUPPORT);
    assert_int_equal(weir_sock_open(A, WEIR_AF_INET6, WEIR_SOCK_DGRAM, 6, &sock),
                     WEIR_EPROTONOSUPPORT);
    assert_int_equal(weir_sock_open(A, WEIR_AF_INET6, WEIR_SOCK_STREAM, 6, &sock), 0);
}

/* ---- connect --------------------------------------------------------------------------------- */

/* Linux (observed) */
static void LNX_ERR_02_LNX_POLL_03_connect(void **state)
{
    (void)state;
    struct weir_endpoint at = at_b(80);
    sim_listen(&sim, 1, &at, 5);
    weir_sock sock = tcp(0);
    assert_int_equal(connect_to(sock, 80), WEIR_EINPROGRESS);
    assert_int_equal(connect_to(sock, 80), WEIR_EALREADY);
    later();
    expect_poll(A, sock, OUT);
    assert_int_equal(connect_to(sock, 80), 0);
    assert_int_equal(connect_to(sock, 80), WEIR_EISCONN);
}

/* Linux (observed) */
static void LNX_ERR_01_LNX_ERR_03_LNX_POLL_04_LNX_POLL_10_refused(void **state)
{
    (void)state;
    weir_sock sock = tcp(0);
    assert_int_equal(connect_to(sock, 81), WEIR_EINPROGRESS);
    later();
    expect_poll(A, sock, IN | OUT | ERR | HUP | RDHUP);
    assert_int_equal(connect_to(sock, 81), WEIR_ECONNREFUSED);
    assert_int_equal(connect_to(sock, 81), WEIR_EINPROGRESS);
    later();
    assert_int_equal(so_error(0, sock), ECONNREFUSED);
    assert_int_equal(so_error(0, sock), 0);
    assert_int_equal(connect_to(sock, 81), WEIR_ECONNABORTED);
    struct weir_endpoint at = at_b(81);
    sim_listen(&sim, 1, &at, 5);
    assert_int_equal(connect_to(sock, 81), WEIR_EINPROGRESS);
    later();
    assert_int_equal(connect_to(sock, 81), 0);
}

/* A socket whose SYN is never answered: the wire has no neighbour resolution, so the SYN for an
 * address of its subnet that is nobody's is sent, and dropped at the other end. */
static weir_sock syn_sent(void)
{
    weir_sock sock = tcp(0);
    struct weir_endpoint nowhere = sim_endpoint(0, 77, WEIR_AF_INET, 80);
    assert_int_equal(weir_sock_connect(A, sock, &nowhere, sim.now), WEIR_EINPROGRESS);
    later();
    assert_int_equal(sim_state(&sim, 0, sock), WEIR_TCP_SYN_SENT);
    return sock;
}

/* Linux (observed) */
static void LNX_POLL_02_LNX_ERR_13_LNX_SHUT_5_syn_sent(void **state)
{
    (void)state;
    weir_sock sock = syn_sent();
    struct weir_endpoint peer;
    expect_poll(A, sock, 0);
    assert_int_equal(send_str(A, sock, "x", 0), WEIR_EAGAIN);
    expect_recv(A, sock, NULL, WEIR_EAGAIN);
    assert_int_equal(weir_sock_getpeername(A, sock, &peer), WEIR_ENOTCONN);
    assert_int_equal(weir_sock_listen(A, sock, 1, sim.now), WEIR_EINVAL);
    assert_int_equal(weir_sock_shutdown(A, sock, WEIR_SHUT_RD, sim.now), 0);
    assert_int_equal(sim_state(&sim, 0, sock), WEIR_TCP_CLOSE);
    expect_poll(A, sock, OUT | ERR | HUP);
    assert_int_equal(so_error(0, sock), ECONNRESET);
    expect_poll(A, sock, OUT | HUP);
}

/* Linux (source): ETIMEDOUT at last, after 6 + 4 retries: 1 s five times, then doubling to 64 s. */
static void LNX_ERR_01_timeout(void **state)
{
    (void)state;
    weir_sock sock = syn_sent();
    sim_run(&sim, 125 * WEIR_SEC);
    assert_int_equal(sim_state(&sim, 0, sock), WEIR_TCP_SYN_SENT);
    sim_run(&sim, 10 * WEIR_SEC);
    assert_int_equal(so_error(0, sock), ETIMEDOUT);
}

/* Linux (observed) */
static void LNX_ERR_04_destinations(void **state)
{
    (void)state;
    static const char *const bad[] = {"224.0.0.1", "255.255.255.255", "10.0.0.255", "8.8.8.8"};
    for (unsigned i = 0; i < 4; i++) {
        struct weir_endpoint to = {.port = 1};
        assert_true(weir_addr_parse(bad[i], &to.addr));
        assert_int_equal(weir_sock_connect(A, tcp(0), &to, sim.now), WEIR_ENETUNREACH);
    }
    struct weir_endpoint six = sim_endpoint(0, 2, WEIR_AF_INET6, 80);
    assert_int_equal(weir_sock_connect(A, tcp(0), &six, sim.now), WEIR_EAFNOSUPPORT);
}

/* Linux (source): the unspecified address means this host. */
static void LNX_ERR_04_any_is_loopback(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct weir_endpoint to = {.port = (uint16_t)(99 + i)}, peer;
        to.addr = i == 0 ? weir_addr_any4() : weir_addr_any6();
        sim_listen(&sim, 0, &to, 5);
        weir_sock sock =
            sim_socket(&sim, 0, i == 0 ? WEIR_AF_INET : WEIR_AF_INET6, WEIR_SOCK_STREAM);
        assert_int_equal(weir_sock_connect(A, sock, &to, sim.now), WEIR_EINPROGRESS);
        later();
        assert_int_equal(weir_sock_getpeername(A, sock, &peer), 0);
        assert_true(weir_addr_is_loopback(&peer.addr));
        assert_int_equal(weir_addr_is_v4(&peer.addr), i == 0);
    }
}

/* Linux (source): connect(AF_UNSPEC) resets and makes the socket new. */
static void LNX_ERR_05_connect_unspec(void **state)
{
    (void)state;
    connected();
    assert_int_equal(weir_sock_connect(A, c, NULL, sim.now), 0);
    later();
    expect_poll(B, a, IN | OUT | ERR | HUP | RDHUP);
    expect_recv(B, a, NULL, WEIR_ECONNRESET);
    assert_int_equal(so_error(0, c), ECONNRESET);
    expect_poll(A, c, OUT | HUP);
    struct weir_endpoint at = at_b(81), local;
    assert_int_equal(weir_sock_getsockname(A, c, &local), 0);
    assert_int_equal(local.port, 0);
    sim_listen(&sim, 1, &at, 5);
    assert_int_equal(connect_to(c, 81), WEIR_EINPROGRESS);
    later();
    assert_int_equal(connect_to(c, 81), 0);
    /* A listener stops to listen. */
    struct weir_endpoint here = sim_endpoint(0, 1, WEIR_AF_INET, 82);
    weir_sock listener = sim_listen(&sim, 0, &here, 5);
    assert_int_equal(weir_sock_connect(A, listener, NULL, sim.now), 0);
    assert_int_equal(weir_sock_accept(A, listener, &c, NULL, sim.now), WEIR_EINVAL);
}

/* ---- listen, accept -------------------------------------------------------------------------- */

/* Linux (observed) */
static void LNX_POLL_05_LNX_ERR_06_LNX_ERR_08_LNX_ERR_10_LNX_ERR_13_LNX_ERR_15_listener(
    void **state)
{
    (void)state;
    struct weir_endpoint at = at_b(80), peer, local;
    weir_sock listener = sim_listen(&sim, 1, &at, 5), child;
    expect_poll(B, listener, 0);
    assert_int_equal(weir_sock_accept(B, listener, &child, NULL, sim.now), WEIR_EAGAIN);
    weir_sock sock = tcp(0);
    connect_to(sock, 80);
    later();
    expect_poll(B, listener, IN);
    expect_recv(B, listener, NULL, WEIR_ENOTCONN);
    assert_int_equal(send_str(B, listener, "x", 0), WEIR_EPIPE);
    assert_int_equal(weir_sock_connect(B, listener, &at, sim.now), WEIR_EISCONN);
    assert_int_equal(weir_sock_inq(B, listener), WEIR_EINVAL);
    assert_int_equal(weir_sock_outq(B, listener), WEIR_EINVAL);
    assert_int_equal(sim_getopt(&sim, 1, listener, WEIR_SOL_SOCKET, WEIR_SO_ACCEPTCONN), 1);
    assert_int_equal(weir_sock_accept(B, listener, &child, &peer, sim.now), 0);
    assert_int_equal(weir_sock_getsockname(A, sock, &local), 0);
    assert_true(weir_endpoint_eq(&local, &peer));
    expect_poll(B, listener, 0);
    expect_poll(B, child, OUT);
    assert_int_equal(weir_sock_listen(B, child, 1, sim.now), WEIR_EINVAL);
    assert_int_equal(weir_sock_listen(B, listener, 1, sim.now), 0);
}

/* Linux (observed) */
static void LNX_SHUT_4_listener(void **state)
{
    (void)state;
    struct weir_endpoint at = at_b(80);
    weir_sock listener = sim_listen(&sim, 1, &at, 5), child;
    assert_int_equal(weir_sock_shutdown(B, listener, WEIR_SHUT_WR, sim.now), 0);
    assert_int_equal(sim_state(&sim, 1, listener), WEIR_TCP_LISTEN);
    assert_int_equal(weir_sock_shutdown(B, listener, WEIR_SHUT_RD, sim.now), 0);
    assert_int_equal(sim_state(&sim, 1, listener), WEIR_TCP_CLOSE);
    expect_poll(B, listener, OUT | HUP);
    assert_int_equal(weir_sock_accept(B, listener, &child, NULL, sim.now), WEIR_EINVAL);
    assert_int_equal(weir_sock_listen(B, listener, 1, sim.now), 0);
    struct weir_endpoint local;
    assert_int_equal(weir_sock_getsockname(B, listener, &local), 0);
    assert_int_equal(local.port, 80);
}

/* Linux (source): EMFILE leaves the child in the queue. */
static void LNX_ERR_08_accept_emfile(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_default(&config);
    config.max_sockets = 3;
    sim_free(&sim);
    sim_init(&sim, 1);
    sim_host(&sim, NULL);
    sim_host(&sim, &config);
    sim_join(&sim, 0, 1, NULL);

    struct weir_endpoint at = at_b(80);
    weir_sock listener = sim_listen(&sim, 1, &at, 5), child;
    weir_sock one = tcp(1);
    tcp(1);
    weir_sock none;
    assert_int_equal(weir_sock_open(B, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &none), WEIR_EMFILE);
    connect_to(tcp(0), 80);
    later();
    assert_int_equal(weir_sock_accept(B, listener, &child, NULL, sim.now), WEIR_EMFILE);
    expect_poll(B, listener, IN);
    assert_int_equal(weir_sock_close(B, one, sim.now), 0);
    assert_int_equal(weir_sock_accept(B, listener, &child, NULL, sim.now), 0);
}

/* Linux (source; the poll bits observed): a child that was reset in the queue is still given. */
static void LNX_ERR_09_accept_after_reset(void **state)
{
    (void)state;
    struct weir_endpoint at = at_b(80);
    weir_sock listener = sim_listen(&sim, 1, &at, 5), sock = tcp(0), child;
    connect_to(sock, 80);
    later();
    reset(A, sock);
    assert_int_equal(weir_sock_accept(B, listener, &child, NULL, sim.now), 0);
    expect_recv(B, child, NULL, WEIR_ECONNRESET);
    expect_recv(B, child, NULL, 0);
}

/* ---- established ----------------------------------------------------------------------------- */

/* Linux (observed) */
static void LNX_POLL_06_LNX_POLL_07_LNX_POLL_08_LNX_POLL_09_LNX_SHUT_2_half_close(void **state)
{
    (void)state;
    connected();
    expect_poll(B, a, OUT);
    expect_recv(B, a, NULL, WEIR_EAGAIN);
    assert_int_equal(send_str(A, c, "hello", 0), 5);
    later();
    expect_poll(B, a, IN | OUT);
    assert_int_equal(weir_sock_inq(B, a), 5);
    assert_int_equal(weir_sock_shutdown(A, c, WEIR_SHUT_WR, sim.now), 0);
    later();
    expect_poll(B, a, IN | OUT | RDHUP);
    assert_int_equal(sim_state(&sim, 1, a), WEIR_TCP_CLOSE_WAIT);
    expect_recv(B, a, "hello", 0);
    expect_poll(B, a, IN | OUT | RDHUP);
    expect_recv(B, a, NULL, 0);
    expect_poll(A, c, OUT);
    assert_int_equal(sim_state(&sim, 0, c), WEIR_TCP_FIN_WAIT2);
    assert_int_equal(send_str(A, c, "x", 0), WEIR_EPIPE);
    assert_int_equal(send_str(B, a, "back", 0), 4);
    later();
    expect_poll(A, c, IN | OUT);
    expect_recv(A, c, "back", 0);
    assert_int_equal(weir_sock_shutdown(B, a, WEIR_SHUT_WR, sim.now), 0);
    later();
    assert_int_equal(sim_state(&sim, 0, c), WEIR_TCP_CLOSE);
    assert_int_equal(sim_state(&sim, 1, a), WEIR_TCP_CLOSE);
    expect_poll(A, c, IN | OUT | HUP | RDHUP);
    expect_poll(B, a, IN | OUT | HUP | RDHUP);
    expect_recv(A, c, NULL, 0);
}

/* Linux (observed) */
static void LNX_ERR_11_LNX_ERR_13_LNX_ERR_14_LNX_POLL_10_reset_after_data(void **state)
{
    (void)state;
    struct weir_endpoint peer;
    connected();
    send_str(A, c, "abc", 0);
    later(); /* or the data would be discarded unsent */
    reset(A, c);
    expect_poll(B, a, IN | OUT | ERR | HUP | RDHUP);
    expect_recv(B, a, "abc", 0);
    expect_recv(B, a, NULL, WEIR_ECONNRESET);
    expect_recv(B, a, NULL, 0);
    expect_poll(B, a, IN | OUT | HUP | RDHUP);
    assert_int_equal(send_str(B, a, "x", 0), WEIR_EPIPE);
    assert_int_equal(weir_sock_getpeername(B, a, &peer), WEIR_ENOTCONN);
}

/* Linux (observed) */
static void LNX_ERR_11_send_after_reset(void **state)
{
    (void)state;
    connected();
    reset(A, c);
    assert_int_equal(send_str(B, a, "x", 0), WEIR_ECONNRESET);
    assert_int_equal(send_str(B, a, "x", 0), WEIR_EPIPE);
    expect_recv(B, a, NULL, 0);
}

/* Linux (observed) */
static void LNX_ERR_12_reset_in_close_wait(void **state)
{
    (void)state;
    connected();
    assert_int_equal(weir_sock_shutdown(A, c, WEIR_SHUT_WR, sim.now), 0);
    later();
    expect_recv(B, a, NULL, 0);
    reset(A, c);
    expect_poll(B, a, IN | OUT | ERR | HUP | RDHUP);
    expect_recv(B, a, NULL, 0);
    assert_int_equal(so_error(1, a), EPIPE);
    assert_int_equal(send_str(B, a, "x", 0), WEIR_EPIPE);
}

/* Linux (observed) */
static void LNX_SHUT_1_LNX_POLL_11_shut_rd(void **state)
{
    (void)state;
    connected();
    uint64_t frames = sim.frames;
    assert_int_equal(weir_sock_shutdown(B, a, WEIR_SHUT_RD, sim.now), 0);
    later();
    assert_int_equal(sim.frames, frames); /* nothing is sent */
    expect_poll(B, a, IN | OUT | RDHUP);
    expect_recv(B, a, NULL, 0);
    send_str(A, c, "late", 0);
    later();
    expect_recv(B, a, "late", 0);
    expect_recv(B, a, NULL, 0);
}

/* Linux (observed) */
static void LNX_SHUT_3_shut_rdwr(void **state)
{
    (void)state;
    connected();
    assert_int_equal(weir_sock_shutdown(B, a, 5, sim.now), WEIR_EINVAL);
    assert_int_equal(weir_sock_shutdown(B, a, WEIR_SHUT_RDWR, sim.now), 0);
    later();
    expect_poll(B, a, IN | OUT | HUP | RDHUP);
    assert_int_equal(sim_state(&sim, 1, a), WEIR_TCP_FIN_WAIT2);
    assert_int_equal(send_str(A, c, "x", 0), 1);
    later();
    /* The data after SHUT_RDWR is answered with RST. */
    expect_poll(A, c, IN | OUT | ERR | HUP | RDHUP);
    expect_recv(A, c, NULL, 0);
    assert_int_equal(send_str(A, c, "y", 0), WEIR_EPIPE);
}

/* Linux (source): names stay in CLOSE-WAIT. */
static void LNX_ERR_16_names(void **state)
{
    (void)state;
    struct weir_endpoint local, peer;
    connected();
    assert_int_equal(weir_sock_getsockname(A, c, &local), 0);
    assert_int_equal(weir_sock_getpeername(B, a, &peer), 0);
    assert_true(weir_endpoint_eq(&local, &peer));
    assert_int_equal(weir_sock_getpeername(A, c, &peer), 0);
    assert_int_equal(peer.port, 80);
    assert_int_equal(weir_sock_shutdown(A, c, WEIR_SHUT_WR, sim.now), 0);
    later();
    assert_int_equal(weir_sock_getpeername(B, a, &peer), 0);
    assert_true(weir_endpoint_eq(&local, &peer));
}

/* Linux (source): what fits is taken, then EAGAIN. */
static void LNX_ERR_17_partial_send(void **state)
{
    (void)state;
    static char data[100000];
    connected();
    assert_int_equal(sim_setopt(&sim, 0, c, WEIR_SOL_SOCKET, WEIR_SO_SNDBUF, 1), 0);
    assert_int_equal(sim_getopt(&sim, 0, c, WEIR_SOL_SOCKET, WEIR_SO_SNDBUF), 4608);
    ptrdiff_t taken = weir_sock_send(A, c, data, sizeof data, 0, NULL, sim.now);
    assert_in_range(taken, 1, 4608);
    assert_int_equal(weir_sock_send(A, c, data, sizeof data, 0, NULL, sim.now), WEIR_EAGAIN);
    assert_int_equal(weir_sock_ready(A, c) & OUT, 0);
    assert_int_equal(weir_sock_outq(A, c), taken);
    later();
    assert_int_equal(weir_sock_ready(A, c) & OUT, OUT);
    assert_int_equal(weir_sock_inq(B, a), taken);
}

/* First principles: reset both ways, with ECONNABORTED for who asked for it. */
static void abort_resets(void **state)
{
    (void)state;
    connected();
    assert_int_equal(weir_sock_abort(A, c, sim.now), 0);
    later();
    expect_recv(A, c, NULL, WEIR_ECONNABORTED);
    expect_recv(B, a, NULL, WEIR_ECONNRESET);
    assert_int_equal(weir_sock_abort(A, tcp(0), sim.now), WEIR_ENOTCONN);
}

/* ---- messages -------------------------------------------------------------------------------- */

/* Linux (observed) */
static void LNX_MSG_01_LNX_MSG_05_LNX_MSG_09_flags(void **state)
{
    (void)state;
    char data[16];
    connected();
    send_str(A, c, "hello", 0);
    later();
    for (int i = 0; i < 2; i++)
        assert_int_equal(weir_sock_recv(B, a, data, 3, WEIR_MSG_PEEK, NULL, sim.now), 3);
    assert_memory_equal(data, "hel", 3);
    assert_int_equal(weir_sock_recv(B, a, data, 0, 0, NULL, sim.now), 0);
    assert_int_equal(weir_sock_recv(B, a, NULL, 4, WEIR_MSG_TRUNC, NULL, sim.now), 4);
    expect_recv(B, a, "o", 0);
}

/* Linux (observed) */
static void LNX_MSG_06_LNX_MSG_07_LNX_POLL_15_urgent(void **state)
{
    (void)state;
    char byte = 0;
    connected();
    assert_int_equal(weir_sock_recv(B, a, &byte, 1, WEIR_MSG_OOB, NULL, sim.now), WEIR_EINVAL);
    assert_int_equal(send_str(A, c, "abc", WEIR_MSG_OOB), 3);
    later();
    expect_poll(B, a, IN | PRI | OUT);
    expect_recv(B, a, "ab", 0);
    assert_int_equal(weir_sock_atmark(B, a), 1);
    assert_int_equal(weir_sock_recv(B, a, &byte, 1, WEIR_MSG_OOB, NULL, sim.now), 1);
    assert_int_equal(byte, 'c');
    assert_int_equal(weir_sock_ready(B, a) & PRI, 0);
    assert_int_equal(weir_sock_recv(B, a, &byte, 1, WEIR_MSG_OOB, NULL, sim.now), WEIR_EINVAL);
}

/* Linux (observed): a reader that goes on from the mark has passed the urgent byte by; one that stands there
 * when a second one is announced loses the first; one before it finds the first in the stream. */
static void LNX_MSG_06_the_urgent_byte_is_passed_by(void **state)
{
    (void)state;
    char byte = 0;
    connected();
    send_str(A, c, "abc", WEIR_MSG_OOB);
    later();
    expect_recv(B, a, "ab", 0);
    assert_int_equal(weir_sock_recv(B, a, &byte, 1, 0, NULL, sim.now), WEIR_EAGAIN);
    assert_int_equal(weir_sock_ready(B, a) & PRI, 0);
    assert_int_equal(weir_sock_recv(B, a, &byte, 1, WEIR_MSG_OOB, NULL, sim.now), WEIR_EINVAL);
    send_str(A, c, "1", WEIR_MSG_OOB);
    later();
    send_str(A, c, "2", WEIR_MSG_OOB);
    later();
    assert_int_equal(weir_sock_recv(B, a, &byte, 1, WEIR_MSG_OOB, NULL, sim.now), 1);
    assert_int_equal(byte, '2');
    assert_int_equal(weir_sock_recv(B, a, &byte, 1, 0, NULL, sim.now), WEIR_EAGAIN);
    send_str(A, c, "x1", WEIR_MSG_OOB);
    later();
    send_str(A, c, "2", WEIR_MSG_OOB);
    later();
    expect_recv(B, a, "x1", 0);
}

/* Linux (observed) */
static void LNX_MSG_01_peeks_go_on_at_SO_PEEK_OFF(void **state)
{
    (void)state;
    int off = 1;
    size_t len = sizeof off;
    connected();
    send_str(A, c, "abcdef", 0);
    later();
    assert_int_equal(
        weir_sock_setsockopt(B, a, WEIR_SOL_SOCKET, WEIR_SO_PEEK_OFF, &off, sizeof off, sim.now),
        0);
    char data[8] = "";
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weir_sock_recv(B, a, data, 2, WEIR_MSG_PEEK, NULL, sim.now), 2);
        assert_memory_equal(data, i == 0 ? "bc" : "de", 2);
    }
    assert_int_equal(weir_sock_recv(B, a, data, 2, 0, NULL, sim.now), 2);
    assert_memory_equal(data, "ab", 2);
    assert_int_equal(
        weir_sock_getsockopt(B, a, WEIR_SOL_SOCKET, WEIR_SO_PEEK_OFF, &off, &len, sim.now), 0);
    assert_int_equal(off, 3);
    assert_int_equal(weir_sock_recv(B, a, data, 8, WEIR_MSG_PEEK, NULL, sim.now), 1);
    assert_int_equal(data[0], 'f');
    assert_int_equal(weir_sock_recv(B, a, data, 8, WEIR_MSG_PEEK, NULL, sim.now), WEIR_EAGAIN);
}

/* First principles: what peek lends is what recv would give. */
static void peek_and_consume(void **state)
{
    (void)state;
    struct weir_span span[2];
    connected();
    assert_int_equal(weir_sock_peek(B, a, span, sim.now), WEIR_EAGAIN);
    send_str(A, c, "hello", 0);
    later();
    assert_int_equal(weir_sock_peek(B, a, span, sim.now), 5);
    assert_memory_equal(span[0].ptr, "hello", span[0].len);
    assert_int_equal(weir_sock_consume(B, a, 2, sim.now), 0);
    expect_recv(B, a, "llo", 0);
    assert_int_equal(weir_sock_shutdown(A, c, WEIR_SHUT_WR, sim.now), 0);
    later();
    assert_int_equal(weir_sock_peek(B, a, span, sim.now), 0);
}

/* First principles: what is written into the room that reserve lends and committed is sent as by send, whatever the
 * place in the buffer; what is not committed is not, and room is at most what send would take. */
static void reserve_and_commit(void **state)
{
    (void)state;
    enum { BLOCK = 3000 };
    struct weir_piece room[2];
    uint8_t got[BLOCK];
    unsigned next_out = 0, next_in = 0;
    connected();
    assert_int_equal(weir_sock_reserve(A, c, room, 0, sim.now), 0);
    assert_int_equal(weir_sock_commit(A, c, BLOCK, sim.now), WEIR_EINVAL); /* nothing was lent */
    for (int turn = 0; turn < 40; turn++) {
        ptrdiff_t n = weir_sock_reserve(A, c, room, BLOCK, sim.now);
        assert_true(n > 0 && n <= BLOCK);
        assert_int_equal(room[0].len + room[1].len, n);
        size_t used = (size_t)n - (size_t)(turn % 2); /* the last byte is not committed each time */
        for (size_t i = 0; i < used; i++)
            *(i < room[0].len ? room[0].ptr + i : room[1].ptr + i - room[0].len) =
                (uint8_t)(next_out++ % 251);
        assert_int_equal(weir_sock_commit(A, c, used, sim.now), used);
        if (turn % 3 == 0)
            continue; /* so that the ring's head moves while bytes are in it */
        later();
        while ((n = weir_sock_recv(B, a, got, sizeof got, 0, NULL, sim.now)) > 0)
            for (ptrdiff_t i = 0; i < n; i++)
                assert_int_equal(got[i], next_in++ % 251);
    }
    later();
    for (ptrdiff_t n; (n = weir_sock_recv(B, a, got, sizeof got, 0, NULL, sim.now)) > 0;)
        for (ptrdiff_t i = 0; i < n; i++)
            assert_int_equal(got[i], next_in++ % 251);
    assert_int_equal(next_in, next_out);
}

/* Errors and a full buffer are send's. */
static void reserve_as_send(void **state)
{
    (void)state;
    struct weir_piece room[2];
    ptrdiff_t n;
    connected();
    while ((n = weir_sock_reserve(A, c, room, 1 << 20, sim.now)) > 0) {
        memset(room[0].ptr, 0, room[0].len);
        memset(room[1].ptr, 0, room[1].len);
        assert_int_equal(weir_sock_commit(A, c, (size_t)n, sim.now), n);
    }
    assert_int_equal(n, WEIR_EAGAIN);
    assert_int_equal(weir_sock_send(A, c, "x", 1, 0, NULL, sim.now), WEIR_EAGAIN);
    assert_int_equal(weir_sock_shutdown(A, c, WEIR_SHUT_WR, sim.now), 0);
    assert_int_equal(weir_sock_reserve(A, c, room, 1, sim.now), WEIR_EPIPE);
}

/* ---- events ---------------------------------------------------------------------------------- */

static unsigned drain_events(struct weir_stack *stack, weir_sock sock, uint32_t *ready)
{
    struct weir_event event;
    unsigned n = 0;
    while (weir_next_event(stack, &event))
        if (event.sock == sock) {
            n++;
            *ready = event.ready;
            assert_int_equal(event.user, 42);
        }
    return n;
}

/* Linux (observed): each arrival is an event, read or not. */
static void LNX_POLL_13_edges(void **state)
{
    (void)state;
    uint32_t ready = 0;
    connected();
    assert_int_equal(weir_sock_set_user(B, a, 42), 0);
    drain_events(B, a, &ready);
    for (int i = 0; i < 2; i++) {
        send_str(A, c, "x", 0);
        later();
        assert_int_equal(drain_events(B, a, &ready), 1);
        assert_int_equal(ready, IN | OUT);
    }
    reset(A, c);
    assert_int_equal(drain_events(B, a, &ready), 1);
    assert_int_equal(ready, IN | OUT | ERR | HUP | RDHUP);
    /* A socket that is closed tells nothing more. */
    connected();
    send_str(A, c, "x", 0);
    later();
    assert_int_equal(weir_sock_close(B, a, sim.now), 0);
    struct weir_event event;
    while (weir_next_event(B, &event))
        assert_int_not_equal(event.sock, a);
}

/* ---- the table of sockets -------------------------------------------------------------------- */

/* First principles: each socket that is on the network has one row. */
static void rows_show_each_socket_once(void **state)
{
    (void)state;
    struct weir_endpoint at = at_b(90);
    weir_sock listener = sim_listen(&sim, 1, &at, 7);
    connected();
    weir_sock udp = sim_socket(&sim, 1, WEIR_AF_INET, WEIR_SOCK_DGRAM);
    assert_int_equal(weir_sock_bind(B, udp, &at), 0);
    send_str(A, c, "hello", 0);
    later();
    uint64_t cursor = 0;
    struct weir_sock_row row;
    unsigned listeners = 0, connections = 0, udps = 0, rows = 0;
    while (weir_sock_next_row(B, &cursor, &row)) {
        rows++;
        if (row.sock == listener) {
            listeners++;
            assert_int_equal(row.state, WEIR_TCP_LISTEN);
            assert_int_equal(row.send_q, 7);
        } else if (row.sock == udp) {
            udps++;
            assert_int_equal(row.type, WEIR_SOCK_DGRAM);
        } else if (row.sock == a) {
            connections++;
            assert_int_equal(row.state, WEIR_TCP_ESTABLISHED);
            assert_int_equal(row.recv_q, 5);
            assert_int_equal(row.local.port, 80);
        }
    }
    assert_int_equal(listeners, 1);
    assert_int_equal(connections, 1);
    assert_int_equal(udps, 1);
    assert_int_equal(rows, 3);
    assert_false(weir_sock_next_row(B, &cursor, &row));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(LNX_POLL_01_LNX_ERR_10_LNX_ERR_13_LNX_ERR_16_LNX_SHUT_6_fresh),
        TEST(stale_handles_are_ebadf),
        TEST(socket_kinds),
        TEST(LNX_ERR_02_LNX_POLL_03_connect),
        TEST(LNX_ERR_01_LNX_ERR_03_LNX_POLL_04_LNX_POLL_10_refused),
        TEST(LNX_POLL_02_LNX_ERR_13_LNX_SHUT_5_syn_sent),
        TEST(LNX_ERR_01_timeout),
        TEST(LNX_ERR_04_destinations),
        TEST(LNX_ERR_04_any_is_loopback),
        TEST(LNX_ERR_05_connect_unspec),
        TEST(LNX_POLL_05_LNX_ERR_06_LNX_ERR_08_LNX_ERR_10_LNX_ERR_13_LNX_ERR_15_listener),
        TEST(LNX_SHUT_4_listener),
        TEST(LNX_ERR_08_accept_emfile),
        TEST(LNX_ERR_09_accept_after_reset),
        TEST(LNX_POLL_06_LNX_POLL_07_LNX_POLL_08_LNX_POLL_09_LNX_SHUT_2_half_close),
        TEST(LNX_ERR_11_LNX_ERR_13_LNX_ERR_14_LNX_POLL_10_reset_after_data),
        TEST(LNX_ERR_11_send_after_reset),
        TEST(LNX_ERR_12_reset_in_close_wait),
        TEST(LNX_SHUT_1_LNX_POLL_11_shut_rd),
        TEST(LNX_SHUT_3_shut_rdwr),
        TEST(LNX_ERR_16_names),
        TEST(LNX_ERR_17_partial_send),
        TEST(abort_resets),
        TEST(LNX_MSG_01_LNX_MSG_05_LNX_MSG_09_flags),
        TEST(LNX_MSG_06_LNX_MSG_07_LNX_POLL_15_urgent),
        TEST(LNX_MSG_06_the_urgent_byte_is_passed_by),
        TEST(LNX_MSG_01_peeks_go_on_at_SO_PEEK_OFF),
        TEST(peek_and_consume),
        TEST(reserve_and_commit),
        TEST(reserve_as_send),
        TEST(LNX_POLL_13_edges),
        TEST(rows_show_each_socket_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
