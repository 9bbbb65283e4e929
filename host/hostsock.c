/* SPDX-License-Identifier: MIT */
/*
 * BSD-style sockets for threads, as on Linux. Each call is the core's, and where that says
 * WEIR_EAGAIN and the call may block, the thread waits for an event of the socket and tries again.
 * A descriptor that is closed by another thread ends the calls that are blocked on it with EBADF.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include <weir/info.h>

#include "host/hostsock.h"

/* The core is asked for what it does itself; the rest of the flags is about blocking. */
static const int recv_flags = MSG_OOB | MSG_PEEK | MSG_TRUNC;
static const int send_flags = MSG_OOB | MSG_MORE | MSG_EOR | MSG_ZEROCOPY;

static int answer(int rc)
{
    if (rc >= 0)
        return rc;
    errno = -rc;
    return -1;
}

static ssize_t answer_size(ptrdiff_t rc)
{
    if (rc >= 0)
        return rc;
    errno = (int)-rc;
    return -1;
}

/* When a call that may block gives up: 0, never to wait, for one that must not. */
static weir_time patience(const struct wr_hsock *hs, int flags, weir_time timeout)
{
    if (hs->nonblock || (flags & MSG_DONTWAIT))
        return 0;
    return timeout == WEIR_TIME_NEVER ? timeout : weir_time_after(weir_now(), timeout);
}

/* After WEIR_EAGAIN: 0 to try again, or the error to return. */
static int wait_or_not(struct weir_host *host, struct wr_hsock *hs, weir_time until)
{
    return until == 0 ? WEIR_EAGAIN : wr_wait(host, hs, until);
}

/* ---- opening, names ----------------------------------------------------------------------------- */

int weir_socket(struct weir_host *host, int domain, int type, int protocol)
{
    weir_sock sock;
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (kind & ~0xf) /* Linux's SOCK_TYPE_MASK */
        return answer(WEIR_EINVAL);
    wr_loop_lock(host->loop);
    int rc = weir_sock_open(host->stack, domain, kind, protocol, &sock);
    if (rc == 0) {
        rc = wr_hostsock_add(host, sock, domain, kind, (type & SOCK_NONBLOCK) != 0);
        if (rc < 0)
            weir_sock_close(host->stack, sock, weir_now());
        else
            host->table[rc]->cloexec = (type & SOCK_CLOEXEC) != 0;
    }
    wr_loop_unlock(host->loop);
    return answer(rc);
}

/* An AF_INET socket may be bound to AF_UNSPEC if the address is 0.0.0.0: old programs do. */
static int bind_address(int domain, const struct sockaddr *addr, socklen_t len,
                        struct weir_endpoint *local)
{
    struct sockaddr_in in;
    if (domain != AF_INET || !addr || len < sizeof in || addr->sa_family != AF_UNSPEC)
        return wr_endpoint_from(domain, addr, len, local);
    memcpy(&in, addr, sizeof in);
    if (in.sin_addr.s_addr != htonl(INADDR_ANY))
        return WEIR_EAFNOSUPPORT;
    in.sin_family = AF_INET;
    return wr_endpoint_from(domain, (struct sockaddr *)&in, sizeof in, local);
}

int weir_bind(struct weir_host *host, int fd, const struct sockaddr *addr, socklen_t len)
{
    struct weir_endpoint local;
    struct wr_hsock *hs = wr_hostsock_enter(host, fd);
    if (!hs)
        return -1;
    int rc = bind_address(hs->domain, addr, len, &local);
    if (rc == 0)
        rc = weir_sock_bind(host->stack, hs->sock, &local);
    wr_hostsock_leave(host, hs);
    return answer(rc);
}

int weir_listen(struct weir_host *host, int fd, int backlog)
{
    struct wr_hsock *hs = wr_hostsock_enter(host, fd);
    if (!hs)
        return -1;
    int rc = weir_sock_listen(host->stack, hs->sock, backlog, weir_now());
    wr_hostsock_leave(host, hs);
    return answer(rc);
}

