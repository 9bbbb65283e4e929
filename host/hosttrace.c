/* SPDX-License-Identifier: MIT */
/*
 * Followers of a running host: what its stack decides, as lines.
 *
 * The ring of the trace is what waits for a slow reader: records are taken out of it, and made into lines, only as
 * the descriptor takes them. A reader that stops costs the host nothing; what is overwritten meanwhile is counted
 * and told where it is missing.
 *
 *     stack --> ring of the trace --> lines (LINES bytes at most) --> descriptor
 *                    |
 *                    overtaken: {"lost":17}
 *
 * The end in two steps is as that of captures: hostcapture.c. The last line is
 * {"end":true,"records":N,"lost":M}.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/trace.h>

#include "host/host_internal.h"

enum { RING = 1 << 14, LINE = 1024, LINES = 1 << 18 };

struct wr_follower {
    struct wr_follower *next;
    struct weir_host *host;
    struct wr_follow_config config;
    bool finished; /* records from `until` on are not its own */
    bool said_end;
    uint32_t waits;
    struct weir_trace_reader reader;
    uint64_t until, records, told_lost;
    size_t len;
    char lines[LINES];
};

static void ready(void *arg, int fd, uint32_t events);

/* ---- lines ---------------------------------------------------------------------------------------- */

static bool is_end(const struct weir_endpoint *wanted, const struct weir_addr *addr, uint16_t port)
{
    return port == wanted->port &&
           (weir_addr_is_any(&wanted->addr) || weir_addr_eq(addr, &wanted->addr));
}

static bool is_wanted(const struct wr_follower *f, const struct weir_trace *r)
{
    const struct weir_endpoint *end = &f->config.connection;
    return end->port == 0 || is_end(end, &r->local, r->lport) || is_end(end, &r->remote, r->rport);
}

static char *tail(struct wr_follower *f)
{
    return f->lines + f->len;
}

static void put_lost(struct wr_follower *f)
{
    if (f->reader.lost == f->told_lost)
        return;
    f->len +=
        (size_t)snprintf(tail(f), LINE, "{\"lost\":%" PRIu64 "}\n", f->reader.lost - f->told_lost);
    f->told_lost = f->reader.lost;
}

static void put_record(struct wr_follower *f, const struct weir_trace *record)
{
    f->records++;
    f->len += f->config.json ? weir_trace_json(record, tail(f), LINE)
                             : weir_trace_print(record, tail(f), LINE);
    *tail(f) = '\n';
    f->len++;
}

static bool has_room(const struct wr_follower *f)
{
    return f->len + 2 * LINE <= LINES; /* a record's, and one before it of what was lost */
}

/* Makes lines of the records there are, as many as have room. True if there are more. */
static bool fill(struct wr_follower *f)
{
    struct weir_trace record;
    while (has_room(f)) {
        if (f->reader.next >= f->until || !weir_trace_read(f->host->stack, &f->reader, &record))
            break;
        if (f->reader.next > f->until) /* it was overtaken, past its own end */
            break;
        put_lost(f);
        if (is_wanted(f, &record))
            put_record(f, &record);
    }
    if (!has_room(f))
        return true;
    if (f->finished && !f->said_end) {
        put_lost(f);
        f->len += (size_t)snprintf(tail(f), LINE,
                                   "{\"end\":true,\"records\":%" PRIu64 ",\"lost\":%" PRIu64 "}\n",
                                   f->records, f->reader.lost);
        f->said_end = true;
    }
    return false;
}

/* 0; WEIR_EAGAIN: the descriptor takes no more now; other errors: it is broken. */
static int flush(struct wr_follower *f)
{
    size_t done = 0;
    int err = 0;
    while (done < f->len && !err) {
        ssize_t n = send(f->config.fd, f->lines + done, f->len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            err = n == 0 ? WEIR_EIO : errno == EAGAIN ? WEIR_EAGAIN : -errno;
    }
    memmove(f->lines, f->lines + done, f->len - done);
    f->len -= done;
    return err;
}

/* ---- life ----------------------------------------------------------------------------------------- */

static void finish(struct wr_follower *f)
{
    struct weir_trace_reader now;
    weir_trace_begin(f->host->stack, &now);
    f->until = now.next;
    f->finished = true;
}

static void release(struct wr_follower *f)
{
    weir_loop_watch(f->host->loop, f->config.fd, 0, NULL, NULL);
    weir_trace_off(f->host->stack);
    close(f->config.fd);
    free(f);
}

static void end(struct wr_follower *f)
{
    struct wr_follower **at = &f->host->followers;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    release(f);
}

/* One round of lines, and watches for what it waits for. It may have ended then. */
static void serve(struct wr_follower *f)
{
    bool more = fill(f);
    int err = flush(f);
    uint32_t waits = f->finished ? 0 : EPOLLIN | EPOLLRDHUP;
    if (more || err == WEIR_EAGAIN)
        waits |= EPOLLOUT;
    bool broken = (err && err != WEIR_EAGAIN) || waits == 0;
    if (!broken && waits != f->waits)
        broken = weir_loop_watch(f->host->loop, f->config.fd, waits, ready, f) != 0;
    f->waits = waits;
    if (broken)
        end(f);
}

static void ready(void *arg, int fd, uint32_t events)
{
    struct wr_follower *f = arg;
    char nothing[64];
    if (events & (EPOLLERR | EPOLLHUP)) {
        end(f);
        return;
    }
    if (!f->finished && (events & EPOLLIN) && recv(fd, nothing, sizeof nothing, MSG_DONTWAIT) == 0)
        finish(f);
    serve(f);
}

int wr_host_follow(struct weir_host *host, const struct wr_follow_config *config)
{
    struct wr_follower *f = calloc(1, sizeof *f);
    if (!f)
        return WEIR_ENOMEM;
    wr_loop_lock(host->loop);
    int err = weir_trace_on(host->stack, RING);
    if (!err) {
        weir_trace_begin(host->stack, &f->reader);
        f->host = host;
        f->config = *config;
        f->until = UINT64_MAX;
        f->next = host->followers;
        host->followers = f;
        serve(f);
    } else {
        free(f);
    }
    wr_loop_unlock(host->loop);
    return err;
}

void wr_host_follow_flush(struct weir_host *host)
{
    for (struct wr_follower *f = host->followers, *next; f; f = next) {
        next = f->next;
        serve(f);
    }
}

void wr_host_follow_end_all(struct weir_host *host)
{
    struct wr_follower *f;
    while ((f = host->followers) != NULL) {
        bool more = true;
        host->followers = f->next;
        if (!f->finished)
            finish(f);
        while (more) {
            more = fill(f);
            more &= flush(f) == 0;
        }
        release(f);
    }
}
