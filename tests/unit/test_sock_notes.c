/* SPDX-License-Identifier: MIT */
/*
 * The error queue: SO_ZEROCOPY with MSG_ZEROCOPY, and SO_TIMESTAMPING of sends. Expectations are of
 * Linux: Documentation/networking/msg_zerocopy.rst and timestamping.rst.
 */
#include "unit/tcp_peer.h"

static int set(struct peer *p, weir_sock sock, int level, int option, int value)
{
    return weir_sock_setsockopt(p->stack, sock, level, option, &value, sizeof value, p->now);
}

static bool next(struct peer *p, const struct conn *c, struct weir_note *note)
{
    int rc = weir_sock_next_note(p->stack, c->sock, note);
    assert_true(rc == 0 || rc == WEIR_EAGAIN);
    return rc == 0;
}

static ptrdiff_t send_flags(struct peer *p, struct conn *c, size_t len, int flags)
{
    static const uint8_t zeros[4096];
    ptrdiff_t n = weir_sock_send(p->stack, c->sock, zeros, len, flags, NULL, p->now);
    peer_drain(p);
    return n;
}

static bool shows_error(struct peer *p, const struct conn *c)
{
    return (weir_sock_ready(p->stack, c->sock) & WEIR_POLLERR) != 0;
}

/* ---- zerocopy --------------------------------------------------------------------------------- */

static struct conn open_zerocopy(struct peer *p)
{
    peer_init(p);
    peer_listen(p, 80, 5);
    assert_int_equal(set(p, p->listener, WEIR_SOL_SOCKET, WEIR_SO_ZEROCOPY, 1), 0);
    return peer_open(p, 80); /* a child has its listener's option */
}

static void test_zerocopy_send_is_noted_as_copied(void **state)
{
    struct peer p;
    struct weir_note note;
    (void)state;
    struct conn c = open_zerocopy(&p);
    assert_false(shows_error(&p, &c));
    assert_int_equal(send_flags(&p, &c, 100, WEIR_MSG_ZEROCOPY), 100);
    assert_true(shows_error(&p, &c));
    assert_true(next(&p, &c, &note));
    assert_int_equal(note.origin, WEIR_NOTE_ZEROCOPY);
    assert_int_equal(note.code, WEIR_ZEROCOPY_COPIED);
    assert_int_equal(note.error, 0);
    assert_int_equal(note.info, 0);
    assert_int_equal(note.data, 0);
    assert_false(note.stamped);
    assert_false(next(&p, &c, &note));
    assert_false(shows_error(&p, &c));
    peer_free(&p);
}

static void test_zerocopy_notes_in_order_make_one_range(void **state)
{
    struct peer p;
    struct weir_note note;
    (void)state;
    struct conn c = open_zerocopy(&p);
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_flags(&p, &c, 10, WEIR_MSG_ZEROCOPY), 10);
    assert_true(next(&p, &c, &note));
    assert_int_equal(note.info, 0);
    assert_int_equal(note.data, 2);
    assert_int_equal(send_flags(&p, &c, 10, WEIR_MSG_ZEROCOPY), 10);
    assert_true(next(&p, &c, &note));
    assert_int_equal(note.info, 3);
    assert_int_equal(note.data, 3);
    peer_free(&p);
}

/* A new note of a range that is known already is an edge all the same. */
static void test_zerocopy_note_touches_the_socket(void **state)
{
    struct peer p;
    struct weir_event event;
    (void)state;
    struct conn c = open_zerocopy(&p);
    for (int i = 0; i < 2; i++) {
        while (weir_next_event(p.stack, &event))
            ;
        assert_int_equal(send_flags(&p, &c, 10, WEIR_MSG_ZEROCOPY), 10);
        assert_true(weir_next_event(p.stack, &event));
        assert_true(event.sock == c.sock);
        assert_true(event.ready & WEIR_POLLERR);
    }
    peer_free(&p);
}

