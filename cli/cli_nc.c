/* SPDX-License-Identifier: MIT */
/*
 * weir nc: bytes between standard input and output and a connection of a host, in nc(1)'s words.
 *
 * The host hands out one end of a socket pair for each connection (weir/control.h), which is read and
 * written here without ever blocking on it: a peer that echoes would stop both directions otherwise. An
 * end of standard input is passed on as a half-close, as ncat and socat do and nc with -N.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_reach.h"

struct nc_words {
    struct cli_link_words link;
    const char *host, *name, *port, *source, *source_port;
    bool listen, keep, udp, scan, verbose, no_stdin;
    int family, wait_ms, quit_ms; /* -1: for ever */
};

/* A connection, and what is on its way in this process. */
struct nc_flow {
    struct cli_reach *reach;
    const struct nc_words *words;
    int fd;
    char buf[65536];
    size_t held, held_at; /* read from standard input, not yet written to fd */
    bool in_ended, out_ended, over;
    int status;
};

static const char help[] =
    "usage: weir nc [OPTIONS] HOST PORT\n"
    "       weir nc -l [OPTIONS] [ADDRESS] PORT\n"
    "       weir nc -z [OPTIONS] HOST PORT[-PORT]...\n"
    "\n"
    "Connects standard input and output with a TCP connection of a running host, or, with --tun, of\n"
    "a host of its own. When standard input ends the sending direction is closed, and what the peer\n"
    "still sends is written until it closes, too.\n"
    "\n"
    "  --host HOST     which running host; not needed when only one is\n"
    "  --tun NAME[,ADDR/PREFIX...][,gw=ADDR...][,kernel=ADDR/PREFIX...]\n"
    "                  a host of its own on a TUN device; its link as for `weir run`: also --tap,\n"
    "                  --packet, --xdp; --netns, --addr, --gw, --mtu, --impair, --pcap, --seed,\n"
    "                  --busy-poll\n"
    "  -l              listen;  -k: for one connection after the other\n"
    "  -u              UDP\n"
    "  -z              only say which ports can be connected to\n"
    "  -w SECONDS      give up connecting after this long, and a connection that is idle so long\n"
    "  -q SECONDS      quit so long after standard input has ended\n"
    "  -s ADDR, -p PORT   from this address, port\n"
    "  -4, -6          addresses of this family only\n"
    "  -d              do not read standard input\n"
    "  -v              say what happens\n";

/* ---- bytes ------------------------------------------------------------------------------------ */

static void end_flow(struct nc_flow *flow, int status)
{
    flow->over = true;
    flow->status = status;
}

static void from_stdin(struct nc_flow *flow)
{
    ssize_t n = read(STDIN_FILENO, flow->buf, flow->words->udp ? 8192 : sizeof flow->buf);
    if (n > 0) {
        flow->held = (size_t)n;
        flow->held_at = 0;
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        flow->in_ended = true;
        if (!flow->words->udp)
            shutdown(flow->fd, SHUT_WR);
    }
}

static void to_net(struct nc_flow *flow)
{
    ssize_t n = send(flow->fd, flow->buf + flow->held_at, flow->held, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) { /* the host tells why, and what the peer sent is still read */
        flow->held = 0;
        flow->in_ended = true;
        return;
    }
    flow->held -= (size_t)n;
    flow->held_at += (size_t)n;
}

static void from_net(struct nc_flow *flow)
{
    char buf[65536];
    ssize_t n = recv(flow->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        flow->out_ended = true;
        return;
    }
    for (ssize_t done = 0, m; done < n; done += m) {
        m = write(STDOUT_FILENO, buf + done, (size_t)(n - done));
        if (m < 0 && errno == EINTR)
            m = 0;
        else if (m < 0) {
            wr_cli_error("nc: cannot write: %s", strerror(errno));
            end_flow(flow, 1);
            return;
        }
    }
}

