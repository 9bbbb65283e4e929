/* SPDX-License-Identifier: MIT */
/*
 * Opening TUN devices, and the address of the kernel's side.
 *
 * TUNGETDEVNETNS gives the namespace of a device's descriptor back, so that nothing need be remembered in
 * between.
 *
 * Addresses are set by rtnetlink and not by ioctl, for IFA_F_NODAD: the kernel's own side of a TAP
 * would otherwise be unusable for a second while duplicate address detection runs (RFC 4862 5.4).
 *
 * Super-segments of more than 64 KB: since 6.3 Linux takes TCP over IPv4 in larger ones ("BIG TCP"), whose total length
 * is 0, up to what gro_ipv4_max_size says of the interface (ip-link(8)). A kernel that does not know of that drops them,
 * and does not know the attribute either. So it is set for an interface that is configured here, and what it is decides.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/link_tun.h"
#include "link/netns.h"

#ifndef TUNGETDEVNETNS
#    define TUNGETDEVNETNS _IO('T', 227)
#endif

/* How long a device that is in use is asked for again. An io_uring (batch.h) of a program that was killed ends some 30 ms
 * after it, and holds the device until then. */
enum { BUSY_TRIES = 100, BUSY_PAUSE_MS = 5 };

/* A name of Linux 6.3 that older headers lack; by its number, for it is no macro there. */
enum { LINK_GRO_IPV4_MAX_SIZE = 64 };

/* ---- opening ------------------------------------------------------------------------------------ */

