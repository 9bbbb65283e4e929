/* SPDX-License-Identifier: MIT */
/*
 * What happens at the limits: no memory, no ports, more SYNs than anybody can mean, ten thousand
 * connections. Nothing may crash, nothing may be kept, and what was promised as a bound is one.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/info.h>

#include "core/core.h"
#include "sim/sim.h"
#include "wire/w_csum.h"
#include "wire/w_ip4.h"
#include "wire/w_tcp.h"

static struct sim sim;

static struct weir_stack *stack_of(unsigned host)
{
    return sim.host[host].stack;
}

static bool is_forgotten(struct sim *s, void *arg)
{
    struct weir_sock_row row;
    (void)arg;
    for (unsigned host = 0; host < s->n_hosts; host++) {
        uint64_t cursor = 0;
        while (s->host[host].stack != NULL &&
               weir_sock_next_row(s->host[host].stack, &cursor, &row))
            if (row.state != WEIR_TCP_LISTEN)
                return false;
    }
    return true;
}

/* ---- no memory ------------------------------------------------------------------------------- */

/* What a run with failing allocations has reached. */
struct attempt {
    weir_sock listener, client, server;
    char data[20000], got[20000];
    size_t sent, received;
};

static struct weir_endpoint server_at(void)
{
    return sim_endpoint(0, 2, WEIR_AF_INET, 80);
}

/* Every error is allowed here but those that no memory can cause; the run goes as far as it can. */
static void try_setup(struct attempt *a)
{
    struct weir_endpoint at = server_at();
    if (weir_sock_open(stack_of(1), WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &a->listener) != 0)
        return;
    if (weir_sock_bind(stack_of(1), a->listener, &at) != 0)
        return;
    if (weir_sock_listen(stack_of(1), a->listener, 5, sim.now) != 0)
        return;
    if (weir_sock_open(stack_of(0), WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &a->client) != 0)
        return;
    weir_sock_connect(stack_of(0), a->client, &at, sim.now);
}

static void try_transfer(struct attempt *a)
{
    for (unsigned round = 0; round < 40; round++) {
        sim_run(&sim, 500 * WEIR_MS);
        if (a->server == 0 && a->listener != 0)
            weir_sock_accept(stack_of(1), a->listener, &a->server, NULL, sim.now);
        if (a->client != 0 && a->sent < sizeof a->data) {
            ptrdiff_t n = weir_sock_send(stack_of(0), a->client, a->data + a->sent,
                                         sizeof a->data - a->sent, 0, NULL, sim.now);
            a->sent += n > 0 ? (size_t)n : 0;
        }
        if (a->server != 0) {
            ptrdiff_t n = weir_sock_recv(stack_of(1), a->server, a->got + a->received,
                                         sizeof a->got - a->received, 0, NULL, sim.now);
            a->received += n > 0 ? (size_t)n : 0;
        }
    }
    assert_true(a->received <= a->sent);
    assert_memory_equal(a->got, a->data, a->received);
}

static void close_all(struct attempt *a)
{
    if (a->client != 0)
        assert_int_equal(weir_sock_close(stack_of(0), a->client, sim.now), 0);
    if (a->server != 0)
        assert_int_equal(weir_sock_close(stack_of(1), a->server, sim.now), 0);
    if (a->listener != 0)
        assert_int_equal(weir_sock_close(stack_of(1), a->listener, sim.now), 0);
}

/* Fails allocation `n` of `host`, counted from the making of its interface on. False: there was
 * none. */
static bool run_failing(unsigned host, uint64_t n, const struct sim_wire *wire)
{
    static struct attempt a;
    memset(&a, 0, sizeof a);
    for (size_t i = 0; i < sizeof a.data; i++)
        a.data[i] = (char)(i * 31 >> 3);
    sim_init(&sim, 1);
    sim_host(&sim, NULL);
    sim_host(&sim, NULL);
    struct sim_mem *mem = &sim.host[host].mem;
    mem->fail_at = mem->calls + n;
    sim_join(&sim, 0, 1, wire);
    try_setup(&a);
    try_transfer(&a);
    bool failed = mem->fails != 0;
    /* One allocation failed once: all that may suffer from it is the call that needed it. */
    if (a.server != 0 && a.sent == sizeof a.data)
        assert_int_equal(a.received, sizeof a.got);
    if (!failed)
        assert_int_equal(a.received, sizeof a.got);
    close_all(&a);
    assert_true(sim_run_until(&sim, is_forgotten, NULL, 400 * WEIR_SEC));
    sim_free(&sim);
    return failed;
}

