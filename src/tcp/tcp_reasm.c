/* SPDX-License-Identifier: MIT */
/*
 * The data side of receiving: RFC 9293 3.10.7.4 seventh, RFC 2018 and RFC 2883 as a receiver, the
 * receive window.
 *
 * All bytes lie in one ring at the place where they will be read; what is beyond rcv_nxt is described by
 * a set of ranges. A segment's bytes are written only where nothing is yet, so that of two that
 * overlap with different bytes the first wins, and a hole that is filled costs no copy.
 *
 * Memory that a peer can make us hold is bounded by the ring's limit, and the number of islands by
 * WR_TCP_MAX_OFO; insertion is O(log n).
 *
 * The window. Half of the receive buffer can be announced (as on Linux by default); rcv_ssthresh
 * limits it at first and grows with the data that comes. It is never taken back (RFC 9293 3.8.6):
 * when there is less room than announced, the right edge stays where it is. It is zero when less
 * than a sixteenth of the buffer or less than one segment is free (receiver's silly window
 * avoidance, RFC 9293 3.8.6.2.2), and opens only in steps worth an ACK.
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"

/* ---- the receive window --------------------------------------------------------------------------- */

static uint32_t round_down(uint32_t value, unsigned shift)
{
    return value >> shift << shift;
}

static uint32_t round_up(uint32_t value, unsigned shift)
{
    return round_down(value + (1u << shift) - 1, shift);
}

uint32_t wr_reasm_window_free(const struct tcb *tcb)
{
    uint32_t whole = tcb->opts.rcvbuf / 2, full = whole, unread = tcb->rcv_ring.len;
    uint32_t space = whole > unread ? whole - unread : 0;
    uint32_t mss = tcb->delack.rcv_mss, wnd;

    if (full > tcb->window_clamp)
        full = tcb->window_clamp;
    if (mss > full)
        mss = full;
    if (mss == 0)
        return 0;
    if (space < full / 2) {
        space = round_down(space, tcb->rcv_wscale);
        if (space < whole / 16 || space < mss)
            return 0;
    }
    if (space > tcb->rcv_ssthresh)
        space = tcb->rcv_ssthresh;
    if (tcb->rcv_wscale != 0)
        return round_up(space, tcb->rcv_wscale);
    wnd = tcb->rcv_wnd;
    if ((int64_t)wnd <= (int64_t)space - mss || wnd > space)
        return space / mss * mss;
    if (mss == full && space > wnd + full / 2)
        return space;
    return wnd;
}

static uint16_t announce(struct tcb *tcb, uint32_t wnd)
{
    tcb->rcv_wnd = wnd;
    tcb->rcv_wup = tcb->rcv_nxt;
    return (uint16_t)(wnd >> tcb->rcv_wscale);
}

WR_APART uint16_t announce_any(struct tcb *tcb)
{
    uint32_t left = wr_reasm_wnd(tcb), wnd = wr_reasm_window_free(tcb);
    uint32_t most = (uint32_t)UINT16_MAX << tcb->rcv_wscale;

    if (wnd < left)
        wnd = round_up(left, tcb->rcv_wscale);
    /* Rounding up at each ACK lets the edge creep on when segments are shorter than the unit of the
     * window field. Where the buffer ends it is rounded down; what was announced before is still taken
     * (RFC 7323 2.4). */
    if (wnd > left && wnd < left + (1u << tcb->rcv_wscale) &&
        (uint64_t)tcb->rcv_ring.len + wnd > tcb->opts.rcvbuf)
        wnd = left;
    return announce(tcb, wnd < most ? wnd : most);
}

