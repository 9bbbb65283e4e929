/* SPDX-License-Identifier: MIT */
/*
 * TCP, RFC 9293: the map of the folder and the theory; the connection, and what both of its sides need.
 * tcp_sender.h has what only a sender has, tcp_open.h how connections begin, tcp_host.h what all share.
 *
 * A segment's way in
 *
 *     wr_tcp_input (tcp_input)     parse, verify, find whom it is for
 *       tcp_demux                  4-tuple -> struct tcb, SYN entry or TIME-WAIT record; else a listener
 *       tcp_listen                 LISTEN, SYN-RECEIVED of passive opens, accept queue
 *         tcp_synq                 what is kept of a SYN until then, and the SYN-ACK again
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
 * have to send *now*, builds one segment (tcp_segment; as large as the link cuts) and lends its
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
 *     at rest   its socket and its peer have said nothing for a while: a small struct wr_rest (tcp_rest).
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
#include "base/records.h"
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
#define WR_TCP_NEAR_SPACE    262144u /* tcp_rcvbuf */
#define WR_TCP_IW_SEGMENTS   10u     /* RFC 6928 */
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

enum wr_flow_kind { WR_FLOW_TCB, WR_FLOW_SYN, WR_FLOW_TIMEWAIT, WR_FLOW_REST };

/* What they have in common, behind the head of the table that they are in. A struct tcb has its tuple beside it; the
 * others, which are many when it comes to the worst, are records, and have only the addresses, in WR_ADDRS_V4
 * or WR_ADDRS_V6 bytes: wr_flow_tuple() tells. */
struct wr_flow {
    uint8_t kind : 2; /* enum wr_flow_kind */
    bool v4 : 1;
    /* Of TIME-WAIT, and else padding: as given to wr_port_hold(), were timestamps negotiated, the DS field. */
    uint8_t reuse : 2;
    bool ts_ok : 1;
    uint8_t ds;
    uint16_t wnd; /* of a SYN entry: the window offered; of TIME-WAIT: the field of its ACKs */
    uint16_t lport, rport;
};
static_assert(sizeof(struct wr_flow) == 8, "records of a flood begin with this");

enum { WR_ADDRS_V4 = 8, WR_ADDRS_V6 = 32 };

/* ---- a segment that arrived --------------------------------------------------------------------- */

struct seg {
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
    const struct wr_netif *netif;   /* it came in here */
    const struct weir_frame *frame; /* in this, or what is known of it: all but data and len */
    const uint8_t *l3;              /* its IP header */
    uint8_t ds;                     /* DS field with ECN bits */
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

void wr_rtt_init(struct wr_rtt *rtt);
/* A sample (>= 0). una, nxt: SND.UNA and SND.NXT, which tell windows of data apart. */
void wr_rtt_sample(struct wr_rtt *rtt, weir_time sample, uint32_t una, uint32_t nxt,
                   const struct wr_tunables *tunables, weir_time now);
/* RTO without backoff: srtt + var, or the initial one. */
weir_time wr_rtt_base_rto(const struct wr_rtt *rtt, const struct wr_tunables *tunables);
/* RFC 6298 5.5 */
void wr_rtt_backoff(struct wr_rtt *rtt, const struct wr_tunables *tunables);
void wr_rtt_reset_backoff(struct wr_rtt *rtt, const struct wr_tunables *tunables);

/* ---- when to acknowledge: tcp_delack -------------------------------------------------------------- */

enum {
    WR_ACK_SCHED = 1,   /* something received is not acknowledged */
    WR_ACK_PUSHED = 2,  /* a short segment was among it */
    WR_ACK_PUSHED2 = 4, /* a second one */
    WR_ACK_OVERDUE = 8, /* the timer has fired */
};

struct wr_delack {
    weir_time ato;     /* 0: nothing received yet */
    weir_time last_at; /* when data came last */
    uint32_t rcv_mss;  /* estimate of the peer's segment size */
    uint16_t last_len;
    uint8_t quick;       /* ACKs to send at once */
    uint8_t pending : 4; /* WR_ACK_* */
    bool pingpong : 1;   /* data flows both ways: an ACK can ride on it */
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

/* ---- size of the receive buffer: tcp_rcvbuf ----------------------------------------------------------- */

struct wr_rx {
    weir_time rtt;                   /* as seen by the receiver; 0: not known */
    weir_time at;                    /* when the round trip under way began */
    uint32_t seq;                    /* copied_seq then */
    uint32_t echo;                   /* the timestamp that gave the last sample */
    uint32_t space;                  /* bytes read in the best one before */
    uint32_t window_end;             /* of what was announced at window_at; 0 there: never */
    uint32_t shortest_ns, latest_ns; /* that data beyond it took to come; 0: not known */
    weir_time window_at;
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

enum { /* where struct tcb.out is linked */
       WR_OUT_IDLE,
       WR_OUT_READY,
       WR_OUT_NEIGH
};

/*
 * With many connections a segment costs as many lines of the cache as it touches. So all that a plain one touches, in or
 * out, and its user's calls, stands together in nine of them: two in front, and seven behind what few ask for. The two are
 * those of the timer, for it fires alone; and what most of the code asks for is in them, since it is nearer than 128
 * bytes there, where an instruction takes three bytes less. Lines are counted from 8 bytes before the struct
 * (wr_pool_in_lines()).
 */
struct tcb {
    /* hot: two lines, those of the timer, with what is asked for most */
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
    bool paced : 1;    /* data is held back until tx->pace.next_at */
    bool dozing : 1;   /* woken by keepalive, and will rest again when that is done: tcp_rest */
    bool has_rx : 1;   /* data came: tcp_rcvbuf */
    bool calm : 1;     /* nothing unusual is under way: wr_tcb_is_calm() */
    uint8_t snd_wscale, rcv_wscale;
    uint8_t dup_owed; /* duplicate ACKs to send beyond the first, to a peer without SACK */
    uint8_t urg_state;
    uint8_t ecn; /* WR_ECN_* */
    uint8_t syn_retries;
    uint8_t retransmits; /* consecutive, of the head */
    uint8_t probes;      /* unanswered */
    uint8_t error;       /* positive errno, for who asks next */
    weir_time rto_at;    /* retransmission, persist, SYN; NEVER: not running, as the next two */
    weir_time delack_at;
    weir_time keep_at; /* keepalive; FIN-WAIT-2 of an orphan */
    struct wr_tx *tx;  /* NULL: nothing was sent yet */
    uint32_t snd_una, snd_nxt, write_seq;
    uint32_t smss; /* payload of a full segment, timestamps deducted */
    uint32_t rcv_nxt, rcv_wnd;
    struct wr_timer timer; /* armed no later than the earliest of the three deadlines */

