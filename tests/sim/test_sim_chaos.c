/* SPDX-License-Identifier: MIT */
/*
 * Programs that do anything at any time, a network that changes under them, frames that lie, memory
 * that fails. No stream is expected to arrive; what is expected is that no call crashes, breaks an
 * invariant or returns a number that is no error, that the stacks come to rest, and that they keep
 * nothing when all sockets are closed and the time has passed.
 *
 *     test_sim_chaos                as many seeds as fit a test run; WEIR_SIM_SEEDS=n changes that
 *     test_sim_chaos SEED [COUNT]   these seeds
 */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/info.h>

#include "base/bytes.h"
#include "sim/sim.h"
#include "sim/sim_seeds.h"
#include "wire/w_csum.h"

enum { HOSTS = 2, SOCKS = 12, STEPS = 1000, FRAME_MAX = 70000 };

struct slot {
    unsigned host;
    weir_sock sock; /* 0: free; may also be stale on purpose */
    int domain;
};

struct chaos {
    struct sim sim;
    struct slot slot[SOCKS];
    bool memory_fails, frames_lie, network_changes;
    uint32_t calm; /* the larger, the longer sockets live */
    uint64_t lies;
};

static uint32_t below(struct chaos *c, uint32_t bound)
{
    return wr_rng_below(&c->sim.rng, bound);
}

static bool one_in(struct chaos *c, uint32_t n)
{
    return below(c, n) == 0;
}

/* ---- frames that lie ------------------------------------------------------------------------- */

/* A link that now and then changes a field of a TCP header and makes the checksum right again: what
 * a broken or hostile peer sends. */
struct liar {
    struct weir_link link; /* first */
    struct weir_link *inner;
    struct chaos *chaos;
    uint8_t frame[FRAME_MAX];
};

/* Where the TCP header of a frame begins, 0 when it has none; its length with the data in *len, the
 * offset of the addresses and the length of each. */
static size_t find_tcp(const struct liar *liar, const uint8_t *frame, size_t frame_len, size_t *len,
                       size_t *addrs, size_t *addr_len)
{
    size_t link = liar->link.netif.kind == WEIR_NETIF_ETHERNET ? 14 : 0;
    const uint8_t *ip = frame + link;
    if (frame_len < link + 60)
        return 0;
    if (ip[0] == 0x45 && ip[9] == 6 && (get_be16(ip + 6) & 0x3fff) == 0) {
        *len = get_be16(ip + 2) - 20u;
        *addrs = link + 12;
        *addr_len = 4;
        return link + 20;
    }
    if (ip[0] >> 4 == 6 && ip[6] == 6) {
        *len = get_be16(ip + 4);
        *addrs = link + 8;
        *addr_len = 16;
        return link + 40;
    }
    return 0;
}

static struct weir_addr addr_at(const uint8_t *p, size_t len)
{
    return len == 4 ? weir_addr_from_v4_bytes(p) : weir_addr_from_v6_bytes(p);
}

static uint32_t near_value(struct chaos *c, uint32_t value)
{
    static const uint32_t steps[] = {1, 2, 100, 1000, 65536, 1u << 20, 1u << 30, 1u << 31};
    uint32_t step = steps[below(c, 8)];
    if (one_in(c, 4))
        step += below(c, step) + 1;
    return one_in(c, 2) ? value + step : value - step;
}

static void lie_about(struct chaos *c, uint8_t *tcp, size_t len)
{
    switch (below(c, 8)) {
    case 0:
        put_be32(tcp + 4, near_value(c, get_be32(tcp + 4)));
        break;
    case 1:
        put_be32(tcp + 8, near_value(c, get_be32(tcp + 8)));
        break;
    case 2:
        tcp[13] = (uint8_t)(tcp[13] ^ 1u << below(c, 8));
        break;
    case 3:
        tcp[13] = (uint8_t)below(c, 256);
        break;
    case 4:
        put_be16(tcp + 14, (uint16_t)(one_in(c, 2) ? 0 : below(c, 65536)));
        break;
    case 5:
        put_be16(tcp + 18, (uint16_t)below(c, 65536));
        break;
    case 6: /* an option */
        tcp[20 + below(c, 20) % (len > 20 ? len - 20 : 1)] = (uint8_t)below(c, 256);
        break;
    default:
        tcp[12] = (uint8_t)(below(c, 16) << 4 | (tcp[12] & 15));
    }
}

