/* SPDX-License-Identifier: MIT */
/*
 * Calls on several buffers, with control messages: recvmsg(), sendmsg() and their simpler relatives; and
 * select(), which is poll() in other clothes.
 *
 * A stream's buffers are served one after the other, without a copy between: all but the last are sent
 * with MSG_MORE, so that where they meet cannot be seen in the segments. A datagram, and what is only
 * peeked at, must be one piece: it goes through a buffer in between.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <time.h>

#include <linux/errqueue.h> /* needs struct timespec */

#include "host/hostsock.h"

enum { BUFFERS_MAX = 1024 }; /* Linux's UIO_MAXIOV */

static ssize_t answer(ptrdiff_t rc)
{
    if (rc >= 0)
        return rc;
    errno = (int)-rc;
    return -1;
}

/* ---- buffers ------------------------------------------------------------------------------------ */

/* The bytes of all buffers; WEIR_EINVAL when that is no ssize_t, -EMSGSIZE when there are too many. */
static ptrdiff_t total_of(const struct iovec *iov, size_t n)
{
    size_t total = 0;
    if (n > BUFFERS_MAX)
        return WEIR_EMSGSIZE;
    for (size_t i = 0; i < n; i++) {
        if (iov[i].iov_len > (size_t)SSIZE_MAX - total)
            return WEIR_EINVAL;
        total += iov[i].iov_len;
    }
    return (ptrdiff_t)total;
}

static void gather(uint8_t *to, const struct iovec *iov, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (iov[i].iov_len > 0)
            memcpy(to, iov[i].iov_base, iov[i].iov_len);
        to += iov[i].iov_len;
    }
}

static void scatter(const struct iovec *iov, size_t n, const uint8_t *from, size_t len)
{
    for (size_t i = 0; i < n && len > 0; i++) {
        size_t part = iov[i].iov_len < len ? iov[i].iov_len : len;
        if (part > 0)
            memcpy(iov[i].iov_base, from, part);
        from += part;
        len -= part;
    }
}

/* ---- sending ------------------------------------------------------------------------------------ */

static ptrdiff_t send_pieces(struct weir_host *host, struct wr_hsock *hs, const struct msghdr *msg,
                             int flags)
{
    static const int at_end = MSG_OOB | MSG_EOR; /* what they say is of the last byte */
    const struct iovec *iov = msg->msg_iov;
    size_t last = msg->msg_iovlen;
    ptrdiff_t done = 0, rc = 0;
    while (last > 1 && iov[last - 1].iov_len == 0)
        last--;
    for (size_t i = 0; i < last; i++) {
        if (iov[i].iov_len == 0 && last > 1)
            continue;
        int how = i + 1 < last ? (flags & ~at_end) | MSG_MORE : flags;
        rc = wr_hostsock_send(host, hs, iov[i].iov_base, iov[i].iov_len, how, msg->msg_name,
                              msg->msg_namelen);
        done += rc > 0 ? rc : 0;
        if (rc < (ptrdiff_t)iov[i].iov_len)
            break;
        flags &= ~MSG_FASTOPEN;
    }
    return done > 0 ? done : rc;
}

static ptrdiff_t send_whole(struct weir_host *host, struct wr_hsock *hs, const struct msghdr *msg,
                            size_t total, int flags)
{
    uint8_t *whole = NULL;
    const void *data = "";
    if (msg->msg_iovlen == 1) {
        data = msg->msg_iov[0].iov_base;
    } else if (total > 0) {
        if (total > UINT16_MAX)
            return WEIR_EMSGSIZE;
        if (!(whole = malloc(total)))
            return WEIR_ENOBUFS;
        gather(whole, msg->msg_iov, msg->msg_iovlen);
        data = whole;
    }
    ptrdiff_t rc = wr_hostsock_send(host, hs, data, total, flags, msg->msg_name, msg->msg_namelen);
    free(whole);
    return rc;
}

