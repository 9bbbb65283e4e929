/* SPDX-License-Identifier: MIT */
/* Records of the trace as words: names, a line for people, a JSON object. */
#include <weir/info.h>

#include "base/text.h"
#include "core/tracing.h"

static const char *const names[WEIR_TRACE_POINTS][3] = {
#define NAMES(name, kind, why, text) {#kind, #why, text},
    WEIR_TRACE_LIST(NAMES)
#undef NAMES
};

const char *weir_trace_kind(unsigned point)
{
    return point < WEIR_TRACE_POINTS ? names[point][0] : NULL;
}

const char *weir_trace_why(unsigned point)
{
    return point < WEIR_TRACE_POINTS ? names[point][1] : NULL;
}

const char *weir_trace_text(unsigned point)
{
    return point < WEIR_TRACE_POINTS ? names[point][2] : NULL;
}

const char *weir_trace_state(unsigned state)
{
    static const char *const states[] = {[WEIR_TCP_ESTABLISHED] = "ESTABLISHED",
                                         [WEIR_TCP_SYN_SENT] = "SYN-SENT",
                                         [WEIR_TCP_SYN_RECV] = "SYN-RECEIVED",
                                         [WEIR_TCP_FIN_WAIT1] = "FIN-WAIT-1",
                                         [WEIR_TCP_FIN_WAIT2] = "FIN-WAIT-2",
                                         [WEIR_TCP_TIME_WAIT] = "TIME-WAIT",
                                         [WEIR_TCP_CLOSE] = "CLOSED",
                                         [WEIR_TCP_CLOSE_WAIT] = "CLOSE-WAIT",
                                         [WEIR_TCP_LAST_ACK] = "LAST-ACK",
                                         [WEIR_TCP_LISTEN] = "LISTEN",
                                         [WEIR_TCP_CLOSING] = "CLOSING"};

    return state < sizeof states / sizeof *states ? states[state] : NULL;
}

const char *weir_trace_ca_state(unsigned ca_state)
{
    static const char *const states[] = {[WEIR_CA_OPEN] = "Open",
                                         [WEIR_CA_DISORDER] = "Disorder",
                                         [WEIR_CA_CWR] = "CWR",
                                         [WEIR_CA_RECOVERY] = "Recovery",
                                         [WEIR_CA_LOSS] = "Loss"};

    return ca_state < sizeof states / sizeof *states ? states[ca_state] : NULL;
}

/* ---- for people ------------------------------------------------------------------------------------ */

static void put_word(struct wr_text *t, const char *name, uint64_t value)
{
    wr_text_str(t, name);
    wr_text_u64(t, value);
}

/* value / 10^digits, with all digits. */
static void put_fraction(struct wr_text *t, uint64_t value, unsigned digits)
{
    uint64_t unit = 1;

    for (unsigned i = 0; i < digits; i++)
        unit *= 10;
    wr_text_u64(t, value / unit);
    wr_text_char(t, '.');
    for (unit /= 10; unit > 0; unit /= 10)
        wr_text_char(t, (char)('0' + value / unit % 10));
}

static void put_endpoint(struct wr_text *t, const struct weir_addr *addr, uint16_t port)
{
    bool v4 = weir_addr_is_v4(addr);

    if (!v4)
        wr_text_char(t, '[');
    wr_text_addr(t, addr);
    if (!v4)
        wr_text_char(t, ']');
    put_word(t, ":", port);
}

static void put_flags(struct wr_text *t, uint16_t flags)
{
    static const char letters[] = "FSRP.UEW";

    for (unsigned i = 0; i < sizeof letters - 1; i++)
        if (flags & 1u << i)
            wr_text_char(t, letters[i]);
}

static bool has_endpoints(const struct weir_trace *r)
{
    return !weir_addr_is_any(&r->local) || !weir_addr_is_any(&r->remote);
}

/* Is the record about something of the peer's sequence numbers? */
static bool is_of_peer(const struct weir_trace *r)
{
    return r->point == WEIR_TRACE_RECEIVED || r->point == WEIR_TRACE_DROPPED;
}

static void put_segment(struct wr_text *t, const struct weir_trace *r)
{
    bool of_peer = is_of_peer(r), known = r->iss != 0 || r->irs != 0;
    uint32_t seq0 = !known ? 0 : of_peer ? r->irs : r->iss;
    uint32_t ack0 = !known ? 0 : of_peer ? r->iss : r->irs;

    if (r->flags == 0 && r->len == 0)
        return;
    put_word(t, " seq ", r->seq - seq0);
    put_word(t, ":", r->seq - seq0 + r->len);
    if (r->flags == 0)
        return;
    wr_text_str(t, " [");
    put_flags(t, r->flags);
    wr_text_char(t, ']');
    if (r->flags & 16)
        put_word(t, " ack ", r->ack - ack0);
    put_word(t, " win ", r->wnd);
}

