/* SPDX-License-Identifier: MIT */
/* What the rest of the stack may call of UDP (RFC 768, RFC 8085 3; sockets as on Linux). */
#ifndef WR_UDP_ENTRY_H
#define WR_UDP_ENTRY_H

#include <weir/socket.h>

#include "core/core.h"

struct wr_udp_sock;

int wr_udp_init(struct weir_stack *stack);
void wr_udp_fini(struct weir_stack *stack);
void wr_udp_input(struct weir_stack *stack, const struct wr_pkt *pkt, weir_time now);
/* An ICMP error about a datagram. False: no socket here sent it. */
bool wr_udp_icmp(struct weir_stack *stack, const struct wr_icmp_error *error, weir_time now);

/* An echo reply: `pkt` is a checked ICMP message of at least 8 bytes. False: no socket asked. */
bool wr_ping_input(struct weir_stack *stack, const struct wr_pkt *pkt);
/* An ICMP error about an ICMP message. False: no socket here sent it. */
bool wr_ping_icmp(struct weir_stack *stack, const struct wr_icmp_error *error, weir_time now);

/* ---- from sock ------------------------------------------------------------------------------- */

/* A socket without a port; `ready` is touched on every change. proto: UDP, ICMP or ICMPv6; the last two
 * make it a ping socket, whose datagrams are echo requests and replies with their ICMP header and whose
 * port is the identifier in them. NULL: no memory. */
struct wr_udp_sock *wr_udp_open(struct weir_stack *stack, uint8_t proto, struct wr_ready *ready);
/* Drops what is queued and frees it. */
void wr_udp_close(struct weir_stack *stack, struct wr_udp_sock *sock);
/* Gives it its local endpoint, or takes it (port 0). The address may be unspecified: :: without
 * v6only receives IPv4 too. Who may share a port is sock's business. 0 or WEIR_ENOMEM: it has no
 * port then. */
int wr_udp_bound(struct weir_stack *stack, struct wr_udp_sock *sock,
                 const struct weir_endpoint *local, bool v6only);
/* Sets the peer: only its datagrams are received, and ICMP errors are told. remote NULL
 * dissolves it. The local address becomes the route's unless one is bound. WEIR_ENETUNREACH,
 * WEIR_EACCES, ... */
int wr_udp_connect(struct weir_stack *stack, struct wr_udp_sock *sock,
                   const struct weir_endpoint *remote);
/* Local endpoint, and the peer's (port 0 and unspecified when there is none). */
void wr_udp_endpoints(const struct wr_udp_sock *sock, struct weir_endpoint *local,
                      struct weir_endpoint *remote);

/* Sends one datagram (it must have a port); to NULL: to the peer. len, or a pending error first,
 * WEIR_EDESTADDRREQ, WEIR_EMSGSIZE, WEIR_EACCES (broadcast not allowed), what wr_ip_send() says. */
ptrdiff_t wr_udp_send(struct weir_stack *stack, struct wr_udp_sock *sock, const void *data,
                      size_t len, const struct weir_endpoint *to, weir_time now);
/* Takes the oldest datagram; its rest beyond `len` is lost. Bytes copied (WEIR_MSG_TRUNC: the whole
 * length), a pending error first, WEIR_EAGAIN. WEIR_MSG_PEEK leaves it. `from` may be NULL. */
ptrdiff_t wr_udp_recv(struct weir_stack *stack, struct wr_udp_sock *sock, void *data, size_t len,
                      int flags, struct weir_endpoint *from);
uint32_t wr_udp_ready(const struct wr_udp_sock *sock); /* WEIR_POLL* bits as datagram_poll() */
int wr_udp_take_error(struct wr_udp_sock *sock);       /* SO_ERROR: 0 or positive errno; cleared */
size_t wr_udp_inq(const struct wr_udp_sock *sock); /* length of the first datagram, 0 when none */

/* Options, for reading and writing. */
struct wr_udp_opts {
    uint32_t rcvbuf, sndbuf; /* bytes of memory, as getsockopt shows them */
    uint8_t hop_limit, ds;   /* 0: default */
    bool broadcast;
    bool reuseport;   /* share datagrams by hash with the others on the same endpoint */
    int mtu_discover; /* IP_PMTUDISC_*: 0 fragments, 2 never, 1 by the path MTU, 3 ignores that */
};
struct wr_udp_opts *wr_udp_opts(struct wr_udp_sock *sock);

/* Is it the limited broadcast address, or that of a subnet of one of the stack's interfaces? */
bool wr_udp_is_broadcast(const struct weir_stack *stack, const struct weir_addr *addr);

#endif
