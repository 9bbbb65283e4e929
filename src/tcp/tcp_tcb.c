/* SPDX-License-Identifier: MIT */
/* Connections: made, done, settled, freed; the invariants; TCP's own beginning and end. */
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_sender.h"
#include "tcp/tcp_trace.h"

#include <string.h>

/* What a connection costs while nothing is buffered, the sending side's struct wr_tx aside. */
static_assert(sizeof(struct tcb) <= 760,
              "keep the connection small: twelve lines with the pool's 8 bytes");
/* What a plain segment touches begins with a line in both of its parts, and is in as few as it can be. */
#define SLOT_HEAD 8
static_assert(offsetof(struct tcb, timer) + sizeof(struct wr_timer) + SLOT_HEAD == 2 * 64 &&
                  (offsetof(struct tcb, path.netif) + SLOT_HEAD) % 64 == 0 &&
                  offsetof(struct tcb, opts.user_timeout_ms) - offsetof(struct tcb, path.netif) <=
                      7 * 64,
              "nine lines of struct tcb");
static_assert(offsetof(struct wr_tx, undo) + SLOT_HEAD == 2 * 64 &&
                  (offsetof(struct wr_tx, pace.on) + SLOT_HEAD) / 64 + 4 ==
                      (offsetof(struct wr_tx, cc.min_rtt) - 1 + SLOT_HEAD) / 64,
              "seven lines of struct wr_tx");

/* ---- TCP as a whole --------------------------------------------------------------------------- */

int wr_tcp_init(struct weir_stack *stack)
{
    struct wr_tcp *tcp = wr_zalloc(stack, sizeof *tcp);
    uint8_t key[16];

    if (tcp == NULL)
        return WEIR_ENOMEM;
    stack->tcp = tcp;
    wr_cc_init(&tcp->cc);
    wr_table_init(stack, &tcp->flows, "tcp flows", UINT32_MAX);
    wr_table_init(stack, &tcp->listeners, "tcp listeners", UINT32_MAX);
    tcp->isn_epoch = (uint32_t)((uint64_t)stack->now >> 6);
    wr_derive_key(stack, "tcp timestamps", tcp->ts_key);
    wr_cookie_init(stack);
    wr_metrics_init(stack);
    wr_fastopen_init(stack);
    wr_derive_key(stack, "tcp treaps", key);
    tcp->prio = get_be64(key);
    wr_list_init(&tcp->listener_list);
    wr_list_init(&tcp->neigh_wait);
    wr_list_init(&tcp->mem.waiting);
    wr_records_init(&tcp->records, &stack->alloc);
    for (unsigned i = 0; i < WR_SYN_LEVELS; i++)
        wr_record_line_init(&tcp->syn_wait[i], offsetof(struct wr_syn, wait));
    wr_record_line_init(&tcp->tws, offsetof(struct wr_tw, line));
    wr_dues_init(&tcp->rest_dues, &tcp->records, offsetof(struct wr_rest, due));
    wr_pool_init(&tcp->tcbs, &stack->alloc, sizeof(struct tcb), stack->max_sockets);
    wr_pool_init(&tcp->txs, &stack->alloc, (uint32_t)wr_tx_size(weir_cc_cubic.private_words),
                 stack->max_sockets);
    wr_pool_in_lines(&tcp->tcbs);
    wr_pool_in_lines(&tcp->txs);
    wr_timer_init(&tcp->syn_timer, WR_TIMER_TCP_SYNQ);
    wr_timer_init(&tcp->tw_timer, WR_TIMER_TCP_TW);
    wr_timer_init(&tcp->rest_timer, WR_TIMER_TCP_SCAN);
    wr_timer_init(&tcp->wake_timer, WR_TIMER_TCP_REST);
    return 0;
}

bool wr_tx_is_pooled(unsigned cc_words)
{
    return cc_words <= weir_cc_cubic.private_words;
}

struct wr_tx *wr_tx_new(struct weir_stack *stack, unsigned cc_words)
{
    void *obj;

    if (!wr_tx_is_pooled(cc_words))
        return wr_zalloc(stack, wr_tx_size(cc_words));
    return wr_pool_alloc(&stack->tcp->txs, &obj) != 0 ? obj : NULL;
}

void wr_tx_free(struct weir_stack *stack, struct wr_tx *tx, unsigned cc_words)
{
    if (wr_tx_is_pooled(cc_words))
        wr_pool_free(&stack->tcp->txs, tx);
    else
        wr_free(stack, tx, wr_tx_size(cc_words));
}

