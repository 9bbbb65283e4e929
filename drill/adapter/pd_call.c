/* SPDX-License-Identifier: MIT */
/* Calls that make, join, ask and end sockets. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "drill/adapter/pd.h"

int wr_pd_number(void)
{
    int number = eventfd(0, EFD_CLOEXEC);
    if (number < DR_FDS)
        return number;
    syscall(SYS_close, number);
    errno = EMFILE;
    return -1;
}

ptrdiff_t wr_pd_answer(ptrdiff_t result)
{
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

/* ---- addresses ------------------------------------------------------------------------------- */

bool wr_pd_endpoint(const struct sockaddr *addr, socklen_t len, struct weir_endpoint *endpoint)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    if (!addr || len < sizeof addr->sa_family)
        return false;
    if (addr->sa_family == AF_INET && len >= sizeof in) {
        memcpy(&in, addr, sizeof in);
        endpoint->addr = weir_addr_from_v4_bytes((const uint8_t *)&in.sin_addr);
        endpoint->port = ntohs(in.sin_port);
        return true;
    }
    if (addr->sa_family == AF_INET6 && len >= 24) { /* RFC 2133's form lacks the scope */
        memset(&in6, 0, sizeof in6);
        memcpy(&in6, addr, len < sizeof in6 ? len : sizeof in6);
        endpoint->addr = weir_addr_from_v6_bytes(in6.sin6_addr.s6_addr);
        endpoint->port = ntohs(in6.sin6_port);
        return true;
    }
    return false;
}

void wr_pd_sockaddr(const struct weir_endpoint *endpoint, int domain, struct sockaddr *addr,
                    socklen_t *len)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
    if (!addr || !len)
        return;
    memcpy(&in.sin_addr, endpoint->addr.b + 12, 4);
    memcpy(&in6.sin6_addr, endpoint->addr.b, 16);
    const void *from = domain == AF_INET6 ? (const void *)&in6 : &in;
    socklen_t whole = domain == AF_INET6 ? sizeof in6 : sizeof in;
    memcpy(addr, from, *len < whole ? *len : whole);
    *len = whole;
}

/* ---- making and joining ---------------------------------------------------------------------- */

/* Gives a socket of the stack a number. */
static int adopt(struct pd *pd, weir_sock sock, int domain, int type, bool nonblocking)
{
    int number = wr_pd_number();
    if (number < 0) {
        weir_sock_close(pd->world.stack, sock, pd->world.now);
        return -EMFILE;
    }
    wr_dr_fd_socket(&pd->world.table, number, sock, domain, type, nonblocking);
    return number;
}

int wr_pd_socket(void *userdata, int domain, int type, int protocol)
{
    struct pd *pd = userdata;
    int plain = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    weir_sock sock;
    wr_pd_lock(pd);
    int rc = weir_sock_open(pd->world.stack, domain, plain, protocol, &sock);
    if (rc == 0)
        rc = adopt(pd, sock, domain, plain, (type & SOCK_NONBLOCK) != 0);
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc);
}

static struct dr_fd *find_socket(struct pd *pd, int number, int *error)
{
    struct dr_fd *fd = wr_dr_fd_find(&pd->world.table, number);
    *error = !fd ? WEIR_EBADF : fd->kind != DR_FD_SOCKET ? -ENOTSOCK : 0;
    return *error == 0 ? fd : NULL;
}

int wr_pd_bind(void *userdata, int number, const struct sockaddr *addr, socklen_t len)
{
    struct pd *pd = userdata;
    struct weir_endpoint local;
    int rc;
    wr_pd_lock(pd);
    const struct dr_fd *fd = find_socket(pd, number, &rc);
    if (fd && !wr_pd_endpoint(addr, len, &local))
        rc = addr ? WEIR_EINVAL : WEIR_EFAULT;
    if (rc == 0)
        rc = weir_sock_bind(pd->world.stack, fd->sock, &local);
    wr_pd_settle(pd);
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc);
}

int wr_pd_listen(void *userdata, int number, int backlog)
{
    struct pd *pd = userdata;
    int rc;
    wr_pd_lock(pd);
    const struct dr_fd *fd = find_socket(pd, number, &rc);
    if (fd)
        rc = weir_sock_listen(pd->world.stack, fd->sock, backlog, pd->world.now);
    wr_pd_settle(pd);
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc);
}

struct accepting {
    struct pd *pd;
    int number;
    struct weir_endpoint peer;
    int domain;
};

static ptrdiff_t attempt_accept(void *arg)
{
    struct accepting *a = arg;
    int rc;
    weir_sock conn;
    const struct dr_fd *fd = find_socket(a->pd, a->number, &rc);
    if (!fd)
        return rc;
    a->domain = fd->domain;
    rc = weir_sock_accept(a->pd->world.stack, fd->sock, &conn, &a->peer, a->pd->world.now);
    return rc < 0 ? rc : adopt(a->pd, conn, fd->domain, fd->type, false);
}