ssize_t weir_sendmsg(struct weir_host *host, int fd, const struct msghdr *msg, int flags)
{
    struct wr_hsock *hs = wr_hostsock_enter(host, fd);
    if (!hs)
        return -1;
    ptrdiff_t total = total_of(msg->msg_iov, msg->msg_iovlen), rc = total;
    if (total >= 0 && msg->msg_controllen > 0)
        rc = WEIR_EINVAL; /* there is none that would be understood */
    else if (total >= 0 && hs->type == SOCK_STREAM && msg->msg_iovlen > 0)
        rc = send_pieces(host, hs, msg, flags);
    else if (total >= 0)
        rc = send_whole(host, hs, msg, (size_t)total, flags);
    wr_hostsock_leave(host, hs);
    return answer(rc);
}

/* ---- control messages --------------------------------------------------------------------------- */

/* Puts one behind those before it; MSG_CTRUNC when there is no room. `room` is msg_controllen as it was. */
static void put_control(struct msghdr *msg, size_t room, int level, int type, const void *data,
                        size_t len)
{
    size_t at = msg->msg_controllen;
    struct cmsghdr head = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
    if (!msg->msg_control || at + CMSG_SPACE(len) > room) {
        msg->msg_flags |= MSG_CTRUNC;
        return;
    }
    unsigned char *to = (unsigned char *)msg->msg_control + at;
    memset(to, 0, CMSG_SPACE(len));
    memcpy(to, &head, sizeof head);
    memcpy(to + CMSG_LEN(0), data, len);
    msg->msg_controllen = at + CMSG_SPACE(len);
}

/* TCP_CM_INQ, if TCP_INQ is set. */
static void put_inq(struct weir_host *host, const struct wr_hsock *hs, struct msghdr *msg,
                    size_t room)
{
    int on = 0, left;
    size_t len = sizeof on;
    if (hs->type != SOCK_STREAM || weir_sock_getsockopt(host->stack, hs->sock, WEIR_SOL_TCP,
                                                        WEIR_TCP_INQ, &on, &len, weir_now()) != 0)
        return;
    ptrdiff_t queued = weir_sock_inq(host->stack, hs->sock);
    if (!on || queued < 0)
        return;
    left = (int)queued;
    /* Linux counts the end of the stream as a byte, lest nobody reads it. */
    if (weir_sock_ready(host->stack, hs->sock) & WEIR_POLLRDHUP)
        left++;
    put_control(msg, room, WEIR_SOL_TCP, WEIR_TCP_INQ, &left, sizeof left);
}

/* The stack's time as time of day. */
static struct timespec time_of_day(weir_time at)
{
    struct timespec day;
    clock_gettime(CLOCK_REALTIME, &day);
    weir_time t = day.tv_sec * WEIR_SEC + day.tv_nsec - (weir_now() - at);
    return (struct timespec){.tv_sec = t / WEIR_SEC, .tv_nsec = t % WEIR_SEC};
}

/* MSG_ERRQUEUE: the oldest note, and who told of it: nobody, for it was this host. */
static ptrdiff_t recv_note(struct weir_host *host, const struct wr_hsock *hs, struct msghdr *msg,
                           size_t room)
{
    struct weir_note note;
    struct {
        struct sock_extended_err error;
        struct sockaddr_in6 offender;
    } whole = {0};
    int rc = weir_sock_next_note(host->stack, hs->sock, &note);
    if (rc != 0)
        return rc;
    if (note.stamped) {
        struct timespec stamps[3] = {time_of_day(note.at)};
        put_control(msg, room, SOL_SOCKET, SO_TIMESTAMPING, stamps, sizeof stamps);
    }
    whole.error = (struct sock_extended_err){
        .ee_errno = (uint32_t)note.error,
        .ee_origin = note.origin,
        .ee_type = note.type,
        .ee_code = note.code,
        .ee_info = note.info,
        .ee_data = note.data,
    };
    if (hs->domain == AF_INET6)
        put_control(msg, room, SOL_IPV6, IPV6_RECVERR, &whole, sizeof whole);
    else
        put_control(msg, room, SOL_IP, IP_RECVERR, &whole,
                    sizeof whole.error + sizeof(struct sockaddr_in));
    msg->msg_flags |= MSG_ERRQUEUE | (note.cut ? MSG_TRUNC : 0);
    return 0;
}

