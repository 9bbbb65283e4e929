/* SPDX-License-Identifier: MIT */
/*
 * A pipe that lends (weir_pipe_config.lends) is one copy less and nothing else. The same two hosts do the same at random
 * on one that lends and on one that does not: bytes of any size both ways, read late or never, closed, shut, aborted with
 * frames on their way, taken before flush or after it, all or some. Each frame is the same, and what programs see.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/host.h>
#include <weir/weir.h>

#include "base/rng.h"

enum { CONNS = 3, MOST = 200000, STEPS = 400, SEEDS = 16, PORT = 80 };

enum wire { SUPER, CUT, PLAIN, ETHERNET, WIRES };

struct side {
    struct weir_stack *stack;
    struct weir_link *link;
    int ifindex;
    weir_sock sock[CONNS];
    bool open[CONNS];
    uint64_t written[CONNS];
};

struct world {
    struct side side[2];
    weir_sock listener;
    struct wr_rng rng;
    weir_time now;
    uint64_t seen; /* a hash of all that arrived and was read */
    uint64_t bytes;
    unsigned in_room;
};

static uint8_t data[MOST];

static uint32_t below(struct world *w, uint32_t n)
{
    return (uint32_t)(wr_rng_u64(&w->rng) % n);
}

static void note(struct world *w, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++)
        w->seen = (w->seen ^ p[i]) * UINT64_C(0x100000001b3);
}

static void note_number(struct world *w, int64_t number)
{
    note(w, &number, sizeof number);
}

/* Memory that is given back is not what it was. */
static void *take_memory(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void spoil_and_free(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    memset(ptr, 0xdd, size);
    free(ptr);
}

/* ---- two hosts --------------------------------------------------------------------------------- */

static void open_side(struct world *w, unsigned i, struct weir_link *link)
{
    struct side *side = &w->side[i];
    struct weir_addr addr = weir_addr_v4(0x0a000001u + i);
    struct weir_config config;

    weir_config_default(&config);
    config.alloc = (struct weir_allocator){.alloc = take_memory, .free = spoil_and_free};
    memset(config.seed, (int)i + 1, sizeof config.seed);
    side->stack = weir_stack_new(&config, w->now);
    assert_non_null(side->stack);
    side->link = link;
    side->ifindex = weir_netif_add(side->stack, &link->netif, w->now);
    assert_true(side->ifindex > 0);
    assert_int_equal(weir_addr_add(side->stack, side->ifindex, &addr, 24, w->now), 0);
}

static void open_world(struct world *w, uint64_t seed, enum wire wire, bool lends)
{
    struct weir_endpoint local = {.addr = weir_addr_any4(), .port = PORT};
    struct weir_pipe_config config = {
        .kind = wire == ETHERNET ? WEIR_NETIF_ETHERNET : WEIR_NETIF_IP, .lends = lends};
    struct weir_link *ends[2];

    memset(w, 0, sizeof *w);
    wr_rng_init_u64(&w->rng, seed);
    w->now = WEIR_SEC;
    config.queue_frames = 1 + below(w, 200);
    if (wire == SUPER || wire == ETHERNET) {
        config.gso_max_bytes = 65535;
        config.csum_offload = true;
    }
    assert_int_equal(weir_link_pipe(&config, ends), 0);
    for (unsigned i = 0; i < 2; i++) {
        if (wire == CUT)
            assert_int_equal(weir_link_offload(ends[i], &ends[i]), 0);
        open_side(w, i, ends[i]);
    }
    assert_int_equal(
        weir_sock_open(w->side[1].stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &w->listener), 0);
    assert_int_equal(weir_sock_bind(w->side[1].stack, w->listener, &local), 0);
    assert_int_equal(weir_sock_listen(w->side[1].stack, w->listener, CONNS, w->now), 0);
}

/* The sender's memory is gone, and then the receiver takes what is still on its way. */
static void close_world(struct world *w)
{
    struct weir_link *link = w->side[1].link;
    struct weir_frame frame;

    weir_stack_free(w->side[0].stack);
    while (link->ops->recv(link, &frame, w->now) == 1)
        note(w, frame.data, frame.len);
    weir_stack_free(w->side[1].stack);
    weir_link_free(w->side[0].link);
    weir_link_free(link);
}

/* ---- frames ------------------------------------------------------------------------------------ */

static bool take(struct world *w, struct side *side, struct weir_frame *frame)
{
    struct weir_link *link = side->link;
    struct weir_room room;

    if (link->ops->recv_room == NULL || !weir_input_room(side->stack, side->ifindex, &room))
        return link->ops->recv(link, frame, w->now) == 1;
    if (link->ops->recv_room(link, &room, frame, w->now) == 1)
        return true;
    weir_input_room_unused(side->stack);
    return false;
}

static void take_some(struct world *w, struct side *side, unsigned most)
{
    struct weir_frame frame;

    for (unsigned i = 0; i < most && take(w, side, &frame); i++) {
        size_t near = frame.body != NULL ? frame.body_at : frame.len;
        note(w, frame.data, near);
        if (frame.body != NULL) {
            note(w, frame.body, frame.len - near);
            w->in_room++;
        }
        assert_int_equal(weir_input(side->stack, side->ifindex, &frame, w->now), 0);
    }
}

static void flush(struct world *w, struct side *side)
{
    if (side->link->ops->flush)
        assert_int_equal(side->link->ops->flush(side->link, w->now), 0);
}

/* A frame that the pipe refuses is lost here, so that streams have holes, too. */
static void carry(struct world *w, unsigned from)
{
    struct side *near = &w->side[from], *far = &w->side[1 - from];
    unsigned frames = below(w, 100), before = below(w, 20), after = below(w, 3) ? 0 : 1000;
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};

    for (unsigned i = 0; i < frames; i++) {
        if (weir_output(near->stack, near->ifindex, &out, w->now) == 0)
            break;
        note_number(w, near->link->ops->send(near->link, &out, w->now));
        memset(head, 0xee, sizeof head); /* headers are borrowed for the call alone */
    }
    take_some(w, far, before);
    flush(w, near);
    take_some(w, far, after);
    flush(w, far); /* joining may ask more of the link */
}

