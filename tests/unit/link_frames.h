/* SPDX-License-Identifier: MIT */
/* Hand-made frames for the tests of links, and a second opinion on checksums. */
#ifndef WEIR_TEST_LINK_FRAMES_H
#define WEIR_TEST_LINK_FRAMES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/link.h>

enum { F_FIN = 1, F_SYN = 2, F_RST = 4, F_PSH = 8, F_ACK = 16, F_ECE = 64, F_CWR = 128 };

static inline unsigned be16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t be32(const uint8_t *p)
{
    return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static inline void set16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* The folded sum of RFC 1071, one 16-bit word after the other. */
static inline unsigned plain_sum(const uint8_t *p, size_t len, unsigned sum)
{
    for (size_t i = 0; i < len; i++) {
        sum += i % 2 ? p[i] : (unsigned)p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static inline unsigned pseudo(const uint8_t *ip, unsigned proto, size_t l4_len)
{
    unsigned sum = ip[0] >> 4 == 4 ? plain_sum(ip + 12, 8, 0) : plain_sum(ip + 8, 32, 0);
    uint8_t tail[4] = {0, (uint8_t)proto, (uint8_t)(l4_len >> 8), (uint8_t)l4_len};
    return plain_sum(tail, 4, sum);
}

/* Asserts that an IP packet has whole lengths and right checksums (TCP or UDP). */
static inline void assert_ip_good(const uint8_t *ip, size_t len)
{
    size_t l4 = 40;
    unsigned proto = ip[6];
    if (ip[0] >> 4 == 4) {
        l4 = (size_t)(ip[0] & 15) * 4;
        proto = ip[9];
        assert_int_equal(be16(ip + 2), len);
        assert_int_equal(plain_sum(ip, l4, 0), 0xffff);
    } else {
        assert_int_equal(be16(ip + 4) + 40, len);
    }
    assert_int_equal(plain_sum(ip + l4, len - l4, pseudo(ip, proto, len - l4)), 0xffff);
}

/* Headers of a TCP segment with `opt` option bytes and data_len bytes to come: the checksum field holds the
 * sum of the pseudo-header. 10.0.0.1:1000 > 10.0.0.2:2000, or fd00::1 > fd00::2. Returns the headers' length. */
static inline size_t tcp_head(uint8_t *p, unsigned family, unsigned flags, uint32_t seq, size_t opt,
                              size_t data_len)
{
    size_t l4 = family == 4 ? 20 : 40, l4_len = 20 + opt + data_len;
    memset(p, 0, l4 + 20 + opt);
    if (family == 4) {
        p[0] = 0x45;
        set16(p + 2, (unsigned)(20 + l4_len));
        set16(p + 4, 0xfffe); /* the ID wraps among the segments */
        p[6] = 0x40;
        p[8] = 64;
        p[9] = 6;
        memcpy(p + 12, "\x0a\0\0\1\x0a\0\0\2", 8);
        set16(p + 10, ~plain_sum(p, 20, 0));
    } else {
        p[0] = 0x60;
        set16(p + 4, (unsigned)l4_len);
        p[6] = 6;
        p[7] = 64;
        p[8] = p[24] = 0xfd;
        p[23] = 1;
        p[39] = 2;
    }
    uint8_t *t = p + l4;
    set16(t, 1000);
    set16(t + 2, 2000);
    set16(t + 4, seq >> 16);
    set16(t + 6, seq);
    t[12] = (uint8_t)((20 + opt) / 4 << 4);
    t[13] = (uint8_t)flags;
    set16(t + 14, 512);
    for (size_t i = 0; i < opt; i++)
        t[20 + i] = 1; /* NOP */
    set16(t + 16, pseudo(p, 6, l4_len));
    return l4 + 20 + opt;
}

/* A whole TCP frame, checksum finished, in buf (cap is not checked). Data bytes are 0, 1, 2, ... */
static inline size_t tcp_frame(uint8_t *buf, unsigned flags, uint32_t seq, size_t data_len)
{
    size_t head = tcp_head(buf, 4, flags, seq, 0, data_len);
    for (size_t i = 0; i < data_len; i++)
        buf[head + i] = (uint8_t)i;
    set16(buf + 36, ~plain_sum(buf + 20, 20 + data_len, 0));
    return head + data_len;
}

static inline struct weir_out out_of(uint8_t *frame, size_t len)
{
    return (struct weir_out){.head = frame, .head_len = len};
}

#endif
