/* SPDX-License-Identifier: MIT */
/*
 * LISTEN, and SYN-RECEIVED of passive opens: RFC 9293 3.10.7.2 and 3.10.7.4, Linux's two queues (tcp_synq has the first).
 *
 *     SYN ----> SYN queue: struct wr_syn, no tcb    ----ACK----> accept queue: struct tcb --> accept()
 *               SYN-ACK again at 1, 3, 7, 15, 31 s              at most backlog + 1
 *
 * A SYN is dropped when either queue is full; it is answered by a cookie, where these are allowed, when the first one is, or has
 * no memory. The final ACK is ignored while the accept queue is full
 * (tcp_abort_on_overflow: answered with RST); the SYN-ACK then goes again, and the peer's data or ACK
 * opens the connection later. Data on the third ACK is taken at once; any segment that acknowledges the
 * SYN-ACK counts as the third ACK, so that a lost one is healed by data.
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"

#include <string.h>

/* ---- windows and MSS ------------------------------------------------------------------------------ */

static uint8_t shift_to_16_bits(uint64_t value)
{
    unsigned bits = value != 0 ? 64u - (unsigned)__builtin_clzll(value) : 0;
    unsigned shift = bits > 16 ? bits - 16 : 0;

    return (uint8_t)(shift < WR_TCP_MAX_WSCALE ? shift : WR_TCP_MAX_WSCALE);
}

uint32_t wr_listen_clamp(const struct wr_tcp_opts *opts, bool wscale_ok)
{
    uint32_t clamp = opts->rcvbuf / 2;

    if (opts->window_clamp != 0 && clamp > opts->window_clamp)
        clamp = opts->window_clamp;
    if (!wscale_ok && clamp > UINT16_MAX)
        clamp = UINT16_MAX;
    return clamp;
}

void wr_listen_window(const struct weir_stack *stack, const struct wr_tcp_opts *opts, uint32_t mss,
                      bool wscale_ok, uint32_t *wnd, uint8_t *wscale)
{
    uint64_t most = (uint64_t)stack->tunables.tcp_rmem_max;
    uint32_t space = wr_listen_clamp(opts, true);

    if (space > mss && mss > 0)
        space -= space % mss;
    if (opts->rcvbuf_locked)
        most = opts->rcvbuf;
    else if (most < opts->rcvbuf)
        most = opts->rcvbuf;
    if (opts->window_clamp != 0 && most > opts->window_clamp)
        most = opts->window_clamp;
    *wscale = wscale_ok ? shift_to_16_bits(most) : 0;
    *wnd = space > UINT16_MAX ? UINT16_MAX : space;
}

uint16_t wr_listen_adv_mss(const struct wr_path *path, bool v4, const struct wr_tcp_opts *opts)
{
    uint32_t head = (v4 ? 20u : 40u) + W_TCP_HLEN;
    uint32_t mtu = path->netif->config.mtu, mss = mtu > head + 8 ? mtu - head : 8;

    if (opts->maxseg != 0 && mss > opts->maxseg)
        mss = opts->maxseg;
    return (uint16_t)(mss < UINT16_MAX ? mss : UINT16_MAX);
}

/* ---- LISTEN: a segment without a connection ------------------------------------------------------------ */

static bool accept_queue_full(const struct wr_listener *listener)
{
    return listener->n_accept > listener->backlog;
}

static void listen_drop(struct weir_stack *stack, enum wr_drop reason)
{
    wr_drop(stack, reason);
    wr_count(stack, WR_STAT_tcp_listen_drops);
}

static void accept_overflow(struct weir_stack *stack)
{
    wr_count(stack, WR_STAT_tcp_listen_overflows);
    listen_drop(stack, WR_DROP_tcp_accept_queue_full);
}

/* What becomes of a SYN; the rules and their order are those of Linux. */
enum fate { QUEUE, COOKIE, DROP };

