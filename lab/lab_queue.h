/* SPDX-License-Identifier: MIT */
#ifndef LAB_QUEUE_H
#define LAB_QUEUE_H

/*
 * The queue in front of a bottleneck: drop-tail, RED (Floyd and Jacobson 1993, RFC 2309) or CoDel (RFC
 * 8289), each under a limit of packets and bytes. With `ecn`, RED and CoDel mark an ECN-capable packet
 * where they would drop another (RFC 3168 5); the limit always drops.
 *
 * No floating point: a queue gives the same answers on every machine.
 */

#include "lab/lab_node.h"

struct lab_red {
    uint64_t average; /* packets, in 2^-20 */
    int32_t count;    /* packets since the last mark, -1: below min */
    weir_time idle_since;
};

/* RFC 8289 5.2's state variables. */
struct lab_codel {
    weir_time first_above_at; /* 0: not above target */
    weir_time drop_next;
    uint32_t count, last_count;
    bool dropping;
};

struct lab_queue {
    struct lab_queue_config config;
    struct lab_net *net;
    struct wr_rng *rng; /* its node's */
    struct lab_fifo fifo;
    weir_time busy_since;
    union {
        struct lab_red red;
        struct lab_codel codel;
    };
    struct lab_queue_stats stats;
};

void wr_lab_queue_init(struct lab_queue *queue, struct lab_net *net, struct wr_rng *rng,
                       const struct lab_queue_config *config);
void wr_lab_queue_fini(struct lab_queue *queue);
/* Takes a packet over: queues or drops it. */
void wr_lab_queue_put(struct lab_queue *queue, struct lab_packet *packet, weir_time now);
/* The next packet to send; NULL when the queue is empty. */
struct lab_packet *wr_lab_queue_take(struct lab_queue *queue, weir_time now);

/* Brings the statistics up to this moment. */
void wr_lab_queue_settle(struct lab_queue *queue, weir_time now);

/* ---- of the queue's own files --------------------------------------------------------------------- */

/* Whether this arrival is to be marked or dropped. */
bool wr_lab_red_hits(struct lab_queue *queue, weir_time now);
/* The queue has become empty. */
void wr_lab_red_idle(struct lab_queue *queue, weir_time now);
struct lab_packet *wr_lab_codel_take(struct lab_queue *queue, weir_time now);
/* RFC 8289 5.6: t + interval / sqrt(count). */
weir_time wr_lab_codel_next(weir_time t, weir_time interval, uint32_t count);
/* The plain FIFO under it all: the oldest packet. */
struct lab_packet *wr_lab_queue_pop(struct lab_queue *queue, weir_time now);

/* ---- the bottleneck link ---------------------------------------------------------------------------- */

/* A link that sends config->rate_bps (bits per second of IP packets; 0: without limit, and without a
 * queue), one packet at a time. NULL when out of memory. */
struct lab_node *wr_lab_link_new(struct lab_net *net, const char *name,
                                 const struct lab_queue_config *config);
const struct lab_queue *wr_lab_link_queue(const struct lab_node *link);
/* A row of its time series (lab.h). */
struct lab_queue_sample wr_lab_link_sample(const struct lab_node *link, weir_time now);
/* Brings its queue's statistics up to the net's moment. */
void wr_lab_link_settle(struct lab_node *link);
/* Time that `bytes` take at `rate_bps`, with the remainder (in bits * 10^9) carried in *carry. */
weir_time wr_lab_link_time(uint64_t bytes, uint64_t rate_bps, uint64_t *carry);

#endif
