/* SPDX-License-Identifier: MIT */
/*
 * Socket options: values as set and as shown, errors for bad lengths and values. "Linux (observed)"
 * marks what a 6.18 kernel answered; the rest follows from its source.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weir/info.h>

#include "sim/sim_pair.h"

#define A (sim.host[0].stack)
#define B (sim.host[1].stack)

enum { S = WEIR_SOL_SOCKET, T = WEIR_SOL_TCP, I4 = WEIR_SOL_IP, I6 = WEIR_SOL_IPV6 };

static weir_sock tcp(void)
{
    return sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
}

static int get(weir_sock sock, int level, int option)
{
    return sim_getopt(&sim, 0, sock, level, option);
}

static int set(weir_sock sock, int level, int option, int value)
{
    return sim_setopt(&sim, 0, sock, level, option, value);
}

/* ---- the whole table ------------------------------------------------------------------------- */

/* What a fresh TCP socket shows, a value that may be set, and one that may not. */
struct row {
    int level, option, fresh, good, shown, bad, error;
};

#define ANY INT32_MIN /* there is no bad value */

static const struct row tcp_rows[] = {
    {S, WEIR_SO_REUSEADDR, 0, 7, 1, ANY, 0},
    {S, WEIR_SO_REUSEPORT, 0, 1, 1, ANY, 0},
    {S, WEIR_SO_BROADCAST, 0, 1, 1, ANY, 0},
    {S, WEIR_SO_KEEPALIVE, 0, 5, 1, ANY, 0},
    {S, WEIR_SO_OOBINLINE, 0, 1, 1, ANY, 0},
    {S, WEIR_SO_RCVBUF, 131072, 20000, 40000, ANY, 0},
    {S, WEIR_SO_SNDBUF, 16384, 20000, 40000, ANY, 0},
    {S, WEIR_SO_RCVLOWAT, 1, 100, 100, ANY, 0},
    {T, WEIR_TCP_NODELAY, 0, 2, 1, ANY, 0},
    {T, WEIR_TCP_CORK, 0, 1, 1, ANY, 0},
    {T, WEIR_TCP_MAXSEG, 536, 500, 500, 87, WEIR_EINVAL},
    {T, WEIR_TCP_MAXSEG, 536, 32767, 32767, 32768, WEIR_EINVAL},
    {T, WEIR_TCP_MAXSEG, 536, 88, 88, -1, WEIR_EINVAL},
    {T, WEIR_TCP_KEEPIDLE, 7200, 10, 10, 0, WEIR_EINVAL},
    {T, WEIR_TCP_KEEPIDLE, 7200, 32767, 32767, 32768, WEIR_EINVAL},
    {T, WEIR_TCP_KEEPINTVL, 75, 2, 2, 32768, WEIR_EINVAL},
    {T, WEIR_TCP_KEEPCNT, 9, 3, 3, 128, WEIR_EINVAL},
    {T, WEIR_TCP_SYNCNT, 6, 2, 2, 0, WEIR_EINVAL},
    {T, WEIR_TCP_SYNCNT, 6, 127, 127, 128, WEIR_EINVAL},
    {T, WEIR_TCP_LINGER2, 60, 30, 30, ANY, 0},
    {T, WEIR_TCP_LINGER2, 60, 1000, 120, ANY, 0},
    {T, WEIR_TCP_LINGER2, 60, -5, -1, ANY, 0},
    {T, WEIR_TCP_DEFER_ACCEPT, 0, 5, 7, ANY, 0},
    {T, WEIR_TCP_DEFER_ACCEPT, 0, 1, 1, ANY, 0},
    {T, WEIR_TCP_DEFER_ACCEPT, 0, 8, 15, ANY, 0},
    {T, WEIR_TCP_DEFER_ACCEPT, 0, 0, 0, ANY, 0},
    {T, WEIR_TCP_WINDOW_CLAMP, 0, 5000, 5000, ANY, 0},
    {T, WEIR_TCP_WINDOW_CLAMP, 0, 1, 1152, ANY, 0},
    {T, WEIR_TCP_QUICKACK, 1, 0, 0, ANY, 0},
    {T, WEIR_TCP_USER_TIMEOUT, 0, 3000, 3000, -1, WEIR_EINVAL},
    {T, WEIR_TCP_NOTSENT_LOWAT, 0, 16384, 16384, ANY, 0},
    {T, WEIR_TCP_FASTOPEN, 0, 5, 5, -1, WEIR_EINVAL},
    {T, WEIR_TCP_FASTOPEN, 0, 100000, 4096, -1, WEIR_EINVAL}, /* somaxconn */
    {T, WEIR_TCP_FASTOPEN_CONNECT, 0, 1, 1, 2, WEIR_EINVAL},
    {T, WEIR_TCP_FASTOPEN_NO_COOKIE, 0, 1, 1, 2, WEIR_EINVAL},
    {I4, WEIR_IP_TTL, 64, 5, 5, 0, WEIR_EINVAL},
    {I4, WEIR_IP_TTL, 64, 255, 255, 256, WEIR_EINVAL},
    {I4, WEIR_IP_TTL, 64, -1, 64, -2, WEIR_EINVAL},
    {I4, WEIR_IP_TOS, 0, 0x13, 0x10, ANY, 0}, /* the ECN bits are TCP's */
    {I4, WEIR_IP_MTU_DISCOVER, 1, 2, 2, 6, WEIR_EINVAL},
};

