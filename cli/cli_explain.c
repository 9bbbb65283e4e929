/* SPDX-License-Identifier: MIT */
/*
 * weir explain: why a connection is slow or broken, in sentences.
 *
 * Of a capture, of any stack's: sight/ has the judgement. Of a connection of a running host: what its sockets'
 * counters tell (TCP_INFO), and then what a short capture of its packets shows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_ask.h"
#include "cli/cli_reach.h"
#include "sight/sight_say.h"

enum { SECONDS_MAX = 86400 };

struct explain_words {
    const char *connection; /* only those with an end that is called so; NULL: all */
    bool json;
    long seconds; /* that a running host is watched */
};

static const char help[] =
    "usage: weir explain [OPTIONS] FILE [CONNECTION]\n"
    "       weir explain [OPTIONS] HOST CONNECTION\n"
    "\n"
    "Says in sentences why connections are slow or broken, with the share of time and the packets that\n"
    "show it: of a capture (pcapng or pcap, of any stack; those of `weir capture` tell most), or of\n"
    "a running host's connection, by watching it for a while. CONNECTION is an address with its port, or a\n"
    "port, of either end.\n"
    "\n"
    "  -t SECONDS  watch so long (3)\n"
    "  -J          JSON, an object for each connection\n"
    "\n"
    "Exit status: 0 if all are healthy, 1 if something is wrong, 2 for wrong words, 125 if it cannot be read.\n";

/* ---- packets --------------------------------------------------------------------------------------- */

static bool is_called(const struct sight_flow *flow, const char *name)
{
    char text[64], port[8];
    for (int side = 0; name && side < 2; side++) {
        sight_end_text(&flow->end[side], text);
        snprintf(port, sizeof port, "%u", flow->end[side].port);
        if (strcmp(text, name) == 0 || strcmp(port, name) == 0)
            return true;
    }
    return name == NULL;
}

/* The exit status. */
static int say_all(const struct sight_flows *flows, const struct explain_words *words)
{
    bool any = false, wrong = false;
    for (size_t i = 0; i < flows->n; i++) {
        const struct sight_flow *flow = &flows->flows[i];
        struct sight_verdict verdict;
        if (!is_called(flow, words->connection))
            continue;
        if (!sight_judge(flow, &verdict)) {
            wr_cli_error("out of memory");
            return CLI_FAILED;
        }
        any = true;
        wrong |= !sight_is_healthy(&verdict);
        if (words->json) {
            json_t *object = sight_json(flow, &verdict);
            json_dumpf(object, stdout, JSON_COMPACT);
            putchar('\n');
            json_decref(object);
        } else {
            sight_say(stdout, flow, &verdict);
        }
    }
    if (!any)
        wr_cli_error(words->connection ? "no connection %s was seen" : "no TCP connection was seen",
                     words->connection);
    return !any ? CLI_FAILED : wrong;
}

static bool take_packets(struct sight_reader *reader, struct sight_flows *flows)
{
    struct sight_packet packet;
    enum sight_item item;
    while ((item = sight_next(reader, &packet)) == SIGHT_PACKET || item == SIGHT_BLOCK)
        if (item == SIGHT_PACKET && !sight_flows_add(flows, &packet)) {
            wr_cli_error("out of memory");
            return false;
        }
    if (item == SIGHT_BAD)
        wr_cli_error("it ends too early: %s", reader->trouble);
    return item == SIGHT_NOTHING || flows->n > 0;
}

static int explain_file(const char *path, const struct explain_words *words)
{
    struct sight_reader reader;
    struct sight_flows flows = {0};
    const char *why;
    if (sight_open(&reader, path, &why) != 0) {
        wr_cli_error("%s: %s", path, why);
        return CLI_FAILED;
    }
    int status = take_packets(&reader, &flows) ? say_all(&flows, words) : CLI_FAILED;
    sight_flows_free(&flows);
    sight_reader_free(&reader);
    return status;
}

