/* SPDX-License-Identifier: MIT */
/*
 * setsockopt and getsockopt: a table for each level, a row an option, with Linux's values and
 * errors.
 *
 * Nearly every option is one int, so a row has a function that sets an int and one that gets it;
 * the few that are not (SO_LINGER, SO_MAX_PACING_RATE, TCP_INFO, TCP_CONGESTION) are served before the table is asked.
 * An option without a setter can only be read; setting it is ENOPROTOOPT, as is every option that
 * the table does not have.
 *
 * Where the value lives: TCP's in struct wr_tcp_opts (the tcb's own copy once there is one), UDP's
 * in struct wr_udp_opts, and what concerns the binding in the socket.
 */
#include <string.h>

#include "base/bytes.h"
#include "sock/opts.h"

struct tcb *wr_opt_conn(const struct wr_opt_access *a)
{
    return wr_sock_has_tcb(a->sock) ? wr_sock_tcb(a->sock) : NULL;
}

int wr_opt_changed(const struct wr_opt_access *a)
{
    if (wr_opt_conn(a) != NULL)
        wr_tcp_opts_changed(a->stack, wr_opt_conn(a), a->now);
    return 0;
}

/* ---- which option ---------------------------------------------------------------------------- */

static const struct wr_opt_table *table_of(const struct wr_opt_access *a, int level)
{
    switch (level) {
    case WEIR_SOL_SOCKET:
        return &wr_opts_socket;
    case WEIR_SOL_TCP:
        return a->tcp != NULL ? &wr_opts_tcp : NULL;
    case WEIR_SOL_IP:
        return &wr_opts_ip;
    case WEIR_SOL_IPV6:
        return a->sock->is_v6 ? &wr_opts_ip6 : NULL;
    default:
        return NULL;
    }
}

static const struct wr_opt *find(const struct wr_opt_access *a, int level, int name)
{
    const struct wr_opt_table *table = table_of(a, level);
    for (size_t i = 0; table != NULL && i < table->n_rows; i++)
        if (table->rows[i].name == name)
            return &table->rows[i];
    return NULL;
}

static struct wr_opt_access make_access(struct weir_stack *stack, struct wr_sock *sock,
                                        weir_time now)
{
    struct wr_opt_access a = {.stack = stack, .sock = sock, .now = now};
    if (sock->is_udp)
        a.udp = wr_udp_opts(sock->more->udp);
    else
        a.tcp = wr_sock_opts(sock);
    return a;
}

static bool is_one(const struct wr_opt_access *a, int level, int name, int wanted_level, int wanted)
{
    return level == wanted_level && name == wanted && (level != WEIR_SOL_TCP || a->tcp != NULL);
}

/* ---- the calls ------------------------------------------------------------------------------- */

/* How many bytes of the value are an int: IP options also take a single byte. */
static int read_int(int level, const void *value, size_t len, int *out)
{
    if (len >= sizeof *out) {
        memcpy(out, value, sizeof *out);
        return 0;
    }
    if (level != WEIR_SOL_IP)
        return WEIR_EINVAL;
    *out = len >= 1 ? *(const uint8_t *)value : 0;
    return 0;
}

/* Options that make an event when they make the socket ready, on Linux. */
static bool may_make_ready(int level, int name)
{
    return level == WEIR_SOL_SOCKET ? name == WEIR_SO_SNDBUF || name == WEIR_SO_RCVLOWAT
                                    : level == WEIR_SOL_TCP && name == WEIR_TCP_NOTSENT_LOWAT;
}

static int set_and_tell(const struct wr_opt_access *a, const struct wr_opt *row, int value)
{
    uint32_t before = wr_sock_poll(a->stack, a->sock);
    int error = row->set(a, value);
    uint32_t news = wr_sock_poll(a->stack, a->sock) & ~before;
    if (news != 0)
        wr_ready_touch(a->stack, &a->sock->ready, news);
    return error;
}

