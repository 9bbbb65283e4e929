/* SPDX-License-Identifier: MIT */
/*
 * BBR version 3 on a path whose figures are known (cc_path.h), and stepped by hand where a path would have to
 * be contrived. Expectations are those of draft-ietf-ccwg-bbr; the algorithm's file is taken in whole, so
 * that its state can be looked at.
 */
#include "unit/cc_path.h"

#include <stdlib.h>

#include "cc/cc_bbr3.c"

enum { RATE = 1250000 /* 10 Mbit/s */ };
#define RTT (40 * WEIR_MS)

static struct path *path;

static struct bbr3 *bbr(void)
{
    return state_of(&path->cc);
}

static int make(void **state)
{
    (void)state;
    path = malloc(sizeof *path);
    if (path == NULL)
        return -1;
    path_start(path, &weir_cc_bbr3, RATE, RTT, 500);
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    free(path);
    return 0;
}

static uint32_t bdp_bytes(void)
{
    return (uint32_t)(path->rate * (uint64_t)(path->rtt / WEIR_MS) / 1000);
}

static uint8_t awaited;
static bool in_state(struct path *p)
{
    return state_of(&p->cc)->state == awaited;
}

static void run_to(uint8_t wanted)
{
    awaited = wanted;
    assert_true(path_run_until(path, in_state, 30 * WEIR_SEC));
}

/* ---- STARTUP, DRAIN -------------------------------------------------------------------------------- */

/* The sending rate doubles each round trip: 2.77 is 4 ln 2. */
static void startup_doubles_BBR_01(void **state)
{
    uint64_t delivered[3];
    (void)state;
    path->rate = 125000000; /* out of reach for a while */
    assert_int_equal(pacing_gain(bbr()), 277);
    assert_int_equal(cwnd_gain(bbr()), 200);
    path_run(path, 4 * RTT);
    for (int i = 0; i < 3; i++) {
        uint64_t before = path->cc.delivered_bytes;
        path_run(path, RTT);
        delivered[i] = path->cc.delivered_bytes - before;
    }
    assert_int_equal(bbr()->state, STARTUP);
    assert_true(delivered[1] > delivered[0] * 18 / 10 && delivered[1] < delivered[0] * 23 / 10);
    assert_true(delivered[2] > delivered[1] * 18 / 10 && delivered[2] < delivered[1] * 23 / 10);
}

static uint32_t flat_rounds, rounds_in_drain;

static void watch_startup(struct path *p)
{
    struct bbr3 *b = state_of(&p->cc);
    if (b->state == STARTUP && b->round_start) {
        flat_rounds = b->full_bw_count;
    }
    if (b->state == DRAIN && b->round_start)
        rounds_in_drain++;
}

/* Three round trips in which the rate did not grow by a quarter, and no fewer. */
static void the_plateau_ends_startup_BBR_02(void **state)
{
    (void)state;
    path->seen = watch_startup;
    flat_rounds = 0;
    run_to(DRAIN);
    assert_int_equal(flat_rounds, 2); /* the third made it leave */
    assert_true(bbr()->full_bw_reached && bbr()->full_bw_now);
    assert_true(max_bw(bbr()) > RATE * 98 / 100 && max_bw(bbr()) < RATE * 102 / 100);
}

/* While the application holds back, a flat rate says nothing. */
static void app_limited_rounds_do_not_end_startup_BBR_02_BBR_08(void **state)
{
    (void)state;
    path->app_window = 5 * MSS;
    path_run(path, 4 * WEIR_SEC);
    assert_int_equal(bbr()->state, STARTUP);
    assert_false(bbr()->full_bw_reached);
}

/* One round trip of ACKs by hand, with so many ranges and bytes lost in it, in recovery; its rate says
 * nothing new. */
static void lossy_round(unsigned ranges, uint32_t lost_bytes, uint32_t tx_in_flight)
{
    struct weir_cc *cc = &path->cc;
    for (unsigned i = 0; i < ranges; i++) {
        struct weir_cc_loss loss = {.start = 1000000 + i * 10 * MSS,
                                    .bytes = lost_bytes / ranges,
                                    .tx_in_flight = tx_in_flight,
                                    .lost_since_sent = lost_bytes / ranges * (i + 1)};
        weir_cc_bbr3.on_loss(cc, &loss);
    }
    struct weir_cc_ack ack = {.acked_bytes = 10 * MSS,
                              .prior_in_flight_bytes = tx_in_flight,
                              .in_flight_bytes = tx_in_flight,
                              .rtt = RTT,
                              .ca_state = WEIR_CA_RECOVERY,
                              .in_recovery = true,
                              .has_sample = true,
                              .interval = RTT,
                              .sample_app_limited = true,
                              .sample_delivered = 10 * MSS,
                              .sample_lost = lost_bytes,
                              .sample_tx_in_flight = tx_in_flight,
                              .prior_delivered = cc->delivered_bytes};
    cc->delivered_bytes += 10 * MSS;
    path->now += RTT;
    weir_cc_bbr3.on_ack(cc, &ack, path->now);
}

