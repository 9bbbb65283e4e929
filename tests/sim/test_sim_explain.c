/* SPDX-License-Identifier: MIT */
/*
 * `weir explain`'s judgement (sight/) of captures with one planted cause each, made in virtual time: of both ends, with the
 * comments of our captures and without, as any other's would be. What must be found is what was planted, and no other
 * fault beside it.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/capture.h>
#include <weir/socket.h>

#include "sight/sight_say.h"

enum { PORT = 80, FRAMES = 4096, A = 0, B = 1, NOBODY = -1, MSS = 1448 };

struct frame {
    weir_time at;
    uint64_t order;
    int to;
    size_t len;
    uint8_t *data;
};

struct net {
    weir_time now, delay;
    struct weir_stack *stack[2];
    struct weir_capture *capture[2];
    int file[2], ifindex[2];
    struct weir_addr addr[2];
    struct frame frames[FRAMES];
    size_t n_frames;
    uint64_t order;
    unsigned data_frames[2]; /* with data, so far, by sender */
    weir_sock listener, client, server;
    size_t to_send, sent, read;
};

/* What happens to a frame: how long it takes, or WEIR_TIME_NEVER. size: of the IP packet; data: number of its data segment. */
typedef weir_time fate_fn(struct net *net, int from, size_t size, unsigned data);
/* What the programs do, each millisecond. */
typedef void act_fn(struct net *net, unsigned ms);

struct plant {
    const char *name;
    fate_fn *fate;
    act_fn *act;
    weir_time delay; /* one way */
    unsigned ms;     /* of the run */
    bool ip6, no_listener;
    int backlog;     /* of the listener; 0: 10 */
    int rcvbuf;      /* of the listener; 0: its own choice */
    int cause, side; /* that must be found; cause NOBODY: healthy */
    int also;        /* another fault that may be found; NOBODY: none */
    bool at_sender;  /* elsewhere it looks like a pause of the application */
    bool told_only;  /* packets alone cannot tell it */
};

static struct net net;

/* ---- the wire ---------------------------------------------------------------------------------------- */

static unsigned data_len(const uint8_t *p, size_t len)
{
    size_t ip = p[0] >> 4 == 4 ? 20 : 40;
    return (unsigned)(len - ip - (size_t)(p[ip + 12] >> 4) * 4);
}

static void carry(int from, const struct weir_out *out, fate_fn *fate)
{
    uint8_t bytes[2048];
    size_t len = out->head_len;
    memcpy(bytes, out->head, len);
    for (unsigned i = 0; i < out->n_spans; i++) {
        memcpy(bytes + len, out->span[i].ptr, out->span[i].len);
        len += out->span[i].len;
    }
    unsigned data = data_len(bytes, len) > 0 ? ++net.data_frames[from] : 0;
    weir_time takes = fate ? fate(&net, from, len, data) : net.delay;
    if (takes == WEIR_TIME_NEVER)
        return;
    assert_true(net.n_frames < FRAMES);
    struct frame *frame = &net.frames[net.n_frames++];
    *frame = (struct frame){net.now + takes, net.order++, !from, len, malloc(len)};
    memcpy(frame->data, bytes, len);
}

static void send_all(fate_fn *fate)
{
    uint8_t head[WEIR_HEAD_MAX];
    for (int host = 0; host < 2; host++) {
        struct weir_out out = {.head = head};
        while (weir_output(net.stack[host], net.ifindex[host], &out, net.now) > 0) {
            weir_capture_out(net.capture[host], net.ifindex[host], &out, net.now);
            carry(host, &out, fate);
        }
    }
}

static struct frame *next_frame(void)
{
    struct frame *first = NULL;
    for (size_t i = 0; i < net.n_frames; i++) {
        struct frame *f = &net.frames[i];
        if (!first || f->at < first->at || (f->at == first->at && f->order < first->order))
            first = f;
    }
    return first;
}

static void deliver(struct frame *frame)
{
    struct weir_frame in = {.data = frame->data, .len = frame->len};
    int to = frame->to;
    uint8_t *data = frame->data;
    *frame = net.frames[--net.n_frames];
    weir_input(net.stack[to], net.ifindex[to], &in, net.now);
    weir_capture_in(net.capture[to], net.ifindex[to], &in, net.now);
    free(data);
}

