/* SPDX-License-Identifier: MIT */
#include "drill/dr_icmp.h"

#include <stddef.h>
#include <string.h>

#include "wire/w_icmp6.h"

struct name {
    const char *text;
    uint8_t type, code;
};

static const struct name types4[] = {
    {"echo_reply", W_ICMP4_ECHO_REPLY, 0},
    {"unreachable", W_ICMP4_UNREACH, 0},
    {"source_quench", W_ICMP4_QUENCH, 0},
    {"redirect", W_ICMP4_REDIRECT, 0},
    {"echo_request", W_ICMP4_ECHO, 0},
    {"time_exceeded", W_ICMP4_TIME_EXCEEDED, 0},
    {"parameter_problem", W_ICMP4_PARAM_PROBLEM, 0},
    {"timestamp_request", W_ICMP4_TIMESTAMP, 0},
    {"timestamp_reply", W_ICMP4_TIMESTAMP_REPLY, 0},
};

static const struct name types6[] = {
    {"unreachable", W_ICMP6_UNREACH, 0},         {"packet_too_big", W_ICMP6_TOO_BIG, 0},
    {"time_exceeded", W_ICMP6_TIME_EXCEEDED, 0}, {"parameter_problem", W_ICMP6_PARAM_PROBLEM, 0},
    {"echo_request", W_ICMP6_ECHO, 0},           {"echo_reply", W_ICMP6_ECHO_REPLY, 0},
};

static const struct name codes4[] = {
    {"net_unreachable", W_ICMP4_UNREACH, W_ICMP4_UNREACH_NET},
    {"host_unreachable", W_ICMP4_UNREACH, W_ICMP4_UNREACH_HOST},
    {"protocol_unreachable", W_ICMP4_UNREACH, W_ICMP4_UNREACH_PROTO},
    {"port_unreachable", W_ICMP4_UNREACH, W_ICMP4_UNREACH_PORT},
    {"frag_needed", W_ICMP4_UNREACH, W_ICMP4_UNREACH_FRAG},
    {"source_route_failed", W_ICMP4_UNREACH, W_ICMP4_UNREACH_SRCRT},
    {"net_unknown", W_ICMP4_UNREACH, 6},
    {"host_unknown", W_ICMP4_UNREACH, 7},
    {"source_host_isolated", W_ICMP4_UNREACH, 8},
    {"net_prohibited", W_ICMP4_UNREACH, W_ICMP4_UNREACH_NET_PROHIB},
    {"host_prohibited", W_ICMP4_UNREACH, W_ICMP4_UNREACH_HOST_PROHIB},
    {"net_unreachable_for_tos", W_ICMP4_UNREACH, 11},
    {"host_unreachable_for_tos", W_ICMP4_UNREACH, 12},
    {"packet_filtered", W_ICMP4_UNREACH, W_ICMP4_UNREACH_PROHIB},
    {"precedence_violation", W_ICMP4_UNREACH, 14},
    {"precedence_cutoff", W_ICMP4_UNREACH, 15},
    {"exceeded_ttl", W_ICMP4_TIME_EXCEEDED, W_ICMP4_EXC_TTL},
    {"exceeded_frag_time", W_ICMP4_TIME_EXCEEDED, W_ICMP4_EXC_REASSEMBLY},
};

static const struct name codes6[] = {
    {"net_unreachable", W_ICMP6_UNREACH, W_ICMP6_UNREACH_ROUTE},
    {"no_route", W_ICMP6_UNREACH, W_ICMP6_UNREACH_ROUTE},
    {"admin_prohibited", W_ICMP6_UNREACH, W_ICMP6_UNREACH_PROHIB},
    {"not_neighbour", W_ICMP6_UNREACH, W_ICMP6_UNREACH_SCOPE},
    {"address_unreachable", W_ICMP6_UNREACH, W_ICMP6_UNREACH_ADDR},
    {"port_unreachable", W_ICMP6_UNREACH, W_ICMP6_UNREACH_PORT},
    /* IPv4's names, so that one script serves both families. */
    {"host_unreachable", W_ICMP6_UNREACH, W_ICMP6_UNREACH_ADDR},
    {"source_route_failed", W_ICMP6_UNREACH, W_ICMP6_UNREACH_ROUTE},
    {"packet_filtered", W_ICMP6_UNREACH, W_ICMP6_UNREACH_PROHIB},
    {"exceeded_hop_limit", W_ICMP6_TIME_EXCEEDED, W_ICMP6_EXC_HOPS},
    {"exceeded_ttl", W_ICMP6_TIME_EXCEEDED, W_ICMP6_EXC_HOPS},
    {"exceeded_frag_time", W_ICMP6_TIME_EXCEEDED, W_ICMP6_EXC_REASSEMBLY},
    {"header_field", W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_FIELD},
    {"unknown_next_header", W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_NEXT},
    {"unknown_option", W_ICMP6_PARAM_PROBLEM, W_ICMP6_PARAM_OPTION},
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

bool wr_dr_icmp_type(bool v6, const char *name, uint8_t *type)
{
    const struct name *table = v6 ? types6 : types4;
    size_t n = v6 ? COUNT(types6) : COUNT(types4);
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].text, name) == 0) {
            *type = table[i].type;
            return true;
        }
    return false;
}

bool wr_dr_icmp_code(bool v6, uint8_t type, const char *name, uint8_t *code)
{
    const struct name *table = v6 ? codes6 : codes4;
    size_t n = v6 ? COUNT(codes6) : COUNT(codes4);
    for (size_t i = 0; i < n; i++)
        if (table[i].type == type && strcmp(table[i].text, name) == 0) {
            *code = table[i].code;
            return true;
        }
    return false;
}
