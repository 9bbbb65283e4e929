/* SPDX-License-Identifier: MIT */
/* A fork in the path: packets go to the node that belongs to their destination address. */
#include <stdlib.h>

#include <weir/error.h>

#include "lab/lab_node.h"

struct route {
    struct weir_addr dst;
    struct lab_node *to;
};

struct router {
    struct lab_node node; /* first */
    struct route *routes;
    size_t n_routes;
};

static void router_forward(struct lab_node *node, struct lab_packet *packet, weir_time now)
{
    struct router *router = (struct router *)node;
    (void)now;
    for (size_t i = 0; i < router->n_routes; i++) {
        if (weir_addr_eq(&router->routes[i].dst, &packet->dst)) {
            wr_lab_pass(node->net, router->routes[i].to, packet);
            return;
        }
    }
    wr_lab_drop(node->net, packet, LAB_NO_ROUTE);
}

static weir_time router_next_run_at(const struct lab_node *node)
{
    (void)node;
    return WEIR_TIME_NEVER;
}

static void router_close(struct lab_node *node)
{
    free(((struct router *)node)->routes);
}

static const struct lab_node_ops router_ops = {
    .forward = router_forward, .next_run_at = router_next_run_at, .close = router_close};

struct lab_node *wr_lab_router_new(struct lab_net *net, const char *name)
{
    return wr_lab_node_new(net, sizeof(struct router), &router_ops, name);
}

int wr_lab_router_add(struct lab_node *node, const struct weir_addr *dst, struct lab_node *to)
{
    struct router *router = (struct router *)node;
    struct route *routes = realloc(router->routes, (router->n_routes + 1) * sizeof *routes);
    if (routes == NULL)
        return WEIR_ENOMEM;
    routes[router->n_routes++] = (struct route){*dst, to};
    router->routes = routes;
    return 0;
}
