/* SPDX-License-Identifier: MIT */
/* Calls that make, join and end sockets, and that move data. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "drill/dr_call.h"

enum { IO_MAX = 64 << 20 };

static struct weir_stack *stack_of(const struct dr_call *call)
{
    return call->run->world.stack;
}

static weir_time now_of(const struct dr_call *call)
{
    return call->run->world.now;
}

/* A new descriptor for a socket of the stack; false: ended. */
static bool adopt(struct dr_call *call, weir_sock sock, int domain, int type, bool nonblocking)
{
    int number = wr_dr_call_new_fd(call);
    if (number < 0)
        return false;
    wr_dr_fd_socket(&call->run->world.table, number, sock, domain, type, nonblocking);
    if (type == SOCK_STREAM)
        call->run->code_fd = number;
    return wr_dr_call_end(call, number);
}

/* ---- making and joining ---------------------------------------------------------------------- */

static bool call_socket(struct dr_call *call)
{
    int64_t domain, type, protocol;
    if (!wr_dr_call_args(call, 3, 3))
        return true;
    if (call->sc->args[0]->kind == DR_EXPR_ELLIPSIS)
        domain = call->run->script->options.ip_version == DR_IP_V4 ? AF_INET : AF_INET6;
    else if (!wr_dr_call_arg(call, 0, &domain))
        return true;
    if (!wr_dr_call_arg(call, 1, &type) || !wr_dr_call_arg(call, 2, &protocol))
        return true;
    int plain = (int)type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    weir_sock sock;
    int err = weir_sock_open(stack_of(call), (int)domain, plain, (int)protocol, &sock);
    if (err != 0)
        return wr_dr_call_end(call, err);
    adopt(call, sock, (int)domain, plain, (type & SOCK_NONBLOCK) != 0);
    return true;
}

static bool call_bind(struct dr_call *call)
{
    struct weir_endpoint local = {.addr = call->run->script->local,
                                  .port = call->run->script->bind_port};
    if (!wr_dr_call_args(call, 3, 3))
        return true;
    struct dr_fd *fd = wr_dr_call_sock(call, 0);
    if (!fd || !wr_dr_call_endpoint(call, call->sc->args[1], &local, NULL))
        return true;
    return wr_dr_call_end(call, weir_sock_bind(stack_of(call), fd->sock, &local));
}

static bool call_listen(struct dr_call *call)
{
    int64_t backlog;
    if (!wr_dr_call_args(call, 2, 2))
        return true;
    struct dr_fd *fd = wr_dr_call_sock(call, 0);
    if (!fd || !wr_dr_call_arg(call, 1, &backlog))
        return true;
    int err = weir_sock_listen(stack_of(call), fd->sock, (int)backlog, now_of(call));
    struct weir_endpoint local;
    if (err == 0 && weir_sock_getsockname(stack_of(call), fd->sock, &local) == 0) {
        call->run->listening = true;
        call->run->listen_port = local.port;
    }
    return wr_dr_call_end(call, err);
}

static bool call_accept(struct dr_call *call)
{
    int64_t flags = 0;
    if (!wr_dr_call_args(call, 3, 4))
        return true;
    struct dr_fd *fd = wr_dr_call_sock(call, 0);
    if (!fd || (call->sc->n_args == 4 && !wr_dr_call_arg(call, 3, &flags)))
        return true;
    weir_sock conn;
    int err = weir_sock_accept(stack_of(call), fd->sock, &conn, NULL, now_of(call));
    if (err == WEIR_EAGAIN && !fd->nonblocking)
        return false;
    if (err != 0)
        return wr_dr_call_end(call, err);
    adopt(call, conn, fd->domain, fd->type, (flags & SOCK_NONBLOCK) != 0);
    return true;
}

