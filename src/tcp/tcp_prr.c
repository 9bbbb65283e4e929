/* SPDX-License-Identifier: MIT */
/*
 * Proportional rate reduction, RFC 9937: how cwnd goes down to ssthresh.
 *
 * When a loss is found everything that congestion control wants is known (ssthresh), but to take cwnd
 * down at once would silence the sender for half a round trip, and then let it send in a burst. So each ACK
 * of recovery says how much may leave for what it says has arrived:
 *
 *     in flight
 *        | RecoverFS
 *        |*.
 *        |  '*.          more than ssthresh: `ssthresh` bytes leave for `RecoverFS` that arrive
 *        |     '*.
 *     ---|--------'*-------------------*----- ssthresh
 *        |           *  losses      .'
 *        |            *          .'      less: what has arrived may leave (conservative bound); and
 *        |             *......'          one segment more if the ACK shows that recovery goes well
 *        +----------------------------------------> ACKs
 *
 * The result is a cwnd, valid until the next ACK: pipe plus what may leave now. Counts are bytes and of the
 * whole reduction, so that what rounding gives too early, or an application too late, is made up for.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"

void wr_prr_enter(struct wr_prr *prr, uint32_t recover_fs)
{
    *prr = (struct wr_prr){.recover_fs = recover_fs > 0 ? recover_fs : 1};
}

/* RFC 9937 6.2: ceil(prr_delivered * ssthresh / RecoverFS) - prr_out, up to whole segments as on Linux, which
 * counts those. */
static int64_t proportional(const struct wr_prr *prr, uint32_t ssthresh, uint32_t smss)
{
    uint64_t whole = (uint64_t)prr->recover_fs * smss;
    uint64_t allowed = ((uint64_t)prr->delivered * ssthresh + whole - 1) / whole * smss;

    return (int64_t)allowed - prr->out;
}

/* RFC 9937 6.2: PRR-CRB, or PRR-SSRB when safe */
static int64_t bounded(const struct wr_prr *prr, uint32_t delivered, bool safe, uint32_t room,
                       uint32_t smss)
{
    int64_t count = (int64_t)prr->delivered - prr->out;

    if (count < delivered)
        count = delivered;
    if (safe)
        count += smss;
    return count < room ? count : room;
}

uint32_t wr_prr_cwnd(struct wr_prr *prr, uint32_t delivered, bool safe, uint32_t pipe,
                     uint32_t ssthresh, uint32_t smss)
{
    int64_t count;
    uint64_t cwnd;

    prr->delivered += delivered;
    if (pipe > ssthresh)
        count = proportional(prr, ssthresh, smss);
    else
        count = bounded(prr, delivered, safe, ssthresh - pipe, smss);
    if (count <= 0)
        count = prr->out == 0 ? smss : 0; /* the fast retransmit itself */
    cwnd = (uint64_t)pipe + (uint64_t)count;
    if (cwnd < smss)
        cwnd = smss;
    return cwnd < UINT32_MAX / 2 ? (uint32_t)cwnd : UINT32_MAX / 2;
}
