/* SPDX-License-Identifier: MIT */
/*
 * ICMP and ICMPv6 as they come in: RFC 792, RFC 1122 3.2.2, RFC 4443.
 *
 * Echo requests are answered, whatever their size (fragments on both ways); replies are for ping sockets
 * (udp_ping.c). Errors become one struct
 * wr_icmp_error for the transport whose packet they quote, with the errno that Linux's tables give; what
 * it quotes must have been sent by us and hold the first 8 bytes of the transport header. That the
 * connection exists and the sequence number fits is for the transport to see (RFC 5927 4).
 *
 * IPv4 redirects, source quench (RFC 6633), timestamp and address mask are ignored: they may not change
 * anything here. Router discovery is ICMPv6's alone (ip_ndp.c).
 */
#include "ip/ip.h"

#include "tcp/tcp_entry.h"
#include "udp/udp_entry.h"
#include "wire/w_csum.h"
#include "wire/w_icmp4.h"
#include "wire/w_icmp6.h"

struct convert {
    int error;
    bool hard;
};

/* Linux's icmp_err_convert, by code of destination unreachable. */
static const struct convert unreach4[] = {
    {WEIR_ENETUNREACH, false},  /* net */
    {WEIR_EHOSTUNREACH, false}, /* host */
    {WEIR_ENOPROTOOPT, true},   /* protocol */
    {WEIR_ECONNREFUSED, true},  /* port */
    {WEIR_EMSGSIZE, false},     /* fragmentation needed */
    {WEIR_ENOTSUP, false},      /* source route failed */
    {WEIR_ENETUNREACH, true},   /* net unknown */
    {WEIR_EHOSTDOWN, true},     /* host unknown */
    {WEIR_ENONET, true},        /* host isolated */
    {WEIR_ENETUNREACH, true},   /* net prohibited */
    {WEIR_EHOSTUNREACH, true},  /* host prohibited */
    {WEIR_ENETUNREACH, false},  /* net, for this type of service */
    {WEIR_EHOSTUNREACH, false}, /* host, for this type of service */
    {WEIR_EHOSTUNREACH, true},  /* prohibited by filter */
    {WEIR_EHOSTUNREACH, true},  /* precedence violation */
    {WEIR_EHOSTUNREACH, true},  /* precedence cutoff */
};

/* Linux's tab_unreach of ICMPv6. */
static const struct convert unreach6[] = {
    {WEIR_ENETUNREACH, false},  /* no route */
    {WEIR_EACCES, true},        /* prohibited */
    {WEIR_EHOSTUNREACH, false}, /* beyond scope */
    {WEIR_EHOSTUNREACH, false}, /* address */
    {WEIR_ECONNREFUSED, true},  /* port */
    {WEIR_EACCES, true},        /* source address failed policy */
    {WEIR_EACCES, true},        /* reject route */
};

/* ---- errors ------------------------------------------------------------------------------------ */

/* Hands an error to the socket that sent the quoted packet. False: to none, which is for the caller to
 * count. What is no socket's business (TCP without a connection) has been counted. */
static bool report(struct weir_stack *stack, const struct w_quote *quote, struct convert what,
                   uint32_t mtu, const struct weir_addr *from, weir_time now)
{
    struct wr_icmp_error error = {
        .local = quote->src,
        .remote = quote->dst,
        .proto = quote->proto,
        .quoted = quote->l4,
        .quoted_len = quote->l4_len,
        .error = what.error,
        .hard = what.hard,
        .mtu = mtu,
        .from = *from,
    };
    if (quote->proto == W_IPPROTO_TCP)
        wr_tcp_icmp(stack, &error, now);
    else if (quote->proto == W_IPPROTO_UDP)
        return wr_udp_icmp(stack, &error, now);
    else if (quote->proto == W_IPPROTO_ICMP || quote->proto == W_IPPROTO_ICMP6)
        return wr_ping_icmp(stack, &error, now);
    else
        return false;
    return true;
}

/* An error message that came, whose quote could be read: to the socket here, else to the guest. */
static void judge(struct weir_stack *stack, const struct wr_pkt *pkt, const struct w_quote *quote,
                  struct convert what, uint32_t mtu, weir_time now)
{
    enum wr_drop why = WR_DROP_icmp_not_for_us;
    if (quote->is_fragment || quote->l4_len < 8)
        why = WR_DROP_icmp_quote_short;
    else if (wr_ip_is_own(stack, &quote->src) && report(stack, quote, what, mtu, &pkt->src, now))
        return;
    if (!wr_ip_is_own(stack, &quote->src) || quote->proto == W_IPPROTO_TCP ||
        !wr_guest_take(stack, pkt))
        wr_drop(stack, why);
}

