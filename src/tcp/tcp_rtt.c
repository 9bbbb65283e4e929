/* SPDX-License-Identifier: MIT */
/*
 * Round-trip time and retransmission time-out, RFC 6298, with Linux's two refinements:
 *
 *     first sample R:   srtt = R, mdev = R/2
 *     next ones:        mdev += (|R - srtt| - mdev) / 4,  srtt += (R - srtt) / 8
 *     RTO             = srtt + var,  var = 4 mdev
 *
 * - The floor (tcp_rto_min, 200 ms) is put under var and not under the sum: the time-out never comes
 *   less than the floor after the answer is due (RFC 6298 2.4 has 1 s under the sum).
 * - A sample that is *shorter* than expected by more than mdev raises mdev at 1/32 only, so that a
 *   path that becomes faster does not make the time-out longer.
 * - var rises at once, but falls once per window of data, a quarter of the way: with many samples per
 *   round trip mdev would else forget the last disturbance within one (RFC 7323 4.2).
 *
 * And one of our own, where Linux takes each sample: what comes in one burst (less than 1/32 of srtt after the
 * last sample) is one sample. When a path that stood still for 500 ms delivers 700 ACKs at once, all
 * tell of the same stall; taken one by one they would make srtt 500 ms and RTO 1.6 s. Below 8 ms every
 * sample counts: the clock kept for this is coarse (2^18 ns, 16 bits: 17 s round; a sample lost to that once in
 * a long while does no harm).
 *
 * Nothing here knows connections; times are nanoseconds.
 */
#include "tcp/tcp.h"

enum { TICK_SHIFT = 18, BURST_PART = 32 };

static weir_time floor_of(const struct wr_tunables *tunables)
{
    return tunables->tcp_rto_min_us * WEIR_US;
}

static weir_time ceiling_of(const struct wr_tunables *tunables)
{
    return tunables->tcp_rto_max_ms * WEIR_MS;
}

void wr_rtt_init(struct wr_rtt *rtt)
{
    *rtt = (struct wr_rtt){.rto = WR_TCP_RTO_INITIAL};
}

weir_time wr_rtt_base_rto(const struct wr_rtt *rtt, const struct wr_tunables *tunables)
{
    if (rtt->srtt == 0)
        return WR_TCP_RTO_INITIAL;
    return weir_time_min(rtt->srtt + rtt->var, ceiling_of(tunables));
}

static void first_sample(struct wr_rtt *rtt, weir_time sample, uint32_t nxt, weir_time floor)
{
    rtt->srtt = sample;
    rtt->mdev4 = 2 * sample;
    rtt->var = rtt->mdev4 > floor ? rtt->mdev4 : floor;
    rtt->mdev4_max = rtt->var;
    rtt->window_end = nxt;
}

static void next_sample(struct wr_rtt *rtt, weir_time sample)
{
    weir_time error = sample - rtt->srtt, mdev = rtt->mdev4 / 4;

    rtt->srtt += error / 8;
    if (rtt->srtt < 1)
        rtt->srtt = 1;
    if (error < 0) {
        error = -error - mdev;
        if (error > 0)
            error /= 8;
    } else {
        error -= mdev;
    }
    rtt->mdev4 += error;
    if (rtt->mdev4 > rtt->mdev4_max) {
        rtt->mdev4_max = rtt->mdev4;
        if (rtt->mdev4_max > rtt->var)
            rtt->var = rtt->mdev4_max;
    }
}

/* In the burst of the sample before? Else it begins one. */
static bool in_burst(struct wr_rtt *rtt, weir_time now)
{
    uint16_t tick = (uint16_t)((uint64_t)now >> TICK_SHIFT);
    uint16_t since = (uint16_t)(tick - rtt->sampled_tick);

    if (((weir_time)since + 1) * BURST_PART <= rtt->srtt >> TICK_SHIFT)
        return true;
    rtt->sampled_tick = tick;
    return false;
}

void wr_rtt_sample(struct wr_rtt *rtt, weir_time sample, uint32_t una, uint32_t nxt,
                   const struct wr_tunables *tunables, weir_time now)
{
    weir_time floor = floor_of(tunables);

    if (sample < 1)
        sample = 1;
    if (rtt->min_rtt == 0 || sample < rtt->min_rtt)
        rtt->min_rtt = sample;
    if (rtt->srtt == 0) {
        first_sample(rtt, sample, nxt, floor);
    } else if (!in_burst(rtt, now)) {
        next_sample(rtt, sample);
        if (seq_gt(una, rtt->window_end)) {
            if (rtt->mdev4_max < rtt->var)
                rtt->var -= (rtt->var - rtt->mdev4_max) / 4;
            rtt->window_end = nxt;
            rtt->mdev4_max = floor;
        }
    }
    wr_rtt_reset_backoff(rtt, tunables);
}

void wr_rtt_backoff(struct wr_rtt *rtt, const struct wr_tunables *tunables)
{
    weir_time ceiling = ceiling_of(tunables);

    rtt->rto = rtt->rto > ceiling / 2 ? ceiling : 2 * rtt->rto;
    if (rtt->backoff < UINT8_MAX)
        rtt->backoff++;
}

void wr_rtt_reset_backoff(struct wr_rtt *rtt, const struct wr_tunables *tunables)
{
    rtt->backoff = 0;
    rtt->rto = wr_rtt_base_rto(rtt, tunables);
}
