/* SPDX-License-Identifier: MIT */
/*
 * Calls that wait: blocking connect and accept. They are answered by an event of the Weir socket, at
 * their deadline (SO_SNDTIMEO, SO_RCVTIMEO), or because of a signal.
 *
 * The filter's WAIT_KILLABLE_RECV means that a caller whose notification was received sleeps through
 * every signal but a fatal one. So while anything is parked, a tick looks whether a caller has a signal
 * pending that it neither blocks nor ignores (/proc/TID/status), and answers its call with ERESTARTSYS
 * (512): the kernel then runs the handler and restarts the call or fails it with EINTR, as SA_RESTART
 * says. That number must not be answered to a thread which has no signal, for it would see it. A signal
 * to the whole process goes to the main thread unless that blocks it; if it does, another thread is
 * answered EINTR.
 *
 * A look costs about 25 us, so each tick looks at LOOKS_A_TICK callers in turn; whether callers live is
 * asked of all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/run_int.h"

enum { LOOKS_A_TICK = 32 };
#define TICK        (10 * WEIR_MS)
#define ERESTARTSYS 512

static void tick(void *arg, weir_time now);

static uint16_t listener_port(const struct run_call *call)
{
    struct weir_endpoint local;
    return weir_sock_getsockname(call->stack, call->rs->sock, &local) < 0 ? 0 : local.port;
}

int64_t wr_run_park(struct run_call *call, weir_time deadline, int timeout_error)
{
    struct weir_run *run = call->run;
    struct run_park *park = malloc(sizeof *park);
    if (!park)
        return WEIR_ENOMEM;
    park->program = call->program;
    park->req = *call->req;
    park->dup = call->dup;
    park->ino = call->rs->ino;
    park->port = call->rs->state == RUN_LISTEN ? listener_port(call) : 0;
    park->deadline = call->deadline ? call->deadline : deadline;
    park->timeout_error = timeout_error;
    park->done = call->done;
    park->messages = call->messages;
    park->value = (int64_t)call->done;
    if (call->counts)
        park->value = (int64_t)call->messages + (call->done > 0);
    call->rs->parked = call->rs->state == RUN_OPEN;
    park->next = NULL;
    call->dup = -1;
    struct run_park **last = &run->parks;
    while (*last)
        last = &(*last)->next;
    *last = park;
    if (run->n_parks++ == 0)
        weir_loop_alarm(run->loop, weir_now() + TICK, tick, run);
    return RUN_PARKED;
}

static struct run_park *take(struct weir_run *run, struct run_park **link)
{
    struct run_park *park = *link;
    *link = park->next;
    run->n_parks--;
    return park;
}

/* If its descriptor was the last one, our end of the pair hangs up. */
static void forget(struct run_park *park)
{
    close(park->dup);
    free(park);
}

bool wr_run_park_any(const struct weir_run *run, ino_t ino)
{
    const struct run_park *park = run->parks;
    while (park && park->ino != ino)
        park = park->next;
    return park != NULL;
}

/* The parked calls of this socket, or of them only those of call `nr`. */
static unsigned answer_some(struct weir_run *run, ino_t ino, int nr, int64_t value)
{
    unsigned n = 0;
    for (struct run_park **link = &run->parks; *link;) {
        if ((*link)->ino != ino || (nr >= 0 && (*link)->req.data.nr != nr)) {
            link = &(*link)->next;
            continue;
        }
        struct run_park *park = take(run, link);
        n += wr_run_answer(park->program->listener_fd, park->req.id, value);
        forget(park);
    }
    return n;
}

unsigned wr_run_park_answer(struct weir_run *run, ino_t ino, int64_t value)
{
    return answer_some(run, ino, -1, value);
}

unsigned wr_run_park_connected(struct weir_run *run, ino_t ino)
{
    unsigned n = answer_some(run, ino, SYS_connect, 0);
    n += wr_run_park_any(run, ino);
    wr_run_park_retry(run, ino);
    return n;
}

/* A call that must wait still goes to the end of the list, behind those not served yet; so the count
 * of this socket's parks, taken before, bounds the loop. */
void wr_run_park_retry(struct weir_run *run, ino_t ino)
{
    unsigned n = 0;
    for (const struct run_park *park = run->parks; park; park = park->next)
        n += park->ino == ino;
    while (n-- > 0) {
        struct run_park **link = &run->parks;
        while (*link && (*link)->ino != ino)
            link = &(*link)->next;
        if (!*link)
            return;
        struct run_park *park = take(run, link);
        size_t before = run->n_parks;
        wr_run_notify_serve(park->program, &park->req, park);
        bool waits_again = run->n_parks > before;
        free(park);
        if (waits_again)
            return;
    }
}

