/* SPDX-License-Identifier: MIT */
/* What the applications of a play do: the script's actions, and what their sockets' events ask for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/stack.h>

#include "base/bytes.h"
#include "lab/play_int.h"
#include "wire/w_csum.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_tcp.h"
#include "wire/w_tcpopt.h"

static struct lab_host *host_of(struct play *play, const struct play_sock *sock)
{
    return play->host[sock->host].host;
}

static struct weir_stack *stack_of(struct play *play, const struct play_sock *sock)
{
    return host_of(play, sock)->stack;
}

static void fail(struct play_sock *sock, int error, weir_time now)
{
    if (sock->error != 0)
        return;
    sock->error = error;
    sock->error_at = now;
}

static struct play_sock *find_sock(struct play *play, const char *name)
{
    for (size_t i = play->n_socks; i > 0; i--)
        if (strcmp(play->sock[i - 1].name, name) == 0)
            return &play->sock[i - 1];
    return NULL;
}

/* A row for a socket; NULL: out of memory, which ends the play. */
static struct play_sock *new_sock(struct play *play, const char *name, unsigned host,
                                  const struct play_options *options, weir_time now)
{
    if ((play->n_socks & (play->n_socks - 1)) == 0) { /* full: 0, 1, 2, 4, ... */
        size_t room = play->n_socks > 0 ? 2 * play->n_socks : 1;
        struct play_sock *more =
            room > PLAY_SOCKS ? NULL : realloc(play->sock, room * sizeof *more);
        if (more == NULL) {
            play->failed = true;
            return NULL;
        }
        play->sock = more;
    }
    struct play_sock *sock = &play->sock[play->n_socks++];
    *sock = (struct play_sock){
        .host = host,
        .peer = -1,
        .options = *options,
        .opened_at = now,
        .connected_at = -1,
        .eof_at = -1,
        .closed_at = -1,
        .error_at = -1,
    };
    snprintf(sock->name, sizeof sock->name, "%s", name);
    return sock;
}

/* ---- options ------------------------------------------------------------------------------------ */

static int set_int(struct weir_stack *stack, weir_sock sock, int level, int option, uint64_t value,
                   weir_time now)
{
    int n = (int)value;
    return weir_sock_setsockopt(stack, sock, level, option, &n, sizeof n, now);
}

static int set_keepalive(struct weir_stack *stack, weir_sock sock,
                         const struct play_options *options, weir_time now)
{
    int error = set_int(stack, sock, WEIR_SOL_SOCKET, WEIR_SO_KEEPALIVE, 1, now);
    if (error == 0)
        error = set_int(stack, sock, WEIR_SOL_TCP, WEIR_TCP_KEEPIDLE, (uint64_t)options->keep_idle,
                        now);
    if (error == 0)
        error = set_int(stack, sock, WEIR_SOL_TCP, WEIR_TCP_KEEPINTVL,
                        (uint64_t)options->keep_interval, now);
    if (error == 0)
        error = set_int(stack, sock, WEIR_SOL_TCP, WEIR_TCP_KEEPCNT, (uint64_t)options->keep_count,
                        now);
    return error;
}

static int dress(struct weir_stack *stack, weir_sock sock, const struct play_options *options,
                 weir_time now)
{
    int error = 0;
    if (options->nodelay)
        error = set_int(stack, sock, WEIR_SOL_TCP, WEIR_TCP_NODELAY, 1, now);
    if (error == 0 && options->reuse)
        error = set_int(stack, sock, WEIR_SOL_SOCKET, WEIR_SO_REUSEADDR, 1, now);
    if (error == 0 && options->sndbuf > 0)
        error = set_int(stack, sock, WEIR_SOL_SOCKET, WEIR_SO_SNDBUF, options->sndbuf, now);
    if (error == 0 && options->rcvbuf > 0)
        error = set_int(stack, sock, WEIR_SOL_SOCKET, WEIR_SO_RCVBUF, options->rcvbuf, now);
    if (error == 0 && options->keep_idle > 0)
        error = set_keepalive(stack, sock, options, now);
    if (error == 0 && options->user_timeout > 0)
        error = set_int(stack, sock, WEIR_SOL_TCP, WEIR_TCP_USER_TIMEOUT,
                        (uint64_t)(options->user_timeout / WEIR_MS), now);
    if (error == 0 && options->linger >= 0) {
        struct weir_linger linger = {1, options->linger};
        error = weir_sock_setsockopt(stack, sock, WEIR_SOL_SOCKET, WEIR_SO_LINGER, &linger,
                                     sizeof linger, now);
    }
    if (error == 0 && options->cc[0] != '\0')
        error = weir_sock_setsockopt(stack, sock, WEIR_SOL_TCP, WEIR_TCP_CONGESTION, options->cc,
                                     strlen(options->cc), now);
    return error;
}