/* ---- a running host -------------------------------------------------------------------------------------- */

static double info_of(const json_t *row, const char *name)
{
    return (double)json_integer_value(json_object_get(json_object_get(row, "info"), name));
}

static void say_share(const char *what, double part, double of)
{
    if (of > 0 && part / of >= 0.01)
        printf("  %s for %.0f %% of the time that it had something to send.\n", what,
               part * 100 / of);
}

static const char *end_of(const json_t *row, const char *which, char text[64])
{
    const json_t *end = json_object_get(row, which);
    const char *addr = json_string_value(json_object_get(end, "addr"));
    snprintf(text, 64, addr && strchr(addr, ':') ? "[%s]:%d" : "%s:%d", addr ? addr : "?",
             (int)json_integer_value(json_object_get(end, "port")));
    return text;
}

static bool row_is(const json_t *row, const char *name)
{
    static const char *const ends[] = {"local", "peer"};
    const char *type = json_string_value(json_object_get(row, "type"));
    const char *state = json_string_value(json_object_get(row, "state"));
    if (!type || strcmp(type, "tcp") != 0 || !state || strcmp(state, "LISTEN") == 0)
        return false;
    for (int i = 0; i < 2; i++) {
        char text[64], port[8];
        snprintf(port, sizeof port, "%d",
                 (int)json_integer_value(json_object_get(json_object_get(row, ends[i]), "port")));
        if (strcmp(end_of(row, ends[i], text), name) == 0 || strcmp(port, name) == 0)
            return true;
    }
    return false;
}

/* What the connection's counters tell of all its life. */
static void say_row(const json_t *row)
{
    char local[64], peer[64];
    double busy = info_of(row, "busy_time"), sent = info_of(row, "data_segs_out");
    printf("%s to %s: %s, cwnd %.0f segments, round trip %.3f ms\n", end_of(row, "local", local),
           end_of(row, "peer", peer), json_string_value(json_object_get(row, "state")),
           info_of(row, "snd_cwnd"), info_of(row, "rtt") / 1000);
    say_share("It was limited by the peer's window", info_of(row, "rwnd_limited"), busy);
    say_share("It was limited by its own send buffer", info_of(row, "sndbuf_limited"), busy);
    if (sent > 0 && info_of(row, "total_retrans") > 0)
        printf(
            "  %.0f of %.0f segments were sent again, %.2g %%; %.0f after time-outs' recoveries.\n",
            info_of(row, "total_retrans"), sent, info_of(row, "total_retrans") * 100 / sent,
            info_of(row, "total_rto_recoveries"));
    if (info_of(row, "dsack_dups") > 0)
        printf("  %.0f of these in vain: the peer had them already.\n", info_of(row, "dsack_dups"));
    if (info_of(row, "reord_seen") > 0)
        printf("  The path reorders: seen %.0f times.\n", info_of(row, "reord_seen"));
    if (info_of(row, "backoff") > 0)
        printf("  Now it waits for an answer; the time-out has been doubled %.0f times.\n",
               info_of(row, "backoff"));
    if (json_integer_value(json_object_get(row, "send_q")) == 0)
        printf("  Nothing waits to be sent: it is up to the application.\n");
    else
        printf("  %lld bytes wait to be sent or acknowledged.\n",
               (long long)json_integer_value(json_object_get(row, "send_q")));
    if (json_integer_value(json_object_get(row, "recv_q")) > 0)
        printf("  %lld bytes wait to be read by its program.\n",
               (long long)json_integer_value(json_object_get(row, "recv_q")));
}

