/* SPDX-License-Identifier: MIT */
/*
 * Packets of the script against packets of the stack.
 *
 * A packet that names no ports belongs to the current connection: the one that a SYN of the peer
 * began at a listener, or that connect() began. With ports, it belongs to the connection of these.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drill/dr_run.h"
#include "wire/w_icmp6.h"
#include "wire/w_tcp.h"

/* ---- connections ----------------------------------------------------------------------------- */

static struct dr_conn *find_conn(struct dr_run *run, const struct weir_endpoint *local,
                                 const struct weir_endpoint *remote)
{
    for (unsigned i = 0; i < run->n_conns; i++)
        if (weir_endpoint_eq(&run->conns[i].local, local) &&
            weir_endpoint_eq(&run->conns[i].remote, remote))
            return &run->conns[i];
    return NULL;
}

struct dr_conn *wr_dr_conn_of(struct dr_run *run, const struct weir_endpoint *local,
                              const struct weir_endpoint *remote)
{
    struct dr_conn *known = find_conn(run, local, remote);
    if (known)
        return known;
    if (run->n_conns == DR_CONNS) {
        wr_dr_fail(run, "more than %d connections", DR_CONNS);
        return NULL;
    }
    struct dr_conn *conn = &run->conns[run->n_conns++];
    conn->local = *local;
    conn->remote = *remote;
    return conn;
}

/* The connection that a packet of the script belongs to. */
static struct dr_conn *script_conn(struct dr_run *run, const struct dr_packet *packet)
{
    struct weir_endpoint local = {.addr = run->script->local},
                         remote = {.addr = run->script->remote};
    bool begins = packet->inbound && packet->proto == DR_TCP && run->listening &&
                  (packet->flags & (W_TCP_SYN | W_TCP_ACK)) == W_TCP_SYN;
    if (packet->has_ports) {
        local.port = packet->inbound ? packet->dst_port : packet->src_port;
        remote.port = packet->inbound ? packet->src_port : packet->dst_port;
    } else if (run->current && !begins) {
        return run->current;
    } else {
        local.port = run->listening ? run->listen_port : run->script->bind_port;
        remote.port = run->next_port++;
    }
    /* Addresses in brackets of a packet that begins something are the connection's. */
    const struct dr_ip_info *ip = &packet->ip;
    if (ip->has_from)
        *(packet->inbound ? &remote.addr : &local.addr) = ip->from;
    if (ip->has_to)
        *(packet->inbound ? &local.addr : &remote.addr) = ip->to;
    struct dr_conn *conn = wr_dr_conn_of(run, &local, &remote);
    if (!run->current || begins) {
        run->current = conn;
        run->listening = false;
    }
    return conn;
}

/* ---- in -------------------------------------------------------------------------------------- */

void wr_dr_packet_in(struct dr_run *run, const struct dr_packet *packet)
{
    static uint8_t bytes[DR_PACKET_MAX];
    struct dr_conn *conn = NULL;
    if (packet->proto != DR_RAW) {
        conn = script_conn(run, packet);
        if (!conn)
            return;
    }
    if (packet->proto == DR_TCP && packet->flags & W_TCP_SYN) {
        if (packet->ip.fresh)
            wr_dr_conn_restart(conn);
        if (!conn->remote_known) {
            conn->remote_known = true;
            conn->remote_isn = packet->seq;
        }
    }
    if (packet->ip.has_fill || packet->flags & W_TCP_URG)
        run->reads_exact = false;
    size_t len = wr_dr_packet_build(packet, conn, bytes);
    if (len == 0) {
        wr_dr_fail(run, "this packet cannot be built: too large, or not of this address family");
        return;
    }
    wr_dr_trace(run, wr_dr_script_time(run, run->world.now), packet);
    wr_dr_world_input(&run->world, run->world.ifindex, bytes, len);
    if (run->pending_set && run->pending.opening)
        wr_dr_call_retry(run); /* what waited for the connection goes with the handshake's ACK */
    if (!packet->ip.more)
        wr_dr_world_collect(&run->world);
}

/* ---- out: one field after the other ----------------------------------------------------------- */

struct diff {
    char text[160];
};

