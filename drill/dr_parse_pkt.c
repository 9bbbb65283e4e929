/* SPDX-License-Identifier: MIT */
/*
 * Packets. Beyond packetdrill's notation, in the brackets before the flags (inbound unless said
 * otherwise): `bad checksum`, `from "A"`, `to "A"` (both directions), `new` (a SYN that begins
 * another connection on the same ports), `more` (the next packet comes in before the stack may send),
 * `fill 0x41` (content), `offset N` (TCP's data offset in
 * words), `cut N` (bytes missing at the end), `ipopt 0x...`; `ttl N` and `tos 0x..` as there.
 * Options of TCP: `raw 0x...`. And `< raw 0x...`: a whole IP packet. `> ...` takes all that the stack
 * has sent until then, whatever it is.
 */
#include <string.h>

#include "base/bytes.h"
#include "drill/dr_icmp.h"
#include "drill/dr_parse.h"
#include "wire/w_tcp.h"
#include "wire/w_tcpopt.h"

static bool take_word(struct dr_lexer *lex, const char *word)
{
    return wr_dr_lex_is_word(lex, word) && wr_dr_lex_next(lex);
}

/* ---- what stands in brackets ----------------------------------------------------------------- */

static bool parse_quoted_addr(struct dr_lexer *lex, struct weir_addr *addr, bool *has)
{
    *has = true;
    if (lex->tok.kind != DR_TOK_STRING || !weir_addr_parse(lex->tok.text, addr))
        return wr_dr_lex_fail(lex, "expected an address in quotes");
    return wr_dr_lex_next(lex);
}

static bool parse_ecn(struct dr_lexer *lex, struct dr_ip_info *ip, bool *found)
{
    static const char *const names[] = {"noecn", "ect1", "ect0", "ce"};
    *found = true;
    for (uint8_t i = 0; i < 4; i++)
        if (wr_dr_lex_is_word(lex, names[i])) {
            ip->has_ecn = true;
            ip->ecn = i;
            return wr_dr_lex_next(lex);
        }
    if (wr_dr_lex_is_word(lex, "ect01")) {
        ip->ect01 = true;
        return wr_dr_lex_next(lex);
    }
    *found = false;
    return true;
}

static bool parse_ip_number(struct dr_lexer *lex, struct dr_ip_info *ip)
{
    int64_t n = 0;
    if (wr_dr_lex_is_word(lex, "ttl")) {
        if (!wr_dr_lex_next(lex) || !wr_dr_parse_int(lex, "ttl", 1, 255, &n))
            return false;
        ip->ttl = (uint8_t)n;
    } else if (wr_dr_lex_is_word(lex, "tos")) {
        if (!wr_dr_lex_next(lex) || !wr_dr_parse_int(lex, "tos", 0, 255, &n))
            return false;
        ip->tos = (uint8_t)n;
        ip->has_tos = true;
    } else if (wr_dr_lex_is_word(lex, "fill")) {
        if (!wr_dr_lex_next(lex) || !wr_dr_parse_int(lex, "fill", 0, 255, &n))
            return false;
        ip->fill = (uint8_t)n;
        ip->has_fill = true;
    } else if (wr_dr_lex_is_word(lex, "offset")) {
        if (!wr_dr_lex_next(lex) || !wr_dr_parse_int(lex, "offset", 0, 15, &n))
            return false;
        ip->offset_words = (int)n;
    } else if (wr_dr_lex_is_word(lex, "cut")) {
        if (!wr_dr_lex_next(lex) || !wr_dr_parse_int(lex, "cut", 1, 65535, &n))
            return false;
        ip->cut = (unsigned)n;
    } else {
        return wr_dr_lex_fail(lex, "unknown word in brackets");
    }
    return true;
}

