/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_TCP_PEER_H
#define TESTS_UNIT_TCP_PEER_H

/*
 * A peer made of single segments, against one stack in virtual time: what it sends is written out in
 * the test, what the stack answers is kept in a log with its time.
 *
 *     struct peer p;
 *     peer_init(&p);                       // stack 10.9.0.1, peer 10.9.0.2, MTU 1500
 *     peer_listen(&p, 80, 5);
 *     struct conn c = peer_open(&p, 80);   // SYN, SYN-ACK, ACK, accept
 *     conn_send(&p, &c, W_TCP_ACK, "abc"); // data at c.snd, which moves on
 *     peer_run(&p, 100 * WEIR_MS);
 *     assert_int_equal(p.n, 1);            // one segment came back: p.log[0]
 */

#include "unit/probe.h"

#include <stdio.h>

#include <weir/event.h>
#include <weir/info.h>
#include <weir/socket.h>

#include "wire/w_csum.h"
#include "wire/w_ip4.h"
#include "wire/w_tcp.h"
#include "wire/w_tcpopt.h"

struct got {
    weir_time at;
    struct w_tcp th;
    struct w_tcpopt opt;
    uint32_t len;
    uint8_t ttl, ds;
    bool df;
    uint8_t data[128]; /* the first bytes of the payload */
};

enum { PEER_LOG = 4096 };

struct peer {
    struct probe probe;
    struct weir_stack *stack;
    int ifindex;
    weir_time now;
    struct weir_addr us, them;
    weir_sock listener;
    unsigned n; /* in the log */
    struct got log[PEER_LOG];
    uint16_t next_port;
    uint32_t icmp_frames;
    weir_time rtt; /* between SYN-ACK and ACK of peer_open() */
    uint16_t gso;  /* not 0: what it sends is of segments of so many bytes */
    bool room;     /* data goes to where weir_input_room() says, as a link may do it */
    unsigned in_room;
};

/* The peer's end of a connection. */
struct conn {
    uint16_t theirs, ours; /* ports */
    uint32_t snd, rcv;     /* next to send, next expected */
    uint32_t iss, irs;
    bool ts;
    uint32_t ts_val, ts_ecr;
    uint16_t wnd;
    weir_sock sock;
};

/* max_sockets 0: as many as by default. */
static inline void peer_init_limits(struct peer *p, size_t fail_at, uint32_t max_sockets)
{
    struct weir_config config;
    struct weir_netif_config netif = {.name = "t0", .kind = WEIR_NETIF_IP, .mtu = 1500};

    memset(p, 0, sizeof *p);
    p->probe.alloc = (struct weir_allocator){probe_alloc, probe_free, &p->probe};
    weir_config_default(&config);
    config.alloc = p->probe.alloc;
    config.seed[0] = 1;
    if (max_sockets > 0)
        config.max_sockets = max_sockets;
    p->now = 1000 * WEIR_SEC;
    p->stack = weir_stack_new(&config, p->now);
    assert_non_null(p->stack);
    p->us = weir_addr_v4(0x0a090001);
    p->them = weir_addr_v4(0x0a090002);
    p->ifindex = weir_netif_add(p->stack, &netif, p->now);
    assert_true(p->ifindex > 0);
    assert_int_equal(weir_addr_add(p->stack, p->ifindex, &p->us, 24, p->now), 0);
    p->next_port = 20000;
    p->probe.fail_at = fail_at;
}

static inline void peer_init_memory(struct peer *p, size_t fail_at)
{
    peer_init_limits(p, fail_at, 0);
}

static inline void peer_init(struct peer *p)
{
    peer_init_memory(p, 0);
}

static inline void peer_free(struct peer *p)
{
    weir_stack_free(p->stack);
    assert_int_equal(p->probe.live_bytes, 0);
}