/* The window where half of the buffer or more is free and it may open as it will, as mostly; else 0. */
WR_INLINE uint32_t window_at_ease(const struct tcb *tcb)
{
    uint32_t rcvbuf = tcb->opts.rcvbuf, unread = tcb->rcv_ring.len, space = rcvbuf / 2 - unread;
    uint32_t wnd = space < tcb->rcv_ssthresh ? space : tcb->rcv_ssthresh;

    if (unread >= rcvbuf / 4 || tcb->delack.rcv_mss == 0 || tcb->window_clamp == 0 ||
        tcb->rcv_wscale == 0)
        return 0;
    wnd = round_up(wnd, tcb->rcv_wscale);
    return wnd >= wr_reasm_wnd(tcb) && wnd <= rcvbuf - unread &&
                   wnd >> tcb->rcv_wscale <= UINT16_MAX
               ? wnd
               : 0;
}

uint16_t wr_reasm_window_announce(struct tcb *tcb)
{
    uint32_t wnd = WR_SHORT_WAYS ? window_at_ease(tcb) : 0;

    return wnd != 0 ? announce(tcb, wnd) : announce_any(tcb);
}

void wr_reasm_grow(struct tcb *tcb, uint32_t len)
{
    uint32_t step = 2u * tcb->adv_mss > 2 * len ? 2u * tcb->adv_mss : 2 * len;

    if (tcb->rcv_ssthresh >= tcb->window_clamp)
        return;
    step =
        step < tcb->window_clamp - tcb->rcv_ssthresh ? step : tcb->window_clamp - tcb->rcv_ssthresh;
    tcb->rcv_ssthresh += step;
}

void wr_reasm_read(struct weir_stack *stack, struct tcb *tcb, uint32_t copied, weir_time now)
{
    wr_rcvbuf_read(stack, tcb, now);
    wr_reasm_ack_read(stack, tcb, copied, now);
}

void wr_reasm_ack_read(struct weir_stack *stack, struct tcb *tcb, uint32_t copied, weir_time now)
{
    struct wr_delack *d = &tcb->delack;
    bool ack_now = false;

    if (d->pending & WR_ACK_SCHED) {
        ack_now =
            tcb->rcv_nxt - tcb->rcv_wup > d->rcv_mss ||
            (copied > 0 && tcb->rcv_ring.len == 0 &&
             ((d->pending & WR_ACK_PUSHED2) || ((d->pending & WR_ACK_PUSHED) && !d->pingpong)));
    }
    if (copied > 0 && !ack_now && !(tcb->shut & WR_SHUT_RCV)) {
        uint32_t left = wr_reasm_wnd(tcb);
        /* Worth an ACK of its own: the window doubles (RFC 9293 3.8.6.2.2 asks for no less). */
        if (2 * (uint64_t)left <= tcb->window_clamp) {
            uint32_t wnd = wr_reasm_window_free(tcb);
            ack_now = wnd != 0 && wnd >= 2 * (uint64_t)left;
        }
    }
    if (ack_now)
        wr_output_want_ack(stack, tcb, false, now);
}

/* ---- D-SACK and SACK ------------------------------------------------------------------------------- */

void wr_reasm_dsack(struct weir_stack *stack, struct tcb *tcb, uint32_t start, uint32_t end)
{
    if (!tcb->sack_ok || !seq_lt(start, end))
        return;
    wr_count(stack,
             seq_lt(start, tcb->rcv_nxt) ? WR_STAT_tcp_dsack_sent : WR_STAT_tcp_dsack_ofo_sent);
    wr_tcb_stirred(tcb);
    tcb->dsack_set = true;
    tcb->dsack_start = start;
    tcb->dsack_end = end;
}

unsigned wr_reasm_sacks(struct tcb *tcb, struct w_sack *out, unsigned max)
{
    struct wr_range recent[W_TCPOPT_SACKS];
    unsigned n = 0;
    size_t n_recent;

    if (!tcb->sack_ok)
        return 0;
    if (tcb->dsack_set && max > 0) {
        out[n++] = (struct w_sack){tcb->dsack_start, tcb->dsack_end};
        tcb->dsack_set = false;
    }
    if (tcb->ofo == NULL || tcb->ofo->count == 0)
        return n;
    n_recent = wr_ranges_recent(tcb->ofo, recent, max - n);
    for (size_t i = 0; i < n_recent; i++)
        out[n++] = (struct w_sack){recent[i].start, recent[i].end};
    return n;
}

