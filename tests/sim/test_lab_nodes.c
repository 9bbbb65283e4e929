/* SPDX-License-Identifier: MIT */
/* Each node of the laboratory against what it must do by its definition: no stack takes part. */
#include "sim/lab_bench.h"

#include "base/bytes.h"
#include "lab/lab_flow.h"
#include "lab/lab_queue.h"
#include "wire/w_csum.h"
#include "wire/w_ip4.h"
#include "wire/w_tcp.h"

static struct lab_net net;

static struct sink *start(void)
{
    wr_lab_net_init(&net, 7, BENCH_BYTES);
    return bench_sink(&net);
}

static struct lab_node *before(struct lab_node *node, struct sink *sink)
{
    assert_non_null(node);
    node->next = &sink->node;
    return node;
}

/* ---- delay -------------------------------------------------------------------------------------- */

static void a_delay_holds_each_packet_for_its_time(void **state)
{
    struct sink *sink = start();
    struct lab_delay_config config = {.delay = 50 * WEIR_MS};
    struct lab_node *node = before(wr_lab_delay_new(&net, "d", &config), sink);
    (void)state;
    for (uint32_t i = 0; i < 200; i++) /* many at once on the way, some at the same moment */
        bench_put(&net, node, i, 100, (weir_time)(i / 2) * WEIR_MS);
    bench_finish(&net);
    assert_int_equal(sink->n, 200);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(bench_out[i].number, i);
        assert_int_equal(bench_out[i].at, (weir_time)(i / 2) * WEIR_MS + 50 * WEIR_MS);
    }
    wr_lab_net_fini(&net);
}

static void jitter_is_uniform_around_the_delay(void **state)
{
    enum { N = 20000 };
    struct sink *sink = start();
    struct lab_delay_config config = {.delay = 50 * WEIR_MS, .jitter = 15 * WEIR_MS};
    struct lab_node *node = before(wr_lab_delay_new(&net, "d", &config), sink);
    double sum = 0, below = 0;
    (void)state;
    for (uint32_t i = 0; i < N; i++) /* so far apart that none waits for another */
        bench_put(&net, node, i, 100, (weir_time)i * 40 * WEIR_MS);
    bench_finish(&net);
    assert_int_equal(sink->n, N);
    for (uint32_t i = 0; i < N; i++) {
        weir_time way = bench_out[i].at - (weir_time)i * 40 * WEIR_MS;
        assert_int_equal(bench_out[i].number, i);
        assert_in_range(way, 35 * WEIR_MS, 65 * WEIR_MS);
        sum += (double)way;
        below += way < 425 * WEIR_MS / 10; /* the lowest quarter */
    }
    /* the mean's deviation is 15 ms / sqrt(3) / sqrt(N) */
    assert_true(sum / N > 50e6 - 5 * 15e6 / 1.732 / 141.4);
    assert_true(sum / N < 50e6 + 5 * 15e6 / 1.732 / 141.4);
    assert_binomial(below, N, 0.25);
    wr_lab_net_fini(&net);
}

static unsigned overtakings(size_t n)
{
    unsigned count = 0;
    for (size_t i = 1; i < n; i++)
        count += bench_out[i].number < bench_out[i - 1].number;
    return count;
}

static void jitter_keeps_order_unless_free(void **state)
{
    (void)state;
    for (int is_free = 0; is_free < 2; is_free++) {
        struct sink *sink = start();
        struct lab_delay_config config = {
            .delay = 50 * WEIR_MS, .jitter = 15 * WEIR_MS, .jitter_reorders = is_free != 0};
        struct lab_node *node = before(wr_lab_delay_new(&net, "d", &config), sink);
        for (uint32_t i = 0; i < 1000; i++)
            bench_put(&net, node, i, 100, (weir_time)i * WEIR_MS);
        bench_finish(&net);
        assert_int_equal(sink->n, 1000);
        if (is_free)
            assert_true(overtakings(sink->n) > 100);
        else
            assert_int_equal(overtakings(sink->n), 0);
        for (uint32_t i = 0; i < 1000; i++)
            assert_true(bench_out[i].at >= (weir_time)bench_out[i].number * WEIR_MS + 35 * WEIR_MS);
        wr_lab_net_fini(&net);
    }
}