typedef int name_fn(struct weir_stack *stack, weir_sock sock, struct weir_endpoint *endpoint);

static int get_name(struct weir_host *host, int fd, name_fn *get, struct sockaddr *addr,
                    socklen_t *len)
{
    struct weir_endpoint endpoint;
    struct wr_hsock *hs = wr_hostsock_enter(host, fd);
    if (!hs)
        return -1;
    int rc = get(host->stack, hs->sock, &endpoint);
    if (rc == 0)
        wr_endpoint_to(hs->domain, &endpoint, addr, len);
    wr_hostsock_leave(host, hs);
    return answer(rc);
}

int weir_getsockname(struct weir_host *host, int fd, struct sockaddr *addr, socklen_t *len)
{
    return get_name(host, fd, weir_sock_getsockname, addr, len);
}

int weir_getpeername(struct weir_host *host, int fd, struct sockaddr *addr, socklen_t *len)
{
    return get_name(host, fd, weir_sock_getpeername, addr, len);
}

weir_sock weir_host_sock(struct weir_host *host, int fd)
{
    struct wr_hsock *hs = wr_hostsock_enter(host, fd);
    if (!hs)
        return 0;
    weir_sock sock = hs->sock;
    wr_hostsock_leave(host, hs);
    return sock;
}

/* ---- connect, accept ---------------------------------------------------------------------------- */

/* Waits until a connect that is under way has ended, one way or the other. As on Linux, asking once more
 * is what gives the outcome and leaves a socket that has failed fit for another try. `pending` is what it
 * answers when the time is over: EINPROGRESS to who began it, EALREADY to who asks again. */
static int wait_connected(struct weir_host *host, struct wr_hsock *hs,
                          const struct weir_endpoint *remote, int pending, weir_time until)
{
    int rc;
    do {
        rc = wr_wait(host, hs, until);
        if (rc != 0)
            return rc == WEIR_EAGAIN ? pending : rc;
        rc = weir_sock_connect(host->stack, hs->sock, remote, weir_now());
    } while (rc == WEIR_EALREADY);
    return rc;
}

int weir_connect(struct weir_host *host, int fd, const struct sockaddr *addr, socklen_t len)
{
    struct weir_endpoint remote;
    struct wr_hsock *hs = wr_hostsock_enter(host, fd);
    sa_family_t family = AF_UNSPEC;
    int rc = 0;
    if (!hs)
        return -1;
    if (addr && len >= sizeof family)
        memcpy(&family, addr, sizeof family);
    bool dissolve = addr && len >= sizeof family && family == AF_UNSPEC;
    if (!dissolve)
        rc = wr_endpoint_from(hs->domain, addr, len, &remote);
    if (rc == 0)
        rc = weir_sock_connect(host->stack, hs->sock, dissolve ? NULL : &remote, weir_now());
    hs->deferred = rc == 0 && !dissolve && hs->type == SOCK_STREAM; /* TCP_FASTOPEN_CONNECT */
    weir_time until = patience(hs, 0, hs->send_timeout);
    if ((rc == WEIR_EINPROGRESS || rc == WEIR_EALREADY) && until != 0)
        rc = wait_connected(host, hs, &remote, rc, until);
    wr_hostsock_leave(host, hs);
    return answer(rc);
}

/* What a connection has of its listener's, as on Linux; the rest is the core's business. */
static void inherit(struct wr_hsock *conn, const struct wr_hsock *listener)
{
    conn->recv_timeout = listener->recv_timeout;
    conn->send_timeout = listener->send_timeout;
    conn->recv_lowat = listener->recv_lowat;
}

