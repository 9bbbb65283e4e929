/* SPDX-License-Identifier: MIT */
#include "drill/dr_table.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct dr_fd *wr_dr_fd_find(struct dr_table *table, int number)
{
    bool there = number >= 0 && number < DR_FDS && table->fds[number].kind != DR_FD_NONE;
    return there ? &table->fds[number] : NULL;
}

struct dr_fd *wr_dr_fd_socket(struct dr_table *table, int number, weir_sock sock, int domain,
                              int type, bool nonblocking)
{
    struct dr_fd *fd = &table->fds[number];
    *fd = (struct dr_fd){.kind = DR_FD_SOCKET,
                         .sock = sock,
                         .domain = domain,
                         .type = type,
                         .nonblocking = nonblocking,
                         .stream_exact = true};
    weir_sock_set_user(table->stack, sock, (uint64_t)number + 1);
    table->writable[number] = false;
    table->n_fds = number < table->n_fds ? table->n_fds : number + 1;
    return fd;
}

int wr_dr_fd_opened(struct dr_table *table, const struct dr_fd *fd, weir_time now)
{
    if (fd->kind != DR_FD_SOCKET || fd->type != SOCK_STREAM)
        return 0;
    return (int)weir_sock_send(table->stack, fd->sock, "", 0, 0, NULL, now);
}

int wr_dr_fd_close(struct dr_table *table, int number, weir_time now)
{
    struct dr_fd *fd = wr_dr_fd_find(table, number);
    if (!fd)
        return WEIR_EBADF;
    struct dr_fd closed = *fd;
    fd->kind = DR_FD_NONE;
    wr_dr_epoll_forget(table, number);
    switch (closed.kind) {
    case DR_FD_SOCKET:
        return weir_sock_close(table->stack, closed.sock, now);
    case DR_FD_EPOLL:
        wr_dr_epoll_free(closed.epoll);
        break;
    case DR_FD_PIPE:
        wr_dr_pipe_close(&closed);
        break;
    case DR_FD_FILE:
        close(closed.file);
        break;
    case DR_FD_NONE:
        break;
    }
    return 0;
}

void wr_dr_table_fini(struct dr_table *table, weir_time now)
{
    for (int i = 0; i < DR_FDS; i++)
        if (table->fds[i].kind != DR_FD_NONE)
            wr_dr_fd_close(table, i, now);
}

void wr_dr_table_events(struct dr_table *table)
{
    struct weir_event event;
    while (weir_next_event(table->stack, &event)) {
        bool other = (event.ready & ~(uint32_t)WEIR_POLLOUT) != 0;
        if (other && event.user > 0 && event.user <= DR_FDS)
            table->edges[event.user - 1]++;
    }
    for (int i = 0; i < table->n_fds; i++) {
        if (table->fds[i].kind != DR_FD_SOCKET)
            continue;
        bool writable = (weir_sock_ready(table->stack, table->fds[i].sock) & WEIR_POLLOUT) != 0;
        if (writable && !table->writable[i])
            table->edges[i]++;
        table->writable[i] = writable;
    }
}

static uint32_t socket_poll(struct dr_table *table, const struct dr_fd *fd)
{
    int ready = weir_sock_ready(table->stack, fd->sock);
    if (ready < 0)
        return POLLNVAL;
    uint32_t bits = (uint32_t)ready;
    if (bits & WEIR_POLLIN)
        bits |= POLLRDNORM;
    if (bits & WEIR_POLLOUT)
        bits |= POLLWRNORM;
    return bits;
}

uint32_t wr_dr_fd_poll(struct dr_table *table, int number)
{
    const struct dr_fd *fd = wr_dr_fd_find(table, number);
    if (!fd)
        return POLLNVAL;
    switch (fd->kind) {
    case DR_FD_SOCKET:
        return socket_poll(table, fd);
    case DR_FD_PIPE:
        return wr_dr_pipe_poll(fd);
    case DR_FD_FILE:
        return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
    case DR_FD_EPOLL:
    case DR_FD_NONE:
        break;
    }
    return 0;
}
