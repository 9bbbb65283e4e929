/* SPDX-License-Identifier: MIT */
/*
 * epoll(7) over the table: a list of descriptors in the order they were added, looked at anew by
 * each wait. EPOLLET needs to know what happened and not what is so: an edge is a new event of the
 * socket since the last time this member was reported.
 */
#include <poll.h>
#include <stdlib.h>

#include "drill/dr_table.h"

enum { MEMBERS_MAX = 64 };

struct member {
    int number;
    struct epoll_event event;
    uint32_t edges_seen;
    bool fresh; /* added or changed: what is so now is news */
    bool spent; /* EPOLLONESHOT has been reported */
};

struct dr_epoll {
    size_t n;
    struct member members[MEMBERS_MAX];
};

int wr_dr_epoll_create(struct dr_table *table, int number, int size)
{
    if (size <= 0)
        return WEIR_EINVAL;
    struct dr_epoll *epoll = calloc(1, sizeof *epoll);
    if (!epoll)
        return WEIR_ENOMEM;
    table->fds[number] = (struct dr_fd){.kind = DR_FD_EPOLL, .epoll = epoll};
    return 0;
}

void wr_dr_epoll_free(struct dr_epoll *epoll)
{
    free(epoll);
}

static struct member *find(struct dr_epoll *epoll, int number)
{
    for (size_t i = 0; i < epoll->n; i++)
        if (epoll->members[i].number == number)
            return &epoll->members[i];
    return NULL;
}

static void take_out(struct dr_epoll *epoll, struct member *member)
{
    epoll->n--;
    for (struct member *end = epoll->members + epoll->n; member < end; member++)
        member[0] = member[1];
}

void wr_dr_epoll_forget(struct dr_table *table, int number)
{
    for (int i = 0; i < DR_FDS; i++) {
        if (table->fds[i].kind != DR_FD_EPOLL)
            continue;
        struct member *member = find(table->fds[i].epoll, number);
        if (member)
            take_out(table->fds[i].epoll, member);
    }
}

static void set(const struct dr_table *table, struct member *member,
                const struct epoll_event *event)
{
    member->event = *event;
    member->edges_seen = table->edges[member->number];
    member->fresh = true;
    member->spent = false;
}

static int add(struct dr_table *table, struct dr_epoll *epoll, int number,
               const struct epoll_event *event)
{
    if (epoll->n == MEMBERS_MAX)
        return WEIR_ENOMEM;
    struct member *member = &epoll->members[epoll->n++];
    member->number = number;
    set(table, member, event);
    return 0;
}

int wr_dr_epoll_ctl(struct dr_table *table, int number, int op, int member_number,
                    const struct epoll_event *event)
{
    struct dr_fd *fd = wr_dr_fd_find(table, number), *what = wr_dr_fd_find(table, member_number);
    if (!fd || !what)
        return WEIR_EBADF;
    if (fd->kind != DR_FD_EPOLL || what->kind == DR_FD_EPOLL)
        return WEIR_EINVAL;
    if (what->kind == DR_FD_FILE)
        return WEIR_EPERM;
    struct member *member = find(fd->epoll, member_number);
    if (op == EPOLL_CTL_ADD)
        return member ? WEIR_EEXIST : add(table, fd->epoll, member_number, event);
    if (!member)
        return WEIR_ENOENT;
    if (op == EPOLL_CTL_MOD)
        set(table, member, event);
    else if (op == EPOLL_CTL_DEL)
        take_out(fd->epoll, member);
    else
        return WEIR_EINVAL;
    return 0;
}

/* The bits this member has to tell now. */
static uint32_t news(struct dr_table *table, const struct member *member)
{
    uint32_t asked = member->event.events;
    if (member->spent)
        return 0;
    bool edge = member->fresh || member->edges_seen != table->edges[member->number];
    if ((asked & EPOLLET) && !edge)
        return 0;
    return wr_dr_fd_poll(table, member->number) & (asked | EPOLLERR | EPOLLHUP);
}

int wr_dr_epoll_wait(struct dr_table *table, int number, struct epoll_event *events, int max)
{
    struct dr_fd *fd = wr_dr_fd_find(table, number);
    int n = 0;
    if (!fd)
        return WEIR_EBADF;
    if (fd->kind != DR_FD_EPOLL || max <= 0)
        return WEIR_EINVAL;
    for (size_t i = 0; i < fd->epoll->n && n < max; i++) {
        struct member *member = &fd->epoll->members[i];
        uint32_t bits = news(table, member);
        if (bits == 0)
            continue;
        events[n].events = bits;
        events[n++].data = member->event.data;
        member->edges_seen = table->edges[member->number];
        member->fresh = false;
        member->spent = (member->event.events & EPOLLONESHOT) != 0;
    }
    return n;
}
