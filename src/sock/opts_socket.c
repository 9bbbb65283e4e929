/* SPDX-License-Identifier: MIT */
/* Options of SOL_SOCKET. */
#include <limits.h>
#include <string.h>

#include "core/note.h"
#include "sock/opts.h"

enum {
    MIN_SNDBUF = 4608, /* Linux: SOCK_MIN_SNDBUF, SOCK_MIN_RCVBUF on 64 bits */
    MIN_RCVBUF = 2304,
    PRIORITY_MOST = 6, /* of a process without CAP_NET_ADMIN */
};

static int set_reuseaddr(const struct wr_opt_access *a, int value)
{
    a->sock->reuseaddr = value != 0;
    if (a->sock->more != NULL)
        a->sock->more->opts.reuseaddr = value != 0;
    return 0;
}

static int get_reuseaddr(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->reuseaddr;
    return 0;
}

static int set_reuseport(const struct wr_opt_access *a, int value)
{
    a->sock->reuseport = value != 0;
    if (a->sock->more != NULL)
        a->sock->more->opts.reuseport = value != 0;
    if (a->udp != NULL)
        a->udp->reuseport = value != 0;
    return 0;
}

static int get_reuseport(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->reuseport;
    return 0;
}

static int get_type(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->is_udp ? WEIR_SOCK_DGRAM : WEIR_SOCK_STREAM;
    return 0;
}

static int get_error(const struct wr_opt_access *a, int *value)
{
    *value = wr_sock_take_error(a->sock);
    return 0;
}

static int get_domain(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->is_v6 ? WEIR_AF_INET6 : WEIR_AF_INET;
    return 0;
}

static int get_protocol(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->protocol;
    return 0;
}

static int get_acceptconn(const struct wr_opt_access *a, int *value)
{
    *value = !a->sock->is_udp && a->sock->state == WR_SOCK_LISTENING;
    return 0;
}

static int set_broadcast(const struct wr_opt_access *a, int value)
{
    a->sock->broadcast = value != 0;
    if (a->udp != NULL)
        a->udp->broadcast = value != 0;
    return 0;
}

static int get_broadcast(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->broadcast;
    return 0;
}

/* Linux keeps twice what was asked for, since it counts its own overhead; a negative size is a very
 * large one to it. */
static uint32_t buffer_size(int value, int64_t most, uint32_t least)
{
    uint32_t asked = (uint32_t)value;
    if (asked > (uint64_t)most)
        asked = (uint32_t)most;
    if (asked > INT_MAX / 2)
        asked = INT_MAX / 2;
    return asked * 2 > least ? asked * 2 : least;
}

static int set_sndbuf(const struct wr_opt_access *a, int value)
{
    uint32_t size = buffer_size(value, a->stack->tunables.wmem_max, MIN_SNDBUF);
    if (a->udp != NULL) {
        a->udp->sndbuf = size;
        return 0;
    }
    a->tcp->sndbuf = size;
    a->tcp->sndbuf_locked = true;
    return wr_opt_changed(a);
}

static int get_sndbuf(const struct wr_opt_access *a, int *value)
{
    *value = (int)(a->udp != NULL ? a->udp->sndbuf : a->tcp->sndbuf);
    return 0;
}

static int set_rcvbuf(const struct wr_opt_access *a, int value)
{
    uint32_t size = buffer_size(value, a->stack->tunables.rmem_max, MIN_RCVBUF);
    if (a->udp != NULL) {
        a->udp->rcvbuf = size;
        return 0;
    }
    a->tcp->rcvbuf = size;
    a->tcp->rcvbuf_locked = true;
    return wr_opt_changed(a);
}

static int get_rcvbuf(const struct wr_opt_access *a, int *value)
{
    *value = (int)(a->udp != NULL ? a->udp->rcvbuf : a->tcp->rcvbuf);
    return 0;
}

static int set_keepalive(const struct wr_opt_access *a, int value)
{
    if (a->tcp == NULL)
        return 0; /* Linux takes it on any socket */
    a->tcp->keepalive = value != 0;
    return wr_opt_changed(a);
}

static int get_keepalive(const struct wr_opt_access *a, int *value)
{
    *value = a->tcp != NULL && a->tcp->keepalive;
    return 0;
}

