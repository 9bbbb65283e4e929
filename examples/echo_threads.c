/* SPDX-License-Identifier: MIT */
/*
 * An echo server with a thread for each connection:
 *
 *     sudo ./echo_threads weir0 10.0.0.2/24 10.0.0.1 7 &
 *     nc 10.0.0.2 7
 *
 * The blocking calls are those of BSD sockets with a host in front, and may be called from any thread.
 */
#include <pthread.h>
#include <sys/time.h>

#include "on_tun.h"

enum { IDLE_SECONDS = 60 };

struct connection {
    struct weir_host *host;
    int fd;
};

/* A blocking weir_send() sends all it is given, or as much as it could before an error. */
static bool send_all(struct connection *c, const char *data, size_t len)
{
    ssize_t n = weir_send(c->host, c->fd, data, len, 0);
    return n >= 0 && (size_t)n == len;
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    char buf[16384];
    ssize_t n;

    while ((n = weir_recv(c->host, c->fd, buf, sizeof buf, 0)) > 0)
        if (!send_all(c, buf, (size_t)n))
            break;
    if (n < 0) /* EAGAIN: nothing came for IDLE_SECONDS; ECONNRESET, ETIMEDOUT: the peer is gone */
        fprintf(stderr, "echo_threads: connection %d: %s\n", c->fd, strerror(errno));
    weir_close(c->host, c->fd);
    free(c);
    return NULL;
}

/* Hands a connection to a thread of its own; closes it if there can be none. */
static void begin(struct weir_host *host, int fd)
{
    struct timeval idle = {.tv_sec = IDLE_SECONDS};
    struct connection *c = malloc(sizeof *c);
    pthread_t thread;

    if (c) {
        *c = (struct connection){host, fd};
        /* For receiving: a silent client. For sending: one that does not read. */
        weir_setsockopt(host, fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
        weir_setsockopt(host, fd, SOL_SOCKET, SO_SNDTIMEO, &idle, sizeof idle);
        if (pthread_create(&thread, NULL, serve, c) == 0) {
            pthread_detach(thread);
            return;
        }
    }
    fprintf(stderr, "echo_threads: no room for another connection\n");
    free(c);
    weir_close(host, fd);
}

int main(int argc, char **argv)
{
    uint16_t port;
    struct weir_host *host = start_host(argc, argv, &port);
    int listener = listen_on(host, port, 0);

    for (;;) {
        int fd = weir_accept(host, listener, NULL, NULL);
        if (fd >= 0)
            begin(host, fd);
        else if (errno != ECONNABORTED) /* that one: the client has gone again */
            die("accept", strerror(errno));
    }
}