static void free_tx(struct weir_stack *stack, struct tcb *tcb)
{
    wr_list_remove(&tcb->tx->mem_wait);
    wr_sendq_clear(stack, &tcb->tx->q);
    wr_push_free(stack, &tcb->tx->push);
    wr_tx_free(stack, tcb->tx, tcb->tx->cc_words);
    tcb->tx = NULL;
    tcb->paced = false;
}

static void free_buffers(struct weir_stack *stack, struct tcb *tcb)
{
    wr_ring_fini(&tcb->snd_ring, &stack->alloc);
    wr_ring_fini(&tcb->rcv_ring, &stack->alloc);
    wr_fastopen_free(stack, tcb);
    wr_reasm_free(stack, tcb);
    if (tcb->tx != NULL)
        free_tx(stack, tcb);
}

void wr_tcp_fini(struct weir_stack *stack)
{
    struct wr_tcp *tcp = stack->tcp;

    if (tcp == NULL)
        return;
    for (uint32_t i = 0; i < tcp->tcbs.n_slots; i++) {
        struct tcb *tcb = wr_pool_at(&tcp->tcbs, i);
        if (tcb != NULL) {
            wr_output_unlink(tcb);
            free_buffers(stack, tcb);
        }
    }
    while (!wr_list_is_empty(&tcp->listener_list)) {
        struct wr_listener *listener =
            WR_CONTAINER(wr_list_pop_front(&tcp->listener_list), struct wr_listener, all);
        wr_fastopen_unlisten(stack, listener);
        wr_free(stack, listener, sizeof *listener);
    }
    wr_metrics_fini(stack);
    wr_sendq_trim(stack);
    wr_pool_fini(&tcp->tcbs);
    wr_pool_fini(&tcp->txs);
    wr_rest_fini(stack);
    wr_records_fini(&tcp->records);
    wr_hash_fini(&tcp->flows);
    wr_hash_fini(&tcp->listeners);
    wr_free(stack, tcp, sizeof *tcp);
    stack->tcp = NULL;
}

/* ---- one connection ----------------------------------------------------------------------------- */

struct tcb *wr_tcb_new(struct weir_stack *stack, const struct wr_tuple *tuple, uint64_t hash,
                       const struct wr_tcp_opts *opts)
{
    struct tcb *tcb = NULL;
    void *obj = NULL;

    if (wr_pool_alloc(&stack->tcp->tcbs, &obj) == 0)
        return NULL;
    tcb = obj;
    tcb->state = WEIR_TCP_CLOSE;
    tcb->opts = *opts;
    wr_list_init(&tcb->out);
    wr_list_init(&tcb->accept);
    /* What else there is in it was cleared: a ring without bytes, a round trip that is not known. */
    tcb->timer.kind = WR_TIMER_TCP;
    tcb->timer.at = tcb->rto_at = tcb->delack_at = tcb->keep_at = WEIR_TIME_NEVER;
    wr_ring_set_limit(&tcb->snd_ring, opts->sndbuf);
    wr_ring_set_limit(&tcb->rcv_ring, opts->rcvbuf);
    tcb->rtt.rto = WR_TCP_RTO_INITIAL;
    tcb->oow_ack_at = -1;
    tcb->port_reuse = (uint8_t)((opts->reuseaddr ? WR_PORT_REUSEADDR : 0) |
                                (opts->reuseport ? WR_PORT_REUSEPORT : 0));
    if (!wr_port_hold(stack, tuple->lport, tcb->port_reuse)) {
        wr_pool_free(&stack->tcp->tcbs, tcb);
        return NULL;
    }
    if (!wr_demux_insert(stack, tcb, tuple, hash)) {
        wr_port_release(stack, tuple->lport, tcb->port_reuse);
        wr_pool_free(&stack->tcp->tcbs, tcb);
        return NULL;
    }
    tcb->peer_mss = (uint16_t)(wr_tcb_is_v4(tcb) ? WR_TCP_MSS_V4 : WR_TCP_MSS_V6);
    tcb->smss = tcb->peer_mss;
    wr_demux_found(stack, tcb); /* the next segment will be for it */
    return tcb;
}