int weir_accept4(struct weir_host *host, int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    struct weir_endpoint peer;
    weir_sock conn;
    int rc;
    if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
        return answer(WEIR_EINVAL);
    struct wr_hsock *hs = wr_hostsock_enter(host, fd);
    if (!hs)
        return -1;
    weir_time until = patience(hs, 0, hs->recv_timeout);
    do
        rc = weir_sock_accept(host->stack, hs->sock, &conn, &peer, weir_now());
    while (rc == WEIR_EAGAIN && (rc = wait_or_not(host, hs, until)) == 0);
    if (rc == 0) {
        rc = wr_hostsock_add(host, conn, hs->domain, hs->type, (flags & SOCK_NONBLOCK) != 0);
        if (rc < 0) {
            weir_sock_abort(host->stack, conn, weir_now());
            weir_sock_close(host->stack, conn, weir_now());
        } else {
            inherit(host->table[rc], hs);
            wr_endpoint_to(hs->domain, &peer, addr, len);
            host->table[rc]->cloexec = (flags & SOCK_CLOEXEC) != 0;
        }
    }
    wr_hostsock_leave(host, hs);
    return answer(rc);
}

int weir_accept(struct weir_host *host, int fd, struct sockaddr *addr, socklen_t *len)
{
    return weir_accept4(host, fd, addr, len, 0);
}

/* ---- send, recv --------------------------------------------------------------------------------- */

/* A fast open took the data with the SYN: a blocking call waits for the answer to that. 0 or error. */
static ptrdiff_t wait_opened(struct weir_host *host, struct wr_hsock *hs, weir_time until)
{
    ptrdiff_t rc;
    do
        rc = weir_sock_send(host->stack, hs->sock, "", 0, 0, NULL, weir_now());
    while (rc == WEIR_EAGAIN && (rc = wait_or_not(host, hs, until)) == 0);
    return rc;
}

/* The call has waited for the connection: nobody needs to ask connect() for the outcome. */
static void settle_opened(struct weir_host *host, struct wr_hsock *hs,
                          const struct weir_endpoint *to)
{
    int ready = weir_sock_ready(host->stack, hs->sock);
    if (to && ready > 0 && !(ready & (WEIR_POLLERR | WEIR_POLLHUP)))
        weir_sock_connect(host->stack, hs->sock, to, weir_now());
}

/* A stream takes all of it before a blocking call returns; what was taken counts more than an error. */
static ptrdiff_t send_stream(struct weir_host *host, struct wr_hsock *hs, const uint8_t *data,
                             size_t len, int flags, const struct weir_endpoint *to, weir_time until)
{
    size_t done = 0;
    ptrdiff_t rc = 0;
    int fast = flags & MSG_FASTOPEN; /* the first time */
    bool opens = fast || hs->deferred;
    hs->deferred = false;
    do {
        ptrdiff_t n = weir_sock_send(host->stack, hs->sock, data + done, len - done,
                                     (flags & send_flags) | fast, to, weir_now());
        if (n >= 0)
            done += (size_t)n;
        if (n == WEIR_EINPROGRESS && until != 0)
            n = WEIR_EAGAIN; /* a SYN without data is on its way: wait for the connection */
        fast = 0;
        rc = n == WEIR_EAGAIN ? wait_or_not(host, hs, until) : n;
        if (opens && n >= 0 && until != 0)
            rc = wait_opened(host, hs, until);
        if (opens && rc < 0 && until != 0)
            return rc == WEIR_EAGAIN && done > 0 ? (ptrdiff_t)done : rc; /* no connection */
        opens = false;
    } while (rc >= 0 && done < len);
    if ((flags & MSG_FASTOPEN) && until != 0 && done > 0)
        settle_opened(host, hs, to);
    return done > 0 ? (ptrdiff_t)done : rc;
}

static ptrdiff_t send_datagram(struct weir_host *host, struct wr_hsock *hs, const void *data,
                               size_t len, int flags, const struct weir_endpoint *to,
                               weir_time until)
{
    ptrdiff_t rc;
    do
        rc = weir_sock_send(host->stack, hs->sock, data, len, flags & send_flags, to, weir_now());
    while (rc == WEIR_EAGAIN && (rc = wait_or_not(host, hs, until)) == 0);
    return rc;
}

