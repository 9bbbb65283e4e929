/* SPDX-License-Identifier: MIT */
/*
 * AF_PACKET: a host on an interface of the kernel's, beside the kernel (packet_open.c says how it is
 * heard).
 *
 * With PACKET_VNET_HDR a frame is led by the header of vnet.h, and the interface's offload serves us as it
 * serves the kernel: what goes out is cut by the card, or in software by the kernel if it cannot; what the
 * kernel has joined (GRO), or never cut (veth), comes in as one frame of up to 64 KiB. A link without offload
 * has the header too, since the kernel at the other end of a veth may have its own: nothing else would tell
 * that a checksum is not finished.
 *
 * Reading is by recvmmsg(2), up to SLOTS frames a call. A memory ring (TPACKET_V3) would save the call, but
 * hands a block over only when it is full or a timer of some milliseconds has passed: that much would be added
 * to each round trip. When frames are large few are asked for at once, so that they are still in the cache
 * when the stack reads them, or one by one into the receive ring itself (weir_input_room()). Sending is one sendmsg(2) a frame, straight from the send ring.
 */
#define _GNU_SOURCE /* recvmmsg */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/link_packet.h"
#include "link/netns.h"
#include "link/vnet.h"

enum {
    SLOTS = 32,
    SLOTS_LARGE = 2, /* asked for at once when frames are large ... */
    LARGE = 16384,   /* ... which is: above this many bytes */
    ALIGN_PAD = 2,   /* puts the IP header behind an Ethernet header at a multiple of 4 */
    SLOT_BYTES =
        65600 /* ALIGN_PAD, an Ethernet header, and the largest IP packet; a multiple of 32 */
};
#define AGAIN (50 * WEIR_US)

struct packet {
    struct weir_link link;
    int fd;
    weir_time again_at;         /* when to send what was refused; NEVER */
    unsigned next, n_read, ask; /* slots: the next to be lent, those read, those to ask for */
    struct wr_vnet_rest rest;
    struct mmsghdr msg[SLOTS];
    struct iovec iov[SLOTS][2];
    struct virtio_net_hdr head[SLOTS];
    uint8_t *slots;
};

/* ---- out ---------------------------------------------------------------------------------------- */

static int send_error(int fd, int error)
{
    if (error == EAGAIN || error == EWOULDBLOCK)
        return WEIR_EAGAIN;
    if (error == ENXIO && wr_packet_is_gone(fd))
        return WEIR_ENETDOWN;
    return error == ENETDOWN ? WEIR_ENOBUFS : -error; /* down for now: this frame is lost */
}

