/* SPDX-License-Identifier: MIT */
/*
 * RACK: what is lost, told by time. RFC 8985 6, with Linux's choices.
 *
 * Each record knows when it was last sent. When something that was sent later has arrived, and an RTT and
 * a reordering window have passed since, the earlier one is lost, be it new or itself a retransmission:
 *
 *     sent_at     s1     s2      s3      s4
 *                  |      |       |       |
 *     flying      [A]    [B]     (C)     [D]        C was delivered: xmit_at = s3, rtt = now - s3
 *                  |      |
 *                  lost at s1 + rtt + reo_wnd, s2 + rtt + reo_wnd; nothing is known of D
 *
 * Since the list `flying` is in the order of sent_at, the first that is not yet lost ends the search, and
 * its time is that of the reordering timer. Each record is marked once for each time it was sent, so
 * the cost is O(1) an ACK, amortised. (Linux waits for the last one in doubt; the first is no later than that.)
 *
 * The reordering window is steps * min_rtt / 4, at most srtt. It is 0 while reordering was never seen and
 * tcp_reordering segments are SACKed or recovery has begun: then RACK is as quick as RFC 6675. Reordering is
 * seen when what was sent once is delivered below the highest SACK. Each round trip with a D-SACK adds a
 * step; 16 recoveries without one take them back.
 *
 * Limits. Without SACK there is no RACK: duplicate ACKs count (tcp_recovery). Records that were sent at
 * one moment are told apart by sequence number. D-SACKs that answer a tail loss probe add no step.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"
#include "tcp/tcp_trace.h"

enum { /* net.ipv4.tcp_recovery */
       LOSS_DETECTION = 1,
       STATIC_WINDOW = 2,
       NO_DUPTHRESH = 4
};

enum { PERSIST = 16 /* recoveries */ };

void wr_rack_init(struct wr_rack *rack, uint32_t una, const struct wr_tunables *tunables)
{
    *rack = (struct wr_rack){.xmit_at = -1,
                             .reo_at = WEIR_TIME_NEVER,
                             .end_seq = una,
                             .dsack_round = una,
                             .reordering = (uint32_t)tunables->tcp_reordering,
                             .steps = 1};
}

bool wr_rack_is_on(const struct weir_stack *stack, const struct tcb *tcb)
{
    return tcb->sack_ok && (stack->tunables.tcp_recovery & LOSS_DETECTION);
}

void wr_rack_reordered(struct weir_stack *stack, struct wr_rack *rack, uint32_t packets)
{
    uint32_t most = (uint32_t)stack->tunables.tcp_max_reordering;

    rack->reord_seen++;
    if (packets > most)
        packets = most;
    if (packets > rack->reordering)
        rack->reordering = packets;
}

void wr_rack_reordered_from(struct weir_stack *stack, struct tcb *tcb, uint32_t low)
{
    uint32_t fack = tcb->tx->high_sacked;

    wr_rack_reordered(stack, &tcb->tx->rack,
                      seq_lt(low, fack) ? (fack - low + tcb->smss - 1) / tcb->smss : 0);
}

/* RFC 8985 6.2 step 3: something that was sent once arrived below what had arrived before. */
static void detect_reordering(struct weir_stack *stack, struct tcb *tcb,
                              const struct wr_delivery *d, const struct wr_sack_result *sack,
                              uint32_t prior_fack)
{
    bool late = d->original && seq_lt(d->lowest, prior_fack);

    if (!late && !sack->dsack_reordered)
        return;
    wr_count(stack, WR_STAT_tcp_sack_reorder);
    wr_rack_reordered_from(stack, tcb, late ? d->lowest : sack->dsack_start);
}

/* RFC 8985 6.2 step 4: D-SACKs of a round trip are one reason to wait longer. */
static void widen(const struct weir_stack *stack, const struct tcb *tcb, struct wr_rack *rack)
{
    if ((stack->tunables.tcp_recovery & STATIC_WINDOW) || rack->reord_seen == 0 ||
        seq_lt(tcb->snd_una, rack->dsack_round))
        return;
    rack->dsack_round = tcb->snd_nxt;
    rack->persist = PERSIST;
    if (rack->steps < UINT8_MAX)
        rack->steps++;
}

void wr_rack_delivered(struct wr_rack *rack, const struct wr_delivery *d, weir_time now)
{
    if (d->sent_at >= 0)
        wr_rack_took(rack, d->sent_at, d->order, d->end, now);
}

void wr_rack_acked(struct weir_stack *stack, struct tcb *tcb, const struct wr_delivery *d,
                   const struct wr_sack_result *sack, uint32_t prior_fack, weir_time now)
{
    struct wr_rack *rack = &tcb->tx->rack;

    if (!tcb->sack_ok)
        return;
    wr_rack_delivered(rack, d, now);
    detect_reordering(stack, tcb, d, sack, prior_fack);
    if (sack->dsack && !sack->dsack_tlp)
        widen(stack, tcb, rack);
}

static weir_time reo_wnd(const struct weir_stack *stack, const struct tcb *tcb)
{
    const struct wr_tx *tx = tcb->tx;
    const struct wr_rack *rack = &tx->rack;

    if (rack->reord_seen == 0) {
        if (tx->ca_state >= WEIR_CA_RECOVERY)
            return 0;
        if (tx->q.sacked_segs >= rack->reordering && !(stack->tunables.tcp_recovery & NO_DUPTHRESH))
            return 0;
    }
    return weir_time_min(tcb->rtt.min_rtt / 4 * rack->steps, tcb->rtt.srtt);
}

uint32_t wr_rack_mark_lost(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_sendq *q = &tcb->tx->q;
    struct wr_rack *rack = &tcb->tx->rack;
    uint32_t before = tcb->tx->rate.lost;
    weir_time wait = rack->rtt + reo_wnd(stack, tcb);
    struct wr_sent *sent;

    rack->reo_at = WEIR_TIME_NEVER;
    if (rack->xmit_at < 0)
        return 0;
    while ((sent = wr_sendq_oldest(q)) != NULL) {
        if (!wr_sent_after(rack->order, rack->end_seq, sent->order, sent->end))
            break;
        if (sent->sent_at + wait > now) {
            rack->reo_at = sent->sent_at + wait;
            break;
        }
        if (sent->flags & WR_SENT_REXMIT)
            wr_count_add(stack, WR_STAT_tcp_lost_retransmit, sent->segs);
        wr_rate_mark_lost(tcb->tx, sent);
        wr_trace_range(stack, tcb, WEIR_TRACE_LOST_RACK, sent->start, sent->end);
    }
    return tcb->tx->rate.lost - before;
}

bool wr_rack_is_young(const struct weir_stack *stack, const struct tcb *tcb,
                      const struct wr_sent *sent, weir_time now)
{
    return wr_rack_is_on(stack, tcb) && sent->sent_at + tcb->tx->rack.rtt > now;
}

void wr_rack_recovered(struct wr_rack *rack)
{
    if (rack->persist > 0)
        rack->persist--;
    if (rack->persist == 0)
        rack->steps = 1;
}

void wr_rack_undone(struct wr_rack *rack)
{
    if (rack->reord_seen == 0)
        rack->reord_seen = 1;
    if (rack->persist < PERSIST)
        rack->persist++;
}
