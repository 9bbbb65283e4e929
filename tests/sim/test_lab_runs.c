/* SPDX-License-Identifier: MIT */
/* Scenarios as a whole: words in, a run, results out; the same each time. */
#include <inttypes.h>

#include "sim/lab_words.h"

/* The caller frees it. */
static char *json_of(const char *words)
{
    struct lab *lab = run_words(words);
    json_t *json = wr_lab_json(lab);
    char *text = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
    assert_non_null(text);
    json_decref(json);
    wr_lab_free(lab);
    return text;
}

/* ---- repeatability ------------------------------------------------------------------------------- */

static const char *const scenarios[] = {
    "time=2s rate=10mbit rtt=40ms loss=1% flows=3",
    "time=2s rate=10mbit rtt=40ms queue=20 aqm=red flows=2 cc=reno",
    "time=2s rate=10mbit rtt=40ms aqm=codel flows=2 topology=dumbbell spread=10ms ecn=on",
    "time=2s rate=10mbit rtt=40ms jitter=5ms,free burst-loss=1%,30% ack-loss=10%",
    "time=2s rate=10mbit rtt=40ms policer=5mbit,20kb reorder=5%",
    "time=2s rate=10mbit rtt=40ms traffic=rr think=5ms flows=4 loss=1%",
    "time=2s rate=10mbit rtt=40ms traffic=onoff flows=4 stagger=100ms ip=6",
};

static void the_same_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        char *one = json_of(scenarios[i]), *two = json_of(scenarios[i]);
        assert_string_equal(one, two);
        free(one);
        free(two);
    }
}

static void another_seed_gives_another_run(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        char words[256];
        snprintf(words, sizeof words, "%s seed=2", scenarios[i]);
        struct lab *one = run_words(scenarios[i]), *two = run_words(words);
        assert_int_not_equal(wr_lab_trace(one), wr_lab_trace(two));
        wr_lab_free(one);
        wr_lab_free(two);
    }
}

static void the_replay_line_names_the_run(void **state)
{
    char line[512];
    (void)state;
    struct lab *lab = run_words("time=1s seed=77 rtt=10ms bytes=20kb net.ipv4.tcp_sack=0");
    wr_lab_replay(wr_lab_scenario(lab), line, sizeof line);
    assert_string_equal(line, "weir lab --seed 77 time=1s rtt=10ms bytes=20kb net.ipv4.tcp_sack=0");
    wr_lab_replay(wr_lab_scenario(lab), line, 20);
    assert_string_equal(line, "weir lab --seed 77 ");
    wr_lab_free(lab);
}

/* ---- what the results say ------------------------------------------------------------------------ */

/* Handshake and data on a perfect path: one round trip to connect; ten segments are the initial window
 * (RFC 6928), so 14480 bytes with the FIN take half a round trip more. */
static void a_short_flow_takes_a_round_trip_and_a_half(void **state)
{
    (void)state;
    struct lab *lab = run_words("rtt=100ms bytes=14480b");
    const struct lab_flow_result *flow = wr_lab_flow(lab, 0);
    assert_int_equal(flow->connected_at, 100 * WEIR_MS);
    assert_int_equal(flow->completed_at, 150 * WEIR_MS);
    assert_int_equal(flow->received, 14480);
    assert_int_equal(flow->goodput_bps, 14480 * 8 * 1000 / 150);
    assert_int_equal(flow->info.tcpi_total_retrans, 0);
    wr_lab_free(lab);
}

/* One exchange is the request's way, the response's way and what the link needs for its packets. */
static void an_exchange_takes_what_the_path_takes(void **state)
{
    (void)state;
    struct lab *lab = run_words(
        "rtt=100ms rate=10mbit traffic=rr request=100b response=1000b count=20 think=1ms");
    const struct lab_flow_result *flow = wr_lab_flow(lab, 0);
    assert_int_equal(flow->n_exchanges, 20);
    assert_int_equal(flow->n_kept, 20);
    /* 1000 bytes, 32 of TCP with timestamps and 20 of IPv4 at 0.8 us a byte */
    for (size_t i = 0; i < flow->n_kept; i++)
        assert_int_equal(flow->exchange[i], 100 * WEIR_MS + 1052 * 800);
    assert_int_equal(wr_lab_exchange_percentile(flow, 50), 100 * WEIR_MS + 1052 * 800);
    assert_true(flow->completed_at > 20 * 100 * WEIR_MS);
    wr_lab_free(lab);
}

/* A full pipe carries 1448 bytes of data in each 1500 bytes. */
static void a_saturated_link_carries_its_rate(void **state)
{
    (void)state;
    struct lab *lab = run_words("rate=10mbit rtt=20ms time=10s warmup=1s queue=100");
    double share = (double)wr_lab_flow(lab, 0)->steady_bps / (10e6 * 1448 / 1500);
    assert_true(share > 0.99 && share <= 1.001);
    assert_true(wr_lab_utilisation(lab) > 0.97 && wr_lab_utilisation(lab) <= 1);
    wr_lab_free(lab);
}

