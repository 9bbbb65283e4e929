/* SPDX-License-Identifier: MIT */
/* What the application and the administrator of fuzz_host.c do: socket calls, changes of interfaces. */
#include "fuzz/host_world.h"

static struct weir_endpoint choose_endpoint(struct input *in)
{
    static const char *const where[] = {"10.0.0.2", "fd00::2",   "127.0.0.1", "::1",
                                        "10.1.0.2", "0.0.0.0",   "::",        "10.0.0.1",
                                        "fe80::2",  "10.0.0.255"};
    static const uint16_t ports[] = {80, 53, 81, 0, 7000, 32768};
    struct weir_endpoint e = {addr(where[take8(in) % 10]), ports[take8(in) % 6]};
    return e;
}

static void sock_option(struct world *w, struct input *in, weir_sock sock)
{
    static const int levels[] = {WEIR_SOL_SOCKET, WEIR_SOL_TCP, WEIR_SOL_IP, WEIR_SOL_IPV6};
    uint8_t how = take8(in);
    int option = take8(in) % 64, value = (int)take32(in);
    uint8_t buf[512];
    size_t len = take8(in);
    if (how & 0x80)
        value &= 0xff;
    if (how & 0x40)
        (void)weir_sock_setsockopt(w->stack, sock, levels[how & 3], option, &value, sizeof value,
                                   w->now);
    else
        (void)weir_sock_getsockopt(w->stack, sock, levels[how & 3], option, buf, &len, w->now);
}

static void sock_data(struct world *w, struct input *in, weir_sock sock, uint8_t what)
{
    static uint8_t buf[66000];
    struct weir_endpoint to = choose_endpoint(in);
    struct weir_span span[2];
    size_t len = take16(in);
    int flags = take8(in);
    switch (what) {
    case 0:
        (void)weir_sock_send(w->stack, sock, buf, len, flags & 0x8041, NULL, w->now);
        break;
    case 1:
        (void)weir_sock_send(w->stack, sock, buf, len, 0, &to, w->now);
        break;
    case 2:
        (void)weir_sock_recv(w->stack, sock, buf, len, flags & 0x23, &to, w->now);
        break;
    default: {
        ptrdiff_t n = weir_sock_peek(w->stack, sock, span, w->now);
        if (n > 0) {
            must(span[0].len + span[1].len == (size_t)n || span[0].len == (size_t)n,
                 "what peek lends is what it says");
            (void)weir_sock_consume(w->stack, sock, len % ((size_t)n + 1), w->now);
        }
        break;
    }
    }
}

void sock_table(struct world *w)
{
    struct weir_sock_row row;
    uint64_t cursor = 0;
    for (unsigned i = 0; weir_sock_next_row(w->stack, &cursor, &row); i++)
        must(i < 100000, "the table of sockets has an end");
}

void op_sock(struct world *w, struct input *in)
{
    uint8_t what = take8(in), which = take8(in);
    weir_sock *slot = &w->socks[which % SOCKS], got;
    struct weir_endpoint e;
    switch (what % 16) {
    case 0:
        if (*slot != 0)
            (void)weir_sock_close(w->stack, *slot, w->now);
        *slot = 0;
        if (weir_sock_open(w->stack, what & 0x10 ? WEIR_AF_INET6 : WEIR_AF_INET,
                           what & 0x20 ? WEIR_SOCK_DGRAM : WEIR_SOCK_STREAM, 0, &got) == 0)
            *slot = got;
        break;
    case 1:
        e = choose_endpoint(in);
        (void)weir_sock_bind(w->stack, *slot, &e);
        break;
    case 2:
        (void)weir_sock_listen(w->stack, *slot, take8(in) % 5, w->now);
        break;
    case 3:
        e = choose_endpoint(in);
        (void)weir_sock_connect(w->stack, *slot, what & 0x80 ? NULL : &e, w->now);
        break;
    case 4: {
        weir_sock *room = &w->socks[take8(in) % SOCKS];
        if (weir_sock_accept(w->stack, *slot, &got, &e, w->now) == 0) {
            if (*room != 0 && room != slot)
                (void)weir_sock_close(w->stack, *room, w->now);
            if (room == slot)
                (void)weir_sock_close(w->stack, got, w->now);
            else
                *room = got;
        }
        break;
    }
    case 5:
    case 6:
    case 7:
    case 8:
        sock_data(w, in, *slot, what % 16 - 5);
        break;
    case 9:
        (void)weir_sock_shutdown(w->stack, *slot, what >> 4, w->now);
        break;
    case 10:
        (void)weir_sock_close(w->stack, *slot, w->now); /* the handle stays: stale from now on */
        break;
    case 11:
        sock_option(w, in, *slot);
        break;
    case 12:
        (void)weir_sock_abort(w->stack, *slot, w->now);
        break;
    case 13:
        (void)weir_sock_getsockname(w->stack, *slot, &e);
        (void)weir_sock_getpeername(w->stack, *slot, &e);
        (void)weir_sock_inq(w->stack, *slot);
        (void)weir_sock_outq(w->stack, *slot);
        (void)weir_sock_atmark(w->stack, *slot);
        break;
    case 14:
        sock_table(w);
        break;
    default:
        (void)weir_sock_ready(w->stack, (weir_sock)take32(in) << 32 | take32(in));
        break;
    }
}

void op_config(struct world *w, struct input *in)
{
    uint8_t what = take8(in), how = take8(in);
    int ifindex = how & 1 ? w->ether : w->tun;
    struct weir_addr a = how & 2 ? choose_us(how >> 4) : choose_peer(how >> 4, how & 4);
    struct weir_route route = {.prefix = a,
                               .prefix_len = take8(in) % 33,
                               .gateway = choose_peer(how >> 2, weir_addr_is_v4(&a)),
                               .ifindex = ifindex,
                               .metric = how & 3};
    switch (what % 8) {
    case 0:
        (void)weir_netif_set_up(w->stack, ifindex, how & 8, w->now);
        break;
    case 1:
        (void)weir_netif_set_mtu(w->stack, ifindex, 68 + take16(in) % 8900, w->now);
        break;
    case 2:
        (void)weir_addr_add(w->stack, ifindex, &a, 24, w->now);
        break;
    case 3:
        (void)weir_addr_remove(w->stack, ifindex, &a, w->now);
        break;
    case 4:
        (void)weir_route_add(w->stack, &route);
        break;
    case 5:
        (void)weir_route_remove(w->stack, &route);
        break;
    case 6: {
        const char *name = weir_sysctl_name(how);
        int64_t value;
        if (name && weir_sysctl_get(w->stack, name, &value) == 0) {
            (void)weir_sysctl_set(w->stack, name, how & 1 ? take8(in) : take32(in));
        } else if (name) {
            char text[16] = "";
            for (unsigned i = 0; i + 1 < sizeof text && i < how % sizeof text; i++)
                text[i] = (char)take8(in);
            (void)weir_sysctl_write(w->stack, name, text);
            (void)weir_sysctl_read(w->stack, name, text, sizeof text);
        }
        break;
    }
    default:
        w->answers = how & 1;
        if (how & 8)
            (void)weir_netif_remove(w->stack, ifindex, w->now);
        break;
    }
}
