/* SPDX-License-Identifier: MIT */
#include "wire/w_tcpopt.h"

#include "base/bytes.h"

/* Bytes of each option, kind and length with it. */
#define LEN_MSS               4
#define LEN_WSCALE            3
#define LEN_SACKOK            2
#define LEN_TS                10
#define LEN_UTO               4
#define LEN_SACK_BASE         2
#define LEN_SACK_BLOCK        8
#define LEN_FASTOPEN_BASE     2
#define LEN_EXP_FASTOPEN_BASE 4
#define COOKIE_MIN            4

static void read_sack(const uint8_t *o, unsigned len, struct w_tcpopt *out)
{
    if (len < LEN_SACK_BASE + LEN_SACK_BLOCK || (len - LEN_SACK_BASE) % LEN_SACK_BLOCK != 0)
        return;
    out->n_sack = (uint8_t)((len - LEN_SACK_BASE) / LEN_SACK_BLOCK);
    for (unsigned i = 0; i < out->n_sack; i++) {
        out->sack[i].start = get_be32(o + LEN_SACK_BASE + i * LEN_SACK_BLOCK);
        out->sack[i].end = get_be32(o + LEN_SACK_BASE + i * LEN_SACK_BLOCK + 4);
    }
}

/* RFC 7413 4.1.1: 4 to 16 bytes, an even number, or none for a request. */
static void read_cookie(const uint8_t *cookie, unsigned len, bool exp, struct w_tcpopt *out)
{
    if (len % 2 != 0 || len > W_TCPOPT_COOKIE_MAX || (len > 0 && len < COOKIE_MIN))
        return;
    out->has_fastopen = true;
    out->fastopen_exp = exp;
    out->cookie_len = (uint8_t)len;
    wr_bytes_copy(out->cookie, cookie, len);
}

/* Options of a SYN alone. */
static void read_syn_option(const uint8_t *o, unsigned len, struct w_tcpopt *out)
{
    switch (o[0]) {
    case W_TCPOPT_MSS:
        if (len == LEN_MSS) {
            out->has_mss = true;
            out->mss = get_be16(o + 2);
        }
        break;
    case W_TCPOPT_WSCALE:
        if (len == LEN_WSCALE) {
            out->has_wscale = true;
            out->wscale = o[2];
        }
        break;
    case W_TCPOPT_SACKOK:
        if (len == LEN_SACKOK)
            out->sack_permitted = true;
        break;
    case W_TCPOPT_FASTOPEN:
        read_cookie(o + LEN_FASTOPEN_BASE, len - LEN_FASTOPEN_BASE, false, out);
        break;
    case W_TCPOPT_EXP:
        if (len >= LEN_EXP_FASTOPEN_BASE && get_be16(o + 2) == W_TCPOPT_EXP_FASTOPEN)
            read_cookie(o + LEN_EXP_FASTOPEN_BASE, len - LEN_EXP_FASTOPEN_BASE, true, out);
        break;
    default:
        break;
    }
}

static void read_option(const uint8_t *o, unsigned len, bool is_syn, struct w_tcpopt *out)
{
    if (o[0] == W_TCPOPT_TS) {
        if (len == LEN_TS) {
            out->has_ts = true;
            out->ts_val = get_be32(o + 2);
            out->ts_ecr = get_be32(o + 6);
        }
    } else if (o[0] == W_TCPOPT_UTO) {
        if (len == LEN_UTO) {
            out->has_uto = true;
            out->uto = get_be16(o + 2);
        }
    } else if (is_syn) {
        read_syn_option(o, len, out);
    } else if (o[0] == W_TCPOPT_SACK) {
        read_sack(o, len, out);
    }
}

enum w_err wr_w_tcpopt_parse(const uint8_t *p, size_t len, bool is_syn, struct w_tcpopt *out)
{
    memset(out, 0, sizeof *out);
    if (len > W_TCPOPT_MAX)
        len = W_TCPOPT_MAX; /* a data offset cannot say more */
    while (len > 0 && p[0] != W_TCPOPT_END) {
        size_t n = 1;
        if (p[0] != W_TCPOPT_NOP) {
            if (len < 2 || p[1] < 2 || p[1] > len)
                return W_OPTION;
            n = p[1];
            read_option(p, (unsigned)n, is_syn, out);
        }
        p += n;
        len -= n;
    }
    return W_OK;
}