static int set_oobinline(const struct wr_opt_access *a, int value)
{
    if (a->tcp == NULL)
        return 0;
    a->tcp->oobinline = value != 0;
    return wr_opt_changed(a);
}

static int get_oobinline(const struct wr_opt_access *a, int *value)
{
    *value = a->tcp != NULL && a->tcp->oobinline;
    return 0;
}

static int set_rcvlowat(const struct wr_opt_access *a, int value)
{
    if (a->tcp == NULL)
        return 0;
    int64_t most = a->tcp->rcvbuf_locked ? a->tcp->rcvbuf : a->stack->tunables.tcp_rmem_max;
    int64_t wanted = value < 0 ? INT_MAX : value;
    if (wanted > most / 2)
        wanted = most / 2;
    a->tcp->rcvlowat = wanted == 0 ? 1 : (uint32_t)wanted;
    return wr_opt_changed(a);
}

static int get_rcvlowat(const struct wr_opt_access *a, int *value)
{
    *value = a->tcp != NULL ? (int)a->tcp->rcvlowat : 1;
    return 0;
}

static int get_sndlowat(const struct wr_opt_access *a, int *value)
{
    (void)a;
    *value = 1;
    return 0;
}

/* As on Linux on 64 bits: a short value has 32 bits, and all of them set mean no limit. */
int wr_opt_set_max_pacing_rate(const struct wr_opt_access *a, const void *value, size_t len)
{
    uint64_t rate;
    uint32_t low;

    if (len >= sizeof rate) {
        memcpy(&rate, value, sizeof rate);
    } else {
        memcpy(&low, value, sizeof low);
        rate = low != UINT32_MAX ? low : UINT64_MAX;
    }
    a->tcp->max_pacing_rate = rate != UINT64_MAX ? rate : 0;
    return wr_opt_changed(a);
}

size_t wr_opt_get_max_pacing_rate(const struct wr_opt_access *a, void *value, size_t room)
{
    uint64_t rate = a->tcp->max_pacing_rate != 0 ? a->tcp->max_pacing_rate : UINT64_MAX;
    uint32_t low = rate < UINT32_MAX ? (uint32_t)rate : UINT32_MAX;

    if (room >= sizeof rate) {
        memcpy(value, &rate, sizeof rate);
        return sizeof rate;
    }
    memcpy(value, &low, sizeof low);
    return sizeof low;
}

static int set_mark(const struct wr_opt_access *a, int value)
{
    if (value == 0 && a->sock->more == NULL)
        return 0;
    if (!wr_sock_need_more(a->stack, a->sock))
        return WEIR_ENOMEM;
    a->sock->more->mark = (uint32_t)value;
    return 0;
}

static int get_mark(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->more != NULL ? (int)a->sock->more->mark : 0;
    return 0;
}

/* Kept as Linux keeps it; no queue here looks at it. */
static int set_priority(const struct wr_opt_access *a, int value)
{
    if (value < 0 || value > PRIORITY_MOST)
        return WEIR_EPERM;
    a->sock->priority = (unsigned)value & 7;
    return 0;
}

static int get_priority(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->priority;
    return 0;
}

static int set_peek_off(const struct wr_opt_access *a, int value)
{
    if (a->tcp == NULL)
        return WEIR_ENOTSUP;
    if (value < 0 && a->sock->more == NULL)
        return 0;
    if (!wr_sock_need_more(a->stack, a->sock))
        return WEIR_ENOMEM;
    a->sock->more->peek_from = value < 0 ? 0 : (uint32_t)value + 1;
    return 0;
}

static int get_peek_off(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->more != NULL ? (int)a->sock->more->peek_from - 1 : -1;
    return 0;
}

/* Data is always copied into the send ring, so a send with MSG_ZEROCOPY is done when it returns, and
 * its note says that it was copied. Linux takes the option of UDP too; there it would do nothing. */
static int set_zerocopy(const struct wr_opt_access *a, int value)
{
    if (a->tcp == NULL)
        return WEIR_ENOTSUP;
    if (value < 0 || value > 1)
        return WEIR_EINVAL;
    a->tcp->zerocopy = value != 0;
    return 0;
}