/* All until the time `until`. */
static void run_until(weir_time until, fate_fn *fate)
{
    send_all(fate);
    for (;;) {
        struct frame *frame = next_frame();
        weir_time at = frame ? frame->at : WEIR_TIME_NEVER;
        for (int host = 0; host < 2; host++)
            at = weir_time_min(at, weir_deadline(net.stack[host]));
        if (at > until)
            break;
        if (at > net.now)
            net.now = at;
        if (frame && frame->at <= net.now)
            deliver(frame);
        for (int host = 0; host < 2; host++)
            weir_advance(net.stack[host], net.now);
        send_all(fate);
    }
    net.now = until;
}

/* ---- hosts --------------------------------------------------------------------------------------------- */

static void make_host(int host, bool ip6)
{
    struct weir_netif_config netif = {.name = "wire", .kind = WEIR_NETIF_IP, .mtu = 1500};
    struct weir_config config;
    weir_config_default(&config);
    config.seed[0] = (uint8_t)(host + 1);
    net.stack[host] = weir_stack_new(&config, net.now);
    weir_sysctl_set(net.stack[host], "net.ipv6.conf.default.dad_transmits", 0);
    net.ifindex[host] = weir_netif_add(net.stack[host], &netif, net.now);
    assert_true(weir_addr_parse(ip6    ? host ? "fd00::2" : "fd00::1"
                                : host ? "10.0.0.2"
                                       : "10.0.0.1",
                                &net.addr[host]));
    assert_int_equal(
        weir_addr_add(net.stack[host], net.ifindex[host], &net.addr[host], ip6 ? 64 : 24, net.now),
        0);
    net.file[host] = memfd_create("capture", 0);
    struct weir_capture_config capture = {.fd = dup(net.file[host]), .virtual_time = true};
    assert_int_equal(weir_capture_new(net.stack[host], &capture, &net.capture[host]), 0);
}

static weir_sock new_socket(int host, bool ip6)
{
    weir_sock sock;
    assert_int_equal(weir_sock_open(net.stack[host], ip6 ? WEIR_AF_INET6 : WEIR_AF_INET,
                                    WEIR_SOCK_STREAM, 0, &sock),
                     0);
    return sock;
}

static weir_sock new_connection(bool ip6)
{
    struct weir_endpoint peer = {.addr = net.addr[B], .port = PORT};
    weir_sock sock = new_socket(A, ip6);
    assert_int_equal(weir_sock_connect(net.stack[A], sock, &peer, net.now), WEIR_EINPROGRESS);
    return sock;
}

static void begin(const struct plant *plant)
{
    struct weir_endpoint local = {.port = PORT};
    memset(&net, 0, sizeof net);
    net.now = 1000 * WEIR_SEC;
    net.delay = plant->delay;
    for (int host = 0; host < 2; host++)
        make_host(host, plant->ip6);
    local.addr = net.addr[B];
    net.listener = new_socket(B, plant->ip6);
    if (plant->rcvbuf)
        assert_int_equal(weir_sock_setsockopt(net.stack[B], net.listener, WEIR_SOL_SOCKET,
                                              WEIR_SO_RCVBUF, &plant->rcvbuf, sizeof(int), net.now),
                         0);
    assert_int_equal(weir_sock_bind(net.stack[B], net.listener, &local), 0);
    if (!plant->no_listener)
        assert_int_equal(weir_sock_listen(net.stack[B], net.listener,
                                          plant->backlog ? plant->backlog : 10, net.now),
                         0);
    net.client = new_connection(plant->ip6);
}

static void end(void)
{
    for (int host = 0; host < 2; host++) {
        weir_capture_free(net.capture[host]);
        weir_stack_free(net.stack[host]);
    }
    while (net.n_frames > 0)
        free(net.frames[--net.n_frames].data);
}

/* ---- programs -------------------------------------------------------------------------------------------- */

static const uint8_t zeros[1 << 20];

static void accept_one(void)
{
    weir_sock sock;
    if (net.server == 0 && weir_sock_accept(net.stack[B], net.listener, &sock, NULL, net.now) == 0)
        net.server = sock;
}