static inline void peer_keep(struct peer *p, const uint8_t *frame, size_t len)
{
    struct got *got = &p->log[p->n];
    size_t ihl = (size_t)(frame[0] & 15) * 4;
    size_t n_data;

    if (frame[9] != 6) {
        p->icmp_frames++;
        return;
    }
    assert_true(p->n < PEER_LOG);
    memset(got, 0, sizeof *got);
    got->at = p->now;
    got->ttl = frame[8];
    got->ds = frame[1];
    got->df = (frame[6] & 0x40) != 0;
    assert_int_equal(get_be16(frame + 2), len);
    assert_int_equal(wr_w_tcp_parse(frame + ihl, len - ihl, &got->th), W_OK);
    assert_true(wr_w_tcp_csum_ok(frame + ihl, len - ihl, &p->us, &p->them));
    assert_int_equal(wr_w_tcpopt_parse(frame + ihl + W_TCP_HLEN, got->th.data_off - W_TCP_HLEN,
                                       (got->th.flags & W_TCP_SYN) != 0, &got->opt),
                     W_OK);
    got->len = (uint32_t)(len - ihl - got->th.data_off);
    n_data = got->len < sizeof got->data ? got->len : sizeof got->data;
    wr_bytes_copy(got->data, frame + ihl + got->th.data_off, n_data);
    p->n++;
}

/* All that the stack has to send now, into the log. */
static inline void peer_drain(struct peer *p)
{
    uint8_t head[WEIR_HEAD_MAX];
    static uint8_t frame[70000];
    struct weir_out out = {.head = head};
    size_t len;

    while ((len = weir_output(p->stack, p->ifindex, &out, p->now)) > 0) {
        memcpy(frame, head, out.head_len);
        assert_int_equal(out.head_len + wr_spans_copy(frame + out.head_len, out.span, out.n_spans),
                         len);
        peer_keep(p, frame, len);
    }
}

/* Time passes. */
static inline void peer_run(struct peer *p, weir_time duration)
{
    weir_time end = p->now + duration;

    weir_advance(p->stack, p->now);
    peer_drain(p);
    while (weir_deadline(p->stack) <= end) {
        if (weir_deadline(p->stack) > p->now)
            p->now = weir_deadline(p->stack);
        weir_advance(p->stack, p->now);
        peer_drain(p);
    }
    p->now = end;
    weir_advance(p->stack, p->now);
    peer_drain(p);
}

/* Time passes until the log holds n segments, but no longer than `limit`. */
static inline void peer_wait(struct peer *p, unsigned n, weir_time limit)
{
    weir_time end = p->now + limit;

    peer_drain(p);
    while (p->n < n && weir_deadline(p->stack) <= end) {
        if (weir_deadline(p->stack) > p->now)
            p->now = weir_deadline(p->stack);
        weir_advance(p->stack, p->now);
        peer_drain(p);
    }
}

static inline void peer_clear(struct peer *p)
{
    peer_drain(p);
    p->n = 0;
}

/* As a link that reads the frame straight into the room, if there is one. */
static inline void peer_use_room(struct peer *p, struct weir_frame *in)
{
    struct weir_room room;

    if (!weir_input_room(p->stack, p->ifindex, &room) || in->len <= room.head_len)
        return;
    memcpy(room.data, in->data + room.head_len, in->len - room.head_len);
    memset((void *)(uintptr_t)(in->data + room.head_len), 0xdb, in->len - room.head_len);
    in->body = room.data;
    in->body_at = room.head_len;
    p->in_room++;
}

/* The header of an IPv4 packet of `len` bytes of TCP from the peer. */
static inline void peer_ip4(const struct peer *p, uint8_t *frame, size_t len)
{
    memset(frame, 0, 20);
    frame[0] = 0x45;
    put_be16(frame + 2, (uint16_t)(20 + len));
    frame[8] = 64;
    frame[9] = 6;
    memcpy(frame + 12, p->them.b + 12, 4);
    memcpy(frame + 16, p->us.b + 12, 4);
    put_be16(frame + 10, wr_csum(frame, 20));
}

/* A segment with everything said. opts: written as they stand, n_opts a multiple of 4. */
static inline void peer_raw(struct peer *p, const struct w_tcp *th, const uint8_t *opts,
                            size_t n_opts, const void *data, size_t len)
{
    static uint8_t frame[70000];
    uint8_t *tcp = frame + 20;
    size_t tlen = W_TCP_HLEN + n_opts + len;
    struct w_tcp full = *th;
    struct weir_frame in = {.data = frame, .len = 20 + tlen};

    peer_ip4(p, frame, tlen);
    full.data_off = (uint8_t)(W_TCP_HLEN + n_opts);
    wr_w_tcp_emit(tcp, &full);
    wr_bytes_copy(tcp + W_TCP_HLEN, opts, n_opts);
    wr_bytes_copy(tcp + W_TCP_HLEN + n_opts, data, len);
    put_be16(tcp + W_TCP_OFF_CSUM,
             wr_csum_finish(
                 wr_csum_add(wr_csum_pseudo(&p->them, &p->us, 6, (uint32_t)tlen), tcp, tlen)));
    in.gso_size = p->gso;
    in.csum_valid = p->gso != 0;
    if (p->room)
        peer_use_room(p, &in);
    assert_int_equal(weir_input(p->stack, p->ifindex, &in, p->now), 0);
    peer_drain(p);
}

