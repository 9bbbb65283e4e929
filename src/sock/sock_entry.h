/* SPDX-License-Identifier: MIT */
/* What stack.c calls of sock. The public calls are in include/weir/socket.h and event.h. */
#ifndef WR_SOCK_ENTRY_H
#define WR_SOCK_ENTRY_H

#include "core/core.h"

/* Makes stack->socks: no socket, no port bound. 0 or WEIR_ENOMEM. */
int wr_socks_init(struct weir_stack *stack);
/* Closes every socket as weir_sock_close() does; what that leaves in the background or queues to be
* sent is for the layers below to free. Frees the table. */
void wr_socks_fini(struct weir_stack *stack);

#endif