static bool blocks(struct pd *pd, int number, int flags)
{
    const struct dr_fd *fd = wr_dr_fd_find(&pd->world.table, number);
    return fd && !fd->nonblocking && !(flags & MSG_DONTWAIT);
}

int wr_pd_accept(void *userdata, int number, struct sockaddr *addr, socklen_t *len)
{
    struct pd *pd = userdata;
    struct accepting a = {.pd = pd, .number = number};
    wr_pd_lock(pd);
    ptrdiff_t rc = wr_pd_block(pd, blocks(pd, number, 0), attempt_accept, &a, WEIR_TIME_NEVER);
    if (rc >= 0)
        wr_pd_sockaddr(&a.peer, a.domain, addr, len);
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc);
}

struct connecting {
    struct pd *pd;
    int number;
    struct weir_endpoint remote;
    bool none, begun;
};

/* Begins, and from then on looks whether the socket can be written or has failed. */
static ptrdiff_t attempt_connect(void *arg)
{
    struct connecting *c = arg;
    struct weir_stack *stack = c->pd->world.stack;
    int rc, error = 0;
    size_t len = sizeof error;
    const struct dr_fd *fd = find_socket(c->pd, c->number, &rc);
    if (!fd)
        return rc;
    if (!c->begun) {
        c->begun = true;
        rc = weir_sock_connect(stack, fd->sock, c->none ? NULL : &c->remote, c->pd->world.now);
        return rc == WEIR_EINPROGRESS && !fd->nonblocking ? WEIR_EAGAIN : rc;
    }
    int ready = weir_sock_ready(stack, fd->sock);
    if (ready >= 0 && !(ready & (WEIR_POLLOUT | WEIR_POLLERR | WEIR_POLLHUP)))
        return WEIR_EAGAIN;
    rc =
        weir_sock_getsockopt(stack, fd->sock, SOL_SOCKET, SO_ERROR, &error, &len, c->pd->world.now);
    return rc < 0 ? rc : -error;
}

int wr_pd_connect(void *userdata, int number, const struct sockaddr *addr, socklen_t len)
{
    struct pd *pd = userdata;
    struct connecting c = {.pd = pd, .number = number};
    ptrdiff_t rc = WEIR_EINVAL;
    wr_pd_lock(pd);
    c.none = addr && len >= sizeof addr->sa_family && addr->sa_family == AF_UNSPEC;
    if (c.none || wr_pd_endpoint(addr, len, &c.remote))
        rc = wr_pd_block(pd, blocks(pd, number, 0), attempt_connect, &c, WEIR_TIME_NEVER);
    else if (!addr)
        rc = WEIR_EFAULT;
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc);
}

/* ---- ending ---------------------------------------------------------------------------------- */

int wr_pd_close(void *userdata, int number)
{
    struct pd *pd = userdata;
    wr_pd_lock(pd);
    int rc = wr_dr_fd_close(&pd->world.table, number, pd->world.now);
    if (rc != WEIR_EBADF)
        syscall(SYS_close, number);
    wr_pd_settle(pd);
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc);
}

int wr_pd_shutdown(void *userdata, int number, int how)
{
    struct pd *pd = userdata;
    int rc;
    wr_pd_lock(pd);
    const struct dr_fd *fd = find_socket(pd, number, &rc);
    if (fd)
        rc = weir_sock_shutdown(pd->world.stack, fd->sock, how, pd->world.now);
    wr_pd_settle(pd);
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc);
}

/* ---- options --------------------------------------------------------------------------------- */

/* SO_MEMINFO, nine numbers; of those a stack without packet buffers has the limits and the queues. */
static int get_meminfo(struct pd *pd, const struct dr_fd *fd, void *value, size_t *len)
{
    enum { RMEM, RCVBUF, WMEM, SNDBUF, FORWARD, QUEUED, OPTMEM, BACKLOG, DROPS, N };
    uint32_t info[N] = {0};
    int rcvbuf = 0, sndbuf = 0;
    size_t int_len = sizeof rcvbuf;
    weir_sock_getsockopt(pd->world.stack, fd->sock, SOL_SOCKET, SO_RCVBUF, &rcvbuf, &int_len,
                         pd->world.now);
    weir_sock_getsockopt(pd->world.stack, fd->sock, SOL_SOCKET, SO_SNDBUF, &sndbuf, &int_len,
                         pd->world.now);
    ptrdiff_t in = weir_sock_inq(pd->world.stack, fd->sock);
    ptrdiff_t out = weir_sock_outq(pd->world.stack, fd->sock);
    info[RMEM] = in > 0 ? (uint32_t)in : 0;
    info[RCVBUF] = (uint32_t)rcvbuf;
    info[WMEM] = info[QUEUED] = out > 0 ? (uint32_t)out : 0;
    info[SNDBUF] = (uint32_t)sndbuf;
    *len = *len < sizeof info ? *len : sizeof info;
    memcpy(value, info, *len);
    return 0;
}

