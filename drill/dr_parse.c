/* SPDX-License-Identifier: MIT */
/*
 * Options, times and events. An option that packetdrill knows and that has no meaning here (speed of
 * the link, helpers' names) is accepted; an unknown one is an error, as is everything else that
 * would not be carried out as written.
 */
#include "drill/dr_parse.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

bool wr_dr_parse_char(struct dr_lexer *lex, char c)
{
    if (!wr_dr_lex_is(lex, c))
        return wr_dr_lex_fail(lex, "expected '%c'", c);
    return wr_dr_lex_next(lex);
}

bool wr_dr_parse_int(struct dr_lexer *lex, const char *what, int64_t low, int64_t high,
                     int64_t *value)
{
    if (lex->tok.kind != DR_TOK_INT && lex->tok.kind != DR_TOK_HEX)
        return wr_dr_lex_fail(lex, "expected a number: %s", what);
    if (lex->tok.num < low || lex->tok.num > high)
        return wr_dr_lex_fail(lex, "%s out of range", what);
    *value = lex->tok.num;
    return wr_dr_lex_next(lex);
}

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

bool wr_dr_parse_blob(struct dr_lexer *lex, const uint8_t **bytes, size_t *len)
{
    if (lex->tok.kind != DR_TOK_HEX || lex->tok.len % 2 != 0)
        return wr_dr_lex_fail(lex, "expected bytes: 0x and an even number of digits");
    *len = lex->tok.len / 2;
    uint8_t *p = wr_dr_alloc(&lex->script->arena, *len);
    for (size_t i = 0; i < *len; i++)
        p[i] =
            (uint8_t)(hex_digit(lex->tok.text[2 * i]) << 4 | hex_digit(lex->tok.text[2 * i + 1]));
    *bytes = p;
    return wr_dr_lex_next(lex);
}

/* ---- options --------------------------------------------------------------------------------- */

static bool option_number(struct dr_lexer *lex, const char *name, const char *value, int64_t low,
                          int64_t high, int64_t *number)
{
    char *end;
    long long n = strtoll(value, &end, 0);
    if (*value == '\0' || *end != '\0' || n < low || n > high)
        return wr_dr_lex_fail(lex, "--%s: bad value \"%s\"", name, value);
    *number = n;
    return true;
}

static bool option_address(struct dr_lexer *lex, const char *name, const char *value,
                           struct weir_addr *addr)
{
    char text[64];
    size_t len = strcspn(value, "/");
    if (len >= sizeof text)
        return wr_dr_lex_fail(lex, "--%s: bad address", name);
    memcpy(text, value, len);
    text[len] = '\0';
    if (!weir_addr_parse(text, addr))
        return wr_dr_lex_fail(lex, "--%s: bad address \"%s\"", name, value);
    if (value[len] == '/' && strcmp(name, "local_ip") == 0)
        lex->script->prefix_len = (unsigned)strtoul(value + len + 1, NULL, 10);
    return true;
}

static bool option_define(struct dr_lexer *lex, const char *value)
{
    const char *equals = strchr(value, '=');
    if (!equals)
        return wr_dr_lex_fail(lex, "--define: expected NAME=VALUE");
    struct dr_define *define = wr_dr_alloc(&lex->script->arena, sizeof *define);
    define->name = wr_dr_strndup(&lex->script->arena, value, (size_t)(equals - value));
    define->value = equals + 1;
    define->next = lex->defines;
    lex->defines = define;
    return true;
}

