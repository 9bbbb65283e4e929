/* SPDX-License-Identifier: MIT */
/* The queue of what was sent, against a plain model of one byte each; sequence numbers wrap. */
#include "unit/probe.h"

#include <weir/stack.h>

#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"

static struct weir_stack *make_stack(struct probe *probe)
{
    struct weir_config config;
    memset(probe, 0, sizeof *probe);
    probe->alloc = (struct weir_allocator){probe_alloc, probe_free, probe};
    weir_config_default(&config);
    config.alloc = probe->alloc;
    return weir_stack_new(&config, 0);
}

enum { SPAN = 6000 };

struct model {
    uint32_t base;     /* sequence number of flags[0] */
    uint32_t una, nxt; /* offsets */
    uint8_t flags[SPAN];
};

static void compare(const struct wr_sendq *q, const struct model *m)
{
    uint32_t sacked = 0, lost = 0, rexmit = 0;
    for (uint32_t i = m->una; i < m->nxt; i++) {
        struct wr_sent *sent = wr_sendq_find(q, m->base + i);
        assert_non_null(sent);
        assert_int_equal(sent->flags, m->flags[i]);
        sacked += (m->flags[i] & WR_SENT_SACKED) != 0;
        lost += (m->flags[i] & WR_SENT_LOST) != 0;
        rexmit += (m->flags[i] & WR_SENT_REXMIT) != 0;
    }
    assert_int_equal(q->sacked_bytes, sacked);
    assert_int_equal(q->lost_bytes, lost);
    assert_int_equal(q->rexmit_bytes, rexmit);
    assert_true(wr_sendq_check(q, m->base + m->una, m->base + m->nxt));
}

/* Cuts out the record that is exactly [from, to) and has one fate. */
static struct wr_sent *cut(struct weir_stack *stack, struct wr_sendq *q, uint32_t from, uint32_t to)
{
    struct wr_sent *sent = wr_sendq_find(q, from);
    if (sent->start != from)
        sent = wr_sendq_split(stack, q, sent, from);
    assert_non_null(sent);
    if (seq_gt(sent->end, to))
        assert_non_null(wr_sendq_split(stack, q, sent, to));
    return sent;
}

/* Marks every byte of [from, to) as `how` says, record by record. */
static void mark(struct weir_stack *stack, struct wr_sendq *q, struct model *m, uint32_t from,
                 uint32_t to, unsigned how)
{
    uint32_t at = from;
    while (at < to) {
        struct wr_sent *sent = wr_sendq_find(q, m->base + at);
        uint32_t end = sent->end - m->base;
        bool sacked = (sent->flags & WR_SENT_SACKED) != 0;
        if (end > to)
            end = to;
        if (!sacked && (how != 2 || (sent->flags & WR_SENT_LOST))) {
            sent = cut(stack, q, m->base + at, m->base + end);
            uint8_t ever = sent->flags & WR_SENT_EVER;
            uint8_t flags = how == 0   ? (uint8_t)(ever | WR_SENT_SACKED)
                            : how == 1 ? (uint8_t)(ever | WR_SENT_LOST)
                                       : WR_SENT_LOST | WR_SENT_REXMIT | WR_SENT_EVER;
            memset(m->flags + at, flags, end - at);
            if (how == 0)
                wr_sendq_mark_sacked(stack, q, sent);
            else if (how == 1)
                wr_sendq_mark_lost(q, sent);
            else
                wr_sendq_mark_rexmit(q, sent, 100, 7);
        }
        at = end;
    }
    /* SACKed neighbours are one record, whose EVER is that of any part: the model follows. */
    for (uint32_t i = m->una; i < m->nxt; i++) {
        if (m->flags[i] & WR_SENT_SACKED)
            m->flags[i] = wr_sendq_find(q, m->base + i)->flags;
    }
}