static void test_zerocopy_needs_option_flag_data_and_success(void **state)
{
    struct peer p;
    struct weir_note note;
    (void)state;
    struct conn c = open_zerocopy(&p);
    assert_int_equal(send_flags(&p, &c, 10, 0), 10);
    assert_int_equal(send_flags(&p, &c, 0, WEIR_MSG_ZEROCOPY), 0);
    assert_int_equal(set(&p, c.sock, WEIR_SOL_SOCKET, WEIR_SO_ZEROCOPY, 2), WEIR_EINVAL);
    assert_int_equal(set(&p, c.sock, WEIR_SOL_SOCKET, WEIR_SO_ZEROCOPY, 0), 0);
    assert_int_equal(send_flags(&p, &c, 10, WEIR_MSG_ZEROCOPY), 10);
    assert_int_equal(set(&p, c.sock, WEIR_SOL_SOCKET, WEIR_SO_ZEROCOPY, 1), 0);
    assert_int_equal(weir_sock_shutdown(p.stack, c.sock, WEIR_SHUT_WR, p.now), 0);
    assert_int_equal(send_flags(&p, &c, 10, WEIR_MSG_ZEROCOPY), WEIR_EPIPE);
    assert_false(next(&p, &c, &note));
    peer_free(&p);
}

/* ---- timestamps ------------------------------------------------------------------------------- */

enum {
    ALL = WEIR_STAMPING_TX_SCHED | WEIR_STAMPING_TX_SOFTWARE | WEIR_STAMPING_TX_ACK |
          WEIR_STAMPING_SOFTWARE | WEIR_STAMPING_OPT_ID
};

static struct conn open_stamping(struct peer *p, int flags)
{
    peer_init(p);
    peer_listen(p, 80, 5);
    struct conn c = peer_open(p, 80);
    assert_int_equal(set(p, c.sock, WEIR_SOL_TCP, WEIR_TCP_NODELAY, 1), 0);
    assert_int_equal(set(p, c.sock, WEIR_SOL_SOCKET, WEIR_SO_TIMESTAMPING, flags), 0);
    return c;
}

static void expect_stamp(struct peer *p, const struct conn *c, uint32_t kind, uint32_t key,
                         weir_time at)
{
    struct weir_note note;
    assert_true(next(p, c, &note));
    assert_int_equal(note.origin, WEIR_NOTE_TIMESTAMPING);
    assert_int_equal(note.error, ENOMSG);
    assert_int_equal(note.info, kind);
    assert_int_equal(note.data, key);
    assert_true(note.stamped);
    assert_int_equal(note.at, at);
}

static void test_stamps_of_a_send_in_the_order_of_its_life(void **state)
{
    struct peer p;
    struct weir_note note;
    (void)state;
    struct conn c = open_stamping(&p, ALL);
    weir_time sent = p.now;
    assert_int_equal(send_flags(&p, &c, 2000, 0), 2000);
    expect_stamp(&p, &c, WEIR_STAMP_SCHED, 1999, sent);
    expect_stamp(&p, &c, WEIR_STAMP_SND, 1999, sent);
    assert_false(next(&p, &c, &note));
    peer_run(&p, 20 * WEIR_MS);
    conn_ack(&p, &c, c.irs + 1 + 1999, NULL, 0); /* the last byte is not among it */
    assert_false(next(&p, &c, &note));
    peer_run(&p, 10 * WEIR_MS);
    conn_ack(&p, &c, c.irs + 1 + 2000, NULL, 0);
    expect_stamp(&p, &c, WEIR_STAMP_ACK, 1999, p.now);
    assert_false(next(&p, &c, &note));
    peer_free(&p);
}

/* What waits for the window has left when it leaves, and not when it was written. */
static void test_stamp_of_sending_waits_for_the_window(void **state)
{
    struct peer p;
    struct weir_note note;
    (void)state;
    struct conn c = open_stamping(&p, ALL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_flags(&p, &c, 4000, 0), 4000);
    for (uint32_t key = 3999; key < 8000; key += 4000) {
        expect_stamp(&p, &c, WEIR_STAMP_SCHED, key, p.now);
        expect_stamp(&p, &c, WEIR_STAMP_SND, key, p.now);
    }
    assert_false(next(&p, &c, &note)); /* 10 segments of 1000 are out: RFC 6928 */
    peer_run(&p, 30 * WEIR_MS);
    conn_ack(&p, &c, c.irs + 1 + 4000, NULL, 0);
    expect_stamp(&p, &c, WEIR_STAMP_ACK, 3999, p.now);
    expect_stamp(&p, &c, WEIR_STAMP_SCHED, 11999, p.now);
    expect_stamp(&p, &c, WEIR_STAMP_SND, 11999, p.now);
    peer_free(&p);
}

