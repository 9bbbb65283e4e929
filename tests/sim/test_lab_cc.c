/* SPDX-License-Identifier: MIT */
/*
 * Congestion control over real connections: what each algorithm gets out of a path, and what it leaves to
 * others. The command of each row is "weir lab" and its words. Response functions, and goodput of Reno
 * and CUBIC by themselves, are in test_lab_goodput.c.
 */

#include "sim/lab_words.h"

/* Share of the bottleneck, in data, that the first flow must reach once it is under way.
 *
 * BBR version 1 takes no notice of loss below 20 %: it gets what arrives, less 1 % of margin and 2 % for
 * PROBE_RTT (200 ms in 10 s). Version 3 follows loss down for so long as it does not probe, by 1 % a round
 * trip at 1 %: over the 25 to 62 round trips between probes that is 0.88 to 0.76 on average, less what
 * chance puts above 2 % within one probe. */
struct floor {
    const char *words;
    double rate, share;
};

static const struct floor floors[] = {
    {"rate=10mbit rtt=50ms queue=1bdp cc=bbr loss=1% time=30s warmup=5s", 10e6, 0.92},
    {"rate=50mbit rtt=50ms queue=1bdp cc=bbr loss=1% time=30s warmup=5s", 50e6, 0.92},
    {"rate=50mbit rtt=100ms queue=1bdp cc=bbr loss=1% time=30s warmup=5s", 50e6, 0.92},
    {"rate=50mbit rtt=40ms queue=1bdp cc=bbr loss=5% time=30s warmup=5s", 50e6, 0.85},
    {"rate=50mbit rtt=50ms queue=1bdp cc=bbr3 loss=1% time=30s warmup=5s", 50e6, 0.74},
    {"rate=50mbit rtt=100ms queue=1bdp cc=bbr3 loss=1% time=30s warmup=5s", 50e6, 0.80},
    {"rate=50mbit rtt=50ms queue=1bdp cc=bbr3 loss=0.1% time=30s warmup=5s", 50e6, 0.86},
    {"rate=10mbit rtt=50ms queue=1bdp cc=bbr time=30s warmup=5s", 10e6, 0.95},
    {"rate=10mbit rtt=50ms queue=1bdp cc=bbr3 time=30s warmup=5s", 10e6, 0.94},
    {"rate=50mbit rtt=50ms queue=0.25bdp cc=bbr time=30s warmup=5s", 50e6, 0.93},
    {"rate=50mbit rtt=50ms queue=0.25bdp cc=bbr3 time=30s warmup=5s", 50e6, 0.92},
    {"rate=10mbit rtt=50ms queue=1bdp cc=bbr ack-loss=20% time=30s warmup=5s", 10e6, 0.94},
    {"rate=10mbit rtt=50ms queue=1bdp cc=bbr3 ack-loss=20% time=30s warmup=5s", 10e6, 0.93},
    {"rate=10mbit rtt=50ms queue=1bdp cc=bbr jitter=15ms time=30s warmup=5s", 10e6, 0.94},
    {"rate=10mbit rtt=50ms queue=1bdp cc=bbr3 jitter=15ms time=30s warmup=5s", 10e6, 0.90},
    {"rate=50mbit rtt=50ms queue=1bdp cc=bbr reorder=5%,3ms time=30s warmup=5s", 50e6, 0.93},
    {"rate=50mbit rtt=50ms queue=1bdp cc=bbr3 reorder=5%,3ms time=30s warmup=5s", 50e6, 0.90},
    {"rate=50mbit rtt=50ms policer=5mbit,30kb cc=bbr time=30s warmup=5s", 5e6, 0.92},
    {"rate=50mbit rtt=50ms policer=5mbit,30kb cc=bbr3 time=30s warmup=5s", 5e6, 0.90},
    {"rate=10mbit rtt=50ms aqm=codel cc=bbr time=30s warmup=5s", 10e6, 0.94},
    {"rate=10mbit rtt=50ms aqm=codel cc=bbr3 time=30s warmup=5s", 10e6, 0.88},
    {"rate=10mbit rtt=50ms queue=1bdp cc=bbr ip=6 time=30s warmup=5s", 10e6, 0.93},
    /* Pacing takes nothing away from those that do not need it. */
    {"rate=10mbit rtt=50ms queue=1bdp cc=reno weir.tcp_pacing=1 time=30s warmup=5s", 10e6, 0.97},
    {"rate=50mbit rtt=50ms queue=1bdp cc=cubic weir.tcp_pacing=1 time=30s warmup=5s", 50e6, 0.97},
};

static void goodput_is_above_its_floor(void **state)
{
    unsigned wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof floors / sizeof *floors; i++) {
        struct lab *lab = run_words(floors[i].words);
        double share = share_of(lab, floors[i].rate);
        print_message("%.3f, floor %.2f: %s\n", share, floors[i].share, floors[i].words);
        wrong += share < floors[i].share || share > 1.02;
        wr_lab_free(lab);
    }
    assert_int_equal(wrong, 0);
}

/* Ends up at the token rate without losing more than it must: two intervals of loss, then 48 round trips at
 * what was delivered. */
