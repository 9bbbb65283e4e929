/* SPDX-License-Identifier: MIT */
/*
 * What names in %{ }% mean: fields of TCP_INFO of the descriptor in use, constants, and
 *
 *     drop(tcp_bad_checksum)   packets dropped for this reason
 *     stat(TcpRetransSegs)     the stack's counter
 *     sysctl("net.ipv4....")   a tunable
 *     conns(TCP_TIME_WAIT)     connections in this state, with or without a descriptor
 *     isn(local)               the initial sequence number that the stack chose for the connection of
 *                              packets without ports, as it was on the wire
 *     ts(local)                the timestamp that it sent last, as it was on the wire
 */
#include <stddef.h>
#include <string.h>

#include "drill/dr_eval.h"
#include "drill/dr_run.h"

static bool read_info(struct dr_run *run, struct weir_tcp_info *info)
{
    size_t len = sizeof *info;
    memset(info, 0, sizeof *info);
    const struct dr_fd *fd = wr_dr_fd_find(&run->world.table, run->code_fd);
    if (!fd || fd->kind != DR_FD_SOCKET)
        return false;
    return weir_sock_getsockopt(run->world.stack, fd->sock, WEIR_SOL_TCP, WEIR_TCP_INFO, info, &len,
                                run->world.now) == 0;
}

static bool info_name(struct dr_run *run, const char *name, long double *value)
{
    struct weir_tcp_info info;
    size_t n_fields;
    const struct weir_tcp_info_field *fields = weir_tcp_info_fields(&n_fields);
    if (strncmp(name, "tcpi_", 5) != 0 || !read_info(run, &info))
        return false;
    if (strcmp(name, "tcpi_snd_wscale") == 0)
        *value = info.tcpi_wscale & 0xf;
    else if (strcmp(name, "tcpi_rcv_wscale") == 0)
        *value = info.tcpi_wscale >> 4;
    else if (strcmp(name, "tcpi_fastopen_client_fail") == 0)
        *value = info.tcpi_delivery_limited >> 1 & 3;
    else if (strcmp(name, "tcpi_delivery_rate_app_limited") == 0)
        *value = info.tcpi_delivery_limited & 1;
    else {
        for (size_t i = 0; i < n_fields; i++)
            if (strcmp(fields[i].name, name + strlen("tcpi_")) == 0) {
                *value = (long double)weir_tcp_info_value(&info, &fields[i]);
                return true;
            }
        return false;
    }
    return true;
}

static bool resolve_set(void *ctx, const char *name, long double value)
{
    struct dr_run *run = ctx;
    unsigned i = 0;
    while (i < run->n_variables && strcmp(run->variables[i].name, name) != 0)
        i++;
    if (i == DR_VARIABLES)
        return false;
    if (i == run->n_variables)
        run->n_variables++;
    snprintf(run->variables[i].name, sizeof run->variables[i].name, "%s", name);
    run->variables[i].value = value;
    return true;
}

static bool resolve_name(void *ctx, const char *name, long double *value)
{
    struct dr_run *run = ctx;
    int64_t number;
    for (unsigned i = 0; i < run->n_variables; i++)
        if (strcmp(run->variables[i].name, name) == 0) {
            *value = run->variables[i].value;
            return true;
        }
    if (info_name(ctx, name, value))
        return true;
    if (!wr_dr_symbol(name, &number))
        return false;
    *value = (long double)number;
    return true;
}

static unsigned count_rows(struct dr_run *run, int64_t state)
{
    struct weir_sock_row row;
    uint64_t cursor = 0;
    unsigned n = 0;
    while (weir_sock_next_row(run->world.stack, &cursor, &row))
        n += row.type == WEIR_SOCK_STREAM && row.state == state;
    return n;
}

static bool resolve_call(void *ctx, const char *function, const char *arg, long double *value)
{
    struct dr_run *run = ctx;
    const struct weir_stack *stack = run->world.stack;
    int64_t number;
    if (strcmp(function, "drop") == 0) {
        for (unsigned i = 0; i < weir_drop_reasons(); i++)
            if (strcmp(weir_drop_name(i), arg) == 0) {
                *value = (long double)weir_drop_count(stack, i);
                return true;
            }
    } else if (strcmp(function, "stat") == 0) {
        for (unsigned i = 0; i < weir_stat_kinds(); i++)
            if (strcmp(weir_stat_name(i), arg) == 0) {
                *value = (long double)weir_stat_count(stack, i);
                return true;
            }
    } else if (strcmp(function, "sysctl") == 0) {
        if (weir_sysctl_get(stack, arg, &number) == 0) {
            *value = (long double)number;
            return true;
        }
    } else if (strcmp(function, "isn") == 0 && run->current && run->current->local_known) {
        *value = run->current->local_isn + run->current->local_shift;
        return strcmp(arg, "local") == 0;
    } else if (strcmp(function, "ts") == 0 && run->current && run->current->n_ts > 0) {
        *value = run->current->ts[(run->current->n_ts - 1) % DR_TS_SEEN].live;
        return strcmp(arg, "local") == 0;
    } else if (strcmp(function, "conns") == 0 && wr_dr_symbol(arg, &number)) {
        *value = count_rows(run, number);
        return true;
    }
    return false;
}

static bool resolve_use(void *ctx, int fd)
{
    struct dr_run *run = ctx;
    if (!wr_dr_fd_find(&run->world.table, fd))
        return false;
    run->code_fd = fd;
    return true;
}

void wr_dr_code_run(struct dr_run *run, const char *text)
{
    char error[512];
    struct dr_resolver resolver = {.ctx = run,
                                   .name = resolve_name,
                                   .call = resolve_call,
                                   .use = resolve_use,
                                   .set = resolve_set,
                                   .print = run->script->options.verbose ? run->out : NULL};
    if (!wr_dr_eval(text, &resolver, error, sizeof error))
        wr_dr_fail(run, "%s", error);
}