/* Linux (observed: MAXSEG, RCVBUF, DEFER_ACCEPT; source: the rest) */
static void LNX_SO_06_LNX_SO_09_LNX_SO_10_LNX_SO_16_option_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tcp_rows / sizeof tcp_rows[0]; i++) {
        const struct row *row = &tcp_rows[i];
        weir_sock sock = tcp();
        if (get(sock, row->level, row->option) != row->fresh)
            fail_msg("%d/%d fresh: %d", row->level, row->option,
                     get(sock, row->level, row->option));
        if (row->bad != ANY)
            assert_int_equal(set(sock, row->level, row->option, row->bad), row->error);
        assert_int_equal(get(sock, row->level, row->option), row->fresh);
        assert_int_equal(set(sock, row->level, row->option, row->good), 0);
        if (get(sock, row->level, row->option) != row->shown)
            fail_msg("%d/%d after %d: %d", row->level, row->option, row->good,
                     get(sock, row->level, row->option));
        assert_int_equal(weir_sock_close(A, sock, sim.now), 0);
    }
}

/* Linux (source) */
static void read_only_and_unknown(void **state)
{
    (void)state;
    weir_sock sock = tcp(), six = sim_socket(&sim, 0, WEIR_AF_INET6, WEIR_SOCK_DGRAM);
    assert_int_equal(get(sock, S, WEIR_SO_TYPE), WEIR_SOCK_STREAM);
    assert_int_equal(get(sock, S, WEIR_SO_DOMAIN), WEIR_AF_INET);
    assert_int_equal(get(sock, S, WEIR_SO_PROTOCOL), 6);
    assert_int_equal(get(six, S, WEIR_SO_TYPE), WEIR_SOCK_DGRAM);
    assert_int_equal(get(six, S, WEIR_SO_DOMAIN), WEIR_AF_INET6);
    assert_int_equal(get(six, S, WEIR_SO_PROTOCOL), 17);
    assert_int_equal(get(sock, S, WEIR_SO_ACCEPTCONN), 0);
    assert_int_equal(get(sock, S, WEIR_SO_SNDLOWAT), 1);
    static const int read_only[] = {WEIR_SO_TYPE,     WEIR_SO_ERROR,      WEIR_SO_DOMAIN,
                                    WEIR_SO_PROTOCOL, WEIR_SO_ACCEPTCONN, WEIR_SO_SNDLOWAT};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(set(sock, S, read_only[i], 1), WEIR_ENOPROTOOPT);
    assert_int_equal(set(sock, S, 9999, 1), WEIR_ENOPROTOOPT);
    assert_int_equal(get(sock, S, 9999), WEIR_ENOPROTOOPT);
    assert_int_equal(get(sock, 12345, 1), WEIR_ENOTSUP);
    assert_int_equal(set(six, T, WEIR_TCP_NODELAY, 1), WEIR_ENOPROTOOPT);
    assert_int_equal(set(sock, I6, WEIR_IPV6_V6ONLY, 1), WEIR_ENOPROTOOPT);
    assert_int_equal(set(six, I6, WEIR_IPV6_TCLASS, 256), WEIR_EINVAL);
    assert_int_equal(set(six, I6, WEIR_IPV6_TCLASS, 0xb8), 0);
    assert_int_equal(get(six, I6, WEIR_IPV6_TCLASS), 0xb8);
    assert_int_equal(set(six, I6, WEIR_IPV6_UNICAST_HOPS, 9), 0);
    assert_int_equal(get(six, I6, WEIR_IPV6_UNICAST_HOPS), 9);
}

