/* SPDX-License-Identifier: MIT */
/*
 * The network that the programs of a host see: a namespace with `lo` and one more device, a TUN owned by
 * Weir.
 *
 *     program's UDP, ICMP, raw sockets                     Weir's TCP, its links
 *        | the kernel, in the namespace                        |
 *     [weir0: the host's addresses, routes] <== TUN ==> [guest interface of the host's stack]
 *
 * The device bears the host's addresses, so that the kernel chooses sources, answers getifaddrs() and
 * lets programs bind as the host would; and a route for each of the host's, so that it refuses what the
 * host has no way to. What leaves by the device goes on by the host's links and neighbours; what comes
 * for the host and no socket of Weir's claims goes in (src/ip/ip_guest.c).
 *
 * The child makes namespace and device between fork and exec, and hands over the TUN and a netlink socket:
 * by that the supervisor sets addresses and routes, then and whenever the host's change. Being the
 * owner of the program's user namespace suffices for it. More programs of a host enter the namespaces of
 * the first, which stay as long as the run.
 *
 * Without /dev/net/tun the namespace has `lo` alone, with the host's addresses on it: other sockets than
 * TCP then reach the host itself and nobody else (ENETUNREACH).
 */
#define _GNU_SOURCE /* setns */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/autoconf.h>

#include "run/run_int.h"

#define DEVICE "weir0"

enum {
    LO = 1, /* the first interface of every network namespace */
    ADDRS_MAX = 64,
    IF_ADDRS_MAX = 16,
    ROUTES_MAX = 256,
    MTU_DEFAULT = 1500 /* of a host without links */
};

struct net_addr {
    struct weir_addr addr;
    unsigned prefix_len; /* of the address's own family */
};

struct net_route {
    struct weir_addr prefix, src; /* src: of IPv4, any if unknown */
    unsigned prefix_len;
    uint32_t metric;
};

/* What the namespace has, or is to have. */
struct net_state {
    struct net_addr addrs[ADDRS_MAX];
    struct net_route routes[ROUTES_MAX];
    unsigned n_addrs, n_routes;
    uint32_t mtu;
};

struct run_net {
    struct run_net *next;
    struct weir_host *host; /* compared only, once the last program has gone */
    unsigned n_programs;
    int netlink;
    int device; /* its index in the namespace; LO without a TUN */
    int spaces[RUN_SPACES];
    struct net_state state;
};

/* ---- in the child ------------------------------------------------------------------------------- */

static int open_tun(void)
{
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    memcpy(ifr.ifr_name, DEVICE, sizeof DEVICE);
    if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int wr_run_net_open(int *tun)
{
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (netlink < 0)
        return -errno;
    *tun = open_tun();
    return netlink;
}

/* ---- netlink ------------------------------------------------------------------------------------ */

struct request {
    struct nlmsghdr head;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg addr;
        struct rtmsg route;
    } body;
    uint8_t attrs[192];
};

static struct rtattr *add_attr(struct request *rq, unsigned short type, const void *data,
                               size_t len)
{
    struct rtattr *rta = (struct rtattr *)((char *)rq + NLMSG_ALIGN(rq->head.nlmsg_len));
    rta->rta_type = type;
    rta->rta_len = (unsigned short)RTA_LENGTH(len);
    if (len > 0)
        memcpy(RTA_DATA(rta), data, len);
    rq->head.nlmsg_len = (unsigned)(NLMSG_ALIGN(rq->head.nlmsg_len) + RTA_SPACE(len));
    return rta;
}

/* The attribute holds all that was added since. */
static void end_nest(struct request *rq, struct rtattr *rta)
{
    rta->rta_len = (unsigned short)((char *)rq + rq->head.nlmsg_len - (char *)rta);
}

static void add_addr(struct request *rq, unsigned short type, const struct weir_addr *addr)
{
    bool v4 = weir_addr_is_v4(addr);
    add_attr(rq, type, v4 ? addr->b + 12 : addr->b, v4 ? 4 : 16);
}