/* returns: who comes back in TIME-WAIT is a real peer, and brings the room of its record along. */
static enum fate fate_of(struct weir_stack *stack, const struct wr_listener *listener, bool returns)
{
    int64_t cookies = stack->tunables.tcp_syncookies;
    enum fate fate = QUEUE;

    if (!returns && (cookies == 2 || listener->n_syns > listener->backlog)) {
        fate = cookies != 0 ? COOKIE : DROP;
        wr_count(stack, cookies != 0 ? WR_STAT_tcp_reqq_full_cookies : WR_STAT_tcp_reqq_full_drop);
    }
    if (fate == DROP) {
        listen_drop(stack, WR_DROP_tcp_syn_queue_full);
    } else if (accept_queue_full(listener)) {
        accept_overflow(stack);
        fate = DROP;
    }
    return fate;
}

/* Without cookies the last quarter of tcp_max_syn_backlog is for peers that are known to be alive. */
static bool is_reserved(const struct weir_stack *stack, const struct wr_listener *listener,
                        const struct seg *seg)
{
    int64_t most = stack->tunables.tcp_max_syn_backlog;

    return stack->tunables.tcp_syncookies == 0 && most - listener->n_syns < most / 4 &&
           !wr_metrics_proven(stack, &seg->tuple);
}

/* The window to offer: whole segments as they will come, of the MSS that we announce less their timestamps. */
static void syn_window(struct weir_stack *stack, struct wr_syn *syn, uint32_t mss)
{
    uint32_t wnd;

    if (syn->ts_ok)
        mss -= mss > W_TCPOPT_TS_LEN ? W_TCPOPT_TS_LEN : 0;
    wr_listen_window(stack, syn->listener->opts, mss, syn->wscale_ok, &wnd, &syn->rcv_wscale);
    syn->flow.wnd = (uint16_t)wnd;
}

/* What the SYN says. A cookie has room for options only in timestamps. */
static void syn_fill(struct weir_stack *stack, struct wr_syn *syn, const struct seg *seg,
                     uint16_t adv_mss, bool cookie)
{
    const struct wr_tunables *tunables = &stack->tunables;
    uint32_t floor = (uint32_t)tunables->tcp_min_snd_mss;
    bool v4 = weir_addr_is_v4(&seg->tuple.remote);

    syn->irs = seg->seq;
    syn->peer_mss = (uint16_t)(v4 ? WR_TCP_MSS_V4 : WR_TCP_MSS_V6);
    if (seg->opt.has_mss)
        syn->peer_mss = seg->opt.mss > floor ? seg->opt.mss : (uint16_t)floor;
    syn->ts_ok = seg->opt.has_ts && tunables->tcp_timestamps;
    syn->ts_recent = seg->opt.ts_val;
    if (syn->ts_ok || !cookie) {
        syn->sack_ok = seg->opt.sack_permitted && tunables->tcp_sack;
        syn->wscale_ok = seg->opt.has_wscale && tunables->tcp_window_scaling;
        syn->ecn_ok = wr_ecn_accepts(stack, syn->listener->opts, seg);
    }
    syn->snd_wscale = seg->opt.wscale < WR_TCP_MAX_WSCALE ? seg->opt.wscale : WR_TCP_MAX_WSCALE;
    if (!syn->wscale_ok)
        syn->snd_wscale = 0;
    syn_window(stack, syn, adv_mss);
}

/* The SYN queue is full: the SYN-ACK takes along all that would be kept, RFC 4987 3.6. */
static void answer_by_cookie(struct weir_stack *stack, struct wr_syn *syn, struct seg *seg,
                             const struct wr_path *path, uint16_t mss, weir_time now)
{
    syn->iss = wr_cookie_make(stack, &seg->tuple, seg->seq, syn->peer_mss, now);
    syn->is_cookie = true;
    syn->listener->cookie_at = now;
    wr_count(stack, WR_STAT_tcp_syncookies_sent);
    wr_syn_send_synack(stack, syn, &seg->tuple, seg->hash, path, mss, NULL, now);
}

