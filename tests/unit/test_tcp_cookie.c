/* SPDX-License-Identifier: MIT */
/* SYN cookies: RFC 4987 3.6, and a group of hosts that shares a secret. */
#include "unit/tcp_peer.h"

#include "tcp/tcp.h"
#include "tcp/tcp_open.h"

static struct wr_tuple tuple_of(uint16_t rport)
{
    struct wr_tuple tuple;
    memset(&tuple, 0, sizeof tuple);
    tuple.local = weir_addr_v4(0x0a090001);
    tuple.remote = weir_addr_v4(0x0a090002);
    tuple.lport = 80;
    tuple.rport = rport;
    return tuple;
}

static struct weir_stack *make_stack(uint8_t seed)
{
    struct weir_config config;
    weir_config_default(&config);
    config.seed[5] = seed;
    return weir_stack_new(&config, 0);
}

/* Every MSS comes back as the largest of the table that is not above it. */
static void mss_is_kept_4987_4(void **arg)
{
    static const uint16_t table[] = {48, 256, 536, 1220, 1300, 1440, 1460, 8940};
    struct weir_stack *stack = make_stack(1);
    (void)arg;
    for (unsigned mss = 48, at = 0; mss <= UINT16_MAX; mss++) {
        struct wr_tuple tuple = tuple_of((uint16_t)(1 + mss % 60000));
        uint32_t irs = mss * 2654435761u;
        uint32_t iss = wr_cookie_make(stack, &tuple, irs, (uint16_t)mss, 5 * WEIR_SEC);
        uint16_t back = 0;
        if (at + 1 < sizeof table / sizeof table[0] && mss == table[at + 1])
            at++;
        assert_true(wr_cookie_check(stack, &tuple, irs, iss, &back, 5 * WEIR_SEC));
        assert_int_equal(back, table[at]);
    }
    weir_stack_free(stack);
}

/* Made at any second, a cookie is good for the rest of its minute and for the next. */
static void lifetime_4987_3(void **arg)
{
    struct weir_stack *stack = make_stack(1);
    struct wr_tuple tuple = tuple_of(1234);
    uint16_t mss;
    (void)arg;
    for (unsigned made = 0; made < 300; made++) {
        uint32_t iss = wr_cookie_make(stack, &tuple, 7, 1460, made * WEIR_SEC);
        for (unsigned age = 0; made + age < 1200; age++) {
            bool good = (made + age) / 60 - made / 60 <= 1;
            assert_int_equal(wr_cookie_check(stack, &tuple, 7, iss, &mss, (made + age) * WEIR_SEC),
                             good);
        }
    }
    weir_stack_free(stack);
}

/* Any other number, tuple or SYN is refused. 2^20 guesses find 2^20 / 2^28 of one. */
static void forgery_4987_3(void **arg)
{
    struct weir_stack *stack = make_stack(1);
    struct wr_tuple tuple = tuple_of(1234), other = tuple_of(1235);
    uint32_t iss = wr_cookie_make(stack, &tuple, 7, 1460, 90 * WEIR_SEC), guessed = 0;
    uint16_t mss;
    (void)arg;
    for (unsigned bit = 0; bit < 32; bit++)
        assert_false(
            wr_cookie_check(stack, &tuple, 7, iss ^ UINT32_C(1) << bit, &mss, 90 * WEIR_SEC));
    assert_false(wr_cookie_check(stack, &tuple, 8, iss, &mss, 90 * WEIR_SEC));
    assert_false(wr_cookie_check(stack, &tuple, 8, iss + 1, &mss, 90 * WEIR_SEC));
    assert_false(wr_cookie_check(stack, &other, 7, iss, &mss, 90 * WEIR_SEC));
    for (uint32_t i = 0; i < 1u << 20; i++)
        guessed += wr_cookie_check(stack, &tuple, 9, i * 4096u + 17, &mss, 90 * WEIR_SEC);
    assert_true(guessed <= 1);
    weir_stack_free(stack);
}

