/* SPDX-License-Identifier: MIT */
/* What the rest of the stack may call of the DHCP client. */
#ifndef WR_DHCP_ENTRY_H
#define WR_DHCP_ENTRY_H

#include "core/core.h"

/* A datagram of `len` bytes, checked, came to the client's port on an interface whose netif->dhcp is
 * set. */
void wr_dhcp_input(struct weir_stack *stack, struct wr_netif *netif, const uint8_t *data,
                   size_t len, weir_time now);
/* Frees the client of an interface that goes, without a word to its server. */
void wr_dhcp_netif_gone(struct weir_stack *stack, struct wr_netif *netif);
/* The same for all interfaces, for weir_stack_free(). */
void wr_dhcp_fini(struct weir_stack *stack);
void wr_dhcp_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now);

#endif
