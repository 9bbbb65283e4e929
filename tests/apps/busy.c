/* SPDX-License-Identifier: MIT */
/*
 * Something to kill the supervisor of: a server that forks for each connection, two clients that come again
 * and again, a thread in accept, a descriptor on its way in a message, and an orphan in a session of its own,
 * all of which take no notice of SIGTERM.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SECONDS = 120 }; /* whoever forgot to kill it: it ends itself */

static struct sockaddr_in in = {.sin_family = AF_INET};

static int listener(void)
{
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    in.sin_port = 0;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd, (struct sockaddr *)&in, sizeof in);
    listen(fd, 64);
    getsockname(fd, (struct sockaddr *)&in, &len);
    return fd;
}

static void serve(int l)
{
    char text[4096];
    for (;;) {
        int fd = accept(l, NULL, NULL);
        if (fd < 0) {
            usleep(1000);
            continue;
        }
        if (fork() == 0) {
            ssize_t n;
            alarm(SECONDS);
            while ((n = read(fd, text, sizeof text)) > 0 && write(fd, text, (size_t)n) == n)
                ;
            _exit(0);
        }
        close(fd);
    }
}

static void come(void)
{
    char text[4096] = "";
    alarm(SECONDS);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&in, sizeof in) == 0)
            for (int i = 0; i < 3 && write(fd, text, sizeof text) == sizeof text; i++)
                (void)!read(fd, text, sizeof text);
        close(fd);
        usleep(3000);
    }
}

static void *wait_in_accept(void *arg)
{
    struct sockaddr_in mine = in;
    for (int l = listener();; in = mine)
        if (accept(l, NULL, NULL) < 0)
            usleep(1000);
    return arg;
}

static void leave_in_flight(int fd)
{
    int pair[2];
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof fd)];
    } control = {.head = {CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec iov = {"", 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    sendmsg(pair[0], &msg, 0);
}

int main(void)
{
    pthread_t thread;
    alarm(SECONDS);
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    int l = listener();
    (void)!write(1, "busy\n", 5);
    leave_in_flight(listener());
    in.sin_port = 0;
    socklen_t len = sizeof in;
    getsockname(l, (struct sockaddr *)&in, &len);
    for (int i = 0; i < 2; i++)
        if (fork() == 0)
            come();
    if (fork() == 0) {
        setsid();
        if (fork())
            _exit(0);
        alarm(SECONDS);
        pthread_create(&thread, NULL, wait_in_accept, NULL);
        for (;;)
            pause();
    }
    serve(l);
}
