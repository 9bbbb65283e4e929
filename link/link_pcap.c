/* SPDX-License-Identifier: MIT */
/*
 * Capture to pcapng (draft-ietf-opsawg-pcapng): a section header, one interface with nanosecond
 * times, then one enhanced packet block for each frame of the wire, with its direction in
 * epb_flags. What passes as a super-segment or with its checksum unfinished is written cut and finished.
 *
 * Blocks are collected and written when 64 KiB are full, 200 ms after the oldest (not in virtual
 * time, where a deadline of the capture's own would change the run), and at the end. A disk that fails
 * ends the capture and not the traffic.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "link/link_wire.h"

enum {
    BLOCK_SHB = 0x0a0d0d0a,
    BLOCK_IDB = 1,
    BLOCK_EPB = 6,
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    LINKTYPE_ETHERNET = 1,
    LINKTYPE_RAW = 101,
    OPT_END = 0,
    OPT_IF_NAME = 2,
    OPT_IF_TSRESOL = 9,
    OPT_SHB_USERAPPL = 4,
    OPT_EPB_FLAGS = 2,
    EPB_INBOUND = 1,
    EPB_OUTBOUND = 2,
    EPB_OVERHEAD = 44, /* everything but the frame */
    BUF_BYTES = 1 << 16
};

static const weir_time flush_after = 200 * WEIR_MS;

struct pcap {
    struct weir_link link;
    struct weir_link *inner;
    bool virtual_time;
    int fd; /* -1: writing has failed */
    size_t used;
    weir_time flush_at; /* NEVER: nothing is waiting */
    uint8_t buf[BUF_BYTES];
};

/* ---- blocks ------------------------------------------------------------------------------------- */

static void write_all(struct pcap *pcap, const uint8_t *p, size_t len)
{
    while (len > 0 && pcap->fd >= 0) {
        ssize_t n = write(pcap->fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            close(pcap->fd);
            pcap->fd = -1;
            return;
        }
        p += n;
        len -= (size_t)n;
    }
}

static void flush(struct pcap *pcap)
{
    write_all(pcap, pcap->buf, pcap->used);
    pcap->used = 0;
    pcap->flush_at = WEIR_TIME_NEVER;
}

static void put(struct pcap *pcap, const void *data, size_t len)
{
    if (len == 0)
        return;
    if (len > sizeof pcap->buf - pcap->used)
        flush(pcap);
    if (len > sizeof pcap->buf) {
        write_all(pcap, data, len);
        return;
    }
    memcpy(pcap->buf + pcap->used, data, len);
    pcap->used += len;
}

/* Numbers are in the writer's byte order: the section header says which. */
static void put32(struct pcap *pcap, uint32_t v)
{
    put(pcap, &v, sizeof v);
}

static void put_padding(struct pcap *pcap, size_t len)
{
    static const uint8_t zero[4];
    put(pcap, zero, (4 - len % 4) % 4);
}

static void put_option(struct pcap *pcap, uint16_t code, const void *data, size_t len)
{
    uint16_t head[2] = {code, (uint16_t)len};
    put(pcap, head, sizeof head);
    put(pcap, data, len);
    put_padding(pcap, len);
}

static size_t option_size(size_t len)
{
    return 4 + (len + 3) / 4 * 4;
}

static void put_section(struct pcap *pcap)
{
    static const char who[] = "weir";
    const uint16_t version[2] = {1, 0};
    const int64_t section_length = -1; /* not known */
    uint32_t total = (uint32_t)(28 + option_size(sizeof who - 1) + 4);
    put32(pcap, BLOCK_SHB);
    put32(pcap, total);
    put32(pcap, BYTE_ORDER_MAGIC);
    put(pcap, version, sizeof version);
    put(pcap, &section_length, sizeof section_length);
    put_option(pcap, OPT_SHB_USERAPPL, who, sizeof who - 1);
    put_option(pcap, OPT_END, NULL, 0);
    put32(pcap, total);
}

static void put_interface(struct pcap *pcap)
{
    static const uint8_t nanoseconds = 9;
    const struct weir_netif_config *netif = &pcap->link.netif;
    size_t name_len = strnlen(netif->name, sizeof netif->name);
    const uint16_t linktype[2] = {
        netif->kind == WEIR_NETIF_ETHERNET ? LINKTYPE_ETHERNET : LINKTYPE_RAW, 0};
    uint32_t total = (uint32_t)(20 + option_size(name_len) + option_size(1) + 4);
    put32(pcap, BLOCK_IDB);
    put32(pcap, total);
    put(pcap, linktype, sizeof linktype);
    put32(pcap, 0); /* snap length: none */
    put_option(pcap, OPT_IF_NAME, netif->name, name_len);
    put_option(pcap, OPT_IF_TSRESOL, &nanoseconds, 1);
    put_option(pcap, OPT_END, NULL, 0);
    put32(pcap, total);
}

