/* SPDX-License-Identifier: MIT */
/* Two hosts joined by a pipe: 10.0.0.1, fd00::1 and 10.0.0.2, fd00::2. On one loop, or each on a loop of its
 * own with the pipe between two threads. */
#ifndef WEIR_TEST_HOST_PAIR_H
#define WEIR_TEST_HOST_PAIR_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/host.h>

struct pair {
    struct weir_loop *loop[2]; /* the same one twice, or two */
    struct weir_host *host[2];
    bool started;
};

static inline struct weir_host *pair_host(struct weir_loop *loop, struct weir_link *link,
                                          const char *v4, const char *v6)
{
    struct weir_host *host;
    assert_int_equal(weir_host_new(loop, NULL, &host), 0);
    int ifindex = weir_host_add_link(host, link);
    assert_true(ifindex > 0);
    assert_int_equal(weir_host_add_addr(host, ifindex, v4), 0);
    assert_int_equal(weir_host_add_addr(host, ifindex, v6), 0);
    return host;
}

/* Makes the pair; the loops are not started. */
static inline void pair_make(struct pair *p, bool two_loops, struct weir_pipe_config config)
{
    struct weir_link *ends[2];
    memset(p, 0, sizeof *p);
    config.threads = two_loops;
    assert_int_equal(weir_loop_new(&p->loop[0]), 0);
    p->loop[1] = p->loop[0];
    if (two_loops)
        assert_int_equal(weir_loop_new(&p->loop[1]), 0);
    assert_int_equal(weir_link_pipe(&config, ends), 0);
    p->host[0] = pair_host(p->loop[0], ends[0], "10.0.0.1/24", "fd00::1/64");
    p->host[1] = pair_host(p->loop[1], ends[1], "10.0.0.2/24", "fd00::2/64");
}

static inline void pair_start(struct pair *p)
{
    assert_int_equal(weir_loop_start(p->loop[0]), 0);
    if (p->loop[1] != p->loop[0])
        assert_int_equal(weir_loop_start(p->loop[1]), 0);
    p->started = true;
}

static inline void pair_free(struct pair *p)
{
    for (unsigned i = 0; i < 2; i++)
        weir_host_free(p->host[i]);
    for (unsigned i = 0; i < 2 && p->started; i++)
        weir_loop_stop(p->loop[i]);
    assert_int_equal(weir_loop_free(p->loop[0]), 0);
    if (p->loop[1] != p->loop[0])
        assert_int_equal(weir_loop_free(p->loop[1]), 0);
}

static inline struct sockaddr_in address4(const char *text, unsigned port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    sin.sin_port = htons((uint16_t)port);
    assert_int_equal(inet_pton(AF_INET, text, &sin.sin_addr), 1);
    return sin;
}

static inline int connect4(struct weir_host *host, int fd, const char *text, unsigned port)
{
    struct sockaddr_in sin = address4(text, port);
    return weir_connect(host, fd, (struct sockaddr *)&sin, sizeof sin);
}

static inline int bind4(struct weir_host *host, int fd, const char *text, unsigned port)
{
    struct sockaddr_in sin = address4(text, port);
    return weir_bind(host, fd, (struct sockaddr *)&sin, sizeof sin);
}

/* A listening socket of host 1 on `port`. */
static inline int listen4(struct pair *p, unsigned port)
{
    int fd = weir_socket(p->host[1], AF_INET, SOCK_STREAM, 0);
    int on = 1;
    assert_true(fd >= 0);
    weir_setsockopt(p->host[1], fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind4(p->host[1], fd, "10.0.0.2", port), 0);
    assert_int_equal(weir_listen(p->host[1], fd, 64), 0);
    return fd;
}

/* A connection from host 0 to host 1: fd[0] and fd[1]. */
static inline void connected_pair(struct pair *p, int fd[2])
{
    int listener = listen4(p, 99);
    fd[0] = weir_socket(p->host[0], AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect4(p->host[0], fd[0], "10.0.0.2", 99), 0);
    fd[1] = weir_accept(p->host[1], listener, NULL, NULL);
    assert_true(fd[1] >= 0);
    assert_int_equal(weir_close(p->host[1], listener), 0);
}

#define assert_fails_with(call, error)                                                             \
    do {                                                                                           \
        errno = 0;                                                                                 \
        assert_int_equal(call, -1);                                                                \
        assert_int_equal(errno, error);                                                            \
    } while (0)

#endif
