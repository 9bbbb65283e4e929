/* SPDX-License-Identifier: MIT */
/* Calls that wait: time-outs, signals, and threads that pull the ground away from under them (see procs.c). */
#define _GNU_SOURCE
#include "procs.h"

/* ---- time-outs -------------------------------------------------------------------------------- */

static void scenario_timeouts(void)
{
    int l = full_listener(), fd = socket(AF_INET, SOCK_STREAM, 0), idle = listener(4);
    double begun = clock_now();
    set_time(idle, SO_RCVTIMEO, 200);
    say_call("accept with SO_RCVTIMEO", accept(idle, NULL, NULL));
    say("not before", "%d", clock_now() - begun > 0.19);
    say("soon after", "%d", clock_now() - begun < 1);
    begun = clock_now();
    set_time(fd, SO_SNDTIMEO, 200);
    say_call("connect with SO_SNDTIMEO", connect_fd(fd, port_of(l)));
    say("not before", "%d", clock_now() - begun > 0.19);
    say("soon after", "%d", clock_now() - begun < 1);
    say_call("once more", connect_fd(fd, port_of(l)));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    say_call("not blocking", connect_fd(fd, port_of(l)));
    close(fd);
}

static void scenario_syn_retries(void)
{
    int l = full_listener(), fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    double begun = clock_now();
    setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &one, sizeof one);
    say_call("connect with TCP_SYNCNT 1", connect_fd(fd, port_of(l)));
    say("after 3 s", "%d", clock_now() - begun > 2.8 && clock_now() - begun < 4.5);
    say_call("again to an open port", connect_fd(fd, port_of(listener(1))));
}

static void scenario_user_timeout(void)
{
    int l = full_listener(), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ms = 500,
        error = 0;
    socklen_t len = sizeof error;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
    say_call("connect with TCP_USER_TIMEOUT", connect_fd(fd, port_of(l)));
    struct pollfd p = {fd, POLLOUT, 0};
    say_call("poll", poll(&p, 1, 6000));
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    say("SO_ERROR", "%s", name_of(error));
}

/* ---- signals ---------------------------------------------------------------------------------- */

static int connect_late(int port)
{
    nap(700);
    return connected(port) < 0;
}

static void scenario_interrupted(void)
{
    int l = listener(4);
    handle(SIGALRM, 0);
    alarm_in(250);
    say_call("accept, no SA_RESTART", accept(l, NULL, NULL));
    say("handled", "%d", handled);
    handle(SIGALRM, SA_RESTART);
    pid_t pid = child(connect_late, port_of(l));
    alarm_in(250);
    say_fd("accept, SA_RESTART", accept(l, NULL, NULL));
    say("handled then", "%d, connected %d", handled, exit_of(pid) == 0);
    set_time(l, SO_RCVTIMEO, 3000);
    handle(SIGALRM, SA_RESTART);
    alarm_in(250);
    say_call("accept, SA_RESTART and SO_RCVTIMEO", accept(l, NULL, NULL));
    int full = full_listener(), fd = socket(AF_INET, SOCK_STREAM, 0);
    handle(SIGALRM, 0);
    alarm_in(250);
    say_call("connect, no SA_RESTART", connect_fd(fd, port_of(full)));
    handle(SIGALRM, SA_RESTART);
    set_time(fd, SO_SNDTIMEO, 3000);
    alarm_in(250);
    say_call("connect, SA_RESTART and SO_SNDTIMEO", connect_fd(fd, port_of(full)));
    set_time(fd, SO_SNDTIMEO, 0);
    signal(SIGALRM, SIG_IGN);
    alarm_in(250);
    pid = child(connect_late, port_of(l));
    set_time(l, SO_RCVTIMEO, 0);
    say_fd("accept, ignored", accept(l, NULL, NULL));
    exit_of(pid);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    handle(SIGALRM, 0);
    sigprocmask(SIG_BLOCK, &set, NULL);
    alarm_in(250);
    pid = child(connect_late, port_of(l));
    say_fd("accept, blocked", accept(l, NULL, NULL));
    exit_of(pid);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    say("handled last", "%d", handled);
}

