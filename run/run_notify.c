/* SPDX-License-Identifier: MIT */
/*
 * Receives the calls that the filter notifies, finds the socket they are about, has the call's function
 * work it out, and answers. One is served at a time, to its end, in the loop's thread; calls that must
 * wait are parked (run_park.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/run_int.h"

bool wr_run_answer(int listener_fd, uint64_t id, int64_t value)
{
    struct seccomp_notif_resp resp = {.id = id};
    if (value == RUN_CONTINUE)
        resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    else if (value < 0)
        resp.error = (int32_t)value;
    else
        resp.val = value;
    return ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_SEND, &resp) == 0;
}

int wr_run_answer_fd(int listener_fd, uint64_t id, int fd, bool cloexec)
{
    struct seccomp_notif_addfd add = {.id = id,
                                      .flags = SECCOMP_ADDFD_FLAG_SEND,
                                      .srcfd = (uint32_t)fd,
                                      .newfd_flags = cloexec ? O_CLOEXEC : 0};
    int got;
    do
        got = ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : 0;
}

bool wr_run_call_alive(int listener_fd, uint64_t id)
{
    return ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

typedef int64_t call_fn(struct run_call *call);

static call_fn *function_of(int nr)
{
    switch (nr) {
    case SYS_bind:
        return wr_run_call_bind;
    case SYS_connect:
        return wr_run_call_connect;
    case SYS_listen:
        return wr_run_call_listen;
    case SYS_accept:
    case SYS_accept4:
        return wr_run_call_accept;
    case SYS_getsockname:
        return wr_run_call_getsockname;
    case SYS_getpeername:
        return wr_run_call_getpeername;
    case SYS_setsockopt:
        return wr_run_call_setsockopt;
    case SYS_getsockopt:
        return wr_run_call_getsockopt;
    case SYS_shutdown:
        return wr_run_call_shutdown;
    case SYS_sendto:
        return wr_run_call_sendto;
    case SYS_sendmsg:
        return wr_run_call_sendmsg;
    case SYS_sendmmsg:
        return wr_run_call_sendmmsg;
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_recvmmsg:
        return wr_run_call_recv;
    case SYS_ioctl:
        return wr_run_call_ioctl;
    default:
        return NULL;
    }
}

/* Reads what the call's function will read first. */
static void read_early(struct run_call *call)
{
    const __u64 *args = call->req->data.args;
    switch (call->req->data.nr) {
    case SYS_bind:
    case SYS_connect:
        wr_run_mem_early(call, args[1], (size_t)(uint32_t)args[2]);
        break;
    case SYS_accept:
    case SYS_accept4:
        if (!args[1])
            break;
        wr_run_mem_early(call, args[2], sizeof(int));
        break;
    case SYS_getsockname:
    case SYS_getpeername:
        wr_run_mem_early(call, args[2], sizeof(int));
        break;
    case SYS_setsockopt:
        wr_run_mem_early(call, args[3], (size_t)(uint32_t)args[4]);
        break;
    case SYS_getsockopt:
        wr_run_mem_early(call, args[4], sizeof(int));
        break;
    default:
        break;
    }
}

/* Calls that change something by what stands in the caller's memory: it must be the memory of the program that called.
 * Of the others only a length is read early, and they ask before they write. */
static bool acts_on_memory(int nr)
{
    return nr == SYS_bind || nr == SYS_connect || nr == SYS_setsockopt;
}

/* Fetches the descriptor. False: the caller is gone. */
static bool fetch(struct run_call *call)
{
    bool known = false;
    if (call->dup < 0) {
        read_early(call);
        call->dup =
            wr_run_fd_get(call->run, (pid_t)call->req->pid, (int)call->req->data.args[0], &known);
    }
    return (known && !acts_on_memory(call->req->data.nr)) ||
           wr_run_call_alive(call->program->listener_fd, call->req->id);
}

/* Serves a call on a descriptor. What is not ours is the kernel's, errors of the descriptor included. */
static int64_t serve_on_descriptor(struct run_call *call, call_fn *fn)
{
    int64_t value = RUN_CONTINUE;
    bool alive = fetch(call);
    if (call->dup == -EMFILE || call->dup == -ENFILE || call->dup == -ENOMEM)
        return -ENOBUFS; /* the supervisor's trouble: the kernel must not answer for the pair */
    if (call->dup < 0)
        return RUN_CONTINUE;
    ino_t ino = wr_run_fd_inode(call->dup);
    call->rs = ino ? wr_run_sock_find(call->run, ino) : NULL;
    if (call->rs && alive) {
        call->stack = weir_host_lock(call->rs->program->host);
        value = fn(call);
        weir_host_unlock(call->rs->program->host);
    }
    if (call->dup >= 0)
        close(call->dup);
    return value;
}

static bool is_open(int nr)
{
#ifdef SYS_open
    if (nr == SYS_open)
        return true;
#endif
    return nr == SYS_openat;
}

void wr_run_notify_serve(struct weir_program *program, struct seccomp_notif *req,
                         const struct run_park *park)
{
    struct run_call call = {.run = program->run, .program = program, .req = req, .dup = -1};
    int64_t value = RUN_CONTINUE;
    if (park) {
        call.dup = park->dup;
        call.deadline = park->deadline;
        call.done = park->done;
        call.messages = park->messages;
    }
    if (is_open(req->data.nr)) {
        value = wr_run_call_open(&call);
    } else if (wr_run_heard_is_signal(req->data.nr)) {
        wr_run_heard_all(program->run);
    } else if (req->data.nr == SYS_socket) {
        call.stack = weir_host_lock(program->host);
        value = wr_run_call_socket(&call);
        weir_host_unlock(program->host);
    } else {
        call_fn *fn = function_of(req->data.nr);
        if (fn)
            value = serve_on_descriptor(&call, fn);
    }
    if (value != RUN_PARKED && value != RUN_SENT)
        wr_run_answer(program->listener_fd, req->id, value);
}

void wr_run_notify_ready(struct run_source *source, uint32_t events)
{
    struct weir_program *program =
        (struct weir_program *)((char *)source - offsetof(struct weir_program, listener));
    struct seccomp_notif req;
    if (events & EPOLLIN) {
        if (wr_run_heard_waits(program) && wr_run_heard_receive(program, &req))
            wr_run_notify_serve(program, &req, NULL);
    } else if (events & (EPOLLHUP | EPOLLERR)) {
        wr_run_spawn_gone(program);
    }
}
