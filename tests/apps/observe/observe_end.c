/* SPDX-License-Identifier: MIT */
/* Observations of ends: shutdown by `how`, close, reset and the order in which its errors are told. */
#include "observe.h"

static void half(void)
{
    char buf[8];
    int c, s;
    pair_of(&c, &s);
    say("write before shutdown", write(c, "last", 4));
    say("shutdown WR", shutdown(c, SHUT_WR));
    say("shutdown WR again", shutdown(c, SHUT_WR));
    say("write after shutdown", send(c, "x", 1, MSG_NOSIGNAL));
    say_bits("shut side's poll", bits_now(c));
    say_bits("other side's poll", wait_bits(s, POLLRDHUP));
    pause_ms(100);
    say("shut side's state", tcp_state(c));
    say("other side's state", tcp_state(s));
    say("SIOCINQ does not count the FIN", asked(s, SIOCINQ));
    say("read", read(s, buf, sizeof buf));
    say("read end", read(s, buf, sizeof buf));
    say("read end again", read(s, buf, sizeof buf));
    say_bits("other side's poll at the end", bits_now(s));
    say("other side writes", write(s, "back", 4));
    say_bits("shut side's poll with data", wait_bits(c, POLLIN));
    say("read back", read(c, buf, sizeof buf));
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    say("getpeername in CLOSE-WAIT", getpeername(s, (struct sockaddr *)&peer, &len));
    say("other side shuts too", shutdown(s, SHUT_WR));
    say_bits("both shut, first", wait_bits(c, POLLHUP));
    say_bits("both shut, second", wait_bits(s, POLLHUP));
    say("first's state", tcp_state(c));
    say("second's state", tcp_state(s));
    say("read", read(c, buf, sizeof buf));
    say("write", send(s, "x", 1, MSG_NOSIGNAL));
    say("shutdown", shutdown(c, SHUT_RDWR));
    say("getpeername", getpeername(c, (struct sockaddr *)&peer, &len));
    say("getsockname's port", port_of(c) > 0);
    say("connect", connect_to(c, 9));
    say_error("both shut", c);
    close(c);
    close(s);
}

static void both_at_once(void)
{
    char buf[8];
    for (int first = SHUT_RD; first <= SHUT_RDWR; first++) {
        for (int second = SHUT_RD; second <= SHUT_RDWR; second++) {
            int c, s;
            pair_of(&c, &s);
            shutdown(c, first);
            shutdown(s, second);
            pause_ms(20);
            say_of(recv(c, buf, 1, MSG_DONTWAIT), "%d and %d: first reads", first, second);
            say_of(send(c, "x", 1, MSG_NOSIGNAL), "%d and %d: first writes", first, second);
            close(c);
            close(s);
        }
    }
}

static void by_how(void)
{
    char buf[8];
    for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
        int c, s;
        pair_of(&c, &s);
        say_of(shutdown(c, how), "shutdown %d", how);
        say_bits("poll", bits_now(c));
        say("recv", recv(c, buf, 1, MSG_DONTWAIT));
        say("send", send(c, "y", 1, MSG_NOSIGNAL));
        pause_ms(20);
        if (how != SHUT_RDWR)
            say("state", tcp_state(c));
        say_bits("other's poll", bits_now(s));
        say("other's recv", recv(s, buf, 1, MSG_DONTWAIT));
        say("other's send", send(s, "z", 1, MSG_NOSIGNAL));
        pause_ms(20);
        if (how == SHUT_WR)
            say("recv again", recv(c, buf, 1, MSG_DONTWAIT));
        if (how != SHUT_RDWR)
            say("SO_ERROR", option(c, SOL_SOCKET, SO_ERROR));
        say("listen", listen(c, 1));
        close(c);
        close(s);
    }
    int c, s;
    pair_of(&c, &s);
    shutdown(c, SHUT_RD);
    send(s, "late", 4, MSG_NOSIGNAL);
    pause_ms(20);
    say("data after shutdown RD", recv(c, buf, sizeof buf, MSG_DONTWAIT));
    close(c);
    close(s);
    pair_of(&c, &s);
    send(s, "early", 5, MSG_NOSIGNAL);
    wait_bits(c, POLLIN);
    shutdown(c, SHUT_RD);
    say("data before shutdown RD", recv(c, buf, sizeof buf, MSG_DONTWAIT));
    say("then", recv(c, buf, sizeof buf, MSG_DONTWAIT));
    close(c);
    close(s);
}

