/* SPDX-License-Identifier: MIT */
/*
 * Taking a reduction back: Eifel (RFC 3522, RFC 4015) and D-SACK (RFC 2883, RFC 3708), in Linux's form.
 *
 * cwnd is reduced on the belief that something was lost. Packets that were only overtaken or held up look
 * the same at first; afterwards three things tell:
 *
 *     - SND.UNA advanced, and the echoed timestamp is older than the first retransmission: the original
 *       arrived (RFC 3522 3.2);
 *     - the hole closed before anything was sent again at all;
 *     - each byte that was sent again since the reduction was reported by a D-SACK as a duplicate.
 *
 *      reduction        retransmissions                 D-SACKs
 *     ----+------------------+-----+-----------------------+-----+----> time
 *         marker = SND.UNA   unproven += bytes             unproven -= bytes; 0: take it back
 *
 * The last D-SACK of an episode may come when the next has begun already; false alarms come in rows. What
 * cwnd was before the first of them is then handed on: to the episode that follows, or put back at once if
 * that was taken back before. Of two episodes D-SACKs below `marker` are the older one's. (Linux forgets the older
 * one, and each pair of them halves cwnd for good.)
 *
 * Taken back means: cwnd is at least what it was, ssthresh too, and congestion control is told
 * (on_undo). A reduction by ECN lasts: the mark came from a queue (RFC 3168 6.1.2). Without timestamps and
 * D-SACK nothing is known, and nothing taken back; F-RTO (tcp_recovery) may still find a spurious time-out.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_sender.h"

/* ssthresh as it was, with what slow start had reached: Linux's 3/4 of cwnd. */
static uint32_t current_ssthresh(const struct wr_tx *tx)
{
    uint32_t reached = tx->cc.cwnd / 2 + tx->cc.cwnd / 4;

    if (tx->ca_state == WEIR_CA_CWR || tx->ca_state == WEIR_CA_RECOVERY)
        return tx->cc.ssthresh; /* cwnd is on its way down */
    return tx->cc.ssthresh > reached ? tx->cc.ssthresh : reached;
}

/* The episode at hand ended, in doubt, when another begins. */
static void keep_older(const struct wr_tx *tx, struct wr_undo *undo)
{
    bool in_doubt = undo->armed && undo->counted && undo->prior_ssthresh > 0;

    undo->older_unproven = in_doubt && tx->q.rexmit_bytes == 0 ? undo->unproven : 0;
    undo->older_cwnd = undo->prior_cwnd;
    undo->older_ssthresh = undo->prior_ssthresh;
}

void wr_undo_begin(struct tcb *tcb, bool lasting)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_undo *undo = &tx->undo;

    wr_undo_settle(tcb); /* a loss probe may have gone since */
    keep_older(tx, undo);
    undo->prior_cwnd = tx->cc.cwnd;
    undo->prior_ssthresh = lasting ? 0 : current_ssthresh(tx);
    undo->marker = tcb->snd_una;
    undo->armed = true;
    undo->unproven = tx->q.rexmit_bytes; /* of an earlier episode, and still under way */
    undo->counted = undo->unproven > 0;
}

void wr_undo_rexmit(struct tcb *tcb, uint32_t bytes, weir_time now)
{
    struct wr_undo *undo = &tcb->tx->undo;

    undo->unproven += bytes;
    undo->counted = true;
    if (undo->stamped)
        return;
    undo->stamped = true;
    undo->rexmit_ts = wr_ts_now(tcb->ts_offset, now);
}

/* All of the older episode was needless. */
static void hand_on(const struct wr_tx *tx, struct wr_undo *undo)
{
    if (undo->prior_ssthresh == 0)
        return;
    if (!undo->armed) {
        if (tx->ca_state > WEIR_CA_DISORDER)
            return;
        undo->armed = undo->counted = true;
        undo->unproven = 0;
    }
    if (undo->older_cwnd > undo->prior_cwnd)
        undo->prior_cwnd = undo->older_cwnd;
    if (undo->older_ssthresh > undo->prior_ssthresh)
        undo->prior_ssthresh = undo->older_ssthresh;
}

void wr_undo_dsack(struct tcb *tcb, uint32_t start, uint32_t end)
{
    struct wr_undo *undo = &tcb->tx->undo;
    uint32_t bytes = end - start;

    if (seq_leq(end, undo->marker)) {
        if (undo->older_unproven == 0)
            return;
        undo->older_unproven -= bytes < undo->older_unproven ? bytes : undo->older_unproven;
        if (undo->older_unproven == 0)
            hand_on(tcb->tx, undo);
    } else if (undo->armed && undo->counted) {
        undo->unproven -= bytes < undo->unproven ? bytes : undo->unproven;
    }
}

bool wr_undo_delayed(const struct tcb *tcb, const struct wr_ack_event *ev)
{
    const struct wr_undo *undo = &tcb->tx->undo;

    if (!undo->stamped)
        return true;
    return tcb->ts_ok && ev->has_echo && ev->echo != 0 && (int32_t)(ev->echo - undo->rexmit_ts) < 0;
}

bool wr_undo_all_dsacked(const struct tcb *tcb)
{
    const struct wr_undo *undo = &tcb->tx->undo;

    return undo->armed && undo->counted && undo->unproven == 0;
}

bool wr_undo_due(const struct tcb *tcb, const struct wr_ack_event *ev)
{
    return tcb->tx->undo.armed && (wr_undo_all_dsacked(tcb) || wr_undo_delayed(tcb, ev));
}

static void forget_losses(struct wr_sendq *q)
{
    for (struct wr_sent *sent = wr_sendq_first(q); sent != NULL; sent = wr_sendq_next(q, sent)) {
        if (sent->flags & WR_SENT_LOST)
            wr_sendq_unmark(q, sent, WR_SENT_LOST);
    }
}

void wr_undo_reduction(struct tcb *tcb, bool found, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    struct wr_undo *undo = &tx->undo;

    undo->armed = false;
    if (found) {
        forget_losses(&tx->q);
        tx->lost_edge = tcb->snd_una;
    }
    if (undo->prior_ssthresh == 0)
        return;
    if (!(tx->cc_ops->flags & WEIR_CC_OWNS_CWND) && undo->prior_cwnd > tx->cc.cwnd)
        tx->cc.cwnd = undo->prior_cwnd;
    if (undo->prior_ssthresh > tx->cc.ssthresh) {
        tx->cc.ssthresh = undo->prior_ssthresh;
        tcb->ecn &= (uint8_t)~WR_ECN_REDUCED;
    }
    if (tx->cc_ops->on_undo != NULL)
        tx->cc_ops->on_undo(&tx->cc, now);
}

void wr_undo_settle(struct tcb *tcb)
{
    const struct wr_sent *head = wr_sendq_first(&tcb->tx->q);

    if (tcb->tx->q.rexmit_bytes == 0 && (head == NULL || !(head->flags & WR_SENT_EVER)))
        tcb->tx->undo.stamped = false;
}
