/* SPDX-License-Identifier: MIT */
/* See lab_tape.h. */
#include "lab/lab_tape.h"

#include <stdlib.h>
#include <string.h>

#include <weir/info.h>
#include <weir/socket.h>
#include <weir/trace.h>

#include "base/seq.h"
#include "lab/lab_node.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_tcp.h"

struct lab_tape *wr_lab_tape_new(void)
{
    struct lab_tape *tape = calloc(1, sizeof *tape);
    if (tape == NULL)
        return NULL;
    memset(tape->bucket, 0xff, sizeof tape->bucket);
    tape->arrived = -1;
    return tape;
}

void wr_lab_tape_free(struct lab_tape *tape)
{
    if (tape == NULL)
        return;
    for (size_t i = 0; i < tape->n_conns; i++) {
        free(tape->conns[i].states);
        free(tape->conns[i].notes);
        free(tape->conns[i].side[0].samples);
        free(tape->conns[i].side[1].samples);
    }
    free(tape->conns);
    free(tape->packets);
    free(tape);
}

/* Room for one element more in a list that grows by doubling; NULL when out of memory. */
static void *more(void *list, size_t n, size_t size)
{
    if ((n & (n - 1)) != 0)
        return list;
    return realloc(list, (n > 0 ? 2 * n : 1) * size);
}

/* ---- connections ------------------------------------------------------------------------------- */

/* The same for both directions. */
static unsigned bucket_of(const struct weir_endpoint *a, const struct weir_endpoint *b)
{
    uint32_t sum = (uint32_t)a->port * 31 + (uint32_t)b->port * 31;
    for (unsigned i = 0; i < sizeof a->addr.b; i++)
        sum += ((uint32_t)a->addr.b[i] + b->addr.b[i]) << (i % 4 * 7);
    return (sum ^ sum >> 10 ^ sum >> 20) % 1024;
}

/* The newest connection between two ends; *side: which of its sides `local` is. -1: none. */
static int32_t find(const struct lab_tape *tape, const struct weir_endpoint *local,
                    const struct weir_endpoint *peer, unsigned *side)
{
    int32_t i = tape->bucket[bucket_of(local, peer)];
    for (; i >= 0; i = tape->conns[i].older) {
        const struct lab_tape_conn *conn = &tape->conns[i];
        for (*side = 0; *side < 2; ++*side)
            if (weir_endpoint_eq(&conn->side[*side].end, local) &&
                weir_endpoint_eq(&conn->side[!*side].end, peer))
                return i;
    }
    return -1;
}

static int32_t add_conn(struct lab_tape *tape, const struct weir_endpoint *from,
                        const struct weir_endpoint *to)
{
    if (tape->n_conns == LAB_TAPE_CONNS)
        return -1;
    struct lab_tape_conn *conns = more(tape->conns, tape->n_conns, sizeof *conns);
    if (conns == NULL)
        return -1;
    int32_t *bucket = &tape->bucket[bucket_of(from, to)];
    tape->conns = conns;
    conns[tape->n_conns] = (struct lab_tape_conn){
        .side = {{.end = *from, .host = -1, .state = WEIR_TCP_CLOSE},
                 {.end = *to, .host = -1, .state = WEIR_TCP_CLOSE}},
        .older = *bucket,
    };
    *bucket = (int32_t)tape->n_conns;
    return (int32_t)tape->n_conns++;
}

/* ---- packets ----------------------------------------------------------------------------------- */

struct view {
    struct w_tcp tcp;
    struct w_tcpopt opt;
    struct weir_endpoint from, to;
    uint32_t len; /* of data */
};

static bool read_packet(const struct lab_packet *packet, struct view *view)
{
    struct w_ip4 ip4;
    struct w_ip6 ip6;
    size_t at, end;
    if (packet->len > 0 && packet->data[0] >> 4 == 4) {
        if (wr_w_ip4_parse(packet->data, packet->len, &ip4) != W_OK || ip4.proto != W_IPPROTO_TCP ||
            wr_w_ip4_is_fragment(&ip4))
            return false;
        view->from.addr = ip4.src;
        view->to.addr = ip4.dst;
        at = ip4.hdr_len;
        end = ip4.total_len;
    } else {
        if (wr_w_ip6_parse(packet->data, packet->len, &ip6) != W_OK || ip6.next != W_IPPROTO_TCP)
            return false;
        view->from.addr = ip6.src;
        view->to.addr = ip6.dst;
        at = W_IP6_HLEN;
        end = (size_t)W_IP6_HLEN + ip6.payload_len;
    }
    if (end < at || end > packet->len ||
        wr_w_tcp_parse(packet->data + at, end - at, &view->tcp) != W_OK)
        return false;
    (void)wr_w_tcpopt_parse(packet->data + at + W_TCP_HLEN, view->tcp.data_off - (size_t)W_TCP_HLEN,
                            (view->tcp.flags & W_TCP_SYN) != 0, &view->opt);
    view->from.port = view->tcp.src_port;
    view->to.port = view->tcp.dst_port;
    view->len = (uint32_t)(end - at - view->tcp.data_off);
    return true;
}

