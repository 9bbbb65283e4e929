/* SPDX-License-Identifier: MIT */
/*
 * The kernel's TCP under the same loads: a server with the services of bench.h, clients, and both ends in
 * one thread (what a stack in one's own process is to be compared with).
 *
 *     bench_kernel server ADDR
 *     bench_kernel up|down|rr|crr ADDR SECONDS     client of a server at ADDR
 *     bench_kernel idle ADDR COUNT                 opens COUNT connections, prints a line, waits
 *     bench_kernel stand ADDR COUNT TIMEWAITS      the same, and after each line read on standard input
 *                                                  TIMEWAITS that the server closes first; then a line
 *     bench_kernel self-bulk|self-rr|self-crr SECONDS [BYTES [COUNT]]
 *                                                  BYTES: of one send of bulk; COUNT connections more are open
 *     bench_kernel turn SECONDS COUNT ROUNDS        round trips over COUNT connections in turn, in a network namespace
 *                                                  of its own (needs root); a line for each of ROUNDS, with the
 *                                                  packets that the kernel counted. A first line tells
 *                                                  the connections: no more than descriptors allow
 *
 * Congestion control is cubic where it may be chosen, so that a host whose default is bbr does not
 * measure its pacing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

static char buffer[CHUNK_BYTES];

static struct sockaddr_in endpoint(const char *addr, int port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    if (inet_pton(AF_INET, addr, &sin.sin_addr) != 1)
        die("not an IPv4 address: %s", addr);
    return sin;
}

static int new_socket(int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);

    if (fd < 0)
        die("socket: %s", strerror(errno));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    return fd;
}

static void set_nodelay(int fd)
{
    int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int listen_on(const char *addr, int port)
{
    struct sockaddr_in sin = endpoint(addr, port);
    int fd = new_socket(SOCK_NONBLOCK), on = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&sin, sizeof sin) != 0 || listen(fd, 4096) != 0)
        die("listen on %s:%d: %s", addr, port, strerror(errno));
    return fd;
}

static int connect_to(const char *addr, int port)
{
    struct sockaddr_in sin = endpoint(addr, port);
    int fd = new_socket(0);

    if (connect(fd, (struct sockaddr *)&sin, sizeof sin) != 0)
        die("connect to %s:%d: %s", addr, port, strerror(errno));
    set_nodelay(fd);
    return fd;
}

/* ---- server ------------------------------------------------------------------------------------ */

static void watch(int epoll, int fd, uint32_t events, int port, bool listener)
{
    struct epoll_event event = {.events = events};

    event.data.u64 = (uint64_t)listener << 48 | (uint64_t)port << 32 | (uint32_t)fd;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void accept_all(int epoll, int listener, int port)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        set_nodelay(fd);
        watch(epoll, fd, port == PORT_SOURCE ? EPOLLOUT : EPOLLIN, port, false);
    }
}

static void serve(int fd, int port)
{
    ssize_t n;

    if (port == PORT_SOURCE) {
        n = write(fd, buffer, sizeof buffer);
    } else {
        n = read(fd, buffer, port == PORT_SINK ? sizeof buffer : 4096);
        if (n > 0 && (port == PORT_ECHO || port == PORT_BYE))
            n = write(fd, buffer, (size_t)n);
        if (n > 0 && port == PORT_BYE)
            n = 0;
    }
    if (n == 0 || (n < 0 && errno != EAGAIN))
        (void)close(fd);
}

static void server(const char *addr)
{
    static struct epoll_event events[256];
    int epoll = epoll_create1(0);

    for (int i = 0; i < N_SERVICES; i++)
        watch(epoll, listen_on(addr, PORT_SINK + i), EPOLLIN, PORT_SINK + i, true);
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1);

        for (int i = 0; i < n; i++) {
            int fd = (int)(events[i].data.u64 & 0xffffffff);
            int port = (int)(events[i].data.u64 >> 32 & 0xffff);

            if (events[i].data.u64 >> 48)
                accept_all(epoll, fd, port);
            else
                serve(fd, port);
        }
    }
}

/* ---- clients ----------------------------------------------------------------------------------- */

/* The first quarter second is not counted: slow start and cold caches. */
static void client_bulk(const char *addr, double seconds, bool up)
{
    int fd = connect_to(addr, up ? PORT_SINK : PORT_SOURCE);
    double from = wall_seconds() + 0.25;
    struct measure m = {0};
    uint64_t bytes = 0;
    bool counting = false;

    for (;;) {
        double now = wall_seconds();
        ssize_t n;

        if (!counting && now >= from) {
            puts("start");
            (void)fflush(stdout);
            m = measure_start();
            counting = true;
        }
        if (counting && now >= from + seconds)
            break;
        n = up ? write(fd, buffer, sizeof buffer) : read(fd, buffer, sizeof buffer);
        if (n <= 0)
            die("bulk: %s", n ? strerror(errno) : "the server closed");
        if (counting)
            bytes += (uint64_t)n;
    }
    measure_stop(&m, bytes);
    (void)close(fd);
}

