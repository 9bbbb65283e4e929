/* SPDX-License-Identifier: MIT */
/*
 * The seam of congestion control. An algorithm sees struct weir_cc and what happened, and nothing else
 * of TCP: it decides cwnd, ssthresh and, if it wants, a pacing rate. Which segments are lost, when
 * recovery begins and ends, and how much of cwnd may be used in recovery is the stack's business.
 *
 * All sizes are bytes. cwnd is never taken below one smss.
 */
#ifndef WEIR_CC_H
#define WEIR_CC_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/time.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { WEIR_CC_PRIVATE_WORDS = 16 };

/* One connection's congestion state. The algorithm writes the first group, reads the second. */
struct weir_cc {
    uint32_t cwnd;
    uint32_t ssthresh;        /* UINT32_MAX: not known yet */
    uint64_t pacing_rate_bps; /* bytes per second; 0: the stack's own rule (RFC 9002 7.7's shape) */
    uint64_t priv[WEIR_CC_PRIVATE_WORDS]; /* the algorithm's own, zeroed before init */

    uint32_t smss;           /* sender maximum segment size, may change with the path MTU */
    weir_time srtt, min_rtt; /* 0 before the first sample */
};

/* An ACK that moved SND.UNA or SACKed new data, outside or inside recovery. */
struct weir_cc_ack {
    uint32_t acked_bytes;     /* newly delivered, cumulatively or by SACK */
    uint32_t in_flight_bytes; /* after this ACK */
    weir_time rtt;            /* sample of this ACK, or -1 */
    bool cwnd_limited;        /* the sender was held by cwnd, not by the application or the peer */
    bool in_recovery;         /* fast recovery or RTO recovery is under way */
    bool round_start;         /* the first ACK of a new round trip */
    uint64_t delivered_bytes; /* by the connection so far */
    uint64_t delivery_rate_bps; /* bytes per second of the latest sample; 0: none */
    bool rate_app_limited;
    uint32_t lost_bytes; /* newly marked lost at this ACK */
};

enum { /* weir_cc_ops.flags */
       WEIR_CC_OWNS_CWND =
           2, /* cwnd is what on_ack says, in recovery too: the stack changes it only at a
                                 time-out */
};

struct weir_cc_ops {
    const char *name; /* as TCP_CONGESTION: under 16 bytes */
    uint32_t flags;   /* WEIR_CC_* */
    /* The handshake is done; cwnd holds the initial window (RFC 6928), ssthresh UINT32_MAX. */
    void (*init)(struct weir_cc *cc, weir_time now);
    void (*on_ack)(struct weir_cc *cc, const struct weir_cc_ack *ack, weir_time now);
    /* Loss found by ACKs or ECN, once a recovery: set ssthresh, and cwnd to the same. The stack takes cwnd
     * down to ssthresh over the round trip (RFC 9937). */
    void (*on_congestion)(struct weir_cc *cc, uint32_t in_flight_bytes, bool by_ecn, weir_time now);
    /* The retransmission timer fired, the first of a series: set ssthresh; the stack sets cwnd to 1 smss. */
    void (*on_rto)(struct weir_cc *cc, uint32_t in_flight_bytes, weir_time now);
    /* The last on_congestion or on_rto was spurious; the stack has put cwnd and ssthresh back (of one that
     * owns cwnd: only ssthresh). May be NULL. */
    void (*on_undo)(struct weir_cc *cc, weir_time now);
    /* Sending begins again after `idle` without any; the stack applies its idle rule after. May be NULL. */
    void (*on_idle)(struct weir_cc *cc, weir_time idle, weir_time now);
};

/* RFC 5681 with appropriate byte counting (RFC 3465, RFC 9293 3.8.2). */
extern const struct weir_cc_ops weir_cc_reno;
/* RFC 9438 with HyStart++ (RFC 9406). */
extern const struct weir_cc_ops weir_cc_cubic;

#ifdef __cplusplus
}
#endif
#endif
