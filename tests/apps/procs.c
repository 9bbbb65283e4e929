/* SPDX-License-Identifier: MIT */
/*
 * Sockets between processes, threads and signals: scenarios, each in a process of its own and all at once,
 * which print lines "scenario what: value". The program is run on the kernel and under `weir run`, and the
 * lines are compared (test_run_procs.py). It needs a loopback only; where time matters it is told by a bound
 * that is far from both sides of it.
 *
 *   procs              all scenarios
 *   procs NAME         one of them
 *   procs -exec ARGS   what the scenario `exec` goes through
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *scenario, *self;

/* ---- saying it -------------------------------------------------------------------------------- */

static const char *name_of(int error)
{
    const char *name = strerrorname_np(error);
    return name ? name : "?";
}

/* One write a line: scenarios share the output. */
static void say(const char *what, const char *format, ...)
{
    char line[256];
    va_list args;
    int n = snprintf(line, sizeof line, "%s %s: ", scenario, what);
    va_start(args, format);
    n += vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
    va_end(args);
    line[n++] = '\n';
    if (write(1, line, (size_t)n) != n)
        _exit(3);
}

/* A call's value, and errno if it is -1. */
static void say_call(const char *what, long value)
{
    int error = errno;
    say(what, "%ld%s%s", value, value == -1 ? " " : "", value == -1 ? name_of(error) : "");
}

/* Whether it gave a descriptor. */
static void say_fd(const char *what, int fd)
{
    int error = errno;
    say(what, "%s", fd >= 0 ? "a descriptor" : name_of(error));
}

static void say_status(const char *what, int status)
{
    if (WIFSTOPPED(status))
        say(what, "stopped by %d", WSTOPSIG(status));
    else if (WIFCONTINUED(status))
        say(what, "continued");
    else if (WIFSIGNALED(status))
        say(what, "killed by %d", WTERMSIG(status));
    else
        say(what, "exited with %d", WEXITSTATUS(status));
}

static double clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void nap(int ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
        ;
}

/* waitpid that gives up. */
static bool await(pid_t pid, int *status, int options, int ms)
{
    for (double until = clock_now() + ms / 1e3;; nap(2)) {
        if (waitpid(pid, status, options | WNOHANG) == pid)
            return true;
        if (clock_now() > until)
            return false;
    }
}

static void say_end(const char *what, pid_t pid, int options)
{
    int status;
    if (await(pid, &status, options, 1500))
        say_status(what, status);
    else
        say(what, "not within 1.5 s");
}

/* ---- sockets to work with --------------------------------------------------------------------- */

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    return in;
}

static int port_of(int fd)
{
    struct sockaddr_in in = {0};
    socklen_t len = sizeof in;
    getsockname(fd, (struct sockaddr *)&in, &len);
    return ntohs(in.sin_port);
}

static int bound(int port, int option)
{
    struct sockaddr_in in = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (option)
        setsockopt(fd, SOL_SOCKET, option, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&in, sizeof in) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int listener(int backlog)
{
    int fd = bound(0, 0);
    listen(fd, backlog);
    return fd;
}

static int connect_fd(int fd, int port)
{
    struct sockaddr_in in = loopback(port);
    return connect(fd, (struct sockaddr *)&in, sizeof in);
}

static int connected(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect_fd(fd, port) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void pair_of(int *client, int *server)
{
    int l = listener(8);
    *client = connected(port_of(l));
    *server = accept(l, NULL, NULL);
    close(l);
}

static void set_time(int fd, int option, int ms)
{
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, option, &tv, sizeof tv);
}

/* What a read gives within 2 s: "abc", "end", an error, or "nothing" after `ms`. */
static const char *read_text(int fd, int ms)
{
    static _Thread_local char text[64];
    struct pollfd p = {fd, POLLIN, 0};
    if (poll(&p, 1, ms) == 0)
        return "nothing";
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    if (n < 0)
        return name_of(errno);
    text[n] = '\0';
    return n ? text : "end";
}

static void say_read(const char *what, int fd)
{
    say(what, "%s", read_text(fd, 2000));
}

static bool echo_works(int a, int b)
{
    char c = 0;
    struct pollfd p = {b, POLLIN, 0};
    if (send(a, "?", 1, MSG_NOSIGNAL) != 1)
        return false;
    while (poll(&p, 1, 2000) < 0 && errno == EINTR)
        ;
    return recv(b, &c, 1, MSG_DONTWAIT) == 1 && c == '?';
}

/* A child that runs `work` and exits with what it returns. */
static pid_t child(int (*work)(int), int arg)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(work(arg));
    return pid;
}

