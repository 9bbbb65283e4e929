/* SPDX-License-Identifier: MIT */
/*
 * Links on devices, driven without a host. While a link has a frame its descriptor is readable or its deadline has passed:
 * several frames may come out of the kernel by one call, and a super-datagram is cut into datagrams here; then the
 * descriptor tells of nothing more. Devices in a network namespace of this process; where none can be made the tests are
 * left out, and cmocka says so.
 */
#define _GNU_SOURCE /* unshare */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/error.h>
#include <weir/link.h>

enum { DATAGRAMS = 5, BYTES = 100, HEADS = 42, GSO_UDP = 5, UDP_SEGMENT_OPTION = 103, FRAMES = 40 };
enum { MANY = 5 };

static void need_devices(void)
{
    static int made;
    if (made == 0)
        made =
            unshare(CLONE_NEWNET) == 0 &&
                    system(
                        "for d in all default; do echo 1 > /proc/sys/net/ipv6/conf/$d/disable_ipv6; done; "
                        "ip link add weirrd0 type veth peer name weirrd1 && "
                        "ip link set weirrd0 up && ip link set weirrd1 up") == 0
                ? 1
                : -1;
    if (made < 0)
        skip();
}

static bool says_it_has_some(const struct weir_link *link)
{
    struct pollfd wait = {.fd = link->ops->fd(link), .events = POLLIN};
    return link->ops->deadline(link) == 0 || poll(&wait, 1, 0) == 1;
}

/* Takes n frames, each after the link has said that there is one. Ours are UDP over IPv4 from port 7; others are not
 * counted. The kernel has none of its own to send without IPv6, which would hide that a link says nothing. */
static void take(struct weir_link *link, size_t l3, unsigned n)
{
    for (unsigned got = 0; got < n;) {
        struct pollfd wait = {.fd = link->ops->fd(link), .events = POLLIN};
        struct weir_frame frame;
        if (link->ops->deadline(link) != 0)
            assert_int_equal(poll(&wait, 1, 5000), 1);
        if (link->ops->recv(link, &frame, 0) != 1)
            continue;
        const uint8_t *ip = frame.data + l3;
        if (frame.len > l3 + 28 && ip[0] == 0x45 && ip[9] == 17 && ip[20] == 0 && ip[21] == 7)
            got++;
    }
}

/* Everything that has come is told of, and when there is nothing more that is told too. */
static void drain(struct weir_link *link)
{
    struct weir_frame frame;
    bool told;
    do
        told = says_it_has_some(link);
    while (link->ops->recv(link, &frame, 0) == 1 && told);
    assert_true(link->ops->deadline(link) == WEIR_TIME_NEVER);
    weir_link_free(link);
}

/* ---- TUN ------------------------------------------------------------------------------------------ */

static struct weir_link *open_tun(bool offload)
{
    struct weir_tun_config config = {.name = "weirrd2", .offload = offload, .plain = true};
    struct weir_addr kernel = weir_addr_v4(0x0a4f0001);
    struct weir_link *link;
    assert_int_equal(weir_link_tun(&config, &link), 0);
    assert_int_equal(weir_tun_configure(link, &kernel, 24, 1500), 0);
    return link;
}

/* Sends n datagrams from port 7 to Weir's side of the TUN: each by itself, or all by one call. */
static void send_datagrams(unsigned n, bool together)
{
    static const uint8_t data[DATAGRAMS * BYTES];
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(7)}, to = from;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = BYTES;
    to.sin_addr.s_addr = htonl(0x0a4f0002);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    if (together) {
        assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT_OPTION, &size, sizeof size), 0);
        assert_int_equal(send(fd, data, n * BYTES, 0), n * BYTES);
    } else {
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(send(fd, data, BYTES, 0), BYTES);
    }
    close(fd);
}

static void a_tun_that_has_read_ahead(void **state)
{
    (void)state;
    need_devices();
    struct weir_link *link = open_tun(false);
    send_datagrams(FRAMES, false);
    take(link, 0, FRAMES);
    drain(link);
}

static void a_tun_that_cuts_a_datagram(void **state)
{
    (void)state;
    need_devices();
    struct weir_link *link = open_tun(true);
    send_datagrams(DATAGRAMS, true);
    take(link, 0, DATAGRAMS);
    drain(link);
}

