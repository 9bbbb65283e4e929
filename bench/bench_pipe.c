/* SPDX-License-Identifier: MIT */
/*
 * What the core costs when no system call is in the way: two stacks in one thread (pair.h).
 *
 *     bench_pipe bulk|rr|crr SECONDS [mtu]    `mtu`: no super-segments, checksums computed and verified
 */
#include <errno.h>
#include <string.h>

#include "pair.h"

enum { N_LISTENERS = 64 };

static weir_sock listeners[N_LISTENERS];
static char buffer[CHUNK_BYTES];

static void turn(void)
{
    weir_time now = weir_now();

    if (weir_deadline(client.stack) <= now)
        weir_advance(client.stack, now);
    if (weir_deadline(server.stack) <= now)
        weir_advance(server.stack, now);
    (void)carry(&client, &server, now);
    (void)carry(&server, &client, now);
}

static void open_listeners(void)
{
    for (int i = 0; i < N_LISTENERS; i++) {
        struct weir_endpoint local = {.addr = weir_addr_any4(), .port = (uint16_t)(PORT_SINK + i)};

        check(weir_sock_open(server.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &listeners[i]),
              "open");
        check(weir_sock_bind(server.stack, listeners[i], &local), "bind");
        check(weir_sock_listen(server.stack, listeners[i], 4096, weir_now()), "listen");
    }
}

/* A connection to the n-th listener: ports of TIME-WAIT are spread over many destinations. */
static void connect_pair(unsigned n, weir_sock *near, weir_sock *far)
{
    struct weir_endpoint remote = {.addr = server.addr,
                                   .port = (uint16_t)(PORT_SINK + n % N_LISTENERS)};
    int result, on = 1;

    check(weir_sock_open(client.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, near), "open");
    result = weir_sock_connect(client.stack, *near, &remote, weir_now());
    if (result != WEIR_EINPROGRESS)
        check(result, "connect");
    do {
        turn();
        result = weir_sock_accept(server.stack, listeners[n % N_LISTENERS], far, NULL, weir_now());
    } while (result == WEIR_EAGAIN);
    check(result, "accept");
    check(weir_sock_setsockopt(client.stack, *near, WEIR_SOL_TCP, WEIR_TCP_NODELAY, &on, sizeof on,
                               weir_now()),
          "TCP_NODELAY");
    check(weir_sock_setsockopt(server.stack, *far, WEIR_SOL_TCP, WEIR_TCP_NODELAY, &on, sizeof on,
                               weir_now()),
          "TCP_NODELAY");
}

/* Nobody waits for events here; they are taken so that the queue is what it is in a program. */
static void drop_events(struct side *side)
{
    struct weir_event event;

    while (weir_next_event(side->stack, &event))
        continue;
}

static void bench_bulk(double seconds)
{
    double end = wall_seconds() + seconds;
    struct measure m;
    weir_sock near, far;
    uint64_t bytes = 0;
    ptrdiff_t n;

    connect_pair(0, &near, &far);
    m = measure_start();
    while (wall_seconds() < end) {
        weir_time now = weir_now();

        n = weir_sock_send(client.stack, near, buffer, sizeof buffer, 0, NULL, now);
        if (n != WEIR_EAGAIN)
            check(n, "send");
        turn();
        while ((n = weir_sock_recv(server.stack, far, buffer, sizeof buffer, 0, NULL, now)) > 0)
            bytes += (uint64_t)n;
        if (n != WEIR_EAGAIN)
            check(n, "recv");
        drop_events(&client);
        drop_events(&server);
    }
    measure_stop(&m, bytes);
}

/* One byte from a socket of `from` to one of `to`. */
static void send_byte(struct side *from, weir_sock near, struct side *to, weir_sock far)
{
    char byte = 1;
    ptrdiff_t n;

    check(weir_sock_send(from->stack, near, &byte, 1, 0, NULL, weir_now()), "send");
    do {
        turn();
        n = weir_sock_recv(to->stack, far, &byte, 1, 0, NULL, weir_now());
    } while (n == WEIR_EAGAIN);
    if (n != 1)
        die("a byte was lost: %s", n ? weir_error_text((int)n) : "end of stream");
    drop_events(from);
    drop_events(to);
}

static void bench_rr(double seconds)
{
    double end = wall_seconds() + seconds;
    struct measure m;
    weir_sock near, far;
    uint64_t trips = 0;

    connect_pair(0, &near, &far);
    m = measure_start();
    for (; wall_seconds() < end; trips++) {
        send_byte(&client, near, &server, far);
        send_byte(&server, far, &client, near);
    }
    measure_stop(&m, trips);
}

static void bench_crr(double seconds)
{
    double end = wall_seconds() + seconds;
    struct measure m = measure_start();
    uint64_t connections = 0;

    for (; wall_seconds() < end; connections++) {
        weir_sock near, far;

        connect_pair((unsigned)connections, &near, &far);
        send_byte(&client, near, &server, far);
        send_byte(&server, far, &client, near);
        check(weir_sock_close(client.stack, near, weir_now()), "close");
        turn();
        check(weir_sock_close(server.stack, far, weir_now()), "close");
        turn();
    }
    measure_stop(&m, connections);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[1] : "";

    pair_open(argc < 4 || strcmp(argv[3], "mtu") != 0, weir_now());
    /* As on the kernel's side: TIME-WAIT must not be what limits connections per second. */
    check(weir_sysctl_set(client.stack, "net.ipv4.tcp_tw_reuse", 1), "tcp_tw_reuse");
    check(weir_sysctl_set(server.stack, "net.ipv4.tcp_tw_reuse", 1), "tcp_tw_reuse");
    open_listeners();
    if (strcmp(mode, "bulk") == 0)
        bench_bulk(atof(argv[2]));
    else if (strcmp(mode, "rr") == 0)
        bench_rr(atof(argv[2]));
    else if (strcmp(mode, "crr") == 0)
        bench_crr(atof(argv[2]));
    else
        die("usage: bench_pipe bulk|rr|crr SECONDS [mtu]");
    pair_close();
    return 0;
}
