/* SPDX-License-Identifier: MIT */
/*
 * The sending side of a connection: struct wr_tx, made with the first data or FIN, and the concepts that
 * it is put together from, each with the contract of its file.
 *
 *     what was sent            tcp_sendq; tcp_sack: what of it the peer has
 *     what of it is lost       tcp_rack, tcp_tlp
 *     what follows from that   tcp_recovery: tcp_prr, tcp_undo
 *     how much may go          tcp_cc, tcp_cwnd; tcp_pace: when; tcp_rate: what the path delivers
 *     in what pieces           tcp_push, tcp_mtup
 *     accounts                 tcp_chrono, tcp_stamp
 */
#ifndef WR_TCP_SENDER_H
#define WR_TCP_SENDER_H

#include "tcp/tcp.h"

/* ---- what was sent: tcp_sendq ------------------------------------------------------------------- */

enum {
    WR_SENT_SACKED = 1, /* the peer says that it has it */
    WR_SENT_LOST = 2,   /* to be sent again; on the lost list unless WR_SENT_REXMIT */
    WR_SENT_REXMIT = 4, /* sent again since it was found lost; without LOST: a tail loss probe */
    WR_SENT_EVER = 8    /* was ever sent twice: no RTT sample (Karn) */
};

/* What tcp_rate notes with each record when it leaves; the counts are those of that moment. */
struct wr_sent_rate {
    weir_time first_sent_at; /* struct wr_rate.first_sent_at */
    weir_time delivered_at;
    uint64_t delivered;
    uint32_t delivered_ce, lost; /* low 32 bits */
    uint32_t in_flight;          /* with the record itself */
    bool app_limited;
};

/* A range of sequence numbers that were sent together and have had the same fate since. */
struct wr_sent {
    uint32_t start, end; /* with the FIN if it is in */
    uint32_t mss;        /* payload of its segments */
    uint32_t segs;       /* so many, >= 1 */
    uint32_t prio;       /* heap order of the treap */
    uint32_t order;      /* of transmissions: struct wr_sendq.sends at the latest */
    weir_time sent_at;   /* latest transmission */
    struct wr_list by_seq;
    struct wr_list turn; /* struct wr_sendq.lost or .flying; of a SACKED one neither */
    struct wr_sent *left, *right;
    struct wr_sent_rate rate;
    uint8_t flags;
    bool psh; /* its last segment carries PSH */
    bool eor; /* a record of the user ends with it: nothing is joined to it */
};

struct wr_sendq {
    struct wr_list by_seq;
    struct wr_list lost;   /* LOST and not REXMIT: to be sent again, lowest first */
    struct wr_list flying; /* the others that are not SACKED, in the order of sent_at */
    struct wr_sent *root;
    uint32_t count;
    uint32_t sends;                                  /* transmissions so far, modulo 2^32 */
    uint32_t islands;                                /* SACKED records: no two are neighbours */
    uint32_t sacked_bytes, lost_bytes, rexmit_bytes; /* sums over records with the flag */
    uint32_t segs, sacked_segs, lost_segs, rexmit_segs;
    uint32_t ever_segs; /* of records that were ever sent twice */
};

void wr_sendq_init(struct wr_sendq *q);
/* Frees its records. It is over, or to be made anew. */
void wr_sendq_clear(struct weir_stack *stack, struct wr_sendq *q);
/* Gives back the records that are kept for later. */
void wr_sendq_trim(struct weir_stack *stack);
/* New data [start, end) left, behind all there is. False: out of memory and nothing to merge with. What tcp_rate notes
 * with it is the caller's to set. */
bool wr_sendq_append(struct weir_stack *stack, struct wr_sendq *q, uint32_t start, uint32_t end,
                     uint32_t mss, weir_time now);
/* The last that left ends with PSH, with the end of a record. */
void wr_sendq_note_end(struct wr_sendq *q, bool psh, bool eor);
/* The record that contains seq, or NULL. O(log n). */
struct wr_sent *wr_sendq_find(const struct wr_sendq *q, uint32_t seq);
struct wr_sent *wr_sendq_first(const struct wr_sendq *q);
struct wr_sent *wr_sendq_last(const struct wr_sendq *q);
/* First to be sent again; the longest in flight; or NULL. */
struct wr_sent *wr_sendq_lost(const struct wr_sendq *q);
struct wr_sent *wr_sendq_oldest(const struct wr_sendq *q);
struct wr_sent *wr_sendq_next(const struct wr_sendq *q, const struct wr_sent *sent);
struct wr_sent *wr_sendq_prev(const struct wr_sendq *q, const struct wr_sent *sent);
/* Cuts it so that a record begins at seq (start < seq < end): the right part, or NULL without memory. */
struct wr_sent *wr_sendq_split(struct weir_stack *stack, struct wr_sendq *q, struct wr_sent *sent,
                               uint32_t seq);
