/* SPDX-License-Identifier: MIT */
/*
 * How a loop that runs waits for its links (host/looppoll.c): by poll(2) for a few, by the epoll set for the others, and for
 * whom a descriptor means nothing. A link is one end of a pair of sockets, and the test has the other.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/looppoll.h"
#include "unit/fd_link.h"
#include "unit/host_pair.h"

enum { MANY = LINKS_POLLED + 3, PATIENCE_MS = 200000 };

struct wire {
    struct fd_link at; /* the host's end */
    int far;           /* the test's */
    unsigned asked;
    unsigned more; /* frames without a descriptor */
    uint8_t buf[256];
};

static struct weir_loop *loop;
static _Thread_local struct weir_host *host;
static _Thread_local struct wire *wires[MANY];

/* ---- the link ----------------------------------------------------------------------------------- */

static int wire_send(struct weir_link *link, const struct weir_out *out, weir_time now)
{
    uint8_t frame[256];
    size_t len = out->head_len;
    (void)now;
    memcpy(frame, out->head, len);
    for (unsigned i = 0; i < out->n_spans; i++) {
        memcpy(frame + len, out->span[i].ptr, out->span[i].len);
        len += out->span[i].len;
    }
    if (send(((struct fd_link *)link)->fd, frame, len, MSG_DONTWAIT) == (ssize_t)len)
        return 0;
    assert_int_equal(errno, EAGAIN);
    return WEIR_EAGAIN;
}

static int wire_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    struct wire *wire = (struct wire *)link;
    ssize_t n = recv(wire->at.fd, wire->buf, sizeof wire->buf, MSG_DONTWAIT);
    (void)now;
    wire->asked++;
    if (wire->more > 0 && wire->more-- > 0)
        n = sizeof wire->buf; /* of zeros: dropped */
    *frame = (struct weir_frame){.data = wire->buf, .len = n > 0 ? (size_t)n : 0};
    return n > 0;
}

static const struct weir_link_ops wire_ops = {
    .send = wire_send,
    .recv = wire_recv,
    .deadline = fd_link_deadline,
    .fd = fd_link_fd,
    .free = fd_link_free,
};

/* The i-th link, at 10.0.i.2. */
static void add_wire(int i, int fd, int far)
{
    struct wire *wire = calloc(1, sizeof *wire);
    char addr[32];
    int ifindex;
    assert_non_null(wire);
    *wire = (struct wire){.at = {{.ops = &wire_ops}, fd}, .far = far};
    wire->at.link.netif = (struct weir_netif_config){.kind = WEIR_NETIF_IP, .mtu = 1500};
    ifindex = weir_host_add_link(host, &wire->at.link);
    assert_true(ifindex > 0);
    (void)snprintf(addr, sizeof addr, "10.0.%d.2/24", i);
    assert_int_equal(weir_host_add_addr(host, ifindex, addr), 0);
    wires[i] = wire;
}

static void add_pair(int i)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    add_wire(i, fds[0], fds[1]);
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(weir_loop_new(&loop), 0);
    assert_int_equal(weir_host_new(loop, NULL, &host), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weir_host_free(host);
    host = NULL;
    return weir_loop_free(loop);
}

/* ---- pings -------------------------------------------------------------------------------------- */

/* An echo request of ICMP (RFC 792), from 10.0.i.1 to 10.0.i.2. */
static void ping(int i)
{
    uint8_t frame[28] = {0x45,       0, 0,  28, 0,          0, 0x40, 0, 64,   1,    0, 0, 10, 0,
                         (uint8_t)i, 1, 10, 0,  (uint8_t)i, 2, 8,    0, 0xf7, 0xff, 0, 0, 0,  0};
    unsigned sum = 0;
    for (unsigned k = 0; k < 20; k += 2)
        sum += (unsigned)frame[k] << 8 | frame[k + 1];
    sum = ~(sum + (sum >> 16));
    frame[10] = (uint8_t)(sum >> 8);
    frame[11] = (uint8_t)sum;
    assert_int_equal(send(wires[i]->far, frame, sizeof frame, 0), sizeof frame);
}

