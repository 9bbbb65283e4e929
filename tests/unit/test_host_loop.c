/* SPDX-License-Identifier: MIT */
/* The loop by itself: watches, alarms, starting and stopping, events, one thread without blocking. */
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "unit/host_pair.h"

static struct weir_loop *loop;

static int setup(void **state)
{
    (void)state;
    return weir_loop_new(&loop);
}

static int teardown(void **state)
{
    (void)state;
    return weir_loop_free(loop);
}

struct seen {
    int n, fd;
    uint32_t events;
    bool end;
};

static void on_fd(void *arg, int fd, uint32_t events)
{
    struct seen *seen = arg;
    char byte;
    seen->n++;
    seen->fd = fd;
    seen->events = events;
    if (events & EPOLLIN)
        assert_int_equal(read(fd, &byte, 1), 1);
    if (seen->end)
        assert_int_equal(weir_loop_watch(loop, fd, 0, NULL, NULL), 0);
}

static void a_watch_is_called_until_it_ends(void **state)
{
    struct seen seen = {0};
    int p[2];
    (void)state;
    assert_int_equal(pipe(p), 0);
    assert_int_equal(weir_loop_watch(loop, p[0], EPOLLIN, on_fd, &seen), 0);
    assert_int_equal(weir_loop_step(loop, 0), 0);
    assert_int_equal(seen.n, 0);
    assert_int_equal(write(p[1], "abc", 3), 3);
    for (int i = 1; i <= 2; i++) {
        seen.end = i == 2;
        assert_int_equal(weir_loop_step(loop, -1), 0);
        assert_int_equal(seen.n, i);
        assert_int_equal(seen.fd, p[0]);
    }
    assert_int_equal(weir_loop_step(loop, 0), 0);
    assert_int_equal(seen.n, 2); /* "c" is still there */
    assert_int_equal(weir_loop_watch(loop, p[0], 0, NULL, NULL), WEIR_ENOENT);
    assert_int_equal(weir_loop_watch(loop, -1, EPOLLIN, on_fd, &seen), WEIR_EBADF);
    close(p[0]);
    close(p[1]);
}

struct alarms {
    unsigned order[4], n;
};
static struct alarms rung;

static void on_first(void *arg, weir_time now)
{
    assert_true(now >= *(weir_time *)arg);
    rung.order[rung.n++] = 1;
}

static void on_second(void *arg, weir_time now)
{
    assert_true(now >= *(weir_time *)arg);
    rung.order[rung.n++] = 2;
}

struct batch {
    int calls, n;
    void *first, *second;
};

static void on_batch(void *arg, struct epoll_event *events, int n)
{
    struct batch *batch = arg;
    batch->calls++;
    batch->n = n;
    batch->first = n > 0 ? events[0].data.ptr : NULL;
    batch->second = n > 1 ? events[1].data.ptr : NULL;
}

static void ones_own_descriptors_come_in_a_batch(void **state)
{
    struct batch batch = {0}, other = {0};
    struct seen seen = {0};
    int p[3][2], marks[2];
    (void)state;
    assert_int_equal(weir_loop_batch(loop, on_batch, &batch), 0);
    assert_int_equal(weir_loop_batch(loop, on_batch, &other), WEIR_EBUSY);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pipe(p[i]), 0);
    for (int i = 0; i < 2; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &marks[i]};
        assert_int_equal(epoll_ctl(weir_loop_fd(loop), EPOLL_CTL_ADD, p[i][0], &event), 0);
    }
    assert_int_equal(weir_loop_watch(loop, p[2][0], EPOLLIN, on_fd, &seen), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(write(p[i][1], "a", 1), 1);
    assert_int_equal(weir_loop_step(loop, -1), 0);
    assert_int_equal(seen.n, 1); /* a watch's own events go to it alone */
    assert_int_equal(batch.calls, 1);
    assert_int_equal(batch.n, 2);
    assert_ptr_equal(batch.first, &marks[0]);
    assert_ptr_equal(batch.second, &marks[1]);
    assert_int_equal(weir_loop_batch(loop, NULL, NULL), 0);
    assert_int_equal(write(p[0][1], "a", 1), 1);
    assert_int_equal(weir_loop_step(loop, 0), 0);
    assert_int_equal(batch.calls, 1); /* nobody is there to take it */
    assert_int_equal(weir_loop_watch(loop, p[2][0], 0, NULL, NULL), 0);
    for (int i = 0; i < 6; i++)
        close(p[i / 2][i % 2]);
}