static void test_stamp_of_a_retransmission_is_not_told(void **state)
{
    struct peer p;
    struct weir_note note;
    (void)state;
    struct conn c = open_stamping(&p, WEIR_STAMPING_TX_SOFTWARE | WEIR_STAMPING_SOFTWARE);
    assert_int_equal(send_flags(&p, &c, 100, 0), 100);
    assert_true(next(&p, &c, &note));
    assert_int_equal(note.data, 0); /* without OPT_ID */
    unsigned n = p.n;
    peer_run(&p, 3 * WEIR_SEC);
    assert_true(p.n > n);
    assert_false(next(&p, &c, &note));
    peer_free(&p);
}

static void test_stamp_without_reporting_has_no_time(void **state)
{
    struct peer p;
    struct weir_note note;
    (void)state;
    struct conn c = open_stamping(&p, WEIR_STAMPING_TX_SCHED | WEIR_STAMPING_OPT_TSONLY);
    assert_int_equal(send_flags(&p, &c, 100, 0), 100);
    assert_true(next(&p, &c, &note));
    assert_false(note.stamped);
    assert_false(note.cut);
    peer_free(&p);
}

static void test_stamping_flags_are_judged(void **state)
{
    struct peer p;
    int value;
    size_t len = sizeof value;
    (void)state;
    peer_init(&p);
    peer_listen(&p, 80, 5);
    int id = WEIR_STAMPING_TX_ACK | WEIR_STAMPING_OPT_ID;
    assert_int_equal(set(&p, p.listener, WEIR_SOL_SOCKET, WEIR_SO_TIMESTAMPING, id), WEIR_EINVAL);
    struct conn c = peer_open(&p, 80);
    assert_int_equal(set(&p, c.sock, WEIR_SOL_SOCKET, WEIR_SO_TIMESTAMPING, 1 << 3),
                     WEIR_ENOTSUP); /* of what comes in */
    assert_int_equal(
        set(&p, c.sock, WEIR_SOL_SOCKET, WEIR_SO_TIMESTAMPING, WEIR_STAMPING_OPT_ID_TCP),
        WEIR_EINVAL);
    assert_int_equal(set(&p, c.sock, WEIR_SOL_SOCKET, WEIR_SO_TIMESTAMPING, id), 0);
    assert_int_equal(weir_sock_getsockopt(p.stack, c.sock, WEIR_SOL_SOCKET, WEIR_SO_TIMESTAMPING,
                                          &value, &len, p.now),
                     0);
    assert_int_equal(value, id);
    peer_free(&p);
}

/* SND.UNA is where OPT_ID begins to count, the write pointer where OPT_ID_TCP does. */
static void test_stamp_keys_begin_where_the_option_says(void **state)
{
    struct peer p;
    (void)state;
    struct conn c = open_stamping(&p, 0);
    assert_int_equal(send_flags(&p, &c, 100, 0), 100);
    assert_int_equal(
        set(&p, c.sock, WEIR_SOL_SOCKET, WEIR_SO_TIMESTAMPING, ALL & ~WEIR_STAMPING_TX_SCHED), 0);
    assert_int_equal(send_flags(&p, &c, 50, 0), 50);
    conn_ack(&p, &c, c.irs + 1 + 150, NULL, 0);
    expect_stamp(&p, &c, WEIR_STAMP_SND, 149, p.now);
    expect_stamp(&p, &c, WEIR_STAMP_ACK, 149, p.now);
    assert_int_equal(set(&p, c.sock, WEIR_SOL_SOCKET, WEIR_SO_TIMESTAMPING, 0), 0);
    assert_int_equal(send_flags(&p, &c, 100, 0), 100);
    assert_int_equal(set(&p, c.sock, WEIR_SOL_SOCKET, WEIR_SO_TIMESTAMPING,
                         (ALL & ~WEIR_STAMPING_TX_SCHED) | WEIR_STAMPING_OPT_ID_TCP),
                     0);
    conn_ack(&p, &c, c.irs + 1 + 250, NULL, 0);
    assert_int_equal(send_flags(&p, &c, 50, 0), 50);
    expect_stamp(&p, &c, WEIR_STAMP_SND, 49, p.now);
    peer_free(&p);
}

/* ---- bounds ----------------------------------------------------------------------------------- */