/* What it has taken, and the kernel then does not, is told when it is asked for by flush. */
static void a_tun_that_is_down(void **state)
{
    uint8_t ip[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17};
    struct weir_out out = {.head = ip, .head_len = sizeof ip};
    (void)state;
    need_devices();
    struct weir_link *link = open_tun(true);
    assert_int_equal(system("ip link set weirrd2 down"), 0);
    for (unsigned n = 0; n <= MANY; n++) {
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(link->ops->send(link, &out, 0), 0);
        assert_int_equal(link->ops->flush(link, 0), n);
        assert_int_equal(link->ops->flush(link, 0), 0);
    }
    weir_link_free(link);
}

/* ---- a device that has no room -------------------------------------------------------------------- */

enum {
    SERIAL_AT = 14,
    MOST_SENT = 1400,
    SENT = 120,
    ETH_LOCAL = 0x88b5, /* IEEE 802: for local use */
    SUPER_HEAD = 54,    /* Ethernet, IPv4, TCP */
    SUPER_GSO = 1400
};

/* For one: copies do not count as under way. */
#define TO_ONE 2, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 9

/* What sends on a TAP behind a bridge, on which a slow queue holds what was sent, and few bytes may be under way; and who
 * hears it at the far end. */
static struct {
    struct weir_link *link;
    int fd;
    uint32_t got;   /* frames, or bytes of a stream */
    bool seen[256]; /* frames, by serial number */
    weir_time now;
} narrow;

/* `known`: that there may be no room is there to be seen when the link is made. */
static void open_narrow_tap(bool offload, bool known, uint16_t type, const char *rate)
{
    struct weir_tun_config config = {
        .name = "weirrd3", .tap = true, .offload = offload, .plain = true};
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(type)};
    int few = 6000;
    need_devices();
    setenv("RATE", rate, 1);
    assert_int_equal(weir_link_tun(&config, &narrow.link), 0);
    int tap = dup(narrow.link->ops->fd(narrow.link));
    if (system(
            "for f in /proc/sys/net/bridge/bridge-nf-call-iptables; do "
            "[ ! -e $f ] || echo 0 > $f; done; " /* where IP is let go of before the queue */
            "ip link add name weirrd4 type bridge && ip link set weirrd0 master weirrd4 && "
            "ip link set weirrd3 master weirrd4 && ip link set weirrd4 up && ip link set weirrd3 up && "
            "tc qdisc add dev weirrd0 root tbf burst 2000 limit 300000 rate $RATE") != 0) {
        weir_link_free(narrow.link);
        close(tap);
        skip();
    }
    assert_int_equal(ioctl(tap, TUNSETSNDBUF, &few), 0);
    if (known) {
        weir_link_free(narrow.link);
        assert_int_equal(weir_link_tun_fd(tap, true, offload, 1500, &narrow.link), 0);
    } else {
        close(tap);
    }
    to.sll_ifindex = (int)if_nametoindex("weirrd1");
    narrow.fd = socket(AF_PACKET, SOCK_RAW, 0);
    assert_int_equal(bind(narrow.fd, (struct sockaddr *)&to, sizeof to), 0);
    narrow.now = WEIR_SEC;
    narrow.got = 0;
    memset(narrow.seen, 0, sizeof narrow.seen);
}

static void close_narrow_tap(void)
{
    assert_int_equal(narrow.link->ops->flush(narrow.link, narrow.now), 0);
    assert_true(narrow.link->ops->deadline(narrow.link) == WEIR_TIME_NEVER);
    weir_link_free(narrow.link);
    assert_int_equal(system("ip link del weirrd4 && tc qdisc del dev weirrd0 root"), 0);
    close(narrow.fd);
}

/* Each once, and in order if so said: the next serial number; or the next bytes of the stream. */
static void take_once(const uint8_t *frame, size_t len, bool in_order)
{
    if (frame[12] == 0x08) {
        const uint8_t *seq = frame + SUPER_HEAD - 16;
        assert_true(len > SUPER_HEAD);
        assert_int_equal((uint32_t)seq[0] << 24 | seq[1] << 16 | seq[2] << 8 | seq[3], narrow.got);
        narrow.got += (uint32_t)(len - SUPER_HEAD);
        return;
    }
    if (in_order)
        assert_int_equal(frame[SERIAL_AT], (uint8_t)narrow.got);
    assert_false(narrow.seen[frame[SERIAL_AT]]);
    narrow.seen[frame[SERIAL_AT]] = true;
    narrow.got++;
}

