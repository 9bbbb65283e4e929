/* SPDX-License-Identifier: MIT */
/* Observations of options: defaults, what may be set, what is then there, what is inherited. */
#include "observe.h"

#ifndef TCP_NOTSENT_LOWAT
#    define TCP_NOTSENT_LOWAT 25
#endif

struct trial {
    const char *name;
    int level, option;
    int values[6];
    int n;
};

#define TRIAL(level, option, ...)                                                                  \
    {                                                                                              \
#        option, level, option, {__VA_ARGS__ }, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int))  \
    }

static const struct trial trials[] = {
    TRIAL(SOL_SOCKET, SO_REUSEADDR, 1, 0, 7, -1),
    TRIAL(SOL_SOCKET, SO_REUSEPORT, 1, 0),
    TRIAL(SOL_SOCKET, SO_KEEPALIVE, 1, 0, 5),
    TRIAL(SOL_SOCKET, SO_BROADCAST, 1, 0),
    TRIAL(SOL_SOCKET, SO_OOBINLINE, 1, 0),
    TRIAL(SOL_SOCKET, SO_PRIORITY, 3, 0),
    TRIAL(SOL_SOCKET, SO_SNDBUF, 20000, 1, 100000),
    TRIAL(SOL_SOCKET, SO_RCVBUF, 20000, 1, 100000),
    TRIAL(SOL_SOCKET, SO_RCVLOWAT, 100, 0, 1),
    TRIAL(SOL_SOCKET, SO_SNDLOWAT, 5),
    TRIAL(SOL_SOCKET, SO_MARK, 7, 0),
    TRIAL(SOL_SOCKET, SO_MAX_PACING_RATE, 1000000, -1),
    TRIAL(SOL_SOCKET, SO_TYPE, 1),
    TRIAL(SOL_SOCKET, SO_ERROR, 1),
    TRIAL(SOL_SOCKET, SO_DOMAIN, 1),
    TRIAL(SOL_SOCKET, SO_PROTOCOL, 1),
    TRIAL(SOL_SOCKET, SO_ACCEPTCONN, 1),
    TRIAL(IPPROTO_TCP, TCP_NODELAY, 1, 0, 9),
    TRIAL(IPPROTO_TCP, TCP_CORK, 1, 0),
    TRIAL(IPPROTO_TCP, TCP_MAXSEG, 87, 88, 500, 32767, 32768, 0),
    TRIAL(IPPROTO_TCP, TCP_KEEPIDLE, 0, 1, 30, 32767, 32768, -1),
    TRIAL(IPPROTO_TCP, TCP_KEEPINTVL, 0, 1, 5, 32767, 32768),
    TRIAL(IPPROTO_TCP, TCP_KEEPCNT, 0, 1, 3, 127, 128),
    TRIAL(IPPROTO_TCP, TCP_SYNCNT, 0, 1, 127, 128, -1),
    TRIAL(IPPROTO_TCP, TCP_LINGER2, 0, 5, 120, 121, -1),
    TRIAL(IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, 1, 5, 100, -1),
    TRIAL(IPPROTO_TCP, TCP_WINDOW_CLAMP, 0, 10, 20000),
    TRIAL(IPPROTO_TCP, TCP_QUICKACK, 0, 1),
    TRIAL(IPPROTO_TCP, TCP_USER_TIMEOUT, 900, 0, -1),
    TRIAL(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 9999, 0, -1),
    TRIAL(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1, 0, 2),
    TRIAL(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1, 0, 2),
    TRIAL(IPPROTO_TCP, TCP_THIN_DUPACK, 1, 0, 2),
    TRIAL(IPPROTO_IP, IP_TOS, 16, 0x1f, 255, 256, 0),
    TRIAL(IPPROTO_IP, IP_TTL, 9, 0, 255, 300, -1),
    TRIAL(IPPROTO_IP, IP_MTU_DISCOVER, 0, 1, 2, 3, 5, 6),
    TRIAL(IPPROTO_IP, IP_FREEBIND, 1, 0),
    TRIAL(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, 0),
    TRIAL(IPPROTO_IP, IP_MTU, 5),
    TRIAL(IPPROTO_IPV6, IPV6_V6ONLY, 1),
};

