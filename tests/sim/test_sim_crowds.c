/* SPDX-License-Identifier: MIT */
/*
 * Crowds that are due at one moment: no call may take long, however many wait. Not time is measured here but work: of
 * what one weir_advance() does it does at most WR_WORK_PER_CALL, and asks to be called again at once until all is
 * done. What is expected is from first principles: the same happens at the same virtual time as if one call did it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/core.h"
#include "sim/sim_pair.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"
#include "wire/w_csum.h"
#include "wire/w_ip4.h"
#include "wire/w_tcp.h"

enum { CROWD = 3000, SERVER_PORT = 80 };

static weir_sock client[CROWD], server[CROWD];

static struct weir_stack *stack_of(unsigned host)
{
    return sim.host[host].stack;
}

static void set(unsigned host, const char *name, int64_t value)
{
    assert_int_equal(weir_sysctl_set(stack_of(host), name, value), 0);
}

static void drop_events(void)
{
    struct weir_event event;
    for (unsigned host = 0; host < 2; host++)
        while (weir_next_event(stack_of(host), &event))
            continue;
}

/* All at the same moment. */
static void open_crowd(void)
{
    struct weir_endpoint at = sim_endpoint(0, 2, WEIR_AF_INET, SERVER_PORT);
    weir_sock listener = sim_listen(&sim, 1, &at, 100);
    weir_time began = sim.now;
    for (unsigned i = 0; i < CROWD; i++) {
        client[i] = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
        sim_setopt(&sim, 0, client[i], WEIR_SOL_TCP, WEIR_TCP_KEEPIDLE, 30);
        sim_setopt(&sim, 0, client[i], WEIR_SOL_TCP, WEIR_TCP_KEEPINTVL, 30);
        sim_setopt(&sim, 0, client[i], WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, 1);
        assert_int_equal(weir_sock_connect(stack_of(0), client[i], &at, sim.now), WEIR_EINPROGRESS);
        sim_settle(&sim);
        assert_int_equal(weir_sock_accept(stack_of(1), listener, &server[i], NULL, sim.now), 0);
    }
    drop_events();
    assert_true(sim.now == began);
}

static void close_crowd(void)
{
    for (unsigned i = 0; i < CROWD; i++) {
        assert_int_equal(weir_sock_close(stack_of(0), client[i], sim.now), 0);
        sim_settle(&sim);
        assert_int_equal(weir_sock_close(stack_of(1), server[i], sim.now), 0);
        sim_settle(&sim);
    }
}

/* Advances a host until nothing is due, and throws away what it sends. At no call does the number that `left` tells
 * change by more than the bound. Returns the calls that were needed. */
static unsigned advance_in_steps(unsigned host, uint64_t (*left)(void), uint64_t *changed)
{
    unsigned calls = 0;
    *changed = 0;
    while (weir_deadline(stack_of(host)) <= sim.now) {
        uint64_t before = left(), after;
        weir_advance(stack_of(host), sim.now);
        after = left();
        assert_in_range(before > after ? before - after : after - before, 0, WR_WORK_PER_CALL);
        *changed += before > after ? before - after : after - before;
        sim_discard(&sim, host);
        assert_true(++calls < 10 * CROWD);
    }
    return calls;
}

static uint64_t awake(unsigned host)
{
    return stack_of(host)->tcp->tcbs.count;
}

static uint64_t stat(unsigned host, enum wr_stat kind)
{
    return stack_of(host)->stats[kind];
}

/* ---- TIME-WAIT ---------------------------------------------------------------------------------- */

static uint64_t timewaits(void)
{
    return stack_of(0)->tcp->n_tws;
}

static void timewait_crowd_expires_in_steps(void **state)
{
    uint64_t expired;
    unsigned calls;
    (void)state;
    open_crowd();
    close_crowd();
    assert_int_equal(timewaits(), CROWD);
    sim_run(&sim, WR_TCP_TIMEWAIT - 10 * WEIR_MS);
    assert_int_equal(timewaits(), CROWD);
    sim.now += 20 * WEIR_MS;
    calls = advance_in_steps(0, timewaits, &expired);
    assert_int_equal(expired, CROWD);
    assert_int_equal(timewaits(), 0);
    assert_in_range(calls, CROWD / WR_WORK_PER_CALL, CROWD / WR_WORK_PER_CALL + 20);
    assert_int_equal(stack_of(0)->tcp->flows.count, 0);
}

