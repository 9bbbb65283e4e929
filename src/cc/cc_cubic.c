/* SPDX-License-Identifier: MIT */
/*
 * CUBIC (RFC 9438) with HyStart++ (RFC 9406), Linux's default.
 *
 * After a loss the window follows a cubic function of time, not of round trips: steep while far from
 * the window where the loss was, flat around it, steep again beyond.
 *
 *      cwnd |                        .'
 *      W_max|- - - - - .-------.-'- - -      W_cubic(t) = C (t - K)^3 + W_max
 *           |       .'                         K = cbrt((W_max - cwnd_epoch) / C)
 *           |     .'
 *      b*W  |----'                             C = 0.4 segments / s^3, b = 0.7
 *           +----+-----+-------------- t
 *                0     K
 *
 * Where Reno would be faster (short round trips), the window follows W_est, an estimate of Reno's
 * (RFC 9438 4.3), so that CUBIC never takes less than its share.
 *
 * Slow start ends before the loss when the minimum RTT of a round has risen: a conservative phase
 * (CSS) grows at a quarter of the speed for five rounds, and goes back to slow start if the rise was
 * only apparent (RFC 9406 4.2).
 *
 * Integers throughout, so that every build computes the same: windows in bytes, times in milliseconds,
 * 0.7 as Linux's 717/1024. Limits: (t - K) is clamped to 2000 s.
 */
#include <weir/cc.h>

#include <assert.h>
#include <string.h>

enum {
    BETA = 717, /* of 1024 */
    SCALE = 1024,
    D_MAX_MS = 2000000,
    HYSTART_MIN_SAMPLES = 8,    /* N_RTT_SAMPLE */
    HYSTART_RTT_DIVISOR = 8,    /* MIN_RTT_DIVISOR */
    HYSTART_GROWTH_DIVISOR = 4, /* CSS_GROWTH_DIVISOR */
    HYSTART_CSS_ROUNDS = 5,     /* CSS_ROUNDS */
};
#define HYSTART_MIN_THRESH (4 * WEIR_MS)
#define HYSTART_MAX_THRESH (16 * WEIR_MS)

/* What an undo puts back. */
struct epoch {
    weir_time at;        /* when this congestion avoidance stage began; -1: not yet */
    uint32_t w_max;      /* window before the last reduction, after fast convergence */
    uint32_t k_ms;       /* K */
    uint64_t w_est;      /* Reno's window, in 1/1024 bytes */
    uint32_t cwnd_prior; /* window before the last reduction */
    uint32_t fraction;   /* of a byte of growth, in units of 1/cwnd */
};

struct cubic {
    struct epoch now, before;
    /* RFC 9406 */
    weir_time round_min_rtt, last_round_min_rtt, css_baseline; /* WEIR_TIME_NEVER: none */
    uint8_t samples, css_rounds;
    bool in_css;
    bool off;        /* slow start was left once: RFC 9406 4.3 uses it in the first alone */
    bool off_before; /* what an undo puts back: the first slow start was not left after all */
};
_Static_assert(sizeof(struct cubic) <= sizeof((struct weir_cc *)0)->priv, "private state fits");

static struct cubic *state(struct weir_cc *cc)
{
    return (struct cubic *)(void *)cc->priv;
}

/* The largest r with r^3 <= x, two bits of the root's cube at a time. */
static uint32_t cube_root(uint64_t x)
{
    uint64_t root = 0;
    for (int shift = 63; shift >= 0; shift -= 3) {
        root <<= 1;
        uint64_t step = 3 * root * (root + 1) + 1;
        if (x >> shift >= step) {
            x -= step << shift;
            root++;
        }
    }
    return (uint32_t)root;
}

/* ---- the cubic function ----------------------------------------------------------------------- */

/* RFC 9438 4.2: K in ms; (W_max - cwnd_epoch) / C with windows in segments, times 10^9. */
static uint32_t k_of(uint32_t w_max, uint32_t cwnd_epoch, uint32_t smss)
{
    if (w_max <= cwnd_epoch)
        return 0;
    return cube_root((uint64_t)(w_max - cwnd_epoch) * 2500000000U / smss);
}