ptrdiff_t wr_hostsock_send(struct weir_host *host, struct wr_hsock *hs, const void *data,
                           size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
    struct weir_endpoint remote;
    bool stream = hs->type == SOCK_STREAM;
    bool addressed = to && (!stream || (flags & MSG_FASTOPEN));
    int rc = addressed ? wr_endpoint_from(hs->domain, to, to_len, &remote) : 0;
    weir_time until = patience(hs, flags, hs->send_timeout);
    if (rc != 0)
        return rc;
    if (stream)
        return send_stream(host, hs, data, len, flags, addressed ? &remote : NULL, until);
    return send_datagram(host, hs, data, len, flags, addressed ? &remote : NULL, until);
}

ssize_t weir_sendto(struct weir_host *host, int fd, const void *data, size_t len, int flags,
                    const struct sockaddr *to, socklen_t to_len)
{
    struct wr_hsock *hs = wr_hostsock_enter(host, fd);
    if (!hs)
        return -1;
    ptrdiff_t rc = wr_hostsock_send(host, hs, data, len, flags, to, to_len);
    wr_hostsock_leave(host, hs);
    return answer_size(rc);
}

ssize_t weir_send(struct weir_host *host, int fd, const void *data, size_t len, int flags)
{
    return weir_sendto(host, fd, data, len, flags, NULL, 0);
}

/* Bytes that a blocking call waits for. */
static size_t recv_target(const struct wr_hsock *hs, size_t len, int flags)
{
    if (hs->type != SOCK_STREAM || (flags & MSG_OOB))
        return 1;
    if (flags & MSG_WAITALL)
        return len;
    return hs->recv_lowat < len ? hs->recv_lowat : len > 0 ? len : 1;
}

/* True when no more will come than what a peek has shown. */
static bool peek_is_all(struct weir_host *host, const struct wr_hsock *hs)
{
    int ready = weir_sock_ready(host->stack, hs->sock);
    return ready < 0 || (ready & (WEIR_POLLRDHUP | WEIR_POLLHUP | WEIR_POLLERR)) != 0;
}

ptrdiff_t wr_hostsock_recv(struct weir_host *host, struct wr_hsock *hs, void *into, size_t len,
                           int flags, struct weir_endpoint *from)
{
    uint8_t *data = into;
    size_t done = 0, target = recv_target(hs, len, flags);
    weir_time until = flags & MSG_OOB ? 0 : patience(hs, flags, hs->recv_timeout);
    for (;;) {
        bool peek = (flags & MSG_PEEK) != 0;
        size_t at = peek ? 0 : done;
        ptrdiff_t n = weir_sock_recv(host->stack, hs->sock, data + at, len - at, flags & recv_flags,
                                     from, weir_now());
        if (n == 0 || (n < 0 && n != WEIR_EAGAIN))
            return done > 0 ? (ptrdiff_t)done : n;
        if (n > 0)
            done = at + (size_t)n;
        if (done >= target || (peek && done > 0 && peek_is_all(host, hs)))
            return (ptrdiff_t)done;
        int rc = n > 0 && !peek ? 0 : wait_or_not(host, hs, until);
        if (rc != 0)
            return done > 0 ? (ptrdiff_t)done : rc;
    }
}

ssize_t weir_recvfrom(struct weir_host *host, int fd, void *data, size_t len, int flags,
                      struct sockaddr *from, socklen_t *from_len)
{
    struct weir_endpoint peer;
    struct wr_hsock *hs = wr_hostsock_enter(host, fd);
    if (!hs)
        return -1;
    bool stream = hs->type == SOCK_STREAM;
    ptrdiff_t rc = wr_hostsock_recv(host, hs, data, len, flags, stream ? NULL : &peer);
    if (rc >= 0 && !stream)
        wr_endpoint_to(hs->domain, &peer, from, from_len);
    else if (rc >= 0 && from_len)
        *from_len = 0; /* as Linux: a stream has no source to tell */
    wr_hostsock_leave(host, hs);
    return answer_size(rc);
}

ssize_t weir_recv(struct weir_host *host, int fd, void *data, size_t len, int flags)
{
    return weir_recvfrom(host, fd, data, len, flags, NULL, NULL);
}

