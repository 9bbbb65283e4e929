/* SPDX-License-Identifier: MIT */
/*
 * Weir's server over TUN, or beside the kernel on an interface, with the services of bench.h: one thread, the host's loop, the core's
 * socket calls in the event function. The kernel is the client (bench_kernel).
 *
 *     bench_tun NAME [plain | csum] [TUNABLE=VALUE...]
 *     bench_tun NAME packet|xdp|native ADDR/PREFIX [TUNABLE=VALUE...]
 *
 * makes TUN interface NAME: kernel 10.78.0.1/24, Weir 10.78.0.2. `plain`: one segment a frame and its checksum too; `csum`: one
 * segment a frame, which are cut and joined in software. Or it is at ADDR on the kernel's interface NAME, by AF_PACKET or AF_XDP (`native`: at the driver's hook).
 * Of the tunables, net.core.busy_poll is the host's.
 *
 * Prints "ready" when it can be connected to, works until SIGTERM or SIGINT, and answers SIGUSR1
 * with a line of the memory that its stack holds, what is in its table, and its counters of SYN cookies.
 */
#define _GNU_SOURCE
#include <linux/if_tun.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <weir/host.h>
#include <weir/weir.h>

#include "bench.h"

enum { SEND_BYTES = 64 * 1024 }; /* at once: the link takes them while they are in the cache */

static struct weir_host *host;
static struct weir_loop *loop;
static char buffer[CHUNK_BYTES];

static void check(ptrdiff_t result, const char *what)
{
    if (result < 0)
        die("%s: %s", what, weir_error_text((int)result));
}

/* Both a socket's `user` number: its port, and whether it listens. */
static uint64_t user_of(int port, bool listener)
{
    return (uint64_t)listener << 16 | (uint64_t)port;
}

/* Reads in place: what comes is lent by peek, and taken off when it has been seen. */
static void serve_sink(struct weir_stack *stack, weir_sock sock, weir_time now)
{
    struct weir_span span[2];
    ptrdiff_t n;

    while ((n = weir_sock_peek(stack, sock, span, now)) > 0)
        (void)weir_sock_consume(stack, sock, (size_t)n, now);
    if (n != WEIR_EAGAIN)
        (void)weir_sock_close(stack, sock, now);
}

/* Makes its bytes where they are sent from. */
static void serve_source(struct weir_stack *stack, weir_sock sock, weir_time now)
{
    struct weir_piece room[2];
    ptrdiff_t n;

    while ((n = weir_sock_reserve(stack, sock, room, SEND_BYTES, now)) > 0) {
        for (unsigned i = 0; i < 2; i++)
            if (room[i].len > 0)
                memset(room[i].ptr, 'w', room[i].len);
        n = weir_sock_commit(stack, sock, (size_t)n, now);
        if (n < 0)
            break;
    }
    if (n != WEIR_EAGAIN)
        (void)weir_sock_close(stack, sock, now);
}

/* Less than was asked for is all that there is, and what comes later is an event again; but the end of the stream is no
 * byte: as with edges of epoll(7). */
static void serve_echo(struct weir_stack *stack, weir_sock sock, uint32_t ready, bool once,
                       weir_time now)
{
    ptrdiff_t n, want = 4096;

    while ((n = weir_sock_recv(stack, sock, buffer, (size_t)want, 0, NULL, now)) > 0) {
        if (weir_sock_send(stack, sock, buffer, (size_t)n, 0, NULL, now) != n || once)
            break;
        if (n < want && !(ready & WEIR_POLLRDHUP))
            return;
    }
    if (n != WEIR_EAGAIN)
        (void)weir_sock_close(stack, sock, now);
}

/* `ready`: what is known of the socket, WEIR_POLL*. */
static void serve(struct weir_stack *stack, weir_sock sock, uint32_t ready, int port, weir_time now)
{
    if (port == PORT_SOURCE)
        serve_source(stack, sock, now);
    else if (port == PORT_ECHO || port == PORT_BYE)
        serve_echo(stack, sock, ready, port == PORT_BYE, now);
    else
        serve_sink(stack, sock, now);
}

static void on_event(void *arg, const struct weir_event *event)
{
    struct weir_stack *stack = weir_host_lock(host);
    int port = (int)(event->user & 0xffff);
    weir_time now = weir_host_now(host);
    weir_sock conn;

    (void)arg;
    if (event->user >> 16) {
        while (weir_sock_accept(stack, event->sock, &conn, NULL, now) == 0) {
            (void)weir_sock_set_user(stack, conn, user_of(port, false));
            serve(stack, conn, (uint32_t)weir_sock_ready(stack, conn), port, now);
        }
    } else {
        serve(stack, event->sock, event->ready, port, now);
    }
    weir_host_unlock(host);
}

static unsigned long long counter(const struct weir_stack *stack, const char *name)
{
    for (unsigned i = 0; i < weir_stat_kinds(); i++)
        if (strcmp(weir_stat_name(i), name) == 0)
            return weir_stat_count(stack, i);
    die("no counter %s", name);
}