/* ---- bytes -------------------------------------------------------------------------------------- */

static const uint8_t *pattern_at(const struct play *play, size_t sock, uint64_t offset)
{
    return play->pattern + (7919U * sock + offset) % PLAY_SEED_BYTES;
}

static void find_peer(struct play *play, struct play_sock *sock)
{
    for (size_t i = play->n_socks; i > 0; i--) {
        const struct play_sock *other = &play->sock[i - 1];
        if (!other->listens && other != sock && weir_endpoint_eq(&other->local, &sock->remote) &&
            weir_endpoint_eq(&other->remote, &sock->local)) {
            sock->peer = (int32_t)(i - 1);
            return;
        }
    }
}

static void compare(struct play *play, struct play_sock *sock, const struct weir_span *span)
{
    size_t done = 0;
    if (sock->peer < 0)
        find_peer(play, sock);
    while (done < span->len && sock->peer >= 0) {
        size_t len = span->len - done < PLAY_SEED_BYTES ? span->len - done : PLAY_SEED_BYTES;
        const uint8_t *want = pattern_at(play, (size_t)sock->peer, sock->received + done);
        if (memcmp(span->ptr + done, want, len) != 0)
            sock->corrupt = true;
        done += len;
    }
}

static void keep_info(struct play *play, struct play_sock *sock, weir_time now)
{
    size_t len = sizeof sock->info;
    if (sock->sock != 0 && !sock->listens &&
        weir_sock_getsockopt(stack_of(play, sock), sock->sock, WEIR_SOL_TCP, WEIR_TCP_INFO,
                             &sock->info, &len, now) == 0)
        sock->has_info = true;
}

static void close_sock(struct play *play, struct play_sock *sock, weir_time now)
{
    if (sock->sock == 0)
        return;
    keep_info(play, sock, now);
    (void)weir_sock_close(stack_of(play, sock), sock->sock, now);
    sock->sock = 0;
    sock->closed_at = now;
}

static int pump(struct play *play, struct play_sock *sock, weir_time now)
{
    struct weir_stack *stack = stack_of(play, sock);
    while (sock->sent < sock->goal) {
        uint64_t left = sock->goal - sock->sent;
        size_t len = left < PLAY_SEED_BYTES ? (size_t)left : PLAY_SEED_BYTES;
        const uint8_t *data = pattern_at(play, (size_t)(sock - play->sock), sock->sent);
        ptrdiff_t n = weir_sock_send(stack, sock->sock, data, len, 0, NULL, now);
        if (n < 0)
            return n == WEIR_EAGAIN ? 0 : (int)n;
        sock->sent += (uint64_t)n;
    }
    if (sock->shut && !sock->was_shut) {
        sock->was_shut = true;
        return weir_sock_shutdown(stack, sock->sock, WEIR_SHUT_WR, now);
    }
    return 0;
}

/* Bytes that the application wants to read now. */
static uint64_t appetite(const struct play_sock *sock)
{
    return sock->options.hold ? sock->may_read : UINT64_MAX;
}