static void reordering_holds_a_share_back_by_the_displacement(void **state)
{
    enum { N = 20000 };
    struct sink *sink = start();
    struct lab_delay_config config = {
        .delay = 10 * WEIR_MS, .reorder = LAB_ONE / 20, .reorder_delay = 3 * WEIR_MS};
    struct lab_node *node = before(wr_lab_delay_new(&net, "d", &config), sink);
    unsigned late = 0;
    (void)state;
    for (uint32_t i = 0; i < N; i++)
        bench_put(&net, node, i, 100, (weir_time)i * WEIR_MS);
    bench_finish(&net);
    assert_int_equal(sink->n, N);
    for (uint32_t i = 0; i < N; i++) {
        weir_time way = bench_out[i].at - (weir_time)bench_out[i].number * WEIR_MS;
        assert_true(way == 10 * WEIR_MS || way == 13 * WEIR_MS);
        late += way == 13 * WEIR_MS;
    }
    assert_binomial(late, N, 0.05);
    assert_true(overtakings(sink->n) > 0);
    wr_lab_net_fini(&net);
}

static void a_stall_ends_with_all_at_once(void **state)
{
    struct sink *sink = start();
    struct lab_delay_config config = {
        .delay = 5 * WEIR_MS, .stall_at = 100 * WEIR_MS, .stall_for = 500 * WEIR_MS};
    struct lab_node *node = before(wr_lab_delay_new(&net, "d", &config), sink);
    (void)state;
    for (uint32_t i = 0; i < 100; i++)
        bench_put(&net, node, i, 100, (weir_time)i * 10 * WEIR_MS);
    bench_finish(&net);
    assert_int_equal(sink->n, 100);
    for (uint32_t i = 0; i < 100; i++) {
        weir_time due = (weir_time)i * 10 * WEIR_MS + 5 * WEIR_MS;
        bool stalled = due >= 100 * WEIR_MS && due < 600 * WEIR_MS;
        assert_int_equal(bench_out[i].number, i);
        assert_int_equal(bench_out[i].at, stalled ? 600 * WEIR_MS : due);
    }
    wr_lab_net_fini(&net);
}

/* ---- loss --------------------------------------------------------------------------------------- */

static size_t survivors(const struct lab_loss_config *config, uint32_t n, bool acks)
{
    struct sink *sink = start();
    struct lab_node *node = before(wr_lab_loss_new(&net, "l", config), sink);
    for (uint32_t i = 0; i < n; i++) {
        struct lab_packet *packet = bench_packet(&net, i, 100);
        packet->pure_ack = acks;
        packet->has_data = !acks;
        wr_lab_pass(&net, node, packet);
    }
    assert_int_equal(sink->n + net.dropped[LAB_LOSS] + net.dropped[LAB_ACK_LOSS], n);
    return sink->n;
}

static void random_loss_has_its_rate_and_no_memory(void **state)
{
    enum { N = 100000 };
    struct lab_loss_config config = {.loss = LAB_ONE / 100};
    double pairs = 0;
    (void)state;
    size_t left = survivors(&config, N, false);
    assert_binomial(N - (double)left, N, 0.01);
    for (size_t i = 1; i < left; i++) /* exactly one, exactly two, ... lost between two survivors */
        pairs += bench_out[i].number - bench_out[i - 1].number == 3;
    assert_binomial(pairs, N, 0.01 * 0.01 * 0.99 * 0.99);
    wr_lab_net_fini(&net);
}

static void loss_of_nothing_and_of_everything(void **state)
{
    struct lab_loss_config config = {.loss = 0};
    (void)state;
    assert_int_equal(survivors(&config, 1000, false), 1000);
    wr_lab_net_fini(&net);
    config.loss = LAB_ONE;
    assert_int_equal(survivors(&config, 1000, false), 0);
    wr_lab_net_fini(&net);
}

