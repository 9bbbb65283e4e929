/* SPDX-License-Identifier: MIT */
/* A network laid out, run, and asked. See lab.h for the picture. */
#include "lab/lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/stack.h>

#include "lab/lab_flow.h"
#include "lab/lab_queue.h"
#include "lab/lab_tape.h"

struct clock {
    struct lab_node node; /* first */
    struct lab *lab;
    weir_time sample_at, warm_at; /* WEIR_TIME_NEVER: no more */
};

struct lab {
    struct lab_scenario scenario;
    struct lab_net net;
    uint8_t pattern[2 * LAB_PATTERN_PERIOD];
    unsigned n_pairs;
    struct lab_host *sender[LAB_FLOWS_MAX], *receiver[LAB_FLOWS_MAX];
    struct lab_flow *flow[LAB_FLOWS_MAX];
    uint64_t dropped[LAB_FLOWS_MAX][LAB_N_CAUSES];
    struct lab_node *bottleneck;
    struct lab_queue_sample *series; /* of the bottleneck */
    size_t n_series;
    struct lab_tally tally;
    uint64_t trace;
};

/* ---- layout -------------------------------------------------------------------------------------- */

static struct weir_addr address(const struct lab *lab, unsigned side, unsigned number)
{
    if (!lab->scenario.ip6)
        return weir_addr_v4(0x0a000000u | side << 16 | (number + 1));
    struct weir_addr addr = weir_addr_any6();
    addr.b[0] = 0xfd;
    addr.b[7] = (uint8_t)side;
    addr.b[14] = (uint8_t)((number + 1) >> 8);
    addr.b[15] = (uint8_t)(number + 1);
    return addr;
}

static void on_event(void *arg, const struct weir_event *event, weir_time now)
{
    struct lab *lab = arg;
    unsigned number = wr_lab_flow_of(event);
    if (number < lab->scenario.n_flows && lab->flow[number] != NULL)
        wr_lab_flow_event(lab->flow[number], event, now);
}

static int set_sysctls(const struct lab *lab, struct weir_stack *stack)
{
    for (unsigned i = 0; i < lab->scenario.n_sysctls; i++) {
        const struct lab_sysctl *sysctl = &lab->scenario.sysctl[i];
        int error = weir_sysctl_write(stack, sysctl->name, sysctl->value);
        if (error != 0)
            return error == WEIR_ENOMEM ? error : WEIR_EINVAL;
    }
    return 0;
}

static int add_host(struct lab *lab, unsigned side, unsigned number, struct lab_node *way_out,
                    struct lab_node *router, struct lab_host **made)
{
    struct weir_addr addr = address(lab, side, number);
    char name[24];
    snprintf(name, sizeof name, "%s %u", side == 1 ? "sender" : "receiver", number);
    struct lab_host *host = wr_lab_host_new(&lab->net, name, &addr, lab->scenario.mtu);
    if (host == NULL)
        return WEIR_ENOMEM;
    host->node.next = way_out;
    host->on_event = on_event;
    host->arg = lab;
    host->trace = &lab->trace;
    host->number = (int)(2 * number + side - 1);
    *made = host;
    int error = set_sysctls(lab, host->stack);
    return error != 0 ? error : wr_lab_router_add(router, &addr, &host->node);
}

static int add_pair(struct lab *lab, unsigned number, struct lab_node *forward,
                    struct lab_node *back, struct lab_node *routers[2])
{
    struct lab_delay_config more = {.delay = (weir_time)number * lab->scenario.spread};
    char name[24];
    snprintf(name, sizeof name, "access %u", number);
    if (more.delay > 0) {
        struct lab_node *access = wr_lab_delay_new(&lab->net, name, &more);
        if (access == NULL)
            return WEIR_ENOMEM;
        access->next = forward;
        forward = access;
    }
    int error = add_host(lab, 1, number, forward, routers[0], &lab->sender[number]);
    return error != 0 ? error : add_host(lab, 2, number, back, routers[1], &lab->receiver[number]);
}

static int lay_out(struct lab *lab)
{
    const struct lab_scenario *scenario = &lab->scenario;
    struct lab_node *routers[2] = {wr_lab_router_new(&lab->net, "to senders"),
                                   wr_lab_router_new(&lab->net, "to receivers")};
    struct lab_node *forward = routers[1], *back = routers[0];
    struct lab_node *back_link;
    if (routers[0] == NULL || routers[1] == NULL ||
        !wr_lab_lay(&lab->net, "forward", &scenario->forward, routers[0], &forward,
                    &lab->bottleneck) ||
        !wr_lab_lay(&lab->net, "back", &scenario->back, routers[1], &back, &back_link))
        return WEIR_ENOMEM;
    lab->n_pairs = scenario->topology == LAB_DUMBBELL ? scenario->n_flows : 1;
    for (unsigned i = 0; i < lab->n_pairs; i++) {
        int error = add_pair(lab, i, forward, back, routers);
        if (error != 0)
            return error;
    }
    for (unsigned i = 0; i < scenario->n_flows; i++) {
        unsigned pair = i % lab->n_pairs;
        int error;
        lab->flow[i] = wr_lab_flow_new(&lab->net, scenario, i, lab->sender[pair],
                                       lab->receiver[pair], lab->pattern, &lab->tally, &error);
        if (lab->flow[i] == NULL)
            return error;
    }
    return 0;
}