static int get_option(struct pd *pd, const struct dr_fd *fd, int level, int option, void *value,
                      size_t *len)
{
    enum { SO_MEMINFO_NUMBER = 55, TCP_CC_INFO_NUMBER = 26 };
    if (level == SOL_SOCKET && option == SO_MEMINFO_NUMBER)
        return get_meminfo(pd, fd, value, len);
    int rc =
        weir_sock_getsockopt(pd->world.stack, fd->sock, level, option, value, len, pd->world.now);
    if (rc == WEIR_ENOPROTOOPT && level == IPPROTO_TCP && option == TCP_CC_INFO_NUMBER) {
        *len = 0; /* Linux: of an algorithm that has nothing to tell */
        return 0;
    }
    return rc;
}

int wr_pd_getsockopt(void *userdata, int number, int level, int option, void *value, socklen_t *len)
{
    struct pd *pd = userdata;
    int rc;
    wr_pd_lock(pd);
    const struct dr_fd *fd = find_socket(pd, number, &rc);
    if (fd && (!len || !value))
        rc = WEIR_EFAULT;
    else if (fd && (int)*len < 0)
        rc = WEIR_EINVAL;
    if (rc == 0) {
        size_t room = *len;
        rc = get_option(pd, fd, level, option, value, &room);
        if (rc == 0)
            *len = (socklen_t)room;
    }
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc);
}

int wr_pd_setsockopt(void *userdata, int number, int level, int option, const void *value,
                     socklen_t len)
{
    struct pd *pd = userdata;
    int rc;
    wr_pd_lock(pd);
    const struct dr_fd *fd = find_socket(pd, number, &rc);
    if (fd && (int)len < 0)
        rc = WEIR_EINVAL;
    else if (fd && !value && len > 0)
        rc = WEIR_EFAULT;
    else if (fd)
        rc = weir_sock_setsockopt(pd->world.stack, fd->sock, level, option, value, len,
                                  pd->world.now);
    wr_pd_settle(pd);
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc);
}

/* ---- fcntl, ioctl ---------------------------------------------------------------------------- */

int wr_pd_fcntl(void *userdata, int number, int command, ...)
{
    struct pd *pd = userdata;
    va_list args;
    va_start(args, command);
    long flags = command == F_SETFL || command == F_SETFD ? va_arg(args, long) : 0;
    va_end(args);
    ptrdiff_t rc = 0;
    wr_pd_lock(pd);
    struct dr_fd *fd = wr_dr_fd_find(&pd->world.table, number);
    if (!fd)
        rc = WEIR_EBADF;
    else if (command == F_GETFL)
        rc = O_RDWR | (fd->nonblocking ? O_NONBLOCK : 0);
    else if (command == F_SETFL)
        fd->nonblocking = (flags & O_NONBLOCK) != 0;
    else if (command != F_GETFD && command != F_SETFD)
        rc = WEIR_EINVAL;
    wr_pd_unlock(pd);
    return (int)wr_pd_answer(rc);
}

static ptrdiff_t ask_queue(const struct pd *pd, const struct dr_fd *fd, unsigned long request)
{
    switch (request) {
    case SIOCINQ:
        return weir_sock_inq(pd->world.stack, fd->sock);
    case SIOCOUTQ:
        return weir_sock_outq(pd->world.stack, fd->sock);
    case SIOCATMARK:
        return weir_sock_atmark(pd->world.stack, fd->sock);
    default:
        return -ENOTTY;
    }
}

int wr_pd_ioctl(void *userdata, int number, unsigned long request, ...)
{
    struct pd *pd = userdata;
    va_list args;
    va_start(args, request);
    int *value = va_arg(args, int *);
    va_end(args);
    int error;
    wr_pd_lock(pd);
    struct dr_fd *fd = find_socket(pd, number, &error);
    ptrdiff_t rc = error;
    if (fd && !value) {
        rc = WEIR_EFAULT;
    } else if (fd && request == FIONBIO) {
        fd->nonblocking = *value != 0;
    } else if (fd) {
        rc = ask_queue(pd, fd, request);
        if (rc >= 0)
            *value = (int)rc;
    }
    wr_pd_unlock(pd);
    return rc < 0 ? (int)wr_pd_answer(rc) : 0;
}
