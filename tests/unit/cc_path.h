/* SPDX-License-Identifier: MIT */
/*
 * A congestion control algorithm on a path of one bottleneck, without TCP: one flow of segments, each
 * acknowledged by itself, so that what the algorithm does can be computed by hand.
 *
 *     sender --(pacing, cwnd)--> queue of queue_limit segments --(rate)--> rtt later the ACK
 *
 * A dropped segment is found lost when three sent after it have been delivered, and is not sent again:
 * there is always more data. Delivery-rate samples are made as tcp_rate makes them, but by a plain
 * record for each segment.
 */
#ifndef CC_PATH_H
#define CC_PATH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weir/cc.h>
#include <weir/info.h>

enum { MSS = 1000, PATH_MAX = 1 << 18, PATH_REORDER = 3 };

struct path_segment {
    weir_time sent_at, first_sent_at, delivered_at, ack_at; /* ack_at NEVER: dropped */
    uint64_t delivered, lost;
    uint32_t tx_in_flight;
    bool app_limited, gone; /* gone: acknowledged or found lost */
};

struct path {
    const struct weir_cc_ops *ops;
    struct weir_cc cc;
    weir_time now;
    /* the path; may be changed at any time */
    uint64_t rate; /* bytes per second */
    weir_time rtt;
    uint32_t queue_limit;                        /* segments */
    bool (*drop)(struct path *path, uint32_t i); /* or NULL */
    bool has_data;                               /* the application has something to send */
    uint32_t app_window;             /* it never has more in flight than this; 0: no limit */
    void (*seen)(struct path *path); /* after each ACK; or NULL */
    bool (*done)(struct path *path); /* path_run() ends after the ACK where it is true; or NULL */

    weir_time link_free_at, next_send_at, first_sent_at, delivered_at;
    uint64_t lost, app_limited;
    uint32_t sent, una, newest; /* segments [una, sent) are in `ring`; newest: highest delivered */
    uint32_t in_flight, recover, round_end;
    uint8_t ca_state;
    bool limited;
    struct path_segment ring[PATH_MAX];
};

static inline struct path_segment *path_at(struct path *p, uint32_t i)
{
    return &p->ring[i % PATH_MAX];
}

static inline void path_start(struct path *p, const struct weir_cc_ops *ops, uint64_t rate,
                              weir_time rtt, uint32_t queue_limit)
{
    memset(p, 0, sizeof *p);
    *p = (struct path){.ops = ops,
                       .now = 1000 * WEIR_SEC,
                       .rate = rate,
                       .rtt = rtt,
                       .queue_limit = queue_limit,
                       .has_data = true};
    p->cc.cwnd = 10 * MSS;
    p->cc.ssthresh = UINT32_MAX;
    p->cc.smss = MSS;
    p->cc.srtt = p->cc.min_rtt = rtt; /* of the handshake */
    p->cc.selective_acks = true;
    p->cc.max_pacing_rate = UINT64_MAX;
    p->cc.random = 1;
    p->next_send_at = p->now;
    ops->init(&p->cc, p->now);
}

static inline void path_send(struct path *p)
{
    struct path_segment *s = path_at(p, p->sent);
    weir_time span = (weir_time)((uint64_t)MSS * 1000000000u / p->rate), leaves_at;

    assert_true(p->sent - p->una < PATH_MAX);
    if (p->in_flight == 0) {
        p->first_sent_at = p->delivered_at = p->now;
        if (p->sent > 0 && p->ops->on_idle != NULL)
            p->ops->on_idle(&p->cc, p->now - path_at(p, p->sent - 1)->sent_at, p->now);
    }
    p->in_flight += MSS;
    *s = (struct path_segment){.sent_at = p->now,
                               .first_sent_at = p->first_sent_at,
                               .delivered_at = p->delivered_at,
                               .ack_at = WEIR_TIME_NEVER,
                               .delivered = p->cc.delivered_bytes,
                               .lost = p->lost,
                               .tx_in_flight = p->in_flight,
                               .app_limited = p->app_limited != 0};
    leaves_at = (p->link_free_at > p->now ? p->link_free_at : p->now) + span;
    if (leaves_at - p->now <= (weir_time)(p->queue_limit + 1) * span &&
        (p->drop == NULL || !p->drop(p, p->sent))) {
        p->link_free_at = leaves_at;
        s->ack_at = leaves_at + p->rtt;
    }
    p->sent++;
    p->next_send_at =
        p->now +
        (p->cc.pacing_rate != 0 ? (weir_time)((uint64_t)MSS * 1000000000u / p->cc.pacing_rate) : 0);
    p->cc.next_send_at = p->next_send_at;
    if (p->in_flight + MSS > p->cc.cwnd)
        p->limited = true;
}

static inline void path_limit(struct path *p)
{
    p->app_limited = p->cc.delivered_bytes + p->in_flight + 1;
    p->cc.app_limited = true;
}

