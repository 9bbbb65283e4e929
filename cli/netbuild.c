/* SPDX-License-Identifier: MIT */
/*
 * From a net file to hosts and links.
 *
 * A link between two hosts is a pipe that carries IP packets; to a switch it is a port, with Ethernet and
 * its neighbour discovery. Impairments and the capture sit at the first host named. A host has
 * all its addresses on each of its interfaces, as whole addresses (/32, /128), and over each link
 * a route to every address at the other side. When two links lead to one host the first is used.
 */
#define _GNU_SOURCE /* asprintf */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/netbuild.h"

enum { NET_MTU = 1500 };

static int told(int err, const char *what, const char *name)
{
    if (err < 0)
        wr_cli_error("cannot %s %s: %s", what, name, weir_error_text(err));
    return err;
}

/* ---- one link --------------------------------------------------------------------------------- */

static bool is_plain(const char *spec)
{
    return spec[strspn(spec, " ")] == '\0';
}

/* Where the capture of link `n` goes; NULL when it is not captured. */
static char *capture_path(const struct net_build *build, const struct net_build_options *options,
                          size_t n)
{
    const struct net_link *link = &build->file->links[n];
    char *path = NULL;
    int len = 0;
    if (options->keep)
        len =
            asprintf(&path, "%s/%zu-%s-%s.pcapng", options->keep, n + 1,
                     wr_netfile_name(build->file, link->a), wr_netfile_name(build->file, link->b));
    else if (options->pcap && build->file->n_links == 1)
        len = asprintf(&path, "%s", options->pcap);
    else if (options->pcap)
        len = asprintf(&path, "%s.link%zu", options->pcap, n + 1);
    return len < 0 ? NULL : path;
}

static int wrap(struct net_build *build, const struct net_build_options *options, size_t n,
                struct weir_link **link)
{
    const struct net_link *what = &build->file->links[n];
    struct weir_impair_config config = {.seed = options->seed + n + 1};
    const char *bad;
    int err = 0;
    if (!is_plain(what->spec)) {
        err = weir_impair_parse(what->spec, &config, &bad);
        if (!err)
            err = weir_link_impair(*link, &config, WEIR_IMPAIR_BOTH, link);
        if (err)
            return told(err, "impair a link as", what->spec);
    }
    build->captures[n] = capture_path(build, options, n);
    if (build->captures[n])
        err = told(weir_link_pcap(*link, build->captures[n], false, link), "write",
                   build->captures[n]);
    return err;
}

/* Impairs the end of a link at one host as the command line says. */
static int impair_end(const struct net_build_options *options, size_t n, int host,
                      struct weir_link **link)
{
    struct weir_impair_config config = {.seed = options->seed + 1000 + n};
    const char *bad;
    if (!options->impair || host != options->impair_host)
        return 0;
    int err = weir_impair_parse(options->impair, &config, &bad);
    if (!err)
        err = weir_link_impair(*link, &config, WEIR_IMPAIR_BOTH, link);
    return told(err, "impair a link as", options->impair);
}

static int give_addresses(const struct net_build *build, int host, int ifindex)
{
    const struct net_host *h = &build->file->hosts[host];
    for (size_t i = 0; i < h->n_addrs; i++) {
        char text[WEIR_ADDR_STRLEN + 4];
        size_t n = weir_addr_format(&h->addrs[i], text, sizeof text);
        snprintf(text + n, sizeof text - n, "/%d", weir_addr_is_v4(&h->addrs[i]) ? 32 : 128);
        int err = weir_host_add_addr(build->hosts[host], ifindex, text);
        if (err)
            return told(err, "give a host the address", text);
    }
    return 0;
}

/* The host owns the link from here on, or it is freed. Returns the interface's index. */
static int attach(const struct net_build *build, int host, struct weir_link *link)
{
    int ifindex = weir_host_add_link(build->hosts[host], link);
    if (ifindex < 0) {
        weir_link_free(link);
        return told(ifindex, "add a link to", build->file->hosts[host].name);
    }
    int err = give_addresses(build, host, ifindex);
    return err ? err : ifindex;
}

