/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* setns */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/error.h>

#include "link/netns.h"

struct visit {
    int ns_fd;
    int (*fn)(void *arg);
    void *arg;
    int result;
};

static void *visit_thread(void *arg)
{
    struct visit *visit = arg;
    if (setns(visit->ns_fd, CLONE_NEWNET) != 0)
        visit->result = -errno;
    else
        visit->result = visit->fn(visit->arg);
    return NULL;
}

/* Is the calling thread in it? A namespace is its inode. */
static bool is_here(int ns_fd)
{
    struct stat there, here;
    return fstat(ns_fd, &there) == 0 && stat("/proc/thread-self/ns/net", &here) == 0 &&
           there.st_ino == here.st_ino && there.st_dev == here.st_dev;
}

int wr_netns_visit(int ns_fd, int (*fn)(void *arg), void *arg)
{
    struct visit visit = {.ns_fd = ns_fd, .fn = fn, .arg = arg};
    pthread_t thread;
    if (ns_fd < 0 || is_here(ns_fd))
        return fn(arg);
    int rc = pthread_create(&thread, NULL, visit_thread, &visit);
    if (rc != 0)
        return -rc;
    pthread_join(thread, NULL);
    return visit.result;
}

int wr_netns_open(const char *name)
{
    char path[256];
    if (strchr(name, '/') ||
        (size_t)snprintf(path, sizeof path, "/run/netns/%s", name) >= sizeof path)
        return WEIR_EINVAL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int wr_netns_in(const char *name, int (*fn)(void *arg), void *arg)
{
    int ns = name ? wr_netns_open(name) : -1;
    if (name && ns < 0)
        return ns;
    int rc = wr_netns_visit(ns, fn, arg);
    if (ns >= 0)
        close(ns);
    return rc;
}
