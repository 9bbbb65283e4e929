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
 *
 * Here: descriptors that several processes and threads have. procs_waits.c: calls that wait, and what signals,
 * time-outs and other threads do to them. procs_ends.c: ends of processes and descriptors, rights, limits.
 */
#define _GNU_SOURCE
#include "procs.h"

/* ---- processes -------------------------------------------------------------------------------- */

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
int exec_main(char **argv)
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

const struct scenario scenarios_of_processes[] = {
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
    {NULL, NULL},
};
