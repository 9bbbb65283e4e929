/* SPDX-License-Identifier: MIT */
/* weir sysctl: reads and sets the tunables of a running host, in sysctl(8)'s words. */
#define _GNU_SOURCE /* getline */
#include <errno.h>
#include <getopt.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_ask.h"

struct sysctl_words {
    const char *host, *load;
    bool all, write, quiet, ignore, names_only, values_only, no_newline, has_pattern;
    regex_t pattern;
};

static const char help[] =
    "usage: weir sysctl [OPTIONS] [NAME | NAME=VALUE]...\n"
    "\n"
    "Shows and sets the tunables of a running host, by Linux's names. What is set takes effect for\n"
    "what begins after, and is gone with the host.\n"
    "\n"
    "  --host HOST      which host: its name, process id, or both as NAME.PID; not needed when\n"
    "                   only one is running\n"
    "  -a, --all        show all of them\n"
    "  -r, --pattern RE only those whose name matches this extended regular expression\n"
    "  -w, --write      each word must be NAME=VALUE\n"
    "  -p, --load FILE  set what FILE says (\"-\": standard input): NAME = VALUE lines, # comments\n"
    "  -n, --values     show values without names;  -N, --names: names without values\n"
    "  -b, --binary     show values without names and newlines\n"
    "  -e, --ignore     say nothing of names that are not known\n"
    "  -q, --quiet      say nothing when a value is set\n";

/* ---- one tunable ------------------------------------------------------------------------------ */

static void show(const struct sysctl_words *words, const char *name, const char *value)
{
    if (words->has_pattern && regexec(&words->pattern, name, 0, NULL, 0) != 0)
        return;
    if (words->names_only)
        puts(name);
    else if (words->no_newline)
        fputs(value, stdout);
    else if (words->values_only)
        puts(value);
    else
        printf("%s = %s\n", name, value);
}

static void show_object(const struct sysctl_words *words, const json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *value = json_string_value(json_object_get(object, "value"));
    if (name && value)
        show(words, name, value);
}

/* "net/ipv4/tcp_sack" is the same name: as sysctl(8) says, what separates is the first of both. */
static void dots(char *name)
{
    if (name[strcspn(name, "./")] != '/')
        return;
    for (; *name; name++)
        *name = (char)(*name == '/' ? '.' : *name == '.' ? '/' : *name);
}

/* value NULL: only to be shown. False if that went wrong and was told. */
static bool ask_one(struct cli_ask *ask, const struct sysctl_words *words, const char *name,
                    const char *value)
{
    json_t *request = json_pack("{s:s, s:s, s:s*}", "op", "sysctl", "name", name, "value", value);
    json_t *answer = wr_cli_ask_send(ask, request) ? wr_cli_ask_next(ask) : NULL;
    const char *error = answer ? wr_cli_ask_error(answer) : NULL;
    bool ok = answer && !error;
    bool unknown = error && !value;
    if (error && value) { /* was it the name? */
        json_t *again = json_pack("{s:s, s:s}", "op", "sysctl", "name", name);
        json_t *known = wr_cli_ask_send(ask, again) ? wr_cli_ask_next(ask) : NULL;
        unknown = known && wr_cli_ask_error(known);
        json_decref(known);
    }
    if (unknown && words->ignore)
        ok = true;
    else if (unknown)
        wr_cli_error("sysctl: there is no %s", name);
    else if (error)
        wr_cli_error("sysctl: setting %s to \"%s\": %s", name, value, error);
    else if (ok && !(value && words->quiet))
        show_object(words, answer);
    json_decref(answer);
    return ok;
}

static char *trimmed(char *text)
{
    text += strspn(text, " \t");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\n\r", text[len - 1]))
        text[--len] = '\0';
    return text;
}

static bool word(struct cli_ask *ask, const struct sysctl_words *words, char *text)
{
    char *equals = strchr(text, '=');
    if (!equals && words->write) {
        wr_cli_error("sysctl: \"%s\" must be of the form NAME=VALUE", text);
        return false;
    }
    if (equals)
        *equals++ = '\0';
    char *name = trimmed(text);
    dots(name);
    return ask_one(ask, words, name, equals ? trimmed(equals) : NULL);
}

