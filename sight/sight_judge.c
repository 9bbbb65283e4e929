/* SPDX-License-Identifier: MIT */
/*
 * The judgement of a connection: its ends (sight_open.c), and each direction of data by itself: what was lost
 * (sight_loss.c), and what its sender waited for (sight_wait.c).
 *
 * A capture is made at some place between the two. What a sender knows when it sends is what passed that place a
 * while before; the handshake tells how long:
 *
 *      opener        capture        other                    opener's lag: from SYN-ACK to the ACK of it
 *        |--- SYN ------|------------>|                      other's lag:  from SYN to SYN-ACK
 *        |<-------------|-- SYN-ACK --|                      together: the round trip
 *        |--- ACK ------|------------>|
 *
 * Findings are kept when they matter: a wait that took a part of the time, an event that happened.
 */
#include "sight/sight_int.h"

#include <string.h>

enum { WAIT_PERCENT = 20, NAGLE_PERCENT = 10, ZERO_WINDOW_PERCENT = 20, ZERO_WINDOW_MS = 100 };

static const struct {
    const char *name;
    bool fault;
} causes[SIGHT_CAUSE_COUNT] = {
#define CAUSE(name, word, fault) {#word, fault},
    SIGHT_CAUSES(CAUSE)
#undef CAUSE
};

const char *sight_cause_name(enum sight_cause cause)
{
    return causes[cause].name;
}

bool sight_is_healthy(const struct sight_verdict *verdict)
{
    for (unsigned i = 0; i < verdict->n_findings; i++)
        if (causes[verdict->findings[i].cause].fault)
            return false;
    return true;
}

/* ---- what the others use ---------------------------------------------------------------------------- */

struct sight_finding *sight_find(struct sight_verdict *verdict, enum sight_cause cause, int side)
{
    struct sight_finding *finding = verdict->findings;

    for (unsigned i = 0; i < verdict->n_findings; i++, finding++)
        if (finding->cause == cause && finding->side == side)
            return finding;
    if (verdict->n_findings ==
        SIGHT_FINDINGS) /* more kinds than there are: the last one is shared */
        return finding - 1;
    memset(finding, 0, sizeof *finding);
    finding->cause = cause;
    finding->side = side;
    verdict->n_findings++;
    return finding;
}

void sight_note(struct sight_verdict *verdict, enum sight_cause cause, int side, uint32_t number,
                uint64_t ns)
{
    struct sight_finding *finding = sight_find(verdict, cause, side);

    finding->n++;
    finding->ns += ns;
    if (number != 0 && finding->n_numbers < SIGHT_EVIDENCE)
        finding->number[finding->n_numbers++] = number;
}

uint64_t sight_position(const struct sight_way *way, uint32_t seq, uint64_t near)
{
    uint32_t low = seq - (way->flow->end[way->side].iss + 1);
    int32_t ahead = (int32_t)(low - (uint32_t)near);

    if (ahead < 0 && (uint64_t)(-(int64_t)ahead) > near)
        return 0; /* before its beginning */
    return near + (uint64_t)(int64_t)ahead;
}

uint64_t sight_window(const struct sight_flow *flow, const struct sight_segment *segment)
{
    bool scaled = flow->end[0].has_wscale && flow->end[1].has_wscale && !(segment->flags & F_SYN);

    return (uint64_t)segment->wnd << (scaled ? flow->end[segment->side].wscale : 0);
}

/* ---- times ---------------------------------------------------------------------------------------------- */

/* From SYN to SYN-ACK and from there to the ACK, if each went once. */
static bool handshake(const struct sight_flow *flow, uint64_t lag[2])
{
    const struct sight_segment *syn = NULL, *answer = NULL;

    for (size_t i = 0; i < flow->n && i < 16; i++) {
        const struct sight_segment *s = &flow->segments[i];
        if ((s->flags & F_SYN) && s->side == 0) {
            syn = s; /* the last one before the answer */
        } else if ((s->flags & F_SYN) && s->side == 1) {
            if (answer != NULL || syn == NULL)
                return false;
            answer = s;
        } else if (answer != NULL && s->side == 0 && (s->flags & F_ACK)) {
            lag[1] = answer->time - syn->time;
            lag[0] = s->time - answer->time;
            return true;
        }
    }
    return false;
}