/* `sent` waits to be sent again: what waits right behind it goes with it, up to `most` bytes in all, but not
 * beyond the end of a user's record. */
void wr_sendq_collapse(struct weir_stack *stack, struct wr_sendq *q, struct wr_sent *sent,
                       uint32_t most);
/* Changes of fate; sums and lists follow. */
void wr_sendq_mark_sacked(struct weir_stack *stack, struct wr_sendq *q, struct wr_sent *sent);
/* The only way to be lost. Also of one that was SACKED (reneging) or sent again. Adds to lost_ever. */
void wr_sendq_mark_lost(struct wr_sendq *q, struct wr_sent *sent);
void wr_sendq_mark_rexmit(struct wr_sendq *q, struct wr_sent *sent, uint32_t mss, weir_time now);
/* Sent again and not known to be lost: twice in flight. */
void wr_sendq_mark_probe(struct wr_sendq *q, struct wr_sent *sent, uint32_t mss, weir_time now);
/* Forgets flags of one record. */
void wr_sendq_unmark(struct wr_sendq *q, struct wr_sent *sent, uint8_t flags);
/* What waits to be sent again was not lost at all (undo). O(number of records). */
void wr_sendq_unmark_lost(struct wr_sendq *q);

/* RFC 8985 6.1 RACK_sent_after(), by count and not by clock: many may be sent in one tick of it. What was sent
 * as one burst has one order. */
static inline bool wr_sent_after(uint32_t a, uint32_t a_end, uint32_t b, uint32_t b_end)
{
    return a == b ? seq_gt(a_end, b_end) : seq_gt(a, b);
}

/* What one ACK newly delivered, cumulatively or by SACK. */
struct wr_delivery {
    weir_time rexmit_until; /* set by the caller: what was sent again later than this cannot be what
                             * arrived, RFC 8985 6.2 step 2 */
    weir_time sent_at;      /* latest transmission that surely arrived; -1: none */
    uint32_t order, end;    /* with sent_at */
    uint32_t bytes;
    uint32_t lowest, highest; /* if original: of what was never sent twice */
    bool original;
};
/* [start, end) of the record was delivered: to be called before its flags change. */
void wr_sendq_delivered(const struct wr_sent *sent, uint32_t start, uint32_t end,
                        struct wr_delivery *d);

/* What an ACK freed. */
struct wr_acked {
    struct wr_rate *rate;            /* learns what is delivered; or NULL */
    uint32_t bytes;                  /* of sequence space */
    uint32_t fresh_bytes;            /* of them, those not SACKed before */
    weir_time first_sent, last_sent; /* of records never sent twice; -1: none */
    uint32_t first_end;              /* how far the first of those is acknowledged */
    bool rexmitted;                  /* one of them was sent twice */
};
/* Everything below una is acknowledged. acked->rate is set by the caller. */
void wr_sendq_ack(struct weir_stack *stack, struct wr_sendq *q, uint32_t una,
                  struct wr_acked *acked, struct wr_delivery *d);
/* The record of the flight, if it is only one, was sent once, and ends at una. That it is delivered is to be noted, and
 * then it goes: the short way of wr_sendq_ack(). */
static inline struct wr_sent *wr_sendq_only(const struct wr_sendq *q, uint32_t una)
{
    return q->count == 1 && q->root->flags == 0 && q->root->end == una ? q->root : NULL;
}
void wr_sendq_drop_only(struct weir_stack *stack, struct wr_sendq *q);
bool wr_sendq_check(const struct wr_sendq *q, uint32_t una, uint32_t nxt);

/* Sequence numbers that stay behind SND.UNA are made equal to it (tcp_ack does it in time). */
void wr_ack_take_along(struct tcb *tcb);

/* ---- what the peer has: tcp_sack ---------------------------------------------------------------- */

struct wr_sack_result {
    uint32_t new_bytes; /* newly SACKed */
    weir_time
        last_sent; /* latest transmission time of a newly SACKed record never sent twice; -1: none */
    bool dsack;    /* the first block was a D-SACK, and believed; then: */
    bool dsack_tlp;       /* it is the tail loss probe that was not needed */
    bool dsack_reordered; /* of what is SACKed above SND.UNA and was sent twice */
    uint32_t dsack_start, dsack_end, dsack_segs;
    bool original; /* newly SACKed: never sent twice, and below `recover` */
};
/* RFC 2018 5, RFC 2883 5: blocks of an ACK into the send queue. */
void wr_sack_input(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                   struct wr_sack_result *result, struct wr_delivery *d);
/* RFC 6675 4 IsLost over the whole flight; returns bytes newly marked. For tcp_recovery = 0. */
uint32_t wr_sack_mark_lost(const struct weir_stack *stack, struct tcb *tcb);

