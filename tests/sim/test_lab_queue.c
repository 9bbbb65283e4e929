/* SPDX-License-Identifier: MIT */
/* RED and CoDel against the formulas of their papers, with queues driven by hand. */
#include "sim/lab_bench.h"

#include <math.h>

#include "lab/lab_queue.h"

static struct lab_net net;
static struct lab_queue queue;
static struct wr_rng rng;

static void open_queue(const struct lab_queue_config *config)
{
    wr_lab_net_init(&net, 1, BENCH_BYTES);
    wr_rng_init_u64(&rng, 11);
    wr_lab_queue_init(&queue, &net, &rng, config);
}

static void close_queue(void)
{
    wr_lab_queue_fini(&queue);
    wr_lab_net_fini(&net);
}

static void put(uint32_t number, bool ect, weir_time at)
{
    struct lab_packet *packet = bench_packet(&net, number, BENCH_BYTES);
    packet->ect = ect;
    packet->data[0] = 0x60; /* so that a mark knows where to go */
    packet->data[1] = 0;
    net.now = LAB_EPOCH + at;
    wr_lab_queue_put(&queue, packet, net.now);
}

/* Takes one; false when empty. *ce as it left. */
static bool take(weir_time at, bool *ce)
{
    net.now = LAB_EPOCH + at;
    struct lab_packet *packet = wr_lab_queue_take(&queue, net.now);
    if (packet == NULL)
        return false;
    *ce = packet->ce;
    wr_lab_packet_free(&net, packet);
    return true;
}

/* ---- RED ---------------------------------------------------------------------------------------- */

static const struct lab_queue_config red = {
    .kind = LAB_RED,
    .rate_bps = 12000000, /* 1500 bytes a millisecond */
    .red = {.min_packets = 5, .max_packets = 15, .max_p = LAB_ONE / 10, .weight_log2 = 9}};

/* Arrivals find `held` packets each time. Returns how many were hit of n; *longest gap. */
static unsigned steady_hits(uint32_t held, unsigned n, unsigned *longest)
{
    unsigned hits = 0, gap = 0;
    bool ce;
    *longest = 0;
    while (queue.fifo.packets < held)
        put(0, false, 0);
    queue.red.average = (uint64_t)held << 20; /* as after a long time */
    queue.red.count = -1;
    for (unsigned i = 0; i < n; i++) {
        uint64_t before = queue.stats.dropped_aqm;
        put(0, false, (weir_time)i * WEIR_MS);
        gap++;
        if (queue.stats.dropped_aqm > before) {
            hits++;
            *longest = gap > *longest ? gap : *longest;
            gap = 0;
        } else {
            take((weir_time)i * WEIR_MS, &ce);
        }
    }
    return hits;
}

static void red_leaves_a_short_queue_alone(void **state)
{
    unsigned longest;
    (void)state;
    open_queue(&red);
    assert_int_equal(steady_hits(4, 10000, &longest), 0);
    close_queue();
}

/* Floyd and Jacobson 1993, section 7: with p_b = 0.1 * (10 - 5) / (15 - 5) = 1/20 the gaps are uniform
 * in 1..19 (the count is 1 at the first packet after a hit), 10 on average. */
static void red_spreads_its_hits_evenly(void **state)
{
    enum { N = 20000 };
    unsigned longest;
    (void)state;
    open_queue(&red);
    unsigned hits = steady_hits(10, N, &longest);
    assert_int_equal(longest, 19);
    double mean = (double)N / hits, deviation = sqrt((19 * 19 - 1) / 12.0 / hits);
    assert_true(fabs(mean - 10) < 5 * deviation);
    close_queue();
}

static void red_is_gentle_up_to_twice_max(void **state)
{
    unsigned longest;
    (void)state;
    open_queue(&red); /* at 22.5: 0.1 + 0.9 / 2 = 0.55, so each second packet at the latest */
    unsigned hits = steady_hits(22, 5000, &longest);
    assert_true(longest <= 2);
    assert_true(hits > 2500 && hits < 5000);
    close_queue();
    open_queue(&red);
    assert_int_equal(steady_hits(31, 1000, &longest), 1000);
    close_queue();
}