static int add_routes(const struct net_build *build, int host, int ifindex, int to)
{
    const struct net_host *peer = &build->file->hosts[to];
    for (size_t i = 0; i < peer->n_addrs; i++) {
        char text[WEIR_ADDR_STRLEN + 4];
        size_t n = weir_addr_format(&peer->addrs[i], text, sizeof text);
        snprintf(text + n, sizeof text - n, "/%d", weir_addr_is_v4(&peer->addrs[i]) ? 32 : 128);
        int err = weir_host_add_route(build->hosts[host], text, NULL, ifindex);
        if (err && err != WEIR_EEXIST)
            return told(err, "add a route to", text);
    }
    return 0;
}

/* ---- hosts joined directly -------------------------------------------------------------------- */

static void name_netif(struct weir_link *link, size_t n)
{
    snprintf(link->netif.name, sizeof link->netif.name, "link%u", (unsigned)n + 1);
}

static int join_hosts(struct net_build *build, const struct net_build_options *options, size_t n)
{
    const struct net_link *what = &build->file->links[n];
    bool plain = is_plain(what->spec);
    struct weir_pipe_config config = {.kind = WEIR_NETIF_IP,
                                      .mtu = NET_MTU,
                                      .gso_max_bytes = plain ? 65535 : 0,
                                      .csum_offload = plain};
    struct weir_link *ends[2];
    int err = told(weir_link_pipe(&config, ends), "make", "a link");
    if (err)
        return err;
    err = impair_end(options, n, what->a, &ends[0]);
    if (!err)
        err = impair_end(options, n, what->b, &ends[1]);
    if (!err)
        err = wrap(build, options, n, &ends[0]);
    if (err) {
        weir_link_free(ends[0]);
        weir_link_free(ends[1]);
        return err;
    }
    name_netif(ends[0], n);
    name_netif(ends[1], n);
    int at_a = attach(build, what->a, ends[0]);
    int at_b = attach(build, what->b, ends[1]);
    if (at_a < 0 || at_b < 0)
        return at_a < 0 ? at_a : at_b;
    err = add_routes(build, what->a, at_a, what->b);
    return err ? err : add_routes(build, what->b, at_b, what->a);
}

/* ---- hosts at a switch ------------------------------------------------------------------------ */

static int join_switch(struct net_build *build, const struct net_build_options *options, size_t n,
                       int *at)
{
    const struct net_link *what = &build->file->links[n];
    int host = what->a >= 0 ? what->a : what->b;
    int sw = what->a < 0 ? ~what->a : ~what->b;
    uint8_t mac[6] = {0x02, 'w', 'e', 'r', (uint8_t)(n >> 8), (uint8_t)n};
    struct weir_link *link;
    int err = told(weir_switch_port(build->switches[sw], mac, NET_MTU, &link), "make", "a port");
    if (err)
        return err;
    err = impair_end(options, n, host, &link);
    if (!err)
        err = wrap(build, options, n, &link);
    if (err) {
        weir_link_free(link);
        return err;
    }
    name_netif(link, n);
    *at = attach(build, host, link);
    return *at < 0 ? *at : 0;
}

/* Every host at a switch gets routes to all others there. `at`: interface of each link's host. */
static int route_switches(const struct net_build *build, const int *at)
{
    const struct net_file *file = build->file;
    for (size_t i = 0; i < file->n_links; i++) {
        const struct net_link *a = &file->links[i];
        int a_host = a->a >= 0 ? a->a : a->b, a_switch = a->a < 0 ? a->a : a->b;
        for (size_t j = 0; j < file->n_links && a_switch < 0; j++) {
            const struct net_link *b = &file->links[j];
            int b_host = b->a >= 0 ? b->a : b->b, b_switch = b->a < 0 ? b->a : b->b;
            if (b_switch != a_switch || b_host == a_host)
                continue;
            int err = add_routes(build, a_host, at[i], b_host);
            if (err)
                return err;
        }
    }
    return 0;
}

/* ---- the whole -------------------------------------------------------------------------------- */

