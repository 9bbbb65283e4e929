/* SPDX-License-Identifier: MIT */
/* Observations of sockets before they are connected: socket(), bind(), listen(), who may have a port. */
#include "observe.h"

static void fresh(void)
{
    struct sockaddr_in6 any;
    struct timeval tenth = {0, 100000};
    socklen_t len = sizeof any;
    char c;
    say("socket stream of UDP", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    say("socket stream of an unknown protocol", socket(AF_INET6, SOCK_STREAM, 250));
    say("socket with a strange flag", socket(AF_INET, SOCK_STREAM | 0x100, 0));
    int fd = tcp(0);
    say("SO_TYPE", option(fd, SOL_SOCKET, SO_TYPE));
    say("SO_DOMAIN", option(fd, SOL_SOCKET, SO_DOMAIN));
    say("SO_PROTOCOL", option(fd, SOL_SOCKET, SO_PROTOCOL));
    say("SO_ACCEPTCONN", option(fd, SOL_SOCKET, SO_ACCEPTCONN));
    say("SO_ERROR", option(fd, SOL_SOCKET, SO_ERROR));
    say("TCP_INFO's state", tcp_state(fd));
    say("getsockname", getsockname(fd, (struct sockaddr *)&any, &len));
    say("its family", any.sin6_family);
    say("its port", ntohs(any.sin6_port));
    say("its length", len);
    say("getpeername", getpeername(fd, (struct sockaddr *)&any, &len));
    say_bits("poll", bits_now(fd));
    say("shutdown of 7", shutdown(fd, 7));
    say("shutdown of -1", shutdown(fd, -1));
    say("accept", accept(fd, NULL, NULL));
    say("send", send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tenth, sizeof tenth);
    say("recv that may block", recv(fd, &c, 1, 0));
    say("recv out of band", recv(fd, &c, 1, MSG_OOB));
    say("SIOCINQ", asked(fd, SIOCINQ));
    say("SIOCOUTQ", asked(fd, SIOCOUTQ));
    say("SIOCATMARK", asked(fd, SIOCATMARK));
    say("shutdown RD", shutdown(fd, SHUT_RD));
    say("shutdown WR", shutdown(fd, SHUT_WR));
    say("shutdown RDWR", shutdown(fd, SHUT_RDWR));
    close(fd);
    fd = socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP);
    say("SO_DOMAIN of IPv6", option(fd, SOL_SOCKET, SO_DOMAIN));
    len = sizeof any;
    say("getsockname of IPv6", getsockname(fd, (struct sockaddr *)&any, &len));
    say("its length", len);
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    say("O_NONBLOCK", !!(socket_flags(fd) & O_NONBLOCK));
    say_kernel("FD_CLOEXEC", fcntl(fd, F_GETFD));
    close(fd);
}

