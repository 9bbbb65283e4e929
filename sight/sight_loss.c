/* SPDX-License-Identifier: MIT */
/*
 * Losses of one direction, as far as packets tell.
 *
 *     position   0         una            nxt
 *                |--acked--|---in flight---|            nxt: end of the newest data seen
 *
 *     beyond nxt      what lies between was lost before this place, or comes later: a hole
 *     in a hole       with a timestamp from before what showed the hole, or without timestamps soon after: it was
 *                     overtaken. Else it was lost, and this is its retransmission
 *     below nxt       a retransmission. In vain if a D-SACK says so (RFC 2883), if the ACK that covers it echoes a
 *                     timestamp from before it (RFC 3522), or comes sooner than a round trip
 *
 * An ACK over a gap that SACK blocks had shown, with nothing sent again or in vain, is reordering as the sender sees it.
 *
 * A black hole: the largest segments go again and again in vain while smaller ones pass (RFC 2923 2.1). A size is known
 * to pass when a range all of whose transmissions were at least so large was acknowledged.
 */
#include "sight/sight_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLACK_HOLE_TRIES = 3,
    BLACK_HOLE_LEAST = 600,
    PROBE_AFTER_MS = 250,
    LOOK_BACK = 4096 /* holes and retransmissions that a packet is compared with, the newest */
};

struct range {
    uint64_t pos, end, time;
    uint32_t number, ts_val;
    uint32_t len, least,
        tries; /* of new data: sizes of its transmissions, how many of the largest */
    bool has_ts, spurious, judged, probe, counted, gap;
};

struct ranges {
    struct range *all;
    size_t n, cap;
};

struct losses {
    struct sight_way *way;
    struct ranges sent, holes, again;
    size_t acked, judged;            /* of `sent`, of `again`: all before these are */
    uint64_t nxt, una, missing_from; /* SACK shows a gap from there; UINT64_MAX: none */
    bool began, failed;
    uint32_t proven; /* so large a segment passes */
    bool heard;      /* the receiver, after the first data */
};

static struct range *append(struct losses *l, struct ranges *list)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 64;
        struct range *more = realloc(list->all, cap * sizeof *more);
        if (more == NULL) {
            l->failed = true;
            return NULL;
        }
        list->all = more;
        list->cap = cap;
    }
    memset(&list->all[list->n], 0, sizeof *list->all);
    return &list->all[list->n++];
}

/* Where to begin, or to end. */
static size_t oldest(const struct ranges *list)
{
    return list->n > LOOK_BACK ? list->n - LOOK_BACK : 0;
}

static bool overlaps(const struct range *range, uint64_t pos, uint64_t end)
{
    return range->pos < end && pos < range->end;
}

static struct range fill_range(const struct sight_segment *s, uint64_t pos)
{
    return (struct range){.pos = pos,
                          .end = pos + s->len,
                          .time = s->time,
                          .number = s->number,
                          .ts_val = s->ts_val,
                          .has_ts = s->has_ts,
                          .len = s->len,
                          .least = s->len,
                          .tries = 1};
}

/* ---- data ------------------------------------------------------------------------------------------------ */

/* How soon the overtaken come. */
static uint64_t soon(const struct losses *l)
{
    uint64_t rtt = l->way->rtt * 3 / 4;

    return rtt > 3 * SIGHT_MS ? rtt : 3 * SIGHT_MS;
}

/* What fills the hole was sent before what showed it: by its timestamp, or else it comes soon. */
static bool was_overtaken(const struct losses *l, const struct sight_segment *s,
                          const struct range *hole)
{
    if (s->has_ts && hole->has_ts)
        return (int32_t)(s->ts_val - hole->ts_val) <= 0;
    return s->time - hole->time < soon(l);
}

/* True: it fills a hole. */
static bool fills(struct losses *l, const struct sight_segment *s, uint64_t pos, uint64_t end)
{
    struct sight_verdict *verdict = l->way->verdict;

    for (size_t i = oldest(&l->holes); i < l->holes.n; i++) {
        struct range *hole = &l->holes.all[i];
        if (!overlaps(hole, pos, end))
            continue;
        sight_note(verdict, was_overtaken(l, s, hole) ? SIGHT_REORDERING : SIGHT_LOSS, l->way->side,
                   s->number, 0);
        if (pos <= hole->pos && end >= hole->end)
            *hole = l->holes.all[--l->holes.n];
        else if (pos <= hole->pos)
            hole->pos = end;
        else
            hole->end = pos; /* what lies behind it is not looked for any more */
        return true;
    }
    return false;
}

static void count_tries(struct losses *l, uint64_t pos, uint64_t end, uint32_t len)
{
    size_t low = 0, high = l->sent.n;

    while (low < high) { /* the first that ends behind pos */
        size_t middle = (low + high) / 2;
        if (l->sent.all[middle].end <= pos)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < l->sent.n && l->sent.all[low].pos < end; low++) {
        struct range *range = &l->sent.all[low];
        range->tries += len >= range->len;
        range->least = len < range->least ? len : range->least;
    }
}

