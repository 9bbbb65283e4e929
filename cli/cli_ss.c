/* SPDX-License-Identifier: MIT */
/*
 * weir ss: the sockets of a running host, in ss(8)'s words and columns.
 *
 * The host tells one object a socket over its control socket; choosing, naming and laying out are done
 * here. The processes of -p are found as ss does it: the inode of a program's descriptor is looked for
 * in /proc/PID/fd.
 */
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/control.h>
#include <weir/info.h>

#include "cli/cli.h"
#include "cli/cli_ask.h"
#include "cli/ss_detail.h"
#include "cli/ss_filter.h"

struct ss_words {
    const char *host;
    bool tcp, udp, v4, v6;
    bool all, listening, numeric, processes, info, memory, options, extended;
    bool summary, no_header, one_line, json, list_hosts;
    struct ss_filter filter;
};

/* A row as it is printed. */
enum {
    COL_NETID,
    COL_STATE,
    COL_RECVQ,
    COL_SENDQ,
    COL_LADDR,
    COL_LPORT,
    COL_PADDR,
    COL_PPORT,
    COLS
};

struct ss_row {
    json_t *object;
    char col[COLS][72];
};

struct ss_list {
    struct ss_row *rows;
    size_t n, cap;
};

static const char help[] =
    "usage: weir ss [OPTIONS] [FILTER]\n"
    "\n"
    "Shows the sockets of a running host. Without -a or -l: those that are connected.\n"
    "\n"
    "  --host HOST      which host: its name, process id, or both as NAME.PID; not needed when\n"
    "                   only one is running;  --hosts: list those that run\n"
    "  -t, --tcp  -u, --udp  -4, --ipv4  -6, --ipv6   only these\n"
    "  -a, --all        listening and closed ones, too;  -l, --listening: only those\n"
    "  -n, --numeric    ports as numbers\n"
    "  -p, --processes  the programs that have the socket\n"
    "  -i, --info       what TCP knows of the connection;  -m, --memory: its buffers\n"
    "  -o, --options    what it waits for;  -e, --extended: inode and handle\n"
    "  -s, --summary    only how many there are\n"
    "  -H, --no-header  -O, --oneline  -J, --json\n"
    "\n"
    "FILTER: [state STATE] [exclude STATE] [EXPRESSION], as in ss(8):\n"
    "  weir ss state time-wait\n"
    "  weir ss '( sport = :80 or sport = :443 ) and not dst 10.0.0.0/8'\n";

/* ---- asking ----------------------------------------------------------------------------------- */

static int number(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static struct weir_endpoint end_of(const json_t *object, const char *key)
{
    const json_t *end = json_object_get(object, key);
    struct weir_endpoint endpoint = {.port = (uint16_t)number(end, "port")};
    weir_addr_parse(text(end, "addr"), &endpoint.addr);
    return endpoint;
}

static int state_of(const json_t *object)
{
    static const char *const states[] = {"",           "ESTAB",      "SYN-SENT",  "SYN-RECV",
                                         "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONN",
                                         "CLOSE-WAIT", "LAST-ACK",   "LISTEN",    "CLOSING"};
    for (int i = 1; i < (int)(sizeof states / sizeof *states); i++)
        if (strcmp(states[i], text(object, "state")) == 0)
            return i;
    return 0;
}

static bool wanted(const struct ss_words *words, const json_t *object)
{
    bool tcp = strcmp(text(object, "type"), "tcp") == 0;
    bool udp = strcmp(text(object, "type"), "udp") == 0;
    bool v6 = number(object, "family") == 6;
    struct weir_endpoint local = end_of(object, "local"), peer = end_of(object, "peer");
    return ((!words->tcp && !words->udp) || (tcp && words->tcp) || (udp && words->udp)) &&
           ((!words->v4 && !words->v6) || (v6 ? words->v6 : words->v4)) &&
           wr_ss_filter_passes(&words->filter, state_of(object), &local, &peer);
}

static bool keep(struct ss_list *list, json_t *object)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 64;
        struct ss_row *rows = realloc(list->rows, cap * sizeof *rows);
        if (!rows)
            return false;
        list->rows = rows;
        list->cap = cap;
    }
    list->rows[list->n++] = (struct ss_row){.object = object};
    return true;
}

