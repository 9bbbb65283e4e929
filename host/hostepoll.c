/* SPDX-License-Identifier: MIT */
/*
 * epoll over the descriptors of a host, with Linux's semantics (epoll(7), fs/eventpoll.c's rules).
 *
 * What an epoll watches is a set of interests. Each is in one of two chains of its epoll, and in the chain
 * of the descriptor that it watches:
 *
 *      epoll A   ready: [5] [9]      worth a look; the oldest first
 *                idle:  [3] [4] [7]  nothing has happened since they were looked at
 *
 *      descriptor 5   watchers: [A's] [B's]
 *
 * An event of a descriptor (wr_epoll_tell) moves those of its interests that asked for it to the end of
 * `ready`, and wakes one thread. A wait takes interests off the front, asks the descriptor what its bits
 * are now, and drops to `idle` what has nothing to tell any more. What it reports goes
 *
 *      level        back to the end of `ready`: the next wait looks at it anew
 *      EPOLLET      to `idle`, until something happens to the descriptor
 *      EPOLLONESHOT to `idle`, with no bits asked for, until EPOLL_CTL_MOD
 *
 * So a wait costs what is ready, and an interest is 64 bytes; a search for one goes through the epolls that
 * watch its descriptor, and these are few.
 *
 * EPOLLEXCLUSIVE interests stand at the end of `watchers`: all others are told, and of these all up to the
 * first whose epoll had a thread to wake.
 *
 * An epoll is a descriptor itself, and may be watched by another, NEST_MAX deep. Its threads wait for the
 * epoll, not for a descriptor, and one is woken for each interest that becomes ready; one that leaves
 * ready interests behind wakes the next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/hostsock.h"

enum { NEST_MAX = 4 }; /* Linux's EP_MAX_NESTS */
enum { EVENTS_MAX = INT32_MAX / (int)sizeof(struct epoll_event) };

/* Bits that say how, not what. */
static const uint32_t modes = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;
/* What may stand beside EPOLLEXCLUSIVE. */
static const uint32_t exclusive_bits =
    EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

struct wr_interest {
    struct wr_chain in_epoll;  /* in ready or idle; the first member */
    struct wr_chain in_target; /* in target->watchers */
    struct wr_epoll *epoll;
    struct wr_hsock *target;
    epoll_data_t data;
    uint32_t events;
    bool ready; /* which of the chains it is in */
};

struct wr_epoll {
    struct wr_hsock *self;
    struct wr_chain ready, idle;
    struct wr_wait_link *waiters; /* threads in a wait */
    int event_fd;                 /* weir_epoll_fd(); -1: never asked for */
    bool signalled;               /* event_fd is readable */
};

_Static_assert(sizeof(struct wr_interest) <= 64 || sizeof(void *) != 8, "one cache line");

/* ---- chains ------------------------------------------------------------------------------------- */

static void chain_init(struct wr_chain *head)
{
    head->prev = head->next = head;
}

static bool chain_is_empty(const struct wr_chain *head)
{
    return head->next == head;
}

