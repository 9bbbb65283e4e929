/* SPDX-License-Identifier: MIT */
/*
 * UDP sockets, two hosts on a wire. Expectations from RFC 768, RFC 1122 4.1, RFC 8200 8.1, and from
 * reading Linux where the RFCs leave the choice.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/core.h"
#include "sim/sim_pair.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_udp.h"

#define A (sim.host[0].stack)
#define B (sim.host[1].stack)

static void later(void)
{
    sim_run(&sim, 10 * WEIR_MS);
}

static weir_sock udp(unsigned host, int family)
{
    return sim_socket(&sim, host, family, WEIR_SOCK_DGRAM);
}

static weir_sock bound(unsigned host, int family, const struct weir_endpoint *local)
{
    weir_sock sock = udp(host, family);
    assert_int_equal(weir_sock_bind(sim.host[host].stack, sock, local), 0);
    return sock;
}

static struct weir_endpoint a_at(uint16_t port)
{
    return sim_endpoint(0, 1, WEIR_AF_INET, port);
}

static struct weir_endpoint b_at(uint16_t port)
{
    return sim_endpoint(0, 2, WEIR_AF_INET, port);
}

static ptrdiff_t send_to(struct weir_stack *stack, weir_sock sock, const char *text,
                         const struct weir_endpoint *to)
{
    return weir_sock_send(stack, sock, text, strlen(text), 0, to, sim.now);
}

static void expect(struct weir_stack *stack, weir_sock sock, const char *text,
                   struct weir_endpoint *from)
{
    char data[64];
    assert_true(weir_sock_ready(stack, sock) & WEIR_POLLIN);
    assert_int_equal(weir_sock_inq(stack, sock), strlen(text));
    assert_int_equal(weir_sock_recv(stack, sock, data, sizeof data, 0, from, sim.now),
                     strlen(text));
    assert_memory_equal(data, text, strlen(text));
}

static ptrdiff_t recv_any(struct weir_stack *stack, weir_sock sock)
{
    char data[64];
    return weir_sock_recv(stack, sock, data, sizeof data, 0, NULL, sim.now);
}

static int so_error(unsigned host, weir_sock sock)
{
    return sim_getopt(&sim, host, sock, WEIR_SOL_SOCKET, WEIR_SO_ERROR);
}

/* ---- to and fro ------------------------------------------------------------------------------ */

static void round_trip(int family)
{
    struct weir_endpoint server_at = sim_endpoint(0, 2, family, 53), from, local;
    weir_sock server = bound(1, family, &server_at), client = udp(0, family);
    assert_int_equal(weir_sock_ready(A, client), WEIR_POLLOUT);
    assert_int_equal(recv_any(A, client), WEIR_EAGAIN);
    assert_int_equal(send_to(A, client, "question", &server_at), 8);
    assert_int_equal(send_to(A, client, "", &server_at), 0);
    later();
    expect(B, server, "question", &from);
    assert_int_equal(weir_sock_getsockname(A, client, &local), 0);
    assert_int_equal(from.port, local.port);
    assert_true(weir_addr_is_any(&local.addr));
    struct weir_addr a = sim_addr(0, 1, family);
    assert_true(weir_addr_eq(&from.addr, &a));
    assert_int_equal(recv_any(B, server), 0); /* an empty datagram is one */
    assert_int_equal(recv_any(B, server), WEIR_EAGAIN);
    assert_int_equal(send_to(B, server, "answer", &from), 6);
    later();
    expect(A, client, "answer", &from);
    assert_true(weir_endpoint_eq(&from, &server_at));
}

static void rfc768_datagrams_to_and_fro(void **state)
{
    (void)state;
    round_trip(WEIR_AF_INET);
    round_trip(WEIR_AF_INET6);
}

