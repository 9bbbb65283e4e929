/* SPDX-License-Identifier: MIT */
/*
 * TUN and TAP, with offload where the kernel has it.
 *
 * With IFF_VNET_HDR every frame is led by a struct virtio_net_hdr of ten bytes, which says two things:
 *
 *   NEEDS_CSUM  the transport checksum holds only the sum of the pseudo-header. On the way in the
 *               kernel vouches for such a frame (weir_frame.csum_valid); on the way out the kernel
 *               finishes it (weir_out.csum_partial).
 *   gso_type    the frame is a super-segment of up to 64 KiB. TCP passes as it is in both directions.
 *               A super-datagram of UDP (TUN_F_USO4, Linux 6.2) is cut here, since a stack wants
 *               datagrams: each is given the headers in place, over the data of the one before,
 *               which has been read already.
 *
 *     buf: [hdr][d0][d1][d2]   recv 1: [hdr][d0]
 *                              recv 2:      [hdr][d1]   (hdr over d0's end)
 *
 * Frames are read into one buffer of the link and lent; they are written from where the stack has
 * them with one writev. Reading is one system call a frame: the character device has no batch call.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "link/link_tun.h"
#include "link/link_wire.h"

/* Names of Linux 6.2 that older headers lack. */
#ifndef TUN_F_USO4
#    define TUN_F_USO4 0x20
#    define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#    define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum {
    VNET_HEAD = sizeof(struct virtio_net_hdr),
    ALIGN_PAD = 6, /* puts an IP header of TUN at a multiple of 4, and keeps the address even */
    BUF_BYTES = ALIGN_PAD + VNET_HEAD + WR_ETH_HEAD + 65536
};

_Static_assert(sizeof(struct virtio_net_hdr) == 10,
               "the header's size that the kernel starts with");

struct tun {
    struct weir_link link;
    int fd;
    bool vnet;
    /* What is left of a super-datagram of UDP: [udp_next, udp_end) in buf, headers at udp_head. */
    size_t udp_head, udp_head_len, udp_next, udp_end;
    struct wr_link_view udp_view;
    uint16_t udp_gso, udp_index;
    uint8_t buf[BUF_BYTES];
};

/* ---- out ---------------------------------------------------------------------------------------- */

static void vnet_head(const struct weir_out *out, struct virtio_net_hdr *h)
{
    memset(h, 0, sizeof *h);
    if (out->csum_partial) {
        h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h->csum_start = out->csum_start;
        h->csum_offset = out->csum_offset;
    }
    if (out->gso_size) {
        const uint8_t *tcp = out->head + out->csum_start;
        h->gso_type = out->gso_ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        if (tcp[13] & WR_CWR)
            h->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
        h->gso_size = out->gso_size;
        h->hdr_len = (uint16_t)(out->csum_start + (tcp[12] >> 4) * 4);
    }
}

static int write_error(int error)
{
    if (error == EAGAIN || error == EWOULDBLOCK)
        return WEIR_EAGAIN;
    if (error == EBADFD || error == ENODEV)
        return WEIR_ENETDOWN;
    return -error;
}

static int write_plain(void *arg, const uint8_t *frame, size_t len)
{
    struct tun *tun = arg;
    struct virtio_net_hdr none = {0};
    struct iovec iov[2] = {{&none, VNET_HEAD}, {(void *)(uintptr_t)frame, len}};
    ssize_t n = tun->vnet ? writev(tun->fd, iov, 2) : write(tun->fd, frame, len);
    return n < 0 ? write_error(errno) : 0;
}

static int tun_send(struct weir_link *link, const struct weir_out *out, weir_time now)
{
    struct tun *tun = (struct tun *)link;
    struct virtio_net_hdr head;
    struct iovec iov[4] = {{&head, VNET_HEAD}, {out->head, out->head_len}};
    int n = 2;
    (void)now;
    if (!tun->vnet && (out->gso_size || out->csum_partial))
        return weir_out_segment(out, link->netif.kind, write_plain, tun);
    if (out->gso_size && (!out->csum_partial || out->csum_start + 20u > out->head_len))
        return WEIR_EINVAL;
    for (unsigned i = 0; i < out->n_spans; i++)
        iov[n++] = (struct iovec){(void *)(uintptr_t)out->span[i].ptr, out->span[i].len};
    if (tun->vnet)
        vnet_head(out, &head);
    ssize_t rc = tun->vnet ? writev(tun->fd, iov, n) : writev(tun->fd, iov + 1, n - 1);
    return rc < 0 ? write_error(errno) : 0;
}

