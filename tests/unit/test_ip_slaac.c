/* SPDX-License-Identifier: MIT */
/*
 * Addresses from advertisements beyond what test_ip_ndp.c shows: starting without any address (RFC 4862 5.3),
 * preferred and deprecated (RFC 4862 5.5.4, RFC 6724 5 rule 3), name servers (RFC 8106 5.1).
 */
#include "ip_kit.h"

#include "weir/autoconf.h"

static const char router[] = "fe80::9";

static struct w_ndp advert(uint16_t lifetime_s)
{
    return (struct w_ndp){.type = W_ICMP6_RA, .lifetime_s = lifetime_s};
}

static void add_prefix(struct w_ndp *ra, const char *prefix, uint32_t valid_s, uint32_t preferred_s)
{
    ra->prefixes[ra->n_prefixes++] = (struct w_ndp_prefix){.prefix = kit_addr(prefix),
                                                           .len = 64,
                                                           .on_link = true,
                                                           .autonomous = true,
                                                           .valid_s = valid_s,
                                                           .preferred_s = preferred_s};
}

static bool has(struct kit *k, const char *text)
{
    struct weir_if_addr list[16];
    struct weir_addr want = kit_addr(text);
    int n = weir_addr_list(k->stack, k->ifindex, list, 16);
    for (int i = 0; i < n; i++)
        if (weir_addr_eq(&list[i].addr, &want))
            return !list[i].tentative;
    return false;
}

static void test_from_nothing_to_a_global_address_4861_9(void **state)
{
    struct kit k;
    struct kit_view v;
    struct w_ndp ra = advert(1800);
    struct weir_if_addr list[4];
    (void)state;
    kit_open(&k, KIT_ETHER | KIT_BARE | KIT_DAD | KIT_RA);
    assert_int_equal(weir_slaac_start(k.stack, k.ifindex, k.now), 0);
    assert_int_equal(weir_slaac_start(k.stack, k.ifindex, k.now), 0); /* done is done */
    assert_int_equal(weir_addr_list(k.stack, k.ifindex, list, 4), 1);
    assert_true(list[0].tentative);
    kit_run(&k, 2 * WEIR_SEC); /* a random delay up to a second, and a second for an objection */
    assert_true(has(&k, "fe80::ff:fe00:1"));
    kit_expect_icmp(&k, &v, W_ICMP6_NS, 0);
    kit_expect_icmp(&k, &v, W_ICMP6_RS, 0);
    kit_expect_addr(&v.src, "fe80::ff:fe00:1");
    add_prefix(&ra, "2001:db8:1::", 1000, 500);
    kit_send_ndp(&k, router, "ff02::1", &ra);
    assert_false(has(&k, "2001:db8:1::ff:fe00:1"));
    kit_run(&k, 2 * WEIR_SEC);
    assert_true(has(&k, "2001:db8:1::ff:fe00:1"));
    assert_int_equal(weir_addr_list(k.stack, k.ifindex, list, 4), 2);
    assert_true(list[1].learnt);
    assert_int_equal(list[1].prefix_len, 128);
    kit_close(&k);
}

static void test_errors_of_the_call(void **state)
{
    struct kit k;
    (void)state;
    kit_open(&k, KIT_TUN);
    assert_int_equal(weir_slaac_start(k.stack, k.ifindex, k.now), WEIR_EINVAL);
    assert_int_equal(weir_slaac_start(k.stack, 99, k.now), WEIR_ENODEV);
    assert_int_equal(weir_addr_list(k.stack, 99, NULL, 0), WEIR_ENODEV);
    kit_close(&k);
}

static const char *source_to(struct kit *k, const char *to)
{
    static char text[WEIR_ADDR_STRLEN];
    struct weir_addr dst = kit_addr(to), any = weir_addr_any6();
    struct wr_path path;
    assert_int_equal(wr_path_find(k->stack, &dst, &any, &path), 0);
    weir_addr_format(&path.src, text, sizeof text);
    return text;
}

