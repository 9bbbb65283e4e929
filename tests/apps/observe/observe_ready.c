/* SPDX-License-Identifier: MIT */
/* Observations of readiness: poll's bits on the way through a connection, epoll level and edge, once and
 * exclusive. */
#include "observe.h"

static void on_the_way(void)
{
    char buf[8];
    int l = listener(0), c = tcp(0), s;
    say_bits("fresh", bits_now(c));
    say_bits("listening", bits_now(l));
    connect_to(c, port_of(l));
    say_bits("listening with one", wait_bits(l, POLLIN));
    s = accept(l, NULL, NULL);
    say_bits("established", bits_now(s));
    write(c, "ab", 2);
    say_bits("with data", wait_bits(s, POLLIN));
    read(s, buf, 1);
    say_bits("with a byte left", bits_now(s));
    read(s, buf, 1);
    say_bits("drained", bits_now(s));
    write(c, "x", 1);
    shutdown(c, SHUT_WR);
    say_bits("data and the end", wait_bits(s, POLLRDHUP));
    read(s, buf, 1);
    say_bits("the end", bits_now(s));
    say_bits("FIN-WAIT-2", bits_now(c));
    shutdown(s, SHUT_WR);
    say_bits("LAST-ACK and on", wait_bits(s, POLLHUP));
    say_bits("TIME-WAIT", wait_bits(c, POLLHUP));
    close(c);
    close(s);
    close(l);
}

static void poll_calls(void)
{
    int c, s;
    pair_of(&c, &s);
    struct pollfd p[3] = {{s, POLLIN, 0}, {-1, POLLIN, 77}, {c, POLLOUT, 0}};
    say("one of three is ready", poll(p, 3, 0));
    say("the negative one's bits", p[1].revents);
    p[2].events = POLLIN;
    long before = now_ms();
    say("none for 50 ms", poll(p, 3, 50));
    say("has waited", now_ms() - before >= 45);
    p[0].events = 0;
    close(c);
    wait_bits(s, POLLRDHUP);
    say("a half-close without bits asked", poll(p, 1, 0));
    p[0].fd = c;
    say("a closed descriptor", poll(p, 1, 0));
    say("its bits", p[0].revents);
    p[0].fd = s;
    p[0].events = POLLRDNORM | POLLWRNORM | POLLRDBAND;
    poll(p, 1, 0);
    say("RDNORM, WRNORM and RDBAND", p[0].revents);
    close(s);
}

static void *write_soon(void *arg)
{
    pause_ms(50);
    send(*(int *)arg, "x", 1, MSG_NOSIGNAL);
    return NULL;
}

static void woken(void)
{
    int c, s;
    pthread_t thread;
    pair_of(&c, &s);
    struct pollfd p = {s, POLLIN, 0};
    pthread_create(&thread, NULL, write_soon, &c);
    say("poll is woken by data", poll(&p, 1, 3000));
    pthread_join(thread, NULL);
    close(c);
    close(s);
}

/* ---- epoll ------------------------------------------------------------------------------------ */

static int add(int e, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.u32 = 4711};
    return epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev);
}

static int change(int e, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.u32 = 4711};
    return epoll_ctl(e, EPOLL_CTL_MOD, fd, &ev);
}

/* The bits of one event, or none within `ms`. */
static void say_event(const char *what, int e, int ms)
{
    struct epoll_event got = {0};
    int n = epoll_wait(e, &got, 1, ms);
    say_bits(what, n == 1 ? (short)got.events : 0);
}

enum { SOON = 40, SURELY = 3000 };

static void epoll_calls(void)
{
    struct epoll_event got[4];
    int e = epoll_create1(0), c, s;
    pair_of(&c, &s);
    say("wait of 0 events", epoll_wait(e, got, 0, 0));
    say("wait without any", epoll_wait(e, got, 4, 0));
    say("add", add(e, c, EPOLLIN | EPOLLOUT));
    say("add again", add(e, c, EPOLLIN));
    say("change what is not there", change(e, s, EPOLLIN));
    say("remove what is not there", epoll_ctl(e, EPOLL_CTL_DEL, s, NULL));
    say("add itself", add(e, e, EPOLLIN));
    say("strange operation", epoll_ctl(e, 9, c, got));
    say("wait", epoll_wait(e, got, 4, SURELY));
    say("its bits", got[0].events);
    say("its data", got[0].data.u32);
    say("no bits asked", change(e, c, 0));
    say_event("then", e, 0);
    say("remove", epoll_ctl(e, EPOLL_CTL_DEL, c, NULL));
    say("wait after it", epoll_wait(e, got, 4, 0));
    add(e, s, EPOLLIN);
    close(s);
    say("closed ones are gone", epoll_wait(e, got, 4, SOON));
    close(c);
    close(e);
}

static void level(void)
{
    char buf[8];
    int e = epoll_create1(0), l = listener(0), c = tcp(SOCK_NONBLOCK), s;
    add(e, l, EPOLLIN);
    say_event("nothing", e, 0);
    connect_to(c, port_of(l));
    say_event("a connection", e, SURELY);
    say_event("still", e, SURELY);
    s = accept(l, NULL, NULL);
    say_event("accepted", e, 0);
    add(e, s, EPOLLIN | EPOLLRDHUP);
    write(c, "ab", 2);
    say_event("data", e, SURELY);
    read(s, buf, 1);
    say_event("a byte left", e, SURELY);
    read(s, buf, 1);
    say_event("drained", e, 0);
    shutdown(c, SHUT_WR);
    wait_bits(s, POLLRDHUP);
    say_event("the end", e, SURELY);
    say_event("still", e, SURELY);
    reset(c);
    wait_bits(s, POLLHUP);
    say_event("reset", e, SURELY);
    close(s);
    close(l);
    close(e);
}

