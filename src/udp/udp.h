/* SPDX-License-Identifier: MIT */
/*
 * UDP, RFC 768, RFC 8085, with sockets as on Linux.
 *
 *     udp_sock.c     a socket: open, close, local endpoint, peer, receive queue, errors
 *     udp_input.c    a datagram or an ICMP error came: whose is it?
 *     udp_output.c   sending one datagram
 *     udp_ping.c     the same sockets for echo requests, as Linux's "ping sockets"
 *
 * A socket holds a queue of whole datagrams, bounded by the memory they take and not by their data,
 * so that a flood of empty ones is bounded too. What does not fit is dropped and counted; nothing
 * is ever queued for sending, for the interface's queue is the only one.
 */
#ifndef WR_UDP_H
#define WR_UDP_H

#include "base/hash.h"
#include "core/core.h"
#include "ip/ip_entry.h"
#include "udp/udp_entry.h"

enum { /* IP_MTU_DISCOVER, Linux's numbers */
       WR_PMTUDISC_DONT = 0,
       WR_PMTUDISC_WANT = 1,
       WR_PMTUDISC_DO = 2,
       WR_PMTUDISC_PROBE = 3,
       WR_PMTUDISC_INTERFACE = 4,
       WR_PMTUDISC_OMIT = 5
};

struct wr_udp {
    struct wr_hash ports; /* struct wr_udp_sock.node by local port */
    struct wr_hash pings; /* the same of ping sockets, by identifier */
};

/* A datagram in a receive queue. */
struct wr_dgram {
    struct wr_list node;
    struct weir_endpoint from;
    uint32_t len; /* bytes of data */
    uint8_t data[];
};

struct wr_udp_sock {
    struct wr_hash_node node; /* in ports while local.port is not 0 */
    struct wr_ready *ready;
    struct weir_endpoint local;  /* where datagrams are received */
    struct weir_endpoint remote; /* the peer; port 0: none */
    struct weir_addr bound_addr; /* local.addr before connect, when addr_by_route */
    uint8_t proto; /* W_IPPROTO_UDP; of a ping socket W_IPPROTO_ICMP or W_IPPROTO_ICMP6 */
    bool v6only;
    bool addr_by_route; /* local.addr was set by connect, not by bind */
    bool connected;
    int error;            /* positive errno, to be told once */
    struct wr_list queue; /* struct wr_dgram, oldest first */
    size_t queue_bytes;   /* memory charged for them */
    struct wr_udp_opts opts;
};

/* The hash under which the sockets of a local port are found in one of the two tables. */
uint64_t wr_udp_port_hash(const struct wr_hash *table, uint16_t port);
/* Does the socket receive at this address of ours? */
bool wr_udp_addr_fits(const struct wr_udp_sock *sock, const struct weir_addr *local);
/* An ICMP error that is this socket's: tells it, or not. */
void wr_udp_told(struct weir_stack *stack, struct wr_udp_sock *sock,
                 const struct wr_icmp_error *error, weir_time now);
/* Checks an echo request that is to be sent and gives it the socket's identifier: its first 8 bytes
 * to head[], with the checksum 0. WEIR_EINVAL: it is none; WEIR_EAFNOSUPPORT: not to that address. */
int wr_ping_head(const struct wr_udp_sock *sock, const struct weir_addr *to, const void *data,
                 size_t len, uint8_t head[8]);

/* Queues a copy of a datagram, or drops and counts it. */
void wr_udp_deliver(struct weir_stack *stack, struct wr_udp_sock *sock,
                    const struct weir_endpoint *from, const uint8_t *data, size_t len);

/* The path to an address, from the socket's own if it has one. WEIR_EACCES for a broadcast that is
 * not allowed, or what wr_path_find() says. */
int wr_udp_find_path(struct weir_stack *stack, const struct wr_udp_sock *sock,
                     const struct weir_addr *remote, struct wr_path *path);

#endif