static void loss_ends_startup_BBR_03(void **state)
{
    (void)state;
    path->rate = 125000000;
    path_run(path, 4 * RTT);
    assert_int_equal(bbr()->state, STARTUP);
    lossy_round(5, 5 * MSS, 100 * MSS); /* 5 %, but five ranges */
    lossy_round(0, 0, 100 * MSS);
    assert_int_equal(bbr()->state, STARTUP);
    lossy_round(8, 8 * 200, 100 * MSS); /* eight ranges, but 1.6 % */
    lossy_round(0, 0, 100 * MSS);
    assert_int_equal(bbr()->state, STARTUP);
    lossy_round(6, 6 * 500, 100 * MSS); /* 3 % in six */
    assert_true(bbr()->full_bw_reached);
    assert_true(bbr()->state == DRAIN || in_probe_bw(bbr()));
    assert_int_equal(bbr()->undo_state, STARTUP);
    uint32_t bdp = bdp_multiple(&path->cc, bbr(), bbr()->bw, 100);
    assert_int_equal(bbr()->inflight_longterm, max_u32(bdp, 10 * MSS));
}

/* Of a peer without SACK one loss is all that can be seen. */
static void any_loss_ends_startup_without_sack_BBR_03(void **state)
{
    (void)state;
    path->rate = 125000000;
    path->cc.selective_acks = false;
    path_run(path, 4 * RTT);
    lossy_round(1, 100, 100 * MSS);
    assert_true(bbr()->full_bw_reached);
}

static void drain_ends_with_the_queue_BBR_04(void **state)
{
    (void)state;
    path->seen = watch_startup;
    rounds_in_drain = 0;
    run_to(DRAIN);
    assert_int_equal(pacing_gain(bbr()), 50);
    assert_int_equal(cwnd_gain(bbr()), 200);
    assert_true(path->in_flight > inflight(&path->cc, bbr(), bbr()->bw));
    run_to(CRUISE); /* through DOWN: there is headroom */
    assert_true(path->in_flight <= inflight(&path->cc, bbr(), bbr()->bw));
    assert_in_range(rounds_in_drain, 0, 3);
}

static void drain_ends_after_three_rounds_BBR_04(void **state)
{
    (void)state;
    run_to(DRAIN);
    for (int round = 1; round <= 3; round++) {
        lossy_round(0, 0, 10 * bdp_bytes()); /* the queue does not go away */
        assert_int_equal(bbr()->state, DRAIN);
        if (bbr()->round_count == bbr()->drain_start_round + 3)
            break;
    }
    lossy_round(0, 0, 10 * bdp_bytes());
    assert_int_not_equal(bbr()->state, DRAIN);
}

/* ---- the cycle -------------------------------------------------------------------------------------- */

static uint8_t last_state;
static uint32_t visits[NO_STATE], refill_began;
static unsigned wrong_order, wrong_gain, wrong_refill, wrong_leave;
static weir_time probe_rtt_began, probe_rtt_took;

static void watch_cycle(struct path *p)
{
    struct bbr3 *b = state_of(&p->cc);
    static const uint32_t gain[] = {277, 50, 90, 100, 100, 125, 100};
    uint64_t rate = b->bw * gain[b->state] / 100 * 99 / 100;

    if (pacing_gain(b) != gain[b->state] || cwnd_gain(b) != (b->state == UP          ? 225u
                                                             : b->state == PROBE_RTT ? 50u
                                                                                     : 200u))
        wrong_gain++;
    if (b->full_bw_reached && p->cc.pacing_rate != rate)
        wrong_gain++;
    if (b->state == last_state)
        return;
    visits[b->state]++;
    if ((b->state == CRUISE && last_state != DOWN && last_state != DRAIN &&
         last_state != PROBE_RTT) ||
        (b->state == REFILL && last_state != CRUISE && last_state != DOWN) ||
        (b->state == UP && last_state != REFILL) ||
        (b->state == DOWN && last_state != UP && last_state != DRAIN))
        wrong_order++;
    if (b->state == CRUISE && last_state == DOWN &&
        (p->in_flight > inflight(&p->cc, b, max_bw(b)) ||
         p->in_flight > inflight_with_headroom(&p->cc, b)))
        wrong_leave++;
    if (b->state == REFILL) {
        refill_began = b->round_count;
        if (b->bw_shortterm != no_bw || b->inflight_shortterm != NO_INFLIGHT)
            wrong_refill++;
    }
    if (b->state == UP && b->round_count != refill_began + 1)
        wrong_refill++;
    if (b->state == PROBE_RTT)
        probe_rtt_began = p->now;
    if (last_state == PROBE_RTT)
        probe_rtt_took = p->now - probe_rtt_began;
    last_state = b->state;
}

