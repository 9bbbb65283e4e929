/* SPDX-License-Identifier: MIT */
/* Options of IPPROTO_IP and IPPROTO_IPV6. TTL and hop limit, TOS and traffic class are one value
 * each, whichever family the packets are of. */
#include "sock/opts.h"

enum {
    ECN_BITS = 3,
};

static uint8_t *hop_limit_of(const struct wr_opt_access *a)
{
    return a->udp != NULL ? &a->udp->hop_limit : &a->tcp->hop_limit;
}

static uint8_t *ds_of(const struct wr_opt_access *a)
{
    return a->udp != NULL ? &a->udp->ds : &a->tcp->ds;
}

static int set_ttl(const struct wr_opt_access *a, int value)
{
    if (value != -1 && (value < 1 || value > 255))
        return WEIR_EINVAL;
    *hop_limit_of(a) = (uint8_t)(value == -1 ? 0 : value);
    return 0;
}

static int get_ttl(const struct wr_opt_access *a, int *value)
{
    uint8_t own = *hop_limit_of(a);
    *value = own != 0 ? own : (int)a->stack->tunables.ip_default_ttl;
    return 0;
}

/* IPv6 allows a hop limit of 0 here, which means that the packet stays on this host; it is refused
 * as something that the stack cannot do. */
static int set_unicast_hops(const struct wr_opt_access *a, int value)
{
    return set_ttl(a, value);
}

static int set_tos(const struct wr_opt_access *a, int value)
{
    if (a->udp != NULL)
        a->udp->ds = (uint8_t)value;
    else /* the ECN bits are TCP's own */
        a->tcp->ds = (uint8_t)((value & ~ECN_BITS & 0xff) | (a->tcp->ds & ECN_BITS));
    return 0;
}

static int get_tos(const struct wr_opt_access *a, int *value)
{
    *value = *ds_of(a);
    return 0;
}

static int set_tclass(const struct wr_opt_access *a, int value)
{
    if (value < -1 || value > 0xff)
        return WEIR_EINVAL;
    return set_tos(a, value == -1 ? 0 : value);
}

static int set_mtu_discover(const struct wr_opt_access *a, int value)
{
    if (value < 0 || value > 5)
        return WEIR_EINVAL;
    if (a->udp != NULL)
        a->udp->mtu_discover = value;
    if (a->tcp != NULL)
        a->tcp->mtu_discover = (uint8_t)value;
    a->sock->mtu_discover = (uint8_t)value;
    return 0;
}

static int get_mtu_discover(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->mtu_discover;
    return 0;
}

static int get_mtu(const struct wr_opt_access *a, int *value)
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

static int set_v6only(const struct wr_opt_access *a, int value)
{
    if (a->sock->state != WR_SOCK_IDLE || a->sock->more->local.port != 0)
        return WEIR_EINVAL;
    a->sock->v6only = value != 0;
    return 0;
}

static int get_v6only(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->v6only;
    return 0;
}

static int set_freebind(const struct wr_opt_access *a, int value)
{
    a->sock->freebind = value != 0;
    return 0;
}

static int get_freebind(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->freebind;
    return 0;
}

static int set_no_port(const struct wr_opt_access *a, int value)
{
    a->sock->no_port = value != 0;
    return 0;
}

static int get_no_port(const struct wr_opt_access *a, int *value)
{
    *value = a->sock->no_port;
    return 0;
}

static const struct wr_opt ip_rows[] = {
    {WEIR_IP_TOS, set_tos, get_tos},
    {WEIR_IP_TTL, set_ttl, get_ttl},
    {WEIR_IP_MTU_DISCOVER, set_mtu_discover, get_mtu_discover},
    {WEIR_IP_MTU, NULL, get_mtu},
    {WEIR_IP_FREEBIND, set_freebind, get_freebind},
    {WEIR_IP_BIND_ADDRESS_NO_PORT, set_no_port, get_no_port},
};

const struct wr_opt_table wr_opts_ip = {ip_rows, sizeof ip_rows / sizeof ip_rows[0]};

static const struct wr_opt ip6_rows[] = {
    {WEIR_IPV6_UNICAST_HOPS, set_unicast_hops, get_ttl},
    {WEIR_IPV6_MTU_DISCOVER, set_mtu_discover, get_mtu_discover},
    {WEIR_IPV6_MTU, NULL, get_mtu},
    {WEIR_IPV6_V6ONLY, set_v6only, get_v6only},
    {WEIR_IPV6_TCLASS, set_tclass, get_tos},
};

const struct wr_opt_table wr_opts_ip6 = {ip6_rows, sizeof ip6_rows / sizeof ip6_rows[0]};
