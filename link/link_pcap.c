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
#include "link/pcapng.h"

enum { BUF_BYTES = 1 << 16 };

static const weir_time flush_after = 200 * WEIR_MS;

struct pcap {
    struct weir_link link;
    struct weir_link *inner;
    bool virtual_time;
    int fd; /* -1: writing has failed */
    struct wr_pcapng buf;
    weir_time flush_at; /* NEVER: nothing is waiting */
};

static void flush(struct pcap *pcap)
{
    if (pcap->fd >= 0 && wr_pcapng_write(&pcap->buf, pcap->fd) != 0) {
        close(pcap->fd);
        pcap->fd = -1;
    }
    pcap->buf.len = 0;
    pcap->flush_at = WEIR_TIME_NEVER;
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
    const struct wr_pcapng_packet block = {
        .time = packet->time, .flags = packet->flags, .frame = frame, .len = len, .kept = len};
    (void)wr_pcapng_packet(&pcap->buf, &block); /* out of memory: it is missing from the file */
    if (pcap->buf.len >= BUF_BYTES)
        flush(pcap);
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
        struct packet packet = begin_packet(pcap, WR_PCAPNG_OUTBOUND, now);
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
        struct packet packet = begin_packet(pcap, WR_PCAPNG_INBOUND, now);
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
    wr_pcapng_free(&pcap->buf);
    weir_link_free(pcap->inner);
    if (pcap->fd >= 0)
        close(pcap->fd);
    free(pcap);
}

static unsigned pcap_flush(struct weir_link *link, weir_time now)
{
    struct weir_link *inner = ((struct pcap *)link)->inner;
    return inner->ops->flush ? inner->ops->flush(inner, now) : 0;
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
    if (!wr_pcapng_section(&pcap->buf) || !wr_pcapng_interface(&pcap->buf, &inner->netif)) {
        close(pcap->fd);
        wr_pcapng_free(&pcap->buf);
        free(pcap);
        return WEIR_ENOMEM;
    }
    pcap->link = (struct weir_link){.ops = &pcap_ops, .netif = inner->netif};
    pcap->inner = inner;
    pcap->virtual_time = virtual_time;
    pcap->flush_at = WEIR_TIME_NEVER;
    *link = &pcap->link;
    return 0;
}