static void watch(void)
{
    memset(visits, 0, sizeof visits);
    last_state = STARTUP;
    wrong_order = wrong_gain = wrong_refill = wrong_leave = 0;
    path->seen = watch_cycle;
}

/* A minute on a path with a deep queue. A probe each 2 to 3 s, or each 63 round trips of 40 ms: 2.5 s. */
static void the_cycle_BBR_05_BBR_07(void **state)
{
    (void)state;
    watch();
    path_run(path, 60 * WEIR_SEC);
    assert_int_equal(wrong_order, 0);
    assert_int_equal(wrong_gain, 0);
    assert_int_equal(wrong_refill, 0);
    assert_in_range(visits[UP], 15, 35);
    assert_int_equal(visits[UP], visits[REFILL]);
    assert_true(visits[CRUISE] >= visits[DOWN] - 2);
    assert_true(path->cc.delivered_bytes > (uint64_t)RATE * 60 * 93 / 100);
}

/* A queue of half a BDP sets inflight_longterm; DOWN leaves 15 % of it, and no more than a BDP. */
static void down_leaves_headroom_BBR_06(void **state)
{
    (void)state;
    path->queue_limit = 25;
    watch();
    path_run(path, 30 * WEIR_SEC);
    assert_true(bbr()->inflight_longterm != NO_INFLIGHT);
    assert_int_equal(wrong_leave, 0);
    assert_true(visits[CRUISE] > 3);
    bbr()->inflight_longterm = 100 * MSS;
    assert_int_equal(inflight_with_headroom(&path->cc, bbr()), 85 * MSS);
    bbr()->inflight_longterm = 4 * MSS;
    assert_int_equal(inflight_with_headroom(&path->cc, bbr()), 4 * MSS); /* never below the floor */
}

static void up_ends_on_a_plateau_BBR_08(void **state)
{
    (void)state;
    run_to(UP);
    uint32_t began = bbr()->round_count;
    run_to(DOWN);
    assert_true(bbr()->full_bw_now);
    assert_in_range(bbr()->round_count - began, 3, 4);
    assert_false(bbr()->prev_probe_too_high);
}

static bool drop_each_twentieth(struct path *p, uint32_t i)
{
    (void)p;
    return i % 20 == 0;
}

static void up_ends_on_loss_BBR_08(void **state)
{
    (void)state;
    run_to(UP);
    path->drop = drop_each_twentieth;
    run_to(DOWN);
    assert_false(bbr()->full_bw_now);
    assert_true(bbr()->prev_probe_too_high);
    assert_true(bbr()->inflight_longterm != NO_INFLIGHT);
    assert_true(bbr()->inflight_longterm >= bdp_bytes() * 7 / 10);
    /* The next probe is cautious: it ends where that one did, and is made again at once if that was safe. */
    path->drop = NULL;
    run_to(UP);
    run_to(DOWN);
    assert_true(bbr()->prev_probe_precautionary);
    uint32_t began = bbr()->round_count;
    run_to(REFILL);
    assert_in_range(bbr()->round_count - began, 0, 2);
}

static void up_goes_on_while_the_application_holds_back_BBR_08(void **state)
{
    (void)state;
    run_to(UP);
    bbr()->probe_rtt_min_stamp = path->now; /* not now */
    path->app_window = 20 * MSS;
    path_run(path, 3 * WEIR_SEC);
    assert_int_equal(bbr()->state, UP);
}

/* ---- PROBE_RTT ---------------------------------------------------------------------------------------- */

static uint32_t least_in_flight;
static void watch_probe_rtt(struct path *p)
{
    watch_cycle(p);
    if (state_of(&p->cc)->state == PROBE_RTT && p->in_flight < least_in_flight)
        least_in_flight = p->in_flight;
}