/* Gilbert-Elliott: share p / (p + r), runs of 1 / r on average and of geometric length. */
static void burst_loss_has_its_share_and_its_runs(void **state)
{
    enum { N = 100000 };
    struct lab_loss_config config = {
        .to_bad = LAB_ONE / 100, .to_good = LAB_ONE / 4, .loss_in_bad = LAB_ONE};
    double runs = 0, lost = 0, ones = 0;
    (void)state;
    size_t left = survivors(&config, N, false);
    for (size_t i = 1; i < left; i++) {
        uint32_t gap = bench_out[i].number - bench_out[i - 1].number - 1;
        runs += gap > 0;
        ones += gap == 1;
        lost += gap;
    }
    assert_true(lost / N > 0.01 / 0.26 * 0.9 && lost / N < 0.01 / 0.26 * 1.1);
    assert_true(lost / runs > 4 * 0.9 && lost / runs < 4 * 1.1);
    assert_binomial(ones, runs, 0.25);
    wr_lab_net_fini(&net);
}

static void periodic_loss_takes_each_nth_with_data(void **state)
{
    struct lab_loss_config config = {.every = 100};
    (void)state;
    assert_int_equal(survivors(&config, 1000, false), 990);
    for (size_t i = 0; i < 990; i++)
        assert_int_not_equal(bench_out[i].number % 100, 99);
    wr_lab_net_fini(&net);
    assert_int_equal(survivors(&config, 1000, true), 1000);
    wr_lab_net_fini(&net);
}

static void ack_loss_spares_all_but_pure_acks(void **state)
{
    struct lab_loss_config config = {.acks_only = true, .loss = LAB_ONE / 5};
    (void)state;
    assert_int_equal(survivors(&config, 1000, false), 1000);
    wr_lab_net_fini(&net);
    size_t left = survivors(&config, 10000, true);
    assert_binomial(10000 - (double)left, 10000, 0.2);
    assert_int_equal(net.dropped[LAB_ACK_LOSS], 10000 - left);
    wr_lab_net_fini(&net);
}

