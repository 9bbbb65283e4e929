/* SPDX-License-Identifier: MIT */
/* Datagrams through the blocking calls. Expectations are Linux's: udp(7), recv(2), poll(2). */
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "unit/host_pair.h"

static void make(struct pair *p, bool two_loops)
{
    pair_make(p, two_loops, (struct weir_pipe_config){.kind = WEIR_NETIF_IP});
    pair_start(p);
}

static int bound(struct weir_host *host, const char *text, unsigned port)
{
    int fd = weir_socket(host, AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind4(host, fd, text, port), 0);
    return fd;
}

static void there_and_back(bool two_loops)
{
    struct pair p;
    char buf[2000];
    make(&p, two_loops);
    int a = bound(p.host[0], "10.0.0.1", 1000), b = bound(p.host[1], "0.0.0.0", 2000);
    struct sockaddr_in to = address4("10.0.0.2", 2000), from;
    for (size_t len = 0; len < 1400; len += 100) {
        socklen_t from_len = sizeof from;
        memset(buf, (int)len, len);
        assert_int_equal(weir_sendto(p.host[0], a, buf, len, 0, (struct sockaddr *)&to, sizeof to),
                         len);
        assert_int_equal(
            weir_recvfrom(p.host[1], b, buf, sizeof buf, 0, (struct sockaddr *)&from, &from_len),
            len);
        assert_int_equal(from_len, sizeof from);
        assert_int_equal(ntohs(from.sin_port), 1000);
        assert_int_equal(ntohl(from.sin_addr.s_addr), 0x0a000001);
        assert_int_equal(weir_sendto(p.host[1], b, buf, len, 0, (struct sockaddr *)&from, from_len),
                         len);
        assert_int_equal(weir_recv(p.host[0], a, buf, sizeof buf, 0), len);
    }
    pair_free(&p);
}

static void datagrams_on_one_loop(void **state)
{
    (void)state;
    there_and_back(false);
}

static void datagrams_between_two_loops(void **state)
{
    (void)state;
    there_and_back(true);
}