static int exit_of(pid_t pid)
{
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- processes -------------------------------------------------------------------------------- */

static int echo_once(int fd)
{
    char text[16];
    ssize_t n = read(fd, text, sizeof text);
    return n > 0 && write(fd, text, (size_t)n) == n ? 0 : 1;
}

static int ask_echo(int port)
{
    int fd = connected(port);
    if (fd < 0 || write(fd, "hello", 5) != 5)
        return 1;
    set_time(fd, SO_RCVTIMEO, 5000);
    char text[16] = "";
    if (recv(fd, text, 5, MSG_WAITALL) != 5 || strcmp(text, "hello") != 0)
        return 2;
    return recv(fd, text, 1, 0) == 0 ? 0 : 3;
}

/* A child for each connection, the parent closes its descriptor. */
static void scenario_fork(void)
{
    enum { N = 12 };
    int l = listener(N), good = 0, served = 0;
    pid_t clients[N], servers[N];
    for (int i = 0; i < N; i++)
        clients[i] = child(ask_echo, port_of(l));
    for (int i = 0; i < N; i++) {
        int fd = accept(l, NULL, NULL);
        servers[i] = child(echo_once, fd);
        close(fd);
    }
    for (int i = 0; i < N; i++) {
        served += exit_of(servers[i]) == 0;
        good += exit_of(clients[i]) == 0;
    }
    say("served", "%d of %d, answered %d", served, N, good);
}

/* Children that only come to connect, many at once; their parent accepts and answers. */
static void scenario_storm(void)
{
    enum { N = 60 };
    int l = listener(N), good = 0;
    pid_t clients[N];
    for (int i = 0; i < N; i++)
        clients[i] = child(ask_echo, port_of(l));
    for (int i = 0; i < N; i++) {
        int fd = accept(l, NULL, NULL);
        echo_once(fd);
        close(fd);
    }
    for (int i = 0; i < N; i++)
        good += exit_of(clients[i]) == 0;
    say("answered", "%d of %d", good, N);
}

static int do_nothing(int fd)
{
    close(fd);
    return 0;
}

static int shut_wr(int fd)
{
    return shutdown(fd, SHUT_WR);
}

static int shut_rd(int fd)
{
    return shutdown(fd, SHUT_RD);
}

static int shut_both(int fd)
{
    return shutdown(fd, SHUT_RDWR);
}

/* One process's close does not end another's connection, shutdown ends it for all. */
static void scenario_close(void)
{
    int c, s;
    signal(SIGPIPE, SIG_IGN);
    pair_of(&c, &s);
    say("child closes and exits", "%d", exit_of(child(do_nothing, s)));
    say("the peer reads", "%s", read_text(c, 100));
    say("the parent's works", "%d %d", echo_works(s, c), echo_works(c, s));
    int copy = dup(s);
    close(s);
    say("a copy is closed", "%s %d", read_text(c, 100), echo_works(copy, c));
    say("child shuts sending", "%d", exit_of(child(shut_wr, copy)));
    say_read("the peer reads then", c);
    say_call("the parent writes", write(copy, "x", 1));
    say("the parent still reads", "%d", echo_works(c, copy));
    say("child shuts receiving", "%d", exit_of(child(shut_rd, copy)));
    say_read("the parent reads", copy);
    close(copy);
    close(c);
    pair_of(&c, &s);
    say("child shuts both", "%d", exit_of(child(shut_both, s)));
    say_read("both: the peer reads", c);
    say_read("both: the parent reads", s);
    say_call("both: the parent writes", write(s, "x", 1));
    close(c);
    close(s);
    pair_of(&c, &s);
    pid_t holder = fork();
    if (holder == 0) {
        pause();
        _exit(0);
    }
    close(s);
    say("a child holds it", "%s", read_text(c, 100));
    kill(holder, SIGKILL);
    say("the child ended by", "%d", -exit_of(holder));
    say_read("then the peer reads", c);
}

static void *accept_thread(void *arg)
{
    int *fd = arg, got = accept(*fd, NULL, NULL);
    return (void *)(long)(got < 0 ? -errno : got);
}

static bool joined(pthread_t thread, long *value, int ms)
{
    struct timespec until;
    void *got = NULL;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000)
        until.tv_sec++, until.tv_nsec -= 1000000000;
    if (pthread_timedjoin_np(thread, &got, &until) != 0)
        return false;
    *value = (long)got;
    return true;
}

