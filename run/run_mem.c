/* SPDX-License-Identifier: MIT */
/*
 * The caller's memory, and socket addresses in it. Once the caller was killed its id may be another process's,
 * and what was read is not the caller's. So after reads, and before every write, the notification is asked
 * whether it still stands. What is read before the descriptor is fetched needs no such call by itself: fetching it by
 * a pidfd shows that the caller's process lived until then (run_fd.c).
 */
#define _GNU_SOURCE /* process_vm_readv */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "run/run_int.h"

static ssize_t read_now(const struct run_call *call, uint64_t from, void *to, size_t len)
{
    struct iovec local = {to, len};
    struct iovec remote = {(void *)(uintptr_t)from, len};
    return len ? process_vm_readv((pid_t)call->req->pid, &local, 1, &remote, 1, 0) : 0;
}

void wr_run_mem_early(struct run_call *call, uint64_t from, size_t len)
{
    call->early_at = from;
    call->early_len = 0;
    if (len <= sizeof call->early && read_now(call, from, call->early, len) == (ssize_t)len)
        call->early_len = len;
}

int wr_run_mem_read(const struct run_call *call, uint64_t from, void *to, size_t len)
{
    if (len > 0 && len <= call->early_len && from == call->early_at) {
        memcpy(to, call->early, len);
        return 0;
    }
    ssize_t n = read_now(call, from, to, len);
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

int wr_run_mem_write_value(const struct run_call *call, uint64_t to, const void *from, size_t len,
                           uint64_t to_len, int told_len)
{
    struct iovec local[2] = {{(void *)(uintptr_t)from, len}, {&told_len, sizeof told_len}};
    struct iovec remote[2] = {{(void *)(uintptr_t)to, len},
                              {(void *)(uintptr_t)to_len, sizeof told_len}};
    if (!wr_run_call_alive(call->program->listener_fd, call->req->id))
        return WEIR_ENOENT;
    ssize_t n = process_vm_writev((pid_t)call->req->pid, local, 2, remote, 2, 0);
    return n == (ssize_t)(len + sizeof told_len) ? 0 : WEIR_EFAULT;
}

/* The kernel takes no more at once. */
#define BYTES_MAX ((uint64_t)(INT_MAX & ~4095))

/* Lengths and addresses that no process has; the sum is cut to what the kernel takes. */
static int check_pieces(struct iovec *pieces, size_t n, uint64_t *len)
{
    *len = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t at = (uint64_t)(uintptr_t)pieces[i].iov_base, size = pieces[i].iov_len;
        if (size > INT64_MAX)
            return WEIR_EINVAL;
        if (at > INT64_MAX || size > INT64_MAX - at)
            return WEIR_EFAULT;
        if (size > BYTES_MAX - *len)
            pieces[i].iov_len = size = BYTES_MAX - *len;
        *len += size;
    }
    return 0;
}

int wr_run_mem_message(const struct run_call *call, uint64_t from, struct msghdr *head,
                       struct iovec **pieces, uint64_t *len)
{
    int err = wr_run_mem_read(call, from, head, sizeof *head);
    if (err)
        return err;
    if ((int)head->msg_namelen < 0)
        return WEIR_EINVAL;
    if (head->msg_namelen > sizeof(struct sockaddr_storage))
        head->msg_namelen = sizeof(struct sockaddr_storage);
    if (head->msg_iovlen > UIO_MAXIOV)
        return WEIR_EMSGSIZE;
    *pieces = calloc(head->msg_iovlen + 1, sizeof **pieces);
    if (!*pieces)
        return WEIR_ENOMEM;
    err = wr_run_mem_read(call, (uint64_t)(uintptr_t)head->msg_iov, *pieces,
                          head->msg_iovlen * sizeof **pieces);
    if (!err)
        err = check_pieces(*pieces, head->msg_iovlen, len);
    if (err)
        free(*pieces);
    return err;
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
    return wr_run_mem_write_value(call, addr, &to, (size_t)room, len_addr, (int)whole);
}