/* Follows the sender's sequence numbers; true when the segment holds something sent before. */
static bool follow(struct lab_tape_side *side, const struct view *view)
{
    const struct w_tcp *tcp = &view->tcp;
    bool syn = (tcp->flags & W_TCP_SYN) != 0, fin = (tcp->flags & W_TCP_FIN) != 0;
    uint32_t occupied = view->len + syn + fin, end = tcp->seq + occupied;
    if (!side->has_first && (tcp->flags & W_TCP_RST) == 0) {
        side->has_first = true;
        side->first = side->next = tcp->seq;
    }
    if (syn && view->opt.has_wscale)
        side->wscale = view->opt.wscale;
    side->fin = side->fin || fin;
    if (occupied == 0 || !side->has_first || (tcp->flags & W_TCP_RST) != 0)
        return false;
    bool again = seq_lt(tcp->seq, side->next);
    if (seq_gt(end, side->next))
        side->next = end;
    return again;
}

static int32_t conn_of(struct lab_tape *tape, const struct view *view, unsigned *side)
{
    int32_t i = find(tape, &view->from, &view->to, side);
    bool opens = (view->tcp.flags & (W_TCP_SYN | W_TCP_ACK | W_TCP_RST)) == W_TCP_SYN;
    if (i >= 0 && !(opens && tape->conns[i].over && view->tcp.seq != tape->conns[i].side[0].first))
        return i;
    *side = 0;
    return add_conn(tape, &view->from, &view->to);
}

void wr_lab_tape_sent(struct lab_tape *tape, struct lab_packet *packet, bool copy, weir_time now)
{
    struct view view;
    unsigned side = 0;
    packet->number = 0;
    if (!read_packet(packet, &view))
        return;
    struct lab_tape_packet *list = tape->n_packets < LAB_TAPE_PACKETS
                                       ? more(tape->packets, tape->n_packets, sizeof *list)
                                       : NULL;
    if (list == NULL) {
        tape->n_unkept++;
        return;
    }
    tape->packets = list;
    int32_t number = conn_of(tape, &view, &side);
    bool again = false;
    if (number >= 0) {
        struct lab_tape_conn *conn = &tape->conns[number];
        again = follow(&conn->side[side], &view);
        conn->over = conn->over || (view.tcp.flags & W_TCP_RST) != 0 ||
                     (conn->side[0].fin && conn->side[1].fin);
    }
    struct lab_tape_packet *record = &list[tape->n_packets++];
    *record = (struct lab_tape_packet){
        .sent_at = now,
        .over_at = -1,
        .conn = number,
        .side = (uint8_t)side,
        .why = copy ? 0 : tape->why,
        .again = again,
        .copy = copy,
        .flags = view.tcp.flags,
        .seq = view.tcp.seq,
        .ack = view.tcp.ack,
        .wnd = view.tcp.wnd,
        .len = view.len,
        .n_sack = view.opt.n_sack,
    };
    memcpy(record->sack, view.opt.sack, sizeof record->sack);
    if (!copy)
        tape->why = 0;
    packet->number = (uint32_t)tape->n_packets;
}

void wr_lab_tape_arrived(struct lab_tape *tape, const struct lab_packet *packet, weir_time now)
{
    tape->arrived = (int32_t)packet->number - 1;
    if (packet->number > 0)
        tape->packets[packet->number - 1].over_at = now;
}

void wr_lab_tape_lost(struct lab_tape *tape, const struct lab_packet *packet, unsigned cause,
                      weir_time now)
{
    if (packet->number == 0)
        return;
    tape->packets[packet->number - 1].over_at = now;
    tape->packets[packet->number - 1].fate = (uint8_t)(cause + 1);
}

/* ---- decisions ---------------------------------------------------------------------------------- */

static bool is_kind(const struct weir_trace *record, const char *kind)
{
    return strcmp(weir_trace_kind(record->point), kind) == 0;
}

static void add_note(struct lab_tape *tape, const struct weir_trace *record)
{
    struct weir_endpoint local = {.addr = record->local, .port = record->lport};
    struct weir_endpoint remote = {.addr = record->remote, .port = record->rport};
    unsigned side;
    int32_t i = find(tape, &local, &remote, &side);
    if (i < 0)
        return;
    struct lab_tape_conn *conn = &tape->conns[i];
    struct lab_tape_note *notes = more(conn->notes, conn->n_notes, sizeof *notes);
    if (notes == NULL)
        return;
    bool lost = is_kind(record, "lost");
    conn->notes = notes;
    notes[conn->n_notes++] = (struct lab_tape_note){
        .at = record->at,
        .side = (uint8_t)side,
        .point = record->point,
        .seq = lost && conn->side[side].has_first ? record->seq - conn->side[side].first : 0,
        .len = lost ? record->len : 0,
    };
}