/* Another flow keeps the queue from emptying: no sample is as low as the first. */
static void probe_rtt_after_five_seconds_BBR_09_BBR_10(void **state)
{
    (void)state;
    run_to(CRUISE);
    watch();
    path->seen = watch_probe_rtt;
    path->rtt += 5 * WEIR_MS;
    weir_time began = bbr()->probe_rtt_min_stamp;
    least_in_flight = UINT32_MAX;
    run_to(PROBE_RTT);
    assert_in_range(path->now - began, 5 * WEIR_SEC, 5 * WEIR_SEC + 3 * RTT);
    uint32_t cwnd = bbr()->prior_cwnd, half = probe_rtt_cwnd(&path->cc, bbr());
    assert_true(path->cc.cwnd <= half);
    run_to(CRUISE); /* the pipe was full, and the queue is gone: no DOWN first */
    assert_true(least_in_flight <= half && half <= bdp_bytes() * 60 / 100);
    assert_true(probe_rtt_took >= 200 * WEIR_MS && probe_rtt_took < 300 * WEIR_MS);
    assert_true(path->cc.cwnd + 4 * MSS >= min_u32(cwnd, 2 * bdp_bytes()));
}

static void probe_rtt_in_startup_BBR_10(void **state)
{
    (void)state;
    path->app_window = 5 * MSS; /* never fills the pipe */
    path_run(path, WEIR_SEC);
    path->rtt += 5 * WEIR_MS;
    run_to(PROBE_RTT);
    run_to(STARTUP);
    assert_false(bbr()->full_bw_reached);
}

static void min_rtt_follows_the_path_BBR_11(void **state)
{
    (void)state;
    run_to(CRUISE);
    weir_time before = bbr()->min_rtt;
    path->rtt = 2 * RTT;
    path_run(path, 4 * WEIR_SEC);
    assert_int_equal(bbr()->min_rtt, before); /* ten seconds are not over */
    path_run(path, 11 * WEIR_SEC);
    assert_true(bbr()->min_rtt >= path->rtt && bbr()->min_rtt < path->rtt * 11 / 10);
}

static void idle_is_as_good_as_a_probe_BBR_12(void **state)
{
    (void)state;
    run_to(CRUISE);
    path->has_data = false;
    path_run(path, 6 * WEIR_SEC);
    assert_int_equal(path->in_flight, 0);
    watch();
    path->has_data = true;
    path_run(path, RTT / 2);
    assert_true(bbr()->idle_restart);
    assert_int_equal(path->cc.pacing_rate, bbr()->bw * 99 / 100);
    assert_true(path->in_flight <= path->rate * 20 / 1000 + 2 * MSS); /* 20 ms at bw: no burst */
    path_run(path, 3 * RTT);
    assert_int_equal(visits[PROBE_RTT], 0);
    assert_false(bbr()->idle_restart);
}

/* ---- loss outside of probes ------------------------------------------------------------------------------ */

static bool drop_half(struct path *p, uint32_t i)
{
    (void)p;
    return i % 2 == 0;
}

static void short_term_bounds_BBR_13(void **state)
{
    (void)state;
    run_to(CRUISE);
    uint64_t before = max_bw(bbr());
    lossy_round(1, MSS, 4 * MSS); /* almost nothing arrives: beta is the bound */
    lossy_round(0, 0, 4 * MSS);
    assert_true(bbr()->bw_shortterm >= before / 100 * 69 && bbr()->bw_shortterm < before);
    assert_int_equal(bbr()->bw, bbr()->bw_shortterm);
    assert_true(path->cc.cwnd >= 4 * MSS);
    path->drop = drop_half;
    path_run(path, WEIR_SEC);
    assert_true(path->cc.cwnd >= 4 * MSS);
    assert_int_equal(path->cc.pacing_rate, bbr()->bw * pacing_gain(bbr()) / 100 * 99 / 100);
}

static void a_spurious_recovery_is_undone(void **state)
{
    (void)state;
    run_to(CRUISE);
    uint32_t cwnd = path->cc.cwnd;
    lossy_round(1, MSS, 4 * MSS);
    lossy_round(0, 0, 4 * MSS);
    assert_true(bbr()->bw_shortterm != no_bw);
    weir_cc_bbr3.on_undo(&path->cc, path->now);
    assert_true(bbr()->bw_shortterm == no_bw && bbr()->inflight_shortterm == NO_INFLIGHT);
    assert_true(path->cc.cwnd >= cwnd);
}

