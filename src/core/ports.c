/* SPDX-License-Identifier: MIT */
/*
 * Local TCP ports held by connections and TIME-WAIT records: three counters a port, in pages of 256
 * ports that exist while one of theirs is held. bind() asks here in O(1) what would otherwise be a
 * search through all connections.
 */
#include "core/core.h"

enum { PAGE = 256, N_PAGES = 65536 / PAGE };

struct port_count {
    uint32_t all;
    uint32_t no_reuseaddr, no_reuseport; /* of them, those without the option */
};

struct port_page {
    uint32_t held; /* sum of all[] */
    struct port_count port[PAGE];
};

struct wr_ports {
    struct port_page *page[N_PAGES];
};

int wr_ports_init(struct weir_stack *stack)
{
    stack->ports = wr_zalloc(stack, sizeof *stack->ports);
    return stack->ports != NULL ? 0 : WEIR_ENOMEM;
}

void wr_ports_fini(struct weir_stack *stack)
{
    for (size_t i = 0; i < N_PAGES; i++)
        wr_free(stack, stack->ports->page[i], sizeof(struct port_page));
    wr_free(stack, stack->ports, sizeof *stack->ports);
    stack->ports = NULL;
}

static void count(struct port_count *port, unsigned reuse, uint32_t step)
{
    port->all += step;
    if ((reuse & WR_PORT_REUSEADDR) == 0)
        port->no_reuseaddr += step;
    if ((reuse & WR_PORT_REUSEPORT) == 0)
        port->no_reuseport += step;
}

bool wr_port_hold(struct weir_stack *stack, uint16_t port, unsigned reuse)
{
    struct port_page **page = &stack->ports->page[port / PAGE];
    if (*page == NULL) {
        *page = wr_zalloc(stack, sizeof **page);
        if (*page == NULL)
            return false;
    }
    (*page)->held++;
    count(&(*page)->port[port % PAGE], reuse, 1);
    return true;
}

void wr_port_release(struct weir_stack *stack, uint16_t port, unsigned reuse)
{
    struct port_page **page = &stack->ports->page[port / PAGE];
    count(&(*page)->port[port % PAGE], reuse, UINT32_MAX); /* one less */
    if (--(*page)->held == 0) {
        wr_free(stack, *page, sizeof **page);
        *page = NULL;
    }
}

uint32_t wr_port_holders(const struct weir_stack *stack, uint16_t port, unsigned reuse)
{
    const struct port_page *page = stack->ports->page[port / PAGE];
    if (page == NULL)
        return 0;
    const struct port_count *held = &page->port[port % PAGE];
    return reuse == 0                   ? held->all
           : reuse == WR_PORT_REUSEADDR ? held->no_reuseaddr
                                        : held->no_reuseport;
}
