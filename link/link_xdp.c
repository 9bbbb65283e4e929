/* SPDX-License-Identifier: MIT */
/*
 * AF_XDP: frames for this host's address are taken off at the interface's driver, before the kernel's stack
 * (xdp_program.c), and those for groups by a packet socket, since the kernel has its part in them
 * (packet_open.c).
 *
 * A queue of the interface has one socket, and a socket an area of chunks that it shares with the kernel by four
 * rings (Linux, Documentation/networking/af_xdp.rst):
 *
 *     chunks 0 .. RX_CHUNKS       fill ring -> kernel -> rx ring -> lent to the stack -> fill ring
 *     chunks beyond, queue 0      free list -> tx ring -> kernel -> completion ring -> free list
 *
 * A frame is received without a copy of ours and without a system call. What is sent is gathered into a chunk, its
 * checksum finished there, since XDP has no offload; the kernel is told once for a batch (flush). It may
 * not take all at once: then it is told again a little later (kick_at).
 *
 * On a veth the sender is a kernel that leaves checksums to a card that never comes (and XDP has no place to say
 * so). There, and only there, a checksum that is just the pseudo-header's sum is taken as vouched for: no
 * wire was in between.
 *
 * Limits: an MTU of a chunk; super-segments in software alone (link_offload.c). At the generic hook the kernel drops super-segments of a local
 * sender: its offload (tso, gso) must be off. At a driver's hook the kernel sees to that itself.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>
#include <xdp/xsk.h>

#include "link/link_packet.h"
#include "link/netns.h"
#include "link/vnet.h"
#include "link/xdp_program.h"

enum {
    QUEUES_MAX = 16,
    CHUNK = 4096,
    RX_CHUNKS = 2048,
    TX_CHUNKS = 2048,
    MTU_MAX = 3822, /* a chunk without the headroom of XDP (256), Ethernet header and VLAN tag */
    BATCH = 64,
    KICKS = 64,         /* system calls of one flush at most */
    SNDBUF = 8 << 20,   /* in copy mode what is on its way counts against it */
    GROUP_BYTES = 65600 /* a group frame of any size */
};
#define KICK_AGAIN (50 * WEIR_US)

struct queue {
    struct xsk_umem *umem;
    struct xsk_socket *xsk;
    struct xsk_ring_prod fill, tx;
    struct xsk_ring_cons comp, rx;
    uint8_t *area;
    size_t area_bytes;
    uint32_t rx_next, rx_left; /* received frames at hand */
    bool lends;
    uint64_t lent; /* chunk that the stack reads */
};

struct xdp {
    struct weir_link link;
    struct wr_xdp_program program;
    struct queue queue[QUEUES_MAX];
    unsigned n_queues, turn;
    int group_fd, epoll_fd;
    bool is_veth;
    bool kick;         /* the tx ring holds what the kernel was not told of, or has not taken */
    weir_time kick_at; /* NEVER, or when to tell it again */
    unsigned n_free;   /* chunks to send from, of queue 0 */
    uint64_t free[TX_CHUNKS];
    struct wr_vnet_rest rest;
    uint8_t group[GROUP_BYTES];
};

/* ---- out ---------------------------------------------------------------------------------------- */

/* Takes back the chunks whose frames have left. */
static void reap(struct xdp *xdp)
{
    struct queue *q = &xdp->queue[0];
    uint32_t at = 0, n = xsk_ring_cons__peek(&q->comp, TX_CHUNKS, &at);
    for (uint32_t i = 0; i < n; i++)
        xdp->free[xdp->n_free++] = *xsk_ring_cons__comp_addr(&q->comp, at + i);
    if (n)
        xsk_ring_cons__release(&q->comp, n);
}

/* Tells the kernel of what is to be sent, until it has taken all. */
static void kick(struct xdp *xdp, weir_time now)
{
    int fd = xsk_socket__fd(xdp->queue[0].xsk), rc = -1;
    for (unsigned i = 0; i < KICKS; i++) {
        rc = (int)sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
        if (rc >= 0 || (errno != EAGAIN && errno != EBUSY))
            break;
        reap(xdp); /* EAGAIN: a part was taken, or a buffer is full */
    }
    xdp->kick = rc < 0 && errno != ENETDOWN && errno != ENXIO;
    xdp->kick_at = xdp->kick ? weir_time_after(now, KICK_AGAIN) : WEIR_TIME_NEVER;
}

static void xdp_flush(struct weir_link *link, weir_time now)
{
    struct xdp *xdp = (struct xdp *)link;
    if (xdp->kick && xdp->kick_at <= now)
        kick(xdp, now);
}

