/* SPDX-License-Identifier: MIT */
/*
 * The blocking calls of libweir-host: what threads cost that wait for each other.
 *
 *     bench_host rr|bulk|fan|epoll [--seconds S] [--loops 1|2] [--threads N] [--watched N] [--busy-poll US]
 *
 *   rr     round trips of a byte between two threads, each on a host of its own
 *   bulk   one thread sends blocks of 64 KB, another takes them; work in bytes
 *   fan    as rr, with N connections and two threads each
 *   epoll  as fan, but one thread answers all by weir_epoll; --watched more sockets are watched and silent
 *
 * The hosts are joined by a pipe, on one loop or each on a loop of its own. One line of JSON: work, seconds,
 * CPU-seconds of all threads, and how often a thread gave up the processor to wait or was taken off it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include <weir/host.h>

#include "bench.h"

enum { THREADS_MAX = 256, EVENTS = 64 };

static struct weir_host *host[2];
static atomic_bool stop;
static atomic_ullong done; /* what all threads have done */
static int epfd;

struct client {
    pthread_t thread, server;
    int fd, peer;
};

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "bench_host: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void make_hosts(int loops, int busy_poll)
{
    struct weir_pipe_config pipe = {
        .kind = WEIR_NETIF_IP, .gso_max_bytes = 65535, .csum_offload = true, .threads = loops == 2};
    static const char *const addr[2] = {"10.0.0.1/24", "10.0.0.2/24"};
    struct weir_link *ends[2];
    struct weir_loop *loop[2];
    if (weir_link_pipe(&pipe, ends) != 0 || weir_loop_new(&loop[0]) != 0)
        fail("loop");
    loop[1] = loop[0];
    if (loops == 2 && weir_loop_new(&loop[1]) != 0)
        fail("loop");
    for (int i = 0; i < 2; i++)
        if (weir_host_new(loop[i], NULL, &host[i]) != 0 ||
            weir_host_add_addr(host[i], weir_host_add_link(host[i], ends[i]), addr[i]) != 0 ||
            weir_host_set_busy_poll(host[i], busy_poll) != 0)
            fail("host");
    for (int i = 0; i < loops; i++)
        if (weir_loop_start(loop[i]) != 0)
            fail("loop");
}

static int make_listener(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT_ECHO)};
    int fd = weir_socket(host[1], AF_INET, SOCK_STREAM, 0);
    if (weir_bind(host[1], fd, (struct sockaddr *)&any, sizeof any) != 0 ||
        weir_listen(host[1], fd, THREADS_MAX) != 0)
        fail("listen");
    return fd;
}

static void make_connection(int listener, struct client *client)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT_ECHO)};
    to.sin_addr.s_addr = htonl(0x0a000002);
    client->fd = weir_socket(host[0], AF_INET, SOCK_STREAM, 0);
    if (weir_connect(host[0], client->fd, (struct sockaddr *)&to, sizeof to) != 0)
        fail("connect");
    client->peer = weir_accept(host[1], listener, NULL, NULL);
    if (client->peer < 0)
        fail("accept");
}

/* ---- threads ------------------------------------------------------------------------------------ */

static void *ask(void *arg)
{
    struct client *client = arg;
    char byte = 0;
    while (!stop) {
        if (weir_send(host[0], client->fd, &byte, 1, 0) != 1 ||
            weir_recv(host[0], client->fd, &byte, 1, 0) != 1)
            fail("round trip");
        done++;
    }
    weir_shutdown(host[0], client->fd, SHUT_WR);
    return NULL;
}

static void *answer(void *arg)
{
    struct client *client = arg;
    char byte;
    while (weir_recv(host[1], client->peer, &byte, 1, 0) == 1)
        if (weir_send(host[1], client->peer, &byte, 1, 0) != 1)
            fail("answer");
    return NULL;
}

static void *pour(void *arg)
{
    static char block[65536];
    struct client *client = arg;
    while (!stop)
        if (weir_send(host[0], client->fd, block, sizeof block, 0) != sizeof block)
            fail("send");
    weir_shutdown(host[0], client->fd, SHUT_WR);
    return NULL;
}

static void *take(void *arg)
{
    static char block[65536];
    struct client *client = arg;
    ssize_t n;
    while ((n = weir_recv(host[1], client->peer, block, sizeof block, 0)) > 0)
        done += (unsigned long long)n;
    return NULL;
}

