/* SPDX-License-Identifier: MIT */
/*
 * The guard: a small process that outlives the supervisor if that is killed, and then ends what would be
 * left without a network. (A server that waits on a listener which is gone for good would spin on it.)
 *
 * It holds one end of a socket pair, whose other end closes when the supervisor ends for whatever reason.
 * The supervisor sends it each program's network namespace, or the UTS namespace of one that shares its
 * network with others (run_join.c); numbers of namespaces are unique over all kinds. When the pair closes, the programs' first
 * processes have had SIGTERM (PR_SET_PDEATHSIG); after GRACE every process in one of those
 * namespaces is killed. Holding the namespaces open keeps their inode numbers from being given to others.
 * A program that has no namespace of its own cannot be known this way; it has the SIGTERM only.
 *
 * It is also told the files that the supervisor would remove at its end, and removes them in its place. A
 * control socket that it was not told of yet goes at its own end, with all that no host answers at.
 */
#define _GNU_SOURCE /* close_range */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run/run_int.h"

enum { SPACES_MAX = 1024, FILES_MAX = 64, PATH_BYTES = 512, GRACE_SECONDS = 2, ROUNDS = 200 };

/* ---- in the guard ----------------------------------------------------------------------------- */

static ino_t spaces[SPACES_MAX]; /* of the guard's process alone: it is forked for this */
static size_t n_spaces;
static char files[FILES_MAX][PATH_BYTES];
static size_t n_files;

/* Receives namespaces, and paths of files, until the supervisor is gone. */
static void listen_to_supervisor(int sock)
{
    for (;;) {
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(sizeof(int))];
        } control;
        char path[PATH_BYTES] = "";
        struct iovec iov = {path, sizeof path - 1};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
        struct stat st;
        int fd;
        if (recvmsg(sock, &msg, 0) <= 0)
            return;
        if (path[0] && n_files < FILES_MAX)
            memcpy(files[n_files++], path, sizeof path);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS || n_spaces == SPACES_MAX)
            continue;
        memcpy(&fd, CMSG_DATA(cmsg), sizeof fd);
        if (fstat(fd, &st) == 0)
            spaces[n_spaces++] = st.st_ino;
    }
}

static bool is_in_space(pid_t pid)
{
    static const char *const kinds[] = {"net", "uts"};
    for (int kind = 0; kind < 2; kind++) {
        char path[40];
        struct stat st;
        snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, kinds[kind]);
        if (stat(path, &st) < 0)
            continue;
        for (size_t i = 0; i < n_spaces; i++)
            if (spaces[i] == st.st_ino)
                return true;
    }
    return false;
}

static bool kill_round(void)
{
    DIR *dir = opendir("/proc");
    bool found = false;
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 1 && pid != getpid() && is_in_space(pid))
            found |= kill(pid, SIGKILL) == 0;
    }
    if (dir)
        closedir(dir);
    return found;
}

static void guard_main(int sock)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    setsid();
    prctl(PR_SET_NAME, "weir-guard");
    if (chdir("/") < 0 || dup2(sock, 0) < 0)
        _exit(1);
    close_range(1, ~0u, 0);
    listen_to_supervisor(0);
    for (size_t i = 0; i < n_files; i++)
        unlink(files[i]);
    nanosleep(&(struct timespec){.tv_sec = GRACE_SECONDS}, NULL);
    for (int i = 0; i < ROUNDS && kill_round(); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    (void)weir_control_each(NULL, NULL);
    _exit(0);
}

/* ---- in the supervisor ------------------------------------------------------------------------ */

int wr_run_guard_start(struct weir_run *run)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    run->guard = fork();
    if (run->guard == 0)
        guard_main(pair[1]);
    close(pair[1]);
    if (run->guard < 0) {
        close(pair[0]);
        return -errno;
    }
    run->guard_fd = pair[0];
    return 0;
}

void wr_run_guard_add(struct weir_run *run, pid_t pid, const char *kind)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char path[40], byte = 0;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, kind);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
    (void)sendmsg(run->guard_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

void weir_run_remove_if_killed(struct weir_run *run, const char *path)
{
    size_t len = strlen(path);
    if (run->guard > 0 && len < PATH_BYTES)
        (void)send(run->guard_fd, path, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void wr_run_guard_end(struct weir_run *run, bool needed)
{
    if (run->guard <= 0)
        return;
    if (!needed) {
        kill(run->guard, SIGKILL);
        waitpid(run->guard, NULL, 0);
    }
    close(run->guard_fd);
    run->guard = 0;
}
