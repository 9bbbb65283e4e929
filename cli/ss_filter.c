/* SPDX-License-Identifier: MIT */
/* Words to tokens, tokens to a tree by recursive descent (one function a level), and the tree's value. */
#include "cli/ss_filter.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <weir/info.h>

enum { TOKENS_MAX = 256, TOKEN_LEN = 64, DEPTH_MAX = 32 };

enum node_kind { NODE_OR, NODE_AND, NODE_NOT, NODE_PORT, NODE_ADDR };
enum node_op { OP_EQ, OP_NE, OP_LT, OP_GT, OP_LE, OP_GE };

struct ss_node {
    enum node_kind kind;
    struct ss_node *a, *b; /* OR, AND; NOT: a */
    bool of_peer;          /* dport, dst */
    enum node_op op;
    bool any_addr, any_port;
    struct weir_addr addr;
    unsigned prefix; /* bits of 128 */
    uint16_t port;
};

struct parser {
    char token[TOKENS_MAX][TOKEN_LEN];
    int n, at, depth;
    char *error;
    size_t cap;
};

__attribute__((format(printf, 2, 3))) static void *fail(struct parser *p, const char *format, ...)
{
    va_list args;
    if (p->error[0] == '\0') { /* the first is the cause */
        va_start(args, format);
        vsnprintf(p->error, p->cap, format, args);
        va_end(args);
    }
    return NULL;
}

/* ---- tokens ----------------------------------------------------------------------------------- */

static bool add_token(struct parser *p, const char *from, size_t len)
{
    if (p->n == TOKENS_MAX || len >= TOKEN_LEN)
        return fail(p, "the filter is too long") != NULL;
    memcpy(p->token[p->n], from, len);
    p->token[p->n++][len] = '\0';
    return true;
}

/* Parentheses and operators stand for themselves, whether blanks are around them or not. */
static bool split(struct parser *p, const char *text)
{
    static const char *const signs[] = {"==", "!=", "<=", ">=", "&&", "||", "(",
                                        ")",  "=",  "<",  ">",  "!",  "&",  "|"};
    while (*(text += strspn(text, " \t\n"))) {
        size_t len = 0;
        for (size_t i = 0; i < sizeof signs / sizeof *signs && len == 0; i++)
            if (strncmp(text, signs[i], strlen(signs[i])) == 0)
                len = strlen(signs[i]);
        if (len == 0)
            len = strcspn(text, " \t\n()=<>!&|");
        if (!add_token(p, text, len))
            return false;
        text += len;
    }
    return true;
}

static const char *peek(const struct parser *p)
{
    return p->at < p->n ? p->token[p->at] : "";
}

static bool take(struct parser *p, const char *const *any)
{
    for (; *any; any++)
        if (p->at < p->n && strcmp(p->token[p->at], *any) == 0) {
            p->at++;
            return true;
        }
    return false;
}

/* ---- terms ------------------------------------------------------------------------------------ */

static void node_free(struct ss_node *node)
{
    if (!node)
        return;
    node_free(node->a);
    node_free(node->b);
    free(node);
}

/* Takes its parts over, also when it fails. */
static struct ss_node *node_new(struct parser *p, enum node_kind kind, struct ss_node *a,
                                struct ss_node *b)
{
    struct ss_node *node = calloc(1, sizeof *node);
    if (!node) {
        node_free(a);
        node_free(b);
        return fail(p, "out of memory");
    }
    node->kind = kind;
    node->a = a;
    node->b = b;
    return node;
}

static enum node_op take_op(struct parser *p)
{
    static const char *const ops[][5] = {
        [OP_EQ] = {"=", "==", "eq"}, [OP_NE] = {"!=", "ne", "neq"}, [OP_LT] = {"<", "lt"},
        [OP_GT] = {">", "gt"},       [OP_LE] = {"<=", "le", "leq"}, [OP_GE] = {">=", "ge", "geq"},
    };
    for (int op = OP_EQ; op <= OP_GE; op++)
        if (take(p, ops[op]))
            return (enum node_op)op;
    return OP_EQ;
}

static bool parse_port(const char *text, uint16_t *port)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (end != text && *end == '\0' && n <= UINT16_MAX) {
        *port = (uint16_t)n;
        return true;
    }
    const struct servent *service = getservbyname(text, NULL);
    if (service)
        *port = ntohs((uint16_t)service->s_port);
    return service != NULL;
}

static struct ss_node *port_term(struct parser *p, bool of_peer)
{
    struct ss_node *node = node_new(p, NODE_PORT, NULL, NULL);
    if (!node)
        return NULL;
    node->of_peer = of_peer;
    node->op = take_op(p);
    const char *text = peek(p);
    if (!parse_port(text + (*text == ':'), &node->port)) {
        node_free(node);
        return fail(p, "\"%s\" is no port", text);
    }
    p->at++;
    return node;
}