static int pass_on(void *arg, const uint8_t *frame, size_t frame_len)
{
    struct liar *liar = arg;
    struct chaos *c = liar->chaos;
    size_t len = 0, addrs = 0, addr_len = 0, times = 1;
    if (frame_len > sizeof liar->frame)
        return 0;
    memcpy(liar->frame, frame, frame_len);
    size_t at = find_tcp(liar, frame, frame_len, &len, &addrs, &addr_len);
    if (at != 0 && at + len <= frame_len && len > 20 && one_in(c, 10)) {
        uint8_t *tcp = liar->frame + at;
        lie_about(c, tcp, len);
        put_be16(tcp + 16, 0);
        struct weir_addr src = addr_at(liar->frame + addrs, addr_len);
        struct weir_addr dst = addr_at(liar->frame + addrs + addr_len, addr_len);
        uint64_t sum = wr_csum_pseudo(&src, &dst, 6, (uint32_t)len);
        put_be16(tcp + 16, wr_csum_finish(wr_csum_add(sum, tcp, len)));
        c->lies++;
        times = below(c, 3);
    }
    struct weir_out out = {.head = liar->frame, .head_len = frame_len};
    for (size_t i = 0; i < times; i++)
        liar->inner->ops->send(liar->inner, &out, c->sim.now);
    return 0;
}

static int liar_send(struct weir_link *link, const struct weir_out *frame, weir_time now)
{
    struct liar *liar = (struct liar *)link;
    if (!liar->chaos->frames_lie)
        return liar->inner->ops->send(liar->inner, frame, now);
    return weir_out_segment(frame, link->netif.kind, pass_on, liar);
}

static int liar_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    struct liar *liar = (struct liar *)link;
    return liar->inner->ops->recv(liar->inner, frame, now);
}

static weir_time liar_deadline(const struct weir_link *link)
{
    const struct liar *liar = (const struct liar *)link;
    return liar->inner->ops->deadline(liar->inner);
}

static int liar_fd(const struct weir_link *link)
{
    (void)link;
    return -1;
}

static void liar_free(struct weir_link *link)
{
    weir_link_free(((struct liar *)link)->inner);
    free(link);
}

static const struct weir_link_ops liar_ops = {
    .send = liar_send,
    .recv = liar_recv,
    .deadline = liar_deadline,
    .fd = liar_fd,
    .free = liar_free,
};

static void make_liar(struct chaos *c, unsigned host)
{
    struct liar *liar = calloc(1, sizeof *liar);
    assert_non_null(liar);
    liar->inner = c->sim.host[host].port[0].link;
    liar->link.ops = &liar_ops;
    liar->link.netif = liar->inner->netif;
    liar->chaos = c;
    c->sim.host[host].port[0].link = &liar->link;
}

/* ---- what programs do ------------------------------------------------------------------------ */

static struct weir_stack *stack_of(struct chaos *c, const struct slot *slot)
{
    return c->sim.host[slot->host].stack;
}

static void is_result(ptrdiff_t result)
{
    CHECK(result >= 0 || weir_error_name((int)result)[0] != '?', "result %td", result);
}

