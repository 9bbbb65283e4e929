/* SPDX-License-Identifier: MIT */
/*
 * Whom is a segment for? RFC 9293 3.10.7.
 *
 * One table holds the connections that are awake by 4-tuple; one the records of what is less, and may be many: SYN queue
 * entries, TIME-WAIT, connections at rest; one listeners by local endpoint. The first two share a hash, SipHash under
 * a secret, so that a peer that chooses its ports cannot aim for one chain; what is in the third no peer has a say in.
 * A SYN for a listener is looked up at most three times:
 * the exact address, the wildcard of its family, and for IPv4 the IPv6 wildcard that takes both.
 *
 * In front of the table stands a small array of connections that were found last, each at the one place where
 * a sum of its ports and addresses puts it, and one of the hashes made last: a connection's is asked for when it
 * is opened, by the segments of its handshake, for its ISN, and at its end. A peer may know that sum; all it can do with
 * it is to have its segments hashed and looked up in the table.
 *
 * The high half of the hash is in the ISN (tcp_isn), and so told to the peer; the low half is secret, and chooses
 * the chain.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"

#include <string.h>

#include "base/hash.h"
#include "base/hint.h"

/* An IPv4 tuple without what all of them have in common. */
struct v4_key {
    uint8_t local[4], remote[4];
    uint16_t lport, rport;
};
static_assert(sizeof(struct v4_key) == 12, "a hash key must have no padding");

static uint64_t hash_of(const struct weir_stack *stack, const struct wr_tuple *tuple)
{
    const uint8_t *secret = stack->tcp->flows.key;
    struct v4_key key = {.lport = tuple->lport, .rport = tuple->rport};

    if (!weir_addr_is_v4(&tuple->local))
        return wr_hash_keyed(secret, tuple, sizeof *tuple);
    memcpy(key.local, tuple->local.b + 12, 4);
    memcpy(key.remote, tuple->remote.b + 12, 4);
    return wr_hash_keyed(secret, &key, sizeof key);
}

