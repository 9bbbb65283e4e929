/* SPDX-License-Identifier: MIT */
/*
 * The DHCP client under arbitrary servers. The input is a program, one step an operation (enum op): answers that
 * are right but for some bytes, answers whose options are all the input's, time, claims by ARP to the leased
 * address, stop and start, allocations that fail.
 *
 * Whatever servers say: what is sent parses, the host comes to rest, it does not send without a pause, and
 * every byte of memory is given back.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fuzz/fuzz_input.h"
#include "weir/autoconf.h"
#include "weir/stack.h"
#include "wire/w_arp.h"
#include "wire/w_eth.h"
#include "wire/w_ip4.h"
#include "wire/w_udp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPS_MAX = 200, MESSAGE_MAX = 700, FRAMES_MAX = 200, EDITS_MAX = 7, ROUNDS_MAX = 2000 };

enum op { OP_ANSWER, OP_OPTIONS, OP_TIME, OP_CLAIM, OP_STOP, OP_FAIL, OP_COUNT };

struct world {
    struct weir_stack *stack;
    weir_time now;
    int ifindex;
    uint8_t xid[4];
    size_t live, calls, fail_at, fail_count;
};

static const uint8_t us_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};

static void *counted_alloc(void *ctx, size_t size)
{
    struct world *w = ctx;
    if (w->fail_count > 0 && ++w->calls >= w->fail_at) {
        w->fail_count--;
        return NULL;
    }
    w->live += size;
    return malloc(size);
}

static void counted_free(void *ctx, void *ptr, size_t size)
{
    struct world *w = ctx;
    w->live -= size;
    free(ptr);
}

/* ---- what comes out ------------------------------------------------------------------------------ */

static void inspect(struct world *w, const uint8_t *p, size_t len)
{
    struct w_eth eth;
    struct w_ip4 ip;
    struct w_udp udp;
    must(wr_w_eth_parse(p, len, &eth) == W_OK, "a frame that parses");
    if (eth.type != W_ETHERTYPE_IP4)
        return;
    must(wr_w_ip4_parse(p + W_ETH_HLEN, len - W_ETH_HLEN, &ip) == W_OK, "a packet that parses");
    if (ip.proto != W_IPPROTO_UDP)
        return;
    p += W_ETH_HLEN + ip.hdr_len;
    must(wr_w_udp_parse(p, (size_t)ip.total_len - ip.hdr_len, &udp) == W_OK,
         "a datagram that parses");
    must(udp.dst_port == 67 && udp.len >= W_UDP_HLEN + 300, "a message to a server");
    memcpy(w->xid, p + W_UDP_HLEN + 4, 4);
}

static void drain(struct world *w)
{
    static uint8_t frame[WEIR_HEAD_MAX + 2000];
    unsigned budget = FRAMES_MAX;
    uint8_t head[WEIR_HEAD_MAX];
    weir_advance(w->stack, w->now);
    for (;;) {
        struct weir_out out = {.head = head};
        size_t len = weir_output(w->stack, w->ifindex, &out, w->now);
        if (len == 0)
            return;
        must(--budget > 0, "the host comes to rest");
        must(len <= sizeof frame, "a frame within its bounds");
        memcpy(frame, head, out.head_len);
        wr_spans_copy(frame + out.head_len, out.span, out.n_spans);
        inspect(w, frame, len);
    }
}

/* Timers as they come: more than ROUNDS_MAX of them in one step would be a client that asks without a pause. */
static void run_for(struct world *w, weir_time span)
{
    weir_time until = weir_time_after(w->now, span);
    for (unsigned i = 0;; i++) {
        must(i < ROUNDS_MAX, "a client that pauses");
        weir_time due = weir_deadline(w->stack);
        if (due > until)
            break;
        if (due > w->now)
            w->now = due;
        drain(w);
    }
    w->now = until;
    drain(w);
}

/* ---- what goes in -------------------------------------------------------------------------------- */

static void feed(struct world *w, const uint8_t *p, size_t len)
{
    uint8_t *copy = malloc(len);
    struct weir_frame frame = {.data = copy, .len = len};
    if (!copy)
        abort();
    memcpy(copy, p, len);
    (void)weir_input(w->stack, w->ifindex, &frame, w->now);
    free(copy);
}

static void send_message(struct world *w, const uint8_t *message, size_t len)
{
    uint8_t p[W_ETH_HLEN + W_IP4_HLEN + W_UDP_HLEN + MESSAGE_MAX];
    uint8_t *l4 = p + W_ETH_HLEN + W_IP4_HLEN;
    struct w_eth eth = {.type = W_ETHERTYPE_IP4};
    struct w_udp udp = {.src_port = 67, .dst_port = 68, .len = (uint16_t)(W_UDP_HLEN + len)};
    struct w_ip4 ip = {.src = weir_addr_v4(0x0a000009),
                       .dst = weir_addr_v4(0xffffffff),
                       .proto = W_IPPROTO_UDP,
                       .ttl = 64,
                       .hdr_len = W_IP4_HLEN,
                       .total_len = (uint16_t)(W_IP4_HLEN + W_UDP_HLEN + len)};
    memset(eth.dst, 0xff, 6);
    memcpy(eth.src, peer_mac, 6);
    wr_w_eth_emit(p, &eth);
    wr_w_ip4_emit(p + W_ETH_HLEN, &ip);
    wr_w_udp_emit(l4, &udp);
    memcpy(l4 + W_UDP_HLEN, message, len);
    wr_w_udp_seal(l4, W_UDP_HLEN + len, &ip.src, &ip.dst);
    feed(w, p, W_ETH_HLEN + W_IP4_HLEN + W_UDP_HLEN + len);
}

