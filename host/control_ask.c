/* SPDX-License-Identifier: MIT */
/*
 * What may be asked over the control socket. A request is an object with "op"; an answer that has gone
 * wrong is {"error": "ENOENT", "text": "..."}.
 *
 *   {"op":"hello"}                         {"host":"web","pid":17,"version":1}
 *   {"op":"sysctl","name":N}               {"name":N,"value":"4096\t131072\t33554432"}
 *   {"op":"sysctl","name":N,"value":V}     sets it, and answers as above
 *   {"op":"sysctls"}                       one such line each, then {"done":true}
 *   {"op":"sockets","info":true}           one line a socket, then {"done":true}
 *   {"op":"open","type":T,"family":F,...}  a socket of the host: control_relay.c
 *   {"op":"counters"}                      {"stats":{...},"drops":{...}}
 *   {"op":"capture","link":L}              {"ok":true} and a descriptor of pcapng: hostcapture.c
 *   {"op":"trace","connection":C}          {"ok":true} and a descriptor of lines: hosttrace.c
 *   {"op":"join"}                          an error, or other words than these: run/run_join.c
 */
#define _GNU_SOURCE /* program_invocation_short_name */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/capture.h>
#include <weir/info.h>

#include "host/control_int.h"

enum { ROWS_AT_ONCE = 16, CONTROL_VERSION = 1, STREAM_ROOM = 1 << 20 };

/* Bytes that are no printable ASCII become "?": JSON is UTF-8, and a process's name may be anything. */
static json_t *plain(const char *text)
{
    char copy[256];
    size_t n = 0;
    for (; text[n] && n + 1 < sizeof copy; n++)
        copy[n] = (char)(text[n] >= ' ' && text[n] <= '~' ? text[n] : '?');
    copy[n] = '\0';
    return json_string(copy);
}

static void say_error(struct wr_talk *talk, int err)
{
    wr_control_say(
        talk, json_pack("{s:s, s:s}", "error", weir_error_name(err), "text", weir_error_text(err)));
}

/* ---- tunables ----------------------------------------------------------------------------------- */

/* The stack's tunables, and one of the host itself. */
static const char busy_poll[] = "net.core.busy_poll";

static const char *tunable_name(unsigned n)
{
    return n == 0 ? busy_poll : weir_sysctl_name(n - 1);
}

static ptrdiff_t read_tunable(struct weir_host *host, const char *name, char *text, size_t cap)
{
    if (strcmp(name, busy_poll) == 0)
        return snprintf(text, cap, "%d", weir_host_busy_poll(host));
    return weir_sysctl_read(host->stack, name, text, cap);
}

static int write_busy_poll(struct weir_host *host, const char *text)
{
    char *end;
    long usec = strtol(text, &end, 10);
    if (end == text || end[strspn(end, " \t\n")] != '\0' || usec > INT_MAX || usec < 0)
        return WEIR_EINVAL;
    return weir_host_set_busy_poll(host, (int)usec);
}

static int write_tunable(struct weir_host *host, const char *name, const char *text)
{
    return strcmp(name, busy_poll) == 0 ? write_busy_poll(host, text)
                                        : weir_sysctl_write(host->stack, name, text);
}

static json_t *sysctl_object(struct weir_host *host, const char *name)
{
    char few[128], *text = few;
    ptrdiff_t len = read_tunable(host, name, few, sizeof few);
    if (len < 0)
        return NULL;
    if ((size_t)len >= sizeof few) { /* a long list of reserved ports */
        text = malloc((size_t)len + 1);
        if (!text)
            return NULL;
        read_tunable(host, name, text, (size_t)len + 1);
    }
    json_t *object = json_pack("{s:s, s:s}", "name", name, "value", text);
    if (text != few)
        free(text);
    return object;
}

static void ask_sysctl(struct wr_talk *talk, json_t *request)
{
    struct weir_host *host = talk->control->host;
    const char *name = json_string_value(json_object_get(request, "name"));
    json_t *value = json_object_get(request, "value");
    int err = name ? 0 : WEIR_EINVAL;
    if (!err && read_tunable(host, name, NULL, 0) < 0)
        err = WEIR_ENOENT;
    else if (!err && value)
        err = json_is_string(value) ? write_tunable(host, name, json_string_value(value))
                                    : WEIR_EINVAL;
    /* The name is known: what is not found is the value, as an algorithm by its name. */
    if (err == WEIR_ENOENT && name && read_tunable(host, name, NULL, 0) >= 0)
        wr_control_say(talk, json_pack("{s:s, s:s}", "error", "ENOENT", "text",
                                       "there is nothing of that name to set it to"));
    else if (err)
        say_error(talk, err);
    else
        wr_control_say(talk, sysctl_object(host, name));
}

