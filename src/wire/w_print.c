/* SPDX-License-Identifier: MIT */
/*
 * Each layer prints its part and hands the rest on; whatever a parser refuses ends the line with
 * its reason in brackets. A fragment's payload is not interpreted.
 */
#include "wire/w_print.h"

#include <stdbool.h>

#include "base/bytes.h"
#include "base/text.h"
#include "wire/w_arp.h"
#include "wire/w_csum.h"
#include "wire/w_eth.h"
#include "wire/w_icmp4.h"
#include "wire/w_icmp6.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_ip6ext.h"
#include "wire/w_ndp.h"
#include "wire/w_tcp.h"
#include "wire/w_tcpopt.h"
#include "wire/w_udp.h"

/* What the upper layers need of the packet. */
struct packet {
    struct wr_text *t;
    struct weir_addr src, dst;
    uint8_t proto;
    uint8_t hop_limit;
    bool csum_partial;
    const uint8_t *p; /* upper layer */
    size_t len;
};

/* The name, which brings its own space, and the number. */
static void named(struct wr_text *t, const char *name, uint64_t v)
{
    wr_text_str(t, name);
    wr_text_u64(t, v);
}

static void bad(struct wr_text *t, const char *what, enum w_err err)
{
    wr_text_str(t, t->len > 0 ? " [" : "[");
    wr_text_str(t, what);
    wr_text_str(t, ": ");
    wr_text_str(t, wr_w_err_text(err));
    wr_text_char(t, ']');
}

static void end_point(struct wr_text *t, const struct weir_addr *a, uint16_t port)
{
    wr_text_addr(t, a);
    named(t, ".", port);
}

/* " src > dst:" with or without ports. */
static void from_to(const struct packet *pkt, bool ports, uint16_t src_port, uint16_t dst_port)
{
    struct wr_text *t = pkt->t;

    wr_text_char(t, ' ');
    if (ports)
        end_point(t, &pkt->src, src_port);
    else
        wr_text_addr(t, &pkt->src);
    wr_text_str(t, " > ");
    if (ports)
        end_point(t, &pkt->dst, dst_port);
    else
        wr_text_addr(t, &pkt->dst);
    wr_text_char(t, ':');
}

/*
 * --- TCP ---------------------------------------------------------------------------------------
 */

static void tcp_flags(struct wr_text *t, uint16_t flags)
{
    static const struct {
        uint16_t flag;
        char name;
    } names[] = {{W_TCP_FIN, 'F'}, {W_TCP_SYN, 'S'}, {W_TCP_RST, 'R'},
                 {W_TCP_PSH, 'P'}, {W_TCP_ACK, '.'}, {W_TCP_URG, 'U'},
                 {W_TCP_ECE, 'E'}, {W_TCP_CWR, 'W'}, {W_TCP_AE, 'e'}};

    wr_text_str(t, " Flags [");
    if (flags == 0)
        wr_text_str(t, "none");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((flags & names[i].flag) != 0)
            wr_text_char(t, names[i].name);
    }
    wr_text_char(t, ']');
}

static void tcp_sack(struct wr_text *t, const uint8_t *o, size_t len)
{
    named(t, "sack ", (len - 2) / 8);
    wr_text_str(t, " {");
    for (size_t i = 2; i + 8 <= len; i += 8) {
        if (i > 2)
            wr_text_char(t, ' ');
        wr_text_u64(t, get_be32(o + i));
        named(t, ":", get_be32(o + i + 4));
    }
    wr_text_char(t, '}');
}

static void tcp_fastopen(struct wr_text *t, const uint8_t *cookie, size_t len, bool exp)
{
    wr_text_str(t, exp ? "exp-tfo" : "tfo");
    if (len == 0) {
        wr_text_str(t, " cookiereq");
    } else {
        wr_text_str(t, " cookie ");
        wr_text_bytes(t, cookie, len, '\0');
    }
}

