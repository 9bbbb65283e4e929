/* SPDX-License-Identifier: MIT */
/*
 * What the program does with each frame that the interface receives, before the kernel's stack sees it:
 *
 *     shorter than an Ethernet header, or not to our address     pass: it is the kernel's
 *     to our address                                             to the socket of the queue that it came in on
 *                                                                (or pass, if that queue has none)
 *
 * Frames for groups are the kernel's and ours. A program cannot give one frame to both, so they pass, and come
 * to us by a packet socket behind it.
 *
 * At the generic hook only TCP is taken, without IPv4 fragments and IPv6 extension headers, and the packet socket has the rest as well.
 * There super-segments and super-datagrams pass whole, and XDP does not say what size they are to be cut to. Of
 * a stream the size need not be known. A datagram's bounds are lost without it; the packet socket is told (vnet.h).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <weir/error.h>

#include "link/xdp_program.h"

/* A name of Linux 5.18 that older headers lack. */
#ifndef BPF_F_XDP_HAS_FRAGS
#    define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif

enum { QUEUES = 64, PROTO_TCP = 6, ETH_LEN = 14, ETH_IP_LEN = 34 };

/* Instructions, in the kernel's names for their parts. */
#define LOAD(size, dst, src, at)                                                                   \
    {                                                                                              \
        .code = BPF_LDX | (size) | BPF_MEM, .dst_reg = (dst), .src_reg = (src), .off = (at)        \
    }
#define SET(dst, value)                                                                            \
    {                                                                                              \
        .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (dst), .imm = (value)                      \
    }
#define COPY(dst, src)                                                                             \
    {                                                                                              \
        .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (dst), .src_reg = (src)                    \
    }
#define PLUS(dst, value)                                                                           \
    {                                                                                              \
        .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (dst), .imm = (value)                      \
    }
#define IF_GREATER(a, b, skip)                                                                     \
    {                                                                                              \
        .code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = (a), .src_reg = (b), .off = (skip)           \
    }
#define IF_NOT(a, value, skip)                                                                     \
    {                                                                                              \
        .code = BPF_JMP32 | BPF_JNE | BPF_K, .dst_reg = (a), .imm = (value), .off = (skip)         \
    }
#define IF_ANY(a, bits, skip)                                                                      \
    {                                                                                              \
        .code = BPF_JMP32 | BPF_JSET | BPF_K, .dst_reg = (a), .imm = (bits), .off = (skip)         \
    }
#define SKIP(skip)                                                                                 \
    {                                                                                              \
        .code = BPF_JMP | BPF_JA, .off = (skip)                                                    \
    }
#define MAP_LOW(dst, fd)                                                                           \
    {                                                                                              \
        .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = (dst), .src_reg = BPF_PSEUDO_MAP_FD,         \
        .imm = (fd)                                                                                \
    }
#define MAP_HIGH                                                                                   \
    {                                                                                              \
        0                                                                                          \
    }
#define CALL(function)                                                                             \
    {                                                                                              \
        .code = BPF_JMP | BPF_CALL, .imm = (function)                                              \
    }
#define EXIT                                                                                       \
    {                                                                                              \
        .code = BPF_JMP | BPF_EXIT                                                                 \
    }

static int load(int map_fd, const uint8_t mac[6], struct wr_xdp_hook hook)
{
    enum { R0, R1, R2, R3, R4, R5 };
    struct bpf_prog_load_opts opts = {.sz = sizeof opts,
                                      .prog_flags = hook.pieces ? BPF_F_XDP_HAS_FRAGS : 0};
    int32_t high;
    uint16_t low;
    memcpy(&high, mac, sizeof high); /* as the program loads them: in this machine's order */
    memcpy(&low, mac + 4, sizeof low);
    struct bpf_insn code[] = {
        LOAD(BPF_W, R2, R1, 0), /* xdp_md.data */
        LOAD(BPF_W, R3, R1, 4), /* .data_end */
        COPY(R4, R2),
        PLUS(R4, hook.generic ? ETH_IP_LEN : ETH_LEN),
        IF_GREATER(R4, R3, 21),
        LOAD(BPF_W, R5, R2, 0),
        IF_NOT(R5, high, 19),
        LOAD(BPF_H, R5, R2, 4),
        IF_NOT(R5, low, 17),
        SET(R5, hook.generic),
        IF_NOT(R5, true, 9),
        LOAD(BPF_H, R5, R2, 12), /* the type */
        IF_NOT(R5, htons(0x86dd), 2),
        LOAD(BPF_B, R5, R2, 20), /* IPv6: the next header */
        SKIP(4),
        IF_NOT(R5, htons(0x0800), 10),
        LOAD(BPF_H, R5, R2, 20), /* IPv4: MF and the fragment's offset */
        IF_ANY(R5, htons(0x3fff), 8),
        LOAD(BPF_B, R5, R2, 23), /* the protocol */
        IF_NOT(R5, PROTO_TCP, 6),
        LOAD(BPF_W, R2, R1, 16), /* .rx_queue_index */
        MAP_LOW(R1, map_fd),
        MAP_HIGH,
        SET(R3, XDP_PASS), /* when the queue has no socket */
        CALL(BPF_FUNC_redirect_map),
        EXIT,
        SET(R0, XDP_PASS),
        EXIT,
    };
    return bpf_prog_load(BPF_PROG_TYPE_XDP, "weir_xdp", "GPL", code, sizeof code / sizeof *code,
                         &opts);
}

static int attach(int prog_fd, int ifindex, bool generic)
{
    struct bpf_link_create_opts opts = {.sz = sizeof opts,
                                        .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE};
    return bpf_link_create(prog_fd, ifindex, BPF_XDP, &opts);
}

static const char *reason(int error)
{
    switch (error) {
    case -EBUSY:
    case -EEXIST:
        return "the interface has an XDP program already";
    case -EPERM:
        return "it takes root, or CAP_NET_ADMIN and CAP_BPF";
    case -EOPNOTSUPP:
    case -EINVAL:
    case -ENOSYS:
        return "this kernel has no AF_XDP, or not for this interface";
    default:
        return NULL;
    }
}

static int open_parts(struct wr_xdp_program *program, int ifindex, const uint8_t mac[6],
                      struct wr_xdp_hook hook)
{
    program->map_fd = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "weir_xsks", 4, 4, QUEUES, NULL);
    if (program->map_fd < 0)
        return program->map_fd;
    program->prog_fd = load(program->map_fd, mac, hook);
    if (program->prog_fd < 0)
        return program->prog_fd;
    program->attach_fd = attach(program->prog_fd, ifindex, hook.generic);
    return program->attach_fd < 0 ? program->attach_fd : 0;
}

int wr_xdp_program_open(struct wr_xdp_program *program, int ifindex, const uint8_t mac[6],
                        struct wr_xdp_hook hook, const char **why)
{
    *program = (struct wr_xdp_program){-1, -1, -1};
    int rc = open_parts(program, ifindex, mac, hook);
    if (rc < 0) {
        *why = reason(rc);
        wr_xdp_program_close(program);
        return rc == -EEXIST ? WEIR_EBUSY : rc;
    }
    return 0;
}

void wr_xdp_program_close(struct wr_xdp_program *program)
{
    int fds[3] = {program->attach_fd, program->prog_fd, program->map_fd};
    for (unsigned i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    *program = (struct wr_xdp_program){-1, -1, -1};
}