/* The line goes on: what enters it later expires later, and timers behind the crowd are not forgotten. */
static void others_wait_behind_the_timewait_crowd(void **state)
{
    struct weir_endpoint at = sim_endpoint(0, 2, WEIR_AF_INET, 81);
    weir_sock lonely;
    uint64_t expired;
    (void)state;
    open_crowd();
    close_crowd();
    sim_run(&sim, WR_TCP_TIMEWAIT - 990 * WEIR_MS);
    weir_netif_set_up(stack_of(1), sim.host[1].port[0].ifindex, false, sim.now);
    lonely = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
    assert_int_equal(weir_sock_connect(stack_of(0), lonely, &at, sim.now), WEIR_EINPROGRESS);
    sim_run(&sim, 980 * WEIR_MS);
    assert_int_equal(timewaits(), CROWD);
    assert_int_equal(stat(0, WR_STAT_tcp_timeouts), 0);
    sim.now += 30 * WEIR_MS; /* its SYN goes again 1 s after it went */
    advance_in_steps(0, timewaits, &expired);
    assert_int_equal(expired, CROWD);
    assert_int_equal(stat(0, WR_STAT_tcp_timeouts), 1);
    assert_int_equal(weir_sock_close(stack_of(0), lonely, sim.now), 0);
}

/* ---- keepalive, rest ---------------------------------------------------------------------------- */

static uint64_t probes(void)
{
    return stat(0, WR_STAT_tcp_keepalives);
}

static uint64_t awake_clients(void)
{
    return awake(0);
}

static void crowd_comes_to_rest_in_steps(void **state)
{
    weir_time end;
    uint64_t changed, all = 0;
    (void)state;
    open_crowd();
    for (end = sim.now + 10 * WEIR_SEC; sim.now < end; sim.now = weir_deadline(stack_of(0))) {
        advance_in_steps(0, awake_clients, &changed);
        all += changed;
    }
    assert_int_equal(all, CROWD);
    assert_int_equal(awake(0), 0);
}

static void keepalive_of_a_crowd_goes_out_in_steps(void **state)
{
    weir_time due;
    uint64_t sent;
    unsigned calls;
    (void)state;
    open_crowd();
    due = sim.now + 30 * WEIR_SEC;
    sim_run(&sim, 29 * WEIR_SEC);
    assert_int_equal(awake(0) + awake(1), 0);
    assert_int_equal(probes(), 0);
    sim.now = due;
    calls = advance_in_steps(0, probes, &sent);
    assert_int_equal(sent, CROWD);
    assert_true(calls >=
                2 * CROWD /
                    WR_WORK_PER_CALL); /* each is woken by one timer and probes by another */
    assert_true(sim.now == due);
}

/* Rest: a probe and its answer wake both ends for that moment alone; the next probe is due when it was. */
static void keepalive_leaves_nobody_awake(void **state)
{
    struct weir_sock_row row;
    uint64_t cursor = 0;
    weir_time opened;
    (void)state;
    open_crowd();
    opened = sim.now;
    sim_run(&sim, 29 * WEIR_SEC);
    for (unsigned round = 1; round <= 3; round++) {
        sim_run(&sim, opened + round * 30 * WEIR_SEC - sim.now);
        assert_int_equal(probes(), round * CROWD);
        assert_int_equal(awake(0) + awake(1), 0);
    }
    while (weir_sock_next_row(stack_of(0), &cursor, &row)) {
        assert_int_equal(row.state, WEIR_TCP_ESTABLISHED);
        assert_int_equal(row.timer, WEIR_TIMER_KEEPALIVE);
    }
}

/* ---- SYN-RECEIVED ------------------------------------------------------------------------------- */

/* A SYN from a made-up client. */
static void deliver_syn(uint32_t n)
{
    uint8_t frame[W_IP4_HLEN + 20];
    struct weir_endpoint at = sim_endpoint(0, 2, WEIR_AF_INET, SERVER_PORT);
    struct w_ip4 ip = {.src = weir_addr_v4(0x0b000000 + n),
                       .dst = at.addr,
                       .total_len = sizeof frame,
                       .ttl = 64,
                       .proto = W_IPPROTO_TCP,
                       .hdr_len = W_IP4_HLEN};
    struct weir_frame in = {.data = frame, .len = sizeof frame};
    uint8_t *tcp = frame + W_IP4_HLEN;
    memset(frame, 0, sizeof frame);
    wr_w_ip4_emit(frame, &ip);
    put_be16(tcp, 1024);
    put_be16(tcp + 2, at.port);
    put_be32(tcp + 4, n * 77777);
    tcp[12] = 5 << 4;
    tcp[13] = W_TCP_SYN;
    put_be16(tcp + 14, 65535);
    put_be16(tcp + 16, wr_csum_finish(wr_csum_add(
                           wr_csum_pseudo(&ip.src, &ip.dst, W_IPPROTO_TCP, 20), tcp, 20)));
    weir_input(stack_of(1), sim.host[1].port[0].ifindex, &in, sim.now);
}

static uint64_t half_open(void)
{
    return stack_of(1)->tcp->n_syns;
}