/* The connect that a signal interrupted goes on, and restarted it gives the outcome. */
static void scenario_connect_restart(void)
{
    int l = full_listener(), fd = socket(AF_INET, SOCK_STREAM, 0);
    pid_t pid = child(accept_all, l);
    handle(SIGALRM, SA_RESTART);
    alarm_in(10);
    say_call("connect", connect_fd(fd, port_of(l)));
    say("handled", "%d", handled);
    kill(pid, SIGKILL);
    exit_of(pid);
}

static int accept_here(int backlog)
{
    int fd = accept(listener(backlog), NULL, NULL);
    return fd >= 0 ? 0 : errno;
}

static int accept_in_thread(int backlog)
{
    pthread_t thread;
    int l = listener(backlog);
    pthread_create(&thread, NULL, accept_thread, &l);
    for (;;)
        pause();
    return 0;
}

static int connect_here(int port)
{
    return connect_fd(socket(AF_INET, SOCK_STREAM, 0), port);
}

static void say_killed(const char *what, int (*work)(int), int arg, int sig)
{
    pid_t pid = child(work, arg);
    nap(100);
    kill(pid, sig);
    say_end(what, pid, 0);
}

static void say_stopped(const char *what, int (*work)(int), int arg, int sig)
{
    char text[80];
    pid_t pid = child(work, arg);
    nap(100);
    kill(pid, sig);
    say_end(what, pid, WUNTRACED);
    kill(pid, SIGCONT);
    snprintf(text, sizeof text, "%s, SIGCONT", what);
    say_end(text, pid, WCONTINUED);
    kill(pid, SIGTERM);
    snprintf(text, sizeof text, "%s, SIGTERM", what);
    say_end(text, pid, 0);
}

static void scenario_killed(void)
{
    int port = port_of(full_listener());
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    say_killed("accept, SIGTERM", accept_here, 1, SIGTERM);
    say_killed("accept, SIGKILL", accept_here, 1, SIGKILL);
    say_killed("accept, SIGABRT", accept_here, 1, SIGABRT);
    say_killed("accept in a thread, SIGTERM", accept_in_thread, 1, SIGTERM);
    say_killed("accept in a thread, SIGINT", accept_in_thread, 1, SIGINT);
    say_killed("connect, SIGTERM", connect_here, port, SIGTERM);
    say_killed("connect, SIGKILL", connect_here, port, SIGKILL);
}

static void scenario_stopped(void)
{
    int port = port_of(full_listener());
    say_stopped("accept, SIGSTOP", accept_here, 1, SIGSTOP);
    say_stopped("accept, SIGTSTP", accept_here, 1, SIGTSTP);
    say_stopped("accept in a thread, SIGSTOP", accept_in_thread, 1, SIGSTOP);
    say_stopped("connect, SIGSTOP", connect_here, port, SIGSTOP);
}

/* It goes on where it was: a stop is no interruption. */
static void scenario_continued(void)
{
    int l = listener(4), status;
    pid_t pid = child(accept_for_ever, l);
    nap(100);
    kill(pid, SIGSTOP);
    say_end("stopped", pid, WUNTRACED);
    int c = connected(port_of(l));
    nap(100);
    say_call("while stopped", waitpid(pid, &status, WNOHANG));
    kill(pid, SIGCONT);
    say_end("its accept gave a descriptor", pid, 0);
    say_read("its end", c);
}

static void *wait_signal(void *arg)
{
    int sig;
    sigset_t set;
    (void)arg;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigwait(&set, &sig);
    return (void *)(long)sig;
}