/* There is no memory for an entry of the SYN queue: as when the queue is full, a cookie needs none (Linux drops the SYN). Who
 * comes back in TIME-WAIT is to have an ISN that a cookie is not (any_isn false). */
WR_APART void no_memory_for_syn(struct weir_stack *stack, struct wr_listener *listener,
                                struct seg *seg, bool any_isn, const struct wr_path *path,
                                uint16_t mss, weir_time now)
{
    struct wr_syn filled = {.listener = listener};

    if (!any_isn || stack->tunables.tcp_syncookies == 0) {
        wr_count(stack, WR_STAT_tcp_reqq_full_drop);
        listen_drop(stack, WR_DROP_no_memory);
        return;
    }
    wr_count(stack, WR_STAT_tcp_reqq_full_cookies);
    syn_fill(stack, &filled, seg, mss, true);
    answer_by_cookie(stack, &filled, seg, path, mss, now);
}

static struct tcb *make_child(struct weir_stack *stack, const struct wr_syn *syn,
                              const struct seg *seg, weir_time now);

/* The SYN brings a valid fast open cookie: the connection is made at once. False: no memory. */
static bool open_fast(struct weir_stack *stack, const struct wr_syn *filled, struct seg *seg,
                      const struct w_tcpopt *reply, weir_time now)
{
    struct wr_fastopen *fo = wr_fastopen_new(stack);
    struct tcb *tcb = fo != NULL ? make_child(stack, filled, seg, now) : NULL;

    if (tcb == NULL) {
        wr_free(stack, fo, sizeof *fo);
        wr_count(stack, WR_STAT_tcp_fastopen_passive_fail);
        return false;
    }
    tcb->fo = fo;
    wr_fastopen_child(stack, tcb, seg, reply, now);
    wr_ready_touch(stack, filled->listener->ready, WR_HAPPENED_DATA);
    wr_tcb_settle(stack, tcb, now);
    return true;
}

static void take_syn(struct weir_stack *stack, struct wr_listener *listener, struct seg *seg,
                     const uint32_t *iss, weir_time now)
{
    struct w_tcpopt reply = {0};
    struct wr_syn filled = {.listener = listener}, *syn;
    enum fate fate = fate_of(stack, listener, iss != NULL);
    struct wr_path path;
    uint16_t mss;

    if (fate == DROP)
        return;
    if (wr_path_find(stack, &seg->tuple.remote, &seg->tuple.local, &path) < 0) {
        wr_drop(stack, WR_DROP_no_route);
        return;
    }
    if (fate == QUEUE && iss == NULL && is_reserved(stack, listener, seg)) {
        listen_drop(stack, WR_DROP_tcp_syn_queue_full);
        return;
    }
    mss = wr_listen_adv_mss(&path, weir_addr_is_v4(&seg->tuple.remote), listener->opts);
    syn_fill(stack, &filled, seg, mss, fate == COOKIE);
    if (fate == COOKIE) {
        answer_by_cookie(stack, &filled, seg, &path, mss, now);
        return;
    }
    filled.iss = iss != NULL ? *iss : wr_isn(stack, seg->hash, now);
    if (wr_fastopen_syn(stack, listener, seg, &reply, now) &&
        open_fast(stack, &filled, seg, &reply, now))
        return;
    syn = wr_syn_add(stack, &filled, seg, now);
    if (syn == NULL) {
        no_memory_for_syn(stack, listener, seg, iss == NULL, &path, mss, now);
        return;
    }
    wr_syn_send_synack(stack, syn, &seg->tuple, seg->hash, &path, mss, &reply, now);
}

/* A connection in the listener's accept queue out of what is known of its SYN; nothing of *syn is kept.
 * NULL: no memory. */
