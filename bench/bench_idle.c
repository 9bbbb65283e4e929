/* SPDX-License-Identifier: MIT */
/*
 * Many connections that do nothing, between two stacks in one thread (pair.h), in virtual time.
 *
 *     bench_idle COUNT [--at-once] [--calls]
 *
 * Opened at 10,000 a second; each carries 100 bytes there and back; then all are silent but for keepalive,
 * every 30 seconds, for a minute; then they are closed at the same pace, and their TIME-WAIT runs out.
 * With --at-once virtual time stands still while they are opened, and again while they are closed: then all of
 * a kind are due at the same moment.
 *
 * Printed: bytes of an end while all are silent and the most that each stack ever held, as its allocator counts;
 * the most that the process ever had resident, with both stacks in it; CPU seconds of each part; and the longest
 * that any one call of the four, of a socket's, or any burst of 256 frames kept its caller. --calls says of each
 * call beyond 5 ms what it was.
 *
 * Reading the CPU clock is a system call, and a call of the stack may take 100 ns. So calls are timed by a clock
 * without one; the CPU clock is read when that says so, and every 100 us in between, to begin from. What is told
 * of a call may thus be up to 100 us too much.
 */
#define _GNU_SOURCE /* RUSAGE_THREAD */
#include <sys/resource.h>

#include "pair.h"

enum { N_LISTENERS = 64, PER_SECOND = 10000, REQUEST = 100, QUIET_S = 60, KEEPIDLE_S = 30 };
enum { LOOK_NS = 100000, LONG_NS = 5000000 };
enum part { OPEN, KEEP, CLOSE, EXPIRE, N_PARTS };

static const char *const part_names[N_PARTS] = {"open", "keep", "close", "expire"};

static weir_sock listeners[N_LISTENERS];
static weir_time now = WEIR_SEC, step = WEIR_SEC / PER_SECOND;
static size_t peak[2];
static enum part part;
static weir_time longest[N_PARTS];
static double cpu[N_PARTS];
static bool tell_calls;

/* ---- how long calls take ----------------------------------------------------------------------- */

static struct {
    weir_time begun;    /* by the cheap clock */
    weir_time looked;   /* when the CPU clock was read last */
    weir_time cpu;      /* what it said */
    long faults, turns; /* page faults, and how often another had the CPU */
} call;

static weir_time clock_ns(clockid_t id)
{
    struct timespec t;

    (void)clock_gettime(id, &t);
    return t.tv_sec * WEIR_SEC + t.tv_nsec;
}

static void look(weir_time at)
{
    call.looked = at;
    call.cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void tell(const char *what, weir_time took)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_THREAD, &usage);
    (void)fprintf(stderr, "%s: %s took %.3f ms; %ld page faults and %ld switches since the last\n",
                  part_names[part], what, (double)took / 1e6, usage.ru_minflt - call.faults,
                  usage.ru_nivcsw - call.turns);
    call.faults = usage.ru_minflt;
    call.turns = usage.ru_nivcsw;
}

static void begins(void)
{
    call.begun = clock_ns(CLOCK_MONOTONIC);
    if (call.begun - call.looked > LOOK_NS)
        look(call.begun);
}

static void ends(const char *what)
{
    weir_time at = clock_ns(CLOCK_MONOTONIC), was = call.cpu;

    if (at - call.begun <= LOOK_NS)
        return;
    look(at);
    if (call.cpu - was > longest[part])
        longest[part] = call.cpu - was;
    if (tell_calls && call.cpu - was > LONG_NS)
        tell(what, call.cpu - was);
}

/* A call on the stack, timed. */
#define TIMED(result, expression) (begins(), (result) = (expression), ends(#expression))

/* ---- time passes ------------------------------------------------------------------------------- */

static bool pass(struct side *from, struct side *to)
{
    bool moved;

    if (weir_deadline(from->stack) <= now) {
        begins();
        weir_advance(from->stack, now);
        ends(from == &client ? "client's weir_advance" : "server's weir_advance");
    }
    TIMED(moved, carry(from, to, now));
    return moved;
}

static void note_peaks(void)
{
    for (unsigned i = 0; i < 2; i++) {
        size_t held = weir_mem_bytes(i == 0 ? client.stack : server.stack);
        if (held > peak[i])
            peak[i] = held;
    }
}

static bool is_due(void)
{
    return weir_deadline(client.stack) <= now || weir_deadline(server.stack) <= now;
}