/* How many connections of that name there are. */
static int say_rows(struct cli_ask *ask, const struct explain_words *words)
{
    int n = 0;
    if (!wr_cli_ask_send(ask, json_pack("{s:s, s:b}", "op", "sockets", "info", 1)))
        return -1;
    for (json_t *row; (row = wr_cli_ask_next(ask)); json_decref(row)) {
        if (!row_is(row, words->connection))
            continue;
        n++;
        if (words->json)
            json_dumpf(row, stdout, JSON_COMPACT);
        else
            say_row(row);
        if (words->json)
            putchar('\n');
    }
    return ask->failed ? -1 : n;
}

static bool watch(int fd, struct sight_reader *reader, struct sight_flows *flows, long seconds)
{
    weir_time until = weir_now() + seconds * WEIR_SEC;
    bool ended = false, told = false;
    while (!ended && weir_now() < until + WEIR_SEC) {
        struct pollfd pollfd = {fd, POLLIN, 0};
        size_t room;
        if (!told && (wr_cli_caught || weir_now() >= until))
            told = shutdown(fd, SHUT_WR) == 0 || true;
        if (poll(&pollfd, 1, 50) <= 0)
            continue;
        uint8_t *to = sight_room(reader, 1 << 16, &room);
        ssize_t n = to ? recv(fd, to, room, MSG_DONTWAIT) : -1;
        ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
        if (n > 0) {
            sight_fed(reader, (size_t)n);
            if (!take_packets(reader, flows))
                return false;
        }
    }
    return true;
}

static int explain_host(const char *host, const struct explain_words *words)
{
    struct cli_ask ask;
    struct sight_reader reader = {0};
    struct sight_flows flows = {0};
    int status = CLI_FAILED;
    if (!wr_cli_ask_open(&ask, host))
        return CLI_FAILED;
    wr_cli_catch();
    int rows = say_rows(&ask, words);
    json_t *answer =
        rows < 0 ? NULL : wr_cli_ask(&ask, json_pack("{s:s}", "op", "capture"), "capture");
    if (answer && watch(ask.passed, &reader, &flows, words->seconds)) {
        bool seen = false;
        for (size_t i = 0; i < flows.n && !seen; i++)
            seen = is_called(&flows.flows[i], words->connection);
        if (seen && !words->json)
            printf("In the last %ld s:\n", words->seconds);
        if (seen)
            status = say_all(&flows, words);
        else if (rows > 0)
            status = 0;
        else
            wr_cli_error("the host has no connection %s", words->connection);
        if (!seen && rows > 0 && !words->json)
            printf("  No packet of it was seen in %ld s.\n", words->seconds);
    }
    json_decref(answer);
    wr_cli_ask_close(&ask);
    sight_flows_free(&flows);
    sight_reader_free(&reader);
    return status;
}

/* ---- words -------------------------------------------------------------------------------------------------- */

static bool take_option(void *arg, int option)
{
    struct explain_words *words = arg;

    if (option == 'J') {
        words->json = true;
        return true;
    }
    if (!wr_cli_count(optarg, &words->seconds))
        return false;
    if (words->seconds > SECONDS_MAX)
        wr_cli_error("-t: at most %d seconds", SECONDS_MAX);
    return words->seconds <= SECONDS_MAX;
}

int wr_cli_explain(int argc, char **argv)
{
    static const struct option long_options[] = {{"help", no_argument, NULL, 'h'},
                                                 {NULL, 0, NULL, 0}};
    static const struct cli_options options = {"explain", help, "hJt:", long_options, take_option};
    struct explain_words words = {.seconds = 3};
    int status = wr_cli_options(&options, argc, argv, &words);

    if (status)
        return status - 1;
    if (argc - optind < 1 || argc - optind > 2) {
        wr_cli_error("weir explain FILE [CONNECTION], or weir explain HOST CONNECTION");
        return CLI_USAGE;
    }
    words.connection = argv[optind + 1];
    struct stat what;
    if (!words.connection || (stat(argv[optind], &what) == 0 && !S_ISDIR(what.st_mode)))
        return explain_file(argv[optind], &words);
    return explain_host(argv[optind], &words);
}