static inline void path_lose(struct path *p, uint32_t i)
{
    struct path_segment *s = path_at(p, i);
    struct weir_cc_loss loss = {.start = i * MSS,
                                .bytes = MSS,
                                .tx_in_flight = s->tx_in_flight,
                                .app_limited = s->app_limited};

    s->gone = true;
    p->in_flight -= MSS;
    p->lost += MSS;
    loss.lost_since_sent = p->lost - s->lost;
    if (p->ops->on_loss != NULL)
        p->ops->on_loss(&p->cc, &loss);
    if (p->ca_state != WEIR_CA_RECOVERY) {
        p->ca_state = WEIR_CA_RECOVERY;
        p->recover = p->sent;
        p->ops->on_congestion(&p->cc, p->in_flight, false, p->now);
    }
}

static inline void path_ack(struct path *p, uint32_t i)
{
    struct path_segment *s = path_at(p, i);
    struct weir_cc_ack ack = {.acked_bytes = MSS,
                              .prior_in_flight_bytes = p->in_flight,
                              .rtt = p->now - s->sent_at,
                              .has_sample = true,
                              .sample_app_limited = s->app_limited,
                              .interval = p->now - s->delivered_at,
                              .prior_delivered = s->delivered,
                              .sample_tx_in_flight = s->tx_in_flight};
    uint64_t lost = p->lost;

    s->gone = true;
    p->in_flight -= MSS;
    p->newest = i;
    p->cc.delivered_bytes += MSS;
    p->delivered_at = p->now;
    p->first_sent_at = s->sent_at;
    p->cc.srtt = p->cc.srtt - p->cc.srtt / 8 + ack.rtt / 8;
    if (p->app_limited != 0 && p->cc.delivered_bytes > p->app_limited) {
        p->app_limited = 0;
        p->cc.app_limited = false;
    }
    for (uint32_t j = p->una; j + PATH_REORDER <= i; j++)
        if (!path_at(p, j)->gone)
            path_lose(p, j);
    while (p->una < p->sent && path_at(p, p->una)->gone)
        p->una++;
    if (p->ca_state == WEIR_CA_RECOVERY && p->una >= p->recover)
        p->ca_state = WEIR_CA_OPEN;
    if (s->sent_at - s->first_sent_at > ack.interval)
        ack.interval = s->sent_at - s->first_sent_at;
    ack.sample_delivered = p->cc.delivered_bytes - s->delivered;
    ack.sample_lost = p->lost - s->lost;
    ack.lost_bytes = (uint32_t)(p->lost - lost);
    ack.in_flight_bytes = p->in_flight;
    ack.ca_state = p->ca_state;
    ack.in_recovery = p->ca_state == WEIR_CA_RECOVERY;
    ack.cwnd_limited = p->limited;
    ack.round_start = i >= p->round_end;
    if (ack.round_start) {
        p->round_end = p->sent;
        p->limited = p->in_flight + MSS > p->cc.cwnd;
    }
    p->ops->on_ack(&p->cc, &ack, p->now);
    if (p->cc.throttled)
        path_limit(p);
    if (p->seen != NULL)
        p->seen(p);
}

static inline bool path_may_send(const struct path *p)
{
    return p->has_data && p->in_flight + MSS <= p->cc.cwnd &&
           (p->app_window == 0 || p->in_flight + MSS <= p->app_window);
}

/* The next segment to be acknowledged; sent: none. */
static inline uint32_t path_next_ack(struct path *p)
{
    uint32_t i = p->newest < p->una ? p->una : p->newest;

    while (i < p->sent && (path_at(p, i)->gone || path_at(p, i)->ack_at == WEIR_TIME_NEVER))
        i++;
    return i;
}

/* Until so much time has passed; then true. False: nothing more happens. */
static inline bool path_run(struct path *p, weir_time span)
{
    weir_time end = p->now + span;

    for (;;) {
        uint32_t i = path_next_ack(p);
        weir_time ack_at = i < p->sent ? path_at(p, i)->ack_at : WEIR_TIME_NEVER;
        weir_time send_at = path_may_send(p) ? (p->next_send_at > p->now ? p->next_send_at : p->now)
                                             : WEIR_TIME_NEVER;
        weir_time at = ack_at < send_at ? ack_at : send_at;
        if (at > end) {
            p->now = end;
            return at != WEIR_TIME_NEVER;
        }
        p->now = at;
        if (at == ack_at) {
            path_ack(p, i);
            if (p->done != NULL && p->done(p))
                return true;
        } else {
            path_send(p);
        }
        if (p->in_flight + MSS <= p->cc.cwnd && !path_may_send(p) && !p->cc.throttled)
            path_limit(p);
    }
}

/* Until `done`, for at most so long; true if it came. */
static inline bool path_run_until(struct path *p, bool (*done)(struct path *p), weir_time most)
{
    p->done = done;
    if (!done(p))
        path_run(p, most);
    p->done = NULL;
    return done(p);
}

#endif