static bool parse_ip_item(struct dr_lexer *lex, struct dr_ip_info *ip)
{
    bool found;
    if (!parse_ecn(lex, ip, &found))
        return false;
    if (found)
        return true;
    if (take_word(lex, "bad")) {
        ip->bad_checksum = true;
        return take_word(lex, "checksum") || wr_dr_lex_fail(lex, "expected `bad checksum`");
    }
    if (take_word(lex, "more")) {
        ip->more = true;
        return true;
    }
    if (take_word(lex, "new")) {
        ip->fresh = true;
        return true;
    }
    if (take_word(lex, "from"))
        return parse_quoted_addr(lex, &ip->from, &ip->has_from);
    if (take_word(lex, "to"))
        return parse_quoted_addr(lex, &ip->to, &ip->has_to);
    if (take_word(lex, "ipopt")) {
        if (!wr_dr_parse_blob(lex, &ip->ip_options, &ip->ip_options_len))
            return false;
        return (ip->ip_options_len % 4 == 0 && ip->ip_options_len <= 40) ||
               wr_dr_lex_fail(lex, "IP options: a multiple of 4 bytes, at most 40");
    }
    return parse_ip_number(lex, ip);
}

static bool parse_ip_info(struct dr_lexer *lex, struct dr_packet *packet)
{
    packet->ip.offset_words = -1;
    if (!wr_dr_lex_is(lex, '[') && !wr_dr_lex_is(lex, '('))
        return true;
    char close = wr_dr_lex_is(lex, '[') ? ']' : ')';
    do {
        if (!wr_dr_lex_next(lex) || !parse_ip_item(lex, &packet->ip))
            return lex->script->error[0] == '\0' && wr_dr_lex_fail(lex, "bad word in brackets");
    } while (wr_dr_lex_is(lex, ','));
    const struct dr_ip_info *ip = &packet->ip;
    bool inbound_only = ip->bad_checksum || ip->fresh || ip->more || ip->has_fill ||
                        ip->ip_options || ip->cut > 0 || ip->offset_words >= 0;
    if (!packet->inbound && inbound_only)
        return wr_dr_lex_fail(lex, "that can only be said of inbound packets");
    if (packet->inbound && ip->ect01)
        return wr_dr_lex_fail(lex, "[ect01] can only be said of outbound packets");
    return wr_dr_parse_char(lex, close);
}

static bool parse_ports(struct dr_lexer *lex, struct dr_packet *packet)
{
    int64_t src = 0, dst = 0;
    if (lex->tok.kind != DR_TOK_INT)
        return true;
    if (!wr_dr_parse_int(lex, "source port", 0, 65535, &src) || !wr_dr_parse_char(lex, '>') ||
        !wr_dr_parse_int(lex, "destination port", 0, 65535, &dst))
        return false;
    packet->has_ports = true;
    packet->src_port = (uint16_t)src;
    packet->dst_port = (uint16_t)dst;
    return true;
}

/* ---- TCP options ----------------------------------------------------------------------------- */

static bool option_u32(struct dr_lexer *lex, const char *what, int64_t high, uint32_t *value)
{
    int64_t n = 0;
    if (!wr_dr_lex_next(lex) || !wr_dr_parse_int(lex, what, 0, high, &n))
        return false;
    *value = (uint32_t)n;
    return true;
}

static bool parse_sack(struct dr_lexer *lex, struct dr_opt *opt)
{
    opt->kind = DR_OPT_SACK;
    if (!wr_dr_lex_next(lex))
        return false;
    while (lex->tok.kind == DR_TOK_INT) {
        int64_t start = 0, end = 0;
        if (opt->n == DR_SACKS_MAX)
            return wr_dr_lex_fail(lex, "too many SACK blocks");
        if (!wr_dr_parse_int(lex, "SACK left edge", 0, UINT32_MAX, &start) ||
            !wr_dr_parse_char(lex, ':') ||
            !wr_dr_parse_int(lex, "SACK right edge", 0, UINT32_MAX, &end))
            return false;
        opt->sack[opt->n].start = (uint32_t)start;
        opt->sack[opt->n++].end = (uint32_t)end;
    }
    return opt->n > 0 || wr_dr_lex_fail(lex, "sack without a block");
}

static bool parse_timestamp(struct dr_lexer *lex, struct dr_opt *opt)
{
    opt->kind = DR_OPT_TS;
    if (!wr_dr_lex_next(lex) || !wr_dr_lex_is_word(lex, "val"))
        return wr_dr_lex_fail(lex, "expected TS val N ecr N");
    if (!option_u32(lex, "ts val", UINT32_MAX, &opt->a))
        return false;
    if (!wr_dr_lex_is_word(lex, "ecr"))
        return wr_dr_lex_fail(lex, "expected TS val N ecr N");
    return option_u32(lex, "ts ecr", UINT32_MAX, &opt->b);
}

