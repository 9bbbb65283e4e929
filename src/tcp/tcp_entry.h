/* SPDX-License-Identifier: MIT */
/*
 * What the rest of the stack may call of TCP: ip input, the stack's four calls, and sock. The map of the
 * folder and its theory are in tcp.h.
 */
#ifndef WR_TCP_ENTRY_H
#define WR_TCP_ENTRY_H

#include <weir/info.h>
#include <weir/socket.h>

#include "base/hash.h"
#include "core/core.h"

struct tcb;         /* a connection, from SYN-SENT or ESTABLISHED on; tcp.h */
struct wr_path;     /* ip_entry.h */
struct wr_listener; /* a listening endpoint with its SYN queue and accept queue */

/* ---- from ip ----------------------------------------------------------------------------------- */

/* SEGMENT ARRIVES (RFC 9293 3.10.7). pkt->data may hold a super-segment of up to 64 KB. */
void wr_tcp_input(struct weir_stack *stack, const struct wr_pkt *pkt, weir_time now);
/* The same of an IPv4 packet without options, which came whole in a frame of its own, between two addresses (the source
 * and ours) that were found good before. */
void wr_tcp_input_plain(struct weir_stack *stack, const struct wr_netif *netif,
                        const struct weir_frame *frame, const uint8_t *ip,
                        const struct weir_addr src_dst[2], weir_time now);
/* An ICMP error about a segment we sent. */
void wr_tcp_icmp(struct weir_stack *stack, const struct wr_icmp_error *error, weir_time now);
/* A neighbour that wr_neigh_resolve() said to wait for is now known, or has failed. */
void wr_tcp_neigh_settled(struct weir_stack *stack, struct wr_netif *netif,
                          const struct weir_addr *next_hop, bool failed, weir_time now);

/* ---- from stack.c ------------------------------------------------------------------------------ */

int wr_tcp_init(struct weir_stack *stack);
void wr_tcp_fini(struct weir_stack *stack);
/* The next (super-)segment for this interface into *out; 0 when no connection has one. */
size_t wr_tcp_output(struct weir_stack *stack, struct wr_netif *netif, struct weir_out *out,
                     weir_time now);
/* weir_input_room() and its end, without the link's header; and whether what a frame has in the room may stay there
 * (it comes whole, as a super-segment of the guessed connection). */
bool wr_tcp_room(struct weir_stack *stack, const struct wr_netif *netif, struct weir_room *room);
void wr_tcp_room_unused(struct weir_stack *stack);
wr_room_fits wr_tcp_room_fits;
/* Routes, addresses or interfaces changed: paths are found anew before the next segment. */
void wr_tcp_netif_gone(struct weir_stack *stack, struct wr_netif *netif, weir_time now);
void wr_tcp_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now);
void wr_tcp_synq_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now);
void wr_tcp_timewait_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now);
void wr_tcp_rest_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now);
void wr_tcp_rest_scan(struct weir_stack *stack, weir_time now);

/* ---- from sock: the user's calls, RFC 9293 3.10.1 to 3.10.6 --------------------------------------- */

/* IP_MTU_DISCOVER where TCP cares: packets may be fragmented; what ICMP says about size is not believed. */
enum { WR_TCP_MTU_DONT = 0, WR_TCP_MTU_INTERFACE = 4, WR_TCP_MTU_OMIT = 5 };

/* What setsockopt sets and TCP reads. A child of a listener starts with a copy of its listener's. */
struct wr_tcp_opts {
    /* Each segment and call may ask for these: */
    bool nodelay, cork, oobinline, rcvbuf_locked, sndbuf_locked;
    uint8_t hop_limit, ds;   /* 0: default */
    uint8_t mtu_discover;    /* IP_MTU_DISCOVER, WR_TCP_MTU_* or another of Linux's numbers */
    uint32_t rcvbuf, sndbuf; /* bytes; Linux's doubled figures are what getsockopt shows */
    uint32_t rcvlowat;       /* at least 1 */
    uint32_t notsent_lowat;
    uint32_t user_timeout_ms;
    bool keepalive, zerocopy, recv_inq; /* SO_ZEROCOPY; TCP_INQ */
    bool quickack_off, linger_on, linger2_off, v6only;
    bool reuseaddr, reuseport; /* go with the port, see wr_port_hold() */
    uint8_t syncnt;            /* 0: tcp_syn_retries */
    uint8_t keepcnt;           /* 0: tcp_keepalive_probes */
    uint8_t congestion;        /* 0: the stack's default; else see wr_tcp_cc_find() */
    uint16_t maxseg;           /* 0: from the MTU */
    uint16_t keepidle_s, keepintvl_s;
    uint16_t fastopen_qlen : 14; /* TCP_FASTOPEN: most pending; 0: off */
    uint16_t fastopen_connect : 1, fastopen_no_cookie : 1;
    int linger_s, linger2_s, defer_accept_s;
    uint32_t window_clamp;
    uint64_t max_pacing_rate; /* bytes per second; 0: no limit */
};