/* A segment of a connection at any sequence and acknowledgment number. */
static inline void conn_at(struct peer *p, struct conn *c, uint16_t flags, uint32_t seq,
                           uint32_t ack, const void *data, size_t len)
{
    struct w_tcp th = {.src_port = c->theirs,
                       .dst_port = c->ours,
                       .seq = seq,
                       .ack = (flags & W_TCP_ACK) ? ack : 0,
                       .flags = flags,
                       .wnd = c->wnd};
    struct w_tcpopt opt = {.has_ts = c->ts, .ts_val = c->ts_val, .ts_ecr = c->ts_ecr};
    uint8_t opts[W_TCPOPT_MAX];

    peer_raw(p, &th, opts, c->ts ? wr_w_tcpopt_emit(opts, &opt) : 0, data, len);
}

/* The next bytes in order; snd moves on. */
static inline void conn_data(struct peer *p, struct conn *c, uint16_t flags, const void *data,
                             size_t len)
{
    uint32_t seq = c->snd;
    c->snd += (uint32_t)len + ((flags & W_TCP_FIN) ? 1 : 0);
    conn_at(p, c, flags, seq, c->rcv, data, len);
}

/* A plain ACK of everything below `ack`, with SACK blocks. */
static inline void conn_ack(struct peer *p, struct conn *c, uint32_t ack,
                            const struct w_sack *blocks, unsigned n)
{
    struct w_tcp th = {.src_port = c->theirs,
                       .dst_port = c->ours,
                       .seq = c->snd,
                       .ack = ack,
                       .flags = W_TCP_ACK,
                       .wnd = c->wnd};
    struct w_tcpopt opt = {.has_ts = c->ts, .ts_val = c->ts_val, .ts_ecr = c->ts_ecr};
    uint8_t opts[W_TCPOPT_MAX];

    opt.n_sack = (uint8_t)n;
    for (unsigned i = 0; i < n; i++)
        opt.sack[i] = blocks[i];
    c->rcv = ack;
    peer_raw(p, &th, opts, wr_w_tcpopt_emit(opts, &opt), NULL, 0);
}

static inline void peer_listen(struct peer *p, uint16_t port, int backlog)
{
    struct weir_endpoint local = {p->us, port};

    assert_int_equal(weir_sock_open(p->stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &p->listener), 0);
    assert_int_equal(weir_sock_bind(p->stack, p->listener, &local), 0);
    assert_int_equal(weir_sock_listen(p->stack, p->listener, backlog, p->now), 0);
}

static inline struct conn peer_conn(struct peer *p, uint16_t ours)
{
    struct conn c = {.theirs = p->next_port++, .ours = ours, .wnd = 65535};
    c.iss = c.snd = 0x10000u * c.theirs;
    return c;
}

/* Sends a SYN with these options and data; the SYN-ACK is p->log[0]. */
static inline void conn_syn_data(struct peer *p, struct conn *c, const struct w_tcpopt *opt,
                                 const void *data, size_t len)
{
    struct w_tcp th = {.src_port = c->theirs,
                       .dst_port = c->ours,
                       .seq = c->iss,
                       .flags = W_TCP_SYN,
                       .wnd = c->wnd};
    uint8_t opts[W_TCPOPT_MAX];

    p->n = 0;
    peer_raw(p, &th, opts, opt != NULL ? wr_w_tcpopt_emit_syn(opts, opt) : 0, data, len);
    c->snd = c->iss + 1;
    if (p->n > 0) {
        c->irs = p->log[0].th.seq;
        c->rcv = c->irs + 1;
        c->ts_ecr = p->log[0].opt.ts_val;
    }
}

static inline void conn_syn(struct peer *p, struct conn *c, const struct w_tcpopt *opt)
{
    conn_syn_data(p, c, opt, NULL, 0);
}

