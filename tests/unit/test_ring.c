/* SPDX-License-Identifier: MIT */
#include "base/ring.h"
#include "probe.h"

/* Reads all that is readable, through peek, and compares. */
static void assert_reads(const struct wr_ring *ring, const void *want, size_t n)
{
    struct weir_span spans[2];
    uint8_t *got = malloc(n + 1);
    size_t count = wr_ring_peek(ring, 0, SIZE_MAX, spans);

    assert_non_null(got);
    assert_int_equal(ring->len, n);
    assert_int_equal(wr_spans_len(spans, count), n);
    assert_int_equal(wr_spans_copy(got, spans, count), n);
    assert_memory_equal(got, want, n);
    free(got);
}

static void an_idle_ring_holds_no_memory(void **state)
{
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    struct wr_ring ring;
    uint8_t out[8];

    (void)state;
    wr_ring_init(&ring, 100);
    assert_int_equal(probe.calls, 0);
    assert_int_equal(wr_ring_write(&ring, alloc, "hello", 5), 5);
    assert_true(probe.live_bytes > 0);
    assert_reads(&ring, "hello", 5);
    assert_int_equal(wr_ring_read(&ring, alloc, out, 2), 2);
    assert_memory_equal(out, "he", 2);
    assert_int_equal(wr_ring_drop(&ring, alloc, 99), 3);
    probe_done(&probe);
    assert_int_equal(wr_ring_read(&ring, alloc, out, 8), 0);
    assert_int_equal(wr_ring_write(&ring, alloc, NULL, 0), 0);
    probe_done(&probe);
}

static void the_limit_cuts_a_write(void **state)
{
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    struct wr_ring ring;

    (void)state;
    wr_ring_init(&ring, 10);
    assert_int_equal(wr_ring_write(&ring, alloc, "0123456", 7), 7);
    assert_int_equal(wr_ring_space(&ring), 3);
    assert_int_equal(wr_ring_write(&ring, alloc, "789abc", 6), 3);
    assert_int_equal(wr_ring_write(&ring, alloc, "x", 1), 0);
    assert_reads(&ring, "0123456789", 10);
    wr_ring_set_limit(&ring, 4);
    assert_int_equal(wr_ring_space(&ring), 0);
    assert_int_equal(wr_ring_drop(&ring, alloc, 7), 7);
    assert_int_equal(wr_ring_write(&ring, alloc, "xy", 2), 1);
    assert_reads(&ring, "789x", 4);
    wr_ring_fini(&ring, alloc);
    probe_done(&probe);
}

static void early_bytes_wait_beyond_the_tail(void **state)
{
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    struct wr_ring ring;

    (void)state;
    wr_ring_init(&ring, 20);
    assert_int_equal(wr_ring_write(&ring, alloc, "ab", 2), 2);
    assert_int_equal(wr_ring_write_at(&ring, alloc, 4, "ef", 2), 2);
    assert_reads(&ring, "ab", 2);
    assert_int_equal(wr_ring_drop(&ring, alloc, 2), 2); /* holds "ef", so keeps its memory */
    assert_int_equal(ring.len, 0);
    assert_true(probe.live_bytes > 0);
    assert_int_equal(wr_ring_write_at(&ring, alloc, 0, "cd", 2), 2);
    wr_ring_commit(&ring, 4);
    assert_reads(&ring, "cdef", 4);
    assert_int_equal(wr_ring_write_at(&ring, alloc, 19, "xyz", 3), 1); /* the limit */
    assert_int_equal(wr_ring_write_at(&ring, alloc, 20, "x", 1), 0);
    wr_ring_forget_beyond(&ring, alloc);
    assert_int_equal(wr_ring_write(&ring, alloc, "gh", 2), 2);
    assert_reads(&ring, "cdefgh", 6);
    assert_int_equal(wr_ring_drop(&ring, alloc, 6), 6);
    probe_done(&probe);
    assert_int_equal(wr_ring_write_at(&ring, alloc, 3, "q", 1), 1);
    wr_ring_forget_beyond(&ring, alloc);
    probe_done(&probe);
}

static void out_of_memory_takes_what_fits(void **state)
{
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    static uint8_t data[100000];
    struct wr_ring ring;
    size_t first;

    (void)state;
    wr_ring_init(&ring, sizeof data);
    probe.fail_at = 1;
    assert_int_equal(wr_ring_write(&ring, alloc, data, 1), 0);
    assert_int_equal(wr_ring_write_at(&ring, alloc, 5, data, 1), 0);
    probe.fail_at = probe.calls + 2;
    assert_int_equal(wr_ring_write(&ring, alloc, data, 1), 1);
    first = ring.cap;
    assert_int_equal(wr_ring_write(&ring, alloc, data, sizeof data), first - 1);
    assert_int_equal(ring.len, first);
    assert_int_equal(wr_ring_write_at(&ring, alloc, first + 10, data, 10), 0);
    probe.fail_at = 0;
    assert_int_equal(wr_ring_write(&ring, alloc, data, sizeof data), sizeof data - first);
    wr_ring_fini(&ring, alloc);
    probe_done(&probe);
}

