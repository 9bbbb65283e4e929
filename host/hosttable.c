/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of a host: small integers, the lowest free first, as POSIX has it. An entry is held
 * by the table and by each thread that is in a call on it; the last one to let go frees it, so that
 * close() in one thread never pulls it from under another.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/hostsock.h"

struct wr_hsock *wr_hostsock_hold(struct weir_host *host, int fd)
{
    if (fd < 0 || (size_t)fd >= host->n_table || !host->table[fd])
        return NULL;
    host->table[fd]->refs++;
    return host->table[fd];
}

void wr_hostsock_drop(struct wr_hsock *hs)
{
    if (--hs->refs != 0 || !hs->closed)
        return;
    wr_epoll_free(hs->epoll);
    free(hs);
}

struct wr_hsock *wr_hostsock_enter_any(struct weir_host *host, int fd)
{
    wr_loop_lock(host->loop);
    struct wr_hsock *hs = wr_hostsock_hold(host, fd);
    if (!hs) {
        wr_loop_unlock(host->loop);
        errno = EBADF;
    }
    return hs;
}

struct wr_hsock *wr_hostsock_enter(struct weir_host *host, int fd)
{
    struct wr_hsock *hs = wr_hostsock_enter_any(host, fd);
    if (!hs || !hs->epoll)
        return hs;
    wr_hostsock_leave(host, hs);
    errno = ENOTSOCK;
    return NULL;
}

void wr_hostsock_leave(struct weir_host *host, struct wr_hsock *hs)
{
    wr_hostsock_drop(hs);
    wr_loop_unlock(host->loop);
}

static int table_grow(struct weir_host *host)
{
    size_t n = host->n_table ? host->n_table * 2 : 16;
    struct wr_hsock **table = realloc(host->table, n * sizeof *table);
    if (!table)
        return WEIR_ENOMEM;
    memset(table + host->n_table, 0, (n - host->n_table) * sizeof *table);
    host->table = table;
    host->n_table = n;
    return 0;
}

/* A zeroed entry under the lowest free descriptor; NULL when out of memory. */
static struct wr_hsock *new_entry(struct weir_host *host)
{
    size_t fd = host->low_free;
    while (fd < host->n_table && host->table[fd])
        fd++;
    host->low_free = fd;
    if (fd == host->n_table && table_grow(host) != 0)
        return NULL;
    struct wr_hsock *hs = calloc(1, sizeof *hs);
    if (!hs)
        return NULL;
    hs->fd = (int)fd;
    hs->watchers.prev = hs->watchers.next = &hs->watchers;
    host->table[fd] = hs;
    host->low_free = fd + 1;
    return hs;
}

int wr_hostsock_add(struct weir_host *host, weir_sock sock, int domain, int type, bool nonblock)
{
    struct wr_hsock *hs = new_entry(host);
    if (!hs)
        return WEIR_ENOMEM;
    hs->sock = sock;
    hs->domain = domain;
    hs->type = type;
    hs->nonblock = nonblock;
    hs->recv_timeout = hs->send_timeout = WEIR_TIME_NEVER;
    hs->recv_lowat = 1;
    weir_sock_set_user(host->stack, sock, (uint64_t)hs->fd + 1);
    return hs->fd;
}

int wr_hostsock_add_epoll(struct weir_host *host, struct wr_epoll *epoll)
{
    struct wr_hsock *hs = new_entry(host);
    if (!hs)
        return WEIR_ENOMEM;
    hs->epoll = epoll;
    return hs->fd;
}

void wr_hostsock_remove(struct weir_host *host, struct wr_hsock *hs)
{
    size_t fd = (size_t)hs->fd;
    host->table[fd] = NULL;
    if (fd < host->low_free)
        host->low_free = fd;
    hs->closed = true;
    wr_wait_wake(hs->waiters);
    wr_epoll_forget(hs);
}

struct wr_hsock *wr_hostsock_of(struct weir_host *host, const struct weir_event *event)
{
    uint64_t fd = event->user - 1; /* the program may use any number for its own sockets */
    if (fd >= host->n_table || !host->table[fd] || host->table[fd]->sock != event->sock)
        return NULL;
    return host->table[fd];
}

void wr_hostsock_abort_all(struct weir_host *host, weir_time now)
{
    for (size_t fd = 0; fd < host->n_table; fd++) {
        struct wr_hsock *hs = host->table[fd];
        if (!hs)
            continue;
        if (!hs->epoll) {
            weir_sock_abort(host->stack, hs->sock, now);
            weir_sock_close(host->stack, hs->sock, now);
        }
        hs->refs++;
        wr_hostsock_remove(host, hs);
        wr_hostsock_drop(hs);
    }
    free(host->table);
    host->table = NULL;
    host->n_table = 0;
}
