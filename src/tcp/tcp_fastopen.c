/* SPDX-License-Identifier: MIT */
/*
 * TCP Fast Open, RFC 7413: data on the SYN, and answers to it before the handshake ends.
 *
 *     client                                       server
 *       SYN, option: cookie?             -------->
 *                                        <--------  SYN-ACK, option: cookie        once
 *       (kept for the peer: tcp_metrics)
 *
 *       SYN, option: cookie, data        -------->  accept(), read(), write()
 *                                        <--------  SYN-ACK of SYN and data, data  each time after
 *       ACK                              -------->
 *
 * Server. A SYN with a valid cookie makes the connection at once: a struct tcb in SYN-RECEIVED, in the
 * accept queue, which reads and writes as an open one does. `pending` says that its SYN-ACK is not
 * acknowledged. SND.UNA is ISS + 1 all the same, so that the SYN takes no room in window and cwnd;
 * while it is pending the retransmission timer sends the SYN-ACK again and nothing else does. At most
 * `fastopen_qlen` of them (TCP_FASTOPEN) are pending for a listener; one that the user had accepted
 * and its peer reset counts for another minute, so that spoofed SYNs run into the limit (RFC 7413
 * 5.1). The cookie is SipHash of both addresses under a key; a second key is taken, too, while keys
 * are changed. Key format and cookie are Linux's, so hosts of both kinds can stand behind one address.
 *
 * Client. Data asked to go with the SYN (MSG_FASTOPEN, or the first write after a connect with
 * TCP_FASTOPEN_CONNECT) stands at the head of the send ring as any data. What the SYN-ACK does not cover
 * is sent again at once (RFC 7413 4.2.2); a SYN that is sent again is a plain one. A peer that lost two
 * SYNs with data in a row gets plain SYNs for a while (4.1.3.1); three timeouts of any connection, or
 * FINs and RSTs out of order before any data, are a sign of a middlebox that dislikes fast open, and
 * turn it off for all for tcp_fastopen_blackhole_timeout_sec, twice as long each time (Linux).
 */
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_sender.h"
#include "tcp/tcp_trace.h"

#include <sodium/crypto_shorthash.h>

#include <string.h>

enum { /* net.ipv4.tcp_fastopen */
       TFO_CLIENT = 1,
       TFO_SERVER = 2,
       TFO_CLIENT_NO_COOKIE = 4,
       TFO_SERVER_NO_COOKIE = 0x200,
};

enum {
    COOKIE_LEN = 8,       /* of ours */
    OPTION_ROOM = 40,     /* left on a SYN with data for what middleboxes add */
    DISABLE_DOUBLINGS = 6 /* of tcp_fastopen_blackhole_timeout_sec */
};

#define RESET_COUNTS_FOR (60 * WEIR_SEC)

struct wr_fastopen *wr_fastopen_new(struct weir_stack *stack)
{
    struct wr_fastopen *fo = wr_zalloc(stack, sizeof *fo);

    if (fo != NULL)
        wr_list_init(&fo->queue);
    return fo;
}

/* ---- keys --------------------------------------------------------------------------------- */

void wr_fastopen_init(struct weir_stack *stack)
{
    struct wr_fastopen_keys *keys = &stack->tcp->fastopen_keys;

    wr_derive_key(stack, "tcp fast open", keys->key[0]);
    keys->n = 1;
}

int wr_fastopen_read_keys(struct wr_fastopen_keys *keys, const void *value, size_t len)
{
    if (len != sizeof keys->key[0] && len != sizeof keys->key)
        return WEIR_EINVAL;
    memcpy(keys->key, value, len);
    keys->n = (uint8_t)(len / sizeof keys->key[0]);
    return 0;
}

int weir_fastopen_keys(struct weir_stack *stack, const void *keys, size_t len)
{
    return wr_fastopen_read_keys(&stack->tcp->fastopen_keys, keys, len);
}

/* ---- their text, as in Linux's net.ipv4.tcp_fastopen_key: 01234567-89abcdef-...-...[,...] ------------------ */

/* One word of up to eight hex digits and the character behind it. NULL: it is something else. */
static const char *read_word(const char *text, char behind, uint8_t word[4])
{
    uint32_t value = 0;
    unsigned n = 0;

    for (; n < 8; n++, text++) {
        char c = (char)(*text | 0x20);
        if (*text >= '0' && *text <= '9')
            value = value << 4 | (uint32_t)(*text - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint32_t)(c - 'a' + 10);
        else
            break;
    }
    if (n == 0 || *text != behind)
        return NULL;
    for (unsigned i = 0; i < 4; i++)
        word[i] = (uint8_t)(value >> 8 * i);
    return text + 1;
}

