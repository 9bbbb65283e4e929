/* SPDX-License-Identifier: MIT */
/*
 * The SYN queue of two listeners against clients made of single segments. The entry made last stands apart from the
 * table (tcp_synq); so each seed is run as it is, and with the entry put in the table after each step: the same frames
 * must leave at the same times, and the same must be counted and told of.
 *
 *     test_sim_syns                as many seeds as fit a test run; WEIR_SIM_SEEDS=n changes that
 *     test_sim_syns SEED [COUNT]   these seeds
 */
#include "unit/tcp_peer.h"

#include "core/core.h"
#include "sim/sim_seeds.h"
#include "tcp/tcp_host.h"

enum { STEPS = 80, CLIENTS = 5, LISTENERS = 2, PORT = 80 };

struct queue {
    struct peer p;
    struct conn
        c[CLIENTS]; /* two at a time may have the same port of theirs, to the two listeners */
    weir_sock listeners[LISTENERS];
    uint64_t rng;
    bool settled; /* nothing stands apart */
    unsigned steps;
    uint64_t trace[STEPS + 2];
};

static uint32_t below(struct queue *q, uint32_t n)
{
    q->rng += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = q->rng;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) % n);
}

static bool one_in(struct queue *q, uint32_t n)
{
    return below(q, n) == 0;
}

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len-- > 0)
        hash = (hash ^ *p++) * UINT64_C(0x100000001b3);
    return hash;
}

/* ---- what is seen ------------------------------------------------------------------------------- */

static struct conn *client_of(struct queue *q, const struct w_tcp *th)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (q->c[i].theirs == th->dst_port && q->c[i].ours == th->src_port)
            return &q->c[i];
    return NULL;
}

static uint64_t read_log(struct queue *q, uint64_t hash)
{
    for (unsigned i = 0; i < q->p.n; i++) {
        const struct got *got = &q->p.log[i];
        struct conn *c = client_of(q, &got->th);
        if (c != NULL && (got->th.flags & W_TCP_SYN)) {
            c->irs = got->th.seq;
            c->rcv = c->irs + 1;
        }
        if (c != NULL)
            c->ts_ecr = got->opt.ts_val;
        hash = mix(hash, &got->at, sizeof got->at);
        hash = mix(hash, &got->th, sizeof got->th);
        hash = mix(hash, &got->opt, sizeof got->opt);
        hash = mix(hash, &got->len, sizeof got->len);
    }
    q->p.n = 0;
    return hash;
}

/* The rows of sockets; their order is not the same. */
static uint64_t rows(struct queue *q)
{
    uint64_t cursor = 0, sum = 0;
    struct weir_sock_row row;

    while (weir_sock_next_row(q->p.stack, &cursor, &row)) {
        uint32_t what[] = {(uint32_t)row.state, row.local.port, row.peer.port, (uint32_t)row.timer,
                           row.retransmits};
        sum += mix(mix(UINT64_C(0xcbf29ce484222325), what, sizeof what), &row.timer_at,
                   sizeof row.timer_at);
    }
    return sum;
}

static void note(struct queue *q, bool tell_rows)
{
    uint64_t hash = read_log(q, UINT64_C(0xcbf29ce484222325)), sum = tell_rows ? rows(q) : 0;
    weir_time deadline;

    if (q->settled)
        assert_true(wr_syn_settle(q->p.stack));
    deadline = weir_deadline(q->p.stack);
    hash = mix(hash, &sum, sizeof sum);
    hash = mix(hash, &deadline, sizeof deadline);
    hash = mix(hash, q->p.stack->stats, sizeof q->p.stack->stats);
    hash = mix(hash, q->p.stack->drops, sizeof q->p.stack->drops);
    q->trace[q->steps++] = hash;
}

/* ---- clients ------------------------------------------------------------------------------------ */

static void new_client(struct queue *q, struct conn *c)
{
    *c = peer_conn(&q->p, (uint16_t)(PORT + below(q, LISTENERS)));
    if (one_in(q, 4))
        c->theirs = q->c[below(q, CLIENTS)].theirs;
    c->ts = !one_in(q, 3);
    c->ts_val = 5000;
    c->iss = c->snd = below(q, UINT32_MAX);
}

