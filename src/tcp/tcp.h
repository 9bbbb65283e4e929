/* SPDX-License-Identifier: MIT */
/*
 * TCP, RFC 9293: the map of the folder and the theory.
 *
 * A segment's way in
 *
 *     wr_tcp_input (tcp_input)     parse, verify, find whom it is for
 *       tcp_demux                  4-tuple -> struct tcb, SYN entry or TIME-WAIT record; else a listener
 *       tcp_listen                 LISTEN, SYN-RECEIVED of passive opens, accept queue
 *         tcp_cookie               when the SYN queue is full: nothing kept, all of it in the SYN-ACK
 *         tcp_fastopen             data on the SYN, of both sides; tcp_metrics keeps the client's cookies
 *       tcp_timewait               TIME-WAIT
 *       tcp_input                  every other state, in the order of RFC 9293 3.10.7
 *         tcp_ack                  acceptable ACK? SND.UNA, send window, RTT
 *           tcp_sendq              what was sent, when, and what became of it
 *           tcp_sack, tcp_rack     what the peer has, what is lost
 *           tcp_tlp                a probe where no ACK would come to tell
 *           tcp_recovery           which state that makes: reduce, send again, or take it back
 *             tcp_prr, tcp_undo    the way down of cwnd; whether it was a mistake
 *           cc/                    how much may be in flight
 *         tcp_ecn                  marks of queues, both ways
 *         tcp_reasm                data into the receive ring, SACK blocks, receive window
 *           tcp_rcvbuf             how large the receive buffer is; tcp_mem: how much all streams may hold
 *         tcp_delack               when to acknowledge
 *         tcp_close                FIN, RST: leaving
 *
 * The way out is pulled. Whoever gives a connection a reason to send calls wr_output_kick(), which
 * puts it on its interface's list; wr_tcp_output() asks the connections of the list in turn what they
 * have to send *now*, builds one segment (tcp_segment; up to 64 KB where the link cuts it) and lends its
 * data from the send ring. A connection without anything to send falls off the list. So there is no decision
 * to send anywhere but in tcp_output, and no queue between TCP and the link. tcp_push says where the user's
 * writes and records end, tcp_mtup when a segment may be larger than any before, tcp_chrono keeps account of
 * what held data back.
 *
 * Sequence space, sending
 *
 *      snd_una           snd_nxt            write_seq
 *         |  in flight      |   not yet sent    |
 *     ----+-----------------+-------------------+----> snd_ring holds [snd_una, write_seq)
 *         |<---- snd_wnd (peer's window) ----->|
 *
 * A SYN takes iss and is not in the ring: in SYN-SENT snd_una is iss and the ring begins at iss + 1.
 * A FIN takes write_seq when fin_queued, and is not in the ring either: snd_nxt is write_seq + 1 when
 * it was sent.
 *
 * Sequence space, receiving
 *
 *      copied_seq        rcv_nxt                     rcv_wup + rcv_wnd
 *         |  readable       |  ...ofo ranges...             |
 *     ----+-----------------+-------------------------------+----> rcv_ring begins at copied_seq
 *                  ^ rcv_wup: rcv_nxt when the window was last announced
 *
 * copied_seq is rcv_nxt - rcv_ring.len, less one when the peer's FIN has been taken in.
 *
 * Life of a struct tcb
 *
 *     made      by wr_tcp_connect (SYN-SENT), or by tcp_listen when the third ACK comes (ESTABLISHED), or,
 *               opened fast, with the SYN (SYN-RECEIVED, but reading and writing).
 *               SYN-RECEIVED of a passive open is a small struct wr_syn, TIME-WAIT a small struct wr_tw.
 *     tied      to a socket when `ready` is set; to a listener while in its accept queue.
 *     done      (wr_tcb_done) its state is CLOSE, it is in no table, list or timer. Received data and
 *               an error may be left for its socket.
 *     freed     in wr_tcb_settle at the end of an entry point, once done and tied to nothing. So no
 *               function below an entry point ever sees its tcb vanish.
 *
 * Every entry point ends with wr_tcb_settle(): it frees, arms the one timer and checks invariants.
 *
 * Memory. Rings, the out-of-order set and the sending side's state (struct wr_tx) are made when first
 * needed. All allocation may fail: a connect or send says so, a SYN or final ACK is dropped, a segment
 * is not queued and so not acknowledged, a record of what was sent is merged with its neighbour.
 */
#ifndef WR_TCP_H
#define WR_TCP_H

#include <assert.h>

#include <weir/cc.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/ranges.h"
#include "base/ring.h"
#include "base/seq.h"
#include "cc/cc_list.h"
#include "ip/ip_entry.h"
#include "tcp/tcp_entry.h"
#include "wire/w_csum.h"
#include "wire/w_tcp.h"
#include "wire/w_tcpopt.h"

/* ---- constants: Linux's where the RFCs leave the choice ----------------------------------------- */

#define WR_TCP_RTO_INITIAL   (1 * WEIR_SEC)  /* RFC 6298 2.1 */
#define WR_TCP_RTO_FALLBACK  (3 * WEIR_SEC)  /* RFC 6298 5.7 */
#define WR_TCP_ATO_MIN       (40 * WEIR_MS)  /* shortest delay of an ACK */
#define WR_TCP_DELACK_MAX    (200 * WEIR_MS) /* longest, RFC 9293 3.8.6.3 asks for under 500 ms */
#define WR_TCP_TIMEWAIT      (60 * WEIR_SEC) /* 2 MSL */
#define WR_TCP_PAWS_IDLE     (24 * 86400 * WEIR_SEC) /* RFC 7323 5.5 */
#define WR_TCP_MSS_V4        536u                    /* RFC 9293 3.7.1 */
#define WR_TCP_MSS_V6        1220u
#define WR_TCP_MAX_WSCALE    14u
#define WR_TCP_IW_SEGMENTS   10u /* RFC 6928 */
#define WR_TCP_MAX_QUICKACKS 16u
#define WR_TCP_DUP_THRESH    3u
#define WR_TCP_MAX_OFO       1024u            /* islands of out-of-order data kept */
#define WR_COOKIE_LIFE       (120 * WEIR_SEC) /* SYN cookies of the last two minutes are taken */
#define WR_TCP_MAX_SENT      8192u            /* records of a connection's flight */

/* ---- what the flow table finds ------------------------------------------------------------------ */

/* A hash key: no padding. */
struct wr_tuple {
    struct weir_addr local, remote;
    uint16_t lport, rport;
};
static_assert(sizeof(struct wr_tuple) == 36, "a hash key must have no padding");

enum wr_flow_kind { WR_FLOW_TCB, WR_FLOW_SYN, WR_FLOW_TIMEWAIT };

struct wr_flow {
    struct wr_hash_node node;
    struct wr_tuple tuple;
    uint8_t kind; /* enum wr_flow_kind */
    uint8_t bits; /* for its owner: what would else be padding */
    uint16_t wnd; /* of a SYN entry: the window offered; of TIME-WAIT: the field of its ACKs */
};

/* ---- a segment that arrived --------------------------------------------------------------------- */

struct seg {
    const struct wr_pkt *pkt;
    struct wr_tuple tuple; /* local is us */
    uint64_t hash;         /* of the tuple */
    uint32_t seq, ack;
    uint32_t end_seq; /* seq + len + SYN + FIN */
    const uint8_t *data;
    uint32_t len;   /* SEG.LEN without SYN and FIN */
    uint16_t flags; /* W_TCP_* */
    uint16_t wnd;   /* as on the wire */
    uint16_t urg;
    uint16_t n_segs;   /* segments on the wire that it stands for, >= 1 */
    uint32_t wire_mss; /* payload of each of them */
    struct w_tcpopt opt;
};

/* ---- round-trip time: tcp_rtt ------------------------------------------------------------------- */

