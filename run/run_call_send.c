/* SPDX-License-Identifier: MIT */
/*
 * sendto(), sendmsg() and sendmmsg() on a stream, where the pair would not do as TCP does: with an address, with MSG_FASTOPEN,
 * with MSG_MORE. The supervisor writes for the program. A call that must wait is served again when there is room.
 *
 * A message is a list of pieces of the caller's memory; that of sendto() has one. It is read anew each time that the
 * call is served. Control messages say nothing to TCP that Weir knows of, and are not looked at.
 */
#define _GNU_SOURCE /* struct mmsghdr */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "run/run_int.h"

struct message {
    uint64_t name; /* 0: none */
    uint64_t name_len;
    struct iovec *pieces; /* of the caller's memory */
    size_t n_pieces;
    uint64_t len; /* of all of them */
    int flags;
};

static int64_t broken_pipe(const struct run_call *call, int flags)
{
    if (!(flags & MSG_NOSIGNAL))
        (void)syscall(SYS_tkill, call->req->pid, SIGPIPE);
    return -EPIPE;
}

/* Memory that no process has: Linux looks for this first. */
static bool beyond_memory(uint64_t from, uint64_t len)
{
    return from > INT64_MAX || len > INT64_MAX - from;
}

/* Reads what comes after the first `at` bytes of the message: `cap` bytes, or all that there is, or up to memory that
 * cannot be read. Bytes, or a negative error if there are none. */
static ssize_t gather(const struct run_call *call, const struct message *message, uint64_t at,
                      size_t cap)
{
    uint8_t *to = call->run->scratch;
    size_t got = 0;
    for (size_t i = 0; i < message->n_pieces && got < cap; i++) {
        const struct iovec *piece = &message->pieces[i];
        if (at >= piece->iov_len) {
            at -= piece->iov_len;
            continue;
        }
        size_t size = piece->iov_len - at < cap - got ? piece->iov_len - at : cap - got;
        int err = wr_run_mem_read(call, (uint64_t)(uintptr_t)piece->iov_base + at, to + got, size);
        if (err)
            return got > 0 ? (ssize_t)got : err;
        got += size;
        at = 0;
    }
    return (ssize_t)got;
}

static size_t at_once(uint64_t len)
{
    return len < RUN_SCRATCH_BYTES ? (size_t)len : RUN_SCRATCH_BYTES;
}

