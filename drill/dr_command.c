/* SPDX-License-Identifier: MIT */
/*
 * Commands in backquotes. They reach the stack and nothing else:
 *
 *     sysctl [-q] [-w] NAME=VALUE ...          as sysctl(8): several numbers in quotes
 *     ip addr add A/P [dev NAME]               ip addr del A/P [dev NAME]
 *     ip route add default|P [via G] [dev NAME]
 *     ip link add NAME [mtu N]                 ip link set [dev] NAME up|down|mtu N
 *
 * Several are separated by newlines, `;` or `&&`. Any other command is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "drill/dr_run.h"

enum { WORDS_MAX = 32 };

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

/* ---- sysctl ---------------------------------------------------------------------------------- */

static bool set_one(struct dr_run *run, const char *assignment)
{
    char name[128];
    const char *equals = strchr(assignment, '=');
    if (!equals || (size_t)(equals - assignment) >= sizeof name)
        return wr_dr_fail(run, "sysctl: expected NAME=VALUE, not %s", assignment);
    memcpy(name, assignment, (size_t)(equals - assignment));
    name[equals - assignment] = '\0';
    for (char *c = name; *c; c++)
        *c = *c == '/' ? '.' : *c;
    int err = weir_sysctl_write(run->world.stack, name, equals + 1);
    if (err == WEIR_ENOENT && weir_sysctl_read(run->world.stack, name, NULL, 0) < 0)
        return wr_dr_fail(run, "sysctl: the stack has no %s", name);
    return err == 0 || wr_dr_fail(run, "sysctl: cannot set %s to \"%s\": %s", name, equals + 1,
                                  weir_error_text(err));
}

static bool run_sysctl(struct dr_run *run, struct words *w)
{
    bool some = false;
    for (const char *word; (word = next(w)) != NULL;) {
        if (strcmp(word, "-q") == 0 || strcmp(word, "-w") == 0 || strcmp(word, "-qw") == 0)
            continue;
        some = true;
        if (!set_one(run, word))
            return false;
    }
    return some || wr_dr_fail(run, "sysctl: expected NAME=VALUE");
}

/* ---- ip -------------------------------------------------------------------------------------- */

