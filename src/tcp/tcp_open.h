/* SPDX-License-Identifier: MIT */
/*
 * How connections begin: listeners and their SYN queues, SYN cookies, fast open, what is remembered of peers,
 * and initial sequence numbers.
 */
#ifndef WR_TCP_OPEN_H
#define WR_TCP_OPEN_H

#include "tcp/tcp.h"

/* ---- SYN-RECEIVED of a passive open, and listeners ---------------------------------------------- */

enum { WR_SYN_LEVELS = 8 };

struct wr_syn {
    struct wr_record record;
    struct wr_flow flow;
    struct wr_record_link wait; /* struct wr_tcp.syn_wait[min(retries, WR_SYN_LEVELS - 1)] */
    struct wr_record_link of_listener;
    struct wr_listener *listener;
    uint32_t resend_us; /* modulo 2^32 */
    uint32_t iss, irs, ts_recent;
    uint16_t peer_mss;
    uint16_t oow_tick; /* last answer to a segment that is not the final ACK, 16 ms; 0: none */
    uint8_t snd_wscale, rcv_wscale;
    uint8_t retries;
    bool ts_ok : 1, sack_ok : 1, wscale_ok : 1, acked : 1, ecn_ok : 1, resent : 1;
    bool is_cookie : 1; /* nothing of it is kept: it is on the C stack */
    uint8_t addrs[];    /* WR_ADDRS_V4 or WR_ADDRS_V6 bytes; none on the C stack */
};
static_assert(offsetof(struct wr_syn, addrs) + WR_ADDRS_V4 <= 72, "a SYN flood pays for these");

