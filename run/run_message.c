/* SPDX-License-Identifier: MIT */
/*
 * Messages with descriptors over an AF_UNIX socket: how a program's first process and the supervisor, and a
 * joiner and its host, come to hold each other's descriptors (SCM_RIGHTS).
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/run_int.h"

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(RUN_MESSAGE_FDS * sizeof(int))];
};

bool wr_run_say(int sock, const void *word, size_t size, const int *fds, size_t n_fds)
{
    union control control = {0};
    struct iovec iov = {(void *)(uintptr_t)word, size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds > 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
    }
    return sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)size;
}

ssize_t wr_run_hear(int sock, void *word, size_t size, int *fds, size_t n_fds)
{
    union control control;
    struct iovec iov = {word, size};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    ssize_t n;
    for (size_t i = 0; i < n_fds; i++)
        fds[i] = -1;
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    struct cmsghdr *cmsg = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
    if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
        return n;
    size_t came = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < came; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof fd, sizeof fd);
        if (i < n_fds)
            fds[i] = fd;
        else /* the room is rounded up, so one more may come than was asked for */
            close(fd);
    }
    return n;
}

void wr_run_close_all(const int *fds, size_t n_fds)
{
    for (size_t i = 0; i < n_fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}