static void *read_end(void *arg)
{
    char c;
    return (void *)(read(*(int *)arg, &c, 1) + 100);
}

static void while_waiting(void)
{
    int c, s;
    void *result;
    pthread_t thread;
    pair_of(&c, &s);
    pthread_create(&thread, NULL, read_end, &c);
    pause_ms(40);
    shutdown(c, SHUT_RD);
    pthread_join(thread, &result);
    say("shutdown RD ends a blocked read", (long)result - 100);
    pthread_create(&thread, NULL, read_end, &s);
    pause_ms(40);
    shutdown(c, SHUT_WR);
    pthread_join(thread, &result);
    say("shutdown WR ends the peer's", (long)result - 100);
    close(c);
    close(s);
}

static void *accept_end(void *arg)
{
    long fd = accept(*(int *)arg, NULL, NULL);
    return (void *)(fd < 0 ? (long)errno : 0L);
}

static void accept_waiting(void)
{
    void *result;
    pthread_t thread;
    int l = listener(0);
    pthread_create(&thread, NULL, accept_end, &l);
    pause_ms(40);
    say("shutdown of a listener", shutdown(l, SHUT_RD));
    pthread_join(thread, &result);
    errno = (int)(long)result;
    say("ends a blocked accept", -1);
    close(l);
}

/* ---- resets ----------------------------------------------------------------------------------- */

static void resets(void)
{
    char buf[8];
    int c, s;
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    pair_of(&c, &s);
    say("write before reset", write(c, "data", 4));
    wait_bits(s, POLLIN);
    reset(c);
    say_bits("poll", wait_bits(s, POLLHUP));
    say("state", tcp_state(s));
    say("getpeername", getpeername(s, (struct sockaddr *)&peer, &len));
    say("getsockname's port", port_of(s) > 0);
    say("read data", read(s, buf, sizeof buf));
    say("read", read(s, buf, sizeof buf));
    say("read again", read(s, buf, sizeof buf));
    say("write", send(s, "x", 1, MSG_NOSIGNAL));
    say_bits("poll after", bits_now(s));
    say("shutdown", shutdown(s, SHUT_RDWR));
    close(s);
    pair_of(&c, &s);
    reset(c);
    wait_bits(s, POLLHUP);
    say_error("SO_ERROR first", s);
    say_error("again", s);
    say("then read", read(s, buf, sizeof buf));
    say("then write", send(s, "x", 1, MSG_NOSIGNAL));
    close(s);
    pair_of(&c, &s);
    reset(c);
    wait_bits(s, POLLHUP);
    say("write first", send(s, "x", 1, MSG_NOSIGNAL));
    say("write second", send(s, "x", 1, MSG_NOSIGNAL));
    close(s);
}

static void reset_after_end(void)
{
    char buf[8];
    int c, s;
    pair_of(&c, &s);
    shutdown(c, SHUT_WR);
    wait_bits(s, POLLRDHUP);
    reset(c);
    say_bits("reset in CLOSE-WAIT: poll", wait_bits(s, POLLHUP));
    say_error("it", s);
    say("read", read(s, buf, 1));
    say("write", send(s, "x", 1, MSG_NOSIGNAL));
    close(s);
    pair_of(&c, &s);
    write(s, "unread", 6);
    wait_bits(c, POLLIN);
    close(c);
    say_bits("closed unread: poll", wait_bits(s, POLLHUP));
    say("read", read(s, buf, sizeof buf));
    close(s);
    pair_of(&c, &s);
    close(c);
    say_bits("closed: poll", wait_bits(s, POLLRDHUP));
    say("read", read(s, buf, sizeof buf));
    say("first write", send(s, "x", 1, MSG_NOSIGNAL));
    say_bits("written to: poll", wait_bits(s, POLLHUP));
    say_error("written to", s);
    say("second write", send(s, "x", 1, MSG_NOSIGNAL));
    close(s);
    pair_of(&c, &s);
    shutdown(s, SHUT_WR);
    wait_bits(c, POLLRDHUP);
    reset(c);
    say_bits("reset in FIN-WAIT-2: poll", wait_bits(s, POLLERR));
    say("read", read(s, buf, 1));
    say("read again", read(s, buf, 1));
    close(s);
}

