/* SPDX-License-Identifier: MIT */
/* Packets that the stack sent, from bytes to a script's words. */
#include <string.h>

#include "base/bytes.h"
#include "drill/dr_packet.h"
#include "wire/w_icmp4.h"
#include "wire/w_icmp6.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_tcp.h"
#include "wire/w_tcpopt.h"
#include "wire/w_udp.h"

static bool all_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != 0)
            return false;
    return true;
}

/* One option with a length byte. */
static void decode_option(const uint8_t *p, size_t len, struct dr_opt *opt)
{
    if (p[0] == W_TCPOPT_MSS && len == 4) {
        opt->kind = DR_OPT_MSS;
        opt->a = get_be16(p + 2);
    } else if (p[0] == W_TCPOPT_WSCALE && len == 3) {
        opt->kind = DR_OPT_WSCALE;
        opt->a = p[2];
    } else if (p[0] == W_TCPOPT_SACKOK && len == 2) {
        opt->kind = DR_OPT_SACKOK;
    } else if (p[0] == W_TCPOPT_SACK && len >= 10 && (len - 2) % 8 == 0) {
        opt->kind = DR_OPT_SACK;
        opt->n = (unsigned)(len - 2) / 8;
        for (unsigned i = 0; i < opt->n; i++) {
            opt->sack[i].start = get_be32(p + 2 + (size_t)8 * i);
            opt->sack[i].end = get_be32(p + 6 + (size_t)8 * i);
        }
    } else if (p[0] == W_TCPOPT_TS && len == 10) {
        opt->kind = DR_OPT_TS;
        opt->a = get_be32(p + 2);
        opt->b = get_be32(p + 6);
    } else {
        opt->kind = DR_OPT_BYTES;
        opt->n = (unsigned)len;
        memcpy(opt->blob, p, len);
    }
}

static const char *decode_options(const uint8_t *p, size_t len, struct dr_packet *packet)
{
    for (size_t at = 0; at < len;) {
        struct dr_opt *opt = &packet->opts[packet->n_opts++];
        if (p[at] == W_TCPOPT_NOP) {
            opt->kind = DR_OPT_NOP;
            at++;
        } else if (p[at] == W_TCPOPT_END) {
            opt->kind = DR_OPT_EOL;
            return all_zero(p + at, len - at) ? NULL : "not zero behind the end of options";
        } else {
            if (len - at < 2 || p[at + 1] < 2 || p[at + 1] > len - at)
                return "TCP option without a right length";
            decode_option(p + at, p[at + 1], opt);
            at += p[at + 1];
        }
    }
    return NULL;
}

static const char *decode_tcp(const uint8_t *p, size_t len, struct dr_got *got)
{
    struct w_tcp tcp;
    if (wr_w_tcp_parse(p, len, &tcp) != W_OK)
        return "malformed TCP header";
    if (!wr_w_tcp_csum_ok(p, len, &got->from.addr, &got->to.addr))
        return "wrong TCP checksum";
    struct dr_packet *packet = &got->packet;
    packet->proto = DR_TCP;
    packet->has_ports = true;
    packet->src_port = got->from.port = tcp.src_port;
    packet->dst_port = got->to.port = tcp.dst_port;
    packet->flags = tcp.flags;
    packet->seq = tcp.seq;
    packet->ack = tcp.ack;
    packet->win = tcp.wnd;
    packet->urg = tcp.urg;
    packet->len = (uint32_t)(len - tcp.data_off);
    got->payload = p + tcp.data_off;
    got->payload_len = packet->len;
    return decode_options(p + W_TCP_HLEN, tcp.data_off - (size_t)W_TCP_HLEN, packet);
}

static const char *decode_udp(const uint8_t *p, size_t len, struct dr_got *got)
{
    struct w_udp udp;
    if (wr_w_udp_parse(p, len, &udp) != W_OK)
        return "malformed UDP header";
    if (!wr_w_udp_csum_ok(p, &udp, &got->from.addr, &got->to.addr))
        return "wrong UDP checksum";
    got->packet.proto = DR_UDP;
    got->packet.has_ports = true;
    got->packet.src_port = got->from.port = udp.src_port;
    got->packet.dst_port = got->to.port = udp.dst_port;
    got->payload = p + W_UDP_HLEN;
    got->payload_len = (size_t)(udp.len - W_UDP_HLEN);
    got->packet.len = (uint32_t)got->payload_len;
    return NULL;
}

