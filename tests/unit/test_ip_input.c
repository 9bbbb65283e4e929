/* SPDX-License-Identifier: MIT */
/* What IPv4 and IPv6 have in common as they come in; the rest is in test_ip_input4.c and test_ip_input6.c. */
#include "ip_kit.h"

static const struct family {
    const char *us, *peer;
    uint8_t whole; /* prefix length of one address */
    uint8_t reply;
    enum wr_drop bad_source, not_ours;
} families[] = {
    {"10.0.0.1", "10.0.0.2", 32, W_ICMP4_ECHO_REPLY, WR_DROP_ip4_bad_source, WR_DROP_ip4_not_ours},
    {"fd00::1", "fd00::2", 128, W_ICMP6_ECHO_REPLY, WR_DROP_ip6_bad_source, WR_DROP_ip6_not_ours},
};

enum { FAMILIES = sizeof families / sizeof families[0] };

/* Padding behind the datagram is the link's, not IP's (RFC 894). */
static void test_trailing_padding_is_ignored(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FAMILIES; i++) {
        struct kit k;
        struct kit_packet p;
        struct kit_view v;
        kit_open(&k, KIT_TUN);
        kit_ping(&p, families[i].peer, families[i].us);
        memset(p.b + p.len, 0xee, 18);
        kit_input(&k, p.b, p.len + 18);
        kit_expect_icmp(&k, &v, families[i].reply, 0);
        assert_int_equal(v.l4_len, 8 + 32);
        kit_close(&k);
    }
}

/* What was found good once is good only as long as addresses stay as they are. */
static void test_known_addresses_are_forgotten_when_they_change(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FAMILIES; i++) {
        const struct family *f = &families[i];
        struct weir_addr ours = kit_addr(f->us), theirs = kit_addr(f->peer);
        struct kit k;
        struct kit_packet p;
        struct kit_view v;
        kit_open(&k, KIT_TUN);
        for (unsigned n = 0; n < 3; n++) {
            kit_ping(&p, f->peer, f->us);
            kit_input(&k, p.b, p.len);
            kit_expect_icmp(&k, &v, f->reply, 0);
        }
        assert_int_equal(weir_addr_add(k.stack, k.ifindex, &theirs, f->whole, k.now), 0);
        kit_expect_drop(&k, &p, f->bad_source);
        assert_int_equal(weir_addr_remove(k.stack, k.ifindex, &theirs, k.now), 0);
        kit_input(&k, p.b, p.len);
        kit_expect_icmp(&k, &v, f->reply, 0);
        assert_int_equal(weir_addr_remove(k.stack, k.ifindex, &ours, k.now), 0);
        kit_expect_drop(&k, &p, f->not_ours);
        kit_close(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trailing_padding_is_ignored),
        cmocka_unit_test(test_known_addresses_are_forgotten_when_they_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
