/* SPDX-License-Identifier: MIT */
/*
 * bind, listen and the choice of ports. "Linux (observed)" is what a 6.18 kernel answered to the
 * same calls; the rest follows from its source.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/core.h"
#include "sim/sim_pair.h"

static struct weir_stack *stack0(void)
{
    return sim.host[0].stack;
}

static struct weir_endpoint ep(const char *addr, uint16_t port)
{
    struct weir_endpoint endpoint = {.port = port};
    assert_true(weir_addr_parse(addr, &endpoint.addr));
    return endpoint;
}

enum { NONE = 0, RA = 1, RP = 2 };

static weir_sock with_options(int domain, int type, unsigned options)
{
    weir_sock sock = sim_socket(&sim, 0, domain, type);
    if (options & RA)
        assert_int_equal(sim_setopt(&sim, 0, sock, WEIR_SOL_SOCKET, WEIR_SO_REUSEADDR, 1), 0);
    if (options & RP)
        assert_int_equal(sim_setopt(&sim, 0, sock, WEIR_SOL_SOCKET, WEIR_SO_REUSEPORT, 1), 0);
    return sock;
}

static int try_bind(weir_sock sock, const char *addr, uint16_t port)
{
    struct weir_endpoint local = ep(addr, port);
    return weir_sock_bind(stack0(), sock, &local);
}

static uint16_t port_of(weir_sock sock)
{
    struct weir_endpoint local;
    assert_int_equal(weir_sock_getsockname(stack0(), sock, &local), 0);
    return local.port;
}

static void close_sock(weir_sock sock)
{
    assert_int_equal(weir_sock_close(stack0(), sock, sim.now), 0);
}

/* ---- conflicts ------------------------------------------------------------------------------- */

/* One pair of sockets: may the second bind where the first is, and then listen? */
static void check_pair(bool listening, const char *first, const char *second, unsigned options1,
                       unsigned options2, bool allowed)
{
    weir_sock one = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, options1);
    weir_sock two = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, options2);
    assert_int_equal(try_bind(one, first, 0), 0);
    uint16_t port = port_of(one);
    if (listening)
        assert_int_equal(weir_sock_listen(stack0(), one, 1, sim.now), 0);
    int error = try_bind(two, second, port);
    if (error != (allowed ? 0 : WEIR_EADDRINUSE))
        fail_msg("listening %d, %s with %u, then %s with %u: %d", listening, first, options1,
                 second, options2, error);
    if (allowed)
        assert_int_equal(weir_sock_listen(stack0(), two, 1, sim.now), 0);
    close_sock(one);
    close_sock(two);
}

/* Linux (observed): every pair of options, before and after listen. */
static void
LNX_BIND_01_LNX_BIND_02_LNX_BIND_03_LNX_BIND_04_LNX_BIND_05_LNX_BIND_08_LNX_BIND_09_conflicts(
    void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"127.0.0.1", "127.0.0.1"},
                                           {"0.0.0.0", "127.0.0.1"},
                                           {"127.0.0.1", "0.0.0.0"},
                                           {"127.0.0.1", "127.0.0.2"}};
    for (int listening = 0; listening < 2; listening++)
        for (unsigned i = 0; i < 4; i++)
            for (unsigned o1 = 0; o1 < 4; o1++)
                for (unsigned o2 = 0; o2 < 4; o2++) {
                    bool both_ra = (o1 & o2 & RA) != 0, both_rp = (o1 & o2 & RP) != 0;
                    bool allowed = i == 3 || both_rp || (both_ra && !listening);
                    check_pair(listening, pairs[i][0], pairs[i][1], o1, o2, allowed);
                }
}

/* socket(7): all that share an address must have set SO_REUSEPORT, whatever else they set. (There are no
 * users here that could differ.) */
static void LNX_BIND_09_reuseport_on_one_side(void **state)
{
    (void)state;
    for (int listening = 0; listening < 2; listening++) {
        check_pair(listening, "0.0.0.0", "0.0.0.0", RP, 0, false);
        check_pair(listening, "0.0.0.0", "0.0.0.0", 0, RP, false);
        check_pair(listening, "0.0.0.0", "127.0.0.1", RP, RA, false);
        check_pair(listening, "127.0.0.1", "0.0.0.0", RA, RP, false);
        check_pair(listening, "0.0.0.0", "0.0.0.0", RP, RP, true);
    }
}

