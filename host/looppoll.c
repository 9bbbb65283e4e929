/* SPDX-License-Identifier: MIT */
/*
 * How weir_loop_run() sleeps: by poll(2) on the links' descriptors and that of the epoll set, in which all else is.
 *
 * An epoll set is told by the kernel of each frame that comes to a descriptor in it, also while nobody waits; and one that
 * is watched for edges must have been found empty, by a system call in vain, before one may sleep. To poll(2) costs
 * nothing what comes before it is called, and it says what is there and not what has changed. It costs more the more there
 * are: so this is for LINKS_POLLED links, and others stay in the epoll set. So do all links where the program itself
 * waits for weir_loop_fd() and calls weir_loop_step().
 *
 *     link->polled   watched    told by
 *     no             yes        the epoll set (wr_loop_await)
 *     yes            no         poll(2), from the next sleep of the loop's thread on
 *     no             no         nobody: it has its kick, and is asked
 *
 * A link whose descriptor says again and again that there is something when there is nothing is given back to the epoll
 * set, which tells of edges alone. All are where poll(2) is refused: it is of more descriptors than RLIMIT_NOFILE, which a
 * program may have lowered, and who calls weir_loop_step() in a callback waits for the epoll set.
 *
 * Before it sleeps the CPU is offered to whoever is ready on it. A peer on the same CPU that a frame has just woken then
 * answers at once, and neither side has to be put to sleep and woken, which costs more than all that Weir does for a
 * small frame. It is done as long as it is of use. When it brings nothing, as where the peer has another CPU, or is far
 * away, or when somebody else keeps the CPU for long, it is left out before more and more sleeps:
 *
 *     offered    +     +     -     - -     - - - -     ...     +: something had come by then
 *     sleeps     . . . . . . s . s s s . s s s s s . s
 *
 * poll(2) holds what it waits for: a device whose descriptor is closed meanwhile would live on until the sleep ends. So who
 * takes a link away ends the sleep first.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/looppoll.h"

enum { VAIN_MOST = 3, UNOFFERED_MOST = 1024 };
#define OFFER_MOST (100 * WEIR_US) /* who has the CPU for longer is no peer that answers */
enum { UP, ASLEEP, AWAITED };      /* loop->nap: somebody waits for the end of it */

static bool may_poll(const struct wr_attach *a)
{
    return a->fd >= 0 && !a->dead && !a->has_pending && a->vain < VAIN_MOST;
}

static unsigned add(struct weir_loop *loop, struct wr_attach *a, struct pollfd *fds, unsigned n)
{
    bool may = n <= LINKS_POLLED && !loop->poll_refused && may_poll(a);
    if (may && a->watched)
        wr_loop_unwatch(loop, a);
    a->polled = may && !a->watched;
    if (a->polled)
        fds[n++] = (struct pollfd){.fd = a->fd, .events = POLLIN};
    else if (!a->kick && !a->dead && !wr_loop_await(loop, a))
        a->kick = loop->again = true;
    return n;
}

unsigned wr_loop_poll_begin(struct weir_loop *loop, struct pollfd *fds)
{
    unsigned n = 0;
    fds[n++] = (struct pollfd){.fd = loop->epoll_fd, .events = POLLIN};
    for (struct weir_host *host = loop->hosts; host; host = host->next)
        for (struct wr_attach *a = host->links; a; a = a->next)
            n = add(loop, a, fds, n);
    if (n > 1)
        atomic_store(&loop->nap, ASLEEP);
    return n;
}

/* Returns as poll(2): what is there after others have had the CPU. */
static int offer_cpu(struct weir_loop *loop, struct pollfd *fds, unsigned n)
{
    weir_time before = weir_now();
    sched_yield();
    bool soon = weir_now() - before < OFFER_MOST;
    int ready = poll(fds, n, 0);
    if (ready > 0 && soon)
        loop->unoffered = 0;
    else if (loop->unoffered < UNOFFERED_MOST)
        loop->unoffered = 2 * loop->unoffered + 1;
    loop->until_offer = loop->unoffered;
    return ready;
}

/* Returns as poll(2), which sleeps until something is there. */
static int sleep_on(struct weir_loop *loop, struct pollfd *fds, unsigned n)
{
    int ready = 0;
    if (loop->until_offer > 0)
        loop->until_offer--;
    else
        ready = offer_cpu(loop, fds, n);
    return ready != 0 ? ready : poll(fds, n, -1);
}

bool wr_loop_poll(struct weir_loop *loop, struct pollfd *fds, unsigned n, bool sleep)
{
    int ready = sleep ? sleep_on(loop, fds, n) : poll(fds, n, 0);
    loop->poll_refused = ready < 0 && errno != EINTR;
    if (atomic_exchange(&loop->nap, UP) == AWAITED)
        syscall(SYS_futex, &loop->nap, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    if (ready <= 0)
        for (unsigned i = 0; i < n; i++)
            fds[i].revents = 0;
    return fds[0].revents != 0;
}

void wr_loop_poll_mark(struct weir_loop *loop, const struct pollfd *fds, unsigned n)
{
    for (unsigned i = 1; i < n; i++) {
        struct wr_fd_entry *entry = &loop->fds[fds[i].fd]; /* the table never shrinks */
        if (fds[i].revents == 0 || entry->kind != WR_FD_LINK)
            continue;
        entry->attach->kick = true;
        entry->attach->vain++;
    }
}

void wr_loop_poll_end(struct weir_loop *loop)
{
    if (atomic_load(&loop->nap) != UP)
        return; /* a step beside weir_loop_run(), whose thread waits for them */
    for (struct weir_host *host = loop->hosts; host; host = host->next)
        for (struct wr_attach *a = host->links; a; a = a->next) {
            a->polled = false;
            if (!a->dead && !wr_loop_await(loop, a))
                a->kick = loop->again = true;
        }
    if (loop->again)
        wr_loop_wake(loop);
}

void wr_loop_poll_leave(struct weir_loop *loop, struct wr_attach *attach)
{
    unsigned asleep = ASLEEP;
    if (!attach->polled)
        return;
    attach->polled = false;
    if (!atomic_compare_exchange_strong(&loop->nap, &asleep, AWAITED) && asleep != AWAITED)
        return;
    wr_loop_wake(loop);
    while (atomic_load(&loop->nap) == AWAITED)
        syscall(SYS_futex, &loop->nap, FUTEX_WAIT_PRIVATE, AWAITED, NULL, NULL, 0);
}
