/* SPDX-License-Identifier: MIT */
/*
 * weir_epoll. Expectations are the kernel's own: each scenario is run on its sockets and on Weir's, both write
 * down what each call answered, and the two records must be the same. What involves threads, or is Weir's alone
 * (its eventfd, wake-up by close, numbers), stands by itself at the end.
 */
#define _GNU_SOURCE
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "unit/socket_record.h"

/* ---- calls, written down ------------------------------------------------------------------------ */

static int ctl(struct api *api, struct record *r, int ep, int op, int fd, uint32_t events,
               uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    int rc = API_CALL(api, epoll_ctl, ep, op, fd, &event);
    say(r, "ctl op %d of %llu events %#x = %d %s", op, (unsigned long long)data, events, rc,
        error_of(rc));
    return rc;
}

static int by_data(const void *a, const void *b)
{
    const struct epoll_event *x = a, *y = b;
    return x->data.u64 < y->data.u64 ? -1 : x->data.u64 > y->data.u64;
}

/* Waits without waiting, and tells what it got. */
static int look(struct api *api, struct record *r, int ep, int max)
{
    struct epoll_event events[16];
    char text[160];
    size_t at = 0;
    api_settle(api);
    int n = API_CALL(api, epoll_wait, ep, events, max, 0);
    if (n < max) /* the order of two is chance when one packet causes both */
        qsort(events, n < 0 ? 0 : (size_t)n, sizeof *events, by_data);
    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, " %llu:%#x",
                               (unsigned long long)events[i].data.u64, events[i].events);
    say(r, "wait %d = %d %s%s", max, n, error_of(n), n > 0 ? text : "");
    return n;
}

static int new_epoll(struct api *api)
{
    int ep = API_CALL(api, epoll_create1, 0);
    assert_true(ep >= 0);
    return ep;
}