/* Linux (source): lengths. */
static void lengths(void **state)
{
    (void)state;
    weir_sock sock = tcp();
    int value = 1;
    uint8_t byte = 33;
    assert_int_equal(weir_sock_setsockopt(A, sock, S, WEIR_SO_REUSEADDR, &value, 3, sim.now),
                     WEIR_EINVAL);
    assert_int_equal(weir_sock_setsockopt(A, sock, T, WEIR_TCP_NODELAY, &value, 3, sim.now),
                     WEIR_EINVAL);
    assert_int_equal(weir_sock_setsockopt(A, sock, S, WEIR_SO_LINGER, &value, 4, sim.now),
                     WEIR_EINVAL);
    assert_int_equal(weir_sock_setsockopt(A, sock, T, WEIR_TCP_CONGESTION, "", 0, sim.now),
                     WEIR_EINVAL);
    /* IP options take a byte, and give one. */
    assert_int_equal(weir_sock_setsockopt(A, sock, I4, WEIR_IP_TTL, &byte, 1, sim.now), 0);
    size_t len = 1;
    byte = 0;
    assert_int_equal(weir_sock_getsockopt(A, sock, I4, WEIR_IP_TTL, &byte, &len, sim.now), 0);
    assert_int_equal(len, 1);
    assert_int_equal(byte, 33);
    /* A short buffer gets the beginning. */
    uint8_t part[8] = {9, 9, 9, 9, 9, 9, 9, 9};
    len = 2;
    assert_int_equal(weir_sock_getsockopt(A, sock, S, WEIR_SO_RCVBUF, part, &len, sim.now), 0);
    assert_int_equal(len, 2);
    assert_int_equal(part[2], 9);
    len = 8;
    assert_int_equal(weir_sock_getsockopt(A, sock, S, WEIR_SO_RCVBUF, part, &len, sim.now), 0);
    assert_int_equal(len, 4);
    assert_int_equal(part[4], 9);
}

/* ---- buffers --------------------------------------------------------------------------------- */

/* Linux (observed): doubled, with a floor; capped by rmem_max and wmem_max. */
static void LNX_SO_15_buffer_sizes(void **state)
{
    (void)state;
    weir_sock socks[2] = {tcp(), sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_DGRAM)};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(set(socks[i], S, WEIR_SO_RCVBUF, 1), 0);
        assert_int_equal(get(socks[i], S, WEIR_SO_RCVBUF), 2304);
        assert_int_equal(set(socks[i], S, WEIR_SO_SNDBUF, 1), 0);
        assert_int_equal(get(socks[i], S, WEIR_SO_SNDBUF), 4608);
        assert_int_equal(set(socks[i], S, WEIR_SO_RCVBUF, 1 << 30), 0);
        assert_int_equal(get(socks[i], S, WEIR_SO_RCVBUF), 2 * 4194304);
        assert_int_equal(set(socks[i], S, WEIR_SO_SNDBUF, -1), 0);
        assert_int_equal(get(socks[i], S, WEIR_SO_SNDBUF), 2 * 4194304);
    }
    assert_int_equal(get(sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_DGRAM), S, WEIR_SO_RCVBUF),
                     212992);
    /* SO_RCVLOWAT is no more than half of the buffer. */
    assert_int_equal(set(socks[0], S, WEIR_SO_RCVBUF, 10000), 0);
    assert_int_equal(set(socks[0], S, WEIR_SO_RCVLOWAT, 15000), 0);
    assert_int_equal(get(socks[0], S, WEIR_SO_RCVLOWAT), 10000);
    assert_int_equal(set(socks[0], S, WEIR_SO_RCVLOWAT, 0), 0);
    assert_int_equal(get(socks[0], S, WEIR_SO_RCVLOWAT), 1);
}