/* ---- what is lost, RFC 8985: tcp_rack ----------------------------------------------------------- */

struct wr_rack {
    weir_time xmit_at;    /* of the latest transmission that was delivered; -1: none yet */
    weir_time rtt;        /* of the last delivered */
    weir_time reo_at;     /* when the next may be found lost without another ACK; NEVER */
    uint32_t order;       /* with xmit_at: struct wr_sent.order */
    uint32_t end_seq;     /* likewise */
    uint32_t dsack_round; /* D-SACKs count once a round: SND.NXT at the last that did */
    uint32_t reord_seen;  /* times that reordering was seen */
    uint32_t reordering;  /* packets: its largest extent, at least tcp_reordering */
    uint8_t steps;        /* of min_rtt / 4 in the reordering window */
    uint8_t persist;      /* recoveries until steps falls back to 1 */
};

void wr_rack_init(struct wr_rack *rack, uint32_t una, const struct wr_tunables *tunables);
/* Does RACK find the losses of this connection? Else RFC 6675, or without SACK duplicate ACKs. */
bool wr_rack_is_on(const struct weir_stack *stack, const struct tcb *tcb);
/* RFC 8985 6.2 steps 1 to 4: what an ACK has told. prior_fack: high_sacked before it. */
void wr_rack_acked(struct weir_stack *stack, struct tcb *tcb, const struct wr_delivery *d,
                   const struct wr_sack_result *sack, uint32_t prior_fack, weir_time now);
/* Of them steps 1 and 2, all there is to do for a flight of which nothing was SACKed, lost or sent again. */
void wr_rack_delivered(struct wr_rack *rack, const struct wr_delivery *d, weir_time now);
/* That, of one transmission which surely arrived. */
static inline void wr_rack_took(struct wr_rack *rack, weir_time sent_at, uint32_t order,
                                uint32_t end, weir_time now)
{
    rack->rtt = now - sent_at;
    if (rack->xmit_at < 0 || wr_sent_after(order, end, rack->order, rack->end_seq)) {
        rack->xmit_at = sent_at;
        rack->order = order;
        rack->end_seq = end;
    }
}
/* RFC 8985 6.2 step 5: marks what is lost by now, returns its bytes, and sets reo_at for what is in doubt.
 * Looks at what it marks and one record more. */