static void say_joined(const char *what, pthread_t thread, int ms)
{
    long value;
    if (!joined(thread, &value, ms))
        say(what, "still waits");
    else
        say(what, "%s", value < 0 ? name_of((int)-value) : "a connection");
}

/* The same for listeners. */
static void scenario_listener(void)
{
    int l = listener(4), port = port_of(l);
    pthread_t thread;
    say("child closes it", "%d", exit_of(child(do_nothing, l)));
    int c = connected(port);
    say_fd("connect", c);
    close(c);
    c = accept(l, NULL, NULL);
    say_fd("accept", c);
    close(c);
    pthread_create(&thread, NULL, accept_thread, &l);
    nap(100);
    say("child shuts it", "%d", exit_of(child(shut_rd, l)));
    say_joined("the thread in accept", thread, 2000);
    say_call("connect to it", connected(port));
    say_call("accept of it", accept(l, NULL, NULL));
    close(l);
    l = listener(4);
    port = port_of(l);
    pid_t holder = fork();
    if (holder == 0) {
        pause();
        _exit(0);
    }
    close(l);
    c = connected(port);
    say_fd("connect while a child holds it", c);
    kill(holder, SIGKILL);
    exit_of(holder);
    say_read("not accepted, and the child is gone", c);
    say_call("connect after that", connected(port));
}

/* Whoever has seen a listener's process end may use its port at once. */
static int accept_for_ever(int fd)
{
    return accept(fd, NULL, NULL);
}

static void scenario_restart(void)
{
    int l = listener(4), port = port_of(l), again = 0, refused = 0;
    close(l);
    for (int i = 0; i < 20; i++) {
        l = bound(port, SO_REUSEADDR);
        again += l >= 0 && listen(l, 4) == 0;
        pid_t pid = child(accept_for_ever, l);
        close(l);
        nap(i % 2 ? 20 : 0);
        kill(pid, SIGKILL);
        exit_of(pid);
        refused += i % 4 < 2 || (connected(port) < 0 && errno == ECONNREFUSED);
    }
    say("bound again", "%d", again);
    say("refused", "%d", refused);
}

/* ---- exec ------------------------------------------------------------------------------------- */

/* -exec STEPS LISTENER CONNECTION CLOSED: some execs on, a connection and a listener are still there. */
static int exec_main(char **argv)
{
    int steps = atoi(argv[0]), l = atoi(argv[1]), fd = atoi(argv[2]), closed = atoi(argv[3]);
    char left[12];
    if (steps > 0) {
        snprintf(left, sizeof left, "%d", steps - 1);
        execl(self, self, "-exec", left, argv[1], argv[2], argv[3], NULL);
        return 9;
    }
    int one = 1;
    if (fcntl(closed, F_GETFD) >= 0)
        return 8;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 || write(fd, "exec", 4) != 4)
        return 7;
    int c = accept(l, NULL, NULL);
    return c >= 0 && port_of(c) == port_of(l) && echo_once(c) == 0 ? 5 : 6;
}

static void scenario_exec(void)
{
    int l = listener(4), c, s, closing, peer;
    char words[3][12];
    pair_of(&c, &s);
    pair_of(&peer, &closing);
    fcntl(closing, F_SETFD, FD_CLOEXEC);
    snprintf(words[0], sizeof *words, "%d", l);
    snprintf(words[1], sizeof *words, "%d", s);
    snprintf(words[2], sizeof *words, "%d", closing);
    pid_t pid = fork();
    if (pid == 0) {
        close(c);
        close(peer);
        execl(self, self, "-exec", "3", words[0], words[1], words[2], NULL);
        _exit(9);
    }
    close(s);
    close(closing);
    say_read("what close-on-exec closed", peer);
    say_read("through three execs", c);
    say("the listener's echo", "%d", ask_echo(port_of(l)));
    say("the last's exit", "%d", exit_of(pid));
    say_read("after its end", c);
}

