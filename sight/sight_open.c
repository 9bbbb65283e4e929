/* SPDX-License-Identifier: MIT */
/*
 * How a connection began and how it ended, RFC 9293 3.5, 3.6:
 *
 *     SYNs alone                          unanswered; or the listener's queues were full, if a comment says so
 *     SYN, then RST or an ICMP error      refused; unreachable
 *     SYN-ACK again after the ACK of it   the listener throws the ACK away: its accept queue is full (Linux does so;
 *                                         one lost ACK looks the same once, so twice is asked for, or the data behind it)
 *     RST later                           reset, by its sender; what it answers tells the reason
 *     data sent again and again, nothing from the peer until the end    unanswered
 */
#include "sight/sight_int.h"

#include <stdio.h>
#include <string.h>

enum { SILENT_TRIES = 3 };

struct handshake {
    uint32_t syns, answers, answers_after_ack, data_before;
    bool acked;
    const struct sight_segment *last_syn, *reset;
};

static bool says(const struct sight_segment *s, const char *why)
{
    return s->note.is_there && strcmp(s->note.why, why) == 0;
}

/* A host that tells: its queue was full. */
static void look_for_full_queue(const struct sight_flow *flow, struct sight_verdict *verdict)
{
    for (size_t i = 0; i < flow->n; i++)
        if (says(&flow->segments[i], "tcp_accept_queue_full") ||
            says(&flow->segments[i], "tcp_syn_queue_full"))
            sight_note(verdict, SIGHT_ACCEPT_QUEUE, 1, flow->segments[i].number, 0);
}

static void look_for_repeated_answers(const struct sight_flow *flow, struct sight_verdict *verdict)
{
    bool acked = false;
    uint32_t again = 0;

    for (size_t i = 0; i < flow->n; i++) {
        const struct sight_segment *s = &flow->segments[i];
        acked |= s->side == 0 && (s->flags & (F_ACK | F_SYN | F_RST)) == F_ACK;
        again += s->side == 1 && (s->flags & F_SYN) && acked;
    }
    if (again < 2)
        return;
    acked = false;
    for (size_t i = 0; i < flow->n; i++) {
        const struct sight_segment *s = &flow->segments[i];
        acked |= s->side == 0 && (s->flags & (F_ACK | F_SYN | F_RST)) == F_ACK;
        if (s->side == 1 && (s->flags & F_SYN) && acked)
            sight_note(verdict, SIGHT_ACCEPT_QUEUE, 1, s->number, 0);
    }
}

/* Nobody but the opener was heard, or a refusal. */
static void judge_unopened(const struct sight_flow *flow, struct sight_verdict *verdict)
{
    uint64_t all = verdict->ended - verdict->began;

    for (size_t i = 0; i < flow->n; i++) {
        if (flow->segments[i].side == 1 && (flow->segments[i].flags & F_RST)) {
            sight_note(verdict, SIGHT_REFUSED, 1, flow->segments[i].number, 0);
            return;
        }
    }
    for (unsigned i = 0; i < flow->n_icmp; i++) {
        struct sight_finding *finding;
        char from[WEIR_ADDR_STRLEN];
        if (flow->icmp[i].too_big)
            continue;
        weir_addr_format(&flow->icmp[i].from, from, sizeof from);
        sight_note(verdict, SIGHT_UNREACHABLE, -1, flow->icmp[i].number, 0);
        finding = sight_find(verdict, SIGHT_UNREACHABLE, -1);
        snprintf(finding->detail, sizeof finding->detail, "%s says so", from);
        return;
    }
    look_for_full_queue(flow, verdict);
    if (verdict->n_findings > 0)
        return;
    for (size_t i = 0; i < flow->n; i++)
        if (flow->segments[i].flags & F_SYN)
            sight_note(verdict, SIGHT_SYN_UNANSWERED, 1, flow->segments[i].number, 0);
    if (verdict->n_findings > 0)
        verdict->findings[0].ns = all;
}

static const char *reset_detail(const struct sight_flow *flow, size_t at, bool closed[2])
{
    const struct sight_segment *rst = &flow->segments[at], *before = at > 0 ? rst - 1 : NULL;

    if (before != NULL && before->side != rst->side && before->len > 0 && closed[rst->side])
        return "it had closed, and data came that nobody will read";
    if (before != NULL && before->side != rst->side && before->len > 0)
        return "in answer to data: its program is gone or has closed with data unread";
    if (closed[rst->side])
        return "after its own FIN";
    return "by itself: its program aborted, or was killed with data unread";
}

static void judge_resets(const struct sight_flow *flow, struct sight_verdict *verdict)
{
    bool closed[2] = {false, false};

    for (size_t i = 0; i < flow->n; i++) {
        const struct sight_segment *s = &flow->segments[i];
        closed[s->side] |= (s->flags & F_FIN) != 0;
        if (!(s->flags & F_RST))
            continue;
        if (sight_find(verdict, SIGHT_RESET, s->side)->n == 0) {
            struct sight_finding *finding = sight_find(verdict, SIGHT_RESET, s->side);
            snprintf(finding->detail, sizeof finding->detail, "%s", reset_detail(flow, i, closed));
        }
        sight_note(verdict, SIGHT_RESET, s->side, s->number, 0);
    }
    /* Both have closed and all was said: a RST then ends nothing (a browser's way to skip TIME-WAIT). */
    for (unsigned i = 0; i < verdict->n_findings; i++)
        if (verdict->findings[i].cause == SIGHT_RESET && closed[0] && closed[1])
            verdict->findings[i--] = verdict->findings[--verdict->n_findings];
}

/* The capture ends with one side talking to nobody. */
static void judge_silence(const struct sight_flow *flow, struct sight_verdict *verdict)
{
    const struct sight_segment *last = &flow->segments[flow->n - 1];
    size_t i = flow->n;
    uint32_t tries = 0;

    while (i > 0 && flow->segments[i - 1].side == last->side) {
        const struct sight_segment *s = &flow->segments[--i];
        tries += s->len > 0 && s->seq == last->seq;
    }
    if (tries < SILENT_TRIES || i == 0)
        return;
    for (; i < flow->n; i++)
        if (flow->segments[i].seq == last->seq)
            sight_note(verdict, SIGHT_UNANSWERED, !last->side, flow->segments[i].number, 0);
    sight_find(verdict, SIGHT_UNANSWERED, !last->side)->ns =
        last->time - flow->segments[flow->n - tries].time;
}

void sight_judge_ends(const struct sight_flow *flow, struct sight_verdict *verdict)
{
    bool heard[2] = {false, false};

    for (size_t i = 0; i < flow->n; i++)
        heard[flow->segments[i].side] |= !(flow->segments[i].flags & F_RST);
    if (flow->end[0].has_syn && !heard[1]) {
        judge_unopened(flow, verdict);
        return;
    }
    look_for_full_queue(flow, verdict);
    if (verdict->n_findings == 0)
        look_for_repeated_answers(flow, verdict);
    judge_resets(flow, verdict);
    judge_silence(flow, verdict);
}