/* "10.0.0.0/8:80", "[fd00::1]:80", "fd00::/16", "*:80", ":80", "10.0.0.1". */
static bool parse_end(struct ss_node *node, const char *text)
{
    char copy[TOKEN_LEN], *addr = copy, *port = NULL, *slash, *end;
    snprintf(copy, sizeof copy, "%s", text);
    if (*addr == '[') {
        char *close = strchr(++addr, ']');
        if (!close)
            return false;
        *close = '\0';
        if (close[1] == ':')
            port = close + 2;
        else if (close[1] == '/') /* [fd00::]/16 */
            memmove(close, close + 1, strlen(close + 1) + 1);
        else if (close[1] != '\0')
            return false;
    } else if ((port = strrchr(addr, ':'))) {
        bool bare_v6 = strchr(addr, ':') != port;
        port = bare_v6 ? NULL : port + 1;
        if (port)
            port[-1] = '\0';
    }
    node->any_port = !port || strcmp(port, "*") == 0;
    if (!node->any_port && !parse_port(port, &node->port))
        return false;
    node->any_addr = *addr == '\0' || strcmp(addr, "*") == 0;
    if (node->any_addr)
        return true;
    if ((slash = strchr(addr, '/')))
        *slash = '\0';
    if (!weir_addr_parse(addr, &node->addr))
        return false;
    unsigned most = weir_addr_is_v4(&node->addr) ? 32 : 128;
    unsigned long bits = slash ? strtoul(slash + 1, &end, 10) : most;
    if (bits > most || (slash && (end == slash + 1 || *end)))
        return false;
    node->prefix = 128 - most + (unsigned)bits;
    return true;
}

static struct ss_node *addr_term(struct parser *p, bool of_peer)
{
    struct ss_node *node = node_new(p, NODE_ADDR, NULL, NULL);
    if (!node)
        return NULL;
    node->of_peer = of_peer;
    node->op = take_op(p);
    if (node->op > OP_NE || !parse_end(node, peek(p)) || peek(p)[0] == '\0') {
        node_free(node);
        return fail(p, "\"%s\" is no address that %s can be compared with", peek(p),
                    of_peer ? "dst" : "src");
    }
    p->at++;
    return node;
}

/* ---- levels ----------------------------------------------------------------------------------- */

static struct ss_node *parse_or(struct parser *p);

static struct ss_node *parse_one(struct parser *p)
{
    static const char *const open[] = {"(", NULL}, *const close[] = {")", NULL};
    static const char *const no[] = {"not", "!", NULL};
    static const char *const sport[] = {"sport", NULL}, *const dport[] = {"dport", NULL};
    static const char *const src[] = {"src", NULL}, *const dst[] = {"dst", NULL};
    struct ss_node *node;
    if (p->depth == DEPTH_MAX)
        return fail(p, "the filter is nested too deeply");
    if (take(p, no)) {
        p->depth++;
        node = parse_one(p);
        p->depth--;
        return node ? node_new(p, NODE_NOT, node, NULL) : NULL;
    }
    if (take(p, open)) {
        p->depth++;
        node = parse_or(p);
        p->depth--;
        if (node && !take(p, close)) {
            node_free(node);
            return fail(p, "a \")\" is missing");
        }
        return node;
    }
    if (take(p, sport))
        return port_term(p, false);
    if (take(p, dport))
        return port_term(p, true);
    if (take(p, src))
        return addr_term(p, false);
    if (take(p, dst))
        return addr_term(p, true);
    return fail(p, p->at < p->n ? "\"%s\" is no part of a filter" : "the filter is not complete%s",
                peek(p));
}

static struct ss_node *parse_and(struct parser *p)
{
    static const char *const both[] = {"and", "&", "&&", NULL};
    static const char *const stops[] = {"or", "|", "||", ")"};
    struct ss_node *node = parse_one(p);
    while (node && p->at < p->n) {
        bool stop = false;
        for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
            stop |= strcmp(peek(p), stops[i]) == 0;
        if (stop)
            break;
        take(p, both); /* may be left out */
        struct ss_node *right = parse_one(p);
        if (!right) {
            node_free(node);
            return NULL;
        }
        node = node_new(p, NODE_AND, node, right);
    }
    return node;
}

static struct ss_node *parse_or(struct parser *p)
{
    static const char *const either[] = {"or", "|", "||", NULL};
    struct ss_node *node = parse_and(p);
    while (node && take(p, either)) {
        struct ss_node *right = parse_and(p);
        if (!right) {
            node_free(node);
            return NULL;
        }
        node = node_new(p, NODE_OR, node, right);
    }
    return node;
}

/* ---- states ----------------------------------------------------------------------------------- */