int wr_packet_send(int fd, const struct weir_out *out)
{
    struct virtio_net_hdr head;
    struct iovec iov[4] = {{&head, WR_VNET_HEAD}, {out->head, out->head_len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (!wr_vnet_out(out, &head))
        return WEIR_EINVAL;
    for (unsigned i = 0; i < out->n_spans; i++)
        iov[msg.msg_iovlen++] =
            (struct iovec){(void *)(uintptr_t)out->span[i].ptr, out->span[i].len};
    return sendmsg(fd, &msg, 0) < 0 ? send_error(fd, errno) : 0;
}

/* The descriptor tells of room, too; but only who sends by this link itself asks it for that. */
static int packet_send(struct weir_link *link, const struct weir_out *out, weir_time now)
{
    struct packet *packet = (struct packet *)link;
    int rc = wr_packet_send(packet->fd, out);
    if (rc == WEIR_EAGAIN)
        packet->again_at = weir_time_after(now, AGAIN);
    return rc;
}

/* ---- in ----------------------------------------------------------------------------------------- */

/* Fills the slots anew: how many frames are there, or a negative error. */
static int refill(struct packet *packet)
{
    for (;;) {
        packet->next = packet->n_read = 0;
        int n = recvmmsg(packet->fd, packet->msg, packet->ask, MSG_DONTWAIT, NULL);
        if (n >= 0) {
            packet->n_read = (unsigned)n;
            return n;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return 0;
        if (errno == ENETDOWN && wr_packet_is_gone(packet->fd))
            return WEIR_ENETDOWN;
        if (errno == EBADF || errno == ENOTSOCK)
            return WEIR_ENETDOWN;
        /* Down for now, interrupted, or a frame that no header can describe: it is skipped. */
    }
}

/* Of a frame that is longer than any that the stack knows (the kernel's BIG TCP, whose length field is 0) the beginning is
 * shown, and the stack counts why it drops it. */
static void show(uint8_t *data, size_t len, struct weir_frame *frame)
{
    *frame = (struct weir_frame){.data = data, .len = len};
}

/* Lends the frame of a slot; false when there is none in it. */
static bool lend(struct packet *packet, unsigned slot, struct weir_frame *frame)
{
    uint8_t *data = packet->slots + (size_t)slot * SLOT_BYTES + ALIGN_PAD;
    size_t len = packet->msg[slot].msg_len;
    if (len <= WR_VNET_HEAD)
        return false;
    len -= WR_VNET_HEAD;
    if (packet->msg[slot].msg_hdr.msg_flags & MSG_TRUNC) {
        show(data, len, frame);
        return true;
    }
    packet->ask = len > LARGE ? SLOTS_LARGE : SLOTS;
    wr_vnet_in(&packet->head[slot], data, len, WEIR_NETIF_ETHERNET, &packet->rest, frame);
    return true;
}

static int packet_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    struct packet *packet = (struct packet *)link;
    if (packet->again_at <= now)
        packet->again_at = WEIR_TIME_NEVER;
    if (wr_vnet_next(&packet->rest, frame))
        return 1;
    for (;;) {
        if (packet->next == packet->n_read) {
            int n = refill(packet);
            if (n <= 0)
                return n;
        }
        if (lend(packet, packet->next++, frame))
            return 1;
    }
}

/* One large frame, its data into the room. What is out of the ordinary is left to packet_recv(). */
static int packet_recv_room(struct weir_link *link, const struct weir_room *room,
                            struct weir_frame *frame, weir_time now)
{
    struct packet *packet = (struct packet *)link;
    uint8_t *data = packet->slots + ALIGN_PAD;
    struct iovec iov[3] = {
        {&packet->head[0], WR_VNET_HEAD}, {data, room->head_len}, {room->data, room->len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};
    if (packet->ask != SLOTS_LARGE || packet->next != packet->n_read ||
        wr_vnet_has(&packet->rest) || packet->again_at <= now)
        return packet_recv(link, frame, now);
    ssize_t n = recvmsg(packet->fd, &msg, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n <= WR_VNET_HEAD)
        return packet_recv(link, frame, now);
    if (msg.msg_flags & MSG_TRUNC) {
        show(data, room->head_len, frame);
        return 1;
    }
    size_t len = (size_t)n - WR_VNET_HEAD;
    packet->ask = len > LARGE ? SLOTS_LARGE : SLOTS;
    wr_vnet_in_room(&packet->head[0], data, len, WEIR_NETIF_ETHERNET, room, &packet->rest, frame);
    return 1;
}

/* ---- life --------------------------------------------------------------------------------------- */

static weir_time packet_deadline(const struct weir_link *link)
{
    const struct packet *packet = (const struct packet *)link;
    return packet->next < packet->n_read || wr_vnet_has(&packet->rest) ? 0 : packet->again_at;
}

static int packet_fd(const struct weir_link *link)
{
    return ((const struct packet *)link)->fd;
}

static void packet_free(struct weir_link *link)
{
    struct packet *packet = (struct packet *)link;
    if (packet->fd >= 0)
        close(packet->fd);
    free(packet->slots);
    free(packet);
}

static const struct weir_link_ops packet_ops = {
    .send = packet_send,
    .recv = packet_recv,
    .recv_room = packet_recv_room,
    .deadline = packet_deadline,
    .fd = packet_fd,
    .free = packet_free,
};

static void lay_out_slots(struct packet *packet)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct iovec *iov = packet->iov[i];
        iov[0] = (struct iovec){&packet->head[i], WR_VNET_HEAD};
        iov[1] = (struct iovec){packet->slots + (size_t)i * SLOT_BYTES + ALIGN_PAD,
                                SLOT_BYTES - ALIGN_PAD};
        packet->msg[i].msg_hdr = (struct msghdr){.msg_iov = iov, .msg_iovlen = 2};
    }
}

static int open_here(void *arg)
{
    return wr_packet_open(arg);
}

static int set_up(struct packet *packet, const struct weir_packet_config *config)
{
    static const uint8_t none[6];
    struct weir_netif_config *netif = &packet->link.netif;
    struct wr_packet_open how = {.ifname = config->ifname, .mac = netif->mac};
    int rc = 0;
    memcpy(netif->mac, config->mac, sizeof netif->mac);
    if (memcmp(config->mac, none, sizeof none) == 0)
        rc = wr_link_random_mac(netif->mac);
    else if (config->mac[0] & 1)
        rc = WEIR_EINVAL;
    if (rc == 0)
        rc = packet->fd = wr_netns_in(config->netns, open_here, &how);
    if (rc < 0)
        return rc;
    memcpy(netif->name, config->ifname, strlen(config->ifname));
    netif->kind = WEIR_NETIF_ETHERNET;
    netif->mtu = config->mtu && config->mtu < how.mtu ? config->mtu : how.mtu;
    netif->gso_max_bytes = config->offload ? 65535 : 0;
    netif->tx_csum = config->offload;
    return 0;
}

int weir_link_packet(const struct weir_packet_config *config, struct weir_link **link)
{
    struct packet *packet = calloc(1, sizeof *packet);
    if (!packet)
        return WEIR_ENOMEM;
    packet->link.ops = &packet_ops;
    packet->fd = -1;
    packet->ask = SLOTS;
    packet->again_at = WEIR_TIME_NEVER;
    packet->slots = malloc((size_t)SLOTS * SLOT_BYTES);
    int rc = packet->slots ? set_up(packet, config) : WEIR_ENOMEM;
    if (rc != 0) {
        packet_free(&packet->link);
        return rc;
    }
    lay_out_slots(packet);
    *link = &packet->link;
    return config->plain ? 0 : wr_link_offload_or_free(link);
}
