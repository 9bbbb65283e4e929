/* SPDX-License-Identifier: MIT */
/* STATUS in numbers: TCP_INFO as on Linux, and the rows of the connection table. */
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"
#include "tcp/tcp_sender.h"

#include <assert.h>
#include <string.h>

static uint32_t packets(uint64_t bytes, uint32_t mss)
{
    assert(mss > 0);
    return (uint32_t)((bytes + mss - 1) / mss);
}

static uint32_t ms_since(weir_time at, weir_time now)
{
    weir_time ms = (now - at) / WEIR_MS;
    return ms < 0 ? 0 : ms > (weir_time)UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static uint32_t us(weir_time t)
{
    return (uint32_t)(t / WEIR_US);
}

static uint64_t us64(weir_time t)
{
    return (uint64_t)(t / WEIR_US);
}

static void send_side(const struct weir_stack *stack, const struct tcb *tcb,
                      struct weir_tcp_info *info, weir_time now)
{
    const struct wr_tx *tx = tcb->tx;

    info->tcpi_snd_cwnd = WR_TCP_IW_SEGMENTS;
    info->tcpi_snd_ssthresh = 0x7fffffff; /* what Linux shows for "not known yet" */
    info->tcpi_reordering = (uint32_t)stack->tunables.tcp_reordering;
    info->tcpi_unacked = tcb->snd_nxt == tcb->snd_una ? 0 : 1;
    if (tcb->state != WEIR_TCP_SYN_SENT && tcb->state != WEIR_TCP_SYN_RECV) {
        info->tcpi_delivered = 1; /* the SYN, as on Linux */
        info->tcpi_last_data_sent = ms_since(tcb->opened_at, now);
    }
    if (tx == NULL)
        return;
    info->tcpi_ca_state = tx->ca_state;
    info->tcpi_unacked = tx->q.segs;
    info->tcpi_sacked = tx->q.sacked_segs + packets(tx->reno_sacked, tcb->smss);
    info->tcpi_lost = tx->q.lost_segs;
    info->tcpi_retrans = tx->q.rexmit_segs;
    info->tcpi_snd_cwnd = tx->cc.cwnd / tcb->smss;
    if (tx->cc.ssthresh != UINT32_MAX)
        info->tcpi_snd_ssthresh = tx->cc.ssthresh / tcb->smss;
    info->tcpi_rwnd_limited = us64(wr_chrono_spent(&tx->chrono, WR_CHRONO_RWND, now));
    info->tcpi_sndbuf_limited = us64(wr_chrono_spent(&tx->chrono, WR_CHRONO_SNDBUF, now));
    info->tcpi_busy_time = us64(wr_chrono_spent(&tx->chrono, WR_CHRONO_BUSY, now)) +
                           info->tcpi_rwnd_limited + info->tcpi_sndbuf_limited;
    if (tx->last_sent_at != 0)
        info->tcpi_last_data_sent = ms_since(tx->last_sent_at, now);
    info->tcpi_reordering = tx->rack.reordering;
    info->tcpi_reord_seen = tx->rack.reord_seen;
    info->tcpi_delivered += tx->rate.segments;
    info->tcpi_delivered_ce = tx->rate.segments_ce;
    info->tcpi_delivery_rate = wr_rate_delivery_rate(&tx->rate);
    info->tcpi_delivery_limited |= tx->rate.last_app_limited;
}

static void counters(const struct tcb *tcb, struct weir_tcp_info *info, weir_time now)
{
    info->tcpi_bytes_acked = tcb->bytes_acked;
    info->tcpi_bytes_received = tcb->bytes_received;
    info->tcpi_bytes_sent = tcb->bytes_sent;
    info->tcpi_bytes_retrans = tcb->bytes_retrans;
    info->tcpi_segs_in = tcb->segs_in;
    info->tcpi_segs_out = tcb->segs_out;
    info->tcpi_data_segs_in = tcb->data_segs_in;
    info->tcpi_data_segs_out = tcb->data_segs_out;
    info->tcpi_total_retrans = tcb->total_retrans;
    info->tcpi_dsack_dups = tcb->dsack_dups;
    info->tcpi_rcv_ooopack = tcb->ofo_packets;
    info->tcpi_total_rto = tcb->total_rto;
    info->tcpi_total_rto_recoveries = tcb->rto_recoveries;
    info->tcpi_total_rto_time = tcb->rto_ms;
    if (tcb->tx != NULL && tcb->tx->rto_since != 0)
        info->tcpi_total_rto_time += ms_since(tcb->tx->rto_since, now);
    else if (tcb->state == WEIR_TCP_SYN_SENT && tcb->stalled_at != 0)
        info->tcpi_total_rto_time += ms_since(tcb->stalled_at, now);
}

void wr_tcp_info(const struct weir_stack *stack, const struct tcb *tcb, struct weir_tcp_info *info,
                 weir_time now)
{
    memset(info, 0, sizeof *info);
    info->tcpi_state = (uint8_t)wr_tcp_state(tcb);
    info->tcpi_retransmits = tcb->retransmits;
    info->tcpi_probes = tcb->probes;
    info->tcpi_backoff = tcb->rtt.backoff;
    if (tcb->ts_ok)
        info->tcpi_options |= WEIR_TCPI_OPT_TIMESTAMPS;
    if (tcb->fo != NULL) {
        info->tcpi_options |= tcb->fo->syn_data_acked ? WEIR_TCPI_OPT_SYN_DATA : 0;
        info->tcpi_delivery_limited |= (uint8_t)(tcb->fo->client_fail << 1);
    }
    if (tcb->sack_ok)
        info->tcpi_options |= WEIR_TCPI_OPT_SACK;
    if (tcb->wscale_ok) {
        info->tcpi_options |= WEIR_TCPI_OPT_WSCALE;
        info->tcpi_wscale = (uint8_t)(tcb->snd_wscale | tcb->rcv_wscale << 4);
    }
    if ((tcb->ecn & WR_ECN_OK) && tcb->state != WEIR_TCP_SYN_SENT)
        info->tcpi_options |= WEIR_TCPI_OPT_ECN;
    if (tcb->ecn & WR_ECN_SEEN)
        info->tcpi_options |= WEIR_TCPI_OPT_ECN_SEEN;
    info->tcpi_rto = us(tcb->rtt.rto);
    info->tcpi_ato = us(tcb->delack.ato);
    info->tcpi_snd_mss = tcb->smss;
    info->tcpi_rcv_mss = tcb->delack.rcv_mss;
    info->tcpi_last_data_recv = ms_since(tcb->delack.last_at, now);
    info->tcpi_last_ack_recv = ms_since(tcb->last_ack_at, now);
    info->tcpi_pmtu = tcb->pmtu;
    info->tcpi_rcv_ssthresh = tcb->rcv_ssthresh;
    info->tcpi_rtt = us(tcb->rtt.srtt);
    info->tcpi_rttvar = us(tcb->rtt.mdev4 / 4);
    info->tcpi_min_rtt = us(tcb->rtt.min_rtt);
    info->tcpi_advmss = tcb->adv_mss - (tcb->ts_ok && tcb->smss != 0 ? W_TCPOPT_TS_LEN : 0u);
    info->tcpi_rcv_rtt = tcb->has_rx ? us(tcb->rx.rtt) : 0;
    info->tcpi_rcv_space = tcb->has_rx ? tcb->rx.space : wr_rcvbuf_first_space(tcb);
    info->tcpi_notsent_bytes = wr_tcb_unsent(tcb);
    info->tcpi_snd_wnd = tcb->snd_wnd;
    info->tcpi_rcv_wnd = tcb->rcv_wnd;
    info->tcpi_max_pacing_rate =
        tcb->opts.max_pacing_rate != 0 ? tcb->opts.max_pacing_rate : UINT64_MAX;
    info->tcpi_pacing_rate = wr_pace_rate(stack, tcb);
    send_side(stack, tcb, info, now);
    counters(tcb, info, now);
}

void wr_tcp_listener_info(const struct wr_listener *listener, struct weir_tcp_info *info)
{
    memset(info, 0, sizeof *info);
    info->tcpi_state = WEIR_TCP_LISTEN;
    info->tcpi_unacked = listener->n_accept;
    info->tcpi_sacked = listener->backlog;
}

/* ---- the table ----------------------------------------------------------------------------------------- */

/* The cursor is the kind of row in its upper half and the next slot of that kind's table in its lower. */
enum { ROW_TCB, ROW_RECORD, ROW_KINDS };

static void flow_row(const struct wr_flow *flow, int state, struct weir_sock_row *row)
{
    struct wr_tuple tuple = wr_flow_tuple(flow);

    *row = (struct weir_sock_row){.type = WEIR_SOCK_STREAM,
                                  .protocol = WEIR_SOL_TCP,
                                  .state = state,
                                  .timer_at = WEIR_TIME_NEVER};
    row->local = (struct weir_endpoint){tuple.local, tuple.lport};
    row->peer = (struct weir_endpoint){tuple.remote, tuple.rport};
    row->domain = weir_addr_is_v4(&row->local.addr) ? WEIR_AF_INET : WEIR_AF_INET6;
}

/* As Linux's inet_diag chooses: what moves data first, then keepalive. */
static void timer_of(const struct tcb *tcb, struct weir_sock_row *row)
{
    bool orphan_waits = tcb->state == WEIR_TCP_FIN_WAIT2 && tcb->ready == NULL;

    if (tcb->rto_at != WEIR_TIME_NEVER) {
        row->timer = tcb->held ? WEIR_TIMER_PERSIST : WEIR_TIMER_RETRANSMIT;
        row->retransmits = tcb->held ? tcb->probes : tcb->retransmits;
        row->timer_at = tcb->rto_at;
    } else if (tcb->keep_at != WEIR_TIME_NEVER) {
        row->timer = orphan_waits ? WEIR_TIMER_TIME_WAIT : WEIR_TIMER_KEEPALIVE;
        row->retransmits = tcb->probes;
        row->timer_at = tcb->keep_at;
    }
}

static bool tcb_row(const struct tcb *tcb, struct weir_sock_row *row)
{
    if (tcb == NULL || tcb->state == WEIR_TCP_CLOSE)
        return false;
    flow_row(&tcb->flow, wr_tcp_state(tcb), row);
    row->sock = tcb->ready != NULL ? tcb->ready->sock : 0;
    row->recv_q = wr_tcp_inq(tcb);
    row->send_q = wr_tcp_outq(tcb);
    timer_of(tcb, row);
    return true;
}

/* Those at rest have their rows with their sockets. */
static bool record_row(const struct wr_record *record, struct weir_sock_row *row, weir_time now)
{
    const struct wr_flow *flow;

    if (record == NULL)
        return false;
    flow = (const struct wr_flow *)(const void *)(record + 1);
    if (flow->kind == WR_FLOW_REST)
        return false;
    if (flow->kind == WR_FLOW_SYN) {
        const struct wr_syn *syn = WR_CONTAINER((uintptr_t)flow, const struct wr_syn, flow);
        flow_row(flow, WEIR_TCP_SYN_RECV, row);
        row->timer = WEIR_TIMER_RETRANSMIT;
        row->timer_at = wr_syn_resend_at(syn, now);
        row->retransmits = syn->retries;
        return true;
    }
    flow_row(flow, WEIR_TCP_TIME_WAIT, row);
    row->timer = WEIR_TIMER_TIME_WAIT;
    row->timer_at = wr_tw_expires_at(WR_CONTAINER((uintptr_t)flow, const struct wr_tw, flow), now);
    return true;
}

bool wr_tcp_rest_row(const struct weir_stack *stack, const struct wr_ready *ready,
                     struct weir_sock_row *row)
{
    if (ready->flow == NULL || ready->flow->kind != WR_FLOW_REST)
        return false;
    flow_row(ready->flow, WEIR_TCP_ESTABLISHED, row);
    row->sock = ready->sock;
    row->timer_at = wr_rest_keep_at(stack, WR_CONTAINER(ready->flow, struct wr_rest, flow));
    if (row->timer_at != WEIR_TIME_NEVER)
        row->timer = WEIR_TIMER_KEEPALIVE;
    return true;
}

bool wr_tcp_next_row(struct weir_stack *stack, uint64_t *cursor, struct weir_sock_row *row)
{
    struct wr_tcp *tcp = stack->tcp;
    unsigned kind = (unsigned)(*cursor >> 32);
    uint32_t ends[ROW_KINDS], slot = (uint32_t)*cursor;

    wr_syn_settle(stack); /* without memory that one is not told of */
    ends[ROW_TCB] = tcp->tcbs.n_slots;
    ends[ROW_RECORD] = wr_records_end(&tcp->records);
    for (; kind < ROW_KINDS; kind++, slot = 0) {
        while (slot < ends[kind]) {
            bool found = kind == ROW_TCB
                             ? tcb_row(wr_pool_at(&tcp->tcbs, slot), row)
                             : record_row(wr_records_at(&tcp->records, slot), row, stack->now);
            slot++;
            *cursor = (uint64_t)kind * (UINT64_C(1) << 32) + slot;
            if (found)
                return true;
        }
    }
    *cursor = (uint64_t)ROW_KINDS << 32;
    return false;
}