static uint32_t states_of(const char *name)
{
    enum {
        ALL = 0xffe,
        LISTENING = 1 << WEIR_TCP_LISTEN,
        CLOSED = 1 << WEIR_TCP_CLOSE,
        CONNECTED = ALL & ~LISTENING & ~CLOSED,
        BUCKET = 1 << WEIR_TCP_SYN_RECV | 1 << WEIR_TCP_TIME_WAIT
    };
    static const struct {
        const char *name;
        uint32_t states;
    } names[] = {
        {"established", 1 << WEIR_TCP_ESTABLISHED},
        {"estab", 1 << WEIR_TCP_ESTABLISHED},
        {"syn-sent", 1 << WEIR_TCP_SYN_SENT},
        {"syn-recv", 1 << WEIR_TCP_SYN_RECV},
        {"fin-wait-1", 1 << WEIR_TCP_FIN_WAIT1},
        {"fin-wait-2", 1 << WEIR_TCP_FIN_WAIT2},
        {"time-wait", 1 << WEIR_TCP_TIME_WAIT},
        {"closed", CLOSED},
        {"unconnected", CLOSED},
        {"close-wait", 1 << WEIR_TCP_CLOSE_WAIT},
        {"last-ack", 1 << WEIR_TCP_LAST_ACK},
        {"listening", LISTENING},
        {"listen", LISTENING},
        {"closing", 1 << WEIR_TCP_CLOSING},
        {"all", ALL},
        {"connected", CONNECTED},
        {"synchronized", CONNECTED & ~(1 << WEIR_TCP_SYN_SENT)},
        {"bucket", BUCKET},
        {"big", CONNECTED & ~BUCKET},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(names[i].name, name) == 0)
            return names[i].states;
    return 0;
}

/* "state established state time-wait exclude ..." in front of the expression. */
static bool take_states(struct parser *p, struct ss_filter *filter)
{
    static const char *const state[] = {"state", NULL}, *const exclude[] = {"exclude", NULL};
    uint32_t with = 0, without = 0;
    for (;;) {
        uint32_t *set = take(p, state) ? &with : take(p, exclude) ? &without : NULL;
        if (!set)
            break;
        uint32_t states = states_of(peek(p));
        if (!states)
            return fail(p, "\"%s\" is no state", peek(p)) != NULL;
        *set |= states;
        p->at++;
    }
    if (with || without) {
        filter->states = (with ? with : states_of("all")) & ~without;
        filter->states_said = true;
    }
    return true;
}

bool wr_ss_filter_parse(struct ss_filter *filter, char **words, int n_words, char *error,
                        size_t cap)
{
    struct parser *p = calloc(1, sizeof *p);
    bool ok = p != NULL;
    error[0] = '\0';
    if (!p) {
        snprintf(error, cap, "out of memory");
        return false;
    }
    p->error = error;
    p->cap = cap;
    for (int i = 0; i < n_words && ok; i++)
        ok = split(p, words[i]);
    ok = ok && take_states(p, filter);
    if (ok && p->at < p->n) {
        filter->expression = parse_or(p);
        ok = filter->expression != NULL;
    }
    if (ok && p->at < p->n)
        ok = fail(p, "\"%s\" is not expected in a filter", peek(p)) != NULL;
    free(p);
    return ok;
}

/* ---- value ------------------------------------------------------------------------------------ */

static bool compare(enum node_op op, unsigned a, unsigned b)
{
    switch (op) {
    case OP_EQ:
        return a == b;
    case OP_NE:
        return a != b;
    case OP_LT:
        return a < b;
    case OP_GT:
        return a > b;
    case OP_LE:
        return a <= b;
    default:
        return a >= b;
    }
}

static bool in_prefix(const struct weir_addr *addr, const struct weir_addr *prefix, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);
    return memcmp(addr->b, prefix->b, whole) == 0 &&
           (rest == 0 || ((addr->b[whole] ^ prefix->b[whole]) & mask) == 0);
}

static bool passes(const struct ss_node *node, const struct weir_endpoint *local,
                   const struct weir_endpoint *peer)
{
    const struct weir_endpoint *end = node->of_peer ? peer : local;
    switch (node->kind) {
    case NODE_OR:
        return passes(node->a, local, peer) || passes(node->b, local, peer);
    case NODE_AND:
        return passes(node->a, local, peer) && passes(node->b, local, peer);
    case NODE_NOT:
        return !passes(node->a, local, peer);
    case NODE_PORT:
        return compare(node->op, end->port, node->port);
    default: {
        bool same = (node->any_addr || in_prefix(&end->addr, &node->addr, node->prefix)) &&
                    (node->any_port || end->port == node->port);
        return same == (node->op == OP_EQ);
    }
    }
}

bool wr_ss_filter_passes(const struct ss_filter *filter, int state,
                         const struct weir_endpoint *local, const struct weir_endpoint *peer)
{
    return (filter->states >> state & 1) != 0 &&
           (!filter->expression || passes(filter->expression, local, peer));
}

void wr_ss_filter_free(struct ss_filter *filter)
{
    node_free(filter->expression);
    filter->expression = NULL;
}
