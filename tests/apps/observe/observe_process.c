/* SPDX-License-Identifier: MIT */
/* Observations of processes and signals: sockets shared by dup and fork, close against shutdown, calls
 * that a signal interrupts. The kernel's business, except for threads. */
#include "observe.h"

static void on_alarm(int sig)
{
    (void)sig;
}

static void set_timer(int usec, int flags)
{
    struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = flags};
    struct itimerval once = {.it_value.tv_usec = usec};
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &once, NULL);
}

static void *connect_later(void *arg)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pause_ms(200);
    int fd = tcp(0);
    connect_to(fd, *(int *)arg);
    pause_ms(100);
    close(fd);
    return NULL;
}

static void interrupted(void)
{
    char c;
    int l = listener(0), port, client, server;
    pthread_t thread;
    set_timer(50000, 0);
    say("accept interrupted", accept(l, NULL, NULL));
    port = port_of(l);
    pthread_create(&thread, NULL, connect_later, &port);
    set_timer(50000, SA_RESTART);
    int s = accept(l, NULL, NULL);
    say("accept restarted", s >= 0);
    pthread_join(thread, NULL);
    close(s);
    close(l);
    pair_of(&client, &server);
    set_timer(50000, 0);
    say("read interrupted", read(server, &c, 1));
    fill_up(client);
    set_socket_flags(client, O_RDWR);
    set_timer(50000, 0);
    say("write interrupted", write(client, "x", 1));
    close(client);
    close(server);
    struct silent silent = silent_open();
    int fd = tcp(0);
    set_timer(50000, 0);
    say("connect interrupted", connect_to(fd, port_of(silent.listener)));
    say("its state", tcp_state(fd));
    nonblock(fd);
    say("it goes on", connect_to(fd, port_of(silent.listener)));
    close(fd);
    silent_close(&silent);
}

static void dups(void)
{
    char c;
    int client, server;
    pair_of(&client, &server);
    int twin = dup(client);
    close(client);
    say("dup still writes", write(twin, "d", 1));
    wait_bits(server, POLLIN);
    say("and is read", read(server, &c, 1));
    say("getsockname of the dup", port_of(twin) > 0);
    nonblock(twin);
    int third = fcntl(twin, F_DUPFD, 50);
    say("O_NONBLOCK is shared", !!(socket_flags(third) & O_NONBLOCK));
    set_option(third, IPPROTO_TCP, TCP_NODELAY, 1);
    say("options are shared", option(twin, IPPROTO_TCP, TCP_NODELAY));
    close(twin);
    say("no end yet", recv(server, &c, 1, MSG_DONTWAIT));
    dup2(server, third);
    wait_bits(server, POLLRDHUP);
    say("dup2 over the last one ends it", read(server, &c, 1));
    close(third);
    close(server);
}

/* Runs fn in a child; its exit status. */
static int in_child(int (*fn)(int), int fd)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(fn(fd));
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int writes(int fd)
{
    return write(fd, "f", 1) == 1 ? 0 : 1;
}

static int closes(int fd)
{
    return close(fd) == 0 ? 0 : 1;
}

static int shuts(int fd)
{
    return shutdown(fd, SHUT_RDWR) == 0 ? 0 : 1;
}

static int lingers(int fd)
{
    reset(fd);
    return 0;
}

static void forks(void)
{
    char c;
    int client, server;
    pair_of(&client, &server);
    say("child writes", in_child(writes, client));
    wait_bits(server, POLLIN);
    say("child's byte", read(server, &c, 1));
    say("child's exit ends nothing", recv(server, &c, 1, MSG_DONTWAIT));
    say("child closes", in_child(closes, client));
    say("that ends nothing", recv(server, &c, 1, MSG_DONTWAIT));
    say("parent still writes", write(client, "p", 1));
    wait_bits(server, POLLIN);
    say("and is read", read(server, &c, 1));
    say("child closes with SO_LINGER 0", in_child(lingers, client));
    pause_ms(20);
    say("that resets nothing", recv(server, &c, 1, MSG_DONTWAIT));
    struct linger off = {0, 0};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &off, sizeof off);
    say("child shuts down", in_child(shuts, client));
    wait_bits(server, POLLRDHUP);
    say("that ends it for the other", read(server, &c, 1));
    say("and for the parent", send(client, "x", 1, MSG_NOSIGNAL));
    say("who reads the end", read(client, &c, 1));
    close(client);
    close(server);
    pair_of(&client, &server);
    pid_t pid = fork();
    if (pid == 0) {
        pause_ms(150);
        _exit(0);
    }
    close(client);
    pause_ms(30);
    say("parent's close ends nothing while a child has it", recv(server, &c, 1, MSG_DONTWAIT));
    waitpid(pid, NULL, 0);
    wait_bits(server, POLLRDHUP);
    say("child's exit does", read(server, &c, 1));
    close(server);
}

