/* SPDX-License-Identifier: MIT */
/*
 * Where control sockets are: the folder "weir" in $XDG_RUNTIME_DIR or in /run/user/UID, else /tmp/weir-UID.
 * The first of these that belongs to the user and lets nobody else in is taken; one that does let others
 * in is passed over, so that whoever made it first in /tmp gains nothing.
 *
 * A socket is bound under a hidden name and gets its own, NAME.PID, once it listens. So a socket under
 * its own name that refuses a connection is a dead one's, and may be removed.
 *
 * Sockets are bound and connected by way of /proc/self/fd, so that the folder is the one that was looked
 * at, and its path may be longer than an address of AF_UNIX.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/control_int.h"

enum { PLACES = 3 };

/* The n-th place's path; false if there is none here. */
static bool place(unsigned n, char *path, size_t cap)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    int len = -1;
    if (n == 0 && runtime && runtime[0] == '/')
        len = snprintf(path, cap, "%s/weir", runtime);
    else if (n == 1)
        len = snprintf(path, cap, "/run/user/%u/weir", (unsigned)geteuid());
    else if (n == 2)
        len = snprintf(path, cap, "/tmp/weir-%u", (unsigned)geteuid());
    return len > 0 && (size_t)len < cap;
}

static bool ours_alone(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
}

/* Opens the n-th place. A descriptor, or a negative error. */
static int open_place(unsigned n, bool make, char *path, size_t cap)
{
    if (!place(n, path, cap))
        return WEIR_ENOENT;
    if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (ours_alone(fd))
        return fd;
    close(fd);
    return WEIR_EACCES;
}

int wr_control_dir_open(char *path, size_t cap)
{
    for (unsigned n = 0; n < PLACES; n++) {
        int fd = open_place(n, true, path, cap);
        if (fd >= 0)
            return fd;
    }
    return WEIR_EACCES;
}

int weir_control_lock(bool wait)
{
    char path[256];
    int dir = wr_control_dir_open(path, sizeof path);
    while (dir >= 0 && flock(dir, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0) {
        if (errno == EINTR)
            continue;
        int err = errno == EWOULDBLOCK ? WEIR_EAGAIN : -errno;
        close(dir);
        return err;
    }
    return dir;
}

bool wr_control_address(int dir, const char *name, struct sockaddr_un *address)
{
    int len;

    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    len = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", dir, name);
    return len > 0 && (size_t)len < sizeof address->sun_path;
}

/* ---- names -------------------------------------------------------------------------------------- */

bool wr_control_name_ok(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    size_t len = strlen(name);
    return len > 0 && len <= WEIR_CONTROL_NAME_MAX && name[0] != '.' && strspn(name, good) == len;
}

/* Splits "NAME.PID". */
static bool split(const char *file, char name[WEIR_CONTROL_NAME_MAX + 1], int *pid)
{
    const char *dot = strrchr(file, '.');
    char *end;
    if (!dot || dot == file || (size_t)(dot - file) > WEIR_CONTROL_NAME_MAX)
        return false;
    memcpy(name, file, (size_t)(dot - file));
    name[dot - file] = '\0';
    long value = strtol(dot + 1, &end, 10);
    *pid = (int)value;
    return wr_control_name_ok(name) && end != dot + 1 && *end == '\0' && value > 0 && value == *pid;
}

/* ---- finding ------------------------------------------------------------------------------------ */

/* A connection to a socket of the folder, or a negative error: WEIR_EAGAIN from a host that does not
 * accept. */
static int dial(int dir, const char *file)
{
    const struct timeval patience = {.tv_sec = 2}, none = {0};
    struct sockaddr_un address;
    if (!wr_control_address(dir, file, &address))
        return WEIR_EINVAL;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* connect's, too */
    int err = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
    if (!err)
        return fd;
    close(fd);
    return err;
}

struct seek {
    const char *which; /* NULL: any */
    weir_control_fn *fn;
    void *arg;
    int found;
    int fd;          /* the first that fits; -1: none, or not wanted */
    bool keep;       /* the connection is wanted */
    char names[512]; /* of those that fit, for a message */
};

static bool fits(const char *which, const char *file, const char *name, int pid)
{
    char number[16];
    snprintf(number, sizeof number, "%d", pid);
    return !which || strcmp(which, file) == 0 || strcmp(which, name) == 0 ||
           strcmp(which, number) == 0;
}

static void look_at(struct seek *seek, int dir, const char *file)
{
    char name[WEIR_CONTROL_NAME_MAX + 1];
    int pid;
    bool hidden = file[0] == '.';
    if (!split(file + hidden, name, &pid))
        return;
    if (hidden) { /* not listening yet, or never will be */
        if (kill(pid, 0) < 0 && errno == ESRCH)
            unlinkat(dir, file, 0);
        return;
    }
    int fd = dial(dir, file);
    if (fd == WEIR_ECONNREFUSED)
        unlinkat(dir, file, 0);
    if (fd < 0)
        return;
    bool fit = fits(seek->which, file, name, pid);
    if (fit && seek->fn)
        seek->fn(seek->arg, name, pid);
    if (fit) {
        size_t len = strlen(seek->names);
        snprintf(seek->names + len, sizeof seek->names - len, "%s%s", len ? ", " : "", file);
        seek->found++;
    }
    if (fit && seek->keep && seek->fd < 0)
        seek->fd = fd;
    else
        close(fd);
}

static int look(struct seek *seek)
{
    char path[256];
    for (unsigned n = 0; n < PLACES; n++) {
        int fd = open_place(n, false, path, sizeof path);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir) {
            if (fd >= 0)
                close(fd);
            continue;
        }
        for (struct dirent *entry; (entry = readdir(dir));)
            look_at(seek, dirfd(dir), entry->d_name);
        closedir(dir);
    }
    return seek->found;
}

int weir_control_each(weir_control_fn *fn, void *arg)
{
    struct seek seek = {.fn = fn, .arg = arg, .fd = -1};
    return look(&seek);
}

int weir_control_connect(const char *which, char *error, size_t cap)
{
    struct seek seek = {.which = which, .fd = -1, .keep = true};
    look(&seek);
    if (seek.found == 1)
        return seek.fd;
    if (seek.fd >= 0)
        close(seek.fd);
    if (seek.found == 0 && which)
        snprintf(error, cap, "no host called %s is running", which);
    else if (seek.found == 0)
        snprintf(error, cap, "no host of yours is running");
    else
        snprintf(error, cap, "%d hosts are running; say which by --host: %s", seek.found,
                 seek.names);
    return seek.found == 0 ? WEIR_ENOENT : WEIR_EEXIST;
}