int wr_tcp_fastopen_key_write(struct weir_stack *stack, const char *text)
{
    struct wr_fastopen_keys keys = {.n = strchr(text, ',') != NULL ? 2 : 1};

    for (unsigned i = 0; i < keys.n * 4u; i++) {
        char behind = i % 4 < 3 ? '-' : i / 4 + 1 < keys.n ? ',' : '\0';
        text = read_word(text, behind, keys.key[i / 4] + i % 4 * 4);
        if (text == NULL)
            return WEIR_EINVAL;
    }
    stack->tcp->fastopen_keys = keys;
    return 0;
}

void wr_tcp_fastopen_key_read(const struct weir_stack *stack, struct wr_text *text)
{
    const struct wr_fastopen_keys *keys = &stack->tcp->fastopen_keys;

    for (unsigned i = 0; i < keys->n * 4u; i++) {
        const uint8_t *word = keys->key[i / 4] + i % 4 * 4;
        uint32_t value =
            (uint32_t)word[3] << 24 | (uint32_t)word[2] << 16 | (uint32_t)word[1] << 8 | word[0];
        if (i > 0)
            wr_text_char(text, i % 4 == 0 ? ',' : '-');
        wr_text_hex(text, value, 8);
    }
}

/* ---- cookies --------------------------------------------------------------------------------------------- */

/* SipHash of peer and own address, as they stand in the packet. */
static void cookie_of(const uint8_t key[16], const struct wr_tuple *tuple,
                      uint8_t cookie[COOKIE_LEN])
{
    static_assert(crypto_shorthash_BYTES == COOKIE_LEN, "a cookie is one SipHash");
    unsigned skip = weir_addr_is_v4(&tuple->remote) ? 12 : 0, len = 16 - skip;
    uint8_t path[32];

    memcpy(path, tuple->remote.b + skip, len);
    memcpy(path + len, tuple->local.b + skip, len);
    crypto_shorthash(cookie, path, 2 * (size_t)len, key);
}

/* ---- server: the SYN ------------------------------------------------------------------------------------ */

/* Is there room for one more that is pending? A place that a reset holds is free after a minute. */
static bool queue_has_room(struct weir_stack *stack, struct wr_listener *listener, weir_time now)
{
    struct wr_list *oldest = wr_list_first(&listener->fastopen_resets);
    struct wr_fastopen *fo;

    if (listener->n_fastopen < listener->opts->fastopen_qlen)
        return true;
    if (listener->opts->fastopen_qlen == 0)
        return false;
    fo = oldest != NULL ? WR_CONTAINER(oldest, struct wr_fastopen, queue) : NULL;
    if (fo == NULL || fo->until > now) {
        wr_count(stack, WR_STAT_tcp_fastopen_listen_overflow);
        return false;
    }
    wr_list_remove(&fo->queue);
    wr_free(stack, fo, sizeof *fo);
    listener->n_fastopen--;
    return true;
}

static void reply_cookie(const struct wr_fastopen_keys *keys, const struct seg *seg,
                         struct w_tcpopt *reply)
{
    reply->has_fastopen = true;
    reply->fastopen_exp = seg->opt.fastopen_exp;
    reply->cookie_len = COOKIE_LEN;
    cookie_of(keys->key[0], &seg->tuple, reply->cookie);
}

/* The number of the key that made the SYN's cookie, from 1; 0: none of ours. */
static unsigned which_key(const struct wr_fastopen_keys *keys, const struct seg *seg)
{
    uint8_t cookie[COOKIE_LEN];

    for (unsigned i = 0; i < keys->n && seg->opt.cookie_len == COOKIE_LEN; i++) {
        cookie_of(keys->key[i], &seg->tuple, cookie);
        if (memcmp(cookie, seg->opt.cookie, COOKIE_LEN) == 0)
            return i + 1;
    }
    return 0;
}