static void ask_sysctls(struct wr_talk *talk, json_t *request)
{
    const char *name;
    (void)request;
    for (unsigned n = 0; (name = tunable_name(n)); n++)
        wr_control_say(talk, sysctl_object(talk->control->host, name));
    wr_control_say(talk, json_pack("{s:b}", "done", 1));
}

/* ---- sockets ------------------------------------------------------------------------------------ */

static json_t *info_object(struct weir_stack *stack, weir_sock sock)
{
    size_t n_fields;
    const struct weir_tcp_info_field *fields = weir_tcp_info_fields(&n_fields);
    struct weir_tcp_info info;
    char name[17] = "";
    size_t len = sizeof info, name_len = sizeof name - 1;
    weir_time now = weir_now();
    if (weir_sock_getsockopt(stack, sock, WEIR_SOL_TCP, WEIR_TCP_INFO, &info, &len, now) != 0 ||
        weir_sock_getsockopt(stack, sock, WEIR_SOL_TCP, WEIR_TCP_CONGESTION, name, &name_len, now))
        return json_null();
    json_t *object = json_pack("{s:s}", "congestion", name);
    for (size_t i = 0; i < n_fields; i++) {
        uint64_t value = weir_tcp_info_value(&info, &fields[i]);
        /* JSON has no unsigned 64 bits here: ~0 is "no limit", and no other comes near. */
        json_object_set_new(object, fields[i].name,
                            json_integer(value > INT64_MAX ? -1 : (json_int_t)value));
    }
    return object;
}

static json_t *memory_object(struct weir_stack *stack, weir_sock sock)
{
    int rcvbuf = 0, sndbuf = 0;
    size_t len = sizeof rcvbuf;
    weir_time now = weir_now();
    weir_sock_getsockopt(stack, sock, WEIR_SOL_SOCKET, WEIR_SO_RCVBUF, &rcvbuf, &len, now);
    len = sizeof sndbuf;
    weir_sock_getsockopt(stack, sock, WEIR_SOL_SOCKET, WEIR_SO_SNDBUF, &sndbuf, &len, now);
    return json_pack("{s:i, s:i}", "rcvbuf", rcvbuf, "sndbuf", sndbuf);
}

static json_t *end_object(const struct weir_endpoint *end)
{
    char text[WEIR_ADDR_STRLEN];
    weir_addr_format(&end->addr, text, sizeof text);
    return json_pack("{s:s, s:i}", "addr", text, "port", (int)end->port);
}

/* This process, by the descriptors of weir_socket(). */
static bool own_user(const struct weir_host *host, const struct weir_sock_row *row,
                     struct weir_control_user *user)
{
    uint64_t fd = row->user - 1;
    if (fd >= host->n_table || !host->table[fd] || host->table[fd]->sock != row->sock)
        return false;
    strncpy(user->program, program_invocation_short_name, sizeof user->program - 1);
    user->pid = (int)getpid();
    user->fd = (int)fd;
    return true;
}

static json_t *user_object(const struct weir_control *control, const struct weir_sock_row *row)
{
    struct weir_control_user user = {.fd = -1};
    bool known = row->sock != 0 &&
                 (control->config.user_of ? control->config.user_of(control->config.arg, row, &user)
                                          : own_user(control->host, row, &user));
    user.program[sizeof user.program - 1] = '\0';
    return known ? json_pack("{s:o, s:i, s:i, s:I}", "program", plain(user.program), "pid",
                             user.pid, "fd", user.fd, "inode", (json_int_t)user.inode)
                 : NULL;
}

static json_t *timer_object(const struct weir_sock_row *row)
{
    static const char *const names[] = {"none", "on", "keepalive", "timewait", "persist"};
    weir_time left = row->timer_at - weir_now();
    if (row->timer <= 0 || row->timer > WEIR_TIMER_PERSIST || row->timer_at == WEIR_TIME_NEVER)
        return NULL;
    return json_pack("{s:s, s:I, s:i}", "name", names[row->timer], "ms",
                     (json_int_t)(left > 0 ? left / WEIR_MS : 0), "retransmits",
                     (int)row->retransmits);
}