/* ---- data ----------------------------------------------------------------------------------------------- */

void wr_reasm_free(struct weir_stack *stack, struct tcb *tcb)
{
    if (tcb->ofo == NULL)
        return;
    wr_ranges_clear(tcb->ofo, &stack->alloc);
    wr_free(stack, tcb->ofo, sizeof *tcb->ofo);
    tcb->ofo = NULL;
}

static bool has_islands(const struct tcb *tcb)
{
    return tcb->ofo != NULL && tcb->ofo->count > 0;
}

/* Writes data for [seq, seq + len) into the ring where nothing lies yet. Returns how many bytes from seq
 * on are in the ring then. */
WR_APART uint32_t store(struct weir_stack *stack, struct tcb *tcb, uint32_t seq,
                        const uint8_t *data, uint32_t len)
{
    uint32_t base = tcb->rcv_nxt - tcb->rcv_ring.len; /* of the ring */
    uint32_t at = seq, end = seq + len;

    if (!has_islands(tcb)) {
        return (uint32_t)wr_ring_write_at(&tcb->rcv_ring, &stack->alloc, seq - base, data, len);
    }
    while (seq_lt(at, end)) {
        struct wr_range hole;
        uint32_t n;
        if (!wr_ranges_next_hole(tcb->ofo, at, end, &hole))
            return len;
        n = (uint32_t)wr_ring_write_at(&tcb->rcv_ring, &stack->alloc, hole.start - base,
                                       data + (hole.start - seq), hole.end - hole.start);
        if (n < hole.end - hole.start)
            return hole.start + n - seq;
        at = hole.end;
    }
    return len;
}

/* Makes readable what lies behind rcv_nxt without a gap. A FIN that came early stands in the islands, so that
 * SACK tells of it, but not in the ring. */
WR_APART void join_islands(struct weir_stack *stack, struct tcb *tcb)
{
    struct wr_range first;
    uint32_t end;

    while (has_islands(tcb) && wr_ranges_first(tcb->ofo, &first) &&
           seq_leq(first.start, tcb->rcv_nxt)) {
        end = tcb->fin_seen && seq_gt(first.end, tcb->fin_seq) ? tcb->fin_seq : first.end;
        if (seq_gt(end, tcb->rcv_nxt)) {
            wr_ring_commit(&tcb->rcv_ring, end - tcb->rcv_nxt);
            tcb->rcv_nxt = end;
        }
        wr_ranges_remove_below(tcb->ofo, &stack->alloc, seq_max(tcb->rcv_nxt, first.end));
    }
}

WR_INLINE void take_in_order(struct weir_stack *stack, struct tcb *tcb, const uint8_t *data,
                             uint32_t len, weir_time now)
{
    bool islands = has_islands(tcb);
    uint32_t before = tcb->rcv_nxt, held = tcb->rcv_ring.len;
    uint32_t n;

    if (WR_SHORT_WAYS && !islands && tcb->rcv_ring.extent == held)
        n = (uint32_t)wr_ring_write(&tcb->rcv_ring, &stack->alloc, data, len);
    else
        n = store(stack, tcb, tcb->rcv_nxt, data, len);

    if (n < len)
        wr_drop(stack, tcb->rcv_ring.len + len > tcb->rcv_ring.limit ? WR_DROP_tcp_buffer_full
                                                                     : WR_DROP_no_memory);
    if (tcb->rcv_ring.len == held) /* written beyond the tail */
        wr_ring_commit(&tcb->rcv_ring, n);
    tcb->rcv_nxt += n;
    if (islands)
        join_islands(stack, tcb);
    tcb->bytes_received += tcb->rcv_nxt - before;
    if (islands || n < len) /* RFC 5681 4.2: a filled hole is acknowledged at once */
        wr_output_want_ack(stack, tcb, false, now);
}

