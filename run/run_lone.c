/* SPDX-License-Identifier: MIT */
/*
 * Sockets that are not connected. Such a socket of the program is an AF_UNIX socket that is not connected
 * either: so poll shows OUT and HUP, reading and writing fail and do not wait, and a refused connect() that
 * blocks leaves all that as it was.
 *
 * It gets its pair when it connects or listens. The supervisor connects it, through the descriptor that the
 * call is about, to a listening socket of its own, the door, and takes the other end from there: the file
 * stays the same, and with it descriptors, registrations in epoll and flags. (A pair cannot be taken apart
 * again; a socket that is dissolved, or stops listening, keeps its, and shows OUT without HUP.)
 *
 * The door has no name that others could find: it is bound to a path, opened by that, and the path removed.
 *
 * The last close of a lone socket cannot be seen. Its record is one of those without a pair, which run_dead.c
 * looks after; and where one of them might hold a port that bind() asks for, it looks at once.
 */
#define _GNU_SOURCE /* O_PATH, accept4 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "run/run_int.h"

enum { DOOR_BACKLOG = 16 }; /* one at a time comes through */

/* ---- the door --------------------------------------------------------------------------------- */

static int door_bind(struct weir_run *run, const char *folder)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int n = snprintf(un.sun_path, sizeof un.sun_path, "%s/.weir-%d-%llx", folder, (int)getpid(),
                     (unsigned long long)weir_now());
    if (n < 0 || (size_t)n >= sizeof un.sun_path)
        return -ENAMETOOLONG;
    if (bind(run->door_fd, (struct sockaddr *)&un, sizeof un) < 0)
        return -errno;
    int err = chmod(un.sun_path, S_IRUSR | S_IWUSR) < 0 ? -errno : 0;
    run->door_path_fd = err ? -1 : open(un.sun_path, O_PATH | O_CLOEXEC);
    if (!err && run->door_path_fd < 0)
        err = -errno;
    unlink(un.sun_path);
    return err;
}

int wr_run_lone_open(struct weir_run *run)
{
    const char *const folders[] = {getenv("XDG_RUNTIME_DIR"), "/run", "/tmp", "/dev/shm"};
    int err = -ENOENT;
    run->door_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (run->door_fd < 0)
        return -errno;
    for (size_t i = 0; err && i < sizeof folders / sizeof *folders; i++)
        if (folders[i])
            err = door_bind(run, folders[i]);
    if (!err && listen(run->door_fd, DOOR_BACKLOG) < 0)
        err = -errno;
    return err;
}

void wr_run_lone_close(struct weir_run *run)
{
    if (run->door_fd >= 0)
        close(run->door_fd);
    if (run->door_path_fd >= 0)
        close(run->door_path_fd);
    run->door_fd = run->door_path_fd = -1;
}

/* Connects `end` to the door. Our side of it, or a negative errno. */
static int through_the_door(const struct weir_run *run, int end)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (end + 1 >=
        run->fds_max) /* descriptors are the lowest that are free: the next would be too high */
        return -ENFILE;
    snprintf(un.sun_path, sizeof un.sun_path, "/proc/self/fd/%d", run->door_path_fd);
    if (connect(end, (struct sockaddr *)&un, sizeof un) < 0)
        return -errno;
    int fd = accept4(run->door_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fd >= run->fds_max) {
        close(fd);
        return -ENFILE;
    }
    return fd;
}

/* ---- the sockets ------------------------------------------------------------------------------ */

int wr_run_lone_new(struct weir_program *program, int domain, weir_sock sock, bool nonblock,
                    struct run_sock **out, int *end)
{
    struct run_sock *rs = calloc(1, sizeof *rs);
    int err = 0;
    if (!rs)
        return WEIR_ENOMEM;
    *end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0), 0);
    if (*end < 0 || *end >= program->run->fds_max)
        err = *end >= 0 || errno == EMFILE ? -ENFILE : -errno;
    rs->source.ready = wr_run_pump_ready;
    rs->program = program;
    rs->fd = -1;
    rs->domain = domain;
    rs->state = RUN_FRESH;
    if (!err)
        rs->ino = wr_run_fd_inode(*end);
    if (!err && (!rs->ino || !wr_run_sock_enter(program->run, rs)))
        err = WEIR_ENOMEM;
    if (err) {
        if (*end >= 0)
            close(*end);
        free(rs);
        return err;
    }
    wr_run_sock_set(rs, sock);
    wr_run_dead_link(rs);
    *out = rs;
    return 0;
}

bool wr_run_lone_is(const struct run_sock *rs)
{
    return rs->state == RUN_FRESH && rs->fd < 0;
}

int wr_run_lone_join(struct run_sock *rs, int end)
{
    struct epoll_event event = {.events = RUN_PAIR_EVENTS, .data.ptr = &rs->source};
    if (rs->fd >= 0)
        return 0;
    int fd = through_the_door(rs->program->run, end);
    if (fd < 0)
        return fd;
    if (send(end, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1 ||
        epoll_ctl(rs->program->run->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        close(fd);
        return WEIR_ENOBUFS;
    }
    wr_run_dead_unlink(rs);
    rs->fd = fd;
    rs->unread = 1; /* the byte that is kept: run_pump.c */
    return 0;
}
