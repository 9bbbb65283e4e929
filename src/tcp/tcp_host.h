/* SPDX-License-Identifier: MIT */
/*
 * What the connections of a host share: the table that finds them, TIME-WAIT, memory, and struct wr_tcp, which is
 * all that a stack has of TCP.
 */
#ifndef WR_TCP_HOST_H
#define WR_TCP_HOST_H

#include <string.h>

#include "base/dues.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_sender.h"

/* ---- who a segment is for: tcp_demux ------------------------------------------------------------ */

/* Whose flow it is. */
struct wr_tuple wr_flow_tuple(const struct wr_flow *flow);
/* SipHash of the tuple under a secret. Cheap when it was asked for lately. */
uint64_t wr_demux_hash(const struct weir_stack *stack, const struct wr_tuple *tuple);
/* A call or a segment is for this connection, and those before were for others: what a plain segment touches of it, of its
 * sending side and of its socket is asked for at once. Else each of them is waited for before the next is known. */
void wr_demux_fetch(const struct weir_stack *stack, const struct tcb *tcb);
/* For wr_demux_recent() below. */
void wr_demux_found(struct weir_stack *stack, struct tcb *tcb);
/* The flow of a tuple, or NULL. */
struct wr_flow *wr_demux_find(const struct weir_stack *stack, const struct wr_tuple *tuple,
                              uint64_t hash);
/* Enters a connection that is awake. hash: wr_demux_hash() of the tuple. False: out of memory. */
bool wr_demux_insert(struct weir_stack *stack, struct tcb *tcb, const struct wr_tuple *tuple,
                     uint64_t hash);
void wr_demux_remove(struct weir_stack *stack, struct tcb *tcb);
/* What the tables keep chains by. A peer may learn the other half: flow labels are made of it. */
static inline uint32_t wr_record_hash(uint64_t hash)
{
    return (uint32_t)hash;
}
/* A record of one of the other kinds: its head and flow, and room behind for `size` bytes in all. NULL: out of memory. */
void *wr_demux_add(struct weir_stack *stack, enum wr_flow_kind kind, size_t size,
                   const struct wr_tuple *tuple, uint64_t hash, uint32_t *number);
/* Kind, ports and addresses of such a record, or of one that stands apart, whose addresses are at addrs. */
void wr_demux_set(struct wr_flow *flow, uint8_t *addrs, enum wr_flow_kind kind,
                  const struct wr_tuple *tuple);
/* Is it this tuple's? */
bool wr_demux_has(const struct wr_flow *flow, const struct wr_tuple *tuple);
/* The listener for a SYN to tuple->local: the most specific; of a reuseport group one by hash. */
struct wr_listener *wr_demux_listener(const struct weir_stack *stack, const struct wr_tuple *tuple,
                                      uint64_t hash);
bool wr_demux_add_listener(struct weir_stack *stack, struct wr_listener *listener);
void wr_demux_remove_listener(struct weir_stack *stack, struct wr_listener *listener);

/* ---- TIME-WAIT: tcp_timewait -------------------------------------------------------------------- */

struct wr_tw {
    struct wr_record record;
    struct wr_flow flow;
    uint32_t snd_nxt, rcv_nxt;
    uint32_t ts_recent;
    uint32_t expires_ms;        /* modulo 2^32 */
    struct wr_record_link line; /* struct wr_tcp.tws */
    uint16_t oow_tick;          /* last ACK to an unacceptable segment, 16 ms; 0: none */
    uint8_t addrs[];            /* WR_ADDRS_V4 or WR_ADDRS_V6 bytes */
};
static_assert(offsetof(struct wr_tw, addrs) + WR_ADDRS_V4 <= 52, "TIME-WAIT records are many");

/* When it ends. */
weir_time wr_tw_expires_at(const struct wr_tw *tw, weir_time now);