/* Finishes the checksum in place, as a card would (virtio's rule: the field is itself summed). */
static int finish(uint8_t *frame, size_t len, const struct weir_out *out)
{
    if (len < out->csum_start || len - out->csum_start < out->csum_offset + 2u)
        return WEIR_EINVAL;
    uint16_t sum = (uint16_t)~wr_link_sum(frame + out->csum_start, len - out->csum_start, 0);
    bool udp = out->csum_offset == 6;
    wr_link_put16(frame + out->csum_start + out->csum_offset, udp && sum == 0 ? 0xffff : sum);
    return 0;
}

static int xdp_send(struct weir_link *link, const struct weir_out *out, weir_time now)
{
    struct xdp *xdp = (struct xdp *)link;
    struct queue *q = &xdp->queue[0];
    size_t len = wr_link_out_len(out);
    uint32_t at = 0;
    if (out->gso_size || len > MTU_MAX + WR_ETH_HEAD)
        return WEIR_EMSGSIZE;
    if (xdp->n_free == 0)
        reap(xdp);
    if (xdp->n_free == 0 || xsk_ring_prod__reserve(&q->tx, 1, &at) == 0) {
        xdp->kick = true;
        kick(xdp, now);
        if (xdp->kick_at == WEIR_TIME_NEVER) /* taken, but not on its way yet */
            xdp->kick_at = weir_time_after(now, KICK_AGAIN);
        return WEIR_EAGAIN;
    }
    uint64_t chunk = xdp->free[--xdp->n_free];
    uint8_t *frame = q->area + chunk;
    wr_link_gather(out, 0, frame, len);
    int rc = out->csum_partial ? finish(frame, len, out) : 0;
    /* The place in the ring is taken: a frame that cannot be finished goes out as it is, and is lost. */
    *xsk_ring_prod__tx_desc(&q->tx, at) = (struct xdp_desc){.addr = chunk, .len = (uint32_t)len};
    xsk_ring_prod__submit(&q->tx, 1);
    if (!xdp->kick)
        xdp->kick_at = now;
    xdp->kick = true;
    return rc;
}

/* ---- in ----------------------------------------------------------------------------------------- */

/* The chunk lent before is the kernel's again. */
static void give_back(struct queue *q)
{
    uint32_t at = 0;
    if (!q->lends)
        return;
    q->lends = false;
    if (xsk_ring_prod__reserve(&q->fill, 1, &at) == 1) {
        *xsk_ring_prod__fill_addr(&q->fill, at) = q->lent;
        xsk_ring_prod__submit(&q->fill, 1);
    }
}

static bool lend(const struct xdp *xdp, struct queue *q, struct weir_frame *frame)
{
    if (q->rx_left == 0)
        q->rx_left = xsk_ring_cons__peek(&q->rx, BATCH, &q->rx_next);
    if (q->rx_left == 0) {
        if (xsk_ring_prod__needs_wakeup(&q->fill))
            recvfrom(xsk_socket__fd(q->xsk), NULL, 0, MSG_DONTWAIT, NULL, NULL);
        return false;
    }
    const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&q->rx, q->rx_next++);
    struct wr_link_view view;
    *frame = (struct weir_frame){.data = q->area + desc->addr, .len = desc->len};
    q->lent = desc->addr & ~(uint64_t)(CHUNK - 1);
    q->lends = true;
    q->rx_left--;
    xsk_ring_cons__release(&q->rx, 1);
    if (xdp->is_veth && wr_link_view(frame->data, frame->len, WEIR_NETIF_ETHERNET, &view))
        frame->csum_valid = wr_link_is_unfinished(frame->data, &view);
    return true;
}

/* The next group frame: 1, 0 or an error. */
static int group_frame(struct xdp *xdp, struct weir_frame *frame)
{
    struct virtio_net_hdr head;
    uint8_t *data = xdp->group + 2;
    struct iovec iov[2] = {{&head, sizeof head}, {data, sizeof xdp->group - 2}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (wr_vnet_next(&xdp->rest, frame))
        return 1;
    ssize_t n = recvmsg(xdp->group_fd, &msg, MSG_DONTWAIT);
    if (n > (ssize_t)sizeof head) {
        wr_vnet_in(&head, data, (size_t)n - sizeof head, WEIR_NETIF_ETHERNET, &xdp->rest, frame);
        return 1;
    }
    return n < 0 && errno == ENETDOWN && wr_packet_is_gone(xdp->group_fd) ? WEIR_ENETDOWN : 0;
}

static int xdp_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    struct xdp *xdp = (struct xdp *)link;
    if (xdp->kick_at <= now && xdp->kick)
        kick(xdp, now);
    else if (xdp->kick_at <= now)
        xdp->kick_at = WEIR_TIME_NEVER;
    give_back(&xdp->queue[xdp->turn]);
    for (unsigned i = 0; i < xdp->n_queues; i++) {
        if (lend(xdp, &xdp->queue[xdp->turn], frame))
            return 1;
        xdp->turn = (xdp->turn + 1) % xdp->n_queues;
    }
    return group_frame(xdp, frame);
}

