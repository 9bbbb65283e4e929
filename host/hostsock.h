/* SPDX-License-Identifier: MIT */
/* The descriptor table, for the calls of hostsock.c. The lock is held in all of these. */
#ifndef WEIR_HOSTSOCK_H
#define WEIR_HOSTSOCK_H

#include "host/host_internal.h"

/* Gives a socket of the core the lowest free descriptor. It, or WEIR_ENOMEM. */
int wr_hostsock_add(struct weir_host *host, weir_sock sock, int domain, int type, bool nonblock);
/* A descriptor for an epoll, which it owns from then on. The same. */
int wr_hostsock_add_epoll(struct weir_host *host, struct wr_epoll *epoll);
/* As weir_sendto() and weir_recvfrom(), with the lock held (it is released while they wait); a count or a
 * negative error. `from` may be NULL. */
ptrdiff_t wr_hostsock_send(struct weir_host *host, struct wr_hsock *hs, const void *data,
                           size_t len, int flags, const struct sockaddr *to, socklen_t to_len);
ptrdiff_t wr_hostsock_recv(struct weir_host *host, struct wr_hsock *hs, void *into, size_t len,
                           int flags, struct weir_endpoint *from);
/* Takes a descriptor out of the table and wakes who waits for it; the caller still holds it. */
void wr_hostsock_remove(struct weir_host *host, struct wr_hsock *hs);

#endif
