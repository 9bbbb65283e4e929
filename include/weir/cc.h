/* SPDX-License-Identifier: MIT */
/*
 * The seam of congestion control. An algorithm sees struct weir_cc and what happened, and nothing else
 * of TCP: it decides cwnd, ssthresh and, if it wants, a pacing rate and the size of bursts. Which
 * segments are lost, when recovery begins and ends, and when each segment leaves is the stack's business.
 *
 * There are two ways to be one:
 *
 *   - By loss, as Reno: on_ack grows cwnd outside recovery, on_congestion and on_rto reduce it. In
 *     recovery the stack spreads the reduction over a round trip, after a time-out it begins with one
 *     segment, and after idleness it shrinks cwnd (RFC 9937, RFC 5681 4.1).
 *   - By model, as BBR (flag WEIR_CC_OWNS_CWND): on_ack sees every ACK in every state, with a delivery-rate
 *     sample, and cwnd is what it says it is; the stack changes it only at a time-out.
 *
 * An algorithm of your own is a struct weir_cc_ops, given to a stack by weir_cc_register(); then it is
 * chosen by TCP_CONGESTION or net.ipv4.tcp_congestion_control as any other. Its calls get only what
 * they are given: it must not call the stack.
 *
 * All sizes are bytes, rates bytes per second, times nanoseconds. cwnd is never taken below one smss.
 */
#ifndef WEIR_CC_H
#define WEIR_CC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_stack;

enum { WEIR_CC_PRIVATE_WORDS = 40, WEIR_CC_NAME_MAX = 16 /* with its final 0 */ };

/* One connection's congestion state. The algorithm writes cwnd, ssthresh, pacing_rate, send_quantum and throttled, and
 * reads the others. What each ACK needs comes first. */
struct weir_cc {
    uint32_t cwnd;
    uint32_t ssthresh; /* UINT32_MAX: not known yet */
    uint32_t smss;     /* sender maximum segment size, may change with the path MTU */
    bool
        app_limited; /* the application leaves part of cwnd unused now (what was sent since counts) */
    bool
        throttled; /* it holds itself back now (to see the empty queue): rate samples of what is sent
                          * meanwhile count as application limited */
    bool
        selective_acks; /* the peer tells by SACK what arrived: more than one loss a round trip is seen */
    uint64_t delivered_bytes;
    weir_time srtt, min_rtt; /* 0 before the first sample; min_rtt is that of tcp_min_rtt_wlen */
    uint64_t pacing_rate;    /* 0: the stack's own rule, from cwnd and srtt */
    uint32_t send_quantum; /* most in one burst while paced; 0: the stack's own rule, about 1 ms */
    uint64_t
        max_pacing_rate;    /* SO_MAX_PACING_RATE; UINT64_MAX: none. The stack keeps to it anyway */
    weir_time next_send_at; /* pacing lets no data leave before; may lie in the past */
    uint64_t random;        /* see weir_cc_random() */

    /* The algorithm's own, zeroed before init: no more of it is there than weir_cc_ops.private_words. */
    uint64_t priv[WEIR_CC_PRIVATE_WORDS];
};

/* A random number, from the stack's seed: runs repeat. */
static inline uint32_t weir_cc_random(struct weir_cc *cc)
{
    uint64_t x = cc->random += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(x >> 32);
}

/*
 * An ACK that delivered something, or at which something was found lost.
 *
 * The delivery-rate sample (draft-cheng-iccrg-delivery-rate-estimation, as on Linux) belongs to one segment: that
 * which was sent last of all that this ACK delivered.
 *
 *     prior_delivered                               delivered_bytes
 *          |<---------- sample_delivered ------------------>|
 *     -----+------------------------------------------------+----> bytes delivered
 *          ^ when the segment was sent                      ^ now
 *          |<- interval: the longer of sending and acking ->|
 */
struct weir_cc_ack {
    uint32_t acked_bytes;           /* newly delivered, cumulatively or by SACK */
    uint32_t lost_bytes;            /* newly marked lost at this ACK */
    uint32_t prior_in_flight_bytes; /* before this ACK */
    uint32_t in_flight_bytes;       /* after it */
    weir_time rtt;                  /* of the segment sent last of those it delivers, or -1 */
    bool cwnd_limited; /* the sender was held by cwnd, not by the application or the peer */
    bool in_recovery;  /* fast recovery or RTO recovery is under way */
    uint8_t ca_state;  /* WEIR_CA_* of info.h, after this ACK */
    bool round_start;  /* the first ACK of a new round trip, by sequence numbers */
    bool ece;          /* the ACK carries ECE */
    bool ack_delayed;  /* it may have waited for the peer's delayed-ACK timer */

