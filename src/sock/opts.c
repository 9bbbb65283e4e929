/* SPDX-License-Identifier: MIT */
/*
 * setsockopt and getsockopt: one table, a row an option, with Linux's values and errors.
 *
 * Nearly every option is one int, so a row has a function that sets an int and one that gets it;
 * the few that are not (SO_LINGER, TCP_INFO, TCP_CONGESTION) are served before the table is asked.
 * An option without a setter can only be read; setting it is ENOPROTOOPT, as is every option that
 * the table does not have.
 *
 * Where the value lives: TCP's in struct wr_tcp_opts (the tcb's own copy once there is one), UDP's
 * in struct wr_udp_opts, and what concerns the binding in the socket.
 */
#include <limits.h>
#include <string.h>

#include "base/bytes.h"
#include "sock/sock.h"

enum {
    MIN_SNDBUF = 4608, /* Linux: SOCK_MIN_SNDBUF, SOCK_MIN_RCVBUF on 64 bits */
    MIN_RCVBUF = 2304,
    MSS_DEFAULT = 536, /* what TCP_MAXSEG shows before there is a connection */
    MAXSEG_LOWEST = 88,
    MAXSEG_HIGHEST = 32767,
    LINGER2_MOST_S = 120,
    KEEP_MOST_S = 32767,
    COUNT_MOST = 127,
    RTO_MOST_S = 120, /* of SYN-ACKs, for TCP_DEFER_ACCEPT */
    ECN_BITS = 3
};

/* An option of one socket, on its way. */
struct access {
    struct weir_stack *stack;
    struct wr_sock *sock;
    struct wr_tcp_opts *tcp; /* NULL on UDP */
    struct wr_udp_opts *udp; /* NULL on TCP */
    weir_time now;
};

static struct tcb *conn(const struct access *a)
{
    bool has = a->tcp != NULL &&
               (a->sock->state == WR_SOCK_CONNECTING || a->sock->state == WR_SOCK_CONNECTED);
    return has ? a->sock->tcb : NULL;
}

/* What the connection must do about the change, it does now. */
static int changed(const struct access *a)
{
    if (conn(a) != NULL)
        wr_tcp_opts_changed(a->stack, conn(a), a->now);
    return 0;
}

/* ---- SOL_SOCKET -------------------------------------------------------------------------------- */

static int set_reuseaddr(const struct access *a, int value)
{
    a->sock->reuseaddr = value != 0;
    if (a->sock->opts != NULL)
        a->sock->opts->reuseaddr = value != 0;
    return 0;
}

static int get_reuseaddr(const struct access *a, int *value)
{
    *value = a->sock->reuseaddr;
    return 0;
}

static int set_reuseport(const struct access *a, int value)
{
    a->sock->reuseport = value != 0;
    if (a->sock->opts != NULL)
        a->sock->opts->reuseport = value != 0;
    if (a->udp != NULL)
        a->udp->reuseport = value != 0;
    return 0;
}

static int get_reuseport(const struct access *a, int *value)
{
    *value = a->sock->reuseport;
    return 0;
}

static int get_type(const struct access *a, int *value)
{
    *value = a->sock->is_udp ? WEIR_SOCK_DGRAM : WEIR_SOCK_STREAM;
    return 0;
}

static int get_error(const struct access *a, int *value)
{
    *value = wr_sock_take_error(a->sock);
    return 0;
}

static int get_domain(const struct access *a, int *value)
{
    *value = a->sock->is_v6 ? WEIR_AF_INET6 : WEIR_AF_INET;
    return 0;
}

static int get_protocol(const struct access *a, int *value)
{
    *value = a->sock->is_udp ? WEIR_SOL_UDP : WEIR_SOL_TCP;
    return 0;
}

static int get_acceptconn(const struct access *a, int *value)
{
    *value = !a->sock->is_udp && a->sock->state == WR_SOCK_LISTENING;
    return 0;
}

static int set_broadcast(const struct access *a, int value)
{
    a->sock->broadcast = value != 0;
    if (a->udp != NULL)
        a->udp->broadcast = value != 0;
    return 0;
}

static int get_broadcast(const struct access *a, int *value)
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

