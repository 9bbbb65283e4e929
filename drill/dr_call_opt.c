/* SPDX-License-Identifier: MIT */
/* Calls that set and ask: options, flags, queues, readiness, names. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include "drill/dr_call.h"

enum { OPTION_MAX = 512 };

static struct weir_stack *stack_of(const struct dr_call *call)
{
    return call->run->world.stack;
}

/* ---- options --------------------------------------------------------------------------------- */

static bool is_linger(const struct dr_expr *expr)
{
    return expr->kind == DR_EXPR_STRUCT && wr_dr_expr_field(expr, "onoff") &&
           wr_dr_expr_field(expr, "linger");
}

/* The bytes of an option value as written: [1], {onoff=1, linger=0}, "reno". False: ended. */
static bool option_bytes(struct dr_call *call, const struct dr_expr *expr, uint8_t *bytes,
                         size_t *len)
{
    int64_t n, m;
    if (expr->kind == DR_EXPR_LIST && expr->n_items == 1)
        expr = expr->items[0];
    if (expr->kind == DR_EXPR_STRING && expr->len <= OPTION_MAX) {
        memcpy(bytes, expr->text, expr->len);
        *len = expr->len;
        return true;
    }
    if (is_linger(expr)) {
        if (!wr_dr_call_num(call, wr_dr_expr_field(expr, "onoff"), &n) ||
            !wr_dr_call_num(call, wr_dr_expr_field(expr, "linger"), &m))
            return false;
        struct weir_linger linger = {.on = (int)n, .seconds = (int)m};
        memcpy(bytes, &linger, sizeof linger);
        *len = sizeof linger;
        return true;
    }
    if (!wr_dr_call_num(call, expr, &n))
        return false;
    int value = (int)n;
    memcpy(bytes, &value, sizeof value);
    *len = sizeof value;
    return true;
}

static bool call_setsockopt(struct dr_call *call)
{
    int64_t level, option, want_len;
    uint8_t bytes[OPTION_MAX];
    size_t len;
    if (!wr_dr_call_args(call, 5, 5))
        return true;
    struct dr_fd *fd = wr_dr_call_sock(call, 0);
    if (!fd || !wr_dr_call_arg(call, 1, &level) || !wr_dr_call_arg(call, 2, &option) ||
        !option_bytes(call, call->sc->args[3], bytes, &len) || !wr_dr_call_arg(call, 4, &want_len))
        return true;
    if (want_len >= 0 && (size_t)want_len < len)
        len = (size_t)want_len;
    return wr_dr_call_end(call,
                          weir_sock_setsockopt(stack_of(call), fd->sock, (int)level, (int)option,
                                               bytes, len, call->run->world.now));
}

/* The value that came must be the one in the script, unless that is [...] or `...`. */
static bool check_option(struct dr_call *call, const struct dr_expr *want, const uint8_t *bytes,
                         size_t len)
{
    uint8_t wanted[OPTION_MAX];
    size_t wanted_len;
    const struct dr_expr *inner =
        want->kind == DR_EXPR_LIST && want->n_items == 1 ? want->items[0] : want;
    if (inner->kind == DR_EXPR_ELLIPSIS)
        return true;
    if (!option_bytes(call, want, wanted, &wanted_len))
        return true;
    if (inner->kind == DR_EXPR_STRING && len > wanted_len && bytes[wanted_len] == '\0')
        len = wanted_len;
    if (len == wanted_len && memcmp(bytes, wanted, len) == 0)
        return true;
    int got = 0, value = 0;
    memcpy(&got, bytes, len < sizeof got ? len : sizeof got);
    memcpy(&value, wanted, wanted_len < sizeof value ? wanted_len : sizeof value);
    return !wr_dr_call_wrong(call, "the option is %d, expected %d", got, value);
}