static int drain(struct play *play, struct play_sock *sock, weir_time now)
{
    struct weir_stack *stack = stack_of(play, sock);
    while (sock->eof_at < 0 && appetite(sock) > 0) {
        struct weir_span span[2] = {{NULL, 0}, {NULL, 0}};
        ptrdiff_t n = weir_sock_peek(stack, sock->sock, span, now);
        if (n < 0)
            return n == WEIR_EAGAIN ? 0 : (int)n;
        if (n == 0)
            sock->eof_at = now;
        uint64_t want = appetite(sock);
        for (int i = 0; i < 2 && n > 0; i++) {
            if (span[i].len > want)
                span[i].len = (size_t)want;
            compare(play, sock, &span[i]);
            sock->received += span[i].len;
            want -= span[i].len;
            (void)weir_sock_consume(stack, sock->sock, span[i].len, now);
            if (sock->options.hold)
                sock->may_read = want;
            if (i == 0 && span[1].len > 0)
                break; /* the second span is lent anew */
        }
    }
    return 0;
}

static void progress(struct play *play, struct play_sock *sock, weir_time now)
{
    if (sock->sock == 0 || sock->listens || sock->connected_at < 0)
        return;
    int error = drain(play, sock, now);
    if (error == 0 && sock->eof_at >= 0 && sock->options.close_at_eof) {
        sock->shut = true;
        error = pump(play, sock, now);
        if (error == 0 && sock->sent == sock->goal)
            close_sock(play, sock, now);
    } else if (error == 0) {
        error = pump(play, sock, now);
    }
    if (error != 0)
        fail(sock, error, now);
    wr_lab_host_touch(host_of(play, sock));
}

/* ---- events ------------------------------------------------------------------------------------- */

static void name_ends(struct play *play, struct play_sock *sock)
{
    struct weir_stack *stack = stack_of(play, sock);
    (void)weir_sock_getsockname(stack, sock->sock, &sock->local);
    (void)weir_sock_getpeername(stack, sock->sock, &sock->remote);
}

static void accept_all(struct play *play, size_t number, weir_time now)
{
    weir_sock conn;
    while (!play->failed && !play->sock[number].options.hold) {
        struct play_sock *listener = &play->sock[number];
        char name[PLAY_NAME];
        if (weir_sock_accept(stack_of(play, listener), listener->sock, &conn, NULL, now) != 0)
            return;
        snprintf(name, sizeof name, "%.12s%u", listener->name, ++listener->n_accepted);
        struct play_options options = listener->options;
        options.hold = false;
        unsigned host = listener->host;
        struct play_sock *sock = new_sock(play, name, host, &options, now);
        if (sock == NULL)
            return;
        sock->sock = conn;
        sock->connected_at = now;
        name_ends(play, sock);
        (void)weir_sock_set_user(stack_of(play, sock), conn, (uint64_t)(sock - play->sock) + 1);
        int error = dress(stack_of(play, sock), conn, &options, now);
        if (error != 0)
            fail(sock, error, now);
        progress(play, sock, now);
    }
}

void wr_play_event(struct play *play, const struct weir_event *event, weir_time now)
{
    if (event->user == 0 || event->user > play->n_socks)
        return;
    size_t number = (size_t)event->user - 1;
    struct play_sock *sock = &play->sock[number];
    if (sock->sock != event->sock)
        return;
    if (sock->listens) {
        accept_all(play, number, now);
        return;
    }
    if (event->ready & WEIR_POLLERR) {
        int value = 0;
        size_t len = sizeof value;
        (void)weir_sock_getsockopt(stack_of(play, sock), sock->sock, WEIR_SOL_SOCKET, WEIR_SO_ERROR,
                                   &value, &len, now);
        if (value != 0)
            fail(sock, -value, now);
    } else if (sock->connected_at < 0 && (event->ready & WEIR_POLLOUT) != 0 &&
               (event->ready & WEIR_POLLHUP) == 0) {
        sock->connected_at = now;
        name_ends(play, sock);
    }
    if (sock->error == 0)
        progress(play, sock, now);
}

void wr_play_settle(struct play *play, weir_time now)
{
    for (size_t i = 0; i < play->n_socks; i++)
        keep_info(play, &play->sock[i], now);
}

/* ---- the script's actions ------------------------------------------------------------------------ */