/* The wait of a blocking connect(): until the socket can be written or has failed. */
static bool connect_wait(struct dr_call *call, struct dr_fd *fd)
{
    int ready = weir_sock_ready(stack_of(call), fd->sock);
    if (ready < 0)
        return wr_dr_call_end(call, ready);
    if (!(ready & (WEIR_POLLOUT | WEIR_POLLERR | WEIR_POLLHUP)))
        return false;
    int error = 0;
    size_t len = sizeof error;
    int err = weir_sock_getsockopt(stack_of(call), fd->sock, SOL_SOCKET, SO_ERROR, &error, &len,
                                   now_of(call));
    return wr_dr_call_end(call, err != 0 ? err : -error);
}

/* In SYN-SENT although connect() gave 0: a fast open that waits for data. */
static bool is_opening(struct dr_call *call, const struct dr_fd *fd)
{
    struct weir_tcp_info info = {0};
    size_t len = sizeof info;
    return weir_sock_getsockopt(stack_of(call), fd->sock, WEIR_SOL_TCP, WEIR_TCP_INFO, &info, &len,
                                now_of(call)) == 0 &&
           info.tcpi_state == WEIR_TCP_SYN_SENT;
}

static bool call_connect(struct dr_call *call)
{
    struct weir_endpoint remote = {.addr = call->run->script->remote,
                                   .port = call->run->script->connect_port};
    bool none;
    if (!wr_dr_call_args(call, 3, 3))
        return true;
    struct dr_fd *fd = wr_dr_call_sock(call, 0);
    if (!fd || !wr_dr_call_endpoint(call, call->sc->args[1], &remote, &none))
        return true;
    if (call->try->started)
        return connect_wait(call, fd);
    call->try->started = true;
    int err = weir_sock_connect(stack_of(call), fd->sock, none ? NULL : &remote, now_of(call));
    bool joined =
        err == WEIR_EINPROGRESS || (err == 0 && (fd->type == SOCK_DGRAM || is_opening(call, fd)));
    if (joined && !none)
        wr_dr_call_follow(call, fd, &remote);
    if (err != WEIR_EINPROGRESS || fd->nonblocking)
        return wr_dr_call_end(call, err);
    wr_dr_world_collect(&call->run->world);
    return connect_wait(call, fd);
}

static bool call_shutdown(struct dr_call *call)
{
    int64_t how;
    if (!wr_dr_call_args(call, 2, 2))
        return true;
    struct dr_fd *fd = wr_dr_call_sock(call, 0);
    if (!fd || !wr_dr_call_arg(call, 1, &how))
        return true;
    return wr_dr_call_end(call,
                          weir_sock_shutdown(stack_of(call), fd->sock, (int)how, now_of(call)));
}

static bool call_close(struct dr_call *call)
{
    if (!wr_dr_call_args(call, 1, 1))
        return true;
    struct dr_fd *fd = wr_dr_call_fd(call, 0);
    if (!fd)
        return true;
    struct dr_table *table = &call->run->world.table;
    return wr_dr_call_end(call, wr_dr_fd_close(table, (int)(fd - table->fds), now_of(call)));
}

/* Not of packetdrill: resets the connection, the descriptor stays (RFC 9293 3.10.5). */
static bool call_abort(struct dr_call *call)
{
    if (!wr_dr_call_args(call, 1, 1))
        return true;
    struct dr_fd *fd = wr_dr_call_sock(call, 0);
    return !fd || wr_dr_call_end(call, weir_sock_abort(stack_of(call), fd->sock, now_of(call)));
}

/* ---- data ------------------------------------------------------------------------------------ */

struct io {
    struct dr_fd *fd;
    const struct dr_expr *text; /* content given or expected; NULL: the pattern */
    size_t len;
    int64_t flags;
    struct weir_endpoint to;
    bool has_to;
    bool bad;                      /* the buffer is NULL */
    int64_t msg_flags;             /* recvmsg: expected; -1: any */
    const struct dr_expr *control; /* recvmsg: expected; NULL: any */
};

