/* SPDX-License-Identifier: MIT */
/*
 * Initial sequence numbers, RFC 6528: ISN = M + F(4-tuple, secret). F is the high half of the SipHash-2-4 that
 * finds the connection in the flow table (tcp_demux), whose low half nobody is told; M is a clock of 64 ns as on Linux (RFC 6528 says 4 us), so that it passes 2^32 in 274 s
 * and stays ahead of what a connection can send at 62 MB/s. A new incarnation of a 4-tuple so
 * begins above the old one, and nobody without the key learns anything from the ISN of another.
 *
 * The timestamp clock is offset in the same way for each pair of hosts (RFC 7323 7.1): per pair, not per
 * connection, so that TIME-WAIT may compare timestamps of two incarnations (RFC 6191).
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"

#include "base/hash.h"

uint32_t wr_isn(const struct weir_stack *stack, uint64_t tuple_hash, weir_time now)
{
    uint32_t hash = (uint32_t)(tuple_hash >> 32);
    uint32_t clock = (uint32_t)((uint64_t)now >> 6);

#ifdef WEIR_HARD
    /* Connections opened when the stack was made wrap within their first bytes. */
    return 0xffffff80u + (hash & 0x7f) + clock - stack->tcp->isn_epoch;
#else
    (void)stack;
    return hash + clock;
#endif
}

/* The hash of two hosts, put where it is kept. */
WR_APART uint32_t make_offset(const struct weir_stack *stack, const struct wr_tuple *tuple,
                              struct wr_ts_pair *kept)
{
    struct weir_addr pair[2] = {tuple->local, tuple->remote};

    *kept = (struct wr_ts_pair){pair[0], pair[1],
                                (uint32_t)wr_hash_keyed(stack->tcp->ts_key, pair, sizeof pair)};
    return kept->offset;
}

/* The same; those made last are kept. */
static uint32_t pair_offset(const struct weir_stack *stack, const struct wr_tuple *tuple)
{
    uint32_t x = wr_demux_word(tuple->remote.b + 12) * 0x9e3779b1u;
    struct wr_ts_pair *kept = &stack->tcp->ts_pairs[x / (UINT32_MAX / WR_TS_PAIRS + 1)];

    if (wr_may_remember(stack) && wr_same_pair(kept, tuple))
        return kept->offset;
    return make_offset(stack, tuple, kept);
}

uint32_t wr_isn_ts_offset(const struct weir_stack *stack, const struct wr_tuple *tuple)
{
    uint32_t shift = wr_cookie_ts_shift(stack);

    if (stack->tunables.tcp_timestamps == 2)
        return shift;
    return pair_offset(stack, tuple) + shift;
}
