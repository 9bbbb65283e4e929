/* SPDX-License-Identifier: MIT */
/*
 * The file of `weir net`: hosts, switches, links.
 *
 *     # two machines and the wire between them
 *     host web 10.0.0.1 fd00::1 daemon -- nginx -c web.conf
 *     host cli 10.0.0.2 -- curl -s http://web/
 *     link web cli delay=20ms loss=1% rate=100mbit
 *
 *     switch sw
 *     link web sw
 *
 * Words are split as a shell splits them (lab/words.h).
 */
#ifndef WEIR_NETFILE_H
#define WEIR_NETFILE_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/addr.h>

struct net_host {
    char *name;
    struct weir_addr *addrs;
    size_t n_addrs;
    bool daemon;
    char **argv; /* NULL-terminated; NULL: a host without a program */
    int line;
};

struct net_link {
    int a, b;   /* the ends: host number, or ~n for switch number n */
    char *spec; /* impairments as weir_impair_parse() takes them; "" when there are none */
    int line;
};

struct net_file {
    struct net_host *hosts;
    char **switches;
    struct net_link *links;
    size_t n_hosts, n_switches, n_links;
};

/* Reads a file ("-": standard input). False, with a message in error[cap] that begins with "FILE:LINE: ".
 * The caller frees *file with wr_netfile_free() in either case. */
bool wr_netfile_read(const char *path, struct net_file *file, char *error, size_t cap);
void wr_netfile_free(struct net_file *file);
/* The name of a link's end. */
const char *wr_netfile_name(const struct net_file *file, int end);

#endif
