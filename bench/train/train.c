/* SPDX-License-Identifier: MIT */
/*
 * What a trained build learns from (WEIR_TRAINED, cmake/WeirTrained.cmake): two stacks in one thread, in virtual time and
 * with fixed seeds, so that each run counts the same and the same sources become the same code.
 *
 * The compiler takes from it which way a branch goes, what is worth a copy of its own, and which code is met at all: that
 * is laid side by side, the rest apart. So what counts is the mixture: all that a host does often should be here, none of
 * it so much that beside it the rest looks rare (GCC calls hot what runs at least a ten-thousandth of what runs most).
 * What is not here is compiled as without a profile (-fprofile-partial-training).
 */
#include "bench/pair.h"

enum { N_LISTENERS = 8, MESSAGE = 64 * 1024, AT_ONCE = 16, REST_S = 15 };

/* One network, and what goes over it. */
struct load {
    const char *name;
    enum weir_netif_kind kind;
    bool offload;        /* super-segments and no checksums, else one segment a frame */
    bool six;            /* IPv6 */
    const char *impair;  /* of the client's link, as weir_impair_parse() has it; NULL: none */
    const char *cc;      /* congestion control of both ends; NULL: the default */
    unsigned short_ones; /* connections with a byte there and back */
    unsigned trips;      /* of a byte, over AT_ONCE connections in turn */
    uint64_t bytes;      /* each way over one connection */
};

#define FAR_AWAY "delay=10ms rate=200mbit queue=200 seed=1"

static const struct load loads[] = {
    {"TUN, super-segments", WEIR_NETIF_IP, true, false, NULL, NULL, 4000, 10000, 32 << 20},
    {"TUN, segments", WEIR_NETIF_IP, false, false, NULL, NULL, 4000, 10000, 16 << 20},
    {"TUN, IPv6", WEIR_NETIF_IP, true, true, NULL, NULL, 2000, 5000, 16 << 20},
    {"Ethernet", WEIR_NETIF_ETHERNET, true, false, NULL, NULL, 2000, 5000, 16 << 20},
    {"Ethernet, IPv6, segments", WEIR_NETIF_ETHERNET, false, true, NULL, NULL, 2000, 5000, 8 << 20},
    {"far away", WEIR_NETIF_IP, true, false, FAR_AWAY, NULL, 500, 1000, 8 << 20},
    {"loss", WEIR_NETIF_IP, true, false, FAR_AWAY " loss=1%", NULL, 500, 1000, 8 << 20},
    {"loss, segments", WEIR_NETIF_IP, false, false, FAR_AWAY " loss=1%", "reno", 500, 1000,
     4 << 20},
    {"reordering", WEIR_NETIF_IP, true, false, FAR_AWAY " reorder=2% dup=0.1%", NULL, 200, 500,
     4 << 20},
    {"BBR", WEIR_NETIF_IP, true, false, FAR_AWAY " loss=0.2%", "bbr", 200, 500, 8 << 20},
};

static const struct load *load;
static weir_sock listeners[N_LISTENERS];
static struct weir_endpoint remote;
static weir_time now = WEIR_SEC;
static uint8_t message[MESSAGE];

/* ---- time ---------------------------------------------------------------------------------------- */

static void drop_events(struct side *side)
{
    struct weir_event event;

    while (weir_next_event(side->stack, &event))
        continue;
}

/* One way: the program of `to` then reacts before its stack has its say, as the loop of a host does it. */
static void pass(struct side *from, struct side *to)
{
    now += WEIR_US;
    pair_pass(from, to, now);
    drop_events(to);
}

static weir_time due(const struct side *side)
{
    return weir_time_min(weir_deadline(side->stack), side->link->ops->deadline(side->link));
}

/* Both ways; when nothing was to be done, at the time when something is, `until` at the latest. */
static void turn_until(weir_time until)
{
    weir_time next = weir_time_min(weir_time_min(due(&client), due(&server)), until);

    if (next == WEIR_TIME_NEVER)
        die("%s: nothing will ever happen again", load->name);
    if (next > now && !weir_has_work(client.stack, client.ifindex) &&
        !weir_has_work(server.stack, server.ifindex))
        now = next;
    pass(&client, &server);
    pass(&server, &client);
}

static void turn(void)
{
    turn_until(WEIR_TIME_NEVER);
}

static void pass_time(weir_time duration)
{
    weir_time until = now + duration;

    while (now < until)
        turn_until(until);
}

/* ---- connections ---------------------------------------------------------------------------------- */