/* [{..., 100}, {"abc", 3}] adds up to one length; content is looked at when there is one part. */
static bool parse_iov(struct dr_call *call, const struct dr_expr *list, struct io *io)
{
    if (list->kind != DR_EXPR_LIST)
        return !wr_dr_call_wrong(call, "expected a list of buffers");
    for (size_t i = 0; i < list->n_items; i++) {
        const struct dr_expr *part = list->items[i];
        int64_t len;
        if (part->kind != DR_EXPR_STRUCT || part->n_items != 2)
            return !wr_dr_call_wrong(call, "expected {buffer, length}");
        if (!wr_dr_call_num(call, part->items[1], &len))
            return false;
        if (len < 0 || len > IO_MAX)
            return !wr_dr_call_wrong(call, "length out of range");
        io->len += (size_t)len;
        if (part->items[0]->kind == DR_EXPR_STRING) {
            if (list->n_items > 1)
                return !wr_dr_call_wrong(call, "content with several buffers is not supported");
            io->text = part->items[0];
        }
    }
    return true;
}

static bool parse_msghdr(struct dr_call *call, const struct dr_expr *msg, struct io *io)
{
    const struct dr_expr *name = wr_dr_expr_field(msg, "msg_name"),
                         *iov = wr_dr_expr_field(msg, "msg_iov"),
                         *flags = wr_dr_expr_field(msg, "msg_flags");
    if (msg->kind != DR_EXPR_STRUCT || !iov)
        return !wr_dr_call_wrong(call, "expected a msghdr");
    io->control = wr_dr_expr_field(msg, "msg_control");
    if (name && name->kind == DR_EXPR_STRUCT) {
        io->has_to = true;
        if (!wr_dr_call_endpoint(call, name, &io->to, NULL))
            return false;
    }
    if (flags && flags->kind != DR_EXPR_ELLIPSIS && !wr_dr_call_num(call, flags, &io->msg_flags))
        return false;
    return parse_iov(call, iov, io);
}

/* (fd, buffer, length [, flags [, address, length]]) */
static bool parse_buffer(struct dr_call *call, struct io *io)
{
    const struct dr_syscall *sc = call->sc;
    int64_t len = 0;
    bool null = sc->args[1]->kind == DR_EXPR_WORD && strcmp(sc->args[1]->text, "NULL") == 0;
    if (sc->args[1]->kind == DR_EXPR_STRING)
        io->text = sc->args[1];
    else if (null)
        io->bad = true;
    else if (sc->args[1]->kind != DR_EXPR_ELLIPSIS)
        return !wr_dr_call_wrong(call, "expected a buffer: ... or a string");
    if (!wr_dr_call_arg(call, 2, &len) || (sc->n_args > 3 && !wr_dr_call_arg(call, 3, &io->flags)))
        return false;
    if (len < 0 || len > IO_MAX)
        return !wr_dr_call_wrong(call, "length out of range");
    io->len = (size_t)len;
    if (sc->n_args > 4) {
        io->has_to = true;
        io->to.addr = call->run->script->remote;
        io->to.port = call->run->script->connect_port;
        return wr_dr_call_endpoint(call, sc->args[4], &io->to, NULL);
    }
    return true;
}

static bool parse_io(struct dr_call *call, struct io *io)
{
    const struct dr_syscall *sc = call->sc;
    memset(io, 0, sizeof *io);
    io->msg_flags = -1;
    if (!wr_dr_call_args(call, 3, 6))
        return false;
    io->fd = wr_dr_call_fd(call, 0);
    if (!io->fd)
        return false;
    if (strstr(sc->name, "msg"))
        return parse_msghdr(call, sc->args[1], io) && wr_dr_call_arg(call, 2, &io->flags);
    if (strcmp(sc->name, "readv") == 0 || strcmp(sc->name, "writev") == 0)
        return parse_iov(call, sc->args[1], io);
    return parse_buffer(call, io);
}