static struct request request_of(unsigned short type, unsigned short flags, size_t body)
{
    struct request rq = {0};
    rq.head.nlmsg_len = (unsigned)NLMSG_LENGTH(body);
    rq.head.nlmsg_type = type;
    rq.head.nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags);
    return rq;
}

static int ask(const struct run_net *net, const struct request *rq)
{
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        uint8_t rest[512];
    } answer;
    if (send(net->netlink, rq, rq->head.nlmsg_len, 0) < 0)
        return -errno;
    ssize_t n = recv(net->netlink, &answer, sizeof answer, 0);
    if (n < 0)
        return -errno;
    if ((size_t)n < NLMSG_LENGTH(sizeof answer.error) || answer.head.nlmsg_type != NLMSG_ERROR)
        return WEIR_EPROTO;
    return answer.error.error;
}

/* ICMP errors that the host makes about the kernel's packets come from the kernel's own address; and
 * there is to be no IPv6 address but the host's. A kernel without IPv6 is no reason not to start. */
static void set_link_options(const struct run_net *net)
{
    const uint32_t yes = 1;
    const uint8_t none = IN6_ADDR_GEN_MODE_NONE;
    static const unsigned short families[] = {AF_INET, AF_INET6};
    for (int i = 0; i < 2; i++) {
        struct request rq = request_of(RTM_NEWLINK, 0, sizeof rq.body.link);
        rq.body.link.ifi_index = net->device;
        struct rtattr *spec = add_attr(&rq, IFLA_AF_SPEC | NLA_F_NESTED, NULL, 0);
        struct rtattr *family = add_attr(&rq, families[i] | NLA_F_NESTED, NULL, 0);
        if (i == 0) {
            struct rtattr *conf = add_attr(&rq, IFLA_INET_CONF | NLA_F_NESTED, NULL, 0);
            add_attr(&rq, IPV4_DEVCONF_ACCEPT_LOCAL, &yes, sizeof yes);
            end_nest(&rq, conf);
        } else {
            add_attr(&rq, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof none);
        }
        end_nest(&rq, family);
        end_nest(&rq, spec);
        (void)ask(net, &rq);
    }
}

static int set_up(const struct run_net *net, int device, uint32_t mtu)
{
    struct request rq = request_of(RTM_NEWLINK, 0, sizeof rq.body.link);
    rq.body.link.ifi_index = device;
    rq.body.link.ifi_flags = IFF_UP;
    rq.body.link.ifi_change = IFF_UP;
    if (mtu)
        add_attr(&rq, IFLA_MTU, &mtu, sizeof mtu);
    return ask(net, &rq);
}

static int change_addr(const struct run_net *net, const struct net_addr *addr, bool add)
{
    bool v4 = weir_addr_is_v4(&addr->addr);
    struct request rq = request_of(add ? RTM_NEWADDR : RTM_DELADDR,
                                   add ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof rq.body.addr);
    rq.body.addr.ifa_family = v4 ? AF_INET : AF_INET6;
    rq.body.addr.ifa_prefixlen = (uint8_t)addr->prefix_len;
    rq.body.addr.ifa_flags = IFA_F_PERMANENT | (v4 ? 0 : IFA_F_NODAD);
    rq.body.addr.ifa_index = (unsigned)net->device;
    add_addr(&rq, IFA_LOCAL, &addr->addr);
    add_addr(&rq, IFA_ADDRESS, &addr->addr);
    return ask(net, &rq);
}