/* A SYN with these options to one host of a group; the ACK goes to the other. */
static void open_across(struct peer *a, struct peer *b, const struct w_tcpopt *opt)
{
    struct conn c = peer_conn(a, 80);
    struct weir_tcp_info info;
    size_t len = sizeof info;

    assert_int_equal(weir_sysctl_set(a->stack, "net.ipv4.tcp_syncookies", 2), 0);
    conn_syn(a, &c, opt);
    assert_int_equal(a->n, 1);
    c.ts = opt->has_ts;
    c.ts_val = opt->ts_val + 10;
    b->n = 0;
    conn_at(b, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    assert_int_equal(b->n, 0);
    assert_int_equal(weir_sock_accept(b->stack, b->listener, &c.sock, NULL, b->now), 0);
    assert_int_equal(
        weir_sock_getsockopt(b->stack, c.sock, WEIR_SOL_TCP, WEIR_TCP_INFO, &info, &len, b->now),
        0);
    assert_int_equal(info.tcpi_snd_mss, opt->mss - (opt->has_ts ? 12 : 0));
    assert_int_equal(info.tcpi_options, opt->has_ts ? 7 : 0);
    assert_int_equal(info.tcpi_wscale & 15, opt->has_ts ? opt->wscale : 0);
    /* What it sends is not old to a peer that has seen the first host's timestamp. */
    assert_int_equal(conn_write(b, &c, "abc", 3), 3);
    assert_int_equal(b->n, 1);
    assert_int_equal(b->log[0].opt.has_ts, opt->has_ts);
    if (opt->has_ts)
        assert_true((int32_t)(b->log[0].opt.ts_val - a->log[0].opt.ts_val) >= 0);
}

/* Two hosts with clocks of their own, one secret: either takes the other's cookies. */
static void group_shares_a_secret(void **arg)
{
    static struct peer a, b;
    static const uint8_t secret[32] = "a secret of the group, 32 bytes.";
    const weir_time day = WEIR_SEC * 1700000000;
    struct w_tcpopt with = {.has_mss = true,
                            .mss = 1460,
                            .sack_permitted = true,
                            .has_wscale = true,
                            .wscale = 9,
                            .has_ts = true,
                            .ts_val = 5};
    struct w_tcpopt without = {.has_mss = true, .mss = 1300};
    struct conn stray;
    (void)arg;
    peer_init(&a);
    peer_init(&b);
    peer_run(&b, 777 * WEIR_SEC + 123 * WEIR_MS);
    b.next_port = 30000;
    peer_listen(&a, 80, 5);
    peer_listen(&b, 80, 5);
    assert_int_equal(weir_syncookie_secret(a.stack, secret, -1, a.now), WEIR_EINVAL);

    /* Not yet a group: the other host's ACK is nobody's. */
    assert_int_equal(weir_sysctl_set(a.stack, "net.ipv4.tcp_syncookies", 2), 0);
    stray = peer_conn(&a, 80);
    conn_syn(&a, &stray, &without);
    conn_at(&b, &stray, W_TCP_ACK, stray.snd, stray.rcv, NULL, 0);
    assert_int_equal(b.log[0].th.flags, W_TCP_RST);

    assert_int_equal(weir_syncookie_secret(a.stack, secret, day, a.now), 0);
    assert_int_equal(weir_syncookie_secret(b.stack, secret, day + 3 * WEIR_SEC, b.now), 0);
    open_across(&a, &b, &with);
    open_across(&a, &b, &without);
    open_across(&b, &a, &with);
    open_across(&b, &a, &without);
    peer_free(&a);
    peer_free(&b);
}

/* ---- the SYN queue has no memory ------------------------------------------------------------------ */

/* So large are chunks of records, but in the hardened build, where there is memory for all then. */
#ifdef WEIR_HARD
enum { CHUNKS_ARE_LARGE = 0 };
#else
enum { CHUNKS_ARE_LARGE = 1 };
#endif
enum { A_CHUNK = 2000, SYNS = 20 };

/* Returns how many of SYNS are answered. */
static unsigned send_syns(struct peer *p, struct conn *c, int cookies)
{
    struct w_tcpopt opt = {.has_mss = true, .mss = 1300};
    unsigned answered = 0;
    peer_init(p);
    assert_int_equal(weir_sysctl_set(p->stack, "net.ipv4.tcp_syncookies", cookies), 0);
    peer_listen(p, 80, SYNS);
    p->probe.refuse = A_CHUNK;
    for (unsigned i = 0; i < SYNS; i++) {
        c[i] = peer_conn(p, 80);
        conn_syn(p, &c[i], &opt);
        answered += p->n;
    }
    p->n = 0;
    return answered;
}

/* RFC 4987 3.6: a cookie stands for the entry that cannot be kept. Each opens when there is memory for a connection. */
static void a_syn_without_memory_is_answered_by_a_cookie_4987_3(void **arg)
{
    static struct peer p;
    struct conn c[SYNS];
    (void)arg;
    assert_int_equal(send_syns(&p, c, 1), SYNS);
    assert_int_equal(peer_drops(&p, "no_memory"), 0);
    if (CHUNKS_ARE_LARGE)
        assert_true(p.stack->stats[WR_STAT_tcp_syncookies_sent] >= SYNS - 1);
    assert_int_equal(p.stack->stats[WR_STAT_tcp_reqq_full_cookies],
                     p.stack->stats[WR_STAT_tcp_syncookies_sent]);
    p.probe.refuse = 0;
    for (unsigned i = 0; i < SYNS; i++) {
        conn_at(&p, &c[i], W_TCP_ACK, c[i].snd, c[i].rcv, NULL, 0);
        assert_int_equal(weir_sock_accept(p.stack, p.listener, &c[i].sock, NULL, p.now), 0);
    }
    assert_int_equal(p.n, 0); /* no RST */
    peer_free(&p);
}

/* As Linux counts it: TcpExt ListenDrops. */
static void without_cookies_a_syn_without_memory_is_a_listen_drop(void **arg)
{
    static struct peer p;
    struct conn c[SYNS];
    (void)arg;
    unsigned answered = send_syns(&p, c, 0);
    if (CHUNKS_ARE_LARGE)
        assert_true(answered <= 1);
    assert_int_equal(peer_drops(&p, "no_memory"), SYNS - answered);
    assert_int_equal(p.stack->stats[WR_STAT_tcp_listen_drops], SYNS - answered);
    peer_free(&p);
}

/* The SYN of an entry that has no way into the table comes again, for its SYN-ACK was lost: which goes again. */
static void a_syn_that_comes_again_is_answered_without_memory_too(void **arg)
{
    static struct peer p;
    struct w_tcpopt opt = {.has_mss = true, .mss = 1300};
    (void)arg;
    peer_init(&p);
    peer_listen(&p, 80, 5);
    p.probe.refuse = A_CHUNK;
    struct conn c = peer_conn(&p, 80);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t irs = c.irs;
        conn_syn(&p, &c, &opt);
        assert_int_equal(p.n, 1);
        assert_true(i == 0 || c.irs == irs);
        peer_run(&p, i == 0 ? 700 * WEIR_MS : 0);
    }
    p.probe.refuse = 0;
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    assert_int_equal(weir_sock_accept(p.stack, p.listener, &c.sock, NULL, p.now), 0);
    peer_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mss_is_kept_4987_4),
        cmocka_unit_test(lifetime_4987_3),
        cmocka_unit_test(forgery_4987_3),
        cmocka_unit_test(group_shares_a_secret),
        cmocka_unit_test(a_syn_without_memory_is_answered_by_a_cookie_4987_3),
        cmocka_unit_test(without_cookies_a_syn_without_memory_is_a_listen_drop),
        cmocka_unit_test(a_syn_that_comes_again_is_answered_without_memory_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