/* Hostile 45: each allocation of connect, transfer and close fails in turn, on either side. */
static void sweep(const struct sim_wire *wire)
{
    for (unsigned host = 0; host < 2; host++) {
        uint64_t n = 1;
        while (run_failing(host, n, wire))
            n++;
        assert_true(n > 8);
    }
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    sweep(NULL);
}

static void each_allocation_fails_once_on_a_bad_wire(void **state)
{
    (void)state;
    static const struct sim_wire wire = {
        .kind = WEIR_NETIF_ETHERNET,
        .impaired = true,
        .impair = {.delay = 5 * WEIR_MS, .loss = 0.1, .reorder = 0.2, .duplicate = 0.1},
    };
    sweep(&wire);
}

/* The bound of a whole stack's memory: transfers stall, and go on when there is memory again. */
static void a_full_stack_recovers(void **state)
{
    (void)state;
    enum { CONNS = 50 };
    static uint8_t data[100000];
    struct weir_config config;
    weir_config_default(&config);
    config.mem_max_bytes = 1000000;
    sim_init(&sim, 1);
    sim_host(&sim, NULL);
    sim_host(&sim, &config);
    sim_join(&sim, 0, 1, NULL);
    struct weir_endpoint at = server_at();
    weir_sock listener = sim_listen(&sim, 1, &at, CONNS), client[CONNS], server[CONNS];
    for (unsigned i = 0; i < CONNS; i++) {
        client[i] = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
        weir_sock_connect(stack_of(0), client[i], &at, sim.now);
    }
    sim_run(&sim, WEIR_SEC);
    for (unsigned i = 0; i < CONNS; i++)
        assert_int_equal(weir_sock_accept(stack_of(1), listener, &server[i], NULL, sim.now), 0);
    size_t sent[CONNS], got = 0, total = 0;
    for (unsigned i = 0; i < CONNS; i++) {
        ptrdiff_t n = weir_sock_send(stack_of(0), client[i], data, sizeof data, 0, NULL, sim.now);
        assert_true(n > 0);
        sent[i] = (size_t)n;
        total += sent[i];
    }
    sim_run(&sim, 30 * WEIR_SEC);
    assert_true(weir_mem_bytes(stack_of(1)) <= config.mem_max_bytes);
    for (unsigned round = 0; round < 1000 && got < total; round++) {
        for (unsigned i = 0; i < CONNS; i++) {
            ptrdiff_t n =
                weir_sock_recv(stack_of(1), server[i], data, sizeof data, 0, NULL, sim.now);
            assert_true(n > 0 || n == WEIR_EAGAIN);
            got += n > 0 ? (size_t)n : 0;
        }
        sim_run(&sim, WEIR_SEC);
    }
    assert_int_equal(got, total);
    for (unsigned i = 0; i < CONNS; i++) {
        weir_sock_close(stack_of(0), client[i], sim.now);
        weir_sock_close(stack_of(1), server[i], sim.now);
    }
    assert_true(sim_run_until(&sim, is_forgotten, NULL, 400 * WEIR_SEC));
    sim_free(&sim);
}

/* ---- no ports -------------------------------------------------------------------------------- */

static void set(unsigned host, const char *name, int64_t value)
{
    assert_int_equal(weir_sysctl_set(stack_of(host), name, value), 0);
}

/* One connection, opened and closed by the client, which so gets the TIME-WAIT record. */
static int open_and_close(weir_sock listener, uint16_t *port)
{
    struct weir_endpoint at = server_at(), local;
    weir_sock client = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM), server;
    int error = weir_sock_connect(stack_of(0), client, &at, sim.now);
    if (error != WEIR_EINPROGRESS) {
        weir_sock_close(stack_of(0), client, sim.now);
        return error;
    }
    weir_sock_getsockname(stack_of(0), client, &local);
    *port = local.port;
    sim_run(&sim, WEIR_MS);
    assert_int_equal(weir_sock_accept(stack_of(1), listener, &server, NULL, sim.now), 0);
    assert_int_equal(weir_sock_close(stack_of(0), client, sim.now), 0);
    sim_run(&sim, WEIR_MS);
    assert_int_equal(weir_sock_close(stack_of(1), server, sim.now), 0);
    sim_run(&sim, WEIR_MS);
    return 0;
}

