/* SPDX-License-Identifier: MIT */
/* The XDP program of an AF_XDP link, made of instructions here: no compiler for BPF is needed. */
#ifndef WEIR_LINK_XDP_PROGRAM_H
#define WEIR_LINK_XDP_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

struct wr_xdp_program {
    int map_fd; /* an XSKMAP: the socket of each queue */
    int prog_fd;
    int attach_fd; /* while it is open the program is at the interface: it goes with the process */
    bool generic;  /* it is at the kernel's generic hook */
};

/* Loads it for the host at `mac`, and attaches it to the interface of this namespace: at the driver's hook
 * unless `generic`, or if the driver has none at the generic one. 0 or a negative error and *why. */
int wr_xdp_program_open(struct wr_xdp_program *program, int ifindex, const uint8_t mac[6],
                        bool generic, const char **why);
void wr_xdp_program_close(struct wr_xdp_program *program);

#endif
