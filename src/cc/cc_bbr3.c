/* SPDX-License-Identifier: MIT */
/*
 * BBR, version 3 (draft-ietf-ccwg-bbr). Names are the draft's.
 *
 * As version 1 it paces at a multiple of the bandwidth that the path was seen to deliver, and bounds what is
 * in flight by a multiple of bandwidth times the least round trip. What is new is that loss and ECN say
 * how much is too much, on two time scales:
 *
 *     long     max_bw, inflight_longterm         learnt while probing; kept over a cycle
 *     short    bw_shortterm, inflight_shortterm  cut by up to 0.7 for each round trip with loss while not
 *                                                probing; forgotten before the next probe
 *
 *        inflight
 *          ^         UP /\            inflight_longterm: where more than 2 % were lost
 *          |           /  \ DOWN  - - - - - - - - - - - - - - - - - - -
 *          |   REFILL /    \                          /\        15 % headroom for others
 *          |   ______/      \______CRUISE____________/  \_____
 *          +-------------------------------------------------------> t      2 to 3 s, or 63 round trips
 *
 *     STARTUP  2.77  until three rounds without 25 % more, or 6 ranges and 2 % are lost in a round
 *     DRAIN    0.5   until the queue is gone, or three rounds
 *     DOWN     0.9   until there is headroom; then CRUISE at 1.0 until it is time to probe
 *     REFILL   1.0   one round, so that the queue is what the probe fills, and not the pipe
 *     UP       1.25  until three rounds without more, or too much loss. After a probe that went too high the
 *                    next stops at inflight_longterm, and only if that was safe one goes beyond
 *     PROBE_RTT 1.0  half a BDP for 200 ms, when for 5 s no round trip was as short
 *
 * A CE mark counts as a loss in its round; the draft leaves the response open but for that.
 */
#include <weir/cc.h>

#include <string.h>

#include <weir/info.h>

#include "cc/cc_maxfilter.h"

enum { /* gains in percent */
       STARTUP_PACING_GAIN = 277,
       DRAIN_PACING_GAIN = 50,
       DOWN_PACING_GAIN = 90,
       UP_PACING_GAIN = 125,
       DEFAULT_CWND_GAIN = 200,
       UP_CWND_GAIN = 225,
       PROBE_RTT_CWND_GAIN = 50,
       PACING_MARGIN_PERCENT = 1,
       LOSS_THRESH_PERCENT = 2,
       BETA_PERCENT = 70,
       HEADROOM_PERCENT = 15,
       MIN_PIPE_CWND = 4, /* segments */
       INITIAL_CWND = 10, /* segments */
       STARTUP_FULL_LOSS_CNT = 6,
       FULL_BW_ROUNDS = 3,
       DRAIN_MAX_ROUNDS = 3,
       EXTRA_ACKED_FILTER_LEN = 10,
       RENO_ROUNDS_MAX = 63,
       QUANTUM_MAX = 65536,
};
#define MIN_RTT_FILTER_LEN (10 * WEIR_SEC)
#define PROBE_RTT_DURATION (200 * WEIR_MS)
#define PROBE_RTT_INTERVAL (5 * WEIR_SEC)

enum state { STARTUP, DRAIN, DOWN, CRUISE, REFILL, UP, PROBE_RTT, NO_STATE };

enum ack_phase { ACKS_INIT, ACKS_REFILLING, ACKS_PROBE_STARTING, ACKS_PROBE_STOPPING };

static const uint64_t no_bw = UINT64_MAX;
enum { NO_INFLIGHT = INT32_MAX }; /* "Infinity" */

struct bbr3 {
    weir_time now; /* of the latest ACK */
    uint64_t bw, max_bw_filter[2], bw_shortterm, bw_latest;
    uint64_t full_bw, undo_bw_shortterm;
    uint64_t next_round_delivered, loss_round_delivered;
    weir_time min_rtt, min_rtt_stamp, probe_rtt_min_delay, probe_rtt_min_stamp;
    weir_time probe_rtt_done_stamp, cycle_stamp, bw_probe_wait;
    weir_time extra_acked_interval_start;
    uint64_t extra_acked_delivered;
    struct cc_maxfilter extra_acked_filter; /* by round_count */

    uint32_t inflight_longterm, inflight_shortterm, inflight_latest;
    uint32_t undo_inflight_longterm, undo_inflight_shortterm;
    uint32_t prior_cwnd;
    uint32_t round_count, drain_start_round, rounds_since_probe_up;
    uint32_t bw_probe_up_acked, probe_up_acked_per_inc;
    uint32_t last_lost_end;