    /* cold: handshake and close, losses, urgent data */
    uint16_t adv_mss;  /* in our SYN */
    uint16_t peer_mss; /* from its SYN, or the default */
    uint32_t iss, irs;
    uint16_t pmtu; /* path MTU when smss was last set; 0: not yet */
    uint8_t urg_byte;
    uint8_t port_reuse; /* as given to wr_port_hold() */
    uint32_t urg_seq;
    union {               /* until the handshake has given a round-trip time, and from then on */
        weir_time syn_at; /* first SYN left, or the SYN-ACK of a passive open; NEVER: not known */
        weir_time opened_at; /* the handshake was done */
    };
    weir_time oow_ack_at; /* last challenge ACK, RFC 5961 7 */
    uint32_t fin_seq;     /* of the peer's FIN, when fin_seen */
    uint32_t dsack_start, dsack_end;
    uint32_t rto_ms; /* spent in recoveries after a time-out that are over */
    struct wr_listener *listener;
    struct wr_list accept; /* while in_accept, as `listener` */
    uint32_t total_retrans, dsack_dups, ofo_packets;
    uint16_t total_rto, rto_recoveries;

    /* hot: seven lines, from the path's interface to the first of the options */
    struct wr_path path;
    struct wr_ready *ready; /* its socket's; NULL: orphan or not yet accepted */
    struct wr_fastopen *fo; /* NULL: an ordinary open */
    uint32_t segs_in, segs_out, data_segs_in, data_segs_out;

    struct wr_hash_node node; /* struct wr_tcp.flows */
    struct wr_tuple tuple;
    struct wr_flow flow;
    uint32_t mem_held; /* bytes of its rings, as counted in struct wr_mem */

    uint32_t snd_wnd, max_wnd, snd_wl1;
    uint32_t snd_sml;      /* end of the last short segment (Minshall) */
    uint32_t snd_up;       /* urgent pointer to send, valid while after snd_una */
    int soft_error;        /* positive errno */
    struct wr_ranges *ofo; /* out-of-order data beyond rcv_nxt, in rcv_ring; NULL: never any */

    uint32_t rcv_wup;
    uint32_t rcv_ssthresh, window_clamp;
    uint32_t ts_recent, ts_offset;
    weir_time ts_recent_at;
    struct wr_list out;
    weir_time stalled_at; /* first transmission of what is being retransmitted; or 0 */

    struct wr_ring snd_ring, rcv_ring;

    struct wr_rtt rtt;
    weir_time last_ack_at; /* an ACK came in */

    uint64_t bytes_acked, bytes_received, bytes_sent;
    struct wr_delack delack;
    struct wr_rx rx; /* while has_rx */
    struct wr_tcp_opts opts;