static void over_loopback_with_mapped_addresses(void **state)
{
    (void)state;
    struct weir_endpoint any = {.addr = weir_addr_any6(), .port = 53}, from;
    struct weir_endpoint four = {.addr = weir_addr_v4(0x7f000001), .port = 53};
    weir_sock server = bound(0, WEIR_AF_INET6, &any), client = udp(0, WEIR_AF_INET);
    assert_int_equal(send_to(A, client, "four", &four), 4);
    later();
    expect(A, server, "four", &from);
    assert_true(weir_addr_is_v4(&from.addr));
    assert_int_equal(send_to(A, server, "back", &from), 4);
    later();
    expect(A, client, "back", NULL);
    /* An IPv6-only socket does not see it. */
    assert_int_equal(weir_sock_close(A, server, sim.now), 0);
    server = udp(0, WEIR_AF_INET6);
    assert_int_equal(sim_setopt(&sim, 0, server, WEIR_SOL_IPV6, WEIR_IPV6_V6ONLY, 1), 0);
    assert_int_equal(weir_sock_bind(A, server, &any), 0);
    assert_int_equal(send_to(A, client, "four", &four), 4);
    later();
    assert_int_equal(recv_any(A, server), WEIR_EAGAIN);
    assert_int_equal(send_to(A, server, "x", &four), WEIR_ENETUNREACH);
}

/* Linux (source): the rest is lost; MSG_TRUNC tells the whole length; MSG_PEEK leaves it. */
static void recv_flags(void **state)
{
    (void)state;
    char data[4];
    struct weir_endpoint at = b_at(53);
    weir_sock server = bound(1, WEIR_AF_INET, &at), client = udp(0, WEIR_AF_INET);
    send_to(A, client, "0123456789", &at);
    send_to(A, client, "next", &at);
    later();
    assert_int_equal(weir_sock_recv(B, server, data, 4, WEIR_MSG_PEEK, NULL, sim.now), 4);
    assert_int_equal(
        weir_sock_recv(B, server, data, 4, WEIR_MSG_PEEK | WEIR_MSG_TRUNC, NULL, sim.now), 10);
    assert_int_equal(weir_sock_recv(B, server, data, 4, 0, NULL, sim.now), 4);
    assert_memory_equal(data, "0123", 4);
    expect(B, server, "next", NULL);
}

/* ---- errors of the calls --------------------------------------------------------------------- */

/* Linux (source; listen and accept observed) */
static void call_errors(void **state)
{
    (void)state;
    static char data[65536];
    struct weir_endpoint to = b_at(53), peer;
    weir_sock sock = udp(0, WEIR_AF_INET);
    assert_int_equal(weir_sock_listen(A, sock, 1, sim.now), WEIR_ENOTSUP);
    assert_int_equal(weir_sock_accept(A, sock, &sock, NULL, sim.now), WEIR_ENOTSUP);
    assert_int_equal(send_to(A, sock, "x", NULL), WEIR_EDESTADDRREQ);
    assert_int_equal(weir_sock_getpeername(A, sock, &peer), WEIR_ENOTCONN);
    assert_int_equal(weir_sock_shutdown(A, sock, WEIR_SHUT_WR, sim.now), WEIR_ENOTCONN);
    sock = udp(0, WEIR_AF_INET);
    assert_int_equal(weir_sock_send(A, sock, data, 65508, 0, &to, sim.now), WEIR_EMSGSIZE);
    assert_int_equal(weir_sock_send(A, sock, data, 65507, 0, &to, sim.now), 65507);
    assert_int_equal(weir_sock_send(A, sock, data, 1, WEIR_MSG_OOB, &to, sim.now), WEIR_ENOTSUP);
    to.port = 0;
    assert_int_equal(send_to(A, sock, "x", &to), WEIR_EINVAL);
    to = sim_endpoint(0, 2, WEIR_AF_INET6, 53);
    assert_int_equal(send_to(A, sock, "x", &to), WEIR_EAFNOSUPPORT);
    to = (struct weir_endpoint){.addr = weir_addr_v4(0x08080808), .port = 53};
    assert_int_equal(send_to(A, sock, "x", &to), WEIR_ENETUNREACH);
}

/* ---- connect --------------------------------------------------------------------------------- */

