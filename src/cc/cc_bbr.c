/* SPDX-License-Identifier: MIT */
/*
 * BBR, version 1, as Linux's tcp_bbr ("BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016).
 *
 * The path is modelled by two figures that can be measured, and never at the same moment:
 *
 *     bw         the largest delivery rate of the last ten round trips (seen when the queue is not empty)
 *     min_rtt    the least round-trip time of the last ten seconds     (seen when it is)
 *
 * Data leaves at pacing_gain * bw, and cwnd_gain * bw * min_rtt bounds what is in flight. Loss is no signal:
 * cwnd obeys it for one round trip and comes back.
 *
 *     STARTUP   2.89    until bw grew by less than 1/4 in three round trips: the pipe is full
 *     DRAIN     1/2.89  until the queue that STARTUP made is gone
 *     PROBE_BW  1.25 0.75 1 1 1 1 1 1, one min_rtt each, from a random place in the cycle
 *     PROBE_RTT after ten seconds without a new min_rtt: 4 segments for 200 ms and a round trip
 *
 * Two additions. A policer shows itself by two intervals of more than 20 % loss and the same throughput:
 * then that throughput is bw for 48 round trips (lt_bw). Aggregated ACKs make cwnd larger by what came
 * beyond bw in the last five to ten round trips (extra_acked).
 *
 * Quantities here are bytes and bytes per second where Linux's are packets; gains are 1/256. Names are
 * Linux's.
 */
#include <weir/cc.h>

#include <weir/info.h>

#include "cc/cc_maxfilter.h"

enum {
    UNIT = 256,
    HIGH_GAIN = UNIT * 2885 / 1000 + 1,
    DRAIN_GAIN = UNIT * 1000 / 2885,
    CWND_GAIN = UNIT * 2,
    CYCLE_LEN = 8,
    CYCLE_RAND = 7,
    BW_RTTS = CYCLE_LEN + 2,
    CWND_MIN_TARGET = 4, /* segments */
    FULL_BW_THRESH = UNIT * 5 / 4,
    FULL_BW_CNT = 3,
    MIN_TSO_RATE = 1200000 / 8, /* bytes/s; below it a burst is one segment */
    PACING_MARGIN_PERCENT = 1,
    INIT_CWND = 10, /* segments */
    LT_INTVL_MIN_RTTS = 4,
    LT_LOSS_THRESH = 50, /* of 256 */
    LT_BW_RATIO = UNIT / 8,
    LT_BW_DIFF = 4000 / 8, /* bytes/s */
    LT_BW_MAX_RTTS = 48,
    EXTRA_ACKED_WIN_RTTS = 5,
    ACK_EPOCH_RESET = 1 << 20, /* segments */
    BURST_MAX = 65535 - 320,
};
#define MIN_RTT_WIN     (10 * WEIR_SEC)
#define PROBE_RTT_TIME  (200 * WEIR_MS)
#define EXTRA_ACKED_MAX (100 * WEIR_MS)

static const uint16_t cycle_gain[CYCLE_LEN] = {UNIT * 5 / 4, UNIT * 3 / 4, UNIT, UNIT,
                                               UNIT,         UNIT,         UNIT, UNIT};

enum mode { STARTUP, DRAIN, PROBE_BW, PROBE_RTT };

struct bbr {
    struct cc_maxfilter bw; /* by rtt_cnt */
    weir_time min_rtt;      /* WEIR_TIME_NEVER: none */
    weir_time min_rtt_at;
    weir_time probe_rtt_done_at; /* 0: not all has drained yet */
    weir_time cycle_at;
    weir_time delivered_at; /* of the latest ACK that delivered */
    uint64_t next_rtt_delivered;
    uint64_t lost; /* by the connection so far */
    uint32_t rtt_cnt;
    uint8_t mode;
    uint8_t prev_ca_state;
    uint8_t cycle_idx;
    uint8_t full_bw_cnt;
    bool round_start, packet_conservation, probe_rtt_round_done, idle_restart, full_bw_reached;
    bool has_seen_rtt;
    uint16_t pacing_gain, cwnd_gain;
    uint32_t prior_cwnd;
    uint64_t full_bw;

    struct {
        bool sampling, use;
        uint8_t rtts;
        uint64_t bw;
        weir_time at;
        uint64_t delivered, lost;
    } lt;