/* Those that have no effect on virtual time and an in-process link. */
static bool option_without_meaning(const char *name)
{
    static const char *const names[] = {
        "speed",      "init_scripts",      "code_command", "code_format",      "code_sockopt",
        "netmask_ip", "non_fatal",         "debug",        "verbose",          "send_omit_free",
        "mss",        "tcp_ts_ecr_scaled", "is_anyip",     "tolerance_percent"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool option_numeric(struct dr_lexer *lex, const char *name, const char *value, bool *known)
{
    struct dr_script *script = lex->script;
    int64_t n = 0;
    *known = true;
    if (strcmp(name, "tolerance_usecs") == 0) {
        if (option_number(lex, name, value, 0, INT_MAX, &n))
            script->options.tolerance_ns = n * 1000;
    } else if (strcmp(name, "mtu") == 0) {
        if (option_number(lex, name, value, 68, 65535, &n))
            script->options.mtu = (uint32_t)n;
    } else if (strcmp(name, "bind_port") == 0) {
        if (option_number(lex, name, value, 1, 65535, &n))
            script->bind_port = (uint16_t)n;
    } else if (strcmp(name, "connect_port") == 0) {
        if (option_number(lex, name, value, 1, 65535, &n))
            script->connect_port = (uint16_t)n;
    } else if (strcmp(name, "tcp_ts_tick_usecs") == 0) {
        if (option_number(lex, name, value, 0, INT_MAX, &n))
            script->ts_tick_ns = n * 1000;
    } else if (strcmp(name, "gso") == 0) {
        if (option_number(lex, name, value, 0, 65535, &n))
            script->gso_bytes = (uint32_t)n;
    } else if (strcmp(name, "seed") == 0) {
        if (option_number(lex, name, value, 0, 255, &n))
            script->seed = (uint8_t)n;
    } else {
        *known = false;
    }
    return script->error[0] == '\0';
}

static bool parse_option(struct dr_lexer *lex)
{
    struct dr_script *script = lex->script;
    const char *text = lex->tok.text, *equals = strchr(text, '=');
    const char *value = equals ? equals + 1 : "";
    const char *name =
        wr_dr_strndup(&script->arena, text, equals ? (size_t)(equals - text) : strlen(text));
    bool known;
    if (!option_numeric(lex, name, value, &known))
        return false;
    if (known)
        return true;
    if (strcmp(name, "ip_version") == 0)
        return wr_dr_options_ip_version(&script->options, value) ||
               wr_dr_lex_fail(lex, "--ip_version: \"%s\" is none", value);
    if (strcmp(name, "local_ip") == 0)
        return option_address(lex, name, value, &script->local);
    if (strcmp(name, "remote_ip") == 0)
        return option_address(lex, name, value, &script->remote);
    if (strcmp(name, "gateway_ip") == 0)
        return option_address(lex, name, value, &script->gateway);
    if (strcmp(name, "define") == 0)
        return option_define(lex, value);
    if (strcmp(name, "strict_segments") == 0) {
        script->strict_segments = true;
        return true;
    }
    return option_without_meaning(name) || wr_dr_lex_fail(lex, "unknown option --%s", name);
}

/* ---- times ----------------------------------------------------------------------------------- */

static bool parse_seconds(struct dr_lexer *lex, int64_t *ns)
{
    if (lex->tok.kind != DR_TOK_INT && lex->tok.kind != DR_TOK_FLOAT)
        return wr_dr_lex_fail(lex, "expected a time");
    if (lex->tok.num < 0 || lex->tok.nano < 0 || (lex->tok.num > 0 && lex->tok.nano == 0))
        return wr_dr_lex_fail(lex, "time out of range");
    *ns = lex->tok.nano;
    return wr_dr_lex_next(lex);
}

static bool parse_when(struct dr_lexer *lex, struct dr_when *when)
{
    if (wr_dr_lex_is(lex, '*')) {
        when->kind = DR_TIME_ANY;
        return wr_dr_lex_next(lex);
    }
    bool relative = wr_dr_lex_is(lex, '+');
    if (relative && !wr_dr_lex_next(lex))
        return false;
    when->kind = relative ? DR_TIME_RELATIVE : DR_TIME_ABSOLUTE;
    if (!parse_seconds(lex, &when->at_ns))
        return false;
    if (!wr_dr_lex_is(lex, '~'))
        return true;
    if (!wr_dr_lex_next(lex) || (relative && !wr_dr_parse_char(lex, '+')))
        return false;
    when->kind = relative ? DR_TIME_RELATIVE_RANGE : DR_TIME_ABSOLUTE_RANGE;
    if (!parse_seconds(lex, &when->end_ns))
        return false;
    return when->end_ns >= when->at_ns || wr_dr_lex_fail(lex, "time range is backwards");
}

/* ---- events ---------------------------------------------------------------------------------- */

/* (anything, as in "Resource temporarily unavailable") */
static bool skip_note(struct dr_lexer *lex)
{
    if (!wr_dr_lex_is(lex, '('))
        return true;
    while (!wr_dr_lex_is(lex, ')')) {
        if (lex->tok.kind == DR_TOK_END)
            return wr_dr_lex_fail(lex, "note does not end");
        if (!wr_dr_lex_next(lex))
            return false;
    }
    return wr_dr_lex_next(lex);
}

static bool parse_arguments(struct dr_lexer *lex, struct dr_syscall *call)
{
    enum { ARGS_MAX = 8 };
    call->args = wr_dr_alloc(&lex->script->arena, ARGS_MAX * sizeof *call->args);
    if (!wr_dr_parse_char(lex, '('))
        return false;
    while (!wr_dr_lex_is(lex, ')')) {
        if (call->n_args == ARGS_MAX)
            return wr_dr_lex_fail(lex, "too many arguments");
        if (call->n_args > 0 && !wr_dr_parse_char(lex, ','))
            return false;
        if (!wr_dr_parse_expr(lex, true, &call->args[call->n_args++]))
            return false;
    }
    return wr_dr_lex_next(lex);
}

static bool parse_call(struct dr_lexer *lex, struct dr_event *event)
{
    struct dr_syscall *call = wr_dr_alloc(&lex->script->arena, sizeof *call);
    event->kind = DR_EVENT_CALL;
    event->call = call;
    if (lex->tok.kind == DR_TOK_ELLIPSIS) {
        call->blocking = true;
        if (!wr_dr_lex_next(lex) || !parse_seconds(lex, &call->end_ns))
            return false;
    }
    if (lex->tok.kind != DR_TOK_WORD)
        return wr_dr_lex_fail(lex, "expected a packet, a call, a command or code");
    call->name = lex->tok.text;
    if (!wr_dr_lex_next(lex) || !parse_arguments(lex, call) || !wr_dr_parse_char(lex, '=') ||
        !wr_dr_parse_expr(lex, false, &call->result))
        return false;
    if (lex->tok.kind == DR_TOK_WORD) {
        call->error = lex->tok.text;
        if (!wr_dr_lex_next(lex))
            return false;
    }
    return skip_note(lex);
}

static bool parse_action(struct dr_lexer *lex, struct dr_event *event)
{
    if (wr_dr_lex_is(lex, '<') || wr_dr_lex_is(lex, '>')) {
        event->kind = DR_EVENT_PACKET;
        return wr_dr_parse_packet(lex, &event->packet);
    }
    if (lex->tok.kind == DR_TOK_COMMAND || lex->tok.kind == DR_TOK_CODE) {
        event->kind = lex->tok.kind == DR_TOK_COMMAND ? DR_EVENT_COMMAND : DR_EVENT_CODE;
        event->text = lex->tok.text;
        return wr_dr_lex_next(lex);
    }
    return parse_call(lex, event);
}

static bool parse_event(struct dr_lexer *lex, struct dr_event *event)
{
    event->line = lex->tok.line;
    if (!parse_when(lex, &event->when) || !parse_action(lex, event))
        return false;
    bool outbound = event->kind == DR_EVENT_PACKET && !event->packet->inbound;
    bool exact = event->when.kind == DR_TIME_ABSOLUTE || event->when.kind == DR_TIME_RELATIVE;
    if (outbound && event->packet->proto == DR_ANYTHING && !exact) {
        lex->tok.line = event->line;
        return wr_dr_lex_fail(lex, "> ... is at one time");
    }
    if (!outbound && !exact) {
        lex->tok.line = event->line;
        return wr_dr_lex_fail(lex, "ranges and * are for packets that the stack sends");
    }
    return true;
}

/* Commands without a time, before the first event and after the last, as packetdrill has them. */
static bool parse_untimed_command(struct dr_lexer *lex, struct dr_event *event)
{
    event->line = lex->tok.line;
    event->when.kind = DR_TIME_RELATIVE;
    event->kind = DR_EVENT_COMMAND;
    event->text = lex->tok.text;
    return wr_dr_lex_next(lex);
}

static bool parse_events(struct dr_lexer *lex)
{
    struct dr_event **tail = &lex->script->events;
    while (lex->tok.kind != DR_TOK_END) {
        struct dr_event *event = wr_dr_alloc(&lex->script->arena, sizeof *event);
        bool ok = lex->tok.kind == DR_TOK_COMMAND ? parse_untimed_command(lex, event)
                                                  : parse_event(lex, event);
        if (!ok)
            return false;
        *tail = event;
        tail = &event->next;
    }
    return lex->script->events || wr_dr_lex_fail(lex, "the script has no events");
}

static void set_defaults(struct dr_script *script)
{
    bool v6 = script->options.ip_version == DR_IP_V6;
    if (weir_addr_is_any(&script->local))
        weir_addr_parse(v6 ? "fd3d:a0b:17d6::1" : "192.168.0.1", &script->local);
    if (weir_addr_is_any(&script->remote))
        weir_addr_parse(v6 ? "fd3d:fa7b:d17d::1" : "192.0.2.1", &script->remote);
    if (weir_addr_is_any(&script->gateway))
        weir_addr_parse(v6 ? "fd3d:a0b:17d6::2" : "192.168.0.2", &script->gateway);
    if (script->prefix_len == 0)
        script->prefix_len = v6 ? 48 : 16;
    if (script->options.mtu == 0)
        script->options.mtu = v6 ? 1520 : 1500;
}

bool wr_dr_script_parse(struct dr_script *script, const char *name, const char *text, size_t len,
                        const struct dr_options *options)
{
    memset(script, 0, sizeof *script);
    script->name = name;
    script->options = *options;
    if (script->options.ip_version == DR_IP_UNSET)
        script->options.ip_version = DR_IP_V4;
    script->bind_port = 8080;
    script->connect_port = 8080;
    struct dr_lexer lex;
    wr_dr_lex_init(&lex, script, text, len);
    if (!wr_dr_lex_next(&lex))
        return false;
    while (lex.tok.kind == DR_TOK_OPTION)
        if (!parse_option(&lex) || !wr_dr_lex_next(&lex))
            return false;
    set_defaults(script);
    return parse_events(&lex);
}

void wr_dr_script_free(struct dr_script *script)
{
    wr_dr_arena_free(&script->arena);
}
