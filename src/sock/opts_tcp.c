/* SPDX-License-Identifier: MIT */
/* Options of IPPROTO_TCP. */
#include <string.h>

#include "sock/opts.h"

enum {
    MIN_RCVBUF = 2304,
    MSS_DEFAULT = 536, /* what TCP_MAXSEG shows before there is a connection */
    MAXSEG_LOWEST = 88,
    MAXSEG_HIGHEST = 32767,
    LINGER2_MOST_S = 120,
    KEEP_MOST_S = 32767,
    COUNT_MOST = 127,
    RTO_MOST_S = 120, /* of SYN-ACKs, for TCP_DEFER_ACCEPT */
    FASTOPEN_MOST = 16383,
};

static int set_nodelay(const struct wr_opt_access *a, int value)
{
    struct tcb *tcb = wr_opt_conn(a);
    a->tcp->nodelay = value != 0;
    if (tcb == NULL || wr_tcp_outq(tcb) == 0) /* as mostly: there is nothing that it could let go */
        return 0;
    if (value != 0)
        wr_tcp_push(a->stack, tcb, a->now);
    return wr_opt_changed(a);
}

static int get_nodelay(const struct wr_opt_access *a, int *value)
{
    *value = a->tcp->nodelay;
    return 0;
}

static int set_cork(const struct wr_opt_access *a, int value)
{
    a->tcp->cork = value != 0;
    return wr_opt_changed(a);
}

static int get_cork(const struct wr_opt_access *a, int *value)
{
    *value = a->tcp->cork;
    return 0;
}

static int set_inq(const struct wr_opt_access *a, int value)
{
    if (value < 0 || value > 1)
        return WEIR_EINVAL;
    a->tcp->recv_inq = value != 0;
    return 0;
}

static int get_inq(const struct wr_opt_access *a, int *value)
{
    *value = a->tcp->recv_inq;
    return 0;
}

static int set_maxseg(const struct wr_opt_access *a, int value)
{
    if (value != 0 && (value < MAXSEG_LOWEST || value > MAXSEG_HIGHEST))
        return WEIR_EINVAL;
    a->tcp->maxseg = (uint16_t)value;
    return wr_opt_changed(a);
}

static int get_maxseg(const struct wr_opt_access *a, int *value)
{
    const struct tcb *tcb = wr_opt_conn(a);
    if (tcb != NULL && wr_tcp_state(tcb) != WEIR_TCP_CLOSE)
        *value = (int)wr_tcp_mss(tcb);
    else
        *value = a->tcp->maxseg != 0 ? a->tcp->maxseg : MSS_DEFAULT;
    return 0;
}

/* 1..most or EINVAL: four options are of this kind. */
static bool in_range(int value, int most)
{
    return value >= 1 && value <= most;
}

static int set_keepidle(const struct wr_opt_access *a, int value)
{
    if (!in_range(value, KEEP_MOST_S))
        return WEIR_EINVAL;
    a->tcp->keepidle_s = (uint16_t)value;
    return wr_opt_changed(a);
}

static int get_keepidle(const struct wr_opt_access *a, int *value)
{
    uint16_t own = a->tcp->keepidle_s;
    *value = own != 0 ? own : (int)a->stack->tunables.tcp_keepalive_time_s;
    return 0;
}

static int set_keepintvl(const struct wr_opt_access *a, int value)
{
    if (!in_range(value, KEEP_MOST_S))
        return WEIR_EINVAL;
    a->tcp->keepintvl_s = (uint16_t)value;
    return 0;
}

static int get_keepintvl(const struct wr_opt_access *a, int *value)
{
    uint16_t own = a->tcp->keepintvl_s;
    *value = own != 0 ? own : (int)a->stack->tunables.tcp_keepalive_intvl_s;
    return 0;
}

static int set_keepcnt(const struct wr_opt_access *a, int value)
{
    if (!in_range(value, COUNT_MOST))
        return WEIR_EINVAL;
    a->tcp->keepcnt = (uint8_t)value;
    return 0;
}

static int get_keepcnt(const struct wr_opt_access *a, int *value)
{
    uint8_t own = a->tcp->keepcnt;
    *value = own != 0 ? own : (int)a->stack->tunables.tcp_keepalive_probes;
    return 0;
}

static int set_syncnt(const struct wr_opt_access *a, int value)
{
    if (!in_range(value, COUNT_MOST))
        return WEIR_EINVAL;
    a->tcp->syncnt = (uint8_t)value;
    return 0;
}

static int get_syncnt(const struct wr_opt_access *a, int *value)
{
    uint8_t own = a->tcp->syncnt;
    *value = own != 0 ? own : (int)a->stack->tunables.tcp_syn_retries;
    return 0;
}