static void note(struct diff *diff, const char *what)
{
    size_t used = strlen(diff->text);
    if (used + strlen(what) + 3 < sizeof diff->text)
        (void)snprintf(diff->text + used, sizeof diff->text - used, "%s%s", used > 0 ? ", " : "",
                       what);
}

/* Timestamps: the echo is exact, the value is where the first one and the clock say. */
static bool same_timestamp(const struct dr_run *run, const struct dr_conn *conn,
                           const struct dr_opt *want, const struct dr_opt *got)
{
    if (want->b != got->b)
        return false;
    if (run->script->ts_tick_ns == 0 || !conn->ts_known)
        return true;
    int64_t off = (int32_t)(want->a - conn->ts_script - (got->a - conn->ts_live));
    int64_t slack = run->script->options.tolerance_ns;
    return (off < 0 ? -off : off) * run->script->ts_tick_ns <= slack;
}

static bool same_option(const struct dr_run *run, const struct dr_conn *conn,
                        const struct dr_opt *want, const struct dr_opt *got)
{
    if (want->kind != got->kind || want->n != got->n)
        return false;
    if (want->kind == DR_OPT_TS)
        return same_timestamp(run, conn, want, got);
    return want->a == got->a && memcmp(want->sack, got->sack, sizeof want->sack) == 0 &&
           memcmp(want->blob, got->blob, want->n) == 0;
}

static bool same_options(const struct dr_run *run, const struct dr_conn *conn,
                         const struct dr_packet *want, const struct dr_packet *got)
{
    if (want->any_options)
        return true;
    unsigned n = got->n_opts;
    if (n == want->n_opts + 1 && got->opts[n - 1].kind == DR_OPT_EOL)
        n--; /* padding, which scripts need not write */
    if (n != want->n_opts)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (!same_option(run, conn, &want->opts[i], &got->opts[i]))
            return false;
    return true;
}

static void learn_timestamps(struct dr_conn *conn, const struct dr_packet *want,
                             const struct dr_packet *got)
{
    const struct dr_opt *written = NULL, *sent = NULL;
    for (unsigned i = 0; i < want->n_opts; i++)
        if (want->opts[i].kind == DR_OPT_TS)
            written = &want->opts[i];
    for (unsigned i = 0; i < got->n_opts; i++)
        if (got->opts[i].kind == DR_OPT_TS)
            sent = &got->opts[i];
    if (!sent)
        return;
    if (written)
        wr_dr_conn_saw_ts(conn, written->a, sent->a);
    else if (want->any_options && !conn->ts_known)
        wr_dr_conn_saw_ts(conn, 0, sent->a);
}

static void compare_tcp(struct dr_run *run, const struct dr_conn *conn,
                        const struct dr_packet *want, const struct dr_packet *got,
                        struct diff *diff)
{
    if (want->flags != got->flags)
        note(diff, "flags");
    if (want->seq + conn->local_shift != got->seq)
        note(diff, "sequence number");
    if (want->len != got->len)
        note(diff, "length");
    if (want->flags & got->flags & W_TCP_ACK && want->ack != got->ack)
        note(diff, "acknowledgment number");
    if (want->win >= 0 && want->win != got->win)
        note(diff, "window");
    if (want->urg != got->urg)
        note(diff, "urgent pointer");
    if (!same_options(run, conn, want, got))
        note(diff, "options");
}

static void compare_icmp(const struct dr_packet *want, const struct dr_got *got, struct diff *diff)
{
    if (want->icmp_type != got->packet.icmp_type)
        note(diff, "ICMP type");
    if (want->icmp_code != got->packet.icmp_code)
        note(diff, "ICMP code");
    if (want->has_mtu && want->mtu != got->packet.mtu)
        note(diff, "MTU");
    if (want->has_icmp_id && want->icmp_id != got->packet.icmp_id)
        note(diff, "id");
    if (want->quote == DR_QUOTE_RAW && want->quote_len != got->quoted_len)
        note(diff, "payload length");
}

