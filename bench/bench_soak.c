/* SPDX-License-Identifier: MIT */
/*
 * Memory stays flat: very many short connections and very many bytes between two stacks in one thread (pair.h), in
 * virtual time, in blocks that are all alike.
 *
 *     bench_soak [--connections N] [--bytes N] [--block N] [--state FILE] [--leak stack|socket|heap]
 *
 *     --connections  in all: 10 million if nothing is said
 *     --bytes        in all: 10^12
 *     --block        connections of a block; bytes are shared out likewise
 *     --state        what was done is kept there, and a later run goes on from it
 *     --leak         one byte that a stack asked for, or of the process's heap, is lost with each connection; or one
 *                    socket with each thousand: to see that it is seen
 *
 * A short connection carries 1 to 3,000 bytes there and back. Three of four are closed by one end after the other, by
 * either one first, and every fourth is reset. The bytes go one way over a connection of a block, and what arrives
 * is looked at. After each block as much time passes as TIME-WAIT takes. Then, in every block but the first, exactly
 * what was held after the first must be held, by either stack as its allocator counts; and what the process has
 * taken from the heap and has resident may have moved by no more than HEAP_SLACK and RESIDENT_SLACK since the
 * second (the C library keeps some of what is freed for later).
 */
#include <malloc.h>
#include <string.h>
#include <unistd.h>

#include "pair.h"

enum { N_LISTENERS = 64, MOST_SENT = 3000, QUIET_S = 70 };
enum { HEAP_SLACK = 8192, RESIDENT_SLACK = 2 << 20 };

enum leak { NO_LEAK, LEAK_STACK, LEAK_SOCKET, LEAK_HEAP };

static struct {
    uint64_t connections, bytes, block;
    const char *state;
    enum leak leak;
} opt = {.connections = 10000000, .bytes = 1000000000000, .block = 100000};

/* What is held while nothing is open. */
struct held {
    size_t stack[2], heap, resident;
};

static weir_sock listeners[N_LISTENERS];
static weir_time now = WEIR_SEC;
static uint8_t
    data[CHUNK_BYTES + 256]; /* data[i] is i: each byte of a stream tells where it stands */
static uint8_t got[CHUNK_BYTES];

/* ---- memory -------------------------------------------------------------------------------------- */

static size_t held_by_client, held_by_server;

static void *counted_alloc(void *ctx, size_t size)
{
    void *block = malloc(size);

    if (!block)
        die("out of memory");
    *(size_t *)ctx += size;
    return block;
}

static void counted_free(void *ctx, void *block, size_t size)
{
    *(size_t *)ctx -= size;
    free(block);
}

static void count_memory(void)
{
    client_memory = (struct weir_allocator){counted_alloc, counted_free, &held_by_client};
    server_memory = (struct weir_allocator){counted_alloc, counted_free, &held_by_server};
}

/* ---- time ---------------------------------------------------------------------------------------- */

static void turn(void)
{
    struct weir_event event;

    now += WEIR_US;
    pair_turn(now);
    while (weir_next_event(client.stack, &event) || weir_next_event(server.stack, &event))
        continue;
}

static void pass_time(weir_time duration)
{
    weir_time end = now + duration;

    while (now < end) {
        weir_time next = weir_time_min(weir_deadline(client.stack), weir_deadline(server.stack));

        next = weir_time_min(next, end);
        if (next > now)
            now = next;
        turn();
    }
}

/* ---- connections --------------------------------------------------------------------------------- */

static void connect_pair(uint64_t n, weir_sock *near, weir_sock *far)
{
    struct weir_endpoint remote = {.addr = server.addr,
                                   .port = (uint16_t)(PORT_SINK + n % N_LISTENERS)};
    int result;

    check(weir_sock_open(client.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, near), "open");
    result = weir_sock_connect(client.stack, *near, &remote, now);
    if (result != WEIR_EINPROGRESS)
        check(result, "connect");
    do {
        turn();
        result = weir_sock_accept(server.stack, listeners[n % N_LISTENERS], far, NULL, now);
    } while (result == WEIR_EAGAIN);
    check(result, "accept");
}

