/* SPDX-License-Identifier: MIT */
/*
 * The program's namespaces, entered by the child between fork and exec.
 *
 *   network  so that sockets which are not TCP cannot reach the machine's network. Its only interface is
 *            lo, up, with the host's addresses on it: getaddrinfo (AI_ADDRCONFIG), getifaddrs and UDP to
 *            oneself work; UDP to anyone else fails with ENETUNREACH.
 *   mount    for an /etc/hosts and /etc/resolv.conf of the program's own, laid over the machine's.
 *   UTS      for a host name of its own.
 *   user     only where the others cannot be had without it. The user keeps its own id, the only one
 *            mapped, and becomes nobody's superuser: exec takes the capabilities away again. As its
 *            owner the supervisor may inspect even programs that are not dumpable.
 *
 * Everything here runs in a forked child: no allocation, no locks, no stdio.
 */
#define _GNU_SOURCE /* unshare */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/run_int.h"

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, strlen(text));
    int err = n < 0 ? -errno : 0;
    close(fd);
    return err;
}

/* Each id is mapped to itself and no other is. */
static int map_ids(const struct run_space *space)
{
    char text[64];
    int err = write_file("/proc/self/setgroups", "deny");
    if (err && err != -ENOENT)
        return err;
    snprintf(text, sizeof text, "%u %u 1", space->uid, space->uid);
    err = write_file("/proc/self/uid_map", text);
    if (err)
        return err;
    snprintf(text, sizeof text, "%u %u 1", space->gid, space->gid);
    return write_file("/proc/self/gid_map", text);
}

static int interface_up(int fd, const char *name)
{
    struct ifreq ifr = {0};
    strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
        return -errno;
    ifr.ifr_flags = (short)(ifr.ifr_flags | IFF_UP);
    return ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

struct addr_request {
    struct nlmsghdr head;
    struct ifaddrmsg addr;
    struct rtattr attr;
    uint8_t bytes[16];
};

/* RTM_NEWADDR of a whole address on lo; waits for the kernel's answer. */
static int add_address(int netlink, const struct weir_addr *addr)
{
    bool v4 = weir_addr_is_v4(addr);
    unsigned len = v4 ? 4 : 16;
    struct addr_request rq = {0};
    struct {
        struct nlmsghdr head;
        struct nlmsgerr err;
        uint8_t rest[256];
    } answer;
    rq.head.nlmsg_len = (uint32_t)(offsetof(struct addr_request, bytes) + len);
    rq.head.nlmsg_type = RTM_NEWADDR;
    rq.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
    rq.addr.ifa_family = v4 ? AF_INET : AF_INET6;
    rq.addr.ifa_prefixlen = v4 ? 32 : 128;
    rq.addr.ifa_flags = IFA_F_PERMANENT | (v4 ? 0 : IFA_F_NODAD);
    rq.addr.ifa_index = 1; /* lo is the first interface of every network namespace */
    rq.attr.rta_type = IFA_LOCAL;
    rq.attr.rta_len = (unsigned short)RTA_LENGTH(len);
    memcpy(rq.bytes, v4 ? addr->b + 12 : addr->b, len);
    if (send(netlink, &rq, rq.head.nlmsg_len, 0) < 0)
        return -errno;
    if (recv(netlink, &answer, sizeof answer, 0) < (ssize_t)sizeof answer.head)
        return -EIO;
    return answer.head.nlmsg_type == NLMSG_ERROR ? answer.err.error : 0;
}

/* A machine without IPv6 is no reason not to start: its addresses are then left out. */
static int set_up_network(const struct weir_run_options *options)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    int err = fd < 0 || netlink < 0 ? -errno : interface_up(fd, "lo");
    for (size_t i = 0; !err && i < options->n_addrs; i++) {
        struct weir_addr addr;
        if (!weir_addr_parse(options->addrs[i], &addr))
            err = -EINVAL;
        else if (!weir_addr_is_loopback(&addr) && weir_addr_is_v4(&addr))
            err = add_address(netlink, &addr);
        else if (!weir_addr_is_loopback(&addr))
            (void)add_address(netlink, &addr);
    }
    if (fd >= 0)
        close(fd);
    if (netlink >= 0)
        close(netlink);
    return err;
}

/* Lays `text` over the file `path`, by way of a file on a tmpfs that is gone again afterwards. */
static int cover_file(const char *stage, const char *path, const char *text)
{
    char temp[64];
    int err = 0;
    if (!text || access(path, F_OK) < 0)
        return 0;
    snprintf(temp, sizeof temp, "%s/weir-cover", stage);
    int fd = open(temp, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        err = -EIO;
    if (!err && fchmod(fd, 0444) < 0)
        err = -errno;
    close(fd);
    if (!err && mount(temp, path, NULL, MS_BIND, NULL) < 0)
        err = -errno;
    unlink(temp);
    return err;
}

static int cover_files(const struct weir_run_options *options)
{
    static const char *const stages[] = {"/tmp", "/run", "/var", "/mnt"};
    if (!options->hosts && !options->resolv)
        return 0;
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        if (mount("weir", stages[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m") < 0)
            continue;
        int err = cover_file(stages[i], "/etc/hosts", options->hosts);
        if (!err)
            err = cover_file(stages[i], "/etc/resolv.conf", options->resolv);
        umount2(stages[i], MNT_DETACH);
        return err;
    }
    return -errno;
}

int wr_run_space_enter(const struct run_space *space, const char **what)
{
    const int kinds = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS;
    const struct weir_run_options *options = space->options;
    int err = 0;
    *what = "user namespace";
    if (unshare(kinds) < 0) {
        if (unshare(kinds | CLONE_NEWUSER) < 0)
            return 0;
        err = map_ids(space);
    }
    if (!err) {
        *what = "private mounts";
        err = mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ? -errno : 0;
    }
    if (!err) {
        *what = "addresses of the namespace";
        err = set_up_network(options);
    }
    if (!err) {
        *what = "/etc/hosts";
        err = cover_files(options);
    }
    if (!err && options->hostname) {
        *what = "host name";
        err = sethostname(options->hostname, strlen(options->hostname)) < 0 ? -errno : 0;
    }
    return err ? err : 1;
}

int wr_run_space_dns(void)
{
    struct sockaddr_in here = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(RUN_DNS_ADDR)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

bool wr_run_space_possible(void)
{
    static const struct weir_run_options plain = {.hosts = "127.0.0.1 localhost\n"};
    struct run_space space = {.options = &plain, .uid = getuid(), .gid = getgid()};
    const char *what;
    int status;
    pid_t pid = fork();
    if (pid < 0)
        return false;
    if (pid == 0)
        _exit(wr_run_space_enter(&space, &what) == 1 ? 0 : 1);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
