/* SPDX-License-Identifier: MIT */
#include "sim/sim.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/info.h>

#include "base/bytes.h"
#include "core/core.h"
#include "wire/w_print.h"

enum {
    ROUNDS_PER_MOMENT = 100000, /* more without time passing is a storm */
    PIPE_FRAMES = 1 << 16
};

/* ---- memory ---------------------------------------------------------------------------------- */

static bool fails_now(struct sim_mem *mem)
{
    mem->calls++;
    if (mem->calls == mem->fail_at)
        return true;
    if (mem->fail_one_in == 0)
        return false;
    mem->random = mem->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (mem->random >> 33) % mem->fail_one_in == 0;
}

static void *mem_alloc(void *ctx, size_t size)
{
    struct sim_mem *mem = ctx;
    if (fails_now(mem)) {
        mem->fails++;
        return NULL;
    }
    void *ptr = malloc(size);
    assert_non_null(ptr);
    mem->bytes += size;
    return ptr;
}

static void mem_free(void *ctx, void *ptr, size_t size)
{
    struct sim_mem *mem = ctx;
    mem->bytes -= size;
    free(ptr);
}

struct weir_allocator sim_allocator(struct sim_mem *mem)
{
    return (struct weir_allocator){.alloc = mem_alloc, .free = mem_free, .ctx = mem};
}

/* ---- a link that keeps the trace ------------------------------------------------------------- */

struct tap {
    struct weir_link link; /* first */
    struct weir_link *inner;
    struct sim *sim;
    uint64_t id;
};

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return hash;
}

/* SIM_PRINT: one line a frame that begins its way. */
static void print_frame(const struct tap *tap, const struct weir_out *frame, weir_time now)
{
    static uint8_t bytes[1 << 17];
    char line[512];
    size_t len = frame->head_len;
    memcpy(bytes, frame->head, len);
    len += wr_spans_copy(bytes + len, frame->span, frame->n_spans);
    bool ethernet = tap->link.netif.kind == WEIR_NETIF_ETHERNET;
    wr_w_print(line, sizeof line, ethernet ? W_PRINT_ETH : W_PRINT_IP, bytes, len,
               frame->csum_partial);
    printf("%.6f %s\n", (double)now / 1e9, line);
}

/* A frame's headers as they are traced. */
static const uint8_t *traced(const struct tap *tap, const struct weir_out *frame, uint8_t *copy)
{
    size_t l3 = tap->link.netif.kind == WEIR_NETIF_ETHERNET ? 14 : 0, l4;
    if (!tap->sim->pushless || frame->head_len > WEIR_HEAD_MAX || frame->head_len < l3 + 20)
        return frame->head;
    memcpy(copy, frame->head, frame->head_len);
    bool v4 = copy[l3] >> 4 == 4;
    l4 = l3 + (v4 ? 20 : 40);
    if (frame->head_len >= l4 + 20 && copy[l3 + (v4 ? 9 : 6)] == 6) {
        copy[l4 + 13] &= (uint8_t)~8;
        copy[l4 + 16] = copy[l4 + 17] = 0;
    }
    return copy;
}

static int tap_send(struct weir_link *link, const struct weir_out *frame, weir_time now)
{
    struct tap *tap = (struct tap *)link;
    uint64_t hash = mix(mix(tap->sim->trace, &now, sizeof now), &tap->id, sizeof tap->id);
    uint8_t head[WEIR_HEAD_MAX];
    hash = mix(hash, traced(tap, frame, head), frame->head_len);
    for (unsigned i = 0; i < frame->n_spans; i++)
        hash = mix(hash, frame->span[i].ptr, frame->span[i].len);
    tap->sim->trace = hash;
    tap->sim->frames++;
    if (tap->sim->print)
        print_frame(tap, frame, now);
    return tap->inner->ops->send(tap->inner, frame, now);
}

static int tap_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    struct tap *tap = (struct tap *)link;
    return tap->inner->ops->recv(tap->inner, frame, now);
}

static weir_time tap_deadline(const struct weir_link *link)
{
    const struct tap *tap = (const struct tap *)link;
    return tap->inner->ops->deadline(tap->inner);
}

static int tap_fd(const struct weir_link *link)
{
    (void)link;
    return -1;
}

