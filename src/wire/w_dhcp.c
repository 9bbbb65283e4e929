/* SPDX-License-Identifier: MIT */
#include "wire/w_dhcp.h"

#include "base/bytes.h"

enum {
    OP_REQUEST = 1,
    OP_REPLY = 2,
    HTYPE_ETHERNET = 1,
    AT_SNAME = 44,
    AT_FILE = 108,
    AT_COOKIE = 236,
    FIXED = 240,
    BOOTP_MIN = 300
};

/* Options, RFC 2132; 121 is RFC 3442. */
enum {
    OPT_PAD = 0,
    OPT_MASK = 1,
    OPT_ROUTER = 3,
    OPT_DNS = 6,
    OPT_HOSTNAME = 12,
    OPT_DOMAIN = 15,
    OPT_MTU = 26,
    OPT_REQUESTED = 50,
    OPT_LEASE = 51,
    OPT_OVERLOAD = 52,
    OPT_TYPE = 53,
    OPT_SERVER = 54,
    OPT_WANTED = 55,
    OPT_MAX_SIZE = 57,
    OPT_T1 = 58,
    OPT_T2 = 59,
    OPT_CLIENT_ID = 61,
    OPT_ROUTES = 121,
    OPT_END = 255
};

#define COOKIE 0x63825363u

/* ---- reading ----------------------------------------------------------------------------------- */

/* Options read so far: which codes, and what overload said. */
struct reading {
    struct w_dhcp *out;
    uint8_t overload;
    uint8_t seen[32]; /* a bit a code */
};

static struct weir_addr addr_at(const uint8_t *p)
{
    return weir_addr_v4(get_be32(p));
}

static enum w_err read_mask(const uint8_t *v, struct w_dhcp *out)
{
    uint32_t mask = get_be32(v), inverse = ~mask;
    if ((inverse & (inverse + 1)) != 0)
        return W_FIELD;
    for (out->prefix_len = 0; mask != 0; mask <<= 1)
        out->prefix_len++;
    out->has_mask = true;
    return W_OK;
}

static enum w_err read_dns(const uint8_t *v, size_t len, struct w_dhcp *out)
{
    if (len == 0 || len % 4 != 0)
        return W_OPTION;
    for (; len > 0 && out->n_dns < W_DHCP_DNS_MAX; v += 4, len -= 4)
        out->dns[out->n_dns++] = addr_at(v);
    return W_OK;
}

/* A destination is its prefix length and as many bytes as that has: 24, 10, 1, 2 is 10.1.2.0/24. */
static enum w_err read_routes(const uint8_t *v, size_t len, struct w_dhcp *out)
{
    out->has_routes = true;
    while (len > 0) {
        unsigned bits = v[0];
        size_t significant = (bits + 7) / 8, size = 1 + significant + 4;
        uint8_t prefix[4] = {0};
        if (bits > 32 || size > len)
            return W_OPTION;
        memcpy(prefix, v + 1, significant);
        if (out->n_routes < W_DHCP_ROUTES_MAX)
            out->routes[out->n_routes++] = (struct w_dhcp_route){
                .prefix = addr_at(prefix), .prefix_len = bits, .gateway = addr_at(v + size - 4)};
        v += size;
        len -= size;
    }
    return W_OK;
}

static bool is_of_domain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

/* Servers end it with a NUL at times. A name that is too long, or none, is as if not there: it may end up in a
 * file that a resolver reads. */
static void read_domain(const uint8_t *v, size_t len, struct w_dhcp *out)
{
    while (len > 0 && v[len - 1] == 0)
        len--;
    if (len >= sizeof out->domain)
        return;
    for (size_t i = 0; i < len; i++)
        if (!is_of_domain(v[i]))
            return;
    memcpy(out->domain, v, len);
    out->domain[len] = '\0';
}

/* Options of one length. */
static size_t length_of(uint8_t code)
{
    switch (code) {
    case OPT_OVERLOAD:
    case OPT_TYPE:
        return 1;
    case OPT_MTU:
        return 2;
    case OPT_MASK:
    case OPT_REQUESTED:
    case OPT_LEASE:
    case OPT_SERVER:
    case OPT_T1:
    case OPT_T2:
        return 4;
    default:
        return 0;
    }
}

static enum w_err read_fixed(struct reading *r, uint8_t code, const uint8_t *v)
{
    struct w_dhcp *out = r->out;
    switch (code) {
    case OPT_MASK:
        return read_mask(v, out);
    case OPT_MTU:
        out->mtu = get_be16(v);
        return W_OK;
    case OPT_REQUESTED:
        out->requested = addr_at(v);
        return W_OK;
    case OPT_SERVER:
        out->server = addr_at(v);
        return W_OK;
    case OPT_LEASE:
        out->lease_s = get_be32(v);
        out->has_lease = true;
        return W_OK;
    case OPT_T1:
        out->t1_s = get_be32(v);
        out->has_t1 = true;
        return W_OK;
    case OPT_T2:
        out->t2_s = get_be32(v);
        out->has_t2 = true;
        return W_OK;
    case OPT_OVERLOAD:
        r->overload = v[0];
        return v[0] >= 1 && v[0] <= 3 ? W_OK : W_FIELD;
    default: /* OPT_TYPE */
        out->type = (enum w_dhcp_type)v[0];
        return v[0] >= W_DHCP_DISCOVER && v[0] <= W_DHCP_INFORM ? W_OK : W_FIELD;
    }
}

