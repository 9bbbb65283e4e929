/* SPDX-License-Identifier: MIT */
/*
 * Hosts: a stack with its links, and the traffic between them.
 *
 * A round takes frames from each link that has some, up to a bound, into the stack, lets timers run, hands out
 * events, then gives each link all that the stack wants to send. So ACKs go out after a batch of data and not
 * after each segment, and what came in, and what the program answered, decides what goes out. A frame that
 * a link refuses with WEIR_EAGAIN is copied out of the stack's buffers and waits in front of the link; nothing more is
 * asked of the stack for that link until it has gone, so that a slow link is felt by the connections
 * and not by a queue.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/host_internal.h"

/* BYTES_AT_ONCE of a round, and then the program reads: what it finds is still in the cache. LOOK_EVERY so many rounds
 * a link is read until it is empty, to see how much it brings at once. */
enum { FRAMES_AT_ONCE = 32, BYTES_AT_ONCE = 128 * 1024, SMALL_BYTES = 512, LOOK_EVERY = 16 };

/* ---- out ---------------------------------------------------------------------------------------- */

static void lost(struct wr_attach *a, unsigned n, weir_time now)
{
    if (WR_SELDOM(n > 0))
        weir_output_lost(a->host->stack, n, now);
}

WR_APART void link_down(struct wr_attach *a, weir_time now)
{
    a->dead = true;
    lost(a, a->has_pending ? 1 : 0, now);
    if (a->link->ops->flush) /* what it had gathered: it is not asked again */
        lost(a, a->link->ops->flush(a->link, now), now);
    a->has_pending = false;
    weir_netif_set_up(a->host->stack, a->ifindex, false, now);
}

/* Copies a refused frame, since the stack's loan ends with the next call on it. */
static bool keep_pending(struct wr_attach *a, const struct weir_out *out, size_t len)
{
    if (a->cap < len) {
        uint8_t *buf = realloc(a->buf, len);
        if (!buf)
            return false;
        a->buf = buf;
        a->cap = len;
    }
    size_t at = out->head_len;
    memcpy(a->buf, out->head, at);
    for (unsigned i = 0; i < out->n_spans; i++) {
        memcpy(a->buf + at, out->span[i].ptr, out->span[i].len);
        at += out->span[i].len;
    }
    a->pending = *out;
    a->pending.head = a->buf;
    a->pending.n_spans = 1;
    a->pending.stays = false;
    a->pending.span[0] = (struct weir_span){a->buf + out->head_len, len - out->head_len};
    a->has_pending = true;
    wr_loop_want_room(a->host->loop, a, true);
    return true;
}

static void send_failed(struct wr_attach *a, int rc, weir_time now)
{
    lost(a, 1, now);
    if (rc == WEIR_ENETDOWN)
        link_down(a, now);
}

/* What the link did not take: it waits, or is lost. */
WR_APART void refused(struct wr_attach *a, const struct weir_out *out, size_t len, int rc,
                      weir_time now)
{
    if (rc == WEIR_EAGAIN && keep_pending(a, out, len))
        return;
    send_failed(a, rc == WEIR_EAGAIN ? WEIR_ENOMEM : rc, now);
}

/* Sends what was refused before. True when it is gone. */
WR_APART bool send_pending(struct wr_attach *a, weir_time now)
{
    int rc = a->link->ops->send(a->link, &a->pending, now);
    if (rc == WEIR_EAGAIN)
        return false;
    a->has_pending = false;
    wr_loop_want_room(a->host->loop, a, false);
    if (rc != 0)
        send_failed(a, rc, now);
    return true;
}

/* Sends what the stack has, up to a bound. A peer on the same machine may have answered by then, and what it has
 * acknowledged need not be kept any longer: so the link is read, and the program asked for more, before it goes on. */
static bool send_some(struct wr_attach *a, weir_time now)
{
    uint8_t head[WEIR_HEAD_MAX];
    bool moved = false;
    size_t bytes = 0;
    while (!a->has_pending && !a->dead) {
        struct weir_out out = {.head = head};
        if (bytes >= BYTES_AT_ONCE) {
            a->kick = true;
            break;
        }
        size_t len = weir_output(a->host->stack, a->ifindex, &out, now);
        if (len == 0)
            break;
        moved = true;
        bytes += len;
        if (WR_SELDOM(a->host->taps))
            wr_host_capture_out(a->host, a->ifindex, &out, now);
        int rc = a->link->ops->send(a->link, &out, now);
        if (WR_SELDOM(rc != 0))
            refused(a, &out, len, rc, now);
    }
    if (a->link->ops->flush && !a->dead)
        lost(a, a->link->ops->flush(a->link, now), now);
    return moved;
}

