/* SPDX-License-Identifier: MIT */
/*
 * TUN and TAP, with offload where the kernel has it (vnet.h).
 *
 * Frames are read into buffers of the link and lent; they are written from where the stack has
 * them with one writev. The character device has no call for several frames, so that is an io_uring's, where there is one:
 * of several small ones that have come (ahead.h), of small ones that are sent in one round (gather.h), and of the pieces of
 * a super-segment that was cut in software.
 *
 * The other calls are made by syscall(2): read() and writev() of the C library are points at which a thread may be
 * cancelled, and it must not be while it holds the host's lock. Nor need each frame pay for the possibility.
 */
#define _GNU_SOURCE /* syscall */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/hint.h"
#include "link/ahead.h"
#include "link/gather.h"
#include "link/link_tun.h"
#include "link/segment.h"
#include "link/vnet.h"

/* Names of Linux 6.2 that older headers lack. */
#ifndef TUN_F_USO4
#    define TUN_F_USO4 0x20
#    define TUN_F_USO6 0x40
#endif

enum {
    ALIGN_PAD = 6, /* puts an IP header of TUN at a multiple of 4, and keeps the address even */
    BUF_BYTES = ALIGN_PAD + WR_VNET_HEAD + WR_ETH_HEAD + 65536,
    SMALL_BYTES =
        WR_GATHER_BYTES - WR_VNET_HEAD /* of a frame that is copied, and may go with others */
};
#define AGAIN (50 * WEIR_US) /* after that what the device had no room for is tried again */

struct tun {
    struct weir_link link;
    int fd;
    bool vnet;
    struct wr_vnet_rest rest; /* of a super-datagram */
    struct wr_batch batch;
    struct wr_ahead ahead;
    struct wr_gather gather; /* sent, and not yet written */
    bool down;               /* for good, as a write has said */
    weir_time again_at;      /* it had no room; NEVER */
    unsigned lost;           /* beside what was gathered, and not told yet */
    struct wr_gone gone;     /* of one that is cut here */
    uint8_t buf[BUF_BYTES];
};

/* ---- out ---------------------------------------------------------------------------------------- */

static ssize_t write_spans(const struct tun *tun, const struct iovec *iov, int n)
{
    return syscall(SYS_writev, tun->fd, iov, n);
}

static int write_error(int error)
{
    if (error == EAGAIN)
        return WEIR_EAGAIN;
    if (error == EBADFD || error == ENODEV)
        return WEIR_ENETDOWN;
    return -error;
}

static int write_plain(void *arg, const uint8_t *frame, size_t len)
{
    struct tun *tun = arg;
    struct virtio_net_hdr none = {0};
    struct iovec iov[2] = {{&none, WR_VNET_HEAD}, {(void *)(uintptr_t)frame, len}};
    ssize_t n = tun->vnet ? write_spans(tun, iov, 2) : write_spans(tun, iov + 1, 1);
    return n < 0 ? write_error(errno) : 0;
}

/* The kernel takes a large frame into a number of pages of memory, which must be the larger the more there is to
 * take. When memory is in small pieces there may be none. */
static bool is_too_large(const struct weir_out *out, int error)
{
    return out->gso_size > 0 && wr_link_out_len(out) > 65535 &&
           (error == ENOBUFS || error == ENOMEM || error == EMSGSIZE);
}

static int full(struct tun *tun, weir_time now)
{
    tun->again_at = weir_time_after(now, AGAIN);
    return WEIR_EAGAIN;
}

/* What is to be sent now may not overtake what waits. False when that has no room. */
static bool write_gathered(struct tun *tun, weir_time now)
{
    if (tun->gather.n == 0)
        return true;
    bool all = wr_gather_write(&tun->gather);
    tun->down |=
        WR_SELDOM(tun->gather.lost > 0) && write_error(-tun->gather.error) == WEIR_ENETDOWN;
    if (WR_SELDOM(!all))
        (void)full(tun, now);
    return all;
}

