/* SPDX-License-Identifier: MIT */
/*
 * Time, packets, and threads that wait; pd.h says how they hang together.
 *
 * Who moves the time, and how far:
 *
 *     usleep          to its end, in steps from one deadline of the stack to the next
 *     gettimeofday    1 us, and not at all while a woken thread has yet to read the clock
 *     netdev_receive  until the stack has sent something, at most RECEIVE_S
 *     a call that blocks in the first thread: until it returns, for nobody else could
 *     a call that blocks in another thread, once the first one does nothing but wait for it
 *
 * The last case is packetdrill's wait for the second thread before the next call and at the end. The
 * first thread then sleeps in a futex of packetdrill's and no call of it comes in; the kernel tells
 * which system call a thread sleeps in. It must not be taken for a wait for a shell command.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "drill/adapter/pd.h"

enum {
    RECEIVE_S = 3600, /* virtual: how long a packet may take */
    BLOCK_S = 3600,   /* virtual: how long the first thread may block */
    QUIET_MS = 4,  /* real: how often a waiting thread looks whether the first one does anything */
    OWED_MS = 2000 /* real: a woken thread that has not read the clock by then never will */
};

void wr_pd_lock(struct pd *pd)
{
    if (pthread_equal(pthread_self(), pd->first_thread))
        pd->calls++; /* before it may have to wait for the lock: that is a futex, too */
    pthread_mutex_lock(&pd->lock);
}

void wr_pd_unlock(struct pd *pd)
{
    pthread_mutex_unlock(&pd->lock);
}