static bool ask_for_rows(const struct ss_words *words, struct ss_list *list)
{
    struct cli_ask ask;
    bool deep = words->info || words->memory;
    json_t *object;
    if (!wr_cli_ask_open(&ask, words->host))
        return false;
    wr_cli_ask_send(&ask, json_pack("{s:s, s:b}", "op", "sockets", "info", deep));
    while (!ask.failed && (object = wr_cli_ask_next(&ask))) {
        const char *error = wr_cli_ask_error(object);
        if (error)
            wr_cli_error("ss: %s", error);
        ask.failed |= error != NULL;
        if (error || !(words->summary || wanted(words, object))) {
            json_decref(object);
        } else if (!keep(list, object)) {
            wr_cli_error("out of memory");
            json_decref(object);
            ask.failed = true;
        }
    }
    bool ok = !ask.failed;
    wr_cli_ask_close(&ask);
    return ok;
}

/* ---- columns ---------------------------------------------------------------------------------- */

static void address(const json_t *object, const char *key, char *out, size_t cap)
{
    struct weir_endpoint end = end_of(object, key);
    char bare[WEIR_ADDR_STRLEN];
    bool v6 = number(object, "family") == 6;
    weir_addr_format(&end.addr, bare, sizeof bare);
    if (v6 && weir_addr_is_any(&end.addr))
        snprintf(out, cap, "%s", json_is_true(json_object_get(object, "v6only")) ? "[::]" : "*");
    else if (v6 && weir_addr_is_v4(&end.addr))
        snprintf(out, cap, "[::ffff:%s]", bare);
    else if (v6)
        snprintf(out, cap, "[%s]", bare);
    else
        snprintf(out, cap, "%s", weir_addr_is_any(&end.addr) ? "0.0.0.0" : bare);
}

static void port(const struct ss_words *words, const json_t *object, const char *key, char *out,
                 size_t cap)
{
    uint16_t value = end_of(object, key).port;
    const struct servent *service =
        words->numeric || value == 0 ? NULL : getservbyport(htons(value), text(object, "type"));
    if (value == 0)
        snprintf(out, cap, "*");
    else if (service)
        snprintf(out, cap, "%s", service->s_name);
    else
        snprintf(out, cap, "%u", value);
}

static void fill(const struct ss_words *words, struct ss_row *row)
{
    const json_t *object = row->object;
    snprintf(row->col[COL_NETID], sizeof row->col[0], "%s", text(object, "type"));
    snprintf(row->col[COL_STATE], sizeof row->col[0], "%s", text(object, "state"));
    snprintf(row->col[COL_RECVQ], sizeof row->col[0], "%lld",
             (long long)json_integer_value(json_object_get(object, "recv_q")));
    snprintf(row->col[COL_SENDQ], sizeof row->col[0], "%lld",
             (long long)json_integer_value(json_object_get(object, "send_q")));
    address(object, "local", row->col[COL_LADDR], sizeof row->col[0]);
    port(words, object, "local", row->col[COL_LPORT], sizeof row->col[0]);
    address(object, "peer", row->col[COL_PADDR], sizeof row->col[0]);
    port(words, object, "peer", row->col[COL_PPORT], sizeof row->col[0]);
}

/* Addresses stand right, so that they meet their ports at the colon. */
static void print_columns(const struct ss_row *row, const int *width, bool netid)
{
    if (netid)
        printf("%-*s ", width[COL_NETID], row->col[COL_NETID]);
    printf("%-*s %-*s %-*s %*s:%-*s %*s:%-*s", width[COL_STATE], row->col[COL_STATE],
           width[COL_RECVQ], row->col[COL_RECVQ], width[COL_SENDQ], row->col[COL_SENDQ],
           width[COL_LADDR], row->col[COL_LADDR], width[COL_LPORT], row->col[COL_LPORT],
           width[COL_PADDR], row->col[COL_PADDR], width[COL_PPORT], row->col[COL_PPORT]);
}