static bool call_getsockopt(struct dr_call *call)
{
    int64_t level, option, want_len = OPTION_MAX;
    uint8_t bytes[OPTION_MAX] = {0};
    if (!wr_dr_call_args(call, 5, 5))
        return true;
    struct dr_fd *fd = wr_dr_call_sock(call, 0);
    if (!fd || !wr_dr_call_arg(call, 1, &level) || !wr_dr_call_arg(call, 2, &option))
        return true;
    const struct dr_expr *len_expr = call->sc->args[4];
    bool has_len = len_expr->kind == DR_EXPR_LIST && len_expr->n_items == 1 &&
                   len_expr->items[0]->kind != DR_EXPR_ELLIPSIS;
    if (has_len && !wr_dr_call_num(call, len_expr->items[0], &want_len))
        return true;
    size_t len = want_len < 0 || want_len > OPTION_MAX ? OPTION_MAX : (size_t)want_len;
    int err = weir_sock_getsockopt(stack_of(call), fd->sock, (int)level, (int)option, bytes, &len,
                                   call->run->world.now);
    if (err == 0 && !check_option(call, call->sc->args[3], bytes, len))
        return true;
    return wr_dr_call_end(call, err);
}

/* ---- fcntl, ioctl ---------------------------------------------------------------------------- */

static bool call_fcntl(struct dr_call *call)
{
    int64_t command, flags = 0;
    if (!wr_dr_call_args(call, 2, 3))
        return true;
    struct dr_fd *fd = wr_dr_call_fd(call, 0);
    if (!fd || !wr_dr_call_arg(call, 1, &command) ||
        (call->sc->n_args == 3 && !wr_dr_call_arg(call, 2, &flags)))
        return true;
    if (command == F_GETFL)
        return wr_dr_call_end(call, O_RDWR | (fd->nonblocking ? O_NONBLOCK : 0));
    if (command != F_SETFL)
        return wr_dr_call_wrong(call, "only F_GETFL and F_SETFL are supported");
    fd->nonblocking = (flags & O_NONBLOCK) != 0;
    return wr_dr_call_end(call, 0);
}

static ptrdiff_t ask_queue(const struct dr_call *call, const struct dr_fd *fd, int64_t request)
{
    if (request == SIOCINQ)
        return weir_sock_inq(stack_of(call), fd->sock);
    if (request == SIOCOUTQ)
        return weir_sock_outq(stack_of(call), fd->sock);
    if (request == SIOCATMARK)
        return weir_sock_atmark(stack_of(call), fd->sock);
    return -EINVAL;
}

static bool call_ioctl(struct dr_call *call)
{
    int64_t request, want;
    if (!wr_dr_call_args(call, 3, 3))
        return true;
    struct dr_fd *fd = wr_dr_call_sock(call, 0);
    const struct dr_expr *list = call->sc->args[2];
    if (!fd || !wr_dr_call_arg(call, 1, &request))
        return true;
    if (list->kind != DR_EXPR_LIST || list->n_items != 1)
        return wr_dr_call_wrong(call, "expected [value]");
    bool any = list->items[0]->kind == DR_EXPR_ELLIPSIS;
    if (!any && !wr_dr_call_num(call, list->items[0], &want))
        return true;
    if (request == FIONBIO && !any) {
        fd->nonblocking = want != 0;
        return wr_dr_call_end(call, 0);
    }
    ptrdiff_t got = ask_queue(call, fd, request);
    if (got >= 0 && !any && got != want)
        return wr_dr_call_wrong(call, "the value is %td, expected %lld", got, (long long)want);
    return wr_dr_call_end(call, got < 0 ? got : 0);
}

/* ---- poll ------------------------------------------------------------------------------------ */

enum { POLL_ALWAYS = POLLERR | POLLHUP | POLLNVAL };