struct wr_rtt {
    weir_time srtt;      /* 0: no sample yet */
    weir_time var;       /* what is added to srtt: 4 * mean deviation, floored and smoothed */
    weir_time mdev4;     /* 4 * mean deviation */
    weir_time mdev4_max; /* its maximum in this window of data */
    weir_time rto;       /* with backoff */
    weir_time min_rtt;
    uint32_t window_end;   /* snd_nxt when this window of data began */
    uint8_t backoff;       /* doublings in rto */
    uint16_t sampled_tick; /* when a sample was taken last: the low bits of a coarse clock */
};

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
};

/* ---- RACK and TLP, RFC 8985: tcp_rack, tcp_tlp ---------------------------------------------------- */

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

struct wr_tlp {
    uint32_t end_seq; /* SND.NXT when the probe left */
    bool active;      /* what it says is not judged yet */
    bool rexmit;      /* it was a retransmission */
    bool unsampled;   /* no RTT sample since the last probe */
};

/* ---- recovery's parts: tcp_prr, tcp_undo -------------------------------------------------------- */

/* RFC 9937: what may be sent while cwnd goes down. Bytes. */
struct wr_prr {
    uint32_t recover_fs; /* RecoverFS: in flight when the reduction was made */
    uint32_t delivered;  /* since then */
    uint32_t out;        /* sent since then, new or again */
};

enum { /* struct wr_tx.frto, RFC 5682: in LOSS */
       WR_FRTO_OFF,
       WR_FRTO_ON, /* the time-out may have been spurious */
       WR_FRTO_NEW /* so new data goes before lost data until the next ACK */
};

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

/* ---- delivery rate: tcp_rate --------------------------------------------------------------------- */

/* Of all records that this ACK delivered the one sent last. */
struct wr_rate_pick {
    struct wr_sent_rate sent;
    weir_time send_interval;
    uint32_t end;
    bool valid, rexmitted;
};

struct wr_rate {
    weir_time first_sent_at; /* when the record delivered last was sent */
    weir_time delivered_at;  /* when something was delivered last */
    uint64_t delivered_ce;   /* bytes */
    uint64_t lost;           /* bytes ever marked lost */
    uint64_t lost_told;      /* of them, those that congestion control knows of */
    uint64_t app_limited;    /* until so much is delivered samples are application limited; 0: no */
    uint32_t segments, segments_ce; /* delivered: tcpi_delivered, tcpi_delivered_ce */
    uint32_t prior_segments;        /* before this ACK */
    uint64_t last_delivered;        /* the latest sample that counts, as tcp_info shows it */
    weir_time last_interval;
    bool last_app_limited;
    struct wr_rate_pick pick;
};

/* ---- pacing: tcp_pace ---------------------------------------------------------------------------- */

struct wr_pace {
    bool on;
    bool waiting;      /* data is held back until next_at */
    weir_time next_at; /* when the next data may leave */
    uint64_t rate;     /* bytes per second; 0: not known yet */
    uint32_t burst;    /* most payload that leaves at once, and of one (super-)segment */
    uint32_t left;     /* of the burst under way */
    weir_time credit;  /* by which that burst left too late */
};

/* ---- use of cwnd: tcp_cwnd ------------------------------------------------------------------------- */

struct wr_cwnd {
    bool limited;       /* cwnd held data back in this window of data */
    bool restarted;     /* the idle rule was applied since data left */
    uint32_t max_out;   /* most in flight in it, unless limited */
    uint32_t usage_end; /* it ends when snd_una reaches this */
    uint32_t round_end; /* the round of congestion control likewise */
    uint32_t used;      /* most in flight since used_at */
    weir_time used_at;  /* when cwnd was last full, or adjusted */
};

/* ---- how the user wrote: tcp_push ------------------------------------------------------------------ */

struct wr_push {
    struct wr_marks *marks; /* PSH and record ends before write_seq; NULL: never any */
    uint32_t pushed;        /* end of what was last written with PSH */
    uint32_t piece;         /* where the piece begins that the next write may join */
    uint32_t goal;          /* bytes of a piece at the last write */
    bool tail;              /* PSH with the byte before write_seq */
    bool burst;             /* the segment before left together with the next one */
    uint32_t chunk_at;      /* where the chunk of that burst begins */
    uint32_t chunk;         /* bytes of a chunk */
};

/* ---- what a sender's time is spent on: tcp_chrono -------------------------------------------------- */

enum { WR_CHRONO_IDLE, WR_CHRONO_BUSY, WR_CHRONO_RWND, WR_CHRONO_SNDBUF };

struct wr_chrono {
    weir_time since;    /* when `type` began */
    weir_time spent[3]; /* in BUSY, RWND and SNDBUF before that */
    uint8_t type;       /* WR_CHRONO_* */
    bool buffer_full;   /* a send was refused, or taken in part, for want of room */
};

/* ---- search for the path MTU: tcp_mtup -------------------------------------------------------------- */

struct wr_mtup {
    uint32_t low, high;  /* sizes of IP packets: known to pass; may pass */
    uint32_t probe;      /* that of the probe in flight; 0: none */
    uint32_t start, end; /* the probe's data */
    weir_time since;     /* when the search last began */
    bool on;
};

/* ---- the sending side, from the first data or FIN on --------------------------------------------- */

struct wr_tx {
    struct weir_cc cc;
    const struct weir_cc_ops *cc_ops;
    struct wr_sendq q;
    struct wr_rate rate;
    struct wr_pace pace;
    struct wr_cwnd cwnd;
    uint8_t ca_state;       /* WEIR_CA_* */
    uint8_t dupacks;        /* duplicate ACKs without SACK information, RFC 5681 2 */
    uint32_t reno_sacked;   /* bytes that dupacks stand for, of a peer without SACK */
    uint32_t recover;       /* snd_nxt when recovery or loss state began, RFC 6582 */
    uint32_t high_sacked;   /* highest end of a SACK block, or snd_una */
    uint32_t lost_edge;     /* below it everything not SACKed was marked lost, RFC 6675 4 IsLost */
    uint32_t rescue;        /* RFC 6675 4 NextSeg (4): no rescue before snd_una passes it */
    weir_time last_sent_at; /* of data */
    struct wr_prr prr;
    struct wr_undo undo;
    uint8_t frto; /* WR_FRTO_* */
    struct wr_push push;
    struct wr_rack rack;
    struct wr_tlp tlp;
    uint8_t rto_kind; /* WR_RTO_*: what rto_at stands for while data is in flight */
    struct wr_chrono chrono;
    struct wr_list mem_wait; /* struct wr_mem.waiting */
    struct tcb *mem_tcb;     /* whose this is then */
    struct wr_mtup mtup;
    weir_time rto_since; /* recovery after a time-out began; 0: none is under way */
};

/* ---- when to acknowledge: tcp_delack -------------------------------------------------------------- */

enum {
    WR_ACK_SCHED = 1,   /* something received is not acknowledged */
    WR_ACK_PUSHED = 2,  /* a short segment was among it */
    WR_ACK_PUSHED2 = 4, /* a second one */
};

struct wr_delack {
    weir_time ato;     /* 0: nothing received yet */
    weir_time last_at; /* when data came last */
    uint32_t rcv_mss;  /* estimate of the peer's segment size */
    uint16_t last_len;
    uint8_t quick;   /* ACKs to send at once */
    uint8_t pending; /* WR_ACK_* */
    bool pingpong;   /* data flows both ways: an ACK can ride on it */
};

/* ---- fast open: tcp_fastopen ------------------------------------------------------------------------- */