static void *buffer(size_t len)
{
    void *p = malloc(len > 0 ? len : 1);
    if (!p) {
        fputs("drill: out of memory\n", stderr);
        exit(2);
    }
    return p;
}

static uint8_t *outgoing(struct dr_call *call, const struct io *io)
{
    uint8_t *data = buffer(io->len);
    if (io->text) {
        memset(data, 0, io->len);
        memcpy(data, io->text->text, io->text->len < io->len ? io->text->len : io->len);
        call->run->writes_exact = false;
        return data;
    }
    uint64_t at = io->fd->type == SOCK_STREAM ? io->fd->written - call->try->done : 0;
    for (size_t i = 0; i < io->len; i++)
        data[i] = wr_dr_pattern(at + i);
    return data;
}

static ptrdiff_t send_some(struct dr_call *call, const struct io *io, const uint8_t *data,
                           size_t len)
{
    int flags = (int)io->flags;
    if (io->fd->kind == DR_FD_PIPE)
        return wr_dr_pipe_write(io->fd, data, len);
    if (io->fd->kind != DR_FD_SOCKET)
        return WEIR_EINVAL;
    if (call->try->done > 0)
        flags &= ~MSG_ZEROCOPY; /* one note a call */
    return weir_sock_send(stack_of(call), io->fd->sock, data, len, flags,
                          io->has_to ? &io->to : NULL, now_of(call));
}

/* write, send, sendto, sendmsg, writev */
static bool call_write(struct dr_call *call)
{
    struct io io;
    if (!parse_io(call, &io))
        return true;
    if (io.control && io.control->n_items > 0)
        return wr_dr_call_end(call, -EINVAL); /* no control message can be sent */
    if (io.bad && io.len > 0)
        return wr_dr_call_end(call, -EFAULT);
    uint8_t *data = outgoing(call, &io);
    bool blocking = !io.fd->nonblocking && !(io.flags & MSG_DONTWAIT);
    if (call->try->started)
        io.flags &= ~MSG_FASTOPEN;
    call->try->started = true;
    ptrdiff_t n = send_some(call, &io, data + call->try->done, io.len - call->try->done);
    free(data);
    bool to_follow = io.has_to && (n > 0 || n == WEIR_EINPROGRESS) &&
                     (io.fd->type == SOCK_DGRAM || io.flags & MSG_FASTOPEN);
    if (to_follow)
        wr_dr_call_follow(call, io.fd, &io.to);
    if (n > 0) {
        io.fd->written += (uint64_t)n;
        call->try->done += (size_t)n;
    }
    bool more = blocking && (io.fd->kind == DR_FD_PIPE || io.fd->type == SOCK_STREAM);
    if (more && n == WEIR_EINPROGRESS) /* a SYN without data left: it waits for the connection */
        n = WEIR_EAGAIN;
    if (more && n >= 0 &&
        io.fd->kind == DR_FD_SOCKET) { /* after a fast open a blocking call waits for the answer */
        ptrdiff_t probe = weir_sock_send(stack_of(call), io.fd->sock, "", 0, 0, NULL, now_of(call));
        call->try->opening = probe == WEIR_EAGAIN;
        n = probe == WEIR_EAGAIN ? probe : n;
    }
    if (more && ((n >= 0 && call->try->done < io.len) || n == WEIR_EAGAIN))
        return false;
    if (call->try->opening && n < 0) /* there never was a connection */
        return wr_dr_call_end(call, n);
    return wr_dr_call_end(call, call->try->done > 0 ? (int64_t)call->try->done : n);
}

/* What was read must be the text, or the peer's pattern. */
static bool check_read(struct dr_call *call, const struct io *io, const uint8_t *data, size_t n)
{
    struct dr_fd *fd = io->fd;
    if (io->text) {
        size_t want = io->text->len < n ? io->text->len : n;
        return memcmp(data, io->text->text, want) == 0 && want == n;
    }
    bool stream = fd->type == SOCK_STREAM;
    bool copied = !(io->flags & (MSG_OOB | MSG_TRUNC));
    if (!call->run->reads_exact || !fd->stream_exact || !copied || !stream)
        return true;
    for (size_t i = 0; i < n; i++)
        if (data[i] != wr_dr_pattern(fd->read + i))
            return false;
    return true;
}