/* ---- in ----------------------------------------------------------------------------------------- */

/* The next frame, if the link can with its data where the program will read it: which is for large ones, and these
 * follow each other. */
static int next_frame(struct wr_attach *a, struct weir_frame *frame, weir_time now)
{
    struct weir_room room;
    if (a->small || a->link->ops->recv_room == NULL ||
        a->host->taps || /* a capture wants it in one piece */
        !weir_input_room(a->host->stack, a->ifindex, &room))
        return a->link->ops->recv(a->link, frame, now);
    int rc = a->link->ops->recv_room(a->link, &room, frame, now);
    if (rc <= 0)
        weir_input_room_unused(a->host->stack);
    return rc;
}

/* Has the loop told of the next frame, or asks again. */
WR_APART void await(struct wr_attach *a)
{
    if (wr_loop_await(a->host->loop, a))
        return;
    a->kick = true;
    wr_loop_wake(a->host->loop); /* nothing else would */
}

/* There are no more frames. Of those that came `owing` were taken in since there was something to answer, the last of
 * `len` bytes. When they are small, it is asked again when the answers are out. */
static void found_empty(struct wr_attach *a, unsigned owing, size_t len)
{
    if (owing > 0)
        a->usual = owing;
    a->kick = owing > 0 && len < SMALL_BYTES;
    if (!a->kick && !a->dead)
        await(a);
}

/* Takes frames in until there are none or the batch is full. True when there were some.
 *
 * To learn that there are none costs a system call. A peer on the same machine that waits for the answer to one
 * frame has often sent the next by the time that the answer is written. So from the first small one on that has an
 * answer, a batch is as many as there were when the link was last found empty; it is asked for more when the answers
 * are out. Large ones are taken in as they come: one acknowledgement for many counts for more. */
static bool take_in(struct wr_attach *a, weir_time now)
{
    bool look = ++a->rounds % LOOK_EVERY == 0;
    unsigned usual = look || a->usual == 0 ? FRAMES_AT_ONCE : a->usual;
    unsigned n = 0, owing = 0;
    size_t bytes = 0;
    struct weir_frame frame = {0};
    for (; n < FRAMES_AT_ONCE && bytes < BYTES_AT_ONCE; n++) {
        if (owing >= usual && a->small)
            break;
        int rc = next_frame(a, &frame, now);
        if (rc <= 0) {
            if (WR_SELDOM(rc < 0))
                link_down(a, now);
            found_empty(a, owing, frame.len);
            return n > 0 || rc < 0;
        }
        weir_input(a->host->stack, a->ifindex, &frame, now);
        if (WR_SELDOM(a->host->taps))
            wr_host_capture_in(a->host, a->ifindex, &frame, now);
        if (owing > 0 || weir_has_work(a->host->stack, a->ifindex))
            owing++;
        bytes += frame.len;
        a->vain = 0;
        a->small = frame.len < SMALL_BYTES;
        a->host->had_input = true;
    }
    if (a->usual > 0 && owing > a->usual)
        a->usual = owing; /* at least */
    a->kick = true;
    return true;
}

static bool serve_link(struct wr_attach *a, weir_time now)
{
    bool moved = false;
    if (a->dead || (!a->kick && a->link->ops->deadline(a->link) > now))
        return false;
    if (WR_SELDOM(a->has_pending))
        moved = send_pending(a, now);
    return take_in(a, now) || moved;
}

static void stay_awake(struct weir_host *host, weir_time now)
{
    weir_time *until = &host->loop->busy_until;
    if (host->busy_ns > 0)
        *until = weir_time_max(*until, weir_time_after(now, host->busy_ns));
}

bool wr_host_ask(struct weir_host *host)
{
    bool any = false;
    for (struct wr_attach *a = host->links; a && host->busy_ns > 0 && !host->doomed; a = a->next) {
        a->kick |= !a->dead;
        any |= !a->dead;
    }
    return any;
}

void wr_host_unwatch_busy(struct weir_host *host)
{
    for (struct wr_attach *a = host->links; a; a = a->next)
        if (a->kick && !a->has_pending)
            wr_loop_unwatch(host->loop, a);
}

