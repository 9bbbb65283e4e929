/* SPDX-License-Identifier: MIT */
/*
 * Commands in backquotes. They reach the stack and nothing else:
 *
 *     sysctl [-q] [-w] NAME=VALUE ...          as sysctl(8): several numbers in quotes
 *     sysctl [-n] NAME ...
 *     ip addr add A/P [dev NAME]               ip addr del A/P [dev NAME]
 *     ip route add|change|replace|del default|P [via G] [dev NAME] [advmss N] [mtu [lock] N]
 *     ip link add NAME [mtu N]                 ip link set [dev] NAME up|down|mtu N
 *     ip tcp_metrics flush all
 *     tc qdisc add|replace dev tun0 root pfifo
 *     ethtool -K tun0 tso|gso|gro off
 *
 * Several are separated by newlines, `;` or `&&`. Any other command is refused.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drill/dr_world.h"

enum { WORDS_MAX = 32 };

/* A command line on its way, and what was wrong with it. */
struct command {
    struct dr_world *world;
    bool failed;
    char *text; /* what it prints, or what was wrong */
    size_t cap;
};

struct words {
    char *word[WORDS_MAX + 1];
    size_t n, at;
};

static const char *next(struct words *w)
{
    return w->at < w->n ? w->word[w->at++] : NULL;
}

static bool take(struct words *w, const char *word)
{
    if (w->at >= w->n || strcmp(w->word[w->at], word) != 0)
        return false;
    w->at++;
    return true;
}

static bool fail(struct command *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(struct command *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->text, c->cap, format, args);
    va_end(args);
    c->failed = true;
    return false;
}

/* ---- sysctl ---------------------------------------------------------------------------------- */

/* Of mechanisms that the stack does not have, and of which Linux's scripts say that they shall do
 * nothing: any value is right. */
static bool is_moot(const char *name)
{
    static const char *const moot[] = {
        "net.ipv4.tcp_fack",            /* nothing on Linux since 4.15 */
        "net.ipv4.tcp_min_tso_segs",    /* no segment waits to become larger */
        "net.ipv4.tcp_tso_win_divisor", /* as above */
        "net.ipv4.tcp_ecn_option",      /* of accurate ECN */
    };
    for (size_t i = 0; i < sizeof moot / sizeof moot[0]; i++)
        if (strcmp(name, moot[i]) == 0)
            return true;
    return false;
}

static bool set_one(struct command *c, const char *assignment)
{
    char name[128];
    const char *equals = strchr(assignment, '=');
    if (!equals || (size_t)(equals - assignment) >= sizeof name)
        return fail(c, "sysctl: expected NAME=VALUE, not %s", assignment);
    memcpy(name, assignment, (size_t)(equals - assignment));
    name[equals - assignment] = '\0';
    for (char *dot = name; *dot; dot++)
        *dot = *dot == '/' ? '.' : *dot;
    int err = weir_sysctl_write(c->world->stack, name, equals + 1);
    if (err == WEIR_ENOENT && weir_sysctl_read(c->world->stack, name, NULL, 0) < 0)
        return is_moot(name) || fail(c, "sysctl: the stack has no %s", name);
    return err == 0 ||
           fail(c, "sysctl: cannot set %s to \"%s\": %s", name, equals + 1, weir_error_text(err));
}

static bool show_one(struct command *c, const char *name, bool bare)
{
    char value[256];
    size_t at = strlen(c->text);
    if (weir_sysctl_read(c->world->stack, name, value, sizeof value) < 0)
        return fail(c, "sysctl: the stack has no %s", name);
    snprintf(c->text + at, c->cap - at, "%s%s%s\n", bare ? "" : name, bare ? "" : " = ", value);
    return true;
}

static bool run_sysctl(struct command *c, struct words *w)
{
    bool some = false, bare = false;
    for (const char *word; (word = next(w)) != NULL;) {
        if (strcmp(word, "-q") == 0 || strcmp(word, "-w") == 0 || strcmp(word, "-qw") == 0)
            continue;
        if (strcmp(word, "-n") == 0) {
            bare = true;
            continue;
        }
        some = true;
        if (strchr(word, '=') ? !set_one(c, word) : !show_one(c, word, bare))
            return false;
    }
    return some || fail(c, "sysctl: expected NAME or NAME=VALUE");
}

/* ---- ip -------------------------------------------------------------------------------------- */

