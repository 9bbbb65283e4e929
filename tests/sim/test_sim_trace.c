/* SPDX-License-Identifier: MIT */
/*
 * The trace (weir/trace.h): each kind of record appears where it should, and says what is so. Causes are planted: one
 * frame lost, a reader that stops, a path that shrinks; what follows is by the RFC named at each test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <weir/info.h>
#include <weir/trace.h>

#include "core/core.h"
#include "sim/sim.h"

enum { PORT = 80, MSS = 1448, RECORDS = 1 << 14 };

static struct sim sim;
static weir_sock client, server;
static struct weir_trace_reader reader[2];
static struct weir_trace records[RECORDS];
static size_t n_records;

static struct weir_stack *stack_of(unsigned host)
{
    return sim.host[host].stack;
}

/* Two hosts, the trace of both on, 10 ms one way; rules: what happens to which frame. */
static void begin(const char *rules)
{
    struct sim_wire wire = {.impaired = true, .impair = {.delay = 10 * WEIR_MS, .rules = rules}};

    sim_init(&sim, 1);
    for (unsigned host = 0; host < 2; host++) {
        sim_host(&sim, NULL);
        assert_int_equal(weir_trace_on(stack_of(host), RECORDS), 0);
        weir_trace_begin(stack_of(host), &reader[host]);
    }
    sim_join(&sim, 0, 1, &wire);
}

static void begin_connected(const char *rules)
{
    begin(rules);
    sim_connected(&sim, WEIR_AF_INET, PORT, &client, &server);
}

static void finish(void)
{
    for (unsigned host = 0; host < 2; host++)
        weir_trace_off(stack_of(host));
    sim_free(&sim);
}

static void send_bytes(unsigned host, weir_sock sock, size_t len)
{
    static const uint8_t data[100000];
    assert_int_equal(weir_sock_send(stack_of(host), sock, data, len, 0, NULL, sim.now), len);
}

static size_t read_all(unsigned host, weir_sock sock)
{
    static uint8_t data[100000];
    ptrdiff_t n = weir_sock_recv(stack_of(host), sock, data, sizeof data, 0, NULL, sim.now);
    return n > 0 ? (size_t)n : 0;
}

/* What the host has traced since the last call; each as words, too. */
static void take(unsigned host)
{
    char text[1024];

    n_records = 0;
    while (n_records < RECORDS &&
           weir_trace_read(stack_of(host), &reader[host], &records[n_records])) {
        const struct weir_trace *r = &records[n_records++];
        assert_true(weir_trace_print(r, text, sizeof text) < sizeof text);
        if (getenv("SIM_TRACE"))
            printf("%u: %s\n", host, text);
        assert_true(weir_trace_json(r, text, sizeof text) < sizeof text);
        json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(json);
        assert_string_equal(json_string_value(json_object_get(json, "kind")),
                            weir_trace_kind(r->point));
        json_decref(json);
    }
    assert_int_equal(reader[host].lost, 0);
}

static size_t count(enum weir_trace_point point)
{
    size_t n = 0;
    for (size_t i = 0; i < n_records; i++)
        n += records[i].point == point;
    return n;
}

/* The n-th of them, from 0. */
static const struct weir_trace *find(enum weir_trace_point point, size_t n)
{
    for (size_t i = 0; i < n_records; i++)
        if (records[i].point == point && n-- == 0)
            return &records[i];
    fail_msg("there is no such record: %s %s", weir_trace_kind(point), weir_trace_why(point));
    return NULL;
}

static bool comes_before(const struct weir_trace *a, const struct weir_trace *b)
{
    return a < b;
}

static int state_errno(uint8_t state)
{
    for (size_t i = 0; i < n_records; i++)
        if (records[i].point == WEIR_TRACE_STATE && records[i].state == state)
            return records[i].reason;
    fail_msg("it was never in %s", weir_trace_state(state));
    return -1;
}

/* ---- a life ------------------------------------------------------------------------------------------ */