/* Of a connection that was, is or asks to be opened fast, RFC 7413; others have none. */
struct wr_fastopen {
    struct wr_list queue;         /* struct wr_listener.fastopen, or .fastopen_resets */
    struct wr_listener *listener; /* server: counts it; NULL when it no longer does */
    weir_time until;              /* in .fastopen_resets: when its place is free */
    uint32_t syn_data;            /* client: bytes on the first SYN */
    uint32_t left;                /* client: of them, those that the SYN-ACK did not cover */
    bool pending : 1;             /* server: the SYN-ACK is not acknowledged, but data may flow */
    bool option : 1;              /* the next SYN or SYN-ACK carries the option, with `cookie` */
    bool deferred : 1;            /* client: connect() returned, the SYN waits for data */
    bool used : 1;                /* client: the option went out */
    bool syn_data_acked : 1;      /* data on the SYN was taken: TCPI_OPT_SYN_DATA */
    bool probation : 1;           /* client: the first after fast open was off for all */
    bool cookie_exp : 1;
    uint8_t client_fail; /* tcpi_fastopen_client_fail */
    uint8_t cookie_len;
    uint8_t cookie[W_TCPOPT_COOKIE_MAX];
};

struct wr_fastopen_keys {
    uint8_t key[2][16]; /* cookies are made with the first, and taken of both */
    uint8_t n;
};

/* ---- size of the receive buffer: tcp_rcvbuf ----------------------------------------------------------- */

struct wr_rx {
    weir_time rtt;       /* as seen by the receiver; 0: not known */
    weir_time window_at; /* without timestamps: when this window of data began; 0: never */
    uint32_t window_end; /* and where it ends */
    uint32_t echo;       /* the timestamp that gave the last sample */
    weir_time at;        /* when the round trip under way began */
    uint32_t seq;        /* copied_seq then */
    uint32_t space;      /* bytes read in the best one before */
};

/* ---- the connection -------------------------------------------------------------------------------- */

enum { /* struct tcb.want: what tcp_output shall send besides data */
       WR_WANT_ACK = 1,
       WR_WANT_SYN = 2,
       WR_WANT_PROBE = 4,     /* an empty segment at snd_una - 1 */
       WR_WANT_PROBE_URG = 8, /* one at snd_una that carries the urgent pointer */
       WR_WANT_HEAD = 16,     /* the first lost range, whatever cwnd and pipe say */
       WR_WANT_FORCE = 32,    /* one segment of data though Nagle, cork or SWS avoidance hold it */
       WR_WANT_FIN = 64,      /* in SYN-RECEIVED: the FIN of a close, behind the SYN-ACK */
       WR_WANT_TLP = 128,     /* the last segment again, whatever cwnd and pipe say */
};

enum { WR_SHUT_RCV = 1, WR_SHUT_SND = 2, WR_SHUT_BOTH = 3 };

enum { /* struct tcb.urg_state */
       WR_URG_NONE,
       WR_URG_NOTYET, /* announced, the byte is not here */
       WR_URG_VALID,  /* the byte is here */
       WR_URG_READ    /* and was read */
};

enum {                    /* struct tcb.ecn: tcp_ecn, RFC 3168 6.1 */
       WR_ECN_OK = 1,     /* negotiated; in SYN-SENT: asked for */
       WR_ECN_SEEN = 2,   /* the peer's data came with ECT */
       WR_ECN_ECHO = 4,   /* CE came: ECE on each ACK until the peer says CWR */
       WR_ECN_REDUCED = 8 /* cwnd was reduced: CWR on the next new data */
};

enum {                 /* struct wr_tx.rto_kind, RFC 8985 8: one at a time */
       WR_RTO_LOSS,    /* the retransmission timer, RFC 6298 5 */
       WR_RTO_REORDER, /* the reordering timer, RFC 8985 6.2 step 5 */
       WR_RTO_PROBE    /* PTO, RFC 8985 7.2 */
};

enum { /* where struct tcb.out is linked */
       WR_OUT_IDLE,
       WR_OUT_READY,
       WR_OUT_NEIGH
};

struct tcb {
    /* hot: every segment in or out */
    struct wr_flow flow;
    uint8_t state;         /* WEIR_TCP_* */
    uint8_t want;          /* WR_WANT_* */
    uint8_t shut;          /* WR_SHUT_* */
    uint8_t out_list;      /* WR_OUT_* */
    bool fin_queued : 1;   /* the user has closed: a FIN follows write_seq */
    bool fin_seen : 1;     /* the peer's FIN arrived, maybe ahead of data */
    bool fin_received : 1; /* the peer's FIN was taken in: rcv_nxt counts it */
    bool ts_ok : 1;        /* timestamps negotiated */
    bool sack_ok : 1;
    bool wscale_ok : 1;
    bool passive : 1;   /* RFC 9293 3.5: SYN-RECEIVED came from LISTEN */
    bool in_accept : 1; /* in a listener's accept queue */
    bool more : 1;      /* the last send had MSG_MORE */
    bool let_go : 1;    /* neither Nagle nor cork holds what is queued now */
    bool mtu_stale : 1; /* look the path MTU up before the next data */
    bool dsack_set : 1;
    bool held : 1;     /* unsent data waits with nothing in flight: the persist timer runs */
    bool orphan : 1;   /* counted in struct wr_tcp.n_orphans */
    bool stamping : 1; /* sends wait for their timestamps: tcp_stamp */
    uint8_t snd_wscale, rcv_wscale;
    uint8_t dup_owed; /* duplicate ACKs to send beyond the first, to a peer without SACK */
    uint8_t urg_state;
    uint8_t ecn; /* WR_ECN_* */

    uint32_t snd_una, snd_nxt, write_seq;
    uint32_t snd_wnd, max_wnd, snd_wl1;
    uint32_t smss;    /* payload of a full segment, timestamps deducted */
    uint32_t snd_sml; /* end of the last short segment (Minshall) */
    uint32_t rcv_nxt, rcv_wup, rcv_wnd;
    uint32_t rcv_ssthresh, window_clamp;
    uint32_t ts_recent, ts_offset;
    weir_time ts_recent_at;
    struct wr_ring snd_ring, rcv_ring;
    struct wr_tx *tx;       /* NULL: nothing was sent yet */
    struct wr_fastopen *fo; /* NULL: an ordinary open */
    struct wr_list out;
    struct wr_path path;
    struct wr_rtt rtt;
    struct wr_delack delack;

    /* timers: NEVER or the deadline; `timer` is armed no later than the earliest */
    weir_time rto_at; /* retransmission, persist, SYN */
    weir_time delack_at;
    weir_time keep_at; /* keepalive; FIN-WAIT-2 of an orphan */
    struct wr_timer timer;

    /* ack: less often */
    struct wr_ranges *ofo; /* out-of-order data beyond rcv_nxt, in rcv_ring; NULL: never any */
    uint32_t iss, irs;
    uint16_t peer_mss; /* from its SYN, or the default */
    uint16_t adv_mss;  /* in our SYN */
    uint16_t pmtu;     /* path MTU when smss was last set; 0: not yet */
    uint32_t snd_up;   /* urgent pointer to send, valid while after snd_una */
    uint32_t urg_seq;
    uint32_t dsack_start, dsack_end;
    uint8_t urg_byte;
    uint8_t port_reuse;  /* as given to wr_port_hold() */
    uint8_t retransmits; /* consecutive, of the head */
    uint8_t probes;      /* unanswered */
    uint8_t syn_retries;
    union {               /* until the handshake has given a round-trip time, and from then on */
        weir_time syn_at; /* first SYN left, or the SYN-ACK of a passive open; NEVER: not known */
        weir_time opened_at; /* the handshake was done */
    };
    weir_time oow_ack_at;  /* last challenge ACK, RFC 5961 7 */
    weir_time stalled_at;  /* first transmission of what is being retransmitted; or 0 */
    weir_time last_ack_at; /* an ACK came in */
    struct wr_rx *rx;      /* NULL: no data came yet */
    uint32_t fin_seq;      /* of the peer's FIN, when fin_seen */

