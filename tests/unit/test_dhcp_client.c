/* SPDX-License-Identifier: MIT */
/*
 * The DHCP client against a server made of bytes, in virtual time: RFC 2131 (states, times, what is ignored)
 * and RFC 2132 (options). The server is 10.0.0.9 and its messages are put together here by hand, so that
 * nothing is checked by the code that it checks.
 */
#include "ip_kit.h"

#include "weir/autoconf.h"

static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t server_mac[6] = {2, 0, 0, 0, 0, 9};

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE };

/* ---- reading the client's messages -------------------------------------------------------------- */

struct message {
    weir_time at;
    struct weir_addr src, dst;
    const uint8_t *eth_dst, *p; /* the message from `op` on */
    size_t len;
};

/* The option's value, or NULL. */
static const uint8_t *option(const struct message *m, uint8_t code, size_t len)
{
    for (size_t at = 240; at < m->len && m->p[at] != 255;) {
        if (m->p[at] == 0) {
            at++;
            continue;
        }
        assert_true(at + 2 <= m->len && at + 2 + m->p[at + 1] <= m->len);
        if (m->p[at] == code) {
            assert_int_equal(m->p[at + 1], len);
            return m->p + at + 2;
        }
        at += 2u + m->p[at + 1];
    }
    return NULL;
}

static void expect_addr_option(const struct message *m, uint8_t code, const char *want)
{
    const uint8_t *v = option(m, code, 4);
    assert_non_null(v);
    struct weir_addr have = weir_addr_v4(get_be32(v));
    kit_expect_addr(&have, want);
}

/* The client's next message; ARP is passed over. False: it has sent none. */
static bool next_message(struct kit *k, struct message *m)
{
    static struct kit_view v;
    while (kit_next(k, &v)) {
        if (v.is_arp || v.proto != W_IPPROTO_UDP)
            continue;
        struct w_udp udp;
        assert_int_equal(wr_w_udp_parse(v.l4, v.l4_len, &udp), W_OK);
        assert_true(wr_w_udp_csum_ok(v.l4, &udp, &v.src, &v.dst));
        assert_int_equal(udp.src_port, 68);
        assert_int_equal(udp.dst_port, 67);
        *m = (struct message){v.at, v.src, v.dst, v.eth.dst, v.l4 + 8, udp.len - 8u};
        assert_true(m->len >= 300);
        assert_int_equal(m->p[0], 1); /* BOOTREQUEST, Ethernet, its address */
        assert_int_equal(m->p[1], 1);
        assert_int_equal(m->p[2], 6);
        assert_memory_equal(m->p + 28, kit_mac, 6);
        assert_int_equal(get_be32(m->p + 236), 0x63825363);
        return true;
    }
    return false;
}

static void expect_message(struct kit *k, struct message *m, uint8_t type)
{
    assert_true(next_message(k, m));
    const uint8_t *v = option(m, 53, 1);
    assert_non_null(v);
    assert_int_equal(*v, type);
    v = option(m, 61, 7); /* the same in every message, RFC 2131 4.2 */
    assert_non_null(v);
    assert_int_equal(v[0], 1);
    assert_memory_equal(v + 1, kit_mac, 6);
}

static void expect_broadcast(const struct message *m, const char *src)
{
    kit_expect_addr(&m->src, src);
    kit_expect_addr(&m->dst, "255.255.255.255");
    assert_memory_equal(m->eth_dst, everyone, 6);
}

/* ---- the server --------------------------------------------------------------------------------- */

struct reply {
    uint8_t b[1200];
    size_t len;
};

static void add(struct reply *r, uint8_t code, const void *value, size_t len)
{
    r->b[r->len] = code;
    r->b[r->len + 1] = (uint8_t)len;
    memcpy(r->b + r->len + 2, value, len);
    r->len += 2 + len;
}

static void add_addr(struct reply *r, uint8_t code, const char *addr)
{
    struct weir_addr a = kit_addr(addr);
    add(r, code, a.b + 12, 4);
}

static void add_u32(struct reply *r, uint8_t code, uint32_t value)
{
    uint8_t v[4];
    put_be32(v, value);
    add(r, code, v, 4);
}

static struct reply begin_reply(uint8_t type, const struct message *to, const char *yiaddr)
{
    struct reply r = {.b = {2, 1, 6}};
    struct weir_addr a = kit_addr(yiaddr);
    memcpy(r.b + 4, to->p + 4, 4);
    memcpy(r.b + 16, a.b + 12, 4);
    memcpy(r.b + 28, kit_mac, 6);
    put_be32(r.b + 236, 0x63825363);
    r.len = 240;
    add(&r, 53, &type, 1);
    return r;
}

