/* SPDX-License-Identifier: MIT */
/*
 * Sockets that a client opens on the host: how `weir nc` and `weir ping` reach the network.
 *
 *     client  ==== AF_UNIX pair ====  relay  ---- socket of the host ----  peer
 *
 * The client is given one end of a pair, by SCM_RIGHTS with the answer, and reads and writes it like a
 * connection: an end of file travels both ways as a half-close. Streams use a stream pair; datagrams,
 * echo requests and replies a pair that keeps their boundaries (SOCK_SEQPACKET), and an empty one
 * is lost in it. What the pair cannot say, an error, is told in the conversation.
 *
 * A relay outlives its conversation until the client has closed its end and what it wrote is with TCP.
 * The pair is watched edge-triggered, so each run goes on until both ways would wait; after ROUNDS it
 * lets others have their turn.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/control_int.h"

enum {
    RELAYS_MAX = 64,  /* of a host */
    CHUNK = 64 << 10, /* bytes taken from a pair at once */
    ROUNDS = 32
};

struct wr_relay {
    struct wr_relay *next;
    struct weir_control *control;
    struct wr_talk *talk; /* that is told what happens; NULL: it has ended */
    unsigned id;
    int domain, type;
    int host_fd; /* descriptor of the host's socket; -1: none yet */
    weir_sock sock;
    int fd;       /* our end of the pair; -1: none yet */
    bool opening; /* connecting: the answer is owed */
    bool connected;
    bool up_ended, down_ended;
    struct weir_endpoint remote; /* to connect to */
    size_t held, held_at;        /* bytes of buf that TCP had no room for */
    uint8_t buf[CHUNK];
};

static void relay_notify(void *arg);
static void relay_ready(void *arg, int fd, uint32_t events);
static void relay_later(void *arg, weir_time now);

/* ---- life --------------------------------------------------------------------------------------- */

/* Gives a socket of the core a place among the host's descriptors, and has its events come here. */
static int adopt(struct wr_relay *relay)
{
    struct weir_host *host = relay->control->host;
    int fd = wr_hostsock_add(host, relay->sock, relay->domain, relay->type, true);
    if (fd < 0) {
        weir_sock_close(host->stack, relay->sock, weir_now());
        return fd;
    }
    relay->host_fd = fd;
    host->table[fd]->notify = relay_notify;
    host->table[fd]->notify_arg = relay;
    return 0;
}

static struct wr_relay *relay_new(struct wr_talk *talk, int domain, int type)
{
    struct weir_control *control = talk->control;
    struct wr_relay *relay = control->n_relays < RELAYS_MAX ? calloc(1, sizeof *relay) : NULL;
    if (!relay)
        return NULL;
    relay->control = control;
    relay->talk = talk;
    relay->id = ++control->last_relay;
    relay->domain = domain;
    relay->type = type;
    relay->host_fd = relay->fd = -1;
    relay->next = control->relays;
    control->relays = relay;
    control->n_relays++;
    talk->n_relays++;
    return relay;
}

static void relay_free(struct wr_relay *relay)
{
    struct weir_control *control = relay->control;
    struct wr_relay **at = &control->relays;
    while (*at != relay)
        at = &(*at)->next;
    *at = relay->next;
    control->n_relays--;
    if (relay->talk)
        relay->talk->n_relays--;
    weir_loop_alarm(control->host->loop, WEIR_TIME_NEVER, relay_later, relay);
    if (relay->fd >= 0) {
        weir_loop_watch(control->host->loop, relay->fd, 0, NULL, NULL);
        close(relay->fd);
    }
    if (relay->host_fd >= 0)
        weir_close(control->host, relay->host_fd);
    free(relay);
}

/* It is over: the client reads an end of file, and is told why if that was an error. */
static void relay_end(struct wr_relay *relay, int err)
{
    struct wr_talk *talk = relay->talk;
    if (talk && relay->opening)
        wr_control_say(talk, json_pack("{s:s, s:s}", "error", weir_error_name(err), "text",
                                       weir_error_text(err)));
    else if (talk && err)
        wr_control_say(talk,
                       json_pack("{s:b, s:i, s:s, s:s}", "end", 1, "id", (int)relay->id, "error",
                                 weir_error_name(err), "text", weir_error_text(err)));
    else if (talk)
        wr_control_say(talk, json_pack("{s:b, s:i}", "end", 1, "id", (int)relay->id));
    if (talk)
        talk->waiting = talk->waiting && !relay->opening;
    relay_free(relay);
    if (talk)
        wr_control_go_on(talk);
}

