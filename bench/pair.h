/* SPDX-License-Identifier: MIT */
/* Two stacks in one thread, joined by the in-process pipe and driven by the four calls alone. */
#ifndef BENCH_PAIR_H
#define BENCH_PAIR_H

#include <stdbool.h>
#include <string.h>
#include <weir/host.h>
#include <weir/weir.h>

#include "bench.h"

enum { PAIR_BURST = 256 };

struct side {
    struct weir_stack *stack;
    struct weir_pages *pages; /* its memory, as of a host's; NULL: as the benchmark says */
    struct weir_link *link;
    int ifindex;
    bool large; /* the frame before was a super-segment: such are worth the room */
    struct weir_addr addr;
};

static struct side client, server;

/* Where each takes its memory from, if it is said before pair_open(). */
static struct weir_allocator client_memory, server_memory;

static inline void check(ptrdiff_t result, const char *what)
{
    if (result < 0)
        die("%s: %s", what, weir_error_text((int)result));
}

static inline void side_open(struct side *side, const struct weir_allocator *memory,
                             struct weir_link *link, uint8_t seed, uint32_t addr, weir_time now)
{
    struct weir_config config;

    weir_config_default(&config);
    config.max_sockets = 1u << 21;
    side->pages = memory->alloc ? NULL : weir_pages_new();
    if (side->pages)
        config.alloc = weir_pages_allocator(side->pages);
    else if (memory->alloc)
        config.alloc = *memory;
    memset(config.seed, seed, sizeof config.seed);
    side->stack = weir_stack_new(&config, now);
    if (!side->stack)
        die("out of memory");
    side->link = link;
    side->addr = weir_addr_v4(addr);
    side->ifindex = weir_netif_add(side->stack, &link->netif, now);
    check(side->ifindex, "weir_netif_add");
    check(weir_addr_add(side->stack, side->ifindex, &side->addr, 24, now), "weir_addr_add");
}

/* offload: super-segments, and no checksums. */
static inline void pair_open(bool offload, weir_time now)
{
    struct weir_pipe_config config = {.kind = WEIR_NETIF_IP, .mtu = 1500};
    struct weir_link *ends[2];

    config.gso_max_bytes = offload ? 65535 : 0;
    config.csum_offload = offload;
    config.queue_frames = 8192;
    config.lends = true;
    check(weir_link_pipe(&config, ends), "weir_link_pipe");
    for (int i = 0; i < 2; i++)
        check(weir_link_offload(ends[i], &ends[i]), "weir_link_offload");
    side_open(&client, &client_memory, ends[0], 1, 0x0a000001, now);
    side_open(&server, &server_memory, ends[1], 2, 0x0a000002, now);
}

static inline void pair_close(void)
{
    weir_stack_free(client.stack);
    weir_stack_free(server.stack);
    weir_pages_free(client.pages);
    weir_pages_free(server.pages);
    weir_link_free(client.link);
    weir_link_free(server.link);
}

/* The next frame, with its data where it will be read, if the link and the stack can. */
static inline bool take(struct side *side, struct weir_frame *frame, weir_time now)
{
    struct weir_link *link = side->link;
    struct weir_room room;

    if (!side->large || !weir_input_room(side->stack, side->ifindex, &room)) {
        if (link->ops->recv(link, frame, now) != 1)
            return false;
    } else if (link->ops->recv_room(link, &room, frame, now) != 1) {
        weir_input_room_unused(side->stack);
        return false;
    }
    side->large = frame->gso_size > 0;
    return true;
}

/* Carries what `from` has to say over to `to`, which takes its data from where it is lent; the pipe's queue holds more
 * than one burst. */
static inline bool carry(struct side *from, struct side *to, weir_time now)
{
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out;
    struct weir_frame frame;
    bool moved = false;

    out.head = head;
    for (int i = 0; i < PAIR_BURST && weir_output(from->stack, from->ifindex, &out, now) > 0; i++)
        check(from->link->ops->send(from->link, &out, now), "send");
    while (take(to, &frame, now)) {
        check(weir_input(to->stack, to->ifindex, &frame, now), "weir_input");
        moved = true;
    }
    if (from->link->ops->flush)
        from->link->ops->flush(from->link, now);
    return moved;
}

/* One way: timers of `from` that are due, and what it has to say, which then waits at `to` for the program. */
static inline void pair_pass(struct side *from, struct side *to, weir_time now)
{
    if (weir_deadline(from->stack) <= now)
        weir_advance(from->stack, now);
    (void)carry(from, to, now);
}

/* Both ways. */
static inline void pair_turn(weir_time now)
{
    pair_pass(&client, &server, now);
    pair_pass(&server, &client, now);
}

/* Listeners of the server at PORT_SINK and the ports behind it. */
static inline void pair_listen(weir_sock *listeners, int n, int backlog, weir_time now)
{
    for (int i = 0; i < n; i++) {
        struct weir_endpoint local = {.addr = weir_addr_any4(), .port = (uint16_t)(PORT_SINK + i)};

        check(weir_sock_open(server.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &listeners[i]),
              "open");
        check(weir_sock_bind(server.stack, listeners[i], &local), "bind");
        check(weir_sock_listen(server.stack, listeners[i], backlog, now), "listen");
    }
}

#endif