static int change_route(const struct run_net *net, const struct net_route *route, bool add)
{
    bool v4 = weir_addr_is_v4(&route->prefix);
    uint32_t device = (uint32_t)net->device;
    struct request rq = request_of(add ? RTM_NEWROUTE : RTM_DELROUTE,
                                   add ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof rq.body.route);
    rq.body.route.rtm_family = v4 ? AF_INET : AF_INET6;
    rq.body.route.rtm_dst_len = (uint8_t)route->prefix_len;
    rq.body.route.rtm_table = RT_TABLE_MAIN;
    rq.body.route.rtm_protocol = RTPROT_STATIC;
    rq.body.route.rtm_scope = v4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    rq.body.route.rtm_type = RTN_UNICAST;
    if (route->prefix_len > 0)
        add_addr(&rq, RTA_DST, &route->prefix);
    if (!weir_addr_is_any(&route->src))
        add_addr(&rq, RTA_PREFSRC, &route->src);
    if (route->metric)
        add_attr(&rq, RTA_PRIORITY, &route->metric, sizeof route->metric);
    add_attr(&rq, RTA_OIF, &device, sizeof device);
    return ask(net, &rq);
}

/* ---- what the host has ------------------------------------------------------------------------- */

static bool has_addr(const struct net_state *state, const struct weir_addr *addr)
{
    for (unsigned i = 0; i < state->n_addrs; i++)
        if (weir_addr_eq(&state->addrs[i].addr, addr))
            return true;
    return false;
}

/* What is local to one link or to the host cannot be carried by another device. */
static bool is_carried(const struct weir_addr *addr)
{
    return !weir_addr_is_loopback(addr) &&
           (weir_addr_is_v4(addr) || !weir_addr_is_link_local(addr));
}

static void collect_addrs(struct weir_stack *stack, int ifindex, struct net_state *state)
{
    struct weir_if_addr list[IF_ADDRS_MAX];
    int n = weir_addr_list(stack, ifindex, list, IF_ADDRS_MAX);
    for (int i = 0; i < n && i < IF_ADDRS_MAX; i++) {
        struct net_addr addr = {list[i].addr, list[i].prefix_len};
        if (!list[i].tentative && is_carried(&addr.addr) && !has_addr(state, &addr.addr) &&
            state->n_addrs < ADDRS_MAX)
            state->addrs[state->n_addrs++] = addr;
    }
}

/* The kernel makes the routes to the prefixes of addresses by itself. */
static bool is_connected(const struct net_state *state, const struct net_route *route)
{
    for (unsigned i = 0; i < state->n_addrs; i++) {
        const struct net_addr *addr = &state->addrs[i];
        unsigned base = weir_addr_is_v4(&addr->addr) ? WEIR_PREFIX_V4(0) : 0;
        if (addr->prefix_len == route->prefix_len &&
            weir_addr_is_v4(&addr->addr) == weir_addr_is_v4(&route->prefix) &&
            weir_addr_prefix_match(&addr->addr, &route->prefix, base + addr->prefix_len))
            return true;
    }
    return false;
}

/* The address that the host would send from by this interface. */
static struct weir_addr source_of(struct weir_stack *stack, int ifindex,
                                  const struct weir_addr *prefix)
{
    struct weir_if_addr list[IF_ADDRS_MAX];
    int n = weir_addr_is_v4(prefix) ? weir_addr_list(stack, ifindex, list, IF_ADDRS_MAX) : 0;
    for (int i = 0; i < n && i < IF_ADDRS_MAX; i++)
        if (weir_addr_is_v4(&list[i].addr) && !list[i].tentative)
            return list[i].addr;
    return weir_addr_any6();
}

static void collect_routes(struct weir_stack *stack, struct net_state *state)
{
    struct weir_route have;
    for (unsigned n = 0; weir_route_get(stack, n, &have) == 0; n++) {
        struct net_route route = {.prefix = have.prefix,
                                  .prefix_len = have.prefix_len,
                                  .src = source_of(stack, have.ifindex, &have.prefix),
                                  .metric = have.metric};
        if ((have.prefix_len == 0 || is_carried(&have.prefix)) && !is_connected(state, &route) &&
            state->n_routes < ROUTES_MAX)
            state->routes[state->n_routes++] = route;
    }
    if (state->n_routes < ROUTES_MAX)
        state->routes[state->n_routes++] =
            (struct net_route){weir_addr_v4(0xe0000000), weir_addr_any6(), 4, 0}; /* groups */
}