static struct tcb *make_child(struct weir_stack *stack, const struct wr_syn *syn,
                              const struct seg *seg, weir_time now)
{
    const struct wr_tuple *tuple = &seg->tuple;
    struct wr_listener *listener = syn->listener;
    struct tcb *tcb = wr_tcb_new(stack, tuple, seg->hash, listener->opts);

    if (tcb == NULL) {
        wr_drop(stack, WR_DROP_no_memory);
        return NULL;
    }
    tcb->passive = true;
    tcb->segs_in = 1; /* the SYN */
    tcb->iss = syn->iss;
    tcb->irs = syn->irs;
    tcb->snd_una = tcb->snd_nxt = tcb->write_seq = syn->iss + 1;
    tcb->rcv_nxt = tcb->rcv_wup = syn->irs + 1;
    tcb->peer_mss = syn->peer_mss;
    if (wr_path_find(stack, &tuple->remote, &tuple->local, &tcb->path) < 0)
        tcb->path.netif = NULL;
    tcb->adv_mss = WR_TCP_MSS_V4;
    if (tcb->path.netif != NULL)
        tcb->adv_mss = wr_listen_adv_mss(&tcb->path, wr_tcb_is_v4(tcb), listener->opts);
    tcb->ts_ok = syn->ts_ok;
    tcb->ts_recent = syn->ts_recent;
    tcb->ts_recent_at = now;
    tcb->ts_offset = wr_isn_ts_offset(stack, tuple);
    tcb->sack_ok = syn->sack_ok;
    tcb->ecn = syn->ecn_ok ? WR_ECN_OK : 0;
    tcb->wscale_ok = syn->wscale_ok;
    tcb->snd_wscale = syn->snd_wscale;
    tcb->syn_retries = syn->retries;
    tcb->window_clamp = wr_listen_clamp(&tcb->opts, tcb->wscale_ok);
    tcb->rcv_wscale = syn->rcv_wscale;
    tcb->rcv_wnd = syn->flow.wnd;
    tcb->syn_at = WEIR_TIME_NEVER;
    tcb->listener = listener;
    tcb->in_accept = true;
    wr_list_push_back(&listener->accept, &tcb->accept);
    listener->n_accept++;
    wr_count(stack, WR_STAT_tcp_passive_opens);
    return tcb;
}

/* The entry becomes a connection. NULL: no memory; the entry stays. */
static struct tcb *promote(struct weir_stack *stack, struct wr_syn *syn, const struct seg *seg,
                           weir_time now)
{
    struct tcb *tcb = make_child(stack, syn, seg, now);

    if (tcb == NULL)
        return NULL;
    if (!syn->resent)
        tcb->syn_at = wr_syn_resend_at(syn, now) - WR_TCP_RTO_INITIAL;
    wr_syn_remove(stack, syn);
    return tcb;
}

/* The final ACK opens the connection; data and FIN that came with it are taken in. */
static void open_child(struct weir_stack *stack, struct tcb *tcb, struct seg *seg, weir_time now)
{
    struct wr_listener *listener = tcb->listener;

    if (tcb->ts_ok && seg->opt.has_ts)
        tcb->ts_recent = seg->opt.ts_val;
    wr_input_establish(stack, tcb, seg, (uint32_t)seg->wnd << tcb->snd_wscale, now);
    wr_input_tcb(stack, tcb, seg, now);
    wr_ready_touch(stack, listener->ready, WR_HAPPENED_DATA);
    wr_tcb_settle(stack, tcb, now);
}

/* Only the echo tells when the SYN-ACK left, to 64 ms. If it is from a host of our group whose clock is
 * ahead of ours, our timestamps go on from there: the peer must not see them go back (RFC 7323 5.3). */
static void time_of_cookie(struct tcb *tcb, uint32_t ts_ecr, weir_time now)
{
    int64_t ms = (int32_t)(wr_ts_now(tcb->ts_offset, now) - ts_ecr);

    if (ms >= 0 && ms * WEIR_MS <= WR_COOKIE_LIFE)
        tcb->syn_at = now - ms * WEIR_MS;
    else if (ms < 0 && -ms * WEIR_MS <= WR_COOKIE_LIFE)
        tcb->ts_offset -= (uint32_t)ms;
}

