/* SPDX-License-Identifier: MIT */
#include "core/note.h"

#include "base/mem.h"
#include "core/core.h"

struct wr_note {
    struct wr_list node;
    struct weir_note note;
};

struct wr_notes *wr_notes_of(struct weir_stack *stack, struct wr_ready *ready)
{
    if (ready->notes != NULL)
        return ready->notes;
    struct wr_notes *notes = wr_zalloc(stack, sizeof *notes);
    if (notes == NULL)
        return NULL;
    wr_list_init(&notes->queue);
    wr_list_init(&notes->owed);
    ready->notes = notes;
    return notes;
}

/* Linux: completions of sends come in order, so a range says it all (msg_zerocopy.rst). */
static bool merge(struct wr_notes *notes, const struct weir_note *note)
{
    struct wr_list *last = notes->queue.prev;
    if (note->origin != WEIR_NOTE_ZEROCOPY || last == &notes->queue)
        return false;
    struct weir_note *before = &WR_CONTAINER(last, struct wr_note, node)->note;
    if (before->origin != WEIR_NOTE_ZEROCOPY || before->code != note->code ||
        before->data + 1 != note->info)
        return false;
    before->data = note->data;
    return true;
}

void wr_note_add(struct weir_stack *stack, struct wr_ready *ready, const struct weir_note *note)
{
    struct wr_notes *notes = wr_notes_of(stack, ready);
    if (notes == NULL)
        return;
    if (!merge(notes, note)) {
        struct wr_note *entry = notes->n < WR_NOTES_MAX ? wr_zalloc(stack, sizeof *entry) : NULL;
        if (entry == NULL)
            return;
        entry->note = *note;
        wr_list_push_back(&notes->queue, &entry->node);
        notes->n++;
    }
    wr_ready_touch(stack, ready, WR_HAPPENED_ERROR);
}

bool wr_note_take(struct weir_stack *stack, struct wr_ready *ready, struct weir_note *note)
{
    struct wr_list *node = ready->notes ? wr_list_pop_front(&ready->notes->queue) : NULL;
    if (node == NULL)
        return false;
    struct wr_note *entry = WR_CONTAINER(node, struct wr_note, node);
    *note = entry->note;
    wr_free(stack, entry, sizeof *entry);
    ready->notes->n--;
    return true;
}

void wr_notes_disown(struct weir_stack *stack, struct wr_ready *ready)
{
    struct wr_list *node;
    while ((node = wr_list_pop_front(&ready->notes->owed)) != NULL)
        wr_free(stack, WR_CONTAINER(node, struct wr_owed, node), sizeof(struct wr_owed));
    ready->notes->n_owed = 0;
}

bool wr_notes_waiting(const struct wr_ready *ready)
{
    return ready->notes != NULL && ready->notes->n > 0;
}

void wr_notes_free(struct weir_stack *stack, struct wr_ready *ready)
{
    struct wr_notes *notes = ready->notes;
    struct weir_note note;
    if (notes == NULL)
        return;
    while (wr_note_take(stack, ready, &note))
        ;
    wr_notes_disown(stack, ready);
    wr_free(stack, notes, sizeof *notes);
    ready->notes = NULL;
}