static void collect(struct weir_stack *stack, struct net_state *state)
{
    struct weir_netif_config config;
    int ifindex;
    memset(state, 0, sizeof *state);
    for (unsigned n = 0; (ifindex = weir_netif_get(stack, n, &config)) > 0; n++) {
        collect_addrs(stack, ifindex, state);
        if (!config.guest && n > 0 && (state->mtu == 0 || config.mtu < state->mtu))
            state->mtu = config.mtu;
    }
    if (state->mtu == 0)
        state->mtu = MTU_DEFAULT;
    collect_routes(stack, state);
}

/* ---- keeping it so ------------------------------------------------------------------------------ */

static bool same_addr(const struct net_addr *a, const struct net_addr *b)
{
    return a->prefix_len == b->prefix_len && weir_addr_eq(&a->addr, &b->addr);
}

static bool same_route(const struct net_route *a, const struct net_route *b)
{
    return a->prefix_len == b->prefix_len && a->metric == b->metric &&
           weir_addr_eq(&a->prefix, &b->prefix) && weir_addr_eq(&a->src, &b->src);
}

static bool wants_addr(const struct net_state *state, const struct net_addr *addr)
{
    for (unsigned i = 0; i < state->n_addrs; i++)
        if (same_addr(&state->addrs[i], addr))
            return true;
    return false;
}

static bool wants_route(const struct net_state *state, const struct net_route *route)
{
    for (unsigned i = 0; i < state->n_routes; i++)
        if (same_route(&state->routes[i], route))
            return true;
    return false;
}

static bool same_state(const struct net_state *a, const struct net_state *b)
{
    if (a->mtu != b->mtu || a->n_addrs != b->n_addrs || a->n_routes != b->n_routes)
        return false;
    for (unsigned i = 0; i < a->n_addrs; i++)
        if (!same_addr(&a->addrs[i], &b->addrs[i]))
            return false;
    for (unsigned i = 0; i < a->n_routes; i++)
        if (!same_route(&a->routes[i], &b->routes[i]))
            return false;
    return true;
}

/* Brings the namespace from what it has to what the host has. An address that goes takes routes with it, so
 * that all routes are set again. The first IPv4 address must be possible; the rest is best effort. */
static int bring_up_to_date(struct run_net *net, struct weir_stack *stack)
{
    struct net_state *old = &net->state, *want = malloc(sizeof *want);
    int err = 0;
    if (!want)
        return WEIR_ENOMEM;
    collect(stack, want);
    if (same_state(old, want)) {
        free(want);
        return 0;
    }
    if (net->device != LO)
        err = set_up(net, net->device, want->mtu);
    for (unsigned i = 0; i < old->n_addrs; i++)
        if (!wants_addr(want, &old->addrs[i]))
            (void)change_addr(net, &old->addrs[i], false);
    for (unsigned i = 0; i < want->n_addrs && !err; i++) {
        int rc = change_addr(net, &want->addrs[i], true);
        if (weir_addr_is_v4(&want->addrs[i].addr))
            err = rc;
    }
    for (unsigned i = 0; net->device != LO && i < old->n_routes; i++)
        if (!wants_route(want, &old->routes[i]))
            (void)change_route(net, &old->routes[i], false);
    for (unsigned i = 0; net->device != LO && i < want->n_routes; i++)
        (void)change_route(net, &want->routes[i], true);
    *old = *want;
    free(want);
    return err;
}

static void on_config(void *arg, struct weir_host *host)
{
    struct run_net *net = arg;
    struct weir_stack *stack = weir_host_lock(host);
    (void)bring_up_to_date(net, stack);
    weir_host_unlock(host);
}

/* ---- life --------------------------------------------------------------------------------------- */

/* The stack's side of the TUN. The host owns the descriptor afterwards. */
static int add_guest(struct run_net *net, int tun)
{
    struct weir_link *link;
    int err = weir_link_tun_fd(tun, false, false, MTU_DEFAULT, &link);
    if (err) {
        close(tun);
        return err;
    }
    link->netif.guest = &weir_guest;
    snprintf(link->netif.name, sizeof link->netif.name, "guest");
    err = weir_host_add_link(net->host, link);
    if (err < 0) {
        weir_link_free(link);
        return err;
    }
    return 0;
}

