/* SPDX-License-Identifier: MIT */
/*
 * The host that `weir nc` and `weir ping` work on: one that runs, or one of their own with a link, which
 * then runs in a thread. Either is spoken to over its control socket.
 */
#ifndef WEIR_CLI_REACH_H
#define WEIR_CLI_REACH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/cli_ask.h"
#include "cli/cli_link.h"

struct cli_reach {
    struct cli_ask ask;
    const char *which;      /* of a running host */
    char own[32];           /* name of the own one's control socket */
    struct weir_loop *loop; /* of the own one; NULL: it is another's */
    struct weir_host *host;
    struct weir_control *control;
};

/* With links in *link a host of its own called `name`, else the running one that `which` names (NULL: the only
 * one). False after telling why not. Signals are blocked in the own host's thread. */
bool wr_cli_reach_open(struct cli_reach *reach, const char *name, const char *which,
                       struct cli_link_words *link);
/* Begins a new conversation; what was open in the old one ends. */
bool wr_cli_reach_again(struct cli_reach *reach);
/* Waits until what was written last is acknowledged (2 s at most), then ends the own host. */
void wr_cli_reach_close(struct cli_reach *reach);

/* The addresses of a name, as the machine's resolver has them; family 0: both. Returns their number (at most
 * max), 0 after telling. */
enum { CLI_ADDRS_MAX = 8 };
int wr_cli_resolve(const char *name, int family, char addrs[][64], int max);
/* {"addr":...,"port":...} */
json_t *wr_cli_end(const char *addr, int port);
/* Set by SIGINT and SIGTERM after wr_cli_catch(); poll(2) then fails with EINTR, read(2) and write(2) go on. */
extern volatile sig_atomic_t wr_cli_caught;
void wr_cli_catch(void);

#endif
