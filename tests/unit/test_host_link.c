/* SPDX-License-Identifier: MIT */
/*
 * How a host drives a link that has a descriptor: what leaves in one frame, how often the link is read for
 * nothing, and what becomes of a frame that it does not take. The link is a pair of datagram sockets with a host
 * and a loop at each end; all calls are counted.
 */
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/fd_link.h"
#include "unit/host_pair.h"

enum { PORT = 7, TRIPS = 320 };

struct wire {
    struct fd_link at;
    unsigned sent, refused, taken, empty; /* calls, by what they did */
    unsigned taken_first;                 /* `taken` when `sent` was 0 for the last time */
    unsigned
        hidden; /* the empty read, counted, that finds a ping which the descriptor does not tell of; 0: none */
    bool gone;                 /* reading says that the link is no more */
    bool cut;                  /* and sending */
    unsigned loses;            /* what flush will say */
    struct weir_loop *answers; /* has its turn after each frame sent, as a kernel does; or NULL */
    uint8_t buf[2048];
};

static struct weir_loop *loops[2];
static struct weir_host *hosts[2];
static struct wire *wires[2];
static weir_sock client;

/* An echo request of ICMP (RFC 792), from host 0 to host 1. */
static const uint8_t ping_frame[28] = {0x45, 0,    0,    28,   0, 0, 0x40, 0, 64, 1,
                                       0x26, 0xdf, 10,   0,    0, 1, 10,   0, 0,  2,
                                       8,    0,    0xf7, 0xff, 0, 0, 0,    0};

/* ---- the link ----------------------------------------------------------------------------------- */

static int wire_send(struct weir_link *link, const struct weir_out *out, weir_time now)
{
    struct wire *wire = (struct wire *)link;
    struct iovec iov[3] = {{out->head, out->head_len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 1 + out->n_spans};
    (void)now;
    if (wire->cut)
        return WEIR_ENETDOWN;
    for (unsigned i = 0; i < out->n_spans; i++)
        iov[1 + i] = (struct iovec){(void *)(uintptr_t)out->span[i].ptr, out->span[i].len};
    if (sendmsg(wire->at.fd, &msg, MSG_DONTWAIT) < 0) {
        if (errno == ENOTSOCK) /* make_unwatchable() */
            return 0;
        assert_int_equal(errno, EAGAIN);
        wire->refused++;
        return WEIR_EAGAIN;
    }
    if (wire->sent++ == 0)
        wire->taken_first = wire->taken;
    if (wire->answers)
        assert_int_equal(weir_loop_step(wire->answers, 0), 0);
    return 0;
}

static int wire_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    struct wire *wire = (struct wire *)link;
    ssize_t n = recv(wire->at.fd, wire->buf, sizeof wire->buf, MSG_DONTWAIT);
    (void)now;
    if (n <= 0) {
        if (wire->gone)
            return WEIR_ENETDOWN;
        if (++wire->empty != wire->hidden)
            return 0;
        n = sizeof ping_frame;
        memcpy(wire->buf, ping_frame, sizeof ping_frame);
    }
    wire->taken++;
    *frame = (struct weir_frame){.data = wire->buf, .len = (size_t)n};
    return 1;
}

static unsigned wire_flush(struct weir_link *link, weir_time now)
{
    struct wire *wire = (struct wire *)link;
    unsigned lost = wire->loses;
    (void)now;
    wire->loses = 0;
    return lost;
}

static const struct weir_link_ops wire_ops = {
    .send = wire_send,
    .recv = wire_recv,
    .deadline = fd_link_deadline,
    .fd = fd_link_fd,
    .free = fd_link_free,
    .flush = wire_flush,
};

/* ---- two hosts ---------------------------------------------------------------------------------- */

