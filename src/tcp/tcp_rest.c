/* SPDX-License-Identifier: MIT */
/*
 * Connections at rest: most connections of a large server are open and say nothing for minutes. One that has
 * said nothing for weir.tcp_rest_after_ms is kept as its own image, packed, and is made again, each field as it
 * was, when a segment, its user or keepalive wants something of it. So rest is seen by nobody but by who counts
 * memory, and no other file of TCP knows of it: they all see a struct tcb.
 *
 *     struct tcb | wr_tx | wr_rx           (what of the three there is, one behind the other)
 *
 * Nearly all of an image is zeros, small numbers, and the same few numbers over and over: SND.UNA stands in it
 * a dozen times, so do times. It is packed in units of 32 bits, each a code of four bits and what follows it:
 *
 *     0          a run of zero units; 4 bits: how many, less two
 *     1          a zero unit
 *     2 to 5     a number of 1, 2, 4 or 8 times four bits
 *     6 to 12    one of the numbers known: of the last 23 that took more than four bits, the first seven
 *     13         one of the others; 4 bits: which
 *     14         a usual number; 4 bits: which
 *     15         a number close to a known one; 4 bits: which of the first 16; 8 bits: 128 and the difference
 *
 * A number that comes again moves to the front of those known.
 *
 * What an image cannot hold is taken out before and put back after: lists and the timer, which others point
 * into (a connection at rest is in no list, and its only deadline is keepalive's); the path, which is found
 * anew; buffers, of which there are none. The state of a fast open stays where it is, and the image has its
 * address.
 *
 * A hand goes round over the pool of connections, a bounded number at a time, and puts to rest what it finds
 * quiet; so segments pay nothing for it. It stops when no connection is awake. One that keepalive has woken, its own
 * or its peer's, dozes: it is put to rest again as soon as the probe has been answered, for else a million that
 * are probed every 30 s would keep 200,000 of them awake. One that hears more often than each second is left to
 * the hand.
 *
 * An attacker who knows the 4-tuples can wake connections, as one could keep them awake all the time: what that
 * costs is bounded by the number of connections, as it was before they rested.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_sender.h"

#include <string.h>

enum {
    SCAN_SLOTS = 1024, /* connections looked at in one go */
    SCAN_RESTS = 128,  /* of them, those put to rest */
    RUN_MAX = 17,      /* zero units */
    NEAR = 7,          /* numbers known by a code of their own */
    KNOWN = NEAR + 16  /* all numbers known */
};

static const weir_time DOZE_EVERY = WEIR_SEC; /* a connection dozes at most so often */

/* A connection between its two forms. */
struct image {
    struct tcb tcb;
    struct wr_tx tx; /* if struct wr_rest.tx_words, with so many */
    struct wr_rx rx; /* if struct wr_rest.has_rx */
};
static_assert(sizeof(struct tcb) % sizeof(uint32_t) == 0 &&
                  offsetof(struct wr_tx, cc.priv) % sizeof(uint32_t) == 0 &&
                  sizeof(struct wr_rx) % sizeof(uint32_t) == 0,
              "images are packed in units");
static_assert(WEIR_CC_PRIVATE_WORDS < UINT8_MAX, "struct wr_rest.tx_words holds them");

/* ---- packing ---------------------------------------------------------------------------------------- */

enum {
    CODE_RUN,
    CODE_ZERO,
    CODE_NUMBER,
    CODE_NEAR = 6,
    CODE_FAR = CODE_NEAR + NEAR,
    CODE_USUAL,
    CODE_STEP
};
static_assert(CODE_STEP == 15, "a code has four bits");

/* Defaults and what follows from them on a path of 1500 bytes: they shorten an image, and are no part of its meaning. */
static const uint32_t usual[16] = {
    536,
    1448,
    1460,
    1460 << 16 | 1460, /* segments */
    1500,
    1076,
    10 * 1448, /* path, first probe of it, first window */
    16384,
    22 * 1448, /* send buffer */
    131072,
    196608,
    65536,
    64512,
    64240, /* receive buffer and windows */
    40 * 1000 * 1000,
    200 * 1000 * 1000, /* ACK and RTO, at least */
};

enum {
    IMAGE_MAX = sizeof(struct image) / sizeof(uint32_t) * 5
}; /* a unit takes 9 * 4 bits at most */

/* Writes or reads; four bits at a time, the lower half of a byte first. */
struct packer {
    uint8_t *buf;
    size_t nibbles;        /* so far */
    uint32_t known[KNOWN]; /* the last first */
};

static void begin(struct packer *p, uint8_t *buf)
{
    *p = (struct packer){.buf = buf, .known = {UINT32_MAX, INT32_MAX}}; /* halves of NEVER */
}

