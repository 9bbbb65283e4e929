/* SPDX-License-Identifier: MIT */
/*
 * Many frames by one system call, and reading ahead with it. A socket that keeps messages apart stands for the TUN device,
 * which wants privileges: one message a read, EAGAIN when there is none. What arrives must be what was sent, whatever
 * is read by a call of its own and whatever together.
 */
#define _GNU_SOURCE /* syscall */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "link/ahead.h"
#include "link/gather.h"

enum { PAD = 6, CAP = 9000, BIG = 5000 };

static int near_fd, far_fd;
static struct wr_batch batch;
static struct wr_ahead ahead;
static uint8_t one[PAD + CAP];

static void open_pair(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
    near_fd = fds[0];
    far_fd = fds[1];
    wr_batch_init(&batch, near_fd);
    wr_ahead_init(&ahead, &batch, one, PAD, CAP);
}

static void close_pair(void)
{
    wr_ahead_end(&ahead);
    wr_batch_end(&batch);
    close(near_fd);
    close(far_fd);
}

/* The n-th message, of len bytes. */
static void fill(uint8_t *data, size_t len, unsigned n)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(n * 31 + i);
}

static void put(unsigned n, size_t len)
{
    uint8_t data[CAP];
    fill(data, len, n);
    assert_int_equal(send(far_fd, data, len, 0), (ssize_t)len);
}

static void assert_is(const uint8_t *data, ssize_t len, unsigned n, size_t expected)
{
    uint8_t right[CAP];
    fill(right, expected, n);
    assert_int_equal(len, (ssize_t)expected);
    assert_memory_equal(data, right, expected);
}

static size_t len_of(unsigned n)
{
    return 1 + n * 97 % 1500;
}

/* What can only be shown with an io_uring is left out, and cmocka says so, where this kernel forbids it to this process. */
static void need_a_ring(void)
{
    uint8_t params[256] = {0};
    long fd = syscall(SYS_io_uring_setup, 1, params);
    bool forbidden = fd < 0 && (errno == EPERM || errno == ENOSYS);
    if (fd >= 0)
        close((int)fd);
    if (forbidden)
        skip();
}

/* ---- the batch ------------------------------------------------------------------------------------ */

static void frames_are_read_in_order_and_those_not_there_are_told(void **state)
{
    static uint8_t room[WR_BATCH_MAX][2000];
    struct iovec to[WR_BATCH_MAX];
    ssize_t result[WR_BATCH_MAX];
    (void)state;
    need_a_ring();
    open_pair();
    for (unsigned n = 0; n < 5; n++)
        put(n, len_of(n));
    for (unsigned i = 0; i < WR_BATCH_MAX; i++)
        to[i] = (struct iovec){room[i], sizeof room[i]};
    assert_int_equal(wr_batch_read(&batch, to, WR_BATCH_MAX, result), WR_BATCH_MAX);
    for (unsigned i = 0; i < 5; i++)
        assert_is(room[i], result[i], i, len_of(i));
    for (unsigned i = 5; i < WR_BATCH_MAX; i++)
        assert_int_equal(result[i], -EAGAIN);
    close_pair();
}

static void write_many(unsigned n, size_t first_part, ssize_t *result)
{
    static uint8_t data[WR_BATCH_MAX][CAP];
    struct wr_batch_parts parts[WR_BATCH_MAX];
    for (unsigned i = 0; i < n; i++) {
        size_t len = len_of(i), first = first_part < len ? first_part : len;
        fill(data[i], len, i);
        parts[i].iov[0] = (struct iovec){data[i], first};
        parts[i].iov[1] = (struct iovec){data[i] + first, len - first};
        parts[i].n = 2;
    }
    assert_int_equal(wr_batch_write(&batch, parts, n, result), n);
}

static void frames_are_written_in_order_from_their_parts(void **state)
{
    ssize_t result[WR_BATCH_MAX];
    uint8_t data[2000];
    (void)state;
    need_a_ring();
    open_pair();
    for (unsigned round = 0; round < 3; round++) {
        write_many(20, 62, result);
        for (unsigned i = 0; i < 20; i++) {
            assert_int_equal(result[i], (ssize_t)len_of(i));
            assert_is(data, recv(far_fd, data, sizeof data, 0), i, len_of(i));
        }
    }
    close_pair();
}