static weir_time xdp_deadline(const struct weir_link *link)
{
    return ((const struct xdp *)link)->kick_at;
}

static int xdp_fd(const struct weir_link *link)
{
    return ((const struct xdp *)link)->epoll_fd;
}

/* ---- life --------------------------------------------------------------------------------------- */

static void queue_close(struct queue *q)
{
    if (q->xsk)
        xsk_socket__delete(q->xsk);
    if (q->umem)
        xsk_umem__delete(q->umem);
    if (q->area)
        munmap(q->area, q->area_bytes);
}

static void xdp_free(struct weir_link *link)
{
    struct xdp *xdp = (struct xdp *)link;
    wr_xdp_program_close(&xdp->program);
    for (unsigned i = 0; i < QUEUES_MAX; i++)
        queue_close(&xdp->queue[i]);
    if (xdp->group_fd >= 0)
        close(xdp->group_fd);
    if (xdp->epoll_fd >= 0)
        close(xdp->epoll_fd);
    free(xdp);
}

static const struct weir_link_ops xdp_ops = {
    .send = xdp_send,
    .recv = xdp_recv,
    .deadline = xdp_deadline,
    .fd = xdp_fd,
    .free = xdp_free,
    .flush = xdp_flush,
};

/* What is asked of the namespace of the interface. */
struct opening {
    struct xdp *xdp;
    const struct weir_xdp_config *config;
    struct wr_packet_open packet;
    const char *why;
};

/* Gives the kernel the chunks to receive into. */
static void fill_up(struct queue *q)
{
    uint32_t at = 0;
    if (xsk_ring_prod__reserve(&q->fill, RX_CHUNKS, &at) != RX_CHUNKS)
        return;
    for (uint32_t i = 0; i < RX_CHUNKS; i++)
        *xsk_ring_prod__fill_addr(&q->fill, at + i) = (uint64_t)i * CHUNK;
    xsk_ring_prod__submit(&q->fill, RX_CHUNKS);
}

static int queue_sockets(struct opening *o, unsigned n)
{
    struct queue *q = &o->xdp->queue[n];
    struct xsk_umem_config umem = {
        .fill_size = RX_CHUNKS, .comp_size = TX_CHUNKS, .frame_size = CHUNK};
    struct xsk_socket_config socket = {
        .rx_size = RX_CHUNKS,
        .tx_size = TX_CHUNKS,
        .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
        .bind_flags = (uint16_t)(XDP_USE_NEED_WAKEUP | (o->xdp->program.generic ? XDP_COPY : 0)),
    };
    uint32_t key = n;
    int sndbuf = SNDBUF;
    int rc = xsk_umem__create(&q->umem, q->area, q->area_bytes, &q->fill, &q->comp, &umem);
    if (rc != 0)
        return rc;
    fill_up(q);
    rc = xsk_socket__create(&q->xsk, o->config->ifname, n, q->umem, &q->rx, &q->tx, &socket);
    if (rc != 0)
        return rc;
    int fd = xsk_socket__fd(q->xsk);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof sndbuf) != 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    return bpf_map_update_elem(o->xdp->program.map_fd, &key, &fd, BPF_ANY);
}

