/* SPDX-License-Identifier: MIT */
/*
 * Leaving: CLOSE and ABORT of the user (RFC 9293 3.10.4, 3.10.5), FIN and RST of the peer
 * (3.10.7.4), in Linux's socket semantics:
 *
 *     shutdown(SHUT_WR)   FIN behind the data. SHUT_RD only marks: what comes is still taken.
 *     close               FIN, and data that comes later draws a RST; or
 *                         RST at once when received data was not read, or SO_LINGER says zero.
 *     after close         the connection is an orphan: bounded retries, FIN-WAIT-2 for tcp_fin_timeout.
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_sender.h"
#include "tcp/tcp_trace.h"

void wr_close_send(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    switch (tcb->state) {
    case WEIR_TCP_SYN_RECV:
        /* RFC 9293 3.10.4: the FIN leaves now, for nothing can be queued in this state, but behind
         * the data of a fast open. It is FIN-WAIT-1 to the outside (wr_tcp_state); inside the state
         * stays until the SYN is acknowledged, alone or with the FIN. */
        if (!wr_fastopen_pending(tcb))
            tcb->want |= WR_WANT_FIN;
        break;
    case WEIR_TCP_ESTABLISHED:
        tcb->state = WEIR_TCP_FIN_WAIT1;
        wr_trace_state(stack, tcb, 0);
        break;
    case WEIR_TCP_CLOSE_WAIT:
        tcb->state = WEIR_TCP_LAST_ACK;
        wr_trace_state(stack, tcb, 0);
        break;
    default: /* a FIN is queued already */
        return;
    }
    tcb->fin_queued = true;
    tcb->more = false;
    wr_output_kick(stack, tcb, now);
}

static void enter_fin_wait2(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    tcb->state = WEIR_TCP_FIN_WAIT2;
    wr_trace_state(stack, tcb, 0);
    tcb->shut |= WR_SHUT_SND;
    wr_tcb_touch(stack, tcb, WR_HAPPENED_STATE);
    if (!tcb->orphan)
        return;
    if (tcb->opts
            .linger2_off) { /* the ACK of the FIN is answered as by a closed port, as on Linux */
        struct wr_bare rst = {
            .tuple = &tcb->tuple, .hash = tcb->node.hash, .seq = tcb->snd_nxt, .flags = W_TCP_RST};
        wr_segment_bare(stack, &rst, now);
        wr_tcb_done(stack, tcb, 0);
        return;
    }
    wr_timers_fin_wait2(stack, tcb, now);
}

void wr_close_fin_acked(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    switch (tcb->state) {
    case WEIR_TCP_FIN_WAIT1:
        enter_fin_wait2(stack, tcb, now);
        break;
    case WEIR_TCP_CLOSING:
        wr_tw_enter(stack, tcb, now);
        break;
    case WEIR_TCP_LAST_ACK:
        wr_tcb_done(stack, tcb, 0);
        break;
    default:
        break;
    }
}

void wr_close_fin_received(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    tcb->rcv_nxt++;
    tcb->fin_received = true;
    tcb->shut |= WR_SHUT_RCV;
    wr_reasm_free(stack, tcb); /* nothing can follow */
    wr_ring_forget_beyond(&tcb->rcv_ring, &stack->alloc);
    if (tcb->state == WEIR_TCP_FIN_WAIT2)
        tcb->want |= WR_WANT_ACK; /* TIME-WAIT's */
    else
        wr_output_want_ack(stack, tcb, false, now);
    switch (tcb->state) {
    case WEIR_TCP_ESTABLISHED:
        tcb->state = WEIR_TCP_CLOSE_WAIT;
        wr_trace_state(stack, tcb, 0);
        break;
    case WEIR_TCP_FIN_WAIT1:
        tcb->state = WEIR_TCP_CLOSING;
        wr_trace_state(stack, tcb, 0);
        break;
    case WEIR_TCP_FIN_WAIT2:
        wr_tw_enter(stack, tcb, now);
        break;
    default:
        break;
    }
    wr_tcb_touch(stack, tcb, WR_HAPPENED_STATE);
}

void wr_close_reset_received(struct weir_stack *stack, struct tcb *tcb)
{
    int error = ECONNRESET;

    switch (tcb->state) {
    case WEIR_TCP_SYN_SENT:
    case WEIR_TCP_SYN_RECV: /* of an active open, or a fast one, which its user may have taken */
        error = tcb->passive ? ECONNRESET : ECONNREFUSED;
        wr_count(stack, WR_STAT_tcp_attempt_fails);
        break;
    case WEIR_TCP_CLOSE_WAIT:
        error = EPIPE;
        wr_count(stack, WR_STAT_tcp_estab_resets);
        break;
    case WEIR_TCP_ESTABLISHED:
        wr_count(stack, WR_STAT_tcp_estab_resets);
        break;
    default: /* in CLOSING and LAST-ACK RFC 9293 3.10.7.4 leaves open whether the user is told */
        break;
    }
    wr_tcb_done(stack, tcb, error);
}

void wr_close_timed_out(struct weir_stack *stack, struct tcb *tcb)
{
    wr_tcb_done(stack, tcb, tcb->soft_error != 0 ? tcb->soft_error : ETIMEDOUT);
}

/* An orphan costs memory that nobody will ask for again. Linux counts twice who is silent for long, and once
 * more whom the network calls unreachable. */