    struct {
        weir_time epoch_at;
        uint64_t epoch_acked;
        uint32_t extra[2];
        uint8_t win_rtts, idx;
    } agg;
};
_Static_assert(sizeof(struct bbr) <= sizeof((struct weir_cc *)0)->priv, "private state fits");

static struct bbr *state(struct weir_cc *cc)
{
    return (struct bbr *)(void *)cc->priv;
}

static uint32_t min_target(const struct weir_cc *cc)
{
    return CWND_MIN_TARGET * cc->smss;
}

/* ---- the model's figures -------------------------------------------------------------------------- */

static uint64_t current_bw(const struct bbr *b)
{
    return b->lt.use ? b->lt.bw : cc_maxfilter_get(&b->bw);
}

static uint64_t bytes_in(uint64_t bw, weir_time span)
{
    return bw * (uint64_t)(span / WEIR_US) / 1000000;
}

static uint64_t pacing_rate_of(uint64_t bw, uint32_t gain)
{
    return bw * gain / UNIT * (100 - PACING_MARGIN_PERCENT) / 100;
}

static uint64_t bounded_rate(const struct weir_cc *cc, uint64_t rate)
{
    return rate < cc->max_pacing_rate ? rate : cc->max_pacing_rate;
}

static void init_pacing_rate(struct weir_cc *cc)
{
    struct bbr *b = state(cc);
    weir_time rtt = WEIR_MS;

    if (cc->srtt > 0) {
        rtt = cc->srtt > WEIR_US ? cc->srtt : WEIR_US;
        b->has_seen_rtt = true;
    }
    cc->pacing_rate = bounded_rate(
        cc, pacing_rate_of((uint64_t)cc->cwnd * 1000000 / (uint64_t)(rtt / WEIR_US), HIGH_GAIN));
}

static void set_pacing_rate(struct weir_cc *cc, uint64_t bw, uint32_t gain)
{
    struct bbr *b = state(cc);
    uint64_t rate = bounded_rate(cc, pacing_rate_of(bw, gain));

    if (!b->has_seen_rtt && cc->srtt > 0)
        init_pacing_rate(cc);
    if ((b->full_bw_reached || rate > cc->pacing_rate) && rate > 0)
        cc->pacing_rate = rate;
}

/* What one burst is to be. */
static uint32_t tso_goal(const struct weir_cc *cc)
{
    uint64_t bytes = cc->pacing_rate >> 10;
    uint32_t least = cc->pacing_rate < MIN_TSO_RATE ? 1 : 2;
    uint32_t segments = (uint32_t)((bytes < BURST_MAX ? bytes : BURST_MAX) / cc->smss);

    segments = segments > least ? segments : least;
    return (segments < 127 ? segments : 127) * cc->smss;
}

/* Bandwidth-delay product in whole segments. */
static uint64_t bdp(const struct weir_cc *cc, const struct bbr *b, uint64_t bw, uint32_t gain)
{
    if (b->min_rtt == WEIR_TIME_NEVER)
        return (uint64_t)INIT_CWND * cc->smss;
    uint64_t bytes = bytes_in(bw, b->min_rtt) * gain / UNIT;
    return (bytes + cc->smss - 1) / cc->smss * cc->smss;
}

/* Room for bursts at both ends, and for ACKs of every second segment. */
static uint64_t quantization_budget(const struct weir_cc *cc, const struct bbr *b, uint64_t bytes)
{
    uint64_t pair = 2 * (uint64_t)cc->smss;

    bytes += 3 * (uint64_t)tso_goal(cc);
    bytes = (bytes + pair - 1) / pair * pair;
    if (b->mode == PROBE_BW && b->cycle_idx == 0)
        bytes += pair; /* so that 1.25 shows on the smallest of windows */
    return bytes;
}

static uint64_t inflight_of(const struct weir_cc *cc, const struct bbr *b, uint64_t bw,
                            uint32_t gain)
{
    return quantization_budget(cc, b, bdp(cc, b, bw, gain));
}

/* What will be in the network when pacing lets the next burst leave. */
static uint64_t in_net_at_edt(const struct weir_cc *cc, const struct bbr *b, uint32_t in_flight,
                              weir_time now)
{
    uint64_t at_edt = in_flight, delivered = 0;

    if (cc->next_send_at > now)
        delivered = bytes_in(current_bw(b), cc->next_send_at - now);
    if (b->pacing_gain > UNIT)
        at_edt += tso_goal(cc);
    return at_edt > delivered ? at_edt - delivered : 0;
}