static void handshake_data_and_close_are_told(void **state)
{
    const struct weir_trace *r;
    (void)state;

    begin_connected(NULL);
    send_bytes(0, client, 5 * MSS + 100);
    sim_run(&sim, WEIR_SEC);
    assert_int_equal(read_all(1, server), 5 * MSS + 100);
    weir_sock_close(stack_of(0), client, sim.now);
    sim_run(&sim, WEIR_SEC);
    weir_sock_close(stack_of(1), server, sim.now);
    sim_run(&sim, WEIR_SEC);

    take(0);
    r = find(WEIR_TRACE_SENT_SYN, 0);
    assert_int_equal(r->state, WEIR_TCP_SYN_SENT);
    assert_int_equal(r->flags, 2);
    assert_int_equal(r->seq, r->iss);
    assert_int_equal(r->rport, PORT);
    assert_int_equal(count(WEIR_TRACE_SENT_NEW), 6);
    assert_int_equal(count(WEIR_TRACE_SENT_FIN), 1);
    assert_int_equal(count(WEIR_TRACE_SENT_FAST) + count(WEIR_TRACE_LOST_RACK), 0);
    r = find(WEIR_TRACE_SENT_NEW, 5);
    assert_int_equal(r->seq - r->iss, 1 + 5 * MSS);
    assert_int_equal(r->len, 100);
    assert_int_equal(r->pipe, 5 * MSS + 100);
    assert_int_equal(r->cwnd, 10 * MSS); /* RFC 6928 */
    assert_int_equal(r->srtt, 20 * WEIR_MS);
    assert_true(r->rto >= 200 * WEIR_MS);
    assert_true(count(WEIR_TRACE_HELD_APP) > 0);
    for (uint8_t s = WEIR_TCP_ESTABLISHED; s <= WEIR_TCP_CLOSE; s++)
        if (s != WEIR_TCP_SYN_RECV)
            assert_int_equal(state_errno(s), 0);

    take(1);
    assert_int_equal(count(WEIR_TRACE_SENT_SYNACK), 1);
    state_errno(WEIR_TCP_CLOSE_WAIT);
    state_errno(WEIR_TCP_LAST_ACK);
    assert_int_equal(count(WEIR_TRACE_SENT_NEW), 0);
    assert_true(count(WEIR_TRACE_SENT_ACK) > 0);
    r = find(WEIR_TRACE_RECEIVED, 0);
    assert_int_equal(r->seq - r->irs, 1);
    assert_int_equal(r->len, MSS);
    finish();
}

static void lone_segment_is_acknowledged_late(void **state)
{
    (void)state;
    begin_connected(NULL);
    for (int i = 0; i < 40; i++) { /* quick ACKs are used up */
        send_bytes(0, client, 10);
        sim_run(&sim, 30 * WEIR_MS);
    }
    sim_run(&sim, WEIR_SEC);
    take(1);
    assert_true(count(WEIR_TRACE_TIMER_DELACK) > 0);
    assert_int_equal(count(WEIR_TRACE_SENT_ACK_DELAYED), count(WEIR_TRACE_TIMER_DELACK));
    finish();
}

/* ---- loss ---------------------------------------------------------------------------------------------- */

