/* SPDX-License-Identifier: MIT */
/*
 * Frames whose data was read straight into the receive ring. The measure is the same conversation with frames in one
 * piece: the program reads the same bytes, and the same segments come back, whatever comes in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/core.h"
#include "unit/tcp_peer.h"

enum { LONGEST = 40000, CONNS = 2 };

struct talk {
    struct peer p;
    struct conn c[CONNS];
    uint64_t read_sum, read_bytes;
};

static uint8_t pattern[LONGEST * 2];

static void talk_init(struct talk *t, bool room)
{
    struct w_tcpopt opt = {.has_mss = true,
                           .mss = 1000,
                           .sack_permitted = true,
                           .has_ts = true,
                           .ts_val = 1,
                           .has_wscale = true,
                           .wscale = 7};

    memset(t, 0, sizeof *t);
    peer_init(&t->p);
    peer_listen(&t->p, 80, 5);
    for (unsigned i = 0; i < CONNS; i++)
        t->c[i] = peer_open_with(&t->p, 80, &opt);
    t->p.gso = 1000;
    t->p.room = room;
}

static void talk_read(struct talk *t, unsigned i, size_t most)
{
    static uint8_t buf[LONGEST];
    ptrdiff_t n = conn_read(&t->p, &t->c[i], buf, most);

    for (ptrdiff_t k = 0; k < n; k++)
        t->read_sum = t->read_sum * 31 + buf[k];
    t->read_bytes += n > 0 ? (uint64_t)n : 0;
}

/* One step of a conversation, told by random numbers: mostly the next data of the first connection. */
static void talk_step(struct talk *t, uint64_t *rnd)
{
    unsigned what = test_below(rnd, 32), i = what % 8 == 7;
    size_t len = 1 + test_below(rnd, LONGEST);
    struct conn *c = &t->c[i];
    const uint8_t *data = pattern + test_below(rnd, LONGEST);
    uint32_t back = test_below(rnd, 3000);

    c->ts_val += test_below(rnd, 2);
    switch (what) {
    case 0: /* a hole before it */
        conn_at(&t->p, c, W_TCP_ACK, c->snd + back, c->rcv, data, len);
        break;
    case 1: /* some of it is old */
        conn_at(&t->p, c, W_TCP_ACK, c->snd - back, c->rcv, data, len);
        break;
    case 2: /* urgent: the pointer is 0, so there is none */
        conn_data(&t->p, c, W_TCP_ACK | W_TCP_URG, data, len);
        break;
    case 3: /* a header of another length */
        c->ts = !c->ts;
        conn_data(&t->p, c, W_TCP_ACK, data, len);
        c->ts = !c->ts;
        break;
    case 4: /* nothing in it */
        conn_at(&t->p, c, W_TCP_ACK, c->snd, c->rcv, NULL, 0);
        break;
    case 5: /* nobody's */
        c->ours++;
        conn_at(&t->p, c, W_TCP_ACK, c->snd, c->rcv, data, len);
        c->ours--;
        break;
    case 6: /* as a reset it is no good, for it is beyond the window */
        conn_at(&t->p, c, W_TCP_ACK | W_TCP_RST, c->snd - back, c->rcv, data, len);
        break;
    case 8: /* time passes */
        peer_run(&t->p, (weir_time)test_below(rnd, 60) * WEIR_MS);
        break;
    default:
        conn_data(&t->p, c, W_TCP_ACK | (what & 1 ? W_TCP_PSH : 0), data, len);
        if (what > 12)
            talk_read(t, i, LONGEST);
        break;
    }
    if (t->p.n > 0) /* what was cut off at the window's edge comes again */
        for (unsigned k = 0; k < t->p.n; k++)
            for (unsigned m = 0; m < CONNS; m++)
                if (t->p.log[k].th.dst_port == t->c[m].theirs)
                    t->c[m].snd = t->p.log[k].th.ack;
}

