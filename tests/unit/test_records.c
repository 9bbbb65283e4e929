/* SPDX-License-Identifier: MIT */
#include "base/dues.h"
#include "base/records.h"
#include "probe.h"

enum { N = 6000 };

struct item {
    struct wr_record record;
    uint32_t key, due;
    struct wr_record_link link;
};

struct table {
    struct probe probe;
    struct wr_records records;
    uint32_t number[N]; /* by key; WR_RECORD_NONE: not in it */
};

static struct table table;

static uint32_t hash_of(uint32_t key)
{
    return key * 0x9e3779b1u;
}

/* Sizes differ, so that chunks of many kinds come and go. */
static size_t size_of(uint32_t key)
{
    return sizeof(struct item) + key % 7 * 4 + (key % 100 == 0 ? 600 : 0);
}

static void begin(void)
{
    memset(&table, 0, sizeof table);
    memset(table.number, 0xff, sizeof table.number);
    wr_records_init(&table.records, probe_init(&table.probe));
}

static void end(void)
{
    wr_records_fini(&table.records);
    probe_done(&table.probe);
}

static struct item *add(uint32_t key)
{
    struct item *item =
        wr_records_add(&table.records, size_of(key), hash_of(key), &table.number[key]);

    if (item == NULL)
        return NULL;
    memset((uint8_t *)item + sizeof item->record, (int)key, size_of(key) - sizeof item->record);
    item->key = key;
    item->due = WR_RECORD_NONE;
    return item;
}

static struct item *look_up(uint32_t key)
{
    struct item *item = wr_records_first(&table.records, hash_of(key));

    while (item != NULL && item->key != key)
        item = wr_records_next(&table.records, &item->record);
    return item;
}

static void take_out(uint32_t key)
{
    wr_records_remove(&table.records, &look_up(key)->record);
    table.number[key] = WR_RECORD_NONE;
}

static void check_all(void)
{
    uint32_t n = 0, seen = 0;

    for (uint32_t key = 0; key < N; key++) {
        struct item *item = look_up(key);
        if (table.number[key] == WR_RECORD_NONE) {
            assert_null(item);
            continue;
        }
        n++;
        assert_non_null(item);
        assert_ptr_equal(item, wr_records_at(&table.records, table.number[key]));
        assert_int_equal(wr_records_number(&table.records, &item->record), table.number[key]);
    }
    assert_int_equal(table.records.count, n);
    for (uint32_t i = 0; i < wr_records_end(&table.records); i++)
        seen += wr_records_at(&table.records, i) != NULL;
    assert_int_equal(seen, n);
}

static void finds_what_is_in_it_while_it_grows_and_shrinks(void **state)
{
    uint64_t random = 1;

    (void)state;
    begin();
    assert_null(wr_records_first(&table.records, 1));
    for (uint32_t key = 0; key < N; key++)
        assert_non_null(add(key));
    check_all();
    for (int i = 0; i < 4 * N; i++) {
        uint32_t key = (uint32_t)(test_random(&random) % N);
        if (table.number[key] == WR_RECORD_NONE)
            assert_non_null(add(key));
        else
            take_out(key);
    }
    check_all();
    for (uint32_t key = 0; key < N; key++)
        if (table.number[key] != WR_RECORD_NONE && key % 50 != 0)
            take_out(key);
    check_all();
    end();
}

static void equal_hashes_are_told_apart_by_who_looks_up(void **state)
{
    struct item *item;
    unsigned found = 0;

    (void)state;
    begin();
    for (uint32_t key = 0; key < 300; key++) {
        item = wr_records_add(&table.records, sizeof *item, 42, &table.number[key]);
        assert_non_null(item);
        item->key = key;
    }
    for (item = wr_records_first(&table.records, 42); item != NULL;
         item = wr_records_next(&table.records, &item->record))
        found += item->key < 300;
    assert_int_equal(found, 300);
    assert_null(wr_records_first(&table.records, 43));
    end();
}

/* Each of many costs its own bytes, four of its chain, and little more. */
static void a_record_costs_little_more_than_itself(void **state)
{
    (void)state;
#ifndef WEIR_HARD
    begin();
    for (uint32_t key = 0; key < N; key++)
        assert_non_null(wr_records_add(&table.records, 52, hash_of(key), &table.number[key]));
    assert_in_range(table.probe.live_bytes, N * 56, N * 58);
    end();
#endif
}

/* What records of one size no longer need, those of another can have from any allocator. */
static void chunks_of_all_sizes_are_as_long(void **state)
{
    (void)state;
#ifndef WEIR_HARD
    begin();
    assert_non_null(add(0)); /* the directory and the first page of chains */
    for (uint32_t size = 132; size <= 512; size += 4) {
        size_t before = table.probe.live_bytes;
        struct wr_record *record =
            wr_records_add(&table.records, size, hash_of(1), &table.number[1]);
        assert_non_null(record);
        assert_int_equal(table.probe.live_bytes - before, 4096);
        wr_records_remove(&table.records, record);
        assert_int_equal(table.probe.live_bytes, before);
    }
    end();
#endif
}