/* A small frame is put down in one piece: to the kernel each piece costs more than its bytes. */
static int send_small(struct tun *tun, const struct virtio_net_hdr *head,
                      const struct weir_out *out, size_t len, weir_time now)
{
    size_t lead = tun->vnet ? WR_VNET_HEAD : 0;
    if (wr_gather_is_full(&tun->gather) && !write_gathered(tun, now) &&
        wr_gather_is_full(&tun->gather))
        return WEIR_EAGAIN;
    uint8_t *frame = wr_gather_room(&tun->gather);
    memcpy(frame, head, WR_VNET_HEAD);
    wr_link_gather_all(out, frame + lead);
    wr_gather_add(&tun->gather, lead + len);
    return 0;
}

static ssize_t write_large(const struct tun *tun, struct virtio_net_hdr *head,
                           const struct weir_out *out)
{
    struct iovec iov[4] = {{head, WR_VNET_HEAD}, {out->head, out->head_len}};
    int n = 2;
    for (unsigned i = 0; i < out->n_spans; i++)
        iov[n++] = (struct iovec){(void *)(uintptr_t)out->span[i].ptr, out->span[i].len};
    return tun->vnet ? write_spans(tun, iov, n) : write_spans(tun, iov + 1, n - 1);
}

static int tun_send(struct weir_link *link, const struct weir_out *out, weir_time now);

/* The frames of the wire, as this device, or the kernel for now, has no super-segments. One that is lost does not keep the
 * next back. */
WR_APART int send_cut(struct tun *tun, const struct weir_out *out, weir_time now)
{
    struct wr_cut cut;
    unsigned gone;
    int rc = wr_gone_cut(&tun->gone, &cut, out, tun->link.netif.kind, !tun->vnet, &gone);
    if (rc != 0)
        return rc;
    for (; wr_cut_next(&cut); gone++) {
        rc = tun_send(&tun->link, &cut.piece, now);
        if (rc == WEIR_EAGAIN)
            wr_gone_note(&tun->gone, &cut, out, gone);
        if (rc == WEIR_EAGAIN || rc == WEIR_ENETDOWN)
            return rc;
        tun->lost += rc != 0;
    }
    return 0;
}

/* What one write has come to: a frame behind those that wait. */
WR_APART int send_large(struct tun *tun, struct virtio_net_hdr *head, const struct weir_out *out,
                        weir_time now)
{
    int rc = 0;
    if (!write_gathered(tun, now))
        return WEIR_EAGAIN;
    if (out->gso_size && (!tun->vnet || tun->gone.n > 0))
        return send_cut(tun, out, now);
    if (!tun->vnet && out->csum_partial)
        rc = weir_out_segment(out, tun->link.netif.kind, write_plain, tun);
    else if (write_large(tun, head, out) < 0)
        rc = is_too_large(out, errno) ? send_cut(tun, out, now) : write_error(errno);
    return rc == WEIR_EAGAIN ? full(tun, now) : rc;
}

static int tun_send(struct weir_link *link, const struct weir_out *out, weir_time now)
{
    struct tun *tun = (struct tun *)link;
    struct virtio_net_hdr head = {0};
    if (WR_SELDOM(tun->down))
        return WEIR_ENETDOWN;
    wr_ahead_note_sent(&tun->ahead);
    if (out->gso_size == 0)
        tun->gone.n = 0; /* whatever was refused has been given up */
    if (!tun->vnet && (out->gso_size || out->csum_partial))
        return send_large(tun, &head, out, now);
    if (tun->vnet && !wr_vnet_out(out, &head))
        return WEIR_EINVAL;
    size_t len = wr_link_out_len(out);
    if (len <= SMALL_BYTES)
        return send_small(tun, &head, out, len, now);
    return send_large(tun, &head, out, now);
}

/* Each by itself, as the kernel will not have them together, or one of them cannot be. */
static unsigned send_each(struct tun *tun, const struct weir_out *frames, unsigned n, int *rc,
                          weir_time now)
{
    for (unsigned i = 0; i < n; i++) {
        int one = tun_send(&tun->link, &frames[i], now);
        if (one == WEIR_EAGAIN || one == WEIR_ENETDOWN) {
            *rc = one;
            return i;
        }
        tun->lost += one != 0;
    }
    return n;
}