/* ---- strings and structs --------------------------------------------------------------------- */

static int set_cc(weir_sock sock, const char *name)
{
    return weir_sock_setsockopt(A, sock, T, WEIR_TCP_CONGESTION, name, strlen(name), sim.now);
}

/* Linux (observed: ENOENT) */
static void LNX_SO_12_congestion(void **state)
{
    (void)state;
    weir_sock sock = tcp();
    char name[16];
    assert_int_equal(set_cc(sock, "bogus"), WEIR_ENOENT);
    assert_int_equal(set_cc(sock, "a name that is much too long"), WEIR_ENOENT);
    size_t len = sizeof name;
    assert_int_equal(weir_sock_getsockopt(A, sock, T, WEIR_TCP_CONGESTION, name, &len, sim.now), 0);
    assert_int_equal(len, 16);
    assert_true(name[0] != '\0'); /* the default has a name */
    assert_int_equal(set_cc(sock, "reno"), 0);
    memset(name, 0, sizeof name);
    len = 3;
    assert_int_equal(weir_sock_getsockopt(A, sock, T, WEIR_TCP_CONGESTION, name, &len, sim.now), 0);
    assert_string_equal(name, "ren");
    len = sizeof name;
    assert_int_equal(weir_sock_getsockopt(A, sock, T, WEIR_TCP_CONGESTION, name, &len, sim.now), 0);
    assert_string_equal(name, "reno");
}

static void linger_is_kept(void **state)
{
    (void)state;
    weir_sock sock = tcp();
    struct weir_linger linger = {1, 5}, shown = {9, 9};
    size_t len = sizeof shown;
    assert_int_equal(weir_sock_getsockopt(A, sock, S, WEIR_SO_LINGER, &shown, &len, sim.now), 0);
    assert_int_equal(shown.on, 0);
    assert_int_equal(
        weir_sock_setsockopt(A, sock, S, WEIR_SO_LINGER, &linger, sizeof linger, sim.now), 0);
    assert_int_equal(weir_sock_getsockopt(A, sock, S, WEIR_SO_LINGER, &shown, &len, sim.now), 0);
    assert_int_equal(shown.on, 1);
    assert_int_equal(shown.seconds, 5);
}

/* Linux (observed) */
static void LNX_INFO_7_short_buffer(void **state)
{
    (void)state;
    weir_sock client, server;
    sim_connected(&sim, WEIR_AF_INET, 80, &client, &server);
    struct weir_tcp_info info;
    memset(&info, 0xee, sizeof info);
    size_t len = 10;
    assert_int_equal(weir_sock_getsockopt(A, client, T, WEIR_TCP_INFO, &info, &len, sim.now), 0);
    assert_int_equal(len, 10);
    assert_int_equal(info.tcpi_state, WEIR_TCP_ESTABLISHED);
    assert_int_equal(info.tcpi_snd_mss, 0xeeeeeeee);
    char large[sizeof info + 50];
    len = sizeof large;
    assert_int_equal(weir_sock_getsockopt(A, client, T, WEIR_TCP_INFO, large, &len, sim.now), 0);
    assert_int_equal(len, sizeof info);
    assert_int_equal(sim_state(&sim, 0, tcp()), WEIR_TCP_CLOSE);
}

/* Linux (observed): listen's backlog is capped by somaxconn, a negative one is the cap. */
static void LNX_INFO_4_listener(void **state)
{
    (void)state;
    struct weir_endpoint at = sim_endpoint(0, 2, WEIR_AF_INET, 80);
    weir_sock listener = sim_listen(&sim, 1, &at, -1);
    struct weir_tcp_info info;
    size_t len = sizeof info;
    assert_int_equal(weir_sock_getsockopt(B, listener, T, WEIR_TCP_INFO, &info, &len, sim.now), 0);
    assert_int_equal(info.tcpi_state, WEIR_TCP_LISTEN);
    assert_int_equal(info.tcpi_sacked, 4096);
    assert_int_equal(info.tcpi_unacked, 0);
    weir_sock sock = tcp();
    weir_sock_connect(A, sock, &at, sim.now);
    sim_run(&sim, WEIR_SEC);
    assert_int_equal(weir_sock_getsockopt(B, listener, T, WEIR_TCP_INFO, &info, &len, sim.now), 0);
    assert_int_equal(info.tcpi_unacked, 1);
}

