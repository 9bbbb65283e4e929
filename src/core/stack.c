/* SPDX-License-Identifier: MIT */
/*
 * The stack and its four calls. Reading starts here.
 *
 * A stack is a state machine: what it does follows from the calls made on it and their arguments,
 * and from nothing else. It reads no clock, starts no thread and sends nothing by itself:
 *
 *        frame                                              events, readiness
 *          |                                                       ^
 *     weir_input -> wr_ip_input -> wr_tcp_input, wr_udp_input -> wr_ready_touch
 *
 *     weir_output <- the interface's queue (ARP, NDP, ICMP, UDP, fragments, SYN-ACK, RST)
 *          |      <- wr_tcp_output: the next segment of a connection on netif->tcp_ready
 *          v
 *        frame
 *
 *     weir_advance -> the timers that are due, each to the layer that owns it
 *     weir_deadline: when the next one is
 *
 * Bulk data is never queued as packets. A connection that may send stands on its interface's
 * tcp_ready list; its segment is cut at the moment the link asks for it, straight from the send
 * ring, so that what goes out is decided with the newest ACK at hand and a slow link holds up
 * nothing but the asking. All other packets are small or rare and wait in the interface's bounded
 * queue. When both have something they take turns, so that neither a flood of echo replies nor one
 * bulk transfer starves the other.
 *
 * The loopback interface is an interface like the others whose link is the stack itself: its frames
 * are taken by weir_advance() and given to the input, a bounded number a call. They are not looped
 * at the moment they are made, because input may cause output which may cause input: with a queue
 * between them there is no recursion, and no layer is entered twice. While lo holds frames the
 * deadline is "now".
 *
 * Limits: one thread at a time; packets are not forwarded between interfaces.
 */
#include <stdlib.h>
#include <string.h>

#include <weir/stack.h>

#include "base/bytes.h"
#include "base/hint.h"
#include "core/core.h"
#include "core/tracing.h"
#include "ip/ip_entry.h"
#include "sock/sock_entry.h"
#include "tcp/tcp_entry.h"
#include "udp/udp_entry.h"
#include "wire/w_eth.h"

enum {
    LO_FRAMES_PER_CALL = 256, /* looped by one weir_advance() */
    LO_SMALL = 2048,          /* frames up to this are looped without an allocation */
    COPY_MAX = 128            /* bytes of a queued frame that are copied, not lent */
};

/* ---- a stack's life -------------------------------------------------------------------------- */

static void *default_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void default_free(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    (void)size;
    free(ptr);
}

void weir_config_default(struct weir_config *config)
{
    memset(config, 0, sizeof *config);
    config->alloc.alloc = default_alloc;
    config->alloc.free = default_free;
    config->max_sockets = 1048576;
    config->loopback = true;
}

static struct weir_stack *make(const struct weir_config *config, weir_time now)
{
    struct weir_stack *stack = config->alloc.alloc(config->alloc.ctx, sizeof *stack);
    uint8_t key[16];
    if (stack == NULL)
        return NULL;
    memset(stack, 0, sizeof *stack);
    wr_alloc_init(stack, config);
    stack->now = now;
    stack->max_sockets = config->max_sockets;
    wr_rng_init(&stack->rng, config->seed);
    wr_rng_bytes(&stack->rng, stack->secret, sizeof stack->secret);
    wr_timerq_init(&stack->timers);
    wr_derive_key(stack, "timers", key);
    stack->timers.salt = get_be64(key);
    wr_list_init(&stack->events);
    wr_list_init(&stack->netifs);
    wr_tunables_init(&stack->tunables);
    return stack;
}

struct weir_stack *weir_stack_new(const struct weir_config *config, weir_time now)
{
    struct weir_stack *stack = make(config, now);
    if (stack == NULL)
        return NULL;
    if (wr_ports_init(stack) != 0)
        goto no_ports;
    if (wr_ip_init(stack) != 0)
        goto no_ip;
    if (wr_tcp_init(stack) != 0)
        goto no_tcp;
    if (wr_udp_init(stack) != 0)
        goto no_udp;
    if (wr_socks_init(stack) != 0)
        goto no_socks;
    if (config->loopback && wr_netif_add_loopback(stack, now) != 0)
        goto no_lo;
    return stack;

no_lo:
    wr_socks_fini(stack);
no_socks:
    wr_udp_fini(stack);
no_udp:
    wr_tcp_fini(stack);
no_tcp:
    wr_ip_fini(stack);
no_ip:
    wr_netif_free_all(stack);
    wr_ports_fini(stack);
no_ports:
    wr_alloc_fini(stack);
    return NULL;
}

void weir_stack_free(struct weir_stack *stack)
{
    if (stack == NULL)
        return;
    wr_socks_fini(stack);
    wr_udp_fini(stack);
    /* No layer may find another's freed timer beside its own in the queue. */
    while (wr_timerq_pop(&stack->timers, WEIR_TIME_NEVER) != NULL) {
    }
    wr_tcp_fini(stack);
    wr_ip_fini(stack);
    wr_netif_free_all(stack);
    wr_ports_fini(stack);
    wr_trace_free(stack);
    wr_alloc_fini(stack);
}