/* Moves a stream on; *sent and *taken are its places. */
static void move(struct side *from, weir_sock near, struct side *to, weir_sock far, uint64_t len,
                 uint64_t *sent, uint64_t *taken)
{
    uint64_t left = len - *sent;
    ptrdiff_t n = 0;

    if (left > 0)
        n = weir_sock_send(from->stack, near, data + *sent % 256,
                           left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES, 0, NULL, now);
    if (n != WEIR_EAGAIN)
        check(n, "send");
    *sent += n > 0 ? (uint64_t)n : 0;
    turn();
    while ((n = weir_sock_recv(to->stack, far, got, sizeof got, 0, NULL, now)) > 0) {
        if (got[0] != (uint8_t)*taken || got[n - 1] != (uint8_t)(*taken + (uint64_t)n - 1))
            die("other bytes arrived than were sent");
        *taken += (uint64_t)n;
    }
    if (n != WEIR_EAGAIN)
        die("the stream ended at %llu of %llu bytes: %s", (unsigned long long)*taken,
            (unsigned long long)len, weir_error_text((int)n));
}

static void stream(struct side *from, weir_sock near, struct side *to, weir_sock far, uint64_t len)
{
    uint64_t sent = 0, taken = 0;

    while (taken < len)
        move(from, near, to, far, len, &sent, &taken);
}

static void close_both(struct side *first, weir_sock near, struct side *second, weir_sock far)
{
    check(weir_sock_close(first->stack, near, now), "close");
    turn();
    check(weir_sock_close(second->stack, far, now), "close");
    turn();
}

static void reset(weir_sock near, weir_sock far)
{
    struct weir_linger at_once = {.on = 1, .seconds = 0};

    check(weir_sock_setsockopt(client.stack, near, WEIR_SOL_SOCKET, WEIR_SO_LINGER, &at_once,
                               sizeof at_once, now),
          "SO_LINGER");
    close_both(&client, near, &server, far);
}

static void short_connection(uint64_t n)
{
    uint64_t len = 1 + n * 7919 % MOST_SENT;
    weir_sock near, far;

    connect_pair(n, &near, &far);
    stream(&client, near, &server, far, len);
    stream(&server, far, &client, near, MOST_SENT + 1 - len);
    if (n % 4 == 3)
        reset(near, far);
    else if (n % 2 == 0)
        close_both(&client, near, &server, far);
    else
        close_both(&server, far, &client, near);
}

static void spring_leak(uint64_t n)
{
    static void *volatile lost;
    weir_sock sock;

    if (opt.leak == LEAK_STACK)
        lost = counted_alloc(&held_by_server, 1);
    if (opt.leak == LEAK_HEAP)
        lost = malloc(1);
    (void)lost;
    if (opt.leak == LEAK_SOCKET && n % 1000 == 0)
        check(weir_sock_open(client.stack, WEIR_AF_INET, WEIR_SOCK_DGRAM, 0, &sock), "open");
}

/* ---- blocks -------------------------------------------------------------------------------------- */

static void block(uint64_t first, uint64_t count, uint64_t bytes)
{
    weir_sock near, far;

    for (uint64_t i = 0; i < count; i++) {
        short_connection(first + i);
        if (opt.leak != NO_LEAK)
            spring_leak(i);
    }
    connect_pair(first, &near, &far);
    stream(&client, near, &server, far, bytes);
    close_both(&client, near, &server, far);
    pass_time(QUIET_S * WEIR_SEC);
}

