/* SPDX-License-Identifier: MIT */
/*
 * Faults that are told one by one, in the notation of links (weir/link.h):
 *
 *     rules  = [rule *( ";" rule )]
 *     rule   = action class range [time]
 *     action = "drop" | "dup" | "delay" | "corrupt"
 *     class  = "data" | "syn" | "synack" | "ack" | "fin" | "rst" | "frame"
 *     range  = number | number "-" number | number "-"
 *
 * Each rule counts the packets of its class from 1, and acts on those in its range. Of several rules that
 * hold for a packet the first that drops, delays or corrupts it counts; copies are made by all. The time is
 * that of a delay, or that of the second copy: an old duplicate is "dup syn 1 30s".
 */
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "lab/lab.h"
#include "lab/lab_node.h"
#include "lab/lab_tape.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_tcp.h"

struct rules {
    struct lab_node node; /* first */
    struct lab_rules_config config;
    uint64_t seen[LAB_RULES_MAX];
    struct wr_timerq held;
};

/* ---- the notation ------------------------------------------------------------------------------ */

/* The next word; its length, 0 at the end of the rule. */
static size_t next_word(const char **text)
{
    *text += strspn(*text, " \t\n");
    return strcspn(*text, " \t\n;");
}

static int read_name(const char **text, const char *const *names)
{
    size_t len = next_word(text);
    for (int i = 0; names[i] != NULL; i++) {
        if (strlen(names[i]) == len && strncmp(names[i], *text, len) == 0) {
            *text += len;
            return i;
        }
    }
    return -1;
}

static bool read_range(const char **text, struct lab_rule *rule)
{
    char *end;
    size_t len = next_word(text);
    if (len == 0 || **text < '0' || **text > '9')
        return false;
    rule->first = rule->last = strtoull(*text, &end, 10);
    if (*end == '-') {
        bool closed = end[1] >= '0' && end[1] <= '9';
        rule->last = closed ? strtoull(end + 1, &end, 10) : UINT64_MAX;
        end += !closed;
    }
    bool good = end == *text + len && rule->first > 0 && rule->first <= rule->last;
    *text += len;
    return good;
}

static bool read_rule(const char **text, struct lab_rule *rule)
{
    static const char *const actions[] = {"drop", "dup", "delay", "corrupt", NULL};
    static const char *const classes[] = {"data", "syn", "synack", "ack",
                                          "fin",  "rst", "frame",  NULL};
    int action = read_name(text, actions), of = read_name(text, classes);
    char time[32];
    if (action < 0 || of < 0 || !read_range(text, rule))
        return false;
    rule->action = (enum lab_rule_action)action;
    rule->of = (enum lab_rule_class)of;
    size_t len = next_word(text);
    bool may = rule->action == LAB_RULE_DELAY || rule->action == LAB_RULE_DUP;
    if (len == 0)
        return rule->action != LAB_RULE_DELAY;
    if (!may || len >= sizeof time)
        return false;
    memcpy(time, *text, len);
    time[len] = '\0';
    *text += len;
    return wr_lab_read_time(time, &rule->delay) && next_word(text) == 0;
}

bool wr_lab_read_rules(const char *text, struct lab_rules_config *rules)
{
    rules->n_rules = 0;
    for (;;) {
        if (next_word(&text) == 0 && *text == '\0')
            return true;
        if (rules->n_rules == LAB_RULES_MAX)
            return false;
        struct lab_rule *rule = &rules->rule[rules->n_rules];
        memset(rule, 0, sizeof *rule);
        if (!read_rule(&text, rule))
            return false;
        rules->n_rules++;
        text += *text == ';';
    }
}

/* ---- what is done ------------------------------------------------------------------------------- */

static unsigned flags_of(const struct lab_packet *packet, bool *is_tcp)
{
    struct w_ip4 ip4;
    struct w_ip6 ip6;
    struct w_tcp tcp;
    size_t at = 0;
    *is_tcp = false;
    if (packet->data[0] >> 4 == 4 && wr_w_ip4_parse(packet->data, packet->len, &ip4) == W_OK &&
        ip4.proto == W_IPPROTO_TCP && !wr_w_ip4_is_fragment(&ip4))
        at = ip4.hdr_len;
    else if (packet->data[0] >> 4 == 6 && wr_w_ip6_parse(packet->data, packet->len, &ip6) == W_OK &&
             ip6.next == W_IPPROTO_TCP)
        at = W_IP6_HLEN;
    if (at == 0 || wr_w_tcp_parse(packet->data + at, packet->len - at, &tcp) != W_OK)
        return 0;
    *is_tcp = true;
    return tcp.flags;
}

