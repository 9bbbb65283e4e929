/* SPDX-License-Identifier: MIT */
/*
 * One stack against a peer made of single segments (tests/unit/tcp_peer.h), whose numbers lie at the edges of what the
 * stack has sent and received: where connections open and end, where a segment is just the next one or just not, and where
 * a short way is taken or just not. Each seed is run by the short ways and with all of them barred: the same frames must
 * leave at the same times, the same must be counted, and TCP_INFO must tell the same after each step.
 *
 *     test_sim_edges                as many seeds as fit a test run; WEIR_SIM_SEEDS=n changes that
 *     test_sim_edges SEED [COUNT]   these seeds
 */
#include "unit/tcp_peer.h"

#include "core/core.h"
#include "sim/sim_seeds.h"

enum { STEPS = 60, PORT = 80 };

struct edge {
    struct peer p;
    struct conn c;
    uint64_t rng;
    unsigned seen;      /* of the log */
    uint32_t top, done; /* behind the last that the stack sent; what it acknowledged last */
    unsigned steps;
    uint64_t trace[STEPS + 2];
};

static uint64_t next(struct edge *e)
{
    e->rng += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = e->rng;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t below(struct edge *e, uint32_t n)
{
    return (uint32_t)(next(e) % n);
}

static bool one_in(struct edge *e, uint32_t n)
{
    return below(e, n) == 0;
}

static uint32_t pick(struct edge *e, const uint32_t *of, uint32_t n)
{
    return of[below(e, n)];
}
#define PICK(e, ...)                                                                               \
    pick(e, (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len-- > 0)
        hash = (hash ^ *p++) * UINT64_C(0x100000001b3);
    return hash;
}

/* What the stack sent since the last look. */
static uint64_t read_log(struct edge *e, uint64_t hash)
{
    for (; e->seen < e->p.n; e->seen++) {
        const struct got *got = &e->p.log[e->seen];
        uint32_t end = got->th.seq + got->len + ((got->th.flags & W_TCP_FIN) ? 1 : 0) +
                       ((got->th.flags & W_TCP_SYN) ? 1 : 0);
        if ((int32_t)(end - e->top) > 0)
            e->top = end;
        if (got->th.flags & W_TCP_ACK)
            e->done = got->th.ack;
        e->c.ts_ecr = got->opt.ts_val;
        hash = mix(hash, &got->at, sizeof got->at);
        hash = mix(hash, &got->th, sizeof got->th);
        hash = mix(hash, &got->opt, sizeof got->opt);
        hash = mix(hash, &got->len, sizeof got->len);
        hash = mix(hash, &got->ds, sizeof got->ds);
        hash = mix(hash, got->data, sizeof got->data);
    }
    e->p.n = e->seen = 0;
    return hash;
}

static void note(struct edge *e)
{
    uint64_t hash = read_log(e, UINT64_C(0xcbf29ce484222325));
    struct weir_tcp_info info;
    size_t len = sizeof info;

    hash = mix(hash, e->p.stack->stats, sizeof e->p.stack->stats);
    hash = mix(hash, e->p.stack->drops, sizeof e->p.stack->drops);
    memset(&info, 0, sizeof info);
    if (e->c.sock != 0 && weir_sock_getsockopt(e->p.stack, e->c.sock, WEIR_SOL_TCP, WEIR_TCP_INFO,
                                               &info, &len, e->p.now) == 0)
        hash = mix(hash, &info, sizeof info);
    e->trace[e->steps++] = hash;
}

/* ---- the peer ---------------------------------------------------------------------------------- */

static uint16_t any_flags(struct edge *e)
{
    uint16_t flags = W_TCP_ACK;

    if (one_in(e, 4))
        flags |= W_TCP_PSH;
    if (one_in(e, 4))
        flags |= W_TCP_FIN;
    if (one_in(e, 20))
        flags |= W_TCP_URG;
    if (one_in(e, 12))
        flags |= W_TCP_ECE;
    if (one_in(e, 12))
        flags |= W_TCP_CWR;
    if (one_in(e, 40))
        flags |= W_TCP_SYN;
    if (one_in(e, 60))
        flags |= W_TCP_RST;
    if (one_in(e, 40))
        flags &= (uint16_t)~W_TCP_ACK;
    return flags;
}

static void segment(struct edge *e)
{
    static const uint8_t zeros[1460];
    struct conn *c = &e->c;
    uint16_t flags = one_in(e, 3) ? W_TCP_ACK : any_flags(e);
    uint32_t len = one_in(e, 2) ? 0 : PICK(e, 1, 10, 100, 1000, 1460);
    uint32_t seq = one_in(e, 5) ? c->snd + PICK(e, 1, 10, 1000, UINT32_MAX, 0u - 10, 0u - 1000)
                                : (one_in(e, 6) ? e->done : c->snd);
    uint32_t ack = one_in(e, 4) ? e->top + PICK(e, 1, UINT32_MAX, 0u - 2, 0u - 100, 0u - 1460)
                                : (one_in(e, 8) ? c->rcv : e->top);
    uint32_t end = seq + len + ((flags & W_TCP_FIN) ? 1 : 0);
    struct w_tcp th = {.src_port = c->theirs,
                       .dst_port = c->ours,
                       .seq = seq,
                       .ack = (flags & W_TCP_ACK) ? ack : 0,
                       .flags = flags,
                       .wnd = c->wnd,
                       .urg = (flags & W_TCP_URG) ? (uint16_t)(len + 1) : 0};
    struct w_tcpopt opt = {.has_ts = c->ts, .ts_val = c->ts_val, .ts_ecr = c->ts_ecr};
    uint8_t opts[W_TCPOPT_MAX];

    if (one_in(e, 5))
        c->wnd = (uint16_t)PICK(e, 0, 1, 2, 100, 1000, 5000, 65535);
    if (one_in(e, 12))
        opt.ts_val += PICK(e, UINT32_MAX, 0u - 1000, 5);
    if (one_in(e, 25))
        opt.has_ts = !opt.has_ts;
    if (one_in(e, 8)) {
        opt.n_sack = 1;
        opt.sack[0] = (struct w_sack){e->top - PICK(e, 1, 10, 1000), e->top};
    }
    if ((int32_t)(end - c->snd) > 0 && seq == c->snd)
        c->snd = end;
    if (ack == e->top)
        c->rcv = ack;
    peer_raw(&e->p, &th, opts, wr_w_tcpopt_emit(opts, &opt), zeros, len);
}

/* As a good one would: takes all, acknowledges all. */
static void good_segment(struct edge *e)
{
    struct conn *c = &e->c;
    uint16_t flags = one_in(e, 5) ? W_TCP_ACK | W_TCP_FIN : W_TCP_ACK;

    c->snd = e->done;
    c->rcv = e->top;
    conn_data(&e->p, c, flags, "0123456789", one_in(e, 2) ? 0 : 10);
}

/* ---- the user ------------------------------------------------------------------------------------ */

static void option(struct edge *e)
{
    static const struct {
        int level, option, value;
    } all[] = {
        {WEIR_SOL_TCP, WEIR_TCP_NODELAY, 1},     {WEIR_SOL_TCP, WEIR_TCP_NODELAY, 0},
        {WEIR_SOL_TCP, WEIR_TCP_CORK, 1},        {WEIR_SOL_TCP, WEIR_TCP_CORK, 0},
        {WEIR_SOL_TCP, WEIR_TCP_QUICKACK, 0},    {WEIR_SOL_TCP, WEIR_TCP_QUICKACK, 1},
        {WEIR_SOL_TCP, WEIR_TCP_LINGER2, -1},    {WEIR_SOL_TCP, WEIR_TCP_LINGER2, 5},
        {WEIR_SOL_TCP, WEIR_TCP_KEEPIDLE, 2},    {WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, 1},
        {WEIR_SOL_SOCKET, WEIR_SO_RCVBUF, 3000}, {WEIR_SOL_SOCKET, WEIR_SO_SNDBUF, 5000},
    };
    uint32_t i = below(e, sizeof all / sizeof *all);

    weir_sock_setsockopt(e->p.stack, e->c.sock, all[i].level, all[i].option, &all[i].value,
                         sizeof all[i].value, e->p.now);
}

static void user(struct edge *e)
{
    static const uint8_t zeros[20000];
    static uint8_t bytes[20000];
    struct weir_stack *stack = e->p.stack;
    weir_time now = e->p.now;

    if (e->c.sock == 0)
        return;
    switch (below(e, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        weir_sock_send(stack, e->c.sock, zeros, PICK(e, 1, 10, 500, 1460, 4000, 20000),
                       one_in(e, 6) ? WEIR_MSG_MORE : (one_in(e, 10) ? WEIR_MSG_OOB : 0), NULL,
                       now);
        break;
    case 4:
    case 5:
    case 6:
        weir_sock_recv(stack, e->c.sock, bytes, PICK(e, 5, sizeof bytes), 0, NULL, now);
        break;
    case 7:
    case 8:
        option(e);
        break;
    case 9:
        weir_sock_shutdown(stack, e->c.sock, (int)PICK(e, WEIR_SHUT_RD, WEIR_SHUT_WR, WEIR_SHUT_WR),
                           now);
        break;
    default:
        if (!one_in(e, 3))
            return;
        weir_sock_recv(stack, e->c.sock, bytes, one_in(e, 4) ? 1 : sizeof bytes, 0, NULL, now);
        weir_sock_close(stack, e->c.sock, now);
        e->c.sock = 0;
    }
    peer_drain(&e->p);
}

/* ---- a run ----------------------------------------------------------------------------------------- */

static struct w_tcpopt syn_options(struct edge *e)
{
    struct w_tcpopt opt = {.has_mss = true, .mss = (uint16_t)PICK(e, 500, 1000, 1460)};

    opt.sack_permitted = !one_in(e, 4);
    opt.has_ts = !one_in(e, 3);
    opt.ts_val = 5000;
    opt.has_wscale = !one_in(e, 3);
    opt.wscale = (uint8_t)PICK(e, 0, 2, 7);
    return opt;
}

static void syn(struct edge *e, uint16_t flags, const struct w_tcpopt *opt)
{
    struct conn *c = &e->c;
    struct w_tcp th = {.src_port = c->theirs,
                       .dst_port = c->ours,
                       .seq = c->iss,
                       .ack = (flags & W_TCP_ACK) ? e->top : 0,
                       .flags = flags,
                       .wnd = c->wnd};
    uint8_t opts[W_TCPOPT_MAX];

    c->snd = e->done = c->iss + 1;
    c->ts = opt->has_ts;
    c->ts_val = opt->ts_val;
    peer_raw(&e->p, &th, opts, wr_w_tcpopt_emit_syn(opts, opt), NULL, 0);
}

/* Passive, active, or both at once; the handshake may stay unfinished. */
static void begin(struct edge *e)
{
    struct w_tcpopt opt = syn_options(e);
    uint16_t ecn = one_in(e, 3) ? W_TCP_ECE | W_TCP_CWR : 0;

    peer_listen(&e->p, PORT, 5);
    weir_sysctl_set(e->p.stack, "net.ipv4.tcp_ecn", ecn != 0 ? 1 : 2);
    if (one_in(e, 2)) {
        e->c = peer_conn(&e->p, PORT);
        syn(e, W_TCP_SYN | ecn, &opt);
        e->top = e->p.log[0].th.seq + 1;
        read_log(e, 0);
        good_segment(e);
        weir_sock_accept(e->p.stack, e->p.listener, &e->c.sock, NULL, e->p.now);
        return;
    }
    e->c = peer_connect(&e->p, WEIR_EINPROGRESS);
    e->top = e->p.log[0].th.seq + 1;
    read_log(e, 0);
    peer_run(&e->p, PICK(e, 0, 1, 30) * WEIR_MS);
    opt.ts_ecr = e->c.ts_ecr;
    syn(e, one_in(e, 2) ? W_TCP_SYN | W_TCP_ACK | (ecn & W_TCP_ECE) : W_TCP_SYN, &opt);
    read_log(e, 0);
}

static void step(struct edge *e)
{
    weir_time pause = PICK(e, 0, 0, 0, 1, 1, 20, 45, 250, 1000, 5000) * WEIR_MS;

    e->c.ts_val += (uint32_t)(pause / WEIR_MS);
    peer_run(&e->p, one_in(e, 40) ? 61 * WEIR_SEC : pause);
    read_log(e, 0);
}

static void run_seed(struct edge *e, uint64_t seed, bool barred)
{
    memset(e, 0, sizeof *e);
    set_replay(seed);
    e->rng = seed;
    peer_init(&e->p);
#ifdef WEIR_CHECK
    e->p.stack->long_ways = barred;
#else
    (void)barred;
#endif
    begin(e);
    note(e);
    for (unsigned i = 0; i < STEPS; i++) {
        uint32_t what = below(e, 8);
        if (what < 2)
            user(e);
        else if (what < 4)
            segment(e);
        else if (what < 6)
            good_segment(e);
        else
            step(e);
        note(e);
    }
    peer_run(&e->p, 5 * WEIR_SEC);
    note(e);
    peer_free(&e->p);
}

static void stacks_survive(void **state)
{
    static struct edge e;

    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++)
        run_seed(&e, seed, false);
}

#ifdef WEIR_CHECK
static void compare_ways(uint64_t seed)
{
    static struct edge by_short, by_long;

    run_seed(&by_short, seed, false);
    run_seed(&by_long, seed, true);
    for (unsigned i = 0; i < by_short.steps; i++)
        CHECK(by_short.trace[i] == by_long.trace[i], "step %u is another by the long ways", i);
}

static void short_ways_change_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++)
        compare_ways(seed);
    compare_ways(106859); /* a tail loss probe of a part; its ACK shows that the rest is lost */
}
#endif

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks_survive),
#ifdef WEIR_CHECK
        cmocka_unit_test(short_ways_change_nothing),
#endif
    };
    seeds_from(argc, argv, &(struct seeds){.sanitized = 1000, .checked = 4000, .plain = 10000});
    return cmocka_run_group_tests(tests, NULL, NULL);
}