static void a_node_more_changes_no_other_nodes_luck(void **state)
{
    struct lab_loss_config config = {.loss = LAB_ONE / 10};
    static struct arrival alone[1000];
    (void)state;
    size_t n = survivors(&config, 1000, false);
    memcpy(alone, bench_out, sizeof alone);
    wr_lab_net_fini(&net);

    struct sink *sink = start();
    assert_non_null(wr_lab_loss_new(&net, "another", &config));
    struct lab_node *node = before(wr_lab_loss_new(&net, "l", &config), sink);
    for (uint32_t i = 0; i < 1000; i++)
        wr_lab_pass(&net, node, bench_packet(&net, i, 100));
    assert_int_equal(sink->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(bench_out[i].number, alone[i].number);
    wr_lab_net_fini(&net);
}

/* ---- policer ------------------------------------------------------------------------------------ */

static void a_policer_passes_its_burst_then_its_rate(void **state)
{
    struct sink *sink = start();
    struct lab_policer_config config = {.rate_bps = 8000000, .burst_bytes = 10000}; /* 1 byte/us */
    struct lab_node *node = before(wr_lab_policer_new(&net, "p", &config), sink);
    (void)state;
    for (uint32_t i = 0; i < 15; i++)
        bench_put(&net, node, i, 1000, 0);
    assert_int_equal(sink->n, 10);
    bench_put(&net, node, 20, 1000, WEIR_MS - 1); /* a nanosecond too early */
    assert_int_equal(sink->n, 10);
    bench_put(&net, node, 21, 1000, WEIR_MS); /* refused packets took no tokens */
    assert_int_equal(sink->n, 11);
    assert_int_equal(bench_out[10].number, 21);
    for (uint32_t i = 0; i < 12; i++) /* after a long pause it holds one burst, not more */
        bench_put(&net, node, 30 + i, 1000, 100 * WEIR_SEC);
    assert_int_equal(sink->n, 21);
    wr_lab_net_fini(&net);
}

static void a_policer_passes_half_of_twice_its_rate(void **state)
{
    struct sink *sink = start();
    struct lab_policer_config config = {.rate_bps = 7000003, .burst_bytes = 3000};
    struct lab_node *node = before(wr_lab_policer_new(&net, "p", &config), sink);
    const weir_time gap = 1000 * 8 * WEIR_SEC / (2 * 7000003);
    (void)state;
    for (uint32_t i = 0; i < 20000; i++)
        bench_put(&net, node, i, 1000, (weir_time)i * gap);
    /* what the bucket held and what came in, to the packet */
    uint64_t tokens = 3000 + (uint64_t)19999 * (uint64_t)gap * 7000003 / 8 / 1000000000;
    assert_true(sink->n <= tokens / 1000);
    assert_true(sink->n + 1 >= tokens / 1000);
    wr_lab_net_fini(&net);
}

static void a_packet_larger_than_the_bucket_never_passes(void **state)
{
    struct sink *sink = start();
    struct lab_policer_config config = {.rate_bps = 1000000000, .burst_bytes = 999};
    struct lab_node *node = before(wr_lab_policer_new(&net, "p", &config), sink);
    (void)state;
    bench_put(&net, node, 0, 1000, 10 * WEIR_SEC);
    bench_put(&net, node, 1, 999, 10 * WEIR_SEC);
    assert_int_equal(sink->n, 1);
    assert_int_equal(net.dropped[LAB_POLICER], 1);
    wr_lab_net_fini(&net);
}

/* ---- link --------------------------------------------------------------------------------------- */

static void a_link_serves_in_order_at_its_exact_rate(void **state)
{
    struct sink *sink = start();
    struct lab_queue_config config = {.rate_bps = 9000000, .limit_packets = 100};
    struct lab_node *node = before(wr_lab_link_new(&net, "k", &config), sink);
    (void)state;
    for (uint32_t i = 0; i < 30; i++) /* 1500 bytes are 4/3 ms */
        bench_put(&net, node, i, 1500, 0);
    bench_finish(&net);
    assert_int_equal(sink->n, 30);
    for (uint32_t i = 0; i < 30; i++) {
        assert_int_equal(bench_out[i].number, i);
        assert_int_equal(bench_out[i].at, (weir_time)(i + 1) * 4 * WEIR_MS / 3);
    }
    const struct lab_queue_stats *stats = &wr_lab_link_queue(node)->stats;
    assert_int_equal(stats->max_packets, 29); /* the first is being sent */
    assert_int_equal(stats->sojourn_max, 29 * 4 * WEIR_MS / 3);
    assert_int_equal(stats->out_bytes, 30 * 1500);
    assert_int_equal(stats->busy, stats->sojourn_max);
    wr_lab_net_fini(&net);
}

static void busy_time_counts_up_to_the_end(void **state)
{
    struct sink *sink = start();
    struct lab_queue_config config = {.rate_bps = 12000000, .limit_packets = 100};
    struct lab_node *node = before(wr_lab_link_new(&net, "k", &config), sink);
    (void)state;
    for (uint32_t i = 0; i < 10; i++)
        bench_put(&net, node, i, 1500, 0);
    wr_lab_net_run(&net, LAB_EPOCH + 5 * WEIR_MS, NULL);
    wr_lab_link_settle(node);
    assert_int_equal(wr_lab_link_queue(node)->stats.busy, 5 * WEIR_MS);
    bench_finish(&net);
    wr_lab_link_settle(node);
    assert_int_equal(wr_lab_link_queue(node)->stats.busy,
                     9 * WEIR_MS); /* the tenth is being sent */
    wr_lab_net_fini(&net);
}

static void a_link_with_time_to_spare_has_no_queue(void **state)
{
    struct sink *sink = start();
    struct lab_queue_config config = {.rate_bps = 12000000, .limit_packets = 1};
    struct lab_node *node = before(wr_lab_link_new(&net, "k", &config), sink);
    (void)state;
    for (uint32_t i = 0; i < 100; i++)
        bench_put(&net, node, i, 1500, (weir_time)i * 2 * WEIR_MS);
    bench_finish(&net);
    assert_int_equal(sink->n, 100);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(bench_out[i].at, (weir_time)i * 2 * WEIR_MS + WEIR_MS);
    assert_int_equal(wr_lab_link_queue(node)->stats.sojourn_sum, 0);
    wr_lab_net_fini(&net);
}

static void a_full_queue_drops_the_newest(void **state)
{
    struct sink *sink = start();
    struct lab_queue_config config = {.rate_bps = 12000000, .limit_packets = 4};
    struct lab_node *node = before(wr_lab_link_new(&net, "k", &config), sink);
    (void)state;
    for (uint32_t i = 0; i < 10; i++)
        bench_put(&net, node, i, 1500, 0);
    bench_finish(&net);
    assert_int_equal(sink->n, 5); /* four, and the one being sent */
    assert_int_equal(bench_out[4].number, 4);
    assert_int_equal(wr_lab_link_queue(node)->stats.dropped_full, 5);
    assert_int_equal(net.dropped[LAB_QUEUE_FULL], 5);
    wr_lab_net_fini(&net);
}

static void a_limit_of_bytes_lets_small_packets_in(void **state)
{
    struct sink *sink = start();
    struct lab_queue_config config = {.rate_bps = 12000000, .limit_bytes = 3100};
    struct lab_node *node = before(wr_lab_link_new(&net, "k", &config), sink);
    (void)state;
    for (uint32_t i = 0; i < 4; i++) /* sent, queued, queued, no room */
        bench_put(&net, node, i, 1500, 0);
    bench_put(&net, node, 9, 100, 0);
    bench_finish(&net);
    assert_int_equal(sink->n, 4);
    assert_int_equal(bench_out[3].number, 9);
    wr_lab_net_fini(&net);
}

/* ---- what is read from packets ------------------------------------------------------------------- */

static size_t write_segment(uint8_t *p, uint16_t port, uint16_t flags, size_t data, uint8_t tos)
{
    struct w_ip4 ip = {.src = weir_addr_v4(0x0a000001),
                       .dst = weir_addr_v4(0x0a000002),
                       .hdr_len = W_IP4_HLEN,
                       .ttl = 64,
                       .proto = W_IPPROTO_TCP,
                       .tos = tos};
    struct w_tcp tcp = {
        .src_port = 33000, .dst_port = port, .flags = flags, .data_off = W_TCP_HLEN};
    ip.total_len = (uint16_t)(W_IP4_HLEN + W_TCP_HLEN + data);
    wr_w_ip4_emit(p, &ip);
    wr_w_tcp_emit(p + W_IP4_HLEN, &tcp);
    memset(p + W_IP4_HLEN + W_TCP_HLEN, 'x', data);
    return ip.total_len;
}

static void packets_are_read(void **state)
{
    struct {
        uint16_t port, flags;
        size_t data;
        uint8_t tos;
        uint16_t flow;
        bool pure_ack, ect, ce;
    } cases[] = {
        {LAB_PORT, W_TCP_ACK, 0, 0, 0, true, false, false},
        {LAB_PORT + 3, W_TCP_ACK, 100, 2, 3, false, true, false},
        {LAB_PORT + 4, W_TCP_ACK, 0, 1, LAB_FLOW_NONE, true, true, false},
        {LAB_PORT + 1, W_TCP_SYN, 0, 0, 1, false, false, false},
        {LAB_PORT + 1, W_TCP_FIN | W_TCP_ACK, 0, 3, 1, false, true, true},
        {80, W_TCP_RST, 0, 0, LAB_FLOW_NONE, false, false, false},
    };
    (void)state;
    start();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lab_packet *packet = bench_packet(&net, 0, BENCH_BYTES);
        packet->len = (uint32_t)write_segment(packet->data, cases[i].port, cases[i].flags,
                                              cases[i].data, cases[i].tos);
        wr_lab_packet_read(packet, 4);
        struct weir_addr dst = weir_addr_v4(0x0a000002);
        assert_int_equal(packet->flow, cases[i].flow);
        assert_int_equal(packet->pure_ack, cases[i].pure_ack);
        assert_int_equal(packet->has_data, cases[i].data > 0);
        assert_int_equal(packet->ect, cases[i].ect);
        assert_int_equal(packet->ce, cases[i].ce);
        assert_true(weir_addr_eq(&packet->dst, &dst));
        wr_lab_packet_free(&net, packet);
    }
    wr_lab_net_fini(&net);
}

