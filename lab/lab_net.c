/* SPDX-License-Identifier: MIT */
/* The net: its nodes, its heap of moments, its packets' memory. */
#include "lab/lab_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "lab/lab_tape.h"

enum { STORM_RUNS = 1000000 };

const char *wr_lab_cause_name(enum lab_cause cause)
{
    static const char *const names[] = {
#define X(name, text) [LAB_##name] = (text),
        LAB_CAUSES(X)
#undef X
    };
    return names[cause];
}

void wr_lab_net_init(struct lab_net *net, uint64_t seed, size_t packet_bytes)
{
    memset(net, 0, sizeof *net);
    net->now = LAB_EPOCH;
    net->seed = seed;
    net->packet_bytes = packet_bytes;
    wr_timerq_init(&net->moments);
}

void wr_lab_net_fini(struct lab_net *net)
{
    for (struct lab_node *node = net->newest; node != NULL; node = node->older)
        if (node->ops->close != NULL)
            node->ops->close(node);
    while (net->newest != NULL) {
        struct lab_node *node = net->newest;
        net->newest = node->older;
        free(node);
    }
    while (net->spare != NULL) {
        struct lab_packet *packet = net->spare;
        net->spare = packet->next;
        free(packet);
    }
}

/* ---- packets ------------------------------------------------------------------------------------ */

struct lab_packet *wr_lab_packet_new(struct lab_net *net, size_t len)
{
    struct lab_packet *packet = net->spare;
    if (len > net->packet_bytes) {
        net->dropped[LAB_NO_MEMORY]++;
        return NULL;
    }
    if (packet != NULL) {
        net->spare = packet->next;
    } else {
        packet = malloc(sizeof *packet + net->packet_bytes);
        if (packet == NULL) {
            net->dropped[LAB_NO_MEMORY]++;
            return NULL;
        }
    }
    memset(packet, 0, sizeof *packet);
    wr_timer_init(&packet->timer, 0);
    packet->len = (uint32_t)len;
    packet->flow = LAB_FLOW_NONE;
    packet->data = (uint8_t *)(packet + 1);
    return packet;
}

void wr_lab_packet_free(struct lab_net *net, struct lab_packet *packet)
{
    packet->next = net->spare;
    net->spare = packet;
}

void wr_lab_drop(struct lab_net *net, struct lab_packet *packet, enum lab_cause cause)
{
    net->dropped[cause]++;
    if (net->tape != NULL)
        wr_lab_tape_lost(net->tape, packet, cause, net->now);
    if (net->flow_dropped != NULL && packet->flow < net->n_flows)
        net->flow_dropped[packet->flow][cause]++;
    wr_lab_packet_free(net, packet);
}

void wr_lab_fifo_push(struct lab_fifo *fifo, struct lab_packet *packet)
{
    packet->next = NULL;
    if (fifo->tail != NULL)
        fifo->tail->next = packet;
    else
        fifo->head = packet;
    fifo->tail = packet;
    fifo->packets++;
    fifo->bytes += packet->len;
}

struct lab_packet *wr_lab_fifo_pop(struct lab_fifo *fifo)
{
    struct lab_packet *packet = fifo->head;
    if (packet == NULL)
        return NULL;
    fifo->head = packet->next;
    if (fifo->head == NULL)
        fifo->tail = NULL;
    fifo->packets--;
    fifo->bytes -= packet->len;
    packet->next = NULL;
    return packet;
}

/* ---- nodes and moments -------------------------------------------------------------------------- */

/* FNV-1a of the name, joined to the net's seed. */
static void seed_node(struct lab_node *node, uint64_t seed)
{
    uint8_t bytes[32] = {0};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *p = node->name; *p != '\0'; p++)
        hash = (hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(seed >> 8 * i);
        bytes[8 + i] = (uint8_t)(hash >> 8 * i);
    }
    wr_rng_init(&node->rng, bytes);
}

void *wr_lab_node_new(struct lab_net *net, size_t size, const struct lab_node_ops *ops,
                      const char *name)
{
    struct lab_node *node = calloc(1, size);
    if (node == NULL)
        return NULL;
    node->ops = ops;
    node->net = net;
    node->older = net->newest;
    net->newest = node;
    wr_timer_init(&node->timer, 0);
    snprintf(node->name, sizeof node->name, "%s", name);
    seed_node(node, net->seed);
    return node;
}

void wr_lab_rearm(struct lab_node *node)
{
    weir_time at = node->ops->next_run_at(node);
    if (at < node->net->now)
        at = node->net->now;
    wr_timerq_arm(&node->net->moments, &node->timer, at);
}

void wr_lab_pass(struct lab_net *net, struct lab_node *node, struct lab_packet *packet)
{
    if (node == NULL || node->ops->forward == NULL) {
        wr_lab_packet_free(net, packet);
        return;
    }
    node->ops->forward(node, packet, net->now);
    wr_lab_rearm(node);
}

void wr_lab_net_run(struct lab_net *net, weir_time until, const bool *stop)
{
    unsigned runs = 0;
    while (!net->storm && (stop == NULL || !*stop)) {
        weir_time at = wr_timerq_next(&net->moments);
        if (at > until) {
            net->now = until;
            return;
        }
        runs = at > net->now ? 0 : runs + 1;
        net->storm = runs > STORM_RUNS;
        net->now = at;
        struct wr_timer *timer = wr_timerq_pop(&net->moments, at);
        struct lab_node *node = WR_CONTAINER(timer, struct lab_node, timer);
        net->events++;
        node->ops->run(node, at);
        wr_lab_rearm(node);
    }
}