static int set_sndbuf(const struct access *a, int value)
{
    uint32_t size = buffer_size(value, a->stack->tunables.wmem_max, MIN_SNDBUF);
    if (a->udp != NULL) {
        a->udp->sndbuf = size;
        return 0;
    }
    a->tcp->sndbuf = size;
    a->tcp->sndbuf_locked = true;
    return changed(a);
}

static int get_sndbuf(const struct access *a, int *value)
{
    *value = (int)(a->udp != NULL ? a->udp->sndbuf : a->tcp->sndbuf);
    return 0;
}

static int set_rcvbuf(const struct access *a, int value)
{
    uint32_t size = buffer_size(value, a->stack->tunables.rmem_max, MIN_RCVBUF);
    if (a->udp != NULL) {
        a->udp->rcvbuf = size;
        return 0;
    }
    a->tcp->rcvbuf = size;
    a->tcp->rcvbuf_locked = true;
    return changed(a);
}

static int get_rcvbuf(const struct access *a, int *value)
{
    *value = (int)(a->udp != NULL ? a->udp->rcvbuf : a->tcp->rcvbuf);
    return 0;
}

static int set_keepalive(const struct access *a, int value)
{
    if (a->tcp == NULL)
        return 0; /* Linux takes it on any socket */
    a->tcp->keepalive = value != 0;
    return changed(a);
}

static int get_keepalive(const struct access *a, int *value)
{
    *value = a->tcp != NULL && a->tcp->keepalive;
    return 0;
}

static int set_oobinline(const struct access *a, int value)
{
    if (a->tcp == NULL)
        return 0;
    a->tcp->oobinline = value != 0;
    return changed(a);
}

static int get_oobinline(const struct access *a, int *value)
{
    *value = a->tcp != NULL && a->tcp->oobinline;
    return 0;
}

static int set_rcvlowat(const struct access *a, int value)
{
    if (a->tcp == NULL)
        return 0;
    int64_t most = a->tcp->rcvbuf_locked ? a->tcp->rcvbuf : a->stack->tunables.tcp_rmem_max;
    int64_t wanted = value < 0 ? INT_MAX : value;
    if (wanted > most / 2)
        wanted = most / 2;
    a->tcp->rcvlowat = wanted == 0 ? 1 : (uint32_t)wanted;
    return changed(a);
}

static int get_rcvlowat(const struct access *a, int *value)
{
    *value = a->tcp != NULL ? (int)a->tcp->rcvlowat : 1;
    return 0;
}

static int get_sndlowat(const struct access *a, int *value)
{
    (void)a;
    *value = 1;
    return 0;
}

/* ---- SOL_TCP ----------------------------------------------------------------------------------- */

static int set_nodelay(const struct access *a, int value)
{
    a->tcp->nodelay = value != 0;
    if (value != 0 && conn(a) != NULL)
        wr_tcp_push(a->stack, conn(a), a->now);
    return changed(a);
}

static int get_nodelay(const struct access *a, int *value)
{
    *value = a->tcp->nodelay;
    return 0;
}

static int set_cork(const struct access *a, int value)
{
    a->tcp->cork = value != 0;
    return changed(a);
}

static int get_cork(const struct access *a, int *value)
{
    *value = a->tcp->cork;
    return 0;
}

static int set_maxseg(const struct access *a, int value)
{
    if (value != 0 && (value < MAXSEG_LOWEST || value > MAXSEG_HIGHEST))
        return WEIR_EINVAL;
    a->tcp->maxseg = (uint16_t)value;
    return changed(a);
}