/* Brings the number at place i to the front, as `number`. */
static void remember(struct packer *p, unsigned i, uint32_t number)
{
    memmove(&p->known[1], &p->known[0], i * sizeof p->known[0]);
    p->known[0] = number;
}

static void put(struct packer *p, unsigned nibble)
{
    if (p->nibbles % 2 == 0)
        p->buf[p->nibbles / 2] = (uint8_t)nibble;
    else
        p->buf[p->nibbles / 2] |= (uint8_t)(nibble << 4);
    p->nibbles++;
}

static unsigned get(struct packer *p)
{
    unsigned byte = p->buf[p->nibbles / 2];
    return p->nibbles++ % 2 == 0 ? byte & 15 : byte >> 4;
}

/* The place of a number in a table; n: it is not there. */
static unsigned place_in(const uint32_t *table, unsigned n, uint32_t number)
{
    unsigned i = 0;

    while (i < n && table[i] != number)
        i++;
    return i;
}

/* The place of a known number that is at most 128 away; 16: none. */
static unsigned place_near(const struct packer *p, uint32_t number)
{
    unsigned i = 0;

    while (i < 16 && number - p->known[i] + 128 > 255)
        i++;
    return i;
}

static void put_new(struct packer *p, uint32_t number)
{
    unsigned width = number >> 16 ? 3 : number >> 8 ? 2 : number >> 4 ? 1 : 0;
    unsigned i = width == 3 ? place_near(p, number) : 16;

    if (i < 16) {
        uint32_t step = number - p->known[i] + 128;
        put(p, CODE_STEP);
        put(p, i);
        put(p, step & 15);
        put(p, step >> 4);
    } else {
        put(p, CODE_NUMBER + width);
        for (unsigned n = 0; n < 1u << width; n++)
            put(p, number >> 4 * n & 15);
    }
    if (width > 0)
        remember(p, KNOWN - 1, number);
}

static void put_number(struct packer *p, uint32_t number)
{
    unsigned i = place_in(p->known, KNOWN, number);

    if (i < KNOWN) {
        put(p, i < NEAR ? CODE_NEAR + i : CODE_FAR);
        if (i >= NEAR)
            put(p, i - NEAR);
        remember(p, i, number);
        return;
    }
    i = place_in(usual, 16, number);
    if (i == 16) {
        put_new(p, number);
        return;
    }
    put(p, CODE_USUAL);
    put(p, i);
    remember(p, KNOWN - 1, number);
}

static uint32_t get_known(struct packer *p, unsigned code)
{
    unsigned i = code == CODE_FAR ? NEAR + get(p) : code - CODE_NEAR;
    uint32_t number = p->known[i];

    remember(p, i, number);
    return number;
}

static uint32_t get_step(struct packer *p)
{
    uint32_t from = p->known[get(p)];
    uint32_t step = get(p);

    step |= get(p) << 4;
    return from + step - 128;
}

static uint32_t get_number(struct packer *p, unsigned code)
{
    uint32_t number = 0;

    if (code >= CODE_NEAR && code <= CODE_FAR)
        return get_known(p, code);
    if (code == CODE_USUAL)
        number = usual[get(p)];
    else if (code == CODE_STEP)
        number = get_step(p);
    for (unsigned n = 0; code < CODE_NEAR && n < 1u << (code - CODE_NUMBER); n++)
        number |= get(p) << 4 * n;
    if (code > CODE_NUMBER)
        remember(p, KNOWN - 1, number);
    return number;
}

static uint32_t unit_at(const void *object, size_t i)
{
    uint32_t unit;

    memcpy(&unit, (const uint8_t *)object + i * sizeof unit, sizeof unit);
    return unit;
}

static void pack(struct packer *p, const void *object, size_t size)
{
    size_t n = size / sizeof(uint32_t);

    for (size_t i = 0; i < n;) {
        unsigned run = 0;
        while (run < RUN_MAX && i + run < n && unit_at(object, i + run) == 0)
            run++;
        if (run == 0) {
            put_number(p, unit_at(object, i++));
            continue;
        }
        put(p, run == 1 ? CODE_ZERO : CODE_RUN);
        if (run > 1)
            put(p, run - 2);
        i += run;
    }
}

static void unpack(struct packer *p, void *object, size_t size)
{
    size_t n = size / sizeof(uint32_t);

    memset(object, 0, size);
    for (size_t i = 0; i < n;) {
        unsigned code = get(p);
        uint32_t unit;
        if (code <= CODE_ZERO) {
            i += code == CODE_ZERO ? 1 : get(p) + 2;
            continue;
        }
        unit = get_number(p, code);
        memcpy((uint8_t *)object + i++ * sizeof unit, &unit, sizeof unit);
    }
}