static struct weir_endpoint some_endpoint(struct chaos *c)
{
    struct weir_endpoint endpoint = {.port = (uint16_t)(one_in(c, 8) ? 7000 + below(c, 4) : 7000)};
    int family = !one_in(c, 3) ? WEIR_AF_INET : WEIR_AF_INET6;
    switch (below(c, 20)) {
    case 0:
        endpoint.addr = family == WEIR_AF_INET ? weir_addr_any4() : weir_addr_any6();
        break;
    case 1:
        endpoint.addr = weir_addr_v4(0x7f000001 + below(c, 2));
        break;
    case 2:
        endpoint.addr = weir_addr_v4(wr_rng_u32(&c->sim.rng));
        break;
    case 3:
        endpoint.port = 0;
        endpoint.addr = sim_addr(0, 1, family);
        break;
    default:
        endpoint.addr = sim_addr(0, 1 + below(c, 2), family);
    }
    return endpoint;
}

static void do_open(struct chaos *c, struct slot *slot)
{
    bool dead = slot->sock != 0 && weir_sock_ready(stack_of(c, slot), slot->sock) > 0 &&
                (weir_sock_ready(stack_of(c, slot), slot->sock) & WEIR_POLLHUP) != 0;
    if (slot->sock != 0 && !(dead && one_in(c, 3)) && !one_in(c, c->calm * 4))
        return;
    if (slot->sock != 0)
        is_result(weir_sock_close(stack_of(c, slot), slot->sock, c->sim.now));
    slot->host = below(c, HOSTS);
    slot->domain = one_in(c, 2) ? WEIR_AF_INET : WEIR_AF_INET6;
    int type = one_in(c, 5) ? WEIR_SOCK_DGRAM : WEIR_SOCK_STREAM;
    slot->sock = 0;
    is_result(weir_sock_open(stack_of(c, slot), slot->domain, type, 0, &slot->sock));
}

static void do_bind(struct chaos *c, struct slot *slot)
{
    if (!one_in(c, 3))
        return;
    struct weir_endpoint local = some_endpoint(c);
    is_result(weir_sock_bind(stack_of(c, slot), slot->sock, &local));
}

static void do_listen(struct chaos *c, struct slot *slot)
{
    if (!one_in(c, 3))
        return;
    is_result(weir_sock_listen(stack_of(c, slot), slot->sock, (int)below(c, 5), c->sim.now));
}

static void do_connect(struct chaos *c, struct slot *slot)
{
    struct weir_endpoint remote = some_endpoint(c);
    const struct weir_endpoint *to = one_in(c, c->calm * 4) ? NULL : &remote;
    is_result(weir_sock_connect(stack_of(c, slot), slot->sock, to, c->sim.now));
}

static void do_accept(struct chaos *c, struct slot *slot)
{
    weir_sock conn;
    int error = weir_sock_accept(stack_of(c, slot), slot->sock, &conn, NULL, c->sim.now);
    is_result(error);
    if (error != 0)
        return;
    for (unsigned i = 0; i < SOCKS; i++)
        if (c->slot[i].sock == 0) {
            c->slot[i] = (struct slot){slot->host, conn, slot->domain};
            return;
        }
    is_result(weir_sock_close(stack_of(c, slot), conn, c->sim.now));
}

static void do_send(struct chaos *c, struct slot *slot)
{
    static uint8_t data[100000];
    static const int flags[] = {0, 0, 0, WEIR_MSG_OOB, WEIR_MSG_MORE, WEIR_MSG_DONTWAIT};
    struct weir_endpoint to = some_endpoint(c);
    size_t len = below(c, 1u << below(c, 17));
    is_result(weir_sock_send(stack_of(c, slot), slot->sock, data, len, flags[below(c, 6)],
                             one_in(c, 3) ? &to : NULL, c->sim.now));
}

static void do_recv(struct chaos *c, struct slot *slot)
{
    static uint8_t data[100000];
    static const int flags[] = {0, 0, 0, WEIR_MSG_OOB, WEIR_MSG_PEEK, WEIR_MSG_TRUNC};
    struct weir_endpoint from;
    size_t len = below(c, 1u << below(c, 17));
    is_result(weir_sock_recv(stack_of(c, slot), slot->sock, data, len, flags[below(c, 6)], &from,
                             c->sim.now));
}