    bool has_sample;         /* below is known; the times may still be -1 */
    bool sample_app_limited; /* sent while the application left cwnd unused */
    bool sample_rexmitted;
    weir_time interval;           /* -1: too short to be true */
    uint64_t sample_delivered;    /* delivered in `interval` */
    uint64_t sample_delivered_ce; /* of them with ECN's CE mark */
    uint64_t sample_lost;         /* lost since the segment was sent */
    uint64_t prior_delivered;     /* delivered_bytes when the segment was sent */
    uint32_t sample_tx_in_flight; /* in flight just after the segment was sent, it included */
};

/* The sample as a rate; 0: none. */
static inline uint64_t weir_cc_ack_rate(const struct weir_cc_ack *ack)
{
    if (!ack->has_sample || ack->interval <= 0)
        return 0;
    return ack->sample_delivered * UINT64_C(1000000000) / (uint64_t)ack->interval;
}

/* A range of the flight that was found lost. */
struct weir_cc_loss {
    uint32_t start; /* sequence number */
    uint32_t bytes;
    uint32_t tx_in_flight;    /* in flight just after it was sent, it included */
    uint64_t lost_since_sent; /* lost since then, this range included */
    bool app_limited;         /* when it was sent */
};

enum {                        /* weir_cc_ops.flags */
       WEIR_CC_PACED = 1,     /* spread segments in time, at pacing_rate */
       WEIR_CC_OWNS_CWND = 2, /* by model: see above */
       WEIR_CC_WANTS_ECN = 4, /* ask for ECN when connecting, whatever tcp_ecn says */
       WEIR_CC_LIMITED = 8,   /* on_ack does nothing unless cwnd_limited, and so is not called */
};

struct weir_cc_ops {
    const char *name; /* as TCP_CONGESTION: under WEIR_CC_NAME_MAX bytes */
    uint32_t flags;   /* WEIR_CC_* */
    /* The handshake is done, or the algorithm was changed; cwnd holds the initial window (RFC 6928) or what
     * it was, ssthresh UINT32_MAX or what it was. */
    void (*init)(struct weir_cc *cc, weir_time now);
    void (*on_ack)(struct weir_cc *cc, const struct weir_cc_ack *ack, weir_time now);
    /* Recovery begins: loss found by ACKs, or ECN, once a round trip. Set ssthresh, and cwnd to the same: the
     * stack takes cwnd down to ssthresh over the round trip (RFC 9937). One that owns cwnd may leave both. */
    void (*on_congestion)(struct weir_cc *cc, uint32_t in_flight_bytes, bool by_ecn, weir_time now);
    /* The retransmission timer fired, the first of a series: set ssthresh; the stack sets cwnd to 1 smss. */
    void (*on_rto)(struct weir_cc *cc, uint32_t in_flight_bytes, weir_time now);
    /* The last on_congestion or on_rto was spurious; the stack has put cwnd and ssthresh back (of one that
     * owns cwnd: only ssthresh). May be NULL. */
    void (*on_undo)(struct weir_cc *cc, weir_time now);
    /* Sending begins again after `idle` without anything in flight; the stack applies its idle rule after.
     * May be NULL. */
    void (*on_idle)(struct weir_cc *cc, weir_time idle, weir_time now);
    /* Each range as it is found lost, before on_ack of the same ACK. May be NULL. */
    void (*on_loss)(struct weir_cc *cc, const struct weir_cc_loss *loss);
    /* So many of priv it needs: each connection pays for them. 0: all. */
    uint32_t private_words;
};

/* RFC 5681 with appropriate byte counting (RFC 3465, RFC 9293 3.8.2). */
extern const struct weir_cc_ops weir_cc_reno;
/* RFC 9438 with HyStart++ (RFC 9406). */
extern const struct weir_cc_ops weir_cc_cubic;
/* BBR version 1, as Linux's "bbr". */
extern const struct weir_cc_ops weir_cc_bbr;
/* BBR version 3, draft-ietf-ccwg-bbr. */
extern const struct weir_cc_ops weir_cc_bbr3;

/* Adds an algorithm to this stack. ops is borrowed for the stack's life. WEIR_EEXIST: the name is taken;
 * WEIR_EINVAL: no name, or one too long or with a blank, or init, on_ack, on_congestion or on_rto missing;
 * WEIR_ENOMEM: there are too many. */
int weir_cc_register(struct weir_stack *stack, const struct weir_cc_ops *ops);
/* The i-th algorithm of this stack, NULL beyond the last: tcp_available_congestion_control. */
const struct weir_cc_ops *weir_cc_at(const struct weir_stack *stack, unsigned i);

#ifdef __cplusplus
}
#endif
#endif