/* A thread waits in accept while another calls exec: it is ended, the listener is there still. */
static void scenario_exec_threads(void)
{
    int l = listener(4), port = port_of(l);
    char word[12];
    snprintf(word, sizeof word, "%d", l);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t threads[3];
        int other = listener(4);
        for (int i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, accept_thread, &other);
        nap(250);
        int c, s;
        char fd[12];
        pair_of(&c, &s);
        snprintf(fd, sizeof fd, "%d", s);
        fcntl(other, F_SETFD, FD_CLOEXEC);
        fcntl(c, F_SETFD, FD_CLOEXEC);
        execl(self, self, "-exec", "0", word, fd, "1000", NULL);
        _exit(9);
    }
    say("echo", "%d", ask_echo(port));
    say("exit", "%d", exit_of(pid));
}

/* ---- descriptors passed ----------------------------------------------------------------------- */

static void send_fd(int through, int fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof fd)];
    } control = {0};
    struct iovec iov = {"", 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    if (sendmsg(through, &msg, 0) != 1)
        say("sendmsg", "%s", name_of(errno));
}

static int recv_fd(int through)
{
    char byte;
    int fd = -1;
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof fd)];
    } control;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    if (recvmsg(through, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
    return fd;
}

/* The receiver was forked before the sockets were made. */
static int receive_and_use(int through)
{
    int one = 1, port, ports[2];
    int conn = recv_fd(through), l = recv_fd(through);
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    if (read(through, ports, sizeof ports) != sizeof ports)
        return 1;
    port = port_of(conn);
    say("passed getsockname", "%d", port == ports[0]);
    say_call("passed getpeername", getpeername(conn, (struct sockaddr *)&in, &len));
    say("its port", "%d", ntohs(in.sin_port) == ports[1]);
    say_call("passed setsockopt", setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    say_read("passed read", conn);
    say_call("passed write", write(conn, "back", 4));
    say_call("passed shutdown", shutdown(conn, SHUT_WR));
    int fd = accept(l, NULL, NULL);
    say_fd("passed listener accepts", fd);
    say("its name", "%d", port_of(fd) == port_of(l));
    say("its echo", "%d", echo_once(fd));
    return 0;
}

static void scenario_passed(void)
{
    int through[2], c, s, ports[2], value = -1;
    socklen_t len = sizeof value;
    socketpair(AF_UNIX, SOCK_STREAM, 0, through);
    pid_t pid = fork();
    if (pid == 0) {
        close(through[0]);
        _exit(receive_and_use(through[1]));
    }
    close(through[1]);
    pair_of(&c, &s);
    int l = listener(4), port = port_of(l);
    send_fd(through[0], s);
    send_fd(through[0], l);
    ports[0] = port_of(s);
    ports[1] = port_of(c);
    close(l);
    write(c, "there", 5);
    int copy = dup(s);
    close(s);
    write(through[0], ports, sizeof ports);
    say("echo of the passed listener", "%d", ask_echo(port));
    say("the receiver's exit", "%d", exit_of(pid));
    getsockopt(copy, IPPROTO_TCP, TCP_NODELAY, &value, &len);
    say("the option as seen by the sender", "%d", value);
    say_read("what the receiver wrote", c);
    say_read("its half-close", c);
    say_call("the sender writes", send(copy, "x", 1, MSG_NOSIGNAL));
}

/* A descriptor that is only in a message keeps its connection open; the message's end closes it. */
static void scenario_flying(void)
{
    int through[2], c, s;
    socketpair(AF_UNIX, SOCK_STREAM, 0, through);
    pair_of(&c, &s);
    send_fd(through[0], s);
    close(s);
    say("in a message", "%s", read_text(c, 100));
    write(c, "late", 4);
    s = recv_fd(through[1]);
    say_read("taken out", s);
    send_fd(through[0], s);
    close(s);
    close(through[0]);
    close(through[1]);
    const char *text = read_text(c, 2000);
    say("the message is lost", "%s", text);
}

/* ---- listeners shared ------------------------------------------------------------------------- */

static int *shared_counts(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static int shared_listener, *counts;
enum { WORKERS = 4, CLIENTS = 200 };

static int exclusive_worker(int n)
{
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE}, got;
    epoll_ctl(epoll, EPOLL_CTL_ADD, shared_listener, &event);
    __atomic_fetch_add(&counts[2], 1, __ATOMIC_SEQ_CST);
    for (;;) {
        epoll_wait(epoll, &got, 1, -1);
        __atomic_fetch_add(&counts[0], 1, __ATOMIC_SEQ_CST);
        int fd = accept4(shared_listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0)
            continue;
        __atomic_fetch_add(&counts[1], 1, __ATOMIC_SEQ_CST);
        write(fd, "w", 1);
        close(fd);
    }
    return n;
}

static void scenario_exclusive(void)
{
    pid_t pids[WORKERS];
    counts = shared_counts();
    shared_listener = listener(CLIENTS);
    fcntl(shared_listener, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < WORKERS; i++)
        pids[i] = child(exclusive_worker, i);
    while (__atomic_load_n(&counts[2], __ATOMIC_SEQ_CST) < WORKERS)
        nap(5);
    nap(250);
    int served = 0;
    for (int i = 0; i < CLIENTS; i++) {
        int fd = connected(port_of(shared_listener));
        served += strcmp(read_text(fd, 2000), "w") == 0;
        close(fd);
    }
    say("served", "%d, accepted %d", served, counts[1]);
    say("a wakeup for each, not for each worker", "%d",
        counts[0] >= CLIENTS && counts[0] < CLIENTS + CLIENTS / 2);
    for (int i = 0; i < WORKERS; i++) {
        kill(pids[i], SIGKILL);
        exit_of(pids[i]);
    }
}

static int blocking_worker(int n)
{
    for (;;) {
        int fd = accept(shared_listener, NULL, NULL);
        if (fd < 0)
            return 1;
        counts[n]++;
        echo_once(fd);
        close(fd);
    }
}

/* Workers that block in accept on one inherited listener; one is killed on the way. */
static void scenario_prefork(void)
{
    pid_t pids[WORKERS];
    int good = 0, sum = 0, used = 0;
    counts = shared_counts();
    shared_listener = listener(64);
    for (int i = 0; i < WORKERS; i++)
        pids[i] = child(blocking_worker, i);
    nap(250);
    for (int i = 0; i < 80; i++) {
        good += ask_echo(port_of(shared_listener)) == 0;
        if (i == 40) {
            kill(pids[0], SIGKILL);
            say("a worker ended by", "%d", -exit_of(pids[0]));
        }
    }
    for (int i = 0; i < WORKERS; i++) {
        sum += counts[i];
        used += counts[i] > 0;
        kill(pids[i], SIGTERM);
        if (i > 0)
            say_end("a worker", pids[i], 0);
    }
    say("answered", "%d, accepted %d, by more than one: %d", good, sum, used > 1);
}

static int reuseport_worker(int n)
{
    int port = counts[15];
    shared_listener = bound(port, SO_REUSEPORT);
    if (shared_listener < 0 || listen(shared_listener, 64) < 0)
        return 1;
    __atomic_fetch_add(&counts[14], 1, __ATOMIC_SEQ_CST);
    return blocking_worker(n);
}

/* A group of listeners, one a process: all get some; those of a dead process go to no one. */
static void scenario_reuseport(void)
{
    enum { N = 3 };
    pid_t pids[N];
    int good = 0, used = 0;
    int keeper = bound(0, SO_REUSEPORT);
    counts = shared_counts();
    counts[15] = port_of(keeper);
    for (int i = 0; i < N; i++)
        pids[i] = child(reuseport_worker, i);
    while (__atomic_load_n(&counts[14], __ATOMIC_SEQ_CST) < N)
        nap(5);
    for (int i = 0; i < 80; i++)
        good += ask_echo(counts[15]) == 0;
    for (int i = 0; i < N; i++)
        used += counts[i] > 0;
    say("answered", "%d by %d, accepted %d", good, used, counts[0] + counts[1] + counts[2]);
    kill(pids[0], SIGKILL);
    exit_of(pids[0]);
    for (good = 0; good < 40 && ask_echo(counts[15]) == 0;)
        good++;
    say("answered without the first", "%d", good);
    say_fd("bound without SO_REUSEPORT", bound(counts[15], 0));
    for (int i = 1; i < N; i++) {
        kill(pids[i], SIGKILL);
        exit_of(pids[i]);
    }
    say_call("connect when all are gone", connected(counts[15]));
}

static void *echo_thread(void *arg)
{
    long n = 0;
    (void)arg;
    for (;; n++) {
        int fd = accept(shared_listener, NULL, NULL);
        if (fd < 0)
            return (void *)n;
        echo_once(fd);
        close(fd);
    }
}

static void *ask_thread(void *arg)
{
    long good = 0;
    for (int i = 0; i < 10; i++)
        good += ask_echo((int)(long)arg) == 0;
    return (void *)good;
}

static void scenario_threads(void)
{
    enum { N = 8 };
    pthread_t servers[N], clients[N];
    long good = 0, served = 0;
    shared_listener = listener(64);
    int port = port_of(shared_listener);
    for (int i = 0; i < N; i++)
        pthread_create(&servers[i], NULL, echo_thread, NULL);
    for (int i = 0; i < N; i++)
        pthread_create(&clients[i], NULL, ask_thread, (void *)(long)port);
    for (int i = 0; i < N; i++) {
        void *value;
        pthread_join(clients[i], &value);
        good += (long)value;
    }
    shutdown(shared_listener, SHUT_RD);
    for (int i = 0; i < N; i++) {
        long value = 0;
        if (joined(servers[i], &value, 3000))
            served += value;
    }
    say("answered", "%ld, served %ld", good, served);
}

/* ---- time-outs -------------------------------------------------------------------------------- */

static int accept_all(int fd)
{
    nap(100);
    while (accept(fd, NULL, NULL) >= 0)
        ;
    return 1;
}

/* A listener whose queue is full: SYNs to it are dropped, connects to it wait. */
static int full_listener(void)
{
    int l = listener(0);
    for (int i = 0; i < 3; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect_fd(fd, port_of(l));
    }
    nap(250);
    return l;
}

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

static volatile sig_atomic_t handled;

static void on_signal(int sig)
{
    (void)sig;
    handled++;
}

static void handle(int sig, int flags)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};
    sigaction(sig, &sa, NULL);
    handled = 0;
}