/* The connection goes to TIME-WAIT: a record takes its place, the tcb is done. */
void wr_tw_enter(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* A segment for the record. True: it is a SYN that may open a new connection; the record is gone and *iss
 * holds the ISN to use. */
bool wr_tw_input(struct weir_stack *stack, struct wr_tw *tw, struct seg *seg, uint32_t *iss,
                 weir_time now);
void wr_tw_free(struct weir_stack *stack, struct wr_tw *tw);
/* May an active open take the record's place (tcp_tw_reuse)? */
bool wr_tw_reusable(const struct weir_stack *stack, const struct wr_tw *tw, weir_time now);

/* ---- connections at rest: tcp_rest ---------------------------------------------------------------- */

struct wr_rest {
    struct wr_record record;
    struct wr_flow flow;
    struct wr_ready *ready; /* its socket's */
    uint32_t due;           /* place in struct wr_tcp.rest_dues; WR_RECORD_NONE: no keepalive */
    uint8_t tx_words;       /* struct wr_tx.cc_words; 0: there is none */
    uint8_t model;          /* of struct wr_tcp.rest_models */
    uint8_t addrs[];        /* WR_ADDRS_V4 or WR_ADDRS_V6 bytes, then the image: see tcp_rest */
};

/* What images are told as differences from: one for each kind of connection, by these bits. */
enum { WR_REST_PASSIVE = 1, WR_REST_TX = 2, WR_REST_MODELS = 4 };
struct wr_rest_model {
    struct wr_rest_image *image; /* of the first of them; NULL: none */
    uint32_t users;              /* those at rest now */
};

/* The end of all. */
void wr_rest_fini(struct weir_stack *stack);
/* There is a connection that may come to rest. */
void wr_rest_watch(struct weir_stack *stack, weir_time now);
/* When keepalive will wake it; NEVER: not by itself. */
weir_time wr_rest_keep_at(const struct weir_stack *stack, const struct wr_rest *rest);
/* The connection as it was; the record is gone. NULL: out of memory. */
struct tcb *wr_rest_wake(struct weir_stack *stack, struct wr_rest *rest);
/* At the end of an entry point, instead of settling: a connection that dozes goes back to rest if nothing keeps it
 * awake. True: it is gone. */
bool wr_rest_again(struct weir_stack *stack, struct tcb *tcb, weir_time now);

/* ---- memory of all streams: tcp_mem ------------------------------------------------------------- */

struct wr_mem {
    uint64_t held; /* bytes allocated by all rings */
    bool pressed;
    struct wr_list waiting; /* struct wr_tx.mem_wait: a send was refused */
};

/* Bytes that may be queued for sending. If 0, its socket is touched when it is worth trying again. Needs tcb->tx. */
uint32_t wr_mem_send_room(struct weir_stack *stack, struct tcb *tcb);
/* Memory is so short that this orphan, still sending, has to go. */
bool wr_mem_resets_orphan(const struct weir_stack *stack, const struct tcb *tcb);

/* ---- all of it ---------------------------------------------------------------------------------- */

enum { WR_RECENT = 64, WR_TS_PAIRS = 32 };

/* A hash of the flow table that was made lately: wr_demux_hash(). */
struct wr_hashed {
    struct wr_tuple tuple;
    uint64_t hash;
};

/* Two hosts' part of a timestamp offset, as made lately: wr_isn_ts_offset(). */
struct wr_ts_pair {
    struct weir_addr local, remote; /* as in struct wr_tuple */
    uint32_t offset;
};

/* Who gets the next frame straight into its ring, maybe: tcp_direct. */
struct wr_direct {
    struct tcb *tcb;              /* NULL: nobody */
    const struct wr_netif *netif; /* where its last super-segment came in */
    uint16_t head_len;            /* bytes of that one's IP and TCP headers */
};

struct wr_tcp {
    struct wr_hash flows; /* connections that are awake */
    struct wr_hash listeners;
    struct wr_list listener_list;
    struct wr_pool tcbs;
    struct wr_pool txs;       /* struct wr_tx, see wr_tx_new() */
    struct wr_rate_pick pick; /* of all connections: ACKs come one by one */
    struct wr_mem mem;
    struct wr_direct direct;
    int64_t challenge_second; /* in which challenges_left counts */
    uint32_t challenges_left; /* RFC 5961 7, of the whole host */
    struct wr_cc_list cc;
    struct wr_list neigh_wait; /* struct tcb.out: their next hop is being asked for */
    struct wr_record_line syn_wait[WR_SYN_LEVELS]; /* each in the order of resend_at */
    struct wr_record_line tws;                     /* first to expire first */
    uint32_t n_syns, n_tws;
    struct wr_timer syn_timer;
    struct wr_timer tw_timer;
    struct wr_timer rest_timer; /* the hand */
    uint32_t rest_hand;         /* slot of `tcbs` that was looked at last */
    struct wr_dues rest_dues;   /* keepalive of those at rest */
    struct wr_rest_model rest_models[WR_REST_MODELS];
    struct wr_timer wake_timer; /* the first of them */
    uint8_t ts_key[16];
    struct wr_cookies cookies;
    struct wr_metrics metrics;
    struct wr_fastopen_keys fastopen_keys;
    weir_time fastopen_off_at; /* when the client side was last turned off for all */
    uint8_t fastopen_offs;     /* how often, since it last worked */
    uint32_t isn_epoch;        /* the ISN clock when the stack was made */
    uint32_t n_orphans, next_listener_id;
    uint32_t n_at_addr;         /* listeners that are bound to one address */
    uint64_t prio;              /* state of the treaps' priorities */
    struct wr_sent *spare_sent; /* records of flights that are over, by `left` */
    int n_spare_sent;

    struct wr_records records; /* all other flows */
    uint64_t newest_hash;
    _Alignas(struct wr_syn) uint8_t newest[offsetof(struct wr_syn, addrs) + WR_ADDRS_V6];
    bool has_newest; /* SYN queue entry that is not yet in the table, see tcp_synq */
    struct wr_flow *recent[WR_RECENT]; /* connections that segments came for, see tcp_demux */
    const struct tcb *met;             /* by wr_demux_fetch(): nothing but an address */
    struct wr_hashed hashed[WR_RECENT];
    struct wr_hashed toward[WR_RECENT]; /* of destinations, as ports are chosen by */
    struct wr_ts_pair ts_pairs[WR_TS_PAIRS];
};

/* The SYN queue entry made last, if it is not in the table yet; else NULL. */
static inline struct wr_syn *wr_syn_newest(const struct weir_stack *stack)
{
    return WR_SHORT_WAYS && stack->tcp->has_newest ? (struct wr_syn *)(void *)stack->tcp->newest
                                                   : NULL;
}

static inline uint32_t wr_demux_word(const uint8_t *p)
{
    uint32_t x;

    memcpy(&x, p, sizeof x);
    return x;
}

/* One of WR_RECENT places, by addresses' last words and ports: what is kept for a tuple. Neighbours have different ones. */
static inline uint32_t wr_demux_place(const struct wr_tuple *tuple)
{
    uint32_t x = wr_demux_word(tuple->remote.b + 12);

    x += (uint32_t)tuple->rport << 16 ^ tuple->lport;
    return x * 0x9e3779b1u / (UINT32_MAX / WR_RECENT + 1);
}

static inline uint64_t wr_differ(const uint8_t *p, const uint8_t *q)
{
    uint64_t x, y;

    memcpy(&x, p, sizeof x);
    memcpy(&y, q, sizeof y);
    return x ^ y;
}

/* Two addresses each. */
static inline bool wr_same_pair(const void *a, const void *b)
{
    const uint8_t *p = a, *q = b;

    return (wr_differ(p, q) | wr_differ(p + 8, q + 8) | wr_differ(p + 16, q + 16) |
            wr_differ(p + 24, q + 24)) == 0;
}

static inline bool wr_demux_same(const struct wr_tuple *a, const struct wr_tuple *b)
{
    return a->lport == b->lport && a->rport == b->rport && wr_same_pair(a, b);
}

/* The connection, if it is one of those that wr_demux_found() was told of last: without a hash. */
static inline struct tcb *wr_demux_recent(const struct weir_stack *stack,
                                          const struct wr_tuple *tuple)
{
    struct wr_flow *flow = stack->tcp->recent[wr_demux_place(tuple)];
    struct tcb *tcb;

    if (flow == NULL || !wr_may_remember(stack))
        return NULL;
    tcb = WR_CONTAINER(flow, struct tcb, flow);
    return wr_demux_same(&tcb->tuple, tuple) ? tcb : NULL;
}

static inline bool wr_mem_is_pressed(const struct weir_stack *stack)
{
    return stack->tcp->mem.pressed;
}
bool wr_mem_may_receive_now(struct weir_stack *stack, struct tcb *tcb, uint32_t len, bool in_order);
/* May `len` received bytes be taken in? What is out of order may be given up for it; a refusal is a counted drop. */
static inline bool wr_mem_may_receive(struct weir_stack *stack, struct tcb *tcb, uint32_t len,
                                      bool in_order)
{
    return (!wr_mem_is_pressed(stack) &&
            stack->tcp->mem.held + len <= 4096 * (uint64_t)stack->tunables.tcp_mem_max) ||
           wr_mem_may_receive_now(stack, tcb, len, in_order);
}
/* What a group's common time adds to the timestamp clock; 0: no group. */
static inline uint32_t wr_cookie_ts_shift(const struct weir_stack *stack)
{
    return stack->tcp->cookies.ts_shift;
}

#endif