/* ---- receiving ---------------------------------------------------------------------------------- */

static ptrdiff_t recv_pieces(struct weir_host *host, struct wr_hsock *hs, const struct msghdr *msg,
                             int flags)
{
    ptrdiff_t done = 0, rc = 0;
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        const struct iovec *iov = &msg->msg_iov[i];
        if (iov->iov_len == 0 && msg->msg_iovlen > 1)
            continue;
        rc = wr_hostsock_recv(host, hs, iov->iov_base, iov->iov_len, flags, NULL);
        done += rc > 0 ? rc : 0;
        if (rc < (ptrdiff_t)iov->iov_len)
            break;
        if (!(flags & MSG_WAITALL))
            flags |= MSG_DONTWAIT; /* there is something already */
    }
    return done > 0 ? done : rc;
}

/* A datagram, or a look at a stream. A datagram's length is asked for, so that MSG_TRUNC can be told. */
static ptrdiff_t recv_whole(struct weir_host *host, struct wr_hsock *hs, struct msghdr *msg,
                            size_t total, int flags)
{
    bool datagram = hs->type != SOCK_STREAM;
    size_t most = datagram && total > UINT16_MAX ? UINT16_MAX : total;
    struct weir_endpoint from;
    socklen_t name_len = msg->msg_namelen;
    uint8_t *whole = malloc(most > 0 ? most : 1);
    if (!whole)
        return WEIR_ENOBUFS;
    ptrdiff_t n = wr_hostsock_recv(host, hs, whole, most, datagram ? flags | MSG_TRUNC : flags,
                                   datagram ? &from : NULL);
    if (n >= 0) {
        size_t have = (size_t)n < most ? (size_t)n : most;
        scatter(msg->msg_iov, msg->msg_iovlen, whole, have);
        if (datagram && msg->msg_name) {
            wr_endpoint_to(hs->domain, &from, msg->msg_name, &name_len);
            msg->msg_namelen = name_len;
        }
        if (datagram && (size_t)n > have)
            msg->msg_flags |= MSG_TRUNC;
        if (datagram && !(flags & MSG_TRUNC))
            n = (ptrdiff_t)have;
    }
    free(whole);
    return n;
}

ssize_t weir_recvmsg(struct weir_host *host, int fd, struct msghdr *msg, int flags)
{
    struct wr_hsock *hs = wr_hostsock_enter(host, fd);
    if (!hs)
        return -1;
    ptrdiff_t total = total_of(msg->msg_iov, msg->msg_iovlen), rc = total;
    struct msghdr got = *msg; /* the caller's is changed when there is something to tell */
    got.msg_flags = 0;
    got.msg_controllen = 0;
    bool stream = hs->type == SOCK_STREAM;
    if (total >= 0 && (flags & MSG_ERRQUEUE))
        rc = recv_note(host, hs, &got, msg->msg_controllen);
    else if (total >= 0 && stream && (!(flags & MSG_PEEK) || msg->msg_iovlen == 1))
        rc = recv_pieces(host, hs, msg, flags);
    else if (total >= 0)
        rc = recv_whole(host, hs, &got, (size_t)total, flags);
    if (rc >= 0) {
        if (stream)
            got.msg_namelen = 0;
        if (!(flags & MSG_ERRQUEUE))
            put_inq(host, hs, &got, msg->msg_controllen);
        got.msg_flags |= flags & MSG_OOB;
        *msg = got;
    }
    wr_hostsock_leave(host, hs);
    return answer(rc);
}

/* ---- the simpler ones --------------------------------------------------------------------------- */

ssize_t weir_readv(struct weir_host *host, int fd, const struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
    return n < 0 || n > BUFFERS_MAX ? answer(WEIR_EINVAL) : weir_recvmsg(host, fd, &msg, 0);
}

ssize_t weir_writev(struct weir_host *host, int fd, const struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
    return n < 0 || n > BUFFERS_MAX ? answer(WEIR_EINVAL) : weir_sendmsg(host, fd, &msg, 0);
}

