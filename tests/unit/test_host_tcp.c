/* SPDX-License-Identifier: MIT */
/* Connections through the blocking calls. Expectations are Linux's: tcp(7), socket(7), connect(2), recv(2). */
#include <fcntl.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "unit/host_pair.h"

static void make(struct pair *p, bool two_loops, bool offload)
{
    struct weir_pipe_config config = {.kind = WEIR_NETIF_IP};
    if (offload) {
        config.gso_max_bytes = 65535;
        config.csum_offload = true;
    }
    pair_make(p, two_loops, config);
    pair_start(p);
}

/* ---- echo by many threads ----------------------------------------------------------------------- */

enum { CLIENTS = 8, ROUNDS = 40, LONGEST = 40000 };

struct task {
    struct pair *p;
    int fd, result, error;
    uint32_t seed;
    bool good;
};

static uint32_t next_random(uint32_t *seed)
{
    return *seed = *seed * 1664525u + 1013904223u;
}

static void *echo_connection(void *arg)
{
    struct task t = *(struct task *)arg;
    uint8_t *buf = malloc(LONGEST);
    ssize_t n;
    free(arg);
    while ((n = weir_recv(t.p->host[1], t.fd, buf, LONGEST, 0)) > 0)
        if (weir_send(t.p->host[1], t.fd, buf, (size_t)n, 0) != n)
            break;
    weir_close(t.p->host[1], t.fd);
    free(buf);
    return NULL;
}

static void *echo_server(void *arg)
{
    struct task *t = arg;
    pthread_t threads[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct task *conn = malloc(sizeof *conn);
        *conn = *t;
        conn->fd = weir_accept(t->p->host[1], t->fd, NULL, NULL);
        pthread_create(&threads[i], NULL, echo_connection, conn);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    return NULL;
}

static void *echo_client(void *arg)
{
    struct task *t = arg;
    struct weir_host *host = t->p->host[0];
    uint8_t *out = malloc(LONGEST), *in = malloc(LONGEST);
    int fd = weir_socket(host, AF_INET, SOCK_STREAM, 0);
    bool good = connect4(host, fd, "10.0.0.2", 7) == 0;
    for (unsigned round = 0; round < ROUNDS && good; round++) {
        size_t len = 1 + next_random(&t->seed) % LONGEST;
        for (size_t i = 0; i < len; i++)
            out[i] = (uint8_t)(next_random(&t->seed) >> 24);
        good = weir_send(host, fd, out, len, 0) == (ssize_t)len &&
               weir_recv(host, fd, in, len, MSG_WAITALL) == (ssize_t)len &&
               memcmp(in, out, len) == 0;
    }
    good = good && weir_shutdown(host, fd, SHUT_WR) == 0 && weir_recv(host, fd, in, 1, 0) == 0;
    t->good = good && weir_close(host, fd) == 0;
    free(out);
    free(in);
    return NULL;
}

static void echo_by_eight_threads(bool two_loops, bool offload)
{
    pthread_t server, clients[CLIENTS];
    struct task task[CLIENTS], serve;
    struct pair p;
    make(&p, two_loops, offload);
    serve = (struct task){.p = &p, .fd = listen4(&p, 7)};
    pthread_create(&server, NULL, echo_server, &serve);
    for (unsigned i = 0; i < CLIENTS; i++) {
        task[i] = (struct task){.p = &p, .seed = i + 1};
        pthread_create(&clients[i], NULL, echo_client, &task[i]);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i], NULL);
        assert_true(task[i].good);
    }
    pthread_join(server, NULL);
    pair_free(&p);
}

static void echo_on_one_loop(void **state)
{
    (void)state;
    echo_by_eight_threads(false, true);
}

static void echo_between_two_loops(void **state)
{
    (void)state;
    echo_by_eight_threads(true, false);
}

/* ---- connect, accept ---------------------------------------------------------------------------- */

static void connect_is_refused(void **state)
{
    struct pair p;
    (void)state;
    make(&p, true, false);
    int fd = weir_socket(p.host[0], AF_INET, SOCK_STREAM, 0);
    assert_fails_with(connect4(p.host[0], fd, "10.0.0.2", 1), ECONNREFUSED);
    assert_fails_with(connect4(p.host[0], fd, "10.9.9.9", 1), ENETUNREACH);
    pair_free(&p);
}

