/* SPDX-License-Identifier: MIT */
/*
 * Which congestion control a connection gets: the one its socket asked for by TCP_CONGESTION, else the
 * stack's default when the connection first sends data. Which ones sockets may ask for is a tunable, too;
 * all of them at first, since whoever runs a stack of his own is its administrator (Linux without
 * CAP_NET_ADMIN: reno and the default).
 */
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_sender.h"

#include <string.h>

int weir_cc_register(struct weir_stack *stack, const struct weir_cc_ops *ops)
{
    return wr_cc_add(&stack->tcp->cc, ops);
}

const struct weir_cc_ops *weir_cc_at(const struct weir_stack *stack, unsigned i)
{
    return i < stack->tcp->cc.n ? stack->tcp->cc.ops[i] : NULL;
}

int wr_tcp_cc_find(const struct weir_stack *stack, const char *name)
{
    const struct wr_cc_list *list = &stack->tcp->cc;

    for (unsigned i = 0; i < list->n; i++)
        if (strcmp(list->ops[i]->name, name) == 0)
            return (list->allowed >> i & 1) ? (int)i + 1 : WEIR_EPERM;
    return WEIR_ENOENT;
}

const struct weir_cc_ops *wr_cc_chosen(const struct weir_stack *stack,
                                       const struct wr_tcp_opts *opts)
{
    const struct wr_cc_list *list = &stack->tcp->cc;

    return opts->congestion != 0 ? list->ops[opts->congestion - 1] : list->preferred;
}

const char *wr_tcp_cc_name(const struct weir_stack *stack, const struct wr_tcp_opts *opts)
{
    return wr_cc_chosen(stack, opts)->name;
}

/* ---- tunables ---------------------------------------------------------------------------------- */

/* The names of those whose bit is set. */
static void list_names(const struct wr_cc_list *list, uint32_t which, struct wr_text *text)
{
    bool some = false;

    for (unsigned i = 0; i < list->n; i++) {
        if (!(which >> i & 1))
            continue;
        if (some)
            wr_text_char(text, ' ');
        wr_text_str(text, list->ops[i]->name);
        some = true;
    }
}

void wr_tcp_cc_available_read(const struct weir_stack *stack, struct wr_text *text)
{
    list_names(&stack->tcp->cc, UINT32_MAX, text);
}

void wr_tcp_cc_allowed_read(const struct weir_stack *stack, struct wr_text *text)
{
    list_names(&stack->tcp->cc, stack->tcp->cc.allowed, text);
}

void wr_tcp_cc_default_read(const struct weir_stack *stack, struct wr_text *text)
{
    wr_text_str(text, stack->tcp->cc.preferred->name);
}

int wr_tcp_cc_allowed_write(struct weir_stack *stack, const char *text)
{
    return wr_cc_allow(&stack->tcp->cc, text);
}

int wr_tcp_cc_default_write(struct weir_stack *stack, const char *text)
{
    return wr_cc_prefer(&stack->tcp->cc, text);
}

/* ---- a connection's ------------------------------------------------------------------------------ */

bool wr_cc_wants_ecn(const struct weir_stack *stack, const struct wr_tcp_opts *opts)
{
    return (wr_cc_chosen(stack, opts)->flags & WEIR_CC_WANTS_ECN) != 0;
}

void wr_cc_start(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct weir_cc *cc = &tcb->tx->cc;

    cc->smss = tcb->smss;
    cc->srtt = tcb->rtt.srtt;
    cc->min_rtt = tcb->rtt.min_rtt;
    /* RFC 6928; RFC 5681 3.1: one segment when SYN or SYN-ACK was lost more than once. */
    cc->cwnd = (tcb->syn_retries > 1 ? 1 : WR_TCP_IW_SEGMENTS) * tcb->smss;
    cc->ssthresh = UINT32_MAX;
    cc->selective_acks = tcb->sack_ok;
    stack->tcp->prio++;
    cc->random = stack->tcp->prio;
    cc->max_pacing_rate = tcb->opts.max_pacing_rate != 0 ? tcb->opts.max_pacing_rate : UINT64_MAX;
    tcb->tx->cc_ops->init(cc, now);
    wr_pace_setup(stack, tcb);
}

bool wr_tcp_cc_room(struct weir_stack *stack, struct tcb *tcb, int congestion)
{
    unsigned words = wr_cc_words(stack->tcp->cc.ops[congestion - 1]);
    struct wr_tx *old = tcb->tx, *tx;

    if (old == NULL || words <= old->cc_words)
        return true;
    if (wr_tx_is_pooled(words)) { /* and so is the old one */
        old->cc_words = (uint8_t)words;
        return true;
    }
    tx = wr_tx_new(stack, words);
    if (tx == NULL)
        return false;
    memcpy(tx, old, wr_tx_size(old->cc_words));
    wr_list_moved(&tx->q.by_seq, &old->q.by_seq);
    wr_list_moved(&tx->q.lost, &old->q.lost);
    wr_list_moved(&tx->q.flying, &old->q.flying);
    wr_list_moved(&tx->mem_wait, &old->mem_wait);
    wr_tx_free(stack, old, old->cc_words);
    tx->cc_words = (uint8_t)words;
    tcb->tx = tx;
    return true;
}

void wr_cc_changed(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_tx *tx = tcb->tx;
    const struct weir_cc_ops *ops;

    if (tx == NULL)
        return;
    ops = tcb->opts.congestion != 0 ? wr_cc_chosen(stack, &tcb->opts) : tx->cc_ops;
    if (ops != tx->cc_ops) {
        tx->cc_ops = ops;
        tx->cc.pacing_rate = 0;
        tx->cc.send_quantum = 0;
        memset(tx->cc.priv, 0, wr_cc_words(ops) * sizeof *tx->cc.priv);
        ops->init(&tx->cc, now);
    }
    wr_pace_setup(stack, tcb);
    if (tcb->paced && !tx->pace.on)
        wr_output_kick(stack, tcb, now);
}
