/* SPDX-License-Identifier: MIT */
/* The XDP program of an AF_XDP link, made of instructions here: no compiler for BPF is needed. */
#ifndef WEIR_LINK_XDP_PROGRAM_H
#define WEIR_LINK_XDP_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

/* Where it is attached, and what it takes. */
struct wr_xdp_hook {
    bool generic; /* the kernel's generic hook, and TCP alone; else the driver's, and all */
    bool pieces;  /* frames longer than a chunk too (Linux 6.6) */
};

struct wr_xdp_program {
    int map_fd; /* an XSKMAP: the socket of each queue */
    int prog_fd;
    int attach_fd; /* while it is open the program is at the interface: it goes with the process */
};

/* Loads it for the host at `mac`, and attaches it to the interface of this namespace. 0 or a negative error and *why. */
int wr_xdp_program_open(struct wr_xdp_program *program, int ifindex, const uint8_t mac[6],
                        struct wr_xdp_hook hook, const char **why);
void wr_xdp_program_close(struct wr_xdp_program *program);

#endif