/* As most servers answer: 10.0.0.50/24 for `lease` seconds, router and name server 10.0.0.9. */
static struct reply plain_reply(uint8_t type, const struct message *to, uint32_t lease)
{
    struct reply r = begin_reply(type, to, type == NAK ? "0.0.0.0" : "10.0.0.50");
    add_addr(&r, 54, "10.0.0.9");
    if (type == NAK)
        return r;
    add_u32(&r, 51, lease);
    add_addr(&r, 1, "255.255.255.0");
    add_addr(&r, 3, "10.0.0.9");
    add_addr(&r, 6, "10.0.0.9");
    return r;
}

/* Sends `len` bytes of it, without more ado. */
static void send_cut(struct kit *k, const struct reply *r, size_t len)
{
    static struct kit_packet packet;
    uint8_t l4[8 + sizeof r->b];
    struct weir_addr src = kit_addr("10.0.0.9"), dst = kit_addr("255.255.255.255");
    size_t n = kit_udp(l4, &src, &dst, 67, 68, r->b, len);
    kit_wrap(&packet, &src, &dst, W_IPPROTO_UDP, l4, n);
    kit_input_to(k, everyone, packet.b, packet.len);
}

static void send_reply(struct kit *k, struct reply r)
{
    r.b[r.len++] = 255;
    send_cut(k, &r, r.len);
}

/* ---- common courses ------------------------------------------------------------------------------ */

static struct weir_dhcp_info info_of(struct kit *k)
{
    struct weir_dhcp_info info;
    assert_int_equal(weir_dhcp_info(k->stack, k->ifindex, &info), 0);
    return info;
}

static bool has_addr(struct kit *k)
{
    struct weir_addr a = kit_addr("10.0.0.50");
    return wr_netif_own_addr(k->stack, k->netif, &a) != NULL;
}

static void open_client(struct kit *k)
{
    kit_open(k, KIT_ETHER | KIT_BARE);
    assert_int_equal(weir_dhcp_start(k->stack, k->ifindex, NULL, k->now), 0);
    weir_advance(k->stack, k->now);
}

/* Lets time pass with a server that answers ARP. */
static void run_served(struct kit *k, weir_time until)
{
    size_t looked = k->n_sent;
    while (k->now < until) {
        weir_time due = weir_deadline(k->stack);
        kit_run_until(k, due < until ? (due > k->now ? due : k->now + 1) : until);
        for (; looked < k->n_sent; looked++) {
            struct kit_view v;
            struct w_arp arp = {.op = W_ARP_REPLY, .spa = kit_addr("10.0.0.9")};
            kit_parse(k, &k->sent[looked], &v);
            if (!v.is_arp || !weir_addr_eq(&v.arp.tpa, &arp.spa))
                continue;
            arp.tpa = v.arp.spa;
            memcpy(arp.sha, server_mac, 6);
            memcpy(arp.tha, kit_mac, 6);
            kit_send_arp(k, &arp, kit_mac);
        }
    }
}

/* To the request: *m is it. */
static void to_request(struct kit *k, struct message *m, uint32_t lease)
{
    open_client(k);
    expect_message(k, m, DISCOVER);
    send_reply(k, plain_reply(OFFER, m, lease));
    expect_message(k, m, REQUEST);
}

/* To BOUND, where the lease began at *m's time. The server's address is known by then. */
static void to_bound(struct kit *k, struct message *m, uint32_t lease)
{
    struct w_arp arp = {
        .op = W_ARP_REPLY, .spa = kit_addr("10.0.0.9"), .tpa = kit_addr("10.0.0.50")};
    to_request(k, m, lease);
    send_reply(k, plain_reply(ACK, m, lease));
    kit_run(k, 600 * WEIR_MS);
    assert_int_equal(info_of(k).state, WEIR_DHCP_BOUND);
    memcpy(arp.sha, server_mac, 6);
    memcpy(arp.tha, kit_mac, 6);
    kit_send_arp(k, &arp, kit_mac);
}

/* ---- RFC 2131 3.1, 4.4.1: getting a lease --------------------------------------------------------- */

