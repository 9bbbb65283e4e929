/* SPDX-License-Identifier: MIT */
/*
 * The timers of a connection. Others say what happened (data was sent, an ACK came); what that means for
 * deadlines is decided here alone.
 *
 *     rto_at      SYN-SENT, SYN-RECEIVED   send the SYN again
 *                 data or FIN in flight    retransmission (RFC 6298 5), or before it the tail loss probe or
 *                                          the reordering timer (RFC 8985 8); rto_kind says which
 *                 else, data held back     persist: zero-window probe, override of Nagle and SWS
 *                                          avoidance (RFC 9293 3.8.6.1, 3.8.6.2.1)
 *     delack_at   an ACK is owed
 *     keep_at     keepalive; of an orphan in FIN-WAIT-2 its end
 *
 * One timer serves all three. It is armed no later than the earliest deadline, and is not moved
 * when a deadline moves away (each ACK of a bulk transfer moves rto_at): it then fires early, once,
 * finds nothing due, and is armed anew.
 *
 * Giving up. Linux's rule: the count tcp_retries2 is turned into a time, that which so many doublings of
 * the minimal RTO take (15: 924.6 s); the connection ends at the first time-out beyond it.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_sender.h"
#include "tcp/tcp_trace.h"

enum { RENEGING_MS = 10 /* shortest wait for the ACK that clears a peer of it */ };

static weir_time rto_max(const struct weir_stack *stack)
{
    return stack->tunables.tcp_rto_max_ms * WEIR_MS;
}

static weir_time rto_min(const struct weir_stack *stack)
{
    return stack->tunables.tcp_rto_min_us * WEIR_US;
}

void wr_timers_stop(struct weir_stack *stack, struct tcb *tcb)
{
    tcb->rto_at = tcb->delack_at = tcb->keep_at = WEIR_TIME_NEVER;
    wr_timer_cancel(stack, &tcb->timer);
}

/* ---- what happened ------------------------------------------------------------------------------ */

/* The time-out now in force, cut to what is left of TCP_USER_TIMEOUT. */
static weir_time rto_clamped(const struct tcb *tcb, weir_time now)
{
    weir_time left;

    if (tcb->opts.user_timeout_ms == 0 || tcb->stalled_at == 0)
        return tcb->rtt.rto;
    left = tcb->stalled_at + tcb->opts.user_timeout_ms * WEIR_MS - now;
    if (left < WEIR_MS)
        left = WEIR_MS;
    return weir_time_min(tcb->rtt.rto, left);
}

/* The retransmission timer as it runs from the last transmission of the head of the flight. */
static weir_time rto_of_head(const struct tcb *tcb, weir_time now)
{
    const struct wr_sent *head = wr_sendq_first(&tcb->tx->q);
    weir_time at;

    if (head == NULL || head == wr_sendq_lost(&tcb->tx->q)) /* it is about to be sent again */
        return now + rto_clamped(tcb, now);
    at = head->sent_at + rto_clamped(tcb, now);
    return at > now ? at : now;
}

/* Watches over the flight: a probe if one is due before the retransmission timer. */
static void watch(const struct weir_stack *stack, struct tcb *tcb, weir_time rto_at, weir_time now)
{
    weir_time probe_at = wr_tlp_due_at(stack, tcb, rto_at, now);
    bool probe = probe_at != WEIR_TIME_NEVER;

    tcb->rto_at = probe ? probe_at : rto_at;
    tcb->tx->rto_kind = probe ? WR_RTO_PROBE : WR_RTO_LOSS;
}

static void data_sent_again(struct tcb *tcb, weir_time now)
{
    const struct wr_sent *head = wr_sendq_first(&tcb->tx->q);

    if (tcb->stalled_at == 0)
        tcb->stalled_at = now;
    if (tcb->rto_at == WEIR_TIME_NEVER ||
        (tcb->tx->rto_kind != WR_RTO_REORDER && head != NULL && head->sent_at == now)) {
        tcb->rto_at = now + rto_clamped(tcb, now);
        tcb->tx->rto_kind = WR_RTO_LOSS;
    }
}