    /* cold: owner, options, counters */
    struct wr_ready *ready;       /* its socket's; NULL: orphan or not yet accepted */
    struct wr_listener *listener; /* while in_accept */
    struct wr_list accept;
    int error, soft_error; /* positive errno */
    struct wr_tcp_opts opts;
    uint64_t bytes_acked, bytes_received, bytes_sent, bytes_retrans;
    uint32_t segs_in, segs_out, data_segs_in, data_segs_out;
    uint32_t total_retrans, dsack_dups, ofo_packets;
    uint16_t total_rto, rto_recoveries;
    uint32_t mem_held; /* bytes of its rings, as counted in struct wr_mem */
    uint32_t rto_ms;   /* spent in recoveries after a time-out that are over */
};

/* ---- SYN-RECEIVED of a passive open: tcp_listen ---------------------------------------------------- */

enum { WR_SYN_LEVELS = 8 };

struct wr_syn {
    struct wr_flow flow;
    struct wr_list wait; /* struct wr_tcp.syn_wait[min(retries, WR_SYN_LEVELS - 1)] */
    struct wr_list of_listener;
    struct wr_listener *listener;
    weir_time resend_at;
    uint32_t iss, irs, ts_recent;
    uint16_t peer_mss;
    uint32_t oow_ms; /* last answer to a segment that is not the final ACK, milliseconds; 0: none */
    uint8_t snd_wscale, rcv_wscale;
    uint8_t retries;
    bool ts_ok : 1, sack_ok : 1, wscale_ok : 1, acked : 1, ecn_ok : 1, resent : 1;
    bool is_cookie : 1; /* nothing of it is kept: it is on the C stack */
};
static_assert(sizeof(struct wr_syn) <= 128, "a SYN flood pays for these");

struct wr_listener {
    struct wr_hash_node node; /* struct wr_tcp.listeners, by endpoint */
    struct wr_list all;
    struct weir_endpoint local;
    const struct wr_tcp_opts *opts; /* its socket's */
    struct wr_ready *ready;
    struct wr_list syns;   /* struct wr_syn.of_listener */
    struct wr_list accept; /* struct tcb.accept, oldest first */
    uint32_t n_syns, n_accept, backlog;
    struct wr_list fastopen;        /* struct wr_fastopen.queue: pending */
    struct wr_list fastopen_resets; /* likewise: reset, and counted for a while; oldest first */
    struct wr_fastopen_keys *fastopen_keys; /* NULL: the stack's */
    uint32_t n_fastopen;                    /* in both lists */
    uint32_t n_young;                       /* of n_syns: those whose SYN-ACK went once */
    weir_time cookie_at;                    /* the last SYN cookie left; -1: none */
    uint32_t somaxconn;                     /* when listening began */
    uint32_t id;
    bool reuseport;
};

/* ---- TIME-WAIT: tcp_timewait ------------------------------------------------------------------------ */

struct wr_tw {
    struct wr_flow flow; /* bits: as given to wr_port_hold() */
    uint32_t snd_nxt, rcv_nxt;
    uint32_t ts_recent;
    uint16_t oow_tick; /* last ACK to an unacceptable segment, 16 ms; 0: none */
    uint8_t ds;
    bool ts_ok;
    weir_time expires_at;
    struct wr_list queue; /* struct wr_tcp.tw_queue, first to expire first */
};
static_assert(sizeof(struct wr_tw) <= 96, "TIME-WAIT records are many");

/* ---- SYN cookies: tcp_cookie ------------------------------------------------------------------------- */

struct wr_cookies {
    uint8_t secret
        [32]; /* the keys of minutes come from the first half, masks of tuples from the second */
    uint8_t key[2][16]; /* of `minute` and of the one before */
    uint64_t minute;
    weir_time ahead; /* of a group's common time over ours */
    bool shared;     /* others have the secret: their cookies may come here */
};

/* ---- what is remembered of peers: tcp_metrics --------------------------------------------------------- */

enum { WR_METRICS_MAX = 1024 };

struct wr_metric {
    struct wr_hash_node node;
    struct wr_list used; /* struct wr_metrics.used */
    struct weir_addr local, remote;
    weir_time syn_lost_at; /* the last SYN with data that got no proper answer */
    uint16_t mss;          /* from its SYN-ACK; 0: not known */
    uint8_t syn_losses;    /* in a row */
    uint8_t cookie_len;    /* of its fast open cookie; 0: none */
    bool cookie_exp;       /* the cookie came in the experimental option */
    uint8_t try_exp; /* 1: ask with the experimental option next; 2: that was no help either */
    bool proven;     /* it has answered: its address is no invention */
    uint8_t cookie[W_TCPOPT_COOKIE_MAX];
};

struct wr_metrics {
    struct wr_hash table;
    struct wr_list used; /* longest ago first */
};

/* ---- memory of all streams: tcp_mem ------------------------------------------------------------------ */

struct wr_mem {
    uint64_t held; /* bytes allocated by all rings */
    bool pressed;
    struct wr_list waiting; /* struct wr_tx.mem_wait: a send was refused */
};

/* ---- all of TCP -------------------------------------------------------------------------------------- */

struct wr_tcp {
    struct wr_hash flows;
    struct wr_hash listeners;
    struct wr_list listener_list;
    struct wr_pool tcbs, syns, tws;
    struct wr_mem mem;
    int64_t challenge_second; /* in which challenges_left counts */
    uint32_t challenges_left; /* RFC 5961 7, of the whole host */
    struct wr_cc_list cc;
    struct wr_list neigh_wait;              /* struct tcb.out: their next hop is being asked for */
    struct wr_list syn_wait[WR_SYN_LEVELS]; /* each in the order of resend_at */
    struct wr_timer syn_timer;
    struct wr_list tw_queue;
    struct wr_timer tw_timer;
    uint8_t isn_key[16], ts_key[16];
    struct wr_cookies cookies;
    struct wr_metrics metrics;
    struct wr_fastopen_keys fastopen_keys;
    weir_time fastopen_off_at; /* when the client side was last turned off for all */
    uint8_t fastopen_offs;     /* how often, since it last worked */
    uint32_t isn_epoch;        /* the ISN clock when the stack was made */
    uint32_t n_orphans, next_listener_id;
    uint64_t prio; /* state of the treaps' priorities */
};

/* ---- tcp_tcb ------------------------------------------------------------------------------------------ */

/* A connection in state CLOSE, in the flow table, with opts and defaults. NULL: no memory, or tuple taken
 * by the caller's fault. */
struct tcb *wr_tcb_new(struct weir_stack *stack, const struct wr_tuple *tuple,
                       const struct wr_tcp_opts *opts, weir_time now);
