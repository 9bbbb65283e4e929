/* SPDX-License-Identifier: MIT */
/*
 * RED: random early detection (Floyd and Jacobson, "Random Early Detection Gateways for Congestion
 * Avoidance", 1993; RFC 2309), with the gentle slope above max.
 *
 *     chance
 *        1 |                      .'       average queue:  avg += (q - avg) * 2^-w at each arrival
 *          |                   .'          while idle:     as if packets had come and found q = 0
 *    max_p |             . - '
 *          |         . '                   p_a = p_b / (1 - count * p_b): the gaps between hits are
 *        0 +--------'----+-------+---      uniform in 1..1/p_b instead of geometric
 *                  min  max   2 max
 *
 * The average is kept in 2^-20 packets, chances in 2^-32.
 */
#include "lab/lab_queue.h"

enum { AVG_SHIFT = 20, IDLE_STEPS_MAX = 1 << 16, MEAN_PACKET_BYTES = 1500 };

/* The queue was empty for a while: let the average fall as m small packets would have made it. */
static void age(struct lab_queue *queue, weir_time now)
{
    struct lab_red *red = &queue->red;
    uint64_t carry = 0;
    if (queue->config.rate_bps == 0)
        return;
    weir_time service = wr_lab_link_time(MEAN_PACKET_BYTES, queue->config.rate_bps, &carry);
    weir_time steps = (now - red->idle_since) / (service > 0 ? service : 1);
    for (weir_time i = 0; i < steps && i < IDLE_STEPS_MAX && red->average > 0; i++) {
        uint64_t fall = red->average >> queue->config.red.weight_log2;
        red->average -= fall > 0 ? fall : red->average;
    }
    red->idle_since = now; /* this packet, too, may be dropped */
}

static void average_in(struct lab_queue *queue, weir_time now)
{
    struct lab_red *red = &queue->red;
    uint64_t q = (uint64_t)queue->fifo.packets << AVG_SHIFT;
    if (queue->fifo.packets == 0)
        age(queue, now);
    if (q >= red->average)
        red->average += (q - red->average) >> queue->config.red.weight_log2;
    else
        red->average -= (red->average - q) >> queue->config.red.weight_log2;
}

/* p_b, in 2^-32: 0 at min, max_p at max, 1 at 2 max. */
static uint64_t base_chance(const struct lab_queue *queue)
{
    const struct lab_red_config *config = &queue->config.red;
    uint64_t avg = queue->red.average;
    uint64_t min = (uint64_t)config->min_packets << AVG_SHIFT;
    uint64_t max = (uint64_t)config->max_packets << AVG_SHIFT;
    if (avg < min)
        return 0;
    if (avg < max)
        return (uint64_t)((unsigned __int128)config->max_p * (avg - min) / (max - min));
    if (avg >= 2 * max)
        return LAB_ONE;
    return config->max_p +
           (uint64_t)((unsigned __int128)(LAB_ONE - config->max_p) * (avg - max) / max);
}

bool wr_lab_red_hits(struct lab_queue *queue, weir_time now)
{
    struct lab_red *red = &queue->red;
    average_in(queue, now);
    uint64_t chance = base_chance(queue);
    if (chance == 0) {
        red->count = -1;
        return false;
    }
    red->count++;
    uint64_t spread = (uint64_t)red->count * chance;
    uint64_t draw = wr_rng_u32(queue->rng);
    /* draw < p_a, with the division multiplied away */
    if (spread < LAB_ONE && draw * (LAB_ONE - spread) >> 32 >= chance)
        return false;
    red->count = 0;
    return true;
}

void wr_lab_red_idle(struct lab_queue *queue, weir_time now)
{
    queue->red.idle_since = now;
}