static void error4(struct weir_stack *stack, const struct wr_pkt *pkt, const struct w_icmp4 *icmp,
                   weir_time now)
{
    struct convert what = {WEIR_EHOSTUNREACH, false}; /* time exceeded */
    struct w_quote quote;
    uint32_t mtu = 0;

    if (!pkt->dst_unicast) {
        wr_drop(stack, WR_DROP_icmp_ignored);
        return;
    }
    if (wr_w_icmp4_quote(pkt->data + W_ICMP_HLEN, pkt->len - W_ICMP_HLEN, &quote) != W_OK) {
        wr_count(stack, WR_STAT_icmp_errors_in);
        wr_drop(stack, WR_DROP_icmp_quote_short);
        return;
    }
    if (icmp->type == W_ICMP4_PARAM_PROBLEM) {
        what = (struct convert){WEIR_EPROTO, true};
    } else if (icmp->type == W_ICMP4_UNREACH) {
        if (icmp->code >= sizeof unreach4 / sizeof unreach4[0]) {
            wr_drop(stack, WR_DROP_icmp_ignored);
            return;
        }
        what = unreach4[icmp->code];
        if (icmp->code == W_ICMP4_UNREACH_FRAG) {
            mtu = wr_pmtu_judge(stack, &quote.dst, wr_w_icmp4_mtu(icmp->rest), quote.ip4.total_len);
            if (mtu == 0) {
                wr_drop(stack, WR_DROP_icmp_ignored);
                return;
            }
        }
    }
    judge(stack, pkt, &quote, what, mtu, now);
}

static void error6(struct weir_stack *stack, const struct wr_pkt *pkt, const struct w_icmp6 *icmp,
                   weir_time now)
{
    struct convert what = {WEIR_EPROTO, false}; /* unknown types too, RFC 4443 2.4 (a) */
    struct w_quote quote;
    uint32_t mtu = 0;

    if (wr_w_icmp6_quote(pkt->data + W_ICMP_HLEN, pkt->len - W_ICMP_HLEN, &quote) != W_OK) {
        wr_count(stack, WR_STAT_icmp_errors_in);
        wr_drop(stack, WR_DROP_icmp_quote_short);
        return;
    }
    switch (icmp->type) {
    case W_ICMP6_UNREACH:
        what.hard = true;
        if (icmp->code < sizeof unreach6 / sizeof unreach6[0])
            what = unreach6[icmp->code];
        break;
    case W_ICMP6_TOO_BIG:
        what.error = WEIR_EMSGSIZE;
        mtu = wr_pmtu_judge(stack, &quote.dst, icmp->rest, 0);
        if (mtu == 0) {
            wr_drop(stack, WR_DROP_icmp_ignored);
            return;
        }
        break;
    case W_ICMP6_TIME_EXCEEDED:
        what.error = WEIR_EHOSTUNREACH;
        break;
    case W_ICMP6_PARAM_PROBLEM:
        what.hard = true;
        break;
    default:
        break;
    }
    judge(stack, pkt, &quote, what, mtu, now);
}

void wr_icmp_link_failure(struct weir_stack *stack, const uint8_t *p, size_t len, weir_time now)
{
    struct convert what = {WEIR_EHOSTUNREACH, false};
    struct w_quote quote;
    enum w_err err = len > 0 && p[0] >> 4 == 6 ? wr_w_icmp6_quote(p, len, &quote)
                                               : wr_w_icmp4_quote(p, len, &quote);
    bool reported = false;
    if (err != W_OK || !wr_ip_is_own(stack, &quote.src))
        return;
    /* Only what a socket sent: an answer that cannot be delivered is nobody's business. */
    if (!quote.is_fragment && quote.l4_len >= 8 &&
        (quote.proto == W_IPPROTO_TCP || quote.proto == W_IPPROTO_UDP))
        reported = report(stack, &quote, what, 0, &quote.src, now);
    if (!reported && stack->ip->guest)
        stack->ip->guest->config.guest->link_failure(stack, p, len);
}

/* ---- echo -------------------------------------------------------------------------------------- */