/* Answers all connections until each has ended. */
static void *answer_all(void *arg)
{
    struct epoll_event events[EVENTS];
    int *left = arg, ep = epfd;
    char byte;
    while (*left > 0) {
        int n = weir_epoll_wait(host[1], ep, events, EVENTS, -1);
        if (n < 0)
            fail("epoll_wait");
        for (int i = 0; i < n; i++) {
            ssize_t got = weir_recv(host[1], events[i].data.fd, &byte, 1, MSG_DONTWAIT);
            if (got == 1)
                weir_send(host[1], events[i].data.fd, &byte, 1, 0);
            else if (got == 0 && weir_close(host[1], events[i].data.fd) == 0)
                --*left;
        }
    }
    return NULL;
}

/* ---- runs --------------------------------------------------------------------------------------- */

static void watch(int ep, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd < 0 || weir_epoll_ctl(host[1], ep, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("watch");
}

static void make_epoll(const struct client *clients, int n, int watched)
{
    int ep = epfd = weir_epoll_create1(host[1], 0);
    for (int i = 0; i < watched; i++)
        watch(ep, weir_socket(host[1], AF_INET, SOCK_DGRAM, 0));
    for (int i = 0; i < n; i++)
        watch(ep, clients[i].peer);
}

static unsigned long long switches(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (unsigned long long)(use.ru_nvcsw + use.ru_nivcsw);
}

static void run(struct client *clients, int n, const char *load, double seconds)
{
    struct timespec nap = {.tv_sec = (time_t)seconds,
                           .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    bool bulk = strcmp(load, "bulk") == 0, epoll = strcmp(load, "epoll") == 0;
    int left = n;
    for (int i = 0; i < (epoll ? 1 : n); i++)
        if (pthread_create(&clients[i].server, NULL,
                           epoll  ? answer_all
                           : bulk ? take
                                  : answer,
                           epoll ? (void *)&left : &clients[i]) != 0)
            fail("thread");
    struct measure m = measure_start();
    unsigned long long before = switches();
    for (int i = 0; i < n; i++)
        if (pthread_create(&clients[i].thread, NULL, bulk ? pour : ask, &clients[i]) != 0)
            fail("thread");
    nanosleep(&nap, NULL);
    stop = true;
    m.wall = wall_seconds() - m.wall;
    m.cpu = cpu_seconds() - m.cpu;
    printf("{\"work\": %llu, \"wall_s\": %.6f, \"cpu_s\": %.6f, \"switches\": %llu}\n", done,
           m.wall, m.cpu, switches() - before);
    for (int i = 0; i < n; i++)
        pthread_join(clients[i].thread, NULL);
    for (int i = 0; i < (epoll ? 1 : n); i++)
        pthread_join(clients[i].server, NULL);
}

int main(int argc, char **argv)
{
    static struct client clients[THREADS_MAX];
    const char *load = argc > 1 ? argv[1] : "";
    double seconds = 2;
    int loops = 1, threads = 0, watched = 0, busy_poll = 0;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0)
            seconds = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--loops") == 0)
            loops = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--threads") == 0)
            threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--watched") == 0)
            watched = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--busy-poll") == 0)
            busy_poll = atoi(argv[i + 1]);
        else
            load = "";
    }
    bool many = strcmp(load, "fan") == 0 || strcmp(load, "epoll") == 0;
    bool known = many || strcmp(load, "rr") == 0 || strcmp(load, "bulk") == 0;
    if (threads == 0)
        threads = many ? 16 : 1;
    if (!known || loops < 1 || loops > 2 || threads < 1 || threads > THREADS_MAX || watched < 0) {
        fprintf(stderr, "usage: bench_host rr|bulk|fan|epoll [--seconds S] [--loops 1|2] "
                        "[--threads N] [--watched N] [--busy-poll US]\n");
        return 2;
    }
    make_hosts(loops, busy_poll);
    int listener = make_listener();
    for (int i = 0; i < threads; i++)
        make_connection(listener, &clients[i]);
    if (strcmp(load, "epoll") == 0)
        make_epoll(clients, threads, watched);
    run(clients, threads, load, seconds);
    return 0;
}
