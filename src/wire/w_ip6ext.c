/* SPDX-License-Identifier: MIT */
/*
 * One loop over headers, one over the options of a header. Each step moves `off` by at least 8, or
 * within options by at least 1, and never past the end, so the work is bounded by the packet's
 * length, and the number of headers by W_IP6EXT_MAX as well.
 */
#include "wire/w_ip6ext.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "wire/w_icmp6.h"
#include "wire/w_ip6.h"

#define OPT_PAD1         0
#define OPT_PADN         1
#define OPT_ROUTER_ALERT 5
#define MAX_PAYLOAD      65535u

static bool discard(struct w_ip6ext *out, enum w_err err)
{
    out->act = W_IP6EXT_DISCARD;
    out->err = err;
    return false;
}

static bool problem(struct w_ip6ext *out, enum w_err err, uint8_t code, size_t pointer)
{
    out->act = W_IP6EXT_PROBLEM;
    out->err = err;
    out->code = code;
    out->pointer = (uint32_t)pointer;
    return false;
}

/* RFC 8200 4.2: the two high bits of an unknown option's type say what to do. */
static bool unknown_option(struct w_ip6ext *out, uint8_t type, size_t at)
{
    switch (type >> 6) {
    case 0:
        return true;
    case 1:
        return discard(out, W_OPTION);
    case 2:
        out->problem_to_group = true;
        return problem(out, W_OPTION, W_ICMP6_PARAM_OPTION, at);
    default:
        return problem(out, W_OPTION, W_ICMP6_PARAM_OPTION, at);
    }
}

/* The options in [at, end) of a hop-by-hop or destination options header. True to go on. */
static bool walk_options(const uint8_t *p, size_t at, size_t end, bool hop_by_hop,
                         struct w_ip6ext *out)
{
    while (at < end) {
        size_t start = at;
        if (p[at] == OPT_PAD1) {
            at++;
            continue;
        }
        if (end - at < 2 || p[at + 1] > end - at - 2)
            return discard(out, W_OPTION);
        if (hop_by_hop && p[at] == OPT_ROUTER_ALERT && p[at + 1] == 2)
            out->router_alert = true;
        else if (p[at] != OPT_PADN && !unknown_option(out, p[at], at))
            return false;
        at += 2u + p[at + 1];
        assert(at > start);
        (void)start;
    }
    return true;
}

/*
 * No routing type is supported: with segments left it is a problem at the type field, without it is
 * passed over (RFC 8200 4.4; type 0 likewise, RFC 5095 3).
 */
static bool walk_routing(const uint8_t *p, size_t at, struct w_ip6ext *out)
{
    if (p[at + 3] != 0)
        return problem(out, W_FIELD, W_ICMP6_PARAM_FIELD, at + 2);
    out->has_routing = true;
    return true;
}

/* RFC 8200 4.5. True to go on behind it, which is only so for atomic fragments (RFC 6946 4). */
static bool walk_fragment(const uint8_t *p, size_t at, size_t len, struct w_ip6ext *out)
{
    size_t data = len - at - W_IP6FRAG_LEN;
    uint16_t field = get_be16(p + at + 2);

    if (out->has_frag)
        return discard(out, W_CHAIN);
    out->has_frag = true;
    out->frag_off = field & 0xfff8;
    out->more_frags = (field & 1) != 0;
    out->frag_id = get_be32(p + at + 4);
    out->frag_hdr_off = (uint32_t)at;
    out->frag_next_off = out->next_off;
    out->atomic = out->frag_off == 0 && !out->more_frags;
    if (out->atomic)
        return true;
    if (data == 0)
        return discard(out, W_LENGTH);
    if (out->more_frags && data % 8 != 0)
        return problem(out, W_LENGTH, W_ICMP6_PARAM_FIELD, 4);
    if (at - W_IP6_HLEN + out->frag_off + data > MAX_PAYLOAD)
        return problem(out, W_LENGTH, W_ICMP6_PARAM_FIELD, at + 2);
    return false;
}

static bool is_extension(uint8_t next)
{
    return next == W_IPPROTO_HOPOPTS || next == W_IPPROTO_DSTOPTS || next == W_IPPROTO_ROUTING ||
           next == W_IPPROTO_FRAGMENT;
}

/* Walks the one header at out->off and moves behind it. True to go on with what follows. */
static bool walk_header(const uint8_t *p, size_t len, struct w_ip6ext *out)
{
    size_t at = out->off, hdr_len = 8;
    uint8_t kind = out->proto;
    bool more = true;

    if (out->n_headers == W_IP6EXT_MAX)
        return discard(out, W_CHAIN);
    if (kind == W_IPPROTO_HOPOPTS && out->n_headers > 0) /* RFC 8200 4.1: directly behind IPv6 */
        return problem(out, W_CHAIN, W_ICMP6_PARAM_NEXT, out->next_off);
    if (len - at < 8)
        return discard(out, W_SHORT);
    if (kind != W_IPPROTO_FRAGMENT)
        hdr_len += (size_t)p[at + 1] * 8;
    if (hdr_len > len - at)
        return discard(out, W_HDRLEN);

    if (kind == W_IPPROTO_FRAGMENT)
        more = walk_fragment(p, at, len, out);
    else if (kind == W_IPPROTO_ROUTING)
        more = walk_routing(p, at, out);
    else
        more = walk_options(p, at + 2, at + hdr_len, kind == W_IPPROTO_HOPOPTS, out);
    if (out->act != W_IP6EXT_ACCEPT)
        return false;
    out->n_headers++;
    out->next_off = (uint32_t)at;
    out->proto = p[at];
    out->off = (uint32_t)(at + hdr_len);
    return more;
}

void wr_w_ip6ext_walk(const uint8_t *p, size_t len, struct w_ip6ext *out)
{
    memset(out, 0, sizeof *out);
    out->act = W_IP6EXT_ACCEPT;
    if (len < W_IP6_HLEN) {
        (void)discard(out, W_SHORT);
        return;
    }
    out->proto = p[6];
    out->next_off = 6;
    out->off = W_IP6_HLEN;
    while (is_extension(out->proto) && walk_header(p, len, out)) {
    }
}

void wr_w_ip6frag_emit(uint8_t *p, uint8_t next, uint16_t frag_off, bool more, uint32_t id)
{
    p[0] = next;
    p[1] = 0;
    put_be16(p + 2, (uint16_t)((frag_off & 0xfff8) | (more ? 1 : 0)));
    put_be32(p + 4, id);
}
