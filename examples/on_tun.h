/* SPDX-License-Identifier: MIT */
/* What the servers among the examples share: a host on a TUN interface, and a listening socket of it. */
#ifndef ON_TUN_H
#define ON_TUN_H

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/host.h>

_Noreturn static inline void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* For calls that return a negative error. */
static inline int check(const char *what, int rc)
{
    if (rc < 0)
        die(what, weir_error_text(rc));
    return rc;
}

/* Makes a host from the command line, PROGRAM NAME ADDR/PREFIX KERNEL PORT: it stands at ADDR behind the TUN
 * interface NAME, whose other side is the kernel's, at KERNEL. Its loop runs in a thread of its own. */
static inline struct weir_host *start_host(int argc, char **argv, uint16_t *port)
{
    struct weir_addr kernel;
    struct weir_loop *loop;
    struct weir_host *host;
    struct weir_link *link;
    char *end;

    if (argc != 5)
        die("usage", "NAME ADDR/PREFIX KERNEL PORT, such as weir0 10.0.0.2/24 10.0.0.1 7");
    unsigned long number = strtoul(argv[4], &end, 10);
    if (*end || number == 0 || number > 65530)
        die(argv[4], "not a port");
    if (!weir_addr_parse(argv[3], &kernel))
        die(argv[3], "not an address");
    *port = (uint16_t)number;
    check(argv[1],
          weir_link_tun(&(struct weir_tun_config){.name = argv[1], .offload = true}, &link));
    check(argv[3], weir_tun_configure(link, &kernel, weir_addr_is_v4(&kernel) ? 24 : 64, 1500));
    check("loop", weir_loop_new(&loop));
    check("host", weir_host_new(loop, NULL, &host));
    int ifindex = check("link", weir_host_add_link(host, link)); /* the host owns it now */
    check(argv[2], weir_host_add_addr(host, ifindex, argv[2]));
    check("loop", weir_loop_start(loop));
    return host;
}

/* A socket that listens on all addresses, of both families. flags: SOCK_NONBLOCK or 0. */
static inline int listen_on(struct weir_host *host, uint16_t port, int flags)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int fd = weir_socket(host, AF_INET6, SOCK_STREAM | flags, 0);

    if (fd < 0 || weir_bind(host, fd, (struct sockaddr *)&any, sizeof any) < 0 ||
        weir_listen(host, fd, SOMAXCONN) < 0)
        die("listen", strerror(errno));
    return fd;
}

#endif