static void one_lost_segment_is_a_fast_retransmit_by_rack(void **state) /* RFC 8985 6.2 */
{
    const struct weir_trace *lost, *sent, *entered;
    (void)state;

    begin_connected("out drop data 3");
    send_bytes(0, client, 8 * MSS);
    sim_run(&sim, WEIR_SEC);
    take(0);
    assert_int_equal(count(WEIR_TRACE_LOST_RACK), 1);
    assert_int_equal(count(WEIR_TRACE_SENT_FAST), 1);
    assert_int_equal(count(WEIR_TRACE_RECOVERY_FAST), 1);
    assert_int_equal(count(WEIR_TRACE_RECOVERY_LEFT), 1);
    assert_int_equal(count(WEIR_TRACE_TIMER_RTO), 0);
    lost = find(WEIR_TRACE_LOST_RACK, 0);
    entered = find(WEIR_TRACE_RECOVERY_FAST, 0);
    sent = find(WEIR_TRACE_SENT_FAST, 0);
    assert_true(comes_before(lost, entered) && comes_before(entered, sent));
    assert_int_equal(lost->seq - lost->iss, 1 + 2 * MSS);
    assert_int_equal(lost->len, MSS);
    assert_int_equal(sent->seq, lost->seq);
    assert_int_equal(sent->ca_state, WEIR_CA_RECOVERY);
    assert_true(entered->ssthresh < 10 * MSS);
    assert_true(comes_before(sent, find(WEIR_TRACE_RECOVERY_LEFT, 0)));
    take(1);
    assert_true(count(WEIR_TRACE_SENT_ACK_GAP) >= 1);
    finish();
}

static void with_a_tunable(const char *name, int64_t value, const char *rules, size_t len)
{
    begin(rules);
    for (unsigned host = 0; host < 2; host++)
        assert_int_equal(weir_sysctl_set(stack_of(host), name, value), 0);
    sim_connected(&sim, WEIR_AF_INET, PORT, &client, &server);
    send_bytes(0, client, len);
    sim_run(&sim, 3 * WEIR_SEC);
    take(0);
}

static void without_rack_sacked_bytes_above_it_show_a_loss(void **state) /* RFC 6675 4 IsLost */
{
    (void)state;
    with_a_tunable("net.ipv4.tcp_recovery", 0, "out drop data 3", 8 * MSS);
    assert_int_equal(count(WEIR_TRACE_LOST_RACK), 0);
    assert_int_equal(count(WEIR_TRACE_LOST_SACK) + count(WEIR_TRACE_LOST_DUPACKS), 1);
    assert_int_equal(count(WEIR_TRACE_SENT_FAST), 1);
    finish();
}

static void without_sack_duplicates_and_partial_acks_show_losses(void **state) /* RFC 6582 3.2 */
{
    (void)state;
    with_a_tunable("net.ipv4.tcp_sack", 0, "out drop data 3; out drop data 5", 9 * MSS);
    assert_int_equal(count(WEIR_TRACE_LOST_DUPACKS), 1);
    assert_int_equal(count(WEIR_TRACE_LOST_PARTIAL), 1);
    assert_int_equal(count(WEIR_TRACE_SENT_FAST), 2);
    assert_int_equal(find(WEIR_TRACE_LOST_DUPACKS, 0)->seq - records[0].iss, 1 + 2 * MSS);
    assert_int_equal(find(WEIR_TRACE_LOST_PARTIAL, 0)->seq - records[0].iss, 1 + 4 * MSS);
    finish();
}

static void lost_tail_is_probed(void **state) /* RFC 8985 7 */
{
    (void)state;
    begin_connected("out drop data 6");
    send_bytes(0, client, 6 * MSS);
    sim_run(&sim, WEIR_SEC);
    send_bytes(0, client, MSS); /* an ACK beyond the probe without a D-SACK tells, 7.4 */
    sim_run(&sim, WEIR_SEC);
    take(0);
    assert_int_equal(count(WEIR_TRACE_TIMER_TLP), 1);
    assert_int_equal(count(WEIR_TRACE_SENT_TLP), 1);
    assert_int_equal(count(WEIR_TRACE_RECOVERY_PROBED), 1);
    assert_int_equal(count(WEIR_TRACE_TIMER_RTO), 0);
    finish();
}

