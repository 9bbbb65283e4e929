/* SPDX-License-Identifier: MIT */
/*
 * The user's calls: OPEN, SEND, RECEIVE, STATUS of RFC 9293 3.10.1 to 3.10.3 and 3.10.6, with the errors and
 * poll bits of Linux's sockets in each state. CLOSE and ABORT are in tcp_close.
 *
 * Order of judgement, as on Linux: recv gives what is queued, then end of stream when the peer has
 * closed, then the pending error once, then end of stream again when the connection is gone. send gives
 * the pending error first, then EPIPE.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_sender.h"
#include "tcp/tcp_trace.h"

/* ---- OPEN ----------------------------------------------------------------------------------------- */

/* Does this flow, or NULL, keep its tuple from an active open? */
static bool in_the_way(const struct weir_stack *stack, const struct wr_flow *flow, weir_time now)
{
    if (flow == NULL)
        return false;
    return flow->kind != WR_FLOW_TIMEWAIT ||
           !wr_tw_reusable(stack, WR_CONTAINER((uintptr_t)flow, const struct wr_tw, flow), now);
}

/* The flow that has the tuple, or NULL. Most often nobody has its port. */
static struct wr_flow *holder_of(const struct weir_stack *stack, const struct wr_tuple *tuple,
                                 uint64_t hash)
{
    if (wr_port_holders(stack, tuple->lport, 0) == 0 && stack->tcp->n_syns == 0)
        return NULL;
    return wr_demux_find(stack, tuple, hash);
}

bool wr_tcp_tuple_taken(struct weir_stack *stack, const struct weir_endpoint *local,
                        const struct weir_endpoint *remote, weir_time now)
{
    struct wr_tuple tuple = {local->addr, remote->addr, local->port, remote->port};

    if (wr_port_holders(stack, local->port, 0) == 0)
        return false;
    return in_the_way(stack, wr_demux_find(stack, &tuple, wr_demux_hash(stack, &tuple)), now);
}

/* Takes the place of a TIME-WAIT record that may be reused; the ISN that is above all that it sent. */
static uint32_t take_timewait(struct weir_stack *stack, struct wr_tw *tw)
{
    uint32_t iss = tw->snd_nxt + UINT16_MAX + 2;

    wr_tw_free(stack, tw);
    return iss;
}

static void prepare_syn(struct weir_stack *stack, struct tcb *tcb)
{
    const struct wr_tunables *tunables = &stack->tunables;
    tcb->pmtu = (uint16_t)wr_path_mtu(stack, &tcb->path, &tcb->tuple.remote);
    tcb->adv_mss = wr_listen_adv_mss(&tcb->path, wr_tcb_is_v4(tcb), &tcb->opts);
    tcb->ts_ok = tunables->tcp_timestamps != 0;
    tcb->ts_offset = wr_isn_ts_offset(stack, &tcb->tuple);
    tcb->sack_ok = tunables->tcp_sack != 0;
    tcb->wscale_ok = tunables->tcp_window_scaling != 0;
    wr_ecn_ask(stack, tcb);
    wr_listen_window(stack, &tcb->opts, tcb->adv_mss, tcb->wscale_ok, &tcb->rcv_wnd,
                     &tcb->rcv_wscale);
    tcb->window_clamp = wr_listen_clamp(&tcb->opts, tcb->wscale_ok);
    tcb->snd_una = tcb->iss;
    tcb->snd_nxt = tcb->write_seq = tcb->iss + 1;
    tcb->snd_up = tcb->snd_sml = tcb->iss;
    tcb->state = WEIR_TCP_SYN_SENT;
    wr_trace_state(stack, tcb, 0);
}

void wr_user_send_syn(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    tcb->snd_nxt = tcb->write_seq;
    tcb->syn_at = now;
    tcb->want = WR_WANT_SYN;
    wr_timers_syn_sent(stack, tcb, now);
    wr_count(stack, WR_STAT_tcp_active_opens);
    wr_output_kick(stack, tcb, now);
}