/* How many frames, from the first one on, can go by one call. */
static unsigned prepare_batch(const struct tun *tun, const struct weir_out *frames, unsigned n,
                              struct virtio_net_hdr *heads, struct wr_batch_parts *parts)
{
    for (unsigned i = 0; i < n; i++) {
        const struct weir_out *out = &frames[i];
        unsigned k = 0;
        if (out->gso_size != 0 || (!tun->vnet && out->csum_partial) || !wr_vnet_out(out, &heads[i]))
            return i;
        if (tun->vnet)
            parts[i].iov[k++] = (struct iovec){&heads[i], WR_VNET_HEAD};
        parts[i].iov[k++] = (struct iovec){out->head, out->head_len};
        for (unsigned j = 0; j < out->n_spans; j++)
            parts[i].iov[k++] =
                (struct iovec){(void *)(uintptr_t)out->span[j].ptr, out->span[j].len};
        parts[i].n = k;
    }
    return n;
}

/* Of those that were tried, how many are done with. */
static unsigned count_done(struct tun *tun, const ssize_t *result, unsigned tried)
{
    unsigned done = wr_batch_done(result, tried);
    for (unsigned i = 0; i < done; i++) {
        tun->lost += result[i] < 0;
        tun->down |= result[i] < 0 && write_error((int)-result[i]) == WEIR_ENETDOWN;
    }
    return done;
}

static unsigned tun_send_many(struct weir_link *link, const struct weir_out *frames, unsigned n,
                              int *rc, weir_time now)
{
    struct tun *tun = (struct tun *)link;
    struct virtio_net_hdr heads[WR_BATCH_MAX];
    struct wr_batch_parts parts[WR_BATCH_MAX];
    ssize_t result[WR_BATCH_MAX];
    unsigned tried = 0, most = n < WR_BATCH_MAX ? n : WR_BATCH_MAX;

    *rc = write_gathered(tun, now) ? 0 : WEIR_EAGAIN;
    if (*rc != 0)
        return 0;
    most = tun->batch.refused ? 0 : prepare_batch(tun, frames, most, heads, parts);
    if (most > 1)
        tried = wr_batch_write(&tun->batch, parts, most, result);
    if (tried == 0)
        return send_each(tun, frames, n, rc, now);
    unsigned done = count_done(tun, result, tried);
    if (tun->down)
        *rc = WEIR_ENETDOWN;
    else if (done < tried)
        *rc = full(tun, now);
    return done;
}

static unsigned tun_flush(struct weir_link *link, weir_time now)
{
    struct tun *tun = (struct tun *)link;
    (void)write_gathered(tun, now);
    unsigned lost = tun->gather.lost + tun->lost;
    tun->gather.lost = tun->lost = 0;
    return lost;
}

/* ---- in ----------------------------------------------------------------------------------------- */

enum { FRAME_AT = ALIGN_PAD + WR_VNET_HEAD }; /* in tun->buf; its vnet header stands before it */

static void try_again(struct tun *tun, weir_time now)
{
    tun->again_at = WEIR_TIME_NEVER;
    (void)write_gathered(tun, now);
}

/* Reads one frame with its vnet header. Returns the frame's length, 0 or an error as recv. */
static ssize_t read_frame(struct tun *tun, uint8_t **data)
{
    size_t lead = tun->vnet ? WR_VNET_HEAD : 0;
    for (;;) {
        ssize_t n = wr_ahead_read(&tun->ahead, data);
        if (n <= 0)
            return n < 0 ? WEIR_ENETDOWN : 0;
        *data += lead;
        if ((size_t)n > lead)
            return n - (ssize_t)lead;
    }
}

static int tun_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    struct tun *tun = (struct tun *)link;
    struct virtio_net_hdr head;
    uint8_t *data;
    if (tun->again_at <= now)
        try_again(tun, now);
    if (wr_vnet_has(&tun->rest) && wr_vnet_next(&tun->rest, frame))
        return 1;
    ssize_t n = read_frame(tun, &data);
    if (n <= 0)
        return (int)n;
    if (!tun->vnet) {
        *frame = (struct weir_frame){.data = data, .len = (size_t)n};
        return 1;
    }
    memcpy(&head, data - WR_VNET_HEAD, sizeof head);
    wr_vnet_in(&head, data, (size_t)n, link->netif.kind, &tun->rest, frame);
    return 1;
}

/* Reads one frame, by itself, in parts. Returns as read_frame. */
static ssize_t read_parts(struct tun *tun, const struct iovec *iov, int n_iov)
{
    for (;;) {
        ssize_t n = syscall(SYS_readv, tun->fd, iov, n_iov);
        if (n < 0 && errno == EINTR)
            continue;
        wr_ahead_note(&tun->ahead, n);
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : WEIR_ENETDOWN;
        if (n > (ssize_t)WR_VNET_HEAD)
            return n - (ssize_t)WR_VNET_HEAD;
    }
}

