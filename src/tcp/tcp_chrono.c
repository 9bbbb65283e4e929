/* SPDX-License-Identifier: MIT */
/*
 * What a sender spends its time on, as TCP_INFO tells it (Linux's tcpi_busy_time, tcpi_rwnd_limited and
 * tcpi_sndbuf_limited). At each moment one of these is so, the later in the list before the earlier:
 *
 *     IDLE     nothing is queued and everything is acknowledged
 *     BUSY     data is queued or in flight
 *     RWND     and the peer's window has no room for the next segment
 *     SNDBUF   and the user has more than the send buffer takes, while the network would take more
 *
 * tcp_output knows when a turn ended and why, tcp_user when the buffer was full, tcp_ack when nothing is left.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_sender.h"

static void enter(struct wr_chrono *chrono, uint8_t type, weir_time now)
{
    if (type == chrono->type)
        return;
    if (chrono->type != WR_CHRONO_IDLE)
        chrono->spent[chrono->type - 1] += now - chrono->since;
    chrono->type = type;
    chrono->since = now;
}

static bool anything_left(const struct tcb *tcb)
{
    return wr_tcb_in_flight(tcb) || wr_tcb_unsent(tcb) > 0;
}

/* What limits sending is over: back to BUSY. */
static void stop(struct tcb *tcb, uint8_t type, weir_time now)
{
    struct wr_chrono *chrono = &tcb->tx->chrono;

    if (!anything_left(tcb))
        enter(chrono, WR_CHRONO_IDLE, now);
    else if (chrono->type == type)
        enter(chrono, WR_CHRONO_BUSY, now);
}

void wr_chrono_queued(struct tcb *tcb, weir_time now)
{
    if (tcb->tx->chrono.type == WR_CHRONO_IDLE)
        enter(&tcb->tx->chrono, WR_CHRONO_BUSY, now);
}

void wr_chrono_buffer_full(struct tcb *tcb)
{
    tcb->tx->chrono.buffer_full = true;
}

void wr_chrono_writable(struct tcb *tcb, weir_time now)
{
    if (!tcb->tx->chrono.buffer_full)
        return;
    tcb->tx->chrono.buffer_full = false;
    stop(tcb, WR_CHRONO_SNDBUF, now);
}

void wr_chrono_acked(struct tcb *tcb, weir_time now)
{
    if (!anything_left(tcb))
        enter(&tcb->tx->chrono, WR_CHRONO_IDLE, now);
}

void wr_chrono_turn_ended(struct tcb *tcb, weir_time now)
{
    struct wr_chrono *chrono = &tcb->tx->chrono;
    uint32_t unsent, mss, next;
    int32_t wnd = seq_diff(tcb->snd_una + tcb->snd_wnd, tcb->snd_nxt);
    bool cwnd_full;

    unsent = wr_tcb_unsent(tcb);
    if (!anything_left(tcb))
        return;
    mss = wr_output_mss(tcb, 0);
    next = unsent < mss ? unsent : mss;
    cwnd_full = wr_tcb_pipe(tcb) + mss > tcb->tx->cc.cwnd;
    if (unsent > 0 && !cwnd_full && wnd < (int32_t)next) {
        if (chrono->type < WR_CHRONO_RWND)
            enter(chrono, WR_CHRONO_RWND, now);
        return;
    }
    stop(tcb, WR_CHRONO_RWND, now);
    if (unsent == 0 && !cwnd_full && chrono->buffer_full &&
        (tcb->state == WEIR_TCP_ESTABLISHED || tcb->state == WEIR_TCP_CLOSE_WAIT))
        enter(chrono, WR_CHRONO_SNDBUF, now);
}

weir_time wr_chrono_spent(const struct wr_chrono *chrono, uint8_t type, weir_time now)
{
    return chrono->spent[type - 1] + (chrono->type == type ? now - chrono->since : 0);
}
