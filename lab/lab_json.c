/* SPDX-License-Identifier: MIT */
/* Results as JSON. Numbers are integers wherever they are in the laboratory, so that equal runs give
 * equal bytes; times in microseconds, rates in bits per second. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir/stack.h>

#include "lab/lab.h"
#include "lab/lab_json.h"
#include "lab/lab_node.h"
#include "lab/lab_tape.h"

void wr_lab_replay(const struct lab_scenario *scenario, char *text, size_t size)
{
    size_t at = 0;
    int n = snprintf(text, size, "weir lab --seed %" PRIu64, scenario->seed);
    for (unsigned i = 0; n >= 0 && i < scenario->n_words; i++) {
        at += (size_t)n;
        if (at >= size)
            return;
        n = snprintf(text + at, size - at, strchr(scenario->word[i], ' ') ? " '%s'" : " %s",
                     scenario->word[i]);
    }
}

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

json_t *wr_lab_json_time(weir_time t)
{
    return t < 0 ? json_null() : json_integer((json_int_t)(t / WEIR_US));
}

/* json_object_set_new() of NULL fails and says so. */
static int put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value);
}

json_t *wr_lab_json_drops(const uint64_t dropped[LAB_N_CAUSES])
{
    json_t *object = json_object();
    for (int i = 0; i < LAB_N_CAUSES; i++)
        put(object, wr_lab_cause_name((enum lab_cause)i), integer(dropped[i]));
    return object;
}

void wr_lab_json_row(json_t *rows, const uint64_t *row, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, integer(row[i]));
    json_array_append_new(rows, array);
}

static json_t *flow_series(const struct lab_flow_result *flow)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < flow->n_samples; i++) {
        const struct lab_sample *s = &flow->samples[i];
        const uint64_t row[] = {(uint64_t)(s->at / WEIR_US),
                                s->cwnd,
                                s->ssthresh,
                                s->unacked,
                                s->lost,
                                s->retrans,
                                s->srtt_us,
                                s->rttvar_us,
                                s->rto_us,
                                s->ca_state,
                                s->received};
        wr_lab_json_row(rows, row, sizeof row / sizeof *row);
    }
    return rows;
}

static json_t *queue_series(const struct lab *lab)
{
    size_t n;
    const struct lab_queue_sample *samples = wr_lab_bottleneck_series(lab, &n);
    json_t *rows = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct lab_queue_sample *s = &samples[i];
        const uint64_t row[] = {
            (uint64_t)(s->at / WEIR_US), s->packets, s->bytes, s->out_bytes, s->dropped, s->marked};
        wr_lab_json_row(rows, row, sizeof row / sizeof *row);
    }
    return rows;
}

json_t *wr_lab_json_columns(const char *names)
{
    json_t *array = json_array();
    while (*names != '\0') {
        size_t len = strcspn(names, " ");
        json_array_append_new(array, json_stringn(names, len));
        names += len + (names[len] == ' ');
    }
    return array;
}

static json_t *exchanges(const struct lab_flow_result *flow)
{
    json_t *object = json_object();
    put(object, "count", integer(flow->n_exchanges));
    put(object, "p50_us", wr_lab_json_time(wr_lab_exchange_percentile(flow, 50)));
    put(object, "p95_us", wr_lab_json_time(wr_lab_exchange_percentile(flow, 95)));
    put(object, "p99_us", wr_lab_json_time(wr_lab_exchange_percentile(flow, 99)));
    put(object, "max_us", wr_lab_json_time(wr_lab_exchange_percentile(flow, 100)));
    return object;
}

static json_t *flow_json(const struct lab *lab, unsigned number)
{
    const struct lab_flow_result *flow = wr_lab_flow(lab, number);
    const struct weir_tcp_info *info = &flow->info;
    json_t *object = json_object();
    put(object, "flow", integer(number));
    put(object, "cc", json_string(flow->cc));
    put(object, "error", json_integer(flow->error));
    put(object, "corrupt", json_boolean(flow->corrupt));
    put(object, "began_us", wr_lab_json_time(flow->began_at));
    put(object, "connected_us", wr_lab_json_time(flow->connected_at));
    put(object, "completed_us", wr_lab_json_time(flow->completed_at));
    put(object, "received_bytes", integer(flow->received));
    put(object, "goodput_bps", integer(flow->goodput_bps));
    put(object, "steady_bps", integer(flow->steady_bps));
    put(object, "retransmits", integer(info->tcpi_total_retrans));
    put(object, "retransmitted_bytes", integer(info->tcpi_bytes_retrans));
    put(object, "rto", integer(info->tcpi_total_rto));
    put(object, "rto_recoveries", integer(info->tcpi_total_rto_recoveries));
    put(object, "dsack_dups", integer(info->tcpi_dsack_dups));
    put(object, "reordering", integer(info->tcpi_reordering));
    put(object, "reord_seen", integer(info->tcpi_reord_seen));
    put(object, "segments_out", integer(info->tcpi_segs_out));
    put(object, "segments_in", integer(info->tcpi_segs_in));
    put(object, "delivered_ce", integer(info->tcpi_delivered_ce));
    put(object, "cwnd", integer(info->tcpi_snd_cwnd));
    put(object, "ssthresh", integer(info->tcpi_snd_ssthresh));
    put(object, "srtt_us", integer(info->tcpi_rtt));
    put(object, "min_rtt_us", integer(info->tcpi_min_rtt));
    if (wr_lab_scenario(lab)->traffic == LAB_RR)
        put(object, "exchanges", exchanges(flow));
    put(object, "dropped", wr_lab_json_drops(flow->dropped));
    put(object, "series", flow_series(flow));
    return object;
}