static void when_all_is_lost_the_timer_fires(void **state) /* RFC 6298 5.4 */
{
    const struct weir_trace *r;
    (void)state;

    begin_connected("out drop data 1-7");
    send_bytes(0, client, 6 * MSS);
    sim_run(&sim, 3 * WEIR_SEC);
    take(0);
    assert_int_equal(count(WEIR_TRACE_TIMER_RTO), 1);
    assert_true(count(WEIR_TRACE_LOST_RTO) > 0);
    assert_int_equal(count(WEIR_TRACE_RECOVERY_RTO), 1);
    r = find(WEIR_TRACE_RECOVERY_RTO, 0);
    assert_int_equal(r->ca_state, WEIR_CA_LOSS);
    assert_int_equal(r->cwnd, MSS);
    assert_true(count(WEIR_TRACE_SENT_RTO) >= 6);
    assert_true(find(WEIR_TRACE_SENT_RTO, 0)->rto > find(WEIR_TRACE_SENT_NEW, 0)->rto); /* 5.5 */
    assert_int_equal(count(WEIR_TRACE_RECOVERY_LEFT), 1);
    finish();
}

static void late_segments_are_a_spurious_timeout(void **state) /* RFC 5682, RFC 3522 */
{
    (void)state;
    begin_connected("out delay data 1-8 500ms");
    send_bytes(0, client, 6 * MSS);
    sim_run(&sim, 5 * WEIR_SEC);
    take(0);
    assert_true(count(WEIR_TRACE_TIMER_RTO) >= 1);
    assert_int_equal(count(WEIR_TRACE_RECOVERY_UNDONE_RTO), 1);
    finish();
}

static void overtaken_segment_is_a_spurious_fast_retransmit(void **state) /* RFC 2883, RFC 3522 */
{
    (void)state;
    begin_connected("out delay data 3 60ms");
    send_bytes(0, client, 10 * MSS);
    sim_run(&sim, 2 * WEIR_SEC);
    take(0);
    assert_int_equal(count(WEIR_TRACE_SENT_FAST), 1);
    assert_int_equal(
        count(WEIR_TRACE_RECOVERY_UNDONE_DSACK) + count(WEIR_TRACE_RECOVERY_UNDONE_LATE), 1);
    finish();
}

/* ---- windows ------------------------------------------------------------------------------------------- */

static void reader_that_stops_closes_the_window(void **state) /* RFC 9293 3.8.6.1 */
{
    (void)state;
    begin(NULL);
    assert_int_equal(weir_sysctl_set(stack_of(1), "net.ipv4.tcp_rmem.default", 8192), 0);
    assert_int_equal(weir_sysctl_set(stack_of(1), "net.ipv4.tcp_rmem.max", 8192), 0);
    sim_connected(&sim, WEIR_AF_INET, PORT, &client, &server);
    send_bytes(0, client, 20000);
    sim_run(&sim, 3 * WEIR_SEC);
    take(0);
    assert_int_equal(count(WEIR_TRACE_WINDOW_CLOSED), 1);
    assert_true(count(WEIR_TRACE_HELD_WINDOW) > 0);
    assert_true(count(WEIR_TRACE_TIMER_PERSIST) > 0);
    assert_int_equal(count(WEIR_TRACE_SENT_PROBE), count(WEIR_TRACE_TIMER_PERSIST));
    take(1);
    assert_true(count(WEIR_TRACE_WINDOW_FULL) > 0);
    for (int i = 0; i < 20; i++) {
        read_all(1, server);
        sim_run(&sim, 100 * WEIR_MS);
    }
    take(1);
    assert_true(count(WEIR_TRACE_WINDOW_ROOM) > 0);
    assert_true(count(WEIR_TRACE_SENT_ACK_WINDOW) > 0);
    take(0);
    assert_true(count(WEIR_TRACE_WINDOW_OPENED) > 0);
    assert_int_equal(find(WEIR_TRACE_WINDOW_OPENED, 0)->rport, PORT);
    finish();
}