/* ---- cwnd ------------------------------------------------------------------------------------------ */

static void save_cwnd(struct weir_cc *cc)
{
    struct bbr *b = state(cc);

    if (b->prev_ca_state < WEIR_CA_RECOVERY && b->mode != PROBE_RTT)
        b->prior_cwnd = cc->cwnd;
    else if (cc->cwnd > b->prior_cwnd)
        b->prior_cwnd = cc->cwnd;
}

static uint64_t aggregation_cwnd(const struct bbr *b)
{
    uint64_t extra = b->agg.extra[0] > b->agg.extra[1] ? b->agg.extra[0] : b->agg.extra[1];
    uint64_t most = bytes_in(current_bw(b), EXTRA_ACKED_MAX);

    if (!b->full_bw_reached)
        return 0;
    return extra < most ? extra : most;
}

/* Packet conservation in the first round trip of recovery; after recovery the window from before. True:
 * *cwnd is the window. */
static bool recover_or_restore(struct weir_cc *cc, const struct weir_cc_ack *ack, uint32_t *cwnd)
{
    struct bbr *b = state(cc);
    uint8_t prev = b->prev_ca_state;
    uint32_t conserved = ack->in_flight_bytes + ack->acked_bytes;

    if (ack->lost_bytes > 0)
        *cwnd = *cwnd > ack->lost_bytes + cc->smss ? *cwnd - ack->lost_bytes : cc->smss;
    if (ack->ca_state == WEIR_CA_RECOVERY && prev != WEIR_CA_RECOVERY) {
        b->packet_conservation = true;
        b->next_rtt_delivered = cc->delivered_bytes;
        *cwnd = conserved;
    } else if (prev >= WEIR_CA_RECOVERY && ack->ca_state < WEIR_CA_RECOVERY) {
        b->packet_conservation = false;
        if (b->prior_cwnd > *cwnd)
            *cwnd = b->prior_cwnd;
    }
    b->prev_ca_state = ack->ca_state;
    if (!b->packet_conservation)
        return false;
    if (conserved > *cwnd)
        *cwnd = conserved;
    return true;
}

static void set_cwnd(struct weir_cc *cc, const struct weir_cc_ack *ack, uint64_t bw)
{
    struct bbr *b = state(cc);
    uint32_t cwnd = cc->cwnd;

    if (ack->acked_bytes > 0 && !recover_or_restore(cc, ack, &cwnd)) {
        uint64_t target = bdp(cc, b, bw, b->cwnd_gain) + aggregation_cwnd(b);
        target = quantization_budget(cc, b, target);
        if (target > UINT32_MAX / 2)
            target = UINT32_MAX / 2;
        uint32_t grown = cwnd < UINT32_MAX / 2 ? cwnd + ack->acked_bytes : cwnd;
        if (b->full_bw_reached)
            cwnd = grown < target ? grown : (uint32_t)target;
        else if (cwnd < target || cc->delivered_bytes < (uint64_t)INIT_CWND * cc->smss)
            cwnd = grown;
        if (cwnd < min_target(cc))
            cwnd = min_target(cc);
    }
    if (b->mode == PROBE_RTT && cwnd > min_target(cc))
        cwnd = min_target(cc);
    cc->cwnd = cwnd;
}

/* ---- PROBE_BW ---------------------------------------------------------------------------------------- */

static void advance_cycle_phase(struct bbr *b)
{
    b->cycle_idx = (b->cycle_idx + 1) & (CYCLE_LEN - 1);
    b->cycle_at = b->delivered_at;
}

static bool phase_is_over(const struct weir_cc *cc, const struct bbr *b,
                          const struct weir_cc_ack *ack, weir_time now)
{
    bool full_length = b->delivered_at - b->cycle_at > b->min_rtt;

    if (b->pacing_gain == UNIT)
        return full_length;
    uint64_t in_net = in_net_at_edt(cc, b, ack->prior_in_flight_bytes, now);
    uint64_t bw = cc_maxfilter_get(&b->bw);
    /* Up: until the pipe holds what the gain asks for; a loss shows that it cannot. Down: until the queue
     * of before is gone. */
    if (b->pacing_gain > UNIT)
        return full_length &&
               (ack->lost_bytes > 0 || in_net >= inflight_of(cc, b, bw, b->pacing_gain));
    return full_length || in_net <= inflight_of(cc, b, bw, UNIT);
}