static void assert_same_answers(const struct talk *a, const struct talk *b)
{
    assert_int_equal(a->p.n, b->p.n);
    for (unsigned i = 0; i < a->p.n; i++) {
        const struct got *x = &a->p.log[i], *y = &b->p.log[i];
        assert_int_equal(x->at, y->at);
        assert_int_equal(x->th.flags, y->th.flags);
        assert_int_equal(x->th.seq, y->th.seq);
        assert_int_equal(x->th.ack, y->th.ack);
        assert_int_equal(x->th.wnd, y->th.wnd);
        assert_int_equal(x->opt.n_sack, y->opt.n_sack);
    }
    assert_int_equal(a->read_bytes, b->read_bytes);
    assert_int_equal(a->read_sum, b->read_sum);
}

static void room_changes_nothing_but_a_copy(void **state)
{
    static struct talk with, without;
    uint64_t read = 0;
    unsigned in_room = 0;

    (void)state;
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 7 >> 2 ^ i >> 9);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t rnd[2] = {seed, seed};
        talk_init(&with, true);
        talk_init(&without, false);
        for (unsigned step = 0; step < 150; step++) {
            talk_step(&with, &rnd[0]);
            talk_step(&without, &rnd[1]);
            assert_same_answers(&with, &without);
            peer_clear(&with.p);
            peer_clear(&without.p);
        }
        read += with.read_bytes;
        in_room += with.p.in_room;
        peer_free(&with.p);
        peer_free(&without.p);
    }
    assert_true(read > 10000000);
    assert_true(in_room > 500);
}

/* The ring is where the program reads: in place, and without the copy that the frame had. */
static void the_next_super_segment_is_read_in_place(void **state)
{
    static struct talk t;
    struct weir_span span[2];
    struct weir_room room;

    (void)state;
    talk_init(&t, true);
    assert_false(weir_input_room(t.p.stack, t.p.ifindex, &room)); /* nothing to guess from */
    conn_data(&t.p, &t.c[0], W_TCP_ACK, pattern, 20000);
    assert_int_equal(t.p.in_room, 0);
    assert_true(weir_input_room(t.p.stack, t.p.ifindex, &room));
    assert_int_equal(room.head_len, 20 + W_TCP_HLEN + 12);
    conn_data(&t.p, &t.c[0], W_TCP_ACK, pattern + 20000, 20000);
    assert_int_equal(t.p.in_room, 1);
    assert_int_equal(weir_sock_peek(t.p.stack, t.c[0].sock, span, t.p.now), 40000);
    assert_int_equal(span[0].len, 40000);
    assert_ptr_equal(span[0].ptr + 20000, room.data);
    assert_memory_equal(span[0].ptr, pattern, 40000);
    peer_free(&t.p);
}

/* Room that is not used is not held; a connection that goes leaves none behind. */
static void unused_room_goes_back(void **state)
{
    static struct talk t;
    struct weir_room room;
    size_t before;

    (void)state;
    talk_init(&t, true);
    conn_data(&t.p, &t.c[0], W_TCP_ACK, pattern, 20000);
    talk_read(&t, 0, LONGEST);
    wr_alloc_trim(t.p.stack);
    before = weir_mem_bytes(t.p.stack);
    assert_true(weir_input_room(t.p.stack, t.p.ifindex, &room));
    assert_true(weir_mem_bytes(t.p.stack) >= before + room.len);
    weir_input_room_unused(t.p.stack);
    wr_alloc_trim(t.p.stack); /* the stack may keep the block for the next who asks */
    assert_int_equal(weir_mem_bytes(t.p.stack), before);
    assert_int_equal(weir_sock_abort(t.p.stack, t.c[0].sock, t.p.now), 0);
    assert_int_equal(weir_sock_close(t.p.stack, t.c[0].sock, t.p.now), 0);
    peer_drain(&t.p);
    assert_false(weir_input_room(t.p.stack, t.p.ifindex, &room));
    weir_input_room_unused(t.p.stack);
    peer_free(&t.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_changes_nothing_but_a_copy),
        cmocka_unit_test(the_next_super_segment_is_read_in_place),
        cmocka_unit_test(unused_room_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
