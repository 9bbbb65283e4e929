/* SPDX-License-Identifier: MIT */
/*
 * A laboratory for tests: hosts (stacks) in virtual time, joined by wires that delay, lose,
 * duplicate, reorder and corrupt. One thread, no clock, no sleeping: time jumps to the next moment
 * at which any stack or wire wants something. The same seed gives the same run, bit for bit;
 * sim->trace is a hash of every frame that went over a wire and of the moment it did.
 *
 *     struct sim sim;
 *     sim_init(&sim, seed);
 *     sim_host(&sim, NULL);                       // host 0
 *     sim_host(&sim, NULL);                       // host 1
 *     sim_join(&sim, 0, 1, &wire);                // 10.0.x.1/24, fd00:x::1/64 and .2
 *     ... socket calls on sim.host[0].stack with sim.now ...
 *     sim_run(&sim, 100 * WEIR_MS);
 *     sim_free(&sim);                             // fails the test when memory was not given back
 *
 * Environment variables for looking closer: SIM_PCAP=FILE makes each sim write the frames of its
 * first wire there, SIM_PRINT=1 prints each frame as it is sent.
 */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/event.h>
#include <weir/link.h>
#include <weir/socket.h>

#include "base/rng.h"

enum { SIM_HOSTS = 8, SIM_PORTS = 8 };

/* A host's memory: malloc, counted, with failures on request. */
struct sim_mem {
    size_t bytes;
    uint64_t calls;       /* of alloc so far */
    uint64_t fail_at;     /* this call fails (1 is the first); 0: none */
    uint32_t fail_one_in; /* and of all others one in so many, at random; 0: none */
    uint64_t random;
    uint64_t fails; /* how many failed */
};

struct sim_host {
    struct weir_stack *stack;
    struct sim_mem mem;
    unsigned n_ports;
    struct {
        struct weir_link *link;
        int ifindex;
    } port[SIM_PORTS];
};

struct sim {
    weir_time now;
    uint64_t seed;
    struct wr_rng rng; /* for the test's own choices */
    uint64_t trace;
    uint64_t frames; /* over all wires */
    bool print;
    bool pushless; /* PSH and the checksum do not count in the trace */
    unsigned n_hosts, n_wires;
    struct sim_host host[SIM_HOSTS];
};

struct sim_wire {
    enum weir_netif_kind kind;
    uint32_t mtu;           /* 0: 1500 */
    uint32_t gso_max_bytes; /* see struct weir_netif_config */
    bool csum_offload;
    unsigned offload; /* 1, 2, 3: the first end, the second, both have weir_link_offload() */
    bool impaired;    /* apply `impair` to both directions */
    struct weir_impair_config impair; /* its seed is set from the sim's */
};

/* Starts at a time that is not 0, with random numbers from `seed`. */
void sim_init(struct sim *sim, uint64_t seed);
/* Adds a host; config NULL: the defaults. The allocator and seed are the sim's in any case.
 * Returns its number. When its memory is set to fail and the stack could not be made, host.stack
 * is NULL. */
unsigned sim_host(struct sim *sim, const struct weir_config *config);
/* Joins two hosts; the n-th wire is 10.0.n.1 and .2 /24, fd00:n::1 and ::2 /64. wire NULL:
 * perfect. */
void sim_join(struct sim *sim, unsigned a, unsigned b, const struct sim_wire *wire);
/* Address of the `end` (1 or 2) of the n-th wire; family WEIR_AF_INET or WEIR_AF_INET6. */
struct weir_addr sim_addr(unsigned wire, unsigned end, int family);
struct weir_endpoint sim_endpoint(unsigned wire, unsigned end, int family, uint16_t port);

/* Everything that can happen at sim->now happens. */
void sim_settle(struct sim *sim);
/* The next moment at which something will, after sim_settle(); WEIR_TIME_NEVER. */
weir_time sim_next(const struct sim *sim);
/* Runs for a time. */
void sim_run(struct sim *sim, weir_time duration);
/* Runs until `done` says so, asked after each moment, or `limit` of time has passed: then false. */
bool sim_run_until(struct sim *sim, bool (*done)(struct sim *sim, void *arg), void *arg,
                   weir_time limit);
/* No packet of the host goes by a short way, in builds that can do so (WEIR_CHECK). */
void sim_go_long(struct sim *sim, unsigned host);
/* A hash of what all hosts have counted: statistics and drops. */
uint64_t sim_counted(const struct sim *sim);
/* Throws away what a host wants to send by its first port. How many frames. */
unsigned sim_discard(struct sim *sim, unsigned host);
/* Frees all; fails the test when a stack kept memory. */
void sim_free(struct sim *sim);

/* An allocator that counts in *mem. */
struct weir_allocator sim_allocator(struct sim_mem *mem);

/* ---- short hands of socket tests: they fail the test when a call fails ----------------------- */

weir_sock sim_socket(struct sim *sim, unsigned host, int domain, int type);
weir_sock sim_listen(struct sim *sim, unsigned host, const struct weir_endpoint *local,
                     int backlog);
/* Two ends of an established connection from host 0 to host 1 over wire 0. */
void sim_connected(struct sim *sim, int family, uint16_t port, weir_sock *client,
                   weir_sock *server);
int sim_getopt(struct sim *sim, unsigned host, weir_sock sock, int level, int option);
int sim_setopt(struct sim *sim, unsigned host, weir_sock sock, int level, int option, int value);
/* TCP_INFO's state */
int sim_state(struct sim *sim, unsigned host, weir_sock sock);

#endif