static void tap_free(struct weir_link *link)
{
    struct tap *tap = (struct tap *)link;
    weir_link_free(tap->inner);
    free(tap);
}

static const struct weir_link_ops tap_ops = {
    .send = tap_send,
    .recv = tap_recv,
    .deadline = tap_deadline,
    .fd = tap_fd,
    .free = tap_free,
};

static struct weir_link *tap_new(struct sim *sim, struct weir_link *inner, uint64_t id)
{
    struct tap *tap = calloc(1, sizeof *tap);
    assert_non_null(tap);
    tap->link.ops = &tap_ops;
    tap->link.netif = inner->netif;
    tap->inner = inner;
    tap->sim = sim;
    tap->id = id;
    return &tap->link;
}

/* ---- hosts and wires ------------------------------------------------------------------------- */

void sim_init(struct sim *sim, uint64_t seed)
{
    memset(sim, 0, sizeof *sim);
    sim->seed = seed;
    sim->now = 1000 * WEIR_SEC;
    sim->trace = UINT64_C(0xcbf29ce484222325);
    sim->print = getenv("SIM_PRINT") != NULL;
    wr_rng_init_u64(&sim->rng, seed);
}

unsigned sim_host(struct sim *sim, const struct weir_config *config)
{
    assert_true(sim->n_hosts < SIM_HOSTS);
    struct sim_host *host = &sim->host[sim->n_hosts];
    struct weir_config own;
    if (config != NULL)
        own = *config;
    else
        weir_config_default(&own);
    own.alloc = sim_allocator(&host->mem);
    wr_rng_bytes(&sim->rng, own.seed, sizeof own.seed);
    host->stack = weir_stack_new(&own, sim->now);
    if (host->mem.fails == 0)
        assert_non_null(host->stack);
    return sim->n_hosts++;
}

void sim_go_long(struct sim *sim, unsigned host)
{
#ifdef WEIR_CHECK
    if (sim->host[host].stack != NULL)
        sim->host[host].stack->long_ways = true;
#else
    (void)sim;
    (void)host;
#endif
}

uint64_t sim_counted(const struct sim *sim)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (unsigned i = 0; i < sim->n_hosts; i++) {
        const struct weir_stack *stack = sim->host[i].stack;
        if (stack == NULL)
            continue;
        hash = mix(hash, stack->stats, sizeof stack->stats);
        hash = mix(hash, stack->drops, sizeof stack->drops);
    }
    return hash;
}

struct weir_addr sim_addr(unsigned wire, unsigned end, int family)
{
    if (family == WEIR_AF_INET)
        return weir_addr_v4(0x0a000000u | wire << 8 | end);
    struct weir_addr addr = weir_addr_any6();
    addr.b[0] = 0xfd;
    addr.b[3] = (uint8_t)wire;
    addr.b[15] = (uint8_t)end;
    return addr;
}

struct weir_endpoint sim_endpoint(unsigned wire, unsigned end, int family, uint16_t port)
{
    return (struct weir_endpoint){.addr = sim_addr(wire, end, family), .port = port};
}

static struct weir_link *dress(struct sim *sim, struct weir_link *end, const struct sim_wire *wire,
                               unsigned which)
{
    struct weir_link *link = end;
    const char *pcap = getenv("SIM_PCAP");
    if (wire->impaired) {
        struct weir_impair_config impair = wire->impair;
        impair.seed = wr_rng_u64(&sim->rng);
        assert_int_equal(weir_link_impair(end, &impair, WEIR_IMPAIR_OUT, &link), 0);
    }
    if (pcap != NULL && sim->n_wires == 0 && which == 1) {
        struct weir_link *outer;
        assert_int_equal(weir_link_pcap(link, pcap, true, &outer), 0);
        link = outer;
    }
    link = tap_new(sim, link, sim->n_wires * 2u + which);
    if (wire->offload & which) /* the tap is on the wire */
        assert_int_equal(weir_link_offload(link, &link), 0);
    return link;
}

