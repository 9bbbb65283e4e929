/* SPDX-License-Identifier: MIT */
/*
 * The loop: waits for descriptors and time, and has the hosts served.
 *
 * A turn is: sleep, callbacks of watches and alarms, then rounds until nothing moves (hosts joined by a pipe
 * feed each other within a turn). A round is three steps over all hosts: what has come in, events, what is to go
 * out. So what a program says to what has come leaves with the acknowledgement of it, in one frame. weir_loop_run() polls
 * a few links when it sleeps (looppoll.c); all others are registered edge-triggered: a link that is not drained keeps its
 * `kick`. One that still has it after all rounds of a turn is not watched until it is found empty: of a watched one the
 * kernel tells the epoll set at each frame, also while nobody waits.
 *
 * Any thread that ends a call does the same rounds itself before it releases the lock (settle), so
 * that data leaves in the caller's time and an ACK over a pipe may be back before the call returns. The
 * sleeping thread has to be woken only for a nearer deadline, and for that setting the timer
 * is enough. The timer is set to the nearest deadline when that is nearer than what it is set to, and left
 * alone when it is further away: deadlines of TCP move away with each ACK, and one idle turn is cheaper than
 * a system call for each.
 *
 * Busy polling (weir_host_set_busy_poll) is a turn that does not sleep: the links are marked as if their descriptors
 * had had an event, and the kernel is asked for those that have. So whatever else the loop serves has its turn after
 * each question. Between two the CPU is offered to whoever is ready on it, lest the one who is to answer waits for it
 * until the time is over. And a mutex is nobody's in particular once it is released: a thread that has just been woken
 * for it would find it taken again by the one that never sleeps, so that one yields until there is none.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "host/looppoll.h"

enum {
    EVENTS_AT_ONCE = 64,
    ROUNDS_IN_LOOP = 64, /* then watches get their turn */
    ROUNDS_IN_CALL = 16, /* then the loop's thread takes over */
    YIELDS = 100         /* for who waits to have the lock, some 50 us */
};

/* What epoll keeps for us: this bit, a descriptor's age and its number. What it keeps for the batch's user is
 * a pointer, in which the highest bit is clear: it is the kernel's half of the address space. */
#define OURS     (1ull << 63)
#define AGE_MASK 0x7fffffffu

/* ---- lock --------------------------------------------------------------------------------------- */

/* This thread's own name: the address of something that each thread has one of. */
static uintptr_t this_thread(void)
{
    static _Thread_local char one;
    return (uintptr_t)&one;
}

static void lock_first(struct weir_loop *loop)
{
    if (pthread_mutex_trylock(&loop->lock) != 0) {
        atomic_fetch_add(&loop->wanted, 1);
        pthread_mutex_lock(&loop->lock);
        atomic_fetch_sub(&loop->wanted, 1);
    }
    atomic_store_explicit(&loop->holder, this_thread(), memory_order_relaxed);
}

/* Its holder takes it again in each callback. Whatever another thread writes there meanwhile, a thread finds itself
 * only if it has the lock: so this needs no order. */
void wr_loop_lock(struct weir_loop *loop)
{
    if (atomic_load_explicit(&loop->holder, memory_order_relaxed) != this_thread())
        lock_first(loop);
    loop->depth++;
}

/* To the CPU, and to the lock. */
static void let_others_in(struct weir_loop *loop)
{
    unsigned n = 0;
    do
        sched_yield();
    while (++n < YIELDS && atomic_load(&loop->wanted) > 0);
}