void wr_timers_data_sent(struct weir_stack *stack, struct tcb *tcb, bool rexmit, weir_time now)
{
    if (rexmit) {
        data_sent_again(tcb, now);
        return;
    }
    if (tcb->held || tcb->rto_at == WEIR_TIME_NEVER) {
        if (tcb->held) {
            wr_rtt_reset_backoff(&tcb->rtt, &stack->tunables);
            tcb->stalled_at = 0;
        }
        tcb->held = false;
        tcb->probes = 0;
        watch(stack, tcb, now + tcb->rtt.rto, now);
    } else if (tcb->tx->rto_kind != WR_RTO_REORDER) {
        bool loss = tcb->tx->rto_kind == WR_RTO_LOSS;
        watch(stack, tcb, loss ? tcb->rto_at : rto_of_head(tcb, now), now);
    }
}

void wr_timers_probe_sent(struct tcb *tcb, weir_time now)
{
    tcb->rto_at = now + rto_clamped(tcb, now); /* RFC 8985 7.3 */
    tcb->tx->rto_kind = WR_RTO_LOSS;
}

void wr_timers_judged(struct weir_stack *stack, struct tcb *tcb, bool progress, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    bool was_reorder = tx->rto_kind == WR_RTO_REORDER;

    if (!wr_tcb_in_flight(tcb) || tcb->held)
        return;
    if (tx->rack.reo_at != WEIR_TIME_NEVER) {
        tx->rto_kind = WR_RTO_REORDER;
        tcb->rto_at = tx->rack.reo_at;
    } else if (progress) {
        watch(stack, tcb, now + rto_clamped(tcb, now), now);
    } else if (was_reorder) {
        watch(stack, tcb, rto_of_head(tcb, now), now);
    }
}

void wr_timers_reneging(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    weir_time half = tcb->rtt.srtt / 2, least = RENEGING_MS * WEIR_MS;

    (void)stack;
    tcb->tx->rto_kind = WR_RTO_LOSS;
    tcb->rto_at = now + (half > least ? half : least);
}

void wr_timers_syn_sent(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    (void)stack;
    tcb->rto_at = now + tcb->rtt.rto;
}

void wr_timers_acked(struct weir_stack *stack, struct tcb *tcb, bool progress, weir_time now)
{
    tcb->probes = 0;
    if (progress) {
        tcb->retransmits = 0;
        tcb->stalled_at = 0;
        tcb->held = false;
        tcb->rto_at = wr_tcb_in_flight(tcb) ? now + tcb->rtt.rto : WEIR_TIME_NEVER;
        return;
    }
    if (!tcb->held)
        return;
    if (seq_gt(tcb->snd_una + tcb->snd_wnd, tcb->snd_nxt)) { /* the window is open again */
        wr_rtt_reset_backoff(&tcb->rtt, &stack->tunables);
        tcb->held = false;
        tcb->stalled_at = 0;
        tcb->rto_at = WEIR_TIME_NEVER;
        wr_output_kick(stack, tcb, now);
    } else {
        tcb->rto_at = now + rto_clamped(tcb, now);
    }
}

void wr_timers_held(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    weir_time wait = tcb->rtt.rto > rto_min(stack) ? tcb->rtt.rto : rto_min(stack);

    if (tcb->held && tcb->rto_at != WEIR_TIME_NEVER)
        return;
    tcb->held = true;
    if (tcb->rto_at == WEIR_TIME_NEVER)
        tcb->rto_at = now + wait;
}

void wr_timers_blocked(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    if (wr_tcb_in_flight(tcb)) {
        if (tcb->rto_at == WEIR_TIME_NEVER) {
            tcb->rto_at = now + tcb->rtt.rto;
            if (tcb->tx != NULL)
                tcb->tx->rto_kind = WR_RTO_LOSS;
        }
    } else if (wr_tcb_unsent(tcb) > 0 || tcb->fin_queued) {
        wr_timers_held(stack, tcb, now);
    }
}

