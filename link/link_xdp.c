/* SPDX-License-Identifier: MIT */
/*
 * AF_XDP: frames for this host's address are taken off at the interface, before the kernel's stack
 * (xdp_program.c), and those for groups by a packet socket, since the kernel has its part in them
 * (packet_open.c).
 *
 * A queue of the interface has one socket, and a socket an area of chunks that it shares with the kernel by four
 * rings (Linux, Documentation/networking/af_xdp.rst):
 *
 *     chunks 0 .. RX_CHUNKS       fill ring -> kernel -> rx ring -> lent to the stack -> fill ring    (xdp_rx.h)
 *     chunks beyond, queue 0      free list -> tx ring -> kernel -> completion ring -> free list
 *
 * **At a driver's hook** a frame is received without a copy of ours and without a system call. What is sent is gathered
 * into a chunk, its checksum finished there, since XDP has no offload; the kernel is told once for a batch (flush). It may
 * not take all at once: then it is told again a little later (kick_at). A frame is one segment;
 * super-segments are in software (link_offload.c). The MTU is that of a chunk.
 *
 * **At the generic hook** the kernel has made its own buffer of each frame before XDP sees it, and copies that. So there is
 * something to be had only by frames being few: they come as super-segments of several chunks (Linux 6.6), which a sender on this
 * machine never cut, or GRO has joined. And where AF_XDP sends by copy, each segment costs a kernel buffer and a
 * run of softirqs at the least; for that price the packet socket takes a super-segment. So all leaves by the packet socket there, in one order.
 *
 * Which is better was measured on veth alone, which has no zero copy (bench/README.md): so of a veth the generic one is taken. While a
 * program is at the driver's hook of a veth, its other end has to cut by itself. On Linux before 6.6 the generic hook
 * loses super-segments of local senders: their offload (tso, gso) must be off.
 *
 * A child that is forked and does not exec must not hold the queue when we have let go of it, nor have chunks copied that are pinned
 * in memory: it gets none of the mappings. Its descriptors it must close by itself, as any others.
 *
 * Limits: a VLAN tag that a card has taken out of the frame is not seen. BIG TCP (segments of more than 64 KB, if an administrator
 * has asked for it) is dropped by the stack, and counted there: ip4_bad_total_length, ip6_bad_ext.
 */
#define _GNU_SOURCE /* MADV_DONTFORK */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
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
#include "link/xdp_rx.h"

enum {
    QUEUES_MAX = 16,
    CHUNK = WR_XDP_CHUNK,
    RX_CHUNKS = WR_XDP_RX_CHUNKS,
    TX_CHUNKS = 2048,
    MTU_MAX = WR_XDP_PIECE - WR_ETH_HEAD - 4, /* a piece without Ethernet header and VLAN tag */
    KICKS = 64,                               /* system calls of one flush at most */
    SNDBUF = 8 << 20,    /* in copy mode what is on its way counts against it */
    GROUP_BYTES = 65600, /* a group frame of any size */
    BUSY_TRIES = 100,    /* an interface or queue in use is asked for again, so often */
    BUSY_PAUSE_MS = 5
};
#define KICK_AGAIN (50 * WEIR_US)

struct queue {
    struct xsk_umem *umem;
    struct xsk_socket *xsk;
    struct wr_xdp_rx rx;
    struct xsk_ring_prod tx;
    struct xsk_ring_cons comp;
    uint8_t *area;
    size_t area_bytes;
};

struct xdp {
    struct weir_link link;
    struct wr_xdp_program program;
    struct wr_xdp_hook hook;
    struct queue queue[QUEUES_MAX];
    unsigned n_queues, turn;
    int packet_fd, epoll_fd;
    bool is_veth;
    bool kick;         /* the tx ring holds what the kernel was not told of, or has not taken */
    weir_time kick_at; /* NEVER, or when to tell it again */
    bool copies;       /* what is sent, into buffers of the kernel's */
    unsigned lost;     /* of what was to be sent, and not told yet */
    unsigned n_free;   /* chunks to send from, of queue 0 */
    uint64_t free[TX_CHUNKS];
    struct wr_vnet_rest rest;
    uint8_t group[GROUP_BYTES];
    uint8_t whole[WR_XDP_FRAME_MAX];
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
        /* Where it copies, EBUSY says that the interface's queue has dropped the last one that it took. */
        xdp->lost += errno == EBUSY && xdp->copies;
        reap(xdp); /* EAGAIN: a part was taken, or a buffer is full */
    }
    xdp->kick = rc < 0 && errno != ENETDOWN && errno != ENXIO;
    xdp->kick_at = xdp->kick ? weir_time_after(now, KICK_AGAIN) : WEIR_TIME_NEVER;
}