static int setup(void **state)
{
    int fds[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    for (int i = 0; i < 2; i++) {
        wires[i] = calloc(1, sizeof *wires[i]);
        assert_non_null(wires[i]);
        wires[i]->at.fd = fds[i];
        wires[i]->at.link.ops = &wire_ops;
        wires[i]->at.link.netif = (struct weir_netif_config){.kind = WEIR_NETIF_IP, .mtu = 1500};
        assert_int_equal(weir_loop_new(&loops[i]), 0);
        hosts[i] = pair_host(loops[i], &wires[i]->at.link, i ? "10.0.0.2/24" : "10.0.0.1/24",
                             i ? "fd00::2/64" : "fd00::1/64");
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        wires[i]->answers = NULL;
    for (int i = 0; i < 2; i++) {
        weir_host_free(hosts[i]);
        assert_int_equal(weir_loop_free(loops[i]), 0);
    }
    return 0;
}

/* Both ends in turn until neither has a descriptor that is ready. */
static void let_pass(void)
{
    bool more = true;
    while (more) {
        more = false;
        for (int i = 0; i < 2; i++) {
            struct pollfd wait = {.fd = weir_loop_fd(loops[i]), .events = POLLIN};
            if (poll(&wait, 1, 0) > 0) {
                assert_int_equal(weir_loop_step(loops[i], 0), 0);
                more = true;
            }
        }
    }
}

/* The server answers what it is sent, and closes when its peer does. */
static void serve(void *arg, const struct weir_event *event)
{
    struct weir_stack *stack = weir_host_lock(hosts[1]);
    char bytes[64];
    ptrdiff_t n = 0;
    weir_sock conn = event->sock;
    (void)arg;
    (void)weir_sock_accept(stack, event->sock, &conn, NULL, weir_now());
    while ((n = weir_sock_recv(stack, conn, bytes, sizeof bytes, 0, NULL, weir_now())) > 0)
        assert_int_equal(weir_sock_send(stack, conn, bytes, (size_t)n, 0, NULL, weir_now()), n);
    if (n == 0)
        assert_int_equal(weir_sock_close(stack, conn, weir_now()), 0);
    weir_host_unlock(hosts[1]);
}

static void set_option(struct weir_stack *stack, int level, int option, int value)
{
    assert_int_equal(
        weir_sock_setsockopt(stack, client, level, option, &value, sizeof value, weir_now()), 0);
}

static void listen_and_connect(void)
{
    struct weir_endpoint at = {.addr = weir_addr_v4(0x0a000002), .port = PORT};
    weir_sock listener;
    struct weir_stack *stack = weir_host_lock(hosts[1]);
    assert_int_equal(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &listener), 0);
    assert_int_equal(weir_sock_bind(stack, listener, &at), 0);
    assert_int_equal(weir_sock_listen(stack, listener, 8, weir_now()), 0);
    weir_host_on_event(hosts[1], serve, NULL);
    weir_host_unlock(hosts[1]);
    stack = weir_host_lock(hosts[0]);
    assert_int_equal(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &client), 0);
    set_option(stack, WEIR_SOL_TCP, WEIR_TCP_NODELAY, 1);
    set_option(stack, WEIR_SOL_SOCKET, WEIR_SO_SNDBUF, 100 * 1000);
    assert_int_equal(weir_sock_connect(stack, client, &at, weir_now()), WEIR_EINPROGRESS);
    weir_host_unlock(hosts[0]);
    let_pass();
}

static void say(const void *bytes, size_t len)
{
    struct weir_stack *stack = weir_host_lock(hosts[0]);
    assert_int_equal(weir_sock_send(stack, client, bytes, len, 0, NULL, weir_now()), len);
    weir_host_unlock(hosts[0]);
}

/* ---- tests -------------------------------------------------------------------------------------- */

/* From first principles: what is owed and what is said to the same frame need one frame. */
static void an_answer_leaves_with_the_acknowledgement(void **state)
{
    (void)state;
    listen_and_connect();
    unsigned sent = wires[1]->sent;
    say("?", 1);
    let_pass();
    assert_int_equal(wires[1]->sent, sent + 1);
    struct weir_stack *stack = weir_host_lock(hosts[0]);
    assert_int_equal(weir_sock_shutdown(stack, client, WEIR_SHUT_WR, weir_now()), 0);
    weir_host_unlock(hosts[0]);
    let_pass();
    assert_int_equal(wires[1]->sent, sent + 2); /* FIN, and the ACK of FIN */
}