static void push(size_t most)
{
    size_t left = net.to_send - net.sent;
    ptrdiff_t n = left > 0 ? weir_sock_send(net.stack[A], net.client, zeros,
                                            left < most ? left : most, 0, NULL, net.now)
                           : 0;
    net.sent += n > 0 ? (size_t)n : 0;
}

static size_t pull(int host, weir_sock sock)
{
    static uint8_t data[1 << 16];
    size_t all = 0;
    ptrdiff_t n;
    while (sock &&
           (n = weir_sock_recv(net.stack[host], sock, data, sizeof data, 0, NULL, net.now)) > 0)
        all += (size_t)n;
    return all;
}

static void close_when_done(unsigned ms, unsigned last)
{
    if (ms == last) {
        weir_sock_close(net.stack[A], net.client, net.now);
        if (net.server)
            weir_sock_close(net.stack[B], net.server, net.now);
    }
}

/* Sends as much as to_send as fast as it goes, and closes. */
static void bulk_of(unsigned ms, size_t bytes, unsigned last)
{
    net.to_send = bytes;
    accept_one();
    push(1 << 20);
    net.read += pull(B, net.server);
    close_when_done(ms, last);
}

static void act_bulk(struct net *n, unsigned ms)
{
    (void)n;
    bulk_of(ms, 200000, 1900);
}

static void act_long(struct net *n, unsigned ms)
{
    (void)n;
    bulk_of(ms, 200000, 4000);
}

static void act_short(struct net *n, unsigned ms)
{
    (void)n;
    bulk_of(ms, 12 * MSS, 1900);
}

static void act_nothing(struct net *n, unsigned ms)
{
    (void)n;
    (void)ms;
}

/* Asks and is answered, at once. */
static void act_exchange(struct net *n, unsigned ms)
{
    accept_one();
    if (ms == 50)
        weir_sock_send(n->stack[A], n->client, zeros, 300, 0, NULL, n->now);
    if (pull(B, n->server) > 0)
        weir_sock_send(n->stack[B], n->server, zeros, 5000, 0, NULL, n->now);
    pull(A, n->client);
    close_when_done(ms, 150);
}

static void act_trickle(struct net *n, unsigned ms)
{
    accept_one();
    if (ms >= 100 && ms % 50 == 0 && ms < 1800)
        weir_sock_send(n->stack[A], n->client, zeros, 500, 0, NULL, n->now);
    pull(B, n->server);
    close_when_done(ms, 1900);
}

/* Each request in two writes, a moment apart; the answer comes when it is whole (the classic). */
static void act_two_writes(struct net *n, unsigned ms)
{
    static size_t got, answers;
    static unsigned second_at;
    if (ms == 0)
        got = answers = second_at = 0;
    accept_one();
    size_t answered = pull(A, n->client);
    answers += answered;
    if (ms == 100 || (answered > 0 && answers < 30 * 100)) {
        weir_sock_send(n->stack[A], n->client, zeros, 60, 0, NULL, n->now);
        second_at = ms + 1;
    } else if (ms == second_at) {
        weir_sock_send(n->stack[A], n->client, zeros, 140, 0, NULL, n->now);
    }
    got += pull(B, n->server);
    if (got >= 200) {
        got -= 200;
        weir_sock_send(n->stack[B], n->server, zeros, 100, 0, NULL, n->now);
    }
    close_when_done(ms, 2900);
}

static void act_stalled_reader(struct net *n, unsigned ms)
{
    n->to_send = 150000;
    accept_one();
    push(1 << 20);
    if (ms < 50 || ms > 1200)
        pull(B, n->server);
    close_when_done(ms, 2900);
}

static void act_queue_full(struct net *n, unsigned ms)
{
    (void)n;
    if (ms == 100 || ms == 200 || ms == 300)
        new_connection(false);
}

static void abort_it(int host, weir_sock sock)
{
    struct weir_linger linger = {1, 0};
    assert_int_equal(weir_sock_setsockopt(net.stack[host], sock, WEIR_SOL_SOCKET, WEIR_SO_LINGER,
                                          &linger, sizeof linger, net.now),
                     0);
    weir_sock_close(net.stack[host], sock, net.now);
}