static void test_from_nothing_to_an_address(void **state)
{
    struct kit k;
    struct message m;
    struct kit_view v;
    struct weir_dhcp_info info;
    (void)state;
    open_client(&k);
    expect_message(&k, &m, DISCOVER);
    expect_broadcast(&m, "0.0.0.0");
    uint32_t xid = get_be32(m.p + 4);
    assert_int_equal(m.p[10], 0x80); /* 4.1: no address to take unicast in with */
    assert_int_equal(get_be32(m.p + 12), 0);
    assert_non_null(option(&m, 55, 10));
    assert_null(option(&m, 50, 4));
    kit_run(&k, 3 * WEIR_SEC);
    send_reply(&k, plain_reply(OFFER, &m, 1000));

    expect_message(&k, &m, REQUEST);
    expect_broadcast(&m, "0.0.0.0");
    assert_int_equal(get_be32(m.p + 4), xid);
    assert_int_equal(get_be16(m.p + 8), 0); /* `secs` of the DISCOVER, 4.4.1 */
    assert_int_equal(get_be32(m.p + 12), 0);
    expect_addr_option(&m, 50, "10.0.0.50");
    expect_addr_option(&m, 54, "10.0.0.9");
    assert_false(has_addr(&k));
    send_reply(&k, plain_reply(ACK, &m, 1000));

    for (unsigned i = 0; i < 3; i++) { /* 4.4.1, RFC 5227 2.1.1 */
        assert_true(kit_next(&k, &v));
        assert_true(v.is_arp);
        kit_expect_addr(&v.arp.spa, "0.0.0.0");
        kit_expect_addr(&v.arp.tpa, "10.0.0.50");
        assert_false(has_addr(&k));
        kit_run(&k, 200 * WEIR_MS);
    }
    assert_true(kit_next(&k, &v)); /* tells all that it has the address */
    kit_expect_addr(&v.arp.spa, "10.0.0.50");
    kit_expect_addr(&v.arp.tpa, "10.0.0.50");

    assert_true(has_addr(&k));
    info = info_of(&k);
    assert_int_equal(info.state, WEIR_DHCP_BOUND);
    kit_expect_addr(&info.addr, "10.0.0.50");
    kit_expect_addr(&info.server, "10.0.0.9");
    kit_expect_addr(&info.gateway, "10.0.0.9");
    kit_expect_addr(&info.dns[0], "10.0.0.9");
    assert_int_equal(info.prefix_len, 24);
    assert_int_equal(info.n_dns, 1);
    struct weir_addr far = kit_addr("192.0.2.1"), any = weir_addr_any4(), dns[4];
    struct wr_path path;
    assert_int_equal(wr_path_find(k.stack, &far, &any, &path), 0);
    kit_expect_addr(&path.next_hop, "10.0.0.9");
    kit_expect_addr(&path.src, "10.0.0.50");
    assert_int_equal(weir_learnt_dns(k.stack, dns, 4), 1);
    kit_expect_addr(&dns[0], "10.0.0.9");
    kit_close(&k);
}

static void test_questions_are_repeated_4_8_16_32_64_s_2131_1(void **state)
{
    static const int least[] = {3, 7, 15, 31, 63, 63}, most[] = {5, 9, 17, 33, 65, 65};
    struct kit k;
    struct message m;
    (void)state;
    open_client(&k);
    expect_message(&k, &m, DISCOVER);
    weir_time before = m.at, begin = m.at;
    uint32_t xid = get_be32(m.p + 4);
    kit_run(&k, 260 * WEIR_SEC);
    for (unsigned i = 0; i < 6; i++) {
        expect_message(&k, &m, DISCOVER);
        assert_true(m.at - before >= least[i] * WEIR_SEC && m.at - before <= most[i] * WEIR_SEC);
        assert_int_equal(get_be32(m.p + 4), xid);
        assert_int_equal(get_be16(m.p + 8), (m.at - begin) / WEIR_SEC);
        before = m.at;
    }
    kit_close(&k);
}

/* RFC 2131 3.1 5.: requests for a minute, then from the start. */
static void test_a_request_without_answer_gives_way(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    to_request(&k, &m, 1000);
    weir_time begin = m.at;
    kit_run(&k, 70 * WEIR_SEC);
    for (unsigned i = 0; i < 3; i++)
        expect_message(&k, &m, REQUEST);
    expect_message(&k, &m, DISCOVER);
    assert_true(m.at - begin >= 56 * WEIR_SEC && m.at - begin <= 64 * WEIR_SEC);
    kit_close(&k);
}

static void test_an_address_in_use_is_declined_2131_4(void **state)
{
    struct kit k;
    struct message m;
    struct w_arp claim = {.op = W_ARP_REPLY, .spa = kit_addr("10.0.0.50"), .tpa = weir_addr_any4()};
    (void)state;
    to_request(&k, &m, 1000);
    send_reply(&k, plain_reply(ACK, &m, 1000));
    memcpy(claim.sha, kit_peer_mac, 6);
    memcpy(claim.tha, kit_mac, 6);
    kit_send_arp(&k, &claim, kit_mac);
    kit_run(&k, 1 * WEIR_SEC);
    expect_message(&k, &m, DECLINE);
    weir_time declined = m.at;
    expect_broadcast(&m, "0.0.0.0");
    assert_int_equal(get_be32(m.p + 12), 0);
    expect_addr_option(&m, 50, "10.0.0.50");
    expect_addr_option(&m, 54, "10.0.0.9");
    assert_false(has_addr(&k));
    kit_run(&k, 15 * WEIR_SEC);
    expect_message(&k, &m, DISCOVER);
    assert_true(m.at - declined >= 10 * WEIR_SEC);
    kit_close(&k);
}