static ptrdiff_t recv_some(struct dr_call *call, const struct io *io, uint8_t *data, size_t len)
{
    if (io->fd->kind == DR_FD_PIPE)
        return wr_dr_pipe_read(io->fd, data, len);
    if (io->fd->kind != DR_FD_SOCKET)
        return WEIR_EINVAL;
    return weir_sock_recv(stack_of(call), io->fd->sock, data, len, (int)io->flags & ~MSG_WAITALL,
                          NULL, now_of(call));
}

/* recvmsg: flags and control messages as expected? Both are whatever they are when not named. */
static bool check_message(struct dr_call *call, const struct io *io, bool error_queue, int *error)
{
    struct dr_received got;
    *error = 0;
    if (strcmp(call->sc->name, "recvmsg") != 0)
        return true;
    *error = wr_dr_control_get(call, io->fd, error_queue, &got);
    if (*error != 0)
        return true;
    if (io->msg_flags >= 0 && io->msg_flags != got.msg.msg_flags)
        return !wr_dr_call_wrong(call, "msg_flags are 0x%x, expected 0x%x", got.msg.msg_flags,
                                 (unsigned)io->msg_flags);
    return !io->control || wr_dr_control_check(call, &got, io->control);
}

/* read, recv, recvfrom, recvmsg, readv */
static bool call_read(struct dr_call *call)
{
    struct io io;
    int error;
    if (!parse_io(call, &io))
        return true;
    if (io.flags & MSG_ERRQUEUE)
        return !check_message(call, &io, true, &error) || wr_dr_call_end(call, error);
    if (io.bad && io.len > 0)
        return wr_dr_call_end(call, -EFAULT);
    size_t done = call->try->done;
    uint8_t *data = buffer(io.len);
    bool all = io.flags & MSG_WAITALL && io.fd->type == SOCK_STREAM;
    ptrdiff_t n = recv_some(call, &io, data, io.len - done);
    bool ok = true;
    if (n > 0) {
        size_t held = (size_t)n < io.len - done ? (size_t)n : io.len - done;
        ok = check_read(call, &io, data, held);
        if (!(io.flags & (MSG_PEEK | MSG_OOB))) {
            io.fd->read += (uint64_t)n;
            call->try->done += (size_t)n;
        }
    }
    free(data);
    if (!ok)
        return wr_dr_call_wrong(call, "the bytes are not those that were sent");
    bool blocking = !io.fd->nonblocking && !(io.flags & MSG_DONTWAIT);
    if (blocking && (n == WEIR_EAGAIN || (all && n > 0 && call->try->done < io.len)))
        return false;
    if (n >= 0 && !check_message(call, &io, false, &error))
        return true;
    return wr_dr_call_end(call, call->try->done > 0 ? (int64_t)call->try->done : n);
}

static const struct {
    const char *name;
    dr_call_fn *fn;
} calls[] = {
    {"socket", call_socket}, {"bind", call_bind},         {"listen", call_listen},
    {"accept", call_accept}, {"accept4", call_accept},    {"connect", call_connect},
    {"read", call_read},     {"readv", call_read},        {"recv", call_read},
    {"recvfrom", call_read}, {"recvmsg", call_read},      {"write", call_write},
    {"writev", call_write},  {"send", call_write},        {"sendto", call_write},
    {"sendmsg", call_write}, {"shutdown", call_shutdown}, {"close", call_close},
    {"abort", call_abort},
};

dr_call_fn *wr_dr_call_io(const char *name)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (strcmp(calls[i].name, name) == 0)
            return calls[i].fn;
    return NULL;
}