static void report(struct weir_stack *stack)
{
    struct weir_sock_row row;
    uint64_t cursor = 0;
    unsigned rows = 0, half_open = 0, time_wait = 0;

    while (weir_sock_next_row(stack, &cursor, &row)) {
        rows++;
        half_open += row.state == WEIR_TCP_SYN_RECV;
        time_wait += row.state == WEIR_TCP_TIME_WAIT;
    }
    printf(
        "{\"mem_bytes\": %zu, \"rows\": %u, \"half_open\": %u, \"time_wait\": %u, \"cookies_sent\": %llu, "
        "\"cookies_taken\": %llu, \"segments_in\": %llu}\n",
        weir_mem_bytes(stack), rows, half_open, time_wait, counter(stack, "TcpExtSyncookiesSent"),
        counter(stack, "TcpExtSyncookiesRecv"), counter(stack, "TcpInSegs"));
}

static void on_signal(void *arg, int fd, uint32_t events)
{
    struct signalfd_siginfo info;

    (void)arg;
    (void)events;
    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (info.ssi_signo != SIGUSR1) {
        weir_loop_stop(loop);
        return;
    }
    report(weir_host_lock(host));
    weir_host_unlock(host);
    (void)fflush(stdout);
}

static void open_services(void)
{
    struct weir_stack *stack = weir_host_lock(host);
    weir_time now = weir_now();

    for (int port = PORT_SINK; port < PORT_SINK + N_SERVICES; port++) {
        struct weir_endpoint local = {.addr = weir_addr_any4(), .port = (uint16_t)port};
        weir_sock sock;
        int on = 1; /* an accepted connection has it from here */

        check(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &sock), "open");
        check(weir_sock_set_user(stack, sock, user_of(port, true)), "set_user");
        check(weir_sock_bind(stack, sock, &local), "bind");
        check(
            weir_sock_setsockopt(stack, sock, WEIR_SOL_TCP, WEIR_TCP_NODELAY, &on, sizeof on, now),
            "TCP_NODELAY");
        check(weir_sock_listen(stack, sock, 4096, now), "listen");
    }
    weir_host_unlock(host);
}

static void tune(char *assignment)
{
    char *value = strchr(assignment, '=');

    if (value == NULL)
        die("%s: expected TUNABLE=VALUE", assignment);
    *value++ = '\0';
    if (strcmp(assignment, "net.core.busy_poll") == 0) {
        check(weir_host_set_busy_poll(host, atoi(value)), assignment);
        return;
    }
    check(weir_sysctl_write(weir_host_lock(host), assignment, value), assignment);
    weir_host_unlock(host);
}

static int signal_descriptor(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static struct weir_link *open_tun(const char *name, bool plain, bool csum)
{
    struct weir_tun_config config = {.name = name, .offload = !plain, .plain = plain};
    struct weir_addr kernel = weir_addr_v4(0x0a4e0001);
    struct weir_link *link;

    check(weir_link_tun(&config, &link), "weir_link_tun");
    if (csum) {
        if (ioctl(link->ops->fd(link), TUNSETOFFLOAD, (unsigned long)TUN_F_CSUM) != 0)
            die("TUNSETOFFLOAD");
        link->netif.gso_max_bytes = 0;
        check(weir_link_offload(link, &link), "weir_link_offload");
    }
    check(weir_tun_configure(link, &kernel, 24, 1500), "weir_tun_configure");
    return link;
}

static struct weir_link *open_beside(const char *name, const char *how)
{
    struct weir_packet_config packet = {.ifname = name, .offload = true};
    struct weir_xdp_config xdp = {.ifname = name};
    struct weir_link *link;

    if (strcmp(how, "native") == 0)
        xdp.hook = WEIR_XDP_NATIVE;
    if (strcmp(how, "packet") == 0)
        check(weir_link_packet(&packet, &link), name);
    else
        check(weir_link_xdp(&xdp, &link, NULL), name);
    return link;
}

int main(int argc, char **argv)
{
    bool plain = argc > 2 && strcmp(argv[2], "plain") == 0;
    bool csum = argc > 2 && strcmp(argv[2], "csum") == 0;
    bool beside = argc > 3 && (strcmp(argv[2], "packet") == 0 || strcmp(argv[2], "xdp") == 0 ||
                               strcmp(argv[2], "native") == 0);
    struct weir_link *link;
    int ifindex;

    if (argc < 2)
        die("usage: bench_tun NAME [plain | csum | packet|xdp|native ADDR/PREFIX] [TUNABLE=VALUE...]");
    link = beside ? open_beside(argv[1], argv[2]) : open_tun(argv[1], plain, csum);
    check(weir_loop_new(&loop), "weir_loop_new");
    check(weir_host_new(loop, NULL, &host), "weir_host_new");
    ifindex = weir_host_add_link(host, link);
    check(ifindex, "weir_host_add_link");
    check(weir_host_add_addr(host, ifindex, beside ? argv[3] : "10.78.0.2/24"),
          "weir_host_add_addr");
    weir_host_on_event(host, on_event, NULL);
    for (int i = beside ? 4 : plain || csum ? 3 : 2; i < argc; i++)
        tune(argv[i]);
    open_services();
    check(weir_loop_watch(loop, signal_descriptor(), EPOLLIN, on_signal, NULL), "watch");
    puts("ready");
    (void)fflush(stdout);
    check(weir_loop_run(loop), "weir_loop_run");
    weir_host_free(host);
    (void)weir_loop_free(loop);
    return 0;
}