static struct timespec in_ms(long ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += ms * 1000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void broken(const struct pd *pd)
{
    if (!pd->world.broken)
        return;
    fprintf(stderr, "weir-packetdrill: %s\n", pd->world.broken);
    abort();
}

/* A call is done: its thread goes on, and time stands still until it has read the clock. */
static void finish(struct pd *pd, struct pd_waiter *waiter, ptrdiff_t result)
{
    waiter->done = true;
    waiter->result = result;
    if (!pthread_equal(pthread_self(), waiter->thread)) {
        pd->clock_owed = true;
        pd->owed = waiter->thread;
    }
    pthread_cond_broadcast(&pd->changed);
}

/* Repeats what waits, or what is eager alone; true when something was done, which may let others go
 * on. */
static bool retry(struct pd *pd, bool eager)
{
    bool some = false;
    for (struct pd_waiter **link = &pd->waiters; *link;) {
        struct pd_waiter *waiter = *link;
        if (eager && !(waiter->eager && *waiter->eager)) {
            link = &waiter->next;
            continue;
        }
        ptrdiff_t result = waiter->attempt(waiter->arg);
        if (result == WEIR_EAGAIN && pd->world.now < waiter->due) {
            link = &waiter->next;
            continue;
        }
        *link = waiter->next;
        finish(pd, waiter, result);
        some = true;
    }
    return some;
}

void wr_pd_settle(struct pd *pd)
{
    retry(pd, true);
    do
        wr_dr_world_collect(&pd->world);
    while (retry(pd, false));
    broken(pd);
}

static void wait_for_reader(struct pd *pd)
{
    struct timespec until = in_ms(OWED_MS);
    while (pd->clock_owed && !pthread_equal(pthread_self(), pd->owed))
        if (pthread_cond_timedwait(&pd->changed, &pd->lock, &until) == ETIMEDOUT)
            pd->clock_owed = false;
}

/* One step of time: to the next thing that is due, at most to `limit`. */
static void step(struct pd *pd, weir_time limit)
{
    wait_for_reader(pd);
    for (const struct pd_waiter *waiter = pd->waiters; waiter; waiter = waiter->next)
        if (waiter->due < limit)
            limit = waiter->due > pd->world.now ? waiter->due : pd->world.now;
    wr_dr_world_step(&pd->world, limit);
    wr_pd_settle(pd);
}

/* Can anything happen by itself? */
static bool idle(const struct pd *pd)
{
    for (const struct pd_waiter *waiter = pd->waiters; waiter; waiter = waiter->next)
        if (waiter->due != WEIR_TIME_NEVER)
            return false;
    return weir_deadline(pd->world.stack) == WEIR_TIME_NEVER;
}

/* ---- calls that block ------------------------------------------------------------------------ */

/* Does the first thread sleep in a futex? */
static bool first_waits(const struct pd *pd)
{
    char path[64], text[16] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", pd->first_tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true; /* unknown: that it is quiet must do */
    ssize_t n = read(fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    return n > 0 && strtol(text, NULL, 10) == SYS_futex;
}

/* Sleeps until done; moves the time itself when the first thread has nothing to do but wait. */
static void sleep_until_done(struct pd *pd, const struct pd_waiter *waiter)
{
    uint64_t calls = pd->calls;
    while (!waiter->done) {
        struct timespec until = in_ms(QUIET_MS);
        if (pthread_cond_timedwait(&pd->changed, &pd->lock, &until) != ETIMEDOUT)
            continue;
        bool quiet = pd->calls == calls && first_waits(pd);
        calls = pd->calls;
        while (quiet && !waiter->done && !idle(pd) && pd->calls == calls)
            step(pd, pd->world.now + BLOCK_S * WEIR_SEC);
    }
}

static ptrdiff_t block(struct pd *pd, bool may_block, pd_attempt_fn *attempt, void *arg,
                       weir_time due, const bool *eager)
{
    ptrdiff_t result = attempt(arg);
    wr_pd_settle(pd);
    if (result != WEIR_EAGAIN || !may_block || due <= pd->world.now)
        return result;
    struct pd_waiter waiter = {.attempt = attempt,
                               .arg = arg,
                               .due = due,
                               .eager = eager,
                               .thread = pthread_self(),
                               .next = pd->waiters};
    /* Off the list again before this returns. */
    // cppcheck-suppress autoVariables
    pd->waiters = &waiter;
    if (!pthread_equal(waiter.thread, pd->first_thread)) {
        sleep_until_done(pd, &waiter);
        return waiter.result;
    }
    weir_time limit = pd->world.now + BLOCK_S * WEIR_SEC;
    while (!waiter.done && !idle(pd) && pd->world.now < limit)
        step(pd, limit);
    if (waiter.done)
        return waiter.result;
    struct pd_waiter **link = &pd->waiters;
    while (*link != &waiter)
        link = &(*link)->next;
    *link = waiter.next;
    return -EDEADLK; /* it would never return */
}

ptrdiff_t wr_pd_block(struct pd *pd, bool may_block, pd_attempt_fn *attempt, void *arg,
                      weir_time due)
{
    return block(pd, may_block, attempt, arg, due, NULL);
}

ptrdiff_t wr_pd_block_send(struct pd *pd, bool may_block, pd_attempt_fn *attempt, void *arg,
                           const bool *opening)
{
    return block(pd, may_block, attempt, arg, WEIR_TIME_NEVER, opening);
}

/* ---- the interface --------------------------------------------------------------------------- */

int wr_pd_usleep(void *userdata, useconds_t us)
{
    struct pd *pd = userdata;
    wr_pd_lock(pd);
    weir_time end = pd->world.now + us * WEIR_US;
    while (pd->world.now < end)
        step(pd, end);
    wr_pd_unlock(pd);
    return 0;
}

int wr_pd_gettimeofday(void *userdata, struct timeval *tv, struct timezone *tz)
{
    struct pd *pd = userdata;
    wr_pd_lock(pd);
    if (tz)
        memset(tz, 0, sizeof *tz);
    if (pd->clock_owed && pthread_equal(pthread_self(), pd->owed)) {
        pd->clock_owed = false;
        pthread_cond_broadcast(&pd->changed);
    } else if (!pd->clock_owed) {
        weir_time end = pd->world.now + WEIR_US;
        while (pd->world.now < end && !pd->clock_owed)
            step(pd, end);
    }
    tv->tv_sec = (time_t)(pd->world.now / WEIR_SEC);
    tv->tv_usec = (suseconds_t)(pd->world.now % WEIR_SEC / WEIR_US);
    wr_pd_unlock(pd);
    return 0;
}

int wr_pd_netdev_send(void *userdata, const void *packet, size_t len)
{
    struct pd *pd = userdata;
    wr_pd_lock(pd);
    wr_dr_world_input(&pd->world, pd->world.ifindex, packet, len);
    wr_pd_settle(pd);
    wr_pd_unlock(pd);
    return 0;
}

int wr_pd_netdev_receive(void *userdata, void *packet, size_t *len, long long *time_us)
{
    struct pd *pd = userdata;
    wr_pd_lock(pd);
    weir_time limit = pd->world.now + RECEIVE_S * WEIR_SEC;
    while (!pd->world.first && !idle(pd) && pd->world.now < limit)
        step(pd, limit);
    struct dr_sent *sent = wr_dr_world_take(&pd->world);
    size_t n = sent ? sent->len : 0;
    n = n < *len ? n : *len;
    *len = n;
    *time_us = (sent ? sent->at : pd->world.now) / WEIR_US;
    if (sent)
        memcpy(packet, sent->data, n);
    free(sent);
    wr_pd_unlock(pd);
    return 0;
}
