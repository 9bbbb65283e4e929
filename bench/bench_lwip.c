/* SPDX-License-Identifier: MIT */
/*
 * lwIP under the in-process loads, where Debian's liblwip-dev is installed: two interfaces of one stack in one
 * thread, each other's peer, raw API, MSS 1460, checksums computed and verified, as the package configures it
 * (window of 64 KB, no super-segments). What bench_pipe does with Weir.
 *
 *     bench_lwip bulk|rr|crr SECONDS
 *
 * The programs react in their callbacks, so that here too an answer carries the ACK: seven packets for a connection.
 * Client and server are bound to an interface each, so that what they say leaves by it, is copied as by a link,
 * and comes in by the other. Timers run as lwIP wants them.
 */
#include <stdbool.h>
#include <string.h>

#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>

#include "bench.h"

enum { QUEUE = 1024 };

enum mode { BULK, ROUND_TRIPS, CONNECTIONS };

struct end {
    struct tcp_pcb *pcb; /* NULL once it is closed */
    uint64_t received;
    bool connected;
};

static struct netif wires[2]; /* the client's, the server's */
static struct pbuf *queue[2][QUEUE];
static unsigned head[2], tail[2];
static struct end client, server;
static enum mode mode;
static char buffer[CHUNK_BYTES];

static void check(err_t result, const char *what)
{
    if (result != ERR_OK)
        die("%s: %d", what, (int)result);
}

/* ---- the wire ---------------------------------------------------------------------------------- */

static err_t wire_out(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    unsigned side = netif == &wires[0] ? 0 : 1;
    struct pbuf *copy = pbuf_clone(PBUF_RAW, PBUF_RAM, p);

    (void)to;
    if (!copy || tail[side] - head[side] == QUEUE) {
        if (copy)
            (void)pbuf_free(copy);
        return ERR_MEM;
    }
    queue[side][tail[side]++ % QUEUE] = copy;
    return ERR_OK;
}

static err_t wire_init(struct netif *netif)
{
    netif->name[0] = 'w';
    netif->name[1] = 'b';
    netif->mtu = 1500;
    netif->output = wire_out;
    return ERR_OK;
}

/* What was said arrives, until nobody answers. */
static void turn(void)
{
    while (head[0] != tail[0] || head[1] != tail[1])
        for (unsigned side = 0; side < 2; side++)
            while (head[side] != tail[side])
                (void)ip_input(queue[side][head[side]++ % QUEUE], &wires[1 - side]);
}

/* ---- the programs: they react in their callbacks, before the ACK has left ------------------------- */

static void close_end(struct end *end, struct tcp_pcb *pcb)
{
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_err(pcb, NULL);
    check(tcp_close(pcb), "close");
    end->pcb = NULL;
}

static void send_byte(struct tcp_pcb *pcb)
{
    check(tcp_write(pcb, "x", 1, TCP_WRITE_FLAG_COPY), "write");
}

/* The server answers each byte; a client of short connections closes when it has its answer. */
static void react(struct end *end, struct tcp_pcb *pcb)
{
    if (mode == BULK)
        return;
    if (end == &server)
        send_byte(pcb);
    else if (mode == CONNECTIONS)
        close_end(end, pcb);
}

static err_t on_data(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct end *end = arg;

    if (err != ERR_OK)
        return err;
    if (!p) {
        close_end(end, pcb);
        return ERR_OK;
    }
    (void)pbuf_copy_partial(p, buffer, p->tot_len, 0); /* the program's copy */
    end->received += p->tot_len;
    tcp_recved(pcb, p->tot_len);
    (void)pbuf_free(p);
    react(end, pcb);
    return ERR_OK;
}

static void on_error(void *arg, err_t err)
{
    (void)arg;
    die("a connection broke: %d", (int)err);
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    ((struct end *)arg)->connected = err == ERR_OK;
    if (err == ERR_OK && mode == CONNECTIONS)
        send_byte(pcb);
    return err;
}

static void open_end(struct end *end, struct tcp_pcb *pcb)
{
    *end = (struct end){.pcb = pcb};
    tcp_arg(pcb, end);
    tcp_recv(pcb, on_data);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb);
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    (void)arg;
    if (err == ERR_OK)
        open_end(&server, pcb);
    return err;
}

/* ---- connections ------------------------------------------------------------------------------- */

static void set_up(void)
{
    struct tcp_pcb *pcb = tcp_new();

    for (int i = 0; i < 2; i++) {
        ip4_addr_t addr, mask, none = {0};

        IP4_ADDR(&addr, 10, 1 + i, 0, 1);
        IP4_ADDR(&mask, 255, 255, 255, 0);
        if (!netif_add(&wires[i], &addr, &mask, &none, NULL, wire_init, ip_input))
            die("netif_add");
        netif_set_up(&wires[i]);
        netif_set_link_up(&wires[i]);
    }
    check(tcp_bind(pcb, IP_ANY_TYPE, PORT_SINK), "bind");
    tcp_bind_netif(pcb, &wires[1]);
    pcb = tcp_listen_with_backlog(pcb, 255);
    if (!pcb)
        die("listen");
    tcp_accept(pcb, on_accept);
}

static void connect_pair(void)
{
    struct tcp_pcb *pcb = tcp_new();

    if (!pcb)
        die("out of memory");
    open_end(&client, pcb);
    server = (struct end){0};
    tcp_bind_netif(pcb, &wires[0]);
    check(tcp_connect(pcb, netif_ip_addr4(&wires[1]), PORT_SINK, on_connected), "connect");
    turn();
    if (!client.connected)
        die("not connected");
}

static uint64_t bulk(double end)
{
    while (wall_seconds() < end) {
        u16_t room = tcp_sndbuf(client.pcb);

        sys_check_timeouts();
        if (room && tcp_sndqueuelen(client.pcb) < TCP_SND_QUEUELEN)
            (void)tcp_write(client.pcb, buffer, room, TCP_WRITE_FLAG_COPY);
        check(tcp_output(client.pcb), "output");
        turn();
    }
    return server.received;
}

static uint64_t round_trips(double end)
{
    uint64_t trips = 0;

    for (; wall_seconds() < end; trips++) {
        sys_check_timeouts();
        send_byte(client.pcb);
        check(tcp_output(client.pcb), "output");
        turn();
        if (client.received != trips + 1)
            die("a byte was lost");
    }
    return trips;
}

/* What is in TIME-WAIT is ended at once, as lwIP does when it has no control block left: else the list that it
 * searches for each segment would be what is measured. */
static uint64_t connections(double end)
{
    uint64_t done = 0;

    for (; wall_seconds() < end; done++) {
        sys_check_timeouts();
        connect_pair();
        if (client.received != 1 || client.pcb || server.pcb)
            die("a connection did not end");
        while (tcp_tw_pcbs)
            tcp_abort(tcp_tw_pcbs);
    }
    return done;
}

static enum mode mode_of(const char *name)
{
    static const char *const names[] = {"bulk", "rr", "crr"};

    for (unsigned i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum mode)i;
    die("usage: bench_lwip bulk|rr|crr SECONDS");
}

int main(int argc, char **argv)
{
    struct measure m;
    double end;

    mode = mode_of(argc == 3 ? argv[1] : "");
    lwip_init();
    set_up();
    if (mode != CONNECTIONS)
        connect_pair();
    m = measure_start();
    end = wall_seconds() + atof(argv[2]);
    if (mode == BULK)
        measure_stop(&m, bulk(end));
    else if (mode == ROUND_TRIPS)
        measure_stop(&m, round_trips(end));
    else
        measure_stop(&m, connections(end));
    return 0;
}
