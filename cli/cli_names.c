/* SPDX-License-Identifier: MIT */
/*
 * The program asks its name servers itself, over the UDP of its own network (run_net.c): it only must be
 * told which. The machine's own list is taken where nothing else is said, without servers on the
 * machine's loopback, which is not the program's; systemd-resolved, which is such a one, keeps a list
 * of those that it asks itself.
 *
 * "localhost" resolves whatever the machine's /etc/hosts says, and also without one (small containers).
 */
#include "cli/cli_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/addr.h>
#include <weir/error.h>

static const char localhost[] = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/* ---- /etc/hosts --------------------------------------------------------------------------------- */

static bool names_localhost(char *line)
{
    char *save = NULL;
    line[strcspn(line, "#\n")] = '\0';
    for (char *word = strtok_r(line, " \t", &save); word; word = strtok_r(NULL, " \t", &save))
        if (strcmp(word, "localhost") == 0)
            return true;
    return false;
}

/* The machine's text with what it lacks in front; *hosts stays NULL if it lacks nothing. */
static int make_hosts(char **hosts)
{
    FILE *in = fopen("/etc/hosts", "re");
    char *text = NULL, *line = NULL;
    size_t len, cap = 0;
    bool known = false;
    FILE *out = open_memstream(&text, &len);
    if (out)
        fputs(localhost, out);
    while (in && out && getline(&line, &cap, in) > 0) {
        fputs(line, out);
        known |= names_localhost(line);
    }
    free(line);
    if (in)
        fclose(in);
    if (!out || fclose(out) != 0)
        return WEIR_ENOMEM;
    if (known)
        free(text);
    else
        *hosts = text;
    return 0;
}

/* ---- /etc/resolv.conf --------------------------------------------------------------------------- */

/* Copies to `out` the servers that another host can ask (if wanted), or all that is not a server. How many
 * lines it wrote. */
static unsigned copy_resolv(const char *path, bool servers, FILE *out)
{
    FILE *in = fopen(path, "re");
    char *line = NULL, server[WEIR_ADDR_STRLEN];
    size_t cap = 0;
    unsigned n = 0;
    while (in && getline(&line, &cap, in) > 0) {
        struct weir_addr addr;
        bool is_server = sscanf(line, "nameserver %45s", server) == 1;
        if (is_server != servers ||
            (servers && (!weir_addr_parse(server, &addr) || weir_addr_is_loopback(&addr))))
            continue;
        fputs(line, out);
        n++;
    }
    free(line);
    if (in)
        fclose(in);
    return n;
}

static int make_resolv(char **resolv, const struct weir_addr *servers, unsigned n, bool gateway,
                       const char *domain)
{
    size_t len;
    if (n == 0 && !gateway)
        return 0;
    FILE *out = open_memstream(resolv, &len);
    if (!out)
        return WEIR_ENOMEM;
    for (unsigned i = 0; i < n; i++) {
        char server[WEIR_ADDR_STRLEN];
        weir_addr_format(&servers[i], server, sizeof server);
        fprintf(out, "nameserver %s\n", server);
    }
    if (n == 0 && copy_resolv("/etc/resolv.conf", true, out) == 0)
        copy_resolv("/run/systemd/resolve/resolv.conf", true, out);
    copy_resolv("/etc/resolv.conf", false, out);
    if (domain[0]) /* the last one counts, resolv.conf(5) */
        fprintf(out, "search %s\n", domain);
    return fclose(out) == 0 ? 0 : WEIR_ENOMEM;
}

int wr_cli_names(struct cli_names *names, const struct weir_addr *servers, unsigned n, bool gateway,
                 const char *domain)
{
    names->hosts = names->resolv = NULL;
    int err = make_hosts(&names->hosts);
    return err ? err : make_resolv(&names->resolv, servers, n, gateway, domain);
}

void wr_cli_names_free(struct cli_names *names)
{
    free(names->hosts);
    free(names->resolv);
}