/* The average after n arrivals that find q: q (1 - (1 - w)^n). */
static void red_averages_exponentially_and_ages_while_idle(void **state)
{
    bool ce;
    (void)state;
    open_queue(&red);
    for (int i = 0; i < 4; i++)
        put(0, false, 0);
    queue.red.average = 0;
    for (int i = 0; i < 512; i++) {
        put(0, false, 0);
        take(0, &ce);
    }
    double expected = 4 * (1 - pow(1 - 1 / 512.0, 512));
    assert_true(fabs((double)queue.red.average / (1 << 20) - expected) < 0.001);
    double was = (double)queue.red.average;
    while (take(0, &ce)) {
    }
    put(0, false, 100 * WEIR_MS); /* a hundred packets could have passed, and this one found none */
    expected = was * pow(1 - 1 / 512.0, 101);
    assert_true(fabs((double)queue.red.average - expected) < expected * 0.001);
    close_queue();
}

/* A queue that stays empty because all arrivals are dropped must come to rest, too. */
static void red_ages_while_it_drops_everything(void **state)
{
    bool ce;
    (void)state;
    open_queue(&red);
    queue.red.average = UINT64_C(100) << 20;
    for (unsigned i = 0; i < 20; i++) {
        put(0, false, (weir_time)i * 100 * WEIR_MS);
        take((weir_time)i * 100 * WEIR_MS, &ce);
    }
    assert_true(queue.stats.dropped_aqm > 5);
    assert_true(queue.stats.in_packets > 5);
    close_queue();
}

static void red_marks_what_is_ecn_capable(void **state)
{
    struct lab_queue_config config = red;
    bool ce;
    (void)state;
    config.ecn = true;
    open_queue(&config);
    queue.red.average = UINT64_C(100) << 20;
    for (uint32_t i = 0; i < 6; i++) {
        put(i, i % 2 == 0, 0);
        queue.red.average = UINT64_C(100) << 20;
    }
    assert_int_equal(queue.stats.marked, 3);
    assert_int_equal(queue.stats.dropped_aqm, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(take(0, &ce));
        assert_true(ce);
    }
    close_queue();
}

/* ---- CoDel -------------------------------------------------------------------------------------- */

static const struct lab_queue_config codel = {
    .kind = LAB_CODEL, .codel = {.target = 5 * WEIR_MS, .interval = 100 * WEIR_MS, .mtu = 1500}};

static void codel_next_drop_is_by_the_square_root(void **state)
{
    (void)state;
    for (uint32_t count = 1; count < 100000; count = count * 5 / 4 + 1) {
        double expected = 100e6 / sqrt(count);
        double is = (double)(wr_lab_codel_next(0, 100 * WEIR_MS, count));
        assert_true(is <= expected && is > expected - 1.001);
    }
}

static void codel_leaves_a_short_wait_and_a_single_packet_alone(void **state)
{
    bool ce;
    (void)state;
    open_queue(&codel);
    for (uint32_t i = 0; i < 4; i++) /* each waits 4 ms, for ever */
        put(i, false, (weir_time)i * WEIR_MS);
    for (uint32_t i = 0; i < 2000; i++) {
        put(i, false, (weir_time)(4 + i) * WEIR_MS);
        assert_true(take((weir_time)(4 + i) * WEIR_MS, &ce));
    }
    assert_int_equal(queue.stats.dropped_aqm, 0);
    close_queue();
    open_queue(&codel);
    put(0, false, 0);
    for (uint32_t i = 1; i < 100; i++) { /* each waits 50 ms, but behind it is one packet at most */
        put(i, false, (weir_time)i * 50 * WEIR_MS);
        assert_true(take((weir_time)i * 50 * WEIR_MS, &ce));
    }
    assert_int_equal(queue.stats.dropped_aqm, 0);
    close_queue();
}

/* Serves one packet each millisecond from `from` on, `n` times; writes down when one was dropped
 * (or marked). */