static void descriptors(void)
{
    struct sockaddr_in in = v4("127.0.0.1", 0);
    socklen_t len = sizeof in;
    int value = 0, fd = tcp(0);
    char c;
    close(fd);
    say("listen of a closed one", listen(fd, 1));
    say("bind", bind(fd, (struct sockaddr *)&in, sizeof in));
    say("connect", connect(fd, (struct sockaddr *)&in, sizeof in));
    say("accept", accept(fd, NULL, NULL));
    say("send", send(fd, "x", 1, MSG_NOSIGNAL));
    say("recv", recv(fd, &c, 1, 0));
    say("shutdown", shutdown(fd, SHUT_RD));
    say("getsockname", getsockname(fd, (struct sockaddr *)&in, &len));
    say("getpeername", getpeername(fd, (struct sockaddr *)&in, &len));
    say("setsockopt", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
    say("getsockopt", option(fd, SOL_SOCKET, SO_KEEPALIVE));
    say("close", close(fd));
    say("flags", socket_flags(fd));
    say("listen of a number too large", listen(0x7fffffff, 1));
    say("listen of -1", listen(-1, 1));
}

static void binds(void)
{
    struct sockaddr_in in = v4("127.0.0.1", 0), far = v4("192.0.2.1", 0);
    struct sockaddr_in6 in6 = v6("::1", 0);
    int fd = tcp(0), other = tcp(0);
    say("short", bind(fd, (struct sockaddr *)&in, 7));
    say("of length 0", bind(fd, (struct sockaddr *)&in, 0));
    say_kernel("bad pointer", bind(fd, (struct sockaddr *)8, sizeof in));
    say("of huge length", bind(fd, (struct sockaddr *)&in, 4096));
    say("IPv6 on IPv4", bind(fd, (struct sockaddr *)&in6, sizeof in6));
    say("not ours", bind(fd, (struct sockaddr *)&far, sizeof far));
    in.sin_family = 99;
    say("unknown family", bind(fd, (struct sockaddr *)&in, sizeof in));
    in.sin_family = AF_UNSPEC;
    say("AF_UNSPEC with an address", bind(fd, (struct sockaddr *)&in, sizeof in));
    in.sin_family = AF_INET;
    say("bind", bind(fd, (struct sockaddr *)&in, sizeof in));
    say("got a port", port_of(fd) > 0);
    say_bits("poll of a bound one", bits_now(fd));
    say("TCP_INFO's state", tcp_state(fd));
    say("twice", bind(fd, (struct sockaddr *)&in, sizeof in));
    in.sin_port = htons((uint16_t)port_of(fd));
    say("in use", bind(other, (struct sockaddr *)&in, sizeof in));
    close(fd);
    say("free again", bind(other, (struct sockaddr *)&in, sizeof in));
    close(other);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    in = v4("127.0.0.1", 0);
    say("IPv4 on IPv6", bind(fd, (struct sockaddr *)&in, sizeof in));
    say("IPv6 of 24 bytes", bind(fd, (struct sockaddr *)&in6, 24));
    say("again", bind(fd, (struct sockaddr *)&in6, sizeof in6));
    close(fd);
    fd = tcp(0);
    in = v4("0.0.0.0", 0);
    in.sin_family = AF_UNSPEC;
    say("AF_UNSPEC and 0.0.0.0", bind(fd, (struct sockaddr *)&in, sizeof in));
    close(fd);
    int c, s;
    in = v4("127.0.0.1", 0);
    pair_of(&c, &s);
    say("connected", bind(c, (struct sockaddr *)&in, sizeof in));
    close(c);
    close(s);
    fd = tcp(0);
    say("connect binds", connect_to(fd, closed_port()));
    close(fd);
}

/* ---- who may have a port ---------------------------------------------------------------------- */

struct claim {
    const char *name;
    int domain;
    const char *addr;
    int reuseaddr, reuseport, v6only;
};

/* Returns the socket, *error what bind() said. */
static int claim(const struct claim *claim, int port, int *error)
{
    int fd = socket(claim->domain, SOCK_STREAM, 0);
    struct sockaddr_in in = v4(claim->addr, port);
    struct sockaddr_in6 in6 = v6(claim->addr, port);
    if (claim->reuseaddr)
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (claim->reuseport)
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (claim->domain == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, claim->v6only);
    int rc = claim->domain == AF_INET ? bind(fd, (struct sockaddr *)&in, sizeof in)
                                      : bind(fd, (struct sockaddr *)&in6, sizeof in6);
    *error = rc < 0 ? errno : 0;
    return fd;
}

/* Two sockets want one port; the first listens or does not. What the second's bind() and listen() say. */
static void say_conflict(const struct claim *one, const struct claim *two, bool listens)
{
    static const char *const names[] = {"bound", "listening"};
    int error;
    int first = claim(one, 0, &error);
    if (listens)
        listen(first, 1);
    int second = claim(two, port_of(first), &error);
    errno = error;
    say_of(error ? -1 : 0, "%s %s, then %s: bind", names[listens], one->name, two->name);
    if (!error)
        say_of(listen(second, 1), "%s %s, then %s: listen", names[listens], one->name, two->name);
    close(first);
    close(second);
}

static void conflicts(void)
{
    static const struct {
        const char *first, *second;
    } addrs[] = {{"127.0.0.1", "127.0.0.1"},
                 {"0.0.0.0", "127.0.0.1"},
                 {"127.0.0.1", "0.0.0.0"},
                 {"127.0.0.1", "127.0.0.2"}};
    static const char *const flags[] = {"-", "addr", "port", "both"};
    char names[2][40];
    for (size_t a = 0; a < sizeof addrs / sizeof *addrs; a++) {
        for (int combination = 0; combination < 32; combination++) {
            int f = combination & 3, g = combination >> 2 & 3;
            struct claim one = {names[0], AF_INET, addrs[a].first, f & 1, f >> 1, 0};
            struct claim two = {names[1], AF_INET, addrs[a].second, g & 1, g >> 1, 0};
            snprintf(names[0], sizeof names[0], "%s (%s)", one.addr, flags[f]);
            snprintf(names[1], sizeof names[1], "%s (%s)", two.addr, flags[g]);
            say_conflict(&one, &two, combination >> 4);
        }
    }
}

static void dual_stack(void)
{
    static const struct claim all4 = {"0.0.0.0", AF_INET, "0.0.0.0", 0, 0, 0};
    static const struct claim all6 = {"[::]", AF_INET6, "::", 0, 0, 0};
    static const struct claim only6 = {"[::] only", AF_INET6, "::", 0, 0, 1};
    static const struct claim one4 = {"127.0.0.1", AF_INET, "127.0.0.1", 0, 0, 0};
    static const struct claim one6 = {"[::1]", AF_INET6, "::1", 0, 0, 0};
    static const struct claim mapped = {
        "[::ffff:127.0.0.1]", AF_INET6, "::ffff:127.0.0.1", 0, 0, 0};
    static const struct claim mapped_only = {
        "mapped, v6only", AF_INET6, "::ffff:127.0.0.1", 0, 0, 1};
    static const struct claim *const pairs[][2] = {
        {&all6, &all4},   {&all4, &all6},    {&only6, &all4},  {&all4, &only6},
        {&all6, &one4},   {&one4, &all6},    {&only6, &one4},  {&all6, &one6},
        {&one6, &all6},   {&one6, &all4},    {&mapped, &one4}, {&one4, &mapped},
        {&mapped, &all6}, {&mapped, &only6}, {&all4, &mapped}, {&one6, &mapped},
    };
    int error;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int listens = 0; listens < 2; listens++)
            say_conflict(pairs[i][0], pairs[i][1], listens);
    close(claim(&mapped_only, 0, &error));
    errno = error;
    say("bind a mapped address with IPV6_V6ONLY", error ? -1 : 0);
}

