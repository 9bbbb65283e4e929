/* SPDX-License-Identifier: MIT */
#include "base/text.h"
#include "probe.h"

static void write_all(struct wr_text *t)
{
    const uint8_t mac[] = {0x02, 0x00, 0xab};
    struct weir_addr a = weir_addr_v4(0x0a000001);

    wr_text_str(t, "a ");
    wr_text_u64(t, 0);
    wr_text_char(t, ' ');
    wr_text_u64(t, UINT64_MAX);
    wr_text_char(t, ' ');
    wr_text_hex(t, 0xbeef, 6);
    wr_text_char(t, ' ');
    wr_text_bytes(t, mac, 3, ':');
    wr_text_bytes(t, mac, 3, '\0');
    wr_text_char(t, ' ');
    wr_text_addr(t, &a);
}

/* As snprintf: whatever the room, the length needed is told, and the text is a cut of the whole. */
static void any_room_gives_a_prefix_and_the_whole_length(void **state)
{
    static const char want[] = "a 0 18446744073709551615 00beef 02:00:ab0200ab 10.0.0.1";

    (void)state;
    for (size_t cap = 0; cap < sizeof want + 5; cap++) {
        char *buf = (char *)exact_copy(want, 0);
        struct wr_text t;
        free(buf);
        buf = malloc(cap > 0 ? cap : 1);
        assert_non_null(buf);
        wr_text_init(&t, buf, cap);
        write_all(&t);
        assert_int_equal(t.len, sizeof want - 1);
        if (cap > 0) {
            size_t n = cap - 1 < sizeof want - 1 ? cap - 1 : sizeof want - 1;
            assert_int_equal(strlen(buf), n);
            assert_memory_equal(buf, want, n);
        }
        free(buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_room_gives_a_prefix_and_the_whole_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