int weir_sock_setsockopt(struct weir_stack *stack, weir_sock handle, int level, int option,
                         const void *value, size_t len, weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_sock *sock;
    int error = wr_sock_get(stack, handle, &sock);
    if (error != 0)
        return error;
    struct wr_opt_access a = make_access(stack, sock, now);
    if (is_one(&a, level, option, WEIR_SOL_TCP, WEIR_TCP_CONGESTION))
        return wr_opt_set_congestion(&a, value, len);
    if (is_one(&a, level, option, WEIR_SOL_TCP, WEIR_TCP_FASTOPEN_KEY))
        return wr_opt_set_fastopen_key(&a, value, len);
    int number = 0;
    if (len < sizeof number &&
        (level == WEIR_SOL_SOCKET || (level == WEIR_SOL_TCP && a.tcp != NULL)))
        return WEIR_EINVAL; /* before the option is looked at, as on Linux */
    if (is_one(&a, level, option, WEIR_SOL_SOCKET, WEIR_SO_LINGER))
        return wr_opt_set_linger(&a, value, len);
    if (is_one(&a, level, option, WEIR_SOL_SOCKET, WEIR_SO_MAX_PACING_RATE) && a.tcp != NULL)
        return wr_opt_set_max_pacing_rate(&a, value, len);
    const struct wr_opt *row = find(&a, level, option);
    if (row == NULL || row->set == NULL)
        return WEIR_ENOPROTOOPT;
    error = read_int(level, value, len, &number);
    if (error != 0)
        return error;
    return may_make_ready(level, option) ? set_and_tell(&a, row, number) : row->set(&a, number);
}

/* Gives as much of the answer as there is room for, and tells how much that was. */
static int answer(void *value, size_t *len, const void *from, size_t size)
{
    if (*len > size)
        *len = size;
    wr_bytes_copy(value, from, *len);
    return 0;
}

static int answer_int(int level, void *value, size_t *len, int number)
{
    if (level == WEIR_SOL_IP && *len > 0 && *len < sizeof number && number >= 0 && number <= 255) {
        uint8_t byte = (uint8_t)number;
        return answer(value, len, &byte, 1);
    }
    return answer(value, len, &number, sizeof number);
}

/* A level that an IPv4 socket knows nothing of: getsockopt is EOPNOTSUPP on Linux, setsockopt is
 * not. */
static bool is_foreign_level(const struct wr_sock *sock, int level)
{
    return !sock->is_v6 && level != WEIR_SOL_SOCKET && level != WEIR_SOL_IP &&
           level != (sock->is_udp ? WEIR_SOL_UDP : WEIR_SOL_TCP);
}

int weir_sock_getsockopt(struct weir_stack *stack, weir_sock handle, int level, int option,
                         void *value, size_t *len, weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_sock *sock;
    int error = wr_sock_get(stack, handle, &sock);
    if (error != 0)
        return error;
    struct wr_opt_access a = make_access(stack, sock, now);
    if (is_one(&a, level, option, WEIR_SOL_SOCKET, WEIR_SO_LINGER)) {
        struct weir_linger linger;
        wr_opt_get_linger(&a, &linger);
        return answer(value, len, &linger, sizeof linger);
    }
    if (is_one(&a, level, option, WEIR_SOL_TCP, WEIR_TCP_INFO)) {
        struct weir_tcp_info info;
        wr_opt_get_info(&a, &info);
        return answer(value, len, &info, sizeof info);
    }
    if (is_one(&a, level, option, WEIR_SOL_TCP, WEIR_TCP_CONGESTION)) {
        char name[WEIR_CC_NAME_MAX];
        wr_opt_get_congestion(&a, name);
        return answer(value, len, name, sizeof name);
    }
    if (is_one(&a, level, option, WEIR_SOL_SOCKET, WEIR_SO_MAX_PACING_RATE) && a.tcp != NULL) {
        uint64_t rate;
        size_t size = wr_opt_get_max_pacing_rate(&a, &rate, *len);
        return answer(value, len, &rate, size);
    }
    if (is_one(&a, level, option, WEIR_SOL_TCP, WEIR_TCP_FASTOPEN_KEY)) {
        const struct wr_sock_more *more = sock->more;
        return more == NULL ? answer(value, len, "", 0)
                            : answer(value, len, more->fastopen_key,
                                     more->fastopen_keys * sizeof *more->fastopen_key);
    }
    const struct wr_opt *row = find(&a, level, option);
    if (row == NULL && is_foreign_level(sock, level))
        return WEIR_ENOTSUP;
    if (row == NULL || row->get == NULL)
        return WEIR_ENOPROTOOPT;
    int number = 0;
    error = row->get(&a, &number);
    return error != 0 ? error : answer_int(level, value, len, number);
}