/* ---- many ------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;
    const char *p = json_string_value(json_object_get(*x, "name"));
    const char *q = json_string_value(json_object_get(*y, "name"));
    return strcmp(p ? p : "", q ? q : "");
}

static bool show_all(struct cli_ask *ask, const struct sysctl_words *words)
{
    json_t **rows = NULL, *row;
    size_t n = 0;
    bool ok = wr_cli_ask_send(ask, json_pack("{s:s}", "op", "sysctls"));
    while (ok && (row = wr_cli_ask_next(ask))) {
        json_t **more = realloc(rows, (n + 1) * sizeof(json_t *));
        if (!more) {
            json_decref(row);
            wr_cli_error("out of memory");
            ask->failed = true;
            break;
        }
        rows = more;
        rows[n++] = row;
    }
    if (n > 0)
        qsort(rows, n, sizeof *rows, by_name);
    for (size_t i = 0; i < n; i++) {
        show_object(words, rows[i]);
        json_decref(rows[i]);
    }
    free(rows);
    return !ask->failed;
}

static bool load(struct cli_ask *ask, const struct sysctl_words *words)
{
    bool std = strcmp(words->load, "-") == 0, ok = true;
    FILE *in = std ? stdin : fopen(words->load, "re");
    char *line = NULL;
    size_t cap = 0;
    if (!in) {
        wr_cli_error("sysctl: cannot read %s: %s", words->load, strerror(errno));
        return false;
    }
    for (int number = 1; getline(&line, &cap, in) >= 0 && !ask->failed; number++) {
        char *text = trimmed(line);
        if (*text == '\0' || *text == '#' || *text == ';')
            continue;
        if (strchr(text, '=')) {
            ok &= word(ask, words, text);
        } else {
            wr_cli_error("sysctl: %s:%d: not NAME = VALUE", words->load, number);
            ok = false;
        }
    }
    free(line);
    if (!std)
        fclose(in);
    return ok && !ask->failed;
}

/* ---- words ------------------------------------------------------------------------------------ */

static bool take_option(void *arg, int option)
{
    struct sysctl_words *words = arg;

    switch (option) {
    case 'H':
        words->host = optarg;
        return true;
    case 'a':
    case 'A':
    case 'X':
        words->all = true;
        return true;
    case 'w':
        words->write = true;
        return true;
    case 'p':
        words->load = optarg;
        return true;
    case 'n':
        words->values_only = true;
        return true;
    case 'N':
        words->names_only = true;
        return true;
    case 'b':
        words->no_newline = true;
        return true;
    case 'e':
        words->ignore = true;
        return true;
    case 'q':
        words->quiet = true;
        return true;
    case 'r':
        if (words->has_pattern)
            regfree(&words->pattern);
        words->has_pattern = regcomp(&words->pattern, optarg, REG_EXTENDED | REG_NOSUB) == 0;
        if (!words->has_pattern)
            wr_cli_error("sysctl: \"%s\" is no regular expression", optarg);
        return words->has_pattern;
    default:
        return false;
    }
}

/* 0: go on; else the exit status plus one. */
static int read_words(int argc, char **argv, struct sysctl_words *words)
{
    static const struct option long_options[] = {
        {"host", required_argument, NULL, 'H'}, {"all", no_argument, NULL, 'a'},
        {"write", no_argument, NULL, 'w'},      {"load", required_argument, NULL, 'p'},
        {"values", no_argument, NULL, 'n'},     {"names", no_argument, NULL, 'N'},
        {"binary", no_argument, NULL, 'b'},     {"ignore", no_argument, NULL, 'e'},
        {"quiet", no_argument, NULL, 'q'},      {"pattern", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
    };
    static const struct cli_options options = {"sysctl", help, "aAXwp:nNbeqr:h", long_options,
                                               take_option};
    int status = wr_cli_options(&options, argc, argv, words);

    if (status)
        return status;
    if (optind < argc || words->all || words->load || words->has_pattern)
        return 0;
    wr_cli_error("sysctl: name a tunable, or -a for all");
    return CLI_USAGE + 1;
}

int wr_cli_sysctl(int argc, char **argv)
{
    struct sysctl_words words = {0};
    struct cli_ask ask;
    bool ok = true;
    int status = read_words(argc, argv, &words);
    if (status == 0 && wr_cli_ask_open(&ask, words.host)) {
        if (words.all || (words.has_pattern && optind == argc))
            ok = show_all(&ask, &words);
        if (words.load)
            ok &= load(&ask, &words);
        for (int i = optind; i < argc && !ask.failed; i++)
            ok &= word(&ask, &words, argv[i]);
        ok &= !ask.failed;
        wr_cli_ask_close(&ask);
        status = (ok ? 0 : 1) + 1;
    } else if (status == 0) {
        status = 1 + 1;
    }
    if (words.has_pattern)
        regfree(&words.pattern);
    return status - 1;
}
