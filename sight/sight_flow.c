/* SPDX-License-Identifier: MIT */
/*
 * Packets into connections. A SYN between the same two ends, with another sequence number, after a connection was seen
 * there, begins a new one. Packets cut short by a snap length will do as long as their TCP header is whole.
 */
#include "sight/sight_flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium/randombytes.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "wire/w_tcp.h"
#include "wire/w_tcpopt.h"

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_ICMP6 = 58, EXT_LAST = 3, WSCALE_MAX = 14 };

/* An IP packet, whole or its beginning. */
struct ip_view {
    struct weir_addr src, dst;
    uint8_t proto;
    const uint8_t *data; /* behind the header */
    size_t kept, len;    /* of it: here, on the wire */
    uint32_t total;
};

static bool view_ip4(const uint8_t *p, size_t n, struct ip_view *ip)
{
    size_t head = (size_t)(p[0] & 15) * 4;

    if (n < 20 || head < 20 || n < head || (get_be16(p + 6) & 0x1fff) != 0)
        return false;
    ip->total = get_be16(p + 2);
    ip->src = weir_addr_from_v4_bytes(p + 12);
    ip->dst = weir_addr_from_v4_bytes(p + 16);
    ip->proto = p[9];
    ip->data = p + head;
    ip->kept = n - head;
    if (ip->total < head)
        return false;
    ip->len = ip->total - head;
    return true;
}

static bool view_ip6(const uint8_t *p, size_t n, struct ip_view *ip)
{
    size_t at = 40;
    uint8_t next;

    if (n < 40)
        return false;
    next = p[6];
    ip->total = 40u + get_be16(p + 4);
    for (int i = 0; i < EXT_LAST && (next == 0 || next == 43 || next == 60) && n >= at + 8; i++) {
        next = p[at];
        at += (size_t)p[at + 1] * 8 + 8;
    }
    if (n < at || ip->total < at)
        return false;
    ip->src = weir_addr_from_v6_bytes(p + 8);
    ip->dst = weir_addr_from_v6_bytes(p + 24);
    ip->proto = next;
    ip->data = p + at;
    ip->kept = n - at;
    ip->len = ip->total - at;
    return true;
}

static bool view_ip(const uint8_t *p, size_t n, struct ip_view *ip)
{
    if (n < 1)
        return false;
    if (p[0] >> 4 == 4)
        return view_ip4(p, n, ip);
    return p[0] >> 4 == 6 && view_ip6(p, n, ip);
}

/* ---- comments --------------------------------------------------------------------------------------- */

static uint32_t number_after(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at != NULL ? (uint32_t)strtoul(at + strlen(name), NULL, 10) : 0;
}

static enum sight_held held_of(const char *text)
{
    static const char *const words[] = {[SIGHT_HELD_APP] = "held app",
                                        [SIGHT_HELD_WINDOW] = "held window",
                                        [SIGHT_HELD_CWND] = "held cwnd",
                                        [SIGHT_HELD_PACING] = "held pacing",
                                        [SIGHT_HELD_NAGLE] = "held nagle"};
    enum sight_held held = SIGHT_HELD_UNKNOWN;
    const char *last = NULL;

    for (unsigned i = SIGHT_HELD_APP; i <= SIGHT_HELD_NAGLE; i++) {
        for (const char *at = strstr(text, words[i]); at != NULL; at = strstr(at + 1, words[i])) {
            if (last == NULL || at > last) {
                last = at;
                held = (enum sight_held)i;
            }
        }
    }
    return held;
}

static struct sight_note read_note(const char *comment)
{
    struct sight_note note = {0};

    if (comment == NULL ||
        (strncmp(comment, "sent ", 5) != 0 && strncmp(comment, "received", 8) != 0 &&
         strncmp(comment, "dropped ", 8) != 0))
        return note;
    note.is_there = true;
    note.sent = comment[0] == 's';
    comment += strcspn(comment, " ");
    snprintf(note.why, sizeof note.why, "%.*s", (int)strcspn(comment + (*comment != '\0'), ": |"),
             comment + (*comment != '\0'));
    note.held = held_of(comment);
    note.cwnd = number_after(comment, "cwnd=");
    note.pipe = number_after(comment, "pipe=");
    note.undone = strstr(comment, "recovery undone") != NULL;
    note.rto = strstr(comment, "timer rto") != NULL;
    return note;
}

/* ---- finding the connection -------------------------------------------------------------------------- */

static uint64_t hash_of_end(const struct sight_flows *flows, const struct weir_addr *addr,
                            uint16_t port)
{
    uint8_t text[18];

    memcpy(text, addr->b, 16);
    put_be16(text + 16, port);
    return wr_hash_keyed(flows->key, text, sizeof text);
}

