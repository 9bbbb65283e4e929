/* SPDX-License-Identifier: MIT */
/* Fast open, RFC 7413, where scripts do not reach: memory that fails, keys, limits of what is remembered. */
#include "unit/tcp_peer.h"

#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"

static const struct w_tcpopt plain = {.has_mss = true, .mss = 1000};

static uint64_t stat_of(const struct peer *p, const char *name)
{
    for (unsigned i = 0; i < weir_stat_kinds(); i++)
        if (strcmp(weir_stat_name(i), name) == 0)
            return weir_stat_count(p->stack, i);
    fail_msg("no counter %s", name);
    return 0;
}

/* A SYN with data, for a listener that wants no cookie. True: the data were taken. */
static bool syn_with_data(struct peer *p, struct conn *c)
{
    conn_syn_data(p, c, &plain, "0123456789", 10);
    if (p->n == 0)
        return false;
    assert_int_equal(p->log[0].th.flags, W_TCP_SYN | W_TCP_ACK);
    c->snd = p->log[0].th.ack;
    return c->snd == c->iss + 11;
}

static void server_on(struct peer *p, int qlen)
{
    assert_int_equal(weir_sysctl_set(p->stack, "net.ipv4.tcp_fastopen", 0x202), 0);
    peer_listen(p, 80, 16);
    assert_int_equal(weir_sock_setsockopt(p->stack, p->listener, WEIR_SOL_TCP, WEIR_TCP_FASTOPEN,
                                          &qlen, sizeof qlen, p->now),
                     0);
}

/* Open, answer and close with the n-th allocation failing, for every n: no crash, no leak, and what was
 * acknowledged can be read. */
static void server_without_memory_7413_07(void **arg)
{
    static struct peer p;
    bool whole = false;
    (void)arg;
    for (size_t n = 1; !whole; n++) {
        struct conn c;
        char data[16];
        peer_init(&p);
        server_on(&p, 5);
        c = peer_conn(&p, 80);
        p.probe.fail_at = p.probe.calls + n;
        if (syn_with_data(&p, &c) &&
            weir_sock_accept(p.stack, p.listener, &c.sock, NULL, p.now) == 0) {
            ptrdiff_t got = weir_sock_recv(p.stack, c.sock, data, sizeof data, 0, NULL, p.now);
            assert_int_equal(got, 10);
            assert_memory_equal(data, "0123456789", 10);
            (void)weir_sock_send(p.stack, c.sock, "abc", 3, 0, NULL, p.now);
            conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
        }
        peer_run(&p, 3 * WEIR_SEC);
        whole = p.probe.calls < p.probe.fail_at;
        peer_free(&p);
    }
}

/* The same for the client's side. */
static void client_without_memory_7413_04(void **arg)
{
    static struct peer p;
    bool whole = false;
    (void)arg;
    for (size_t n = 1; !whole; n++) {
        struct weir_endpoint to = {.port = 80};
        peer_init(&p);
        to.addr = p.them;
        p.probe.fail_at = p.probe.calls + n;
        for (int round = 0; round < 2; round++) {
            struct conn c = {.ours = 0};
            ptrdiff_t sent;
            if (weir_sock_open(p.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &c.sock) != 0)
                continue;
            p.n = 0;
            sent = weir_sock_send(p.stack, c.sock, "0123456789", 10, WEIR_MSG_FASTOPEN, &to, p.now);
            peer_drain(&p);
            if (p.n > 0 && (p.log[0].th.flags & W_TCP_SYN)) {
                struct w_tcpopt opt = {
                    .has_mss = true, .mss = 1000, .has_fastopen = true, .cookie_len = 8};
                struct w_tcp th = {.src_port = 80,
                                   .dst_port = p.log[0].th.src_port,
                                   .seq = 7,
                                   .ack = p.log[0].th.seq + 1 + p.log[0].len,
                                   .flags = W_TCP_SYN | W_TCP_ACK,
                                   .wnd = 65535};
                uint8_t opts[W_TCPOPT_MAX];
                assert_int_equal(p.log[0].len, sent > 0 ? 10 : 0);
                peer_raw(&p, &th, opts, wr_w_tcpopt_emit_syn(opts, &opt), NULL, 0);
            }
            assert_int_equal(weir_sock_close(p.stack, c.sock, p.now), 0);
            peer_run(&p, 1 * WEIR_SEC);
        }
        whole = p.probe.calls < p.probe.fail_at;
        peer_free(&p);
    }
}