static int tun_recv_room(struct weir_link *link, const struct weir_room *room,
                         struct weir_frame *frame, weir_time now)
{
    struct tun *tun = (struct tun *)link;
    struct virtio_net_hdr head;
    uint8_t *data = tun->buf + FRAME_AT;
    struct iovec iov[2] = {{data - WR_VNET_HEAD, WR_VNET_HEAD + room->head_len},
                           {room->data, room->len}};
    if (!tun->vnet || wr_ahead_is_on(&tun->ahead) || wr_vnet_has(&tun->rest) ||
        tun->again_at <= now)
        return tun_recv(link, frame, now);
    ssize_t n = read_parts(tun, iov, 2);
    if (n <= 0)
        return (int)n;
    memcpy(&head, data - WR_VNET_HEAD, sizeof head);
    wr_vnet_in_room(&head, data, (size_t)n, link->netif.kind, room, &tun->rest, frame);
    return 1;
}

/* ---- life --------------------------------------------------------------------------------------- */

static weir_time tun_deadline(const struct weir_link *link)
{
    const struct tun *tun = (const struct tun *)link;
    return wr_ahead_has(&tun->ahead) || wr_vnet_has(&tun->rest) ? 0 : tun->again_at;
}

static int tun_fd(const struct weir_link *link)
{
    return ((const struct tun *)link)->fd;
}

static void tun_free(struct weir_link *link)
{
    struct tun *tun = (struct tun *)link;
    wr_ahead_end(&tun->ahead);
    wr_batch_end(&tun->batch);
    close(tun->fd);
    free(tun);
}

static const struct weir_link_ops tun_ops = {
    .send = tun_send,
    .recv = tun_recv,
    .recv_room = tun_recv_room,
    .deadline = tun_deadline,
    .fd = tun_fd,
    .free = tun_free,
    .flush = tun_flush,
    .send_many = tun_send_many,
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

/* Fills in what the stack must know of the interface. */
static int describe(struct tun *tun, bool tap, uint32_t mtu)
{
    struct weir_netif_config *netif = &tun->link.netif;
    struct ifreq ifr = {0};
    size_t lead;
    int room = 0;
    if (ioctl(tun->fd, TUNGETIFF, &ifr) != 0)
        return -errno;
    if (((ifr.ifr_flags & IFF_TAP) != 0) != tap || (ifr.ifr_flags & IFF_NO_PI) == 0)
        return WEIR_EINVAL;
    tun->vnet = (ifr.ifr_flags & IFF_VNET_HDR) != 0;
    wr_batch_init(&tun->batch, tun->fd);
    tun->batch.bounded = ioctl(tun->fd, TUNGETSNDBUF, &room) != 0 || room != INT_MAX;
    wr_gather_init(&tun->gather, &tun->batch);
    lead = ALIGN_PAD + (tun->vnet ? 0 : WR_VNET_HEAD);
    wr_ahead_init(&tun->ahead, &tun->batch, tun->buf, lead, BUF_BYTES - lead);
    memcpy(netif->name, ifr.ifr_name, sizeof netif->name - 1);
    netif->kind = tap ? WEIR_NETIF_ETHERNET : WEIR_NETIF_IP;
    netif->mtu = mtu ? mtu : wr_tun_kernel_mtu(tun->fd, netif->name);
    return tap ? wr_link_random_mac(netif->mac) : 0;
}

int weir_link_tun_fd(int fd, bool tap, bool offload, uint32_t mtu, struct weir_link **link)
{
    struct tun *tun = calloc(1, sizeof *tun);
    int rc = WEIR_ENOMEM, vnet_head_size = WR_VNET_HEAD;
    if (!tun)
        return rc;
    tun->fd = fd;
    tun->again_at = WEIR_TIME_NEVER;
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
        tun->link.netif.gso_max_bytes = wr_tun_super_bytes(fd, tun->link.netif.name);
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
    if (rc != 0) {
        close(fd);
        return rc;
    }
    return config->plain ? 0 : wr_link_offload_or_free(link);
}