/* Signals to threads, and pthread_cancel, which is one. */
static void scenario_thread_signals(void)
{
    int l = listener(4);
    pthread_t thread, waiter;
    long value = 0;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&thread, NULL, accept_thread, &l);
    await_in(SYS_accept);
    pthread_cancel(thread);
    say("cancelled", "%d", joined(thread, &value, PATIENCE) && (void *)value == PTHREAD_CANCELED);
    handle(SIGUSR1, 0);
    pthread_create(&thread, NULL, accept_thread, &l);
    await_in(SYS_accept);
    pthread_kill(thread, SIGUSR1);
    say_joined("pthread_kill", thread, PATIENCE);
    handle(SIGUSR1, SA_RESTART);
    pthread_create(&thread, NULL, accept_thread, &l);
    await_in(SYS_accept);
    pthread_kill(thread, SIGUSR1);
    say_joined("pthread_kill, SA_RESTART", thread, 300);
    say("handled", "%d", handled);
    pthread_create(&waiter, NULL, wait_signal, NULL);
    nap(250);
    kill(getpid(), SIGUSR2);
    say("sigwait", "%d", joined(waiter, &value, PATIENCE) && value == SIGUSR2);
    int c = connected(port_of(l));
    say_joined("accept all the while", thread, PATIENCE);
    close(c);
}

/* Children that end while the parent accepts, as in a forking server. */
static int exit_soon(int ms)
{
    nap(ms);
    return 0;
}

static void reap(int sig)
{
    (void)sig;
    int error = errno;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        handled++;
    errno = error;
}

static void scenario_sigchld(void)
{
    struct sigaction sa = {.sa_handler = reap, .sa_flags = SA_RESTART};
    int l = listener(4), clients = 0;
    sigaction(SIGCHLD, &sa, NULL);
    handled = 0;
    for (int i = 1; i <= 20; i++)
        child(exit_soon, i * 7);
    for (int i = 0; i < 3; i++) {
        child(connect_late, port_of(l));
        clients += accept(l, NULL, NULL) >= 0;
    }
    for (int i = 0; i < 300 && handled < 23; i++)
        nap(10);
    say("accepted", "%d, reaped %d", clients, handled);
}

/* Handlers by the thousand while calls are made. */
static void scenario_timer(void)
{
    struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    int l = listener(64), good = 0;
    handle(SIGALRM, SA_RESTART);
    setitimer(ITIMER_REAL, &often, NULL);
    int n = 0;
    for (; n < 50 || (n < 5000 && handled < 20); n++) {
        int c = connected(port_of(l)), s = accept(l, NULL, NULL), one = 1;
        good += c >= 0 && s >= 0 && port_of(c) > 0 &&
                setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0 && echo_works(c, s);
        close(c);
        close(s);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    say("all connections", "%d, signals %d", good == n, handled >= 20);
}

/* SIGIO: the kernel's own for the descriptor. */
static void scenario_sigio(void)
{
    int c, s;
    pair_of(&c, &s);
    handle(SIGIO, SA_RESTART);
    fcntl(s, F_SETOWN, getpid());
    fcntl(s, F_SETFL, O_ASYNC | O_NONBLOCK);
    handled = 0;
    write(c, "x", 1);
    for (int i = 0; i < 200 && !handled; i++)
        nap(10);
    say("told", "%d", handled > 0);
}

/* ---- threads that pull the ground away -------------------------------------------------------- */

struct accept_args {
    int fd;
    struct sockaddr *addr;
    socklen_t *len;
};

static void *accept_into(void *arg)
{
    struct accept_args *a = arg;
    int got = accept(a->fd, a->addr, a->len);
    return (void *)(long)(got < 0 ? -errno : got);
}

/* Memory that is unmapped while a call waits which is to write there. */
static void scenario_unmapped(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct accept_args args = {listener(4), (struct sockaddr *)page, (socklen_t *)(page + 64)};
    pthread_t thread;
    *args.len = 16;
    pthread_create(&thread, NULL, accept_into, &args);
    await_in(SYS_accept);
    munmap(page, 4096);
    int c = connected(port_of(args.fd));
    say_joined("accept into unmapped memory", thread, PATIENCE);
    const char *text = read_text(c, 1000);
    say("the connection's peer", "%s", text);
    int d = connected(port_of(args.fd));
    say_fd("the next connection", accept(args.fd, NULL, NULL));
    close(d);
}

/* A listener that is closed, or replaced, while a thread waits in its accept: the call keeps it. */
static void scenario_closed_under_accept(void)
{
    int l = listener(4), port = port_of(l), other = listener(4);
    pthread_t thread;
    pthread_create(&thread, NULL, accept_thread, &l);
    await_in(SYS_accept);
    close(l);
    say_joined("closed", thread, 200);
    say_fd("connect to it", connected(port));
    say_joined("closed, then connected to", thread, PATIENCE);
    say_call("connect after that", connected(port));
    l = listener(4);
    port = port_of(l);
    pthread_create(&thread, NULL, accept_thread, &l);
    await_in(SYS_accept);
    dup2(other, l);
    int c = connected(port_of(other));
    say_joined("replaced", thread, 200);
    say_fd("connect to the first", connected(port));
    say_joined("replaced, then connected to", thread, PATIENCE);
    say_fd("accept of what took its place", accept(l, NULL, NULL));
    close(c);
}

static void *connect_thread(void *arg)
{
    int *fd = arg, full = fd[1], got = connect_fd(fd[0], port_of(full));
    return (void *)(long)(got < 0 ? -errno : fd[0]);
}

static void scenario_closed_under_connect(void)
{
    int fds[2] = {socket(AF_INET, SOCK_STREAM, 0), full_listener()};
    pthread_t thread;
    pthread_create(&thread, NULL, connect_thread, fds);
    await_connecting(fds[0]);
    close(fds[0]);
    say_joined("closed", thread, 200);
    pid_t pid = child(accept_all, fds[1]);
    say_joined("the server accepts", thread, PATIENCE);
    kill(pid, SIGKILL);
    exit_of(pid);
}

/* Two threads in connect on one socket, and shutdown by another. */
static void scenario_shut_under_connect(void)
{
    int fds[2] = {socket(AF_INET, SOCK_STREAM, 0), full_listener()};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, connect_thread, fds);
    await_connecting(fds[0]);
    nap(400);
    say_call("shutdown", shutdown(fds[0], SHUT_RDWR));
    long value[2] = {1, 1};
    bool done = joined(threads[0], &value[0], PATIENCE) && joined(threads[1], &value[1], PATIENCE);
    long low = value[0] < value[1] ? value[0] : value[1];
    say("the connects", "%d %s", done, name_of((int)-low));
}