static void bbr_recognises_a_policer(void **state)
{
    (void)state;
    struct lab *lab =
        run_words("rate=50mbit rtt=50ms policer=5mbit,30kb cc=bbr time=60s warmup=5s");
    const struct lab_flow_result *flow = wr_lab_flow(lab, 0);
    assert_true((double)flow->info.tcpi_total_retrans <
                0.1 * (double)flow->info.tcpi_data_segs_out);
    wr_lab_free(lab);
}

/* Flows of one kind and one round trip: Jain's index. BBR version 1 needs a queue that all the flows' 2 BDP fit
 * in: in smaller ones it loses up to a fifth of what it sends, some take that for a policer, and shares
 * drift (0.4 to 0.9 with 8 and 16 flows at 1 BDP, 0.85 to 0.99 at 2 BDP); 16 flows of ten segments each
 * vary by the place in the cycle where each begins (0.93 to 0.99). */
static void equal_flows_share_equally(void **state)
{
    static const struct {
        const char *cc, *queue;
        double least, least_of_16;
    } rows[] = {{"bbr", "4bdp", 0.95, 0.85}, {"bbr3", "1bdp", 0.95, 0.95}};
    (void)state;
    for (unsigned n = 2; n <= 16; n *= 2) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            char words[256];
            snprintf(words, sizeof words,
                     "topology=dumbbell rate=%umbit rtt=40ms queue=%s flows=%u cc=%s "
                     "stagger=137ms time=60s warmup=20s",
                     3 * n, rows[i].queue, n, rows[i].cc);
            struct lab *lab = run_words(words);
            print_message("%.4f: %s\n", wr_lab_fairness(lab), words);
            assert_true(wr_lab_fairness(lab) > (n < 16 ? rows[i].least : rows[i].least_of_16));
            assert_true(wr_lab_utilisation(lab) > 0.95);
            wr_lab_free(lab);
        }
    }
}

static double ratio_of(const char *words)
{
    struct lab *lab = run_words(words);
    double ratio =
        (double)wr_lab_flow(lab, 1)->steady_bps / (double)wr_lab_flow(lab, 0)->steady_bps;
    print_message("%.3f: %s\n", ratio, words);
    wr_lab_free(lab);
    return ratio;
}

/* RFC 9438 4.3 and 5.2, 5.3: where windows are small CUBIC is Reno's equal, but that it grows as fast as Reno
 * once it is past its old window, from 0.7 of it and not from half; where they are large it is the faster, by
 * (1.054 RTT^0.75 / p^0.75) / (1.22 / p^0.5). */
static void cubic_beside_reno(void **state)
{
    (void)state;
    double near = ratio_of("topology=dumbbell rate=10mbit rtt=20ms queue=1bdp flows=2 "
                           "cc=reno,cubic time=120s warmup=20s");
    assert_true(near > 0.8 && near < 2.0);
    double far = ratio_of("topology=dumbbell rate=50mbit rtt=100ms queue=1bdp flows=2 "
                          "cc=reno,cubic time=120s warmup=20s");
    assert_true(far > 2 && far < 8);
}

/* What loss-based flows keep beside BBR. Version 1 in a queue of one BDP leaves CUBIC little; version 3 leaves
 * headroom, and probes no more often than Reno would. In deep queues CUBIC has the larger share. */
static void what_bbr_leaves_to_cubic(void **state)
{
    (void)state;
    double v3 = ratio_of("topology=dumbbell rate=20mbit rtt=40ms queue=1bdp flows=2 "
                         "cc=bbr3,cubic time=60s warmup=20s");
    double v1 = ratio_of("topology=dumbbell rate=20mbit rtt=40ms queue=1bdp flows=2 "
                         "cc=bbr,cubic time=60s warmup=20s");
    assert_true(v3 > 0.2 && v3 > 2 * v1);
    double deep = ratio_of("topology=dumbbell rate=20mbit rtt=40ms queue=4bdp flows=2 "
                           "cc=bbr3,cubic time=60s warmup=20s");
    assert_true(deep > 0.6);
}

/* Queues stay short: BBR in a queue of eight BDP keeps the round trip under 2 BDP's worth, where CUBIC fills
 * it. */
static void bbr_does_not_fill_queues(void **state)
{
    static const char *const ccs[] = {"bbr", "bbr3"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        char words[200];
        snprintf(words, sizeof words, "rate=20mbit rtt=40ms queue=8bdp cc=%s time=20s warmup=5s",
                 ccs[i]);
        struct lab *lab = run_words(words);
        assert_in_range(wr_lab_flow(lab, 0)->info.tcpi_rtt, 40000, 80000);
        assert_true(share_of(lab, 20e6) > 0.94);
        wr_lab_free(lab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goodput_is_above_its_floor), cmocka_unit_test(bbr_recognises_a_policer),
        cmocka_unit_test(equal_flows_share_equally),  cmocka_unit_test(cubic_beside_reno),
        cmocka_unit_test(what_bbr_leaves_to_cubic),   cmocka_unit_test(bbr_does_not_fill_queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
