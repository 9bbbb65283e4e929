/* SPDX-License-Identifier: MIT */
/* See lab_host.h. */
#include "lab/lab_host.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "lab/lab_tape.h"

enum { TRACED_BYTES = 80, TRACED_RECORDS = 16384 };

/* FNV-1a by 64-bit words, over the moment and what is not payload. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    return (hash ^ word) * UINT64_C(0x100000001b3);
}

static void trace(struct lab_host *host, const struct lab_packet *packet, weir_time now)
{
    uint64_t hash = mix(mix(*host->trace, (uint64_t)now), packet->len);
    size_t len = packet->len < TRACED_BYTES ? packet->len : TRACED_BYTES;
    for (size_t i = 0; i < len; i += 8) {
        uint8_t word[8] = {0};
        memcpy(word, packet->data + i, len - i < 8 ? len - i : 8);
        hash = mix(hash, get_be64(word));
    }
    *host->trace = hash;
}

/* What the stack has decided since, for the tape. */
static void listen_in(struct lab_host *host)
{
    struct weir_trace record;
    if (host->node.net->tape == NULL)
        return;
    if (!host->tells) {
        host->tells = weir_trace_on(host->stack, TRACED_RECORDS) == 0;
        weir_trace_begin(host->stack, &host->reader);
    }
    while (weir_trace_read(host->stack, &host->reader, &record))
        wr_lab_tape_note(host->node.net->tape, &record);
}

static void send_all(struct lab_host *host, weir_time now)
{
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    struct lab_net *net = host->node.net;
    size_t len;
    while ((len = weir_output(host->stack, host->ifindex, &out, now)) > 0) {
        listen_in(host);
        struct lab_packet *packet = wr_lab_packet_new(net, len);
        if (packet == NULL)
            continue;
        memcpy(packet->data, out.head, out.head_len);
        wr_spans_copy(packet->data + out.head_len, out.span, out.n_spans);
        wr_lab_packet_read(packet, net->n_flows);
        if (host->trace != NULL)
            trace(host, packet, now);
        if (net->tape != NULL)
            wr_lab_tape_sent(net->tape, packet, false, now);
        wr_lab_pass(net, host->node.next, packet);
    }
}

static void settle(struct lab_host *host, weir_time now)
{
    struct weir_event event;
    listen_in(host);
    while (weir_next_event(host->stack, &event))
        if (host->on_event != NULL)
            host->on_event(host->arg, &event, now);
    send_all(host, now);
    listen_in(host);
    if (host->node.net->tape != NULL)
        wr_lab_tape_look(host->node.net->tape, host->number, host->stack, now);
    host->touched = false;
}

static void host_forward(struct lab_node *node, struct lab_packet *packet, weir_time now)
{
    (void)now;
    wr_lab_fifo_push(&((struct lab_host *)node)->inbox, packet);
}

static weir_time host_next_run_at(const struct lab_node *node)
{
    const struct lab_host *host = (const struct lab_host *)node;
    if (host->inbox.packets > 0 || host->touched)
        return node->net->now;
    return weir_deadline(host->stack);
}

static void host_run(struct lab_node *node, weir_time now)
{
    struct lab_host *host = (struct lab_host *)node;
    struct lab_packet *packet;
    if (weir_deadline(host->stack) <= now)
        weir_advance(host->stack, now);
    settle(host, now);
    while ((packet = wr_lab_fifo_pop(&host->inbox)) != NULL) {
        struct weir_frame frame = {.data = packet->data, .len = packet->len};
        if (node->net->tape != NULL)
            wr_lab_tape_arrived(node->net->tape, packet, now);
        (void)weir_input(host->stack, host->ifindex, &frame, now);
        wr_lab_packet_free(node->net, packet);
        settle(host, now);
    }
}

static void host_close(struct lab_node *node)
{
    struct lab_host *host = (struct lab_host *)node;
    struct lab_packet *packet;
    while ((packet = wr_lab_fifo_pop(&host->inbox)) != NULL)
        wr_lab_packet_free(node->net, packet);
    weir_stack_free(host->stack);
}

static const struct lab_node_ops host_ops = {host_forward, host_next_run_at, host_run, host_close};

static bool set_up(struct lab_host *host, uint32_t mtu)
{
    struct weir_netif_config netif = {.kind = WEIR_NETIF_IP, .mtu = mtu};
    struct weir_route any = {.prefix_len = 0};
    bool v4 = weir_addr_is_v4(&host->addr);
    weir_time now = host->node.net->now;
    snprintf(netif.name, sizeof netif.name, "lab0");
    host->ifindex = weir_netif_add(host->stack, &netif, now);
    if (host->ifindex < 0 ||
        weir_addr_add(host->stack, host->ifindex, &host->addr, v4 ? 32 : 128, now) != 0)
        return false;
    any.prefix = any.gateway = v4 ? weir_addr_any4() : weir_addr_any6();
    any.ifindex = host->ifindex;
    return weir_route_add(host->stack, &any) == 0;
}

/* A stack with the host's address, its secrets drawn from the host's own luck. */
static bool boot(struct lab_host *host)
{
    struct weir_config config;
    weir_config_default(&config);
    wr_rng_bytes(&host->node.rng, config.seed, sizeof config.seed);
    host->stack = weir_stack_new(&config, host->node.net->now);
    return host->stack != NULL && set_up(host, host->mtu);
}

struct lab_host *wr_lab_host_new(struct lab_net *net, const char *name,
                                 const struct weir_addr *addr, uint32_t mtu)
{
    struct lab_host *host = wr_lab_node_new(net, sizeof *host, &host_ops, name);
    if (host == NULL)
        return NULL;
    host->addr = *addr;
    host->mtu = mtu;
    if (!boot(host))
        return NULL; /* the net frees it */
    wr_lab_rearm(&host->node);
    return host;
}

bool wr_lab_host_reboot(struct lab_host *host)
{
    struct lab_net *net = host->node.net;
    weir_stack_free(host->stack);
    host->stack = NULL;
    host->tells = false;
    if (net->tape != NULL)
        wr_lab_tape_look(net->tape, host->number, NULL, net->now);
    bool done = boot(host);
    wr_lab_host_touch(host);
    return done;
}

void wr_lab_host_touch(struct lab_host *host)
{
    host->touched = true;
    wr_lab_rearm(&host->node);
}
