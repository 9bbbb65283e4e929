/* SPDX-License-Identifier: MIT */
/*
 * Captures of a running host. One whose descriptor does not block is the loop's: it is written to when there is
 * room, ended when its reader has closed, and finished, with what is still waiting, when its reader has only
 * shut down its writing side: so a client says that it has seen enough, and still reads the counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <weir/capture.h>

#include "host/host_internal.h"

struct wr_tap {
    struct wr_tap *next;
    struct weir_host *host;
    struct weir_capture *capture;
    int fd;
    bool served;   /* the descriptor does not block: the loop watches it */
    bool finished; /* what is waiting is the last */
    uint32_t waits;
};

static void ready(void *arg, int fd, uint32_t events);

static void release(struct wr_tap *tap)
{
    if (tap->served)
        weir_loop_watch(tap->host->loop, tap->fd, 0, NULL, NULL);
    weir_capture_free(tap->capture);
    free(tap);
}

static void end(struct wr_tap *tap)
{
    struct wr_tap **at = &tap->host->taps;
    while (*at != tap)
        at = &(*at)->next;
    *at = tap->next;
    release(tap);
}

/* Writes, and watches for what it waits for. It may have ended then. */
static void serve(struct wr_tap *tap)
{
    int err = weir_capture_flush(tap->capture);
    uint32_t waits = tap->finished ? 0 : EPOLLIN | EPOLLRDHUP;
    if (err == WEIR_EAGAIN)
        waits |= EPOLLOUT;
    bool broken = (err && err != WEIR_EAGAIN) || waits == 0;
    if (!broken && waits != tap->waits)
        broken = weir_loop_watch(tap->host->loop, tap->fd, waits, ready, tap) != 0;
    tap->waits = waits;
    if (broken)
        end(tap);
}

static void ready(void *arg, int fd, uint32_t events)
{
    struct wr_tap *tap = arg;
    char nothing[64];
    if (events & (EPOLLERR | EPOLLHUP)) {
        end(tap);
        return;
    }
    if (!tap->finished && (events & EPOLLIN) &&
        recv(fd, nothing, sizeof nothing, MSG_DONTWAIT) == 0) {
        weir_capture_finish(tap->capture);
        tap->finished = true;
    }
    serve(tap);
}

int weir_host_capture(struct weir_host *host, const struct weir_capture_config *config,
                      struct weir_capture **out)
{
    struct wr_tap *tap = calloc(1, sizeof *tap);
    if (!tap)
        return WEIR_ENOMEM;
    wr_loop_lock(host->loop);
    int err = weir_capture_new(host->stack, config, &tap->capture);
    if (!err) {
        tap->host = host;
        tap->fd = config->fd;
        tap->served = (fcntl(config->fd, F_GETFL) & O_NONBLOCK) != 0;
        tap->next = host->taps;
        host->taps = tap;
        if (out)
            *out = tap->capture;
        if (tap->served)
            serve(tap);
    } else {
        free(tap);
    }
    wr_loop_unlock(host->loop);
    return err;
}

void weir_host_capture_end(struct weir_host *host, struct weir_capture *capture)
{
    wr_loop_lock(host->loop);
    struct wr_tap *tap = host->taps;
    while (tap && tap->capture != capture)
        tap = tap->next;
    if (tap)
        end(tap);
    wr_loop_unlock(host->loop);
}

/* ---- traffic ---------------------------------------------------------------------------------------- */

void wr_host_capture_in(struct weir_host *host, int ifindex, const struct weir_frame *frame,
                        weir_time now)
{
    for (struct wr_tap *tap = host->taps; tap; tap = tap->next)
        if (!tap->finished)
            weir_capture_in(tap->capture, ifindex, frame, now);
}

void wr_host_capture_out(struct weir_host *host, int ifindex, const struct weir_out *out,
                         weir_time now)
{
    for (struct wr_tap *tap = host->taps; tap; tap = tap->next)
        if (!tap->finished)
            weir_capture_out(tap->capture, ifindex, out, now);
}

void wr_host_capture_flush(struct weir_host *host)
{
    for (struct wr_tap *tap = host->taps, *next; tap; tap = next) {
        next = tap->next;
        if (tap->served)
            serve(tap);
    }
}

void wr_host_capture_end_all(struct weir_host *host)
{
    struct wr_tap *tap;
    while ((tap = host->taps) != NULL) {
        host->taps = tap->next;
        release(tap);
    }
}