static void chain_remove(struct wr_chain *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

/* Puts a node before another; before the head is at the end. */
static void chain_insert(struct wr_chain *at, struct wr_chain *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

static struct wr_interest *of_epoll(struct wr_chain *node)
{
    return (struct wr_interest *)(void *)node;
}

static struct wr_interest *of_target(struct wr_chain *node)
{
    return (struct wr_interest *)(void *)((char *)node - offsetof(struct wr_interest, in_target));
}

/* ---- ready or idle ------------------------------------------------------------------------------ */

static void signal_fd(struct wr_epoll *epoll)
{
    uint64_t one = 1;
    if (epoll->event_fd >= 0 && !epoll->signalled)
        epoll->signalled = write(epoll->event_fd, &one, sizeof one) == sizeof one;
}

static void calm_fd(struct wr_epoll *epoll)
{
    uint64_t count;
    if (epoll->signalled && chain_is_empty(&epoll->ready))
        epoll->signalled = read(epoll->event_fd, &count, sizeof count) != sizeof count;
}

static void make_idle(struct wr_interest *interest)
{
    chain_remove(&interest->in_epoll);
    chain_insert(&interest->epoll->idle, &interest->in_epoll);
    interest->ready = false;
}

static void make_ready(struct wr_interest *interest)
{
    chain_remove(&interest->in_epoll);
    chain_insert(&interest->epoll->ready, &interest->in_epoll);
    interest->ready = true;
}

/* An interest has become worth a look. True when a thread was there to wake. */
static bool announce(struct wr_interest *interest)
{
    struct wr_epoll *epoll = interest->epoll;
    bool woke = false;
    if (!interest->ready) {
        make_ready(interest);
        woke = wr_wait_wake_one(epoll->waiters);
        signal_fd(epoll);
    }
    wr_wait_wake(epoll->self->waiters); /* poll() on the epoll */
    wr_epoll_tell(epoll->self, WEIR_POLLIN);
    return woke;
}

/* Of an EPOLLEXCLUSIVE interest: does a thread that was woken count as the one? Linux asks whether it
 * waits for what has happened. */
static bool is_taken(const struct wr_interest *interest, uint32_t happened)
{
    uint32_t way = happened & (WEIR_POLLIN | WEIR_POLLOUT);
    return way == 0 || (way != (WEIR_POLLIN | WEIR_POLLOUT) && (interest->events & way));
}

void wr_epoll_tell(struct wr_hsock *hs, uint32_t happened)
{
    bool to_all = (happened & WEIR_POLLHUP) != 0; /* the state has changed */
    if (happened & WEIR_POLLIN)
        happened |= EPOLLRDNORM | EPOLLRDBAND;
    if (happened & WEIR_POLLOUT)
        happened |= EPOLLWRNORM | EPOLLWRBAND;
    for (struct wr_chain *at = hs->watchers.next, *next; at != &hs->watchers; at = next) {
        struct wr_interest *interest = of_target(at);
        next = at->next;
        if (!(interest->events & ~modes) || !(interest->events & happened))
            continue; /* spent, or not what it asked for */
        bool woke = announce(interest);
        if (woke && !to_all && (interest->events & EPOLLEXCLUSIVE) && is_taken(interest, happened))
            return;
    }
}

/* The bits that an interest has to report now. */
static uint32_t bits_of(struct weir_host *host, const struct wr_interest *interest)
{
    uint32_t bits = wr_wait_bits(host, interest->target);
    if (bits & POLLNVAL)
        bits |= EPOLLERR | EPOLLHUP;
    return bits & interest->events;
}

bool wr_epoll_is_ready(struct weir_host *host, struct wr_epoll *epoll)
{
    while (!chain_is_empty(&epoll->ready)) {
        struct wr_interest *interest = of_epoll(epoll->ready.next);
        if (bits_of(host, interest) != 0)
            return true;
        make_idle(interest);
    }
    calm_fd(epoll);
    return false;
}

/* ---- life --------------------------------------------------------------------------------------- */

static int answer(int rc)
{
    if (rc >= 0)
        return rc;
    errno = -rc;
    return -1;
}

static int create(struct weir_host *host, int flags)
{
    struct wr_epoll *epoll = calloc(1, sizeof *epoll);
    if (!epoll)
        return WEIR_ENOMEM;
    chain_init(&epoll->ready);
    chain_init(&epoll->idle);
    epoll->event_fd = -1;
    wr_loop_lock(host->loop);
    int fd = wr_hostsock_add_epoll(host, epoll);
    if (fd < 0) {
        free(epoll);
    } else {
        epoll->self = host->table[fd];
        epoll->self->cloexec = (flags & EPOLL_CLOEXEC) != 0;
    }
    wr_loop_unlock(host->loop);
    return fd;
}

int weir_epoll_create1(struct weir_host *host, int flags)
{
    return answer(flags & ~EPOLL_CLOEXEC ? WEIR_EINVAL : create(host, flags));
}

int weir_epoll_create(struct weir_host *host, int size)
{
    return answer(size <= 0 ? WEIR_EINVAL : create(host, 0));
}

static void interest_free(struct wr_interest *interest)
{
    chain_remove(&interest->in_epoll);
    chain_remove(&interest->in_target);
    free(interest);
}

static void free_all(struct wr_chain *head)
{
    for (struct wr_chain *at = head->next, *next; at != head; at = next) {
        next = at->next;
        interest_free(of_epoll(at));
    }
}

void wr_epoll_forget(struct wr_hsock *hs)
{
    for (struct wr_chain *at = hs->watchers.next, *next; at != &hs->watchers; at = next) {
        next = at->next;
        interest_free(of_target(at));
    }
    if (!hs->epoll)
        return;
    free_all(&hs->epoll->ready);
    free_all(&hs->epoll->idle);
    wr_wait_wake(hs->epoll->waiters);
}

void wr_epoll_free(struct wr_epoll *epoll)
{
    if (epoll && epoll->event_fd >= 0)
        close(epoll->event_fd);
    free(epoll);
}

/* Locks and takes hold of an epoll's descriptor; NULL (unlocked) and errno EBADF or EINVAL. */
static struct wr_hsock *enter(struct weir_host *host, int epfd)
{
    struct wr_hsock *hs = wr_hostsock_enter_any(host, epfd);
    if (!hs || hs->epoll)
        return hs;
    wr_hostsock_leave(host, hs);
    errno = EINVAL;
    return NULL;
}

int weir_epoll_fd(struct weir_host *host, int epfd)
{
    struct wr_hsock *hs = enter(host, epfd);
    if (!hs)
        return -1;
    struct wr_epoll *epoll = hs->epoll;
    if (epoll->event_fd < 0)
        epoll->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int rc = epoll->event_fd < 0 ? -errno : epoll->event_fd;
    if (!chain_is_empty(&epoll->ready))
        signal_fd(epoll);
    wr_hostsock_leave(host, hs);
    return answer(rc);
}

/* ---- ctl ---------------------------------------------------------------------------------------- */

static struct wr_interest *find(const struct wr_epoll *epoll, struct wr_hsock *target)
{
    for (struct wr_chain *at = target->watchers.next; at != &target->watchers; at = at->next)
        if (of_target(at)->epoll == epoll)
            return of_target(at);
    return NULL;
}

/* How many epolls deep the deepest chain of those that it watches is; -1: `top` is among them. */
static int depth_below(const struct wr_hsock *hs, const struct wr_hsock *top)
{
    struct wr_chain *chains[2];
    int deepest = 0;
    if (!hs->epoll)
        return 0;
    chains[0] = &hs->epoll->ready;
    chains[1] = &hs->epoll->idle;
    for (unsigned i = 0; i < 2; i++)
        for (struct wr_chain *at = chains[i]->next; at != chains[i]; at = at->next) {
            const struct wr_hsock *target = of_epoll(at)->target;
            int depth = target == top ? -1 : depth_below(target, top);
            if (depth < 0)
                return -1;
            if (target->epoll && depth + 1 > deepest)
                deepest = depth + 1;
        }
    return deepest;
}

/* How many epolls stand above it in the highest chain of those that watch it. */
static int height_above(const struct wr_hsock *hs)
{
    int highest = 0;
    for (struct wr_chain *at = hs->watchers.next; at != &hs->watchers; at = at->next) {
        int height = 1 + height_above(of_target(at)->epoll->self);
        if (height > highest)
            highest = height;
    }
    return highest;
}

/* Would the epolls go round in a circle, or too deep? */
static bool is_loop(const struct wr_hsock *hs, const struct wr_hsock *target)
{
    if (!target->epoll)
        return false;
    int below = depth_below(target, hs);
    return below < 0 || height_above(hs) + 1 + below > NEST_MAX;
}

/* What is so already is news to who begins or changes a watch. */
static void look_now(struct weir_host *host, struct wr_interest *interest)
{
    if (bits_of(host, interest) != 0)
        announce(interest);
}

static int add(struct weir_host *host, struct wr_epoll *epoll, struct wr_hsock *target,
               const struct epoll_event *event)
{
    struct wr_interest *interest = calloc(1, sizeof *interest);
    if (!interest)
        return WEIR_ENOMEM;
    interest->epoll = epoll;
    interest->target = target;
    interest->data = event->data;
    interest->events = event->events | EPOLLERR | EPOLLHUP;
    chain_insert(&epoll->idle, &interest->in_epoll);
    bool exclusive = (event->events & EPOLLEXCLUSIVE) != 0;
    chain_insert(exclusive ? &target->watchers : target->watchers.next, &interest->in_target);
    look_now(host, interest);
    return 0;
}

static int modify(struct weir_host *host, struct wr_interest *interest,
                  const struct epoll_event *event)
{
    if (interest->events & EPOLLEXCLUSIVE)
        return WEIR_EINVAL;
    interest->data = event->data;
    interest->events = event->events | EPOLLERR | EPOLLHUP;
    look_now(host, interest);
    return 0;
}

/* May `event` be asked of the target by this operation? 0 or WEIR_EINVAL. */
static int check_exclusive(int op, const struct wr_hsock *target, const struct epoll_event *event)
{
    if (op == EPOLL_CTL_DEL || !(event->events & EPOLLEXCLUSIVE))
        return 0;
    if (op == EPOLL_CTL_MOD || target->epoll || (event->events & ~exclusive_bits))
        return WEIR_EINVAL;
    return 0;
}

static int control(struct weir_host *host, struct wr_hsock *hs, int op, struct wr_hsock *target,
                   const struct epoll_event *event)
{
    struct wr_interest *interest;
    if (hs == target || !hs->epoll || check_exclusive(op, target, event) != 0)
        return WEIR_EINVAL;
    if (op == EPOLL_CTL_ADD && is_loop(hs, target))
        return -ELOOP;
    interest = find(hs->epoll, target);
    if (op == EPOLL_CTL_ADD)
        return interest ? WEIR_EEXIST : add(host, hs->epoll, target, event);
    if (op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
        return WEIR_EINVAL;
    if (!interest)
        return WEIR_ENOENT;
    if (op == EPOLL_CTL_MOD)
        return modify(host, interest, event);
    interest_free(interest);
    return 0;
}

int weir_epoll_ctl(struct weir_host *host, int epfd, int op, int fd,
                   const struct epoll_event *event)
{
    if (op != EPOLL_CTL_DEL && !event)
        return answer(WEIR_EFAULT);
    struct wr_hsock *hs = wr_hostsock_enter_any(host, epfd);
    if (!hs)
        return -1;
    struct wr_hsock *target = wr_hostsock_hold(host, fd);
    int rc = WEIR_EBADF;
    if (target) {
        rc = control(host, hs, op, target, event);
        wr_hostsock_drop(target);
    }
    wr_hostsock_leave(host, hs);
    return answer(rc);
}

/* ---- wait --------------------------------------------------------------------------------------- */

/* Reports one interest if it has something to tell, and puts it where it belongs after. */
static bool report(struct weir_host *host, struct wr_interest *interest, struct epoll_event *event)
{
    uint32_t bits = bits_of(host, interest);
    make_idle(interest);
    if (bits == 0)
        return false;
    event->events = bits;
    event->data = interest->data;
    if (interest->events & EPOLLONESHOT)
        interest->events &= modes;
    else if (!(interest->events & EPOLLET))
        make_ready(interest);
    return true;
}

/* Takes up to `max` events; each interest that is ready now is looked at once. */
static int harvest(struct weir_host *host, struct wr_epoll *epoll, struct epoll_event *events,
                   int max)
{
    struct wr_chain *last = epoll->ready.prev;
    int n = 0;
    while (n < max && !chain_is_empty(&epoll->ready)) {
        struct wr_chain *first = epoll->ready.next;
        n += report(host, of_epoll(first), &events[n]);
        if (first == last)
            break;
    }
    return n;
}

static int wait_for_events(struct weir_host *host, struct wr_hsock *hs, struct epoll_event *events,
                           int max, weir_time until)
{
    struct wr_waiter waiter;
    struct wr_wait_link link;
    int n, rc = 0;
    wr_waiter_init(&waiter, host->loop);
    wr_wait_join(&hs->epoll->waiters, &link, &waiter);
    do {
        waiter.state = WR_AWAKE;
        n = harvest(host, hs->epoll, events, max);
        if (n == 0)
            rc = wr_wait_sleep(host, &waiter, until);
    } while (n == 0 && rc == 0 && !hs->closed);
    wr_wait_leave(&link);
    if (hs->closed)
        return n > 0 ? n : WEIR_EBADF;
    if (n == 0 && rc == WEIR_EAGAIN)
        return harvest(host, hs->epoll, events, max); /* woken as the time was over */
    return n > 0 ? n : rc;
}

int weir_epoll_wait(struct weir_host *host, int epfd, struct epoll_event *events, int max,
                    int timeout_ms)
{
    struct wr_hsock *hs = wr_hostsock_enter_any(host, epfd);
    if (!hs)
        return -1;
    int rc = WEIR_EINVAL;
    weir_time until = timeout_ms < 0 ? WEIR_TIME_NEVER : weir_now() + timeout_ms * WEIR_MS;
    if (max > 0 && max <= EVENTS_MAX && !events)
        rc = WEIR_EFAULT;
    else if (max > 0 && max <= EVENTS_MAX && hs->epoll)
        rc = timeout_ms == 0 ? harvest(host, hs->epoll, events, max)
                             : wait_for_events(host, hs, events, max, until);
    if (hs->epoll && !chain_is_empty(&hs->epoll->ready))
        wr_wait_wake_one(hs->epoll->waiters); /* there is more for another thread */
    else if (hs->epoll)
        calm_fd(hs->epoll);
    wr_hostsock_leave(host, hs);
    return answer(rc);
}
