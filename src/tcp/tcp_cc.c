/* SPDX-License-Identifier: MIT */
/*
 * Which congestion control a connection gets: the one its socket asked for by TCP_CONGESTION, else the
 * stack's default when the connection first sends data. Which ones sockets may ask for is a tunable, too;
 * all of them at first, since whoever runs a stack of his own is its administrator (Linux without
 * CAP_NET_ADMIN: reno and the default).
 */
#include <string.h>

#include "cc/cc_list.h"
#include "tcp/tcp.h"

enum { NAME_SIZE = 16 }; /* of an algorithm, with its NUL */

const struct weir_cc_ops *wr_tcp_cc(const struct weir_stack *stack, const char *name)
{
    if (name[0] != '\0')
        return wr_cc_find(name);
    return stack->tcp->cc_default != NULL ? stack->tcp->cc_default : wr_cc_at(0);
}

const char *wr_tcp_cc_name(const struct weir_stack *stack, const char *name)
{
    const struct weir_cc_ops *ops = wr_tcp_cc(stack, name);
    return ops != NULL ? ops->name : NULL;
}

static uint32_t bit_of(const struct weir_cc_ops *ops)
{
    uint32_t bit = 1;
    for (unsigned i = 0; wr_cc_at(i) != ops; i++)
        bit <<= 1;
    return bit;
}

bool wr_tcp_cc_allowed(const struct weir_stack *stack, const char *name)
{
    const struct weir_cc_ops *ops = wr_cc_find(name);
    return ops != NULL && (stack->tcp->cc_restricted & bit_of(ops)) == 0;
}

/* The names of all algorithms but those whose bit is set in `but`. */
static void list(uint32_t but, struct wr_text *text)
{
    bool some = false;
    for (unsigned i = 0; wr_cc_at(i) != NULL; i++) {
        if (but >> i & 1)
            continue;
        if (some)
            wr_text_char(text, ' ');
        wr_text_str(text, wr_cc_at(i)->name);
        some = true;
    }
}

void wr_tcp_cc_available_read(const struct weir_stack *stack, struct wr_text *text)
{
    (void)stack;
    list(0, text);
}

void wr_tcp_cc_allowed_read(const struct weir_stack *stack, struct wr_text *text)
{
    list(stack->tcp->cc_restricted, text);
}

void wr_tcp_cc_default_read(const struct weir_stack *stack, struct wr_text *text)
{
    wr_text_str(text, wr_tcp_cc(stack, "")->name);
}

/* The algorithm named at *p, which moves behind the name; NULL: unknown. */
static const struct weir_cc_ops *take_name(const char **p)
{
    char name[NAME_SIZE] = "";
    size_t len = strcspn(*p, " \t\n");
    if (len == 0 || len >= sizeof name)
        return NULL;
    memcpy(name, *p, len);
    *p += len;
    *p += strspn(*p, " \t\n");
    return wr_cc_find(name);
}

int wr_tcp_cc_allowed_write(struct weir_stack *stack, const char *text)
{
    uint32_t restricted = UINT32_MAX;
    for (text += strspn(text, " \t\n"); *text != '\0';) {
        const struct weir_cc_ops *ops = take_name(&text);
        if (ops == NULL)
            return WEIR_ENOENT;
        restricted &= ~bit_of(ops);
    }
    stack->tcp->cc_restricted = restricted;
    return 0;
}

/* Whoever sets the default allows it, as on Linux. */
int wr_tcp_cc_default_write(struct weir_stack *stack, const char *text)
{
    text += strspn(text, " \t\n");
    const struct weir_cc_ops *ops = take_name(&text);
    if (ops == NULL || *text != '\0')
        return WEIR_ENOENT;
    stack->tcp->cc_default = ops;
    stack->tcp->cc_restricted &= ~bit_of(ops);
    return 0;
}