void wr_timers_delay_ack(struct weir_stack *stack, struct tcb *tcb, weir_time at)
{
    (void)stack;
    tcb->delack_at = at;
}

/* ---- keepalive, FIN-WAIT-2 --------------------------------------------------------------------------- */

static weir_time keep_idle(const struct weir_stack *stack, const struct tcb *tcb)
{
    int64_t s = tcb->opts.keepidle_s;
    return (s != 0 ? s : stack->tunables.tcp_keepalive_time_s) * WEIR_SEC;
}

static weir_time keep_interval(const struct weir_stack *stack, const struct tcb *tcb)
{
    int64_t s = tcb->opts.keepintvl_s;
    return (s != 0 ? s : stack->tunables.tcp_keepalive_intvl_s) * WEIR_SEC;
}

static weir_time last_heard(const struct tcb *tcb)
{
    return tcb->last_ack_at > tcb->delack.last_at ? tcb->last_ack_at : tcb->delack.last_at;
}

void wr_timers_keepalive(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    weir_time at;

    if (tcb->state == WEIR_TCP_SYN_SENT || tcb->state == WEIR_TCP_CLOSE ||
        (tcb->state == WEIR_TCP_FIN_WAIT2 && tcb->orphan))
        return;
    if (tcb->opts.keepalive && tcb->keep_at != WEIR_TIME_NEVER && tcb->probes > 0)
        return; /* probing: its interval goes on */
    tcb->keep_at = WEIR_TIME_NEVER;
    if (!tcb->opts.keepalive)
        return;
    at = last_heard(tcb) + keep_idle(stack, tcb);
    tcb->keep_at = at > now ? at : now;
}

void wr_timers_fin_wait2(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    int64_t s = tcb->opts.linger2_s > 0 ? tcb->opts.linger2_s : stack->tunables.tcp_fin_timeout_s;
    weir_time wait = s * WEIR_SEC, rto_wait = 7 * tcb->rtt.rto / 2;

    /* Long enough to see the peer's FIN retransmitted. */
    tcb->keep_at = now + (wait > rto_wait ? wait : rto_wait);
}

static void keepalive_expired(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    weir_time idle = keep_idle(stack, tcb), quiet = now - last_heard(tcb);
    weir_time user_timeout = tcb->opts.user_timeout_ms * WEIR_MS;
    int64_t limit =
        tcb->opts.keepcnt != 0 ? tcb->opts.keepcnt : stack->tunables.tcp_keepalive_probes;

    if (!tcb->opts.keepalive)
        return;
    if (wr_tcb_in_flight(tcb) || wr_tcb_unsent(tcb) > 0) { /* the retransmission timer watches */
        tcb->keep_at = now + idle;
        return;
    }
    if (quiet < idle) {
        tcb->keep_at = now + idle - quiet;
        return;
    }
    if (user_timeout != 0 ? quiet >= user_timeout && tcb->probes > 0 : tcb->probes >= limit) {
        wr_segment_reset(stack, tcb, now);
        wr_close_timed_out(stack, tcb);
        return;
    }
    wr_count(stack, WR_STAT_tcp_keepalives);
    wr_trace(stack, tcb, WEIR_TRACE_TIMER_KEEPALIVE);
    tcb->probes++;
    tcb->want |= WR_WANT_PROBE;
    tcb->keep_at = now + keep_interval(stack, tcb);
    wr_output_kick(stack, tcb, now);
}

static void keep_expired(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    if (tcb->state == WEIR_TCP_FIN_WAIT2 && tcb->orphan)
        wr_tcb_done(stack, tcb, 0);
    else
        keepalive_expired(stack, tcb, now);
}

/* ---- SYN ------------------------------------------------------------------------------------------------ */

static bool user_timed_out(const struct tcb *tcb, weir_time now)
{
    return tcb->opts.user_timeout_ms != 0 && tcb->stalled_at != 0 &&
           now - tcb->stalled_at >= tcb->opts.user_timeout_ms * WEIR_MS;
}

