/* SPDX-License-Identifier: MIT */
/*
 * Calls on several buffers, control messages, select. What Linux answers is asked of the kernel: each scenario runs
 * on its sockets and on Weir's, and the two records must be the same.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <time.h>

#include <linux/errqueue.h>

#include "unit/socket_record.h"

static ssize_t send_parts(struct api *api, int fd, const struct iovec *iov, size_t n, int flags)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n};
    return API_CALL(api, sendmsg, fd, &msg, flags);
}

/* Receives into three buffers of these sizes, and tells all about it. */
static void receive(struct api *api, struct record *r, int fd, const size_t size[3], int flags)
{
    char buf[3][64] = {{0}}, control[256];
    struct iovec iov[3];
    struct sockaddr_in from = {0};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3, .msg_name = &from};
    msg.msg_namelen = sizeof from;
    msg.msg_control = control;
    msg.msg_controllen = sizeof control;
    for (unsigned i = 0; i < 3; i++)
        iov[i] = (struct iovec){buf[i], size[i]};
    ssize_t n = API_CALL(api, recvmsg, fd, &msg, flags | MSG_DONTWAIT);
    if (n < 0) {
        say(r, "recvmsg %s", error_of(-1));
        return;
    }
    say(r, "recvmsg %zd \"%s\" \"%s\" \"%s\" name %u family %d flags %#x control %zu", n, buf[0],
        buf[1], buf[2], msg.msg_namelen, msg.msg_namelen ? from.sin_family : 0,
        (unsigned)msg.msg_flags, (size_t)msg.msg_controllen);
}

static void stream(struct api *api, struct record *r, uint32_t seed)
{
    static const size_t small[3] = {3, 0, 4}, none[3] = {0, 0, 0}, large[3] = {20, 20, 20};
    struct iovec out[4] = {{"Hello", 5}, {"", 0}, {", wor", 5}, {"ld!", 3}};
    char a[4] = "", b[30] = "";
    struct iovec in[2] = {{a, 3}, {b, 29}};
    volatile int few = -1, many = 1025; /* the compiler knows the calls */
    int fd[2];
    (void)seed;
    api_connection(api, fd);
    say(r, "sendmsg %zd", send_parts(api, fd[0], out, 4, 0));
    api_settle(api);
    receive(api, r, fd[1], small, MSG_PEEK);
    receive(api, r, fd[1], small, 0);
    receive(api, r, fd[1], none, 0);
    receive(api, r, fd[1], large, MSG_WAITALL);
    receive(api, r, fd[1], large, 0);
    say(r, "writev %zd", API_CALL(api, writev, fd[0], out, 4));
    api_settle(api);
    ssize_t n = API_CALL(api, readv, fd[1], in, 2);
    say(r, "readv %zd %s %s", n, a, b);
    n = API_CALL(api, readv, fd[1], in, 2);
    say(r, "readv %zd %s", n, error_of((int)n));
    n = API_CALL(api, readv, fd[1], in, few);
    say(r, "readv %zd %s", n, error_of((int)n));
    n = API_CALL(api, writev, fd[1], in, many);
    say(r, "writev %zd %s", n, error_of((int)n));
    n = API_CALL(api, write, fd[1], "back", 4);
    say(r, "write %zd", n);
    n = API_CALL(api, read, fd[0], b, sizeof b);
    say(r, "read %zd", n);
    say(r, "urgent %zd", send_parts(api, fd[0], out, 4, MSG_OOB));
    api_settle(api);
    receive(api, r, fd[1], large, MSG_OOB);
    receive(api, r, fd[1], large, 0);
    assert_int_equal(API_CALL(api, shutdown, fd[0], SHUT_WR), 0);
    api_settle(api);
    receive(api, r, fd[1], large, 0);
    n = send_parts(api, fd[0], out, 4, MSG_NOSIGNAL);
    say(r, "after shutdown %zd %s", n, error_of((int)n));
    assert_int_equal(API_CALL(api, close, fd[0]), 0);
    assert_int_equal(API_CALL(api, close, fd[1]), 0);
}

static void streams_in_pieces(void **state)
{
    (void)state;
    on_both(stream, 0);
}