static void what_holds_a_sender_is_told(void **state)
{
    (void)state;
    begin_connected(NULL);
    send_bytes(0, client, 20 * MSS); /* twice the initial window */
    sim_run(&sim, WEIR_MS);
    take(0);
    assert_int_equal(count(WEIR_TRACE_HELD_CWND), 1);
    sim_run(&sim, WEIR_SEC);
    send_bytes(0, client, 10); /* Minshall: the first short one goes, the second waits */
    sim_settle(&sim);
    send_bytes(0, client, 10);
    sim_run(&sim, WEIR_MS);
    take(0);
    assert_int_equal(count(WEIR_TRACE_HELD_NAGLE), 1);
    finish();
}

/* ---- endings ------------------------------------------------------------------------------------------- */

static void a_refusal_is_a_drop_and_a_reset(void **state)
{
    struct weir_endpoint peer;
    (void)state;

    begin(NULL);
    client = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
    peer = sim_endpoint(0, 2, WEIR_AF_INET, PORT);
    assert_int_equal(weir_sock_connect(stack_of(0), client, &peer, sim.now), WEIR_EINPROGRESS);
    sim_run(&sim, WEIR_SEC);
    take(1);
    assert_int_equal(count(WEIR_TRACE_DROPPED), 1);
    assert_string_equal(weir_drop_name(records[0].reason), "tcp_no_socket");
    assert_int_equal(records[0].lport, PORT);
    assert_int_equal(records[0].flags, 2);
    assert_int_equal(count(WEIR_TRACE_SENT_RST), 1);
    take(0);
    assert_int_equal(state_errno(WEIR_TCP_CLOSE), -WEIR_ECONNREFUSED);
    finish();
}

static void an_unanswered_syn_is_sent_again(void **state)
{
    struct weir_endpoint peer;
    (void)state;

    begin("out drop syn 1-2");
    sim_listen(&sim, 1, &(struct weir_endpoint){.addr = sim_addr(0, 2, WEIR_AF_INET), .port = PORT},
               5);
    client = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
    peer = sim_endpoint(0, 2, WEIR_AF_INET, PORT);
    assert_int_equal(weir_sock_connect(stack_of(0), client, &peer, sim.now), WEIR_EINPROGRESS);
    sim_run(&sim, 10 * WEIR_SEC);
    take(0);
    assert_int_equal(count(WEIR_TRACE_SENT_SYN), 1);
    assert_int_equal(count(WEIR_TRACE_SENT_SYN_AGAIN), 2);
    assert_int_equal(count(WEIR_TRACE_TIMER_SYN), 2);
    state_errno(WEIR_TCP_ESTABLISHED);
    finish();
}

static void a_full_accept_queue_is_a_drop(void **state)
{
    struct weir_endpoint peer;
    (void)state;

    begin(NULL);
    sim_listen(&sim, 1, &(struct weir_endpoint){.addr = sim_addr(0, 2, WEIR_AF_INET), .port = PORT},
               1);
    peer = sim_endpoint(0, 2, WEIR_AF_INET, PORT);
    for (int i = 0; i < 4; i++) {
        weir_sock sock = sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
        assert_int_equal(weir_sock_connect(stack_of(0), sock, &peer, sim.now), WEIR_EINPROGRESS);
    }
    sim_run(&sim, WEIR_SEC);
    take(1);
    bool seen = false;
    for (size_t i = 0; i < n_records; i++)
        seen |= records[i].point == WEIR_TRACE_DROPPED &&
                strcmp(weir_drop_name(records[i].reason), "tcp_accept_queue_full") == 0;
    assert_true(seen);
    finish();
}

static void keepalive_probes_are_told_from_window_probes(void **state)
{
    (void)state;
    begin_connected(NULL);
    sim_setopt(&sim, 0, client, WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, 1);
    sim_setopt(&sim, 0, client, WEIR_SOL_TCP, WEIR_TCP_KEEPIDLE, 1);
    sim_run(&sim, 2 * WEIR_SEC);
    take(0);
    assert_int_equal(count(WEIR_TRACE_TIMER_KEEPALIVE), 1);
    assert_int_equal(count(WEIR_TRACE_SENT_KEEPALIVE), 1);
    assert_int_equal(count(WEIR_TRACE_SENT_PROBE), 0);
    finish();
}