static int get_maxseg(const struct access *a, int *value)
{
    const struct tcb *tcb = conn(a);
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

static int set_keepidle(const struct access *a, int value)
{
    if (!in_range(value, KEEP_MOST_S))
        return WEIR_EINVAL;
    a->tcp->keepidle_s = (uint16_t)value;
    return changed(a);
}

static int get_keepidle(const struct access *a, int *value)
{
    uint16_t own = a->tcp->keepidle_s;
    *value = own != 0 ? own : (int)a->stack->tunables.tcp_keepalive_time_s;
    return 0;
}

static int set_keepintvl(const struct access *a, int value)
{
    if (!in_range(value, KEEP_MOST_S))
        return WEIR_EINVAL;
    a->tcp->keepintvl_s = (uint16_t)value;
    return 0;
}

static int get_keepintvl(const struct access *a, int *value)
{
    uint16_t own = a->tcp->keepintvl_s;
    *value = own != 0 ? own : (int)a->stack->tunables.tcp_keepalive_intvl_s;
    return 0;
}

static int set_keepcnt(const struct access *a, int value)
{
    if (!in_range(value, COUNT_MOST))
        return WEIR_EINVAL;
    a->tcp->keepcnt = (uint8_t)value;
    return 0;
}

static int get_keepcnt(const struct access *a, int *value)
{
    uint8_t own = a->tcp->keepcnt;
    *value = own != 0 ? own : (int)a->stack->tunables.tcp_keepalive_probes;
    return 0;
}

static int set_syncnt(const struct access *a, int value)
{
    if (!in_range(value, COUNT_MOST))
        return WEIR_EINVAL;
    a->tcp->syncnt = (uint8_t)value;
    return 0;
}

static int get_syncnt(const struct access *a, int *value)
{
    uint8_t own = a->tcp->syncnt;
    *value = own != 0 ? own : (int)a->stack->tunables.tcp_syn_retries;
    return 0;
}

static int set_linger2(const struct access *a, int value)
{
    a->tcp->linger2_off = value < 0;
    a->tcp->linger2_s = value < 0 ? 0 : value > LINGER2_MOST_S ? LINGER2_MOST_S : value;
    return 0;
}

static int get_linger2(const struct access *a, int *value)
{
    if (a->tcp->linger2_off)
        *value = -1;
    else
        *value =
            a->tcp->linger2_s != 0 ? a->tcp->linger2_s : (int)a->stack->tunables.tcp_fin_timeout_s;
    return 0;
}

/* Rounded up to the moment when a SYN-ACK would be repeated: 1, 3, 7, 15 ... seconds. */
static int set_defer_accept(const struct access *a, int value)
{
    int period = 0;
    for (int step = 1, n = 0; period < value && n < UINT8_MAX; n++) {
        period += step;
        step = step * 2 < RTO_MOST_S ? step * 2 : RTO_MOST_S;
    }
    a->tcp->defer_accept_s = period;
    return 0;
}

static int get_defer_accept(const struct access *a, int *value)
{
    *value = a->tcp->defer_accept_s;
    return 0;
}

static int set_window_clamp(const struct access *a, int value)
{
    uint32_t clamp = (uint32_t)value;
    if (clamp == 0 && conn(a) != NULL && wr_tcp_state(conn(a)) != WEIR_TCP_CLOSE)
        return WEIR_EINVAL;
    a->tcp->window_clamp = clamp != 0 && clamp < MIN_RCVBUF / 2 ? MIN_RCVBUF / 2 : clamp;
    return changed(a);
}

static int get_window_clamp(const struct access *a, int *value)
{
    *value = (int)a->tcp->window_clamp;
    return 0;
}

static int set_quickack(const struct access *a, int value)
{
    a->tcp->quickack_off = value == 0;
    if (conn(a) != NULL)
        wr_tcp_quickack(a->stack, conn(a), value != 0, a->now);
    return 0;
}

static int get_quickack(const struct access *a, int *value)
{
    *value = !a->tcp->quickack_off;
    return 0;
}

static int set_user_timeout(const struct access *a, int value)
{
    if (value < 0)
        return WEIR_EINVAL;
    a->tcp->user_timeout_ms = (uint32_t)value;
    return changed(a);
}

static int get_user_timeout(const struct access *a, int *value)
{
    *value = (int)a->tcp->user_timeout_ms;
    return 0;
}

static int set_notsent_lowat(const struct access *a, int value)
{
    a->tcp->notsent_lowat = (uint32_t)value;
    return changed(a);
}

static int get_notsent_lowat(const struct access *a, int *value)
{
    *value = (int)a->tcp->notsent_lowat;
    return 0;
}

/* Data in a SYN (RFC 7413) is not there: off is granted, on is refused in words that programs know. */
static int set_fastopen(const struct access *a, int value)
{
    (void)a;
    return value == 0 ? 0 : WEIR_ENOTSUP;
}

static int get_fastopen(const struct access *a, int *value)
{
    (void)a;
    *value = 0;
    return 0;
}

/* ---- SOL_IP, SOL_IPV6 -------------------------------------------------------------------------- */

static uint8_t *hop_limit_of(const struct access *a)
{
    return a->udp != NULL ? &a->udp->hop_limit : &a->tcp->hop_limit;
}

static uint8_t *ds_of(const struct access *a)
{
    return a->udp != NULL ? &a->udp->ds : &a->tcp->ds;
}

static int set_ttl(const struct access *a, int value)
{
    if (value != -1 && (value < 1 || value > 255))
        return WEIR_EINVAL;
    *hop_limit_of(a) = (uint8_t)(value == -1 ? 0 : value);
    return 0;
}

static int get_ttl(const struct access *a, int *value)
{
    uint8_t own = *hop_limit_of(a);
    *value = own != 0 ? own : (int)a->stack->tunables.ip_default_ttl;
    return 0;
}

/* IPv6 allows a hop limit of 0 here, which means that the packet stays on this host; it is refused
 * as something that the stack cannot do. */
static int set_unicast_hops(const struct access *a, int value)
{
    return set_ttl(a, value);
}

static int set_tos(const struct access *a, int value)
{
    if (a->udp != NULL)
        a->udp->ds = (uint8_t)value;
    else /* the ECN bits are TCP's own */
        a->tcp->ds = (uint8_t)((value & ~ECN_BITS & 0xff) | (a->tcp->ds & ECN_BITS));
    return 0;
}

static int get_tos(const struct access *a, int *value)
{
    *value = *ds_of(a);
    return 0;
}

static int set_tclass(const struct access *a, int value)
{
    if (value < -1 || value > 0xff)
        return WEIR_EINVAL;
    return set_tos(a, value == -1 ? 0 : value);
}

static int set_mtu_discover(const struct access *a, int value)
{
    if (value < 0 || value > 5)
        return WEIR_EINVAL;
    if (a->udp != NULL)
        a->udp->mtu_discover = value;
    a->sock->mtu_discover = (uint8_t)value;
    return 0;
}

static int get_mtu_discover(const struct access *a, int *value)
{
    *value = a->sock->mtu_discover;
    return 0;
}

static int get_mtu(const struct access *a, int *value)
{
    struct weir_endpoint peer;
    struct wr_path path;
    int error = weir_sock_getpeername(a->stack, a->sock->ready.sock, &peer);
    if (error != 0)
        return error;
    struct weir_addr any = weir_addr_is_v4(&peer.addr) ? weir_addr_any4() : weir_addr_any6();
    error = wr_path_find(a->stack, &peer.addr, &any, &path);
    if (error != 0)
        return WEIR_ENOTCONN;
    *value = (int)wr_path_mtu(a->stack, &path, &peer.addr);
    return 0;
}

static int set_v6only(const struct access *a, int value)
{
    if (a->sock->local.port != 0 || a->sock->state != WR_SOCK_IDLE)
        return WEIR_EINVAL;
    a->sock->v6only = value != 0;
    return 0;
}

static int get_v6only(const struct access *a, int *value)
{
    *value = a->sock->v6only;
    return 0;
}

/* ---- the table --------------------------------------------------------------------------------- */

struct option {
    int level, name;
    int (*set)(const struct access *a, int value);
    int (*get)(const struct access *a, int *value);
};

static const struct option table[] = {
    {WEIR_SOL_SOCKET, WEIR_SO_REUSEADDR, set_reuseaddr, get_reuseaddr},
    {WEIR_SOL_SOCKET, WEIR_SO_TYPE, NULL, get_type},
    {WEIR_SOL_SOCKET, WEIR_SO_ERROR, NULL, get_error},
    {WEIR_SOL_SOCKET, WEIR_SO_BROADCAST, set_broadcast, get_broadcast},
    {WEIR_SOL_SOCKET, WEIR_SO_SNDBUF, set_sndbuf, get_sndbuf},
    {WEIR_SOL_SOCKET, WEIR_SO_RCVBUF, set_rcvbuf, get_rcvbuf},
    {WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, set_keepalive, get_keepalive},
    {WEIR_SOL_SOCKET, WEIR_SO_OOBINLINE, set_oobinline, get_oobinline},
    {WEIR_SOL_SOCKET, WEIR_SO_REUSEPORT, set_reuseport, get_reuseport},
    {WEIR_SOL_SOCKET, WEIR_SO_RCVLOWAT, set_rcvlowat, get_rcvlowat},
    {WEIR_SOL_SOCKET, WEIR_SO_SNDLOWAT, NULL, get_sndlowat},
    {WEIR_SOL_SOCKET, WEIR_SO_ACCEPTCONN, NULL, get_acceptconn},
    {WEIR_SOL_SOCKET, WEIR_SO_PROTOCOL, NULL, get_protocol},
    {WEIR_SOL_SOCKET, WEIR_SO_DOMAIN, NULL, get_domain},

    {WEIR_SOL_TCP, WEIR_TCP_NODELAY, set_nodelay, get_nodelay},
    {WEIR_SOL_TCP, WEIR_TCP_MAXSEG, set_maxseg, get_maxseg},
    {WEIR_SOL_TCP, WEIR_TCP_CORK, set_cork, get_cork},
    {WEIR_SOL_TCP, WEIR_TCP_KEEPIDLE, set_keepidle, get_keepidle},
    {WEIR_SOL_TCP, WEIR_TCP_KEEPINTVL, set_keepintvl, get_keepintvl},
    {WEIR_SOL_TCP, WEIR_TCP_KEEPCNT, set_keepcnt, get_keepcnt},
    {WEIR_SOL_TCP, WEIR_TCP_SYNCNT, set_syncnt, get_syncnt},
    {WEIR_SOL_TCP, WEIR_TCP_LINGER2, set_linger2, get_linger2},
    {WEIR_SOL_TCP, WEIR_TCP_DEFER_ACCEPT, set_defer_accept, get_defer_accept},
    {WEIR_SOL_TCP, WEIR_TCP_WINDOW_CLAMP, set_window_clamp, get_window_clamp},
    {WEIR_SOL_TCP, WEIR_TCP_QUICKACK, set_quickack, get_quickack},
    {WEIR_SOL_TCP, WEIR_TCP_USER_TIMEOUT, set_user_timeout, get_user_timeout},
    {WEIR_SOL_TCP, WEIR_TCP_FASTOPEN, set_fastopen, get_fastopen},
    {WEIR_SOL_TCP, WEIR_TCP_NOTSENT_LOWAT, set_notsent_lowat, get_notsent_lowat},
    {WEIR_SOL_TCP, WEIR_TCP_FASTOPEN_CONNECT, set_fastopen, get_fastopen},

    {WEIR_SOL_IP, WEIR_IP_TOS, set_tos, get_tos},
    {WEIR_SOL_IP, WEIR_IP_TTL, set_ttl, get_ttl},
    {WEIR_SOL_IP, WEIR_IP_MTU_DISCOVER, set_mtu_discover, get_mtu_discover},
    {WEIR_SOL_IP, WEIR_IP_MTU, NULL, get_mtu},

    {WEIR_SOL_IPV6, WEIR_IPV6_UNICAST_HOPS, set_unicast_hops, get_ttl},
    {WEIR_SOL_IPV6, WEIR_IPV6_MTU, NULL, get_mtu},
    {WEIR_SOL_IPV6, WEIR_IPV6_V6ONLY, set_v6only, get_v6only},
    {WEIR_SOL_IPV6, WEIR_IPV6_TCLASS, set_tclass, get_tos},
};

static const struct option *find(const struct access *a, int level, int name)
{
    if (level == WEIR_SOL_TCP && a->tcp == NULL)
        return NULL;
    if (level == WEIR_SOL_IPV6 && !a->sock->is_v6)
        return NULL;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].level == level && table[i].name == name)
            return &table[i];
    return NULL;
}