static void print_rows(const struct ss_words *words, const struct ss_list *list)
{
    static const struct ss_row header = {.col = {"Netid", "State", "Recv-Q", "Send-Q",
                                                 "Local Address", "Port", "Peer Address", "Port"}};
    struct ss_users *users = words->processes ? wr_ss_users() : NULL;
    bool netid = words->tcp == words->udp;
    int width[COLS] = {0};
    for (int c = 0; c < COLS; c++) {
        width[c] = words->no_header ? 0 : (int)strlen(header.col[c]);
        for (size_t i = 0; i < list->n; i++)
            if ((int)strlen(list->rows[i].col[c]) > width[c])
                width[c] = (int)strlen(list->rows[i].col[c]);
    }
    if (!words->no_header) {
        print_columns(&header, width, netid);
        puts(" Process");
    }
    for (size_t i = 0; i < list->n; i++) {
        const json_t *object = list->rows[i].object;
        print_columns(&list->rows[i], width, netid);
        if (words->processes)
            wr_ss_print_users(users, json_object_get(object, "user"));
        if (words->options)
            wr_ss_print_timer(json_object_get(object, "timer"));
        if (words->extended)
            wr_ss_print_extended(object);
        if (json_object_get(object, "memory") && !words->one_line)
            fputs("\n\t", stdout);
        if (words->memory)
            wr_ss_print_memory(object);
        if (words->info)
            wr_ss_print_info(json_object_get(object, "info"));
        putchar('\n');
    }
    wr_ss_users_free(users);
}

/* ---- other forms ------------------------------------------------------------------------------ */