    uint64_t bytes_retrans;
};

/* ---- tcp_tcb ------------------------------------------------------------------------------------------ */

/* A connection in state CLOSE, in the flow table, with opts and defaults; hash: wr_demux_hash(). NULL: no
 * memory, or tuple taken by the caller's fault. */
struct tcb *wr_tcb_new(struct weir_stack *stack, const struct wr_tuple *tuple, uint64_t hash,
                       const struct wr_tcp_opts *opts);
/* The sending side's state, made when it is not there. NULL: out of memory. */
struct wr_tx *wr_tcb_tx(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* CLOSED: out of the flow table, lists and timers; send side freed; an orphan is freed by wr_tcb_settle.
 * error (positive errno, or 0) is left to the socket. */
void wr_tcb_done(struct weir_stack *stack, struct tcb *tcb, int error);
/* The same without an error; but its hold on the local port is the caller's now. */
void wr_tcb_done_but_port(struct weir_stack *stack, struct tcb *tcb);
/* Frees the memory of a connection that nothing leads to any more. */
void wr_tcb_free(struct weir_stack *stack, struct tcb *tcb);
/* The connection is this socket's; or no socket's any more. */
void wr_tcb_tie(struct tcb *tcb, struct wr_ready *ready);
void wr_tcb_untie(struct tcb *tcb);
/* Short ways ask for much that is seldom otherwise: is it an open connection with SACK and without ECN, of which nothing
 * was SACKed, lost or sent again, nothing is paced, probed, urgent, marked or to be stamped, and nothing came out of order?
 * That is looked at once, and again when a long way was taken, for only that changes it: those begin with _stirred. */
bool wr_tcb_calms_down(struct tcb *tcb);
static inline bool wr_tcb_is_calm(struct tcb *tcb)
{
    return tcb->calm || wr_tcb_calms_down(tcb);
}
static inline void wr_tcb_stirred(struct tcb *tcb)
{
    tcb->calm = false;
}
/* Asserts what must hold of every connection between two entry points. */
void wr_tcb_check(const struct weir_stack *stack, const struct tcb *tcb);
/* What its rings hold is counted anew; those who wait for memory are woken when there is some: tcp_mem. */
void wr_mem_settle(struct weir_stack *stack, struct tcb *tcb);
/* The end of every entry point that touched tcb; it may be freed here. Mostly its earliest deadline is what it was; else
 * _changed does it. */
void wr_tcb_settle_changed(struct weir_stack *stack, struct tcb *tcb);
static inline void wr_tcb_settle(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    weir_time at = tcb->timer.at;

    (void)now;
    if (tcb->snd_ring.cap + tcb->rcv_ring.cap != tcb->mem_held)
        wr_mem_settle(stack, tcb);
    if (tcb->rto_at < at || tcb->delack_at < at || tcb->keep_at < at ||
        tcb->state == WEIR_TCP_CLOSE || tcb->paced || !wr_may_be_short(stack)) {
        wr_tcb_settle_changed(stack, tcb);
        return;
    }
#ifdef WEIR_CHECK
    wr_tcb_check(stack, tcb);
#endif
}
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
    return tcb->flow.v4;
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
static inline void wr_tcb_touch(struct weir_stack *stack, struct tcb *tcb, uint32_t happened)
{
    wr_ready_touch(stack, tcb->ready, happened);
}

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

/* ---- tcp_direct --------------------------------------------------------------------------------------- */

/* In-order data of this segment is in the ring: the next one may be read there. */
void wr_direct_took(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg);
/* The tcb goes. */
void wr_direct_forget(struct weir_stack *stack, const struct tcb *tcb);

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
/* Of that what concerns the ACK (Linux's tcp_cleanup_rbuf). */
void wr_reasm_ack_read(struct weir_stack *stack, struct tcb *tcb, uint32_t copied, weir_time now);
/* The data of a received segment grew the trust in the receive window. */
void wr_reasm_grow(struct tcb *tcb, uint32_t len);
void wr_reasm_free(struct weir_stack *stack, struct tcb *tcb);

/* ---- tcp_rcvbuf ---------------------------------------------------------------------------------------- */

/* Data was taken in. */
void wr_rcvbuf_data_received(struct tcb *tcb, const struct seg *seg, weir_time now);
/* The user has read. */
void wr_rcvbuf_read(const struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* Is the peer so near that what is in flight waits in buffers only? `rtt`: as it is now. */
bool wr_rcvbuf_is_near(const struct weir_stack *stack, const struct tcb *tcb, weir_time rtt);
/* Bytes that a reader is taken to read in the first round trip. */
uint32_t wr_rcvbuf_first_space(const struct tcb *tcb);

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
 * of the largest window that the peer has offered, unless that is so tiny that it would itself be a silly window: what
 * does not fit then waits for the persist timer (RFC 9293 3.8.6.2.1; the bound is Linux's). */
static inline uint32_t wr_output_mss(const struct tcb *tcb, unsigned n_sack)
{
    uint32_t mss = tcb->smss, least = 68 - W_TCP_HLEN;
    uint32_t half = tcb->max_wnd > WR_TCP_MSS_V4 ? tcb->max_wnd / 2 : tcb->max_wnd;

    if (n_sack > 0) {
        uint32_t options = (uint32_t)wr_w_tcpopt_len(tcb->ts_ok, n_sack) -
                           (uint32_t)wr_w_tcpopt_len(tcb->ts_ok, 0);
        mss = mss > options ? mss - options : 0;
    }
    if (mss < 8)
        mss = 8;
    if (half != 0 && half < least)
        half = least;
    if (half != 0 && mss > half)
        mss = half;
    return mss;
}
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
    bool probe;  /* of the path MTU */
    uint8_t why; /* WEIR_TRACE_SENT_* */
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
void wr_segment_bare(struct weir_stack *stack, const struct wr_bare *bare, weir_time now);

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

#endif