static void compare_ip(const struct dr_conn *conn, const struct dr_packet *want,
                       const struct dr_got *got, struct diff *diff)
{
    const struct dr_ip_info *ip = &want->ip;
    if (!weir_addr_eq(&got->from.addr, ip->has_from ? &ip->from : &conn->local.addr))
        note(diff, "source address");
    if (!weir_addr_eq(&got->to.addr, ip->has_to ? &ip->to : &conn->remote.addr))
        note(diff, "destination address");
    if (want->proto != DR_ICMP &&
        (got->from.port != conn->local.port || got->to.port != conn->remote.port))
        note(diff, "ports");
    if (ip->has_ecn && ip->ecn != got->packet.ip.ecn)
        note(diff, "ECN");
    if (ip->ect01 && got->packet.ip.ecn != 1 && got->packet.ip.ecn != 2)
        note(diff, "ECN");
    if (ip->has_tos && ip->tos != got->packet.ip.tos)
        note(diff, "tos");
    if (ip->ttl != 0 && ip->ttl != got->packet.ip.ttl)
        note(diff, "ttl");
}

/* Payload must be the stream's pattern at the place that the sequence number says. */
static bool payload_exact(const struct dr_run *run, const struct dr_conn *conn,
                          const struct dr_got *got)
{
    if (!run->writes_exact || got->packet.proto != DR_TCP || !conn->local_known)
        return true;
    uint32_t at = got->packet.seq - conn->local_shift - conn->local_isn;
    if (!(got->packet.flags & W_TCP_SYN))
        at--;
    for (size_t i = 0; i < got->payload_len; i++)
        if (got->payload[i] != wr_dr_pattern((uint32_t)(at + i)))
            return false;
    return true;
}

/* ---- out ------------------------------------------------------------------------------------- */

/* A copy to be shown: ports only if they are not those of the current connection. */
static void trace_got(struct dr_run *run, const struct dr_got *got)
{
    struct dr_packet shown = got->packet;
    shown.has_ports = false;
    const struct dr_conn *conn = find_conn(run, &got->from, &got->to);
    if (conn)
        wr_dr_packet_to_script(&shown, conn);
    if (shown.proto != DR_ICMP && (!run->current || got->from.port != run->current->local.port ||
                                   got->to.port != run->current->remote.port))
        shown.has_ports = true;
    wr_dr_trace(run, wr_dr_script_time(run, got->at), &shown);
}

/* The connection's first segment from the stack fixes what its sequence numbers are in the script. */
static void learn_isn(struct dr_conn *conn, const struct dr_packet *want,
                      const struct dr_packet *got)
{
    if (!(got->flags & W_TCP_SYN) || !(want->flags & W_TCP_SYN) || conn->local_known)
        return;
    conn->local_known = true;
    conn->local_isn = want->seq;
    conn->local_shift = got->seq - want->seq;
}

/*
 * packetdrill takes several segments for one where the script's is longer than they are, as a host
 * with segmentation offload would have sent it. Adds the next one to *got if it goes on there.
 */
static bool merge_next(struct dr_run *run, const struct dr_conn *conn, struct dr_got *got,
                       weir_time high)
{
    struct dr_got next;
    const struct dr_sent *sent = run->world.first;
    if (!sent || wr_dr_script_time(run, sent->at) > high || wr_dr_packet_decode(sent, &next))
        return false;
    const struct dr_packet *a = &got->packet, *b = &next.packet;
    uint16_t ends = W_TCP_PSH | W_TCP_FIN;
    if (b->proto != DR_TCP || !weir_endpoint_eq(&got->from, &next.from) ||
        !weir_endpoint_eq(&got->to, &next.to) || b->seq != a->seq + a->len || b->ack != a->ack ||
        (a->flags & ~ends) != (b->flags & ~ends) || a->flags & W_TCP_FIN)
        return false;
    trace_got(run, &next);
    if (!payload_exact(run, conn, &next))
        return wr_dr_fail(run, "the stack's payload is not what was written");
    got->packet.len += b->len;
    got->packet.flags = b->flags; /* packetdrill, too, takes the header of the last */
    free(wr_dr_world_take(&run->world));
    return true;
}