/* A connection in SYN-SENT whose SYN is not yet on its way. 0 or error. */
static int open_active(struct weir_stack *stack, const struct weir_endpoint *local,
                       const struct weir_endpoint *remote, const struct wr_path *path,
                       const struct wr_tcp_opts *opts, struct wr_ready *ready, struct tcb **out,
                       weir_time now)
{
    struct wr_tuple tuple = {local->addr, remote->addr, local->port, remote->port};
    uint64_t hash = wr_demux_hash(stack, &tuple);
    struct wr_flow *old = holder_of(stack, &tuple, hash);
    struct tcb *tcb;
    uint32_t iss;

    if (in_the_way(stack, old, now))
        return WEIR_EADDRINUSE;
    if (old != NULL)
        iss = take_timewait(stack, WR_CONTAINER(old, struct wr_tw, flow));
    else
        iss = wr_isn(stack, hash, now);
    tcb = wr_tcb_new(stack, &tuple, hash, opts);
    if (tcb == NULL)
        return WEIR_ENOMEM;
    tcb->path = *path;
    wr_tcb_tie(tcb, ready);
    tcb->iss = iss;
    prepare_syn(stack, tcb);
    *out = tcb;
    return 0;
}

int wr_tcp_connect(struct weir_stack *stack, const struct weir_endpoint *local,
                   const struct weir_endpoint *remote, const struct wr_path *path,
                   const struct wr_tcp_opts *opts, struct wr_ready *ready, struct tcb **tcb,
                   weir_time now)
{
    int error = open_active(stack, local, remote, path, opts, ready, tcb, now);

    if (error != 0)
        return error;
    if (!wr_fastopen_defers(stack, *tcb, now))
        wr_user_send_syn(stack, *tcb, now);
    wr_tcb_settle(stack, *tcb, now);
    return 0;
}

ptrdiff_t wr_tcp_connect_fast(struct weir_stack *stack, const struct weir_endpoint *local,
                              const struct weir_endpoint *remote, const struct wr_path *path,
                              const struct wr_tcp_opts *opts, struct wr_ready *ready,
                              const void *data, size_t len, struct tcb **tcb, weir_time now)
{
    ptrdiff_t sent = open_active(stack, local, remote, path, opts, ready, tcb, now);

    if (sent != 0)
        return sent;
    sent = wr_fastopen_send(stack, *tcb, data, len, now);
    if (sent == WEIR_ENOBUFS) { /* without memory for a fast open, an ordinary one */
        wr_user_send_syn(stack, *tcb, now);
        sent = WEIR_EINPROGRESS;
    }
    wr_tcb_settle(stack, *tcb, now);
    return sent;
}

bool wr_tcp_fastopen_on(const struct weir_stack *stack)
{
    return wr_fastopen_client_on(stack);
}

bool wr_tcp_deferred(const struct tcb *tcb)
{
    return tcb != NULL && tcb->fo != NULL && tcb->fo->deferred;
}

/* ---- errors ------------------------------------------------------------------------------------------ */

/* The pending error as a negative number, cleared; 0: none. */
static int take_pending(struct tcb *tcb)
{
    int error = tcb->error;

    tcb->error = 0;
    return -error;
}

int wr_tcp_take_error(struct tcb *tcb)
{
    int error = tcb != NULL ? -take_pending(tcb) : 0;

    if (error == 0 && tcb != NULL) {
        error = tcb->soft_error;
        tcb->soft_error = 0;
    }
    return error;
}

/* ---- SEND ---------------------------------------------------------------------------------------------- */

/* `twice`: for those who wait, so that not every byte that leaves wakes them. */
static bool below_notsent_lowat(const struct weir_stack *stack, const struct tcb *tcb, bool twice)
{
    return (uint64_t)wr_tcb_unsent(tcb) << twice < wr_tcb_notsent_lowat(stack, tcb);
}

static int send_error(struct tcb *tcb)
{
    int error;

    if (tcb->state == WEIR_TCP_ESTABLISHED && tcb->error == 0 && !(tcb->shut & WR_SHUT_SND))
        return 0;
    if (wr_tcb_opening(tcb)) {
        error = take_pending(tcb);
        return error != 0 ? error : WEIR_EAGAIN;
    }
    if (tcb->error != 0 || (tcb->shut & WR_SHUT_SND) || tcb->state == WEIR_TCP_CLOSE) {
        error = take_pending(tcb);
        return error != 0 ? error : WEIR_EPIPE;
    }
    return 0;
}