ssize_t weir_read(struct weir_host *host, int fd, void *data, size_t len)
{
    return weir_recv(host, fd, data, len, 0);
}

ssize_t weir_write(struct weir_host *host, int fd, const void *data, size_t len)
{
    return weir_send(host, fd, data, len, 0);
}

/* ---- select ------------------------------------------------------------------------------------- */

/* What poll() must be asked for each of the three sets, and what of its answer is a yes: Linux's. */
static const short asked[3] = {POLLRDNORM | POLLIN, POLLWRNORM | POLLOUT, POLLPRI};
static const short yes[3] = {POLLRDNORM | POLLIN | POLLHUP | POLLERR,
                             POLLWRNORM | POLLOUT | POLLERR, POLLPRI};

static nfds_t sets_to_polls(fd_set *const sets[3], int n, struct pollfd *fds)
{
    nfds_t count = 0;
    for (int fd = 0; fd < n; fd++) {
        short events = 0;
        for (unsigned i = 0; i < 3; i++)
            if (sets[i] && FD_ISSET(fd, sets[i]))
                events |= asked[i];
        if (events)
            fds[count++] = (struct pollfd){.fd = fd, .events = events};
    }
    return count;
}

/* Says in the sets what is ready, and how many bits that are; WEIR_EBADF leaves them alone. What stands
 * beyond `top` in its last word is cleared, too, as on Linux. */
static int polls_to_sets(fd_set *const sets[3], const struct pollfd *fds, nfds_t n, int top)
{
    int bits = 0;
    for (nfds_t k = 0; k < n; k++)
        if (fds[k].revents & POLLNVAL)
            return WEIR_EBADF;
    for (nfds_t k = 0; k < n; k++)
        for (unsigned i = 0; i < 3; i++) {
            if (!sets[i] || !FD_ISSET(fds[k].fd, sets[i]))
                continue;
            if (fds[k].revents & yes[i])
                bits++;
            else
                FD_CLR(fds[k].fd, sets[i]);
        }
    for (; top % NFDBITS != 0; top++)
        for (unsigned i = 0; i < 3; i++)
            if (sets[i])
                FD_CLR(top, sets[i]);
    return bits;
}

/* poll() counts in milliseconds: rounded up. -1: no limit; WEIR_EINVAL. */
static int timeout_ms(const struct timeval *timeout)
{
    if (!timeout)
        return -1;
    if (timeout->tv_sec < 0 || timeout->tv_usec < 0)
        return WEIR_EINVAL;
    if (timeout->tv_sec >= INT_MAX / 1000 - 1)
        return INT_MAX;
    weir_time us = timeout->tv_sec * 1000000 + timeout->tv_usec;
    return us > (weir_time)INT_MAX * 1000 ? INT_MAX : (int)((us + 999) / 1000);
}

int weir_select(struct weir_host *host, int n, fd_set *reads, fd_set *writes, fd_set *excepts,
                struct timeval *timeout)
{
    fd_set *const sets[3] = {reads, writes, excepts};
    struct pollfd fds[FD_SETSIZE];
    weir_time began = weir_now();
    int ms = timeout_ms(timeout);
    if (n < 0 || (timeout && ms < 0))
        return (int)answer(WEIR_EINVAL);
    int top = n < FD_SETSIZE ? n : FD_SETSIZE;
    nfds_t count = sets_to_polls(sets, top, fds);
    int rc = weir_poll(host, fds, count, ms);
    if (rc >= 0)
        rc = (int)answer(polls_to_sets(sets, fds, count, top));
    if (timeout) { /* what is left of it, as on Linux */
        weir_time left =
            timeout->tv_sec * WEIR_SEC + timeout->tv_usec * WEIR_US - (weir_now() - began);
        timeout->tv_sec = left > 0 ? left / WEIR_SEC : 0;
        timeout->tv_usec = left > 0 ? left % WEIR_SEC / WEIR_US : 0;
    }
    return rc;
}
