/* SPDX-License-Identifier: MIT */
/*
 * Local TCP ports held by connections and TIME-WAIT records: three counters a port, in pages of 256
 * ports that exist while one of theirs is held. bind() asks here in O(1) what would otherwise be a
 * search through all connections. A client's ports are held by few each, so a counter has a byte until
 * one of its page needs more.
 */
#include <string.h>

#include "core/core.h"

enum { PAGE = 256, N_PAGES = 65536 / PAGE };

enum {
    ALL,
    NO_REUSEADDR, /* of them, those without the option */
    NO_REUSEPORT,
    N_COUNTS
};

struct port_page {
    uint32_t held;      /* sum of all */
    uint32_t few[PAGE]; /* while there is no `many`: a byte each, the lowest is that of all */
    uint32_t (*many)[N_COUNTS]; /* PAGE of them, or NULL */
};

/* One bit a port. */
struct port_set {
    uint8_t bits[65536 / 8];
};

struct wr_ports {
    struct port_page *page[N_PAGES];
    struct port_page *spare;   /* one that came back, all zero; or NULL */
    struct port_set *reserved; /* NULL: none is */
};

int wr_ports_init(struct weir_stack *stack)
{
    stack->ports = wr_zalloc(stack, sizeof *stack->ports);
    return stack->ports != NULL ? 0 : WEIR_ENOMEM;
}

static void free_many(struct weir_stack *stack, struct port_page *page)
{
    wr_free(stack, page->many, PAGE * sizeof *page->many);
    page->many = NULL;
}

static void free_page(struct weir_stack *stack, struct port_page *page)
{
    free_many(stack, page);
    wr_free(stack, page, sizeof *page);
}

void wr_ports_fini(struct weir_stack *stack)
{
    for (size_t i = 0; i < N_PAGES; i++)
        if (stack->ports->page[i] != NULL)
            free_page(stack, stack->ports->page[i]);
    wr_ports_trim(stack);
    wr_free(stack, stack->ports->reserved, sizeof *stack->ports->reserved);
    wr_free(stack, stack->ports, sizeof *stack->ports);
    stack->ports = NULL;
}

static uint32_t few(const struct port_page *page, uint16_t port, unsigned which)
{
    return page->few[port % PAGE] >> 8 * which & UINT8_MAX;
}

static uint32_t get_count(const struct port_page *page, uint16_t port, unsigned which)
{
    return page->many != NULL ? page->many[port % PAGE][which] : few(page, port, which);
}

/* step: one more, or UINT32_MAX for one less. */
static void count(struct port_page *page, uint16_t port, unsigned reuse, uint32_t step)
{
    uint32_t without = ~reuse & (WR_PORT_REUSEADDR | WR_PORT_REUSEPORT);
    uint32_t counted = 1 | (without & WR_PORT_REUSEADDR) << 8 | (without & WR_PORT_REUSEPORT) << 15;

    page->held += step;
    if (page->many == NULL) {
        page->few[port % PAGE] += step * counted;
        return;
    }
    for (unsigned i = 0; i < N_COUNTS; i++)
        page->many[port % PAGE][i] += step * (counted >> 8 * i & 1);
}

/* Room for one more on this port. False: out of memory. */
static bool widen(struct weir_stack *stack, struct port_page *page, uint16_t port)
{
    if (page->many != NULL || few(page, port, ALL) < UINT8_MAX)
        return true;
    page->many = wr_zalloc(stack, PAGE * sizeof *page->many);
    if (page->many == NULL)
        return false;
    for (unsigned i = 0; i < PAGE * N_COUNTS; i++)
        page->many[i / N_COUNTS][i % N_COUNTS] = few(page, (uint16_t)(i / N_COUNTS), i % N_COUNTS);
    memset(page->few, 0, sizeof page->few); /* as in a new page */
    return true;
}

static struct port_page *take_page(struct weir_stack *stack)
{
    struct port_page *page = stack->ports->spare;
    stack->ports->spare = NULL;
    return page != NULL ? page : wr_zalloc(stack, sizeof *page);
}