static bool is_of(enum lab_rule_class of, const struct lab_packet *packet, unsigned flags, bool tcp)
{
    unsigned opening = flags & (W_TCP_SYN | W_TCP_ACK);
    switch (of) {
    case LAB_CLASS_DATA:
        return packet->has_data;
    case LAB_CLASS_SYN:
        return opening == W_TCP_SYN;
    case LAB_CLASS_SYNACK:
        return opening == (W_TCP_SYN | W_TCP_ACK);
    case LAB_CLASS_ACK:
        return tcp && packet->pure_ack;
    case LAB_CLASS_FIN:
        return (flags & W_TCP_FIN) != 0;
    case LAB_CLASS_RST:
        return (flags & W_TCP_RST) != 0;
    case LAB_CLASS_FRAME:
        break;
    }
    return true;
}

static void send_copy(struct rules *rules, const struct lab_packet *packet, weir_time delay,
                      weir_time now)
{
    struct lab_net *net = rules->node.net;
    struct lab_packet *copy = wr_lab_packet_new(net, packet->len);
    if (copy == NULL)
        return;
    memcpy(copy->data, packet->data, packet->len);
    wr_lab_packet_read(copy, net->n_flows);
    if (net->tape != NULL)
        wr_lab_tape_sent(net->tape, copy, true, now);
    wr_timerq_arm(&rules->held, &copy->timer, now + delay);
}

static void rules_forward(struct lab_node *node, struct lab_packet *packet, weir_time now)
{
    struct rules *rules = (struct rules *)node;
    const struct lab_rule *hit = NULL;
    bool tcp;
    unsigned flags = flags_of(packet, &tcp);
    for (unsigned i = 0; i < rules->config.n_rules; i++) {
        const struct lab_rule *rule = &rules->config.rule[i];
        if (!is_of(rule->of, packet, flags, tcp) || ++rules->seen[i] < rule->first ||
            rules->seen[i] > rule->last)
            continue;
        if (rule->action == LAB_RULE_DUP)
            send_copy(rules, packet, rule->delay, now);
        else if (hit == NULL)
            hit = rule;
    }
    if (hit == NULL) {
        wr_lab_pass(node->net, node->next, packet);
    } else if (hit->action == LAB_RULE_DROP) {
        wr_lab_drop(node->net, packet, LAB_RULE);
    } else if (hit->action == LAB_RULE_DELAY) {
        wr_timerq_arm(&rules->held, &packet->timer, now + hit->delay);
    } else {
        packet->data[packet->len - 1] ^= 0x10;
        wr_lab_pass(node->net, node->next, packet);
    }
}

static weir_time rules_next_run_at(const struct lab_node *node)
{
    return wr_timerq_next(&((const struct rules *)node)->held);
}

static void rules_run(struct lab_node *node, weir_time now)
{
    struct wr_timer *timer;
    while ((timer = wr_timerq_pop(&((struct rules *)node)->held, now)) != NULL)
        wr_lab_pass(node->net, node->next, WR_CONTAINER(timer, struct lab_packet, timer));
}

static void rules_close(struct lab_node *node)
{
    struct wr_timer *timer;
    while ((timer = wr_timerq_pop(&((struct rules *)node)->held, WEIR_TIME_NEVER - 1)) != NULL)
        wr_lab_packet_free(node->net, WR_CONTAINER(timer, struct lab_packet, timer));
}

static const struct lab_node_ops rules_ops = {rules_forward, rules_next_run_at, rules_run,
                                              rules_close};

struct lab_node *wr_lab_rules_new(struct lab_net *net, const char *name,
                                  const struct lab_rules_config *config)
{
    struct rules *rules = wr_lab_node_new(net, sizeof *rules, &rules_ops, name);
    if (rules == NULL)
        return NULL;
    rules->config = *config;
    wr_timerq_init(&rules->held);
    return &rules->node;
}
