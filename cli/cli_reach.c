/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cli/cli_reach.h"

#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/control.h>

#include "cli/cli.h"

static bool tell(int err, const char *what)
{
    if (err)
        wr_cli_error("%s: %s", what, weir_error_text(err));
    return err == 0;
}

static bool start_thread(struct cli_reach *reach)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = weir_loop_start(reach->loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return tell(err, "cannot start the host");
}

static bool open_own(struct cli_reach *reach, const char *name, struct cli_link_words *link)
{
    struct weir_control_config config = {.name = name};
    if (!tell(weir_loop_new(&reach->loop), "cannot make a host") ||
        wr_cli_link_host(link, reach->loop, &reach->host) != 0)
        return false;
    snprintf(reach->own, sizeof reach->own, "%s.%d", name, (int)getpid());
    reach->which = reach->own;
    return tell(weir_control_open(reach->host, &config, &reach->control),
                "the host can have no control socket") &&
           start_thread(reach);
}

bool wr_cli_reach_open(struct cli_reach *reach, const char *name, const char *which,
                       struct cli_link_words *link)
{
    memset(reach, 0, sizeof *reach);
    reach->ask.fd = reach->ask.passed = -1;
    reach->which = which;
    if ((link->n_links == 0 || open_own(reach, name, link)) &&
        wr_cli_ask_open(&reach->ask, reach->which))
        return true;
    wr_cli_reach_close(reach);
    return false;
}

bool wr_cli_reach_again(struct cli_reach *reach)
{
    wr_cli_ask_close(&reach->ask);
    return wr_cli_ask_open(&reach->ask, reach->which);
}

void wr_cli_reach_close(struct cli_reach *reach)
{
    bool hurry = wr_cli_caught != 0;
    if (reach->ask.fd >= 0)
        wr_cli_ask_close(&reach->ask);
    if (!reach->loop)
        return;
    weir_loop_stop(reach->loop);
    if (reach->host) {
        /* A turn for the relays, which hold what was written last, and then the peer's. */
        weir_loop_step(reach->loop, 0);
        wr_cli_let_out(reach->loop, NULL, &reach->host, 1, 2 * WEIR_SEC, &hurry);
    }
    weir_control_close(reach->control);
    if (reach->host)
        weir_host_free(reach->host);
    weir_loop_free(reach->loop);
    memset(reach, 0, sizeof *reach);
    reach->ask.fd = -1;
}

/* ---- names ------------------------------------------------------------------------------------ */

int wr_cli_resolve(const char *name, int family, char addrs[][64], int max)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    struct weir_addr literal;
    int n = 0;
    if (weir_addr_parse(name, &literal)) {
        bool v4 = weir_addr_is_v4(&literal);
        if (family == 0 || (family == AF_INET) == v4) {
            snprintf(addrs[0], 64, "%s", name);
            return 1;
        }
        wr_cli_error("%s is no IPv%d address", name, family == AF_INET ? 4 : 6);
        return 0;
    }
    hints.ai_family = family;
    int err = getaddrinfo(name, NULL, &hints, &found);
    if (err)
        wr_cli_error("%s: %s", name, gai_strerror(err));
    for (struct addrinfo *ai = err ? NULL : found; ai && n < max; ai = ai->ai_next)
        if (getnameinfo(ai->ai_addr, ai->ai_addrlen, addrs[n], 64, NULL, 0, NI_NUMERICHOST) == 0)
            n++;
    if (!err)
        freeaddrinfo(found);
    return n;
}

json_t *wr_cli_end(const char *addr, int port)
{
    return json_pack("{s:s, s:i}", "addr", addr, "port", port);
}

/* ---- signals ---------------------------------------------------------------------------------- */

volatile sig_atomic_t wr_cli_caught;

static void caught(int sig)
{
    wr_cli_caught = sig;
}

void wr_cli_catch(void)
{
    /* SA_RESTART: stdio drops its whole buffer where a write(2) of it fails with EINTR. */
    struct sigaction action = {.sa_handler = caught, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}