/* Its counters are all zero. Connections that come and go one by one take one again each time. */
static void give_back(struct weir_stack *stack, struct port_page *page)
{
    free_many(stack, page);
    if (WR_SPARES(1) != 0 && stack->ports->spare == NULL)
        stack->ports->spare = page;
    else
        wr_free(stack, page, sizeof *page);
}

bool wr_port_hold(struct weir_stack *stack, uint16_t port, unsigned reuse)
{
    struct port_page **page = &stack->ports->page[port / PAGE];
    if (*page == NULL) {
        *page = take_page(stack);
        if (*page == NULL)
            return false;
    }
    if (!widen(stack, *page, port))
        return false;
    count(*page, port, reuse, 1);
    return true;
}

void wr_port_release(struct weir_stack *stack, uint16_t port, unsigned reuse)
{
    struct port_page **page = &stack->ports->page[port / PAGE];
    count(*page, port, reuse, UINT32_MAX);
    if ((*page)->held == 0) {
        give_back(stack, *page);
        *page = NULL;
    }
}

void wr_ports_trim(struct weir_stack *stack)
{
    wr_free(stack, stack->ports->spare, sizeof *stack->ports->spare);
    stack->ports->spare = NULL;
}

uint32_t wr_port_holders(const struct weir_stack *stack, uint16_t port, unsigned reuse)
{
    const struct port_page *page = stack->ports->page[port / PAGE];
    if (page == NULL)
        return 0;
    return get_count(page, port,
                     reuse == 0                   ? ALL
                     : reuse == WR_PORT_REUSEADDR ? NO_REUSEADDR
                                                  : NO_REUSEPORT);
}

/* ---- reserved ports -------------------------------------------------------------------------- */

static bool has(const struct port_set *set, uint32_t port)
{
    return set != NULL && (set->bits[port / 8] >> port % 8 & 1) != 0;
}

bool wr_port_is_reserved(const struct weir_stack *stack, uint16_t port)
{
    return has(stack->ports->reserved, port);
}

void wr_ports_reserved_read(const struct weir_stack *stack, struct wr_text *text)
{
    const struct port_set *set = stack->ports->reserved;
    bool some = false;
    for (uint32_t first = 0; set != NULL && first < 65536; first++) {
        if (!has(set, first))
            continue;
        uint32_t last = first;
        while (last < 65535 && has(set, last + 1))
            last++;
        if (some)
            wr_text_char(text, ',');
        wr_text_u64(text, first);
        if (last > first) {
            wr_text_char(text, '-');
            wr_text_u64(text, last);
        }
        some = true;
        first = last;
    }
}

/* Returns what follows the port, NULL if there is none. */
static const char *parse_port(const char *p, uint32_t *port)
{
    const char *begin = p;
    for (*port = 0; *p >= '0' && *p <= '9'; p++) {
        *port = *port * 10 + (uint32_t)(*p - '0');
        if (*port > 65535)
            return NULL;
    }
    return p == begin ? NULL : p;
}

/* "1,5-9", blanks around it. */
static bool parse_ports(const char *p, struct port_set *set)
{
    uint32_t first, last;
    p += strspn(p, " \t\n");
    while (*p != '\0' && *p != ' ' && *p != '\t' && *p != '\n') {
        p = parse_port(p, &first);
        last = first;
        if (p != NULL && *p == '-')
            p = parse_port(p + 1, &last);
        if (p == NULL || last < first)
            return false;
        for (; first <= last; first++)
            set->bits[first / 8] |= (uint8_t)(1u << first % 8);
        if (*p == ',')
            p++;
        else
            break;
    }
    return p[strspn(p, " \t\n")] == '\0';
}

int wr_ports_reserved_write(struct weir_stack *stack, const char *text)
{
    struct port_set *set = wr_zalloc(stack, sizeof *set);
    if (set == NULL)
        return WEIR_ENOMEM;
    if (!parse_ports(text, set)) {
        wr_free(stack, set, sizeof *set);
        return WEIR_EINVAL;
    }
    wr_free(stack, stack->ports->reserved, sizeof *set);
    stack->ports->reserved = set;
    return 0;
}