static void print_json(const struct ss_words *words, const struct ss_list *list)
{
    struct ss_users *users = words->processes ? wr_ss_users() : NULL;
    json_t *array = json_array();
    for (size_t i = 0; i < list->n; i++) {
        json_t *object = list->rows[i].object;
        if (words->processes)
            wr_ss_add_users(users, object);
        else
            json_object_del(object, "user");
        json_array_append(array, object);
    }
    json_dumpf(array, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(array);
    wr_ss_users_free(users);
}

static void print_summary(const struct ss_list *list)
{
    unsigned tcp[2] = {0}, udp[2] = {0}, estab = 0, closed = 0, orphaned = 0, timewait = 0;
    for (size_t i = 0; i < list->n; i++) {
        const json_t *object = list->rows[i].object;
        int state = state_of(object);
        bool v6 = number(object, "family") == 6;
        bool alone = json_integer_value(json_object_get(object, "sock")) == 0;
        if (strcmp(text(object, "type"), "udp") == 0) {
            udp[v6]++;
            continue;
        }
        estab += state == WEIR_TCP_ESTABLISHED;
        timewait += state == WEIR_TCP_TIME_WAIT;
        closed += state == WEIR_TCP_TIME_WAIT || state == WEIR_TCP_CLOSE;
        orphaned += alone && state != WEIR_TCP_TIME_WAIT && state != WEIR_TCP_SYN_RECV;
        tcp[v6] += state != WEIR_TCP_TIME_WAIT; /* which is no socket any more, as in ss */
    }
    printf("Total: %u\n", tcp[0] + tcp[1] + udp[0] + udp[1]);
    printf("TCP:   %u (estab %u, closed %u, orphaned %u, timewait %u)\n\n",
           tcp[0] + tcp[1] + timewait, estab, closed, orphaned, timewait);
    printf("Transport Total     IP        IPv6\n");
    printf("UDP       %-9u %-9u %-9u\n", udp[0] + udp[1], udp[0], udp[1]);
    printf("TCP       %-9u %-9u %-9u\n", tcp[0] + tcp[1], tcp[0], tcp[1]);
    printf("INET      %-9u %-9u %-9u\n", udp[0] + udp[1] + tcp[0] + tcp[1], udp[0] + tcp[0],
           udp[1] + tcp[1]);
}

static void print_host(void *arg, const char *name, int pid)
{
    (void)arg;
    printf("%s.%d\n", name, pid);
}

/* ---- words ------------------------------------------------------------------------------------ */

enum { HOST = 1 }; /* of options without a letter: -H leaves the header out */

static bool take_option(void *arg, int option)
{
    struct ss_words *words = arg;
    static const char letters[] = "tu46alnpimoesHOJL";
    bool *const flags[] = {&words->tcp,     &words->udp,       &words->v4,
                           &words->v6,      &words->all,       &words->listening,
                           &words->numeric, &words->processes, &words->info,
                           &words->memory,  &words->options,   &words->extended,
                           &words->summary, &words->no_header, &words->one_line,
                           &words->json,    &words->list_hosts};

    if (option == HOST)
        words->host = optarg;
    else
        *flags[strchr(letters, option) - letters] = true;
    return true;
}

/* 0: go on; else the exit status plus one. */
static int read_words(int argc, char **argv, struct ss_words *words)
{
    static const struct option long_options[] = {
        {"host", required_argument, NULL, HOST}, {"hosts", no_argument, NULL, 'L'},
        {"tcp", no_argument, NULL, 't'},         {"udp", no_argument, NULL, 'u'},
        {"ipv4", no_argument, NULL, '4'},        {"ipv6", no_argument, NULL, '6'},
        {"all", no_argument, NULL, 'a'},         {"listening", no_argument, NULL, 'l'},
        {"numeric", no_argument, NULL, 'n'},     {"processes", no_argument, NULL, 'p'},
        {"info", no_argument, NULL, 'i'},        {"memory", no_argument, NULL, 'm'},
        {"options", no_argument, NULL, 'o'},     {"extended", no_argument, NULL, 'e'},
        {"summary", no_argument, NULL, 's'},     {"no-header", no_argument, NULL, 'H'},
        {"oneline", no_argument, NULL, 'O'},     {"json", no_argument, NULL, 'J'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
    };
    static const struct cli_options options = {"ss", help, "htu46alnpimoesHOJ", long_options,
                                               take_option};
    char error[256];
    int status = wr_cli_options(&options, argc, argv, words);

    if (status)
        return status;
    const uint32_t idle = 1u << WEIR_TCP_LISTEN | 1u << WEIR_TCP_CLOSE;
    const uint32_t brief = 1u << WEIR_TCP_TIME_WAIT | 1u << WEIR_TCP_SYN_RECV;
    words->filter.states = words->all ? 0xffe : words->listening ? idle : 0xffe & ~idle & ~brief;
    if (!wr_ss_filter_parse(&words->filter, argv + optind, argc - optind, error, sizeof error)) {
        wr_cli_error("ss: %s", error);
        return CLI_USAGE + 1;
    }
    return 0;
}

static void print_all(const struct ss_words *words, struct ss_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        fill(words, &list->rows[i]);
    if (words->summary)
        print_summary(list);
    else if (words->json)
        print_json(words, list);
    else
        print_rows(words, list);
}

int wr_cli_ss(int argc, char **argv)
{
    struct ss_words words = {0};
    struct ss_list list = {0};
    int status = read_words(argc, argv, &words);
    if (status == 0 && words.list_hosts) {
        weir_control_each(print_host, NULL);
        status = 1;
    } else if (status == 0) {
        bool ok = ask_for_rows(&words, &list);
        if (ok)
            print_all(&words, &list);
        status = (ok ? 0 : 1) + 1;
    }
    for (size_t i = 0; i < list.n; i++)
        json_decref(list.rows[i].object);
    free(list.rows);
    wr_ss_filter_free(&words.filter);
    return status - 1;
}