static json_t *row_object(const struct wr_talk *talk, const struct weir_sock_row *row)
{
    static const char *const states[] = {"UNKNOWN",    "ESTAB",      "SYN-SENT",  "SYN-RECV",
                                         "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONN",
                                         "CLOSE-WAIT", "LAST-ACK",   "LISTEN",    "CLOSING"};
    struct weir_stack *stack = talk->control->host->stack;
    bool stream = row->type == WEIR_SOCK_STREAM;
    json_t *object = json_pack(
        "{s:s, s:i, s:b, s:s, s:o, s:o, s:I, s:I, s:I, s:o*, s:o*}", "type",
        stream                          ? "tcp"
        : row->protocol == WEIR_SOL_UDP ? "udp"
                                        : "icmp",
        "family", row->domain == WEIR_AF_INET6 ? 6 : 4, "v6only", row->v6only, "state",
        row->state > 0 && row->state <= WEIR_TCP_CLOSING ? states[row->state] : states[0], "local",
        end_object(&row->local), "peer", end_object(&row->peer), "recv_q", (json_int_t)row->recv_q,
        "send_q", (json_int_t)row->send_q, "sock", (json_int_t)row->sock, "timer",
        timer_object(row), "user", user_object(talk->control, row));
    if (object && talk->wants_info && row->sock != 0) {
        json_object_set_new(object, "memory", memory_object(stack, row->sock));
        if (stream)
            json_object_set_new(object, "info", info_object(stack, row->sock));
    }
    return object;
}

void wr_control_walk(struct wr_talk *talk)
{
    struct weir_sock_row row;
    for (unsigned n = 0; n < ROWS_AT_ONCE && talk->walking; n++) {
        talk->walking = weir_sock_next_row(talk->control->host->stack, &talk->cursor, &row);
        wr_control_say(talk,
                       talk->walking ? row_object(talk, &row) : json_pack("{s:b}", "done", 1));
    }
}

static void ask_sockets(struct wr_talk *talk, json_t *request)
{
    talk->walking = true;
    talk->cursor = 0;
    talk->wants_info = json_is_true(json_object_get(request, "info"));
}

/* ---- the rest ----------------------------------------------------------------------------------- */

static void ask_hello(struct wr_talk *talk, json_t *request)
{
    (void)request;
    wr_control_say(talk, json_pack("{s:s, s:i, s:i}", "host", talk->control->name, "pid",
                                   (int)getpid(), "version", CONTROL_VERSION));
}

static void ask_open(struct wr_talk *talk, json_t *request)
{
    int err = wr_control_open_sock(talk, request);
    if (err)
        say_error(talk, err);
}

static void ask_listen(struct wr_talk *talk, json_t *request)
{
    struct weir_endpoint local;
    int err = wr_control_listen(talk, request, &local);
    if (err)
        say_error(talk, err);
    else
        wr_control_say(talk, json_pack("{s:b, s:o}", "ok", 1, "local", end_object(&local)));
}

static void ask_accept(struct wr_talk *talk, json_t *request)
{
    (void)request;
    if (talk->listener < 0) {
        say_error(talk, WEIR_EINVAL);
        return;
    }
    talk->accepting = talk->waiting = true;
    wr_control_accept(talk);
}

static void ask_counters(struct wr_talk *talk, json_t *request)
{
    struct weir_stack *stack = talk->control->host->stack;
    json_t *stats = json_object(), *drops = json_object();
    (void)request;
    for (unsigned i = 0; i < weir_stat_kinds(); i++)
        json_object_set_new(stats, weir_stat_name(i),
                            json_integer((json_int_t)weir_stat_count(stack, i)));
    for (unsigned i = 0; i < weir_drop_reasons(); i++)
        if (weir_drop_count(stack, i))
            json_object_set_new(drops, weir_drop_name(i),
                                json_integer((json_int_t)weir_drop_count(stack, i)));
    wr_control_say(talk, json_pack("{s:o, s:o, s:I}", "stats", stats, "drops", drops, "memory",
                                   (json_int_t)weir_mem_bytes(stack)));
}

/* Answers with a descriptor from which can be read what `begin` writes to its other end, until the client shuts
 * it down. */