static void listener_shared(void)
{
    char c;
    int l = listener(0), client, status;
    pid_t pid = fork();
    if (pid == 0) {
        int s = accept(l, NULL, NULL);
        _exit(write(s, "!", 1) == 1 ? 0 : 1);
    }
    client = tcp(0);
    say("connect to a child's accept", connect_to(client, port_of(l)));
    say("child answers", read(client, &c, 1));
    waitpid(pid, &status, 0);
    close(client);
    pid = fork();
    if (pid == 0) {
        close(l);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    client = tcp(0);
    say("a child's close does not end the listener", connect_to(client, port_of(l)));
    close(client);
    close(l);
}

/* A descriptor sent to a child by SCM_RIGHTS. */
static void passed(void)
{
    char c, control[CMSG_SPACE(sizeof(int))] = "";
    int client, server, pipe_fds[2];
    struct iovec iov = {&c, 1};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    pair_of(&client, &server);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pipe_fds) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        close(client);
        recvmsg(pipe_fds[1], &msg, 0);
        int got;
        memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof got);
        _exit(write(got, "passed", 6) == 6 && port_of(got) > 0 ? 0 : 1);
    }
    c = 'x';
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
    *head = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(head), &client, sizeof client);
    say("send a descriptor", sendmsg(pipe_fds[0], &msg, 0));
    close(client);
    int status = -1;
    waitpid(pid, &status, 0);
    say("the child uses it", WEXITSTATUS(status));
    char buf[8];
    say("what it wrote", recv(server, buf, 6, MSG_WAITALL));
    say("its exit is the end", read(server, buf, 1));
    close(server);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static volatile sig_atomic_t ios;

static void on_io(int sig)
{
    (void)sig;
    ios++;
}

static void async(void)
{
    int c, s;
    signal(SIGIO, on_io);
    pair_of(&c, &s);
    ios = 0;
    say("O_ASYNC", fcntl(s, F_SETFL, O_RDWR | O_ASYNC));
    fcntl(s, F_SETOWN, getpid());
    write(c, "x", 1);
    for (int i = 0; i < 200 && !ios; i++)
        pause_ms(5);
    say("SIGIO", ios > 0);
    signal(SIGIO, SIG_IGN);
    close(c);
    close(s);
}

static void others(void)
{
    int pipes[2];
    if (pipe(pipes) < 0)
        return;
    say("listen on a pipe", listen(pipes[0], 1));
    say("SIOCOUTQ of a pipe", asked(pipes[1], SIOCOUTQ));
    close(pipes[0]);
    close(pipes[1]);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pipes) < 0)
        return;
    say("SO_DOMAIN of a pair", option(pipes[0], SOL_SOCKET, SO_DOMAIN));
    say("TCP_NODELAY of a pair", option(pipes[0], IPPROTO_TCP, TCP_NODELAY));
    say("shutdown of a pair", shutdown(pipes[0], SHUT_WR));
    close(pipes[0]);
    close(pipes[1]);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    say("SO_TYPE of UDP", option(fd, SOL_SOCKET, SO_TYPE));
    close(fd);
}

const struct section observe_process[] = {
    {"signal", interrupted, "its calls are not interrupted by signals"},
    {"dup", dups, "its descriptors are not the kernel's"},
    {"fork", forks, "its sockets are of one process"},
    {"fork-listener", listener_shared, "its sockets are of one process"},
    {"pass", passed, "its descriptors are not the kernel's"},
    {"sigio", async, "it raises no signals"},
    {"other", others, "its descriptors are not the kernel's"},
    {0},
};