static void take_out_of_order(struct weir_stack *stack, struct tcb *tcb, uint32_t seq,
                              const uint8_t *data, uint32_t len, bool fin, weir_time now)
{
    struct wr_range in;
    uint32_t n, held;

    wr_tcb_stirred(tcb);
    tcb->ofo_packets++;
    wr_count(stack, WR_STAT_tcp_ofo_queued);
    wr_output_want_ack(stack, tcb, true, now); /* RFC 5681 4.2: duplicate ACK at once */
    if (tcb->ofo == NULL) {
        tcb->ofo = wr_alloc(stack, sizeof *tcb->ofo);
        if (tcb->ofo == NULL) {
            wr_drop(stack, WR_DROP_no_memory);
            return;
        }
        wr_ranges_init(tcb->ofo, WR_TCP_MAX_OFO);
    }
    if (wr_ranges_find(tcb->ofo, seq, &in))
        wr_reasm_dsack(stack, tcb, seq, seq_min(in.end, seq + len + (fin ? 1 : 0)));
    n = store(stack, tcb, seq, data, len);
    if (n < len)
        wr_drop(stack, WR_DROP_tcp_buffer_full);
    held = n + (fin && n == len ? 1 : 0);
    if (held > 0 && wr_ranges_insert(tcb->ofo, &stack->alloc, seq, seq + held) != 0)
        wr_drop(stack, WR_DROP_tcp_ofo_full);
    if (tcb->ofo->count == 0)
        wr_ring_forget_beyond(&tcb->rcv_ring, &stack->alloc);
}

/* Nothing new in it: say so at once, the peer may have lost our ACK (RFC 2883 4). */
static void take_duplicate(struct weir_stack *stack, struct tcb *tcb, uint32_t start, uint32_t end,
                           weir_time now)
{
    wr_reasm_dsack(stack, tcb, start, end);
    wr_delack_enter_quick(tcb);
    wr_output_want_ack(stack, tcb, true, now);
}

/* Data in order is in the ring. */
WR_INLINE void took_in_order(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                             weir_time now)
{
    wr_direct_took(stack, tcb, seg);
    wr_rcvbuf_data_received(tcb, seg, now);
    wr_delack_data_received(tcb, seg, now);
    if (seg->len >= 128 && !wr_mem_is_pressed(stack))
        wr_reasm_grow(tcb, seg->len);
    wr_tcb_touch(stack, tcb, WR_HAPPENED_DATA);
}

/* Memory is short, or the window is. */
static void take_nothing(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    wr_delack_enter_quick(tcb);
    wr_output_want_ack(stack, tcb, true, now);
}

/* Is it the next data, within the window, without a FIN here or ahead? */
static bool is_next(const struct tcb *tcb, const struct seg *seg)
{
    return seg->seq == tcb->rcv_nxt && !(seg->flags & (W_TCP_SYN | W_TCP_FIN)) && !tcb->fin_seen &&
           seg->len - 1 < wr_reasm_wnd(tcb);
}

/* As mostly. */
static void take_next(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                      weir_time now)
{
    if (!wr_mem_may_receive(stack, tcb, seg->len, true)) {
        take_nothing(stack, tcb, now);
        return;
    }
    take_in_order(stack, tcb, seg->data, seg->len, now);
    took_in_order(stack, tcb, seg, now);
}

