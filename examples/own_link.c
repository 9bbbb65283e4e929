/* SPDX-License-Identifier: MIT */
/*
 * A link of the program's own: IP packets in UDP datagrams, so that two processes anywhere are two hosts on one wire.
 * The first waits for a connection to port 9 and prints what comes; the second sends its input there:
 *
 *     ./own_link 127.0.0.1 5001 127.0.0.1 5002 10.1.0.1/24
 *     echo hello | ./own_link 127.0.0.1 5002 127.0.0.1 5001 10.1.0.2/24 10.1.0.1
 *
 * There is no secrecy in it: who can send to the port can send into the network.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <weir/host.h>

struct udp_link {
    struct weir_link link; /* must be the first member */
    int fd;
    uint8_t in[1400]; /* one packet: its size is the MTU */
};

_Noreturn static void die(const char *what, const char *why)
{
    fprintf(stderr, "own_link: %s: %s\n", what, why);
    exit(1);
}

static int udp_send(struct weir_link *link, const struct weir_out *frame, weir_time now)
{
    int fd = ((struct udp_link *)link)->fd;
    struct iovec iov[3] = {{frame->head, frame->head_len}};
    (void)now;
    for (unsigned i = 0; i < frame->n_spans; i++)
        iov[1 + i] = (struct iovec){(void *)(uintptr_t)frame->span[i].ptr, frame->span[i].len};
    if (writev(fd, iov, 1 + (int)frame->n_spans) >= 0)
        return 0;
    return errno == EAGAIN ? WEIR_EAGAIN : WEIR_EIO; /* the other side is not there yet: lost */
}

static int udp_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    struct udp_link *udp = (struct udp_link *)link;
    ssize_t n;
    (void)now;
    do
        n = recv(udp->fd, udp->in, sizeof udp->in, 0);
    while (n <= 0 && (n == 0 || errno == ECONNREFUSED || errno == EINTR)); /* not yet there */
    if (n < 0)
        return errno == EAGAIN ? 0 : WEIR_ENETDOWN;
    *frame = (struct weir_frame){.data = udp->in, .len = (size_t)n};
    return 1;
}

static weir_time udp_deadline(const struct weir_link *link)
{
    (void)link;
    return WEIR_TIME_NEVER; /* nothing is due but what the descriptor tells */
}

static int udp_fd(const struct weir_link *link) /* the host waits for it */
{
    return ((const struct udp_link *)link)->fd;
}

static void udp_free(struct weir_link *link)
{
    close(((struct udp_link *)link)->fd);
    free(link);
}

/* It neither cuts super-segments nor finishes checksums: the stack does both itself. */
static struct weir_link *udp_link(const struct sockaddr_in *local, const struct sockaddr_in *remote)
{
    static const struct weir_link_ops ops = {udp_send, udp_recv, udp_deadline, udp_fd,
                                             .free = udp_free};
    struct udp_link *udp = calloc(1, sizeof *udp);
    if (!udp)
        die("link", "out of memory");
    udp->link.ops = &ops;
    udp->link.netif =
        (struct weir_netif_config){.name = "udp", .kind = WEIR_NETIF_IP, .mtu = sizeof udp->in};
    udp->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (udp->fd < 0 || bind(udp->fd, (const struct sockaddr *)local, sizeof *local) < 0 ||
        connect(udp->fd, (const struct sockaddr *)remote, sizeof *remote) < 0)
        die("UDP", strerror(errno));
    return &udp->link;
}

static struct sockaddr_in address(const char *ip, const char *port)
{
    unsigned long number = strtoul(port, NULL, 10);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    if (inet_pton(AF_INET, ip, &sin.sin_addr) == 1 && number > 0 && number <= 65535)
        return sin;
    die(ip, "address or port not understood");
}

/* Sends standard input, and waits until the peer has got it all and closes. */
static void speak(struct weir_host *host, int fd, const struct sockaddr_in *peer)
{
    char buf[65536];
    ssize_t n;
    if (weir_connect(host, fd, (const struct sockaddr *)peer, sizeof *peer) < 0)
        die("connect", strerror(errno));
    while ((n = read(0, buf, sizeof buf)) > 0)
        if (weir_send(host, fd, buf, (size_t)n, 0) != n)
            die("send", strerror(errno));
    if (weir_shutdown(host, fd, SHUT_WR) < 0 || weir_recv(host, fd, buf, 1, 0) != 0)
        die("close", strerror(errno));
}

/* Prints what the first connection brings. */
static void listen_to_one(struct weir_host *host, int fd, const struct sockaddr_in *any)
{
    char buf[65536];
    ssize_t n;
    if (weir_bind(host, fd, (const struct sockaddr *)any, sizeof *any) < 0 ||
        weir_listen(host, fd, 1) < 0 || (fd = weir_accept(host, fd, NULL, NULL)) < 0)
        die("listen", strerror(errno));
    while ((n = weir_recv(host, fd, buf, sizeof buf, 0)) > 0)
        if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
            die("output", strerror(errno));
    if (n < 0)
        die("recv", strerror(errno));
    weir_close(host, fd);
}

int main(int argc, char **argv)
{
    struct weir_loop *loop;
    struct weir_host *host;
    int rc;
    if (argc != 6 && argc != 7)
        die("usage", "own_link IP PORT PEER-IP PEER-PORT ADDR/PREFIX [CONNECT-TO]");
    struct sockaddr_in local = address(argv[1], argv[2]), remote = address(argv[3], argv[4]);
    struct sockaddr_in sin = address(argc == 7 ? argv[6] : "0.0.0.0", "9");
    if ((rc = weir_loop_new(&loop)) < 0 || (rc = weir_host_new(loop, NULL, &host)) < 0 ||
        (rc = weir_host_add_link(host, udp_link(&local, &remote))) < 0 || /* its owner now */
        (rc = weir_host_add_addr(host, rc, argv[5])) < 0 || (rc = weir_loop_start(loop)) < 0)
        die("host", weir_error_text(rc));
    int fd = weir_socket(host, AF_INET, SOCK_STREAM, 0); /* what follows tells if it failed */
    argc == 7 ? speak(host, fd, &sin) : listen_to_one(host, fd, &sin);
    weir_host_free(host);
    return fflush(stdout) != 0 || weir_loop_free(loop) < 0;
}