static void put_windows(struct wr_text *t, const struct weir_trace *r)
{
    if (r->cwnd != 0) {
        put_word(t, " cwnd ", r->cwnd);
        if (r->ssthresh != UINT32_MAX)
            put_word(t, " ssthresh ", r->ssthresh);
    }
    put_word(t, " pipe ", r->pipe);
    put_word(t, " unsent ", r->unsent);
    put_word(t, " peer window ", r->snd_wnd);
    if (r->srtt > 0) {
        wr_text_str(t, " srtt ");
        put_fraction(t, (uint64_t)r->srtt / 1000, 3);
        wr_text_str(t, "ms");
    }
    wr_text_str(t, " rto ");
    put_fraction(t, (uint64_t)r->rto / 1000, 3);
    wr_text_str(t, "ms");
    if (r->pacing_rate > 0)
        put_word(t, " pacing ", r->pacing_rate);
}

size_t weir_trace_print(const struct weir_trace *r, char *text, size_t cap)
{
    struct wr_text out, *t = &out;

    wr_text_init(t, text, cap);
    put_fraction(t, (uint64_t)r->at, 9);
    if (has_endpoints(r)) {
        wr_text_char(t, ' ');
        put_endpoint(t, &r->local, r->lport);
        wr_text_char(t, ' ');
        put_endpoint(t, &r->remote, r->rport);
    }
    wr_text_char(t, ' ');
    wr_text_str(t, names[r->point][0]);
    wr_text_str(t, ": ");
    wr_text_str(t, names[r->point][2]);
    if (r->point == WEIR_TRACE_DROPPED) {
        wr_text_str(t, ": ");
        wr_text_str(t, weir_drop_name(r->reason));
    }
    put_segment(t, r);
    if (r->state == 0)
        return t->len;
    wr_text_str(t, "; ");
    wr_text_str(t, weir_trace_state(r->state));
    wr_text_char(t, ' ');
    wr_text_str(t, weir_trace_ca_state(r->ca_state));
    put_windows(t, r);
    return t->len;
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static void put_member(struct wr_text *t, const char *name, uint64_t value)
{
    wr_text_str(t, ",\"");
    wr_text_str(t, name);
    put_word(t, "\":", value);
}

static void put_string(struct wr_text *t, const char *name, const char *value)
{
    wr_text_str(t, ",\"");
    wr_text_str(t, name);
    wr_text_str(t, "\":\"");
    wr_text_str(t, value);
    wr_text_char(t, '"');
}

static void put_json_state(struct wr_text *t, const struct weir_trace *r)
{
    put_string(t, "state", weir_trace_state(r->state));
    put_string(t, "ca", weir_trace_ca_state(r->ca_state));
    put_member(t, "iss", r->iss);
    put_member(t, "irs", r->irs);
    put_member(t, "snd_una", r->snd_una);
    put_member(t, "snd_nxt", r->snd_nxt);
    put_member(t, "unsent", r->unsent);
    put_member(t, "cwnd", r->cwnd);
    put_member(t, "ssthresh", r->ssthresh);
    put_member(t, "pipe", r->pipe);
    put_member(t, "snd_wnd", r->snd_wnd);
    put_member(t, "rcv_wnd", r->rcv_wnd);
    put_member(t, "smss", r->smss);
    put_member(t, "srtt_ns", (uint64_t)r->srtt);
    put_member(t, "rttvar_ns", (uint64_t)r->rttvar);
    put_member(t, "rto_ns", (uint64_t)r->rto);
    put_member(t, "pacing_rate", r->pacing_rate);
}

size_t weir_trace_json(const struct weir_trace *r, char *text, size_t cap)
{
    struct wr_text out, *t = &out;

    wr_text_init(t, text, cap);
    put_word(t, "{\"at\":", (uint64_t)r->at);
    put_string(t, "kind", names[r->point][0]);
    put_string(t, "why",
               r->point == WEIR_TRACE_DROPPED ? weir_drop_name(r->reason) : names[r->point][1]);
    if (has_endpoints(r)) {
        wr_text_str(t, ",\"local\":\"");
        put_endpoint(t, &r->local, r->lport);
        wr_text_str(t, "\",\"remote\":\"");
        put_endpoint(t, &r->remote, r->rport);
        wr_text_char(t, '"');
    }
    put_member(t, "seq", r->seq);
    put_member(t, "len", r->len);
    if (r->flags != 0) {
        wr_text_str(t, ",\"flags\":\"");
        put_flags(t, r->flags);
        wr_text_char(t, '"');
        put_member(t, "ack", r->ack);
        put_member(t, "wnd", r->wnd);
    }
    if (r->point == WEIR_TRACE_STATE && r->reason != 0)
        put_member(t, "errno", r->reason);
    if (r->state != 0)
        put_json_state(t, r);
    wr_text_char(t, '}');
    return t->len;
}