static const char *decode_icmp(const uint8_t *p, size_t len, bool v4, struct dr_got *got)
{
    struct w_icmp4 icmp4;
    struct w_icmp6 icmp6;
    uint32_t rest;
    got->packet.proto = DR_ICMP;
    if (v4) {
        if (wr_w_icmp4_parse(p, len, &icmp4) != W_OK)
            return "malformed ICMP message";
        got->packet.icmp_type = icmp4.type;
        got->packet.icmp_code = icmp4.code;
        rest = icmp4.rest;
    } else {
        if (wr_w_icmp6_parse(p, len, &got->from.addr, &got->to.addr, &icmp6) != W_OK)
            return "malformed ICMPv6 message";
        got->packet.icmp_type = icmp6.type;
        got->packet.icmp_code = icmp6.code;
        rest = icmp6.rest;
    }
    got->packet.mtu = rest;
    got->packet.icmp_id = (uint16_t)(rest >> 16);
    got->quoted = p + W_ICMP_HLEN;
    got->quoted_len = len - W_ICMP_HLEN;
    return NULL;
}

/* The IP header: addresses, DS field, hop limit; what follows it and its protocol. */
static const char *decode_ip(const struct dr_sent *sent, struct dr_got *got, const uint8_t **l4,
                             size_t *len, uint8_t *proto)
{
    struct w_ip4 ip4;
    struct w_ip6 ip6;
    struct dr_ip_info *ip = &got->packet.ip;
    if (sent->len > 0 && sent->data[0] >> 4 == 4) {
        if (wr_w_ip4_parse(sent->data, sent->len, &ip4) != W_OK || ip4.total_len != sent->len)
            return "malformed IPv4 header";
        got->from.addr = ip4.src;
        got->to.addr = ip4.dst;
        ip->tos = ip4.tos;
        ip->ttl = ip4.ttl;
        *proto = ip4.proto;
        *l4 = sent->data + ip4.hdr_len;
        *len = sent->len - ip4.hdr_len;
        return wr_w_ip4_is_fragment(&ip4) ? "a fragment, which drill does not reassemble" : NULL;
    }
    if (wr_w_ip6_parse(sent->data, sent->len, &ip6) != W_OK ||
        (size_t)ip6.payload_len + W_IP6_HLEN != sent->len)
        return "malformed IPv6 header";
    got->from.addr = ip6.src;
    got->to.addr = ip6.dst;
    ip->tos = ip6.tclass;
    ip->ttl = ip6.hop_limit;
    *proto = ip6.next;
    *l4 = sent->data + W_IP6_HLEN;
    *len = sent->len - W_IP6_HLEN;
    return NULL;
}

const char *wr_dr_packet_decode(const struct dr_sent *sent, struct dr_got *got)
{
    const uint8_t *l4;
    size_t len;
    uint8_t proto;
    memset(got, 0, sizeof *got);
    got->at = sent->at;
    got->ifindex = sent->ifindex;
    const char *wrong = decode_ip(sent, got, &l4, &len, &proto);
    if (wrong)
        return wrong;
    got->packet.ip.ecn = got->packet.ip.tos & 3;
    if (proto == W_IPPROTO_TCP)
        return decode_tcp(l4, len, got);
    if (proto == W_IPPROTO_UDP)
        return decode_udp(l4, len, got);
    if (proto == W_IPPROTO_ICMP || proto == W_IPPROTO_ICMP6)
        return decode_icmp(l4, len, proto == W_IPPROTO_ICMP, got);
    return "a protocol that drill does not know";
}

void wr_dr_packet_to_script(struct dr_packet *packet, const struct dr_conn *conn)
{
    if (packet->proto != DR_TCP)
        return;
    packet->seq -= conn->local_shift;
    for (unsigned i = 0; i < packet->n_opts; i++)
        if (packet->opts[i].kind == DR_OPT_TS && conn->ts_known)
            packet->opts[i].a = conn->ts_script + (packet->opts[i].a - conn->ts_live);
}
