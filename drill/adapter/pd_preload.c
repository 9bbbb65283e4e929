/* SPDX-License-Identifier: MIT */
/*
 * What packetdrill asks the C library for although the socket is ours: getsockopt for assertions on
 * TCP_INFO, close at the end, sendfile. When the object is also named in LD_PRELOAD these functions
 * stand before the C library's; for any other descriptor they make the system call.
 */
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "drill/adapter/pd.h"

#define EXPORT __attribute__((visibility("default")))

/* Is it a descriptor of the stack's? */
static bool ours(int fd)
{
    struct pd *pd = wr_pd;
    if (!pd)
        return false;
    wr_pd_lock(pd);
    bool found = wr_dr_fd_find(&pd->world.table, fd) != NULL;
    wr_pd_unlock(pd);
    return found;
}

EXPORT int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict len)
{
    if (ours(fd))
        return wr_pd_getsockopt(wr_pd, fd, level, option, value, len);
    return (int)syscall(SYS_getsockopt, fd, level, option, value, len);
}

EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
    if (ours(fd))
        return wr_pd_setsockopt(wr_pd, fd, level, option, value, len);
    return (int)syscall(SYS_setsockopt, fd, level, option, value, len);
}

EXPORT int close(int fd)
{
    if (ours(fd))
        return wr_pd_close(wr_pd, fd);
    return (int)syscall(SYS_close, fd);
}

EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t len)
{
    if (offset && ours(out))
        return wr_pd_sendfile(wr_pd, out, in, offset, len);
    return syscall(SYS_sendfile, out, in, offset, len);
}