static int queue_open(struct opening *o, unsigned n)
{
    struct queue *q = &o->xdp->queue[n];
    q->area_bytes = (size_t)CHUNK * (n == 0 ? RX_CHUNKS + TX_CHUNKS : RX_CHUNKS);
    q->area = mmap(NULL, q->area_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (q->area == MAP_FAILED) {
        q->area = NULL;
        return WEIR_ENOMEM;
    }
    int rc = queue_sockets(o, n);
    if (rc == -EBUSY)
        o->why = "another program has an AF_XDP socket on this interface's queue";
    else if (rc == -ENOBUFS || rc == -ENOMEM)
        o->why = "it takes more locked memory than RLIMIT_MEMLOCK allows";
    else if (rc == -EAFNOSUPPORT || rc == -EPROTONOSUPPORT)
        o->why = "this kernel has no AF_XDP";
    return rc;
}

static int ask_driver(int fd, const char *ifname, void *what)
{
    struct ifreq ifr = {.ifr_data = what};
    memcpy(ifr.ifr_name, ifname, strnlen(ifname, sizeof ifr.ifr_name - 1));
    return ioctl(fd, SIOCETHTOOL, &ifr);
}

/* How many queues the interface receives on, and whether it is one end of a veth. */
static void look_at_driver(struct opening *o)
{
    struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    struct xdp *xdp = o->xdp;
    xdp->n_queues = 1;
    if (ask_driver(xdp->group_fd, o->config->ifname, &channels) == 0)
        xdp->n_queues = channels.combined_count + channels.rx_count;
    if (xdp->n_queues == 0)
        xdp->n_queues = 1;
    if (ask_driver(xdp->group_fd, o->config->ifname, &info) == 0)
        xdp->is_veth = strcmp(info.driver, "veth") == 0;
}

static int open_here(void *arg)
{
    struct opening *o = arg;
    struct xdp *xdp = o->xdp;
    int rc = xdp->group_fd = wr_packet_open(&o->packet);
    if (rc == WEIR_EINVAL)
        o->why = "it is no Ethernet interface";
    if (rc < 0)
        return rc;
    look_at_driver(o);
    if (xdp->n_queues > QUEUES_MAX) {
        o->why = "the interface has more than 16 queues: `ethtool -L` sets fewer";
        return WEIR_EINVAL;
    }
    rc = wr_xdp_program_open(&xdp->program, o->packet.ifindex, xdp->link.netif.mac,
                             o->config->generic, &o->why);
    for (unsigned i = 0; i < xdp->n_queues && rc == 0; i++)
        rc = queue_open(o, i);
    return rc;
}

/* One descriptor for all. */
static int gather_fds(struct xdp *xdp)
{
    xdp->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (xdp->epoll_fd < 0)
        return -errno;
    for (unsigned i = 0; i <= xdp->n_queues; i++) {
        int fd = i < xdp->n_queues ? xsk_socket__fd(xdp->queue[i].xsk) : xdp->group_fd;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(xdp->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
            return -errno;
    }
    return 0;
}

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
    (void)level;
    (void)format;
    (void)args;
    return 0;
}

static int silent_xdp(enum libxdp_print_level level, const char *format, va_list args)
{
    (void)level;
    (void)format;
    (void)args;
    return 0;
}

static int set_up(struct xdp *xdp, const struct weir_xdp_config *config, const char **why)
{
    static const uint8_t none[6];
    struct weir_netif_config *netif = &xdp->link.netif;
    struct opening o = {.xdp = xdp, .config = config};
    int rc = 0;
    memcpy(netif->mac, config->mac, sizeof netif->mac);
    if (memcmp(config->mac, none, sizeof none) == 0)
        rc = wr_link_random_mac(netif->mac);
    else if (config->mac[0] & 1)
        rc = WEIR_EINVAL;
    if (rc != 0)
        return rc;
    o.packet =
        (struct wr_packet_open){.ifname = config->ifname, .mac = netif->mac, .group_only = true};
    /* Errors are told by us. */
    libbpf_print_fn_t before = libbpf_set_print(silent);
    libxdp_print_fn_t before_xdp = libxdp_set_print(silent_xdp);
    rc = wr_netns_in(config->netns, open_here, &o);
    libbpf_set_print(before);
    libxdp_set_print(before_xdp);
    *why = o.why;
    if (rc != 0)
        return rc < 0 ? rc : -rc;
    uint32_t mtu = config->mtu && config->mtu < o.packet.mtu ? config->mtu : o.packet.mtu;
    memcpy(netif->name, config->ifname, strlen(config->ifname));
    netif->kind = WEIR_NETIF_ETHERNET;
    netif->mtu = mtu < MTU_MAX ? mtu : MTU_MAX;
    netif->tx_csum = true;
    return gather_fds(xdp);
}

int weir_link_xdp(const struct weir_xdp_config *config, struct weir_link **link, const char **why)
{
    const char *reason = NULL;
    struct xdp *xdp = calloc(1, sizeof *xdp);
    if (!xdp)
        return WEIR_ENOMEM;
    xdp->link.ops = &xdp_ops;
    xdp->group_fd = xdp->epoll_fd = -1;
    xdp->program = (struct wr_xdp_program){-1, -1, -1, false};
    xdp->kick_at = WEIR_TIME_NEVER;
    for (unsigned i = 0; i < TX_CHUNKS; i++)
        xdp->free[xdp->n_free++] = (uint64_t)(RX_CHUNKS + i) * CHUNK;
    int rc = set_up(xdp, config, &reason);
    if (why)
        *why = reason;
    if (rc != 0) {
        xdp_free(&xdp->link);
        return rc;
    }
    *link = &xdp->link;
    return config->plain ? 0 : wr_link_offload_or_free(link);
}