/* A blocking sendto with an address, of more than there is room for: whole, or what was sent by the time. */
static int read_late(int fd)
{
    static char text[65536];
    long sum = 0;
    ssize_t n;
    nap(200);
    while ((n = read(fd, text, sizeof text)) > 0)
        sum += n;
    return sum == 20000000 ? 0 : 1;
}

static void scenario_sendto(void)
{
    enum { SIZE = 20000000 };
    char *bytes = calloc(1, SIZE);
    struct sockaddr_in in = loopback(1);
    int c, s, d;
    pair_of(&c, &s);
    pid_t pid = child(read_late, s);
    say_call("all of it", sendto(c, bytes, SIZE, 0, (struct sockaddr *)&in, sizeof in));
    shutdown(c, SHUT_WR);
    say("the reader got", "%d", exit_of(pid));
    signal(SIGPIPE, SIG_IGN);
    say_call("after the half-close", sendto(c, "x", 1, 0, (struct sockaddr *)&in, sizeof in));
    pid = fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        sendto(c, "x", 1, 0, (struct sockaddr *)&in, sizeof in);
        _exit(0);
    }
    say_end("SIGPIPE", pid, 0);
    pair_of(&d, &s);
    set_time(d, SO_SNDTIMEO, 100);
    long sent = sendto(d, bytes, SIZE, 0, (struct sockaddr *)&in, sizeof in);
    say("a part, in time", "%d", sent > 0 && sent < SIZE);
    set_time(d, SO_SNDTIMEO, 0);
    handle(SIGALRM, SA_RESTART);
    alarm_in(250);
    while ((sent = sendto(d, bytes, SIZE, MSG_DONTWAIT, (struct sockaddr *)&in, sizeof in)) > 0)
        ;
    say_call("not blocking", sent);
    pid = fork();
    if (pid == 0) {
        nap(150);
        kill(getppid(), SIGALRM);
        struct linger linger = {1, 0};
        nap(150);
        setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        _exit(0);
    }
    close(s);
    sent = sendto(d, bytes, SIZE, 0, (struct sockaddr *)&in, sizeof in);
    say_call("the peer resets", sent > 0 ? 1 : sent);
}