static void edge(void)
{
    char buf[8];
    int e = epoll_create1(0), l = listener(0), c = tcp(SOCK_NONBLOCK), s;
    add(e, c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    say_event("fresh", e, 0);
    say_event("not again", e, 0);
    connect_to(c, port_of(l));
    say_event("connected", e, SURELY);
    say_event("not again", e, SOON);
    s = accept(l, NULL, NULL);
    write(s, "a", 1);
    say_event("data", e, SURELY);
    say_event("not again", e, SOON);
    write(s, "b", 1);
    say_event("more data, none read", e, SURELY);
    read(c, buf, 1);
    say_event("a read makes none", e, SOON);
    change(e, c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    say_event("a change arms again", e, SURELY);
    shutdown(s, SHUT_WR);
    say_event("the end", e, SURELY);
    say_event("not again", e, SOON);
    reset(s);
    wait_bits(c, POLLHUP);
    say_event("reset", e, SURELY);
    say_event("not again", e, SOON);
    close(c);
    close(l);
    close(e);
}

static void edge_refused(void)
{
    int e = epoll_create1(0), c = tcp(SOCK_NONBLOCK), port = closed_port();
    connect_to(c, port);
    add(e, c, EPOLLIN | EPOLLOUT | EPOLLET);
    say_event("refused", e, SURELY);
    say_event("not again", e, SOON);
    close(c);
    c = tcp(0);
    int l = listener(0);
    add(e, c, EPOLLIN | EPOLLOUT | EPOLLET);
    say_event("fresh", e, 0);
    connect_to(c, port_of(l));
    say_event("a blocking connect", e, SOON);
    close(c);
    close(l);
    close(e);
}

static void edge_full(void)
{
    static char block[65536];
    int e = epoll_create1(0), c, s;
    pair_of(&c, &s);
    add(e, c, EPOLLOUT | EPOLLET);
    say_event("writable", e, 0);
    long sent = fill_up(c), got = 0;
    say_event("full", e, SOON);
    while (got < sent) {
        ssize_t n = read(s, block, sizeof block);
        if (n <= 0)
            break;
        got += n;
    }
    say_event("drained", e, SURELY);
    close(c);
    close(s);
    close(e);
}

static void once(void)
{
    int e = epoll_create1(0), c, s;
    pair_of(&c, &s);
    add(e, s, EPOLLIN | EPOLLONESHOT);
    say_event("nothing", e, 0);
    write(c, "a", 1);
    say_event("data", e, SURELY);
    say_event("not again", e, SOON);
    write(c, "b", 1);
    say_event("nor with more", e, SOON);
    change(e, s, EPOLLIN | EPOLLONESHOT);
    say_event("armed again", e, SURELY);
    close(c);
    wait_bits(s, POLLRDHUP);
    say_event("an end is not told", e, SOON);
    change(e, s, EPOLLOUT | EPOLLONESHOT | EPOLLET);
    say_event("armed for OUT", e, SURELY);
    close(s);
    close(e);
}

struct waiter {
    int epoll;
    int n;
};

static void *wait_here(void *arg)
{
    struct waiter *w = arg;
    struct epoll_event got;
    w->n = epoll_wait(w->epoll, &got, 1, 300);
    return NULL;
}

static void exclusive(void)
{
    struct waiter waiters[3];
    pthread_t threads[3];
    int l = listener(SOCK_NONBLOCK), c = tcp(0), woken = 0;
    for (int i = 0; i < 3; i++) {
        waiters[i] = (struct waiter){epoll_create1(0), 0};
        say("add", add(waiters[i].epoll, l, EPOLLIN | EPOLLEXCLUSIVE));
    }
    say("exclusive cannot be changed", change(waiters[0].epoll, l, EPOLLIN));
    say("nor be once only", add(epoll_create1(0), l, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT));
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, wait_here, &waiters[i]);
    pause_ms(50);
    connect_to(c, port_of(l));
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        woken += waiters[i].n == 1;
        close(waiters[i].epoll);
    }
    say("at least one is woken", woken >= 1);
    close(c);
    close(l);
}

static void nested(void)
{
    struct epoll_event got;
    int inner = epoll_create1(0), outer = epoll_create1(0), c, s;
    pair_of(&c, &s);
    say("an epoll in an epoll", add(outer, inner, EPOLLIN));
    add(inner, s, EPOLLIN);
    say("nothing", epoll_wait(outer, &got, 1, 0));
    write(c, "x", 1);
    say("data", epoll_wait(outer, &got, 1, SURELY));
    close(c);
    close(s);
    close(inner);
    close(outer);
}
const struct section observe_ready[] = {
    {"poll", on_the_way, NULL},
    {"poll-call", poll_calls, NULL},
    {"poll-woken", woken, NULL},
    {"epoll", epoll_calls, NULL},
    {"level", level, NULL},
    {"edge", edge, NULL},
    {"edge-refused", edge_refused, NULL},
    {"edge-full", edge_full, NULL},
    {"once", once, NULL},
    {"exclusive", exclusive, NULL},
    {"nested", nested, NULL},
    {0},
};
