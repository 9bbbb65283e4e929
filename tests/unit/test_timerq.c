/* SPDX-License-Identifier: MIT */
#include "base/timerq.h"
#include "probe.h"

static void fires_in_order_of_deadline_to_the_nanosecond(void **state)
{
    struct wr_timerq q;
    struct wr_timer a, b, c;

    (void)state;
    wr_timerq_init(&q);
    wr_timer_init(&a, 1);
    wr_timer_init(&b, 2);
    wr_timer_init(&c, 3);
    assert_true(wr_timerq_next(&q) == WEIR_TIME_NEVER);
    wr_timerq_arm(&q, &a, 1001);
    wr_timerq_arm(&q, &b, 1000);
    wr_timerq_arm(&q, &c, 1002);
    assert_int_equal(wr_timerq_next(&q), 1000);
    assert_null(wr_timerq_pop(&q, 999));
    assert_ptr_equal(wr_timerq_pop(&q, 1001), &b);
    assert_ptr_equal(wr_timerq_pop(&q, 1001), &a);
    assert_null(wr_timerq_pop(&q, 1001));
    assert_int_equal(wr_timerq_next(&q), 1002);
    assert_ptr_equal(wr_timerq_pop(&q, 5000), &c);
    assert_int_equal(c.kind, 3);
    assert_false(wr_timer_is_armed(&c));
    assert_int_equal(q.count, 0);
}

static void equal_deadlines_fire_in_arming_order(void **state)
{
    enum { N = 300 };
    static struct wr_timer timers[N];
    struct wr_timerq q;

    (void)state;
    wr_timerq_init(&q);
    for (uint32_t i = 0; i < N; i++)
        wr_timer_init(&timers[i], i);
    for (uint32_t i = 0; i < N; i++)
        wr_timerq_arm(&q, &timers[(i * 7) % N], 42);
    for (uint32_t i = 0; i < N; i++)
        assert_ptr_equal(wr_timerq_pop(&q, 42), &timers[(i * 7) % N]);
}

static void what_is_armed_meanwhile_waits_for_another_call(void **state)
{
    struct wr_timerq q;
    struct wr_timer a, b;

    (void)state;
    wr_timerq_init(&q);
    wr_timer_init(&a, 0);
    wr_timer_init(&b, 0);
    wr_timerq_arm(&q, &a, 10);
    wr_timerq_arm(&q, &b, 10);
    uint64_t began = q.order;
    assert_ptr_equal(wr_timerq_pop_older(&q, 10, began), &a);
    wr_timerq_arm(&q, &a, 10);
    assert_ptr_equal(wr_timerq_pop_older(&q, 10, began), &b);
    assert_null(wr_timerq_pop_older(&q, 10, began));
    assert_int_equal(wr_timerq_next(&q), 10);
    assert_ptr_equal(wr_timerq_pop_older(&q, 10, q.order), &a);
}

static void arming_again_replaces_and_never_disarms(void **state)
{
    struct wr_timerq q;
    struct wr_timer a, b;

    (void)state;
    wr_timerq_init(&q);
    wr_timer_init(&a, 0);
    wr_timer_init(&b, 0);
    wr_timerq_arm(&q, &a, 10);
    wr_timerq_arm(&q, &b, 20);
    wr_timerq_arm(&q, &a, 30);
    assert_int_equal(q.count, 2);
    assert_int_equal(wr_timerq_next(&q), 20);
    wr_timerq_arm(&q, &b, WEIR_TIME_NEVER);
    assert_int_equal(wr_timerq_next(&q), 30);
    wr_timerq_cancel(&q, &b); /* not armed: nothing */
    wr_timerq_cancel(&q, &a);
    assert_true(wr_timerq_next(&q) == WEIR_TIME_NEVER);
    assert_null(wr_timerq_pop(&q, INT64_MAX - 1));
    assert_int_equal(q.count, 0);
}