static struct play_sock *open_sock(struct play *play, const struct play_action *action,
                                   weir_time now)
{
    struct play_sock *sock = new_sock(play, action->sock, action->host, &action->options, now);
    if (sock == NULL)
        return NULL;
    struct weir_stack *stack = stack_of(play, sock);
    int error = weir_sock_open(stack, play->ip6 ? WEIR_AF_INET6 : WEIR_AF_INET, WEIR_SOCK_STREAM, 0,
                               &sock->sock);
    if (error == 0)
        error = weir_sock_set_user(stack, sock->sock, (uint64_t)(sock - play->sock) + 1);
    if (error == 0)
        error = dress(stack, sock->sock, &action->options, now);
    if (error != 0)
        fail(sock, error, now);
    return sock;
}

static void act_listen(struct play *play, const struct play_action *action, weir_time now)
{
    struct play_sock *sock = open_sock(play, action, now);
    if (sock == NULL || sock->error != 0)
        return;
    struct weir_stack *stack = stack_of(play, sock);
    sock->local =
        (struct weir_endpoint){.addr = play->host[action->host].host->addr, .port = action->port};
    sock->listens = true;
    int error = weir_sock_bind(stack, sock->sock, &sock->local);
    if (error == 0)
        error = weir_sock_listen(stack, sock->sock, (int)action->n, now);
    if (error != 0)
        fail(sock, error, now);
}

static void act_connect(struct play *play, const struct play_action *action, weir_time now)
{
    struct play_sock *sock = open_sock(play, action, now);
    if (sock == NULL || sock->error != 0)
        return;
    struct weir_stack *stack = stack_of(play, sock);
    struct weir_endpoint local = {.addr = play->host[action->host].host->addr,
                                  .port = action->local};
    struct weir_endpoint remote = {.addr = play->host[action->peer].host->addr,
                                   .port = action->port};
    int error = action->local != 0 ? weir_sock_bind(stack, sock->sock, &local) : 0;
    if (error == 0)
        error = weir_sock_connect(stack, sock->sock, &remote, now);
    name_ends(play, sock);
    sock->remote = remote;
    if (error != 0 && error != WEIR_EINPROGRESS)
        fail(sock, error, now);
    wr_lab_host_touch(host_of(play, sock));
}

static void act_crash(struct play *play, unsigned number, weir_time now)
{
    struct play_host *host = &play->host[number];
    for (size_t i = 0; i < play->n_socks; i++) {
        struct play_sock *sock = &play->sock[i];
        if (sock->host != number || sock->sock == 0)
            continue;
        keep_info(play, sock, now);
        sock->crashed = true;
        sock->sock = 0;
    }
    if (!wr_lab_host_reboot(host->host) || wr_play_dress_host(host) != 0)
        play->failed = true;
}

/* A SYN from an address of 198.18.0.0/15 or 2001:2::/48 (RFC 2544, RFC 5180: benchmarks), where nobody is. */
static size_t write_syn(uint8_t *p, const struct play *play, const struct play_action *action)
{
    uint8_t options[W_TCPOPT_MAX];
    struct w_tcpopt opt = {.has_mss = true, .mss = 1460};
    size_t opt_len = wr_w_tcpopt_emit_syn(options, &opt);
    size_t tcp_len = W_TCP_HLEN + opt_len, head = play->ip6 ? W_IP6_HLEN : W_IP4_HLEN;
    uint32_t n = (uint32_t)action->n;
    struct weir_addr from = weir_addr_v4(0xc6120001 + n), to = play->host[action->peer].host->addr;
    if (play->ip6) {
        from = weir_addr_any6();
        put_be32(from.b, 0x20010002);
        put_be32(from.b + 12, n + 1);
    }
    struct w_tcp tcp = {.src_port = (uint16_t)(1024 + n % 60000),
                        .dst_port = action->port,
                        .seq = n * 2654435761u,
                        .flags = W_TCP_SYN,
                        .wnd = 65535,
                        .data_off = (uint8_t)tcp_len};
    if (play->ip6) {
        struct w_ip6 ip = {.src = from,
                           .dst = to,
                           .payload_len = (uint16_t)tcp_len,
                           .next = W_IPPROTO_TCP,
                           .hop_limit = 64};
        wr_w_ip6_emit(p, &ip);
    } else {
        struct w_ip4 ip = {.src = from,
                           .dst = to,
                           .total_len = (uint16_t)(head + tcp_len),
                           .ttl = 64,
                           .proto = W_IPPROTO_TCP,
                           .dont_frag = true,
                           .hdr_len = W_IP4_HLEN};
        wr_w_ip4_emit(p, &ip);
    }
    wr_w_tcp_emit(p + head, &tcp);
    memcpy(p + head + W_TCP_HLEN, options, opt_len);
    uint64_t sum = wr_csum_pseudo(&from, &to, W_IPPROTO_TCP, (uint32_t)tcp_len);
    put_be16(p + head + W_TCP_OFF_CSUM, wr_csum_finish(wr_csum_add(sum, p + head, tcp_len)));
    return head + tcp_len;
}