/* Bytes of a write that are taken now: the buffer, the host's memory and TCP_NOTSENT_LOWAT have a say. */
static size_t room_for(struct weir_stack *stack, struct tcb *tcb, size_t len, int flags)
{
    uint32_t room;

    if (wr_ring_space(&tcb->snd_ring) == 0 || !below_notsent_lowat(stack, tcb, false))
        return 0;
    /* So little may be taken whatever the others hold. */
    if (!wr_may_be_short(stack) ||
        tcb->snd_ring.len + len > (uint64_t)stack->tunables.tcp_wmem_min) {
        room = wr_mem_send_room(stack, tcb);
        len = len < room ? len : room;
    }
    return len > 0 ? wr_push_takes(tcb, wr_tcb_notsent_lowat(stack, tcb), len, flags) : 0;
}

/* `n` of `len` bytes were queued. */
static void queued(struct weir_stack *stack, struct tcb *tcb, size_t n, size_t len, int flags,
                   weir_time now)
{
    uint32_t start = tcb->write_seq;

    tcb->write_seq += (uint32_t)n;
    tcb->let_go = false;
    if (n < len) { /* the record goes on in the next write; what is here need not wait for it */
        flags &= ~(WEIR_MSG_EOR | WEIR_MSG_MORE);
        tcb->let_go = true;
        wr_chrono_buffer_full(tcb);
    }
    wr_chrono_queued(tcb, now);
    wr_push_written(stack, tcb, start, flags);
    tcb->more = (flags & WEIR_MSG_MORE) != 0;
    if ((flags & WEIR_MSG_OOB) && n == len)
        tcb->snd_up = tcb->write_seq; /* RFC 9293 3.8.5: the octet behind the urgent one */
    wr_stamp_owe(stack, tcb);
    wr_output_kick(stack, tcb, now);
}

/* How many of `len` bytes are taken now, or an error. */
static ptrdiff_t send_begin(struct weir_stack *stack, struct tcb *tcb, size_t len, int flags,
                            weir_time now)
{
    int error = send_error(tcb);
    size_t n;

    if (error != 0)
        return error;
    if (len == 0)
        return 0;
    if (wr_tcb_tx(stack, tcb, now) == NULL)
        return WEIR_ENOBUFS;
    if (flags & WEIR_MSG_EOR)
        wr_tcb_stirred(tcb);
    error = wr_push_room(stack, tcb->tx, flags);
    if (error != 0)
        return error;
    n = room_for(stack, tcb, len, flags);
    if (n == 0) {
        wr_chrono_buffer_full(tcb);
        return WEIR_EAGAIN;
    }
    return (ptrdiff_t)n;
}

ptrdiff_t wr_tcp_send(struct weir_stack *stack, struct tcb *tcb, const void *data, size_t len,
                      int flags, weir_time now)
{
    bool met = !WR_SHORT_WAYS || stack->tcp->met == tcb;
    ptrdiff_t room;
    size_t n;

    if (!met)
        wr_demux_fetch(stack, tcb);
    if (wr_tcp_deferred(tcb)) {
        ptrdiff_t sent = wr_fastopen_send(stack, tcb, data, len, now);
        wr_tcb_settle(stack, tcb, now);
        return sent;
    }
    room = send_begin(stack, tcb, len, flags, now);
    if (room <= 0)
        return room;
    n = (size_t)room;
    wr_rate_check_app_limited(tcb);
    n = wr_ring_write(&tcb->snd_ring, &stack->alloc, data, n);
    if (n == 0)
        return WEIR_ENOBUFS;
    queued(stack, tcb, n, len, flags, now);
    if (!met)
        wr_demux_found(stack, tcb); /* an answer may be the next that comes */
    wr_tcb_settle(stack, tcb, now);
    return (ptrdiff_t)n;
}