/* Has what arrived at the far end checked. With `wait` there is at least one, so there is room then. */
static void hear(bool wait, bool in_order)
{
    struct pollfd come = {.fd = narrow.fd, .events = POLLIN};
    uint8_t frame[2000];
    unsigned n = 0;
    while (poll(&come, 1, wait && n == 0 ? 5000 : 0) == 1) {
        ssize_t len = recv(narrow.fd, frame, sizeof frame, 0);
        if (len <= SERIAL_AT || frame[5] != 8)
            continue; /* the kernel's own */
        take_once(frame, (size_t)len, in_order);
        n++;
    }
    assert_true(n > 0 || !wait);
}

/* A while later there is room, and the link is asked, as a host does. */
static void let_go_on(bool in_order)
{
    struct weir_frame frame;
    hear(true, in_order);
    narrow.now = weir_time_after(narrow.now, WEIR_SEC);
    while (narrow.link->ops->recv(narrow.link, &frame, narrow.now) == 1)
        continue;
}

/* One that is refused comes again, as a host has it; what was taken and not refused must not get lost either. */
static void send_small_and_large(bool offload, bool known)
{
    uint8_t data[MOST_SENT] = {TO_ONE, 0x88, 0xb5};
    unsigned refused = 0, kept = 0;
    open_narrow_tap(offload, known, ETH_LOCAL, "2mbit");
    for (unsigned i = 0; i < SENT;) {
        struct weir_out out = {.head = data, .head_len = i / 8 % 3 == 0 ? MOST_SENT : 60};
        data[SERIAL_AT] = (uint8_t)i;
        int rc = narrow.link->ops->send(narrow.link, &out, narrow.now);
        i += rc == 0;
        refused += rc != 0;
        assert_true(rc == 0 || rc == WEIR_EAGAIN);
        if (i % 4 != 0 && rc == 0)
            continue;
        assert_int_equal(narrow.link->ops->flush(narrow.link, narrow.now), 0);
        if (narrow.link->ops->deadline(narrow.link) == WEIR_TIME_NEVER)
            continue;
        kept += rc == 0;
        let_go_on(known);
    }
    while (narrow.got < SENT)
        let_go_on(known);
    assert_true(refused > 0 && kept > 0);
    close_narrow_tap();
}

static void nothing_is_lost_where_there_is_no_room(void **state)
{
    (void)state;
    send_small_and_large(false, false);
    send_small_and_large(true, false);
}

static void nothing_is_overtaken_where_there_is_no_room(void **state)
{
    (void)state;
    send_small_and_large(false, true);
    send_small_and_large(true, true);
}

/* A super-segment that is cut here, and refused in the middle: it goes on where it stopped. */
static void send_super(bool offload, size_t len)
{
    uint8_t head[SUPER_HEAD] = {TO_ONE, 8,  0,  0x45, 0, 0,  0,  0, 7, 0x40, 0, 64, 6, 0,
                                0,      10, 79, 2,    1, 10, 79, 2, 2, 0,    7, 0,  7};
    uint8_t *data = calloc(1, len);
    struct weir_out out = {.head = head,
                           .head_len = sizeof head,
                           .n_spans = 1,
                           .span = {{data, len}},
                           .gso_size = SUPER_GSO,
                           .csum_partial = true,
                           .csum_start = SUPER_HEAD - 20,
                           .csum_offset = 16};
    unsigned refused = 0, seq = 0;
    head[SUPER_HEAD - 8] = 0x50; /* no options */
    head[SUPER_HEAD - 7] = 0x10; /* ACK */
    assert_non_null(data);
    open_narrow_tap(offload, true, ETH_P_IP, offload ? "200mbit" : "5mbit");
    for (unsigned round = 0; round <= !offload; round++, seq += (unsigned)len) {
        head[SUPER_HEAD - 16] = (uint8_t)(seq >> 24), head[SUPER_HEAD - 15] = (uint8_t)(seq >> 16);
        head[SUPER_HEAD - 14] = (uint8_t)(seq >> 8), head[SUPER_HEAD - 13] = (uint8_t)seq;
        for (int rc = WEIR_EAGAIN; rc != 0; refused += rc != 0) {
            rc = narrow.link->ops->send(narrow.link, &out, narrow.now);
            assert_true(rc == 0 || rc == WEIR_EAGAIN);
            assert_int_equal(narrow.link->ops->flush(narrow.link, narrow.now), 0);
            if (rc != 0)
                let_go_on(true);
        }
    }
    while (narrow.got < seq)
        let_go_on(true);
    assert_int_equal(narrow.got, seq);
    assert_true(refused > 0);
    hear(false, true);
    close_narrow_tap();
    free(data);
}