struct wr_tx *wr_tcb_tx(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    const struct weir_cc_ops *ops;
    struct wr_tx *tx = tcb->tx;

    if (tx != NULL)
        return tx;
    ops = wr_cc_chosen(stack, &tcb->opts);
    tx = wr_tx_new(stack, wr_cc_words(ops));
    if (tx == NULL)
        return NULL;
    tcb->tx = tx;
    tx->cc_ops = ops;
    tx->cc_words = wr_cc_words(ops);
    wr_sendq_init(&tx->q);
    tx->rate.pick = &stack->tcp->pick;
    wr_list_init(&tx->mem_wait);
    tx->recover = tcb->iss; /* RFC 6582 3.2 (1) */
    tx->high_sacked = tx->lost_edge = tx->rescue = tcb->snd_una;
    tx->cwnd =
        (struct wr_cwnd){.usage_end = tcb->snd_una, .round_end = tcb->snd_una, .used_at = now};
    tx->push.pushed = tx->push.piece = tcb->snd_nxt;
    wr_rack_init(&tx->rack, tcb->snd_una, &stack->tunables);
    if (stack->tunables.tcp_mtu_probing != 0) {
        wr_mtup_init(stack, tcb, now);
        if (tx->mtup_on)
            wr_output_sync_mss(stack, tcb);
    }
    wr_cc_start(stack, tcb, now);
    wr_rate_limit(tcb); /* so far the application had nothing to send */
    return tx;
}

/* All of it but that its local port is held on. */
static void finish(struct weir_stack *stack, struct tcb *tcb, int error)
{
    wr_metrics_alive(stack, tcb);
    wr_fastopen_done(stack, tcb, stack->now);
    tcb->state = WEIR_TCP_CLOSE;
    wr_trace_state(stack, tcb, error);
    tcb->shut = WR_SHUT_BOTH;
    tcb->want = 0;
    if (error != 0)
        tcb->error = (uint8_t)error;
    wr_timers_stop(stack, tcb);
    wr_output_unlink(tcb);
    wr_demux_remove(stack, tcb);
    wr_ring_fini(&tcb->snd_ring, &stack->alloc);
    tcb->snd_una = tcb->write_seq = tcb->snd_nxt;
    wr_ring_forget_beyond(&tcb->rcv_ring, &stack->alloc);
    wr_reasm_free(stack, tcb);
    tcb->has_rx = false;
    if (tcb->tx != NULL)
        free_tx(stack, tcb);
    wr_tcb_touch(stack, tcb, WR_HAPPENED_STATE);
}

void wr_tcb_done(struct weir_stack *stack, struct tcb *tcb, int error)
{
    if (tcb->state == WEIR_TCP_CLOSE)
        return;
    finish(stack, tcb, error);
    wr_port_release(stack, tcb->tuple.lport, tcb->port_reuse);
}

void wr_tcb_done_but_port(struct weir_stack *stack, struct tcb *tcb)
{
    finish(stack, tcb, 0);
}

void wr_tcb_settle_changed(struct weir_stack *stack, struct tcb *tcb)
{
    if (tcb->state != WEIR_TCP_CLOSE) {
        wr_timers_update(stack, tcb);
#ifdef WEIR_CHECK
        wr_tcb_check(stack, tcb);
#endif
        return;
    }
    if (tcb->ready != NULL || tcb->in_accept)
        return;
    if (tcb->orphan)
        stack->tcp->n_orphans--;
    wr_tcb_free(stack, tcb);
}

void wr_tcb_free(struct weir_stack *stack, struct tcb *tcb)
{
    /* wr_tcb_done() has left what was received, if that. */
    if (tcb->state != WEIR_TCP_CLOSE || tcb->rcv_ring.buf != NULL || tcb->fo != NULL)
        free_buffers(stack, tcb);
    wr_direct_forget(stack, tcb);
    wr_mem_settle(stack, tcb);
    wr_pool_free(&stack->tcp->tcbs, tcb);
}

void wr_tcb_tie(struct tcb *tcb, struct wr_ready *ready)
{
    tcb->ready = ready;
    ready->flow = &tcb->flow;
}

void wr_tcb_untie(struct tcb *tcb)
{
    if (tcb->ready != NULL)
        tcb->ready->flow = NULL;
    tcb->ready = NULL;
}

struct wr_tcp_opts *wr_tcp_opts(struct tcb *tcb)
{
    return &tcb->opts;
}

/* ---- what short ways ask for ------------------------------------------------------------------------ */