/* Linux (source): SYNs are spread over listeners with SO_REUSEPORT by a hash of the 4-tuple. */
static void LNX_BIND_08_reuseport_spreads(void **state)
{
    (void)state;
    enum { LISTENERS = 4, CONNS = 400 };
    struct weir_stack *client = sim.host[1].stack;
    struct weir_endpoint at = sim_endpoint(0, 1, WEIR_AF_INET, 8080);
    weir_sock listener[LISTENERS], child;
    unsigned got[LISTENERS] = {0}, sum = 0;
    for (unsigned i = 0; i < LISTENERS; i++) {
        listener[i] = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, RP);
        assert_int_equal(try_bind(listener[i], "0.0.0.0", 8080), 0);
        assert_int_equal(weir_sock_listen(stack0(), listener[i], CONNS, sim.now), 0);
    }
    for (unsigned i = 0; i < CONNS; i++) {
        weir_sock sock = sim_socket(&sim, 1, WEIR_AF_INET, WEIR_SOCK_STREAM);
        assert_int_equal(weir_sock_connect(client, sock, &at, sim.now), WEIR_EINPROGRESS);
        sim_run(&sim, WEIR_MS);
    }
    for (unsigned i = 0; i < LISTENERS; i++) {
        while (weir_sock_accept(stack0(), listener[i], &child, NULL, sim.now) == 0)
            got[i]++;
        assert_in_range(got[i], CONNS / LISTENERS / 2, CONNS / LISTENERS * 2);
        sum += got[i];
    }
    assert_int_equal(sum, CONNS);
}

/* Linux (observed): two may be bound, one may listen. */
static void LNX_BIND_10_second_listen(void **state)
{
    (void)state;
    weir_sock one = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, RA);
    weir_sock two = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, RA);
    assert_int_equal(try_bind(one, "127.0.0.1", 8080), 0);
    assert_int_equal(try_bind(two, "0.0.0.0", 8080), 0);
    assert_int_equal(weir_sock_listen(stack0(), one, 1, sim.now), 0);
    assert_int_equal(weir_sock_listen(stack0(), two, 1, sim.now), WEIR_EADDRINUSE);
    close_sock(one);
    assert_int_equal(weir_sock_listen(stack0(), two, 1, sim.now), 0);
    close_sock(two);
}

/* Linux (observed): bound or connected sockets cannot be bound again. */
static void LNX_BIND_11_double_bind(void **state)
{
    (void)state;
    weir_sock sock = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, NONE);
    assert_int_equal(try_bind(sock, "127.0.0.1", 0), 0);
    assert_int_equal(try_bind(sock, "127.0.0.1", 0), WEIR_EINVAL);
    assert_int_equal(weir_sock_listen(stack0(), sock, 1, sim.now), 0);
    assert_int_equal(try_bind(sock, "127.0.0.1", 0), WEIR_EINVAL);
    close_sock(sock);

    weir_sock client, server;
    sim_connected(&sim, WEIR_AF_INET, 80, &client, &server);
    assert_int_equal(try_bind(client, "127.0.0.1", 0), WEIR_EINVAL);
}

/* Linux (observed: 8.8.8.8; source: the rest). */
static void LNX_BIND_12_bad_address(void **state)
{
    (void)state;
    weir_sock four = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, NONE);
    weir_sock six = with_options(WEIR_AF_INET6, WEIR_SOCK_STREAM, NONE);
    assert_int_equal(try_bind(four, "8.8.8.8", 0), WEIR_EADDRNOTAVAIL);
    assert_int_equal(try_bind(four, "::1", 0), WEIR_EAFNOSUPPORT);
    assert_int_equal(try_bind(six, "2001:db8::1", 0), WEIR_EADDRNOTAVAIL);
    assert_int_equal(try_bind(six, "8.8.8.8", 0), WEIR_EADDRNOTAVAIL);
    assert_int_equal(try_bind(six, "ff02::1", 0), WEIR_EINVAL);
    assert_int_equal(sim_setopt(&sim, 0, six, WEIR_SOL_IPV6, WEIR_IPV6_V6ONLY, 1), 0);
    assert_int_equal(try_bind(six, "127.0.0.1", 0), WEIR_EINVAL);
    assert_int_equal(try_bind(four, "10.0.0.1", 0), 0);
    assert_int_equal(try_bind(six, "fd00::1", 0), 0);
}

