/* SPDX-License-Identifier: MIT */
/*
 * Data in and out. All calls come down to two: bytes of one buffer go to, or come from, a socket or
 * a pipe. Gathering calls copy into a buffer first, as scripts have few and small ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "drill/adapter/pd.h"
#include "drill/dr_control.h"

enum { IO_MAX = 64 << 20 };

struct io {
    struct pd *pd;
    int number;
    uint8_t *data;
    size_t len, done;
    int flags;
    bool blocking;
    bool opening;              /* the send began a connection, which is still on its way */
    struct weir_endpoint peer; /* to, or from */
    bool has_peer;
};

static bool blocks(struct pd *pd, int number, int flags)
{
    const struct dr_fd *fd = wr_dr_fd_find(&pd->world.table, number);
    return fd && !fd->nonblocking && !(flags & MSG_DONTWAIT);
}

/* ---- out ------------------------------------------------------------------------------------- */

static ptrdiff_t send_some(struct io *io, struct dr_fd *fd)
{
    if (fd->kind == DR_FD_PIPE)
        return wr_dr_pipe_write(fd, io->data + io->done, io->len - io->done);
    if (fd->kind != DR_FD_SOCKET)
        return WEIR_EINVAL;
    return weir_sock_send(io->pd->world.stack, fd->sock, io->data + io->done, io->len - io->done,
                          io->flags, io->has_peer ? &io->peer : NULL, io->pd->world.now);
}

/* A blocking call is over when all has been taken. */
static ptrdiff_t attempt_send(void *arg)
{
    struct io *io = arg;
    struct dr_fd *fd = wr_dr_fd_find(&io->pd->world.table, io->number);
    if (!fd)
        return WEIR_EBADF;
    if (io->opening) {
        int rc = wr_dr_fd_opened(&io->pd->world.table, fd, io->pd->world.now);
        if (rc != 0)
            return rc;
        io->opening = false;
        if (io->done == io->len)
            return (ptrdiff_t)io->done;
    }
    ptrdiff_t n = send_some(io, fd);
    if (n > 0)
        io->done += (size_t)n;
    if (io->blocking && (n > 0 || n == WEIR_EINPROGRESS)) {
        io->flags &= ~(MSG_ZEROCOPY | MSG_FASTOPEN); /* once a call */
        io->opening = wr_dr_fd_opened(&io->pd->world.table, fd, io->pd->world.now) == WEIR_EAGAIN;
        if (io->opening)
            return WEIR_EAGAIN;
    }
    bool stream = fd->kind == DR_FD_PIPE || fd->type == SOCK_STREAM;
    bool more = io->blocking && stream && io->done < io->len;
    if (more && (n > 0 || n == WEIR_EAGAIN))
        return WEIR_EAGAIN;
    return io->done > 0 ? (ptrdiff_t)io->done : n;
}

static ssize_t send_io(struct io *io)
{
    struct pd *pd = io->pd;
    if (!io->data && io->len > 0)
        return wr_pd_answer(WEIR_EFAULT);
    wr_pd_lock(pd);
    io->blocking = blocks(pd, io->number, io->flags);
    ptrdiff_t n = wr_pd_block_send(pd, io->blocking, attempt_send, io, &io->opening);
    wr_pd_unlock(pd);
    return wr_pd_answer(n);
}

/* The address to send to. Linux looks at its family first when it may begin a connection. */
static int take_peer(struct io *io, const struct sockaddr *to, socklen_t len)
{
    bool none = to && len >= sizeof to->sa_family && to->sa_family == AF_UNSPEC;
    if (none && (io->flags & MSG_FASTOPEN))
        return WEIR_ENOTSUP;
    io->has_peer = to != NULL;
    return !to || wr_pd_endpoint(to, len, &io->peer) ? 0 : WEIR_EINVAL;
}

ssize_t wr_pd_sendto(void *userdata, int number, const void *data, size_t len, int flags,
                     const struct sockaddr *to, socklen_t to_len)
{
    struct io io = {.pd = userdata, .number = number, .len = len, .flags = flags};
    io.data = (uint8_t *)(uintptr_t)data; /* only read from */
    int rc = take_peer(&io, to, to_len);
    return rc != 0 ? wr_pd_answer(rc) : send_io(&io);
}

ssize_t wr_pd_send(void *userdata, int number, const void *data, size_t len, int flags)
{
    return wr_pd_sendto(userdata, number, data, len, flags, NULL, 0);
}

ssize_t wr_pd_write(void *userdata, int number, const void *data, size_t len)
{
    return wr_pd_sendto(userdata, number, data, len, 0, NULL, 0);
}

