/* SPDX-License-Identifier: MIT */
/*
 * A link with the faults of a real path. Each direction is on its own, and in this order:
 *
 *     cut -> rules, loss, corruption, duplication -> policer -> rate limiter
 *         -> delay, jitter, reordering, stall -> held
 *
 *   cut       super-segments become the frames of the wire, checksums finished: what is lost or
 *             delayed is a segment, as on a real path.
 *   rules     each counts the frames of its class in its direction and acts on those numbered.
 *   chance    eight random numbers are drawn for every frame in a fixed order (loss, duplicate,
 *             corrupt, which bit, reorder, jitter, burst, loss of ACKs), wanted or not: with one seed,
 *             turning one fault on does not move the others, and a run in virtual time repeats exactly.
 *   bursts    Gilbert's two states: a frame begins a burst with one chance and ends it with another;
 *             all that pass during a burst are lost.
 *   policer   a token bucket, full at first, that has no queue: a frame without tokens is lost.
 *   rate      a frame leaves when the one before it has left and its own bits have been sent;
 *             as many as the queue holds may wait, more are dropped (drop-tail).
 *   stall     what would arrive in a stall arrives at its end, all at once.
 *   held      a heap ordered by arrival, then by order of arrival here. Order is kept unless
 *             a frame was chosen to be reordered or delayed by a rule, which lets others pass it.
 *
 * Frames on the way out leave in whichever call comes at or after their time; the deadline asks for
 * that call.
 */
#include <stdlib.h>
#include <string.h>

#include "link/impair_parse.h"
#include "link/link_wire.h"

enum {
    MAX_RULES = 64,
    MAX_HELD = 65536, /* frames of one direction on their way; more are lost */
    PULL_AT_ONCE = 64,
    DEFAULT_QUEUE = 1000,
    DEFAULT_REORDER_MS = 3
};

struct held {
    weir_time at;
    uint64_t order;
    size_t len;
    uint8_t data[];
};

struct fifo {
    weir_time *at; /* ring of departure times of what waits for the rate limiter */
    uint32_t cap, head, count;
};

struct direction {
    bool on;
    uint64_t rng[4];
    struct wr_impair_rule rule[MAX_RULES];
    uint64_t matched[MAX_RULES];
    unsigned n_rules;
    struct fifo waiting;
    weir_time busy_until, last_arrival;
    bool bursting;
    double tokens; /* bytes that the policer lets pass */
    weir_time first_at,
        filled_at; /* the first frame here; when tokens were counted; or INT64_MIN */
    struct held **heap;
    size_t n_held, cap_held;
    uint64_t order;
};

struct impair {
    struct weir_link link;
    struct weir_link *inner;
    struct weir_impair_config config;
    struct direction out, in;
    struct held *lent;    /* the frame that recv gave out last */
    struct held *refused; /* due, but inner said EAGAIN to it */
    unsigned lost;        /* by inner, and not told yet */
    int in_error;         /* inner's recv has failed for good */
};

/* ---- chance ------------------------------------------------------------------------------------- */