    uint8_t state, undo_state, ack_phase, prev_ca_state;
    uint8_t full_bw_count, bw_probe_up_rounds, loss_ranges;
    bool has_seen_rtt : 1, round_start : 1, loss_round_start : 1, is_loss_in_round : 1;
    bool full_bw_reached : 1, full_bw_now : 1, idle_restart : 1, probe_rtt_expired : 1;
    bool probe_rtt_round_done : 1, is_bw_probe_sample : 1;
    bool prev_probe_too_high : 1, prev_probe_precautionary : 1, any_lost : 1;
};
_Static_assert(sizeof(struct bbr3) <= sizeof((struct weir_cc *)0)->priv, "private state fits");

/* What the draft calls RS, of an ACK or of a loss. */
struct sample {
    uint64_t delivery_rate, lost;
    uint32_t tx_in_flight;
    bool app_limited;
};

static struct bbr3 *state_of(struct weir_cc *cc)
{
    return (struct bbr3 *)(void *)cc->priv;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t min_pipe(const struct weir_cc *cc)
{
    return MIN_PIPE_CWND * cc->smss;
}

static bool in_probe_bw(const struct bbr3 *b)
{
    return b->state >= DOWN && b->state <= UP;
}

static bool is_probing_bw(const struct bbr3 *b)
{
    return b->state == STARTUP || b->state == REFILL || b->state == UP;
}

static uint32_t pacing_gain(const struct bbr3 *b)
{
    switch (b->state) {
    case STARTUP:
        return STARTUP_PACING_GAIN;
    case DRAIN:
        return DRAIN_PACING_GAIN;
    case DOWN:
        return DOWN_PACING_GAIN;
    case UP:
        return UP_PACING_GAIN;
    default:
        return 100;
    }
}

static uint32_t cwnd_gain(const struct bbr3 *b)
{
    return b->state == UP          ? UP_CWND_GAIN
           : b->state == PROBE_RTT ? PROBE_RTT_CWND_GAIN
                                   : DEFAULT_CWND_GAIN;
}

static uint64_t max_bw(const struct bbr3 *b)
{
    return b->max_bw_filter[0] > b->max_bw_filter[1] ? b->max_bw_filter[0] : b->max_bw_filter[1];
}

/* ---- volumes ------------------------------------------------------------------------------------- */

static uint32_t capped(uint64_t bytes)
{
    return bytes < NO_INFLIGHT ? (uint32_t)bytes : NO_INFLIGHT;
}

static uint32_t bdp_multiple(const struct weir_cc *cc, const struct bbr3 *b, uint64_t bw,
                             uint32_t gain)
{
    if (b->min_rtt == WEIR_TIME_NEVER)
        return INITIAL_CWND * cc->smss;
    return capped(bw * (uint64_t)(b->min_rtt / WEIR_US) / 1000000 * gain / 100);
}

static uint32_t quantization_budget(const struct weir_cc *cc, const struct bbr3 *b, uint32_t bytes)
{
    bytes = max_u32(bytes, 3 * cc->send_quantum);
    bytes = max_u32(bytes, min_pipe(cc));
    return b->state == UP ? capped((uint64_t)bytes + 2 * cc->smss) : bytes;
}

static uint32_t inflight(const struct weir_cc *cc, const struct bbr3 *b, uint64_t bw)
{
    return quantization_budget(cc, b, bdp_multiple(cc, b, bw, 100));
}

static uint32_t target_inflight(const struct weir_cc *cc, const struct bbr3 *b)
{
    return min_u32(bdp_multiple(cc, b, b->bw, 100), cc->cwnd);
}

static uint32_t inflight_with_headroom(const struct weir_cc *cc, const struct bbr3 *b)
{
    if (b->inflight_longterm == NO_INFLIGHT)
        return NO_INFLIGHT;
    uint32_t headroom =
        max_u32(cc->smss, (uint32_t)((uint64_t)b->inflight_longterm * HEADROOM_PERCENT / 100));
    uint32_t rest = b->inflight_longterm > headroom ? b->inflight_longterm - headroom : 0;
    return max_u32(rest, min_pipe(cc));
}

/* ---- control ------------------------------------------------------------------------------------- */

static void init_pacing_rate(struct weir_cc *cc)
{
    struct bbr3 *b = state_of(cc);
    weir_time rtt = WEIR_MS;

    if (cc->srtt > 0) {
        rtt = cc->srtt > WEIR_US ? cc->srtt : WEIR_US;
        b->has_seen_rtt = true;
    }
    cc->pacing_rate = (uint64_t)cc->cwnd * STARTUP_PACING_GAIN * 10000 / (uint64_t)(rtt / WEIR_US);
}

static void set_pacing_rate_with_gain(struct weir_cc *cc, uint32_t gain)
{
    struct bbr3 *b = state_of(cc);
    uint64_t rate = b->bw * gain / 100 * (100 - PACING_MARGIN_PERCENT) / 100;

    if (!b->has_seen_rtt && cc->srtt > 0)
        init_pacing_rate(cc);
    if (rate > 0 && (b->full_bw_reached || rate > cc->pacing_rate))
        cc->pacing_rate = rate;
}

static void set_send_quantum(struct weir_cc *cc)
{
    uint64_t quantum = cc->pacing_rate / 1000;

    quantum = quantum < QUANTUM_MAX ? quantum : QUANTUM_MAX;
    cc->send_quantum = max_u32((uint32_t)quantum, 2 * cc->smss);
}

static uint32_t probe_rtt_cwnd(const struct weir_cc *cc, const struct bbr3 *b)
{
    return max_u32(bdp_multiple(cc, b, b->bw, PROBE_RTT_CWND_GAIN), min_pipe(cc));
}

static uint32_t bounded_for_model(const struct weir_cc *cc, const struct bbr3 *b, uint32_t cwnd)
{
    uint32_t cap = NO_INFLIGHT;

    if (b->state == PROBE_RTT || b->state == CRUISE)
        cap = inflight_with_headroom(cc, b);
    else if (in_probe_bw(b))
        cap = b->inflight_longterm;
    cap = min_u32(cap, b->inflight_shortterm);
    return min_u32(cwnd, max_u32(cap, min_pipe(cc)));
}

static void set_cwnd(struct weir_cc *cc, const struct weir_cc_ack *ack)
{
    struct bbr3 *b = state_of(cc);
    uint64_t most = (uint64_t)bdp_multiple(cc, b, b->bw, cwnd_gain(b)) +
                    cc_maxfilter_get(&b->extra_acked_filter);
    uint32_t max_inflight = quantization_budget(cc, b, capped(most));
    uint32_t grown = capped((uint64_t)cc->cwnd + ack->acked_bytes), cwnd = cc->cwnd;

    if (b->full_bw_reached)
        cwnd = min_u32(grown, max_inflight);
    else if (cwnd < max_inflight || cc->delivered_bytes < (uint64_t)INITIAL_CWND * cc->smss)
        cwnd = grown;
    cwnd = max_u32(cwnd, min_pipe(cc));
    if (b->state == PROBE_RTT)
        cwnd = min_u32(cwnd, probe_rtt_cwnd(cc, b));
    cc->cwnd = bounded_for_model(cc, b, cwnd);
}

static void save_cwnd(struct weir_cc *cc)
{
    struct bbr3 *b = state_of(cc);

    if (b->prev_ca_state < WEIR_CA_RECOVERY && b->state != PROBE_RTT)
        b->prior_cwnd = cc->cwnd;
    else
        b->prior_cwnd = max_u32(b->prior_cwnd, cc->cwnd);
}

static void restore_cwnd(struct weir_cc *cc)
{
    cc->cwnd = max_u32(cc->cwnd, state_of(cc)->prior_cwnd);
}

/* ---- models -------------------------------------------------------------------------------------- */

static void start_round(struct weir_cc *cc)
{
    state_of(cc)->next_round_delivered = cc->delivered_bytes;
}

static void reset_congestion_signals(struct bbr3 *b)
{
    b->is_loss_in_round = false;
    b->bw_latest = 0;
    b->inflight_latest = 0;
}

static void reset_shortterm_model(struct bbr3 *b)
{
    b->bw_shortterm = no_bw;
    b->inflight_shortterm = NO_INFLIGHT;
}

static void reset_full_bw(struct bbr3 *b)
{
    b->full_bw = 0;
    b->full_bw_count = 0;
    b->full_bw_now = false;
}

static void bound_bw(struct bbr3 *b)
{
    uint64_t most = max_bw(b);

    b->bw = most < b->bw_shortterm ? most : b->bw_shortterm;
}

/* ---- states -------------------------------------------------------------------------------------- */

static void start_down(struct weir_cc *cc)
{
    struct bbr3 *b = state_of(cc);

    reset_congestion_signals(b);
    b->probe_up_acked_per_inc = NO_INFLIGHT;
    b->rounds_since_probe_up = weir_cc_random(cc) & 1;
    b->bw_probe_wait = 2 * WEIR_SEC + (weir_time)(weir_cc_random(cc) % (uint32_t)WEIR_SEC);
    b->cycle_stamp = b->now;
    b->ack_phase = ACKS_PROBE_STOPPING;
    start_round(cc);
    b->state = DOWN;
}

static void start_refill(struct weir_cc *cc)
{
    struct bbr3 *b = state_of(cc);

    reset_shortterm_model(b);
    b->bw_probe_up_rounds = 0;
    b->bw_probe_up_acked = 0;
    b->prev_probe_precautionary = false;
    b->ack_phase = ACKS_REFILLING;
    start_round(cc);
    b->state = REFILL;
}

/* inflight_longterm grows by 1, 2, 4, ... segments a round. */
static void raise_longterm_slope(struct weir_cc *cc)
{
    struct bbr3 *b = state_of(cc);
    uint32_t growth = UINT32_C(1) << b->bw_probe_up_rounds;

    if (b->bw_probe_up_rounds < 30)
        b->bw_probe_up_rounds++;
    b->probe_up_acked_per_inc = max_u32(cc->cwnd / growth, cc->smss);
}

static void start_up(struct weir_cc *cc, uint64_t delivery_rate)
{
    struct bbr3 *b = state_of(cc);

    b->ack_phase = ACKS_PROBE_STARTING;
    start_round(cc);
    reset_full_bw(b);
    b->full_bw = delivery_rate;
    b->state = UP;
    raise_longterm_slope(cc);
}

/* ---- loss ---------------------------------------------------------------------------------------- */

static void save_state_upon_loss(struct weir_cc *cc)
{
    struct bbr3 *b = state_of(cc);

    save_cwnd(cc);
    b->undo_state = NO_STATE;
    b->undo_bw_shortterm = b->bw_shortterm;
    b->undo_inflight_shortterm = b->inflight_shortterm;
    b->undo_inflight_longterm = b->inflight_longterm;
}

static void note_loss(struct weir_cc *cc)
{
    struct bbr3 *b = state_of(cc);

    if (!b->is_loss_in_round) {
        b->loss_round_delivered = cc->delivered_bytes;
        save_state_upon_loss(cc);
    }
    b->is_loss_in_round = true;
}

static bool is_inflight_too_high(const struct weir_cc *cc, const struct sample *rs)
{
    return rs->lost * 100 > (uint64_t)rs->tx_in_flight * LOSS_THRESH_PERCENT ||
           (rs->lost > 0 && !cc->selective_acks);
}

static void handle_inflight_too_high(struct weir_cc *cc, const struct sample *rs)
{
    struct bbr3 *b = state_of(cc);

    b->prev_probe_too_high = true;
    b->is_bw_probe_sample = false; /* once a probe */
    if (!rs->app_limited)
        b->inflight_longterm = max_u32(
            rs->tx_in_flight, (uint32_t)((uint64_t)target_inflight(cc, b) * BETA_PERCENT / 100));
    if (b->state == UP) {
        b->undo_state = UP;
        start_down(cc);
    }
}

/* At what prefix of a burst did losses pass the threshold? */
static uint32_t inflight_at_loss(const struct sample *rs, uint32_t size)
{
    uint32_t before = rs->tx_in_flight > size ? rs->tx_in_flight - size : 0;
    uint64_t lost_before = rs->lost > size ? rs->lost - size : 0;
    uint64_t allowed = (uint64_t)before * LOSS_THRESH_PERCENT;

    if (allowed <= lost_before * 100)
        return before;
    return capped(before + (allowed - lost_before * 100) / (100 - LOSS_THRESH_PERCENT));
}

static void bbr3_on_loss(struct weir_cc *cc, const struct weir_cc_loss *loss)
{
    struct bbr3 *b = state_of(cc);
    struct sample rs = {.tx_in_flight = loss->tx_in_flight,
                        .lost = loss->lost_since_sent,
                        .app_limited = loss->app_limited};

    note_loss(cc);
    if ((!b->any_lost || loss->start != b->last_lost_end) && b->loss_ranges < UINT8_MAX)
        b->loss_ranges++;
    b->any_lost = true;
    b->last_lost_end = loss->start + loss->bytes;
    if (b->is_bw_probe_sample && is_inflight_too_high(cc, &rs)) {
        rs.tx_in_flight = inflight_at_loss(&rs, loss->bytes);
        handle_inflight_too_high(cc, &rs);
    }
}

static void note_ecn(struct weir_cc *cc, const struct sample *rs)
{
    note_loss(cc);
    if (state_of(cc)->is_bw_probe_sample)
        handle_inflight_too_high(cc, rs);
}

/* ---- ACK by ACK: models ------------------------------------------------------------------------------ */

static void update_latest_delivery_signals(struct weir_cc *cc, const struct weir_cc_ack *ack,
                                           const struct sample *rs)
{
    struct bbr3 *b = state_of(cc);

    b->loss_round_start = false;
    if (!ack->has_sample)
        return;
    if (rs->delivery_rate > b->bw_latest)
        b->bw_latest = rs->delivery_rate;
    b->inflight_latest = max_u32(b->inflight_latest, capped(ack->sample_delivered));
    if (ack->prior_delivered >= b->loss_round_delivered) {
        b->loss_round_delivered = cc->delivered_bytes;
        b->loss_round_start = true;
    }
}

static void update_max_bw(struct weir_cc *cc, const struct weir_cc_ack *ack,
                          const struct sample *rs)
{
    struct bbr3 *b = state_of(cc);

    b->round_start = ack->has_sample && ack->prior_delivered >= b->next_round_delivered;
    if (b->round_start) {
        start_round(cc);
        b->round_count++;
        b->rounds_since_probe_up++;
    }
    if ((rs->delivery_rate >= max_bw(b) || !rs->app_limited) &&
        rs->delivery_rate > b->max_bw_filter[1])
        b->max_bw_filter[1] = rs->delivery_rate;
}

/* A new cycle; one without a sample keeps what is known. */
static void advance_max_bw_filter(struct bbr3 *b)
{
    if (b->max_bw_filter[1] == 0)
        return;
    b->max_bw_filter[0] = b->max_bw_filter[1];
    b->max_bw_filter[1] = 0;
}

static void adapt_lower_bounds(struct weir_cc *cc)
{
    struct bbr3 *b = state_of(cc);
    uint64_t bw;

    if (is_probing_bw(b) || !b->is_loss_in_round)
        return;
    if (b->bw_shortterm == no_bw)
        b->bw_shortterm = max_bw(b);
    if (b->inflight_shortterm == NO_INFLIGHT)
        b->inflight_shortterm = cc->cwnd;
    bw = b->bw_shortterm / 100 * BETA_PERCENT;
    b->bw_shortterm = b->bw_latest > bw ? b->bw_latest : bw;
    b->inflight_shortterm = max_u32(
        b->inflight_latest, (uint32_t)((uint64_t)b->inflight_shortterm * BETA_PERCENT / 100));
}

static void update_ack_aggregation(struct weir_cc *cc, const struct weir_cc_ack *ack)
{
    struct bbr3 *b = state_of(cc);
    uint64_t us = (uint64_t)((b->now - b->extra_acked_interval_start) / WEIR_US);
    uint64_t expected = b->bw * us / 1000000, extra;

    if (b->extra_acked_delivered <= expected) {
        b->extra_acked_delivered = 0;
        b->extra_acked_interval_start = b->now;
        expected = 0;
    }
    b->extra_acked_delivered += ack->acked_bytes;
    extra = b->extra_acked_delivered - expected;
    if (extra > cc->cwnd)
        extra = cc->cwnd;
    wr_cc_maxfilter_update(&b->extra_acked_filter, b->full_bw_reached ? EXTRA_ACKED_FILTER_LEN : 1,
                           b->round_count, extra);
}

static void check_full_bw_reached(struct bbr3 *b, const struct sample *rs)
{
    if (b->full_bw_now || !b->round_start || rs->app_limited)
        return;
    if (rs->delivery_rate >= b->full_bw + b->full_bw / 4) {
        reset_full_bw(b);
        b->full_bw = rs->delivery_rate;
        return;
    }
    b->full_bw_now = ++b->full_bw_count >= FULL_BW_ROUNDS;
    if (b->full_bw_now)
        b->full_bw_reached = true;
}

/* ---- ACK by ACK: states ------------------------------------------------------------------------------ */

static void check_startup_high_loss(struct weir_cc *cc, const struct weir_cc_ack *ack,
                                    const struct sample *rs)
{
    struct bbr3 *b = state_of(cc);

    if (b->full_bw_reached || !b->loss_round_start)
        return;
    if (ack->ca_state == WEIR_CA_RECOVERY && is_inflight_too_high(cc, rs) &&
        (b->loss_ranges >= STARTUP_FULL_LOSS_CNT || !cc->selective_acks)) {
        b->undo_state = STARTUP;
        b->full_bw_reached = b->full_bw_now = true;
        b->inflight_longterm = max_u32(bdp_multiple(cc, b, b->bw, 100), b->inflight_latest);
    }
    b->loss_ranges = 0;
}

static void check_startup_and_drain(struct weir_cc *cc, const struct weir_cc_ack *ack,
                                    const struct sample *rs)
{
    struct bbr3 *b = state_of(cc);

    check_startup_high_loss(cc, ack, rs);
    if (b->state == STARTUP && b->full_bw_reached) {
        b->state = DRAIN;
        b->drain_start_round = b->round_count;
    }
    if (b->state == DRAIN && (ack->in_flight_bytes <= inflight(cc, b, b->bw) ||
                              b->round_count > b->drain_start_round + DRAIN_MAX_ROUNDS))
        start_down(cc);
}

static void probe_longterm_upward(struct weir_cc *cc, const struct weir_cc_ack *ack)
{
    struct bbr3 *b = state_of(cc);
    uint32_t steps;

    if (!ack->cwnd_limited || cc->cwnd < b->inflight_longterm)
        return;
    b->bw_probe_up_acked += ack->acked_bytes;
    if (b->bw_probe_up_acked >= b->probe_up_acked_per_inc) {
        steps = b->bw_probe_up_acked / b->probe_up_acked_per_inc;
        b->bw_probe_up_acked -= steps * b->probe_up_acked_per_inc;
        b->inflight_longterm = capped((uint64_t)b->inflight_longterm + (uint64_t)steps * cc->smss);
    }
    if (b->round_start)
        raise_longterm_slope(cc);
}

/* True: it went to another state. */
static bool adapt_longterm_model(struct weir_cc *cc, const struct weir_cc_ack *ack,
                                 const struct sample *rs)
{
    struct bbr3 *b = state_of(cc);

    if (b->ack_phase == ACKS_PROBE_STARTING && b->round_start)
        b->ack_phase = ACKS_INIT; /* the draft's FEEDBACK: no decision depends on it */
    if (b->ack_phase == ACKS_PROBE_STOPPING && b->round_start) {
        b->is_bw_probe_sample = false;
        b->ack_phase = ACKS_INIT;
        if (in_probe_bw(b) && !rs->app_limited)
            advance_max_bw_filter(b);
        if (in_probe_bw(b) && b->prev_probe_precautionary && !b->prev_probe_too_high) {
            start_refill(cc);
            return true;
        }
    }
    if (is_inflight_too_high(cc, rs) || b->inflight_longterm == NO_INFLIGHT)
        return false;
    b->inflight_longterm = max_u32(b->inflight_longterm, rs->tx_in_flight);
    if (b->state == UP)
        probe_longterm_upward(cc, ack);
    return false;
}

/* 2 to 3 s, or so many round trips as Reno would take to win back what a loss cost it. */
static bool is_time_to_probe_bw(struct weir_cc *cc)
{
    struct bbr3 *b = state_of(cc);
    uint32_t reno_rounds = target_inflight(cc, b) / cc->smss;

    return b->now > b->cycle_stamp + b->bw_probe_wait ||
           b->rounds_since_probe_up >= min_u32(reno_rounds, RENO_ROUNDS_MAX);
}

static bool is_time_to_cruise(const struct weir_cc *cc, const struct bbr3 *b, uint32_t in_flight)
{
    return in_flight <= inflight_with_headroom(cc, b) && in_flight <= inflight(cc, b, max_bw(b));
}

static bool is_time_to_go_down(struct weir_cc *cc, const struct weir_cc_ack *ack,
                               const struct sample *rs)
{
    struct bbr3 *b = state_of(cc);

    /* As Linux's, what was in flight before the ACK: afterwards there is always room for a segment. */
    if (b->prev_probe_too_high && ack->prior_in_flight_bytes + cc->smss > b->inflight_longterm) {
        b->prev_probe_precautionary = true;
        return true;
    }
    if (ack->cwnd_limited && cc->cwnd >= b->inflight_longterm) {
        reset_full_bw(b);
        b->full_bw = rs->delivery_rate;
        return false;
    }
    return b->full_bw_now;
}

static void update_probe_bw_cycle_phase(struct weir_cc *cc, const struct weir_cc_ack *ack,
                                        const struct sample *rs)
{
    struct bbr3 *b = state_of(cc);

    if (!b->full_bw_reached || adapt_longterm_model(cc, ack, rs))
        return;
    switch (b->state) {
    case DOWN:
    case CRUISE:
        if (is_time_to_probe_bw(cc))
            start_refill(cc);
        else if (b->state == DOWN && is_time_to_cruise(cc, b, ack->in_flight_bytes))
            b->state = CRUISE;
        break;
    case REFILL:
        if (b->round_start) {
            b->is_bw_probe_sample = true;
            start_up(cc, rs->delivery_rate);
        }
        break;
    case UP:
        if (is_time_to_go_down(cc, ack, rs)) {
            b->prev_probe_too_high = false;
            start_down(cc);
        }
        break;
    default:
        break;
    }
}

/* ---- min_rtt --------------------------------------------------------------------------------------------- */

static void update_min_rtt(struct bbr3 *b, weir_time rtt)
{
    b->probe_rtt_expired = b->now > b->probe_rtt_min_stamp + PROBE_RTT_INTERVAL;
    if (rtt >= 0 && (rtt < b->probe_rtt_min_delay || b->probe_rtt_expired)) {
        b->probe_rtt_min_delay = rtt;
        b->probe_rtt_min_stamp = b->now;
    }
    if (b->probe_rtt_min_delay < b->min_rtt || b->now > b->min_rtt_stamp + MIN_RTT_FILTER_LEN) {
        b->min_rtt = b->probe_rtt_min_delay;
        b->min_rtt_stamp = b->probe_rtt_min_stamp;
    }
}

static void check_probe_rtt_done(struct weir_cc *cc)
{
    struct bbr3 *b = state_of(cc);

    if (b->probe_rtt_done_stamp == 0 || b->now <= b->probe_rtt_done_stamp)
        return;
    b->probe_rtt_min_stamp = b->now;
    restore_cwnd(cc);
    reset_shortterm_model(b);
    if (b->full_bw_reached) {
        start_down(cc);
        b->state = CRUISE; /* the queue is empty already */
    } else {
        b->state = STARTUP;
    }
}

static void handle_probe_rtt(struct weir_cc *cc, const struct weir_cc_ack *ack)
{
    struct bbr3 *b = state_of(cc);

    cc->throttled = true;
    if (b->probe_rtt_done_stamp == 0 && ack->in_flight_bytes <= probe_rtt_cwnd(cc, b)) {
        b->probe_rtt_done_stamp = b->now + PROBE_RTT_DURATION;
        b->probe_rtt_round_done = false;
        start_round(cc);
    } else if (b->probe_rtt_done_stamp != 0) {
        if (b->round_start)
            b->probe_rtt_round_done = true;
        if (b->probe_rtt_round_done)
            check_probe_rtt_done(cc);
    }
}

static void check_probe_rtt(struct weir_cc *cc, const struct weir_cc_ack *ack)
{
    struct bbr3 *b = state_of(cc);

    if (b->state != PROBE_RTT && b->probe_rtt_expired && !b->idle_restart) {
        save_cwnd(cc);
        b->state = PROBE_RTT;
        b->probe_rtt_done_stamp = 0;
        b->ack_phase = ACKS_PROBE_STOPPING;
        start_round(cc);
    }
    cc->throttled = false;
    if (b->state == PROBE_RTT)
        handle_probe_rtt(cc, ack);
    if (ack->has_sample && ack->sample_delivered > 0)
        b->idle_restart = false;
}

/* ---- the seam -------------------------------------------------------------------------------------------- */

static void bbr3_init(struct weir_cc *cc, weir_time now)
{
    struct bbr3 *b = state_of(cc);

    memset(b, 0, sizeof *b);
    b->now = now;
    b->min_rtt = cc->srtt > 0 ? cc->srtt : WEIR_TIME_NEVER;
    b->probe_rtt_min_delay = WEIR_TIME_NEVER;
    b->min_rtt_stamp = b->probe_rtt_min_stamp = now;
    b->extra_acked_interval_start = now;
    b->inflight_longterm = NO_INFLIGHT;
    b->probe_up_acked_per_inc = NO_INFLIGHT;
    b->undo_state = NO_STATE;
    reset_shortterm_model(b);
    start_round(cc);
    b->loss_round_delivered = cc->delivered_bytes;
    cc->ssthresh = UINT32_MAX;
    init_pacing_rate(cc);
    set_send_quantum(cc);
}

static void follow_recovery(struct weir_cc *cc, uint8_t ca_state)
{
    struct bbr3 *b = state_of(cc);

    if (b->prev_ca_state >= WEIR_CA_RECOVERY && ca_state < WEIR_CA_RECOVERY)
        restore_cwnd(cc);
    b->prev_ca_state = ca_state;
}

static void bbr3_on_ack(struct weir_cc *cc, const struct weir_cc_ack *ack, weir_time now)
{
    struct bbr3 *b = state_of(cc);
    struct sample rs = {.delivery_rate = weir_cc_ack_rate(ack),
                        .lost = ack->sample_lost,
                        .tx_in_flight = ack->sample_tx_in_flight,
                        .app_limited = ack->sample_app_limited};

    b->now = now;
    if (ack->ece)
        note_ecn(cc, &rs);
    update_latest_delivery_signals(cc, ack, &rs);
    update_max_bw(cc, ack, &rs);
    if (b->loss_round_start)
        adapt_lower_bounds(cc);
    update_ack_aggregation(cc, ack);
    check_full_bw_reached(b, &rs);
    check_startup_and_drain(cc, ack, &rs);
    if (b->loss_round_start)
        b->is_loss_in_round = false;
    if (ack->acked_bytes > 0)
        update_probe_bw_cycle_phase(cc, ack, &rs);
    update_min_rtt(b, ack->rtt);
    check_probe_rtt(cc, ack);
    if (b->loss_round_start) {
        b->bw_latest = rs.delivery_rate;
        b->inflight_latest = capped(ack->sample_delivered);
    }
    bound_bw(b);

    set_pacing_rate_with_gain(cc, pacing_gain(b));
    set_send_quantum(cc);
    follow_recovery(cc, ack->ca_state);
    if (ack->acked_bytes > 0)
        set_cwnd(cc, ack);
}

static void bbr3_on_congestion(struct weir_cc *cc, uint32_t in_flight, bool by_ecn, weir_time now)
{
    (void)in_flight;
    (void)by_ecn;
    (void)now;
    save_state_upon_loss(cc);
}

static void bbr3_on_rto(struct weir_cc *cc, uint32_t in_flight, weir_time now)
{
    (void)in_flight;
    (void)now;
    save_state_upon_loss(cc);
}

static void bbr3_on_undo(struct weir_cc *cc, weir_time now)
{
    struct bbr3 *b = state_of(cc);
    uint8_t before = b->undo_state;

    b->now = now;
    restore_cwnd(cc);
    b->is_loss_in_round = false;
    reset_full_bw(b);
    if (b->undo_bw_shortterm > b->bw_shortterm)
        b->bw_shortterm = b->undo_bw_shortterm;
    b->inflight_shortterm = max_u32(b->inflight_shortterm, b->undo_inflight_shortterm);
    b->inflight_longterm = max_u32(b->inflight_longterm, b->undo_inflight_longterm);
    b->undo_state = NO_STATE;
    if (before == STARTUP && b->state != STARTUP) {
        b->full_bw_reached = false;
        if (b->state != PROBE_RTT)
            b->state = STARTUP;
    } else if (before == UP && b->state != UP && b->state != PROBE_RTT) {
        start_refill(cc);
    }
}

static void bbr3_on_idle(struct weir_cc *cc, weir_time idle, weir_time now)
{
    struct bbr3 *b = state_of(cc);

    (void)idle;
    if (!cc->app_limited)
        return;
    b->now = now;
    b->idle_restart = true;
    b->extra_acked_interval_start = now;
    b->extra_acked_delivered = 0;
    if (in_probe_bw(b))
        set_pacing_rate_with_gain(cc, 100);
    else if (b->state == PROBE_RTT)
        check_probe_rtt_done(cc);
}

const struct weir_cc_ops weir_cc_bbr3 = {
    .name = "bbr3",
    .flags = WEIR_CC_PACED | WEIR_CC_OWNS_CWND,
    .init = bbr3_init,
    .on_ack = bbr3_on_ack,
    .on_congestion = bbr3_on_congestion,
    .on_rto = bbr3_on_rto,
    .on_undo = bbr3_on_undo,
    .on_idle = bbr3_on_idle,
    .on_loss = bbr3_on_loss,
    .private_words = (sizeof(struct bbr3) + 7) / 8,
};