static unsigned xdp_flush(struct weir_link *link, weir_time now)
{
    struct xdp *xdp = (struct xdp *)link;
    if (xdp->kick && xdp->kick_at <= now)
        kick(xdp, now);
    unsigned lost = xdp->lost;
    xdp->lost = 0;
    return lost;
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

static int send_by_packet(struct xdp *xdp, const struct weir_out *out, weir_time now)
{
    int rc = wr_packet_send(xdp->packet_fd, out);
    if (rc == WEIR_EAGAIN)
        xdp->kick_at = weir_time_after(now, KICK_AGAIN);
    return rc;
}

static int xdp_send(struct weir_link *link, const struct weir_out *out, weir_time now)
{
    struct xdp *xdp = (struct xdp *)link;
    struct queue *q = &xdp->queue[0];
    size_t len = wr_link_out_len(out);
    uint32_t at = 0;
    if (xdp->hook.generic)
        return send_by_packet(xdp, out, now);
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

static bool take(struct queue *q, const struct weir_room *room, struct weir_frame *frame)
{
    if (wr_xdp_rx_take(&q->rx, room, frame))
        return true;
    if (xsk_ring_prod__needs_wakeup(&q->rx.fill))
        recvfrom(xsk_socket__fd(q->xsk), NULL, 0, MSG_DONTWAIT, NULL, NULL);
    return false;
}

/* The next frame of the packet socket: 1, 0 or an error. */
static int packet_frame(struct xdp *xdp, struct weir_frame *frame)
{
    struct virtio_net_hdr head;
    uint8_t *data = xdp->group + 2;
    struct iovec iov[2] = {{&head, sizeof head}, {data, sizeof xdp->group - 2}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (wr_vnet_next(&xdp->rest, frame))
        return 1;
    ssize_t n = recvmsg(xdp->packet_fd, &msg, MSG_DONTWAIT);
    if (n > (ssize_t)sizeof head && msg.msg_flags & MSG_TRUNC) {
        /* longer than any that the stack knows (BIG TCP over IPv6): it counts why it drops it */
        *frame = (struct weir_frame){.data = data, .len = (size_t)n - sizeof head};
        return 1;
    }
    if (n > (ssize_t)sizeof head) {
        wr_vnet_in(&head, data, (size_t)n - sizeof head, WEIR_NETIF_ETHERNET, &xdp->rest, frame);
        return 1;
    }
    return n < 0 && errno == ENETDOWN && wr_packet_is_gone(xdp->packet_fd) ? WEIR_ENETDOWN : 0;
}

static int xdp_recv_room(struct weir_link *link, const struct weir_room *room,
                         struct weir_frame *frame, weir_time now)
{
    struct xdp *xdp = (struct xdp *)link;
    if (xdp->kick_at <= now && xdp->kick)
        kick(xdp, now);
    else if (xdp->kick_at <= now)
        xdp->kick_at = WEIR_TIME_NEVER;
    for (unsigned i = 0; i < xdp->n_queues; i++) {
        if (take(&xdp->queue[xdp->turn], room, frame))
            return 1;
        xdp->turn = (xdp->turn + 1) % xdp->n_queues;
    }
    return packet_frame(xdp, frame);
}

static int xdp_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    return xdp_recv_room(link, NULL, frame, now);
}

static weir_time xdp_deadline(const struct weir_link *link)
{
    const struct xdp *xdp = (const struct xdp *)link;
    return wr_vnet_has(&xdp->rest) ? 0 : xdp->kick_at;
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
    *q = (struct queue){0};
}

static void take_down(struct xdp *xdp)
{
    wr_xdp_program_close(&xdp->program);
    for (unsigned i = 0; i < QUEUES_MAX; i++)
        queue_close(&xdp->queue[i]);
}

static void xdp_free(struct weir_link *link)
{
    struct xdp *xdp = (struct xdp *)link;
    take_down(xdp);
    if (xdp->packet_fd >= 0)
        close(xdp->packet_fd);
    if (xdp->epoll_fd >= 0)
        close(xdp->epoll_fd);
    free(xdp);
}

static const struct weir_link_ops xdp_ops = {
    .send = xdp_send,
    .recv = xdp_recv,
    .recv_room = xdp_recv_room,
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

static void keep_from_children(const void *from, const void *to)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)from & ~(page - 1);
    (void)madvise((void *)at, (uintptr_t)to - at, MADV_DONTFORK); /* else a child has it */
}

/* Each of the rings is a mapping that begins with its two positions. */
static void keep_all_from_children(const struct queue *q)
{
    const uint64_t *fill = q->rx.fill.ring, *comp = q->comp.ring;
    const struct xdp_desc *rx = q->rx.ring.ring, *tx = q->tx.ring;
    keep_from_children(q->area, q->area + q->area_bytes);
    keep_from_children(q->rx.fill.producer, fill + q->rx.fill.size);
    keep_from_children(q->comp.producer, comp + q->comp.size);
    keep_from_children(q->rx.ring.producer, rx + q->rx.ring.size);
    if (tx)
        keep_from_children(q->tx.producer, tx + q->tx.size);
}

static bool is_zero_copy(int fd)
{
    struct xdp_options options = {0};
    socklen_t len = sizeof options;
    return getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &len) == 0 &&
           (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

static int queue_sockets(struct opening *o, unsigned n)
{
    struct wr_xdp_hook hook = o->xdp->hook;
    struct queue *q = &o->xdp->queue[n];
    struct xsk_umem_config umem = {
        .fill_size = WR_XDP_FILL, .comp_size = TX_CHUNKS, .frame_size = CHUNK};
    struct xsk_socket_config socket = {
        .rx_size = RX_CHUNKS,
        .tx_size = TX_CHUNKS,
        .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
        .bind_flags = (uint16_t)(XDP_USE_NEED_WAKEUP | (hook.generic ? XDP_COPY : 0) |
                                 (hook.pieces ? XDP_USE_SG : 0)),
    };
    uint32_t key = n;
    int sndbuf = SNDBUF;
    int rc = xsk_umem__create(&q->umem, q->area, q->area_bytes, &q->rx.fill, &q->comp, &umem);
    if (rc != 0)
        return rc;
    wr_xdp_rx_fill(&q->rx);
    rc = xsk_socket__create(&q->xsk, o->config->ifname, n, q->umem, &q->rx.ring,
                            hook.generic ? NULL : &q->tx, &socket);
    if (rc != 0)
        return rc;
    int fd = xsk_socket__fd(q->xsk);
    keep_all_from_children(q);
    if (n == 0)
        o->xdp->copies = !is_zero_copy(fd);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof sndbuf) != 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    return bpf_map_update_elem(o->xdp->program.map_fd, &key, &fd, BPF_ANY);
}

static int queue_open(struct opening *o, unsigned n)
{
    struct xdp *xdp = o->xdp;
    struct queue *q = &xdp->queue[n];
    bool sends = n == 0 && !xdp->hook.generic;
    q->area_bytes = (size_t)CHUNK * (sends ? RX_CHUNKS + TX_CHUNKS : RX_CHUNKS);
    q->area = mmap(NULL, q->area_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (q->area == MAP_FAILED) {
        q->area = NULL;
        return WEIR_ENOMEM;
    }
    q->rx = (struct wr_xdp_rx){.area = q->area,
                               .whole = xdp->whole,
                               .least = xdp->hook.generic ? WR_XDP_RX_FEW : RX_CHUNKS,
                               .mtu = xdp->link.netif.mtu,
                               .trusts = xdp->is_veth || xdp->hook.generic};
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
    if (ask_driver(xdp->packet_fd, o->config->ifname, &channels) == 0)
        xdp->n_queues = channels.combined_count + channels.rx_count;
    if (xdp->n_queues == 0)
        xdp->n_queues = 1;
    if (ask_driver(xdp->packet_fd, o->config->ifname, &info) == 0)
        xdp->is_veth = strcmp(info.driver, "veth") == 0;
}

/* Program and sockets at a hook; nothing is left of them if it cannot be. */
static int open_at(struct opening *o, struct wr_xdp_hook hook)
{
    struct xdp *xdp = o->xdp;
    uint32_t mtu = o->packet.mtu;
    o->why = NULL;
    xdp->hook = hook;
    if (o->config->mtu && o->config->mtu < mtu)
        mtu = o->config->mtu;
    xdp->link.netif.mtu = mtu < MTU_MAX || hook.pieces ? mtu : MTU_MAX;
    int rc =
        wr_xdp_program_open(&xdp->program, o->packet.ifindex, xdp->link.netif.mac, hook, &o->why);
    for (unsigned i = 0; i < xdp->n_queues && rc == 0; i++)
        rc = queue_open(o, i);
    if (rc == 0 && hook.generic)
        rc = wr_packet_hear(xdp->packet_fd, xdp->link.netif.mac, false);
    if (rc != 0)
        take_down(xdp);
    return rc;
}

/* Does the kernel, or the driver, not know what was asked for? Then something else may do. */
static bool is_unknown(int rc)
{
    return rc == -EINVAL || rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -ERANGE;
}

static int open_somewhere(struct opening *o)
{
    static const struct wr_xdp_hook large = {.generic = true, .pieces = true},
                                    generic = {.generic = true}, native = {.generic = false};
    enum weir_xdp_hook wanted = o->config->hook;
    int rc = WEIR_EINVAL;
    if (wanted == WEIR_XDP_GENERIC || (wanted == WEIR_XDP_AUTO && o->xdp->is_veth))
        rc = open_at(o, large);
    if (is_unknown(rc) && wanted != WEIR_XDP_GENERIC)
        rc = open_at(o, native);
    if (is_unknown(rc) && wanted == WEIR_XDP_AUTO && !o->xdp->is_veth)
        rc = open_at(o, large);
    if (is_unknown(rc) && wanted != WEIR_XDP_NATIVE)
        rc = open_at(o, generic);
    return rc;
}

/* A socket leaves its queue some time after it was closed, as that of a program that was killed is. */
static int open_when_free(struct opening *o)
{
    int rc = open_somewhere(o);
    for (int i = 0; i < BUSY_TRIES && rc == -EBUSY; i++) {
        (void)poll(NULL, 0, BUSY_PAUSE_MS);
        rc = open_somewhere(o);
    }
    return rc;
}

static int open_here(void *arg)
{
    struct opening *o = arg;
    struct xdp *xdp = o->xdp;
    int rc = xdp->packet_fd = wr_packet_open(&o->packet);
    if (rc == WEIR_EINVAL)
        o->why = "it is no Ethernet interface";
    if (rc < 0)
        return rc;
    look_at_driver(o);
    if (xdp->n_queues > QUEUES_MAX) {
        o->why = "the interface has more than 16 queues: `ethtool -L` sets fewer";
        return WEIR_EINVAL;
    }
    return open_when_free(o);
}

/* One descriptor for all. */
static int gather_fds(struct xdp *xdp)
{
    xdp->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (xdp->epoll_fd < 0)
        return -errno;
    for (unsigned i = 0; i <= xdp->n_queues; i++) {
        int fd = i < xdp->n_queues ? xsk_socket__fd(xdp->queue[i].xsk) : xdp->packet_fd;
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
    memcpy(netif->name, config->ifname, strlen(config->ifname));
    netif->kind = WEIR_NETIF_ETHERNET;
    netif->tx_csum = true;
    netif->gso_max_bytes = xdp->hook.generic && !config->plain ? 65535 : 0;
    return gather_fds(xdp);
}

int weir_link_xdp(const struct weir_xdp_config *config, struct weir_link **link, const char **why)
{
    const char *reason = NULL;
    struct xdp *xdp = calloc(1, sizeof *xdp);
    if (!xdp)
        return WEIR_ENOMEM;
    xdp->link.ops = &xdp_ops;
    xdp->packet_fd = xdp->epoll_fd = -1;
    xdp->program = (struct wr_xdp_program){-1, -1, -1};
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
