/* SPDX-License-Identifier: MIT */
/*
 * SYN cookies, RFC 4987 3.6: when the SYN queue is full the SYN-ACK's own sequence number says all that
 * must be known of the peer, and the ACK that brings it back opens the connection. Nothing is kept.
 *
 *        31  30 29  27 26                                  0
 *       +------+------+-----------------------------------+
 *       |minute| MSS  |  MAC(tuple, IRS, minute, MSS)     |   + mask(tuple) + IRS  =  our ISS
 *       +------+------+-----------------------------------+
 *
 * minute  Modulo 4. A cookie is taken in the minute in which it was made and in the next: 60 to 120 s.
 * MSS     An index into a table; the peer's is rounded down, never up.
 * MAC     27 bits of SipHash under a key of that minute, itself made from the secret: keys rotate by
 *         themselves, and who learns one has learned a minute. Guessing succeeds once in 2^28.
 * mask    A keyed hash of the tuple, so that cookies of different peers tell nothing about each other;
 *         with IRS added the numbers of a tuple grow as its peer's do (RFC 6528).
 *
 * The other options travel in the low six bits of our timestamp, which the peer echoes; without
 * timestamps there is neither window scaling nor SACK nor ECN. The time in such a timestamp is up to
 * 64 ms old, never in the future, so that later ones are not below it (the layout is Linux's).
 *
 *        31                              6   5     4    3    0
 *       +---------------------------------+-----+------+------+
 *       |  milliseconds, rounded down     | ECN | SACK | scale|     scale 15: no window scaling
 *       +---------------------------------+-----+------+------+
 *
 * Hosts that share an address can share the secret (weir_syncookie_secret): the ACK may then come to
 * another host than the SYN did. For that minutes and timestamps follow the time of day.
 *
 * Limits: as any cookie, this one is not sent again when it is lost (the peer's SYN is), and a SYN's
 * data is not remembered.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"

#include <sodium/crypto_shorthash.h>

#include <string.h>

enum {
    MINUTE_SHIFT = 30,
    MSS_SHIFT = 27,
    MAC_MASK = (1 << MSS_SHIFT) - 1,
    TS_BITS = 6,
    TS_NO_SCALE = 15,
    TS_SACK = 16,
    TS_ECN = 32
};

/* What peers say: 1460 by far the most, then PPPoE and tunnels, the defaults, jumbo frames. */
static const uint16_t mss_table[8] = {48, 256, 536, 1220, 1300, 1440, 1460, 8940};

void wr_cookie_init(struct weir_stack *stack)
{
    struct wr_cookies *cookies = &stack->tcp->cookies;

    wr_derive_key(stack, "tcp cookie minutes", cookies->secret);
    wr_derive_key(stack, "tcp cookie masks", cookies->secret + 16);
    cookies->minute = UINT64_MAX;
}

int weir_syncookie_secret(struct weir_stack *stack, const uint8_t secret[32], weir_time time_of_day,
                          weir_time now)
{
    struct wr_cookies *cookies = &stack->tcp->cookies;

    if (time_of_day < 0)
        return WEIR_EINVAL;
    now = wr_clock(stack, now);
    memcpy(cookies->secret, secret, sizeof cookies->secret);
    cookies->minute = UINT64_MAX;
    cookies->ahead = time_of_day - now;
    cookies->ts_shift = (uint32_t)((uint64_t)(cookies->ahead / WEIR_MS));
    cookies->shared = true;
    memset(stack->tcp->ts_pairs, 0, sizeof stack->tcp->ts_pairs); /* made by the old key */
    crypto_shorthash(stack->tcp->ts_key, (const uint8_t *)"tcp timestamps", 14, cookies->secret);
    crypto_shorthash(stack->tcp->ts_key + 8, (const uint8_t *)"tcp timestamps", 14,
                     cookies->secret + 16);
    return 0;
}

static uint64_t minute_of(const struct wr_cookies *cookies, weir_time now)
{
    return (uint64_t)(now + cookies->ahead) / (60 * (uint64_t)WEIR_SEC);
}

/* The key of this minute or the one before; both are made once a minute. */
static const uint8_t *key_of(struct wr_cookies *cookies, uint64_t minute, uint64_t current)
{
    uint8_t input[9] = {0};

    if (cookies->minute != current) {
        for (unsigned i = 0; i < 4; i++) { /* halves of the current key, of the one before */
            put_be64(input, current - i / 2);
            input[8] = (uint8_t)(i % 2);
            crypto_shorthash(cookies->key[i / 2] + i % 2 * 8, input, sizeof input, cookies->secret);
        }
        cookies->minute = current;
    }
    return cookies->key[current - minute];
}