static void random_marks(void **arg)
{
    struct probe probe;
    struct weir_stack *stack = make_stack(&probe);
    struct wr_rng rng;
    static struct model m;
    (void)arg;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct wr_sendq q;
        weir_time now = 1;
        wr_sendq_init(&q);
        wr_rng_init_u64(&rng, seed);
        memset(&m, 0, sizeof m);
        m.base = 0xffffffffu - wr_rng_below(&rng, SPAN); /* wraps on the way */
        while (m.nxt < SPAN - 200 || m.una < m.nxt) {
            unsigned what = wr_rng_below(&rng, 10);
            if (what < 4 && m.nxt < SPAN - 200) {
                uint32_t len = 1 + wr_rng_below(&rng, 200);
                now += wr_rng_below(&rng, 2); /* some bursts join */
                assert_true(
                    wr_sendq_append(stack, &q, m.base + m.nxt, m.base + m.nxt + len, 100, now));
                m.nxt += len;
            } else if (what < 5) {
                struct wr_acked acked = {0};
                struct wr_delivery d = {.sent_at = -1};
                uint32_t ack = m.una + wr_rng_below(&rng, m.nxt - m.una + 1), fresh = 0;
                for (uint32_t i = m.una; i < ack; i++)
                    fresh += !(m.flags[i] & WR_SENT_SACKED);
                wr_sendq_ack(stack, &q, m.base + ack, &acked, &d);
                assert_int_equal(acked.bytes, ack - m.una);
                assert_int_equal(acked.fresh_bytes, fresh);
                assert_int_equal(d.bytes, fresh);
                m.una = ack;
            } else if (m.nxt > m.una) {
                uint32_t from = m.una + wr_rng_below(&rng, m.nxt - m.una);
                uint32_t to = from + 1 + wr_rng_below(&rng, m.nxt - from);
                mark(stack, &q, &m, from, to, what % 3);
            }
            compare(&q, &m);
        }
        assert_int_equal(q.count, 0);
        wr_sendq_clear(stack, &q);
    }
    weir_stack_free(stack);
    assert_int_equal(probe.live_bytes, 0);
}

/* Without memory for a record new data joins the last one; without any there is no sending. */
static void out_of_memory(void **arg)
{
    struct probe probe;
    struct weir_stack *stack = make_stack(&probe);
    struct wr_sendq q;
    struct wr_acked acked = {0};
    (void)arg;
    wr_sendq_init(&q);
    probe.fail_at = probe.calls + 1;
    assert_false(wr_sendq_append(stack, &q, 0, 100, 100, 1));
    probe.fail_at = 0;
    assert_true(wr_sendq_append(stack, &q, 0, 100, 100, 1));
    probe.fail_at = probe.calls + 1;
    assert_true(wr_sendq_append(stack, &q, 100, 200, 100, 2));
    assert_null(wr_sendq_split(stack, &q, wr_sendq_first(&q), 50));
    assert_int_equal(q.count, 1);
    assert_true(wr_sendq_check(&q, 0, 200));
    wr_sendq_ack(stack, &q, 150, &acked, &(struct wr_delivery){.sent_at = -1});
    assert_int_equal(acked.first_sent, -1); /* no RTT from what was merged */
    probe.fail_at = 0;
    wr_sendq_clear(stack, &q);
    weir_stack_free(stack);
}

/* The number of records is bounded, whatever is sent. */
static void bounded(void **arg)
{
    struct probe probe;
    struct weir_stack *stack = make_stack(&probe);
    struct wr_sendq q;
    (void)arg;
    wr_sendq_init(&q);
    for (uint32_t i = 0; i < 2 * WR_TCP_MAX_SENT; i++)
        assert_true(wr_sendq_append(stack, &q, i, i + 1, 100, i));
    assert_int_equal(q.count, WR_TCP_MAX_SENT);
    assert_null(wr_sendq_split(stack, &q, wr_sendq_find(&q, 2 * WR_TCP_MAX_SENT - 1),
                               2 * WR_TCP_MAX_SENT - 1));
    wr_sendq_clear(stack, &q);
    weir_stack_free(stack);
}

/* The records of `flying`, lowest bytes first sent first, as one number: 0x312 is 3, then 1, then 2. */
static unsigned flying(const struct wr_sendq *q)
{
    unsigned seen = 0;
    WR_LIST_FOREACH(node, &q->flying)
    {
        const struct wr_sent *sent = WR_CONTAINER(node, struct wr_sent, turn);
        seen = seen << 4 | (sent->start / 100 + 1);
    }
    return seen;
}