void wr_control_leave(struct wr_talk *talk)
{
    struct wr_relay *next;
    for (struct wr_relay *relay = talk->control->relays; relay; relay = next) {
        next = relay->next;
        if (relay->talk != talk)
            continue;
        relay->talk = NULL;
        if (relay->fd < 0) /* nothing was handed out */
            relay_free(relay);
    }
    if (talk->listener >= 0)
        weir_close(talk->control->host, talk->listener);
    talk->listener = -1;
}

void wr_control_end_relays(struct weir_control *control)
{
    while (control->relays)
        relay_free(control->relays);
}

/* ---- bytes -------------------------------------------------------------------------------------- */

/* Trouble with one datagram is told, and the next may do better. */
static void tell_trouble(struct wr_relay *relay, int err)
{
    if (!relay->talk)
        return;
    wr_control_say(relay->talk, json_pack("{s:s, s:s, s:i}", "trouble", weir_error_name(err),
                                          "text", weir_error_text(err), "id", (int)relay->id));
    wr_control_go_on(relay->talk);
}

/* From the client to the network. 1: some; 0: would wait, or has ended; negative: an error. */
static int up(struct wr_relay *relay)
{
    struct weir_stack *stack = relay->control->host->stack;
    bool stream = relay->type == SOCK_STREAM;
    if (relay->held == 0) {
        if (relay->up_ended || (!stream && !relay->connected))
            return 0;
        ssize_t n = recv(relay->fd, relay->buf, sizeof relay->buf, MSG_DONTWAIT);
        if (n <= 0) {
            if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
            relay->up_ended = true; /* a client that has crashed has said all it will */
            if (stream)
                weir_sock_shutdown(stack, relay->sock, WEIR_SHUT_WR, weir_now());
            return 0;
        }
        relay->held = (size_t)n;
        relay->held_at = 0;
    }
    ptrdiff_t sent = weir_sock_send(stack, relay->sock, relay->buf + relay->held_at, relay->held, 0,
                                    NULL, weir_now());
    if (sent == WEIR_EAGAIN)
        return 0;
    if (sent < 0) {
        relay->held = 0;
        if (stream)
            return (int)sent;
        tell_trouble(relay, (int)sent);
        return 1;
    }
    relay->held -= (size_t)sent;
    relay->held_at += (size_t)sent;
    return 1;
}

static int down_stream(struct wr_relay *relay)
{
    struct weir_stack *stack = relay->control->host->stack;
    struct weir_span span[2];
    ptrdiff_t len = weir_sock_peek(stack, relay->sock, span, weir_now());
    if (len == WEIR_EAGAIN)
        return 0;
    if (len <= 0) {
        relay->down_ended = true;
        shutdown(relay->fd, SHUT_WR);
        return (int)len;
    }
    struct iovec iov[2] = {{(void *)(uintptr_t)span[0].ptr, span[0].len},
                           {(void *)(uintptr_t)span[1].ptr, span[1].len}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)len > span[0].len ? 2 : 1};
    ssize_t n = sendmsg(relay->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return 0; /* full; or the client is gone, which its end of the pair tells */
    weir_sock_consume(stack, relay->sock, (size_t)n, weir_now());
    return 1;
}

/* A datagram. Whoever sends the first one to a socket that has no peer becomes the peer. */
static int down_datagram(struct wr_relay *relay)
{
    struct weir_stack *stack = relay->control->host->stack;
    struct weir_endpoint from;
    uint8_t data[CHUNK];
    ptrdiff_t n = weir_sock_recv(stack, relay->sock, data, sizeof data, 0, &from, weir_now());
    if (n >= 0 && !relay->connected) {
        relay->connected = weir_sock_connect(stack, relay->sock, &from, weir_now()) == 0;
        relay->remote = from;
    }
    if (n >= 0) /* what does not fit is lost, as a datagram may be */
        (void)!send(relay->fd, data, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && n != WEIR_EAGAIN)
        tell_trouble(relay, (int)n);
    return n != WEIR_EAGAIN;
}