/* splitmix64, to fill the state of the generator from one number. */
static uint64_t split_mix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t rotate(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

/* xoshiro256**: fast, and the same on every machine. */
static uint64_t draw(struct direction *dir)
{
    uint64_t *s = dir->rng, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

static bool happens(uint64_t drawn, double probability)
{
    return (double)(drawn >> 11) * 0x1p-53 < probability;
}

/* ---- what is to happen to a frame --------------------------------------------------------------- */

struct fate {
    bool drop, duplicate, corrupt;
    bool overtaken; /* order need not be kept */
    uint64_t which_bit;
    weir_time extra; /* beyond the common delay; may be negative by jitter */
};

static bool is_of_class(enum wr_impair_class of, bool tcp, const struct wr_link_view *v)
{
    bool data = tcp && v->end > v->payload;
    unsigned flags = tcp ? v->flags : 0;
    switch (of) {
    case WR_CLASS_DATA:
        return data;
    case WR_CLASS_SYN:
        return (flags & (WR_SYN | WR_ACK)) == WR_SYN;
    case WR_CLASS_SYNACK:
        return (flags & (WR_SYN | WR_ACK)) == (WR_SYN | WR_ACK);
    case WR_CLASS_ACK:
        return !data && (flags & (WR_SYN | WR_FIN | WR_RST | WR_ACK)) == WR_ACK;
    case WR_CLASS_FIN:
        return (flags & WR_FIN) != 0;
    case WR_CLASS_RST:
        return (flags & WR_RST) != 0;
    default:
        return true;
    }
}

/* Counts the frame for each rule; true when it is nothing but an acknowledgment. */
static bool apply_rules(struct direction *dir, enum weir_netif_kind kind, const uint8_t *frame,
                        size_t len, struct fate *fate)
{
    struct wr_link_view v;
    bool tcp = wr_link_view(frame, len, kind, &v) && v.proto == WR_PROTO_TCP && !v.fragment;
    for (unsigned i = 0; i < dir->n_rules; i++) {
        const struct wr_impair_rule *rule = &dir->rule[i];
        if (!is_of_class(rule->of, tcp, &v))
            continue;
        uint64_t n = ++dir->matched[i];
        if (n < rule->first || n > rule->last)
            continue;
        fate->drop |= rule->action == WR_DROP;
        fate->duplicate |= rule->action == WR_DUP;
        fate->corrupt |= rule->action == WR_CORRUPT;
        fate->overtaken |= rule->action == WR_DELAY;
        fate->extra += rule->delay;
    }
    return is_of_class(WR_CLASS_ACK, tcp, &v);
}

static void apply_chance(struct direction *dir, const struct weir_impair_config *c, bool pure_ack,
                         struct fate *fate)
{
    uint64_t drawn[8];
    for (unsigned i = 0; i < 8; i++)
        drawn[i] = draw(dir);
    if (happens(drawn[6], dir->bursting ? c->burst_end : c->burst))
        dir->bursting = !dir->bursting;
    fate->drop |= dir->bursting || happens(drawn[0], c->loss);
    fate->drop |= pure_ack && happens(drawn[7], c->ack_loss);
    fate->duplicate |= happens(drawn[1], c->duplicate);
    fate->corrupt |= happens(drawn[2], c->corrupt);
    fate->which_bit = drawn[3];
    if (happens(drawn[4], c->reorder)) {
        fate->overtaken = true;
        fate->extra += c->reorder_delay;
    }
    fate->extra += (weir_time)(drawn[5] % (2 * (uint64_t)c->jitter + 1)) - c->jitter;
}

/* ---- held frames: a binary heap ----------------------------------------------------------------- */

static bool before(const struct held *a, const struct held *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static bool heap_push(struct direction *dir, struct held *held)
{
    if (dir->n_held == dir->cap_held) {
        size_t cap = dir->cap_held ? dir->cap_held * 2 : 64;
        struct held **heap = realloc(dir->heap, cap * sizeof(struct held *));
        if (!heap)
            return false;
        dir->heap = heap;
        dir->cap_held = cap;
    }
    size_t i = dir->n_held++;
    for (; i > 0 && before(held, dir->heap[(i - 1) / 2]); i = (i - 1) / 2)
        dir->heap[i] = dir->heap[(i - 1) / 2];
    dir->heap[i] = held;
    return true;
}

static struct held *heap_pop(struct direction *dir)
{
    struct held *top = dir->heap[0], *last = dir->heap[--dir->n_held];
    size_t i = 0, n = dir->n_held;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < n && before(dir->heap[child + 1], dir->heap[child]))
            child++;
        if (child >= n || !before(dir->heap[child], last))
            break;
        dir->heap[i] = dir->heap[child];
        i = child;
    }
    dir->heap[i] = last;
    return top;
}

static weir_time next_arrival(const struct direction *dir)
{
    return dir->n_held ? dir->heap[0]->at : WEIR_TIME_NEVER;
}

static bool hold(struct direction *dir, const uint8_t *frame, size_t len, weir_time at,
                 enum weir_netif_kind kind, const struct fate *fate)
{
    struct held *held = dir->n_held < MAX_HELD ? malloc(sizeof *held + len) : NULL;
    size_t start = kind == WEIR_NETIF_ETHERNET ? WR_ETH_HEAD : 0;
    if (!held)
        return false;
    held->at = at;
    held->order = dir->order++;
    held->len = len;
    memcpy(held->data, frame, len);
    if (fate->corrupt && len > start) { /* a bad link header would only be another loss */
        uint64_t bit = fate->which_bit % ((len - start) * 8);
        held->data[start + bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    if (heap_push(dir, held))
        return true;
    free(held);
    return false;
}

/* ---- rate and delay ----------------------------------------------------------------------------- */

static bool is_policed(struct direction *dir, const struct weir_impair_config *c, size_t len,
                       weir_time now)
{
    if (c->police_bps == 0)
        return false;
    if (dir->filled_at == INT64_MIN)
        dir->tokens = c->police_bytes;
    else
        dir->tokens += (double)(now - dir->filled_at) * (double)c->police_bps / 8e9;
    if (dir->tokens > c->police_bytes)
        dir->tokens = c->police_bytes;
    dir->filled_at = now;
    if (dir->tokens < (double)len)
        return true;
    dir->tokens -= (double)len;
    return false;
}

/* When the frame has left the rate limiter; WEIR_TIME_NEVER when its queue is full. */
static weir_time departure(struct direction *dir, const struct weir_impair_config *c, size_t len,
                           weir_time now)
{
    struct fifo *q = &dir->waiting;
    if (c->rate_bps == 0)
        return now;
    while (q->count > 0 && q->at[q->head] <= now) {
        q->head = (q->head + 1) % q->cap;
        q->count--;
    }
    if (q->count == q->cap)
        return WEIR_TIME_NEVER;
    weir_time start = dir->busy_until > now ? dir->busy_until : now;
    dir->busy_until = start + (weir_time)((uint64_t)len * 8 * 1000000000u / c->rate_bps);
    q->at[(q->head + q->count++) % q->cap] = dir->busy_until;
    return dir->busy_until;
}

struct passing {
    struct impair *im;
    struct direction *dir;
    weir_time now;
};

/* When a frame arrives that left the rate limiter then. */
static weir_time arrival(struct direction *dir, const struct weir_impair_config *c,
                         const struct fate *fate, weir_time left)
{
    weir_time at = left + c->delay + fate->extra, stall = dir->first_at + c->stall_at;
    if (at < left)
        at = left;
    if (!fate->overtaken) {
        if (at < dir->last_arrival)
            at = dir->last_arrival;
        dir->last_arrival = at;
    }
    return c->stall > 0 && at >= stall && at - stall < c->stall ? stall + c->stall : at;
}

/* Decides on one plain frame and holds what is left of it. Never fails: what cannot be held is lost. */
static int pass(void *arg, const uint8_t *frame, size_t len)
{
    const struct passing *p = arg;
    const struct weir_impair_config *c = &p->im->config;
    enum weir_netif_kind kind = p->im->link.netif.kind;
    struct direction *dir = p->dir;
    struct fate fate = {0};
    if (dir->first_at == INT64_MIN)
        dir->first_at = p->now;
    bool pure_ack = apply_rules(dir, kind, frame, len, &fate);
    apply_chance(dir, c, pure_ack, &fate);
    if (fate.drop || is_policed(dir, c, len, p->now))
        return 0;
    weir_time left = departure(dir, c, len, p->now);
    if (left == WEIR_TIME_NEVER)
        return 0;
    weir_time at = arrival(dir, c, &fate, left);
    if (hold(dir, frame, len, at, kind, &fate) && fate.duplicate)
        hold(dir, frame, len, at, kind, &fate);
    return 0;
}

/* ---- the link ----------------------------------------------------------------------------------- */

/* Sends what is due. What the inner link refuses for good is lost. */
static void pump(struct impair *im, weir_time now)
{
    while (im->refused || next_arrival(&im->out) <= now) {
        struct held *held = im->refused ? im->refused : heap_pop(&im->out);
        struct weir_out out = {.head = held->data, .head_len = held->len};
        im->refused = NULL;
        int rc = im->inner->ops->send(im->inner, &out, now);
        if (rc == WEIR_EAGAIN) {
            im->refused = held;
            return;
        }
        im->lost += rc != 0;
        free(held);
    }
}

static int impair_send(struct weir_link *link, const struct weir_out *frame, weir_time now)
{
    struct impair *im = (struct impair *)link;
    struct passing passing = {im, &im->out, now};
    if (!im->out.on)
        return im->inner->ops->send(im->inner, frame, now);
    pump(im, now);
    if (im->refused)
        return WEIR_EAGAIN;
    int rc = weir_out_segment(frame, link->netif.kind, pass, &passing);
    pump(im, now);
    return rc;
}

/* Takes what has come in on the inner link, up to a bound; false when it has no more. */
static bool pull(struct impair *im, weir_time now)
{
    struct passing passing = {im, &im->in, now};
    for (unsigned i = 0; i < PULL_AT_ONCE && !im->in_error; i++) {
        struct weir_frame frame;
        int rc = im->inner->ops->recv(im->inner, &frame, now);
        if (rc == 0)
            return false;
        if (rc < 0)
            im->in_error = rc;
        else
            wr_link_frame_segment(&frame, im->link.netif.kind, pass, &passing);
    }
    return !im->in_error;
}

static int impair_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    struct impair *im = (struct impair *)link;
    bool more = true;
    if (im->out.on)
        pump(im, now);
    if (!im->in.on)
        return im->inner->ops->recv(im->inner, frame, now);
    free(im->lent);
    im->lent = NULL;
    while (more) {
        more = pull(im, now);
        if (next_arrival(&im->in) <= now) {
            im->lent = heap_pop(&im->in);
            *frame = (struct weir_frame){.data = im->lent->data, .len = im->lent->len};
            return 1;
        }
    }
    return im->in.n_held == 0 ? im->in_error : 0;
}

static weir_time impair_deadline(const struct weir_link *link)
{
    const struct impair *im = (const struct impair *)link;
    weir_time at = im->inner->ops->deadline(im->inner);
    at = weir_time_min(at, next_arrival(&im->in));
    return im->refused ? at : weir_time_min(at, next_arrival(&im->out));
}

static int impair_fd(const struct weir_link *link)
{
    const struct impair *im = (const struct impair *)link;
    return im->inner->ops->fd(im->inner);
}

static void direction_free(struct direction *dir)
{
    while (dir->n_held > 0)
        free(dir->heap[--dir->n_held]);
    free(dir->heap);
    free(dir->waiting.at);
}

static void impair_free(struct weir_link *link)
{
    struct impair *im = (struct impair *)link;
    weir_link_free(im->inner);
    direction_free(&im->out);
    direction_free(&im->in);
    free(im->lent);
    free(im->refused);
    free(im);
}

static unsigned impair_flush(struct weir_link *link, weir_time now)
{
    struct impair *im = (struct impair *)link;
    unsigned lost = im->lost;
    im->lost = 0;
    if (im->inner->ops->flush)
        lost += im->inner->ops->flush(im->inner, now);
    return lost;
}

static const struct weir_link_ops impair_ops = {
    .flush = impair_flush,
    .send = impair_send,
    .recv = impair_recv,
    .deadline = impair_deadline,
    .fd = impair_fd,
    .free = impair_free,
};

/* ---- making one --------------------------------------------------------------------------------- */

static int read_rules(struct direction *dir, const char *text, unsigned which)
{
    struct wr_impair_rule rule;
    int rc;
    while ((rc = wr_impair_rule_next(&text, &rule)) == 1) {
        if (!(rule.directions & which))
            continue;
        if (dir->n_rules == MAX_RULES)
            return WEIR_EINVAL;
        dir->rule[dir->n_rules++] = rule;
    }
    return rc;
}

static int direction_init(struct direction *dir, const struct weir_impair_config *config,
                          unsigned which)
{
    /* The two directions draw different numbers from one seed. */
    uint64_t state = config->seed * 2 + which;
    dir->on = true;
    for (unsigned i = 0; i < 4; i++)
        dir->rng[i] = split_mix(&state);
    dir->last_arrival = dir->busy_until = dir->first_at = dir->filled_at = INT64_MIN;
    dir->waiting.cap = config->queue_frames;
    if (config->rate_bps) {
        dir->waiting.at = calloc(config->queue_frames, sizeof(weir_time));
        if (!dir->waiting.at)
            return WEIR_ENOMEM;
    }
    return config->rules ? read_rules(dir, config->rules, which) : 0;
}

static bool is_part(double p)
{
    return p >= 0 && p <= 1;
}

static bool is_span(weir_time t)
{
    return t >= 0 && t <= 1000000 * WEIR_SEC;
}

static bool is_sane(const struct weir_impair_config *c, unsigned direction)
{
    return is_part(c->loss) && is_part(c->duplicate) && is_part(c->corrupt) &&
           is_part(c->reorder) && is_part(c->burst) && is_part(c->burst_end) &&
           is_part(c->ack_loss) && is_span(c->delay) && is_span(c->jitter) &&
           is_span(c->reorder_delay) && is_span(c->stall_at) && is_span(c->stall) &&
           (c->burst == 0 || c->burst_end > 0) && (c->police_bps == 0) == (c->police_bytes == 0) &&
           direction >= WEIR_IMPAIR_OUT && direction <= WEIR_IMPAIR_BOTH;
}

int weir_link_impair(struct weir_link *inner, const struct weir_impair_config *config,
                     enum weir_impair_direction direction, struct weir_link **link)
{
    if (!is_sane(config, direction))
        return WEIR_EINVAL;
    struct impair *im = calloc(1, sizeof *im);
    int rc = 0;
    if (!im)
        return WEIR_ENOMEM;
    im->link = (struct weir_link){.ops = &impair_ops, .netif = inner->netif};
    im->inner = inner;
    im->config = *config;
    if (config->queue_frames == 0)
        im->config.queue_frames = DEFAULT_QUEUE;
    if (config->reorder_delay == 0)
        im->config.reorder_delay = DEFAULT_REORDER_MS * WEIR_MS;
    if (direction & WEIR_IMPAIR_OUT)
        rc = direction_init(&im->out, &im->config, WEIR_IMPAIR_OUT);
    if (rc == 0 && (direction & WEIR_IMPAIR_IN))
        rc = direction_init(&im->in, &im->config, WEIR_IMPAIR_IN);
    im->config.rules = NULL; /* the caller's text */
    if (rc != 0) {
        direction_free(&im->out);
        direction_free(&im->in);
        free(im);
        return rc;
    }
    *link = &im->link;
    return 0;
}