/* An option of `head_len` known bytes and the hexadecimal digits of the current token. */
static bool parse_blob_option(struct dr_lexer *lex, struct dr_opt *opt, const uint8_t *head,
                              size_t head_len)
{
    opt->kind = DR_OPT_BYTES;
    size_t digits = 0;
    const char *text = "";
    bool blob =
        lex->tok.kind == DR_TOK_HEX || lex->tok.kind == DR_TOK_WORD || lex->tok.kind == DR_TOK_INT;
    if (blob) {
        text = lex->tok.text;
        digits = lex->tok.len;
    }
    if (digits % 2 != 0 || head_len + digits / 2 > DR_BLOB_MAX ||
        strspn(text, "0123456789abcdefABCDEF") != digits)
        return wr_dr_lex_fail(lex, "bad bytes in an option");
    wr_bytes_copy(opt->blob, head, head_len);
    for (size_t i = 0; i < digits / 2; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], 0};
        unsigned value = 0;
        for (const char *c = pair; *c; c++)
            value = value * 16 + (unsigned)(*c <= '9' ? *c - '0' : (*c | 0x20) - 'a' + 10);
        opt->blob[head_len + i] = (uint8_t)value;
    }
    opt->n = (unsigned)(head_len + digits / 2);
    if (head_len >= 2)
        opt->blob[1] = (uint8_t)opt->n;
    return !blob || wr_dr_lex_next(lex);
}

static bool parse_tcp_option(struct dr_lexer *lex, struct dr_opt *opt)
{
    static const uint8_t fast_open[2] = {W_TCPOPT_FASTOPEN, 2};
    static const uint8_t fast_open_exp[4] = {W_TCPOPT_EXP, 4, 0xf9, 0x89};
    static const uint8_t md5[2] = {19, 2};
    if (wr_dr_lex_is_word(lex, "nop") || wr_dr_lex_is_word(lex, "eol") ||
        wr_dr_lex_is_word(lex, "sackOK")) {
        opt->kind = lex->tok.text[0] == 'n'   ? DR_OPT_NOP
                    : lex->tok.text[0] == 'e' ? DR_OPT_EOL
                                              : DR_OPT_SACKOK;
        return wr_dr_lex_next(lex);
    }
    if (wr_dr_lex_is_word(lex, "mss")) {
        opt->kind = DR_OPT_MSS;
        return option_u32(lex, "mss", 65535, &opt->a);
    }
    if (wr_dr_lex_is_word(lex, "wscale")) {
        opt->kind = DR_OPT_WSCALE;
        return option_u32(lex, "wscale", 255, &opt->a);
    }
    if (wr_dr_lex_is_word(lex, "sack"))
        return parse_sack(lex, opt);
    if (wr_dr_lex_is_word(lex, "TS"))
        return parse_timestamp(lex, opt);
    if (take_word(lex, "FO"))
        return parse_blob_option(lex, opt, fast_open, sizeof fast_open);
    if (take_word(lex, "FOEXP"))
        return parse_blob_option(lex, opt, fast_open_exp, sizeof fast_open_exp);
    if (take_word(lex, "md5"))
        return parse_blob_option(lex, opt, md5, sizeof md5);
    if (take_word(lex, "raw"))
        return parse_blob_option(lex, opt, NULL, 0);
    return wr_dr_lex_fail(lex, "unknown TCP option");
}