static int open_device(void *arg)
{
    const struct weir_tun_config *config = arg;
    const char *name = config->name ? config->name : "weir%d";
    struct ifreq ifr = {0};
    if (strlen(name) >= sizeof ifr.ifr_name)
        return WEIR_EINVAL;
    memcpy(ifr.ifr_name, name, strlen(name));
    unsigned flags = (config->tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI;
    if (config->offload)
        flags |= IFF_VNET_HDR;
    ifr.ifr_flags = (short)flags;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (ioctl(fd, TUNSETIFF, &ifr) != 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

int wr_tun_open(const struct weir_tun_config *config)
{
    int fd = wr_netns_in(config->netns, open_device, (void *)(uintptr_t)config);
    for (int i = 0; i < BUSY_TRIES && fd == WEIR_EBUSY; i++) {
        (void)poll(NULL, 0, BUSY_PAUSE_MS);
        fd = wr_netns_in(config->netns, open_device, (void *)(uintptr_t)config);
    }
    return fd;
}

/* ---- the kernel's side -------------------------------------------------------------------------- */

static int open_socket(void *arg)
{
    const int *how = arg;
    int fd = socket(how[0], how[1] | SOCK_CLOEXEC, how[2]);
    return fd < 0 ? -errno : fd;
}

/* A socket in the namespace of a device; in this one where the kernel does not tell (it wants
 * CAP_NET_ADMIN over the namespace). */
static int socket_near(int tun_fd, int family, int type, int protocol)
{
    int how[3] = {family, type, protocol};
    int ns = ioctl(tun_fd, TUNGETDEVNETNS);
    int fd = wr_netns_visit(ns, open_socket, how);
    if (ns >= 0)
        close(ns);
    return fd;
}

uint32_t wr_tun_kernel_mtu(int fd, const char *name)
{
    struct ifreq ifr = {0};
    uint32_t mtu = 1500;
    int s = socket_near(fd, AF_INET, SOCK_DGRAM, 0);
    if (s < 0)
        return mtu;
    memcpy(ifr.ifr_name, name, strnlen(name, sizeof ifr.ifr_name - 1));
    if (ioctl(s, SIOCGIFMTU, &ifr) == 0)
        mtu = (uint32_t)ifr.ifr_mtu;
    close(s);
    return mtu;
}

/* A request to rtnetlink in the making. */
struct request {
    struct nlmsghdr head;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg addr;
        uint8_t room[128];
    } body;
};

static void add_attribute(struct request *rq, unsigned short type, const void *data, size_t len)
{
    struct rtattr *rta = (struct rtattr *)((char *)rq + NLMSG_ALIGN(rq->head.nlmsg_len));
    rta->rta_type = type;
    rta->rta_len = (unsigned short)RTA_LENGTH(len);
    memcpy(RTA_DATA(rta), data, len);
    rq->head.nlmsg_len = (unsigned)(NLMSG_ALIGN(rq->head.nlmsg_len) + RTA_SPACE(len));
}

static int ask(int s, struct request *rq)
{
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        uint8_t rest[512];
    } answer;
    rq->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    if (send(s, rq, rq->head.nlmsg_len, 0) < 0)
        return -errno;
    ssize_t n = recv(s, &answer, sizeof answer, 0);
    if (n < 0)
        return -errno;
    if ((size_t)n < NLMSG_LENGTH(sizeof answer.error) || answer.head.nlmsg_type != NLMSG_ERROR)
        return WEIR_EPROTO;
    return answer.error.error;
}

static int set_up(int s, int ifindex, uint32_t mtu)
{
    struct request rq = {0};
    rq.head.nlmsg_len = NLMSG_LENGTH(sizeof rq.body.link);
    rq.head.nlmsg_type = RTM_NEWLINK;
    rq.body.link.ifi_index = ifindex;
    rq.body.link.ifi_flags = IFF_UP;
    rq.body.link.ifi_change = IFF_UP;
    if (mtu)
        add_attribute(&rq, IFLA_MTU, &mtu, sizeof mtu);
    return ask(s, &rq);
}

static int set_address(int s, int ifindex, const struct weir_addr *addr, unsigned prefix_len)
{
    struct request rq = {0};
    bool v4 = weir_addr_is_v4(addr);
    const uint8_t *bytes = v4 ? addr->b + 12 : addr->b;
    size_t len = v4 ? 4 : 16;
    if (prefix_len > len * 8)
        return WEIR_EINVAL;
    rq.head.nlmsg_len = NLMSG_LENGTH(sizeof rq.body.addr);
    rq.head.nlmsg_type = RTM_NEWADDR;
    rq.head.nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
    rq.body.addr.ifa_family = v4 ? AF_INET : AF_INET6;
    rq.body.addr.ifa_prefixlen = (uint8_t)prefix_len;
    rq.body.addr.ifa_flags = v4 ? 0 : IFA_F_NODAD;
    rq.body.addr.ifa_index = (unsigned)ifindex;
    add_attribute(&rq, IFA_LOCAL, bytes, len);
    add_attribute(&rq, IFA_ADDRESS, bytes, len);
    return ask(s, &rq);
}

/* Sets how large a super-segment the interface takes; an older kernel leaves the request alone. */
static void set_super(int s, int ifindex, uint32_t bytes)
{
    struct request rq = {0};
    rq.head.nlmsg_len = NLMSG_LENGTH(sizeof rq.body.link);
    rq.head.nlmsg_type = RTM_NEWLINK;
    rq.body.link.ifi_index = ifindex;
    add_attribute(&rq, LINK_GRO_IPV4_MAX_SIZE, &bytes, sizeof bytes);
    (void)ask(s, &rq);
}

/* The interface's gro_ipv4_max_size; 0: this kernel has none, or does not tell. */
static uint32_t get_super(int s, int ifindex)
{
    struct request rq = {0};
    union {
        struct nlmsghdr head;
        uint8_t bytes[16384];
    } answer;
    uint32_t value = 0;
    rq.head.nlmsg_len = NLMSG_LENGTH(sizeof rq.body.link);
    rq.head.nlmsg_type = RTM_GETLINK;
    rq.head.nlmsg_flags = NLM_F_REQUEST;
    rq.body.link.ifi_index = ifindex;
    if (send(s, &rq, rq.head.nlmsg_len, 0) < 0)
        return 0;
    ssize_t n = recv(s, &answer, sizeof answer, 0);
    if (n < (ssize_t)NLMSG_LENGTH(sizeof rq.body.link) || answer.head.nlmsg_type != RTM_NEWLINK)
        return 0;
    struct rtattr *rta = (struct rtattr *)(answer.bytes + NLMSG_SPACE(sizeof rq.body.link));
    unsigned left = (unsigned)n - (unsigned)NLMSG_SPACE(sizeof rq.body.link);
    for (; RTA_OK(rta, left); rta = RTA_NEXT(rta, left))
        if ((rta->rta_type & NLA_TYPE_MASK) == LINK_GRO_IPV4_MAX_SIZE &&
            RTA_PAYLOAD(rta) == sizeof value)
            memcpy(&value, RTA_DATA(rta), sizeof value);
    return value;
}

static uint32_t bounded(uint32_t super)
{
    if (super < 65535)
        return 65535;
    return super < WR_TUN_SUPER_BYTES ? super : WR_TUN_SUPER_BYTES;
}

static int index_of(int s, const char *name)
{
    struct ifreq ifr = {0};
    memcpy(ifr.ifr_name, name, strnlen(name, sizeof ifr.ifr_name - 1));
    return ioctl(s, SIOCGIFINDEX, &ifr) == 0 ? ifr.ifr_ifindex : -errno;
}

uint32_t wr_tun_super_bytes(int fd, const char *name)
{
    int s = socket_near(fd, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (s < 0)
        return bounded(0);
    int ifindex = index_of(s, name);
    uint32_t super = ifindex < 0 ? 0 : get_super(s, ifindex);
    close(s);
    return bounded(super);
}

int weir_tun_configure(struct weir_link *link, const struct weir_addr *addr, unsigned prefix_len,
                       uint32_t mtu)
{
    struct ifreq ifr = {0};
    int tun_fd = link->ops->fd(link);
    if (tun_fd < 0 || ioctl(tun_fd, TUNGETIFF, &ifr) != 0)
        return WEIR_EINVAL;
    int s = socket_near(tun_fd, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (s < 0)
        return s;
    int ifindex = index_of(s, ifr.ifr_name);
    int rc = ifindex < 0 ? ifindex : set_up(s, ifindex, mtu);
    if (rc == 0)
        rc = set_address(s, ifindex, addr, prefix_len);
    if (rc == 0 && link->netif.gso_max_bytes > 0) {
        set_super(s, ifindex, WR_TUN_SUPER_BYTES);
        link->netif.gso_max_bytes = bounded(get_super(s, ifindex));
    }
    close(s);
    if (rc == 0 && mtu)
        link->netif.mtu = mtu;
    return rc;
}
