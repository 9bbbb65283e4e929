/* SPDX-License-Identifier: MIT */
/*
 * How threads wait. A waiter is a word that one thread sleeps on; it joins the lists of all descriptors
 * that it waits for, so that one event wakes those who asked for it and nobody else. A call looks
 * first, then joins, settles and sleeps, all under the lock: what happens in between is an event.
 */
#include <errno.h>
#include <stdlib.h>

#include "host/host_internal.h"

enum { POLL_ON_STACK = 16 };

void wr_waiter_init(struct wr_waiter *waiter, struct weir_loop *loop)
{
    waiter->loop = loop;
    atomic_init(&waiter->state, WR_AWAKE);
}

void wr_wait_join(struct wr_wait_link **list, struct wr_wait_link *link, struct wr_waiter *waiter)
{
    link->waiter = waiter;
    link->next = *list;
    link->back = list;
    if (link->next)
        link->next->back = &link->next;
    *list = link;
}

void wr_wait_leave(struct wr_wait_link *link)
{
    *link->back = link->next;
    if (link->next)
        link->next->back = link->back;
}

void wr_wait_wake(struct wr_wait_link *list)
{
    for (; list; list = list->next)
        wr_loop_rouse(list->waiter->loop, &list->waiter->state);
}

bool wr_wait_wake_one(struct wr_wait_link *list)
{
    while (list && list->waiter->state == WR_ROUSED)
        list = list->next;
    if (!list)
        return false;
    wr_loop_rouse(list->waiter->loop, &list->waiter->state);
    return true;
}

int wr_wait_sleep(struct weir_host *host, struct wr_waiter *waiter, weir_time until)
{
    struct weir_loop *loop = host->loop;
    if (loop->depth != 1 || loop->serving > 0)
        return -EDEADLK;
    wr_loop_settle(loop);
    while (waiter->state != WR_ROUSED)
        if (!wr_loop_sleep(loop, &waiter->state, until))
            return waiter->state == WR_ROUSED ? 0 : WEIR_EAGAIN;
    return 0;
}

int wr_wait(struct weir_host *host, struct wr_hsock *hs, weir_time until)
{
    struct wr_waiter waiter;
    struct wr_wait_link link;
    wr_waiter_init(&waiter, host->loop);
    wr_wait_join(&hs->waiters, &link, &waiter);
    int rc = wr_wait_sleep(host, &waiter, until);
    wr_wait_leave(&link);
    return hs->closed ? WEIR_EBADF : rc;
}

uint32_t wr_wait_bits(struct weir_host *host, struct wr_hsock *hs)
{
    uint32_t bits;
    if (hs->epoll) {
        bits = wr_epoll_is_ready(host, hs->epoll) ? WEIR_POLLIN : 0;
    } else {
        int ready = weir_sock_ready(host->stack, hs->sock);
        if (ready < 0)
            return POLLNVAL; /* the program has closed it by its handle */
        bits = (uint32_t)ready;
    }
    if (bits & WEIR_POLLIN)
        bits |= POLLRDNORM;
    if (bits & WEIR_POLLOUT)
        bits |= POLLWRNORM;
    return bits;
}

/* ---- poll --------------------------------------------------------------------------------------- */

struct polled {
    struct wr_hsock *hs; /* NULL: no such descriptor, or a negative one */
    struct wr_wait_link link;
};

static short poll_one(struct weir_host *host, const struct polled *polled, const struct pollfd *pfd)
{
    if (pfd->fd < 0)
        return 0;
    if (!polled->hs || polled->hs->closed)
        return POLLNVAL;
    unsigned asked = (unsigned short)pfd->events | POLLERR | POLLHUP | POLLNVAL;
    return (short)(wr_wait_bits(host, polled->hs) & asked);
}

static int poll_scan(struct weir_host *host, const struct polled *polled, struct pollfd *fds,
                     nfds_t n)
{
    int count = 0;
    for (nfds_t i = 0; i < n; i++) {
        fds[i].revents = poll_one(host, &polled[i], &fds[i]);
        count += fds[i].revents != 0;
    }
    return count;
}

/* Looks, and waits while there is nothing. A count, or a negative error. */
static int poll_wait(struct weir_host *host, struct wr_waiter *waiter, const struct polled *polled,
                     struct pollfd *fds, nfds_t n, weir_time until)
{
    for (;;) {
        waiter->state = WR_AWAKE;
        int count = poll_scan(host, polled, fds, n);
        if (count > 0 || until <= weir_now())
            return count;
        int rc = wr_wait_sleep(host, waiter, until);
        if (rc == WEIR_EAGAIN)
            return poll_scan(host, polled, fds, n);
        if (rc != 0)
            return rc;
    }
}

int weir_poll(struct weir_host *host, struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct polled few[POLL_ON_STACK], *polled = few;
    struct wr_waiter waiter;
    weir_time until = WEIR_TIME_NEVER;
    if (timeout_ms >= 0)
        until = weir_now() + timeout_ms * WEIR_MS;
    if (n > POLL_ON_STACK && !(polled = malloc(n * sizeof *polled))) {
        errno = ENOMEM;
        return -1;
    }
    wr_waiter_init(&waiter, host->loop);
    wr_loop_lock(host->loop);
    for (nfds_t i = 0; i < n; i++) {
        polled[i].hs = fds[i].fd < 0 ? NULL : wr_hostsock_hold(host, fds[i].fd);
        if (polled[i].hs)
            wr_wait_join(&polled[i].hs->waiters, &polled[i].link, &waiter);
    }
    int rc = poll_wait(host, &waiter, polled, fds, n, until);
    for (nfds_t i = 0; i < n; i++)
        if (polled[i].hs) {
            wr_wait_leave(&polled[i].link);
            wr_hostsock_drop(polled[i].hs);
        }
    wr_loop_unlock(host->loop);
    if (polled != few)
        free(polled);
    if (rc < 0)
        errno = -rc;
    return rc < 0 ? -1 : rc;
}