/* tun0 is the link to the scripted peer; others are dummyN in the order they were added. */
static int link_index(struct command *c, const char *name)
{
    if (strcmp(name, "tun0") == 0)
        return c->world->ifindex;
    int n = strncmp(name, "dummy", 5) == 0 ? atoi(name + 5) : -1;
    int ifindex = c->world->ifindex + 1 + n;
    return n >= 0 && ifindex <= c->world->last_ifindex ? ifindex : WEIR_ENODEV;
}

static bool parse_prefix(const char *text, struct weir_addr *addr, unsigned *len)
{
    char copy[64];
    size_t n = strcspn(text, "/");
    if (n >= sizeof copy)
        return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    if (!weir_addr_parse(copy, addr))
        return false;
    *len = text[n] == '/' ? (unsigned)strtoul(text + n + 1, NULL, 10)
                          : (weir_addr_is_v4(addr) ? 32 : 128);
    return true;
}

static bool run_addr(struct command *c, struct words *w)
{
    bool add = take(w, "add");
    if (!add && !take(w, "del"))
        return fail(c, "ip addr: expected add or del");
    struct weir_addr addr;
    unsigned len;
    const char *text = next(w);
    if (!text || !parse_prefix(text, &addr, &len))
        return fail(c, "ip addr: bad address");
    int ifindex = c->world->ifindex;
    if (take(w, "dev")) {
        const char *name = next(w);
        ifindex = name ? link_index(c, name) : WEIR_ENODEV;
    }
    int err = add ? weir_addr_add(c->world->stack, ifindex, &addr, len, c->world->now)
                  : weir_addr_remove(c->world->stack, ifindex, &addr, c->world->now);
    return err == 0 || fail(c, "ip addr: %s", weir_error_text(err));
}

/* "advmss N", "mtu lock N": what a route without them has, and nothing else. */
static bool take_metrics(struct command *c, struct words *w)
{
    struct weir_addr local = c->world->local;
    unsigned long mtu = c->world->mtu, head = weir_addr_is_v4(&local) ? 40 : 60;
    while (w->at < w->n) {
        bool advmss = take(w, "advmss");
        if (!advmss && !take(w, "mtu"))
            return true;
        take(w, "lock");
        const char *text = next(w);
        if (!text || strtoul(text, NULL, 10) != (advmss ? mtu - head : mtu))
            return fail(c, "ip route: a route has the MTU of its link");
    }
    return true;
}

/* Linux's "change" needs a route that is there; here it may be the default one. */
static bool run_route(struct command *c, struct words *w)
{
    struct weir_route route = {.ifindex = c->world->ifindex};
    bool add = take(w, "add") || take(w, "change") || take(w, "replace");
    if (!add && !take(w, "del"))
        return fail(c, "ip route: expected add, change, replace or del");
    const char *text = next(w);
    bool v4 = weir_addr_is_v4(&c->world->local);
    route.prefix = v4 ? weir_addr_any4() : weir_addr_any6();
    if (!text ||
        (strcmp(text, "default") != 0 && !parse_prefix(text, &route.prefix, &route.prefix_len)))
        return fail(c, "ip route: bad prefix");
    route.gateway = weir_addr_is_v4(&route.prefix) ? weir_addr_any4() : weir_addr_any6();
    if (take(w, "via") && (!(text = next(w)) || !weir_addr_parse(text, &route.gateway)))
        return fail(c, "ip route: bad gateway");
    if (take(w, "dev"))
        route.ifindex = (text = next(w)) ? link_index(c, text) : WEIR_ENODEV;
    if (!take_metrics(c, w))
        return false;
    int err =
        add ? weir_route_add(c->world->stack, &route) : weir_route_remove(c->world->stack, &route);
    return err == 0 || fail(c, "ip route: %s", weir_error_text(err));
}

static bool add_link(struct command *c, struct words *w, const char *name)
{
    struct weir_netif_config link = {.kind = WEIR_NETIF_IP, .mtu = 1500};
    char expected[16];
    snprintf(expected, sizeof expected, "dummy%d", c->world->last_ifindex - c->world->ifindex);
    if (!name || strcmp(name, expected) != 0)
        return fail(c, "ip link: the next link must be called %s", expected);
    if (take(w, "mtu")) {
        const char *mtu = next(w);
        link.mtu = mtu ? (uint32_t)strtoul(mtu, NULL, 10) : 0;
    }
    snprintf(link.name, sizeof link.name, "%s", name);
    int ifindex = weir_netif_add(c->world->stack, &link, c->world->now);
    if (ifindex < 0)
        return fail(c, "ip link: %s", weir_error_text(ifindex));
    c->world->last_ifindex = ifindex;
    return true;
}

