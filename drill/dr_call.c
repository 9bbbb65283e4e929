/* SPDX-License-Identifier: MIT */
/*
 * Socket calls. The stack's calls never block; a call on a blocking descriptor is tried again after
 * everything that happens until it returns, and the time of that is what `...T` in a script says.
 */
#include "drill/dr_call.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

/* ---- arguments ------------------------------------------------------------------------------- */

bool wr_dr_call_end(struct dr_call *call, int64_t answer)
{
    call->try->value = answer < 0 ? -1 : answer;
    call->try->error = answer < 0 ? (int)-answer : 0;
    return true;
}

bool wr_dr_call_wrong(struct dr_call *call, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wr_dr_fail(call->run, "%s(): %s", call->sc->name, text);
    call->try->wrong = true;
    return true;
}

bool wr_dr_call_args(struct dr_call *call, size_t low, size_t high)
{
    if (call->sc->n_args >= low && call->sc->n_args <= high)
        return true;
    wr_dr_call_wrong(call, "wrong number of arguments");
    return false;
}

bool wr_dr_call_num(struct dr_call *call, const struct dr_expr *expr, int64_t *value)
{
    int64_t a, b;
    switch (expr->kind) {
    case DR_EXPR_INT:
        *value = expr->num;
        return true;
    case DR_EXPR_WORD:
        if (wr_dr_symbol(expr->text, value))
            return true;
        wr_dr_call_wrong(call, "unknown symbol %s", expr->text);
        return false;
    case DR_EXPR_OR:
        if (!wr_dr_call_num(call, expr->items[0], &a) || !wr_dr_call_num(call, expr->items[1], &b))
            return false;
        *value = a | b;
        return true;
    default:
        wr_dr_call_wrong(call, "expected a number");
        return false;
    }
}

struct dr_fd *wr_dr_call_fd(struct dr_call *call, size_t i)
{
    int64_t number;
    if (!wr_dr_call_arg(call, i, &number))
        return NULL;
    struct dr_fd *fd = wr_dr_fd_find(&call->run->world.table, (int)number);
    if (!fd)
        wr_dr_call_end(call, -EBADF);
    return fd;
}

struct dr_fd *wr_dr_call_sock(struct dr_call *call, size_t i)
{
    struct dr_fd *fd = wr_dr_call_fd(call, i);
    if (fd && fd->kind != DR_FD_SOCKET) {
        wr_dr_call_end(call, -ENOTSOCK);
        return NULL;
    }
    return fd;
}

bool wr_dr_call_free_fd(struct dr_call *call, int64_t number)
{
    if (number < 0 || number >= DR_FDS)
        return !wr_dr_call_wrong(call, "descriptor %lld is out of range", (long long)number);
    if (wr_dr_fd_find(&call->run->world.table, (int)number))
        return !wr_dr_call_wrong(call, "descriptor %d is open already", (int)number);
    return true;
}

int wr_dr_call_new_fd(struct dr_call *call)
{
    const struct dr_expr *result = call->sc->result;
    if (result->kind != DR_EXPR_INT || result->num < 0) {
        wr_dr_call_wrong(call, "succeeded, which was not expected");
        return -1;
    }
    return wr_dr_call_free_fd(call, result->num) ? (int)result->num : -1;
}

static bool endpoint_field(struct dr_call *call, const struct dr_expr *field,
                           struct weir_endpoint *endpoint)
{
    int64_t n;
    if (field->kind == DR_EXPR_FUNC && strcmp(field->text, "htons") == 0 && field->n_items == 1) {
        if (!wr_dr_call_num(call, field->items[0], &n))
            return false;
        endpoint->port = (uint16_t)n;
        return true;
    }
    bool addr = field->kind == DR_EXPR_FUNC && field->n_items == 1 &&
                (strcmp(field->text, "inet_addr") == 0 || strcmp(field->text, "inet6_addr") == 0);
    if (addr && field->items[0]->kind == DR_EXPR_STRING &&
        weir_addr_parse(field->items[0]->text, &endpoint->addr))
        return true;
    wr_dr_call_wrong(call, "bad socket address");
    return false;
}

bool wr_dr_call_endpoint(struct dr_call *call, const struct dr_expr *expr,
                         struct weir_endpoint *endpoint, bool *none)
{
    int64_t family;
    if (none)
        *none = false;
    if (expr->kind == DR_EXPR_ELLIPSIS)
        return true;
    const struct dr_expr *sa = wr_dr_expr_field(expr, "sa_family");
    if (expr->kind != DR_EXPR_STRUCT || !sa) {
        wr_dr_call_wrong(call, "expected a socket address");
        return false;
    }
    if (!wr_dr_call_num(call, sa, &family))
        return false;
    if (family == AF_UNSPEC && none)
        *none = true;
    endpoint->addr = family == AF_INET6 ? weir_addr_any6() : weir_addr_any4();
    endpoint->port = 0;
    for (size_t i = 0; i < expr->n_items; i++)
        if (expr->items[i] != sa && !endpoint_field(call, expr->items[i], endpoint))
            return false;
    return true;
}