/* Its answer comes, from the loop's thread. */
static void answered(int i)
{
    struct pollfd wait = {.fd = wires[i]->far, .events = POLLIN};
    uint8_t frame[256];
    assert_int_equal(poll(&wait, 1, PATIENCE_MS), 1);
    assert_int_equal(recv(wires[i]->far, frame, sizeof frame, 0), 28);
    assert_int_equal(frame[20], 0); /* echo reply */
}

/* Until the loop's thread has nothing to do. */
static void until_it_sleeps(void)
{
    while (atomic_load(&loop->nap) == 0)
        sched_yield();
}

static void each_link_is_heard(int n)
{
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < n; i++) {
            until_it_sleeps();
            ping(i);
            answered(i);
        }
}

/* ---- the CPU ------------------------------------------------------------------------------------ */

/* While `offered` is set the loop's clock, its yielding and its sleeping are the test's: each look at the clock takes a
 * microsecond, and a sleep is ended by a ping, or for good when there have been so many. */
static void (*offered)(void); /* has the CPU when it is offered; NULL: whoever is ready */
static unsigned pings, offers, sleeps, sleeps_most;
static weir_time passed;

weir_time weir_now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return offered ? passed += WEIR_US : at.tv_sec * WEIR_SEC + at.tv_nsec;
}

int sched_yield(void)
{
    if (!offered)
        return (int)syscall(SYS_sched_yield);
    offers++;
    offered();
    return 0;
}

int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    if (offered && timeout_ms < 0 && ++sleeps == sleeps_most)
        weir_loop_stop(loop);
    else if (offered && timeout_ms < 0)
        ping(0);
    return (int)syscall(SYS_poll, fds, n, timeout_ms);
}

static void nobody(void)
{
}

static void peer(void)
{
    if (pings > 0 && pings-- > 0)
        ping(0);
}

/* Does something else first. */
static void slow_peer(void)
{
    passed += WEIR_MS;
    ping(0);
}

/* With a peer that has so many pings to answer, until the loop has slept so often. */
static void run_with(void (*fn)(void), unsigned n_pings, unsigned n_sleeps)
{
    add_pair(0);
    passed = weir_now();
    pings = n_pings;
    sleeps_most = n_sleeps;
    offers = sleeps = 0;
    offered = fn;
    assert_int_equal(weir_loop_run(loop), 0);
    offered = NULL;
    assert_int_equal(sleeps, n_sleeps);
    close(wires[0]->far);
}

/* ---- tests -------------------------------------------------------------------------------------- */

static void many_links_are_heard_while_it_runs_and_by_steps(void **state)
{
    unsigned polled = 0;
    (void)state;
    for (int i = 0; i < MANY; i++)
        add_pair(i);
    for (int times = 0; times < 2; times++) {
        assert_int_equal(weir_loop_start(loop), 0);
        each_link_is_heard(MANY);
        (void)weir_host_lock(host);
        for (const struct wr_attach *a = host->links; a; a = a->next) {
            assert_int_not_equal(a->polled, a->watched);
            polled += a->polled;
        }
        weir_host_unlock(host);
        weir_loop_stop(loop);
        for (int i = 0; i < MANY; i++) {
            struct pollfd wait = {.fd = weir_loop_fd(loop), .events = POLLIN};
            ping(i);
            assert_int_equal(poll(&wait, 1, PATIENCE_MS), 1);
            assert_int_equal(weir_loop_step(loop, 0), 0);
            answered(i);
        }
    }
    assert_int_equal(polled, 2 * LINKS_POLLED);
    for (int i = 0; i < MANY; i++)
        close(wires[i]->far);
}

/* Nobody holds its descriptor when weir_host_free() has returned: the other end is told. Also when another thread has asked
 * for all links to be the epoll set's, as weir_loop_step() within a callback does. */
