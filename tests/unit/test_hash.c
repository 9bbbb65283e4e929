/* SPDX-License-Identifier: MIT */
#include "base/hash.h"
#include "base/list.h"
#include "probe.h"

struct item {
    uint32_t key;
    bool held;
    struct wr_hash_node node;
};

static const uint8_t secret[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static uint64_t hash_of(const struct wr_hash *h, uint32_t key)
{
    return wr_hash_of(h, &key, sizeof key);
}

static struct item *look_up(const struct wr_hash *h, uint32_t key)
{
    uint64_t hash = hash_of(h, key);

    for (struct wr_hash_node *n = wr_hash_first(h, hash); n != NULL; n = wr_hash_next(n)) {
        struct item *item = WR_CONTAINER(n, struct item, node);
        if (item->key == key)
            return item;
    }
    return NULL;
}

/*
 * The reference vector of SipHash-2-4 (Aumasson, Bernstein 2012, appendix A): key 00..0f, message
 * 00..0e, hash a129ca6149be45e5, little-endian in memory.
 */
static void hashes_with_siphash_2_4(void **state)
{
    struct probe probe;
    struct wr_hash h;
    uint8_t message[15];

    (void)state;
    for (uint8_t i = 0; i < sizeof message; i++)
        message[i] = i;
    wr_hash_init(&h, probe_init(&probe), secret, 1);
    assert_true(wr_hash_of(&h, message, sizeof message) == 0xe545be4961ca29a1u);
    probe_done(&probe);
}

static void finds_all_that_was_inserted_through_every_growth(void **state)
{
    enum { N = 5000 };
    static struct item items[N];
    struct probe probe;
    struct wr_hash h;

    (void)state;
    wr_hash_init(&h, probe_init(&probe), secret, N);
    assert_null(wr_hash_first(&h, 1));
    for (uint32_t i = 0; i < N; i++) {
        items[i].key = i;
        assert_true(wr_hash_insert(&h, &items[i].node, hash_of(&h, i)));
        if (i < 300) {
            for (uint32_t j = 0; j <= i; j++)
                assert_ptr_equal(look_up(&h, j), &items[j]);
        }
        assert_null(look_up(&h, i + 1));
    }
    for (uint32_t j = 0; j < N; j++)
        assert_ptr_equal(look_up(&h, j), &items[j]);
    wr_hash_fini(&h);
    probe_done(&probe);
}

static void agrees_with_an_array_over_random_operations(void **state)
{
    enum { N = 400 };
    static struct item items[N];
    struct probe probe;
    struct wr_hash h;
    uint64_t rnd = 2;

    (void)state;
    wr_hash_init(&h, probe_init(&probe), secret, N);
    for (uint32_t i = 0; i < N; i++)
        items[i] = (struct item){.key = i * 77};
    for (int step = 0; step < 100000; step++) {
        struct item *item = &items[test_below(&rnd, 1 + (uint32_t)step / 250)];
        assert_ptr_equal(look_up(&h, item->key), item->held ? item : NULL);
        if (item->held)
            wr_hash_remove(&h, &item->node);
        else
            assert_true(wr_hash_insert(&h, &item->node, hash_of(&h, item->key)));
        item->held = !item->held;
    }
    wr_hash_fini(&h);
    probe_done(&probe);
}

static void chains_become_fewer_when_most_have_left(void **state)
{
    enum { N = 5000, LEFT = 7 };
    static struct item items[N];
    struct probe probe;
    struct wr_hash h;
    uint32_t most;

    (void)state;
    wr_hash_init(&h, probe_init(&probe), secret, N);
    for (uint32_t i = 0; i < N; i++) {
        items[i].key = i;
        assert_true(wr_hash_insert(&h, &items[i].node, hash_of(&h, i)));
    }
    most = h.n_chains;
    assert_true(most >= N);
    for (uint32_t i = LEFT; i < N; i++)
        wr_hash_remove(&h, &items[i].node);
    for (uint32_t i = LEFT; i < N; i++) { /* one comes and goes */
        assert_true(wr_hash_insert(&h, &items[i].node, hash_of(&h, i)));
        for (uint32_t j = 0; j < LEFT; j++)
            assert_ptr_equal(look_up(&h, j), &items[j]);
        assert_ptr_equal(look_up(&h, i), &items[i]);
        wr_hash_remove(&h, &items[i].node);
    }
    assert_true(h.n_chains <= 16 * (LEFT + 1));
    for (uint32_t i = LEFT; i < N; i++)
        assert_true(wr_hash_insert(&h, &items[i].node, hash_of(&h, i)));
    assert_true(h.n_chains >= most / 2);
    for (uint32_t i = 0; i < N; i++)
        assert_ptr_equal(look_up(&h, i), &items[i]);
    wr_hash_fini(&h);
    probe_done(&probe);
}

static void equal_hashes_are_all_found_newest_first(void **state)
{
    struct item items[3];
    struct probe probe;
    struct wr_hash h;
    struct wr_hash_node *n;

    (void)state;
    wr_hash_init(&h, probe_init(&probe), secret, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(wr_hash_insert(&h, &items[i].node, 7));
    n = wr_hash_first(&h, 7);
    for (int i = 2; i >= 0; i--) {
        assert_ptr_equal(n, &items[i].node);
        n = wr_hash_next(n);
    }
    assert_null(n);
    wr_hash_fini(&h);
    probe_done(&probe);
}

static void each_visits_all_once_and_allows_removal(void **state)
{
    enum { N = 1000 };
    static struct item items[N];
    struct probe probe;
    struct wr_hash h;

    (void)state;
    for (uint32_t size = 0; size < N; size += 1 + size / 7) { /* all phases of a doubling */
        struct wr_hash_iter it = {0};
        struct wr_hash_node *n;
        uint32_t seen = 0;
        wr_hash_init(&h, probe_init(&probe), secret, N);
        for (uint32_t i = 0; i < size; i++) {
            items[i] = (struct item){.key = i};
            assert_true(wr_hash_insert(&h, &items[i].node, hash_of(&h, i)));
        }
        while ((n = wr_hash_each(&h, &it)) != NULL) {
            struct item *item = WR_CONTAINER(n, struct item, node);
            assert_false(item->held);
            item->held = true;
            seen++;
            if (item->key % 3 == 0) {
                wr_hash_remove(&h, n);
                memset(n, 0xee, sizeof *n);
            }
        }
        assert_int_equal(seen, size);
        assert_int_equal(h.count, size - (size + 2) / 3);
        wr_hash_fini(&h);
        probe_done(&probe);
    }
}

static void the_limit_and_a_lack_of_memory_are_told(void **state)
{
    struct item items[200];
    struct probe probe;
    struct wr_hash h;

    (void)state;
    wr_hash_init(&h, probe_init(&probe), secret, 2);
    assert_true(wr_hash_insert(&h, &items[0].node, 1));
    assert_true(wr_hash_insert(&h, &items[1].node, 2));
    assert_false(wr_hash_insert(&h, &items[2].node, 3));
    wr_hash_fini(&h);
    probe_done(&probe);

    wr_hash_init(&h, probe_init(&probe), secret, 200);
    probe.fail_at = 1;
    assert_false(wr_hash_insert(&h, &items[0].node, 1));
    probe.fail_at = 3; /* the first array only: chains get longer */
    for (uint32_t i = 0; i < 200; i++) {
        items[i].key = i;
        assert_true(wr_hash_insert(&h, &items[i].node, hash_of(&h, i)));
    }
    for (uint32_t i = 0; i < 200; i++)
        assert_ptr_equal(look_up(&h, i), &items[i]);
    wr_hash_fini(&h);
    probe_done(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_with_siphash_2_4),
        cmocka_unit_test(finds_all_that_was_inserted_through_every_growth),
        cmocka_unit_test(agrees_with_an_array_over_random_operations),
        cmocka_unit_test(chains_become_fewer_when_most_have_left),
        cmocka_unit_test(equal_hashes_are_all_found_newest_first),
        cmocka_unit_test(each_visits_all_once_and_allows_removal),
        cmocka_unit_test(the_limit_and_a_lack_of_memory_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
