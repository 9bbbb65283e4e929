/* SPDX-License-Identifier: MIT */
/*
 * One flow over an impaired path, from one kind of sender to one kind of receiver. What bench/goodput
 * starts and reads:
 *
 *     bench_goodput wire NEAR FAR FORWARD BACK       joins TUN "weirgood" of namespace NEAR to that of
 *                                                    FAR; frames are impaired on the way
 *     bench_goodput has CC                           status 0 if Weir has the algorithm
 *     bench_goodput send CC SECONDS                  the kernel's sender, in NEAR
 *     bench_goodput sink SECONDS                     the kernel's receiver, in FAR
 *     bench_goodput weir-send CC SECONDS FAR FORWARD BACK     Weir in the place of NEAR and the wire
 *     bench_goodput weir-sink SECONDS NEAR FORWARD BACK       Weir in the place of the wire and FAR
 *
 *     kernel (NEAR, .1) --TUN--[          wire          ]--TUN-- kernel (FAR, .2)
 *     Weir         (.1) -------[ FORWARD -->   <-- BACK ]--TUN-- kernel (FAR, .2)
 *     kernel (NEAR, .1) --TUN--[ FORWARD -->   <-- BACK ]------- Weir (.2)
 *
 * So the impairment is one and the same object for all, with the same numbers drawn for the n-th
 * frame, and whoever is not Weir is the kernel in a namespace. FORWARD and BACK are words of
 * weir_impair_parse(). Wires print "ready" and work until SIGTERM. Receivers print what they read in
 * SECONDS from the connection on, senders what their TCP_INFO says then.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/host.h>
#include <weir/weir.h>

#include "bench.h"

#define DEVICE         "weirgood"
#define NEAR_ADDR      UINT32_C(0x0a4f0001) /* 10.79.0.1 */
#define FAR_ADDR       UINT32_C(0x0a4f0002)
#define MS_OF(seconds) ((int)((seconds)*1e3) + 1)

enum { MTU = 1500, CONNECT_SECONDS = 20 };

static char buffer[CHUNK_BYTES];

static void check(ptrdiff_t result, const char *what)
{
    if (result < 0)
        die("%s: %s", what, weir_error_text((int)result));
}

static void ready(void)
{
    puts("ready");
    (void)fflush(stdout);
}

static void print_bytes(uint64_t bytes, double seconds)
{
    printf("{\"bytes\": %llu, \"seconds\": %.6f}\n", (unsigned long long)bytes, seconds);
    (void)fflush(stdout);
}

static void print_info(const char *cc, const struct weir_tcp_info *info)
{
    printf("{\"cc\": \"%s\", \"retrans\": %u, \"rto\": %u, \"dsack\": %u, \"reordering\": %u, "
           "\"cwnd\": %u, \"ssthresh\": %u, \"srtt_us\": %u, \"min_rtt_us\": %u}\n",
           cc, info->tcpi_total_retrans, info->tcpi_total_rto, info->tcpi_dsack_dups,
           info->tcpi_reordering, info->tcpi_snd_cwnd, info->tcpi_snd_ssthresh, info->tcpi_rtt,
           info->tcpi_min_rtt);
    (void)fflush(stdout);
}

/* ---- the path ----------------------------------------------------------------------------------- */

/* The TUN in a namespace, its kernel's side set up; `offload` for those who take super-segments. */
static struct weir_link *open_tun(const char *netns, uint32_t addr, bool offload)
{
    struct weir_tun_config config = {
        .name = DEVICE, .offload = offload, .plain = true, .netns = netns};
    struct weir_addr kernel = weir_addr_v4(addr);
    struct weir_link *link;

    check(weir_link_tun(&config, &link), "weir_link_tun");
    check(weir_tun_configure(link, &kernel, 24, MTU), "weir_tun_configure");
    return link;
}

static struct weir_link *impair(struct weir_link *link, const char *text,
                                enum weir_impair_direction direction)
{
    struct weir_impair_config config = {0};
    const char *bad;

    if (weir_impair_parse(text, &config, &bad) != 0)
        die("not understood: %s", bad);
    check(weir_link_impair(link, &config, direction, &link), "weir_link_impair");
    return link;
}

/* Each direction is impaired in its own wrapper. */
static struct weir_link *impair_both(struct weir_link *link, const char *out, const char *in)
{
    return impair(impair(link, out, WEIR_IMPAIR_OUT), in, WEIR_IMPAIR_IN);
}

