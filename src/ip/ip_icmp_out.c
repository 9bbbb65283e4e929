/* SPDX-License-Identifier: MIT */
/*
 * ICMP and ICMPv6 errors that this host sends: RFC 1122 3.2.2, RFC 1812 4.3.2.3, RFC 4443 2.4.
 *
 * Not about every packet: never about another error, a packet that did not come to us alone, or one whose
 * source is not one host. And not too many: as on Linux, two limits must both allow a message,
 *
 *   - each destination earns one message per icmp_ratelimit (1 s) and can save up six. Destinations share
 *     a fixed number of buckets by keyed hash;
 *   - all together get icmp_msgs_per_sec (1000) with bursts of icmp_msgs_burst (50), and each message costs
 *     a little more than one at random, so that nobody can count from outside what others were sent
 *     (CVE-2020-25705).
 *
 * Too-big messages are never sent (no forwarding), so nothing is exempt but the loopback interface.
 */
#include "ip/ip.h"

#include "wire/w_icmp4.h"
#include "wire/w_icmp6.h"

enum {
    ERROR4_MAX = 576, /* RFC 1812 4.3.2.3: as much as fits into 576 bytes with the IP header */
    BURST_FACTOR = 6, /* Linux's XRLIM_BURST_FACTOR */
    TOS_ERROR = 0xc0  /* internetwork control, RFC 1812 4.3.2.5 */
};

/* ---- limits ------------------------------------------------------------------------------------ */

static bool destination_allows(struct weir_stack *stack, const struct weir_addr *dst, weir_time now)
{
    weir_time cost = stack->tunables.icmp_ratelimit_ms * WEIR_MS;
    uint64_t hash = wr_ip_hash(stack, dst->b, sizeof dst->b);
    struct wr_icmp_bucket *bucket = &stack->ip->icmp_bucket[hash % WR_ICMP_BUCKETS];
    weir_time earned = now - bucket->at;

    if (cost == 0)
        return true;
    bucket->at = now;
    bucket->credit = earned > cost * BURST_FACTOR ? cost * BURST_FACTOR : bucket->credit + earned;
    if (bucket->credit > cost * BURST_FACTOR)
        bucket->credit = cost * BURST_FACTOR;
    if (bucket->credit < cost)
        return false;
    bucket->credit -= cost;
    return true;
}

/* Refills; true while there is credit. */
static bool all_allow(struct weir_stack *stack, weir_time now)
{
    struct wr_ip *ip = stack->ip;
    int64_t rate = stack->tunables.icmp_msgs_per_sec;
    int64_t burst = stack->tunables.icmp_msgs_burst;
    weir_time since = now - ip->icmp_global_at;

    if (since >= WEIR_SEC) {
        ip->icmp_global_credit = burst;
        ip->icmp_global_at = now;
    } else if (since * rate / WEIR_SEC > 0) {
        ip->icmp_global_credit += since * rate / WEIR_SEC;
        ip->icmp_global_at = now;
    }
    if (ip->icmp_global_credit > burst)
        ip->icmp_global_credit = burst;
    return ip->icmp_global_credit > 0;
}

static bool may_send(struct weir_stack *stack, const struct wr_path *path,
                     const struct weir_addr *dst, weir_time now)
{
    if (path->netif->loopback)
        return true;
    if (!all_allow(stack, now) || !destination_allows(stack, dst, now)) {
        wr_drop(stack, WR_DROP_icmp_rate_limited);
        return false;
    }
    stack->ip->icmp_global_credit -= 1 + wr_rng_below(&stack->rng, 2);
    return true;
}

/* ---- what may be answered ---------------------------------------------------------------------- */

/* RFC 1122 3.2.2: not about errors, nor to a source that is not a single host. */
static bool deserves4(struct weir_stack *stack, const struct wr_pkt *pkt)
{
    if (!pkt->dst_unicast)
        return false;
    if (pkt->proto == W_IPPROTO_ICMP && (pkt->len == 0 || wr_w_icmp4_is_error(pkt->data[0])))
        return false;
    if (weir_addr_to_v4(&pkt->src) >> 24 == 0 || weir_addr_to_v4(&pkt->src) >> 28 == 0xf ||
        weir_addr_is_multicast(&pkt->src) || wr_ip4_is_broadcast(stack, NULL, &pkt->src))
        return false;
    return pkt->netif->loopback || !weir_addr_is_loopback(&pkt->src);
}

/* RFC 4443 2.4 (e). */
static bool deserves6(const struct wr_pkt *pkt, bool force_group)
{
    if (!pkt->dst_unicast && !force_group)
        return false;
    if (pkt->proto == W_IPPROTO_ICMP6 &&
        (pkt->len == 0 || wr_w_icmp6_is_error(pkt->data[0]) || pkt->data[0] == W_ICMP6_REDIRECT))
        return false;
    return !weir_addr_is_any(&pkt->src) && !weir_addr_is_multicast(&pkt->src);
}