/* An ACK that no connection and no entry knows: does it bring back a cookie of ours? False: no. */
static bool take_cookie(struct weir_stack *stack, struct wr_listener *listener, struct seg *seg,
                        weir_time now)
{
    struct wr_syn syn = {.listener = listener, .irs = seg->seq - 1, .iss = seg->ack - 1};
    bool shared = stack->tcp->cookies.shared;
    bool expected = listener->cookie_at >= 0 && now - listener->cookie_at <= WR_COOKIE_LIFE;
    struct tcb *tcb;

    if (stack->tunables.tcp_syncookies == 0 || !(expected || shared))
        return false;
    if (!wr_cookie_check(stack, &seg->tuple, syn.irs, syn.iss, &syn.peer_mss, now)) {
        wr_count(stack, WR_STAT_tcp_syncookies_failed);
        return false;
    }
    wr_count(stack, WR_STAT_tcp_syncookies_recv);
    if (!wr_cookie_options(stack, &seg->opt, &seg->tuple, &syn))
        return false;
    if (accept_queue_full(listener)) {
        accept_overflow(stack);
        return true;
    }
    syn_window(stack, &syn, wr_syn_adv_mss(stack, &syn, &seg->tuple));
    tcb = make_child(stack, &syn, seg, now);
    if (tcb == NULL)
        return true;
    if (tcb->ts_ok)
        time_of_cookie(tcb, seg->opt.ts_ecr, now);
    open_child(stack, tcb, seg, now);
    return true;
}

void wr_listen_input(struct weir_stack *stack, struct wr_listener *listener, struct seg *seg,
                     const uint32_t *iss, weir_time now)
{
    /* RFC 9293 3.10.7.2 first: RST */
    if (seg->flags & W_TCP_RST) {
        wr_drop(stack, WR_DROP_tcp_no_socket);
        return;
    }
    /* RFC 9293 3.10.7.2 second: ACK */
    if (seg->flags & W_TCP_ACK) {
        if (!(seg->flags & W_TCP_SYN) && take_cookie(stack, listener, seg, now))
            return;
        wr_drop(stack, WR_DROP_tcp_no_socket);
        wr_segment_reset_reply(stack, seg, now);
        return;
    }
    /* RFC 9293 3.10.7.2 third: SYN. With FIN it is nobody's (Linux drops it too). */
    if ((seg->flags & (W_TCP_SYN | W_TCP_FIN)) == W_TCP_SYN) {
        take_syn(stack, listener, seg, iss, now);
        return;
    }
    /* RFC 9293 3.10.7.2 fourth: anything else */
    wr_drop(stack, WR_DROP_tcp_bad_flags);
}

/* ---- SYN-RECEIVED ------------------------------------------------------------------------------------------ */

static bool syn_limited(struct weir_stack *stack, struct wr_syn *syn, weir_time now)
{
    uint16_t tick = (uint16_t)(now / (16 * WEIR_MS)) | 1;

    if (syn->oow_tick != 0 &&
        (uint16_t)(tick - syn->oow_tick) * 16 < stack->tunables.tcp_invalid_ratelimit_ms)
        return true;
    syn->oow_tick = tick;
    return false;
}

static void syn_challenge(struct weir_stack *stack, struct wr_syn *syn, const struct seg *seg,
                          weir_time now)
{
    struct w_tcpopt opt = {.has_ts = syn->ts_ok, .ts_ecr = syn->ts_recent};
    struct wr_bare ack = {.tuple = &seg->tuple,
                          .hash = seg->hash,
                          .seq = syn->iss + 1,
                          .ack = syn->irs + 1,
                          .flags = W_TCP_ACK,
                          .wnd = (uint16_t)(syn->flow.wnd >> syn->rcv_wscale),
                          .opt = &opt};

    opt.ts_val = wr_ts_now(wr_isn_ts_offset(stack, &seg->tuple), now);
    if (syn_limited(stack, syn, now)) {
        wr_drop(stack, WR_DROP_tcp_challenge_limited);
        return;
    }
    wr_count(stack, WR_STAT_tcp_challenge_acks);
    wr_segment_bare(stack, &ack, now);
}

