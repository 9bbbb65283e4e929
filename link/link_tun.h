/* SPDX-License-Identifier: MIT */
/* The control side of TUN devices: opening, namespaces, addresses. Used by link_tun.c. */
#ifndef WEIR_LINK_TUN_H
#define WEIR_LINK_TUN_H

#include <stdint.h>

#include <weir/link.h>

/* Opens /dev/net/tun in the namespace of the configuration and makes or attaches to the interface.
 * Returns the descriptor or a negative error. */
int wr_tun_open(const struct weir_tun_config *config);

/* The MTU of interface `name` in the namespace of the TUN device `fd`; 1500 when it cannot be read. */
uint32_t wr_tun_kernel_mtu(int fd, const char *name);

/* The largest super-segment that is sent to an interface, if it takes that (tun_control.c). */
enum { WR_TUN_SUPER_BYTES = 262144 };
/* What the kernel's side of the interface takes, 65535 to WR_TUN_SUPER_BYTES. */
uint32_t wr_tun_super_bytes(int fd, const char *name);

#endif