/* Sends so many messages of so many bytes each; says how many there were, and whether they were whole. */
static void say_messages(const char *what, int fd, unsigned n, size_t size, int flags)
{
    char *bytes = calloc(1, size + 1);
    struct sockaddr_in in = loopback(0);
    struct iovec piece = {bytes, size};
    struct mmsghdr message[3] = {0};
    unsigned whole = 0;
    for (unsigned i = 0; i < 3; i++)
        message[i].msg_hdr = (struct msghdr){.msg_iov = &piece, .msg_iovlen = 1};
    if (flags & MSG_FASTOPEN) {
        in.sin_port = htons((uint16_t)port_of(fd));
        fd = socket(AF_INET, SOCK_STREAM, 0);
        message[0].msg_hdr.msg_name = &in;
        message[0].msg_hdr.msg_namelen = sizeof in;
    }
    int count = sendmmsg(fd, message, n, flags);
    int error = errno;
    for (int i = 0; i < count; i++)
        whole += message[i].msg_len == size;
    say(what, "%d %s, whole %u, something of the last %d", count, count < 0 ? name_of(error) : "",
        whole, count > 0 && message[count - 1].msg_len > 0);
    free(bytes);
}

static int read_all(int fd)
{
    static char text[65536];
    while (read(fd, text, sizeof text) > 0)
        ;
    return 0;
}

/* Many messages by one call, with flags that a pair knows nothing of. */
static void scenario_sendmmsg(void)
{
    enum { LARGE = 20000000 };
    int c, s, l = listener(4);
    char got[64];
    pair_of(&c, &s);
    say_messages("held back", c, 3, 3, MSG_MORE);
    say_call("not there yet", recv(s, got, sizeof got, MSG_DONTWAIT));
    say_messages("let go", c, 1, 2, 0);
    say_call("there", recv(s, got, 11, MSG_WAITALL));
    say_messages("none", c, 0, 3, MSG_MORE);
    say_call("nowhere", sendmmsg(c, NULL, 2, MSG_MORE));
    say_messages("of nothing", c, 2, 0, MSG_MORE);
    say_messages("more than there is room for", c, 3, LARGE, MSG_MORE | MSG_DONTWAIT);
    pair_of(&c, &s);
    set_time(c, SO_SNDTIMEO, 200);
    say_messages("no room in time", c, 3, LARGE, MSG_MORE);
    set_time(c, SO_SNDTIMEO, 0);
    pid_t pid = child(read_all, s);
    say_messages("all of it", c, 2, LARGE, MSG_MORE);
    kill(pid, SIGKILL);
    exit_of(pid);
    say_messages("without a connection", socket(AF_INET, SOCK_STREAM, 0), 2, 3,
                 MSG_MORE | MSG_NOSIGNAL);
    say_messages("that connect", l, 2, 3, MSG_FASTOPEN);
    s = accept(l, NULL, NULL);
    say_call("their listener's end", recv(s, got, sizeof got, 0));
}

const struct scenario scenarios_of_waits[] = {
    {"timeouts", scenario_timeouts},
    {"syn_retries", scenario_syn_retries},
    {"user_timeout", scenario_user_timeout},
    {"interrupted", scenario_interrupted},
    {"connect_restart", scenario_connect_restart},
    {"killed", scenario_killed},
    {"stopped", scenario_stopped},
    {"continued", scenario_continued},
    {"thread_signals", scenario_thread_signals},
    {"sigchld", scenario_sigchld},
    {"timer", scenario_timer},
    {"sigio", scenario_sigio},
    {"unmapped", scenario_unmapped},
    {"closed_under_accept", scenario_closed_under_accept},
    {"closed_under_connect", scenario_closed_under_connect},
    {"shut_under_connect", scenario_shut_under_connect},
    {"sendto", scenario_sendto},
    {"sendmmsg", scenario_sendmmsg},
    {NULL, NULL},
};