static void connected_socket_hears_its_peer_alone(void **state)
{
    (void)state;
    struct weir_endpoint at = b_at(53), other_at = b_at(54), local, peer;
    weir_sock server = bound(1, WEIR_AF_INET, &at), other = bound(1, WEIR_AF_INET, &other_at);
    weir_sock client = udp(0, WEIR_AF_INET);
    assert_int_equal(weir_sock_connect(A, client, &at, sim.now), 0);
    assert_int_equal(weir_sock_getpeername(A, client, &peer), 0);
    assert_true(weir_endpoint_eq(&peer, &at));
    assert_int_equal(weir_sock_getsockname(A, client, &local), 0);
    struct weir_addr a = sim_addr(0, 1, WEIR_AF_INET);
    assert_true(weir_addr_eq(&local.addr, &a)); /* the route's */
    send_to(B, other, "stranger", &local);
    send_to(B, server, "friend", &local);
    later();
    expect(A, client, "friend", NULL);
    assert_int_equal(recv_any(A, client), WEIR_EAGAIN);
    assert_int_equal(send_to(A, client, "x", NULL), 1);
    assert_int_equal(send_to(A, client, "y", &other_at), 1);
    later();
    expect(B, server, "x", NULL);
    expect(B, other, "y", NULL);
    /* Dissolved: the port that was chosen for it goes, too. */
    assert_int_equal(weir_sock_connect(A, client, NULL, sim.now), 0);
    assert_int_equal(weir_sock_getpeername(A, client, &peer), WEIR_ENOTCONN);
    assert_int_equal(weir_sock_getsockname(A, client, &local), 0);
    assert_int_equal(local.port, 0);
    assert_true(weir_addr_is_any(&local.addr));
}

static void shutdown_of_a_connected_socket(void **state)
{
    (void)state;
    struct weir_endpoint at = b_at(53);
    weir_sock client = udp(0, WEIR_AF_INET);
    assert_int_equal(weir_sock_connect(A, client, &at, sim.now), 0);
    assert_int_equal(weir_sock_shutdown(A, client, WEIR_SHUT_RDWR, sim.now), 0);
    assert_int_equal(weir_sock_ready(A, client),
                     WEIR_POLLIN | WEIR_POLLOUT | WEIR_POLLRDHUP | WEIR_POLLHUP);
    assert_int_equal(send_to(A, client, "x", NULL), WEIR_EPIPE);
    assert_int_equal(recv_any(A, client), 0);
}

/* ---- ICMP errors ----------------------------------------------------------------------------- */

/* RFC 1122 4.1.3.3, 4.1.3.1: port unreachable is answered and told on the next call. */
static void udp_0768_3_port_unreachable(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        int family = i == 0 ? WEIR_AF_INET : WEIR_AF_INET6;
        struct weir_endpoint nobody = sim_endpoint(0, 2, family, 9);
        weir_sock client = udp(0, family), loose = udp(0, family);
        assert_int_equal(weir_sock_connect(A, client, &nobody, sim.now), 0);
        assert_int_equal(send_to(A, client, "x", NULL), 1);
        assert_int_equal(send_to(A, loose, "x", &nobody), 1);
        later();
        assert_int_equal(weir_sock_ready(A, client), WEIR_POLLOUT | WEIR_POLLERR);
        assert_int_equal(recv_any(A, client), WEIR_ECONNREFUSED);
        assert_int_equal(recv_any(A, client), WEIR_EAGAIN);
        assert_int_equal(so_error(0, loose), 0); /* without a peer: not told */
        assert_int_equal(send_to(A, client, "x", NULL), 1);
        sim_run(&sim, WEIR_SEC);
        assert_int_equal(send_to(A, client, "x", NULL), WEIR_ECONNREFUSED);
        assert_int_equal(send_to(A, client, "x", NULL), 1);
        sim_run(&sim, WEIR_SEC);
        assert_int_equal(so_error(0, client), ECONNREFUSED);
    }
    assert_int_equal(weir_drop_count(B, WR_DROP_udp_no_port), 8);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