/* RFC 3168 5: CE is 11, and the header's checksum stays right. */
static void a_mark_is_ce_with_a_right_checksum(void **state)
{
    (void)state;
    start();
    for (uint8_t ect = 1; ect <= 3; ect++) {
        struct w_ip4 ip;
        struct lab_packet *packet = bench_packet(&net, 0, BENCH_BYTES);
        uint8_t tos = (uint8_t)(0xb8 | ect); /* a DSCP that must stay */
        packet->len = (uint32_t)write_segment(packet->data, LAB_PORT, W_TCP_ACK, 50, tos);
        wr_lab_packet_mark(packet);
        assert_int_equal(wr_w_ip4_parse(packet->data, packet->len, &ip), W_OK); /* sums, too */
        assert_int_equal(ip.tos, 0xbb);
        wr_lab_packet_free(&net, packet);
    }
    struct lab_packet *six = bench_packet(&net, 0, 60);
    six->data[0] = 0x6b;
    six->data[1] = 0xa5; /* traffic class 0xba, flow label 5.... */
    wr_lab_packet_mark(six);
    assert_int_equal(six->data[0], 0x6b);
    assert_int_equal(six->data[1], 0xb5);
    wr_lab_packet_free(&net, six);
    wr_lab_net_fini(&net);
}