static bool is_end(const struct sight_end *end, const struct weir_addr *addr, uint16_t port)
{
    return end->port == port && weir_addr_eq(&end->addr, addr);
}

/* The slot of the latest connection between the two, or a free one. */
static size_t slot_of(const struct sight_flows *flows, const struct weir_addr *a, uint16_t a_port,
                      const struct weir_addr *b, uint16_t b_port)
{
    uint64_t both = hash_of_end(flows, a, a_port) + hash_of_end(flows, b, b_port);
    size_t at = both & (flows->table_size - 1); /* the same for both directions */

    while (flows->table[at] != UINT32_MAX) {
        const struct sight_flow *flow = &flows->flows[flows->table[at]];
        if ((is_end(&flow->end[0], a, a_port) && is_end(&flow->end[1], b, b_port)) ||
            (is_end(&flow->end[0], b, b_port) && is_end(&flow->end[1], a, a_port)))
            break;
        at = (at + 1) & (flows->table_size - 1);
    }
    return at;
}

static bool grow_table(struct sight_flows *flows)
{
    size_t size = flows->table_size ? flows->table_size * 2 : 64;
    uint32_t *table;

    if (flows->n * 2 < flows->table_size)
        return true;
    table = malloc(size * sizeof *table);
    if (table == NULL)
        return false;
    if (flows->table == NULL)
        randombytes_buf(flows->key, sizeof flows->key);
    free(flows->table);
    memset(table, 0xff, size * sizeof *table);
    flows->table = table;
    flows->table_size = size;
    for (size_t i = 0; i < flows->n; i++) {
        const struct sight_end *end = flows->flows[i].end;
        table[slot_of(flows, &end[0].addr, end[0].port, &end[1].addr, end[1].port)] = (uint32_t)i;
    }
    return true;
}

static struct sight_flow *new_flow(struct sight_flows *flows)
{
    if (flows->n == flows->cap) {
        size_t cap = flows->cap ? flows->cap * 2 : 16;
        struct sight_flow *more = realloc(flows->flows, cap * sizeof *more);
        if (more == NULL)
            return NULL;
        flows->flows = more;
        flows->cap = cap;
    }
    memset(&flows->flows[flows->n], 0, sizeof *flows->flows);
    return &flows->flows[flows->n++];
}

/* Does this SYN begin another connection than the one there? */
static bool begins_anew(const struct sight_flow *flow, const struct ip_view *ip,
                        const struct w_tcp *th)
{
    const struct sight_end *end = &flow->end[is_end(&flow->end[0], &ip->src, th->src_port) ? 0 : 1];

    if ((th->flags & (W_TCP_SYN | W_TCP_ACK)) != W_TCP_SYN || !end->known)
        return false;
    return th->seq != end->iss;
}

static struct sight_flow *find(struct sight_flows *flows, const struct ip_view *ip,
                               const struct w_tcp *th)
{
    bool answer = (th->flags & (W_TCP_SYN | W_TCP_ACK)) == (W_TCP_SYN | W_TCP_ACK);
    struct sight_flow *flow;
    size_t slot;

    if (!grow_table(flows))
        return NULL;
    slot = slot_of(flows, &ip->src, th->src_port, &ip->dst, th->dst_port);
    if (flows->table[slot] != UINT32_MAX && !begins_anew(&flows->flows[flows->table[slot]], ip, th))
        return &flows->flows[flows->table[slot]];
    flow = new_flow(flows);
    if (flow == NULL)
        return NULL;
    flow->end[answer].addr = ip->src;
    flow->end[answer].port = th->src_port;
    flow->end[!answer].addr = ip->dst;
    flow->end[!answer].port = th->dst_port;
    flows->table[slot] = (uint32_t)(flows->n - 1);
    return flow;
}

/* ---- segments ------------------------------------------------------------------------------------------ */

static void take_options(struct sight_flow *flow, struct sight_segment *segment,
                         const struct w_tcpopt *opt)
{
    struct sight_end *end = &flow->end[segment->side];

    if (segment->flags & W_TCP_SYN) {
        end->has_syn = true;
        end->iss = segment->seq;
        end->known = true;
        end->has_wscale = opt->has_wscale;
        end->wscale = opt->has_wscale ? opt->wscale : 0;
        if (end->wscale > WSCALE_MAX) /* RFC 7323 2.3: larger ones mean 14 */
            end->wscale = WSCALE_MAX;
        end->mss = opt->has_mss ? opt->mss : 0;
    } else if (!end->known) {
        end->iss = segment->seq - 1;
        end->known = true;
    }
    segment->has_ts = opt->has_ts;
    segment->ts_val = opt->ts_val;
    segment->ts_ecr = opt->ts_ecr;
    segment->n_sack = opt->n_sack < SIGHT_SACKS ? opt->n_sack : SIGHT_SACKS;
    for (unsigned i = 0; i < segment->n_sack; i++) {
        segment->sack[i][0] = opt->sack[i].start;
        segment->sack[i][1] = opt->sack[i].end;
    }
}

