/* SPDX-License-Identifier: MIT */
/*
 * BBR version 1 on a path whose figures are known (cc_path.h). Expectations are those of Linux's tcp_bbr:
 * gains 2.89 and its inverse, 1.25 0.75 1x6, PROBE_RTT of four segments after ten seconds.
 */
#include "unit/cc_path.h"

#include <stdlib.h>

#include "cc/cc_bbr.c"

enum { RATE = 1250000 /* 10 Mbit/s */ };
#define RTT (40 * WEIR_MS)

static struct path *path;

static struct bbr *bbr(void)
{
    return state(&path->cc);
}

static int make(void **unused)
{
    (void)unused;
    path = malloc(sizeof *path);
    if (path == NULL)
        return -1;
    path_start(path, &weir_cc_bbr, RATE, RTT, 500);
    return 0;
}

static int unmake(void **unused)
{
    (void)unused;
    free(path);
    return 0;
}

static uint8_t awaited;
static bool in_mode(struct path *p)
{
    return state(&p->cc)->mode == awaited;
}

static void run_to(uint8_t wanted)
{
    awaited = wanted;
    assert_true(path_run_until(path, in_mode, 30 * WEIR_SEC));
}

static void startup_and_drain_BBRv1_1(void **unused)
{
    (void)unused;
    assert_int_equal(bbr()->pacing_gain, 739); /* 2.885 of 256, and one */
    assert_int_equal(bbr()->cwnd_gain, 739);
    run_to(DRAIN);
    assert_int_equal(bbr()->full_bw_cnt, 3);
    uint64_t bw = cc_maxfilter_get(&bbr()->bw);
    assert_true(bw > RATE * 98 / 100 && bw < RATE * 102 / 100);
    assert_int_equal(bbr()->pacing_gain, 88); /* 1 / 2.885 */
    assert_int_equal(bbr()->cwnd_gain, 739);
    run_to(PROBE_BW);
    /* What leaves the network before the next segment may be sent is taken off. */
    assert_true(path->in_flight <= inflight_of(&path->cc, bbr(), bw, UNIT) + 4 * MSS);
    assert_int_equal(bbr()->cwnd_gain, 512);
    assert_true(path->cc.ssthresh < UINT32_MAX);
}

static uint8_t last_phase;
static weir_time phase_at;
static unsigned wrong_phase, wrong_gain, n_phases, probe_rtts;
static uint32_t least_in_flight;
static weir_time probe_rtt_at, probe_rtt_took;
static uint8_t last_mode;

/* A phase of 1 lasts a min_rtt; up until the queue is there, and no less; down no longer than a min_rtt. */
static void watch_cycle(struct path *p)
{
    static const uint16_t gain[8] = {320, 192, 256, 256, 256, 256, 256, 256};
    struct bbr *b = state(&p->cc);

    if (b->mode != last_mode && b->mode == PROBE_RTT) {
        probe_rtts++;
        probe_rtt_at = p->now;
        least_in_flight = UINT32_MAX;
    }
    if (b->mode != last_mode && last_mode == PROBE_RTT)
        probe_rtt_took = p->now - probe_rtt_at;
    if (b->mode == PROBE_RTT && p->in_flight < least_in_flight)
        least_in_flight = p->in_flight;
    if (b->mode == PROBE_BW) {
        if (b->pacing_gain != gain[b->cycle_idx] ||
            p->cc.pacing_rate != current_bw(b) * gain[b->cycle_idx] / 256 * 99 / 100)
            wrong_gain++;
        if (last_mode == PROBE_BW && b->cycle_idx != last_phase) {
            weir_time took = p->now - phase_at;
            n_phases++;
            if (b->cycle_idx != ((last_phase + 1) & 7) ||
                (last_phase >= 2 && (took < b->min_rtt || took > b->min_rtt + 3 * WEIR_MS)) ||
                (last_phase == 0 && took < b->min_rtt) ||
                (last_phase == 1 && took > b->min_rtt + 3 * WEIR_MS))
                wrong_phase++;
        }
        if (last_mode != PROBE_BW || b->cycle_idx != last_phase) {
            if (last_mode != PROBE_BW && b->cycle_idx == 1)
                wrong_phase++; /* begins anywhere but there */
            phase_at = p->now;
        }
        last_phase = b->cycle_idx;
    }
    last_mode = b->mode;
}

static void watch(void)
{
    wrong_phase = wrong_gain = n_phases = probe_rtts = 0;
    last_mode = bbr()->mode;
    path->seen = watch_cycle;
}

static void the_cycle_BBRv1_1(void **unused)
{
    (void)unused;
    watch();
    path_run(path, 9 * WEIR_SEC);
    assert_int_equal(wrong_gain, 0);
    assert_int_equal(wrong_phase, 0);
    assert_in_range(n_phases, 150, 220); /* 41 ms each */
    assert_true(path->cc.delivered_bytes > (uint64_t)RATE * 9 * 95 / 100);
}

static void probe_rtt_each_ten_seconds_BBRv1_1(void **unused)
{
    (void)unused;
    run_to(PROBE_BW);
    path->rtt += 5 * WEIR_MS; /* no sample is as low as the first */
    watch();
    weir_time since = bbr()->min_rtt_at;
    run_to(PROBE_RTT);
    assert_in_range(path->now - since, 10 * WEIR_SEC, 10 * WEIR_SEC + 2 * RTT);
    assert_int_equal(path->cc.cwnd, 4 * MSS);
    uint32_t prior = bbr()->prior_cwnd;
    run_to(PROBE_BW);
    assert_int_equal(least_in_flight, 3 * MSS); /* seen after an ACK */
    assert_in_range(probe_rtt_took, 200 * WEIR_MS, 400 * WEIR_MS);
    assert_true(path->cc.cwnd + 10 * MSS >= prior);
    assert_true(bbr()->min_rtt >= path->rtt);
    /* Samples of those 200 ms are not bandwidth. */
    path_run(path, WEIR_SEC);
    assert_true(cc_maxfilter_get(&bbr()->bw) > RATE * 98 / 100);
}