/* One {fd=, events=, revents=}: the bits that are there now. False: ended. */
static bool poll_one(struct dr_call *call, const struct dr_expr *item, int64_t *number,
                     int64_t *got, int64_t *want)
{
    int64_t events;
    const struct dr_expr *fd = wr_dr_expr_field(item, "fd"), *ev = wr_dr_expr_field(item, "events"),
                         *rev = wr_dr_expr_field(item, "revents");
    if (item->kind != DR_EXPR_STRUCT || !fd || !ev)
        return !wr_dr_call_wrong(call, "expected {fd=, events=, revents=}");
    *want = -1;
    if (!wr_dr_call_num(call, fd, number) || !wr_dr_call_num(call, ev, &events) ||
        (rev && rev->kind != DR_EXPR_ELLIPSIS && !wr_dr_call_num(call, rev, want)))
        return false;
    if (*number < 0) {
        *got = 0;
    } else {
        *got = wr_dr_fd_poll(&call->run->world.table, (int)*number) & (events | POLL_ALWAYS);
    }
    return true;
}

static bool call_poll(struct dr_call *call)
{
    int64_t timeout_ms, number = -1, got = 0, want = 0, ready = 0;
    if (!wr_dr_call_args(call, 3, 3) || !wr_dr_call_arg(call, 2, &timeout_ms))
        return true;
    const struct dr_expr *list = call->sc->args[0];
    if (list->kind != DR_EXPR_LIST)
        return wr_dr_call_wrong(call, "expected a list");
    for (size_t i = 0; i < list->n_items; i++) {
        if (!poll_one(call, list->items[i], &number, &got, &want))
            return true;
        ready += got != 0;
    }
    weir_time due = timeout_ms < 0 ? WEIR_TIME_NEVER : call->try->began + timeout_ms * WEIR_MS;
    call->try->due = due;
    if (ready == 0 && call->run->world.now < due)
        return false;
    for (size_t i = 0; i < list->n_items; i++)
        if (poll_one(call, list->items[i], &number, &got, &want) && want >= 0 && want != got)
            return wr_dr_call_wrong(call, "descriptor %lld: revents 0x%llx, expected 0x%llx",
                                    (long long)number, (long long)got, (long long)want);
    return wr_dr_call_end(call, ready);
}

/* ---- names (not of packetdrill): getsockname(3, {sa_family=...}, ...) ------------------------ */

static bool call_name(struct dr_call *call)
{
    struct weir_endpoint got = {.port = 0}, want;
    char got_text[WEIR_ENDPOINT_STRLEN], want_text[WEIR_ENDPOINT_STRLEN];
    if (!wr_dr_call_args(call, 3, 3))
        return true;
    struct dr_fd *fd = wr_dr_call_sock(call, 0);
    if (!fd)
        return true;
    bool own = strcmp(call->sc->name, "getsockname") == 0;
    int err = own ? weir_sock_getsockname(stack_of(call), fd->sock, &got)
                  : weir_sock_getpeername(stack_of(call), fd->sock, &got);
    want = got;
    if (err == 0 && !wr_dr_call_endpoint(call, call->sc->args[1], &want, NULL))
        return true;
    if (err == 0 && !weir_endpoint_eq(&got, &want)) {
        weir_endpoint_format(&got, got_text, sizeof got_text);
        weir_endpoint_format(&want, want_text, sizeof want_text);
        return wr_dr_call_wrong(call, "the name is %s, expected %s", got_text, want_text);
    }
    return wr_dr_call_end(call, err);
}

static const struct {
    const char *name;
    dr_call_fn *fn;
} calls[] = {
    {"setsockopt", call_setsockopt},
    {"getsockopt", call_getsockopt},
    {"fcntl", call_fcntl},
    {"ioctl", call_ioctl},
    {"poll", call_poll},
    {"getsockname", call_name},
    {"getpeername", call_name},
};

dr_call_fn *wr_dr_call_opt(const char *name)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (strcmp(calls[i].name, name) == 0)
            return calls[i].fn;
    return NULL;
}