/* Sends on what fits now. 1: all is sent; 0: the pair is full; or a negative error. */
static int64_t send_rest(struct run_call *call, const struct message *message)
{
    while (call->done < message->len) {
        ssize_t size = gather(call, message, call->done, at_once(message->len - call->done));
        if (size < 0)
            return size;
        ssize_t n = send(call->dup, call->run->scratch, (size_t)size,
                         (message->flags & ~MSG_FASTOPEN) | MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        call->done += (uint64_t)n;
    }
    return 1;
}

/* MSG_MORE holds back what does not fill a segment, which is Weir's to do: a pair knows nothing of it. So the
 * bytes go there at once, unless others wait before them. */
static int send_more(struct run_call *call, const struct message *message)
{
    struct run_sock *rs = call->rs;
    if (!wr_run_pump_up(rs) || rs->stalled || rs->hold_len > 0)
        return 0;
    ssize_t size = gather(call, message, 0, at_once(message->len));
    if (size < 0)
        return (int)size;
    ptrdiff_t n = weir_sock_send(call->stack, rs->sock, call->run->scratch, (size_t)size,
                                 WEIR_MSG_MORE | WEIR_MSG_NOSIGNAL, NULL, weir_now());
    call->done = n > 0 ? (uint64_t)n : 0;
    return 0;
}

/* MSG_FASTOPEN. With a cookie data leaves with the SYN; without one it is a connect(), and a caller that blocks
 * is served again when that has succeeded. 0: it goes on as any send. */
static int64_t send_fast(struct run_call *call, const struct message *message,
                         const struct sockaddr_storage *to)
{
    struct run_sock *rs = call->rs;
    bool again = call->deadline != 0;
    if (rs->state == RUN_CONNECTING)
        return wr_run_connect_wait(call, -EALREADY);
    if (rs->state == RUN_OPEN && !again && !rs->connect_news)
        return -EISCONN;
    rs->connect_news = false;
    if (rs->state != RUN_FRESH)
        return 0;
    int err = message->name ? wr_run_mem_endpoint(rs->domain, to, message->name_len, &rs->target)
                            : WEIR_EINVAL;
    if (err)
        return err;
    ssize_t size = gather(call, message, 0, at_once(message->len));
    if (size < 0)
        return size;
    wr_run_park_reap(call->run, rs->target.port);
    ptrdiff_t n = weir_sock_send(call->stack, rs->sock, call->run->scratch, (size_t)size,
                                 WEIR_MSG_FASTOPEN, &rs->target, weir_now());
    if (n < 0 && n != WEIR_EINPROGRESS)
        return n;
    call->done = n > 0 ? (uint64_t)n : 0;
    int64_t value = wr_run_connect_follow(call);
    return n > 0 && value == -EINPROGRESS ? n : value;
}

static int64_t send_message(struct run_call *call, const struct message *message)
{
    struct run_sock *rs = call->rs;
    struct sockaddr_storage to;
    int flags = message->flags;
    int err = message->name ? wr_run_mem_addr_in(call, message->name, message->name_len, &to) : 0;
    if (err)
        return err;
    int64_t fast = flags & MSG_FASTOPEN ? send_fast(call, message, &to) : 0;
    if (fast != 0)
        return fast;
    if (call->done > 0 && (rs->state != RUN_OPEN || rs->shut_wr))
        return (int64_t)call->done;
    if (rs->state == RUN_DEAD && (err = wr_run_call_error(call)))
        return -err;
    if (rs->state != RUN_OPEN || rs->shut_wr)
        return broken_pipe(call, flags);
    if ((flags & MSG_MORE) && call->done == 0 && (err = send_more(call, message)))
        return err;
    int64_t sent = send_rest(call, message);
    if (sent == 0 && !(flags & MSG_DONTWAIT) && !wr_run_fd_nonblock(call->dup))
        return wr_run_park(call, wr_run_fd_deadline(call->dup, SO_SNDTIMEO), EAGAIN);
    if (call->done > 0 || sent == 1)
        return (int64_t)call->done;
    return sent == -EPIPE ? broken_pipe(call, flags) : sent == 0 ? -EAGAIN : sent;
}

/* TCP takes no notice of an address, but the pair would say EISCONN. */
int64_t wr_run_call_sendto(struct run_call *call)
{
    const __u64 *args = call->req->data.args;
    struct iovec piece = {(void *)(uintptr_t)args[1], (size_t)args[2]};
    struct message message = {.name = args[4],
                              .name_len = args[5],
                              .pieces = &piece,
                              .n_pieces = 1,
                              .len = args[2],
                              .flags = (int)args[3]};
    if (beyond_memory(args[1], args[2]))
        return -EFAULT;
    return send_message(call, &message);
}

/* Sends the message whose head is at `at` of the caller's memory. *whole: all of it. */
static int64_t send_at(struct run_call *call, uint64_t at, int flags, bool *whole)
{
    struct iovec *pieces = NULL;
    struct msghdr head;
    uint64_t len;
    int err = wr_run_mem_message(call, at, &head, &pieces, &len);
    if (err)
        return err;
    struct message message = {.name = (uint64_t)(uintptr_t)head.msg_name,
                              .name_len = head.msg_namelen,
                              .pieces = pieces,
                              .n_pieces = head.msg_iovlen,
                              .len = len,
                              .flags = flags};
    if (head.msg_namelen == 0)
        message.name = 0;
    int64_t value = send_message(call, &message);
    free(pieces);
    *whole = value == (int64_t)len;
    return value;
}

int64_t wr_run_call_sendmsg(struct run_call *call)
{
    const __u64 *args = call->req->data.args;
    bool whole;
    return send_at(call, args[1], (int)args[2], &whole);
}

/* One message after the other, until one is not sent whole. When that one waits its length is written as it is so far, for
 * it is what counts if no more comes to pass. */
int64_t wr_run_call_sendmmsg(struct run_call *call)
{
    const __u64 *args = call->req->data.args;
    uint32_t most = (uint32_t)args[2] < UIO_MAXIOV ? (uint32_t)args[2] : UIO_MAXIOV;
    int64_t value = 0;
    bool whole = true;
    call->counts = true;
    while (call->messages < most && whole) {
        uint64_t at = args[1] + call->messages * sizeof(struct mmsghdr);
        value = send_at(call, at, (int)args[3], &whole);
        if (value < 0 && value != RUN_PARKED)
            break;
        unsigned len = (unsigned)(value == RUN_PARKED ? (int64_t)call->done : value);
        at += offsetof(struct mmsghdr, msg_len);
        int err = wr_run_mem_write(call, at, &len, sizeof len);
        if (value == RUN_PARKED)
            return value;
        if (err) {
            value = -EFAULT;
            break;
        }
        call->messages++;
        call->done = 0;
        call->deadline = 0;
    }
    return call->messages > 0 ? (int64_t)call->messages : value;
}