static void talk_on(void *arg, const struct weir_event *event)
{
    unsigned *left = arg;
    struct weir_stack *stack = weir_host_lock(hosts[0]);
    char byte;
    if (weir_sock_recv(stack, event->sock, &byte, 1, 0, NULL, weir_now()) == 1 && --*left > 0)
        assert_int_equal(weir_sock_send(stack, event->sock, "?", 1, 0, NULL, weir_now()), 1);
    weir_host_unlock(hosts[0]);
}

/* The peer has said the next word when the answer to the last is written, so a link that is asked first whether there
 * is more says no each time. It is asked so once in 16 times, and when it really is empty. */
static void a_link_is_seldom_read_for_nothing(void **state)
{
    unsigned left = TRIPS;
    (void)state;
    listen_and_connect();
    weir_host_on_event(hosts[0], talk_on, &left);
    wires[1]->answers = loops[0];
    unsigned taken = wires[1]->taken, empty = wires[1]->empty;
    say("?", 1);
    while (left > 0)
        assert_int_equal(weir_loop_step(loops[1], 0), 0);
    assert_true(wires[1]->taken - taken >= TRIPS);
    assert_true(wires[1]->empty - empty <= TRIPS / 16 + TRIPS / 64 + 2);
}

static void ping(void)
{
    assert_int_equal(send(wires[0]->at.fd, ping_frame, sizeof ping_frame, 0), sizeof ping_frame);
}

/* Puts a regular file in the place of the descriptor, which has no frames and which epoll does not take. Returns what
 * was there. */
static int make_unwatchable(int fd)
{
    FILE *file = tmpfile();
    int was = dup(fd);
    assert_non_null(file);
    assert_true(was >= 0);
    assert_int_equal(dup2(fileno(file), fd), fd);
    fclose(file);
    return was;
}

/* A link that was busy is no longer watched, and when it is quiet epoll may have no memory to watch it again. Then nothing
 * would tell of a frame: so the loop does not sleep until it is watched. */
static void a_link_that_cannot_be_watched_is_asked(void **state)
{
    unsigned left = TRIPS;
    (void)state;
    listen_and_connect();
    weir_host_on_event(hosts[0], talk_on, &left);
    wires[1]->answers = loops[0];
    say("?", 1);
    assert_int_equal(weir_loop_step(loops[1], 0), 0);
    assert_true(left > 0); /* a turn was not enough */
    wires[1]->answers = NULL;
    int fd = make_unwatchable(wires[1]->at.fd);
    struct pollfd wait = {.fd = weir_loop_fd(loops[1]), .events = POLLIN};
    for (int i = 0; i < 10; i++) {
        assert_int_equal(weir_loop_step(loops[1], 0), 0);
        assert_int_equal(poll(&wait, 1, 0), 1);
    }
    assert_int_equal(dup2(fd, wires[1]->at.fd), wires[1]->at.fd);
    close(fd);
    let_pass();
    assert_int_equal(poll(&wait, 1, 0), 0);
    ping();
    assert_int_equal(poll(&wait, 1, 0), 1);
}

static void throw_away(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
        continue;
}

/* However few came at once before: 16 rounds later what comes together is read before anything is answered. */
static void frames_that_come_together_are_taken_together(void **state)
{
    (void)state;
    let_pass();
    for (int round = 0; round < 20; round++) {
        ping();
        assert_int_equal(weir_loop_step(loops[1], -1), 0);
    }
    for (int round = 0; round < 16; round++) {
        wires[1]->taken = wires[1]->sent = 0;
        for (int i = 0; i < 8; i++)
            ping();
        assert_int_equal(weir_loop_step(loops[1], -1), 0);
        assert_int_equal(wires[1]->taken, 8);
        assert_int_equal(wires[1]->sent, 8);
        throw_away(wires[0]->at.fd);
    }
    assert_int_equal(wires[1]->taken_first, 8);
}

/* A wire that holds few datagrams: what is refused goes when there is room, by the descriptor's own event, for
 * nothing comes in. */