static void nothing_there(void **state)
{
    struct timeval short_time = {.tv_usec = 20000}, got = {0};
    socklen_t len = sizeof got;
    struct pair p;
    char byte;
    (void)state;
    make(&p, false);
    int fd = bound(p.host[0], "10.0.0.1", 5);
    assert_fails_with(weir_recv(p.host[0], fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    assert_int_equal(
        weir_setsockopt(p.host[0], fd, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time), 0);
    assert_int_equal(weir_getsockopt(p.host[0], fd, SOL_SOCKET, SO_RCVTIMEO, &got, &len), 0);
    assert_int_equal(got.tv_usec, 20000);
    weir_time before = weir_now();
    assert_fails_with(weir_recv(p.host[0], fd, &byte, 1, 0), EAGAIN);
    assert_true(weir_now() - before >= 20 * WEIR_MS); /* never early */
    assert_int_equal(weir_fcntl(p.host[0], fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(weir_fcntl(p.host[0], fd, F_GETFL, 0) & O_NONBLOCK, O_NONBLOCK);
    assert_fails_with(weir_recv(p.host[0], fd, &byte, 1, 0), EAGAIN);
    pair_free(&p);
}

static void descriptors_are_the_lowest_free(void **state)
{
    struct pair p;
    (void)state;
    make(&p, false);
    for (int i = 0; i < 40; i++)
        assert_int_equal(weir_socket(p.host[0], AF_INET, SOCK_DGRAM, 0), i);
    assert_int_equal(weir_close(p.host[0], 7), 0);
    assert_int_equal(weir_close(p.host[0], 3), 0);
    assert_fails_with(weir_close(p.host[0], 3), EBADF);
    assert_int_equal(weir_socket(p.host[0], AF_INET6, SOCK_DGRAM, 0), 3);
    assert_int_equal(weir_socket(p.host[0], AF_INET6, SOCK_DGRAM, 0), 7);
    assert_int_equal(weir_socket(p.host[0], AF_INET6, SOCK_DGRAM, 0), 40);
    assert_fails_with(weir_socket(p.host[0], AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT);
    assert_fails_with(weir_send(p.host[0], 41, "", 0, 0), EBADF);
    assert_int_equal(weir_host_sock(p.host[0], -1), 0);
    pair_free(&p);
}

static void addresses_are_checked(void **state)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = address4("10.0.0.1", 1);
    struct pair p;
    (void)state;
    make(&p, false);
    int fd = weir_socket(p.host[0], AF_INET, SOCK_DGRAM, 0);
    int fd6 = weir_socket(p.host[0], AF_INET6, SOCK_DGRAM, 0);
    assert_fails_with(weir_bind(p.host[0], fd, (struct sockaddr *)&six, sizeof six), EAFNOSUPPORT);
    assert_fails_with(weir_bind(p.host[0], fd, (struct sockaddr *)&four, 8), EINVAL);
    assert_fails_with(weir_bind(p.host[0], fd6, (struct sockaddr *)&four, sizeof four), EINVAL);
    assert_fails_with(connect4(p.host[0], fd6, "10.0.0.2", 1), EINVAL);
    pair_free(&p);
}

static void refused_by_icmp(void **state)
{
    struct pair p;
    char byte;
    (void)state;
    make(&p, true);
    int fd = weir_socket(p.host[0], AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(connect4(p.host[0], fd, "10.0.0.2", 999), 0);
    assert_int_equal(weir_send(p.host[0], fd, "x", 1, 0), 1);
    assert_fails_with(weir_recv(p.host[0], fd, &byte, 1, 0), ECONNREFUSED);
    pair_free(&p);
}

struct task {
    struct pair *p;
    int fd, result, error;
    short revents;
};

static void *blocked_in_recv(void *arg)
{
    struct task *t = arg;
    char byte;
    t->result = (int)weir_recv(t->p->host[0], t->fd, &byte, 1, 0);
    t->error = errno;
    return NULL;
}

static void *blocked_in_poll(void *arg)
{
    struct task *t = arg;
    struct pollfd pfd = {.fd = t->fd, .events = POLLIN};
    t->result = weir_poll(t->p->host[0], &pfd, 1, -1);
    t->revents = pfd.revents;
    return NULL;
}

/* Whether the other thread is blocked already or not, the outcome must be the same. */
static void closing_ends_what_is_blocked(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        pthread_t threads[4];
        struct task tasks[4];
        struct pair p;
        make(&p, false);
        int fd = bound(p.host[0], "10.0.0.1", 5);
        for (unsigned i = 0; i < 4; i++) {
            tasks[i] = (struct task){.p = &p, .fd = fd};
            pthread_create(&threads[i], NULL, i % 2 ? blocked_in_recv : blocked_in_poll, &tasks[i]);
        }
        assert_int_equal(weir_close(p.host[0], fd), 0);
        for (unsigned i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(tasks[i].result, i % 2 ? -1 : 1);
            assert_int_equal(i % 2 ? tasks[i].error : tasks[i].revents, i % 2 ? EBADF : POLLNVAL);
        }
        pair_free(&p);
    }
}

static void poll_over_many(void **state)
{
    enum { MANY = 40 };
    struct pollfd fds[MANY + 2];
    struct pair p;
    char byte;
    (void)state;
    make(&p, true);
    for (int i = 0; i < MANY; i++) {
        int fd = bound(p.host[0], "10.0.0.1", 100 + (unsigned)i);
        fds[i] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    fds[MANY] = (struct pollfd){.fd = -1, .events = POLLIN, .revents = 1};
    assert_int_equal(weir_poll(p.host[0], fds, MANY + 1, 0), 0);
    assert_int_equal(weir_poll(p.host[0], fds, MANY + 1, 5), 0);
    assert_int_equal(fds[MANY].revents, 0);
    fds[MANY + 1] = (struct pollfd){.fd = 1234, .events = POLLIN};
    assert_int_equal(weir_poll(p.host[0], fds, MANY + 2, -1), 1);
    assert_int_equal(fds[MANY + 1].revents, POLLNVAL);
    int out = weir_socket(p.host[1], AF_INET, SOCK_DGRAM, 0);
    for (int i = MANY - 1; i >= 0; i--) {
        struct sockaddr_in to = address4("10.0.0.1", 100 + (unsigned)i);
        assert_int_equal(weir_sendto(p.host[1], out, "x", 1, 0, (struct sockaddr *)&to, sizeof to),
                         1);
        assert_int_equal(weir_poll(p.host[0], fds, MANY + 1, -1), 1);
        assert_int_equal(fds[i].revents, POLLIN);
        assert_int_equal(weir_recv(p.host[0], fds[i].fd, &byte, 1, 0), 1);
    }
    fds[0].events = POLLOUT | POLLWRNORM;
    assert_int_equal(weir_poll(p.host[0], fds, 1, -1), 1);
    assert_int_equal(fds[0].revents, POLLOUT | POLLWRNORM);
    pair_free(&p);
}

enum { EACH = 500 };

static void *udp_client(void *arg)
{
    struct task *t = arg;
    struct timeval timeout = {.tv_sec = 1};
    int fd = weir_socket(t->p->host[0], AF_INET, SOCK_DGRAM, 0);
    weir_setsockopt(t->p->host[0], fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    if (connect4(t->p->host[0], fd, "10.0.0.2", 7) != 0)
        return NULL;
    for (int i = 0; i < EACH; i++) {
        int back = -1;
        if (weir_send(t->p->host[0], fd, &i, sizeof i, 0) == sizeof i &&
            weir_recv(t->p->host[0], fd, &back, sizeof back, 0) == sizeof back && back == i)
            t->result++;
    }
    weir_close(t->p->host[0], fd);
    return NULL;
}

static void *udp_server(void *arg)
{
    struct task *t = arg;
    for (;;) {
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        int number;
        ssize_t n = weir_recvfrom(t->p->host[1], t->fd, &number, sizeof number, 0,
                                  (struct sockaddr *)&from, &len);
        if (n < 0)
            return NULL;
        weir_sendto(t->p->host[1], t->fd, &number, (size_t)n, 0, (struct sockaddr *)&from, len);
    }
}

static void many_threads_ask(void **state)
{
    (void)state;
    for (unsigned two_loops = 0; two_loops < 2; two_loops++) {
        pthread_t clients[8], servers[3];
        struct task task[8], server;
        struct pair p;
        make(&p, two_loops);
        server = (struct task){.p = &p, .fd = bound(p.host[1], "10.0.0.2", 7)};
        for (unsigned i = 0; i < 3; i++)
            pthread_create(&servers[i], NULL, udp_server, &server);
        for (unsigned i = 0; i < 8; i++) {
            task[i] = (struct task){.p = &p};
            pthread_create(&clients[i], NULL, udp_client, &task[i]);
        }
        for (unsigned i = 0; i < 8; i++) {
            pthread_join(clients[i], NULL);
            assert_int_equal(task[i].result, EACH);
        }
        assert_int_equal(weir_close(p.host[1], server.fd), 0);
        for (unsigned i = 0; i < 3; i++)
            pthread_join(servers[i], NULL);
        pair_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_on_one_loop),
        cmocka_unit_test(datagrams_between_two_loops),
        cmocka_unit_test(nothing_there),
        cmocka_unit_test(descriptors_are_the_lowest_free),
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(refused_by_icmp),
        cmocka_unit_test(closing_ends_what_is_blocked),
        cmocka_unit_test(poll_over_many),
        cmocka_unit_test(many_threads_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