static void act_server_aborts(struct net *n, unsigned ms)
{
    if (ms < 300)
        act_trickle(n, ms);
    if (ms == 310)
        abort_it(B, n->server);
}

static void act_client_aborts(struct net *n, unsigned ms)
{
    if (ms < 300)
        act_trickle(n, ms);
    if (ms == 310)
        abort_it(A, n->client);
}

/* ---- fates --------------------------------------------------------------------------------------------------- */

static weir_time lose_one(struct net *n, int from, size_t size, unsigned data)
{
    (void)size;
    return from == A && data == 20 ? WEIR_TIME_NEVER : n->delay;
}

static weir_time lose_many(struct net *n, int from, size_t size, unsigned data)
{
    (void)size;
    return from == A && data > 0 && data % 23 == 0 ? WEIR_TIME_NEVER : n->delay;
}

static weir_time lose_tail(struct net *n, int from, size_t size, unsigned data)
{
    (void)size;
    return from == A && data >= 9 && data <= 14 ? WEIR_TIME_NEVER : n->delay;
}

static weir_time lose_answer(struct net *n, int from, size_t size, unsigned data)
{
    (void)size;
    return from == B && data == 2 ? WEIR_TIME_NEVER : n->delay;
}

static weir_time overtake(struct net *n, int from, size_t size, unsigned data)
{
    (void)size;
    return n->delay + (from == A && data > 0 && data % 31 == 7 ? 3 * WEIR_MS : 0);
}

/* One way stands still for a while. */
static weir_time stall(struct net *n, int from, size_t size, unsigned data)
{
    weir_time from_at = 1000 * WEIR_SEC + 150 * WEIR_MS, to_at = from_at + 500 * WEIR_MS;
    (void)size;
    (void)data;
    if (from == A && n->now >= from_at && n->now < to_at)
        return to_at - n->now + n->delay;
    return n->delay;
}

static weir_time lose_syns(struct net *n, int from, size_t size, unsigned data)
{
    (void)n;
    (void)size;
    (void)data;
    return from == A ? WEIR_TIME_NEVER : 0;
}

static weir_time swallow_large(struct net *n, int from, size_t size, unsigned data)
{
    (void)data;
    return from == A && size > 1300 ? WEIR_TIME_NEVER : n->delay;
}

static weir_time fall_silent(struct net *n, int from, size_t size, unsigned data)
{
    (void)from;
    (void)size;
    (void)data;
    return n->now > 1000 * WEIR_SEC + 600 * WEIR_MS ? WEIR_TIME_NEVER : n->delay;
}

/* ---- judging ------------------------------------------------------------------------------------------------- */

/* SIM_EXPLAIN=FOLDER: the sentences are printed, and the captures kept there as the last test has made them. SIM_ONLY=PATTERN: these tests. */
static void keep(int host, const uint8_t *bytes, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%c.pcapng", getenv("SIM_EXPLAIN"), 'A' + host);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    fclose(out);
}

/* The verdict on a connection of the capture of a host, with its comments or without. */
static void judge(int host, bool bare, struct sight_flows *flows, struct sight_verdict *verdict,
                  size_t which)
{
    struct sight_reader reader = {0};
    struct sight_packet packet;
    enum sight_item item;
    off_t size = lseek(net.file[host], 0, SEEK_END);
    size_t room;
    uint8_t *to = sight_room(&reader, (size_t)size, &room);
    assert_int_equal(pread(net.file[host], to, (size_t)size, 0), size);
    if (getenv("SIM_EXPLAIN"))
        keep(host, to, (size_t)size);
    sight_fed(&reader, (size_t)size);
    memset(flows, 0, sizeof *flows);
    while ((item = sight_next(&reader, &packet)) != SIGHT_NOTHING) {
        assert_int_not_equal(item, SIGHT_BAD);
        if (bare)
            packet.comment = NULL;
        if (item == SIGHT_PACKET)
            assert_true(sight_flows_add(flows, &packet));
    }
    sight_reader_free(&reader);
    assert_true(flows->n > which);
    assert_true(sight_judge(&flows->flows[which], verdict));
    assert_int_equal(verdict->annotated, !bare);
}

