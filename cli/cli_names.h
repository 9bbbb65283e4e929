/* SPDX-License-Identifier: MIT */
/* What the program of `weir run` reads as /etc/hosts and /etc/resolv.conf. */
#ifndef WEIR_CLI_NAMES_H
#define WEIR_CLI_NAMES_H

#include <stdbool.h>

#include <weir/addr.h>

enum { CLI_DNS_MAX = 3 }; /* as many as resolvers look at, resolv.conf(5) */

/* Texts for struct weir_run_options; NULL: the machine's file will do. */
struct cli_names {
    char *hosts, *resolv;
};

/* servers: name servers, n of them; with none and a `gateway`, the machine's as far as another
 * host can ask them. domain: names are looked for in it, too ("": none). 0 or WEIR_ENOMEM; the caller frees
 * with wr_cli_names_free() in any case. */
int wr_cli_names(struct cli_names *names, const struct weir_addr *servers, unsigned n, bool gateway,
                 const char *domain);
void wr_cli_names_free(struct cli_names *names);

#endif