/* Against a flat model of the stream and a map of what was stored early. */
static void agrees_with_a_flat_model_over_random_operations(void **state)
{
    enum { STREAM = 200000, WINDOW = 3000 };
    static uint8_t stream[STREAM], out[WINDOW];
    static bool stored[STREAM];
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    struct wr_ring ring;
    uint64_t rnd = 3;
    size_t head = 0, tail = 0; /* of the model */

    (void)state;
    test_fill(&rnd, stream, sizeof stream);
    wr_ring_init(&ring, WINDOW);
    while (head < STREAM - WINDOW) {
        size_t off = (tail - head) + test_below(&rnd, 600), n = test_below(&rnd, 400), got;
        switch (test_below(&rnd, 4)) {
        case 0: /* out of order */
            got = wr_ring_write_at(&ring, alloc, off, stream + head + off, n);
            assert_int_equal(got, off >= WINDOW ? 0 : n < WINDOW - off ? n : WINDOW - off);
            memset(stored + head + off, 1, got);
            break;
        case 1: /* in order, then what waited */
            got = wr_ring_write_at(&ring, alloc, tail - head, stream + tail, n);
            memset(stored + tail, 1, got);
            for (n = 0; stored[tail + n]; n++) {
            }
            wr_ring_commit(&ring, n);
            tail += n;
            break;
        case 2:
            got = wr_ring_read(&ring, alloc, out, n);
            assert_int_equal(got, n < tail - head ? n : tail - head);
            assert_memory_equal(out, stream + head, got);
            head += got;
            break;
        default:
            off = test_below(&rnd, 700);
            got = wr_ring_copy(&ring, off, out, n);
            assert_int_equal(got, off >= tail - head      ? 0
                                  : n < tail - head - off ? n
                                                          : tail - head - off);
            assert_memory_equal(out, stream + head + off, got);
            break;
        }
        assert_int_equal(ring.len, tail - head);
        assert_true(ring.cap <= WINDOW);
    }
    wr_ring_fini(&ring, alloc);
    probe_done(&probe);
}

/* What was put into the room is taken by a write without being copied, and until then it is not there. */
static void room_becomes_what_is_written(void **state)
{
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    struct wr_ring ring;
    uint8_t *room, out[3];

    (void)state;
    wr_ring_init(&ring, 16);
    assert_int_equal(wr_ring_write(&ring, alloc, "abc", 3), 3);
    room = wr_ring_room(&ring, alloc, 4);
    assert_non_null(room);
    memcpy(room, "defg", 4);
    assert_reads(&ring, "abc", 3);
    assert_true(wr_ring_is_room(&ring, room, 4));
    assert_false(wr_ring_is_room(&ring, room + 1, 3));
    assert_int_equal(wr_ring_write(&ring, alloc, room, 4), 4);
    assert_reads(&ring, "abcdefg", 7);
    assert_null(wr_ring_room(&ring, alloc, 10)); /* the limit */
    assert_int_equal(wr_ring_read(&ring, alloc, out, 3), 3);
    assert_int_equal(wr_ring_write_at(&ring, alloc, 6, "x", 1), 1);
    assert_null(wr_ring_room(&ring, alloc, 1)); /* bytes beyond the tail */
    assert_false(wr_ring_is_room(&ring, room + 4, 1));
    wr_ring_forget_beyond(&ring, alloc);
    assert_int_equal(wr_ring_drop(&ring, alloc, 4), 4);
    assert_non_null(wr_ring_room(&ring, alloc, 16));
    wr_ring_forget_beyond(&ring, alloc); /* unused */
    probe_done(&probe);
}

/* Super-segments of many lengths, two at a time: their array comes back at one size, so that a kept one fits (core/alloc.c). */
static void room_comes_back_at_the_same_size(void **state)
{
    static const size_t lens[][2] = {
        {65483, 65483}, {65160, 65483}, {65160, 65160}, {20000, 65483}, {65483, 1448}};
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    struct wr_ring ring;

    (void)state;
    wr_ring_init(&ring, 1 << 20);
    for (unsigned round = 0; round < 20; round++) {
        const size_t *len = lens[round % 5];
        for (unsigned i = 0; i < 2; i++) {
            uint8_t *room = wr_ring_room(&ring, alloc, 65536);
            assert_non_null(room);
            memset(room, 'x', len[i]);
            assert_int_equal(wr_ring_write(&ring, alloc, room, len[i]), len[i]);
        }
        (void)wr_ring_room(&ring, alloc, 65536); /* there was no third */
        assert_int_equal(ring.cap % 65536, 0);
        if (round > 0)
            assert_int_equal(ring.cap, 3 * 65536);
        (void)wr_ring_drop(&ring, alloc, ring.len);
    }
    probe_done(&probe);
}

