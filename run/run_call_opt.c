/* SPDX-License-Identifier: MIT */
/*
 * setsockopt(), getsockopt(), ioctl(): Weir's socket answers. The kernel keeps what it needs for reading
 * and writing the pair: the time-outs and SO_RCVLOWAT.
 *
 * SO_ERROR of a connection that failed: whether the program has read the error already, the pair itself
 * knows (reading ECONNRESET clears it there), which error it was, the record knows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <weir/info.h>

#include "run/run_int.h"

enum { OPTION_MAX = 4096 };

#ifndef SO_RCVTIMEO_NEW
#    define SO_RCVTIMEO_NEW 66
#    define SO_SNDTIMEO_NEW 67
#endif
#ifndef SO_RCVTIMEO_OLD
#    define SO_RCVTIMEO_OLD 20
#    define SO_SNDTIMEO_OLD 21
#endif

/* Options of blocking, of peeking and of urgent bytes: the pair's. */
static bool is_kernels(int level, int option)
{
    if (level != SOL_SOCKET)
        return false;
    return option == SO_RCVTIMEO_OLD || option == SO_SNDTIMEO_OLD || option == SO_RCVTIMEO_NEW ||
           option == SO_SNDTIMEO_NEW || option == SO_PEEK_OFF || option == SO_OOBINLINE;
}

/* Options that say something through recvmsg(), which the program reads from the pair and not from
 * Weir. */
static bool needs_messages(int level, int option)
{
    if (level == SOL_SOCKET)
        return option == WEIR_SO_ZEROCOPY || option == WEIR_SO_TIMESTAMPING;
    return level == WEIR_SOL_TCP && option == WEIR_TCP_INQ;
}

bool wr_run_call_stand_in(struct run_call *call)
{
    struct run_sock *rs = call->rs;
    return rs->sock || weir_sock_open(call->stack, rs->domain, WEIR_SOCK_STREAM, 0, &rs->sock) == 0;
}

/* Whether Weir has a socket to ask, after what the program wrote before is with it. */
static bool ask_weir(struct run_call *call)
{
    return wr_run_pump_up(call->rs) || wr_run_call_stand_in(call);
}

/* Linux tells that it knows nothing of a level before it looks at the value. */
static bool is_level(const struct run_sock *rs, int level)
{
    return level == SOL_SOCKET || level == IPPROTO_TCP || level == IPPROTO_IP ||
           (level == IPPROTO_IPV6 && rs->domain == AF_INET6);
}

int64_t wr_run_call_setsockopt(struct run_call *call)
{
    const struct seccomp_data *data = &call->req->data;
    struct run_sock *rs = call->rs;
    int level = (int)data->args[1], option = (int)data->args[2], len = (int)data->args[4];
    uint8_t value[OPTION_MAX];
    if (is_kernels(level, option)) {
        rs->tuned = true;
        return RUN_CONTINUE;
    }
    if (len < 0)
        return -EINVAL;
    if (needs_messages(level, option))
        return -ENOPROTOOPT;
    size_t size = (size_t)len < sizeof value ? (size_t)len : sizeof value;
    int err = 0;
    memset(value, 0, sizeof(int));
    if (is_level(rs, level) && (data->args[3] || level != IPPROTO_IPV6)) /* there NULL is a 0 */
        err = wr_run_mem_read(call, data->args[3], value, size);
    if (err)
        return err;
    if (!ask_weir(call))
        return -ENOBUFS;
    err = weir_sock_setsockopt(call->stack, rs->sock, level, option, value, size, weir_now());
    if (!err && level == SOL_SOCKET && option == SO_RCVLOWAT) {
        rs->tuned = true;
        return RUN_CONTINUE;
    }
    return err;
}

/* Copies a value out as Linux does: no more than the caller has room for, and says how much it was. */
static int64_t option_out(struct run_call *call, const void *value, size_t size, size_t room)
{
    const struct seccomp_data *data = &call->req->data;
    size_t len = size < room ? size : room;
    return wr_run_mem_write_value(call, data->args[3], value, len, data->args[4], (int)len);
}

int wr_run_call_error(struct run_call *call)
{
    struct run_sock *rs = call->rs;
    int pending = 0;
    socklen_t len = sizeof pending;
    if (rs->state != RUN_DEAD) {
        int error = wr_run_sock_error(rs);
        if (error && rs->state == RUN_OPEN)
            rs->error = error;
        return error;
    }
    if (getsockopt(call->dup, SOL_SOCKET, SO_ERROR, &pending, &len) < 0 || pending == 0)
        return 0;
    return rs->error ? rs->error : pending;
}