ptrdiff_t wr_tcp_reserve(struct weir_stack *stack, struct tcb *tcb, struct weir_piece room[2],
                         size_t len, weir_time now)
{
    ptrdiff_t n;

    if (wr_tcp_deferred(tcb))
        return WEIR_ENOTSUP;
    n = send_begin(stack, tcb, len, 0, now);
    if (n <= 0)
        return n;
    n = (ptrdiff_t)wr_ring_lend(&tcb->snd_ring, &stack->alloc, (size_t)n, room);
    return n > 0 ? n : WEIR_ENOBUFS;
}

ptrdiff_t wr_tcp_commit(struct weir_stack *stack, struct tcb *tcb, size_t len, weir_time now)
{
    if (len > wr_ring_spare(&tcb->snd_ring))
        return WEIR_EINVAL;
    if (len > 0)
        wr_rate_check_app_limited(tcb);
    wr_ring_return(&tcb->snd_ring, &stack->alloc, len);
    if (len > 0)
        queued(stack, tcb, len, len, 0, now);
    wr_tcb_settle(stack, tcb, now);
    return (ptrdiff_t)len;
}

/* ---- RECEIVE ------------------------------------------------------------------------------------------- */

static bool at_mark(const struct tcb *tcb)
{
    return tcb->urg_state != WR_URG_NONE && tcb->urg_seq == wr_tcb_copied_seq(tcb);
}

/* Linux's tcp_recv_urg(): the urgent byte out of band. */
static ptrdiff_t recv_urgent(struct tcb *tcb, uint8_t *data, size_t len, int flags)
{
    if (tcb->opts.oobinline || tcb->urg_state == WR_URG_NONE || tcb->urg_state == WR_URG_READ)
        return WEIR_EINVAL;
    if (tcb->urg_state == WR_URG_VALID) {
        if (!(flags & WEIR_MSG_PEEK))
            tcb->urg_state = WR_URG_READ;
        if (len == 0)
            return 0;
        if (!(flags & WEIR_MSG_TRUNC))
            data[0] = tcb->urg_byte;
        return 1;
    }
    if (tcb->state == WEIR_TCP_CLOSE || (tcb->shut & WR_SHUT_RCV))
        return 0;
    return WEIR_EAGAIN;
}

/* What recv answers when nothing is queued. */
static ptrdiff_t nothing_to_read(struct tcb *tcb)
{
    int error;

    if (tcb->fin_received)
        return 0;
    error = take_pending(tcb);
    if (error != 0)
        return error;
    if ((tcb->shut & WR_SHUT_RCV) || tcb->state == WEIR_TCP_CLOSE)
        return 0;
    return WEIR_EAGAIN;
}

/* The urgent byte is not part of the stream unless SO_OOBINLINE: at the mark it is skipped, and lost if
 * nobody has taken it. */
static void skip_urgent(struct weir_stack *stack, struct tcb *tcb)
{
    if (at_mark(tcb) && !tcb->opts.oobinline && tcb->rcv_ring.len > 0) {
        wr_ring_drop(&tcb->rcv_ring, &stack->alloc, 1);
        tcb->urg_state = WR_URG_NONE; /* who reads on has passed it by, as on Linux */
    }
}

/* Bytes from `off` that one read may give: a read stops at the urgent mark. */
static size_t readable_run(const struct tcb *tcb, size_t off)
{
    size_t len = tcb->rcv_ring.len - off;
    uint32_t to_mark;

    if (tcb->urg_state == WR_URG_NONE)
        return len;
    to_mark = tcb->urg_seq - wr_tcb_copied_seq(tcb) - (uint32_t)off;
    return to_mark > 0 && to_mark < len ? to_mark : len;
}

static void mark_passed(struct tcb *tcb)
{
    if (tcb->urg_state != WR_URG_NONE && seq_gt(wr_tcb_copied_seq(tcb), tcb->urg_seq))
        tcb->urg_state = WR_URG_NONE;
}

ptrdiff_t wr_tcp_peek_at(struct tcb *tcb, size_t skip, void *data, size_t len, int flags)
{
    size_t off = skip, n;

    if (wr_tcb_opening(tcb) && tcb->error == 0)
        return WEIR_EAGAIN;
    if (at_mark(tcb) && !tcb->opts.oobinline && tcb->rcv_ring.len > 0)
        off++;
    if (off >= tcb->rcv_ring.len)
        return nothing_to_read(tcb);
    n = readable_run(tcb, off);
    if (n > len)
        n = len;
    return (ptrdiff_t)((flags & WEIR_MSG_TRUNC) ? n : wr_ring_copy(&tcb->rcv_ring, off, data, n));
}

