/* SPDX-License-Identifier: MIT */
/*
 * weir ping: echo requests from a running host, or from one of its own, in ping(8)'s words.
 *
 * Requests go and replies come as ICMP messages over a ping socket of the host (weir/control.h). What
 * time a reply took is measured here, the way to the host and back included.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_reach.h"

enum { SEQS = 65536, HEAD = 8, DATA_MAX = 65000 };

struct ping_words {
    struct cli_link_words link;
    const char *host, *name;
    long count;                             /* 0: for ever */
    weir_time interval, patience, deadline; /* 0: none */
    size_t size;
    int family;
    bool quiet;
};

struct ping_run {
    const struct ping_words *words;
    struct cli_reach *reach;
    int fd;
    bool v6, failed;
    char addr[64];
    uint8_t *message;
    weir_time started_at, next_at, last_at; /* last_at: of the last request */
    weir_time sent_at[SEQS];                /* 0: not sent */
    bool answered[SEQS];
    long sent, received, duplicates, errors;
    double min, max, sum, squares; /* of the times, in ms */
};

static const char help[] =
    "usage: weir ping [OPTIONS] HOST\n"
    "\n"
    "Sends echo requests to HOST from a running host, or, with --tun, from a host of its own.\n"
    "\n"
    "  --host HOST     which running host; not needed when only one is\n"
    "  --tun NAME[,ADDR/PREFIX...][,gw=ADDR...][,kernel=ADDR/PREFIX...]\n"
    "                  a host of its own on a TUN device; its link as for `weir run`: also --tap,\n"
    "                  --packet, --xdp; --netns, --addr, --gw, --mtu, --impair, --pcap, --seed,\n"
    "                  --busy-poll\n"
    "  -c COUNT        stop after so many requests\n"
    "  -i SECONDS      between two requests (1)\n"
    "  -W SECONDS      wait so long for the last reply (1)\n"
    "  -w SECONDS      stop after this time, whatever came\n"
    "  -s BYTES        of data in each request (56)\n"
    "  -4, -6          addresses of this family only\n"
    "  -q              only say the sum\n"
    "\n"
    "Exit status: 0 if a reply came, 1 if none did, 2 if it could not be tried.\n";

/* ---- requests and replies --------------------------------------------------------------------- */

static void send_request(struct ping_run *run, weir_time now)
{
    uint16_t seq = (uint16_t)(run->sent + 1);
    memset(run->message, 0, HEAD); /* identifier and checksum are the host's to fill in */
    run->message[0] = run->v6 ? 128 : 8;
    run->message[6] = (uint8_t)(seq >> 8);
    run->message[7] = (uint8_t)seq;
    for (size_t i = 0; i < run->words->size; i++)
        run->message[HEAD + i] = (uint8_t)i;
    if (send(run->fd, run->message, HEAD + run->words->size, MSG_NOSIGNAL) < 0)
        run->failed = errno != EINTR && errno != EAGAIN;
    run->sent_at[seq] = run->last_at = now;
    run->answered[seq] = false;
    run->sent++;
    run->next_at = now + run->words->interval;
}

static void count(struct ping_run *run, double ms)
{
    if (run->received++ == 0)
        run->min = run->max = ms;
    run->min = ms < run->min ? ms : run->min;
    run->max = ms > run->max ? ms : run->max;
    run->sum += ms;
    run->squares += ms * ms;
}

static bool data_is_ours(const struct ping_run *run, ssize_t n)
{
    if ((size_t)n != HEAD + run->words->size)
        return false;
    for (size_t i = 0; i < run->words->size; i++)
        if (run->message[HEAD + i] != (uint8_t)i)
            return false;
    return true;
}