static void measure(const struct sight_flow *flow, struct sight_verdict *verdict)
{
    verdict->began = flow->segments[0].time;
    verdict->ended = flow->segments[flow->n - 1].time;
    for (size_t i = 0; i < flow->n; i++) {
        const struct sight_segment *s = &flow->segments[i];
        verdict->annotated |= s->note.is_there;
        verdict->segments[s->side] += s->len > 0;
    }
}

/* Data of a full segment: what the other side has announced, less timestamps; or more, if more was seen (captured
 * before it was cut). */
static uint32_t full_segment(const struct sight_flow *flow, int side)
{
    uint32_t announced = flow->end[!side].mss, most = announced > 12 ? announced - 12 : 0;

    for (size_t i = 0; i < flow->n; i++)
        if (flow->segments[i].side == side && flow->segments[i].len > most)
            most = flow->segments[i].len;
    return most;
}

/* ---- what matters ----------------------------------------------------------------------------------------- */

static uint64_t percent(const struct sight_verdict *verdict, uint64_t ns)
{
    uint64_t all = verdict->ended - verdict->began;

    return all > 0 ? ns * 100 / all : 0;
}

static bool matters(const struct sight_verdict *verdict, const struct sight_finding *finding)
{
    switch (finding->cause) {
    case SIGHT_WINDOW:
        return finding->n >= 3 && percent(verdict, finding->ns) >= WAIT_PERCENT;
    case SIGHT_CWND:
    case SIGHT_PACING:
    case SIGHT_APP:
        return percent(verdict, finding->ns) >= WAIT_PERCENT;
    case SIGHT_ZERO_WINDOW:
        return finding->ns >= ZERO_WINDOW_MS * SIGHT_MS ||
               percent(verdict, finding->ns) >= ZERO_WINDOW_PERCENT;
    case SIGHT_NAGLE_DELACK:
        return finding->n >= 2 && percent(verdict, finding->ns) >= NAGLE_PERCENT;
    case SIGHT_LOSS:
        return finding->n > 0; /* else only time, of retransmissions that were in vain */
    default:
        return true;
    }
}

/* Those that matter, in the order of the causes. */
static void settle(struct sight_verdict *verdict)
{
    struct sight_finding kept[SIGHT_FINDINGS] = {{0}};
    unsigned n = 0;

    for (unsigned cause = 0; cause < SIGHT_CAUSE_COUNT; cause++)
        for (unsigned i = 0; i < verdict->n_findings; i++)
            if (verdict->findings[i].cause == cause && matters(verdict, &verdict->findings[i]))
                kept[n++] = verdict->findings[i];
    memcpy(verdict->findings, kept, n * sizeof *kept);
    verdict->n_findings = n;
}

bool sight_judge(const struct sight_flow *flow, struct sight_verdict *verdict)
{
    uint64_t lag[2] = {0, 0};

    memset(verdict, 0, sizeof *verdict);
    measure(flow, verdict);
    if (handshake(flow, lag))
        verdict->rtt = lag[0] + lag[1];
    sight_judge_ends(flow, verdict);
    for (int side = 0; side < 2; side++) {
        struct sight_way way = {.flow = flow,
                                .verdict = verdict,
                                .side = side,
                                .rtt = verdict->rtt,
                                .lag = lag[side],
                                .mss = full_segment(flow, side)};
        if (verdict->segments[side] == 0)
            continue;
        if (!sight_judge_losses(&way))
            return false;
        sight_judge_waits(&way);
    }
    settle(verdict);
    return true;
}