static void report(struct dr_run *run, const struct dr_packet *want, const struct dr_got *got,
                   const struct dr_conn *conn, const struct diff *diff)
{
    char wanted[DR_LINE_MAX], came[DR_LINE_MAX];
    struct dr_packet shown = got->packet;
    shown.has_ports = want->has_ports || strstr(diff->text, "ports");
    shown.ip.has_ecn = want->ip.has_ecn || want->ip.ect01;
    shown.ip.has_tos = want->ip.has_tos;
    if (strstr(diff->text, "address")) {
        shown.ip.has_from = shown.ip.has_to = true;
        shown.ip.from = got->from.addr;
        shown.ip.to = got->to.addr;
    }
    if (want->win < 0 && want->proto == DR_TCP)
        shown.win = -1;
    shown.has_mtu = want->has_mtu;
    shown.has_icmp_id = want->has_icmp_id;
    wr_dr_packet_to_script(&shown, conn);
    wr_dr_packet_print(want, wanted, sizeof wanted);
    wr_dr_packet_print(&shown, came, sizeof came);
    wr_dr_fail(run, "wrong packet: %s\n    expected  %s\n    got       %s", diff->text, wanted,
               came);
}

static void compare(struct dr_run *run, const struct dr_packet *want, struct dr_got *got,
                    weir_time low, weir_time high)
{
    struct dr_conn *conn = script_conn(run, want);
    struct diff diff = {""};
    if (!conn)
        return;
    if (want->proto != got->packet.proto) {
        note(&diff, "protocol");
        report(run, want, got, conn, &diff);
        return;
    }
    learn_isn(conn, want, &got->packet);
    while (want->proto == DR_TCP && !run->script->strict_segments && !run->failed &&
           got->packet.len < want->len && want->seq + conn->local_shift == got->packet.seq &&
           merge_next(run, conn, got, high))
        ;
    compare_ip(conn, want, got, &diff);
    if (want->proto == DR_TCP)
        compare_tcp(run, conn, want, &got->packet, &diff);
    else if (want->proto == DR_ICMP)
        compare_icmp(want, got, &diff);
    else if (want->len != got->packet.len)
        note(&diff, "length");
    if (diff.text[0] != '\0') {
        report(run, want, got, conn, &diff);
        return;
    }
    if (want->proto == DR_TCP)
        learn_timestamps(conn, want, &got->packet);
    weir_time at = wr_dr_script_time(run, got->at);
    if (at < low || at > high)
        wr_dr_fail(run, "sent at %.6f, expected %.6f", (double)at / 1e9,
                   (double)(at < low ? low : high) / 1e9);
    else if (!payload_exact(run, conn, got))
        wr_dr_fail(run, "the stack's payload is not what was written");
}

void wr_dr_packet_out(struct dr_run *run, const struct dr_packet *expected, weir_time low,
                      weir_time high)
{
    struct dr_got got;
    struct dr_sent *sent = wr_dr_world_take(&run->world);
    if (!sent) {
        char text[DR_LINE_MAX];
        wr_dr_packet_print(expected, text, sizeof text);
        wr_dr_fail(run, "no packet came until %.6f\n    expected  %s", (double)high / 1e9, text);
        return;
    }
    const char *wrong = wr_dr_packet_decode(sent, &got);
    if (wrong) {
        wr_dr_fail(run, "the stack sent a broken packet: %s", wrong);
    } else {
        trace_got(run, &got);
        compare(run, expected, &got, low, high);
    }
    free(sent);
}

void wr_dr_packet_skip(struct dr_run *run)
{
    struct dr_got got;
    struct dr_sent *sent = wr_dr_world_take(&run->world);
    const char *wrong = wr_dr_packet_decode(sent, &got);
    if (wrong) {
        wr_dr_fail(run, "the stack sent a broken packet: %s", wrong);
    } else {
        struct dr_conn *conn = find_conn(run, &got.from, &got.to);
        struct dr_packet origin = {.flags = W_TCP_SYN};
        if (conn && got.packet.proto == DR_TCP)
            learn_isn(conn, &origin, &got.packet);
        trace_got(run, &got);
    }
    free(sent);
}

void wr_dr_packet_unexpected(struct dr_run *run, const struct dr_sent *sent)
{
    struct dr_got got;
    char text[DR_LINE_MAX];
    const char *wrong = wr_dr_packet_decode(sent, &got);
    if (wrong) {
        wr_dr_fail(run, "the stack sent a broken packet: %s", wrong);
        return;
    }
    trace_got(run, &got);
    if (run->current)
        wr_dr_packet_to_script(&got.packet, run->current);
    wr_dr_packet_print(&got.packet, text, sizeof text);
    wr_dr_fail(run, "nothing was expected\n    got       %s at %.6f", text,
               (double)wr_dr_script_time(run, got.at) / 1e9);
}