/* ---- RFC 2131 4.4.5: keeping it ------------------------------------------------------------------- */

static void test_renew_rebind_and_expire_2131_2_2131_3(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    to_bound(&k, &m, 1000);
    weir_time begin = m.at;
    run_served(&k, begin + 999 * WEIR_SEC);
    expect_message(&k, &m, REQUEST); /* at T1, to the server alone */
    assert_int_equal(m.at, begin + 500 * WEIR_SEC);
    kit_expect_addr(&m.src, "10.0.0.50");
    kit_expect_addr(&m.dst, "10.0.0.9");
    assert_memory_equal(m.eth_dst, server_mac, 6);
    assert_int_equal(get_be32(m.p + 12), 0x0a000032); /* ciaddr, and neither 50 nor 54: 4.3.6 */
    assert_null(option(&m, 50, 4));
    assert_null(option(&m, 54, 4));
    expect_message(&k, &m, REQUEST); /* half of the time left to T2, 187.5 s */
    assert_int_equal(m.at, begin + 687500 * WEIR_MS);
    expect_message(&k, &m, REQUEST); /* again, 93.75 s */
    assert_int_equal(m.at, begin + 781250 * WEIR_MS);
    expect_message(&k, &m, REQUEST); /* half would be 46.875 s: 60 at least */
    assert_int_equal(m.at, begin + 841250 * WEIR_MS);
    expect_message(&k, &m, REQUEST); /* T2: to all */
    assert_int_equal(m.at, begin + 875 * WEIR_SEC);
    expect_broadcast(&m, "10.0.0.50");
    assert_int_equal(get_be32(m.p + 12), 0x0a000032);
    expect_message(&k, &m, REQUEST);
    assert_int_equal(m.at, begin + 937500 * WEIR_MS);
    expect_broadcast(&m, "10.0.0.50");
    expect_message(&k, &m, REQUEST); /* half would be 31.25 s */
    assert_int_equal(m.at, begin + 997500 * WEIR_MS);
    assert_false(next_message(&k, &m));
    assert_true(has_addr(&k));
    kit_close(&k);
}

static void test_the_address_goes_with_the_lease_2131_2(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    to_bound(&k, &m, 1000);
    weir_time begin = m.at;
    kit_run_until(&k, begin + 1000 * WEIR_SEC - 1);
    assert_true(has_addr(&k));
    assert_int_equal(info_of(&k).state, WEIR_DHCP_REBINDING);
    while (next_message(&k, &m))
        ;
    kit_run_until(&k, begin + 1000 * WEIR_SEC);
    assert_false(has_addr(&k));
    expect_message(&k, &m, DISCOVER);
    struct weir_addr far = kit_addr("192.0.2.1"), any = weir_addr_any4();
    struct wr_path path;
    assert_int_equal(wr_path_find(k.stack, &far, &any, &path), WEIR_ENETUNREACH);
    kit_close(&k);
}

static void test_a_renewed_lease_goes_on(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    to_bound(&k, &m, 1000);
    weir_time begin = m.at;
    for (unsigned i = 1; i <= 5; i++) {
        run_served(&k, begin + i * 500 * WEIR_SEC);
        expect_message(&k, &m, REQUEST);
        send_reply(&k, plain_reply(ACK, &m, 1000));
        assert_int_equal(info_of(&k).state, WEIR_DHCP_BOUND);
        assert_int_equal(info_of(&k).expires_at, begin + i * 500 * WEIR_SEC + 1000 * WEIR_SEC);
    }
    assert_true(has_addr(&k));
    kit_close(&k);
}

/* The lease is counted from the request, not from its answer (4.4.5). */
static void test_a_late_answer_gives_no_longer_lease(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    to_request(&k, &m, 1000);
    weir_time begin = m.at;
    kit_run(&k, 2 * WEIR_SEC);
    send_reply(&k, plain_reply(ACK, &m, 1000));
    kit_run(&k, 1 * WEIR_SEC);
    assert_int_equal(info_of(&k).expires_at, begin + 1000 * WEIR_SEC);
    kit_close(&k);
}

static void test_a_lease_without_end_is_not_renewed(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    to_bound(&k, &m, 0xffffffff);
    kit_run(&k, 1000000 * WEIR_SEC);
    assert_false(next_message(&k, &m));
    assert_true(has_addr(&k));
    assert_int_equal(info_of(&k).expires_at, WEIR_TIME_NEVER);
    kit_close(&k);
}