static void futex_wake(atomic_uint *state)
{
    syscall(SYS_futex, state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Releases the lock for good and wakes who is to be woken. A thread may have woken up by its time before and
 * its waiter be gone: then this wakes nobody, or somebody who looks and sleeps on, as users of futex(2) do. */
static void release(struct weir_loop *loop)
{
    atomic_uint *wakes[WR_WAKES_AT_ONCE];
    unsigned n = loop->n_wakes;
    memcpy(wakes, loop->wakes, n * sizeof *wakes);
    loop->n_wakes = 0;
    atomic_store_explicit(&loop->holder, 0, memory_order_relaxed);
    pthread_mutex_unlock(&loop->lock);
    for (unsigned i = 0; i < n; i++)
        futex_wake(wakes[i]);
}

static void unlock_only(struct weir_loop *loop)
{
    if (--loop->depth == 0)
        release(loop);
}

void wr_loop_unlock(struct weir_loop *loop)
{
    if (loop->depth == 1 && loop->serving == 0)
        wr_loop_settle(loop);
    unlock_only(loop);
}

void wr_loop_rouse(struct weir_loop *loop, atomic_uint *state)
{
    if (atomic_exchange(state, WR_ROUSED) != WR_ASLEEP)
        return; /* it looks before it sleeps */
    if (loop->n_wakes == WR_WAKES_AT_ONCE)
        futex_wake(state);
    else
        loop->wakes[loop->n_wakes++] = state;
}

bool wr_loop_sleep(struct weir_loop *loop, atomic_uint *state, weir_time until)
{
    struct timespec ts = {.tv_sec = until / WEIR_SEC, .tv_nsec = until % WEIR_SEC};
    unsigned asleep = WR_ASLEEP;
    atomic_store(state, asleep);
    loop->depth--;
    release(loop);
    /* With a mask the time is absolute, of CLOCK_MONOTONIC. */
    long rc = syscall(SYS_futex, state, FUTEX_WAIT_BITSET_PRIVATE, asleep,
                      until == WEIR_TIME_NEVER ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
    bool timed_out = rc < 0 && errno == ETIMEDOUT;
    wr_loop_lock(loop);
    atomic_compare_exchange_strong(state, &asleep, WR_AWAKE);
    return !timed_out;
}

void wr_loop_wake(struct weir_loop *loop)
{
    uint64_t one = 1;
    loop->again = true;
    if (write(loop->wake_fd, &one, sizeof one) < 0)
        return; /* only a full counter refuses, and that is readable */
}

/* ---- time --------------------------------------------------------------------------------------- */

static weir_time next_deadline(const struct weir_loop *loop)
{
    weir_time at = WEIR_TIME_NEVER;
    for (const struct weir_host *host = loop->hosts; host; host = host->next)
        at = weir_time_min(at, wr_host_deadline(host));
    for (size_t i = 0; i < loop->n_alarms; i++)
        at = weir_time_min(at, loop->alarms[i].at);
    return at;
}

WR_APART void set_timer_to(struct weir_loop *loop, weir_time at)
{
    if (at < 1)
        at = 1; /* zero would disarm it */
    struct itimerspec its = {
        .it_value = {.tv_sec = at / WEIR_SEC, .tv_nsec = at % WEIR_SEC},
    };
    timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
    loop->timer_at = at;
}

/* Sets the timer if `at` is nearer than what it is set to. */
static void arm(struct weir_loop *loop, weir_time at)
{
    if (at < loop->timer_at)
        set_timer_to(loop, at);
}

static void set_timer(struct weir_loop *loop)
{
    arm(loop, next_deadline(loop));
}

/* Calls what is due, the earliest first. A callback may change the list, so each search starts anew; what it sets to
 * a time already past waits for the next turn. */
WR_APART void run_alarms(struct weir_loop *loop, weir_time now)
{
    for (size_t calls = loop->n_alarms; calls > 0 && loop->n_alarms > 0; calls--) {
        size_t first = 0;
        for (size_t i = 1; i < loop->n_alarms; i++)
            if (loop->alarms[i].at < loop->alarms[first].at)
                first = i;
        struct wr_alarm due = loop->alarms[first];
        if (due.at > now)
            return;
        loop->alarms[first] = loop->alarms[--loop->n_alarms];
        due.fn(due.arg, now);
    }
}

static int alarm_add(struct weir_loop *loop, const struct wr_alarm *alarm)
{
    if (loop->n_alarms == loop->cap_alarms) {
        size_t cap = loop->cap_alarms ? loop->cap_alarms * 2 : 8;
        struct wr_alarm *alarms = realloc(loop->alarms, cap * sizeof *alarms);
        if (!alarms)
            return WEIR_ENOMEM;
        loop->alarms = alarms;
        loop->cap_alarms = cap;
    }
    loop->alarms[loop->n_alarms++] = *alarm;
    return 0;
}

int weir_loop_alarm(struct weir_loop *loop, weir_time at, weir_alarm_fn *fn, void *arg)
{
    struct wr_alarm alarm = {at, fn, arg};
    int rc = 0;
    wr_loop_lock(loop);
    for (size_t i = 0; i < loop->n_alarms; i++)
        if (loop->alarms[i].fn == fn && loop->alarms[i].arg == arg) {
            loop->alarms[i] = loop->alarms[--loop->n_alarms];
            break;
        }
    if (at != WEIR_TIME_NEVER)
        rc = alarm_add(loop, &alarm);
    wr_loop_unlock(loop);
    return rc;
}

/* ---- work --------------------------------------------------------------------------------------- */

static bool all_in(struct weir_loop *loop, weir_time now)
{
    bool moved = false;
    for (struct weir_host *host = loop->hosts; host; host = host->next)
        moved |= !host->doomed && wr_host_in(host, now);
    return moved;
}

static bool all_events(struct weir_loop *loop, bool in_loop)
{
    bool any = false;
    for (struct weir_host *host = loop->hosts; host; host = host->next)
        any |= !host->doomed && wr_host_events(host, in_loop);
    return any;
}

static bool all_out(struct weir_loop *loop, weir_time now)
{
    bool moved = false;
    for (struct weir_host *host = loop->hosts; host; host = host->next)
        moved |= !host->doomed && wr_host_out(host, now);
    return moved;
}

WR_APART void unwatch_busy(struct weir_loop *loop)
{
    for (struct weir_host *host = loop->hosts; host; host = host->next)
        wr_host_unwatch_busy(host);
}

/* Rounds until nothing moves and there is no event that this thread may hand out. False when something is
 * left for the loop's thread. */
static bool serve(struct weir_loop *loop, bool in_loop)
{
    int rounds = in_loop ? ROUNDS_IN_LOOP : ROUNDS_IN_CALL;
    bool moved, told;
    loop->serving++;
    do {
        loop->now = weir_now();
        moved = all_in(loop, loop->now);
        told = all_events(loop, in_loop);
        moved |= all_out(loop, told ? weir_now() : loop->now);
    } while ((moved || (told && in_loop)) && --rounds > 0);
    if (rounds == 0 && in_loop)
        unwatch_busy(loop);
    loop->serving--;
    return !moved && !told;
}

void wr_loop_settle(struct weir_loop *loop)
{
    if (!serve(loop, false))
        wr_loop_wake(loop);
    set_timer(loop);
}

static uint64_t mark_of(int fd, uint32_t age)
{
    return OURS | (uint64_t)(age & AGE_MASK) << 32 | (uint32_t)fd;
}

static void dispatch(struct weir_loop *loop, const struct epoll_event *event)
{
    int fd = (int)(uint32_t)event->data.u64;
    uint64_t count;
    if (fd == loop->timer_fd) {
        loop->timer_at = WEIR_TIME_NEVER;
    } else if (fd == loop->wake_fd) {
        if (read(fd, &count, sizeof count) < 0)
            return; /* another turn took it */
    } else if ((size_t)fd < loop->n_fds && mark_of(fd, loop->fds[fd].age) == event->data.u64) {
        struct wr_fd_entry entry = loop->fds[fd];
        if (entry.kind == WR_FD_LINK)
            entry.attach->kick = true;
        else if (entry.kind == WR_FD_WATCH)
            entry.fn(entry.arg, fd, event->events);
    }
}

static void dispatch_all(struct weir_loop *loop, struct epoll_event *events, int n)
{
    int n_batch = 0;
    for (int i = 0; i < n; i++) {
        if (events[i].data.u64 & OURS)
            dispatch(loop, &events[i]);
        else
            events[n_batch++] = events[i];
    }
    if (n_batch > 0 && loop->batch_fn)
        loop->batch_fn(loop->batch_arg, events, n_batch);
}

/* epoll_wait() counts in milliseconds, rounded up here: a part of one is the timer's business. */
static int wait_for_events(struct weir_loop *loop, struct epoll_event *events, int64_t timeout_ns)
{
    int64_t ms = timeout_ns < 0 ? -1 : timeout_ns / WEIR_MS + (timeout_ns % WEIR_MS != 0);
    int n = epoll_wait(loop->epoll_fd, events, EVENTS_AT_ONCE, ms > INT_MAX ? INT_MAX : (int)ms);
    return n < 0 && errno != EINTR ? -errno : n;
}

/* Whether it is to ask once more without sleeping. */
static bool polls(struct weir_loop *loop)
{
    bool any = false;
    if (loop->busy_until == 0)
        return false;
    if (weir_now() < loop->busy_until)
        for (struct weir_host *host = loop->hosts; host; host = host->next)
            any |= wr_host_ask(host);
    if (!any)
        loop->busy_until = 0;
    return any;
}

/* For weir_loop_run(), which has no time-out: links of `fds` are not in the epoll set. */
static int wait_by_poll(struct weir_loop *loop, struct epoll_event *events, struct pollfd *fds,
                        unsigned n_fds, bool sleep)
{
    if (n_fds == 1)
        return wait_for_events(loop, events, sleep ? -1 : 0);
    return wr_loop_poll(loop, fds, n_fds, sleep) ? wait_for_events(loop, events, 0) : 0;
}

/* `more`: this thread takes the next turn too, so that nobody need be told that there is work left. */
static int turn(struct weir_loop *loop, int64_t timeout_ns, bool more)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    struct pollfd fds[1 + LINKS_POLLED];
    wr_loop_lock(loop);
    bool busy = timeout_ns != 0 && polls(loop);
    unsigned n_fds = more ? wr_loop_poll_begin(loop, fds) : 0;
    if (!more && loop->serving > 0)
        wr_loop_poll_end(loop); /* in a callback of a turn of weir_loop_run() */
    if (loop->again || busy)
        timeout_ns = 0;
    if (timeout_ns > 0 && timeout_ns % WEIR_MS != 0)
        arm(loop, weir_time_after(weir_now(), timeout_ns));
    loop->again = false;
    unlock_only(loop);

    int n = more ? wait_by_poll(loop, events, fds, n_fds, timeout_ns != 0)
                 : wait_for_events(loop, events, timeout_ns);
    if (busy)
        let_others_in(loop);
    wr_loop_lock(loop);
    loop->serving++;
    if (more)
        wr_loop_poll_mark(loop, fds, n_fds);
    dispatch_all(loop, events, n);
    if (loop->n_alarms > 0)
        run_alarms(loop, weir_now());
    if (!serve(loop, true)) {
        if (more)
            loop->again = true;
        else
            wr_loop_wake(loop);
    }
    loop->serving--;
    if (loop->serving == 0)
        wr_host_free_doomed(loop);
    set_timer(loop);
    unlock_only(loop);
    return n < -1 ? n : 0;
}

int weir_loop_step(struct weir_loop *loop, int64_t timeout_ns)
{
    return turn(loop, timeout_ns, false);
}

/* ---- running ------------------------------------------------------------------------------------ */

int weir_loop_run(struct weir_loop *loop)
{
    int rc = 0;
    wr_loop_lock(loop);
    if (loop->running) {
        unlock_only(loop);
        return WEIR_EBUSY;
    }
    loop->running = true;
    while (!loop->stop && rc == 0) {
        unlock_only(loop);
        rc = turn(loop, -1, true);
        wr_loop_lock(loop);
    }
    loop->stop = false;
    loop->running = false;
    wr_loop_poll_end(loop);
    unlock_only(loop);
    return rc;
}

static void *loop_thread(void *arg)
{
    weir_loop_run(arg);
    return NULL;
}

int weir_loop_start(struct weir_loop *loop)
{
    wr_loop_lock(loop);
    int rc = loop->started || loop->running
                 ? EBUSY
                 : pthread_create(&loop->thread, NULL, loop_thread, loop);
    if (rc == 0)
        loop->started = true;
    unlock_only(loop);
    return -rc;
}

void weir_loop_stop(struct weir_loop *loop)
{
    wr_loop_lock(loop);
    bool join = loop->started && !pthread_equal(loop->thread, pthread_self());
    loop->stop = loop->running || loop->started;
    wr_loop_wake(loop);
    if (join)
        loop->started = false; /* one thread joins */
    pthread_t thread = loop->thread;
    unlock_only(loop);
    if (!join)
        return;
    pthread_join(thread, NULL);
    wr_loop_lock(loop);
    loop->stop = false; /* for a thread that had ended before it was asked to */
    unlock_only(loop);
}

int weir_loop_fd(const struct weir_loop *loop)
{
    return loop->epoll_fd;
}

/* ---- descriptors -------------------------------------------------------------------------------- */

static int grow_fds(struct weir_loop *loop, int fd)
{
    size_t need = (size_t)fd + 1, cap = loop->n_fds * 2 > need ? loop->n_fds * 2 : need;
    if (need <= loop->n_fds)
        return 0;
    struct wr_fd_entry *fds = realloc(loop->fds, cap * sizeof *fds);
    if (!fds)
        return WEIR_ENOMEM;
    memset(fds + loop->n_fds, 0, (cap - loop->n_fds) * sizeof *fds);
    loop->fds = fds;
    loop->n_fds = cap;
    return 0;
}

static int control(struct weir_loop *loop, int op, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events};
    uint32_t age = loop->fds && (size_t)fd < loop->n_fds ? loop->fds[fd].age : 0;
    event.data.u64 = mark_of(fd, age);
    return epoll_ctl(loop->epoll_fd, op, fd, &event) == 0 ? 0 : -errno;
}

static int watch_end(struct weir_loop *loop, int fd)
{
    if ((size_t)fd >= loop->n_fds || loop->fds[fd].kind != WR_FD_WATCH)
        return WEIR_ENOENT;
    loop->fds[fd].kind = WR_FD_NONE;
    loop->fds[fd].age++;
    control(loop, EPOLL_CTL_DEL, fd, 0); /* fails when the caller has closed it: as good */
    return 0;
}

static int watch_begin(struct weir_loop *loop, int fd, uint32_t events, weir_watch_fn *fn,
                       void *arg)
{
    int rc = grow_fds(loop, fd);
    if (rc != 0)
        return rc;
    struct wr_fd_entry *entry = &loop->fds[fd];
    if (entry->kind == WR_FD_LINK)
        return WEIR_EBUSY;
    rc = control(loop, entry->kind == WR_FD_NONE ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, events);
    if (rc == WEIR_ENOENT) /* closed and opened anew since */
        rc = control(loop, EPOLL_CTL_ADD, fd, events);
    if (rc != 0)
        return rc;
    entry->kind = WR_FD_WATCH;
    entry->fn = fn;
    entry->arg = arg;
    return 0;
}

int weir_loop_watch(struct weir_loop *loop, int fd, uint32_t events, weir_watch_fn *fn, void *arg)
{
    if (fd < 0)
        return WEIR_EBADF;
    wr_loop_lock(loop);
    int rc = events ? watch_begin(loop, fd, events, fn, arg) : watch_end(loop, fd);
    wr_loop_unlock(loop);
    return rc;
}

int weir_loop_batch(struct weir_loop *loop, weir_batch_fn *fn, void *arg)
{
    wr_loop_lock(loop);
    bool busy = fn && loop->batch_fn;
    if (!busy) {
        loop->batch_fn = fn;
        loop->batch_arg = arg;
    }
    wr_loop_unlock(loop);
    return busy ? WEIR_EBUSY : 0;
}

static int watch_link(struct weir_loop *loop, struct wr_attach *attach, uint32_t more)
{
    int op = attach->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int rc = control(loop, op, attach->fd, EPOLLIN | EPOLLET | more);
    attach->watched |= rc == 0;
    return rc;
}

int wr_loop_add_link(struct weir_loop *loop, struct wr_attach *attach)
{
    int rc = attach->fd < 0 ? 0 : grow_fds(loop, attach->fd);
    attach->kick = true; /* something may be there already */
    if (rc != 0 || attach->fd < 0)
        return rc;
    struct wr_fd_entry *entry = &loop->fds[attach->fd];
    if (entry->kind != WR_FD_NONE)
        return WEIR_EBUSY;
    rc = watch_link(loop, attach, 0);
    if (rc != 0)
        return rc;
    entry->kind = WR_FD_LINK;
    entry->attach = attach;
    return 0;
}

bool wr_loop_await(struct weir_loop *loop, struct wr_attach *attach)
{
    return attach->watched || attach->polled || attach->fd < 0 || watch_link(loop, attach, 0) == 0;
}

void wr_loop_unwatch(struct weir_loop *loop, struct wr_attach *attach)
{
    if (attach->watched && control(loop, EPOLL_CTL_DEL, attach->fd, 0) == 0)
        attach->watched = false;
}

/* Not asked for all the time: a link that can be written would then be an event whenever a frame has come, also
 * when that has been read already. */
void wr_loop_want_room(struct weir_loop *loop, struct wr_attach *attach, bool wanted)
{
    if (attach->fd >= 0)
        watch_link(loop, attach, wanted ? EPOLLOUT : 0u);
}

void wr_loop_remove_link(struct weir_loop *loop, struct wr_attach *attach)
{
    if (attach->fd < 0)
        return;
    wr_loop_poll_leave(loop, attach);
    loop->fds[attach->fd].kind = WR_FD_NONE;
    loop->fds[attach->fd].age++;
    wr_loop_unwatch(loop, attach);
}

/* ---- life --------------------------------------------------------------------------------------- */

static void loop_destroy(struct weir_loop *loop)
{
    int fds[3] = {loop->epoll_fd, loop->timer_fd, loop->wake_fd};
    for (unsigned i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pthread_mutex_destroy(&loop->lock);
    free(loop->fds);
    free(loop->alarms);
    free(loop);
}

int weir_loop_new(struct weir_loop **out)
{
    struct weir_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return WEIR_ENOMEM;
    pthread_mutex_init(&loop->lock, NULL);
    loop->timer_at = WEIR_TIME_NEVER;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int rc = loop->epoll_fd < 0 || loop->timer_fd < 0 || loop->wake_fd < 0 ? -errno : 0;
    if (rc == 0)
        rc = control(loop, EPOLL_CTL_ADD, loop->timer_fd, EPOLLIN | EPOLLET);
    if (rc == 0)
        rc = control(loop, EPOLL_CTL_ADD, loop->wake_fd, EPOLLIN);
    if (rc != 0) {
        loop_destroy(loop);
        return rc;
    }
    *out = loop;
    return 0;
}

int weir_loop_free(struct weir_loop *loop)
{
    wr_loop_lock(loop);
    bool busy = loop->hosts != NULL || (loop->running && !loop->started);
    bool join = loop->started;
    unlock_only(loop);
    if (busy)
        return WEIR_EBUSY;
    if (join)
        weir_loop_stop(loop);
    loop_destroy(loop);
    return 0;
}