static void act_flood(struct play *play, const struct play_action *action, weir_time now)
{
    uint8_t syn[W_IP6_HLEN + W_TCP_HLEN_MAX];
    size_t len = write_syn(syn, play, action);
    struct lab_packet *packet = wr_lab_packet_new(&play->net, len);
    if (packet == NULL)
        return;
    memcpy(packet->data, syn, len);
    wr_lab_packet_read(packet, 0);
    if (play->net.tape != NULL)
        wr_lab_tape_sent(play->net.tape, packet, false, now);
    wr_lab_pass(&play->net, play->host[action->host].ways, packet);
}

static void act_on_host(struct play *play, const struct play_action *action, weir_time now)
{
    struct lab_host *host = play->host[action->host].host;
    switch (action->verb) {
    case PLAY_LISTEN:
        act_listen(play, action, now);
        break;
    case PLAY_CONNECT:
        act_connect(play, action, now);
        break;
    case PLAY_CRASH:
        act_crash(play, action->host, now);
        break;
    case PLAY_FLOOD:
        act_flood(play, action, now);
        break;
    case PLAY_MTU:
        (void)weir_netif_set_mtu(host->stack, host->ifindex, (uint32_t)action->n, now);
        break;
    default:
        (void)weir_netif_set_up(host->stack, host->ifindex, action->verb == PLAY_UP, now);
        break;
    }
    wr_lab_host_touch(host);
}

static void act_read(struct play *play, struct play_sock *sock, uint64_t n, weir_time now)
{
    size_t number = (size_t)(sock - play->sock);
    sock->options.hold = n != UINT64_MAX;
    sock->may_read = n;
    if (sock->listens)
        accept_all(play, number, now);
}

static void act_on_sock(struct play *play, const struct play_action *action, weir_time now)
{
    struct play_sock *sock = find_sock(play, action->sock);
    if (sock == NULL || sock->sock == 0) /* it never came to be, or is over */
        return;
    size_t number = (size_t)(sock - play->sock);
    switch (action->verb) {
    case PLAY_SEND:
        sock->goal += action->n;
        break;
    case PLAY_HOLD:
        sock->options.hold = true;
        sock->may_read = 0;
        break;
    case PLAY_READ:
        act_read(play, sock, action->n, now);
        sock = &play->sock[number];
        break;
    case PLAY_SHUTDOWN:
        sock->shut = true;
        break;
    case PLAY_ABORT:
        (void)weir_sock_abort(stack_of(play, sock), sock->sock, now);
        close_sock(play, sock, now);
        break;
    default:
        close_sock(play, sock, now);
        break;
    }
    progress(play, sock, now);
    wr_lab_host_touch(host_of(play, sock));
}

void wr_play_act(struct play *play, const struct play_action *action, weir_time now)
{
    switch (action->verb) {
    case PLAY_LISTEN:
    case PLAY_CONNECT:
    case PLAY_CRASH:
    case PLAY_DOWN:
    case PLAY_UP:
    case PLAY_MTU:
    case PLAY_FLOOD:
        act_on_host(play, action, now);
        break;
    default:
        act_on_sock(play, action, now);
        break;
    }
}