/* The listener goes while connections are pending: those are reset, or go on without it. */
static void listener_closes_7413_09(void **arg)
{
    static struct peer p;
    struct conn taken, waiting;
    (void)arg;
    peer_init(&p);
    server_on(&p, 5);
    taken = peer_conn(&p, 80);
    assert_true(syn_with_data(&p, &taken));
    assert_int_equal(weir_sock_accept(p.stack, p.listener, &taken.sock, NULL, p.now), 0);
    waiting = peer_conn(&p, 80);
    assert_true(syn_with_data(&p, &waiting));
    p.n = 0;
    assert_int_equal(weir_sock_close(p.stack, p.listener, p.now), 0);
    peer_drain(&p);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.log[0].th.flags, W_TCP_RST | W_TCP_ACK);
    assert_int_equal(p.log[0].th.dst_port, waiting.theirs);
    conn_at(&p, &taken, W_TCP_ACK, taken.snd, taken.rcv, NULL, 0);
    assert_int_equal(weir_sock_send(p.stack, taken.sock, "abc", 3, 0, NULL, p.now), 3);
    peer_free(&p);
}

/* Many SYNs with data: never more than TCP_FASTOPEN of them pending, the others open as ever. */
static void pending_is_bounded_7413_09(void **arg)
{
    static struct peer p;
    unsigned fast = 0;
    (void)arg;
    peer_init(&p);
    server_on(&p, 3);
    for (int i = 0; i < 10; i++) {
        struct conn c = peer_conn(&p, 80);
        fast += syn_with_data(&p, &c);
    }
    assert_int_equal(fast, 3);
    assert_int_equal(stat_of(&p, "TcpExtTCPFastOpenListenOverflow"), 7);
    peer_free(&p);
}

/* Peers come and go: no more than WR_METRICS_MAX are remembered, the latest among them. */
static void metrics_are_bounded_7413_04(void **arg)
{
    static struct peer p;
    struct wr_tuple tuple;
    (void)arg;
    peer_init(&p);
    memset(&tuple, 0, sizeof tuple);
    tuple.local = p.us;
    for (uint32_t i = 0; i < 3 * WR_METRICS_MAX; i++) {
        tuple.remote = weir_addr_v4(0x0b000000 + i);
        assert_non_null(wr_metrics_get(p.stack, &tuple));
    }
    assert_int_equal(p.stack->tcp->metrics.table.count, WR_METRICS_MAX);
    assert_non_null(wr_metrics_find(p.stack, &tuple));
    tuple.remote = weir_addr_v4(0x0b000000);
    assert_null(wr_metrics_find(p.stack, &tuple));
    peer_free(&p);
}

/* The text of net.ipv4.tcp_fastopen_key, as Linux writes and reads it. */
static void key_as_text_7413_12(void **arg)
{
    static const char *const bad[] = {
        "",         "1-2-3",     "1-2-3-4-5",       "1-2-3-g",
        "1-2-3-4,", "1-2-3-4,5", "123456789-2-3-4", "1-2-3-4,5-6-7-8,9-a-b-c"};
    static const char name[] = "net.ipv4.tcp_fastopen_key";
    static struct peer p;
    char text[100];
    (void)arg;
    peer_init(&p);
    assert_int_equal(weir_sysctl_write(p.stack, name, "1-22-333-abcdef01"), 0);
    assert_int_equal(weir_sysctl_read(p.stack, name, text, sizeof text), 35);
    assert_string_equal(text, "00000001-00000022-00000333-abcdef01");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(weir_sysctl_write(p.stack, name, bad[i]), WEIR_EINVAL);
    assert_int_equal(weir_fastopen_keys(p.stack, "0123456789abcdefFEDCBA9876543210", 32), 0);
    assert_int_equal(weir_sysctl_read(p.stack, name, text, sizeof text), 71);
    assert_string_equal(text,
                        "33323130-37363534-62613938-66656463,43444546-38394142-34353637-30313233");
    assert_int_equal(weir_fastopen_keys(p.stack, text, 17), WEIR_EINVAL);
    peer_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_without_memory_7413_07),
        cmocka_unit_test(client_without_memory_7413_04),
        cmocka_unit_test(listener_closes_7413_09),
        cmocka_unit_test(pending_is_bounded_7413_09),
        cmocka_unit_test(metrics_are_bounded_7413_04),
        cmocka_unit_test(key_as_text_7413_12),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