static void client_rr(const char *addr, double seconds)
{
    int fd = connect_to(addr, PORT_ECHO);
    double end = wall_seconds() + seconds;
    struct measure m;
    uint64_t trips = 0;
    char byte = 1;

    puts("start");
    (void)fflush(stdout);
    m = measure_start();
    for (; wall_seconds() < end; trips++)
        if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
            die("round trip: %s", strerror(errno));
    measure_stop(&m, trips);
    (void)close(fd);
}

static void client_crr(const char *addr, double seconds)
{
    double end = wall_seconds() + seconds;
    struct measure m;
    uint64_t connections = 0;
    char byte = 1;

    puts("start");
    (void)fflush(stdout);
    m = measure_start();
    for (; wall_seconds() < end; connections++) {
        int fd = connect_to(addr, PORT_ECHO);

        if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
            die("connection %llu: %s", (unsigned long long)connections, strerror(errno));
        (void)close(fd);
    }
    measure_stop(&m, connections);
}

static void allow_descriptors(long count)
{
    struct rlimit limit = {(rlim_t)count + 64, (rlim_t)count + 64};

    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("setrlimit: %s", strerror(errno));
}

static void client_idle(const char *addr, long count)
{
    allow_descriptors(count);
    for (long i = 0; i < count; i++)
        (void)connect_to(addr, PORT_HOLD);
    printf("{\"work\": %ld}\n", count);
    (void)fflush(stdout);
}

/* A connection that the server closes first, so that TIME-WAIT is there and not here. */
static void visit(const char *addr)
{
    int fd = connect_to(addr, PORT_BYE);
    char byte = 1;

    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 0)
        die("visit: %s", strerror(errno));
    (void)close(fd);
}

static void client_stand(const char *addr, long count, long timewaits)
{
    client_idle(addr, count);
    while (getchar() == '\n') {
        for (long i = 0; i < timewaits; i++)
            visit(addr);
        puts("done");
        (void)fflush(stdout);
    }
}

/* ---- both ends in one thread ------------------------------------------------------------------- */

static void self_accept(int listener, int pair[2])
{
    struct pollfd waits = {.fd = listener, .events = POLLIN};

    while ((pair[1] = accept4(listener, NULL, NULL, 0)) < 0 && errno == EAGAIN)
        (void)poll(&waits, 1, -1);
    if (pair[1] < 0)
        die("accept: %s", strerror(errno));
    set_nodelay(pair[1]);
}

static void self_pair(int listener, int port, int pair[2])
{
    pair[0] = connect_to("127.0.0.1", port);
    self_accept(listener, pair);
}