static void alarm_in(int ms)
{
    struct itimerval it = {{0, 0}, {ms / 1000, ms % 1000 * 1000}};
    setitimer(ITIMER_REAL, &it, NULL);
}

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
    nap(250);
    pthread_cancel(thread);
    say("cancelled", "%d", joined(thread, &value, 1500) && (void *)value == PTHREAD_CANCELED);
    handle(SIGUSR1, 0);
    pthread_create(&thread, NULL, accept_thread, &l);
    nap(250);
    pthread_kill(thread, SIGUSR1);
    say_joined("pthread_kill", thread, 1500);
    handle(SIGUSR1, SA_RESTART);
    pthread_create(&thread, NULL, accept_thread, &l);
    nap(250);
    pthread_kill(thread, SIGUSR1);
    say_joined("pthread_kill, SA_RESTART", thread, 300);
    say("handled", "%d", handled);
    pthread_create(&waiter, NULL, wait_signal, NULL);
    nap(250);
    kill(getpid(), SIGUSR2);
    say("sigwait", "%d", joined(waiter, &value, 1500) && value == SIGUSR2);
    int c = connected(port_of(l));
    say_joined("accept all the while", thread, 1500);
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

/* ---- ends ------------------------------------------------------------------------------------- */

static int die_with(int fd)
{
    nap(100);
    raise(SIGKILL);
    return fd;
}