static int set_linger2(const struct wr_opt_access *a, int value)
{
    a->tcp->linger2_off = value < 0;
    a->tcp->linger2_s = value < 0 ? 0 : value > LINGER2_MOST_S ? LINGER2_MOST_S : value;
    return 0;
}

static int get_linger2(const struct wr_opt_access *a, int *value)
{
    if (a->tcp->linger2_off)
        *value = -1;
    else
        *value =
            a->tcp->linger2_s != 0 ? a->tcp->linger2_s : (int)a->stack->tunables.tcp_fin_timeout_s;
    return 0;
}

/* Rounded up to the moment when a SYN-ACK would be repeated: 1, 3, 7, 15 ... seconds. */
static int set_defer_accept(const struct wr_opt_access *a, int value)
{
    int period = 0;
    for (int step = 1, n = 0; period < value && n < UINT8_MAX; n++) {
        period += step;
        step = step * 2 < RTO_MOST_S ? step * 2 : RTO_MOST_S;
    }
    a->tcp->defer_accept_s = period;
    return 0;
}

static int get_defer_accept(const struct wr_opt_access *a, int *value)
{
    *value = a->tcp->defer_accept_s;
    return 0;
}

static int set_window_clamp(const struct wr_opt_access *a, int value)
{
    uint32_t clamp = (uint32_t)value;
    if (clamp == 0 && wr_opt_conn(a) != NULL && wr_tcp_state(wr_opt_conn(a)) != WEIR_TCP_CLOSE)
        return WEIR_EINVAL;
    a->tcp->window_clamp = clamp != 0 && clamp < MIN_RCVBUF / 2 ? MIN_RCVBUF / 2 : clamp;
    return wr_opt_changed(a);
}

static int get_window_clamp(const struct wr_opt_access *a, int *value)
{
    *value = (int)a->tcp->window_clamp;
    return 0;
}

static int set_quickack(const struct wr_opt_access *a, int value)
{
    a->tcp->quickack_off = value == 0;
    if (wr_opt_conn(a) != NULL)
        wr_tcp_quickack(a->stack, wr_opt_conn(a), value != 0, a->now);
    return 0;
}

static int get_quickack(const struct wr_opt_access *a, int *value)
{
    *value = !a->tcp->quickack_off;
    return 0;
}

static int set_user_timeout(const struct wr_opt_access *a, int value)
{
    if (value < 0)
        return WEIR_EINVAL;
    a->tcp->user_timeout_ms = (uint32_t)value;
    return wr_opt_changed(a);
}

static int get_user_timeout(const struct wr_opt_access *a, int *value)
{
    *value = (int)a->tcp->user_timeout_ms;
    return 0;
}

static int set_notsent_lowat(const struct wr_opt_access *a, int value)
{
    a->tcp->notsent_lowat = (uint32_t)value;
    return wr_opt_changed(a);
}

static int get_notsent_lowat(const struct wr_opt_access *a, int *value)
{
    *value = (int)a->tcp->notsent_lowat;
    return 0;
}

static bool is_idle(const struct wr_opt_access *a)
{
    return a->sock->state == WR_SOCK_IDLE ||
           (wr_opt_conn(a) != NULL && wr_tcp_state(wr_opt_conn(a)) == WEIR_TCP_CLOSE);
}

static int set_fastopen(const struct wr_opt_access *a, int value)
{
    int64_t most = a->stack->tunables.somaxconn;
    if (value < 0 || !(is_idle(a) || a->sock->state == WR_SOCK_LISTENING))
        return WEIR_EINVAL;
    if (most > FASTOPEN_MOST)
        most = FASTOPEN_MOST;
    a->tcp->fastopen_qlen = (unsigned)(value < most ? value : most) & FASTOPEN_MOST;
    return 0;
}

static int get_fastopen(const struct wr_opt_access *a, int *value)
{
    *value = a->tcp->fastopen_qlen;
    return 0;
}

static int set_fastopen_connect(const struct wr_opt_access *a, int value)
{
    if (value < 0 || value > 1)
        return WEIR_EINVAL;
    if (!wr_tcp_fastopen_on(a->stack))
        return WEIR_ENOTSUP;
    if (!is_idle(a))
        return WEIR_EINVAL;
    a->tcp->fastopen_connect = value == 1;
    return 0;
}

static int get_fastopen_connect(const struct wr_opt_access *a, int *value)
{
    *value = a->tcp->fastopen_connect;
    return 0;
}

static int set_fastopen_no_cookie(const struct wr_opt_access *a, int value)
{
    if (value < 0 || value > 1 || !(is_idle(a) || a->sock->state == WR_SOCK_LISTENING))
        return WEIR_EINVAL;
    a->tcp->fastopen_no_cookie = value == 1;
    return 0;
}

