/* SPDX-License-Identifier: MIT */
/*
 * crowd N [server|client ADDR PORT]: a server process and a client process, or one of the two, with N
 * connections between them, all open at once. Each carries a question and an answer of its own while all the others stand; then half of them are closed by
 * the client and half by the server. Prints what was counted, and on standard error what the supervisor (the
 * parent process) needs for it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 128, EVENTS = 256 };

static int n_conns;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- what the supervisor has ------------------------------------------------------------------ */

static long descriptors_of(pid_t pid)
{
    char path[40];
    long n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static long field(const char *path, const char *name)
{
    char line[256];
    long value = 0;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtol(line + strlen(name), NULL, 10);
    if (file)
        fclose(file);
    return value;
}

struct usage {
    long rss, slab, descriptors;
};

static struct usage usage(pid_t supervisor)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/status", supervisor);
    return (struct usage){field(path, "VmRSS:"), field("/proc/meminfo", "Slab:"),
                          descriptors_of(supervisor)};
}

/* ---- the server ------------------------------------------------------------------------------- */

/* Answers each question of four bytes with its complement; at the end of a stream it closes. A question
 * of zeros asks it to close first. */
static bool answer(int fd)
{
    uint32_t question;
    ssize_t n = read(fd, &question, sizeof question);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n != sizeof question || question == 0)
        return false;
    question = ~question;
    return write(fd, &question, sizeof question) == sizeof question;
}

static void accept_all(int epoll, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            fail("epoll_ctl");
    }
    if (errno != EAGAIN)
        fail("accept");
}

static void serve(int listener)
{
    int epoll = epoll_create1(0), closed = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[EVENTS];
    fcntl(listener, F_SETFL, O_NONBLOCK);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    while (closed < n_conns) {
        int n = epoll_wait(epoll, ready, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.fd == listener) {
                accept_all(epoll, listener);
            } else if (!answer(ready[i].data.fd)) {
                close(ready[i].data.fd);
                closed++;
            }
        }
    }
    exit(0);
}

/* ---- the client ------------------------------------------------------------------------------- */

static int *fds;

/* Never more than AT_ONCE under way, so that no queue overflows. Returns how many were established. */
static int open_all(const struct sockaddr_in *to)
{
    int epoll = epoll_create1(0), begun = 0, done = 0, good = 0;
    while (done < n_conns) {
        while (begun < n_conns && begun - done < AT_ONCE) {
            struct epoll_event event = {.events = EPOLLOUT | EPOLLONESHOT,
                                        .data.u32 = (uint32_t)begun};
            fds[begun] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            if (fds[begun] < 0)
                fail("socket");
            if (connect(fds[begun], (const struct sockaddr *)to, sizeof *to) < 0 &&
                errno != EINPROGRESS)
                fail("connect");
            epoll_ctl(epoll, EPOLL_CTL_ADD, fds[begun++], &event);
        }
        struct epoll_event ready[EVENTS];
        int n = epoll_wait(epoll, ready, EVENTS, 20000);
        if (n <= 0)
            return good;
        for (int i = 0; i < n; i++, done++)
            good += !(ready[i].events & (EPOLLERR | EPOLLHUP));
    }
    close(epoll);
    return good;
}

static int ask_all(void)
{
    int good = 0;
    for (uint32_t i = 0; i < (uint32_t)n_conns; i++) {
        uint32_t question = i + 1;
        if (write(fds[i], &question, sizeof question) != sizeof question)
            fail("write");
    }
    for (uint32_t i = 0; i < (uint32_t)n_conns; i++) {
        uint32_t reply = 0;
        fcntl(fds[i], F_SETFL, 0);
        good += read(fds[i], &reply, sizeof reply) == sizeof reply && reply == ~(i + 1);
    }
    return good;
}

static int close_all(void)
{
    uint32_t zero = 0;
    int good = 0;
    for (int i = 0; i < n_conns; i++) {
        if (i % 2)
            (void)!write(fds[i], &zero, sizeof zero);
        else
            close(fds[i]);
    }
    for (int i = 1; i < n_conns; i += 2) {
        good += read(fds[i], &zero, sizeof zero) == 0;
        close(fds[i]);
    }
    return good;
}

static int listen_at(struct sockaddr_in *in)
{
    socklen_t len = sizeof *in;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)in, sizeof *in) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)in, &len) < 0)
        fail("listener");
    return fd;
}

/* All that the client does; when it says that all are open, `open` is measured. */
static void be_client(const struct sockaddr_in *to, struct usage *open)
{
    fds = calloc((size_t)n_conns, sizeof *fds);
    double begun = now();
    printf("established %d\n", open_all(to));
    double opened = now();
    printf("answered %d\n", ask_all());
    double asked = now();
    *open = usage(getppid());
    printf("ended by the server %d\n", close_all());
    fprintf(stderr, "%d connections: opened in %.1f s, asked in %.1f s, closed in %.1f s\n",
            n_conns, opened - begun, asked - opened, now() - asked);
}

static void be_both(struct sockaddr_in *in)
{
    struct usage before = usage(getppid()), open;
    int listener = listen_at(in), status;
    pid_t server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        serve(listener);
    }
    close(listener);
    be_client(in, &open);
    waitpid(server, &status, 0);
    printf("server %d\n", status);
    struct usage after = usage(getppid());
    for (int i = 0; i < 100 && after.descriptors > before.descriptors; i++) {
        usleep(50000);
        after = usage(getppid());
    }
    printf("descriptors left in the supervisor %ld\n", after.descriptors - before.descriptors);
    fprintf(stderr,
            "a connection, both ends, takes %.1f KB of the supervisor and %.1f KB of slab; %ld "
            "descriptors\n",
            (double)(open.rss - before.rss) / n_conns, (double)(open.slab - before.slab) / n_conns,
            open.descriptors);
}

int main(int argc, char **argv)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct rlimit limit;
    struct usage open;
    if (argc != 2 && argc != 5)
        return 2;
    n_conns = atoi(argv[1]);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2) {
        be_both(&in);
        return 0;
    }
    in.sin_port = htons((uint16_t)atoi(argv[4]));
    inet_pton(AF_INET, argv[3], &in.sin_addr);
    if (strcmp(argv[2], "server") == 0) {
        int listener = listen_at(&in);
        puts("listens");
        serve(listener);
    }
    be_client(&in, &open);
    return 0;
}