static bool syn_in_window(const struct wr_syn *syn, const struct seg *seg)
{
    uint32_t nxt = syn->irs + 1, edge = nxt + syn->flow.wnd;

    return seq_geq(seg->end_seq, nxt) && seq_leq(seg->seq, edge);
}

/* The final ACK is here: open the connection, or not yet. */
static void syn_acked(struct weir_stack *stack, struct wr_syn *syn, struct seg *seg, weir_time now)
{
    struct wr_listener *listener = syn->listener;
    struct tcb *tcb;

    if (seg->end_seq == syn->irs + 1 && syn->retries < wr_syn_defer_retries(listener->opts)) {
        wr_count(stack, WR_STAT_tcp_defer_accept_drop);
        syn->acked = true; /* TCP_DEFER_ACCEPT: wait for data */
        return;
    }
    if (accept_queue_full(listener)) {
        accept_overflow(stack);
        if (stack->tunables.tcp_abort_on_overflow) {
            wr_count(stack, WR_STAT_tcp_embryonic_rsts);
            wr_segment_reset_reply(stack, seg, now);
            wr_syn_remove(stack, syn);
        } else {
            syn->acked = true;
        }
        return;
    }
    tcb = promote(stack, syn, seg, now);
    if (tcb != NULL)
        open_child(stack, tcb, seg, now);
}

void wr_listen_syn_input(struct weir_stack *stack, struct wr_syn *syn, struct seg *seg,
                         weir_time now)
{
    uint16_t flags = seg->flags;
    bool old = syn->ts_ok && seg->opt.has_ts && (int32_t)(syn->ts_recent - seg->opt.ts_val) > 0 &&
               !(flags & W_TCP_RST);

    /* The same SYN again: our SYN-ACK was lost. */
    if ((flags & (W_TCP_SYN | W_TCP_RST | W_TCP_ACK)) == W_TCP_SYN && seg->seq == syn->irs) {
        if (!old && !syn_limited(stack, syn, now))
            wr_syn_answer_again(stack, syn, seg, now);
        return;
    }
    /* RFC 9293 3.10.7.4 first: sequence number, PAWS before it */
    if (old || !syn_in_window(syn, seg)) {
        wr_drop(stack, old ? WR_DROP_tcp_paws : WR_DROP_tcp_out_of_window);
        if (!(flags & W_TCP_RST))
            syn_challenge(stack, syn, seg, now);
        return;
    }
    /* RFC 9293 3.10.7.4 second: RST; RFC 5961 3.2 */
    if (flags & W_TCP_RST) {
        if (seg->seq == syn->irs + 1) {
            wr_count(stack, WR_STAT_tcp_attempt_fails);
            wr_syn_remove(stack, syn);
            wr_syn_arm(stack);
        } else {
            wr_drop(stack, WR_DROP_tcp_rst_challenged);
            syn_challenge(stack, syn, seg, now);
        }
        return;
    }
    /* RFC 9293 3.10.7.4 fourth: SYN. Back to LISTEN; the peer learns by a RST, as from Linux. */
    if ((flags & W_TCP_SYN) && seg->seq != syn->irs) {
        wr_drop(stack, WR_DROP_tcp_syn_in_window);
        wr_segment_reset_reply(stack, seg, now);
        wr_syn_remove(stack, syn);
        wr_syn_arm(stack);
        return;
    }
    /* RFC 9293 3.10.7.4 fifth: ACK */
    if (!(flags & W_TCP_ACK)) {
        wr_drop(stack, WR_DROP_tcp_no_ack);
        return;
    }
    if (seg->ack != syn->iss + 1) {
        wr_drop(stack, WR_DROP_tcp_ack_unsent);
        wr_segment_reset_reply(stack, seg, now);
        return;
    }
    syn_acked(stack, syn, seg, now);
}

void wr_listen_syn_unreachable(struct weir_stack *stack, struct wr_syn *syn)
{
    wr_count(stack, WR_STAT_tcp_listen_drops);
    wr_syn_remove(stack, syn);
    wr_syn_arm(stack);
}