static bool is_calm(const struct tcb *tcb)
{
    const struct wr_tx *tx = tcb->tx;

    return tx != NULL && tcb->state != WEIR_TCP_SYN_SENT && tcb->state != WEIR_TCP_SYN_RECV &&
           tx->ca_state == WEIR_CA_OPEN && tcb->sack_ok && tcb->ecn == 0 && tcb->dup_owed == 0 &&
           (tx->q.sacked_segs | tx->q.lost_segs | tx->q.ever_segs | tx->reno_sacked) == 0 &&
           seq_leq(tx->high_sacked, tcb->snd_una) && seq_leq(tcb->snd_up, tcb->snd_una) &&
           !tx->tlp.active && tx->rto_since == 0 && tx->rto_kind != WR_RTO_REORDER &&
           tx->rack.reo_at == WEIR_TIME_NEVER && !tx->mtup_on && !tx->pace.on && !tx->push.burst &&
           tx->push.marks == NULL && !tcb->stamping && !tcb->dsack_set &&
           (tcb->ofo == NULL || tcb->ofo->count == 0);
}

bool wr_tcb_calms_down(struct tcb *tcb)
{
    return tcb->calm = is_calm(tcb);
}

/* ---- invariants ----------------------------------------------------------------------------------- */

static void check_send_side(const struct tcb *tcb)
{
    uint32_t data_end = tcb->write_seq, head = wr_tcb_snd_head(tcb);
    uint32_t una_data = tcb->snd_una;

    assert(seq_leq(tcb->snd_una, tcb->snd_nxt));
    assert(seq_leq(tcb->snd_nxt, data_end + (tcb->fin_queued ? 1 : 0)) ||
           tcb->state == WEIR_TCP_SYN_SENT || tcb->state == WEIR_TCP_SYN_RECV);
    if (wr_tcb_opening(tcb)) {
        assert(tcb->snd_una == tcb->iss);
        una_data = tcb->iss + 1;
    }
    if (seq_gt(una_data, data_end)) /* our FIN is acknowledged */
        una_data = data_end;
    assert(head == una_data);
    if (tcb->tx != NULL) {
        assert(tcb->tx->cc.cwnd >= tcb->tx->cc.smss);
        assert(tcb->tx->q.count > 64 || /* the check is O(n log n) */
               wr_sendq_check(&tcb->tx->q, tcb->snd_una, tcb->snd_nxt));
    }
    assert(tcb->smss > 0);
    (void)head;
    (void)una_data;
    (void)data_end;
}

static void check_receive_side(const struct tcb *tcb)
{
    assert(seq_leq(tcb->rcv_wup, tcb->rcv_nxt));
    assert(tcb->rcv_ring.len <= tcb->rcv_ring.extent);
    if (tcb->ofo != NULL) {
        struct wr_range first = {0, 0};
        assert(wr_ranges_check(tcb->ofo));
        if (wr_ranges_first(tcb->ofo, &first))
            assert(seq_gt(first.start, tcb->rcv_nxt));
    }
    assert(!tcb->fin_received || tcb->state == WEIR_TCP_CLOSE_WAIT ||
           tcb->state == WEIR_TCP_CLOSING || tcb->state == WEIR_TCP_LAST_ACK);
}

void wr_tcb_check(const struct weir_stack *stack, const struct tcb *tcb)
{
    (void)stack;
    assert(tcb->state >= WEIR_TCP_ESTABLISHED && tcb->state <= WEIR_TCP_CLOSING);
    assert(tcb->state != WEIR_TCP_TIME_WAIT && tcb->state != WEIR_TCP_LISTEN);
    assert(tcb->flow.kind == WR_FLOW_TCB);
    assert((tcb->out_list != WR_OUT_IDLE) == wr_list_is_linked(&tcb->out));
    check_send_side(tcb);
    assert(!tcb->calm || is_calm(tcb));
    if (tcb->state != WEIR_TCP_SYN_SENT)
        check_receive_side(tcb);
    if (tcb->fo != NULL && tcb->fo->deferred) /* the user has not given what the SYN waits for */
        return;
    /* What is in flight is watched over: nothing waits for ever. */
    assert(!wr_tcb_in_flight(tcb) || tcb->rto_at != WEIR_TIME_NEVER ||
           tcb->out_list != WR_OUT_IDLE);
    assert(wr_tcb_in_flight(tcb) || wr_tcb_unsent(tcb) == 0 || tcb->rto_at != WEIR_TIME_NEVER ||
           tcb->out_list != WR_OUT_IDLE || tcb->paced);
}