/* What the host says of the connection. */
static void from_host(struct nc_flow *flow)
{
    do {
        json_t *said = wr_cli_ask_next(&flow->reach->ask);
        const char *text = json_string_value(json_object_get(said, "text"));
        bool trouble = json_object_get(said, "trouble") != NULL;
        if (!said)
            end_flow(flow, 1);
        else if (text && (!trouble || flow->words->verbose))
            wr_cli_error("nc: %s", text);
        if (text)
            flow->status = 1;
        if (json_object_get(said, "end"))
            flow->in_ended = true; /* nobody is there to be told more */
        json_decref(said);
    } while (!flow->over && wr_cli_ask_pending(&flow->reach->ask));
}

/* A turn: waits for whatever can be done. */
static void turn(struct nc_flow *flow)
{
    bool wants_in = !flow->in_ended && flow->held == 0;
    struct pollfd fds[3] = {
        {wants_in ? STDIN_FILENO : -1, POLLIN, 0},
        {flow->fd, (short)((flow->out_ended ? 0 : POLLIN) | (flow->held ? POLLOUT : 0)), 0},
        {flow->reach->ask.fd, POLLIN, 0},
    };
    int wait =
        flow->in_ended && flow->words->quit_ms >= 0 ? flow->words->quit_ms : flow->words->wait_ms;
    if (flow->out_ended && !flow->held)
        fds[1].fd = -1;
    int n = poll(fds, 3, wait);
    if (wr_cli_caught) {
        end_flow(flow, 128 + wr_cli_caught);
    } else if (n == 0) {
        end_flow(flow, flow->status);
    } else if (n > 0) {
        if (fds[1].revents & (POLLIN | POLLHUP | POLLERR) && !flow->out_ended)
            from_net(flow);
        if (flow->held && !flow->over && fds[1].revents & (POLLOUT | POLLHUP | POLLERR))
            to_net(flow);
        if (fds[0].revents && !flow->over)
            from_stdin(flow);
        if (fds[2].revents && !flow->over)
            from_host(flow);
    }
}

/* Until both directions have ended; to a terminal, until the peer has. Closes fd. */
static int carry(struct cli_reach *reach, const struct nc_words *words, int fd)
{
    struct nc_flow flow = {.reach = reach, .words = words, .fd = fd, .in_ended = words->no_stdin};
    bool tty = isatty(STDIN_FILENO);
    while (!flow.over && !(flow.out_ended && (flow.in_ended || tty) && flow.held == 0))
        turn(&flow);
    /* Why it has ended may stand behind the end itself. */
    struct pollfd host = {reach->ask.fd, POLLIN, 0};
    if (!flow.over && (wr_cli_ask_pending(&reach->ask) || poll(&host, 1, 20) > 0))
        from_host(&flow);
    close(fd);
    return flow.status;
}

/* ---- connecting ------------------------------------------------------------------------------- */

/* The next line that is no news of a connection from before. NULL if it takes longer than -w says
 * (*late), or after telling. */
static json_t *next_answer(struct cli_reach *reach, int wait, bool *late)
{
    struct pollfd host = {reach->ask.fd, POLLIN, 0};
    json_t *said = NULL;
    *late = false;
    do {
        json_decref(said);
        if (!wr_cli_ask_pending(&reach->ask) && poll(&host, 1, wait) <= 0) {
            *late = true;
            return NULL;
        }
        said = wr_cli_ask_next(&reach->ask);
    } while (json_object_get(said, "end") || json_object_get(said, "trouble"));
    return said;
}

/* Waits for the answer, `wait` ms at most. NULL after telling (not when `quiet`). */
static json_t *answer(struct cli_reach *reach, int wait, const char *what, bool quiet)
{
    bool late;
    json_t *said = next_answer(reach, wait, &late);
    const char *error = said ? wr_cli_ask_error(said) : NULL;
    if (late && !wr_cli_caught) {
        if (!quiet)
            wr_cli_error("%s: timed out", what);
        wr_cli_reach_again(reach); /* takes the question back */
    }
    if (!error)
        return said;
    if (!quiet)
        wr_cli_error("%s: %s", what, error);
    json_decref(said);
    return NULL;
}

static int taken(struct cli_reach *reach)
{
    int fd = reach->ask.passed;
    reach->ask.passed = -1;
    return fd;
}