bool wr_fastopen_syn(struct weir_stack *stack, struct wr_listener *listener, const struct seg *seg,
                     struct w_tcpopt *reply, weir_time now)
{
    int64_t bits = stack->tunables.tcp_fastopen;
    const struct wr_fastopen_keys *keys =
        listener->fastopen_keys != NULL ? listener->fastopen_keys : &stack->tcp->fastopen_keys;
    unsigned key;

    if (seg->opt.has_fastopen && seg->opt.cookie_len == 0)
        wr_count(stack, WR_STAT_tcp_fastopen_cookie_reqd);
    if (!(bits & TFO_SERVER) || !(seg->len > 0 || seg->opt.has_fastopen) ||
        !queue_has_room(stack, listener, now))
        return false;
    if ((bits & TFO_SERVER_NO_COOKIE) || listener->opts->fastopen_no_cookie)
        return true;
    if (!seg->opt.has_fastopen)
        return false;
    key = which_key(keys, seg);
    if (key != 1)
        reply_cookie(keys, seg, reply); /* asked for, or better than what it has */
    if (key == 0 && seg->opt.cookie_len > 0)
        wr_count(stack, WR_STAT_tcp_fastopen_passive_fail);
    if (key == 2)
        wr_count(stack, WR_STAT_tcp_fastopen_passive_alt_key);
    return key > 0;
}

void wr_fastopen_child(struct weir_stack *stack, struct tcb *tcb, struct seg *seg,
                       const struct w_tcpopt *reply, weir_time now)
{
    struct wr_fastopen *fo = tcb->fo;

    fo->pending = true;
    fo->option = reply->has_fastopen;
    fo->cookie_exp = reply->fastopen_exp;
    fo->cookie_len = reply->cookie_len;
    memcpy(fo->cookie, reply->cookie, sizeof fo->cookie);
    fo->listener = tcb->listener;
    wr_list_push_back(&tcb->listener->fastopen, &fo->queue);
    tcb->listener->n_fastopen++;
    wr_count(stack, WR_STAT_tcp_fastopen_passive);

    tcb->state = WEIR_TCP_SYN_RECV;
    wr_trace_state(stack, tcb, 0);
    tcb->syn_at = now;
    tcb->snd_wnd = tcb->max_wnd = seg->wnd; /* never scaled on a SYN, RFC 7323 2.2 */
    tcb->snd_wl1 = seg->seq;
    wr_input_begin(stack, tcb, now);
    tcb->segs_in += seg->n_segs;
    if (seg->len > 0) {
        tcb->data_segs_in += seg->n_segs;
        wr_reasm_input(stack, tcb, seg, now);
        fo->syn_data_acked = tcb->rcv_nxt != tcb->irs + 1;
    }
    tcb->want |= WR_WANT_SYN;
    wr_timers_syn_sent(stack, tcb, now);
    wr_output_kick(stack, tcb, now);
}

/* ---- server: the end of waiting ------------------------------------------------------------------------- */

static void leave_listener(struct wr_fastopen *fo)
{
    fo->pending = false;
    if (fo->listener == NULL)
        return;
    wr_list_remove(&fo->queue);
    fo->listener->n_fastopen--;
    fo->listener = NULL;
}

bool wr_fastopen_acked(struct weir_stack *stack, struct tcb *tcb, struct seg *seg, weir_time now)
{
    if (seq_lt(seg->ack, tcb->snd_una) || seq_gt(seg->ack, tcb->snd_nxt)) {
        wr_drop(stack, WR_DROP_tcp_ack_unsent);
        wr_segment_reset_reply(stack, seg, now);
        return false;
    }
    leave_listener(tcb->fo);
    tcb->want &= (uint8_t)~WR_WANT_SYN;
    wr_input_opened(stack, tcb, seg, wr_ack_window(tcb, seg), now);
    if (wr_tcb_in_flight(tcb)) /* data that went before: its own time starts now, as on Linux */
        tcb->rto_at = now + tcb->rtt.rto;
    wr_output_kick(stack, tcb, now);
    return true;
}

void wr_fastopen_reset(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_fastopen *fo = tcb->fo;

    (void)stack;
    if (fo == NULL || !fo->pending || fo->listener == NULL || tcb->in_accept)
        return;
    /* Its place stays taken: the record moves from the connection to the listener. */
    fo->pending = false;
    fo->until = now + RESET_COUNTS_FOR;
    wr_list_remove(&fo->queue);
    wr_list_push_back(&fo->listener->fastopen_resets, &fo->queue);
    tcb->fo = NULL;
}