/* tun0 is the link to the scripted peer; others are dummyN in the order they were added. */
static int link_index(struct dr_run *run, const char *name)
{
    if (strcmp(name, "tun0") == 0)
        return run->world.ifindex;
    int n = strncmp(name, "dummy", 5) == 0 ? atoi(name + 5) : -1;
    int ifindex = run->world.ifindex + 1 + n;
    return n >= 0 && ifindex <= run->world.last_ifindex ? ifindex : WEIR_ENODEV;
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

static bool run_addr(struct dr_run *run, struct words *w)
{
    bool add = take(w, "add");
    if (!add && !take(w, "del"))
        return wr_dr_fail(run, "ip addr: expected add or del");
    struct weir_addr addr;
    unsigned len;
    const char *text = next(w);
    if (!text || !parse_prefix(text, &addr, &len))
        return wr_dr_fail(run, "ip addr: bad address");
    int ifindex = run->world.ifindex;
    if (take(w, "dev")) {
        const char *name = next(w);
        ifindex = name ? link_index(run, name) : WEIR_ENODEV;
    }
    int err = add ? weir_addr_add(run->world.stack, ifindex, &addr, len, run->world.now)
                  : weir_addr_remove(run->world.stack, ifindex, &addr, run->world.now);
    return err == 0 || wr_dr_fail(run, "ip addr: %s", weir_error_text(err));
}

static bool run_route(struct dr_run *run, struct words *w)
{
    struct weir_route route = {.ifindex = run->world.ifindex};
    bool add = take(w, "add");
    if (!add && !take(w, "del"))
        return wr_dr_fail(run, "ip route: expected add or del");
    const char *text = next(w);
    bool v4 = weir_addr_is_v4(&run->script->local);
    route.prefix = v4 ? weir_addr_any4() : weir_addr_any6();
    if (!text ||
        (strcmp(text, "default") != 0 && !parse_prefix(text, &route.prefix, &route.prefix_len)))
        return wr_dr_fail(run, "ip route: bad prefix");
    route.gateway = weir_addr_is_v4(&route.prefix) ? weir_addr_any4() : weir_addr_any6();
    if (take(w, "via") && (!(text = next(w)) || !weir_addr_parse(text, &route.gateway)))
        return wr_dr_fail(run, "ip route: bad gateway");
    if (take(w, "dev"))
        route.ifindex = (text = next(w)) ? link_index(run, text) : WEIR_ENODEV;
    int err = add ? weir_route_add(run->world.stack, &route)
                  : weir_route_remove(run->world.stack, &route);
    return err == 0 || wr_dr_fail(run, "ip route: %s", weir_error_text(err));
}

static bool add_link(struct dr_run *run, struct words *w, const char *name)
{
    struct weir_netif_config link = {.kind = WEIR_NETIF_IP, .mtu = 1500};
    char expected[16];
    snprintf(expected, sizeof expected, "dummy%d", run->world.last_ifindex - run->world.ifindex);
    if (!name || strcmp(name, expected) != 0)
        return wr_dr_fail(run, "ip link: the next link must be called %s", expected);
    if (take(w, "mtu")) {
        const char *mtu = next(w);
        link.mtu = mtu ? (uint32_t)strtoul(mtu, NULL, 10) : 0;
    }
    snprintf(link.name, sizeof link.name, "%s", name);
    int ifindex = weir_netif_add(run->world.stack, &link, run->world.now);
    if (ifindex < 0)
        return wr_dr_fail(run, "ip link: %s", weir_error_text(ifindex));
    run->world.last_ifindex = ifindex;
    return true;
}

static bool run_link(struct dr_run *run, struct words *w)
{
    if (take(w, "add"))
        return add_link(run, w, next(w));
    if (!take(w, "set"))
        return wr_dr_fail(run, "ip link: expected add or set");
    take(w, "dev");
    const char *name = next(w), *mtu;
    int ifindex = name ? link_index(run, name) : WEIR_ENODEV, err = WEIR_EINVAL;
    if (take(w, "up"))
        err = weir_netif_set_up(run->world.stack, ifindex, true, run->world.now);
    else if (take(w, "down"))
        err = weir_netif_set_up(run->world.stack, ifindex, false, run->world.now);
    else if (take(w, "mtu") && (mtu = next(w)))
        err = weir_netif_set_mtu(run->world.stack, ifindex, (uint32_t)strtoul(mtu, NULL, 10),
                                 run->world.now);
    return err == 0 || wr_dr_fail(run, "ip link: %s", weir_error_text(err));
}

static bool run_words(struct dr_run *run, struct words *w)
{
    w->at = 0;
    if (w->n == 0)
        return true;
    bool ok;
    if (take(w, "sysctl"))
        return run_sysctl(run, w);
    if (!take(w, "ip"))
        return wr_dr_fail(run, "the command \"%s\" is refused: only sysctl and ip reach the stack",
                          w->word[0]);
    take(w, "-6");
    if (take(w, "addr") || take(w, "address"))
        ok = run_addr(run, w);
    else if (take(w, "route"))
        ok = run_route(run, w);
    else if (take(w, "link"))
        ok = run_link(run, w);
    else
        return wr_dr_fail(run, "ip: expected addr, route or link");
    return ok && (w->at == w->n || wr_dr_fail(run, "ip: unexpected \"%s\"", w->word[w->at]));
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

void wr_dr_command_run(struct dr_run *run, const char *text)
{
    char *words = malloc(2 * strlen(text) + 2), *to = words;
    struct words w = {.n = 0};
    while (words && !run->failed) {
        while (*text == ' ' || *text == '\t')
            text++;
        if (!ends_command(*text)) {
            if (w.n == WORDS_MAX) {
                wr_dr_fail(run, "command too long");
                break;
            }
            w.word[w.n++] = to;
            cut_word(&text, &to);
            continue;
        }
        run_words(run, &w);
        w.n = 0;
        to = words;
        if (*text == '\0')
            break;
        text++;
    }
    free(words);
    wr_dr_world_collect(&run->world);
}
