/* SPDX-License-Identifier: MIT */
/*
 * An Ethernet switch: a frame goes to the port behind which its destination was last seen as a
 * source, and to all other ports when that is not known or is a group address.
 *
 * The table of addresses has 256 rows of 4 entries, the row chosen by a hash of the address; a new
 * address takes the place of the row's oldest, so that forged sources cost nothing but flooding. A
 * port's queue is bounded and full ones lose frames, as a switch's do. One thread drives all ports.
 */
#include <stdlib.h>
#include <string.h>

#include "link/frame_queue.h"
#include "link/link_wire.h"

enum { ROWS = 256, WAYS = 4, PORT_FRAMES = 1024, DEFAULT_MTU = 1500 };

struct port {
    struct weir_link link;
    struct weir_switch *sw;
    struct port *next;
    struct wr_frame_queue queue; /* on its way to this port's host */
};

struct entry {
    uint8_t mac[6];
    struct port *port; /* NULL: free */
    uint64_t seen;     /* the switch's frame count then */
};

struct weir_switch {
    struct port *ports;
    uint64_t frames;
    struct entry table[ROWS][WAYS];
};

static struct entry *row_of(struct weir_switch *sw, const uint8_t *mac)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (unsigned i = 0; i < 6; i++)
        h = (h ^ mac[i]) * 16777619u;
    return sw->table[(h ^ h >> 16) % ROWS];
}

static struct port *find(struct weir_switch *sw, const uint8_t *mac)
{
    struct entry *row = row_of(sw, mac);
    for (unsigned i = 0; i < WAYS; i++)
        if (row[i].port && memcmp(row[i].mac, mac, 6) == 0)
            return row[i].port;
    return NULL;
}

static void learn(struct weir_switch *sw, const uint8_t *mac, struct port *port)
{
    struct entry *row = row_of(sw, mac), *pick = &row[0];
    if (mac[0] & 1)
        return; /* a group address is no source */
    for (unsigned i = 0; i < WAYS; i++) {
        if (row[i].port && memcmp(row[i].mac, mac, 6) == 0) {
            pick = &row[i];
            break;
        }
        if (!row[i].port || (pick->port && row[i].seen < pick->seen))
            pick = &row[i];
    }
    memcpy(pick->mac, mac, 6);
    pick->port = port;
    pick->seen = sw->frames;
}

static void deliver(struct port *to, const uint8_t *frame, size_t len, weir_time now)
{
    bool full;
    if (len - WR_ETH_HEAD > to->link.netif.mtu)
        return; /* the port's wire cannot carry it */
    struct wr_frame_buf *buf = wr_frame_queue_put(&to->queue, len, now, &full);
    if (buf)
        memcpy(buf->data, frame, len);
}

struct forward {
    struct port *from;
    weir_time now;
};

static int forward(void *arg, const uint8_t *frame, size_t len)
{
    const struct forward *fwd = arg;
    struct weir_switch *sw = fwd->from->sw;
    if (len < WR_ETH_HEAD)
        return 0;
    sw->frames++;
    learn(sw, frame + 6, fwd->from);
    struct port *to = frame[0] & 1 ? NULL : find(sw, frame);
    if (to && to != fwd->from)
        deliver(to, frame, len, fwd->now);
    for (struct port *p = sw->ports; p && !to; p = p->next)
        if (p != fwd->from)
            deliver(p, frame, len, fwd->now);
    return 0;
}

static int port_send(struct weir_link *link, const struct weir_out *out, weir_time now)
{
    struct forward fwd = {(struct port *)link, now};
    return weir_out_segment(out, WEIR_NETIF_ETHERNET, forward, &fwd);
}

static int port_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    struct wr_frame_buf *buf = wr_frame_queue_get(&((struct port *)link)->queue);
    (void)now;
    if (!buf)
        return 0;
    *frame = (struct weir_frame){.data = buf->data, .len = buf->len};
    return 1;
}

static weir_time port_deadline(const struct weir_link *link)
{
    return wr_frame_queue_oldest(&((const struct port *)link)->queue);
}

static int port_fd(const struct weir_link *link)
{
    (void)link;
    return -1;
}

static void port_free(struct weir_link *link)
{
    struct port *port = (struct port *)link;
    struct weir_switch *sw = port->sw;
    for (struct port **at = &sw->ports; *at; at = &(*at)->next)
        if (*at == port) {
            *at = port->next;
            break;
        }
    for (unsigned i = 0; i < ROWS * WAYS; i++) {
        struct entry *entry = &sw->table[i / WAYS][i % WAYS];
        if (entry->port == port)
            *entry = (struct entry){0};
    }
    wr_frame_queue_fini(&port->queue);
    free(port);
}

static const struct weir_link_ops port_ops = {
    .send = port_send,
    .recv = port_recv,
    .deadline = port_deadline,
    .fd = port_fd,
    .free = port_free,
};

int weir_switch_new(struct weir_switch **sw)
{
    *sw = calloc(1, sizeof **sw);
    return *sw ? 0 : WEIR_ENOMEM;
}

int weir_switch_port(struct weir_switch *sw, const uint8_t mac[6], uint32_t mtu,
                     struct weir_link **link)
{
    struct port *port = calloc(1, sizeof *port);
    if (!port)
        return WEIR_ENOMEM;
    wr_frame_queue_init(&port->queue, PORT_FRAMES);
    struct weir_netif_config *netif = &port->link.netif;
    port->link.ops = &port_ops;
    port->sw = sw;
    memcpy(netif->name, "eth0", sizeof "eth0");
    netif->kind = WEIR_NETIF_ETHERNET;
    netif->mtu = mtu ? mtu : DEFAULT_MTU;
    memcpy(netif->mac, mac, 6);
    struct port **at = &sw->ports;
    while (*at)
        at = &(*at)->next;
    *at = port;
    *link = &port->link;
    return 0;
}

void weir_switch_free(struct weir_switch *sw)
{
    free(sw);
}