/* ---- dual stack ------------------------------------------------------------------------------ */

static int bind_v6(const char *addr, uint16_t port, int v6only, weir_sock *sock)
{
    *sock = with_options(WEIR_AF_INET6, WEIR_SOCK_STREAM, NONE);
    assert_int_equal(sim_setopt(&sim, 0, *sock, WEIR_SOL_IPV6, WEIR_IPV6_V6ONLY, v6only), 0);
    return try_bind(*sock, addr, port);
}

/* Linux (observed: [::] against 0.0.0.0; source: the rest). */
static void LNX_BIND_15_dual_stack(void **state)
{
    (void)state;
    weir_sock four = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, NONE), six;
    assert_int_equal(try_bind(four, "0.0.0.0", 8080), 0);
    assert_int_equal(bind_v6("::", 8080, 0, &six), WEIR_EADDRINUSE);
    close_sock(six);
    assert_int_equal(bind_v6("::", 8080, 1, &six), 0);
    close_sock(six);
    assert_int_equal(bind_v6("127.0.0.1", 8080, 0, &six), WEIR_EADDRINUSE);
    close_sock(six);
    assert_int_equal(bind_v6("::1", 8080, 0, &six), 0);
    close_sock(four);
    close_sock(six);

    assert_int_equal(bind_v6("::", 8080, 0, &six), 0);
    weir_sock other;
    assert_int_equal(bind_v6("::1", 8080, 1, &other), WEIR_EADDRINUSE);
    close_sock(other);
    four = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, NONE);
    assert_int_equal(try_bind(four, "10.0.0.1", 8080), WEIR_EADDRINUSE);
    close_sock(four);
    /* IPV6_V6ONLY cannot change under a binding. */
    assert_int_equal(sim_setopt(&sim, 0, six, WEIR_SOL_IPV6, WEIR_IPV6_V6ONLY, 1), WEIR_EINVAL);
}

/* ---- leftovers ------------------------------------------------------------------------------- */

/* A server on host 0 with one child, whose listener is then closed. */
static void serve_one(unsigned options, weir_sock *child, weir_sock *client)
{
    struct weir_endpoint at = sim_endpoint(0, 1, WEIR_AF_INET, 8080);
    weir_sock listener = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, options);
    assert_int_equal(try_bind(listener, "0.0.0.0", 8080), 0);
    assert_int_equal(weir_sock_listen(stack0(), listener, 1, sim.now), 0);
    *client = sim_socket(&sim, 1, WEIR_AF_INET, WEIR_SOCK_STREAM);
    assert_int_equal(weir_sock_connect(sim.host[1].stack, *client, &at, sim.now), WEIR_EINPROGRESS);
    sim_run(&sim, WEIR_SEC);
    assert_int_equal(weir_sock_accept(stack0(), listener, child, NULL, sim.now), 0);
    close_sock(listener);
}

static int rebind(const char *addr, unsigned options)
{
    weir_sock sock = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, options);
    int error = try_bind(sock, addr, 8080);
    if (error == 0)
        error = weir_sock_listen(stack0(), sock, 1, sim.now);
    close_sock(sock);
    return error;
}

/* Linux (observed): a server is started again while its old connection is in TIME-WAIT. */
static void LNX_BIND_06_time_wait_leftover(void **state)
{
    (void)state;
    for (unsigned old = NONE; old <= RA; old++) {
        weir_sock child, client;
        serve_one(old, &child, &client);
        close_sock(child);
        sim_run(&sim, 100 * WEIR_MS);
        assert_int_equal(weir_sock_close(sim.host[1].stack, client, sim.now), 0);
        sim_run(&sim, 100 * WEIR_MS);
        assert_int_equal(rebind("0.0.0.0", NONE), WEIR_EADDRINUSE);
        assert_int_equal(rebind("0.0.0.0", RA), old == RA ? 0 : WEIR_EADDRINUSE);
        assert_int_equal(rebind("127.0.0.1", NONE), 0); /* another address */
        sim_run(&sim, 61 * WEIR_SEC);
        assert_int_equal(rebind("0.0.0.0", NONE), 0);
    }
}

