/* SPDX-License-Identifier: MIT */
/*
 * Memory of what is less than a connection, as the allocator counts it, tables included: entries in SYN-RECEIVED
 * and records of TIME-WAIT, for each of COUNT, between two stacks (pair.h) in virtual time.
 *
 *     bench_records COUNT [6]     `6`: over IPv6
 *
 * Half-open: what the client says arrives and what the server answers does not. TIME-WAIT: the client closes
 * first, so the records are its own.
 */
#include <stdbool.h>
#include <string.h>

#include "pair.h"

static weir_time now = WEIR_SEC;
static struct weir_addr target;
static int family = WEIR_AF_INET;

static void set_both(const char *name, int64_t value)
{
    check(weir_sysctl_set(client.stack, name, value), name);
    check(weir_sysctl_set(server.stack, name, value), name);
}

static weir_sock listen_at(uint16_t port)
{
    struct weir_endpoint local = {.addr = target, .port = port};
    weir_sock sock;

    check(weir_sock_open(server.stack, family, WEIR_SOCK_STREAM, 0, &sock), "open");
    check(weir_sock_bind(server.stack, sock, &local), "bind");
    check(weir_sock_listen(server.stack, sock, 1 << 20, now), "listen");
    return sock;
}

static weir_sock connect_to(uint16_t port)
{
    struct weir_endpoint remote = {.addr = target, .port = port};
    weir_sock sock;
    int result;

    check(weir_sock_open(client.stack, family, WEIR_SOCK_STREAM, 0, &sock), "open");
    result = weir_sock_connect(client.stack, sock, &remote, now);
    if (result != WEIR_EINPROGRESS)
        check(result, "connect");
    return sock;
}

/* Takes what `from` says away without giving it to anybody. */
static void lose(struct side *from, struct side *to)
{
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    struct weir_frame frame;

    while (weir_output(from->stack, from->ifindex, &out, now) > 0)
        check(from->link->ops->send(from->link, &out, now), "send");
    while (to->link->ops->recv(to->link, &frame, now) == 1)
        continue;
}

static void settle(void)
{
    struct weir_event event;

    now += WEIR_US;
    for (bool moved = true; moved;) {
        weir_advance(client.stack, now);
        weir_advance(server.stack, now);
        moved = carry(&client, &server, now);
        moved = carry(&server, &client, now) || moved;
    }
    while (weir_next_event(client.stack, &event) || weir_next_event(server.stack, &event))
        continue;
}

static unsigned count_of(struct weir_stack *stack, int state)
{
    struct weir_sock_row row;
    uint64_t cursor = 0;
    unsigned n = 0;

    while (weir_sock_next_row(stack, &cursor, &row))
        n += (int)row.state == state;
    return n;
}

/* The client's sockets are closed again: what TIME-WAIT needs of ports and tables is then counted with it. */
static double half_open(unsigned count)
{
    weir_sock *socks = calloc(count, sizeof *socks);
    size_t before, after;

    if (socks == NULL)
        die("no memory");
    (void)listen_at(PORT_HOLD);
    before = weir_mem_bytes(server.stack);
    for (unsigned i = 0; i < count; i++) {
        socks[i] = connect_to(PORT_HOLD);
        (void)carry(&client, &server, now);
        lose(&server, &client);
    }
    if (count_of(server.stack, WEIR_TCP_SYN_RECV) != count)
        die("not all are half open: %u of %u", count_of(server.stack, WEIR_TCP_SYN_RECV), count);
    after = weir_mem_bytes(server.stack);
    for (unsigned i = 0; i < count; i++)
        check(weir_sock_close(client.stack, socks[i], now), "close");
    free(socks);
    return (double)(after - before) / count;
}

static double time_wait(unsigned count)
{
    weir_sock listener = listen_at(PORT_ECHO), near, far;
    size_t before;

    settle();
    before = weir_mem_bytes(client.stack);
    for (unsigned i = 0; i < count; i++) {
        near = connect_to(PORT_ECHO);
        settle();
        check(weir_sock_accept(server.stack, listener, &far, NULL, now), "accept");
        check(weir_sock_close(client.stack, near, now), "close");
        settle();
        check(weir_sock_close(server.stack, far, now), "close");
        settle();
    }
    if (count_of(client.stack, WEIR_TCP_TIME_WAIT) != count)
        die("not all are in TIME-WAIT: %u of %u", count_of(client.stack, WEIR_TCP_TIME_WAIT),
            count);
    return (double)(weir_mem_bytes(client.stack) - before) / count;
}

static void open_pair(bool six)
{
    pair_open(true, now);
    target = server.addr;
    if (!six)
        return;
    family = WEIR_AF_INET6;
    for (int i = 0; i < 2; i++) {
        struct side *side = i == 0 ? &client : &server;

        if (!weir_addr_parse(i == 0 ? "fd00::1" : "fd00::2", &target))
            die("no address");
        check(weir_addr_add(side->stack, side->ifindex, &target, 64, now), "weir_addr_add");
    }
    for (int i = 0; i < 4; i++) {
        now += WEIR_SEC; /* duplicate address detection */
        settle();
    }
}

int main(int argc, char **argv)
{
    unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    double syn, wait;

    if (count == 0)
        die("usage: bench_records COUNT [6]");
    open_pair(argc > 2);
    set_both("net.core.somaxconn", 1 << 20);
    set_both("net.ipv4.tcp_max_syn_backlog", 1 << 20);
    set_both("net.ipv4.tcp_syncookies", 0);
    syn = half_open(count);
    wait = time_wait(count);
    printf("{\"work\": %u, \"syn_received_bytes\": %.1f, \"time_wait_bytes\": %.1f}\n", count, syn,
           wait);
    pair_close();
    return 0;
}
