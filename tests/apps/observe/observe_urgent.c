/* SPDX-License-Identifier: MIT */
/* Observations of urgent data: MSG_OOB, the mark, POLLPRI, SIGURG, SO_OOBINLINE. */
#include "observe.h"

static void one(void)
{
    char buf[16] = "";
    int c, s;
    pair_of(&c, &s);
    say("none there", recv(s, buf, 1, MSG_OOB));
    say("send abc, c urgent", send(c, "abc", 3, MSG_OOB));
    say_bits("poll", wait_bits(s, POLLPRI | POLLIN));
    say("at the mark", asked(s, SIOCATMARK));
    say("recv stops before it", recv(s, buf, 9, 0));
    say("at the mark", asked(s, SIOCATMARK));
    say_bits("poll at the mark", bits_now(s));
    say("recv at the mark", recv(s, buf, 9, MSG_DONTWAIT));
    say("peek at it", recv(s, buf, 1, MSG_OOB | MSG_PEEK));
    say("the byte", buf[0]);
    say("take it", recv(s, buf, 1, MSG_OOB));
    say("the byte", buf[0]);
    say_bits("poll after", bits_now(s));
    say("take it again", recv(s, buf, 1, MSG_OOB));
    close(c);
    close(s);
}

static void between(void)
{
    char buf[16] = "";
    int c, s;
    pair_of(&c, &s);
    send(c, "ab", 2, 0);
    say("send one urgent", send(c, "!", 1, MSG_OOB));
    send(c, "cd", 2, 0);
    wait_bits(s, POLLPRI);
    pause_ms(20);
    say("take it first", recv(s, buf, 1, MSG_OOB));
    say("the byte", buf[0]);
    say("at the mark", asked(s, SIOCATMARK));
    say("recv to the mark", recv(s, buf, 9, 0));
    say("at the mark", asked(s, SIOCATMARK));
    say("recv beyond", recv(s, buf, 9, 0));
    say("first byte", buf[0]);
    say("at the mark", asked(s, SIOCATMARK));
    close(c);
    close(s);
    pair_of(&c, &s);
    send(c, "ab", 2, 0);
    send(c, "!", 1, MSG_OOB);
    send(c, "cd", 2, 0);
    wait_bits(s, POLLPRI);
    pause_ms(20);
    say("recv to the mark", recv(s, buf, 9, 0));
    say("recv beyond, urgent byte not taken", recv(s, buf, 9, 0));
    say("first byte", buf[0]);
    close(c);
    close(s);
}

static void twice(void)
{
    char buf[16] = "";
    int c, s;
    pair_of(&c, &s);
    send(c, "a1", 2, MSG_OOB);
    wait_bits(s, POLLPRI);
    send(c, "2", 1, MSG_OOB);
    pause_ms(20);
    say("a second urgent byte: take it", recv(s, buf, 1, MSG_OOB));
    say("the byte", buf[0]);
    say("the first falls into the stream", recv(s, buf, 9, MSG_DONTWAIT));
    say("the second of them", buf[1]);
    close(c);
    close(s);
}

static void in_line(void)
{
    char buf[16] = "";
    int c, s;
    pair_of(&c, &s);
    say("SO_OOBINLINE", set_option(s, SOL_SOCKET, SO_OOBINLINE, 1));
    say("is", option(s, SOL_SOCKET, SO_OOBINLINE));
    send(c, "ab", 2, 0);
    send(c, "!", 1, MSG_OOB);
    send(c, "cd", 2, 0);
    say_bits("poll", wait_bits(s, POLLPRI));
    pause_ms(20);
    say("MSG_OOB in line", recv(s, buf, 1, MSG_OOB));
    say("recv to the mark", recv(s, buf, 9, 0));
    say("at the mark", asked(s, SIOCATMARK));
    say("recv beyond", recv(s, buf, 9, 0));
    say("first byte", buf[0]);
    say_bits("poll after", bits_now(s));
    close(c);
    close(s);
}

static void both_ways(void)
{
    char buf[16] = "";
    int c, s;
    pair_of(&c, &s);
    send(s, "x!", 2, MSG_OOB);
    send(c, "y?", 2, MSG_OOB);
    say_bits("client", wait_bits(c, POLLPRI | POLLIN));
    say_bits("server", wait_bits(s, POLLPRI | POLLIN));
    recv(c, buf, 1, MSG_OOB);
    say("client's byte", buf[0]);
    recv(s, buf, 1, MSG_OOB);
    say("server's byte", buf[0]);
    say("then an end", shutdown(c, SHUT_WR));
    wait_bits(s, POLLRDHUP);
    say("MSG_OOB at the end", recv(s, buf, 1, MSG_OOB));
    say("recv", recv(s, buf, 9, 0));
    say("recv the end", recv(s, buf, 9, 0));
    close(c);
    close(s);
    pair_of(&c, &s);
    shutdown(c, SHUT_WR);
    say("send urgent after shutdown", send(c, "x", 1, MSG_OOB | MSG_NOSIGNAL));
    close(c);
    close(s);
    pair_of(&c, &s);
    send(c, "!", 1, MSG_OOB);
    wait_bits(s, POLLPRI);
    reset(c);
    say_bits("reset with an urgent byte", wait_bits(s, POLLHUP) & ~POLLPRI);
    close(s);
}

static volatile sig_atomic_t urgents;

static void on_urgent(int sig)
{
    (void)sig;
    urgents++;
}

static void signals(void)
{
    char buf[4];
    int c, s;
    signal(SIGURG, on_urgent);
    pair_of(&c, &s);
    urgents = 0;
    send(c, "!", 1, MSG_OOB);
    wait_bits(s, POLLPRI);
    say("without an owner", urgents);
    recv(s, buf, 1, MSG_OOB);
    say("F_SETOWN", fcntl(s, F_SETOWN, getpid()));
    send(c, "?", 1, MSG_OOB);
    wait_bits(s, POLLPRI);
    for (int i = 0; i < 100 && !urgents; i++)
        pause_ms(5);
    say("with an owner", urgents);
    close(c);
    close(s);
    signal(SIGURG, SIG_DFL);
}

static void edges(void)
{
    struct epoll_event ev = {.events = EPOLLPRI | EPOLLET}, got;
    char buf[4];
    int e = epoll_create1(0), c, s;
    pair_of(&c, &s);
    epoll_ctl(e, EPOLL_CTL_ADD, s, &ev);
    say("nothing", epoll_wait(e, &got, 1, 0));
    send(c, "!", 1, MSG_OOB);
    say("an urgent byte", epoll_wait(e, &got, 1, 3000));
    say("its bits", got.events);
    recv(s, buf, 1, MSG_OOB);
    send(c, "data", 4, 0);
    wait_bits(s, POLLIN);
    say("data is not urgent", epoll_wait(e, &got, 1, 40));
    close(c);
    close(s);
    close(e);
}

const struct section observe_urgent[] = {
    {"urgent", one, NULL},
    {"urgent-between", between, NULL},
    {"urgent-twice", twice, NULL},
    {"urgent-inline", in_line, NULL},
    {"urgent-both", both_ways, NULL},
    {"urgent-signal", signals, "it raises no signals"},
    {"urgent-edge", edges, NULL},
    {0},
};