/* P(t > mean) = 1/e, P(t > 2 mean) = 1/e^2, and the mean is the mean. */
static void exponential_times_are_exponential(void **state)
{
    enum { N = 100000 };
    struct wr_rng rng;
    double sum = 0, one = 0, two = 0;
    (void)state;
    wr_rng_init_u64(&rng, 3);
    for (int i = 0; i < N; i++) {
        weir_time t = wr_lab_exponential(&rng, WEIR_SEC);
        assert_true(t >= 0);
        sum += (double)t / 1e9;
        one += t > WEIR_SEC;
        two += t > 2 * WEIR_SEC;
    }
    assert_true(sum / N > 1 - 5 / 316.0 && sum / N < 1 + 5 / 316.0);
    assert_binomial(one, N, 0.36788);
    assert_binomial(two, N, 0.13534);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delay_holds_each_packet_for_its_time),
        cmocka_unit_test(jitter_is_uniform_around_the_delay),
        cmocka_unit_test(jitter_keeps_order_unless_free),
        cmocka_unit_test(reordering_holds_a_share_back_by_the_displacement),
        cmocka_unit_test(a_stall_ends_with_all_at_once),
        cmocka_unit_test(random_loss_has_its_rate_and_no_memory),
        cmocka_unit_test(loss_of_nothing_and_of_everything),
        cmocka_unit_test(burst_loss_has_its_share_and_its_runs),
        cmocka_unit_test(periodic_loss_takes_each_nth_with_data),
        cmocka_unit_test(ack_loss_spares_all_but_pure_acks),
        cmocka_unit_test(a_node_more_changes_no_other_nodes_luck),
        cmocka_unit_test(a_policer_passes_its_burst_then_its_rate),
        cmocka_unit_test(a_policer_passes_half_of_twice_its_rate),
        cmocka_unit_test(a_packet_larger_than_the_bucket_never_passes),
        cmocka_unit_test(a_link_serves_in_order_at_its_exact_rate),
        cmocka_unit_test(busy_time_counts_up_to_the_end),
        cmocka_unit_test(a_link_with_time_to_spare_has_no_queue),
        cmocka_unit_test(a_full_queue_drops_the_newest),
        cmocka_unit_test(a_limit_of_bytes_lets_small_packets_in),
        cmocka_unit_test(packets_are_read),
        cmocka_unit_test(a_mark_is_ce_with_a_right_checksum),
        cmocka_unit_test(exponential_times_are_exponential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
