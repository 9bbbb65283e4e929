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
    ETH_LOCAL = 0x88b5 /* IEEE 802: for local use */
};

/* A TAP behind a bridge, on which a slow queue holds what was sent, and few bytes may be under way. */
static struct weir_link *open_narrow_tap(void)
{
    struct weir_tun_config config = {.name = "weirrd3", .tap = true, .plain = true};
    struct weir_link *link;
    int few = 6000;
    assert_int_equal(weir_link_tun(&config, &link), 0);
    if (system(
            "ip link add name weirrd4 type bridge && ip link set weirrd0 master weirrd4 && "
            "ip link set weirrd3 master weirrd4 && ip link set weirrd4 up && ip link set weirrd3 up && "
            "tc qdisc add dev weirrd0 root tbf rate 10mbit burst 2000 limit 300000") != 0) {
        weir_link_free(link);
        skip();
    }
    assert_int_equal(ioctl(link->ops->fd(link), TUNSETSNDBUF, &few), 0);
    return link;
}

/* Notes what has arrived at the far end: each once. With `wait`, at least one. Returns how many. */
static unsigned arrived(int fd, bool *seen, bool wait)
{
    struct pollfd come = {.fd = fd, .events = POLLIN};
    uint8_t frame[2000];
    unsigned n = 0;
    while (poll(&come, 1, wait && n == 0 ? 5000 : 0) == 1) {
        ssize_t len = recv(fd, frame, sizeof frame, 0);
        if (len <= SERIAL_AT || frame[12] != ETH_LOCAL >> 8 || frame[13] != (ETH_LOCAL & 0xff))
            continue;
        assert_false(seen[frame[SERIAL_AT]]);
        seen[frame[SERIAL_AT]] = true;
        n++;
    }
    assert_true(n > 0 || !wait);
    return n;
}

/* One that is refused comes again, as a host has it; what was taken and not refused must not get lost either. */
static void nothing_is_lost_where_there_is_no_room(void **state)
{
    uint8_t data[MOST_SENT] = {
        2, 0, 0, 0, 0, 8,    2,
        0, 0, 0, 0, 9, 0x88, 0xb5}; /* for one: copies do not count as under way */
    bool seen[SENT] = {false};
    unsigned refused = 0, kept = 0, got = 0;
    weir_time now = WEIR_SEC;
    (void)state;
    need_devices();
    struct weir_link *link = open_narrow_tap();
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_LOCAL),
                             .sll_ifindex = (int)if_nametoindex("weirrd1")};
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
    for (unsigned i = 0; i < SENT;) {
        struct weir_out out = {.head = data, .head_len = i / 8 % 3 == 0 ? MOST_SENT : 60};
        struct weir_frame frame;
        data[SERIAL_AT] = (uint8_t)i;
        int rc = link->ops->send(link, &out, now);
        i += rc == 0;
        refused += rc != 0;
        if (i % 4 != 0 && rc == 0)
            continue;
        assert_int_equal(link->ops->flush(link, now), 0);
        if (link->ops->deadline(link) == WEIR_TIME_NEVER)
            continue;
        kept += rc == 0;
        got += arrived(fd, seen, true); /* then there is room */
        now = link->ops->deadline(link);
        while (link->ops->recv(link, &frame, now) == 1)
            continue;
        assert_true(rc == 0 || rc == WEIR_EAGAIN);
    }
    while (got < SENT) {
        struct weir_frame frame;
        got += arrived(fd, seen, true);
        now = weir_time_after(now, WEIR_SEC);
        while (link->ops->recv(link, &frame, now) == 1)
            continue;
    }
    assert_true(refused > 0 && kept > 0);
    assert_int_equal(link->ops->flush(link, now), 0);
    assert_true(link->ops->deadline(link) == WEIR_TIME_NEVER);
    weir_link_free(link);
    assert_int_equal(system("ip link del weirrd4 && tc qdisc del dev weirrd0 root"), 0);
    close(fd);
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
        cmocka_unit_test(a_packet_socket),
        cmocka_unit_test(a_packet_socket_behind_xdp),
        cmocka_unit_test(an_interface_is_free_when_the_link_is_gone),
        cmocka_unit_test(a_child_has_no_rings_of_xdp),
        cmocka_unit_test(a_child_has_no_ring_of_a_tun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
