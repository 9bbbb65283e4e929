/* SPDX-License-Identifier: MIT */
/* A tape as JSON: tables as arrays of rows, whose columns are named once. */
#include <weir/info.h>
#include <weir/stack.h>
#include <weir/trace.h>

#include "base/text.h"
#include "lab/lab_json.h"
#include "lab/lab_node.h"
#include "lab/lab_tape.h"
#include "wire/w_tcp.h"

static const char *state_name(unsigned state)
{
    const char *name = weir_trace_state(state);
    return name != NULL ? name : "?";
}

/* As tcpdump has them: "S", "S.", "P.", "F.", "R", "." */
static json_t *flags_json(unsigned flags)
{
    static const struct {
        unsigned bit;
        char letter;
    } letters[] = {{W_TCP_SYN, 'S'}, {W_TCP_FIN, 'F'}, {W_TCP_RST, 'R'}, {W_TCP_PSH, 'P'},
                   {W_TCP_URG, 'U'}, {W_TCP_ECE, 'E'}, {W_TCP_CWR, 'W'}, {W_TCP_ACK, '.'}};
    char text[sizeof letters / sizeof *letters + 1];
    size_t n = 0;
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (flags & letters[i].bit)
            text[n++] = letters[i].letter;
    return json_stringn(text, n);
}

static json_t *since(weir_time at, weir_time epoch)
{
    return at < 0 ? json_null() : json_integer((at - epoch) / WEIR_US);
}

/* Relative to a side's first sequence number, and around it. */
static json_t *relative(const struct lab_tape_side *side, uint32_t seq)
{
    return json_integer(side->has_first ? (json_int_t)(int32_t)(seq - side->first) : seq);
}

static json_t *sacks_json(const struct lab_tape_packet *packet, const struct lab_tape_side *peer)
{
    if (packet->n_sack == 0)
        return json_null();
    json_t *blocks = json_array();
    for (unsigned i = 0; i < packet->n_sack; i++) {
        json_array_append_new(blocks, relative(peer, packet->sack[i].start));
        json_array_append_new(blocks, relative(peer, packet->sack[i].end));
    }
    return blocks;
}

static json_t *packet_json(const struct lab_tape *tape, const struct lab_tape_packet *packet,
                           weir_time epoch)
{
    static const struct lab_tape_side nobody;
    const struct lab_tape_conn *conn = packet->conn >= 0 ? &tape->conns[packet->conn] : NULL;
    const struct lab_tape_side *from = conn ? &conn->side[packet->side] : &nobody;
    const struct lab_tape_side *to = conn ? &conn->side[!packet->side] : &nobody;
    unsigned scale = (packet->flags & W_TCP_SYN) != 0 ? 0 : from->wscale;
    bool acks = (packet->flags & W_TCP_ACK) != 0;
    json_t *row = json_array();
    json_array_append_new(row, since(packet->sent_at, epoch));
    json_array_append_new(row, since(packet->over_at, epoch));
    json_array_append_new(row,
                          packet->fate == 0
                              ? json_null()
                              : json_string(wr_lab_cause_name((enum lab_cause)(packet->fate - 1))));
    json_array_append_new(row, json_integer(packet->conn));
    json_array_append_new(row, json_integer(packet->side));
    json_array_append_new(row, flags_json(packet->flags));
    json_array_append_new(row, relative(from, packet->seq));
    json_array_append_new(row, acks ? relative(to, packet->ack) : json_null());
    json_array_append_new(row, json_integer(packet->len));
    json_array_append_new(row, json_integer((json_int_t)packet->wnd << (scale > 14 ? 14 : scale)));
    json_array_append_new(row, json_integer(packet->again));
    json_array_append_new(row, json_integer(packet->copy));
    json_array_append_new(row, sacks_json(packet, to));
    json_array_append_new(row, packet->why > 0 ? json_integer(packet->why - 1) : json_null());
    json_array_append_new(
        row, packet->refused > 0 ? json_string(weir_drop_name(packet->refused - 1U)) : json_null());
    return row;
}