static int make_hosts(struct net_build *build, const struct net_build_options *options)
{
    const struct net_file *file = build->file;
    for (size_t i = 0; i < file->n_hosts; i++) {
        struct weir_config config;
        int err = wr_cli_config(&config, options->seed, (unsigned)i + 1);
        if (!err)
            err = weir_host_new(build->loop, &config, &build->hosts[i]);
        if (err)
            return told(err, "make the host", file->hosts[i].name);
        /* The file says who has which address: programs need not wait until that is asked. */
        weir_sysctl_set(weir_host_lock(build->hosts[i]), "net.ipv6.conf.default.dad_transmits", 0);
        weir_host_unlock(build->hosts[i]);
    }
    for (size_t i = 0; i < file->n_switches; i++) {
        int err = weir_switch_new(&build->switches[i]);
        if (err)
            return told(err, "make the switch", file->switches[i]);
    }
    return 0;
}

static int make_links(struct net_build *build, const struct net_build_options *options)
{
    size_t n = build->file->n_links;
    int *at = calloc(n + 1, sizeof *at);
    int err = at ? 0 : told(WEIR_ENOMEM, "make", "links");
    for (size_t i = 0; i < n && !err; i++) {
        const struct net_link *link = &build->file->links[i];
        if (link->a >= 0 && link->b >= 0)
            err = join_hosts(build, options, i);
        else
            err = join_switch(build, options, i, &at[i]);
    }
    if (!err)
        err = route_switches(build, at);
    free(at);
    return err;
}

/* A host that no link leads to still has its addresses, on its loopback. */
static int address_lonely_hosts(const struct net_build *build)
{
    const struct net_file *file = build->file;
    for (size_t h = 0; h < file->n_hosts; h++) {
        bool joined = false;
        for (size_t i = 0; i < file->n_links; i++)
            joined |= file->links[i].a == (int)h || file->links[i].b == (int)h;
        int err = joined ? 0 : give_addresses(build, (int)h, 1);
        if (err)
            return err;
    }
    return 0;
}

int wr_netbuild(struct net_build *build, const struct net_file *file, struct weir_loop *loop,
                const struct net_build_options *options)
{
    memset(build, 0, sizeof *build);
    build->file = file;
    build->loop = loop;
    build->hosts = calloc(file->n_hosts + 1, sizeof(struct weir_host *));
    build->switches = calloc(file->n_switches + 1, sizeof(struct weir_switch *));
    build->captures = calloc(file->n_links + 1, sizeof(char *));
    if (!build->hosts || !build->switches || !build->captures)
        return told(WEIR_ENOMEM, "make", "the network");
    int err = make_hosts(build, options);
    if (!err)
        err = make_links(build, options);
    if (!err)
        err = address_lonely_hosts(build);
    if (!err && options->capture)
        err = wr_cli_capture_host(build->hosts[options->capture_host], options->capture);
    return err;
}

int wr_netbuild_free(struct net_build *build, const struct net_build_options *options)
{
    int err = 0;
    if (!build->file)
        return 0;
    size_t n_links = build->file->n_links;
    for (size_t i = 0; build->hosts && i < build->file->n_hosts; i++)
        if (build->hosts[i])
            weir_host_free(build->hosts[i]);
    for (size_t i = 0; build->switches && i < build->file->n_switches; i++)
        if (build->switches[i])
            weir_switch_free(build->switches[i]);
    if (build->captures && options->pcap && (n_links > 1 || options->keep))
        err = told(wr_pcap_merge(build->captures, n_links, options->pcap), "write", options->pcap);
    for (size_t i = 0; build->captures && i < n_links; i++) {
        if (build->captures[i] && options->pcap && !options->keep && n_links > 1)
            unlink(build->captures[i]);
        free(build->captures[i]);
    }
    free(build->hosts);
    free(build->switches);
    free(build->captures);
    return err;
}

char *wr_netbuild_names(const struct net_file *file)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    fputs("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n", out);
    for (size_t h = 0; h < file->n_hosts; h++) {
        for (size_t i = 0; i < file->hosts[h].n_addrs; i++) {
            char addr[WEIR_ADDR_STRLEN];
            weir_addr_format(&file->hosts[h].addrs[i], addr, sizeof addr);
            fprintf(out, "%s\t%s\n", addr, file->hosts[h].name);
        }
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
