/* SPDX-License-Identifier: MIT */
#include "wire/w_ndp.h"

#include "base/bytes.h"

#define HOP_LIMIT 255

/* Bytes before the options, by type. */
static size_t fixed_len(uint8_t type)
{
    switch (type) {
    case W_ICMP6_RS:
        return 8;
    case W_ICMP6_RA:
        return 16;
    case W_ICMP6_NS:
    case W_ICMP6_NA:
        return 24;
    case W_ICMP6_REDIRECT:
        return 40;
    default:
        return 0;
    }
}

static void read_fixed(const uint8_t *p, struct w_ndp *out)
{
    if (out->type == W_ICMP6_RA) {
        out->cur_hop_limit = p[4];
        out->managed = (p[5] & 0x80) != 0;
        out->other = (p[5] & 0x40) != 0;
        out->lifetime_s = get_be16(p + 6);
        out->reachable_ms = get_be32(p + 8);
        out->retrans_ms = get_be32(p + 12);
    }
    if (out->type == W_ICMP6_NA) {
        out->router = (p[4] & 0x80) != 0;
        out->solicited = (p[4] & 0x40) != 0;
        out->override = (p[4] & 0x20) != 0;
    }
    if (out->type >= W_ICMP6_NS)
        out->target = weir_addr_from_v6_bytes(p + 8);
    if (out->type == W_ICMP6_REDIRECT)
        out->dest = weir_addr_from_v6_bytes(p + 24);
}

/* A prefix option of 32 bytes, RFC 4861 4.6.2. */
static enum w_err read_prefix(const uint8_t *o, struct w_ndp *out)
{
    if (o[2] > 128)
        return W_FIELD;
    if (out->n_prefixes == W_NDP_PREFIXES)
        return W_OK;

    struct w_ndp_prefix *prefix = &out->prefixes[out->n_prefixes];
    prefix->prefix = weir_addr_from_v6_bytes(o + 16);
    if (weir_addr_is_v4(&prefix->prefix))
        return W_ADDR;
    prefix->len = o[2];
    prefix->on_link = (o[3] & 0x80) != 0;
    prefix->autonomous = (o[3] & 0x40) != 0;
    prefix->valid_s = get_be32(o + 4);
    prefix->preferred_s = get_be32(o + 8);
    out->n_prefixes++;
    return W_OK;
}

/* RFC 8106 5.1: lifetime, then addresses. */
static enum w_err read_rdnss(const uint8_t *o, size_t len, struct w_ndp *out)
{
    if (len < 24 || len % 16 != 8)
        return W_OPTION;
    for (size_t at = 8; at < len && out->n_rdnss < W_NDP_RDNSS; at += 16) {
        struct weir_addr addr = weir_addr_from_v6_bytes(o + at);
        if (!weir_addr_is_v4(&addr) && !weir_addr_is_multicast(&addr) && !weir_addr_is_any(&addr))
            out->rdnss[out->n_rdnss++] =
                (struct w_ndp_rdnss){.addr = addr, .lifetime_s = get_be32(o + 4)};
    }
    return W_OK;
}

static enum w_err read_option(const uint8_t *o, size_t len, struct w_ndp *out)
{
    switch (o[0]) {
    case W_NDPOPT_SLLA:
        if (len != 8)
            return W_OPTION;
        out->has_slla = true;
        memcpy(out->slla, o + 2, 6);
        return W_OK;
    case W_NDPOPT_TLLA:
        if (len != 8)
            return W_OPTION;
        out->has_tlla = true;
        memcpy(out->tlla, o + 2, 6);
        return W_OK;
    case W_NDPOPT_PREFIX:
        if (len != 32)
            return W_OPTION;
        return out->type == W_ICMP6_RA ? read_prefix(o, out) : W_OK;
    case W_NDPOPT_MTU:
        if (len != 8)
            return W_OPTION;
        out->has_mtu = true;
        out->mtu = get_be32(o + 4);
        return W_OK;
    case W_NDPOPT_RDNSS:
        return out->type == W_ICMP6_RA ? read_rdnss(o, len, out) : W_OK;
    default:
        return W_OK;
    }
}

/* RFC 4861 4.6: type, length in units of 8 bytes, which may not be 0. */
static enum w_err read_options(const uint8_t *p, size_t len, struct w_ndp *out)
{
    while (len > 0) {
        size_t n = len >= 2 ? (size_t)p[1] * 8 : 0;
        if (n == 0 || n > len)
            return W_OPTION;
        enum w_err err = read_option(p, n, out);
        if (err != W_OK)
            return err;
        p += n;
        len -= n;
    }
    return W_OK;
}

static bool is_unicast_v6(const struct weir_addr *a)
{
    return !weir_addr_is_multicast(a) && !weir_addr_is_v4(a);
}

static bool is_solicited_node(const struct weir_addr *a)
{
    struct weir_addr group = wr_w_ndp_solicited_node(a);
    return weir_addr_eq(a, &group);
}