/* Bytes of all buffers; negative: an error. */
static ptrdiff_t total(const struct iovec *iov, size_t n)
{
    size_t sum = 0;
    if (n > 1024)
        return WEIR_EMSGSIZE;
    for (size_t i = 0; i < n; i++) {
        if (iov[i].iov_len > IO_MAX || sum > IO_MAX)
            return WEIR_EINVAL;
        if (!iov[i].iov_base && iov[i].iov_len > 0)
            return WEIR_EFAULT;
        sum += iov[i].iov_len;
    }
    return (ptrdiff_t)sum;
}

static ssize_t send_gathered(struct io *io, const struct iovec *iov, size_t n)
{
    ptrdiff_t len = total(iov, n);
    if (len < 0)
        return wr_pd_answer(len);
    uint8_t *data = malloc((size_t)len + 1), *at = data;
    if (!data)
        return wr_pd_answer(WEIR_ENOMEM);
    for (size_t i = 0; i < n; at += iov[i++].iov_len)
        if (iov[i].iov_len > 0)
            memcpy(at, iov[i].iov_base, iov[i].iov_len);
    io->data = data;
    io->len = (size_t)len;
    ssize_t sent = send_io(io);
    int error = errno;
    free(data);
    errno = error;
    return sent;
}

ssize_t wr_pd_writev(void *userdata, int number, const struct iovec *iov, int n)
{
    struct io io = {.pd = userdata, .number = number};
    if (n < 0 || n > 1024)
        return wr_pd_answer(WEIR_EINVAL);
    return send_gathered(&io, iov, (size_t)n);
}

ssize_t wr_pd_sendmsg(void *userdata, int number, const struct msghdr *msg, int flags)
{
    struct io io = {.pd = userdata, .number = number, .flags = flags};
    if (!msg)
        return wr_pd_answer(WEIR_EFAULT);
    if (msg->msg_controllen > 0)
        return wr_pd_answer(WEIR_EINVAL); /* no control message can be sent */
    int rc = take_peer(&io, msg->msg_name, msg->msg_namelen);
    if (rc != 0)
        return wr_pd_answer(rc);
    return send_gathered(&io, msg->msg_iov, msg->msg_iovlen);
}

/* ---- in -------------------------------------------------------------------------------------- */

static ptrdiff_t recv_some(struct io *io, struct dr_fd *fd)
{
    uint8_t *to = io->data ? io->data + io->done : NULL;
    if (fd->kind == DR_FD_PIPE)
        return wr_dr_pipe_read(fd, to, io->len - io->done);
    if (fd->kind != DR_FD_SOCKET)
        return WEIR_EINVAL;
    return weir_sock_recv(io->pd->world.stack, fd->sock, to, io->len - io->done,
                          io->flags & ~MSG_WAITALL, &io->peer, io->pd->world.now);
}

static ptrdiff_t attempt_recv(void *arg)
{
    struct io *io = arg;
    struct dr_fd *fd = wr_dr_fd_find(&io->pd->world.table, io->number);
    if (!fd)
        return WEIR_EBADF;
    ptrdiff_t n = recv_some(io, fd);
    if (n <= 0)
        return io->done > 0 && (n == 0 || !io->blocking || n != WEIR_EAGAIN) ? (ptrdiff_t)io->done
                                                                             : n;
    if (!(io->flags & MSG_WAITALL) || (io->flags & MSG_PEEK) || fd->type != SOCK_STREAM)
        return n;
    io->done += (size_t)n;
    return io->blocking && io->done < io->len ? WEIR_EAGAIN : (ptrdiff_t)io->done;
}

static ptrdiff_t recv_io(struct io *io)
{
    struct pd *pd = io->pd;
    if (!io->data && io->len > 0 && !(io->flags & MSG_TRUNC))
        return WEIR_EFAULT;
    wr_pd_lock(pd);
    io->blocking = blocks(pd, io->number, io->flags);
    ptrdiff_t n = wr_pd_block(pd, io->blocking, attempt_recv, io, WEIR_TIME_NEVER);
    wr_pd_unlock(pd);
    return n;
}

static int domain_of(struct pd *pd, int number)
{
    wr_pd_lock(pd);
    const struct dr_fd *fd = wr_dr_fd_find(&pd->world.table, number);
    int domain = fd ? fd->domain : AF_INET;
    wr_pd_unlock(pd);
    return domain;
}