/* Linux (source): the same while the old connection lives. */
static void LNX_BIND_07_established_leftover(void **state)
{
    (void)state;
    for (unsigned old = NONE; old <= RP; old++) {
        weir_sock child, client;
        serve_one(old, &child, &client);
        assert_int_equal(rebind("0.0.0.0", NONE), WEIR_EADDRINUSE);
        assert_int_equal(rebind("0.0.0.0", RA), old == RA ? 0 : WEIR_EADDRINUSE);
        assert_int_equal(rebind("0.0.0.0", RP), old == RP ? 0 : WEIR_EADDRINUSE);
        assert_int_equal(weir_sock_abort(stack0(), child, sim.now), 0);
        close_sock(child);
        sim_run(&sim, WEIR_SEC);
        assert_int_equal(weir_sock_close(sim.host[1].stack, client, sim.now), 0);
        sim_run(&sim, WEIR_SEC);
        assert_int_equal(rebind("0.0.0.0", NONE), 0);
    }
}

/* ---- ports ----------------------------------------------------------------------------------- */

/* Linux (observed): 200 of 200 odd. */
static void LNX_BIND_13_odd_ports(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        weir_sock sock = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, NONE);
        assert_int_equal(try_bind(sock, "127.0.0.1", 0), 0);
        uint16_t port = port_of(sock);
        assert_int_equal(port & 1, 1);
        assert_in_range(port, 32768, 60999);
    }
}

/* Linux (source): EADDRINUSE when all are taken. */
static void LNX_BIND_13_exhaustion(void **state)
{
    (void)state;
    weir_sysctl_set(stack0(), "net.ipv4.ip_local_port_range.first", 40000);
    weir_sysctl_set(stack0(), "net.ipv4.ip_local_port_range.last", 40009);
    weir_sock first = 0;
    for (unsigned i = 0; i < 10; i++) {
        weir_sock sock = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, RA | RP);
        assert_int_equal(try_bind(sock, "0.0.0.0", 0), 0);
        assert_in_range(port_of(sock), 40000, 40009);
        first = first != 0 ? first : sock;
    }
    weir_sock sock = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, RA | RP);
    assert_int_equal(try_bind(sock, "0.0.0.0", 0), WEIR_EADDRINUSE);
    uint16_t freed = port_of(first);
    close_sock(first);
    assert_int_equal(try_bind(sock, "0.0.0.0", 0), 0);
    assert_int_equal(port_of(sock), freed);
    /* UDP has ports of its own. */
    weir_sock udp = with_options(WEIR_AF_INET, WEIR_SOCK_DGRAM, NONE);
    assert_int_equal(try_bind(udp, "0.0.0.0", freed), 0);
}

static weir_sock start_connect(const struct weir_endpoint *to)
{
    weir_sock sock = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
    int error = weir_sock_connect(stack0(), sock, to, sim.now);
    if (error == WEIR_EINPROGRESS)
        return sock;
    assert_int_equal(error, WEIR_EADDRNOTAVAIL);
    close_sock(sock);
    return 0;
}

/* Linux (observed): 200 of 200 even. */
static void LNX_BIND_14_connect_takes_even_ports(void **state)
{
    (void)state;
    struct weir_endpoint to = sim_endpoint(0, 2, WEIR_AF_INET, 80);
    uint16_t last = 0;
    unsigned successors = 0;
    for (unsigned i = 0; i < 200; i++) {
        weir_sock sock = start_connect(&to);
        uint16_t port = port_of(sock);
        assert_int_equal(port & 1, 0);
        successors += port == last + 2;
        last = port;
    }
    /* RFC 6056 3.3.4: to one destination they follow each other. */
    assert_true(successors > 150);
}

/* Linux (source): ports are shared by different destinations; EADDRNOTAVAIL when the 4-tuples of
 * one destination are used up. */
