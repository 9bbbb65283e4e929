/* SPDX-License-Identifier: MIT */
/*
 * What the core costs when no system call is in the way: two stacks in one thread (pair.h).
 *
 * The programs of both sides react to what came in before their stack has its say, as the loop of a host does it
 * (in, events, out): so an answer carries the ACK, and a connection of `crr` has seven packets.
 *
 *     bench_pipe bulk|rr|crr SECONDS [mtu] [--count N] [--message BYTES] [--standing N]
 *                                    [--timewait N] [--busy N] [--burst N] [--repeat N] [--trace RECORDS]
 *
 *     mtu         no super-segments, checksums computed and verified
 *     --count     so many bytes, round trips or connections instead of SECONDS, in virtual time: the same
 *                 instructions in each run, to be counted (bench/guard). They are in the functions measured_*
 *     --message   bulk: bytes of one send
 *     --standing  so many more connections are open, and at rest
 *     --timewait  so many more are in TIME-WAIT
 *     --busy      rr: the trips go over so many connections in turn
 *     --burst     rr: so many of them, one behind the other, send before the other side has its turn, as many clients
 *                 of one server do
 *     --repeat    measures so many times, a line each
 *     --trace     both stacks' traces are on, with such rings, and all is read
 */
#include <errno.h>
#include <string.h>

#include "pair.h"

enum { N_LISTENERS = 64, REST_S = 15 };

static struct {
    double seconds;
    uint64_t count; /* 0: for `seconds` */
    size_t message;
    unsigned standing, timewait, busy, burst, repeat, trace;
    bool mtu;
} opt = {.message = CHUNK_BYTES, .busy = 1, .burst = 1, .repeat = 1};

static weir_sock listeners[N_LISTENERS];
static char buffer[CHUNK_BYTES];
static weir_time clock_ahead; /* of the real one; with --count all there is */
static weir_time turned_at;   /* by the clock: who drives stacks reads it once a turn */
static weir_time end;

static weir_time bench_now(void)
{
    return opt.count ? clock_ahead : weir_now() + clock_ahead;
}

/* Whether the measurement goes on after `done` bytes, trips or connections. */
static bool more(uint64_t done)
{
    return opt.count ? done < opt.count : turned_at < end;
}

static void read_trace(struct side *side, struct weir_trace_reader *reader)
{
    struct weir_trace record;

    while (weir_trace_read(side->stack, reader, &record))
        check(record.point < WEIR_TRACE_POINTS ? 0 : WEIR_EPROTO, "trace");
}

static weir_time tick(void)
{
    if (opt.count)
        clock_ahead += WEIR_US;
    return turned_at = bench_now();
}

static void read_traces(void)
{
    static struct weir_trace_reader readers[2];

    if (opt.trace > 0) {
        read_trace(&client, &readers[0]);
        read_trace(&server, &readers[1]);
    }
}

/* Both ways, before the program is asked. */
static void turn(void)
{
    pair_turn(tick());
    read_traces();
}

/* One way: the program of `to` reacts before `to` has its say, as the loop of a host does it. */
static void pass(struct side *from, struct side *to)
{
    pair_pass(from, to, tick());
    read_traces();
}

static void set_nodelay(struct side *side, weir_sock sock)
{
    int on = 1;

    check(weir_sock_setsockopt(side->stack, sock, WEIR_SOL_TCP, WEIR_TCP_NODELAY, &on, sizeof on,
                               turned_at),
          "TCP_NODELAY");
}

/* From the n-th listener: ports of TIME-WAIT are spread over many destinations. */
static weir_sock start_connect(unsigned n)
{
    struct weir_endpoint remote = {.addr = server.addr,
                                   .port = (uint16_t)(PORT_SINK + n % N_LISTENERS)};
    weir_sock near;
    int result;

    check(weir_sock_open(client.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &near), "open");
    set_nodelay(&client, near);
    result = weir_sock_connect(client.stack, near, &remote, turned_at);
    if (result != WEIR_EINPROGRESS)
        check(result, "connect");
    return near;
}

static weir_sock accept_from(unsigned n)
{
    weir_sock far;
    int result;

    while ((result = weir_sock_accept(server.stack, listeners[n % N_LISTENERS], &far, NULL,
                                      turned_at)) == WEIR_EAGAIN)
        turn();
    check(result, "accept");
    set_nodelay(&server, far);
    return far;
}

static void connect_pair(unsigned n, weir_sock *near, weir_sock *far)
{
    *near = start_connect(n);
    *far = accept_from(n);
}