static bool run_link(struct command *c, struct words *w)
{
    if (take(w, "add"))
        return add_link(c, w, next(w));
    if (!take(w, "set"))
        return fail(c, "ip link: expected add or set");
    take(w, "dev");
    const char *name = next(w), *mtu;
    int ifindex = name ? link_index(c, name) : WEIR_ENODEV, err = WEIR_EINVAL;
    if (take(w, "up"))
        err = weir_netif_set_up(c->world->stack, ifindex, true, c->world->now);
    else if (take(w, "down"))
        err = weir_netif_set_up(c->world->stack, ifindex, false, c->world->now);
    else if (take(w, "mtu") && (mtu = next(w)))
        err = weir_netif_set_mtu(c->world->stack, ifindex, (uint32_t)strtoul(mtu, NULL, 10),
                                 c->world->now);
    return err == 0 || fail(c, "ip link: %s", weir_error_text(err));
}

/* The link has no queue of its own, so a queue that loses nothing is what there is already. */
static bool run_tc(struct command *c, struct words *w)
{
    bool queue = take(w, "qdisc") && (take(w, "add") || take(w, "replace")) && take(w, "dev") &&
                 take(w, "tun0") && take(w, "root") && (take(w, "pfifo") || take(w, "noqueue"));
    return (queue && w->at == w->n) || fail(c, "tc: the link has no queue");
}

/* `ethtool -K tun0 tso off gso off`: the link cuts nothing unless --gso says so. */
static bool run_ethtool(struct command *c, struct words *w)
{
    bool ok = take(w, "-K") && take(w, "tun0");
    while (ok && (take(w, "tso") || take(w, "gso") || take(w, "gro")))
        ok = take(w, "off");
    return (ok && w->at == w->n) || fail(c, "ethtool: expected -K tun0 tso|gso|gro off");
}

/* What is known of a destination (cookies of fast open, RFC 7413 4.1.3). */
static bool run_metrics(struct command *c, struct words *w)
{
    if (!take(w, "flush") || !take(w, "all"))
        return fail(c, "ip tcp_metrics: expected flush all");
    weir_metrics_flush(c->world->stack);
    return true;
}

static bool run_words(struct command *c, struct words *w)
{
    w->at = 0;
    if (w->n == 0)
        return true;
    bool ok;
    if (take(w, "sysctl"))
        return run_sysctl(c, w);
    if (take(w, "tc"))
        return run_tc(c, w);
    if (take(w, "ethtool"))
        return run_ethtool(c, w);
    if (!take(w, "ip"))
        return fail(c, "the command \"%s\" is refused: only sysctl and ip reach the stack",
                    w->word[0]);
    take(w, "-6");
    if (take(w, "addr") || take(w, "address"))
        ok = run_addr(c, w);
    else if (take(w, "route"))
        ok = run_route(c, w);
    else if (take(w, "link"))
        ok = run_link(c, w);
    else if (take(w, "tcp_metrics"))
        ok = run_metrics(c, w);
    else
        return fail(c, "ip: expected addr, route or link");
    return ok && (w->at == w->n || fail(c, "ip: unexpected \"%s\"", w->word[w->at]));
}

/* ---- words of a command line ----------------------------------------------------------------- */

static bool ends_command(char c)
{
    return c == '\0' || c == '\n' || c == ';' || c == '&';
}

/* Takes one word off *from and writes it, without its quotes and with a NUL, to *to. */
static void cut_word(const char **from, char **to)
{
    char quote = '\0';
    for (; **from != '\0'; (*from)++) {
        char c = **from;
        if (!quote && (c == ' ' || c == '\t' || ends_command(c)))
            break;
        if (quote ? c == quote : c == '"' || c == '\'')
            quote = quote ? '\0' : c;
        else
            *(*to)++ = c;
    }
    *(*to)++ = '\0';
}

bool wr_dr_command_run(struct dr_world *world, const char *text, char *answer, size_t cap)
{
    struct command c = {.world = world, .text = answer, .cap = cap};
    answer[0] = '\0';
    char *words = malloc(2 * strlen(text) + 2), *to = words;
    struct words w = {.n = 0};
    while (words && !c.failed) {
        while (*text == ' ' || *text == '\t')
            text++;
        if (*text == '#')
            text += strcspn(text, "\n");
        if (!ends_command(*text)) {
            if (w.n == WORDS_MAX) {
                fail(&c, "command too long");
                break;
            }
            w.word[w.n++] = to;
            cut_word(&text, &to);
            continue;
        }
        run_words(&c, &w);
        w.n = 0;
        to = words;
        if (*text == '\0')
            break;
        text++;
    }
    free(words);
    wr_dr_world_collect(world);
    return !c.failed;
}