/* ---- what programs do -------------------------------------------------------------------------- */

/* Large arrays are kept for the next who asks; small ones go back, and are spoiled. */
static void limit_buffer(struct world *w, struct side *side, weir_sock sock)
{
    int bytes = 5000 + (int)below(w, 30000);

    if (below(w, 3) > 0)
        assert_int_equal(weir_sock_setsockopt(side->stack, sock, WEIR_SOL_SOCKET, WEIR_SO_SNDBUF,
                                              &bytes, sizeof bytes, w->now),
                         0);
}

static void open_conn(struct world *w, unsigned c)
{
    struct side *client = &w->side[0], *server = &w->side[1];
    struct weir_endpoint remote = {.addr = weir_addr_v4(0x0a000002u), .port = PORT};

    if (!client->open[c]) {
        assert_int_equal(
            weir_sock_open(client->stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &client->sock[c]), 0);
        limit_buffer(w, client, client->sock[c]);
        note_number(w, weir_sock_connect(client->stack, client->sock[c], &remote, w->now));
        client->open[c] = true;
    }
    if (!server->open[c])
        server->open[c] =
            weir_sock_accept(server->stack, w->listener, &server->sock[c], NULL, w->now) == 0;
}

static void write_some(struct world *w, struct side *side, unsigned c)
{
    size_t len = 1 + below(w, below(w, 3) ? MOST / 2 : 2000);
    ptrdiff_t n = weir_sock_send(side->stack, side->sock[c], data + side->written[c] % (MOST / 2),
                                 len, 0, NULL, w->now);

    note_number(w, n);
    if (n > 0)
        side->written[c] += (uint64_t)n;
}

static void read_some(struct world *w, struct side *side, unsigned c)
{
    static uint8_t buf[MOST];
    ptrdiff_t n =
        weir_sock_recv(side->stack, side->sock[c], buf, 1 + below(w, MOST), 0, NULL, w->now);

    note_number(w, n);
    if (n > 0) {
        note(w, buf, (size_t)n);
        w->bytes += (uint64_t)n;
    }
}

static void end_conn(struct world *w, struct side *side, unsigned c, unsigned how)
{
    if (how == 0) {
        note_number(w, weir_sock_shutdown(side->stack, side->sock[c], WEIR_SHUT_WR, w->now));
        return;
    }
    if (how == 1)
        note_number(w, weir_sock_abort(side->stack, side->sock[c], w->now));
    note_number(w, weir_sock_close(side->stack, side->sock[c], w->now));
    side->open[c] = false;
}

static void let_time_pass(struct world *w)
{
    w->now += (weir_time)below(w, 300) * (below(w, 8) ? WEIR_US : WEIR_MS);
    for (unsigned i = 0; i < 2; i++)
        weir_advance(w->side[i].stack, w->now);
}

static void step(struct world *w)
{
    unsigned what = below(w, 40), i = below(w, 4) == 0, c = below(w, CONNS);
    struct side *side = &w->side[i];

    let_time_pass(w);
    carry(w, 0);
    carry(w, 1);
    if (!side->open[c])
        open_conn(w, c);
    else if (what < 16)
        write_some(w, side, c);
    else if (what < 36)
        read_some(w, &w->side[1 - i], c);
    else
        end_conn(w, side, c, below(w, 4));
}

static void run(struct world *w, uint64_t seed, enum wire wire, bool lends)
{
    open_world(w, seed, wire, lends);
    for (unsigned i = 0; i < STEPS; i++)
        step(w);
    close_world(w);
}

static void lending_is_one_copy_less_and_nothing_else(void **state)
{
    static struct world with, without;
    uint64_t bytes[WIRES] = {0}, in_room[WIRES] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 167 >> 3 ^ i >> 11);
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (unsigned wire = 0; wire < WIRES; wire++) {
            run(&with, seed, (enum wire)wire, true);
            run(&without, seed, (enum wire)wire, false);
            assert_true(with.seen == without.seen);
            assert_true(with.now == without.now);
            bytes[wire] += with.bytes;
            in_room[wire] += with.in_room;
        }
#ifndef WEIR_HARD /* there rings have few bytes */
    for (unsigned wire = 0; wire < WIRES; wire++)
        assert_true(bytes[wire] > 3000000);
    assert_true(in_room[SUPER] > 200 && in_room[CUT] > 200);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lending_is_one_copy_less_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