int weir_host_set_busy_poll(struct weir_host *host, int usec)
{
    if (usec < 0)
        return WEIR_EINVAL;
    wr_loop_lock(host->loop);
    host->busy_ns = usec * WEIR_US;
    host->loop->busy_until = 0; /* a longer time ends too */
    wr_loop_unlock(host->loop);
    return 0;
}

int weir_host_busy_poll(struct weir_host *host)
{
    wr_loop_lock(host->loop);
    int usec = (int)(host->busy_ns / WEIR_US);
    wr_loop_unlock(host->loop);
    return usec;
}

bool wr_host_in(struct weir_host *host, weir_time now)
{
    bool moved = false;
    for (struct wr_attach *a = host->links; a; a = a->next)
        moved |= serve_link(a, now);
    if (moved)
        stay_awake(host, now);
    if (weir_deadline(host->stack) <= now) {
        weir_advance(host->stack, now);
        host->had_input = true; /* loopback's frames are carried there */
    }
    return moved;
}

bool wr_host_out(struct weir_host *host, weir_time now)
{
    bool moved = false;
    for (struct wr_attach *a = host->links; a; a = a->next)
        moved |= send_some(a, now);
    if (moved)
        stay_awake(host, now);
    if (WR_SELDOM(host->taps))
        wr_host_capture_flush(host);
    if (WR_SELDOM(host->followers))
        wr_host_follow_flush(host);
    return moved;
}

/* A link that has sent something is asked although it has not said that something came, and for all that it has: an
 * answer may be the last of it. */
void weir_host_carry(struct weir_host *host)
{
    wr_loop_lock(host->loop);
    weir_time now = weir_now();
    for (struct wr_attach *a = host->links; a; a = a->next) {
        if (!send_some(a, now))
            continue;
        a->kick = true;
        a->usual = 0;
    }
    wr_host_in(host, now);
    wr_loop_unlock(host->loop);
}

weir_time wr_host_deadline(const struct weir_host *host)
{
    weir_time at = weir_deadline(host->stack);
    for (const struct wr_attach *a = host->links; a; a = a->next)
        if (!a->dead)
            at = weir_time_min(at, a->link->ops->deadline(a->link));
    return at;
}

/* ---- events ------------------------------------------------------------------------------------- */

/* Room for one more event that waits for the loop's thread. */
static bool stash_room(struct weir_host *host)
{
    if (host->n_stash < host->cap_stash)
        return true;
    size_t cap = host->cap_stash ? host->cap_stash * 2 : 16;
    struct weir_event *stash = realloc(host->stash, cap * sizeof *stash);
    if (!stash)
        return false;
    host->stash = stash;
    host->cap_stash = cap;
    return true;
}

/* Hands out the events that other threads came upon, with the bits of now. */
WR_APART void deliver_stash(struct weir_host *host)
{
    while (host->n_stash > 0 && host->event_fn && !host->doomed) {
        struct weir_event event = host->stash[0];
        host->n_stash--;
        memmove(host->stash, host->stash + 1, host->n_stash * sizeof *host->stash);
        int ready = weir_sock_ready(host->stack, event.sock);
        if (ready < 0)
            continue; /* closed since */
        event.ready = (uint32_t)ready;
        host->event_fn(host->event_arg, &event);
    }
    host->n_stash = 0;
}

/* The number is taken before the call, so that what the call changes is told too. */
static bool tell_config(struct weir_host *host)
{
    uint32_t generation = weir_config_generation(host->stack);
    if (!host->config_fn || generation == host->config_seen)
        return false;
    host->config_seen = generation;
    host->config_fn(host->config_arg, host);
    return true;
}

bool wr_host_events(struct weir_host *host, bool in_loop)
{
    struct weir_event event;
    bool told = in_loop && host->n_stash > 0;
    if (WR_SELDOM(told))
        deliver_stash(host);
    else if (in_loop)
        told = tell_config(host);
    while (!host->doomed && (in_loop || stash_room(host)) && weir_next_event(host->stack, &event)) {
        struct wr_hsock *hs = wr_hostsock_of(host, &event);
        if (hs) {
            wr_wait_wake(hs->waiters);
            wr_epoll_tell(hs, event.happened);
            if (hs->notify) {
                hs->notify(hs->notify_arg); /* hs may be gone */
                told = true;
            }
        } else if (host->event_fn && in_loop) {
            host->event_fn(host->event_arg, &event);
            told = true;
        } else if (host->event_fn) {
            host->stash[host->n_stash++] = event;
        }
    }
    if (in_loop && told && host->told_fn && !host->doomed)
        host->told_fn(host->told_arg);
    if (host->had_input)
        wr_wait_wake(host->lingering); /* the last ACK is no event */
    host->had_input = false;
    return told || (!in_loop && host->n_stash > 0);
}