static void do_peek(struct chaos *c, struct slot *slot)
{
    struct weir_span span[2] = {{NULL, 0}, {NULL, 0}};
    volatile uint8_t sum = 0;
    ptrdiff_t n = weir_sock_peek(stack_of(c, slot), slot->sock, span, c->sim.now);
    is_result(n);
    for (int i = 0; n > 0 && i < 2; i++)
        for (size_t j = 0; j < span[i].len; j++)
            sum = (uint8_t)(sum + span[i].ptr[j]); /* all of it may be touched */
    if (n > 0)
        is_result(weir_sock_consume(stack_of(c, slot), slot->sock, below(c, (uint32_t)n + 1),
                                    c->sim.now));
}

static void do_shutdown(struct chaos *c, struct slot *slot)
{
    if (!one_in(c, c->calm))
        return;
    is_result(weir_sock_shutdown(stack_of(c, slot), slot->sock, (int)below(c, 4) - 1, c->sim.now));
}

static void do_close(struct chaos *c, struct slot *slot)
{
    if (!one_in(c, c->calm))
        return;
    is_result(weir_sock_close(stack_of(c, slot), slot->sock, c->sim.now));
    if (!one_in(c, 10)) /* else goes on with the stale handle */
        slot->sock = 0;
}

static void do_abort(struct chaos *c, struct slot *slot)
{
    if (one_in(c, c->calm * 4))
        is_result(weir_sock_abort(stack_of(c, slot), slot->sock, c->sim.now));
}

static void do_setsockopt(struct chaos *c, struct slot *slot)
{
    static const int levels[] = {WEIR_SOL_SOCKET, WEIR_SOL_TCP, WEIR_SOL_TCP, WEIR_SOL_IP,
                                 WEIR_SOL_IPV6};
    int value[2] = {(int)below(c, 1u << below(c, 20)), (int)below(c, 3)};
    if (one_in(c, 3))
        value[0] = (int)below(c, 2);
    is_result(weir_sock_setsockopt(stack_of(c, slot), slot->sock, levels[below(c, 5)],
                                   (int)below(c, 70), value, one_in(c, 5) ? 8 : 4, c->sim.now));
}

static void do_ask(struct chaos *c, struct slot *slot)
{
    struct weir_stack *stack = stack_of(c, slot);
    struct weir_tcp_info info;
    size_t len = sizeof info;
    struct weir_endpoint endpoint;
    is_result(weir_sock_ready(stack, slot->sock));
    is_result(weir_sock_getsockopt(stack, slot->sock, WEIR_SOL_TCP, WEIR_TCP_INFO, &info, &len,
                                   c->sim.now));
    len = 4;
    is_result(weir_sock_getsockopt(stack, slot->sock, WEIR_SOL_SOCKET, (int)below(c, 70), &info,
                                   &len, c->sim.now));
    is_result(weir_sock_getsockname(stack, slot->sock, &endpoint));
    is_result(weir_sock_getpeername(stack, slot->sock, &endpoint));
    is_result(weir_sock_inq(stack, slot->sock));
    is_result(weir_sock_outq(stack, slot->sock));
    is_result(weir_sock_atmark(stack, slot->sock));
}

/* ---- what happens to the network ------------------------------------------------------------- */

static void do_network(struct chaos *c, struct slot *slot)
{
    (void)slot;
    if (!c->network_changes)
        return;
    unsigned number = below(c, HOSTS);
    struct sim_host *host = &c->sim.host[number];
    int ifindex = host->port[0].ifindex;
    struct weir_addr addr = sim_addr(0, 1 + number, one_in(c, 2) ? WEIR_AF_INET : WEIR_AF_INET6);
    unsigned prefix_len = weir_addr_is_v4(&addr) ? 24 : 64;
    switch (below(c, 12)) {
    case 0:
        is_result(weir_netif_set_up(host->stack, ifindex, !one_in(c, 3), c->sim.now));
        break;
    case 1:
        is_result(weir_netif_set_mtu(host->stack, ifindex, 68 + below(c, 1433), c->sim.now));
        break;
    case 2:
        is_result(weir_addr_remove(host->stack, ifindex, &addr, c->sim.now));
        break;
    case 3:
    case 4:
        is_result(weir_addr_add(host->stack, ifindex, &addr, prefix_len, c->sim.now));
        break;
    case 5:
        is_result(weir_netif_set_up(host->stack, ifindex, true, c->sim.now));
        break;
    default:
        break;
    }
}