static bool add_segment(struct sight_flows *flows, const struct sight_packet *packet,
                        const struct ip_view *ip)
{
    struct w_tcp th;
    struct w_tcpopt opt = {0};
    struct sight_flow *flow;
    struct sight_segment *segment;

    if (wr_w_tcp_parse(ip->data, ip->kept, &th) != 0 || ip->len < th.data_off)
        return true;
    if (wr_w_tcpopt_parse(ip->data + W_TCP_HLEN, th.data_off - W_TCP_HLEN,
                          (th.flags & W_TCP_SYN) != 0, &opt) != 0)
        memset(&opt, 0, sizeof opt);
    flow = find(flows, ip, &th);
    if (flow == NULL)
        return false;
    if (flow->n == flow->cap) {
        size_t cap = flow->cap ? flow->cap * 2 : 16;
        struct sight_segment *more = realloc(flow->segments, cap * sizeof *more);
        if (more == NULL)
            return false;
        flow->segments = more;
        flow->cap = cap;
    }
    segment = &flow->segments[flow->n++];
    *segment = (struct sight_segment){.number = flows->packets,
                                      .time = packet->time,
                                      .side = !is_end(&flow->end[0], &ip->src, th.src_port),
                                      .flags = (uint8_t)th.flags,
                                      .seq = th.seq,
                                      .ack = th.ack,
                                      .len = (uint32_t)(ip->len - th.data_off),
                                      .wnd = th.wnd,
                                      .ip_len = ip->total,
                                      .note = read_note(packet->comment)};
    take_options(flow, segment, &opt);
    return true;
}

/* ---- ICMP ------------------------------------------------------------------------------------------------ */

static void add_icmp(struct sight_flows *flows, const struct ip_view *ip)
{
    bool v6 = ip->proto == PROTO_ICMP6;
    const uint8_t *p = ip->data;
    struct ip_view quoted;
    struct sight_flow *flow;
    size_t slot;

    if (ip->kept < 8 || flows->table == NULL || (v6 ? p[0] < 1 || p[0] > 2 : p[0] != 3))
        return;
    if (!view_ip(p + 8, ip->kept - 8, &quoted) || quoted.proto != PROTO_TCP || quoted.kept < 8)
        return;
    slot =
        slot_of(flows, &quoted.src, get_be16(quoted.data), &quoted.dst, get_be16(quoted.data + 2));
    if (flows->table[slot] == UINT32_MAX)
        return;
    flow = &flows->flows[flows->table[slot]];
    if (flow->n_icmp == sizeof flow->icmp / sizeof *flow->icmp)
        return;
    flow->icmp[flow->n_icmp++] = (struct sight_icmp){.number = flows->packets,
                                                     .too_big = v6 ? p[0] == 2 : p[1] == 4,
                                                     .mtu = v6 ? get_be32(p + 4) : get_be16(p + 6),
                                                     .from = ip->src};
}

bool sight_flows_add(struct sight_flows *flows, const struct sight_packet *packet)
{
    int at = sight_ip_at(packet);
    struct ip_view ip;

    flows->packets++;
    if (at < 0 || (size_t)at >= packet->kept ||
        !view_ip(packet->frame + at, packet->kept - (size_t)at, &ip))
        return true;
    if (ip.proto == PROTO_TCP)
        return add_segment(flows, packet, &ip);
    if (ip.proto == PROTO_ICMP || ip.proto == PROTO_ICMP6)
        add_icmp(flows, &ip);
    return true;
}

void sight_flows_free(struct sight_flows *flows)
{
    for (size_t i = 0; i < flows->n; i++)
        free(flows->flows[i].segments);
    free(flows->flows);
    free(flows->table);
    memset(flows, 0, sizeof *flows);
}

void sight_end_text(const struct sight_end *end, char text[64])
{
    char addr[WEIR_ADDR_STRLEN];

    weir_addr_format(&end->addr, addr, sizeof addr);
    snprintf(text, 64, strchr(addr, ':') ? "[%s]:%u" : "%s:%u", addr, end->port);
}