static enum w_err read_option(struct reading *r, uint8_t code, const uint8_t *v, size_t len)
{
    uint8_t bit = (uint8_t)(1u << code % 8);
    if (r->seen[code / 8] & bit)
        return W_OK;
    r->seen[code / 8] |= bit;
    if (length_of(code) != 0)
        return len == length_of(code) ? read_fixed(r, code, v) : W_OPTION;
    switch (code) {
    case OPT_ROUTER:
        if (len == 0 || len % 4 != 0)
            return W_OPTION;
        r->out->router = addr_at(v);
        return W_OK;
    case OPT_DNS:
        return read_dns(v, len, r->out);
    case OPT_DOMAIN:
        read_domain(v, len, r->out);
        return W_OK;
    case OPT_ROUTES:
        return read_routes(v, len, r->out);
    default:
        return W_OK;
    }
}

/* The options of one field, up to their end or the field's. */
static enum w_err read_options(struct reading *r, const uint8_t *p, size_t len)
{
    while (len > 0 && p[0] != OPT_END) {
        size_t size = 1;
        if (p[0] != OPT_PAD) {
            if (len < 2 || p[1] > len - 2)
                return W_OPTION;
            size = 2u + p[1];
            enum w_err err = read_option(r, p[0], p + 2, p[1]);
            if (err != W_OK)
                return err;
        }
        p += size;
        len -= size;
    }
    return W_OK;
}

enum w_err wr_w_dhcp_parse(const uint8_t *p, size_t len, struct w_dhcp *out)
{
    struct reading r = {.out = out};
    memset(out, 0, sizeof *out);
    if (len < FIXED)
        return W_SHORT;
    if ((p[0] != OP_REQUEST && p[0] != OP_REPLY) || p[1] != HTYPE_ETHERNET || p[2] != 6 ||
        get_be32(p + AT_COOKIE) != COOKIE)
        return W_FIELD;
    out->reply = p[0] == OP_REPLY;
    out->xid = get_be32(p + 4);
    out->secs = get_be16(p + 8);
    out->broadcast = (p[10] & 0x80) != 0;
    out->ciaddr = addr_at(p + 12);
    out->yiaddr = addr_at(p + 16);
    memcpy(out->chaddr, p + 28, sizeof out->chaddr);
    out->requested = out->server = out->router = weir_addr_any4();
    enum w_err err = read_options(&r, p + FIXED, len - FIXED);
    if (err == W_OK && r.overload & 1)
        err = read_options(&r, p + AT_FILE, AT_COOKIE - AT_FILE);
    if (err == W_OK && r.overload & 2)
        err = read_options(&r, p + AT_SNAME, AT_FILE - AT_SNAME);
    return err;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static size_t put_option(uint8_t *p, uint8_t code, const void *value, size_t len)
{
    p[0] = code;
    p[1] = (uint8_t)len;
    memcpy(p + 2, value, len);
    return 2 + len;
}

static size_t put_addr(uint8_t *p, uint8_t code, const struct weir_addr *addr)
{
    return weir_addr_is_any(addr) ? 0 : put_option(p, code, addr->b + 12, 4);
}

static size_t put_wanted(uint8_t *p)
{
    static const uint8_t wanted[] = {OPT_MASK, OPT_ROUTES, OPT_ROUTER, OPT_DNS, OPT_DOMAIN,
                                     OPT_MTU,  OPT_LEASE,  OPT_SERVER, OPT_T1,  OPT_T2};
    return put_option(p, OPT_WANTED, wanted, sizeof wanted);
}

/* Bytes of a name that are sent. */
static size_t text_len(const char *text)
{
    size_t n = strlen(text);
    return n < W_DHCP_TEXT_MAX ? n : W_DHCP_TEXT_MAX - 1;
}

static size_t put_options(uint8_t *p, const struct w_dhcp *msg)
{
    uint8_t type = (uint8_t)msg->type, id[7] = {HTYPE_ETHERNET}, size[2];
    size_t n = put_option(p, OPT_TYPE, &type, 1);
    memcpy(id + 1, msg->chaddr, 6);
    n += put_option(p + n, OPT_CLIENT_ID, id, sizeof id);
    n += put_addr(p + n, OPT_REQUESTED, &msg->requested);
    n += put_addr(p + n, OPT_SERVER, &msg->server);
    if (msg->type == W_DHCP_DISCOVER || msg->type == W_DHCP_REQUEST) {
        n += put_wanted(p + n);
        if (msg->max_size != 0) {
            put_be16(size, msg->max_size);
            n += put_option(p + n, OPT_MAX_SIZE, size, 2);
        }
        if (msg->hostname != NULL && msg->hostname[0] != '\0')
            n += put_option(p + n, OPT_HOSTNAME, msg->hostname, text_len(msg->hostname));
    }
    p[n] = OPT_END;
    return n + 1;
}

size_t wr_w_dhcp_emit(uint8_t *p, const struct w_dhcp *msg)
{
    memset(p, 0, W_DHCP_EMIT_MAX);
    p[0] = OP_REQUEST;
    p[1] = HTYPE_ETHERNET;
    p[2] = 6;
    put_be32(p + 4, msg->xid);
    put_be16(p + 8, msg->secs);
    p[10] = msg->broadcast ? 0x80 : 0;
    put_be32(p + 12, weir_addr_to_v4(&msg->ciaddr));
    memcpy(p + 28, msg->chaddr, sizeof msg->chaddr);
    put_be32(p + AT_COOKIE, COOKIE);
    size_t n = FIXED + put_options(p + FIXED, msg);
    return n < BOOTP_MIN ? BOOTP_MIN : n;
}