static void names_of_a_connection(void **state)
{
    struct sockaddr_in sin;
    struct sockaddr_in6 sin6;
    struct pair p;
    socklen_t len = sizeof sin;
    (void)state;
    make(&p, false, false);
    int listener = weir_socket(p.host[1], AF_INET6, SOCK_STREAM, 0);
    sin6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(80)};
    assert_int_equal(weir_bind(p.host[1], listener, (struct sockaddr *)&sin6, sizeof sin6), 0);
    assert_int_equal(weir_listen(p.host[1], listener, 5), 0);
    int fd = weir_socket(p.host[0], AF_INET, SOCK_STREAM, 0);
    assert_fails_with(weir_getpeername(p.host[0], fd, (struct sockaddr *)&sin, &len), ENOTCONN);
    assert_int_equal(connect4(p.host[0], fd, "10.0.0.2", 80), 0);
    assert_int_equal(weir_getpeername(p.host[0], fd, (struct sockaddr *)&sin, &len), 0);
    assert_int_equal(len, sizeof sin);
    assert_int_equal(ntohl(sin.sin_addr.s_addr), 0x0a000002);
    assert_int_equal(ntohs(sin.sin_port), 80);
    assert_int_equal(weir_getsockname(p.host[0], fd, (struct sockaddr *)&sin, &len), 0);
    assert_int_equal(ntohl(sin.sin_addr.s_addr), 0x0a000001);

    struct sockaddr_in6 peer;
    len = sizeof peer;
    int conn = weir_accept(p.host[1], listener, (struct sockaddr *)&peer, &len);
    assert_true(conn >= 0);
    assert_int_equal(len, sizeof peer); /* an IPv6 socket shows IPv4 as mapped */
    assert_true(IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
    assert_int_equal(peer.sin6_port, sin.sin_port);
    pair_free(&p);
}

/* socket(7), connect(2): with a time-out set each call gives up as if it had not been to block. */
static void LNX_SO_17_blocked_calls_give_up_after_their_time(void **state)
{
    struct timeval short_time = {.tv_usec = 10000};
    static char block[100000];
    struct pair p;
    int fd[2];
    ssize_t n;
    (void)state;
    make(&p, false, false);
    int listener = listen4(&p, 80);
    weir_setsockopt(p.host[1], listener, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time);
    assert_fails_with(weir_accept(p.host[1], listener, NULL, NULL), EAGAIN);
    assert_fails_with(weir_accept4(p.host[1], listener, NULL, NULL, 77), EINVAL);

    connected_pair(&p, fd);
    weir_setsockopt(p.host[1], fd[1], SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time);
    assert_fails_with(weir_recv(p.host[1], fd[1], block, 1, 0), EAGAIN);
    weir_setsockopt(p.host[0], fd[0], SOL_SOCKET, SO_SNDTIMEO, &short_time, sizeof short_time);
    while ((n = weir_send(p.host[0], fd[0], block, sizeof block, 0)) > 0)
        continue;
    assert_int_equal(n, -1);
    assert_int_equal(errno, EAGAIN);

    int silent = weir_socket(p.host[0], AF_INET, SOCK_STREAM, 0);
    weir_setsockopt(p.host[0], silent, SOL_SOCKET, SO_SNDTIMEO, &short_time, sizeof short_time);
    assert_fails_with(connect4(p.host[0], silent, "10.0.0.77", 99), EINPROGRESS);
    assert_fails_with(connect4(p.host[0], silent, "10.0.0.77", 99), EALREADY);
    pair_free(&p);
}