/* ---- the time series ------------------------------------------------------------------------------ */

/* Rows of a series over the whole run. */
static size_t series_room(const struct lab *lab)
{
    return (size_t)(lab->scenario.duration / lab->scenario.sample) + 1;
}

static void sample_queue(struct lab *lab, weir_time now)
{
    if (lab->series == NULL)
        lab->series = calloc(series_room(lab), sizeof *lab->series);
    if (lab->series == NULL || lab->n_series == series_room(lab))
        return;
    lab->series[lab->n_series++] = wr_lab_link_sample(lab->bottleneck, now);
}

static void sample(struct lab *lab, struct lab_flow *flow, weir_time now)
{
    struct lab_flow_result *result = &flow->result;
    struct weir_tcp_info info;
    size_t room = series_room(lab);
    if (flow->phase == LAB_FLOW_OVER || !wr_lab_flow_info(flow, &info, now))
        return;
    if (result->samples == NULL)
        result->samples = calloc(room, sizeof *result->samples);
    if (result->samples == NULL || result->n_samples == room)
        return;
    result->samples[result->n_samples++] = (struct lab_sample){
        .at = now - LAB_EPOCH,
        .cwnd = info.tcpi_snd_cwnd,
        .ssthresh = info.tcpi_snd_ssthresh,
        .unacked = info.tcpi_unacked,
        .lost = info.tcpi_lost,
        .retrans = info.tcpi_total_retrans,
        .srtt_us = info.tcpi_rtt,
        .rttvar_us = info.tcpi_rttvar,
        .rto_us = info.tcpi_rto,
        .ca_state = info.tcpi_ca_state,
        .received = flow->receiver.received,
    };
}

static weir_time clock_next_run_at(const struct lab_node *node)
{
    const struct clock *clock = (const struct clock *)node;
    return weir_time_min(clock->sample_at, clock->warm_at);
}

static void clock_run(struct lab_node *node, weir_time now)
{
    struct clock *clock = (struct clock *)node;
    struct lab *lab = clock->lab;
    if (now >= clock->warm_at) {
        clock->warm_at = WEIR_TIME_NEVER;
        for (unsigned i = 0; i < lab->scenario.n_flows; i++)
            lab->flow[i]->result.received_warm = lab->flow[i]->receiver.received;
    }
    if (now >= clock->sample_at) {
        clock->sample_at = now + lab->scenario.sample;
        sample_queue(lab, now);
        for (unsigned i = 0; i < lab->scenario.n_flows; i++)
            sample(lab, lab->flow[i], now);
    }
}

static const struct lab_node_ops clock_ops = {.next_run_at = clock_next_run_at, .run = clock_run};

static bool add_clock(struct lab *lab)
{
    struct clock *clock = wr_lab_node_new(&lab->net, sizeof *clock, &clock_ops, "clock");
    if (clock == NULL)
        return false;
    clock->lab = lab;
    clock->sample_at =
        lab->scenario.sample > 0 ? LAB_EPOCH + lab->scenario.sample : WEIR_TIME_NEVER;
    clock->warm_at = lab->scenario.warmup > 0 ? LAB_EPOCH + lab->scenario.warmup : WEIR_TIME_NEVER;
    wr_lab_rearm(&clock->node);
    return true;
}

/* ---- life ------------------------------------------------------------------------------------------- */

int wr_lab_new(const struct lab_scenario *scenario, struct lab **made)
{
    if (wr_lab_scenario_check(scenario) != NULL)
        return WEIR_EINVAL;
    struct lab *lab = calloc(1, sizeof *lab);
    if (lab == NULL)
        return WEIR_ENOMEM;
    lab->scenario = *scenario;
    wr_lab_scenario_complete(&lab->scenario);
    lab->trace = UINT64_C(0xcbf29ce484222325);
    wr_lab_net_init(&lab->net, scenario->seed, scenario->mtu);
    lab->net.n_flows = lab->tally.n_flows = scenario->n_flows;
    lab->net.flow_dropped = lab->dropped;
    struct wr_rng rng;
    wr_rng_init_u64(&rng, scenario->seed);
    wr_rng_bytes(&rng, lab->pattern, LAB_PATTERN_PERIOD);
    memcpy(lab->pattern + LAB_PATTERN_PERIOD, lab->pattern, LAB_PATTERN_PERIOD);
    int error = lay_out(lab);
    if (error == 0 && !add_clock(lab))
        error = WEIR_ENOMEM;
    if (error != 0) {
        wr_lab_free(lab);
        return error;
    }
    *made = lab;
    return 0;
}