static void a_refused_frame_goes_when_there_is_room(void **state)
{
    static char many[20 * 1000];
    int room = 8 * 1024;
    (void)state;
    assert_int_equal(setsockopt(wires[0]->at.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
    listen_and_connect();
    say(many, sizeof many);
    assert_true(wires[0]->refused > 0);
    unsigned sent = wires[0]->sent;
    struct pollfd wait = {.fd = weir_loop_fd(loops[0]), .events = POLLIN};
    while (poll(&wait, 1, 0) > 0) /* there may be a time that was set before */
        assert_int_equal(weir_loop_step(loops[0], 0), 0);
    assert_int_equal(wires[0]->sent, sent);
    throw_away(wires[1]->at.fd);
    assert_int_equal(poll(&wait, 1, 10000), 1);
    assert_int_equal(weir_loop_step(loops[0], 0), 0);
    assert_true(wires[0]->sent > sent);
}

static uint64_t count_lost(void)
{
    struct weir_stack *stack = weir_host_lock(hosts[1]);
    uint64_t n = 0;
    for (unsigned i = 0; i < weir_drop_reasons(); i++)
        if (strcmp(weir_drop_name(i), "link_lost") == 0)
            n = weir_drop_count(stack, i);
    weir_host_unlock(hosts[1]);
    return n;
}

/* What the link has taken and then lost, and what waits for it when it goes, are counted. */
static void a_lost_frame_is_counted(void **state)
{
    (void)state;
    let_pass();
    assert_int_equal(count_lost(), 0);
    wires[1]->loses = 3;
    ping();
    let_pass();
    assert_int_equal(count_lost(), 3);
    do {
        ping();
        assert_int_equal(weir_loop_step(loops[1], -1), 0);
    } while (wires[1]->refused == 0);
    assert_int_equal(count_lost(), 3);
    wires[1]->gone = true;
    ping();
    assert_int_equal(weir_loop_step(loops[1], -1), 0);
    assert_int_equal(count_lost(), 4);
}

/* So are those that it had gathered when it went: it is asked a last time. */
static void what_a_link_has_gathered_is_counted_when_it_goes(void **state)
{
    (void)state;
    let_pass();
    wires[1]->loses = 3;
    wires[1]->cut = true;
    ping();
    let_pass();
    assert_int_equal(count_lost(), 4);
}

/* ---- busy polling ------------------------------------------------------------------------------- */

static void ring(void *arg, weir_time now)
{
    (void)now;
    *(bool *)arg = true;
}

/* Turns of loop 1, which may sleep, in the next 20 ms. One that sleeps has few whatever the machine does; one that does
 * not has thousands, or few on a busy machine. */
enum { FEW = 10 };
static unsigned turns(void)
{
    bool rung = false;
    unsigned n = 0;
    assert_int_equal(weir_loop_alarm(loops[1], weir_now() + 20 * WEIR_MS, ring, &rung), 0);
    for (; !rung; n++)
        assert_int_equal(weir_loop_step(loops[1], -1), 0);
    return n;
}

/* Is the link asked, while nothing comes, in turns that may sleep until an alarm? Who sleeps does not. */
static bool is_asked(void)
{
    let_pass();
    unsigned empty = wires[1]->empty;
    (void)turns();
    return wires[1]->empty > empty;
}

/* A frame has come and was answered; host 1 polls for longer than the test lasts. */
static void begin_to_poll(void)
{
    let_pass();
    assert_int_equal(weir_host_set_busy_poll(hosts[1], INT_MAX), 0);
    unsigned sent = wires[1]->sent;
    ping();
    assert_int_equal(weir_loop_step(loops[1], -1), 0);
    assert_int_equal(wires[1]->sent, sent + 1);
}

/* Each turn asks once, and the 10th time there is a frame that epoll knows nothing of. */
static void a_link_is_asked_without_having_said_anything(void **state)
{
    (void)state;
    begin_to_poll();
    unsigned taken = wires[1]->taken, sent = wires[1]->sent, n = 0;
    wires[1]->hidden = wires[1]->empty + 10;
    for (; wires[1]->taken == taken; n++)
        assert_int_equal(weir_loop_step(loops[1], -1), 0);
    assert_int_equal(n, 10);
    assert_int_equal(wires[1]->sent, sent + 1);
    unsigned empty = wires[1]->empty;
    for (n = 0; n < 10; n++) /* who must not wait has no time to poll */
        assert_int_equal(weir_loop_step(loops[1], 0), 0);
    assert_true(wires[1]->empty <= empty + 1);
}

static void nothing_is_polled_unless_asked_for(void **state)
{
    (void)state;
    let_pass();
    assert_int_equal(weir_host_busy_poll(hosts[1]), 0);
    ping();
    assert_true(turns() <= FEW);
    assert_false(is_asked());
    begin_to_poll();
    assert_int_equal(weir_host_busy_poll(hosts[1]), INT_MAX);
    assert_int_equal(weir_host_set_busy_poll(hosts[1], -1), WEIR_EINVAL);
    assert_true(is_asked());
    assert_int_equal(weir_host_set_busy_poll(hosts[1], 0), 0);
    assert_true(turns() <= FEW);
    assert_false(is_asked());
}

static void polling_ends_when_its_time_is_over(void **state)
{
    (void)state;
    begin_to_poll();
    assert_int_equal(weir_host_set_busy_poll(hosts[1], 1), 0);
    ping();
    assert_int_equal(weir_loop_step(loops[1], -1), 0);
    while (is_asked()) /* for ever, else */
        continue;
}

static void a_link_that_is_gone_is_polled_no_more(void **state)
{
    (void)state;
    begin_to_poll();
    wires[1]->gone = true;
    assert_int_equal(weir_loop_step(loops[1], -1), 0);
    unsigned empty = wires[1]->empty;
    assert_true(turns() <= FEW);
    assert_int_equal(wires[1]->empty, empty);
}

static void watched(void *arg, int fd, uint32_t events)
{
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_true(events & EPOLLIN);
    ++*(unsigned *)arg;
}

static void alarms_and_watches_have_their_turn_while_it_polls(void **state)
{
    bool rung = false;
    unsigned seen = 0, n = 0;
    int p[2];
    (void)state;
    begin_to_poll();
    assert_int_equal(pipe(p), 0);
    assert_int_equal(weir_loop_watch(loops[1], p[0], EPOLLIN, watched, &seen), 0);
    assert_int_equal(write(p[1], "ab", 2), 2);
    assert_int_equal(weir_loop_alarm(loops[1], weir_now(), ring, &rung), 0);
    for (; n < 2; n++)
        assert_int_equal(weir_loop_step(loops[1], -1), 0);
    assert_int_equal(seen, 2);
    assert_true(rung);
    assert_int_equal(weir_loop_watch(loops[1], p[0], 0, NULL, NULL), 0);
    close(p[0]);
    close(p[1]);
}

static unsigned asked(void)
{
    (void)weir_host_lock(hosts[1]);
    unsigned empty = wires[1]->empty;
    weir_host_unlock(hosts[1]);
    return empty;
}

/* It is for this thread to get the lock from one that never sleeps, again and again, and to end it. */
static void another_thread_gets_the_lock_and_ends_it(void **state)
{
    (void)state;
    begin_to_poll();
    assert_int_equal(weir_loop_start(loops[1]), 0);
    unsigned before = asked();
    for (unsigned n = 0; n < 1000 || asked() == before; n++) {
        int fd = weir_socket(hosts[1], AF_INET, SOCK_DGRAM, 0);
        assert_true(fd >= 0);
        assert_int_equal(weir_close(hosts[1], fd), 0);
    }
    weir_loop_stop(loops[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_leaves_with_the_acknowledgement, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_is_seldom_read_for_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_that_come_together_are_taken_together, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_refused_frame_goes_when_there_is_room, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_that_cannot_be_watched_is_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_frame_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_link_has_gathered_is_counted_when_it_goes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_link_is_asked_without_having_said_anything, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nothing_is_polled_unless_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(polling_ends_when_its_time_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_that_is_gone_is_polled_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(alarms_and_watches_have_their_turn_while_it_polls, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(another_thread_gets_the_lock_and_ends_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