/* One option of `len` bytes, whose length its kind allows; false otherwise. */
static bool tcp_known_option(struct wr_text *t, const uint8_t *o, size_t len)
{
    if (o[0] == W_TCPOPT_MSS && len == 4) {
        named(t, "mss ", get_be16(o + 2));
    } else if (o[0] == W_TCPOPT_WSCALE && len == 3) {
        named(t, "wscale ", o[2]);
    } else if (o[0] == W_TCPOPT_SACKOK && len == 2) {
        wr_text_str(t, "sackOK");
    } else if (o[0] == W_TCPOPT_SACK && len >= 10 && (len - 2) % 8 == 0) {
        tcp_sack(t, o, len);
    } else if (o[0] == W_TCPOPT_TS && len == 10) {
        named(t, "TS val ", get_be32(o + 2));
        named(t, " ecr ", get_be32(o + 6));
    } else if (o[0] == W_TCPOPT_UTO && len == 4) {
        named(t, "uto ", get_be16(o + 2) & 0x7fffu);
        wr_text_char(t, (o[2] & 0x80) != 0 ? 'm' : 's');
    } else if (o[0] == W_TCPOPT_FASTOPEN) {
        tcp_fastopen(t, o + 2, len - 2, false);
    } else if (o[0] == W_TCPOPT_EXP && len >= 4 && get_be16(o + 2) == W_TCPOPT_EXP_FASTOPEN) {
        tcp_fastopen(t, o + 4, len - 4, true);
    } else {
        return false;
    }
    return true;
}

/* One option of `len` bytes, of any kind. */
static void tcp_option(struct wr_text *t, const uint8_t *o, size_t len)
{
    if (tcp_known_option(t, o, len))
        return;
    named(t, "unknown-", o[0]);
    if (len > 2) {
        wr_text_str(t, " 0x");
        wr_text_bytes(t, o + 2, len - 2, '\0');
    }
}

static void tcp_options(struct wr_text *t, const uint8_t *o, size_t len)
{
    const char *sep = "";

    if (len == 0)
        return;
    wr_text_str(t, ", options [");
    while (len > 0) {
        size_t n = 1;
        wr_text_str(t, sep);
        sep = ",";
        if (o[0] == W_TCPOPT_END) {
            wr_text_str(t, "eol");
            break;
        }
        if (o[0] == W_TCPOPT_NOP) {
            wr_text_str(t, "nop");
        } else if (len < 2 || o[1] < 2 || o[1] > len) {
            wr_text_str(t, "bad opt");
            break;
        } else {
            n = o[1];
            tcp_option(t, o, n);
        }
        o += n;
        len -= n;
    }
    wr_text_char(t, ']');
}

static void print_tcp(const struct packet *pkt)
{
    struct wr_text *t = pkt->t;
    struct w_tcp tcp;
    enum w_err err = wr_w_tcp_parse(pkt->p, pkt->len, &tcp);

    if (err == W_SHORT) {
        from_to(pkt, false, 0, 0);
        bad(t, "tcp", err);
        return;
    }
    from_to(pkt, true, tcp.src_port, tcp.dst_port);
    tcp_flags(t, tcp.flags);
    if (err != W_OK) {
        bad(t, "tcp", err);
        return;
    }
    size_t data = pkt->len - tcp.data_off;
    if (data > 0 || (tcp.flags & (W_TCP_SYN | W_TCP_FIN | W_TCP_RST)) != 0)
        named(t, ", seq ", tcp.seq);
    if (data > 0)
        named(t, ":", (uint32_t)(tcp.seq + data));
    if ((tcp.flags & W_TCP_ACK) != 0)
        named(t, ", ack ", tcp.ack);
    named(t, ", win ", tcp.wnd);
    if ((tcp.flags & W_TCP_URG) != 0)
        named(t, ", urg ", tcp.urg);
    tcp_options(t, pkt->p + W_TCP_HLEN, (size_t)tcp.data_off - W_TCP_HLEN);
    named(t, ", length ", data);
    if (!pkt->csum_partial && !wr_w_tcp_csum_ok(pkt->p, pkt->len, &pkt->src, &pkt->dst))
        bad(t, "tcp", W_CSUM);
}

/*
 * --- UDP ---------------------------------------------------------------------------------------
 */