static size_t serve(weir_time from, unsigned n, weir_time *drops, size_t room)
{
    size_t found = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t before = queue.stats.dropped_aqm + queue.stats.marked;
        weir_time at = from + (weir_time)i * WEIR_MS;
        bool ce;
        assert_true(take(at, &ce));
        for (uint64_t k = queue.stats.dropped_aqm + queue.stats.marked; k > before; k--) {
            assert_true(found < room);
            drops[found++] = at;
        }
    }
    return found;
}

/* The first service at or after t: services are on full milliseconds. */
static weir_time service_at(double t)
{
    return (weir_time)(ceil(t / 1e6 - 1e-9)) * WEIR_MS;
}

/* RFC 8289 5: a standing queue is above target at the service at 5 ms. One interval later the first
 * drop; the k-th after it follows by interval / sqrt(k). */
static void check_drop_times(bool ecn)
{
    enum { N = 3000 };
    struct lab_queue_config config = codel;
    weir_time drops[400];
    config.ecn = ecn;
    open_queue(&config);
    for (uint32_t i = 0; i < 2 * N; i++)
        put(i, ecn, 0);
    size_t found = serve(0, N, drops, 400);
    double due = 105e6;
    for (size_t k = 0; k < found; k++) {
        assert_int_equal(drops[k], service_at(due));
        due += 100e6 / sqrt((double)(k + 1));
    }
    assert_true(service_at(due) >= N * WEIR_MS); /* none is missing at the end */
    assert_true(found > 100);
    assert_int_equal(ecn ? queue.stats.dropped_aqm : queue.stats.marked, 0);
    close_queue();
}

static void codel_drops_at_the_times_of_the_rfc(void **state)
{
    (void)state;
    check_drop_times(false);
}

static void codel_marks_at_the_same_times(void **state)
{
    (void)state;
    check_drop_times(true);
}

/* The count of the last dropping state is taken up again within 16 intervals (RFC 8289 5.5), and
 * begins at 1 after them. */
static void check_second_state(weir_time pause, bool goes_on)
{
    weir_time drops[200], again[200];
    bool ce;
    open_queue(&codel);
    for (uint32_t i = 0; i < 4000; i++)
        put(i, false, 0);
    size_t first = serve(0, 2000, drops, 200);
    while (queue.fifo.packets > 0) /* the queue empties at once, while dropping */
        take(2000 * WEIR_MS, &ce);
    assert_false(take(2000 * WEIR_MS, &ce));
    weir_time start = 2000 * WEIR_MS + pause;
    uint32_t delta = queue.codel.count - queue.codel.last_count;
    assert_true(delta + 1 >= first);
    for (uint32_t i = 0; i < 4000; i++)
        put(i, false, start);
    assert_true(serve(start, 1000, again, 200) >= 3);
    double count = goes_on ? delta : 1, due = (double)start + 105e6;
    for (int k = 0; k < 3; k++) {
        assert_int_equal(again[k], service_at(due));
        due += 100e6 / sqrt(count + k);
    }
    close_queue();
}

static void codel_goes_on_at_its_rate_soon_after(void **state)
{
    (void)state;
    check_second_state(200 * WEIR_MS, true);
    check_second_state(1700 * WEIR_MS, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(red_leaves_a_short_queue_alone),
        cmocka_unit_test(red_spreads_its_hits_evenly),
        cmocka_unit_test(red_is_gentle_up_to_twice_max),
        cmocka_unit_test(red_averages_exponentially_and_ages_while_idle),
        cmocka_unit_test(red_ages_while_it_drops_everything),
        cmocka_unit_test(red_marks_what_is_ecn_capable),
        cmocka_unit_test(codel_next_drop_is_by_the_square_root),
        cmocka_unit_test(codel_leaves_a_short_wait_and_a_single_packet_alone),
        cmocka_unit_test(codel_drops_at_the_times_of_the_rfc),
        cmocka_unit_test(codel_marks_at_the_same_times),
        cmocka_unit_test(codel_goes_on_at_its_rate_soon_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
