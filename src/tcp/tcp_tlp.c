/* SPDX-License-Identifier: MIT */
/*
 * Tail loss probe: RFC 8985 7. When the last segments of a flight are lost nothing arrives behind them, so
 * no ACK tells; the retransmission timer would be the first to notice. So after PTO, about two round
 * trips without an ACK, one segment is sent that makes the peer speak: new data if there is any that the
 * window allows, else the last segment again. Its SACK lets RACK find what is missing:
 *
 *      1 2 3 4 5 |                           5 |                   3 4 | 5
 *      - - x x x                             ^ probe                ^ SACK 5: RACK finds 3 and 4 lost
 *      ----------------|<---- PTO = 2 srtt ->|------- rtt -------->|
 *
 * If only the last segment was lost the probe itself repairs it, and nothing would tell congestion
 * control. So while a probe that was a retransmission is not judged (`active`): an ACK beyond end_seq
 * without a D-SACK means that there was a loss; a D-SACK of the probe, or a duplicate ACK that brings
 * nothing, means that both copies came.
 *
 * One probe at a time, and only when the RTT was measured since the last one; only without loss in sight
 * (in OPEN or CWR); only with SACK, as on Linux. With one segment in flight its ACK may be delayed: PTO is
 * tcp_rto_min longer.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"

enum {
    EARLY_RETRANS_TLP = 3, /* net.ipv4.tcp_early_retrans; 4 is the same, 0 is off */
    GRANULARITY_MS = 2     /* of Linux's timers at their coarsest here */
};

static bool is_on(const struct weir_stack *stack, const struct tcb *tcb)
{
    return tcb->sack_ok && stack->tunables.tcp_early_retrans >= EARLY_RETRANS_TLP;
}

weir_time wr_tlp_due_at(const struct weir_stack *stack, const struct tcb *tcb, weir_time rto_at,
                        weir_time now)
{
    const struct wr_tx *tx = tcb->tx;
    weir_time pto;

    if (!is_on(stack, tcb) || tx->ca_state == WEIR_CA_DISORDER || tx->ca_state > WEIR_CA_CWR ||
        tx->tlp.active || tx->tlp.unsampled)
        return WEIR_TIME_NEVER;
    if (tcb->rtt.srtt == 0)
        pto = WR_TCP_RTO_INITIAL;
    else if (tx->q.segs == 1)
        pto = 2 * tcb->rtt.srtt + stack->tunables.tcp_rto_min_us * WEIR_US;
    else
        pto = 2 * tcb->rtt.srtt + GRANULARITY_MS * WEIR_MS;
    return weir_time_min(now + pto, rto_at);
}

void wr_tlp_expired(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    if (tcb->tx->tlp.active)
        return;
    tcb->want |= WR_WANT_TLP;
    wr_output_kick(stack, tcb, now);
}

void wr_tlp_sent(struct weir_stack *stack, struct tcb *tcb, bool rexmit)
{
    struct wr_tlp *tlp = &tcb->tx->tlp;

    wr_count(stack, WR_STAT_tcp_loss_probes);
    tlp->active = true;
    tlp->unsampled = true;
    tlp->rexmit = rexmit;
    tlp->end_seq = tcb->snd_nxt;
}

bool wr_tlp_acked(struct tcb *tcb, uint32_t ack, const struct wr_sack_result *sack,
                  bool pure_duplicate)
{
    struct wr_tlp *tlp = &tcb->tx->tlp;

    if (!tlp->active || seq_lt(ack, tlp->end_seq))
        return false;
    if (!tlp->rexmit || sack->dsack_tlp) {
        tlp->active = false;
    } else if (seq_gt(ack, tlp->end_seq)) {
        tlp->active = false;
        return true;
    } else if (pure_duplicate && sack->new_bytes == 0) {
        tlp->active = false;
    }
    return false;
}