/* ---- in -------------------------------------------------------------------------------------- */

/* A frame whose data was read to where it does not belong. */
static void input_gathered(struct weir_stack *stack, struct wr_netif *netif,
                           const struct weir_frame *frame, weir_time now)
{
    uint8_t *copy = wr_alloc(stack, frame->len);
    struct weir_frame whole = *frame;
    if (copy == NULL) {
        wr_drop(stack, WR_DROP_no_memory);
        return;
    }
    memcpy(copy, frame->data, frame->body_at);
    memcpy(copy + frame->body_at, frame->body, frame->len - frame->body_at);
    whole.data = copy;
    whole.body = NULL;
    wr_ip_input(stack, netif, &whole, now);
    wr_free(stack, copy, frame->len);
}

/* One whose data was read to where weir_input_room() said. */
WR_APART void input_apart(struct weir_stack *stack, struct wr_netif *netif,
                          const struct weir_frame *frame, weir_time now)
{
    if (stack->room_fits == NULL || !stack->room_fits(stack, netif, frame))
        input_gathered(stack, netif, frame, now);
    else
        wr_ip_input(stack, netif, frame, now);
}

static void input(struct weir_stack *stack, struct wr_netif *netif, const struct weir_frame *frame,
                  weir_time now)
{
    netif->rx_frames++;
    netif->rx_bytes += frame->len;
    if (!netif->up) {
        wr_drop(stack, WR_DROP_netif_down);
        return;
    }
    if (frame->body != NULL)
        input_apart(stack, netif, frame, now);
    else
        wr_ip_input(stack, netif, frame, now);
    wr_trace_frame_done(stack);
}

int weir_input(struct weir_stack *stack, int ifindex, const struct weir_frame *frame, weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_netif *netif = wr_netif_by_index(stack, ifindex);
    if (netif == NULL || netif->loopback)
        return WEIR_ENODEV;
    input(stack, netif, frame, now);
    return 0;
}

bool weir_input_room(struct weir_stack *stack, int ifindex, struct weir_room *room)
{
    const struct wr_netif *netif = wr_netif_by_index(stack, ifindex);
    stack->room_fits = wr_tcp_room_fits;
    if (netif == NULL || netif->loopback || !wr_tcp_room(stack, netif, room))
        return false;
    if (netif->config.kind == WEIR_NETIF_ETHERNET)
        room->head_len += W_ETH_HLEN;
    return true;
}

void weir_input_room_unused(struct weir_stack *stack)
{
    wr_tcp_room_unused(stack);
}

/* ---- out ------------------------------------------------------------------------------------- */

/* Gives the queue's first frame: its beginning copied to the caller's head, the rest lent. */
WR_APART size_t output_first(struct weir_stack *stack, struct wr_netif *netif, struct weir_out *out)
{
    struct wr_list *node = wr_list_pop_front(&netif->queue);
    struct wr_qpkt *pkt = WR_CONTAINER(node, struct wr_qpkt, node);
    netif->queue_len--;

    const uint8_t *frame = pkt->data + pkt->offset;
    size_t len = pkt->len;
    out->csum_partial = pkt->csum_partial;
    out->csum_start = pkt->csum_start;
    out->csum_offset = pkt->csum_offset;
    out->head_len = len < COPY_MAX ? len : COPY_MAX;
    memcpy(out->head, frame, out->head_len);
    if (len == out->head_len) {
        wr_qpkt_free(stack, pkt);
        return len;
    }
    out->span[0].ptr = frame + out->head_len;
    out->span[0].len = len - out->head_len;
    out->n_spans = 1;
    netif->lent = pkt;
    return len;
}

static size_t output_queued(struct weir_stack *stack, struct wr_netif *netif, struct weir_out *out)
{
    return wr_list_is_empty(&netif->queue) ? 0 : output_first(stack, netif, out);
}

static void take_back(struct weir_stack *stack, struct wr_netif *netif)
{
    if (netif->lent == NULL)
        return;
    wr_qpkt_free(stack, netif->lent);
    netif->lent = NULL;
}

/* The next frame of an interface, from the queue and from TCP in turns. */
static size_t next_frame(struct weir_stack *stack, struct wr_netif *netif, struct weir_out *out,
                         weir_time now)
{
    if (!netif->up)
        return 0;
    out->head_len = 0;
    out->n_spans = 0;
    out->gso_size = 0;
    out->gso_ipv6 = out->csum_partial = false;
    out->csum_start = out->csum_offset = 0;

    size_t len = 0;
    if (!netif->tcp_turn || wr_list_is_empty(&netif->tcp_ready))
        len = output_queued(stack, netif, out);
    netif->tcp_turn = len > 0;
    /* Data of a connection stands in its send ring, which no output changes; but a neighbour that is found not to be there
     * may end a connection. */
    out->stays = len == 0 && netif->config.kind == WEIR_NETIF_IP;
    if (len == 0)
        len = wr_tcp_output(stack, netif, out, now);
    if (len == 0) {
        len = output_queued(stack, netif, out);
        out->stays = false;
    }
    if (len > 0) {
        netif->tx_frames++;
        netif->tx_bytes += len;
    }
    return len;
}

