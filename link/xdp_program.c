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
 */
#include <errno.h>
#include <linux/if_link.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <weir/error.h>

#include "link/xdp_program.h"

enum { QUEUES = 64 };

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

static int load(int map_fd, const uint8_t mac[6])
{
    enum { R0, R1, R2, R3, R4, R5 };
    int32_t high;
    uint16_t low;
    memcpy(&high, mac, sizeof high); /* as the program loads them: in this machine's order */
    memcpy(&low, mac + 4, sizeof low);
    struct bpf_insn code[] = {
        LOAD(BPF_W, R2, R1, 0), /* xdp_md.data */
        LOAD(BPF_W, R3, R1, 4), /* .data_end */
        COPY(R4, R2),
        PLUS(R4, 14),
        IF_GREATER(R4, R3, 10),
        LOAD(BPF_W, R5, R2, 0),
        IF_NOT(R5, high, 8),
        LOAD(BPF_H, R5, R2, 4),
        IF_NOT(R5, low, 6),
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
                         NULL);
}

static int attach(int prog_fd, int ifindex, uint32_t flags)
{
    struct bpf_link_create_opts opts = {.sz = sizeof opts, .flags = flags};
    return bpf_link_create(prog_fd, ifindex, BPF_XDP, &opts);
}

/* At the driver's hook, else at the generic one. */
static int attach_somewhere(struct wr_xdp_program *program, int ifindex)
{
    if (!program->generic) {
        int fd = attach(program->prog_fd, ifindex, XDP_FLAGS_DRV_MODE);
        if (fd >= 0 || fd == -EBUSY || fd == -EEXIST || fd == -EPERM)
            return fd;
    }
    program->generic = true;
    return attach(program->prog_fd, ifindex, XDP_FLAGS_SKB_MODE);
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

static int open_parts(struct wr_xdp_program *program, int ifindex, const uint8_t mac[6])
{
    program->map_fd = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "weir_xsks", 4, 4, QUEUES, NULL);
    if (program->map_fd < 0)
        return program->map_fd;
    program->prog_fd = load(program->map_fd, mac);
    if (program->prog_fd < 0)
        return program->prog_fd;
    program->attach_fd = attach_somewhere(program, ifindex);
    return program->attach_fd < 0 ? program->attach_fd : 0;
}

int wr_xdp_program_open(struct wr_xdp_program *program, int ifindex, const uint8_t mac[6],
                        bool generic, const char **why)
{
    *program = (struct wr_xdp_program){-1, -1, -1, generic};
    int rc = open_parts(program, ifindex, mac);
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
    *program = (struct wr_xdp_program){-1, -1, -1, false};
}