void wr_listen_forget(struct tcb *tcb)
{
    if (!tcb->in_accept)
        return;
    wr_list_remove(&tcb->accept);
    tcb->listener->n_accept--;
    tcb->in_accept = false;
    tcb->listener = NULL;
}

/* ---- the user's calls -------------------------------------------------------------------------------------- */

static uint32_t backlog_of(uint32_t somaxconn, int backlog)
{
    return backlog < 0 || (uint32_t)backlog > somaxconn ? somaxconn : (uint32_t)backlog;
}

int wr_tcp_listen(struct weir_stack *stack, const struct weir_endpoint *local, int backlog,
                  bool reuseport, const struct wr_tcp_opts *opts, struct wr_ready *ready,
                  struct wr_listener **out, weir_time now)
{
    struct wr_listener *listener = wr_zalloc(stack, sizeof *listener);

    (void)now;
    if (listener == NULL)
        return WEIR_ENOMEM;
    listener->local = *local;
    listener->opts = opts;
    listener->ready = ready;
    listener->cookie_at = -1;
    listener->reuseport = reuseport;
    listener->somaxconn = (uint32_t)stack->tunables.somaxconn;
    listener->backlog = backlog_of(listener->somaxconn, backlog);
    wr_list_init(&listener->all);
    wr_record_line_init(&listener->syns, offsetof(struct wr_syn, of_listener));
    wr_list_init(&listener->fastopen);
    wr_list_init(&listener->fastopen_resets);
    wr_list_init(&listener->accept);
    if (!wr_demux_add_listener(stack, listener)) {
        wr_free(stack, listener, sizeof *listener);
        return WEIR_ENOMEM;
    }
    *out = listener;
    return 0;
}

void wr_tcp_listen_backlog(struct wr_listener *listener, int backlog)
{
    listener->backlog = backlog_of(listener->somaxconn, backlog);
}

int wr_tcp_listen_keys(struct weir_stack *stack, struct wr_listener *listener, const void *keys,
                       size_t len)
{
    struct wr_fastopen_keys read;
    int error = wr_fastopen_read_keys(&read, keys, len);

    if (error != 0)
        return error;
    if (listener->fastopen_keys == NULL)
        listener->fastopen_keys = wr_zalloc(stack, sizeof *listener->fastopen_keys);
    if (listener->fastopen_keys == NULL)
        return WEIR_ENOMEM;
    *listener->fastopen_keys = read;
    return 0;
}

void wr_tcp_unlisten(struct weir_stack *stack, struct wr_listener *listener, weir_time now)
{
    struct wr_syn *syn;

    wr_demux_remove_listener(stack, listener);
    wr_fastopen_unlisten(stack, listener);
    syn = wr_syn_newest(stack);
    if (syn != NULL && syn->listener == listener)
        wr_syn_remove(stack, syn);
    while ((syn = wr_record_line_first(&stack->tcp->records, &listener->syns)) != NULL)
        wr_syn_remove(stack, syn);
    wr_syn_arm(stack);
    while (!wr_list_is_empty(&listener->accept)) {
        struct tcb *tcb = WR_CONTAINER(wr_list_first(&listener->accept), struct tcb, accept);
        wr_listen_forget(tcb);
        wr_tcp_abort(stack, tcb, false, now);
    }
    wr_free(stack, listener, sizeof *listener);
}

bool wr_tcp_accept_pending(const struct wr_listener *listener)
{
    return !wr_list_is_empty(&listener->accept);
}

struct tcb *wr_tcp_accept(struct weir_stack *stack, struct wr_listener *listener,
                          struct wr_ready *ready)
{
    struct wr_list *first = wr_list_first(&listener->accept);
    struct tcb *tcb;

    (void)stack;
    if (first == NULL)
        return NULL;
    tcb = WR_CONTAINER(first, struct tcb, accept);
    wr_listen_forget(tcb);
    wr_tcb_tie(tcb, ready);
    return tcb;
}