/* LNX-BIND-14, RFC 9293 3.4.1: a port in TIME-WAIT is not used again before its time, unless
 * tcp_tw_reuse lets it after a second, when timestamps tell old from new. */
static void LNX_BIND_14_ports_in_time_wait_run_out(void **state)
{
    (void)state;
    for (int reuse = 0; reuse < 2; reuse++) {
        sim_init(&sim, 1);
        sim_host(&sim, NULL);
        sim_host(&sim, NULL);
        sim_join(&sim, 0, 1, NULL);
        set(0, "net.ipv4.ip_local_port_range.first", 40000);
        set(0, "net.ipv4.ip_local_port_range.last", 40019);
        set(0, "net.ipv4.tcp_tw_reuse", reuse);
        struct weir_endpoint at = server_at();
        weir_sock listener = sim_listen(&sim, 1, &at, 5);
        bool used[20] = {false};
        uint16_t port = 0;
        for (unsigned i = 0; i < 20; i++) {
            assert_int_equal(open_and_close(listener, &port), 0);
            assert_false(used[port - 40000]);
            used[port - 40000] = true;
        }
        assert_int_equal(open_and_close(listener, &port), WEIR_EADDRNOTAVAIL);
        sim_run(&sim, 2 * WEIR_SEC);
        assert_int_equal(open_and_close(listener, &port), reuse == 0 ? WEIR_EADDRNOTAVAIL : 0);
        sim_run(&sim, 60 * WEIR_SEC);
        assert_int_equal(open_and_close(listener, &port), 0);
        sim_free(&sim);
    }
}

/* LNX-SYSCTL, hostile 43: no more TIME-WAIT records than tcp_max_tw_buckets. */
static void time_wait_records_are_bounded(void **state)
{
    (void)state;
    sim_init(&sim, 1);
    sim_host(&sim, NULL);
    sim_host(&sim, NULL);
    sim_join(&sim, 0, 1, NULL);
    set(0, "net.ipv4.tcp_max_tw_buckets", 10);
    struct weir_endpoint at = server_at();
    weir_sock listener = sim_listen(&sim, 1, &at, 5);
    uint16_t port;
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(open_and_close(listener, &port), 0);
    struct weir_sock_row row;
    uint64_t cursor = 0;
    unsigned n = 0;
    while (weir_sock_next_row(stack_of(0), &cursor, &row))
        n += row.state == WEIR_TCP_TIME_WAIT;
    assert_int_equal(n, 10);
    sim_free(&sim);
}

/* ---- a flood of SYNs ------------------------------------------------------------------------- */

/* A SYN from a made-up client. */
static size_t make_syn(uint8_t *frame, uint32_t source, uint16_t port, uint32_t seq)
{
    struct weir_endpoint at = server_at();
    struct w_ip4 ip = {.src = weir_addr_v4(source),
                       .dst = at.addr,
                       .total_len = W_IP4_HLEN + 24,
                       .ttl = 64,
                       .proto = W_IPPROTO_TCP,
                       .hdr_len = W_IP4_HLEN};
    wr_w_ip4_emit(frame, &ip);
    uint8_t *tcp = frame + W_IP4_HLEN;
    memset(tcp, 0, 24);
    put_be16(tcp, port);
    put_be16(tcp + 2, at.port);
    put_be32(tcp + 4, seq);
    tcp[12] = 6 << 4;
    tcp[13] = 2; /* SYN */
    put_be16(tcp + 14, 65535);
    tcp[20] = 2; /* MSS 1460 */
    tcp[21] = 4;
    put_be16(tcp + 22, 1460);
    uint64_t sum = wr_csum_pseudo(&ip.src, &ip.dst, W_IPPROTO_TCP, 24);
    put_be16(tcp + 16, wr_csum_finish(wr_csum_add(sum, tcp, 24)));
    return W_IP4_HLEN + 24;
}

/* Hostile 42: 100,000 SYNs from as many clients take bounded memory, and none is left of it when
 * the flood is over. */
