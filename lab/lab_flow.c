/* SPDX-License-Identifier: MIT */
/* See lab_flow.h. */
#include "lab/lab_flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROLE_LISTENER = 1, ROLE_SENDER = 2, ROLE_RECEIVER = 3 };

#define LINGER_POLL (1 * WEIR_MS)

/* ---- sockets ------------------------------------------------------------------------------------ */

static struct lab_end *active(struct lab_flow *flow)
{
    return flow->scenario->traffic == LAB_RR ? &flow->receiver : &flow->sender;
}

static struct lab_end *passive(struct lab_flow *flow)
{
    return flow->scenario->traffic == LAB_RR ? &flow->sender : &flow->receiver;
}

static uint64_t user_of(const struct lab_flow *flow, const struct lab_end *end)
{
    return (uint64_t)flow->number << 2 | (end == &flow->sender ? ROLE_SENDER : ROLE_RECEIVER);
}

static void flow_over(struct lab_flow *flow)
{
    if (flow->phase == LAB_FLOW_OVER)
        return;
    flow->phase = LAB_FLOW_OVER;
    flow->next_at = WEIR_TIME_NEVER;
    flow->tally->all_over = ++flow->tally->n_over == flow->tally->n_flows;
}

static void close_ends(struct lab_flow *flow, weir_time now)
{
    struct lab_end *ends[] = {&flow->sender, &flow->receiver};
    for (int i = 0; i < 2; i++) {
        if (ends[i]->sock == 0)
            continue;
        (void)weir_sock_close(ends[i]->host->stack, ends[i]->sock, now);
        ends[i]->sock = 0;
        wr_lab_host_touch(ends[i]->host);
    }
}

static bool read_info(const struct lab_flow *flow, struct weir_tcp_info *info, weir_time now)
{
    size_t len = sizeof *info;
    return flow->sender.sock != 0 &&
           weir_sock_getsockopt(flow->sender.host->stack, flow->sender.sock, WEIR_SOL_TCP,
                                WEIR_TCP_INFO, info, &len, now) == 0;
}

static void flow_fail(struct lab_flow *flow, int error, weir_time now)
{
    if (flow->phase == LAB_FLOW_OVER)
        return;
    flow->result.error = error;
    (void)read_info(flow, &flow->result.info, now);
    close_ends(flow, now);
    flow_over(flow);
}

/* The sender's algorithm goes by the flow's number; exchanges must not wait for Nagle. */
static int dress(struct lab_flow *flow, const struct lab_end *end, weir_time now)
{
    struct weir_stack *stack = end->host->stack;
    const struct lab_scenario *scenario = flow->scenario;
    int error = weir_sock_set_user(stack, end->sock, user_of(flow, end));
    int on = 1;
    if (error == 0 && end == &flow->sender && scenario->n_ccs > 0) {
        const char *cc = scenario->cc[flow->number % scenario->n_ccs];
        error = weir_sock_setsockopt(stack, end->sock, WEIR_SOL_TCP, WEIR_TCP_CONGESTION, cc,
                                     strlen(cc), now);
    }
    if (error == 0 && scenario->traffic == LAB_RR)
        error = weir_sock_setsockopt(stack, end->sock, WEIR_SOL_TCP, WEIR_TCP_NODELAY, &on,
                                     sizeof on, now);
    return error;
}

static void name_cc(struct lab_flow *flow, weir_time now)
{
    size_t len = sizeof flow->result.cc;
    char name[sizeof flow->result.cc] = "";
    if (weir_sock_getsockopt(flow->sender.host->stack, flow->sender.sock, WEIR_SOL_TCP,
                             WEIR_TCP_CONGESTION, name, &len, now) == 0)
        memcpy(flow->result.cc, name, sizeof name - 1);
}

static int open_listener(struct lab_flow *flow, weir_time now)
{
    struct lab_end *end = passive(flow);
    struct weir_stack *stack = end->host->stack;
    struct weir_endpoint local = {.addr = end->host->addr,
                                  .port = (uint16_t)(LAB_PORT + flow->number)};
    int domain = flow->scenario->ip6 ? WEIR_AF_INET6 : WEIR_AF_INET;
    int error = weir_sock_open(stack, domain, WEIR_SOCK_STREAM, 0, &flow->listener);
    if (error == 0)
        error = weir_sock_bind(stack, flow->listener, &local);
    if (error == 0)
        error = weir_sock_listen(stack, flow->listener, 8, now);
    if (error == 0)
        error =
            weir_sock_set_user(stack, flow->listener, (uint64_t)flow->number << 2 | ROLE_LISTENER);
    return error;
}

