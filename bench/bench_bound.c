/* SPDX-License-Identifier: MIT */
/*
 * What TUN allows at most: the least that the kernel's TCP still talks to, with the services of bench.h.
 *
 *     bench_bound NAME [csum] [simple]
 *
 *     csum      the kernel finishes checksums, but there are no super-segments
 *     simple    as one would write it first: an ACK for each segment, an empty device is read twice before it waits, and
 *               it waits with a time-out, for whose timers may be due
 *
 * It makes TUN interface NAME as bench_tun does (kernel 10.78.0.1/24, itself 10.78.0.2). This is no TCP: nothing is
 * ever sent again, no checksum is verified, there is no timer and no congestion control, and a connection is a row
 * of a table by the kernel's port. What it does do is what a TCP that reads and writes frame by frame cannot leave out:
 * a system call for each, a header for each that is sent, one ACK for what a batch of reads brought, the peer's window,
 * and one copy of the bytes to or from where a program would have them.
 *
 * A stack over TUN that does the work of a TCP beside these calls is compared with it in bench/run.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench.h"

enum {
    IP_BYTES = 20,
    TCP_BYTES = 20,
    MSS = 1460,
    SUPER_BYTES = 44 * MSS, /* what fits into 64 KB */
    FLIGHT_BYTES = 2 << 20, /* sent without an ACK, as far as the peer's window allows */
    WINDOW_SCALE = 10,
    WINDOW =
        400, /* of itself, scaled: 400 KB, so that single segments do not overrun the device's queue of 500 */
    BATCH = 64,
    FIN = 1,
    SYN = 2,
    RST = 4,
    PSH = 8,
    ACK = 16,
    WAIT_MS = 100 /* at most, if simple */
};

struct flow {
    uint32_t rcv_nxt, snd_una, snd_nxt, snd_wnd;
    uint8_t snd_wscale;
    bool open;
};

/* What of a frame matters. */
struct arrival {
    const uint8_t *data;
    size_t len;
    uint32_t addr; /* whose it is */
    uint32_t seq, ack, wnd;
    uint16_t from, to;
    uint8_t flags;
};

static struct flow flows[65536];
static struct arrival unacked; /* the last that is not acknowledged yet; `from` 0: none */
static struct {
    struct virtio_net_hdr vnet;
    uint8_t ip[IP_BYTES + TCP_BYTES + 8];
} __attribute__((packed)) head;
static uint8_t received[sizeof(struct virtio_net_hdr) + 65536];
static uint8_t program[65536], outgoing[65536];
static int tun;
static bool simple;
static size_t segment = SUPER_BYTES;

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v & 0xffff);
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static uint32_t sum_words(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i += 2)
        sum += get16(p + i);
    return sum;
}

/* ---- out --------------------------------------------------------------------------------------- */

/* Addresses, lengths and the sums that the kernel needs to finish the checksum. */
static void emit_ip(uint32_t to, size_t tcp_bytes)
{
    static const uint8_t fixed[] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 78, 0, 2};
    uint8_t *tcp = head.ip + IP_BYTES;

    memcpy(head.ip, fixed, sizeof fixed);
    put16(head.ip + 2, (unsigned)(IP_BYTES + tcp_bytes));
    put32(head.ip + 16, to);
    put16(head.ip + 10, (uint16_t)~fold(sum_words(head.ip, IP_BYTES)));
    put16(tcp + 16, fold(sum_words(head.ip + 12, 8) + 6 + (uint32_t)tcp_bytes));
}

static void emit(struct flow *flow, const struct arrival *to, uint8_t flags, size_t len)
{
    static const uint8_t syn_options[] = {2, 4, MSS >> 8, MSS & 255, 1, 3, 3, WINDOW_SCALE};
    uint8_t *tcp = head.ip + IP_BYTES;
    size_t options = flags & SYN ? sizeof syn_options : 0, header = IP_BYTES + TCP_BYTES + options;
    struct iovec iov[2] = {{&head, sizeof head.vnet + header}, {outgoing, len}};

    memset(&head.vnet, 0, sizeof head.vnet);
    head.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    head.vnet.csum_start = IP_BYTES;
    head.vnet.csum_offset = 16;
    head.vnet.hdr_len = (uint16_t)header;
    if (len > MSS) {
        head.vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        head.vnet.gso_size = MSS;
    }
    put16(tcp, to->to);
    put16(tcp + 2, to->from);
    put32(tcp + 4, flow->snd_nxt);
    put32(tcp + 8, flow->rcv_nxt);
    tcp[12] = (uint8_t)((TCP_BYTES + options) << 2);
    tcp[13] = flags;
    put16(tcp + 14, flags & SYN ? 65535 : WINDOW);
    put16(tcp + 18, 0);
    memcpy(tcp + TCP_BYTES, syn_options, options);
    emit_ip(to->addr, TCP_BYTES + options + len);
    if (writev(tun, iov, len ? 2 : 1) < 0)
        die("write: %s", strerror(errno));
    flow->snd_nxt += (uint32_t)len + (flags & (SYN | FIN) ? 1 : 0);
    if (unacked.from == to->from)
        unacked.from = 0;
}

static void send_source(struct flow *flow, const struct arrival *to)
{
    uint32_t limit = flow->snd_wnd < FLIGHT_BYTES ? flow->snd_wnd : FLIGHT_BYTES;

    while (flow->snd_nxt - flow->snd_una + segment <= limit) {
        memcpy(outgoing, program, segment);
        emit(flow, to, ACK, segment);
    }
}

/* ---- in ---------------------------------------------------------------------------------------- */