/* ---- inheritance ----------------------------------------------------------------------------- */

/* Linux (observed) */
static void LNX_SO_19_children_inherit(void **state)
{
    (void)state;
    struct weir_endpoint at = sim_endpoint(0, 2, WEIR_AF_INET, 80);
    weir_sock listener = sim_listen(&sim, 1, &at, 5), child;
    static const struct row rows[] = {
        {S, WEIR_SO_REUSEADDR, 0, 1, 1, 0, 0},
        {S, WEIR_SO_KEEPALIVE, 0, 1, 1, 0, 0},
        {S, WEIR_SO_RCVBUF, 0, 30000, 60000, 0, 0},
        {S, WEIR_SO_SNDBUF, 0, 30000, 60000, 0, 0},
        {S, WEIR_SO_OOBINLINE, 0, 1, 1, 0, 0},
        {T, WEIR_TCP_NODELAY, 0, 1, 1, 0, 0},
        {T, WEIR_TCP_KEEPIDLE, 0, 50, 50, 0, 0},
        {T, WEIR_TCP_KEEPCNT, 0, 4, 4, 0, 0},
        {T, WEIR_TCP_USER_TIMEOUT, 0, 999, 999, 0, 0},
        {I4, WEIR_IP_TTL, 0, 9, 9, 0, 0},
        {I4, WEIR_IP_TOS, 0, 16, 16, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(sim_setopt(&sim, 1, listener, rows[i].level, rows[i].option, rows[i].good),
                         0);
    weir_sock sock = tcp();
    weir_sock_connect(A, sock, &at, sim.now);
    sim_run(&sim, WEIR_SEC);
    assert_int_equal(weir_sock_accept(B, listener, &child, NULL, sim.now), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(sim_getopt(&sim, 1, child, rows[i].level, rows[i].option), rows[i].shown);
}

/* First principles: options outlive a failed connect. */
static void options_survive_a_failed_connect(void **state)
{
    (void)state;
    struct weir_endpoint at = sim_endpoint(0, 2, WEIR_AF_INET, 81);
    weir_sock sock = tcp();
    assert_int_equal(set(sock, T, WEIR_TCP_NODELAY, 1), 0);
    assert_int_equal(weir_sock_connect(A, sock, &at, sim.now), WEIR_EINPROGRESS);
    assert_int_equal(set(sock, T, WEIR_TCP_KEEPCNT, 3), 0);
    sim_run(&sim, WEIR_SEC);
    assert_int_equal(weir_sock_connect(A, sock, &at, sim.now), WEIR_ECONNREFUSED);
    assert_int_equal(get(sock, T, WEIR_TCP_NODELAY), 1);
    assert_int_equal(get(sock, T, WEIR_TCP_KEEPCNT), 3);
    assert_int_equal(get(sock, S, WEIR_SO_ERROR), 0);
}

/* Linux (source): IP_MTU of a connection is its path's. */
static void ip_mtu_of_a_connection(void **state)
{
    (void)state;
    weir_sock client, server;
    assert_int_equal(get(tcp(), I4, WEIR_IP_MTU), WEIR_ENOTCONN);
    sim_connected(&sim, WEIR_AF_INET, 80, &client, &server);
    assert_int_equal(get(client, I4, WEIR_IP_MTU), 1500);
    assert_int_equal(get(client, T, WEIR_TCP_MAXSEG), 1448); /* timestamps take 12 */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(LNX_SO_06_LNX_SO_09_LNX_SO_10_LNX_SO_16_option_values),
        TEST(read_only_and_unknown),
        TEST(lengths),
        TEST(LNX_SO_15_buffer_sizes),
        TEST(LNX_SO_12_congestion),
        TEST(linger_is_kept),
        TEST(LNX_INFO_7_short_buffer),
        TEST(LNX_INFO_4_listener),
        TEST(LNX_SO_19_children_inherit),
        TEST(options_survive_a_failed_connect),
        TEST(ip_mtu_of_a_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