/* Writes a word of four bytes, and returns where the next goes. */
static uint8_t *put_word(uint8_t *p, unsigned a, unsigned b, unsigned c, unsigned d)
{
    p[0] = (uint8_t)a;
    p[1] = (uint8_t)b;
    p[2] = (uint8_t)c;
    p[3] = (uint8_t)d;
    return p + 4;
}

/* Timestamps behind two bytes that pad them to words. */
static uint8_t *put_ts(uint8_t *p, unsigned pad0, unsigned pad1, const struct w_tcpopt *opt)
{
    p = put_word(p, pad0, pad1, W_TCPOPT_TS, LEN_TS);
    put_be32(p, opt->ts_val);
    put_be32(p + 4, opt->ts_ecr);
    return p + 8;
}

/* Fast open, padded behind with NOPs, if the `room` bytes allow. */
static uint8_t *put_fastopen(uint8_t *p, size_t room, const struct w_tcpopt *opt)
{
    size_t base = opt->fastopen_exp ? LEN_EXP_FASTOPEN_BASE : LEN_FASTOPEN_BASE;
    size_t len = base + opt->cookie_len, padded = (len + 3) / 4 * 4;

    if (padded > room)
        return p;
    p[0] = opt->fastopen_exp ? W_TCPOPT_EXP : W_TCPOPT_FASTOPEN;
    p[1] = (uint8_t)len;
    if (opt->fastopen_exp)
        put_be16(p + 2, W_TCPOPT_EXP_FASTOPEN);
    memcpy(p + base, opt->cookie, opt->cookie_len);
    memset(p + len, W_TCPOPT_NOP, padded - len);
    return p + padded;
}

size_t wr_w_tcpopt_emit_syn(uint8_t p[W_TCPOPT_MAX], const struct w_tcpopt *opt)
{
    uint8_t *at = p;

    if (opt->has_mss)
        at = put_word(at, W_TCPOPT_MSS, LEN_MSS, opt->mss >> 8, opt->mss & 0xffu);
    if (opt->has_ts && opt->sack_permitted)
        at = put_ts(at, W_TCPOPT_SACKOK, LEN_SACKOK, opt);
    else if (opt->has_ts)
        at = put_ts(at, W_TCPOPT_NOP, W_TCPOPT_NOP, opt);
    else if (opt->sack_permitted)
        at = put_word(at, W_TCPOPT_NOP, W_TCPOPT_NOP, W_TCPOPT_SACKOK, LEN_SACKOK);
    if (opt->has_wscale)
        at = put_word(at, W_TCPOPT_NOP, W_TCPOPT_WSCALE, LEN_WSCALE, opt->wscale);
    if (opt->has_fastopen)
        at = put_fastopen(at, (size_t)(p + W_TCPOPT_MAX - at), opt);
    return (size_t)(at - p);
}

size_t wr_w_tcpopt_emit(uint8_t p[W_TCPOPT_MAX], const struct w_tcpopt *opt)
{
    uint8_t *at = p;
    unsigned fit = opt->has_ts ? 3 : 4;
    unsigned n = opt->n_sack < fit ? opt->n_sack : fit;

    if (opt->has_ts)
        at = put_ts(at, W_TCPOPT_NOP, W_TCPOPT_NOP, opt);
    if (n > 0)
        at = put_word(at, W_TCPOPT_NOP, W_TCPOPT_NOP, W_TCPOPT_SACK,
                      LEN_SACK_BASE + n * LEN_SACK_BLOCK);
    for (unsigned i = 0; i < n; i++, at += LEN_SACK_BLOCK) {
        put_be32(at, opt->sack[i].start);
        put_be32(at + 4, opt->sack[i].end);
    }
    return (size_t)(at - p);
}
