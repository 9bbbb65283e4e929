/* SPDX-License-Identifier: MIT */
#include "drill/dr_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "wire/w_csum.h"

enum {
    START_S = 1000, /* the stack's clock when a script begins */
    FRAMES_AT_ONCE = 1 << 16,
    STEPS_AT_ONCE = 1 << 16
};

static bool add_link(struct dr_world *world, const struct dr_scene *scene)
{
    struct weir_netif_config link = {.name = "tun0",
                                     .kind = WEIR_NETIF_IP,
                                     .mtu = scene->mtu,
                                     .gso_max_bytes = scene->gso_bytes,
                                     .tx_csum = scene->gso_bytes > 0};
    world->ifindex = weir_netif_add(world->stack, &link, world->now);
    world->last_ifindex = world->ifindex;
    if (world->ifindex < 0)
        return false;
    struct weir_route route = {.prefix_len = 0, .ifindex = world->ifindex};
    route.gateway = scene->gateway;
    route.prefix = weir_addr_is_v4(&scene->gateway) ? weir_addr_any4() : weir_addr_any6();
    return weir_addr_add(world->stack, world->ifindex, &scene->local, scene->prefix_len,
                         world->now) == 0 &&
           weir_route_add(world->stack, &route) == 0;
}

bool wr_dr_world_init(struct dr_world *world, const struct dr_scene *scene)
{
    memset(world, 0, sizeof *world);
    world->tail = &world->first;
    world->local = scene->local;
    world->mtu = scene->mtu;
    world->start = START_S * WEIR_SEC;
    world->now = world->start;
    struct weir_config config;
    weir_config_default(&config);
    memset(config.seed, scene->seed, sizeof config.seed);
    world->stack = weir_stack_new(&config, world->now);
    world->table.stack = world->stack;
    if (!world->stack || !add_link(world, scene)) {
        world->broken = "the stack could not be set up with these addresses and this MTU";
        return false;
    }
    wr_dr_world_collect(world);
    return true;
}

void wr_dr_world_fini(struct dr_world *world)
{
    for (struct dr_sent *sent; (sent = wr_dr_world_take(world)) != NULL;)
        free(sent);
    if (!world->stack)
        return;
    wr_dr_table_fini(&world->table, world->now);
    weir_stack_free(world->stack);
}

struct dr_sent *wr_dr_world_take(struct dr_world *world)
{
    struct dr_sent *sent = world->first;
    if (!sent)
        return NULL;
    world->first = sent->next;
    if (!world->first)
        world->tail = &world->first;
    return sent;
}

/* What a link with checksum offload does: the field holds the sum of the pseudo-header already. */
static void finish_checksum(struct dr_sent *sent, const struct weir_out *out)
{
    if (out->csum_start + out->csum_offset + 2u > sent->len)
        return;
    uint8_t *start = sent->data + out->csum_start;
    put_be16(start + out->csum_offset, wr_csum(start, sent->len - out->csum_start));
}

/* Copies what weir_output() lent; false when there was nothing. */
static bool collect_one(struct dr_world *world, int ifindex)
{
    uint8_t head[WEIR_HEAD_MAX];
    struct weir_out out = {.head = head};
    size_t len = weir_output(world->stack, ifindex, &out, world->now);
    if (len == 0)
        return false;
    struct dr_sent *sent = malloc(sizeof *sent + len);
    if (!sent) {
        fputs("drill: out of memory\n", stderr);
        exit(2);
    }
    sent->next = NULL;
    sent->at = world->now;
    sent->ifindex = ifindex;
    sent->gso_size = out.gso_size;
    sent->len = out.head_len;
    memcpy(sent->data, head, out.head_len);
    for (unsigned i = 0; i < out.n_spans; i++) {
        memcpy(sent->data + sent->len, out.span[i].ptr, out.span[i].len);
        sent->len += out.span[i].len;
    }
    if (out.csum_partial)
        finish_checksum(sent, &out);
    if (sent->len != len)
        world->broken = "weir_output() gave a length that is not the sum of its parts";
    *world->tail = sent;
    world->tail = &sent->next;
    return true;
}

void wr_dr_world_collect(struct dr_world *world)
{
    unsigned frames = 0;
    for (int i = world->ifindex; i <= world->last_ifindex; i++)
        while (!world->broken && collect_one(world, i))
            if (++frames > FRAMES_AT_ONCE)
                world->broken = "the stack sends without end at one moment";
    wr_dr_table_events(&world->table);
}

void wr_dr_world_input(struct dr_world *world, int ifindex, const uint8_t *packet, size_t len)
{
    struct weir_frame frame = {.data = packet, .len = len};
    if (weir_input(world->stack, ifindex, &frame, world->now) != 0)
        world->broken = "weir_input() refused the frame";
}

void wr_dr_world_step(struct dr_world *world, weir_time limit)
{
    weir_time due = weir_deadline(world->stack);
    world->now = due < limit ? (due > world->now ? due : world->now) : limit;
    for (unsigned n = 0; !world->broken; n++) {
        weir_advance(world->stack, world->now);
        wr_dr_world_collect(world);
        if (weir_deadline(world->stack) > world->now)
            break;
        if (n == STEPS_AT_ONCE)
            world->broken = "the stack's deadline stays in the past";
    }
}