json_t *wr_lab_json_queue(const struct lab_queue_config *config,
                          const struct lab_queue_stats *stats, weir_time elapsed)
{
    weir_time mean =
        stats->out_packets > 0 ? stats->sojourn_sum / (weir_time)stats->out_packets : 0;
    double could = (double)config->rate_bps * (double)elapsed / 1e9;
    double used = could > 0 ? (double)stats->out_bytes * 8 / could : 0;
    json_t *object = json_object();
    put(object, "rate_bps", integer(config->rate_bps));
    put(object, "limit_packets", integer(config->limit_packets));
    put(object, "limit_bytes", integer(config->limit_bytes));
    put(object, "in_packets", integer(stats->in_packets));
    put(object, "in_bytes", integer(stats->in_bytes));
    put(object, "out_packets", integer(stats->out_packets));
    put(object, "out_bytes", integer(stats->out_bytes));
    put(object, "dropped_full", integer(stats->dropped_full));
    put(object, "dropped_aqm", integer(stats->dropped_aqm));
    put(object, "marked", integer(stats->marked));
    put(object, "max_packets", integer(stats->max_packets));
    put(object, "max_bytes", integer(stats->max_bytes));
    put(object, "sojourn_mean_us", wr_lab_json_time(mean));
    put(object, "sojourn_max_us", wr_lab_json_time(stats->sojourn_max));
    put(object, "busy_us", wr_lab_json_time(stats->busy));
    put(object, "utilisation_ppm", integer((uint64_t)(used * 1e6 + 0.5)));
    return object;
}

static json_t *queue_json(const struct lab *lab)
{
    json_t *object = wr_lab_json_queue(&wr_lab_scenario(lab)->forward.queue, wr_lab_bottleneck(lab),
                                       wr_lab_elapsed(lab));
    put(object, "series_columns",
        wr_lab_json_columns("t_us packets bytes out_bytes dropped marked"));
    put(object, "series", queue_series(lab));
    return object;
}

json_t *wr_lab_json_counters(struct weir_stack *const *stacks, size_t n_stacks)
{
    json_t *object = json_object(), *dropped = json_object();
    for (unsigned kind = 0; kind < weir_stat_kinds(); kind++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < n_stacks; i++)
            sum += stacks[i] != NULL ? weir_stat_count(stacks[i], kind) : 0;
        if (sum > 0)
            put(object, weir_stat_name(kind), integer(sum));
    }
    for (unsigned reason = 0; reason < weir_drop_reasons(); reason++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < n_stacks; i++)
            sum += stacks[i] != NULL ? weir_drop_count(stacks[i], reason) : 0;
        if (sum > 0)
            put(dropped, weir_drop_name(reason), integer(sum));
    }
    put(object, "dropped", dropped);
    return object;
}

static json_t *counters(const struct lab *lab, bool senders)
{
    struct weir_stack *stacks[LAB_FLOWS_MAX];
    unsigned n = 0;
    while (n < LAB_FLOWS_MAX && (stacks[n] = wr_lab_stack(lab, senders, n)) != NULL)
        n++;
    return wr_lab_json_counters(stacks, n);
}

json_t *wr_lab_json(const struct lab *lab)
{
    const struct lab_scenario *scenario = wr_lab_scenario(lab);
    char replay[LAB_WORDS_MAX * 164 + 64];
    char trace[24];
    json_t *object = json_object(), *flows = json_array();
    wr_lab_replay(scenario, replay, sizeof replay);
    snprintf(trace, sizeof trace, "%016" PRIx64, wr_lab_trace(lab));
    put(object, "replay", json_string(replay));
    put(object, "seed", integer(scenario->seed));
    put(object, "elapsed_us", wr_lab_json_time(wr_lab_elapsed(lab)));
    put(object, "trace", json_string(trace));
    put(object, "fairness_ppm", integer((uint64_t)(wr_lab_fairness(lab) * 1e6 + 0.5)));
    put(object, "dropped", wr_lab_json_drops(wr_lab_dropped(lab)));
    put(object, "bottleneck", queue_json(lab));
    put(object, "sender_counters", counters(lab, true));
    put(object, "receiver_counters", counters(lab, false));
    put(object, "series_columns",
        wr_lab_json_columns(
            "t_us cwnd ssthresh unacked lost retrans srtt_us rttvar_us rto_us ca_state received"));
    for (unsigned i = 0; i < wr_lab_n_flows(lab); i++)
        json_array_append_new(flows, flow_json(lab, i));
    put(object, "flows", flows);
    if (wr_lab_tape(lab) != NULL)
        put(object, "tape", wr_lab_tape_json(wr_lab_tape(lab), LAB_EPOCH));
    return object;
}