static uint64_t quad(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* The hash of the tuple, which is there or put there. */
static uint64_t hash_kept(const struct weir_stack *stack, struct wr_hashed *kept,
                          const struct wr_tuple *tuple)
{
    if (!wr_demux_same(&kept->tuple, tuple) || !wr_may_remember(stack))
        *kept = (struct wr_hashed){*tuple, hash_of(stack, tuple)};
    return kept->hash;
}

uint64_t wr_demux_hash(const struct weir_stack *stack, const struct wr_tuple *tuple)
{
    return hash_kept(stack, &stack->tcp->hashed[wr_demux_place(tuple)], tuple);
}

/* No flow has port 0. */
uint64_t wr_tcp_port_hash(const struct weir_stack *stack, const struct weir_endpoint *local,
                          const struct weir_endpoint *remote)
{
    struct wr_tuple tuple = {local->addr, remote->addr, 0, remote->port};

    return hash_kept(stack, &stack->tcp->toward[wr_demux_place(&tuple)], &tuple);
}

/* The place in the array of those found last. */
static struct wr_flow **recent(const struct weir_stack *stack, const struct wr_tuple *tuple)
{
    return &stack->tcp->recent[wr_demux_place(tuple)];
}

static void forget_recent(struct weir_stack *stack, const struct tcb *tcb)
{
    struct wr_flow **place = recent(stack, &tcb->tuple);
    if (*place == &tcb->flow)
        *place = NULL;
}

void wr_demux_fetch(const struct weir_stack *stack, const struct tcb *tcb)
{
    const struct wr_tx *tx;

    stack->tcp->met = tcb;
    WR_FETCH_LINES(tcb, 0, offsetof(struct tcb, adv_mss));
    WR_FETCH_LINES(tcb, offsetof(struct tcb, path.netif),
                   offsetof(struct tcb, opts.user_timeout_ms));
    WR_FETCH(tcb->ready);
    tx = tcb->tx;
    if (tx == NULL)
        return;
    WR_FETCH_LINES(tx, 0, offsetof(struct wr_tx, undo));
    WR_FETCH_LINES(tx, offsetof(struct wr_tx, q), offsetof(struct wr_tx, cc.min_rtt));
}

void wr_demux_found(struct weir_stack *stack, struct tcb *tcb)
{
    *recent(stack, &tcb->tuple) = &tcb->flow;
}

/* Where a flow of this kind keeps its addresses; NULL: it is a struct tcb. */
static uint8_t *addrs_of(struct wr_flow *flow)
{
    switch ((enum wr_flow_kind)flow->kind) {
    case WR_FLOW_TCB:
        break;
    case WR_FLOW_SYN:
        return WR_CONTAINER(flow, struct wr_syn, flow)->addrs;
    case WR_FLOW_TIMEWAIT:
        return WR_CONTAINER(flow, struct wr_tw, flow)->addrs;
    case WR_FLOW_REST:
        return WR_CONTAINER(flow, struct wr_rest, flow)->addrs;
    }
    return NULL;
}

struct wr_tuple wr_flow_tuple(const struct wr_flow *flow)
{
    const uint8_t *addrs = addrs_of((struct wr_flow *)(uintptr_t)flow);
    struct wr_tuple tuple = {.lport = flow->lport, .rport = flow->rport};

    if (addrs == NULL)
        return WR_CONTAINER((uintptr_t)flow, const struct tcb, flow)->tuple;
    if (flow->v4) {
        tuple.local = weir_addr_v4(get_be32(addrs));
        tuple.remote = weir_addr_v4(get_be32(addrs + 4));
    } else {
        memcpy(tuple.local.b, addrs, 16);
        memcpy(tuple.remote.b, addrs + 16, 16);
    }
    return tuple;
}

bool wr_demux_has(const struct wr_flow *flow, const struct wr_tuple *tuple)
{
    const uint8_t *addrs = addrs_of((struct wr_flow *)(uintptr_t)flow);

    if (flow->lport != tuple->lport || flow->rport != tuple->rport ||
        flow->v4 != weir_addr_is_v4(&tuple->local))
        return false;
    if (!flow->v4)
        return memcmp(addrs, tuple->local.b, 16) == 0 &&
               memcmp(addrs + 16, tuple->remote.b, 16) == 0;
    return wr_demux_word(addrs) == wr_demux_word(tuple->local.b + 12) &&
           wr_demux_word(addrs + 4) == wr_demux_word(tuple->remote.b + 12) &&
           weir_addr_is_v4(&tuple->remote);
}

static_assert(offsetof(struct wr_syn, flow) == sizeof(struct wr_record) &&
                  offsetof(struct wr_tw, flow) == sizeof(struct wr_record) &&
                  offsetof(struct wr_rest, flow) == sizeof(struct wr_record),
              "the flow of a record is behind its head");

static struct wr_flow *find_record(const struct wr_records *records, const struct wr_tuple *tuple,
                                   uint32_t hash)
{
    struct wr_record *record = wr_records_first(records, hash);

    for (; record != NULL; record = wr_records_next(records, record))
        if (wr_demux_has((struct wr_flow *)(void *)(record + 1), tuple))
            return (struct wr_flow *)(void *)(record + 1);
    return NULL;
}

struct wr_flow *wr_demux_find(const struct weir_stack *stack, const struct wr_tuple *tuple,
                              uint64_t hash)
{
    struct wr_hash_node *node = wr_hash_first(&stack->tcp->flows, hash);
    struct wr_syn *newest = wr_syn_newest(stack);

    if (newest != NULL && wr_demux_has(&newest->flow, tuple))
        return &newest->flow;
    for (; node != NULL; node = wr_hash_next(node)) {
        struct tcb *tcb = WR_CONTAINER(node, struct tcb, node);
        if (WR_SHORT_WAYS)
            wr_demux_fetch(stack, tcb);
        if (memcmp(&tcb->tuple, tuple, sizeof *tuple) == 0)
            return &tcb->flow;
    }
    return find_record(&stack->tcp->records, tuple, wr_record_hash(hash));
}

static void set_flow(struct wr_flow *flow, enum wr_flow_kind kind, const struct wr_tuple *tuple)
{
    flow->kind = (unsigned)kind & 3u;
    flow->v4 = weir_addr_is_v4(&tuple->local);
    flow->lport = tuple->lport;
    flow->rport = tuple->rport;
}

bool wr_demux_insert(struct weir_stack *stack, struct tcb *tcb, const struct wr_tuple *tuple,
                     uint64_t hash)
{
    set_flow(&tcb->flow, WR_FLOW_TCB, tuple);
    tcb->tuple = *tuple;
    return wr_hash_insert(&stack->tcp->flows, &tcb->node, hash);
}

void wr_demux_remove(struct weir_stack *stack, struct tcb *tcb)
{
    forget_recent(stack, tcb);
    wr_hash_remove(&stack->tcp->flows, &tcb->node);
}

void wr_demux_set(struct wr_flow *flow, uint8_t *addrs, enum wr_flow_kind kind,
                  const struct wr_tuple *tuple)
{
    set_flow(flow, kind, tuple);
    if (flow->v4) {
        memcpy(addrs, tuple->local.b + 12, 4);
        memcpy(addrs + 4, tuple->remote.b + 12, 4);
    } else {
        memcpy(addrs, tuple->local.b, 16);
        memcpy(addrs + 16, tuple->remote.b, 16);
    }
}

void *wr_demux_add(struct weir_stack *stack, enum wr_flow_kind kind, size_t size,
                   const struct wr_tuple *tuple, uint64_t hash, uint32_t *number)
{
    struct wr_record *record =
        wr_records_add(&stack->tcp->records, size, wr_record_hash(hash), number);
    struct wr_flow *flow;

    if (record == NULL)
        return NULL;
    flow = (struct wr_flow *)(void *)(record + 1);
    memset(flow, 0, size - sizeof *record);
    flow->kind = (unsigned)kind & 3u;
    wr_demux_set(flow, addrs_of(flow), kind, tuple);
    return record;
}

/* The cursor counts the slots of connections, then the numbers of records; last is the entry that stands apart. */
bool wr_tcp_next_local(const struct weir_stack *stack, uint64_t *cursor,
                       struct weir_endpoint *local)
{
    const struct wr_tcp *tcp = stack->tcp;
    uint32_t n_slots = tcp->tcbs.n_slots;

    while (*cursor < (uint64_t)n_slots + wr_records_end(&tcp->records)) {
        uint64_t i = (*cursor)++;
        const struct tcb *tcb = i < n_slots ? wr_pool_at(&tcp->tcbs, (uint32_t)i) : NULL;
        struct wr_record *record =
            i < n_slots ? NULL : wr_records_at(&tcp->records, (uint32_t)(i - n_slots));
        struct wr_tuple tuple;
        if (tcb != NULL && tcb->state != WEIR_TCP_CLOSE)
            tuple = tcb->tuple;
        else if (record != NULL)
            tuple = wr_flow_tuple((const struct wr_flow *)(const void *)(record + 1));
        else
            continue;
        *local = (struct weir_endpoint){tuple.local, tuple.lport};
        return true;
    }
    if (*cursor == UINT64_MAX || wr_syn_newest(stack) == NULL)
        return false;
    *cursor = UINT64_MAX;
    struct wr_tuple tuple = wr_flow_tuple(&wr_syn_newest(stack)->flow);
    *local = (struct weir_endpoint){tuple.local, tuple.lport};
    return true;
}

/* ---- listeners -------------------------------------------------------------------------------- */

static uint64_t listen_hash(const struct weir_addr *addr, uint16_t port)
{
    uint64_t x = quad(addr->b) * 0x9e3779b97f4a7c15u ^ quad(addr->b + 8);
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    return (x ^ x >> 32) + port;
}

/* A number that every pair of connection and listener has of its own: the highest is chosen, so that a
 * connection's choice does not change when another listener comes or goes. */
static uint64_t weight(uint64_t hash, uint32_t id)
{
    uint64_t x = hash ^ (id * 0x9e3779b97f4a7c15u);
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
}

static struct wr_listener *find_at(const struct weir_stack *stack, const struct weir_addr *addr,
                                   uint16_t port, bool want_v4, uint64_t hash)
{
    struct wr_hash_node *node = wr_hash_first(&stack->tcp->listeners, listen_hash(addr, port));
    struct wr_listener *best = NULL;

    for (; node != NULL; node = wr_hash_next(node)) {
        struct wr_listener *listener = WR_CONTAINER(node, struct wr_listener, node);
        if (listener->local.port != port || !weir_addr_eq(&listener->local.addr, addr))
            continue;
        if (want_v4 && !weir_addr_is_v4(addr) && listener->opts->v6only)
            continue;
        if (best == NULL || weight(hash, listener->id) > weight(hash, best->id))
            best = listener;
    }
    return best;
}

struct wr_listener *wr_demux_listener(const struct weir_stack *stack, const struct wr_tuple *tuple,
                                      uint64_t hash)
{
    bool v4 = weir_addr_is_v4(&tuple->local);
    struct weir_addr any4 = weir_addr_any4(), any6 = weir_addr_any6();
    struct wr_listener *found = NULL;

    if (stack->tcp->n_at_addr > 0)
        found = find_at(stack, &tuple->local, tuple->lport, v4, hash);
    if (found == NULL && v4)
        found = find_at(stack, &any4, tuple->lport, v4, hash);
    if (found == NULL)
        found = find_at(stack, &any6, tuple->lport, v4, hash);
    return found;
}

bool wr_demux_add_listener(struct weir_stack *stack, struct wr_listener *listener)
{
    uint64_t hash = listen_hash(&listener->local.addr, listener->local.port);

    if (!wr_hash_insert(&stack->tcp->listeners, &listener->node, hash))
        return false;
    listener->id = stack->tcp->next_listener_id++;
    stack->tcp->n_at_addr += !weir_addr_is_any(&listener->local.addr);
    wr_list_push_back(&stack->tcp->listener_list, &listener->all);
    return true;
}

void wr_demux_remove_listener(struct weir_stack *stack, struct wr_listener *listener)
{
    wr_hash_remove(&stack->tcp->listeners, &listener->node);
    wr_list_remove(&listener->all);
    stack->tcp->n_at_addr -= !weir_addr_is_any(&listener->local.addr);
}