static struct access make_access(struct weir_stack *stack, struct wr_sock *sock, weir_time now)
{
    struct access a = {.stack = stack, .sock = sock, .now = now};
    if (sock->is_udp)
        a.udp = wr_udp_opts(sock->udp);
    else
        a.tcp = wr_sock_opts(sock);
    return a;
}

static bool is_one(const struct access *a, int level, int name, int wanted_level, int wanted)
{
    return level == wanted_level && name == wanted && (level != WEIR_SOL_TCP || a->tcp != NULL);
}

/* ---- options that are not an int --------------------------------------------------------------- */

static int set_linger(const struct access *a, const void *value, size_t len)
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

static void get_linger(const struct access *a, struct weir_linger *linger)
{
    linger->on = a->tcp != NULL && a->tcp->linger_on;
    linger->seconds = a->tcp != NULL ? a->tcp->linger_s : 0;
}

static int set_congestion(const struct access *a, const void *value, size_t len)
{
    char name[sizeof a->tcp->congestion] = "";
    if (len < 1)
        return WEIR_EINVAL;
    memcpy(name, value, len < sizeof name - 1 ? len : sizeof name - 1);
    const char *known = name[0] != '\0' ? wr_tcp_cc_name(name) : NULL;
    if (known == NULL)
        return WEIR_ENOENT;
    memset(a->tcp->congestion, 0, sizeof a->tcp->congestion);
    memcpy(a->tcp->congestion, known, strlen(known));
    return changed(a);
}

