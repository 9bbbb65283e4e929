/* SPDX-License-Identifier: MIT */
/*
 * Messages over TCP, which knows only bytes: what one send() gave may come in pieces, what several gave in one. Three
 * ways to tell where a message ends, each on a port of its own, and each message answered with itself backwards:
 *
 *     PORT      a delimiter: lines, ended by '\n'
 *     PORT + 1  a length prefix: 4 bytes, big-endian, then that many
 *     PORT + 2  fixed size: 16 bytes
 *
 * A heartbeat finds a peer that is gone without a word: who has said nothing for a second is sent an empty
 * message (16 zeros on PORT + 2); any message answers it, an empty one in silence. After three unanswered it is closed.
 *
 *     sudo ./framing weir0 10.0.0.2/24 10.0.0.1 7000 &
 *     nc 10.0.0.2 7000
 */
#include <poll.h>
#include <pthread.h>
#include <sys/time.h>

#include "on_tun.h"

enum { LARGEST = 4096, PREFIX = 4, FIXED = 16, HEARTBEATS = 3, TOO_LARGE = -2, INCOMPLETE = -1 };

/* What is known of a message at the front of a buffer: its frame's size and where in it the message is. */
struct frame {
    ptrdiff_t size; /* or INCOMPLETE, TOO_LARGE */
    size_t at, len;
};

typedef struct frame find_fn(const uint8_t *data, size_t len);

struct peer {
    struct weir_host *host;
    int fd;
    find_fn *find;
    size_t len;
    uint8_t buf[PREFIX + LARGEST]; /* a whole frame fits, or it is too large */
};

static struct frame find_line(const uint8_t *data, size_t len)
{
    const uint8_t *end = memchr(data, '\n', len);
    if (!end)
        return (struct frame){len > LARGEST ? TOO_LARGE : INCOMPLETE, 0, 0};
    return (struct frame){end - data + 1, 0, (size_t)(end - data)};
}

static struct frame find_prefixed(const uint8_t *data, size_t len)
{
    uint32_t size;
    if (len < PREFIX)
        return (struct frame){INCOMPLETE, 0, 0};
    memcpy(&size, data, PREFIX);
    size = ntohl(size);
    if (size > LARGEST) /* checked before anything is done with it */
        return (struct frame){TOO_LARGE, 0, 0};
    return (struct frame){len < PREFIX + size ? INCOMPLETE : PREFIX + (ptrdiff_t)size, PREFIX,
                          size};
}

static struct frame find_fixed(const uint8_t *data, size_t len)
{
    static const uint8_t heartbeat[FIXED];
    if (len < FIXED)
        return (struct frame){INCOMPLETE, 0, 0};
    return (struct frame){FIXED, 0, memcmp(data, heartbeat, FIXED) == 0 ? 0 : FIXED};
}

/* Sends a message backwards in the peer's framing, in one call: in two it would be two segments. */
static bool say(struct peer *peer, const uint8_t *data, size_t len)
{
    uint8_t out[PREFIX + LARGEST + 1] = {0};
    size_t at = peer->find == find_prefixed ? PREFIX : 0, size = at + len;
    uint32_t prefix = htonl((uint32_t)len);
    memcpy(out, &prefix, at);
    for (size_t i = 0; i < len; i++)
        out[at + i] = data[len - 1 - i];
    if (peer->find == find_line)
        out[size++] = '\n';
    else if (peer->find == find_fixed)
        size = FIXED;
    return weir_send(peer->host, peer->fd, out, size, 0) == (ssize_t)size;
}

/* Answers all whole messages in the buffer, and keeps the rest. False: no more of this peer. */
static bool answer(struct peer *peer)
{
    size_t at = 0;
    struct frame f;
    while ((f = peer->find(peer->buf + at, peer->len - at)).size > 0) {
        if (f.len > 0 && !say(peer, peer->buf + at + f.at, f.len))
            return false;
        at += (size_t)f.size;
    }
    peer->len -= at;
    memmove(peer->buf, peer->buf + at, peer->len);
    return f.size != TOO_LARGE;
}

static void *serve(void *arg)
{
    struct peer *peer = arg;
    struct timeval second = {.tv_sec = 1};
    int silent = 0;
    weir_setsockopt(peer->host, peer->fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    weir_setsockopt(peer->host, peer->fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second);
    for (;;) {
        ssize_t n =
            weir_recv(peer->host, peer->fd, peer->buf + peer->len, sizeof peer->buf - peer->len, 0);
        if (n > 0) {
            silent = 0;
            peer->len += (size_t)n;
            if (!answer(peer))
                break;
        } else if (n == 0 || errno != EAGAIN || ++silent > HEARTBEATS || !say(peer, NULL, 0)) {
            break;
        }
    }
    weir_close(peer->host, peer->fd);
    free(peer);
    return NULL;
}

int main(int argc, char **argv)
{
    static find_fn *const find[3] = {find_line, find_prefixed, find_fixed};
    struct pollfd listeners[3];
    pthread_t thread;
    uint16_t port;
    struct weir_host *host = start_host(argc, argv, &port);
    for (uint16_t i = 0; i < 3; i++)
        listeners[i] = (struct pollfd){listen_on(host, port + i, SOCK_NONBLOCK), POLLIN, 0};
    while (weir_poll(host, listeners, 3, -1) > 0)
        for (unsigned i = 0; i < 3; i++) {
            int fd = weir_accept(host, listeners[i].fd, NULL, NULL);
            struct peer *peer = fd < 0 ? NULL : calloc(1, sizeof *peer);
            if (fd < 0)
                continue;
            if (peer)
                *peer = (struct peer){.host = host, .fd = fd, .find = find[i]};
            if (peer && pthread_create(&thread, NULL, serve, peer) == 0) {
                pthread_detach(thread);
                continue;
            }
            free(peer);
            weir_close(host, fd);
        }
    die("poll", strerror(errno));
}
