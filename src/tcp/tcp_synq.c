/* SPDX-License-Identifier: MIT */
/*
 * The SYN queue: what is kept of a passive open until its final ACK comes (struct wr_syn, RFC 4987 3.4), and the SYN-ACK, which
 * goes again at 1, 3, 7, 15, 31 s. What becomes of a segment that is for a listener or an entry is tcp_listen's.
 *
 * Entries wait in lists by the number of retransmissions: all in a list wait equally long, so each list
 * is in the order of time, and one timer does for all. It is set no later than the first is due and stays where it
 * is when an entry becomes a connection: it may ring for nothing once, a second after the last SYN.
 *
 * The entry made last stands apart from the table (struct wr_tcp.newest), for most often its final ACK is what comes
 * next. When another is made, or it is needed among the others, it goes in; nothing that is told of it changes by that. Is there no
 * memory for it in the table it stays, and for another there is none either: its SYN may be answered by a cookie.
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"

#include <stddef.h>
#include <string.h>

/* ---- lines and their timer -------------------------------------------------------------------------- */

weir_time wr_syn_resend_at(const struct wr_syn *syn, weir_time now)
{
    int64_t us = now / WEIR_US;
    return (us + (int32_t)(syn->resend_us - (uint32_t)us)) * WEIR_US;
}

static weir_time level_wait(unsigned level)
{
    weir_time wait = WR_TCP_RTO_INITIAL << level;
    return wait < 120 * WEIR_SEC ? wait : 120 * WEIR_SEC;
}

static unsigned level_of(const struct wr_syn *syn)
{
    return syn->retries < WR_SYN_LEVELS ? syn->retries : WR_SYN_LEVELS - 1;
}

void wr_syn_arm(struct weir_stack *stack)
{
    struct wr_tcp *tcp = stack->tcp;
    weir_time at = WEIR_TIME_NEVER;

    for (unsigned i = 0; i < WR_SYN_LEVELS; i++) {
        const struct wr_syn *first = wr_record_line_first(&tcp->records, &tcp->syn_wait[i]);
        if (first != NULL)
            at = weir_time_min(at, wr_syn_resend_at(first, stack->now));
    }
    if (tcp->has_newest)
        at = weir_time_min(at, wr_syn_resend_at(wr_syn_newest(stack), stack->now));
    if (at != tcp->syn_timer.at)
        wr_timer_arm(stack, &tcp->syn_timer, at);
}

/* From now on it waits for its final ACK. */
static void wait_from_now(struct weir_stack *stack, struct wr_syn *syn, weir_time now)
{
    int64_t us = (now + level_wait(level_of(syn))) / WEIR_US;
    weir_time at = us * WEIR_US;

    syn->resend_us = (uint32_t)us;
    if (at < stack->tcp->syn_timer.at)
        wr_timer_arm(stack, &stack->tcp->syn_timer, at);
}

/* number: its own; it stands in no line. */
static void enqueue(struct weir_stack *stack, const struct wr_syn *syn, uint32_t number)
{
    wr_record_line_push(&stack->tcp->records, &stack->tcp->syn_wait[level_of(syn)], number);
}

static void dequeue(struct weir_stack *stack, const struct wr_syn *syn)
{
    wr_record_line_remove(&stack->tcp->records, &stack->tcp->syn_wait[level_of(syn)], &syn->record);
}

static void wait_again(struct weir_stack *stack, struct wr_syn *syn, weir_time now)
{
    wait_from_now(stack, syn, now);
    enqueue(stack, syn, wr_records_number(&stack->tcp->records, &syn->record));
}

/* ---- entries ---------------------------------------------------------------------------------------- */

enum {
    SYN_HEAD = offsetof(struct wr_syn, addrs),
    SYN_OWN = offsetof(struct wr_syn, listener) /* and what follows, up to SYN_HEAD */
};

/* Into the table and its lines. NULL: no memory. */
static struct wr_syn *to_table(struct weir_stack *stack, const struct wr_syn *filled,
                               const struct wr_tuple *tuple, uint64_t hash)
{
    size_t size = SYN_HEAD + (weir_addr_is_v4(&tuple->local) ? WR_ADDRS_V4 : WR_ADDRS_V6);
    struct wr_syn *syn;
    uint32_t number;

    syn = wr_demux_add(stack, WR_FLOW_SYN, size, tuple, hash, &number);
    if (syn == NULL)
        return NULL;
    syn->flow.wnd = filled->flow.wnd;
    memcpy((uint8_t *)syn + SYN_OWN, (const uint8_t *)filled + SYN_OWN, SYN_HEAD - SYN_OWN);
    wr_record_line_push(&stack->tcp->records, &syn->listener->syns, number);
    enqueue(stack, syn, number);
    return syn;
}