static int get_fastopen_no_cookie(const struct wr_opt_access *a, int *value)
{
    *value = a->tcp->fastopen_no_cookie;
    return 0;
}

int wr_opt_set_fastopen_key(const struct wr_opt_access *a, const void *value, size_t len)
{
    struct wr_sock *sock = a->sock;
    if (len != sizeof *sock->more->fastopen_key && len != 2 * sizeof *sock->more->fastopen_key)
        return WEIR_EINVAL;
    if (!wr_sock_need_more(a->stack, sock))
        return WEIR_ENOMEM;
    if (sock->more->fastopen_key == NULL)
        sock->more->fastopen_key = wr_alloc(a->stack, 2 * sizeof *sock->more->fastopen_key);
    if (sock->more->fastopen_key == NULL)
        return WEIR_ENOMEM;
    memcpy(sock->more->fastopen_key, value, len);
    sock->more->fastopen_keys = (uint8_t)(len / sizeof *sock->more->fastopen_key);
    if (sock->state != WR_SOCK_LISTENING)
        return 0;
    return wr_tcp_listen_keys(a->stack, sock->more->listener, value, len);
}

int wr_opt_set_congestion(const struct wr_opt_access *a, const void *value, size_t len)
{
    char name[WEIR_CC_NAME_MAX] = "";
    if (len < 1)
        return WEIR_EINVAL;
    memcpy(name, value, len < sizeof name - 1 ? len : sizeof name - 1);
    int found = wr_tcp_cc_find(a->stack, name);
    if (found < 0)
        return found;
    if (wr_opt_conn(a) != NULL && !wr_tcp_cc_room(a->stack, wr_opt_conn(a), found))
        return WEIR_ENOMEM;
    a->tcp->congestion = (uint8_t)found;
    return wr_opt_changed(a);
}

void wr_opt_get_congestion(const struct wr_opt_access *a, char name[WEIR_CC_NAME_MAX])
{
    const char *known = wr_tcp_cc_name(a->stack, a->tcp);
    memset(name, 0, WEIR_CC_NAME_MAX);
    memcpy(name, known, strlen(known));
}

void wr_opt_get_info(const struct wr_opt_access *a, struct weir_tcp_info *info)
{
    memset(info, 0, sizeof *info);
    if (wr_opt_conn(a) != NULL) {
        wr_tcp_info(a->stack, wr_opt_conn(a), info, a->now);
    } else if (a->sock->state == WR_SOCK_LISTENING) {
        wr_tcp_listener_info(a->sock->more->listener, info);
        info->tcpi_state = WEIR_TCP_LISTEN;
    } else {
        info->tcpi_state = WEIR_TCP_CLOSE;
    }
}

static int set_thin_dupack(const struct wr_opt_access *a, int value)
{
    (void)a;
    return value < 0 || value > 1 ? WEIR_EINVAL : 0;
}

static int get_thin_dupack(const struct wr_opt_access *a, int *value)
{
    (void)a;
    *value = 0;
    return 0;
}

static const struct wr_opt tcp_rows[] = {
    {WEIR_TCP_NODELAY, set_nodelay, get_nodelay},
    {WEIR_TCP_INQ, set_inq, get_inq},
    {WEIR_TCP_MAXSEG, set_maxseg, get_maxseg},
    {WEIR_TCP_CORK, set_cork, get_cork},
    {WEIR_TCP_KEEPIDLE, set_keepidle, get_keepidle},
    {WEIR_TCP_KEEPINTVL, set_keepintvl, get_keepintvl},
    {WEIR_TCP_KEEPCNT, set_keepcnt, get_keepcnt},
    {WEIR_TCP_SYNCNT, set_syncnt, get_syncnt},
    {WEIR_TCP_LINGER2, set_linger2, get_linger2},
    {WEIR_TCP_DEFER_ACCEPT, set_defer_accept, get_defer_accept},
    {WEIR_TCP_WINDOW_CLAMP, set_window_clamp, get_window_clamp},
    {WEIR_TCP_QUICKACK, set_quickack, get_quickack},
    {WEIR_TCP_THIN_DUPACK, set_thin_dupack, get_thin_dupack},
    {WEIR_TCP_USER_TIMEOUT, set_user_timeout, get_user_timeout},
    {WEIR_TCP_FASTOPEN, set_fastopen, get_fastopen},
    {WEIR_TCP_NOTSENT_LOWAT, set_notsent_lowat, get_notsent_lowat},
    {WEIR_TCP_FASTOPEN_CONNECT, set_fastopen_connect, get_fastopen_connect},
    {WEIR_TCP_FASTOPEN_NO_COOKIE, set_fastopen_no_cookie, get_fastopen_no_cookie},
};

const struct wr_opt_table wr_opts_tcp = {tcp_rows, sizeof tcp_rows / sizeof tcp_rows[0]};