/* Sends the reply to an echo request: the same bytes, from the address that was asked. */
static void echo_reply(struct weir_stack *stack, const struct wr_pkt *pkt, uint32_t rest,
                       uint8_t type, weir_time now)
{
    bool v4 = weir_addr_is_v4(&pkt->dst);
    struct weir_addr src = v4 ? weir_addr_any4() : weir_addr_any6();
    struct wr_ip_tx tx = {.dst = pkt->src, .proto = v4 ? W_IPPROTO_ICMP : W_IPPROTO_ICMP6};
    uint8_t head[W_ICMP_HLEN] = {type};
    struct weir_span spans[2] = {{head, sizeof head},
                                 {pkt->data + W_ICMP_HLEN, pkt->len - W_ICMP_HLEN}};
    uint64_t sum = 0;
    struct wr_path path;

    if (pkt->dst_unicast)
        src = pkt->dst;
    if (wr_path_back(stack, pkt, &src, &path) != 0) {
        wr_drop(stack, WR_DROP_no_route);
        return;
    }
    tx.src = path.src;
    tx.ds = pkt->ds;
    put_be32(head + 4, rest);
    if (!v4)
        sum = wr_csum_pseudo(&tx.src, &tx.dst, tx.proto, (uint32_t)pkt->len);
    put_be16(head + 2, wr_csum_finish(wr_csum_spans(sum, spans, 2)));
    if (wr_ip_send(stack, &path, &tx, spans, 2, now) == 0) {
        wr_count(stack, WR_STAT_icmp_out);
        wr_count(stack, WR_STAT_icmp_echo_replies);
    }
}

/* ---- dispatch ---------------------------------------------------------------------------------- */

void wr_icmp4_input(struct weir_stack *stack, const struct wr_pkt *pkt, weir_time now)
{
    struct w_icmp4 icmp;
    enum w_err err = wr_w_icmp4_parse(pkt->data, pkt->len, &icmp);

    wr_count(stack, WR_STAT_icmp_in);
    if (err != W_OK) {
        wr_count(stack, WR_STAT_icmp_errors_in);
        wr_drop(stack, err == W_CSUM ? WR_DROP_icmp_bad_checksum : WR_DROP_icmp_malformed);
        return;
    }
    switch (icmp.type) {
    case W_ICMP4_ECHO:
        /* RFC 1122 3.2.2.6 lets a host ignore those to a broadcast; Linux does, against smurfing. */
        if (stack->tunables.icmp_echo_ignore_all || !pkt->dst_unicast || icmp.code != 0)
            wr_drop(stack, WR_DROP_icmp_ignored);
        else
            echo_reply(stack, pkt, icmp.rest, W_ICMP4_ECHO_REPLY, now);
        break;
    case W_ICMP4_ECHO_REPLY:
        if (!wr_ping_input(stack, pkt) && !wr_guest_take(stack, pkt))
            wr_drop(stack, WR_DROP_icmp_ignored);
        break;
    case W_ICMP4_UNREACH:
    case W_ICMP4_TIME_EXCEEDED:
    case W_ICMP4_PARAM_PROBLEM:
        error4(stack, pkt, &icmp, now);
        break;
    case W_ICMP4_QUENCH:
    case W_ICMP4_REDIRECT:
        wr_drop(stack, WR_DROP_icmp_ignored);
        break;
    default:
        if (!pkt->dst_unicast || !wr_guest_take(stack, pkt))
            wr_drop(stack, WR_DROP_icmp_ignored);
        break;
    }
}

void wr_icmp6_input(struct weir_stack *stack, const struct wr_pkt *pkt, weir_time now)
{
    struct w_icmp6 icmp;
    enum w_err err = wr_w_icmp6_parse(pkt->data, pkt->len, &pkt->src, &pkt->dst, &icmp);

    wr_count(stack, WR_STAT_icmp_in);
    if (err != W_OK) {
        wr_count(stack, WR_STAT_icmp_errors_in);
        wr_drop(stack, err == W_CSUM ? WR_DROP_icmp_bad_checksum : WR_DROP_icmp_malformed);
        return;
    }
    if (icmp.type >= W_ICMP6_RS && icmp.type <= W_ICMP6_REDIRECT) {
        wr_ndp_input(stack, pkt, now);
    } else if (weir_addr_is_any(&pkt->src)) { /* only discovery may come from nobody */
        wr_drop(stack, WR_DROP_ip6_bad_source);
    } else if (icmp.type == W_ICMP6_MLD_QUERY) {
        wr_mld_query(stack, pkt, now);
    } else if (icmp.type == W_ICMP6_ECHO && !stack->tunables.icmp_echo_ignore_all) {
        echo_reply(stack, pkt, icmp.rest, W_ICMP6_ECHO_REPLY, now);
    } else if (icmp.type == W_ICMP6_ECHO_REPLY) {
        if (!wr_ping_input(stack, pkt) && !wr_guest_take(stack, pkt))
            wr_drop(stack, WR_DROP_icmp_ignored);
    } else if (wr_w_icmp6_is_error(icmp.type) && pkt->dst_unicast) {
        error6(stack, pkt, &icmp, now);
    } else if (icmp.type == W_ICMP6_ECHO || !pkt->dst_unicast || !wr_guest_take(stack, pkt)) {
        wr_drop(stack, WR_DROP_icmp_ignored);
    }
}
