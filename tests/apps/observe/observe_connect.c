/* SPDX-License-Identifier: MIT */
/* Observations of connecting and accepting: what each call says in each state on the way. */
#include "observe.h"

static void blocking(void)
{
    int fd = tcp(0), l = listener(0);
    struct sockaddr_in in = v4("127.0.0.1", 1), peer;
    struct sockaddr_in6 in6 = v6("::1", 1);
    socklen_t len = sizeof peer;
    say("short", connect(fd, (struct sockaddr *)&in, 1));
    say("of length 8", connect(fd, (struct sockaddr *)&in, 8));
    say_kernel("bad pointer", connect(fd, (struct sockaddr *)8, sizeof in));
    say("IPv6 on IPv4", connect(fd, (struct sockaddr *)&in6, sizeof in6));
    say("refused", connect_to(fd, closed_port()));
    say_error("after refusal", fd);
    say_bits("after refusal", bits_now(fd));
    say("getpeername after refusal", getpeername(fd, (struct sockaddr *)&peer, &len));
    say("state after refusal", tcp_state(fd));
    say("refused again", connect_to(fd, closed_port()));
    say("again", connect_to(fd, port_of(l)));
    say("connected", connect_to(fd, port_of(l)));
    say_bits("connected", bits_now(fd));
    len = sizeof peer;
    getpeername(fd, (struct sockaddr *)&peer, &len);
    say("getpeername's port", ntohs(peer.sin_port) == port_of(l));
    say("getpeername's length", len);
    say("getsockname's port is even", port_of(fd) % 2 == 0);
    int s = accept(l, NULL, NULL);
    say("state", tcp_state(fd));
    say("state of the other", tcp_state(s));
    say("SIOCOUTQ", asked(fd, SIOCOUTQ));
    close(s);
    close(fd);
    close(l);
}

static void nonblocking(void)
{
    int l = listener(0), fd = tcp(SOCK_NONBLOCK);
    say("connect", connect_to(fd, port_of(l)));
    say_bits("connected", wait_bits(fd, POLLOUT));
    say_error("connected", fd);
    say("asked again", connect_to(fd, port_of(l)));
    say("a third time", connect_to(fd, port_of(l)));
    close(fd);
    fd = tcp(SOCK_NONBLOCK);
    connect_to(fd, port_of(l));
    wait_bits(fd, POLLOUT);
    say("write without asking", send(fd, "x", 1, MSG_NOSIGNAL));
    say("asked after the write", connect_to(fd, port_of(l)));
    close(fd);
    close(l);
}

static void refused(void)
{
    char c;
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    int fd = tcp(SOCK_NONBLOCK);
    say("connect", connect_to(fd, closed_port()));
    say_bits("poll", wait_bits(fd, POLLERR));
    say_error("first", fd);
    say_error("second", fd);
    say_bits("poll after SO_ERROR", bits_now(fd));
    say("read", read(fd, &c, 1));
    say("write", send(fd, "x", 1, MSG_NOSIGNAL));
    say("getpeername", getpeername(fd, (struct sockaddr *)&peer, &len));
    say("shutdown", shutdown(fd, SHUT_RDWR));
    close(fd);
    fd = tcp(SOCK_NONBLOCK);
    connect_to(fd, closed_port());
    wait_bits(fd, POLLERR);
    say("read first", read(fd, &c, 1));
    say_error("then", fd);
    say("read second", read(fd, &c, 1));
    close(fd);
    fd = tcp(SOCK_NONBLOCK);
    connect_to(fd, closed_port());
    wait_bits(fd, POLLERR);
    say("write first", send(fd, "x", 1, MSG_NOSIGNAL));
    say("write second", send(fd, "x", 1, MSG_NOSIGNAL));
    close(fd);
}

static void refused_retry(void)
{
    int l = listener(0), port = closed_port(), fd = tcp(SOCK_NONBLOCK);
    connect_to(fd, port);
    wait_bits(fd, POLLERR);
    say("second connect tells the error", connect_to(fd, port));
    connect_to(fd, port_of(l));
    say_bits("third begins anew", wait_bits(fd, POLLOUT));
    close(fd);
    fd = tcp(SOCK_NONBLOCK);
    connect_to(fd, port);
    wait_bits(fd, POLLERR);
    option(fd, SOL_SOCKET, SO_ERROR);
    say("second connect after SO_ERROR", connect_to(fd, port));
    close(fd);
    close(l);
}