/* In REBINDING any server may answer, and is the server from then on. */
static void test_another_server_may_rebind(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    to_bound(&k, &m, 1000);
    kit_run_until(&k, m.at + 876 * WEIR_SEC);
    while (next_message(&k, &m))
        ;
    struct reply r = begin_reply(ACK, &m, "10.0.0.50");
    add_addr(&r, 54, "10.0.0.8");
    add_u32(&r, 51, 1000);
    add_addr(&r, 1, "255.255.255.0");
    add_addr(&r, 3, "10.0.0.9");
    send_reply(&k, r);
    assert_int_equal(info_of(&k).state, WEIR_DHCP_BOUND);
    struct weir_addr server = info_of(&k).server;
    kit_expect_addr(&server, "10.0.0.8");
    kit_close(&k);
}

static void test_a_nak_takes_the_address_2131_6(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    to_bound(&k, &m, 1000);
    kit_run_until(&k, m.at + 500 * WEIR_SEC);
    expect_message(&k, &m, REQUEST);
    struct reply other = begin_reply(NAK, &m, "0.0.0.0");
    add_addr(&other, 54, "10.0.0.66"); /* not the server that was asked */
    send_reply(&k, other);
    assert_true(has_addr(&k));
    send_reply(&k, plain_reply(NAK, &m, 0));
    assert_false(has_addr(&k));
    expect_message(&k, &m, DISCOVER);
    assert_int_equal(info_of(&k).naks, 1);
    kit_close(&k);
}

/* A server that always refuses is not asked without a pause. */
static void test_naks_in_a_row_slow_the_client_down(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    to_request(&k, &m, 1000);
    weir_time end = m.at + 100 * WEIR_SEC;
    unsigned n = 0;
    send_reply(&k, plain_reply(NAK, &m, 0));
    while (k.now < end) {
        if (!next_message(&k, &m)) {
            kit_run(&k, 1 * WEIR_SEC);
            continue;
        }
        send_reply(&k, plain_reply(*option(&m, 53, 1) == DISCOVER ? OFFER : NAK, &m, 1000));
        n++;
    }
    assert_true(n >= 8 && n <= 24);
    kit_close(&k);
}

/* ---- 4.4.6 ---------------------------------------------------------------------------------------- */

static void test_the_lease_is_given_back(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    to_bound(&k, &m, 1000);
    kit_run(&k, 100 * WEIR_SEC); /* the server's entry is stale by now, and serves */
    assert_false(next_message(&k, &m));
    assert_int_equal(weir_dhcp_stop(k.stack, k.ifindex, k.now), 0);
    expect_message(&k, &m, RELEASE);
    kit_expect_addr(&m.src, "10.0.0.50");
    kit_expect_addr(&m.dst, "10.0.0.9");
    assert_memory_equal(m.eth_dst, server_mac, 6);
    assert_int_equal(get_be32(m.p + 12), 0x0a000032);
    expect_addr_option(&m, 54, "10.0.0.9");
    assert_null(option(&m, 50, 4));
    assert_false(has_addr(&k));
    assert_int_equal(info_of(&k).state, WEIR_DHCP_STOPPED);
    assert_int_equal(weir_dhcp_stop(k.stack, k.ifindex, k.now), WEIR_ENOENT);
    kit_run(&k, 10000 * WEIR_SEC);
    assert_false(next_message(&k, &m));
    kit_close(&k);
}

/* ---- what is ignored ------------------------------------------------------------------------------ */

static void test_answers_to_others_are_ignored_2131_5(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    open_client(&k);
    expect_message(&k, &m, DISCOVER);
    struct reply r = plain_reply(OFFER, &m, 1000);
    r.b[7] ^= 1; /* xid */
    send_reply(&k, r);
    r = plain_reply(OFFER, &m, 1000);
    r.b[33] ^= 1; /* chaddr */
    send_reply(&k, r);
    r = plain_reply(OFFER, &m, 1000);
    r.b[0] = 1; /* no reply */
    send_reply(&k, r);
    send_reply(&k, plain_reply(ACK, &m, 1000)); /* not asked for yet */
    assert_false(next_message(&k, &m));
    assert_int_equal(kit_drops(&k, WR_DROP_dhcp_ignored), 4);
    assert_int_equal(info_of(&k).state, WEIR_DHCP_SELECTING);
    kit_close(&k);

    to_request(&k, &m, 1000);
    r = plain_reply(ACK, &m, 1000);
    r.b[7] ^= 1;
    send_reply(&k, r);
    r = begin_reply(ACK, &m, "10.0.0.50"); /* of a server that was not chosen */
    add_addr(&r, 54, "10.0.0.66");
    add_u32(&r, 51, 1000);
    send_reply(&k, r);
    r = begin_reply(ACK, &m, "10.0.0.51"); /* another address than the one asked for */
    add_addr(&r, 54, "10.0.0.9");
    add_u32(&r, 51, 1000);
    send_reply(&k, r);
    r = begin_reply(ACK, &m, "10.0.0.50"); /* without a time: RFC 2131 table 3 */
    add_addr(&r, 54, "10.0.0.9");
    send_reply(&k, r);
    assert_int_equal(info_of(&k).state, WEIR_DHCP_REQUESTING);
    kit_close(&k);
}

