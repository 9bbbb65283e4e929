/* SPDX-License-Identifier: MIT */
/* Calls on what is no socket: epoll, pipes, files. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drill/dr_call.h"

static struct dr_table *table_of(const struct dr_call *call)
{
    return &call->run->world.table;
}

static int number_of(const struct dr_call *call, const struct dr_fd *fd)
{
    return (int)(fd - call->run->world.table.fds);
}

/* ---- epoll ----------------------------------------------------------------------------------- */

static bool call_epoll_create(struct dr_call *call)
{
    int64_t size;
    if (!wr_dr_call_args(call, 1, 1) || !wr_dr_call_arg(call, 0, &size))
        return true;
    if (size <= 0)
        return wr_dr_call_end(call, -EINVAL);
    int number = wr_dr_call_new_fd(call);
    if (number < 0)
        return true;
    int rc = wr_dr_epoll_create(table_of(call), number, (int)size);
    return wr_dr_call_end(call, rc == 0 ? number : rc);
}

/* {events=EPOLLIN, fd=4}; the datum may be fd, ptr, u32 or u64. False: ended. */
static bool parse_event(struct dr_call *call, const struct dr_expr *expr, struct epoll_event *event)
{
    static const char *const names[] = {"fd", "ptr", "u32", "u64"};
    int64_t events, datum = 0;
    const struct dr_expr *bits = wr_dr_expr_field(expr, "events"), *field = NULL;
    for (size_t i = 0; i < 4 && !field; i++)
        field = wr_dr_expr_field(expr, names[i]);
    if (expr->kind != DR_EXPR_STRUCT || !bits || !field)
        return !wr_dr_call_wrong(call, "expected {events=, fd=}");
    if (!wr_dr_call_num(call, bits, &events) || !wr_dr_call_num(call, field, &datum))
        return false;
    event->events = (uint32_t)events;
    event->data.u64 = (uint64_t)datum;
    return true;
}

static bool call_epoll_ctl(struct dr_call *call)
{
    int64_t op, number;
    struct epoll_event event = {.events = 0};
    if (!wr_dr_call_args(call, 4, 4))
        return true;
    const struct dr_fd *set = wr_dr_call_fd(call, 0);
    if (!set || !wr_dr_call_arg(call, 1, &op) || !wr_dr_call_arg(call, 2, &number))
        return true;
    bool given = call->sc->args[3]->kind == DR_EXPR_STRUCT;
    if (given && !parse_event(call, call->sc->args[3], &event))
        return true;
    if (!given && op != EPOLL_CTL_DEL)
        return wr_dr_call_end(call, -EFAULT);
    return wr_dr_call_end(
        call, wr_dr_epoll_ctl(table_of(call), number_of(call, set), (int)op, (int)number, &event));
}

/* The first of what came is compared; with none, the script's event says nothing. */
static bool call_epoll_wait(struct dr_call *call)
{
    enum { EVENTS_MAX = 64 };
    int64_t most, timeout_ms;
    struct epoll_event want = {0}, got[EVENTS_MAX];
    if (!wr_dr_call_args(call, 4, 4))
        return true;
    const struct dr_fd *set = wr_dr_call_fd(call, 0);
    if (!set || !parse_event(call, call->sc->args[1], &want) || !wr_dr_call_arg(call, 2, &most) ||
        !wr_dr_call_arg(call, 3, &timeout_ms))
        return true;
    int n = wr_dr_epoll_wait(table_of(call), number_of(call, set), got,
                             most < EVENTS_MAX ? (int)most : EVENTS_MAX);
    weir_time due = timeout_ms < 0 ? WEIR_TIME_NEVER : call->try->began + timeout_ms * WEIR_MS;
    call->try->due = due;
    if (n == 0 && call->run->world.now < due)
        return false;
    if (n > 0 && got[0].events != want.events)
        return wr_dr_call_wrong(call, "the events are 0x%x, expected 0x%x", got[0].events,
                                want.events);
    if (n > 0 && got[0].data.u64 != want.data.u64)
        return wr_dr_call_wrong(call, "the datum is %llu, expected %llu",
                                (unsigned long long)got[0].data.u64,
                                (unsigned long long)want.data.u64);
    return wr_dr_call_end(call, n);
}

/* ---- pipes ----------------------------------------------------------------------------------- */

