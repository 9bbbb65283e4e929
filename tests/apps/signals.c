/* SPDX-License-Identifier: MIT */
/*
 * Signals whose handlers do not restart calls, which come while a call waits to be heard of by the supervisor: it is
 * stopped meanwhile, so that this is no matter of luck. On the kernel there is none. With "supervised" as argument
 * the parent is one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEP_US = 20000, BYSTANDERS = 24 };

static volatile sig_atomic_t handled;
static int fd;

static void on_signal(int sig)
{
    (void)sig;
    handled++;
}

static long name(void)
{
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    return getsockname(fd, (struct sockaddr *)&in, &len);
}

static long set_option(void)
{
    int on = 1;
    return setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static long get_option(void)
{
    int on;
    socklen_t len = sizeof on;
    return getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len) == 0 ? on : -1;
}

static long open_close(void)
{
    int other = socket(AF_INET, SOCK_STREAM, 0);
    return other < 0 ? -1 : close(other);
}

static long accept_nothing(void)
{
    return accept4(fd, NULL, NULL, SOCK_NONBLOCK) < 0 && errno == EAGAIN ? 0 : -1;
}

static void by_kill(pid_t pid)
{
    kill(pid, SIGUSR1);
}

static void by_tgkill(pid_t pid)
{
    syscall(SYS_tgkill, pid, pid, SIGUSR1);
}

static void by_queue(pid_t pid)
{
    sigqueue(pid, SIGUSR1, (union sigval){.sival_int = 1});
}

static void by_pidfd(pid_t pid)
{
    syscall(SYS_pidfd_send_signal, syscall(SYS_pidfd_open, pid, 0), SIGUSR1, NULL, 0);
}

/* The supervisor stands still; the call and the signal are made, one after the other; then it goes on. Where the signal
 * is first, others call between the two, who would be served while the signal is sent. */
static void meet(const char *what, long (*call)(void), void (*send)(pid_t), int signal_first,
                 pid_t supervisor)
{
    pid_t self = getpid(), sender, waker;
    handled = 0;
    if (supervisor)
        kill(supervisor, SIGSTOP);
    if ((sender = fork()) == 0) {
        usleep(signal_first ? 0 : 2 * STEP_US);
        send(self);
        _exit(0);
    }
    for (int i = 0; signal_first && i < BYSTANDERS; i++) {
        if (fork() == 0) {
            usleep(STEP_US);
            _exit(call() < 0);
        }
    }
    if ((waker = fork()) == 0) {
        usleep(6 * STEP_US);
        if (supervisor)
            kill(supervisor, SIGCONT);
        _exit(0);
    }
    usleep(signal_first ? 4 * STEP_US : STEP_US / 2);
    errno = 0;
    long value = call();
    int error = errno == EAGAIN ? 0 : errno;
    while (wait(NULL) > 0 || errno == EINTR)
        continue;
    printf("%s, %s: %ld %s, signals %d\n", what, signal_first ? "signal first" : "call first",
           value, error ? strerror(error) : "ok", (int)handled);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        long (*call)(void);
        void (*send)(pid_t);
    } meetings[] = {
        {"getsockname", name, by_kill},       {"setsockopt", set_option, by_tgkill},
        {"getsockopt", get_option, by_queue}, {"socket", open_close, by_pidfd},
        {"accept4", accept_nothing, by_kill},
    };
    struct sigaction action = {.sa_handler = on_signal};
    pid_t supervisor = argc > 1 && strcmp(argv[1], "supervised") == 0 ? getppid() : 0;
    sigaction(SIGUSR1, &action, NULL);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    listen(fd, 1);
    for (size_t i = 0; i < sizeof meetings / sizeof *meetings; i++)
        for (int signal_first = 0; signal_first < 2; signal_first++)
            meet(meetings[i].name, meetings[i].call, meetings[i].send, signal_first, supervisor);
    return 0;
}