/* ---- shutdown, close ---------------------------------------------------------------------------- */

int weir_shutdown(struct weir_host *host, int fd, int how)
{
    struct wr_hsock *hs = wr_hostsock_enter(host, fd);
    if (!hs)
        return -1;
    int rc = weir_sock_shutdown(host->stack, hs->sock, how, weir_now());
    wr_hostsock_leave(host, hs);
    return answer(rc);
}

/* The seconds of a timed SO_LINGER that close() must wait, or 0. */
static int linger_seconds(struct weir_host *host, const struct wr_hsock *hs)
{
    struct weir_linger linger = {0};
    size_t len = sizeof linger;
    if (hs->type != SOCK_STREAM || weir_sock_inq(host->stack, hs->sock) > 0)
        return 0; /* unread data: close() resets, and there is nothing to wait for */
    if (weir_sock_getsockopt(host->stack, hs->sock, SOL_SOCKET, SO_LINGER, &linger, &len,
                             weir_now()) != 0)
        return 0;
    return linger.on && linger.seconds > 0 ? linger.seconds : 0;
}

/* True while the FIN is not acknowledged. */
static bool fin_is_under_way(struct weir_host *host, weir_sock sock)
{
    struct weir_tcp_info info;
    size_t len = sizeof info;
    if (weir_sock_getsockopt(host->stack, sock, WEIR_SOL_TCP, WEIR_TCP_INFO, &info, &len,
                             weir_now()) != 0)
        return false;
    return info.tcpi_state == WEIR_TCP_FIN_WAIT1 || info.tcpi_state == WEIR_TCP_CLOSING ||
           info.tcpi_state == WEIR_TCP_LAST_ACK;
}

/* SO_LINGER with a time: the data and the FIN are to be acknowledged before close() returns. */
static void linger(struct weir_host *host, struct wr_hsock *hs, int seconds)
{
    weir_time until = weir_now() + seconds * WEIR_SEC;
    struct wr_waiter waiter;
    struct wr_wait_link link;
    if (weir_sock_shutdown(host->stack, hs->sock, SHUT_WR, weir_now()) != 0)
        return; /* not connected */
    wr_waiter_init(&waiter, host->loop);
    wr_wait_join(&host->lingering, &link, &waiter);
    while (fin_is_under_way(host, hs->sock)) {
        waiter.state = WR_AWAKE;
        if (wr_wait_sleep(host, &waiter, until) != 0)
            break;
    }
    wr_wait_leave(&link);
}

int weir_close(struct weir_host *host, int fd)
{
    struct wr_hsock *hs = wr_hostsock_enter_any(host, fd);
    if (!hs)
        return -1;
    wr_hostsock_remove(host, hs);
    if (!hs->epoll) {
        int seconds = linger_seconds(host, hs);
        if (seconds > 0)
            linger(host, hs, seconds);
        weir_sock_close(host->stack, hs->sock, weir_now());
    }
    wr_hostsock_leave(host, hs);
    return 0;
}

/* ---- options ------------------------------------------------------------------------------------ */

/* A time-out as the kernel takes it: zero is none. */
static int timeout_from(const void *value, socklen_t len, weir_time *timeout)
{
    struct timeval tv;
    if (len < sizeof tv)
        return WEIR_EINVAL;
    memcpy(&tv, value, sizeof tv);
    if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
        return -EDOM;
    *timeout = WEIR_TIME_NEVER;
    if (tv.tv_sec < 0)
        *timeout = 0;
    else if ((tv.tv_sec > 0 || tv.tv_usec > 0) && tv.tv_sec < WEIR_TIME_NEVER / WEIR_SEC / 2)
        *timeout = tv.tv_sec * WEIR_SEC + tv.tv_usec * WEIR_US;
    return 0;
}

static int timeout_to(weir_time timeout, void *value, socklen_t *len)
{
    struct timeval tv = {0};
    if (timeout != WEIR_TIME_NEVER) {
        tv.tv_sec = timeout / WEIR_SEC;
        tv.tv_usec = timeout % WEIR_SEC / WEIR_US;
    }
    if (*len > sizeof tv)
        *len = sizeof tv;
    memcpy(value, &tv, *len);
    return 0;
}