static void carry(struct weir_link *from, struct weir_link *to, weir_time now)
{
    struct weir_frame frame;
    int rc;

    while ((rc = from->ops->recv(from, &frame, now)) == 1) {
        struct weir_out out = {.n_spans = 1, .span = {{frame.data, frame.len}}};

        (void)to->ops->send(to, &out, now); /* what a full device refuses is lost */
    }
    check(rc, "recv");
    for (unsigned i = 0; i < 2; i++) {
        struct weir_link *link = i == 0 ? to : from;
        if (link->ops->flush)
            link->ops->flush(link, now);
    }
}

static void wire(const char *near, const char *far, const char *forward, const char *back)
{
    struct weir_link *a = open_tun(near, NEAR_ADDR, false);
    struct weir_link *b = impair_both(open_tun(far, FAR_ADDR, false), forward, back);

    ready();
    for (;;) {
        struct pollfd fds[2] = {{.fd = a->ops->fd(a), .events = POLLIN},
                                {.fd = b->ops->fd(b), .events = POLLIN}};
        weir_time now = weir_now(), wait = b->ops->deadline(b) - now;
        struct timespec until = {.tv_sec = wait / WEIR_SEC, .tv_nsec = wait % WEIR_SEC};

        if (wait > 0 && ppoll(fds, 2, wait < WEIR_SEC ? &until : NULL, NULL) < 0)
            die("ppoll: %s", strerror(errno));
        now = weir_now();
        carry(a, b, now);
        carry(b, a, now);
    }
}

/* ---- the kernel --------------------------------------------------------------------------------- */

static struct sockaddr_in endpoint(uint32_t addr)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(PORT_SINK), .sin_addr = {.s_addr = htonl(addr)}};
}

static void await(int fd, short events, double until)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    double left = until - wall_seconds();

    if (left > 0)
        (void)poll(&poll_fd, 1, MS_OF(left));
}

static void kernel_send(const char *cc, double seconds)
{
    struct sockaddr_in far = endpoint(FAR_ADDR);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct weir_tcp_info info = {0};
    socklen_t len = sizeof info;

    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc, (socklen_t)strlen(cc)) != 0)
        die("congestion control %s: %s", cc, strerror(errno));
    if (connect(fd, (struct sockaddr *)&far, sizeof far) != 0)
        die("connect: %s", strerror(errno));
    for (double end = wall_seconds() + seconds; wall_seconds() < end;) {
        ssize_t n = send(fd, buffer, sizeof buffer, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            break; /* the receiver is done */
        if (n < 0)
            await(fd, POLLOUT, end);
    }
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        die("TCP_INFO: %s", strerror(errno));
    print_info(cc, &info);
}

static void kernel_sink(double seconds)
{
    struct sockaddr_in any = endpoint(INADDR_ANY);
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, fd;
    uint64_t bytes = 0;
    ssize_t n = 1;

    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) != 0 || listen(listener, 1) != 0)
        die("listen: %s", strerror(errno));
    ready();
    await(listener, POLLIN, wall_seconds() + CONNECT_SECONDS);
    if ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) < 0)
        die("accept: %s", strerror(errno));
    double start = wall_seconds();
    while (n != 0 && wall_seconds() < start + seconds) {
        n = read(fd, buffer, sizeof buffer);
        if (n > 0)
            bytes += (uint64_t)n;
        else if (n < 0 && errno != EAGAIN)
            die("read: %s", strerror(errno));
        else
            await(fd, POLLIN, start + seconds);
    }
    print_bytes(bytes, seconds);
}

/* ---- Weir --------------------------------------------------------------------------------------- */

static struct weir_host *host;
static struct weir_loop *loop;
static weir_sock listener, conn;
static weir_time started_at = WEIR_TIME_NEVER;
static double run_seconds;
static uint64_t received;
static const char *algorithm; /* NULL: Weir receives */

static void weir_over(void *arg, weir_time now)
{
    struct weir_tcp_info info = {0};
    size_t len = sizeof info;

    (void)arg;
    if (algorithm == NULL) {
        print_bytes(received, run_seconds);
    } else {
        check(weir_sock_getsockopt(weir_host_lock(host), conn, WEIR_SOL_TCP, WEIR_TCP_INFO, &info,
                                   &len, now),
              "TCP_INFO");
        weir_host_unlock(host);
        print_info(algorithm, &info);
    }
    weir_loop_stop(loop);
}