static void print_udp(const struct packet *pkt)
{
    struct wr_text *t = pkt->t;
    struct w_udp udp = {0};
    enum w_err err = wr_w_udp_parse(pkt->p, pkt->len, &udp);

    from_to(pkt, err != W_SHORT, udp.src_port, udp.dst_port);
    wr_text_str(t, " UDP");
    if (err != W_OK) {
        bad(t, "udp", err);
        return;
    }
    named(t, ", length ", udp.len - (unsigned)W_UDP_HLEN);
    if (!pkt->csum_partial && !wr_w_udp_csum_ok(pkt->p, &udp, &pkt->src, &pkt->dst))
        bad(t, "udp", W_CSUM);
}

/*
 * --- ICMP --------------------------------------------------------------------------------------
 */

struct name {
    uint8_t value;
    const char *text;
};

/* The text of a value in a list that ends with a NULL text; else "<kind> <value>". */
static void look_up(struct wr_text *t, const struct name *names, uint8_t value, const char *kind)
{
    for (; names->text != NULL; names++) {
        if (names->value == value) {
            wr_text_str(t, names->text);
            return;
        }
    }
    named(t, kind, value);
}

static void echo(struct wr_text *t, bool request, uint32_t rest)
{
    wr_text_str(t, request ? "echo request" : "echo reply");
    named(t, ", id ", wr_w_icmp_echo_id(rest));
    named(t, ", seq ", wr_w_icmp_echo_seq(rest));
}

/* The packet that an error quotes: " (for IP a > b: proto 6)". */
static void quoted(struct wr_text *t, const uint8_t *p, size_t len, bool v6)
{
    struct w_quote q;
    enum w_err err = v6 ? wr_w_icmp6_quote(p, len, &q) : wr_w_icmp4_quote(p, len, &q);

    if (err != W_OK) {
        bad(t, "quoted packet", err);
        return;
    }
    bool ports =
        (q.proto == W_IPPROTO_TCP || q.proto == W_IPPROTO_UDP) && q.l4_len >= 4 && !q.is_fragment;
    struct packet inner = {.t = t, .src = q.src, .dst = q.dst};
    wr_text_str(t, v6 ? " (for IP6" : " (for IP");
    from_to(&inner, ports, ports ? get_be16(q.l4) : 0, ports ? get_be16(q.l4 + 2) : 0);
    named(t, " proto ", q.proto);
    wr_text_char(t, ')');
}

static void icmp4_unreachable(struct wr_text *t, const struct w_icmp4 *icmp)
{
    static const struct name codes[] = {{W_ICMP4_UNREACH_NET, "net"},
                                        {W_ICMP4_UNREACH_HOST, "host"},
                                        {W_ICMP4_UNREACH_PROTO, "protocol"},
                                        {W_ICMP4_UNREACH_PORT, "port"},
                                        {W_ICMP4_UNREACH_FRAG, "need to frag"},
                                        {W_ICMP4_UNREACH_SRCRT, "source route failed"},
                                        {W_ICMP4_UNREACH_NET_PROHIB, "net prohibited"},
                                        {W_ICMP4_UNREACH_HOST_PROHIB, "host prohibited"},
                                        {W_ICMP4_UNREACH_PROHIB, "admin prohibited"},
                                        {0, NULL}};
    wr_text_str(t, "unreachable - ");
    look_up(t, codes, icmp->code, "code ");
    if (icmp->code == W_ICMP4_UNREACH_FRAG)
        named(t, ", mtu ", wr_w_icmp4_mtu(icmp->rest));
}