static void datagram(struct api *api, struct record *r, uint32_t seed)
{
    static const size_t large[3] = {3, 30, 20}, small[3] = {3, 0, 2};
    struct iovec out[3] = {{"data", 4}, {"gram", 4}, {"s", 1}};
    struct sockaddr_in sin = address4("127.0.0.1", 0);
    struct msghdr msg = {.msg_iov = out, .msg_iovlen = 3, .msg_name = &sin};
    char control[CMSG_SPACE(4)] = {0};
    socklen_t len = sizeof sin;
    int fd[2];
    (void)seed;
    for (unsigned i = 0; i < 2; i++)
        fd[i] = API_CALL(api, socket, AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(API_CALL(api, bind, fd[0], (struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(API_CALL(api, getsockname, fd[0], (struct sockaddr *)&sin, &len), 0);
    msg.msg_namelen = sizeof sin;
    for (unsigned i = 0; i < 5; i++)
        say(r, "sendmsg %zd", API_CALL(api, sendmsg, fd[1], &msg, 0));
    msg.msg_iovlen = 0; /* an empty datagram */
    say(r, "sendmsg %zd", API_CALL(api, sendmsg, fd[1], &msg, 0));
    api_settle(api);
    receive(api, r, fd[0], large, MSG_PEEK);
    receive(api, r, fd[0], large, 0);
    receive(api, r, fd[0], small, MSG_PEEK | MSG_TRUNC);
    receive(api, r, fd[0], small, 0);
    receive(api, r, fd[0], small, MSG_TRUNC);
    receive(api, r, fd[0], large, MSG_TRUNC);
    receive(api, r, fd[0], large, 0);
    receive(api, r, fd[0], large, 0); /* the empty one */
    receive(api, r, fd[0], large, 0);
    msg.msg_control = control; /* level 0, type 0, no length */
    msg.msg_controllen = sizeof control;
    ssize_t n = API_CALL(api, sendmsg, fd[1], &msg, 0);
    say(r, "sendmsg with control %zd %s", n, error_of((int)n));
    static char huge[70000];
    struct iovec too_much[2] = {{huge, 40000}, {huge, 30000}};
    msg = (struct msghdr){.msg_iov = too_much, .msg_iovlen = 2, .msg_name = &sin};
    msg.msg_namelen = sizeof sin;
    n = API_CALL(api, sendmsg, fd[1], &msg, 0);
    say(r, "sendmsg of 70000 %zd %s", n, error_of((int)n));
    assert_int_equal(API_CALL(api, close, fd[0]), 0);
    assert_int_equal(API_CALL(api, close, fd[1]), 0);
}

static void datagrams_in_pieces(void **state)
{
    (void)state;
    on_both(datagram, 0);
}

/* ---- control messages --------------------------------------------------------------------------- */

static void inq(struct api *api, struct record *r, uint32_t seed)
{
    char byte[2], control[64];
    struct iovec iov = {byte, 2};
    int fd[2], on = 1, left = -1;
    (void)seed;
    api_connection(api, fd);
    on = API_CALL(api, setsockopt, fd[1], IPPROTO_TCP, TCP_INQ, &on, sizeof on);
    say(r, "TCP_INQ %d", on);
    assert_int_equal(API_CALL(api, send, fd[0], "12345", 5, 0), 5);
    assert_int_equal(API_CALL(api, shutdown, fd[0], SHUT_WR), 0);
    api_settle(api);
    for (unsigned i = 0; i < 5; i++) {
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
        msg.msg_controllen = i == 1 ? 4 : sizeof control;
        ssize_t n = API_CALL(api, recvmsg, fd[1], &msg, 0);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        if (c)
            memcpy(&left, CMSG_DATA(c), sizeof left);
        say(r, "recvmsg %zd, flags %#x, %d:%d %d left", n, (unsigned)msg.msg_flags,
            c ? c->cmsg_level : -1, c ? c->cmsg_type : -1, c ? left : -1);
    }
    assert_int_equal(API_CALL(api, close, fd[0]), 0);
    assert_int_equal(API_CALL(api, close, fd[1]), 0);
}

static void what_is_left_is_told(void **state)
{
    (void)state;
    on_both(inq, 0);
}

static void zerocopy(struct api *api, struct record *r, uint32_t seed)
{
    char control[256];
    int fd[2], on = 1;
    (void)seed;
    api_connection(api, fd);
    ssize_t n = API_CALL(api, setsockopt, fd[0], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on);
    say(r, "SO_ZEROCOPY %zd", n);
    for (unsigned i = 0; i < 3; i++)
        say(r, "send %zd", API_CALL(api, send, fd[0], "12345", 5, MSG_ZEROCOPY));
    api_settle(api);
    n = API_CALL(api, recv, fd[1], control, sizeof control, 0); /* Linux: done when it is read */
    say(r, "recv %zd", n);
    api_settle(api);
    for (unsigned i = 0; i < 2; i++) {
        struct msghdr msg = {.msg_control = control, .msg_controllen = sizeof control};
        struct sock_extended_err err = {0};
        struct pollfd pfd = {.fd = fd[0]};
        say(r, "poll %d %#x", API_CALL(api, poll, &pfd, 1, 0), (unsigned)pfd.revents);
        n = API_CALL(api, recvmsg, fd[0], &msg, MSG_ERRQUEUE);
        struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;
        if (c)
            memcpy(&err, CMSG_DATA(c), sizeof err);
        say(r,
            "recvmsg %zd %s flags %#x, %d:%d len %zu, errno %u origin %u info %u data %u code %u",
            n, error_of((int)n), n < 0 ? 0 : (unsigned)msg.msg_flags, c ? c->cmsg_level : -1,
            c ? c->cmsg_type : -1, c ? (size_t)c->cmsg_len : 0, err.ee_errno, err.ee_origin,
            err.ee_info, err.ee_data, err.ee_code);
    }
    assert_int_equal(API_CALL(api, close, fd[0]), 0);
    assert_int_equal(API_CALL(api, close, fd[1]), 0);
}

static void notes_of_zerocopy(void **state)
{
    (void)state;
    on_both(zerocopy, 0);
}

/* ---- select, fcntl ------------------------------------------------------------------------------ */

static void look_at(struct api *api, struct record *r, int fd, int n)
{
    struct timeval none = {0};
    fd_set sets[3];
    for (unsigned i = 0; i < 3; i++) {
        FD_ZERO(&sets[i]);
        FD_SET(fd, &sets[i]);
    }
    int rc = API_CALL(api, select, n, &sets[0], &sets[1], &sets[2], &none);
    say(r, "select %d %s: %d %d %d", rc, error_of(rc), FD_ISSET(fd, &sets[0]) != 0,
        FD_ISSET(fd, &sets[1]) != 0, FD_ISSET(fd, &sets[2]) != 0);
}

static void selecting(struct api *api, struct record *r, uint32_t seed)
{
    struct timeval wrong = {.tv_sec = -1}, soon = {.tv_usec = 2000};
    int fd[2], rc;
    (void)seed;
    api_connection(api, fd);
    look_at(api, r, fd[0], fd[0] + 1);
    assert_int_equal(API_CALL(api, send, fd[1], "x", 1, MSG_OOB), 1);
    api_settle(api);
    look_at(api, r, fd[0], fd[0] + 1);
    assert_int_equal(API_CALL(api, send, fd[1], "y", 1, 0), 1);
    api_settle(api);
    look_at(api, r, fd[0], fd[0] + 1);
    look_at(api, r, fd[0], fd[0]); /* below n only: the sets are left */
    look_at(api, r, 50, 51);       /* not open */
    rc = API_CALL(api, select, -1, NULL, NULL, NULL, &soon);
    say(r, "select %d %s", rc, error_of(rc));
    rc = API_CALL(api, select, 1, NULL, NULL, NULL, &wrong);
    say(r, "select %d %s", rc, error_of(rc));
    rc = API_CALL(api, select, 0, NULL, NULL, NULL, &soon);
    say(r, "select %d, left %ld", rc, (long)(soon.tv_sec * 1000000 + soon.tv_usec));
    assert_int_equal(API_CALL(api, close, fd[1]), 0);
    api_settle(api);
    look_at(api, r, fd[0], fd[0] + 1);
    assert_int_equal(API_CALL(api, close, fd[0]), 0);
}

static void select_is_poll(void **state)
{
    (void)state;
    on_both(selecting, 0);
}

static void flags_of(struct api *api, struct record *r, int fd)
{
    say(r, "flags %d %d", API_CALL(api, fcntl, fd, F_GETFD, 0),
        API_CALL(api, fcntl, fd, F_GETFL, 0));
}

static void descriptors(struct api *api, struct record *r, uint32_t seed)
{
    (void)seed;
    for (int flags = 0; flags < 4; flags++) {
        int type = SOCK_STREAM | (flags & 1 ? SOCK_CLOEXEC : 0) | (flags & 2 ? SOCK_NONBLOCK : 0);
        int fd = API_CALL(api, socket, AF_INET, type, 0);
        flags_of(api, r, fd);
        say(r, "%d", API_CALL(api, fcntl, fd, F_SETFD, flags & 1 ? 0 : FD_CLOEXEC));
        say(r, "%d", API_CALL(api, fcntl, fd, F_SETFL, flags & 2 ? 0 : O_NONBLOCK));
        flags_of(api, r, fd);
        assert_int_equal(API_CALL(api, close, fd), 0);
    }
    for (int flags = 0; flags <= EPOLL_CLOEXEC; flags += EPOLL_CLOEXEC) {
        int ep = API_CALL(api, epoll_create1, flags);
        flags_of(api, r, ep);
        assert_int_equal(API_CALL(api, close, ep), 0);
    }
    int rc = API_CALL(api, fcntl, 900, F_GETFD, 0);
    say(r, "%d %s", rc, error_of(rc));
}

static void flags_of_descriptors(void **state)
{
    (void)state;
    on_both(descriptors, 0);
}

/* ---- blocking ----------------------------------------------------------------------------------- */

static void *send_slowly(void *arg)
{
    struct pair *p = arg;
    int fd = weir_socket(p->host[0], AF_INET, SOCK_STREAM, 0);
    char block[1000];
    if (connect4(p->host[0], fd, "10.0.0.2", 9) != 0)
        return "connect";
    for (unsigned i = 0; i < 20; i++) {
        struct iovec iov[2] = {{block, 400}, {block + 400, 600}};
        memset(block, 'a' + (int)i, sizeof block);
        if (weir_writev(p->host[0], fd, iov, 2) != sizeof block)
            return "writev";
        sched_yield();
    }
    return weir_close(p->host[0], fd) == 0 ? NULL : "close";
}

/* A readv waits for something, and with MSG_WAITALL for everything. */
static void waiting_for_pieces(void **state)
{
    static char first[300], second[19700];
    struct iovec iov[2] = {{first, 299}, {second, 19701 - 1}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    struct pair p;
    pthread_t thread;
    void *wrong;
    (void)state;
    pair_make(&p, true, (struct weir_pipe_config){.kind = WEIR_NETIF_IP});
    pair_start(&p);
    int listener = listen4(&p, 9);
    assert_int_equal(pthread_create(&thread, NULL, send_slowly, &p), 0);
    int fd = weir_accept(p.host[1], listener, NULL, NULL);
    assert_int_equal(weir_recv(p.host[1], fd, first, 1, 0), 1);
    assert_int_equal(weir_recvmsg(p.host[1], fd, &msg, MSG_WAITALL), 19999);
    assert_int_equal(first[0], 'a');
    assert_int_equal(second[19699], 't');
    assert_int_equal(weir_readv(p.host[1], fd, iov, 2), 0); /* waits for the end */
    pthread_join(thread, &wrong);
    assert_null(wrong);
    pair_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_in_pieces),    cmocka_unit_test(datagrams_in_pieces),
        cmocka_unit_test(what_is_left_is_told), cmocka_unit_test(notes_of_zerocopy),
        cmocka_unit_test(select_is_poll),       cmocka_unit_test(flags_of_descriptors),
        cmocka_unit_test(waiting_for_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