int64_t wr_run_call_getsockopt(struct run_call *call)
{
    const struct seccomp_data *data = &call->req->data;
    struct run_sock *rs = call->rs;
    int level = (int)data->args[1], option = (int)data->args[2], room = 0, number = 0;
    uint8_t value[OPTION_MAX];
    if (is_kernels(level, option) || (level == SOL_SOCKET && option == SO_BINDTODEVICE))
        return RUN_CONTINUE; /* no device can be bound to: the pair has none, too */
    int err = is_level(rs, level) ? wr_run_mem_read(call, data->args[4], &room, sizeof room) : 0;
    if (err)
        return err;
    if (room < 0 && level == IPPROTO_IPV6)
        room = sizeof number; /* Linux takes it for a large one */
    if (room < 0)
        return -EINVAL;
    if (level == SOL_SOCKET && option == SO_ERROR) {
        number = wr_run_call_error(call);
        return option_out(call, &number, sizeof number, (size_t)room);
    }
    if (!ask_weir(call))
        return -ENOBUFS;
    size_t size = (size_t)room < sizeof value ? (size_t)room : sizeof value;
    err = weir_sock_getsockopt(call->stack, rs->sock, level, option, value, &size, weir_now());
    return err ? err : option_out(call, value, size, (size_t)room);
}

/* A read of the error queue (MSG_ERRQUEUE). Nothing that would fill it can be asked for, so it is empty; and it
 * never waits (Linux). */
static int64_t read_error_queue(void)
{
    return -EAGAIN;
}

/* recvfrom(MSG_TRUNC) throws bytes of a stream away, which a pair does not do. */
static int64_t throw_away(struct run_call *call, uint64_t len, int flags)
{
    struct run_sock *rs = call->rs;
    size_t size = len < RUN_SCRATCH_BYTES ? (size_t)len : RUN_SCRATCH_BYTES;
    if (rs->state == RUN_FRESH || rs->state == RUN_LISTEN)
        return -ENOTCONN;
    ssize_t n = recv(call->dup, call->run->scratch, size, (flags & MSG_PEEK) | MSG_DONTWAIT);
    if (n >= 0)
        return n;
    if (errno == EAGAIN && !(flags & MSG_DONTWAIT) && !wr_run_fd_nonblock(call->dup))
        return wr_run_park(call, wr_run_fd_deadline(call->dup, SO_RCVTIMEO), EAGAIN);
    return -errno;
}

static int64_t recvfrom_truncated(struct run_call *call, int flags)
{
    const struct seccomp_data *data = &call->req->data;
    int64_t n = throw_away(call, data->args[2], flags);
    const int none = 0;
    if (n >= 0 && data->args[5] && wr_run_mem_write(call, data->args[5], &none, sizeof none))
        return -EFAULT;
    return n;
}

/* Nothing but the count is told: no address, no control message. */
static int64_t recvmsg_truncated(struct run_call *call, int flags)
{
    uint64_t at = call->req->data.args[1], len;
    struct iovec *pieces;
    struct msghdr head;
    int err = wr_run_mem_message(call, at, &head, &pieces, &len);
    if (err)
        return err;
    free(pieces);
    int64_t n = throw_away(call, len, flags);
    if (n < 0)
        return n;
    if (head.msg_name)
        head.msg_namelen = 0;
    head.msg_controllen = 0;
    head.msg_flags = flags & MSG_CMSG_CLOEXEC;
    return wr_run_mem_write(call, at, &head, sizeof head) ? -EFAULT : n;
}

int64_t wr_run_call_recv(struct run_call *call)
{
    const struct seccomp_data *data = &call->req->data;
    int nr = data->nr, flags = (int)data->args[nr == SYS_recvmsg ? 2 : 3];
    if (flags & MSG_ERRQUEUE)
        return read_error_queue();
    if (nr == SYS_recvmmsg || (flags & MSG_OOB))
        return RUN_CONTINUE;
    return nr == SYS_recvmsg ? recvmsg_truncated(call, flags) : recvfrom_truncated(call, flags);
}

/* SIOCOUTQ: what the peer has not acknowledged, and what waits before Weir. */
int64_t wr_run_call_ioctl(struct run_call *call)
{
    struct run_sock *rs = call->rs;
    int waiting = 0;
    if (rs->state == RUN_LISTEN)
        return -EINVAL;
    if (wr_run_pump_up(rs) && rs->state == RUN_OPEN) {
        ptrdiff_t queued = weir_sock_outq(call->stack, rs->sock);
        waiting = (int)((queued > 0 ? queued : 0) + (ptrdiff_t)rs->hold_len);
    }
    return wr_run_mem_write(call, call->req->data.args[2], &waiting, sizeof waiting);
}