static void LNX_BIND_14_tuple_exhaustion(void **state)
{
    (void)state;
    struct weir_endpoint to = sim_endpoint(0, 2, WEIR_AF_INET, 80);
    weir_sysctl_set(stack0(), "net.ipv4.ip_local_port_range.first", 40000);
    weir_sysctl_set(stack0(), "net.ipv4.ip_local_port_range.last", 40019);
    for (unsigned destination = 0; destination < 3; destination++) {
        bool seen[20] = {false};
        for (unsigned i = 0; i < 20; i++) {
            uint16_t port = port_of(start_connect(&to));
            assert_false(seen[port - 40000]);
            seen[port - 40000] = true;
        }
        assert_int_equal(start_connect(&to), 0);
        to.port++;
    }
    /* A socket bound to such a port conflicts, as its address is that of the connections. */
    weir_sock sock = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, RA);
    assert_int_equal(try_bind(sock, "10.0.0.1", 40000), WEIR_EADDRINUSE);
}

/* First principles: ports that are drawn since those in order are taken are free ones, and all are found. */
static void a_crowded_range_is_used_up_to_the_last_port(void **state)
{
    enum { N = 2000 };
    static bool seen[N];
    (void)state;
    struct weir_endpoint to = sim_endpoint(0, 2, WEIR_AF_INET, 80);
    weir_sysctl_set(stack0(), "net.ipv4.ip_local_port_range.first", 40000);
    weir_sysctl_set(stack0(), "net.ipv4.ip_local_port_range.last", 40000 + N - 1);
    memset(seen, 0, sizeof seen);
    for (unsigned i = 0; i < N; i++) {
        uint16_t port = port_of(start_connect(&to));
        assert_in_range(port, 40000, 40000 + N - 1);
        assert_false(seen[port - 40000]);
        seen[port - 40000] = true;
    }
    assert_int_equal(start_connect(&to), 0);
}

/* First principles: who has taken all even ports in order finds most of the odd ones at the first try, which is the one
 * behind the last; so they follow each other again. */
static void behind_a_crowd_ports_follow_each_other(void **state)
{
    enum { N = 2000, MORE = 400 };
    (void)state;
    struct weir_endpoint to = sim_endpoint(0, 2, WEIR_AF_INET, 80);
    weir_sysctl_set(stack0(), "net.ipv4.ip_local_port_range.first", 40000);
    weir_sysctl_set(stack0(), "net.ipv4.ip_local_port_range.last", 40000 + N - 1);
    for (unsigned i = 0; i < N / 2; i++)
        assert_int_equal(port_of(start_connect(&to)) & 1, 0);
    uint16_t last = 0;
    unsigned successors = 0;
    for (unsigned i = 0; i < MORE; i++) {
        uint16_t port = port_of(start_connect(&to));
        assert_int_equal(port & 1, 1);
        successors += port == last + 2;
        last = port;
    }
    assert_true(successors >= MORE - 2); /* the first, and where the range ends */
}

/* RFC 6056 3.3.4, 3.1: what a destination sees tells it nothing of the ports to another. */
static void rfc6056_ports_of_destinations_are_unrelated(void **state)
{
    (void)state;
    unsigned near = 0;
    for (unsigned i = 0; i < 100; i++) {
        struct weir_endpoint to = sim_endpoint(0, 2, WEIR_AF_INET, (uint16_t)(1000 + i));
        uint16_t one = port_of(start_connect(&to));
        to.port = (uint16_t)(to.port + 1000);
        uint16_t two = port_of(start_connect(&to));
        int distance = one > two ? one - two : two - one;
        near += distance < 100;
    }
    /* By chance 100 * 2 * 100 / 28232, less than 1; 10 is out of reach. */
    assert_true(near < 10);
}

/* Linux (observed): listen without bind. */
static void LNX_ERR_15_listen_binds(void **state)
{
    (void)state;
    weir_sock sock = with_options(WEIR_AF_INET, WEIR_SOCK_STREAM, NONE);
    assert_int_equal(weir_sock_listen(stack0(), sock, 1, sim.now), 0);
    struct weir_endpoint local;
    assert_int_equal(weir_sock_getsockname(stack0(), sock, &local), 0);
    assert_true(weir_addr_is_any(&local.addr) && weir_addr_is_v4(&local.addr));
    assert_in_range(local.port, 32768, 60999);
}

/* ---- who holds a port: first principles ------------------------------------------------------ */