static void begin(struct lab_flow *flow, weir_time now)
{
    struct lab_end *end = active(flow);
    struct weir_stack *stack = end->host->stack;
    struct weir_endpoint remote = {.addr = passive(flow)->host->addr,
                                   .port = (uint16_t)(LAB_PORT + flow->number)};
    int domain = flow->scenario->ip6 ? WEIR_AF_INET6 : WEIR_AF_INET;
    flow->phase = LAB_FLOW_RUNS;
    flow->result.began_at = now - LAB_EPOCH;
    int error = weir_sock_open(stack, domain, WEIR_SOCK_STREAM, 0, &end->sock);
    if (error == 0)
        error = dress(flow, end, now);
    if (error == 0)
        error = weir_sock_connect(stack, end->sock, &remote, now);
    if (error != 0 && error != WEIR_EINPROGRESS)
        flow_fail(flow, error, now);
    wr_lab_host_touch(end->host);
}

/* ---- moving bytes ------------------------------------------------------------------------------- */

static int pump(struct lab_flow *flow, struct lab_end *end, weir_time now)
{
    struct weir_stack *stack = end->host->stack;
    while (end->sock != 0 && end->sent < end->goal) {
        const uint8_t *data = flow->pattern + (end->phase + end->sent) % LAB_PATTERN_PERIOD;
        uint64_t left = end->goal - end->sent;
        size_t len = left < LAB_PATTERN_PERIOD ? (size_t)left : LAB_PATTERN_PERIOD;
        ptrdiff_t n = weir_sock_send(stack, end->sock, data, len, 0, NULL, now);
        if (n < 0)
            return n == WEIR_EAGAIN ? 0 : (int)n;
        end->sent += (uint64_t)n;
        wr_lab_host_touch(end->host);
    }
    if (end->sock != 0 && end->ends && !end->was_shut && end->sent == end->goal) {
        end->was_shut = true;
        wr_lab_host_touch(end->host);
        return weir_sock_shutdown(stack, end->sock, WEIR_SHUT_WR, now);
    }
    return 0;
}

static void compare(struct lab_flow *flow, const struct lab_end *from, struct lab_end *to,
                    const struct weir_span *span)
{
    size_t done = 0;
    while (done < span->len) {
        size_t at = (size_t)((from->phase + to->received + done) % LAB_PATTERN_PERIOD);
        size_t len = span->len - done;
        if (len > LAB_PATTERN_PERIOD)
            len = LAB_PATTERN_PERIOD;
        if (memcmp(span->ptr + done, flow->pattern + at, len) != 0)
            flow->result.corrupt = true;
        done += len;
    }
    to->received += span->len;
}

static int drain(struct lab_flow *flow, struct lab_end *end, weir_time now)
{
    struct weir_stack *stack = end->host->stack;
    const struct lab_end *from = end == &flow->sender ? &flow->receiver : &flow->sender;
    while (end->sock != 0 && !end->at_eof) {
        struct weir_span span[2] = {{NULL, 0}, {NULL, 0}};
        ptrdiff_t n = weir_sock_peek(stack, end->sock, span, now);
        if (n < 0)
            return n == WEIR_EAGAIN ? 0 : (int)n;
        end->at_eof = n == 0;
        for (int i = 0; i < 2 && n > 0; i++)
            compare(flow, from, end, &span[i]);
        if (n > 0)
            weir_sock_consume(stack, end->sock, (size_t)n, now);
        wr_lab_host_touch(end->host);
    }
    return 0;
}

/* ---- applications ------------------------------------------------------------------------------- */

static void complete(struct lab_flow *flow, weir_time now)
{
    if (flow->result.completed_at >= 0)
        return;
    flow->result.completed_at = now - LAB_EPOCH;
    flow->phase = LAB_FLOW_LINGERS;
    flow->next_at = now; /* see linger() */
}

/* Everything has arrived, but the sender may not know yet and send again: its counters are final once
 * all is acknowledged. */
static void linger(struct lab_flow *flow, weir_time now)
{
    flow->next_at = now + LINGER_POLL;
    if (flow->sender.sock != 0 && weir_sock_outq(flow->sender.host->stack, flow->sender.sock) > 0)
        return;
    (void)read_info(flow, &flow->result.info, now);
    close_ends(flow, now);
    flow_over(flow);
}

static void toggle(struct lab_flow *flow, weir_time now)
{
    const struct lab_scenario *scenario = flow->scenario;
    flow->is_on = !flow->is_on;
    flow->sender.goal = flow->is_on ? UINT64_MAX : flow->sender.sent;
    flow->next_at =
        now + wr_lab_exponential(&flow->node.rng, flow->is_on ? scenario->on : scenario->off);
}

static void ask(struct lab_flow *flow, weir_time now)
{
    flow->receiver.goal += flow->scenario->request;
    flow->asked_at = now;
    flow->next_at = WEIR_TIME_NEVER;
}