void wr_lab_tape_note(struct lab_tape *tape, const struct weir_trace *record)
{
    if (is_kind(record, "sent"))
        tape->why = (uint8_t)(record->point + 1);
    else if (record->point == WEIR_TRACE_DROPPED && tape->arrived >= 0)
        tape->packets[tape->arrived].refused = (uint16_t)(record->reason + 1);
    else if (is_kind(record, "lost") || is_kind(record, "recovery") || is_kind(record, "timer") ||
             is_kind(record, "window"))
        add_note(tape, record);
}

/* ---- the ends ---------------------------------------------------------------------------------- */

static void enter_state(struct lab_tape *tape, struct lab_tape_conn *conn, unsigned side,
                        unsigned state, weir_time now)
{
    struct lab_tape_state *states = more(conn->states, conn->n_states, sizeof *states);
    conn->side[side].state = (uint8_t)state;
    if (states == NULL)
        return;
    conn->states = states;
    states[conn->n_states++] = (struct lab_tape_state){
        .at = now, .packet = tape->arrived, .side = (uint8_t)side, .state = (uint8_t)state};
}

_Static_assert(sizeof(struct lab_tape_sample) ==
                   offsetof(struct lab_tape_sample, backoff) + sizeof(uint32_t),
               "samples are compared as bytes");

void wr_lab_tape_state(struct lab_tape *tape, int32_t conn, unsigned side, unsigned state,
                       weir_time now)
{
    if (tape->conns[conn].side[side].state != state)
        enter_state(tape, &tape->conns[conn], side, state, now);
}

void wr_lab_tape_sample(struct lab_tape_side *side, const struct lab_tape_sample *sample)
{
    if (side->n_samples > 0) {
        struct lab_tape_sample *last = &side->samples[side->n_samples - 1];
        struct lab_tape_sample same = *sample;
        same.at = last->at;
        if (memcmp(&same, last, sizeof same) == 0)
            return;
        if (last->at == sample->at) { /* the last of a moment counts */
            *last = *sample;
            return;
        }
    }
    struct lab_tape_sample *samples = more(side->samples, side->n_samples, sizeof *samples);
    if (samples == NULL)
        return;
    side->samples = samples;
    samples[side->n_samples++] = *sample;
}

static void sample(struct lab_tape_side *side, const struct weir_tcp_info *info, weir_time now)
{
    const struct lab_tape_sample new = {
        .at = now,
        .cwnd = info->tcpi_snd_cwnd,
        .ssthresh = info->tcpi_snd_ssthresh,
        .pipe = info->tcpi_unacked - info->tcpi_sacked - info->tcpi_lost + info->tcpi_retrans,
        .lost = info->tcpi_lost,
        .sacked = info->tcpi_sacked,
        .srtt_us = info->tcpi_rtt,
        .rttvar_us = info->tcpi_rttvar,
        .rto_us = info->tcpi_rto,
        .snd_wnd = info->tcpi_snd_wnd,
        .rcv_wnd = info->tcpi_rcv_wnd,
        .ca_state = info->tcpi_ca_state,
        .backoff = info->tcpi_backoff,
    };
    wr_lab_tape_sample(side, &new);
}

static void look_at(struct lab_tape *tape, int host, struct weir_stack *stack,
                    const struct weir_sock_row *row, weir_time now)
{
    unsigned side;
    struct weir_tcp_info info;
    size_t len = sizeof info;
    int32_t i = find(tape, &row->local, &row->peer, &side);
    if (i < 0 || i >= LAB_TAPE_LOOKED)
        return;
    struct lab_tape_conn *conn = &tape->conns[i];
    conn->side[side].host = host;
    conn->side[side].looked = true;
    if (conn->side[side].state != row->state)
        enter_state(tape, conn, side, (unsigned)row->state, now);
    if (row->sock != 0 &&
        weir_sock_getsockopt(stack, row->sock, WEIR_SOL_TCP, WEIR_TCP_INFO, &info, &len, now) == 0)
        sample(&conn->side[side], &info, now);
}

void wr_lab_tape_look(struct lab_tape *tape, int host, struct weir_stack *stack, weir_time now)
{
    struct weir_sock_row row;
    uint64_t cursor = 0;
    size_t looked = tape->n_conns < LAB_TAPE_LOOKED ? tape->n_conns : LAB_TAPE_LOOKED;
    unsigned rows = 0;
    while (stack != NULL && rows++ < 2 * LAB_TAPE_LOOKED &&
           weir_sock_next_row(stack, &cursor, &row))
        if (row.type == WEIR_SOCK_STREAM && row.peer.port != 0)
            look_at(tape, host, stack, &row, now);
    for (size_t i = 0; i < 2 * looked; i++) {
        struct lab_tape_side *side = &tape->conns[i / 2].side[i % 2];
        if (side->host == host && !side->looked && side->state != WEIR_TCP_CLOSE)
            enter_state(tape, &tape->conns[i / 2], i % 2, WEIR_TCP_CLOSE, now);
        side->looked = false;
    }
    tape->arrived = -1;
}