static void a_super_segment_that_is_cut_goes_on_where_it_stopped(void **state)
{
    (void)state;
    send_super(false, 200000);
    send_super(true, 6000000); /* more than the kernel finds room for (test_large_segments.py) */
}

/* Of frames that go by one call one is none that the device takes; those behind it meet no room. Both are told. */
static void what_is_lost_is_told_beside_what_is_refused(void **state)
{
    enum { N = 40, LOST = 2 };
    static uint8_t data[N][MOST_SENT];
    struct weir_out out[N];
    int rc;
    (void)state;
    open_narrow_tap(false, true, ETH_LOCAL, "2mbit");
    for (unsigned i = 0; i < N; i++) {
        static const uint8_t head[] = {TO_ONE, 0x88, 0xb5};
        memcpy(data[i], head, sizeof head);
        data[i][SERIAL_AT] = (uint8_t)(i - (i > LOST)); /* as it is to arrive */
        out[i] = (struct weir_out){.head = data[i], .head_len = i == LOST ? 7 : MOST_SENT};
    }
    unsigned done = narrow.link->ops->send_many(narrow.link, out, N, &rc, narrow.now);
    assert_true(done > LOST && done < N);
    assert_int_equal(rc, WEIR_EAGAIN);
    assert_int_equal(narrow.link->ops->flush(narrow.link, narrow.now), 1);
    while (done < N) {
        let_go_on(true);
        done += narrow.link->ops->send_many(narrow.link, out + done, N - done, &rc, narrow.now);
        assert_int_equal(narrow.link->ops->flush(narrow.link, narrow.now), 0);
    }
    while (narrow.got < N - 1)
        let_go_on(true);
    close_narrow_tap();
}

/* ---- beside the kernel ---------------------------------------------------------------------------- */

/* To all at the cable, a datagram from port 7 with so much data; a gso_size other than 0 has it cut. */
static void send_frame(int fd, uint16_t data, uint16_t gso_size)
{
    static uint8_t frame[HEADS + DATAGRAMS * BYTES] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,  0, 0, 0,  0,  1, 8, 0,    0x45, 0,    0,
        0,    0,    1,    0x40, 0,    64,   17, 0, 0, 10, 79, 1, 1, 0xff, 0xff, 0xff, 0xff};
    struct virtio_net_hdr head = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                  .gso_type = gso_size ? GSO_UDP : VIRTIO_NET_HDR_GSO_NONE,
                                  .gso_size = gso_size,
                                  .hdr_len = HEADS,
                                  .csum_start = 34,
                                  .csum_offset = 6};
    struct iovec iov[2] = {{&head, sizeof head}, {frame, HEADS + data}};
    uint16_t ip_len = (uint16_t)(28 + data), udp_len = (uint16_t)(8 + data);
    frame[16] = (uint8_t)(ip_len >> 8), frame[17] = (uint8_t)ip_len;
    frame[35] = 7;
    frame[38] = (uint8_t)(udp_len >> 8), frame[39] = (uint8_t)udp_len;
    assert_int_equal(writev(fd, iov, 2), sizeof head + HEADS + data);
}

static int far_end(void)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_ifindex = (int)if_nametoindex("weirrd1")};
    int fd = socket(AF_PACKET, SOCK_RAW, 0), on = 1;
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void a_packet_socket(void **state)
{
    struct weir_packet_config config = {.ifname = "weirrd0", .plain = true};
    struct weir_link *link;
    (void)state;
    need_devices();
    int fd = far_end();
    assert_int_equal(weir_link_packet(&config, &link), 0);
    for (unsigned i = 0; i < FRAMES; i++)
        send_frame(fd, BYTES, 0);
    take(link, ETHER_HDR_LEN, FRAMES);
    send_frame(fd, DATAGRAMS * BYTES, BYTES);
    take(link, ETHER_HDR_LEN, DATAGRAMS);
    drain(link);
    close(fd);
}

