/* SPDX-License-Identifier: MIT */
/*
 * A server that forks for each connection, and its client; linked statically with another libc (musl).
 *
 *   forker server PORT              until SIGTERM; every other child is this program again, its standard
 *                                   input and output being the connection (as inetd does)
 *   forker client HOST PORT N EACH  N processes, each with EACH connections one after the other
 *
 * A request is its length, 4 bytes, and that many bytes; a client may send several on a connection. The
 * answer to each is the FNV-1a hash of the bytes, and the process that made it.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct answer {
    uint64_t hash;
    uint32_t pid, execed;
};

static void check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "forker: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static uint64_t fnv(uint64_t hash, const unsigned char *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ data[i]) * 1099511628211u;
    return hash;
}

static int read_all(int fd, void *to, size_t n)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = read(fd, (char *)to + have, n - have);
        if (got <= 0)
            return 0;
        have += (size_t)got;
    }
    return 1;
}

static void serve_connection(int in, int out, int execed)
{
    static unsigned char piece[30000];
    uint32_t length;
    while (read_all(in, &length, sizeof length)) {
        struct answer answer = {14695981039346656037u, (uint32_t)getpid(), (uint32_t)execed};
        while (length > 0) {
            size_t n = length < sizeof piece ? length : sizeof piece;
            check(read_all(in, piece, n), "request cut off");
            answer.hash = fnv(answer.hash, piece, n);
            length -= (uint32_t)n;
        }
        check(write(out, &answer, sizeof answer) == sizeof answer, "write");
    }
    exit(0);
}

static void on_term(int sig)
{
    (void)sig;
    _exit(0);
}

static void on_child(int sig)
{
    (void)sig;
    int saved = errno;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = saved;
}

static void serve(const char *self, const char *port)
{
    struct sigaction child = {.sa_handler = on_child}; /* no SA_RESTART: accept() sees EINTR */
    sigaction(SIGCHLD, &child, NULL);
    signal(SIGTERM, on_term);
    int listener = socket(AF_INET6, SOCK_STREAM, 0), off = 0, on = 1;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port))};
    check(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0, "V6ONLY");
    check(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "REUSEADDR");
    check(bind(listener, (struct sockaddr *)&any, sizeof any) == 0, "bind");
    check(listen(listener, 100) == 0, "listen");
    for (unsigned n = 0;; n++) {
        int conn = accept(listener, NULL, NULL);
        if (conn < 0 && errno == EINTR)
            continue;
        check(conn >= 0, "accept");
        pid_t pid = fork();
        check(pid >= 0, "fork");
        if (pid == 0) {
            signal(SIGCHLD, SIG_DFL);
            if (n % 2 == 0)
                serve_connection(conn, conn, 0);
            dup2(conn, 0);
            dup2(conn, 1);
            execl(self, self, "answer", NULL);
            _exit(1);
        }
        close(conn);
    }
}

static int open_connection(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    check(getaddrinfo(host, port, &hints, &list) == 0, "getaddrinfo");
    int fd = socket(list->ai_family, SOCK_STREAM, 0), on = 1;
    check(fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) == 0, "connect");
    check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
    freeaddrinfo(list);
    return fd;
}

/* One process of the client. The exit status says whether all was right. */
static void work(const char *host, const char *port, unsigned who, unsigned each)
{
    static unsigned char data[1 << 17];
    for (unsigned n = 0; n < each; n++) {
        int fd = open_connection(host, port);
        uint32_t pid = 0;
        for (unsigned turn = 0; turn < 3; turn++) {
            uint32_t length = (who * 7919 + n * 977 + turn * 50021) % sizeof data;
            for (uint32_t i = 0; i < length; i++)
                data[i] = (unsigned char)(i * (who + 1) + n + (i >> 8));
            check(write(fd, &length, sizeof length) == sizeof length, "write");
            check(write(fd, data, length) == (ssize_t)length, "write");
            struct answer answer;
            check(read_all(fd, &answer, sizeof answer), "read");
            check(answer.hash == fnv(14695981039346656037u, data, length), "hash");
            check(turn == 0 || answer.pid == pid, "one process serves a connection");
            pid = answer.pid;
        }
        char byte;
        check(shutdown(fd, SHUT_WR) == 0 && read(fd, &byte, 1) == 0, "orderly end");
        close(fd);
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "answer") == 0)
        serve_connection(0, 1, 1);
    if (argc == 3 && strcmp(argv[1], "server") == 0)
        serve(argv[0], argv[2]);
    if (argc != 6 || strcmp(argv[1], "client") != 0) {
        fprintf(stderr, "usage: forker server PORT | forker client HOST PORT N EACH\n");
        return 2;
    }
    unsigned n = (unsigned)atoi(argv[4]), good = 0;
    for (unsigned i = 0; i < n; i++) {
        if (fork() == 0)
            work(argv[2], argv[3], i, (unsigned)atoi(argv[5]));
    }
    for (int status; wait(&status) > 0;)
        good += status == 0;
    printf("processes %u of %u\n", good, n);
    return good == n ? 0 : 1;
}