static void alarms_ring_once_and_not_early(void **state)
{
    weir_time later = weir_now() + 20 * WEIR_MS, soon = weir_now() + 5 * WEIR_MS, never = 0;
    (void)state;
    memset(&rung, 0, sizeof rung);
    assert_int_equal(weir_loop_alarm(loop, later, on_second, &later), 0);
    assert_int_equal(weir_loop_alarm(loop, soon, on_first, &soon), 0);
    assert_int_equal(weir_loop_alarm(loop, soon, on_first, &never), 0);
    assert_int_equal(weir_loop_alarm(loop, WEIR_TIME_NEVER, on_first, &never), 0);
    while (rung.n < 2)
        assert_int_equal(weir_loop_step(loop, -1), 0);
    assert_int_equal(rung.order[0], 1);
    assert_int_equal(rung.order[1], 2);
}

static void alarms_of_one_turn_ring_in_their_order(void **state)
{
    weir_time soon = weir_now() - 2, later = soon + 1;
    (void)state;
    memset(&rung, 0, sizeof rung);
    assert_int_equal(weir_loop_alarm(loop, later, on_second, &later), 0);
    assert_int_equal(weir_loop_alarm(loop, soon, on_first, &soon), 0);
    assert_int_equal(weir_loop_step(loop, 0), 0);
    assert_int_equal(rung.n, 2);
    assert_int_equal(rung.order[0], 1);
    assert_int_equal(rung.order[1], 2);
}

static void its_descriptor_tells_of_alarms_too(void **state)
{
    weir_time at = weir_now() + 5 * WEIR_MS;
    struct pollfd pfd = {.fd = weir_loop_fd(loop), .events = POLLIN};
    (void)state;
    memset(&rung, 0, sizeof rung);
    assert_int_equal(poll(&pfd, 1, 0), 0);
    assert_int_equal(weir_loop_alarm(loop, at, on_first, &at), 0);
    assert_int_equal(poll(&pfd, 1, 10000), 1);
    assert_int_equal(weir_loop_step(loop, 0), 0);
    assert_int_equal(rung.n, 1);
    assert_int_equal(poll(&pfd, 1, 0), 0);
}

/* With nothing to do a turn lasts as long as it may, to the microsecond and not to the millisecond. */
static void a_turn_ends_by_its_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        weir_time before = weir_now(), most = i * 700 * WEIR_US;
        assert_int_equal(weir_loop_step(loop, most), 0);
        assert_true(weir_now() - before >= most);
    }
}

static void stop_it(void *arg, weir_time now)
{
    (void)now;
    weir_loop_stop(arg);
}

static void run_ends_by_stop(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(weir_loop_alarm(loop, weir_now(), stop_it, loop), 0);
        assert_int_equal(weir_loop_run(loop), 0);
    }
}

static void start_and_stop_again_and_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(weir_loop_start(loop), 0);
        assert_int_equal(weir_loop_start(loop), WEIR_EBUSY);
        if (i % 3 == 0)
            assert_int_equal(weir_loop_alarm(loop, weir_now(), stop_it, loop), 0);
        weir_loop_stop(loop);
    }
    assert_int_equal(weir_loop_alarm(loop, WEIR_TIME_NEVER, stop_it, loop), 0);
    assert_int_equal(weir_loop_start(loop), 0); /* and free joins it */
}

static void a_loop_with_hosts_is_not_freed(void **state)
{
    struct weir_host *host;
    (void)state;
    assert_int_equal(weir_host_new(loop, NULL, &host), 0);
    assert_int_equal(weir_loop_free(loop), WEIR_EBUSY);
    weir_host_free(host);
}