void wr_fastopen_unlisten(struct weir_stack *stack, struct wr_listener *listener)
{
    struct wr_list *first;

    while ((first = wr_list_first(&listener->fastopen)) != NULL) {
        struct wr_fastopen *fo = WR_CONTAINER(first, struct wr_fastopen, queue);
        wr_list_remove(&fo->queue);
        fo->listener = NULL; /* the connection goes on without one */
    }
    while ((first = wr_list_first(&listener->fastopen_resets)) != NULL) {
        struct wr_fastopen *fo = WR_CONTAINER(first, struct wr_fastopen, queue);
        wr_list_remove(&fo->queue);
        wr_free(stack, fo, sizeof *fo);
    }
    listener->n_fastopen = 0;
    if (listener->fastopen_keys != NULL)
        wr_free(stack, listener->fastopen_keys, sizeof *listener->fastopen_keys);
    listener->fastopen_keys = NULL;
}

/* ---- client: blackholes ------------------------------------------------------------------------------------ */

static void disable(struct weir_stack *stack, weir_time now)
{
    if (stack->tunables.tcp_fastopen_blackhole_s == 0)
        return;
    stack->tcp->fastopen_off_at = now;
    if (stack->tcp->fastopen_offs < UINT8_MAX)
        stack->tcp->fastopen_offs++;
    wr_count(stack, WR_STAT_tcp_fastopen_blackhole);
}

/* Off for all? When the time is over, the next connection shows whether it works again. */
static bool is_disabled(const struct weir_stack *stack, struct wr_fastopen *fo, weir_time now)
{
    unsigned times = stack->tcp->fastopen_offs;
    weir_time wait = stack->tunables.tcp_fastopen_blackhole_s * WEIR_SEC;

    if (times == 0 || wait == 0)
        return false;
    wait <<= times - 1 < DISABLE_DOUBLINGS ? times - 1 : DISABLE_DOUBLINGS;
    if (now - stack->tcp->fastopen_off_at < wait)
        return true;
    fo->probation = true;
    return false;
}

void wr_fastopen_timed_out(struct weir_stack *stack, struct tcb *tcb, unsigned timeouts, bool last,
                           weir_time now)
{
    const struct wr_fastopen *fo = tcb->fo;

    if (fo == NULL || fo->pending || !(fo->used || fo->syn_data > 0 || fo->syn_data_acked))
        return;
    if (timeouts == 2 || (timeouts < 2 && last)) {
        disable(stack, now);
        wr_count(stack, WR_STAT_tcp_fastopen_active_fail);
    }
}

void wr_fastopen_odd_reset(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    if (tcb->fo != NULL && tcb->fo->used && tcb->data_segs_in == 0 &&
        tcb->state == WEIR_TCP_ESTABLISHED)
        disable(stack, now);
}

void wr_fastopen_done(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_fastopen *fo = tcb->fo;

    if (fo == NULL)
        return;
    if (fo->used && tcb->data_segs_in == 0) {
        if (tcb->fin_seen && !tcb->fin_received) /* a FIN, and what was before it never came */
            disable(stack, now);
    } else if (fo->probation && !weir_addr_is_loopback(&tcb->tuple.remote)) {
        stack->tcp->fastopen_offs = 0;
    }
    leave_listener(fo);
}

void wr_fastopen_free(struct weir_stack *stack, struct tcb *tcb)
{
    if (tcb->fo == NULL)
        return;
    leave_listener(tcb->fo);
    wr_free(stack, tcb->fo, sizeof *tcb->fo);
    tcb->fo = NULL;
}

/* ---- client: the SYN --------------------------------------------------------------------------------------- */

/* RFC 7413 4.1.3.1: after two SYNs with data that got no answer in a row, for 2, 4, 8 ... minutes. */
static bool is_avoided(const struct wr_metric *metric, weir_time now)
{
    unsigned n = metric->syn_losses < 8 ? metric->syn_losses : 8;

    return metric->syn_losses > 1 && now - metric->syn_lost_at < (30 * WEIR_SEC) << n;
}

/* May the SYN carry data? *mss is what the peer said last time, or stays. Without a cookie one is asked
 * for. */