/* One that the socket does not take, since it is larger than its buffer, is lost alone. */
static void one_that_fails_does_not_keep_the_next_back(void **state)
{
    static uint8_t large[1 << 20];
    struct wr_batch_parts parts[7];
    ssize_t result[7];
    uint8_t data[8];
    int least = 4096;
    (void)state;
    need_a_ring();
    for (unsigned bounded = 0; bounded < 2; bounded++)
        for (unsigned bad = 0; bad < 1 << 7; bad++) {
            open_pair();
            batch.bounded = bounded;
            assert_int_equal(setsockopt(near_fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
            for (unsigned i = 0; i < 7; i++) {
                parts[i].iov[0] = (struct iovec){large, bad >> i & 1 ? sizeof large : 1 + i};
                parts[i].n = 1;
            }
            assert_int_equal(wr_batch_write(&batch, parts, 7, result), 7);
            for (unsigned i = 0; i < 7; i++) {
                assert_int_equal(result[i], bad >> i & 1 ? -EMSGSIZE : (int)i + 1);
                if (!(bad >> i & 1))
                    assert_int_equal(recv(far_fd, data, sizeof data, 0), i + 1);
            }
            assert_false(batch.refused);
            close_pair();
        }
}

/* Behind one that had no room nothing is tried, from the first time on that it is known that this can be. */
static void nothing_is_tried_behind_one_that_has_no_room(void **state)
{
    static uint8_t data[200];
    struct wr_batch_parts parts[WR_BATCH_MAX];
    ssize_t result[WR_BATCH_MAX];
    uint8_t byte;
    int least = 4096;
    (void)state;
    need_a_ring();
    open_pair();
    assert_int_equal(setsockopt(near_fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
    for (unsigned i = 0; i < WR_BATCH_MAX; i++) {
        parts[i].iov[0] = (struct iovec){data, sizeof data};
        parts[i].n = 1;
    }
    for (unsigned round = 0; round < 4; round++) {
        unsigned tried = wr_batch_write(&batch, parts, WR_BATCH_MAX, result), went = 0;
        while (went < tried && result[went] == sizeof data)
            went++;
        assert_true(went > 0 && went < WR_BATCH_MAX);
        assert_int_equal(tried, round == 0 ? WR_BATCH_MAX : went + 1);
        for (unsigned i = went; i < tried; i++)
            assert_int_equal(result[i], -EAGAIN);
        assert_true(batch.bounded);
        assert_false(batch.refused);
        for (unsigned i = 0; i < went; i++)
            assert_int_equal(recv(far_fd, data, sizeof data, 0), sizeof data);
        assert_int_equal(recv(far_fd, &byte, 1, 0), -1);
    }
    close_pair();
}

/* What had no room is kept only where nothing behind it was written. */
static void no_frame_is_written_twice(void **state)
{
    static const ssize_t results[][4] = {{60, 60, 60, 60},
                                         {60, -EAGAIN, -EAGAIN, -EAGAIN},
                                         {60, -EAGAIN, 60, -EAGAIN},
                                         {-EAGAIN, -EAGAIN, -EIO, -EAGAIN},
                                         {-EAGAIN, -EAGAIN, -EAGAIN, 60},
                                         {-EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN}};
    static const unsigned done[] = {4, 1, 3, 3, 4, 0};
    (void)state;
    for (unsigned i = 0; i < sizeof done / sizeof done[0]; i++)
        assert_int_equal(wr_batch_done(results[i], 4), done[i]);
    assert_int_equal(wr_batch_done(results[0], 0), 0);
}

/* A TUN device must be gone when its link is: the ring, which ends later, does not hold it. */
static void the_descriptor_is_not_held(void **state)
{
    ssize_t result[WR_BATCH_MAX];
    uint8_t data[2000];
    (void)state;
    need_a_ring();
    for (unsigned round = 0; round < 20; round++) {
        open_pair();
        write_many(1, 1, result);
        assert_non_null(batch.ring);
        wr_ahead_end(&ahead);
        wr_batch_end(&batch);
        close(near_fd);
        assert_int_equal(recv(far_fd, data, sizeof data, 0), (ssize_t)len_of(0));
        assert_int_equal(recv(far_fd, data, sizeof data, 0), 0); /* the end, and not EAGAIN */
        close(far_fd);
    }
}

/* Runs `fn` where no descriptor can be opened, so no ring either. */
static void without_a_ring(void (*fn)(void))
{
    struct rlimit limit, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    fn();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void try_both(void)
{
    struct wr_batch_parts parts = {.iov = {{one, 1}}, .n = 1};
    struct iovec to = {one, sizeof one};
    ssize_t result;
    assert_int_equal(wr_batch_read(&batch, &to, 1, &result), 0);
    assert_true(batch.refused);
    assert_int_equal(wr_batch_write(&batch, &parts, 1, &result), 0);
}

static void without_a_ring_nothing_is_tried(void **state)
{
    (void)state;
    open_pair();
    without_a_ring(try_both);
    try_both(); /* it is not asked for again */
    close_pair();
}

/* A file of /proc is none that can be told not to wait. */
static void a_descriptor_that_may_wait_is_left_alone(void **state)
{
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    struct iovec to = {one, sizeof one};
    ssize_t result;
    (void)state;
    assert_true(fd >= 0);
    wr_batch_init(&batch, fd);
    assert_int_equal(wr_batch_read(&batch, &to, 1, &result), 0);
    assert_true(batch.refused);
    assert_null(batch.ring);
    wr_batch_end(&batch);
    close(fd);
}

/* ---- gathering ------------------------------------------------------------------------------------ */

static struct wr_gather gather;

static void gather_one(unsigned n, size_t len)
{
    fill(wr_gather_room(&gather), len, n);
    wr_gather_add(&gather, len);
}

static void assert_arrives(unsigned n, size_t len)
{
    uint8_t data[2000];
    ssize_t got = recv(far_fd, data, sizeof data, 0);
    assert_is(data, got, n, len);
}

static void assert_nothing_arrives(void)
{
    uint8_t byte;
    assert_int_equal(recv(far_fd, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

/* What is gathered leaves when it is told to; in order, each once. */
static void gather_all_counts(void)
{
    for (unsigned n = 0; n <= WR_GATHER_MAX; n++) {
        for (unsigned i = 0; i < n; i++)
            gather_one(i, 1 + (n + i) % WR_GATHER_BYTES);
        assert_nothing_arrives();
        assert_int_equal(wr_gather_is_full(&gather), n == WR_GATHER_MAX);
        assert_true(wr_gather_write(&gather));
        for (unsigned i = 0; i < n; i++)
            assert_arrives(i, 1 + (n + i) % WR_GATHER_BYTES);
        assert_nothing_arrives();
        assert_int_equal(gather.n, 0);
    }
}

static void small_frames_leave_together(void **state)
{
    (void)state;
    need_a_ring();
    open_pair();
    wr_gather_init(&gather, &batch);
    for (unsigned i = 0; i < WR_GATHER_FEW; i++)
        gather_one(i, WR_GATHER_BYTES);
    assert_true(wr_gather_write(&gather));
    assert_null(batch.ring); /* few go one by one */
    for (unsigned i = 0; i < WR_GATHER_FEW; i++)
        assert_arrives(i, WR_GATHER_BYTES);
    gather_all_counts();
    assert_non_null(batch.ring);
    close_pair();
}

static void small_frames_leave_without_a_ring_too(void **state)
{
    (void)state;
    open_pair();
    wr_gather_init(&gather, &batch);
    without_a_ring(gather_all_counts);
    assert_true(batch.refused);
    gather_all_counts();
    close_pair();
}

static void gathered_frames_that_are_lost_are_told(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= WR_GATHER_FEW + 1; n++) {
        open_pair();
        wr_gather_init(&gather, &batch);
        assert_int_equal(shutdown(near_fd, SHUT_WR), 0);
        for (unsigned i = 0; i < n; i++)
            gather_one(i, 5);
        assert_true(wr_gather_write(&gather));
        assert_int_equal(gather.n, 0);
        assert_int_equal(gather.lost, n);
        assert_int_equal(gather.error, -EPIPE);
        close_pair();
    }
}

/* Sends until the pair has no room for one of 200 bytes. Returns how many it took. */
static unsigned fill_the_pair(void)
{
    uint8_t data[200];
    unsigned n = 0;
    for (fill(data, sizeof data, 0); send(near_fd, data, sizeof data, 0) > 0; n++)
        continue;
    assert_int_equal(errno, EAGAIN);
    return n;
}

/* What the descriptor has no room for is kept, and leaves in order when there is room; what has come meanwhile
 * behind it. */
static void refused_counts(void)
{
    static const unsigned counts[] = {1, WR_GATHER_FEW, WR_GATHER_FEW + 1, WR_GATHER_MAX / 2};
    for (unsigned k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        unsigned n = counts[k], before = fill_the_pair();
        for (unsigned i = 0; i < n; i++)
            gather_one(i, 150);
        assert_false(wr_gather_write(&gather));
        assert_int_equal(gather.n, n);
        gather_one(n, 120);
        assert_false(wr_gather_write(&gather));
        while (before-- > 0)
            assert_arrives(0, 200);
        assert_nothing_arrives();
        assert_true(wr_gather_write(&gather));
        for (unsigned i = 0; i < n; i++)
            assert_arrives(i, 150);
        assert_arrives(n, 120);
        assert_nothing_arrives();
        assert_int_equal(gather.lost, 0);
    }
}

static void what_has_no_room_is_kept_in_order(void **state)
{
    (void)state;
    need_a_ring();
    open_pair();
    wr_gather_init(&gather, &batch);
    refused_counts();
    assert_non_null(batch.ring);
    close_pair();
}

static void what_has_no_room_is_kept_without_a_ring_too(void **state)
{
    (void)state;
    open_pair();
    wr_gather_init(&gather, &batch);
    without_a_ring(refused_counts);
    assert_true(batch.refused);
    close_pair();
}

/* ---- reading ahead -------------------------------------------------------------------------------- */

static void assert_next(unsigned n, size_t len)
{
    uint8_t *data = NULL;
    ssize_t got = wr_ahead_read(&ahead, &data);
    assert_is(data, got, n, len);
}

static void assert_none(void)
{
    uint8_t *data;
    assert_int_equal(wr_ahead_read(&ahead, &data), 0);
}

static void put_many(unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++)
        put(i, len_of(i));
}

static void take_many(unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++)
        assert_next(i, len_of(i));
}

static void many_small_frames_are_read_together(void **state)
{
    (void)state;
    need_a_ring();
    open_pair();
    put_many(0, 100);
    take_many(0, WR_AHEAD_AFTER);
    assert_null(batch.ring);
    assert_false(wr_ahead_has(&ahead));
    take_many(WR_AHEAD_AFTER, 1);
    assert_non_null(batch.ring);
    assert_int_equal(ahead.n, WR_AHEAD_MAX);
    assert_true(wr_ahead_has(&ahead));
    assert_true(wr_ahead_is_on(&ahead));
    take_many(WR_AHEAD_AFTER + 1, 100 - WR_AHEAD_AFTER - 1);
    assert_none();
    assert_none();
    close_pair();
}

static void few_frames_are_read_one_by_one(void **state)
{
    (void)state;
    open_pair();
    for (unsigned i = 0; i < 100; i++) {
        put_many(2 * i, 2);
        take_many(2 * i, 2);
        assert_none();
    }
    assert_null(batch.ring);
    put_many(0, WR_AHEAD_AFTER + WR_AHEAD_FEW);
    take_many(0, WR_AHEAD_AFTER + WR_AHEAD_FEW);
    assert_int_equal(ahead.ask, 0); /* the batch brought few */
    assert_none();
    close_pair();
}

static void as_many_are_asked_for_as_the_last_call_promises(void **state)
{
    (void)state;
    need_a_ring();
    open_pair();
    put_many(0, WR_AHEAD_AFTER + 6);
    take_many(0, WR_AHEAD_AFTER + 6);
    assert_int_equal(ahead.ask, 12);
    assert_none();
    put_many(0, 20);
    take_many(0, 20);
    assert_int_equal(ahead.ask, WR_AHEAD_MAX);
    close_pair();
}

static void large_frames_are_whole_and_read_one_by_one(void **state)
{
    (void)state;
    open_pair();
    put_many(0, WR_AHEAD_AFTER + 3);
    put(7, BIG);
    put(8, CAP);
    put_many(30, 2);
    take_many(0, WR_AHEAD_AFTER + 3);
    assert_next(7, BIG);
    assert_next(8, CAP);
    assert_false(ahead.ask > 0);
    take_many(30, 2);
    assert_none();
    close_pair();
}

/* It is said that there is none only after the descriptor has been asked: a caller that waits for an edge of
 * epoll may have had it before what had been read was taken. */
static void what_came_while_frames_were_lent_is_found(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= WR_AHEAD_MAX; n++) {
        open_pair();
        put_many(0, WR_AHEAD_AFTER + n);
        take_many(0, WR_AHEAD_AFTER + n - 1);
        put_many(200, 1);
        take_many(WR_AHEAD_AFTER + n - 1, 1);
        put_many(201, 1);
        take_many(200, 2);
        assert_none();
        close_pair();
    }
}

/* Random bursts, a part of each taken before the next one comes. */
static void whatever_comes_arrives_once_and_in_order(void **state)
{
    unsigned sent = 0, taken = 0;
    (void)state;
    open_pair();
    srand(11);
    for (unsigned round = 0; round < 2000; round++) {
        unsigned burst = (unsigned)rand() % 30, part = (unsigned)rand() % 40;
        for (; burst > 0 && sent - taken < 60; burst--, sent++)
            put(sent, sent % 61 == 0 ? BIG : len_of(sent));
        for (; part > 0 && taken < sent; part--, taken++)
            assert_next(taken, taken % 61 == 0 ? BIG : len_of(taken));
        if (taken == sent)
            assert_none();
    }
    for (; taken < sent; taken++)
        assert_next(taken, taken % 61 == 0 ? BIG : len_of(taken));
    assert_none();
    close_pair();
}

static void take_thirty(void)
{
    take_many(0, 30);
    assert_none();
}

static void without_a_ring_all_are_read_one_by_one(void **state)
{
    (void)state;
    open_pair();
    put_many(0, 30);
    without_a_ring(take_thirty);
    assert_true(batch.refused);
    put_many(0, 30);
    take_thirty();
    assert_null(batch.ring);
    close_pair();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_read_in_order_and_those_not_there_are_told),
        cmocka_unit_test(frames_are_written_in_order_from_their_parts),
        cmocka_unit_test(one_that_fails_does_not_keep_the_next_back),
        cmocka_unit_test(nothing_is_tried_behind_one_that_has_no_room),
        cmocka_unit_test(no_frame_is_written_twice),
        cmocka_unit_test(the_descriptor_is_not_held),
        cmocka_unit_test(without_a_ring_nothing_is_tried),
        cmocka_unit_test(a_descriptor_that_may_wait_is_left_alone),
        cmocka_unit_test(small_frames_leave_together),
        cmocka_unit_test(small_frames_leave_without_a_ring_too),
        cmocka_unit_test(gathered_frames_that_are_lost_are_told),
        cmocka_unit_test(what_has_no_room_is_kept_in_order),
        cmocka_unit_test(what_has_no_room_is_kept_without_a_ring_too),
        cmocka_unit_test(many_small_frames_are_read_together),
        cmocka_unit_test(few_frames_are_read_one_by_one),
        cmocka_unit_test(as_many_are_asked_for_as_the_last_call_promises),
        cmocka_unit_test(large_frames_are_whole_and_read_one_by_one),
        cmocka_unit_test(what_came_while_frames_were_lent_is_found),
        cmocka_unit_test(whatever_comes_arrives_once_and_in_order),
        cmocka_unit_test(without_a_ring_all_are_read_one_by_one),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
