/* SPDX-License-Identifier: MIT */
/*
 * Connections at rest: most connections of a large server are open and say nothing for minutes. One that has
 * said nothing for weir.tcp_rest_after_ms is kept as its own image, packed, and is made again, each field as it
 * was, when a segment, its user or keepalive wants something of it. So rest is seen by nobody but by who counts
 * memory, and no other file of TCP knows of it: they all see a struct tcb.
 *
 *     struct tcb | wr_tx                   (if there is one)
 *
 * Most of an image is the same for all connections of a kind: zeros, options, sizes, what follows from defaults. So it is
 * told as what differs from a model, the image of the first of its kind to rest, which is kept until the last of
 * them is awake. What differs is small numbers, and the same few numbers over and over: SND.UNA stands in it a dozen
 * times, so do times. It is packed in units of 32 bits, each a code of four bits and what follows it:
 *
 *     0          a run of units as in the model; 4 bits: how many, less two; 15: 8 bits more, to be added
 *     1          a unit as in the model
 *     2 to 5     a number of 1, 2, 4 or 8 times four bits
 *     6 to 12    one of the numbers known: of the last 23 that took more than four bits, the first seven
 *     13         one of the others; 4 bits: which
 *     14, 15     a number close to a known one; 4 bits: which of the first 16; 16 bits or 8: the difference, more
 *                than 0 by half of what these can hold
 *
 * A number that comes again moves to the front of those known.
 *
 * What an image cannot hold is taken out before and put back after: lists and the timer, which others point
 * into (a connection at rest is in no list, and its only deadline is keepalive's); the path, which is found
 * anew; buffers, of which there are none. The state of a fast open stays where it is, and the image has its
 * address.
 *
 * A hand goes round over the pool of connections, a bounded number at a time, and puts to rest what it finds
 * quiet; so segments pay nothing for it. It stops when no connection is awake. While more than some thousand are
 * awake, which together hold most of the memory of a host, it comes round the sooner, and wants less quiet. One that keepalive has woken, its own
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
    CROWD = 4096,      /* so many may be awake for the whole of tcp_rest_after_ms */
    RUN_MORE = 17,     /* units of a run that take more bits */
    RUN_MAX = RUN_MORE + 255,
    NEAR = 7,         /* numbers known by a code of their own */
    KNOWN = NEAR + 16 /* all numbers known */
};

static const weir_time DOZE_EVERY = WEIR_SEC;       /* a connection dozes at most so often */
static const weir_time LEAST_QUIET = 500 * WEIR_MS; /* even in a crowd */

/* A connection between its two forms. */
struct wr_rest_image {
    struct tcb tcb;
    struct wr_tx tx; /* if struct wr_rest.tx_words, with so many */
};
static_assert(sizeof(struct tcb) % sizeof(uint32_t) == 0 &&
                  offsetof(struct wr_tx, cc.priv) % sizeof(uint32_t) == 0,
              "images are packed in units");
static_assert(WEIR_CC_PRIVATE_WORDS < UINT8_MAX, "struct wr_rest.tx_words holds them");

/* ---- packing ---------------------------------------------------------------------------------------- */

enum {
    CODE_RUN,
    CODE_SAME,
    CODE_NUMBER,
    CODE_NEAR = 6,
    CODE_FAR = CODE_NEAR + NEAR,
    CODE_LEAP,
    CODE_STEP
};
static_assert(CODE_STEP == 15, "a code has four bits");