static void enter_probe_bw(struct weir_cc *cc)
{
    struct bbr *b = state(cc);

    b->mode = PROBE_BW;
    b->cycle_idx =
        (uint8_t)(CYCLE_LEN - 1 - (uint32_t)((uint64_t)weir_cc_random(cc) * CYCLE_RAND >> 32));
    advance_cycle_phase(b); /* never begins with the phase of 0.75 */
}

static void reset_mode(struct weir_cc *cc)
{
    struct bbr *b = state(cc);

    if (!b->full_bw_reached)
        b->mode = STARTUP;
    else
        enter_probe_bw(cc);
}

/* ---- policers ------------------------------------------------------------------------------------------ */

static void lt_reset_interval(const struct weir_cc *cc, struct bbr *b)
{
    b->lt.at = b->delivered_at;
    b->lt.delivered = cc->delivered_bytes;
    b->lt.lost = b->lost;
    b->lt.rtts = 0;
}

static void lt_reset(const struct weir_cc *cc, struct bbr *b)
{
    b->lt.bw = 0;
    b->lt.use = false;
    b->lt.sampling = false;
    lt_reset_interval(cc, b);
}

/* Two intervals of like throughput: it is a policer's. */
static void lt_interval_done(const struct weir_cc *cc, struct bbr *b, uint64_t bw)
{
    if (b->lt.bw != 0) {
        uint64_t diff = bw > b->lt.bw ? bw - b->lt.bw : b->lt.bw - bw;
        if (diff * UNIT <= LT_BW_RATIO * b->lt.bw || pacing_rate_of(diff, UNIT) <= LT_BW_DIFF) {
            b->lt.bw = (bw + b->lt.bw) / 2;
            b->lt.use = true;
            b->pacing_gain = UNIT;
            b->lt.rtts = 0;
            return;
        }
    }
    b->lt.bw = bw;
    lt_reset_interval(cc, b);
}

static void lt_end_of_interval(const struct weir_cc *cc, struct bbr *b)
{
    uint64_t lost = b->lost - b->lt.lost, delivered = cc->delivered_bytes - b->lt.delivered;
    weir_time span = b->delivered_at - b->lt.at;

    if (delivered == 0 || lost * UNIT < LT_LOSS_THRESH * delivered || span < WEIR_MS)
        return;
    if (span >= (weir_time)UINT32_MAX * WEIR_US) {
        lt_reset(cc, b);
        return;
    }
    lt_interval_done(cc, b, delivered * 1000000 / (uint64_t)(span / WEIR_US));
}

static void lt_sample(struct weir_cc *cc, bool lost, bool app_limited)
{
    struct bbr *b = state(cc);

    if (b->lt.use) {
        if (b->mode == PROBE_BW && b->round_start && ++b->lt.rtts >= LT_BW_MAX_RTTS) {
            lt_reset(cc, b);
            enter_probe_bw(cc);
        }
        return;
    }
    if (!b->lt.sampling) { /* an interval begins and ends with a loss: the bucket is empty then */
        if (!lost)
            return;
        lt_reset_interval(cc, b);
        b->lt.sampling = true;
    }
    if (app_limited) {
        lt_reset(cc, b);
        return;
    }
    if (b->round_start)
        b->lt.rtts++;
    if (b->lt.rtts < LT_INTVL_MIN_RTTS)
        return;
    if (b->lt.rtts > 4 * LT_INTVL_MIN_RTTS) {
        lt_reset(cc, b);
        return;
    }
    if (lost)
        lt_end_of_interval(cc, b);
}

/* ---- the model, ACK by ACK ---------------------------------------------------------------------------- */

static void update_bw(struct weir_cc *cc, const struct weir_cc_ack *ack)
{
    struct bbr *b = state(cc);

    b->round_start = false;
    if (!ack->has_sample || ack->interval <= 0)
        return;
    if (ack->prior_delivered >= b->next_rtt_delivered) {
        b->next_rtt_delivered = cc->delivered_bytes;
        b->rtt_cnt++;
        b->round_start = true;
        b->packet_conservation = false;
    }
    lt_sample(cc, ack->lost_bytes > 0, ack->sample_app_limited);
    uint64_t bw = weir_cc_ack_rate(ack);
    if (!ack->sample_app_limited || bw >= cc_maxfilter_get(&b->bw))
        wr_cc_maxfilter_update(&b->bw, BW_RTTS, b->rtt_cnt, bw);
}