void wr_run_park_drop(struct weir_program *program)
{
    struct weir_run *run = program->run;
    for (struct run_park **link = &run->parks; *link;) {
        if ((*link)->program == program)
            forget(take(run, link));
        else
            link = &(*link)->next;
    }
}

/* One living caller is enough for a listener, so the others of its are not asked. */
void wr_run_park_reap(struct weir_run *run, uint16_t port)
{
    ino_t lives = 0;
    for (struct run_park **link = &run->parks; *link;) {
        struct run_park *park = *link;
        if (park->port == 0 || park->port != port || park->ino == lives) {
            link = &park->next;
        } else if (wr_run_call_alive(park->program->listener_fd, park->req.id)) {
            lives = park->ino;
            link = &park->next;
        } else {
            struct run_sock *rs = wr_run_sock_find(run, park->ino);
            forget(take(run, link));
            if (rs)
                wr_run_pump_look(rs);
            link = &run->parks; /* dropping a record answers its other calls */
        }
    }
}

/* ---- the tick --------------------------------------------------------------------------------- */

struct pending {
    unsigned long long own, shared, blocked, ignored;
    int tgid;
    char state; /* 'T': stopped */
};

/* The number after a field's name in the text of /proc/TID/status. */
static bool field(const char *text, const char *name, int base, unsigned long long *value)
{
    const char *at = strstr(text, name);
    if (at)
        *value = strtoull(at + strlen(name), NULL, base);
    return at != NULL;
}

static bool read_pending(pid_t tid, struct pending *p)
{
    char path[40], text[4096];
    unsigned long long tgid = 0;
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *state = strstr(text, "\nState:\t");
    p->state = state ? state[8] : '?';
    bool known = field(text, "\nTgid:\t", 10, &tgid) && field(text, "\nSigPnd:\t", 16, &p->own) &&
                 field(text, "\nShdPnd:\t", 16, &p->shared) &&
                 field(text, "\nSigBlk:\t", 16, &p->blocked) &&
                 field(text, "\nSigIgn:\t", 16, &p->ignored);
    p->tgid = (int)tgid;
    return known;
}

/* A process that is to stop does so thread by thread, and waits for the one whose call is parked. The main
 * thread's state tells; that thread has the kernel's word to stop then, so that the call is restarted.
 * *last: what was found of the process looked at before. */
static bool process_stops(int tgid, struct pending *last)
{
    if (last->tgid != tgid && !read_pending(tgid, last))
        return false;
    return last->state == 'T';
}

/* Whether this thread is the one that will take a signal sent to its process: the main thread unless
 * that blocks it. */
static bool main_blocks(const struct pending *p, unsigned long long signals)
{
    struct pending leader;
    return !read_pending(p->tgid, &leader) || (signals & ~leader.blocked) == 0;
}

/* What to answer the caller because of a signal; 0: nothing pending. */
static int interruption(pid_t tid, struct pending *leader)
{
    struct pending p;
    if (!read_pending(tid, &p))
        return 0;
    unsigned long long deaf = p.blocked | p.ignored;
    if (p.own & ~deaf)
        return -ERESTARTSYS;
    if ((p.shared & ~deaf) == 0)
        return p.tgid != tid && process_stops(p.tgid, leader) ? -ERESTARTSYS : 0;
    if (p.tgid == tid)
        return -ERESTARTSYS;
    return main_blocks(&p, p.shared & ~deaf) ? -EINTR : 0;
}

/* True if the call was answered: its time is over, or there is a signal. */
static bool look(struct run_park *park, struct pending *leader, weir_time now)
{
    int fd = park->program->listener_fd;
    if (park->deadline <= now) {
        wr_run_answer(fd, park->req.id, park->value ? park->value : -park->timeout_error);
        return true;
    }
    int error = interruption((pid_t)park->req.pid, leader);
    if (error == -ERESTARTSYS && park->deadline != WEIR_TIME_NEVER)
        error = -EINTR; /* Linux restarts no call that has a time-out */
    if (error)
        wr_run_answer(fd, park->req.id, park->value ? park->value : error);
    return error != 0;
}

static void tick(void *arg, weir_time now)
{
    struct weir_run *run = arg;
    size_t first = run->n_parks > LOOKS_A_TICK ? run->park_turn % run->n_parks : 0, i = 0;
    struct pending leader = {0};
    run->park_turn = first + LOOKS_A_TICK;
    for (struct run_park **link = &run->parks; *link; i++) {
        bool due = (*link)->deadline <= now;
        bool chosen = i >= first && i < first + LOOKS_A_TICK;
        bool lives = wr_run_call_alive((*link)->program->listener_fd, (*link)->req.id);
        if (!lives || ((due || chosen) && look(*link, &leader, now)))
            forget(take(run, link));
        else
            link = &(*link)->next;
    }
    if (run->n_parks)
        weir_loop_alarm(run->loop, now + TICK, tick, run);
}
