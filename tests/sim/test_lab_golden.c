/* SPDX-License-Identifier: MIT */
/*
 * Golden tables.
 *
 * Nodes: what came out of each kind of node, and when, as a hash. It is the same on every machine and
 * for ever; one that changes means that the laboratory itself has changed, and old runs cannot be
 * repeated.
 *
 * TCP: what flows reached when the row was written. TCP is free to change: goodput may not fall by
 * more than an eighth, nor retransmissions double or time-outs more than double; a change of luck alone
 * does not reach that. Write a row anew when it has improved; the test prints all rows as they are now.
 */
#include "sim/lab_bench.h"

#include <inttypes.h>
#include <stdio.h>

#include "lab/lab.h"
#include "lab/lab_flow.h"
#include "lab/lab_queue.h"

/* ---- nodes --------------------------------------------------------------------------------------- */

static struct lab_net net;

static uint64_t hash_of(size_t n)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ bench_out[i].number) * UINT64_C(0x100000001b3);
        hash = (hash ^ (uint64_t)bench_out[i].at) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* 5000 packets of 1000 bytes at random times, a millisecond apart on average, through the node. */
static uint64_t run_node(struct lab_node *node, struct sink *sink)
{
    struct wr_rng rng;
    weir_time at = 0;
    assert_non_null(node);
    node->next = &sink->node;
    wr_rng_init_u64(&rng, 5);
    for (uint32_t i = 0; i < 5000; i++) {
        at += wr_lab_exponential(&rng, WEIR_MS);
        bench_put(&net, node, i, 1000, at);
    }
    bench_finish(&net);
    uint64_t hash = hash_of(sink->n);
    wr_lab_net_fini(&net);
    return hash;
}

static void check(const char *what, uint64_t is, uint64_t golden)
{
    if (is != golden)
        fail_msg("%s: %016" PRIx64 ", golden %016" PRIx64, what, is, golden);
}

static struct sink *start(void)
{
    wr_lab_net_init(&net, 42, BENCH_BYTES);
    return bench_sink(&net);
}