static bool is_fault(const struct sight_finding *finding)
{
    struct sight_verdict one = {.n_findings = 1};
    one.findings[0] = *finding;
    return !sight_is_healthy(&one);
}

static void expect(const struct plant *plant, int host, bool bare)
{
    struct sight_flows flows;
    struct sight_verdict verdict;
    bool found = plant->cause == NOBODY;
    size_t which = plant->act == act_queue_full ? 3 : 0;

    judge(host, bare, &flows, &verdict, which);
    if (getenv("SIM_EXPLAIN")) {
        printf("--- %s, seen at %s%s\n", plant->name, host ? "B" : "A", bare ? ", bare" : "");
        sight_say(stdout, &flows.flows[which], &verdict);
        fflush(stdout);
    }
    for (unsigned i = 0; i < verdict.n_findings; i++) {
        const struct sight_finding *finding = &verdict.findings[i];
        bool it = (int)finding->cause == plant->cause && finding->side == plant->side;
        found |= it;
        if (!it && is_fault(finding) && (int)finding->cause != plant->also)
            fail_msg("%s, at %c%s: found %s", plant->name, 'A' + host, bare ? ", bare" : "",
                     sight_cause_name(finding->cause));
    }
    if (!found)
        fail_msg("%s, at %c%s: not found", plant->name, 'A' + host, bare ? ", bare" : "");
    sight_flows_free(&flows);
}

static const struct plant plants[] = {
    {.name = "healthy exchange",
     .act = act_exchange,
     .delay = 5 * WEIR_MS,
     .ms = 500,
     .cause = NOBODY,
     .also = NOBODY},
    {.name = "healthy bulk",
     .act = act_bulk,
     .delay = 5 * WEIR_MS,
     .ms = 3000,
     .cause = NOBODY,
     .also = NOBODY},
    {.name = "healthy bulk over IPv6",
     .act = act_bulk,
     .delay = 5 * WEIR_MS,
     .ms = 3000,
     .ip6 = true,
     .cause = NOBODY,
     .also = NOBODY},
    {.name = "refused",
     .act = act_nothing,
     .delay = 5 * WEIR_MS,
     .ms = 500,
     .no_listener = true,
     .cause = SIGHT_REFUSED,
     .side = B,
     .also = NOBODY},
    {.name = "accept queue full",
     .act = act_queue_full,
     .delay = 5 * WEIR_MS,
     .ms = 9000,
     .backlog = 1,
     .cause = SIGHT_ACCEPT_QUEUE,
     .side = B,
     .also = NOBODY,
     .told_only = true},
    {.name = "reset by the server",
     .act = act_server_aborts,
     .delay = 5 * WEIR_MS,
     .ms = 1000,
     .cause = SIGHT_RESET,
     .side = B,
     .also = NOBODY},
    {.name = "reset by the client",
     .act = act_client_aborts,
     .delay = 5 * WEIR_MS,
     .ms = 1000,
     .cause = SIGHT_RESET,
     .side = A,
     .also = NOBODY},
    {.name = "one loss",
     .fate = lose_one,
     .act = act_bulk,
     .delay = 10 * WEIR_MS,
     .ms = 3000,
     .cause = SIGHT_LOSS,
     .side = A,
     .also = NOBODY},
    {.name = "one loss over IPv6",
     .fate = lose_one,
     .act = act_bulk,
     .delay = 10 * WEIR_MS,
     .ms = 3000,
     .ip6 = true,
     .cause = SIGHT_LOSS,
     .side = A,
     .also = NOBODY},
    {.name = "many losses",
     .fate = lose_many,
     .act = act_bulk,
     .delay = 10 * WEIR_MS,
     .ms = 6000,
     .cause = SIGHT_LOSS,
     .side = A,
     .also = NOBODY},
    {.name = "lost tail",
     .fate = lose_tail,
     .act = act_short,
     .delay = 10 * WEIR_MS,
     .ms = 6000,
     .cause = SIGHT_LOSS,
     .side = A,
     .at_sender = true,
     .also = NOBODY},
    {.name = "loss of an answer",
     .fate = lose_answer,
     .act = act_exchange,
     .delay = 10 * WEIR_MS,
     .ms = 3000,
     .cause = SIGHT_LOSS,
     .side = B,
     .also = NOBODY},
    {.name = "reordering",
     .fate = overtake,
     .act = act_bulk,
     .delay = 20 * WEIR_MS,
     .ms = 4000,
     .cause = SIGHT_REORDERING,
     .side = A,
     .also = SIGHT_SPURIOUS},
    {.name = "spurious time-out",
     .fate = stall,
     .act = act_bulk,
     .delay = 20 * WEIR_MS,
     .ms = 5000,
     .cause = SIGHT_SPURIOUS,
     .side = A,
     .also = NOBODY},
    {.name = "zero window",
     .act = act_stalled_reader,
     .delay = 5 * WEIR_MS,
     .ms = 4000,
     .rcvbuf = 20000,
     .cause = SIGHT_ZERO_WINDOW,
     .side = A,
     .also = SIGHT_WINDOW},
    {.name = "small window",
     .act = act_long,
     .delay = 40 * WEIR_MS,
     .ms = 5000,
     .rcvbuf = 8000,
     .cause = SIGHT_WINDOW,
     .side = A,
     .also = NOBODY},
    {.name = "slow start over a long way",
     .act = act_bulk,
     .delay = 100 * WEIR_MS,
     .ms = 5000,
     .cause = SIGHT_CWND,
     .side = A,
     .also = NOBODY},
    {.name = "an application that trickles",
     .act = act_trickle,
     .delay = 5 * WEIR_MS,
     .ms = 3000,
     .cause = SIGHT_APP,
     .side = A,
     .also = NOBODY},
    {.name = "Nagle against delayed ACK",
     .act = act_two_writes,
     .delay = 2 * WEIR_MS,
     .ms = 4000,
     .cause = SIGHT_NAGLE_DELACK,
     .side = A,
     .also = NOBODY},
    {.name = "a black hole for large packets",
     .fate = swallow_large,
     .act = act_bulk,
     .delay = 5 * WEIR_MS,
     .ms = 20000,
     .cause = SIGHT_BLACK_HOLE,
     .side = A,
     .also = NOBODY},
    {.name = "a peer that falls silent",
     .fate = fall_silent,
     .act = act_trickle,
     .delay = 5 * WEIR_MS,
     .ms = 20000,
     .cause = SIGHT_UNANSWERED,
     .side = B,
     .also = NOBODY},
};