static void close_pair(weir_sock near, weir_sock far)
{
    check(weir_sock_close(client.stack, near, turned_at), "close");
    pass(&client, &server);
    check(weir_sock_close(server.stack, far, turned_at), "close");
    pass(&server, &client);
}

/* Nobody waits for events here; they are taken so that the queue is what it is in a program. */
static void drop_events(struct side *side)
{
    struct weir_event event;

    while (weir_next_event(side->stack, &event))
        continue;
}

/* Lets a time pass in which only timers work. */
static void pass_time(weir_time duration)
{
    weir_time until = bench_now() + duration;

    for (weir_time now = bench_now(); now < until; now = bench_now()) {
        weir_time next = weir_time_min(weir_deadline(client.stack), weir_deadline(server.stack));

        next = weir_time_min(next, until);
        if (next > now)
            clock_ahead += next - now;
        turn();
    }
    drop_events(&client);
    drop_events(&server);
}

/* What else is there while it is measured. */
static void open_others(void)
{
    weir_sock near, far;

    for (unsigned i = 0; i < opt.standing; i++) {
        connect_pair(i, &near, &far);
        drop_events(&client);
        drop_events(&server);
    }
    if (opt.standing)
        pass_time(REST_S * WEIR_SEC);
    for (unsigned i = 0; i < opt.timewait; i++) {
        connect_pair(i, &near, &far);
        close_pair(near, far);
        drop_events(&client);
        drop_events(&server);
    }
}

static uint64_t segments_in(const struct weir_stack *stack)
{
    for (unsigned i = 0; i < weir_stat_kinds(); i++)
        if (strcmp(weir_stat_name(i), "TcpInSegs") == 0)
            return weir_stat_count(stack, i);
    die("no counter TcpInSegs");
}

/* ---- what is measured -------------------------------------------------------------------------- */

static __attribute__((noinline)) uint64_t measured_bulk(weir_sock near, weir_sock far)
{
    struct weir_span span[2];
    uint64_t bytes = 0;
    ptrdiff_t n;

    while (more(bytes)) {
        n = weir_sock_send(client.stack, near, buffer, opt.message, 0, NULL, turned_at);
        if (n != WEIR_EAGAIN)
            check(n, "send");
        pass(&client, &server);
        while ((n = weir_sock_peek(server.stack, far, span, turned_at)) > 0) { /* read in place */
            check(weir_sock_consume(server.stack, far, (size_t)n, turned_at), "consume");
            bytes += (uint64_t)n;
        }
        if (n != WEIR_EAGAIN)
            check(n, "recv");
        pass(&server, &client);
        drop_events(&client);
        drop_events(&server);
    }
    return bytes;
}

static void send_byte(struct side *from, weir_sock near, struct side *to)
{
    char byte = 1;

    check(weir_sock_send(from->stack, near, &byte, 1, 0, NULL, turned_at), "send");
    pass(from, to);
}

static void receive_byte(struct side *to, weir_sock far)
{
    char byte;
    ptrdiff_t n;

    while ((n = weir_sock_recv(to->stack, far, &byte, 1, 0, NULL, turned_at)) == WEIR_EAGAIN)
        turn();
    if (n != 1)
        die("a byte was lost: %s", n ? weir_error_text((int)n) : "end of stream");
    drop_events(to);
}

static __attribute__((noinline)) uint64_t measured_rr(const weir_sock *near, const weir_sock *far)
{
    uint64_t trips = 0;

    for (unsigned i = 0; more(trips); trips++) {
        send_byte(&client, near[i], &server);
        receive_byte(&server, far[i]);
        send_byte(&server, far[i], &client);
        receive_byte(&client, near[i]);
        if (++i == opt.busy)
            i = 0;
    }
    return trips;
}

/* n connections send a byte each, and it is carried over. */
static void send_bytes(struct side *from, const weir_sock *near, unsigned n, struct side *to)
{
    char byte = 1;

    for (unsigned i = 0; i < n; i++)
        check(weir_sock_send(from->stack, near[i], &byte, 1, 0, NULL, turned_at), "send");
    pass(from, to);
}

static void receive_bytes(struct side *to, const weir_sock *far, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        receive_byte(to, far[i]);
}

static __attribute__((noinline)) uint64_t measured_bursts(const weir_sock *near,
                                                          const weir_sock *far)
{
    uint64_t trips = 0;

    for (unsigned i = 0; more(trips); trips += opt.burst) {
        send_bytes(&client, near + i, opt.burst, &server);
        receive_bytes(&server, far + i, opt.burst);
        send_bytes(&server, far + i, opt.burst, &client);
        receive_bytes(&client, near + i, opt.burst);
        i += opt.burst;
        if (i + opt.burst > opt.busy)
            i = 0;
    }
    return trips;
}