/* ---- life --------------------------------------------------------------------------------------- */

int weir_host_new(struct weir_loop *loop, const struct weir_config *config, struct weir_host **out)
{
    struct weir_config defaults;
    struct weir_pages *pages = NULL;
    if (!config) {
        weir_config_default(&defaults);
        int rc = wr_host_seed(defaults.seed);
        if (rc != 0)
            return rc;
        pages = weir_pages_new();
        if (pages)
            defaults.alloc = weir_pages_allocator(pages);
        config = &defaults;
    }
    struct weir_host *host = calloc(1, sizeof *host);
    if (host)
        host->stack = weir_stack_new(config, weir_now());
    if (!host || !host->stack) {
        weir_pages_free(pages);
        free(host);
        return WEIR_ENOMEM;
    }
    host->pages = pages;
    wr_loop_lock(loop);
    host->loop = loop;
    host->next = loop->hosts;
    loop->hosts = host;
    wr_loop_unlock(loop);
    *out = host;
    return 0;
}

static void attach_free(struct wr_attach *a)
{
    wr_loop_remove_link(a->host->loop, a);
    weir_link_free(a->link);
    free(a->buf);
    free(a);
}

/* Resets the connections and says so on the links, as far as they take it now; then the leases. */
static void say_goodbye(struct weir_host *host)
{
    weir_time now = weir_now();
    wr_hostsock_abort_all(host, now);
    for (struct wr_attach *a = host->links; a; a = a->next)
        while (!a->dead && send_some(a, now))
            continue;
    for (struct wr_attach *a = host->links; a; a = a->next)
        if (!a->dead && weir_dhcp_stop(host->stack, a->ifindex, now) == 0)
            send_some(a, now);
}

static void host_destroy(struct weir_host *host)
{
    struct weir_host **at = &host->loop->hosts;
    while (*at != host)
        at = &(*at)->next;
    *at = host->next;
    say_goodbye(host);
    while (host->links) {
        struct wr_attach *a = host->links;
        host->links = a->next;
        attach_free(a);
    }
    wr_host_capture_end_all(host);
    wr_host_follow_end_all(host);
    weir_stack_free(host->stack);
    weir_pages_free(host->pages);
    free(host->stash);
    free(host);
}

void weir_host_free(struct weir_host *host)
{
    if (!host)
        return;
    struct weir_loop *loop = host->loop;
    wr_loop_lock(loop);
    if (loop->serving > 0)
        host->doomed = true;
    else
        host_destroy(host);
    wr_loop_unlock(loop);
}

void wr_host_free_doomed(struct weir_loop *loop)
{
    struct weir_host *host = loop->hosts;
    while (host) {
        struct weir_host *next = host->next;
        if (host->doomed)
            host_destroy(host);
        host = next;
    }
}

struct weir_stack *weir_host_lock(struct weir_host *host)
{
    wr_loop_lock(host->loop);
    return host->stack;
}

void weir_host_unlock(struct weir_host *host)
{
    wr_loop_unlock(host->loop);
}

void weir_host_on_event(struct weir_host *host, weir_host_event_fn *fn, void *arg)
{
    wr_loop_lock(host->loop);
    host->event_fn = fn;
    host->event_arg = arg;
    wr_loop_unlock(host->loop);
}

weir_time weir_host_now(const struct weir_host *host)
{
    return host->loop->now;
}

void weir_host_on_told(struct weir_host *host, weir_host_told_fn *fn, void *arg)
{
    wr_loop_lock(host->loop);
    host->told_fn = fn;
    host->told_arg = arg;
    wr_loop_unlock(host->loop);
}

void weir_host_on_config(struct weir_host *host, weir_host_config_fn *fn, void *arg)
{
    wr_loop_lock(host->loop);
    host->config_fn = fn;
    host->config_arg = arg;
    host->config_seen = 0;
    wr_loop_unlock(host->loop);
}

/* ---- configuration ------------------------------------------------------------------------------ */

