/* SPDX-License-Identifier: MIT */
#ifndef WR_W_TCPOPT_H
#define WR_W_TCPOPT_H

/*
 * TCP options, RFC 9293 3.2: end (0), no-op (1), MSS (2, 3.7.1); window scale (3) and timestamps
 * (8), RFC 7323; SACK-permitted (4) and SACK (5), RFC 2018; user timeout (28), RFC 5482; fast open
 * (34, and its experimental form 254 with the magic 0xf989), RFC 7413. All others are skipped.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "wire/w_err.h"

#define W_TCPOPT_MAX        40 /* bytes of options in a header */
#define W_TCPOPT_SACKS      4
#define W_TCPOPT_COOKIE_MAX 16
#define W_TCPOPT_TS_LEN     12          /* "nop nop TS" */
#define W_TCPOPT_WORD_TS    0x0101080au /* its beginning */
#define W_TCPOPT_SYN_LEN    20          /* "MSS, SACK-permitted TS, nop window scale" */
#define W_TCPOPT_WORD_MSS   0x02040000u /* its words but for what they say */
#define W_TCPOPT_WORD_SACK  0x0402080au
#define W_TCPOPT_WORD_WS    0x01030300u

#define W_TCPOPT_END          0
#define W_TCPOPT_NOP          1
#define W_TCPOPT_MSS          2
#define W_TCPOPT_WSCALE       3
#define W_TCPOPT_SACKOK       4
#define W_TCPOPT_SACK         5
#define W_TCPOPT_TS           8
#define W_TCPOPT_UTO          28
#define W_TCPOPT_FASTOPEN     34
#define W_TCPOPT_EXP          254
#define W_TCPOPT_EXP_FASTOPEN 0xf989

/* A SACK block: [start, end). */
struct w_sack {
    uint32_t start, end;
};

struct w_tcpopt {
    bool has_mss;
    bool has_wscale;
    bool sack_permitted;
    bool has_ts;
    bool has_fastopen; /* cookie_len 0: a request for a cookie */
    bool fastopen_exp; /* it came, or is to go, as the experimental option */
    bool has_uto;
    uint8_t wscale;     /* as sent, may pass 14 (RFC 7323 2.3: use 14 then) */
    uint8_t n_sack;     /* 0..4 */
    uint8_t cookie_len; /* 0, 4..16 */
    uint16_t mss;       /* as sent */
    uint16_t uto;       /* as sent: bit 15 is the granularity, minutes when set */
    uint32_t ts_val, ts_ecr;
    struct w_sack sack[W_TCPOPT_SACKS]; /* as sent, not judged */
    uint8_t cookie[W_TCPOPT_COOKIE_MAX];
};

/*
 * Reads `len` bytes of options (data_off - 20). Every field of *out is set. Options that belong to
 * SYN segments (MSS, window scale, SACK-permitted, fast open) are taken only when `is_syn`; SACK
 * blocks only when not. An option whose length its kind forbids is skipped as unknown ones are. Of
 * an option that comes twice the last counts, as on Linux. W_OPTION when a length is below 2 or
 * passes the end: *out then holds what stood before it (Linux uses that), and the caller decides.
 */
enum w_err wr_w_tcpopt_parse(const uint8_t *p, size_t len, bool is_syn, struct w_tcpopt *out);

/*
 * Reads the one layout of nearly all segments of a connection with timestamps: exactly "nop nop
 * TS". False, and nothing set, when `len` bytes at p are anything else.
 */
static inline bool wr_w_tcpopt_parse_ts(const uint8_t *p, size_t len, uint32_t *ts_val,
                                        uint32_t *ts_ecr)
{
    if (len != W_TCPOPT_TS_LEN || get_be32(p) != W_TCPOPT_WORD_TS)
        return false;
    *ts_val = get_be32(p + 4);
    *ts_ecr = get_be32(p + 8);
    return true;
}

/*
 * The same for SYN and SYN-ACK: exactly what wr_w_tcpopt_emit_syn() writes of MSS, SACK-permitted, timestamps and
 * window scale together. The fields of others are left as they are.
 */
static inline bool wr_w_tcpopt_parse_syn(const uint8_t *p, size_t len, struct w_tcpopt *out)
{
    uint32_t mss, wscale;

    if (len != W_TCPOPT_SYN_LEN || get_be32(p + 4) != W_TCPOPT_WORD_SACK)
        return false;
    mss = get_be32(p) ^ W_TCPOPT_WORD_MSS;
    wscale = get_be32(p + 16) ^ W_TCPOPT_WORD_WS;
    if (mss > 0xffff || wscale > 0xff)
        return false;
    out->has_mss = out->sack_permitted = out->has_ts = out->has_wscale = true;
    out->mss = (uint16_t)mss;
    out->ts_val = get_be32(p + 8);
    out->ts_ecr = get_be32(p + 12);
    out->wscale = (uint8_t)wscale;
    return true;
}

/*
 * Writes the options of a SYN or SYN-ACK in the order of Linux: MSS; SACK-permitted and timestamps
 * (packed when both, else padded by two NOPs); NOP and window scale; fast open. Returns the bytes
 * written, a multiple of 4. What no longer fits in 40 bytes (a fast open cookie) is left out.
 */
size_t wr_w_tcpopt_emit_syn(uint8_t p[W_TCPOPT_MAX], const struct w_tcpopt *opt);

/* The same with all but fast open. */
static inline size_t wr_w_tcpopt_emit_usual_syn(uint8_t *p, uint16_t mss, uint32_t ts_val,
                                                uint32_t ts_ecr, uint8_t wscale)
{
    put_be32(p, W_TCPOPT_WORD_MSS | mss);
    put_be32(p + 4, W_TCPOPT_WORD_SACK);
    put_be32(p + 8, ts_val);
    put_be32(p + 12, ts_ecr);
    put_be32(p + 16, W_TCPOPT_WORD_WS | wscale);
    return W_TCPOPT_SYN_LEN;
}

/*
 * Writes the options of any other segment: "nop nop TS", "nop nop SACK" with as many of the n_sack
 * blocks as fit (3 beside timestamps, else 4). Returns the bytes written, a multiple of 4.
 */
size_t wr_w_tcpopt_emit(uint8_t p[W_TCPOPT_MAX], const struct w_tcpopt *opt);

/* The same with timestamps alone, as most segments have them. */
static inline size_t wr_w_tcpopt_emit_ts(uint8_t *p, uint32_t ts_val, uint32_t ts_ecr)
{
    put_be32(p, W_TCPOPT_WORD_TS);
    put_be32(p + 4, ts_val);
    put_be32(p + 8, ts_ecr);
    return W_TCPOPT_TS_LEN;
}

/* The bytes that wr_w_tcpopt_emit would write with these: to know the room left for data. */
static inline size_t wr_w_tcpopt_len(bool has_ts, unsigned n_sack)
{
    unsigned fit = has_ts ? 3 : 4;
    unsigned n = n_sack < fit ? n_sack : fit;
    return (has_ts ? W_TCPOPT_TS_LEN : 0u) + (n > 0 ? 4u + 8u * n : 0u);
}

#endif