/* What TCP_INFO tells of time-outs; `first` of a series. */
static void count_timeout(struct tcb *tcb, bool first, weir_time now)
{
    tcb->total_rto++;
    if (!first)
        return;
    tcb->rto_recoveries++;
    if (tcb->tx != NULL)
        tcb->tx->rto_since = now;
}

void wr_timers_rto_recovered(struct tcb *tcb, weir_time since, weir_time now)
{
    if (since != 0)
        tcb->rto_ms += (uint32_t)((now - since) / WEIR_MS);
    if (tcb->tx != NULL)
        tcb->tx->rto_since = 0;
}

/* Linux: the SYN-ACK of a fast open has one more try than an ordinary one. */
static int64_t syn_limit(const struct weir_stack *stack, const struct tcb *tcb)
{
    if (tcb->opts.syncnt != 0)
        return tcb->opts.syncnt;
    return wr_fastopen_pending(tcb) ? stack->tunables.tcp_synack_retries + 1
                                    : stack->tunables.tcp_syn_retries;
}

/* Linux's retransmits_timed_out(): however the waits are spread, no longer than `limit` doublings of
 * the first one take. */
static bool syn_timed_out(const struct weir_stack *stack, const struct tcb *tcb, weir_time now)
{
    int64_t limit = syn_limit(stack, tcb), doublings = limit < 6 ? limit : 6;
    weir_time most = ((INT64_C(2) << doublings) - 1) * WR_TCP_RTO_INITIAL;

    if (tcb->syn_retries == 0 || tcb->opts.user_timeout_ms != 0)
        return user_timed_out(tcb, now);
    return now - tcb->syn_at >= most + (limit - doublings) * rto_max(stack);
}

/* RFC 9293 3.8.3. Linux: the first tcp_syn_linear_timeouts waits are not doubled. */
static void syn_expired(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    int64_t linear = tcb->state == WEIR_TCP_SYN_SENT ? stack->tunables.tcp_syn_linear_timeouts : 0;
    bool last =
        tcb->syn_retries >= syn_limit(stack, tcb) + linear || syn_timed_out(stack, tcb, now);

    wr_trace(stack, tcb, WEIR_TRACE_TIMER_SYN);
    wr_fastopen_timed_out(stack, tcb, tcb->syn_retries, last, now);
    if (last) {
        wr_fastopen_unanswered(stack, tcb);
        wr_count(stack, WR_STAT_tcp_attempt_fails);
        wr_close_timed_out(stack, tcb);
        return;
    }
    if (tcb->stalled_at == 0)
        tcb->stalled_at = now;
    wr_count(stack, WR_STAT_tcp_timeouts);
    count_timeout(tcb, tcb->syn_retries == 0, now);
    if (tcb->syn_retries < UINT8_MAX)
        tcb->syn_retries++;
    if (tcb->syn_retries > linear)
        wr_rtt_backoff(&tcb->rtt, &stack->tunables);
    if (tcb->syn_retries == 2 && wr_fastopen_pending(tcb) && wr_tcb_in_flight(tcb))
        wr_recovery_timeout(stack, tcb, now); /* what went with the first is lost as well (Linux) */
    tcb->want |= WR_WANT_SYN;
    tcb->rto_at = now + rto_clamped(tcb, now);
    wr_output_kick(stack, tcb, now);
}

/* ---- retransmission ------------------------------------------------------------------------------------- */

/* The time that `retries` doublings take from the minimal RTO up to the maximal one. */
static weir_time model_timeout(const struct weir_stack *stack, int64_t retries)
{
    weir_time rto = rto_min(stack), sum = 0;

    for (int64_t i = 0; i <= retries; i++) {
        sum += rto;
        rto = rto > rto_max(stack) / 2 ? rto_max(stack) : 2 * rto;
    }
    return sum;
}

