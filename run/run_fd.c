/* SPDX-License-Identifier: MIT */
/*
 * Which socket is a descriptor of the program? It is fetched through a pidfd (pidfd_getfd) and known by
 * its inode. So there is no table of descriptors to keep, and none to get wrong over dup, fork and exec.
 *
 * A pidfd for each calling thread is cached. The cache is direct-mapped by thread id; an entry whose
 * thread has ended fails with ESRCH, even if the id is in use again, and is opened anew: for a thread that has
 * this id now. If a pidfd from before the call was received still works, the id has been the same process's all the
 * time, so nothing of another's was read. It may have had another program in between: a thread that calls execve()
 * ends all others and takes the first one's id. So what acts on memory that was read asks whether the call stands
 * (run_notify.c).
 */
#define _GNU_SOURCE /* process_vm_readv */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "run/run_int.h"

#define RUN_PIDFD_THREAD O_EXCL /* PIDFD_THREAD of Linux 6.9 */

static int tgid_of(pid_t tid)
{
    char path[40], line[128];
    int tgid = -1;
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Tgid: %d", &tgid) == 1)
            break;
    fclose(file);
    return tgid;
}

/* Before Linux 6.9 a pidfd is of a process: the thread's group, which shares descriptors with it unless
 * the program called unshare(CLONE_FILES). *own: it is of who has this id; else the id may become another process's
 * while the pidfd works on. */
static int open_pidfd(pid_t tid, bool *own)
{
    int fd = (int)syscall(SYS_pidfd_open, tid, RUN_PIDFD_THREAD);
    *own = true;
    if (fd < 0 && errno == EINVAL) {
        int tgid = tgid_of(tid);
        if (tgid < 0)
            return -ESRCH;
        *own = tgid == tid;
        fd = (int)syscall(SYS_pidfd_open, tgid, 0);
    }
    return fd < 0 ? -errno : fd;
}

static void tell_undumpable(struct weir_run *run, pid_t tid)
{
    if (run->told_undumpable || tid == getpid())
        return;
    run->told_undumpable = true;
    fprintf(
        stderr,
        "weir: process %d may not be inspected (it is not dumpable or changed its user, and there "
        "is no user namespace around it): its TCP sockets will not work\n",
        tid);
}

int wr_run_fd_get(struct weir_run *run, pid_t tid, int fd, bool *known)
{
    struct run_pidfd *slot = &run->pidfds[(unsigned)tid % RUN_PIDFD_SLOTS];
    *known = true;
    for (int tries = 0; tries < 2; tries++) {
        if (slot->fd < 0 || slot->tid != tid) {
            bool own;
            int pidfd = open_pidfd(tid, &own);
            if (slot->fd >= 0)
                close(slot->fd);
            slot->fd = pidfd < 0 ? -1 : pidfd;
            slot->tid = own ? tid : -1; /* for this call only */
            *known = false;
            if (pidfd < 0)
                return pidfd;
        }
        int got = (int)syscall(SYS_pidfd_getfd, slot->fd, fd, 0);
        if (got >= 0)
            return got;
        if (errno == EPERM)
            tell_undumpable(run, tid);
        if (errno != ESRCH)
            return -errno;
        close(slot->fd);
        slot->fd = -1;
    }
    return -ESRCH;
}

ino_t wr_run_fd_inode(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
        return 0;
    return st.st_ino;
}

bool wr_run_fd_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK);
}

weir_time wr_run_fd_deadline(int fd, int option)
{
    struct timeval tv = {0};
    socklen_t len = sizeof tv;
    if (getsockopt(fd, SOL_SOCKET, option, &tv, &len) < 0 || (tv.tv_sec == 0 && tv.tv_usec == 0))
        return WEIR_TIME_NEVER;
    return weir_time_after(weir_now(), tv.tv_sec * WEIR_SEC + tv.tv_usec * WEIR_US);
}

int wr_run_fd_test(struct weir_run *run)
{
    int there = 1, here = 0;
    struct iovec local = {&here, sizeof here}, remote = {&there, sizeof there};
    bool known;
    int fd = wr_run_fd_get(run, getpid(), run->epoll_fd, &known);
    if (fd < 0 || process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != sizeof here)
        here = 0;
    if (fd >= 0)
        close(fd);
    return here == there ? 0 : WEIR_EPERM;
}

void wr_run_fd_forget(struct weir_run *run)
{
    for (size_t i = 0; i < RUN_PIDFD_SLOTS; i++) {
        if (run->pidfds[i].fd >= 0)
            close(run->pidfds[i].fd);
        run->pidfds[i].fd = -1;
    }
}