/* Adds the interface under the link's name, or with the next free number behind it. */
static int add_netif(struct weir_host *host, struct weir_netif_config config, weir_time now)
{
    char base[sizeof config.name];
    size_t n = strnlen(config.name, sizeof config.name - 1);
    if (n == 0)
        n = (size_t)snprintf(config.name, sizeof config.name, "link0");
    int rc = weir_netif_add(host->stack, &config, now);
    while (n > 1 && config.name[n - 1] >= '0' && config.name[n - 1] <= '9')
        n--;
    if (n > 8)
        n = 8; /* room for a number */
    memcpy(base, config.name, n);
    base[n] = '\0';
    for (unsigned i = 0; rc == WEIR_EEXIST && i < 100000; i++) {
        snprintf(config.name, sizeof config.name, "%.8s%u", base, i);
        rc = weir_netif_add(host->stack, &config, now);
    }
    return rc;
}

int weir_host_add_link(struct weir_host *host, struct weir_link *link)
{
    struct wr_attach *a = calloc(1, sizeof *a);
    if (!a)
        return WEIR_ENOMEM;
    wr_loop_lock(host->loop);
    a->host = host;
    a->link = link;
    a->fd = link->ops->fd(link);
    int rc = add_netif(host, link->netif, weir_now());
    a->ifindex = rc;
    if (rc > 0) {
        int added = wr_loop_add_link(host->loop, a);
        if (added != 0) {
            weir_netif_remove(host->stack, rc, weir_now());
            rc = added;
        }
    }
    if (rc > 0) {
        struct wr_attach **at = &host->links;
        while (*at)
            at = &(*at)->next;
        *at = a;
    } else {
        free(a);
    }
    wr_loop_unlock(host->loop);
    return rc;
}

/* Splits "address/bits"; without bits, the whole address. */
static int parse_prefix(const char *text, struct weir_addr *addr, unsigned *bits)
{
    char copy[64];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    if (n >= sizeof copy)
        return WEIR_EINVAL;
    memcpy(copy, text, n);
    copy[n] = '\0';
    if (!weir_addr_parse(copy, addr))
        return WEIR_EINVAL;
    unsigned most = weir_addr_is_v4(addr) ? 32 : 128, value = most;
    if (slash) {
        value = 0;
        if (slash[1] == '\0')
            return WEIR_EINVAL;
        for (const char *p = slash + 1; *p; p++) {
            if (*p < '0' || *p > '9' || value > most)
                return WEIR_EINVAL;
            value = value * 10 + (unsigned)(*p - '0');
        }
    }
    *bits = value;
    return value <= most ? 0 : WEIR_EINVAL;
}

int weir_host_add_addr(struct weir_host *host, int ifindex, const char *addr_prefix)
{
    struct weir_addr addr;
    unsigned bits;
    int rc = parse_prefix(addr_prefix, &addr, &bits);
    if (rc != 0)
        return rc;
    wr_loop_lock(host->loop);
    rc = weir_addr_add(host->stack, ifindex, &addr, bits, weir_now());
    wr_loop_unlock(host->loop);
    return rc;
}

static int add_default(struct weir_host *host, struct weir_route *route, bool v4, bool v6)
{
    int rc = 0;
    route->prefix = weir_addr_any4();
    if (v4)
        rc = weir_route_add(host->stack, route);
    route->prefix = weir_addr_any6();
    if (v6 && rc == 0)
        rc = weir_route_add(host->stack, route);
    return rc;
}

int weir_host_add_route(struct weir_host *host, const char *prefix, const char *gateway,
                        int ifindex)
{
    struct weir_route route = {.ifindex = ifindex};
    bool is_default = strcmp(prefix, "default") == 0;
    int rc = is_default ? 0 : parse_prefix(prefix, &route.prefix, &route.prefix_len);
    if (rc != 0 || (gateway && !weir_addr_parse(gateway, &route.gateway)))
        return WEIR_EINVAL;
    bool v4 = !gateway || weir_addr_is_v4(&route.gateway);
    bool v6 = !gateway || !v4; /* without a gateway the default is for both families */
    if (!is_default && !(weir_addr_is_v4(&route.prefix) ? v4 : v6))
        return WEIR_EINVAL;
    wr_loop_lock(host->loop);
    if (is_default)
        rc = add_default(host, &route, v4, v6);
    else
        rc = weir_route_add(host->stack, &route);
    wr_loop_unlock(host->loop);
    return rc;
}