static void update_ack_aggregation(struct weir_cc *cc, const struct weir_cc_ack *ack)
{
    struct bbr *b = state(cc);

    if (ack->acked_bytes == 0 || !ack->has_sample || ack->interval <= 0)
        return;
    if (b->round_start && ++b->agg.win_rtts >= EXTRA_ACKED_WIN_RTTS) {
        b->agg.win_rtts = 0;
        b->agg.idx ^= 1;
        b->agg.extra[b->agg.idx] = 0;
    }
    uint64_t expected = bytes_in(current_bw(b), b->delivered_at - b->agg.epoch_at);
    if (b->agg.epoch_acked <= expected ||
        b->agg.epoch_acked + ack->acked_bytes >= (uint64_t)ACK_EPOCH_RESET * cc->smss) {
        b->agg.epoch_acked = 0;
        b->agg.epoch_at = b->delivered_at;
        expected = 0;
    }
    b->agg.epoch_acked += ack->acked_bytes;
    uint64_t extra = b->agg.epoch_acked - expected;
    if (extra > cc->cwnd)
        extra = cc->cwnd;
    if (extra > b->agg.extra[b->agg.idx])
        b->agg.extra[b->agg.idx] = (uint32_t)extra;
}

static void check_full_bw(struct bbr *b, const struct weir_cc_ack *ack)
{
    if (b->full_bw_reached || !b->round_start || ack->sample_app_limited)
        return;
    uint64_t bw = cc_maxfilter_get(&b->bw);
    if (bw >= b->full_bw * FULL_BW_THRESH / UNIT) {
        b->full_bw = bw;
        b->full_bw_cnt = 0;
        return;
    }
    b->full_bw_reached = ++b->full_bw_cnt >= FULL_BW_CNT;
}

static void check_drain(struct weir_cc *cc, const struct weir_cc_ack *ack, weir_time now)
{
    struct bbr *b = state(cc);
    uint64_t full = inflight_of(cc, b, cc_maxfilter_get(&b->bw), UNIT);

    if (b->mode == STARTUP && b->full_bw_reached) {
        b->mode = DRAIN;
        cc->ssthresh = full < UINT32_MAX ? (uint32_t)full : UINT32_MAX;
    }
    if (b->mode == DRAIN && in_net_at_edt(cc, b, ack->in_flight_bytes, now) <= full)
        enter_probe_bw(cc);
}

static void check_probe_rtt_done(struct weir_cc *cc, weir_time now)
{
    struct bbr *b = state(cc);

    if (b->probe_rtt_done_at == 0 || now <= b->probe_rtt_done_at)
        return;
    b->min_rtt_at = now;
    if (b->prior_cwnd > cc->cwnd)
        cc->cwnd = b->prior_cwnd;
    reset_mode(cc);
}

static void probe_rtt(struct weir_cc *cc, const struct weir_cc_ack *ack, weir_time now)
{
    struct bbr *b = state(cc);

    cc->throttled = true;
    if (b->probe_rtt_done_at == 0 && ack->in_flight_bytes <= min_target(cc)) {
        b->probe_rtt_done_at = now + PROBE_RTT_TIME;
        b->probe_rtt_round_done = false;
        b->next_rtt_delivered = cc->delivered_bytes;
    } else if (b->probe_rtt_done_at != 0) {
        b->probe_rtt_round_done |= b->round_start;
        if (b->probe_rtt_round_done)
            check_probe_rtt_done(cc, now);
    }
}

static void update_min_rtt(struct weir_cc *cc, const struct weir_cc_ack *ack, weir_time now)
{
    struct bbr *b = state(cc);
    bool expired = now > b->min_rtt_at + MIN_RTT_WIN;

    if (ack->rtt >= 0 && (ack->rtt < b->min_rtt || (expired && !ack->ack_delayed))) {
        b->min_rtt = ack->rtt;
        b->min_rtt_at = now;
    }
    if (expired && !b->idle_restart && b->mode != PROBE_RTT) {
        b->mode = PROBE_RTT;
        save_cwnd(cc);
        b->probe_rtt_done_at = 0;
    }
    cc->throttled = false;
    if (b->mode == PROBE_RTT)
        probe_rtt(cc, ack, now);
    if (ack->has_sample && ack->sample_delivered > 0)
        b->idle_restart = false;
}