struct packet {
    struct pcap *pcap;
    uint64_t time;
    uint32_t flags;
};

static int put_packet(void *arg, const uint8_t *frame, size_t len)
{
    const struct packet *packet = arg;
    struct pcap *pcap = packet->pcap;
    uint32_t total = (uint32_t)(EPB_OVERHEAD + (len + 3) / 4 * 4);
    put32(pcap, BLOCK_EPB);
    put32(pcap, total);
    put32(pcap, 0);
    put32(pcap, (uint32_t)(packet->time >> 32));
    put32(pcap, (uint32_t)packet->time);
    put32(pcap, (uint32_t)len);
    put32(pcap, (uint32_t)len);
    put(pcap, frame, len);
    put_padding(pcap, len);
    put_option(pcap, OPT_EPB_FLAGS, &packet->flags, sizeof packet->flags);
    put_option(pcap, OPT_END, NULL, 0);
    put32(pcap, total);
    return 0;
}

/* ---- the link ----------------------------------------------------------------------------------- */

static struct packet begin_packet(struct pcap *pcap, uint32_t flags, weir_time now)
{
    struct packet packet = {pcap, (uint64_t)now, flags};
    if (!pcap->virtual_time) {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        packet.time = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
        if (pcap->flush_at == WEIR_TIME_NEVER)
            pcap->flush_at = weir_time_after(now, flush_after);
    }
    return packet;
}

static void flush_if_due(struct pcap *pcap, weir_time now)
{
    if (pcap->flush_at <= now)
        flush(pcap);
}

static int pcap_send(struct weir_link *link, const struct weir_out *frame, weir_time now)
{
    struct pcap *pcap = (struct pcap *)link;
    int rc = pcap->inner->ops->send(pcap->inner, frame, now);
    if (rc == 0 && pcap->fd >= 0) {
        struct packet packet = begin_packet(pcap, EPB_OUTBOUND, now);
        weir_out_segment(frame, link->netif.kind, put_packet, &packet);
    }
    flush_if_due(pcap, now);
    return rc;
}

static int pcap_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    struct pcap *pcap = (struct pcap *)link;
    int rc = pcap->inner->ops->recv(pcap->inner, frame, now);
    if (rc == 1 && pcap->fd >= 0) {
        struct packet packet = begin_packet(pcap, EPB_INBOUND, now);
        wr_link_frame_segment(frame, link->netif.kind, put_packet, &packet);
    }
    flush_if_due(pcap, now);
    return rc;
}

static weir_time pcap_deadline(const struct weir_link *link)
{
    const struct pcap *pcap = (const struct pcap *)link;
    return weir_time_min(pcap->flush_at, pcap->inner->ops->deadline(pcap->inner));
}

static int pcap_fd(const struct weir_link *link)
{
    const struct pcap *pcap = (const struct pcap *)link;
    return pcap->inner->ops->fd(pcap->inner);
}

static void pcap_free(struct weir_link *link)
{
    struct pcap *pcap = (struct pcap *)link;
    flush(pcap);
    weir_link_free(pcap->inner);
    if (pcap->fd >= 0)
        close(pcap->fd);
    free(pcap);
}

static void pcap_flush(struct weir_link *link, weir_time now)
{
    struct weir_link *inner = ((struct pcap *)link)->inner;
    if (inner->ops->flush)
        inner->ops->flush(inner, now);
}

static const struct weir_link_ops pcap_ops = {
    .flush = pcap_flush,
    .send = pcap_send,
    .recv = pcap_recv,
    .deadline = pcap_deadline,
    .fd = pcap_fd,
    .free = pcap_free,
};

int weir_link_pcap(struct weir_link *inner, const char *path, bool virtual_time,
                   struct weir_link **link)
{
    struct pcap *pcap = calloc(1, sizeof *pcap);
    if (!pcap)
        return WEIR_ENOMEM;
    pcap->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (pcap->fd < 0) {
        int rc = -errno;
        free(pcap);
        return rc;
    }
    pcap->link = (struct weir_link){.ops = &pcap_ops, .netif = inner->netif};
    pcap->inner = inner;
    pcap->virtual_time = virtual_time;
    pcap->flush_at = WEIR_TIME_NEVER;
    put_section(pcap);
    put_interface(pcap);
    *link = &pcap->link;
    return 0;
}
