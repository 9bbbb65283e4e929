/* SPDX-License-Identifier: MIT */
/*
 * Blocks of pcapng (draft-ietf-opsawg-pcapng), appended to a buffer that grows. Numbers are in this machine's byte
 * order, as the section header says.
 */
#ifndef WEIR_PCAPNG_H
#define WEIR_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/stack.h>

enum { WR_PCAPNG_INBOUND = 1, WR_PCAPNG_OUTBOUND = 2 };

/* Bytes not yet written. All zeros: empty. */
struct wr_pcapng {
    uint8_t *bytes;
    size_t len, cap;
};

struct wr_pcapng_packet {
    uint32_t interface; /* number of its interface block, from 0 */
    uint64_t time;      /* nanoseconds since 1970 */
    uint32_t flags;     /* WR_PCAPNG_INBOUND, WR_PCAPNG_OUTBOUND */
    const uint8_t *frame;
    size_t len, kept;    /* on the wire; of it here */
    const char *comment; /* NULL: none */
};

/* Each appends a block; false when out of memory: nothing was appended. */
bool wr_pcapng_section(struct wr_pcapng *to);
bool wr_pcapng_interface(struct wr_pcapng *to, const struct weir_netif_config *netif);
bool wr_pcapng_packet(struct wr_pcapng *to, const struct wr_pcapng_packet *packet);
/* Interface statistics: packets that were seen on it, and of them those that are not here. */
bool wr_pcapng_statistics(struct wr_pcapng *to, uint32_t interface, uint64_t time, uint64_t seen,
                          uint64_t lost);
/* Writes as much as the descriptor takes, and keeps the rest. 0; WEIR_EAGAIN: there is a rest; other errors. */
int wr_pcapng_write(struct wr_pcapng *from, int fd);
void wr_pcapng_free(struct wr_pcapng *buf);

#endif
