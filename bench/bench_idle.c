/* SPDX-License-Identifier: MIT */
/*
 * Many connections that do nothing, between two stacks in one thread (pair.h), in virtual time.
 *
 *     bench_idle COUNT
 *
 * Opened at 10,000 a second; each carries 100 bytes there and back; then all are silent but for keepalive,
 * every 30 seconds, for a minute; then they are closed at the same pace. Printed: bytes of an end while all are
 * silent, the most that each stack ever held, CPU seconds of each part, and the longest that any one call of the
 * four kept its caller.
 */
#include "pair.h"

enum { N_LISTENERS = 64, PER_SECOND = 10000, REQUEST = 100, QUIET_S = 60, KEEPIDLE_S = 30 };

static const weir_time STEP = WEIR_SEC / PER_SECOND;

static weir_sock listeners[N_LISTENERS];
static weir_time now = WEIR_SEC;
static double longest; /* seconds of CPU that one call took */
static size_t peak[2];

static double begun;

static void call_begins(void)
{
    begun = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
}

static void call_ends(void)
{
    double took = clock_seconds(CLOCK_THREAD_CPUTIME_ID) - begun;

    if (took > longest)
        longest = took;
}

static bool pass(struct side *from, struct side *to)
{
    bool moved;

    call_begins();
    if (weir_deadline(from->stack) <= now)
        weir_advance(from->stack, now);
    call_ends();
    call_begins();
    moved = carry(from, to, now);
    call_ends();
    return moved;
}

/* Everything that can happen now happens. */
static void settle(void)
{
    struct weir_event event;
    bool moved;

    do {
        moved = pass(&client, &server);
        moved = pass(&server, &client) || moved;
    } while (moved);
    while (weir_next_event(client.stack, &event) || weir_next_event(server.stack, &event))
        continue;
    for (unsigned i = 0; i < 2; i++) {
        size_t held = weir_mem_bytes(i == 0 ? client.stack : server.stack);
        if (held > peak[i])
            peak[i] = held;
    }
}

/* Lets time pass until `end`. */
static void idle_until(weir_time end)
{
    while (now < end) {
        weir_time next = weir_time_min(weir_deadline(client.stack), weir_deadline(server.stack));
        if (next > end)
            next = end;
        if (next > now)
            now = next;
        settle();
    }
}

static void exchange(struct side *from, weir_sock near, struct side *to, weir_sock far)
{
    char bytes[REQUEST] = "";

    check(weir_sock_send(from->stack, near, bytes, sizeof bytes, 0, NULL, now), "send");
    settle();
    if (weir_sock_recv(to->stack, far, bytes, sizeof bytes, 0, NULL, now) != sizeof bytes)
        die("not all arrived");
}

static void open_one(unsigned n, weir_sock *near, weir_sock *far)
{
    struct weir_endpoint remote = {.addr = server.addr,
                                   .port = (uint16_t)(PORT_SINK + n % N_LISTENERS)};
    int on = 1, idle = KEEPIDLE_S, result;

    check(weir_sock_open(client.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, near), "open");
    check(weir_sock_setsockopt(client.stack, *near, WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, &on,
                               sizeof on, now),
          "SO_KEEPALIVE");
    check(weir_sock_setsockopt(client.stack, *near, WEIR_SOL_TCP, WEIR_TCP_KEEPIDLE, &idle,
                               sizeof idle, now),
          "TCP_KEEPIDLE");
    result = weir_sock_connect(client.stack, *near, &remote, now);
    if (result != WEIR_EINPROGRESS)
        check(result, "connect");
    settle();
    check(weir_sock_accept(server.stack, listeners[n % N_LISTENERS], far, NULL, now), "accept");
    exchange(&client, *near, &server, *far);
    exchange(&server, *far, &client, *near);
}

static void open_listeners(void)
{
    for (int i = 0; i < N_LISTENERS; i++) {
        struct weir_endpoint local = {.addr = weir_addr_any4(), .port = (uint16_t)(PORT_SINK + i)};

        check(weir_sock_open(server.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &listeners[i]),
              "open");
        check(weir_sock_bind(server.stack, listeners[i], &local), "bind");
        check(weir_sock_listen(server.stack, listeners[i], 4096, now), "listen");
    }
}

static void close_one(weir_sock near, weir_sock far)
{
    char byte;

    check(weir_sock_close(client.stack, near, now), "close");
    settle();
    if (weir_sock_recv(server.stack, far, &byte, 1, 0, NULL, now) != 0)
        die("no end of stream");
    check(weir_sock_close(server.stack, far, now), "close");
    settle();
}

int main(int argc, char **argv)
{
    unsigned count = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    weir_sock *near = calloc(count, sizeof *near), *far = calloc(count, sizeof *far);
    size_t before[2], quiet[2];
    double opened, kept, closed, began;

    if (count == 0 || near == NULL || far == NULL)
        die("usage: bench_idle COUNT");
    pair_open(true, now);
    open_listeners();
    before[0] = weir_mem_bytes(client.stack);
    before[1] = weir_mem_bytes(server.stack);
    began = cpu_seconds();
    for (unsigned i = 0; i < count; i++) {
        open_one(i, &near[i], &far[i]);
        idle_until(now + STEP);
    }
    opened = cpu_seconds();
    idle_until(now + QUIET_S * WEIR_SEC);
    kept = cpu_seconds();
    quiet[0] = weir_mem_bytes(client.stack);
    quiet[1] = weir_mem_bytes(server.stack);
    for (unsigned i = 0; i < count; i++) {
        close_one(near[i], far[i]);
        idle_until(now + STEP);
    }
    closed = cpu_seconds();
    printf("{\"work\": %u, \"client_bytes\": %.1f, \"server_bytes\": %.1f, "
           "\"client_peak_mb\": %.1f, \"server_peak_mb\": %.1f, \"longest_ms\": %.3f, "
           "\"open_cpu_s\": %.3f, \"keep_cpu_s\": %.3f, \"close_cpu_s\": %.3f}\n",
           count, (double)(quiet[0] - before[0]) / count, (double)(quiet[1] - before[1]) / count,
           (double)peak[0] / 1e6, (double)peak[1] / 1e6, longest * 1e3, opened - began,
           kept - opened, closed - kept);
    pair_close();
    free(near);
    free(far);
    return 0;
}