static bool parse_tcp_options(struct dr_lexer *lex, struct dr_packet *packet)
{
    if (!wr_dr_lex_is(lex, '<'))
        return true;
    if (!wr_dr_lex_next(lex))
        return false;
    if (lex->tok.kind == DR_TOK_ELLIPSIS) {
        packet->any_options = true;
        if (packet->inbound)
            return wr_dr_lex_fail(lex, "<...> can only be said of outbound packets");
        return wr_dr_lex_next(lex) && wr_dr_parse_char(lex, '>');
    }
    for (;;) {
        if (packet->n_opts == DR_OPTS_MAX)
            return wr_dr_lex_fail(lex, "too many TCP options");
        if (!parse_tcp_option(lex, &packet->opts[packet->n_opts++]))
            return false;
        if (!wr_dr_lex_is(lex, ','))
            return wr_dr_parse_char(lex, '>');
        if (!wr_dr_lex_next(lex))
            return false;
    }
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static bool add_flags(struct dr_lexer *lex, struct dr_packet *packet, const char *text)
{
    static const char letters[] = "FSRPUEWA.";
    static const uint16_t bits[] = {W_TCP_FIN, W_TCP_SYN, W_TCP_RST, W_TCP_PSH, W_TCP_URG,
                                    W_TCP_ECE, W_TCP_CWR, W_TCP_AE,  W_TCP_ACK};
    for (; *text; text++) {
        const char *found = strchr(letters, *text);
        if (found)
            packet->flags |= bits[found - letters];
        else if (*text >= '0' && *text <= '7')
            packet->flags |= (uint16_t)((*text - '0') * W_TCP_ECE);
        else
            return wr_dr_lex_fail(lex, "invalid TCP flag '%c'", *text);
    }
    return true;
}

/* "S", "S.", "P.", ".", "-", "S.5": a word, a dot that follows at once, a dot with an ACE digit. */
static bool parse_flags(struct dr_lexer *lex, struct dr_packet *packet)
{
    if (wr_dr_lex_is(lex, '-'))
        return wr_dr_lex_next(lex);
    bool some = false;
    if (lex->tok.kind == DR_TOK_WORD) {
        some = true;
        if (!add_flags(lex, packet, lex->tok.text) || !wr_dr_lex_next(lex))
            return false;
    }
    if (wr_dr_lex_is(lex, '.') || (lex->tok.kind == DR_TOK_FLOAT && lex->tok.num == 0)) {
        packet->flags |= W_TCP_ACK;
        packet->flags |= (uint16_t)(lex->tok.nano / 100000000 * W_TCP_ECE);
        return wr_dr_lex_next(lex);
    }
    return some || wr_dr_lex_fail(lex, "expected TCP flags");
}

static bool parse_range(struct dr_lexer *lex, uint32_t *seq, uint32_t *len)
{
    int64_t start = 0, end = 0, bytes = 0;
    if (!wr_dr_parse_int(lex, "sequence number", 0, UINT32_MAX, &start) ||
        !wr_dr_parse_char(lex, ':') ||
        !wr_dr_parse_int(lex, "end of sequence", 0, UINT32_MAX + INT64_C(65536), &end) ||
        !wr_dr_parse_char(lex, '(') || !wr_dr_parse_int(lex, "payload size", 0, 65535, &bytes) ||
        !wr_dr_parse_char(lex, ')'))
        return false;
    if (((start + bytes - end) & UINT32_MAX) != 0)
        return wr_dr_lex_fail(lex, "sequence numbers and payload size do not agree");
    *seq = (uint32_t)start;
    *len = (uint32_t)bytes;
    return true;
}

static bool parse_tcp(struct dr_lexer *lex, struct dr_packet *packet)
{
    int64_t n = 0;
    packet->proto = DR_TCP;
    packet->win = -1;
    if (!parse_flags(lex, packet) || !parse_range(lex, &packet->seq, &packet->len))
        return false;
    if (take_word(lex, "ack")) {
        if (!wr_dr_parse_int(lex, "ack", 0, UINT32_MAX, &n))
            return false;
        packet->ack = (uint32_t)n;
    }
    if (take_word(lex, "win")) {
        if (!wr_dr_parse_int(lex, "win", 0, 65535, &n))
            return false;
        packet->win = (int)n;
    } else if (packet->inbound) {
        return wr_dr_lex_fail(lex, "an inbound segment needs its win");
    }
    if (take_word(lex, "urg")) {
        if (!wr_dr_parse_int(lex, "urg", 0, 65535, &n))
            return false;
        packet->urg = (uint16_t)n;
    }
    return parse_tcp_options(lex, packet);
}

/* ---- UDP, ICMP, raw -------------------------------------------------------------------------- */

static bool parse_udp(struct dr_lexer *lex, struct dr_packet *packet)
{
    int64_t n = 0;
    packet->proto = DR_UDP;
    if (!parse_ports(lex, packet) || !wr_dr_parse_char(lex, '(') ||
        !wr_dr_parse_int(lex, "payload size", 0, 65507, &n) || !wr_dr_parse_char(lex, ')'))
        return false;
    packet->len = (uint32_t)n;
    return true;
}

/* [1:1001(1000)], [udp (10)], [raw (100)] */
static bool parse_quote(struct dr_lexer *lex, struct dr_packet *packet)
{
    int64_t n = 0;
    if (!wr_dr_lex_is(lex, '['))
        return true;
    if (!wr_dr_lex_next(lex))
        return false;
    bool udp = wr_dr_lex_is_word(lex, "udp"), raw = wr_dr_lex_is_word(lex, "raw");
    if (!udp && !raw) {
        packet->quote = DR_QUOTE_TCP;
        return parse_range(lex, &packet->quote_seq, &packet->quote_len) &&
               wr_dr_parse_char(lex, ']');
    }
    packet->quote = udp ? DR_QUOTE_UDP : DR_QUOTE_RAW;
    if (!wr_dr_lex_next(lex) || !wr_dr_parse_char(lex, '(') ||
        !wr_dr_parse_int(lex, "size", 0, 65535, &n) || !wr_dr_parse_char(lex, ')'))
        return false;
    packet->quote_len = (uint32_t)n;
    return wr_dr_parse_char(lex, ']');
}

static bool parse_icmp(struct dr_lexer *lex, struct dr_packet *packet)
{
    int64_t n = 0;
    bool v6 = lex->script->options.ip_version == DR_IP_V6;
    packet->proto = DR_ICMP;
    if (lex->tok.kind != DR_TOK_WORD || !wr_dr_icmp_type(v6, lex->tok.text, &packet->icmp_type))
        return wr_dr_lex_fail(lex, "unknown ICMP type");
    if (!wr_dr_lex_next(lex))
        return false;
    if (lex->tok.kind == DR_TOK_WORD && !wr_dr_lex_is_word(lex, "mtu") &&
        !wr_dr_lex_is_word(lex, "id")) {
        if (!wr_dr_icmp_code(v6, packet->icmp_type, lex->tok.text, &packet->icmp_code))
            return wr_dr_lex_fail(lex, "unknown ICMP code");
        if (!wr_dr_lex_next(lex))
            return false;
    }
    if (take_word(lex, "mtu")) {
        if (!wr_dr_parse_int(lex, "mtu", 0, UINT32_MAX, &n))
            return false;
        packet->mtu = (uint32_t)n;
        packet->has_mtu = true;
    }
    if (take_word(lex, "id")) {
        if (!wr_dr_parse_int(lex, "id", 0, 65535, &n))
            return false;
        packet->icmp_id = (uint16_t)n;
        packet->has_icmp_id = true;
    }
    return parse_quote(lex, packet);
}

static bool parse_raw(struct dr_lexer *lex, struct dr_packet *packet)
{
    packet->proto = DR_RAW;
    if (!packet->inbound)
        return wr_dr_lex_fail(lex, "raw packets are inbound");
    return wr_dr_parse_blob(lex, &packet->raw, &packet->raw_len);
}

bool wr_dr_parse_packet(struct dr_lexer *lex, struct dr_packet **out)
{
    struct dr_packet *packet = wr_dr_alloc(&lex->script->arena, sizeof *packet);
    *out = packet;
    packet->inbound = wr_dr_lex_is(lex, '<');
    if (!wr_dr_lex_next(lex) || !parse_ip_info(lex, packet))
        return false;
    if (lex->tok.kind == DR_TOK_ELLIPSIS && !packet->inbound) {
        packet->proto = DR_ANYTHING;
        return wr_dr_lex_next(lex);
    }
    if (take_word(lex, "udp"))
        return parse_udp(lex, packet);
    if (take_word(lex, "icmp"))
        return parse_icmp(lex, packet);
    if (take_word(lex, "raw"))
        return parse_raw(lex, packet);
    if (lex->tok.kind == DR_TOK_WORD &&
        (strcmp(lex->tok.text, "ipv4") == 0 || strcmp(lex->tok.text, "ipv6") == 0 ||
         strcmp(lex->tok.text, "gre") == 0 || strcmp(lex->tok.text, "mpls") == 0 ||
         strcmp(lex->tok.text, "encap") == 0))
        return wr_dr_lex_fail(lex, "encapsulation is not supported");
    return parse_ports(lex, packet) && parse_tcp(lex, packet);
}