static void take_reply(struct ping_run *run)
{
    ssize_t n = recv(run->fd, run->message, HEAD + DATA_MAX, MSG_DONTWAIT);
    weir_time now = weir_now();
    if (n <= 0) {
        run->failed |= n == 0;
        return;
    }
    uint16_t seq = (uint16_t)(n < HEAD ? 0 : run->message[6] << 8 | run->message[7]);
    if (n < HEAD || run->sent_at[seq] == 0)
        return;
    bool again = run->answered[seq], ours = data_is_ours(run, n);
    double ms = (double)(now - run->sent_at[seq]) / (double)WEIR_MS;
    run->answered[seq] = true;
    if (again)
        run->duplicates++;
    else
        count(run, ms);
    if (run->words->quiet)
        return;
    printf("%zd bytes from %s: icmp_seq=%u time=%.3g ms%s%s\n", n, run->addr, seq, ms,
           again ? " (DUP!)" : "", ours ? "" : " (wrong data!)");
    fflush(stdout);
}

/* Errors that came by ICMP, or from the host itself. */
static void take_trouble(struct ping_run *run)
{
    do {
        json_t *said = wr_cli_ask_next(&run->reach->ask);
        const char *text = json_string_value(json_object_get(said, "text"));
        run->failed |= !said || json_object_get(said, "end");
        if (text) {
            run->errors++;
            if (!run->words->quiet)
                printf("to %s: %s\n", run->addr, text);
        }
        json_decref(said);
    } while (!run->failed && wr_cli_ask_pending(&run->reach->ask));
}

/* ---- the whole -------------------------------------------------------------------------------- */

static bool all_sent(const struct ping_run *run)
{
    return run->words->count > 0 && run->sent >= run->words->count;
}

/* When there is nothing more to wait for. */
static bool done(const struct ping_run *run, weir_time now)
{
    const struct ping_words *words = run->words;
    if (run->failed || wr_cli_caught ||
        (words->deadline && now >= run->started_at + words->deadline))
        return true;
    return all_sent(run) &&
           (run->received + run->errors >= run->sent || now >= run->last_at + words->patience);
}

static int wait_ms(const struct ping_run *run, weir_time now)
{
    weir_time at = all_sent(run) ? run->last_at + run->words->patience : run->next_at;
    if (run->words->deadline)
        at = weir_time_min(at, run->started_at + run->words->deadline);
    return at <= now ? 0 : (int)((at - now + WEIR_MS - 1) / WEIR_MS);
}

static void go(struct ping_run *run)
{
    weir_time now = weir_now();
    run->started_at = now;
    while (!done(run, now)) {
        if (!all_sent(run) && now >= run->next_at)
            send_request(run, now);
        struct pollfd fds[2] = {{run->fd, POLLIN, 0}, {run->reach->ask.fd, POLLIN, 0}};
        if (poll(fds, 2, wait_ms(run, now)) > 0) {
            if (fds[0].revents)
                take_reply(run);
            if (fds[1].revents)
                take_trouble(run);
        }
        now = weir_now();
    }
}

static void tell_sum(const struct ping_run *run)
{
    long lost = run->sent - run->received;
    printf("\n--- %s ping statistics ---\n", run->words->name);
    printf("%ld packets transmitted, %ld received", run->sent, run->received);
    if (run->duplicates)
        printf(", +%ld duplicates", run->duplicates);
    if (run->errors)
        printf(", +%ld errors", run->errors);
    printf(", %.6g%% packet loss, time %lldms\n",
           run->sent ? 100.0 * (double)lost / (double)run->sent : 0,
           (long long)((run->last_at - run->started_at) / WEIR_MS));
    if (run->received > 0) {
        double mean = run->sum / (double)run->received;
        double variance = run->squares / (double)run->received - mean * mean;
        printf("rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", run->min, mean, run->max,
               sqrt(variance > 0 ? variance : 0));
    }
}

static bool open_ping(struct ping_run *run)
{
    json_t *request = json_pack("{s:s, s:s, s:i, s:o}", "op", "open", "type", "ping", "family",
                                run->v6 ? 6 : 4, "peer", wr_cli_end(run->addr, 0));
    json_t *said = wr_cli_ask(&run->reach->ask, request, "ping");
    run->fd = run->reach->ask.passed;
    run->reach->ask.passed = -1;
    json_decref(said);
    return said != NULL && run->fd >= 0;
}