enum {
    IMAGE_MAX = sizeof(struct wr_rest_image) / sizeof(uint32_t) * 5
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

/* The place of a known number that is less than `half` away, or as much below; 16: none. */
static unsigned place_near(const struct packer *p, uint32_t number, uint32_t half)
{
    unsigned i = 0;

    while (i < 16 && number - p->known[i] + half > 2 * half - 1)
        i++;
    return i;
}

static void put_bits(struct packer *p, uint32_t number, unsigned nibbles)
{
    for (unsigned n = 0; n < nibbles; n++)
        put(p, number >> 4 * n & 15);
}

static uint32_t get_bits(struct packer *p, unsigned nibbles)
{
    uint32_t number = 0;

    for (unsigned n = 0; n < nibbles; n++)
        number |= (uint32_t)get(p) << 4 * n;
    return number;
}

/* As a difference, if one is small enough. */
static bool put_step(struct packer *p, uint32_t number)
{
    for (unsigned nibbles = 2; nibbles <= 4; nibbles += 2) {
        uint32_t half = UINT32_C(1) << (4 * nibbles - 1);
        unsigned i = place_near(p, number, half);
        if (i == 16)
            continue;
        put(p, nibbles == 2 ? CODE_STEP : CODE_LEAP);
        put(p, i);
        put_bits(p, number - p->known[i] + half, nibbles);
        return true;
    }
    return false;
}

static uint32_t get_step(struct packer *p, unsigned nibbles)
{
    uint32_t from = p->known[get(p)];

    return from + get_bits(p, nibbles) - (UINT32_C(1) << (4 * nibbles - 1));
}

static void put_new(struct packer *p, uint32_t number)
{
    unsigned width = number >> 16 ? 3 : number >> 8 ? 2 : number >> 4 ? 1 : 0;

    if (width < 3 || !put_step(p, number)) {
        put(p, CODE_NUMBER + width);
        put_bits(p, number, 1u << width);
    }
    if (width > 0)
        remember(p, KNOWN - 1, number);
}

static void put_number(struct packer *p, uint32_t number)
{
    unsigned i = place_in(p->known, KNOWN, number);

    if (i == KNOWN) {
        put_new(p, number);
        return;
    }
    put(p, i < NEAR ? CODE_NEAR + i : CODE_FAR);
    if (i >= NEAR)
        put(p, i - NEAR);
    remember(p, i, number);
}

static uint32_t get_known(struct packer *p, unsigned code)
{
    unsigned i = code == CODE_FAR ? NEAR + get(p) : code - CODE_NEAR;
    uint32_t number = p->known[i];

    remember(p, i, number);
    return number;
}

static uint32_t get_number(struct packer *p, unsigned code)
{
    uint32_t number;

    if (code >= CODE_NEAR && code <= CODE_FAR)
        return get_known(p, code);
    if (code == CODE_LEAP || code == CODE_STEP)
        number = get_step(p, code == CODE_STEP ? 2 : 4);
    else
        number = get_bits(p, 1u << (code - CODE_NUMBER));
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

static void put_run(struct packer *p, unsigned run)
{
    put(p, run == 1 ? CODE_SAME : CODE_RUN);
    if (run == 1)
        return;
    put(p, run < RUN_MORE ? run - 2 : RUN_MORE - 2);
    if (run >= RUN_MORE)
        put_bits(p, run - RUN_MORE, 2);
}

static unsigned get_run(struct packer *p, unsigned code)
{
    unsigned run = code == CODE_SAME ? 1 : get(p) + 2;

    return run < RUN_MORE ? run : run + get_bits(p, 2);
}

static void pack(struct packer *p, const void *object, const void *model, size_t size)
{
    size_t n = size / sizeof(uint32_t);

    for (size_t i = 0; i < n;) {
        unsigned run = 0;
        while (run < RUN_MAX && i + run < n && unit_at(object, i + run) == unit_at(model, i + run))
            run++;
        if (run == 0)
            put_number(p, unit_at(object, i++));
        else
            put_run(p, run);
        i += run;
    }
}

static void unpack(struct packer *p, void *object, const void *model, size_t size)
{
    size_t n = size / sizeof(uint32_t);

    memcpy(object, model, size);
    for (size_t i = 0; i < n;) {
        unsigned code = get(p);
        uint32_t unit;
        if (code <= CODE_SAME) {
            i += get_run(p, code);
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
static size_t pack_image(const struct tcb *tcb, const struct wr_rest_image *image,
                         const struct wr_rest_image *model, uint8_t *out)
{
    struct packer p;

    begin(&p, out);
    pack(&p, &image->tcb, &model->tcb, sizeof image->tcb);
    if (tcb->tx != NULL)
        pack(&p, &image->tx, &model->tx, wr_tx_size(tcb->tx->cc_words));
    return (p.nibbles + 1) / 2;
}

static void unpack_image(const struct weir_stack *stack, struct wr_rest *rest,
                         struct wr_rest_image *image)
{
    const struct wr_rest_image *model = stack->tcp->rest_models[rest->model].image;
    struct packer p;

    begin(&p, image_of(rest));
    unpack(&p, &image->tcb, &model->tcb, sizeof image->tcb);
    if (rest->model & WR_REST_TX)
        unpack(&p, &image->tx, &model->tx, wr_tx_size(rest->tx_words));
    image->tx.cc_words = rest->tx_words;
}

/* ---- models ------------------------------------------------------------------------------------------- */

static unsigned kind_of(const struct tcb *tcb)
{
    return (tcb->passive ? WR_REST_PASSIVE : 0u) | (tcb->tx != NULL ? WR_REST_TX : 0u);
}

/* The model of a kind, one user more; the image becomes it when there is none. NULL: out of memory. */
static const struct wr_rest_image *model_for(struct weir_stack *stack, unsigned kind,
                                             const struct wr_rest_image *image)
{
    struct wr_rest_model *model = &stack->tcp->rest_models[kind];

    if (model->image == NULL) {
        model->image = wr_alloc(stack, sizeof *model->image);
        if (model->image == NULL)
            return NULL;
        *model->image = *image;
    }
    model->users++;
    return model->image;
}

static void leave_model(struct weir_stack *stack, unsigned kind)
{
    struct wr_rest_model *model = &stack->tcp->rest_models[kind];

    if (--model->users > 0)
        return;
    wr_free(stack, model->image, sizeof *model->image);
    model->image = NULL;
}

void wr_rest_fini(struct weir_stack *stack)
{
    for (unsigned kind = 0; kind < WR_REST_MODELS; kind++)
        wr_free(stack, stack->tcp->rest_models[kind].image, sizeof(struct wr_rest_image));
    wr_dues_fini(&stack->tcp->rest_dues);
}

/* ---- to rest ------------------------------------------------------------------------------------------ */

static bool sender_is_idle(const struct wr_tx *tx)
{
    return tx == NULL ||
           (tx->q.count == 0 && !wr_list_is_linked(&tx->mem_wait) && tx->ca_state == WEIR_CA_OPEN &&
            tx->mtup.probe == 0 && tx->chrono.type == WR_CHRONO_IDLE);
}

/* Open, and nothing is to be sent, received, awaited or told. */
static bool is_idle(const struct weir_stack *stack, const struct tcb *tcb)
{
    return tcb->state == WEIR_TCP_ESTABLISHED && tcb->ready != NULL && !tcb->in_accept &&
           wr_tcp_ready(stack, tcb) == WEIR_POLLOUT && tcb->soft_error == 0 && !tcb->stamping &&
           !tcb->paced && tcb->urg_state != WR_URG_NOTYET && tcb->want == 0 &&
           tcb->out_list == WR_OUT_IDLE && !wr_tcb_in_flight(tcb) && tcb->snd_ring.buf == NULL &&
           tcb->rcv_ring.buf == NULL && !tcb->fin_seen && tcb->delack.pending == 0 &&
           tcb->probes == 0 && tcb->rto_at == WEIR_TIME_NEVER &&
           tcb->delack_at == WEIR_TIME_NEVER && sender_is_idle(tcb->tx) &&
           (tcb->fo == NULL || !wr_list_is_linked(&tcb->fo->queue));
}

/* The connection without what an image cannot hold. */
static void take_image(struct wr_rest_image *image, const struct tcb *tcb)
{
    const struct wr_list nowhere = {NULL, NULL};
    struct tcb *copy = &image->tcb;

    memset(image, 0, sizeof *image);
    *copy = *tcb;
    memset(&copy->node, 0, sizeof copy->node);
    memset(&copy->flow, 0, sizeof copy->flow);
    memset(&copy->tuple, 0, sizeof copy->tuple);
    memset(&copy->timer, 0, sizeof copy->timer);
    memset(&copy->path, 0, sizeof copy->path);
    copy->out = copy->accept = nowhere;
    copy->calm = false;
    copy->keep_at = 0;
    copy->ready = NULL;
    copy->ofo = NULL;
    copy->tx = NULL;
    if (tcb->tx != NULL) {
        memcpy(&image->tx, tcb->tx, wr_tx_size(tcb->tx->cc_words));
        image->tx.mem_wait = nowhere;
        image->tx.mem_tcb = NULL;
        image->tx.cc_words = 0; /* the record has it */
        image->tx.push.marks = NULL;
        image->tx.rate.pick = NULL;
        image->tx.q.by_seq = image->tx.q.lost = image->tx.q.flying = nowhere;
    }
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
    leave_model(stack, rest->model);
    wr_records_remove(&stack->tcp->records, &rest->record);
}

/* The record that the connection becomes, beside it in the tables. NULL: out of memory. */
static struct wr_rest *make_rest(struct weir_stack *stack, const struct tcb *tcb)
{
    uint8_t packed[IMAGE_MAX];
    struct wr_rest_image image;
    struct wr_rest *rest;
    const struct wr_rest_image *model;
    size_t size, head = head_size(tcb->flow.v4);
    unsigned kind = kind_of(tcb);
    uint32_t number;

    take_image(&image, tcb);
    model = model_for(stack, kind, &image);
    if (model == NULL)
        return NULL;
    size = pack_image(tcb, &image, model, packed);
    rest = wr_demux_add(stack, WR_FLOW_REST, (head + size + 7) & ~(size_t)7, &tcb->tuple,
                        tcb->node.hash, &number);
    if (rest == NULL) {
        leave_model(stack, kind);
        return NULL;
    }
    rest->ready = tcb->ready;
    rest->due = WR_RECORD_NONE;
    rest->tx_words = tcb->tx != NULL ? (uint8_t)tcb->tx->cc_words : 0;
    rest->model = (uint8_t)kind;
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
    wr_pool_trim(&stack->tcp->tcbs);
    wr_pool_trim(&stack->tcp->txs);
    wr_alloc_trim(stack);
}

/* How long a connection must have been quiet. 0: none ever rests. */
static weir_time quiet_enough(const struct weir_stack *stack)
{
    weir_time after = stack->tunables.tcp_rest_after_ms * WEIR_MS;
    uint32_t awake = stack->tcp->tcbs.count;

    if (awake <= CROWD || after <= LEAST_QUIET)
        return after;
    return weir_time_max(after / awake * CROWD, LEAST_QUIET);
}

void wr_tcp_rest_scan(struct weir_stack *stack, weir_time now)
{
    struct wr_tcp *tcp = stack->tcp;
    weir_time after = quiet_enough(stack), round = after / 2, pause;
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
        wr_timer_arm(stack, &stack->tcp->rest_timer, now + weir_time_min(after, LEAST_QUIET));
}

/* ---- and back ----------------------------------------------------------------------------------------- */

static void put_back(struct weir_stack *stack, struct tcb *tcb, const struct wr_rest_image *image,
                     struct wr_tx *tx)
{
    *tcb = image->tcb;
    wr_list_init(&tcb->out);
    wr_list_init(&tcb->accept);
    wr_timer_init(&tcb->timer, WR_TIMER_TCP);
    tcb->tx = tx;
    if (tx != NULL) {
        memcpy(tx, &image->tx, wr_tx_size(image->tx.cc_words));
        wr_list_init(&tx->mem_wait);
        wr_list_init(&tx->q.by_seq);
        wr_list_init(&tx->q.lost);
        wr_list_init(&tx->q.flying);
        tx->rate.pick = &stack->tcp->pick;
    }
}

struct tcb *wr_rest_wake(struct weir_stack *stack, struct wr_rest *rest)
{
    struct wr_rest_image image;
    struct wr_tx *tx = NULL;
    struct wr_tuple tuple = wr_flow_tuple(&rest->flow);
    struct tcb *tcb;
    void *obj;

    unpack_image(stack, rest, &image);
    image.tcb.keep_at = wr_rest_keep_at(stack, rest);
    if (wr_pool_alloc(&stack->tcp->tcbs, &obj) == 0)
        return NULL;
    tcb = obj;
    if ((rest->model & WR_REST_TX) != 0 && (tx = wr_tx_new(stack, rest->tx_words)) == NULL)
        goto no_tx;
    put_back(stack, tcb, &image, tx);
    if (!wr_demux_insert(stack, tcb, &tuple, wr_demux_hash(stack, &tuple)))
        goto no_place;
    wr_tcb_tie(tcb, rest->ready);
    free_rest(stack, rest);
    wr_timers_update(stack, tcb);
    wr_rest_watch(stack, stack->now);
    tcb->dozing = stack->now - weir_time_max(tcb->last_ack_at, tcb->oow_ack_at) >= DOZE_EVERY;
    return tcb;
no_place:
    if (tx != NULL)
        wr_tx_free(stack, tx, rest->tx_words);
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
    struct wr_rest_image image;

    unpack_image(stack, rest, &image);
    wr_fastopen_free(stack, &image.tcb);
    wr_port_release(stack, rest->flow.lport, image.tcb.port_reuse);
    ready->flow = NULL;
    free_rest(stack, rest);
}
