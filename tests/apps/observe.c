/* SPDX-License-Identifier: MIT */
/*
 * Observations of socket calls, one numbered line each: what the call returned, errno, poll bits, values.
 * The program is run on the kernel and under `weir run`, and its output compared line by line
 * (test_run_observe.py). It needs a loopback only and prints nothing that differs from run to run.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static int number;

static const char *name_of(int error)
{
    const char *name = strerrorname_np(error);
    return name ? name : "?";
}

/* The call's value, and errno if it is -1. */
static void say(const char *what, long value)
{
    int error = errno;
    printf("%03d %s: %ld%s%s\n", ++number, what, value, value == -1 ? " " : "",
           value == -1 ? name_of(error) : "");
    fflush(stdout);
}

static void say_bits(const char *what, short bits)
{
    static const struct {
        short bit;
        const char *name;
    } names[] = {{POLLIN, "IN"},   {POLLPRI, "PRI"}, {POLLOUT, "OUT"},
                 {POLLERR, "ERR"}, {POLLHUP, "HUP"}, {POLLRDHUP, "RDHUP"}};
    printf("%03d %s:", ++number, what);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bits & names[i].bit)
            printf(" %s", names[i].name);
    printf("%s\n", bits ? "" : " none");
    fflush(stdout);
}

static short bits_now(int fd)
{
    struct pollfd p = {fd, POLLIN | POLLPRI | POLLOUT | POLLRDHUP, 0};
    poll(&p, 1, 0);
    return p.revents;
}

/* Waits until at least `bits` show, 3 s at most. */
static short wait_bits(int fd, short bits)
{
    for (int i = 0; i < 300 && (bits_now(fd) & bits) != bits; i++)
        usleep(10000);
    return bits_now(fd);
}

static int option(int fd, int level, int name)
{
    int value = -77;
    socklen_t len = sizeof value;
    return getsockopt(fd, level, name, &value, &len) < 0 ? -errno : value;
}

static void say_error(const char *what, int fd)
{
    printf("%03d %s: SO_ERROR %s\n", ++number, what, name_of(option(fd, SOL_SOCKET, SO_ERROR)));
    fflush(stdout);
}

/* ---- sockets to work with --------------------------------------------------------------------- */

static struct sockaddr_in v4(const char *addr, int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, addr, &in.sin_addr);
    return in;
}

static struct sockaddr_in6 v6(const char *addr, int port)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    inet_pton(AF_INET6, addr, &in6.sin6_addr);
    return in6;
}

static int port_of(int fd)
{
    struct sockaddr_in6 any;
    socklen_t len = sizeof any;
    getsockname(fd, (struct sockaddr *)&any, &len);
    return ntohs(any.sin6_port); /* at the same place in both families */
}

static int tcp(int flags)
{
    return socket(AF_INET, SOCK_STREAM | flags, 0);
}

static int listener(int flags)
{
    int fd = tcp(flags);
    struct sockaddr_in in = v4("127.0.0.1", 0);
    bind(fd, (struct sockaddr *)&in, sizeof in);
    listen(fd, 8);
    return fd;
}

static int connect_to(int fd, int port)
{
    struct sockaddr_in in = v4("127.0.0.1", port);
    return connect(fd, (struct sockaddr *)&in, sizeof in);
}

static void pair_of(int *client, int *server)
{
    int l = listener(0);
    *client = tcp(0);
    if (connect_to(*client, port_of(l)) < 0)
        perror("connect");
    *server = accept(l, NULL, NULL);
    close(l);
}

/* A port on which nobody listens. */
static int closed_port(void)
{
    int fd = listener(0), port = port_of(fd);
    close(fd);
    return port;
}

/* ---- observations ----------------------------------------------------------------------------- */