/* Height of the tree below a node, which is right as a search tree and by its priorities. */
static unsigned height(const struct wr_timer *node, const struct wr_timer **last)
{
    unsigned left, right;

    if (node == NULL)
        return 0;
    for (int i = 0; i < 2; i++) {
        const struct wr_timer *below = i == 0 ? node->left : node->right;
        assert_true(below == NULL || (below->up == node && below->prio <= node->prio));
    }
    left = height(node->left, last);
    if (*last != NULL)
        assert_true((*last)->at < node->at ||
                    ((*last)->at == node->at && (*last)->order < node->order));
    *last = node;
    right = height(node->right, last);
    return 1 + (left > right ? left : right);
}

static unsigned height_of(const struct wr_timerq *q)
{
    const struct wr_timer *last = NULL;
    unsigned n = height(q->root, &last);

    assert_true(q->root == NULL || q->root->up == NULL);
    assert_true(q->first == NULL || q->first->left == NULL);
    return n;
}

/* Against a plain scan over all timers: random arming, moving, cancelling and popping. */
static void agrees_with_a_scan_over_random_operations(void **state)
{
    enum { N = 64 };
    static struct wr_timer timers[N];
    uint64_t order[N], arming = 0, rnd = 1;
    struct wr_timerq q;
    weir_time now = 0;

    (void)state;
    wr_timerq_init(&q);
    for (uint32_t i = 0; i < N; i++)
        wr_timer_init(&timers[i], i);
    for (int step = 0; step < 200000; step++) {
        uint32_t i = test_below(&rnd, N), op = test_below(&rnd, 8);
        if (op < 4) {
            weir_time at = now + test_below(&rnd, 50);
            if (timers[i].at != at)
                order[i] = arming++;
            wr_timerq_arm(&q, &timers[i], at);
        } else if (op < 5) {
            wr_timerq_cancel(&q, &timers[i]);
        } else {
            int due = -1;
            now += test_below(&rnd, 4);
            for (int j = 0; j < N; j++) {
                if (timers[j].at <= now &&
                    (due < 0 || timers[j].at < timers[due].at ||
                     (timers[j].at == timers[due].at && order[j] < order[due])))
                    due = j;
            }
            assert_ptr_equal(wr_timerq_pop(&q, now), due < 0 ? NULL : &timers[due]);
        }
        if (step % 100 == 0)
            height_of(&q);
    }
}

/* What a crowd does: armed in a row, all for one moment, or backwards, and then taken out one by one. All that a
 * call does is on one way through the tree, so its height bounds it; a random tree of so many is less than 70 high
 * but with a probability below 10^-9 (Reed 2003: 4.31 ln n on average, and hardly ever more). */
static void no_call_walks_through_a_crowd(void **state)
{
    enum { N = 1000000, HIGHEST = 70 };
    struct wr_timer *timers = calloc(N, sizeof *timers);
    struct wr_timerq q;

    (void)state;
    assert_non_null(timers);
    for (int kind = 0; kind < 3; kind++) {
        wr_timerq_init(&q);
        for (int i = 0; i < N; i++) {
            wr_timer_init(&timers[i], 0);
            wr_timerq_arm(&q, &timers[i], kind == 0 ? i + 1 : kind == 1 ? 5 : N - i);
        }
        assert_true(height_of(&q) <= HIGHEST);
        for (int i = 0; i < N; i++) {
            struct wr_timer *timer = &timers[kind == 2 ? N - 1 - i : i];
            assert_ptr_equal(wr_timerq_pop(&q, N), timer);
            if (i < N / 2) /* it fires again later, as keepalive does */
                wr_timerq_arm(&q, timer, 2 * N);
        }
        assert_int_equal(q.count, N / 2);
        assert_true(height_of(&q) <= HIGHEST);
        while (wr_timerq_pop(&q, 2 * N) != NULL)
            continue;
    }
    assert_int_equal(q.count, 0);
    free(timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_in_order_of_deadline_to_the_nanosecond),
        cmocka_unit_test(equal_deadlines_fire_in_arming_order),
        cmocka_unit_test(what_is_armed_meanwhile_waits_for_another_call),
        cmocka_unit_test(arming_again_replaces_and_never_disarms),
        cmocka_unit_test(agrees_with_a_scan_over_random_operations),
        cmocka_unit_test(no_call_walks_through_a_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
