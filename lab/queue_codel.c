/* SPDX-License-Identifier: MIT */
/*
 * CoDel, RFC 8289: a queue is judged by how long its packets have waited, when they leave.
 *
 *     sojourn time above target for one interval     begin to drop: one packet now
 *     still above                                    the next one after interval / sqrt(count)
 *     below target, or less than a packet queued     stop
 *
 * A new dropping state soon after the last one goes on at nearly the rate it had reached. A packet that
 * is ECN-capable is marked and sent where another would be dropped; it counts as the drop.
 *
 * The names are those of RFC 8289 5; square roots are of integers, floor(interval / sqrt(count)).
 */
#include "lab/lab_queue.h"

static uint64_t square_root(uint64_t x)
{
    uint64_t root = 0;
    for (uint64_t bit = UINT64_C(1) << 31; bit > 0; bit >>= 1)
        if ((root + bit) * (root + bit) <= x)
            root += bit;
    return root;
}

weir_time wr_lab_codel_next(weir_time t, weir_time interval, uint32_t count)
{
    uint64_t square = (uint64_t)interval * (uint64_t)interval;
    return t + (weir_time)square_root(square / (count > 0 ? count : 1));
}

/* RFC 8289 5.6 (dodequeue): the oldest packet, and whether it may be dropped. */
static struct lab_packet *look(struct lab_queue *queue, weir_time now, bool *ok_to_drop)
{
    const struct lab_codel_config *config = &queue->config.codel;
    struct lab_codel *codel = &queue->codel;
    struct lab_packet *packet = wr_lab_queue_pop(queue, now);
    *ok_to_drop = false;
    if (packet == NULL) {
        codel->first_above_at = 0;
        return NULL;
    }
    if (now - packet->stamp < config->target || queue->fifo.bytes <= config->mtu)
        codel->first_above_at = 0;
    else if (codel->first_above_at == 0)
        codel->first_above_at = now + config->interval;
    else
        *ok_to_drop = now >= codel->first_above_at;
    return packet;
}

/* Marks the packet, which then is the one to send, or drops it and gives NULL. */
static struct lab_packet *punish(struct lab_queue *queue, struct lab_packet *packet)
{
    if (queue->config.ecn && packet->ect) {
        queue->stats.marked++;
        wr_lab_packet_mark(packet);
        return packet;
    }
    queue->stats.dropped_aqm++;
    wr_lab_drop(queue->net, packet, LAB_AQM);
    return NULL;
}

static struct lab_packet *go_on_dropping(struct lab_queue *queue, struct lab_packet *packet,
                                         bool ok_to_drop, weir_time now)
{
    struct lab_codel *codel = &queue->codel;
    codel->dropping = ok_to_drop;
    while (codel->dropping && now >= codel->drop_next) {
        codel->count++;
        struct lab_packet *marked = punish(queue, packet);
        if (marked != NULL) {
            codel->drop_next =
                wr_lab_codel_next(codel->drop_next, queue->config.codel.interval, codel->count);
            return marked;
        }
        packet = look(queue, now, &ok_to_drop);
        if (!ok_to_drop)
            codel->dropping = false;
        else
            codel->drop_next =
                wr_lab_codel_next(codel->drop_next, queue->config.codel.interval, codel->count);
    }
    return packet;
}

static struct lab_packet *begin_dropping(struct lab_queue *queue, struct lab_packet *packet,
                                         weir_time now)
{
    struct lab_codel *codel = &queue->codel;
    weir_time interval = queue->config.codel.interval;
    struct lab_packet *marked = punish(queue, packet);
    bool ok_to_drop;
    if (marked == NULL)
        packet = look(queue, now, &ok_to_drop);
    uint32_t delta = codel->count - codel->last_count;
    codel->dropping = true;
    codel->count = delta > 1 && now - codel->drop_next < 16 * interval ? delta : 1;
    codel->drop_next = wr_lab_codel_next(now, interval, codel->count);
    codel->last_count = codel->count;
    return packet;
}

struct lab_packet *wr_lab_codel_take(struct lab_queue *queue, weir_time now)
{
    bool ok_to_drop;
    struct lab_packet *packet = look(queue, now, &ok_to_drop);
    if (packet == NULL) {
        queue->codel.dropping = false;
        return NULL;
    }
    if (queue->codel.dropping)
        return go_on_dropping(queue, packet, ok_to_drop, now);
    return ok_to_drop ? begin_dropping(queue, packet, now) : packet;
}
