/* SPDX-License-Identifier: MIT */
/*
 * The bottleneck: one packet at a time leaves at the link's rate, the rest waits in its queue
 * (lab_queue.h).
 *
 *     forward -> queue -> [ the packet being sent ] -> next, when its last bit has left
 *
 * The time a packet takes is bytes * 8 / rate; what does not fill a nanosecond is carried over to the
 * next one, so that a busy link sends its exact rate in the long run.
 */
#include "lab/lab.h"
#include "lab/lab_queue.h"

struct link {
    struct lab_node node; /* first */
    struct lab_queue queue;
    struct lab_packet *sending;
    weir_time done_at; /* while sending */
    uint64_t carry;
};

weir_time wr_lab_link_time(uint64_t bytes, uint64_t rate_bps, uint64_t *carry)
{
    uint64_t work = bytes * 8 * UINT64_C(1000000000) + *carry;
    *carry = work % rate_bps;
    return (weir_time)(work / rate_bps);
}

static void send_next(struct link *link, weir_time now)
{
    link->sending = wr_lab_queue_take(&link->queue, now);
    if (link->sending == NULL) {
        link->carry = 0;
        return;
    }
    link->done_at =
        now + wr_lab_link_time(link->sending->len, link->queue.config.rate_bps, &link->carry);
}

static void link_forward(struct lab_node *node, struct lab_packet *packet, weir_time now)
{
    struct link *link = (struct link *)node;
    if (link->queue.config.rate_bps == 0) {
        link->queue.stats.in_packets++;
        link->queue.stats.in_bytes += packet->len;
        link->queue.stats.out_packets++;
        link->queue.stats.out_bytes += packet->len;
        wr_lab_pass(node->net, node->next, packet);
        return;
    }
    wr_lab_queue_put(&link->queue, packet, now);
    if (link->sending == NULL)
        send_next(link, now);
}

static weir_time link_next_run_at(const struct lab_node *node)
{
    const struct link *link = (const struct link *)node;
    return link->sending != NULL ? link->done_at : WEIR_TIME_NEVER;
}

static void link_run(struct lab_node *node, weir_time now)
{
    struct link *link = (struct link *)node;
    struct lab_packet *sent = link->sending;
    send_next(link, now);
    wr_lab_pass(node->net, node->next, sent);
}

static void link_close(struct lab_node *node)
{
    struct link *link = (struct link *)node;
    wr_lab_queue_fini(&link->queue);
    if (link->sending != NULL)
        wr_lab_packet_free(node->net, link->sending);
}

static const struct lab_node_ops link_ops = {link_forward, link_next_run_at, link_run, link_close};

struct lab_node *wr_lab_link_new(struct lab_net *net, const char *name,
                                 const struct lab_queue_config *config)
{
    struct link *link = wr_lab_node_new(net, sizeof *link, &link_ops, name);
    if (link == NULL)
        return NULL;
    wr_lab_queue_init(&link->queue, net, &link->node.rng, config);
    return &link->node;
}

const struct lab_queue *wr_lab_link_queue(const struct lab_node *node)
{
    return &((const struct link *)node)->queue;
}

struct lab_queue_sample wr_lab_link_sample(const struct lab_node *node, weir_time now)
{
    const struct lab_queue *queue = wr_lab_link_queue(node);
    return (struct lab_queue_sample){
        .at = now - LAB_EPOCH,
        .packets = queue->fifo.packets,
        .bytes = queue->fifo.bytes,
        .out_bytes = queue->stats.out_bytes,
        .dropped = queue->stats.dropped_full + queue->stats.dropped_aqm,
        .marked = queue->stats.marked,
    };
}

void wr_lab_link_settle(struct lab_node *node)
{
    wr_lab_queue_settle(&((struct link *)node)->queue, node->net->now);
}
