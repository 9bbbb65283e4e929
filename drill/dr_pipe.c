/* SPDX-License-Identifier: MIT */
/* Pipes as pipe(7), 64 KiB each, and splice(2) and sendfile(2), which move bytes between
 * descriptors. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drill/dr_table.h"

enum { PIPE_BYTES = 65536, PIECE = 65536 };

struct dr_pipe {
    size_t head, len; /* head: where the oldest byte is */
    bool has_reader, has_writer;
    uint8_t data[PIPE_BYTES];
};

int wr_dr_pipe(struct dr_table *table, int reader, int writer)
{
    struct dr_pipe *pipe = malloc(sizeof *pipe);
    if (!pipe)
        return WEIR_ENOMEM;
    pipe->head = pipe->len = 0;
    pipe->has_reader = pipe->has_writer = true;
    table->fds[reader] = (struct dr_fd){.kind = DR_FD_PIPE, .pipe = pipe};
    table->fds[writer] = (struct dr_fd){.kind = DR_FD_PIPE, .pipe = pipe, .writes = true};
    return 0;
}

void wr_dr_pipe_close(struct dr_fd *fd)
{
    struct dr_pipe *pipe = fd->pipe;
    if (fd->writes)
        pipe->has_writer = false;
    else
        pipe->has_reader = false;
    if (!pipe->has_reader && !pipe->has_writer)
        free(pipe);
}

uint32_t wr_dr_pipe_poll(const struct dr_fd *fd)
{
    const struct dr_pipe *pipe = fd->pipe;
    if (fd->writes)
        return (uint32_t)((pipe->len < PIPE_BYTES ? POLLOUT | POLLWRNORM : 0) |
                          (pipe->has_reader ? 0 : POLLERR));
    return (uint32_t)((pipe->len > 0 ? POLLIN | POLLRDNORM : 0) | (pipe->has_writer ? 0 : POLLHUP));
}

/* Up to two runs of bytes from `at` on. */
static void copy_out(const struct dr_pipe *pipe, uint8_t *to, size_t len)
{
    size_t first = PIPE_BYTES - pipe->head < len ? PIPE_BYTES - pipe->head : len;
    memcpy(to, pipe->data + pipe->head, first);
    memcpy(to + first, pipe->data, len - first);
}

ptrdiff_t wr_dr_pipe_read(struct dr_fd *fd, void *data, size_t len)
{
    struct dr_pipe *pipe = fd->pipe;
    if (fd->writes)
        return WEIR_EBADF;
    if (pipe->len == 0)
        return pipe->has_writer && len > 0 ? WEIR_EAGAIN : 0;
    size_t n = len < pipe->len ? len : pipe->len;
    copy_out(pipe, data, n);
    pipe->head = (pipe->head + n) % PIPE_BYTES;
    pipe->len -= n;
    return (ptrdiff_t)n;
}

ptrdiff_t wr_dr_pipe_write(struct dr_fd *fd, const void *data, size_t len)
{
    struct dr_pipe *pipe = fd->pipe;
    if (!fd->writes)
        return WEIR_EBADF;
    if (!pipe->has_reader)
        return WEIR_EPIPE;
    size_t room = PIPE_BYTES - pipe->len, n = len < room ? len : room;
    if (n == 0)
        return len == 0 ? 0 : WEIR_EAGAIN;
    size_t at = (pipe->head + pipe->len) % PIPE_BYTES;
    size_t first = PIPE_BYTES - at < n ? PIPE_BYTES - at : n;
    memcpy(pipe->data + at, data, first);
    memcpy(pipe->data, (const uint8_t *)data + first, n - first);
    pipe->len += n;
    return (ptrdiff_t)n;
}

/* ---- splice ---------------------------------------------------------------------------------- */

static ptrdiff_t into_pipe(struct dr_table *table, struct dr_fd *in, struct dr_fd *out, size_t len,
                           weir_time now)
{
    uint8_t piece[PIECE];
    size_t room = PIPE_BYTES - out->pipe->len;
    if (!out->pipe->has_reader)
        return WEIR_EPIPE;
    if (room == 0)
        return WEIR_EAGAIN;
    len = len < room ? len : room;
    ptrdiff_t n;
    if (in->kind == DR_FD_SOCKET && weir_sock_atmark(table->stack, in->sock) == 1)
        return 0; /* Linux: it stops at urgent data and does not wait */
    if (in->kind == DR_FD_PIPE)
        n = wr_dr_pipe_read(in, piece, len);
    else
        n = weir_sock_recv(table->stack, in->sock, piece, len, 0, NULL, now);
    return n > 0 ? wr_dr_pipe_write(out, piece, (size_t)n) : n;
}

static ptrdiff_t out_of_pipe(struct dr_table *table, struct dr_fd *in, const struct dr_fd *out,
                             size_t len, int flags, weir_time now)
{
    uint8_t piece[PIECE];
    struct dr_pipe *pipe = in->pipe;
    if (pipe->len == 0)
        return pipe->has_writer ? WEIR_EAGAIN : 0;
    len = len < pipe->len ? len : pipe->len;
    copy_out(pipe, piece, len);
    ptrdiff_t n = weir_sock_send(table->stack, out->sock, piece, len, flags, NULL, now);
    if (n > 0) {
        pipe->head = (pipe->head + (size_t)n) % PIPE_BYTES;
        pipe->len -= (size_t)n;
    }
    return n;
}

ptrdiff_t wr_dr_splice(struct dr_table *table, int in_number, int out_number, size_t len,
                       unsigned flags, weir_time now)
{
    enum { SPLICE_MORE = 4 };
    struct dr_fd *in = wr_dr_fd_find(table, in_number), *out = wr_dr_fd_find(table, out_number);
    if (!in || !out || (in->kind == DR_FD_PIPE && in->writes) ||
        (out->kind == DR_FD_PIPE && !out->writes))
        return WEIR_EBADF;
    if (len == 0)
        return 0;
    bool from = in->kind == DR_FD_PIPE || in->kind == DR_FD_SOCKET;
    if (from && out->kind == DR_FD_PIPE)
        return into_pipe(table, in, out, len, now);
    if (in->kind == DR_FD_PIPE && out->kind == DR_FD_SOCKET)
        return out_of_pipe(table, in, out, len, flags & SPLICE_MORE ? WEIR_MSG_MORE : 0, now);
    return WEIR_EINVAL;
}

/* ---- sendfile -------------------------------------------------------------------------------- */

ptrdiff_t wr_dr_sendfile(struct dr_table *table, int number, int file, off_t *offset, size_t len,
                         weir_time now)
{
    uint8_t piece[PIECE];
    size_t done = 0;
    const struct dr_fd *out = wr_dr_fd_find(table, number);
    if (!out || out->kind != DR_FD_SOCKET)
        return out ? WEIR_EINVAL : WEIR_EBADF;
    while (done < len) {
        size_t want = len - done < sizeof piece ? len - done : sizeof piece;
        ssize_t got = pread(file, piece, want, *offset);
        if (got < 0)
            return done > 0 ? (ptrdiff_t)done : -errno;
        if (got == 0)
            break;
        ptrdiff_t n = weir_sock_send(table->stack, out->sock, piece, (size_t)got, 0, NULL, now);
        if (n <= 0)
            return done > 0 ? (ptrdiff_t)done : n;
        *offset += n;
        done += (size_t)n;
    }
    return (ptrdiff_t)done;
}
