/* SPDX-License-Identifier: MIT */
/* A program of somebody else's: both libraries, public headers alone. Compiled as C11 and as C++. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <weir/cc.h>
#include <weir/host.h>
#include <weir/info.h>
#include <weir/weir.h>

#undef NDEBUG
#include <assert.h>

static void use_core(void)
{
    struct weir_config config;
    struct weir_stack *stack;
    weir_sock sock;

    weir_config_default(&config);
    stack = weir_stack_new(&config, 0);
    assert(stack);
    assert(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &sock) == 0);
    assert(weir_sock_close(stack, sock, 1) == 0);
    assert(weir_sock_close(stack, sock, 2) == WEIR_EBADF);
    assert(strcmp(weir_error_name(WEIR_EBADF), "EBADF") == 0);
    weir_stack_free(stack);
}

/* ---- a congestion control algorithm of its own ------------------------------------------------------ */

static unsigned demo_acks, demo_losses;

static void demo_init(struct weir_cc *cc, weir_time now)
{
    (void)now;
    cc->priv[0] = 0;
}

/* One segment more for each window acknowledged. */
static void demo_on_ack(struct weir_cc *cc, const struct weir_cc_ack *ack, weir_time now)
{
    (void)now;
    demo_acks++;
    if (!ack->cwnd_limited)
        return;
    cc->priv[0] += ack->acked_bytes;
    if (cc->priv[0] >= cc->cwnd) {
        cc->priv[0] -= cc->cwnd;
        cc->cwnd += cc->smss;
    }
}

static void demo_halve(struct weir_cc *cc)
{
    demo_losses++;
    cc->ssthresh = cc->cwnd / 2 > 2 * cc->smss ? cc->cwnd / 2 : 2 * cc->smss;
}

static void demo_on_congestion(struct weir_cc *cc, uint32_t in_flight, bool by_ecn, weir_time now)
{
    (void)in_flight;
    (void)by_ecn;
    (void)now;
    demo_halve(cc);
    cc->cwnd = cc->ssthresh;
}

static void demo_on_rto(struct weir_cc *cc, uint32_t in_flight, weir_time now)
{
    (void)in_flight;
    (void)now;
    demo_halve(cc);
}

static struct weir_cc_ops demo_ops(void)
{
    struct weir_cc_ops ops;
    memset(&ops, 0, sizeof ops);
    ops.name = "aimd-demo";
    ops.init = demo_init;
    ops.on_ack = demo_on_ack;
    ops.on_congestion = demo_on_congestion;
    ops.on_rto = demo_on_rto;
    return ops;
}

static weir_sock tcp_socket(struct weir_stack *stack)
{
    weir_sock sock;
    assert(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &sock) == 0);
    return sock;
}

static void let_pass(struct weir_stack *stack, weir_time *now, weir_time span)
{
    weir_time end = *now + span;
    while (weir_deadline(stack) <= end) {
        if (weir_deadline(stack) > *now)
            *now = weir_deadline(stack);
        weir_advance(stack, *now);
    }
    *now = end;
}

/* The name that getsockopt tells of a socket. */
static int is_chosen(struct weir_stack *stack, weir_sock sock, const char *name)
{
    char chosen[WEIR_CC_NAME_MAX] = "";
    size_t len = sizeof chosen;
    assert(weir_sock_getsockopt(stack, sock, WEIR_SOL_TCP, WEIR_TCP_CONGESTION, chosen, &len, 1) ==
           0);
    return strcmp(chosen, name) == 0;
}

/* 50 KB over the loopback interface. */
static void carry(struct weir_stack *stack, weir_sock client, weir_time *now)
{
    static char data[50000], got[50000];
    static uint16_t port = 7777;
    struct weir_endpoint here;
    weir_sock listener = tcp_socket(stack), server;
    size_t n = 0;
    ptrdiff_t some;

    memset(&here, 0, sizeof here);
    here.addr = weir_addr_v4(0x7f000001);
    here.port = port++; /* the last one is in TIME-WAIT */
    memset(data, 'x', sizeof data);
    assert(weir_sock_bind(stack, listener, &here) == 0);
    assert(weir_sock_listen(stack, listener, 1, *now) == 0);
    assert(weir_sock_connect(stack, client, &here, *now) == WEIR_EINPROGRESS);
    let_pass(stack, now, WEIR_SEC);
    assert(weir_sock_accept(stack, listener, &server, NULL, *now) == 0);
    for (size_t sent = 0; n < sizeof data;) {
        if (sent < sizeof data) {
            some = weir_sock_send(stack, client, data + sent, sizeof data - sent, 0, NULL, *now);
            if (some > 0)
                sent += (size_t)some;
        }
        let_pass(stack, now, 100 * WEIR_MS);
        while ((some = weir_sock_recv(stack, server, got, sizeof got, 0, NULL, *now)) > 0)
            n += (size_t)some;
    }
    assert(n == sizeof data);
    weir_sock_close(stack, server, *now);
    weir_sock_close(stack, listener, *now);
}

static void use_congestion_control(void)
{
    static struct weir_cc_ops ops, nameless;
    struct weir_config config;
    struct weir_stack *stack;
    weir_sock asked, by_default;
    weir_time now = WEIR_SEC;
    char names[256];

    weir_config_default(&config);
    stack = weir_stack_new(&config, now);
    assert(stack);
    ops = demo_ops();
    nameless = ops;
    nameless.name = "";
    assert(weir_cc_register(stack, &nameless) == WEIR_EINVAL);
    assert(weir_cc_register(stack, &ops) == 0);
    assert(weir_cc_register(stack, &ops) == WEIR_EEXIST);
    weir_sysctl_read(stack, "net.ipv4.tcp_available_congestion_control", names, sizeof names);
    assert(strstr(names, "aimd-demo"));

    asked = tcp_socket(stack);
    assert(is_chosen(stack, asked, "cubic"));
    assert(weir_sock_setsockopt(stack, asked, WEIR_SOL_TCP, WEIR_TCP_CONGESTION, "aimd-demo", 9,
                                now) == 0);
    assert(is_chosen(stack, asked, "aimd-demo"));
    carry(stack, asked, &now);
    assert(demo_acks > 0 && demo_losses == 0);

    assert(weir_sysctl_write(stack, "net.ipv4.tcp_congestion_control", "aimd-demo") == 0);
    by_default = tcp_socket(stack);
    assert(is_chosen(stack, by_default, "aimd-demo"));
    demo_acks = 0;
    carry(stack, by_default, &now);
    assert(demo_acks > 0);
    weir_stack_free(stack);
}

static void use_host(void)
{
    struct weir_loop *loop;
    struct weir_host *host;
    int fd;

    assert(weir_loop_new(&loop) == 0);
    assert(weir_host_new(loop, NULL, &host) == 0);
    fd = weir_socket(host, AF_INET, SOCK_STREAM, 0);
    assert(fd >= 0);
    assert(weir_close(host, fd) == 0);
    assert(weir_close(host, fd) == -1 && errno == EBADF);
    weir_host_free(host);
    assert(weir_loop_free(loop) == 0);
}

int main(void)
{
    use_core();
    use_congestion_control();
    use_host();
    puts("consumer works");
    return 0;
}