/* pipe([5, 6]) chooses both numbers. */
static bool call_pipe(struct dr_call *call)
{
    int64_t reader, writer;
    if (!wr_dr_call_args(call, 1, 1))
        return true;
    const struct dr_expr *list = call->sc->args[0];
    if (list->kind != DR_EXPR_LIST || list->n_items != 2)
        return wr_dr_call_wrong(call, "expected [reader, writer]");
    if (!wr_dr_call_num(call, list->items[0], &reader) ||
        !wr_dr_call_num(call, list->items[1], &writer) || !wr_dr_call_free_fd(call, reader) ||
        !wr_dr_call_free_fd(call, writer))
        return true;
    return wr_dr_call_end(call, wr_dr_pipe(table_of(call), (int)reader, (int)writer));
}

static bool call_splice(struct dr_call *call)
{
    enum { NONBLOCK = 2 };
    int64_t in_off, out_off, len, flags;
    if (!wr_dr_call_args(call, 6, 6))
        return true;
    struct dr_fd *in = wr_dr_call_fd(call, 0);
    if (!in)
        return true;
    struct dr_fd *out = wr_dr_call_fd(call, 2);
    if (!out || !wr_dr_call_arg(call, 1, &in_off) || !wr_dr_call_arg(call, 3, &out_off) ||
        !wr_dr_call_arg(call, 4, &len) || !wr_dr_call_arg(call, 5, &flags))
        return true;
    if (in_off != 0 || out_off != 0)
        return wr_dr_call_end(call, -ESPIPE);
    ptrdiff_t n = wr_dr_splice(table_of(call), number_of(call, in), number_of(call, out),
                               len > 0 ? (size_t)len : 0, (unsigned)flags, call->run->world.now);
    bool blocking = !in->nonblocking && !out->nonblocking && !(flags & NONBLOCK);
    if (n == WEIR_EAGAIN && blocking)
        return false;
    if (n > 0 && out->kind == DR_FD_SOCKET)
        call->run->writes_exact = false;
    if (n > 0 && in->kind == DR_FD_SOCKET)
        in->stream_exact = false;
    return wr_dr_call_end(call, n);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* open("name", O_RDONLY): a file of the machine, to be read by sendfile() alone. */
static bool call_open(struct dr_call *call)
{
    int64_t flags;
    struct stat st;
    if (!wr_dr_call_args(call, 2, 2) || !wr_dr_call_arg(call, 1, &flags))
        return true;
    if (call->sc->args[0]->kind != DR_EXPR_STRING || flags != O_RDONLY)
        return wr_dr_call_wrong(call, "expected (\"name\", O_RDONLY)");
    int file = open(call->sc->args[0]->text, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return wr_dr_call_end(call, -errno);
    int number = fstat(file, &st) == 0 && S_ISREG(st.st_mode) ? wr_dr_call_new_fd(call) : -2;
    if (number < 0)
        close(file);
    if (number == -2)
        return wr_dr_call_wrong(call, "not a regular file");
    if (number == -1)
        return true;
    table_of(call)->fds[number] = (struct dr_fd){.kind = DR_FD_FILE, .file = file};
    return wr_dr_call_end(call, number);
}

/* sendfile(out, in, [offset], count) */
static bool call_sendfile(struct dr_call *call)
{
    int64_t offset, count;
    if (!wr_dr_call_args(call, 4, 4))
        return true;
    struct dr_fd *out = wr_dr_call_sock(call, 0);
    if (!out)
        return true;
    const struct dr_fd *in = wr_dr_call_fd(call, 1);
    const struct dr_expr *at = call->sc->args[2];
    if (!in || !wr_dr_call_arg(call, 3, &count))
        return true;
    if (in->kind != DR_FD_FILE)
        return wr_dr_call_end(call, -EINVAL);
    if (at->kind == DR_EXPR_LIST && at->n_items == 1)
        at = at->items[0];
    if (!wr_dr_call_num(call, at, &offset))
        return true;
    off_t from = (off_t)offset + (off_t)call->try->done;
    ptrdiff_t n = wr_dr_sendfile(table_of(call), number_of(call, out), in->file, &from,
                                 (size_t)count - call->try->done, call->run->world.now);
    if (n > 0)
        call->try->done += (size_t)n;
    call->run->writes_exact = false;
    bool more = !out->nonblocking && call->try->done < (size_t)count;
    if (more && (n > 0 || n == WEIR_EAGAIN))
        return false;
    return wr_dr_call_end(call, call->try->done > 0 ? (int64_t)call->try->done : n);
}

static const struct {
    const char *name;
    dr_call_fn *fn;
} calls[] = {
    {"epoll_create", call_epoll_create},
    {"epoll_ctl", call_epoll_ctl},
    {"epoll_wait", call_epoll_wait},
    {"pipe", call_pipe},
    {"splice", call_splice},
    {"open", call_open},
    {"sendfile", call_sendfile},
};

dr_call_fn *wr_dr_call_file(const char *name)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (strcmp(calls[i].name, name) == 0)
            return calls[i].fn;
    return NULL;
}
