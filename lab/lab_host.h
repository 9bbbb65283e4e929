/* SPDX-License-Identifier: MIT */
#ifndef LAB_HOST_H
#define LAB_HOST_H

/*
 * A host of the net: a Weir stack with one IP interface.
 *
 *     forward: into the inbox           run: for each packet  weir_input, then events, then output
 *                                            timers due       weir_advance, then events, then output
 *
 * Packets go in one at a time, so that what each causes (an ACK for the second segment) leaves before
 * the next is looked at, as on a host that keeps up with its link.
 */

#include <weir/event.h>
#include <weir/trace.h>

#include "lab/lab_node.h"

struct lab_host {
    struct lab_node node; /* first; node.next is the way out */
    struct weir_stack *stack;
    int ifindex;
    struct weir_addr addr;
    uint32_t mtu;
    int number; /* on a tape */
    struct lab_fifo inbox;
    bool touched; /* its sockets were used from outside: there may be output */
    void (*on_event)(void *arg, const struct weir_event *event, weir_time now);
    void *arg;
    bool tells; /* its stack's trace is on, and read by */
    struct weir_trace_reader reader;
    uint64_t *trace; /* hash of what hosts sent; not owned */
};

/* A host with one address. NULL when out of memory. */
struct lab_host *wr_lab_host_new(struct lab_net *net, const char *name,
                                 const struct weir_addr *addr, uint32_t mtu);
/* The host crashes and comes back at once, knowing nothing: a new stack with the same address and the
 * defaults of all tunables. False when out of memory; then it is not to be used any more. */
bool wr_lab_host_reboot(struct lab_host *host);
/* A socket call was made on its stack outside of on_event: it runs at this moment. */
void wr_lab_host_touch(struct lab_host *host);

#endif