static uint64_t synacks_again(void)
{
    return stat(1, WR_STAT_tcp_syn_retrans);
}

static void syn_crowd_is_asked_again_and_given_up_in_steps(void **state)
{
    struct weir_route route = {.prefix = weir_addr_any4(), .ifindex = sim.host[1].port[0].ifindex};
    struct weir_endpoint at = sim_endpoint(0, 2, WEIR_AF_INET, SERVER_PORT);
    size_t before;
    uint64_t again, gone;
#ifdef WEIR_HARD
    enum { MOST = 160 }; /* a chunk has one record */
#else
    enum { MOST = 96 };
#endif
    (void)state;
    assert_int_equal(weir_route_add(stack_of(1), &route), 0);
    set(1, "net.core.somaxconn", 4 * CROWD);
    set(1, "net.ipv4.tcp_max_syn_backlog", 4 * CROWD);
    set(1, "net.ipv4.tcp_synack_retries", 1);
    sim_listen(&sim, 1, &at, 4 * CROWD);
    before = weir_mem_bytes(stack_of(1));
    for (unsigned i = 0; i < CROWD; i++) {
        deliver_syn(i);
        assert_int_equal(sim_discard(&sim, 1), 1);
    }
    assert_int_equal(half_open(), CROWD);
    /* 72 bytes a record, 4 of its chain, and what chunks and pages leave over */
    assert_in_range(weir_mem_bytes(stack_of(1)) - before, CROWD * 76, CROWD * MOST);
    sim.now += WEIR_SEC;
    assert_true(advance_in_steps(1, synacks_again, &again) >= CROWD / WR_WORK_PER_CALL);
    assert_int_equal(again, CROWD);
    assert_int_equal(half_open(), CROWD);
    sim.now += 2 * WEIR_SEC;
    assert_true(advance_in_steps(1, half_open, &gone) >= CROWD / WR_WORK_PER_CALL);
    assert_int_equal(gone, CROWD);
}

/* ---- no more memory than allowed ------------------------------------------------------------------ */

static void holds_no_more_than_allowed(size_t most)
{
    assert_in_range(weir_mem_bytes(stack_of(1)), 0, most);
    assert_int_equal(weir_mem_bytes(stack_of(1)), sim.host[1].mem.bytes);
}

/* A server with room for a part of the crowd at rest, and for fewer that are awake. Those that it took it keeps, through
 * rounds of keepalive that wake them all. */
static void crowd_stays_within_mem_max_bytes(void **state)
{
    enum { MOST = 1 << 20 };
    struct weir_endpoint at = sim_endpoint(0, 2, WEIR_AF_INET, SERVER_PORT);
    struct weir_config config;
    weir_sock listener;
    unsigned taken = 0;
    (void)state;
    sim_init(&sim, 1);
    sim_host(&sim, NULL);
    weir_config_default(&config);
    config.mem_max_bytes = MOST;
    sim_host(&sim, &config);
    sim_join(&sim, 0, 1, NULL);
    listener = sim_listen(&sim, 1, &at, 100);
    for (unsigned i = 0; i < CROWD; i++) {
        weir_sock sock = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
        sim_setopt(&sim, 0, sock, WEIR_SOL_TCP, WEIR_TCP_KEEPIDLE, 30);
        sim_setopt(&sim, 0, sock, WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, 1);
        weir_sock_connect(stack_of(0), sock, &at, sim.now);
        sim_run(&sim, 10 * WEIR_MS);
        if (weir_sock_accept(stack_of(1), listener, &server[taken], NULL, sim.now) == 0)
            client[taken++] = sock;
        else
            weir_sock_abort(stack_of(0), sock, sim.now);
        holds_no_more_than_allowed(MOST);
        drop_events();
    }
    print_message("%u of %u connections in %u bytes\n", taken, CROWD, MOST);
    assert_in_range(taken, CROWD / 4, CROWD - 1);
    for (unsigned s = 0; s < 200; s++) {
        sim_run(&sim, WEIR_SEC);
        holds_no_more_than_allowed(MOST);
    }
    for (unsigned i = 0; i < taken; i++) {
        assert_int_equal(sim_state(&sim, 0, client[i]), WEIR_TCP_ESTABLISHED);
        assert_int_equal(weir_sock_ready(stack_of(1), server[i]), WEIR_POLLOUT);
    }
    sim_free(&sim);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(timewait_crowd_expires_in_steps),
        EACH(others_wait_behind_the_timewait_crowd),
        EACH(crowd_comes_to_rest_in_steps),
        EACH(keepalive_of_a_crowd_goes_out_in_steps),
        EACH(keepalive_leaves_nobody_awake),
        EACH(syn_crowd_is_asked_again_and_given_up_in_steps),
        cmocka_unit_test(crowd_stays_within_mem_max_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
