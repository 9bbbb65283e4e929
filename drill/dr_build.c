/* SPDX-License-Identifier: MIT */
/* Inbound packets: from a script's words to bytes on the wire. */
#include <string.h>

#include "base/bytes.h"
#include "drill/dr_packet.h"
#include "wire/w_csum.h"
#include "wire/w_icmp4.h"
#include "wire/w_icmp6.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_tcp.h"
#include "wire/w_tcpopt.h"
#include "wire/w_udp.h"

struct writer {
    uint8_t *p;
    size_t len, cap;
    bool full;
};

static void put(struct writer *w, const void *bytes, size_t n)
{
    if (n > w->cap - w->len) {
        w->full = true;
        return;
    }
    wr_bytes_copy(w->p + w->len, bytes, n);
    w->len += n;
}

static void put_u8(struct writer *w, unsigned v)
{
    uint8_t b = (uint8_t)v;
    put(w, &b, 1);
}

static void put_u32(struct writer *w, uint32_t v)
{
    uint8_t b[4];
    put_be32(b, v);
    put(w, b, sizeof b);
}

static void put_head(struct writer *w, unsigned kind, unsigned len)
{
    put_u8(w, kind);
    put_u8(w, len);
}

static void emit_option(struct writer *w, const struct dr_opt *opt, const struct dr_conn *conn)
{
    uint32_t shift = conn ? conn->local_shift : 0;
    switch (opt->kind) {
    case DR_OPT_NOP:
        put_u8(w, W_TCPOPT_NOP);
        break;
    case DR_OPT_EOL:
        put_u8(w, W_TCPOPT_END);
        break;
    case DR_OPT_MSS:
        put_head(w, W_TCPOPT_MSS, 4);
        put_u8(w, opt->a >> 8);
        put_u8(w, opt->a);
        break;
    case DR_OPT_WSCALE:
        put_head(w, W_TCPOPT_WSCALE, 3);
        put_u8(w, opt->a);
        break;
    case DR_OPT_SACKOK:
        put_head(w, W_TCPOPT_SACKOK, 2);
        break;
    case DR_OPT_SACK:
        put_head(w, W_TCPOPT_SACK, 2 + 8 * opt->n);
        for (unsigned i = 0; i < opt->n; i++) {
            put_u32(w, opt->sack[i].start + shift);
            put_u32(w, opt->sack[i].end + shift);
        }
        break;
    case DR_OPT_TS:
        put_head(w, W_TCPOPT_TS, 10);
        put_u32(w, opt->a);
        put_u32(w, conn ? wr_dr_conn_echo(conn, opt->b) : opt->b);
        break;
    case DR_OPT_BYTES:
        put(w, opt->blob, opt->n);
        break;
    }
}

size_t wr_dr_options_emit(const struct dr_packet *packet, const struct dr_conn *conn,
                          uint8_t *bytes, size_t cap)
{
    struct writer w = {.p = bytes, .cap = cap};
    for (unsigned i = 0; i < packet->n_opts; i++)
        emit_option(&w, &packet->opts[i], conn);
    while (w.len % 4 != 0 && !w.full)
        put_u8(&w, W_TCPOPT_END);
    return w.full ? 0 : w.len;
}

/* The stream's pattern from the place that the segment's sequence number says, or the fill. */
static void fill_payload(const struct dr_packet *packet, const struct dr_conn *conn, uint8_t *to)
{
    uint32_t at = packet->seq - conn->remote_isn;
    if (!(packet->flags & W_TCP_SYN))
        at--;
    for (uint32_t i = 0; i < packet->len; i++)
        to[i] = packet->ip.has_fill ? packet->ip.fill : wr_dr_pattern((uint32_t)(at + i));
}

static void seal(uint8_t *field, const uint8_t *start, size_t len, const struct weir_addr *src,
                 const struct weir_addr *dst, uint8_t proto)
{
    put_be16(field, 0);
    uint64_t sum = wr_csum_pseudo(src, dst, proto, (uint32_t)len);
    put_be16(field, wr_csum_finish(wr_csum_add(sum, start, len)));
}