static void sent_again(struct losses *l, const struct sight_segment *s, uint64_t pos)
{
    struct range *again = append(l, &l->again);

    count_tries(l, pos, pos + s->len, s->len);
    if (again == NULL)
        return;
    *again = fill_range(s, pos);
    again->gap = pos >= l->missing_from; /* SACK had shown it missing */
    if (s->note.sent)
        again->probe = strncmp(s->note.why, "tlp", 3) == 0;
    else /* RFC 8985 7: the last segment, after two round trips and the longest delay of an ACK */
        again->probe =
            pos + s->len == l->nxt && l->sent.n > 0 &&
            s->time - l->sent.all[l->sent.n - 1].time < 2 * l->way->rtt + PROBE_AFTER_MS * SIGHT_MS;
}

static void take_data(struct losses *l, const struct sight_segment *s)
{
    uint64_t pos = sight_position(l->way, s->seq, l->nxt), end = pos + s->len;
    struct range *range;

    if (s->len <= 1 && end <= l->una)
        return; /* keepalive */
    if (!l->began && !l->way->flow->end[l->way->side].has_syn)
        l->nxt = l->una = pos;
    l->began = true;
    if (end <= l->nxt) {
        if (!fills(l, s, pos, end))
            sent_again(l, s, pos);
        else if ((range = append(l, &l->again)) != NULL) {
            *range = fill_range(s, pos);
            range->judged = range->counted = true; /* it explains an ACK, and is counted already */
        }
        return;
    }
    if (pos > l->nxt && (range = append(l, &l->holes)) != NULL)
        *range = (struct range){.pos = l->nxt,
                                .end = pos,
                                .time = s->time,
                                .number = s->number,
                                .ts_val = s->ts_val,
                                .has_ts = s->has_ts};
    if ((range = append(l, &l->sent)) != NULL)
        *range = fill_range(s, pos);
    l->nxt = end;
}

/* ---- ACKs -------------------------------------------------------------------------------------------------- */

static bool is_dsack(const struct sight_segment *s)
{
    if (s->n_sack == 0)
        return false;
    if ((int32_t)(s->sack[0][1] - s->ack) <= 0)
        return true;
    return s->n_sack > 1 && (int32_t)(s->sack[0][0] - s->sack[1][0]) >= 0 &&
           (int32_t)(s->sack[0][1] - s->sack[1][1]) <= 0;
}

static void take_dsack(struct losses *l, const struct sight_segment *s)
{
    uint64_t pos = sight_position(l->way, s->sack[0][0], l->una);
    uint64_t end = sight_position(l->way, s->sack[0][1], l->una);

    for (size_t i = l->again.n; i > oldest(&l->again); i--) {
        struct range *again = &l->again.all[i - 1];
        if (overlaps(again, pos, end) && !again->spurious) {
            again->spurious = again->judged = true;
            return;
        }
    }
}

/* Is the ACK of what was sent first? `stamp`: of the first retransmission that it covers, whose echo it would be. */
static bool answers_the_first(const struct losses *l, const struct range *again,
                              const struct sight_segment *ack, uint32_t stamp)
{
    uint64_t there = l->way->rtt > l->way->lag ? l->way->rtt - l->way->lag : 0;

    if (again->has_ts && ack->has_ts)
        return (int32_t)(ack->ts_ecr - stamp) < 0;
    return there > 2 * SIGHT_MS && ack->time - again->time < there / 2;
}

static void judge_acked(struct losses *l, const struct sight_segment *s, uint64_t ack)
{
    uint32_t stamp = 0;
    size_t first;
    bool any = false;

    while (l->judged < l->again.n && l->again.all[l->judged].judged)
        l->judged++;
    first = l->judged > oldest(&l->again) ? l->judged : oldest(&l->again);
    for (size_t i = l->again.n; i > first; i--) {
        const struct range *again = &l->again.all[i - 1];
        if (again->judged || again->end > ack)
            continue;
        if (!any || (int32_t)(again->ts_val - stamp) < 0)
            stamp = again->ts_val;
        any = true;
    }
    for (size_t i = l->again.n; any && i > first; i--) {
        struct range *again = &l->again.all[i - 1];
        if (again->judged || again->end > ack)
            continue;
        again->judged = true;
        again->spurious = answers_the_first(l, again, s, stamp);
    }
}

static bool was_sent_again(const struct losses *l, uint64_t pos, uint64_t end)
{
    for (size_t i = l->again.n; i > oldest(&l->again); i--)
        if (overlaps(&l->again.all[i - 1], pos, end))
            return true;
    return false;
}

static void prove_sizes(struct losses *l, uint64_t ack)
{
    for (; l->acked < l->sent.n && l->sent.all[l->acked].end <= ack; l->acked++)
        if (l->sent.all[l->acked].least > l->proven)
            l->proven = l->sent.all[l->acked].least;
}