static unsigned waiting(const struct wr_sendq *q)
{
    unsigned seen = 0;
    WR_LIST_FOREACH(node, &q->lost)
    {
        const struct wr_sent *sent = WR_CONTAINER(node, struct wr_sent, turn);
        seen = seen << 4 | (sent->start / 100 + 1);
    }
    return seen;
}

/* RFC 8985 6.1: the order of transmission, whatever becomes of a record; what waits is in the order of the
 * stream. */
static void order_of_transmission_8985_02(void **arg)
{
    struct probe probe;
    struct weir_stack *stack = make_stack(&probe);
    struct wr_sendq q;
    struct wr_sent *r[6];
    (void)arg;
    wr_sendq_init(&q);
    for (uint32_t i = 0; i < 6; i++) {
        assert_true(wr_sendq_append(stack, &q, i * 100, i * 100 + 100, 100, 10 + i));
        r[i] = wr_sendq_find(&q, i * 100);
    }
    assert_int_equal(flying(&q), 0x123456);
    wr_sendq_mark_lost(&q, r[3]);
    wr_sendq_mark_lost(&q, r[0]);
    wr_sendq_mark_lost(&q, r[2]);
    assert_int_equal(waiting(&q), 0x134);
    assert_ptr_equal(wr_sendq_lost(&q), r[0]);
    assert_int_equal(flying(&q), 0x256);
    wr_sendq_mark_rexmit(&q, r[0], 100, 20);
    wr_sendq_mark_probe(&q, r[5], 100, 21);
    assert_int_equal(flying(&q), 0x2516);
    assert_int_equal(r[5]->flags, WR_SENT_REXMIT | WR_SENT_EVER);
    assert_int_equal(q.rexmit_segs, 2);
    assert_int_equal(q.lost_segs, 3);
    wr_sendq_mark_lost(&q, r[0]); /* the retransmission too: it goes first again */
    assert_int_equal(waiting(&q), 0x134);
    wr_sendq_unmark_lost(&q); /* nothing was lost: each is where it was */
    assert_int_equal(waiting(&q), 0);
    assert_int_equal(flying(&q), 0x234516);
    assert_true(wr_sendq_check(&q, 0, 600));
    wr_sendq_clear(stack, &q);
    weir_stack_free(stack);
}

/* Of two that left in one tick of the clock the later one is known; a burst has one place. */
static void one_tick(void **arg)
{
    struct probe probe;
    struct weir_stack *stack = make_stack(&probe);
    struct wr_sendq q;
    (void)arg;
    wr_sendq_init(&q);
    assert_true(wr_sendq_append(stack, &q, 0, 100, 100, 5));
    assert_true(wr_sendq_append(stack, &q, 100, 200, 100, 5));
    assert_int_equal(q.count, 1);
    assert_int_equal(q.segs, 2);
    assert_true(wr_sendq_append(stack, &q, 200, 250, 100, 5)); /* a short one ends the record */
    assert_true(wr_sendq_append(stack, &q, 250, 350, 100, 5));
    assert_int_equal(q.count, 2);
    assert_int_equal(q.segs, 4);
    struct wr_sent *burst = wr_sendq_find(&q, 0), *next = wr_sendq_find(&q, 250);
    assert_true(wr_sent_after(next->order, next->end, burst->order, burst->end));
    struct wr_sent *half = wr_sendq_split(stack, &q, burst, 100);
    assert_int_equal(half->order, burst->order);
    assert_true(wr_sent_after(half->order, half->end, burst->order, burst->end));
    wr_sendq_mark_lost(&q, burst);
    wr_sendq_mark_rexmit(&q, burst, 100, 5);
    assert_true(wr_sent_after(burst->order, burst->end, next->order, next->end));
    assert_true(wr_sendq_append(stack, &q, 350, 450, 100, 5)); /* behind the retransmission */
    assert_int_equal(q.count, 4);
    wr_sendq_clear(stack, &q);
    weir_stack_free(stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_marks), cmocka_unit_test(out_of_memory),
        cmocka_unit_test(bounded),      cmocka_unit_test(order_of_transmission_8985_02),
        cmocka_unit_test(one_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