static void do_memory(struct chaos *c, struct slot *slot)
{
    (void)slot;
    struct sim_mem *mem = &c->sim.host[below(c, HOSTS)].mem;
    if (c->memory_fails)
        mem->fail_at = mem->calls + 1 + below(c, 20);
}

static void do_wait(struct chaos *c, struct slot *slot)
{
    (void)slot;
    static const weir_time spans[] = {0, WEIR_US, WEIR_MS, 40 * WEIR_MS, WEIR_SEC};
    sim_run(&c->sim, one_in(c, 40) ? 30 * WEIR_SEC : spans[below(c, 5)]);
    struct weir_event event;
    for (unsigned host = 0; host < HOSTS; host++)
        while (one_in(c, 2) && weir_next_event(c->sim.host[host].stack, &event))
            is_result((int)event.ready);
}

typedef void action(struct chaos *c, struct slot *slot);

static action *const actions[] = {
    do_open,     do_open,   do_bind,    do_listen,     do_connect, do_connect, do_accept,
    do_accept,   do_send,   do_send,    do_send,       do_recv,    do_recv,    do_peek,
    do_shutdown, do_close,  do_abort,   do_ask,        do_wait,    do_wait,    do_wait,
    do_wait,     do_memory, do_network, do_setsockopt,
};

enum { ACTIONS = sizeof actions / sizeof actions[0] };

/* ---- a run ----------------------------------------------------------------------------------- */

static void choose_wire(struct chaos *c, struct sim_wire *wire)
{
    memset(wire, 0, sizeof *wire);
    wire->kind = one_in(c, 3) ? WEIR_NETIF_ETHERNET : WEIR_NETIF_IP;
    wire->gso_max_bytes = one_in(c, 2) ? 65535 : 0;
    wire->csum_offload = wire->gso_max_bytes != 0;
    wire->impaired = one_in(c, 2);
    wire->impair.delay = (weir_time)below(c, 50) * WEIR_MS;
    wire->impair.loss = below(c, 100) / 1000.0;
    wire->impair.duplicate = below(c, 100) / 1000.0;
    wire->impair.reorder = below(c, 200) / 1000.0;
    wire->impair.corrupt = below(c, 50) / 1000.0;
    c->memory_fails = one_in(c, 3);
    c->frames_lie = one_in(c, 2);
    c->network_changes = one_in(c, 3);
    c->calm = 1u << below(c, 6);
}

static bool is_forgotten(struct sim *sim, void *arg)
{
    struct weir_sock_row row;
    (void)arg;
    for (unsigned host = 0; host < HOSTS; host++) {
        uint64_t cursor = 0;
        if (weir_sock_next_row(sim->host[host].stack, &cursor, &row))
            return false;
    }
    return true;
}

/* Each host begins with a listener that takes both families, so that there are connections. */
static void begin_run(struct chaos *c)
{
    struct weir_endpoint any = {.addr = weir_addr_any6(), .port = 7000};
    for (unsigned host = 0; host < HOSTS; host++)
        c->slot[host] = (struct slot){host, sim_listen(&c->sim, host, &any, 5), WEIR_AF_INET6};
    for (unsigned i = HOSTS; i < SOCKS; i++)
        do_open(c, &c->slot[i]);
}

