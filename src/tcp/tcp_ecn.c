/* SPDX-License-Identifier: MIT */
/*
 * Explicit congestion notification, RFC 3168 6.1, as on Linux.
 *
 *     sender            router            receiver
 *       | -- data, ECT(0) --> |                |
 *       |                     | -- data, CE -->|      a queue marks what it would else drop
 *       | <----------- ACK, ECE -------------- |      WR_ECN_ECHO: on every ACK, until
 *       |  one reduction a window (tcp_recovery)
 *       | -- new data, CWR ------------------->|      WR_ECN_REDUCED: the answer
 *
 * Negotiated by a SYN with ECE and CWR (net.ipv4.tcp_ecn = 1 asks, 2 only answers) and a SYN-ACK with ECE
 * alone: what reflects both flags does not know ECN. A SYN that is sent again does not ask again
 * (tcp_ecn_fallback, RFC 3168 6.1.1.1). A SYN that comes with ECT is not from RFC 3168's sender, and is
 * answered without ECN.
 *
 * ECT(0) is on new data only: not on SYNs, retransmissions, ACKs and probes (RFC 3168 6.1.4 to 6.1.6),
 * whose loss or mark would not be noticed. ECT(1) and the nonce are RFC 8311's and not used. A reduction
 * by ECE is that of a loss; RFC 8511's smaller one is not made, as on Linux. cwnd does not go below two
 * segments by ECE (Linux; RFC 3168 6.1.2 lets it reach one and then wait for the timer).
 */
#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"

enum { ECN_MASK = 3, NOT_ECT = 0, CE = 3 };

static const uint16_t setup = W_TCP_ECE | W_TCP_CWR;

/* ---- negotiation --------------------------------------------------------------------------------- */

void wr_ecn_ask(const struct weir_stack *stack, struct tcb *tcb)
{
    if (stack->tunables.tcp_ecn == 1 || wr_cc_wants_ecn(stack, &tcb->opts))
        tcb->ecn = WR_ECN_OK;
}

uint16_t wr_ecn_syn_flags(const struct weir_stack *stack, const struct tcb *tcb)
{
    if (!(tcb->ecn & WR_ECN_OK))
        return 0;
    if (tcb->state == WEIR_TCP_SYN_RECV)
        return W_TCP_ECE;
    return tcb->syn_retries > 0 && stack->tunables.tcp_ecn_fallback ? 0 : setup;
}

void wr_ecn_syn_received(struct tcb *tcb, const struct seg *seg)
{
    uint16_t expected = (seg->flags & W_TCP_ACK) ? W_TCP_ECE : setup;

    if ((seg->flags & setup) != expected)
        tcb->ecn = 0;
}

bool wr_ecn_accepts(const struct weir_stack *stack, const struct wr_tcp_opts *opts,
                    const struct seg *seg)
{
    if ((seg->flags & setup) != setup)
        return false;
    return (stack->tunables.tcp_ecn != 0 && (seg->ds & ECN_MASK) == NOT_ECT) ||
           wr_cc_wants_ecn(stack, opts);
}

/* ---- data ------------------------------------------------------------------------------------------ */

/* The sender's window may be tiny: its ACKs must not wait. */
static void quick(struct tcb *tcb)
{
    wr_delack_quick(tcb, 2);
    tcb->delack.pingpong = false;
    tcb->delack.ato = WR_TCP_ATO_MIN;
}

void wr_ecn_data_received(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                          weir_time now)
{
    unsigned mark = seg->ds & ECN_MASK;

    if (!(tcb->ecn & WR_ECN_OK))
        return;
    if (seg->flags & W_TCP_CWR) {
        tcb->ecn &= (uint8_t)~WR_ECN_ECHO;
        wr_output_want_ack(stack, tcb, false, now);
    }
    if (seq_leq(seg->end_seq, tcb->rcv_nxt))
        return; /* seen before: its mark is old, RFC 3168 6.1.5 */
    if (mark == NOT_ECT) {
        if (tcb->ecn & WR_ECN_SEEN)
            quick(tcb); /* probably sent again */
        return;
    }
    if (mark == CE && !(tcb->ecn & WR_ECN_ECHO)) {
        quick(tcb);
        tcb->ecn |= WR_ECN_ECHO;
    }
    tcb->ecn |= WR_ECN_SEEN;
}