static void plug(struct sim *sim, unsigned number, struct weir_link *link, unsigned end)
{
    struct sim_host *host = &sim->host[number];
    assert_true(host->n_ports < SIM_PORTS);
    host->port[host->n_ports].link = link;
    struct weir_netif_config config = link->netif;
    snprintf(config.name, sizeof config.name, "eth%u", host->n_ports);
    if (config.kind == WEIR_NETIF_ETHERNET) {
        const uint8_t mac[6] = {2, 0, 0, 0, (uint8_t)sim->n_wires, (uint8_t)end};
        memcpy(config.mac, mac, sizeof mac);
    }
    int ifindex = weir_netif_add(host->stack, &config, sim->now);
    host->port[host->n_ports++].ifindex = ifindex;
    if (host->mem.fails == 0)
        assert_true(ifindex > 0);
    for (int i = 0; i < 2; i++) {
        struct weir_addr addr = sim_addr(sim->n_wires, end, i ? WEIR_AF_INET6 : WEIR_AF_INET);
        int error = weir_addr_add(host->stack, ifindex, &addr, i ? 64 : 24, sim->now);
        if (host->mem.fails == 0 && (i == 0 || config.mtu >= 1280))
            assert_int_equal(error, 0);
    }
}

void sim_join(struct sim *sim, unsigned a, unsigned b, const struct sim_wire *wire)
{
    static const struct sim_wire perfect = {.kind = WEIR_NETIF_IP};
    struct weir_link *ends[2];
    if (wire == NULL)
        wire = &perfect;
    struct weir_pipe_config pipe = {
        .kind = wire->kind,
        .mtu = wire->mtu,
        .gso_max_bytes = wire->gso_max_bytes,
        .csum_offload = wire->csum_offload,
        .queue_frames = PIPE_FRAMES,
    };
    assert_int_equal(weir_link_pipe(&pipe, ends), 0);
    plug(sim, a, dress(sim, ends[0], wire, 1), 1);
    plug(sim, b, dress(sim, ends[1], wire, 2), 2);
    sim->n_wires++;
}

/* ---- time ------------------------------------------------------------------------------------ */

static bool receive(struct sim *sim, struct sim_host *host, unsigned port, struct weir_frame *frame)
{
    struct weir_link *link = host->port[port].link;
    struct weir_room room;
    if (link->ops->recv_room == NULL ||
        !weir_input_room(host->stack, host->port[port].ifindex, &room))
        return link->ops->recv(link, frame, sim->now) == 1;
    if (link->ops->recv_room(link, &room, frame, sim->now) == 1)
        return true;
    weir_input_room_unused(host->stack);
    return false;
}

static bool carry_in(struct sim *sim, struct sim_host *host, unsigned port)
{
    struct weir_frame frame;
    bool any = false;
    while (receive(sim, host, port, &frame)) {
        weir_input(host->stack, host->port[port].ifindex, &frame, sim->now);
        any = true;
    }
    return any;
}

static bool carry_out(struct sim *sim, struct sim_host *host, unsigned port)
{
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    struct weir_link *link = host->port[port].link;
    bool any = false;
    while (weir_output(host->stack, host->port[port].ifindex, &out, sim->now) > 0) {
        int error = link->ops->send(link, &out, sim->now);
        assert_int_not_equal(error, WEIR_EAGAIN);
        any = true;
    }
    return any;
}

static bool step(struct sim *sim, struct sim_host *host)
{
    bool any = false;
    if (host->stack == NULL)
        return false;
    for (unsigned port = 0; port < host->n_ports; port++)
        any |= carry_in(sim, host, port);
    if (weir_deadline(host->stack) <= sim->now) {
        weir_advance(host->stack, sim->now);
        any = true;
    }
    for (unsigned port = 0; port < host->n_ports; port++)
        any |= carry_out(sim, host, port);
    return any;
}

void sim_settle(struct sim *sim)
{
    for (unsigned round = 0; round < ROUNDS_PER_MOMENT; round++) {
        bool any = false;
        for (unsigned i = 0; i < sim->n_hosts; i++)
            any |= step(sim, &sim->host[i]);
        if (!any)
            return;
    }
    fail_msg("seed %" PRIu64 ": a storm at %" PRId64, sim->seed, sim->now);
}

weir_time sim_next(const struct sim *sim)
{
    weir_time at = WEIR_TIME_NEVER;
    for (unsigned i = 0; i < sim->n_hosts; i++) {
        const struct sim_host *host = &sim->host[i];
        if (host->stack == NULL)
            continue;
        at = weir_time_min(at, weir_deadline(host->stack));
        for (unsigned port = 0; port < host->n_ports; port++) {
            const struct weir_link *link = host->port[port].link;
            at = weir_time_min(at, link->ops->deadline(link));
        }
    }
    return at;
}