static void syn(struct queue *q, struct conn *c)
{
    struct w_tcpopt opt = {.has_mss = true,
                           .mss = 1000,
                           .sack_permitted = (c->iss & 1) != 0,
                           .has_wscale = (c->iss & 2) != 0,
                           .wscale = 7,
                           .has_ts = c->ts,
                           .ts_val = c->ts_val};
    struct w_tcp th = {.src_port = c->theirs,
                       .dst_port = c->ours,
                       .seq = c->iss,
                       .flags = W_TCP_SYN,
                       .wnd = c->wnd};
    uint8_t opts[W_TCPOPT_MAX];

    c->snd = c->iss + 1;
    peer_raw(&q->p, &th, opts, wr_w_tcpopt_emit_syn(opts, &opt), NULL, 0);
}

/* Its answer to the SYN-ACK, or something that resembles it. */
static void answer(struct queue *q, struct conn *c)
{
    static const uint16_t flags[] = {W_TCP_ACK,
                                     W_TCP_ACK,
                                     W_TCP_ACK,
                                     W_TCP_ACK | W_TCP_PSH,
                                     W_TCP_ACK | W_TCP_FIN,
                                     W_TCP_RST,
                                     W_TCP_RST | W_TCP_ACK,
                                     W_TCP_SYN,
                                     W_TCP_SYN | W_TCP_ACK,
                                     0};
    uint32_t seq = c->snd, ack = c->rcv, len = one_in(q, 3) ? 1 + below(q, 100) : 0;
    static const uint8_t data[100];

    if (one_in(q, 6))
        seq += one_in(q, 2) ? 1 : 100000;
    if (one_in(q, 6))
        ack += one_in(q, 2) ? 1 : (uint32_t)-1;
    if (one_in(q, 8))
        c->ts_val -= 1000;
    conn_at(&q->p, c, flags[below(q, sizeof flags / sizeof flags[0])], seq, ack, data, len);
}

/* A router cannot reach the client: quotes our SYN-ACK. */
static void unreachable(struct queue *q, const struct conn *c)
{
    uint8_t frame[20 + 8 + 28] = {0x45, [8] = 64, [9] = 1};
    uint8_t *icmp = frame + 20, *quoted = icmp + 8;
    struct weir_frame in = {.data = frame, .len = sizeof frame};

    put_be16(frame + 2, sizeof frame);
    memcpy(frame + 12, q->p.them.b + 12, 4);
    memcpy(frame + 16, q->p.us.b + 12, 4);
    put_be16(frame + 10, wr_csum(frame, 20));
    icmp[0] = 3;
    icmp[1] = (uint8_t)below(q, 4);
    quoted[0] = 0x45;
    put_be16(quoted + 2, 60);
    quoted[8] = 64;
    quoted[9] = 6;
    memcpy(quoted + 12, q->p.us.b + 12, 4);
    memcpy(quoted + 16, q->p.them.b + 12, 4);
    put_be16(quoted + 10, wr_csum(quoted, 20));
    put_be16(quoted + 20, c->ours);
    put_be16(quoted + 22, c->theirs);
    put_be32(quoted + 24, c->irs);
    put_be16(icmp + 2, wr_csum(icmp, sizeof frame - 20));
    assert_int_equal(weir_input(q->p.stack, q->p.ifindex, &in, q->p.now), 0);
    peer_drain(&q->p);
}

/* ---- the listeners ------------------------------------------------------------------------------ */

static void listen_on(struct queue *q, unsigned i)
{
    struct weir_endpoint any = {.port = (uint16_t)(PORT + i)};
    int value = 1;
    weir_sock *sock = &q->listeners[i];

    /* One takes IPv4 as mapped addresses. */
    any.addr = i == 0 ? weir_addr_v4(0) : (struct weir_addr){.b = {0}};
    assert_int_equal(weir_sock_open(q->p.stack, i == 0 ? WEIR_AF_INET : WEIR_AF_INET6,
                                    WEIR_SOCK_STREAM, 0, sock),
                     0);
    assert_int_equal(weir_sock_setsockopt(q->p.stack, *sock, WEIR_SOL_SOCKET, WEIR_SO_REUSEADDR,
                                          &value, sizeof value, q->p.now),
                     0);
    if (one_in(q, 4))
        weir_sock_setsockopt(q->p.stack, *sock, WEIR_SOL_TCP, WEIR_TCP_DEFER_ACCEPT, &value,
                             sizeof value, q->p.now);
    assert_int_equal(weir_sock_bind(q->p.stack, *sock, &any), 0);
    assert_int_equal(weir_sock_listen(q->p.stack, *sock, (int)below(q, 4), q->p.now), 0);
}

