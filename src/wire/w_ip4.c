/* SPDX-License-Identifier: MIT */
#include "wire/w_ip4.h"

#include "base/bytes.h"
#include "wire/w_csum.h"

#define FLAG_RESERVED 0x8000
#define FLAG_DF       0x4000
#define FLAG_MF       0x2000
#define OFFSET_MASK   0x1fff /* in units of 8 bytes */

enum w_err wr_w_ip4_parse_quoted(const uint8_t *p, size_t len, struct w_ip4 *out)
{
    if (len < W_IP4_HLEN)
        return W_SHORT;
    if (p[0] >> 4 != 4)
        return W_VERSION;

    uint16_t frag = get_be16(p + 6);
    out->hdr_len = (uint8_t)((p[0] & 0x0f) * 4);
    out->tos = p[1];
    out->total_len = get_be16(p + 2);
    out->id = get_be16(p + 4);
    out->reserved = (frag & FLAG_RESERVED) != 0;
    out->dont_frag = (frag & FLAG_DF) != 0;
    out->more_frags = (frag & FLAG_MF) != 0;
    out->frag_off = (uint16_t)((frag & OFFSET_MASK) * 8);
    out->ttl = p[8];
    out->proto = p[9];
    out->src = weir_addr_from_v4_bytes(p + 12);
    out->dst = weir_addr_from_v4_bytes(p + 16);
    out->opts = p + W_IP4_HLEN;
    if (out->hdr_len < W_IP4_HLEN || out->hdr_len > out->total_len || out->hdr_len > len)
        return W_HDRLEN;
    return W_OK;
}

enum w_err wr_w_ip4_parse(const uint8_t *p, size_t len, struct w_ip4 *out)
{
    enum w_err err = wr_w_ip4_parse_quoted(p, len, out);

    if (err != W_OK)
        return err;
    if (out->total_len > len)
        return W_LENGTH;
    return wr_csum(p, out->hdr_len) == 0 ? W_OK : W_CSUM;
}

void wr_w_ip4_emit(uint8_t *p, const struct w_ip4 *ip)
{
    unsigned frag = ip->frag_off / 8u;

    frag |= ip->reserved ? FLAG_RESERVED : 0u;
    frag |= ip->dont_frag ? FLAG_DF : 0u;
    frag |= ip->more_frags ? FLAG_MF : 0u;
    p[0] = (uint8_t)(4 << 4 | ip->hdr_len / 4);
    p[1] = ip->tos;
    put_be16(p + 2, ip->total_len);
    put_be16(p + 4, ip->id);
    put_be16(p + 6, (uint16_t)frag);
    p[8] = ip->ttl;
    p[9] = ip->proto;
    put_be16(p + 10, 0);
    memcpy(p + 12, ip->src.b + 12, 4);
    memcpy(p + 16, ip->dst.b + 12, 4);
    wr_bytes_copy(p + W_IP4_HLEN, ip->opts, (size_t)ip->hdr_len - W_IP4_HLEN);
    put_be16(p + 10, wr_csum(p, ip->hdr_len));
}

/*
 * Checks one route option (LSRR, SSRR, RR) of `len` bytes at `o`: type, length, pointer, addresses.
 * The pointer counts from 1, begins at 4 and moves by whole addresses; past the end it says "full".
 * Returns 0, or 1 + the index of the octet in error.
 */
static unsigned check_route(const uint8_t *o, unsigned len)
{
    if (len < 3 || (len - 3) % 4 != 0)
        return 1 + 1;
    if (o[2] < 4 || o[2] % 4 != 0)
        return 1 + 2;
    return 0;
}

/* The same for a timestamp option: type, length, pointer, overflow and flag, entries. */
static unsigned check_timestamp(const uint8_t *o, unsigned len)
{
    if (len < 4)
        return 1 + 1;

    unsigned flag = o[3] & 0x0f, entry = flag == 0 ? 4 : 8;
    if (flag != 0 && flag != 1 && flag != 3)
        return 1 + 3;
    if (o[2] < 5 || (o[2] <= len && o[2] + entry - 1 > len))
        return 1 + 2;
    return 0;
}

/*
 * Notes an option in its place; returns as check_route does. A second one of its kind is an error.
 */
static unsigned note(uint8_t *place, unsigned at, unsigned error)
{
    if (*place != 0)
        return 1;
    *place = (uint8_t)at;
    return error;
}

static unsigned parse_option(const uint8_t *o, unsigned len, unsigned at, struct w_ip4opts *out)
{
    switch (o[0]) {
    case W_IP4OPT_LSRR:
    case W_IP4OPT_SSRR:
        if (out->lsrr != 0 || out->ssrr != 0) /* RFC 1122 3.2.1.8: at most one source route */
            return 1;
        return note(o[0] == W_IP4OPT_LSRR ? &out->lsrr : &out->ssrr, at, check_route(o, len));
    case W_IP4OPT_RR:
        return note(&out->rr, at, check_route(o, len));
    case W_IP4OPT_TS:
        return note(&out->ts, at, check_timestamp(o, len));
    case W_IP4OPT_RA:
        return note(&out->ra, at, len == 4 ? 0 : 2);
    default:
        return 0;
    }
}

enum w_err wr_w_ip4opts_parse(const struct w_ip4 *ip, struct w_ip4opts *out)
{
    const uint8_t *o = ip->opts;
    unsigned n = ip->hdr_len - (unsigned)W_IP4_HLEN, i = 0;

    memset(out, 0, sizeof *out);
    while (i < n && o[i] != W_IP4OPT_EOL) {
        unsigned len = 1, error = 0;
        if (o[i] != W_IP4OPT_NOP) {
            if (n - i < 2 || o[i + 1] < 2 || o[i + 1] > n - i) {
                out->bad = (uint8_t)(W_IP4_HLEN + i + (n - i >= 2));
                return W_OPTION;
            }
            len = o[i + 1];
            error = parse_option(o + i, len, W_IP4_HLEN + i, out);
        }
        if (error != 0) {
            out->bad = (uint8_t)(W_IP4_HLEN + i + error - 1);
            return W_OPTION;
        }
        i += len;
    }
    return W_OK;
}