static void set(struct side *side, weir_sock sock, int level, int option, const void *value,
                size_t len)
{
    check(weir_sock_setsockopt(side->stack, sock, level, option, value, len, now), "setsockopt");
}

static weir_sock new_socket(struct side *side)
{
    weir_sock sock;

    check(weir_sock_open(side->stack, load->six ? WEIR_AF_INET6 : WEIR_AF_INET, WEIR_SOCK_STREAM, 0,
                         &sock),
          "open");
    set(side, sock, WEIR_SOL_TCP, WEIR_TCP_NODELAY, &(int){1}, sizeof(int));
    if (load->cc)
        set(side, sock, WEIR_SOL_TCP, WEIR_TCP_CONGESTION, load->cc, strlen(load->cc));
    return sock;
}

static weir_sock start_connect(unsigned n)
{
    weir_sock near = new_socket(&client);
    int result;

    remote.port = (uint16_t)(PORT_SINK + n % N_LISTENERS);
    result = weir_sock_connect(client.stack, near, &remote, now);
    if (result != WEIR_EINPROGRESS)
        check(result, "connect");
    while ((weir_sock_ready(client.stack, near) & WEIR_POLLOUT) == 0)
        turn();
    return near;
}

static weir_sock accept_from(unsigned n)
{
    weir_sock far;
    int result;

    while ((result = weir_sock_accept(server.stack, listeners[n % N_LISTENERS], &far, NULL, now)) ==
           WEIR_EAGAIN)
        turn();
    check(result, "accept");
    return far;
}

static void trip(struct side *from, weir_sock near, struct side *to, weir_sock far)
{
    uint8_t byte = 1;
    ptrdiff_t n;

    check(weir_sock_send(from->stack, near, &byte, 1, 0, NULL, now), "send");
    pass(from, to);
    while ((n = weir_sock_recv(to->stack, far, &byte, 1, 0, NULL, now)) == WEIR_EAGAIN)
        turn();
    if (n != 1)
        die("%s: a byte was lost", load->name);
}

/* Until it has been told of the other end's FIN. */
static void read_end(struct side *side, weir_sock sock)
{
    uint8_t byte;
    ptrdiff_t n;

    while ((n = weir_sock_recv(side->stack, sock, &byte, 1, 0, NULL, now)) == WEIR_EAGAIN)
        turn();
    check(n, "end of stream");
}

static void close_first(struct side *first, weir_sock near, struct side *second, weir_sock far)
{
    check(weir_sock_close(first->stack, near, now), "close");
    pass(first, second);
    read_end(second, far);
    check(weir_sock_close(second->stack, far, now), "close");
    pass(second, first);
}

static void reset(weir_sock near, weir_sock far)
{
    check(weir_sock_abort(client.stack, near, now), "abort");
    check(weir_sock_close(client.stack, near, now), "close");
    pass(&client, &server);
    check(weir_sock_close(server.stack, far, now), "close");
}

/* ---- loads ---------------------------------------------------------------------------------------- */

/* One in eight is closed by the server first, one in 64 is reset. */
static void short_connections(void)
{
    for (unsigned i = 0; i < load->short_ones; i++) {
        weir_sock near = start_connect(i), far;

        check(weir_sock_send(client.stack, near, message, 1, 0, NULL, now), "send");
        pass(&client, &server);
        far = accept_from(i);
        while (weir_sock_recv(server.stack, far, message, sizeof message, 0, NULL, now) ==
               WEIR_EAGAIN)
            turn();
        trip(&server, far, &client, near);
        if (i % 64 == 63)
            reset(near, far);
        else if (i % 8 == 7)
            close_first(&server, far, &client, near);
        else
            close_first(&client, near, &server, far);
    }
}

/* They rest between two goes: the first trip of each after that wakes them. */
static void round_trips(void)
{
    weir_sock near[AT_ONCE], far[AT_ONCE];

    for (unsigned i = 0; i < AT_ONCE; i++) {
        near[i] = start_connect(i);
        far[i] = accept_from(i);
    }
    for (unsigned i = 0; i < load->trips; i++) {
        if (i == load->trips / 2)
            pass_time(REST_S * WEIR_SEC);
        trip(&client, near[i % AT_ONCE], &server, far[i % AT_ONCE]);
        trip(&server, far[i % AT_ONCE], &client, near[i % AT_ONCE]);
    }
    for (unsigned i = 0; i < AT_ONCE; i++)
        close_first(&client, near[i], &server, far[i]);
}