/* ---- the ring ------------------------------------------------------------------------------------------ */

static void slow_reader_learns_what_it_missed(void **state)
{
    struct weir_trace_reader slow;
    struct weir_trace record;
    size_t n = 0;
    (void)state;

    begin(NULL);
    weir_trace_off(stack_of(0));
    assert_int_equal(weir_trace_on(stack_of(0), 0), WEIR_EINVAL);
    assert_int_equal(weir_trace_on(stack_of(0), 60), 0); /* 64 */
    weir_trace_begin(stack_of(0), &slow);
    sim_connected(&sim, WEIR_AF_INET, PORT, &client, &server);
    for (int i = 0; i < 10; i++) {
        send_bytes(0, client, 20 * MSS);
        sim_run(&sim, WEIR_SEC);
        read_all(1, server);
    }
    while (weir_trace_read(stack_of(0), &slow, &record))
        n++;
    assert_int_equal(n, 64);
    assert_true(slow.lost > 100);
    assert_int_equal(slow.next, slow.lost + 64);

    assert_int_equal(weir_trace_on(stack_of(0), 1024), 0); /* a second user */
    weir_trace_off(stack_of(0));
    send_bytes(0, client, 10);
    sim_run(&sim, WEIR_MS);
    assert_true(weir_trace_read(stack_of(0), &slow, &record));
    finish();
}

static void no_memory_for_a_ring_is_an_error(void **state)
{
    (void)state;
    begin(NULL);
    weir_trace_off(stack_of(0));
    sim.host[0].mem.fail_at = sim.host[0].mem.calls + 1;
    assert_int_equal(weir_trace_on(stack_of(0), 64), WEIR_ENOMEM);
    assert_int_equal(weir_trace_on(stack_of(0), 64), 0);
    finish();
}

/* It must see and not be seen: the same packets at the same times. */
static void packets_are_the_same_with_and_without(void **state)
{
    uint64_t seen[2];
    (void)state;

    for (int on = 0; on < 2; on++) {
        begin("out drop data 7; in drop ack 5; out delay data 20 40ms");
        for (unsigned host = 0; host < 2 && !on; host++)
            weir_trace_off(stack_of(host));
        sim_connected(&sim, WEIR_AF_INET, PORT, &client, &server);
        send_bytes(0, client, 20 * MSS);
        sim_run(&sim, 10 * WEIR_SEC);
        read_all(1, server);
        sim_run(&sim, WEIR_SEC);
        seen[on] = sim.trace;
        finish();
    }
    assert_int_equal(seen[0], seen[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_data_and_close_are_told),
        cmocka_unit_test(lone_segment_is_acknowledged_late),
        cmocka_unit_test(one_lost_segment_is_a_fast_retransmit_by_rack),
        cmocka_unit_test(without_rack_sacked_bytes_above_it_show_a_loss),
        cmocka_unit_test(without_sack_duplicates_and_partial_acks_show_losses),
        cmocka_unit_test(lost_tail_is_probed),
        cmocka_unit_test(when_all_is_lost_the_timer_fires),
        cmocka_unit_test(late_segments_are_a_spurious_timeout),
        cmocka_unit_test(overtaken_segment_is_a_spurious_fast_retransmit),
        cmocka_unit_test(reader_that_stops_closes_the_window),
        cmocka_unit_test(what_holds_a_sender_is_told),
        cmocka_unit_test(a_refusal_is_a_drop_and_a_reset),
        cmocka_unit_test(an_unanswered_syn_is_sent_again),
        cmocka_unit_test(a_full_accept_queue_is_a_drop),
        cmocka_unit_test(keepalive_probes_are_told_from_window_probes),
        cmocka_unit_test(slow_reader_learns_what_it_missed),
        cmocka_unit_test(no_memory_for_a_ring_is_an_error),
        cmocka_unit_test(packets_are_the_same_with_and_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