/* In SYN-SENT: what is answered while nothing comes back. */
static void unanswered(void)
{
    char c;
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    struct silent s = silent_open();
    say("state", tcp_state(s.fd));
    say_bits("poll", bits_now(s.fd));
    say("connect", connect_to(s.fd, port_of(s.listener)));
    say_error("asked", s.fd);
    say("recv", recv(s.fd, &c, 1, MSG_DONTWAIT));
    say("recv out of band", recv(s.fd, &c, 1, MSG_OOB));
    say("send", send(s.fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
    say("accept", accept(s.fd, NULL, NULL));
    say("getpeername", getpeername(s.fd, (struct sockaddr *)&peer, &len));
    say("getsockname's port", port_of(s.fd) > 0);
    struct sockaddr_in any = v4("127.0.0.1", 0);
    say("bind", bind(s.fd, (struct sockaddr *)&any, sizeof any));
    say("SIOCINQ", asked(s.fd, SIOCINQ));
    say("SIOCOUTQ", asked(s.fd, SIOCOUTQ));
    silent_close(&s);
}

static void unanswered_shut(void)
{
    char c;
    for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
        struct silent s = silent_open();
        say_of(shutdown(s.fd, how), "shutdown %d", how);
        say("state", tcp_state(s.fd));
        say_of(shutdown(s.fd, how), "shutdown %d again", how);
        say_error("after shutdown", s.fd);
        say("recv", recv(s.fd, &c, 1, MSG_DONTWAIT) <= 0);
        silent_close(&s);
    }
}

static void unanswered_time_out(void)
{
    struct timeval tenth = {0, 100000};
    struct silent s = silent_open();
    int fd = tcp(0);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tenth, sizeof tenth);
    long before = now_ms();
    say("blocking connect with SO_SNDTIMEO", connect_to(fd, port_of(s.listener)));
    say("has waited", now_ms() - before >= 90);
    say("state", tcp_state(fd));
    say("asked again", connect_to(fd, port_of(s.listener)));
    say_bits("poll", bits_now(fd));
    close(fd);
    fd = tcp(SOCK_NONBLOCK);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 300);
    connect_to(fd, port_of(s.listener));
    say_bits("TCP_USER_TIMEOUT in SYN-SENT", wait_bits(fd, POLLERR));
    say_error("TCP_USER_TIMEOUT in SYN-SENT", fd);
    close(fd);
    fd = tcp(0);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 300);
    say("the same, blocking", connect_to(fd, port_of(s.listener)));
    close(fd);
    silent_close(&s);
}

static void places(void)
{
    static const char *const unreachable[] = {"224.0.0.1", "255.255.255.255"};
    struct sockaddr_in any = v4("0.0.0.0", closed_port());
    int fd = tcp(0), l = listener(0);
    say("0.0.0.0", connect(fd, (struct sockaddr *)&any, sizeof any));
    for (size_t i = 0; i < sizeof unreachable / sizeof *unreachable; i++) {
        any = v4(unreachable[i], 80);
        say(unreachable[i], connect(fd, (struct sockaddr *)&any, sizeof any));
    }
    any = v4("127.0.0.1", 0);
    say("port 0", connect(fd, (struct sockaddr *)&any, sizeof any));
    any = v4("127.255.3.4", port_of(l));
    say("another 127", connect(fd, (struct sockaddr *)&any, sizeof any));
    close(fd);
    fd = tcp(0);
    any = v4("0.0.0.0", port_of(l));
    say("0.0.0.0 with a listener", connect(fd, (struct sockaddr *)&any, sizeof any));
    close(fd);
    close(l);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 none = v6("::", closed_port()), group = v6("ff02::1", 80);
    say("[::]", connect(fd, (struct sockaddr *)&none, sizeof none));
    say("a group of IPv6", connect(fd, (struct sockaddr *)&group, sizeof group));
    struct sockaddr_in in = v4("127.0.0.1", 9);
    say("IPv4 on IPv6", connect(fd, (struct sockaddr *)&in, sizeof in));
    none = v6("::1", 9);
    say("IPv6 of 24 bytes", connect(fd, (struct sockaddr *)&none, 24));
    say("IPv6 of 20 bytes", connect(fd, (struct sockaddr *)&none, 20));
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    none = v6("::ffff:127.0.0.1", 9);
    say("mapped with IPV6_V6ONLY", connect(fd, (struct sockaddr *)&none, sizeof none));
    close(fd);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 six = v6("::1", 0);
    bind(fd, (struct sockaddr *)&six, sizeof six);
    say("mapped from a bound ::1", connect(fd, (struct sockaddr *)&none, sizeof none));
    close(fd);
}