/* ---- in ----------------------------------------------------------------------------------------- */

/* Lends the next datagram of a super-datagram. */
static int next_udp(struct tun *tun, struct weir_frame *frame)
{
    struct wr_link_view v = tun->udp_view;
    size_t len = tun->udp_end - tun->udp_next;
    if (len > tun->udp_gso)
        len = tun->udp_gso;
    uint8_t *to = tun->buf + tun->udp_next - tun->udp_head_len;
    memmove(to, tun->buf + tun->udp_head, tun->udp_head_len);
    tun->udp_head = tun->udp_next - tun->udp_head_len;
    v.end = v.payload + len;
    if (v.family == 4) {
        uint8_t *id = to + v.l3 + 4;
        wr_link_put16(to + v.l3 + 2, (uint16_t)(v.end - v.l3));
        wr_link_put16(id, (uint16_t)(wr_link_get16(id) + (tun->udp_index > 0)));
    } else {
        wr_link_put16(to + v.l3 + 4, (uint16_t)(v.end - v.l3 - 40));
    }
    wr_link_put16(to + v.l4 + 4, (uint16_t)(v.end - v.l4));
    wr_link_put16(to + v.l4 + 6, 0xffff); /* "there is one": finish computes it */
    wr_link_finish(to, &v);
    *frame = (struct weir_frame){.data = to, .len = v.end};
    tun->udp_next += len;
    tun->udp_index++;
    return 1;
}

static int begin_udp(struct tun *tun, size_t at, size_t len, uint16_t gso, struct weir_frame *frame)
{
    struct wr_link_view *v = &tun->udp_view;
    bool whole = wr_link_view(tun->buf + at, len, tun->link.netif.kind, v);
    if (!whole || v->proto != WR_PROTO_UDP || v->fragment || gso == 0) {
        *frame = (struct weir_frame){.data = tun->buf + at, .len = len};
        return 1;
    }
    tun->udp_head = at;
    tun->udp_head_len = v->payload;
    tun->udp_next = at + v->payload;
    tun->udp_end = at + v->end;
    tun->udp_gso = gso;
    tun->udp_index = 0;
    return next_udp(tun, frame);
}

/* Finishes the checksum of a UDP datagram: an ICMP error may quote it, and the quote must be right. */
static void finish_udp(uint8_t *frame, size_t len, const struct virtio_net_hdr *h)
{
    if (h->csum_offset != 6 || len < 8 || h->csum_start > len - 8)
        return;
    uint16_t sum = (uint16_t)~wr_link_sum(frame + h->csum_start, len - h->csum_start, 0);
    wr_link_put16(frame + h->csum_start + 6, sum == 0 ? 0xffff : sum);
}

/* Makes sense of buf, whose frame begins at `at` and has `len` bytes. */
static int map_vnet(struct tun *tun, size_t at, size_t len, struct weir_frame *frame)
{
    struct virtio_net_hdr h;
    memcpy(&h, tun->buf + at - VNET_HEAD, VNET_HEAD);
    unsigned gso = h.gso_type & ~(unsigned)VIRTIO_NET_HDR_GSO_ECN;
    if (gso == VIRTIO_NET_HDR_GSO_UDP_L4)
        return begin_udp(tun, at, len, h.gso_size, frame);
    if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
        finish_udp(tun->buf + at, len, &h);
    *frame = (struct weir_frame){
        .data = tun->buf + at,
        .len = len,
        .gso_size = gso == VIRTIO_NET_HDR_GSO_NONE ? 0 : h.gso_size,
        .csum_valid = (h.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0,
    };
    return 1;
}

static int tun_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    struct tun *tun = (struct tun *)link;
    size_t lead = tun->vnet ? VNET_HEAD : 0, at = ALIGN_PAD + VNET_HEAD;
    (void)now;
    if (tun->udp_next < tun->udp_end)
        return next_udp(tun, frame);
    for (;;) {
        ssize_t n = read(tun->fd, tun->buf + at - lead, sizeof tun->buf - at + lead);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : WEIR_ENETDOWN;
        if ((size_t)n <= lead)
            continue;
        if (tun->vnet)
            return map_vnet(tun, at, (size_t)n - lead, frame);
        *frame = (struct weir_frame){.data = tun->buf + at, .len = (size_t)n};
        return 1;
    }
}

