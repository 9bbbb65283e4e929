/* SPDX-License-Identifier: MIT */
/*
 * Propagation: each packet comes out after a time of its own, however many are on the way.
 *
 *     delay                        constant
 *     delay with jitter            uniform in delay-jitter..delay+jitter. Order is kept unless asked
 *                                  otherwise: a packet that would overtake comes out right behind the one
 *                                  before it, as on a path whose delay varies in time
 *     reordering                   with a given chance, a packet takes reorder_delay more and those
 *                                  behind it pass
 *     stall                        what would come out in [at, at + for) comes out at its end
 *
 * The packets on their way are timers in a heap; equal moments come out in the order they went in.
 */
#include "base/list.h"
#include "lab/lab_node.h"

struct delay {
    struct lab_node node; /* first */
    struct lab_delay_config config;
    struct wr_timerq way;
    weir_time latest; /* the latest moment given to a packet whose order is kept */
};

/* Uniform in -range..+range. */
static weir_time jitter(struct wr_rng *rng, weir_time range)
{
    uint64_t width = 2 * (uint64_t)range + 1;
    return (weir_time)(wr_rng_u64(rng) % width) - range;
}

static weir_time arrival(struct delay *delay, weir_time now)
{
    const struct lab_delay_config *config = &delay->config;
    weir_time way = config->delay;
    if (config->jitter > 0)
        way += jitter(&delay->node.rng, config->jitter);
    weir_time at = now + (way > 0 ? way : 0);
    if (!config->jitter_reorders) {
        if (at < delay->latest)
            at = delay->latest;
        delay->latest = at;
    }
    if (wr_lab_chance(&delay->node.rng, config->reorder))
        at += config->reorder_delay;
    weir_time stall = LAB_EPOCH + config->stall_at;
    if (config->stall_for > 0 && at >= stall && at < stall + config->stall_for)
        at = stall + config->stall_for;
    return at;
}

static void delay_forward(struct lab_node *node, struct lab_packet *packet, weir_time now)
{
    struct delay *delay = (struct delay *)node;
    weir_time at = arrival(delay, now);
    if (at <= now && wr_timerq_next(&delay->way) > now)
        wr_lab_pass(node->net, node->next, packet);
    else
        wr_timerq_arm(&delay->way, &packet->timer, at);
}

static weir_time delay_next_run_at(const struct lab_node *node)
{
    return wr_timerq_next(&((const struct delay *)node)->way);
}

static void delay_run(struct lab_node *node, weir_time now)
{
    struct delay *delay = (struct delay *)node;
    struct wr_timer *timer;
    while ((timer = wr_timerq_pop(&delay->way, now)) != NULL)
        wr_lab_pass(node->net, node->next, WR_CONTAINER(timer, struct lab_packet, timer));
}

static void delay_close(struct lab_node *node)
{
    struct delay *delay = (struct delay *)node;
    struct wr_timer *timer;
    while ((timer = wr_timerq_pop(&delay->way, WEIR_TIME_NEVER - 1)) != NULL)
        wr_lab_packet_free(node->net, WR_CONTAINER(timer, struct lab_packet, timer));
}

static const struct lab_node_ops delay_ops = {delay_forward, delay_next_run_at, delay_run,
                                              delay_close};

struct lab_node *wr_lab_delay_new(struct lab_net *net, const char *name,
                                  const struct lab_delay_config *config)
{
    struct delay *delay = wr_lab_node_new(net, sizeof *delay, &delay_ops, name);
    if (delay == NULL)
        return NULL;
    delay->config = *config;
    wr_timerq_init(&delay->way);
    return &delay->node;
}
