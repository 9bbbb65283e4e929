/* SPDX-License-Identifier: MIT */
/*
 * Two hosts in one process and no time but the program's own: A sends B a megabyte over a wire that is made worse
 * as you like. It takes as long as it takes to compute, and each run says the same, to the nanosecond:
 *
 *     ./two_stacks "delay=20ms rate=10mbit loss=1% seed=7"
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/link.h>
#include <weir/weir.h>

enum { BYTES = 1000000, PORT = 9 };

struct host {
    struct weir_stack *stack;
    struct weir_link *link;
    int ifindex;
    weir_sock sock;
};

static int check(const char *what, int rc)
{
    if (rc >= 0)
        return rc;
    fprintf(stderr, "two_stacks: %s: %s\n", what, weir_error_text(rc));
    exit(1);
}

static void host_open(struct host *host, struct weir_link *link, const char *text, uint8_t seed)
{
    struct weir_config config;
    struct weir_addr addr;
    weir_config_default(&config);
    config.seed[0] = seed; /* a real host takes 32 bytes that nobody can guess */
    host->link = link;
    host->stack = weir_stack_new(&config, 0);
    if (!host->stack || !weir_addr_parse(text, &addr))
        check(text, WEIR_ENOMEM);
    host->ifindex = check("interface", weir_netif_add(host->stack, &link->netif, 0));
    check("address", weir_addr_add(host->stack, host->ifindex, &addr, 24, 0));
    check("socket", weir_sock_open(host->stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &host->sock));
}

/* What has arrived by now goes into the stack, and its timers run. */
static void take_in(struct host *host, weir_time now)
{
    struct weir_frame frame;
    while (host->link->ops->recv(host->link, &frame, now) > 0)
        weir_input(host->stack, host->ifindex, &frame, now);
    weir_advance(host->stack, now);
}

/* What the stack wants to send goes onto the wire. */
static void give_out(struct host *host, weir_time now)
{
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    while (weir_output(host->stack, host->ifindex, &out, now) > 0)
        host->link->ops->send(host->link, &out, now); /* an error loses the frame: TCP sees to it */
    if (host->link->ops->flush) /* a pipe keeps nothing back; a TUN device does */
        host->link->ops->flush(host->link, now);
}

/* As much of the megabyte as the send buffer takes now; after the last of it, FIN. */
static void feed(struct host *host, size_t *sent, weir_time now)
{
    static const char block[BYTES];
    if (*sent == BYTES)
        return;
    ptrdiff_t n = weir_sock_send(host->stack, host->sock, block, BYTES - *sent, 0, NULL, now);
    check("send", n == WEIR_EAGAIN ? 0 : (int)n);
    *sent += n > 0 ? (size_t)n : 0;
    if (*sent == BYTES)
        check("shutdown", weir_sock_shutdown(host->stack, host->sock, WEIR_SHUT_WR, now));
}

/* Takes what has come. False at the end of the stream. */
static bool drain(struct host *host, weir_sock *conn, size_t *got, weir_time now)
{
    char buf[65536];
    ptrdiff_t n;
    if (*conn == 0 && weir_sock_accept(host->stack, host->sock, conn, NULL, now) != 0)
        return true; /* not yet */
    while ((n = weir_sock_recv(host->stack, *conn, buf, sizeof buf, 0, NULL, now)) > 0)
        *got += (size_t)n;
    check("recv", n == WEIR_EAGAIN ? 0 : (int)n);
    return n != 0;
}

/* When something happens next: a timer of a stack, or a frame's arrival. */
static weir_time next_time(const struct host host[2])
{
    weir_time at = WEIR_TIME_NEVER;
    for (unsigned i = 0; i < 2; i++) {
        at = weir_time_min(at, weir_deadline(host[i].stack));
        at = weir_time_min(at, host[i].link->ops->deadline(host[i].link));
    }
    return at;
}

int main(int argc, char **argv)
{
    struct weir_pipe_config wire = {.kind = WEIR_NETIF_IP};
    struct weir_impair_config impair = {0};
    struct weir_endpoint b = {.port = PORT};
    struct weir_link *ends[2], *link;
    struct host host[2];
    size_t sent = 0, got = 0;
    weir_sock conn = 0;
    weir_time now = 0;
    const char *bad;

    if (argc > 2 || weir_impair_parse(argc > 1 ? argv[1] : "delay=20ms", &impair, &bad) != 0) {
        fprintf(stderr, "usage: two_stacks [\"delay=TIME rate=N loss=N%% seed=N ...\"]\n");
        return 2;
    }
    check("wire", weir_link_pipe(&wire, ends));
    check("wire", weir_link_impair(ends[0], &impair, WEIR_IMPAIR_BOTH, &link));
    host_open(&host[0], link, "10.0.0.1", 1);
    host_open(&host[1], ends[1], "10.0.0.2", 2);
    weir_addr_parse("10.0.0.2", &b.addr);
    check("bind", weir_sock_bind(host[1].stack, host[1].sock, &b));
    check("listen", weir_sock_listen(host[1].stack, host[1].sock, 1, now));
    int rc = weir_sock_connect(host[0].stack, host[0].sock, &b, now);
    check("connect", rc == WEIR_EINPROGRESS ? 0 : rc);
    for (;; now = next_time(host)) {
        for (unsigned i = 0; i < 2; i++)
            take_in(&host[i], now);
        feed(&host[0], &sent, now);
        if (!drain(&host[1], &conn, &got, now))
            break;
        for (unsigned i = 0; i < 2; i++)
            give_out(&host[i], now);
    }
    printf("%zu bytes in %.9f s\n", got, (double)now / (double)WEIR_SEC);
    for (unsigned i = 0; i < 2; i++) {
        weir_stack_free(host[i].stack);
        weir_link_free(host[i].link);
    }
    return got == BYTES ? 0 : 1;
}