static bool may_carry_data(struct weir_stack *stack, struct tcb *tcb, struct wr_fastopen *fo,
                           uint32_t *mss, weir_time now)
{
    const struct wr_metric *metric = wr_metrics_find(stack, &tcb->tuple);

    fo->option = true;
    fo->cookie_len = 0;
    if (metric != NULL) {
        if (metric->mss != 0)
            *mss = metric->mss;
        fo->cookie_exp = metric->cookie_len > 0 ? metric->cookie_exp : metric->try_exp == 1;
        fo->cookie_len = metric->cookie_len;
        memcpy(fo->cookie, metric->cookie, sizeof fo->cookie);
    }
    if ((metric != NULL && is_avoided(metric, now)) || is_disabled(stack, fo, now)) {
        fo->option = false;
        return false;
    }
    if ((stack->tunables.tcp_fastopen & TFO_CLIENT_NO_COOKIE) || tcb->opts.fastopen_no_cookie) {
        fo->option = false;
        return true;
    }
    if (fo->cookie_len > 0)
        return true;
    fo->client_fail = WEIR_TFO_COOKIE_UNAVAILABLE;
    return false;
}

/* Data that fits on the SYN: the peer's MSS as last seen, less room for any options. */
static uint32_t syn_room(struct weir_stack *stack, const struct tcb *tcb, uint32_t mss)
{
    uint32_t head = (wr_tcb_is_v4(tcb) ? 20u : 40u) + W_TCP_HLEN;
    uint32_t mtu = wr_path_mtu(stack, &tcb->path, &tcb->tuple.remote);

    if (tcb->opts.maxseg != 0 && mss > tcb->opts.maxseg)
        mss = tcb->opts.maxseg;
    if (mtu < head + mss)
        mss = mtu > head ? mtu - head : 0;
    return mss > OPTION_ROOM ? mss - OPTION_ROOM : 0;
}

bool wr_fastopen_client_on(const struct weir_stack *stack)
{
    return (stack->tunables.tcp_fastopen & TFO_CLIENT) != 0;
}

bool wr_fastopen_defers(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    uint32_t mss = 0;
    struct wr_fastopen *fo;

    if (!tcb->opts.fastopen_connect || !wr_fastopen_client_on(stack))
        return false;
    fo = tcb->fo = wr_fastopen_new(stack);
    if (fo == NULL)
        return false; /* an ordinary SYN does as well */
    fo->deferred = may_carry_data(stack, tcb, fo, &mss, now);
    return fo->deferred;
}

ptrdiff_t wr_fastopen_send(struct weir_stack *stack, struct tcb *tcb, const void *data, size_t len,
                           weir_time now)
{
    struct wr_fastopen *fo = tcb->fo != NULL ? tcb->fo : wr_fastopen_new(stack);
    uint32_t mss = tcb->adv_mss, room;
    size_t n = 0;

    if (fo == NULL)
        return WEIR_ENOBUFS;
    tcb->fo = fo;
    fo->deferred = false;
    if (may_carry_data(stack, tcb, fo, &mss, now)) {
        room = syn_room(stack, tcb, mss);
        n = wr_ring_write(&tcb->snd_ring, &stack->alloc, data, len < room ? len : room);
        tcb->write_seq += (uint32_t)n;
        fo->syn_data = (uint32_t)n;
    } else {
        fo->cookie_len = 0; /* to be asked for anew, if at all */
    }
    wr_user_send_syn(stack, tcb, now);
    return n > 0 ? (ptrdiff_t)n : WEIR_EINPROGRESS;
}

void wr_fastopen_syn_options(struct tcb *tcb, struct w_tcpopt *opt)
{
    struct wr_fastopen *fo = tcb->fo;

    if (fo == NULL || !fo->option)
        return;
    fo->option = false; /* not on retransmissions, RFC 7413 4.2.2 */
    opt->has_fastopen = true;
    opt->fastopen_exp = fo->cookie_exp;
    opt->cookie_len = fo->cookie_len;
    memcpy(opt->cookie, fo->cookie, sizeof opt->cookie);
    if (!fo->pending)
        fo->used = true;
}

/* ---- client: the SYN-ACK -------------------------------------------------------------------------------------- */

