/* SPDX-License-Identifier: MIT */
/*
 * Super-segments in software (weir_link_offload) are nobody's business but the host's that has them: on a wire that loses
 * nothing there are the very frames that TCP makes one by one, at the same times, and both ends count what was on the
 * wire. That streams arrive whole over bad wires is test_sim_streams' part.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/info.h>

#include "sim/sim.h"

enum { MOST = 400000, PORT = 80 };

struct talk {
    struct sim sim;
    weir_sock from, to;
    size_t sent, received;
};

static uint8_t data[MOST], got[MOST];

static struct weir_tcp_info info_of(struct talk *t, unsigned host, weir_sock sock)
{
    struct weir_tcp_info info;
    size_t len = sizeof info;
    assert_int_equal(weir_sock_getsockopt(t->sim.host[host].stack, sock, WEIR_SOL_TCP,
                                          WEIR_TCP_INFO, &info, &len, t->sim.now),
                     0);
    return info;
}

static uint64_t stat_of(struct talk *t, unsigned host, const char *name)
{
    for (unsigned i = 0; i < weir_stat_kinds(); i++)
        if (strcmp(weir_stat_name(i), name) == 0)
            return weir_stat_count(t->sim.host[host].stack, i);
    fail_msg("no counter %s", name);
    return 0;
}

static void begin(struct talk *t, uint64_t seed, const struct sim_wire *wire, int family)
{
    memset(t, 0, sizeof *t);
    sim_init(&t->sim, seed);
    sim_host(&t->sim, NULL);
    sim_host(&t->sim, NULL);
    sim_join(&t->sim, 0, 1, wire);
    sim_run(&t->sim, 5 * WEIR_SEC); /* addresses are made sure of */
    sim_connected(&t->sim, family, PORT, &t->from, &t->to);
}

static bool carry_on(struct sim *sim, void *arg)
{
    struct talk *t = arg;
    ptrdiff_t n;

    while (t->sent < MOST && (n = weir_sock_send(sim->host[0].stack, t->from, data + t->sent,
                                                 MOST - t->sent, 0, NULL, sim->now)) > 0)
        t->sent += (size_t)n;
    while ((n = weir_sock_recv(sim->host[1].stack, t->to, got + t->received, MOST - t->received, 0,
                               NULL, sim->now)) > 0)
        t->received += (size_t)n;
    return t->received == MOST;
}

/* Sends everything, and closes with the last bytes on their way. Returns the trace of the wire. */
static uint64_t transfer(struct talk *t)
{
    uint64_t trace;

    for (size_t i = 0; i < MOST; i++)
        data[i] = (uint8_t)(i * 167 >> 3);
    memset(got, 0, sizeof got);
    while (t->sent < MOST)
        sim_run_until(&t->sim, carry_on, t, WEIR_MS);
    assert_int_equal(weir_sock_shutdown(t->sim.host[0].stack, t->from, WEIR_SHUT_WR, t->sim.now),
                     0);
    assert_true(sim_run_until(&t->sim, carry_on, t, 100 * WEIR_SEC));
    assert_memory_equal(data, got, MOST);
    sim_run(&t->sim, WEIR_SEC);
    trace = t->sim.trace;
    return trace;
}

static uint64_t trace_of(uint64_t seed, struct sim_wire wire, int family)
{
    static struct talk t;
    begin(&t, seed, &wire, family);
    t.sim.pushless =
        true; /* it stands at the end of each super-segment, and else where Linux would end one */
    t.sim.trace = 0;
    uint64_t trace = transfer(&t);
    sim_free(&t.sim);
    return trace;
}

static void cut_super_segments_are_the_segments_that_tcp_makes(void **state)
{
    static const uint32_t mtus[] = {1280, 1500, 4001};
    (void)state;
    for (unsigned i = 0; i < 24; i++) {
        struct sim_wire wire = {.kind = i & 1 ? WEIR_NETIF_ETHERNET : WEIR_NETIF_IP,
                                .mtu = mtus[i / 8],
                                .csum_offload = (i & 4) != 0};
        int family = i & 2 ? WEIR_AF_INET6 : WEIR_AF_INET;
        uint64_t plain = trace_of(i, wire, family);
        wire.offload = 1;
        assert_true(plain == trace_of(i, wire, family));
        assert_true(plain != trace_of(i + 100, wire, family)); /* it can tell */
    }
}

/* Linux's gso_segs: an ACK stands for all that was joined, but every segment is counted. */
static void both_ends_count_what_was_on_the_wire(void **state)
{
    static struct talk t;
    uint64_t packets[2];
    (void)state;
    for (unsigned joined = 0; joined < 2; joined++) {
        struct sim_wire wire = {.kind = WEIR_NETIF_IP, .impaired = true};
        wire.impair.delay = 5 * WEIR_MS;
        wire.offload = joined ? 3 : 1;
        begin(&t, 7, &wire, WEIR_AF_INET);
        struct weir_tcp_info from = info_of(&t, 0, t.from), to = info_of(&t, 1, t.to);
        uint64_t before = t.sim.frames - from.tcpi_segs_out - to.tcpi_segs_out;
        uint32_t synack = from.tcpi_segs_in - to.tcpi_segs_out; /* has no connection yet */
        transfer(&t);
        from = info_of(&t, 0, t.from);
        to = info_of(&t, 1, t.to);
        assert_int_equal(from.tcpi_data_segs_out,
                         (MOST + from.tcpi_snd_mss - 1) / from.tcpi_snd_mss);
        assert_int_equal(to.tcpi_data_segs_in, from.tcpi_data_segs_out);
        assert_int_equal(to.tcpi_segs_in, from.tcpi_segs_out);
        assert_int_equal(from.tcpi_segs_in, to.tcpi_segs_out + synack);
        assert_int_equal(t.sim.frames - before, from.tcpi_segs_out + to.tcpi_segs_out);
        packets[joined] = stat_of(&t, 1, "IpInReceives");
        sim_free(&t.sim);
    }
    assert_true(packets[1] * 4 < packets[0]); /* they were joined */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_count_what_was_on_the_wire),
        cmocka_unit_test(cut_super_segments_are_the_segments_that_tcp_makes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