/* ---- life --------------------------------------------------------------------------------------- */

static weir_time tun_deadline(const struct weir_link *link)
{
    (void)link;
    return WEIR_TIME_NEVER;
}

static int tun_fd(const struct weir_link *link)
{
    return ((const struct tun *)link)->fd;
}

static void tun_free(struct weir_link *link)
{
    struct tun *tun = (struct tun *)link;
    close(tun->fd);
    free(tun);
}

static const struct weir_link_ops tun_ops = {
    .send = tun_send,
    .recv = tun_recv,
    .deadline = tun_deadline,
    .fd = tun_fd,
    .free = tun_free,
};

/* Asks for every offload that the kernel knows, then for less. False: not even checksums. */
static bool set_offload(int fd)
{
    static const unsigned tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    static const unsigned sets[] = {tso | TUN_F_USO4 | TUN_F_USO6, tso,
                                    TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)sets[i]) == 0)
            return true;
    return false;
}

/* A locally administered address (IEEE 802: bit 1 of the first byte set, bit 0 clear). */
static int random_mac(uint8_t mac[6])
{
    if (getrandom(mac, 6, 0) != 6)
        return -errno;
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
    return 0;
}

/* Fills in what the stack must know of the interface. */
static int describe(struct tun *tun, bool tap, uint32_t mtu)
{
    struct weir_netif_config *netif = &tun->link.netif;
    struct ifreq ifr = {0};
    if (ioctl(tun->fd, TUNGETIFF, &ifr) != 0)
        return -errno;
    if (((ifr.ifr_flags & IFF_TAP) != 0) != tap || (ifr.ifr_flags & IFF_NO_PI) == 0)
        return WEIR_EINVAL;
    tun->vnet = (ifr.ifr_flags & IFF_VNET_HDR) != 0;
    memcpy(netif->name, ifr.ifr_name, sizeof netif->name - 1);
    netif->kind = tap ? WEIR_NETIF_ETHERNET : WEIR_NETIF_IP;
    netif->mtu = mtu ? mtu : wr_tun_kernel_mtu(tun->fd, netif->name);
    return tap ? random_mac(netif->mac) : 0;
}

int weir_link_tun_fd(int fd, bool tap, bool offload, uint32_t mtu, struct weir_link **link)
{
    struct tun *tun = calloc(1, sizeof *tun);
    int rc = WEIR_ENOMEM, vnet_head_size = VNET_HEAD;
    if (!tun)
        return rc;
    tun->fd = fd;
    tun->link.ops = &tun_ops;
    rc = describe(tun, tap, mtu);
    if (rc == 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0)
        rc = -errno;
    if (rc == 0 && tun->vnet && ioctl(fd, TUNSETVNETHDRSZ, &vnet_head_size) != 0)
        rc = -errno;
    if (rc != 0) {
        free(tun);
        return rc;
    }
    if (tun->vnet && offload && set_offload(fd)) {
        tun->link.netif.gso_max_bytes = 65535;
        tun->link.netif.tx_csum = true;
    } else {
        ioctl(fd, TUNSETOFFLOAD, 0UL);
    }
    *link = &tun->link;
    return 0;
}

int weir_link_tun(const struct weir_tun_config *config, struct weir_link **link)
{
    int fd = wr_tun_open(config);
    if (fd < 0)
        return fd;
    int rc = weir_link_tun_fd(fd, config->tap, config->offload, config->mtu, link);
    if (rc != 0)
        close(fd);
    return rc;
}