static void ports_held_are_counted_and_given_back(void **state)
{
    (void)state;
    struct weir_stack *stack = stack0();
    wr_alloc_trim(stack); /* blocks kept for the next */
    size_t before = weir_mem_bytes(stack);
    assert_true(wr_port_hold(stack, 80, WR_PORT_REUSEADDR));
    assert_true(wr_port_hold(stack, 80, WR_PORT_REUSEADDR | WR_PORT_REUSEPORT));
    assert_true(wr_port_hold(stack, 65535, 0));
    assert_int_equal(wr_port_holders(stack, 80, 0), 2);
    assert_int_equal(wr_port_holders(stack, 80, WR_PORT_REUSEADDR), 0);
    assert_int_equal(wr_port_holders(stack, 80, WR_PORT_REUSEPORT), 1);
    assert_int_equal(wr_port_holders(stack, 65535, WR_PORT_REUSEADDR), 1);
    assert_int_equal(wr_port_holders(stack, 81, 0), 0);
    wr_port_release(stack, 80, WR_PORT_REUSEADDR);
    wr_port_release(stack, 80, WR_PORT_REUSEADDR | WR_PORT_REUSEPORT);
    wr_port_release(stack, 65535, 0);
    assert_int_equal(wr_port_holders(stack, 80, 0), 0);
    wr_ports_trim(stack);
    wr_alloc_trim(stack);
    assert_int_equal(weir_mem_bytes(stack), before);
}

/* A counter that outgrows its byte takes its neighbours along. */
static void ports_held_by_many_are_counted(void **state)
{
    enum { MANY = 1000 };
    (void)state;
    struct weir_stack *stack = stack0();
    wr_alloc_trim(stack); /* blocks kept for the next */
    size_t before = weir_mem_bytes(stack);
    assert_true(wr_port_hold(stack, 81, WR_PORT_REUSEPORT));
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(wr_port_holders(stack, 80, 0), i);
        assert_int_equal(wr_port_holders(stack, 80, WR_PORT_REUSEADDR), (i + 1) / 2);
        assert_true(wr_port_hold(stack, 80, i % 2 == 0 ? 0 : WR_PORT_REUSEADDR));
    }
    assert_int_equal(wr_port_holders(stack, 81, 0), 1);
    assert_int_equal(wr_port_holders(stack, 81, WR_PORT_REUSEADDR), 1);
    assert_int_equal(wr_port_holders(stack, 81, WR_PORT_REUSEPORT), 0);
    for (unsigned i = 0; i < MANY; i++)
        wr_port_release(stack, 80, i % 2 == 0 ? 0 : WR_PORT_REUSEADDR);
    assert_int_equal(wr_port_holders(stack, 80, 0), 0);
    assert_int_equal(wr_port_holders(stack, 80, WR_PORT_REUSEADDR), 0);
    wr_port_release(stack, 81, WR_PORT_REUSEPORT);
    wr_ports_trim(stack);
    wr_alloc_trim(stack);
    assert_int_equal(weir_mem_bytes(stack), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(
            LNX_BIND_01_LNX_BIND_02_LNX_BIND_03_LNX_BIND_04_LNX_BIND_05_LNX_BIND_08_LNX_BIND_09_conflicts),
        TEST(LNX_BIND_09_reuseport_on_one_side),
        TEST(LNX_BIND_08_reuseport_spreads),
        TEST(LNX_BIND_06_time_wait_leftover),
        TEST(LNX_BIND_07_established_leftover),
        TEST(LNX_BIND_10_second_listen),
        TEST(LNX_BIND_11_double_bind),
        TEST(LNX_BIND_12_bad_address),
        TEST(LNX_BIND_13_odd_ports),
        TEST(LNX_BIND_13_exhaustion),
        TEST(LNX_BIND_14_connect_takes_even_ports),
        TEST(LNX_BIND_14_tuple_exhaustion),
        TEST(LNX_BIND_15_dual_stack),
        TEST(LNX_ERR_15_listen_binds),
        TEST(a_crowded_range_is_used_up_to_the_last_port),
        TEST(behind_a_crowd_ports_follow_each_other),
        TEST(rfc6056_ports_of_destinations_are_unrelated),
        TEST(ports_held_are_counted_and_given_back),
        TEST(ports_held_by_many_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