/* The mean wait of a bottleneck that is always busy is what round trips gain, and bytes are conserved. */
static void what_goes_in_comes_out_or_is_counted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        struct lab *lab = run_words(scenarios[i]);
        const struct lab_queue_stats *queue = wr_lab_bottleneck(lab);
        uint64_t left = queue->in_packets - queue->out_packets;
        if (strstr(scenarios[i], "codel") != NULL) /* drops what it has taken in */
            left -= queue->dropped_aqm;
        assert_in_range(left, 0, 1001);
        const uint64_t *dropped = wr_lab_dropped(lab);
        assert_int_equal(dropped[LAB_QUEUE_FULL], queue->dropped_full);
        assert_int_equal(dropped[LAB_AQM], queue->dropped_aqm);
        for (int c = 0; c < LAB_N_CAUSES; c++) {
            uint64_t sum = 0;
            for (unsigned f = 0; f < wr_lab_n_flows(lab); f++)
                sum += wr_lab_flow(lab, f)->dropped[c];
            if (c != LAB_NO_ROUTE)
                assert_int_equal(sum, dropped[c]);
        }
        wr_lab_free(lab);
    }
}

static void flows_of_a_dumbbell_have_their_own_round_trips(void **state)
{
    (void)state;
    struct lab *lab = run_words(
        "rtt=20ms flows=3 topology=dumbbell spread=30ms traffic=rr response=100b count=3");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(wr_lab_flow(lab, i)->exchange[1], (20 + 30 * i) * WEIR_MS);
    wr_lab_free(lab);
}

static void samples_come_when_asked_for(void **state)
{
    (void)state;
    struct lab *lab = run_words("rate=10mbit rtt=20ms time=1s sample=50ms");
    const struct lab_flow_result *flow = wr_lab_flow(lab, 0);
    assert_int_equal(flow->n_samples, 20);
    size_t n;
    const struct lab_queue_sample *queue = wr_lab_bottleneck_series(lab, &n);
    assert_int_equal(n, 20);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(queue[i].at, flow->samples[i].at);
        assert_true(queue[i].bytes <= 1500 * (uint64_t)queue[i].packets);
        assert_true(i == 0 || queue[i].out_bytes >= queue[i - 1].out_bytes);
    }
    /* the last tenth of a second at full rate, but for what is on the link */
    assert_true(queue[n - 1].out_bytes - queue[n - 3].out_bytes > 120000);
    for (size_t i = 0; i < flow->n_samples; i++) {
        assert_int_equal(flow->samples[i].at, (weir_time)(i + 1) * 50 * WEIR_MS);
        assert_true(flow->samples[i].cwnd >= 10);
        assert_true(flow->samples[i].srtt_us >= 20000);
        assert_true(i == 0 || flow->samples[i].received >= flow->samples[i - 1].received);
    }
    wr_lab_free(lab);
}

