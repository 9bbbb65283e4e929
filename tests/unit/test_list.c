/* SPDX-License-Identifier: MIT */
#include "base/list.h"
#include "probe.h"

struct item {
    int value;
    struct wr_list node;
};

static int value_of(const struct wr_list *node)
{
    return WR_CONTAINER(node, struct item, node)->value;
}

/* The list holds the digits of `want`, read both ways. */
static void assert_holds(const struct wr_list *head, const char *want)
{
    size_t n = 0;

    WR_LIST_FOREACH(node, head)
    {
        assert_int_equal(value_of(node), want[n] - '0');
        assert_ptr_equal(node->next->prev, node);
        n++;
    }
    assert_int_equal(n, strlen(want));
    for (const struct wr_list *node = head->prev; node != head; node = node->prev)
        assert_int_equal(value_of(node), want[--n] - '0');
}

static void make(struct wr_list *head, struct item *items, int n)
{
    wr_list_init(head);
    for (int i = 0; i < n; i++) {
        items[i].value = i;
        wr_list_init(&items[i].node);
        wr_list_push_back(head, &items[i].node);
    }
}

static void pushes_and_removals_keep_order(void **state)
{
    struct wr_list head;
    struct item items[5];

    (void)state;
    make(&head, items, 4);
    assert_holds(&head, "0123");
    wr_list_remove(&items[1].node);
    assert_holds(&head, "023");
    assert_false(wr_list_is_linked(&items[1].node));
    wr_list_remove(&items[1].node); /* again: nothing */
    assert_holds(&head, "023");
    wr_list_push_front(&head, &items[1].node);
    assert_holds(&head, "1023");
    items[4].value = 4;
    wr_list_insert_before(&items[2].node, &items[4].node);
    assert_holds(&head, "10423");
    assert_int_equal(value_of(wr_list_first(&head)), 1);
    assert_int_equal(value_of(wr_list_last(&head)), 3);
}

static void an_empty_list_has_no_ends(void **state)
{
    struct wr_list head;

    (void)state;
    wr_list_init(&head);
    assert_true(wr_list_is_empty(&head));
    assert_null(wr_list_first(&head));
    assert_null(wr_list_last(&head));
    assert_null(wr_list_pop_front(&head));
}

static void a_walk_may_remove_what_it_visits(void **state)
{
    struct wr_list head;
    struct item items[4];

    (void)state;
    make(&head, items, 4);
    WR_LIST_FOREACH_SAFE(node, &head)
    {
        if (value_of(node) % 2 == 0)
            wr_list_remove(node);
    }
    assert_holds(&head, "13");
    assert_int_equal(value_of(wr_list_pop_front(&head)), 1);
    assert_int_equal(value_of(wr_list_pop_front(&head)), 3);
    assert_true(wr_list_is_empty(&head));
}

static void splicing_moves_all(void **state)
{
    struct wr_list to, from, none;
    struct item items[3], more[2];

    (void)state;
    make(&to, items, 3);
    make(&from, more, 2);
    wr_list_init(&none);
    wr_list_splice_back(&to, &from);
    assert_holds(&to, "01201");
    assert_true(wr_list_is_empty(&from));
    wr_list_splice_back(&to, &none);
    assert_holds(&to, "01201");
    wr_list_splice_back(&none, &to);
    assert_holds(&none, "01201");
    assert_true(wr_list_is_empty(&to));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushes_and_removals_keep_order),
        cmocka_unit_test(an_empty_list_has_no_ends),
        cmocka_unit_test(a_walk_may_remove_what_it_visits),
        cmocka_unit_test(splicing_moves_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
