/* SPDX-License-Identifier: MIT */
/*
 * An echo server with one thread, non-blocking sockets and weir_epoll:
 *
 *     sudo ./echo_epoll weir0 10.0.0.2/24 10.0.0.1 7 &
 *
 * A connection has one buffer. While it holds bytes that the client does not take, nothing more is read: so
 * memory is bounded, and a client that does not read is stopped by its own window.
 */
#include "on_tun.h"

enum { BUFFER = 16384, EVENTS = 64 };

struct connection {
    int fd;
    uint32_t watched;  /* what epoll was asked for */
    size_t begin, end; /* bytes of buf that are to be sent */
    bool finished;     /* the client sends no more */
    char buf[BUFFER];
};

static struct weir_host *host;
static int epfd;

static void accept_all(int listener)
{
    int fd;
    while ((fd = weir_accept4(host, listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct connection *c = malloc(sizeof *c);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (c)
            *c = (struct connection){.fd = fd, .watched = EPOLLIN};
        if (!c || weir_epoll_ctl(host, epfd, EPOLL_CTL_ADD, fd, &event) < 0) {
            fprintf(stderr, "echo_epoll: no room for another connection\n");
            free(c);
            weir_close(host, fd);
        }
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept", strerror(errno));
}

/* Sends what is in the buffer. False: the connection is lost. */
static bool flush(struct connection *c)
{
    while (c->begin < c->end) {
        ssize_t n = weir_send(host, c->fd, c->buf + c->begin, c->end - c->begin, 0);
        if (n < 0)
            return errno == EAGAIN;
        c->begin += (size_t)n;
    }
    return true;
}

/* Reads and sends until one of them would have to wait. False: this is over. */
static bool pump(struct connection *c)
{
    for (;;) {
        if (!flush(c))
            return false;
        if (c->begin < c->end)
            return true; /* the client must read first */
        if (c->finished)
            return false; /* all is sent */
        ssize_t n = weir_recv(host, c->fd, c->buf, sizeof c->buf, 0);
        if (n < 0)
            return errno == EAGAIN;
        c->finished = n == 0;
        c->begin = 0;
        c->end = (size_t)n;
    }
}

static void serve(struct connection *c)
{
    if (!pump(c)) {
        weir_close(host, c->fd); /* epoll forgets it */
        free(c);
        return;
    }
    struct epoll_event event = {.events = c->begin < c->end ? EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (event.events != c->watched && weir_epoll_ctl(host, epfd, EPOLL_CTL_MOD, c->fd, &event) < 0)
        die("epoll_ctl", strerror(errno));
    c->watched = event.events;
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.ptr = NULL};
    uint16_t port;

    host = start_host(argc, argv, &port);
    int listener = listen_on(host, port, SOCK_NONBLOCK);
    if ((epfd = weir_epoll_create1(host, 0)) < 0 ||
        weir_epoll_ctl(host, epfd, EPOLL_CTL_ADD, listener, &event) < 0)
        die("epoll", strerror(errno));
    for (;;) {
        int n = weir_epoll_wait(host, epfd, events, EVENTS, -1);
        if (n < 0)
            die("epoll_wait", strerror(errno));
        for (int i = 0; i < n; i++)
            events[i].data.ptr ? serve(events[i].data.ptr) : accept_all(listener);
    }
}