/* A process that is killed: FIN if it had read all, RST if not, RST with SO_LINGER 0. */
static void scenario_died(void)
{
    static const char *const what[] = {"all read", "bytes unread", "SO_LINGER 0"};
    for (int i = 0; i < 3; i++) {
        int c, s;
        struct linger linger = {1, 0};
        pair_of(&c, &s);
        if (i == 1)
            write(c, "unread", 6);
        if (i == 2)
            setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        write(s, "last words", 10);
        pid_t pid = child(die_with, s);
        close(s);
        exit_of(pid);
        nap(250);
        struct pollfd p = {c, POLLIN | POLLOUT | POLLRDHUP, 0};
        poll(&p, 1, 0);
        say(what[i], "poll %#x", p.revents);
        const char *first = read_text(c, 1000);
        say(what[i], "first read %s", first);
        say(what[i], "then %s", read_text(c, 1000));
        say(what[i], "then %s", read_text(c, 1000));
        say_call(what[i], send(c, "x", 1, MSG_NOSIGNAL));
        close(c);
    }
}

/* Exit while another thread's call is parked. */
static int exit_around_accept(int status)
{
    pthread_t thread;
    int l = listener(2);
    pthread_create(&thread, NULL, accept_thread, &l);
    nap(250);
    exit(status);
}

