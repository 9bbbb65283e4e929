/* SPDX-License-Identifier: MIT */
/* What stack.c calls of sock. The public calls are in include/weir/socket.h and event.h. */
#ifndef WR_SOCK_ENTRY_H
#define WR_SOCK_ENTRY_H

#include "core/core.h"

/* Makes stack->socks: no socket, no port bound. 0 or WEIR_ENOMEM. */
int wr_socks_init(struct weir_stack *stack);
/* Closes every socket (listeners and UDP sockets are freed, connections left to wr_tcp_fini) and
 * frees the table. Nothing may be sent any more: the interfaces are gone. */
void wr_socks_fini(struct weir_stack *stack);

#endif