/* The sending side's state, made when it is not there. NULL: out of memory. */
struct wr_tx *wr_tcb_tx(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* CLOSED: out of the flow table, lists and timers; send side freed; an orphan is freed by wr_tcb_settle.
 * error (positive errno, or 0) is left to the socket. */
void wr_tcb_done(struct weir_stack *stack, struct tcb *tcb, int error);
/* The end of every entry point that touched tcb; it may be freed here. */
void wr_tcb_settle(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* Bytes of the flight that are thought to be in the network, RFC 6675 3 `pipe`. */
uint32_t wr_tcb_pipe(const struct tcb *tcb);
/* Sequence number of the first byte in rcv_ring: the next that the user reads. */
static inline uint32_t wr_tcb_copied_seq(const struct tcb *tcb)
{
    return tcb->rcv_nxt - tcb->rcv_ring.len - (tcb->fin_received ? 1 : 0);
}
/* Sequence number of the first byte in snd_ring. */
static inline uint32_t wr_tcb_snd_head(const struct tcb *tcb)
{
    return tcb->write_seq - tcb->snd_ring.len;
}
/* Linux's rule for POLLOUT: a third of the send buffer is free. */
static inline bool wr_tcb_writable(const struct tcb *tcb)
{
    uint32_t queued = tcb->snd_ring.len, most = tcb->opts.sndbuf;
    return queued < most && most - queued >= queued / 2;
}
/* TCP_NOTSENT_LOWAT, or the host's. */
static inline uint32_t wr_tcb_notsent_lowat(const struct weir_stack *stack, const struct tcb *tcb)
{
    return tcb->opts.notsent_lowat != 0 ? tcb->opts.notsent_lowat
                                        : (uint32_t)stack->tunables.tcp_notsent_lowat;
}
/* Bytes queued and never sent, without the FIN. */
static inline uint32_t wr_tcb_unsent(const struct tcb *tcb)
{
    return seq_lt(tcb->snd_nxt, tcb->write_seq) ? tcb->write_seq - tcb->snd_nxt : 0;
}
static inline bool wr_tcb_is_v4(const struct tcb *tcb)
{
    return weir_addr_is_v4(&tcb->flow.tuple.remote);
}
/* Something of ours is not acknowledged. */
static inline bool wr_tcb_in_flight(const struct tcb *tcb)
{
    return tcb->snd_una != tcb->snd_nxt;
}
/* Reads and writes before its handshake ends: a passive fast open. */
static inline bool wr_fastopen_pending(const struct tcb *tcb)
{
    return tcb->fo != NULL && tcb->fo->pending;
}
/* In the handshake, and nothing but the handshake may be sent or read. */
static inline bool wr_tcb_opening(const struct tcb *tcb)
{
    return tcb->state == WEIR_TCP_SYN_SENT ||
           (tcb->state == WEIR_TCP_SYN_RECV && !wr_fastopen_pending(tcb));
}
static inline void wr_tcb_touch(struct weir_stack *stack, struct tcb *tcb)
{
    wr_ready_touch(stack, tcb->ready);
}
/* Asserts what must hold of every connection between two entry points. */
void wr_tcb_check(const struct weir_stack *stack, const struct tcb *tcb);

/* ---- tcp_demux ---------------------------------------------------------------------------------------- */

uint64_t wr_demux_hash(const struct weir_stack *stack, const struct wr_tuple *tuple);
/* The flow of a tuple, or NULL. */
struct wr_flow *wr_demux_find(const struct weir_stack *stack, const struct wr_tuple *tuple,
                              uint64_t hash);
bool wr_demux_insert(struct weir_stack *stack, struct wr_flow *flow, enum wr_flow_kind kind,
                     const struct wr_tuple *tuple);
void wr_demux_remove(struct weir_stack *stack, struct wr_flow *flow);
/* The listener for a SYN to tuple->local: the most specific; of a reuseport group one by hash. */
struct wr_listener *wr_demux_listener(const struct weir_stack *stack, const struct wr_tuple *tuple,
                                      uint64_t hash);
bool wr_demux_add_listener(struct weir_stack *stack, struct wr_listener *listener);
void wr_demux_remove_listener(struct weir_stack *stack, struct wr_listener *listener);

/* ---- tcp_input ---------------------------------------------------------------------------------------- */

/* Segment for a connection in any state; settles nothing. */
void wr_input_tcb(struct weir_stack *stack, struct tcb *tcb, struct seg *seg, weir_time now);
/* The handshake is done (snd_una, rcv_nxt, options are set): ESTABLISHED, or FIN-WAIT-1 when the user has
 * closed meanwhile. wnd: the peer's, scaled. */
void wr_input_establish(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                        uint32_t wnd, weir_time now);
/* The part of it that a fast open does before: buffers, windows, segment size, delayed ACKs. */
void wr_input_begin(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* And the other part. */
void wr_input_opened(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg, uint32_t wnd,
                     weir_time now);
/* Options of a peer's SYN into the connection; what we did not offer counts for nothing. */
void wr_input_syn_options(struct tcb *tcb, const struct seg *seg, weir_time now);
/* A challenge ACK unless one was sent less than tcp_invalid_ratelimit ago, RFC 5961 7. */
void wr_input_challenge(struct weir_stack *stack, struct tcb *tcb, weir_time now);

/* ---- tcp_listen --------------------------------------------------------------------------------------- */

/* RFC 9293 3.10.7.2. `iss_above` not 0: the ISN must be this (a SYN that reuses a TIME-WAIT record). */
void wr_listen_input(struct weir_stack *stack, struct wr_listener *listener, struct seg *seg,
                     const uint32_t *iss, weir_time now);
/* A segment for an entry of the SYN queue: RFC 9293 3.10.7.4 in SYN-RECEIVED. */
void wr_listen_syn_input(struct weir_stack *stack, struct wr_syn *syn, struct seg *seg,
                         weir_time now);
/* An ICMP error about the SYN-ACK: the entry goes without a word, as on Linux. */
void wr_listen_syn_unreachable(struct weir_stack *stack, struct wr_syn *syn);
/* The connection leaves its listener's accept queue because it is freed. */
void wr_listen_forget(struct tcb *tcb);
/* First window and shift to announce, from the receive buffer. */
void wr_listen_window(const struct weir_stack *stack, const struct wr_tcp_opts *opts, uint32_t mss,
                      bool wscale_ok, uint32_t *wnd, uint32_t *clamp, uint8_t *wscale);
/* The MSS that we announce to a peer, RFC 9293 3.7.1. */
uint16_t wr_listen_adv_mss(struct weir_stack *stack, const struct wr_path *path,
                           const struct weir_addr *remote, const struct wr_tcp_opts *opts);

/* ---- tcp_cookie --------------------------------------------------------------------------------------- */

void wr_cookie_init(struct weir_stack *stack);
/* The ISS that remembers a SYN, RFC 4987 3.6. */
uint32_t wr_cookie_make(struct weir_stack *stack, const struct wr_tuple *tuple, uint32_t irs,
                        uint16_t peer_mss, weir_time now);
/* Is `iss` a cookie that we made for this SYN, this minute or the last? Then *peer_mss is what it holds. */
bool wr_cookie_check(struct weir_stack *stack, const struct wr_tuple *tuple, uint32_t irs,
                     uint32_t iss, uint16_t *peer_mss, weir_time now);
/* The timestamp of the SYN-ACK, which holds the options of *syn. */
uint32_t wr_cookie_ts(const struct weir_stack *stack, const struct wr_syn *syn, weir_time now);
/* Options of *syn from the timestamp that its ACK echoes. False: they hold what is switched off here. */
bool wr_cookie_options(const struct weir_stack *stack, const struct w_tcpopt *opt,
                       struct wr_syn *syn);
/* What a group's common time adds to the timestamp clock; 0: no group. */
static inline uint32_t wr_cookie_ts_shift(const struct weir_stack *stack)
{
    return (uint32_t)((uint64_t)(stack->tcp->cookies.ahead / WEIR_MS));
}

/* ---- tcp_fastopen: RFC 7413 ------------------------------------------------------------------------- */

void wr_fastopen_init(struct weir_stack *stack);
/* TCP_FASTOPEN_KEY: one key of 16 bytes, or two. WEIR_EINVAL for another length. */
int wr_fastopen_read_keys(struct wr_fastopen_keys *keys, const void *value, size_t len);

/* A SYN for a listener: does it open fast? *reply (zeroed before) gets the cookie to send, if any. */
bool wr_fastopen_syn(struct weir_stack *stack, struct wr_listener *listener, const struct seg *seg,
                     struct w_tcpopt *reply, weir_time now);
/* State of a fast open; NULL: out of memory. The tcb that it is put into owns it. */
struct wr_fastopen *wr_fastopen_new(struct weir_stack *stack);
/* Starts such a connection, whose tcb->fo is there: takes the SYN's data, wants the SYN-ACK. */
void wr_fastopen_child(struct weir_stack *stack, struct tcb *tcb, struct seg *seg,
                       const struct w_tcpopt *reply, weir_time now);
/* An ACK while it is pending, RFC 9293 3.10.7.4 fifth. False: not acceptable, and answered. */
bool wr_fastopen_acked(struct weir_stack *stack, struct tcb *tcb, struct seg *seg, weir_time now);
/* The peer reset it. */
void wr_fastopen_reset(struct weir_stack *stack, struct tcb *tcb, weir_time now);
void wr_fastopen_unlisten(struct weir_stack *stack, struct wr_listener *listener);

/* net.ipv4.tcp_fastopen allows it to clients. */
bool wr_fastopen_client_on(const struct weir_stack *stack);
/* TCP_FASTOPEN_CONNECT: may connect() return before there is a SYN? */
bool wr_fastopen_defers(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* Sends the SYN with as much data as it may carry. Returns the bytes taken, or WEIR_EINPROGRESS when none
 * was and the SYN is on its way, or WEIR_ENOBUFS. */
ptrdiff_t wr_fastopen_send(struct weir_stack *stack, struct tcb *tcb, const void *data, size_t len,
                           weir_time now);
/* The option of a SYN or SYN-ACK, once. */
void wr_fastopen_syn_options(struct tcb *tcb, struct w_tcpopt *opt);
/* An acceptable SYN-ACK, or the ACK of a simultaneous open: what it covers leaves the ring. */
void wr_fastopen_synack(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg);
/* What it did not cover goes now; after the connection is open. */
void wr_fastopen_send_left(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* The connection fails with its SYN unanswered. */
void wr_fastopen_unanswered(struct weir_stack *stack, const struct tcb *tcb);
/* The path does not take the SYN with data: a plain one goes. False: that was not it. */
bool wr_fastopen_too_big(struct weir_stack *stack, struct tcb *tcb, weir_time now);

/* Signs of a middlebox that drops what comes after: the n-th time-out in a row (from 0), `last` before the
 * connection is given up; a RST out of order; the end of the connection. */
void wr_fastopen_timed_out(struct weir_stack *stack, struct tcb *tcb, unsigned timeouts, bool last,
                           weir_time now);
void wr_fastopen_odd_reset(struct weir_stack *stack, struct tcb *tcb, weir_time now);
void wr_fastopen_done(struct weir_stack *stack, struct tcb *tcb, weir_time now);
void wr_fastopen_free(struct weir_stack *stack, struct tcb *tcb);

/* ---- tcp_user ------------------------------------------------------------------------------------------ */

/* The SYN of an active open leaves, with tcb->fo->syn_data bytes of the ring. */
void wr_user_send_syn(struct weir_stack *stack, struct tcb *tcb, weir_time now);

/* ---- tcp_metrics -------------------------------------------------------------------------------------- */

void wr_metrics_init(struct weir_stack *stack);
void wr_metrics_fini(struct weir_stack *stack);
/* The record of a tuple's addresses, or NULL. */
struct wr_metric *wr_metrics_find(const struct weir_stack *stack, const struct wr_tuple *tuple);
/* The same, made when it is not there; NULL: out of memory. */
struct wr_metric *wr_metrics_get(struct weir_stack *stack, const struct wr_tuple *tuple);
/* The connection ends: its peer was alive if there is a round-trip time. Noted while SYN cookies are off. */
void wr_metrics_alive(struct weir_stack *stack, const struct tcb *tcb);
bool wr_metrics_proven(const struct weir_stack *stack, const struct wr_tuple *tuple);

/* ---- tcp_isn ------------------------------------------------------------------------------------------ */

/* RFC 6528: 64 ns clock plus keyed hash of the 4-tuple. */
uint32_t wr_isn(const struct weir_stack *stack, const struct wr_tuple *tuple, weir_time now);
/* Offset of the timestamp clock towards this peer, RFC 7323 7.1. */
uint32_t wr_isn_ts_offset(const struct weir_stack *stack, const struct wr_tuple *tuple);
/* The timestamp clock: 1 ms, RFC 7323 5.4. */
static inline uint32_t wr_ts_now(uint32_t offset, weir_time now)
{
    return (uint32_t)((uint64_t)(now / WEIR_MS)) + offset;
}

/* ---- tcp_ack ------------------------------------------------------------------------------------------ */

/* What to do with the rest of the segment. */
enum wr_ack_verdict {
    WR_ACK_FINE,
    WR_ACK_DROP /* it was answered or dropped, and counted */
};
/* RFC 9293 3.10.7.4 fifth, and RFC 5961 5: SND.UNA, window, RTT, loss, congestion. */
enum wr_ack_verdict wr_ack_input(struct weir_stack *stack, struct tcb *tcb, struct seg *seg,
                                 weir_time now);
/* Window of a segment, scaled. */
static inline uint32_t wr_ack_window(const struct tcb *tcb, const struct seg *seg)
{
    return (uint32_t)seg->wnd << ((seg->flags & W_TCP_SYN) ? 0 : tcb->snd_wscale);
}

/* ---- tcp_reasm ---------------------------------------------------------------------------------------- */

/* RFC 9293 3.10.7.4 seventh: takes segment text in, in order or out of it, and notes what to acknowledge.
 * True when the peer's FIN was reached. */
bool wr_reasm_input(struct weir_stack *stack, struct tcb *tcb, struct seg *seg, weir_time now);
/* RFC 9293 3.10.7.4 sixth. */
void wr_reasm_urgent(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg);
/* SACK blocks to send: a D-SACK first (RFC 2883), then the most recent (RFC 2018 4). Takes the D-SACK. */
unsigned wr_reasm_sacks(struct tcb *tcb, struct w_sack *out, unsigned max);
void wr_reasm_dsack(struct weir_stack *stack, struct tcb *tcb, uint32_t start, uint32_t end);
/* Bytes of window left as last announced. */
static inline uint32_t wr_reasm_wnd(const struct tcb *tcb)
{
    int32_t wnd = seq_diff(tcb->rcv_wup + tcb->rcv_wnd, tcb->rcv_nxt);
    return wnd > 0 ? (uint32_t)wnd : 0;
}
/* The window that could be announced now; never touches state. */
uint32_t wr_reasm_window_free(const struct tcb *tcb);
/* Decides the window to announce, never to the left of the last (RFC 9293 3.8.6); the header field. */
uint16_t wr_reasm_window_announce(struct tcb *tcb);
/* After the user has read `copied` bytes: window update or pending ACK, buffer auto-tuning. */
void wr_reasm_read(struct weir_stack *stack, struct tcb *tcb, uint32_t copied, weir_time now);
/* The data of a received segment grew the trust in the receive window. */
void wr_reasm_grow(struct tcb *tcb, uint32_t len);
void wr_reasm_free(struct weir_stack *stack, struct tcb *tcb);

/* ---- tcp_rcvbuf ---------------------------------------------------------------------------------------- */

/* Data was taken in. */
void wr_rcvbuf_data_received(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                             weir_time now);
/* The user has read. */
void wr_rcvbuf_read(const struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* Bytes that a reader is taken to read in the first round trip. */
uint32_t wr_rcvbuf_first_space(const struct tcb *tcb);
void wr_rcvbuf_free(struct weir_stack *stack, struct tcb *tcb);

/* ---- tcp_mem ------------------------------------------------------------------------------------------- */

/* What the connection's rings hold is counted anew; those who wait for memory are woken when there is some. */
void wr_mem_settle(struct weir_stack *stack, struct tcb *tcb);
/* Bytes that may be queued for sending. If 0, its socket is touched when it is worth trying again. Needs tcb->tx. */
uint32_t wr_mem_send_room(struct weir_stack *stack, struct tcb *tcb);
/* May `len` received bytes be taken in? What is out of order may be given up for it; a refusal is a counted drop. */
bool wr_mem_may_receive(struct weir_stack *stack, struct tcb *tcb, uint32_t len, bool in_order);
/* Memory is so short that this orphan, still sending, has to go. */
bool wr_mem_resets_orphan(const struct weir_stack *stack, const struct tcb *tcb);
static inline bool wr_mem_is_pressed(const struct weir_stack *stack)
{
    return stack->tcp->mem.pressed;
}

/* ---- tcp_delack --------------------------------------------------------------------------------------- */

void wr_delack_init(struct tcb *tcb);
/* Segment with data came in. */
void wr_delack_data_received(struct tcb *tcb, const struct seg *seg, weir_time now);
/* Acknowledge now or later? At the end of a segment's processing. */
void wr_delack_check(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* The ACK of a SYN-ACK waits for data, but no longer than the longest delay (Linux: TCP_DEFER_ACCEPT of a
 * client). */
void wr_delack_defer(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* An ACK left, alone or on data. */
void wr_delack_ack_sent(struct tcb *tcb);
/* Data left: it may be an answer. */
void wr_delack_data_sent(struct tcb *tcb, weir_time now);
void wr_delack_quick(struct tcb *tcb, unsigned most);
void wr_delack_enter_quick(struct tcb *tcb);
/* delack_at has come. */
void wr_delack_timeout(struct weir_stack *stack, struct tcb *tcb, weir_time now);

/* ---- tcp_output --------------------------------------------------------------------------------------- */

/* There may be something to send: put it on its interface's list. */
void wr_output_kick(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* An ACK must go now; `dup` asks for one of its own even if one is wanted already. */
void wr_output_want_ack(struct weir_stack *stack, struct tcb *tcb, bool dup, weir_time now);
void wr_output_unlink(struct tcb *tcb);
/* Path and path MTU as they are now; smss follows. False: no way there (error in soft_error). */
bool wr_output_sync_path(struct weir_stack *stack, struct tcb *tcb);
void wr_output_sync_mss(struct weir_stack *stack, struct tcb *tcb);
/* Payload of a full segment of now that carries so many SACK blocks: smss less their room, and no more than half
 * of the largest window that the peer has offered. */
uint32_t wr_output_mss(const struct tcb *tcb, unsigned n_sack);
/* New data that window and cwnd let go now, in whole segments. */
uint32_t wr_output_allowance(const struct tcb *tcb);

/* ---- tcp_segment: header and options ------------------------------------------------------------------- */

struct wr_segment {
    uint32_t seq;
    uint32_t len; /* of data */
    uint32_t mss; /* cut into pieces of this */
    uint16_t flags;
    bool fresh; /* data that was never sent */
    bool urgent;
    bool probe; /* of the path MTU */
    unsigned n_sack;
    struct w_sack sack[W_TCPOPT_SACKS];
};
/* Writes the segment into *out; the payload is lent from the send ring. The length of the whole frame. */
size_t wr_segment_build(struct weir_stack *stack, struct tcb *tcb, struct wr_segment *s,
                        struct weir_out *out, weir_time now);
/* RST for a connection: seq snd_nxt, ack rcv_nxt (RFC 9293 3.10.5). */
void wr_segment_reset(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* RST that answers a segment, RFC 9293 3.5.2. Never answers a RST. */
void wr_segment_reset_reply(struct weir_stack *stack, const struct seg *seg, weir_time now);

/* A segment without data and without a tcb: SYN-ACKs, ACKs of TIME-WAIT, RSTs. */
struct wr_bare {
    const struct wr_tuple *tuple;
    const struct wr_path *path; /* or NULL */
    uint64_t hash;
    uint32_t seq, ack;
    uint16_t flags, wnd;
    uint8_t hop_limit, ds;
    const struct w_tcpopt *opt; /* NULL: none */
};
int wr_segment_bare(struct weir_stack *stack, const struct wr_bare *bare, weir_time now);

/* ---- tcp_push: how the user wrote ------------------------------------------------------------------------ */

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

/* ---- tcp_chrono: each needs tcb->tx ------------------------------------------------------------------------ */

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

/* ---- tcp_mtup: RFC 4821; each needs tcb->tx ----------------------------------------------------------------- */

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

/* ---- tcp_sendq ---------------------------------------------------------------------------------------- */

void wr_sendq_init(struct wr_sendq *q);
void wr_sendq_clear(struct weir_stack *stack, struct wr_sendq *q);
/* New data [start, end) left, behind all there is. False: out of memory and nothing to merge with. */
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
bool wr_sendq_check(const struct wr_sendq *q, uint32_t una, uint32_t nxt);

/* ---- tcp_rtt ------------------------------------------------------------------------------------------ */

void wr_rtt_init(struct wr_rtt *rtt);
/* A sample (>= 0). una, nxt: SND.UNA and SND.NXT, which tell windows of data apart. */
void wr_rtt_sample(struct wr_rtt *rtt, weir_time sample, uint32_t una, uint32_t nxt,
                   const struct wr_tunables *tunables, weir_time now);
/* RTO without backoff: srtt + var, or the initial one. */
weir_time wr_rtt_base_rto(const struct wr_rtt *rtt, const struct wr_tunables *tunables);
/* RFC 6298 5.5 */
void wr_rtt_backoff(struct wr_rtt *rtt, const struct wr_tunables *tunables);
void wr_rtt_reset_backoff(struct wr_rtt *rtt, const struct wr_tunables *tunables);

/* ---- tcp_sack ----------------------------------------------------------------------------------------- */

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
uint32_t wr_sack_mark_lost(struct tcb *tcb);

/* ---- tcp_rack ----------------------------------------------------------------------------------------- */

void wr_rack_init(struct wr_rack *rack, uint32_t una, const struct wr_tunables *tunables);
/* Does RACK find the losses of this connection? Else RFC 6675, or without SACK duplicate ACKs. */
bool wr_rack_is_on(const struct weir_stack *stack, const struct tcb *tcb);
/* RFC 8985 6.2 steps 1 to 4: what an ACK has told. prior_fack: high_sacked before it. */
void wr_rack_acked(struct weir_stack *stack, struct tcb *tcb, const struct wr_delivery *d,
                   const struct wr_sack_result *sack, uint32_t prior_fack, weir_time now);
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

/* ---- tcp_tlp ------------------------------------------------------------------------------------------ */

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

/* ---- tcp_recovery ------------------------------------------------------------------------------------- */

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
void wr_recovery_repaired(struct tcb *tcb, weir_time now);
/* The retransmission timer fired. */
void wr_recovery_timeout(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* What is marked lost is sent again, and no congestion is seen in its loss. */
void wr_recovery_resend(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* The path MTU fell: what was sent in larger segments must go again (RFC 1191 6.4). */
void wr_recovery_too_big(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* What may be retransmitted now beyond the lost list, RFC 6675 4 NextSeg (3) and (4). */
struct wr_sent *wr_recovery_next(struct weir_stack *stack, struct tcb *tcb);

/* ---- tcp_prr ------------------------------------------------------------------------------------------ */

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

/* ---- tcp_undo ----------------------------------------------------------------------------------------- */

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

/* ---- tcp_ecn, RFC 3168 6.1 ------------------------------------------------------------------------------ */

/* Before the first SYN: shall it ask for ECN? */
void wr_ecn_ask(const struct weir_stack *stack, struct tcb *tcb);
/* Flags of our SYN (SYN-SENT) or SYN-ACK (SYN-RECEIVED). */
uint16_t wr_ecn_syn_flags(const struct weir_stack *stack, const struct tcb *tcb);
/* The peer's SYN or SYN-ACK, in SYN-SENT: does it agree? */
void wr_ecn_syn_received(struct tcb *tcb, const struct seg *seg);
/* Does the SYN ask for ECN, and a listener with these options agree? */
bool wr_ecn_accepts(const struct weir_stack *stack, const struct wr_tcp_opts *opts,
                    const struct seg *seg);
/* A segment with data, in the window; before it is taken in. */
void wr_ecn_data_received(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                          weir_time now);
/* ECE on this ACK counts? */
static inline bool wr_ecn_echoed(const struct tcb *tcb, const struct seg *seg)
{
    return (tcb->ecn & WR_ECN_OK) && (seg->flags & (W_TCP_ECE | W_TCP_SYN)) == W_TCP_ECE;
}
/* A segment without SYN leaves: its flags, and the ECN field. fresh: it carries data for the first time. */
static inline uint8_t wr_ecn_sent(struct tcb *tcb, bool fresh, uint16_t *flags)
{
    if (!(tcb->ecn & WR_ECN_OK))
        return 0;
    if (tcb->ecn & WR_ECN_ECHO)
        *flags |= W_TCP_ECE;
    if (!fresh)
        return 0;
    if (tcb->ecn & WR_ECN_REDUCED)
        *flags |= W_TCP_CWR;
    tcb->ecn &= (uint8_t)~WR_ECN_REDUCED;
    return 2; /* ECT(0) */
}

/* ---- tcp_rate ------------------------------------------------------------------------------------------- */

/* `sent` left just now, for the first time or again; snd_nxt and the sums count it already. */
void wr_rate_sent(struct tcb *tcb, struct wr_sent *sent, weir_time now);
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
/* What is in flight now, and what is sent until it has arrived, says nothing of the path. */
void wr_rate_limit(struct tcb *tcb);
/* Is it the application that leaves cwnd unused? Before new data is queued, at ACKs and time-outs. */
void wr_rate_check_app_limited(struct tcb *tcb);
/* Bytes per second of the latest sample; 0: none. */
uint64_t wr_rate_delivery_rate(const struct wr_rate *rate);

/* ---- tcp_pace ------------------------------------------------------------------------------------------- */

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
/* May data not leave yet? Then the timer brings the connection back at pace.next_at. */
static inline bool wr_pace_holds(struct wr_tx *tx, weir_time now)
{
    struct wr_pace *pace = &tx->pace;

    if (!pace->on)
        return false;
    if (pace->next_at <= now)
        pace->left = pace->burst;
    return pace->waiting = pace->left < tx->cc.smss;
}

/* ---- tcp_cwnd ------------------------------------------------------------------------------------------- */

/* The ACK `ev` was taken in and judged; `was`: ca_state before it. Tells congestion control. */
void wr_cwnd_acked(struct weir_stack *stack, struct tcb *tcb, const struct wr_ack_event *ev,
                   uint8_t was, weir_time now);
/* New data left, or (`denied`) could not because cwnd is used up. */
void wr_cwnd_used(struct weir_stack *stack, struct tcb *tcb, bool denied, weir_time now);
/* New data is about to leave, and nothing is in flight: RFC 5681 4.1, RFC 2861. */
void wr_cwnd_restart(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* Does the algorithm set cwnd in recovery itself? Then no PRR, and no reduction by the stack. */
static inline bool wr_cwnd_is_owned(const struct wr_tx *tx)
{
    return (tx->cc_ops->flags & WEIR_CC_OWNS_CWND) != 0;
}

/* ---- tcp_stamp: SO_TIMESTAMPING of sends ---------------------------------------------------------------- */

/* A send has taken data up to write_seq. */
void wr_stamp_owe(struct weir_stack *stack, struct tcb *tcb);
/* While tcb->stamping: snd_nxt has moved on, and snd_una. */
void wr_stamp_sent(struct weir_stack *stack, struct tcb *tcb, weir_time now);
void wr_stamp_acked(struct weir_stack *stack, struct tcb *tcb, weir_time now);

/* ---- tcp_timers: named for what happened ---------------------------------------------------------------- */

void wr_timers_data_sent(struct weir_stack *stack, struct tcb *tcb, bool rexmit, weir_time now);
void wr_timers_syn_sent(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* SND.UNA moved, or the window opened or closed. */
void wr_timers_acked(struct weir_stack *stack, struct tcb *tcb, bool progress, weir_time now);
/* A tail loss probe left: only the retransmission timer follows it. */
void wr_timers_probe_sent(struct tcb *tcb, weir_time now);
/* After losses were judged: which timer watches over the flight (RFC 8985 8), from when. */
void wr_timers_judged(struct weir_stack *stack, struct tcb *tcb, bool progress, weir_time now);
/* The head of the flight is SACKED though not acknowledged: the peer may have reneged. */
void wr_timers_reneging(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* A router says that the segment at `seq` could not be delivered, RFC 6069: if that is the head of the flight, its
 * time-out told of no congestion, and one doubling is taken back. */
void wr_timers_unreachable(struct weir_stack *stack, struct tcb *tcb, uint32_t seq, weir_time now);
/* Recovery after a time-out at `since` is over (0: there was none): its time is counted for TCP_INFO. */
void wr_timers_rto_recovered(struct tcb *tcb, weir_time since, weir_time now);
/* Unsent data cannot go, and nothing is in flight that would bring an ACK. */
void wr_timers_held(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* No route, no neighbour, no memory: try again after an RTO. */
void wr_timers_blocked(struct weir_stack *stack, struct tcb *tcb, weir_time now);
void wr_timers_delay_ack(struct weir_stack *stack, struct tcb *tcb, weir_time at);
void wr_timers_keepalive(struct weir_stack *stack, struct tcb *tcb, weir_time now);
void wr_timers_fin_wait2(struct weir_stack *stack, struct tcb *tcb, weir_time now);
void wr_timers_stop(struct weir_stack *stack, struct tcb *tcb);
/* Arms the timer for the earliest deadline. */
void wr_timers_update(struct weir_stack *stack, struct tcb *tcb);

/* ---- tcp_timewait --------------------------------------------------------------------------------------- */

/* The connection goes to TIME-WAIT: a record takes its place, the tcb is done. */
void wr_tw_enter(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* A segment for the record. True: it is a SYN that may open a new connection; the record is gone and *iss
 * holds the ISN to use. */
bool wr_tw_input(struct weir_stack *stack, struct wr_tw *tw, struct seg *seg, uint32_t *iss,
                 weir_time now);
void wr_tw_free(struct weir_stack *stack, struct wr_tw *tw);
/* May an active open take the record's place (tcp_tw_reuse)? */
bool wr_tw_reusable(const struct weir_stack *stack, const struct wr_tw *tw, weir_time now);

/* ---- tcp_close ------------------------------------------------------------------------------------------ */

/* The user will send no more: FIN after all queued data. */
void wr_close_send(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* Our FIN was acknowledged. */
void wr_close_fin_acked(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* The peer's FIN was reached, RFC 9293 3.10.7.4 eighth. */
void wr_close_fin_received(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* A valid RST came, RFC 9293 3.10.7.4 second. */
void wr_close_reset_received(struct weir_stack *stack, struct tcb *tcb);
/* Are there too many orphans (tcp_max_orphans, tcp_mem), and this is one? Then it is over, with a RST if say_reset or
 * if the peer is likely to wait for one. */
bool wr_close_out_of_resources(struct weir_stack *stack, struct tcb *tcb, bool say_reset,
                               weir_time now);
/* The connection fails by a time-out: its soft error, or ETIMEDOUT. */
void wr_close_timed_out(struct weir_stack *stack, struct tcb *tcb);

/* ---- tcp_cc --------------------------------------------------------------------------------------------- */

/* tx is new: its algorithm, the initial window. */
void wr_cc_start(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* Does the algorithm of such a socket need ECN? */
bool wr_cc_wants_ecn(const struct weir_stack *stack, const struct wr_tcp_opts *opts);
/* TCP_CONGESTION, SO_MAX_PACING_RATE may have changed. */
void wr_cc_changed(struct weir_stack *stack, struct tcb *tcb, weir_time now);

#endif
