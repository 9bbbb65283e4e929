/* SPDX-License-Identifier: MIT */
/*
 * weir trace: what the TCP of a running host decides, and why, a line a decision.
 *
 * The host gives the lines over a descriptor of its own (control.h, "trace"), text or JSON, as they are shown here.
 * Two lines are the host's own words, objects in either form: {"lost":N}, where records are missing, and the last
 * one, {"end":true,...}. The end is in two steps, as that of `weir capture`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_ask.h"
#include "cli/cli_reach.h"

enum { LAST_WORDS_MS = 2000, BUFFER = 1 << 16 };

struct trace_words {
    const char *host, *connection;
    long count;
    bool json, quiet;
};

struct trace_run {
    const struct trace_words *words;
    int fd;
    uint64_t shown, lost;
    bool failed, told_to_end, ended, said_end;
    size_t len;
    char buffer[BUFFER]; /* what has come and is not yet a whole line */
};

static const char help[] =
    "usage: weir trace [OPTIONS] [CONNECTION]\n"
    "\n"
    "Follows what the TCP of a running host decides, a line each: what was sent and why, what was taken\n"
    "for lost and by which rule, recovery, timers, windows, states, drops; with the connection's windows and\n"
    "times of that moment. CONNECTION is an address with its port, or a port, of either end.\n"
    "\n"
    "  --host HOST  which running host; not needed when only one is\n"
    "  -J           JSON, an object a line; {\"lost\":N} where records are missing\n"
    "  -c COUNT     end after so many records\n"
    "  -q           do not say the counts at the end\n"
    "\n"
    "^C ends it. The host does not wait: records that this is too slow for are lost, and counted. Exit\n"
    "status: 0; 125 if the host cannot be asked.\n";

/* ---- lines ---------------------------------------------------------------------------------------- */

static bool has_enough(const struct trace_run *run)
{
    return run->words->count > 0 && run->shown >= (uint64_t)run->words->count;
}

/* Words of the host's own: a record in JSON begins with its time. */
static bool is_word(const char *line)
{
    return line[0] == '{' && strncmp(line, "{\"at\"", 5) != 0;
}

static void take_word(struct trace_run *run, const char *line)
{
    json_t *word = json_loads(line, 0, NULL);
    uint64_t lost = (uint64_t)json_integer_value(json_object_get(word, "lost"));
    if (json_is_true(json_object_get(word, "end"))) {
        run->said_end = true;
        run->lost = lost;
    } else if (lost > 0 && !has_enough(run)) {
        run->lost += lost;
        if (run->words->json)
            puts(line);
        else
            printf("... %llu lost\n", (unsigned long long)lost);
    }
    json_decref(word);
}

static void take_line(struct trace_run *run, const char *line)
{
    if (is_word(line)) {
        take_word(run, line);
    } else if (!has_enough(run)) {
        run->shown++;
        puts(line);
    }
}

static void take_lines(struct trace_run *run)
{
    char *line = run->buffer, *stop = run->buffer + run->len, *end;
    while ((end = memchr(line, '\n', (size_t)(stop - line))) != NULL) {
        *end = '\0';
        take_line(run, line);
        line = end + 1;
    }
    run->len = (size_t)(stop - line);
    memmove(run->buffer, line, run->len);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        wr_cli_error("cannot write: %s", strerror(errno));
        run->failed = true;
    }
}

static void read_some(struct trace_run *run)
{
    ssize_t n = recv(run->fd, run->buffer + run->len, BUFFER - run->len, MSG_DONTWAIT);
    if (n > 0) {
        run->len += (size_t)n;
        take_lines(run);
    } else if (n == 0) {
        run->ended = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        wr_cli_error("cannot read the host's records: %s", strerror(errno));
        run->failed = true;
    }
    if (run->len == BUFFER) {
        wr_cli_error("the host's records cannot be read: a line does not end");
        run->failed = true;
    }
}

/* ---- the whole -------------------------------------------------------------------------------------- */

static void go(struct trace_run *run)
{
    weir_time until = WEIR_TIME_NEVER;
    while (!run->failed && !run->ended && weir_now() < until) {
        if ((wr_cli_caught || has_enough(run)) && !run->told_to_end) {
            shutdown(run->fd, SHUT_WR);
            run->told_to_end = true;
            until = weir_now() + LAST_WORDS_MS * WEIR_MS;
        }
        struct pollfd pollfd = {run->fd, POLLIN, 0};
        if (poll(&pollfd, 1, run->told_to_end ? 100 : -1) > 0)
            read_some(run);
    }
    if (run->failed || run->words->quiet)
        return;
    if (run->ended && !run->told_to_end)
        fprintf(stderr, "the host has ended\n");
    fprintf(stderr, "%llu records\n%llu records lost, for this was too slow%s\n",
            (unsigned long long)run->shown, (unsigned long long)run->lost,
            run->said_end ? "" : "; the end is missing");
}

static int trace(const struct trace_words *words)
{
    struct trace_run *run = calloc(1, sizeof *run);
    struct cli_ask ask;
    if (!run || !wr_cli_ask_open(&ask, words->host)) {
        if (!run)
            wr_cli_error("out of memory");
        free(run);
        return CLI_FAILED;
    }
    wr_cli_catch();
    run->words = words;
    json_t *answer = wr_cli_ask(&ask,
                                json_pack("{s:s, s:s*, s:b}", "op", "trace", "connection",
                                          words->connection, "text", !words->json),
                                words->connection ? words->connection : "trace");
    run->failed = answer == NULL;
    json_decref(answer);
    if (!run->failed) {
        run->fd = ask.passed;
        go(run);
    }
    wr_cli_ask_close(&ask);
    int status = run->failed ? CLI_FAILED : 0;
    free(run);
    return status;
}

/* ---- words ------------------------------------------------------------------------------------------ */

static bool take_option(void *arg, int option)
{
    struct trace_words *words = arg;

    switch (option) {
    case 'H':
        words->host = optarg;
        return true;
    case 'J':
        words->json = true;
        return true;
    case 'q':
        words->quiet = true;
        return true;
    default:
        return wr_cli_count(optarg, &words->count);
    }
}

int wr_cli_trace(int argc, char **argv)
{
    static const struct option long_options[] = {{"help", no_argument, NULL, 'h'},
                                                 {"host", required_argument, NULL, 'H'},
                                                 {NULL, 0, NULL, 0}};
    static const struct cli_options options = {"trace", help, "hJc:q", long_options, take_option};
    struct trace_words words = {0};
    int status = wr_cli_options(&options, argc, argv, &words);

    if (status)
        return status - 1;
    if (argc - optind > 1) {
        wr_cli_error("one connection only: weir trace [OPTIONS] [CONNECTION]");
        return CLI_USAGE;
    }
    words.connection = argv[optind];
    return trace(&words);
}