static void icmp4_message(const struct packet *pkt, const struct w_icmp4 *icmp)
{
    static const struct name types[] = {{W_ICMP4_QUENCH, "source quench"},
                                        {W_ICMP4_REDIRECT, "redirect"},
                                        {W_ICMP4_TIMESTAMP, "time stamp query"},
                                        {W_ICMP4_TIMESTAMP_REPLY, "time stamp reply"},
                                        {0, NULL}};
    struct wr_text *t = pkt->t;

    if (icmp->type == W_ICMP4_ECHO || icmp->type == W_ICMP4_ECHO_REPLY)
        echo(t, icmp->type == W_ICMP4_ECHO, icmp->rest);
    else if (icmp->type == W_ICMP4_UNREACH)
        icmp4_unreachable(t, icmp);
    else if (icmp->type == W_ICMP4_TIME_EXCEEDED)
        wr_text_str(t, icmp->code == W_ICMP4_EXC_TTL ? "time exceeded in-transit"
                                                     : "ip reassembly time exceeded");
    else if (icmp->type == W_ICMP4_PARAM_PROBLEM)
        named(t, "parameter problem - octet ", wr_w_icmp4_pointer(icmp->rest));
    else
        look_up(t, types, icmp->type, "type ");
    if (wr_w_icmp4_is_error(icmp->type))
        quoted(t, pkt->p + W_ICMP_HLEN, pkt->len - W_ICMP_HLEN, false);
}

static void print_icmp4(const struct packet *pkt)
{
    struct wr_text *t = pkt->t;
    struct w_icmp4 icmp;
    enum w_err err = wr_w_icmp4_parse(pkt->p, pkt->len, &icmp);

    from_to(pkt, false, 0, 0);
    wr_text_str(t, err == W_SHORT ? " ICMP" : " ICMP ");
    if (err != W_SHORT)
        icmp4_message(pkt, &icmp);
    named(t, ", length ", pkt->len);
    if (err == W_SHORT || (err == W_CSUM && !pkt->csum_partial))
        bad(t, "icmp", err);
}

static void ndp_options(struct wr_text *t, const struct w_ndp *ndp)
{
    if (ndp->has_slla) {
        wr_text_str(t, ", source ");
        wr_text_bytes(t, ndp->slla, 6, ':');
    }
    if (ndp->has_tlla) {
        wr_text_str(t, ", target ");
        wr_text_bytes(t, ndp->tlla, 6, ':');
    }
    if (ndp->has_mtu)
        named(t, ", mtu ", ndp->mtu);
    for (unsigned i = 0; i < ndp->n_prefixes; i++) {
        wr_text_str(t, ", prefix ");
        wr_text_addr(t, &ndp->prefixes[i].prefix);
        named(t, "/", ndp->prefixes[i].len);
    }
}

static void print_ndp(const struct packet *pkt)
{
    struct wr_text *t = pkt->t;
    struct w_ndp ndp;
    enum w_err err = wr_w_ndp_parse(pkt->p, pkt->len, &pkt->src, &pkt->dst, pkt->hop_limit, &ndp);
    static const struct name types[] = {{W_ICMP6_RS, "router solicitation"},
                                        {W_ICMP6_RA, "router advertisement"},
                                        {W_ICMP6_NS, "neighbor solicitation, who has "},
                                        {W_ICMP6_NA, "neighbor advertisement, tgt is "},
                                        {W_ICMP6_REDIRECT, "redirect, "},
                                        {0, NULL}};

    look_up(t, types, pkt->p[0], "type ");
    if (err != W_OK) {
        bad(t, "ndp", err);
        return;
    }
    if (ndp.type >= W_ICMP6_NS)
        wr_text_addr(t, &ndp.target);
    if (ndp.type == W_ICMP6_REDIRECT) {
        wr_text_str(t, " to ");
        wr_text_addr(t, &ndp.dest);
    }
    ndp_options(t, &ndp);
}

static void icmp6_unreachable(struct wr_text *t, uint8_t code)
{
    static const struct name codes[] = {
        {W_ICMP6_UNREACH_ROUTE, "route"},         {W_ICMP6_UNREACH_PROHIB, "prohibited"},
        {W_ICMP6_UNREACH_SCOPE, "beyond scope"},  {W_ICMP6_UNREACH_ADDR, "address"},
        {W_ICMP6_UNREACH_PORT, "port"},           {W_ICMP6_UNREACH_POLICY, "source policy"},
        {W_ICMP6_UNREACH_REJECT, "reject route"}, {0, NULL}};
    wr_text_str(t, "destination unreachable, ");
    look_up(t, codes, code, "code ");
}