bool wr_syn_settle(struct weir_stack *stack)
{
    struct wr_syn *newest = wr_syn_newest(stack);
    struct wr_tuple tuple;

    if (newest == NULL)
        return true;
    tuple = wr_flow_tuple(&newest->flow);
    if (to_table(stack, newest, &tuple, stack->tcp->newest_hash) == NULL)
        return false;
    stack->tcp->has_newest = false;
    return true;
}

static void set_apart(struct weir_stack *stack, const struct wr_syn *filled,
                      const struct wr_tuple *tuple, uint64_t hash)
{
    struct wr_tcp *tcp = stack->tcp;

    memcpy(tcp->newest, filled, SYN_HEAD);
    tcp->newest_hash = hash;
    tcp->has_newest = true;
    wr_demux_set(&wr_syn_newest(stack)->flow, tcp->newest + SYN_HEAD, WR_FLOW_SYN, tuple);
}

struct wr_syn *wr_syn_add(struct weir_stack *stack, const struct wr_syn *filled,
                          const struct seg *seg, weir_time now)
{
    struct wr_syn *syn = NULL;

    /* Not wr_may_be_short(): it asks for no memory, so what fails where memory is short would be another thing. */
    if (wr_syn_settle(stack) && WR_SHORT_WAYS) {
        set_apart(stack, filled, &seg->tuple, seg->hash);
        syn = wr_syn_newest(stack);
    } else if (wr_syn_newest(stack) == NULL) {
        syn = to_table(stack, filled, &seg->tuple, seg->hash);
    }
    if (syn == NULL)
        return NULL;
    syn->listener->n_syns++;
    syn->listener->n_young++;
    stack->tcp->n_syns++;
    wait_from_now(stack, syn, now);
    return syn;
}

void wr_syn_remove(struct weir_stack *stack, struct wr_syn *syn)
{
    struct wr_records *records = &stack->tcp->records;

    syn->listener->n_syns--;
    if (syn->retries == 0)
        syn->listener->n_young--;
    stack->tcp->n_syns--;
    if (syn == wr_syn_newest(stack)) {
        stack->tcp->has_newest = false;
        return;
    }
    dequeue(stack, syn);
    wr_record_line_remove(records, &syn->listener->syns, &syn->record);
    wr_records_remove(records, &syn->record);
}

/* ---- the SYN-ACK ------------------------------------------------------------------------------------ */

uint16_t wr_syn_adv_mss(struct weir_stack *stack, const struct wr_syn *syn,
                        const struct wr_tuple *tuple)
{
    struct wr_path path;

    if (wr_path_find(stack, &tuple->remote, &tuple->local, &path) < 0)
        return WR_TCP_MSS_V4;
    return wr_listen_adv_mss(&path, weir_addr_is_v4(&tuple->remote), syn->listener->opts);
}

void wr_syn_send_synack(struct weir_stack *stack, const struct wr_syn *syn,
                        const struct wr_tuple *tuple, uint64_t hash, const struct wr_path *path,
                        uint16_t mss, const struct w_tcpopt *extra, weir_time now)
{
    struct w_tcpopt opt = {.has_mss = true,
                           .mss = mss,
                           .sack_permitted = syn->sack_ok,
                           .has_wscale = syn->wscale_ok,
                           .wscale = syn->rcv_wscale,
                           .has_ts = syn->ts_ok,
                           .ts_ecr = syn->ts_recent};
    struct wr_bare synack = {.tuple = tuple,
                             .path = path,
                             .hash = hash,
                             .seq = syn->iss,
                             .ack = syn->irs + 1,
                             .flags = W_TCP_SYN | W_TCP_ACK,
                             .wnd = syn->flow.wnd,
                             .hop_limit = syn->listener->opts->hop_limit,
                             .ds = syn->listener->opts->ds,
                             .opt = &opt};

    if (syn->ecn_ok)
        synack.flags |= W_TCP_ECE;
    if (syn->is_cookie)
        opt.ts_val = wr_cookie_ts(stack, syn, tuple, now);
    else
        opt.ts_val = wr_ts_now(wr_isn_ts_offset(stack, tuple), now);
    if (extra != NULL && extra->has_fastopen) {
        opt.has_fastopen = true;
        opt.fastopen_exp = extra->fastopen_exp;
        opt.cookie_len = extra->cookie_len;
        memcpy(opt.cookie, extra->cookie, sizeof opt.cookie);
    }
    wr_segment_bare(stack, &synack, now);
}