/* The tests by type that concern addresses, RFC 4861 6.1.1, 6.1.2, 7.1.1, 7.1.2, 8.1. */
static bool addresses_ok(const struct w_ndp *ndp, const struct weir_addr *src,
                         const struct weir_addr *dst)
{
    switch (ndp->type) {
    case W_ICMP6_RS:
        return !(weir_addr_is_any(src) && ndp->has_slla);
    case W_ICMP6_RA:
        return weir_addr_is_link_local(src);
    case W_ICMP6_NS:
        if (weir_addr_is_any(src) && (ndp->has_slla || !is_solicited_node(dst)))
            return false;
        return is_unicast_v6(&ndp->target);
    case W_ICMP6_NA:
        return is_unicast_v6(&ndp->target) && !(weir_addr_is_multicast(dst) && ndp->solicited);
    default:
        return weir_addr_is_link_local(src) && is_unicast_v6(&ndp->dest) &&
               (weir_addr_eq(&ndp->target, &ndp->dest) || weir_addr_is_link_local(&ndp->target));
    }
}

enum w_err wr_w_ndp_parse(const uint8_t *p, size_t len, const struct weir_addr *src,
                          const struct weir_addr *dst, uint8_t hop_limit, struct w_ndp *out)
{
    size_t fixed;
    enum w_err err;

    memset(out, 0, sizeof *out);
    if (len < W_ICMP_HLEN)
        return W_SHORT;
    out->type = p[0];
    fixed = fixed_len(out->type);
    if (fixed == 0 || p[1] != 0 || hop_limit != HOP_LIMIT)
        return W_FIELD;
    if (len < fixed)
        return W_SHORT;
    read_fixed(p, out);
    err = read_options(p + fixed, len - fixed, out);
    if (err != W_OK)
        return err;
    return addresses_ok(out, src, dst) ? W_OK : W_ADDR;
}

static size_t emit_lladdr(uint8_t *p, uint8_t kind, const uint8_t mac[6])
{
    p[0] = kind;
    p[1] = 1;
    memcpy(p + 2, mac, 6);
    return 8;
}

static size_t emit_prefix(uint8_t *p, const struct w_ndp_prefix *prefix)
{
    memset(p, 0, 32);
    p[0] = W_NDPOPT_PREFIX;
    p[1] = 4;
    p[2] = prefix->len;
    p[3] = (uint8_t)((prefix->on_link ? 0x80 : 0) | (prefix->autonomous ? 0x40 : 0));
    put_be32(p + 4, prefix->valid_s);
    put_be32(p + 8, prefix->preferred_s);
    memcpy(p + 16, prefix->prefix.b, 16);
    return 32;
}

static void emit_fixed(uint8_t *p, const struct w_ndp *ndp)
{
    if (ndp->type == W_ICMP6_RA) {
        p[4] = ndp->cur_hop_limit;
        p[5] = (uint8_t)((ndp->managed ? 0x80 : 0) | (ndp->other ? 0x40 : 0));
        put_be16(p + 6, ndp->lifetime_s);
        put_be32(p + 8, ndp->reachable_ms);
        put_be32(p + 12, ndp->retrans_ms);
    }
    if (ndp->type == W_ICMP6_NA)
        p[4] = (uint8_t)((ndp->router ? 0x80 : 0) | (ndp->solicited ? 0x40 : 0) |
                         (ndp->override ? 0x20 : 0));
    if (ndp->type >= W_ICMP6_NS)
        memcpy(p + 8, ndp->target.b, 16);
    if (ndp->type == W_ICMP6_REDIRECT)
        memcpy(p + 24, ndp->dest.b, 16);
}

size_t wr_w_ndp_emit(uint8_t *p, const struct w_ndp *ndp)
{
    size_t n = fixed_len(ndp->type);

    memset(p, 0, n);
    p[0] = ndp->type;
    emit_fixed(p, ndp);
    if (ndp->has_slla)
        n += emit_lladdr(p + n, W_NDPOPT_SLLA, ndp->slla);
    if (ndp->has_tlla)
        n += emit_lladdr(p + n, W_NDPOPT_TLLA, ndp->tlla);
    if (ndp->has_mtu) {
        put_be32(p + n, W_NDPOPT_MTU << 24 | 1 << 16);
        put_be32(p + n + 4, ndp->mtu);
        n += 8;
    }
    for (unsigned i = 0; i < ndp->n_prefixes && i < W_NDP_PREFIXES; i++)
        n += emit_prefix(p + n, &ndp->prefixes[i]);
    return n;
}

struct weir_addr wr_w_ndp_solicited_node(const struct weir_addr *a)
{
    static const uint8_t prefix[13] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff};
    struct weir_addr group = *a;

    memcpy(group.b, prefix, sizeof prefix);
    return group;
}