/* A ring that is never quite empty, as a send buffer is: room that is there is lent without an allocation. */
static void lending_what_is_there_allocates_nothing(void **state)
{
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    struct weir_piece piece[2];
    struct wr_ring ring;
    size_t calls;

    (void)state;
    wr_ring_init(&ring, 4096);
    assert_int_equal(wr_ring_write(&ring, alloc, "abc", 3), 3);
    assert_int_equal(wr_ring_lend(&ring, alloc, 4000, piece), 4000);
    wr_ring_return(&ring, alloc, 0);
    calls = probe.calls;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(wr_ring_lend(&ring, alloc, 1000, piece), 1000);
        memset(piece[0].ptr, 'x', piece[0].len);
        if (piece[1].len > 0)
            memset(piece[1].ptr, 'x', piece[1].len);
        wr_ring_return(&ring, alloc, 1000);
        assert_int_equal(wr_ring_drop(&ring, alloc, 1000), 1000);
        (void)wr_ring_room(&ring, alloc, 500);
    }
    assert_int_equal(probe.calls, calls);
    wr_ring_fini(&ring, alloc);
    probe_done(&probe);
}

/* A stream that is drained again and again does not climb from the smallest size each time. */
static void a_busy_ring_comes_back_at_its_last_size(void **state)
{
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    static uint8_t data[65536];
    struct wr_ring ring;
    size_t calls;

    (void)state;
    wr_ring_init(&ring, sizeof data);
    for (size_t i = 0; i < sizeof data; i += 1024)
        assert_int_equal(wr_ring_write(&ring, alloc, data, 1024), 1024);
    assert_int_equal(wr_ring_drop(&ring, alloc, sizeof data), sizeof data);
    calls = probe.calls;
    for (size_t i = 0; i < sizeof data; i += 1024)
        assert_int_equal(wr_ring_write(&ring, alloc, data, 1024), 1024);
    assert_int_equal(probe.calls, calls + 1);
    assert_int_equal(wr_ring_drop(&ring, alloc, sizeof data), sizeof data);
    assert_int_equal(wr_ring_write(&ring, alloc, data, 1), 1);
    assert_int_equal(wr_ring_drop(&ring, alloc, 1), 1);
    assert_int_equal(wr_ring_write(&ring, alloc, data, 1), 1); /* forgotten after one small use */
    assert_true(ring.cap < sizeof data);
    wr_ring_fini(&ring, alloc);
    probe_done(&probe);
}

/* A send buffer whose limit follows cwnd is full all the time while the limit rises a little at
 * each ACK: copying all of it each time would make the cost of a stream quadratic. */
static void a_limit_that_creeps_up_does_not_copy_at_each_step(void **state)
{
    enum { STEPS = 1000, STEP = 100 };
    struct probe probe;
    const struct weir_allocator *alloc = probe_init(&probe);
    static uint8_t data[STEP];
    struct wr_ring ring;

    (void)state;
    wr_ring_init(&ring, 0);
    for (uint32_t i = 1; i <= STEPS; i++) {
        wr_ring_set_limit(&ring, i * STEP);
        assert_int_equal(wr_ring_write(&ring, alloc, data, STEP), STEP);
        assert_int_equal(wr_ring_write(&ring, alloc, data, STEP), 0);
        assert_true(ring.cap <= ring.limit + ring.limit / 4 + STEP);
    }
    assert_true(probe.calls < 40); /* log(1000) / log(1.25) is 31 */
    wr_ring_fini(&ring, alloc);
    probe_done(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_ring_holds_no_memory),
        cmocka_unit_test(the_limit_cuts_a_write),
        cmocka_unit_test(early_bytes_wait_beyond_the_tail),
        cmocka_unit_test(out_of_memory_takes_what_fits),
        cmocka_unit_test(agrees_with_a_flat_model_over_random_operations),
        cmocka_unit_test(a_limit_that_creeps_up_does_not_copy_at_each_step),
        cmocka_unit_test(a_busy_ring_comes_back_at_its_last_size),
        cmocka_unit_test(room_becomes_what_is_written),
        cmocka_unit_test(room_comes_back_at_the_same_size),
        cmocka_unit_test(lending_what_is_there_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