static uint64_t w_cubic(const struct epoch *e, int64_t t_ms, uint32_t smss)
{
    int64_t d = t_ms - (int64_t)e->k_ms;
    bool below = d < 0;
    if (below)
        d = -d;
    if (d > D_MAX_MS)
        d = D_MAX_MS;
    uint64_t cube = (uint64_t)(d * d * d) / 1000000U; /* at most 8 * 10^12 */
    uint64_t delta = cube * smss / 1000U * 4 / 10;
    if (!below)
        return e->w_max + delta;
    return delta < e->w_max ? e->w_max - delta : 0;
}

static void begin_epoch(struct weir_cc *cc, weir_time now)
{
    struct epoch *e = &state(cc)->now;
    e->at = now;
    e->fraction = 0;
    e->w_est = (uint64_t)cc->cwnd * SCALE;
    if (e->w_max < cc->cwnd) /* no loss yet, or slow start went past it */
        e->w_max = cc->cwnd;
    e->k_ms = k_of(e->w_max, cc->cwnd, cc->smss);
}

/* RFC 9438 4.3: alpha is 3(1-b)/(1+b) = 0.529 until the old window is reached, then 1. */
static void grow_w_est(struct epoch *e, const struct weir_cc *cc, uint32_t acked)
{
    uint64_t alpha = e->w_est < (uint64_t)e->cwnd_prior * SCALE
                         ? 3 * (SCALE - BETA) * SCALE / (SCALE + BETA)
                         : SCALE;
    e->w_est += alpha * acked * cc->smss / cc->cwnd;
}

/* RFC 9438 4.4 and 4.5: by (target - cwnd) / cwnd for each byte acknowledged. */
static void avoid_congestion(struct weir_cc *cc, uint32_t acked, weir_time now)
{
    struct epoch *e = &state(cc)->now;
    if (e->at < 0)
        begin_epoch(cc, now);
    grow_w_est(e, cc, acked);

    int64_t t_ms = (now - e->at) / WEIR_MS;
    uint64_t target = w_cubic(e, t_ms + cc->srtt / WEIR_MS, cc->smss);
    uint64_t most = (uint64_t)cc->cwnd + cc->cwnd / 2;
    if (target > most)
        target = most;
    if (target > cc->cwnd) {
        uint64_t growth = (target - cc->cwnd) * acked + e->fraction;
        e->fraction = (uint32_t)(growth % cc->cwnd);
        uint64_t grown = cc->cwnd + growth / cc->cwnd;
        cc->cwnd = grown > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)grown;
    }
    if (e->w_est / SCALE > cc->cwnd)
        cc->cwnd =
            e->w_est / SCALE > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)(e->w_est / SCALE);
}

/* ---- HyStart++ -------------------------------------------------------------------------------- */

static void hystart_reset(struct cubic *c)
{
    c->round_min_rtt = c->last_round_min_rtt = c->css_baseline = WEIR_TIME_NEVER;
    c->samples = c->css_rounds = 0;
    c->in_css = false;
}

static void hystart_round(struct cubic *c)
{
    if (c->in_css && ++c->css_rounds >= HYSTART_CSS_ROUNDS)
        c->off = true;
    c->last_round_min_rtt = c->round_min_rtt;
    c->round_min_rtt = WEIR_TIME_NEVER;
    c->samples = 0;
}

static void hystart_sample(struct cubic *c, weir_time rtt)
{
    if (rtt < c->round_min_rtt)
        c->round_min_rtt = rtt;
    if (c->samples < HYSTART_MIN_SAMPLES)
        c->samples++;
    if (c->samples < HYSTART_MIN_SAMPLES)
        return;
    if (c->in_css) {
        if (c->round_min_rtt < c->css_baseline)
            c->in_css = false; /* the rise was none: slow start again */
        return;
    }
    if (c->last_round_min_rtt == WEIR_TIME_NEVER)
        return;
    weir_time thresh = c->last_round_min_rtt / HYSTART_RTT_DIVISOR;
    thresh = thresh < HYSTART_MIN_THRESH ? HYSTART_MIN_THRESH : thresh;
    thresh = thresh > HYSTART_MAX_THRESH ? HYSTART_MAX_THRESH : thresh;
    if (c->round_min_rtt >= c->last_round_min_rtt + thresh) {
        c->css_baseline = c->round_min_rtt;
        c->in_css = true;
        c->css_rounds = 0;
    }
}