static void a_packet_socket_behind_xdp(void **state)
{
    struct weir_xdp_config config = {.ifname = "weirrd0", .plain = true};
    struct weir_link *link;
    (void)state;
    need_devices();
    int rc = weir_link_xdp(&config, &link, NULL);
    if (rc == WEIR_ENOTSUP || rc == WEIR_EPERM || rc == WEIR_ENOMEM)
        skip();
    assert_int_equal(rc, 0);
    int fd = far_end();
    send_frame(fd, DATAGRAMS * BYTES, BYTES);
    take(link, ETHER_HDR_LEN, DATAGRAMS);
    drain(link);
    close(fd);
}

/* A socket leaves its queue some time after it was closed: whoever opens the next one need not know. */
static void an_interface_is_free_when_the_link_is_gone(void **state)
{
    struct weir_xdp_config config = {.ifname = "weirrd0", .plain = true};
    (void)state;
    need_devices();
    for (unsigned i = 0; i < 30; i++) {
        struct weir_link *link;
        config.hook = i % 2 ? WEIR_XDP_GENERIC : WEIR_XDP_NATIVE;
        int rc = weir_link_xdp(&config, &link, NULL);
        if (rc == WEIR_ENOTSUP || rc == WEIR_EPERM || rc == WEIR_ENOMEM)
            skip();
        assert_int_equal(rc, 0);
        weir_link_free(link);
    }
}

/* ---- children ------------------------------------------------------------------------------------- */

/* Does this process map something of that name? */
static bool maps(const char *name)
{
    char line[512];
    bool found = false;
    FILE *file = fopen("/proc/self/maps", "r");
    while (file && fgets(line, sizeof line, file))
        found |= strstr(line, name) != NULL;
    assert_non_null(file);
    fclose(file);
    return found;
}

/* Forks, and does not exec: what the parent maps of a device the child must not hold. */
static void assert_not_inherited(const char *name)
{
    int status;
    assert_true(maps(name));
    pid_t child = fork();
    if (child == 0)
        _exit(maps(name));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_child_has_no_rings_of_xdp(void **state)
{
    struct weir_xdp_config config = {.ifname = "weirrd0", .plain = true};
    struct weir_link *link;
    (void)state;
    need_devices();
    for (int i = 0; i < 2; i++) {
        config.hook = i % 2 ? WEIR_XDP_GENERIC : WEIR_XDP_NATIVE;
        int rc = weir_link_xdp(&config, &link, NULL);
        if (rc == WEIR_ENOTSUP || rc == WEIR_EPERM || rc == WEIR_ENOMEM)
            skip();
        assert_int_equal(rc, 0);
        assert_not_inherited("socket:[");
        weir_link_free(link);
    }
}

static void a_child_has_no_ring_of_a_tun(void **state)
{
    uint8_t ip[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17};
    struct weir_out out = {.head = ip, .head_len = sizeof ip};
    (void)state;
    need_devices();
    struct weir_link *link = open_tun(true);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(link->ops->send(link, &out, 0), 0);
    assert_int_equal(link->ops->flush(link, 0), 0);
    bool has_a_ring = maps("[io_uring]");
    if (has_a_ring)
        assert_not_inherited("[io_uring]");
    weir_link_free(link);
    if (!has_a_ring)
        skip(); /* it is forbidden here */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tun_that_has_read_ahead),
        cmocka_unit_test(a_tun_that_cuts_a_datagram),
        cmocka_unit_test(a_tun_that_is_down),
        cmocka_unit_test(nothing_is_lost_where_there_is_no_room),
        cmocka_unit_test(nothing_is_overtaken_where_there_is_no_room),
        cmocka_unit_test(a_super_segment_that_is_cut_goes_on_where_it_stopped),
        cmocka_unit_test(what_is_lost_is_told_beside_what_is_refused),
        cmocka_unit_test(a_packet_socket),
        cmocka_unit_test(a_packet_socket_behind_xdp),
        cmocka_unit_test(an_interface_is_free_when_the_link_is_gone),
        cmocka_unit_test(a_child_has_no_rings_of_xdp),
        cmocka_unit_test(a_child_has_no_ring_of_a_tun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
