/* SPDX-License-Identifier: MIT */
/*
 * Reno, RFC 5681, with byte counting (RFC 3465; RFC 9293 3.8.2).
 *
 *     slow start (cwnd < ssthresh)     cwnd grows by the bytes acknowledged: doubles per round trip
 *     congestion avoidance             cwnd grows by one smss per cwnd of bytes acknowledged
 *     loss                             ssthresh = cwnd = max(in flight / 2, 2 smss)   (equation 4)
 *     time-out                         ssthresh likewise; the stack makes cwnd one smss
 *
 * Counting bytes and not ACKs makes a peer that splits its ACKs gain nothing, and lets one that
 * acknowledges 64 KB at once not starve the sender. Growth waits while the sender is limited by its
 * application or by the peer's window: such a cwnd has not been tested (RFC 9293 3.8.2, RFC 7661).
 */
#include <weir/cc.h>

/* priv[0]: bytes acknowledged in congestion avoidance since cwnd last grew. */

static void reno_init(struct weir_cc *cc, weir_time now)
{
    (void)now;
    cc->priv[0] = 0;
}

static uint32_t add_capped(uint32_t cwnd, uint32_t bytes)
{
    return bytes > (UINT32_MAX / 2) - cwnd ? UINT32_MAX / 2 : cwnd + bytes;
}

static void reno_on_ack(struct weir_cc *cc, const struct weir_cc_ack *ack, weir_time now)
{
    uint32_t acked = ack->acked_bytes;

    (void)now;
    if (ack->in_recovery && cc->cwnd >= cc->ssthresh)
        return;
    if (!ack->cwnd_limited || cc->cwnd >= UINT32_MAX / 2)
        return;
    if (cc->cwnd < cc->ssthresh) {
        uint32_t room = cc->ssthresh - cc->cwnd;
        uint32_t grow = acked < room ? acked : room;
        cc->cwnd = add_capped(cc->cwnd, grow);
        acked -= grow;
    }
    cc->priv[0] += acked;
    while (acked > 0 && cc->priv[0] >= cc->cwnd) {
        cc->priv[0] -= cc->cwnd;
        cc->cwnd = add_capped(cc->cwnd, cc->smss);
    }
}

static uint32_t half_flight(const struct weir_cc *cc, uint32_t in_flight)
{
    uint32_t half = in_flight / 2;
    return half > 2 * cc->smss ? half : 2 * cc->smss;
}

static void reno_on_congestion(struct weir_cc *cc, uint32_t in_flight, bool by_ecn, weir_time now)
{
    (void)by_ecn;
    (void)now;
    cc->ssthresh = half_flight(cc, in_flight);
    cc->cwnd = cc->ssthresh;
    cc->priv[0] = 0;
}

static void reno_on_rto(struct weir_cc *cc, uint32_t in_flight, weir_time now)
{
    (void)now;
    cc->ssthresh = half_flight(cc, in_flight);
    cc->priv[0] = 0;
}

const struct weir_cc_ops weir_cc_reno = {
    .name = "reno",
    .flags = WEIR_CC_LIMITED,
    .init = reno_init,
    .on_ack = reno_on_ack,
    .on_congestion = reno_on_congestion,
    .on_rto = reno_on_rto,
    .private_words = 1,
};
