/* SPDX-License-Identifier: MIT */
/*
 * Signals to the command, for its programs. What the terminal sends (^C, ^\, hang-up) reaches the whole
 * foreground group, programs included, and must not reach them twice: the sender tells which it was.
 */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/cli.h"

static void ready(void *arg, int fd, uint32_t events)
{
    struct cli_signals *signals = arg;
    struct signalfd_siginfo info;
    (void)events;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        signals->on_signal(signals->arg, (int)info.ssi_signo,
                           info.ssi_code == SI_KERNEL ? 0 : (int)info.ssi_pid);
}

static void the_set(sigset_t *set)
{
    static const int sigs[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++)
        sigaddset(set, sigs[i]);
}

int wr_cli_signals_open(struct cli_signals *signals, struct weir_loop *loop)
{
    sigset_t set;
    the_set(&set);
    signals->loop = loop;
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd < 0)
        return -errno;
    return weir_loop_watch(loop, signals->fd, EPOLLIN, ready, signals);
}

void wr_cli_signals_close(struct cli_signals *signals)
{
    weir_loop_watch(signals->loop, signals->fd, 0, NULL, NULL);
    close(signals->fd);
}