static void keep_exchange(struct lab_flow_result *result, weir_time took)
{
    result->n_exchanges++;
    if (result->n_kept == LAB_SAMPLES_MAX)
        return;
    if ((result->n_kept & (result->n_kept - 1)) == 0) { /* the array is full: 0, 1, 2, 4, ... */
        size_t room = result->n_kept > 0 ? 2 * result->n_kept : 1;
        weir_time *more = realloc(result->exchange, room * sizeof *more);
        if (more == NULL)
            return;
        result->exchange = more;
    }
    result->exchange[result->n_kept++] = took;
}

static void exchange(struct lab_flow *flow, weir_time now)
{
    const struct lab_scenario *scenario = flow->scenario;
    struct lab_flow_result *result = &flow->result;
    flow->sender.goal = flow->sender.received / scenario->request * scenario->response;
    if (flow->asked_at < 0 ||
        flow->receiver.received < (result->n_exchanges + 1) * scenario->response)
        return;
    keep_exchange(result, now - flow->asked_at);
    flow->asked_at = -1;
    if (scenario->count > 0 && result->n_exchanges == scenario->count)
        complete(flow, now);
    else if (scenario->think == 0)
        ask(flow, now);
    else
        flow->next_at = now + wr_lab_exponential(&flow->node.rng, scenario->think);
}

static void on_connected(struct lab_flow *flow, weir_time now)
{
    const struct lab_scenario *scenario = flow->scenario;
    flow->result.connected_at = now - LAB_EPOCH;
    switch (scenario->traffic) {
    case LAB_BULK:
        flow->sender.goal = scenario->bytes > 0 ? scenario->bytes : UINT64_MAX;
        flow->sender.ends = scenario->bytes > 0;
        break;
    case LAB_ONOFF:
        toggle(flow, now);
        break;
    case LAB_RR:
        ask(flow, now);
        break;
    }
}

/* Both applications do what they can. */
static void progress(struct lab_flow *flow, weir_time now)
{
    if (flow->phase != LAB_FLOW_RUNS)
        return;
    int error = drain(flow, &flow->sender, now);
    if (error == 0)
        error = drain(flow, &flow->receiver, now);
    if (error == 0 && flow->scenario->traffic == LAB_RR)
        exchange(flow, now);
    if (error == 0)
        error = pump(flow, &flow->receiver, now);
    if (error == 0)
        error = pump(flow, &flow->sender, now);
    if (error != 0)
        flow_fail(flow, error, now);
    else if (flow->receiver.at_eof)
        complete(flow, now);
    wr_lab_rearm(&flow->node);
}

/* ---- as a node ----------------------------------------------------------------------------------- */

static weir_time flow_next_run_at(const struct lab_node *node)
{
    return ((const struct lab_flow *)node)->next_at;
}

static void flow_run(struct lab_node *node, weir_time now)
{
    struct lab_flow *flow = (struct lab_flow *)node;
    flow->next_at = WEIR_TIME_NEVER;
    switch (flow->phase) {
    case LAB_FLOW_WAITS:
        begin(flow, now);
        break;
    case LAB_FLOW_RUNS:
        if (flow->scenario->traffic == LAB_ONOFF)
            toggle(flow, now);
        else if (flow->scenario->traffic == LAB_RR)
            ask(flow, now);
        progress(flow, now);
        break;
    case LAB_FLOW_LINGERS:
        linger(flow, now);
        break;
    case LAB_FLOW_OVER:
        break;
    }
}

static void flow_close(struct lab_node *node)
{
    struct lab_flow *flow = (struct lab_flow *)node;
    free(flow->result.exchange);
    free(flow->result.samples);
}

static const struct lab_node_ops flow_ops = {NULL, flow_next_run_at, flow_run, flow_close};

struct lab_flow *wr_lab_flow_new(struct lab_net *net, const struct lab_scenario *scenario,
                                 unsigned number, struct lab_host *sender,
                                 struct lab_host *receiver, const uint8_t *pattern,
                                 struct lab_tally *tally, int *error)
{
    char name[24];
    snprintf(name, sizeof name, "flow %u", number);
    struct lab_flow *flow = wr_lab_node_new(net, sizeof *flow, &flow_ops, name);
    *error = WEIR_ENOMEM;
    if (flow == NULL)
        return NULL;
    flow->scenario = scenario;
    flow->pattern = pattern;
    flow->number = number;
    flow->tally = tally;
    flow->sender = (struct lab_end){.host = sender, .phase = 7919U * (2U * number + 1)};
    flow->receiver = (struct lab_end){.host = receiver, .phase = 7919U * (2U * number + 2)};
    flow->result.connected_at = flow->result.completed_at = -1;
    flow->asked_at = -1;
    flow->result.began_at = (weir_time)number * scenario->stagger;
    flow->next_at = LAB_EPOCH + flow->result.began_at;
    wr_lab_rearm(&flow->node);
    *error = open_listener(flow, net->now);
    return *error == 0 ? flow : NULL;
}