/* A whole passive open with these options: MSS 1000 and SACK when NULL. The log is empty after it. */
static inline struct conn peer_open_with(struct peer *p, uint16_t port, const struct w_tcpopt *opt)
{
    struct w_tcpopt plain = {.has_mss = true, .mss = 1000, .sack_permitted = true};
    struct conn c = peer_conn(p, port);

    if (opt == NULL)
        opt = &plain;
    conn_syn(p, &c, opt);
    assert_int_equal(p->n, 1);
    assert_int_equal(p->log[0].th.flags, W_TCP_SYN | W_TCP_ACK);
    c.ts = opt->has_ts;
    c.ts_val = opt->ts_val;
    peer_run(p, p->rtt);
    conn_at(p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    assert_int_equal(weir_sock_accept(p->stack, p->listener, &c.sock, NULL, p->now), 0);
    peer_clear(p);
    return c;
}

static inline struct conn peer_open(struct peer *p, uint16_t port)
{
    return peer_open_with(p, port, NULL);
}

/* One that the stack opens to a port of the peer's; its SYN is in the log. */
static inline struct conn peer_connect(struct peer *p, int expect)
{
    struct conn c = {.theirs = p->next_port++, .wnd = 65535, .iss = 9, .snd = 9};
    struct weir_endpoint remote = {p->them, c.theirs}, local;

    peer_clear(p);
    assert_int_equal(weir_sock_open(p->stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &c.sock), 0);
    assert_int_equal(weir_sock_connect(p->stack, c.sock, &remote, p->now), expect);
    assert_int_equal(weir_sock_getsockname(p->stack, c.sock, &local), 0);
    c.ours = local.port;
    peer_drain(p);
    if (p->n > 0) {
        c.irs = p->log[0].th.seq;
        c.rcv = c.irs + 1;
    }
    return c;
}

static inline ptrdiff_t conn_write(struct peer *p, struct conn *c, const void *data, size_t len)
{
    ptrdiff_t n = weir_sock_send(p->stack, c->sock, data, len, 0, NULL, p->now);
    peer_drain(p);
    return n;
}

/* `len` bytes of no meaning. */
static inline ptrdiff_t conn_fill(struct peer *p, struct conn *c, size_t len)
{
    static const uint8_t zeros[1 << 17];
    assert_true(len <= sizeof zeros);
    return conn_write(p, c, zeros, len);
}

static inline ptrdiff_t conn_read(struct peer *p, struct conn *c, void *data, size_t len)
{
    ptrdiff_t n = weir_sock_recv(p->stack, c->sock, data, len, 0, NULL, p->now);
    peer_drain(p);
    return n;
}

static inline int conn_opt(struct peer *p, struct conn *c, int level, int option, int value)
{
    int r = weir_sock_setsockopt(p->stack, c->sock, level, option, &value, sizeof value, p->now);
    peer_drain(p);
    return r;
}

static inline struct weir_tcp_info conn_info(struct peer *p, struct conn *c)
{
    struct weir_tcp_info info;
    size_t len = sizeof info;
    assert_int_equal(
        weir_sock_getsockopt(p->stack, c->sock, WEIR_SOL_TCP, WEIR_TCP_INFO, &info, &len, p->now),
        0);
    return info;
}

static inline int conn_state(struct peer *p, struct conn *c)
{
    return conn_info(p, c).tcpi_state;
}

static inline int conn_error(struct peer *p, struct conn *c)
{
    int error = 0;
    size_t len = sizeof error;
    assert_int_equal(weir_sock_getsockopt(p->stack, c->sock, WEIR_SOL_SOCKET, WEIR_SO_ERROR, &error,
                                          &len, p->now),
                     0);
    return error;
}

static inline uint64_t peer_drops(struct peer *p, const char *name)
{
    for (unsigned i = 0; i < weir_drop_reasons(); i++) {
        if (strcmp(weir_drop_name(i), name) == 0)
            return weir_drop_count(p->stack, i);
    }
    fail_msg("no drop reason %s", name);
    return 0;
}

/* Rows of the connection table in a TCP state. */
static inline unsigned peer_rows(struct peer *p, int state)
{
    struct weir_sock_row row;
    uint64_t cursor = 0;
    unsigned n = 0;
    while (weir_sock_next_row(p->stack, &cursor, &row))
        n += row.state == state;
    return n;
}

#endif
