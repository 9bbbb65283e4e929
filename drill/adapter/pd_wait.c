/* SPDX-License-Identifier: MIT */
/* poll, epoll, pipes and splice. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "drill/adapter/pd.h"

static weir_time due_of(const struct pd *pd, int timeout_ms)
{
    return timeout_ms < 0 ? WEIR_TIME_NEVER : pd->world.now + timeout_ms * WEIR_MS;
}

/* ---- poll ------------------------------------------------------------------------------------ */

struct polling {
    struct pd *pd;
    struct pollfd *fds;
    nfds_t n;
};

static ptrdiff_t attempt_poll(void *arg)
{
    const struct polling *p = arg;
    ptrdiff_t ready = 0;
    for (nfds_t i = 0; i < p->n; i++) {
        struct pollfd *pfd = &p->fds[i];
        uint32_t asked = (uint32_t)pfd->events | POLLERR | POLLHUP | POLLNVAL;
        pfd->revents = 0;
        if (pfd->fd >= 0)
            pfd->revents = (short)(wr_dr_fd_poll(&p->pd->world.table, pfd->fd) & asked);
        ready += pfd->revents != 0;
    }
    return ready > 0 ? ready : WEIR_EAGAIN;
}

int wr_pd_poll(void *userdata, struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct pd *pd = userdata;
    struct polling p = {.pd = pd, .fds = fds, .n = n};
    if (!fds && n > 0)
        return (int)wr_pd_answer(WEIR_EFAULT);
    wr_pd_lock(pd);
    ptrdiff_t rc = wr_pd_block(pd, true, attempt_poll, &p, due_of(pd, timeout_ms));
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc == WEIR_EAGAIN ? 0 : rc);
}

/* ---- epoll ----------------------------------------------------------------------------------- */

int wr_pd_epoll_create(void *userdata, int size)
{
    struct pd *pd = userdata;
    wr_pd_lock(pd);
    int number = wr_pd_number();
    int rc = number < 0 ? WEIR_EMFILE : wr_dr_epoll_create(&pd->world.table, number, size);
    if (number >= 0 && rc != 0)
        syscall(SYS_close, number);
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc == 0 ? number : rc);
}

int wr_pd_epoll_ctl(void *userdata, int epoll, int op, int number, struct epoll_event *event)
{
    struct pd *pd = userdata;
    if (!event && op != EPOLL_CTL_DEL)
        return (int)wr_pd_answer(WEIR_EFAULT);
    wr_pd_lock(pd);
    int rc = wr_dr_epoll_ctl(&pd->world.table, epoll, op, number, event);
    wr_pd_settle(pd);
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc);
}

struct epolling {
    struct pd *pd;
    int epoll;
    struct epoll_event *events;
    int max;
};

static ptrdiff_t attempt_epoll(void *arg)
{
    const struct epolling *e = arg;
    int n = wr_dr_epoll_wait(&e->pd->world.table, e->epoll, e->events, e->max);
    return n == 0 ? WEIR_EAGAIN : n;
}

int wr_pd_epoll_wait(void *userdata, int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    struct pd *pd = userdata;
    struct epolling e = {.pd = pd, .epoll = epoll, .events = events, .max = max};
    if (!events)
        return (int)wr_pd_answer(WEIR_EFAULT);
    wr_pd_lock(pd);
    ptrdiff_t rc = wr_pd_block(pd, true, attempt_epoll, &e, due_of(pd, timeout_ms));
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc == WEIR_EAGAIN ? 0 : rc);
}

/* ---- pipes ----------------------------------------------------------------------------------- */

int wr_pd_pipe(void *userdata, int fds[2])
{
    struct pd *pd = userdata;
    int rc = WEIR_EMFILE;
    wr_pd_lock(pd);
    int reader = wr_pd_number(), writer = wr_pd_number();
    if (reader >= 0 && writer >= 0)
        rc = wr_dr_pipe(&pd->world.table, reader, writer);
    if (rc != 0 && reader >= 0)
        syscall(SYS_close, reader);
    if (rc != 0 && writer >= 0)
        syscall(SYS_close, writer);
    fds[0] = reader;
    fds[1] = writer;
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc);
}

struct splicing {
    struct pd *pd;
    int in, out;
    size_t len;
    unsigned flags;
};

static ptrdiff_t attempt_splice(void *arg)
{
    const struct splicing *s = arg;
    return wr_dr_splice(&s->pd->world.table, s->in, s->out, s->len, s->flags, s->pd->world.now);
}

int wr_pd_splice(void *userdata, int in, loff_t *in_off, int out, loff_t *out_off, size_t len,
                 unsigned flags)
{
    enum { NONBLOCK = 2 };
    struct pd *pd = userdata;
    struct splicing s = {.pd = pd, .in = in, .out = out, .len = len, .flags = flags};
    if ((in_off && *in_off != 0) || (out_off && *out_off != 0))
        return (int)wr_pd_answer(-ESPIPE);
    wr_pd_lock(pd);
    const struct dr_fd *from = wr_dr_fd_find(&pd->world.table, in);
    const struct dr_fd *to = wr_dr_fd_find(&pd->world.table, out);
    bool blocks = from && to && !from->nonblocking && !to->nonblocking && !(flags & NONBLOCK);
    ptrdiff_t n = wr_pd_block(pd, blocks, attempt_splice, &s, WEIR_TIME_NEVER);
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(n);
}
