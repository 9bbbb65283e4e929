/* SPDX-License-Identifier: MIT */
/* The queue itself: its limit, its statistics, and which discipline is asked. */
#include "lab/lab_queue.h"

#include <string.h>

void wr_lab_queue_init(struct lab_queue *queue, struct lab_net *net, struct wr_rng *rng,
                       const struct lab_queue_config *config)
{
    memset(queue, 0, sizeof *queue);
    queue->config = *config;
    queue->net = net;
    queue->rng = rng;
    if (config->kind == LAB_RED)
        queue->red = (struct lab_red){.count = -1, .idle_since = net->now};
}

void wr_lab_queue_fini(struct lab_queue *queue)
{
    struct lab_packet *packet;
    while ((packet = wr_lab_fifo_pop(&queue->fifo)) != NULL)
        wr_lab_packet_free(queue->net, packet);
}

static bool is_full(const struct lab_queue *queue, const struct lab_packet *packet)
{
    const struct lab_queue_config *config = &queue->config;
    if (config->limit_packets > 0 && queue->fifo.packets >= config->limit_packets)
        return true;
    return config->limit_bytes > 0 && queue->fifo.bytes + packet->len > config->limit_bytes;
}

static void append(struct lab_queue *queue, struct lab_packet *packet, weir_time now)
{
    struct lab_queue_stats *stats = &queue->stats;
    if (queue->fifo.packets == 0)
        queue->busy_since = now;
    packet->stamp = now;
    wr_lab_fifo_push(&queue->fifo, packet);
    stats->in_packets++;
    stats->in_bytes += packet->len;
    if (queue->fifo.packets > stats->max_packets)
        stats->max_packets = queue->fifo.packets;
    if (queue->fifo.bytes > stats->max_bytes)
        stats->max_bytes = queue->fifo.bytes;
}

void wr_lab_queue_put(struct lab_queue *queue, struct lab_packet *packet, weir_time now)
{
    bool hit = queue->config.kind == LAB_RED && wr_lab_red_hits(queue, now);
    if (is_full(queue, packet)) {
        queue->stats.dropped_full++;
        wr_lab_drop(queue->net, packet, LAB_QUEUE_FULL);
        return;
    }
    if (hit && !(queue->config.ecn && packet->ect)) {
        queue->stats.dropped_aqm++;
        wr_lab_drop(queue->net, packet, LAB_AQM);
        return;
    }
    if (hit) {
        queue->stats.marked++;
        wr_lab_packet_mark(packet);
    }
    append(queue, packet, now);
}

struct lab_packet *wr_lab_queue_pop(struct lab_queue *queue, weir_time now)
{
    struct lab_packet *packet = wr_lab_fifo_pop(&queue->fifo);
    if (packet != NULL && queue->fifo.packets == 0) {
        queue->stats.busy += now - queue->busy_since;
        if (queue->config.kind == LAB_RED)
            wr_lab_red_idle(queue, now);
    }
    return packet;
}

struct lab_packet *wr_lab_queue_take(struct lab_queue *queue, weir_time now)
{
    struct lab_packet *packet = queue->config.kind == LAB_CODEL ? wr_lab_codel_take(queue, now)
                                                                : wr_lab_queue_pop(queue, now);
    if (packet == NULL)
        return NULL;
    struct lab_queue_stats *stats = &queue->stats;
    weir_time sojourn = now - packet->stamp;
    stats->sojourn_sum += sojourn;
    if (sojourn > stats->sojourn_max)
        stats->sojourn_max = sojourn;
    stats->out_packets++;
    stats->out_bytes += packet->len;
    return packet;
}

void wr_lab_queue_settle(struct lab_queue *queue, weir_time now)
{
    if (queue->fifo.packets == 0)
        return;
    queue->stats.busy += now - queue->busy_since;
    queue->busy_since = now;
}