static void scenario_exit(void)
{
    pid_t pid = child(exit_around_accept, 6);
    say_end("exit with a thread in accept", pid, 0);
    int c, s;
    pair_of(&c, &s);
    pid = fork();
    if (pid == 0) {
        pthread_t thread;
        int l = listener(2);
        close(c);
        pthread_create(&thread, NULL, accept_thread, &l);
        nap(250);
        write(s, "bye", 3);
        _exit(3);
    }
    close(s);
    say_end("its exit", pid, 0);
    const char *text = read_text(c, 1000);
    say("its last words", "%s", text);
    say_read("and its end", c);
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
    nap(250);
    munmap(page, 4096);
    int c = connected(port_of(args.fd));
    say_joined("accept into unmapped memory", thread, 1500);
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
    nap(250);
    close(l);
    say_joined("closed", thread, 200);
    say_fd("connect to it", connected(port));
    say_joined("closed, then connected to", thread, 1500);
    say_call("connect after that", connected(port));
    l = listener(4);
    port = port_of(l);
    pthread_create(&thread, NULL, accept_thread, &l);
    nap(250);
    dup2(other, l);
    int c = connected(port_of(other));
    say_joined("replaced", thread, 200);
    say_fd("connect to the first", connected(port));
    say_joined("replaced, then connected to", thread, 1500);
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
    nap(250);
    close(fds[0]);
    say_joined("closed", thread, 200);
    pid_t pid = child(accept_all, fds[1]);
    say_joined("the server accepts", thread, 15000);
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
    nap(400);
    say_call("shutdown", shutdown(fds[0], SHUT_RDWR));
    long value[2] = {1, 1};
    bool done = joined(threads[0], &value[0], 1500) && joined(threads[1], &value[1], 1500);
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

/* ---- rights and limits ------------------------------------------------------------------------ */

static int whole_turn(void)
{
    int c, s, one = 1;
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    int l = listener(4);
    if ((c = connected(port_of(l))) < 0)
        return 1;
    if ((s = accept(l, (struct sockaddr *)&in, &len)) < 0 || ntohs(in.sin_port) != port_of(c))
        return 2;
    if (setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
        return 3;
    if (getpeername(c, (struct sockaddr *)&in, &len) < 0 || ntohs(in.sin_port) != port_of(l))
        return 4;
    if (!echo_works(c, s) || !echo_works(s, c) || shutdown(c, SHUT_WR) < 0)
        return 5;
    return strcmp(read_text(s, 1000), "end") == 0 ? 0 : 6;
}

static int undumpable(int unused)
{
    (void)unused;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) ? 10 : whole_turn();
}

static int other_user(int unused)
{
    (void)unused;
    if (getuid() == 0 && (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0))
        return 11;
    return whole_turn();
}

static int own_files(int unused)
{
    (void)unused;
    int fd = listener(1), port = port_of(fd);
    if (unshare(CLONE_FILES) < 0)
        return 12;
    return port_of(fd) == port ? whole_turn() : 13;
}

static void scenario_rights(void)
{
    say("not dumpable", "%d", exit_of(child(undumpable, 0)));
    say("another user", "%d", exit_of(child(other_user, 0)));
    say("descriptors of its own", "%d", exit_of(child(own_files, 0)));
}

/* A filter of the program's own: it answers before, and after it comes the supervisor's. */
static int filtered(int action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, (unsigned)action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) < 0)
        return 100;
    errno = 0;
    return whole_turn() ? errno : 0;
}