static void weir_started(weir_time now)
{
    if (started_at != WEIR_TIME_NEVER)
        return;
    started_at = now;
    check(weir_loop_alarm(loop, now + (weir_time)(run_seconds * 1e9), weir_over, NULL), "alarm");
}

static void weir_on_event(void *arg, const struct weir_event *event)
{
    struct weir_stack *stack = weir_host_lock(host);
    weir_time now = weir_now();
    ptrdiff_t n;

    (void)arg;
    if (event->sock == listener && weir_sock_accept(stack, listener, &conn, NULL, now) == 0)
        weir_started(now);
    if (algorithm != NULL && (event->ready & WEIR_POLLOUT)) {
        weir_started(now);
        while (weir_sock_send(stack, conn, buffer, sizeof buffer, 0, NULL, now) > 0)
            continue;
    } else if (algorithm == NULL && conn != 0) {
        while ((n = weir_sock_recv(stack, conn, buffer, sizeof buffer, 0, NULL, now)) > 0)
            received += (uint64_t)n;
    }
    weir_host_unlock(host);
}

static void weir_new(void)
{
    check(weir_loop_new(&loop), "weir_loop_new");
    check(weir_host_new(loop, NULL, &host), "weir_host_new");
}

static void weir_free(void)
{
    weir_host_free(host);
    (void)weir_loop_free(loop);
}

/* Opens the sending socket; dies if it cannot have the algorithm. */
static void weir_open(const char *cc)
{
    struct weir_stack *stack = weir_host_lock(host);

    check(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &conn), "open");
    check(weir_sock_setsockopt(stack, conn, WEIR_SOL_TCP, WEIR_TCP_CONGESTION, cc, strlen(cc),
                               weir_now()),
          cc);
    weir_host_unlock(host);
}

static void weir_start(struct weir_link *link, const char *addr)
{
    int ifindex;

    weir_new();
    ifindex = weir_host_add_link(host, link);
    check(ifindex, "weir_host_add_link");
    check(weir_host_add_addr(host, ifindex, addr), "weir_host_add_addr");
    weir_host_on_event(host, weir_on_event, NULL);
}

static void weir_send_to(const char *cc, const char *far, const char *forward, const char *back)
{
    struct weir_endpoint remote = {.addr = weir_addr_v4(FAR_ADDR), .port = PORT_SINK};

    weir_start(impair_both(open_tun(far, FAR_ADDR, true), forward, back), "10.79.0.1/24");
    algorithm = cc;
    weir_open(cc);
    int rc = weir_sock_connect(weir_host_lock(host), conn, &remote, weir_now());
    if (rc != WEIR_EINPROGRESS)
        check(rc, "connect");
    weir_host_unlock(host);
}

static void weir_sink(const char *near, const char *forward, const char *back)
{
    struct weir_endpoint local = {.addr = weir_addr_any4(), .port = PORT_SINK};
    struct weir_stack *stack;

    weir_start(impair_both(open_tun(near, NEAR_ADDR, true), back, forward), "10.79.0.2/24");
    stack = weir_host_lock(host);
    check(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &listener), "open");
    check(weir_sock_bind(stack, listener, &local), "bind");
    check(weir_sock_listen(stack, listener, 1, weir_now()), "listen");
    weir_host_unlock(host);
    ready();
}

static void weir_run(void)
{
    check(weir_loop_run(loop), "weir_loop_run");
    weir_free();
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (argc == 6 && strcmp(mode, "wire") == 0) {
        wire(argv[2], argv[3], argv[4], argv[5]);
    } else if (argc == 3 && strcmp(mode, "has") == 0) {
        weir_new();
        weir_open(argv[2]);
        weir_free();
    } else if (argc == 4 && strcmp(mode, "send") == 0) {
        kernel_send(argv[2], atof(argv[3]));
    } else if (argc == 3 && strcmp(mode, "sink") == 0) {
        kernel_sink(atof(argv[2]));
    } else if (argc == 7 && strcmp(mode, "weir-send") == 0) {
        run_seconds = atof(argv[3]);
        weir_send_to(argv[2], argv[4], argv[5], argv[6]);
        weir_run();
    } else if (argc == 6 && strcmp(mode, "weir-sink") == 0) {
        run_seconds = atof(argv[2]);
        weir_sink(argv[3], argv[4], argv[5]);
        weir_run();
    } else {
        die("usage: bench_goodput wire|has|send|sink|weir-send|weir-sink ...; see the source");
    }
    return 0;
}