ssize_t wr_pd_recvfrom(void *userdata, int number, void *data, size_t len, int flags,
                       struct sockaddr *from, socklen_t *from_len)
{
    struct io io = {.pd = userdata, .number = number, .data = data, .len = len, .flags = flags};
    ptrdiff_t n = recv_io(&io);
    if (n >= 0)
        wr_pd_sockaddr(&io.peer, domain_of(io.pd, number), from, from_len);
    return wr_pd_answer(n);
}

ssize_t wr_pd_recv(void *userdata, int number, void *data, size_t len, int flags)
{
    return wr_pd_recvfrom(userdata, number, data, len, flags, NULL, NULL);
}

ssize_t wr_pd_read(void *userdata, int number, void *data, size_t len)
{
    return wr_pd_recvfrom(userdata, number, data, len, 0, NULL, NULL);
}

/* Receives into one buffer and hands it out to the given ones. */
static ptrdiff_t recv_scattered(struct io *io, const struct iovec *iov, size_t n)
{
    ptrdiff_t len = total(iov, n);
    if (len < 0)
        return len;
    io->data = malloc((size_t)len + 1);
    if (!io->data)
        return WEIR_ENOMEM;
    io->len = (size_t)len;
    ptrdiff_t got = recv_io(io);
    size_t left = got > 0 ? ((size_t)got < io->len ? (size_t)got : io->len) : 0;
    const uint8_t *at = io->data;
    for (size_t i = 0; i < n && left > 0 && !(io->flags & MSG_TRUNC); i++) {
        size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;
        memcpy(iov[i].iov_base, at, part);
        at += part;
        left -= part;
    }
    free(io->data);
    return got;
}

ssize_t wr_pd_readv(void *userdata, int number, const struct iovec *iov, int n)
{
    struct io io = {.pd = userdata, .number = number};
    if (n < 0 || n > 1024)
        return wr_pd_answer(WEIR_EINVAL);
    return wr_pd_answer(recv_scattered(&io, iov, (size_t)n));
}

/* MSG_ERRQUEUE never blocks. */
static ssize_t recv_error(struct pd *pd, int number, struct msghdr *msg)
{
    int rc = WEIR_EBADF;
    wr_pd_lock(pd);
    const struct dr_fd *fd = wr_dr_fd_find(&pd->world.table, number);
    if (fd && fd->kind == DR_FD_SOCKET)
        rc = wr_dr_control_error(msg, &pd->world.table, fd, 0);
    wr_pd_unlock(pd);
    return wr_pd_answer(rc);
}

ssize_t wr_pd_recvmsg(void *userdata, int number, struct msghdr *msg, int flags)
{
    struct io io = {.pd = userdata, .number = number, .flags = flags};
    if (!msg)
        return wr_pd_answer(WEIR_EFAULT);
    if (flags & MSG_ERRQUEUE)
        return recv_error(io.pd, number, msg);
    ptrdiff_t n = recv_scattered(&io, msg->msg_iov, msg->msg_iovlen);
    if (n < 0)
        return wr_pd_answer(n);
    wr_pd_lock(io.pd);
    const struct dr_fd *fd = wr_dr_fd_find(&io.pd->world.table, number);
    if (fd && fd->kind == DR_FD_SOCKET)
        wr_dr_control_data(msg, &io.pd->world.table, fd, io.pd->world.now);
    if (fd && msg->msg_name)
        wr_pd_sockaddr(&io.peer, fd->domain, msg->msg_name, &msg->msg_namelen);
    wr_pd_unlock(io.pd);
    return n;
}

/* ---- sendfile -------------------------------------------------------------------------------- */

struct sending {
    struct pd *pd;
    int out, in;
    off_t *offset;
    size_t len, done;
    bool blocking;
};

static ptrdiff_t attempt_sendfile(void *arg)
{
    struct sending *s = arg;
    ptrdiff_t n = wr_dr_sendfile(&s->pd->world.table, s->out, s->in, s->offset, s->len - s->done,
                                 s->pd->world.now);
    if (n > 0)
        s->done += (size_t)n;
    if (s->blocking && s->done < s->len && (n > 0 || n == WEIR_EAGAIN))
        return WEIR_EAGAIN;
    return s->done > 0 ? (ptrdiff_t)s->done : n;
}

ssize_t wr_pd_sendfile(struct pd *pd, int out, int in, off_t *offset, size_t len)
{
    struct sending s = {.pd = pd, .out = out, .in = in, .offset = offset, .len = len};
    wr_pd_lock(pd);
    s.blocking = blocks(pd, out, 0);
    ptrdiff_t n = wr_pd_block(pd, s.blocking, attempt_sendfile, &s, WEIR_TIME_NEVER);
    wr_pd_unlock(pd);
    return wr_pd_answer(n);
}