static void run(const struct plant *plant)
{
    begin(plant);
    for (unsigned ms = 0; ms < plant->ms; ms++) {
        plant->act(&net, ms);
        run_until(1000 * WEIR_SEC + (ms + 1) * WEIR_MS, plant->fate);
    }
    end();
}

static void a_planted_cause_is_found(void **state)
{
    const struct plant *plant = *state;
    run(plant);
    for (int host = 0; host < 2; host++) {
        bool dark =
            plant->cause == SIGHT_UNANSWERED && host == B; /* there nothing comes any more */
        bool hidden = plant->cause == SIGHT_BLACK_HOLE && host == B;
        if (dark || hidden || (plant->at_sender && host != plant->side))
            continue;
        if (!plant->told_only || host == B)
            expect(plant, host, false);
        if (!plant->told_only)
            expect(plant, host, true);
    }
    close(net.file[A]);
    close(net.file[B]);
}

/* At the client alone, since nothing reaches the server. */
static void a_syn_that_nobody_answers(void **state)
{
    static const struct plant plant = {.name = "SYN unanswered",
                                       .fate = lose_syns,
                                       .act = act_nothing,
                                       .ms = 20000,
                                       .cause = SIGHT_SYN_UNANSWERED,
                                       .side = B,
                                       .also = NOBODY};
    (void)state;
    run(&plant);
    expect(&plant, A, false);
    expect(&plant, A, true);
    close(net.file[A]);
    close(net.file[B]);
}

int main(void)
{
    enum { N = sizeof plants / sizeof *plants };
    struct CMUnitTest tests[N + 1];
    for (size_t i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){.name = plants[i].name,
                                       .test_func = a_planted_cause_is_found,
                                       .initial_state = (void *)(uintptr_t)&plants[i]};
    tests[N] = (struct CMUnitTest)cmocka_unit_test(a_syn_that_nobody_answers);
    cmocka_set_test_filter(getenv("SIM_ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