static bool drop_one_percent(struct path *p, uint32_t i)
{
    (void)p;
    return i % 100 == 0;
}

/* Loss is no signal: 1 % costs the 1 %. */
static void random_loss_costs_nothing(void **unused)
{
    (void)unused;
    path->drop = drop_one_percent;
    path_run(path, 20 * WEIR_SEC);
    assert_true(path->cc.delivered_bytes > (uint64_t)RATE * 20 * 94 / 100);
}

/* A token bucket of 1 Mbit/s and 60 segments on a path of 10 Mbit/s. */
static double tokens;
static weir_time filled_at;
static bool police(struct path *p, uint32_t i)
{
    (void)i;
    tokens += (double)(p->now - filled_at) * 125000 / 1e9 / MSS;
    filled_at = p->now;
    if (tokens > 60)
        tokens = 60;
    if (tokens < 1)
        return true;
    tokens -= 1;
    return false;
}

/* Two intervals of much loss and the same throughput: then that is bw, for 48 round trips. */
static void policers_are_recognised(void **unused)
{
    (void)unused;
    tokens = 60;
    filled_at = path->now;
    path->drop = police;
    path_run(path, 20 * WEIR_SEC);
    uint64_t lost = path->lost, delivered = path->cc.delivered_bytes;
    assert_true(bbr()->lt.use);
    assert_true(bbr()->lt.bw > 110000 && bbr()->lt.bw < 140000);
    assert_true(delivered > 125000 * 20 * 9 / 10);
    path_run(path, WEIR_SEC / 2);
    assert_true((path->lost - lost) * 10 < path->cc.delivered_bytes - delivered);
}

/* Silence of 6 s: bw is still known, paced at bw and not at 2.89 of it. */
static void restarts_from_idle_at_bw(void **unused)
{
    (void)unused;
    run_to(PROBE_BW);
    path->has_data = false;
    path_run(path, 12 * WEIR_SEC);
    watch();
    path->has_data = true;
    path_run(path, RTT / 2);
    assert_true(bbr()->idle_restart);
    assert_int_equal(path->cc.pacing_rate, current_bw(bbr()) * 99 / 100);
    path_run(path, 3 * RTT);
    assert_int_equal(probe_rtts, 0);
}

/* ACKs of a whole frame of 20 ms come at once: cwnd has room for what comes beyond bw. */
static void aggregation_makes_room(void **unused)
{
    (void)unused;
    run_to(PROBE_BW);
    struct bbr *b = bbr();
    uint64_t without = bdp(&path->cc, b, current_bw(b), CWND_GAIN);
    for (int frame = 0; frame < 20; frame++) {
        path->now += 20 * WEIR_MS;
        struct weir_cc_ack ack = {.acked_bytes = 25 * MSS,
                                  .in_flight_bytes = 50 * MSS,
                                  .prior_in_flight_bytes = 75 * MSS,
                                  .rtt = RTT,
                                  .has_sample = true,
                                  .interval = RTT,
                                  .sample_delivered = 50 * MSS,
                                  .prior_delivered = path->cc.delivered_bytes};
        path->cc.delivered_bytes += 25 * MSS;
        weir_cc_bbr.on_ack(&path->cc, &ack, path->now);
    }
    assert_true(aggregation_cwnd(b) >= 24 * MSS);
    assert_true(path->cc.cwnd > without + 20 * MSS);
}

/* The filter of a sliding maximum against one that remembers all. */
static void the_filter_is_a_sliding_maximum(void **unused)
{
    enum { N = 2000, WINDOW = 10 };
    static uint64_t value[N];
    struct cc_maxfilter f = {0};
    struct weir_cc rng = {.random = 7};
    (void)unused;
    for (uint32_t t = 0; t < N; t++) {
        uint64_t exact = 0;
        value[t] = weir_cc_random(&rng) % 1000;
        uint64_t got = wr_cc_maxfilter_update(&f, WINDOW, t + UINT32_MAX - 100, value[t]);
        for (uint32_t k = t > WINDOW ? t - WINDOW : 0; k <= t; k++)
            exact = value[k] > exact ? value[k] : exact;
        assert_true(got <= exact); /* never older than the window */
        assert_true(got >= value[t]);
        bool among = false;
        for (uint32_t k = t > WINDOW ? t - WINDOW : 0; k <= t; k++)
            among |= value[k] == got;
        assert_true(among);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(startup_and_drain_BBRv1_1, make, unmake),
        cmocka_unit_test_setup_teardown(the_cycle_BBRv1_1, make, unmake),
        cmocka_unit_test_setup_teardown(probe_rtt_each_ten_seconds_BBRv1_1, make, unmake),
        cmocka_unit_test_setup_teardown(random_loss_costs_nothing, make, unmake),
        cmocka_unit_test_setup_teardown(policers_are_recognised, make, unmake),
        cmocka_unit_test_setup_teardown(restarts_from_idle_at_bw, make, unmake),
        cmocka_unit_test_setup_teardown(aggregation_makes_room, make, unmake),
        cmocka_unit_test(the_filter_is_a_sliding_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