static void take_ack(struct losses *l, const struct sight_segment *s)
{
    uint64_t ack = sight_position(l->way, s->ack, l->una);

    l->heard |= l->began && !(s->flags & (F_SYN | F_RST));
    if (is_dsack(s))
        take_dsack(l, s);
    else if (s->n_sack > 0 && l->missing_from == UINT64_MAX)
        l->missing_from = ack;
    if (ack <= l->una || ack > l->nxt + 1)
        return;
    if (ack > l->missing_from) {
        if (!was_sent_again(l, l->missing_from, ack) &&
            sight_find(l->way->verdict, SIGHT_REORDERING, l->way->side)->n == 0)
            sight_note(l->way->verdict, SIGHT_REORDERING, l->way->side, s->number, 0);
        l->missing_from = UINT64_MAX;
    }
    prove_sizes(l, ack);
    judge_acked(l, s, ack);
    l->una = ack;
    if (s->n_sack > 0 && !is_dsack(s) && l->missing_from == UINT64_MAX)
        l->missing_from = ack;
}

/* ---- the sum ------------------------------------------------------------------------------------------------- */

static void forget_cause(struct sight_verdict *verdict, enum sight_cause cause, int side)
{
    for (unsigned i = 0; i < verdict->n_findings; i++)
        if (verdict->findings[i].cause == cause && verdict->findings[i].side == side)
            verdict->findings[i--] = verdict->findings[--verdict->n_findings];
}

/* True: there is a black hole, and what else looks like loss is its. */
static bool judge_black_hole(struct losses *l)
{
    struct sight_verdict *verdict = l->way->verdict;
    struct sight_finding *finding;
    const struct range *stuck = NULL;

    for (size_t i = 0; i < l->sent.n && stuck == NULL; i++)
        if (l->sent.all[i].tries >= BLACK_HOLE_TRIES && l->sent.all[i].len > l->proven &&
            l->sent.all[i].len >= BLACK_HOLE_LEAST)
            stuck = &l->sent.all[i];
    if (stuck == NULL || (l->proven == 0 && !l->heard))
        return false;
    forget_cause(verdict, SIGHT_LOSS, l->way->side);
    forget_cause(verdict, SIGHT_UNANSWERED, !l->way->side);
    sight_note(verdict, SIGHT_BLACK_HOLE, l->way->side, stuck->number,
               verdict->ended - stuck->time);
    for (size_t i = 0; i < l->again.n; i++)
        if (l->again.all[i].len == stuck->len)
            sight_note(verdict, SIGHT_BLACK_HOLE, l->way->side, l->again.all[i].number, 0);
    finding = sight_find(verdict, SIGHT_BLACK_HOLE, l->way->side);
    if (l->proven > 0)
        snprintf(finding->detail, sizeof finding->detail,
                 "segments of %u bytes never arrive, of %u they do", stuck->len, l->proven);
    else
        snprintf(finding->detail, sizeof finding->detail,
                 "segments of %u bytes never arrive, though the peer answers what is small",
                 stuck->len);
    return true;
}

/* From this packet on nobody answers any more, and what goes again says nothing of loss. */
static uint32_t silent_from(const struct losses *l)
{
    const struct sight_verdict *verdict = l->way->verdict;

    for (unsigned i = 0; i < verdict->n_findings; i++)
        if (verdict->findings[i].cause == SIGHT_UNANSWERED &&
            verdict->findings[i].side != l->way->side)
            return verdict->findings[i].number[0];
    return UINT32_MAX;
}

static void sum_up(struct losses *l)
{
    struct sight_verdict *verdict = l->way->verdict;
    bool hole = judge_black_hole(l);
    uint32_t silent = silent_from(l);

    verdict->bytes[l->way->side] = l->nxt;
    for (size_t i = 0; i < l->again.n; i++) {
        const struct range *again = &l->again.all[i];
        if (again->spurious && !again->probe)
            sight_note(verdict, again->gap ? SIGHT_REORDERING : SIGHT_SPURIOUS, l->way->side,
                       again->number, 0);
        else if (!again->spurious && !again->counted && !hole && again->number < silent)
            sight_note(verdict, SIGHT_LOSS, l->way->side, again->number, 0);
    }
    for (unsigned i = 0; i < verdict->n_findings; i++)
        if ((verdict->findings[i].cause == SIGHT_LOSS ||
             verdict->findings[i].cause == SIGHT_SPURIOUS) &&
            verdict->findings[i].side == l->way->side)
            verdict->findings[i].of = verdict->segments[l->way->side];
}

/* One that was only looked for is none. */
static void drop_empty(struct sight_verdict *verdict)
{
    for (unsigned i = 0; i < verdict->n_findings; i++)
        if (verdict->findings[i].n == 0)
            verdict->findings[i--] = verdict->findings[--verdict->n_findings];
}

bool sight_judge_losses(struct sight_way *way)
{
    struct losses l = {.way = way, .missing_from = UINT64_MAX};

    for (size_t i = 0; i < way->flow->n && !l.failed; i++) {
        const struct sight_segment *s = &way->flow->segments[i];
        if (s->side == way->side && s->len > 0 && !(s->flags & F_SYN))
            take_data(&l, s);
        else if (s->side != way->side && (s->flags & F_ACK) && l.began)
            take_ack(&l, s);
    }
    if (!l.failed)
        sum_up(&l);
    drop_empty(way->verdict);
    free(l.sent.all);
    free(l.holes.all);
    free(l.again.all);
    return !l.failed;
}
