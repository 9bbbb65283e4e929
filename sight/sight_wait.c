/* SPDX-License-Identifier: MIT */
/*
 * What a sender waited for. Each pause before it sends ends by something, and that is what it waited for:
 *
 *     an ACK that makes room in a window that was full        the receiver's window; if it was shut, its reader
 *     an ACK of a lone short segment, and a short one goes    Nagle; and if that ACK was late: the delayed ACK
 *     an ACK while more than that is in flight                cwnd
 *     a time-out, or an ACK after something was sent again    loss
 *     nothing that came                                       the application; so too with data of the peer's, an answer
 *
 * Comments of ours say it outright ("held cwnd"), and are believed.
 */
#include "sight/sight_int.h"

#include <stdio.h>

#define DELAYED_ACK                                                                                \
    (25 * SIGHT_MS) /* longer than the path needs: Linux delays by 40 ms, others by up to 200 */

struct waits {
    struct sight_way *way;
    uint64_t nxt, una, right; /* positions; right: end of the peer's window */
    uint64_t recover;         /* below it, what was in flight when something was sent again */
    uint64_t sent_at;         /* the last data left */
    uint64_t last_len, acked_at, acked_sent_at;
    bool began, blocked, shut, lone_short; /* at the end of the last turn */
    uint64_t ack_delay;                    /* of the newest ACK, beyond the round trip */
    enum sight_held held;                  /* by the last comment */
    const struct sight_segment
        *trigger; /* the newest from the peer that can have reached the sender */
};

static uint64_t least_pause(const struct waits *w)
{
    uint64_t part = w->way->rtt / 20, least = SIGHT_MS / 2;

    return part > least ? part : least;
}

/* ---- what the peer said ------------------------------------------------------------------------------ */

static void take_ack(struct waits *w, const struct sight_segment *s)
{
    uint64_t ack = sight_position(w->way, s->ack, w->una);
    uint64_t right = ack + sight_window(w->way->flow, s);

    if (!(s->flags & F_ACK) || (s->flags & F_RST))
        return;
    if (ack > w->una && ack <= w->nxt + 1) {
        uint64_t took = s->time - w->sent_at, path = w->way->rtt - w->way->lag;
        w->ack_delay = ack >= w->nxt && took > path ? took - path : 0;
        w->una = ack;
    }
    if (right > w->right || (ack >= w->una && right < w->right))
        w->right = right;
    w->trigger = s;
}

/* ---- pauses --------------------------------------------------------------------------------------------- */

static bool is_triggered(const struct waits *w, uint64_t now)
{
    uint64_t slack = w->way->rtt / 10 + 2 * SIGHT_MS;

    return w->trigger != NULL && w->trigger->time >= w->sent_at &&
           now - (w->trigger->time + w->way->lag) <= slack;
}

static enum sight_cause by_comment(enum sight_held held, const struct waits *w)
{
    switch (held) {
    case SIGHT_HELD_WINDOW:
        return w->shut ? SIGHT_ZERO_WINDOW : SIGHT_WINDOW;
    case SIGHT_HELD_CWND:
        return SIGHT_CWND;
    case SIGHT_HELD_PACING:
        return SIGHT_PACING;
    case SIGHT_HELD_NAGLE:
        return w->ack_delay >= DELAYED_ACK ? SIGHT_NAGLE_DELACK : SIGHT_APP;
    default:
        return SIGHT_APP;
    }
}

static enum sight_cause conclude(const struct waits *w, const struct sight_segment *s)
{
    if (w->una < w->recover)
        return SIGHT_LOSS;
    if (s->note.sent && w->held != SIGHT_HELD_UNKNOWN)
        return by_comment(w->held, w);
    if (w->shut)
        return SIGHT_ZERO_WINDOW;
    if (!is_triggered(w, s->time) || w->trigger->len > 0)
        return SIGHT_APP;
    if (w->blocked)
        return SIGHT_WINDOW;
    if (w->lone_short)
        return s->len < w->way->mss && w->ack_delay >= DELAYED_ACK ? SIGHT_NAGLE_DELACK : SIGHT_APP;
    return SIGHT_CWND;
}

