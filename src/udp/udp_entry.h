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
void wr_udp_icmp(struct weir_stack *stack, const struct wr_icmp_error *error, weir_time now);

/* local: address (maybe any) and port, chosen by sock. `ready` is touched on every change. NULL: no memory. */
struct wr_udp_sock *wr_udp_open(struct weir_stack *stack, struct wr_ready *ready);
void wr_udp_close(struct weir_stack *stack, struct wr_udp_sock *sock);
void wr_udp_bound(struct weir_stack *stack, struct wr_udp_sock *sock,
                  const struct weir_endpoint *local, bool v6only);
/* remote NULL: dissolve. Source address is found by route. */
int wr_udp_connect(struct weir_stack *stack, struct wr_udp_sock *sock,
                   const struct weir_endpoint *remote);
ptrdiff_t wr_udp_send(struct weir_stack *stack, struct wr_udp_sock *sock, const void *data,
                      size_t len, const struct weir_endpoint *to, weir_time now);
ptrdiff_t wr_udp_recv(struct weir_stack *stack, struct wr_udp_sock *sock, void *data, size_t len,
                      int flags, struct weir_endpoint *from);
uint32_t wr_udp_ready(const struct wr_udp_sock *sock);
int wr_udp_take_error(struct wr_udp_sock *sock);
size_t wr_udp_inq(const struct wr_udp_sock *sock); /* length of the first datagram */
/* May another UDP socket hold this local endpoint? (used by sock for bind conflicts is sock's own table) */

/* Options: receive buffer bound in bytes, hop limit (0: default), DS field, broadcast allowed, path MTU
 * discovery (IP_PMTUDISC_*). */
struct wr_udp_opts {
    uint32_t rcvbuf;
    uint8_t hop_limit, ds;
    bool broadcast;
    int mtu_discover;
};
struct wr_udp_opts *wr_udp_opts(struct wr_udp_sock *sock);

#endif
