/* SPDX-License-Identifier: MIT */
/* What nodes read from a packet's headers and write into them, of both IP versions. */
#include <string.h>

#include "base/bytes.h"
#include "lab/lab_node.h"
#include "wire/w_csum.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_tcp.h"

enum { ECN_MASK = 3, ECN_CE = 3 };

static void read_ecn(struct lab_packet *packet, unsigned traffic_class)
{
    packet->ect = (traffic_class & ECN_MASK) != 0;
    packet->ce = (traffic_class & ECN_MASK) == ECN_CE;
}

static void read_tcp(struct lab_packet *packet, size_t at, size_t end, unsigned n_flows)
{
    struct w_tcp tcp;
    if (end < at || end > packet->len || wr_w_tcp_parse(packet->data + at, end - at, &tcp) != W_OK)
        return;
    bool signals = (tcp.flags & (W_TCP_SYN | W_TCP_FIN | W_TCP_RST)) != 0;
    packet->has_data = end - at > tcp.data_off;
    packet->pure_ack = !signals && !packet->has_data;
    unsigned to = tcp.dst_port - (unsigned)LAB_PORT, from = tcp.src_port - (unsigned)LAB_PORT;
    unsigned flow = to < n_flows ? to : from;
    packet->flow = flow < n_flows ? (uint16_t)flow : LAB_FLOW_NONE;
}

void wr_lab_packet_read(struct lab_packet *packet, unsigned n_flows)
{
    struct w_ip4 ip4;
    struct w_ip6 ip6;
    if (packet->len > 0 && packet->data[0] >> 4 == 4) {
        if (wr_w_ip4_parse(packet->data, packet->len, &ip4) != W_OK)
            return;
        packet->dst = ip4.dst;
        read_ecn(packet, ip4.tos);
        if (ip4.proto == W_IPPROTO_TCP && !wr_w_ip4_is_fragment(&ip4))
            read_tcp(packet, ip4.hdr_len, ip4.total_len, n_flows);
    } else if (wr_w_ip6_parse(packet->data, packet->len, &ip6) == W_OK) {
        packet->dst = ip6.dst;
        read_ecn(packet, ip6.tclass);
        if (ip6.next == W_IPPROTO_TCP)
            read_tcp(packet, W_IP6_HLEN, (size_t)W_IP6_HLEN + ip6.payload_len, n_flows);
    }
}

void wr_lab_packet_mark(struct lab_packet *packet)
{
    uint8_t *p = packet->data;
    packet->ce = true;
    if (p[0] >> 4 == 4) {
        uint16_t was = get_be16(p);
        p[1] |= ECN_CE;
        put_be16(p + 10, wr_csum_update16(get_be16(p + 10), was, get_be16(p)));
    } else { /* the traffic class lies across the first two bytes */
        p[1] |= ECN_CE << 4;
    }
}