static int ping(struct cli_reach *reach, const struct ping_words *words, const char *addr)
{
    struct ping_run *run = calloc(1, sizeof *run);
    uint8_t *message = malloc(HEAD + DATA_MAX);
    int status = 2;
    if (run && message) {
        run->words = words;
        run->reach = reach;
        run->message = message;
        run->v6 = strchr(addr, ':') != NULL;
        snprintf(run->addr, sizeof run->addr, "%s", addr);
        if (open_ping(run)) {
            printf("PING %s (%s) %zu(%zu) bytes of data.\n", words->name, addr, words->size,
                   words->size + HEAD + (run->v6 ? 40 : 20));
            go(run);
            tell_sum(run);
            close(run->fd);
            status = run->received > 0 ? 0 : run->failed ? 2 : 1;
        }
    } else {
        wr_cli_error("out of memory");
    }
    free(message);
    free(run);
    return status;
}

/* ---- words ------------------------------------------------------------------------------------ */

static bool number(const char *text, double most, double *value)
{
    char *end;
    *value = strtod(text, &end);
    if (end != text && *end == '\0' && *value >= 0 && *value <= most)
        return true;
    wr_cli_error("ping: \"%s\" is no number from 0 to %g", text, most);
    return false;
}

static bool seconds(const char *text, weir_time *time)
{
    double value;
    bool ok = number(text, 1e6, &value);
    if (ok)
        *time = (weir_time)(value * (double)WEIR_SEC);
    return ok;
}

static bool take_option(void *arg, int option)
{
    struct ping_words *words = arg;
    double value;
    switch (option) {
    case 'H':
        words->host = optarg;
        return true;
    case 'c':
        if (!number(optarg, 1e9, &value))
            return false;
        words->count = (long)value;
        return true;
    case 's':
        if (!number(optarg, DATA_MAX, &value))
            return false;
        words->size = (size_t)value;
        return true;
    case 'i':
        return seconds(optarg, &words->interval);
    case 'W':
        return seconds(optarg, &words->patience);
    case 'w':
        return seconds(optarg, &words->deadline);
    case 'q':
        words->quiet = true;
        return true;
    case 'n':
        return true;
    case '4':
    case '6':
        words->family = option == '4' ? AF_INET : AF_INET6;
        return true;
    default:
        return wr_cli_link_option(&words->link, option, optarg);
    }
}

/* 0: go on; else the exit status plus one. */
static int read_words(int argc, char **argv, struct ping_words *words)
{
    static const struct option long_options[] = {
        CLI_LINK_OPTIONS,
        {"host", required_argument, NULL, 'H'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static const struct cli_options options = {"ping", help, "c:i:W:w:s:qn46h", long_options,
                                               take_option};
    int status = wr_cli_options(&options, argc, argv, words);

    if (status)
        return status;
    if (optind + 1 != argc) {
        wr_cli_error("ping: name one host: weir ping [OPTIONS] HOST");
        return CLI_USAGE + 1;
    }
    words->name = argv[optind];
    if (words->interval < WEIR_MS)
        words->interval = WEIR_MS;
    return wr_cli_link_check(&words->link) ? 0 : CLI_USAGE + 1;
}

int wr_cli_ping(int argc, char **argv)
{
    struct ping_words words = {.interval = WEIR_SEC, .patience = WEIR_SEC, .size = 56};
    struct cli_reach reach;
    char addr[1][64];
    int status = read_words(argc, argv, &words);
    if (status)
        return status - 1;
    if (wr_cli_resolve(words.name, words.family, addr, 1) == 0)
        return 2;
    wr_cli_catch();
    if (!wr_cli_reach_open(&reach, "ping", words.host, &words.link))
        return 2;
    status = ping(&reach, &words, addr[0]);
    wr_cli_reach_close(&reach);
    return status;
}
