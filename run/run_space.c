/* SPDX-License-Identifier: MIT */
/*
 * The program's namespaces, entered by the child between fork and exec.
 *
 *   network  so that sockets which are not TCP cannot reach the machine's network (run_net.c).
 *   mount    for an /etc/hosts and /etc/resolv.conf of the program's own, laid over the machine's.
 *   UTS      for a host name of its own.
 *   user     only where the others cannot be had without it. The user keeps its own id, the only one
 *            mapped, and becomes nobody's superuser: exec takes the capabilities away again. As its
 *            owner the supervisor may inspect even programs that are not dumpable.
 *
 * Everything here runs in a forked child: no allocation, no locks, no stdio.
 *
 * A program that joins others enters theirs instead, in the order of the names below: with the user
 * namespace comes the right to the rest. A UTS namespace of its own tells its processes from the others'
 * (run_guard.c). Its mounts are its own, too, covered anew: entering theirs would lead out of its current folder, and, under
 * chroot(2), of its root.
 */
#define _GNU_SOURCE /* unshare, setns */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/run_int.h"

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, strlen(text));
    int err = n < 0 ? -errno : 0;
    close(fd);
    return err;
}

/* Each id is mapped to itself and no other is. */
static int map_ids(const struct run_space *space)
{
    char text[64];
    int err = write_file("/proc/self/setgroups", "deny");
    if (err && err != -ENOENT)
        return err;
    snprintf(text, sizeof text, "%u %u 1", space->uid, space->uid);
    err = write_file("/proc/self/uid_map", text);
    if (err)
        return err;
    snprintf(text, sizeof text, "%u %u 1", space->gid, space->gid);
    return write_file("/proc/self/gid_map", text);
}

/* Lays `text` over the file `path`, by way of a file on a tmpfs that is gone again afterwards. */
static int cover_file(const char *stage, const char *path, const char *text)
{
    char temp[64];
    int err = 0;
    if (!text || access(path, F_OK) < 0)
        return 0;
    snprintf(temp, sizeof temp, "%s/weir-cover", stage);
    int fd = open(temp, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        err = -EIO;
    if (!err && fchmod(fd, 0444) < 0)
        err = -errno;
    close(fd);
    if (!err && mount(temp, path, NULL, MS_BIND, NULL) < 0)
        err = -errno;
    unlink(temp);
    return err;
}

static int cover_files(const struct run_space *space)
{
    static const char *const stages[] = {"/tmp", "/run", "/var", "/mnt"};
    if (!space->hosts && !space->resolv)
        return 0;
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        if (mount("weir", stages[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m") < 0)
            continue;
        int err = cover_file(stages[i], "/etc/hosts", space->hosts);
        if (!err)
            err = cover_file(stages[i], "/etc/resolv.conf", space->resolv);
        umount2(stages[i], MNT_DETACH);
        return err;
    }
    return -errno;
}

/* In a mount namespace just made. */
static int set_mounts(const struct run_space *space, const char **what)
{
    *what = "private mounts";
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return -errno;
    *what = "/etc/hosts";
    return cover_files(space);
}

static int make_spaces(const struct run_space *space, const char **what)
{
    const int kinds = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS;
    int err = 0;
    *what = "user namespace";
    if (unshare(kinds) < 0) {
        if (unshare(kinds | CLONE_NEWUSER) < 0)
            return 0;
        err = map_ids(space);
    }
    if (!err)
        err = set_mounts(space, what);
    if (!err && space->hostname) {
        *what = "host name";
        err = sethostname(space->hostname, strlen(space->hostname)) < 0 ? -errno : 0;
    }
    return err ? err : 1;
}

const char *const wr_run_space_names[RUN_SPACES] = {"user", "net", "uts"};

static int join_spaces(const struct run_space *space, const char **what)
{
    for (int i = 0; i < RUN_SPACES; i++) {
        *what = wr_run_space_names[i];
        if (space->join[i] >= 0 && setns(space->join[i], 0) < 0)
            return -errno;
    }
    *what = "UTS namespace";
    if (unshare(CLONE_NEWUTS | CLONE_NEWNS) < 0)
        return -errno;
    int err = set_mounts(space, what);
    return err ? err : 1;
}

int wr_run_space_enter(const struct run_space *space, const char **what)
{
    return space->join ? join_spaces(space, what) : make_spaces(space, what);
}

bool wr_run_space_possible(void)
{
    struct run_space space = {.hosts = "127.0.0.1 localhost\n", .uid = getuid(), .gid = getgid()};
    const char *what;
    int status;
    pid_t pid = fork();
    if (pid < 0)
        return false;
    if (pid == 0)
        _exit(wr_run_space_enter(&space, &what) == 1 ? 0 : 1);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