static void slow_start(struct weir_cc *cc, const struct weir_cc_ack *ack)
{
    struct cubic *c = state(cc);
    bool was_off = c->off;
    if (!c->off && ack->round_start)
        hystart_round(c);
    if (!c->off && ack->rtt >= 0)
        hystart_sample(c, ack->rtt);
    uint32_t growth = c->in_css ? ack->acked_bytes / HYSTART_GROWTH_DIVISOR : ack->acked_bytes;
    if (growth > UINT32_MAX / 2 - cc->cwnd)
        growth = UINT32_MAX / 2 - cc->cwnd;
    cc->cwnd += growth;
    if (c->off && !was_off) {
        cc->ssthresh = cc->cwnd;
        hystart_reset(c);
    }
}

/* ---- the seam --------------------------------------------------------------------------------- */

static void cubic_init(struct weir_cc *cc, weir_time now)
{
    (void)now;
    struct cubic *c = state(cc);
    memset(c, 0, sizeof *c);
    c->now.at = c->before.at = -1;
    hystart_reset(c);
}

static void cubic_on_ack(struct weir_cc *cc, const struct weir_cc_ack *ack, weir_time now)
{
    if (ack->in_recovery && cc->cwnd >= cc->ssthresh)
        return;
    if (!ack->cwnd_limited || ack->acked_bytes == 0)
        return;
    if (cc->cwnd < cc->ssthresh)
        slow_start(cc, ack);
    else
        avoid_congestion(cc, ack->acked_bytes, now);
}

/* RFC 9438 4.6 and 4.7. As Linux, from cwnd and not from what is in flight: cwnd does not grow while
 * the application does not use it. */
static void reduce(struct weir_cc *cc)
{
    struct cubic *c = state(cc);
    c->before = c->now;
    c->off_before = c->off;
    uint32_t cwnd = cc->cwnd;
    c->now.cwnd_prior = cwnd;
    c->now.w_max =
        cwnd < c->now.w_max ? (uint32_t)((uint64_t)cwnd * (SCALE + BETA) / (2 * SCALE)) : cwnd;
    c->now.at = -1;
    uint32_t least = 2 * cc->smss;
    uint32_t ssthresh = (uint32_t)((uint64_t)cwnd * BETA / SCALE);
    cc->ssthresh = ssthresh > least ? ssthresh : least;
    hystart_reset(c);
    c->off = true;
}

static void cubic_on_congestion(struct weir_cc *cc, uint32_t in_flight_bytes, bool by_ecn,
                                weir_time now)
{
    (void)in_flight_bytes;
    (void)by_ecn;
    (void)now;
    reduce(cc);
    cc->cwnd = cc->ssthresh;
}

/* RFC 9438 4.8: the next congestion avoidance begins at its own W_max, with K = 0. */
static void cubic_on_rto(struct weir_cc *cc, uint32_t in_flight_bytes, weir_time now)
{
    (void)in_flight_bytes;
    (void)now;
    reduce(cc);
    state(cc)->now.w_max = 0;
}

static void cubic_on_undo(struct weir_cc *cc, weir_time now)
{
    (void)now;
    state(cc)->now = state(cc)->before;
    state(cc)->off = state(cc)->off_before;
}

/* RFC 9438 4.2's t counts time in which data could be sent: an idle time moves the epoch. */
static void cubic_on_idle(struct weir_cc *cc, weir_time idle, weir_time now)
{
    struct epoch *e = &state(cc)->now;
    if (e->at >= 0)
        e->at = idle < now - e->at ? e->at + idle : now;
}

const struct weir_cc_ops weir_cc_cubic = {
    .name = "cubic",
    .flags = WEIR_CC_LIMITED,
    .init = cubic_init,
    .on_ack = cubic_on_ack,
    .on_congestion = cubic_on_congestion,
    .on_rto = cubic_on_rto,
    .on_undo = cubic_on_undo,
    .on_idle = cubic_on_idle,
    .private_words = (sizeof(struct cubic) + 7) / 8,
};