static uint64_t json_number(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* What stacks counted is told by Linux's names, and agrees with the flows' own figures. */
static void counters_say_what_recovery_did(void **state)
{
    (void)state;
    struct lab *lab = run_words("time=5s rate=10mbit rtt=40ms loss=1% flows=2 topology=dumbbell");
    json_t *json = wr_lab_json(lab), *counters = json_object_get(json, "sender_counters");
    uint64_t retransmits = 0, timeouts = 0;
    for (unsigned i = 0; i < wr_lab_n_flows(lab); i++) {
        retransmits += wr_lab_flow(lab, i)->info.tcpi_total_retrans;
        timeouts += wr_lab_flow(lab, i)->info.tcpi_total_rto;
    }
    assert_true(retransmits > 0);
    assert_int_equal(json_number(counters, "TcpRetransSegs"), retransmits);
    assert_int_equal(json_number(counters, "TcpExtTCPTimeouts"), timeouts);
    assert_int_equal(json_number(counters, "TcpActiveOpens"), 2);
    counters = json_object_get(json, "receiver_counters");
    assert_int_equal(json_number(counters, "TcpPassiveOpens"), 2);
    assert_null(json_object_get(counters, "TcpActiveOpens")); /* no zeros */
    json_decref(json);
    wr_lab_free(lab);
}

static void flows_choose_their_algorithm(void **state)
{
    (void)state;
    struct lab *lab = run_words("rtt=10ms rate=10mbit flows=3 cc=reno,cubic time=1s");
    assert_string_equal(wr_lab_flow(lab, 0)->cc, "reno");
    assert_string_equal(wr_lab_flow(lab, 1)->cc, "cubic");
    assert_string_equal(wr_lab_flow(lab, 2)->cc, "reno");
    wr_lab_free(lab);
}

/* ---- words --------------------------------------------------------------------------------------- */

static void numbers_are_exact(void **state)
{
    static struct lab_scenario s;
    (void)state;
    read_words(&s, "rate=1.5mbit rtt=0.5ms queue=2.5bdp loss=1% ack-loss=0.25 policer=3kbit,1.5kb "
                   "time=1min sample=0 reorder=5%,7us burst-loss=1%,0.5,100% stall=1s,20ms");
    assert_int_equal(s.forward.queue.rate_bps, 1500000);
    assert_int_equal(s.forward.delay.delay, 250 * WEIR_US);
    assert_int_equal(s.back.delay.delay, 250 * WEIR_US);
    assert_int_equal(s.queue_bdp_percent, 250);
    assert_int_equal(s.forward.loss.loss, LAB_ONE / 100);
    assert_int_equal(s.back.ack_loss, LAB_ONE / 4);
    assert_int_equal(s.forward.policer.rate_bps, 3000);
    assert_int_equal(s.forward.policer.burst_bytes, 1500);
    assert_int_equal(s.duration, 60 * WEIR_SEC);
    assert_int_equal(s.sample, 0);
    assert_int_equal(s.forward.delay.reorder_delay, 7 * WEIR_US);
    assert_int_equal(s.forward.loss.to_good, LAB_ONE / 2);
    assert_int_equal(s.forward.loss.loss_in_bad, LAB_ONE);
    assert_int_equal(s.forward.delay.stall_for, 20 * WEIR_MS);
    assert_int_equal(s.n_words, 11);
}

static void wrong_words_are_refused(void **state)
{
    static const char *const words[] = {"rate",
                                        "rate=",
                                        "rate=fast",
                                        "rate=10mb",
                                        "rate=10mbit,",
                                        "rtt=50",
                                        "rtt=-1ms",
                                        "rtt=5ms,5ms",
                                        "loss=2",
                                        "loss=101%",
                                        "loss=-1%",
                                        "flows=0",
                                        "flows=257",
                                        "flows=1.5x",
                                        "queue=0",
                                        "queue=10mbit",
                                        "aqm=fifo",
                                        "aqm=red,15,5",
                                        "aqm=codel,5ms",
                                        "policer=1mbit",
                                        "policer=0,1kb",
                                        "time=0ms",
                                        "mtu=100",
                                        "ip=5",
                                        "cc=",
                                        "cc=,reno",
                                        "net.x=",
                                        "seed=x",
                                        "seed=-1",
                                        "jitter=1ms,x",
                                        "topology=bus",
                                        "traffic=udp",
                                        "burst-loss=1%,0",
                                        "colour=red",
                                        "on=0ms",
                                        "ecn=yes",
                                        "back-queue=1bdp",
                                        "rate=99999999999999999999bit"};
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        static struct lab_scenario scenario;
        const char *why = NULL;
        wr_lab_scenario_default(&scenario);
        if (wr_lab_scenario_word(&scenario, words[i], &why))
            fail_msg("\"%s\" was taken", words[i]);
        assert_non_null(why);
    }
}

static void contradictions_are_refused(void **state)
{
    static const char *const words[][2] = {{"time=1s", "warmup=1s"},  {"time=100s", "sample=1us"},
                                           {"queue=1bdp", "rtt=1ms"}, {"aqm=codel", "rtt=1ms"},
                                           {"ip=6", "mtu=1000"},      {"spread=1ms", "flows=2"}};
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        static struct lab_scenario scenario;
        struct lab *lab = NULL;
        const char *why;
        wr_lab_scenario_default(&scenario);
        assert_true(wr_lab_scenario_word(&scenario, words[i][0], &why));
        assert_true(wr_lab_scenario_word(&scenario, words[i][1], &why));
        assert_non_null(wr_lab_scenario_check(&scenario));
        assert_int_equal(wr_lab_new(&scenario, &lab), WEIR_EINVAL);
    }
}

static void unknown_tunables_and_algorithms_are_refused(void **state)
{
    static struct lab_scenario scenario;
    struct lab *lab = NULL;
    (void)state;
    read_words(&scenario, "net.ipv4.no_such_thing=1");
    assert_int_equal(wr_lab_new(&scenario, &lab), WEIR_EINVAL);
    read_words(&scenario, "cc=nosuch rtt=1ms time=1s");
    assert_int_equal(wr_lab_new(&scenario, &lab), 0);
    assert_int_equal(wr_lab_run(lab), 0);
    assert_int_equal(wr_lab_flow(lab, 0)->error, WEIR_ENOENT); /* as setsockopt(2) answers */
    wr_lab_free(lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(another_seed_gives_another_run),
        cmocka_unit_test(the_replay_line_names_the_run),
        cmocka_unit_test(a_short_flow_takes_a_round_trip_and_a_half),
        cmocka_unit_test(an_exchange_takes_what_the_path_takes),
        cmocka_unit_test(a_saturated_link_carries_its_rate),
        cmocka_unit_test(what_goes_in_comes_out_or_is_counted),
        cmocka_unit_test(flows_of_a_dumbbell_have_their_own_round_trips),
        cmocka_unit_test(samples_come_when_asked_for),
        cmocka_unit_test(counters_say_what_recovery_did),
        cmocka_unit_test(flows_choose_their_algorithm),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(wrong_words_are_refused),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(unknown_tunables_and_algorithms_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