static int down(struct wr_relay *relay)
{
    if (relay->down_ended)
        return 0;
    return relay->type == SOCK_STREAM ? down_stream(relay) : down_datagram(relay);
}

/* True if the client has closed its end. */
static bool client_gone(const struct wr_relay *relay)
{
    struct pollfd p = {.fd = relay->fd};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP) != 0;
}

/* Moves what can be moved. The relay may be gone after. */
static void run(struct wr_relay *relay)
{
    int err = 0, rounds = ROUNDS;
    bool more = true;
    while (more && !err && rounds-- > 0) {
        int a = up(relay), b = a < 0 ? 0 : down(relay);
        more = a > 0 || b > 0;
        err = a < 0 ? a : b < 0 ? b : 0;
    }
    bool datagram = relay->type != SOCK_STREAM;
    bool done = relay->up_ended && relay->held == 0 &&
                (datagram || relay->down_ended || client_gone(relay));
    if (err || done)
        relay_end(relay, err);
    else if (more)
        weir_loop_alarm(relay->control->host->loop, weir_now(), relay_later, relay);
}

static void relay_later(void *arg, weir_time now)
{
    (void)now;
    run(arg);
}

static void relay_ready(void *arg, int fd, uint32_t events)
{
    (void)fd;
    (void)events;
    run(arg);
}

/* ---- opening ------------------------------------------------------------------------------------ */

static json_t *end_object(const struct weir_endpoint *end)
{
    char text[WEIR_ADDR_STRLEN];
    weir_addr_format(&end->addr, text, sizeof text);
    return json_pack("{s:s, s:i}", "addr", text, "port", (int)end->port);
}

static bool end_from(const json_t *object, struct weir_endpoint *end)
{
    const char *addr = json_string_value(json_object_get(object, "addr"));
    json_int_t port = json_integer_value(json_object_get(object, "port"));
    end->port = (uint16_t)port;
    return addr && port >= 0 && port <= UINT16_MAX && weir_addr_parse(addr, &end->addr);
}

/* Makes the pair and answers, with the client's end. The relay runs from now on. */
static void hand_out(struct wr_relay *relay)
{
    struct weir_stack *stack = relay->control->host->stack;
    struct weir_endpoint local = {.port = 0}, peer = {.port = 0};
    int type = relay->type == SOCK_STREAM ? SOCK_STREAM : SOCK_SEQPACKET, pair[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0) {
        relay_end(relay, -errno);
        return;
    }
    relay->fd = pair[0];
    int err = weir_loop_watch(relay->control->host->loop, relay->fd,
                              EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, relay_ready, relay);
    if (err) {
        close(pair[1]);
        relay_end(relay, err);
        return;
    }
    weir_sock_getsockname(stack, relay->sock, &local);
    weir_sock_getpeername(stack, relay->sock, &peer);
    relay->opening = false;
    relay->talk->waiting = false;
    relay->talk->out_fd = pair[1];
    wr_control_say(relay->talk, json_pack("{s:b, s:i, s:o, s:o}", "ok", 1, "id", (int)relay->id,
                                          "local", end_object(&local), "peer", end_object(&peer)));
    wr_control_go_on(relay->talk);
    run(relay);
}

/* The outcome of a connect under way. */
static void settle_connect(struct wr_relay *relay)
{
    struct weir_stack *stack = relay->control->host->stack;
    int err = weir_sock_connect(stack, relay->sock, &relay->remote, weir_now());
    if (err == WEIR_EALREADY || err == WEIR_EINPROGRESS)
        return;
    relay->connected = err == 0 || err == -EISCONN;
    if (relay->connected)
        hand_out(relay);
    else
        relay_end(relay, err);
}

static void relay_notify(void *arg)
{
    struct wr_relay *relay = arg;
    if (relay->opening)
        settle_connect(relay);
    else
        run(relay);
}

static int open_sock(struct wr_relay *relay, const char *kind, const json_t *local)
{
    struct weir_stack *stack = relay->control->host->stack;
    struct weir_endpoint bound;
    bool v6 = relay->domain == AF_INET6;
    int protocol = strcmp(kind, "ping") != 0 ? 0 : v6 ? WEIR_PROTO_ICMPV6 : WEIR_PROTO_ICMP;
    if (local && !end_from(local, &bound))
        return WEIR_EINVAL;
    int err = weir_sock_open(stack, relay->domain, relay->type, protocol, &relay->sock);
    if (!err)
        err = adopt(relay);
    return err || !local ? err : weir_sock_bind(stack, relay->sock, &bound);
}