struct cookie_input { /* a hash input: no padding */
    struct wr_tuple tuple;
    uint32_t irs;
    uint32_t minute;
    uint32_t mss;
};
static_assert(sizeof(struct cookie_input) == 48, "a hash input must have no padding");

static uint32_t value_of(struct wr_cookies *cookies, const struct wr_tuple *tuple, uint32_t irs,
                         uint64_t minute, uint64_t current, unsigned mss)
{
    struct cookie_input input = {*tuple, irs, (uint32_t)minute, mss};
    uint64_t mac = wr_hash_keyed(key_of(cookies, minute, current), &input, sizeof input);

    return (uint32_t)(minute & 3) << MINUTE_SHIFT | (uint32_t)mss << MSS_SHIFT |
           (uint32_t)(mac & MAC_MASK);
}

static uint32_t mask_of(const struct wr_cookies *cookies, const struct wr_tuple *tuple)
{
    return (uint32_t)wr_hash_keyed(cookies->secret + 16, tuple, sizeof *tuple);
}

uint32_t wr_cookie_make(struct weir_stack *stack, const struct wr_tuple *tuple, uint32_t irs,
                        uint16_t peer_mss, weir_time now)
{
    struct wr_cookies *cookies = &stack->tcp->cookies;
    uint64_t minute = minute_of(cookies, now);
    unsigned mss = sizeof mss_table / sizeof mss_table[0] - 1;

    while (mss > 0 && mss_table[mss] > peer_mss)
        mss--;
    return value_of(cookies, tuple, irs, minute, minute, mss) + mask_of(cookies, tuple) + irs;
}

bool wr_cookie_check(struct weir_stack *stack, const struct wr_tuple *tuple, uint32_t irs,
                     uint32_t iss, uint16_t *peer_mss, weir_time now)
{
    struct wr_cookies *cookies = &stack->tcp->cookies;
    uint32_t value = iss - irs - mask_of(cookies, tuple);
    uint64_t current = minute_of(cookies, now), minute = current;
    unsigned mss = value >> MSS_SHIFT & 7;

    if ((minute & 3) != value >> MINUTE_SHIFT)
        minute--;
    if (minute > current || (minute & 3) != value >> MINUTE_SHIFT)
        return false;
    if (value_of(cookies, tuple, irs, minute, current, mss) != value)
        return false;
    *peer_mss = mss_table[mss];
    return true;
}

/* The timestamp clock that hosts of a group share: only the offset of the pair is taken away. */
static uint32_t pair_offset(const struct weir_stack *stack, const struct wr_tuple *tuple)
{
    return wr_isn_ts_offset(stack, tuple) - wr_cookie_ts_shift(stack);
}

uint32_t wr_cookie_ts(const struct weir_stack *stack, const struct wr_syn *syn,
                      const struct wr_tuple *tuple, weir_time now)
{
    uint32_t ms = wr_ts_now(wr_cookie_ts_shift(stack), now), ts;
    uint32_t bits = syn->wscale_ok ? syn->snd_wscale : TS_NO_SCALE;

    if (syn->sack_ok)
        bits |= TS_SACK;
    if (syn->ecn_ok)
        bits |= TS_ECN;
    ts = ms >> TS_BITS << TS_BITS | bits;
    if (ts > ms)
        ts -= 1u << TS_BITS;
    return ts + pair_offset(stack, tuple);
}

bool wr_cookie_options(const struct weir_stack *stack, const struct w_tcpopt *opt,
                       const struct wr_tuple *tuple, struct wr_syn *syn)
{
    const struct wr_tunables *tunables = &stack->tunables;
    uint32_t bits = opt->ts_ecr - pair_offset(stack, tuple);

    syn->ts_ok = opt->has_ts;
    if (!syn->ts_ok)
        return true;
    syn->ts_recent = opt->ts_val;
    syn->sack_ok = (bits & TS_SACK) != 0;
    syn->wscale_ok = (bits & TS_NO_SCALE) != TS_NO_SCALE;
    syn->snd_wscale = syn->wscale_ok ? bits & TS_NO_SCALE : 0;
    syn->ecn_ok = (bits & TS_ECN) != 0 && tunables->tcp_ecn != 0;
    return tunables->tcp_timestamps != 0 && (!syn->sack_ok || tunables->tcp_sack != 0) &&
           (!syn->wscale_ok || tunables->tcp_window_scaling != 0);
}