static void a_link_goes_with_its_host_while_the_loop_sleeps(void **state)
{
    (void)state;
    for (int times = 0; times < 20; times++) {
        add_pair(0);
        int far = wires[0]->far;
        if (times == 0)
            assert_int_equal(weir_loop_start(loop), 0);
        ping(0);
        answered(0);
        until_it_sleeps();
        (void)weir_host_lock(host);
        if (times % 2 == 1)
            wr_loop_poll_end(loop);
        weir_host_unlock(host);
        weir_host_free(host);
        struct pollfd wait = {.fd = far, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 0), 1);
        assert_true(wait.revents & POLLHUP);
        close(far);
        assert_int_equal(weir_host_new(loop, NULL, &host), 0);
    }
    weir_loop_stop(loop);
}

static struct wr_attach *nth_link(int i)
{
    struct wr_attach *a = host->links;
    for (; i > 0; i--)
        a = a->next;
    return a;
}

static bool waits_for_room(int i)
{
    (void)weir_host_lock(host);
    bool waits = nth_link(i)->has_pending;
    weir_host_unlock(host);
    return waits;
}

/* A link that waits for room is the epoll set's, and one behind it is polled instead. */
static void links_without_room_leave_their_place_to_others(void **state)
{
    uint8_t frame[256];
    (void)state;
    for (int i = 0; i < MANY; i++)
        add_pair(i);
    assert_int_equal(weir_loop_start(loop), 0);
    for (int i = 0; i < MANY; i++) {
        while (!waits_for_room(i))
            ping(i);
        for (int other = 0; other < MANY; other++)
            if (other != i) {
                until_it_sleeps();
                ping(other);
                answered(other);
            }
        assert_true(waits_for_room(i));
        for (bool waits = true; waits;) {
            waits = waits_for_room(i);
            while (recv(wires[i]->far, frame, sizeof frame, MSG_DONTWAIT) == 28)
                continue;
        }
        each_link_is_heard(MANY);
    }
    weir_loop_stop(loop);
    for (int i = 0; i < MANY; i++)
        close(wires[i]->far);
}

static void *come_and_go(void *arg)
{
    for (int times = 0; times < 50; times++) {
        struct pollfd wait = {.events = POLLIN};
        assert_int_equal(weir_host_new(loop, NULL, &host), 0);
        add_pair(0);
        wait.fd = wires[0]->far;
        ping(0);
        answered(0);
        weir_host_free(host);
        assert_int_equal(poll(&wait, 1, 0), 1);
        assert_true(wait.revents & POLLHUP);
        close(wait.fd);
    }
    return arg;
}

/* More than are polled, each by a thread of its own, while others sleep or send: the number of a descriptor is at once that
 * of another link's. */