/* ---- sending ----------------------------------------------------------------------------------- */

/* The path back, from the address that was spoken to if it is ours alone. */
static bool path_back(struct weir_stack *stack, const struct wr_pkt *pkt, struct wr_path *path)
{
    struct weir_addr src = weir_addr_is_v4(&pkt->dst) ? weir_addr_any4() : weir_addr_any6();
    if (pkt->dst_unicast)
        src = pkt->dst;
    if (wr_path_back(stack, pkt, &src, path) == 0)
        return true;
    wr_drop(stack, WR_DROP_no_route);
    return false;
}

static size_t quote_len(struct weir_stack *stack, const struct wr_pkt *pkt,
                        const struct wr_path *path, size_t most, size_t head)
{
    uint32_t mtu = wr_path_mtu(stack, path, &pkt->src);
    size_t room = (mtu < most ? mtu : most) - head;
    return pkt->l3_len < room ? pkt->l3_len : room;
}

static void send_error(struct weir_stack *stack, const struct wr_pkt *pkt, uint8_t type,
                       uint8_t code, uint32_t rest, weir_time now)
{
    bool v4 = weir_addr_is_v4(&pkt->src);
    uint8_t msg[W_IP6_MIN_MTU];
    struct wr_ip_tx tx = {
        .dst = pkt->src, .proto = v4 ? W_IPPROTO_ICMP : W_IPPROTO_ICMP6, .ds = v4 ? TOS_ERROR : 0};
    struct weir_span span = {msg, 0};
    struct wr_path path;
    size_t quote;

    if (!path_back(stack, pkt, &path) || !may_send(stack, &path, &pkt->src, now))
        return;
    quote = quote_len(stack, pkt, &path, v4 ? ERROR4_MAX : W_IP6_MIN_MTU,
                      (v4 ? W_IP4_HLEN : W_IP6_HLEN) + W_ICMP_HLEN);
    memcpy(msg + W_ICMP_HLEN, pkt->l3, quote);
    span.len = W_ICMP_HLEN + quote;
    tx.src = path.src;
    if (v4)
        wr_w_icmp4_emit(msg, span.len, &(struct w_icmp4){type, code, rest});
    else
        wr_w_icmp6_emit(msg, span.len, &tx.src, &tx.dst, &(struct w_icmp6){type, code, rest});
    if (wr_ip_send(stack, &path, &tx, &span, 1, now) == 0)
        wr_count(stack, WR_STAT_icmp_out);
}

void wr_icmp4_error(struct weir_stack *stack, const struct wr_pkt *pkt, uint8_t type, uint8_t code,
                    uint32_t rest, weir_time now)
{
    if (deserves4(stack, pkt))
        send_error(stack, pkt, type, code, rest, now);
}

void wr_icmp6_error(struct weir_stack *stack, const struct wr_pkt *pkt, uint8_t type, uint8_t code,
                    uint32_t rest, bool force_group, weir_time now)
{
    if (deserves6(pkt, force_group))
        send_error(stack, pkt, type, code, rest, now);
}

static void unreachable6(struct weir_stack *stack, const struct wr_pkt *pkt, enum wr_unreach why,
                         weir_time now)
{
    static const uint8_t codes[] = {
        [WR_UNREACH_PORT] = W_ICMP6_UNREACH_PORT,
        [WR_UNREACH_HOST] = W_ICMP6_UNREACH_ADDR,
        [WR_UNREACH_ADMIN] = W_ICMP6_UNREACH_PROHIB,
    };
    struct w_ip6ext ext;
    if (why != WR_UNREACH_PROTO) {
        wr_icmp6_error(stack, pkt, W_ICMP6_UNREACH, codes[why], 0, false, now);
        return;
    }
    /* IPv6 says it with a parameter problem at the field that named the protocol, RFC 8200 4. */
    wr_w_ip6ext_walk(pkt->l3, pkt->l3_len, &ext);
    wr_icmp6_error(stack, pkt, W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_NEXT, ext.next_off, false, now);
}

void wr_icmp_unreachable(struct weir_stack *stack, const struct wr_pkt *pkt, enum wr_unreach why,
                         weir_time now)
{
    static const uint8_t codes[] = {
        [WR_UNREACH_PORT] = W_ICMP4_UNREACH_PORT,
        [WR_UNREACH_PROTO] = W_ICMP4_UNREACH_PROTO,
        [WR_UNREACH_HOST] = W_ICMP4_UNREACH_HOST,
        [WR_UNREACH_ADMIN] = W_ICMP4_UNREACH_PROHIB,
    };
    if (weir_addr_is_v4(&pkt->dst))
        wr_icmp4_error(stack, pkt, W_ICMP4_UNREACH, codes[why], 0, now);
    else
        unreachable6(stack, pkt, why, now);
}