/* A connection that failed says why in SO_ERROR. */
static int pending_error(struct lab_flow *flow, const struct weir_event *event, weir_time now)
{
    bool sends = (event->user & 3) == ROLE_SENDER;
    struct lab_end *end = sends ? &flow->sender : &flow->receiver;
    int value = 0;
    size_t len = sizeof value;
    if ((event->ready & WEIR_POLLERR) == 0 || end->sock != event->sock)
        return 0;
    (void)weir_sock_getsockopt(end->host->stack, end->sock, WEIR_SOL_SOCKET, WEIR_SO_ERROR, &value,
                               &len, now);
    return -value;
}

static int accept_one(struct lab_flow *flow, weir_time now)
{
    struct lab_end *end = passive(flow);
    if (end->sock != 0)
        return 0;
    int error = weir_sock_accept(end->host->stack, flow->listener, &end->sock, NULL, now);
    if (error == WEIR_EAGAIN)
        return 0;
    return error != 0 ? error : dress(flow, end, now);
}

void wr_lab_flow_event(struct lab_flow *flow, const struct weir_event *event, weir_time now)
{
    int error = 0;
    if (flow->phase != LAB_FLOW_RUNS)
        return;
    if ((event->user & 3) == ROLE_LISTENER)
        error = accept_one(flow, now);
    else
        error = pending_error(flow, event, now);
    if (error != 0) {
        flow_fail(flow, error, now);
        return;
    }
    if (flow->result.connected_at < 0 && event->sock == active(flow)->sock &&
        (event->ready & WEIR_POLLOUT) != 0)
        on_connected(flow, now);
    if (flow->result.cc[0] == '\0' && flow->sender.sock != 0)
        name_cc(flow, now);
    progress(flow, now);
}

/* ---- results ------------------------------------------------------------------------------------- */

bool wr_lab_flow_info(struct lab_flow *flow, struct weir_tcp_info *info, weir_time now)
{
    if (read_info(flow, info, now))
        return true;
    *info = flow->result.info;
    return flow->phase == LAB_FLOW_OVER;
}

static uint64_t rate_of(uint64_t bytes, weir_time time)
{
    return time > 0 ? (uint64_t)((unsigned __int128)bytes * 8 * (uint64_t)WEIR_SEC / (uint64_t)time)
                    : 0;
}

void wr_lab_flow_end(struct lab_flow *flow, weir_time now)
{
    struct lab_flow_result *result = &flow->result;
    weir_time warm = flow->scenario->warmup;
    weir_time end = result->completed_at >= 0 ? result->completed_at : now - LAB_EPOCH;
    if (flow->phase == LAB_FLOW_RUNS || flow->phase == LAB_FLOW_LINGERS)
        (void)read_info(flow, &result->info, now);
    result->received = flow->receiver.received;
    result->goodput_bps = rate_of(result->received, end - result->began_at);
    result->steady_bps = rate_of(result->received - result->received_warm,
                                 end - (warm > result->began_at ? warm : result->began_at));
    memcpy(result->dropped, flow->node.net->flow_dropped[flow->number], sizeof result->dropped);
}

/* log2(x / 2^32) for x in 1..2^32-1, in -2^-32: squaring x doubles its logarithm, bit by bit. */
static uint64_t minus_log2(uint32_t x)
{
    uint64_t m = x, whole = 0, part = 0;
    while (m < UINT64_C(1) << 31) {
        m <<= 1;
        whole++;
    }
    for (unsigned i = 0; i < 32; i++) { /* m in [2^31, 2^32) stands for [1, 2) */
        m = m * m >> 31;
        part <<= 1;
        if (m >= UINT64_C(1) << 32) {
            m >>= 1;
            part |= 1;
        }
    }
    /* log2 = -whole - 1 + part / 2^32 */
    return ((whole + 1) << 32) - part;
}

weir_time wr_lab_exponential(struct wr_rng *rng, weir_time mean)
{
    uint32_t draw;
    do
        draw = wr_rng_u32(rng);
    while (draw == 0);
    /* -ln(u) = -log2(u) * ln 2; ln 2 = 2977044472 / 2^32 */
    unsigned __int128 scaled = (unsigned __int128)minus_log2(draw) * UINT64_C(2977044472) >> 32;
    return (weir_time)((unsigned __int128)(uint64_t)mean * scaled >> 32);
}
