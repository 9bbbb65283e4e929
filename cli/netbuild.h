/* SPDX-License-Identifier: MIT */
/* Builds the virtual network of a file: hosts on one loop, links between them, routes, captures. */
#ifndef WEIR_NETBUILD_H
#define WEIR_NETBUILD_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/host.h>

#include "cli/netfile.h"

struct net_build {
    const struct net_file *file;
    struct weir_loop *loop;
    struct weir_host **hosts;      /* as file->hosts */
    struct weir_switch **switches; /* as file->switches */
    char **captures;               /* as file->links: path of each capture, or NULL */
};

struct net_build_options {
    uint64_t seed;
    const char *pcap;   /* one capture of all links, made by wr_netbuild_free() */
    const char *keep;   /* folder for a capture of each link */
    const char *impair; /* every link of one host, beside what the file says; NULL: none */
    int impair_host;
    const char *capture; /* of one host, with comments; NULL: none */
    int capture_host;
};

/* 0, or a negative error after telling it (wr_cli_error). Free in either case. */
int wr_netbuild(struct net_build *build, const struct net_file *file, struct weir_loop *loop,
                const struct net_build_options *options);
/* Frees hosts, links and switches, and puts the captures together. 0 or a negative error, told. */
int wr_netbuild_free(struct net_build *build, const struct net_build_options *options);

/* /etc/hosts for the programs: every host's name and addresses. The caller frees it; NULL: no memory. */
char *wr_netbuild_names(const struct net_file *file);

/* pcapmerge.c: writes the packets of several captures to one, by time, each capture as an interface.
 * 0 or a negative error. */
int wr_pcap_merge(char *const *paths, size_t n, const char *to);

#endif