static void self_bulk(int listener, double seconds, size_t message)
{
    double end = wall_seconds() + seconds;
    struct measure m;
    uint64_t bytes = 0;
    int pair[2];
    ssize_t n;

    self_pair(listener, PORT_SINK, pair);
    m = measure_start();
    while (wall_seconds() < end) {
        (void)send(pair[0], buffer, message, MSG_DONTWAIT);
        while ((n = recv(pair[1], buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
            bytes += (uint64_t)n;
    }
    measure_stop(&m, bytes);
}

static void self_exchange(int pair[2])
{
    char byte = 1;

    if (write(pair[0], &byte, 1) != 1 || read(pair[1], &byte, 1) != 1 ||
        write(pair[1], &byte, 1) != 1 || read(pair[0], &byte, 1) != 1)
        die("exchange: %s", strerror(errno));
}

static void self_rr(int listener, double seconds)
{
    double end = wall_seconds() + seconds;
    struct measure m;
    uint64_t trips = 0;
    int pair[2];

    self_pair(listener, PORT_SINK, pair);
    m = measure_start();
    for (; wall_seconds() < end; trips++)
        self_exchange(pair);
    measure_stop(&m, trips);
}

static void self_crr(int listener, double seconds)
{
    double end = wall_seconds() + seconds;
    struct measure m = measure_start();
    uint64_t connections = 0;

    for (; wall_seconds() < end; connections++) {
        int pair[2];

        self_pair(listener, PORT_SINK, pair);
        self_exchange(pair);
        (void)close(pair[0]);
        (void)close(pair[1]);
    }
    measure_stop(&m, connections);
}

/* A network of this process alone, of a loopback: what is left in TIME-WAIT ends with it. */
static void leave_network(void)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd;

    if (unshare(CLONE_NEWNET) != 0)
        die("a network namespace of its own: %s", strerror(errno));
    fd = new_socket(0);
    if (ioctl(fd, SIOCSIFFLAGS, &lo) != 0)
        die("lo: %s", strerror(errno));
    (void)close(fd);
}

/* Segments that the kernel has received in this network. */
static uint64_t segments_in(void)
{
    FILE *file = fopen("/proc/self/net/snmp", "re");
    char line[512];
    unsigned long long n = 0;
    bool found = false;

    while (file && !found && fgets(line, sizeof line, file))
        found = sscanf(line, "Tcp: %*d %*d %*d %*d %*d %*d %*d %*d %*d %llu", &n) == 1;
    if (!found)
        die("/proc/self/net/snmp: no TcpInSegs");
    (void)fclose(file);
    return n;
}

static void turn_once(int (*pairs)[2], long count, double seconds)
{
    uint64_t trips = 0, packets = segments_in();
    double end = wall_seconds() + seconds;
    struct measure m = measure_start();

    for (long i = 0; wall_seconds() < end; trips++) {
        self_exchange(pairs[i]);
        if (++i == count)
            i = 0;
    }
    measure_stop_packets(&m, trips, segments_in() - packets);
}

/* Pairs of descriptors that there may be, and no more than `count`; the limit is where it can be then. */
static long pairs_allowed(long count)
{
    struct rlimit limit = {(rlim_t)(2 * count + 64), (rlim_t)(2 * count + 64)};

    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return count;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("getrlimit: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < 128 || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("%llu descriptors are too few", (unsigned long long)limit.rlim_max);
    return (long)(limit.rlim_max - 64) / 2 < count ? (long)(limit.rlim_max - 64) / 2 : count;
}

static void turn(double seconds, long count, long rounds)
{
    int listener, (*pairs)[2];

    count = pairs_allowed(count);
    pairs = count > 0 ? calloc((size_t)count, sizeof *pairs) : NULL;
    if (!pairs)
        die("no connections to take turns");
    printf("{\"connections\": %ld}\n", count);
    leave_network();
    listener = listen_on("0.0.0.0", PORT_SINK);
    for (long i = 0; i < count; i++) {
        char addr[16];

        /* One address has fewer ports than connections. */
        (void)snprintf(addr, sizeof addr, "127.0.0.%ld", 1 + i % 16);
        pairs[i][0] = connect_to(addr, PORT_SINK);
        self_accept(listener, pairs[i]);
    }
    for (long i = 0; i < rounds; i++)
        turn_once(pairs, count, seconds);
    free(pairs);
}

static void self(const char *mode, double seconds, long message, long standing)
{
    int listener = listen_on("127.0.0.1", PORT_SINK), pair[2];

    if (message <= 0 || message > CHUNK_BYTES)
        die("a message has 1 to %d bytes", CHUNK_BYTES);
    allow_descriptors(2 * standing);
    for (long i = 0; i < standing; i++)
        self_pair(listener, PORT_SINK, pair);
    if (strcmp(mode, "bulk") == 0)
        self_bulk(listener, seconds, (size_t)message);
    else if (strcmp(mode, "rr") == 0)
        self_rr(listener, seconds);
    else
        self_crr(listener, seconds);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[1] : "";

    (void)signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && strcmp(mode, "server") == 0)
        server(argv[2]);
    else if (argc == 4 && strcmp(mode, "up") == 0)
        client_bulk(argv[2], atof(argv[3]), true);
    else if (argc == 4 && strcmp(mode, "down") == 0)
        client_bulk(argv[2], atof(argv[3]), false);
    else if (argc == 4 && strcmp(mode, "rr") == 0)
        client_rr(argv[2], atof(argv[3]));
    else if (argc == 4 && strcmp(mode, "crr") == 0)
        client_crr(argv[2], atof(argv[3]));
    else if (argc == 4 && strcmp(mode, "idle") == 0) {
        client_idle(argv[2], atol(argv[3]));
        (void)pause();
    } else if (argc == 5 && strcmp(mode, "stand") == 0)
        client_stand(argv[2], atol(argv[3]), atol(argv[4]));
    else if (argc == 5 && strcmp(mode, "turn") == 0)
        turn(atof(argv[2]), atol(argv[3]), atol(argv[4]));
    else if (argc >= 3 && strncmp(mode, "self-", 5) == 0)
        self(mode + 5, atof(argv[2]), argc > 3 ? atol(argv[3]) : CHUNK_BYTES,
             argc > 4 ? atol(argv[4]) : 0);
    else
        die("usage: bench_kernel server|up|down|rr|crr|idle|stand ADDR [SECONDS|COUNT [TIMEWAITS]], "
            "self-bulk|self-rr|self-crr SECONDS [BYTES [COUNT]], or turn SECONDS COUNT ROUNDS");
    return 0;
}