/* Linux (source): IP_MTU_DISCOVER. */
static void sizes_and_path_mtu_discovery(void **state)
{
    (void)state;
    static char data[4000];
    struct weir_endpoint at = b_at(53);
    weir_sock server = bound(1, WEIR_AF_INET, &at), client = udp(0, WEIR_AF_INET);
    assert_int_equal(sim_getopt(&sim, 0, client, WEIR_SOL_IP, WEIR_IP_MTU_DISCOVER), 1);
    assert_int_equal(sim_getopt(&sim, 0, client, WEIR_SOL_IP, WEIR_IP_MTU), WEIR_ENOTCONN);
    uint64_t frames = sim.frames;
    assert_int_equal(weir_sock_send(A, client, data, 4000, 0, &at, sim.now), 4000);
    later();
    assert_int_equal(sim.frames - frames, 3); /* fragments */
    assert_int_equal(weir_sock_recv(B, server, data, 4000, 0, NULL, sim.now), 4000);
    assert_int_equal(sim_setopt(&sim, 0, client, WEIR_SOL_IP, WEIR_IP_MTU_DISCOVER, 2), 0);
    assert_int_equal(weir_sock_send(A, client, data, 1473, 0, &at, sim.now), WEIR_EMSGSIZE);
    assert_int_equal(weir_sock_send(A, client, data, 1472, 0, &at, sim.now), 1472);
    assert_int_equal(sim_setopt(&sim, 0, client, WEIR_SOL_IP, WEIR_IP_MTU_DISCOVER, 6),
                     WEIR_EINVAL);
    assert_int_equal(weir_sock_connect(A, client, &at, sim.now), 0);
    assert_int_equal(sim_getopt(&sim, 0, client, WEIR_SOL_IP, WEIR_IP_MTU), 1500);
    struct weir_endpoint six = sim_endpoint(0, 2, WEIR_AF_INET6, 53);
    server = bound(1, WEIR_AF_INET6, &six);
    client = udp(0, WEIR_AF_INET6);
    assert_int_equal(weir_sock_send(A, client, data, 4000, 0, &six, sim.now), 4000);
    later();
    assert_int_equal(weir_sock_recv(B, server, data, 4000, 0, NULL, sim.now), 4000);
}

/* ---- the receive queue ----------------------------------------------------------------------- */

/* First principles: bounded by memory, also for datagrams without data; it works again when
 * read. */
static void queue_is_bounded(void **state)
{
    (void)state;
    struct weir_endpoint at = b_at(53);
    weir_sock server = bound(1, WEIR_AF_INET, &at), client = udp(0, WEIR_AF_INET);
    assert_int_equal(sim_setopt(&sim, 1, server, WEIR_SOL_SOCKET, WEIR_SO_RCVBUF, 1), 0);
    assert_int_equal(sim_getopt(&sim, 1, server, WEIR_SOL_SOCKET, WEIR_SO_RCVBUF), 2304);
    size_t before = weir_mem_bytes(B);
    for (int i = 0; i < 100; i++) {
        send_to(A, client, "", &at);
        later();
    }
    assert_true(weir_mem_bytes(B) - before <= 2 * 2304);
    unsigned got = 0;
    while (recv_any(B, server) == 0)
        got++;
    assert_in_range(got, 2, 10);
    assert_int_equal(weir_drop_count(B, WR_DROP_udp_buffer_full), 100 - got);
    assert_int_equal(weir_mem_bytes(B), before);
    send_to(A, client, "x", &at);
    later();
    expect(B, server, "x", NULL);
    /* Closing with datagrams queued gives the memory back: checked by teardown. */
    send_to(A, client, "y", &at);
    later();
}

/* ---- who gets it ----------------------------------------------------------------------------- */

/* Linux (source): the more of the four values a socket names, the better it fits. */
static void best_fit_wins(void **state)
{
    (void)state;
    struct weir_endpoint any = {.addr = weir_addr_any4(), .port = 53}, at = b_at(53), from;
    weir_sock wild = udp(1, WEIR_AF_INET), exact = udp(1, WEIR_AF_INET),
              peer = udp(1, WEIR_AF_INET);
    weir_sock all[] = {wild, exact, peer};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sim_setopt(&sim, 1, all[i], WEIR_SOL_SOCKET, WEIR_SO_REUSEADDR, 1), 0);
        assert_int_equal(weir_sock_bind(B, all[i], i == 0 ? &any : &at), 0);
    }
    from = a_at(1000);
    assert_int_equal(weir_sock_connect(B, peer, &from, sim.now), 0);
    weir_sock client = bound(0, WEIR_AF_INET, &from);
    send_to(A, client, "to peer", &at);
    later();
    expect(B, peer, "to peer", NULL);
    from.port++;
    client = bound(0, WEIR_AF_INET, &from);
    send_to(A, client, "to exact", &at);
    later();
    expect(B, exact, "to exact", NULL);
    assert_int_equal(weir_sock_close(B, exact, sim.now), 0);
    send_to(A, client, "to wild", &at);
    later();
    expect(B, wild, "to wild", NULL);
}

