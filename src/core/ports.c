/* SPDX-License-Identifier: MIT */
/*
 * Local TCP ports held by connections and TIME-WAIT records: two counters a port, in pages of 256
 * ports that exist while one of theirs is held. bind() asks here in O(1) what would otherwise be a
 * search through all connections.
 */
#include "core/core.h"

enum { PAGE = 256, N_PAGES = 65536 / PAGE };

struct port_count {
    uint32_t all;
    uint32_t fixed; /* of them, those without SO_REUSEADDR */
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

bool wr_port_hold(struct weir_stack *stack, uint16_t port, bool reusable)
{
    struct port_page **page = &stack->ports->page[port / PAGE];
    if (*page == NULL) {
        *page = wr_zalloc(stack, sizeof **page);
        if (*page == NULL)
            return false;
    }
    (*page)->held++;
    (*page)->port[port % PAGE].all++;
    if (!reusable)
        (*page)->port[port % PAGE].fixed++;
    return true;
}

void wr_port_release(struct weir_stack *stack, uint16_t port, bool reusable)
{
    struct port_page **page = &stack->ports->page[port / PAGE];
    (*page)->port[port % PAGE].all--;
    if (!reusable)
        (*page)->port[port % PAGE].fixed--;
    if (--(*page)->held == 0) {
        wr_free(stack, *page, sizeof **page);
        *page = NULL;
    }
}

uint32_t wr_port_holders(const struct weir_stack *stack, uint16_t port, uint32_t *fixed)
{
    const struct port_page *page = stack->ports->page[port / PAGE];
    if (fixed != NULL)
        *fixed = page != NULL ? page->port[port % PAGE].fixed : 0;
    return page != NULL ? page->port[port % PAGE].all : 0;
}