static __attribute__((noinline)) uint64_t measured_crr(void)
{
    uint64_t connections = 0;

    for (; more(connections); connections++) {
        unsigned n = (unsigned)connections;
        weir_sock near = start_connect(n), far;

        pass(&client, &server);
        pass(&server, &client);
        send_byte(&client, near, &server); /* connected: the ACK of the SYN goes with the byte */
        far = accept_from(n);
        receive_byte(&server, far);
        send_byte(&server, far, &client);
        receive_byte(&client, near);
        close_pair(near, far);
    }
    return connections;
}

static void bench_once(const char *mode, const weir_sock *near, const weir_sock *far)
{
    uint64_t work, packets = segments_in(client.stack) + segments_in(server.stack);
    struct measure m;

    turned_at = bench_now();
    end = turned_at + (weir_time)(opt.seconds * (double)WEIR_SEC);
    m = measure_start();
    if (strcmp(mode, "bulk") == 0)
        work = measured_bulk(near[0], far[0]);
    else if (strcmp(mode, "rr") == 0)
        work = opt.burst > 1 ? measured_bursts(near, far) : measured_rr(near, far);
    else
        work = measured_crr();
    packets = segments_in(client.stack) + segments_in(server.stack) - packets;
    measure_stop_packets(&m, work, packets);
}

static void bench(const char *mode)
{
    weir_sock *near = calloc(opt.busy, sizeof *near), *far = calloc(opt.busy, sizeof *far);

    if (!near || !far)
        die("out of memory");
    open_others();
    for (unsigned i = 0; i < opt.busy && *mode != 'c'; i++)
        connect_pair(i, &near[i], &far[i]);
    for (unsigned i = 0; i < opt.repeat; i++)
        bench_once(mode, near, far);
    free(near);
    free(far);
}

static const char usage[] = "usage: bench_pipe bulk|rr|crr SECONDS [mtu] [--count N] "
                            "[--message BYTES] [--standing N] [--timewait N] [--busy N] "
                            "[--burst N] [--repeat N] [--trace RECORDS]";

static void read_option(const char *name, const char *value)
{
    uint64_t number = value ? strtoull(value, NULL, 10) : 0;

    if (strcmp(name, "--count") == 0)
        opt.count = number;
    else if (strcmp(name, "--message") == 0)
        opt.message = (size_t)number;
    else if (strcmp(name, "--standing") == 0)
        opt.standing = (unsigned)number;
    else if (strcmp(name, "--timewait") == 0)
        opt.timewait = (unsigned)number;
    else if (strcmp(name, "--busy") == 0)
        opt.busy = (unsigned)number;
    else if (strcmp(name, "--burst") == 0)
        opt.burst = (unsigned)number;
    else if (strcmp(name, "--repeat") == 0)
        opt.repeat = (unsigned)number;
    else if (strcmp(name, "--trace") == 0)
        opt.trace = (unsigned)number;
    else
        die("%s", usage);
    if (opt.message == 0 || opt.message > sizeof buffer || opt.busy == 0 || opt.burst == 0 ||
        opt.burst > PAIR_BURST)
        die("%s %s: out of range", name, value ? value : "");
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[1] : "";

    if (strcmp(mode, "bulk") != 0 && strcmp(mode, "rr") != 0 && strcmp(mode, "crr") != 0)
        die("%s", usage);
    opt.seconds = atof(argv[2]);
    for (int i = 3; i < argc; i++) {
        opt.mtu = opt.mtu || strcmp(argv[i], "mtu") == 0;
        if (strcmp(argv[i], "mtu") != 0) {
            read_option(argv[i], argv[i + 1]);
            i++;
        }
    }
    if (opt.burst > opt.busy)
        die("a burst is of no more connections than are busy: --busy");
    clock_ahead = opt.count ? WEIR_SEC : 0;
    pair_open(!opt.mtu, tick());
    /* As on the kernel's side: TIME-WAIT must not be what limits connections per second. */
    check(weir_sysctl_set(client.stack, "net.ipv4.tcp_tw_reuse", 1), "tcp_tw_reuse");
    check(weir_sysctl_set(server.stack, "net.ipv4.tcp_tw_reuse", 1), "tcp_tw_reuse");
    pair_listen(listeners, N_LISTENERS, 4096, turned_at);
    if (opt.trace > 0) {
        check(weir_trace_on(client.stack, opt.trace), "weir_trace_on");
        check(weir_trace_on(server.stack, opt.trace), "weir_trace_on");
    }
    bench(mode);
    pair_close();
    return 0;
}