static void get_info(const struct access *a, struct weir_tcp_info *info)
{
    memset(info, 0, sizeof *info);
    if (conn(a) != NULL) {
        wr_tcp_info(a->stack, conn(a), info, a->now);
    } else if (a->sock->state == WR_SOCK_LISTENING) {
        wr_tcp_listener_info(a->sock->listener, info);
        info->tcpi_state = WEIR_TCP_LISTEN;
    } else {
        info->tcpi_state = WEIR_TCP_CLOSE;
    }
}

/* ---- the calls --------------------------------------------------------------------------------- */

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

int weir_sock_setsockopt(struct weir_stack *stack, weir_sock handle, int level, int option,
                         const void *value, size_t len, weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    struct access a = make_access(stack, sock, now);
    if (is_one(&a, level, option, WEIR_SOL_TCP, WEIR_TCP_CONGESTION))
        return set_congestion(&a, value, len);
    int number = 0;
    if (level == WEIR_SOL_SOCKET && len < sizeof number)
        return WEIR_EINVAL; /* before the option is looked at, as on Linux */
    if (is_one(&a, level, option, WEIR_SOL_SOCKET, WEIR_SO_LINGER))
        return set_linger(&a, value, len);
    const struct option *row = find(&a, level, option);
    if (row == NULL || row->set == NULL)
        return WEIR_ENOPROTOOPT;
    int error = read_int(level, value, len, &number);
    return error != 0 ? error : row->set(&a, number);
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

/* A level that an IPv4 socket knows nothing of: getsockopt is EOPNOTSUPP on Linux, setsockopt is not. */
static bool is_foreign_level(const struct wr_sock *sock, int level)
{
    return !sock->is_v6 && level != WEIR_SOL_SOCKET && level != WEIR_SOL_IP &&
           level != (sock->is_udp ? WEIR_SOL_UDP : WEIR_SOL_TCP);
}

int weir_sock_getsockopt(struct weir_stack *stack, weir_sock handle, int level, int option,
                         void *value, size_t *len, weir_time now)
{
    now = wr_clock(stack, now);
    struct wr_sock *sock = wr_sock_find(stack, handle);
    if (sock == NULL)
        return WEIR_EBADF;
    struct access a = make_access(stack, sock, now);
    if (is_one(&a, level, option, WEIR_SOL_SOCKET, WEIR_SO_LINGER)) {
        struct weir_linger linger;
        get_linger(&a, &linger);
        return answer(value, len, &linger, sizeof linger);
    }
    if (is_one(&a, level, option, WEIR_SOL_TCP, WEIR_TCP_INFO)) {
        struct weir_tcp_info info;
        get_info(&a, &info);
        return answer(value, len, &info, sizeof info);
    }
    if (is_one(&a, level, option, WEIR_SOL_TCP, WEIR_TCP_CONGESTION)) {
        char name[sizeof a.tcp->congestion] = "";
        const char *known = wr_tcp_cc_name(a.tcp->congestion);
        memcpy(name, known, strlen(known));
        return answer(value, len, name, sizeof name);
    }
    const struct option *row = find(&a, level, option);
    if (row == NULL && is_foreign_level(sock, level))
        return WEIR_ENOTSUP;
    if (row == NULL || row->get == NULL)
        return WEIR_ENOPROTOOPT;
    int number = 0;
    int error = row->get(&a, &number);
    return error != 0 ? error : answer_int(level, value, len, number);
}