/* How it stands when the sender falls silent. */
static void end_turn(struct waits *w)
{
    uint64_t flight = w->nxt - w->una, room = w->right > w->nxt ? w->right - w->nxt : 0;

    w->shut = w->right <= w->una;
    w->blocked = room < w->way->mss;
    w->lone_short = flight < w->way->mss || w->last_len < w->way->mss;
    if (flight > 2 * (uint64_t)w->way->mss)
        w->lone_short = false;
}

static void take_data(struct waits *w, const struct sight_segment *s)
{
    uint64_t pos = sight_position(w->way, s->seq, w->nxt), end = pos + s->len;
    uint64_t pause = w->began ? s->time - w->sent_at : 0;
    bool again = end <= w->nxt;

    if (s->len <= 1 && again)
        return; /* a probe */
    if (!w->began && !w->way->flow->end[w->way->side].has_syn)
        w->una = pos;
    if (again && w->recover < w->nxt)
        w->recover = w->nxt;
    if (w->began && pause > least_pause(w)) {
        enum sight_cause cause = again ? SIGHT_LOSS : conclude(w, s);
        struct sight_finding *finding = sight_find(w->way->verdict, cause, w->way->side);
        if (cause == SIGHT_LOSS)
            finding->ns += pause; /* its packets are sight_loss.c's */
        else if (cause != SIGHT_ZERO_WINDOW)
            sight_note(w->way->verdict, cause, w->way->side, s->number, pause);
    }
    w->began = true;
    w->sent_at = s->time;
    w->last_len = s->len;
    w->nxt = end > w->nxt ? end : w->nxt;
    w->held = SIGHT_HELD_UNKNOWN;
    end_turn(w);
}

/* ---- windows that shut -------------------------------------------------------------------------------------- */

static void judge_zero_windows(struct sight_way *way)
{
    const struct sight_flow *flow = way->flow;
    const struct sight_segment *shut = NULL;
    uint64_t longest = 0;

    for (size_t i = 0; i < flow->n; i++) {
        const struct sight_segment *s = &flow->segments[i];
        if (s->side == way->side || (s->flags & (F_SYN | F_RST)) || !(s->flags & F_ACK))
            continue;
        if (s->wnd == 0 && shut == NULL)
            shut = s;
        if ((s->wnd == 0 && i + 1 < flow->n) || shut == NULL)
            continue;
        longest = s->time - shut->time > longest ? s->time - shut->time : longest;
        sight_note(way->verdict, SIGHT_ZERO_WINDOW, way->side, shut->number, s->time - shut->time);
        shut = NULL;
    }
    if (shut != NULL)
        sight_note(way->verdict, SIGHT_ZERO_WINDOW, way->side, shut->number,
                   way->verdict->ended - shut->time);
    if (longest > 0)
        snprintf(sight_find(way->verdict, SIGHT_ZERO_WINDOW, way->side)->detail,
                 sizeof way->verdict->findings[0].detail, "the longest for %.3f s",
                 (double)longest / 1e9);
}

/* ACKs count when they have reached the sender, so they are merged in by their own time. */
void sight_judge_waits(struct sight_way *way)
{
    struct waits w = {.way = way};
    const struct sight_flow *flow = way->flow;
    size_t ack = 0;

    for (size_t i = 0; i < flow->n; i++) {
        const struct sight_segment *s = &flow->segments[i];
        if (s->side != way->side)
            continue;
        for (; ack < i; ack++) {
            const struct sight_segment *other = &flow->segments[ack];
            if (other->note.held != SIGHT_HELD_UNKNOWN && other->time >= w.sent_at)
                w.held = other->note.held;
            if (other->side == way->side)
                continue;
            if (other->time + way->lag * 9 / 10 > s->time)
                break;
            take_ack(&w, other);
        }
        if (s->note.held != SIGHT_HELD_UNKNOWN)
            w.held = s->note.held;
        if (s->len > 0 && !(s->flags & F_SYN))
            take_data(&w, s);
    }
    judge_zero_windows(way);
}
