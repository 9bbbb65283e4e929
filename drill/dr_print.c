/* SPDX-License-Identifier: MIT */
/* Packets as text, in the notation of scripts: for traces and for what was expected and came. */
#include <stdarg.h>
#include <stdio.h>

#include "drill/dr_packet.h"
#include "wire/w_tcp.h"

struct text {
    char *at;
    size_t left;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->at, t->left, format, args);
    va_end(args);
    size_t used = n < 0 ? 0 : (size_t)n;
    if (used >= t->left)
        used = t->left - 1;
    t->at += used;
    t->left -= used;
}

static void print_option(struct text *t, const struct dr_opt *opt)
{
    switch (opt->kind) {
    case DR_OPT_NOP:
        add(t, "nop");
        break;
    case DR_OPT_EOL:
        add(t, "eol");
        break;
    case DR_OPT_MSS:
        add(t, "mss %u", opt->a);
        break;
    case DR_OPT_WSCALE:
        add(t, "wscale %u", opt->a);
        break;
    case DR_OPT_SACKOK:
        add(t, "sackOK");
        break;
    case DR_OPT_SACK:
        add(t, "sack");
        for (unsigned i = 0; i < opt->n; i++)
            add(t, " %u:%u", opt->sack[i].start, opt->sack[i].end);
        break;
    case DR_OPT_TS:
        add(t, "TS val %u ecr %u", opt->a, opt->b);
        break;
    case DR_OPT_BYTES:
        add(t, "raw 0x");
        for (unsigned i = 0; i < opt->n; i++)
            add(t, "%02x", opt->blob[i]);
        break;
    }
}

static void print_flags(struct text *t, uint16_t flags)
{
    static const struct {
        uint16_t bit;
        char letter;
    } letters[] = {{W_TCP_FIN, 'F'}, {W_TCP_SYN, 'S'}, {W_TCP_RST, 'R'},
                   {W_TCP_PSH, 'P'}, {W_TCP_URG, 'U'}, {W_TCP_ECE, 'E'},
                   {W_TCP_CWR, 'W'}, {W_TCP_AE, 'A'},  {W_TCP_ACK, '.'}};
    if (flags == 0)
        add(t, "-");
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
        if (flags & letters[i].bit)
            add(t, "%c", letters[i].letter);
}

static void print_tcp(struct text *t, const struct dr_packet *packet)
{
    print_flags(t, packet->flags);
    add(t, " %u:%u(%u)", packet->seq, packet->seq + packet->len, packet->len);
    if (packet->flags & W_TCP_ACK)
        add(t, " ack %u", packet->ack);
    if (packet->win >= 0)
        add(t, " win %d", packet->win);
    if (packet->flags & W_TCP_URG || packet->urg != 0)
        add(t, " urg %u", packet->urg);
    if (packet->any_options)
        add(t, " <...>");
    if (packet->n_opts == 0)
        return;
    for (unsigned i = 0; i < packet->n_opts; i++) {
        add(t, i == 0 ? " <" : ",");
        print_option(t, &packet->opts[i]);
    }
    add(t, ">");
}

static void print_icmp(struct text *t, const struct dr_packet *packet)
{
    add(t, "icmp type %u code %u", packet->icmp_type, packet->icmp_code);
    if (packet->has_mtu)
        add(t, " mtu %u", packet->mtu);
    if (packet->has_icmp_id)
        add(t, " id %u", packet->icmp_id);
    if (packet->quote == DR_QUOTE_TCP)
        add(t, " [%u:%u(%u)]", packet->quote_seq, packet->quote_seq + packet->quote_len,
            packet->quote_len);
    else if (packet->quote != DR_QUOTE_NONE)
        add(t, " [%s (%u)]", packet->quote == DR_QUOTE_UDP ? "udp" : "raw", packet->quote_len);
}

static void print_ip(struct text *t, const struct dr_ip_info *ip)
{
    static const char *const ecn[] = {"noecn", "ect1", "ect0", "ce"};
    char addr[WEIR_ADDR_STRLEN];
    if (ip->has_ecn)
        add(t, "[%s] ", ecn[ip->ecn & 3]);
    if (ip->has_tos)
        add(t, "[tos 0x%x] ", ip->tos);
    if (ip->has_from && weir_addr_format(&ip->from, addr, sizeof addr))
        add(t, "[from \"%s\"] ", addr);
    if (ip->has_to && weir_addr_format(&ip->to, addr, sizeof addr))
        add(t, "[to \"%s\"] ", addr);
    if (ip->bad_checksum)
        add(t, "[bad checksum] ");
}

void wr_dr_packet_print(const struct dr_packet *packet, char *out, size_t cap)
{
    struct text t = {.at = out, .left = cap};
    add(&t, packet->inbound ? "< " : "> ");
    print_ip(&t, &packet->ip);
    if (packet->has_ports && packet->proto != DR_UDP)
        add(&t, "%u > %u ", packet->src_port, packet->dst_port);
    switch (packet->proto) {
    case DR_TCP:
        print_tcp(&t, packet);
        break;
    case DR_UDP:
        add(&t, "udp ");
        if (packet->has_ports)
            add(&t, "%u > %u ", packet->src_port, packet->dst_port);
        add(&t, "(%u)", packet->len);
        break;
    case DR_ICMP:
        print_icmp(&t, packet);
        break;
    case DR_ANYTHING:
        add(&t, "...");
        break;
    case DR_RAW:
        add(&t, "raw (%zu bytes)", packet->raw_len);
        break;
    }
}