static int get_zerocopy(const struct wr_opt_access *a, int *value)
{
    *value = a->tcp != NULL && a->tcp->zerocopy;
    return 0;
}

/* Linux: the key of OPT_ID counts from a place in the stream, so there must be one. */
static int set_timestamping(const struct wr_opt_access *a, int value)
{
    enum {
        KNOWN = WEIR_STAMPING_TX | WEIR_STAMPING_SOFTWARE | WEIR_STAMPING_OPT_ID |
                WEIR_STAMPING_OPT_TSONLY | WEIR_STAMPING_OPT_ID_TCP
    };
    const struct tcb *tcb = wr_opt_conn(a);
    if (a->tcp == NULL || (value & ~KNOWN))
        return WEIR_ENOTSUP;
    if ((value & WEIR_STAMPING_OPT_ID_TCP) && !(value & WEIR_STAMPING_OPT_ID))
        return WEIR_EINVAL;
    if ((value & WEIR_STAMPING_OPT_ID) && tcb == NULL)
        return WEIR_EINVAL;
    struct wr_notes *notes = wr_notes_of(a->stack, &a->sock->ready);
    if (notes == NULL)
        return WEIR_ENOMEM;
    if ((value & WEIR_STAMPING_OPT_ID) && !(notes->stamping & WEIR_STAMPING_OPT_ID))
        notes->stamp_base = wr_tcp_stamp_base(tcb, (value & WEIR_STAMPING_OPT_ID_TCP) != 0);
    notes->stamping = (uint32_t)value;
    return 0;
}

static int get_timestamping(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->ready.notes != NULL ? (int)a->sock->ready.notes->stamping : 0;
    return 0;
}

int wr_opt_set_linger(const struct wr_opt_access *a, const void *value, size_t len)
{
    struct weir_linger linger;
    if (len < sizeof linger)
        return WEIR_EINVAL;
    memcpy(&linger, value, sizeof linger);
    if (a->tcp == NULL)
        return 0;
    a->tcp->linger_on = linger.on != 0;
    if (linger.on != 0)
        a->tcp->linger_s = linger.seconds < 0 ? INT_MAX : linger.seconds;
    return 0;
}

void wr_opt_get_linger(const struct wr_opt_access *a, struct weir_linger *linger)
{
    linger->on = a->tcp != NULL && a->tcp->linger_on;
    linger->seconds = a->tcp != NULL ? a->tcp->linger_s : 0;
}

static const struct wr_opt socket_rows[] = {
    {WEIR_SO_REUSEADDR, set_reuseaddr, get_reuseaddr},
    {WEIR_SO_TYPE, NULL, get_type},
    {WEIR_SO_ERROR, NULL, get_error},
    {WEIR_SO_BROADCAST, set_broadcast, get_broadcast},
    {WEIR_SO_SNDBUF, set_sndbuf, get_sndbuf},
    {WEIR_SO_RCVBUF, set_rcvbuf, get_rcvbuf},
    {WEIR_SO_KEEPALIVE, set_keepalive, get_keepalive},
    {WEIR_SO_OOBINLINE, set_oobinline, get_oobinline},
    {WEIR_SO_REUSEPORT, set_reuseport, get_reuseport},
    {WEIR_SO_RCVLOWAT, set_rcvlowat, get_rcvlowat},
    {WEIR_SO_SNDLOWAT, NULL, get_sndlowat},
    {WEIR_SO_ACCEPTCONN, NULL, get_acceptconn},
    {WEIR_SO_PROTOCOL, NULL, get_protocol},
    {WEIR_SO_DOMAIN, NULL, get_domain},
    {WEIR_SO_MARK, set_mark, get_mark},
    {WEIR_SO_PRIORITY, set_priority, get_priority},
    {WEIR_SO_PEEK_OFF, set_peek_off, get_peek_off},
    {WEIR_SO_TIMESTAMPING, set_timestamping, get_timestamping},
    {WEIR_SO_ZEROCOPY, set_zerocopy, get_zerocopy},
};

const struct wr_opt_table wr_opts_socket = {socket_rows,
                                            sizeof socket_rows / sizeof socket_rows[0]};