void wr_dr_call_follow(struct dr_call *call, const struct dr_fd *fd,
                       const struct weir_endpoint *remote)
{
    struct dr_run *run = call->run;
    struct weir_endpoint local;
    if (weir_sock_getsockname(run->world.stack, fd->sock, &local) != 0)
        return;
    if (weir_addr_is_any(&local.addr))
        local.addr = run->script->local;
    struct dr_conn *conn = wr_dr_conn_of(run, &local, remote);
    if (!conn)
        return;
    if (fd->type == SOCK_STREAM)
        wr_dr_conn_restart(conn);
    run->current = conn;
    run->listening = false;
}

/* ---- carrying one out ------------------------------------------------------------------------ */

static bool step(struct dr_run *run, struct dr_try *try)
{
    struct dr_call call = {.run = run, .try = try, .sc = try->event->call};
    dr_call_fn *fn = wr_dr_call_io(call.sc->name);
    if (!fn)
        fn = wr_dr_call_opt(call.sc->name);
    if (!fn)
        fn = wr_dr_call_file(call.sc->name);
    if (!fn)
        return wr_dr_call_wrong(&call, "drill does not have this call");
    bool done = fn(&call);
    wr_dr_world_collect(&run->world);
    return done;
}

static void check_result(struct dr_run *run, struct dr_try *try)
{
    const struct dr_syscall *sc = try->event->call;
    struct dr_call call = {.run = run, .try = try, .sc = sc};
    if (try->wrong || run->failed)
        return;
    int64_t want = 0, error = 0;
    bool any = sc->result->kind == DR_EXPR_ELLIPSIS;
    if (!any && !wr_dr_call_num(&call, sc->result, &want))
        return;
    if (sc->error && !wr_dr_symbol(sc->error, &error)) {
        wr_dr_call_wrong(&call, "unknown error %s", sc->error);
        return;
    }
    bool same = any || (try->value == want && (want != -1 || !sc->error || try->error == error));
    if (same)
        return;
    char got[64], wanted[64];
    snprintf(got, sizeof got, "%lld%s%s", (long long)try->value, try->error ? " " : "",
             try->error ? wr_dr_errno_name(try->error) : "");
    snprintf(wanted, sizeof wanted, "%lld%s%s", (long long)want, sc->error ? " " : "",
             sc->error ? sc->error : "");
    wr_dr_fail(run, "%s() = %s, expected %s", sc->name, got, wanted);
}

void wr_dr_call_run(struct dr_run *run, const struct dr_event *event, weir_time script_end)
{
    struct dr_try try = {
        .event = event, .began = run->world.now, .script_end = script_end, .due = WEIR_TIME_NEVER};
    const struct dr_syscall *sc = event->call;
    weir_time now = wr_dr_script_time(run, run->world.now);
    if (!step(run, &try)) {
        if (!sc->blocking) {
            wr_dr_fail(run, "%s() blocks", sc->name);
            return;
        }
        run->pending = try;
        run->pending_set = true;
        return;
    }
    if (sc->blocking && !try.wrong && script_end > now + run->script->options.tolerance_ns)
        wr_dr_fail(run, "%s() returned at once, expected it to block until %.6f", sc->name,
                   (double)script_end / 1e9);
    check_result(run, &try);
}

void wr_dr_call_retry(struct dr_run *run)
{
    if (!run->pending_set || run->failed || !step(run, &run->pending))
        return;
    const struct dr_event *other = run->event;
    weir_time now = wr_dr_script_time(run, run->world.now), end = run->pending.script_end;
    weir_time slack = run->script->options.tolerance_ns;
    run->pending_set = false;
    run->event = run->pending.event;
    if (!run->pending.wrong && (now > end + slack || now < end - slack))
        wr_dr_fail(run, "%s() returned at %.6f, expected %.6f", run->pending.event->call->name,
                   (double)now / 1e9, (double)end / 1e9);
    check_result(run, &run->pending);
    run->event = other;
}

void wr_dr_call_finish(struct dr_run *run)
{
    if (!run->pending_set)
        return;
    wr_dr_run_until(run, run->pending.script_end + run->script->options.tolerance_ns);
    if (!run->pending_set || run->failed)
        return;
    run->event = run->pending.event;
    wr_dr_fail(run, "%s() has not returned", run->pending.event->call->name);
}