static void test_offers_of_no_use_are_ignored(void **state)
{
    static const char *const addrs[] = {"0.0.0.0",   "255.255.255.255", "224.0.0.1", "127.0.0.1",
                                        "240.0.0.1", "0.1.2.3",         "10.0.0.9"};
    struct kit k;
    struct message m;
    struct reply r;
    (void)state;
    open_client(&k);
    expect_message(&k, &m, DISCOVER);
    for (unsigned i = 0; i < sizeof addrs / sizeof *addrs; i++) {
        r = begin_reply(OFFER, &m, addrs[i]);
        add_addr(&r, 54, "10.0.0.9");
        add_u32(&r, 51, 1000);
        send_reply(&k, r);
    }
    r = begin_reply(OFFER, &m, "10.0.0.50"); /* no server, and one that cannot be */
    add_u32(&r, 51, 1000);
    send_reply(&k, r);
    add_addr(&r, 54, "255.255.255.255");
    send_reply(&k, r);
    send_reply(&k, plain_reply(OFFER, &m, 0)); /* leases that would be over at once */
    send_reply(&k, plain_reply(OFFER, &m, 3));
    assert_int_equal(kit_drops(&k, WR_DROP_dhcp_ignored), sizeof addrs / sizeof *addrs + 4);
    r = plain_reply(OFFER, &m, 1000);
    memcpy(r.b + r.len - 16, "\xff\x00\xff\x00", 4); /* the mask's bytes: with holes */
    send_reply(&k, r);
    assert_int_equal(kit_drops(&k, WR_DROP_dhcp_malformed), 1);
    assert_false(next_message(&k, &m));
    kit_close(&k);
}

/* Cut at each byte: either it is malformed, or what is left of it is whole by itself. Nothing is read beyond its
 * end: the block is of exactly that size. */
static void test_cut_answers_do_no_harm(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    to_request(&k, &m, 1000);
    struct reply r = plain_reply(ACK, &m, 1000);
    uint64_t told = 0;
    for (size_t len = 0; len < 255; len++) { /* up to the lease time's last byte but one */
        send_cut(&k, &r, len);
        told = kit_drops(&k, WR_DROP_dhcp_malformed) + kit_drops(&k, WR_DROP_dhcp_ignored);
        assert_int_equal(told, len + 1);
    }
    assert_int_equal(info_of(&k).state, WEIR_DHCP_REQUESTING);
    assert_true(kit_drops(&k, WR_DROP_dhcp_malformed) >= 240 + 10);
    kit_close(&k);
}

static void test_options_of_wrong_length_are_malformed(void **state)
{
    static const uint8_t codes[] = {1, 3, 6, 26, 51, 52, 53, 54, 58, 59};
    static const uint8_t value[5] = {1, 2, 3, 4, 5};
    struct kit k;
    struct message m;
    (void)state;
    to_request(&k, &m, 1000);
    for (unsigned i = 0; i < sizeof codes; i++) {
        struct reply r = begin_reply(ACK, &m, "10.0.0.50");
        r.len = 240;
        add(&r, codes[i], value, 5);
        send_reply(&k, r);
        assert_int_equal(kit_drops(&k, WR_DROP_dhcp_malformed), i + 1);
    }
    struct reply r = plain_reply(ACK, &m, 1000);
    r.b[r.len] = 12; /* runs past the end */
    r.b[r.len + 1] = 200;
    send_cut(&k, &r, r.len + 20);
    r = plain_reply(ACK, &m, 1000);
    add(&r, 121, "\x21\x0a\x00\x00\x00\x00\x0a\x00\x00\x09", 10); /* a prefix of 33 bits */
    send_reply(&k, r);
    assert_int_equal(kit_drops(&k, WR_DROP_dhcp_malformed), sizeof codes + 2);
    kit_close(&k);
}