static int64_t orphan_retries(const struct weir_stack *stack, const struct tcb *tcb, bool alive)
{
    int64_t retries = stack->tunables.tcp_orphan_retries;

    if (tcb->soft_error != 0 && !alive)
        return 0; /* the network says that it cannot be reached */
    return retries == 0 && alive ? 8 : retries;
}

static bool retransmission_timed_out(const struct weir_stack *stack, const struct tcb *tcb,
                                     weir_time now)
{
    int64_t limit = stack->tunables.tcp_retries2;

    if (tcb->retransmits == 0 || tcb->stalled_at == 0)
        return false;
    if (tcb->snd_wnd == 0 && !tcb->orphan) /* the window shrank, but the peer answers: wait */
        return user_timed_out(tcb, now) || now - tcb->last_ack_at > 2 * rto_max(stack);
    if (tcb->orphan)
        limit = orphan_retries(stack, tcb, tcb->rtt.rto < rto_max(stack));
    if (tcb->opts.user_timeout_ms != 0)
        return user_timed_out(tcb, now);
    return now - tcb->stalled_at >= model_timeout(stack, limit);
}

static void retransmission_expired(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    bool last = retransmission_timed_out(stack, tcb, now);

    wr_trace(stack, tcb, WEIR_TRACE_TIMER_RTO);
    wr_fastopen_timed_out(stack, tcb, tcb->retransmits, last, now);
    if (wr_close_out_of_resources(stack, tcb, !last || tcb->rtt.rto < rto_max(stack), now))
        return;
    if (last) {
        wr_count(stack, WR_STAT_tcp_abort_on_timeout);
        wr_close_timed_out(stack, tcb);
        return;
    }
    wr_count(stack, WR_STAT_tcp_timeouts);
    count_timeout(tcb, tcb->retransmits == 0, now);
    if (tcb->retransmits < UINT8_MAX)
        tcb->retransmits++;
    if (tcb->stalled_at == 0)
        tcb->stalled_at = now;
    if (now - tcb->stalled_at >= model_timeout(stack, stack->tunables.tcp_retries1)) {
        wr_mtup_black_hole(stack, tcb, now);
        tcb->path.netif = NULL; /* R1: try another way, RFC 9293 3.8.3 */
    }
    wr_recovery_timeout(stack, tcb, now);
    wr_rtt_backoff(&tcb->rtt, &stack->tunables);
    tcb->rto_at = now + rto_clamped(tcb, now);
    wr_output_kick(stack, tcb, now);
}

void wr_timers_unreachable(struct weir_stack *stack, struct tcb *tcb, uint32_t seq, weir_time now)
{
    struct wr_rtt *rtt = &tcb->rtt;
    struct wr_sent *head = tcb->tx != NULL ? wr_sendq_first(&tcb->tx->q) : NULL;
    weir_time rto = wr_rtt_base_rto(rtt, &stack->tunables);

    if (head == NULL || seq != tcb->snd_una || tcb->retransmits == 0 || rtt->backoff == 0 ||
        tcb->tx->rto_kind != WR_RTO_LOSS || tcb->rto_at == WEIR_TIME_NEVER)
        return;
    rtt->backoff--;
    for (uint8_t i = 0; i < rtt->backoff; i++)
        rto = rto > rto_max(stack) / 2 ? rto_max(stack) : 2 * rto;
    rtt->rto = rto;
    tcb->rto_at = head->sent_at + rto > now ? head->sent_at + rto : now;
}

/* ---- persist -------------------------------------------------------------------------------------------- */

static bool probes_exhausted(const struct weir_stack *stack, const struct tcb *tcb, weir_time now)
{
    int64_t limit = stack->tunables.tcp_retries2;

    if (user_timed_out(tcb, now))
        return true;
    if (tcb->orphan) {
        bool alive = tcb->rtt.rto < rto_max(stack);
        limit = orphan_retries(stack, tcb, alive);
        if (!alive && tcb->rtt.backoff >= limit)
            return true;
    }
    return tcb->probes >= limit;
}