/* It is asked until it has no more. */
static size_t output(struct weir_stack *stack, struct wr_netif *netif, struct weir_out *out,
                     weir_time now)
{
    take_back(stack, netif);
    if (!wr_list_is_empty(&netif->tcp_ready) || !wr_list_is_empty(&netif->queue))
        return next_frame(stack, netif, out, now);
    netif->tcp_turn = false;
    return 0;
}

size_t weir_output(struct weir_stack *stack, int ifindex, struct weir_out *out, weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_netif *netif = wr_netif_by_index(stack, ifindex);
    if (netif == NULL || netif->loopback)
        return 0;
    return output(stack, netif, out, now);
}

bool weir_has_work(struct weir_stack *stack, int ifindex)
{
    const struct wr_netif *netif = wr_netif_by_index(stack, ifindex);
    return !wr_list_is_empty(&stack->events) ||
           (netif != NULL &&
            (!wr_list_is_empty(&netif->tcp_ready) || !wr_list_is_empty(&netif->queue)));
}

/* ---- time ------------------------------------------------------------------------------------ */

static bool lo_waits(const struct weir_stack *stack)
{
    const struct wr_netif *lo = stack->lo;
    return lo != NULL && lo->up &&
           (!wr_list_is_empty(&lo->queue) || !wr_list_is_empty(&lo->tcp_ready));
}

/* Gives one frame of lo to the input. It is copied first: the data is lent by the sender's ring,
 * which the input may change. */
static void loop_frame(struct weir_stack *stack, const struct weir_out *out, size_t len,
                       weir_time now)
{
    uint8_t small[LO_SMALL];
    uint8_t *copy = len <= sizeof small ? small : wr_alloc(stack, len);
    if (copy == NULL) {
        wr_drop(stack, WR_DROP_no_memory);
        return;
    }
    memcpy(copy, out->head, out->head_len);
    wr_spans_copy(copy + out->head_len, out->span, out->n_spans);
    struct weir_frame frame = {
        .data = copy,
        .len = len,
        .gso_size = out->gso_size,
        .csum_valid = out->csum_partial,
    };
    input(stack, stack->lo, &frame, now);
    if (copy != small)
        wr_free(stack, copy, len);
}

static void pump_loopback(struct weir_stack *stack, weir_time now)
{
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    for (unsigned n = 0; n < LO_FRAMES_PER_CALL && stack->lo != NULL; n++) {
        size_t len = output(stack, stack->lo, &out, now);
        if (len == 0)
            return;
        loop_frame(stack, &out, len, now);
    }
}

static void fire(struct weir_stack *stack, struct wr_timer *timer, weir_time now)
{
    switch ((enum wr_timer_kind)timer->kind) {
    case WR_TIMER_TCP:
        wr_tcp_timer(stack, timer, now);
        return;
    case WR_TIMER_TCP_SYNQ:
        wr_tcp_synq_timer(stack, timer, now);
        return;
    case WR_TIMER_TCP_TW:
        wr_tcp_timewait_timer(stack, timer, now);
        return;
    case WR_TIMER_TCP_REST:
        wr_tcp_rest_timer(stack, timer, now);
        return;
    case WR_TIMER_TCP_SCAN:
        wr_tcp_rest_scan(stack, now);
        return;
    case WR_TIMER_NEIGH:
        wr_neigh_timer(stack, timer, now);
        return;
    case WR_TIMER_FRAG:
        wr_frag_timer(stack, timer, now);
        return;
    case WR_TIMER_PMTU:
        wr_pmtu_timer(stack, timer, now);
        return;
    case WR_TIMER_ADDR:
        wr_addr_timer(stack, timer, now);
        return;
    case WR_TIMER_DHCP:
        stack->dhcp->timer(stack, timer, now);
        return;
    }
}

weir_time weir_deadline(const struct weir_stack *stack)
{
    return lo_waits(stack) ? stack->now : wr_timerq_next(&stack->timers);
}

/* A timer that is armed for "now" by what happens here fires in another call, which the deadline then asks
 * for: what its owner has to send goes first, and it cannot hold the call. So do those beyond WR_WORK_PER_CALL. */
void weir_advance(struct weir_stack *stack, weir_time now)
{
    now = wr_clock(stack, now);
    uint64_t began = stack->timers.order;
    struct wr_timer *timer;
    stack->work = WR_WORK_PER_CALL;
    while (wr_work(stack) && (timer = wr_timerq_pop_older(&stack->timers, now, began)) != NULL)
        fire(stack, timer, now);
    pump_loopback(stack, now);
}