/* Ten thousand answers with bytes that fell over: whatever happens, it is no crash and no storm. */
static void test_garbled_answers_do_no_harm(void **state)
{
    struct kit k;
    struct message m;
    struct wr_rng rng;
    (void)state;
    wr_rng_init_u64(&rng, 4);
    to_request(&k, &m, 1000);
    struct message first = m;
    for (unsigned i = 0; i < 10000; i++) {
        struct reply r = plain_reply(wr_rng_below(&rng, 2) ? ACK : OFFER, &first, 1000);
        if (next_message(&k, &m))
            first = m;
        for (unsigned n = 1 + wr_rng_below(&rng, 3); n > 0; n--)
            r.b[240 + wr_rng_below(&rng, (uint32_t)r.len - 240)] = (uint8_t)wr_rng_u32(&rng);
        send_reply(&k, r);
        if (i % 100 == 0)
            kit_run(&k, 100 * WEIR_MS);
    }
    assert_true(kit_drops(&k, WR_DROP_dhcp_malformed) > 1000);
    assert_true(info_of(&k).requests < 1000);
    kit_close(&k);
}

/* ---- RFC 2132: what a lease says ------------------------------------------------------------------- */

static void test_mtu_domain_and_times_of_the_server(void **state)
{
    struct kit k;
    struct message m;
    struct weir_dhcp_info info;
    (void)state;
    to_request(&k, &m, 1000);
    struct reply r = plain_reply(ACK, &m, 1000);
    add(&r, 26, "\x05\x14", 2); /* 1300 */
    add(&r, 15, "example.net\0", 12);
    add_u32(&r, 58, 100);
    add_u32(&r, 59, 200);
    send_reply(&k, r);
    kit_run(&k, 1 * WEIR_SEC);
    info = info_of(&k);
    assert_string_equal(info.domain, "example.net");
    assert_int_equal(info.renew_at, m.at + 100 * WEIR_SEC);
    assert_int_equal(info.rebind_at, m.at + 200 * WEIR_SEC);
    assert_int_equal(k.netif->config.mtu, 1300);
    assert_int_equal(weir_dhcp_stop(k.stack, k.ifindex, k.now), 0);
    assert_int_equal(k.netif->config.mtu, 1500);
    kit_close(&k);
}

static void test_what_makes_no_sense_is_left_out(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    to_request(&k, &m, 1000);
    struct reply r = plain_reply(ACK, &m, 1000);
    add(&r, 26, "\x00\x44", 2);           /* an MTU of 68 would make TCP crawl */
    add(&r, 15, "a\nnameserver 6.6", 15); /* no domain name: it could end in a resolver's file */
    add_u32(&r, 58, 900);                 /* T1 after T2 */
    add_u32(&r, 59, 800);
    send_reply(&k, r);
    kit_run(&k, 1 * WEIR_SEC);
    assert_string_equal(info_of(&k).domain, "");
    assert_int_equal(info_of(&k).renew_at, m.at + 500 * WEIR_SEC);
    assert_int_equal(info_of(&k).rebind_at, m.at + 875 * WEIR_SEC);
    assert_int_equal(k.netif->config.mtu, 1500);
    kit_close(&k);
}

/* RFC 3442: with option 121 the router option does not count. */
static void test_classless_routes_replace_the_router(void **state)
{
    struct kit k;
    struct message m;
    struct wr_path path;
    struct weir_addr any = weir_addr_any4(), near = kit_addr("172.16.5.1"),
                     far = kit_addr("192.0.2.1");
    (void)state;
    to_request(&k, &m, 1000);
    struct reply r = plain_reply(ACK, &m, 1000);
    add(&r, 121, "\x0c\xac\x10\x0a\x00\x00\x07\x00\x0a\x00\x00\x08", 12);
    send_reply(&k, r);
    kit_run(&k, 1 * WEIR_SEC);
    assert_int_equal(wr_path_find(k.stack, &near, &any, &path), 0);
    kit_expect_addr(&path.next_hop, "10.0.0.7");
    assert_int_equal(wr_path_find(k.stack, &far, &any, &path), 0);
    kit_expect_addr(&path.next_hop, "10.0.0.8");
    kit_close(&k);
}

/* Options that go on in `file` and `sname`, RFC 2131 4.1. */
static void test_overloaded_fields_are_read(void **state)
{
    struct kit k;
    struct message m;
    (void)state;
    to_request(&k, &m, 1000);
    struct reply r = begin_reply(ACK, &m, "10.0.0.50");
    add_u32(&r, 51, 1000);
    add(&r, 52, "\x03", 1);
    struct reply in_file = {.len = 108}, in_sname = {.len = 44};
    add_addr(&in_file, 54, "10.0.0.9");
    add_addr(&in_sname, 1, "255.255.0.0");
    memcpy(r.b + 108, in_file.b + 108, 6);
    memcpy(r.b + 44, in_sname.b + 44, 6);
    r.b[114] = r.b[50] = 255;
    send_reply(&k, r);
    kit_run(&k, 1 * WEIR_SEC);
    assert_int_equal(info_of(&k).state, WEIR_DHCP_BOUND);
    assert_int_equal(info_of(&k).prefix_len, 16);
    kit_close(&k);
}