static void update_gains(struct bbr *b)
{
    switch (b->mode) {
    case STARTUP:
        b->pacing_gain = HIGH_GAIN;
        b->cwnd_gain = HIGH_GAIN;
        break;
    case DRAIN:
        b->pacing_gain = DRAIN_GAIN;
        b->cwnd_gain = HIGH_GAIN;
        break;
    case PROBE_BW:
        b->pacing_gain = b->lt.use ? UNIT : cycle_gain[b->cycle_idx];
        b->cwnd_gain = CWND_GAIN;
        break;
    default:
        b->pacing_gain = UNIT;
        b->cwnd_gain = UNIT;
        break;
    }
}

/* ---- the seam ------------------------------------------------------------------------------------------ */

static void bbr_init(struct weir_cc *cc, weir_time now)
{
    struct bbr *b = state(cc);

    *b = (struct bbr){.prev_ca_state = WEIR_CA_OPEN,
                      .min_rtt = cc->min_rtt > 0 ? cc->min_rtt : WEIR_TIME_NEVER,
                      .min_rtt_at = now,
                      .delivered_at = now,
                      .next_rtt_delivered = cc->delivered_bytes,
                      .agg.epoch_at = now};
    cc->ssthresh = UINT32_MAX;
    init_pacing_rate(cc);
    lt_reset(cc, b);
    update_gains(b);
    cc->send_quantum = tso_goal(cc);
}

/* The time-out: growth of bw is judged anew. */
static void enter_loss(struct weir_cc *cc)
{
    struct bbr *b = state(cc);

    b->prev_ca_state = WEIR_CA_LOSS;
    b->full_bw = 0;
    b->round_start = true;
    lt_sample(cc, true, false);
}

static void bbr_on_ack(struct weir_cc *cc, const struct weir_cc_ack *ack, weir_time now)
{
    struct bbr *b = state(cc);

    b->lost += ack->lost_bytes;
    if (ack->acked_bytes > 0)
        b->delivered_at = now;
    if (ack->ca_state == WEIR_CA_LOSS && b->prev_ca_state != WEIR_CA_LOSS)
        enter_loss(cc);
    update_bw(cc, ack);
    update_ack_aggregation(cc, ack);
    if (b->mode == PROBE_BW && phase_is_over(cc, b, ack, now))
        advance_cycle_phase(b);
    check_full_bw(b, ack);
    check_drain(cc, ack, now);
    update_min_rtt(cc, ack, now);
    update_gains(b);
    set_pacing_rate(cc, current_bw(b), b->pacing_gain);
    cc->send_quantum = tso_goal(cc);
    set_cwnd(cc, ack, current_bw(b));
}

static void bbr_on_congestion(struct weir_cc *cc, uint32_t in_flight, bool by_ecn, weir_time now)
{
    (void)in_flight;
    (void)by_ecn;
    (void)now;
    save_cwnd(cc);
}

static void bbr_on_rto(struct weir_cc *cc, uint32_t in_flight, weir_time now)
{
    (void)in_flight;
    (void)now;
    save_cwnd(cc);
}

static void bbr_on_undo(struct weir_cc *cc, weir_time now)
{
    struct bbr *b = state(cc);

    (void)now;
    b->full_bw = 0; /* the lull was the spurious recovery's */
    b->full_bw_cnt = 0;
    lt_reset(cc, b);
}

/* After silence: bw is what it was, the queue is empty; no reason for PROBE_RTT or a fast start. */
static void bbr_on_idle(struct weir_cc *cc, weir_time idle, weir_time now)
{
    struct bbr *b = state(cc);

    (void)idle;
    if (!cc->app_limited)
        return;
    b->idle_restart = true;
    b->agg.epoch_at = now;
    b->agg.epoch_acked = 0;
    if (b->mode == PROBE_BW)
        set_pacing_rate(cc, current_bw(b), UNIT);
    else if (b->mode == PROBE_RTT)
        check_probe_rtt_done(cc, now);
}

const struct weir_cc_ops weir_cc_bbr = {
    .name = "bbr",
    .flags = WEIR_CC_PACED | WEIR_CC_OWNS_CWND,
    .init = bbr_init,
    .on_ack = bbr_on_ack,
    .on_congestion = bbr_on_congestion,
    .on_rto = bbr_on_rto,
    .on_undo = bbr_on_undo,
    .on_idle = bbr_on_idle,
    .private_words = (sizeof(struct bbr) + 7) / 8,
};