/* Linux (source): SO_REUSEPORT spreads flows, one flow stays with one socket. */
static void reuseport_spreads_flows(void **state)
{
    (void)state;
    enum { SOCKS = 4, FLOWS = 200 };
    struct weir_endpoint at = b_at(53);
    weir_sock server[SOCKS];
    for (unsigned i = 0; i < SOCKS; i++) {
        server[i] = udp(1, WEIR_AF_INET);
        assert_int_equal(sim_setopt(&sim, 1, server[i], WEIR_SOL_SOCKET, WEIR_SO_REUSEPORT, 1), 0);
        assert_int_equal(weir_sock_bind(B, server[i], &at), 0);
    }
    unsigned got[SOCKS] = {0};
    for (unsigned flow = 0; flow < FLOWS; flow++) {
        weir_sock client = udp(0, WEIR_AF_INET);
        for (int i = 0; i < 3; i++)
            send_to(A, client, "x", &at);
        later();
        unsigned hit = SOCKS;
        for (unsigned i = 0; i < SOCKS; i++)
            while (recv_any(B, server[i]) == 1) {
                assert_true(hit == SOCKS || hit == i);
                hit = i;
                got[i]++;
            }
    }
    for (unsigned i = 0; i < SOCKS; i++)
        assert_in_range(got[i], 3 * FLOWS / SOCKS / 2, 3 * FLOWS / SOCKS * 2);
}

/* ---- broadcast, groups ----------------------------------------------------------------------- */

/* Linux (source): only with SO_BROADCAST; every socket that fits gets a copy. */
static void broadcast_needs_permission(void **state)
{
    (void)state;
    struct weir_endpoint any = {.addr = weir_addr_any4(), .port = 67};
    struct weir_endpoint to = {.addr = weir_addr_v4(0x0a0000ff), .port = 67};
    weir_sock server[2];
    for (int i = 0; i < 2; i++) {
        server[i] = udp(1, WEIR_AF_INET);
        assert_int_equal(sim_setopt(&sim, 1, server[i], WEIR_SOL_SOCKET, WEIR_SO_REUSEADDR, 1), 0);
        assert_int_equal(weir_sock_bind(B, server[i], &any), 0);
    }
    weir_sock client = udp(0, WEIR_AF_INET);
    assert_int_equal(send_to(A, client, "x", &to), WEIR_EACCES);
    assert_int_equal(weir_sock_connect(A, client, &to, sim.now), WEIR_EACCES);
    assert_int_equal(sim_setopt(&sim, 0, client, WEIR_SOL_SOCKET, WEIR_SO_BROADCAST, 1), 0);
    assert_int_equal(send_to(A, client, "all", &to), 3);
    later();
    expect(B, server[0], "all", NULL);
    expect(B, server[1], "all", NULL);
    /* Nobody listens: no ICMP error for a broadcast (RFC 1122 3.2.2). */
    to.port = 68;
    uint64_t frames = sim.frames;
    assert_int_equal(send_to(A, client, "all", &to), 3);
    later();
    assert_int_equal(sim.frames - frames, 1);
}

/* ---- malformed ------------------------------------------------------------------------------- */

/* A datagram from host 0 to port 53 of host 1 as it would come over the wire. */
static size_t make_datagram(int family, uint8_t *frame, const char *text)
{
    size_t len = W_UDP_HLEN + strlen(text);
    struct weir_addr src = sim_addr(0, 1, family), dst = sim_addr(0, 2, family);
    size_t head = family == WEIR_AF_INET ? W_IP4_HLEN : W_IP6_HLEN;
    if (family == WEIR_AF_INET) {
        struct w_ip4 ip = {.src = src,
                           .dst = dst,
                           .total_len = (uint16_t)(head + len),
                           .ttl = 64,
                           .proto = W_IPPROTO_UDP,
                           .hdr_len = W_IP4_HLEN};
        wr_w_ip4_emit(frame, &ip);
    } else {
        struct w_ip6 ip = {.src = src,
                           .dst = dst,
                           .payload_len = (uint16_t)len,
                           .next = W_IPPROTO_UDP,
                           .hop_limit = 64};
        wr_w_ip6_emit(frame, &ip);
    }
    struct w_udp udp_head = {.src_port = 1000, .dst_port = 53, .len = (uint16_t)len};
    wr_w_udp_emit(frame + head, &udp_head);
    memcpy(frame + head + W_UDP_HLEN, text, strlen(text));
    wr_w_udp_seal(frame + head, len, &src, &dst);
    return head + len;
}