static int set_option(struct weir_host *host, struct wr_hsock *hs, int level, int option,
                      const void *value, socklen_t len)
{
    if (level == SOL_SOCKET && option == SO_RCVTIMEO)
        return timeout_from(value, len, &hs->recv_timeout);
    if (level == SOL_SOCKET && option == SO_SNDTIMEO)
        return timeout_from(value, len, &hs->send_timeout);
    int rc = weir_sock_setsockopt(host->stack, hs->sock, level, option, value, len, weir_now());
    if (rc == 0 && value && level == SOL_SOCKET && option == SO_RCVLOWAT) {
        int lowat;
        memcpy(&lowat, value, sizeof lowat);
        hs->recv_lowat = lowat < 1 ? 1 : (size_t)lowat;
    }
    return rc;
}

int weir_setsockopt(struct weir_host *host, int fd, int level, int option, const void *value,
                    socklen_t len)
{
    struct wr_hsock *hs = wr_hostsock_enter(host, fd);
    if (!hs)
        return -1;
    int rc = (int)len < 0        ? WEIR_EINVAL
             : value || len == 0 ? set_option(host, hs, level, option, value, len)
                                 : WEIR_EFAULT;
    wr_hostsock_leave(host, hs);
    return answer(rc);
}

int weir_getsockopt(struct weir_host *host, int fd, int level, int option, void *value,
                    socklen_t *len)
{
    struct wr_hsock *hs = wr_hostsock_enter(host, fd);
    if (!hs)
        return -1;
    size_t size = *len;
    int rc;
    if ((int)*len < 0) {
        rc = WEIR_EINVAL;
    } else if (level == SOL_SOCKET && option == SO_RCVTIMEO) {
        rc = timeout_to(hs->recv_timeout, value, len);
    } else if (level == SOL_SOCKET && option == SO_SNDTIMEO) {
        rc = timeout_to(hs->send_timeout, value, len);
    } else {
        rc = weir_sock_getsockopt(host->stack, hs->sock, level, option, value, &size, weir_now());
        *len = (socklen_t)size;
    }
    wr_hostsock_leave(host, hs);
    return answer(rc);
}

int weir_fcntl(struct weir_host *host, int fd, int cmd, int arg)
{
    struct wr_hsock *hs = wr_hostsock_enter_any(host, fd);
    int rc = 0;
    if (!hs)
        return -1;
    if (cmd == F_GETFD)
        rc = hs->cloexec ? FD_CLOEXEC : 0;
    else if (cmd == F_SETFD)
        hs->cloexec = (arg & FD_CLOEXEC) != 0;
    else if (cmd == F_GETFL)
        rc = O_RDWR | (hs->nonblock ? O_NONBLOCK : 0);
    else if (cmd == F_SETFL)
        hs->nonblock = (arg & O_NONBLOCK) != 0;
    else
        rc = WEIR_EINVAL;
    wr_hostsock_leave(host, hs);
    return answer(rc);
}

int weir_ioctl(struct weir_host *host, int fd, unsigned long request, int *value)
{
    struct wr_hsock *hs = wr_hostsock_enter_any(host, fd);
    ptrdiff_t rc = 0;
    if (!hs)
        return -1;
    if (request == FIONBIO)
        hs->nonblock = *value != 0;
    else if (hs->epoll)
        rc = WEIR_EINVAL;
    else if (request == FIONREAD)
        rc = weir_sock_inq(host->stack, hs->sock);
    else if (request == SIOCOUTQ)
        rc = weir_sock_outq(host->stack, hs->sock);
    else if (request == SIOCATMARK)
        rc = weir_sock_atmark(host->stack, hs->sock);
    else
        rc = -ENOTTY;
    if (rc >= 0 && request != FIONBIO)
        *value = (int)rc;
    wr_hostsock_leave(host, hs);
    return answer(rc < 0 ? (int)rc : 0);
}