uint32_t wr_rack_mark_lost(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* RFC 8985 6.3: after an RTO, is this record too young to be lost? */
bool wr_rack_is_young(const struct weir_stack *stack, const struct tcb *tcb,
                      const struct wr_sent *sent, weir_time now);
/* A recovery ended and was not undone; it was undone since all that was sent again was D-SACKed. */
void wr_rack_recovered(struct wr_rack *rack);
void wr_rack_undone(struct wr_rack *rack);
/* Reordering was seen, of so many packets; of what begins at `low`, which came after what is SACKed above it. */
void wr_rack_reordered(struct weir_stack *stack, struct wr_rack *rack, uint32_t packets);
void wr_rack_reordered_from(struct weir_stack *stack, struct tcb *tcb, uint32_t low);

/* ---- a probe where no ACK would tell, RFC 8985 7: tcp_tlp --------------------------------------- */

struct wr_tlp {
    uint32_t end_seq; /* SND.NXT when the probe left */
    bool active;      /* what it says is not judged yet */
    bool rexmit;      /* it was a retransmission */
    bool unsampled;   /* no RTT sample since the last probe */
};

/* RFC 8985 7.2: when to probe, or NEVER. rto_at: when the RTO would come. */
weir_time wr_tlp_due_at(const struct weir_stack *stack, const struct tcb *tcb, weir_time rto_at,
                        weir_time now);
/* RFC 8985 7.3: PTO has come. Asks tcp_output for the probe, if there shall be one. */
void wr_tlp_expired(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* The probe left: up to SND.NXT. */
void wr_tlp_sent(struct weir_stack *stack, struct tcb *tcb, bool rexmit);
/* RFC 8985 7.4.2. True: the probe repaired a loss, congestion control must answer. */
bool wr_tlp_acked(struct tcb *tcb, uint32_t ack, const struct wr_sack_result *sack,
                  bool pure_duplicate);

/* ---- the state that losses make: tcp_recovery --------------------------------------------------- */

enum { /* struct wr_tx.frto, RFC 5682: in LOSS */
       WR_FRTO_OFF,
       WR_FRTO_ON, /* the time-out may have been spurious */
       WR_FRTO_NEW /* so new data goes before lost data until the next ACK */
};

/* After an ACK was taken in. */
struct wr_ack_event {
    uint32_t prior_una;
    uint32_t acked_bytes; /* cumulatively */
    uint32_t delivered;   /* newly, by ACK or SACK */
    uint32_t prior_flight;
    uint32_t prior_pipe;
    weir_time rtt;    /* or -1 */
    weir_time cc_rtt; /* of what was sent last of the delivered; or -1 */
    bool duplicate;   /* RFC 5681 2 */
    bool sacked;      /* brought new SACK information */
    bool ece;         /* RFC 3168 6.1 */
    bool ack_delayed; /* it may have waited for the peer's delayed-ACK timer */
    bool dsack;       /* reported a duplicate */
    bool original;    /* never sent twice, below `recover`: delivered by this ACK (F-RTO) */
    bool again;       /* acknowledges what was sent more than once */
    bool has_echo;
    uint32_t echo; /* TSecr */
};
void wr_recovery_acked(struct weir_stack *stack, struct tcb *tcb, struct wr_ack_event *ev,
                       weir_time now);
/* F-RTO: new data before lost data? */
bool wr_recovery_new_first(const struct tcb *tcb);
/* No (more) new data can go: true when lost data may go instead, false when the next ACK is to be awaited. */
bool wr_recovery_no_new(struct tcb *tcb);
/* A timer, and not an ACK, found ranges of the flight lost (RFC 8985 6.3). */
void wr_recovery_lost(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* A loss was repaired before it was found (by a loss probe, RFC 8985 7.4.2): cwnd is reduced, no recovery. */
void wr_recovery_repaired(const struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* The retransmission timer fired. */
void wr_recovery_timeout(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* What is marked lost is sent again, and no congestion is seen in its loss. */
void wr_recovery_resend(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* The path MTU fell: what was sent in larger segments must go again (RFC 1191 6.4). */
void wr_recovery_too_big(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* What may be retransmitted now beyond the lost list, RFC 6675 4 NextSeg (3) and (4). */
struct wr_sent *wr_recovery_next(struct weir_stack *stack, struct tcb *tcb);

/* ---- the way down of cwnd: tcp_prr -------------------------------------------------------------- */

/* RFC 9937: what may be sent while cwnd goes down. Bytes. */
struct wr_prr {
    uint32_t recover_fs; /* RecoverFS: in flight when the reduction was made */
    uint32_t delivered;  /* since then */
    uint32_t out;        /* sent since then, new or again */
};

/* A reduction begins, RFC 9937 6.1. recover_fs: bytes in flight before the ACK that caused it, without
 * those that were SACKed already. */
void wr_prr_enter(struct wr_prr *prr, uint32_t recover_fs);
/* Data left, RFC 9937 6.2. */
static inline void wr_prr_sent(struct wr_prr *prr, uint32_t bytes)
{
    prr->out += bytes;
}
/* cwnd after an ACK that delivered so much (> 0). safe: SND.UNA advanced and no more loss was found. */
uint32_t wr_prr_cwnd(struct wr_prr *prr, uint32_t delivered, bool safe, uint32_t pipe,
                     uint32_t ssthresh, uint32_t smss);

/* ---- whether it was a mistake: tcp_undo --------------------------------------------------------- */

/* What takes a reduction of cwnd back. */
struct wr_undo {
    uint32_t marker;         /* SND.UNA at the reduction; valid while armed */
    uint32_t unproven;       /* bytes sent again, less those that D-SACKs called needless */
    uint32_t prior_cwnd;     /* before the reduction */
    uint32_t prior_ssthresh; /* likewise; 0: this reduction is never taken back (ECN) */
    uint32_t rexmit_ts;      /* our timestamp at the first retransmission; valid while stamped */
    uint32_t older_unproven; /* of the episode before, if it ended in doubt; 0: there is none */
    uint32_t older_cwnd, older_ssthresh;
    bool armed;   /* the latest reduction may still turn out to be needless */
    bool counted; /* `unproven` has counted something */
    bool stamped; /* something was sent again since the flight was last undisturbed */
};

/* cwnd is about to be reduced. An episode before that ended while D-SACKs for it were under way is kept in
 * mind, but no more than one. lasting: never to be taken back (ECN). */
void wr_undo_begin(struct tcb *tcb, bool lasting);
/* So many bytes are sent again now. */
void wr_undo_rexmit(struct tcb *tcb, uint32_t bytes, weir_time now);
/* The peer reports [start, end) as received twice, RFC 2883. */
void wr_undo_dsack(struct tcb *tcb, uint32_t start, uint32_t end);
/* SND.UNA advanced for data of the first transmission: RFC 3522 3.2 by timestamps; or nothing was sent again
 * at all. */
bool wr_undo_delayed(const struct tcb *tcb, const struct wr_ack_event *ev);
/* The reduction was needless: each retransmission was reported by a D-SACK, or by wr_undo_delayed(). */
bool wr_undo_due(const struct tcb *tcb, const struct wr_ack_event *ev);
/* Every retransmission since the reduction was reported by a D-SACK. */
bool wr_undo_all_dsacked(const struct tcb *tcb);
/* Puts cwnd and ssthresh back (RFC 4015 3.2 in Linux's form). found: what was marked lost is not. */
void wr_undo_reduction(struct tcb *tcb, bool found, weir_time now);
/* Nothing that was sent again is outstanding any more: the next retransmission begins a new episode. */
void wr_undo_settle(struct tcb *tcb);

/* ---- delivery rate: tcp_rate -------------------------------------------------------------------- */

/* Of all records that this ACK delivered the one sent last. */
struct wr_rate_pick {
    struct wr_sent_rate sent;
    weir_time send_interval;
    uint32_t end;
    uint32_t prior_segments; /* struct wr_rate.segments before it */
    bool valid, rexmitted;
};

struct wr_rate {
    weir_time first_sent_at; /* when the record delivered last was sent */
    weir_time delivered_at;  /* when something was delivered last */
    uint64_t app_limited;    /* until so much is delivered samples are application limited; 0: no */
    uint64_t last_delivered; /* the latest sample that counts, as tcp_info shows it */
    weir_time last_interval;
    uint32_t delivered_ce;     /* bytes, modulo 2^32 as the next two */
    uint32_t lost;             /* ever marked lost */
    uint32_t lost_told;        /* of them, those that congestion control knows of */
    uint32_t segments;         /* delivered: tcpi_delivered */
    struct wr_rate_pick *pick; /* of the ACK that is being taken in: struct wr_tcp.pick */
    uint32_t segments_ce;      /* tcpi_delivered_ce */
    bool last_app_limited;
};

/* `sent` left just now, for the first time or again; snd_nxt and the sums, and so `pipe`, count it already. */
void wr_rate_sent(struct tcb *tcb, struct wr_sent *sent, uint32_t pipe, weir_time now);
/* An ACK begins to be taken in. */
void wr_rate_ack_begin(struct wr_rate *rate);
/* `bytes` of sent, not SACKed before, are delivered by this ACK. */
void wr_rate_delivered(struct wr_rate *rate, const struct wr_sent *sent, uint32_t bytes);
/* Marks it lost; counts it and tells congestion control. Used instead of wr_sendq_mark_lost(). */
void wr_rate_mark_lost(struct wr_tx *tx, struct wr_sent *sent);
/* The ACK is taken in, losses are marked: the sample. delivered: bytes by ACK and SACK; reneged: SACKs were
 * taken back, so there is none. Call once for each ACK with something delivered or lost. */
void wr_rate_sample(struct tcb *tcb, uint32_t delivered, bool ece, bool reneged,
                    struct weir_cc_ack *ack, weir_time now);
/* The same without the sample, for who does not ask for it; its interval, or -1. */
weir_time wr_rate_acked(struct tcb *tcb, uint32_t delivered, bool ece, bool reneged, weir_time now);
/* What is in flight now, and what is sent until it has arrived, says nothing of the path. */
void wr_rate_limit(struct tcb *tcb);
/* Is it the application that leaves cwnd unused? Before new data is queued, at ACKs and time-outs. */
void wr_rate_check_app_limited(struct tcb *tcb);
/* Bytes per second of the latest sample; 0: none. */
uint64_t wr_rate_delivery_rate(const struct wr_rate *rate);

/* ---- pacing: tcp_pace --------------------------------------------------------------------------- */

struct wr_pace {
    weir_time next_at; /* when the next data may leave */
    uint64_t rate;     /* bytes per second; 0: not known yet */
    weir_time credit;  /* by which that burst left too late */
    uint32_t burst;    /* most payload that leaves at once, and of one (super-)segment */
    uint32_t left;     /* of the burst under way */
    bool on;
};

/* Decides whether the connection is paced: algorithm, SO_MAX_PACING_RATE, weir.tcp_pacing. When tx is made,
 * and when one of them changed. */
void wr_pace_setup(const struct weir_stack *stack, struct tcb *tcb);
/* Congestion control has spoken, or srtt or smss changed: rate and size of bursts anew. */
void wr_pace_update(const struct weir_stack *stack, struct tcb *tcb);
/* What a connection is, or would be, paced at: tcpi_pacing_rate; UINT64_MAX: not known yet. */
uint64_t wr_pace_rate(const struct weir_stack *stack, const struct tcb *tcb);
/* Bytes that one super-segment would carry. */
uint32_t wr_pace_chunk(const struct weir_stack *stack, const struct tcb *tcb);
/* len bytes of data left. */
void wr_pace_sent(struct tcb *tcb, uint32_t len, weir_time now);

/* ---- use of cwnd: tcp_cwnd ---------------------------------------------------------------------- */

struct wr_cwnd {
    weir_time used_at;  /* when cwnd was last full, or adjusted */
    uint32_t used;      /* most in flight since used_at */
    uint32_t max_out;   /* most in flight in this window of data, unless limited */
    uint32_t usage_end; /* it ends when snd_una reaches this */
    uint32_t round_end; /* the round of congestion control likewise */
    bool limited;       /* cwnd held data back in this window of data */
    bool restarted;     /* the idle rule was applied since data left */
};

/* The ACK `ev` was taken in and judged; `was`: ca_state before it. Tells congestion control. */
void wr_cwnd_acked(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                   uint8_t was, weir_time now);
/* New data left, or (`denied`) could not because cwnd is used up. */
void wr_cwnd_used(struct weir_stack *stack, struct tcb *tcb, uint32_t pipe, bool denied,
                  weir_time now);
/* New data is about to leave, and nothing is in flight: RFC 5681 4.1, RFC 2861. */
void wr_cwnd_restart(struct weir_stack *stack, struct tcb *tcb, weir_time now);

/* ---- how the user wrote: tcp_push --------------------------------------------------------------- */

struct wr_push {
    struct wr_marks *marks; /* PSH and record ends before write_seq; NULL: never any */
    uint32_t pushed;        /* end of what was last written with PSH */
    uint32_t piece;         /* where the piece begins that the next write may join */
    uint32_t goal;          /* bytes of a piece at the last write */
    bool tail;              /* PSH with the byte before write_seq */
    bool burst;             /* the segment before left together with the next one */
    uint16_t goal_mss;      /* the segment size by which `goal` was rounded */
    uint32_t chunk_at;      /* where the chunk of that burst begins */
    uint32_t chunk;         /* bytes of a chunk */
};

/* May a write with these WEIR_MSG_* flags be taken? 0, WEIR_EAGAIN (too many records wait) or
 * WEIR_ENOBUFS. */
int wr_push_room(struct weir_stack *stack, struct wr_tx *tx, int flags);
/* Bytes [start, write_seq) were queued by one write. */
void wr_push_written(struct weir_stack *stack, struct tcb *tcb, uint32_t start, int flags);
/* Bytes that a piece holds: a multiple of the segment size. */
uint32_t wr_push_goal(const struct tcb *tcb, int flags);
/* Bytes from snd_nxt to the end of the first record, or of all that is queued. */
uint32_t wr_push_record(const struct tcb *tcb);
/* New data up to `end` leaves now. True: with PSH. *eor: a record ends there. Forgets what lies before. */
bool wr_push_sent(struct tcb *tcb, uint32_t end, bool *eor);
/* New data [start, end) leaves now in segments of mss, and `more` right behind it. True: with PSH, for it ends
 * what Linux would hand to its link in one piece. */
bool wr_push_burst(const struct weir_stack *stack, struct tcb *tcb, uint32_t start, uint32_t end,
                   uint32_t mss, bool more, weir_time now);
void wr_push_free(struct weir_stack *stack, struct wr_push *push);

/* Bytes of a write of `len` that are taken before TCP_NOTSENT_LOWAT bytes wait unsent, in whole pieces as on
 * Linux: what can leave meanwhile does not count. At least 1. */
size_t wr_push_takes(const struct tcb *tcb, uint32_t lowat, size_t len, int flags);

/* ---- what a sender's time is spent on: tcp_chrono; each needs tcb->tx --------------------------- */

enum { WR_CHRONO_IDLE, WR_CHRONO_BUSY, WR_CHRONO_RWND, WR_CHRONO_SNDBUF };

struct wr_chrono {
    uint8_t type;       /* WR_CHRONO_* */
    bool buffer_full;   /* a send was refused, or taken in part, for want of room */
    weir_time since;    /* when `type` began */
    weir_time spent[3]; /* in BUSY, RWND and SNDBUF, before `since` */
};

void wr_chrono_queued(struct tcb *tcb, weir_time now);
/* The user has more than the buffer takes. */
void wr_chrono_buffer_full(struct tcb *tcb);
/* There is room for the user again. */
void wr_chrono_writable(struct tcb *tcb, weir_time now);
/* SND.UNA moved. */
void wr_chrono_acked(struct tcb *tcb, weir_time now);
/* All that could be sent now was sent. */
void wr_chrono_turn_ended(struct tcb *tcb, weir_time now);
/* Time spent in WR_CHRONO_BUSY and above. */
weir_time wr_chrono_spent(const struct wr_chrono *chrono, uint8_t type, weir_time now);

/* ---- search for the path MTU, RFC 4821: tcp_mtup; each needs tcb->tx ---------------------------- */

struct wr_mtup {
    weir_time since;     /* when the search last began */
    uint32_t low, high;  /* sizes of IP packets: known to pass; may pass */
    uint32_t start, end; /* the probe's data */
    uint32_t probe;      /* that of the probe in flight; 0: none, as ever unless tx->mtup_on */
};

/* Where tcp_mtu_probing is not 0, for new tcb->tx; else all of it is 0, which stands for nothing known. */
void wr_mtup_init(const struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* The segment size `mss` (timestamps deducted), no larger than what is known to pass; pmtu is the path's. */
uint32_t wr_mtup_bound(struct tcb *tcb, uint32_t pmtu, uint32_t mss);
enum wr_mtup_verdict {
    WR_MTUP_NONE, /* send as usual */
    WR_MTUP_WAIT, /* send nothing: a probe goes as soon as there is room for it */
    WR_MTUP_PROBE /* send *len bytes in one segment */
};
/* May new data go as a probe now? */
enum wr_mtup_verdict wr_mtup_next(const struct weir_stack *stack, struct tcb *tcb, uint32_t *len,
                                  weir_time now);
/* [start, end) left as a probe. */
void wr_mtup_sent(struct weir_stack *stack, struct tcb *tcb, uint32_t start, uint32_t end);
/* SND.UNA moved. */
void wr_mtup_acked(struct weir_stack *stack, struct tcb *tcb);
/* A loss was found. True: it is that of the probe alone, and is mended without a reduction. */
bool wr_mtup_lost(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* Data from `start` on is sent again: a probe beyond it says nothing any more. */
void wr_mtup_rexmit(struct tcb *tcb, uint32_t start);
/* The retransmission timer has fired for long. */
void wr_mtup_black_hole(struct weir_stack *stack, struct tcb *tcb, weir_time now);

/* ---- congestion control: tcp_cc ----------------------------------------------------------------- */

/* That of a connection with these options, and the words of its state. */
const struct weir_cc_ops *wr_cc_chosen(const struct weir_stack *stack,
                                       const struct wr_tcp_opts *opts);
static inline uint8_t wr_cc_words(const struct weir_cc_ops *ops)
{
    bool told = ops->private_words > 0 && ops->private_words < WEIR_CC_PRIVATE_WORDS;
    return (uint8_t)(told ? ops->private_words : WEIR_CC_PRIVATE_WORDS);
}
/* tx is new and has its algorithm: the initial window. */
void wr_cc_start(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* Does the algorithm of such a socket need ECN? */
bool wr_cc_wants_ecn(const struct weir_stack *stack, const struct wr_tcp_opts *opts);
/* TCP_CONGESTION, SO_MAX_PACING_RATE may have changed. */
void wr_cc_changed(struct weir_stack *stack, struct tcb *tcb, weir_time now);

/* ---- SO_TIMESTAMPING of sends: tcp_stamp -------------------------------------------------------- */

/* A send has taken data up to write_seq. */
void wr_stamp_owe(struct weir_stack *stack, struct tcb *tcb);
/* While tcb->stamping: snd_nxt has moved on, and snd_una. */
void wr_stamp_sent(struct weir_stack *stack, struct tcb *tcb, weir_time now);
void wr_stamp_acked(struct weir_stack *stack, struct tcb *tcb, weir_time now);

/* ---- all of it ---------------------------------------------------------------------------------- */

enum {                 /* struct wr_tx.rto_kind, RFC 8985 8: one at a time */
       WR_RTO_LOSS,    /* the retransmission timer, RFC 6298 5 */
       WR_RTO_REORDER, /* the reordering timer, RFC 8985 6.2 step 5 */
       WR_RTO_PROBE    /* PTO, RFC 8985 7.2 */
};

/* As in struct tcb: two lines with what is asked for most, then what few segments touch. The other five begin with what
 * tells that they need not be looked at, and end with the first of congestion control's. */
struct wr_tx {
    uint8_t ca_state;     /* WEIR_CA_* */
    uint8_t dupacks;      /* duplicate ACKs without SACK information, RFC 5681 2 */
    uint8_t frto;         /* WR_FRTO_* */
    uint8_t rto_kind;     /* WR_RTO_*: what rto_at stands for while data is in flight */
    bool mtup_on;         /* the path MTU is searched for: `mtup` */
    uint8_t cc_words;     /* how many of cc.priv are there */
    uint32_t reno_sacked; /* bytes that dupacks stand for, of a peer without SACK */
    uint32_t lost_edge;   /* below it everything not SACKed was marked lost, RFC 6675 4 IsLost */
    uint32_t high_sacked; /* highest end of a SACK block, or snd_una */
    uint32_t recover;     /* snd_nxt when recovery or loss state began, RFC 6582 */
    const struct weir_cc_ops *cc_ops;
    struct wr_tlp tlp;
    weir_time last_sent_at; /* of data */
    weir_time rto_since;    /* recovery after a time-out began; 0: none is under way */
    struct wr_push push;
    struct wr_cwnd cwnd;

    struct wr_undo undo;
    uint32_t rescue;         /* RFC 6675 4 NextSeg (4): no rescue before snd_una passes it */
    struct tcb *mem_tcb;     /* whose mem_wait is, then */
    struct wr_list mem_wait; /* struct wr_mem.waiting */
    struct wr_mtup mtup;
    struct wr_pace pace;

    struct wr_sendq q;
    struct wr_rate rate;
    struct wr_rack rack;
    struct wr_prr prr;
    struct wr_chrono chrono;
    struct weir_cc cc; /* the last: it is cut off behind the words that are there */
};

static inline size_t wr_tx_size(unsigned cc_words)
{
    return offsetof(struct wr_tx, cc.priv) + cc_words * sizeof(uint64_t);
}

/* Room for a sender's state with so many words, zeroed; NULL: out of memory. And back. That of an algorithm that needs no
 * more words than CUBIC is from a pool, with room for as many as CUBIC has. */
bool wr_tx_is_pooled(unsigned cc_words);
struct wr_tx *wr_tx_new(struct weir_stack *stack, unsigned cc_words);
void wr_tx_free(struct weir_stack *stack, struct wr_tx *tx, unsigned cc_words);

/* Bytes of the flight that are thought to be in the network, RFC 6675 3 `pipe`. */
static inline uint32_t wr_tcb_pipe(const struct tcb *tcb)
{
    const struct wr_tx *tx = tcb->tx;
    uint32_t flight = tcb->snd_nxt - tcb->snd_una, gone;

    if (tx == NULL)
        return flight;
    gone = tx->q.sacked_bytes + tx->reno_sacked + tx->q.lost_bytes;
    if (gone > flight)
        gone = flight;
    return flight - gone + tx->q.rexmit_bytes;
}
/* Data delivered up to `pipe` bytes from now on is application limited. */
static inline void wr_rate_limit_at(struct wr_tx *tx, uint32_t pipe)
{
    tx->rate.app_limited = tx->cc.delivered_bytes + pipe;
    if (tx->rate.app_limited == 0)
        tx->rate.app_limited = 1;
    tx->cc.app_limited = true;
}
/* wr_rate_check_app_limited() where `pipe` is known, and nothing waits to be sent again. */
static inline void wr_rate_check_unless_lost(struct tcb *tcb, uint32_t pipe)
{
    if (wr_tcb_unsent(tcb) < tcb->smss && pipe < tcb->tx->cc.cwnd)
        wr_rate_limit_at(tcb->tx, pipe);
}
/* wr_chrono_turn_ended() of a turn that left nothing unsent: mostly it changes nothing. */
static inline void wr_chrono_all_sent(struct tcb *tcb, weir_time now)
{
    const struct wr_chrono *chrono = &tcb->tx->chrono;

    if (chrono->type > WR_CHRONO_BUSY || chrono->buffer_full)
        wr_chrono_turn_ended(tcb, now);
}
/* Arms the timer for the earliest deadline. */
static inline void wr_timers_update(struct weir_stack *stack, struct tcb *tcb)
{
    weir_time at = weir_time_min(weir_time_min(tcb->rto_at, tcb->delack_at), tcb->keep_at);

    if (tcb->paced)
        at = weir_time_min(at, tcb->tx->pace.next_at);
    if (at < tcb->timer.at)
        wr_timer_arm(stack, &tcb->timer, at);
}
/* May data not leave yet? Then the timer brings the connection back at pace.next_at. */
static inline bool wr_pace_holds(struct tcb *tcb, weir_time now)
{
    struct wr_pace *pace = &tcb->tx->pace;

    if (!pace->on)
        return false;
    if (pace->next_at <= now)
        pace->left = pace->burst;
    return tcb->paced = pace->left < tcb->tx->cc.smss;
}
/* Does the algorithm set cwnd in recovery itself? Then no PRR, and no reduction by the stack. */
static inline bool wr_cwnd_is_owned(const struct wr_tx *tx)
{
    return (tx->cc_ops->flags & WEIR_CC_OWNS_CWND) != 0;
}

#endif