static size_t head_size(bool v4)
{
    return offsetof(struct wr_rest, addrs) + (v4 ? WR_ADDRS_V4 : WR_ADDRS_V6);
}

static uint8_t *image_of(struct wr_rest *rest)
{
    return (uint8_t *)rest + head_size(rest->flow.v4);
}

/* Packs to `out`, which has room for IMAGE_MAX. Returns the bytes that it takes. */
static size_t pack_image(const struct tcb *tcb, const struct image *image, uint8_t *out)
{
    struct packer p;

    begin(&p, out);
    pack(&p, &image->tcb, sizeof image->tcb);
    if (tcb->tx != NULL)
        pack(&p, &image->tx, wr_tx_size(tcb->tx->cc_words));
    if (tcb->rx != NULL)
        pack(&p, &image->rx, sizeof image->rx);
    return (p.nibbles + 1) / 2;
}

static void unpack_image(struct wr_rest *rest, struct image *image)
{
    struct packer p;

    begin(&p, image_of(rest));
    unpack(&p, &image->tcb, sizeof image->tcb);
    if (rest->tx_words != 0)
        unpack(&p, &image->tx, wr_tx_size(rest->tx_words));
    image->tx.cc_words = rest->tx_words;
    if (rest->has_rx)
        unpack(&p, &image->rx, sizeof image->rx);
}

/* ---- to rest ------------------------------------------------------------------------------------------ */

static bool sender_is_idle(const struct wr_tx *tx)
{
    return tx == NULL ||
           (tx->q.count == 0 && !wr_list_is_linked(&tx->mem_wait) && tx->ca_state == WEIR_CA_OPEN &&
            !tx->pace.waiting && tx->mtup.probe == 0 && tx->chrono.type == WR_CHRONO_IDLE);
}

/* Open, and nothing is to be sent, received, awaited or told. */
static bool is_idle(const struct weir_stack *stack, const struct tcb *tcb)
{
    return tcb->state == WEIR_TCP_ESTABLISHED && tcb->ready != NULL && !tcb->in_accept &&
           wr_tcp_ready(stack, tcb) == WEIR_POLLOUT && tcb->soft_error == 0 && !tcb->stamping &&
           tcb->urg_state != WR_URG_NOTYET && tcb->want == 0 && tcb->out_list == WR_OUT_IDLE &&
           !wr_tcb_in_flight(tcb) && tcb->snd_ring.buf == NULL && tcb->rcv_ring.buf == NULL &&
           !tcb->fin_seen && tcb->delack.pending == 0 && tcb->probes == 0 &&
           tcb->rto_at == WEIR_TIME_NEVER && tcb->delack_at == WEIR_TIME_NEVER &&
           sender_is_idle(tcb->tx) && (tcb->fo == NULL || !wr_list_is_linked(&tcb->fo->queue));
}

/* The connection without what an image cannot hold. */
static void take_image(struct image *image, const struct tcb *tcb)
{
    const struct wr_list nowhere = {NULL, NULL};
    struct tcb *copy = &image->tcb;

    *copy = *tcb;
    memset(&copy->node, 0, sizeof copy->node);
    memset(&copy->flow, 0, sizeof copy->flow);
    memset(&copy->tuple, 0, sizeof copy->tuple);
    memset(&copy->timer, 0, sizeof copy->timer);
    memset(&copy->path, 0, sizeof copy->path);
    copy->out = copy->accept = nowhere;
    copy->keep_at = 0;
    copy->ready = NULL;
    copy->ofo = NULL;
    copy->tx = NULL;
    copy->rx = NULL;
    if (tcb->tx != NULL) {
        memcpy(&image->tx, tcb->tx, wr_tx_size(tcb->tx->cc_words));
        image->tx.mem_wait = nowhere;
        image->tx.mem_tcb = NULL;
        image->tx.cc_words = 0; /* the record has it */
        image->tx.push.marks = NULL;
        image->tx.rate.pick = (struct wr_rate_pick){0};
        image->tx.q.by_seq = image->tx.q.lost = image->tx.q.flying = nowhere;
    }
    if (tcb->rx != NULL)
        image->rx = *tcb->rx;
}

static void arm_wake(struct weir_stack *stack)
{
    const struct wr_dues *dues = &stack->tcp->rest_dues;
    const struct wr_record *first = wr_dues_first(dues);

    wr_timer_arm(stack, &stack->tcp->wake_timer,
                 first != NULL ? wr_dues_at(dues, first) : WEIR_TIME_NEVER);
}