static int unspec(int fd)
{
    struct sockaddr_in any = {.sin_family = AF_UNSPEC};
    return connect(fd, (struct sockaddr *)&any, sizeof any);
}

static void dissolved(void)
{
    char c;
    int l = listener(0), fd = tcp(0);
    say("fresh", unspec(fd));
    connect_to(fd, port_of(l));
    int s = accept(l, NULL, NULL);
    say("connected", unspec(fd));
    say("its state", tcp_state(fd));
    say_error("it", fd);
    say_bits("the other's poll", wait_bits(s, POLLHUP));
    say("the other's read", read(s, &c, 1));
    close(s);
    say("connect again", connect_to(fd, port_of(l)));
    s = accept(l, NULL, NULL);
    say("write", send(fd, "y", 1, MSG_NOSIGNAL));
    say("read", read(s, &c, 1));
    say("write back", send(s, "z", 1, MSG_NOSIGNAL));
    say("read back", read(fd, &c, 1));
    close(s);
    close(fd);
    say("listening", unspec(l));
    say("its state", tcp_state(l));
    say("accept", accept(l, NULL, NULL));
    close(l);
    struct silent silent = silent_open();
    say("in SYN-SENT", unspec(silent.fd));
    say("its state", tcp_state(silent.fd));
    close(silent.fd);
    silent.fd = tcp(0);
    silent_close(&silent);
}

/* ---- accepting -------------------------------------------------------------------------------- */

static void accepts(void)
{
    struct sockaddr_in peer;
    socklen_t len;
    int l = listener(SOCK_NONBLOCK), fd = tcp(0), fd2 = tcp(0);
    say("nothing", accept(l, NULL, NULL));
    say_bits("listener", bits_now(l));
    say("listen again", listen(l, 4));
    say("connect listener", connect_to(l, 9));
    len = sizeof peer;
    say("listener getpeername", getpeername(l, (struct sockaddr *)&peer, &len));
    say("listener SIOCOUTQ", asked(l, SIOCOUTQ));
    say("listener recv", recv(l, &peer, 1, MSG_DONTWAIT));
    connect_to(fd, port_of(l));
    connect_to(fd2, port_of(l));
    say_bits("listener, two wait", wait_bits(l, POLLIN));
    say("accept4 strange flag", accept4(l, NULL, NULL, 1));
    memset(&peer, 0xee, sizeof peer);
    len = 4;
    int s = accept4(l, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    say("into 4 bytes", s >= 0);
    say("whole length", len);
    say("bytes written", peer.sin_addr.s_addr == 0xeeeeeeee && peer.sin_family == AF_INET);
    say("accepted O_NONBLOCK", !!(socket_flags(s) & O_NONBLOCK));
    say_kernel("accepted FD_CLOEXEC", fcntl(s, F_GETFD));
    close(s);
    len = sizeof peer;
    s = accept(l, (struct sockaddr *)&peer, &len);
    say("peer's port", ntohs(peer.sin_port) == port_of(fd2));
    say("O_NONBLOCK by accept", !!(socket_flags(s) & O_NONBLOCK));
    say_bits("listener, none wait", bits_now(l));
    say("accepted's local port", port_of(s) == port_of(l));
    say("accepted's SO_ACCEPTCONN", option(s, SOL_SOCKET, SO_ACCEPTCONN));
    say("accept of the accepted", accept(s, NULL, NULL));
    close(s);
    close(fd);
    close(fd2);
    close(l);
}

static void accept_ends(void)
{
    char c;
    int l = listener(0), fd = tcp(0), s;
    connect_to(fd, port_of(l));
    close(l);
    say_bits("client of a closed listener", wait_bits(fd, POLLHUP));
    say("its read", read(fd, &c, 1));
    close(fd);
    l = listener(0);
    fd = tcp(0);
    connect_to(fd, port_of(l));
    send(fd, "left", 4, 0);
    close(fd);
    pause_ms(20);
    s = accept(l, NULL, NULL);
    say("accept after the client's end", s >= 0);
    say("its data", read(s, &c, 1));
    close(s);
    fd = tcp(0);
    connect_to(fd, port_of(l));
    reset(fd);
    pause_ms(20);
    say_bits("listener after the client's reset", bits_now(l));
    s = accept(l, NULL, NULL);
    say("accept after the client's reset", s >= 0);
    say_bits("it", wait_bits(s, POLLHUP));
    say("its first read", read(s, &c, 1));
    say("its second read", read(s, &c, 1));
    close(s);
    close(l);
}

static void accept_time_out(void)
{
    struct timeval tenth = {0, 100000};
    int l = listener(0);
    setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tenth, sizeof tenth);
    long before = now_ms();
    say("accept with SO_RCVTIMEO", accept(l, NULL, NULL));
    say("has waited", now_ms() - before >= 90);
    close(l);
}

