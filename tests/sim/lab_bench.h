/* SPDX-License-Identifier: MIT */
/* A net with one node under test between a hand that puts packets in and a sink that writes down what
 * comes out and when. Included by one test program each. */
#ifndef LAB_BENCH_H
#define LAB_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lab/lab_node.h"

enum { BENCH_BYTES = 1500, BENCH_MAX = 200000 };

/* What came out: the packet's number (in its first bytes) and the time since the start. */
struct arrival {
    uint32_t number;
    weir_time at;
    bool ce;
};

struct sink {
    struct lab_node node; /* first */
    size_t n;
};

static struct arrival bench_out[BENCH_MAX];

static inline void sink_forward(struct lab_node *node, struct lab_packet *packet, weir_time now)
{
    struct sink *sink = (struct sink *)node;
    struct arrival *arrival = &bench_out[sink->n++];
    assert_true(sink->n < BENCH_MAX);
    memcpy(&arrival->number, packet->data, sizeof arrival->number);
    arrival->at = now - LAB_EPOCH;
    arrival->ce = packet->ce;
    wr_lab_packet_free(node->net, packet);
}

static inline weir_time sink_next_run_at(const struct lab_node *node)
{
    (void)node;
    return WEIR_TIME_NEVER;
}

static const struct lab_node_ops sink_ops = {.forward = sink_forward,
                                             .next_run_at = sink_next_run_at};

/* A sink in this net, empty. */
static inline struct sink *bench_sink(struct lab_net *net)
{
    struct sink *sink = wr_lab_node_new(net, sizeof *sink, &sink_ops, "sink");
    assert_non_null(sink);
    memset(bench_out, 0, sizeof bench_out);
    return sink;
}

/* Packet number `number` of `len` bytes. */
static inline struct lab_packet *bench_packet(struct lab_net *net, uint32_t number, size_t len)
{
    struct lab_packet *packet = wr_lab_packet_new(net, len);
    assert_non_null(packet);
    memset(packet->data, 0, len);
    memcpy(packet->data, &number, sizeof number);
    packet->has_data = true;
    return packet;
}

/* Lets the time `at` since the start come, and puts a packet in. */
static inline void bench_put(struct lab_net *net, struct lab_node *node, uint32_t number,
                             size_t len, weir_time at)
{
    wr_lab_net_run(net, LAB_EPOCH + at, NULL);
    wr_lab_pass(net, node, bench_packet(net, number, len));
}

/* Everything on its way arrives. */
static inline void bench_finish(struct lab_net *net)
{
    wr_lab_net_run(net, net->now + 3600 * WEIR_SEC, NULL);
    assert_false(net->storm);
}

/* Five standard deviations of a binomial count around n * p: a fair node fails once in two million
 * seeds, and the seed here is fixed. */
static inline void assert_binomial(double count, double n, double p)
{
    double off = count - n * p;
    if (off * off > 25 * n * p * (1 - p))
        fail_msg("%g of %g where %g were expected", count, n, n * p);
}

#endif