static void observe_fresh(void)
{
    struct sockaddr_in6 any;
    socklen_t len = sizeof any;
    say("socket stream of UDP", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    say("socket stream of SCTP", socket(AF_INET6, SOCK_STREAM, 250));
    say("socket with a strange flag", socket(AF_INET, SOCK_STREAM | 0x100, 0));
    int fd = tcp(0);
    say("fresh SO_TYPE", option(fd, SOL_SOCKET, SO_TYPE));
    say("fresh SO_DOMAIN", option(fd, SOL_SOCKET, SO_DOMAIN));
    say("fresh SO_PROTOCOL", option(fd, SOL_SOCKET, SO_PROTOCOL));
    say("fresh SO_ACCEPTCONN", option(fd, SOL_SOCKET, SO_ACCEPTCONN));
    say("fresh SO_ERROR", option(fd, SOL_SOCKET, SO_ERROR));
    say("fresh getsockname", getsockname(fd, (struct sockaddr *)&any, &len));
    say("its family", any.sin6_family);
    say("its port", ntohs(any.sin6_port));
    say("its length", len);
    say("fresh getpeername", getpeername(fd, (struct sockaddr *)&any, &len));
    say_bits("fresh poll", bits_now(fd));
    say("fresh shutdown of 7", shutdown(fd, 7));
    say("fresh accept", accept(fd, NULL, NULL));
    say("fresh send", send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
    say("fresh recv", recv(fd, &any, 1, MSG_DONTWAIT));
    say("fresh shutdown", shutdown(fd, SHUT_RDWR));
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    say("O_NONBLOCK", !!(fcntl(fd, F_GETFL) & O_NONBLOCK));
    say("FD_CLOEXEC", fcntl(fd, F_GETFD));
    close(fd);
    say("closed descriptor", listen(fd, 1));
    say("no socket", listen(0x7fffffff, 1));
    int pipes[2];
    if (pipe(pipes) == 0)
        say("pipe", listen(pipes[0], 1));
}

static void observe_bind(void)
{
    struct sockaddr_in in = v4("127.0.0.1", 0), far = v4("192.0.2.1", 0);
    struct sockaddr_in6 in6 = v6("::1", 0);
    int fd = tcp(0), other = tcp(0);
    say("bind short", bind(fd, (struct sockaddr *)&in, 7));
    say("bind of length 0", bind(fd, (struct sockaddr *)&in, 0));
    say("bind bad pointer", bind(fd, (struct sockaddr *)8, sizeof in));
    say("bind of huge length", bind(fd, (struct sockaddr *)&in, 4096));
    say("bind IPv6 on IPv4", bind(fd, (struct sockaddr *)&in6, sizeof in6));
    say("bind not ours", bind(fd, (struct sockaddr *)&far, sizeof far));
    say("bind", bind(fd, (struct sockaddr *)&in, sizeof in));
    say("bind got a port", port_of(fd) > 0);
    say("bind twice", bind(fd, (struct sockaddr *)&in, sizeof in));
    in.sin_port = htons((uint16_t)port_of(fd));
    say("bind in use", bind(other, (struct sockaddr *)&in, sizeof in));
    close(fd);
    say("bind free again", bind(other, (struct sockaddr *)&in, sizeof in));
    close(other);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    in = v4("127.0.0.1", 0);
    say("bind IPv4 on IPv6", bind(fd, (struct sockaddr *)&in, sizeof in));
    say("bind IPv6", bind(fd, (struct sockaddr *)&in6, sizeof in6));
    close(fd);
}

static void observe_connect_blocking(void)
{
    int fd = tcp(0), l = listener(0);
    struct sockaddr_in in = v4("127.0.0.1", 1);
    struct sockaddr_in6 in6 = v6("::1", 1);
    say("connect short", connect(fd, (struct sockaddr *)&in, 1));
    say("connect bad pointer", connect(fd, (struct sockaddr *)8, sizeof in));
    say("connect IPv6 on IPv4", connect(fd, (struct sockaddr *)&in6, sizeof in6));
    say("connect refused", connect_to(fd, closed_port()));
    say_error("after refusal", fd);
    say("connect again", connect_to(fd, port_of(l)));
    say("connect connected", connect_to(fd, port_of(l)));
    say("listen connected", listen(fd, 1));
    say_bits("connected poll", bits_now(fd));
    say("getpeername's port", ({
            struct sockaddr_in peer;
            socklen_t len = sizeof peer;
            getpeername(fd, (struct sockaddr *)&peer, &len);
            ntohs(peer.sin_port) == port_of(l);
        }));
    int s = accept(l, NULL, NULL);
    say("TCP_INFO state", ({
            struct tcp_info info = {0};
            socklen_t len = sizeof info;
            getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &len);
            info.tcpi_state;
        }));
    close(s);
    close(fd);
    close(l);
}

static void observe_connect_nonblocking(void)
{
    char c;
    int l = listener(0), fd = tcp(SOCK_NONBLOCK);
    say("async connect", connect_to(fd, port_of(l)));
    say_bits("async connected poll", wait_bits(fd, POLLOUT));
    say_error("async connected", fd);
    say("async connect asked again", connect_to(fd, port_of(l)));
    say("async connect asked a third time", connect_to(fd, port_of(l)));
    close(fd);
    fd = tcp(SOCK_NONBLOCK);
    say("async refused", connect_to(fd, closed_port()));
    say_bits("async refused poll", wait_bits(fd, POLLERR));
    say_error("async refused", fd);
    say_error("async refused, asked again", fd);
    say("async refused read", read(fd, &c, 1));
    say("async refused write", send(fd, "x", 1, MSG_NOSIGNAL));
    close(fd);
    fd = tcp(SOCK_NONBLOCK);
    connect_to(fd, closed_port());
    wait_bits(fd, POLLERR);
    say("async refused, read first", read(fd, &c, 1) == -1);
    say_error("then", fd);
    say("getpeername of refused", ({
            struct sockaddr_in peer;
            socklen_t len = sizeof peer;
            getpeername(fd, (struct sockaddr *)&peer, &len);
        }));
    close(fd);
    close(l);
}

static void observe_accept(void)
{
    struct sockaddr_in peer;
    socklen_t len;
    int l = listener(SOCK_NONBLOCK), fd = tcp(0), fd2 = tcp(0);
    say("accept nothing", accept(l, NULL, NULL));
    say_bits("listener poll", bits_now(l));
    say("listener SO_ACCEPTCONN", option(l, SOL_SOCKET, SO_ACCEPTCONN));
    say("listen again", listen(l, 4));
    say("connect listener", connect_to(l, 9));
    say("listener getpeername", ({
            len = sizeof peer;
            getpeername(l, (struct sockaddr *)&peer, &len);
        }));
    connect_to(fd, port_of(l));
    connect_to(fd2, port_of(l));
    say_bits("listener poll, two wait", wait_bits(l, POLLIN));
    say("accept4 strange flag", accept4(l, NULL, NULL, 1));
    memset(&peer, 0xee, sizeof peer);
    len = 4;
    int s = accept4(l, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    say("accept into 4 bytes", s >= 0);
    say("whole length", len);
    say("bytes written", peer.sin_addr.s_addr == 0xeeeeeeee && peer.sin_family == AF_INET);
    say("accepted O_NONBLOCK", !!(fcntl(s, F_GETFL) & O_NONBLOCK));
    say("accepted FD_CLOEXEC", fcntl(s, F_GETFD));
    close(s);
    len = sizeof peer;
    s = accept(l, (struct sockaddr *)&peer, &len);
    say("accepted peer's port", ntohs(peer.sin_port) == port_of(fd2));
    say("accepted O_NONBLOCK by accept", !!(fcntl(s, F_GETFL) & O_NONBLOCK));
    say_bits("listener poll, none wait", bits_now(l));
    close(s);
    close(fd);
    close(fd2);
    fd = tcp(0);
    connect_to(fd, port_of(l));
    close(l);
    say_bits("client of a closed listener", wait_bits(fd, POLLHUP));
    say("its read", read(fd, &len, 1));
    close(fd);
}

static void observe_data(void)
{
    char buf[64];
    int c, s, n = -1;
    pair_of(&c, &s);
    say("recv nothing", recv(s, buf, 9, MSG_DONTWAIT));
    say("write", write(c, "hello", 5));
    say_bits("poll", wait_bits(s, POLLIN));
    say("FIONREAD", (ioctl(s, FIONREAD, &n), n));
    say("peek", recv(s, buf, 3, MSG_PEEK));
    say("read", read(s, buf, sizeof buf));
    say_bits("poll after", bits_now(s));
    for (int i = 0; i < 300 && (ioctl(c, SIOCOUTQ, &n), n); i++)
        usleep(10000);
    say("SIOCOUTQ at the end", n);
    struct sockaddr_in in = v4("127.0.0.1", 1);
    say("sendto connected", sendto(c, "ab", 2, 0, (struct sockaddr *)&in, sizeof in));
    say("recv WAITALL", (write(c, "cd", 2), recv(s, buf, 4, MSG_WAITALL)));
    FILE *file = tmpfile();
    fputs("0123456789", file);
    fflush(file);
    off_t from = 0;
    say("sendfile", sendfile(c, fileno(file), &from, 10));
    say("recv of sendfile", recv(s, buf, 10, MSG_WAITALL));
    fclose(file);
    close(c);
    close(s);
}

static void observe_full(void)
{
    static char block[65536];
    int c, s;
    pair_of(&c, &s);
    fcntl(c, F_SETFL, O_NONBLOCK);
    long sent = 0, got = 0;
    for (int quiet = 0; quiet < 20;) {
        ssize_t n = write(c, block, sizeof block);
        if (n > 0)
            sent += n;
        else
            quiet++, usleep(10000);
    }
    say("full: write", write(c, block, 1));
    say_bits("full: poll", bits_now(c));
    while (got < sent) {
        ssize_t n = read(s, block, sizeof block);
        if (n <= 0)
            break;
        got += n;
    }
    say("full: all arrived", got == sent);
    say_bits("full: poll when drained", wait_bits(c, POLLOUT));
    close(c);
    close(s);
}

static void observe_half_close(void)
{
    char buf[8];
    int c, s;
    pair_of(&c, &s);
    say("write before shutdown", write(c, "last", 4));
    say("shutdown WR", shutdown(c, SHUT_WR));
    say("shutdown WR again", shutdown(c, SHUT_WR));
    say("write after shutdown", send(c, "x", 1, MSG_NOSIGNAL));
    say_bits("shut side's poll", bits_now(c));
    say_bits("other side's poll", wait_bits(s, POLLRDHUP));
    say("read", read(s, buf, sizeof buf));
    say("read end", read(s, buf, sizeof buf));
    say("other side writes", write(s, "back", 4));
    wait_bits(c, POLLIN);
    say("read back", read(c, buf, sizeof buf));
    say("other side shuts too", shutdown(s, SHUT_WR));
    say_bits("both shut, first", wait_bits(c, POLLHUP));
    say_bits("both shut, second", wait_bits(s, POLLHUP));
    say("both shut: read", read(c, buf, sizeof buf));
    say("both shut: write", send(s, "x", 1, MSG_NOSIGNAL));
    say("both shut: shutdown", shutdown(c, SHUT_RDWR));
    say_error("both shut", c);
    close(c);
    close(s);
    pair_of(&c, &s);
    say("shutdown RD", shutdown(c, SHUT_RD));
    say("read after shutdown RD", read(c, buf, 1));
    say_bits("poll after shutdown RD", bits_now(c));
    say("write after shutdown RD", write(c, "y", 1));
    wait_bits(s, POLLIN);
    say("its reader", read(s, buf, 1));
    close(c);
    close(s);
    pair_of(&c, &s);
    say("shutdown RDWR", shutdown(c, SHUT_RDWR));
    say("read after RDWR", read(c, buf, 1));
    say("write after RDWR", send(c, "y", 1, MSG_NOSIGNAL));
    say("peer reads end", read(s, buf, 1));
    close(c);
    close(s);
}

static void observe_reset(void)
{
    struct linger hard = {1, 0};
    char buf[8];
    int c, s;
    pair_of(&c, &s);
    say("write before reset", write(c, "data", 4));
    wait_bits(s, POLLIN);
    setsockopt(c, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(c);
    say_bits("reset: poll", wait_bits(s, POLLHUP));
    say("reset: read data", read(s, buf, sizeof buf));
    say("reset: read", read(s, buf, sizeof buf));
    say("reset: read again", read(s, buf, sizeof buf));
    say("reset: write", send(s, "x", 1, MSG_NOSIGNAL));
    say_bits("reset: poll after", bits_now(s));
    close(s);
    pair_of(&c, &s);
    setsockopt(c, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(c);
    wait_bits(s, POLLHUP);
    say_error("reset, SO_ERROR first", s);
    say_error("reset, again", s);
    say("reset, then read", read(s, buf, sizeof buf));
    close(s);
    pair_of(&c, &s);
    write(s, "unread", 6);
    wait_bits(c, POLLIN);
    close(c);
    say_bits("closed unread: poll", wait_bits(s, POLLHUP));
    say("closed unread: read", read(s, buf, sizeof buf));
    close(s);
    pair_of(&c, &s);
    close(c);
    say_bits("closed: poll", wait_bits(s, POLLRDHUP));
    say("closed: read", read(s, buf, sizeof buf));
    say("closed: first write", send(s, "x", 1, MSG_NOSIGNAL));
    say_bits("closed and written to: poll", wait_bits(s, POLLHUP));
    say("closed: second write", send(s, "x", 1, MSG_NOSIGNAL));
    close(s);
}

static void observe_options(void)
{
    static const struct {
        int level, name, value;
        const char *what;
    } sets[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"},
        {SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE"},
        {SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"},
        {SOL_SOCKET, SO_OOBINLINE, 1, "SO_OOBINLINE"},
        {IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY"},
        {IPPROTO_TCP, TCP_CORK, 1, "TCP_CORK"},
        {IPPROTO_TCP, TCP_KEEPIDLE, 30, "TCP_KEEPIDLE"},
        {IPPROTO_TCP, TCP_KEEPINTVL, 5, "TCP_KEEPINTVL"},
        {IPPROTO_TCP, TCP_KEEPCNT, 3, "TCP_KEEPCNT"},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 900, "TCP_USER_TIMEOUT"},
        {IPPROTO_TCP, TCP_KEEPIDLE, 0, "TCP_KEEPIDLE 0"},
        {IPPROTO_TCP, TCP_KEEPCNT, 999, "TCP_KEEPCNT 999"},
        {IPPROTO_IP, IP_TOS, 16, "IP_TOS"},
        {IPPROTO_IP, IP_TTL, 9, "IP_TTL"},
        {IPPROTO_IP, IP_TTL, 300, "IP_TTL 300"},
    };
    char text[64];
    int fd = tcp(0), value = 0;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        snprintf(text, sizeof text, "%s before", sets[i].what);
        say(text, option(fd, sets[i].level, sets[i].name));
        say("set", setsockopt(fd, sets[i].level, sets[i].name, &sets[i].value, sizeof(int)));
        say("after", option(fd, sets[i].level, sets[i].name));
    }
    struct linger linger = {1, 5};
    say("set SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    say("set SO_LINGER short", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, 4));
    struct timeval half = {0, 500000}, got = {0};
    socklen_t len = sizeof got;
    say("set SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &half, sizeof half));
    getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &len);
    say("get SO_RCVTIMEO", got.tv_usec);
    say("set short", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 1));
    say("set bad pointer", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (void *)8, sizeof value));
    say("set unknown level", setsockopt(fd, 4242, 1, &value, sizeof value));
    say("set unknown option", setsockopt(fd, IPPROTO_TCP, 4242, &value, sizeof value));
    say("get unknown level", option(fd, 4242, 1));
    len = 1;
    say("get into 1 byte", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
    say("length", len);
    len = 64;
    say("get into 64 bytes", getsockopt(fd, SOL_SOCKET, SO_TYPE, text, &len));
    say("length", len);
    len = (socklen_t)-1;
    say("get with length -1", getsockopt(fd, SOL_SOCKET, SO_TYPE, text, &len));
    say("get, bad length pointer", getsockopt(fd, SOL_SOCKET, SO_TYPE, text, (socklen_t *)8));
    say("TCP_MAXSEG fresh", option(fd, IPPROTO_TCP, TCP_MAXSEG));
    close(fd);
}

static int bound(int domain, int port, int reuseaddr, int reuseport, int v6only, int *error)
{
    int fd = socket(domain, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in in = v4("0.0.0.0", port);
    struct sockaddr_in6 in6 = v6("::", port);
    if (reuseaddr)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (reuseport)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (domain == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
    int rc = domain == AF_INET ? bind(fd, (struct sockaddr *)&in, sizeof in)
                               : bind(fd, (struct sockaddr *)&in6, sizeof in6);
    *error = rc < 0 ? errno : 0;
    return fd;
}

/* Two sockets bound to one port; the first listens or not. */
static void say_conflict(const char *what, int domain1, int domain2, int reuseaddr, int reuseport,
                         int v6only, int listens)
{
    char text[96];
    int error;
    int first = bound(domain1, 0, reuseaddr, reuseport, v6only, &error);
    if (listens)
        listen(first, 1);
    int second = bound(domain2, port_of(first), reuseaddr, reuseport, v6only, &error);
    snprintf(text, sizeof text, "second bind, %s", what);
    errno = error;
    say(text, error ? -1 : 0);
    if (!error) {
        snprintf(text, sizeof text, "second listen, %s", what);
        say(text, listen(second, 1));
    }
    close(first);
    close(second);
}

static void observe_conflicts(void)
{
    say_conflict("plain", AF_INET, AF_INET, 0, 0, 0, 0);
    say_conflict("reuseaddr", AF_INET, AF_INET, 1, 0, 0, 0);
    say_conflict("reuseaddr, first listens", AF_INET, AF_INET, 1, 0, 0, 1);
    say_conflict("reuseport", AF_INET, AF_INET, 0, 1, 0, 0);
    say_conflict("reuseport, first listens", AF_INET, AF_INET, 0, 1, 0, 1);
    say_conflict(":: then 0.0.0.0", AF_INET6, AF_INET, 0, 0, 0, 0);
    say_conflict("0.0.0.0 then ::", AF_INET, AF_INET6, 0, 0, 0, 0);
    say_conflict(":: v6only then 0.0.0.0", AF_INET6, AF_INET, 0, 0, 1, 1);
    say_conflict("0.0.0.0 then :: v6only", AF_INET, AF_INET6, 0, 0, 1, 1);
    int error, c, s, l = bound(AF_INET, 0, 0, 0, 0, &error), port = port_of(l);
    listen(l, 1);
    c = tcp(0);
    connect_to(c, port);
    s = accept(l, NULL, NULL);
    close(l);
    close(bound(AF_INET, port, 0, 0, 0, &error));
    errno = error;
    say("bind beside a connection", error ? -1 : 0);
    close(bound(AF_INET, port, 1, 0, 0, &error));
    errno = error;
    say("bind beside a connection, reuseaddr", error ? -1 : 0);
    close(s);
    wait_bits(c, POLLRDHUP);
    close(c);
    usleep(100000);
    close(bound(AF_INET, port, 0, 0, 0, &error));
    errno = error;
    say("bind beside TIME-WAIT", error ? -1 : 0);
    l = bound(AF_INET, port, 1, 0, 0, &error);
    errno = error;
    say("bind beside TIME-WAIT, reuseaddr", error ? -1 : 0);
    say("listen beside TIME-WAIT", listen(l, 1));
    close(l);
}

static void observe_connected_options(void)
{
    int c, s, value = 20000;
    char name[16] = "";
    socklen_t len = sizeof name;
    pair_of(&c, &s);
    say("SO_RCVBUF set", setsockopt(c, SOL_SOCKET, SO_RCVBUF, &value, sizeof value));
    say("SO_RCVBUF", option(c, SOL_SOCKET, SO_RCVBUF));
    say("SO_SNDBUF set", setsockopt(c, SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
    say("SO_SNDBUF", option(c, SOL_SOCKET, SO_SNDBUF));
    value = 1;
    setsockopt(c, SOL_SOCKET, SO_SNDBUF, &value, sizeof value);
    say("SO_SNDBUF at least", option(c, SOL_SOCKET, SO_SNDBUF));
    say("TCP_CONGESTION unknown", setsockopt(c, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
    say("TCP_CONGESTION reno", setsockopt(c, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    getsockopt(c, IPPROTO_TCP, TCP_CONGESTION, name, &len);
    printf("%03d TCP_CONGESTION: %s\n", ++number, name);
    say("TCP_CONGESTION's length", len);
    say("TCP_KEEPIDLE default", option(c, IPPROTO_TCP, TCP_KEEPIDLE));
    say("TCP_KEEPINTVL default", option(c, IPPROTO_TCP, TCP_KEEPINTVL));
    say("TCP_KEEPCNT default", option(c, IPPROTO_TCP, TCP_KEEPCNT));
    say("TCP_SYNCNT default", option(c, IPPROTO_TCP, TCP_SYNCNT));
    say("TCP_LINGER2 default", option(c, IPPROTO_TCP, TCP_LINGER2));
    say("TCP_DEFER_ACCEPT default", option(c, IPPROTO_TCP, TCP_DEFER_ACCEPT));
    say("TCP_WINDOW_CLAMP's kind", option(c, IPPROTO_TCP, TCP_WINDOW_CLAMP) >= 0);
    say("TCP_USER_TIMEOUT default", option(c, IPPROTO_TCP, TCP_USER_TIMEOUT));
    say("TCP_NOTSENT_LOWAT set",
        (value = 9999, setsockopt(c, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value)));
    say("TCP_NOTSENT_LOWAT", option(c, IPPROTO_TCP, TCP_NOTSENT_LOWAT));
    say("SO_RCVLOWAT default", option(c, SOL_SOCKET, SO_RCVLOWAT));
    say("SO_SNDLOWAT", option(c, SOL_SOCKET, SO_SNDLOWAT));
    say("SO_BROADCAST", option(c, SOL_SOCKET, SO_BROADCAST));
    say("SO_TYPE set", setsockopt(c, SOL_SOCKET, SO_TYPE, &value, sizeof value));
    say("SO_ERROR set", setsockopt(c, SOL_SOCKET, SO_ERROR, &value, sizeof value));
    say("IP_MTU", option(c, IPPROTO_IP, IP_MTU));
    say("IP_MTU_DISCOVER", option(c, IPPROTO_IP, IP_MTU_DISCOVER));
    say("IP_TOS default", option(c, IPPROTO_IP, IP_TOS));
    say("IP_TTL default", option(c, IPPROTO_IP, IP_TTL));
    say("IPv6 option of an IPv4 socket", option(c, IPPROTO_IPV6, IPV6_V6ONLY));
    say("IPV6_V6ONLY on IPv4", setsockopt(c, IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof value));
    close(c);
    close(s);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    say("IPV6_UNICAST_HOPS default", option(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS));
    say("IPV6_TCLASS default", option(c, IPPROTO_IPV6, IPV6_TCLASS));
    struct sockaddr_in6 in6 = v6("::1", 0);
    bind(c, (struct sockaddr *)&in6, sizeof in6);
    say("IPV6_V6ONLY after bind", setsockopt(c, IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof value));
    close(c);
    c = tcp(0);
    struct sockaddr_in any = v4("0.0.0.0", closed_port());
    say("connect 0.0.0.0", connect(c, (struct sockaddr *)&any, sizeof any));
    any = v4("255.255.255.255", 80);
    say("connect broadcast", connect(c, (struct sockaddr *)&any, sizeof any));
    any = v4("127.0.0.1", 0);
    say("connect port 0", connect(c, (struct sockaddr *)&any, sizeof any));
    any.sin_family = AF_UNSPEC;
    say("connect AF_UNSPEC", connect(c, (struct sockaddr *)&any, sizeof any));
    close(c);
}

/* More connections than the backlog holds: Linux completes one more than that. */
static void observe_backlog(void)
{
    int l = tcp(0), fds[6], up = 0;
    struct sockaddr_in in = v4("127.0.0.1", 0);
    bind(l, (struct sockaddr *)&in, sizeof in);
    listen(l, 2);
    for (int i = 0; i < 6; i++) {
        fds[i] = tcp(SOCK_NONBLOCK);
        connect_to(fds[i], port_of(l));
    }
    usleep(200000);
    for (int i = 0; i < 6; i++)
        up += !!(bits_now(fds[i]) & POLLOUT);
    say("connected beyond a backlog of 2", up);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    close(l);
}

static void observe_ipv6(void)
{
    struct sockaddr_in6 any = v6("::", 0), one = v6("::1", 0), peer;
    struct sockaddr_in in;
    char text[64];
    socklen_t len;
    int l = socket(AF_INET6, SOCK_STREAM, 0);
    say("IPV6_V6ONLY", option(l, IPPROTO_IPV6, IPV6_V6ONLY));
    say("bind ::", bind(l, (struct sockaddr *)&any, sizeof any));
    say("listen ::", listen(l, 4));
    int c = socket(AF_INET6, SOCK_STREAM, 0);
    one.sin6_port = htons((uint16_t)port_of(l));
    say("connect ::1", connect(c, (struct sockaddr *)&one, sizeof one));
    len = sizeof peer;
    int s = accept(l, (struct sockaddr *)&peer, &len);
    printf("%03d peer over IPv6: %s\n", ++number,
           inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    close(c);
    close(s);
    c = tcp(0);
    in = v4("127.0.0.1", port_of(l));
    say("connect IPv4 to ::", connect(c, (struct sockaddr *)&in, sizeof in));
    len = sizeof peer;
    s = accept(l, (struct sockaddr *)&peer, &len);
    printf("%03d peer over IPv4: %s\n", ++number,
           inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    close(c);
    close(s);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    one = v6("::ffff:127.0.0.1", port_of(l));
    say("connect mapped", connect(c, (struct sockaddr *)&one, sizeof one));
    len = sizeof peer;
    getsockname(c, (struct sockaddr *)&peer, &len);
    printf("%03d its name: %s\n", ++number,
           inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    close(c);
    close(l);
}

static void observe_edges(void)
{
    int e = epoll_create1(0), l = listener(0), fd = tcp(SOCK_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET}, got;
    connect_to(fd, port_of(l));
    epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev);
    say("edge: connected", epoll_wait(e, &got, 1, 3000));
    say("edge: OUT", !!(got.events & EPOLLOUT));
    say("edge: no second", epoll_wait(e, &got, 1, 50));
    int s = accept(l, NULL, NULL);
    write(s, "a", 1);
    say("edge: data", epoll_wait(e, &got, 1, 3000));
    say("edge: IN", !!(got.events & EPOLLIN));
    say("edge: not again", epoll_wait(e, &got, 1, 50));
    write(s, "b", 1);
    say("edge: more data", epoll_wait(e, &got, 1, 3000));
    close(s);
    say("edge: end", epoll_wait(e, &got, 1, 3000));
    close(fd);
    close(l);
    close(e);
}

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
    usleep(200000);
    int fd = tcp(0);
    connect_to(fd, *(int *)arg);
    usleep(100000);
    close(fd);
    return NULL;
}

static void observe_waiting(void)
{
    struct timeval fifty = {0, 50000};
    int l = listener(0), port = port_of(l);
    pthread_t thread;
    setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &fifty, sizeof fifty);
    say("accept timed out", accept(l, NULL, NULL));
    close(l);
    l = listener(0);
    port = port_of(l);
    set_timer(50000, 0);
    say("accept interrupted", accept(l, NULL, NULL));
    pthread_create(&thread, NULL, connect_later, &port);
    set_timer(50000, SA_RESTART);
    int s = accept(l, NULL, NULL);
    say("accept restarted", s >= 0);
    pthread_join(thread, NULL);
    close(s);
    close(l);
}

static void observe_sharing(void)
{
    char c;
    int client, server;
    pair_of(&client, &server);
    int twin = dup(client);
    close(client);
    say("dup still writes", write(twin, "d", 1));
    wait_bits(server, POLLIN);
    say("and is read", read(server, &c, 1));
    pid_t pid = fork();
    if (pid == 0) {
        close(server);
        _exit(write(twin, "f", 1) == 1 ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    say("child wrote", WEXITSTATUS(status));
    wait_bits(server, POLLIN);
    say("child's byte", read(server, &c, 1));
    say("child's exit ends nothing", recv(server, &c, 1, MSG_DONTWAIT));
    close(twin);
    wait_bits(server, POLLIN);
    say("last close ends it", read(server, &c, 1));
    close(server);
    int l = listener(0);
    pid = fork();
    if (pid == 0) {
        int s = accept(l, NULL, NULL);
        _exit(write(s, "!", 1) == 1 ? 0 : 1);
    }
    client = tcp(0);
    say("connect to a child's accept", connect_to(client, port_of(l)));
    say("child answers", read(client, &c, 1));
    waitpid(pid, &status, 0);
    close(client);
    close(l);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    observe_fresh();
    observe_bind();
    observe_connect_blocking();
    observe_connect_nonblocking();
    observe_accept();
    observe_data();
    observe_full();
    observe_half_close();
    observe_reset();
    observe_options();
    observe_conflicts();
    observe_connected_options();
    observe_backlog();
    observe_ipv6();
    observe_edges();
    observe_waiting();
    observe_sharing();
    return 0;
}