static bool kind_of(const json_t *request, const char **kind, int *domain, int *type)
{
    *kind = json_string_value(json_object_get(request, "type"));
    *domain = json_integer_value(json_object_get(request, "family")) == 6 ? AF_INET6 : AF_INET;
    if (!*kind)
        return false;
    *type = strcmp(*kind, "stream") == 0 ? SOCK_STREAM : SOCK_DGRAM;
    return *type == SOCK_STREAM || strcmp(*kind, "dgram") == 0 || strcmp(*kind, "ping") == 0;
}

int wr_control_open_sock(struct wr_talk *talk, const json_t *request)
{
    const json_t *local = json_object_get(request, "local"), *to = json_object_get(request, "peer");
    const char *kind;
    int domain, type;
    if (!kind_of(request, &kind, &domain, &type))
        return WEIR_EINVAL;
    struct wr_relay *relay = relay_new(talk, domain, type);
    if (!relay)
        return WEIR_EMFILE;
    int err = to && !end_from(to, &relay->remote) ? WEIR_EINVAL : open_sock(relay, kind, local);
    if (!err && to)
        err =
            weir_sock_connect(relay->control->host->stack, relay->sock, &relay->remote, weir_now());
    else if (!err && type == SOCK_STREAM)
        err = WEIR_EINVAL; /* a connection needs a peer */
    if (err && err != WEIR_EINPROGRESS) {
        relay_free(relay);
        return err;
    }
    relay->connected = to && !err;
    relay->opening = talk->waiting = true;
    if (!err)
        hand_out(relay);
    return 0;
}

/* ---- listening ---------------------------------------------------------------------------------- */

static void listener_notify(void *arg)
{
    wr_control_accept(arg);
}

int wr_control_listen(struct wr_talk *talk, const json_t *request, struct weir_endpoint *bound)
{
    struct weir_host *host = talk->control->host;
    const char *kind;
    int domain, type, one = 1;
    weir_sock sock;
    if (!kind_of(request, &kind, &domain, &type) || type != SOCK_STREAM || talk->listener >= 0 ||
        !end_from(json_object_get(request, "local"), bound))
        return WEIR_EINVAL;
    int err = weir_sock_open(host->stack, domain, type, 0, &sock);
    if (err)
        return err;
    int fd = wr_hostsock_add(host, sock, domain, type, true);
    if (fd < 0) {
        weir_sock_close(host->stack, sock, weir_now());
        return fd;
    }
    weir_sock_setsockopt(host->stack, sock, WEIR_SOL_SOCKET, WEIR_SO_REUSEADDR, &one, sizeof one,
                         weir_now());
    err = weir_sock_bind(host->stack, sock, bound);
    if (!err)
        err = weir_sock_listen(host->stack, sock, 16, weir_now());
    if (!err)
        err = weir_sock_getsockname(host->stack, sock, bound);
    if (err) {
        weir_close(host, fd);
        return err;
    }
    talk->listener = fd;
    host->table[fd]->notify = listener_notify;
    host->table[fd]->notify_arg = talk;
    return 0;
}

void wr_control_accept(struct wr_talk *talk)
{
    struct weir_host *host = talk->control->host;
    if (!talk->accepting || talk->out_len > 0)
        return;
    struct wr_hsock *listener = host->table[talk->listener];
    weir_sock sock;
    int err = weir_sock_accept(host->stack, listener->sock, &sock, NULL, weir_now());
    if (err == WEIR_EAGAIN)
        return;
    talk->accepting = talk->waiting = false;
    struct wr_relay *relay = err ? NULL : relay_new(talk, listener->domain, SOCK_STREAM);
    if (relay) {
        relay->sock = sock;
        relay->connected = relay->opening = true;
        err = adopt(relay);
        if (err)
            relay_end(relay, err);
        else
            hand_out(relay);
        return;
    }
    if (!err) {
        weir_sock_close(host->stack, sock, weir_now());
        err = WEIR_EMFILE;
    }
    wr_control_say(
        talk, json_pack("{s:s, s:s}", "error", weir_error_name(err), "text", weir_error_text(err)));
    wr_control_go_on(talk);
}