static void resend_synack(struct weir_stack *stack, struct wr_syn *syn, weir_time now)
{
    struct wr_tuple tuple = wr_flow_tuple(&syn->flow);

    syn->resent = true;
    wr_count(stack, WR_STAT_tcp_retrans_segs);
    wr_count(stack, WR_STAT_tcp_syn_retrans);
    wr_syn_send_synack(stack, syn, &tuple, wr_demux_hash(stack, &tuple), NULL,
                       wr_syn_adv_mss(stack, syn, &tuple), NULL, now);
}

/* The one that stands apart goes into the table before, for it may be this one, and in its line it is before it. Without memory
 * for that all stay in their lines: the answer goes, and again when it would have gone. */
void wr_syn_answer_again(struct weir_stack *stack, struct wr_syn *syn, const struct seg *seg,
                         weir_time now)
{
    bool newest = syn == wr_syn_newest(stack);

    if (wr_syn_settle(stack)) {
        if (newest)
            syn = WR_CONTAINER(wr_demux_find(stack, &seg->tuple, seg->hash), struct wr_syn, flow);
        dequeue(stack, syn);
        wait_again(stack, syn, now);
    }
    resend_synack(stack, syn, now);
}

/* ---- time-outs -------------------------------------------------------------------------------------- */

unsigned wr_syn_defer_retries(const struct wr_tcp_opts *opts)
{
    weir_time period = 0;
    unsigned n = 0;

    while (opts->defer_accept_s > 0 && period < opts->defer_accept_s * WEIR_SEC && n < 255)
        period += level_wait(n < WR_SYN_LEVELS ? n : WR_SYN_LEVELS - 1), n++;
    return n;
}

/* How often a SYN-ACK goes again. Linux: when the queue is more than half full half of its room is kept
 * for the young, whose SYN-ACK went once; the older ones get fewer retries, but two. */
static int64_t synack_retries(const struct weir_stack *stack, const struct wr_listener *listener)
{
    int64_t limit =
        listener->opts->syncnt != 0 ? listener->opts->syncnt : stack->tunables.tcp_synack_retries;
    uint64_t young = 2 * (uint64_t)listener->n_young;

    if (2 * (uint64_t)listener->n_syns <= (listener->backlog > 8 ? listener->backlog : 8))
        return limit;
    for (; limit > 2 && listener->n_syns >= young; young *= 2)
        limit--;
    return limit;
}

static void syn_expired(struct weir_stack *stack, struct wr_syn *syn, weir_time now)
{
    const struct wr_tcp_opts *opts = syn->listener->opts;
    int64_t limit = synack_retries(stack, syn->listener);
    unsigned defer = wr_syn_defer_retries(opts);
    /* An entry whose final ACK was ignored for TCP_DEFER_ACCEPT is not asked again until its period is
     * nearly over. */
    bool resend = defer == 0 || !syn->acked || syn->retries + 1u >= defer;

    if (syn->retries >= limit && (defer == 0 || !syn->acked || syn->retries >= defer)) {
        wr_count(stack, WR_STAT_tcp_attempt_fails);
        wr_syn_remove(stack, syn);
        return;
    }
    dequeue(stack, syn);
    if (syn->retries == 0)
        syn->listener->n_young--;
    if (syn->retries < UINT8_MAX)
        syn->retries++;
    wait_again(stack, syn, now);
    if (resend)
        resend_synack(stack, syn, now);
}

void wr_tcp_synq_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now)
{
    struct wr_tcp *tcp = stack->tcp;

    (void)timer;
    if (!wr_syn_settle(stack) && wr_syn_resend_at(wr_syn_newest(stack), now) <= now) {
        wr_count(stack, WR_STAT_tcp_attempt_fails); /* no memory to wait longer in */
        wr_syn_remove(stack, wr_syn_newest(stack));
    }
    for (unsigned i = WR_SYN_LEVELS; i-- > 0;) {
        struct wr_syn *first;
        while ((first = wr_record_line_first(&tcp->records, &tcp->syn_wait[i])) != NULL &&
               wr_syn_resend_at(first, now) <= now && wr_work(stack))
            syn_expired(stack, first, now);
    }
    wr_syn_arm(stack);
}