static void icmp6_message(const struct packet *pkt, const struct w_icmp6 *icmp)
{
    static const struct name types[] = {{W_ICMP6_MLD_QUERY, "multicast listener query"},
                                        {W_ICMP6_MLD_REPORT, "multicast listener report"},
                                        {W_ICMP6_MLD_DONE, "multicast listener done"},
                                        {W_ICMP6_MLD2_REPORT, "multicast listener report v2"},
                                        {0, NULL}};
    struct wr_text *t = pkt->t;

    if (icmp->type == W_ICMP6_ECHO || icmp->type == W_ICMP6_ECHO_REPLY) {
        echo(t, icmp->type == W_ICMP6_ECHO, icmp->rest);
    } else if (icmp->type >= W_ICMP6_RS && icmp->type <= W_ICMP6_REDIRECT) {
        print_ndp(pkt);
    } else if (icmp->type == W_ICMP6_UNREACH) {
        icmp6_unreachable(t, icmp->code);
    } else if (icmp->type == W_ICMP6_TOO_BIG) {
        named(t, "packet too big, mtu ", icmp->rest);
    } else if (icmp->type == W_ICMP6_TIME_EXCEEDED) {
        wr_text_str(t, icmp->code == W_ICMP6_EXC_HOPS ? "time exceeded in-transit"
                                                      : "reassembly time exceeded");
    } else if (icmp->type == W_ICMP6_PARAM_PROBLEM) {
        named(t, "parameter problem, code ", icmp->code);
        named(t, ", octet ", icmp->rest);
    } else {
        look_up(t, types, icmp->type, "type ");
    }
    if (wr_w_icmp6_is_error(icmp->type))
        quoted(t, pkt->p + W_ICMP_HLEN, pkt->len - W_ICMP_HLEN, true);
}

static void print_icmp6(const struct packet *pkt)
{
    struct wr_text *t = pkt->t;
    struct w_icmp6 icmp;
    enum w_err err = wr_w_icmp6_parse(pkt->p, pkt->len, &pkt->src, &pkt->dst, &icmp);

    from_to(pkt, false, 0, 0);
    wr_text_str(t, err == W_SHORT ? " ICMP6" : " ICMP6, ");
    if (err != W_SHORT)
        icmp6_message(pkt, &icmp);
    named(t, ", length ", pkt->len);
    if (err == W_SHORT || (err == W_CSUM && !pkt->csum_partial))
        bad(t, "icmp6", err);
}

/*
 * --- IP ----------------------------------------------------------------------------------------
 */

static void print_upper(const struct packet *pkt, bool v6)
{
    if (pkt->proto == W_IPPROTO_TCP) {
        print_tcp(pkt);
    } else if (pkt->proto == W_IPPROTO_UDP) {
        print_udp(pkt);
    } else if (pkt->proto == W_IPPROTO_ICMP && !v6) {
        print_icmp4(pkt);
    } else if (pkt->proto == W_IPPROTO_ICMP6 && v6) {
        print_icmp6(pkt);
    } else {
        from_to(pkt, false, 0, 0);
        named(pkt->t, " proto ", pkt->proto);
        named(pkt->t, ", length ", pkt->len);
    }
}

/* " a > b: proto 17 (frag 7:1480@0+)" */
static void print_fragment(const struct packet *pkt, uint32_t id, uint32_t off, bool more)
{
    struct wr_text *t = pkt->t;

    from_to(pkt, false, 0, 0);
    named(t, " proto ", pkt->proto);
    named(t, " (frag ", id);
    named(t, ":", pkt->len);
    named(t, "@", off);
    wr_text_str(t, more ? "+)" : ")");
}

static void print_ip4(struct packet *pkt, const uint8_t *p, size_t len)
{
    struct w_ip4 ip;
    enum w_err err = wr_w_ip4_parse(p, len, &ip);

    wr_text_str(pkt->t, "IP");
    if (err != W_OK && err != W_CSUM) {
        bad(pkt->t, "ip", err);
        return;
    }
    pkt->src = ip.src;
    pkt->dst = ip.dst;
    pkt->proto = ip.proto;
    pkt->hop_limit = ip.ttl;
    pkt->p = p + ip.hdr_len;
    pkt->len = (size_t)ip.total_len - ip.hdr_len;
    if (wr_w_ip4_is_fragment(&ip))
        print_fragment(pkt, ip.id, ip.frag_off, ip.more_frags);
    else
        print_upper(pkt, false);
    if (err != W_OK)
        bad(pkt->t, "ip", err);
}

