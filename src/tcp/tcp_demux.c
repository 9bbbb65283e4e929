/* SPDX-License-Identifier: MIT */
/*
 * Whom is a segment for? RFC 9293 3.10.7.
 *
 * One table holds connections, awake and at rest, SYN queue entries and TIME-WAIT records by 4-tuple; one holds
 * listeners by local endpoint. The first is keyed with SipHash under a secret, so that a peer that
 * chooses its ports cannot aim for one chain; what is in the second no peer has a say in. A SYN for a listener is looked up at most three times:
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

static uint32_t word(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t quad(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static bool same_addr(const struct weir_addr *a, const struct weir_addr *b)
{
    return ((quad(a->b) ^ quad(b->b)) | (quad(a->b + 8) ^ quad(b->b + 8))) == 0;
}

static bool same_tuple(const struct wr_tuple *a, const struct wr_tuple *b)
{
    return a->lport == b->lport && a->rport == b->rport && same_addr(&a->remote, &b->remote) &&
           same_addr(&a->local, &b->local);
}

/* The place of what is kept for a tuple, one of WR_RECENT. */
static uint32_t place_of(const struct wr_tuple *tuple)
{
    uint32_t x = word(tuple->remote.b + 12) + ((uint32_t)tuple->rport << 16 ^ tuple->lport);

    x *= 0x9e3779b1u;
    return x / (UINT32_MAX / WR_RECENT + 1);
}

uint64_t wr_demux_hash(const struct weir_stack *stack, const struct wr_tuple *tuple)
{
    struct wr_hashed *kept = &stack->tcp->hashed[place_of(tuple)];

    if (!same_tuple(&kept->tuple, tuple))
        *kept = (struct wr_hashed){*tuple, hash_of(stack, tuple)};
    return kept->hash;
}

/* The place in the array of those found last. */
static struct wr_flow **recent(const struct weir_stack *stack, const struct wr_tuple *tuple)
{
    return &stack->tcp->recent[place_of(tuple)];
}

static void forget_recent(struct weir_stack *stack, const struct wr_flow *flow)
{
    if (flow->kind == WR_FLOW_TCB) {
        struct wr_flow **place =
            recent(stack, &WR_CONTAINER((uintptr_t)flow, const struct tcb, flow)->tuple);
        if (*place == flow)
            *place = NULL;
    }
}

struct tcb *wr_demux_recent(const struct weir_stack *stack, const struct wr_tuple *tuple)
{
    struct wr_flow *flow = *recent(stack, tuple);
    struct tcb *tcb;

    if (flow == NULL)
        return NULL;
    tcb = WR_CONTAINER(flow, struct tcb, flow);
    return same_tuple(&tcb->tuple, tuple) ? tcb : NULL;
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

static void set_tuple(struct wr_flow *flow, enum wr_flow_kind kind, const struct wr_tuple *tuple)
{
    uint8_t *addrs;

    flow->kind = (unsigned)kind & 3u;
    flow->v4 = weir_addr_is_v4(&tuple->local);
    flow->lport = tuple->lport;
    flow->rport = tuple->rport;
    addrs = addrs_of(flow);
    if (addrs == NULL) {
        WR_CONTAINER(flow, struct tcb, flow)->tuple = *tuple;
    } else if (flow->v4) {
        memcpy(addrs, tuple->local.b + 12, 4);
        memcpy(addrs + 4, tuple->remote.b + 12, 4);
    } else {
        memcpy(addrs, tuple->local.b, 16);
        memcpy(addrs + 16, tuple->remote.b, 16);
    }
}

static bool has_tuple(struct wr_flow *flow, const struct wr_tuple *tuple)
{
    struct wr_tuple own;

    if (flow->lport != tuple->lport || flow->rport != tuple->rport)
        return false;
    if (flow->kind == WR_FLOW_TCB)
        return memcmp(&WR_CONTAINER(flow, struct tcb, flow)->tuple, tuple, sizeof *tuple) == 0;
    own = wr_flow_tuple(flow);
    return memcmp(&own, tuple, sizeof own) == 0;
}

struct wr_flow *wr_demux_find(const struct weir_stack *stack, const struct wr_tuple *tuple,
                              uint64_t hash)
{
    struct wr_hash_node *node = wr_hash_first(&stack->tcp->flows, hash);

    for (; node != NULL; node = wr_hash_next(node)) {
        struct wr_flow *flow = WR_CONTAINER(node, struct wr_flow, node);
        if (has_tuple(flow, tuple))
            return flow;
    }
    return NULL;
}

bool wr_demux_insert(struct weir_stack *stack, struct wr_flow *flow, enum wr_flow_kind kind,
                     const struct wr_tuple *tuple, uint64_t hash)
{
    set_tuple(flow, kind, tuple);
    return wr_hash_insert(&stack->tcp->flows, &flow->node, hash);
}

void wr_demux_replace(struct weir_stack *stack, struct wr_flow *was, struct wr_flow *now,
                      enum wr_flow_kind kind)
{
    struct wr_tuple tuple = wr_flow_tuple(was);

    forget_recent(stack, was);
    set_tuple(now, kind, &tuple);
    wr_hash_replace(&stack->tcp->flows, &was->node, &now->node);
}

void wr_demux_remove(struct weir_stack *stack, struct wr_flow *flow)
{
    forget_recent(stack, flow);
    wr_hash_remove(&stack->tcp->flows, &flow->node);
}

bool wr_tcp_next_local(const struct weir_stack *stack, struct wr_hash_iter *it,
                       struct weir_endpoint *local)
{
    struct wr_hash_node *node = wr_hash_each(&stack->tcp->flows, it);

    if (node == NULL)
        return false;
    struct wr_tuple tuple = wr_flow_tuple(WR_CONTAINER(node, struct wr_flow, node));
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
    uint64_t best_weight = 0;

    for (; node != NULL; node = wr_hash_next(node)) {
        struct wr_listener *listener = WR_CONTAINER(node, struct wr_listener, node);
        uint64_t w = weight(hash, listener->id);
        if (listener->local.port != port || !weir_addr_eq(&listener->local.addr, addr))
            continue;
        if (want_v4 && !weir_addr_is_v4(addr) && listener->opts->v6only)
            continue;
        if (best == NULL || w > best_weight) {
            best = listener;
            best_weight = w;
        }
    }
    return best;
}

struct wr_listener *wr_demux_listener(const struct weir_stack *stack, const struct wr_tuple *tuple,
                                      uint64_t hash)
{
    bool v4 = weir_addr_is_v4(&tuple->local);
    struct weir_addr any4 = weir_addr_any4(), any6 = weir_addr_any6();
    struct wr_listener *found = find_at(stack, &tuple->local, tuple->lport, v4, hash);

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
    wr_list_push_back(&stack->tcp->listener_list, &listener->all);
    return true;
}

void wr_demux_remove_listener(struct weir_stack *stack, struct wr_listener *listener)
{
    wr_hash_remove(&stack->tcp->listeners, &listener->node);
    wr_list_remove(&listener->all);
}