static json_t *states_json(const struct lab_tape_conn *conn, weir_time epoch)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < conn->n_states; i++) {
        const struct lab_tape_state *s = &conn->states[i];
        json_t *row = json_array();
        json_array_append_new(row, since(s->at, epoch));
        json_array_append_new(row, json_integer(s->side));
        json_array_append_new(row, json_string(state_name(s->state)));
        json_array_append_new(row, s->packet < 0 ? json_null() : json_integer(s->packet));
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *notes_json(const struct lab_tape_conn *conn, weir_time epoch)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < conn->n_notes; i++) {
        const struct lab_tape_note *n = &conn->notes[i];
        const uint64_t row[] = {(uint64_t)((n->at - epoch) / WEIR_US), n->side, n->point, n->seq,
                                n->len};
        wr_lab_json_row(rows, row, sizeof row / sizeof *row);
    }
    return rows;
}

/* The sentences that "why" and notes mean by their numbers. */
static json_t *points_json(void)
{
    json_t *points = json_array();
    for (unsigned i = 0; i < WEIR_TRACE_POINTS; i++) {
        json_t *row = json_array();
        json_array_append_new(row, json_string(weir_trace_kind(i)));
        json_array_append_new(row, json_string(weir_trace_why(i)));
        json_array_append_new(row, json_string(weir_trace_text(i)));
        json_array_append_new(points, row);
    }
    return points;
}

static json_t *samples_json(const struct lab_tape_side *side, weir_time epoch)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < side->n_samples; i++) {
        const struct lab_tape_sample *s = &side->samples[i];
        const uint64_t row[] = {(uint64_t)((s->at - epoch) / WEIR_US),
                                s->cwnd,
                                s->ssthresh,
                                s->pipe,
                                s->lost,
                                s->sacked,
                                s->srtt_us,
                                s->rttvar_us,
                                s->rto_us,
                                s->snd_wnd,
                                s->rcv_wnd,
                                s->ca_state,
                                s->backoff};
        wr_lab_json_row(rows, row, sizeof row / sizeof *row);
    }
    return rows;
}

static json_t *conn_json(const struct lab_tape_conn *conn, weir_time epoch)
{
    json_t *object = json_object(), *sides = json_array();
    for (unsigned i = 0; i < 2; i++) {
        const struct lab_tape_side *side = &conn->side[i];
        char end[WEIR_ENDPOINT_STRLEN];
        json_t *one = json_object();
        weir_endpoint_format(&side->end, end, sizeof end);
        json_object_set_new(one, "end", json_string(end));
        json_object_set_new(one, "host", json_integer(side->host));
        json_object_set_new(one, "samples", samples_json(side, epoch));
        json_array_append_new(sides, one);
    }
    json_object_set_new(object, "sides", sides);
    json_object_set_new(object, "states", states_json(conn, epoch));
    json_object_set_new(object, "notes", notes_json(conn, epoch));
    return object;
}

json_t *wr_lab_tape_json(const struct lab_tape *tape, weir_time epoch)
{
    json_t *object = json_object(), *packets = json_array(), *conns = json_array();
    for (size_t i = 0; i < tape->n_packets; i++)
        json_array_append_new(packets, packet_json(tape, &tape->packets[i], epoch));
    for (size_t i = 0; i < tape->n_conns; i++)
        json_array_append_new(conns, conn_json(&tape->conns[i], epoch));
    json_object_set_new(object, "packet_columns",
                        wr_lab_json_columns("t over fate conn side flags seq ack len win again "
                                            "copy sack why refused"));
    json_object_set_new(object, "packets", packets);
    json_object_set_new(object, "unkept", json_integer((json_int_t)tape->n_unkept));
    json_object_set_new(object, "state_columns", wr_lab_json_columns("t side state packet"));
    json_object_set_new(object, "sample_columns",
                        wr_lab_json_columns("t cwnd ssthresh pipe lost sacked srtt rttvar rto "
                                            "snd_wnd rcv_wnd ca_state backoff"));
    json_object_set_new(object, "note_columns", wr_lab_json_columns("t side point seq len"));
    json_object_set_new(object, "points", points_json());
    json_object_set_new(object, "connections", conns);
    return object;
}