static void input_b(const uint8_t *frame, size_t len)
{
    struct weir_frame in = {.data = frame, .len = len};
    assert_int_equal(weir_input(B, sim.host[1].port[0].ifindex, &in, sim.now), 0);
}

/* RFC 768, RFC 8200 8.1 */
static void udp_0768_1_checksum(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        int family = i == 0 ? WEIR_AF_INET : WEIR_AF_INET6;
        size_t head = i == 0 ? W_IP4_HLEN : W_IP6_HLEN;
        struct weir_endpoint at = sim_endpoint(0, 2, family, 53);
        weir_sock server = bound(1, family, &at);
        uint8_t frame[128];
        size_t len = make_datagram(family, frame, "hello");
        input_b(frame, len);
        expect(B, server, "hello", NULL);
        uint64_t bad = weir_drop_count(B, WR_DROP_udp_bad_checksum);
        frame[len - 1] ^= 1;
        input_b(frame, len);
        assert_int_equal(weir_drop_count(B, WR_DROP_udp_bad_checksum), bad + 1);
        frame[head + 6] = frame[head + 7] = 0; /* none */
        input_b(frame, len);
        assert_int_equal(recv_any(B, server), i == 0 ? 5 : WEIR_EAGAIN);
        assert_int_equal(weir_drop_count(B, WR_DROP_udp_bad_checksum), bad + 1 + (unsigned)i);
    }
}

/* RFC 768: a computed checksum of zero is sent as all ones. Two bytes of data are chosen so that
 * the sum comes out as zero. */
static void udp_0768_1_zero_is_sent_as_ones(void **state)
{
    (void)state;
    struct weir_endpoint to = b_at(53), from = a_at(1000);
    weir_sock client = bound(0, WEIR_AF_INET, &from);
    uint8_t data[2] = {0, 0}, head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    int ifindex = sim.host[0].port[0].ifindex;
    assert_int_equal(weir_sock_send(A, client, data, 2, 0, &to, sim.now), 2);
    assert_int_equal(weir_output(A, ifindex, &out, sim.now), 30);
    /* The field is the complement of the sum over the rest; data equal to it makes that all
     * ones. */
    memcpy(data, head + W_IP4_HLEN + 6, 2);
    assert_int_equal(weir_sock_send(A, client, data, 2, 0, &to, sim.now), 2);
    assert_int_equal(weir_output(A, ifindex, &out, sim.now), 30);
    assert_int_equal(head[W_IP4_HLEN + 6], 0xff);
    assert_int_equal(head[W_IP4_HLEN + 7], 0xff);
    weir_sock server = bound(1, WEIR_AF_INET, &to);
    input_b(head, 30);
    assert_int_equal(recv_any(B, server), 2);
}

static void udp_0768_2_lengths(void **state)
{
    (void)state;
    struct weir_endpoint at = b_at(53);
    weir_sock server = bound(1, WEIR_AF_INET, &at);
    static const uint16_t bad[] = {0, 7, 14, 65535}; /* 13 is right */
    uint8_t frame[128];
    for (unsigned i = 0; i < 4; i++) {
        size_t len = make_datagram(WEIR_AF_INET, frame, "hello");
        frame[W_IP4_HLEN + 4] = (uint8_t)(bad[i] >> 8);
        frame[W_IP4_HLEN + 5] = (uint8_t)bad[i];
        input_b(frame, len);
    }
    assert_int_equal(weir_drop_count(B, WR_DROP_udp_malformed), 4);
    assert_int_equal(recv_any(B, server), WEIR_EAGAIN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rfc768_datagrams_to_and_fro),
        TEST(over_loopback_with_mapped_addresses),
        TEST(recv_flags),
        TEST(call_errors),
        TEST(connected_socket_hears_its_peer_alone),
        TEST(shutdown_of_a_connected_socket),
        TEST(udp_0768_3_port_unreachable),
        TEST(sizes_and_path_mtu_discovery),
        TEST(queue_is_bounded),
        TEST(best_fit_wins),
        TEST(reuseport_spreads_flows),
        TEST(broadcast_needs_permission),
        TEST(udp_0768_1_checksum),
        TEST(udp_0768_1_zero_is_sent_as_ones),
        TEST(udp_0768_2_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
