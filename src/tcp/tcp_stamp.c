/* SPDX-License-Identifier: MIT */
/*
 * SO_TIMESTAMPING of what is sent. Each send that took data owes its socket up to three times, all of
 * the last byte it wrote:
 *
 *     WEIR_STAMP_SCHED, WEIR_STAMP_SND   the byte was given to the link for the first time; one
 *                                        moment here, for there is no queue between
 *     WEIR_STAMP_ACK                     SND.UNA passed it
 *
 * With SOF_TIMESTAMPING_OPT_ID a note tells which byte: its place counted from SND.UNA (OPT_ID_TCP:
 * from the write pointer) at the time the option was set.
 */
#include "core/note.h"
#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"

static void tell(struct weir_stack *stack, struct tcb *tcb, const struct wr_owed *owed,
                 uint32_t kind, weir_time now)
{
    uint32_t flags = tcb->ready->notes->stamping;
    struct weir_note note = {.origin = WEIR_NOTE_TIMESTAMPING,
                             .error = ENOMSG,
                             .info = kind,
                             .data = flags & WEIR_STAMPING_OPT_ID ? owed->key : 0,
                             .cut = !(flags & WEIR_STAMPING_OPT_TSONLY),
                             .stamped = (flags & WEIR_STAMPING_SOFTWARE) != 0,
                             .at = now};

    wr_note_add(stack, tcb->ready, &note);
}

static void forget(struct weir_stack *stack, struct tcb *tcb, struct wr_owed *owed)
{
    struct wr_notes *notes = tcb->ready->notes;

    wr_list_remove(&owed->node);
    wr_free(stack, owed, sizeof *owed);
    notes->n_owed--;
    tcb->stamping = notes->n_owed > 0;
}

void wr_stamp_owe(struct weir_stack *stack, struct tcb *tcb)
{
    struct wr_notes *notes = tcb->ready != NULL ? tcb->ready->notes : NULL;
    struct wr_owed *owed;

    if (notes == NULL || !(notes->stamping & WEIR_STAMPING_TX))
        return;
    if (!tcb->stamping) /* what is there is of a connection that the socket had before */
        wr_notes_disown(stack, tcb->ready);
    owed = notes->n_owed < WR_NOTES_OWED_MAX ? wr_zalloc(stack, sizeof *owed) : NULL;
    if (owed == NULL)
        return;
    owed->end = tcb->write_seq;
    owed->key = tcb->write_seq - 1 - notes->stamp_base;
    wr_list_push_back(&notes->owed, &owed->node);
    notes->n_owed++;
    tcb->stamping = true;
    wr_tcb_stirred(tcb);
}

void wr_stamp_sent(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_notes *notes = tcb->ready != NULL ? tcb->ready->notes : NULL;

    if (notes == NULL) {
        tcb->stamping = false; /* the socket is closed */
        return;
    }
    WR_LIST_FOREACH_SAFE(node, &notes->owed)
    {
        struct wr_owed *owed = WR_CONTAINER(node, struct wr_owed, node);

        if (seq_gt(owed->end, tcb->snd_nxt))
            return;
        if (owed->sent)
            continue;
        owed->sent = true;
        if (notes->stamping & WEIR_STAMPING_TX_SCHED)
            tell(stack, tcb, owed, WEIR_STAMP_SCHED, now);
        if (notes->stamping & WEIR_STAMPING_TX_SOFTWARE)
            tell(stack, tcb, owed, WEIR_STAMP_SND, now);
        if (!(notes->stamping & WEIR_STAMPING_TX_ACK))
            forget(stack, tcb, owed);
    }
}

void wr_stamp_acked(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_notes *notes = tcb->ready != NULL ? tcb->ready->notes : NULL;

    if (notes == NULL) {
        tcb->stamping = false;
        return;
    }
    WR_LIST_FOREACH_SAFE(node, &notes->owed)
    {
        struct wr_owed *owed = WR_CONTAINER(node, struct wr_owed, node);

        if (seq_gt(owed->end, tcb->snd_una))
            return;
        if (notes->stamping & WEIR_STAMPING_TX_ACK)
            tell(stack, tcb, owed, WEIR_STAMP_ACK, now);
        forget(stack, tcb, owed);
    }
}

uint32_t wr_tcp_stamp_base(const struct tcb *tcb, bool from_write)
{
    return from_write ? tcb->write_seq : tcb->snd_una;
}
