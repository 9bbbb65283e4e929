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
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/error.h>
#include <weir/link.h>

enum { DATAGRAMS = 5, BYTES = 100, HEADS = 42, GSO_UDP = 5, UDP_SEGMENT_OPTION = 103, FRAMES = 40 };

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tun_that_has_read_ahead),
        cmocka_unit_test(a_tun_that_cuts_a_datagram),
        cmocka_unit_test(a_packet_socket),
        cmocka_unit_test(a_packet_socket_behind_xdp),
        cmocka_unit_test(an_interface_is_free_when_the_link_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
