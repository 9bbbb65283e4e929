/* SPDX-License-Identifier: MIT */
/*
 * Calls that are received before a signal is sent.
 *
 * A signal interrupts a call that was notified until the supervisor has received it; then only a fatal one does
 * (run_filter.c). The kernel restarts the call, but for a handler without SA_RESTART it fails with EINTR, and so do
 * calls that never do on Linux: a server that has just accepted a connection is told so by getsockname() and
 * closes it.
 *
 *      A   getsockname ---- waits, not received ............ EINTR
 *      B                        kill(A) ---- the signal ----^
 *
 * So kill() and its like are notified, too. Before such a call is let through all that wait are received; they are
 * served a moment after it, when the signal has been sent: else who is served might begin its next call before that.
 * Events of a batch that told of them are then out of date (wr_run_heard_waits()).
 *
 * What is left is a call that begins in that moment, and signals of timers, of children that end and from outside,
 * which come unasked.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "run/run_int.h"

#define MOMENT (200 * WEIR_US)

struct run_heard {
    struct run_heard *next;
    struct weir_program *program;
    struct seccomp_notif req;
};

bool wr_run_heard_receive(const struct weir_program *program, struct seccomp_notif *req)
{
    memset(req, 0, sizeof *req);
    return ioctl(program->listener_fd, SECCOMP_IOCTL_NOTIF_RECV, req) == 0;
}

/* To receive where nothing waits is to wait for the next call. */
static bool is_waiting(const struct weir_program *program)
{
    struct pollfd p = {.fd = program->listener_fd, .events = POLLIN};
    return program->listener_fd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

bool wr_run_heard_waits(const struct weir_program *program)
{
    return program->run->heard == NULL || is_waiting(program);
}

/* False: there is none, or no memory for it. */
static bool hear_one(struct weir_program *program)
{
    struct run_heard *heard = is_waiting(program) ? malloc(sizeof *heard) : NULL;
    struct run_heard **last = &program->run->heard;
    if (!heard || !wr_run_heard_receive(program, &heard->req)) {
        free(heard);
        return false;
    }
    while (*last)
        last = &(*last)->next;
    heard->program = program;
    heard->next = NULL;
    *last = heard;
    return true;
}

static void serve(void *arg, weir_time now)
{
    struct weir_run *run = arg;
    struct run_heard *all = run->heard;
    run->heard = NULL;
    (void)now;
    while (all) {
        struct run_heard *heard = all;
        all = heard->next;
        /* It was received a while ago. Asked now, what is known of its thread is again older than it
         * (run_fd.c). */
        if (wr_run_call_alive(heard->program->listener_fd, heard->req.id))
            wr_run_notify_serve(heard->program, &heard->req, NULL);
        free(heard);
    }
    wr_run_sock_sweep(run);
}

void wr_run_heard_all(struct weir_run *run)
{
    bool served_soon = run->heard != NULL;
    for (struct weir_program *program = run->programs; program; program = program->next)
        while (hear_one(program))
            continue;
    if (run->heard && !served_soon)
        weir_loop_alarm(run->loop, weir_now() + MOMENT, serve, run);
}

void wr_run_heard_forget(struct weir_program *program)
{
    for (struct run_heard **link = &program->run->heard; *link;) {
        struct run_heard *heard = *link;
        if (heard->program == program) {
            *link = heard->next;
            free(heard);
        } else {
            link = &heard->next;
        }
    }
}

void wr_run_heard_end(struct weir_run *run)
{
    weir_loop_alarm(run->loop, WEIR_TIME_NEVER, serve, run);
}

bool wr_run_heard_is_signal(int nr)
{
    switch (nr) {
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill:
    case SYS_rt_sigqueueinfo:
    case SYS_rt_tgsigqueueinfo:
    case SYS_pidfd_send_signal:
        return true;
    default:
        return false;
    }
}