/* What is left of a listener's connections, and who may bind beside it. */
static void leftovers(void)
{
    static const struct claim plain = {"", AF_INET, "0.0.0.0", 0, 0, 0};
    static const struct claim reuse = {"", AF_INET, "0.0.0.0", 1, 0, 0};
    for (int old = 0; old < 2; old++) {
        int error, l = claim(old ? &reuse : &plain, 0, &error), port = port_of(l), c = tcp(0);
        listen(l, 1);
        connect_to(c, port);
        int s = accept(l, NULL, NULL);
        close(l);
        for (int again = 0; again < 2; again++) {
            l = claim(again ? &reuse : &plain, port, &error);
            errno = error;
            say_of(error ? -1 : 0, "beside a connection, old %d, new %d: bind", old, again);
            if (!error)
                say_of(listen(l, 1), "beside a connection, old %d, new %d: listen", old, again);
            close(l);
        }
        close(s);
        wait_bits(c, POLLRDHUP);
        close(c);
        pause_ms(50);
        for (int again = 0; again < 2; again++) {
            l = claim(again ? &reuse : &plain, port, &error);
            errno = error;
            say_of(error ? -1 : 0, "beside TIME-WAIT, old %d, new %d: bind", old, again);
            if (!error)
                say_of(listen(l, 1), "beside TIME-WAIT, old %d, new %d: listen", old, again);
            close(l);
        }
    }
}

/* ---- listen ----------------------------------------------------------------------------------- */

/* More connections than the backlog holds: Linux completes one more than that. */
static void backlogs(void)
{
    for (int backlog = 0; backlog < 3; backlog++) {
        int l = listener_of(backlog), fds[6], up = 0;
        for (int i = 0; i < 6; i++) {
            fds[i] = tcp(SOCK_NONBLOCK);
            connect_to(fds[i], port_of(l));
            pause_ms(10);
        }
        pause_ms(100);
        for (int i = 0; i < 6; i++)
            up += !!(bits_now(fds[i]) & POLLOUT);
        say_of(up, "connected with a backlog of %d", backlog);
        for (int i = 0; i < 6; i++)
            close(fds[i]);
        close(l);
    }
}

static void listens(void)
{
    static const int backlogs[] = {-1, 0, 7, 4096, 100000};
    struct tcp_info info;
    int l = tcp(0);
    say("unbound", listen(l, 5));
    say("has a port", port_of(l) > 0);
    say("SO_ACCEPTCONN", option(l, SOL_SOCKET, SO_ACCEPTCONN));
    say("TCP_INFO's state", tcp_state(l));
    for (size_t i = 0; i < sizeof backlogs / sizeof *backlogs; i++) {
        socklen_t len = sizeof info;
        memset(&info, 0, sizeof info);
        say_of(listen(l, backlogs[i]), "of %d", backlogs[i]);
        getsockopt(l, IPPROTO_TCP, TCP_INFO, &info, &len);
        say("its backlog", info.tcpi_sacked);
        say("its queue", info.tcpi_unacked);
    }
    struct sockaddr_in in = v4("127.0.0.1", 0);
    say("bind it", bind(l, (struct sockaddr *)&in, sizeof in));
    close(l);
    int c, s;
    pair_of(&c, &s);
    say("of a connected one", listen(c, 1));
    say("of an accepted one", listen(s, 1));
    close(c);
    close(s);
    struct silent silent = silent_open();
    say("of one in SYN-SENT", listen(silent.fd, 1));
    silent_close(&silent);
}

static void ports(void)
{
    int odd = 0, even = 0, out = 0, l = listener(0);
    for (int i = 0; i < 20; i++) {
        int fd = listener(0), port = port_of(fd);
        odd += port & 1;
        out += port < 32768 || port > 60999;
        close(fd);
        fd = tcp(0);
        connect_to(fd, port_of(l));
        port = port_of(fd);
        even += !(port & 1);
        out += port < 32768 || port > 60999;
        close(accept(l, NULL, NULL));
        close(fd);
    }
    say("bind's are odd", odd);
    say("connect's are even", even);
    say("out of ip_local_port_range", out);
    close(l);
}

static void udp(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    say("listen", listen(fd, 1));
    say("accept", accept(fd, NULL, NULL));
    close(fd);
}

const struct section observe_open[] = {
    {"fresh", fresh, NULL},
    {"descriptor", descriptors, NULL},
    {"bind", binds, NULL},
    {"conflict", conflicts, NULL},
    {"dual-stack", dual_stack, NULL},
    {"leftover", leftovers, NULL},
    {"backlog", backlogs, NULL},
    {"listen", listens, NULL},
    {"port", ports, NULL},
    {"udp", udp, NULL},
    {0},
};