static void listener_shut(void)
{
    int l = tcp(SOCK_NONBLOCK), fd = tcp(0), port = closed_port();
    struct sockaddr_in in = v4("127.0.0.1", port);
    bind(l, (struct sockaddr *)&in, sizeof in);
    listen(l, 8);
    say("shutdown WR", shutdown(l, SHUT_WR));
    say("its state", tcp_state(l));
    say("shutdown RD", shutdown(l, SHUT_RD));
    say("its state", tcp_state(l));
    say("accept", accept(l, NULL, NULL));
    say("SO_ACCEPTCONN", option(l, SOL_SOCKET, SO_ACCEPTCONN));
    say("connect to it", connect_to(fd, port));
    say("port kept", port_of(l) == port);
    say("listen again", listen(l, 3));
    say("its state", tcp_state(l));
    say("connect to it", connect_to(fd, port));
    say_bits("its poll", wait_bits(l, POLLIN));
    int s = accept(l, NULL, NULL);
    say("accept", s >= 0);
    close(s);
    close(fd);
    close(l);
}

static void dual(void)
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
    say_text("peer over IPv6", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    close(c);
    close(s);
    c = tcp(0);
    in = v4("127.0.0.1", port_of(l));
    say("connect IPv4 to ::", connect(c, (struct sockaddr *)&in, sizeof in));
    len = sizeof peer;
    s = accept(l, (struct sockaddr *)&peer, &len);
    say_text("peer over IPv4", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    say("its length", len);
    len = sizeof peer;
    getsockname(s, (struct sockaddr *)&peer, &len);
    say_text("accepted's name", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    close(c);
    close(s);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    one = v6("::ffff:127.0.0.1", port_of(l));
    say("connect mapped", connect(c, (struct sockaddr *)&one, sizeof one));
    len = sizeof peer;
    getsockname(c, (struct sockaddr *)&peer, &len);
    say_text("its name", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    len = sizeof peer;
    getpeername(c, (struct sockaddr *)&peer, &len);
    say_text("its peer", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    close(c);
    close(l);
    l = socket(AF_INET6, SOCK_STREAM, 0);
    set_option(l, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    bind(l, (struct sockaddr *)&any, sizeof any);
    listen(l, 1);
    c = tcp(0);
    say("connect IPv4 to [::] only", connect_to(c, port_of(l)));
    close(c);
    close(l);
}

/* ---- fast open -------------------------------------------------------------------------------- */

static void fast_open(void)
{
    char buf[8];
    int l = listener(0), fd = tcp(0), s;
    struct sockaddr_in in = v4("127.0.0.1", port_of(l)), gone = v4("127.0.0.1", closed_port());
    say("sendto blocking", sendto(fd, "fast", 4, MSG_FASTOPEN, (struct sockaddr *)&in, sizeof in));
    s = accept(l, NULL, NULL);
    say("arrives", recv(s, buf, 4, MSG_WAITALL));
    say("again",
        sendto(fd, "more", 4, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&in, sizeof in));
    close(s);
    close(fd);
    fd = tcp(SOCK_NONBLOCK);
    say("not blocking", sendto(fd, "fast", 4, MSG_FASTOPEN, (struct sockaddr *)&in, sizeof in));
    say_bits("poll", wait_bits(fd, POLLOUT));
    s = accept(l, NULL, NULL);
    say("nothing was taken", recv(s, buf, 4, MSG_DONTWAIT));
    close(s);
    close(fd);
    fd = tcp(0);
    say("no address", sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, NULL, 0));
    say("short address",
        sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&in, 3));
    say("refused",
        sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&gone, sizeof gone));
    close(fd);
    fd = tcp(0);
    say("TCP_FASTOPEN_CONNECT", set_option(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1));
    say("connect", connect_to(fd, port_of(l)));
    say("send", send(fd, "late", 4, MSG_NOSIGNAL));
    s = accept(l, NULL, NULL);
    say("arrives", recv(s, buf, 4, MSG_WAITALL));
    say("set on a connected one", set_option(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1));
    close(s);
    close(fd);
    close(l);
}

static long send_fast(int fd, struct sockaddr_in *to, socklen_t len, int flags)
{
    struct iovec pieces[2] = {{(char[]){"fa"}, 2}, {(char[]){"st"}, 2}};
    struct msghdr msg = {.msg_name = to, .msg_namelen = len, .msg_iov = pieces, .msg_iovlen = 2};
    return sendmsg(fd, &msg, MSG_FASTOPEN | MSG_NOSIGNAL | flags);
}

static void fast_messages(void)
{
    char buf[8] = "";
    int l = listener(0), fd = tcp(0), s;
    struct sockaddr_in in = v4("127.0.0.1", port_of(l)), gone = v4("127.0.0.1", closed_port());
    say("no address", send_fast(fd, NULL, 0, 0));
    say("address of no length", send_fast(fd, &in, 0, 0));
    say("short address", send_fast(fd, &in, 3, 0));
    say("negative length", send_fast(fd, &in, (socklen_t)-1, 0));
    say("blocking", send_fast(fd, &in, sizeof in, 0));
    s = accept(l, NULL, NULL);
    say("arrives", recv(s, buf, 4, MSG_WAITALL));
    say("in order", memcmp(buf, "fast", 4));
    say("again", send_fast(fd, &in, sizeof in, 0));
    close(s);
    close(fd);
    fd = tcp(SOCK_NONBLOCK);
    say("not blocking", send_fast(fd, &in, sizeof in, 0));
    say_bits("poll", wait_bits(fd, POLLOUT));
    s = accept(l, NULL, NULL);
    say("nothing was taken", recv(s, buf, 4, MSG_DONTWAIT));
    close(s);
    close(fd);
    fd = tcp(0);
    say("refused", send_fast(fd, &gone, sizeof gone, 0));
    close(fd);
    close(l);
}

const struct section observe_connect[] = {
    {"connect", blocking, NULL},
    {"async", nonblocking, NULL},
    {"refused", refused, NULL},
    {"refused-retry", refused_retry, NULL},
    {"syn-sent", unanswered, NULL},
    {"syn-sent-shut", unanswered_shut, NULL},
    {"syn-sent-time-out", unanswered_time_out, NULL},
    {"place", places, NULL},
    {"dissolve", dissolved, NULL},
    {"accept", accepts, NULL},
    {"accept-end", accept_ends, NULL},
    {"accept-time-out", accept_time_out, NULL},
    {"listener-shut", listener_shut, NULL},
    {"dual", dual, NULL},
    {"fast-open", fast_open, NULL},
    {"fast-messages", fast_messages, NULL},
    {0},
};