/* A TCP segment at p; its length, or 0. */
static size_t build_tcp(const struct dr_packet *packet, const struct dr_conn *conn,
                        const struct weir_addr *src, const struct weir_addr *dst, uint8_t *p)
{
    size_t options = wr_dr_options_emit(packet, conn, p + W_TCP_HLEN, W_TCPOPT_MAX);
    if (packet->n_opts > 0 && options == 0)
        return 0;
    struct w_tcp tcp = {.src_port = packet->has_ports ? packet->src_port : conn->remote.port,
                        .dst_port = packet->has_ports ? packet->dst_port : conn->local.port,
                        .seq = packet->seq,
                        .flags = packet->flags,
                        .wnd = (uint16_t)packet->win,
                        .urg = packet->urg,
                        .data_off = (uint8_t)(W_TCP_HLEN + options)};
    if (packet->flags & W_TCP_ACK)
        tcp.ack = packet->ack + conn->local_shift;
    wr_w_tcp_emit(p, &tcp);
    if (packet->ip.offset_words >= 0)
        p[12] = (uint8_t)((p[12] & 0x0f) | packet->ip.offset_words << 4);
    size_t len = tcp.data_off + packet->len;
    fill_payload(packet, conn, p + tcp.data_off);
    seal(p + W_TCP_OFF_CSUM, p, len, src, dst, W_IPPROTO_TCP);
    return len;
}

static size_t build_udp(const struct dr_packet *packet, const struct dr_conn *conn,
                        const struct weir_addr *src, const struct weir_addr *dst, uint8_t *p)
{
    size_t len = W_UDP_HLEN + packet->len;
    struct w_udp udp = {.src_port = packet->has_ports ? packet->src_port : conn->remote.port,
                        .dst_port = packet->has_ports ? packet->dst_port : conn->local.port,
                        .len = (uint16_t)len};
    wr_w_udp_emit(p, &udp);
    for (uint32_t i = 0; i < packet->len; i++)
        p[W_UDP_HLEN + i] = packet->ip.has_fill ? packet->ip.fill : wr_dr_pattern(i);
    wr_w_udp_seal(p, len, src, dst);
    return len;
}

/* ---- IP -------------------------------------------------------------------------------------- */

static size_t ip_head_len(const struct dr_packet *packet, bool v4)
{
    return v4 ? W_IP4_HLEN + packet->ip.ip_options_len : W_IP6_HLEN;
}

static uint8_t ds_field(const struct dr_ip_info *ip)
{
    return ip->has_tos ? ip->tos : ip->has_ecn ? ip->ecn : 0;
}

/* Writes the IP header in front of `len` bytes of payload. */
static void emit_ip(const struct dr_ip_info *info, const struct weir_addr *src,
                    const struct weir_addr *dst, uint8_t proto, size_t len, uint8_t *p)
{
    uint8_t hops = info->ttl ? info->ttl : 64;
    if (!weir_addr_is_v4(src)) {
        struct w_ip6 ip6 = {.src = *src,
                            .dst = *dst,
                            .payload_len = (uint16_t)len,
                            .tclass = ds_field(info),
                            .next = proto,
                            .hop_limit = hops};
        wr_w_ip6_emit(p, &ip6);
        return;
    }
    size_t head = W_IP4_HLEN + info->ip_options_len;
    struct w_ip4 ip4 = {.src = *src,
                        .dst = *dst,
                        .total_len = (uint16_t)(head + len),
                        .tos = ds_field(info),
                        .ttl = hops,
                        .proto = proto,
                        .hdr_len = (uint8_t)head,
                        .dont_frag = true,
                        .opts = info->ip_options};
    wr_w_ip4_emit(p, &ip4);
}