static void try_all(int fd, const struct trial *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct trial *t = &list[i];
        if (t->option != SO_SNDBUF || t->level != SOL_SOCKET || tcp_state(fd) != 1)
            say_of(option(fd, t->level, t->option), "%s", t->name); /* SO_SNDBUF tunes itself */
        for (int v = 0; v < t->n; v++) {
            say_of(set_option(fd, t->level, t->option, t->values[v]), "%s = %d", t->name,
                   t->values[v]);
            say_of(option(fd, t->level, t->option), "%s is", t->name);
        }
    }
}

static void on_fresh(void)
{
    int fd = tcp(0);
    try_all(fd, trials, sizeof trials / sizeof *trials);
    close(fd);
}

static void on_ipv6(void)
{
    static const struct trial six[] = {
        TRIAL(IPPROTO_IPV6, IPV6_V6ONLY, 1, 0, 2),
        TRIAL(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5, 255, 256, -1),
        TRIAL(IPPROTO_IPV6, IPV6_TCLASS, 16, 255, 256, -1),
        TRIAL(IPPROTO_IPV6, IPV6_MTU_DISCOVER, 0, 2, 6),
        TRIAL(IPPROTO_IP, IP_TTL, 9),
        TRIAL(IPPROTO_IP, IP_TOS, 16),
        TRIAL(IPPROTO_TCP, TCP_NODELAY, 1),
    };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    try_all(fd, six, sizeof six / sizeof *six);
    struct sockaddr_in6 one = v6("::1", 0);
    bind(fd, (struct sockaddr *)&one, sizeof one);
    say("IPV6_V6ONLY after bind", set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
    close(fd);
}

static void on_connected(void)
{
    static const struct trial connected[] = {
        TRIAL(SOL_SOCKET, SO_REUSEADDR, 1),
        TRIAL(SOL_SOCKET, SO_KEEPALIVE, 1),
        TRIAL(SOL_SOCKET, SO_SNDBUF, 20000, 1),
        TRIAL(SOL_SOCKET, SO_RCVBUF, 20000, 1),
        TRIAL(IPPROTO_TCP, TCP_NODELAY, 1),
        TRIAL(IPPROTO_TCP, TCP_KEEPIDLE, 60),
        TRIAL(IPPROTO_TCP, TCP_USER_TIMEOUT, 5000),
        TRIAL(IPPROTO_TCP, TCP_DEFER_ACCEPT, 3),
        TRIAL(IPPROTO_TCP, TCP_FASTOPEN, 5),
        TRIAL(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1),
        TRIAL(IPPROTO_TCP, TCP_QUICKACK, 1),
        TRIAL(IPPROTO_IP, IP_TOS, 16),
        TRIAL(IPPROTO_IP, IP_TTL, 30),
    };
    int c = tcp(0), l = listener(0);
    set_option(c, IPPROTO_TCP, TCP_MAXSEG, 500);
    connect_to(c, port_of(l));
    int s = accept(l, NULL, NULL);
    close(l);
    say("IP_MTU", option(c, IPPROTO_IP, IP_MTU));
    say("TCP_MAXSEG", option(c, IPPROTO_TCP, TCP_MAXSEG));
    say("TCP_MAXSEG of the accepted", option(s, IPPROTO_TCP, TCP_MAXSEG));
    try_all(c, connected, sizeof connected / sizeof *connected);
    close(c);
    close(s);
}

static void lengths(void)
{
    struct linger linger = {1, 5};
    struct timeval half = {0, 500000}, got = {0}, wrong = {0, 1000000}, minus = {-1, 0};
    char text[64];
    int fd = tcp(0), value = 0;
    socklen_t len = sizeof got;
    say("SO_LINGER short", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, 4));
    say("SO_RCVTIMEO short", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &half, 8));
    say("SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &half, sizeof half));
    getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &len);
    say("is", got.tv_usec);
    say("its length", len);
    say("a million microseconds", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wrong, sizeof wrong));
    say("less than nothing", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &minus, sizeof minus));
    getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &got, &len);
    say("is", got.tv_sec * 1000000 + got.tv_usec);
    say("TCP_NODELAY of 1 byte", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 1));
    say("of 0 bytes", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 0));
    say("of 8 bytes", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, text, 8));
    say("of length -1", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, (socklen_t)-1));
    say("IP_TOS of 1 byte", setsockopt(fd, IPPROTO_IP, IP_TOS, "\x10", 1));
    say("is", option(fd, IPPROTO_IP, IP_TOS));
    say_kernel("bad pointer", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (void *)8, sizeof value));
    say("unknown level", setsockopt(fd, 4242, 1, &value, sizeof value));
    say("unknown option", setsockopt(fd, IPPROTO_TCP, 4242, &value, sizeof value));
    say("unknown option of sockets", setsockopt(fd, SOL_SOCKET, 4242, &value, sizeof value));
    say("unknown option of IP", setsockopt(fd, IPPROTO_IP, 4242, &value, sizeof value));
    say("get unknown level", option(fd, 4242, 1));
    say("get unknown option", option(fd, IPPROTO_TCP, 4242));
    say("get unknown option of sockets", option(fd, SOL_SOCKET, 4242));
    say("get unknown option of IP", option(fd, IPPROTO_IP, 4242));
    say("get IPv6's of IPv4", option(fd, IPPROTO_IPV6, IPV6_V6ONLY));
    len = 1;
    say("get into 1 byte", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
    say("its length", len);
    len = 0;
    say("get into none", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
    say("its length", len);
    len = 64;
    say("get into 64 bytes", getsockopt(fd, SOL_SOCKET, SO_TYPE, text, &len));
    say("its length", len);
    len = (socklen_t)-1;
    say("get with length -1", getsockopt(fd, SOL_SOCKET, SO_TYPE, text, &len));
    say_kernel("get, bad length pointer",
               getsockopt(fd, SOL_SOCKET, SO_TYPE, text, (socklen_t *)8));
    close(fd);
}

/* What is refused, of options that answer through recvmsg() or that no program needs. */
static void refused(void)
{
    static const struct {
        const char *name;
        int level, option;
    } list[] = {
        {"SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE},
        {"SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP},
        {"SO_TIMESTAMPING", SOL_SOCKET, SO_TIMESTAMPING},
        {"SO_INCOMING_CPU", SOL_SOCKET, SO_INCOMING_CPU},
        {"SO_ZEROCOPY", SOL_SOCKET, SO_ZEROCOPY},
        {"TCP_THIN_LINEAR_TIMEOUTS", IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS},
        {"TCP_SAVE_SYN", IPPROTO_TCP, TCP_SAVE_SYN},
        {"TCP_INQ", IPPROTO_TCP, TCP_INQ},
        {"IP_RECVERR", IPPROTO_IP, IP_RECVERR},
    };
    char text[256] = "none";
    size_t at = 0;
    int fd = tcp(0);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (set_option(fd, list[i].level, list[i].option, 1) < 0 && errno == ENOPROTOOPT)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s ", list[i].name);
    say_text("options that are refused", text);
    close(fd);
}

static void congestion(void)
{
    char name[32] = "";
    socklen_t len = sizeof name;
    int l = tcp(0), c = tcp(0);
    say("unknown", setsockopt(l, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
    say("of length 0", setsockopt(l, IPPROTO_TCP, TCP_CONGESTION, "", 0));
    say("reno", setsockopt(l, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    getsockopt(l, IPPROTO_TCP, TCP_CONGESTION, name, &len);
    say_text("is", name);
    say("its length", len);
    len = 3;
    getsockopt(l, IPPROTO_TCP, TCP_CONGESTION, name, &len);
    say("into 3 bytes", len);
    struct sockaddr_in in = v4("127.0.0.1", 0);
    bind(l, (struct sockaddr *)&in, sizeof in);
    listen(l, 1);
    connect_to(c, port_of(l));
    int s = accept(l, NULL, NULL);
    len = sizeof name;
    getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &len);
    say_text("inherited", name);
    close(s);
    close(c);
    close(l);
}

/* What a listener has, its connections have. */
static void inherited(void)
{
    static const struct {
        const char *name;
        int level, option, value;
    } set[] = {
        {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1},
        {"TCP_CORK", IPPROTO_TCP, TCP_CORK, 1},
        {"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 77},
        {"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 7},
        {"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 4},
        {"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 7777},
        {"TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2, 9},
        {"TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT, 3},
        {"TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 8888},
        {"TCP_WINDOW_CLAMP", IPPROTO_TCP, TCP_WINDOW_CLAMP, 20000},
        {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1},
        {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1},
        {"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, 1},
        {"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 1},
        {"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 30000},
        {"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 30000},
        {"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 1},
        {"SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 2},
        {"SO_MARK", SOL_SOCKET, SO_MARK, 5},
        {"IP_TTL", IPPROTO_IP, IP_TTL, 44},
        {"IP_TOS", IPPROTO_IP, IP_TOS, 16},
        {"IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER, 0},
    };
    struct linger linger = {1, 3}, got = {0};
    struct timeval tv = {5, 0}, tv_got = {0};
    socklen_t len = sizeof got;
    int l = listener(SOCK_NONBLOCK), c = tcp(0);
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        say_of(set_option(l, set[i].level, set[i].option, set[i].value), "set %s", set[i].name);
    setsockopt(l, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    connect_to(c, port_of(l));
    wait_bits(l, POLLIN);
    int s = accept(l, NULL, NULL);
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        say_of(option(s, set[i].level, set[i].option), "accepted's %s", set[i].name);
    getsockopt(s, SOL_SOCKET, SO_LINGER, &got, &len);
    say("accepted's SO_LINGER", got.l_onoff * 100 + got.l_linger);
    len = sizeof tv_got;
    getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv_got, &len);
    say("accepted's SO_RCVTIMEO", tv_got.tv_sec);
    close(s);
    close(c);
    close(l);
}

static void info(void)
{
    struct tcp_info i = {0};
    char byte[600];
    int c, s;
    pair_of(&c, &s);
    write(c, "hello", 5);
    wait_bits(s, POLLIN);
    read(s, byte, 5);
    memset(byte, 'x', sizeof byte);
    socklen_t len = sizeof i;
    say("TCP_INFO", getsockopt(s, IPPROTO_TCP, TCP_INFO, &i, &len));
    say("its length", len == sizeof i);
    say("tcpi_state", i.tcpi_state);
    say("tcpi_ca_state", i.tcpi_ca_state);
    say("tcpi_retransmits", i.tcpi_retransmits);
    say("tcpi_probes", i.tcpi_probes);
    say("tcpi_backoff", i.tcpi_backoff);
    say("tcpi_options", i.tcpi_options);
    say("tcpi_rto of a quick path", i.tcpi_rto >= 200000 && i.tcpi_rto < 300000);
    say("tcpi_unacked", i.tcpi_unacked);
    say("tcpi_lost", i.tcpi_lost);
    say("tcpi_total_retrans", i.tcpi_total_retrans);
    say("tcpi_advmss", i.tcpi_advmss);
    say("tcpi_pmtu", i.tcpi_pmtu);
    say("tcpi_snd_cwnd", i.tcpi_snd_cwnd);
    say("tcpi_reordering", i.tcpi_reordering);
    say("tcpi_bytes_received", (long)i.tcpi_bytes_received);
    say("tcpi_bytes_acked", (long)i.tcpi_bytes_acked);
    say("tcpi_data_segs_in", i.tcpi_data_segs_in);
    say("tcpi_data_segs_out", i.tcpi_data_segs_out);
    len = sizeof i;
    getsockopt(c, IPPROTO_TCP, TCP_INFO, &i, &len);
    say("client's tcpi_data_segs_out", i.tcpi_data_segs_out);
    say("client's tcpi_bytes_sent", (long)i.tcpi_bytes_sent);
    len = 10;
    say("into 10 bytes", getsockopt(s, IPPROTO_TCP, TCP_INFO, byte, &len));
    say("its length", len);
    say("no more is written", byte[10] == 'x');
    len = 104;
    getsockopt(s, IPPROTO_TCP, TCP_INFO, byte, &len);
    say("into 104 bytes", len);
    say("set it", setsockopt(s, IPPROTO_TCP, TCP_INFO, &i, sizeof i));
    close(c);
    close(s);
}

static void kept_bytes(void)
{
    char buf[64];
    int c, s;
    pair_of(&c, &s);
    set_option(c, IPPROTO_TCP, TCP_CORK, 1);
    write(c, "abc", 3);
    pause_ms(20);
    say("corked", recv(s, buf, 9, MSG_DONTWAIT));
    set_option(c, IPPROTO_TCP, TCP_CORK, 0);
    wait_bits(s, POLLIN);
    say("uncorked", recv(s, buf, 9, MSG_DONTWAIT));
    say("MSG_MORE", send(c, "de", 2, MSG_MORE));
    pause_ms(20);
    say("held", recv(s, buf, 9, MSG_DONTWAIT));
    say("send", send(c, "f", 1, 0));
    wait_bits(s, POLLIN);
    say("together", recv(s, buf, 9, MSG_DONTWAIT));
    set_option(c, IPPROTO_TCP, TCP_CORK, 1);
    write(c, "gh", 2);
    shutdown(c, SHUT_WR);
    wait_bits(s, POLLRDHUP);
    say("shutdown lets the corked go", recv(s, buf, 9, MSG_DONTWAIT));
    close(c);
    close(s);
}

static long write_message(int fd, const char *a, const char *b, int flags)
{
    struct iovec pieces[3] = {
        {(void *)(uintptr_t)a, strlen(a)}, {NULL, 0}, {(void *)(uintptr_t)b, strlen(b)}};
    struct msghdr msg = {.msg_iov = pieces, .msg_iovlen = 3};
    return sendmsg(fd, &msg, flags);
}

static void kept_messages(void)
{
    char buf[64];
    int c, s;
    pair_of(&c, &s);
    say("MSG_MORE", write_message(c, "abc", "de", MSG_MORE));
    pause_ms(20);
    say("held", recv(s, buf, 9, MSG_DONTWAIT));
    say("MSG_MORE again", write_message(c, "f", "", MSG_MORE | MSG_DONTWAIT));
    pause_ms(20);
    say("held still", recv(s, buf, 9, MSG_DONTWAIT));
    say("send", write_message(c, "", "g", 0));
    wait_bits(s, POLLIN);
    say("together", recv(s, buf, 9, MSG_DONTWAIT));
    say("in order", memcmp(buf, "abcdefg", 7));
    say("nothing", write_message(c, "", "", MSG_MORE));
    say("MSG_MORE", write_message(c, "h", "i", MSG_MORE));
    shutdown(c, SHUT_WR);
    wait_bits(s, POLLRDHUP);
    say("shutdown lets it go", recv(s, buf, 9, MSG_DONTWAIT));
    say("MSG_MORE after it", write_message(c, "h", "i", MSG_MORE | MSG_NOSIGNAL));
    close(c);
    close(s);
}

const struct section observe_option[] = {
    {"option", on_fresh, NULL},
    {"option-ipv6", on_ipv6, NULL},
    {"option-connected", on_connected, NULL},
    {"option-length", lengths, NULL},
    {"option-refused", refused, NULL},
    {"congestion", congestion, NULL},
    {"inherit", inherited, NULL},
    {"info", info, NULL},
    {"cork", kept_bytes, NULL},
    {"kept-messages", kept_messages, NULL},
    {0},
};