/* ---- the rest -------------------------------------------------------------------------------------------- */

static void quantum_BBR_15(void **state)
{
    (void)state;
    path->cc.pacing_rate = 1250000; /* 10 Mbit/s: 1250 bytes in 1 ms */
    set_send_quantum(&path->cc);
    assert_int_equal(path->cc.send_quantum, 2 * MSS);
    path->cc.pacing_rate = 12500000;
    set_send_quantum(&path->cc);
    assert_int_equal(path->cc.send_quantum, 12500);
    path->cc.pacing_rate = 125000000; /* 1 Gbit/s */
    set_send_quantum(&path->cc);
    assert_int_equal(path->cc.send_quantum, 65536);
}

/* Ten times the bandwidth appears: inflight_longterm grows by 1, 2, 4, ... segments a round. */
static void finds_new_bandwidth(void **state)
{
    (void)state;
    path->queue_limit = 25;
    path_run(path, 20 * WEIR_SEC);
    path->rate = 10 * RATE;
    path->queue_limit = 250;
    path_run(path, 12 * WEIR_SEC);
    assert_true(max_bw(bbr()) > (uint64_t)10 * RATE * 90 / 100);
}

/* And goes away again: within two cycles max_bw is what there is. */
static void gives_up_lost_bandwidth(void **state)
{
    (void)state;
    path->rate = 10 * RATE;
    path_run(path, 10 * WEIR_SEC);
    path->rate = RATE;
    path->queue_limit = 50;
    path_run(path, 12 * WEIR_SEC);
    assert_true(max_bw(bbr()) < (uint64_t)RATE * 130 / 100);
}

/* draft-ietf-ccwg-bbr, ECN: a CE mark is congestion. */
static void ecn_is_congestion(void **state)
{
    (void)state;
    run_to(UP);
    struct weir_cc_ack ack = {.acked_bytes = MSS,
                              .in_flight_bytes = 60 * MSS,
                              .rtt = RTT,
                              .ece = true,
                              .has_sample = true,
                              .interval = RTT,
                              .sample_delivered = 50 * MSS,
                              .sample_tx_in_flight = 60 * MSS};
    weir_cc_bbr3.on_ack(&path->cc, &ack, path->now);
    assert_int_equal(bbr()->state, DOWN);
    assert_int_equal(bbr()->inflight_longterm, 60 * MSS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(startup_doubles_BBR_01, make, unmake),
        cmocka_unit_test_setup_teardown(the_plateau_ends_startup_BBR_02, make, unmake),
        cmocka_unit_test_setup_teardown(app_limited_rounds_do_not_end_startup_BBR_02_BBR_08, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(loss_ends_startup_BBR_03, make, unmake),
        cmocka_unit_test_setup_teardown(any_loss_ends_startup_without_sack_BBR_03, make, unmake),
        cmocka_unit_test_setup_teardown(drain_ends_with_the_queue_BBR_04, make, unmake),
        cmocka_unit_test_setup_teardown(drain_ends_after_three_rounds_BBR_04, make, unmake),
        cmocka_unit_test_setup_teardown(the_cycle_BBR_05_BBR_07, make, unmake),
        cmocka_unit_test_setup_teardown(down_leaves_headroom_BBR_06, make, unmake),
        cmocka_unit_test_setup_teardown(up_ends_on_a_plateau_BBR_08, make, unmake),
        cmocka_unit_test_setup_teardown(up_ends_on_loss_BBR_08, make, unmake),
        cmocka_unit_test_setup_teardown(up_goes_on_while_the_application_holds_back_BBR_08, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(probe_rtt_after_five_seconds_BBR_09_BBR_10, make, unmake),
        cmocka_unit_test_setup_teardown(probe_rtt_in_startup_BBR_10, make, unmake),
        cmocka_unit_test_setup_teardown(min_rtt_follows_the_path_BBR_11, make, unmake),
        cmocka_unit_test_setup_teardown(idle_is_as_good_as_a_probe_BBR_12, make, unmake),
        cmocka_unit_test_setup_teardown(short_term_bounds_BBR_13, make, unmake),
        cmocka_unit_test_setup_teardown(a_spurious_recovery_is_undone, make, unmake),
        cmocka_unit_test_setup_teardown(quantum_BBR_15, make, unmake),
        cmocka_unit_test_setup_teardown(finds_new_bandwidth, make, unmake),
        cmocka_unit_test_setup_teardown(gives_up_lost_bandwidth, make, unmake),
        cmocka_unit_test_setup_teardown(ecn_is_congestion, make, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
