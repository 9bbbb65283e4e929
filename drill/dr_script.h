/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_SCRIPT_H
#define DRILL_DR_SCRIPT_H

/* A script as parsed: options, then events in the order of the file. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

#include "drill/dr_arena.h"
#include "drill/drill.h"

/* ---- expressions of socket calls ------------------------------------------------------------- */

enum dr_expr_kind {
    DR_EXPR_ELLIPSIS, /* ... : the runner's choice, or not looked at */
    DR_EXPR_INT,
    DR_EXPR_WORD,   /* a symbol: SOL_SOCKET */
    DR_EXPR_STRING, /* text, len */
    DR_EXPR_OR,     /* item[0] | item[1] */
    DR_EXPR_LIST,   /* [a, b] */
    DR_EXPR_STRUCT, /* {a, b} or {name = a, name(n) = b}; each item's name may be NULL */
    DR_EXPR_FUNC    /* text(item, ...) */
};

struct dr_expr {
    enum dr_expr_kind kind;
    int64_t num;
    const char *text;
    size_t len;             /* of text */
    const char *name;       /* inside a struct: the field it is for */
    struct dr_expr **items; /* n_items of them */
    size_t n_items;
};

/* The field of a struct by name, NULL if it is not there. */
const struct dr_expr *wr_dr_expr_field(const struct dr_expr *expr, const char *name);

/* ---- events ---------------------------------------------------------------------------------- */

enum dr_time_kind {
    DR_TIME_ABSOLUTE,
    DR_TIME_RELATIVE, /* to the event before */
    DR_TIME_ANY,      /* whenever it comes */
    DR_TIME_ABSOLUTE_RANGE,
    DR_TIME_RELATIVE_RANGE
};

struct dr_when {
    enum dr_time_kind kind;
    int64_t at_ns, end_ns; /* end only in a range */
};

enum dr_proto { DR_TCP, DR_UDP, DR_ICMP, DR_RAW, DR_ANYTHING };

enum dr_opt_kind {
    DR_OPT_NOP,
    DR_OPT_EOL,
    DR_OPT_MSS,
    DR_OPT_WSCALE,
    DR_OPT_SACKOK,
    DR_OPT_SACK,
    DR_OPT_TS,
    DR_OPT_BYTES /* fast open, md5 and whatever a script spells out */
};

enum { DR_OPTS_MAX = 40, DR_SACKS_MAX = 5, DR_BLOB_MAX = 40 };

struct dr_opt {
    enum dr_opt_kind kind;
    uint32_t a, b; /* value; timestamps: val, ecr */
    struct {
        uint32_t start, end;
    } sack[DR_SACKS_MAX];
    unsigned n; /* SACK blocks, or bytes of blob */
    uint8_t blob[DR_BLOB_MAX];
};

enum dr_quote { DR_QUOTE_NONE, DR_QUOTE_TCP, DR_QUOTE_UDP, DR_QUOTE_RAW };

/* What stands in brackets before the flags. */
struct dr_ip_info {
    bool has_ecn, ect01, has_tos;
    uint8_t ecn, tos;
    uint8_t ttl; /* 0: 64 inbound, not looked at outbound */
    bool has_from, has_to;
    struct weir_addr from, to; /* instead of the remote or local address */
    bool bad_checksum;         /* inbound: the transport checksum is wrong */
    bool more;                 /* inbound: the next one comes in before the stack may send */
    bool fresh;                /* inbound SYN: a new connection on the same ports */
    bool has_fill;             /* payload is this byte, not the stream's pattern */
    uint8_t fill;
    int offset_words; /* inbound: TCP's data offset as said; -1: as it is */
    unsigned cut;     /* inbound: that many bytes are missing at the end of the packet */
    const uint8_t *ip_options;
    size_t ip_options_len; /* a multiple of 4 */
};

struct dr_packet {
    bool inbound;
    enum dr_proto proto;
    struct dr_ip_info ip;
    bool has_ports;
    uint16_t src_port, dst_port;

    uint16_t flags; /* W_TCP_* */
    uint32_t seq, len;
    uint32_t ack;
    int win; /* -1: not given */
    uint16_t urg;
    bool any_options;
    struct dr_opt opts[DR_OPTS_MAX];
    unsigned n_opts;

    uint8_t icmp_type, icmp_code;
    bool has_mtu, has_icmp_id;
    uint32_t mtu;
    uint16_t icmp_id;
    enum dr_quote quote;
    uint32_t quote_seq, quote_len;

    const uint8_t *raw;
    size_t raw_len;
};

struct dr_syscall {
    const char *name;
    struct dr_expr **args;
    size_t n_args;
    bool blocking;  /* "...T": it returns at end_ns and not before */
    int64_t end_ns; /* on the clock of the event's own time */
    struct dr_expr *result;
    const char *error; /* NULL, or a name of errno */
};

enum dr_event_kind { DR_EVENT_PACKET, DR_EVENT_CALL, DR_EVENT_COMMAND, DR_EVENT_CODE };

struct dr_event {
    struct dr_event *next;
    unsigned line;
    struct dr_when when;
    enum dr_event_kind kind;
    struct dr_packet *packet;
    struct dr_syscall *call;
    const char *text; /* command or code */
};

struct dr_script {
    struct dr_arena arena;
    const char *name;
    struct dr_options options;
    bool strict_segments; /* an expected segment is one segment, never the sum of several */
    int64_t ts_tick_ns;   /* 0: outbound timestamp values are taken as they come */
    struct weir_addr local, remote, gateway;
    unsigned prefix_len; /* bits of the local address's family */
    uint16_t bind_port, connect_port;
    uint32_t gso_bytes; /* of the link; 0: it cuts nothing */
    uint8_t seed;       /* of the stack */
    struct dr_event *events;
    unsigned line;   /* where parsing stopped */
    char error[256]; /* "" : parsed */
};

/* Parses; false when script->error says why not. The caller frees it either way. */
bool wr_dr_script_parse(struct dr_script *script, const char *name, const char *text, size_t len,
                        const struct dr_options *options);
void wr_dr_script_free(struct dr_script *script);

#endif
