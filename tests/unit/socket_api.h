/* SPDX-License-Identifier: MIT */
/* The same calls on the kernel's sockets and on a Weir host's, for tests that do one thing on both and compare
 * what is answered. Both sides talk to themselves over 127.0.0.1, in one thread unless a test has more. */
#ifndef WEIR_TEST_SOCKET_API_H
#define WEIR_TEST_SOCKET_API_H

#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "unit/host_pair.h"

/* A NULL host is the kernel. */
struct api {
    struct weir_loop *loop;
    struct weir_host *host;
    int barrier[2]; /* of the kernel: two UDP sockets */
    cpu_set_t cpus; /* the processors that there were before */
};

#define API_CALL(api, name, ...)                                                                   \
    ((api)->host ? weir_##name((api)->host, __VA_ARGS__) : name(__VA_ARGS__))

static inline int api_ioctl(struct api *api, int fd, unsigned long request, void *value)
{
    return api->host ? weir_ioctl(api->host, fd, request, value) : ioctl(fd, request, value);
}

static inline void api_open_weir(struct api *api)
{
    memset(api, 0, sizeof *api);
    assert_int_equal(weir_loop_new(&api->loop), 0);
    assert_int_equal(weir_host_new(api->loop, NULL, &api->host), 0);
}

/* All on one processor, where the kernel takes what passes the loopback device in its order: when a datagram
 * sent last has come back, so has all before it. */
static inline void api_open_kernel(struct api *api)
{
    struct sockaddr_in any = address4("127.0.0.1", 0);
    socklen_t len = sizeof any;
    cpu_set_t one;
    memset(api, 0, sizeof *api);
    assert_int_equal(sched_getaffinity(0, sizeof api->cpus, &api->cpus), 0);
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    for (unsigned i = 0; i < 2; i++)
        api->barrier[i] = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(api->barrier[0], (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(getsockname(api->barrier[0], (struct sockaddr *)&any, &len), 0);
    assert_int_equal(connect(api->barrier[1], (struct sockaddr *)&any, sizeof any), 0);
}

static inline void api_close(struct api *api)
{
    if (!api->host) {
        close(api->barrier[0]);
        close(api->barrier[1]);
        assert_int_equal(sched_setaffinity(0, sizeof api->cpus, &api->cpus), 0);
        return;
    }
    weir_host_free(api->host);
    assert_int_equal(weir_loop_free(api->loop), 0);
}

/* All that was sent has arrived. */
static inline void api_settle(struct api *api)
{
    char byte = 0;
    if (api->host) {
        assert_int_equal(weir_loop_step(api->loop, 0), 0);
        return;
    }
    assert_int_equal(send(api->barrier[1], &byte, 1, 0), 1);
    assert_int_equal(recv(api->barrier[0], &byte, 1, 0), 1);
}

/* A listening socket on a port of the kernel's or the host's choice; *sin is where. */
static inline int api_listen(struct api *api, struct sockaddr_in *sin)
{
    socklen_t len = sizeof *sin;
    int fd = API_CALL(api, socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    *sin = address4("127.0.0.1", 0);
    assert_int_equal(API_CALL(api, bind, fd, (struct sockaddr *)sin, sizeof *sin), 0);
    assert_int_equal(API_CALL(api, getsockname, fd, (struct sockaddr *)sin, &len), 0);
    assert_int_equal(API_CALL(api, listen, fd, 64), 0);
    return fd;
}

/* Begins a connection to *sin; it is open after api_settle(). */
static inline int api_connect(struct api *api, const struct sockaddr_in *sin)
{
    int fd = API_CALL(api, socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int rc = API_CALL(api, connect, fd, (const struct sockaddr *)sin, sizeof *sin);
    assert_true(rc == 0 || errno == EINPROGRESS);
    return fd;
}

/* A connection: fd[0] has begun it. */
static inline void api_connection(struct api *api, int fd[2])
{
    struct sockaddr_in sin;
    int listener = api_listen(api, &sin);
    fd[0] = api_connect(api, &sin);
    api_settle(api);
    fd[1] = API_CALL(api, accept4, listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(fd[1] >= 0);
    assert_int_equal(API_CALL(api, close, listener), 0);
    api_settle(api);
}

#endif
