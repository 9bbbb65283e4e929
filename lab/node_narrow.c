/* SPDX-License-Identifier: MIT */
/*
 * A place on the path that is narrower than its ends know. Packets that are too long do not pass it; it says
 * so to their sender (RFC 1191 4, RFC 4443 3.2), or, as a black hole, says nothing. It cuts no packet: IPv4
 * without "don't fragment" is treated likewise, which no TCP here sends.
 */
#include <string.h>

#include "lab/lab_node.h"
#include "wire/w_icmp4.h"
#include "wire/w_icmp6.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"

enum { QUOTED_MAX = 576 - W_IP4_HLEN - W_ICMP_HLEN, QUOTED6_MAX = 1280 - W_IP6_HLEN - W_ICMP_HLEN };

struct narrow {
    struct lab_node node; /* first */
    struct lab_node *reply;
    uint32_t mtu;
    bool silent;
};

static void answer4(struct narrow *narrow, const struct lab_packet *packet)
{
    struct lab_net *net = narrow->node.net;
    struct w_ip4 cause;
    if (wr_w_ip4_parse(packet->data, packet->len, &cause) != W_OK)
        return;
    size_t quoted = packet->len < QUOTED_MAX ? packet->len : QUOTED_MAX;
    size_t icmp_len = W_ICMP_HLEN + quoted, len = W_IP4_HLEN + icmp_len;
    struct lab_packet *answer = wr_lab_packet_new(net, len);
    if (answer == NULL)
        return;
    struct w_ip4 ip = {.src = weir_addr_v4(0x0afe0001), /* 10.254.0.1: a router's */
                       .dst = cause.src,
                       .total_len = (uint16_t)len,
                       .ttl = 64,
                       .proto = W_IPPROTO_ICMP,
                       .hdr_len = W_IP4_HLEN};
    struct w_icmp4 icmp = {
        .type = W_ICMP4_UNREACH, .code = W_ICMP4_UNREACH_FRAG, .rest = narrow->mtu};
    wr_w_ip4_emit(answer->data, &ip);
    memcpy(answer->data + W_IP4_HLEN + W_ICMP_HLEN, packet->data, quoted);
    wr_w_icmp4_emit(answer->data + W_IP4_HLEN, icmp_len, &icmp);
    wr_lab_packet_read(answer, net->n_flows);
    wr_lab_pass(net, narrow->reply, answer);
}

static void answer6(struct narrow *narrow, const struct lab_packet *packet)
{
    static const uint8_t router[16] = {0xfd, 0, 0, 0, 0, 0, 0, 0xfe, 0, 0, 0, 0, 0, 0, 0, 1};
    struct lab_net *net = narrow->node.net;
    struct w_ip6 cause;
    if (wr_w_ip6_parse(packet->data, packet->len, &cause) != W_OK)
        return;
    size_t quoted = packet->len < QUOTED6_MAX ? packet->len : QUOTED6_MAX;
    size_t icmp_len = W_ICMP_HLEN + quoted;
    struct lab_packet *answer = wr_lab_packet_new(net, W_IP6_HLEN + icmp_len);
    if (answer == NULL)
        return;
    struct w_ip6 ip = {.src = weir_addr_from_v6_bytes(router),
                       .dst = cause.src,
                       .payload_len = (uint16_t)icmp_len,
                       .next = W_IPPROTO_ICMP6,
                       .hop_limit = 64};
    struct w_icmp6 icmp = {.type = W_ICMP6_TOO_BIG, .rest = narrow->mtu};
    wr_w_ip6_emit(answer->data, &ip);
    memcpy(answer->data + W_IP6_HLEN + W_ICMP_HLEN, packet->data, quoted);
    wr_w_icmp6_emit(answer->data + W_IP6_HLEN, icmp_len, &ip.src, &ip.dst, &icmp);
    wr_lab_packet_read(answer, net->n_flows);
    wr_lab_pass(net, narrow->reply, answer);
}

static void narrow_forward(struct lab_node *node, struct lab_packet *packet, weir_time now)
{
    struct narrow *narrow = (struct narrow *)node;
    (void)now;
    if (packet->len <= narrow->mtu) {
        wr_lab_pass(node->net, node->next, packet);
        return;
    }
    if (!narrow->silent && narrow->reply != NULL) {
        if (packet->data[0] >> 4 == 4)
            answer4(narrow, packet);
        else
            answer6(narrow, packet);
    }
    wr_lab_drop(node->net, packet, LAB_TOO_BIG);
}

static weir_time narrow_next_run_at(const struct lab_node *node)
{
    (void)node;
    return WEIR_TIME_NEVER;
}

static const struct lab_node_ops narrow_ops = {.forward = narrow_forward,
                                               .next_run_at = narrow_next_run_at};

struct lab_node *wr_lab_narrow_new(struct lab_net *net, const char *name, uint32_t mtu, bool silent,
                                   struct lab_node *reply)
{
    struct narrow *narrow = wr_lab_node_new(net, sizeof *narrow, &narrow_ops, name);
    if (narrow == NULL)
        return NULL;
    narrow->mtu = mtu;
    narrow->silent = silent;
    narrow->reply = reply;
    return &narrow->node;
}