/* A provider's lease of a single address, with a gateway outside of it. */
static void test_a_gateway_outside_the_prefix_is_on_link(void **state)
{
    struct kit k;
    struct message m;
    struct wr_path path;
    struct weir_addr any = weir_addr_any4(), far = kit_addr("192.0.2.1");
    (void)state;
    to_request(&k, &m, 1000);
    struct reply r = begin_reply(ACK, &m, "10.0.0.50");
    add_addr(&r, 54, "10.0.0.9");
    add_u32(&r, 51, 1000);
    add_addr(&r, 1, "255.255.255.255");
    add_addr(&r, 3, "10.0.9.1");
    send_reply(&k, r);
    kit_run(&k, 1 * WEIR_SEC);
    assert_int_equal(wr_path_find(k.stack, &far, &any, &path), 0);
    kit_expect_addr(&path.next_hop, "10.0.9.1");
    kit_close(&k);
}

/* ---- the calls ------------------------------------------------------------------------------------- */

static void test_errors_of_the_calls(void **state)
{
    struct kit k;
    struct weir_dhcp_info info;
    (void)state;
    kit_open(&k, KIT_TUN);
    assert_int_equal(weir_dhcp_start(k.stack, k.ifindex, NULL, k.now), WEIR_EINVAL);
    assert_int_equal(weir_dhcp_start(k.stack, 99, NULL, k.now), WEIR_ENODEV);
    assert_int_equal(weir_dhcp_info(k.stack, 99, &info), WEIR_ENODEV);
    assert_int_equal(weir_dhcp_stop(k.stack, k.ifindex, k.now), WEIR_ENOENT);
    kit_close(&k);
    open_client(&k);
    assert_int_equal(weir_dhcp_start(k.stack, k.ifindex, NULL, k.now), WEIR_EALREADY);
    assert_int_equal(weir_netif_remove(k.stack, k.ifindex, k.now), 0); /* takes the client along */
    kit_close(&k);
}

/* The host has the address by itself already: the lease is of no use. */
static void test_an_address_that_the_host_has_is_declined(void **state)
{
    struct kit k;
    struct message m;
    struct weir_addr own = kit_addr("10.0.0.50");
    (void)state;
    to_request(&k, &m, 1000);
    assert_int_equal(weir_addr_add(k.stack, k.ifindex, &own, 24, k.now), 0);
    send_reply(&k, plain_reply(ACK, &m, 1000));
    kit_run(&k, 1 * WEIR_SEC);
    expect_message(&k, &m, DECLINE);
    assert_true(has_addr(&k)); /* the user's */
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_nothing_to_an_address),
        cmocka_unit_test(test_questions_are_repeated_4_8_16_32_64_s_2131_1),
        cmocka_unit_test(test_a_request_without_answer_gives_way),
        cmocka_unit_test(test_an_address_in_use_is_declined_2131_4),
        cmocka_unit_test(test_renew_rebind_and_expire_2131_2_2131_3),
        cmocka_unit_test(test_the_address_goes_with_the_lease_2131_2),
        cmocka_unit_test(test_a_renewed_lease_goes_on),
        cmocka_unit_test(test_a_late_answer_gives_no_longer_lease),
        cmocka_unit_test(test_a_lease_without_end_is_not_renewed),
        cmocka_unit_test(test_another_server_may_rebind),
        cmocka_unit_test(test_a_nak_takes_the_address_2131_6),
        cmocka_unit_test(test_naks_in_a_row_slow_the_client_down),
        cmocka_unit_test(test_the_lease_is_given_back),
        cmocka_unit_test(test_answers_to_others_are_ignored_2131_5),
        cmocka_unit_test(test_offers_of_no_use_are_ignored),
        cmocka_unit_test(test_cut_answers_do_no_harm),
        cmocka_unit_test(test_options_of_wrong_length_are_malformed),
        cmocka_unit_test(test_garbled_answers_do_no_harm),
        cmocka_unit_test(test_mtu_domain_and_times_of_the_server),
        cmocka_unit_test(test_what_makes_no_sense_is_left_out),
        cmocka_unit_test(test_classless_routes_replace_the_router),
        cmocka_unit_test(test_overloaded_fields_are_read),
        cmocka_unit_test(test_a_gateway_outside_the_prefix_is_on_link),
        cmocka_unit_test(test_errors_of_the_calls),
        cmocka_unit_test(test_an_address_that_the_host_has_is_declined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