static void test_unread_notes_are_bounded_and_freed_with_the_socket(void **state)
{
    struct peer p;
    struct weir_note note;
    unsigned n = 0;
    (void)state;
    struct conn c = open_stamping(&p, ALL);
    for (int i = 0; i < 300; i++)
        assert_int_equal(send_flags(&p, &c, 1, 0), 1);
    conn_ack(&p, &c, c.irs + 1 + 300, NULL, 0);
    while (n < 20 && next(&p, &c, &note))
        n++;
    assert_int_equal(n, 20);
    while (next(&p, &c, &note))
        n++;
    assert_int_equal(n, 128);
    assert_int_equal(send_flags(&p, &c, 1, 0), 1);
    assert_int_equal(weir_sock_close(p.stack, c.sock, p.now), 0);
    conn_ack(&p, &c, c.irs + 1 + 301, NULL, 0);
    peer_run(&p, WEIR_SEC);
    peer_free(&p); /* nothing is left: it counts the bytes */
}

/* With no memory for the note the data is sent all the same. */
static void test_note_that_cannot_be_kept_is_lost(void **state)
{
    struct peer p;
    struct weir_note note;
    (void)state;
    struct conn c = open_zerocopy(&p);
    assert_int_equal(send_flags(&p, &c, 10, 0), 10);
    conn_ack(&p, &c, c.irs + 1 + 10, NULL, 0);
    p.probe.fail_at = p.probe.calls + 2; /* the ring's growth is allowed */
    ptrdiff_t n = send_flags(&p, &c, 10, WEIR_MSG_ZEROCOPY);
    assert_true(n == 10 || n < 0);
    assert_false(next(&p, &c, &note));
    p.probe.fail_at = 0;
    peer_free(&p);
}

/* ---- options that only are kept ---------------------------------------------------------------- */

static void test_freebind_takes_a_foreign_address(void **state)
{
    struct peer p;
    weir_sock sock;
    struct weir_endpoint foreign = {weir_addr_v4(0x0a630001), 80};
    (void)state;
    peer_init(&p);
    assert_int_equal(weir_sock_open(p.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &sock), 0);
    assert_int_equal(weir_sock_bind(p.stack, sock, &foreign), WEIR_EADDRNOTAVAIL);
    assert_int_equal(set(&p, sock, WEIR_SOL_IP, WEIR_IP_FREEBIND, 1), 0);
    assert_int_equal(weir_sock_bind(p.stack, sock, &foreign), 0);
    peer_free(&p);
}

static void test_mark_and_inq_are_kept(void **state)
{
    struct peer p;
    weir_sock sock;
    int value = 0;
    size_t len = sizeof value;
    (void)state;
    peer_init(&p);
    assert_int_equal(weir_sock_open(p.stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &sock), 0);
    assert_int_equal(set(&p, sock, WEIR_SOL_SOCKET, WEIR_SO_MARK, 666), 0);
    assert_int_equal(
        weir_sock_getsockopt(p.stack, sock, WEIR_SOL_SOCKET, WEIR_SO_MARK, &value, &len, p.now), 0);
    assert_int_equal(value, 666);
    assert_int_equal(set(&p, sock, WEIR_SOL_TCP, WEIR_TCP_INQ, 2), WEIR_EINVAL);
    assert_int_equal(set(&p, sock, WEIR_SOL_TCP, WEIR_TCP_INQ, 1), 0);
    assert_int_equal(
        weir_sock_getsockopt(p.stack, sock, WEIR_SOL_TCP, WEIR_TCP_INQ, &value, &len, p.now), 0);
    assert_int_equal(value, 1);
    peer_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zerocopy_send_is_noted_as_copied),
        cmocka_unit_test(test_zerocopy_notes_in_order_make_one_range),
        cmocka_unit_test(test_zerocopy_note_touches_the_socket),
        cmocka_unit_test(test_zerocopy_needs_option_flag_data_and_success),
        cmocka_unit_test(test_stamps_of_a_send_in_the_order_of_its_life),
        cmocka_unit_test(test_stamp_of_sending_waits_for_the_window),
        cmocka_unit_test(test_stamp_of_a_retransmission_is_not_told),
        cmocka_unit_test(test_stamp_without_reporting_has_no_time),
        cmocka_unit_test(test_stamping_flags_are_judged),
        cmocka_unit_test(test_stamp_keys_begin_where_the_option_says),
        cmocka_unit_test(test_unread_notes_are_bounded_and_freed_with_the_socket),
        cmocka_unit_test(test_note_that_cannot_be_kept_is_lost),
        cmocka_unit_test(test_freebind_takes_a_foreign_address),
        cmocka_unit_test(test_mark_and_inq_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