/* The start of the packet of ours that an ICMP error is about, as it was sent. */
static size_t build_quote(const struct dr_packet *packet, const struct dr_conn *conn, uint8_t *p)
{
    const struct weir_addr *src = &conn->local.addr, *dst = &conn->remote.addr;
    size_t head = weir_addr_is_v4(src) ? W_IP4_HLEN : W_IP6_HLEN;
    struct dr_ip_info plain = {.ttl = 64};
    uint8_t *l4 = p + head;
    size_t l4_head = W_TCP_HLEN;
    if (packet->quote == DR_QUOTE_UDP) {
        l4_head = W_UDP_HLEN;
        struct w_udp udp = {.src_port = conn->local.port,
                            .dst_port = conn->remote.port,
                            .len = (uint16_t)(l4_head + packet->quote_len)};
        wr_w_udp_emit(l4, &udp);
    } else {
        struct w_tcp tcp = {.src_port = conn->local.port,
                            .dst_port = conn->remote.port,
                            .seq = packet->quote_seq + conn->local_shift,
                            .flags = W_TCP_ACK,
                            .data_off = W_TCP_HLEN};
        wr_w_tcp_emit(l4, &tcp);
    }
    uint8_t proto = packet->quote == DR_QUOTE_UDP ? W_IPPROTO_UDP : W_IPPROTO_TCP;
    emit_ip(&plain, src, dst, proto, l4_head + packet->quote_len, p);
    return head + l4_head;
}

static size_t build_icmp(const struct dr_packet *packet, const struct dr_conn *conn,
                         const struct weir_addr *src, const struct weir_addr *dst, uint8_t *p)
{
    bool v4 = weir_addr_is_v4(src);
    size_t body = 0;
    if (packet->quote == DR_QUOTE_RAW) {
        for (body = 0; body < packet->quote_len; body++)
            p[W_ICMP_HLEN + body] = wr_dr_pattern(body);
    } else if (packet->quote != DR_QUOTE_NONE || (v4 ? wr_w_icmp4_is_error(packet->icmp_type)
                                                     : wr_w_icmp6_is_error(packet->icmp_type))) {
        body = build_quote(packet, conn, p + W_ICMP_HLEN);
    }
    uint32_t rest = packet->has_icmp_id ? (uint32_t)packet->icmp_id << 16 : packet->mtu;
    size_t len = W_ICMP_HLEN + body;
    if (v4) {
        struct w_icmp4 icmp = {.type = packet->icmp_type, .code = packet->icmp_code, .rest = rest};
        wr_w_icmp4_emit(p, len, &icmp);
    } else {
        struct w_icmp6 icmp = {.type = packet->icmp_type, .code = packet->icmp_code, .rest = rest};
        wr_w_icmp6_emit(p, len, src, dst, &icmp);
    }
    return len;
}

/* Where the transport checksum stands, to spoil it. */
static size_t checksum_offset(enum dr_proto proto)
{
    return proto == DR_TCP ? W_TCP_OFF_CSUM : proto == DR_UDP ? 6 : 2;
}

size_t wr_dr_packet_build(const struct dr_packet *packet, const struct dr_conn *conn,
                          uint8_t *bytes)
{
    if (packet->proto == DR_RAW) {
        if (packet->raw_len > DR_PACKET_MAX)
            return 0;
        memcpy(bytes, packet->raw, packet->raw_len);
        return packet->raw_len;
    }
    const struct weir_addr *src = packet->ip.has_from ? &packet->ip.from : &conn->remote.addr;
    const struct weir_addr *dst = packet->ip.has_to ? &packet->ip.to : &conn->local.addr;
    bool v4 = weir_addr_is_v4(src);
    if (v4 != weir_addr_is_v4(dst) || (!v4 && packet->ip.ip_options_len > 0))
        return 0;
    size_t head = ip_head_len(packet, v4);
    if (head + W_TCP_HLEN_MAX + packet->len + packet->quote_len > 65535)
        return 0;
    uint8_t *l4 = bytes + head;
    uint8_t proto = W_IPPROTO_TCP;
    size_t len = 0;
    if (packet->proto == DR_TCP) {
        len = build_tcp(packet, conn, src, dst, l4);
    } else if (packet->proto == DR_UDP) {
        proto = W_IPPROTO_UDP;
        len = build_udp(packet, conn, src, dst, l4);
    } else {
        proto = v4 ? W_IPPROTO_ICMP : W_IPPROTO_ICMP6;
        len = build_icmp(packet, conn, src, dst, l4);
    }
    if (len == 0)
        return 0;
    if (packet->ip.bad_checksum)
        l4[checksum_offset(packet->proto)] ^= 0xff;
    emit_ip(&packet->ip, src, dst, proto, len, bytes);
    len += head;
    return packet->ip.cut < len ? len - packet->ip.cut : 0;
}