static void pass_stream(struct wr_talk *talk, const json_t *request,
                        int (*begin)(struct weir_host *host, const json_t *request, int fd))
{
    int pair[2], room = STREAM_ROOM;
    int err = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
    if (!err) {
        fcntl(pair[0], F_SETFL, O_NONBLOCK);
        setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        err = begin(talk->control->host, request, pair[0]);
        if (err) {
            close(pair[0]);
            close(pair[1]);
        }
    }
    if (err) {
        say_error(talk, err);
        return;
    }
    if (talk->out_fd >= 0)
        close(talk->out_fd);
    talk->out_fd = pair[1];
    wr_control_say(talk, json_pack("{s:b}", "ok", 1));
}

static int begin_capture(struct weir_host *host, const json_t *request, int fd)
{
    const json_t *snap = json_object_get(request, "snap");
    struct weir_capture_config config = {
        .fd = fd,
        .link = json_string_value(json_object_get(request, "link")),
        .snap_len = (uint32_t)(json_integer_value(snap) & INT32_MAX)};
    return weir_host_capture(host, &config, NULL);
}

static void ask_capture(struct wr_talk *talk, json_t *request)
{
    pass_stream(talk, request, begin_capture);
}

/* ADDR:PORT, [ADDR]:PORT or PORT. */
static int read_end(const char *text, struct weir_endpoint *end)
{
    char addr[WEIR_ADDR_STRLEN + 2], *stop;
    const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : text;
    size_t len = colon ? (size_t)(colon - text) : 0;
    unsigned long value = strtoul(port, &stop, 10);
    memset(end, 0, sizeof *end);
    if (*port < '0' || *port > '9' || *stop || value == 0 || value > UINT16_MAX ||
        len >= sizeof addr)
        return WEIR_EINVAL;
    end->port = (uint16_t)value;
    if (!colon)
        return 0;
    bool brackets = len > 2 && text[0] == '[' && colon[-1] == ']';
    snprintf(addr, sizeof addr, "%.*s", (int)(brackets ? len - 2 : len), text + brackets);
    bool good = weir_addr_parse(addr, &end->addr) && weir_addr_is_v4(&end->addr) != brackets &&
                !weir_addr_is_any(&end->addr);
    return good ? 0 : WEIR_EINVAL;
}

static int begin_trace(struct weir_host *host, const json_t *request, int fd)
{
    const json_t *connection = json_object_get(request, "connection");
    struct wr_follow_config config = {.fd = fd,
                                      .json = !json_is_true(json_object_get(request, "text"))};
    if (connection && !json_is_string(connection))
        return WEIR_EINVAL;
    int err = connection ? read_end(json_string_value(connection), &config.connection) : 0;
    return err ? err : wr_host_follow(host, &config);
}

static void ask_trace(struct wr_talk *talk, json_t *request)
{
    pass_stream(talk, request, begin_trace);
}

/* The stream goes on as another's; the conversation ends without closing it. */
static void ask_join(struct wr_talk *talk, json_t *request)
{
    const struct weir_control_config *config = &talk->control->config;
    int fd = config->join ? fcntl(talk->fd, F_DUPFD_CLOEXEC, 0) : -1;
    int err = !config->join ? WEIR_ENOTSUP : fd < 0 ? -errno : config->join(config->join_arg, fd);
    (void)request;
    if (err && fd >= 0)
        close(fd);
    if (err)
        say_error(talk, err);
    else
        talk->doomed = true;
}

static const struct {
    const char *op;
    void (*ask)(struct wr_talk *talk, json_t *request);
} ops[] = {
    {"hello", ask_hello},     {"sysctl", ask_sysctl},     {"sysctls", ask_sysctls},
    {"sockets", ask_sockets}, {"counters", ask_counters}, {"open", ask_open},
    {"listen", ask_listen},   {"accept", ask_accept},     {"join", ask_join},
    {"capture", ask_capture}, {"trace", ask_trace},
};

void wr_control_ask(struct wr_talk *talk, const char *line, size_t len)
{
    json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    const char *op = json_string_value(json_object_get(request, "op"));
    size_t i = 0;
    while (op && i < sizeof ops / sizeof *ops && strcmp(ops[i].op, op) != 0)
        i++;
    if (!op) { /* no request of ours: whoever speaks otherwise will not stop at one line */
        say_error(talk, WEIR_EPROTO);
        talk->ending = true;
        talk->in_len = len + 1;
    } else if (i == sizeof ops / sizeof *ops) {
        say_error(talk, WEIR_ENOTSUP);
    } else {
        ops[i].ask(talk, request);
    }
    json_decref(request);
}