/* What there is is read in place, or copied out. */
static uint64_t drain(struct side *side, weir_sock sock, bool in_place)
{
    struct weir_span span[2];
    uint64_t bytes = 0;
    ptrdiff_t n;

    do {
        n = in_place ? weir_sock_peek(side->stack, sock, span, now)
                     : weir_sock_recv(side->stack, sock, message, sizeof message, 0, NULL, now);
        if (n > 0 && in_place)
            check(weir_sock_consume(side->stack, sock, (size_t)n, now), "consume");
        bytes += n > 0 ? (uint64_t)n : 0;
    } while (n > 0);
    if (n != WEIR_EAGAIN)
        check(n, "recv");
    return bytes;
}

static uint64_t offer(struct side *side, weir_sock sock, bool in_place, uint64_t most)
{
    size_t len = most < MESSAGE ? (size_t)most : MESSAGE;
    struct weir_piece room[2];
    ptrdiff_t n;

    if (in_place) {
        n = weir_sock_reserve(side->stack, sock, room, len, now);
        if (n > 0)
            n = weir_sock_commit(side->stack, sock, (size_t)n, now);
    } else {
        n = weir_sock_send(side->stack, sock, message, len, 0, NULL, now);
    }
    if (n != WEIR_EAGAIN)
        check(n, "send");
    return n > 0 ? (uint64_t)n : 0;
}

/* Half of them are copied, half are written and read in place. */
static void stream(struct side *from, weir_sock near, struct side *to, weir_sock far)
{
    uint64_t sent = 0, got = 0;

    while (got < load->bytes) {
        bool in_place = got > load->bytes / 2;

        if (sent < load->bytes)
            sent += offer(from, near, in_place, load->bytes - sent);
        pass(from, to);
        got += drain(to, far, in_place);
        if (load->impair)
            turn();
        else
            pass(to, from);
    }
}

static void bulk(void)
{
    weir_sock near = start_connect(0), far = accept_from(0);

    stream(&client, near, &server, far);
    stream(&server, far, &client, near);
    close_first(&client, near, &server, far);
}

/* ---- a network ------------------------------------------------------------------------------------ */

static struct weir_link *impaired(struct weir_link *link)
{
    struct weir_impair_config config = {0};
    const char *bad;

    if (!load->impair)
        return link;
    check(weir_impair_parse(load->impair, &config, &bad), load->impair);
    check(weir_link_impair(link, &config, WEIR_IMPAIR_BOTH, &link), "weir_link_impair");
    return link;
}

static void add_six(struct side *side, const char *text)
{
    check(weir_addr_parse(text, &side->addr) ? 0 : WEIR_EINVAL, text);
    check(weir_addr_add(side->stack, side->ifindex, &side->addr, 64, now), "weir_addr_add");
}

static void open_network(void)
{
    struct weir_pipe_config config = {.kind = load->kind, .mtu = 1500, .queue_frames = 8192};
    struct weir_link *ends[2];

    config.gso_max_bytes = load->offload ? 65535 : 0;
    config.csum_offload = load->offload;
    config.lends = !load->impair;
    check(weir_link_pipe(&config, ends), "weir_link_pipe");
    ends[0] = impaired(ends[0]);
    for (int i = 0; i < 2; i++)
        check(weir_link_offload(ends[i], &ends[i]), "weir_link_offload");
    side_open(&client, &client_memory, ends[0], 1, 0x0a000001, now);
    side_open(&server, &server_memory, ends[1], 2, 0x0a000002, now);
    check(weir_sysctl_set(client.stack, "net.ipv4.tcp_tw_reuse", 1), "tcp_tw_reuse");
    if (load->six) {
        add_six(&client, "fd00::1");
        add_six(&server, "fd00::2");
        pass_time(5 * WEIR_SEC); /* until it is known that nobody else has them */
    }
    remote.addr = server.addr;
}

static void listen_at(int n)
{
    struct weir_endpoint local = {.addr = load->six ? weir_addr_any6() : weir_addr_any4(),
                                  .port = (uint16_t)(PORT_SINK + n)};

    listeners[n] = new_socket(&server);
    check(weir_sock_bind(server.stack, listeners[n], &local), "bind");
    check(weir_sock_listen(server.stack, listeners[n], 128, now), "listen");
}

int main(void)
{
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        load = &loads[i];
        open_network();
        for (int n = 0; n < N_LISTENERS; n++)
            listen_at(n);
        short_connections();
        round_trips();
        bulk();
        pair_close();
    }
    return 0;
}
