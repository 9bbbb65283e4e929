/* SPDX-License-Identifier: MIT */
#ifndef DRILL_PD_ABI_H
#define DRILL_PD_ABI_H

/*
 * What packetdrill expects of a shared object given with --so_filename: it calls
 * packetdrill_interface_init() once, before the first line of the script, and from then on makes
 * every socket call of the script, every packet and every question for the time through these
 * pointers. Each takes `userdata` first; then arguments, result and errno are those of the C
 * library's function of that name. The order of the members is the interface, their names are not.
 */

#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

struct pd_interface {
    void *userdata;
    void (*free)(void *userdata);

    int (*socket)(void *userdata, int domain, int type, int protocol);
    int (*bind)(void *userdata, int fd, const struct sockaddr *addr, socklen_t len);
    int (*listen)(void *userdata, int fd, int backlog);
    int (*accept)(void *userdata, int fd, struct sockaddr *addr, socklen_t *len);
    int (*connect)(void *userdata, int fd, const struct sockaddr *addr, socklen_t len);

    ssize_t (*read)(void *userdata, int fd, void *data, size_t len);
    ssize_t (*readv)(void *userdata, int fd, const struct iovec *iov, int n);
    ssize_t (*recv)(void *userdata, int fd, void *data, size_t len, int flags);
    ssize_t (*recvfrom)(void *userdata, int fd, void *data, size_t len, int flags,
                        struct sockaddr *from, socklen_t *from_len);
    ssize_t (*recvmsg)(void *userdata, int fd, struct msghdr *msg, int flags);

    ssize_t (*write)(void *userdata, int fd, const void *data, size_t len);
    ssize_t (*writev)(void *userdata, int fd, const struct iovec *iov, int n);
    ssize_t (*send)(void *userdata, int fd, const void *data, size_t len, int flags);
    ssize_t (*sendto)(void *userdata, int fd, const void *data, size_t len, int flags,
                      const struct sockaddr *to, socklen_t to_len);
    ssize_t (*sendmsg)(void *userdata, int fd, const struct msghdr *msg, int flags);

    int (*fcntl)(void *userdata, int fd, int command, ...);
    int (*ioctl)(void *userdata, int fd, unsigned long request, ...);
    int (*close)(void *userdata, int fd);
    int (*shutdown)(void *userdata, int fd, int how);
    int (*getsockopt)(void *userdata, int fd, int level, int option, void *value, socklen_t *len);
    int (*setsockopt)(void *userdata, int fd, int level, int option, const void *value,
                      socklen_t len);
    int (*poll)(void *userdata, struct pollfd *fds, nfds_t n, int timeout_ms);

    /* A raw IP packet for the stack. 0, or -1. */
    int (*netdev_send)(void *userdata, const void *packet, size_t len);
    /* The next packet of the stack: *len is the room and then the packet's length, *time_us when it
     * was sent on the clock below. 0 with *len 0 when none will come; any other answer asks again. */
    int (*netdev_receive)(void *userdata, void *packet, size_t *len, long long *time_us);
    int (*usleep)(void *userdata, useconds_t us);
    int (*gettimeofday)(void *userdata, struct timeval *tv, struct timezone *tz);

    int (*epoll_create)(void *userdata, int size);
    int (*epoll_ctl)(void *userdata, int epoll, int op, int fd, struct epoll_event *event);
    int (*epoll_wait)(void *userdata, int epoll, struct epoll_event *events, int max,
                      int timeout_ms);
    int (*pipe)(void *userdata, int fds[2]);
    int (*splice)(void *userdata, int in, loff_t *in_off, int out, loff_t *out_off, size_t len,
                  unsigned flags);
};

/* Fills in the interface. `flags` is the text of --so_flags (pd_flags.c), or NULL. A flag that is
 * not understood ends the program. */
void packetdrill_interface_init(const char *flags, struct pd_interface *interface);

#endif
