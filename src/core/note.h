/* SPDX-License-Identifier: MIT */
#ifndef WR_NOTE_H
#define WR_NOTE_H

/*
 * A socket's error queue: what recvmsg(MSG_ERRQUEUE) of Linux tells. It hangs on struct wr_ready, so
 * that sock and the protocols reach it alike, and is made when first needed. It is bounded: when
 * the application does not read, further notes are lost, as on Linux.
 */

#include <weir/socket.h>

#include "base/list.h"

struct weir_stack;
struct wr_ready;

enum { WR_NOTES_MAX = 128, WR_NOTES_OWED_MAX = 128 };

/* A send whose timestamps are still to come: tcp_stamp.c. */
struct wr_owed {
    struct wr_list node;
    uint32_t end; /* sequence number behind its last byte */
    uint32_t key; /* SOF_TIMESTAMPING_OPT_ID: the last byte's place in the stream */
    bool sent;
};

struct wr_notes {
    struct wr_list queue; /* struct wr_note.node, oldest first */
    struct wr_list owed;  /* struct wr_owed.node, in the order of `end` */
    unsigned n, n_owed;
    uint32_t zerocopy_next; /* number of the next send with MSG_ZEROCOPY */
    uint32_t stamping;      /* SO_TIMESTAMPING as set */
    uint32_t stamp_base;    /* SOF_TIMESTAMPING_OPT_ID: sequence number that counts as 0 */
};

/* The socket's, made if there is none yet. NULL: out of memory. */
struct wr_notes *wr_notes_of(struct weir_stack *stack, struct wr_ready *ready);
/* Puts a note behind the others and touches the socket. One of a send without a copy that follows the
 * last one's number is made one range with it. Lost when the queue is full or memory short. */
void wr_note_add(struct weir_stack *stack, struct wr_ready *ready, const struct weir_note *note);
/* Takes the oldest. False: there is none. */
bool wr_note_take(struct weir_stack *stack, struct wr_ready *ready, struct weir_note *note);
/* Forgets the timestamps that are still to come. */
void wr_notes_disown(struct weir_stack *stack, struct wr_ready *ready);
bool wr_notes_waiting(const struct wr_ready *ready);
void wr_notes_free(struct weir_stack *stack, struct wr_ready *ready);

#endif