static void configuration_is_checked(void **state)
{
    struct weir_pipe_config config = {.kind = WEIR_NETIF_IP};
    struct weir_link *ends[2];
    struct weir_host *host;
    (void)state;
    assert_int_equal(weir_host_new(loop, NULL, &host), 0);
    assert_int_equal(weir_link_pipe(&config, ends), 0);
    int a = weir_host_add_link(host, ends[0]), b = weir_host_add_link(host, ends[1]);
    assert_true(a > 0 && b > 0 && a != b); /* the second gets a name of its own */
    assert_int_equal(weir_host_add_addr(host, a, "10.0.0.1/33"), WEIR_EINVAL);
    assert_int_equal(weir_host_add_addr(host, a, "10.0.0.1/"), WEIR_EINVAL);
    assert_int_equal(weir_host_add_addr(host, a, "10.0.0/8"), WEIR_EINVAL);
    assert_int_equal(weir_host_add_addr(host, a, "10.0.0.1/24x"), WEIR_EINVAL);
    assert_int_equal(weir_host_add_addr(host, 77, "10.0.0.1/24"), WEIR_ENODEV);
    assert_int_equal(weir_host_add_addr(host, a, "10.0.0.1/24"), 0);
    assert_int_equal(weir_host_add_addr(host, b, "fd00::1/64"), 0);
    assert_int_equal(weir_host_add_route(host, "default", "10.0.0.9", a), 0);
    assert_int_equal(weir_host_add_route(host, "default", "fd00::9", b), 0);
    assert_int_equal(weir_host_add_route(host, "10.1.0.0/16", "fd00::9", a), WEIR_EINVAL);
    assert_int_equal(weir_host_add_route(host, "10.1.0.0/16", NULL, b), 0);
    assert_int_equal(weir_host_add_route(host, "everywhere", NULL, b), WEIR_EINVAL);
    weir_host_free(host);
}

/* ---- events of the program's own sockets -------------------------------------------------------- */

struct heard {
    weir_sock sock;
    unsigned n;
    uint64_t user;
    bool free_host;
    struct pair *pair;
    weir_time sent_at;
};

static void on_event(void *arg, const struct weir_event *event)
{
    struct heard *heard = arg;
    if (event->sock != heard->sock || !(event->ready & WEIR_POLLIN))
        return;
    heard->n++;
    heard->user = event->user;
    assert_in_range(weir_host_now(heard->pair->host[1]), heard->sent_at, weir_now());
    if (heard->free_host) {
        weir_host_free(heard->pair->host[1]);
        heard->pair->host[1] = NULL;
    }
}

static void open_heard(struct pair *p, struct heard *heard, uint64_t user)
{
    struct weir_endpoint local = {weir_addr_v4(0x0a000002), 53};
    heard->pair = p;
    weir_host_on_event(p->host[1], on_event, heard);
    struct weir_stack *stack = weir_host_lock(p->host[1]);
    assert_int_equal(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_DGRAM, 0, &heard->sock), 0);
    assert_int_equal(weir_sock_bind(stack, heard->sock, &local), 0);
    assert_int_equal(weir_sock_set_user(stack, heard->sock, user), 0);
    weir_host_unlock(p->host[1]);
}