static void user(struct queue *q)
{
    unsigned i = below(q, LISTENERS);
    weir_sock sock;

    switch (below(q, 5)) {
    case 0:
        weir_sock_close(q->p.stack, q->listeners[i], q->p.now);
        listen_on(q, i);
        break;
    case 1:
        weir_sock_listen(q->p.stack, q->listeners[i], (int)below(q, 4), q->p.now);
        break;
    case 2:
        weir_sysctl_set(q->p.stack, "net.ipv4.tcp_syncookies", below(q, 3));
        weir_sysctl_set(q->p.stack, "net.ipv4.tcp_abort_on_overflow", one_in(q, 4));
        break;
    default:
        if (weir_sock_accept(q->p.stack, q->listeners[i], &sock, NULL, q->p.now) == 0)
            weir_sock_close(q->p.stack, sock, q->p.now);
    }
    peer_drain(&q->p);
}

/* ---- a run --------------------------------------------------------------------------------------- */

static void step(struct queue *q)
{
    static const uint32_t pauses[] = {0, 1, 40, 300, 999, 1000, 1001, 3000, 20000};
    struct conn *c = &q->c[below(q, CLIENTS)];

    switch (below(q, 12)) {
    case 0:
        new_client(q, c);
        syn(q, c);
        break;
    case 1:
    case 2:
    case 3:
        syn(q, c);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        answer(q, c);
        break;
    case 8:
        unreachable(q, c);
        break;
    case 9:
        user(q);
        break;
    default:
        peer_run(&q->p, pauses[below(q, sizeof pauses / sizeof pauses[0])] * WEIR_MS);
    }
}

static void run_seed(struct queue *q, uint64_t seed, bool settled)
{
    memset(q, 0, sizeof *q);
    set_replay(seed);
    q->rng = seed;
    q->settled = settled;
    peer_init(&q->p);
    for (unsigned i = 0; i < LISTENERS; i++)
        listen_on(q, i);
    for (unsigned i = 0; i < CLIENTS; i++)
        new_client(q, &q->c[i]);
    for (unsigned i = 0; i < STEPS; i++) {
        step(q);
        note(q, one_in(q, 16));
    }
    peer_run(&q->p, 200 * WEIR_SEC);
    note(q, true);
    peer_free(&q->p);
}

static void newest_entry_is_as_any(void **state)
{
    static struct queue apart, settled;

    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++) {
        run_seed(&apart, seed, false);
        run_seed(&settled, seed, true);
        for (unsigned i = 0; i < apart.steps; i++)
            CHECK(apart.trace[i] == settled.trace[i], "step %u is another in the table", i);
    }
}

/* A SYN is taken in, answered again, forgotten or opened while some allocation, and from then on every one, fails. */
static void no_memory_loses_nothing(void **state)
{
    static struct queue q;

    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++) {
        memset(&q, 0, sizeof q);
        set_replay(seed);
        q.rng = seed;
        peer_init(&q.p);
        for (unsigned i = 0; i < LISTENERS; i++)
            listen_on(&q, i);
        for (unsigned i = 0; i < CLIENTS; i++)
            new_client(&q, &q.c[i]);
        for (unsigned i = 0; i < STEPS; i++) {
            uint32_t what = below(&q, 10);
            if (what == 0)
                q.p.probe.fail_at = one_in(&q, 2) ? q.p.probe.calls + 1 + below(&q, 4) : 0;
            if (what < 6)
                syn(&q, &q.c[below(&q, CLIENTS)]);
            else if (what < 8)
                answer(&q, &q.c[below(&q, CLIENTS)]);
            else
                peer_run(&q.p, below(&q, 4000) * WEIR_MS);
            read_log(&q, 0);
        }
        peer_run(&q.p, 200 * WEIR_SEC);
        peer_free(&q.p);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_entry_is_as_any),
        cmocka_unit_test(no_memory_loses_nothing),
    };
    seeds_from(argc, argv, &(struct seeds){.sanitized = 300, .checked = 1000, .plain = 3000});
    return cmocka_run_group_tests(tests, NULL, NULL);
}