static void free_rest(struct weir_stack *stack, struct wr_rest *rest)
{
    if (rest->due != WR_RECORD_NONE) {
        wr_dues_remove(&stack->tcp->rest_dues, &rest->record);
        arm_wake(stack);
    }
    wr_records_remove(&stack->tcp->records, &rest->record);
}

/* The record that the connection becomes, beside it in the tables. NULL: out of memory. */
static struct wr_rest *make_rest(struct weir_stack *stack, const struct tcb *tcb)
{
    uint8_t packed[IMAGE_MAX];
    struct image image;
    struct wr_rest *rest;
    size_t size, head = head_size(tcb->flow.v4);
    uint32_t number;

    take_image(&image, tcb);
    size = pack_image(tcb, &image, packed);
    rest = wr_demux_add(stack, WR_FLOW_REST, (head + size + 7) & ~(size_t)7, &tcb->tuple,
                        tcb->node.hash, &number);
    if (rest == NULL)
        return NULL;
    rest->ready = tcb->ready;
    rest->due = WR_RECORD_NONE;
    rest->tx_words = tcb->tx != NULL ? (uint8_t)tcb->tx->cc_words : 0;
    rest->has_rx = tcb->rx != NULL;
    memcpy(image_of(rest), packed, size);
    if (tcb->keep_at != WEIR_TIME_NEVER) {
        if (!wr_dues_add(&stack->tcp->rest_dues, number, tcb->keep_at)) {
            free_rest(stack, rest);
            return NULL;
        }
        arm_wake(stack);
    }
    return rest;
}

/* False: out of memory. */
static bool put_to_rest(struct weir_stack *stack, struct tcb *tcb)
{
    struct wr_rest *rest;

    wr_ack_take_along(tcb); /* equal numbers pack well */
    rest = make_rest(stack, tcb);
    if (rest == NULL)
        return false;
    wr_demux_remove(stack, tcb);
    rest->ready->flow = &rest->flow;
    wr_timer_cancel(stack, &tcb->timer);
    tcb->fo = NULL; /* the image leads to it now */
    wr_tcb_free(stack, tcb);
    return true;
}

/* Since when no data has moved. Bare ACKs, as those that keepalive brings, are no reason to stay awake. */
static weir_time quiet_since(const struct tcb *tcb)
{
    weir_time at = weir_time_max(tcb->opened_at, tcb->delack.last_at);
    return tcb->tx != NULL ? weir_time_max(at, tcb->tx->last_sent_at) : at;
}

bool wr_rest_again(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    if (now - quiet_since(tcb) < stack->tunables.tcp_rest_after_ms * WEIR_MS) {
        tcb->dozing = false;
        return false;
    }
    return is_idle(stack, tcb) && put_to_rest(stack, tcb);
}

/* Nobody is awake: what was kept for them goes. */
static void trim(struct weir_stack *stack)
{
    wr_sendq_trim(stack);
    wr_ports_trim(stack);
    wr_alloc_trim(stack);
}

void wr_tcp_rest_scan(struct weir_stack *stack, weir_time now)
{
    struct wr_tcp *tcp = stack->tcp;
    weir_time after = stack->tunables.tcp_rest_after_ms * WEIR_MS, round = after / 2, pause;
    uint32_t n_slots = tcp->tcbs.n_slots, n = n_slots < SCAN_SLOTS ? n_slots : SCAN_SLOTS;
    uint32_t looked = 0, rests = 0;

    if (tcp->tcbs.count == 0)
        trim(stack);
    if (after == 0 || tcp->tcbs.count == 0)
        return;
    assert(n_slots > 0);
    for (; looked < n && rests < SCAN_RESTS; looked++) {
        struct tcb *tcb;
        tcp->rest_hand = tcp->rest_hand + 1 < n_slots ? tcp->rest_hand + 1 : 0;
        tcb = wr_pool_at(&tcp->tcbs, tcp->rest_hand);
        if (tcb != NULL && now - quiet_since(tcb) >= after && is_idle(stack, tcb) &&
            put_to_rest(stack, tcb))
            rests++;
    }
    pause = round * looked / n_slots;
    wr_timer_arm(stack, &tcp->rest_timer, now + (pause > WEIR_MS ? pause : WEIR_MS));
}

void wr_rest_watch(struct weir_stack *stack, weir_time now)
{
    weir_time after = stack->tunables.tcp_rest_after_ms * WEIR_MS;

    if (after != 0 && !wr_timer_is_armed(&stack->tcp->rest_timer))
        wr_timer_arm(stack, &stack->tcp->rest_timer, now + after);
}