static void syn_flood_is_bounded(void **state)
{
    (void)state;
    sim_init(&sim, 1);
    sim_host(&sim, NULL);
    sim_host(&sim, NULL);
    sim_join(&sim, 0, 1, NULL);
    set(1, "net.ipv4.tcp_max_syn_backlog", 256);
    struct weir_route route = {.prefix = weir_addr_any4(), .ifindex = sim.host[1].port[0].ifindex};
    assert_int_equal(weir_route_add(stack_of(1), &route), 0);
    struct weir_endpoint at = server_at();
    sim_listen(&sim, 1, &at, 100);
    size_t before = weir_mem_bytes(stack_of(1)), most = 0;
    uint8_t frame[64];
    for (unsigned i = 0; i < 100000; i++) {
        size_t len = make_syn(frame, 0x0b000000 + i, (uint16_t)(1024 + i % 60000), i * 77777);
        struct weir_frame in = {.data = frame, .len = len};
        sim.now += 10 * WEIR_US;
        weir_input(stack_of(1), sim.host[1].port[0].ifindex, &in, sim.now);
        if (weir_deadline(stack_of(1)) <= sim.now)
            weir_advance(stack_of(1), sim.now);
        if (i % 16 == 0)
            sim_discard(&sim, 1);
        size_t now = weir_mem_bytes(stack_of(1));
        most = now > most ? now : most;
    }
    sim_discard(&sim, 1);
    assert_true(most - before < 256 * 1024);
    /* SYN-ACKs are given up after tcp_synack_retries: 1 + 2 + 4 ... + 32 s. */
    for (unsigned s = 0; s < 70; s++) {
        sim.now += WEIR_SEC;
        weir_advance(stack_of(1), sim.now);
        sim_discard(&sim, 1);
    }
    struct weir_sock_row row;
    uint64_t cursor = 0;
    while (weir_sock_next_row(stack_of(1), &cursor, &row))
        assert_int_equal(row.state, WEIR_TCP_LISTEN);
    sim_free(&sim);
}

/* ---- many ------------------------------------------------------------------------------------ */

/* Ten thousand connections at once between two hosts: each carries its own bytes, and an idle one
 * holds no buffer. */
static void ten_thousand_connections(void **state)
{
    (void)state;
    enum { CONNS = 10000 };
    static weir_sock client[CONNS], server[CONNS];
    static uint16_t client_port[65536];
    sim_init(&sim, 1);
    sim_host(&sim, NULL);
    sim_host(&sim, NULL);
    sim_join(&sim, 0, 1, NULL);
    struct weir_endpoint at = server_at(), peer;
    set(1, "net.core.somaxconn", CONNS);
    set(1, "net.ipv4.tcp_max_syn_backlog", CONNS);
    weir_sock listener = sim_listen(&sim, 1, &at, CONNS);
    size_t before = weir_mem_bytes(stack_of(1));
    for (unsigned i = 0; i < CONNS; i++) {
        client[i] = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
        assert_int_equal(weir_sock_connect(stack_of(0), client[i], &at, sim.now), WEIR_EINPROGRESS);
        struct weir_endpoint local;
        weir_sock_getsockname(stack_of(0), client[i], &local);
        client_port[local.port] = (uint16_t)i;
        if (i % 100 == 0)
            sim_run(&sim, WEIR_MS);
    }
    sim_run(&sim, 5 * WEIR_SEC);
    for (unsigned i = 0; i < CONNS; i++) {
        weir_sock sock;
        assert_int_equal(weir_sock_accept(stack_of(1), listener, &sock, &peer, sim.now), 0);
        server[client_port[peer.port]] = sock;
    }
    size_t each = (weir_mem_bytes(stack_of(1)) - before) / CONNS;
    assert_true(each < 1500); /* no buffers */
    for (unsigned i = 0; i < CONNS; i++)
        assert_int_equal(weir_sock_send(stack_of(0), client[i], &i, sizeof i, 0, NULL, sim.now),
                         sizeof i);
    sim_run(&sim, WEIR_SEC);
    for (unsigned i = 0; i < CONNS; i++) {
        unsigned got = 0;
        assert_int_equal(weir_sock_recv(stack_of(1), server[i], &got, sizeof got, 0, NULL, sim.now),
                         sizeof got);
        assert_int_equal(got, i);
        assert_int_equal(weir_sock_close(stack_of(1), server[i], sim.now), 0);
        assert_int_equal(weir_sock_close(stack_of(0), client[i], sim.now), 0);
    }
    assert_true(sim_run_until(&sim, is_forgotten, NULL, 400 * WEIR_SEC));
    sim_free(&sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_fails_once),
        cmocka_unit_test(each_allocation_fails_once_on_a_bad_wire),
        cmocka_unit_test(a_full_stack_recovers),
        cmocka_unit_test(LNX_BIND_14_ports_in_time_wait_run_out),
        cmocka_unit_test(time_wait_records_are_bounded),
        cmocka_unit_test(syn_flood_is_bounded),
        cmocka_unit_test(ten_thousand_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