/* Sends a SYN to a unicast address. local holds address and port, both chosen by sock and unique; path is the one between both hosts, found
 * in this call; `ready` is touched on every change. 0 and *tcb, or WEIR_ENETUNREACH, WEIR_EADDRINUSE (tuple taken), WEIR_ENOMEM, WEIR_ENOBUFS. */
int wr_tcp_connect(struct weir_stack *stack, const struct weir_endpoint *local,
                   const struct weir_endpoint *remote, const struct wr_path *path,
                   const struct wr_tcp_opts *opts, struct wr_ready *ready, struct tcb **tcb,
                   weir_time now);

/* The same with data for the SYN, RFC 7413 (MSG_FASTOPEN). Returns the bytes taken, or WEIR_EINPROGRESS
 * when the SYN goes without data (no cookie yet), both with *tcb; or an error of wr_tcp_connect(). */
ptrdiff_t wr_tcp_connect_fast(struct weir_stack *stack, const struct weir_endpoint *local,
                              const struct weir_endpoint *remote, const struct wr_path *path,
                              const struct wr_tcp_opts *opts, struct wr_ready *ready,
                              const void *data, size_t len, struct tcb **tcb, weir_time now);
/* Does net.ipv4.tcp_fastopen allow it to clients? */
bool wr_tcp_fastopen_on(const struct weir_stack *stack);
/* TCP_FASTOPEN_CONNECT: connect() is done, the SYN waits for the first data. */
bool wr_tcp_deferred(const struct tcb *tcb); /* NULL: at rest */

/* LISTEN. local.addr may be 0.0.0.0 or ::; with :: and not opts->v6only, IPv4 too. `reuseport` group:
 * several listeners may share an endpoint; connections are spread by hash. opts is borrowed for the
 * listener's life. backlog as listen(2): accept queue holds backlog + 1. */
int wr_tcp_listen(struct weir_stack *stack, const struct weir_endpoint *local, int backlog,
                  bool reuseport, const struct wr_tcp_opts *opts, struct wr_ready *ready,
                  struct wr_listener **listener, weir_time now);
void wr_tcp_listen_backlog(struct wr_listener *listener, int backlog);
/* TCP_FASTOPEN_KEY of this listener: one key of 16 bytes or two. WEIR_EINVAL, WEIR_ENOMEM. */
int wr_tcp_listen_keys(struct weir_stack *stack, struct wr_listener *listener, const void *keys,
                       size_t len);
/* Resets what waits in its queues, and frees it. */
void wr_tcp_unlisten(struct weir_stack *stack, struct wr_listener *listener, weir_time now);
bool wr_tcp_accept_pending(const struct wr_listener *listener);
/* Takes the oldest connection off the accept queue and ties it to `ready`. NULL: none. */
struct tcb *wr_tcp_accept(struct weir_stack *stack, struct wr_listener *listener,
                          struct wr_ready *ready);

/* The connection's own copy of its options, for reading and writing; after writing, what they imply is
 * done by opts_changed (cork off: send; nodelay: send; keepalive: timer). */