static size_t begin(const struct world *w, uint8_t *m)
{
    static const uint8_t head[] = {2, 1, 6}, cookie[] = {0x63, 0x82, 0x53, 0x63},
                         yiaddr[] = {10, 0, 0, 50};
    memset(m, 0, MESSAGE_MAX);
    memcpy(m, head, sizeof head);
    memcpy(m + 4, w->xid, 4);
    memcpy(m + 16, yiaddr, 4);
    memcpy(m + 28, us_mac, 6);
    memcpy(m + 236, cookie, 4);
    return 240;
}

/* An OFFER, ACK or NAK as it should be, with some bytes changed, maybe cut. */
static void op_answer(struct world *w, struct input *in)
{
    static const uint8_t options[] = {53,  1,   2,   54,  4,   10,  0,  0,  9,  51, 4, 0,  0,  0,
                                      100, 1,   4,   255, 255, 255, 0,  3,  4,  10, 0, 0,  9,  6,
                                      8,   10,  0,   0,   9,   10,  0,  0,  8,  58, 4, 0,  0,  0,
                                      20,  59,  4,   0,   0,   0,   60, 26, 2,  5,  0, 15, 3,  'a',
                                      '.', 'b', 121, 8,   24,  10,  1,  2,  10, 0,  0, 9,  255};
    static const uint8_t types[] = {2, 5, 6, 5};
    uint8_t m[MESSAGE_MAX];
    size_t n = begin(w, m);
    uint8_t how = take8(in);
    memcpy(m + n, options, sizeof options);
    m[n + 2] = types[how & 3];
    n += sizeof options;
    for (unsigned edits = how >> 2 & EDITS_MAX; edits > 0; edits--) {
        size_t at = 240 + take8(in) % sizeof options;
        m[at] = take8(in);
    }
    if (how & 0x40)
        m[take8(in)] = take8(in);
    if (how & 0x80)
        n -= take8(in) % n;
    if (n > 0)
        send_message(w, m, n);
}

static void op_options(struct world *w, struct input *in)
{
    uint8_t m[MESSAGE_MAX];
    size_t n = begin(w, m), len = take8(in);
    while (len-- > 0)
        m[n++] = take8(in);
    send_message(w, m, n);
}

static void op_claim(struct world *w)
{
    uint8_t p[W_ETH_HLEN + W_ARP_LEN];
    struct w_eth eth = {.type = W_ETHERTYPE_ARP};
    struct w_arp arp = {
        .op = W_ARP_REPLY, .spa = weir_addr_v4(0x0a000032), .tpa = weir_addr_v4(0x0a000032)};
    memcpy(eth.dst, us_mac, 6);
    memcpy(eth.src, peer_mac, 6);
    memcpy(arp.sha, peer_mac, 6);
    memcpy(arp.tha, us_mac, 6);
    wr_w_eth_emit(p, &eth);
    wr_w_arp_emit(p + W_ETH_HLEN, &arp);
    feed(w, p, sizeof p);
}

static void step(struct world *w, struct input *in)
{
    struct weir_dhcp_config config = {.hostname = "fuzz"};
    switch ((enum op)(take8(in) % OP_COUNT)) {
    case OP_ANSWER:
        op_answer(w, in);
        break;
    case OP_OPTIONS:
        op_options(w, in);
        break;
    case OP_TIME:
        run_for(w, WEIR_MS << take8(in) % 24);
        break;
    case OP_CLAIM:
        op_claim(w);
        break;
    case OP_STOP:
        (void)weir_dhcp_stop(w->stack, w->ifindex, w->now);
        drain(w);
        (void)weir_dhcp_start(w->stack, w->ifindex, &config, w->now);
        break;
    case OP_FAIL:
        w->calls = 0;
        w->fail_at = take8(in) & 7;
        w->fail_count = 2;
        break;
    case OP_COUNT:
        break;
    }
    drain(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.now = 1000 * WEIR_SEC};
    struct input in = {data, size};
    struct weir_netif_config netif = {.name = "eth0", .kind = WEIR_NETIF_ETHERNET, .mtu = 1500};
    struct weir_config config;
    struct weir_dhcp_info info;
    weir_config_default(&config);
    config.alloc = (struct weir_allocator){counted_alloc, counted_free, &w};
    memcpy(netif.mac, us_mac, 6);
    w.stack = weir_stack_new(&config, w.now);
    must(w.stack != NULL, "a stack");
    w.ifindex = weir_netif_add(w.stack, &netif, w.now);
    must(weir_dhcp_start(w.stack, w.ifindex, NULL, w.now) == 0, "a client");
    drain(&w);
    for (unsigned i = 0; i < OPS_MAX && in.n > 0; i++)
        step(&w, &in);
    must(weir_dhcp_info(w.stack, w.ifindex, &info) == 0, "a client that can be asked");
    weir_stack_free(w.stack);
    must(w.live == 0, "all memory given back");
    return 0;
}
