/* SPDX-License-Identifier: MIT */
/* The client's messages: RFC 2131 4.4.1, 4.4.4 and table 5. */
#include "base/bytes.h"
#include "dhcp/dhcp.h"
#include "wire/w_ip4.h"
#include "wire/w_udp.h"

/* Sends from `src` to `dst`, by broadcast on the interface or, for RENEWING and RELEASE, along the route. */
static void transmit(struct weir_stack *stack, struct wr_dhcp *dhcp, const struct w_dhcp *msg,
                     const struct weir_addr *src, const struct weir_addr *dst, weir_time now)
{
    uint8_t buf[W_UDP_HLEN + W_DHCP_EMIT_MAX];
    size_t len = W_UDP_HLEN + wr_w_dhcp_emit(buf + W_UDP_HLEN, msg);
    struct w_udp udp = {
        .src_port = W_DHCP_CLIENT_PORT, .dst_port = W_DHCP_SERVER_PORT, .len = (uint16_t)len};
    struct weir_span span = {buf, len};
    struct wr_ip_tx tx = {.src = *src, .dst = *dst, .proto = W_IPPROTO_UDP};
    struct wr_path path;

    wr_w_udp_emit(buf, &udp);
    wr_w_udp_seal(buf, len, src, dst);
    if (weir_addr_is_broadcast(dst))
        wr_path_on_link(stack, dhcp->netif, src, dst, &path);
    if (wr_ip_send(stack, weir_addr_is_broadcast(dst) ? &path : NULL, &tx, &span, 1, now) == 0)
        wr_count(stack, WR_STAT_udp_out);
}

/* What every message has. */
static struct w_dhcp begin_msg(const struct wr_dhcp *dhcp, enum w_dhcp_type type)
{
    struct w_dhcp msg = {
        .type = type,
        .xid = dhcp->xid,
        .ciaddr = weir_addr_any4(),
        .requested = weir_addr_any4(),
        .server = weir_addr_any4(),
        .hostname = dhcp->hostname,
        .max_size = dhcp->netif->config.mtu > 1500 ? 1500 : (uint16_t)dhcp->netif->config.mtu,
    };
    memcpy(msg.chaddr, dhcp->netif->config.mac, sizeof msg.chaddr);
    if (msg.max_size < 576) /* the least that may be told, RFC 2132 9.10 */
        msg.max_size = 0;
    return msg;
}

static uint16_t seconds_since(weir_time begin, weir_time now)
{
    weir_time s = (now - begin) / WEIR_SEC;
    return s > 65535 ? 65535 : (uint16_t)s;
}

void wr_dhcp_send_discover(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now)
{
    struct weir_addr nobody = weir_addr_any4(), all = weir_addr_v4(0xffffffffu);
    struct w_dhcp msg = begin_msg(dhcp, W_DHCP_DISCOVER);
    dhcp->secs = seconds_since(dhcp->began_at, now);
    msg.secs = dhcp->secs;
    msg.broadcast = true;
    dhcp->discovers++;
    transmit(stack, dhcp, &msg, &nobody, &all, now);
}

void wr_dhcp_send_request(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now)
{
    struct weir_addr nobody = weir_addr_any4(), all = weir_addr_v4(0xffffffffu);
    struct w_dhcp msg = begin_msg(dhcp, W_DHCP_REQUEST);
    const struct wr_dhcp_lease *lease = &dhcp->lease;
    dhcp->requests++;
    if (dhcp->state == WEIR_DHCP_REQUESTING) {
        msg.secs = dhcp->secs;
        msg.broadcast = true;
        msg.requested = lease->addr;
        msg.server = lease->server;
        transmit(stack, dhcp, &msg, &nobody, &all, now);
        return;
    }
    msg.secs = seconds_since(dhcp->began_at, now);
    msg.ciaddr = lease->addr;
    transmit(stack, dhcp, &msg, &lease->addr,
             dhcp->state == WEIR_DHCP_RENEWING ? &lease->server : &all, now);
}

void wr_dhcp_send_decline(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now)
{
    struct weir_addr nobody = weir_addr_any4(), all = weir_addr_v4(0xffffffffu);
    struct w_dhcp msg = begin_msg(dhcp, W_DHCP_DECLINE);
    msg.requested = dhcp->lease.addr;
    msg.server = dhcp->lease.server;
    dhcp->declines++;
    transmit(stack, dhcp, &msg, &nobody, &all, now);
}

void wr_dhcp_send_release(struct weir_stack *stack, struct wr_dhcp *dhcp, weir_time now)
{
    struct w_dhcp msg = begin_msg(dhcp, W_DHCP_RELEASE);
    msg.xid = wr_rng_u32(&stack->rng);
    msg.ciaddr = dhcp->lease.addr;
    msg.server = dhcp->lease.server;
    transmit(stack, dhcp, &msg, &dhcp->lease.addr, &dhcp->lease.server, now);
}