static void scenario_filters(void)
{
    say("allowed", "%d", exit_of(child(filtered, SECCOMP_RET_ALLOW)));
    say("logged", "%d", exit_of(child(filtered, SECCOMP_RET_LOG)));
    say("errno", "%d", exit_of(child(filtered, SECCOMP_RET_ERRNO | 71)));
    say("trap", "%d", exit_of(child(filtered, SECCOMP_RET_TRAP)));
    say("kill", "%d", exit_of(child(filtered, SECCOMP_RET_KILL_PROCESS)));
}

/* The program's limit of descriptors is its own, and binds. */
static void scenario_limits(void)
{
    struct rlimit limit;
    int n = 0, last = -1, fd;
    getrlimit(RLIMIT_NOFILE, &limit);
    say("descriptors", "%llu %llu", (unsigned long long)limit.rlim_cur,
        (unsigned long long)limit.rlim_max);
    for (fd = 3; fd < 64; fd++)
        close(fd);
    limit.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &limit);
    while ((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
        n++, last = fd;
    say("sockets", "%d, then %s", n, name_of(errno));
    struct sockaddr_in in = loopback(0);
    say_call("bind of the last", bind(last, (struct sockaddr *)&in, sizeof in));
    close(last);
    say_fd("socket after a close", socket(AF_INET, SOCK_STREAM, 0));
}

/* Descriptors closed otherwise than by close(). */
static void scenario_closings(void)
{
    int c, s;
    pair_of(&c, &s);
    syscall(SYS_close_range, s, s, 0);
    say_read("close_range", c);
    close(c);
    pair_of(&c, &s);
    int pipes[2];
    pipe(pipes);
    dup2(pipes[0], s);
    say_read("dup2 over it", c);
    close(s);
    close(c);
    pair_of(&c, &s);
    FILE *stream = fdopen(s, "r+");
    fputs("stdio", stream);
    fclose(stream);
    const char *text = read_text(c, 1000);
    say("stdio", "%s", text);
    say_read("fclose", c);
}

/* ---- all of them ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*run)(void);
} scenarios[] = {
    {"fork", scenario_fork},
    {"storm", scenario_storm},
    {"close", scenario_close},
    {"listener", scenario_listener},
    {"restart", scenario_restart},
    {"exec", scenario_exec},
    {"exec_threads", scenario_exec_threads},
    {"passed", scenario_passed},
    {"flying", scenario_flying},
    {"exclusive", scenario_exclusive},
    {"prefork", scenario_prefork},
    {"reuseport", scenario_reuseport},
    {"threads", scenario_threads},
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
    {"died", scenario_died},
    {"exit", scenario_exit},
    {"unmapped", scenario_unmapped},
    {"closed_under_accept", scenario_closed_under_accept},
    {"closed_under_connect", scenario_closed_under_connect},
    {"shut_under_connect", scenario_shut_under_connect},
    {"sendto", scenario_sendto},
    {"rights", scenario_rights},
    {"filters", scenario_filters},
    {"limits", scenario_limits},
    {"closings", scenario_closings},
};
enum { N_SCENARIOS = sizeof scenarios / sizeof *scenarios };

static pid_t start(int i)
{
    pid_t pid = fork();
    if (pid == 0) {
        scenario = scenarios[i].name;
        setpgid(0, 0);
        scenarios[i].run();
        _exit(0);
    }
    setpgid(pid, pid);
    return pid;
}

/* A scenario has 25 s. Its group ends with it. */
static void end(int i, pid_t pid, double begun)
{
    int status;
    scenario = scenarios[i].name;
    if (!await(pid, &status, 0, (int)((begun + 25 - clock_now()) * 1000))) {
        say("end", "hangs");
        kill(-pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return;
    }
    kill(-pid, SIGKILL);
    if (status)
        say_status("end", status);
}

int main(int argc, char **argv)
{
    pid_t pids[N_SCENARIOS] = {0};
    double begun = clock_now();
    self = argv[0];
    if (argc == 6 && strcmp(argv[1], "-exec") == 0)
        return exec_main(argv + 2);
    for (int i = 0; i < N_SCENARIOS; i++)
        if (argc < 2 || strcmp(argv[1], scenarios[i].name) == 0)
            pids[i] = start(i);
    for (int i = 0; i < N_SCENARIOS; i++)
        if (pids[i])
            end(i, pids[i], begun);
    return 0;
}