static void print_ip6(struct packet *pkt, const uint8_t *p, size_t len)
{
    struct w_ip6 ip;
    struct w_ip6ext ext;
    enum w_err err = wr_w_ip6_parse(p, len, &ip);

    wr_text_str(pkt->t, "IP6");
    if (err != W_OK) {
        bad(pkt->t, "ip6", err);
        return;
    }
    len = W_IP6_HLEN + (size_t)ip.payload_len;
    wr_w_ip6ext_walk(p, len, &ext);
    pkt->src = ip.src;
    pkt->dst = ip.dst;
    pkt->proto = ext.proto;
    pkt->hop_limit = ip.hop_limit;
    pkt->p = p + ext.off;
    pkt->len = len - ext.off;
    if (ext.act != W_IP6EXT_ACCEPT) {
        from_to(pkt, false, 0, 0);
        bad(pkt->t, "ip6 header chain", ext.err);
    } else if (ext.has_frag && !ext.atomic) {
        print_fragment(pkt, ext.frag_id, ext.frag_off, ext.more_frags);
    } else {
        print_upper(pkt, true);
    }
}

static void print_ip(struct packet *pkt, const uint8_t *p, size_t len)
{
    if (len > 0 && p[0] >> 4 == 6)
        print_ip6(pkt, p, len);
    else if (len > 0 && p[0] >> 4 == 4)
        print_ip4(pkt, p, len);
    else
        bad(pkt->t, "ip", len == 0 ? W_SHORT : W_VERSION);
}

/*
 * --- link --------------------------------------------------------------------------------------
 */

static void print_arp(struct wr_text *t, const uint8_t *p, size_t len)
{
    struct w_arp arp;
    enum w_err err = wr_w_arp_parse(p, len, &arp);

    wr_text_str(t, "ARP");
    if (err != W_OK) {
        bad(t, "arp", err);
    } else if (arp.op == W_ARP_REQUEST) {
        wr_text_str(t, ", Request who-has ");
        wr_text_addr(t, &arp.tpa);
        wr_text_str(t, " tell ");
        wr_text_addr(t, &arp.spa);
    } else {
        wr_text_str(t, ", Reply ");
        wr_text_addr(t, &arp.spa);
        wr_text_str(t, " is-at ");
        wr_text_bytes(t, arp.sha, 6, ':');
    }
    named(t, ", length ", len);
}

static void print_eth(struct packet *pkt, const uint8_t *p, size_t len)
{
    struct wr_text *t = pkt->t;
    struct w_eth eth;
    enum w_err err = wr_w_eth_parse(p, len, &eth);

    if (err != W_OK) {
        bad(t, "ethernet", err);
        return;
    }
    p += W_ETH_HLEN;
    len -= W_ETH_HLEN;
    if (eth.type == W_ETHERTYPE_IP4 || eth.type == W_ETHERTYPE_IP6) {
        print_ip(pkt, p, len);
    } else if (eth.type == W_ETHERTYPE_ARP) {
        print_arp(t, p, len);
    } else {
        wr_text_bytes(t, eth.src, 6, ':');
        wr_text_str(t, " > ");
        wr_text_bytes(t, eth.dst, 6, ':');
        wr_text_str(t, ", ethertype 0x");
        wr_text_hex(t, eth.type, 4);
        named(t, ", length ", len);
    }
}

size_t wr_w_print(char *buf, size_t cap, enum w_print_link link, const uint8_t *frame, size_t len,
                  bool csum_partial)
{
    struct wr_text t;
    struct packet pkt = {.t = &t, .csum_partial = csum_partial};

    wr_text_init(&t, buf, cap);
    if (link == W_PRINT_ETH)
        print_eth(&pkt, frame, len);
    else
        print_ip(&pkt, frame, len);
    return t.len;
}