bool sim_run_until(struct sim *sim, bool (*done)(struct sim *sim, void *arg), void *arg,
                   weir_time limit)
{
    weir_time end = sim->now + limit;
    for (;;) {
        sim_settle(sim);
        if (done != NULL && done(sim, arg))
            return true;
        weir_time next = sim_next(sim);
        if (next > end)
            break;
        if (next > sim->now)
            sim->now = next;
    }
    sim->now = end;
    sim_settle(sim);
    return done != NULL && done(sim, arg);
}

void sim_run(struct sim *sim, weir_time duration)
{
    sim_run_until(sim, NULL, NULL, duration);
}

unsigned sim_discard(struct sim *sim, unsigned host)
{
    struct sim_host *h = &sim->host[host];
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    unsigned n = 0;
    while (weir_output(h->stack, h->port[0].ifindex, &out, sim->now) > 0)
        n++;
    return n;
}

void sim_free(struct sim *sim)
{
    for (unsigned i = 0; i < sim->n_hosts; i++) {
        struct sim_host *host = &sim->host[i];
        for (unsigned port = 0; port < host->n_ports; port++)
            weir_link_free(host->port[port].link);
        weir_stack_free(host->stack);
        if (host->mem.bytes != 0)
            fail_msg("seed %" PRIu64 ": host %u kept %zu bytes", sim->seed, i, host->mem.bytes);
    }
}

/* ---- short hands ----------------------------------------------------------------------------- */

weir_sock sim_socket(struct sim *sim, unsigned host, int domain, int type)
{
    weir_sock sock = 0;
    assert_int_equal(weir_sock_open(sim->host[host].stack, domain, type, 0, &sock), 0);
    return sock;
}

weir_sock sim_listen(struct sim *sim, unsigned host, const struct weir_endpoint *local, int backlog)
{
    struct weir_stack *stack = sim->host[host].stack;
    int domain = weir_addr_is_v4(&local->addr) ? WEIR_AF_INET : WEIR_AF_INET6;
    weir_sock sock = sim_socket(sim, host, domain, WEIR_SOCK_STREAM);
    assert_int_equal(weir_sock_bind(stack, sock, local), 0);
    assert_int_equal(weir_sock_listen(stack, sock, backlog, sim->now), 0);
    return sock;
}

void sim_connected(struct sim *sim, int family, uint16_t port, weir_sock *client, weir_sock *server)
{
    struct weir_stack *from = sim->host[0].stack, *to = sim->host[1].stack;
    struct weir_endpoint at = sim_endpoint(0, 2, family, port);
    weir_sock listener = sim_listen(sim, 1, &at, 5);
    *client = sim_socket(sim, 0, family, WEIR_SOCK_STREAM);
    assert_int_equal(weir_sock_connect(from, *client, &at, sim->now), WEIR_EINPROGRESS);
    sim_run(sim, 300 * WEIR_MS);
    assert_int_equal(weir_sock_accept(to, listener, server, NULL, sim->now), 0);
    assert_int_equal(weir_sock_connect(from, *client, &at, sim->now), 0);
    assert_int_equal(weir_sock_close(to, listener, sim->now), 0);
}

int sim_getopt(struct sim *sim, unsigned host, weir_sock sock, int level, int option)
{
    int value = -1;
    size_t len = sizeof value;
    int error =
        weir_sock_getsockopt(sim->host[host].stack, sock, level, option, &value, &len, sim->now);
    return error != 0 ? error : value;
}

int sim_setopt(struct sim *sim, unsigned host, weir_sock sock, int level, int option, int value)
{
    return weir_sock_setsockopt(sim->host[host].stack, sock, level, option, &value, sizeof value,
                                sim->now);
}

int sim_state(struct sim *sim, unsigned host, weir_sock sock)
{
    struct weir_tcp_info info;
    size_t len = sizeof info;
    assert_int_equal(weir_sock_getsockopt(sim->host[host].stack, sock, WEIR_SOL_TCP, WEIR_TCP_INFO,
                                          &info, &len, sim->now),
                     0);
    return info.tcpi_state;
}
