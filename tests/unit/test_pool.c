/* SPDX-License-Identifier: MIT */
#include "base/pool.h"
#include "probe.h"

static void a_stale_handle_finds_nothing(void **state)
{
    struct probe probe;
    struct wr_pool pool;
    void *a, *b;

    (void)state;
    wr_pool_init(&pool, probe_init(&probe), 24, 10);
    assert_int_equal(probe.calls, 0);
    uint64_t first = wr_pool_alloc(&pool, &a);
    assert_true(first != 0);
    assert_ptr_equal(wr_pool_find(&pool, first), a);
    assert_true(wr_pool_handle(&pool, a) == first);
    wr_pool_free(&pool, a);
    assert_null(wr_pool_find(&pool, first));
    uint64_t second = wr_pool_alloc(&pool, &b);
    assert_ptr_equal(a, b); /* the same slot, another handle */
    assert_true(second != first);
    assert_null(wr_pool_find(&pool, first));
    assert_ptr_equal(wr_pool_find(&pool, second), b);
    wr_pool_fini(&pool);
    probe_done(&probe);
}

static void made_up_handles_find_nothing(void **state)
{
    struct probe probe;
    struct wr_pool pool;
    void *obj;
    uint64_t rnd = 5;

    (void)state;
    wr_pool_init(&pool, probe_init(&probe), 8, 100);
    assert_null(wr_pool_find(&pool, 0));
    uint64_t handle = wr_pool_alloc(&pool, &obj);
    assert_null(wr_pool_find(&pool, 0));
    assert_null(wr_pool_find(&pool, UINT64_MAX));
    assert_null(wr_pool_find(&pool, handle ^ 1));
    assert_null(wr_pool_find(&pool, handle ^ 1ull << 32));
    for (int i = 0; i < 10000; i++) {
        uint64_t guess = test_random(&rnd);
        assert_ptr_equal(wr_pool_find(&pool, guess), guess == handle ? obj : NULL);
    }
    wr_pool_fini(&pool);
    probe_done(&probe);
}

static void objects_are_zeroed_aligned_and_never_move(void **state)
{
    enum { N = 1000, SIZE = 40 };
    static void *objs[N];
    static uint64_t handles[N];
    struct probe probe;
    struct wr_pool pool;
    const uint8_t zero[SIZE] = {0};

    (void)state;
    wr_pool_init(&pool, probe_init(&probe), SIZE, N);
    for (int i = 0; i < N; i++) {
        handles[i] = wr_pool_alloc(&pool, &objs[i]);
        assert_true(handles[i] != 0);
        assert_int_equal((uintptr_t)objs[i] % 8, 0);
        assert_memory_equal(objs[i], zero, SIZE);
        memset(objs[i], i, SIZE);
    }
    for (int i = 0; i < N; i++) {
        uint8_t want[SIZE];
        memset(want, i, SIZE);
        assert_ptr_equal(wr_pool_find(&pool, handles[i]), objs[i]);
        assert_memory_equal(objs[i], want, SIZE);
    }
    assert_true(wr_pool_alloc(&pool, &objs[0]) == 0); /* the bound */
    wr_pool_fini(&pool);
    probe_done(&probe);
}

static void at_visits_what_is_in_use(void **state)
{
    struct probe probe;
    struct wr_pool pool;
    void *objs[10];
    int seen = 0;

    (void)state;
    wr_pool_init(&pool, probe_init(&probe), 4, 10);
    for (int i = 0; i < 10; i++)
        assert_true(wr_pool_alloc(&pool, &objs[i]) != 0);
    for (int i = 0; i < 10; i += 3)
        wr_pool_free(&pool, objs[i]);
    for (uint32_t i = 0; i < pool.n_slots; i++)
        seen += wr_pool_at(&pool, i) != NULL;
    assert_int_equal(seen, 6);
    assert_int_equal(pool.count, 6);
    assert_null(wr_pool_at(&pool, pool.n_slots));
    wr_pool_fini(&pool);
    probe_done(&probe);
}

/* Peak use leaves nothing behind but the directory and one chunk, and no old handle comes alive again. */
static void memory_without_objects_goes_back(void **state)
{
    enum { N = 1000, SIZE = 40 };
    static void *objs[N];
    static uint64_t old[N];
    struct probe probe;
    struct wr_pool pool;

    (void)state;
    wr_pool_init(&pool, probe_init(&probe), SIZE, N);
    for (int round = 0; round < 3; round++) {
        uint64_t now[N];
        for (int i = 0; i < N; i++) {
            now[i] = wr_pool_alloc(&pool, &objs[i]);
            assert_true(now[i] != 0);
        }
        for (int i = 0; i < N; i++)
            for (int k = 0; round > 0 && k < N; k += 97)
                assert_true(now[i] != old[k]);
        for (int i = 0; i < N; i++)
            assert_true(round == 0 || wr_pool_find(&pool, old[i]) == NULL);
        memcpy(old, now, sizeof old);
        for (int i = N - 1; i > 0; i--) /* all but the first */
            wr_pool_free(&pool, objs[i]);
        assert_int_equal(pool.count, 1);
        assert_ptr_equal(wr_pool_find(&pool, now[0]), objs[0]);
        assert_true(probe.live_bytes < 100 * SIZE + pool.dir_cap * sizeof(void *));
        wr_pool_free(&pool, objs[0]);
    }
    wr_pool_fini(&pool);
    probe_done(&probe);
}

static void every_failing_allocation_leaves_the_pool_usable(void **state)
{
    (void)state;
    for (size_t fail = 1; fail < 12; fail++) {
        struct probe probe;
        struct wr_pool pool;
        void *obj;
        uint32_t got = 0;
        wr_pool_init(&pool, probe_init(&probe), 100, 400);
        probe.fail_at = fail;
        while (wr_pool_alloc(&pool, &obj) != 0)
            got++;
        assert_int_equal(pool.count, got);
        probe.fail_at = 0;
        while (wr_pool_alloc(&pool, &obj) != 0)
            got++;
        assert_int_equal(got, 400);
        wr_pool_fini(&pool);
        probe_done(&probe);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stale_handle_finds_nothing),
        cmocka_unit_test(made_up_handles_find_nothing),
        cmocka_unit_test(objects_are_zeroed_aligned_and_never_move),
        cmocka_unit_test(at_visits_what_is_in_use),
        cmocka_unit_test(memory_without_objects_goes_back),
        cmocka_unit_test(every_failing_allocation_leaves_the_pool_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