WR_APART bool is_too_many(struct weir_stack *stack, struct tcb *tcb, bool say_reset, weir_time now)
{
    weir_time quiet = tcb->tx != NULL ? now - tcb->tx->last_sent_at : 0;
    unsigned shift = quiet > 240 * WEIR_SEC || !say_reset ? 1 : 0;

    if (tcb->soft_error != 0)
        shift++;
    if (!tcb->orphan)
        return false;
    if ((uint64_t)stack->tcp->n_orphans << shift <= (uint64_t)stack->tunables.tcp_max_orphans &&
        !wr_mem_resets_orphan(stack, tcb))
        return false;
    if (say_reset || quiet <= WR_TCP_TIMEWAIT || (tcb->snd_wnd == 0 && !wr_tcb_in_flight(tcb)))
        wr_segment_reset(stack, tcb, now);
    wr_count(stack, WR_STAT_tcp_abort_on_memory);
    wr_tcb_done(stack, tcb, 0);
    return true;
}

bool wr_close_out_of_resources(struct weir_stack *stack, struct tcb *tcb, bool say_reset,
                               weir_time now)
{
    bool plenty = 4 * (uint64_t)stack->tcp->n_orphans <= (uint64_t)stack->tunables.tcp_max_orphans;

    if (wr_may_be_short(stack) && plenty && tcb->snd_ring.len == 0) /* as mostly */
        return false;
    return is_too_many(stack, tcb, say_reset, now);
}

/* ---- the user's calls ----------------------------------------------------------------------------- */

int wr_tcp_shutdown(struct weir_stack *stack, struct tcb *tcb, int how, weir_time now)
{
    if (how < WEIR_SHUT_RD || how > WEIR_SHUT_RDWR)
        return WEIR_EINVAL;
    if (tcb->state == WEIR_TCP_CLOSE) {
        tcb->shut |= (uint8_t)(how + 1);
        wr_tcb_touch(stack, tcb, WR_HAPPENED_STATE);
        return WEIR_ENOTCONN;
    }
    if (tcb->state == WEIR_TCP_SYN_SENT) { /* the attempt ends, without a packet */
        wr_tcb_done(stack, tcb, ECONNRESET);
        tcb->shut = 0;
        wr_tcb_settle(stack, tcb, now);
        return 0;
    }
    tcb->shut |= (uint8_t)(how + 1);
    if (how != WEIR_SHUT_RD)
        wr_close_send(stack, tcb, now);
    wr_tcb_touch(stack, tcb, WR_HAPPENED_STATE);
    wr_tcb_settle(stack, tcb, now);
    return 0;
}

/* RFC 9293 3.10.5: does an abort say RST in this state? */
static bool abort_sends_reset(const struct tcb *tcb)
{
    switch (tcb->state) {
    case WEIR_TCP_SYN_RECV:
    case WEIR_TCP_ESTABLISHED:
    case WEIR_TCP_FIN_WAIT1:
    case WEIR_TCP_FIN_WAIT2:
    case WEIR_TCP_CLOSE_WAIT:
        return true;
    case WEIR_TCP_CLOSING:
    case WEIR_TCP_LAST_ACK:
        return wr_tcb_unsent(tcb) > 0;
    default:
        return false;
    }
}

static void abort_now(struct weir_stack *stack, struct tcb *tcb, int error, weir_time now)
{
    if (abort_sends_reset(tcb))
        wr_segment_reset(stack, tcb, now);
    wr_tcb_done(stack, tcb, error);
}

void wr_tcp_close(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    uint32_t unread = tcb->rcv_ring.len;

    wr_tcb_untie(tcb);
    tcb->shut = WR_SHUT_BOTH;
    wr_ring_drop(&tcb->rcv_ring, &stack->alloc, unread);
    if (tcb->state == WEIR_TCP_CLOSE) {
        wr_tcb_settle(stack, tcb, now);
        return;
    }
    tcb->orphan = true;
    stack->tcp->n_orphans++;
    tcb->keep_at = WEIR_TIME_NEVER;
    if (tcb->state == WEIR_TCP_SYN_SENT) { /* RFC 9293 3.10.4 */
        wr_tcb_done(stack, tcb, 0);
    } else if (unread > 0) {
        wr_count(stack, WR_STAT_tcp_abort_on_close);
        abort_now(stack, tcb, 0, now);
    } else if (tcb->opts.linger_on && tcb->opts.linger_s == 0) {
        wr_count(stack, WR_STAT_tcp_abort_on_data);
        abort_now(stack, tcb, 0, now);
    } else if (tcb->state == WEIR_TCP_FIN_WAIT2) {
        enter_fin_wait2(stack, tcb, now);
    } else if (!wr_close_out_of_resources(stack, tcb, true, now)) {
        wr_close_send(stack, tcb, now);
    }
    wr_tcb_settle(stack, tcb, now);
}

void wr_tcp_abort(struct weir_stack *stack, struct tcb *tcb, bool keep, weir_time now)
{
    if (tcb->state != WEIR_TCP_CLOSE)
        abort_now(stack, tcb, ECONNABORTED, now);
    wr_ring_drop(&tcb->rcv_ring, &stack->alloc, tcb->rcv_ring.len);
    if (!keep)
        wr_tcb_untie(tcb);
    wr_tcb_settle(stack, tcb, now);
}