/* A descriptor, or -1. */
static int open_to(struct cli_reach *reach, const struct nc_words *words, const char *addr,
                   int port, bool quiet)
{
    char what[128];
    bool v6 = strchr(addr, ':') != NULL;
    json_t *local = NULL;
    snprintf(what, sizeof what, "nc: %s port %d", addr, port);
    if (words->source || words->source_port)
        local = wr_cli_end(words->source ? words->source
                           : v6          ? "::"
                                         : "0.0.0.0",
                           words->source_port ? atoi(words->source_port) : 0);
    json_t *request = json_pack("{s:s, s:s, s:i, s:o, s:o*}", "op", "open", "type",
                                words->udp ? "dgram" : "stream", "family", v6 ? 6 : 4, "peer",
                                wr_cli_end(addr, port), "local", local);
    json_t *said =
        wr_cli_ask_send(&reach->ask, request) ? answer(reach, words->wait_ms, what, quiet) : NULL;
    if (said && words->verbose)
        wr_cli_error("nc: connected to %s port %d", addr, port);
    int fd = said ? taken(reach) : -1;
    json_decref(said);
    return fd;
}

static int connect_to(struct cli_reach *reach, const struct nc_words *words)
{
    char addrs[CLI_ADDRS_MAX][64];
    int n = wr_cli_resolve(words->name, words->family, addrs, CLI_ADDRS_MAX), fd = -1;
    for (int i = 0; i < n && fd < 0 && !wr_cli_caught && !reach->ask.failed; i++)
        fd = open_to(reach, words, addrs[i], atoi(words->port), false);
    return fd < 0 ? 1 : carry(reach, words, fd);
}

static bool scan_one(struct cli_reach *reach, const struct nc_words *words, const char *addr,
                     int port)
{
    int fd = open_to(reach, words, addr, port, !words->verbose);
    if (fd >= 0) {
        printf("%s %d open\n", addr, port);
        fflush(stdout);
        close(fd);
    }
    return fd >= 0;
}

/* 0 if any port is open. */
static int scan(struct cli_reach *reach, const struct nc_words *words, char **ports, int n_ports)
{
    char addrs[CLI_ADDRS_MAX][64];
    bool any = false;
    if (wr_cli_resolve(words->name, words->family, addrs, 1) == 0)
        return 1;
    for (int i = 0; i < n_ports; i++) {
        int first = atoi(ports[i]), last = first;
        const char *dash = strchr(ports[i], '-');
        if (dash)
            last = atoi(dash + 1);
        for (int port = first; port <= last && !wr_cli_caught && !reach->ask.failed; port++)
            any |= scan_one(reach, words, addrs[0], port);
    }
    return any ? 0 : 1;
}

/* ---- listening -------------------------------------------------------------------------------- */

static void tell_peer(const json_t *said)
{
    const json_t *peer = json_object_get(said, "peer");
    const char *addr = json_string_value(json_object_get(peer, "addr"));
    wr_cli_error("nc: connection from %s port %d", addr ? addr : "?",
                 (int)json_integer_value(json_object_get(peer, "port")));
}

static int accept_one(struct cli_reach *reach, const struct nc_words *words)
{
    json_t *request = json_pack("{s:s}", "op", "accept");
    json_t *said = wr_cli_ask_send(&reach->ask, request) ? answer(reach, -1, "nc", false) : NULL;
    if (said && words->verbose)
        tell_peer(said);
    int fd = said ? taken(reach) : -1;
    json_decref(said);
    return fd < 0 ? 1 : carry(reach, words, fd);
}

static int listen_on(struct cli_reach *reach, const struct nc_words *words)
{
    const char *any = words->family == AF_INET6 ? "::" : "0.0.0.0";
    const char *addr = words->name ? words->name : words->source ? words->source : any;
    json_t *request =
        json_pack("{s:s, s:s, s:i, s:o}", "op", words->udp ? "open" : "listen", "type",
                  words->udp ? "dgram" : "stream", "family", strchr(addr, ':') ? 6 : 4, "local",
                  wr_cli_end(addr, atoi(words->port)));
    json_t *said = wr_cli_ask(&reach->ask, request, "nc: cannot listen");
    int status = said ? 0 : 1;
    if (said && words->verbose)
        wr_cli_error(
            "nc: listening on %s port %d", addr,
            (int)json_integer_value(json_object_get(json_object_get(said, "local"), "port")));
    if (said && words->udp)
        status = carry(reach, words, taken(reach));
    else if (said)
        do
            status = accept_one(reach, words);
        while (words->keep && !wr_cli_caught && !reach->ask.failed);
    json_decref(said);
    return status;
}