/* RFC 6724 5: rule 3 goes before rule 8. The destination shares more bits with the first prefix. */
static void test_a_deprecated_address_is_no_source_for_what_is_new(void **state)
{
    struct kit k;
    struct w_ndp ra = advert(1800);
    (void)state;
    kit_open(&k, KIT_ETHER | KIT_BARE | KIT_RA);
    assert_int_equal(weir_slaac_start(k.stack, k.ifindex, k.now), 0);
    add_prefix(&ra, "2001:db8:1::", 1000, 100);
    add_prefix(&ra, "2001:db8:8::", 1000, 1000);
    kit_send_ndp(&k, router, "ff02::1", &ra);
    kit_run(&k, 99 * WEIR_SEC);
    assert_string_equal(source_to(&k, "2001:db8:1::5"), "2001:db8:1::ff:fe00:1");
    kit_run(&k, 2 * WEIR_SEC);
    assert_true(has(&k, "2001:db8:1::ff:fe00:1")); /* valid still */
    assert_string_equal(source_to(&k, "2001:db8:1::5"), "2001:db8:8::ff:fe00:1");
    kit_send_ndp(&k, router, "ff02::1", &ra); /* preferred again */
    assert_string_equal(source_to(&k, "2001:db8:1::5"), "2001:db8:1::ff:fe00:1");
    kit_run(&k, 1001 * WEIR_SEC);
    assert_false(has(&k, "2001:db8:1::ff:fe00:1"));
    kit_close(&k);
}

/* ---- RFC 8106 ------------------------------------------------------------------------------------- */

/* An advertisement with an RDNSS option of `n` addresses, put together by hand; `units` as its length. */
static void send_rdnss(struct kit *k, uint32_t lifetime_s, uint8_t units, unsigned n)
{
    struct kit_packet packet;
    struct w_ndp ra = advert(1800);
    uint8_t msg[W_NDP_EMIT_MAX + 100], mac[6];
    struct w_ip6 ip = {.src = kit_addr(router),
                       .dst = kit_addr("ff02::1"),
                       .next = W_IPPROTO_ICMP6,
                       .hop_limit = 255};
    size_t len = wr_w_ndp_emit(msg, &ra);
    uint8_t *o = msg + len;
    memset(o, 0, 8);
    o[0] = 25;
    o[1] = units;
    put_be32(o + 4, lifetime_s);
    for (unsigned i = 0; i < n; i++) {
        struct weir_addr a = kit_addr("2001:db8::53");
        a.b[14] = (uint8_t)i;
        memcpy(o + 8 + 16 * i, a.b, 16);
    }
    len += 8 + 16 * n;
    wr_w_icmp6_seal(msg, len, &ip.src, &ip.dst);
    kit_make6(&packet, &ip, msg, len);
    assert_true(wr_w_eth_map_group(&ip.dst, mac));
    kit_input_to(k, mac, packet.b, packet.len);
}

static void test_name_servers_come_and_go_8106_5(void **state)
{
    struct kit k;
    struct weir_addr dns[8];
    (void)state;
    kit_open(&k, KIT_ETHER | KIT_RA);
    send_rdnss(&k, 100, 5, 2);
    assert_int_equal(weir_learnt_dns(k.stack, dns, 8), 2);
    kit_expect_addr(&dns[0], "2001:db8::53");
    kit_expect_addr(&dns[1], "2001:db8::153");
    assert_int_equal(weir_learnt_dns(k.stack, dns, 1), 1);
    kit_run(&k, 60 * WEIR_SEC);
    send_rdnss(&k, 100, 3, 1); /* the first goes on */
    kit_run(&k, 50 * WEIR_SEC);
    assert_int_equal(weir_learnt_dns(k.stack, dns, 8), 1);
    kit_expect_addr(&dns[0], "2001:db8::53");
    send_rdnss(&k, 0, 3, 1); /* is taken back */
    assert_int_equal(weir_learnt_dns(k.stack, dns, 8), 0);
    kit_close(&k);
}

static void test_malformed_name_servers_take_nothing_along(void **state)
{
    struct kit k;
    struct weir_addr dns[8];
    (void)state;
    kit_open(&k, KIT_ETHER | KIT_RA);
    send_rdnss(&k, 100, 1, 0); /* no address */
    send_rdnss(&k, 100, 2, 1); /* half of one */
    send_rdnss(&k, 100, 9, 1); /* runs past the end */
    assert_int_equal(weir_learnt_dns(k.stack, dns, 8), 0);
    assert_int_equal(kit_drops(&k, WR_DROP_ndp_malformed), 3);
    send_rdnss(&k, 100, 9, 4); /* more than are kept */
    assert_int_equal(weir_learnt_dns(k.stack, dns, 8), 3);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_nothing_to_a_global_address_4861_9),
        cmocka_unit_test(test_errors_of_the_call),
        cmocka_unit_test(test_a_deprecated_address_is_no_source_for_what_is_new),
        cmocka_unit_test(test_name_servers_come_and_go_8106_5),
        cmocka_unit_test(test_malformed_name_servers_take_nothing_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