/* ---- and back ----------------------------------------------------------------------------------------- */

static void put_back(struct tcb *tcb, const struct image *image, struct wr_tx *tx, struct wr_rx *rx)
{
    *tcb = image->tcb;
    wr_list_init(&tcb->out);
    wr_list_init(&tcb->accept);
    wr_timer_init(&tcb->timer, WR_TIMER_TCP);
    tcb->tx = tx;
    tcb->rx = rx;
    if (tx != NULL) {
        memcpy(tx, &image->tx, wr_tx_size(image->tx.cc_words));
        wr_list_init(&tx->mem_wait);
        wr_list_init(&tx->q.by_seq);
        wr_list_init(&tx->q.lost);
        wr_list_init(&tx->q.flying);
    }
    if (rx != NULL)
        *rx = image->rx;
}

struct tcb *wr_rest_wake(struct weir_stack *stack, struct wr_rest *rest)
{
    struct image image;
    struct wr_tx *tx = NULL;
    struct wr_rx *rx = NULL;
    struct wr_tuple tuple = wr_flow_tuple(&rest->flow);
    struct tcb *tcb;
    void *obj;

    unpack_image(rest, &image);
    image.tcb.keep_at = wr_rest_keep_at(stack, rest);
    if (wr_pool_alloc(&stack->tcp->tcbs, &obj) == 0)
        return NULL;
    tcb = obj;
    if (rest->tx_words != 0 && (tx = wr_alloc(stack, wr_tx_size(rest->tx_words))) == NULL)
        goto no_tx;
    if (rest->has_rx && (rx = wr_rcvbuf_new(stack)) == NULL)
        goto no_rx;
    put_back(tcb, &image, tx, rx);
    if (!wr_demux_insert(stack, tcb, &tuple, wr_demux_hash(stack, &tuple)))
        goto no_place;
    wr_tcb_tie(tcb, rest->ready);
    free_rest(stack, rest);
    wr_timers_update(stack, tcb);
    wr_rest_watch(stack, stack->now);
    tcb->dozing = stack->now - weir_time_max(tcb->last_ack_at, tcb->oow_ack_at) >= DOZE_EVERY;
    return tcb;
no_place:
    wr_rcvbuf_free(stack, tcb);
no_rx:
    wr_free(stack, tx, wr_tx_size(rest->tx_words));
no_tx:
    wr_pool_free(&stack->tcp->tcbs, tcb);
    return NULL;
}

void wr_tcp_rest_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now)
{
    const struct wr_dues *dues = &stack->tcp->rest_dues;
    struct wr_record *first;

    while ((first = wr_dues_first(dues)) != NULL && wr_dues_at(dues, first) <= now &&
           wr_work(stack)) {
        struct wr_rest *rest = WR_CONTAINER(first, struct wr_rest, record);
        if (wr_rest_wake(stack, rest) == NULL) { /* else its own timer is due: keep_at is */
            wr_drop(stack, WR_DROP_no_memory);
            wr_timer_arm(stack, timer, now + WEIR_SEC);
            return;
        }
    }
    arm_wake(stack);
}

weir_time wr_rest_keep_at(const struct weir_stack *stack, const struct wr_rest *rest)
{
    return wr_dues_at(&stack->tcp->rest_dues, &rest->record);
}

/* ---- for sockets ---------------------------------------------------------------------------------------- */

struct tcb *wr_tcp_conn(const struct wr_ready *ready)
{
    struct wr_flow *flow = ready->flow;

    return flow == NULL || flow->kind == WR_FLOW_REST ? NULL : WR_CONTAINER(flow, struct tcb, flow);
}

struct tcb *wr_tcp_wake(struct weir_stack *stack, struct wr_ready *ready)
{
    struct wr_flow *flow = ready->flow;
    struct tcb *tcb;

    if (flow == NULL || flow->kind != WR_FLOW_REST)
        tcb = wr_tcp_conn(ready);
    else
        tcb = wr_rest_wake(stack, WR_CONTAINER(flow, struct wr_rest, flow));
    if (tcb != NULL)
        tcb->dozing = false; /* its user wants something of it */
    return tcb;
}

void wr_tcp_drop_at_rest(struct weir_stack *stack, struct wr_ready *ready)
{
    struct wr_rest *rest = WR_CONTAINER(ready->flow, struct wr_rest, flow);
    struct image image;

    unpack_image(rest, &image);
    wr_fastopen_free(stack, &image.tcb);
    wr_port_release(stack, rest->flow.lport, image.tcb.port_reuse);
    ready->flow = NULL;
    free_rest(stack, rest);
}