/* ---- words ------------------------------------------------------------------------------------ */

static bool seconds(const char *text, int *ms)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || value < 0 || value > 1e6) {
        wr_cli_error("nc: \"%s\" is no number of seconds", text);
        return false;
    }
    *ms = (int)(value * 1000);
    return true;
}

static bool is_port(const char *text, bool range)
{
    char *end;
    long first = strtol(text, &end, 10), last = first;
    if (range && end != text && *end == '-')
        last = strtol(end + 1, &end, 10);
    if (end != text && *end == '\0' && first >= 0 && first <= last && last <= 65535)
        return true;
    wr_cli_error("nc: \"%s\" is no port", text);
    return false;
}

static bool take_option(void *arg, int option)
{
    struct nc_words *words = arg;

    switch (option) {
    case 'H':
        words->host = optarg;
        return true;
    case 'l':
        words->listen = true;
        return true;
    case 'k':
        words->keep = true;
        return true;
    case 'u':
        words->udp = true;
        return true;
    case 'z':
        words->scan = true;
        return true;
    case 'v':
        words->verbose = true;
        return true;
    case 'd':
        words->no_stdin = true;
        return true;
    case 'N': /* what it does anyhow */
    case 'n':
        return true;
    case 'w':
        return seconds(optarg, &words->wait_ms);
    case 'q':
        return seconds(optarg, &words->quit_ms);
    case 's':
        words->source = optarg;
        return true;
    case 'p':
        words->source_port = optarg;
        return is_port(optarg, false);
    case '4':
    case '6':
        words->family = option == '4' ? AF_INET : AF_INET6;
        return true;
    default:
        return wr_cli_link_option(&words->link, option, optarg);
    }
}

/* HOST PORT, or when listening [ADDRESS] PORT, or only -p PORT. */
static bool take_places(struct nc_words *words, char **places, int n)
{
    if (words->listen && n == 0 && words->source_port) {
        words->port = words->source_port;
        return true;
    }
    if (words->listen ? n < 1 || n > 2 : words->scan ? n < 2 : n != 2) {
        wr_cli_error(words->listen ? "nc: listen on what? weir nc -l [ADDRESS] PORT"
                                   : "nc: connect to what? weir nc HOST PORT");
        return false;
    }
    words->name = words->listen && n == 1 ? NULL : places[0];
    words->port = places[n - 1];
    for (int i = words->name ? 1 : 0; i < n; i++)
        if (!is_port(places[i], words->scan))
            return false;
    if (words->scan && (words->udp || words->listen)) {
        wr_cli_error("nc: -z goes neither with -u, whose ports do not answer, nor with -l");
        return false;
    }
    return true;
}

/* 0: go on; else the exit status plus one. */
static int read_words(int argc, char **argv, struct nc_words *words)
{
    static const struct option long_options[] = {
        CLI_LINK_OPTIONS,
        {"host", required_argument, NULL, 'H'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static const struct cli_options options = {"nc", help, "lkuzvdNnw:q:s:p:46h", long_options,
                                               take_option};
    int status = wr_cli_options(&options, argc, argv, words);

    if (status)
        return status;
    bool good = take_places(words, argv + optind, argc - optind) && wr_cli_link_check(&words->link);
    return good ? 0 : CLI_USAGE + 1;
}

int wr_cli_nc(int argc, char **argv)
{
    struct nc_words words = {.wait_ms = -1, .quit_ms = -1};
    struct cli_reach reach;
    int status = read_words(argc, argv, &words);
    if (status)
        return status - 1;
    wr_cli_catch();
    if (!wr_cli_reach_open(&reach, "nc", words.host, &words.link))
        return 1;
    if (words.scan)
        status = scan(&reach, &words, argv + optind + 1, argc - optind - 1);
    else
        status = words.listen ? listen_on(&reach, &words) : connect_to(&reach, &words);
    wr_cli_reach_close(&reach);
    return wr_cli_caught ? 128 + wr_cli_caught : status;
}
