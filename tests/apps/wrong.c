/* SPDX-License-Identifier: MIT */
/*
 * Wrong arguments: each socket call, on a socket in each state, with pointers to nowhere, lengths of any size,
 * strange families, flags and descriptors. One line each, "state call arguments: result". The program is run
 * on the kernel and under `weir run`, and the lines are compared (test_run_hostile.py). Each call has a
 * socket of its own, none blocks.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- sockets in each state -------------------------------------------------------------------- */

static int the_listener, the_port, the_listener6, the_port6;

static struct sockaddr_in v4(int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    return in;
}

static struct sockaddr_in6 v6(int port)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                               .sin6_port = htons((uint16_t)port)};
    return in6;
}

static int port_of(int fd)
{
    struct sockaddr_in6 any = {0};
    socklen_t len = sizeof any;
    getsockname(fd, (struct sockaddr *)&any, &len);
    return ntohs(any.sin6_port);
}

static int fresh(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static int fresh6(void)
{
    return socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static int bound(void)
{
    struct sockaddr_in in = v4(0);
    int fd = fresh();
    bind(fd, (struct sockaddr *)&in, sizeof in);
    return fd;
}

static int listening(void)
{
    int fd = bound();
    listen(fd, 8);
    return fd;
}

static int peer = -1; /* of the connection made last */

static int connected(void)
{
    struct sockaddr_in in = v4(the_port);
    struct pollfd p = {fresh(), POLLOUT, 0}, l = {the_listener, POLLIN, 0};
    connect(p.fd, (struct sockaddr *)&in, sizeof in);
    poll(&p, 1, 5000);
    poll(&l, 1, 5000);
    close(peer);
    peer = accept4(the_listener, NULL, NULL, SOCK_NONBLOCK);
    connect(p.fd, (struct sockaddr *)&in, sizeof in); /* 0, the asynchronous connect's success */
    return p.fd;
}

static int connected6(void)
{
    struct sockaddr_in6 in6 = v6(the_port6);
    struct pollfd p = {fresh6(), POLLOUT, 0}, l = {the_listener6, POLLIN, 0};
    connect(p.fd, (struct sockaddr *)&in6, sizeof in6);
    poll(&p, 1, 5000);
    poll(&l, 1, 5000);
    close(peer);
    peer = accept4(the_listener6, NULL, NULL, SOCK_NONBLOCK);
    connect(p.fd, (struct sockaddr *)&in6, sizeof in6);
    return p.fd;
}

static int half_closed(void)
{
    int fd = connected();
    shutdown(fd, SHUT_WR);
    return fd;
}

static void wait_bits(int fd, short bits)
{
    for (int i = 0; i < 500; i++) {
        struct pollfd p = {fd, (short)(bits | POLLRDHUP), 0};
        poll(&p, 1, 10);
        if ((p.revents & bits) == bits)
            return;
    }
}

static int ended_by_peer(void)
{
    int fd = connected();
    close(peer);
    peer = -1;
    wait_bits(fd, POLLRDHUP);
    return fd;
}

static int ended(void)
{
    int fd = connected();
    shutdown(fd, SHUT_WR);
    shutdown(peer, SHUT_WR);
    wait_bits(fd, POLLHUP);
    return fd;
}

static int reset(void)
{
    struct linger linger = {1, 0};
    int fd = connected();
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(peer);
    peer = -1;
    wait_bits(fd, POLLHUP | POLLERR);
    return fd;
}

static int refused(void)
{
    int l = listening(), fd = fresh();
    struct sockaddr_in in = v4(port_of(l));
    close(l);
    connect(fd, (struct sockaddr *)&in, sizeof in);
    wait_bits(fd, POLLHUP | POLLERR);
    return fd;
}

static int closed(void)
{
    int fd = connected();
    close(fd);
    return fd;
}

static int none(void)
{
    return -1;
}

static int far_off(void)
{
    return 0x7fffffff;
}

static int pipe_end(void)
{
    int pipes[2] = {-1, -1};
    (void)!pipe(pipes);
    close(pipes[1]);
    return pipes[0];
}

static int path_only(void)
{
    return open("/", O_PATH);
}

static int unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static const struct state {
    const char *name;
    int (*make)(void);
} states[] = {
    {"fresh", fresh},
    {"fresh6", fresh6},
    {"bound", bound},
    {"listening", listening},
    {"connected", connected},
    {"connected6", connected6},
    {"half-closed", half_closed},
    {"ended-by-peer", ended_by_peer},
    {"ended", ended},
    {"reset", reset},
    {"refused", refused},
    {"closed", closed},
    {"none", none},
    {"far-off", far_off},
    {"pipe", pipe_end},
    {"path", path_only},
    {"unix", unix_socket},
};

/* ---- places in memory ------------------------------------------------------------------------- */

static char *page, *unmapped, *read_only;

/* The last `room` bytes before an unmapped page, with `bytes` in them. */
static char *at_edge(const void *bytes, size_t size, size_t room)
{
    char *at = unmapped - room;
    memcpy(at, bytes, size < room ? size : room);
    return at;
}

static struct where {
    const char *name;
    char *at;
} nowhere[] = {{"NULL", NULL},
               {"8", (char *)8},
               {"-1", (char *)-1},
               {"unmapped", NULL},
               {"high", (char *)(1ul << 63)}};
enum { NOWHERE = sizeof nowhere / sizeof *nowhere };

static const long lengths[] = {0,
                               1,
                               2,
                               7,
                               15,
                               16,
                               17,
                               24,
                               27,
                               28,
                               29,
                               128,
                               129,
                               -1,
                               -16,
                               0x7fffffff,
                               1L << 31,
                               1L << 40,
                               (1L << 32) + 16};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

/* ---- saying it -------------------------------------------------------------------------------- */

static const struct state *state;

static void say(const char *call, const char *words, long value)
{
    const char *name = value == -1 ? strerrorname_np(errno) : NULL;
    if (name)
        printf("%s %s %s: %s\n", state->name, call, words, name);
    else
        printf("%s %s %s: %ld\n", state->name, call, words, value);
}

/* Makes the socket, has `value` (which uses fd) worked out, says it, closes the socket. */
#define TRY(call, words, value)                                                                    \
    do {                                                                                           \
        int fd = state->make();                                                                    \
        errno = 0;                                                                                 \
        long result_ = (value);                                                                    \
        say(call, words, result_);                                                                 \
        if (state->make != none && state->make != far_off && state->make != closed)                \
            close(fd);                                                                             \
    } while (0)

static const char *words(const char *what, long number)
{
    static char text[64];
    snprintf(text, sizeof text, "%s %#lx", what, number);
    return text;
}

/* ---- the calls -------------------------------------------------------------------------------- */

typedef long address_call(int fd, const void *addr, long len);

static long call_bind(int fd, const void *addr, long len)
{
    return syscall(SYS_bind, fd, addr, len);
}

static long call_connect(int fd, const void *addr, long len)
{
    return syscall(SYS_connect, fd, addr, len);
}

static void try_addresses(const char *name, address_call *call, int port)
{
    struct sockaddr_storage text = {0};
    struct sockaddr_in in = v4(port);
    struct sockaddr_in6 in6 = v6(port);
    for (int i = 0; i < NOWHERE; i++)
        TRY(name, words(nowhere[i].name, 16), call(fd, nowhere[i].at, 16));
    for (int i = 0; i < LENGTHS; i++) {
        memcpy(&text, &in, sizeof in);
        TRY(name, words("inet", lengths[i]), call(fd, &text, lengths[i]));
        memset(&text, 0, sizeof text);
        memcpy(&text, &in6, sizeof in6);
        TRY(name, words("inet6", lengths[i]), call(fd, &text, lengths[i]));
        memset(&text, 0, sizeof text);
    }
    static const sa_family_t families[] = {AF_UNIX, AF_NETLINK, AF_PACKET, 77, 0xffff, 0x0200};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        memcpy(&text, &in, sizeof in);
        text.ss_family = families[i];
        TRY(name, words("family", families[i]), call(fd, &text, 28));
    }
    TRY(name, "over the edge", call(fd, at_edge(&in, sizeof in, 15), 16));
    TRY(name, "up to the edge", call(fd, at_edge(&in, sizeof in, 16), 16));
    in.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 is nobody's */
    if (call == call_bind)
        TRY(name, "not ours", call(fd, &in, sizeof in));
    in.sin_addr.s_addr = htonl(INADDR_BROADCAST);
    if (call == call_bind)
        TRY(name, "broadcast", call(fd, &in, sizeof in));
    in.sin_addr.s_addr = htonl(0xe0000001);
    if (call == call_bind)
        TRY(name, "multicast", call(fd, &in, sizeof in));
}

static long call_accept(int fd, void *addr, void *len, int flags)
{
    long got = syscall(SYS_accept4, fd, addr, len, flags);
    if (got >= 0)
        close((int)got);
    return got >= 0 ? 0 : got;
}

static void try_accept(void)
{
    socklen_t len = 16;
    char text[32];
    TRY("accept", "nothing asked", call_accept(fd, NULL, NULL, 0));
    for (int i = 0; i < NOWHERE; i++) {
        TRY("accept to", nowhere[i].name, call_accept(fd, nowhere[i].at, &len, 0));
        TRY("accept length to", nowhere[i].name, call_accept(fd, text, nowhere[i].at, 0));
    }
    TRY("accept", "flags 1", call_accept(fd, NULL, NULL, 1));
    TRY("accept", "flags -1", call_accept(fd, NULL, NULL, -1));
}

/* The same of a listener that has a connection waiting. */
static int waiting(void)
{
    int fd = listening();
    struct sockaddr_in in = v4(port_of(fd));
    struct pollfd p = {fd, POLLIN, 0};
    close(peer);
    peer = fresh();
    connect(peer, (struct sockaddr *)&in, sizeof in);
    poll(&p, 1, 5000);
    return fd;
}

static long name_call(int nr, int fd, void *addr, void *len)
{
    return syscall(nr, fd, addr, len);
}

static void try_names(const char *name, int nr)
{
    static const int rooms[] = {0, 1, 16, 28, 200, -1, (int)0x80000000, 0x7fffffff};
    socklen_t len = 16;
    char text[256];
    for (int i = 0; i < NOWHERE; i++) {
        TRY(name, nowhere[i].name, name_call(nr, fd, nowhere[i].at, &len));
        TRY(name, words(nowhere[i].name, 0), (len = 0, name_call(nr, fd, nowhere[i].at, &len)));
        len = 16;
        TRY(name, words("length to", i), name_call(nr, fd, text, nowhere[i].at));
    }
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        TRY(name, words("room", rooms[i]),
            (memcpy(&len, &rooms[i], 4), name_call(nr, fd, text, &len) < 0 ? -1 : (long)len));
    }
    TRY(name, "read-only", (len = 16, name_call(nr, fd, read_only, &len)));
    TRY(name, "read-only length", name_call(nr, fd, text, read_only));
    TRY(name, "over the edge", (len = 16, name_call(nr, fd, unmapped - 15, &len)));
}