static void put(struct api *api, int fd, const char *text)
{
    assert_int_equal(API_CALL(api, send, fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static ssize_t take(struct api *api, int fd)
{
    char buf[4096];
    return API_CALL(api, recv, fd, buf, sizeof buf, MSG_DONTWAIT);
}

static void end(struct api *api, int fd)
{
    assert_int_equal(API_CALL(api, close, fd), 0);
}

/* ---- errors ------------------------------------------------------------------------------------- */

static void wrong_arguments(struct api *api, struct record *r, uint32_t seed)
{
    struct epoll_event event;
    volatile int too_many = INT32_MAX; /* the compiler knows what the call would write */
    int fd[2], ep = new_epoll(api), other = new_epoll(api), rc, value;
    (void)seed;
    api_connection(api, fd);
    for (int flags = -1; flags <= 2; flags++) {
        rc = API_CALL(api, epoll_create1, flags);
        say(r, "create1 %d %s", flags, error_of(rc));
    }
    for (int size = -1; size <= 1; size++) {
        rc = API_CALL(api, epoll_create, size);
        say(r, "create %d %s", size, error_of(rc));
    }
    ctl(api, r, ep, EPOLL_CTL_ADD, 900, EPOLLIN, 1);
    ctl(api, r, 900, EPOLL_CTL_ADD, fd[0], EPOLLIN, 2);
    ctl(api, r, -1, EPOLL_CTL_ADD, -1, EPOLLIN, 2);
    ctl(api, r, fd[0], EPOLL_CTL_ADD, fd[1], EPOLLIN, 3);
    ctl(api, r, ep, EPOLL_CTL_ADD, ep, EPOLLIN, 4);
    ctl(api, r, ep, EPOLL_CTL_MOD, fd[0], EPOLLIN, 5);
    ctl(api, r, ep, EPOLL_CTL_DEL, fd[0], EPOLLIN, 6);
    ctl(api, r, ep, 0, fd[0], EPOLLIN, 7);
    ctl(api, r, ep, 4, fd[0], EPOLLIN, 8);
    ctl(api, r, ep, EPOLL_CTL_ADD, fd[0], EPOLLIN, 9);
    ctl(api, r, ep, EPOLL_CTL_ADD, fd[0], EPOLLIN, 10);
    ctl(api, r, ep, 4, fd[0], EPOLLIN, 11);
    ctl(api, r, ep, EPOLL_CTL_MOD, fd[0], EPOLLEXCLUSIVE | EPOLLIN, 12);
    ctl(api, r, ep, EPOLL_CTL_ADD, fd[1], EPOLLEXCLUSIVE | EPOLLIN | EPOLLRDHUP, 13);
    ctl(api, r, ep, EPOLL_CTL_ADD, fd[1], EPOLLEXCLUSIVE | EPOLLIN | EPOLLONESHOT, 14);
    ctl(api, r, ep, EPOLL_CTL_ADD, other, EPOLLEXCLUSIVE | EPOLLIN, 15);
    ctl(api, r, ep, EPOLL_CTL_ADD, fd[1], EPOLLEXCLUSIVE | EPOLLIN | EPOLLET, 16);
    ctl(api, r, ep, EPOLL_CTL_MOD, fd[1], EPOLLIN, 17);
    ctl(api, r, ep, EPOLL_CTL_DEL, fd[1], EPOLLEXCLUSIVE, 18);
    for (int op = 1; op <= 3; op++) {
        rc = API_CALL(api, epoll_ctl, ep, op, fd[1], NULL);
        say(r, "ctl %d without event %d %s", op, rc, error_of(rc));
    }
    for (int max = -1; max <= 1; max++) {
        rc = API_CALL(api, epoll_wait, ep, &event, max, 0);
        say(r, "wait %d %d %s", max, rc, error_of(rc));
        rc = API_CALL(api, epoll_wait, fd[0], &event, max, 0);
        say(r, "wait of a socket %d %d %s", max, rc, error_of(rc));
        rc = API_CALL(api, epoll_wait, 900, &event, max, 0);
        say(r, "wait of nothing %d %d %s", max, rc, error_of(rc));
    }
    rc = API_CALL(api, epoll_wait, ep, &event, too_many, 0);
    say(r, "wait for too many %d %s", rc, error_of(rc));
    rc = API_CALL(api, listen, ep, 1);
    say(r, "listen %d %s", rc, error_of(rc));
    rc = (int)API_CALL(api, recv, ep, &event, 1, 0);
    say(r, "recv %d %s", rc, error_of(rc));
    rc = API_CALL(api, shutdown, ep, SHUT_RD);
    say(r, "shutdown %d %s", rc, error_of(rc));
    rc = api_ioctl(api, ep, FIONREAD, &value);
    say(r, "ioctl %d %s", rc, error_of(rc));
    end(api, ep);
    rc = API_CALL(api, epoll_wait, ep, &event, 1, 0);
    say(r, "wait of what is closed %d %s", rc, error_of(rc));
    end(api, other);
    end(api, fd[0]);
    end(api, fd[1]);
}

static void errors_are_linuxs(void **state)
{
    (void)state;
    on_both(wrong_arguments, 0);
}

/* ---- level, edge, oneshot ----------------------------------------------------------------------- */

static const uint32_t all_bits = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLRDNORM |
                                 EPOLLWRNORM | EPOLLRDBAND | EPOLLWRBAND;

static void life_of_a_connection(struct api *api, struct record *r, uint32_t mode)
{
    struct sockaddr_in sin;
    int ep = new_epoll(api), listener = api_listen(api, &sin), one = 1;
    int idle = API_CALL(api, socket, AF_INET, SOCK_STREAM, 0);
    ctl(api, r, ep, EPOLL_CTL_ADD, idle, all_bits | mode, 1);
    ctl(api, r, ep, EPOLL_CTL_ADD, listener, all_bits | mode, 2);
    look(api, r, ep, 16);
    look(api, r, ep, 16);
    int client = api_connect(api, &sin);
    ctl(api, r, ep, EPOLL_CTL_ADD, client, all_bits | mode, 3);
    look(api, r, ep, 16);
    look(api, r, ep, 16);
    int server = API_CALL(api, accept4, listener, NULL, NULL, SOCK_NONBLOCK);
    ctl(api, r, ep, EPOLL_CTL_ADD, server, all_bits | mode, 4);
    look(api, r, ep, 16);
    put(api, client, "abc");
    look(api, r, ep, 16);
    put(api, client, "def");
    look(api, r, ep, 16);
    look(api, r, ep, 16);
    ctl(api, r, ep, EPOLL_CTL_MOD, server, all_bits | mode, 5);
    look(api, r, ep, 16);
    say(r, "read %zd", take(api, server));
    look(api, r, ep, 16);
    assert_int_equal(API_CALL(api, send, client, "!", 1, MSG_OOB), 1);
    look(api, r, ep, 16);
    API_CALL(api, setsockopt, server, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one);
    say(r, "read %zd", take(api, server));
    look(api, r, ep, 16);
    assert_int_equal(API_CALL(api, shutdown, client, SHUT_WR), 0);
    look(api, r, ep, 16);
    say(r, "read %zd", take(api, server));
    look(api, r, ep, 16);
    put(api, server, "answer");
    end(api, server);
    look(api, r, ep, 16);
    say(r, "read %zd", take(api, client));
    look(api, r, ep, 16);
    end(api, client);
    end(api, idle);
    end(api, listener);
    look(api, r, ep, 16);
    end(api, ep);
}

static void a_connections_life_by_level(void **state)
{
    (void)state;
    on_both(life_of_a_connection, 0);
}

static void a_connections_life_by_edge(void **state)
{
    (void)state;
    on_both(life_of_a_connection, EPOLLET);
}

static void a_connections_life_by_oneshot(void **state)
{
    (void)state;
    on_both(life_of_a_connection, EPOLLONESHOT);
    on_both(life_of_a_connection, EPOLLONESHOT | EPOLLET);
}

static void resets_and_refusals(struct api *api, struct record *r, uint32_t mode)
{
    struct linger hard = {.l_onoff = 1};
    struct sockaddr_in sin;
    int fd[2], ep = new_epoll(api), listener = api_listen(api, &sin), error;
    socklen_t len = sizeof error;
    api_connection(api, fd);
    ctl(api, r, ep, EPOLL_CTL_ADD, fd[1], EPOLLIN | mode, 1);
    look(api, r, ep, 4);
    API_CALL(api, setsockopt, fd[0], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    end(api, fd[0]);
    look(api, r, ep, 4);
    look(api, r, ep, 4);
    assert_int_equal(API_CALL(api, getsockopt, fd[1], SOL_SOCKET, SO_ERROR, &error, &len), 0);
    look(api, r, ep, 4);
    end(api, listener);
    int client = API_CALL(api, socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ctl(api, r, ep, EPOLL_CTL_ADD, client, mode, 2); /* ERR and HUP come unasked */
    look(api, r, ep, 4);
    error = API_CALL(api, connect, client, (struct sockaddr *)&sin, sizeof sin);
    look(api, r, ep, 4);
    look(api, r, ep, 4);
    end(api, client);
    end(api, fd[1]);
    end(api, ep);
}

static void resets_and_refused_connections(void **state)
{
    (void)state;
    on_both(resets_and_refusals, 0);
    on_both(resets_and_refusals, EPOLLET);
    on_both(resets_and_refusals, EPOLLONESHOT);
}

/* An edge is of what was asked for: data is none for who waits for room. An acknowledgment is none for
 * anybody, until a send was refused. */
static void edges_of_each_way(struct api *api, struct record *r, uint32_t seed)
{
    static char block[60000];
    int fd[2], in = new_epoll(api), out = new_epoll(api), both = new_epoll(api),
               hup = new_epoll(api);
    (void)seed;
    api_connection(api, fd);
    ctl(api, r, in, EPOLL_CTL_ADD, fd[0], EPOLLET | EPOLLIN, 1);
    ctl(api, r, out, EPOLL_CTL_ADD, fd[0], EPOLLET | EPOLLOUT, 2);
    ctl(api, r, both, EPOLL_CTL_ADD, fd[0], EPOLLET | EPOLLIN | EPOLLOUT, 3);
    ctl(api, r, hup, EPOLL_CTL_ADD, fd[0], EPOLLET | EPOLLRDHUP, 4);
    for (unsigned i = 0; i < 6; i++) {
        look(api, r, in, 4);
        look(api, r, out, 4);
        look(api, r, both, 4);
        look(api, r, hup, 4);
        if (i == 0)
            put(api, fd[1], "data");
        if (i == 1)
            put(api, fd[0], "answer");
        if (i == 2)
            while (API_CALL(api, send, fd[0], block, sizeof block, MSG_DONTWAIT) > 0)
                api_settle(api);
        if (i == 3) /* all of it: the window opens and the rest comes */
            for (unsigned idle = 0; idle < 3; idle++) {
                while (API_CALL(api, recv, fd[1], block, sizeof block, MSG_DONTWAIT) > 0) {
                    idle = 0;
                    api_settle(api);
                }
                api_settle(api);
            }
        if (i == 4)
            assert_int_equal(API_CALL(api, shutdown, fd[1], SHUT_WR), 0);
    }
    end(api, fd[0]);
    end(api, fd[1]);
    end(api, in);
    end(api, out);
    end(api, both);
    end(api, hup);
}

static void edges_have_a_direction(void **state)
{
    (void)state;
    on_both(edges_of_each_way, 0);
}

/* Options that make a socket ready make an event. */
static void options_that_matter(struct api *api, struct record *r, uint32_t mode)
{
    int fd[2], ep = new_epoll(api), lowat = 10;
    api_connection(api, fd);
    ctl(api, r, ep, EPOLL_CTL_ADD, fd[0], EPOLLIN | mode, 1);
    API_CALL(api, setsockopt, fd[0], SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof lowat);
    put(api, fd[1], "12345");
    look(api, r, ep, 4);
    lowat = 3;
    API_CALL(api, setsockopt, fd[0], SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof lowat);
    look(api, r, ep, 4);
    look(api, r, ep, 4);
    say(r, "read %zd", take(api, fd[0]));
    look(api, r, ep, 4);
    assert_int_equal(API_CALL(api, shutdown, fd[0], SHUT_RD), 0);
    look(api, r, ep, 4);
    look(api, r, ep, 4);
    end(api, fd[0]);
    end(api, fd[1]);
    end(api, ep);
}

static void options_make_events(void **state)
{
    (void)state;
    on_both(options_that_matter, 0);
    on_both(options_that_matter, EPOLLET);
}

static void datagrams(struct api *api, struct record *r, uint32_t mode)
{
    struct sockaddr_in sin = address4("127.0.0.1", 0);
    socklen_t len = sizeof sin;
    int ep = new_epoll(api), fd[2];
    for (unsigned i = 0; i < 2; i++)
        fd[i] = API_CALL(api, socket, AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(API_CALL(api, bind, fd[0], (struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(API_CALL(api, getsockname, fd[0], (struct sockaddr *)&sin, &len), 0);
    assert_int_equal(API_CALL(api, connect, fd[1], (struct sockaddr *)&sin, sizeof sin), 0);
    ctl(api, r, ep, EPOLL_CTL_ADD, fd[0], EPOLLIN | mode, 1);
    /* By edge, Linux has one of EPOLLOUT whenever a datagram has left; here there is always room. */
    ctl(api, r, ep, EPOLL_CTL_ADD, fd[1], EPOLLIN | (mode ? 0 : EPOLLOUT) | mode, 2);
    look(api, r, ep, 4);
    for (unsigned i = 0; i < 2; i++) {
        put(api, fd[1], "datagram");
        look(api, r, ep, 4);
    }
    say(r, "read %zd", take(api, fd[0]));
    look(api, r, ep, 4);
    end(api, fd[0]);
    API_CALL(api, send, fd[1], "x", 1, 0); /* ICMP port unreachable comes back */
    look(api, r, ep, 4);
    look(api, r, ep, 4);
    end(api, fd[1]);
    end(api, ep);
}

static void udp_events(void **state)
{
    (void)state;
    on_both(datagrams, 0);
    on_both(datagrams, EPOLLET);
}

/* ---- many descriptors, many epolls -------------------------------------------------------------- */

static void turn_by_turn(struct api *api, struct record *r, uint32_t mode)
{
    enum { N = 5 };
    int fd[N][2], ep = new_epoll(api);
    for (unsigned i = 0; i < N; i++) {
        api_connection(api, fd[i]);
        ctl(api, r, ep, EPOLL_CTL_ADD, fd[i][1], EPOLLIN | mode, i);
    }
    for (unsigned i = 0; i < N; i++)
        put(api, fd[(i * 2) % N][0], "x");
    for (int i = 0; i < 9; i++)
        look(api, r, ep, 1 + i % 3);
    say(r, "read %zd", take(api, fd[3][1]));
    for (int i = 0; i < 9; i++)
        look(api, r, ep, 1 + i % 3);
    for (unsigned i = 0; i < N; i++) {
        end(api, fd[i][1]);
        look(api, r, ep, 3);
        end(api, fd[i][0]);
    }
    end(api, ep);
}

static void ready_descriptors_take_turns(void **state)
{
    (void)state;
    on_both(turn_by_turn, 0);
    on_both(turn_by_turn, EPOLLET);
}

static void epolls_in_epolls(struct api *api, struct record *r, uint32_t mode)
{
    int fd[2], inner = new_epoll(api), outer = new_epoll(api);
    struct pollfd pfd = {.fd = outer, .events = POLLIN | POLLOUT | POLLRDNORM};
    api_connection(api, fd);
    ctl(api, r, outer, EPOLL_CTL_ADD, inner, EPOLLIN | mode, 1);
    ctl(api, r, inner, EPOLL_CTL_ADD, fd[1], EPOLLIN, 2);
    look(api, r, outer, 4);
    for (unsigned i = 0; i < 3; i++) {
        put(api, fd[0], "x");
        look(api, r, outer, 4);
        look(api, r, outer, 4);
        look(api, r, inner, 4);
        if (i == 1)
            say(r, "read %zd", take(api, fd[1]));
        look(api, r, outer, 4);
        say(r, "poll %d %#x", API_CALL(api, poll, &pfd, 1, 0), pfd.revents);
    }
    end(api, inner);
    look(api, r, outer, 4);
    end(api, outer);
    end(api, fd[0]);
    end(api, fd[1]);
}

static void an_epoll_may_watch_another(void **state)
{
    (void)state;
    on_both(epolls_in_epolls, 0);
    on_both(epolls_in_epolls, EPOLLET);
}

static void random_nesting(struct api *api, struct record *r, uint32_t seed)
{
    enum { N = 9 };
    int ep[N];
    for (unsigned i = 0; i < N; i++)
        ep[i] = new_epoll(api);
    for (unsigned i = 0; i < 60; i++) {
        seed = seed * 1664525u + 1013904223u;
        unsigned a = (seed >> 16) % N, b = (seed >> 20) % N;
        int op = (seed >> 28) < 11 ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;
        ctl(api, r, ep[a], op, ep[b], EPOLLIN, a * 10 + b);
    }
    for (unsigned i = 0; i < N; i++)
        end(api, ep[i]);
}

static void circles_and_depth_are_refused(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 60; seed++)
        on_both(random_nesting, seed * 7919);
}

/* ---- anything ----------------------------------------------------------------------------------- */

enum { PAIRS = 3, EPOLLS = 3 };

struct chaos {
    struct api *api;
    struct record *r;
    uint32_t seed;
    int fd[PAIRS * 2], ep[EPOLLS];
};

static uint32_t pick(struct chaos *c, uint32_t n)
{
    c->seed = c->seed * 1664525u + 1013904223u;
    return (c->seed >> 12) % n;
}

static void renew(struct chaos *c, unsigned pair)
{
    for (unsigned side = 0; side < 2; side++)
        if (c->fd[pair * 2 + side] >= 0)
            end(c->api, c->fd[pair * 2 + side]);
    api_settle(c->api);
    api_connection(c->api, &c->fd[pair * 2]);
}

static void control_something(struct chaos *c, unsigned ep, unsigned end_of)
{
    static const uint32_t bits[] = {
        EPOLLIN,     EPOLLOUT, EPOLLRDHUP, EPOLLIN | EPOLLOUT, EPOLLIN | EPOLLRDHUP,
        EPOLLRDNORM, EPOLLPRI, 0};
    static const uint32_t modes[] = {0, EPOLLET, EPOLLONESHOT,  EPOLLET | EPOLLONESHOT,
                                     0, EPOLLET, EPOLLEXCLUSIVE};
    int op = (int)pick(c, 8);
    op = op < 4 ? EPOLL_CTL_ADD : op < 7 ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    ctl(c->api, c->r, c->ep[ep], op, c->fd[end_of], bits[pick(c, 8)] | modes[pick(c, 7)], end_of);
}

/* As long as something is unread, and be it a FIN, Linux delays the ACK of a FIN. */
static void drain(struct chaos *c, unsigned at)
{
    api_settle(c->api);
    if (c->fd[at] >= 0)
        take(c->api, c->fd[at]);
}

/* No acknowledgment is left for later: when it comes would depend on clocks. */
static void acknowledge_all(struct chaos *c)
{
    int one = 1;
    api_settle(c->api);
    for (unsigned i = 0; i < PAIRS * 2; i++)
        if (c->fd[i] >= 0)
            API_CALL(c->api, setsockopt, c->fd[i], IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
    api_settle(c->api);
}

static void do_something(struct chaos *c)
{
    unsigned at = pick(c, PAIRS * 2), ep = pick(c, EPOLLS), what = pick(c, 20);
    ssize_t n = 0;
    if (c->fd[at] < 0 && what != 17) {
        return;
    } else if (what < 6) {
        control_something(c, ep, at);
    } else if (what < 9) {
        n = API_CALL(c->api, send, c->fd[at], "hello", 1 + pick(c, 5), MSG_NOSIGNAL);
        say(c->r, "send %u = %zd %s", at, n, error_of((int)n));
    } else if (what < 12) {
        n = take(c->api, c->fd[at]);
        say(c->r, "recv %u = %zd %s", at, n, error_of((int)n));
    } else if (what == 12) {
        drain(c, at ^ 1);
        n = API_CALL(c->api, shutdown, c->fd[at], (int)pick(c, 3));
        say(c->r, "shutdown %u = %zd %s", at, n, error_of((int)n));
        drain(c, at ^ 1);
    } else if (what == 13) {
        say(c->r, "close %u", at);
        end(c->api, c->fd[at]);
        c->fd[at] = -1;
    } else if (what == 14 && pick(c, 4) == 0) {
        say(c->r, "renew %u", at / 2);
        renew(c, at / 2);
    } else {
        say(c->r, "look at epoll %u", ep);
        look(c->api, c->r, c->ep[ep], 16);
    }
    acknowledge_all(c);
}

static void anything(struct api *api, struct record *r, uint32_t seed)
{
    struct chaos c = {.api = api, .r = r, .seed = seed};
    for (unsigned i = 0; i < PAIRS * 2; i++)
        c.fd[i] = -1;
    for (unsigned i = 0; i < PAIRS; i++)
        renew(&c, i);
    for (unsigned i = 0; i < EPOLLS; i++)
        c.ep[i] = new_epoll(api);
    for (unsigned i = 0; i < 150; i++)
        do_something(&c);
    for (unsigned i = 0; i < PAIRS * 2; i++)
        if (c.fd[i] >= 0)
            end(api, c.fd[i]);
    for (unsigned i = 0; i < EPOLLS; i++)
        end(api, c.ep[i]);
}

static void random_use_is_answered_alike(void **state)
{
    const char *seeds = getenv("WEIR_EPOLL_SEEDS");
    uint32_t n = seeds ? (uint32_t)atoi(seeds) : 200;
    (void)state;
    for (uint32_t seed = 1; seed <= n; seed++)
        on_both(anything, seed * 104729);
}

/* ---- threads ------------------------------------------------------------------------------------ */

enum { THREADS = 4 };

struct sleeper {
    pthread_t thread;
    struct api *api;
    int ep, got;
    _Atomic pid_t tid;
    atomic_bool back;
};

static void *sleep_in_epoll(void *arg)
{
    struct sleeper *s = arg;
    struct epoll_event event;
    s->tid = gettid();
    s->got = API_CALL(s->api, epoll_wait, s->ep, &event, 1, -1);
    s->back = true;
    return NULL;
}

/* It blocks in its call, and nothing is on its way to it. */
static bool is_asleep(const struct sleeper *s)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)s->tid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    const char *state = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    fclose(f);
    return state && state[2] == 'S';
}

/* How many are back; -1 when some are neither that nor asleep. */
static int look_at_all(const struct sleeper *s)
{
    int back = 0, asleep = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        bool is_back = s[i].back;
        back += is_back;
        asleep += !is_back && s[i].tid != 0 && is_asleep(&s[i]) && !s[i].back;
    }
    return back + asleep == THREADS ? back : -1;
}

/* How many are back when all others sleep. Who comes back may wake another one, before: so it is seen twice. */
static unsigned count_back(const struct sleeper *s)
{
    int before = -1, now = -1;
    while (now < 0 || now != before) {
        before = now;
        sched_yield();
        now = look_at_all(s);
    }
    return (unsigned)now;
}

/* A thread and an epoll each (or all of them one) wait for a listener. How many wake up for each connection? */
static void who_wakes(struct api *api, struct record *r, uint32_t mode)
{
    bool one_epoll = (mode & 1) != 0;
    struct sleeper s[THREADS] = {0};
    struct sockaddr_in sin;
    int listener = api_listen(api, &sin), client[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        s[i].api = api;
        s[i].ep = one_epoll && i > 0 ? s[0].ep : new_epoll(api);
        if (i == 0 || !one_epoll)
            ctl(api, r, s[i].ep, EPOLL_CTL_ADD, listener, EPOLLIN | (mode & ~1u), i);
        assert_int_equal(pthread_create(&s[i].thread, NULL, sleep_in_epoll, &s[i]), 0);
    }
    say(r, "%u back", count_back(s));
    for (unsigned i = 0; i < THREADS; i++) {
        client[i] = api_connect(api, &sin);
        api_settle(api);
        say(r, "%u back", count_back(s));
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(s[i].thread, NULL);
        say(r, "thread %u got %d", i, s[i].got);
        end(api, client[i]);
        if (i == 0 || !one_epoll)
            end(api, s[i].ep);
    }
    end(api, listener);
}

static void as_many_threads_wake_as_on_linux(void **state)
{
    (void)state;
    on_both(who_wakes, 0);              /* an epoll each: all */
    on_both(who_wakes, EPOLLEXCLUSIVE); /* one for each connection */
    on_both(who_wakes, EPOLLET | 1);    /* one epoll: one for each edge */
    on_both(who_wakes, 1);              /* one epoll: all, as the listener stays ready */
    on_both(who_wakes, EPOLLEXCLUSIVE | EPOLLET);
}

/* ---- Weir's alone ------------------------------------------------------------------------------- */

static void closing_wakes_who_waits(void **state)
{
    struct sleeper s[THREADS] = {0};
    struct api api;
    (void)state;
    api_open_weir(&api);
    int ep = new_epoll(&api), fd = weir_socket(api.host, AF_INET, SOCK_DGRAM, 0);
    struct epoll_event event = {.events = EPOLLIN};
    assert_int_equal(weir_epoll_ctl(api.host, ep, EPOLL_CTL_ADD, fd, &event), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        s[i].api = &api;
        s[i].ep = ep;
        assert_int_equal(pthread_create(&s[i].thread, NULL, sleep_in_epoll, &s[i]), 0);
    }
    assert_int_equal(count_back(s), 0);
    assert_int_equal(weir_close(api.host, fd), 0);
    assert_int_equal(count_back(s), 0);
    assert_int_equal(weir_close(api.host, ep), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(s[i].thread, NULL);
        assert_int_equal(s[i].got, -1);
    }
    api_close(&api);
}

static void a_wait_ends_by_its_time(void **state)
{
    struct epoll_event event;
    struct api api;
    (void)state;
    api_open_weir(&api);
    int ep = new_epoll(&api);
    weir_time before = weir_now();
    assert_int_equal(weir_epoll_wait(api.host, ep, &event, 1, 20), 0);
    assert_true(weir_now() - before >= 20 * WEIR_MS);
    api_close(&api); /* with the epoll open */
}

static bool is_readable(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    return poll(&pfd, 1, 0) == 1;
}

static void a_kernel_descriptor_tells_of_it(void **state)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct api api;
    int fd[2];
    (void)state;
    api_open_weir(&api);
    int ep = new_epoll(&api), inner = new_epoll(&api);
    api_connection(&api, fd);
    assert_int_equal(weir_epoll_ctl(api.host, inner, EPOLL_CTL_ADD, fd[1], &event), 0);
    assert_int_equal(weir_epoll_ctl(api.host, ep, EPOLL_CTL_ADD, inner, &event), 0);
    int told = weir_epoll_fd(api.host, ep);
    assert_true(told >= 0);
    assert_int_equal(weir_epoll_fd(api.host, ep), told);
    assert_fails_with(weir_epoll_fd(api.host, fd[0]), EINVAL);
    assert_fails_with(weir_epoll_fd(api.host, 900), EBADF);
    for (unsigned i = 0; i < 2; i++) {
        assert_false(is_readable(told));
        put(&api, fd[0], "x");
        api_settle(&api);
        assert_true(is_readable(told));
        assert_int_equal(weir_epoll_wait(api.host, ep, &event, 1, 0), 1);
        assert_true(is_readable(told)); /* by level: it is not read yet */
        assert_int_equal(take(&api, fd[1]), 1);
        assert_int_equal(weir_epoll_wait(api.host, ep, &event, 1, 0), 0);
    }
    put(&api, fd[0], "x");
    api_settle(&api);
    int late = weir_epoll_fd(api.host, inner); /* asked for when there is something */
    assert_true(is_readable(late));
    api_close(&api);
}

/* Threads share one epoll of connections by EPOLLONESHOT; each message is handled once, and all are. */
enum { CONNECTIONS = 24, MESSAGES = 50 };

struct workers {
    struct pair p;
    int ep, fd[CONNECTIONS];
    atomic_uint in_hand[CONNECTIONS], bytes, twice;
};

static void *work(void *arg)
{
    struct workers *w = arg;
    struct weir_host *host = w->p.host[1];
    struct epoll_event event;
    char buf[64];
    while (weir_epoll_wait(host, w->ep, &event, 1, -1) == 1) {
        unsigned i = event.data.u32;
        if (atomic_fetch_add(&w->in_hand[i], 1) != 0)
            w->twice++;
        ssize_t n = weir_recv(host, w->fd[i], buf, sizeof buf, MSG_DONTWAIT);
        if (n > 0)
            w->bytes += (unsigned)n;
        if (n > 0 && weir_send(host, w->fd[i], buf, (size_t)n, 0) != n)
            break;
        atomic_fetch_sub(&w->in_hand[i], 1);
        event.events = EPOLLIN | EPOLLONESHOT;
        if (n > 0 && weir_epoll_ctl(host, w->ep, EPOLL_CTL_MOD, w->fd[i], &event) != 0)
            break;
    }
    return NULL;
}

static void threads_share_an_epoll(void **state)
{
    static struct workers w;
    pthread_t threads[THREADS];
    int client[CONNECTIONS];
    (void)state;
    memset(&w, 0, sizeof w);
    pair_make(&w.p, true, (struct weir_pipe_config){.kind = WEIR_NETIF_IP});
    pair_start(&w.p);
    int listener = listen4(&w.p, 7);
    w.ep = weir_epoll_create1(w.p.host[1], 0);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = i};
        client[i] = weir_socket(w.p.host[0], AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect4(w.p.host[0], client[i], "10.0.0.2", 7), 0);
        w.fd[i] = weir_accept(w.p.host[1], listener, NULL, NULL);
        assert_true(w.fd[i] >= 0);
        assert_int_equal(weir_epoll_ctl(w.p.host[1], w.ep, EPOLL_CTL_ADD, w.fd[i], &event), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &w), 0);
    for (unsigned k = 0; k < MESSAGES; k++) {
        for (unsigned i = 0; i < CONNECTIONS; i++)
            assert_int_equal(weir_send(w.p.host[0], client[i], "message", 7, 0), 7);
        for (unsigned i = 0; i < CONNECTIONS; i++) {
            char buf[7];
            assert_int_equal(weir_recv(w.p.host[0], client[i], buf, 7, MSG_WAITALL), 7);
        }
    }
    assert_int_equal(w.bytes, CONNECTIONS * MESSAGES * 7);
    assert_int_equal(w.twice, 0);
    assert_int_equal(weir_close(w.p.host[1], w.ep), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pair_free(&w.p);
}

/* A hundred thousand sockets in one epoll. */
static void a_hundred_thousand_sockets(void **state)
{
    enum { N = 100000 };
    struct sockaddr_in sin;
    struct api api;
    socklen_t len = sizeof sin;
    (void)state;
    api_open_weir(&api);
    int sender = weir_socket(api.host, AF_INET, SOCK_DGRAM, 0);
    int ep = new_epoll(&api), first = -1, last = -1;
    for (unsigned i = 0; i < N; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        last = weir_socket(api.host, AF_INET, SOCK_DGRAM, 0);
        first = first < 0 ? last : first;
        assert_int_equal(weir_epoll_ctl(api.host, ep, EPOLL_CTL_ADD, last, &event), 0);
    }
    struct sockaddr_in any = address4("127.0.0.1", 0);
    int far[3] = {first, first + N / 2, last};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(weir_bind(api.host, far[i], (struct sockaddr *)&any, sizeof any), 0);
        assert_int_equal(weir_getsockname(api.host, far[i], (struct sockaddr *)&sin, &len), 0);
        assert_int_equal(
            weir_sendto(api.host, sender, "x", 1, 0, (struct sockaddr *)&sin, sizeof sin), 1);
    }
    struct epoll_event events[8];
    assert_int_equal(weir_epoll_wait(api.host, ep, events, 8, 1000), 3);
    assert_int_equal(events[0].data.u32, 0);
    assert_int_equal(events[1].data.u32, N / 2);
    assert_int_equal(events[2].data.u32, N - 1);
    for (int fd = first; fd <= last; fd++)
        end(&api, fd);
    assert_int_equal(weir_epoll_wait(api.host, ep, events, 8, 0), 0);
    api_close(&api);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_linuxs),
        cmocka_unit_test(a_connections_life_by_level),
        cmocka_unit_test(a_connections_life_by_edge),
        cmocka_unit_test(a_connections_life_by_oneshot),
        cmocka_unit_test(resets_and_refused_connections),
        cmocka_unit_test(edges_have_a_direction),
        cmocka_unit_test(options_make_events),
        cmocka_unit_test(udp_events),
        cmocka_unit_test(ready_descriptors_take_turns),
        cmocka_unit_test(an_epoll_may_watch_another),
        cmocka_unit_test(circles_and_depth_are_refused),
        cmocka_unit_test(random_use_is_answered_alike),
        cmocka_unit_test(as_many_threads_wake_as_on_linux),
        cmocka_unit_test(closing_wakes_who_waits),
        cmocka_unit_test(a_wait_ends_by_its_time),
        cmocka_unit_test(a_kernel_descriptor_tells_of_it),
        cmocka_unit_test(threads_share_an_epoll),
        cmocka_unit_test(a_hundred_thousand_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