WR_APART bool take_any(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg,
                       weir_time now)
{
    uint32_t start = seg->seq + ((seg->flags & W_TCP_SYN) ? 1 : 0), end = start + seg->len;
    uint32_t edge = tcb->rcv_nxt + wr_reasm_wnd(tcb);
    const uint8_t *data = seg->data;
    bool fin = (seg->flags & W_TCP_FIN) != 0;

    if (seg->len == 0 && !fin)
        return false;
    if (seq_leq(end + (fin ? 1 : 0), tcb->rcv_nxt)) {
        take_duplicate(stack, tcb, start, end + (fin ? 1 : 0), now);
        return false;
    }
    if (seq_lt(start, tcb->rcv_nxt)) { /* trim what is old */
        uint32_t old = tcb->rcv_nxt - start;
        wr_reasm_dsack(stack, tcb, start, tcb->rcv_nxt);
        if (old > seg->len)
            old = seg->len;
        data += old;
        start += old;
    }
    /* A segment that passes the window is taken whole when the reader has kept up, as on Linux, else
     * trimmed. A zero window takes nothing but a bare FIN. */
    if (seq_gt(end, edge) &&
        (tcb->rcv_ring.len > 0 || edge == tcb->rcv_nxt || start != tcb->rcv_nxt)) {
        wr_drop(stack, WR_DROP_tcp_buffer_full);
        end = edge;
        fin = false;
        if (seq_leq(end, start)) {
            take_nothing(stack, tcb, now);
            return false;
        }
    }
    if (tcb->fin_seen && seq_gt(end, tcb->fin_seq)) /* nothing comes after a FIN */
        end = seq_max(tcb->fin_seq, start);
    if (fin && !tcb->fin_seen) {
        tcb->fin_seen = true;
        tcb->fin_seq = end;
    }
    if (end != start && !wr_mem_may_receive(stack, tcb, end - start, start == tcb->rcv_nxt)) {
        take_nothing(stack, tcb, now);
        return false;
    }
    if (start == tcb->rcv_nxt) {
        if (end != start) {
            take_in_order(stack, tcb, data, end - start, now);
            took_in_order(stack, tcb, seg, now);
        }
    } else {
        take_out_of_order(stack, tcb, start, data, end - start, fin && end == tcb->fin_seq, now);
    }
    return tcb->fin_seen && tcb->rcv_nxt == tcb->fin_seq;
}

/* A FIN alone, behind all data. */
static bool is_end(const struct tcb *tcb, const struct seg *seg)
{
    return (seg->flags & (W_TCP_SYN | W_TCP_FIN)) == W_TCP_FIN && seg->len == 0 &&
           seg->seq == tcb->rcv_nxt && !tcb->fin_seen;
}

bool wr_reasm_input(struct weir_stack *stack, struct tcb *tcb, struct seg *seg, weir_time now)
{
    if (wr_may_be_short(stack) && is_next(tcb, seg)) {
        take_next(stack, tcb, seg, now);
        return false;
    }
    if (wr_may_be_short(stack) && is_end(tcb, seg)) {
        tcb->fin_seen = true;
        tcb->fin_seq = seg->seq;
        return true;
    }
    return take_any(stack, tcb, seg, now);
}

/* ---- urgent data ------------------------------------------------------------------------------------------ */

/* Linux's reading of RFC 9293 3.8.5 (tcp_stdurg 0): the pointer names the byte behind the urgent one, and
 * only one byte is urgent; an older urgent byte that nobody has read falls back into the stream, unless the
 * reader stands right before it: then it is lost. */
void wr_reasm_urgent(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg)
{
    uint32_t ptr = seg->urg, copied = wr_tcb_copied_seq(tcb), offset;

    if (ptr != 0 && !stack->tunables.tcp_stdurg)
        ptr--;
    ptr += seg->seq;
    if ((seg->flags & W_TCP_URG) && seq_geq(ptr, tcb->rcv_nxt) && seq_geq(ptr, copied) &&
        (tcb->urg_state == WR_URG_NONE || seq_gt(ptr, tcb->urg_seq))) {
        if (tcb->urg_state != WR_URG_NONE && tcb->urg_seq == copied && tcb->rcv_ring.len > 0 &&
            !tcb->opts.oobinline)
            wr_ring_drop(&tcb->rcv_ring, &stack->alloc, 1);
        tcb->urg_state = WR_URG_NOTYET;
        tcb->urg_seq = ptr;
        wr_tcb_touch(stack, tcb, WR_HAPPENED_NOTHING);
    }
    if (tcb->urg_state != WR_URG_NOTYET)
        return;
    offset = tcb->urg_seq - seg->seq;
    if (offset < seg->len) {
        tcb->urg_byte = seg->data[offset];
        tcb->urg_state = WR_URG_VALID;
        wr_tcb_touch(stack, tcb, WR_HAPPENED_DATA);
    }
}