static void blocked_reset(void)
{
    int c, s;
    void *result;
    pthread_t thread;
    pair_of(&c, &s);
    pthread_create(&thread, NULL, read_end, &s);
    pause_ms(40);
    reset(c);
    pthread_join(thread, &result);
    say("a reset ends a blocked read", (long)result - 100 < 0);
    say_error("which took the error", s);
    close(s);
}

/* Nobody reads: TCP_USER_TIMEOUT ends it. */
static void timed_out(void)
{
    char c;
    int a, b;
    pair_of(&a, &b);
    set_option(a, IPPROTO_TCP, TCP_USER_TIMEOUT, 400);
    fill_up(a);
    say_bits("poll", wait_bits(a, POLLERR));
    say_error("it", a);
    say("read", recv(a, &c, 1, MSG_DONTWAIT));
    close(a);
    close(b);
    pair_of(&a, &b);
    set_option(a, IPPROTO_TCP, TCP_USER_TIMEOUT, 400);
    fill_up(a);
    wait_bits(a, POLLERR);
    say("read first", recv(a, &c, 1, MSG_DONTWAIT));
    say("read second", recv(a, &c, 1, MSG_DONTWAIT));
    close(a);
    close(b);
}

/* ---- SO_LINGER -------------------------------------------------------------------------------- */

static int lingering(int fd, int on, int seconds)
{
    struct linger linger = {on, seconds};
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static void linger(void)
{
    struct linger got;
    socklen_t len = sizeof got;
    char byte;
    int c, s;
    pair_of(&c, &s);
    getsockopt(c, SOL_SOCKET, SO_LINGER, &got, &len);
    say("l_onoff", got.l_onoff);
    say("l_linger", got.l_linger);
    say("set", lingering(c, 1, 1));
    getsockopt(c, SOL_SOCKET, SO_LINGER, &got, &len);
    say("l_onoff", got.l_onoff);
    say("l_linger", got.l_linger);
    long before = now_ms();
    say("close with nothing to send", close(c));
    say("has waited", now_ms() - before > 500);
    say("the other reads the end", read(s, &byte, 1));
    close(s);
    pair_of(&c, &s);
    lingering(c, 1, 1);
    fill_up(c);
    before = now_ms();
    say("close with the peer's window full", close(c));
    say("has waited a second", now_ms() - before > 800);
    say_bits("no reset follows", bits_now(s) & ~POLLIN);
    close(s);
    pair_of(&c, &s);
    lingering(c, 0, 5);
    fill_up(c);
    before = now_ms();
    close(c);
    say("without SO_LINGER it does not wait", now_ms() - before < 500);
    close(s);
    pair_of(&c, &s);
    say("set 0 seconds", lingering(c, 1, 0));
    write(c, "x", 1);
    close(c);
    say_bits("a reset follows", wait_bits(s, POLLHUP));
    close(s);
}

const struct section observe_end[] = {
    {"half", half, NULL},
    {"shut-both", both_at_once, NULL},
    {"shut", by_how, NULL},
    {"shut-waiting", while_waiting, NULL},
    {"shut-accepting", accept_waiting, NULL},
    {"reset", resets, NULL},
    {"reset-after-end", reset_after_end, NULL},
    {"reset-blocked", blocked_reset, NULL},
    {"timed-out", timed_out, NULL},
    {"linger", linger, NULL},
    {0},
};
