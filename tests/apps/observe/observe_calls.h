/* SPDX-License-Identifier: MIT */
/* The calls that the observations make: the libc's, or the library's of the same name. */
#ifndef OBSERVE_CALLS_H
#define OBSERVE_CALLS_H

#ifdef OBSERVE_LIBRARY
#    include <weir/host.h>

extern struct weir_host *observe_host;

#    define socket(domain, type, protocol) weir_socket(observe_host, domain, type, protocol)
#    define bind(fd, addr, len)            weir_bind(observe_host, fd, addr, len)
#    define listen(fd, backlog)            weir_listen(observe_host, fd, backlog)
#    define connect(fd, addr, len)         weir_connect(observe_host, fd, addr, len)
#    define accept(fd, addr, len)          weir_accept(observe_host, fd, addr, len)
#    define accept4(fd, addr, len, flags)  weir_accept4(observe_host, fd, addr, len, flags)
#    define send(fd, data, n, flags)       weir_send(observe_host, fd, data, n, flags)
#    define sendto(fd, data, n, flags, to, len)                                                    \
        weir_sendto(observe_host, fd, data, n, flags, to, len)
#    define recv(fd, data, n, flags) weir_recv(observe_host, fd, data, n, flags)
#    define recvfrom(fd, data, n, flags, from, len)                                                \
        weir_recvfrom(observe_host, fd, data, n, flags, from, len)
#    define sendmsg(fd, msg, flags)    weir_sendmsg(observe_host, fd, msg, flags)
#    define recvmsg(fd, msg, flags)    weir_recvmsg(observe_host, fd, msg, flags)
#    define read(fd, data, n)          weir_recv(observe_host, fd, data, n, 0)
#    define write(fd, data, n)         weir_send(observe_host, fd, data, n, 0)
#    define shutdown(fd, how)          weir_shutdown(observe_host, fd, how)
#    define close(fd)                  weir_close(observe_host, fd)
#    define getsockname(fd, addr, len) weir_getsockname(observe_host, fd, addr, len)
#    define getpeername(fd, addr, len) weir_getpeername(observe_host, fd, addr, len)
#    define setsockopt(fd, level, option, value, len)                                              \
        weir_setsockopt(observe_host, fd, level, option, value, len)
#    define getsockopt(fd, level, option, value, len)                                              \
        weir_getsockopt(observe_host, fd, level, option, value, len)
#    define poll(fds, n, timeout)       weir_poll(observe_host, fds, n, timeout)
#    define epoll_create1(flags)        weir_epoll_create1(observe_host, flags)
#    define epoll_ctl(e, op, fd, event) weir_epoll_ctl(observe_host, e, op, fd, event)
#    define epoll_wait(e, events, max, timeout)                                                    \
        weir_epoll_wait(observe_host, e, events, max, timeout)
#    define socket_flags(fd)                 weir_fcntl(observe_host, fd, F_GETFL, 0)
#    define set_socket_flags(fd, flags)      weir_fcntl(observe_host, fd, F_SETFL, flags)
#    define socket_ioctl(fd, request, value) weir_ioctl(observe_host, fd, request, value)
#else
#    define socket_flags(fd)                 fcntl(fd, F_GETFL)
#    define set_socket_flags(fd, flags)      fcntl(fd, F_SETFL, flags)
#    define socket_ioctl(fd, request, value) ioctl(fd, request, value)
#endif

#endif