static size_t resident_bytes(void)
{
    unsigned long all, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (!file || fscanf(file, "%lu %lu", &all, &resident) != 2)
        die("/proc/self/statm cannot be read");
    (void)fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static struct held held_now(void)
{
    return (struct held){.stack = {held_by_client, held_by_server},
                         .heap = mallinfo2().uordblks,
                         .resident = resident_bytes()};
}

static bool moved(size_t was, size_t is, size_t slack)
{
    return is > was + slack || was > is + slack;
}

/* Ends the program if memory is not flat. */
static void compare(uint64_t n, const struct held *first, const struct held *second,
                    const struct held *is)
{
    for (int i = 0; i < 2; i++)
        if (n > 0 && is->stack[i] != first->stack[i])
            die("block %llu: the %s's stack held %zu bytes, and now %zu", (unsigned long long)n,
                i == 0 ? "client" : "server", first->stack[i], is->stack[i]);
    if (n > 1 && moved(second->heap, is->heap, HEAP_SLACK))
        die("block %llu: %zu bytes of the heap were taken, and now %zu", (unsigned long long)n,
            second->heap, is->heap);
    if (n > 1 && is->resident > second->resident + RESIDENT_SLACK)
        die("block %llu: %zu bytes were resident, and now %zu", (unsigned long long)n,
            second->resident, is->resident);
}

/* ---- what was done before -------------------------------------------------------------------------- */

static void read_state(uint64_t *connections, uint64_t *bytes)
{
    unsigned long long c = 0, b = 0;
    FILE *file = opt.state ? fopen(opt.state, "r") : NULL;

    if (file && fscanf(file, "%llu %llu", &c, &b) != 2)
        die("%s: not a state", opt.state);
    if (file)
        (void)fclose(file);
    *connections = c;
    *bytes = b;
}

static void write_state(uint64_t connections, uint64_t bytes)
{
    FILE *file = opt.state ? fopen(opt.state, "w") : NULL;

    if (!opt.state)
        return;
    if (!file ||
        fprintf(file, "%llu %llu\n", (unsigned long long)connections, (unsigned long long)bytes) <
            0 ||
        fclose(file) != 0)
        die("%s: cannot be written", opt.state);
}

static void soak(void)
{
    uint64_t connections, bytes, n = 0;
    struct held first = {0}, second = {0}, is = {0};

    read_state(&connections, &bytes);
    for (; connections < opt.connections; n++) {
        uint64_t rest = opt.connections - connections, count = rest < opt.block ? rest : opt.block;
        uint64_t share = (uint64_t)((double)(opt.bytes - bytes) * (double)count / (double)rest);

        block(connections, count, share);
        connections += count;
        bytes += share;
        is = held_now();
        if (n == 0)
            first = is;
        if (n <= 1)
            second = is;
        compare(n, &first, &second, &is);
        write_state(connections, bytes);
    }
    printf("{\"blocks\": %llu, \"connections\": %llu, \"bytes\": %llu, \"client_held\": %zu, "
           "\"server_held\": %zu, \"heap_first\": %zu, \"heap_last\": %zu, "
           "\"resident_first\": %zu, \"resident_last\": %zu, \"cpu_s\": %.1f}\n",
           (unsigned long long)n, (unsigned long long)connections, (unsigned long long)bytes,
           is.stack[0], is.stack[1], second.heap, is.heap, second.resident, is.resident,
           cpu_seconds());
}

static const char usage[] = "usage: bench_soak [--connections N] [--bytes N] [--block N] "
                            "[--state FILE] [--leak stack|socket|heap]";

static enum leak leak_named(const char *name)
{
    if (strcmp(name, "stack") == 0)
        return LEAK_STACK;
    if (strcmp(name, "socket") == 0)
        return LEAK_SOCKET;
    if (strcmp(name, "heap") == 0)
        return LEAK_HEAP;
    die("%s", usage);
}

static void read_option(const char *name, const char *value)
{
    if (!value)
        die("%s", usage);
    if (strcmp(name, "--connections") == 0)
        opt.connections = strtoull(value, NULL, 10);
    else if (strcmp(name, "--bytes") == 0)
        opt.bytes = strtoull(value, NULL, 10);
    else if (strcmp(name, "--block") == 0)
        opt.block = strtoull(value, NULL, 10);
    else if (strcmp(name, "--state") == 0)
        opt.state = value;
    else if (strcmp(name, "--leak") == 0)
        opt.leak = leak_named(value);
    else
        die("%s", usage);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2)
        read_option(argv[i], argv[i + 1]);
    if (opt.block == 0)
        die("%s", usage);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    count_memory();
    pair_open(true, now);
    pair_listen(listeners, N_LISTENERS, 128, now);
    soak();
    if (held_by_client != weir_mem_bytes(client.stack) ||
        held_by_server != weir_mem_bytes(server.stack))
        die("a stack does not know what it holds");
    pair_close();
    if (held_by_client + held_by_server > 0)
        die("the stacks left %zu bytes behind", held_by_client + held_by_server);
    return 0;
}