void wr_lab_free(struct lab *lab)
{
    if (lab == NULL)
        return;
    wr_lab_net_fini(&lab->net);
    wr_lab_tape_free(lab->net.tape);
    free(lab->series);
    free(lab);
}

int wr_lab_record(struct lab *lab)
{
    lab->net.tape = wr_lab_tape_new();
    return lab->net.tape != NULL ? 0 : WEIR_ENOMEM;
}

int wr_lab_run(struct lab *lab)
{
    wr_lab_net_run(&lab->net, LAB_EPOCH + lab->scenario.duration, &lab->tally.all_over);
    for (unsigned i = 0; i < lab->scenario.n_flows; i++)
        wr_lab_flow_end(lab->flow[i], lab->net.now);
    wr_lab_link_settle(lab->bottleneck);
    return lab->net.storm ? WEIR_EIO : 0;
}

/* ---- answers ---------------------------------------------------------------------------------------- */

unsigned wr_lab_n_flows(const struct lab *lab)
{
    return lab->scenario.n_flows;
}

const struct lab_flow_result *wr_lab_flow(const struct lab *lab, unsigned number)
{
    return &lab->flow[number]->result;
}

const struct lab_queue_stats *wr_lab_bottleneck(const struct lab *lab)
{
    return &wr_lab_link_queue(lab->bottleneck)->stats;
}

const struct lab_queue_sample *wr_lab_bottleneck_series(const struct lab *lab, size_t *n)
{
    *n = lab->n_series;
    return lab->series;
}

weir_time wr_lab_elapsed(const struct lab *lab)
{
    return lab->net.now - LAB_EPOCH;
}

uint64_t wr_lab_trace(const struct lab *lab)
{
    return lab->trace;
}

const struct lab_scenario *wr_lab_scenario(const struct lab *lab)
{
    return &lab->scenario;
}

const uint64_t *wr_lab_dropped(const struct lab *lab)
{
    return lab->net.dropped;
}

const struct lab_tape *wr_lab_tape(const struct lab *lab)
{
    return lab->net.tape;
}

struct weir_stack *wr_lab_stack(const struct lab *lab, bool senders, unsigned number)
{
    if (number >= lab->n_pairs)
        return NULL;
    return senders ? lab->sender[number]->stack : lab->receiver[number]->stack;
}

uint64_t wr_lab_stat(const struct lab *lab, bool senders, unsigned kind)
{
    struct lab_host *const *hosts = senders ? lab->sender : lab->receiver;
    uint64_t sum = 0;
    for (unsigned i = 0; i < lab->n_pairs; i++)
        sum += weir_stat_count(hosts[i]->stack, kind);
    return sum;
}

uint64_t wr_lab_host_drops(const struct lab *lab, bool senders, unsigned reason)
{
    struct lab_host *const *hosts = senders ? lab->sender : lab->receiver;
    uint64_t sum = 0;
    for (unsigned i = 0; i < lab->n_pairs; i++)
        sum += weir_drop_count(hosts[i]->stack, reason);
    return sum;
}

uint64_t wr_lab_events(const struct lab *lab)
{
    return lab->net.events;
}

double wr_lab_utilisation(const struct lab *lab)
{
    double could = (double)lab->scenario.forward.queue.rate_bps * (double)wr_lab_elapsed(lab) / 1e9;
    return could > 0 ? (double)wr_lab_bottleneck(lab)->out_bytes * 8 / could : 0;
}

double wr_lab_fairness(const struct lab *lab)
{
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < lab->scenario.n_flows; i++) {
        double rate = (double)lab->flow[i]->result.steady_bps;
        sum += rate;
        squares += rate * rate;
    }
    return squares > 0 ? sum * sum / (lab->scenario.n_flows * squares) : 0;
}

static int by_time(const void *a, const void *b)
{
    weir_time x = *(const weir_time *)a, y = *(const weir_time *)b;
    return (x > y) - (x < y);
}

weir_time wr_lab_exchange_percentile(const struct lab_flow_result *flow, unsigned percent)
{
    if (flow->n_kept == 0)
        return -1;
    weir_time *sorted = malloc(flow->n_kept * sizeof *sorted);
    if (sorted == NULL)
        return -1;
    memcpy(sorted, flow->exchange, flow->n_kept * sizeof *sorted);
    qsort(sorted, flow->n_kept, sizeof *sorted, by_time);
    size_t rank = (flow->n_kept * percent + 99) / 100; /* nearest rank */
    weir_time answer = sorted[rank > 0 ? rank - 1 : 0];
    free(sorted);
    return answer;
}