static void connecting_without_blocking(void **state)
{
    struct pollfd pfd = {.events = POLLIN | POLLOUT};
    struct pair p;
    int error = -1;
    socklen_t len = sizeof error;
    (void)state;
    make(&p, true, false);
    int listener = listen4(&p, 80);
    pfd.fd = weir_socket(p.host[0], AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_fails_with(connect4(p.host[0], pfd.fd, "10.0.0.2", 80), EINPROGRESS);
    assert_int_equal(weir_poll(p.host[0], &pfd, 1, -1), 1);
    assert_int_equal(pfd.revents, POLLOUT);
    assert_int_equal(weir_getsockopt(p.host[0], pfd.fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
    assert_int_equal(error, 0);
    assert_int_equal(connect4(p.host[0], pfd.fd, "10.0.0.2", 80), 0); /* Linux: once */
    assert_fails_with(connect4(p.host[0], pfd.fd, "10.0.0.2", 80), EISCONN);
    int conn = weir_accept4(p.host[1], listener, NULL, NULL, SOCK_NONBLOCK);
    assert_fails_with(weir_recv(p.host[1], conn, &error, 1, 0), EAGAIN);

    int refused = weir_socket(p.host[0], AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_fails_with(connect4(p.host[0], refused, "10.0.0.2", 81), EINPROGRESS);
    pfd.fd = refused;
    assert_int_equal(weir_poll(p.host[0], &pfd, 1, -1), 1);
    assert_int_equal(pfd.revents, POLLIN | POLLOUT | POLLERR | POLLHUP);
    assert_int_equal(weir_getsockopt(p.host[0], refused, SOL_SOCKET, SO_ERROR, &error, &len), 0);
    assert_int_equal(error, ECONNREFUSED);
    pair_free(&p);
}

/* What these options tell comes with recvmsg(), which the host does not have. */
/* ---- send, recv --------------------------------------------------------------------------------- */

static void a_full_buffer_blocks_or_says_so(void **state)
{
    struct timeval short_time = {.tv_usec = 10000};
    static char block[100000];
    struct pair p;
    int fd[2], value = 0;
    (void)state;
    make(&p, false, true);
    connected_pair(&p, fd);
    weir_setsockopt(p.host[0], fd[0], SOL_SOCKET, SO_SNDTIMEO, &short_time, sizeof short_time);
    ssize_t n, total = 0;
    /* On a busy machine the 10 ms may be over before the peer has taken all it can. */
    do {
        while ((n = weir_send(p.host[0], fd[0], block, sizeof block, 0)) > 0)
            total += n;
        assert_int_equal(errno, EAGAIN);
        n = weir_send(p.host[0], fd[0], block, 1, MSG_DONTWAIT);
        total += n > 0 ? n : 0;
    } while (n > 0);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(weir_ioctl(p.host[1], fd[1], FIONREAD, &value), 0);
    assert_true(value > 0);
    int unsent = 0;
    assert_int_equal(weir_ioctl(p.host[0], fd[0], SIOCOUTQ, &unsent), 0);
    assert_true(unsent > 0 && value + unsent >= total);
    assert_int_equal(weir_shutdown(p.host[0], fd[0], SHUT_WR), 0);
    while ((n = weir_recv(p.host[1], fd[1], block, sizeof block, 0)) > 0)
        total -= n;
    assert_int_equal(n, 0);
    assert_int_equal(total, 0);
    pair_free(&p);
}

struct slow_send {
    struct pair *p;
    int fd;
};

static void *send_in_two(void *arg)
{
    struct slow_send *s = arg;
    weir_send(s->p->host[0], s->fd, "abc", 3, 0);
    weir_send(s->p->host[0], s->fd, "defgh", 5, 0);
    return NULL;
}

static void waiting_for_all(void **state)
{
    struct slow_send slow;
    struct pair p;
    pthread_t thread;
    char buf[16] = "";
    int fd[2];
    (void)state;
    make(&p, true, false);
    connected_pair(&p, fd);
    slow = (struct slow_send){&p, fd[0]};
    pthread_create(&thread, NULL, send_in_two, &slow);
    assert_int_equal(weir_recv(p.host[1], fd[1], buf, 8, MSG_WAITALL | MSG_PEEK), 8);
    memset(buf, 0, sizeof buf);
    assert_int_equal(weir_recv(p.host[1], fd[1], buf, 8, MSG_WAITALL), 8);
    assert_string_equal(buf, "abcdefgh");
    pthread_join(thread, NULL);
    weir_send(p.host[0], fd[0], "end", 3, 0);
    weir_shutdown(p.host[0], fd[0], SHUT_WR);
    assert_int_equal(weir_recv(p.host[1], fd[1], buf, 8, MSG_WAITALL), 3); /* the end comes first */
    assert_int_equal(weir_recv(p.host[1], fd[1], buf, 8, 0), 0);
    pair_free(&p);
}

static void half_close_and_then_the_other_half(void **state)
{
    struct pollfd pfd;
    struct pair p;
    char buf[8];
    int fd[2];
    (void)state;
    make(&p, true, false);
    connected_pair(&p, fd);
    assert_int_equal(weir_shutdown(p.host[0], fd[0], SHUT_WR), 0);
    assert_fails_with(weir_send(p.host[0], fd[0], "x", 1, 0), EPIPE);
    assert_int_equal(weir_recv(p.host[1], fd[1], buf, 8, 0), 0);
    assert_int_equal(weir_send(p.host[1], fd[1], "still", 5, 0), 5);
    assert_int_equal(weir_recv(p.host[0], fd[0], buf, 5, MSG_WAITALL), 5);
    assert_int_equal(weir_close(p.host[1], fd[1]), 0);
    assert_int_equal(weir_recv(p.host[0], fd[0], buf, 8, 0), 0);
    pfd = (struct pollfd){.fd = fd[0], .events = POLLIN | WEIR_POLLRDHUP};
    assert_int_equal(weir_poll(p.host[0], &pfd, 1, -1), 1);
    assert_int_equal(pfd.revents, POLLIN | WEIR_POLLRDHUP | POLLHUP);
    pair_free(&p);
}

/* ---- close -------------------------------------------------------------------------------------- */

static void *blocked_in_recv(void *arg)
{
    struct task *t = arg;
    char byte;
    t->result = (int)weir_recv(t->p->host[0], t->fd, &byte, 1, 0);
    t->error = errno;
    return NULL;
}

static void *blocked_in_accept(void *arg)
{
    struct task *t = arg;
    t->result = weir_accept(t->p->host[1], t->fd, NULL, NULL);
    t->error = errno;
    return NULL;
}

static void closing_ends_recv_and_accept(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        pthread_t threads[2];
        struct task tasks[2];
        struct pair p;
        int fd[2];
        make(&p, true, false);
        connected_pair(&p, fd);
        tasks[0] = (struct task){.p = &p, .fd = fd[0]};
        tasks[1] = (struct task){.p = &p, .fd = listen4(&p, 5)};
        pthread_create(&threads[0], NULL, blocked_in_recv, &tasks[0]);
        pthread_create(&threads[1], NULL, blocked_in_accept, &tasks[1]);
        assert_int_equal(weir_close(p.host[0], fd[0]), 0);
        assert_int_equal(weir_close(p.host[1], tasks[1].fd), 0);
        for (unsigned i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(tasks[i].result, -1);
            assert_int_equal(tasks[i].error, EBADF);
        }
        pair_free(&p);
    }
}

static void LNX_LING_3_linger_of_zero_resets(void **state)
{
    struct weir_linger now = {1, 0};
    struct pair p;
    char byte;
    int fd[2];
    (void)state;
    make(&p, true, false);
    connected_pair(&p, fd);
    assert_int_equal(weir_setsockopt(p.host[0], fd[0], SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    assert_int_equal(weir_close(p.host[0], fd[0]), 0);
    assert_fails_with(weir_recv(p.host[1], fd[1], &byte, 1, 0), ECONNRESET);
    assert_int_equal(weir_recv(p.host[1], fd[1], &byte, 1, 0), 0);
    pair_free(&p);
}

/* RFC 9293 3.10.4 leaves it to the interface; socket(7): close() returns when all is acknowledged. On Linux
 * it waits on a socket that otherwise does not block, too. */
static void LNX_LING_2_LNX_LING_4_timed_linger_waits_for_the_last_ack(void **state)
{
    struct weir_linger long_time = {1, 60};
    static char block[50000];
    struct pair p;
    int fd[2], value;
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        make(&p, i % 2, false);
        connected_pair(&p, fd);
        assert_int_equal(
            weir_setsockopt(p.host[0], fd[0], SOL_SOCKET, SO_LINGER, &long_time, sizeof long_time),
            0);
        assert_int_equal(weir_send(p.host[0], fd[0], block, sizeof block, 0), sizeof block);
        if (i / 2)
            assert_int_equal(weir_fcntl(p.host[0], fd[0], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(weir_close(p.host[0], fd[0]), 0);
        assert_int_equal(weir_ioctl(p.host[1], fd[1], FIONREAD, &value), 0);
        assert_int_equal(value, sizeof block); /* all of it is there when close() has returned */
        pair_free(&p);
    }
}

/* socket(7): the peer is silent until the time of SO_LINGER is over; then close() returns, and the
 * connection goes on without its owner: the peer gets every byte and an orderly end. */
static void LNX_LING_2_after_its_time_close_goes_on_behind(void **state)
{
    struct weir_linger one_second = {1, 1};
    static char block[10000];
    struct pair p;
    int fd[2];
    size_t got = 0;
    ssize_t n;
    (void)state;
    make(&p, true, false);
    connected_pair(&p, fd);
    weir_setsockopt(p.host[0], fd[0], SOL_SOCKET, SO_LINGER, &one_second, sizeof one_second);
    weir_loop_stop(p.loop[1]);
    assert_int_equal(weir_send(p.host[0], fd[0], block, sizeof block, 0), sizeof block);
    weir_time before = weir_now();
    assert_int_equal(weir_close(p.host[0], fd[0]), 0);
    assert_true(weir_now() - before >=
                WEIR_SEC); /* not less; how much more is the machine's affair */
    assert_int_equal(weir_loop_start(p.loop[1]), 0);
    while ((n = weir_recv(p.host[1], fd[1], block, sizeof block, 0)) > 0)
        got += (size_t)n;
    assert_int_equal(n, 0);
    assert_int_equal(got, sizeof block);
    pair_free(&p);
}

static void a_freed_host_resets_its_connections(void **state)
{
    struct pair p;
    char byte;
    int fd[2];
    (void)state;
    make(&p, true, false);
    connected_pair(&p, fd);
    weir_host_free(p.host[0]);
    p.host[0] = NULL;
    assert_fails_with(weir_recv(p.host[1], fd[1], &byte, 1, 0), ECONNRESET);
    pair_free(&p);
}

/* ---- no threads at all -------------------------------------------------------------------------- */

static void everything_in_one_thread(void **state)
{
    struct pair p;
    char buf[8] = "";
    (void)state;
    pair_make(&p, false, (struct weir_pipe_config){.kind = WEIR_NETIF_ETHERNET});
    int listener = listen4(&p, 80);
    int fd = weir_socket(p.host[0], AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect4(p.host[0], fd, "10.0.0.2", 80) != 0)
        assert_int_equal(errno, EINPROGRESS);
    int conn =
        weir_accept(p.host[1], listener, NULL, NULL); /* the handshake was carried in connect */
    assert_true(conn >= 0);
    assert_int_equal(weir_send(p.host[0], fd, "hello", 5, 0), 5);
    assert_int_equal(weir_recv(p.host[1], conn, buf, sizeof buf, MSG_DONTWAIT), 5);
    assert_string_equal(buf, "hello");
    pair_free(&p);
}

/* TIME-WAIT, a connection under way, delayed ACKs and neighbours: all have timers when the host goes. */
static void a_host_goes_with_timers_running(void **state)
{
    struct pair p;
    int fd[2];
    (void)state;
    for (unsigned first = 0; first < 2; first++) {
        pair_make(&p, false, (struct weir_pipe_config){.kind = WEIR_NETIF_ETHERNET});
        pair_start(&p);
        connected_pair(&p, fd);
        assert_int_equal(weir_close(p.host[first], fd[first]), 0);
        assert_int_equal(weir_close(p.host[1 - first], fd[1 - first]), 0);
        connected_pair(&p, fd);
        assert_int_equal(weir_send(p.host[0], fd[0], "x", 1, 0), 1);
        int none = weir_socket(p.host[0], AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_fails_with(connect4(p.host[0], none, "10.0.0.77", 99), EINPROGRESS);
        pair_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_on_one_loop),
        cmocka_unit_test(echo_between_two_loops),
        cmocka_unit_test(connect_is_refused),
        cmocka_unit_test(names_of_a_connection),
        cmocka_unit_test(LNX_SO_17_blocked_calls_give_up_after_their_time),
        cmocka_unit_test(connecting_without_blocking),
        cmocka_unit_test(a_full_buffer_blocks_or_says_so),
        cmocka_unit_test(waiting_for_all),
        cmocka_unit_test(half_close_and_then_the_other_half),
        cmocka_unit_test(closing_ends_recv_and_accept),
        cmocka_unit_test(LNX_LING_3_linger_of_zero_resets),
        cmocka_unit_test(LNX_LING_2_LNX_LING_4_timed_linger_waits_for_the_last_ack),
        cmocka_unit_test(LNX_LING_2_after_its_time_close_goes_on_behind),
        cmocka_unit_test(a_freed_host_resets_its_connections),
        cmocka_unit_test(everything_in_one_thread),
        cmocka_unit_test(a_host_goes_with_timers_running),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