static void send_datagram(struct pair *p)
{
    int fd = weir_socket(p->host[0], AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(connect4(p->host[0], fd, "10.0.0.2", 53), 0);
    assert_int_equal(weir_send(p->host[0], fd, "x", 1, 0), 1);
    assert_int_equal(weir_close(p->host[0], fd), 0);
}

/* The number 1 is also what the host itself gives to its descriptor 0: events must not be mixed up. */
static void own_sockets_events_come_in_the_loop(void **state)
{
    struct heard heard = {0};
    struct pair p;
    (void)state;
    pair_make(&p, false, (struct weir_pipe_config){.kind = WEIR_NETIF_IP});
    int fd = weir_socket(p.host[1], AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(fd, 0);
    open_heard(&p, &heard, 1);
    heard.sent_at = weir_now();
    send_datagram(&p);
    assert_int_equal(heard.n, 0); /* it is carried in the call, but told in the loop's thread */
    assert_int_equal(weir_loop_step(p.loop[0], 0), 0);
    assert_int_equal(heard.n, 1);
    assert_int_equal(heard.user, 1);
    pair_free(&p);
}

static void a_host_may_be_freed_in_its_own_callback(void **state)
{
    struct heard heard = {.free_host = true};
    struct pair p;
    (void)state;
    pair_make(&p, false, (struct weir_pipe_config){.kind = WEIR_NETIF_ETHERNET});
    open_heard(&p, &heard, 5);
    send_datagram(&p);
    for (unsigned i = 0; i < 100 && heard.n == 0; i++)
        assert_int_equal(weir_loop_step(p.loop[0], 10 * WEIR_MS), 0);
    assert_int_equal(heard.n, 1);
    pair_free(&p);
}

static void blocking_inside_a_callback_is_refused(void *arg, weir_time now)
{
    struct weir_host *host = arg;
    char byte;
    (void)now;
    int fd = weir_socket(host, AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind4(host, fd, "10.0.0.1", 9), 0);
    assert_fails_with(weir_recv(host, fd, &byte, 1, 0), EDEADLK);
    assert_fails_with(weir_recv(host, fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    assert_int_equal(weir_close(host, fd), 0);
    rung.n++;
}

static void no_deadlock_in_callbacks(void **state)
{
    struct pair p;
    (void)state;
    memset(&rung, 0, sizeof rung);
    pair_make(&p, false, (struct weir_pipe_config){.kind = WEIR_NETIF_IP});
    weir_loop_alarm(p.loop[0], weir_now(), blocking_inside_a_callback_is_refused, p.host[0]);
    assert_int_equal(weir_loop_step(p.loop[0], -1), 0);
    assert_int_equal(rung.n, 1);
    pair_free(&p);
}

/* ---- carried between lock and unlock ------------------------------------------------------------ */

static bool is_open(struct weir_stack *stack, weir_sock sock)
{
    return weir_sock_ready(stack, sock) & WEIR_POLLOUT;
}

/* Connects to port 80 of `addr`. */
static weir_sock begin_connect(struct weir_stack *stack, const char *addr)
{
    struct weir_endpoint to = {.port = 80};
    weir_sock sock;
    assert_true(weir_addr_parse(addr, &to.addr));
    assert_int_equal(weir_sock_open(stack, AF_INET, WEIR_SOCK_STREAM, 0, &sock), 0);
    assert_int_equal(weir_sock_connect(stack, sock, &to, weir_now()), WEIR_EINPROGRESS);
    assert_false(is_open(stack, sock));
    return sock;
}

/* The loop is in no turn meanwhile, and no event is told. */
static void what_calls_produce_is_carried_at_once(void **state)
{
    struct weir_endpoint any = {.addr = weir_addr_any4(), .port = 80};
    struct weir_stack *stack[2];
    weir_sock listener;
    struct pair p;
    (void)state;
    pair_make(&p, false, (struct weir_pipe_config){.kind = WEIR_NETIF_IP});
    for (unsigned i = 0; i < 2; i++)
        stack[i] = weir_host_lock(p.host[i]);
    assert_int_equal(weir_sock_open(stack[1], AF_INET, WEIR_SOCK_STREAM, 0, &listener), 0);
    assert_int_equal(weir_sock_bind(stack[1], listener, &any), 0);
    assert_int_equal(weir_sock_listen(stack[1], listener, 5, weir_now()), 0);

    weir_sock own = begin_connect(stack[1], "10.0.0.2"); /* by loopback */
    weir_host_carry(p.host[1]);
    assert_true(is_open(stack[1], own));

    weir_sock other = begin_connect(stack[0], "10.0.0.2");
    weir_host_carry(p.host[0]); /* SYN leaves */
    assert_false(is_open(stack[0], other));
    weir_host_carry(p.host[1]); /* and arrives */
    weir_host_carry(p.host[1]); /* its answer leaves */
    weir_host_carry(p.host[0]);
    assert_true(is_open(stack[0], other));

    for (unsigned i = 0; i < 2; i++)
        weir_host_unlock(p.host[i]);
    pair_free(&p);
}

/* ---- how a link is read ------------------------------------------------------------------------- */

/* A link that says only once that something came to where nothing was, as one that is edge-triggered may. */
struct source {
    struct weir_link link;
    int fd;
    unsigned left, taken, sent;
    unsigned more_at, more; /* when so many have been taken that many come */
    unsigned junk_every;    /* of so many frames one has no answer; 0: none */
};

static void source_add(struct source *source, unsigned n)
{
    if (source->left == 0)
        assert_int_equal(eventfd_write(source->fd, 1), 0);
    source->left += n;
}

static int source_send(struct weir_link *link, const struct weir_out *out, weir_time now)
{
    struct source *source = (struct source *)link;
    (void)out;
    (void)now;
    source->sent++;
    return 0;
}

/* An echo request, or what is dropped. */
static int source_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    static const uint8_t ping[28] = {0x45, 0, 0, 28, 0,  0, 0, 0, 64, 1, 0x66, 0xdf,
                                     10,   0, 0, 1,  10, 0, 0, 2, 8,  0, 0xf7, 0xff};
    static const uint8_t junk[28];
    struct source *source = (struct source *)link;
    (void)now;
    if (source->left == 0)
        return 0;
    source->left--;
    if (++source->taken == source->more_at)
        source_add(source, source->more);
    bool is_junk = source->junk_every > 0 && source->taken % source->junk_every == 0;
    *frame = (struct weir_frame){.data = is_junk ? junk : ping, .len = sizeof ping};
    return 1;
}

static weir_time source_deadline(const struct weir_link *link)
{
    (void)link;
    return WEIR_TIME_NEVER;
}

static int source_fd(const struct weir_link *link)
{
    return ((const struct source *)link)->fd;
}

static void source_free(struct weir_link *link)
{
    close(((struct source *)link)->fd);
}

static const struct weir_link_ops source_ops = {.send = source_send,
                                                .recv = source_recv,
                                                .deadline = source_deadline,
                                                .fd = source_fd,
                                                .free = source_free};

static struct weir_host *source_open(struct source *source)
{
    struct weir_host *host;
    *source =
        (struct source){.link = {.ops = &source_ops, .netif = {.name = "source", .mtu = 1500}},
                        .fd = eventfd(0, EFD_NONBLOCK)};
    source->link.netif.kind = WEIR_NETIF_IP;
    assert_int_equal(weir_host_new(loop, NULL, &host), 0);
    int ifindex = weir_host_add_link(host, &source->link);
    assert_true(ifindex > 0);
    assert_int_equal(weir_host_add_addr(host, ifindex, "10.0.0.2/24"), 0);
    return host;
}

/* Turns until the loop would sleep. */
static void turn_until_asleep(void)
{
    struct pollfd pfd = {.fd = weir_loop_fd(loop), .events = POLLIN};
    do
        assert_int_equal(weir_loop_step(loop, 0), 0);
    while (poll(&pfd, 1, 0) == 1);
}

/* Whatever the number that came before, of which it is guessed how many come at once. */
static void nothing_is_left_unread_while_it_sleeps(void **state)
{
    struct source source;
    struct weir_host *host = source_open(&source);
    (void)state;
    turn_until_asleep();
    for (unsigned i = 0; i < 3000; i++) {
        source.junk_every = i % 4; /* 1: all */
        source.more_at = source.taken + i % 7;
        source.more = i * i % 41;
        source_add(&source, 1 + i * i * i % 67);
        if (i % 3 == 0)
            weir_host_carry(host);
        if (i % 5 == 0) {
            weir_host_lock(host);
            weir_host_unlock(host); /* another thread's call takes some in */
        }
        turn_until_asleep();
        assert_int_equal(source.left, 0);
    }
    weir_host_free(host);
}

/* After many frames that came one by one: many at once are soon read many at once, too. */
static void a_flood_is_read_in_batches(void **state)
{
    struct source source;
    struct weir_host *host = source_open(&source);
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        source_add(&source, 1);
        turn_until_asleep();
    }
    assert_int_equal(source.sent, 100);
    source.taken = 0;
    source_add(&source, 10000);
    assert_int_equal(weir_loop_step(loop, 0), 0);
    assert_true(source.taken >= 48 * 32); /* of 64 rounds all but 16 */
    turn_until_asleep();
    assert_int_equal(source.left, 0);
    weir_host_free(host);
}

static bool loop_is_readable(void)
{
    struct pollfd pfd = {.fd = weir_loop_fd(loop), .events = POLLIN};
    return poll(&pfd, 1, 0) == 1;
}

/* One that has frames in each round is asked without being watched: after that it must be watched again, whether the
 * next frame comes after it was found empty or just before. */
static void a_link_that_was_busy_is_waited_for_again(void **state)
{
    struct source source;
    struct weir_host *host = source_open(&source);
    eventfd_t count;
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        source_add(&source, 10000);
        assert_int_equal(weir_loop_step(loop, 0), 0);
        assert_in_range(source.left, 1, 9999);
        assert_int_equal(eventfd_read(source.fd, &count), 0);
        assert_true(loop_is_readable()); /* there is more, whatever the descriptor says */
        if (i % 2 == 1) {
            source.more_at = source.taken + source.left;
            source.more = 3;
        }
        turn_until_asleep();
        assert_int_equal(source.left, 0);
        if (i % 2 == 1)
            assert_int_equal(eventfd_read(source.fd, &count), 0);
        turn_until_asleep();
        assert_false(loop_is_readable());
        source_add(&source, 1);
        assert_true(loop_is_readable());
        turn_until_asleep();
        assert_int_equal(source.left, 0);
        assert_int_equal(eventfd_read(source.fd, &count), 0);
    }
    weir_host_free(host);
}

static void on_config(void *arg, struct weir_host *host)
{
    int *calls = arg;
    assert_non_null(host);
    ++*calls;
}

static void changes_of_addresses_and_routes_are_told(void **state)
{
    struct weir_host *host;
    int calls = 0;
    (void)state;
    assert_int_equal(weir_host_new(loop, NULL, &host), 0);
    weir_host_on_config(host, on_config, &calls);
    assert_int_equal(weir_loop_step(loop, 0), 0);
    assert_int_equal(calls, 1); /* what was before the call, too */
    assert_int_equal(weir_loop_step(loop, 0), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(weir_host_add_addr(host, 1, "10.0.0.1/24"), 0);
    assert_int_equal(weir_loop_step(loop, 0), 0);
    assert_int_equal(calls, 2);
    weir_host_on_config(host, NULL, NULL);
    assert_int_equal(weir_host_add_addr(host, 1, "10.0.0.2/24"), 0);
    assert_int_equal(weir_loop_step(loop, 0), 0);
    assert_int_equal(calls, 2);
    weir_host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_watch_is_called_until_it_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(ones_own_descriptors_come_in_a_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(alarms_ring_once_and_not_early, setup, teardown),
        cmocka_unit_test_setup_teardown(alarms_of_one_turn_ring_in_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(its_descriptor_tells_of_alarms_too, setup, teardown),
        cmocka_unit_test_setup_teardown(a_turn_ends_by_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(run_ends_by_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(start_and_stop_again_and_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_loop_with_hosts_is_not_freed, setup, teardown),
        cmocka_unit_test_setup_teardown(configuration_is_checked, setup, teardown),
        cmocka_unit_test(own_sockets_events_come_in_the_loop),
        cmocka_unit_test(a_host_may_be_freed_in_its_own_callback),
        cmocka_unit_test(no_deadlock_in_callbacks),
        cmocka_unit_test(what_calls_produce_is_carried_at_once),
        cmocka_unit_test_setup_teardown(nothing_is_left_unread_while_it_sleeps, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flood_is_read_in_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_that_was_busy_is_waited_for_again, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_of_addresses_and_routes_are_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