/* Everything that can happen now happens. */
static void settle(void)
{
    struct weir_event event;
    bool moved;

    do {
        moved = pass(&client, &server);
        moved = pass(&server, &client) || moved;
    } while (moved || is_due());
    while (weir_next_event(client.stack, &event) || weir_next_event(server.stack, &event))
        continue;
    note_peaks();
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

/* ---- one connection's life --------------------------------------------------------------------- */

static void exchange(struct side *from, weir_sock near, struct side *to, weir_sock far)
{
    char bytes[REQUEST] = "";
    ptrdiff_t n;

    TIMED(n, weir_sock_send(from->stack, near, bytes, sizeof bytes, 0, NULL, now));
    check(n, "send");
    settle();
    TIMED(n, weir_sock_recv(to->stack, far, bytes, sizeof bytes, 0, NULL, now));
    if (n != sizeof bytes)
        die("not all arrived");
}

static weir_sock new_client(void)
{
    int on = 1, idle = KEEPIDLE_S, result;
    weir_sock sock;

    TIMED(result, weir_sock_open(client.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &sock));
    check(result, "open");
    check(weir_sock_setsockopt(client.stack, sock, WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, &on,
                               sizeof on, now),
          "SO_KEEPALIVE");
    check(weir_sock_setsockopt(client.stack, sock, WEIR_SOL_TCP, WEIR_TCP_KEEPIDLE, &idle,
                               sizeof idle, now),
          "TCP_KEEPIDLE");
    check(weir_sock_setsockopt(client.stack, sock, WEIR_SOL_TCP, WEIR_TCP_KEEPINTVL, &idle,
                               sizeof idle, now),
          "TCP_KEEPINTVL");
    return sock;
}

static void open_one(unsigned n, weir_sock *near, weir_sock *far)
{
    struct weir_endpoint remote = {.addr = server.addr,
                                   .port = (uint16_t)(PORT_SINK + n % N_LISTENERS)};
    int result;

    *near = new_client();
    TIMED(result, weir_sock_connect(client.stack, *near, &remote, now));
    if (result != WEIR_EINPROGRESS)
        check(result, "connect");
    settle();
    TIMED(result, weir_sock_accept(server.stack, listeners[n % N_LISTENERS], far, NULL, now));
    check(result, "accept");
    exchange(&client, *near, &server, *far);
    exchange(&server, *far, &client, *near);
}

static void close_one(weir_sock near, weir_sock far)
{
    ptrdiff_t result;
    char byte;

    TIMED(result, weir_sock_close(client.stack, near, now));
    check(result, "close");
    settle();
    TIMED(result, weir_sock_recv(server.stack, far, &byte, 1, 0, NULL, now));
    if (result != 0)
        die("no end of stream");
    TIMED(result, weir_sock_close(server.stack, far, now));
    check(result, "close");
    settle();
}

/* ---- all of them ------------------------------------------------------------------------------- */

static void begin_part(enum part next)
{
    static double began;
    double at = cpu_seconds();

    if (began > 0)
        cpu[part] += at - began;
    began = at;
    part = next;
}

static double resident_peak_mb(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024 / 1e6;
}

static void print(unsigned count, const size_t quiet[2], double resident)
{
    printf("{\"work\": %u, \"client_bytes\": %.1f, \"server_bytes\": %.1f, "
           "\"client_peak_mb\": %.1f, \"server_peak_mb\": %.1f, \"resident_peak_mb\": %.1f",
           count, (double)quiet[0] / count, (double)quiet[1] / count, (double)peak[0] / 1e6,
           (double)peak[1] / 1e6, resident);
    for (int i = 0; i < N_PARTS; i++) {
        printf(", \"%s_cpu_s\": %.3f, \"%s_longest_ms\": %.3f", part_names[i], cpu[i],
               part_names[i], (double)longest[i] / 1e6);
        if (longest[i] > longest[0])
            longest[0] = longest[i];
    }
    printf(", \"longest_ms\": %.3f}\n", (double)longest[0] / 1e6);
}

static void run(unsigned count, weir_sock *near, weir_sock *far)
{
    size_t quiet[2] = {weir_mem_bytes(client.stack), weir_mem_bytes(server.stack)};

    begin_part(OPEN);
    for (unsigned i = 0; i < count; i++) {
        open_one(i, &near[i], &far[i]);
        idle_until(now + step);
    }
    begin_part(KEEP);
    idle_until(now + QUIET_S * WEIR_SEC);
    quiet[0] = weir_mem_bytes(client.stack) - quiet[0];
    quiet[1] = weir_mem_bytes(server.stack) - quiet[1];
    begin_part(CLOSE);
    for (unsigned i = 0; i < count; i++) {
        close_one(near[i], far[i]);
        idle_until(now + step);
    }
    begin_part(EXPIRE);
    idle_until(now + 61 * WEIR_SEC);
    begin_part(EXPIRE);
    print(count, quiet, resident_peak_mb());
}

int main(int argc, char **argv)
{
    unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    weir_sock *near = calloc(count, sizeof *near), *far = calloc(count, sizeof *far);

    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--at-once") == 0)
            step = 0;
        else if (strcmp(argv[i], "--calls") == 0)
            tell_calls = true;
        else
            count = 0;
    }
    if (count == 0 || near == NULL || far == NULL)
        die("usage: bench_idle COUNT [--at-once] [--calls]");
    pair_open(true, now);
    check(weir_sysctl_set(client.stack, "net.ipv4.tcp_max_tw_buckets", 1 << 24), "tw_buckets");
    pair_listen(listeners, N_LISTENERS, 4096, now);
    run(count, near, far);
    pair_close();
    free(near);
    free(far);
    return 0;
}