static void links_of_many_threads_come_and_go(void **state)
{
    pthread_t threads[MANY];
    (void)state;
    assert_int_equal(weir_loop_start(loop), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    weir_loop_stop(loop);
}

static void stop(void *arg, weir_time now)
{
    (void)now;
    weir_loop_stop(arg);
}

/* As often as somebody answers, and once more. */
static void a_peer_on_the_same_cpu_has_it_before_the_loop_sleeps(void **state)
{
    (void)state;
    run_with(peer, 100, 1);
    assert_int_equal(offers, 101);
}

/* After each offer that takes long twice as many sleeps are left out, and one: 1 + 3 + 7 + 15 + 31 + 63 are 120. */
static void the_cpu_is_not_offered_to_who_keeps_it(void **state)
{
    (void)state;
    run_with(slow_peer, 0, 120);
    assert_int_equal(offers, 6);
}

/* Nor where the peers have CPUs of their own: what is offered for nothing ends in a sleep, too. */
static void the_cpu_is_not_offered_for_nothing(void **state)
{
    (void)state;
    run_with(nobody, 0, 120);
    assert_int_equal(offers, 6);
}

/* What is always readable would keep poll(2) from ever sleeping. */
static void a_descriptor_that_says_nothing_is_left_to_the_epoll_set(void **state)
{
    (void)state;
    add_wire(0, eventfd(1, EFD_NONBLOCK), -1);
    add_pair(1);
    assert_int_equal(weir_loop_alarm(loop, weir_time_after(weir_now(), 20 * WEIR_MS), stop, loop),
                     0);
    assert_int_equal(weir_loop_run(loop), 0);
    assert_in_range(wires[0]->asked, 1, 50);
    assert_int_equal(weir_loop_start(loop), 0);
    ping(1);
    answered(1);
    weir_loop_stop(loop);
    close(wires[1]->far);
}

static bool has_answer(int i)
{
    uint8_t frame[256];
    return recv(wires[i]->far, frame, sizeof frame, MSG_DONTWAIT) == 28;
}

static void step_and_stop(void *arg, weir_time now)
{
    weir_time until = weir_time_after(now, PATIENCE_MS * WEIR_MS);
    ping(0);
    while (!has_answer(0) && weir_now() < until)
        (void)weir_loop_step(arg, 100 * WEIR_MS);
    assert_true(weir_now() < until);
    weir_loop_stop(arg);
}

/* A callback may call weir_loop_step() (host.h). */
static void a_step_within_a_turn_hears_its_links(void **state)
{
    (void)state;
    add_pair(0);
    assert_int_equal(
        weir_loop_alarm(loop, weir_time_after(weir_now(), 5 * WEIR_MS), step_and_stop, loop), 0);
    assert_int_equal(weir_loop_run(loop), 0);
    close(wires[0]->far);
}

/* Who gives up its right to more descriptors may not give poll(2) that many either: EINVAL. */
static void links_are_heard_where_poll_is_refused(void **state)
{
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    struct rlimit limit, none;
    uint8_t frame[256];
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    for (int i = 0; i < 2; i++) {
        add_pair(i);
        assert_int_equal(
            setsockopt(wires[i]->far, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    }
    assert_int_equal(weir_loop_start(loop), 0);
    until_it_sleeps();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 10; i++) {
        ping(i % 2);
        assert_int_equal(recv(wires[i % 2]->far, frame, sizeof frame, 0), 28);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    weir_loop_stop(loop);
    for (int i = 0; i < 2; i++)
        close(wires[i]->far);
}

static void *run(void *arg)
{
    assert_int_equal(weir_loop_run(arg), 0);
    return NULL;
}

/* What is left when it is stopped is told by the descriptor that is waited for then: the last turn takes in some thousand
 * frames, of a link without a descriptor. */
static void work_left_by_a_run_is_told(void **state)
{
    struct pollfd wait = {.fd = weir_loop_fd(loop), .events = POLLIN};
    pthread_t thread;
    (void)state;
    add_wire(0, -1, -1);
    add_pair(1);
    assert_int_equal(pthread_create(&thread, NULL, run, loop), 0);
    until_it_sleeps();
    (void)weir_host_lock(host);
    wires[0]->more = 10000;
    host->links->kick = true;
    weir_loop_stop(loop);
    weir_host_unlock(host);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_in_range(wires[0]->more, 1, 9999);
    for (unsigned before = 10000; wires[0]->more > 0; assert_true(wires[0]->more < before)) {
        before = wires[0]->more;
        assert_int_equal(poll(&wait, 1, 0), 1);
        assert_int_equal(weir_loop_step(loop, 0), 0);
    }
    close(wires[1]->far);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_links_are_heard_while_it_runs_and_by_steps, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_link_goes_with_its_host_while_the_loop_sleeps, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_peer_on_the_same_cpu_has_it_before_the_loop_sleeps, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_cpu_is_not_offered_to_who_keeps_it, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cpu_is_not_offered_for_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_descriptor_that_says_nothing_is_left_to_the_epoll_set,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(links_without_room_leave_their_place_to_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(links_of_many_threads_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(a_step_within_a_turn_hears_its_links, setup, teardown),
        cmocka_unit_test_setup_teardown(links_are_heard_where_poll_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(work_left_by_a_run_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