/* What the SYN-ACK tells of the peer's fast open, for the next time: RFC 7413 4.1.3. */
static void remember(struct weir_stack *stack, const struct tcb *tcb, const struct seg *seg,
                     bool data_left)
{
    const struct wr_fastopen *fo = tcb->fo;
    bool cookie = fo->used && seg->opt.has_fastopen && seg->opt.cookie_len > 0;
    struct wr_metric *metric = wr_metrics_get(stack, &tcb->tuple);

    if (metric == NULL)
        return;
    metric->mss = seg->opt.has_mss ? seg->opt.mss : tcb->peer_mss;
    if (cookie) {
        metric->cookie_len = seg->opt.cookie_len;
        metric->cookie_exp = seg->opt.fastopen_exp;
        memcpy(metric->cookie, seg->opt.cookie, sizeof metric->cookie);
    } else if (fo->used && tcb->syn_retries == 0 && fo->syn_data == 0 && metric->cookie_len == 0) {
        /* Asked in vain: with the other option next time, then with this one again (Linux). */
        metric->try_exp = fo->cookie_exp ? 2 : 1;
    }
    if (fo->syn_data > 0 && data_left && !cookie) {
        if (metric->syn_losses < UINT8_MAX)
            metric->syn_losses++;
        metric->syn_lost_at = stack->now;
    } else {
        metric->syn_losses = 0;
    }
}

void wr_fastopen_unanswered(struct weir_stack *stack, const struct tcb *tcb)
{
    struct wr_metric *metric;

    if (tcb->fo == NULL || tcb->fo->syn_data == 0 || tcb->state != WEIR_TCP_SYN_SENT)
        return;
    metric = wr_metrics_get(stack, &tcb->tuple);
    if (metric == NULL)
        return;
    if (metric->syn_losses < UINT8_MAX)
        metric->syn_losses++;
    metric->syn_lost_at = stack->now;
}

void wr_fastopen_synack(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg)
{
    struct wr_fastopen *fo = tcb->fo;
    uint32_t covered = seg->ack - (tcb->iss + 1);

    if (fo == NULL || fo->pending)
        return;
    if (covered > fo->syn_data)
        covered = fo->syn_data;
    wr_ring_drop(&tcb->snd_ring, &stack->alloc, covered);
    tcb->bytes_acked += covered;
    fo->left = fo->syn_data - covered;
    remember(stack, tcb, seg, fo->left > 0);
    if (fo->left > 0)
        fo->client_fail =
            tcb->syn_retries > 0 ? WEIR_TFO_SYN_RETRANSMITTED : WEIR_TFO_DATA_NOT_ACKED;
    fo->syn_data_acked = fo->syn_data > 0 && fo->left == 0;
    if (fo->syn_data_acked)
        wr_count(stack, WR_STAT_tcp_fastopen_active);
}

void wr_fastopen_send_left(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    struct wr_fastopen *fo = tcb->fo;
    struct wr_tx *tx;

    if (fo == NULL || fo->left == 0)
        return;
    wr_count(stack, WR_STAT_tcp_fastopen_active_fail);
    tx = wr_tcb_tx(stack, tcb, now);
    if (tx != NULL && wr_sendq_append(stack, &tx->q, tcb->snd_una, tcb->snd_nxt, tcb->smss, now)) {
        struct wr_sent *sent = wr_sendq_first(&tx->q);
        sent->rate = (struct wr_sent_rate){0};
        wr_sendq_note_end(&tx->q, true, false); /* as the SYN's data are a write of their own */
        wr_sendq_mark_lost(&tx->q, sent);
        tcb->rto_at = now + tcb->rtt.rto;
    } else {
        tcb->snd_nxt = tcb->snd_una; /* no memory for a record: as if it had never been sent */
    }
    wr_output_kick(stack, tcb, now);
}

bool wr_fastopen_too_big(struct weir_stack *stack, struct tcb *tcb, weir_time now)
{
    uint32_t head, mtu;

    if (tcb->fo == NULL || tcb->fo->syn_data == 0 || tcb->state != WEIR_TCP_SYN_SENT)
        return false;
    if (tcb->syn_retries > 0) /* a plain one is on its way already */
        return true;
    head = (wr_tcb_is_v4(tcb) ? 20u : 40u) + W_TCP_HLEN;
    mtu = wr_path_mtu(stack, &tcb->path, &tcb->tuple.remote);
    if (mtu > head &&
        tcb->adv_mss > mtu - head) /* what comes back may be too big as well (Linux) */
        tcb->adv_mss = (uint16_t)(mtu - head);
    tcb->syn_retries = 1;
    tcb->want |= WR_WANT_SYN;
    wr_output_kick(stack, tcb, now);
    return true;
}
