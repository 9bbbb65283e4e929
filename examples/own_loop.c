/* SPDX-License-Identifier: MIT */
/*
 * The core alone, in a loop of the program's own: no thread, no host layer. The program owns the TUN device, reads
 * frames for weir_input(), writes what weir_output() gives, and sleeps in poll() until weir_deadline().
 * It echoes on port 7 of ADDR, which stands in a /24:
 *
 *     sudo ./own_loop weir0 10.0.0.2 &
 *     sudo ip addr add 10.0.0.1/24 dev weir0 && sudo ip link set weir0 up && nc 10.0.0.2 7
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <weir/weir.h>

enum { MTU = 1500 };

_Noreturn static void die(const char *what, const char *why)
{
    fprintf(stderr, "own_loop: %s: %s\n", what, why);
    exit(1);
}

static weir_time clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * WEIR_SEC + ts.tv_nsec;
}

static int open_tun(const char *name)
{
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0)
        die(name, strerror(errno));
    return fd;
}

/* A stack with one interface; *ifindex is its number. */
static struct weir_stack *open_stack(const char *text, int *ifindex)
{
    struct weir_netif_config netif = {.name = "tun", .kind = WEIR_NETIF_IP, .mtu = MTU};
    struct weir_config config;
    struct weir_addr addr;

    weir_config_default(&config);
    if (getentropy(config.seed, sizeof config.seed) != 0) /* all random choices follow from it */
        die("seed", strerror(errno));
    struct weir_stack *stack = weir_stack_new(&config, clock_now());
    *ifindex = stack ? weir_netif_add(stack, &netif, clock_now()) : WEIR_ENOMEM;
    int rc = *ifindex > 0 && !weir_addr_parse(text, &addr) ? WEIR_EINVAL : *ifindex;
    if (rc > 0)
        rc = weir_addr_add(stack, rc, &addr, 24, clock_now());
    if (rc < 0)
        die(text, weir_error_text(rc));
    return stack;
}

static weir_sock open_listener(struct weir_stack *stack, uint16_t port)
{
    struct weir_endpoint any = {.port = port}; /* both families */
    weir_sock sock = 0;
    int rc = weir_sock_open(stack, WEIR_AF_INET6, WEIR_SOCK_STREAM, 0, &sock);
    if (rc == 0)
        rc = weir_sock_bind(stack, sock, &any);
    if (rc == 0)
        rc = weir_sock_listen(stack, sock, 128, clock_now());
    if (rc != 0)
        die("listen", weir_error_text(rc));
    return sock;
}

/* Echoes without a copy of its own: what is lent by peek goes to send, and what send took is consumed. The
 * rest stays in the receive buffer, until there is an event again: room to send, or more data. */
static void echo(struct weir_stack *stack, weir_sock sock, weir_time now)
{
    struct weir_span span[2];
    ptrdiff_t n, sent = 0;
    while (sent >= 0 && (n = weir_sock_peek(stack, sock, span, now)) > 0) {
        sent = weir_sock_send(stack, sock, span[0].ptr, span[0].len, 0, NULL, now);
        if (sent > 0)
            weir_sock_consume(stack, sock, (size_t)sent, now);
    }
    if (sent != WEIR_EAGAIN && (sent < 0 || n != WEIR_EAGAIN))
        weir_sock_close(stack, sock, now); /* end of stream, or an error */
}

static void handle_events(struct weir_stack *stack, weir_sock listener, weir_time now)
{
    struct weir_event event;
    weir_sock conn;
    while (weir_next_event(stack, &event)) {
        if (event.sock != listener) {
            echo(stack, event.sock, now);
            continue;
        }
        while (weir_sock_accept(stack, listener, &conn, NULL, now) == 0)
            echo(stack, conn, now); /* data may have come with it */
    }
}

static void send_frames(struct weir_stack *stack, int ifindex, int tun, weir_time now)
{
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    while (weir_output(stack, ifindex, &out, now) > 0) {
        struct iovec iov[3] = {{head, out.head_len}};
        for (unsigned i = 0; i < out.n_spans; i++)
            iov[1 + i] = (struct iovec){(void *)(uintptr_t)out.span[i].ptr, out.span[i].len};
        if (writev(tun, iov, 1 + (int)out.n_spans) < 0 && errno != EAGAIN && errno != EIO)
            die("write",
                strerror(errno)); /* those two (full, down) lose the frame, as a wire may */
    }
}

int main(int argc, char **argv)
{
    uint8_t buf[MTU];
    int ifindex;
    if (argc != 3)
        die("usage", "own_loop NAME ADDR");
    struct pollfd pfd = {.fd = open_tun(argv[1]), .events = POLLIN};
    struct weir_stack *stack = open_stack(argv[2], &ifindex);
    weir_sock listener = open_listener(stack, 7);
    for (;;) {
        weir_time now = clock_now(), at = weir_deadline(stack); /* WEIR_TIME_NEVER: a minute */
        weir_time sleep = at > now ? weir_time_min(at - now, 60 * WEIR_SEC) / WEIR_MS + 1 : 0;
        if (poll(&pfd, 1, (int)sleep) < 0 && errno != EINTR)
            die("poll", strerror(errno));
        now = clock_now();
        for (ssize_t n; (n = read(pfd.fd, buf, sizeof buf)) > 0;)
            weir_input(stack, ifindex, &(struct weir_frame){.data = buf, .len = (size_t)n}, now);
        weir_advance(stack, now);
        handle_events(stack, listener, now);
        send_frames(stack, ifindex, pfd.fd, now);
    }
}