/* The index of a device in the namespace; by netlink, for the supervisor is in another one. */
static int device_index(const struct run_net *net)
{
    struct {
        struct nlmsghdr head;
        struct ifinfomsg link;
        uint8_t rest[8192];
    } answer;
    struct request rq = request_of(RTM_GETLINK, 0, sizeof rq.body.link);
    rq.head.nlmsg_flags = NLM_F_REQUEST;
    add_attr(&rq, IFLA_IFNAME, DEVICE, sizeof DEVICE);
    if (send(net->netlink, &rq, rq.head.nlmsg_len, 0) < 0)
        return -errno;
    ssize_t n = recv(net->netlink, &answer, sizeof answer, 0);
    if (n < (ssize_t)NLMSG_LENGTH(sizeof answer.link) || answer.head.nlmsg_type != RTM_NEWLINK)
        return WEIR_ENODEV;
    return answer.link.ifi_index;
}

static void open_spaces(struct run_net *net, pid_t pid)
{
    char path[48], own[48];
    struct stat theirs, ours;
    for (int i = 0; i < RUN_SPACES; i++) {
        snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, wr_run_space_names[i]);
        snprintf(own, sizeof own, "/proc/self/ns/%s", wr_run_space_names[i]);
        net->spaces[i] = -1;
        if (stat(path, &theirs) == 0 && stat(own, &ours) == 0 && theirs.st_ino != ours.st_ino)
            net->spaces[i] = open(path, O_RDONLY | O_CLOEXEC);
    }
}

static void release(struct run_net *net)
{
    for (int i = 0; i < RUN_SPACES; i++)
        if (net->spaces[i] >= 0)
            close(net->spaces[i]);
    close(net->netlink);
    free(net);
}

struct run_net *wr_run_net_of(const struct weir_run *run, const struct weir_host *host)
{
    struct run_net *net = run->nets;
    while (net && net->host != host)
        net = net->next;
    return net;
}

const int *wr_run_net_spaces(const struct run_net *net)
{
    return net->spaces;
}

void wr_run_net_join(struct weir_program *program, struct run_net *net)
{
    program->net = net;
    if (net->n_programs++ == 0)
        weir_host_on_config(net->host, on_config, net);
}

void wr_run_net_leave(struct weir_program *program)
{
    struct run_net *net = program->net;
    program->net = NULL;
    if (net && --net->n_programs == 0)
        weir_host_on_config(net->host, NULL, NULL);
}

int wr_run_net_make(struct weir_program *program, int netlink, int tun)
{
    struct weir_run *run = program->run;
    struct run_net *net = calloc(1, sizeof *net);
    if (!net) {
        close(netlink);
        if (tun >= 0)
            close(tun);
        return WEIR_ENOMEM;
    }
    net->host = program->host;
    net->netlink = netlink;
    net->device = LO;
    open_spaces(net, program->pid);
    int err = tun >= 0 ? add_guest(net, tun) : 0;
    if (!err)
        err = set_up(net, LO, 0);
    if (!err && tun >= 0) {
        net->device = device_index(net);
        err = net->device < 0 ? net->device : 0;
        set_link_options(net);
    }
    if (!err) {
        err = bring_up_to_date(net, weir_host_lock(net->host));
        weir_host_unlock(net->host);
    }
    if (err) {
        release(net);
        return err;
    }
    net->next = run->nets;
    run->nets = net;
    wr_run_net_join(program, net);
    return 0;
}

bool wr_run_net_reaches(const struct run_net *net)
{
    return net->device != LO;
}

void wr_run_net_forget(struct weir_run *run)
{
    for (struct run_net *net = run->nets, *next; net; net = next) {
        next = net->next;
        release(net);
    }
    run->nets = NULL;
}