static bool parse(const uint8_t *ip, size_t len, struct arrival *in)
{
    const uint8_t *tcp = ip + IP_BYTES;
    size_t total, offset;

    if (len < IP_BYTES + TCP_BYTES || ip[0] != 0x45 || ip[9] != IPPROTO_TCP)
        return false;
    total = get16(ip + 2);
    offset = IP_BYTES + (size_t)(tcp[12] >> 4) * 4;
    if (total > len || offset > total)
        return false;
    *in = (struct arrival){.data = ip + offset,
                           .len = total - offset,
                           .addr = get32(ip + 12),
                           .seq = get32(tcp + 4),
                           .ack = get32(tcp + 8),
                           .wnd = get16(tcp + 14),
                           .from = get16(tcp),
                           .to = get16(tcp + 2),
                           .flags = tcp[13]};
    return true;
}

static uint8_t window_scale(const uint8_t *option, const uint8_t *end)
{
    while (option + 2 < end && *option != 0) {
        if (*option == 3)
            return option[2];
        option += *option == 1 || option[1] < 2 ? 1 : option[1];
    }
    return 0;
}

static void on_syn(struct flow *flow, const struct arrival *in, const uint8_t *options)
{
    *flow = (struct flow){.rcv_nxt = in->seq + 1, .snd_una = 1001, .snd_nxt = 1000, .open = true};
    flow->snd_wscale = window_scale(options, in->data);
    emit(flow, in, SYN | ACK, 0);
}

static void on_data(struct flow *flow, const struct arrival *in)
{
    flow->rcv_nxt += (uint32_t)in->len;
    memcpy(program, in->data, in->len);
    if (in->to == PORT_ECHO) {
        memcpy(outgoing, program, in->len);
        emit(flow, in, PSH | ACK, in->len);
    } else if (simple) {
        emit(flow, in, ACK, 0);
    } else {
        unacked = *in;
    }
}

static void acknowledge(void)
{
    if (unacked.from)
        emit(&flows[unacked.from], &unacked, ACK, 0);
}

static void on_frame(const uint8_t *ip, size_t len)
{
    struct arrival in;
    struct flow *flow;

    if (!parse(ip, len, &in))
        return;
    if (in.from != unacked.from)
        acknowledge();
    flow = &flows[in.from];
    if (in.flags & RST)
        flow->open = false;
    else if (in.flags & SYN)
        on_syn(flow, &in, ip + IP_BYTES + TCP_BYTES);
    if (!flow->open || in.flags & (RST | SYN))
        return;
    if ((int32_t)(in.ack - flow->snd_una) > 0)
        flow->snd_una = in.ack;
    flow->snd_wnd = in.wnd << flow->snd_wscale;
    if (in.len && in.seq == flow->rcv_nxt)
        on_data(flow, &in);
    else if (in.len)
        emit(flow, &in, ACK, 0);
    if (in.flags & FIN && in.seq + (uint32_t)in.len == flow->rcv_nxt) {
        flow->rcv_nxt++;
        emit(flow, &in, FIN | ACK, 0);
        flow->open = false;
    } else if (in.to == PORT_SOURCE) {
        send_source(flow, &in);
    }
}

/* ---- device ------------------------------------------------------------------------------------ */

static void configure(struct ifreq *request)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a4e0001)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(&request->ifr_addr, &sin, sizeof sin);
    if (ioctl(fd, SIOCSIFADDR, request) != 0)
        die("SIOCSIFADDR: %s", strerror(errno));
    sin.sin_addr.s_addr = htonl(0xffffff00);
    memcpy(&request->ifr_netmask, &sin, sizeof sin);
    if (ioctl(fd, SIOCSIFNETMASK, request) != 0)
        die("SIOCSIFNETMASK: %s", strerror(errno));
    request->ifr_flags = IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, request) != 0)
        die("SIOCSIFFLAGS: %s", strerror(errno));
    (void)close(fd);
}

static void open_tun(const char *name, bool super_segments)
{
    unsigned long offload = TUN_F_CSUM | (super_segments ? TUN_F_TSO4 : 0);
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};

    if (strlen(name) >= sizeof request.ifr_name)
        die("%s: too long for an interface", name);
    memcpy(request.ifr_name, name, strlen(name));
    tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tun < 0 || ioctl(tun, TUNSETIFF, &request) != 0 || ioctl(tun, TUNSETOFFLOAD, offload) != 0)
        die("%s: %s", name, strerror(errno));
    configure(&request);
}

/* Reads and answers what is there, up to a batch; says whether the device is empty. */
static bool serve_batch(void)
{
    int i;

    for (i = 0; i < BATCH; i++) {
        ssize_t n = read(tun, received, sizeof received);

        if (n < 0 && errno != EAGAIN)
            die("read: %s", strerror(errno));
        if (n < (ssize_t)sizeof(struct virtio_net_hdr))
            break;
        on_frame(received + sizeof(struct virtio_net_hdr),
                 (size_t)n - sizeof(struct virtio_net_hdr));
    }
    acknowledge();
    return simple ? i == 0 : i < BATCH;
}

int main(int argc, char **argv)
{
    bool csum = false, known = argc > 1;

    for (int i = 2; i < argc; i++) {
        csum = csum || strcmp(argv[i], "csum") == 0;
        simple = simple || strcmp(argv[i], "simple") == 0;
        known = known && (strcmp(argv[i], "csum") == 0 || strcmp(argv[i], "simple") == 0);
    }
    if (!known)
        die("usage: bench_bound NAME [csum] [simple]");
    segment = csum ? MSS : SUPER_BYTES;
    open_tun(argv[1], !csum);
    puts("ready");
    (void)fflush(stdout);
    for (;;) {
        struct pollfd wait = {.fd = tun, .events = POLLIN};

        if (serve_batch())
            (void)poll(&wait, 1, simple ? WAIT_MS : -1);
    }
}