/* RFC 9293 3.8.6.1; the probe is an empty segment at SND.UNA - 1 as on Linux. */
static void persist_expired(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    bool window_open = seq_gt(tcb->snd_una + tcb->snd_wnd, tcb->snd_nxt);

    wr_trace(stack, tcb, WEIR_TRACE_TIMER_PERSIST);
    if (probes_exhausted(stack, tcb, now)) {
        wr_count(stack, WR_STAT_tcp_abort_on_timeout);
        wr_close_timed_out(stack, tcb);
        return;
    }
    if (wr_close_out_of_resources(stack, tcb, true, now))
        return;
    if (tcb->stalled_at == 0) /* TCP_USER_TIMEOUT runs from the first probe on, as on Linux */
        tcb->stalled_at = now;
    if (window_open) {
        tcb->want |= WR_WANT_FORCE;
    } else {
        wr_count(stack, WR_STAT_tcp_window_probes);
        tcb->want |= WR_WANT_PROBE;
        if (seq_gt(tcb->snd_up, tcb->snd_una))
            tcb->want |= WR_WANT_PROBE_URG;
    }
    tcb->probes++;
    if (tcb->rtt.backoff < stack->tunables.tcp_retries2)
        wr_rtt_backoff(&tcb->rtt, &stack->tunables);
    tcb->rto_at = now + rto_clamped(tcb, now);
    wr_output_kick(stack, tcb, now);
}

/* RFC 8985 6.2 step 5: what was in doubt has had its time. */
static void reordering_expired(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    uint32_t lost;

    wr_trace(stack, tcb, WEIR_TRACE_TIMER_REORDER);
    lost = wr_rack_mark_lost(stack, tcb, now);
    if (lost > 0)
        wr_recovery_lost(stack, tcb, now);
    wr_timers_judged(stack, tcb, false, now);
}

static void flight_expired(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    assert(tcb->tx != NULL); /* it was made when the flight left */
    switch (tcb->tx->rto_kind) {
    case WR_RTO_REORDER:
        reordering_expired(stack, tcb, now);
        break;
    case WR_RTO_PROBE:
        wr_trace(stack, tcb, WEIR_TRACE_TIMER_TLP);
        tcb->tx->rto_kind = WR_RTO_LOSS;
        tcb->rto_at = rto_of_head(tcb, now);
        wr_tlp_expired(stack, tcb, now);
        break;
    default:
        retransmission_expired(stack, tcb, now);
        break;
    }
}

static void rto_expired(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    if (tcb->state == WEIR_TCP_SYN_SENT || tcb->state == WEIR_TCP_SYN_RECV)
        syn_expired(stack, tcb, now);
    else if (wr_tcb_in_flight(tcb))
        flight_expired(stack, tcb, now);
    else if (wr_tcb_unsent(tcb) > 0 || (tcb->fin_queued && seq_leq(tcb->snd_nxt, tcb->write_seq)))
        persist_expired(stack, tcb, now);
}

void wr_tcp_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now)
{
    struct tcb *tcb = WR_CONTAINER(timer, struct tcb, timer);
    bool paced = tcb->paced;

    /* As mostly: what it was armed for was done meanwhile. */
    if (!paced && tcb->delack_at > now && tcb->rto_at > now && tcb->keep_at > now) {
        wr_timers_update(stack, tcb);
        return;
    }

    wr_tcb_stirred(tcb);
    if (paced && tcb->tx->pace.next_at <= now) {
        tcb->paced = false;
        wr_output_kick(stack, tcb, now);
    }
    if (tcb->delack_at <= now) {
        tcb->delack_at = WEIR_TIME_NEVER;
        wr_delack_timeout(stack, tcb, now);
    }
    if (tcb->rto_at <= now) {
        tcb->rto_at = WEIR_TIME_NEVER;
        rto_expired(stack, tcb, now);
    }
    if (tcb->keep_at <= now) {
        tcb->keep_at = WEIR_TIME_NEVER;
        keep_expired(stack, tcb, now);
    }
    wr_tcb_settle(stack, tcb, now);
}
