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
 * A look costs about 25 us, so each tick looks at LOOKS_A_TICK callers in turn.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/run_int.h"

enum { LOOKS_A_TICK = 32 };
#define TICK        (10 * WEIR_MS)
#define ERESTARTSYS 512

static void tick(void *arg, weir_time now);

int64_t wr_run_park(struct run_call *call, weir_time deadline, int timeout_error)
{
    struct weir_run *run = call->run;
    struct run_park *park = malloc(sizeof *park);
    if (!park)
        return WEIR_ENOMEM;
    park->program = call->program;
    park->req = *call->req;
    park->ino = call->rs->ino;
    park->deadline = call->deadline ? call->deadline : deadline;
    park->timeout_error = timeout_error;
    park->next = NULL;
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

bool wr_run_park_any(const struct weir_run *run, ino_t ino)
{
    const struct run_park *park = run->parks;
    while (park && park->ino != ino)
        park = park->next;
    return park != NULL;
}

unsigned wr_run_park_answer(struct weir_run *run, ino_t ino, int64_t value)
{
    unsigned n = 0;
    for (struct run_park **link = &run->parks; *link;) {
        if ((*link)->ino != ino) {
            link = &(*link)->next;
            continue;
        }
        struct run_park *park = take(run, link);
        n += wr_run_answer(park->program->listener_fd, park->req.id, value);
        free(park);
    }
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
        wr_run_notify_serve(park->program, &park->req, park->deadline);
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
            free(take(run, link));
        else
            link = &(*link)->next;
    }
}

/* ---- the tick --------------------------------------------------------------------------------- */

struct pending {
    unsigned long long own, shared, blocked, ignored;
    int tgid;
};

static bool read_pending(pid_t tid, struct pending *p)
{
    char path[40], line[256];
    unsigned found = 0;
    memset(p, 0, sizeof *p);
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (found < 5 && fgets(line, sizeof line, file))
        found += sscanf(line, "Tgid: %d", &p->tgid) == 1 ||
                 sscanf(line, "SigPnd: %llx", &p->own) == 1 ||
                 sscanf(line, "ShdPnd: %llx", &p->shared) == 1 ||
                 sscanf(line, "SigBlk: %llx", &p->blocked) == 1 ||
                 sscanf(line, "SigIgn: %llx", &p->ignored) == 1;
    fclose(file);
    return found == 5;
}

/* Whether this thread is the one that will take a signal sent to its process: the main thread unless
 * that blocks it. */
static bool main_blocks(const struct pending *p, unsigned long long signals)
{
    struct pending leader;
    return !read_pending(p->tgid, &leader) || (signals & ~leader.blocked) == 0;
}

/* What to answer the caller because of a signal; 0: nothing pending. */
static int interruption(pid_t tid)
{
    struct pending p;
    if (!read_pending(tid, &p))
        return 0;
    unsigned long long deaf = p.blocked | p.ignored;
    if (p.own & ~deaf)
        return -ERESTARTSYS;
    if ((p.shared & ~deaf) == 0)
        return 0;
    if (p.tgid == tid)
        return -ERESTARTSYS;
    return main_blocks(&p, p.shared & ~deaf) ? -EINTR : 0;
}

/* 1: answered; 0: waits on; -1: the caller is gone. */
static int look(struct run_park *park, weir_time now)
{
    int fd = park->program->listener_fd;
    if (park->deadline <= now) {
        wr_run_answer(fd, park->req.id, -park->timeout_error);
        return 1;
    }
    if (!wr_run_call_alive(fd, park->req.id))
        return -1;
    int error = interruption((pid_t)park->req.pid);
    if (error)
        wr_run_answer(fd, park->req.id, error);
    return error ? 1 : 0;
}

static void tick(void *arg, weir_time now)
{
    struct weir_run *run = arg;
    size_t first = run->n_parks > LOOKS_A_TICK ? run->park_turn % run->n_parks : 0, i = 0;
    run->park_turn = first + LOOKS_A_TICK;
    for (struct run_park **link = &run->parks; *link; i++) {
        bool due = (*link)->deadline <= now;
        bool chosen = i >= first && i < first + LOOKS_A_TICK;
        if ((due || chosen) && look(*link, now) != 0)
            free(take(run, link));
        else
            link = &(*link)->next;
    }
    if (run->n_parks)
        weir_loop_alarm(run->loop, now + TICK, tick, run);
}