struct wr_listener {
    struct wr_hash_node node; /* struct wr_tcp.listeners, by endpoint */
    struct wr_list all;
    struct weir_endpoint local;
    const struct wr_tcp_opts *opts; /* its socket's */
    struct wr_ready *ready;
    struct wr_record_line syns; /* struct wr_syn.of_listener */
    struct wr_list accept;      /* struct tcb.accept, oldest first */
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

/* ---- the SYN queue: tcp_synq -------------------------------------------------------------------- */

/* Keeps what *filled says, which has no addresses, of this SYN. NULL: no memory. */
struct wr_syn *wr_syn_add(struct weir_stack *stack, const struct wr_syn *filled,
                          const struct seg *seg, weir_time now);
/* The entry is gone. The timer may be left for it: see wr_syn_arm(). */
void wr_syn_remove(struct weir_stack *stack, struct wr_syn *syn);
/* Sets the timer to the first that is due; after entries went that nobody comes for. */
void wr_syn_arm(struct weir_stack *stack);
/* Puts the entry made last, which stands apart, in the table. False: there is one, and no memory; it stays. */
bool wr_syn_settle(struct weir_stack *stack);
/* When its SYN-ACK goes again. */
weir_time wr_syn_resend_at(const struct wr_syn *syn, weir_time now);
/* The MSS that we announce to it, which is not kept: it follows from the way back. */
uint16_t wr_syn_adv_mss(struct weir_stack *stack, const struct wr_syn *syn,
                        const struct wr_tuple *tuple);
/* mss: to announce. extra: a fast open cookie to give, or NULL. */
void wr_syn_send_synack(struct weir_stack *stack, const struct wr_syn *syn,
                        const struct wr_tuple *tuple, uint64_t hash, const struct wr_path *path,
                        uint16_t mss, const struct w_tcpopt *extra, weir_time now);
/* Its SYN came again, in *seg: so does the SYN-ACK, and the wait begins anew. */
void wr_syn_answer_again(struct weir_stack *stack, struct wr_syn *syn, const struct seg *seg,
                         weir_time now);
/* TCP_DEFER_ACCEPT in seconds as a number of SYN-ACK retransmissions. */
unsigned wr_syn_defer_retries(const struct wr_tcp_opts *opts);

/* ---- LISTEN and accept queues: tcp_listen ------------------------------------------------------- */

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
/* First window and shift to announce, from the receive buffer; and the most that the window may ever be. */
void wr_listen_window(const struct weir_stack *stack, const struct wr_tcp_opts *opts, uint32_t mss,
                      bool wscale_ok, uint32_t *wnd, uint8_t *wscale);
uint32_t wr_listen_clamp(const struct wr_tcp_opts *opts, bool wscale_ok);
/* The MSS that we announce to a peer by this path, of IPv4 or IPv6, RFC 9293 3.7.1. */
uint16_t wr_listen_adv_mss(const struct wr_path *path, bool v4, const struct wr_tcp_opts *opts);

/* ---- SYN cookies, RFC 4987: tcp_cookie ---------------------------------------------------------- */

struct wr_cookies {
    uint8_t secret
        [32]; /* the keys of minutes come from the first half, masks of tuples from the second */
    uint8_t key[2][16]; /* of `minute` and of the one before */
    uint64_t minute;
    weir_time ahead;   /* of a group's common time over ours */
    uint32_t ts_shift; /* the same in ms: wr_cookie_ts_shift() */
    bool shared;       /* others have the secret: their cookies may come here */
};

void wr_cookie_init(struct weir_stack *stack);
/* The ISS that remembers a SYN, RFC 4987 3.6. */
uint32_t wr_cookie_make(struct weir_stack *stack, const struct wr_tuple *tuple, uint32_t irs,
                        uint16_t peer_mss, weir_time now);
/* Is `iss` a cookie that we made for this SYN, this minute or the last? Then *peer_mss is what it holds. */
bool wr_cookie_check(struct weir_stack *stack, const struct wr_tuple *tuple, uint32_t irs,
                     uint32_t iss, uint16_t *peer_mss, weir_time now);
/* The timestamp of the SYN-ACK, which holds the options of *syn. */
uint32_t wr_cookie_ts(const struct weir_stack *stack, const struct wr_syn *syn,
                      const struct wr_tuple *tuple, weir_time now);
/* Options of *syn from the timestamp that its ACK echoes. False: they hold what is switched off here. */
bool wr_cookie_options(const struct weir_stack *stack, const struct w_tcpopt *opt,
                       const struct wr_tuple *tuple, struct wr_syn *syn);

/* ---- fast open, RFC 7413: tcp_fastopen ---------------------------------------------------------- */

struct wr_fastopen_keys {
    uint8_t key[2][16]; /* cookies are made with the first, and taken of both */
    uint8_t n;
};

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

/* ---- what is remembered of peers: tcp_metrics --------------------------------------------------- */

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

void wr_metrics_init(struct weir_stack *stack);
void wr_metrics_fini(struct weir_stack *stack);
/* The record of a tuple's addresses, or NULL. */
struct wr_metric *wr_metrics_find(const struct weir_stack *stack, const struct wr_tuple *tuple);
/* The same, made when it is not there; NULL: out of memory. */
struct wr_metric *wr_metrics_get(struct weir_stack *stack, const struct wr_tuple *tuple);
/* The connection ends: its peer was alive if there is a round-trip time. Noted while SYN cookies are off. */
void wr_metrics_alive(struct weir_stack *stack, const struct tcb *tcb);
bool wr_metrics_proven(const struct weir_stack *stack, const struct wr_tuple *tuple);

/* ---- ISN and timestamp offset: tcp_isn ---------------------------------------------------------- */

/* RFC 6528: 64 ns clock plus keyed hash of the 4-tuple, which is wr_demux_hash(). */
uint32_t wr_isn(const struct weir_stack *stack, uint64_t tuple_hash, weir_time now);
/* Offset of the timestamp clock towards this peer, RFC 7323 7.1. */
uint32_t wr_isn_ts_offset(const struct weir_stack *stack, const struct wr_tuple *tuple);
/* The timestamp clock: 1 ms, RFC 7323 5.4. */
static inline uint32_t wr_ts_now(uint32_t offset, weir_time now)
{
    return (uint32_t)((uint64_t)(now / WEIR_MS)) + offset;
}

/* ---- active opens: tcp_user --------------------------------------------------------------------- */

/* The SYN of an active open leaves, with tcb->fo->syn_data bytes of the ring. */
void wr_user_send_syn(struct weir_stack *stack, struct tcb *tcb, weir_time now);

#endif