static void delays_are_golden(void **state)
{
    static const struct {
        struct lab_delay_config config;
        uint64_t golden;
    } rows[] = {
        {{.delay = 20 * WEIR_MS}, UINT64_C(0xf0c862a96dfbc504)},
        {{.delay = 20 * WEIR_MS, .jitter = 5 * WEIR_MS}, UINT64_C(0x6000884e9d28b34d)},
        {{.delay = 20 * WEIR_MS, .jitter = 5 * WEIR_MS, .jitter_reorders = true},
         UINT64_C(0x5d2ae5430565a801)},
        {{.reorder = LAB_ONE / 20, .reorder_delay = 3 * WEIR_MS}, UINT64_C(0xd6108f1bb88c2bf0)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sink *sink = start();
        char name[32];
        snprintf(name, sizeof name, "delay %zu", i);
        check(name, run_node(wr_lab_delay_new(&net, "d", &rows[i].config), sink), rows[i].golden);
    }
}

static void losses_are_golden(void **state)
{
    static const struct {
        struct lab_loss_config config;
        uint64_t golden;
    } rows[] = {
        {{.loss = LAB_ONE / 100}, UINT64_C(0xcd4ea9632eb337c0)},
        {{.to_bad = LAB_ONE / 100, .to_good = LAB_ONE / 4, .loss_in_bad = LAB_ONE / 2},
         UINT64_C(0xd61bcf7524a7b4de)},
        {{.every = 17}, UINT64_C(0x6c55c4ab9ce2882f)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sink *sink = start();
        char name[32];
        snprintf(name, sizeof name, "loss %zu", i);
        check(name, run_node(wr_lab_loss_new(&net, "l", &rows[i].config), sink), rows[i].golden);
    }
}

static void queues_are_golden(void **state)
{
    static const struct {
        struct lab_queue_config config;
        uint64_t golden;
    } rows[] = {
        {{.rate_bps = 7000000, .limit_packets = 20}, UINT64_C(0x4581933783c1d6ee)},
        {{.kind = LAB_RED,
          .rate_bps = 7000000,
          .limit_packets = 100,
          .red = {.min_packets = 5, .max_packets = 15, .max_p = LAB_ONE / 10, .weight_log2 = 6}},
         UINT64_C(0x84e791cb66d63c0e)},
        {{.kind = LAB_CODEL,
          .rate_bps = 7000000,
          .limit_packets = 1000,
          .codel = {.target = 5 * WEIR_MS, .interval = 100 * WEIR_MS, .mtu = 1500}},
         UINT64_C(0xb8772f3e16ba308e)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sink *sink = start();
        char name[32];
        snprintf(name, sizeof name, "queue %zu", i);
        check(name, run_node(wr_lab_link_new(&net, "k", &rows[i].config), sink), rows[i].golden);
    }
}

static void policers_are_golden(void **state)
{
    struct lab_policer_config config = {.rate_bps = 6000000, .burst_bytes = 10000};
    struct sink *sink = start();
    (void)state;
    check("policer", run_node(wr_lab_policer_new(&net, "p", &config), sink),
          UINT64_C(0xbca1181eda8fb1e1));
}

/* ---- TCP ----------------------------------------------------------------------------------------- */

struct golden {
    const char *words;
    uint64_t goodput_kbps; /* steady, all flows */
    uint64_t retransmits;
    uint64_t rtos;
};

static const struct golden table[] = {
    {"rate=10mbit rtt=50ms queue=1bdp cc=reno time=20s warmup=5s", 9638, 97, 0},
    {"rate=10mbit rtt=50ms queue=1bdp cc=cubic time=20s warmup=5s", 9653, 104, 0},
    {"rate=10mbit rtt=50ms queue=1bdp cc=reno,cubic flows=4 time=20s warmup=5s", 9651, 211, 0},
    {"rate=10mbit rtt=50ms aqm=codel cc=cubic flows=2 time=20s warmup=5s", 9443, 64, 0},
    {"rate=10mbit rtt=50ms aqm=red,10,30 cc=reno flows=2 time=20s warmup=5s", 8795, 275, 2},
    {"rate=20mbit rtt=50ms loss=0.5% cc=cubic time=60s warmup=5s", 4579, 113, 0},
    {"rate=20mbit rtt=50ms burst-loss=0.1%,30% cc=cubic time=60s warmup=5s", 9803, 152, 0},
    {"rate=50mbit rtt=50ms policer=5mbit,30kb cc=cubic time=20s warmup=5s", 4489, 123, 0},
    {"rate=10mbit rtt=50ms queue=1bdp ack-loss=20% cc=cubic time=20s warmup=5s", 9653, 70, 0},
    {"rate=5mbit rtt=80ms queue=30 traffic=rr request=200b response=20kb think=100ms flows=10 time=20s",
     4138, 466, 28},
    {"rate=5mbit rtt=80ms queue=1bdp traffic=onoff flows=5 time=20s", 4659, 191, 0},
};

static struct golden measure(const char *words)
{
    static struct lab_scenario scenario;
    char copy[512], *rest = copy, *word;
    struct golden is = {.words = words};
    const char *why;
    struct lab *lab;
    wr_lab_scenario_default(&scenario);
    snprintf(copy, sizeof copy, "%s", words);
    while ((word = strtok_r(rest, " ", &rest)) != NULL)
        assert_true(wr_lab_scenario_word(&scenario, word, &why));
    assert_int_equal(wr_lab_new(&scenario, &lab), 0);
    assert_int_equal(wr_lab_run(lab), 0);
    for (unsigned i = 0; i < wr_lab_n_flows(lab); i++) {
        const struct lab_flow_result *flow = wr_lab_flow(lab, i);
        is.goodput_kbps += flow->steady_bps / 1000;
        is.retransmits += flow->info.tcpi_total_retrans;
        is.rtos += flow->info.tcpi_total_rto;
    }
    wr_lab_free(lab);
    return is;
}

static void tcp_is_no_worse_than_it_was(void **state)
{
    unsigned worse = 0;
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct golden *row = &table[i];
        struct golden is = measure(row->words);
        bool bad = is.goodput_kbps * 8 < row->goodput_kbps * 7 ||
                   is.retransmits > 2 * row->retransmits + 20 || is.rtos > 2 * row->rtos + 3;
        print_message("%s{\"%s\", %" PRIu64 ", %" PRIu64 ", %" PRIu64 "},\n", bad ? "WORSE " : "",
                      is.words, is.goodput_kbps, is.retransmits, is.rtos);
        worse += bad;
    }
    assert_int_equal(worse, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_are_golden),           cmocka_unit_test(losses_are_golden),
        cmocka_unit_test(queues_are_golden),           cmocka_unit_test(policers_are_golden),
        cmocka_unit_test(tcp_is_no_worse_than_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
