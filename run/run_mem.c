/* SPDX-License-Identifier: MIT */
/*
 * The caller's memory, and socket addresses in it. After every read, and before every write, the
 * notification is asked whether it still stands: if the caller was killed its id may be another
 * process's by now, and what was read is not the caller's.
 */
#define _GNU_SOURCE /* process_vm_readv */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "run/run_int.h"

int wr_run_mem_read(const struct run_call *call, uint64_t from, void *to, size_t len)
{
    struct iovec local = {to, len};
    struct iovec remote = {(void *)(uintptr_t)from, len};
    ssize_t n = len ? process_vm_readv((pid_t)call->req->pid, &local, 1, &remote, 1, 0) : 0;
    if (!wr_run_call_alive(call->program->listener_fd, call->req->id))
        return WEIR_ENOENT;
    return n == (ssize_t)len ? 0 : WEIR_EFAULT;
}

int wr_run_mem_write(const struct run_call *call, uint64_t to, const void *from, size_t len)
{
    struct iovec local = {(void *)(uintptr_t)from, len};
    struct iovec remote = {(void *)(uintptr_t)to, len};
    if (!wr_run_call_alive(call->program->listener_fd, call->req->id))
        return WEIR_ENOENT;
    ssize_t n = len ? process_vm_writev((pid_t)call->req->pid, &local, 1, &remote, 1, 0) : 0;
    return n == (ssize_t)len ? 0 : WEIR_EFAULT;
}

static int endpoint_of_in(const struct sockaddr_in *in, struct weir_endpoint *endpoint)
{
    endpoint->addr = weir_addr_from_v4_bytes((const uint8_t *)&in->sin_addr);
    endpoint->port = ntohs(in->sin_port);
    return 0;
}

static int endpoint_of_in6(const struct sockaddr_in6 *in6, struct weir_endpoint *endpoint)
{
    endpoint->addr = weir_addr_from_v6_bytes(in6->sin6_addr.s6_addr);
    endpoint->port = ntohs(in6->sin6_port);
    return 0;
}

int wr_run_mem_addr_in(const struct run_call *call, uint64_t addr, uint64_t len,
                       struct sockaddr_storage *from)
{
    int length = (int)len;
    memset(from, 0, sizeof *from);
    if (length < 0 || (size_t)length > sizeof *from)
        return WEIR_EINVAL;
    return wr_run_mem_read(call, addr, from, (size_t)length);
}

int wr_run_mem_endpoint(int domain, const struct sockaddr_storage *from, uint64_t len,
                        struct weir_endpoint *endpoint)
{
    if (domain == AF_INET6) {
        if ((int)len < 24) /* Linux's SIN6_LEN_RFC2133: without the scope */
            return WEIR_EINVAL;
        if (from->ss_family != AF_INET6)
            return WEIR_EAFNOSUPPORT;
        return endpoint_of_in6((const struct sockaddr_in6 *)from, endpoint);
    }
    if ((int)len < (int)sizeof(struct sockaddr_in))
        return WEIR_EINVAL;
    /* Old programs bind to AF_UNSPEC and 0.0.0.0. */
    endpoint_of_in((const struct sockaddr_in *)from, endpoint);
    if (from->ss_family == AF_INET ||
        (from->ss_family == AF_UNSPEC && weir_addr_is_any(&endpoint->addr)))
        return 0;
    return WEIR_EAFNOSUPPORT;
}

static socklen_t addr_fill(int domain, const struct weir_endpoint *endpoint,
                           struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    if (domain == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)to;
        in->sin_family = AF_INET;
        in->sin_port = htons(endpoint->port);
        memcpy(&in->sin_addr, endpoint->addr.b + 12, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(endpoint->port);
    memcpy(&in6->sin6_addr, endpoint->addr.b, 16);
    return sizeof *in6;
}

int wr_run_mem_addr_out(const struct run_call *call, int domain,
                        const struct weir_endpoint *endpoint, uint64_t addr, uint64_t len_addr)
{
    struct sockaddr_storage to;
    socklen_t whole = addr_fill(domain, endpoint, &to);
    int room = 0;
    int err = wr_run_mem_read(call, len_addr, &room, sizeof room);
    if (err)
        return err;
    if (room < 0)
        return WEIR_EINVAL;
    if ((socklen_t)room > whole)
        room = (int)whole;
    /* The read has just seen that the caller is still there. */
    struct iovec local[2] = {{&to, (size_t)room}, {&whole, sizeof whole}};
    struct iovec remote[2] = {{(void *)(uintptr_t)addr, (size_t)room},
                              {(void *)(uintptr_t)len_addr, sizeof whole}};
    ssize_t n = process_vm_writev((pid_t)call->req->pid, local, 2, remote, 2, 0);
    return n == (ssize_t)((size_t)room + sizeof whole) ? 0 : WEIR_EFAULT;
}