static void memory_of_a_crowd_comes_back(void **state)
{
    size_t few, kept = 8 * 4400 + 16384;

    (void)state;
#ifdef WEIR_HARD
    kept += N * 4 * 16; /* the directory, of chunks of one record */
#endif
    begin();
    assert_non_null(add(0));
    assert_non_null(add(1));
    few = table.probe.live_bytes;
    for (uint32_t key = 2; key < N; key++)
        assert_non_null(add(key));
    for (uint32_t key = 2; key < N; key++)
        take_out(key);
    /* Kept: a chunk of each small size, the first page of chains, the directories. */
    assert_in_range(table.probe.live_bytes, few, few + kept);
    end();
}

static void no_memory_leaves_all_as_it_was(void **state)
{
    uint32_t none;

    (void)state;
    for (size_t fail_at = 1; fail_at < 60; fail_at++) {
        uint32_t in = 0;
        begin();
        table.probe.fail_at = fail_at;
        for (uint32_t key = 0; key < N; key++)
            if (add(key) != NULL)
                in++;
            else
                table.number[key] = WR_RECORD_NONE;
        assert_true(in < N);
        check_all();
        table.probe.fail_at = 0;
        for (uint32_t key = 0; key < N; key++)
            if (table.number[key] == WR_RECORD_NONE)
                assert_non_null(add(key));
        check_all();
        end();
    }
    begin();
    table.probe.fail_at = 1;
    assert_null(wr_records_add(&table.records, 8, 0, &none));
    end();
}

static void lines_keep_their_order(void **state)
{
    struct wr_record_line line;
    struct item *item;
    uint32_t want[] = {3, 5, 1}, i = 0;

    (void)state;
    begin();
    wr_record_line_init(&line, offsetof(struct item, link));
    assert_null(wr_record_line_first(&table.records, &line));
    for (uint32_t key = 0; key < 6; key++) {
        assert_non_null(add(key));
        wr_record_line_push(&table.records, &line, table.number[key]);
    }
    for (uint32_t key = 0; key < 3; key++) /* first, first, first of those that are left */
        wr_record_line_remove(&table.records, &line, &look_up(key)->record);
    wr_record_line_remove(&table.records, &line, &look_up(4)->record);
    wr_record_line_push(&table.records, &line, table.number[1]);
    while ((item = wr_record_line_first(&table.records, &line)) != NULL) {
        assert_int_equal(item->key, want[i++]);
        wr_record_line_remove(&table.records, &line, &item->record);
    }
    assert_int_equal(i, 3);
    end();
}

/* Against the plainest of all: the earliest of an array. */
static void the_earliest_is_due_first(void **state)
{
    enum { M = 700 };
    static weir_time at[M];
    struct wr_dues dues;
    uint64_t random = 7;
    uint32_t in = 0;

    (void)state;
    begin();
    wr_dues_init(&dues, &table.records, offsetof(struct item, due));
    assert_null(wr_dues_first(&dues));
    for (uint32_t key = 0; key < M; key++) {
        assert_non_null(add(key));
        at[key] = WEIR_TIME_NEVER;
    }
    for (int i = 0; i < 20 * M; i++) {
        uint32_t key = (uint32_t)(test_random(&random) % M);
        weir_time earliest = WEIR_TIME_NEVER;
        struct wr_record *first;
        if (at[key] != WEIR_TIME_NEVER) {
            wr_dues_remove(&dues, &look_up(key)->record);
            at[key] = WEIR_TIME_NEVER;
            in--;
        } else {
            at[key] = (weir_time)(test_random(&random) % 1000);
            assert_true(wr_dues_add(&dues, table.number[key], at[key]));
            in++;
        }
        assert_true(wr_dues_at(&dues, &look_up(key)->record) == at[key]);
        for (uint32_t k = 0; k < M; k++)
            earliest = weir_time_min(earliest, at[k]);
        first = wr_dues_first(&dues);
        assert_int_equal(dues.count, in);
        assert_true(first == NULL ? in == 0 : wr_dues_at(&dues, first) == earliest);
    }
    wr_dues_remove(&dues, &look_up(0)->record);
    wr_dues_remove(&dues, &look_up(0)->record); /* it is not in it: nothing happens */
    wr_dues_fini(&dues);
    end();
}

static void dues_without_memory_take_no_more(void **state)
{
    struct wr_dues dues;
    uint32_t in = 0;

    (void)state;
    begin();
    wr_dues_init(&dues, &table.records, offsetof(struct item, due));
    for (uint32_t key = 0; key < N; key++)
        assert_non_null(add(key));
    table.probe.fail_at = table.probe.calls + 4;
    for (uint32_t key = 0; key < N; key++)
        in += wr_dues_add(&dues, table.number[key], (weir_time)(N - key));
    assert_in_range(in, 1, N - 1);
    for (uint32_t key = 0; key < in; key++) { /* the last to come is due first */
        struct item *item = (struct item *)(void *)wr_dues_first(&dues);
        assert_int_equal(item->key, in - 1 - key);
        wr_dues_remove(&dues, &item->record);
    }
    assert_null(wr_dues_first(&dues));
    wr_dues_fini(&dues);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_in_it_while_it_grows_and_shrinks),
        cmocka_unit_test(equal_hashes_are_told_apart_by_who_looks_up),
        cmocka_unit_test(a_record_costs_little_more_than_itself),
        cmocka_unit_test(chunks_of_all_sizes_are_as_long),
        cmocka_unit_test(memory_of_a_crowd_comes_back),
        cmocka_unit_test(no_memory_leaves_all_as_it_was),
        cmocka_unit_test(lines_keep_their_order),
        cmocka_unit_test(the_earliest_is_due_first),
        cmocka_unit_test(dues_without_memory_take_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
