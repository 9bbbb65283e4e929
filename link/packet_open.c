/* SPDX-License-Identifier: MIT */
/*
 * Opening a packet socket (packet(7)) for a second host on an interface.
 *
 *   filter       A classic BPF program in the kernel lets up what is for this host's address or a group, and
 *                has no VLAN tag (which the kernel has taken out of the frame). It is there before the
 *                socket is bound, so nothing else is ever queued.
 *   membership   The interface is told to take the address in. A card without a table for that is set to
 *                promiscuous mode by the kernel itself; so is one that refuses. Groups: all, since each
 *                IPv6 address has one of its own (RFC 4291 2.7.1). Both go with the socket.
 *   outgoing     What other sockets and the kernel send on the interface is heard too, so that two hosts on
 *                one interface reach each other. The socket's own frames never come back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/link_packet.h"
#include "link/link_wire.h"

enum {
    RCVBUF = 32 << 20, /* several windows of the largest default size: a veth holds nothing back */
    SNDBUF = 1 << 20
};

/* Longer than any frame: the whole of it is let up. */
#define WHOLE 0x40000u

int wr_packet_hear(int fd, const uint8_t mac[6], bool group_only)
{
    uint32_t high = wr_link_get32(mac), low = wr_link_get16(mac + 4);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 7),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 6, 0), /* a group */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, high, 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, group_only ? UINT32_MAX : low, 0, 1),
        BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, WHOLE),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) ? -errno : 0;
}

static int join(int fd, int ifindex, unsigned short type, const uint8_t *mac)
{
    struct packet_mreq mreq = {.mr_ifindex = ifindex, .mr_type = type, .mr_alen = 6};
    if (mac)
        memcpy(mreq.mr_address, mac, 6);
    return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq, sizeof mreq) ? -errno : 0;
}

static int take_in(int fd, int ifindex, const uint8_t *mac)
{
    int rc = join(fd, ifindex, PACKET_MR_UNICAST, mac);
    if (rc == 0)
        rc = join(fd, ifindex, PACKET_MR_ALLMULTI, NULL);
    return rc ? join(fd, ifindex, PACKET_MR_PROMISC, NULL) : 0;
}

/* Buffers as large as the caller's rights allow. */
static void set_buffers(int fd)
{
    int rcvbuf = RCVBUF, sndbuf = SNDBUF;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof rcvbuf) != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof sndbuf) != 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
}

/* Learns the interface's index and MTU. */
static int look_up(int fd, struct wr_packet_open *how)
{
    struct ifreq ifr = {0};
    if (strlen(how->ifname) >= sizeof ifr.ifr_name)
        return WEIR_ENODEV;
    memcpy(ifr.ifr_name, how->ifname, strlen(how->ifname));
    if (ioctl(fd, SIOCGIFHWADDR, &ifr) != 0)
        return -errno;
    if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
        return WEIR_EINVAL;
    if (ioctl(fd, SIOCGIFMTU, &ifr) != 0)
        return -errno;
    how->mtu = (uint32_t)ifr.ifr_mtu;
    if (ioctl(fd, SIOCGIFINDEX, &ifr) != 0)
        return -errno;
    how->ifindex = ifr.ifr_ifindex;
    return 0;
}

static int set_up(int fd, struct wr_packet_open *how)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int on = 1;
    int rc = look_up(fd, how);
    if (rc == 0)
        rc = wr_packet_hear(fd, how->mac, how->group_only);
    if (rc == 0 && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0)
        rc = -errno;
    if (rc == 0 && how->group_only)
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
    if (rc == 0)
        rc = take_in(fd, how->ifindex, how->mac);
    if (rc != 0)
        return rc;
    set_buffers(fd);
    to.sll_ifindex = how->ifindex;
    return bind(fd, (struct sockaddr *)&to, sizeof to) != 0 ? -errno : 0;
}

int wr_packet_open(struct wr_packet_open *how)
{
    /* Protocol 0: it hears nothing before it is bound. */
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = set_up(fd, how);
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

bool wr_packet_is_gone(int fd)
{
    struct sockaddr_ll at = {0};
    socklen_t len = sizeof at;
    return getsockname(fd, (struct sockaddr *)&at, &len) != 0 || at.sll_ifindex <= 0;
}