ptrdiff_t wr_tcp_recv(struct weir_stack *stack, struct tcb *tcb, void *data, size_t len, int flags,
                      weir_time now)
{
    size_t n;

    if (flags & WEIR_MSG_OOB)
        return recv_urgent(tcb, data, len, flags);
    if (flags & WEIR_MSG_PEEK)
        return wr_tcp_peek_at(tcb, 0, data, len, flags);
    if (wr_tcb_opening(tcb) && tcb->error == 0)
        return WEIR_EAGAIN;
    skip_urgent(stack, tcb);
    n = readable_run(tcb, 0);
    if (n == 0)
        return nothing_to_read(tcb);
    if (n > len)
        n = len;
    if (flags & WEIR_MSG_TRUNC)
        wr_ring_drop(&tcb->rcv_ring, &stack->alloc, n);
    else
        wr_ring_read(&tcb->rcv_ring, &stack->alloc, data, n);
    mark_passed(tcb);
    if (tcb->state != WEIR_TCP_CLOSE)
        wr_reasm_read(stack, tcb, (uint32_t)n, now);
    wr_tcb_settle(stack, tcb, now);
    return (ptrdiff_t)n;
}

ptrdiff_t wr_tcp_peek(struct weir_stack *stack, struct tcb *tcb, struct weir_span span[2],
                      weir_time now)
{
    size_t n, n_spans;

    (void)now;
    span[0] = span[1] = (struct weir_span){NULL, 0};
    if (wr_tcb_opening(tcb) && tcb->error == 0)
        return WEIR_EAGAIN;
    skip_urgent(stack, tcb);
    n = readable_run(tcb, 0);
    if (n == 0)
        return nothing_to_read(tcb);
    n_spans = wr_ring_peek(&tcb->rcv_ring, 0, n, span);
    return (ptrdiff_t)wr_spans_len(span, n_spans);
}

int wr_tcp_consume(struct weir_stack *stack, struct tcb *tcb, size_t len, weir_time now)
{
    if (len > tcb->rcv_ring.len)
        return WEIR_EINVAL;
    wr_ring_drop(&tcb->rcv_ring, &stack->alloc, len);
    mark_passed(tcb);
    if (tcb->state != WEIR_TCP_CLOSE)
        wr_reasm_read(stack, tcb, (uint32_t)len, now);
    wr_tcb_settle(stack, tcb, now);
    return 0;
}

/* ---- options ---------------------------------------------------------------------------------------------- */

void wr_tcp_opts_changed(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    if (tcb->state == WEIR_TCP_CLOSE)
        return;
    wr_ring_set_limit(&tcb->snd_ring, tcb->opts.sndbuf);
    if (!wr_tcb_opening(tcb)) {
        wr_ring_set_limit(&tcb->rcv_ring, tcb->opts.rcvbuf + UINT16_MAX + 1);
        tcb->window_clamp = tcb->opts.rcvbuf / 2;
        if (tcb->opts.window_clamp != 0 && tcb->window_clamp > tcb->opts.window_clamp)
            tcb->window_clamp = tcb->opts.window_clamp;
        if (!tcb->wscale_ok && tcb->window_clamp > UINT16_MAX)
            tcb->window_clamp = UINT16_MAX;
        wr_output_sync_mss(stack, tcb);
    }
    if (tcb->opts.nodelay || !tcb->opts.cork) {
        if (!tcb->opts.cork)
            tcb->more = false;
        if (wr_tcb_unsent(tcb) > 0)
            wr_output_kick(stack, tcb, now);
    }
    wr_cc_changed(stack, tcb, now);
    wr_timers_keepalive(stack, tcb, now);
    wr_tcb_settle(stack, tcb, now);
}

