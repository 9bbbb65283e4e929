/* SPDX-License-Identifier: MIT */
/*
 * Ping sockets: a datagram socket opened with IPPROTO_ICMP or IPPROTO_ICMPV6 sends echo requests and
 * receives the replies to them (RFC 792, RFC 4443 4.1, 4.2), and nothing else of ICMP. As on Linux what
 * is sent and received is the ICMP message with its header; the identifier in it is the socket's port
 * and not the sender's choice, so that no socket sees another's replies. The peer's port means nothing.
 */
#include <string.h>

#include "base/bytes.h"
#include "udp/udp.h"
#include "wire/w_icmp4.h"
#include "wire/w_icmp6.h"
#include "wire/w_ip4.h"

enum { ID_AT = 4 }; /* of the identifier in an echo message */

static struct wr_udp_sock *find(struct weir_stack *stack, uint8_t proto, uint16_t id,
                                const struct weir_addr *local, const struct weir_addr *remote)
{
    struct wr_hash *table = &stack->udp->pings;
    struct wr_hash_node *node = wr_hash_first(table, wr_udp_port_hash(table, id));
    for (; node != NULL; node = wr_hash_next(node)) {
        struct wr_udp_sock *sock = WR_CONTAINER(node, struct wr_udp_sock, node);
        if (sock->local.port == id && sock->proto == proto && wr_udp_addr_fits(sock, local) &&
            (!sock->connected || weir_addr_eq(&sock->remote.addr, remote)))
            return sock;
    }
    return NULL;
}

int wr_ping_head(const struct wr_udp_sock *sock, const struct weir_addr *to, const void *data,
                 size_t len, uint8_t head[8])
{
    bool v4 = sock->proto == W_IPPROTO_ICMP;
    if (weir_addr_is_v4(to) != v4)
        return WEIR_EAFNOSUPPORT;
    if (len < W_ICMP_HLEN)
        return WEIR_EINVAL;
    memcpy(head, data, W_ICMP_HLEN);
    if (head[0] != (v4 ? W_ICMP4_ECHO : W_ICMP6_ECHO) || head[1] != 0)
        return WEIR_EINVAL;
    put_be16(head + 2, 0);
    put_be16(head + ID_AT, sock->local.port);
    return 0;
}

bool wr_ping_input(struct weir_stack *stack, const struct wr_pkt *pkt)
{
    struct weir_endpoint from = {.addr = pkt->src};
    uint16_t id = get_be16(pkt->data + ID_AT);
    struct wr_udp_sock *sock = find(stack, pkt->proto, id, &pkt->dst, &pkt->src);
    if (sock == NULL)
        return false;
    wr_udp_deliver(stack, sock, &from, pkt->data, pkt->len);
    return true;
}

bool wr_ping_icmp(struct weir_stack *stack, const struct wr_icmp_error *error, weir_time now)
{
    /* That 8 bytes are quoted was seen to by ip. */
    struct wr_udp_sock *sock =
        find(stack, error->proto, get_be16(error->quoted + ID_AT), &error->local, &error->remote);
    if (sock == NULL)
        return false;
    wr_udp_told(stack, sock, error, now);
    return true;
}