struct wr_tcp_opts *wr_tcp_opts(struct tcb *tcb);
void wr_tcp_opts_changed(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* Setting TCP_NODELAY: what is held leaves once, though the cork be in, if the window has room. */
void wr_tcp_push(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* TCP_QUICKACK: on, an ACK that is held leaves now, or when all that it is for has been read, and quick ACKs are used as far
 * as they reach; off, ACKs wait for data to ride on. Not permanent, as on Linux. */
void wr_tcp_quickack(struct weir_stack *stack, struct tcb *tcb, bool on, weir_time now);

/* Where SOF_TIMESTAMPING_OPT_ID begins to count: SND.UNA, or the write pointer. */
uint32_t wr_tcp_stamp_base(const struct tcb *tcb, bool from_write);

/* SEND and RECEIVE. Flags are WEIR_MSG_*. Errors are those of send(2) and recv(2) on Linux in each state,
 * the pending socket error (as SO_ERROR) first. */
ptrdiff_t wr_tcp_send(struct weir_stack *stack, struct tcb *tcb, const void *data, size_t len,
                      int flags, weir_time now);
/* SEND of bytes that the caller writes into the ring: weir_sock_reserve(), weir_sock_commit(). */
ptrdiff_t wr_tcp_reserve(struct weir_stack *stack, struct tcb *tcb, struct weir_piece room[2],
                         size_t len, weir_time now);
ptrdiff_t wr_tcp_commit(struct weir_stack *stack, struct tcb *tcb, size_t len, weir_time now);
ptrdiff_t wr_tcp_recv(struct weir_stack *stack, struct tcb *tcb, void *data, size_t len, int flags,
                      weir_time now);
/* RECEIVE with WEIR_MSG_PEEK, from `skip` bytes behind the next one to read. */
ptrdiff_t wr_tcp_peek_at(struct tcb *tcb, size_t skip, void *data, size_t len, int flags);
ptrdiff_t wr_tcp_peek(struct weir_stack *stack, struct tcb *tcb, struct weir_span span[2],
                      weir_time now);
int wr_tcp_consume(struct weir_stack *stack, struct tcb *tcb, size_t len, weir_time now);

int wr_tcp_shutdown(struct weir_stack *stack, struct tcb *tcb, int how, weir_time now);
/* close(2): the socket lets go. FIN, RST (unread data, linger 0) or nothing; the tcb lives on as long
 * as TCP needs it, and must not be used by the caller again. */
void wr_tcp_close(struct weir_stack *stack, struct tcb *tcb, weir_time now);
/* ABORT. As close, with RST. `keep`: the socket stays tied to a dead tcb whose error is ECONNABORTED. */
void wr_tcp_abort(struct weir_stack *stack, struct tcb *tcb, bool keep, weir_time now);

/* The connection of a socket, which may be at rest (tcp_rest): then this is NULL, and so is the tcb given to those
 * calls below that say so. */
struct tcb *wr_tcp_conn(const struct wr_ready *ready);
/* The same, awake. NULL: out of memory. For each call that is to do something. */
struct tcb *wr_tcp_wake(struct weir_stack *stack, struct wr_ready *ready);
/* As wr_tcp_close() for a connection that cannot be woken for want of memory: without a word to the peer, who will
 * be told RST when it asks. */
void wr_tcp_drop_at_rest(struct weir_stack *stack, struct wr_ready *ready);
void wr_tcp_endpoints(const struct wr_ready *ready, struct weir_endpoint *local,
                      struct weir_endpoint *remote);

/* STATUS; tcb is NULL for a connection at rest. */
/* WEIR_POLL* bits as tcp_poll() on Linux. */
uint32_t wr_tcp_ready(const struct weir_stack *stack, const struct tcb *tcb);
/* Linux's numbers; 7 is CLOSE: dead, only error and data left. */
int wr_tcp_state(const struct tcb *tcb);
int wr_tcp_take_error(struct tcb *tcb); /* SO_ERROR: 0 or positive errno; cleared */
size_t wr_tcp_inq(const struct tcb *tcb);
size_t wr_tcp_outq(const struct tcb *tcb);
bool wr_tcp_atmark(const struct tcb *tcb);
/* From here on it is awake. */
uint32_t wr_tcp_mss(const struct tcb *tcb);
void wr_tcp_info(const struct weir_stack *stack, const struct tcb *tcb, struct weir_tcp_info *info,
                 weir_time now);
void wr_tcp_listener_info(const struct wr_listener *listener, struct weir_tcp_info *info);

/* TCP_CONGESTION: what opts.congestion shall be for the algorithm of that name. WEIR_ENOENT: there is none;
 * WEIR_EPERM: it is not in tcp_allowed_congestion_control. */
int wr_tcp_cc_find(const struct weir_stack *stack, const char *name);
/* Before opts.congestion becomes that: makes room for the state of that algorithm. False: out of memory. */
bool wr_tcp_cc_room(struct weir_stack *stack, struct tcb *tcb, int congestion);
const char *wr_tcp_cc_name(const struct weir_stack *stack, const struct wr_tcp_opts *opts);
/* Tunables that are texts, see TEXT in tunable.def. */
void wr_tcp_cc_available_read(const struct weir_stack *stack, struct wr_text *text);
void wr_tcp_cc_allowed_read(const struct weir_stack *stack, struct wr_text *text);
int wr_tcp_cc_allowed_write(struct weir_stack *stack, const char *text);
void wr_tcp_fastopen_key_read(const struct weir_stack *stack, struct wr_text *text);
int wr_tcp_fastopen_key_write(struct weir_stack *stack, const char *text);
void wr_tcp_cc_default_read(const struct weir_stack *stack, struct wr_text *text);
int wr_tcp_cc_default_write(struct weir_stack *stack, const char *text);

/* For port choice, RFC 6056 3.3.4: a secret hash of addresses and remote port. local->port counts for nothing. */
uint64_t wr_tcp_port_hash(const struct weir_stack *stack, const struct weir_endpoint *local,
                          const struct weir_endpoint *remote);
/* For port choice and bind: is the 4-tuple taken by a connection, or by a TIME-WAIT record that may not be
 * reused now (tcp_tw_reuse)? Is any connection or TIME-WAIT record on this local port and address? */
bool wr_tcp_tuple_taken(struct weir_stack *stack, const struct weir_endpoint *local,
                        const struct weir_endpoint *remote, weir_time now);

/* The local endpoint of each connection, awake or at rest, SYN-RECEIVED entry and TIME-WAIT record, in no meaningful
 * order; start from a cursor of 0. False: that was all. */
bool wr_tcp_next_local(const struct weir_stack *stack, uint64_t *cursor,
                       struct weir_endpoint *local);

/* Calls for tables (ss): every connection that is awake, SYN-RECEIVED entry and TIME-WAIT record in a stable order. */
bool wr_tcp_next_row(struct weir_stack *stack, uint64_t *cursor, struct weir_sock_row *row);
/* The row of a connection at rest, of which wr_tcp_next_row() tells nothing. False: it is not at rest. */
bool wr_tcp_rest_row(const struct weir_stack *stack, const struct wr_ready *ready,
                     struct weir_sock_row *row);

#endif