void wr_tcp_push(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    if (wr_tcb_opening(tcb) || wr_tcb_unsent(tcb) == 0)
        return;
    tcb->let_go = true;
    wr_output_kick(stack, tcb, now);
    wr_tcb_settle(stack, tcb, now);
}

void wr_tcp_quickack(struct weir_stack *stack, struct tcb *tcb, bool on, weir_time now)
{
    bool receiving = tcb->state == WEIR_TCP_ESTABLISHED || tcb->state == WEIR_TCP_CLOSE_WAIT;

    tcb->delack.pingpong = !on;
    if (on && receiving && (tcb->delack.pending & WR_ACK_SCHED)) {
        tcb->delack.pending |= WR_ACK_PUSHED;
        wr_reasm_ack_read(stack, tcb, 1, now);
    }
    wr_tcb_settle(stack, tcb, now);
}

/* ---- STATUS ------------------------------------------------------------------------------------------------- */

/* Linux's tcp_poll(). */
uint32_t wr_tcp_ready(const struct weir_stack *stack, const struct tcb *tcb)
{
    uint32_t bits = 0, target;

    if (tcb == NULL)
        return WEIR_POLLOUT;
    target = tcb->opts.rcvlowat > 0 ? tcb->opts.rcvlowat : 1;
    if (tcb->shut == WR_SHUT_BOTH || tcb->state == WEIR_TCP_CLOSE)
        bits |= WEIR_POLLHUP;
    if (tcb->shut & WR_SHUT_RCV)
        bits |= WEIR_POLLIN | WEIR_POLLRDHUP;
    if (wr_tcp_deferred(tcb))
        bits |= WEIR_POLLOUT; /* the SYN waits for data */
    if (!wr_tcb_opening(tcb)) {
        if (at_mark(tcb) && !tcb->opts.oobinline)
            target++;
        if (target > tcb->window_clamp && tcb->window_clamp > 0)
            target = tcb->window_clamp;
        if (tcb->rcv_ring.len >= target)
            bits |= WEIR_POLLIN;
        if (tcb->shut & WR_SHUT_SND)
            bits |= WEIR_POLLOUT;
        else if (wr_tcb_writable(tcb) && below_notsent_lowat(stack, tcb, true) &&
                 (tcb->tx == NULL || !wr_list_is_linked(&tcb->tx->mem_wait)))
            bits |= WEIR_POLLOUT;
        if (tcb->urg_state == WR_URG_VALID)
            bits |= WEIR_POLLPRI;
    }
    if (tcb->error != 0)
        bits |= WEIR_POLLERR;
    return bits;
}

int wr_tcp_state(const struct tcb *tcb)
{
    if (tcb == NULL)
        return WEIR_TCP_ESTABLISHED;
    /* A FIN sent in SYN-RECEIVED makes it FIN-WAIT-1, RFC 9293 3.10.4. */
    return tcb->state == WEIR_TCP_SYN_RECV && tcb->fin_queued ? WEIR_TCP_FIN_WAIT1 : tcb->state;
}

void wr_tcp_endpoints(const struct wr_ready *ready, struct weir_endpoint *local,
                      struct weir_endpoint *remote)
{
    struct wr_tuple tuple = wr_flow_tuple(ready->flow);

    *local = (struct weir_endpoint){tuple.local, tuple.lport};
    *remote = (struct weir_endpoint){tuple.remote, tuple.rport};
}

size_t wr_tcp_inq(const struct tcb *tcb)
{
    uint32_t to_mark;

    if (tcb == NULL || wr_tcb_opening(tcb))
        return 0;
    to_mark = tcb->urg_seq - wr_tcb_copied_seq(tcb);
    if (tcb->opts.oobinline || tcb->urg_state == WR_URG_NONE || to_mark >= tcb->rcv_ring.len)
        return tcb->rcv_ring.len;
    return to_mark;
}

size_t wr_tcp_outq(const struct tcb *tcb)
{
    return tcb == NULL || wr_tcb_opening(tcb) ? 0 : tcb->snd_ring.len;
}

bool wr_tcp_atmark(const struct tcb *tcb)
{
    return tcb != NULL && at_mark(tcb);
}

uint32_t wr_tcp_mss(const struct tcb *tcb)
{
    return tcb->smss;
}