static void tell_rows(const struct chaos *c)
{
    struct weir_sock_row row;
    for (unsigned host = 0; host < HOSTS; host++) {
        uint64_t cursor = 0;
        while (weir_sock_next_row(c->sim.host[host].stack, &cursor, &row)) {
            char local[WEIR_ENDPOINT_STRLEN], peer[WEIR_ENDPOINT_STRLEN];
            weir_endpoint_format(&row.local, local, sizeof local);
            weir_endpoint_format(&row.peer, peer, sizeof peer);
            print_error("host %u: state %d %s %s socket %" PRIx64 " queues %zu %zu\n", host,
                        row.state, local, peer, row.sock, row.recv_q, row.send_q);
        }
    }
}

static void end_run(struct chaos *c)
{
    for (unsigned i = 0; i < SOCKS; i++)
        if (c->slot[i].sock != 0)
            is_result(weir_sock_close(stack_of(c, &c->slot[i]), c->slot[i].sock, c->sim.now));
    c->frames_lie = false;
    /* An orphan that nobody answers has 8 retries, or 15 in a time of R2: up to a quarter hour. */
    bool forgotten = sim_run_until(&c->sim, is_forgotten, NULL, 3600 * WEIR_SEC);
    if (!forgotten)
        tell_rows(c);
    CHECK(forgotten, "never forgotten");
    struct weir_event event;
    for (unsigned host = 0; host < HOSTS; host++)
        CHECK(!weir_next_event(c->sim.host[host].stack, &event), "an event of a closed socket");
    sim_free(&c->sim);
}

static void tell(const struct chaos *c)
{
    const struct weir_stack *a = c->sim.host[0].stack;
    printf("seed %" PRIu64 ": %" PRIu64 " frames, %" PRIu64 " lies;", c->sim.seed, c->sim.frames,
           c->lies);
    for (unsigned i = 0; i < weir_stat_kinds(); i++)
        if (weir_stat_count(a, i) != 0)
            printf(" %s %" PRIu64, weir_stat_name(i), weir_stat_count(a, i));
    printf(";");
    for (unsigned i = 0; i < weir_drop_reasons(); i++)
        if (weir_drop_count(a, i) != 0)
            printf(" %s %" PRIu64, weir_drop_name(i), weir_drop_count(a, i));
    printf("\n");
}

/* What came of a run: all frames and the moments at which they left, and all that was counted. */
struct outcome {
    uint64_t trace, counted;
};

static struct outcome run_seed(uint64_t seed, bool goes_long)
{
    struct chaos *c = calloc(1, sizeof *c);
    struct sim_wire wire;
    assert_non_null(c);
    set_replay(seed);
    sim_init(&c->sim, seed);
    choose_wire(c, &wire);
    for (unsigned host = 0; host < HOSTS; host++) {
        sim_host(&c->sim, NULL);
        if (goes_long)
            sim_go_long(&c->sim, host);
    }
    sim_join(&c->sim, 0, 1, &wire);
    for (unsigned host = 0; host < HOSTS; host++)
        make_liar(c, host);
    sim_run(&c->sim, 3 * WEIR_SEC);
    begin_run(c);
    for (unsigned step = 0; step < STEPS; step++)
        actions[below(c, ACTIONS)](c, &c->slot[below(c, SOCKS)]);
    if (verbose)
        tell(c);
    struct outcome outcome = {c->sim.trace, sim_counted(&c->sim)};
    end_run(c);
    free(c);
    return outcome;
}

static void stacks_survive_and_forget(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++)
        run_seed(seed, false);
}

#ifdef WEIR_CHECK
/* As in test_sim_streams, here with frames that lie and a network that changes. */
static void short_ways_change_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed += 4) {
        struct outcome by_short = run_seed(seed, false), by_long = run_seed(seed, true);
        CHECK(by_short.trace == by_long.trace, "other frames by the long ways");
        CHECK(by_short.counted == by_long.counted, "counted otherwise by the long ways");
    }
}
#endif

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks_survive_and_forget),
#ifdef WEIR_CHECK
        cmocka_unit_test(short_ways_change_nothing),
#endif
    };
    seeds_from(argc, argv, &(struct seeds){.sanitized = 300, .checked = 1000, .plain = 4000});
    return cmocka_run_group_tests(tests, NULL, NULL);
}