static const struct {
    const char *name;
    int level, option;
} options[] = {
    {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR},
    {"SO_LINGER", SOL_SOCKET, SO_LINGER},
    {"SO_RCVTIMEO", SOL_SOCKET, SO_RCVTIMEO},
    {"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT},
    {"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF},
    {"SO_ERROR", SOL_SOCKET, SO_ERROR},
    {"SO_TYPE", SOL_SOCKET, SO_TYPE},
    {"SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN},
    {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE},
    {"SO 4242", SOL_SOCKET, 4242},
    {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY},
    {"TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG},
    {"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE},
    {"TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION},
    {"TCP_INFO", IPPROTO_TCP, TCP_INFO},
    {"TCP 4242", IPPROTO_TCP, 4242},
    {"IP_TTL", IPPROTO_IP, IP_TTL},
    {"IP_TOS", IPPROTO_IP, IP_TOS},
    {"IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY},
    {"level 4242", 4242, 1},
    {"level -1", -1, -1},
};

static void try_options(void)
{
    static const long sizes[] = {0, 1, 3, 4, 5, 8, 4096, -1, 1L << 31, 0x7fffffff};
    int one = 1;
    char text[8192] = {1}, call[64];
    socklen_t len = 4;
    for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
        int level = options[o].level, option = options[o].option;
        snprintf(call, sizeof call, "setsockopt %s", options[o].name);
        for (int i = 0; i < NOWHERE; i++)
            TRY(call, nowhere[i].name,
                syscall(SYS_setsockopt, fd, level, option, nowhere[i].at, 4));
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            memset(text, 0, sizeof text);
            text[0] = 1;
            TRY(call, words("length", sizes[i]),
                syscall(SYS_setsockopt, fd, level, option, text, sizes[i]));
        }
        TRY(call, "over the edge",
            syscall(SYS_setsockopt, fd, level, option, at_edge(&one, 4, 3), 4));
        snprintf(call, sizeof call, "getsockopt %s", options[o].name);
        for (int i = 0; i < NOWHERE; i++) {
            TRY(call, nowhere[i].name,
                (len = 4, syscall(SYS_getsockopt, fd, level, option, nowhere[i].at, &len)));
            TRY(call, words("length to", i),
                syscall(SYS_getsockopt, fd, level, option, text, nowhere[i].at));
        }
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            if (sizes[i] > (long)sizeof text)
                continue;
            TRY(call, words("room", sizes[i]),
                (len = (socklen_t)sizes[i],
                 syscall(SYS_getsockopt, fd, level, option, text, &len) < 0 ? -1
                 : option == TCP_INFO && level == IPPROTO_TCP               ? 0
                                                                            : (long)len));
        }
        TRY(call, "read-only",
            (len = 4, syscall(SYS_getsockopt, fd, level, option, read_only, &len)));
    }
}

static void try_rest(void)
{
    struct sockaddr_in in = v4(the_port);
    static const int hows[] = {-1, 0, 1, 2, 3, 0x7fffffff};
    static const int backlogs[] = {-1, 0, 1, 0x7fffffff, (int)0x80000000};
    for (size_t i = 0; i < sizeof hows / sizeof *hows; i++)
        TRY("shutdown", words("how", hows[i]), syscall(SYS_shutdown, fd, hows[i]));
    for (size_t i = 0; i < sizeof backlogs / sizeof *backlogs; i++)
        TRY("listen", words("backlog", backlogs[i]), syscall(SYS_listen, fd, backlogs[i]));
    for (int i = 0; i < NOWHERE; i++) {
        TRY("sendto address at", nowhere[i].name,
            syscall(SYS_sendto, fd, "x", 1, MSG_NOSIGNAL, nowhere[i].at, 16));
        TRY("sendto bytes at", nowhere[i].name,
            syscall(SYS_sendto, fd, nowhere[i].at, 4, MSG_NOSIGNAL, &in, 16));
        TRY("SIOCOUTQ to", nowhere[i].name, syscall(SYS_ioctl, fd, SIOCOUTQ, nowhere[i].at));
    }
    TRY("sendto", "address", syscall(SYS_sendto, fd, "x", 1, MSG_NOSIGNAL, &in, 16));
    TRY("sendto", "nothing, with an address",
        syscall(SYS_sendto, fd, "x", 0, MSG_NOSIGNAL, &in, 16));
    TRY("sendto", "address of length 3", syscall(SYS_sendto, fd, "x", 1, MSG_NOSIGNAL, &in, 3));
    TRY("sendto", "address of length -1", syscall(SYS_sendto, fd, "x", 1, MSG_NOSIGNAL, &in, -1));
    TRY("sendto", "address of length 129",
        syscall(SYS_sendto, fd, "x", 1, MSG_NOSIGNAL, page, 129));
    TRY("sendto", "over the edge", syscall(SYS_sendto, fd, unmapped - 3, 8, MSG_NOSIGNAL, &in, 16));
    TRY("sendto", "an IPv6 address",
        syscall(SYS_sendto, fd, "x", 1, MSG_NOSIGNAL,
                &(struct sockaddr_in6){.sin6_family = AF_INET6}, 28));
    TRY("SIOCOUTQ to", "read-only", syscall(SYS_ioctl, fd, SIOCOUTQ, read_only));
    TRY("upper half of the descriptor", "set", syscall(SYS_listen, (long)fd | (1L << 32), 1));
}

static void try_sockets(void)
{
    static const int types[] = {
        SOCK_STREAM, SOCK_STREAM | 0x10, SOCK_STREAM | 0x40000000, 0, SOCK_SEQPACKET, 9, 15, -1};
    static const int protocols[] = {0,   IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP,
                                    255, 256,         -1,          0x7fffffff};
    static const int domains[] = {AF_INET, AF_INET6};
    for (size_t d = 0; d < 2; d++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++)
            for (size_t p = 0; p < sizeof protocols / sizeof *protocols; p++) {
                char text[80];
                long fd = syscall(SYS_socket, domains[d], types[t], protocols[p]);
                snprintf(text, sizeof text, "%d %#x %d", domains[d], types[t], protocols[p]);
                say("socket", text, fd < 0 ? -1 : 0);
                if (fd >= 0)
                    close((int)fd);
            }
    long fd = syscall(SYS_socket, (1L << 40) | AF_INET, (1L << 40) | SOCK_STREAM, 1L << 40);
    say("socket", "with upper halves", fd < 0 ? -1 : 0);
    close((int)fd);
}

int main(void)
{
    static const struct state any = {"-", none}, filled = {"waiting", waiting};
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unmapped = page + 4096;
    mprotect(unmapped, 4096, PROT_NONE);
    read_only = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    nowhere[3].at = unmapped;
    the_listener = listening();
    the_port = port_of(the_listener);
    struct sockaddr_in6 in6 = v6(0);
    the_listener6 = fresh6();
    bind(the_listener6, (struct sockaddr *)&in6, sizeof in6);
    listen(the_listener6, 8);
    the_port6 = port_of(the_listener6);
    int spare = bound(), port = port_of(spare);
    close(spare); /* nobody's any more */
    state = &any;
    try_sockets();
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        state = &states[i];
        try_addresses("bind", call_bind, 0);
        try_addresses("connect", call_connect, port);
        try_accept();
        try_names("getsockname", SYS_getsockname);
        try_names("getpeername", SYS_getpeername);
        try_options();
        try_rest();
    }
    state = &filled;
    try_accept();
    return 0;
}
